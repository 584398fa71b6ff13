/* How often the lower limits on I(X;Y) are valid: every task, exact posteriors, seeded runs (`make coverage`).
 *
 *   coverage [RUNS [SAMPLES ...]]      default: 1000 20 100 1000 10000
 *
 * Fails if the betting limit of a task holds so rarely that 97.5 % lies above the exact (Clopper and Pearson) interval of
 * 99.9 %.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/base/cpu.h"
#include "core/base/pool.h"
#include "core/info/limits.h"
#include "core/info/tasks.h"
#include "core/info/totals.h"

struct run { /* of one task at one number of samples */
    double estimate, betting, bernstein, t;
    int failed;
};

struct cell {
    struct info_task task;
    size_t samples;
    struct run *runs;
};

static void draw_points(const struct cell *cell, uint64_t seed, struct info_point *points, double *counts)
{
    for (size_t i = 0; i < cell->samples; i++) {
        float x[INFO_TASK_MAX_DIMENSIONS];
        double log_p[INFO_TASK_MAX_CLASSES];
        char id[24];
        uint32_t label = info_task_sample(&cell->task, seed, i, x);
        info_task_posterior(&cell->task, x, log_p);
        (void)snprintf(id, sizeof id, "%zu", i);
        points[i] = (struct info_point){info_order(id), log_p[label], label, 0, 0};
        counts[label]++;
    }
}

static void one_run(void *context, int index, int worker)
{
    struct cell *cell = context;
    struct run *run = &cell->runs[index];
    struct info_point *points = malloc(cell->samples * sizeof *points);
    double counts[INFO_TASK_MAX_CLASSES] = {0}, n = (double)cell->samples, mean = 0, squares = 0;
    struct info_limits limits;

    (void)worker;
    run->failed = points == NULL;
    if (points == NULL)
        return;
    draw_points(cell, (uint64_t)index, points, counts);
    for (size_t i = 0; i < cell->samples; i++) {
        double v = points[i].log_q - log(counts[points[i].label] / n), step = v - mean;
        mean += step / (double)(i + 1);
        squares += step * (v - mean);
    }
    run->failed = info_limits(points, cell->samples, cell->task.classes, 0.975, &limits, NULL) != INFOMASK_OK;
    run->estimate = mean;
    run->betting = limits.betting;
    run->bernstein = limits.bernstein;
    run->t = info_t_limit(mean, sqrt(squares / (n - 1)), n, 0.975);
    free(points);
}

/* P(X >= hits) for a binomial X of `runs` tries of probability p, less `tail`, rises in p: the p where it is 0. */
static double binomial_bound(int hits, int runs, double tail, int upper)
{
    double low = 0, high = 1;

    if (upper ? hits == runs : hits == 0)
        return upper;
    for (int step = 0; step < 60; step++) {
        double p = 0.5 * (low + high), sum = 0;
        for (int k = upper ? 0 : hits; k <= (upper ? hits : runs); k++)
            sum += exp(lgamma(runs + 1.0) - lgamma(k + 1.0) - lgamma(runs - k + 1.0) + k * log(p) + (runs - k) * log1p(-p));
        if ((sum > tail) == (upper != 0))
            low = p;
        else
            high = p;
    }
    return 0.5 * (low + high);
}

static int print_cell(const struct cell *cell, int runs)
{
    double truth = info_task_truth(&cell->task), valid_t = 0, valid_b = 0, width = 0, width_t = 0, bias = 0;
    double width_b = 0;
    int hits = 0, failed;

    for (int i = 0; i < runs; i++) {
        const struct run *run = &cell->runs[i];
        if (run->failed)
            return 1;
        hits += run->betting <= truth;
        valid_t += (run->t <= truth) / (double)runs;
        valid_b += (run->bernstein <= truth) / (double)runs;
        width += (run->estimate - run->betting) / runs;
        width_b += (run->estimate - run->bernstein) / runs;
        width_t += (run->estimate - run->t) / runs;
        bias += (run->estimate - truth) / runs;
    }
    failed = binomial_bound(hits, runs, 0.0005, 1) < 0.975;
    (void)printf("%-18s %6zu %8.4f %+8.4f %7.3f [%.3f, %.3f] %6.3f %9.3f %9.4f %8.4f %9.4f%s\n", cell->task.name,
                 cell->samples, truth, bias, (double)hits / runs, binomial_bound(hits, runs, 0.025, 0),
                 binomial_bound(hits, runs, 0.025, 1), valid_t, valid_b, width, width_t, width_b,
                 failed ? "  TOO OFTEN WRONG" : "");
    (void)fflush(stdout);
    return failed;
}

/* Beside the built-in tasks: five classes of which one has nine tenths, on a line, and in five dimensions. */
static struct info_task skewed_task(size_t i)
{
    static const double prior[] = {0.9, 0.05, 0.03, 0.015, 0.005};
    struct info_task task = info_task_at(info_task_find(i == 0 ? "ref-bal-d1" : "ref-bal-d5"));

    task.name = i == 0 ? "skewed-d1" : "skewed-d5";
    for (size_t y = 0; y < task.classes; y++)
        task.prior[y] = prior[y];
    return task;
}

static int check(struct pool *pool, size_t samples, int runs)
{
    struct run *results = calloc((size_t)runs, sizeof *results);
    int failed = results == NULL;

    for (size_t i = 0; !failed && i < info_task_count() + 2; i++) {
        struct cell cell = {i < info_task_count() ? info_task_at(i) : skewed_task(i - info_task_count()), samples, results};
        pool_for(pool, runs, one_run, &cell);
        failed += print_cell(&cell, runs);
    }
    free(results);
    return failed;
}

int main(int argc, char **argv)
{
    static const size_t defaults[] = {20, 100, 1000, 10000};
    int runs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000, failed = 0;
    struct pool *pool = NULL;

    if (runs < 1 || pool_create(&pool, cpu_count(), NULL, NULL, NULL) != INFOMASK_OK)
        return 2;
    (void)printf("%-18s %6s %8s %8s %7s %-14s %6s %9s %9s %8s %9s\n", "task", "n", "I", "bias", "betting", "(95 %)", "t",
                 "bernstein", "distance", "of t", "bernstein");
    for (int i = 2; i < argc; i++)
        failed += check(pool, (size_t)strtoul(argv[i], NULL, 10), runs);
    for (size_t i = 0; argc <= 2 && i < sizeof defaults / sizeof *defaults; i++)
        failed += check(pool, defaults[i], runs);
    pool_free(pool);
    return failed != 0;
}
