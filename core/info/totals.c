#include "core/info/totals.h"

#include <float.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/info.h"

#define LOG_PRIOR_FLOOR (-100 * M_LN10) /* so that ratios of priors stay inside the range of a double */
#define OCTAVE 4 /* grid points per factor of two */

double info_grid_beta(int j)
{
    return exp2((double)(j - INFO_GRID / 2) / OCTAVE);
}

/* ---- Lens -------------------------------------------------------------------------------------------------------- */

static enum infomask_status take_log_prior(double *log_p, const double *p, size_t classes, const char *name,
                                           struct infomask_error *err)
{
    for (size_t y = 0; y < classes; y++) {
        if (p != NULL && !(p[y] > 0 && p[y] <= DBL_MAX))
            return error_set(err, INFOMASK_ARGUMENT, "%s of class %zu must be a positive number", name, y);
        log_p[y] = p != NULL ? log(p[y]) : 0;
    }
    info_log_softmax(log_p, classes, log_p);
    for (size_t y = 0; y < classes; y++)
        if (log_p[y] < LOG_PRIOR_FLOOR)
            return error_set(err, INFOMASK_ARGUMENT, "%s of class %zu must be at least 1e-100", name, y);
    return INFOMASK_OK;
}

static void set_weights(struct info_lens *lens)
{
    double top = -DBL_MAX;

    for (size_t y = 0; y < lens->classes; y++)
        top = fmax(top, lens->log_t[y] - lens->log_r[y]);
    for (size_t y = 0; y < lens->classes; y++)
        lens->weight[y] = exp(lens->log_t[y] - lens->log_r[y] - top);
}

enum infomask_status info_lens_init(struct info_lens *lens, size_t classes, const double *prior,
                                    const double *logit_prior, double smoothing, struct infomask_error *err)
{
    enum infomask_status status;

    memset(lens, 0, sizeof *lens);
    if (classes < 1 || classes > UINT32_MAX)
        return error_set(err, INFOMASK_ARGUMENT, "an estimate needs at least one class");
    if (!(smoothing >= 0 && smoothing < 1))
        return error_set(err, INFOMASK_ARGUMENT, "label smoothing must be at least 0 and less than 1");
    lens->classes = classes;
    lens->smoothing = smoothing;
    lens->log_t = calloc(classes, 3 * sizeof(double));
    if (lens->log_t == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the priors of %zu classes", classes);
    lens->log_r = lens->log_t + classes;
    lens->weight = lens->log_r + classes;
    status = take_log_prior(lens->log_t, prior, classes, "the prior", err);
    if (status == INFOMASK_OK)
        status = take_log_prior(lens->log_r, logit_prior, classes, "the logit prior", err);
    if (status != INFOMASK_OK) {
        info_lens_fini(lens);
        return status;
    }
    set_weights(lens);
    return INFOMASK_OK;
}

void info_lens_fini(struct info_lens *lens)
{
    free(lens->log_t);
    memset(lens, 0, sizeof *lens);
}

/* ---- One sample -------------------------------------------------------------------------------------------------- */

/* FNV-1a, then the finaliser of SplitMix64, so that ids that count upwards land anywhere */
uint64_t info_order(const char *id)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (; *id != '\0'; id++)
        h = (h ^ (uint8_t)*id) * 0x100000001b3u;
    h = (h ^ h >> 30) * 0xbf58476d1ce4e5b9u;
    h = (h ^ h >> 27) * 0x94d049bb133111ebu;
    return h ^ h >> 31;
}

/* d = z minus its maximum, with the smoothing inverted; log_q the posterior under t */
static void look(const struct info_lens *lens, const float *z, double *d, double *log_q)
{
    size_t k = lens->classes;
    double top;

    info_log_posterior(z, NULL, NULL, k, d);
    if (lens->smoothing > 0)
        info_unsmooth(d, lens->smoothing, k, d);
    top = d[0];
    for (size_t y = 1; y < k; y++)
        top = fmax(top, d[y]);
    for (size_t y = 0; y < k; y++)
        d[y] -= top;
    info_shift_prior(d, lens->log_r, lens->log_t, k, log_q);
}

static uint32_t arg_max(const double *a, size_t k)
{
    size_t best = 0;

    for (size_t y = 1; y < k; y++)
        if (a[y] > a[best])
            best = y;
    return (uint32_t)best;
}

static double brier_of(const double *log_q, size_t k, uint32_t label)
{
    double sum = 0;

    for (size_t y = 0; y < k; y++) {
        double miss = exp(log_q[y]) - (y == label ? 1 : 0);
        sum += miss * miss;
    }
    return sum;
}

/* Over the classes: w e^(b d), and its first two moments of d, for every b of the grid.  b doubles every OCTAVE points,
 * so OCTAVE exponentials a class are enough: the others are squares of them. */
struct moments {
    double zero[INFO_GRID], one[INFO_GRID], two[INFO_GRID];
};

static void moments_of(const double *d, const double *weight, size_t k, struct moments *m)
{
    double e[INFO_GRID], beta[OCTAVE];

    memset(m, 0, sizeof *m);
    for (int j = 0; j < OCTAVE; j++)
        beta[j] = info_grid_beta(j);
    for (size_t y = 0; y < k; y++) {
        for (int j = 0; j < OCTAVE; j++)
            e[j] = exp(beta[j] * d[y]);
        for (int j = OCTAVE; j < INFO_GRID; j++)
            e[j] = e[j - OCTAVE] * e[j - OCTAVE];
        for (int j = 0; j < INFO_GRID; j++) {
            double p = weight[y] * e[j];
            m->zero[j] += p;
            m->one[j] += p * d[y];
            m->two[j] += p * d[y] * d[y];
        }
    }
}

static void grid_add(struct info_grid_totals *grid, const double *d, const double *weight, size_t k, uint32_t label)
{
    struct moments m;

    moments_of(d, weight, k, &m);
    for (int j = 0; j < INFO_GRID; j++) {
        double mean = m.one[j] / m.zero[j];
        double log_q = info_grid_beta(j) * d[label] + log(weight[label]) - log(m.zero[j]);
        info_exact_add(&grid[j].ce, -fmax(log_q, INFO_LOG_Q_FLOOR));
        info_exact_add(&grid[j].slope, mean - d[label]);
        info_exact_add(&grid[j].curvature, fmax(m.two[j] / m.zero[j] - mean * mean, 0));
    }
}

static int bin_of(double confidence)
{
    int bin = (int)(confidence * INFO_BINS);

    return bin < INFO_BINS ? bin : INFO_BINS - 1;
}

static void count_sample(struct info_totals *totals, struct info_class_totals *of_class, const struct info_sample *s)
{
    struct info_bin_totals *bin = &totals->bins[bin_of(s->confidence)];
    uint64_t right = s->predicted == s->label;

    totals->samples++;
    totals->correct += right;
    info_exact_add(&totals->information, s->information);
    info_exact_add(&totals->information2, s->information * s->information);
    info_exact_add(&totals->entropy, s->entropy);
    bin->samples++;
    bin->correct += right;
    info_exact_add(&bin->confidence, s->confidence);
    of_class->samples++;
    of_class->correct += right;
    info_exact_add(&of_class->log_q, s->log_q);
    info_exact_add(&of_class->log_q2, s->log_q * s->log_q);
}

void info_totals_add(struct info_totals *totals, struct info_class_totals *classes, const struct info_lens *lens,
                     const float *z, uint32_t label, double *scratch, struct info_sample *sample)
{
    size_t k = lens->classes;
    double *d = scratch, *log_q = scratch + k;
    struct info_sample s = {.label = label};

    look(lens, z, d, log_q);
    s.predicted = arg_max(log_q, k);
    s.log_q = fmax(log_q[label], INFO_LOG_Q_FLOOR);
    s.pmi = s.log_q - lens->log_t[label];
    s.information = info_kl(log_q, lens->log_t, k);
    s.entropy = info_entropy(log_q, k);
    s.confidence = fmin(exp(log_q[s.predicted]), 1);
    count_sample(totals, &classes[label], &s);
    info_exact_add(&totals->brier, brier_of(log_q, k, label));
    grid_add(totals->grid, d, lens->weight, k, label);
    if (sample != NULL)
        *sample = s;
}

/* ---- Merge and bytes --------------------------------------------------------------------------------------------- */

void info_class_totals_merge(struct info_class_totals *into, const struct info_class_totals *from)
{
    into->samples += from->samples;
    into->correct += from->correct;
    info_exact_merge(&into->log_q, &from->log_q);
    info_exact_merge(&into->log_q2, &from->log_q2);
}

void info_totals_merge(struct info_totals *into, const struct info_totals *from)
{
    into->samples += from->samples;
    into->correct += from->correct;
    info_exact_merge(&into->information, &from->information);
    info_exact_merge(&into->information2, &from->information2);
    info_exact_merge(&into->entropy, &from->entropy);
    info_exact_merge(&into->brier, &from->brier);
    for (int i = 0; i < INFO_BINS; i++) {
        into->bins[i].samples += from->bins[i].samples;
        into->bins[i].correct += from->bins[i].correct;
        info_exact_merge(&into->bins[i].confidence, &from->bins[i].confidence);
    }
    for (int j = 0; j < INFO_GRID; j++) {
        info_exact_merge(&into->grid[j].ce, &from->grid[j].ce);
        info_exact_merge(&into->grid[j].slope, &from->grid[j].slope);
        info_exact_merge(&into->grid[j].curvature, &from->grid[j].curvature);
    }
}

/* A walk over the bytes, the same for both directions, so that they cannot differ. */
struct cursor {
    uint8_t *to;         /* writing */
    const uint8_t *from; /* reading; NULL while writing */
};

static void walk(struct cursor *c, unsigned __int128 *value, int size)
{
    unsigned __int128 v = 0;

    if (c->from == NULL) {
        for (int i = 0; i < size; i++)
            *c->to++ = (uint8_t)(*value >> 8 * i);
        return;
    }
    for (int i = 0; i < size; i++)
        v |= (unsigned __int128)*c->from++ << 8 * i;
    *value = v;
}

static void walk_count(struct cursor *c, uint64_t *count)
{
    unsigned __int128 v = *count;

    walk(c, &v, 8);
    *count = (uint64_t)v;
}

static void walk_sum(struct cursor *c, struct info_exact *sum)
{
    unsigned __int128 v = (unsigned __int128)sum->units;

    walk(c, &v, 16);
    sum->units = (__int128)v;
}

static void walk_totals(struct cursor *c, struct info_totals *t)
{
    walk_count(c, &t->samples);
    walk_count(c, &t->correct);
    walk_sum(c, &t->information);
    walk_sum(c, &t->information2);
    walk_sum(c, &t->entropy);
    walk_sum(c, &t->brier);
    for (int i = 0; i < INFO_BINS; i++) {
        walk_count(c, &t->bins[i].samples);
        walk_count(c, &t->bins[i].correct);
        walk_sum(c, &t->bins[i].confidence);
    }
    for (int j = 0; j < INFO_GRID; j++) {
        walk_sum(c, &t->grid[j].ce);
        walk_sum(c, &t->grid[j].slope);
        walk_sum(c, &t->grid[j].curvature);
    }
}

static void walk_class(struct cursor *c, struct info_class_totals *t)
{
    walk_count(c, &t->samples);
    walk_count(c, &t->correct);
    walk_sum(c, &t->log_q);
    walk_sum(c, &t->log_q2);
}

void info_totals_pack(const struct info_totals *totals, uint8_t *bytes)
{
    struct info_totals copy = *totals;

    walk_totals(&(struct cursor){.to = bytes}, &copy);
}

bool info_totals_unpack(struct info_totals *totals, const uint8_t *bytes, size_t size)
{
    uint64_t samples = 0, correct = 0;

    if (size != INFO_TOTALS_BYTES)
        return false;
    walk_totals(&(struct cursor){.from = bytes}, totals);
    for (int i = 0; i < INFO_BINS; i++) {
        samples += totals->bins[i].samples;
        correct += totals->bins[i].correct;
    }
    return samples == totals->samples && correct == totals->correct && correct <= samples;
}

void info_class_totals_pack(const struct info_class_totals *totals, uint8_t *bytes)
{
    struct info_class_totals copy = *totals;

    walk_class(&(struct cursor){.to = bytes}, &copy);
}

bool info_class_totals_unpack(struct info_class_totals *totals, const uint8_t *bytes, size_t size)
{
    if (size != INFO_CLASS_TOTALS_BYTES)
        return false;
    walk_class(&(struct cursor){.from = bytes}, totals);
    return totals->correct <= totals->samples;
}
