/* Lower confidence limits on I(X;Y) from the PMIs of held-out samples (docs/information.md, "Limits").
 *
 * With f the label frequencies of the sample, the guarded PMI v = log[(1 - e) q + e f](y) - log f_y lies in
 * [log e, -log min f], and E v <= I(X;Y) for every model q that has not seen the samples.  A limit on E v is thus a
 * limit on I.  Thread rule: pure functions.
 */
#ifndef INFOMASK_INFO_LIMITS_H
#define INFOMASK_INFO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* What a limit needs of a sample; 32 bytes, because there may be millions. */
struct info_point {
    uint64_t unit; /* info_order of its id, or of the name of its group: what has the same one is drawn together */
    double log_q;
    uint32_t label, predicted;
    double weight; /* how often it counts; 0: once.  A sample that does not count at all is left out */
};

struct info_limits {
    size_t samples, units;
    double confidence; /* of each, one-sided */
    double betting;    /* valid at every n; NAN without samples */
    double bernstein;  /* valid at every n, wider; NAN below two samples */
    double standard_error; /* of the guarded mean, from the units; NAN below two */
    double confusion;  /* I(predicted; label) of the confusion matrix: at most I(X;Y), biased upwards by about
                          (K - 1)^2 / (2 n) */
};

/* Sorts the points.  The result depends on the set of them only: not on their order, nor on what the units are called.
 * labels < classes; 0.5 <= confidence < 1.  No limit is above the mean of log q - log f. */
enum infomask_status info_limits(struct info_point *points, size_t n, size_t classes, double confidence,
                                 struct info_limits *limits, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Of weighted units (betting.h), whose weights are brought to at most 1 here: the mean sum w x / sum w, its betting
 * limit, and the deviation of w (x - mean) / mean w, as if the units were what was drawn (NAN for one).  n >= 1. */
struct info_unit;
struct info_spread {
    double mean, mean_weight, deviation;
};
enum infomask_status info_units_limit(struct info_unit *units, size_t n, double confidence, double *limit,
                                      struct info_spread *spread, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The guard e of n samples: min(1e-3, 1 / n). */
double info_guard(size_t n);

/* Empirical Bernstein bound (Maurer and Pontil, COLT 2009, theorem 4) for the same. */
double info_bernstein_limit(double mean, double sd, double n, double range, double confidence);

/* mean -+ t s / sqrt(n): approximate; too short where errors are rare. */
double info_t_limit(double mean, double sd, double n, double confidence);

/* Two models on the same samples: paired t on the differences of their PMIs, a - b. */
struct info_comparison {
    size_t samples;
    double difference, standard_error; /* NAN where the samples are too few */
    double lower, upper;               /* two-sided, 95 % */
    double p_value;                    /* of no difference, two-sided */
};
void info_compare(const double *pmi_a, const double *pmi_b, size_t n, struct info_comparison *comparison);

#endif
