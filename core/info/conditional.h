/* What a second classifier adds to a first one on the same samples: conditional information (docs/information.md,
 * "Pairs of models").
 *
 * With A the evidence that the first gives (its PMIs of every class) and B that of the second,
 *   I(Y;B|A) = H(Y|A) - H(Y|A,B).
 * Both entropies are cross-entropies of posteriors fitted outside the sample's fold: q_A, the first recalibrated alone,
 * and q_AB, the log-linear mix of both.  d = log q_AB(y) - log q_A(y) has the mean
 *   I(Y;B|A) + E KL(p(.|A) || q_A) - E KL(p(.|A,B) || q_AB),
 * so the more of A a recalibration of A alone can say, the less may B claim; it is given four functions of A's
 * posterior p, of each class: log p, log(.9 p + .1 f), log(.99 p + .01 f), and log p by p's entropy, f being the
 * frequencies of the labels (less log f each), and a bias a class.  q_AB has the same four of both.
 */
#ifndef INFOMASK_INFO_CONDITIONAL_H
#define INFOMASK_INFO_CONDITIONAL_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"

#define INFO_CONDITIONAL_LEAST 30 /* samples below which nothing is said */

struct info_pair {
    size_t n, classes;
    const float *a, *b;     /* [n][K] log q - log prior, up to a constant of each sample */
    const uint32_t *labels; /* [n] < K */
    const uint64_t *units;  /* [n] info_order of the sample's id or of its group: what has the same one shares a fold */
    struct pool *pool;      /* its idle threads help; NULL: none.  The result is the same bits */
};

struct info_conditional {
    size_t samples, units;
    double alone, together;          /* H(f) less the cross-entropies of q_A and q_AB: at most I(Y;A) and I(Y;A,B) */
    double estimate, standard_error; /* together - alone, over units */
    double lower_limit;              /* betting, one-sided */
};

/* All NAN below INFO_CONDITIONAL_LEAST samples, five units or two classes.  0.5 <= confidence < 1.  Fails with MEMORY
 * only. A function of the samples in the order in which they come.  Thread rule: pure. */
enum infomask_status info_conditional(const struct info_pair *pair, double confidence, struct info_conditional *result,
                                      struct infomask_error *err) __attribute__((warn_unused_result));

#endif
