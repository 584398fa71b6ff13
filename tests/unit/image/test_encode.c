/* What the encoders write, our decoders (and so libpng and libjpeg) read back. */
#include "test.h"

#include <math.h>

#include "core/image/image.h"
#include "files.h"

enum { W = 53, H = 38 };

struct picture {
    size_t row_bytes;
    uint8_t pixels[W * H * 4];
    int next; /* rows must be asked for in order, once */
};

static struct picture noise(int row_samples, uint32_t state)
{
    struct picture p = {.row_bytes = (size_t)row_samples};

    for (size_t i = 0; i < p.row_bytes * H; i++) {
        state = state * 1664525 + 1013904223;
        p.pixels[i] = (uint8_t)(state >> 24);
    }
    return p;
}

static void give_row(void *context, int y, uint8_t *row)
{
    struct picture *p = context;

    assert_int_equal(y, p->next++);
    memcpy(row, p->pixels + p->row_bytes * (size_t)y, p->row_bytes);
}

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The first chunk of that type, or NULL */
static const uint8_t *find_chunk(const uint8_t *png, size_t size, const char *type, size_t *length)
{
    for (size_t at = 8; at + 12 <= size; at += 12 + *length) {
        *length = be32(png + at);
        if (memcmp(png + at + 4, type, 4) == 0)
            return png + at + 8;
    }
    return NULL;
}

static void check_png(int channels, bool flat)
{
    struct picture p = noise(W * channels, (uint32_t)channels);
    struct image_png png = {.width = W, .height = H, .channels = channels, .bits = 8, .flat = flat};
    struct infomask_error err;
    struct image image;
    uint8_t *data;
    size_t size;

    assert_int_equal(image_encode_png(&png, give_row, &p, &data, &size, &err), INFOMASK_OK);
    assert_int_equal(p.next, H);
    assert_int_equal(image_decode(data, size, NULL, &image, &err), INFOMASK_OK);
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    assert_int_equal(image.channels, channels == 4 ? 4 : 3);
    for (int i = 0; i < W * H * image.channels; i++)
        assert_int_equal(image.pixels[i], p.pixels[channels == 1 ? i / 3 : i]);
    assert_null(image.icc);
    image_fini(&image);
    free(data);
}

static void png_keeps_every_sample(void **state)
{
    (void)state;
    for (int flat = 0; flat < 2; flat++) {
        check_png(1, flat != 0);
        check_png(3, flat != 0);
        check_png(4, flat != 0);
    }
}

static void png_of_16_bits(void **state)
{
    struct picture p = noise(W * 2, 9);
    struct image_png png = {.width = W, .height = H, .channels = 1, .bits = 16};
    struct image image;
    uint8_t *data;
    size_t size, length;

    (void)state;
    assert_int_equal(image_encode_png(&png, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    assert_int_equal(find_chunk(data, size, "IHDR", &length)[8], 16);
    assert_int_equal(find_chunk(data, size, "IHDR", &length)[9], 0);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    for (int i = 0; i < W * H; i++) {
        double v = (p.pixels[i * 2] * 256 + p.pixels[i * 2 + 1]) / 257.0;
        assert_int_equal(image.pixels[i * 3], lrint(v));
    }
    image_fini(&image);
    free(data);
}

static void png_carries_text_and_profile(void **state)
{
    static const char *const text[] = {"Infomask-Map-Scale", "0.25", "Infomask-Units", "nats", NULL};
    struct picture p = noise(W * 3, 1);
    struct image_png png = {.width = W, .height = H, .channels = 3, .bits = 8, .text = text};
    struct image image;
    uint8_t *data, icc[3000] = {0};
    size_t size, length;
    const uint8_t *chunk;

    (void)state;
    memcpy(icc + 16, "RGB ", 4);
    for (size_t i = 128; i < sizeof icc; i++)
        icc[i] = (uint8_t)(i * i);
    png.icc = icc;
    png.icc_size = sizeof icc;
    assert_int_equal(image_encode_png(&png, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    chunk = find_chunk(data, size, "tEXt", &length);
    assert_non_null(chunk);
    assert_int_equal(length, sizeof "Infomask-Map-Scale" + 4);
    assert_memory_equal(chunk, "Infomask-Map-Scale\0000.25", length);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    assert_int_equal(image.icc_size, sizeof icc);
    assert_memory_equal(image.icc, icc, sizeof icc);
    image_fini(&image);
    free(data);
}

static void bad_pngs_are_refused(void **state)
{
    static const char *const nameless[] = {"", "x", NULL};
    static const struct image_png bad[] = {
        {.width = 0, .height = 1, .channels = 1, .bits = 8}, {.width = 1, .height = -1, .channels = 1, .bits = 8},
        {.width = 1, .height = 1, .channels = 2, .bits = 8}, {.width = 1, .height = 1, .channels = 3, .bits = 16},
        {.width = 1, .height = 1, .channels = 1, .bits = 4},
        {.width = 1, .height = 1, .channels = 1, .bits = 8, .text = nameless},
    };
    struct infomask_error err;
    uint8_t *data;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(image_encode_png(&bad[i], NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
        assert_null(data);
    }
}

/* Smooth, so that JPEG does well */
static struct picture smooth(void)
{
    struct picture p = {.row_bytes = W * 3};

    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++) {
            uint8_t *pixel = p.pixels + (y * W + x) * 3;
            pixel[0] = (uint8_t)(127 + 100 * sin(x / 9.0));
            pixel[1] = (uint8_t)(127 + 100 * cos(y / 7.0));
            pixel[2] = (uint8_t)(x + y);
        }
    return p;
}

/* The sampling factors of the first component of the frame header */
static int sampling(const uint8_t *jpeg, size_t size)
{
    for (size_t at = 2; at + 12 < size;) {
        if (jpeg[at + 1] == 0xC0)
            return jpeg[at + 11];
        at += 2 + (size_t)(jpeg[at + 2] << 8 | jpeg[at + 3]);
    }
    return -1;
}

static double jpeg_error(int quality, int expected_sampling)
{
    struct picture p = smooth();
    struct image image;
    uint8_t *data;
    size_t size;
    double error = 0;

    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){W, H, quality, NULL, 0}, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    assert_int_equal(p.next, H);
    assert_int_equal(sampling(data, size), expected_sampling);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    for (size_t i = 0; i < W * H * 3; i++)
        error += pow(image.pixels[i] - p.pixels[i], 2) / (W * H * 3);
    image_fini(&image);
    free(data);
    return sqrt(error);
}

static void jpeg_is_close(void **state)
{
    (void)state;
    assert_true(jpeg_error(100, 0x11) < 1);
    assert_true(jpeg_error(90, 0x11) < 2);
    assert_true(jpeg_error(89, 0x22) < 4);
    assert_true(jpeg_error(1, 0x22) < 60);
}

static void jpeg_carries_the_profile(void **state)
{
    enum { SIZE = 150000 }; /* three pieces */
    struct picture p = smooth();
    struct image image;
    uint8_t *data, *icc = calloc(1, SIZE);
    size_t size;

    (void)state;
    assert_non_null(icc);
    memcpy(icc + 16, "RGB ", 4);
    for (size_t i = 128; i < SIZE; i++)
        icc[i] = (uint8_t)(i * i + i / 256);
    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){W, H, 90, icc, SIZE}, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    assert_int_equal(image.icc_size, SIZE);
    assert_memory_equal(image.icc, icc, SIZE);
    image_fini(&image);
    free(data);
    free(icc);
}

static void bad_jpegs_are_refused(void **state)
{
    struct infomask_error err;
    uint8_t *data;
    size_t size;

    (void)state;
    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){0, 1, 90, NULL, 0}, NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){70000, 1, 90, NULL, 0}, NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){1, 1, 0, NULL, 0}, NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
    assert_int_equal(image_encode_jpeg(&(struct image_jpeg){1, 1, 101, NULL, 0}, NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
}

/* Root mean square of what differs, of the colours or of the alpha. */
static double webp_error(const struct picture *p, const struct image *image, int channels, bool alpha)
{
    double error = 0;
    int count = 0;

    for (int i = 0; i < W * H; i++)
        for (int c = 0; c < 4; c++) {
            if (c >= image->channels || (c == 3) != alpha)
                continue;
            error += pow(image->pixels[i * image->channels + c] - p->pixels[i * channels + (channels == 1 ? 0 : c)], 2);
            count++;
        }
    return sqrt(error / count);
}

static void check_webp(struct picture p, int channels, int quality, double limit)
{
    struct image_webp webp = {.width = W, .height = H, .channels = channels, .quality = quality};
    struct image image;
    uint8_t *data;
    size_t size;

    assert_int_equal(image_encode_webp(&webp, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    assert_int_equal(p.next, H);
    assert_memory_equal(data + 8, "WEBP", 4);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    assert_int_equal(image.channels, channels == 4 ? 4 : 3);
    assert_true(webp_error(&p, &image, channels, false) <= limit);
    if (channels == 4)
        assert_true(webp_error(&p, &image, channels, true) == 0);
    image_fini(&image);
    free(data);
}

static struct picture half_transparent(void)
{
    struct picture colours = smooth(), p = {.row_bytes = W * 4};

    for (int i = 0; i < W * H; i++) {
        memcpy(p.pixels + 4 * i, colours.pixels + 3 * i, 3);
        p.pixels[4 * i + 3] = (uint8_t)(100 + (i * 7) % 156); /* nowhere 0: there the colours are libwebp's */
    }
    return p;
}

static void webp_is_what_it_was_made_from(void **state)
{
    (void)state;
    check_webp(noise(W, 1), 1, 0, 0);
    check_webp(noise(W * 3, 3), 3, 0, 0);
    check_webp(half_transparent(), 4, 0, 0);
    check_webp(smooth(), 3, 90, 3);
    check_webp(smooth(), 3, 1, 60);
    check_webp(half_transparent(), 4, 90, 3);
}

static void webp_carries_the_profile(void **state)
{
    struct picture p = smooth();
    struct image_webp webp = {.width = W, .height = H, .channels = 3, .quality = 90};
    struct image image;
    uint8_t *data, icc[3001] = {0}; /* of odd length: padded */
    size_t size;

    (void)state;
    memcpy(icc + 16, "RGB ", 4);
    webp.icc = icc;
    webp.icc_size = sizeof icc;
    assert_int_equal(image_encode_webp(&webp, give_row, &p, &data, &size, NULL), INFOMASK_OK);
    assert_int_equal(image_decode(data, size, NULL, &image, NULL), INFOMASK_OK);
    assert_int_equal(image.icc_size, sizeof icc);
    assert_memory_equal(image.icc, icc, sizeof icc);
    assert_true(webp_error(&p, &image, 3, false) < 3);
    image_fini(&image);
    free(data);
}

static void bad_webps_are_refused(void **state)
{
    static const struct image_webp bad[] = {
        {.width = 0, .height = 1, .channels = 3},     {.width = 1, .height = -1, .channels = 3},
        {.width = 16384, .height = 1, .channels = 3}, {.width = 1, .height = 1, .channels = 2},
        {.width = 1, .height = 1, .channels = 3, .quality = 101}, {.width = 1, .height = 1, .channels = 3, .quality = -1},
    };
    struct infomask_error err;
    uint8_t *data;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(image_encode_webp(&bad[i], NULL, NULL, &data, &size, &err), INFOMASK_ARGUMENT);
        assert_null(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(png_keeps_every_sample),       cmocka_unit_test(png_of_16_bits),
        cmocka_unit_test(png_carries_text_and_profile), cmocka_unit_test(bad_pngs_are_refused),
        cmocka_unit_test(jpeg_is_close),                cmocka_unit_test(jpeg_carries_the_profile),
        cmocka_unit_test(bad_jpegs_are_refused),        cmocka_unit_test(webp_is_what_it_was_made_from),
        cmocka_unit_test(webp_carries_the_profile),     cmocka_unit_test(bad_webps_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
