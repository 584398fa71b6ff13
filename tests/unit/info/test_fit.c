#include "test.h"

#include <float.h>
#include <math.h>

#include "core/base/random.h"
#include "core/info/estimate.h"
#include "core/info/fit.h"
#include "core/info/info.h"
#include "core/info/minimize.h"
#include "core/info/tasks.h"
#include "info/pc_softmax.h"

#define K 5

/* Samples of ref-imb-d1 with their exact posterior and a wrong model: its logits are 1.7 log p + noise. */
struct data {
    size_t n;
    struct info_task task;
    uint32_t *labels;
    double *log_p; /* [n][K] */
    float *z;      /* [n][K] of the wrong model */
    double log_t[K];
};

static void data_init(struct data *data, size_t n)
{
    struct random_stream random = random_stream(6, 10);
    data->n = n;
    data->task = info_task_at(info_task_find("ref-imb-d1"));
    data->labels = calloc(n, sizeof *data->labels);
    data->log_p = calloc(n * K, sizeof *data->log_p);
    data->z = calloc(n * K, sizeof *data->z);
    assert_true(data->labels != NULL && data->log_p != NULL && data->z != NULL);
    for (size_t i = 0; i < n; i++) {
        float x;
        data->labels[i] = info_task_sample(&data->task, 5, i, &x);
        info_task_posterior(&data->task, &x, data->log_p + i * K);
        for (size_t y = 0; y < K; y++)
            data->z[i * K + y] = (float)(1.7 * data->log_p[i * K + y] + 0.3 * random_normal(&random));
    }
    for (size_t y = 0; y < K; y++)
        data->log_t[y] = log(data->task.prior[y]);
}

static void data_fini(struct data *data)
{
    free(data->labels);
    free(data->log_p);
    free(data->z);
}

static void assert_within(double a, double b, double tolerance, const char *what)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%s: %.17g and %.17g differ by %.3g", what, a, b, fabs(a - b));
}

static void row_of(const struct data *data, size_t i, double b, const double *c, double *log_q)
{
    for (size_t y = 0; y < K; y++)
        log_q[y] = b * (double)data->z[i * K + y] + (c != NULL ? c[y] : 0);
    info_log_softmax(log_q, K, log_q);
}

static void bounds_c1_c2(void **state)
{
    struct data data;
    double bound = 0, gap = 0, truth = 0, naive = 0, h = 0;
    (void)state;
    data_init(&data, 20000);
    for (size_t i = 0; i < data.n; i++) {
        const double *log_p = data.log_p + i * K;
        double log_q[K];
        row_of(&data, i, 1, NULL, log_q);
        for (size_t y = 0; y < K; y++) {
            bound += exp(log_p[y]) * (log_q[y] - data.log_t[y]) / (double)data.n;
            gap += exp(log_p[y]) * (log_p[y] - log_q[y]) / (double)data.n;
        }
        truth += info_kl(log_p, data.log_t, K) / (double)data.n;
        naive += (log(K) + data.log_t[data.labels[i]]) / (double)data.n;
    }
    assert_within(bound, truth - gap, 1e-9, "C1");
    assert_true(gap > 0);
    h = info_entropy(data.log_t, K);
    assert_within(naive, log(K) - h, 0.02, "C2: what adding log K in place of -log prior costs");
    data_fini(&data);
}

static void estimators_c3_c4_c5(void **state)
{
    enum { BATCH = 256 };
    struct data data;
    double first = 0, mass = -DBL_MAX, ba = 0, nce = 0, pc = 0, log_f[K] = {0}, all[BATCH];
    (void)state;
    data_init(&data, BATCH);
    for (size_t i = 0; i < BATCH; i++)
        log_f[data.labels[i]] += 1.0 / BATCH;
    for (size_t y = 0; y < K; y++) {
        assert_true(log_f[y] > 0);
        log_f[y] = log(log_f[y]);
    }
    for (size_t i = 0; i < BATCH; i++) {
        double z[K], batch[BATCH], mine;
        uint32_t label = data.labels[i];
        for (size_t y = 0; y < K; y++)
            z[y] = (double)data.z[i * K + y];
        mine = z[label];
        first += mine / BATCH;
        all[i] = log_mean_exp(z, data.log_t, K);
        ba += (mine - all[i]) / BATCH;
        for (size_t j = 0; j < BATCH; j++)
            batch[j] = z[data.labels[j]];
        nce += (mine - info_log_sum_exp(batch, BATCH) + log(BATCH)) / BATCH;
        pc_log_softmax(z, log_f, K, z);
        pc += z[label] / BATCH;
    }
    mass = info_log_sum_exp(all, BATCH) - log(BATCH);
    assert_true(first - mass <= ba + 1e-12);      /* C3: Donsker and Varadhan's is never tighter */
    assert_within(nce, pc, 1e-9, "C4: InfoNCE is PC-softmax with the batch's frequencies");
    assert_true(nce <= log(BATCH));               /* C5 */
    data_fini(&data);
}

static void temperature_d1_d2_d5(void **state)
{
    struct data data;
    struct info_logits logits;
    struct info_fit fit;
    double one, at, slope, up, down, entropy = 0, unused;
    (void)state;
    data_init(&data, 20000);
    logits = (struct info_logits){data.n, K, data.z, data.labels, NULL};
    assert_int_equal(info_fit_temperature(&logits, NULL, &fit, NULL), INFOMASK_OK);
    assert_int_equal(info_cross_entropy(&logits, 1, NULL, &one, &slope, NULL, NULL), INFOMASK_OK);
    assert_int_equal(info_cross_entropy(&logits, fit.beta, NULL, &at, &unused, NULL, NULL), INFOMASK_OK);
    assert_true(fit.converged && at <= one && fit.cross_entropy == at); /* D1 */
    assert_within(unused, 0, 1e-9, "slope at the fit");
    for (size_t i = 0; i < data.n; i++) {
        double log_q[K];
        row_of(&data, i, fit.beta, NULL, log_q);
        entropy += info_entropy(log_q, K) / (double)data.n;
    }
    assert_within(at, entropy, 1e-6, "D2: mean NLL = mean entropy");
    assert_int_equal(info_cross_entropy(&logits, 1 + 1e-5, NULL, &up, &unused, NULL, NULL), INFOMASK_OK);
    assert_int_equal(info_cross_entropy(&logits, 1 - 1e-5, NULL, &down, &unused, NULL, NULL), INFOMASK_OK);
    assert_within((up - down) / 2e-5, slope, 1e-6, "D5");
    data_fini(&data);
}

static void vector_scaling_d3_d4(void **state)
{
    struct data data;
    struct info_logits logits;
    struct info_fit fit, plain;
    double c[K], mean_q[K] = {0}, f[K] = {0}, supervised = 0, plug_in = 0, sum = 0;
    (void)state;
    data_init(&data, 20000);
    logits = (struct info_logits){data.n, K, data.z, data.labels, NULL};
    assert_int_equal(info_fit_temperature(&logits, NULL, &plain, NULL), INFOMASK_OK);
    assert_int_equal(info_fit_vector(&logits, c, &fit, NULL), INFOMASK_OK);
    assert_true(fit.converged && fit.parameters == K && fit.cross_entropy <= plain.cross_entropy);
    for (size_t i = 0; i < data.n; i++)
        f[data.labels[i]] += 1 / (double)data.n;
    for (size_t i = 0; i < data.n; i++) {
        double log_q[K];
        row_of(&data, i, fit.beta, c, log_q);
        supervised += (log_q[data.labels[i]] - log(f[data.labels[i]])) / (double)data.n;
        for (size_t y = 0; y < K; y++) {
            mean_q[y] += exp(log_q[y]) / (double)data.n;
            plug_in += exp(log_q[y]) * (log_q[y] - log(f[y])) / (double)data.n;
        }
    }
    for (size_t y = 0; y < K; y++) {
        assert_within(mean_q[y], f[y], 1e-6, "D3: mean q = label frequency");
        sum += c[y];
    }
    assert_within(supervised, plug_in, 1e-6, "D4");
    assert_within(sum, 0, 1e-9, "biases are centred");
    data_fini(&data);
}

static void overconfidence_d6(void **state)
{
    struct data data;
    double supervised = 0, plug_in = 0, nll = 0, entropy = 0, prior_term = 0;
    (void)state;
    data_init(&data, 5000);
    for (size_t i = 0; i < data.n; i++) {
        double log_q[K];
        row_of(&data, i, 1, NULL, log_q);
        nll -= log_q[data.labels[i]];
        supervised += log_q[data.labels[i]] - data.log_t[data.labels[i]];
        plug_in += info_kl(log_q, data.log_t, K);
        entropy += info_entropy(log_q, K);
        prior_term += data.log_t[data.labels[i]];
        for (size_t y = 0; y < K; y++)
            prior_term -= exp(log_q[y]) * data.log_t[y];
    }
    assert_within((plug_in - supervised) / 5000, (nll - entropy + prior_term) / 5000, 1e-9, "D6");
    data_fini(&data);
}

/* the report's temperature, which knows only the grid, is that of the logits */
static void the_grid_finds_the_same_temperature(void **state)
{
    struct data data;
    struct info_logits logits;
    struct info_fit fit;
    struct info_lens lens;
    struct info_totals totals = {0};
    struct info_class_totals classes[K] = {{0}};
    struct info_report report;
    double scratch[2 * K];
    (void)state;
    data_init(&data, 3000);
    logits = (struct info_logits){data.n, K, data.z, data.labels, NULL};
    assert_int_equal(info_fit_temperature(&logits, NULL, &fit, NULL), INFOMASK_OK);
    assert_int_equal(info_lens_init(&lens, K, data.task.prior, data.task.prior, 0, NULL), INFOMASK_OK);
    for (size_t i = 0; i < data.n; i++)
        info_totals_add(&totals, classes, &lens, data.z + i * K, data.labels[i], scratch, NULL);
    info_report(&totals, classes, &lens, &report);
    assert_within(report.temperature, 1 / fit.beta, 1e-6, "temperature");
    assert_within(report.label_entropy - report.calibrated_estimate, fit.cross_entropy, 1e-8, "cross-entropy");
    info_lens_fini(&lens);
    data_fini(&data);
}

static void fits_do_not_depend_on_the_threads(void **state)
{
    struct data data;
    struct info_fit fits[4];
    double c[4][K];
    (void)state;
    data_init(&data, 1000);
    for (int threads = 0; threads < 4; threads++) {
        struct pool *pool = NULL;
        struct info_logits logits;
        if (threads > 0)
            assert_int_equal(pool_create(&pool, threads, NULL, NULL, NULL), INFOMASK_OK);
        logits = (struct info_logits){data.n, K, data.z, data.labels, pool};
        assert_int_equal(info_fit_vector(&logits, c[threads], &fits[threads], NULL), INFOMASK_OK);
        assert_memory_equal(c[threads], c[0], sizeof c[0]);
        assert_true(fits[threads].beta == fits[0].beta && fits[threads].cross_entropy == fits[0].cross_entropy);
        pool_free(pool);
    }
    data_fini(&data);
}

static void separable_data_have_no_best_temperature(void **state)
{
    const float z[] = {2, 0, 0, 0, 1, 0, 0, 0, 3};
    const uint32_t labels[] = {0, 1, 2};
    const struct info_logits logits = {3, 3, z, labels, NULL}, none = {0, 3, z, labels, NULL};
    struct info_fit fit;
    double c[3];
    (void)state;
    assert_int_equal(info_fit_temperature(&logits, NULL, &fit, NULL), INFOMASK_OK);
    assert_true(!fit.converged && fit.beta > 60);
    assert_int_equal(info_fit_vector(&logits, c, &fit, NULL), INFOMASK_OK);
    assert_true(isfinite(fit.beta) && fit.cross_entropy < 1e-6);
    assert_int_equal(info_fit_temperature(&none, NULL, &fit, NULL), INFOMASK_ARGUMENT);
}

static void classes_without_samples_leave_the_model(void **state)
{
    const float z[] = {1, 0, 5, 0, 1, 5, 1, 0, 5, 1, 0, 5};
    const uint32_t labels[] = {0, 1, 1, 0};
    const struct info_logits logits = {4, 3, z, labels, NULL};
    struct info_fit fit;
    double c[3];
    (void)state;
    assert_int_equal(info_fit_vector(&logits, c, &fit, NULL), INFOMASK_OK);
    assert_true(isinf(c[2]) && c[2] < 0 && fit.parameters == 2 && fit.cross_entropy < log(2));
}

/* ref-bal-d1 with other frequencies of the classes: their prior is found without labels */
static void a_shifted_prior_is_recovered_g1(void **state)
{
    const double target[K] = {0.4, 0.3, 0.1, 0.15, 0.05};
    struct info_task task = info_task_at(info_task_find("ref-bal-d1")), exact = task;
    const size_t n = 20000;
    float *pmi = calloc(n * K, sizeof *pmi);
    double prior[K];
    struct info_shift shift;
    (void)state;
    assert_non_null(pmi);
    memcpy(task.prior, target, sizeof target);
    for (size_t i = 0; i < n; i++) {
        float x;
        double log_p[K];
        info_task_sample(&task, 9, i, &x);
        info_task_posterior(&exact, &x, log_p);
        for (size_t y = 0; y < K; y++)
            pmi[i * K + y] = (float)(log_p[y] + log(K));
    }
    assert_int_equal(info_fit_prior(pmi, n, K, NULL, prior, &shift, NULL), INFOMASK_OK);
    for (size_t y = 0; y < K; y++)
        assert_within(prior[y], target[y], 0.02, "G1");
    assert_true(shift.converged && shift.chi2 > 1000 && shift.p_value < 1e-100);
    free(pmi);
}

/* ... and where nothing has shifted, twice the gain is chi-squared with K - 1 degrees of freedom */
static void the_shift_test_keeps_its_level(void **state)
{
    struct info_task task = info_task_at(info_task_find("ref-bal-d1"));
    enum { N = 1000, RUNS = 100 };
    float *pmi = calloc((size_t)N * K, sizeof *pmi);
    double mean = 0, prior[K];
    int rejected = 0;
    (void)state;
    assert_non_null(pmi);
    for (uint64_t run = 0; run < RUNS; run++) {
        struct info_shift shift;
        for (size_t i = 0; i < N; i++) {
            float x;
            double log_p[K];
            info_task_sample(&task, 100 + run, i, &x);
            info_task_posterior(&task, &x, log_p);
            for (size_t y = 0; y < K; y++)
                pmi[i * K + y] = (float)(log_p[y] + log(K));
        }
        assert_int_equal(info_fit_prior(pmi, N, K, NULL, prior, &shift, NULL), INFOMASK_OK);
        mean += shift.chi2 / RUNS;
        rejected += shift.p_value < 0.05;
    }
    assert_within(mean, K - 1, 1.2, "mean of chi2");
    assert_true(rejected <= 13);
    free(pmi);
}

/* Of many classes, most of them absent, it is found all the same, and soon: at the maximum the mean of exp(i_k) over a
 * sample's likelihood is 1 for a class that is there, and at most 1 for one that is not. */
static void a_prior_of_many_classes_is_found_soon(void **state)
{
    enum { N = 200, CLASSES = 300 };
    struct random_stream random = random_stream(11, 4);
    float *pmi = calloc((size_t)N * CLASSES, sizeof *pmi);
    double prior[CLASSES], slope[CLASSES] = {0}, sum = 0;
    struct info_shift shift;

    (void)state;
    assert_non_null(pmi);
    for (size_t i = 0; i < (size_t)N * CLASSES; i++)
        pmi[i] = (float)(2.5 * random_normal(&random) - (i % CLASSES < 20 ? 0 : 3) - 200 * (double)(i / CLASSES % 2));
    assert_int_equal(info_fit_prior(pmi, N, CLASSES, NULL, prior, &shift, NULL), INFOMASK_OK);
    assert_true(shift.converged && shift.steps < 400); /* steps of EM alone: 1000 are not enough */
    for (size_t i = 0; i < N; i++) {
        double total = 0;
        for (size_t y = 0; y < CLASSES; y++)
            total += prior[y] * exp((double)pmi[i * CLASSES + y] + 200 * (double)(i % 2));
        for (size_t y = 0; y < CLASSES; y++)
            slope[y] += exp((double)pmi[i * CLASSES + y] + 200 * (double)(i % 2)) / total / N;
    }
    for (size_t y = 0; y < CLASSES; y++) {
        sum += prior[y];
        assert_true(prior[y] >= 0 && slope[y] < 1 + 1e-4);
        if (prior[y] > 1e-3)
            assert_within(slope[y], 1, 1e-4, "slope");
    }
    assert_within(sum, 1, 1e-12, "sum");
    free(pmi);
}

/* a narrow valley: sum (x_i - i)^2 10^(i mod 5) + (sum x - 45)^2 */
static double valley(void *context, const double *x, double *gradient)
{
    double value = 0, sum = -45;
    size_t n = *(size_t *)context;
    for (size_t i = 0; i < n; i++)
        sum += x[i];
    for (size_t i = 0; i < n; i++) {
        double weight = pow(10, (double)(i % 5)), miss = x[i] - (double)i;
        value += weight * miss * miss;
        gradient[i] = 2 * weight * miss + 2 * sum;
    }
    return value + sum * sum;
}

static bool at_once(void *context)
{
    (void)context;
    return true;
}

static void the_minimum_is_found(void **state)
{
    struct minimize_options options = {.tolerance = 1e-8};
    struct minimize_result result;
    double x[10] = {0};
    size_t n = 10;
    (void)state;
    assert_int_equal(minimize(valley, &n, n, x, &options, &result, NULL), INFOMASK_OK);
    assert_true(result.converged && result.steps < 400);
    for (size_t i = 0; i < n; i++)
        assert_within(x[i], (double)i, 1e-8, "x");
    options.expired = at_once;
    x[0] = 5;
    assert_int_equal(minimize(valley, &n, n, x, &options, &result, NULL), INFOMASK_DEADLINE);
    assert_true(x[0] == 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bounds_c1_c2),
        cmocka_unit_test(estimators_c3_c4_c5),
        cmocka_unit_test(temperature_d1_d2_d5),
        cmocka_unit_test(vector_scaling_d3_d4),
        cmocka_unit_test(overconfidence_d6),
        cmocka_unit_test(the_grid_finds_the_same_temperature),
        cmocka_unit_test(fits_do_not_depend_on_the_threads),
        cmocka_unit_test(separable_data_have_no_best_temperature),
        cmocka_unit_test(classes_without_samples_leave_the_model),
        cmocka_unit_test(a_shifted_prior_is_recovered_g1),
        cmocka_unit_test(the_shift_test_keeps_its_level),
        cmocka_unit_test(a_prior_of_many_classes_is_found_soon),
        cmocka_unit_test(the_minimum_is_found),
    };
    return cmocka_run_group_tests_name("fit", tests, NULL, NULL);
}
