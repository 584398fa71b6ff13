/* The public face of the data-set estimators: core/info under the names of core/infomask.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/info/audit.h"
#include "core/info/conditional.h"
#include "core/info/drift.h"
#include "core/info/estimate.h"
#include "core/info/fit.h"
#include "core/info/half.h"
#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/tasks.h"
#include "core/infomask_estimate.h"
#include "core/pipeline/pipeline.h"

_Static_assert(INFOMASK_ESTIMATE_BYTES == INFO_TOTALS_BYTES, "the record of the whole");
_Static_assert(INFOMASK_ESTIMATE_CLASS_BYTES == INFO_CLASS_TOTALS_BYTES, "the record of a class");
_Static_assert(sizeof(struct infomask_point) == sizeof(struct info_point), "one takes the other's place");

struct infomask_estimate {
    struct info_lens lens;
    struct info_totals totals;
    struct info_class_totals *classes;
    double *scratch; /* [2 K] */
};

/* ---- Specs ------------------------------------------------------------------------------------------------------- */

enum infomask_status infomask_estimate_spec_of(const struct infomask_model *model, const struct infomask_prior *prior,
                                               struct infomask_estimate_spec *spec, struct infomask_error *err)
{
    size_t k = model->info.classes;

    *spec = (struct infomask_estimate_spec){.classes = k, .label_smoothing = model->spec.label_smoothing};
    spec->prior = malloc(k * sizeof *spec->prior);
    spec->logit_prior = malloc(k * sizeof *spec->logit_prior);
    if (spec->prior == NULL || spec->logit_prior == NULL) {
        infomask_estimate_spec_fini(spec);
        return error_set(err, INFOMASK_MEMORY, "no memory for the priors of %zu classes", k);
    }
    pipeline_log_prior(model, prior, spec->prior);
    for (size_t y = 0; y < k; y++) {
        spec->prior[y] = exp(spec->prior[y]);
        spec->logit_prior[y] = exp(model->log_logit_prior[y]);
    }
    return INFOMASK_OK;
}

void infomask_estimate_spec_fini(struct infomask_estimate_spec *spec)
{
    free(spec->prior);
    free(spec->logit_prior);
    *spec = (struct infomask_estimate_spec){0};
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

enum infomask_status infomask_estimate_create(const struct infomask_estimate_spec *spec,
                                              struct infomask_estimate **estimate, struct infomask_error *err)
{
    struct infomask_estimate *e = calloc(1, sizeof *e);
    enum infomask_status status;

    if (e == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for an estimate");
    status = info_lens_init(&e->lens, spec->classes, spec->prior, spec->logit_prior, spec->label_smoothing, err);
    if (status != INFOMASK_OK) {
        free(e);
        return status;
    }
    e->classes = calloc(spec->classes, sizeof *e->classes);
    e->scratch = calloc(spec->classes, 2 * sizeof *e->scratch);
    if (e->classes == NULL || e->scratch == NULL) {
        infomask_estimate_free(e);
        return error_set(err, INFOMASK_MEMORY, "no memory for an estimate of %zu classes", spec->classes);
    }
    *estimate = e;
    return INFOMASK_OK;
}

void infomask_estimate_free(struct infomask_estimate *estimate)
{
    if (estimate == NULL)
        return;
    info_lens_fini(&estimate->lens);
    free(estimate->classes);
    free(estimate->scratch);
    free(estimate);
}

enum infomask_status infomask_estimate_add(struct infomask_estimate *estimate, const float *logits, uint32_t label,
                                           const char *id, struct infomask_sample *sample, struct infomask_error *err)
{
    struct info_sample s;

    if (label >= estimate->lens.classes)
        return error_set(err, INFOMASK_ARGUMENT, "label %u: there are %zu classes", label, estimate->lens.classes);
    for (size_t y = 0; y < estimate->lens.classes; y++)
        if (!isfinite(logits[y]))
            return error_set(err, INFOMASK_BAD_DATA, "the logit of class %zu is not a finite number", y);
    info_totals_add(&estimate->totals, estimate->classes, &estimate->lens, logits, label, estimate->scratch, &s);
    if (sample != NULL)
        *sample = (struct infomask_sample){info_order(id), s.label,   s.predicted, s.log_q,
                                           s.pmi,          s.information, s.entropy,   s.confidence};
    return INFOMASK_OK;
}

static bool same(const double *a, const double *b, size_t k)
{
    return memcmp(a, b, k * sizeof *a) == 0;
}

enum infomask_status infomask_estimate_merge(struct infomask_estimate *into, const struct infomask_estimate *from,
                                             struct infomask_error *err)
{
    size_t k = into->lens.classes;

    if (k != from->lens.classes)
        return error_set(err, INFOMASK_ARGUMENT, "estimates of %zu and %zu classes cannot be merged", k,
                         from->lens.classes);
    if (!same(into->lens.log_t, from->lens.log_t, k) || !same(into->lens.log_r, from->lens.log_r, k) ||
        into->lens.smoothing != from->lens.smoothing)
        return error_set(err, INFOMASK_ARGUMENT, "estimates under different priors cannot be merged");
    info_totals_merge(&into->totals, &from->totals);
    for (size_t y = 0; y < k; y++)
        info_class_totals_merge(&into->classes[y], &from->classes[y]);
    return INFOMASK_OK;
}

void infomask_estimate_pack(const struct infomask_estimate *estimate, uint8_t bytes[INFOMASK_ESTIMATE_BYTES])
{
    info_totals_pack(&estimate->totals, bytes);
}

enum infomask_status infomask_estimate_unpack(struct infomask_estimate *estimate, const void *bytes, size_t size,
                                              struct infomask_error *err)
{
    if (!info_totals_unpack(&estimate->totals, bytes, size))
        return error_set(err, INFOMASK_BAD_DATA, "the stored sums of the estimate are damaged");
    return INFOMASK_OK;
}

bool infomask_estimate_pack_class(const struct infomask_estimate *estimate, size_t label,
                                  uint8_t bytes[INFOMASK_ESTIMATE_CLASS_BYTES])
{
    if (estimate->classes[label].samples == 0)
        return false;
    info_class_totals_pack(&estimate->classes[label], bytes);
    return true;
}

enum infomask_status infomask_estimate_unpack_class(struct infomask_estimate *estimate, size_t label, const void *bytes,
                                                    size_t size, struct infomask_error *err)
{
    if (label >= estimate->lens.classes || !info_class_totals_unpack(&estimate->classes[label], bytes, size))
        return error_set(err, INFOMASK_BAD_DATA, "the stored sums of class %zu are damaged", label);
    return INFOMASK_OK;
}

/* ---- Report ------------------------------------------------------------------------------------------------------ */

static void fill_classes(const struct infomask_estimate *e, struct infomask_report *report)
{
    for (size_t y = 0; y < e->lens.classes; y++) {
        const struct info_class_totals *t = &e->classes[y];
        double n = (double)t->samples, mean = info_exact_value(&t->log_q) / n;
        struct infomask_class_report *row = &report->by_class[y];
        *row = (struct infomask_class_report){0, NAN, NAN, NAN};
        if (t->samples == 0)
            continue;
        row->samples = t->samples;
        row->mean_pmi = mean - e->lens.log_t[y];
        row->information = mean - log(n / (double)e->totals.samples);
        row->accuracy = (double)t->correct / n;
    }
}

static void fill_bins(const struct infomask_estimate *e, struct infomask_report *report)
{
    _Static_assert(INFO_BINS == sizeof report->bin_samples / sizeof *report->bin_samples, "as many bins");
    for (int i = 0; i < INFO_BINS; i++) {
        const struct info_bin_totals *bin = &e->totals.bins[i];
        report->bin_samples[i] = bin->samples;
        report->bin_confidence[i] = bin->samples > 0 ? info_exact_value(&bin->confidence) / (double)bin->samples : NAN;
        report->bin_accuracy[i] = bin->samples > 0 ? (double)bin->correct / (double)bin->samples : NAN;
    }
}

enum infomask_status infomask_estimate_report(const struct infomask_estimate *estimate, struct infomask_report *report,
                                              struct infomask_error *err)
{
    struct info_report r;
    struct infomask_class_report *rows = calloc(estimate->lens.classes, sizeof *rows);

    if (rows == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a report of %zu classes", estimate->lens.classes);
    info_report(&estimate->totals, estimate->classes, &estimate->lens, &r);
    *report = (struct infomask_report){
        .samples = r.samples, .classes = estimate->lens.classes, .classes_seen = r.classes_seen,
        .accuracy = r.accuracy, .label_entropy = r.label_entropy, .estimate = r.estimate,
        .standard_error = r.standard_error, .lower_limit_t = r.lower_limit_t, .fraction = r.fraction,
        .deviation = r.deviation, .plug_in = r.plug_in, .plug_in_deviation = r.plug_in_deviation,
        .overconfidence = r.overconfidence, .mean_entropy = r.mean_entropy, .temperature = r.temperature,
        .calibrated_estimate = r.calibrated_estimate, .temperature_at_edge = r.temperature_at_edge, .ece = r.ece,
        .log_loss = r.log_loss, .brier = r.brier, .fano = r.fano, .stratified = r.stratified,
        .stratified_error = r.stratified_error, .prior_chi2 = r.prior_chi2, .prior_p_value = r.prior_p_value,
        .by_class = rows};
    fill_classes(estimate, report);
    fill_bins(estimate, report);
    return INFOMASK_OK;
}

void infomask_report_fini(struct infomask_report *report)
{
    free(report->by_class);
    *report = (struct infomask_report){0};
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* Sums of weights: of all, of the samples that are right, of each class. */
static void weigh_classes(const struct infomask_sample *samples, const double *weights, size_t n, double *of_class,
                          struct infomask_report *r)
{
    double all = 0;

    for (size_t i = 0; i < n; i++) {
        struct infomask_class_report *row = &r->by_class[samples[i].label];
        of_class[samples[i].label] += weights[i];
        all += weights[i];
        row->samples += weights[i] > 0;
    }
    for (size_t y = 0; y < r->classes; y++) {
        r->classes_seen += of_class[y] > 0;
        of_class[y] /= all; /* f */
        r->label_entropy -= of_class[y] > 0 ? of_class[y] * log(of_class[y]) : 0;
        r->samples += r->by_class[y].samples;
    }
    for (size_t i = 0; i < n; i++) {
        const struct infomask_sample *s = &samples[i];
        struct infomask_class_report *row = &r->by_class[s->label];
        double w = weights[i] / all, inside = of_class[s->label] > 0 ? w / of_class[s->label] : 0;
        row->mean_pmi += inside * s->pmi;
        row->information += inside * (s->log_q - log(of_class[s->label]));
        row->accuracy += s->predicted == s->label ? inside : 0;
        r->accuracy += s->predicted == s->label ? w : 0;
        r->log_loss -= w * s->log_q;
        r->plug_in += w * s->information;
        r->mean_entropy += w * s->entropy;
    }
}

/* The standard error of a weighted mean: sqrt(sum w^2 (v - mean)^2) / sum w. */
static double weighted_error(const struct infomask_sample *samples, const double *weights, size_t n, const double *f,
                             double mean)
{
    double squares = 0, all = 0;

    for (size_t i = 0; i < n; i++) {
        double miss = weights[i] > 0 ? samples[i].log_q - log(f[samples[i].label]) - mean : 0;
        squares += weights[i] * weights[i] * miss * miss;
        all += weights[i];
    }
    return sqrt(squares * (double)n / (double)(n - 1)) / all; /* as of n samples that count alike */
}

static void weigh_bins(const struct infomask_sample *samples, const double *weights, size_t n,
                       struct infomask_report *r)
{
    double sums[INFO_BINS] = {0}, all = 0;

    for (size_t i = 0; i < n; i++) {
        int b = (int)(samples[i].confidence * INFO_BINS);
        b = b < INFO_BINS ? b : INFO_BINS - 1;
        r->bin_samples[b] += weights[i] > 0;
        r->bin_confidence[b] += weights[i] * samples[i].confidence;
        r->bin_accuracy[b] += samples[i].predicted == samples[i].label ? weights[i] : 0;
        sums[b] += weights[i];
        all += weights[i];
    }
    for (int b = 0; b < INFO_BINS; b++) {
        r->ece += fabs(r->bin_confidence[b] - r->bin_accuracy[b]) / all;
        r->bin_confidence[b] /= sums[b];
        r->bin_accuracy[b] /= sums[b];
    }
}

enum infomask_status infomask_estimate_weighted(const struct infomask_sample *samples, const double *weights, size_t n,
                                                size_t classes, struct infomask_report *report,
                                                struct infomask_error *err)
{
    struct infomask_class_report *rows = calloc(classes, sizeof *rows);
    double *f = calloc(classes, sizeof *f);

    if (rows == NULL || f == NULL) {
        free(rows);
        free(f);
        return error_set(err, INFOMASK_MEMORY, "no memory for a report of %zu classes", classes);
    }
    *report = (struct infomask_report){.classes = classes, .by_class = rows, .lower_limit_t = NAN, .deviation = NAN,
                                       .plug_in_deviation = NAN, .temperature = NAN, .calibrated_estimate = NAN,
                                       .brier = NAN, .fano = NAN, .stratified = NAN, .stratified_error = NAN,
                                       .prior_chi2 = NAN, .prior_p_value = NAN};
    weigh_classes(samples, weights, n, f, report);
    weigh_bins(samples, weights, n, report);
    report->estimate = report->label_entropy - report->log_loss;
    report->standard_error = weighted_error(samples, weights, n, f, report->estimate);
    report->fraction = report->label_entropy > 0 ? report->estimate / report->label_entropy : NAN;
    report->overconfidence = report->plug_in - report->estimate;
    free(f);
    return INFOMASK_OK;
}

/* ---- Limits, comparison ------------------------------------------------------------------------------------------ */

enum infomask_status infomask_estimate_limits(struct infomask_point *points, size_t n, size_t classes,
                                              double confidence, struct infomask_limits_of_estimate *limits,
                                              struct infomask_error *err)
{
    void *storage = points; /* there may be millions: each is rewritten in its own place */
    struct info_limits l;
    enum infomask_status status;

    for (size_t i = 0; i < n; i++) {
        struct info_point own = {points[i].unit, points[i].log_q, points[i].label, points[i].predicted,
                                 points[i].weight};
        if (own.label >= classes)
            return error_set(err, INFOMASK_BAD_DATA, "label %u: there are %zu classes", own.label, classes);
        memcpy((char *)storage + i * sizeof own, &own, sizeof own);
    }
    status = info_limits(storage, n, classes, confidence, &l, err);
    *limits = (struct infomask_limits_of_estimate){l.samples, l.units, l.confidence, l.betting, l.bernstein,
                                                    l.standard_error, l.confusion};
    return status;
}

void infomask_compare(const double *pmi_a, const double *pmi_b, size_t n, struct infomask_comparison *comparison)
{
    struct info_comparison c;

    info_compare(pmi_a, pmi_b, n, &c);
    *comparison = (struct infomask_comparison){c.samples, c.difference, c.standard_error, c.lower, c.upper, c.p_value};
}

/* ---- Kept logits ------------------------------------------------------------------------------------------------- */

void infomask_logits_pack(const float *logits, size_t classes, uint16_t *half)
{
    float top = logits[0];

    for (size_t y = 1; y < classes; y++)
        top = fmaxf(top, logits[y]);
    for (size_t y = 0; y < classes; y++)
        half[y] = info_half(logits[y] - top);
}

void infomask_logits_unpack(const uint16_t *half, size_t classes, float *logits)
{
    for (size_t y = 0; y < classes; y++)
        logits[y] = info_half_value(half[y]);
}

/* The logits whose softmax, after scaling and biases, is the spec's posterior: smoothing inverted.  The change of prior
 * is a bias of each class, which the fit finds by itself. */
static float *prepared(const struct infomask_estimate_spec *spec, const float *logits, size_t n,
                       struct infomask_error *err)
{
    size_t k = spec->classes, count;
    float *z = checked_mul(n, k, &count) ? malloc(count * sizeof *z + 1) : NULL;
    double *row = malloc(k * sizeof *row);

    if (z == NULL || row == NULL) {
        free(z);
        free(row);
        (void)error_set(err, INFOMASK_MEMORY, "no memory for the logits of %zu samples", n);
        return NULL;
    }
    for (size_t i = 0; i < n; i++) {
        info_log_posterior(logits + i * k, NULL, NULL, k, row);
        info_unsmooth(row, spec->label_smoothing, k, row);
        for (size_t y = 0; y < k; y++)
            z[i * k + y] = (float)row[y];
    }
    free(row);
    return z;
}

enum infomask_status infomask_estimate_audit(const struct infomask_estimate_spec *spec,
                                             const struct infomask_audit_set *set, double *pmi, double *expected,
                                             struct infomask_audit *audit, struct infomask_error *err)
{
    struct info_audit a = {0};
    size_t n = set->n;
    struct info_lens lens;
    enum infomask_status status = info_lens_init(&lens, spec->classes, spec->prior, spec->logit_prior, 0, err);
    float *z;

    if (status != INFOMASK_OK)
        return status;
    z = prepared(spec, set->logits, n, err);
    for (size_t i = 0; z != NULL && i < n * spec->classes; i++)
        z[i] += (float)(lens.log_t[i % spec->classes] - lens.log_r[i % spec->classes]);
    const struct info_audit_set samples = {z, set->labels, set->orders, n, spec->classes, lens.log_t};
    status = z == NULL ? INFOMASK_MEMORY : info_audit(&samples, pmi, expected, &a, err);
    free(z);
    info_lens_fini(&lens);
    *audit = (struct infomask_audit){a.temperature, a.wrong, a.threshold, a.expected, a.past};
    return status;
}

/* log q - log r up to a constant of each sample: free of the prior that is inside the logits. */
static float *evidence(const struct infomask_estimate_spec *spec, const float *logits, size_t n,
                       struct infomask_error *err)
{
    size_t k = spec->classes;
    float *z = prepared(spec, logits, n, err);

    for (size_t y = 0; z != NULL && spec->logit_prior != NULL && y < k; y++) {
        float log_r = (float)log(spec->logit_prior[y]);
        for (size_t i = 0; i < n; i++)
            z[i * k + y] -= log_r;
    }
    return z;
}

enum infomask_status infomask_estimate_conditional(const struct infomask_pair *pair, struct pool *pool,
                                                   struct infomask_conditional *result, struct infomask_error *err)
{
    size_t n = pair->n, k = pair->first_spec->classes;
    struct info_conditional r;
    float *a, *b;
    enum infomask_status status;

    if (pair->second_spec->classes != k)
        return error_set(err, INFOMASK_ARGUMENT, "the models have %zu and %zu classes", k, pair->second_spec->classes);
    for (size_t i = 0; i < n; i++)
        if (pair->labels[i] >= k)
            return error_set(err, INFOMASK_ARGUMENT, "label %u: there are %zu classes", pair->labels[i], k);
    a = evidence(pair->first_spec, pair->first, n, err);
    b = a != NULL ? evidence(pair->second_spec, pair->second, n, err) : NULL;
    status = b == NULL ? INFOMASK_MEMORY
                       : info_conditional(&(struct info_pair){n, k, a, b, pair->labels, pair->units, pool}, 0.975, &r,
                                          err);
    free(a);
    free(b);
    if (status == INFOMASK_OK)
        *result = (struct infomask_conditional){r.samples, r.units, 0.975, r.alone, r.together, r.estimate,
                                                r.standard_error, r.lower_limit};
    return status;
}

enum infomask_status infomask_fit_prior(const float *pmi, size_t n, size_t classes, const double *prior, double *fitted,
                                        struct infomask_shift *shift, struct infomask_error *err)
{
    struct info_shift s;
    double *log_s = malloc(classes * sizeof *log_s);
    enum infomask_status status;

    if (log_s == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fit the prior of %zu classes", classes);
    for (size_t y = 0; y < classes; y++)
        log_s[y] = log(prior != NULL ? prior[y] : 1 / (double)classes);
    status = info_fit_prior(pmi, n, classes, log_s, fitted, &s, err);
    free(log_s);
    *shift = (struct infomask_shift){s.chi2, s.p_value, s.steps, s.converged};
    return status;
}

double infomask_drift(const uint64_t *counts, size_t steps, size_t categories, uint64_t age, size_t *change)
{
    struct info_drift drift = info_drift(counts, steps, categories, age);

    *change = drift.change;
    return drift.log_e;
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------- */

_Static_assert(INFOMASK_TASK_MAX == INFO_TASK_MAX_CLASSES && INFOMASK_TASK_MAX == INFO_TASK_MAX_DIMENSIONS, "sizes");

const char *infomask_task_name(size_t i)
{
    return i < info_task_count() ? info_task_at(i).name : NULL;
}

bool infomask_task_find(const char *name, struct infomask_task *task)
{
    size_t i = info_task_find(name);
    struct info_task own;

    if (i >= info_task_count())
        return false;
    own = info_task_at(i);
    *task = (struct infomask_task){own.name, i, own.classes, own.dimensions, info_task_truth(&own), {0}};
    memcpy(task->prior, own.prior, sizeof task->prior);
    return true;
}

uint32_t infomask_task_sample(const struct infomask_task *task, uint64_t seed, uint64_t i, float *x, float *log_p)
{
    struct info_task own = info_task_at(task->index);
    double exact[INFOMASK_TASK_MAX];
    uint32_t label = info_task_sample(&own, seed, i, x);

    info_task_posterior(&own, x, exact);
    for (size_t y = 0; y < task->classes; y++)
        log_p[y] = (float)exact[y];
    return label;
}
