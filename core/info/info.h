/* Information from logits (arXiv 1910.02629): log-softmax, PMI, entropy, under stated priors.  All in nats, all in
 * double, finite for any finite logits.  The formulas and their tags (A1 ... G1) are explained in docs/information.md.
 *
 * K classes; z logits [K]; r the prior that is inside the logits (logit prior), t the prior asked about (target
 * prior), both as natural logarithms [K].  Thread rule: pure functions.
 */
#ifndef INFOMASK_INFO_INFO_H
#define INFOMASK_INFO_INFO_H

#include <stddef.h>

/* log sum_k exp(z_k) */
double info_log_sum_exp(const double *z, size_t k);

/* out_y = z_y - log sum_k exp(z_k).  out may be z. */
void info_log_softmax(const double *z, size_t k, double *out);

/* log p_t(y|x) = log softmax(z + log t - log r)_y.  log_r or log_t NULL means uniform. */
void info_log_posterior(const float *z, const double *log_r, const double *log_t, size_t k, double *log_p);

/* PC-softmax (arXiv 1911.10688): out_y = z_y - log sum_k t_k exp(z_k), the PMI of a network trained by it. */
void info_pc_log_softmax(const double *z, const double *log_t, size_t k, double *out);

/* i_t(x;y) = log p_t(y|x) - log t_y.  pmi may be log_p. */
void info_pmi(const double *log_p, const double *log_t, size_t k, double *pmi);

/* H(q) = -sum q log q, from log q. */
double info_entropy(const double *log_q, size_t k);

/* KL(q || t) = sum q (log q - log t); >= 0. log_t NULL means uniform. */
double info_kl(const double *log_q, const double *log_t, size_t k);

/* Inverts label smoothing of eps: q = (1 - eps) p + eps / K -> p, clipped at 0 and renormalised; in logarithms
 * (a class that is clipped gets the smallest finite log-probability of the result's range, log(1e-300)). */
void info_unsmooth(const double *log_q, double eps, size_t k, double *log_p);

/* Noisy passes (docs/information.md section 3): log_q [s][k] under the target prior. */
struct info_noise {
    double information[2];    /* KL(qbar || t), mean_s KL(q_s || t); their difference is model_information exactly */
    double model_information; /* BALD: H(qbar) - mean_s H(q_s) */
};
/* l1[y] = mean_s log q_s(y), ls[y] = log mean_s q_s(y); both [k], may be NULL. */
void info_noise(const double *log_q, const double *log_t, size_t s, size_t k, double *l1, double *ls,
                struct info_noise *noise);

#endif
