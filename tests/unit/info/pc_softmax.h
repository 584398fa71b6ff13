/* Softmax under a prior, as the paper writes it: what the library's functions are compared with. */
#ifndef TESTS_PC_SOFTMAX_H
#define TESTS_PC_SOFTMAX_H

#include <float.h>
#include <math.h>
#include <stddef.h>

/* log sum_k t_k exp(z_k) */
static inline double log_mean_exp(const double *z, const double *log_t, size_t k)
{
    double sum = 0, top = -DBL_MAX;

    for (size_t y = 0; y < k; y++)
        top = fmax(top, z[y]);
    for (size_t y = 0; y < k; y++)
        sum += exp(z[y] - top) * (log_t != NULL ? exp(log_t[y]) : 1 / (double)k);
    return top + log(sum);
}

/* PC-softmax (arXiv 1911.10688): z_y - log sum_k t_k exp(z_k), the PMI of a network trained by it.  out may be z. */
static inline void pc_log_softmax(const double *z, const double *log_t, size_t k, double *out)
{
    double norm = log_mean_exp(z, log_t, k);

    for (size_t y = 0; y < k; y++)
        out[y] = z[y] - norm;
}

#endif
