#include "core/info/minimize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HISTORY 10 /* pairs kept */

struct pair {
    double *s, *y; /* step, change of the gradient */
    double rho;    /* 1 / (s . y) */
};

struct solver {
    size_t n;
    double *gradient, *direction, *trial, *trial_gradient, *memory;
    struct pair pairs[HISTORY];
    int count, next;
};

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static double largest(const double *a, size_t n)
{
    double most = 0;

    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(a[i]));
    return most;
}

static bool solver_init(struct solver *solver, size_t n)
{
    memset(solver, 0, sizeof *solver);
    solver->n = n;
    solver->memory = calloc(n, (4 + 2 * HISTORY) * sizeof(double));
    if (solver->memory == NULL)
        return false;
    solver->gradient = solver->memory;
    solver->direction = solver->memory + n;
    solver->trial = solver->memory + 2 * n;
    solver->trial_gradient = solver->memory + 3 * n;
    for (int i = 0; i < HISTORY; i++) {
        solver->pairs[i].s = solver->memory + (size_t)(4 + 2 * i) * n;
        solver->pairs[i].y = solver->memory + (size_t)(5 + 2 * i) * n;
    }
    return true;
}

/* The two-loop recursion: direction = -H gradient */
static void find_direction(struct solver *solver)
{
    double alpha[HISTORY], *d = solver->direction;
    size_t n = solver->n;

    for (size_t i = 0; i < n; i++)
        d[i] = -solver->gradient[i];
    for (int i = 0; i < solver->count; i++) {
        const struct pair *p = &solver->pairs[(solver->next - 1 - i + HISTORY) % HISTORY];
        alpha[i] = p->rho * dot(p->s, d, n);
        for (size_t j = 0; j < n; j++)
            d[j] -= alpha[i] * p->y[j];
    }
    for (int i = solver->count - 1; i >= 0; i--) {
        const struct pair *p = &solver->pairs[(solver->next - 1 - i + HISTORY) % HISTORY];
        double scale = i == solver->count - 1 ? 1 / (p->rho * dot(p->y, p->y, n)) : 1, beta;
        if (i == solver->count - 1)
            for (size_t j = 0; j < n; j++)
                d[j] *= scale;
        beta = p->rho * dot(p->y, d, n);
        for (size_t j = 0; j < n; j++)
            d[j] += (alpha[i] - beta) * p->s[j];
    }
}

/* Keeps the pair of an accepted step, if it has the curvature that the method needs. */
static void remember(struct solver *solver, const double *x)
{
    struct pair *p = &solver->pairs[solver->next];
    double curvature;

    for (size_t i = 0; i < solver->n; i++) {
        p->s[i] = solver->trial[i] - x[i];
        p->y[i] = solver->trial_gradient[i] - solver->gradient[i];
    }
    curvature = dot(p->s, p->y, solver->n);
    if (!(curvature > 1e-14 * dot(p->y, p->y, solver->n)))
        return;
    p->rho = 1 / curvature;
    solver->next = (solver->next + 1) % HISTORY;
    solver->count += solver->count < HISTORY;
}

/* Halves the step until the value falls enough.  Near the minimum, where the value's own rounding hides the fall, a
 * smaller gradient at an equal value is progress too. */
static bool line_search(struct solver *solver, minimize_function *f, void *context, double *x, double *value)
{
    double slope = dot(solver->gradient, solver->direction, solver->n), step = 1, before = *value;
    double rounding = 1e-15 * fmax(1, fabs(before)), here = largest(solver->gradient, solver->n);

    if (solver->count == 0) /* nothing is known of the scale yet */
        step = 1 / fmax(1, sqrt(dot(solver->gradient, solver->gradient, solver->n)));
    for (int i = 0; i < 60 && slope < 0; i++, step *= 0.5) {
        double now;
        for (size_t j = 0; j < solver->n; j++)
            solver->trial[j] = x[j] + step * solver->direction[j];
        now = f(context, solver->trial, solver->trial_gradient);
        if (now <= before + 1e-4 * step * slope ||
            (now <= before + rounding && largest(solver->trial_gradient, solver->n) < here)) {
            *value = now;
            return true;
        }
    }
    return false;
}

static bool step_once(struct solver *solver, minimize_function *f, void *context, double *x, double *value)
{
    find_direction(solver);
    if (!line_search(solver, f, context, x, value))
        return false;
    remember(solver, x);
    memcpy(x, solver->trial, solver->n * sizeof *x);
    memcpy(solver->gradient, solver->trial_gradient, solver->n * sizeof *x);
    return true;
}

enum infomask_status minimize(minimize_function *f, void *context, size_t n, double *x,
                              const struct minimize_options *options, struct minimize_result *result,
                              struct infomask_error *err)
{
    int max_steps = options->max_steps > 0 ? options->max_steps : 500;
    double tolerance = options->tolerance > 0 ? options->tolerance : 1e-9;
    enum infomask_status status = INFOMASK_OK;
    struct solver solver;

    *result = (struct minimize_result){0};
    if (!solver_init(&solver, n))
        return error_set(err, INFOMASK_MEMORY, "no memory to fit %zu numbers", n);
    result->value = f(context, x, solver.gradient);
    while (largest(solver.gradient, n) > tolerance && result->steps < max_steps) {
        if (options->expired != NULL && options->expired(options->expired_context)) {
            status = error_set(err, INFOMASK_DEADLINE, "the fit did not end in time");
            break;
        }
        if (!step_once(&solver, f, context, x, &result->value)) {
            if (solver.count == 0)
                break;
            solver.count = 0; /* from the steepest descent again */
            continue;
        }
        result->steps++;
    }
    result->largest_gradient = largest(solver.gradient, n);
    result->converged = result->largest_gradient <= tolerance;
    free(solver.memory);
    return status;
}
