/* Lower confidence limits on I(X;Y) from the PMIs of held-out samples (docs/information.md, "Limits").
 *
 * With f the label frequencies of the sample, the guarded PMI v = log[(1 - e) q + e f](y) - log f_y lies in
 * [log e, -log min f], and E v <= I(X;Y) for every model q that has not seen the samples.  A limit on E v is thus a limit
 * on I.  Thread rule: pure functions.
 */
#ifndef INFOMASK_INFO_LIMITS_H
#define INFOMASK_INFO_LIMITS_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

/* What a limit needs of a sample; 24 bytes, because there may be millions. */
struct info_point {
    uint64_t order; /* info_order of its id */
    double log_q;
    uint32_t label, predicted;
};

struct info_limits {
    size_t samples;
    double confidence; /* of each, one-sided */
    double betting;    /* valid at every n; NAN without samples */
    double bernstein;  /* valid at every n, wider; NAN below two samples */
    double confusion;  /* I(predicted; label) of the confusion matrix: at most I(X;Y), biased upwards by about
                          (K - 1)^2 / (2 n) */
};

/* Sorts the points, so that the result depends on the set only: by (order, label, log_q) for the limits.  labels < classes; 0.5 <= confidence < 1. */
enum infomask_status info_limits(struct info_point *points, size_t n, size_t classes, double confidence,
                                 struct info_limits *limits, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The guard e of n samples: min(1e-3, 1 / n). */
double info_guard(size_t n);

/* Lower limit of the mean of n values in [0, 1], exchangeable in the order given, by betting (Waudby-Smith and Ramdas,
 * JRSS B 86 (2024), hedged capital, upper arm): the m at which the capital prod_i (1 + l_i (x_i - m)) has never exceeded
 * 1 / (1 - confidence), l_i predictable from x_1 ... x_(i-1).  bets [n] is scratch.  To 2^-48. */
double info_betting_limit(const double *x, double *bets, size_t n, double confidence);

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
