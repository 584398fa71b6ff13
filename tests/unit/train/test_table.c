/* The cross-fitted estimate of a table: a label has no say in what is said of its own fold; the same bits for any
 * number of threads; known values; what is refused. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/tasks.h"
#include "core/infomask_estimate.h"
#include "core/infomask_train.h"
#include "core/train/fit.h"
#include "core/train/table/table.h"

#define ROWS 90
#define MOST 10 /* columns, classes */

struct rows {
    float x[ROWS * MOST];
    uint32_t labels[ROWS];
    struct infomask_table table;
};

static void draw(struct rows *rows, const char *name, uint64_t seed)
{
    struct info_task task = info_task_at(info_task_find(name));

    for (size_t i = 0; i < ROWS; i++)
        rows->labels[i] = info_task_sample(&task, seed, i, rows->x + i * task.dimensions);
    rows->table = (struct infomask_table){ROWS, task.dimensions, (int)task.classes, rows->x, rows->labels, NULL, NULL, NULL};
}

static struct infomask_table_result estimate(const struct infomask_table *table, uint64_t seed, struct pool *pool)
{
    const struct infomask_table_options options = {.seed = seed, .folds = 3};
    struct infomask_table_result result;
    struct infomask_error err;

    if (infomask_table_estimate(table, &options, pool, &result, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return result;
}

static double information(const struct infomask_table *table, const float *log_q)
{
    double count[MOST] = {0}, sum = 0;

    for (size_t i = 0; i < table->rows; i++)
        count[table->labels[i]]++;
    for (size_t i = 0; i < table->rows; i++)
        sum += (double)log_q[i * (size_t)table->classes + table->labels[i]] -
               log(count[table->labels[i]] / (double)table->rows);
    return sum / (double)table->rows;
}

/* Every label of a fold is turned: what is said of its rows must stay the same bits, and of no other fold's. */
static void test_no_label_of_a_fold_is_seen(void **state)
{
    struct rows rows;
    struct infomask_table_result before, after;
    int order[ROWS], k, width;
    size_t fold;

    (void)state;
    draw(&rows, "ref-imb-d2", 1);
    before = estimate(&rows.table, 3, NULL);
    train_shuffle(ROWS, 3, UINT64_MAX, order);
    fold = ROWS / (size_t)before.folds;
    width = k = rows.table.classes;
    for (size_t i = fold; i < 2 * fold; i++)
        rows.labels[order[i]] = (rows.labels[order[i]] + 1) % (uint32_t)k;
    after = estimate(&rows.table, 3, NULL);
    for (size_t i = 0; i < ROWS; i++) {
        int same = memcmp(before.log_q + order[i] * width, after.log_q + order[i] * width, (size_t)width * sizeof(float)) == 0;
        assert_int_equal(same, i >= fold && i < 2 * fold);
    }
    infomask_table_result_fini(&before);
    infomask_table_result_fini(&after);
}

static void test_threads_and_seeds(void **state)
{
    struct rows rows;
    struct pool *pool = NULL;
    struct infomask_table_result one, three, other;
    size_t bytes;

    (void)state;
    draw(&rows, "erase5-imb-e0.4", 1);
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    one = estimate(&rows.table, 1, NULL);
    three = estimate(&rows.table, 1, pool);
    other = estimate(&rows.table, 2, pool);
    bytes = ROWS * (size_t)rows.table.classes * sizeof(float);
    assert_memory_equal(one.log_q, three.log_q, bytes);
    assert_memory_equal(one.parts, three.parts, sizeof one.parts);
    assert_int_not_equal(memcmp(one.log_q, other.log_q, bytes), 0);
    infomask_table_result_fini(&one);
    infomask_table_result_fini(&three);
    infomask_table_result_fini(&other);
    pool_free(pool);
}

/* Every row is a distribution that a task of ROWS rows can give, near the truth, and on independent labels near 0. */
static void test_known_information(void **state)
{
    static const char *const names[] = {"ref-bal-d1", "ref-imb-d10", "zero-bal-d10"};
    struct rows rows;

    (void)state;
    for (size_t t = 0; t < sizeof names / sizeof *names; t++) {
        struct info_task task = info_task_at(info_task_find(names[t]));
        struct infomask_table_result result;
        double got, truth = info_task_truth(&task);
        draw(&rows, names[t], 5);
        result = estimate(&rows.table, 5, NULL);
        got = information(&rows.table, result.log_q);
        assert_true(fabs(got - truth) < 0.2);
        for (size_t i = 0; i < ROWS; i++) {
            double sum = 0;
            for (int y = 0; y < rows.table.classes; y++) {
                double log_q = (double)result.log_q[i * (size_t)rows.table.classes + (size_t)y];
                assert_true(log_q <= 1e-6 && log_q > -log(2.0 * ROWS * ROWS)); /* the guard: q >= pi / rows */
                sum += exp(log_q);
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        infomask_table_result_fini(&result);
    }
}

/* Ten stripes with sharp borders, one label in ten wrong: more rows must find the borders more exactly. */
static void test_sharp_borders(void **state)
{
    enum { MANY = 8192 };
    const double truth = log(2) + 0.1 * log(0.1) + 0.9 * log(0.9);
    struct random_stream random = random_stream(12, 0);
    float *x = malloc(MANY * sizeof *x);
    uint32_t *labels = malloc(MANY * sizeof *labels);
    const struct infomask_table table = {MANY, 1, 2, x, labels, NULL, NULL, NULL};
    struct infomask_table_result result;
    double got;

    (void)state;
    assert_true(x != NULL && labels != NULL);
    for (size_t i = 0; i < MANY; i++) {
        double at = random_unit(&random);
        x[i] = (float)at;
        labels[i] = (uint32_t)(10 * at) % 2 ^ (random_unit(&random) < 0.1);
    }
    result = estimate(&table, 5, NULL);
    got = information(&table, result.log_q);
    if (!(fabs(got - truth) < 0.03))
        fail_msg("%.4f, not %.4f", got, truth);
    infomask_table_result_fini(&result);
    free(x);
    free(labels);
}

/* Columns may be far from each other in scale, heavy-tailed, constant or codes. */
static void test_odd_columns(void **state)
{
    struct rows rows;
    struct random_stream random = random_stream(3, 3);
    struct infomask_table_result result;

    (void)state;
    rows.table = (struct infomask_table){ROWS, 3, 2, rows.x, rows.labels, NULL, NULL, NULL};
    for (size_t i = 0; i < ROWS; i++) {
        rows.labels[i] = random_below(&random, 2);
        rows.x[3 * i] = 1e30f;
        rows.x[3 * i + 1] = (float)(1e-20 * (random_normal(&random) + 2 * rows.labels[i]));
        rows.x[3 * i + 2] = i == 17 ? 3e38f : (float)random_below(&random, 7);
    }
    result = estimate(&rows.table, 1, NULL);
    assert_true(information(&rows.table, result.log_q) > 0.15); /* of 0.33 */
    infomask_table_result_fini(&result);
    for (size_t i = 0; i < 3 * ROWS; i++)
        rows.x[i] = 7;
    result = estimate(&rows.table, 1, NULL);
    assert_int_equal(result.part_count, 0);
    assert_true(fabs(information(&rows.table, result.log_q)) < 0.05); /* the prior */
    infomask_table_result_fini(&result);
}

static void refuse(const struct infomask_table *table, const char *what)
{
    const struct infomask_table_options options = {0};
    struct infomask_table_result result;
    struct infomask_error err;

    assert_int_equal(infomask_table_estimate(table, &options, NULL, &result, &err), INFOMASK_BAD_DATA);
    assert_non_null(strstr(err.text, what));
    assert_null(result.log_q);
}

/* Missing values and categories: the same bits for any number of threads, no label of a fold seen (above: by the same
 * code), and what a hole tells is found. */
static void test_holes_and_categories(void **state)
{
    enum { MANY = 600 };
    static float x[MANY * 2];
    static uint32_t labels[MANY];
    const uint32_t levels[] = {0, 9};
    struct infomask_table table = {.rows = MANY, .columns = 2, .classes = 2, .x = x, .labels = labels, .levels = levels};
    struct random_stream random = random_stream(5, 1);
    struct infomask_table_result one, three;
    struct pool *pool = NULL;
    double got;

    (void)state;
    for (size_t i = 0; i < MANY; i++) {
        uint32_t code = random_below(&random, 9);
        labels[i] = (code % 2) ^ (random_unit(&random) < 0.25);
        x[2 * i] = random_unit(&random) < (labels[i] ? 0.5 : 0.1) ? NAN : (float)random_normal(&random);
        x[2 * i + 1] = (float)code;
    }
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    one = estimate(&table, 1, NULL);
    three = estimate(&table, 1, pool);
    assert_memory_equal(one.log_q, three.log_q, MANY * 2 * sizeof(float));
    got = information(&table, one.log_q);
    if (!(got > 0.17 && got < 0.28)) /* of 0.22: 0.13 in the codes and 0.10 in the holes, less what both say */
        fail_msg("%.4f", got);
    assert_int_equal(one.copies, 0);
    x[3] = 9;
    table.rows = 90;
    refuse(&table, "row 1, column 1: not one of its categories");
    infomask_table_result_fini(&one);
    infomask_table_result_fini(&three);
    pool_free(pool);
}

/* Rows of a group are in one fold, whatever the groups' sizes; and no fold is empty. */
static void test_groups_are_kept_together(void **state)
{
    enum { MANY = 400 };
    static uint32_t group[MANY], with[MANY], order[MANY];
    size_t start[TABLE_MOST_FOLDS + 1];

    (void)state;
    for (int folds = 3; folds <= TABLE_MOST_FOLDS; folds++) {
        struct random_stream random = random_stream(7, (uint64_t)folds);
        int fold_of[MANY], fold = 0;
        size_t groups;
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t g = random_below(&random, 1 + random_below(&random, 40));
            with[i] = i < 10 ? i : g; /* at least ten */
            group[i] = order[i] = i;
            fold_of[i] = -1;
        }
        group[399] = 200; /* copies, which may join two groups */
        groups = table_join(group, with, MANY);
        assert_true(groups >= 9 && groups <= 40 && group[399] == group[200]);
        if ((size_t)folds > groups)
            continue;
        assert_int_equal(table_deal(group, MANY, folds, order, start, NULL), INFOMASK_OK);
        assert_int_equal(start[folds], MANY);
        for (size_t i = 0; i < MANY; i++) {
            int *of = &fold_of[group[order[i]]];
            fold += i >= start[fold + 1];
            assert_true(start[fold] <= i && i < start[fold + 1]);
            assert_true(*of < 0 || *of == fold);
            *of = fold;
        }
    }
}

/* Noise of subjects, each with several rows that are much alike and one label: the limit over groups is at most 0.
 * INFOMASK_TEST_DRAWS for more draws; at least 97.5 % of them must hold. */
static void test_noise_of_groups(void **state)
{
    enum { SUBJECTS = 50, EACH = 4, N = SUBJECTS * EACH };
    const char *more = getenv("INFOMASK_TEST_DRAWS");
    int draws = more != NULL ? (int)strtol(more, NULL, 10) : 10, held = 0, fooled = 0;
    float x[N * 2];
    uint32_t labels[N], groups[N];
    struct info_point points[N];
    const struct infomask_table table = {.rows = N, .columns = 2, .classes = 2, .x = x, .labels = labels, .groups = groups};
    struct info_limits limits;

    (void)state;
    for (int d = 0; d < draws; d++) {
        struct random_stream random = random_stream(31, (uint64_t)d);
        struct infomask_table_result result;
        for (uint32_t i = 0; i < N; i++) {
            bool first = i % EACH == 0;
            groups[i] = i / EACH;
            labels[i] = first ? random_below(&random, 2) : labels[i - 1];
            for (size_t j = 0; j < 2; j++)
                x[2 * i + j] = first ? (float)random_normal(&random)
                                     : x[2 * (i - 1) + j] + 1e-3f * (float)random_normal(&random);
        }
        result = estimate(&table, (uint64_t)d, NULL);
        for (size_t i = 0; i < N; i++)
            points[i] = (struct info_point){result.group[i], (double)result.log_q[2 * i + labels[i]], labels[i], 0, 0};
        assert_int_equal(info_limits(points, N, 2, 0.975, &limits, NULL), INFOMASK_OK);
        assert_int_equal(limits.units, SUBJECTS);
        held += limits.betting <= 0;
        for (size_t i = 0; i < N; i++) /* as if rows were by themselves, though folds keep them together */
            points[i] = (struct info_point){i, (double)result.log_q[2 * i + labels[i]], labels[i], 0, 0};
        assert_int_equal(info_limits(points, N, 2, 0.975, &limits, NULL), INFOMASK_OK);
        fooled += limits.betting > 0;
        infomask_table_result_fini(&result);
    }
    if (more != NULL)
        print_message("%d of %d limits over groups held; over rows %d did not\n", held, draws, fooled);
    assert_true(held >= 0.975 * draws);
}

/* Weights: a row of weight 3 says what three rows of weight 1 would in the report and its limits. */
static void test_weighted_report(void **state)
{
    enum { N = 40 };
    const double prior[] = {0.3, 0.7};
    const struct infomask_estimate_spec spec = {.classes = 2, .prior = (double *)prior, .logit_prior = (double *)prior};
    struct infomask_sample samples[N];
    double weights[N];
    struct infomask_estimate *once = NULL, *often = NULL;
    struct infomask_report report, copied;
    struct random_stream random = random_stream(8, 1);

    (void)state;
    assert_int_equal(infomask_estimate_create(&spec, &once, NULL), INFOMASK_OK);
    assert_int_equal(infomask_estimate_create(&spec, &often, NULL), INFOMASK_OK);
    for (int i = 0; i < N; i++) {
        const float logits[] = {(float)random_normal(&random), (float)random_normal(&random)};
        uint32_t label = random_below(&random, 2);
        weights[i] = random_below(&random, 4);
        assert_int_equal(infomask_estimate_add(once, logits, label, "x", &samples[i], NULL), INFOMASK_OK);
        for (int c = 0; c < (int)weights[i]; c++)
            assert_int_equal(infomask_estimate_add(often, logits, label, "x", NULL, NULL), INFOMASK_OK);
    }
    assert_int_equal(infomask_estimate_weighted(samples, weights, N, 2, &report, NULL), INFOMASK_OK);
    assert_int_equal(infomask_estimate_report(often, &copied, NULL), INFOMASK_OK);
    assert_true(fabs(report.estimate - copied.estimate) < 1e-12 && fabs(report.accuracy - copied.accuracy) < 1e-12);
    assert_true(fabs(report.label_entropy - copied.label_entropy) < 1e-12 && fabs(report.ece - copied.ece) < 1e-12);
    assert_true(fabs(report.plug_in - copied.plug_in) < 1e-12 && fabs(report.log_loss - copied.log_loss) < 1e-12);
    assert_true(fabs(report.by_class[1].mean_pmi - copied.by_class[1].mean_pmi) < 1e-12);
    assert_true(fabs(report.mean_entropy - copied.mean_entropy) < 1e-12 && report.standard_error > copied.standard_error);
    infomask_report_fini(&report);
    infomask_report_fini(&copied);
    infomask_estimate_free(once);
    infomask_estimate_free(often);
}

static void test_refusals(void **state)
{
    const struct infomask_table_options few = {.folds = 2};
    struct rows rows;
    struct infomask_table table;
    struct infomask_table_result result;
    struct infomask_error err;

    (void)state;
    draw(&rows, "ref-bal-d2", 1);
    table = rows.table;
    table.rows = 19;
    refuse(&table, "20 to");
    table = rows.table;
    table.columns = 0;
    refuse(&table, "columns");
    table = rows.table;
    table.classes = 1;
    refuse(&table, "classes");
    table.classes = 2;
    refuse(&table, "label");
    rows.x[31] = INFINITY;
    refuse(&rows.table, "row 15, column 1");
    rows.x[31] = 0;
    assert_int_equal(infomask_table_estimate(&rows.table, &few, NULL, &result, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "3 to 10 folds"));
}

static bool stop(void *context, int done, int total)
{
    int *calls = context;

    assert_true(done <= total);
    return ++*calls < 3;
}

static void test_a_stop(void **state)
{
    struct rows rows;
    int calls = 0;
    const struct infomask_table_options options = {.folds = 3, .progress = stop, .context = &calls};
    struct infomask_table_result result;
    struct infomask_error err;

    (void)state;
    draw(&rows, "ref-bal-d2", 1);
    assert_int_equal(infomask_table_estimate(&rows.table, &options, NULL, &result, &err), INFOMASK_CANCELLED);
    assert_int_equal(calls, 3);
    assert_null(result.log_q);
}

/* The pool's loss at its weights is least: no single weight can be moved to a lower one; and it ignores a part of noise. */
static void test_pool(void **state)
{
    enum { N = 400, K = 3, PARTS = 2 };
    static float scores[N * PARTS * K];
    int labels[N];
    double log_prior[K], weights[PARTS], loss[5] = {0};
    const struct table_scored scored = {scores, labels, NULL, N, PARTS, K, log_prior};
    struct random_stream random = random_stream(1, 1);

    (void)state;
    for (int y = 0; y < K; y++)
        log_prior[y] = -log(K);
    for (int i = 0; i < N; i++) {
        labels[i] = (int)random_below(&random, K);
        for (int j = 0; j < PARTS * K; j++)
            scores[i * PARTS * K + j] = (float)random_normal(&random) + (j == labels[i] ? 1.5f : 0);
    }
    assert_int_equal(table_pool_fit(&scored, weights, NULL), INFOMASK_OK);
    assert_true(weights[0] > 0.8 && weights[0] < 2.2 && weights[1] >= 0 && weights[1] < 0.3);
    for (int trial = 0; trial < 5; trial++) {
        double w[PARTS] = {weights[0] + (trial == 1 ? 0.3 : trial == 2 ? -0.3 : 0),
                           weights[1] + (trial == 3 ? 0.3 : trial == 4 ? -0.3 : 0)};
        for (int i = 0; i < N; i++) {
            double log_q[K];
            table_pool_row(scores + i * PARTS * K, PARTS, K, log_prior, w, log_q);
            assert_true(fabs(info_log_sum_exp(log_q, K)) < 1e-12);
            loss[trial] -= log_q[labels[i]];
        }
        assert_true(trial == 0 || loss[trial] > loss[0] || (trial == 4 && weights[1] <= 0)); /* a weight is not negative */
    }
}

struct matrices {
    struct table_matrix plain, holes, squares;
};

static void make_matrices(const struct infomask_table *table, const uint32_t *order, const struct table_data *data,
                          struct matrices *m)
{
    assert_int_equal(table_plain(table, order, data, &m->plain, NULL), INFOMASK_OK);
    assert_int_equal(table_holes(table, order, data, &m->holes, NULL), INFOMASK_OK);
    assert_int_equal(table_squares(&m->plain, &m->squares, NULL), INFOMASK_OK);
}

static void free_matrices(struct matrices *m)
{
    table_matrix_fini(&m->plain);
    table_matrix_fini(&m->holes);
    table_matrix_fini(&m->squares);
}

/* Rows that are made when they are asked for are those that would have been stored. */
static void test_rows_that_are_not_stored(void **state)
{
    enum { N = 300, COLUMNS = 4, CUT = 130 };
    static float x[N * COLUMNS];
    static uint32_t labels[N], order[N], levels[COLUMNS] = {0, 0, 0, 7};
    const struct infomask_table table = {N, COLUMNS, 2, x, labels, levels, NULL, NULL};
    const struct table_data all = {.n = N, .classes = 2, .folds = 2, .start = {0, CUT, N}, .stored = {0, CUT, N}};
    const struct table_data some = {.n = N, .classes = 2, .folds = 2, .start = {0, CUT, N}, .stored = {0, 100, 190}};
    struct random_stream random = random_stream(3, 1);
    struct matrices whole, part;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        order[i] = (uint32_t)(N - 1 - i);
        x[i * COLUMNS] = random_unit(&random) < 0.1 ? NAN : (float)(10 * random_normal(&random));
        x[i * COLUMNS + 1] = (float)random_below(&random, 5);
        x[i * COLUMNS + 2] = (float)random_normal(&random);
        x[i * COLUMNS + 3] = (float)random_below(&random, 7);
    }
    make_matrices(&table, order, &all, &whole);
    make_matrices(&table, order, &some, &part);
    assert_true(part.plain.n == 190 && part.holes.n == 190 && part.squares.n == 190 && whole.squares.n == N);
    const struct table_matrix *of[][2] = {
        {&whole.plain, &part.plain}, {&whole.holes, &part.holes}, {&whole.squares, &part.squares}};
    for (size_t m = 0; m < 3; m++) {
        static float scratch[60 * 400];
        size_t width = of[m][0]->width;
        assert_true(width > COLUMNS && width <= 400 && of[m][1]->width == width);
        for (size_t first = 0; first < N; first += 10) /* stored, half stored, not stored */
            assert_memory_equal(table_rows(&all, of[m][0], first, 10, NULL),
                                table_rows(&some, of[m][1], first, 10, scratch), 10 * width * sizeof(float));
        assert_ptr_equal(table_rows(&some, of[m][1], 130, 60, NULL), of[m][1]->x + 100 * width);
        assert_ptr_equal(table_rows(&some, of[m][1], 170, 60, scratch), scratch);
    }
    free_matrices(&whole);
    free_matrices(&part);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_label_of_a_fold_is_seen), cmocka_unit_test(test_threads_and_seeds),
        cmocka_unit_test(test_known_information),          cmocka_unit_test(test_odd_columns),
        cmocka_unit_test(test_refusals),                   cmocka_unit_test(test_a_stop),
        cmocka_unit_test(test_pool),                       cmocka_unit_test(test_sharp_borders),
        cmocka_unit_test(test_holes_and_categories),       cmocka_unit_test(test_groups_are_kept_together),
        cmocka_unit_test(test_noise_of_groups),            cmocka_unit_test(test_weighted_report),
        cmocka_unit_test(test_rows_that_are_not_stored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
