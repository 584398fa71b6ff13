/* Pixels: resizing, the guided filter, dilation, fills, colour maps; against OpenCV's results (tests/data/mask) and by
 * properties. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/image/fill.h"
#include "core/image/overlay.h"
#include "core/image/pixels.h"
#include "core/image/pixels/matting.h"
#include "core/kernels/kernels.h"
#include "golden.h"

#define GUIDED_H 30
#define GUIDED_W 44
#define GUIDED_N (GUIDED_H * GUIDED_W)

static void guided_filter_and_resizing_as_opencv(void **state)
{
    size_t small = 13 * 17 * 3, large = 47 * 61 * 3;
    float *data = golden_load("tests/data/mask/guided.f32", (size_t)GUIDED_N * 6 + small + large);
    const float *image = data, *p = data + 3 * GUIDED_N, *golden = p + GUIDED_N;
    float *out = malloc(large * sizeof *out);
    struct guided *guided;

    (void)state;
    assert_int_equal(guided_create(&guided, image, GUIDED_H, GUIDED_W, 5, NULL), INFOMASK_OK);
    guided_filter(guided, p, 1e-3F, out);
    assert_close(out, golden, GUIDED_N, 2e-6);
    memcpy(out, p, GUIDED_N * sizeof *out);
    guided_filter(guided, out, 1e-4F, out);
    assert_close(out, golden + GUIDED_N, GUIDED_N, 1e-5);
    guided_free(guided);
    assert_int_equal(pixels_resize(&(struct pixels_map){image, GUIDED_H, GUIDED_W, 3}, out, 13, 17, NULL), INFOMASK_OK);
    assert_close(out, golden + 2 * GUIDED_N, small, 1e-6);
    assert_int_equal(pixels_resize(&(struct pixels_map){image, GUIDED_H, GUIDED_W, 3}, out, 47, 61, NULL), INFOMASK_OK);
    assert_close(out, golden + 2 * GUIDED_N + small, large, 1e-6);
    free(out);
    free(data);
}

/* A constant comes out of the filter as it went in, also where the window is larger than the picture. */
static void guided_filter_keeps_a_constant(void **state)
{
    float rgb[5 * 7 * 3], p[5 * 7];
    struct random_stream random = random_stream(3, 0);
    struct guided *guided;

    (void)state;
    for (size_t i = 0; i < sizeof rgb / sizeof *rgb; i++)
        rgb[i] = (float)random_unit(&random);
    for (size_t i = 0; i < 35; i++)
        p[i] = 0.625F;
    assert_int_equal(guided_create(&guided, rgb, 5, 7, 12, NULL), INFOMASK_OK);
    guided_filter(guided, p, 1e-4F, p);
    for (size_t i = 0; i < 35; i++)
        assert_float_equal(p[i], 0.625F, 1e-5);
    guided_free(guided);
}

static void rows_enlarge_as_the_whole_map(void **state)
{
    static const int sizes[][4] = {{1, 1, 5, 4}, {3, 1, 7, 9}, {1, 4, 3, 50}, {6, 5, 31, 64}, {9, 8, 4, 3}};
    struct random_stream random = random_stream(5, 0);

    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        int in_h = sizes[s][0], in_w = sizes[s][1], h = sizes[s][2], w = sizes[s][3];
        float *in = malloc((size_t)(in_h * in_w) * sizeof *in), *out = malloc((size_t)(h * w) * sizeof *out);
        float *row = malloc((size_t)w * sizeof *row);
        struct pixels_enlarge enlarge;
        for (int i = 0; i < in_h * in_w; i++)
            in[i] = (float)random_unit(&random);
        assert_int_equal(pixels_bilinear(&(struct pixels_map){in, in_h, in_w, 1}, out, h, w, NULL), INFOMASK_OK);
        assert_int_equal(pixels_enlarge_init(&enlarge, in, in_h, in_w, h, w, NULL), INFOMASK_OK);
        for (int y = 0; y < h; y++) {
            pixels_enlarge_row(&enlarge, y, row);
            assert_close(row, out + (size_t)y * (size_t)w, (size_t)w, 1e-6);
        }
        pixels_enlarge_fini(&enlarge);
        free(in);
        free(out);
        free(row);
    }
}

static void area_keeps_the_mean(void **state)
{
    float in[11 * 7], out[4 * 3];
    double before = 0, after = 0;

    (void)state;
    for (int i = 0; i < 77; i++) {
        in[i] = (float)(i * 37 % 19);
        before += (double)in[i] / 77;
    }
    assert_int_equal(pixels_area(&(struct pixels_map){in, 11, 7, 1}, out, 4, 3, NULL), INFOMASK_OK);
    for (int i = 0; i < 12; i++)
        after += (double)out[i] / 12;
    assert_float_equal(after, before, 1e-5);
}

static void lab_of_known_colours(void **state)
{
    const float rgb[] = {1, 1, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0.02F, 0.02F, 0.02F};
    const float expected[] = {100, 0, 0, 0, 0, 0, 53.24F, 80.09F, 67.2F, 32.3F, 79.19F, -107.86F, 1.398F, 0, 0};
    float lab[15];

    (void)state;
    pixels_lab(rgb, 5, lab);
    assert_close(lab, expected, 15, 0.02);
}

/* ---- Dilation ----------------------------------------------------------------------------------------------------- */

static double nearest(const uint8_t *mask, int h, int w, int y, int x)
{
    double best = 1e9;

    for (int i = 0; i < h; i++)
        for (int j = 0; j < w; j++)
            if (mask[i * w + j] != 0)
                best = fmin(best, sqrt((double)((i - y) * (i - y) + (j - x) * (j - x))));
    return best;
}

static void dilation_is_by_euclidean_distance(void **state)
{
    static const double cases[][2] = {{0, 0}, {1, 0}, {2.5, 0}, {3, 0}, {40, 0}, {0, 4}, {2, 3.5}};
    struct random_stream random = random_stream(11, 0);

    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        uint8_t mask[23 * 31], old[23 * 31];
        double radius = cases[c][0], feather = cases[c][1];
        for (size_t i = 0; i < sizeof mask; i++)
            mask[i] = random_below(&random, 40) == 0 ? 1 : 0;
        memcpy(old, mask, sizeof mask);
        assert_int_equal(pixels_dilate(mask, 23, 31, radius, feather, NULL), INFOMASK_OK);
        for (int y = 0; y < 23; y++)
            for (int x = 0; x < 31; x++) {
                double over = nearest(old, 23, 31, y, x) - radius;
                double alpha = over <= 0 ? 255 : over >= feather ? 0 : 255 * (1 - over / feather);
                assert_int_equal(mask[y * 31 + x], lrint(alpha));
            }
    }
}

/* ---- Fills -------------------------------------------------------------------------------------------------------- */

#define TELEA_N (40 * 56)

static void inpainting_is_near_opencv(void **state)
{
    float *data = golden_load("tests/data/mask/telea.f32", TELEA_N * 7);
    uint8_t rgb[TELEA_N * 3], hole[TELEA_N];
    double error = 0;
    size_t holes = 0;

    (void)state;
    for (size_t i = 0; i < TELEA_N * 3; i++)
        rgb[i] = (uint8_t)data[i];
    for (size_t i = 0; i < TELEA_N; i++) {
        hole[i] = data[TELEA_N * 3 + i] > 0;
        holes += hole[i];
        memset(rgb + 3 * i, hole[i] != 0 ? 200 : rgb[3 * i], hole[i]); /* what lies in the hole must not matter */
    }
    assert_int_equal(fill_inpaint(rgb, hole, 40, 56, 4, NULL), INFOMASK_OK);
    for (size_t i = 0; i < TELEA_N * 3; i++) {
        double d = fabs((double)rgb[i] - (double)data[TELEA_N * 4 + i]);
        if (hole[i / 3] == 0)
            assert_true(d == 0);
        error += d;
    }
    assert_true(holes > 100);
    assert_true(error / (double)(3 * holes) < 3.0); /* OpenCV rounds up by half a grey level a step; we do not */
    free(data);
}

static void photo_init(struct image *image, int w, int h, int channels, uint64_t seed)
{
    struct random_stream random = random_stream(seed, 0);

    assert_int_equal(image_init(image, w, h, channels, NULL), INFOMASK_OK);
    for (size_t i = 0; i < (size_t)w * (size_t)h * (size_t)channels; i++)
        image->pixels[i] = (uint8_t)random_below(&random, 256);
}

static uint8_t *filled(const struct image *photo, const uint8_t *mask, enum fill_kind kind)
{
    struct fill_options options = {.kind = kind, .color = {1, 2, 3}, .distance = kernels_best()->patch_distance, .votes = kernels_best()->patch_votes};
    size_t w = (size_t)photo->width;
    uint8_t *out = malloc(w * (size_t)photo->height * 3);
    struct fill *fill;

    assert_int_equal(fill_create(&fill, photo, mask, &options, NULL), INFOMASK_OK);
    for (int y = 0; y < photo->height; y++)
        fill_row(fill, y, out + (size_t)y * w * 3);
    fill_free(fill);
    return out;
}

/* Two photos that differ only under the mask are filled alike: nothing of the object comes through. */
static void fills_leak_nothing(void **state)
{
    static const enum fill_kind kinds[] = {FILL_MATCH, FILL_INPAINT, FILL_DIFFUSE, FILL_BLUR, FILL_MEAN, FILL_COLOR};
    static const int sizes[][2] = {{61, 47}, {1300, 900}};
    (void)state;
    for (size_t k = 0; k < 2 * sizeof kinds / sizeof *kinds; k++) {
        int w = sizes[k % 2][0], h = sizes[k % 2][1];
        size_t n = (size_t)w * (size_t)h;
        struct image a, b;
        uint8_t *mask = calloc(n, 1), *fa, *fb;
        photo_init(&a, w, h, 3, 1);
        photo_init(&b, w, h, 3, 1);
        for (int y = h / 4; y < h; y++)
            for (int x = w / 5; x < w * 3 / 4; x++) {
                size_t i = (size_t)y * (size_t)w + (size_t)x;
                mask[i] = 255;
                memset(b.pixels + 3 * i, 7, 3);
            }
        fa = filled(&a, mask, kinds[k / 2]);
        fb = filled(&b, mask, kinds[k / 2]);
        for (size_t i = 0; i < n; i++)
            if (mask[i] != 0)
                assert_memory_equal(fa + 3 * i, fb + 3 * i, 3);
        free(fa);
        free(fb);
        free(mask);
        image_fini(&a);
        image_fini(&b);
    }
}

/* A photo of one colour stays so under every fill, with holes at the edges, in corners, and everywhere. */
static void fills_continue_a_flat_photo(void **state)
{
    static const enum fill_kind kinds[] = {FILL_MATCH, FILL_INPAINT, FILL_DIFFUSE, FILL_BLUR, FILL_MEAN, FILL_PIXELATE};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (int hole = 0; hole < 4; hole++) {
            struct image photo;
            uint8_t mask[40 * 30], *out;
            photo_init(&photo, 40, 30, 4, 1);
            for (size_t i = 0; i < 40 * 30; i++)
                memcpy(photo.pixels + 4 * i, (const uint8_t[]){90, 120, 200, 255}, 4);
            for (int i = 0; i < 40 * 30; i++) {
                int x = i % 40, y = i / 40;
                mask[i] = hole == 0 ? x < 20 : hole == 1 ? y > 3 && x > 3 : hole == 2 ? x > 0 : i != 617;
            }
            out = filled(&photo, mask, kinds[k]);
            for (size_t i = 0; i < 40 * 30; i++)
                for (size_t c = 0; c < 3; c++)
                    if (mask[i] != 0 && abs(out[3 * i + c] - photo.pixels[4 * i + c]) > 2)
                        fail_msg("kind %d hole %d pixel %zu: %d", (int)kinds[k], hole, i, out[3 * i + c]);
            free(out);
            image_fini(&photo);
        }
}

static void a_photo_all_masked_becomes_grey(void **state)
{
    static const enum fill_kind kinds[] = {FILL_MATCH, FILL_INPAINT, FILL_DIFFUSE, FILL_BLUR, FILL_MEAN};
    uint8_t mask[12 * 9];
    (void)state;
    memset(mask, 255, sizeof mask);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        struct image photo;
        uint8_t *out;
        photo_init(&photo, 12, 9, 3, 2);
        out = filled(&photo, mask, kinds[k]);
        for (size_t i = 0; i < 12 * 9 * 3; i++)
            assert_int_equal(out[i], 128);
        free(out);
        image_fini(&photo);
    }
}

/* ---- Pictures ----------------------------------------------------------------------------------------------------- */

static void colour_maps_rise_in_lightness(void **state)
{
    static const char *const rising[] = {"viridis", "magma", "gray"};
    uint8_t table[256][3];
    float rgb[3], lab[3], before;

    (void)state;
    for (size_t m = 0; m < 3; m++) {
        colormap_fill(rising[m], table);
        before = -1;
        for (int i = 0; i < 256; i += 5) {
            for (int c = 0; c < 3; c++)
                rgb[c] = (float)table[i][c] / 255;
            pixels_lab(rgb, 1, lab);
            assert_true(lab[0] > before);
            before = lab[0];
        }
        assert_true(before > 85);
    }
}

static void overlay_draws_map_contour_and_legend(void **state)
{
    struct image photo;
    struct overlay overlay;
    uint8_t *mask = calloc(200 * 150, 1), row[200 * 3];
    float value[200] = {0};
    int white = 0;

    (void)state;
    photo_init(&photo, 200, 150, 3, 4);
    memset(photo.pixels, 100, 200 * 150 * 3);
    for (int y = 20; y < 60; y++)
        memset(mask + y * 200 + 50, 255, 60);
    assert_int_equal(overlay_init(&overlay, &photo, mask, &(struct overlay_style){"gray", 0.6, 3.2, "nats/cell"}, NULL), INFOMASK_OK);
    value[150] = 1;
    overlay_row(&overlay, 40, value, row);
    assert_memory_equal(row + 3 * 50, ((uint8_t[]){255, 255, 255}), 3); /* the contour on the mask's edge */
    assert_int_equal(row[3 * 150], 193);                                /* 100 + .6 (255 - 100) */
    assert_int_equal(row[3 * 20], 80);                                  /* 100 - .2 * 100 */
    assert_non_null(overlay.legend);
    overlay_row(&overlay, 150 - overlay.legend_h / 2 - 6, value, row);
    for (int x = 0; x < overlay.legend_w; x++)
        white += row[3 * x] == 255;
    assert_true(white > 5); /* strokes of the characters */
    overlay_fini(&overlay);
    image_fini(&photo);
    free(mask);
}

/* ---- Edges and shadows ---------------------------------------------------------------------------------------------- */

/* A disk of `share` alpha at its edge over a ground of two colours; alpha is 1 within radius - 1.5 and 0 beyond radius + 1.5. */
static double disk_alpha(int x, int y, double cx, double cy, double radius)
{
    double d = sqrt((x - cx) * (x - cx) + (y - cy) * (y - cy));
    return fmin(fmax((radius + 1.5 - d) / 3, 0), 1);
}

static void alpha_at_an_edge_is_found(void **state)
{
    enum { H = 80, W = 100 };
    static float rgb[H * W * 3], alpha[H * W];
    double hard = 0, soft = 0;

    (void)state;
    for (int i = 0; i < H * W; i++) {
        double a = disk_alpha(i % W, i / W, 48.3, 41.6, 25), object[3] = {.8, .3, .2}, ground[3] = {.1, .4, .6};
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (float)(a * object[c] + (1 - a) * (ground[c] + .001 * (i % W)));
        alpha[i] = a >= .5 ? 1 : 0;
        hard += fabs((double)alpha[i] - a);
    }
    assert_int_equal(matting_solve(rgb, H, W, 3, alpha, NULL), INFOMASK_OK);
    for (int i = 0; i < H * W; i++) {
        double a = disk_alpha(i % W, i / W, 48.3, 41.6, 25), d = hypot(i % W - 48.3, i / W - 41.6);
        soft += fabs((double)alpha[i] - a);
        if (fabs(d - 25) > 5)
            assert_true(alpha[i] == (float)a); /* outside the band nothing changes */
    }
    if (soft > hard / 5)
        fail_msg("alpha is off by %.2f, the mask by %.2f", soft, hard);
}

/* A red disk on a noisy, sloping ground; its shadow to the right, or a patch there of another colour as dark. */
static void ground_with_disk(struct image *photo, uint8_t *mask, const double *factor)
{
    struct random_stream random = random_stream(11, 0);

    assert_int_equal(image_init(photo, 300, 200, 3, NULL), INFOMASK_OK);
    for (int i = 0; i < 300 * 200; i++) {
        double shade = disk_alpha(i % 300, i / 300, 165, 110, 30), ground[3] = {170 + .1 * (i % 300), 150, 120};
        mask[i] = disk_alpha(i % 300, i / 300, 120, 100, 35) >= .5 ? 255 : 0;
        for (int c = 0; c < 3; c++)
            photo->pixels[3 * i + c] =
                mask[i] ? (uint8_t)(c == 0 ? 200 : 30)
                        : (uint8_t)(ground[c] * (1 - shade * (1 - factor[c])) + (double)random_below(&random, 12));
    }
}

static void a_shadow_is_taken_along_and_nothing_else(void **state)
{
    static const double factors[][3] = {{.55, .58, .62}, {1, 1, 1}, {.2, .5, 1.1}};
    static uint8_t mask[300 * 200];

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct image photo;
        int shade = 0, taken = 0, more = 0, object = 0;
        ground_with_disk(&photo, mask, factors[k]);
        for (int i = 0; i < 300 * 200; i++)
            object += mask[i] != 0;
        assert_int_equal(pixels_shadow(&photo, PIXELS_SHADOW, mask, NULL), INFOMASK_OK);
        for (int i = 0; i < 300 * 200; i++) {
            bool disk = disk_alpha(i % 300, i / 300, 120, 100, 35) >= .5, in = disk_alpha(i % 300, i / 300, 165, 110, 30) >= .5;
            assert_true(!disk || mask[i] == 255);
            shade += in && !disk;
            taken += in && !disk && mask[i];
            more += !in && !disk && mask[i];
        }
        if (k == 0 ? taken < .9 * shade || more > .15 * object : taken + more > .05 * object)
            fail_msg("case %d: %d of %d in the shade, %d beside it, %d the object", k, taken, shade, more, object);
        image_fini(&photo);
    }
}

/* Black touches a disk on even ground: under it, over it, and under it with no end. */
static void what_is_black_under_an_object_is_taken_along(void **state)
{
    static const int top[] = {132, 52, 132}, bottom[] = {144, 64, 200};
    static uint8_t mask[300 * 200];

    (void)state;
    for (int k = 0; k < 3; k++) {
        struct image photo;
        int black = 0, taken = 0, more = 0;
        assert_int_equal(image_init(&photo, 300, 200, 3, NULL), INFOMASK_OK);
        for (int i = 0; i < 300 * 200; i++) {
            bool in = i % 300 > 100 && i % 300 < 140 && i / 300 > top[k] && i / 300 < bottom[k];
            mask[i] = disk_alpha(i % 300, i / 300, 120, 100, 40) >= .5 ? 255 : 0;
            memset(photo.pixels + 3 * i, mask[i] ? 90 : in ? 8 : 160, 3);
            black += in && !mask[i];
        }
        assert_int_equal(pixels_shadow(&photo, PIXELS_CONTACT, mask, NULL), INFOMASK_OK);
        for (int i = 0; i < 300 * 200; i++) {
            bool disk = disk_alpha(i % 300, i / 300, 120, 100, 40) >= .5;
            taken += mask[i] && !disk && photo.pixels[3 * i] == 8;
            more += mask[i] && !disk && photo.pixels[3 * i] != 8;
        }
        if (k == 0 ? taken < .95 * black || more > 3 * black : taken + more > 0)
            fail_msg("case %d: %d of %d black pixels, %d others", k, taken, black, more);
        image_fini(&photo);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guided_filter_and_resizing_as_opencv), cmocka_unit_test(guided_filter_keeps_a_constant),
        cmocka_unit_test(rows_enlarge_as_the_whole_map),        cmocka_unit_test(area_keeps_the_mean),
        cmocka_unit_test(lab_of_known_colours),                 cmocka_unit_test(dilation_is_by_euclidean_distance),
        cmocka_unit_test(alpha_at_an_edge_is_found),            cmocka_unit_test(a_shadow_is_taken_along_and_nothing_else),
        cmocka_unit_test(what_is_black_under_an_object_is_taken_along),
        cmocka_unit_test(inpainting_is_near_opencv),            cmocka_unit_test(fills_leak_nothing),
        cmocka_unit_test(fills_continue_a_flat_photo),          cmocka_unit_test(a_photo_all_masked_becomes_grey),
        cmocka_unit_test(colour_maps_rise_in_lightness),        cmocka_unit_test(overlay_draws_map_contour_and_legend),
    };
    return cmocka_run_group_tests_name("pixels", tests, NULL, NULL);
}
