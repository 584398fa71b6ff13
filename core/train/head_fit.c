/* Multinomial log-likelihood with L2 by L-BFGS, along a path of falling strengths. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/info/minimize.h"
#include "core/train/head.h"

/* l2 of features with mean square 1; at infinity W = 0 and the posterior is the prior. */
const double head_strengths[HEAD_STRENGTHS] = {INFINITY, 3, 1, 0.3, 0.1, 0.03, 0.01, 3e-3, 1e-3, 3e-4, 1e-4, 1e-5};

struct fit {
    const struct head_rows *rows;
    const struct kernel_table *kernels;
    unsigned left_out;
    double l2, n;            /* n: rows that are fitted to */
    const double *log_prior; /* [K] */
    float *w, *gradient;     /* [K][F] */
    float *z;                /* [rows of the largest fold][K] */
};

/* Softmax cross-entropy of a row; z becomes (q - onehot) * share. */
static double row_loss(float *z, const double *bias, uint32_t label, size_t k, double share, double *bias_gradient)
{
    double high = -INFINITY, sum = 0, loss;

    for (size_t i = 0; i < k; i++) { /* no fmax: gcc 12 fails to vectorise it with the sum that widens, on arm64 */
        double v = (double)z[i] + bias[i];
        high = v > high ? v : high;
    }
    for (size_t i = 0; i < k; i++)
        sum += exp((double)z[i] + bias[i] - high);
    loss = high + log(sum) - (double)z[label] - bias[label];
    for (size_t i = 0; i < k; i++) {
        double slope = (exp((double)z[i] + bias[i] - high) / sum - (i == label)) * share;
        bias_gradient[i] += slope;
        z[i] = (float)slope;
    }
    return loss * share;
}

static double fold_loss(struct fit *fit, int fold, const double *bias, double *bias_gradient, bool first)
{
    const struct head_rows *rows = fit->rows;
    size_t k = rows->classes, f = rows->features, begin = rows->first[fold] * rows->views;
    size_t m = rows->first[fold + 1] * rows->views - begin;
    const float *x = rows->x + begin * f;
    double loss = 0;

    fit->kernels->sgemm(false, true, (int)m, (int)k, (int)f, 1, x, (int)f, fit->w, (int)f, 0, fit->z, (int)k);
    for (size_t i = 0; i < m; i++)
        loss += row_loss(fit->z + i * k, bias, rows->labels[(begin + i) / rows->views], k, 1 / fit->n, bias_gradient);
    fit->kernels->sgemm(true, false, (int)k, (int)f, (int)m, 1, fit->z, (int)k, x, (int)f, first ? 0 : 1,
                        fit->gradient, (int)f);
    return loss;
}

/* The biases are held to the prior by one row's worth, so that a class which the rows do not have stays finite. */
static double evaluate(void *context, const double *point, double *gradient)
{
    struct fit *fit = context;
    size_t k = fit->rows->classes, weights = k * fit->rows->features;
    const double *bias = point + weights;
    double loss = 0, *bias_gradient = gradient + weights;
    bool first = true;

    for (size_t i = 0; i < weights; i++)
        fit->w[i] = (float)point[i];
    memset(bias_gradient, 0, k * sizeof *bias_gradient);
    for (int f = 0; f < fit->rows->folds; f++)
        if ((fit->left_out >> f & 1) == 0 && fit->rows->first[f + 1] > fit->rows->first[f]) {
            loss += fold_loss(fit, f, bias, bias_gradient, first);
            first = false;
        }
    for (size_t i = 0; i < weights; i++) {
        loss += 0.5 * fit->l2 * point[i] * point[i];
        gradient[i] = (double)fit->gradient[i] + fit->l2 * point[i];
    }
    for (size_t i = 0; i < k; i++) {
        double away = bias[i] - fit->log_prior[i];
        loss += 0.5 * away * away / fit->n;
        bias_gradient[i] += away / fit->n;
    }
    return loss;
}

static bool fit_init(struct fit *fit, const struct head_rows *rows, const struct head_path *path)
{
    size_t weights = rows->classes * rows->features, most = 0, left = 0;

    for (int f = 0; f < rows->folds; f++) {
        size_t n = rows->first[f + 1] - rows->first[f];
        most = n > most ? n : most;
        left += (path->left_out >> f & 1) != 0 ? n : 0;
    }
    *fit = (struct fit){.rows = rows,
                        .kernels = kernels_best(),
                        .left_out = path->left_out,
                        .log_prior = path->log_prior,
                        .n = (double)((rows->photos - left) * rows->views)};
    fit->w = aligned_new(weights * sizeof(float));
    fit->gradient = aligned_new(weights * sizeof(float));
    fit->z = aligned_new(most * rows->views * rows->classes * sizeof(float));
    return fit->w != NULL && fit->gradient != NULL && fit->z != NULL;
}

static void fit_fini(struct fit *fit)
{
    aligned_free(fit->w);
    aligned_free(fit->gradient);
    aligned_free(fit->z);
}

/* Logits and losses of the left-out folds at the path's point. */
static enum infomask_status look_at_left_out(struct head_path *path, struct fit *fit, int strength,
                                             struct infomask_error *err)
{
    const struct head_rows *rows = fit->rows;
    size_t k = rows->classes, f = rows->features, stride = rows->views * f, count = 0;
    const double *bias = path->point + k * f;
    float *z;

    for (int fold = 0; fold < rows->folds; fold++)
        count += (path->left_out >> fold & 1) != 0 ? rows->first[fold + 1] - rows->first[fold] : 0;
    z = path->logits[strength] = malloc((count + 1) * k * sizeof *z);
    if (z == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the held-out logits");
    for (size_t i = 0; i < k * f; i++)
        fit->w[i] = (float)path->point[i];
    for (int fold = 0; fold < rows->folds; fold++) {
        size_t begin = rows->first[fold], m = rows->first[fold + 1] - begin;
        if ((path->left_out >> fold & 1) == 0)
            continue;
        if (m > 0)
            fit->kernels->sgemm(false, true, (int)m, (int)k, (int)f, 1, rows->x + begin * stride, (int)stride, fit->w,
                                (int)f, 0, z, (int)k);
        path->loss[strength][fold] = 0;
        for (size_t i = 0; i < m; i++, z += k) {
            float high = -INFINITY;
            double sum = 0;
            for (size_t j = 0; j < k; j++) {
                z[j] = (float)((double)z[j] + bias[j]);
                high = fmaxf(high, z[j]);
            }
            for (size_t j = 0; j < k; j++)
                sum += exp((double)z[j] - (double)high);
            path->loss[strength][fold] += (double)high + log(sum) - (double)z[rows->labels[begin + i]];
        }
    }
    return INFOMASK_OK;
}

static double loss_at(const struct head_path *path, int folds, int strength)
{
    double sum = 0;

    for (int f = 0; f < folds; f++)
        sum += (path->left_out >> f & 1) != 0 ? path->loss[strength][f] : 0;
    return sum;
}

/* Twice in a row clearly worse than the best: weaker strengths only cost time. */
static bool has_passed(const struct head_path *path, int folds, int strength)
{
    double best = INFINITY;

    if (path->left_out == 0 || strength < 3)
        return false;
    for (int s = 0; s <= strength - 2; s++)
        best = fmin(best, loss_at(path, folds, s));
    return loss_at(path, folds, strength) > 1.02 * best && loss_at(path, folds, strength - 1) > 1.02 * best;
}

static enum infomask_status path_init(struct head_path *path, const struct head_rows *rows, unsigned left_out,
                                      struct infomask_error *err)
{
    size_t k = rows->classes, weights = k * rows->features;

    *path = (struct head_path){.left_out = left_out};
    path->log_prior = malloc(k * sizeof *path->log_prior);
    path->point = calloc(weights + k, sizeof *path->point);
    if (path->log_prior == NULL || path->point == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a head of %zu weights", weights);
    head_prior(rows, left_out, path->log_prior);
    memcpy(path->point + weights, path->log_prior, k * sizeof *path->log_prior);
    for (int s = 0; s < HEAD_STRENGTHS; s++)
        for (int f = 0; f < HEAD_FOLDS; f++)
            path->loss[s][f] = INFINITY;
    return INFOMASK_OK;
}

enum infomask_status head_path_run(struct head_path *path, const struct head_rows *rows, unsigned left_out,
                                   int at_least, int stop, struct infomask_error *err)
{
    /* gradients come from float32 products: there is no more to be had */
    const struct minimize_options options = {.max_steps = 200, .tolerance = 1e-5};
    struct minimize_result result;
    struct fit fit = {0};
    size_t n = rows->classes * (rows->features + 1);
    enum infomask_status status = path_init(path, rows, left_out, err);

    if (status == INFOMASK_OK && !fit_init(&fit, rows, path))
        status = error_set(err, INFOMASK_MEMORY, "no memory for a head of %zu weights", n);
    for (int s = 0; s <= stop && status == INFOMASK_OK; s++) {
        fit.l2 = head_strengths[s];
        if (isfinite(fit.l2))
            status = minimize(evaluate, &fit, n, path->point, &options, &result, err);
        if (status == INFOMASK_OK && left_out != 0)
            status = look_at_left_out(path, &fit, s, err);
        if (status == INFOMASK_OK && s >= at_least && has_passed(path, rows->folds, s))
            break;
    }
    fit_fini(&fit);
    if (status != INFOMASK_OK)
        head_path_fini(path);
    return status;
}

void head_path_fini(struct head_path *path)
{
    for (int s = 0; s < HEAD_STRENGTHS; s++)
        free(path->logits[s]);
    free(path->log_prior);
    free(path->point);
    *path = (struct head_path){0};
}

const float *head_path_logits(const struct head_path *path, const struct head_rows *rows, int strength, int fold)
{
    const float *z = path->logits[strength];

    for (int f = 0; f < fold; f++)
        z += (path->left_out >> f & 1) != 0 ? (rows->first[f + 1] - rows->first[f]) * rows->classes : 0;
    return z;
}
