/* The log-linear pool of the parts. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/info.h"
#include "core/info/minimize.h"
#include "core/train/table/table.h"

#define SPREAD 0.3

double table_normalise(float *logits, const int *labels, size_t rows, int classes)
{
    size_t k = (size_t)classes;
    double loss = 0;

    for (size_t i = 0; i < rows; i++) {
        float *z = logits + i * k, top = -FLT_MAX, sum = 0, normal;
        for (size_t y = 0; y < k; y++)
            top = z[y] > top ? z[y] : top;
        for (size_t y = 0; y < k; y++)
            sum += expf(z[y] - top);
        normal = top + logf(sum);
        for (size_t y = 0; y < k; y++)
            z[y] -= normal;
        if (labels != NULL)
            loss -= (double)z[labels[i]];
    }
    return loss;
}

double table_residuals(const struct table_data *data, float *logits, const int *labels, size_t rows)
{
    size_t k = (size_t)data->classes;
    double loss = 0;

    data->kernels->softmax(logits, logits, rows, k);
    for (size_t i = 0; i < rows; i++) {
        float *q = &logits[i * k + (size_t)labels[i]];
        loss -= log(fmax((double)*q, 1e-30));
        *q -= 1;
    }
    return loss;
}

void table_pool_row(const float *scores, int parts, int classes, const double *log_prior, const double *weights,
                    double *log_q)
{
    for (int y = 0; y < classes; y++) {
        log_q[y] = log_prior[y];
        for (int m = 0; m < parts; m++)
            log_q[y] += weights[m] * (double)scores[(size_t)m * (size_t)classes + (size_t)y];
    }
    info_log_softmax(log_q, (size_t)classes, log_q);
}

void table_guard(const double *log_prior, double share, int classes, double *log_q)
{
    for (int y = 0; y < classes; y++)
        log_q[y] = log((1 - share) * exp(log_q[y]) + share * exp(log_prior[y]));
}

struct pool_fit {
    const float *scores;
    const int *labels;
    size_t rows;
    int parts, classes;
    const double *log_prior;
    int free[INFOMASK_TABLE_PARTS], free_count; /* the parts whose weight is not held at 0 */
    double *weights, *log_q;
};

/* mean loss, and its slope by the free weights: E_q s_m - s_m(label).  A normal prior of deviation SPREAD around equal
 * weights, worth a few rows, keeps the weights of separated data finite. */
static double pool_loss(void *context, const double *x, double *gradient)
{
    struct pool_fit *fit = context;
    size_t k = (size_t)fit->classes, row = (size_t)fit->parts * k;
    double loss = 0;

    for (int i = 0; i < fit->free_count; i++) {
        fit->weights[fit->free[i]] = x[i];
        gradient[i] = 0;
    }
    for (size_t r = 0; r < fit->rows; r++) {
        const float *scores = fit->scores + r * row;
        size_t label = (size_t)fit->labels[r];
        table_pool_row(scores, fit->parts, fit->classes, fit->log_prior, fit->weights, fit->log_q);
        loss -= fit->log_q[label];
        for (size_t y = 0; y < k; y++)
            fit->log_q[y] = exp(fit->log_q[y]) - (y == label);
        for (int i = 0; i < fit->free_count; i++)
            for (size_t y = 0; y < k; y++)
                gradient[i] += fit->log_q[y] * (double)scores[(size_t)fit->free[i] * k + y];
    }
    for (int i = 0; i < fit->free_count; i++) {
        double miss = (x[i] - 1.0 / fit->parts) / SPREAD;
        loss += 0.5 * miss * miss;
        gradient[i] = (gradient[i] + miss / SPREAD) / (double)fit->rows;
    }
    return loss / (double)fit->rows;
}

/* Drops the part of the most negative weight; false if there is none. */
static bool drop_negative(struct pool_fit *fit, double *x)
{
    int worst = 0;

    for (int i = 1; i < fit->free_count; i++)
        worst = x[i] < x[worst] ? i : worst;
    if (fit->free_count == 0 || x[worst] >= 0)
        return false;
    fit->weights[fit->free[worst]] = 0;
    fit->free_count--;
    for (int i = worst; i < fit->free_count; i++) {
        fit->free[i] = fit->free[i + 1];
        x[i] = x[i + 1];
    }
    return true;
}

enum infomask_status table_pool_fit(const float *scores, const int *labels, size_t rows, int parts, int classes,
                                    const double *log_prior, double *weights, struct infomask_error *err)
{
    const struct minimize_options options = {.max_steps = 60, .tolerance = 1e-6};
    struct pool_fit fit = {.scores = scores, .labels = labels, .rows = rows, .parts = parts, .classes = classes,
                           .log_prior = log_prior, .free_count = parts, .weights = weights,
                           .log_q = malloc((size_t)classes * sizeof(double))};
    double x[INFOMASK_TABLE_PARTS];
    struct minimize_result result;
    enum infomask_status status = INFOMASK_OK;

    if (fit.log_q == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the pool");
    for (int m = 0; m < parts; m++) {
        fit.free[m] = m;
        x[m] = 1.0 / parts;
    }
    do {
        if (fit.free_count > 0)
            status = minimize(pool_loss, &fit, (size_t)fit.free_count, x, &options, &result, err);
    } while (status == INFOMASK_OK && drop_negative(&fit, x));
    for (int i = 0; i < fit.free_count; i++)
        weights[fit.free[i]] = x[i];
    free(fit.log_q);
    return status;
}
