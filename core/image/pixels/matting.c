/* For every 3 x 3 window that touches the band, alpha should be an affine function of colour; what is left of the best
 * one is the energy.  The matrix is never formed: a window gives each of its pixels x less the affine fit to the
 * window's x. */
#include "core/image/pixels/matting.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"

#define EPS (1e-5F / 9) /* added to the colours' variances */
#define PULL 0.03F      /* towards the mask */
#define MOST_STEPS 120
#define LEAST_RESIDUAL 1e-6F /* of the first one's square */

struct window {
    size_t at;       /* its upper left pixel */
    float mean[3];   /* of its colours */
    float fit[6];    /* the inverse of their covariance / 9: 00, 01, 02, 11, 12, 22 */
};

struct matting {
    int h, w;
    const float *rgb;
    uint8_t *band; /* [h, w] 1: to be found */
    struct window *windows;
    size_t count;
    float *diagonal, *r, *p, *q; /* [h, w], 0 outside the band */
};

/* ---- The band ---------------------------------------------------------------------------------------------------- */

static void mark_disk(struct matting *m, int x, int y, int radius)
{
    for (int dy = -radius; dy <= radius; dy++)
        for (int dx = -radius; dx <= radius; dx++)
            if (dx * dx + dy * dy <= radius * radius && x + dx >= 0 && x + dx < m->w && y + dy >= 0 && y + dy < m->h)
                m->band[(size_t)(y + dy) * (size_t)m->w + (size_t)(x + dx)] = 1;
}

static void find_band(struct matting *m, const float *mask, int radius)
{
    size_t w = (size_t)m->w;

    for (int y = 0; y < m->h; y++)
        for (int x = 0; x < m->w; x++) {
            size_t at = (size_t)y * w + (size_t)x;
            bool one = mask[at] >= 0.5F;
            if ((x + 1 < m->w && one != (mask[at + 1] >= 0.5F)) || (y + 1 < m->h && one != (mask[at + w] >= 0.5F)))
                mark_disk(m, x, y, radius);
        }
}

/* ---- The windows ------------------------------------------------------------------------------------------------- */

/* Into fit: the inverse of the symmetric matrix, over 9. */
static void invert(const double s[6], float fit[6])
{
    double c00 = s[3] * s[5] - s[4] * s[4], c01 = s[2] * s[4] - s[1] * s[5], c02 = s[1] * s[4] - s[2] * s[3];
    double scale = 1 / (9 * (s[0] * c00 + s[1] * c01 + s[2] * c02));

    fit[0] = (float)(c00 * scale);
    fit[1] = (float)(c01 * scale);
    fit[2] = (float)(c02 * scale);
    fit[3] = (float)((s[0] * s[5] - s[2] * s[2]) * scale);
    fit[4] = (float)((s[1] * s[2] - s[0] * s[4]) * scale);
    fit[5] = (float)((s[0] * s[3] - s[1] * s[1]) * scale);
}

static const float *pixel_of(const struct matting *m, const struct window *window, int k)
{
    return m->rgb + 3 * (window->at + (size_t)(k / 3) * (size_t)m->w + (size_t)(k % 3));
}

static void measure_window(const struct matting *m, struct window *window)
{
    double sum[3] = {0}, s[6] = {0};

    for (int k = 0; k < 9; k++)
        for (int c = 0; c < 3; c++)
            sum[c] += (double)pixel_of(m, window, k)[c];
    for (int k = 0; k < 9; k++) {
        const float *v = pixel_of(m, window, k);
        double d[3] = {(double)v[0] - sum[0] / 9, (double)v[1] - sum[1] / 9, (double)v[2] - sum[2] / 9};
        for (int i = 0, at = 0; i < 3; i++)
            for (int j = i; j < 3; j++)
                s[at++] += d[i] * d[j] / 9;
    }
    for (int c = 0; c < 3; c++)
        window->mean[c] = (float)(sum[c] / 9);
    s[0] += (double)EPS;
    s[3] += (double)EPS;
    s[5] += (double)EPS;
    invert(s, window->fit);
}

/* a = fit b */
static void apply_fit(const float fit[6], const float b[3], float a[3])
{
    a[0] = fit[0] * b[0] + fit[1] * b[1] + fit[2] * b[2];
    a[1] = fit[1] * b[0] + fit[3] * b[1] + fit[4] * b[2];
    a[2] = fit[2] * b[0] + fit[4] * b[1] + fit[5] * b[2];
}

static void colour_less_mean(const struct matting *m, const struct window *window, int k, float d[3])
{
    const float *v = pixel_of(m, window, k);

    for (int c = 0; c < 3; c++)
        d[c] = v[c] - window->mean[c];
}

static bool touches_band(const struct matting *m, size_t at)
{
    for (size_t k = 0; k < 9; k++)
        if (m->band[at + k / 3 * (size_t)m->w + k % 3])
            return true;
    return false;
}

static bool find_windows(struct matting *m)
{
    for (int turn = 0; turn < 2; turn++) {
        m->count = 0;
        for (int y = 0; y + 2 < m->h; y++)
            for (int x = 0; x + 2 < m->w; x++) {
                size_t at = (size_t)y * (size_t)m->w + (size_t)x;
                if (!touches_band(m, at))
                    continue;
                if (turn == 1) {
                    m->windows[m->count].at = at;
                    measure_window(m, &m->windows[m->count]);
                }
                m->count++;
            }
        if (turn == 0 && (m->windows = malloc((m->count + 1) * sizeof *m->windows)) == NULL)
            return false;
    }
    return true;
}

/* ---- The equation ------------------------------------------------------------------------------------------------ */

/* y = A x in the band, 0 elsewhere. */
static void multiply(const struct matting *m, const float *x, float *y)
{
    size_t n = (size_t)m->h * (size_t)m->w, w = (size_t)m->w;

    for (size_t i = 0; i < n; i++)
        y[i] = m->band[i] ? PULL * x[i] : 0;
    for (size_t i = 0; i < m->count; i++) {
        const struct window *window = &m->windows[i];
        float mean = 0, b[3] = {0}, a[3], d[9][3];
        for (int k = 0; k < 9; k++) {
            float v = x[window->at + (size_t)(k / 3) * w + (size_t)(k % 3)];
            colour_less_mean(m, window, k, d[k]);
            mean += v / 9;
            for (int c = 0; c < 3; c++)
                b[c] += v * d[k][c];
        }
        apply_fit(window->fit, b, a);
        for (int k = 0; k < 9; k++) {
            size_t at = window->at + (size_t)(k / 3) * w + (size_t)(k % 3);
            y[at] += m->band[at] ? x[at] - mean - (a[0] * d[k][0] + a[1] * d[k][1] + a[2] * d[k][2]) : 0;
        }
    }
}

static void find_diagonal(const struct matting *m)
{
    size_t n = (size_t)m->h * (size_t)m->w;

    for (size_t i = 0; i < n; i++)
        m->diagonal[i] = PULL;
    for (size_t i = 0; i < m->count; i++)
        for (int k = 0; k < 9; k++) {
            float d[3], a[3];
            colour_less_mean(m, &m->windows[i], k, d);
            apply_fit(m->windows[i].fit, d, a);
            m->diagonal[m->windows[i].at + (size_t)(k / 3) * (size_t)m->w + (size_t)(k % 3)] +=
                1 - 1.0F / 9 - (a[0] * d[0] + a[1] * d[1] + a[2] * d[2]);
        }
}

static double dot(const struct matting *m, const float *a, const float *b, bool divided)
{
    size_t n = (size_t)m->h * (size_t)m->w;
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += m->band[i] ? (double)a[i] * (double)b[i] / (divided ? (double)m->diagonal[i] : 1) : 0;
    return sum;
}

/* Conjugate gradients with the diagonal, from the mask. */
static void solve(const struct matting *m, float *x)
{
    size_t n = (size_t)m->h * (size_t)m->w;
    double rho, first;

    multiply(m, x, m->q);
    for (size_t i = 0; i < n; i++) {
        m->r[i] = m->band[i] ? PULL * x[i] - m->q[i] : 0;
        m->p[i] = m->r[i] / m->diagonal[i];
    }
    first = rho = dot(m, m->r, m->r, true);
    for (int step = 0; step < MOST_STEPS && rho > (double)LEAST_RESIDUAL * first; step++) {
        double along, next;
        multiply(m, m->p, m->q);
        along = dot(m, m->p, m->q, false);
        if (along <= 0)
            break;
        for (size_t i = 0; i < n; i++) {
            x[i] += (float)(rho / along) * m->p[i];
            m->r[i] -= (float)(rho / along) * m->q[i];
        }
        next = dot(m, m->r, m->r, true);
        for (size_t i = 0; i < n; i++)
            m->p[i] = m->r[i] / m->diagonal[i] + (float)(next / rho) * m->p[i];
        rho = next;
    }
}

enum infomask_status matting_solve(const float *rgb, int h, int w, int radius, float *alpha, struct infomask_error *err)
{
    size_t n = (size_t)h * (size_t)w;
    struct matting m = {.h = h, .w = w, .rgb = rgb};
    bool made;

    m.band = calloc(n, 1);
    m.diagonal = aligned_new(n * sizeof(float));
    m.r = aligned_new(n * sizeof(float));
    m.p = aligned_new(n * sizeof(float));
    m.q = aligned_new(n * sizeof(float));
    made = m.band != NULL && m.diagonal != NULL && m.r != NULL && m.p != NULL && m.q != NULL;
    if (made) {
        find_band(&m, alpha, radius);
        made = find_windows(&m);
    }
    if (made && m.count > 0) {
        find_diagonal(&m);
        solve(&m, alpha);
    }
    for (size_t i = 0; made && i < n; i++)
        alpha[i] = fminf(fmaxf(alpha[i], 0), 1);
    free(m.band);
    free(m.windows);
    aligned_free(m.diagonal);
    aligned_free(m.r);
    aligned_free(m.p);
    aligned_free(m.q);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the cut-out");
}
