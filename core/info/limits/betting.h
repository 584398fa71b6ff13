/* Lower limit of a mean of bounded values by betting, without an order (docs/information.md, "The limit").
 *
 * Whoever claims "the mean is at most m" pays m for a ticket that is worth the next value x in [0, 1].  A bettor who
 * starts with 1 and never goes below 0 then has, under the claim, a capital of expectation at most 1 at the end; so has
 * the mean of the capitals over many orders of the same values, and by Markov's inequality it reaches 1 / (1 -
 * confidence) with a probability of at most 1 - confidence.  The limit is the largest m at which it does.
 */
#ifndef INFOMASK_INFO_BETTING_H
#define INFOMASK_INFO_BETTING_H

#include <stddef.h>

#include "core/base/status.h"

/* What is independent of everything else: a sample, or a group of them. */
struct info_unit {
    double x;      /* the mean of its values, each in [0, 1] */
    double weight; /* its share of samples, in (0, 1]: 1 for the largest unit */
};

/* The limit is of sum w x / sum w.  Sorts the units: the result is a function of the set of them, and of nothing else.
 * n >= 1; 0.5 <= confidence < 1.  *limit is at least 0 and less than every m that stands, by at most a thousandth
 * of the standard error.  Fails with MEMORY only.  Thread rule: a pure function. */
enum infomask_status info_betting_limit(struct info_unit *units, size_t n, double confidence, double *limit,
                                        struct infomask_error *err);

#endif
