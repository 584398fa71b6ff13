#include "core/info/estimate.h"

#include "core/info/limits.h"
#include "core/info/special.h"

/* ---- Temperature ------------------------------------------------------------------------------------------------- */

struct node { /* the mean cross-entropy and its derivatives by u = log b, in which it bends least */
    double u, value, slope, curvature;
};

static struct node node_at(const struct info_totals *totals, int j)
{
    const struct info_grid_totals *grid = &totals->grid[j];
    double n = (double)totals->samples, b = info_grid_beta(j), slope = b * info_exact_value(&grid->slope) / n;

    return (struct node){log(b), info_exact_value(&grid->ce) / n, slope,
                         b * b * info_exact_value(&grid->curvature) / n + slope};
}

/* The quintic through value, slope and curvature of both nodes, in x = (u - u_0) / h: coefficients of x^0 ... x^5. */
static void quintic(const struct node *p, const struct node *q, double *a)
{
    double h = q->u - p->u, d0, d1, d2;

    a[0] = p->value;
    a[1] = h * p->slope;
    a[2] = h * h * p->curvature / 2;
    d0 = q->value - a[0] - a[1] - a[2];
    d1 = h * q->slope - a[1] - 2 * a[2];
    d2 = h * h * q->curvature - 2 * a[2];
    a[3] = 10 * d0 - 4 * d1 + d2 / 2;
    a[4] = -15 * d0 + 7 * d1 - d2;
    a[5] = 6 * d0 - 3 * d1 + d2 / 2;
}

static double slope_of(const double *a, double x)
{
    return a[1] + x * (2 * a[2] + x * (3 * a[3] + x * (4 * a[4] + x * 5 * a[5])));
}

/* b and cross-entropy of the minimum between two nodes */
static double between(const struct node *p, const struct node *q, double *ce)
{
    double a[6], low = 0, high = 1;

    quintic(p, q, a);
    for (int i = 0; i < 60; i++) {
        double x = 0.5 * (low + high);
        if (slope_of(a, x) < 0)
            low = x;
        else
            high = x;
    }
    *ce = a[0] + low * (a[1] + low * (a[2] + low * (a[3] + low * (a[4] + low * a[5]))));
    return exp(p->u + low * (q->u - p->u));
}

/* From b = 1 in the direction in which the cross-entropy falls, until it rises.  A slope that has become 0 to the last
 * digit is the plateau of data that are separated: the best b lies beyond any grid. */
double info_grid_minimum(const struct info_totals *totals, double *ce, bool *at_edge)
{
    int j = INFO_GRID / 2;
    struct node here = node_at(totals, j), next;
    int step = here.slope < 0 ? 1 : -1;

    *at_edge = here.slope < 0 || here.slope > 0;
    while (*at_edge && j + step >= 0 && j + step < INFO_GRID) {
        j += step;
        next = node_at(totals, j);
        if (step * next.slope > 0) {
            *at_edge = false;
            return step > 0 ? between(&here, &next, ce) : between(&next, &here, ce);
        }
        here = next;
    }
    *ce = here.value;
    return info_grid_beta(j);
}

/* ---- Report ------------------------------------------------------------------------------------------------------ */

static double share(uint64_t part, uint64_t whole)
{
    return (double)part / (double)whole;
}

/* H(f), CE, and the spread of log q - log f: within the classes and between them */
static void fill_estimate(const struct info_class_totals *classes, size_t k, struct info_report *r)
{
    uint64_t n = r->samples;
    double squares = 0, cross_entropy = 0;

    for (size_t y = 0; y < k; y++) {
        if (classes[y].samples == 0)
            continue;
        r->classes_seen++;
        r->label_entropy -= share(classes[y].samples, n) * log(share(classes[y].samples, n));
        cross_entropy -= info_exact_value(&classes[y].log_q) / (double)n;
    }
    r->log_loss = cross_entropy;
    r->estimate = r->label_entropy - cross_entropy;
    for (size_t y = 0; y < k; y++) {
        double m = (double)classes[y].samples, sum, miss;
        if (classes[y].samples == 0)
            continue;
        sum = info_exact_value(&classes[y].log_q);
        miss = sum / m - log(share(classes[y].samples, n)) - r->estimate;
        squares += fmax(info_exact_value(&classes[y].log_q2) - sum * sum / m, 0) + m * miss * miss;
    }
    if (n >= 2)
        r->deviation = sqrt(squares / (double)(n - 1));
    r->standard_error = r->deviation / sqrt((double)n);
    r->lower_limit_t = info_t_limit(r->estimate, r->deviation, (double)n, 0.975);
    if (r->label_entropy > 0)
        r->fraction = r->estimate / r->label_entropy;
}

static void fill_beliefs(const struct info_totals *totals, struct info_report *r)
{
    double n = (double)totals->samples, ce = 0, square;

    r->accuracy = share(totals->correct, totals->samples);
    r->mean_entropy = info_exact_value(&totals->entropy) / n;
    r->plug_in = info_exact_value(&totals->information) / n;
    square = info_exact_value(&totals->information2) - n * r->plug_in * r->plug_in;
    if (totals->samples >= 2)
        r->plug_in_deviation = sqrt(fmax(square, 0) / (n - 1));
    r->overconfidence = r->plug_in - r->estimate;
    r->brier = info_exact_value(&totals->brier) / n;
    r->temperature = 1 / info_grid_minimum(totals, &ce, &r->temperature_at_edge);
    r->calibrated_estimate = r->label_entropy - ce;
    r->ece = 0;
    for (int i = 0; i < INFO_BINS; i++)
        r->ece += fabs(info_exact_value(&totals->bins[i].confidence) - (double)totals->bins[i].correct) / n;
}

static double fano_bound(double label_entropy, double error, size_t k)
{
    double h = error > 0 && error < 1 ? -error * log(error) - (1 - error) * log1p(-error) : 0;

    return label_entropy - h - (k > 1 ? error * log((double)(k - 1)) : 0);
}

static void fill_stratified(const struct info_class_totals *classes, const struct info_lens *lens,
                            struct info_report *r)
{
    double sum = 0, variance = 0;

    for (size_t y = 0; y < lens->classes; y++) {
        double m = (double)classes[y].samples, t = exp(lens->log_t[y]), total, spread;
        if (classes[y].samples < 2)
            return;
        total = info_exact_value(&classes[y].log_q);
        spread = fmax(info_exact_value(&classes[y].log_q2) - total * total / m, 0) / (m - 1);
        sum += t * (total / m - lens->log_t[y]);
        variance += t * t * spread / m;
    }
    r->stratified = sum;
    r->stratified_error = sqrt(variance);
}

static void fill_prior_test(const struct info_class_totals *classes, const struct info_lens *lens,
                            struct info_report *r)
{
    double g = 0;

    for (size_t y = 0; y < lens->classes; y++) {
        double f = share(classes[y].samples, r->samples);
        g += f > 0 ? 2 * (double)classes[y].samples * (log(f) - lens->log_t[y]) : 0;
    }
    r->prior_chi2 = fmax(g, 0);
    r->prior_p_value = lens->classes > 1 ? info_chi2_tail(g, (double)(lens->classes - 1)) : 1;
}

void info_report(const struct info_totals *totals, const struct info_class_totals *classes,
                 const struct info_lens *lens, struct info_report *report)
{
    *report = (struct info_report){.samples = totals->samples, .deviation = NAN, .fraction = NAN,
                                   .plug_in_deviation = NAN, .stratified = NAN, .stratified_error = NAN};
    if (totals->samples == 0) {
        report->accuracy = report->log_loss = report->label_entropy = report->estimate = report->standard_error = NAN;
        report->lower_limit_t = report->plug_in = report->overconfidence = report->mean_entropy = NAN;
        report->temperature = report->calibrated_estimate = report->ece = report->brier = report->fano = NAN;
        report->prior_chi2 = report->prior_p_value = NAN;
        return;
    }
    fill_estimate(classes, lens->classes, report);
    fill_beliefs(totals, report);
    report->fano = fano_bound(report->label_entropy, 1 - report->accuracy, lens->classes);
    fill_stratified(classes, lens, report);
    fill_prior_test(classes, lens, report);
}
