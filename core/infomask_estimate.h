/* Estimates: the mutual information of a labelled data set (docs/information.md), with its limits; comparing models;
 * the class prior of unlabelled data; synthetic tasks of known information.
 *
 * Nats, statuses and thread rule as in infomask.h.
 */
#ifndef INFOMASK_INFOMASK_ESTIMATE_H
#define INFOMASK_INFOMASK_ESTIMATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/infomask.h"

/* How logits become a posterior: the prior asked about, the one inside the logits, and label smoothing. */
struct infomask_estimate_spec {
    size_t classes;
    double *prior, *logit_prior; /* [classes], positive (normalised on use); NULL: uniform */
    double label_smoothing;
};
/* As the model's classifications under that prior have it; the arrays are malloc'ed. */
enum infomask_status infomask_estimate_spec_of(const struct infomask_model *model, const struct infomask_prior *prior,
                                               struct infomask_estimate_spec *spec, struct infomask_error *err)
    __attribute__((warn_unused_result));
void infomask_estimate_spec_fini(struct infomask_estimate_spec *spec);

struct infomask_sample { /* one labelled photo; nats */
    uint64_t order;      /* hash of its id */
    uint32_t label, predicted;
    double log_q, pmi;   /* log q(label|x) and its PMI, under the spec's prior */
    double information, entropy, confidence; /* KL(q || prior), H(q), q of the predicted class */
};

/* The sums of any number of samples: their memory is that of the classes.  Adding and merging are exact: whatever the
 * order and the shards, the same bits.  One thread at a time. */
struct infomask_estimate;
enum infomask_status infomask_estimate_create(const struct infomask_estimate_spec *spec,
                                              struct infomask_estimate **estimate, struct infomask_error *err)
    __attribute__((warn_unused_result));
void infomask_estimate_free(struct infomask_estimate *estimate);

/* logits [classes] as infomask_classification has them; id: any text; sample (may be NULL) is filled. */
enum infomask_status infomask_estimate_add(struct infomask_estimate *estimate, const float *logits, uint32_t label,
                                           const char *id, struct infomask_sample *sample, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* into += from; of the same spec, over other samples. */
enum infomask_status infomask_estimate_merge(struct infomask_estimate *into, const struct infomask_estimate *from,
                                             struct infomask_error *err) __attribute__((warn_unused_result));

/* As bytes, for a store: one record of the whole and one of each class that has samples. */
#define INFOMASK_ESTIMATE_BYTES 1760
#define INFOMASK_ESTIMATE_CLASS_BYTES 48
void infomask_estimate_pack(const struct infomask_estimate *estimate, uint8_t bytes[INFOMASK_ESTIMATE_BYTES]);
enum infomask_status infomask_estimate_unpack(struct infomask_estimate *estimate, const void *bytes, size_t size,
                                              struct infomask_error *err) __attribute__((warn_unused_result));
/* False, and no bytes, for a class without samples. */
bool infomask_estimate_pack_class(const struct infomask_estimate *estimate, size_t label,
                                  uint8_t bytes[INFOMASK_ESTIMATE_CLASS_BYTES]);
enum infomask_status infomask_estimate_unpack_class(struct infomask_estimate *estimate, size_t label, const void *bytes,
                                                    size_t size, struct infomask_error *err)
    __attribute__((warn_unused_result));

struct infomask_class_report {
    uint64_t samples;
    double mean_pmi;    /* under the spec's prior */
    double information; /* mean log q - log f, f the label's frequency: the parts whose mean over samples is the
                           estimate */
    double accuracy;    /* all three NAN without samples */
};

/* NAN: not defined with so few samples. */
struct infomask_report {
    uint64_t samples;
    size_t classes, classes_seen;
    double accuracy, label_entropy;
    double estimate, standard_error, lower_limit_t,
        fraction;                       /* E estimate <= I(X;Y); the limit at 97.5 %, approximate */
    double deviation;                   /* of one sample's part of the estimate */
    double plug_in, plug_in_deviation, overconfidence; /* mean KL(q || prior), of one sample, plug_in - estimate */
    double mean_entropy;
    double temperature, calibrated_estimate; /* as if the logits had been divided by `temperature` */
    bool temperature_at_edge;                /* the best lies outside [1/8, 8] */
    double ece, log_loss, brier;
    double fano;                        /* lower bound on I(X;Y) from the accuracy alone */
    double stratified, stratified_error; /* estimate for a population of the spec's prior */
    double prior_chi2, prior_p_value;   /* of the labels against the spec's prior */
    double bin_confidence[15],
        bin_accuracy[15]; /* reliability: means over samples of a confidence in [i, i + 1) / 15 */
    uint64_t bin_samples[15];
    struct infomask_class_report *by_class; /* [classes]; owned */
};
enum infomask_status infomask_estimate_report(const struct infomask_estimate *estimate, struct infomask_report *report,
                                              struct infomask_error *err) __attribute__((warn_unused_result));
void infomask_report_fini(struct infomask_report *report);

/* What needs every sample, but little of each.  The points [n] are used up; the results do not depend on their order.
 */
struct infomask_point {
    uint64_t unit; /* the sample's `order`, or that of its group: what has the same one was drawn together */
    double log_q;
    uint32_t label, predicted;
    double weight; /* how often it counts; 0: once.  A sample that does not count at all is left out */
};
struct infomask_limits_of_estimate {
    size_t samples, units; /* units: samples, or groups of them */
    double confidence;
    double betting;   /* lower limit on I(X;Y), valid for every number of samples */
    double bernstein; /* the same, wider */
    double standard_error; /* from the units */
    double confusion; /* I(predicted; label), at most I(X;Y), biased upwards */
};
enum infomask_status infomask_estimate_limits(struct infomask_point *points, size_t n, size_t classes,
                                              double confidence, struct infomask_limits_of_estimate *limits,
                                              struct infomask_error *err) __attribute__((warn_unused_result));

/* The report of samples that count differently often: weights [n], 0 or more, of
 * `classes` classes.  What the sums do not tell is NAN (temperature, calibration, brier, the estimate for the prior).
 * Owned as of infomask_estimate_report. */
enum infomask_status infomask_estimate_weighted(const struct infomask_sample *samples, const double *weights, size_t n,
                                                size_t classes, struct infomask_report *report,
                                                struct infomask_error *err) __attribute__((warn_unused_result));

/* What an audit looks at, borrowed: kept logits [n][classes], labels [n], orders [n] of the samples. */
struct infomask_audit_set {
    const float *logits;
    const uint32_t *labels;
    const uint64_t *orders;
    size_t n;
};
/* Label audit: the PMIs of the labels under the spec's prior, ascending (pmi [n]), and how many right labels would have
 * a PMI of at most that (expected [n]), under a calibration that is fitted on the set itself without its wrong labels
 * (core/info/audit.h). */
struct infomask_audit {
    double temperature;         /* by which the logits would have to be divided */
    double wrong;               /* labels estimated to be wrong */
    double threshold, expected; /* the cut: samples of a PMI up to it are worth a look; right labels among them */
    size_t past;                /* samples up to the cut */
};
enum infomask_status infomask_estimate_audit(const struct infomask_estimate_spec *spec,
                                             const struct infomask_audit_set *set, double *pmi, double *expected,
                                             struct infomask_audit *audit, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Two models on the same samples: paired t on the differences of their PMIs, a - b.  NAN where they are too few. */
struct infomask_comparison {
    size_t samples;
    double difference, standard_error, lower, upper, p_value; /* two-sided, 95 % */
};
void infomask_compare(const double *pmi_a, const double *pmi_b, size_t n, struct infomask_comparison *comparison);

/* What the second of two models adds to the first on the same samples, and what each says: conditional information by a
 * cross-fitted log-linear mix of both against the first recalibrated alone (core/info/conditional.h).  All NAN below 30
 * samples, 5 units or 2 classes. */
struct infomask_pair {
    size_t n;
    const struct infomask_estimate_spec *first_spec, *second_spec; /* of as many classes */
    const float *first, *second;                                   /* [n][classes] kept logits */
    const uint32_t *labels;                                        /* [n] */
    const uint64_t *units; /* [n] the samples' orders, or those of their groups */
};
struct infomask_conditional {
    size_t samples, units;
    double confidence;
    double alone, together;          /* at most I(Y;A), I(Y;A,B) on average */
    double estimate, standard_error; /* of I(Y;B|A): together - alone */
    double lower_limit;
};
enum infomask_status infomask_estimate_conditional(const struct infomask_pair *pair, struct pool *pool,
                                                   struct infomask_conditional *result, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Logits in half precision, relative to the largest of them, for a store. */
void infomask_logits_pack(const float *logits, size_t classes, uint16_t *half);
void infomask_logits_unpack(const uint16_t *half, size_t classes, float *logits);

/* Calibration of a model by kept logits: the temperature T, and with logit_prior (out; [classes]; NULL: T alone) a bias
 * a class, told as the prior inside the logits.  The calibrated posterior is that of logits / T under this logit prior.
 * What it gains is measured on fifths of the samples that the fit has not seen.  ARGUMENT: too few samples, for biases
 * under 10 of some class; a model with label smoothing. */
#define INFOMASK_CALIBRATION_LEAST 100
struct infomask_labelled_logits {
    size_t n;
    const float *logits;    /* [n][classes] */
    const uint32_t *labels; /* [n] */
};
struct infomask_calibration {
    size_t samples, parameters;
    double temperature;
    double log_loss_before, log_loss_after; /* means, nats; cross-fitted */
    bool converged;                         /* false: the likeliest temperature lies outside [1/64, 64] */
};
enum infomask_status infomask_estimate_calibrate(const struct infomask_estimate_spec *spec,
                                                 const struct infomask_labelled_logits *samples, struct pool *pool,
                                                 double *logit_prior, struct infomask_calibration *result,
                                                 struct infomask_error *err) __attribute__((warn_unused_result));

/* The class prior of unlabelled data by EM, from PMIs [n][classes] under `prior` (natural; NULL: uniform). */
struct infomask_shift {
    double chi2, p_value; /* of no shift, classes - 1 degrees of freedom */
    int steps;
    bool converged;
};
enum infomask_status infomask_fit_prior(const float *pmi, size_t n, size_t classes, const double *prior, double *fitted,
                                        struct infomask_shift *shift, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Whether a stream of categories has changed: counts [steps][categories], step 0 being what came before, worth `age`
 * steps; log E of a test that may be looked at any time (core/info/drift.h), -INFINITY where nothing speaks for a
 * change, and the step of the likeliest (0: none). */
double infomask_drift(const uint64_t *counts, size_t steps, size_t categories, uint64_t age, size_t *change);

/* Synthetic tasks of known information, to try estimators on: the i-th name (NULL: no more), and the task of a name. */
#define INFOMASK_TASK_MAX 10 /* classes and dimensions */
struct infomask_task {
    const char *name;
    size_t index, classes, dimensions;
    double information; /* the true I(X;Y) */
    double prior[INFOMASK_TASK_MAX];
};
const char *infomask_task_name(size_t i);
bool infomask_task_find(const char *name, struct infomask_task *task);
/* Sample i of a seed: x [dimensions], the exact log p(y|x) [classes]; returns the label. */
uint32_t infomask_task_sample(const struct infomask_task *task, uint64_t seed, uint64_t i, float *x, float *log_p);

#endif
