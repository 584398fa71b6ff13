#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/mask/exponential.h"
#include "core/mask/mask.h"

#define BINS 256

void mask_normalise(float *m, size_t n)
{
    float most = 0;

    for (size_t i = 0; i < n; i++)
        most = m[i] > most ? m[i] : most;
    most = most > 1e-6F ? most : 1e-6F;
    for (size_t i = 0; i < n; i++)
        m[i] = m[i] > 0 ? m[i] / most : 0.0F;
}

CPU_CLONES void mask_sigmoid(float *m, size_t n, float slope, float centre)
{
    for (size_t i = 0; i < n; i++)
        m[i] = 1.0F / (1.0F + exponential(-slope * (m[i] - centre)));
}

double mask_otsu(const float *m, size_t n)
{
    double share[BINS] = {0}, total = 0, below = 0, sum = 0, best = -1;
    int at = 0;

    for (size_t i = 0; i < n; i++) {
        float v = m[i] < 0 ? 0.0F : m[i] > 1 ? 1.0F : m[i];
        int bin = (int)(v * BINS);
        share[bin < BINS ? bin : BINS - 1] += 1.0 / (double)n;
    }
    for (int b = 0; b < BINS; b++)
        total += b * share[b];
    for (int b = 0; b < BINS; b++) { /* between-class variance of [0, b] against the rest */
        double apart;
        below += share[b];
        sum += b * share[b];
        apart = total * below - sum;
        apart = apart * apart / (below * (1 - below) + 1e-9);
        if (apart > best) {
            best = apart;
            at = b;
        }
    }
    return (at + 0.5) / BINS;
}

static int falling(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

enum infomask_status mask_share_threshold(const float *m, int n, double share, double *threshold,
                                          struct infomask_error *err)
{
    float *sorted = malloc((size_t)n * sizeof *sorted);
    double total = 0, sum = 0;

    if (sorted == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to sort a map");
    memcpy(sorted, m, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, falling);
    for (int i = 0; i < n && sorted[i] > 0; i++)
        total += (double)sorted[i];
    *threshold = INFINITY;
    for (int i = 0; i < n && sorted[i] > 0 && (i == 0 || sum < share * total); i++) {
        sum += (double)sorted[i];
        *threshold = (double)sorted[i];
    }
    free(sorted);
    return INFOMASK_OK;
}
