/* Seeded random walk on the graph: p minimises sum_ij A_ij (p_i - p_j)^2 / 2 + sum_i L_i (p_i - q_i)^2.  The system is
 * symmetric positive definite, its diagonal dominates, so Jacobi-preconditioned conjugate gradients (Hestenes and
 * Stiefel 1952) need a few dozen products with A. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/mask/mask.h"

#define INERTIA 0.99 /* of the graph against the seeds */
#define SEED_SLOPE 6.0
#define TOLERANCE 1e-3 /* of the residual, relative to the right side */
#define MOST_STEPS 1000
#define LANES 8

struct system {
    int n;
    const float *a;    /* upper triangle */
    float *diagonal;   /* d + L - A_ii */
    float *right;      /* L q */
    float *inverse;    /* of the Jacobi preconditioner */
    float *r, *z, *s, *as;
    double *sums;
};

/* y = A x without the diagonal, A symmetric and given by its upper triangle: each element is read once. */
CPU_CLONES static void product(const float *a, int n, const float *x, float *y)
{
    memset(y, 0, (size_t)n * sizeof *y);
    for (int i = 0; i < n; i++) {
        const float *row = a + (size_t)i * (size_t)n;
        float xi = x[i], part[LANES] = {0}, sum = 0;
        int j = i + 1;
        for (; j + LANES <= n; j += LANES)
            for (int l = 0; l < LANES; l++) {
                part[l] += row[j + l] * x[j + l];
                y[j + l] += row[j + l] * xi;
            }
        for (; j < n; j++) {
            sum += row[j] * x[j];
            y[j] += row[j] * xi;
        }
        for (int l = 0; l < LANES; l++)
            sum += part[l];
        y[i] += sum;
    }
}

static double dot(const float *a, const float *b, int n)
{
    double part[4] = {0}, sum = 0;
    int i = 0;

    for (; i + 4 <= n; i += 4)
        for (int l = 0; l < 4; l++)
            part[l] += (double)a[i + l] * (double)b[i + l];
    for (; i < n; i++)
        sum += (double)a[i] * (double)b[i];
    return (part[0] + part[1]) + (part[2] + part[3]) + sum;
}

CPU_CLONES static void row_sums(const float *a, int n, double *sums)
{
    memset(sums, 0, (size_t)n * sizeof *sums);
    for (int i = 0; i < n; i++) {
        const float *row = a + (size_t)i * (size_t)n;
        double part[4] = {0}, sum = (double)row[i];
        int j = i + 1;
        for (; j + 4 <= n; j += 4)
            for (int l = 0; l < 4; l++) {
                part[l] += (double)row[j + l];
                sums[j + l] += (double)row[j + l];
            }
        for (; j < n; j++) {
            sum += (double)row[j];
            sums[j] += (double)row[j];
        }
        sums[i] += (part[0] + part[1]) + (part[2] + part[3]) + sum;
    }
}

/* Fills the system; p becomes the first guess, mean(q). */
static void assemble(struct system *s, const float *seeds, double centre, float *p)
{
    int n = s->n;
    double mean_k = 0, mean_q = 0, weight = (1 - INERTIA) / INERTIA;

    row_sums(s->a, n, s->sums);
    for (int i = 0; i < n; i++) {
        double q = 1 / (1 + exp(-SEED_SLOPE * ((double)seeds[i] - centre)));
        s->right[i] = (float)q;
        mean_q += q / n;
        mean_k += (2 * q - 1) * (2 * q - 1) / n;
    }
    for (int i = 0; i < n; i++) {
        double q = (double)s->right[i], k = (2 * q - 1) * (2 * q - 1) / fmax(mean_k, 1e-12);
        double l = weight * s->sums[i] * k;
        s->diagonal[i] = (float)(s->sums[i] + l - (double)s->a[(size_t)i * (size_t)n + (size_t)i]);
        s->right[i] = (float)(l * q);
        s->inverse[i] = s->diagonal[i] > 0 ? 1 / s->diagonal[i] : 1.0F;
        p[i] = (float)mean_q;
    }
}

/* out = (diag - A) x */
static void apply(const struct system *s, const float *x, float *out)
{
    product(s->a, s->n, x, out);
    for (int i = 0; i < s->n; i++)
        out[i] = s->diagonal[i] * x[i] - out[i];
}

static int conjugate_gradients(struct system *s, float *p)
{
    int n = s->n, step = 0;
    double goal = TOLERANCE * TOLERANCE * dot(s->right, s->right, n), rz = 0, rz_old;

    apply(s, p, s->as);
    for (int i = 0; i < n; i++)
        s->r[i] = s->right[i] - s->as[i];
    memset(s->s, 0, (size_t)n * sizeof *s->s);
    for (; step < MOST_STEPS && dot(s->r, s->r, n) > goal; step++) {
        double beta, alpha, curve;
        for (int i = 0; i < n; i++)
            s->z[i] = s->inverse[i] * s->r[i];
        rz_old = rz;
        rz = dot(s->r, s->z, n);
        beta = step == 0 ? 0 : rz / rz_old;
        for (int i = 0; i < n; i++)
            s->s[i] = s->z[i] + (float)beta * s->s[i];
        apply(s, s->s, s->as);
        curve = dot(s->s, s->as, n);
        if (!(curve > 0))
            break;
        alpha = rz / curve;
        for (int i = 0; i < n; i++) {
            p[i] += (float)alpha * s->s[i];
            s->r[i] -= (float)alpha * s->as[i];
        }
    }
    return step;
}

static bool all_alike(const float *v, int n)
{
    for (int i = 1; i < n; i++)
        if (fabsf(v[i] - v[0]) > 1e-5F)
            return false;
    return true;
}

static void stretch(float *p, int n)
{
    float low = p[0], high = p[0];

    for (int i = 1; i < n; i++) {
        low = p[i] < low ? p[i] : low;
        high = p[i] > high ? p[i] : high;
    }
    for (int i = 0; i < n; i++)
        p[i] = (p[i] - low) / fmaxf(high - low, 1e-6F);
}

enum infomask_status mask_spread(const float *a, int n, const float *seeds, double centre, float *p, int *steps,
                                 struct infomask_error *err)
{
    size_t size = (size_t)n;
    float *block = calloc(7 * size, sizeof *block);
    double *sums = malloc(size * sizeof *sums);
    bool made = block != NULL && sums != NULL;

    if (made) {
        struct system s = {.n = n, .a = a, .sums = sums, .diagonal = block};
        s.right = block + size;
        s.inverse = block + 2 * size;
        s.r = block + 3 * size;
        s.z = block + 4 * size;
        s.s = block + 5 * size;
        s.as = block + 6 * size;
        assemble(&s, seeds, centre, p);
        int taken = conjugate_gradients(&s, p);
        if (steps != NULL)
            *steps = taken;
        if (all_alike(seeds, n)) /* nothing to tell apart: stretching would make a picture of the rounding */
            memcpy(p, seeds, size * sizeof *p);
        else
            stretch(p, n);
    }
    free(block);
    free(sums);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to spread the seeds");
}
