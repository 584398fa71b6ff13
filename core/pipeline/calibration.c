/* Temperature and vector scaling of a classifier on labelled samples (Guo et al., ICML 2017), with what it gains on
 * samples that the fit has not seen. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/info/fit.h"
#include "core/info/info.h"
#include "core/infomask_estimate.h"

#define FOLDS 5
#define LEAST_A_CLASS 10 /* samples of each class, where each has a bias */

struct fitting {
    struct info_logits data; /* of the fold at hand: z, labels [n] */
    float *z;
    uint32_t *labels;
    const double *offset; /* [K] log t - log r */
    double *biases;       /* [K] all that is added to b z */
    bool vector;
};

/* Copies the samples whose place modulo FOLDS is `fold`, or all others; fold FOLDS: all. */
static void select_samples(struct fitting *f, const float *z, const uint32_t *labels, size_t n, size_t fold,
                           bool held_out)
{
    size_t k = f->data.classes;

    f->data.n = 0;
    for (size_t i = 0; i < n; i++) {
        if (fold < FOLDS && (i % FOLDS == fold) != held_out)
            continue;
        memcpy(f->z + f->data.n * k, z + i * k, k * sizeof *z);
        f->labels[f->data.n++] = labels[i];
    }
}

static enum infomask_status fit_selected(struct fitting *f, struct info_fit *fit, struct infomask_error *err)
{
    if (f->vector)
        return info_fit_vector(&f->data, f->biases, fit, err);
    memcpy(f->biases, f->offset, f->data.classes * sizeof *f->biases);
    return info_fit_temperature(&f->data, f->offset, fit, err);
}

/* Mean cross-entropies of the samples that are selected, before and after. */
static enum infomask_status judge(const struct fitting *f, double beta, double losses[2], struct infomask_error *err)
{
    double slope;
    enum infomask_status status = info_cross_entropy(&f->data, 1, f->offset, &losses[0], &slope, NULL, err);

    return status == INFOMASK_OK ? info_cross_entropy(&f->data, beta, f->biases, &losses[1], &slope, NULL, err)
                                 : status;
}

static enum infomask_status cross_fit(struct fitting *f, const float *logits, const uint32_t *labels, size_t n,
                                      struct infomask_calibration *result, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct info_fit fit;
    double losses[2];

    result->log_loss_before = result->log_loss_after = 0;
    for (size_t fold = 0; status == INFOMASK_OK && fold < FOLDS; fold++) {
        select_samples(f, logits, labels, n, fold, false);
        status = fit_selected(f, &fit, err);
        select_samples(f, logits, labels, n, fold, true);
        if (status == INFOMASK_OK)
            status = judge(f, fit.beta, losses, err);
        result->log_loss_before += losses[0] * (double)f->data.n / (double)n;
        result->log_loss_after += losses[1] * (double)f->data.n / (double)n;
    }
    return status;
}

static enum infomask_status check(const struct infomask_estimate_spec *spec, const uint32_t *labels, size_t n,
                                  bool vector, struct infomask_error *err)
{
    size_t *counts = calloc(spec->classes, sizeof *counts), few = 0;
    enum infomask_status status = INFOMASK_OK;

    if (counts == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu classes", spec->classes);
    for (size_t i = 0; i < n && status == INFOMASK_OK; i++) {
        if (labels[i] >= spec->classes)
            status = error_set(err, INFOMASK_ARGUMENT, "label %u: there are %zu classes", labels[i], spec->classes);
        else
            counts[labels[i]]++;
    }
    while (few < spec->classes && counts[few] >= LEAST_A_CLASS)
        few++;
    if (status == INFOMASK_OK && spec->label_smoothing > 0)
        status = error_set(err, INFOMASK_ARGUMENT, "the model has a label_smoothing, which is its calibration");
    else if (status == INFOMASK_OK && n < INFOMASK_CALIBRATION_LEAST)
        status = error_set(err, INFOMASK_ARGUMENT, "%zu samples are too few: at least %d are needed", n,
                           INFOMASK_CALIBRATION_LEAST);
    else if (status == INFOMASK_OK && vector && few < spec->classes)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "a bias for each class needs at least %d samples of each; class %zu has %zu", LEAST_A_CLASS,
                           few, counts[few]);
    free(counts);
    return status;
}

static double log_of(const double *p, size_t y, size_t k)
{
    return p != NULL ? log(p[y]) : -log((double)k);
}

/* log r of the calibrated model: what is added to b z is log t - log r. */
static void turn_into_prior(const struct infomask_estimate_spec *spec, const double *biases, double *logit_prior)
{
    size_t k = spec->classes;

    for (size_t y = 0; y < k; y++)
        logit_prior[y] = log_of(spec->prior, y, k) - biases[y];
    info_log_softmax(logit_prior, k, logit_prior);
    for (size_t y = 0; y < k; y++)
        logit_prior[y] = exp(logit_prior[y]);
}

enum infomask_status infomask_estimate_calibrate(const struct infomask_estimate_spec *spec,
                                                 const struct infomask_labelled_logits *samples, struct pool *pool,
                                                 double *logit_prior, struct infomask_calibration *result,
                                                 struct infomask_error *err)
{
    size_t n = samples->n, k = spec->classes, count;
    struct fitting f = {.data = {.classes = k, .pool = pool}, .vector = logit_prior != NULL};
    double *biases = calloc(2, k * sizeof *biases);
    struct info_fit fit;
    enum infomask_status status = check(spec, samples->labels, n, f.vector, err);

    f.data.z = f.z = checked_mul(n, k, &count) ? malloc(count * sizeof *f.z + 1) : NULL;
    f.data.labels = f.labels = malloc(n * sizeof *f.labels + 1);
    f.biases = biases;
    f.offset = biases != NULL ? biases + k : NULL;
    if (status == INFOMASK_OK && (f.z == NULL || f.labels == NULL || biases == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory to calibrate on %zu samples", n);
    for (size_t y = 0; status == INFOMASK_OK && y < k; y++)
        biases[k + y] = log_of(spec->prior, y, k) - log_of(spec->logit_prior, y, k);
    *result = (struct infomask_calibration){.samples = n};
    if (status == INFOMASK_OK)
        status = cross_fit(&f, samples->logits, samples->labels, n, result, err);
    if (status == INFOMASK_OK) {
        select_samples(&f, samples->logits, samples->labels, n, FOLDS, false);
        status = fit_selected(&f, &fit, err);
    }
    if (status == INFOMASK_OK) {
        result->temperature = 1 / fit.beta;
        result->parameters = fit.parameters;
        result->converged = fit.converged;
        if (f.vector)
            turn_into_prior(spec, biases, logit_prior);
    }
    free(f.z);
    free(f.labels);
    free(biases);
    return status;
}
