/* A linear head with everything about it cross-fitted.
 *
 * What is held out must not have chosen anything.  For every pair of folds {f, g} a path of heads is fitted without
 * both, for every fold {f} one without it.  Fold f's strength and temperature are those that serve the folds g best in
 * the pairs {f, g}; its held-out logits are those of the path {f} at them.  The head that is handed out takes its
 * strength and temperature from the folds' held-out logits in the single paths, and is fitted to everything.
 */
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/train/head.h"

#define MOST_PATHS (HEAD_FOLDS * (HEAD_FOLDS + 1) / 2)

struct crossfit {
    struct head_rows rows;
    struct head_path paths[MOST_PATHS];
    int at_least[MOST_PATHS]; /* the strength that the path has to reach */
    int count, ran;           /* paths; those that an earlier round ran */
    struct infomask_error errors[MOST_PATHS];
};

/* ---- Temperature ------------------------------------------------------------------------------------------------- */

static double part_loss(const struct head_part *part, size_t k, double b)
{
    double sum = 0;

    for (size_t i = 0; i < part->n; i++) {
        const float *z = part->logits + i * k;
        double high = -INFINITY, total = 0, label = 0;
        for (size_t j = 0; j < k; j++) {
            double v = b * ((double)z[j] - part->log_prior[j]) + part->log_prior[j];
            high = fmax(high, v);
            label = j == part->labels[i] ? v : label;
        }
        for (size_t j = 0; j < k; j++)
            total += exp(b * ((double)z[j] - part->log_prior[j]) + part->log_prior[j] - high);
        sum += high + log(total) - label;
    }
    return sum;
}

double head_temperature(const struct head_part *parts, int count, size_t classes)
{
    double middle = 0, step = log(2.0) / 2, spread = 0.7;

    for (int round = 0; round < 3; round++, step /= 6) {
        double best = INFINITY, at = middle;
        for (int i = -6; i <= 6; i++) {
            double log_b = middle + i * step, loss = log_b * log_b / (2 * spread * spread);
            for (int p = 0; p < count; p++)
                loss += part_loss(&parts[p], classes, exp(log_b));
            if (loss < best) {
                best = loss;
                at = log_b;
            }
        }
        middle = at;
    }
    return exp(middle);
}

/* z = b (z - log prior) + log prior */
static void temper(const struct head_path *path, double b, const float *from, size_t n, size_t k, float *to)
{
    for (size_t i = 0; i < n * k; i++) {
        double prior = path->log_prior[i % k];
        to[i] = (float)(b * ((double)from[i] - prior) + prior);
    }
}

/* ---- Paths ------------------------------------------------------------------------------------------------------- */

static void run_path(void *context, int index, int worker)
{
    struct crossfit *c = context;
    int i = c->ran + index;

    (void)worker;
    c->errors[i].status = head_path_run(&c->paths[i], &c->rows, c->paths[i].left_out, c->at_least[i],
                                        HEAD_STRENGTHS - 1, &c->errors[i]);
}

/* The paths [first, count). */
static enum infomask_status run_paths(struct crossfit *c, int first, struct pool *pool, struct infomask_error *err)
{
    c->ran = first;
    pool_for(pool, c->count - first, run_path, c);
    for (int i = first; i < c->count; i++)
        if (c->errors[i].status != INFOMASK_OK) {
            *err = c->errors[i];
            return err->status;
        }
    return INFOMASK_OK;
}

static const struct head_path *path_without(const struct crossfit *c, int f, int g)
{
    for (int i = 0; i < c->count; i++)
        if (c->paths[i].left_out == (1u << f | 1u << g))
            return &c->paths[i];
    return NULL;
}

/* The strongest whose log-likelihood on the folds other than f is within half a nat of the best: there is no evidence
 * for a weaker one, and where every photo is right the weakest would always win. */
static int choose_strength(const struct crossfit *c, int f)
{
    double loss[HEAD_STRENGTHS], best = INFINITY;
    int strength = 0;

    for (int s = 0; s < HEAD_STRENGTHS; s++) {
        loss[s] = 0;
        for (int g = 0; g < c->rows.folds; g++)
            loss[s] += g != f ? path_without(c, f < 0 ? g : f, g)->loss[s][g] : 0;
        best = fmin(best, loss[s]);
    }
    while (loss[strength] > best + 0.5)
        strength++;
    return strength;
}

/* The strength and temperature for fold f that the other folds choose; f = -1: that all folds choose. */
static int choose(const struct crossfit *c, int f, double *b)
{
    const struct head_rows *rows = &c->rows;
    struct head_part parts[HEAD_FOLDS];
    int strength = choose_strength(c, f), count = 0;

    for (int g = 0; g < rows->folds; g++) {
        const struct head_path *path = path_without(c, f < 0 ? g : f, g);
        if (g != f)
            parts[count++] = (struct head_part){head_path_logits(path, rows, strength, g),
                                                rows->labels + rows->first[g], rows->first[g + 1] - rows->first[g],
                                                path->log_prior};
    }
    *b = strength > 0 ? head_temperature(parts, count, rows->classes) : 1;
    return strength;
}

/* First the pairs; then the single folds, as far as the pairs ask for at least. */
static enum infomask_status fit_folds(struct crossfit *c, struct pool *pool, struct infomask_error *err)
{
    int pairs;
    double b;
    enum infomask_status status;

    for (int f = 0; f < c->rows.folds; f++)
        for (int g = f + 1; g < c->rows.folds; g++)
            c->paths[c->count++].left_out = 1u << f | 1u << g;
    pairs = c->count;
    status = run_paths(c, 0, pool, err);
    if (status != INFOMASK_OK)
        return status;
    for (int f = 0; f < c->rows.folds; f++) {
        c->at_least[c->count] = choose(c, f, &b);
        c->paths[c->count++].left_out = 1u << f;
    }
    return run_paths(c, pairs, pool, err);
}

/* ---- The head ---------------------------------------------------------------------------------------------------- */

static void hold_out(const struct crossfit *c, struct infomask_head *head)
{
    const struct head_rows *rows = &c->rows;
    size_t k = rows->classes;
    double b;

    for (int f = 0; f < rows->folds; f++) {
        int strength = choose(c, f, &b);
        const struct head_path *path = path_without(c, f, f);
        for (size_t i = rows->first[f]; i < rows->first[f + 1]; i++)
            temper(path, b, head_path_logits(path, rows, strength, f) + (i - rows->first[f]) * k, 1, k,
                   head->held_out + rows->photo[i] * k);
    }
}

/* The point of the path to the caller's features, with the temperature in it. */
static void unscale(const struct head_rows *rows, const struct head_path *path, double b, struct infomask_head *head)
{
    size_t f = rows->features;

    for (size_t k = 0; k < rows->classes; k++) {
        const double *w = path->point + k * f;
        double shift = 0, prior = path->log_prior[k];
        for (size_t j = 0; j < f; j++) {
            head->w[k * f + j] = (float)(b * w[j] * rows->scale);
            shift += (double)head->w[k * f + j] * (double)rows->centre[j];
        }
        head->b[k] = (float)(b * (path->point[rows->classes * f + k] - prior) + prior - shift);
    }
}

static void to_pc_softmax(struct infomask_head *head, size_t photos)
{
    for (size_t k = 0; k < head->classes; k++) {
        double log_prior = log(head->prior[k]);
        head->b[k] = (float)((double)head->b[k] - log_prior);
        for (size_t i = 0; i < photos; i++)
            head->held_out[i * head->classes + k] = (float)((double)head->held_out[i * head->classes + k] - log_prior);
    }
}

static enum infomask_status fit_all(const struct crossfit *c, struct infomask_head *head, struct infomask_error *err)
{
    struct head_path path;
    double b;
    int strength = choose(c, -1, &b);
    enum infomask_status status = head_path_run(&path, &c->rows, 0, strength, strength, err);

    if (status != INFOMASK_OK)
        return status;
    unscale(&c->rows, &path, b, head);
    head->l2 = head_strengths[strength];
    head->temperature = 1 / b;
    head->folds = c->rows.folds;
    head_path_fini(&path);
    return INFOMASK_OK;
}

static enum infomask_status head_init(struct infomask_head *head, const struct infomask_head_data *data,
                                      struct infomask_error *err)
{
    size_t k = data->classes;

    *head = (struct infomask_head){.features = data->features, .classes = k};
    head->w = malloc(k * data->features * sizeof *head->w);
    head->b = malloc(k * sizeof *head->b);
    head->prior = calloc(k, sizeof *head->prior);
    head->held_out = malloc(data->photos * k * sizeof *head->held_out);
    if (head->w == NULL || head->b == NULL || head->prior == NULL || head->held_out == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the head");
    for (size_t i = 0; i < data->photos; i++)
        head->prior[data->labels[i]] += 1;
    for (size_t i = 0; i < k; i++)
        head->prior[i] /= (double)data->photos;
    return INFOMASK_OK;
}

void infomask_head_fini(struct infomask_head *head)
{
    free(head->w);
    free(head->b);
    free(head->prior);
    free(head->held_out);
    *head = (struct infomask_head){0};
}

enum infomask_status infomask_fit_head(const struct infomask_head_data *data, bool pc_softmax, uint64_t seed,
                                       struct pool *pool, struct infomask_head *head, struct infomask_error *err)
{
    struct crossfit *c = calloc(1, sizeof *c);
    enum infomask_status status = INFOMASK_OK;

    *head = (struct infomask_head){0};
    if (c == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the head");
    kernels_warm_up(); /* products on one thread each, with a pool or without */
    status = head_rows_init(&c->rows, data, seed, err);
    if (status == INFOMASK_OK)
        status = head_init(head, data, err);
    if (status == INFOMASK_OK)
        status = fit_folds(c, pool, err);
    if (status == INFOMASK_OK)
        hold_out(c, head);
    if (status == INFOMASK_OK)
        status = fit_all(c, head, err);
    if (status == INFOMASK_OK && pc_softmax)
        to_pc_softmax(head, data->photos);
    for (int i = 0; i < c->count; i++)
        head_path_fini(&c->paths[i]);
    head_rows_fini(&c->rows);
    free(c);
    if (status != INFOMASK_OK)
        infomask_head_fini(head);
    return status;
}

void infomask_head_logits(const struct infomask_head *head, const float *features, float *logits)
{
    for (size_t k = 0; k < head->classes; k++) {
        double sum = (double)head->b[k];
        for (size_t j = 0; j < head->features; j++)
            sum += (double)head->w[k * head->features + j] * (double)features[j];
        logits[k] = (float)sum;
    }
}
