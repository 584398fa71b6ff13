/* Pooling on vectors of channels, for any instruction set whose vector.h came before.  simd_pool fills its slots. */
#ifndef INFOMASK_KERNELS_SIMD_POOL_H
#define INFOMASK_KERNELS_SIMD_POOL_H

#include <math.h>

#include "core/kernels/simd/element.h"

/* Input rows [y0, y1) and columns [x0, x1) of one output, and what its sum is divided by. */
struct pool_window {
    int y0, y1, x0, x1;
    float count;
};

INLINE int at_least(int a, int b) { return a > b ? a : b; }
INLINE int at_most(int a, int b) { return a < b ? a : b; }

/* With the padding, a window ends where the padded picture does. */
INLINE struct pool_window pool_window(const struct kernel_pool *p, int oy, int ox)
{
    const int top = oy * p->stride_h - p->pad_top, left = ox * p->stride_w - p->pad_left;
    const int bottom = top + p->kernel_h, right = left + p->kernel_w;
    struct pool_window w = {at_least(top, 0), at_most(bottom, p->h), at_least(left, 0), at_most(right, p->w), 0};

    if (p->count_include_pad)
        w.count = (float)(at_most(bottom, p->h + p->pad_bottom) - top) *
                  (float)(at_most(right, p->w + p->pad_right) - left);
    else
        w.count = (float)(w.y1 - w.y0) * (float)(w.x1 - w.x0);
    return w;
}

INLINE vec pool_vector(const struct kernel_pool *p, const struct pool_window *w, bool maximum, bool tail, int c,
                       vmask mask)
{
    vec value = maximum ? vec_set(-INFINITY) : vec_zero();

    for (int y = w->y0; y < w->y1; y++) {
        const float *x = p->x + ((ptrdiff_t)y * p->w + w->x0) * p->c + c;
        for (int i = w->x0; i < w->x1; i++, x += p->c) {
            const vec in = tail ? vec_load_mask(x, mask) : vec_load(x);
            value = maximum ? vec_max(in, value) : vec_add(value, in);
        }
    }
    return maximum ? value : vec_div(value, vec_set(w->count));
}

INLINE void pool_rows(const struct kernel_pool *p, bool maximum)
{
    const int whole = p->c / LANES * LANES;
    const vmask rest = mask_first(p->c - whole);

    for (int oy = p->y0; oy < p->y1; oy++) {
        float *y = p->y + (ptrdiff_t)oy * p->out_w * p->c;
        for (int ox = 0; ox < p->out_w; ox++, y += p->c) {
            const struct pool_window w = pool_window(p, oy, ox);
            for (int c = 0; c < whole; c += LANES)
                vec_store(y + c, pool_vector(p, &w, maximum, false, c, rest));
            if (whole < p->c)
                vec_store_mask(y + whole, pool_vector(p, &w, maximum, true, whole, rest), rest);
        }
    }
}

static void simd_max_pool(const struct kernel_pool *p) { pool_rows(p, true); }

static void simd_average_pool(const struct kernel_pool *p) { pool_rows(p, false); }

/* Four vectors of channels at a time: the additions of one wait for each other. */
static void simd_global_average(const float *x, size_t pixels, int c, float *y, int c0, int c1)
{
    enum { GROUP = 4 };
    const vec count = vec_set((float)pixels);

    for (int at = c0; at < c1; at += GROUP * LANES) {
        vec sum[GROUP];
        vmask mask[GROUP];
        const float *from = x + at;

        UNROLL for (int i = 0; i < GROUP; i++) {
            mask[i] = mask_first(at_least(0, at_most(c1 - at - i * LANES, LANES)));
            sum[i] = vec_zero();
        }
        for (size_t p = 0; p < pixels; p++, from += c)
            UNROLL for (int i = 0; i < GROUP; i++)
                sum[i] = vec_add(sum[i], vec_load_mask(from + i * LANES, mask[i]));
        UNROLL for (int i = 0; i < GROUP; i++)
            vec_store_mask(y + at + i * LANES, vec_div(sum[i], count), mask[i]);
    }
}

static void simd_pool(struct kernel_table *table)
{
    table->max_pool = simd_max_pool;
    table->average_pool = simd_average_pool;
    table->global_average = simd_global_average;
}

#endif
