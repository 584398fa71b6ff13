#include "core/info/fit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/info/minimize.h"
#include "core/info/special.h"

#define CHUNKS 16 /* of the samples: partial sums are added in their order, whoever made them */
#define LEAST_BETA (1.0 / 64)
#define MOST_BETA 64.0

/* ---- Cross-entropy ----------------------------------------------------------------------------------------------- */

/* One chunk's sums: ce, slope_b, then slope_c [K]; and a row of q [K]. */
struct work {
    const struct info_logits *logits;
    double b;
    const double *c;
    double *partial; /* [CHUNKS][2 + 2 K] */
    int with_c;
};

static void add_row(const struct work *work, const float *z, uint32_t label, double *sums, double *q)
{
    size_t k = work->logits->classes;
    double top = -DBL_MAX, total = 0, mean_z = 0;

    for (size_t y = 0; y < k; y++) {
        q[y] = work->b * (double)z[y] + (work->c != NULL ? work->c[y] : 0);
        top = fmax(top, q[y]);
    }
    sums[0] += top - q[label];
    for (size_t y = 0; y < k; y++) {
        q[y] = exp(q[y] - top);
        total += q[y];
        mean_z += q[y] > 0 ? q[y] * (double)z[y] : 0;
    }
    sums[0] += log(total);
    sums[1] += mean_z / total - (double)z[label];
    if (!work->with_c)
        return;
    for (size_t y = 0; y < k; y++)
        sums[2 + y] += q[y] / total;
    sums[2 + label] -= 1;
}

static void add_chunk(void *context, int chunk, int worker)
{
    const struct work *work = context;
    const struct info_logits *l = work->logits;
    size_t k = l->classes, from = l->n * (size_t)chunk / CHUNKS, to = l->n * ((size_t)chunk + 1) / CHUNKS;
    double *sums = work->partial + (size_t)chunk * (2 + 2 * k);

    (void)worker;
    memset(sums, 0, (2 + 2 * k) * sizeof *sums);
    for (size_t i = from; i < to; i++)
        add_row(work, l->z + i * k, l->labels[i], sums, sums + 2 + k);
}

/* gradient [2 + K]: ce, slope_b, slope_c */
static void sum_up(struct work *work, double *gradient)
{
    size_t k = work->logits->classes;

    pool_for(work->logits->pool, CHUNKS, add_chunk, work);
    for (size_t j = 0; j < 2 + k; j++) {
        gradient[j] = 0;
        for (size_t chunk = 0; chunk < CHUNKS; chunk++)
            gradient[j] += work->partial[chunk * (2 + 2 * k) + j];
        gradient[j] /= (double)work->logits->n;
    }
}

static enum infomask_status work_init(struct work *work, const struct info_logits *logits, struct infomask_error *err)
{
    *work = (struct work){.logits = logits};
    if (logits->n == 0 || logits->classes == 0)
        return error_set(err, INFOMASK_ARGUMENT, "a fit needs at least one sample");
    work->partial = calloc((CHUNKS + 1) * (2 + 2 * logits->classes), sizeof(double));
    if (work->partial == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fit %zu classes", logits->classes);
    return INFOMASK_OK;
}

/* the place behind the chunks, for what sum_up returns */
static double *work_result(const struct work *work)
{
    return work->partial + CHUNKS * (2 + 2 * work->logits->classes);
}

enum infomask_status info_cross_entropy(const struct info_logits *logits, double b, const double *c, double *ce,
                                        double *slope_b, double *slope_c, struct infomask_error *err)
{
    struct work work;
    enum infomask_status status = work_init(&work, logits, err);

    if (status != INFOMASK_OK)
        return status;
    work.b = b;
    work.c = c;
    work.with_c = slope_c != NULL;
    sum_up(&work, work_result(&work));
    *ce = work_result(&work)[0];
    *slope_b = work_result(&work)[1];
    if (slope_c != NULL)
        memcpy(slope_c, work_result(&work) + 2, logits->classes * sizeof *slope_c);
    free(work.partial);
    return INFOMASK_OK;
}

/* ---- Temperature ------------------------------------------------------------------------------------------------- */

enum infomask_status info_fit_temperature(const struct info_logits *logits, const double *c, struct info_fit *fit,
                                          struct infomask_error *err)
{
    struct work work;
    enum infomask_status status = work_init(&work, logits, err);
    double low = log(LEAST_BETA), high = log(MOST_BETA);

    if (status != INFOMASK_OK)
        return status;
    work.c = c;
    for (int i = 0; i < 60; i++) {
        double middle = 0.5 * (low + high);
        work.b = exp(middle);
        sum_up(&work, work_result(&work));
        if (work_result(&work)[1] <= 0) /* 0: the plateau of separated data */
            low = middle;
        else
            high = middle;
    }
    *fit = (struct info_fit){.beta = work.b, .cross_entropy = work_result(&work)[0], .parameters = 1};
    fit->converged = high < log(MOST_BETA) && low > log(LEAST_BETA);
    free(work.partial);
    return INFOMASK_OK;
}

/* ---- Vector scaling ---------------------------------------------------------------------------------------------- */

struct vector_fit {
    struct work work;
    double *c;          /* [K] biases in full */
    const size_t *seen; /* classes that occur */
    size_t seen_count;
};

/* x = (b, c of the seen classes) */
static double vector_value(void *context, const double *x, double *gradient)
{
    struct vector_fit *fit = context;
    const double *sums = work_result(&fit->work);

    for (size_t i = 0; i < fit->seen_count; i++)
        fit->c[fit->seen[i]] = x[1 + i];
    fit->work.b = x[0];
    sum_up(&fit->work, work_result(&fit->work));
    gradient[0] = sums[1];
    for (size_t i = 0; i < fit->seen_count; i++)
        gradient[1 + i] = sums[2 + fit->seen[i]];
    return sums[0];
}

/* Adding a number to every bias changes nothing: the one of mean 0 is given back. */
static void centre(double *c, const size_t *seen, size_t count)
{
    double mean = 0;

    for (size_t i = 0; i < count; i++)
        mean += c[seen[i]] / (double)count;
    for (size_t i = 0; i < count; i++)
        c[seen[i]] -= mean;
}

static size_t find_seen(const struct info_logits *logits, double *c, size_t *seen)
{
    size_t count = 0;

    for (size_t y = 0; y < logits->classes; y++)
        c[y] = -INFINITY;
    for (size_t i = 0; i < logits->n; i++)
        c[logits->labels[i]] = 0;
    for (size_t y = 0; y < logits->classes; y++)
        if (c[y] == 0)
            seen[count++] = y;
    return count;
}

enum infomask_status info_fit_vector(const struct info_logits *logits, double *c, struct info_fit *fit,
                                     struct infomask_error *err)
{
    const struct minimize_options options = {.max_steps = 1000, .tolerance = 1e-8};
    struct vector_fit vector = {.c = c};
    struct minimize_result result;
    enum infomask_status status = work_init(&vector.work, logits, err);
    size_t *seen;
    double *x;

    if (status != INFOMASK_OK)
        return status;
    seen = calloc(logits->classes, sizeof *seen);
    x = calloc(logits->classes + 1, sizeof *x);
    if (seen == NULL || x == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory to fit %zu classes", logits->classes);
    } else {
        vector.seen = seen;
        vector.seen_count = find_seen(logits, c, seen);
        vector.work.c = c;
        vector.work.with_c = 1;
        x[0] = 1;
        status = minimize(vector_value, &vector, vector.seen_count + 1, x, &options, &result, err);
    }
    if (status == INFOMASK_OK) {
        *fit = (struct info_fit){x[0], result.value, vector.seen_count, result.converged};
        for (size_t i = 0; i < vector.seen_count; i++)
            c[seen[i]] = x[1 + i];
        centre(c, seen, vector.seen_count);
    }
    free(seen);
    free(x);
    free(vector.work.partial);
    return status;
}

/* ---- Prior shift ------------------------------------------------------------------------------------------------- */

/* Samples' weights exp(i(x; k) - max_k i(x; k)) [n][k], and the mean of what was taken away; and what a fit works
 * in. */
struct prior_fit {
    size_t n, k;
    double *weights, top;
    double *once, *twice, *beyond; /* one and two steps from where a round begins, and an extrapolation */
};

static double dot(const double *a, const double *b, size_t n)
{
    double sum[8] = {0};
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (size_t j = 0; j < 8; j++)
            sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sum[i % 8] += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* One step of EM: next_k = mean_x softmax(i(x) + log t)_k.  Returns the mean log-likelihood at t. */
static double em_step(const struct prior_fit *fit, const double *t, double *next)
{
    double value = 0;

    memset(next, 0, fit->k * sizeof *next);
    for (size_t i = 0; i < fit->n; i++) {
        const double *w = fit->weights + i * fit->k;
        double total = fmax(dot(w, t, fit->k), DBL_MIN), share = 1 / (total * (double)fit->n);
        for (size_t y = 0; y < fit->k; y++)
            next[y] += w[y] * share;
        value += log(total) / (double)fit->n;
    }
    for (size_t y = 0; y < fit->k; y++)
        next[y] *= t[y];
    return value + fit->top;
}

static enum infomask_status prior_fit_init(struct prior_fit *fit, const float *pmi, struct infomask_error *err)
{
    fit->weights = calloc(fit->n * fit->k + 3 * fit->k, sizeof *fit->weights);
    if (fit->weights == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fit the prior of %zu classes", fit->k);
    fit->once = fit->weights + fit->n * fit->k;
    fit->twice = fit->once + fit->k;
    fit->beyond = fit->twice + fit->k;
    for (size_t i = 0; i < fit->n; i++) {
        const float *p = pmi + i * fit->k;
        double top = (double)p[0];
        for (size_t y = 1; y < fit->k; y++)
            top = fmax(top, (double)p[y]);
        for (size_t y = 0; y < fit->k; y++)
            fit->weights[i * fit->k + y] = exp((double)p[y] - top);
        fit->top += top / (double)fit->n;
    }
    return INFOMASK_OK;
}

/* SQUAREM (Varadhan and Roland 2008, scheme S3): with r = once - t and v = (twice - once) - r, to t - 2 a r + a^2 v for
 * a = -|r| / |v|, where steps of EM would come to in the end.  Nobody is taken to 0, from where no step leads back. */
static void extrapolate(struct prior_fit *fit, const double *t)
{
    double r2 = 0, v2 = 0, total = 0, a;

    for (size_t y = 0; y < fit->k; y++) {
        double r = fit->once[y] - t[y], v = fit->twice[y] - fit->once[y] - r;
        r2 += r * r;
        v2 += v * v;
    }
    a = v2 > 0 ? fmin(-sqrt(r2 / v2), -1) : -1;
    for (size_t y = 0; y < fit->k; y++) {
        double r = fit->once[y] - t[y], v = fit->twice[y] - fit->once[y] - r;
        fit->beyond[y] = fmax(t[y] - 2 * a * r + a * a * v, 0.01 * fit->twice[y]);
        total += fit->beyond[y];
    }
    for (size_t y = 0; y < fit->k; y++)
        fit->beyond[y] /= total;
}

/* A round of steps from `prior`, whose likelihood is returned. */
static double fit_round(struct prior_fit *fit, double *prior, struct info_shift *shift)
{
    double value = em_step(fit, prior, fit->once), then = em_step(fit, fit->once, fit->twice);

    shift->steps += 2;
    shift->converged = then - value < 1e-12 * fmax(1, fabs(value));
    if (!shift->converged) {
        extrapolate(fit, prior);
        shift->steps++;
        if (em_step(fit, fit->beyond, prior) >= then)
            return value;
    }
    memcpy(prior, fit->twice, fit->k * sizeof *prior);
    return value;
}

enum infomask_status info_fit_prior(const float *pmi, size_t n, size_t classes, const double *log_s, double *prior,
                                    struct info_shift *shift, struct infomask_error *err)
{
    const int max_steps = 1000;
    struct prior_fit fit = {.n = n, .k = classes};
    double start = 0, value = 0;
    enum infomask_status status;

    *shift = (struct info_shift){.p_value = 1};
    if (n == 0)
        return error_set(err, INFOMASK_ARGUMENT, "a prior cannot be fitted to no samples");
    status = prior_fit_init(&fit, pmi, err);
    if (status != INFOMASK_OK)
        return status;
    for (size_t y = 0; y < classes; y++)
        prior[y] = log_s != NULL ? exp(log_s[y]) : 1 / (double)classes;
    for (bool first = true; shift->steps < max_steps && !shift->converged; first = false) {
        value = fit_round(&fit, prior, shift);
        if (first)
            start = value;
    }
    value = em_step(&fit, prior, fit.once);
    shift->gain = fmax(value - start, 0) * (double)n;
    shift->chi2 = 2 * shift->gain;
    shift->p_value = classes > 1 ? info_chi2_tail(shift->chi2, (double)(classes - 1)) : 1;
    free(fit.weights);
    return INFOMASK_OK;
}
