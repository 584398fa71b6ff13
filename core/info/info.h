/* Information from logits (arXiv 1910.02629): log-softmax, PMI, entropy, under stated priors.  All in nats, all in
 * double, finite for any finite logits.  The formulas and their tags (A1 ... E10) are explained in docs/information.md.
 *
 * K classes (k >= 1); z logits [K]; r the prior that is inside the logits (logit prior), t the prior asked about
 * (target prior), both as natural logarithms [K], normalised, every class possible; NULL means uniform throughout.
 * Output arrays belong to the caller.  Thread rule: pure functions.
 */
#ifndef INFOMASK_INFO_INFO_H
#define INFOMASK_INFO_INFO_H

#include <stddef.h>

/* log sum_k exp(z_k) */
double info_log_sum_exp(const double *z, size_t k);

/* out_y = z_y - log sum_k exp(z_k).  out may be z. */
void info_log_softmax(const double *z, size_t k, double *out);

/* A classifier of several labels a photo: every class k is a binary variable, there or not, with its own prior t_k of
 * being there (log_t; r inside the logits).  log p_k = log sigmoid(z_k + logit t_k - logit r_k). */
void info_log_sigmoid(const float *z, const double *log_r, const double *log_t, size_t k, double *log_p);
/* log p - log (1 - p) */
double info_log_odds(double log_p);
/* Sums over the classes: KL((p, 1 - p) || (t, 1 - t)) and H(p, 1 - p), nats. */
void info_binary_kl_entropy(const double *log_p, const double *log_t, size_t k, double *kl, double *entropy);
double info_binary_entropy(const double *log_p, size_t k);

/* log p_t(y|x) = log softmax(z + log t - log r)_y.  log_r or log_t NULL means uniform. */
void info_log_posterior(const float *z, const double *log_r, const double *log_t, size_t k, double *log_p);

/* The same from a log-posterior under the prior s (A5): log p_t(y|x) = log softmax(log p_s + log t - log s)_y.
 * log_p_t may be log_p_s. */
void info_shift_prior(const double *log_p_s, const double *log_s, const double *log_t, size_t k, double *log_p_t);

/* i_t(x;y) = log p_t(y|x) - log t_y; sum_y t_y exp(i_t(x;y)) = 1 (A3).  pmi may be log_p. */
void info_pmi(const double *log_p, const double *log_t, size_t k, double *pmi);

/* The PMI of the guarded posterior (1 - eps) q + eps t, 0 < eps < 1: log eps <= result <= -log t_y (C6). */
double info_guarded_pmi(double pmi, double eps);

/* H(q) = -sum q log q, from log q; in [0, log K]. */
double info_entropy(const double *log_q, size_t k);

/* KL(q || t) = sum q (log q - log t), in [0, -log min t] (B2). */
double info_kl(const double *log_q, const double *log_t, size_t k);

/* Both of these at once, the same bits; half of their exponentials. */
void info_kl_entropy(const double *log_q, const double *log_t, size_t k, double *kl, double *entropy);

/* Inverts label smoothing of eps, 0 <= eps < 1: q = (1 - eps) p + eps / K -> p, renormalised; in logarithms.  Near the
 * floor eps / K a network errs to both sides, so q below it does not say p = 0 but "p is below what this network can
 * tell": there p is INFO_UNSMOOTH_RESOLUTION (q + eps / K) / 2, which joins on without a step, keeps the order of the
 * classes, and lets no log p fall below log(INFO_UNSMOOTH_RESOLUTION eps / 2 K) - 0.01.  log_p may be log_q; eps 0
 * copies. */
void info_unsmooth(const double *log_q, double eps, size_t k, double *log_p);

/* Share of eps / K by which q must exceed it to count as more than nothing. */
#define INFO_UNSMOOTH_RESOLUTION 0.01
/* The p of one class before renormalisation, 0 < eps < 1. */
double info_unsmoothed(double q, double eps, size_t k);

/* Noisy passes (docs/information.md section 3): log_q [s][k] under the target prior, s >= 1. */
struct info_noise {
    double information[2];    /* KL(qbar || t), mean_s KL(q_s || t) (E5) */
    double model_information; /* BALD = H(qbar) - mean_s H(q_s) = mean_s KL(q_s || qbar) (E3), >= 0: the difference of
                                 the two above, exactly */
};
/* l1[y] = mean_s log q_s(y) <= ls[y] = log mean_s q_s(y) (E1); both [k], may be NULL. */
void info_noise(const double *log_q, const double *log_t, size_t s, size_t k, double *l1, double *ls,
                struct info_noise *noise);

#endif
