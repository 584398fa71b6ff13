#include "test.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <math.h>

#include "core/base/random.h"
#include "core/info/estimate.h"
#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/special.h"
#include "core/info/tasks.h"

static void assert_within(double a, double b, double tolerance, const char *what)
{
    double scale = fmax(1, fmax(fabs(a), fabs(b)));
    if (!(fabs(a - b) <= tolerance * scale))
        fail_msg("%s: %.17g and %.17g differ by %.3g", what, a, b, fabs(a - b));
}

static void *block(size_t n, size_t size)
{
    void *p = calloc(n, size);
    assert_non_null(p);
    return p;
}

/* ---- Golden data --------------------------------------------------------------------------------------------------- */

static cJSON *golden(void)
{
    FILE *file = fopen("tests/data/info/golden.json", "rb");
    char *text = block(1, 1 << 20);
    cJSON *root;
    assert_non_null(file);
    assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
    (void)fclose(file);
    root = cJSON_Parse(text);
    free(text);
    assert_non_null(root);
    return root;
}

static double number(const cJSON *object, const char *key)
{
    const cJSON *node = cJSON_GetObjectItemCaseSensitive(object, key);
    if (!cJSON_IsNumber(node))
        fail_msg("no number %s", key);
    return node->valuedouble;
}

static size_t array_of(const cJSON *object, const char *key, double *out)
{
    const cJSON *array = cJSON_GetObjectItemCaseSensitive(object, key), *node;
    size_t n = 0;
    cJSON_ArrayForEach(node, array) out[n++] = node->valuedouble;
    return n;
}

/* A data set in memory with what it adds up to. */
struct set {
    struct info_lens lens;
    struct info_totals totals;
    struct info_class_totals *classes;
    struct info_point *points;
    struct info_sample *samples;
    size_t n;
};

static void set_init(struct set *set, size_t k, const double *prior, const double *logit_prior, double smoothing,
                     size_t capacity)
{
    memset(set, 0, sizeof *set);
    assert_int_equal(info_lens_init(&set->lens, k, prior, logit_prior, smoothing, NULL), INFOMASK_OK);
    set->classes = block(k, sizeof *set->classes);
    set->points = block(capacity, sizeof *set->points);
    set->samples = block(capacity, sizeof *set->samples);
}

static void set_add(struct set *set, const float *z, uint32_t label, const char *id)
{
    double scratch[40];
    struct info_sample *s = &set->samples[set->n];
    info_totals_add(&set->totals, set->classes, &set->lens, z, label, scratch, s);
    s->order = info_order(id);
    set->points[set->n++] = (struct info_point){s->order, s->log_q, label, s->predicted, 0};
}

static void set_fini(struct set *set)
{
    info_lens_fini(&set->lens);
    free(set->classes);
    free(set->points);
    free(set->samples);
}

static void load_case(struct set *set, const cJSON *c)
{
    const cJSON *row, *value, *labels = cJSON_GetObjectItemCaseSensitive(c, "labels");
    double prior[10], logit_prior[10];
    size_t k = array_of(c, "prior", prior);
    array_of(c, "logit_prior", logit_prior);
    set_init(set, k, prior, logit_prior, number(c, "smoothing"), (size_t)cJSON_GetArraySize(labels));
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(c, "logits"))
    {
        float z[10];
        char id[40];
        size_t y = 0;
        cJSON_ArrayForEach(value, row) z[y++] = (float)value->valuedouble;
        (void)snprintf(id, sizeof id, "%s-%zu.jpg", cJSON_GetObjectItemCaseSensitive(c, "name")->valuestring, set->n);
        set_add(set, z, (uint32_t)cJSON_GetArrayItem(labels, (int)set->n)->valueint, id);
    }
}

static void check_case(const cJSON *c)
{
    const cJSON *want = cJSON_GetObjectItemCaseSensitive(c, "expected");
    const cJSON *fitted = cJSON_GetObjectItemCaseSensitive(want, "fitted");
    struct info_report r;
    struct info_limits limits;
    struct set set;
    double sums[10];

    load_case(&set, c);
    info_report(&set.totals, set.classes, &set.lens, &r);
    assert_int_equal(info_limits(set.points, set.n, set.lens.classes, 0.975, &limits, NULL), INFOMASK_OK);
#define CHECK(field) assert_within(r.field, number(want, #field), 1e-9, #field)
    CHECK(accuracy);
    CHECK(log_loss);
    CHECK(label_entropy);
    CHECK(estimate);
    CHECK(deviation);
    CHECK(standard_error);
    CHECK(lower_limit_t);
    CHECK(fraction);
    CHECK(plug_in);
    CHECK(plug_in_deviation);
    CHECK(overconfidence);
    CHECK(mean_entropy);
    CHECK(ece);
    CHECK(brier);
    CHECK(fano);
    CHECK(stratified);
    CHECK(stratified_error);
    CHECK(prior_chi2);
    CHECK(prior_p_value);
#undef CHECK
    if (!(fabs(limits.betting - number(want, "betting")) <= 0.01 * r.standard_error)) /* rounded down, and from a table */
        fail_msg("betting: %.17g and %.17g", limits.betting, number(want, "betting"));
    assert_within(limits.bernstein, number(want, "bernstein"), 1e-9, "bernstein");
    assert_within(limits.confusion, number(want, "confusion"), 1e-9, "confusion");
    assert_int_equal(array_of(want, "class_log_q", sums), set.lens.classes);
    for (size_t y = 0; y < set.lens.classes; y++)
        assert_within(info_exact_value(&set.classes[y].log_q), sums[y], 1e-9, "class_log_q");
    if (strcmp(cJSON_GetObjectItemCaseSensitive(c, "name")->valuestring, "sharp") == 0) {
        assert_true(r.temperature_at_edge && r.temperature == 0.125);
    } else {
        assert_false(r.temperature_at_edge);
        assert_within(r.temperature, number(fitted, "temperature"), 1e-6, "temperature");
        assert_within(r.calibrated_estimate, number(fitted, "calibrated_estimate"), 1e-8, "calibrated_estimate");
    }
    assert_true(r.calibrated_estimate >= r.estimate - 1e-9); /* D1 */
    set_fini(&set);
}

static void results_are_the_independent_ones(void **state)
{
    cJSON *root = golden();
    const cJSON *c;
    int count = 0;
    (void)state;
    cJSON_ArrayForEach(c, cJSON_GetObjectItemCaseSensitive(root, "cases"))
    {
        check_case(c);
        count++;
    }
    assert_int_equal(count, 5);
    cJSON_Delete(root);
}

static void check_table(const cJSON *root, const char *name, double (*f)(double, double))
{
    const cJSON *row;
    int count = 0;
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, name))
    {
        double x = cJSON_GetArrayItem(row, 0)->valuedouble, df = cJSON_GetArrayItem(row, 1)->valuedouble;
        double want = cJSON_GetArrayItem(row, 2)->valuedouble, got = f(x, df);
        if (!(fabs(got - want) <= 1e-9 * fabs(want) + 1e-13)) /* relative: tails are small */
            fail_msg("%s(%g, %g) = %.17g, not %.17g", name, x, df, got, want);
        count++;
    }
    assert_true(count >= 20);
}

static void distribution_functions(void **state)
{
    cJSON *root = golden();
    const cJSON *row;
    (void)state;
    check_table(root, "student_cdf", info_student_cdf);
    check_table(root, "student_quantile", info_student_quantile);
    check_table(root, "chi2_tail", info_chi2_tail);
    cJSON_ArrayForEach(row, cJSON_GetObjectItemCaseSensitive(root, "order"))
    {
        char text[24];
        (void)snprintf(text, sizeof text, "%" PRIu64, info_order(cJSON_GetArrayItem(row, 0)->valuestring));
        assert_string_equal(text, cJSON_GetArrayItem(row, 1)->valuestring);
    }
    cJSON_Delete(root);
}

/* ---- Merge --------------------------------------------------------------------------------------------------------- */

static void random_sample(struct random_stream *random, size_t k, double sd, float *z, uint32_t *label)
{
    *label = random_below(random, (uint32_t)k);
    for (size_t y = 0; y < k; y++)
        z[y] = (float)(sd * random_normal(random) + (y == *label ? sd : 0));
}

/* Any split and any order: the same bits.  And the bytes of a store give them back. */
static void merging_is_exact(void **state)
{
    struct random_stream random = random_stream(6, 1);
    struct set whole, shard[3];
    uint8_t a[INFO_TOTALS_BYTES], b[INFO_TOTALS_BYTES];
    enum { SAMPLES = 600, CLASSES = 9 };
    float z[SAMPLES][CLASSES];
    uint32_t label[SAMPLES];
    (void)state;
    set_init(&whole, CLASSES, NULL, NULL, 0, SAMPLES);
    for (int i = 0; i < 3; i++)
        set_init(&shard[i], CLASSES, NULL, NULL, 0, SAMPLES);
    for (int i = 0; i < SAMPLES; i++)
        random_sample(&random, CLASSES, i % 7 == 0 ? 700 : 2, z[i], &label[i]);
    for (int i = 0; i < SAMPLES; i++)
        set_add(&whole, z[i], label[i], "x");
    for (int i = SAMPLES - 1; i >= 0; i--)
        set_add(&shard[i * i % 3], z[i], label[i], "x");
    for (int i = 1; i < 3; i++) {
        info_totals_merge(&shard[0].totals, &shard[i].totals);
        for (int y = 0; y < CLASSES; y++)
            info_class_totals_merge(&shard[0].classes[y], &shard[i].classes[y]);
    }
    info_totals_pack(&whole.totals, a);
    info_totals_pack(&shard[0].totals, b);
    assert_memory_equal(a, b, sizeof a);
    assert_true(info_totals_unpack(&shard[1].totals, a, sizeof a));
    info_totals_pack(&shard[1].totals, b);
    assert_memory_equal(a, b, sizeof a);
    for (int y = 0; y < CLASSES; y++) {
        info_class_totals_pack(&whole.classes[y], a);
        info_class_totals_pack(&shard[0].classes[y], b);
        assert_memory_equal(a, b, INFO_CLASS_TOTALS_BYTES);
        assert_true(info_class_totals_unpack(&shard[1].classes[y], a, INFO_CLASS_TOTALS_BYTES));
        assert_int_equal(shard[1].classes[y].samples, whole.classes[y].samples);
    }
    set_fini(&whole);
    for (int i = 0; i < 3; i++)
        set_fini(&shard[i]);
}

static void impossible_bytes_are_refused(void **state)
{
    struct info_totals totals = {0};
    struct info_class_totals of_class = {0};
    uint8_t bytes[INFO_TOTALS_BYTES + 1] = {0};
    (void)state;
    assert_false(info_totals_unpack(&totals, bytes, sizeof bytes));
    assert_false(info_totals_unpack(&totals, bytes, 10));
    assert_true(info_totals_unpack(&totals, bytes, INFO_TOTALS_BYTES));
    bytes[0] = 1; /* a sample that is in no bin */
    assert_false(info_totals_unpack(&totals, bytes, INFO_TOTALS_BYTES));
    memset(bytes, 0, sizeof bytes);
    bytes[8] = 1; /* correct, of none */
    assert_false(info_class_totals_unpack(&of_class, bytes, INFO_CLASS_TOTALS_BYTES));
    assert_false(info_class_totals_unpack(&of_class, bytes, 47));
}

static void exact_sums_hold_their_range(void **state)
{
    struct info_exact sum = {0};
    (void)state;
    for (int i = 0; i < 1000; i++)
        info_exact_add(&sum, i % 2 == 0 ? 1e300 : -0.25);
    assert_true(info_exact_value(&sum) == 500 * INFO_EXACT_LIMIT - 125);
    sum.units = 0;
    for (int i = 0; i < 100000; i++)
        info_exact_add(&sum, 0.1);
    assert_true(fabs(info_exact_value(&sum) - 1e4) < 1e-11);
}

/* ---- Extremes and few samples -------------------------------------------------------------------------------------- */

static void priors_that_are_none_are_refused(void **state)
{
    struct info_lens lens;
    struct infomask_error err;
    (void)state;
    assert_int_equal(info_lens_init(&lens, 3, (double[]){0.5, 0.5, 0}, NULL, 0, &err), INFOMASK_ARGUMENT);
    assert_string_equal(err.text, "the prior of class 2 must be a positive number");
    assert_int_equal(info_lens_init(&lens, 2, (double[]){1, NAN}, NULL, 0, &err), INFOMASK_ARGUMENT);
    assert_int_equal(info_lens_init(&lens, 2, NULL, (double[]){1, INFINITY}, 0, &err), INFOMASK_ARGUMENT);
    assert_int_equal(info_lens_init(&lens, 2, NULL, (double[]){1, 1e-200}, 0, &err), INFOMASK_ARGUMENT);
    assert_int_equal(info_lens_init(&lens, 2, NULL, NULL, 1, &err), INFOMASK_ARGUMENT);
    assert_int_equal(info_lens_init(&lens, 0, NULL, NULL, 0, &err), INFOMASK_ARGUMENT);
    assert_int_equal(info_lens_init(&lens, 2, (double[]){3, 1}, NULL, 0, &err), INFOMASK_OK);
    assert_within(exp(lens.log_t[0]), 0.75, 1e-15, "normalised");
    info_lens_fini(&lens);
}

static void check_finite(const struct info_report *r)
{
    const double numbers[] = {r->accuracy, r->log_loss, r->label_entropy, r->estimate, r->deviation, r->lower_limit_t,
                              r->plug_in, r->plug_in_deviation, r->temperature, r->calibrated_estimate, r->ece, r->brier,
                              r->fano, r->prior_chi2, r->prior_p_value};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (!isfinite(numbers[i]))
            fail_msg("number %zu of the report is not finite", i);
    assert_true(r->plug_in >= 0 && r->ece >= 0 && r->ece <= 1 && r->brier >= 0 && r->brier <= 2);
}

static void extreme_logits_and_priors_stay_finite(void **state)
{
    const size_t sizes[] = {2, 17, 1000, 20000};
    const double spans[] = {0, 1, 700, 3e38};
    struct random_stream random = random_stream(6, 2);
    (void)state;
    for (size_t i = 0; i < 16; i++) {
        size_t k = sizes[i % 4];
        double *prior = block(k, sizeof *prior), *scratch = block(2 * k, sizeof *scratch);
        float *z = block(k, sizeof *z);
        struct info_class_totals *classes = block(k, sizeof *classes);
        struct info_totals totals = {0};
        struct info_lens lens;
        struct info_report r;
        for (size_t y = 0; y < k; y++)
            prior[y] = fmax(1e-12, pow(random_unit(&random), 20));
        assert_int_equal(info_lens_init(&lens, k, prior, i % 2 == 0 ? NULL : prior, 0, NULL), INFOMASK_OK);
        for (int n = 0; n < 3; n++) {
            struct info_sample s;
            for (size_t y = 0; y < k; y++)
                z[y] = (float)(spans[i / 4] * (2 * random_unit(&random) - 1));
            info_totals_add(&totals, classes, &lens, z, random_below(&random, (uint32_t)k), scratch, &s);
            assert_true(isfinite(s.pmi) && isfinite(s.log_q) && s.confidence > 0 && s.confidence <= 1);
        }
        info_report(&totals, classes, &lens, &r);
        check_finite(&r);
        info_lens_fini(&lens);
        free(prior);
        free(scratch);
        free(z);
        free(classes);
    }
}

static void few_samples_give_what_is_defined(void **state)
{
    struct set set;
    struct info_report r;
    struct info_limits limits;
    (void)state;
    set_init(&set, 3, NULL, NULL, 0, 4);
    info_report(&set.totals, set.classes, &set.lens, &r);
    assert_true(r.samples == 0 && isnan(r.estimate) && isnan(r.temperature));
    assert_int_equal(info_limits(set.points, 0, 3, 0.975, &limits, NULL), INFOMASK_OK);
    assert_true(isnan(limits.betting));
    set_add(&set, (float[]){1, 0, 0}, 0, "a");
    info_report(&set.totals, set.classes, &set.lens, &r);
    assert_true(isfinite(r.estimate) && isnan(r.standard_error) && isnan(r.lower_limit_t) && isnan(r.fraction));
    assert_true(r.label_entropy == 0 && r.accuracy == 1);
    assert_int_equal(info_limits(set.points, 1, 3, 0.975, &limits, NULL), INFOMASK_OK);
    assert_true(limits.betting < 0 && isnan(limits.bernstein));
    assert_int_equal(info_limits(set.points, 1, 3, 1, &limits, NULL), INFOMASK_ARGUMENT);
    set_fini(&set);
}

/* ---- Tasks and limits ---------------------------------------------------------------------------------------------- */

/* The table of docs/information.md; closed forms where there are some. */
static void true_values(void **state)
{
    static const struct { const char *name; double truth; } table[] = {
        {"ref-bal-d1", 1.0314}, {"ref-bal-d2", 1.3003}, {"ref-bal-d5", 1.5544}, {"ref-bal-d10", 1.6058},
        {"ref-imb-d1", 1.0224}, {"ref-imb-d2", 1.2393}, {"ref-imb-d5", 1.4449}, {"ref-imb-d10", 1.4869},
        {"line-bal-d1-s0.1", 0.0099}, {"line-bal-d1-s0.25", 0.0589}, {"line-bal-d1-s0.5", 0.2022},
        {"line-bal-d1-s1.0", 0.5364}, {"line-imb-d1-s0.1", 0.0133}, {"line-imb-d1-s0.25", 0.0778},
        {"line-imb-d1-s0.5", 0.2550}, {"line-imb-d1-s1.0", 0.6054}, {"zero-bal-d10", 0}, {"zero-imb-d10", 0},
        {"simplex10-d10-a2", 1.3401}, {"simplex10-d10-a4", 2.2528}, {"sym10-e0.1", 1.7578}, {"erase5-imb-e0.4", 0.8939},
    };
    (void)state;
    assert_int_equal(info_task_count(), sizeof table / sizeof *table);
    assert_int_equal(info_task_find("no-such-task"), info_task_count());
    for (size_t i = 0; i < info_task_count(); i++) {
        struct info_task task = info_task_at(info_task_find(table[i].name));
        if (fabs(info_task_truth(&task) - table[i].truth) > 1e-4)
            fail_msg("%s: %.6f, not %.4f", task.name, info_task_truth(&task), table[i].truth);
    }
}

/* Runs the exact posterior of a task; returns its report, and the limits at `confidence`. */
static void run_task(const struct info_task *task, size_t n, uint64_t seed, struct info_report *report,
                     struct info_limits *limits)
{
    struct set set;
    set_init(&set, task->classes, task->prior, task->prior, 0, n);
    for (size_t i = 0; i < n; i++) {
        float x[INFO_TASK_MAX_DIMENSIONS], z[INFO_TASK_MAX_CLASSES];
        double log_p[INFO_TASK_MAX_CLASSES];
        char id[24];
        uint32_t label = info_task_sample(task, seed, i, x);
        info_task_posterior(task, x, log_p);
        for (size_t y = 0; y < task->classes; y++)
            z[y] = (float)log_p[y];
        (void)snprintf(id, sizeof id, "%zu", i);
        set_add(&set, z, label, id);
    }
    info_report(&set.totals, set.classes, &set.lens, report);
    assert_int_equal(info_limits(set.points, n, task->classes, 0.975, limits, NULL), INFOMASK_OK);
    set_fini(&set);
}

static void exact_posteriors_reach_the_truth(void **state)
{
    (void)state;
    for (size_t i = 0; i < info_task_count(); i++) {
        struct info_task task = info_task_at(i);
        struct info_report r;
        struct info_limits limits;
        double truth = info_task_truth(&task);
        run_task(&task, 20000, 77, &r, &limits);
        if (!(fabs(r.estimate - truth) < 3.5 * r.standard_error + 5e-4))
            fail_msg("%s: %.5f, se %.5f, truth %.5f", task.name, r.estimate, r.standard_error, truth);
        assert_true(limits.betting <= truth && limits.bernstein < limits.betting && limits.betting < r.lower_limit_t + 1e-3);
        assert_true(r.fano <= truth + 0.03 && limits.confusion <= truth + 0.03);
        assert_true(fabs(r.overconfidence) < 0.05 && r.ece < 0.03);
    }
}

/* A short version of `make coverage`: two tasks where a t limit is plainly wrong and one where all is well. */
static void betting_limits_are_valid(void **state)
{
    static const char *const names[] = {"ref-bal-d10", "simplex10-d10-a4", "ref-imb-d1"};
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct info_task task = info_task_at(info_task_find(names[i]));
        double truth = info_task_truth(&task);
        int valid = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
            struct info_report r;
            struct info_limits limits;
            run_task(&task, 100, seed, &r, &limits);
            valid += limits.betting <= truth;
        }
        assert_true(valid >= 190);
    }
}

/* Names and order are nothing to the limits; nor is it one order of betting by chance that they come from: without one of
 * the samples the limit is about the same. */
static void other_names_give_the_same_limit(void **state)
{
    enum { N = 400 };
    struct info_point points[N], renamed[N];
    struct info_limits a, b;
    struct random_stream random = random_stream(6, 9);
    (void)state;
    for (int i = 0; i < N; i++) {
        points[i] = (struct info_point){(uint64_t)i, log(random_unit(&random)), random_below(&random, 4), 0, 0};
        renamed[N - 1 - i] = points[i];
        renamed[N - 1 - i].unit = info_order((char[]){(char)('a' + i % 26), (char)('a' + i / 26), 0});
    }
    assert_int_equal(info_limits(points, N, 4, 0.975, &a, NULL), INFOMASK_OK);
    assert_int_equal(info_limits(renamed, N, 4, 0.975, &b, NULL), INFOMASK_OK);
    assert_true(a.betting == b.betting && a.bernstein == b.bernstein && a.units == N && b.units == N);
    assert_int_equal(info_limits(points, N - 1, 4, 0.975, &b, NULL), INFOMASK_OK);
    assert_true(fabs(a.betting - b.betting) < 0.3 * a.standard_error);
}

/* Copies add nothing when their unit is said. */
static void groups_are_units(void **state)
{
    enum { N = 300, COPIES = 5 };
    struct info_point once[N], *all = block(N * COPIES, sizeof *all), *apart = block(N * COPIES, sizeof *all);
    struct info_limits a, b, c;
    struct random_stream random = random_stream(6, 10);
    (void)state;
    for (int i = 0; i < N * COPIES; i++) {
        if (i < N)
            once[i] = (struct info_point){(uint64_t)i + 1, log(random_unit(&random)), random_below(&random, 4), 0, 0};
        all[i] = apart[i] = once[i % N];
        apart[i].unit = (uint64_t)i + 1;
    }
    assert_int_equal(info_limits(once, N, 4, 0.975, &a, NULL), INFOMASK_OK);
    assert_int_equal(info_limits(all, N * COPIES, 4, 0.975, &b, NULL), INFOMASK_OK);
    assert_int_equal(info_limits(apart, N * COPIES, 4, 0.975, &c, NULL), INFOMASK_OK);
    assert_true(b.samples == N * COPIES && b.units == N && c.units == N * COPIES);
    assert_true(fabs(a.standard_error - b.standard_error) < 0.1 * a.standard_error);
    assert_true(fabs(a.betting - b.betting) < 0.5 * a.standard_error); /* another guard: 1 / n */
    assert_true(c.betting > b.betting + a.standard_error && c.standard_error < 0.6 * b.standard_error);
    free(all);
    free(apart);
}

static void the_order_of_arrival_does_not_matter(void **state)
{
    struct info_point points[50], shuffled[50];
    struct info_limits a, b;
    struct random_stream random = random_stream(6, 3);
    (void)state;
    for (int i = 0; i < 50; i++) {
        points[i] = (struct info_point){random_below(&random, 20), -random_unit(&random), random_below(&random, 4), 0, 0};
        shuffled[(i * 7 + 3) % 50] = points[i];
    }
    assert_int_equal(info_limits(points, 50, 4, 0.975, &a, NULL), INFOMASK_OK);
    assert_int_equal(info_limits(shuffled, 50, 4, 0.975, &b, NULL), INFOMASK_OK);
    assert_true(a.betting == b.betting && a.confusion == b.confusion);
    assert_within(a.bernstein, b.bernstein, 1e-14, "bernstein");
}

static void two_models_are_compared_in_pairs(void **state)
{
    const double a[] = {1.0, 2.0, 3.0, 4.0}, b[] = {0.9, 1.5, 2.9, 3.9};
    struct info_comparison c;
    (void)state;
    info_compare(a, b, 4, &c);
    assert_within(c.difference, 0.2, 1e-12, "difference");
    assert_within(c.standard_error, 0.1, 1e-12, "standard error");
    assert_within(c.p_value, 0.13932596855884329, 1e-9, "p"); /* t = 2 with 3 degrees of freedom */
    assert_within(c.upper - 0.2, 0.2 - c.lower, 1e-12, "symmetric");
    info_compare(a, a, 4, &c);
    assert_true(c.difference == 0 && c.p_value == 1);
    info_compare(a, b, 1, &c);
    assert_true(isnan(c.standard_error) && isnan(c.p_value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_independent_ones),
        cmocka_unit_test(distribution_functions),
        cmocka_unit_test(merging_is_exact),
        cmocka_unit_test(impossible_bytes_are_refused),
        cmocka_unit_test(exact_sums_hold_their_range),
        cmocka_unit_test(priors_that_are_none_are_refused),
        cmocka_unit_test(extreme_logits_and_priors_stay_finite),
        cmocka_unit_test(few_samples_give_what_is_defined),
        cmocka_unit_test(true_values),
        cmocka_unit_test(exact_posteriors_reach_the_truth),
        cmocka_unit_test(betting_limits_are_valid),
        cmocka_unit_test(other_names_give_the_same_limit),
        cmocka_unit_test(groups_are_units),
        cmocka_unit_test(the_order_of_arrival_does_not_matter),
        cmocka_unit_test(two_models_are_compared_in_pairs),
    };
    return cmocka_run_group_tests_name("estimate", tests, NULL, NULL);
}
