#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/mask/exponential.h"
#include "core/mask/mask.h"

#define BINS 256
#define OTSU_FACTOR 1.1
#define FAINT_LARGER 20.0 /* times that the faint part is as large as the bright one, at least */
#define FAINT_SEEDS 0.25 /* of the bright part's mean seed that the faint one's is, at most */

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

/* Of the values above `least`; 0 if there are none. */
static double otsu_above(const float *m, size_t n, float least)
{
    size_t count = 0;
    double share[BINS] = {0}, total = 0, below = 0, sum = 0, best = -1;
    int at = 0;

    for (size_t i = 0; i < n; i++)
        count += m[i] > least;
    for (size_t i = 0; i < n; i++) {
        float v = m[i] < 0 ? 0.0F : m[i] > 1 ? 1.0F : m[i];
        int bin = (int)(v * BINS);
        if (m[i] > least)
            share[bin < BINS ? bin : BINS - 1] += 1.0 / (double)count;
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
    return count > 0 ? (at + 0.5) / BINS : 0;
}

double mask_otsu(const float *m, size_t n) { return otsu_above(m, n, -INFINITY); }

double mask_object_threshold(const float *soft, const float *seeds, size_t n)
{
    double low = OTSU_FACTOR * mask_otsu(soft, n), high = OTSU_FACTOR * otsu_above(soft, n, (float)low);
    double bright = 0, faint = 0;
    size_t brights = 0, faints = 0;

    for (size_t i = 0; i < n; i++) {
        bool is_bright = (double)soft[i] > high;
        if ((double)soft[i] <= low)
            continue;
        brights += is_bright;
        faints += !is_bright;
        bright += is_bright ? (double)seeds[i] : 0;
        faint += is_bright ? 0 : (double)seeds[i];
    }
    if (brights == 0 || (double)faints < FAINT_LARGER * (double)brights)
        return low;
    return faint / (double)faints <= FAINT_SEEDS * bright / (double)brights ? high : low;
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
