/* Depthwise convolution and pooling: the taps of a window outside, channels inside, so that the compiler vectorises. */
#include <math.h>

#include "core/kernels/blas/blas.h"

#define BLOCK 16 /* channels whose sums stay in registers */

/* Taps of a window along one axis that lie inside the input: index t with 0 <= start + t * step < size. */
static void clip(int start, int step, int taps, int size, int *first, int *last)
{
    *first = start >= 0 ? 0 : (-start + step - 1) / step;
    *last = taps;
    while (*last > *first && start + (*last - 1) * step >= size)
        --*last;
}

struct taps {
    int y0, y1, x0, x1; /* in force */
    const float *x;     /* the input under tap (0, 0), which may lie outside */
    const float *w;
    size_t row, column, w_row, w_column; /* elements from tap to tap */
};

/* sums[0..n) += input times weights over the taps; n is BLOCK except at the end, so that the loop unrolls */
static inline void accumulate(const struct taps *t, float *sums, int n)
{
    for (int ky = t->y0; ky < t->y1; ky++) {
        for (int kx = t->x0; kx < t->x1; kx++) {
            const float *x = t->x + (ptrdiff_t)((size_t)ky * t->row + (size_t)kx * t->column);
            const float *w = t->w + (size_t)ky * t->w_row + (size_t)kx * t->w_column;
            for (int i = 0; i < n; i++)
                sums[i] += x[i] * w[i];
        }
    }
}

static void pixel(const struct kernel_depthwise *d, struct taps t, float *y)
{
    bool clamp = d->epilogue.activation == KERNEL_CLAMP;
    const float *x = t.x, *w = t.w;

    for (int c = d->c0; c < d->c1; c += BLOCK) {
        float sums[BLOCK] = {0};
        int n = d->c1 - c < BLOCK ? d->c1 - c : BLOCK;
        for (int i = 0; d->bias != NULL && i < n; i++)
            sums[i] = d->bias[c + i];
        t.x = x + c;
        t.w = w + c;
        if (n == BLOCK)
            accumulate(&t, sums, BLOCK);
        else
            accumulate(&t, sums, n);
        for (int i = 0; clamp && i < BLOCK; i++) {
            sums[i] = sums[i] < d->epilogue.low ? d->epilogue.low : sums[i];
            sums[i] = sums[i] > d->epilogue.high ? d->epilogue.high : sums[i];
        }
        for (int i = 0; i < n; i++)
            y[c + i] = sums[i];
    }
    if (!clamp)
        blas_activate(y + d->c0, y + d->c0, (size_t)(d->c1 - d->c0), &d->epilogue);
}

void blas_depthwise(const struct kernel_depthwise *d)
{
    size_t c = (size_t)d->c;
    struct taps t = {.row = (size_t)(d->dilation_h * d->w) * c, .column = (size_t)d->dilation_w * c,
                     .w_row = (size_t)d->kernel_w * c, .w_column = c, .w = d->weights};

    for (int oy = d->y0; oy < d->y1; oy++) {
        int top = oy * d->stride_h - d->pad_top;
        clip(top, d->dilation_h, d->kernel_h, d->h, &t.y0, &t.y1);
        for (int ox = 0; ox < d->out_w; ox++) {
            int left = ox * d->stride_w - d->pad_left;
            clip(left, d->dilation_w, d->kernel_w, d->w, &t.x0, &t.x1);
            t.x = d->x + ((ptrdiff_t)top * d->w + left) * (ptrdiff_t)c;
            pixel(d, t, (float *)d->y + ((size_t)oy * (size_t)d->out_w + (size_t)ox) * c);
        }
    }
}

static void pool_pixel(const struct kernel_pool *p, const struct taps *t, bool maximum, float *y)
{
    for (int c = 0; c < p->c; c++)
        y[c] = maximum ? -INFINITY : 0;
    for (int ky = t->y0; ky < t->y1; ky++) {
        for (int kx = t->x0; kx < t->x1; kx++) {
            const float *x = t->x + (ptrdiff_t)((size_t)ky * t->row + (size_t)kx * t->column);
            if (maximum)
                for (int c = 0; c < p->c; c++)
                    y[c] = x[c] > y[c] ? x[c] : y[c];
            else
                for (int c = 0; c < p->c; c++)
                    y[c] += x[c];
        }
    }
}

/* Elements of the window that count in an average: with the padding, it ends where the padded input does. */
static int average_count(const struct kernel_pool *p, const struct taps *t, int top, int left)
{
    int bottom = p->h + p->pad_bottom - top, right = p->w + p->pad_right - left;

    if (!p->count_include_pad)
        return (t->y1 - t->y0) * (t->x1 - t->x0);
    return (bottom < p->kernel_h ? bottom : p->kernel_h) * (right < p->kernel_w ? right : p->kernel_w);
}

static void pool(const struct kernel_pool *p, bool maximum)
{
    size_t c = (size_t)p->c;
    struct taps t = {.row = (size_t)p->w * c, .column = c};

    for (int oy = p->y0; oy < p->y1; oy++) {
        int top = oy * p->stride_h - p->pad_top;
        clip(top, 1, p->kernel_h, p->h, &t.y0, &t.y1);
        for (int ox = 0; ox < p->out_w; ox++) {
            int left = ox * p->stride_w - p->pad_left;
            float *y = p->y + ((size_t)oy * (size_t)p->out_w + (size_t)ox) * c;
            clip(left, 1, p->kernel_w, p->w, &t.x0, &t.x1);
            t.x = p->x + ((ptrdiff_t)top * p->w + left) * (ptrdiff_t)c;
            pool_pixel(p, &t, maximum, y);
            if (maximum)
                continue;
            for (size_t i = 0; i < c; i++)
                y[i] /= (float)average_count(p, &t, top, left);
        }
    }
}

void blas_max_pool(const struct kernel_pool *p) { pool(p, true); }

void blas_average_pool(const struct kernel_pool *p) { pool(p, false); }

/* Channels in blocks, pixels inside: the order of the sum is that of the pixels, whatever the range of channels. */
void blas_global_average(const float *x, size_t pixels, int channels, float *y, int c0, int c1)
{
    for (int c = c0; c < c1; c += BLOCK) {
        float sums[BLOCK] = {0};
        int n = c1 - c < BLOCK ? c1 - c : BLOCK;
        for (size_t i = 0; n == BLOCK && i < pixels; i++)
            for (int j = 0; j < BLOCK; j++)
                sums[j] += x[i * (size_t)channels + (size_t)(c + j)];
        for (size_t i = 0; n < BLOCK && i < pixels; i++)
            for (int j = 0; j < n; j++)
                sums[j] += x[i * (size_t)channels + (size_t)(c + j)];
        for (int j = 0; j < n; j++)
            y[c + j] = sums[j] / (float)pixels;
    }
}
