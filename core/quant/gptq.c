/* Rounding of weights with a Hessian (GPTQ, arXiv 2210.17323).
 *
 * With H = X'X in the order of rounding and U the upper factor of its inverse, U'U = H^-1, rounding input i with the
 * error e = (w_i - q_i) / U_ii is made up for by w_j -= e U_ij for all j behind.  Here the inputs stand in the opposite
 * order: H = L L' gives U as the inverse of L read backwards, without inverting H itself, and rounding runs from the
 * last input to the first. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/quant/internal.h"

#define DAMPING .01
#define LANES 16 /* outputs rounded side by side: the factor is read once for all of them */

struct rounding {
    const struct site *site;
    const double *factor; /* [k, k] inverse of L */
    const int *order;     /* inputs by rising diagonal */
    double *work;         /* [chunks][k, LANES] */
    int8_t *w;
    const float *scale;
};

/* The least scale by which the largest weight is 127 and the largest sum of a pair what it may be. */
static float column_scale(const float *w, int k, int pair)
{
    float scale = 0;

    for (int i = 0; i < k; i++)
        scale = fmaxf(scale, fabsf(w[i]) / 127);
    for (int i = 0; i + 1 < k; i += 2)
        scale = fmaxf(scale, fabsf(w[i] + w[i + 1]) / (float)pair);
    return isnormal(scale) ? scale : 1;
}

/* other: the other one of a pair, 0 while that is not rounded. */
static int8_t rounded(double w, double scale, int other, int pair)
{
    return (int8_t)fmin(fmax(rint(w / scale), fmax(-127, -pair - other)), fmin(127, pair - other));
}

static void round_lanes(void *context, int chunk, int worker)
{
    const struct rounding *r = context;
    const struct site *site = r->site;
    int k = site->k, first = chunk * LANES, lanes = site->n - first < LANES ? site->n - first : LANES;
    double *w = r->work + (size_t)chunk * (size_t)k * LANES;

    (void)worker;
    for (int a = 0; a < k; a++)
        for (int l = 0; l < lanes; l++)
            w[a * LANES + l] = (double)site->w[(size_t)(first + l) * (size_t)k + (size_t)r->order[a]];
    for (int a = k - 1; a >= 0; a--) {
        const double *row = r->factor + (size_t)a * (size_t)k;
        const int at = r->order[a], other = at ^ 1;
        double error[LANES] = {0};
        for (int l = 0; l < lanes; l++) {
            int8_t *to = r->w + (size_t)(first + l) * (size_t)k;
            double scale = (double)r->scale[first + l];
            to[at] = rounded(w[a * LANES + l], scale, other < k ? to[other] : 0, site->pair);
            error[l] = (w[a * LANES + l] - to[at] * scale) / row[a];
        }
        for (int b = 0; b < a; b++)
            for (int l = 0; l < LANES; l++)
                w[b * LANES + l] -= error[l] * row[b];
    }
}

static void round_nearest(const struct site *site, const float *scale, int8_t *w)
{
    const float *from = site->w;

    for (int n = 0; n < site->n; n++)
        for (int i = 0; i < site->k; i++, from++, w++)
            *w = rounded((double)*from, (double)scale[n], i % 2 == 0 ? 0 : w[-1], site->pair);
}

struct entry {
    double diagonal;
    int input;
};

static int by_diagonal(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->diagonal != y->diagonal)
        return x->diagonal < y->diagonal ? -1 : 1;
    return x->input - y->input; /* qsort is not stable */
}

static bool order_inputs(const double *h, int k, int *order)
{
    struct entry *entries = malloc((size_t)k * sizeof *entries);

    if (entries == NULL)
        return false;
    for (int i = 0; i < k; i++)
        entries[i] = (struct entry){h[(size_t)i * (size_t)k + (size_t)i], i};
    qsort(entries, (size_t)k, sizeof *entries, by_diagonal);
    for (int i = 0; i < k; i++)
        order[i] = entries[i].input;
    free(entries);
    return true;
}

/* The lower triangle of H in the new order, damped. */
static void reorder(const double *h, int k, const int *order, double *to)
{
    double mean = 0;

    for (int i = 0; i < k; i++)
        mean += h[(size_t)i * (size_t)k + (size_t)i] / k;
    for (int i = 0; i < k; i++) {
        for (int j = 0; j <= i; j++) {
            int a = order[i] > order[j] ? order[i] : order[j], b = order[i] > order[j] ? order[j] : order[i];
            to[(size_t)i * (size_t)k + (size_t)j] = h[(size_t)a * (size_t)k + (size_t)b];
        }
        to[(size_t)i * (size_t)k + (size_t)i] += DAMPING * mean;
    }
}

static bool run_rounding(struct rounding *r, const double *h, int *order, double *factor, struct pool *pool,
                         bool *definite)
{
    int k = r->site->k;

    if (!order_inputs(h, k, order))
        return false;
    reorder(h, k, order, factor);
    *definite = kernels_inverse_cholesky(factor, k);
    r->order = order;
    r->factor = factor;
    if (*definite)
        pool_for(pool, (r->site->n + LANES - 1) / LANES, round_lanes, r);
    return true;
}

enum infomask_status round_weights(const struct site *site, const double *h, struct pool *pool, int8_t *w, float *scale,
                                   struct infomask_error *err)
{
    size_t k = (size_t)site->k, chunks = ((size_t)site->n + LANES - 1) / LANES;
    struct rounding r = {.site = site, .w = w, .scale = scale};
    bool definite = false, fine = true;

    for (int n = 0; n < site->n; n++)
        scale[n] = column_scale(site->w + (size_t)n * k, site->k, site->pair);
    memset(w, 0, (size_t)site->n * k);
    if (h != NULL) {
        int *order = malloc(k * sizeof *order);
        double *factor = malloc(k * k * sizeof *factor);
        r.work = calloc(chunks * k * LANES, sizeof *r.work);
        fine = order != NULL && factor != NULL && r.work != NULL &&
               run_rounding(&r, h, order, factor, pool, &definite);
        free(order);
        free(factor);
        free(r.work);
    }
    if (!fine)
        return error_set(err, INFOMASK_MEMORY, "no memory to round a layer's weights");
    if (!definite) /* without pictures' say, or where they say nothing (inputs that are always 0) */
        round_nearest(site, scale, w);
    return INFOMASK_OK;
}
