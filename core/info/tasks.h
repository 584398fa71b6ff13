/* Synthetic classification tasks whose I(X;Y) is known: for tests of every estimator, and `infomask estimate --task`.
 *
 *   ref-bal-dD, ref-imb-dD           D = 1, 2, 5, 10; five Gaussian classes, means 0, +2, -2, +4, -4 on every axis,
 *                                    unit variance
 *   line-bal-d1-sS, line-imb-d1-sS   S = 0.1, 0.25, 0.5, 1.0; the same on a line with spacing S
 *   zero-bal-d10, zero-imb-d10       no information: all means 0
 *   simplex10-d10-aA                 A = 2, 4; ten classes, means A e_k
 *   sym10-e0.1                       ten symbols, the right one with probability 0.9, else another one; X one-hot
 *   erase5-imb-e0.4                  X is Y, one-hot, or, with probability 0.4, all zeros
 *
 * "bal" has equal priors, "imb" 1:2:3:4:5.  Thread rule: pure functions.
 */
#ifndef INFOMASK_INFO_TASKS_H
#define INFOMASK_INFO_TASKS_H

#include <stddef.h>
#include <stdint.h>

#define INFO_TASK_MAX_CLASSES 10
#define INFO_TASK_MAX_DIMENSIONS 10

enum info_task_kind { INFO_TASK_LINE, INFO_TASK_SIMPLEX, INFO_TASK_SYMMETRIC, INFO_TASK_ERASURE };

struct info_task {
    const char *name;
    enum info_task_kind kind;
    size_t classes, dimensions;
    double prior[INFO_TASK_MAX_CLASSES];
    double mean[INFO_TASK_MAX_CLASSES][INFO_TASK_MAX_DIMENSIONS]; /* line, simplex */
    double parameter; /* spacing of a line, A of a simplex, rate of errors or erasures */
};

/* Number of tasks, and the i-th of them. */
size_t info_task_count(void);
struct info_task info_task_at(size_t i);

/* The index of a name; info_task_count() if there is none. */
size_t info_task_find(const char *name);

/* Sample number i of the stream (seed): x [dimensions]; returns the label. */
uint32_t info_task_sample(const struct info_task *task, uint64_t seed, uint64_t i, float *x);

/* The exact log p(y|x) [classes].  A class that x rules out gets log(1e-300). */
void info_task_posterior(const struct info_task *task, const float *x, double *log_p);

/* The true I(X;Y) in nats, by closed forms and quadrature (to 1e-9). */
double info_task_truth(const struct info_task *task);

#endif
