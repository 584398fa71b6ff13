#include "core/info/info.h"

#include <float.h>
#include <math.h>

/* log sum_k w_k exp(z_k) = top + log_sum.  The two are kept apart, because beside a large top the small log_sum would
 * be lost before the top is subtracted again. */
struct norm {
    double top, log_sum;
};

static struct norm norm_of(const double *z, const double *log_w, size_t k)
{
    struct norm norm = {-DBL_MAX, 0};
    double sum = 0;

    for (size_t y = 0; y < k; y++) {
        double term = z[y] + (log_w != NULL ? log_w[y] : 0);
        norm.top = term > norm.top ? term : norm.top;
    }
    for (size_t y = 0; y < k; y++)
        sum += exp((z[y] - norm.top) + (log_w != NULL ? log_w[y] : 0));
    norm.log_sum = log(sum);
    return norm;
}

double info_log_sum_exp(const double *z, size_t k)
{
    struct norm norm = norm_of(z, NULL, k);

    return norm.top + norm.log_sum;
}

void info_log_softmax(const double *z, size_t k, double *out)
{
    struct norm norm = norm_of(z, NULL, k);

    for (size_t y = 0; y < k; y++)
        out[y] = (z[y] - norm.top) - norm.log_sum;
}

void info_log_posterior(const float *z, const double *log_r, const double *log_t, size_t k, double *log_p)
{
    float top = -FLT_MAX;

    for (size_t y = 0; y < k; y++)
        top = z[y] > top ? z[y] : top;
    for (size_t y = 0; y < k; y++)
        log_p[y] = ((double)z[y] - (double)top) + (log_t != NULL ? log_t[y] : 0) - (log_r != NULL ? log_r[y] : 0);
    info_log_softmax(log_p, k, log_p);
}

void info_shift_prior(const double *log_p_s, const double *log_s, const double *log_t, size_t k, double *log_p_t)
{
    for (size_t y = 0; y < k; y++)
        log_p_t[y] = log_p_s[y] + (log_t != NULL ? log_t[y] : 0) - (log_s != NULL ? log_s[y] : 0);
    info_log_softmax(log_p_t, k, log_p_t);
}

void info_pmi(const double *log_p, const double *log_t, size_t k, double *pmi)
{
    double uniform = -log((double)k);

    for (size_t y = 0; y < k; y++)
        pmi[y] = log_p[y] - (log_t != NULL ? log_t[y] : uniform);
}

/* log((1 - eps) exp(pmi) + eps), factored so that neither a large nor a small pmi leaves the range of exp */
double info_guarded_pmi(double pmi, double eps)
{
    double a = log1p(-eps) + pmi, b = log(eps);

    return fmax(a, b) + log1p(exp(-fabs(a - b)));
}

double info_entropy(const double *log_q, size_t k)
{
    double sum = 0;

    for (size_t y = 0; y < k; y++)
        sum -= exp(log_q[y]) * log_q[y];
    return fmax(sum, 0);
}

void info_kl_entropy(const double *log_q, const double *log_t, size_t k, double *kl, double *entropy)
{
    double uniform = -log((double)k), sum = 0, minus = 0;

    for (size_t y = 0; y < k; y++) {
        double q = exp(log_q[y]);
        sum += q * (log_q[y] - (log_t != NULL ? log_t[y] : uniform));
        minus -= q * log_q[y];
    }
    *kl = fmax(sum, 0);
    *entropy = fmax(minus, 0);
}

double info_kl(const double *log_q, const double *log_t, size_t k)
{
    double kl, entropy;

    info_kl_entropy(log_q, log_t, k, &kl, &entropy);
    return kl;
}

double info_unsmoothed(double q, double eps, size_t k)
{
    double least = eps / (double)k;

    return fmax(q - least, INFO_UNSMOOTH_RESOLUTION * (q + least) / 2) / (1 - eps);
}

void info_unsmooth(const double *log_q, double eps, size_t k, double *log_p)
{
    double sum = 0;

    for (size_t y = 0; y < k; y++) {
        log_p[y] = eps > 0 ? info_unsmoothed(exp(log_q[y]), eps, k) : log_q[y]; /* below the range of exp: kept */
        sum += log_p[y];
    }
    for (size_t y = 0; y < k && eps > 0; y++)
        log_p[y] = log(log_p[y] / sum);
}

/* ---- Several labels a photo -------------------------------------------------------------------------------------- */

/* Classes that do not exclude each other: each is a binary variable, and what a photo says is summed over them. */

/* log(1 - exp(log_p)) for log_p < 0, without cancellation on either side (Maechler, 2012). */
static double log_complement(double log_p)
{
    if (log_p >= 0)
        return -HUGE_VAL;
    return log_p > -0.6931471805599453 ? log(-expm1(log_p)) : log1p(-exp(log_p));
}

double info_log_odds(double log_p)
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
        double x = (double)z[i] + info_log_odds(log_t[i]) - info_log_odds(log_r[i]);
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
