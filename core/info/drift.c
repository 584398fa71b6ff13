#include "core/info/drift.h"

#include <math.h>
#include <string.h>

#define MOST_CATEGORIES 64
#define LEAST_CHI2(m) (2 * (double)(m) + 2) /* below it a change here weighs nothing beside what the mixture costs */

static double log_gamma(double x)
{
    int sign;

    return lgamma_r(x, &sign);
}

/* log of the mixture of all p over counts [m] of n items; that of no items is 0. */
static double log_mixture(const uint64_t *counts, size_t m, uint64_t n)
{
    double sum = log_gamma(0.5 * (double)m) - log_gamma((double)n + 0.5 * (double)m);

    for (size_t k = 0; k < m; k++)
        if (counts[k] > 0)
            sum += log_gamma((double)counts[k] + 0.5) - 0.5 * log(acos(-1));
    return sum;
}

static double log_likeliest(const uint64_t *counts, size_t m, uint64_t n)
{
    double sum = 0;

    for (size_t k = 0; k < m; k++)
        sum += counts[k] > 0 ? (double)counts[k] * log((double)counts[k] / (double)n) : 0;
    return sum;
}

/* Pearson's statistic of the first n items against the rest. */
static double chi2_of(const uint64_t *before, uint64_t n, const uint64_t *all, uint64_t total, size_t m)
{
    double sum = 0, share = (double)n / (double)total;

    for (size_t k = 0; k < m; k++) {
        double expected = share * (double)all[k], miss = (double)before[k] - expected;
        sum += all[k] > 0 ? miss * miss / (expected * (1 - share)) : 0;
    }
    return sum;
}

static uint64_t add_step(const uint64_t *counts, size_t m, uint64_t *sums)
{
    uint64_t n = 0;

    for (size_t k = 0; k < m; k++) {
        sums[k] += counts[k];
        n += counts[k];
    }
    return n;
}

struct info_drift info_drift(const uint64_t *counts, size_t steps, size_t categories, uint64_t age)
{
    uint64_t all[MOST_CATEGORIES] = {0}, before[MOST_CATEGORIES] = {0}, after[MOST_CATEGORIES], total = 0, n = 0;
    struct info_drift drift = {-INFINITY, 0};
    size_t m = categories;
    double most = -INFINITY, likeliest;

    for (size_t t = 0; t < steps; t++)
        total += add_step(counts + t * m, m, all);
    likeliest = log_likeliest(all, m, total);
    for (size_t t = 1; t < steps; t++) {
        double a = (double)age + (double)t, term;
        n += add_step(counts + (t - 1) * m, m, before);
        if (n == 0 || n == total || chi2_of(before, n, all, total, m) < LEAST_CHI2(m))
            continue;
        for (size_t k = 0; k < m; k++)
            after[k] = all[k] - before[k];
        term = log_mixture(before, m, n) + log_mixture(after, m, total - n) - likeliest - log(a * (a + 1));
        if (term > most) {
            most = term;
            drift.change = t;
        }
        drift.log_e = fmax(drift.log_e, term) + log1p(exp(-fabs(drift.log_e - term))); /* of -INFINITY: term */
    }
    return drift;
}
