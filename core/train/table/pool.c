/* The log-linear pool of the parts. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/info.h"
#include "core/info/minimize.h"
#include "core/train/table/table.h"

#define SPREAD 0.3

static void normalise_row(float *z, size_t k)
{
    float top = -FLT_MAX, sum = 0, normal;

    for (size_t y = 0; y < k; y++)
        top = z[y] > top ? z[y] : top;
    for (size_t y = 0; y < k; y++)
        sum += expf(z[y] - top);
    normal = top + logf(sum);
    for (size_t y = 0; y < k; y++)
        z[y] -= normal;
}

void table_normalise(float *logits, size_t rows, int classes)
{
    for (size_t i = 0; i < rows; i++)
        normalise_row(logits + i * (size_t)classes, (size_t)classes);
}

double table_loss(const struct table_data *data, size_t first, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes;
    double loss = 0;

    for (size_t i = 0; i < rows; i++) {
        double w = data->weights != NULL ? (double)data->weights[first + i] : 1;
        normalise_row(logits + i * k, k);
        loss -= w * (double)logits[i * k + (size_t)data->labels[first + i]];
    }
    return loss;
}

double table_residuals(const struct table_data *data, size_t first, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes;
    double loss = 0;

    data->kernels->softmax(logits, logits, rows, k);
    for (size_t i = 0; i < rows; i++) {
        float *q = logits + i * k, w = data->weights != NULL ? data->weights[first + i] : 1;
        size_t label = (size_t)data->labels[first + i];
        loss -= (double)w * log(fmax((double)q[label], 1e-30));
        q[label] -= 1;
        for (size_t y = 0; data->weights != NULL && y < k; y++)
            q[y] *= w;
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
    const struct table_scored *of;
    int free[INFOMASK_TABLE_PARTS], free_count; /* the parts whose weight is not held at 0 */
    double *weights, *log_q;
};

/* Adds w times the loss of a row and its slope by the free weights, E_q s_m - s_m(label). */
static double add_row(struct pool_fit *fit, size_t r, double *gradient)
{
    const struct table_scored *of = fit->of;
    size_t k = (size_t)of->classes, label = (size_t)of->labels[r];
    const float *scores = of->scores + r * (size_t)of->parts * k;
    double w = of->weights != NULL ? (double)of->weights[r] : 1, loss;

    table_pool_row(scores, of->parts, of->classes, of->log_prior, fit->weights, fit->log_q);
    loss = -w * fit->log_q[label];
    for (size_t y = 0; y < k; y++)
        fit->log_q[y] = w * (exp(fit->log_q[y]) - (y == label));
    for (int i = 0; i < fit->free_count; i++)
        for (size_t y = 0; y < k; y++)
            gradient[i] += fit->log_q[y] * (double)scores[(size_t)fit->free[i] * k + y];
    return loss;
}

/* The mean loss.  A normal prior of deviation SPREAD around equal weights, worth a few rows, keeps the weights of
 * separated data finite. */
static double pool_loss(void *context, const double *x, double *gradient)
{
    struct pool_fit *fit = context;
    double loss = 0;

    for (int i = 0; i < fit->free_count; i++) {
        fit->weights[fit->free[i]] = x[i];
        gradient[i] = 0;
    }
    for (size_t r = 0; r < fit->of->rows; r++)
        loss += add_row(fit, r, gradient);
    for (int i = 0; i < fit->free_count; i++) {
        double miss = (x[i] - 1.0 / fit->of->parts) / SPREAD;
        loss += 0.5 * miss * miss;
        gradient[i] = (gradient[i] + miss / SPREAD) / (double)fit->of->rows;
    }
    return loss / (double)fit->of->rows;
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

enum infomask_status table_pool_fit(const struct table_scored *scored, double *weights, struct infomask_error *err)
{
    const struct minimize_options options = {.max_steps = 60, .tolerance = 1e-6};
    struct pool_fit fit = {.of = scored, .free_count = scored->parts, .weights = weights,
                           .log_q = malloc((size_t)scored->classes * sizeof(double))};
    double x[INFOMASK_TABLE_PARTS];
    struct minimize_result result;
    enum infomask_status status = INFOMASK_OK;

    if (fit.log_q == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the pool");
    for (int m = 0; m < scored->parts; m++) {
        fit.free[m] = m;
        x[m] = 1.0 / scored->parts;
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
