#include "core/info/conditional.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/info/limits/betting.h"
#include "core/info/info.h"
#include "core/info/limits.h"
#include "core/info/minimize.h"

#define FOLDS 5
#define FUNCTIONS 4              /* of each classifier's posterior */
#define PARTS (2 * FUNCTIONS)
#define CHUNKS 16                /* of the samples: partial sums are added in their order, whoever made them */
#define MOST_FITTED (1 << 22)    /* logits that a fit learns from; it has few parameters */
#define STEPS 200
#define TOLERANCE 1e-5
#define BIAS_VARIANCE 0.25       /* of the normal prior that keeps a class of few samples from a bias of its own */
#define MOST_GUARD 0.05

struct fold {
    const struct info_pair *pair;
    size_t index, fitted, held;
    size_t *fit, *hold; /* [n] samples that it learns from, and that it judges */
    unsigned char *place; /* [n] the fold of each sample */
    double *log_f;      /* [K] of the samples that it learns from, half a sample more of each class */
    float *features;    /* [fitted][PARTS][K] */
    double *scratch;    /* [CHUNKS][3 K] */
    double *partial;    /* [CHUNKS][1 + PARTS + K] */
    double *alone, *together; /* [PARTS + K] weights, biases */
    size_t used;        /* parts that the fit at hand may use */
};

/* ---- What a posterior offers ------------------------------------------------------------------------------------- */

/* features [FUNCTIONS][K] from evidence [K]; p [K] is scratch. */
static void offer(const float *evidence, const double *log_f, size_t k, double *p, float *features)
{
    double entropy;

    for (size_t y = 0; y < k; y++)
        p[y] = (double)evidence[y] + log_f[y];
    info_log_softmax(p, k, p);
    entropy = info_entropy(p, k) / log((double)k);
    for (size_t y = 0; y < k; y++) {
        double ratio = exp(p[y] - log_f[y]);
        features[y] = (float)(p[y] - log_f[y]);
        features[k + y] = (float)log(0.9 * ratio + 0.1);
        features[2 * k + y] = (float)log(0.99 * ratio + 0.01);
        features[3 * k + y] = (float)((p[y] - log_f[y]) * entropy);
    }
}

static void offer_chunk(void *context, int chunk, int worker)
{
    const struct fold *f = context;
    size_t k = f->pair->classes, from = f->fitted * (size_t)chunk / CHUNKS,
           to = f->fitted * ((size_t)chunk + 1) / CHUNKS;
    double *p = f->scratch + (size_t)chunk * 3 * k;

    (void)worker;
    for (size_t i = from; i < to; i++) {
        offer(f->pair->a + f->fit[i] * k, f->log_f, k, p, f->features + i * PARTS * k);
        offer(f->pair->b + f->fit[i] * k, f->log_f, k, p, f->features + (i * PARTS + FUNCTIONS) * k);
    }
}

/* log q [K] of the mix x: weights [PARTS], of which `used` count, then biases [K]. */
static void mix(const double *x, const double *log_f, const float *features, size_t used, size_t k, double *log_q)
{
    for (size_t y = 0; y < k; y++)
        log_q[y] = log_f[y] + x[PARTS + y];
    for (size_t m = 0; m < used; m++)
        for (size_t y = 0; y < k; y++)
            log_q[y] += x[m] * (double)features[m * k + y];
    info_log_softmax(log_q, k, log_q);
}

/* ---- The fit: mean cross-entropy, with normal priors on the weights (1 for the first part, 0) and biases ----------
 */

struct step {
    const struct fold *fold;
    const double *x;
};

static void add_chunk(void *context, int chunk, int worker)
{
    const struct step *step = context;
    const struct fold *f = step->fold;
    size_t k = f->pair->classes, from = f->fitted * (size_t)chunk / CHUNKS,
           to = f->fitted * ((size_t)chunk + 1) / CHUNKS;
    double *sums = f->partial + (size_t)chunk * (1 + PARTS + k), *q = f->scratch + (size_t)chunk * 3 * k;

    (void)worker;
    memset(sums, 0, (1 + PARTS + k) * sizeof *sums);
    for (size_t i = from; i < to; i++) {
        const float *features = f->features + i * PARTS * k;
        uint32_t label = f->pair->labels[f->fit[i]];
        mix(step->x, f->log_f, features, f->used, k, q);
        sums[0] -= q[label];
        for (size_t y = 0; y < k; y++) {
            q[y] = exp(q[y]) - (y == label);
            sums[1 + PARTS + y] += q[y];
        }
        for (size_t m = 0; m < f->used; m++)
            for (size_t y = 0; y < k; y++)
                sums[1 + m] += q[y] * (double)features[m * k + y];
    }
}

static double cross_entropy(void *context, const double *x, double *gradient)
{
    const struct fold *f = context;
    struct step step = {f, x};
    size_t k = f->pair->classes;
    double value = 0, n = (double)f->fitted;

    pool_for(f->pair->pool, CHUNKS, add_chunk, &step);
    for (size_t chunk = 0; chunk < CHUNKS; chunk++)
        value += f->partial[chunk * (1 + PARTS + k)] / n;
    for (size_t j = 0; j < PARTS + k; j++) {
        double from = x[j] - (j == 0 ? 1 : 0), variance = j < PARTS ? 1 : BIAS_VARIANCE;
        gradient[j] = from / variance / n;
        value += 0.5 * from * from / variance / n;
        for (size_t chunk = 0; chunk < CHUNKS; chunk++)
            gradient[j] += f->partial[chunk * (1 + PARTS + k) + 1 + j] / n;
    }
    return value;
}

static enum infomask_status fit_mix(struct fold *f, size_t used, double *x, struct infomask_error *err)
{
    const struct minimize_options options = {.max_steps = STEPS, .tolerance = TOLERANCE};
    struct minimize_result result;

    f->used = used;
    return minimize(cross_entropy, f, PARTS + f->pair->classes, x, &options, &result, err);
}

/* ---- Folds ------------------------------------------------------------------------------------------------------- */

struct ranked {
    uint64_t unit;
    size_t sample;
};

static int by_ranked_unit(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    return (a->unit > b->unit) - (a->unit < b->unit);
}

/* place [n]: the fold of each sample, by the rank of its unit, so that folds are of one size.  Returns the units. */
static size_t deal(const struct info_pair *pair, struct ranked *ranked, unsigned char *place)
{
    size_t units = 0;

    for (size_t i = 0; i < pair->n; i++)
        ranked[i] = (struct ranked){pair->units[i], i};
    qsort(ranked, pair->n, sizeof *ranked, by_ranked_unit);
    for (size_t i = 0; i < pair->n; i++) {
        units += i == 0 || ranked[i].unit != ranked[i - 1].unit;
        place[ranked[i].sample] = (unsigned char)((units - 1) % FOLDS);
    }
    return units;
}

static enum infomask_status fold_init(struct fold *f, const struct info_pair *pair, struct infomask_error *err)
{
    size_t k = pair->classes, rows = MOST_FITTED / k < pair->n ? MOST_FITTED / k + 1 : pair->n, bytes;

    *f = (struct fold){.pair = pair};
    f->fit = calloc(2 * pair->n, sizeof *f->fit);
    f->hold = f->fit + pair->n;
    f->log_f = calloc(k, sizeof *f->log_f);
    f->features = checked_mul(rows * PARTS, k, &bytes) ? calloc(bytes, sizeof *f->features) : NULL;
    f->scratch = calloc(CHUNKS * 3, k * sizeof *f->scratch);
    f->partial = calloc(CHUNKS, (1 + PARTS + k) * sizeof *f->partial);
    f->alone = calloc(2 * (PARTS + k), sizeof *f->alone);
    f->place = calloc(pair->n, 1);
    if (f->fit == NULL || f->place == NULL || f->log_f == NULL || f->features == NULL || f->scratch == NULL ||
        f->partial == NULL || f->alone == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to compare %zu samples of %zu classes", pair->n, k);
    f->together = f->alone + PARTS + k;
    return INFOMASK_OK;
}

static void fold_fini(struct fold *f)
{
    free(f->fit);
    free(f->place);
    free(f->log_f);
    free(f->features);
    free(f->scratch);
    free(f->partial);
    free(f->alone);
}

/* Who learns and who is judged; of many that could learn, every so many does. */
static void divide(struct fold *f)
{
    const struct info_pair *pair = f->pair;
    size_t all = 0, most = MOST_FITTED / pair->classes + 1, step, k = pair->classes;

    f->held = f->fitted = 0;
    for (size_t i = 0; i < pair->n; i++)
        if (f->place[i] == f->index)
            f->hold[f->held++] = i;
        else
            f->fit[all++] = i;
    step = all > 0 ? (all - 1) / most + 1 : 1;
    for (size_t i = 0; i < all; i += step)
        f->fit[f->fitted++] = f->fit[i];
    for (size_t y = 0; y < k; y++)
        f->log_f[y] = 0.5;
    for (size_t i = 0; i < f->fitted; i++)
        f->log_f[pair->labels[f->fit[i]]] += 1;
    for (size_t y = 0; y < k; y++)
        f->log_f[y] = log(f->log_f[y] / ((double)f->fitted + 0.5 * (double)k));
}

static enum infomask_status fit_fold(struct fold *f, struct infomask_error *err)
{
    size_t size = PARTS + f->pair->classes;
    enum infomask_status status;

    pool_for(f->pair->pool, CHUNKS, offer_chunk, f);
    memset(f->alone, 0, size * sizeof *f->alone);
    f->alone[0] = 1;
    status = fit_mix(f, FUNCTIONS, f->alone, err);
    memcpy(f->together, f->alone, size * sizeof *f->alone);
    return status == INFOMASK_OK ? fit_mix(f, PARTS, f->together, err) : status;
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

struct judged {
    uint64_t unit;
    double alone, together; /* log q of the label */
};

struct judging {
    const struct fold *fold;
    struct judged *judged; /* [n] */
    double guard;          /* no posterior is below guard x f */
};

static double guarded(double log_q, double log_f, double guard)
{
    return info_guarded_pmi(log_q - log_f, guard) + log_f;
}

static void judge_chunk(void *context, int chunk, int worker)
{
    const struct judging *j = context;
    const struct fold *f = j->fold;
    size_t k = f->pair->classes, from = f->held * (size_t)chunk / CHUNKS, to = f->held * ((size_t)chunk + 1) / CHUNKS;
    double *q = f->scratch + (size_t)chunk * 3 * k;
    float *features = f->features + (size_t)chunk * PARTS * k; /* the fit is over */

    (void)worker;
    for (size_t i = from; i < to; i++) {
        size_t row = f->hold[i];
        uint32_t label = f->pair->labels[row];
        offer(f->pair->a + row * k, f->log_f, k, q, features);
        offer(f->pair->b + row * k, f->log_f, k, q, features + FUNCTIONS * k);
        mix(f->alone, f->log_f, features, FUNCTIONS, k, q);
        j->judged[row].alone = guarded(q[label], f->log_f[label], j->guard);
        mix(f->together, f->log_f, features, PARTS, k, q);
        j->judged[row].together = guarded(q[label], f->log_f[label], j->guard);
        j->judged[row].unit = f->pair->units[row];
    }
}

static int by_unit(const void *left, const void *right)
{
    const struct judged *a = left, *b = right;
    double x = a->together - a->alone, y = b->together - b->alone;

    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    return (x > y) - (x < y);
}

/* H(f) of all labels, and the least f that occurs, as its logarithm. */
static double entropy_of_labels(const struct info_pair *pair, double *counts, double *least)
{
    double h = 0, n = (double)pair->n;

    memset(counts, 0, pair->classes * sizeof *counts);
    *least = 0;
    for (size_t i = 0; i < pair->n; i++)
        counts[pair->labels[i]] += 1;
    for (size_t y = 0; y < pair->classes; y++) {
        if (counts[y] <= 0)
            continue;
        h -= counts[y] / n * log(counts[y] / n);
        *least = fmin(*least, log(counts[y] / n));
    }
    return h;
}

/* The differences, guarded below by mixing a little of q_A into q_AB, and cut above at -log min f: both on the safe
 * side.  Units of their means on [0, 1]. */
static size_t gather(const struct judged *judged, size_t n, double guard, double high, struct info_unit *units)
{
    double low = log(guard);
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        double d = fmin(info_guarded_pmi(judged[i].together - judged[i].alone, guard), high);
        if (i == 0 || judged[i].unit != judged[i - 1].unit)
            units[count++] = (struct info_unit){0, 0};
        units[count - 1].weight += 1;
        units[count - 1].x += (fmax((d - low) / (high - low), 0) - units[count - 1].x) / units[count - 1].weight;
    }
    return count;
}

static enum infomask_status conclude(struct judged *judged, const struct info_pair *pair, double confidence,
                                     struct info_conditional *r, struct infomask_error *err)
{
    size_t n = pair->n;
    double guard = fmin(MOST_GUARD, 1 / sqrt((double)n)), least = 0, h, limit = 0;
    double *counts = calloc(pair->classes, sizeof *counts);
    struct info_unit *units = calloc(n, sizeof *units);
    struct info_spread spread;
    enum infomask_status status = INFOMASK_OK;

    if (counts == NULL || units == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory for the limit of %zu samples", n);
    } else {
        h = entropy_of_labels(pair, counts, &least);
        r->alone = r->together = h;
        for (size_t i = 0; i < n; i++) {
            r->alone += judged[i].alone / (double)n;
            r->together += judged[i].together / (double)n;
        }
        qsort(judged, n, sizeof *judged, by_unit);
        r->units = gather(judged, n, guard, -least, units);
        status = info_units_limit(units, r->units, confidence, &limit, &spread, err);
    }
    if (status == INFOMASK_OK) {
        double range = -least - log(guard);
        r->estimate = r->together - r->alone;
        r->standard_error = range * spread.deviation / sqrt((double)r->units);
        r->lower_limit = fmin(log(guard) + range * limit, r->estimate);
    }
    free(counts);
    free(units);
    return status;
}

static bool two_classes(const struct info_pair *pair)
{
    for (size_t i = 1; i < pair->n; i++)
        if (pair->labels[i] != pair->labels[0])
            return true;
    return false;
}

static enum infomask_status judge_all(struct fold *f, struct judged *judged, struct infomask_error *err)
{
    struct judging judging = {f, judged, 1 / (double)f->pair->n};
    enum infomask_status status = INFOMASK_OK;

    for (; status == INFOMASK_OK && f->index < FOLDS; f->index++) {
        divide(f);
        status = fit_fold(f, err);
        if (status == INFOMASK_OK)
            pool_for(f->pair->pool, CHUNKS, judge_chunk, &judging);
    }
    return status;
}

enum infomask_status info_conditional(const struct info_pair *pair, double confidence, struct info_conditional *result,
                                      struct infomask_error *err)
{
    struct judged *judged;
    struct ranked *ranked;
    struct fold fold;
    enum infomask_status status;

    *result = (struct info_conditional){pair->n, 0, NAN, NAN, NAN, NAN, NAN};
    if (pair->n < INFO_CONDITIONAL_LEAST || pair->classes < 2 || !two_classes(pair))
        return INFOMASK_OK;
    judged = calloc(pair->n, sizeof *judged);
    ranked = calloc(pair->n, sizeof *ranked);
    status = fold_init(&fold, pair, err);
    if (status == INFOMASK_OK && (judged == NULL || ranked == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory to compare %zu samples", pair->n);
    if (status == INFOMASK_OK && (result->units = deal(pair, ranked, fold.place)) >= FOLDS) {
        status = judge_all(&fold, judged, err);
        if (status == INFOMASK_OK)
            status = conclude(judged, pair, confidence, result, err);
    }
    fold_fini(&fold);
    free(ranked);
    free(judged);
    return status;
}
