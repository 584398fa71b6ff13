/* The graph of cells: vectors from tensors inside the network, and how alike two cells are. */
#include <math.h>
#include <stdlib.h>

#include "core/base/cpu.h"
#include "core/mask/exponential.h"
#include "core/mask/mask.h"

#define LEAST_STD 1e-3
#define LEAST_LENGTH 1e-6
#define COLOUR_SIGMA 30.0F /* Lab */
#define STRIP 64           /* rows of the Gram matrix at a time */

/* Mean and 1 / (std + 1e-3) of each channel over the cells, moments [2, c]. */
CPU_CLONES static void channel_moments(const float *t, int n, int c, double *moments)
{
    double *mean = moments, *spread = moments + c;

    for (int j = 0; j < 2 * c; j++)
        moments[j] = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < c; j++)
            mean[j] += (double)t[(size_t)i * (size_t)c + (size_t)j];
    for (int j = 0; j < c; j++)
        mean[j] /= n;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < c; j++) {
            double v = (double)t[(size_t)i * (size_t)c + (size_t)j] - mean[j];
            spread[j] += v * v;
        }
    for (int j = 0; j < c; j++)
        spread[j] = 1 / (sqrt(spread[j] / n) + LEAST_STD);
}

static double length_of(const float *v, int n)
{
    double part[4] = {0}, sum = 0;
    int i = 0;

    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++)
            part[l] += (double)v[i + l] * (double)v[i + l];
    for (; i < n; i++)
        sum += (double)v[i] * (double)v[i];
    return sqrt((part[0] + part[1]) + (part[2] + part[3]) + sum);
}

/* Cells [n, c] standardised, each `length` long, into rows of `total`. */
CPU_CLONES static void standardise(const float *t, int n, int c, const double *moments, double length, float *x,
                                   int total)
{
    for (int i = 0; i < n; i++) {
        float *row = x + (size_t)i * (size_t)total, factor;
        const float *v = t + (size_t)i * (size_t)c;
        for (int j = 0; j < c; j++)
            row[j] = (float)(((double)v[j] - moments[j]) * moments[c + j]);
        factor = (float)(length / (length_of(row, c) + LEAST_LENGTH));
        for (int j = 0; j < c; j++)
            row[j] *= factor;
    }
}

enum infomask_status mask_cells_part(const float *t, int n, int c, double weight, float *x, int total, int at,
                                     struct infomask_error *err)
{
    double *moments = malloc(2 * (size_t)c * sizeof *moments);

    if (moments == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the graph of cells");
    channel_moments(t, n, c, moments);
    standardise(t, n, c, moments, sqrt(weight), x + at, total);
    free(moments);
    return INFOMASK_OK;
}

CPU_CLONES void mask_cells_unit(float *x, int n, int total)
{
    for (int i = 0; i < n; i++) {
        float *row = x + (size_t)i * (size_t)total;
        float factor = (float)(1 / fmax(length_of(row, total), LEAST_LENGTH));
        for (int j = 0; j < total; j++)
            row[j] *= factor;
    }
}

/* Gram row to affinities with cell i, columns [i, n); lab [3, n]. */
CPU_CLONES static void affinity_row(const float *lab, int n, int i, float *row)
{
    const float scale = -1.0F / (2.0F * COLOUR_SIGMA * COLOUR_SIGMA);
    const float *lightness = lab, *green = lab + n, *blue = lab + 2 * (ptrdiff_t)n;
    float l = lightness[i], a = green[i], b = blue[i];

    for (int j = i; j < n; j++) {
        float dl = lightness[j] - l, da = green[j] - a, db = blue[j] - b;
        float g = row[j] > 0.0F ? row[j] : 0.0F, square = g * g;
        row[j] = square * square * exponential(scale * (dl * dl + da * da + db * db));
    }
}

void mask_affinity(const struct kernel_table *kernels, const float *x, int n, int total, const float *lab, float *a)
{
    for (int first = 0; first < n; first += STRIP) {
        int rows = n - first < STRIP ? n - first : STRIP;
        const float *xi = x + (size_t)first * (size_t)total;
        float *strip = a + (size_t)first * (size_t)n;
        kernels->sgemm(false, true, rows, n - first, total, 1, xi, total, xi, total, 0, strip + first, n);
        for (int i = 0; i < rows; i++)
            affinity_row(lab, n, first + i, strip + (size_t)i * (size_t)n);
    }
}
