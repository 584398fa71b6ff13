#include "core/info/special.h"

#include <float.h>
#include <math.h>

#define MAX_TERMS 10000 /* of a continued fraction or series; a few hundred are used */
#define TINY 1e-300
#define STIRLING 32

/* One step of the modified Lentz algorithm for a_1/(1 + a_2/(1 + ...)): f *= d * c. */
struct lentz {
    double c, d, f;
};

static double lentz_step(struct lentz *l, double a, double b)
{
    double factor;

    l->d = b + a * l->d;
    l->d = fabs(l->d) < TINY ? TINY : l->d;
    l->c = b + a / l->c;
    l->c = fabs(l->c) < TINY ? TINY : l->c;
    l->d = 1 / l->d;
    factor = l->c * l->d;
    l->f *= factor;
    return fabs(factor - 1);
}

/* lgamma(x) less its main part (DLMF 5.11.1), for x >= STIRLING */
static double stirling_rest(double x)
{
    double y = 1 / (x * x);
    return (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y / 1680))) / x;
}

/* log B(a, b).  With a large one, logarithms of gamma functions in the millions would leave few digits of their
 * difference. */
static double log_beta(double a, double b)
{
    double small = fmin(a, b), large = fmax(a, b), sum = a + b;

    if (large < STIRLING)
        return lgamma(a) + lgamma(b) - lgamma(sum);
    return lgamma(small) - ((large - 0.5) * log1p(small / large) + small * log(sum) - small + stirling_rest(sum) -
                            stirling_rest(large));
}

/* Regularised incomplete beta function I_x(a, b) (NIST DLMF 8.17.22), for x < (a + 1) / (a + b + 2) */
static double beta_fraction(double x, double a, double b)
{
    struct lentz l = {1, 0, 1}; /* 1 + d_1/(1 + d_2/(1 + ...)) */
    double front = exp(a * log(x) + b * log1p(-x) - log_beta(a, b)) / a;

    if (x <= 0)
        return 0;
    for (int i = 1; i < MAX_TERMS; i++) {
        double m = floor(i / 2.0), even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        if (lentz_step(&l, i % 2 == 0 ? even : odd, 1) < DBL_EPSILON)
            break;
    }
    return front / l.f;
}

static double beta_regularised(double x, double a, double b)
{
    return x < (a + 1) / (a + b + 2) ? beta_fraction(x, a, b) : 1 - beta_fraction(1 - x, b, a);
}

double info_student_cdf(double t, double df)
{
    double tail;

    if (t * t < df) /* near the middle the tail would be a half less something small */
        return 0.5 + copysign(0.5 * beta_regularised(t * t / (df + t * t), 0.5, df / 2), t);
    tail = 0.5 * beta_regularised(df / (df + t * t), df / 2, 0.5);
    return t > 0 ? 1 - tail : tail;
}

double info_student_quantile(double p, double df)
{
    double low = -1, high = 1;

    while (info_student_cdf(low, df) > p && low > -1e300)
        low *= 2;
    while (info_student_cdf(high, df) < p && high < 1e300)
        high *= 2;
    for (int i = 0; i < 200 && high - low > 1e-14 * fmax(1, fabs(low)); i++) {
        double middle = 0.5 * (low + high);
        if (info_student_cdf(middle, df) < p)
            low = middle;
        else
            high = middle;
    }
    return 0.5 * (low + high);
}

/* P(a, x) by its series (DLMF 8.11.4), for x < a + 1 */
static double gamma_series(double a, double x)
{
    double term = 1 / a, sum = term;

    for (int i = 1; i < MAX_TERMS && term > sum * DBL_EPSILON; i++) {
        term *= x / (a + i);
        sum += term;
    }
    return sum * exp(a * log(x) - x - lgamma(a));
}

/* Q(a, x) by its continued fraction (DLMF 8.9.2, even part), for x >= a + 1 */
static double gamma_fraction(double a, double x)
{
    struct lentz l = {1 / TINY, 1 / (x + 1 - a), 1 / (x + 1 - a)};

    for (int i = 1; i < MAX_TERMS; i++)
        if (lentz_step(&l, -i * (i - a), x + 2 * i + 1 - a) < DBL_EPSILON)
            break;
    return l.f * exp(a * log(x) - x - lgamma(a));
}

double info_chi2_tail(double x, double df)
{
    if (!(x > 0))
        return 1;
    return x / 2 < df / 2 + 1 ? 1 - gamma_series(df / 2, x / 2) : gamma_fraction(df / 2, x / 2);
}
