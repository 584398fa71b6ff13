/* Has a stream of categories changed?  A test that may be looked at any time.
 *
 * Under "nothing changes" every item has the same unknown distribution p over m categories.  For a change at the start
 * of step t the two halves are scored by Krichevsky and Trofimov's mixture (Dirichlet 1/2), whatever their p:
 *   E = sum_t w_t KT(before t) KT(from t on) / max_p P(all),   w_t = 1 / (a_t (a_t + 1)),  a_t = 1, 2, 3, ...
 * The numerator is a probability of the whole sequence that does not know its end (sum w_t = 1), the denominator is at
 * least the true one: E is an e-process (universal inference: Wasserman, Ramdas and Balakrishnan, PNAS 2020), and
 * P(E ever reaches 1 / a) <= a, however often one looks.  [R] for independent items.
 */
#ifndef INFOMASK_INFO_DRIFT_H
#define INFOMASK_INFO_DRIFT_H

#include <stddef.h>
#include <stdint.h>

struct info_drift {
    double log_e;  /* -INFINITY: nothing speaks for a change */
    size_t change; /* the step of the likeliest change, 1 ... steps - 1; 0: none */
};

/* counts [steps][categories]; the change at step t has a_t = age + t, age being the number of steps that step 0 has
 * swallowed (0: none).  categories <= 64.  Terms without weight are left out, on the safe side.  Thread rule: pure. */
struct info_drift info_drift(const uint64_t *counts, size_t steps, size_t categories, uint64_t age);

#endif
