#include "test.h"

#include <float.h>
#include <math.h>

#include "core/base/random.h"
#include "core/info/info.h"
#include "info/pc_softmax.h"

/* The identities A1 ... E10 of docs/information.md, over random logits and priors.  They hold to rounding, so one
 * tolerance serves all: 1e-9, relative where the numbers are large. */
#define TOLERANCE 1e-9
#define ROWS 200
#define K 6

static void assert_near(double a, double b)
{
    double scale = fmax(1, fmax(fabs(a), fabs(b)));
    if (!(fabs(a - b) <= TOLERANCE * scale))
        fail_msg("%.17g and %.17g differ by %.3g", a, b, fabs(a - b));
}

static double *doubles(size_t n)
{
    double *p = calloc(n, sizeof *p);
    assert_non_null(p);
    return p;
}

/* A prior [k] as logarithms: exponential weights raised to `power`, floored at `least` before normalising (a power of 8
 * spans the range down to 1e-12). */
static void random_log_prior(struct random_stream *random, double power, double least, size_t k, double *log_t)
{
    for (size_t y = 0; y < k; y++)
        log_t[y] = log(fmax(pow(-log1p(-random_unit(random)), power), least));
    info_log_softmax(log_t, k, log_t);
}

static void random_logits(struct random_stream *random, double sd, size_t k, double *z)
{
    for (size_t y = 0; y < k; y++)
        z[y] = sd * random_normal(random);
}

static double sum_exp(const double *a, const double *b, size_t k)
{
    double sum = 0;
    for (size_t y = 0; y < k; y++)
        sum += exp(a[y] + b[y]);
    return sum;
}

/* One row of the fixture of the A and B identities. */
struct row {
    double log_t[K], z[K], log_q[K], pc[K], pmi[K];
};

static void random_row(struct random_stream *random, struct row *row)
{
    random_log_prior(random, 1, 1e-12, K, row->log_t);
    random_logits(random, 2, K, row->z);
    info_log_softmax(row->z, K, row->log_q);
    pc_log_softmax(row->z, row->log_t, K, row->pc);
    info_pmi(row->log_q, row->log_t, K, row->pmi);
}

static void pc_softmax_identities_a1_a2_a4(void **state)
{
    struct random_stream random = random_stream(1, 1);
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        double shifted[K], again[K];
        random_row(&random, &row);
        for (int y = 0; y < K; y++)
            shifted[y] = row.z[y] + row.log_t[y];
        info_log_softmax(shifted, K, shifted);
        pc_log_softmax(row.pc, row.log_t, K, again);
        for (int y = 0; y < K; y++) {
            assert_near(row.pc[y] + row.log_t[y], shifted[y]); /* A1 */
            assert_near(again[y], row.pc[y]);                  /* A2 */
        }
        assert_near(sum_exp(row.pc, row.log_t, K), 1); /* A4 */
    }
}

static void pmi_identities_a3_a5_a6(void **state)
{
    struct random_stream random = random_stream(1, 2);
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        double log_s[K], post[K], moved[K], norm;
        float z[K];
        random_row(&random, &row);
        assert_near(sum_exp(row.pmi, row.log_t, K), 1); /* A3 */
        random_log_prior(&random, 1, 1e-12, K, log_s);
        info_shift_prior(row.log_q, row.log_t, log_s, K, post);
        norm = log_mean_exp(row.pmi, log_s, K);
        for (int y = 0; y < K; y++) {
            assert_near(post[y] - log_s[y], row.pmi[y] - norm); /* A5 */
            moved[y] = row.z[y] + 37.5;
            z[y] = (float)row.z[y];
        }
        info_log_softmax(moved, K, moved);
        for (int y = 0; y < K; y++)
            assert_near(moved[y], row.log_q[y]); /* A6 */
        /* the posterior of a network is the same shift, from its logits */
        info_log_posterior(z, row.log_t, log_s, K, moved);
        for (int y = 0; y < K; y++)
            assert_true(fabs(moved[y] - post[y]) < 1e-5);
    }
}

static void information_identities_b1_b2_b3(void **state)
{
    struct random_stream random = random_stream(1, 3);
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        double kl, h, both[2], cross = 0, mean_pmi = 0, least = 0;
        random_row(&random, &row);
        kl = info_kl(row.log_q, row.log_t, K);
        h = info_entropy(row.log_q, K);
        for (int y = 0; y < K; y++) {
            cross += (exp(row.log_t[y]) - exp(row.log_q[y])) * row.log_t[y];
            mean_pmi += exp(row.log_q[y]) * row.pmi[y];
            least = fmin(least, row.log_t[y]);
        }
        assert_near(kl, info_entropy(row.log_t, K) - h + cross); /* B1 */
        assert_true(kl >= 0 && kl <= -least + 1e-12);            /* B2 */
        assert_near(kl, mean_pmi);                               /* B3 */
        assert_near(info_kl(row.log_q, NULL, K), log(K) - h);
        info_kl_entropy(row.log_q, row.log_t, K, &both[0], &both[1]);
        assert_memory_equal(both, ((double[]){kl, h}), sizeof both);
    }
}

static void the_guard_bounds_the_pmi_c6(void **state)
{
    struct random_stream random = random_stream(1, 4);
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        random_row(&random, &row);
        for (int y = 0; y < K; y++) {
            double guarded = info_guarded_pmi(row.pmi[y], 0.01);
            assert_near(exp(guarded), 0.99 * exp(row.pmi[y]) + 0.01);
            assert_true(guarded >= log(0.01) && guarded <= -row.log_t[y] + 1e-12);
        }
    }
    assert_near(info_guarded_pmi(-1e6, 1e-3), log(1e-3));
    assert_near(info_guarded_pmi(1e6, 1e-3), 1e6 + log1p(-1e-3));
}

static void uniform_and_null_are_the_same(void **state)
{
    struct random_stream random = random_stream(1, 5);
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        double uniform[K], a[K], b[K];
        random_row(&random, &row);
        for (int y = 0; y < K; y++)
            uniform[y] = -log(K);
        info_pmi(row.log_q, NULL, K, a);
        info_pmi(row.log_q, uniform, K, b);
        assert_memory_equal(a, b, sizeof a);
        info_shift_prior(row.log_q, row.log_t, NULL, K, a);
        info_shift_prior(row.log_q, row.log_t, uniform, K, b);
        for (int y = 0; y < K; y++)
            assert_near(a[y], b[y]);
        pc_log_softmax(row.z, NULL, K, a);
        pc_log_softmax(row.z, uniform, K, b);
        for (int y = 0; y < K; y++)
            assert_near(a[y], b[y]);
    }
}

static void label_smoothing_is_inverted(void **state)
{
    struct random_stream random = random_stream(1, 6);
    int exact = 0;
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        struct row row;
        double smoothed[K], back[K], eps = 0.2 * random_unit(&random), least = 1, error;
        random_row(&random, &row);
        for (int y = 0; y < K; y++)
            least = fmin(least, exp(row.log_q[y]));
        /* a class of less than the resolution counts as half of that, which takes as much from the others */
        error = least > 1.3 * INFO_UNSMOOTH_RESOLUTION * eps / K ? 1e-14 : 1.3 * INFO_UNSMOOTH_RESOLUTION * eps;
        exact += error < 1e-13;
        for (int y = 0; y < K; y++)
            smoothed[y] = log((1 - eps) * exp(row.log_q[y]) + eps / K);
        info_unsmooth(smoothed, eps, K, back);
        for (int y = 0; y < K; y++)
            assert_true(fabs(exp(back[y]) - exp(row.log_q[y])) < error);
        info_unsmooth(row.log_q, 0, K, back);
        assert_memory_equal(back, row.log_q, sizeof back);
    }
    assert_true(exact > ROWS / 2);
}

/* Below eps / K no p gives such a q: the answer is what the network can tell, not that the class is impossible. */
static void below_the_floor_of_smoothing_there_is_a_limit(void **state)
{
    const double eps = 0.1, least = log(INFO_UNSMOOTH_RESOLUTION * eps / (2 * K)) - 0.01;
    (void)state;
    for (double low = 0; low > -1000; low = low * 2 - 1) {
        double log_q[K] = {0, low - 9, low - 8, low - 7, low - 6, low - 5}, log_p[K], sum = 0;
        info_log_softmax(log_q, K, log_q);
        info_unsmooth(log_q, eps, K, log_p);
        for (int y = 0; y < K; y++) {
            assert_true(log_p[y] > least && log_p[y] <= 0);
            assert_true(y < 2 || log_p[y] >= log_p[y - 1]);     /* the order stays, as far as there are digits for it */
            assert_true(y < 2 || low < -20 || log_p[y] > log_p[y - 1]);
            sum += exp(log_p[y]);
        }
        assert_near(sum, 1);
    }
}

static void what_smoothing_is_undone_of_rises_without_a_step(void **state)
{
    const double eps = 0.3, end = 2 * eps / K, step = end / 20000;
    double last = info_unsmoothed(0, eps, K);
    (void)state;
    assert_true(last > 0);
    for (double q = step; q < end; q += step) {
        double p = info_unsmoothed(q, eps, K);
        assert_true(p > last && p < last + 1.001 * step / (1 - eps));
        last = p;
    }
    assert_near(info_unsmoothed(end, eps, K), (end - eps / K) / (1 - eps));
}

/* Checks E1 ... E10 on one datum of s passes. */
static void check_noise(const double *z, const double *log_t, size_t s, size_t k)
{
    double *log_q = doubles(s * k), *l1 = doubles(k), *ls = doubles(k), *mean_z = doubles(k);
    double h_s = 0, kl_s = 0, kl_to_bar = 0, lse = 0, gap, kl_from_zbar = 0, kl_from_bar = 0, weighted = 0;
    struct info_noise noise;

    for (size_t i = 0; i < s; i++) {
        info_log_softmax(z + i * k, k, log_q + i * k);
        h_s += info_entropy(log_q + i * k, k) / (double)s;
        kl_s += info_kl(log_q + i * k, log_t, k) / (double)s;
        lse += info_log_sum_exp(z + i * k, k) / (double)s;
        for (size_t y = 0; y < k; y++)
            mean_z[y] += z[i * k + y] / (double)s;
    }
    info_noise(log_q, log_t, s, k, l1, ls, &noise);
    gap = lse - info_log_sum_exp(mean_z, k);
    info_log_softmax(mean_z, k, mean_z);
    for (size_t i = 0; i < s; i++)
        kl_to_bar += info_kl(log_q + i * k, ls, k) / (double)s;
    assert_near(noise.model_information, info_entropy(ls, k) - h_s); /* BALD as a difference of entropies */
    assert_near(noise.model_information, kl_to_bar);                 /* E3 */
    assert_true(noise.model_information >= 0);
    assert_true(noise.model_information <= log((double)(s < k ? s : k)) + 1e-12); /* E4 */
    assert_near(noise.information[0], info_kl(ls, log_t, k));
    assert_near(noise.information[1], kl_s); /* E5 */
    assert_true(noise.information[1] - noise.information[0] == noise.model_information);
    for (size_t y = 0; y < k; y++) {
        double low = 0, high = -DBL_MAX, others = 0;
        for (size_t i = 0; i < s; i++) {
            low = fmin(low, log_q[i * k + y]);
            high = fmax(high, log_q[i * k + y]);
        }
        assert_true(l1[y] <= ls[y]);                                                       /* E1 */
        assert_true(ls[y] <= l1[y] + (high - low) * (high - low) / 8 + 1e-12);             /* E10 */
        assert_true(l1[y] <= mean_z[y] + 1e-9);                                            /* E6 */
        assert_near(mean_z[y] - l1[y], gap);                                               /* E7 */
        kl_from_zbar += exp(mean_z[y]) * (mean_z[y] - l1[y]);
        weighted += exp(ls[y]) * (ls[y] - l1[y]);
        for (size_t i = 0; i < s; i++)
            kl_from_bar += exp(ls[y]) * (ls[y] - log_q[i * k + y]) / (double)s;
        /* E2 in the form of the leave-one-out mean; from the logarithms, so that small q do not cancel */
        for (size_t i = 0; s > 1 && i < s; i++) {
            double rest = 0;
            for (size_t j = 0; j < s; j++)
                rest += j != i ? exp(log_q[j * k + y] - high) : 0;
            others += (high + log(fmax(rest, 1e-300) / (double)(s - 1))) / (double)s;
        }
        assert_true(s == 1 || others <= ls[y] + 1e-12);
    }
    assert_near(gap, kl_from_zbar);      /* E8 */
    assert_near(weighted, kl_from_bar);  /* E9 */
    free(log_q);
    free(l1);
    free(ls);
    free(mean_z);
}

static void noise_identities_e1_to_e10(void **state)
{
    struct random_stream random = random_stream(1, 7);
    double z[8 * K], base[K], log_t[K];
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        size_t s = 1 + random_below(&random, 8);
        random_log_prior(&random, 1, 1e-12, K, log_t);
        random_logits(&random, 2, K, base);
        for (size_t j = 0; j < s * K; j++)
            z[j] = base[j % K] + 1.2 * random_normal(&random);
        check_noise(z, log_t, s, K);
        check_noise(z, NULL, s, K);
    }
}

static void equal_passes_have_no_spread(void **state)
{
    struct random_stream random = random_stream(1, 8);
    double log_q[5 * K], l1[K], ls[K];
    struct info_noise noise;
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        random_logits(&random, 3, K, log_q);
        info_log_softmax(log_q, K, log_q);
        for (int j = K; j < 5 * K; j++)
            log_q[j] = log_q[j - K];
        info_noise(log_q, NULL, 5, K, l1, ls, &noise);
        assert_true(noise.model_information < 1e-14);
        for (int y = 0; y < K; y++) {
            assert_true(l1[y] <= ls[y]);
            assert_near(l1[y], ls[y]);
        }
        info_noise(log_q, NULL, 5, K, NULL, NULL, &noise);
        assert_near(noise.information[0], info_kl(log_q, NULL, K));
    }
}

/* Every function on logits up to +-700, priors down to 1e-12: finite, normalised, inside its range. */
static void check_extremes(struct random_stream *random, size_t k, double sd)
{
    double *log_t = doubles(k), *log_r = doubles(k), *z = doubles(k), *log_p = doubles(k), *pmi = doubles(k);
    float *logits = calloc(k, sizeof *logits);
    double least = 0, kl, h;

    assert_non_null(logits);
    random_log_prior(random, 8, 1e-12, k, log_t);
    random_log_prior(random, 8, 1e-12, k, log_r);
    for (size_t y = 0; y < k; y++) {
        logits[y] = (float)fmax(-sd, fmin(sd, sd / 2 * random_normal(random)));
        least = fmin(least, log_t[y]);
    }
    info_log_posterior(logits, log_r, log_t, k, log_p);
    assert_near(info_log_sum_exp(log_p, k), 0);
    info_pmi(log_p, log_t, k, pmi);
    assert_near(log_mean_exp(pmi, log_t, k), 0); /* A3 */
    kl = info_kl(log_p, log_t, k);
    h = info_entropy(log_p, k);
    assert_true(isfinite(kl) && kl >= 0 && kl <= -least + 1e-9);
    assert_true(isfinite(h) && h >= 0 && h <= log((double)k) + 1e-9);
    info_shift_prior(log_p, log_t, log_r, k, z);
    info_shift_prior(z, log_r, log_t, k, z);
    for (size_t y = 0; y < k; y++) {
        assert_true(isfinite(log_p[y]) && log_p[y] <= 0 && isfinite(pmi[y]) && pmi[y] <= -log_t[y] + 1e-9);
        assert_near(z[y], log_p[y]); /* there and back */
    }
    info_unsmooth(log_p, 0.1, k, z);
    for (size_t y = 0; y < k; y++)
        assert_true(isfinite(z[y]));
    free(log_t);
    free(log_r);
    free(z);
    free(log_p);
    free(pmi);
    free(logits);
}

static void extremes_stay_finite(void **state)
{
    const size_t sizes[] = {1, 2, 3, 10, 257, 1000, 20000};
    const double spans[] = {0, 1e-3, 1, 30, 700, 1e6, 3e38};
    struct random_stream random = random_stream(1, 9);
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (size_t j = 0; j < sizeof spans / sizeof *spans; j++)
            check_extremes(&random, sizes[i], spans[j]);
}

static void noisy_extremes_stay_finite(void **state)
{
    struct random_stream random = random_stream(1, 10);
    const size_t k = 1000, s = 3;
    double *log_q = doubles(s * k), *log_t = doubles(k), *l1 = doubles(k), *ls = doubles(k);
    struct info_noise noise;
    (void)state;
    random_log_prior(&random, 8, 1e-12, k, log_t);
    for (size_t i = 0; i < s; i++) {
        random_logits(&random, 350, k, log_q + i * k);
        info_log_softmax(log_q + i * k, k, log_q + i * k);
    }
    info_noise(log_q, log_t, s, k, l1, ls, &noise);
    assert_true(isfinite(noise.information[0]) && isfinite(noise.information[1]));
    assert_true(noise.model_information >= 0 && noise.model_information <= log(3) + 1e-12);
    for (size_t y = 0; y < k; y++)
        assert_true(isfinite(l1[y]) && isfinite(ls[y]) && l1[y] <= ls[y] && ls[y] <= 1e-12);
    free(log_q);
    free(log_t);
    free(l1);
    free(ls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pc_softmax_identities_a1_a2_a4),
        cmocka_unit_test(pmi_identities_a3_a5_a6),
        cmocka_unit_test(information_identities_b1_b2_b3),
        cmocka_unit_test(the_guard_bounds_the_pmi_c6),
        cmocka_unit_test(uniform_and_null_are_the_same),
        cmocka_unit_test(label_smoothing_is_inverted),
        cmocka_unit_test(below_the_floor_of_smoothing_there_is_a_limit),
        cmocka_unit_test(what_smoothing_is_undone_of_rises_without_a_step),
        cmocka_unit_test(noise_identities_e1_to_e10),
        cmocka_unit_test(equal_passes_have_no_spread),
        cmocka_unit_test(extremes_stay_finite),
        cmocka_unit_test(noisy_extremes_stay_finite),
    };
    return cmocka_run_group_tests_name("info", tests, NULL, NULL);
}
