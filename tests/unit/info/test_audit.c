#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/info/audit.h"

enum { N = 1000, K = 20 };

struct drawn {
    float *z;
    uint32_t *labels;
    uint64_t *fold;
    double *pmi, *expected, log_prior[K];
    uint8_t *wrong;
    size_t n_wrong;
};

static void *block(size_t n, size_t size)
{
    void *p = calloc(n, size);
    assert_non_null(p);
    return p;
}

/* Labels from softmax(z) of logits with one class in front, by more or less, those of the last `odd` samples from
 * softmax(z / 3); `wrong` of them then drawn anew; and the model says sharpness z. */
static void draw_odd(struct drawn *d, uint64_t seed, size_t wrong, double sharpness, size_t odd)
{
    struct random_stream random = random_stream(seed, 5);

    *d = (struct drawn){block(N * K, sizeof(float)), block(N, sizeof(uint32_t)), block(N, sizeof(uint64_t)),
                        block(N, sizeof(double)), block(N, sizeof(double)), {0}, block(N, 1), wrong};
    for (size_t y = 0; y < K; y++)
        d->log_prior[y] = -log(K);
    for (size_t i = 0; i < N; i++) {
        double p[K], sum = 0, u, front = 2 + 10 * random_unit(&random);
        uint32_t label = 0, best = random_below(&random, K);
        for (size_t y = 0; y < K; y++) {
            double z = 1.5 * random_normal(&random) + (y == best ? front : 0);
            sum += p[y] = exp(i < N - odd ? z : z / 3);
            d->z[i * K + y] = (float)(sharpness * z);
        }
        for (u = random_unit(&random) * sum; label + 1 < K && u >= p[label]; label++)
            u -= p[label];
        d->labels[i] = label;
        d->fold[i] = random_u32(&random);
        if (i < wrong) {
            d->labels[i] = (label + 1 + random_below(&random, K - 1)) % K;
            d->wrong[i] = 1;
        }
    }
}

static void draw(struct drawn *d, uint64_t seed, size_t wrong, double sharpness)
{
    draw_odd(d, seed, wrong, sharpness, 0);
}

static void drawn_free(struct drawn *d)
{
    free(d->z);
    free(d->labels);
    free(d->fold);
    free(d->pmi);
    free(d->expected);
    free(d->wrong);
}

static double pmi_of(const struct drawn *d, size_t i)
{
    double sum = 0;
    for (size_t y = 0; y < K; y++)
        sum += exp((double)d->z[i * K + y] - (double)d->z[i * K + d->labels[i]]);
    return -log(sum) + log(K);
}

/* Right labels up to a PMI, and wrong ones. */
static void count_up_to(const struct drawn *d, double most, double *right, double *wrong)
{
    for (size_t i = 0; i < N; i++)
        if (pmi_of(d, i) <= most + 1e-6)
            *(d->wrong[i] ? wrong : right) += 1;
}

/* Whatever the sharpness of the model: the temperature is found beside the wrong labels, the right ones among the lowest are
 * as many as expected, and the cut is near. */
static void expected_counts_are_kept(void **state)
{
    static const size_t wrong[] = {5, 30, 100};
    static const double sharpness[] = {0.5, 1, 2.5};
    (void)state;
    for (int a = 0; a < 3; a++) {
        double expected = 0, right = 0, found = 0, past_right = 0, past_wrong = 0;
        for (int run = 0; run < 12; run++) {
            struct drawn d;
            struct info_audit audit;
            size_t last = wrong[a] * 3 / 2;
            draw(&d, (uint64_t)run, wrong[a], sharpness[run % 3]);
            const struct info_audit_set set = {d.z, d.labels, d.fold, N, K, d.log_prior};
            assert_int_equal(info_audit(&set, d.pmi, d.expected, &audit, NULL),
                             INFOMASK_OK);
            for (size_t i = 1; i < N; i++)
                assert_true(d.pmi[i] >= d.pmi[i - 1] && d.expected[i] >= d.expected[i - 1] - 1e-12);
            assert_true(fabs(d.expected[N - 1] - N) < 0.05 * N);
            assert_true(audit.temperature > 0.6 * sharpness[run % 3] && audit.temperature < 1.6 * sharpness[run % 3]);
            expected += d.expected[last - 1];
            count_up_to(&d, d.pmi[last - 1], &right, &found);
            count_up_to(&d, audit.threshold, &past_right, &past_wrong);
            drawn_free(&d);
        }
        if (!(expected < 1.5 * right && right < 1.5 * expected))
            fail_msg("%zu wrong: %.1f right ones expected, %.0f found", wrong[a], expected, right);
        if (wrong[a] > 5 && !(past_wrong > 0.5 * 12 * (double)wrong[a] && past_right < 0.5 * past_wrong))
            fail_msg("%zu wrong: past the cut %.0f wrong, %.0f right in 12 sets", wrong[a], past_wrong, past_right);
    }
}

/* Of some samples the model is far too sure, as of photos unlike those that it was trained on: the right labels among the
 * lowest that come of these are expected, too. */
static void odd_samples_are_expected(void **state)
{
    double expected = 0, right = 0, found = 0;
    (void)state;
    for (uint64_t run = 0; run < 24; run++) {
        struct drawn d;
        struct info_audit audit;
        draw_odd(&d, 200 + run, 5, 1, 40);
        const struct info_audit_set set = {d.z, d.labels, d.fold, N, K, d.log_prior};
        assert_int_equal(info_audit(&set, d.pmi, d.expected, &audit, NULL), INFOMASK_OK);
        expected += d.expected[7];
        count_up_to(&d, d.pmi[7], &right, &found);
        drawn_free(&d);
    }
    if (!(expected < 1.4 * right && right < 1.4 * expected))
        fail_msg("%.1f right ones expected, %.0f found", expected, right);
}

static void without_wrong_labels_there_is_hardly_a_cut(void **state)
{
    size_t past = 0;
    (void)state;
    for (uint64_t run = 0; run < 10; run++) {
        struct drawn d;
        struct info_audit audit;
        draw(&d, 100 + run, 0, 1);
        const struct info_audit_set set = {d.z, d.labels, d.fold, N, K, d.log_prior};
        assert_int_equal(info_audit(&set, d.pmi, d.expected, &audit, NULL), INFOMASK_OK);
        past += audit.past;
        drawn_free(&d);
    }
    assert_true(past < 100);
}

/* Logits of two classes, labels from softmax(z), some then the other class: wrong labels and a model that is too sure
 * look much alike.  The model says (1 - floor) softmax(sharpness z) + floor / 2.  F1 of the cut, on average over sets. */
static double f1_of_two_classes(size_t sets, size_t n, size_t wrong, double sharpness, double floor)
{
    double sum = 0;

    for (uint64_t run = 300; run < 300 + sets; run++) {
        struct random_stream random = random_stream(run, 9);
        struct drawn d = {block(2 * n, sizeof(float)), block(n, sizeof(uint32_t)), block(n, sizeof(uint64_t)),
                          block(n, sizeof(double)), block(n, sizeof(double)), {log(0.5), log(0.5)}, block(n, 1), wrong};
        const struct info_audit_set set = {d.z, d.labels, d.fold, n, 2, d.log_prior};
        struct info_audit audit;
        double found = 0;
        for (size_t i = 0; i < n; i++) {
            double z = 10 * random_normal(&random), p = (1 - floor) / (1 + exp(-sharpness * z)) + floor / 2;
            d.z[2 * i + 1] = (float)(floor > 0 ? log(p / (1 - p)) : sharpness * z);
            d.wrong[i] = i < d.n_wrong;
            d.labels[i] = (random_unit(&random) < 1 / (1 + exp(-z))) != (d.wrong[i] != 0);
            d.fold[i] = random_u32(&random);
        }
        assert_int_equal(info_audit(&set, d.pmi, d.expected, &audit, NULL), INFOMASK_OK);
        for (size_t i = 0; i < d.n_wrong; i++) {
            double miss = (double)d.z[2 * i + 1] * (d.labels[i] != 0 ? -1 : 1);
            found += log(2) - log1p(exp(miss)) <= audit.threshold + 1e-6 ? 1 : 0;
        }
        sum += 2 * found / (double)(audit.past + d.n_wrong) / (double)sets;
        drawn_free(&d);
    }
    return sum;
}

static void two_classes_are_cut(void **state)
{
    static const double sharpness[] = {0.5, 1, 2};
    static const struct {
        size_t n, wrong;
        double least;
    } sets[] = {{200, 4, 0.715}, {200, 20, 0.845}, {600, 12, 0.765}, {600, 60, 0.85}};
    (void)state;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 4; b++) {
            double f1 = f1_of_two_classes(60, sets[b].n, sets[b].wrong, sharpness[a], 0);
            if (f1 < sets[b].least)
                fail_msg("%zu of %zu wrong, logits times %g: F1 %.3f", sets[b].wrong, sets[b].n, sharpness[a], f1);
        }
}

/* A posterior that never falls below a floor, as a smoothed one: on its plateaus a wrong label looks like one that the model
 * expects there. */
static void plateaus_are_cut(void **state)
{
    static const struct {
        size_t n, wrong;
        double least;
    } sets[] = {{300, 3, 0.65}, {300, 9, 0.75}, {300, 30, 0.83}};
    (void)state;
    for (int b = 0; b < 3; b++) {
        double f1 = f1_of_two_classes(40, sets[b].n, sets[b].wrong, 1, 0.06);
        if (f1 < sets[b].least)
            fail_msg("%zu of %zu wrong: F1 %.3f", sets[b].wrong, sets[b].n, f1);
    }
}

static void few_samples(void **state)
{
    const float z[] = {0, 1, 30, 0};
    const uint32_t labels[] = {1, 1};
    const uint64_t fold[] = {3, 4};
    const double log_prior[] = {log(0.5), log(0.5)};
    double pmi[2], expected[2];
    struct info_audit audit;
    (void)state;
    struct info_audit_set set = {z, labels, fold, 0, 2, log_prior};
    assert_int_equal(info_audit(&set, pmi, expected, &audit, NULL), INFOMASK_ARGUMENT);
    set.n = 1;
    assert_int_equal(info_audit(&set, pmi, expected, &audit, NULL), INFOMASK_OK);
    assert_true(isfinite(audit.threshold) && isfinite(expected[0]));
    set.n = 2;
    assert_int_equal(info_audit(&set, pmi, expected, &audit, NULL), INFOMASK_OK);
    assert_true(pmi[0] < -20 && isfinite(expected[0]) && isfinite(audit.threshold) && isfinite(audit.expected));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(expected_counts_are_kept),
        cmocka_unit_test(odd_samples_are_expected),
        cmocka_unit_test(without_wrong_labels_there_is_hardly_a_cut),
        cmocka_unit_test(two_classes_are_cut),
        cmocka_unit_test(plateaus_are_cut),
        cmocka_unit_test(few_samples),
    };
    return cmocka_run_group_tests_name("audit", tests, NULL, NULL);
}
