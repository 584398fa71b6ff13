/* How well the mutual information of a table is estimated, on tasks whose true value is known (`make tasks`).
 *
 *   tasks [--rows N]... [--seeds S] [--first SEED] [--write FOLDER] [NAME ...]
 *
 * Default: 1000 and 10000 rows, 3 seeds, every task.  --write keeps each table with what was said of its rows, for
 * tests/bench/tasks_peers.py.
 *
 * Two mixes: the built-in tasks (core/info/tasks.h), and others that nothing here was fitted to: curved borders,
 * mixtures, heavy tails, counts, codes, columns of noise.  Beside each estimate stands that of the exact posterior on
 * the same rows, which errs by sampling alone.  Fails where the bars of docs/information.md are missed.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/cpu.h"
#include "core/base/pool.h"
#include "core/base/random.h"
#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/tasks.h"
#include "core/info/totals.h"
#include "core/infomask.h"
#include "core/infomask_train.h"

#define MOST_CLASSES 200
#define MOST_COLUMNS 10000
#define TRUTH_WORK 100 /* classes times columns from which on fewer rows are drawn for it */
#define TRUTH_ROWS 2000000 /* of the others' true values: standard error about 4e-4 at most */

/* ---- The other tasks ----------------------------------------------------------------------------------------------- */

struct task {
    const char *name;
    int classes, columns;
    /* fills x, and log p(y|x) up to a constant a row; returns the label */
    uint32_t (*sample)(const struct task *task, struct random_stream *random, float *x, double *log_p);
    double parameter;
};

static double squared(double x)
{
    return x * x;
}

/* Same means, deviations 1, 2, 4. */
static uint32_t sample_spread(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);
    double norm = 0;

    for (int j = 0; j < task->columns; j++) {
        x[j] = (float)(ldexp(1, (int)y) * random_normal(random));
        norm += squared((double)x[j]);
    }
    for (int k = 0; k < task->classes; k++)
        log_p[k] = -0.5 * norm / ldexp(1, 2 * k) - task->columns * k * log(2);
    return y;
}

static double log_bessel_i0(double x) /* series and asymptote */
{
    double sum = 1, term = 1;

    if (x > 30)
        return x - 0.5 * log(2 * M_PI * x) + log1p(1 / (8 * x) + 9 / (128 * x * x) + 225 / (3072 * x * x * x));
    for (int i = 1; i < 200 && term > 1e-17 * sum; i++)
        sum += term *= squared(x / 2 / i);
    return log(sum);
}

/* Circles of radius 1, 2, 3 under noise. */
static uint32_t sample_rings(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);
    double angle = 2 * M_PI * random_unit(random), s = task->parameter;

    x[0] = (float)((y + 1) * cos(angle) + s * random_normal(random));
    x[1] = (float)((y + 1) * sin(angle) + s * random_normal(random));
    for (int k = 0; k < task->classes; k++)
        log_p[k] = -0.5 * squared((k + 1) / s) + log_bessel_i0(hypot((double)x[0], (double)x[1]) * (k + 1) / s / s);
    return y;
}

/* The label says whether two signs agree; the other columns are noise. */
static uint32_t sample_xor(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, 2), sign = random_below(random, 2);
    double a = task->parameter, u, v;

    for (int j = 0; j < task->columns; j++)
        x[j] = (float)random_normal(random);
    x[0] += (float)(sign ? a : -a);
    x[1] += (float)(sign ^ y ? a : -a);
    u = a * (double)x[0];
    v = a * (double)x[1];
    log_p[0] = log(cosh(u + v));
    log_p[1] = log(cosh(u - v));
    return y;
}

/* Uniform on [y, y + 1.5]: borders like steps. */
static uint32_t sample_steps(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);

    x[0] = (float)(y + 1.5 * random_unit(random));
    for (int k = 0; k < task->classes; k++)
        log_p[k] = x[0] >= (float)k && x[0] <= (float)k + 1.5f ? 0 : -700;
    return y;
}

/* Student's t with 2 degrees of freedom around the class's corner. */
static uint32_t sample_tails(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);

    for (int k = 0; k < task->classes; k++)
        log_p[k] = 0;
    for (int j = 0; j < task->columns; j++) {
        double t = random_normal(random) / sqrt(-log(1 - random_unit(random)));
        x[j] = (float)((y == (uint32_t)j ? task->parameter : 0) + t);
        for (int k = 0; k < task->classes; k++)
            log_p[k] -= 1.5 * log1p(squared((double)x[j] - (k == j ? task->parameter : 0)) / 2);
    }
    return y;
}

/* exp of a normal number: log-normal, wide. */
static uint32_t sample_lognormal(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);

    for (int k = 0; k < task->classes; k++)
        log_p[k] = 0;
    for (int j = 0; j < task->columns; j++) {
        double t = (double)y * task->parameter + 1.5 * random_normal(random);
        x[j] = (float)exp(t);
        for (int k = 0; k < task->classes; k++)
            log_p[k] -= 0.5 * squared((log((double)x[j]) - k * task->parameter) / 1.5);
    }
    return y;
}

/* Columns that share a strong common factor: x = L g + mean. */
static uint32_t sample_factor(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);
    double common = 3 * random_normal(random), d = task->columns, dot[MOST_CLASSES] = {0}, sum[MOST_CLASSES] = {0};

    for (int j = 0; j < task->columns; j++) /* column j belongs to class j % K */
        x[j] = (float)(common + random_normal(random) + (j % task->classes == (int)y ? task->parameter : 0));
    for (int k = 0; k < task->classes; k++) {
        log_p[k] = 0;
        for (int j = 0; j < task->columns; j++) {
            double r = (double)x[j] - (j % task->classes == k ? task->parameter : 0);
            dot[k] += r * r;
            sum[k] += r;
        }
        log_p[k] = -0.5 * (dot[k] - 9 * sum[k] * sum[k] / (1 + 9 * d)); /* the inverse of I + 9 11' */
    }
    return y;
}

/* One column of many tells. */
static uint32_t sample_needle(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_unit(random) < 0.3;

    for (int j = 0; j < task->columns; j++)
        x[j] = (float)random_normal(random);
    x[7] += (float)(y * task->parameter);
    log_p[0] = log(0.7) - 0.5 * squared((double)x[7]);
    log_p[1] = log(0.3) - 0.5 * squared((double)x[7] - task->parameter);
    return y;
}

/* A code of 20 values without order, each with its own posterior. */
static uint32_t sample_codes(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t code = random_below(random, 20), y = 0;
    struct random_stream table = random_stream(99, code);
    double u = random_unit(random), sum = 0;

    for (int k = 0; k < task->classes; k++)
        sum += exp(log_p[k] = 1.5 * random_normal(&table));
    while (y + 1 < (uint32_t)task->classes && u >= exp(log_p[y]) / sum)
        u -= exp(log_p[y++]) / sum;
    x[0] = (float)code;
    return y;
}

/* Poisson counts with rates 1, 2, 4, 8. */
static uint32_t sample_counts(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);

    for (int k = 0; k < task->classes; k++)
        log_p[k] = 0;
    for (int j = 0; j < task->columns; j++) {
        double rate = ldexp(1, (int)y), left = random_unit(random), p = exp(-rate);
        int count = 0;
        while (left >= p && count < 100) {
            left -= p;
            p *= rate / ++count;
        }
        x[j] = (float)count;
        for (int k = 0; k < task->classes; k++)
            log_p[k] += count * k * log(2) - ldexp(1, k);
    }
    return y;
}

/* Classes on a 5 x 4 grid. */
static uint32_t sample_grid(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y = random_below(random, (uint32_t)task->classes);

    x[0] = (float)(task->parameter * (y % 5) + random_normal(random));
    x[1] = (float)(task->parameter * (y / 5) + random_normal(random));
    for (int k = 0; k < task->classes; k++)
        log_p[k] = -0.5 * squared((double)x[0] - task->parameter * (k % 5)) -
                   0.5 * squared((double)x[1] - task->parameter * (k / 5));
    return y;
}

/* A chess-board of 3 x 3 fields; one label in ten is wrong. */
static uint32_t sample_chess(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    uint32_t y;

    x[0] = (float)(3 * random_unit(random));
    x[1] = (float)(3 * random_unit(random));
    y = ((uint32_t)x[0] + (uint32_t)x[1]) % 2;
    log_p[y] = log(1 - task->parameter);
    log_p[1 - y] = log(task->parameter);
    return random_unit(random) < task->parameter ? 1 - y : y;
}

/* A sine in one column decides, softly. */
static uint32_t sample_sine(const struct task *task, struct random_stream *random, float *x, double *log_p)
{
    double z;

    for (int j = 0; j < task->columns; j++)
        x[j] = (float)(2 * random_unit(random) - 1);
    z = task->parameter * sin(6 * (double)x[0]);
    log_p[0] = -log1p(exp(z));
    log_p[1] = -log1p(exp(-z));
    return log(random_unit(random)) < log_p[1];
}

static const struct task others[] = {
    {"spread3-d1", 3, 1, sample_spread, 0},       {"spread3-d4", 3, 4, sample_spread, 0},
    {"rings3-s0.3", 3, 2, sample_rings, 0.3},     {"rings3-s0.6", 3, 2, sample_rings, 0.6},
    {"xor-d2-a1", 2, 2, sample_xor, 1},           {"xor-d8-a1.5", 2, 8, sample_xor, 1.5},
    {"steps5", 5, 1, sample_steps, 0},            {"tails4-a2", 4, 4, sample_tails, 2},
    {"lognormal3-d2", 3, 2, sample_lognormal, 1}, {"factor3-d12", 3, 12, sample_factor, 0.7},
    {"needle-d50", 2, 50, sample_needle, 1.5},    {"codes20-k4", 4, 1, sample_codes, 0},
    {"counts4-d1", 4, 1, sample_counts, 0},       {"counts4-d3", 4, 3, sample_counts, 0},
    {"grid20-s1.5", 20, 2, sample_grid, 1.5},     {"chess-e0.1", 2, 2, sample_chess, 0.1},
    {"sine-d3", 2, 3, sample_sine, 3},
};

#include "tests/bench/tangled.h"

static double normalise(double *log_p, int classes)
{
    double normal = info_log_sum_exp(log_p, (size_t)classes);

    for (int k = 0; k < classes; k++)
        log_p[k] -= normal;
    return normal;
}

/* I = E KL(p(.|x) || p), the mean of the posteriors being p: half the variance of the PMI's mean. */
static double other_truth(const struct task *task)
{
    double prior[MOST_CLASSES] = {0}, sum = 0, log_p[MOST_CLASSES], entropy = 0;
    int work = task->classes * task->columns / TRUTH_WORK;
    uint64_t rows = TRUTH_ROWS / (uint64_t)(work > 1 ? work : 1);
    static float x[MOST_COLUMNS];

    for (uint64_t i = 0; i < rows; i++) {
        struct random_stream random = random_stream(UINT64_C(0xfeed), i);
        (void)task->sample(task, &random, x, log_p);
        (void)normalise(log_p, task->classes);
        sum += info_entropy(log_p, (size_t)task->classes);
        for (int k = 0; k < task->classes; k++)
            prior[k] += exp(log_p[k]) / (double)rows;
    }
    for (int k = 0; k < task->classes; k++)
        entropy -= prior[k] * log(prior[k]);
    return entropy - sum / (double)rows;
}

/* ---- One run ------------------------------------------------------------------------------------------------------- */

struct run {
    double estimate, limit, exact, seconds;
};

struct rows {
    size_t n, columns;
    int classes;
    float *x;
    uint32_t *labels, *levels; /* levels [columns] */
    double *log_p; /* [n] exact log p(label | x) */
    struct info_point *points;
};

static void draw(const struct task *other, size_t index, uint64_t seed, struct rows *rows)
{
    double log_p[MOST_CLASSES];
    struct info_task task = {0};

    if (other == NULL)
        task = info_task_at(index);
    rows->classes = other != NULL ? other->classes : (int)task.classes;
    rows->columns = other != NULL ? (size_t)other->columns : task.dimensions;
    for (size_t i = 0; i < rows->n; i++) {
        float *x = rows->x + i * rows->columns;
        if (other != NULL) {
            struct random_stream random = random_stream(seed, i);
            rows->labels[i] = other->sample(other, &random, x, log_p);
            (void)normalise(log_p, other->classes);
        } else {
            rows->labels[i] = info_task_sample(&task, seed, i, x);
            info_task_posterior(&task, x, log_p);
        }
        rows->log_p[i] = log_p[rows->labels[i]];
    }
}

/* FOLDER/name-rows-seed: u32 rows, columns, classes, f64 truth; f32 x; u32 labels; f64 log q(label | x). */
static int write_run(const char *folder, const char *name, uint64_t seed, double truth, const struct rows *rows)
{
    const uint32_t shape[] = {(uint32_t)rows->n, (uint32_t)rows->columns, (uint32_t)rows->classes};
    char path[4096];
    FILE *file;

    (void)snprintf(path, sizeof path, "%s/%s-%zu-%llu", folder, name, rows->n, (unsigned long long)seed);
    file = fopen(path, "wb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    (void)fwrite(shape, sizeof *shape, 3, file);
    (void)fwrite(&truth, sizeof truth, 1, file);
    (void)fwrite(rows->x, sizeof *rows->x, rows->n * rows->columns, file);
    (void)fwrite(rows->labels, sizeof *rows->labels, rows->n, file);
    for (size_t i = 0; i < rows->n; i++)
        (void)fwrite(&rows->points[i].log_q, sizeof(double), 1, file);
    if (fclose(file) == 0)
        return 0;
    perror(path);
    return 1;
}

static double seconds_now(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int estimate(const struct rows *rows, uint64_t seed, struct pool *pool, struct run *run, int verbose)
{
    const struct infomask_table table = {rows->n, rows->columns, rows->classes, rows->x, rows->labels, rows->levels, NULL, NULL};
    const struct infomask_table_options options = {.seed = seed};
    struct infomask_table_result result;
    struct infomask_error err;
    struct info_limits limits;
    double start = seconds_now(), count[MOST_CLASSES] = {0}, entropy = 0, loss = 0, exact = 0;

    if (infomask_table_estimate(&table, &options, pool, &result, &err) != INFOMASK_OK) {
        (void)fprintf(stderr, "tasks: %s\n", err.text);
        return 1;
    }
    for (size_t i = 0; i < rows->n; i++) {
        char id[24];
        (void)snprintf(id, sizeof id, "%zu", i);
        rows->points[i] = (struct info_point){info_order(id), (double)result.log_q[i * (size_t)rows->classes + rows->labels[i]],
                                              rows->labels[i], 0, 0};
        count[rows->labels[i]]++;
        loss -= rows->points[i].log_q / (double)rows->n;
        exact -= rows->log_p[i] / (double)rows->n;
    }
    for (int k = 0; k < rows->classes; k++)
        entropy -= count[k] > 0 ? count[k] / (double)rows->n * log(count[k] / (double)rows->n) : 0;
    run->seconds = seconds_now() - start;
    run->estimate = entropy - loss;
    run->exact = entropy - exact;
    bool limited = info_limits(rows->points, rows->n, (size_t)rows->classes, 0.975, &limits, NULL) == INFOMASK_OK;
    run->limit = limited ? limits.betting : NAN;
    for (int m = 0; verbose && m < result.part_count; m++)
        (void)printf("    %-10s weight %5.2f alone %.4f\n", result.parts[m].name, result.parts[m].weight,
                     result.parts[m].information);
    infomask_table_result_fini(&result);
    return 0;
}

/* ---- A mix ----------------------------------------------------------------------------------------------------------- */

struct sums {
    int runs, valid;
    double square, bias, exact_square, exact_bias, slowest;
};

struct options {
    size_t rows[8];
    int row_counts, seeds, verbose;
    uint64_t first;
    const char *folder; /* for the tables and their answers; NULL: they are not kept */
    char **names;
    int name_count;
};

static int wanted(const struct options *o, const char *name)
{
    for (int i = 0; i < o->name_count; i++)
        if (strncmp(o->names[i], name, strlen(o->names[i])) == 0)
            return 1;
    return o->name_count == 0;
}

/* One of three kinds of task; other NULL: the built-in one of that index. */
static double truth_of(const struct task *other, const struct tangled *tangle, size_t index)
{
    struct info_task task = info_task_at(other != NULL ? 0 : index);
    struct task narrow;

    if (other == NULL)
        return info_task_truth(&task);
    narrow = *other;
    narrow.columns = tangle != NULL ? tangle->truth_columns : other->columns;
    return other_truth(&narrow);
}

static int run_task(const struct options *o, const struct task *other, const struct tangled *tangle, size_t index,
                    struct rows *rows, struct pool *pool, struct sums *sums)
{
    const char *name = other != NULL ? other->name : info_task_at(index).name;
    double truth = truth_of(other, tangle, index), square = 0, bias = 0, exact = 0, ebias = 0;
    double slowest = 0, distance = 0;
    int valid = 0;

    for (int s = 0; s < o->seeds; s++) {
        struct run run = {0};
        draw(other, index, o->first + (uint64_t)s, rows);
        if (estimate(rows, o->first + (uint64_t)s, pool, &run, o->verbose) != 0)
            return 1;
        if (o->folder != NULL && write_run(o->folder, name, o->first + (uint64_t)s, truth, rows) != 0)
            return 1;
        square += squared(run.estimate - truth) / o->seeds;
        bias += (run.estimate - truth) / o->seeds;
        exact += squared(run.exact - truth) / o->seeds;
        ebias += (run.exact - truth) / o->seeds;
        distance += (run.estimate - run.limit) / o->seeds;
        valid += run.limit <= truth;
        slowest = fmax(slowest, run.seconds);
    }
    sums->runs += o->seeds;
    sums->valid += valid;
    sums->square += square * o->seeds;
    sums->bias += bias * o->seeds;
    sums->exact_square += exact * o->seeds;
    sums->exact_bias += ebias * o->seeds;
    sums->slowest = fmax(sums->slowest, slowest);
    (void)printf("%-18s %6zu %8.4f %8.4f %+8.4f %8.4f %+8.4f %4d/%d %7.4f %6.1f\n", name, rows->n, truth, sqrt(square), bias,
                 sqrt(exact), ebias, valid, o->seeds, distance, slowest);
    (void)fflush(stdout);
    return 0;
}

static void rows_fini(struct rows *rows)
{
    free(rows->x);
    free(rows->labels);
    free(rows->levels);
    free(rows->log_p);
    free(rows->points);
}

/* Room for n rows of a task, and what its columns are. */
static int rows_init(struct rows *rows, size_t n, size_t columns, uint32_t levels)
{
    *rows = (struct rows){.n = n, .x = malloc(n * columns * sizeof(float)), .labels = malloc(n * sizeof(uint32_t)),
                          .levels = malloc(columns * sizeof(uint32_t)), .log_p = malloc(n * sizeof(double)),
                          .points = malloc(n * sizeof(struct info_point))};
    for (size_t j = 0; rows->levels != NULL && j < columns; j++)
        rows->levels[j] = levels;
    return rows->x == NULL || rows->labels == NULL || rows->levels == NULL || rows->log_p == NULL || rows->points == NULL;
}

enum mix { BUILT_IN, OTHERS, TANGLED };

static int run_one(const struct options *o, enum mix mix, size_t i, size_t n, struct pool *pool, struct sums *sums)
{
    const struct tangled *tangle = mix == TANGLED ? &tangled[i] : NULL;
    const struct task *other = mix == BUILT_IN ? NULL : mix == OTHERS ? &others[i] : &tangle->task;
    struct rows rows;
    int failed;

    if (!wanted(o, other == NULL ? info_task_at(i).name : other->name))
        return 0;
    failed = rows_init(&rows, mix == TANGLED ? tangle->rows : n, other != NULL ? (size_t)other->columns : INFO_TASK_MAX_DIMENSIONS,
                       tangle != NULL ? tangle->levels : 0);
    if (!failed)
        failed = run_task(o, other, tangle, i, &rows, pool, sums);
    rows_fini(&rows);
    return failed;
}

static int run_mix(const struct options *o, enum mix mix, size_t n, struct pool *pool)
{
    static const char *const names[] = {"ALL BUILT-IN", "ALL OTHERS", "ALL TANGLED"};
    const size_t counts[] = {info_task_count(), sizeof others / sizeof *others, sizeof tangled / sizeof *tangled};
    struct sums s = {0};
    double bar = n >= 10000 ? 0.014 : 0.051, least, rmse, bias;
    int failed = 0;

    for (size_t i = 0; !failed && i < counts[mix]; i++)
        failed = run_one(o, mix, i, n, pool, &s);
    if (failed || s.runs == 0)
        return failed;
    rmse = sqrt(s.square / s.runs);
    bias = s.bias / s.runs;
    least = 0.975 - 2 * sqrt(0.975 * 0.025 / s.runs);
    failed = mix == BUILT_IN && (rmse > bar || bias > 0.002);
    failed |= s.valid < least * s.runs;
    (void)printf("%-18s %6zu %8s %8.4f %+8.4f %8.4f %+8.4f %d/%d, slowest %.1f s%s\n\n", names[mix], mix == TANGLED ? 0 : n,
                 "", rmse, bias, sqrt(s.exact_square / s.runs), s.exact_bias / s.runs, s.valid, s.runs, s.slowest,
                 failed ? "  BAR MISSED" : "");
    return failed;
}

static int read_options(int argc, char **argv, struct options *o)
{
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "-v") == 0) {
            o->verbose = 1;
            continue;
        }
        if (i + 1 == argc)
            return 1;
        if (strcmp(argv[i], "--rows") == 0 && o->row_counts < 8)
            o->rows[o->row_counts++] = (size_t)strtoul(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--seeds") == 0)
            o->seeds = (int)strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--first") == 0)
            o->first = strtoull(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--write") == 0)
            o->folder = argv[++i];
        else
            return 1;
    }
    o->names = argv + i;
    o->name_count = argc - i;
    if (o->row_counts == 0) {
        o->rows[0] = 1000;
        o->rows[1] = 10000;
        o->row_counts = 2;
    }
    return o->seeds < 1;
}

int main(int argc, char **argv)
{
    struct options o = {.seeds = 3, .first = 1};
    struct pool *pool = NULL;
    int failed = 0;

    if (read_options(argc, argv, &o) != 0 || pool_create(&pool, cpu_count(), infomask_worker_start, NULL, NULL) != INFOMASK_OK)
        return 2;
    (void)printf("%-18s %6s %8s %8s %8s %8s %8s %6s %7s %6s\n", "task", "rows", "I", "RMSE", "bias", "exact's", "bias",
                 "limit", "dist", "s");
    for (int i = 0; i < o.row_counts; i++)
        for (enum mix mix = BUILT_IN; mix <= OTHERS; mix++)
            failed |= run_mix(&o, mix, o.rows[i], pool);
    failed |= run_mix(&o, TANGLED, 0, pool);
    pool_free(pool);
    return failed;
}
