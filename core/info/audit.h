/* Label audit: how many right labels would lie as low as a sample's, and where to stop looking (docs/information.md,
 * use 4).
 *
 * A PMI of a label says how surprising it is to the model; how surprising is too much depends on the model's
 * calibration, which is fitted on the very set that is audited.  The model of a label is a mixture:
 *   p(y|x) = sum_j w_j softmax(b_j z)_y + e r_y,   b_j = b 2^(-3/2), b 2^(-1), b 2^(-1/2), b, b 2^(1/2)
 * with b the likeliest inverse temperature beside e, and r the labels' frequencies: a label that only r explains has no
 * say in the calibration (soft trimming).  The weights for a sample come from the other folds.  An overconfident model
 * (b < 1) has a price, log(1 + 4 log2(b)^2): of few labels, or classes, it would explain wrong ones as well as e does.
 *
 * How probably a label is wrong is told by (1 - e) softmax(b z)_y + e r_y on average over b and e, by their likelihood:
 * where few rows leave open whether the model is too sure or labels are wrong, neither is taken for granted.  e is
 * exponential of mean .05 before.  Of a posterior that never falls below c_y, (1 - c) p + c_y, the floor may be noise
 * as well (Scott 2013: nothing in the data tells), and as much of it is as the same exponential has below c.
 */
#ifndef INFOMASK_INFO_AUDIT_H
#define INFOMASK_INFO_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct info_audit {
    double temperature; /* 1 / b */
    double wrong;       /* labels estimated to be wrong: the sum of their probabilities */
    double threshold;   /* the cut: samples of a PMI up to it are worth a look */
    double expected;    /* right labels expected up to the cut */
    size_t past;        /* samples up to the cut */
};

/* n samples of K classes, borrowed. */
struct info_audit_set {
    const float *z;          /* [n][K], softmax(z) the posterior under the prior */
    const uint32_t *labels;  /* [n] < K */
    const uint64_t *fold;    /* [n], any number, which decides the fold */
    size_t n, classes;
    const double *log_prior; /* [K] */
};

/* pmi [n] (out): the PMIs of the labels, ascending; expected [n] (out): how many right labels would have a PMI of at
 * most pmi[i].  Fails with ARGUMENT (n = 0) or MEMORY. */
enum infomask_status info_audit(const struct info_audit_set *set, double *pmi, double *expected,
                                struct info_audit *audit, struct infomask_error *err);

#endif
