#include "core/info/limits.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "core/info/info.h"
#include "core/info/special.h"

#define LARGEST_BET 0.9 /* of what could be lost: the capital never falls below a tenth at one step */

double info_guard(size_t n)
{
    return fmin(1e-3, 1 / (double)n);
}

/* ---- Betting ------------------------------------------------------------------------------------------------------- */

/* The bets that would be best for a normal x of the variance seen so far, which starts as one observation of the widest
 * spread.  They depend on n and the past only. */
static void place_bets(const double *x, double *bets, size_t n, double confidence)
{
    double sum = 0.5, squares = 0.25, gain = 2 * log(1 / (1 - confidence)) / (double)n;

    for (size_t i = 0; i < n; i++) {
        double seen = (double)(i + 1), miss;
        bets[i] = sqrt(gain / (squares / seen));
        sum += x[i];
        miss = x[i] - sum / (seen + 1);
        squares += miss * miss;
    }
}

/* Whether the capital against "the mean is m" ever reaches 1 / (1 - confidence).  It falls as m grows. */
static bool refuted(const double *x, const double *bets, size_t n, double m, double confidence)
{
    double capital = 1, goal = 1 / (1 - confidence), most = LARGEST_BET / m;

    for (size_t i = 0; i < n; i++) {
        capital *= 1 + fmin(bets[i], most) * (x[i] - m);
        if (capital >= goal)
            return true;
        if (capital < 1e-100) { /* out of the range of a double the goal is infinite: never reached, which is safe */
            capital *= 1e100;
            goal *= 1e100;
        }
    }
    return false;
}

double info_betting_limit(const double *x, double *bets, size_t n, double confidence)
{
    double low = 0, high = 1;

    place_bets(x, bets, n, confidence);
    for (int i = 0; i < 48; i++) {
        double m = 0.5 * (low + high);
        if (refuted(x, bets, n, m, confidence))
            low = m;
        else
            high = m;
    }
    return low;
}

/* ---- Others -------------------------------------------------------------------------------------------------------- */

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

/* ---- From points --------------------------------------------------------------------------------------------------- */

static int by_order(const void *left, const void *right)
{
    const struct info_point *a = left, *b = right;

    if (a->order != b->order)
        return a->order < b->order ? -1 : 1;
    if (a->label != b->label)
        return a->label < b->label ? -1 : 1;
    return (a->log_q > b->log_q) - (a->log_q < b->log_q);
}

/* log f [classes] of the labels; what is returned is the least f that occurs, as its logarithm. */
static double label_frequencies(const struct info_point *points, size_t n, size_t classes, double *log_f)
{
    double least = 0;

    for (size_t y = 0; y < classes; y++)
        log_f[y] = 0;
    for (size_t i = 0; i < n; i++)
        log_f[points[i].label] += 1;
    for (size_t y = 0; y < classes; y++) {
        if (log_f[y] > 0)
            least = fmin(least, log_f[y] = log(log_f[y] / (double)n));
    }
    return least;
}

/* x [n]: the guarded PMIs, mapped from [log e, -log min f] onto [0, 1].  limits->bernstein holds what x gives. */
static void limits_of(const struct info_point *points, size_t n, const double *log_f, double least, double *x,
                      struct info_limits *limits)
{
    double guard = info_guard(n), low = log(guard), range = -least - low, mean = 0, squares = 0;

    for (size_t i = 0; i < n; i++) {
        double v = info_guarded_pmi(points[i].log_q - log_f[points[i].label], guard), step;
        x[i] = fmin(fmax((v - low) / range, 0), 1);
        step = x[i] - mean;
        mean += step / (double)(i + 1);
        squares += step * (x[i] - mean);
    }
    limits->betting = low + range * info_betting_limit(x, x + n, n, limits->confidence);
    if (n >= 2)
        limits->bernstein = low + range * info_bernstein_limit(mean, sqrt(squares / (double)(n - 1)), (double)n, 1,
                                                               limits->confidence);
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
    double sum = 0;

    for (size_t from = 0, to; from < n; from = to) {
        double p;
        for (to = from + 1; to < n && order(&points[from], &points[to]) == 0; to++)
            ;
        p = (double)(to - from) / (double)n;
        sum -= p * log(p);
    }
    return sum;
}

/* I = H(label) + H(predicted) - H(both) */
static double confusion_information(struct info_point *points, size_t n, const double *log_f, size_t classes)
{
    double information = 0;

    for (size_t y = 0; y < classes; y++)
        information -= log_f[y] < 0 ? exp(log_f[y]) * log_f[y] : 0;
    qsort(points, n, sizeof *points, by_prediction);
    information += entropy_of_runs(points, n, by_prediction);
    qsort(points, n, sizeof *points, by_pair);
    return fmax(information - entropy_of_runs(points, n, by_pair), 0);
}

enum infomask_status info_limits(struct info_point *points, size_t n, size_t classes, double confidence,
                                 struct info_limits *limits, struct infomask_error *err)
{
    double *scratch, least;

    *limits = (struct info_limits){n, confidence, NAN, NAN, NAN};
    if (!(confidence >= 0.5 && confidence < 1))
        return error_set(err, INFOMASK_ARGUMENT, "confidence must be at least 0.5 and less than 1");
    if (n == 0)
        return INFOMASK_OK;
    if (n > (SIZE_MAX / sizeof *scratch - classes) / 2 || (scratch = malloc((2 * n + classes) * sizeof *scratch)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the limit of %zu samples", n);
    qsort(points, n, sizeof *points, by_order);
    least = label_frequencies(points, n, classes, scratch + 2 * n);
    limits_of(points, n, scratch + 2 * n, least, scratch, limits);
    limits->confusion = confusion_information(points, n, scratch + 2 * n, classes);
    free(scratch);
    return INFOMASK_OK;
}
