/* Classes that do not exclude each other: each is a binary variable, and what a photo says is summed over them. */
#include <math.h>

#include "core/info/info.h"

/* log(1 - exp(log_p)) for log_p < 0, without cancellation on either side (Maechler, 2012). */
static double log_complement(double log_p)
{
    if (log_p >= 0)
        return -HUGE_VAL;
    return log_p > -0.6931471805599453 ? log(-expm1(log_p)) : log1p(-exp(log_p));
}

static double log_odds(double log_p)
{
    return log_p - log_complement(log_p);
}

/* x log x with its limit at 0 */
static double weighted(double log_p, double log_ratio)
{
    return log_p > -745 ? exp(log_p) * log_ratio : 0;
}

void info_log_sigmoid(const float *z, const double *log_r, const double *log_t, size_t k, double *log_p)
{
    for (size_t i = 0; i < k; i++) {
        double x = (double)z[i] + log_odds(log_t[i]) - log_odds(log_r[i]);
        log_p[i] = x < 0 ? x - log1p(exp(x)) : -log1p(exp(-x));
    }
}

void info_binary_kl_entropy(const double *log_p, const double *log_t, size_t k, double *kl, double *entropy)
{
    *kl = *entropy = 0;
    for (size_t i = 0; i < k; i++) {
        double log_q = log_complement(log_p[i]);
        *kl += weighted(log_p[i], log_p[i] - log_t[i]) + weighted(log_q, log_q - log_complement(log_t[i]));
        *entropy -= weighted(log_p[i], log_p[i]) + weighted(log_q, log_q);
    }
    *kl = fmax(*kl, 0);
}

double info_binary_entropy(const double *log_p, size_t k)
{
    double kl, entropy;

    info_binary_kl_entropy(log_p, log_p, k, &kl, &entropy);
    return entropy;
}
