/* What a table says where it is sparse or tangled: two columns of many that tell only together, one telling column of
 * thousands, many classes with few rows; and what each column says. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/infomask_train.h"

static float *new_rows(size_t rows, size_t columns)
{
    float *x = malloc(rows * columns * sizeof *x);

    assert_non_null(x);
    return x;
}

static struct infomask_table_result estimate(const struct infomask_table *table, int folds, size_t columns, struct pool *pool)
{
    const struct infomask_table_options options = {.seed = 3, .folds = folds, .columns = columns};
    struct infomask_table_result result;
    struct infomask_error err;

    if (infomask_table_estimate(table, &options, pool, &result, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return result;
}

static double information(const struct infomask_table *table, const float *log_q)
{
    double *count = calloc((size_t)table->classes, sizeof *count), sum = 0;

    assert_non_null(count);
    for (size_t i = 0; i < table->rows; i++)
        count[table->labels[i]]++;
    for (size_t i = 0; i < table->rows; i++)
        sum += (double)log_q[i * (size_t)table->classes + table->labels[i]] -
               log(count[table->labels[i]] / (double)table->rows);
    free(count);
    return sum / (double)table->rows;
}

static void check(const struct infomask_table *table, int folds, double least, double most)
{
    struct infomask_table_result result = estimate(table, folds, 0, NULL);
    double got = information(table, result.log_q);

    if (!(got >= least && got <= most))
        fail_msg("%.4f is not in %.4f to %.4f", got, least, most);
    infomask_table_result_fini(&result);
}

/* The sign of a product of two of 30 columns, right in nine cases of ten: alone no column says anything. */
static void test_two_columns_that_tell_together(void **state)
{
    enum { N = 1500, D = 30 };
    const double truth = log(2) + 0.1 * log(0.1) + 0.9 * log(0.9);
    struct random_stream random = random_stream(1, 1);
    float *x = new_rows(N, D);
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)random_normal(&random);
        labels[i] = ((x[i * D + 4] < 0) ^ (x[i * D + 21] < 0)) ^ (random_unit(&random) < 0.1);
    }
    check(&table, 3, 0.75 * truth, truth + 0.03);
    free(x);
}

/* Two categories of six values, equal in parity or not; six other ones. */
static void test_categories_that_interact(void **state)
{
    enum { N = 1200, D = 8 };
    static uint32_t levels[D] = {6, 6, 6, 6, 6, 6, 6, 6};
    const double truth = log(2) + 0.1 * log(0.1) + 0.9 * log(0.9);
    struct random_stream random = random_stream(2, 1);
    float *x = new_rows(N, D);
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels, .levels = levels};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)random_below(&random, 6);
        labels[i] = ((uint32_t)x[i * D + 2] + (uint32_t)x[i * D + 6]) % 2 ^ (random_unit(&random) < 0.1);
    }
    check(&table, 3, 0.75 * truth, truth + 0.03);
    free(x);
}

/* Categories of 12 and of 9 values of which every pair has a label of its own, right in nine cases of ten (.345 nats where
 * values are looked at eight by eight); one of 300 values, each with a label of its own (.231 where 256 are told apart). */
static void test_categories_of_many_values(void **state)
{
    enum { N = 2000, D = 3 };
    static uint32_t levels[] = {12, 9, 40}, labels[N], many[] = {300};
    const double truth = log(2) + 0.1 * log(0.1) + 0.9 * log(0.9);
    struct random_stream random = random_stream(2, 2);
    float *x = new_rows(N, D);
    struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels, .levels = levels};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct random_stream pair;
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)random_below(&random, levels[j]);
        pair = random_stream(9, (uint64_t)(x[i * D] * 9 + x[i * D + 1]));
        labels[i] = random_below(&pair, 2) ^ (random_unit(&random) < 0.1);
    }
    check(&table, 5, 0.97 * truth, truth + 0.03);
    table.columns = 1;
    table.levels = many;
    for (size_t i = 0; i < N; i++) {
        struct random_stream value = random_stream(10, i % 300);
        x[i] = (float)(i % 300);
        labels[i] = random_below(&value, 2) ^ (random_unit(&random) < 0.1);
    }
    check(&table, 5, 0.75 * truth, truth + 0.03);
    free(x);
}

/* One of 4,000 columns in 100 rows has two means 3 apart: 0.527 nats, of which two thirds are to be found. */
static void test_one_column_of_thousands(void **state)
{
    enum { N = 100, D = 4000 };
    struct random_stream random = random_stream(3, 1);
    float *x = new_rows(N, D);
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        labels[i] = random_below(&random, 2);
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)(random_normal(&random) + (j == 777 && labels[i] ? 3 : 0));
    }
    check(&table, 4, 0.667 * 0.527, 0.6);
    free(x);
}

/* One of 1,500 columns in 100 rows, whose middle is one class and its ends the other: no class mean tells of it. */
static void test_the_middle_of_one_column(void **state)
{
    enum { N = 100, D = 1500 };
    struct random_stream random = random_stream(5, 1);
    float *x = new_rows(N, D);
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels};

    (void)state;
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = (float)(2 * random_unit(&random) - 1);
        labels[i] = fabsf(x[i * D + 333]) < 0.5f;
    }
    check(&table, 4, 0.6 * log(2), log(2));
    free(x);
}

/* 40 classes of five rows each, in 12 columns that are correlated within each class. */
static void test_many_classes_of_few_rows(void **state)
{
    enum { N = 200, D = 12, K = 40 };
    struct random_stream random = random_stream(4, 1);
    float *x = new_rows(N, D), mean[K][D];
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = K, .x = x, .labels = labels};

    (void)state;
    for (size_t k = 0; k < K; k++)
        for (size_t j = 0; j < D; j++)
            mean[k][j] = (float)random_normal(&random);
    for (size_t i = 0; i < N; i++) {
        float common = 2 * (float)random_normal(&random);
        labels[i] = (uint32_t)(i % K);
        for (size_t j = 0; j < D; j++)
            x[i * D + j] = mean[labels[i]][j] + common + 0.5f * (float)random_normal(&random);
    }
    check(&table, 5, 0.6 * log(K), log(K));
    free(x);
}

/* Forty classes, each of them two of eighty steps of one column: no cloud, and no plane, tells one from another.  A tree's
 * splits are found by some of the classes only, and are the same whatever the number of threads. */
static void test_many_classes_in_steps(void **state)
{
    enum { N = 1600, K = 40 };
    struct random_stream random = random_stream(6, 1);
    static float x[2 * N];
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = 2, .classes = K, .x = x, .labels = labels};
    struct infomask_table_result one, three;
    struct pool *pool = NULL;
    bool seen = false;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        double at = random_unit(&random);
        x[2 * i] = (float)at;
        x[2 * i + 1] = (float)random_normal(&random);
        labels[i] = (uint32_t)(at * 2 * K) * 27 % K;
    }
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    one = estimate(&table, 3, 0, NULL);
    three = estimate(&table, 3, 0, pool);
    assert_memory_equal(one.log_q, three.log_q, (size_t)N * K * sizeof *one.log_q);
    for (int m = 0; m < one.part_count; m++)
        if (strcmp(one.parts[m].name, "trees") == 0) {
            seen = true;
            assert_true(one.parts[m].information > 0.5 * log(K));
        }
    assert_true(seen);
    infomask_table_result_fini(&one);
    infomask_table_result_fini(&three);
    pool_free(pool);
}

/* What a column says alone, and what is lost without it: a and b are noisy copies of the label, independent given it, c
 * is a noisy copy of a, d is noise. */
static void test_what_columns_say(void **state)
{
    enum { N = 2000, D = 5 };
    struct random_stream random = random_stream(5, 1);
    const double one = log(2) + 0.2 * log(0.2) + 0.8 * log(0.8), both = 0.3192; /* I(a;y), I(a,b;y) */
    float *x = new_rows(N, D);
    static uint32_t labels[N];
    const struct infomask_table table = {.rows = N, .columns = D, .classes = 2, .x = x, .labels = labels};
    struct infomask_table_result result, three;
    struct pool *pool = NULL;
    const struct infomask_table_column *c;

    (void)state;
    for (size_t i = 0; i < N; i++) {
        labels[i] = random_below(&random, 2);
        x[i * D] = (float)(labels[i] ^ (random_unit(&random) < 0.2));
        x[i * D + 1] = (float)(labels[i] ^ (random_unit(&random) < 0.2));
        x[i * D + 2] = (float)random_normal(&random) + 0.1f * x[i * D];
        x[i * D + 3] = (float)random_normal(&random);
        x[i * D + 4] = 7;
    }
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    result = estimate(&table, 4, 3, NULL);
    three = estimate(&table, 4, 3, pool);
    c = result.columns;
    assert_memory_equal(c, three.columns, 3 * sizeof *c);
    for (int j = 0; j < 2; j++) {
        assert_true(fabs(c[j].alone - one) < 0.03 && c[j].alone_limit < c[j].alone && c[j].alone_limit > 0.1);
        if (!(fabs(c[j].lost - (both - one)) < 0.05 && c[j].lost_low < both - one && c[j].lost_high > both - one))
            fail_msg("%.4f (%.4f to %.4f), not %.4f", c[j].lost, c[j].lost_low, c[j].lost_high, both - one);
    }
    assert_true(fabs(c[2].alone) < 0.01 && c[2].alone_limit < 0.005 && fabs(c[3].alone) < 0.01);
    assert_true(isnan(c[2].lost) != isnan(c[3].lost)); /* three columns are asked for */
    assert_true(isnan(c[4].alone) && isnan(c[4].lost)); /* constant */
    infomask_table_result_fini(&result);
    infomask_table_result_fini(&three);
    pool_free(pool);
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_columns_that_tell_together), cmocka_unit_test(test_categories_that_interact),
        cmocka_unit_test(test_one_column_of_thousands),        cmocka_unit_test(test_many_classes_of_few_rows),
        cmocka_unit_test(test_what_columns_say),             cmocka_unit_test(test_categories_of_many_values),
        cmocka_unit_test(test_the_middle_of_one_column),       cmocka_unit_test(test_many_classes_in_steps),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
