#include "core/info/audit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/info.h"

#define BETAS 41 /* 2^(-5) to 2^5 in steps of 2^(1/4) */
#define OCTAVE 4
#define PARTS 5  /* inverse temperatures of the mixture: b / sqrt 8, b / 2, b / sqrt 2, b, b sqrt 2 */
#define FOLDS 5
#define FIT_STEPS 200
#define FIRST (2 * OCTAVE) /* the inverse temperatures whose likelihood is asked: their parts are among BETAS */
#define LAST (BETAS - OCTAVE - OCTAVE / 2)
#define SHARES 17          /* of noise: none, and .0025 to .45 in steps of sqrt 2 */
#define WRONG 0.05         /* share of noise to be expected before anything is known: mean of an exponential */

struct work {
    const float *z;
    const uint32_t *labels;
    const uint64_t *fold;
    size_t n, k;
    double *label_q;          /* [n][BETAS] softmax(b_j z) of the label */
    double *log_z;            /* [n][BETAS] log sum exp(b_j (z - max z)) */
    double *floor;            /* [BETAS][K] the least that softmax(b_j z) says of a class, as far as it is noise */
    double *noise;            /* [K] r */
    double odds[BETAS][SHARES]; /* probability of an inverse temperature and a share of noise */
    double *parts;            /* [n][PARTS + 1] what the parts, and r, say of the label */
    double weights[FOLDS][PARTS]; /* of the parts among right labels */
    int best;                 /* of BETAS */
    struct ranked *ranked;    /* [n] */
    double *row;              /* [2][K] scratch */
};

/* A sample's PMI, and the probability that its label is wrong. */
struct ranked {
    double pmi, wrong;
};

static double beta_at(int j)
{
    return exp2((double)(j - BETAS / 2) / OCTAVE);
}

static double top_of(const float *z, size_t k)
{
    double top = (double)z[0];

    for (size_t y = 1; y < k; y++)
        top = fmax(top, (double)z[y]);
    return top;
}

/* e [BETAS] = exp(b_j d): OCTAVE exponentials, the others are squares of them. */
static void powers(double d, double *e)
{
    for (int j = 0; j < BETAS; j++)
        e[j] = j < OCTAVE ? exp(beta_at(j) * d) : e[j - OCTAVE] * e[j - OCTAVE];
}

static void fill_row(struct work *w, size_t i)
{
    const float *z = w->z + i * w->k;
    double sums[BETAS] = {0}, e[BETAS], top = top_of(z, w->k);

    for (size_t y = 0; y < w->k; y++) {
        powers((double)z[y] - top, e);
        for (int j = 0; j < BETAS; j++)
            sums[j] += e[j];
    }
    for (size_t y = 0; y < w->k; y++) {
        powers((double)z[y] - top, e);
        for (int j = 0; j < BETAS; j++) {
            double *floor = &w->floor[(size_t)j * w->k + y], q = e[j] / sums[j];
            *floor = i == 0 || q < *floor ? q : *floor;
            if (y == w->labels[i])
                w->label_q[i * BETAS + (size_t)j] = q;
        }
    }
    for (int j = 0; j < BETAS; j++)
        w->log_z[i * BETAS + (size_t)j] = log(sums[j]);
}

/* A posterior that never falls below c_y is (1 - c) p + c_y, c = sum c_y, as of a model that was smoothed, or has
 * learnt from labels that were wrong that often: as much of c is noise as an exponential of mean WRONG cut off at c has
 * on average. */
static void share_floor(struct work *w, int j)
{
    double *floor = w->floor + (size_t)j * w->k, sum = 0, ratio;

    for (size_t y = 0; y < w->k; y++)
        sum += floor[y];
    ratio = sum / WRONG;
    ratio = ratio > 1e-4 ? 1 / ratio - 1 / expm1(ratio) : 0.5;
    for (size_t y = 0; y < w->k; y++)
        floor[y] *= ratio;
}

/* The frequencies of the labels, with one more of each that occurs. */
static void fill_noise(struct work *w)
{
    double seen = 0;

    for (size_t i = 0; i < w->n; i++)
        w->noise[w->labels[i]] += 1;
    for (size_t y = 0; y < w->k; y++)
        seen += w->noise[y] > 0;
    for (size_t y = 0; y < w->k; y++)
        w->noise[y] = w->noise[y] > 0 ? (w->noise[y] + 1) / ((double)w->n + seen) : 0;
}

/* ---- Calibration ------------------------------------------------------------------------------------------------- */

static double share_at(int s)
{
    return s > 0 ? 0.0025 * exp2(0.5 * (s - 1)) : 0;
}

/* Of the exponential, what lies about a share; of none, what lies nearer to it than to the next. */
static double prior_of(int s)
{
    double share = share_at(s);

    return s > 0 ? log(share * log(2) / 2) - share / WRONG : log(0.5 * share_at(1));
}

static double likelihood_at(const struct work *w, int j, double share)
{
    double value = 0;

    for (size_t i = 0; i < w->n; i++)
        value += log(fmax((1 - share) * w->label_q[i * BETAS + (size_t)j] + share * w->noise[w->labels[i]], DBL_MIN));
    return value;
}

/* A model that is too sure and labels that are wrong look alike where classes are few, or rows: that the model is too
 * sure has a price of a few nats, which is nothing where the labels have a say. */
static double price_of(int j)
{
    double octaves = (double)(BETAS / 2 - j) / OCTAVE;

    return octaves > 0 ? log1p(4 * octaves * octaves) : 0;
}

/* The odds of all of them, and the likeliest inverse temperature. */
static void find_beta(struct work *w)
{
    double best = -DBL_MAX, sum = 0;

    for (int j = FIRST; j < LAST; j++)
        for (int s = 0; s < SHARES; s++) {
            double value = likelihood_at(w, j, share_at(s)) + prior_of(s) - price_of(j);
            w->odds[j][s] = value;
            if (value > best) {
                best = value;
                w->best = j;
            }
        }
    for (int j = FIRST; j < LAST; j++)
        for (int s = 0; s < SHARES; s++)
            sum += w->odds[j][s] = exp(w->odds[j][s] - best);
    for (int j = FIRST; j < LAST; j++)
        for (int s = 0; s < SHARES; s++)
            w->odds[j][s] /= sum;
}

static int part_at(const struct work *w, int part)
{
    static const int steps[PARTS] = {-3 * OCTAVE / 2, -OCTAVE, -OCTAVE / 2, 0, OCTAVE / 2};

    return w->best + steps[part];
}

static void fill_parts(struct work *w)
{
    for (size_t i = 0; i < w->n; i++) {
        double *p = w->parts + i * (PARTS + 1);
        for (int c = 0; c < PARTS; c++)
            p[c] = w->label_q[i * BETAS + (size_t)part_at(w, c)];
        p[PARTS] = w->noise[w->labels[i]];
    }
}

/* Weights of the parts among right labels, and the share of noise, from the samples of the other folds: EM, from nearly
 * all on b itself. */
static void fit_fold(struct work *w, size_t fold)
{
    double weight[PARTS + 1] = {0.005, 0.02, 0.08, 0.75, 0.1, 0.045}, sum[PARTS + 1], total = 0;

    for (int step = 0; step < FIT_STEPS; step++) {
        memset(sum, 0, sizeof sum);
        for (size_t i = 0; i < w->n; i++) {
            double p[PARTS + 1], all = 0;
            if (w->fold[i] % FOLDS == fold && w->n >= FOLDS)
                continue;
            for (int c = 0; c <= PARTS; c++) {
                p[c] = weight[c] * w->parts[i * (PARTS + 1) + (size_t)c];
                all += p[c];
            }
            for (int c = 0; c <= PARTS; c++)
                sum[c] += p[c] / all;
        }
        total = 0;
        for (int c = 0; c <= PARTS; c++)
            total += sum[c];
        for (int c = 0; c <= PARTS && total > 0; c++)
            weight[c] = sum[c] / total;
    }
    total = 1 - weight[PARTS];
    for (int c = 0; c < PARTS; c++)
        w->weights[fold][c] = total > 0 ? weight[c] / total : 1.0 / PARTS;
}

/* ---- Counting ---------------------------------------------------------------------------------------------------- */

/* Index of the first pmi that is at least `value`; n if none. */
static size_t first_at_least(const double *pmi, size_t n, double value)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (pmi[middle] < value)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* [K] of a fold: what is noise in the calibrated posterior. */
static void mix_floor(const struct work *w, size_t fold, double *floor)
{
    for (size_t y = 0; y < w->k; y++) {
        floor[y] = 0;
        for (int c = 0; c < PARTS; c++)
            floor[y] += w->weights[fold][c] * w->floor[(size_t)part_at(w, c) * w->k + y];
    }
}

/* Every class of the sample, had it been the label, with its probability.  In w->row: the fold's floor, and scratch. */
static void count_sample(const struct work *w, size_t i, const double *log_prior, const double *pmi, double *expected)
{
    const float *z = w->z + i * w->k;
    const double *weight = w->weights[w->fold[i] % FOLDS];
    double top = top_of(z, w->k), log_sum = w->log_z[i * BETAS + BETAS / 2], scale[PARTS], b = beta_at(part_at(w, 0));
    double *floor = w->row, *row = w->row + w->k, sum = 0;

    for (int c = 0; c < PARTS; c++)
        scale[c] = weight[c] * exp(-w->log_z[i * BETAS + (size_t)part_at(w, c)]);
    for (size_t y = 0; y < w->k; y++) {
        double d = (double)z[y] - top, one = exp(b * d), two = exp(b * sqrt(2) * d), square = one * one;
        row[y] = scale[0] * one + scale[1] * two + scale[2] * square + scale[3] * two * two +
                 scale[4] * square * square;
        sum += row[y] = fmax(row[y] - floor[y], 0);
    }
    for (size_t y = 0; y < w->k; y++) {
        size_t at = first_at_least(pmi, w->n, (double)z[y] - top - log_sum - log_prior[y]);
        if (at < w->n && sum > 0)
            expected[at] += row[y] / sum;
    }
}

static int by_pmi(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->pmi < b->pmi || a->pmi > b->pmi)
        return a->pmi < b->pmi ? -1 : 1;
    return (a->wrong > b->wrong) - (a->wrong < b->wrong);
}

/* That noise has drawn the label, and another than the right one, at one inverse temperature and share of noise. */
static double wrong_at(const struct work *w, size_t i, int j, double share, double floors)
{
    double q = w->label_q[i * BETAS + (size_t)j], right = fmax(q - w->floor[(size_t)j * w->k + w->labels[i]], 0);
    double noise = share * w->noise[w->labels[i]] + (1 - share) * (q - right);

    return noise > 0 ? noise * (1 - fmin(right / (1 - floors), 1)) / (noise + (1 - share) * right) : 0;
}

/* The same by their odds. */
static void add_wrong(struct work *w)
{
    for (size_t i = 0; i < w->n; i++)
        w->ranked[i].wrong = 0;
    for (int j = FIRST; j < LAST; j++) {
        double floors = 0;
        for (size_t y = 0; y < w->k; y++)
            floors += w->floor[(size_t)j * w->k + y];
        for (int s = 0; s < SHARES; s++)
            for (size_t i = 0; w->odds[j][s] > 1e-9 && i < w->n; i++)
                w->ranked[i].wrong += w->odds[j][s] * wrong_at(w, i, j, share_at(s), floors);
    }
}

/* The cut is where the F1 that the labels' probabilities of being wrong make expect is best; there is none where less
 * than a third of what one would look at is expected to be wrong. */
static void find_cut(const struct work *w, const double *expected, struct info_audit *audit)
{
    const struct ranked *r = w->ranked;
    size_t n = w->n, half = n / 2 > 0 ? n / 2 : 1;
    double best = 0, hits = 0;

    for (size_t i = 0; i < n; i++)
        audit->wrong += r[i].wrong;
    for (size_t k = 1; k <= half; k++) {
        double f1;
        hits += r[k - 1].wrong;
        f1 = 2 * hits / ((double)k + audit->wrong);
        if (f1 > best && hits > 0.5 && 3 * hits > (double)k && (k == n || r[k].pmi > r[k - 1].pmi)) {
            best = f1;
            audit->past = k;
        }
    }
    if (audit->past > 0) {
        audit->threshold = r[audit->past - 1].pmi;
        audit->expected = expected[audit->past - 1];
        return;
    }
    audit->threshold = fmin(-log((double)n), nextafter(r[0].pmi, -DBL_MAX)); /* a calibrated tail is at most n e^t */
    audit->expected = r[0].pmi > -log((double)n) ? 1 : expected[0];
}

static void count_all(struct work *w, const double *log_prior, double *pmi, double *expected)
{
    add_wrong(w);
    for (size_t i = 0; i < w->n; i++) {
        const float *z = w->z + i * w->k;
        double log_q = (double)z[w->labels[i]] - top_of(z, w->k) - w->log_z[i * BETAS + BETAS / 2];
        w->ranked[i].pmi = log_q - log_prior[w->labels[i]];
        expected[i] = 0;
    }
    qsort(w->ranked, w->n, sizeof *w->ranked, by_pmi);
    for (size_t i = 0; i < w->n; i++)
        pmi[i] = w->ranked[i].pmi;
    for (size_t fold = 0; fold < FOLDS; fold++) {
        mix_floor(w, fold, w->row);
        for (size_t i = 0; i < w->n; i++)
            if (w->fold[i] % FOLDS == fold)
                count_sample(w, i, log_prior, pmi, expected);
    }
    for (size_t i = 1; i < w->n; i++)
        expected[i] += expected[i - 1];
    for (size_t i = w->n - 1; i > 0; i--) /* equal PMIs were counted at the first of them */
        expected[i - 1] = pmi[i - 1] < pmi[i] ? expected[i - 1] : expected[i];
}

static enum infomask_status allocate(struct work *w, struct infomask_error *err)
{
    w->label_q = calloc(w->n, BETAS * sizeof(double));
    w->log_z = calloc(w->n, BETAS * sizeof(double));
    w->noise = calloc(w->k, sizeof(double));
    w->parts = calloc(w->n, (PARTS + 1) * sizeof(double));
    w->ranked = calloc(w->n, sizeof *w->ranked);
    w->floor = calloc(w->k, BETAS * sizeof(double));
    w->row = calloc(w->k, 2 * sizeof(double));
    if (w->label_q == NULL || w->log_z == NULL || w->noise == NULL || w->parts == NULL || w->ranked == NULL ||
        w->floor == NULL || w->row == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to audit %zu labels", w->n);
    return INFOMASK_OK;
}

static void work_fini(struct work *w)
{
    free(w->label_q);
    free(w->log_z);
    free(w->noise);
    free(w->parts);
    free(w->ranked);
    free(w->floor);
    free(w->row);
}

enum infomask_status info_audit(const struct info_audit_set *set, double *pmi, double *expected,
                                struct info_audit *audit, struct infomask_error *err)
{
    size_t n = set->n;
    struct work w = {.z = set->z, .labels = set->labels, .fold = set->fold, .n = n, .k = set->classes};
    enum infomask_status status;

    *audit = (struct info_audit){0};
    if (n == 0)
        return error_set(err, INFOMASK_ARGUMENT, "an audit needs at least one sample");
    status = allocate(&w, err);
    if (status == INFOMASK_OK) {
        fill_noise(&w);
        for (size_t i = 0; i < n; i++)
            fill_row(&w, i);
        for (int j = 0; j < BETAS; j++)
            share_floor(&w, j);
        find_beta(&w);
        fill_parts(&w);
        for (size_t fold_of = 0; fold_of < FOLDS; fold_of++)
            fit_fold(&w, fold_of);
        count_all(&w, set->log_prior, pmi, expected);
        audit->temperature = 1 / beta_at(w.best);
        find_cut(&w, expected, audit);
    }
    work_fini(&w);
    return status;
}
