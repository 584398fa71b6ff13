/* Calibration from kept logits: temperature, temperature with one bias a class, and the prior of unlabelled data. */
#ifndef INFOMASK_INFO_FIT_H
#define INFOMASK_INFO_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"

/* n samples of K classes: z [n][K] any logits whose softmax is the posterior asked about (their row maximum should be
 * of moderate size), labels [n] < K. */
struct info_logits {
    size_t n, classes;
    const float *z;
    const uint32_t *labels;
    struct pool *pool; /* its idle threads help; NULL: none.  The result is the same bits */
};

/* Cross-entropy of softmax(b z + c) (c [K] or NULL: zeros), its derivative by b (D5), and by c if slope_c is not NULL.
 */
enum infomask_status info_cross_entropy(const struct info_logits *logits, double b, const double *c, double *ce,
                                        double *slope_b, double *slope_c, struct infomask_error *err)
    __attribute__((warn_unused_result));

struct info_fit {
    double beta;          /* inverse temperature */
    double cross_entropy; /* at the fit, nats */
    size_t parameters;    /* fitted: the optimism is about parameters / (2 n) nats */
    int converged;        /* 0: the data are separable, or the steps ran out */
};

/* The b in [1/64, 64] of the smallest cross-entropy of softmax(b z + c) (c [K] or NULL), by bisection on its slope. */
enum infomask_status info_fit_temperature(const struct info_logits *logits, const double *c, struct info_fit *fit,
                                          struct infomask_error *err) __attribute__((warn_unused_result));

/* Vector scaling: b and one bias a class, c [K] (0 on average over the classes that occur).  Classes without a sample
 * leave the model: their bias becomes -INFINITY. */
enum infomask_status info_fit_vector(const struct info_logits *logits, double *c, struct info_fit *fit,
                                     struct infomask_error *err) __attribute__((warn_unused_result));

/* The prior of unlabelled samples whose PMIs under the prior s are pmi [n][K]: EM (Saerens et al. 2002) for the maximum
 * of sum_x log sum_k t_k exp(i_s(x; k)), which is concave in t. */
struct info_shift {
    double gain;    /* log-likelihood over that of t = s */
    double chi2;    /* 2 gain: chi-squared with K - 1 degrees of freedom where nothing has shifted */
    double p_value;
    int steps, converged;
};
enum infomask_status info_fit_prior(const float *pmi, size_t n, size_t classes, const double *log_s, double *prior,
                                    struct info_shift *shift, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
