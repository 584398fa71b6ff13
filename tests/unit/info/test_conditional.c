#include "test.h"

#include <math.h>
#include <stdio.h>

#include "core/base/random.h"
#include "core/info/conditional.h"
#include "core/info/info.h"
#include "core/info/tasks.h"

/* Data sets a case: INFOMASK_TEST_DRAWS=200 takes a minute. */
static int draws(void) { return (int)test_number("INFOMASK_TEST_DRAWS", 20); }

#define MOST 2000
#define MOST_CLASSES 10

/* n samples of a task: A sees its first columns, B what `second` makes of the rest. */
struct drawn {
    size_t n, classes;
    float a[MOST * MOST_CLASSES], b[MOST * MOST_CLASSES];
    uint32_t labels[MOST];
    uint64_t units[MOST];
};

/* Exact PMIs of a Gaussian class on a line, from one reading x with noise of deviation sigma: mean k x spacing. */
static void evidence_of(double x, double sigma, double spacing, size_t k, float *pmi)
{
    for (size_t y = 0; y < k; y++) {
        double miss = (x - spacing * (double)y) / sigma;
        pmi[y] = (float)(-0.5 * miss * miss);
    }
}

enum second { COPY, SHARPENED, DEGRADED, NOISE, RECALIBRATED, SECOND_LOOK };

static void draw(struct drawn *d, uint64_t seed, size_t n, size_t classes, enum second second)
{
    struct random_stream random = random_stream(seed, 77);

    d->n = n;
    d->classes = classes;
    for (size_t i = 0; i < n; i++) {
        uint32_t y = random_below(&random, (uint32_t)classes);
        double x = (double)y + random_normal(&random), again = (double)y + random_normal(&random);
        float *a = d->a + i * classes, *b = d->b + i * classes;
        d->labels[i] = y;
        d->units[i] = random_u32(&random) * 0x100000001u + i;
        evidence_of(x, 1, 1, classes, a);
        for (size_t k = 0; k < classes; k++)
            b[k] = second == SHARPENED ? 3 * a[k] + 1 : a[k];
        if (second == DEGRADED)
            evidence_of(x + random_normal(&random), sqrt(2), 1, classes, b);
        if (second == NOISE)
            for (size_t k = 0; k < classes; k++)
                b[k] = (float)random_normal(&random);
        if (second == SECOND_LOOK)
            evidence_of(again, 1, 1, classes, b);
        if (second == RECALIBRATED && random_below(&random, 5) == 0) /* a fifth of the labels is wrong, and B knows */
            d->labels[i] = random_below(&random, (uint32_t)classes);
        if (second == RECALIBRATED) {
            double p[MOST_CLASSES];
            for (size_t k = 0; k < classes; k++)
                p[k] = (double)a[k];
            info_log_softmax(p, classes, p);
            for (size_t k = 0; k < classes; k++)
                b[k] = (float)log(0.8 * exp(p[k]) + 0.2 / (double)classes);
        }
    }
}

static struct info_conditional judged(const struct drawn *d)
{
    const struct info_pair pair = {d->n, d->classes, d->a, d->b, d->labels, d->units, NULL};
    struct info_conditional r;

    assert_int_equal(info_conditional(&pair, 0.975, &r, NULL), INFOMASK_OK);
    assert_int_equal(r.samples, d->n);
    assert_true(fabs(r.together - r.alone - r.estimate) < 1e-12 && r.lower_limit <= r.estimate);
    return r;
}

/* I(Y; x1, ..., xm) of classes at 0, 1, ... with unit noise: the mean of m readings has noise 1 / sqrt m.  Simpson. */
static double information_of(size_t k, double m)
{
    double sum = 0, sigma = 1 / sqrt(m), from = -8 * sigma, to = (double)k - 1 + 8 * sigma;
    int steps = 20000;

    for (int i = 0; i <= steps; i++) {
        double x = from + (to - from) * i / steps, p[MOST_CLASSES], mean = 0, value = 0;
        for (size_t y = 0; y < k; y++) {
            double miss = (x - (double)y) / sigma;
            p[y] = exp(-0.5 * miss * miss) / sqrt(2 * acos(-1)) / sigma;
            mean += p[y] / (double)k;
        }
        for (size_t y = 0; y < k; y++)
            value += p[y] > 0 ? p[y] / (double)k * log(p[y] / mean) : 0;
        sum += value * (i == 0 || i == steps ? 1 : i % 2 == 1 ? 4 : 2);
    }
    return sum * (to - from) / steps / 3;
}

/* ---- Nothing is added -------------------------------------------------------------------------------------------- */

static void assert_adds_nothing(size_t n, size_t classes, enum second second)
{
    static struct drawn d;
    int held = 0;
    double bias = 0;

    for (int seed = 0; seed < draws(); seed++) {
        draw(&d, (uint64_t)seed + 1, n, classes, second);
        struct info_conditional r = judged(&d);
        held += r.lower_limit <= 0;
        bias += r.estimate / draws();
    }
    print_message("second %d, %zu samples, %zu classes: %d of %d, mean estimate %.5f\n", (int)second, n, classes, held,
                  draws(), bias);
    assert_true(held >= draws() - (int)ceil(0.025 * draws() + 2 * sqrt(0.025 * draws())));
    assert_true(bias < 0.003);
}

static void test_a_copy_adds_nothing(void **state)
{
    (void)state;
    assert_adds_nothing(300, 5, COPY);
    assert_adds_nothing(300, 5, SHARPENED);
}

static void test_noise_adds_nothing(void **state)
{
    (void)state;
    assert_adds_nothing(60, 2, NOISE);
    assert_adds_nothing(400, 5, NOISE);
}

/* B is informative, but only of what A has seen, blurred. */
static void test_a_worse_look_at_the_same_adds_nothing(void **state)
{
    (void)state;
    assert_adds_nothing(300, 5, DEGRADED);
    assert_adds_nothing(500, 2, DEGRADED);
}

/* B is what A ought to say: it does not count as information that A is badly calibrated. */
static void test_a_better_calibration_adds_nothing(void **state)
{
    (void)state;
    assert_adds_nothing(500, 5, RECALIBRATED);
    assert_adds_nothing(1500, 3, RECALIBRATED);
}

/* ---- Something is ------------------------------------------------------------------------------------------------- */

static void test_a_second_look_adds_what_it_tells(void **state)
{
    static struct drawn d;
    const size_t classes[] = {2, 5};

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        double truth = information_of(classes[c], 2) - information_of(classes[c], 1), bias = 0, alone = 0;
        int held = 0, found = 0;
        for (int seed = 0; seed < draws(); seed++) {
            draw(&d, 1000 + (uint64_t)seed, 600, classes[c], SECOND_LOOK);
            struct info_conditional r = judged(&d);
            held += r.lower_limit <= truth;
            found += r.lower_limit > 0;
            bias += (r.estimate - truth) / draws();
            alone += (r.alone - information_of(classes[c], 1)) / draws();
        }
        print_message("%zu classes: truth %.4f, %d of %d held, %d above 0, bias %.4f\n", classes[c], truth, held,
                      draws(), found, bias);
        assert_true(held >= draws() - (int)ceil(0.025 * draws() + 2 * sqrt(0.025 * draws())));
        assert_true(found >= draws() * 95 / 100 && fabs(bias) < 0.02 && fabs(alone) < 0.02);
    }
}

static void test_ten_classes_at_once(void **state)
{
    static struct drawn d;
    double truth = information_of(10, 2) - information_of(10, 1);

    (void)state;
    draw(&d, 5, MOST, 10, SECOND_LOOK);
    struct info_conditional r = judged(&d);
    assert_true(fabs(r.estimate - truth) < 4 * r.standard_error && r.lower_limit > 0.5 * truth);
}

/* ---- The edges --------------------------------------------------------------------------------------------------- */

static void test_groups_are_one_each(void **state)
{
    static struct drawn d;
    struct info_conditional alone, grouped;

    (void)state;
    draw(&d, 9, 200, 5, SECOND_LOOK);
    alone = judged(&d);
    for (size_t i = 0; i < d.n; i++) /* each sample five times over */
        for (size_t j = 1; j < 5; j++) {
            size_t to = i + j * d.n;
            memcpy(d.a + to * 5, d.a + i * 5, 5 * sizeof *d.a);
            memcpy(d.b + to * 5, d.b + i * 5, 5 * sizeof *d.b);
            d.labels[to] = d.labels[i];
            d.units[to] = d.units[i];
        }
    d.n *= 5;
    grouped = judged(&d);
    assert_int_equal(grouped.units, 200);
    assert_true(fabs(grouped.standard_error / alone.standard_error - 1) < 0.2);
    assert_true(grouped.lower_limit < alone.estimate);
}

static void test_too_little_to_say(void **state)
{
    static struct drawn d;
    struct info_conditional r;

    (void)state;
    draw(&d, 9, INFO_CONDITIONAL_LEAST - 1, 5, SECOND_LOOK);
    const struct info_pair few = {d.n, 5, d.a, d.b, d.labels, d.units, NULL};
    assert_int_equal(info_conditional(&few, 0.975, &r, NULL), INFOMASK_OK);
    assert_true(isnan(r.estimate) && isnan(r.lower_limit));
    draw(&d, 9, 100, 5, SECOND_LOOK);
    for (size_t i = 0; i < 100; i++)
        d.units[i] %= 4;
    const struct info_pair groups = {d.n, 5, d.a, d.b, d.labels, d.units, NULL};
    assert_int_equal(info_conditional(&groups, 0.975, &r, NULL), INFOMASK_OK);
    assert_true(isnan(r.lower_limit) && r.units == 4);
    memset(d.labels, 0, sizeof d.labels);
    assert_int_equal(info_conditional(&groups, 0.975, &r, NULL), INFOMASK_OK);
    assert_true(isnan(r.lower_limit));
}

static void test_threads_do_not_matter(void **state)
{
    static struct drawn d;
    struct pool *pool = NULL;
    struct info_conditional one, two;

    (void)state;
    draw(&d, 3, 700, 5, SECOND_LOOK);
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    const struct info_pair pair = {d.n, 5, d.a, d.b, d.labels, d.units, pool};
    one = judged(&d);
    assert_int_equal(info_conditional(&pair, 0.975, &two, NULL), INFOMASK_OK);
    assert_memory_equal(&one, &two, sizeof one);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_copy_adds_nothing),
        cmocka_unit_test(test_noise_adds_nothing),
        cmocka_unit_test(test_a_worse_look_at_the_same_adds_nothing),
        cmocka_unit_test(test_a_better_calibration_adds_nothing),
        cmocka_unit_test(test_a_second_look_adds_what_it_tells),
        cmocka_unit_test(test_ten_classes_at_once),
        cmocka_unit_test(test_groups_are_one_each),
        cmocka_unit_test(test_too_little_to_say),
        cmocka_unit_test(test_threads_do_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
