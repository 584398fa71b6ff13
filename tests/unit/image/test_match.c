/* Exemplar-based fills: what is regular goes on, the result depends on nothing but photo, mask and seed, and what cannot
 * be filled so is filled otherwise, with the reason. */
#include "test.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/pool.h"
#include "core/base/random.h"
#include "core/image/fill.h"
#include "core/image/pixels/match.h"
#include "core/kernels/kernels.h"

static struct fill_options options_of(uint64_t seed, struct pool *pool)
{
    return (struct fill_options){
        .kind = FILL_MATCH, .distance = kernels_best()->patch_distance, .votes = kernels_best()->patch_votes, .seed = seed, .pool = pool};
}

/* Slanted stripes with some noise: period 24 across, 40 down. */
static void stripes(struct image *photo, int w, int h, int noise)
{
    struct random_stream random = random_stream(3, 0);

    assert_int_equal(image_init(photo, w, h, 3, NULL), INFOMASK_OK);
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            bool dark = (x + y * 24 / 40) % 24 < 12;
            uint8_t *p = photo->pixels + 3 * ((size_t)y * (size_t)w + (size_t)x);
            for (int c = 0; c < 3; c++)
                p[c] = (uint8_t)((dark ? 60 : 180) + 15 * c + (int)random_below(&random, (uint32_t)noise + 1));
        }
}

static uint8_t *disk(int w, int h, double share)
{
    uint8_t *mask = calloc((size_t)w * (size_t)h, 1);
    double radius = sqrt(share * w * h / 3.14159265), dx, dy;

    for (int i = 0; i < w * h; i++) {
        dx = i % w - w * .45;
        dy = i / w - h * .55;
        mask[i] = dx * dx + dy * dy < radius * radius ? 255 : 0;
    }
    return mask;
}

static uint8_t *filled(const struct image *photo, const uint8_t *mask, const struct fill_options *options,
                       enum fill_kind used)
{
    size_t w = (size_t)photo->width;
    uint8_t *out = malloc(w * (size_t)photo->height * 3);
    struct fill *fill;

    assert_int_equal(fill_create(&fill, photo, mask, options, NULL), INFOMASK_OK);
    assert_int_equal(fill_used(fill), used);
    assert_int_equal(fill_reason(fill) == NULL, used == options->kind);
    for (int y = 0; y < photo->height; y++)
        fill_row(fill, y, out + (size_t)y * w * 3);
    fill_free(fill);
    return out;
}

static double mean_error(const struct image *photo, const uint8_t *mask, const uint8_t *out)
{
    double sum = 0, n = 0;

    for (size_t i = 0; i < (size_t)photo->width * (size_t)photo->height; i++)
        for (size_t c = 0; mask[i] != 0 && c < 3; c++, n++)
            sum += abs(photo->pixels[3 * i + c] - out[3 * i + c]);
    return sum / n;
}

/* At the photo's own size, and on a reduced copy, whose vectors are enlarged: there Telea's fill is off by 50. */
static void what_is_regular_goes_on(void **state)
{
    static const int sizes[][2] = {{200, 150}, {1600, 1200}};
    (void)state;
    for (int k = 0; k < 2; k++) {
        struct fill_options options = options_of(0, NULL), other = {.kind = FILL_INPAINT};
        struct image photo;
        uint8_t *mask = disk(sizes[k][0], sizes[k][1], k == 0 ? .15 : .02), *out, *plain;
        stripes(&photo, sizes[k][0], sizes[k][1], 8);
        out = filled(&photo, mask, &options, FILL_MATCH);
        plain = filled(&photo, mask, &other, FILL_INPAINT);
        if (mean_error(&photo, mask, out) > 12 || mean_error(&photo, mask, plain) < 30)
            fail_msg("%d x %d: off by %.1f (plain %.1f)", sizes[k][0], sizes[k][1], mean_error(&photo, mask, out),
                     mean_error(&photo, mask, plain));
        free(plain);
        free(out);
        free(mask);
        image_fini(&photo);
    }
}

static void threads_and_instructions_do_not_show(void **state)
{
    struct fill_options options = options_of(5, NULL);
    size_t size = 160 * 120 * 3;
    struct image photo;
    uint8_t *mask = disk(160, 120, .2), *right, *out;

    (void)state;
    stripes(&photo, 160, 120, 90);
    right = filled(&photo, mask, &options, FILL_MATCH);
    for (int threads = 2; threads <= 3; threads++) {
        assert_int_equal(pool_create(&options.pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        out = filled(&photo, mask, &options, FILL_MATCH);
        assert_memory_equal(out, right, size);
        pool_free(options.pool);
        free(out);
    }
    options = options_of(5, NULL);
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        if (kernels_get((enum kernel_isa)isa) == NULL)
            continue;
        options.distance = kernels_get((enum kernel_isa)isa)->patch_distance;
        options.votes = kernels_get((enum kernel_isa)isa)->patch_votes;
        out = filled(&photo, mask, &options, FILL_MATCH);
        assert_memory_equal(out, right, size);
        free(out);
    }
    options = options_of(6, NULL);
    out = filled(&photo, mask, &options, FILL_MATCH);
    assert_true(memcmp(out, right, size) != 0); /* the seed is heard */
    free(out);
    free(right);
    free(mask);
    image_fini(&photo);
}

static void falls_back_with_a_reason(void **state)
{
    static const int sizes[][2] = {{64, 48}, {6, 40}, {9, 9}};
    static const double shares[] = {.65, .1, .3};
    (void)state;
    for (int k = 0; k < 3; k++) {
        struct fill_options options = options_of(0, NULL);
        struct image photo;
        uint8_t *mask = disk(sizes[k][0], sizes[k][1], shares[k]), *out;
        stripes(&photo, sizes[k][0], sizes[k][1], 0);
        out = filled(&photo, mask, &options, FILL_DIFFUSE);
        free(out);
        free(mask);
        image_fini(&photo);
    }
}

/* Every shape of hole and photo ends well: thin, at the edges, most of a side, scattered. */
static void odd_holes_are_filled(void **state)
{
    (void)state;
    for (int hole = 0; hole < 6; hole++) {
        int w = hole == 5 ? 13 : 90, h = hole == 5 ? 200 : 40;
        struct fill_options options = options_of(1, NULL);
        struct image photo;
        uint8_t *mask = calloc((size_t)w * (size_t)h, 1), *out;
        stripes(&photo, w, h, 20);
        for (int i = 0; i < w * h; i++) {
            int x = i % w, y = i / w;
            mask[i] = hole == 0   ? x < 20
                      : hole == 1 ? y >= 35
                      : hole == 2 ? x == 40 || y == 20
                      : hole == 3 ? (x * 7 + y * 13) % 97 == 0
                      : hole == 4 ? x > 60 && y < 25
                                  : y > 60 && y < 120;
            memset(photo.pixels + 3 * i, mask[i] ? 255 : photo.pixels[3 * i], mask[i] ? 3 : 0);
        }
        out = filled(&photo, mask, &options, FILL_MATCH);
        for (int i = 0; i < w * h; i++)
            for (int c = 0; mask[i] != 0 && c < 3; c++)
                if (out[3 * i + c] < 25 || out[3 * i + c] > 250) /* a colour of the stripes, not of the object */
                    fail_msg("hole %d, pixel %d: %d", hole, i, out[3 * i + c]);
        free(out);
        free(mask);
        image_fini(&photo);
    }
}

static bool after(void *context) { return --*(int *)context < 0; }

static void a_deadline_stops_it(void **state)
{
    struct image photo;
    uint8_t *mask = disk(120, 90, .2);
    struct fill *fill;

    (void)state;
    stripes(&photo, 120, 90, 30);
    for (int left = 0; left < 3; left++) {
        int count = left;
        struct fill_options options = options_of(0, NULL);
        options.expired = after;
        options.deadline_context = &count;
        assert_int_equal(fill_create(&fill, &photo, mask, &options, NULL), INFOMASK_DEADLINE);
    }
    free(mask);
    image_fini(&photo);
}

/* A place costs more from its third copy on, a quarter of the distance each; others, and a level that nobody counts on,
 * cost nothing. */
static void what_is_copied_over_and_over_costs_more(void **state)
{
    enum { W = 96, H = 96 };
    struct match_level level;
    uint8_t *rgb = calloc(W * H, 3), *hole = disk(W, H, .3);
    uint32_t favourite = UINT32_MAX, once, often;

    (void)state;
    assert_int_equal(match_level_init(&level, rgb, hole, H, W, NULL), INFOMASK_OK);
    for (uint32_t i = 0; favourite == UINT32_MAX; i++)
        favourite = level.kind[i] == MATCH_SOURCE ? i : favourite;
    assert_int_equal(match_price(&level, favourite, 1000), 1000);
    assert_int_equal(match_use_init(&level, NULL), INFOMASK_OK);
    for (size_t i = 0, source = 0; i < level.targets; i++, source++) { /* each source at most once */
        while (level.kind[source % (W * H)] != MATCH_SOURCE)
            source++;
        level.field[level.list[i]] = (uint32_t)(source % (W * H));
    }
    match_use_count(&level);
    for (size_t i = 0; i < W * H; i++)
        assert_int_equal(match_price(&level, i, 1000), 1000);
    for (size_t i = 0; i < level.targets; i++)
        level.field[level.list[i]] = favourite;
    match_use_count(&level);
    often = match_price(&level, favourite, 1000);
    once = match_price(&level, W * H - 1 - W * MATCH_RADIUS - MATCH_RADIUS, 1000);
    assert_in_range(often, 3000, 1000 + 250 * (uint32_t)level.targets);
    assert_int_equal(once, 1000);
    assert_int_equal(match_price(&level, favourite, 0), 0);
    assert_int_equal(match_price(&level, favourite, UINT32_MAX), UINT32_MAX - 1);
    match_level_fini(&level);
    free(hole);
    free(rgb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_regular_goes_on),  cmocka_unit_test(threads_and_instructions_do_not_show),
        cmocka_unit_test(falls_back_with_a_reason), cmocka_unit_test(odd_holes_are_filled),
        cmocka_unit_test(a_deadline_stops_it),      cmocka_unit_test(what_is_copied_over_and_over_costs_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
