/* What boosted trees and boosted grids share. */
#include "core/train/table/boosting.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

#define STRIP 64 /* rows whose posteriors are taken together */

/* Adds what a state's learners say of rows x to their logits. */
static void add_state(const struct boosting_kind *kind, size_t width, size_t k, const float *state, const float *x,
                      size_t rows, float *logits)
{
    for (int r = 0; r < kind->rounds; r++)
        kind->add(state + kind->size(k) * (size_t)r, width, k, x, rows, logits);
}

void table_boosted_logits(const struct table_data *data, const struct table_matrix *matrix,
                          const struct table_path *path, int step, const float *x, size_t rows, float *logits)
{
    size_t k = (size_t)data->classes;

    for (size_t i = 0; i < rows; i++)
        memcpy(logits + i * k, path->states, k * sizeof *logits);
    for (int s = 1; s <= step; s++)
        add_state(path->kind, matrix->width, k, path->states + path->size * (size_t)s, x, rows, logits);
}

/* The most that is learnt from or judged. */
static size_t most_rows(const struct table_fit *fit, size_t stride)
{
    const struct table_data *data = fit->data;
    size_t learnt = 0, judged = 0;

    for (int f = 0; f < data->folds; f++) {
        if (f == fit->fold[0] || f == fit->fold[1])
            judged += table_judged_end(data, f) - data->start[f];
        else
            learnt += ((stride > 1 ? data->start[f + 1] : table_learnt_end(data, f)) - data->start[f]) / stride + 1;
    }
    return learnt > judged ? learnt : judged;
}

static void take_rows(struct boosting *b, size_t stride)
{
    const struct table_data *data = b->fit->data;

    for (int f = 0; f < data->folds; f++) {
        size_t end = stride > 1 ? data->start[f + 1] : table_learnt_end(data, f);
        for (size_t i = data->start[f]; f != b->fit->fold[0] && f != b->fit->fold[1] && i < end; i += stride)
            b->rows[b->count++] = (uint32_t)i;
    }
}

enum infomask_status boosting_init(struct boosting *b, const struct boosting_kind *kind, const struct table_fit *fit,
                                   size_t stride, struct table_path *path, struct infomask_error *err)
{
    size_t n = most_rows(fit, stride), k = (size_t)fit->data->classes, pairs = 0, strip;
    bool fits = checked_mul3(n, 2 * k, sizeof(float), &pairs);

    path->kind = kind;
    path->size = (size_t)kind->rounds * kind->size(k);
    *b = (struct boosting){.kind = kind, .fit = fit, .k = k};
    b->rows = malloc(n * sizeof *b->rows);
    b->used = malloc(n * sizeof *b->used);
    b->f = fits ? malloc(pairs / 2) : NULL;
    b->g = fits ? malloc(pairs) : NULL;
    b->held = fits ? malloc(pairs / 2) : NULL;
    b->row = checked_mul3(STRIP, k, sizeof *b->row, &strip) ? malloc(strip) : NULL;
    if (b->rows == NULL || b->used == NULL || b->f == NULL || b->g == NULL || b->held == NULL || b->row == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the %s of %zu rows", kind->name, n);
    take_rows(b, stride);
    return INFOMASK_OK;
}

void boosting_fini(struct boosting *b)
{
    free(b->rows);
    free(b->used);
    free(b->f);
    free(b->g);
    free(b->held);
    free(b->row);
}

static void set_prior(struct boosting *b, float *prior)
{
    const struct table_data *data = b->fit->data;
    float sum = 0;

    for (size_t y = 0; y < b->k; y++)
        prior[y] = 0.5f;
    for (size_t i = 0; i < b->count; i++)
        prior[data->labels[b->rows[i]]] += data->weights != NULL ? data->weights[b->rows[i]] : 1;
    for (size_t y = 0; y < b->k; y++)
        sum += prior[y];
    for (size_t y = 0; y < b->k; y++)
        prior[y] = logf(prior[y] / sum);
    for (size_t i = 0; i < b->count; i++)
        memcpy(b->f + i * b->k, prior, b->k * sizeof *prior);
}

static void set_gradient(struct boosting *b, size_t i, const float *q)
{
    const struct table_data *data = b->fit->data;
    size_t k = b->k;
    float *g = b->g + i * 2 * k, *h = g + k, w = data->weights != NULL ? data->weights[b->rows[i]] : 1;

    memcpy(g, q, k * sizeof *g);
    g[data->labels[b->rows[i]]] -= 1;
    for (size_t y = 0; y < k; y++) {
        h[y] = w * fmaxf(fabsf(g[y]) * (1 - fabsf(g[y])), 1e-6f); /* |q - 1[label]| is q or 1 - q */
        g[y] *= w;
    }
}

struct random_stream boosting_next(struct boosting *b)
{
    struct random_stream random = random_stream(b->fit->data->seed ^ b->fit->stream, b->round++);

    for (size_t i = 0; i < b->count; i++) {
        size_t strip = i % STRIP, left = b->count - i;
        if (strip == 0)
            b->fit->data->kernels->softmax(b->f + i * b->k, b->row, left < STRIP ? left : STRIP, b->k);
        set_gradient(b, i, b->row + strip * b->k);
        b->used[i] = random_unit(&random) < b->kind->share;
    }
    return random;
}

void boosting_leaves(const struct boosting *b, const float *sums, size_t leaves, float *leaf)
{
    size_t k = b->k;

    for (size_t l = 0; l < leaves; l++)
        for (size_t y = 0; y < k; y++)
            leaf[l * k + y] = -b->kind->rate * sums[l * 2 * k + y] / (sums[l * 2 * k + k + y] + b->kind->penalty);
}

/* The losses of both folds: their logits grow with the states. */
static void judge(struct boosting *b, const float *state, struct table_path *path)
{
    const struct table_data *data = b->fit->data;
    const struct table_matrix *matrix = b->fit->matrix;
    float *held = b->held;

    for (int side = 0; side < 2; side++) {
        size_t first = data->start[b->fit->fold[side]], rows = table_judged_end(data, b->fit->fold[side]) - first;
        double loss = 0;
        if (path->count > 1)
            add_state(b->kind, matrix->width, b->k, state, table_rows(data, matrix, first, rows, NULL), rows, held);
        for (size_t i = 0; i < rows; i++, held += b->k) {
            if (path->count == 1)
                memcpy(held, state, b->k * sizeof *held);
            memcpy(b->row, held, b->k * sizeof *b->row);
            loss += table_loss(data, first + i, 1, b->row);
        }
        table_judged(path, side, loss, b->kind->patience);
    }
}

enum infomask_status boosting_follow(struct boosting *b, int states, void (*grow)(void *part, float *learner),
                                     void *part, struct table_path *path, struct infomask_error *err)
{
    for (int s = 0; s < states && !(path->peaked[0] && path->peaked[1]); s++) {
        float *state = table_path_grow(path);
        if (state == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the %s", b->kind->name);
        if (s == 0)
            set_prior(b, state);
        for (int r = 0; s > 0 && r < b->kind->rounds; r++)
            grow(part, state + b->kind->size(b->k) * (size_t)r);
        judge(b, state, path);
    }
    return INFOMASK_OK;
}
