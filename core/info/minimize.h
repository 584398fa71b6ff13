/* L-BFGS (Nocedal 1980) with a backtracking line search (Armijo), for smooth convex functions of many variables. */
#ifndef INFOMASK_INFO_MINIMIZE_H
#define INFOMASK_INFO_MINIMIZE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

/* Returns f(x) and fills gradient [n]. */
typedef double minimize_function(void *context, const double *x, double *gradient);

struct minimize_options {
    int max_steps;     /* 0: 500 */
    double tolerance;  /* stop when no component of the gradient exceeds it; 0: 1e-9 */
    bool (*expired)(void *context); /* polled at every step; true ends it.  May be NULL */
    void *expired_context;
};

struct minimize_result {
    double value;
    double largest_gradient;
    int steps;
    bool converged;
};

/* From x [n] to the minimum, in place.  Fails with MEMORY or DEADLINE only; x is then the best point so far. */
enum infomask_status minimize(minimize_function *f, void *context, size_t n, double *x,
                              const struct minimize_options *options, struct minimize_result *result,
                              struct infomask_error *err) __attribute__((warn_unused_result));

#endif
