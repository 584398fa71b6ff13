/* The transforms of Winograd's convolution on vectors of channels, for any instruction set whose vector.h came before:
 * simd_winograd_input, simd_winograd_output.  A tile is transformed along its columns, then along its rows. */
#ifndef INFOMASK_KERNELS_SIMD_WINOGRAD_H
#define INFOMASK_KERNELS_SIMD_WINOGRAD_H

#include "core/kernels/simd/activation.h"

enum { WINOGRAD_SIDE = 6 };

/* B^T d for a line of m + 2 elements. */
INLINE void winograd_forward(int m, const vec *d, vec *v)
{
    if (m == 2) {
        v[0] = vec_sub(d[0], d[2]);
        v[1] = vec_add(d[1], d[2]);
        v[2] = vec_sub(d[2], d[1]);
        v[3] = vec_sub(d[1], d[3]);
        return;
    }
    const vec four = vec_set(4), two = vec_set(2), five = vec_set(5);
    const vec even = vec_fnma(four, d[2], d[4]), odd = vec_fnma(four, d[1], d[3]);
    const vec near = vec_sub(d[4], d[2]), far = vec_mul(two, vec_sub(d[3], d[1]));
    v[0] = vec_fma(four, d[0], vec_fnma(five, d[2], d[4]));
    v[1] = vec_add(even, odd);
    v[2] = vec_sub(even, odd);
    v[3] = vec_add(near, far);
    v[4] = vec_sub(near, far);
    v[5] = vec_fma(four, d[1], vec_fnma(five, d[3], d[5]));
}

/* A^T p for a line of m + 2 elements: m of them. */
INLINE void winograd_back(int m, const vec *p, vec *y)
{
    const vec sum = vec_add(p[1], p[2]), difference = vec_sub(p[1], p[2]);

    if (m == 2) {
        y[0] = vec_add(p[0], sum);
        y[1] = vec_sub(difference, p[3]);
        return;
    }
    const vec sum2 = vec_add(p[3], p[4]), difference2 = vec_sub(p[3], p[4]);
    y[0] = vec_add(vec_add(p[0], sum), sum2);
    y[1] = vec_fma(vec_set(2), difference2, difference);
    y[2] = vec_fma(vec_set(4), sum2, sum);
    y[3] = vec_add(vec_fma(vec_set(8), difference2, difference), p[5]);
}

struct winograd_place {
    int top, left; /* the tile's first pixel of the input, */
    int c;         /* and the first channel */
};

/* A vector of channels of an input tile; inside: all of it lies in the map; whole: all lanes are channels. */
INLINE void winograd_input_tile(int m, bool inside, bool whole, const struct kernel_winograd *w,
                                struct winograd_place place, float *v)
{
    const int side = m + 2, top = place.top, left = place.left, c = place.c;
    const vmask mask = mask_first(whole ? LANES : w->c - c);
    vec half[WINOGRAD_SIDE][WINOGRAD_SIDE], line[WINOGRAD_SIDE], out[WINOGRAD_SIDE];

    UNROLL for (int x = 0; x < side; x++) {
        UNROLL for (int y = 0; y < side; y++) {
            const float *at = w->x + ((ptrdiff_t)(top + y) * w->w + left + x) * w->x_pixel + c;
            if (inside || (top + y >= 0 && top + y < w->h && left + x >= 0 && left + x < w->w))
                line[y] = whole ? vec_load(at) : vec_load_mask(at, mask);
            else
                line[y] = vec_zero();
        }
        winograd_forward(m, line, out);
        UNROLL for (int y = 0; y < side; y++)
            half[y][x] = out[y];
    }
    UNROLL for (int y = 0; y < side; y++) {
        winograd_forward(m, half[y], out);
        UNROLL for (int x = 0; x < side; x++) {
            if (whole)
                vec_store(v + (y * side + x) * w->v_apart + c, out[x]);
            else
                vec_store_mask(v + (y * side + x) * w->v_apart + c, out[x], mask);
        }
    }
}

INLINE void winograd_input(int m, const struct kernel_winograd *w)
{
    const int across = (w->out_w + m - 1) / m, whole = w->c / LANES * LANES;

    for (int t = 0; t < w->count; t++) {
        const int top = (w->first + t) / across * m - w->pad_top, left = (w->first + t) % across * m - w->pad_left;
        const bool inside = top >= 0 && left >= 0 && top + m + 2 <= w->h && left + m + 2 <= w->w;
        float *v = w->v + (ptrdiff_t)t * w->c;
        for (int c = 0; c < whole; c += LANES) {
            if (inside)
                winograd_input_tile(m, true, true, w, (struct winograd_place){top, left, c}, v);
            else
                winograd_input_tile(m, false, true, w, (struct winograd_place){top, left, c}, v);
        }
        if (whole < w->c)
            winograd_input_tile(m, false, false, w, (struct winograd_place){top, left, whole}, v);
    }
}

/* One output: bias, residual, activation. */
INLINE void winograd_store(bool clamps, bool whole, const struct kernel_winograd *w, vec value, ptrdiff_t at,
                           vmask mask)
{
    if (w->residual != NULL)
        value = vec_add(value, whole ? vec_load(w->residual + at) : vec_load_mask(w->residual + at, mask));
    if (clamps)
        value = vec_clamp(value, vec_set(w->epilogue.low), vec_set(w->epilogue.high));
    else
        value = vec_activate(value, &w->epilogue);
    if (whole)
        vec_store(w->y + at, value);
    else
        vec_store_mask(w->y + at, value, mask);
}

/* One vector of output channels of the tile at (top, left); common: all of it lies in the map, all lanes are channels,
 * and the activation is a clamp. */
INLINE void winograd_output_tile(int m, bool common, const struct kernel_winograd *w, const float *p, int top, int left,
                                 int n)
{
    const int side = m + 2, rows = w->out_h - top < m ? w->out_h - top : m;
    const int columns = w->out_w - left < m ? w->out_w - left : m;
    const vmask mask = mask_first(common || w->n1 - n > LANES ? LANES : w->n1 - n);
    const vec bias = w->bias == NULL ? vec_zero() : vec_load_mask(w->bias + n, mask);
    ptrdiff_t at = ((ptrdiff_t)top * w->out_w + left) * w->y_pixel + n;
    vec half[WINOGRAD_SIDE][WINOGRAD_SIDE], line[WINOGRAD_SIDE], out[WINOGRAD_SIDE];

    UNROLL for (int x = 0; x < side; x++) {
        UNROLL for (int y = 0; y < side; y++) {
            const float *from = p + (y * side + x) * w->products_apart + n;
            line[y] = common ? vec_load(from) : vec_load_mask(from, mask);
        }
        winograd_back(m, line, out);
        UNROLL for (int y = 0; y < m; y++)
            half[y][x] = out[y];
    }
    if (common) {
        UNROLL for (int y = 0; y < m; y++, at += w->out_w * w->y_pixel) {
            winograd_back(m, half[y], out);
            UNROLL for (int x = 0; x < m; x++)
                winograd_store(true, true, w, vec_add(out[x], bias), at + x * w->y_pixel, mask);
        }
        return;
    }
    for (int y = 0; y < rows; y++, at += w->out_w * w->y_pixel) {
        winograd_back(m, half[y], out);
        for (int x = 0; x < columns; x++)
            winograd_store(false, false, w, vec_add(out[x], bias), at + x * w->y_pixel, mask);
    }
}

INLINE void winograd_output(int m, const struct kernel_winograd *w)
{
    const int across = (w->out_w + m - 1) / m;

    for (int t = 0; t < w->count; t++) {
        const int top = (w->first + t) / across * m, left = (w->first + t) % across * m;
        const bool clamps = w->epilogue.activation == KERNEL_CLAMP && top + m <= w->out_h && left + m <= w->out_w;
        const float *p = w->products + (ptrdiff_t)t * w->n;
        int n = w->n0;
        for (; clamps && n + LANES <= w->n1; n += LANES)
            winograd_output_tile(m, true, w, p, top, left, n);
        for (; n < w->n1; n += LANES)
            winograd_output_tile(m, false, w, p, top, left, n);
    }
}

static void simd_winograd_input(const struct kernel_winograd *w)
{
    if (w->m == 2)
        winograd_input(2, w);
    else
        winograd_input(4, w);
}

static void simd_winograd_output(const struct kernel_winograd *w)
{
    if (w->m == 2)
        winograd_output(2, w);
    else
        winograd_output(4, w);
}

#endif
