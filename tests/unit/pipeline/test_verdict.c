/* Verdicts: every way in which one says no, and the places that they are judged by. */
#include "test.h"

#include <math.h>

#include "core/pipeline/filter/filter.h"

/* ---- The rule, on numbers ------------------------------------------------------------------------------------------ */

struct court {
    struct infomask_model model;
    struct infomask_session session;
    struct infomask_filter_options options;
    struct infomask_filtered out;
    struct infomask_classification before;
    struct infomask_score score;
    int target;
    struct filter f;
};

static void open_court(struct court *c)
{
    *c = (struct court){.score = {.pmi = 6}, .options = infomask_default_filter_options()};
    c->model.info.class_map = c->model.info.windows = true;
    c->session.model = &c->model;
    c->f = (struct filter){.session = &c->session, .options = &c->options, .out = &c->out, .before = &c->before,
                           .targets = &c->target, .count = 1, .score = &c->score};
}

static const struct infomask_round gone = {.pmi_after = 1, .map_pmi_after = 1, .rank_after = 90, .region_pmi_after = 1,
                                           .context_pmi_after = 1.2, .largest_window_pmi_after = 1.4, .evidence = 2,
                                           .apart = .9,
                                           .random_area_pmi_after = NAN};

static struct infomask_round judged(const struct court *c, struct infomask_round round, double control)
{
    verdict_judge(&c->f, 0, &round);
    if (round.verdict != INFOMASK_REMOVED)
        verdict_with_control(&c->f, 0, control, &round);
    return round;
}

static void check(const struct court *c, struct infomask_round round, double control, enum infomask_verdict verdict,
                  enum infomask_reason reason)
{
    round = judged(c, round, control);
    assert_int_equal(round.verdict, verdict);
    assert_int_equal(round.reason, reason);
}

static void a_verdict_says_no_in_every_way(void **state)
{
    struct court c;
    struct infomask_round r;

    (void)state;
    open_court(&c);
    check(&c, gone, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r = gone, r.region_pmi_after = 1.71; /* half a nat over its surroundings' 1.2 */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_PLACE);
    r = gone, r.region_pmi_after = .51, r.context_pmi_after = -3; /* surroundings that deny it are as good as silent */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_PLACE);
    r.region_pmi_after = .49;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r.region_pmi_after = .51, r.context_pmi_after = NAN;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_PLACE);
    r = gone, r.pmi_after = 3.01;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_WHOLE);
    check(&c, r, 3, INFOMASK_FAILED, INFOMASK_WHOLE);
    r.context_pmi_after = 5.4;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_REST);
    r = gone, r.pmi_after = 2.21; /* over a nat more than the surroundings' 1.2: half of an object tells like that */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_WHOLE);
    r.pmi_after = 2.19;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r = gone, r.largest_window_pmi_after = 2.71; /* a quarter of the 6 nats before over the surroundings' 1.2: the other half */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_WINDOW);
    r.largest_window_pmi_after = 2.69;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r.largest_window_pmi_after = 1.51, r.context_pmi_after = -1, r.region_pmi_after = .4, r.pmi_after = .9;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_WINDOW);
    r.evidence = 2.1; /* less than three quarters of what would be masked */
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r = gone, r.largest_window_pmi_after = NAN;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r = gone, r.rank_after = 1;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_FIRST);
    r = gone, r.pmi_after = 6.5;
    check(&c, r, 9, INFOMASK_FAILED, INFOMASK_ROSE);
    r = gone, r.region_pmi_after = NAN;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_NO_PLACE);
    r = gone, r.apart = .49; /* specks all over the photo */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_SCATTERED);
    r.apart = NAN; /* all of the photo */
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r = gone, r.context_pmi_after = 3.59;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
    r.context_pmi_after = 3.61; /* over .6 of the 6 nats before */
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_REST);
    r.evidence = 4.9; /* less than three quarters of what would be masked */
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_GONE);
}

static void a_limit_is_held_by_the_whole_and_by_the_map(void **state)
{
    struct court c;
    struct infomask_round r = gone;

    (void)state;
    open_court(&c);
    c.options.until = 1;
    r.region_pmi_after = 4, r.rank_after = 1; /* no matter then */
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_UNDER_LIMIT);
    r.map_pmi_after = 1.01;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_OVER_LIMIT);
    r.map_pmi_after = 0, r.pmi_after = 1.01;
    check(&c, r, .5, INFOMASK_FAILED, INFOMASK_OVER_LIMIT);
    c.options.until = 100, r.pmi_after = 6.1; /* what rose was not removed, whatever the limit */
    check(&c, r, 9, INFOMASK_FAILED, INFOMASK_ROSE);
}

static void without_a_pooled_head_the_whole_decides(void **state)
{
    struct court c;
    struct infomask_round r = gone;

    (void)state;
    open_court(&c);
    c.model.info.class_map = c.model.info.windows = false;
    r.region_pmi_after = r.context_pmi_after = NAN;
    r.pmi_after = -.01;
    check(&c, r, 5, INFOMASK_REMOVED, INFOMASK_NO_PMI);
    r.pmi_after = .01;
    check(&c, r, 5, INFOMASK_WEAKENED, INFOMASK_WHOLE);
    check(&c, r, 0, INFOMASK_FAILED, INFOMASK_WHOLE);
}

static void there_is_no_verdict_where_nothing_was_to_be_removed(void **state)
{
    struct court c;

    (void)state;
    open_court(&c);
    c.score.pmi = 0;
    check(&c, gone, 5, INFOMASK_NO_VERDICT, INFOMASK_NOTHING);
    open_court(&c);
    c.out.mask.empty = true;
    check(&c, gone, 5, INFOMASK_NO_VERDICT, INFOMASK_NOTHING);
    open_court(&c);
    c.options.keep = true;
    check(&c, gone, 5, INFOMASK_NO_VERDICT, INFOMASK_KEPT);
}

/* Another look may be half a nat from the first: what is further from every edge than that needs none. */
static void a_verdict_is_in_doubt_near_its_edge_only(void **state)
{
    struct court c;
    struct infomask_round r = gone;

    (void)state;
    open_court(&c);
    assert_false(verdict_is_in_doubt(&c.f, 0, &r));
    r.largest_window_pmi_after = 2.2; /* of at most 2.7 */
    assert_true(verdict_is_in_doubt(&c.f, 0, &r));
    r.largest_window_pmi_after = 3.2;
    assert_true(verdict_is_in_doubt(&c.f, 0, &r));
    r.largest_window_pmi_after = 3.3;
    assert_false(verdict_is_in_doubt(&c.f, 0, &r));
    r = gone, r.region_pmi_after = 1.2; /* of at most 1.7 */
    assert_true(verdict_is_in_doubt(&c.f, 0, &r));
    c.options.until = 1; /* judged by other numbers */
    assert_false(verdict_is_in_doubt(&c.f, 0, &r));
    c.options.until = NAN, c.model.sigmoid = true;
    assert_false(verdict_is_in_doubt(&c.f, 0, &r));
    c.model.sigmoid = false, c.score.pmi = 0; /* nothing to remove */
    assert_false(verdict_is_in_doubt(&c.f, 0, &r));
}

/* Whatever the numbers: a target that rose, is still first, or keeps more than half is never removed. */
static void removed_is_never_said_of_what_is_still_there(void **state)
{
    struct court c;
    uint64_t seed = 1;
    int removed = 0;

    (void)state;
    open_court(&c);
    for (int i = 0; i < 100000; i++) {
        double v[6];
        struct infomask_round r;
        for (int k = 0; k < 6; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            v[k] = (double)(seed >> 40) / (1 << 24) * 12 - 4;
        }
        r = (struct infomask_round){.pmi_after = v[0], .map_pmi_after = v[1], .region_pmi_after = v[2],
                                    .context_pmi_after = v[3], .largest_window_pmi_after = v[4], .evidence = 2,
                                    .rank_after = 1 + (int)fabs(v[4]), .apart = (v[5] + 4) / 12};
        r = judged(&c, r, v[1]);
        removed += r.verdict == INFOMASK_REMOVED;
        if (r.verdict == INFOMASK_REMOVED)
            assert_true(r.apart >= .5 && r.context_pmi_after <= 3.6 && r.pmi_after <= 3 &&
                        r.pmi_after <= fmax(0, r.context_pmi_after) + 1 && r.rank_after > 1 &&
                        r.largest_window_pmi_after <= fmax(0, r.context_pmi_after) + 1.5 && r.region_pmi_after <= fmax(0, r.context_pmi_after) + .5);
        if (r.verdict == INFOMASK_WEAKENED)
            assert_true(r.pmi_after < 6 && r.pmi_after < r.random_area_pmi_after);
    }
    assert_true(removed > 1000);
}

/* ---- Groups -------------------------------------------------------------------------------------------------------- */

static void a_group_is_scored_by_what_it_adds_up_to(void **state)
{
    static const int members[] = {1, 3}, all[] = {0, 1, 2, 3};
    struct infomask_group groups[] = {{members, 2}, {all, 4}};
    struct infomask_model model = {.info = {.classes = 4, .groups = 2}, .groups = groups};
    double log_p[] = {log(.4), log(.2), log(.25), log(.15)}, log_t[] = {log(.1), log(.2), log(.3), log(.4)}, pmi[4];
    int order[] = {0, 2, 1, 3};
    struct infomask_classification c = {.classes = 4, .log_probability = log_p, .pmi = pmi, .log_prior = log_t, .order = order};
    struct infomask_score score;

    (void)state;
    for (int k = 0; k < 4; k++)
        pmi[k] = log_p[k] - log_t[k];
    score = infomask_score(&model, &c, 4);
    assert_true(fabs(score.log_probability - log(.35)) < 1e-12 && fabs(score.pmi - log(.35 / .6)) < 1e-12);
    assert_int_equal(score.rank, 2); /* only class 0 is likelier; class 2 is likelier than a member, not than both */
    assert_int_equal(score.size, 2);
    score = infomask_score(&model, &c, 5);
    assert_true(fabs(score.pmi) < 1e-12);
    assert_int_equal(score.rank, 1);
    assert_int_equal(infomask_score(&model, &c, 1).rank, 3);
    assert_true(infomask_score(&model, &c, 1).pmi == pmi[1]);
}

/* ---- Places --------------------------------------------------------------------------------------------------------- */

/* Cells that part pixels: against a picture enlarged until they do not. */
static void shares_of_cells_are_exact(void **state)
{
    enum { H = 13, W = 17, ROWS = 5, COLUMNS = 7 };
    uint8_t mask[H * W];
    double share[ROWS * COLUMNS], want[ROWS * COLUMNS] = {0}, mean = 0, sum = 0;
    struct infomask_error err;

    (void)state;
    for (int i = 0; i < H * W; i++)
        mask[i] = (uint8_t)(i * 37 % 5 == 0 ? 255 : i * 13 % 7 == 0 ? 100 : 0);
    assert_int_equal(mask_cover(mask, H, W, ROWS, COLUMNS, share, &err), INFOMASK_OK);
    for (int y = 0; y < H * ROWS; y++)
        for (int x = 0; x < W * COLUMNS; x++)
            want[y / H * COLUMNS + x / W] += mask[y / ROWS * W + x / COLUMNS] / 255.0 / (H * W);
    for (int u = 0; u < ROWS * COLUMNS; u++) {
        assert_true(fabs(share[u] - want[u]) < 1e-12);
        mean += share[u] / (ROWS * COLUMNS);
    }
    for (int i = 0; i < H * W; i++)
        sum += mask[i] / 255.0 / (H * W);
    assert_true(fabs(mean - sum) < 1e-12);
}

static void places_weigh_their_cells(void **state)
{
    enum { N = 6, D = 19 };
    static const double share[N] = {0, .25, .5, .75, 1, .1};
    float f[N * D], region[D], context[D];

    (void)state;
    for (int i = 0; i < N * D; i++)
        f[i] = (float)((i * 29 % 31) - 15) / 8;
    assert_true(fabs(mask_place_mean(MASK_REGION, share, f, N, D, region) - 2.6) < 1e-12);
    assert_true(fabs(mask_place_mean(MASK_CONTEXT, share, f, N, D, context) - 2.65) < 1e-12);
    for (int j = 0; j < D; j++) {
        double r = 0, c = (double)f[j] + .75 * (double)f[D + j] + .9 * (double)f[5 * D + j];
        for (int u = 0; u < N; u++)
            r += share[u] * (double)f[u * D + j];
        assert_true(fabs((double)region[j] - r / 2.6) < 1e-6 && fabs((double)context[j] - c / 2.65) < 1e-6);
    }
    assert_true(mask_place_mean(MASK_REGION, (double[]){.2, .1, .1, .09, 0, 0}, f, N, D, region) < MASK_PLACE_LEAST);
}

static bool looks_until(void *context)
{
    int *left = context;
    return (*left)-- <= 0;
}

static void a_place_is_apart_as_far_as_it_has_cells_of_its_own(void **state)
{
    (void)state;
    assert_true(mask_place_apart((double[]){0, 1, 1, 0, 0, 0}, 6) == 1);
    assert_true(fabs(mask_place_apart((double[]){.2, .2, .2, .2, .2, .2}, 6)) < 1e-15);
    /* covered .5, .5 of 1; left .5, .5, 1, 1 of 3: what both share is a sixth, twice */
    assert_true(fabs(mask_place_apart((double[]){.5, .5, 0, 0}, 4) - 2.0 / 3) < 1e-15);
    assert_true(isnan(mask_place_apart((double[]){1, 1, 1, .6}, 4)));
    assert_true(isnan(mask_place_apart((double[]){.4, 0, 0, 0}, 4)));
}

/* A mask of a large photo may be grown several times before its hole fits: the deadline is looked at each time. */
static void a_mask_is_not_grown_beyond_the_deadline(void **state)
{
    enum { W = 224, H = 224, MANY = 1000 };
    uint8_t mask[W * H] = {0}, hole[W * H];
    struct infomask_error err = {0};
    struct court c;
    struct image image;
    struct infomask_photo photo = {0};
    int left = MANY, needed;

    (void)state;
    open_court(&c);
    c.model.spec = infomask_default_spec();
    assert_int_equal(image_init(&image, W, H, 3, NULL), INFOMASK_OK);
    memset(image.pixels, 99, (size_t)W * H * 3);
    photo.limits.expired = looks_until;
    photo.limits.deadline_context = &left;
    c.f.photo = &photo;
    c.f.image = &image;
    c.f.pixels = (size_t)W * H;
    for (int y = 0; y < H; y += 12)
        for (int x = 0; x < W; x += 12)
            mask[y * W + x] = 255; /* grown a little they cover almost everything */
    c.options.dilate = NAN;
    assert_int_equal(filter_hole(&c.f, mask, hole, &err), INFOMASK_OK);
    needed = MANY - left;
    assert_true(needed >= 3);
    for (int looks = 0; looks < needed; looks++) {
        left = looks;
        assert_int_equal(filter_hole(&c.f, mask, hole, &err), INFOMASK_DEADLINE);
    }
    left = needed;
    assert_int_equal(filter_hole(&c.f, mask, hole, &err), INFOMASK_OK);
    image_fini(&image);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_says_no_in_every_way),
        cmocka_unit_test(a_limit_is_held_by_the_whole_and_by_the_map),
        cmocka_unit_test(without_a_pooled_head_the_whole_decides),
        cmocka_unit_test(there_is_no_verdict_where_nothing_was_to_be_removed),
        cmocka_unit_test(a_verdict_is_in_doubt_near_its_edge_only),
        cmocka_unit_test(removed_is_never_said_of_what_is_still_there),
        cmocka_unit_test(a_group_is_scored_by_what_it_adds_up_to),
        cmocka_unit_test(shares_of_cells_are_exact),
        cmocka_unit_test(places_weigh_their_cells),
        cmocka_unit_test(a_place_is_apart_as_far_as_it_has_cells_of_its_own),
        cmocka_unit_test(a_mask_is_not_grown_beyond_the_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
