/* Broken files: cut at every byte, with bits turned over at every byte; and memory running out at every allocation. */
#include "test.h"

#include <limits.h>

#include "core/image/image.h"
#include "files.h"

static const char *const names[] = {
    "420.jpg",           "progressive.jpg",  "cmyk.jpg",   "orientation6.jpg",    "arithmetic.jpg",
    "palette4-trns.png", "rgb8.png",         "gray16-interlaced.png", "orientation6.png",
    "lossy.webp",        "lossless-alpha.webp", "orientation6.webp",  "icc.webp"};
enum { NAMES = sizeof names / sizeof *names };

static enum infomask_status decode(const uint8_t *data, size_t size, struct infomask_error *err)
{
    struct image image;
    enum infomask_status status;

    *err = (struct infomask_error){0};
    status = image_decode(data, size, NULL, &image, err);
    if (status == INFOMASK_OK) {
        assert_true(image.width >= 8 && image.height >= 8 && (image.channels == 3 || image.channels == 4));
        /* every pixel is there to be read */
        for (size_t i = 0, sum = 0; i < (size_t)image.width * (size_t)image.height; i++)
            assert_true((sum += image.pixels[i]) < SIZE_MAX);
    } else {
        assert_null(image.pixels);
        assert_null(image.icc);
        assert_int_equal(err->status, status);
        assert_true(strlen(err->text) > 10);
    }
    image_fini(&image);
    return status;
}

/* A copy of exactly that size, so that reading beyond it is seen by the address sanitizer. */
static uint8_t *exact(const uint8_t *data, size_t size)
{
    uint8_t *copy = malloc(size > 0 ? size : 1);

    assert_non_null(copy);
    memcpy(copy, data, size);
    return copy;
}

static void a_cut_file_is_a_bad_image(void **state)
{
    (void)state;
    for (int i = 0; i < NAMES; i++) {
        struct file file = file_load("images", names[i]);
        struct infomask_error err;
        for (size_t size = 0; size < file.size; size++) {
            uint8_t *cut = exact(file.data, size);
            enum infomask_status status = decode(cut, size, &err);
            /* so short that nobody can say what it was */
            bool fine = size < 12 ? status == INFOMASK_UNSUPPORTED_FORMAT || status == INFOMASK_BAD_IMAGE
                                  : status == INFOMASK_BAD_IMAGE;
            if (!fine)
                fail_msg("%s cut to %zu of %zu bytes: %d %s", names[i], size, file.size, status, err.text);
            free(cut);
        }
        free(file.data);
    }
}

static void turned_bits_do_no_harm(void **state)
{
    size_t refused = 0, all = 0;

    (void)state;
    for (int i = 0; i < NAMES; i++) {
        struct file file = file_load("images", names[i]);
        struct infomask_error err;
        for (size_t at = 0; at < file.size; at++) {
            static const uint8_t masks[] = {0x01, 0x80, 0xFF};
            uint8_t *turned = exact(file.data, file.size);
            turned[at] ^= masks[at % 3];
            refused += decode(turned, file.size, &err) != INFOMASK_OK;
            all++;
            free(turned);
        }
        free(file.data);
    }
    assert_true(refused > all / 4); /* PNG sees all of them, JPEG and WebP some */
}

/* A PNG protects its pixels by checksums: one turned bit is seen wherever it matters.  The last 4 bytes are the checksum of
 * an end that is empty: some versions of libpng (1.6.48) do not look at it. */
static void a_png_sees_every_turned_bit(void **state)
{
    struct file file = file_load("images", "rgb8.png");
    struct infomask_error err;

    (void)state;
    for (size_t bit = 0; bit < (file.size - 4) * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
        assert_int_not_equal(decode(file.data, file.size, &err), INFOMASK_OK);
        file.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    assert_int_equal(decode(file.data, file.size, &err), INFOMASK_OK);
    free(file.data);
}

/* A JPEG cut below what the view needs is still refused. */
static void a_cut_below_the_view_is_seen(void **state)
{
    static const struct image_region top = {20, 4, 40, 10};
    struct image_info info;
    struct image image;

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct file file = file_load("images", i == 0 ? "large-2x2.jpg" : "large-1x1-restart.jpg");
        assert_int_equal(image_probe(file.data, file.size, NULL, &info, NULL), INFOMASK_OK);
        assert_int_equal(image_decode_scaled(&(struct image_source){file.data, file.size, NULL, NULL}, 8, &top, &image, NULL), INFOMASK_OK);
        image_fini(&image);
        for (size_t size = file.size - 1; size > file.size * 3 / 4; size -= 7)
            assert_int_equal(image_decode_scaled(&(struct image_source){file.data, size, NULL, NULL}, 8, &top, &image, NULL), INFOMASK_BAD_IMAGE);
        free(file.data);
    }
}

/* ---- No memory --------------------------------------------------------------------------------------------------- */

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#elif defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

#if !defined(SANITIZED) && defined(__GLIBC__)
/* The C library lets a program bring its own; ours hands over to glibc's and fails when told to. */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static long allocations_left = LONG_MAX;

static bool refuse(void)
{
    if (allocations_left == LONG_MAX)
        return false;
    return allocations_left-- <= 0;
}

void *malloc(size_t size) { return refuse() ? NULL : __libc_malloc(size); }
void *calloc(size_t count, size_t size) { return refuse() ? NULL : __libc_calloc(count, size); }
void *realloc(void *block, size_t size) { return refuse() ? NULL : __libc_realloc(block, size); }
void *aligned_alloc(size_t alignment, size_t size) { return refuse() ? NULL : __libc_memalign(alignment, size); }

static void rows_of_grey(void *context, int y, uint8_t *row)
{
    (void)context;
    memset(row, y & 255, 200 * 3);
}

static enum infomask_status encode(int what)
{
    static const char *const text[] = {"key", "value", NULL};
    static const uint8_t icc[400];
    struct image_png png = {
        .width = 200, .height = 100, .channels = 3, .bits = 8, .icc = icc, .icc_size = sizeof icc, .text = text};
    enum infomask_status status;
    uint8_t *data;
    size_t size;

    status = what == 0 ? image_encode_png(&png, rows_of_grey, NULL, &data, &size, NULL)
                       : image_encode_jpeg(&(struct image_jpeg){200, 100, 90, icc, sizeof icc}, rows_of_grey, NULL, &data, &size, NULL);
    free(data);
    return status;
}

static enum infomask_status tensor(const struct image *image)
{
    static const struct image_normalise plain = {IMAGE_RGB, {0, 0, 0}, {1, 1, 1}};
    struct image_view view = image_view_crop(image->width, image->height, 0.8, 16, 16);
    float out[16 * 16 * 3];

    return image_tensor(image, &view, &plain, NULL, out, NULL);
}

/* For k = 0, 1, ...: all allocations from the k-th on fail; until nothing fails any more. */
static void starve(enum infomask_status (*run)(const void *context), const void *context)
{
    enum infomask_status status = INFOMASK_MEMORY;

    for (long k = 0; status != INFOMASK_OK; k++) {
        assert_true(k < 10000);
        allocations_left = k;
        status = run(context);
        allocations_left = LONG_MAX;
        assert_int_not_equal(status, INFOMASK_ARGUMENT);
    }
}

static enum infomask_status run_decode(const void *context)
{
    const struct file *file = context;
    struct image image;
    enum infomask_status status = image_decode(file->data, file->size, NULL, &image, NULL);

    image_fini(&image);
    return status;
}

static enum infomask_status run_encode(const void *context) { return encode(*(const int *)context); }
static enum infomask_status run_tensor(const void *context) { return tensor(context); }

static void every_allocation_may_fail(void **state)
{
    static const int encoders[] = {0, 1};
    struct image image;

    (void)state;
    for (int i = 0; i < NAMES; i++) {
        struct file file;
        /* libwebp 1.2 frees tables of its lossless coder (of alpha too) that it could not allocate: not ours to test */
        if (strcmp(names[i], "lossless-alpha.webp") == 0 || strcmp(names[i], "orientation6.webp") == 0)
            continue;
        file = file_load("images", names[i]);
        starve(run_decode, &file);
        free(file.data);
    }
    starve(run_encode, &encoders[0]);
    starve(run_encode, &encoders[1]);
    assert_int_equal(image_init(&image, 50, 50, 4, NULL), INFOMASK_OK);
    memset(image.pixels, 100, 50 * 50 * 4);
    starve(run_tensor, &image);
    image_fini(&image);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_file_is_a_bad_image),
        cmocka_unit_test(turned_bits_do_no_harm),
        cmocka_unit_test(a_png_sees_every_turned_bit),
        cmocka_unit_test(a_cut_below_the_view_is_seen),
#if !defined(SANITIZED) && defined(__GLIBC__)
        cmocka_unit_test(every_allocation_may_fail),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
