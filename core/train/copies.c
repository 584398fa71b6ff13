/* Near copies among photos, by the cosine of their features: all pairs, a block of rows at a time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/infomask_train.h"
#include "core/kernels/kernels.h"

#define BLOCK 128

struct pairs { /* of a block */
    uint32_t *ij; /* owned */
    size_t count, capacity;
    bool failed;
};

struct search {
    const float *x; /* [photos][features], of length 1 */
    size_t photos, features;
    float cosine;
    struct pairs *blocks;
    float **scratch; /* [threads][BLOCK][photos] */
};

static void remember(struct pairs *pairs, size_t i, size_t j)
{
    if (pairs->count == pairs->capacity) {
        size_t capacity = pairs->capacity > 0 ? 2 * pairs->capacity : 64;
        uint32_t *ij = reallocarray(pairs->ij, capacity, 2 * sizeof *ij);
        pairs->failed = pairs->failed || ij == NULL;
        if (ij == NULL)
            return;
        pairs->ij = ij;
        pairs->capacity = capacity;
    }
    pairs->ij[2 * pairs->count] = (uint32_t)i;
    pairs->ij[2 * pairs->count + 1] = (uint32_t)j;
    pairs->count++;
}

/* The rows of a block against all rows from the block on. */
static void search_block(void *context, int block, int worker)
{
    const struct search *s = context;
    size_t first = (size_t)block * BLOCK, rows = s->photos - first < BLOCK ? s->photos - first : BLOCK;
    size_t columns = s->photos - first, f = s->features;
    float *products = s->scratch[worker];

    kernels_best()->sgemm(false, true, (int)rows, (int)columns, (int)f, 1, s->x + first * f, (int)f, s->x + first * f,
                          (int)f, 0, products, (int)columns);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = i + 1; j < columns; j++)
            if (products[i * columns + j] >= s->cosine)
                remember(&s->blocks[block], first + i, first + j);
}

static uint32_t root(const uint32_t *groups, uint32_t i)
{
    while (groups[i] != i)
        i = groups[i];
    return i;
}

/* The smaller root becomes that of both: what comes out does not depend on the order of the pairs. */
static void join(const struct pairs *pairs, uint32_t *groups)
{
    for (size_t p = 0; p < pairs->count; p++) {
        uint32_t a = root(groups, pairs->ij[2 * p]), b = root(groups, pairs->ij[2 * p + 1]);
        groups[a > b ? a : b] = a > b ? b : a;
    }
}

/* Rows less their mean, of length 1 (0 where there is nothing left). */
static float *unit_rows(const struct infomask_feature_rows *rows)
{
    const float *x = rows->x;
    size_t photos = rows->photos, features = rows->features, stride = rows->stride;
    double *mean = calloc(features, sizeof *mean);
    float *unit = aligned_new(photos * features * sizeof *unit);

    for (size_t i = 0; i < photos && mean != NULL; i++)
        for (size_t j = 0; j < features; j++)
            mean[j] += (double)x[i * stride + j] / (double)photos;
    for (size_t i = 0; i < photos && mean != NULL && unit != NULL; i++) {
        double square = 0;
        for (size_t j = 0; j < features; j++) {
            double v = (double)x[i * stride + j] - mean[j];
            square += v * v;
        }
        for (size_t j = 0; j < features; j++)
            unit[i * features + j] =
                square > 0 ? (float)(((double)x[i * stride + j] - mean[j]) / sqrt(square)) : 0;
    }
    if (mean == NULL) {
        aligned_free(unit);
        unit = NULL;
    }
    free(mean);
    return unit;
}

static bool scratch_init(struct search *s, int threads)
{
    s->scratch = calloc((size_t)threads, sizeof *s->scratch);
    for (int i = 0; i < threads && s->scratch != NULL; i++) {
        s->scratch[i] = aligned_new(BLOCK * s->photos * sizeof(float));
        if (s->scratch[i] == NULL)
            return false;
    }
    return s->scratch != NULL;
}

enum infomask_status infomask_find_copies(const struct infomask_feature_rows *rows, double cosine, struct pool *pool,
                                          uint32_t *groups, struct infomask_error *err)
{
    size_t photos = rows->photos;
    int threads = pool_threads(pool), blocks = (int)((photos + BLOCK - 1) / BLOCK);
    float *unit = unit_rows(rows);
    struct search s = {.x = unit, .photos = photos, .features = rows->features, .cosine = (float)cosine,
                       .blocks = calloc((size_t)blocks + 1, sizeof *s.blocks)};
    bool fine = unit != NULL && s.blocks != NULL && scratch_init(&s, threads);

    kernels_warm_up(); /* products on one thread each, with a pool or without */
    for (size_t i = 0; i < photos; i++)
        groups[i] = (uint32_t)i;
    if (fine)
        pool_for(pool, blocks, search_block, &s);
    for (int b = 0; b < blocks && fine; b++) {
        join(&s.blocks[b], groups);
        fine = !s.blocks[b].failed;
    }
    for (size_t i = 0; i < photos; i++)
        groups[i] = root(groups, (uint32_t)i);
    for (int b = 0; b < blocks && s.blocks != NULL; b++)
        free(s.blocks[b].ij);
    for (int i = 0; i < threads && s.scratch != NULL; i++)
        aligned_free(s.scratch[i]);
    free(s.scratch);
    free(s.blocks);
    aligned_free(unit);
    return fine ? INFOMASK_OK
                : error_set(err, INFOMASK_MEMORY, "no memory to look for copies among %zu photos", photos);
}
