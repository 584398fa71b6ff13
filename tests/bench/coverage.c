/* How often the lower limits on I(X;Y) are valid: every task, exact posteriors, seeded runs (`make coverage`).
 *
 *   coverage [RUNS [SAMPLES ...]]      default: 1000 100 1000 10000
 *
 * Fails if the betting limit of a task holds in fewer runs than 97.5 % less two standard errors of the check.
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
        points[i] = (struct info_point){info_order(id), log_p[label], label, 0};
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

static int print_cell(const struct cell *cell, int runs)
{
    double truth = info_task_truth(&cell->task), valid = 0, valid_t = 0, valid_b = 0, width = 0, width_t = 0, bias = 0;
    double least = 0.975 - 2 * sqrt(0.975 * 0.025 / runs);

    for (int i = 0; i < runs; i++) {
        const struct run *run = &cell->runs[i];
        if (run->failed)
            return 1;
        valid += (run->betting <= truth) / (double)runs;
        valid_t += (run->t <= truth) / (double)runs;
        valid_b += (run->bernstein <= truth) / (double)runs;
        width += (run->estimate - run->betting) / runs;
        width_t += (run->estimate - run->t) / runs;
        bias += (run->estimate - truth) / runs;
    }
    (void)printf("%-18s %6zu %8.4f %+8.4f %8.3f %6.3f %9.3f %10.4f %8.4f%s\n", cell->task.name, cell->samples, truth, bias,
                 valid, valid_t, valid_b, width, width_t, valid < least ? "  TOO OFTEN WRONG" : "");
    (void)fflush(stdout);
    return valid < least;
}

static int check(struct pool *pool, size_t samples, int runs)
{
    struct run *results = calloc((size_t)runs, sizeof *results);
    int failed = results == NULL;

    for (size_t i = 0; !failed && i < info_task_count(); i++) {
        struct cell cell = {info_task_at(i), samples, results};
        pool_for(pool, runs, one_run, &cell);
        failed += print_cell(&cell, runs);
    }
    free(results);
    return failed;
}

int main(int argc, char **argv)
{
    static const size_t defaults[] = {100, 1000, 10000};
    int runs = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000, failed = 0;
    struct pool *pool = NULL;

    if (runs < 1 || pool_create(&pool, cpu_count(), NULL, NULL, NULL) != INFOMASK_OK)
        return 2;
    (void)printf("%-18s %6s %8s %8s %8s %6s %9s %10s %8s\n", "task", "n", "I", "bias", "betting", "t", "bernstein",
                 "distance", "of t");
    for (int i = 2; i < argc; i++)
        failed += check(pool, (size_t)strtoul(argv[i], NULL, 10), runs);
    for (size_t i = 0; argc <= 2 && i < 3; i++)
        failed += check(pool, defaults[i], runs);
    pool_free(pool);
    return failed != 0;
}
