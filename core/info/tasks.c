#include "core/info/tasks.h"

#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/info/info.h"

static const struct task_row {
    const char *name;
    enum info_task_kind kind;
    int unbalanced; /* priors 1 : 2 : ... : K, else equal */
    unsigned classes, dimensions;
    double parameter;
} rows[] = {
    {"ref-bal-d1", INFO_TASK_LINE, 0, 5, 1, 2},
    {"ref-bal-d2", INFO_TASK_LINE, 0, 5, 2, 2},
    {"ref-bal-d5", INFO_TASK_LINE, 0, 5, 5, 2},
    {"ref-bal-d10", INFO_TASK_LINE, 0, 5, 10, 2},
    {"ref-imb-d1", INFO_TASK_LINE, 1, 5, 1, 2},
    {"ref-imb-d2", INFO_TASK_LINE, 1, 5, 2, 2},
    {"ref-imb-d5", INFO_TASK_LINE, 1, 5, 5, 2},
    {"ref-imb-d10", INFO_TASK_LINE, 1, 5, 10, 2},
    {"line-bal-d1-s0.1", INFO_TASK_LINE, 0, 5, 1, 0.1},
    {"line-bal-d1-s0.25", INFO_TASK_LINE, 0, 5, 1, 0.25},
    {"line-bal-d1-s0.5", INFO_TASK_LINE, 0, 5, 1, 0.5},
    {"line-bal-d1-s1.0", INFO_TASK_LINE, 0, 5, 1, 1},
    {"line-imb-d1-s0.1", INFO_TASK_LINE, 1, 5, 1, 0.1},
    {"line-imb-d1-s0.25", INFO_TASK_LINE, 1, 5, 1, 0.25},
    {"line-imb-d1-s0.5", INFO_TASK_LINE, 1, 5, 1, 0.5},
    {"line-imb-d1-s1.0", INFO_TASK_LINE, 1, 5, 1, 1},
    {"zero-bal-d10", INFO_TASK_LINE, 0, 5, 10, 0},
    {"zero-imb-d10", INFO_TASK_LINE, 1, 5, 10, 0},
    {"simplex10-d10-a2", INFO_TASK_SIMPLEX, 0, 10, 10, 2},
    {"simplex10-d10-a4", INFO_TASK_SIMPLEX, 0, 10, 10, 4},
    {"sym10-e0.1", INFO_TASK_SYMMETRIC, 0, 10, 10, 0.1},
    {"erase5-imb-e0.4", INFO_TASK_ERASURE, 1, 5, 5, 0.4},
};
#define ROWS (sizeof rows / sizeof *rows)

size_t info_task_count(void)
{
    return ROWS;
}

size_t info_task_find(const char *name)
{
    size_t i = 0;

    while (i < ROWS && strcmp(rows[i].name, name) != 0)
        i++;
    return i;
}

/* 0, +1, -1, +2, -2, ... */
static double zigzag(size_t k)
{
    return (k % 2 == 1 ? 1.0 : -1.0) * (double)((k + 1) / 2);
}

struct info_task info_task_at(size_t i)
{
    const struct task_row *row = &rows[i];
    struct info_task task = {.name = row->name, .kind = row->kind, .classes = row->classes,
                             .dimensions = row->dimensions, .parameter = row->parameter};
    double total = row->classes * (row->classes + 1) / 2.0;

    for (size_t k = 0; k < task.classes; k++) {
        task.prior[k] = row->unbalanced ? (double)(k + 1) / total : 1.0 / row->classes;
        for (size_t j = 0; j < task.dimensions; j++) {
            if (task.kind == INFO_TASK_LINE)
                task.mean[k][j] = zigzag(k) * task.parameter;
            else if (task.kind == INFO_TASK_SIMPLEX)
                task.mean[k][j] = k == j ? task.parameter : 0;
        }
    }
    return task;
}

/* ---- Samples and posteriors -------------------------------------------------------------------------------------- */

static uint32_t draw_label(const struct info_task *task, struct random_stream *random)
{
    double u = random_unit(random);
    uint32_t y = 0;

    while (y + 1 < task->classes && u >= task->prior[y])
        u -= task->prior[y++];
    return y;
}

static void draw_symbol(const struct info_task *task, struct random_stream *random, uint32_t y, float *x)
{
    uint32_t k = (uint32_t)task->classes, seen = y;
    int hit = random_unit(random) < task->parameter;

    if (hit && task->kind == INFO_TASK_SYMMETRIC)
        seen = (y + 1 + random_below(random, k - 1)) % k;
    for (uint32_t j = 0; j < k; j++)
        x[j] = j == seen && !(hit && task->kind == INFO_TASK_ERASURE) ? 1 : 0;
}

uint32_t info_task_sample(const struct info_task *task, uint64_t seed, uint64_t i, float *x)
{
    struct random_stream random = random_stream(seed, i);
    uint32_t y = draw_label(task, &random);

    if (task->kind == INFO_TASK_SYMMETRIC || task->kind == INFO_TASK_ERASURE)
        draw_symbol(task, &random, y, x);
    else
        for (size_t j = 0; j < task->dimensions; j++)
            x[j] = (float)(task->mean[y][j] + random_normal(&random));
    return y;
}

static void gauss_posterior(const struct info_task *task, const float *x, double *log_p)
{
    for (size_t k = 0; k < task->classes; k++) {
        log_p[k] = log(task->prior[k]);
        for (size_t j = 0; j < task->dimensions; j++)
            log_p[k] += task->mean[k][j] * ((double)x[j] - 0.5 * task->mean[k][j]);
    }
    info_log_softmax(log_p, task->classes, log_p);
}

void info_task_posterior(const struct info_task *task, const float *x, double *log_p)
{
    size_t k = task->classes;
    double rate = task->parameter, seen = 0;

    if (task->kind == INFO_TASK_LINE || task->kind == INFO_TASK_SIMPLEX) {
        gauss_posterior(task, x, log_p);
        return;
    }
    for (size_t j = 0; j < k; j++)
        seen += (double)x[j];
    for (size_t j = 0; j < k; j++) {
        if (task->kind == INFO_TASK_SYMMETRIC)
            log_p[j] = log(x[j] > 0.5f ? 1 - rate : rate / (double)(k - 1));
        else
            log_p[j] = seen < 0.5 ? log(task->prior[j]) : x[j] > 0.5f ? 0 : log(1e-300);
    }
}

/* ---- True values ------------------------------------------------------------------------------------------------- */

/* The projection on the diagonal is sufficient: t | k ~ N(c_k sqrt(d), 1).  I = int sum_k p_k f_k log(f_k / f) dt by
 * the trapezoid rule, which for such an integrand converges faster than any power of the step. */
static double line_truth(const struct info_task *task)
{
    const double step = 0.005, tail = 12;
    double scale = sqrt((double)task->dimensions), top = 0, sum = 0, joint[INFO_TASK_MAX_CLASSES];

    for (size_t k = 0; k < task->classes; k++)
        top = fmax(top, fabs(task->mean[k][0]) * scale);
    for (double t = -top - tail; t <= top + tail; t += step) {
        double log_f;
        for (size_t k = 0; k < task->classes; k++)
            joint[k] = log(task->prior[k]) - 0.5 * (t - task->mean[k][0] * scale) * (t - task->mean[k][0] * scale);
        log_f = info_log_sum_exp(joint, task->classes);
        for (size_t k = 0; k < task->classes; k++)
            sum += exp(joint[k]) * (joint[k] - log(task->prior[k]) - log_f);
    }
    return fmax(sum * step / sqrt(2 * M_PI), 0);
}

/* E exp(-exp(u + a g)) over a standard normal g */
static double laplace_of_lognormal(double u, double a)
{
    const double step = 0.02, tail = 9;
    double sum = 0;

    for (double g = -tail; g <= tail; g += step)
        sum += exp(-exp(u + a * g) - 0.5 * g * g);
    return sum * step / sqrt(2 * M_PI);
}

/* I = log K + a^2 - E log S, S = exp(a (a + g_0)) + sum_(j > 0) exp(a g_j).  The terms of S are independent, so its
 * Laplace transform is a product, and E log S = int (exp(-s) - E exp(-s S)) / s ds; here s = exp(u). */
static double simplex_truth(const struct info_task *task)
{
    const double step = 0.1, a = task->parameter;
    double sum = 0;

    for (double u = -75; u <= 45; u += step)
        sum += exp(-exp(u)) - pow(laplace_of_lognormal(u, a), (double)(task->classes - 1)) *
                                  laplace_of_lognormal(u + a * a, a);
    return log((double)task->classes) + a * a - sum * step;
}

double info_task_truth(const struct info_task *task)
{
    double e = task->parameter, k = (double)task->classes, h = 0;

    if (task->kind == INFO_TASK_LINE)
        return line_truth(task);
    if (task->kind == INFO_TASK_SIMPLEX)
        return simplex_truth(task);
    if (task->kind == INFO_TASK_SYMMETRIC)
        return log(k) + (1 - e) * log(1 - e) + e * log(e) - e * log(k - 1);
    for (size_t y = 0; y < task->classes; y++)
        h -= task->prior[y] * log(task->prior[y]);
    return (1 - e) * h;
}
