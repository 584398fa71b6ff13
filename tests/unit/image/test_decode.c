/* Every kind of file of tests/data/images against its manifest, cut-outs against the whole, and the limits. */
#include "test.h"

#include <limits.h>
#include <zlib.h>

#include "core/image/image.h"
#include "files.h"

struct entry {
    char name[64];
    int width, height, channels, orientation;
    unsigned crc, icc_size, icc_crc;
};

/* Calls check for every line of the manifest; returns how many. */
static int each_entry(void (*check)(const struct entry *entry, struct file file))
{
    FILE *in = fopen("tests/data/images/manifest.tsv", "r");
    struct entry e;
    char head[256];
    int count = 0;

    assert_non_null(in);
    assert_non_null(fgets(head, sizeof head, in));
    while (fscanf(in, "%63s%d%d%d%d%x%u%x", e.name, &e.width, &e.height, &e.channels, &e.orientation, &e.crc,
                  &e.icc_size, &e.icc_crc) == 8) {
        struct file file = file_load("images", e.name);
        check(&e, file);
        free(file.data);
        count++;
    }
    assert_int_equal(fclose(in), 0);
    return count;
}

static void check_entry(const struct entry *e, struct file file)
{
    const char *suffix = strrchr(e->name, '.') + 1;
    struct infomask_error err = {0};
    struct image_info info;
    struct image image;

    if (image_probe(file.data, file.size, NULL, &info, &err) != INFOMASK_OK ||
        image_decode(file.data, file.size, NULL, &image, &err) != INFOMASK_OK)
        fail_msg("%s: %s", e->name, err.text);
    assert_string_equal(image_format_name(info.format), strcmp(suffix, "jpg") == 0 ? "jpeg" : suffix);
    if (info.width != e->width || info.height != e->height || info.orientation != e->orientation ||
        info.alpha != (e->channels == 4))
        fail_msg("%s: the header was read wrongly", e->name);
    if (image.width != e->width || image.height != e->height || image.channels != e->channels ||
        crc32(0, image.pixels, (uInt)(image.width * image.height * image.channels)) != e->crc)
        fail_msg("%s: not the expected pixels", e->name);
    if (image.icc_size != e->icc_size || (e->icc_size > 0 && crc32(0, image.icc, e->icc_size) != e->icc_crc))
        fail_msg("%s: not the expected profile", e->name);
    image_fini(&image);
}

static void every_kind_is_read(void **state)
{
    (void)state;
    assert_true(each_entry(check_entry) >= 100);
}

/* ---- Cut-outs and scales ----------------------------------------------------------------------------------------- */

/* What the region needs is, bit for bit, what the whole decoding at that scale has there. */
static void check_region(const struct entry *e, struct file file, int numerator, const struct image *whole,
                         const struct image_region *region)
{
    int left = region->left * numerator / 8, top = region->top * numerator / 8;
    int right = ((region->left + region->width) * numerator + 7) / 8;
    int bottom = ((region->top + region->height) * numerator + 7) / 8;
    size_t stride = (size_t)whole->width * (size_t)whole->channels;
    struct image part;

    assert_int_equal(image_decode_scaled(&(struct image_source){file.data, file.size, NULL, NULL}, numerator, region, &part, NULL), INFOMASK_OK);
    assert_int_equal(part.width, whole->width);
    assert_int_equal(part.height, whole->height);
    for (int y = top; y < bottom; y++) {
        size_t at = stride * (size_t)y + (size_t)(left * whole->channels);
        if (memcmp(part.pixels + at, whole->pixels + at, (size_t)((right - left) * whole->channels)) != 0)
            fail_msg("%s at %d/8: row %d of %d,%d %dx%d differs", e->name, numerator, y, region->left, region->top,
                     region->width, region->height);
    }
    image_fini(&part);
}

static void check_regions(const struct entry *e, struct file file)
{
    static uint32_t state = 1;
    struct image whole;

    for (int numerator = strstr(e->name, ".jpg") != NULL ? 1 : 8; numerator <= 8; numerator++) {
        assert_int_equal(image_decode_scaled(&(struct image_source){file.data, file.size, NULL, NULL}, numerator, NULL, &whole, NULL), INFOMASK_OK);
        assert_int_equal(whole.width, (e->width * numerator + 7) / 8);
        assert_int_equal(whole.height, (e->height * numerator + 7) / 8);
        for (int i = 0; i < 4; i++) {
            struct image_region r;
            int *parts[] = {&r.left, &r.top, &r.width, &r.height};
            const int sides[] = {e->width, e->height, e->width, e->height};
            for (int k = 0; k < 4; k++) {
                state = state * 1664525 + 1013904223;
                *parts[k] = (int)(state >> 16) % (k < 2 ? sides[k] : sides[k] - *parts[k - 2]) + (k < 2 ? 0 : 1);
            }
            check_region(e, file, numerator, &whole, &r);
        }
        image_fini(&whole);
    }
}

static void a_cut_out_is_part_of_the_whole(void **state)
{
    (void)state;
    (void)each_entry(check_regions);
}

/* What a view needs suffices for its tensor. */
static void check_view(const struct entry *e, struct file file)
{
    static const struct image_normalise plain = {IMAGE_RGB, {0, 0, 0}, {1, 1, 1}};
    struct image_info info;
    struct image whole, part;
    float expected[12 * 9 * 3], got[12 * 9 * 3];
    int numerator;

    assert_int_equal(image_probe(file.data, file.size, NULL, &info, NULL), INFOMASK_OK);
    for (int filter = IMAGE_BICUBIC; filter <= IMAGE_LANCZOS; filter++)
        for (int i = 0; i < 2; i++) {
            struct image_view view = image_view_crop(e->width, e->height, 0.6, 12, 9), scaled;
            if (i == 1)
                view = (struct image_view){e->width * 0.3, e->height * 0.4, 8, 7, 12, 9, IMAGE_BICUBIC};
            view.filter = (enum image_filter)filter;
            assert_int_equal(
                image_decode_view(&(struct image_source){file.data, file.size, NULL, NULL}, &info, &view, &part, &scaled, NULL), INFOMASK_OK);
            numerator = image_view_scale(&info, &view);
            assert_int_equal(image_decode_scaled(&(struct image_source){file.data, file.size, NULL, NULL}, numerator, NULL, &whole, NULL),
                             INFOMASK_OK);
            assert_int_equal(image_tensor(&whole, &scaled, &plain, NULL, expected, NULL), INFOMASK_OK);
            assert_int_equal(image_tensor(&part, &scaled, &plain, NULL, got, NULL), INFOMASK_OK);
            if (memcmp(expected, got, sizeof got) != 0)
                fail_msg("%s, filter %d: the view's part of the photo does not suffice", e->name, filter);
            image_fini(&whole);
            image_fini(&part);
        }
}

static void a_view_needs_only_its_part(void **state)
{
    (void)state;
    (void)each_entry(check_view);
}

static void bad_regions_and_scales_are_refused(void **state)
{
    static const struct image_region outside[] = {
        {27, 0, 5, 5}, {0, 21, 5, 5}, {-9, 0, 9, 5}, {3, 3, 0, 1}, {3, 3, 1, -1}};
    struct file jpeg = file_load("images", "420.jpg"), png = file_load("images", "rgb8.png");
    struct image image;

    (void)state;
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        assert_int_equal(image_decode_scaled(&(struct image_source){jpeg.data, jpeg.size, NULL, NULL}, 8, &outside[i], &image, NULL),
                         INFOMASK_ARGUMENT);
    assert_int_equal(image_decode_scaled(&(struct image_source){jpeg.data, jpeg.size, NULL, NULL}, 0, NULL, &image, NULL), INFOMASK_ARGUMENT);
    assert_int_equal(image_decode_scaled(&(struct image_source){jpeg.data, jpeg.size, NULL, NULL}, 9, NULL, &image, NULL), INFOMASK_ARGUMENT);
    assert_int_equal(image_decode_scaled(&(struct image_source){png.data, png.size, NULL, NULL}, 4, NULL, &image, NULL), INFOMASK_ARGUMENT);
    free(jpeg.data);
    free(png.data);
}

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

static void expect(const char *name, const struct image_limits *limits, enum infomask_status expected,
                   const char *sentence)
{
    struct file file = file_load("images", name);
    struct infomask_error err = {0};
    struct image image;
    enum infomask_status status = image_decode(file.data, file.size, limits, &image, &err);

    if (status != expected || err.status != expected || strstr(err.text, sentence) == NULL)
        fail_msg("%s: %d %s", name, status, err.text);
    assert_null(image.pixels);
    free(file.data);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct infomask_error err;
    struct image image;

    (void)state;
    expect("refused-animated.webp", NULL, INFOMASK_UNSUPPORTED_FORMAT, "animated");
    expect("refused.gif", NULL, INFOMASK_UNSUPPORTED_FORMAT, "not a JPEG, PNG or WebP");
    expect("refused-tiny.png", NULL, INFOMASK_BAD_IMAGE, "1 x 1 pixels; a side must have at least 8");
    expect("refused-wide.png", NULL, INFOMASK_TOO_MANY_PIXELS, "a side may have at most 16384");
    expect("refused-huge.jpg", NULL, INFOMASK_TOO_MANY_PIXELS, "65500 x 65500");
    expect("refused-scans.jpg", NULL, INFOMASK_BAD_IMAGE, "100 scans");
    assert_int_equal(image_decode("", 0, NULL, &image, &err), INFOMASK_BAD_IMAGE);
    assert_int_equal(image_decode("hello, this is text", 19, NULL, &image, &err), INFOMASK_UNSUPPORTED_FORMAT);
}

static void limits_are_kept(void **state)
{
    struct image_limits limits = image_default_limits;

    (void)state;
    limits.max_pixels = 27 * 21 - 1;
    expect("420.jpg", &limits, INFOMASK_TOO_MANY_PIXELS, "27 x 21 = 567 pixels; at most 566");
    limits.max_pixels = 27 * 21;
    limits.max_side = 26;
    expect("lossy.webp", &limits, INFOMASK_TOO_MANY_PIXELS, "at most 26");
    limits.max_side = 27;
    limits.min_side = 22;
    expect("rgb8.png", &limits, INFOMASK_BAD_IMAGE, "at least 22");
    limits = image_default_limits;
    limits.decoder_memory = 4096;
    expect("large-2x2-progressive.jpg", &limits, INFOMASK_TOO_MANY_PIXELS, "progressive");
    expect("rgb8.png", &limits, INFOMASK_TOO_MANY_PIXELS, "PNG needs more than the 4 KiB");
    limits.decoder_memory = 27 * 21 * 4 - 1;
    expect("lossless.webp", &limits, INFOMASK_TOO_MANY_PIXELS, "WebP");
    limits = image_default_limits;
    limits.max_scans = 1;
    expect("progressive.jpg", &limits, INFOMASK_BAD_IMAGE, "1 scan");
}

static void scans_below_the_limit_are_read(void **state)
{
    struct file file = file_load("images", "many-scans.jpg");
    struct image image;

    (void)state;
    assert_int_equal(image_decode(file.data, file.size, NULL, &image, NULL), INFOMASK_OK);
    image_fini(&image);
    free(file.data);
}

static bool after_some_calls(void *context)
{
    int *left = context;

    return (*left)-- <= 0;
}

/* Stops at each of the times that the deadline is looked at; then it is reached no more. */
static void deadline_of(const char *name)
{
    struct file file = file_load("images", name);
    struct image_limits limits = image_default_limits;
    struct infomask_error err = {0};
    struct image image;
    int calls = 0;

    limits.expired = after_some_calls;
    for (;; calls++) {
        int left = calls;
        enum infomask_status status;
        limits.deadline_context = &left;
        status = image_decode(file.data, file.size, &limits, &image, &err);
        if (status == INFOMASK_OK)
            break;
        assert_int_equal(status, INFOMASK_DEADLINE);
        assert_true(calls < 10000);
    }
    assert_true(calls > 0);
    image_fini(&image);
    free(file.data);
}

static void the_deadline_is_polled(void **state)
{
    (void)state;
    deadline_of("420.jpg");
    deadline_of("progressive.jpg");
    deadline_of("orientation6.jpg");
    deadline_of("rgb8.png");
    deadline_of("orientation6-interlaced.png");
    deadline_of("lossy.webp");
    deadline_of("orientation6.webp");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_read),
        cmocka_unit_test(a_cut_out_is_part_of_the_whole),
        cmocka_unit_test(a_view_needs_only_its_part),
        cmocka_unit_test(bad_regions_and_scales_are_refused),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(scans_below_the_limit_are_read),
        cmocka_unit_test(the_deadline_is_polled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
