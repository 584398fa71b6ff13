/* The resampling against Pillow's, for every kernel set of this processor, and what is made of its result. */
#include "test.h"

#include <math.h>
#include <zlib.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"
#include "core/image/image.h"
#include "core/image/pixels/resample.h"
#include "files.h"

struct pillow_case {
    int width, height, seed, left, top, right, bottom, out_width, out_height, filter;
    unsigned crc;
};

/* As tests/data/make_resample.py makes it */
static struct image picture(int width, int height, int seed)
{
    struct image image;
    uint32_t state = (uint32_t)seed;

    assert_int_equal(image_init(&image, width, height, 3, NULL), INFOMASK_OK);
    for (int i = 0; i < width * height * 3; i++) {
        state = state * 1664525 + 1013904223;
        image.pixels[i] = (uint8_t)(state >> 24);
        if (seed % 2 != 0)
            image.pixels[i] = image.pixels[i] > 127 ? 255 : 0;
    }
    return image;
}

static struct image_view view_of(const struct pillow_case *c)
{
    return (struct image_view){c->left / 8.0,  c->top / 8.0,  (c->right - c->left) / 8.0, (c->bottom - c->top) / 8.0,
                               c->out_width, c->out_height, (enum image_filter)c->filter};
}

/* The two passes, with poison around everything that they may not use. */
static void passes(const struct resample_kernels *kernels, const struct image *image, const struct image_view *v,
                   uint8_t *out)
{
    struct resample_axis x, y;
    size_t row = (size_t)v->out_width * 3, stride;
    uint8_t *middle, *line;

    assert_int_equal(resample_axis_init(&x, kernels, v->filter,
                                        &(struct resample_span){image->width, v->left, v->width, v->out_width}, NULL),
                     INFOMASK_OK);
    assert_int_equal(resample_axis_init(&y, kernels, v->filter,
                                        &(struct resample_span){image->height, v->top, v->height, v->out_height}, NULL),
                     INFOMASK_OK);
    stride = ((size_t)x.padded * 3 + 4 + RESAMPLE_BLOCK - 1) / RESAMPLE_BLOCK * RESAMPLE_BLOCK;
    middle = malloc(stride * (size_t)(y.end - y.begin));
    line = malloc(stride);
    assert_non_null(middle);
    assert_non_null(line);
    memset(middle, 0xA5, stride * (size_t)(y.end - y.begin));
    for (int i = y.begin; i < y.end; i += RESAMPLE_ROWS) {
        const uint8_t *rows[RESAMPLE_ROWS];
        uint8_t *to[RESAMPLE_ROWS];
        for (int j = 0; j < RESAMPLE_ROWS; j++) {
            int at = i + j < y.end ? i + j : y.end - 1;
            rows[j] = image->pixels + (size_t)at * (size_t)image->width * 3;
            to[j] = middle + stride * (size_t)(at - y.begin);
        }
        kernels->horizontal(rows, &x, to);
    }
    for (int i = 0; i < v->out_height; i++) {
        kernels->vertical(middle, stride, &y, i, line, row);
        memcpy(out + row * (size_t)i, line, row);
    }
    free(middle);
    free(line);
    resample_axis_fini(&x);
    resample_axis_fini(&y);
}

static int kernel_sets(const struct resample_kernels *sets[3])
{
    int count = 0;

    sets[count++] = &resample_portable;
#if defined(__x86_64__)
    if (cpu_features()->avx2_fma)
        sets[count++] = &resample_avx2;
    if (cpu_features()->avx512 && cpu_features()->avx512_vnni)
        sets[count++] = &resample_avx512;
#endif
    return count;
}

static void check_case(const struct pillow_case *c)
{
    const struct resample_kernels *sets[3];
    struct image image = picture(c->width, c->height, c->seed);
    struct image_view view = view_of(c);
    size_t bytes = (size_t)c->out_width * (size_t)c->out_height * 3;
    uint8_t *out = malloc(bytes);
    int count = kernel_sets(sets);

    assert_non_null(out);
    for (int i = 0; i < count; i++) {
        memset(out, 0x5A, bytes);
        passes(sets[i], &image, &view, out);
        if (crc32(0, out, (uInt)bytes) != c->crc)
            fail_msg("%s: %d x %d to %d x %d, filter %d", sets[i]->name, c->width, c->height, c->out_width,
                     c->out_height, c->filter);
    }
    memset(out, 0x5A, bytes);
    assert_int_equal(image_resample(&image, &view, out, NULL), INFOMASK_OK);
    assert_int_equal(crc32(0, out, (uInt)bytes), c->crc);
    free(out);
    image_fini(&image);
}

static void every_kernel_set_gives_pillows_bits(void **state)
{
    FILE *in = fopen("tests/data/resample.tsv", "r");
    struct pillow_case c;
    char head[128];
    int cases = 0;

    (void)state;
    assert_non_null(in);
    assert_non_null(fgets(head, sizeof head, in));
    while (fscanf(in, "%d%d%d%d%d%d%d%d%d%d%x", &c.width, &c.height, &c.seed, &c.left, &c.top, &c.right, &c.bottom,
                  &c.out_width, &c.out_height, &c.filter, &c.crc) == 11) {
        check_case(&c);
        cases++;
    }
    assert_int_equal(fclose(in), 0);
    assert_true(cases >= 300);
}

static void the_same_size_is_the_same_picture(void **state)
{
    struct image image = picture(61, 43, 2);
    struct image_view view = image_view_whole(61, 43, 61, 43);
    uint8_t out[61 * 43 * 3];

    (void)state;
    for (int filter = IMAGE_BICUBIC; filter <= IMAGE_LANCZOS; filter++) {
        view.filter = (enum image_filter)filter;
        assert_int_equal(image_resample(&image, &view, out, NULL), INFOMASK_OK);
        assert_memory_equal(out, image.pixels, sizeof out);
    }
    image_fini(&image);
}

static void bad_views_are_refused(void **state)
{
    static const struct image_view views[] = {
        {-1, 0, 10, 10, 4, 4, IMAGE_BICUBIC},   {0, 0, 20.5, 10, 4, 4, IMAGE_BICUBIC},
        {0, 0, 0, 10, 4, 4, IMAGE_BICUBIC},     {0, 0, 10, NAN, 4, 4, IMAGE_BICUBIC},
        {NAN, 0, 10, 10, 4, 4, IMAGE_BICUBIC},  {0, 0, 10, 10, 0, 4, IMAGE_BICUBIC},
        {0, 0, 10, 10, 4, 1 << 20, IMAGE_BICUBIC},
    };
    struct image image = picture(20, 20, 2);
    struct infomask_error err;
    uint8_t out[48];

    (void)state;
    for (size_t i = 0; i < sizeof views / sizeof *views; i++)
        assert_int_equal(image_resample(&image, &views[i], out, &err), INFOMASK_ARGUMENT);
    image_fini(&image);
}

static void the_centre_crop_is_floored(void **state)
{
    struct image_view v = image_view_crop(500, 375, 0.875, 224, 224);

    (void)state;
    assert_true(v.width == 328 && v.height == 328 && v.left == 86 && v.top == 23);
    v = image_view_crop(8, 9, 0.01, 224, 224);
    assert_true(v.width == 1 && v.height == 1 && v.left == 3 && v.top == 4);
    v = image_view_crop(9, 8, 1, 224, 224);
    assert_true(v.width == 8 && v.height == 8 && v.left == 0 && v.top == 0);
}

static void the_scale_leaves_twice_the_pixels(void **state)
{
    struct image_info info = {.format = IMAGE_JPEG, .width = 4000, .height = 3000};
    struct image_view v = image_view_crop(4000, 3000, 0.875, 224, 224);

    (void)state;
    assert_int_equal(image_view_scale(&info, &v), 2); /* 656 of 224; an eighth would leave 328 */
    v = image_view_whole(4000, 3000, 448, 336);
    assert_int_equal(image_view_scale(&info, &v), 2);
    v = image_view_whole(4000, 3000, 512, 384);
    assert_int_equal(image_view_scale(&info, &v), 4);
    v = image_view_whole(4000, 3000, 250, 100);
    assert_int_equal(image_view_scale(&info, &v), 1);
    v = image_view_whole(4000, 3000, 1001, 10);
    assert_int_equal(image_view_scale(&info, &v), 8);
    info.format = IMAGE_PNG;
    v = image_view_whole(4000, 3000, 8, 8);
    assert_int_equal(image_view_scale(&info, &v), 8);
}

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

enum { W = 37, H = 29, OUT = 20 };

static void make(const struct image *image, const struct image_normalise *n, struct pool *pool, float *out)
{
    struct image_view view = image_view_crop(image->width, image->height, 0.9, OUT, OUT);

    assert_int_equal(image_tensor(image, &view, n, pool, out, NULL), INFOMASK_OK);
}

static void channels_are_ordered_and_divided(void **state)
{
    static const struct image_normalise rgb = {IMAGE_RGB, {123.675F, 116.28F, 103.53F}, {58.395F, 57.12F, 57.375F}};
    static const struct image_normalise bgr = {IMAGE_BGR, {104, 117, 123}, {1, 2, 0.5F}};
    static const struct image_normalise gray = {IMAGE_GRAY, {127.5F, 0, 0}, {127.5F, 0, 0}};
    struct image image = picture(W, H, 4);
    struct image_view view = image_view_crop(W, H, 0.9, OUT, OUT);
    uint8_t bytes[OUT * OUT * 3];
    float a[OUT * OUT * 3], b[OUT * OUT * 3], c[OUT * OUT];

    (void)state;
    assert_int_equal(image_resample(&image, &view, bytes, NULL), INFOMASK_OK);
    make(&image, &rgb, NULL, a);
    make(&image, &bgr, NULL, b);
    make(&image, &gray, NULL, c);
    for (int i = 0; i < OUT * OUT; i++) {
        const uint8_t *p = bytes + i * 3;
        unsigned luma = (p[0] * 19595U + p[1] * 38470U + p[2] * 7471U + 32768U) >> 16;
        for (int k = 0; k < 3; k++) {
            assert_true(a[i * 3 + k] == ((float)p[k] - rgb.mean[k]) / rgb.std[k]);
            assert_true(b[i * 3 + k] == ((float)p[2 - k] - bgr.mean[k]) / bgr.std[k]);
        }
        assert_true(c[i] == ((float)luma - 127.5F) / 127.5F);
    }
    image_fini(&image);
}

static void alpha_lies_over_white(void **state)
{
    static const struct image_normalise plain = {IMAGE_RGB, {0, 0, 0}, {1, 1, 1}};
    struct image opaque = picture(W, H, 6), rgba;
    float expected[OUT * OUT * 3], got[OUT * OUT * 3];

    (void)state;
    assert_int_equal(image_init(&rgba, W, H, 4, NULL), INFOMASK_OK);
    for (int i = 0; i < W * H; i++) {
        unsigned alpha = (unsigned)(i * 37) % 256;
        memcpy(rgba.pixels + i * 4, opaque.pixels + i * 3, 3);
        rgba.pixels[i * 4 + 3] = (uint8_t)alpha;
        for (int c = 0; c < 3; c++) {
            double v = (opaque.pixels[i * 3 + c] * alpha + 255.0 * (255 - alpha)) / 255;
            opaque.pixels[i * 3 + c] = (uint8_t)lrint(v);
        }
    }
    make(&opaque, &plain, NULL, expected);
    make(&rgba, &plain, NULL, got);
    assert_memory_equal(got, expected, sizeof got);
    image_fini(&opaque);
    image_fini(&rgba);
}

static void threads_change_nothing(void **state)
{
    static const struct image_normalise n = {IMAGE_BGR, {1, 2, 3}, {3, 5, 7}};
    struct image image = picture(300, 211, 8);
    float expected[OUT * OUT * 3], got[OUT * OUT * 3];
    struct pool *pool;

    (void)state;
    make(&image, &n, NULL, expected);
    for (int threads = 1; threads <= 4; threads++) {
        assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        for (int i = 0; i < 20; i++) {
            memset(got, 0xFF, sizeof got);
            make(&image, &n, pool, got);
            assert_memory_equal(got, expected, sizeof got);
        }
        pool_free(pool);
    }
    image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kernel_set_gives_pillows_bits),
        cmocka_unit_test(the_same_size_is_the_same_picture),
        cmocka_unit_test(bad_views_are_refused),
        cmocka_unit_test(the_centre_crop_is_floored),
        cmocka_unit_test(the_scale_leaves_twice_the_pixels),
        cmocka_unit_test(channels_are_ordered_and_divided),
        cmocka_unit_test(alpha_lies_over_white),
        cmocka_unit_test(threads_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
