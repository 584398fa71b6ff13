/* The guided filter as a few box means over maps of four interleaved channels: what a filter needs comes in fours
 * (p and p I; a and b), so one pass of sums serves all, and the compiler keeps the four in vector registers. */
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"
#include "core/base/checked.h"
#include "core/image/pixels.h"

static int reflect(int i, int n)
{
    int period = 2 * n;

    i = (i % period + period) % period;
    return i < n ? i : period - 1 - i;
}

/* A row of column sums with its reflected ends: w + 2 radius pixels of four doubles, and one that is read in vain. */
static size_t line_size(int w, int radius) { return ((size_t)w + 2 * (size_t)radius + 1) * 4; }

size_t pixels_box_scratch(int w, int radius) { return 2 * line_size(w, radius); }

static void add_row(double *sum, const float *row, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += (double)row[i];
}

CPU_CLONES static void slide_row(const double *from, const float *enter, const float *leave, size_t n, double *sum)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = from[i] + ((double)enter[i] - (double)leave[i]);
}

static void reflect_ends(double *line, int w, int radius)
{
    double *first = line + 4 * (size_t)radius;
    bool once = radius <= w;

    for (int k = 1; k <= radius; k++) {
        int left = once ? k - 1 : reflect(-k, w), right = once ? w - k : reflect(w - 1 + k, w);
        memcpy(first - 4 * (ptrdiff_t)k, first + 4 * (ptrdiff_t)left, 4 * sizeof(double));
        memcpy(first + 4 * (ptrdiff_t)(w - 1 + k), first + 4 * (ptrdiff_t)right, 4 * sizeof(double));
    }
}

typedef double four_doubles __attribute__((vector_size(32)));
typedef float four_floats __attribute__((vector_size(16)));

/* A line's window sum: its mean out, and one pixel on. */
static inline void slide(four_doubles *sum, const double *line, size_t window, double scale, float *out)
{
    four_doubles enter, leave, factor = {scale, scale, scale, scale};
    four_floats mean = __builtin_convertvector(*sum * factor, four_floats);

    memcpy(out, &mean, sizeof mean);
    memcpy(&enter, line + window, sizeof enter);
    memcpy(&leave, line, sizeof leave);
    *sum += enter - leave;
}

/* Two lines at once: each sum waits for the one before it, so that one line leaves half of the processor idle.  Both
 * may be the same.  (The last step reads a pixel behind the window: there is one.) */
CPU_CLONES static void slide_columns(const double *line, const double *next, int w, int radius, double scale,
                                     float *out, float *out_next)
{
    size_t window = 4 * (2 * (size_t)radius + 1);
    four_doubles sum = {0}, sum_next = {0}, value;

    for (size_t i = 0; i < window; i += 4) {
        memcpy(&value, line + i, sizeof value);
        sum += value;
        memcpy(&value, next + i, sizeof value);
        sum_next += value;
    }
    for (size_t x = 0; x < 4 * (size_t)w; x += 4) {
        slide(&sum, line + x, window, scale, out + x);
        slide(&sum_next, next + x, window, scale, out_next + x);
    }
}

static const float *reflected_row(const float *in, int y, int h, size_t row)
{
    return in + (size_t)reflect(y, h) * row;
}

void pixels_box4(const float *in, int h, int w, int radius, float *out, double *scratch)
{
    size_t row = 4 * (size_t)w, end = 4 * (size_t)radius;
    double *line = scratch, *next = scratch + line_size(w, radius), side = 2.0 * radius + 1.0;

    memset(scratch, 0, pixels_box_scratch(w, radius) * sizeof(double));
    for (int k = -radius; k <= radius; k++)
        add_row(line + end, reflected_row(in, k, h, row), row);
    for (int y = 0; y < h; y += 2) {
        float *to = out + (size_t)y * row;
        slide_row(line + end, reflected_row(in, y + radius + 1, h, row), reflected_row(in, y - radius, h, row), row,
                  next + end);
        reflect_ends(line, w, radius);
        reflect_ends(next, w, radius);
        if (y + 1 < h)
            slide_columns(line, next, w, radius, 1.0 / (side * side), to, to + row);
        else
            slide_columns(line, line, w, radius, 1.0 / (side * side), to, to);
        slide_row(next + end, reflected_row(in, y + radius + 2, h, row), reflected_row(in, y + 1 - radius, h, row), row,
                  line + end);
    }
}

struct guided {
    int h, w, radius;
    const float *rgb;
    float *mean;       /* [h, w, 4]: mean I (three) and a hole */
    float *cov[2];     /* [h, w, 4]: rr rg rb gg; gb bb and two holes */
    float *work, *box; /* [h, w, 4] */
    double *scratch;
};

/* The covariances from the means of products, in place. */
static void guided_centre(struct guided *g)
{
    size_t n = (size_t)g->h * (size_t)g->w * 4;

    for (size_t i = 0; i < n; i += 4) {
        const float *m = g->mean + i;
        float *s = g->cov[0] + i, *t = g->cov[1] + i;
        s[0] -= m[0] * m[0];
        s[1] -= m[0] * m[1];
        s[2] -= m[0] * m[2];
        s[3] -= m[1] * m[1];
        t[0] -= m[1] * m[2];
        t[1] -= m[2] * m[2];
    }
}

CPU_CLONES static void guided_statistics(struct guided *g)
{
    size_t n = (size_t)g->h * (size_t)g->w;

    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < 4; c++)
            g->work[4 * i + c] = c < 3 ? g->rgb[3 * i + c] : 0.0F;
    pixels_box4(g->work, g->h, g->w, g->radius, g->mean, g->scratch);
    for (size_t i = 0; i < n; i++) {
        const float *v = g->rgb + 3 * i;
        float *o = g->work + 4 * i;
        o[0] = v[0] * v[0];
        o[1] = v[0] * v[1];
        o[2] = v[0] * v[2];
        o[3] = v[1] * v[1];
    }
    pixels_box4(g->work, g->h, g->w, g->radius, g->cov[0], g->scratch);
    for (size_t i = 0; i < n; i++) {
        const float *v = g->rgb + 3 * i;
        float *o = g->work + 4 * i;
        o[0] = v[1] * v[2];
        o[1] = v[2] * v[2];
        o[2] = o[3] = 0.0F;
    }
    pixels_box4(g->work, g->h, g->w, g->radius, g->cov[1], g->scratch);
    guided_centre(g);
}

enum infomask_status guided_create(struct guided **out, const float *rgb, int h, int w, int radius,
                                   struct infomask_error *err)
{
    size_t size;
    struct guided *g = calloc(1, sizeof *g);
    float **planes[] = {&g->mean, &g->cov[0], &g->cov[1], &g->work, &g->box};
    bool fits = g != NULL && checked_mul3((size_t)h, (size_t)w, 4 * sizeof(float), &size);

    for (size_t i = 0; fits && i < sizeof planes / sizeof *planes; i++)
        fits = (*planes[i] = aligned_new(size)) != NULL;
    if (fits)
        fits = (g->scratch = aligned_new(pixels_box_scratch(w, radius) * sizeof(double))) != NULL;
    if (!fits) {
        guided_free(g);
        return error_set(err, INFOMASK_MEMORY, "no memory for the guided filter");
    }
    g->h = h;
    g->w = w;
    g->radius = radius;
    g->rgb = rgb;
    guided_statistics(g);
    *out = g;
    return INFOMASK_OK;
}

void guided_free(struct guided *g)
{
    if (g == NULL)
        return;
    aligned_free(g->mean);
    aligned_free(g->cov[0]);
    aligned_free(g->cov[1]);
    aligned_free(g->work);
    aligned_free(g->box);
    aligned_free(g->scratch);
    free(g);
}

/* box: mean p, mean p I -> a (three) and b.  The symmetric 3 x 3 system by L D L^T written out: the adjugate would be
 * as short, but its determinant cancels in float where the colours are nearly grey. */
CPU_CLONES static void guided_solve(const struct guided *g, float eps)
{
    size_t n = (size_t)g->h * (size_t)g->w * 4;

    for (size_t i = 0; i < n; i += 4) {
        const float *m = g->mean + i, *s = g->cov[0] + i, *t = g->cov[1] + i, *q = g->box + i;
        float *o = g->work + i;
        float i1 = 1.0F / (s[0] + eps), l21 = s[1] * i1, l31 = s[2] * i1;
        float d2 = s[3] + eps - l21 * s[1], e32 = t[0] - l21 * s[2], l32 = e32 / d2;
        float d3 = t[1] + eps - l31 * s[2] - l32 * e32;
        float y1 = q[1] - m[0] * q[0], y2 = q[2] - m[1] * q[0] - l21 * y1,
              y3 = q[3] - m[2] * q[0] - l31 * y1 - l32 * y2;
        float ab = y3 / d3, ag = y2 / d2 - l32 * ab, ar = y1 * i1 - l21 * ag - l31 * ab;
        o[0] = ar;
        o[1] = ag;
        o[2] = ab;
        o[3] = q[0] - (ar * m[0] + ag * m[1] + ab * m[2]);
    }
}

CPU_CLONES void guided_filter(struct guided *g, const float *p, float eps, float *out)
{
    size_t n = (size_t)g->h * (size_t)g->w;

    for (size_t i = 0; i < n; i++) {
        const float *v = g->rgb + 3 * i;
        float *o = g->work + 4 * i;
        o[0] = p[i];
        o[1] = p[i] * v[0];
        o[2] = p[i] * v[1];
        o[3] = p[i] * v[2];
    }
    pixels_box4(g->work, g->h, g->w, g->radius, g->box, g->scratch);
    guided_solve(g, eps);
    pixels_box4(g->work, g->h, g->w, g->radius, g->box, g->scratch);
    for (size_t i = 0; i < n; i++) {
        const float *v = g->rgb + 3 * i, *a = g->box + 4 * i;
        out[i] = a[0] * v[0] + a[1] * v[1] + a[2] * v[2] + a[3];
    }
}
