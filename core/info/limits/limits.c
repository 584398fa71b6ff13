#include "core/info/limits.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/info/limits/betting.h"
#include "core/info/info.h"
#include "core/info/special.h"

double info_guard(size_t n)
{
    return fmin(1e-3, 1 / (double)n);
}

/* ---- One by one -------------------------------------------------------------------------------------------------- */

double info_bernstein_limit(double mean, double sd, double n, double range, double confidence)
{
    double l = log(2 / (1 - confidence));

    return n < 2 ? NAN : mean - sd * sqrt(2 * l / n) - 7 * range * l / (3 * (n - 1));
}

double info_t_limit(double mean, double sd, double n, double confidence)
{
    return n < 2 ? NAN : mean - info_student_quantile(confidence, n - 1) * sd / sqrt(n);
}

void info_compare(const double *pmi_a, const double *pmi_b, size_t n, struct info_comparison *comparison)
{
    double mean = 0, squares = 0, half;

    *comparison = (struct info_comparison){n, NAN, NAN, NAN, NAN, NAN};
    for (size_t i = 0; i < n; i++) {
        double step = pmi_a[i] - pmi_b[i] - mean;
        mean += step / (double)(i + 1);
        squares += step * (pmi_a[i] - pmi_b[i] - mean);
    }
    if (n > 0)
        comparison->difference = mean;
    if (n < 2)
        return;
    comparison->standard_error = sqrt(squares / (double)(n - 1) / (double)n);
    half = info_student_quantile(0.975, (double)(n - 1)) * comparison->standard_error;
    comparison->lower = mean - half;
    comparison->upper = mean + half;
    if (comparison->standard_error > 0)
        comparison->p_value = 2 * info_student_cdf(-fabs(mean) / comparison->standard_error, (double)(n - 1));
    else
        comparison->p_value = mean != 0 ? 0 : 1;
}

/* ---- From points ------------------------------------------------------------------------------------------------- */

static int by_unit(const void *left, const void *right)
{
    const struct info_point *a = left, *b = right;

    if (a->unit != b->unit)
        return a->unit < b->unit ? -1 : 1;
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    if (a->log_q < b->log_q || a->log_q > b->log_q)
        return a->log_q < b->log_q ? -1 : 1;
    return (a->weight > b->weight) - (a->weight < b->weight);
}

/* Points that have come in order stay as they are. */
static void sort_by_unit(struct info_point *points, size_t n)
{
    size_t i = 1;

    while (i < n && by_unit(&points[i - 1], &points[i]) <= 0)
        i++;
    if (i < n)
        qsort(points, n, sizeof *points, by_unit);
}

static double weight_of(const struct info_point *point)
{
    return point->weight > 0 ? point->weight : 1;
}

static double weight_of_all(const struct info_point *points, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += weight_of(&points[i]);
    return sum;
}

/* log f [classes] of the labels; what is returned is the least f that occurs, as its logarithm. */
static double label_frequencies(const struct info_point *points, size_t n, size_t classes, double *log_f)
{
    double least = 0, all = weight_of_all(points, n);

    for (size_t y = 0; y < classes; y++)
        log_f[y] = 0;
    for (size_t i = 0; i < n; i++)
        log_f[points[i].label] += weight_of(&points[i]);
    for (size_t y = 0; y < classes; y++) {
        if (log_f[y] > 0)
            least = fmin(least, log_f[y] = log(log_f[y] / all));
    }
    return least;
}

/* The guarded PMIs, mapped from [low, low + range] onto [0, 1] and averaged over each unit.  Returns the number of
 * units; their weights are those of their samples together. */
static size_t gather_units(const struct info_point *points, size_t n, const double *log_f, double guard, double low,
                           double range, struct info_unit *units)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++) {
        double v = info_guarded_pmi(points[i].log_q - log_f[points[i].label], guard);
        double x = fmin(fmax((v - low) / range, 0), 1);
        if (i == 0 || points[i].unit != points[i - 1].unit)
            units[count++] = (struct info_unit){0, 0};
        units[count - 1].weight += weight_of(&points[i]);
        units[count - 1].x += (x - units[count - 1].x) * (weight_of(&points[i]) / units[count - 1].weight);
    }
    return count;
}

static void scale_weights(struct info_unit *units, size_t count)
{
    double most = 0;

    for (size_t i = 0; i < count; i++)
        most = fmax(most, units[i].weight);
    for (size_t i = 0; i < count; i++)
        units[i].weight /= most;
}

static struct info_spread spread_of(const struct info_unit *units, size_t count)
{
    double sum = 0, weights = 0, squares = 0, mean, mean_weight;

    for (size_t i = 0; i < count; i++) {
        sum += units[i].weight * units[i].x;
        weights += units[i].weight;
    }
    mean = sum / weights;
    mean_weight = weights / (double)count;
    for (size_t i = 0; i < count; i++) {
        double miss = units[i].weight * (units[i].x - mean) / mean_weight;
        squares += miss * miss;
    }
    return (struct info_spread){mean, mean_weight, count > 1 ? sqrt(squares / (double)(count - 1)) : NAN};
}

enum infomask_status info_units_limit(struct info_unit *units, size_t n, double confidence, double *limit,
                                      struct info_spread *spread, struct infomask_error *err)
{
    enum infomask_status status;

    scale_weights(units, n);
    status = info_betting_limit(units, n, confidence, limit, err); /* and sorts them */
    if (status == INFOMASK_OK)
        *spread = spread_of(units, n);
    return status;
}

/* The mean of log q - log f: no limit may lie above it. */
static double unguarded_mean(const struct info_point *points, size_t n, const double *log_f)
{
    double mean = 0, weights = 0;

    for (size_t i = 0; i < n; i++) {
        double w = weight_of(&points[i]);
        weights += w;
        mean += (points[i].log_q - log_f[points[i].label] - mean) * (w / weights);
    }
    return mean;
}

static enum infomask_status limits_of(const struct info_point *points, size_t n, const double *log_f, double least,
                                      struct info_unit *units, struct info_limits *limits, struct infomask_error *err)
{
    double guard = info_guard(n), low = log(guard), range = -least - low;
    size_t count = gather_units(points, n, log_f, guard, low, range, units);
    struct info_spread spread;
    enum infomask_status status = info_units_limit(units, count, limits->confidence, &limits->betting, &spread, err);

    if (status != INFOMASK_OK)
        return status;
    limits->units = count;
    limits->betting = fmin(low + range * limits->betting, unguarded_mean(points, n, log_f));
    limits->standard_error = range * spread.deviation / sqrt((double)count);
    if (count > 1)
        limits->bernstein = low + range * info_bernstein_limit(spread.mean, spread.deviation, (double)count,
                                                               1 / spread.mean_weight, limits->confidence);
    return INFOMASK_OK;
}

static int by_pair(const void *left, const void *right)
{
    const struct info_point *a = left, *b = right;

    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    return (a->predicted > b->predicted) - (a->predicted < b->predicted);
}

static int by_prediction(const void *left, const void *right)
{
    const struct info_point *a = left, *b = right;

    return (a->predicted > b->predicted) - (a->predicted < b->predicted);
}

/* Entropy of the groups of equal neighbours. */
static double entropy_of_runs(const struct info_point *points, size_t n, int (*order)(const void *, const void *))
{
    double sum = 0, all = weight_of_all(points, n);

    for (size_t from = 0, to; from < n; from = to) {
        double p = weight_of(&points[from]) / all;
        for (to = from + 1; to < n && order(&points[from], &points[to]) == 0; to++)
            p += weight_of(&points[to]) / all;
        sum -= p * log(p);
    }
    return sum;
}

static double entropy_of(const double *p, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++)
        sum -= p[i] > 0 ? p[i] * log(p[i]) : 0;
    return sum;
}

/* H(predicted) and H(label and predicted) by a table of all pairs; false where it would be larger than the points. */
static bool count_pairs(const struct info_point *points, size_t n, size_t classes, double entropy[2])
{
    double *pairs = classes <= n / classes ? calloc(classes * (classes + 1), sizeof *pairs) : NULL;
    double *predicted = pairs != NULL ? pairs + classes * classes : NULL, all = weight_of_all(points, n);
    bool known = pairs != NULL;

    for (size_t i = 0; known && i < n; i++) {
        double p = weight_of(&points[i]) / all;
        known = points[i].predicted < classes;
        if (known) {
            pairs[points[i].label * classes + points[i].predicted] += p;
            predicted[points[i].predicted] += p;
        }
    }
    if (known) {
        entropy[0] = entropy_of(predicted, classes);
        entropy[1] = entropy_of(pairs, classes * classes);
    }
    free(pairs);
    return known;
}

static void sort_pairs(struct info_point *points, size_t n, double entropy[2])
{
    qsort(points, n, sizeof *points, by_prediction);
    entropy[0] = entropy_of_runs(points, n, by_prediction);
    qsort(points, n, sizeof *points, by_pair);
    entropy[1] = entropy_of_runs(points, n, by_pair);
}

/* I = H(label) + H(predicted) - H(both) */
static double confusion_information(struct info_point *points, size_t n, const double *log_f, size_t classes)
{
    double information = 0, entropy[2];

    for (size_t y = 0; y < classes; y++)
        information -= log_f[y] < 0 ? exp(log_f[y]) * log_f[y] : 0;
    if (!count_pairs(points, n, classes, entropy))
        sort_pairs(points, n, entropy);
    information += entropy[0];
    return fmax(information - entropy[1], 0);
}

enum infomask_status info_limits(struct info_point *points, size_t n, size_t classes, double confidence,
                                 struct info_limits *limits, struct infomask_error *err)
{
    struct info_unit *units;
    double *log_f, least;
    enum infomask_status status;

    *limits = (struct info_limits){n, 0, confidence, NAN, NAN, NAN, NAN};
    if (!(confidence >= 0.5 && confidence < 1))
        return error_set(err, INFOMASK_ARGUMENT, "confidence must be at least 0.5 and less than 1");
    if (n == 0)
        return INFOMASK_OK;
    units = calloc(n, sizeof *units);
    log_f = calloc(classes, sizeof *log_f);
    if (units == NULL || log_f == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory for the limit of %zu samples", n);
    } else {
        sort_by_unit(points, n);
        least = label_frequencies(points, n, classes, log_f);
        status = limits_of(points, n, log_f, least, units, limits, err);
    }
    if (status == INFOMASK_OK)
        limits->confusion = confusion_information(points, n, log_f, classes);
    free(units);
    free(log_f);
    return status;
}
