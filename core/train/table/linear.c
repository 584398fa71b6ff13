/* The linear part: multinomial logistic regression by L-BFGS, along a path of falling penalties. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/info/minimize.h"
#include "core/train/table/table.h"

/* Variances of the normal prior that the penalty stands for, on columns of unit deviation. */
static const double variances[] = {1e-3, 1e-2, 0.1, 1, 10, 100, 1e4};
#define VARIANCES ((int)(sizeof variances / sizeof *variances))
#define MOST_STEPS 60    /* of the search for each of them, */
#define LEAST_STEPS 5
#define MOST_WORK 2e10   /* as long as rows times classes times columns times steps are no more */
#define ROW_WORK 64      /* what a class of a row costs beside its columns, in columns */

struct regression {
    const struct table_fit *fit;
    size_t rows, weights; /* training rows; K (width + 1) */
    double variance;
    float *state, *slope, *logits; /* [K][width + 1] twice, [TABLE_BLOCK][K] */
};

static void logits_of(const struct table_data *data, const struct table_matrix *matrix, const float *state,
                      const float *x, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes, width = matrix->width;

    for (size_t i = 0; i < rows; i++)
        for (size_t y = 0; y < k; y++)
            logits[i * k + y] = state[y * (width + 1) + width];
    data->kernels->sgemm(false, true, (int)rows, data->classes, (int)width, 1, x, (int)width, state, (int)width + 1, 1,
                         logits, data->classes);
}

void table_linear_logits(const struct table_data *data, const struct table_matrix *matrix,
                         const struct table_path *path, int step, const float *x, size_t rows, float *logits)
{
    logits_of(data, matrix, path->states + path->size * (size_t)step, x, rows, logits);
}

/* Adds a block's loss and its gradient. */
static double add_block(struct regression *r, size_t first, size_t rows)
{
    const struct table_data *data = r->fit->data;
    size_t k = (size_t)data->classes, width = r->fit->matrix->width;
    const float *x = table_rows(data, r->fit->matrix, first, rows, NULL);
    double loss;

    logits_of(data, r->fit->matrix, r->state, x, rows, r->logits);
    loss = table_residuals(data, first, rows, r->logits);
    for (size_t i = 0; i < rows; i++)
        for (size_t y = 0; y < k; y++)
            r->slope[y * (width + 1) + width] += r->logits[i * k + y];
    data->kernels->sgemm(true, false, data->classes, (int)width, (int)rows, 1, r->logits, data->classes, x, (int)width,
                         1, r->slope, (int)width + 1);
    return loss;
}

static double add_training_rows(struct regression *r)
{
    const struct table_data *data = r->fit->data;
    double loss = 0;

    for (int f = 0; f < data->folds; f++) {
        size_t end = table_learnt_end(data, f);
        if (f == r->fit->fold[0] || f == r->fit->fold[1])
            continue;
        for (size_t i = data->start[f]; i < end; i += TABLE_BLOCK) {
            size_t left = end - i;
            loss += add_block(r, i, left < TABLE_BLOCK ? left : TABLE_BLOCK);
        }
    }
    return loss;
}

/* mean loss + |W|^2 / (2 variance rows); the biases go free */
static double objective(void *context, const double *w, double *gradient)
{
    struct regression *r = context;
    size_t row = r->fit->matrix->width + 1;
    double n = (double)r->rows, penalty = 1 / (r->variance * n), value;

    for (size_t i = 0; i < r->weights; i++)
        r->state[i] = (float)w[i];
    memset(r->slope, 0, r->weights * sizeof *r->slope);
    value = add_training_rows(r) / n;
    for (size_t i = 0; i < r->weights; i++) {
        double shrink = i % row == row - 1 ? 0 : penalty;
        gradient[i] = (double)r->slope[i] / n + shrink * w[i];
        value += 0.5 * shrink * w[i] * w[i];
    }
    return value;
}

static const struct table_part linear = {"linear", table_linear_fit, table_linear_logits};

/* float32 sums set the tolerance: beyond it the line search would look for falls that rounding hides */
static enum infomask_status follow_path(struct regression *r, double *w, struct table_path *path,
                                        struct infomask_error *err)
{
    double step = (double)r->rows * (double)r->fit->data->classes * (double)(r->fit->matrix->width + ROW_WORK);
    const struct minimize_options options = {.max_steps = (int)fmin(MOST_STEPS, fmax(MOST_WORK / step, LEAST_STEPS)),
                                             .tolerance = 1e-4};
    struct minimize_result result;

    for (int i = 0; i < VARIANCES; i++) {
        enum infomask_status status;
        float *state;
        r->variance = variances[i];
        status = minimize(objective, r, r->weights, w, &options, &result, err);
        if (status != INFOMASK_OK)
            return status;
        if ((state = table_path_grow(path)) == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the linear model");
        for (size_t j = 0; j < r->weights; j++)
            state[j] = (float)w[j];
        status = table_judge(r->fit, &linear, path, 0, err);
        if (status != INFOMASK_OK)
            return status;
    }
    return INFOMASK_OK;
}

enum infomask_status table_linear_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
{
    const struct table_data *data = fit->data;
    struct regression r = {.fit = fit, .weights = (size_t)data->classes * (fit->matrix->width + 1)};
    double *w = calloc(r.weights, sizeof *w);
    enum infomask_status status;

    for (int f = 0; f < data->folds; f++)
        r.rows += f != fit->fold[0] && f != fit->fold[1] ? table_learnt_end(data, f) - data->start[f] : 0;
    path->size = r.weights;
    r.state = aligned_new(r.weights * sizeof *r.state);
    r.slope = aligned_new(r.weights * sizeof *r.slope);
    r.logits = aligned_new(TABLE_BLOCK * (size_t)data->classes * sizeof *r.logits);
    if (w == NULL || r.state == NULL || r.slope == NULL || r.logits == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the linear model");
    else
        status = follow_path(&r, w, path, err);
    aligned_free(r.state);
    aligned_free(r.slope);
    aligned_free(r.logits);
    free(w);
    return status;
}
