/* The information that a labelled data set shows a model to have, from the totals of its samples (docs/information.md).
 *
 * n samples that the model was not fitted to, label frequencies f, log q the log-posterior of the label:
 *   estimate = H(f) - CE = mean[log q - log f]; E estimate <= I(X;Y) for every q (Barber and Agakov 2003)
 * All in nats.  NAN: not defined with so few samples.
 */
#ifndef INFOMASK_INFO_ESTIMATE_H
#define INFOMASK_INFO_ESTIMATE_H

#include "core/info/totals.h"

struct info_report {
    uint64_t samples;
    size_t classes_seen;
    double accuracy, log_loss; /* CE */
    double label_entropy;      /* H(f): at most H(Y) on average */
    double estimate, deviation, standard_error; /* deviation: of one sample's log q - log f */
    double lower_limit_t;      /* 97.5 %, approximate */
    double fraction;           /* estimate / H(f); NAN where H(f) = 0 */
    double plug_in, plug_in_deviation; /* U = mean KL(q || t), what the model believes; not a bound */
    double overconfidence;     /* U - estimate */
    double mean_entropy;       /* mean H(q) */
    double temperature;        /* 1 / b at the smallest cross-entropy of softmax(b z + log t - log r) */
    bool temperature_at_edge;  /* the best lies outside the grid: [1/8, 8] */
    double calibrated_estimate; /* H(f) - CE(b) */
    double ece, brier;
    double fano;               /* H(f) - h(Pe) - Pe log(K - 1) <= I(X;Y), from the accuracy alone */
    double stratified, stratified_error; /* sum_k t_k mean PMI of class k, its standard error: the estimate under the
                                            prior t; NAN unless every class has two samples */
    double prior_chi2, prior_p_value; /* G-test of the labels against t */
};

/* classes [lens->classes] */
void info_report(const struct info_totals *totals, const struct info_class_totals *classes,
                 const struct info_lens *lens, struct info_report *report);

/* The minimum of the cross-entropy between the points of the grid; returns b and sets *ce and *at_edge. */
double info_grid_minimum(const struct info_totals *totals, double *ce, bool *at_edge);

#endif
