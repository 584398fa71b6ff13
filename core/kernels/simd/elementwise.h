/* Kernels over rows of elements: conversions, sums, products, activations, softmax; for any instruction set whose
 * vector.h came before.  simd_elementwise fills their slots. */
#ifndef INFOMASK_KERNELS_SIMD_ELEMENTWISE_H
#define INFOMASK_KERNELS_SIMD_ELEMENTWISE_H

#include <math.h>

#include "core/kernels/simd/activation.h"
#include "core/kernels/simd/element.h"

/* The lanes of the vector that starts at i, of n elements. */
INLINE vmask mask_at(size_t i, size_t n) { return mask_first(n - i < LANES ? (int)(n - i) : LANES); }

static void simd_to_bf16(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        vec_store_bf16(y + i, vec_load_mask(x + i, mask), mask);
    }
}

static void simd_from_bf16(const uint16_t *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        vec_store_mask(y + i, vec_load_bf16(x + i, mask), mask);
    }
}

static void simd_to_u8(const float *x, uint8_t *y, size_t n, float scale, int zero)
{
    const vec inverse = vec_set(1 / scale);
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vec_store_u8(y + i, vec_mul(vec_load(x + i), inverse), zero, mask_first(LANES));
    if (i < n)
        vec_store_u8(y + i, vec_mul(vec_load_mask(x + i, mask_at(i, n)), inverse), zero, mask_at(i, n));
}

INLINE void activate_as(enum kernel_activation kind, const float *x, float *y, size_t n,
                        const struct kernel_epilogue *e)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_activate_as(kind, vec_load(x + i), e));
    if (i < n)
        vec_store_mask(y + i, vec_activate_as(kind, vec_load_mask(x + i, mask_at(i, n)), e), mask_at(i, n));
}

static void simd_activate(const float *x, float *y, size_t n, const struct kernel_epilogue *epilogue)
{
    FOR_KIND(epilogue->activation, activate_as(KIND, x, y, n, epilogue))
}

static void simd_round(const float *x, float *y, size_t n, const struct kernel_rounding *rounding)
{
    const struct kernel_rounding r = *rounding; /* y is not it */

    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        vec_store_mask(y + i, vec_rounded(vec_load_mask(x + i, mask), &r), mask);
    }
}

INLINE void add_as(enum kernel_activation kind, const float *a, const float *b, float *y, size_t n,
                   const struct kernel_epilogue *e)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_activate_as(kind, vec_add(vec_load(a + i), vec_load(b + i)), e));
    if (i < n) {
        const vmask mask = mask_at(i, n);
        const vec sum = vec_add(vec_load_mask(a + i, mask), vec_load_mask(b + i, mask));
        vec_store_mask(y + i, vec_activate_as(kind, sum, e), mask);
    }
}

static void simd_add(const float *a, const float *b, float *y, size_t n, const struct kernel_epilogue *epilogue)
{
    FOR_KIND(epilogue->activation, add_as(KIND, a, b, y, n, epilogue))
}

static void simd_mul(const float *a, const float *b, float *y, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        vec_store(y + i, vec_mul(vec_load(a + i), vec_load(b + i)));
    if (i < n) {
        const vmask mask = mask_at(i, n);
        vec_store_mask(y + i, vec_mul(vec_load_mask(a + i, mask), vec_load_mask(b + i, mask)), mask);
    }
}

/* Pixels of whole vectors, and the channels that are left. */
INLINE void scale_shift_as(enum kernel_activation kind, bool scales, bool shifts, const float *x, const float *scale,
                           const float *shift, float *y, size_t pixels, size_t c, const struct kernel_epilogue *e)
{
    const size_t whole = c / LANES * LANES;
    const vmask rest = mask_first((int)(c - whole));

    for (size_t p = 0; p < pixels; p++, x += c, y += c) {
        for (size_t i = 0; i < whole; i += LANES) {
            const vec t = shifts ? vec_load(shift + i) : vec_zero(), v = vec_load(x + i);
            vec_store(y + i, vec_activate_as(kind, scales ? vec_fma(v, vec_load(scale + i), t) : vec_add(v, t), e));
        }
        if (whole < c) {
            const vec t = shifts ? vec_load_mask(shift + whole, rest) : vec_zero(), v = vec_load_mask(x + whole, rest);
            const vec value = scales ? vec_fma(v, vec_load_mask(scale + whole, rest), t) : vec_add(v, t);
            vec_store_mask(y + whole, vec_activate_as(kind, value, e), rest);
        }
    }
}

static void simd_scale_shift(const float *x, const float *scale, const float *shift, float *y, size_t pixels, int c,
                             const struct kernel_epilogue *epilogue)
{
    const size_t channels = (size_t)c;

    if (scale != NULL && shift != NULL)
        FOR_KIND(epilogue->activation,
                 scale_shift_as(KIND, true, true, x, scale, shift, y, pixels, channels, epilogue))
    else if (scale != NULL)
        FOR_KIND(epilogue->activation,
                 scale_shift_as(KIND, true, false, x, scale, shift, y, pixels, channels, epilogue))
    else
        FOR_KIND(epilogue->activation,
                 scale_shift_as(KIND, false, shift != NULL, x, scale, shift, y, pixels, channels, epilogue))
}

/* exp of what is 0 or less; 0 below -87, where products with it would be numbers that some processors take a hundred
 * times as long for: what attention masks out is -100 in some networks. */
INLINE vec softmax_exp(vec x)
{
    const vec limited = vec_max(vec_set(-87), x);
    return vec_negative(vec_sub(x, vec_set(-87)), vec_zero(), vec_exp_near(limited));
}

/* The largest element goes first, so that no exponential is above 1. */
static void simd_softmax_row(const float *x, float *y, size_t n)
{
    vec most = vec_set(-INFINITY), sum = vec_zero(), scale;

    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        most = vec_max(most, vec_select(mask, vec_load_mask(x + i, mask), most));
    }
    most = vec_set(vec_largest(most));
    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        const vec e = softmax_exp(vec_sub(vec_load_mask(x + i, mask), most));
        sum = vec_add(sum, vec_select(mask, e, vec_zero()));
        vec_store_mask(y + i, e, mask);
    }
    scale = vec_set(1 / vec_sum(sum));
    for (size_t i = 0; i < n; i += LANES) {
        const vmask mask = mask_at(i, n);
        vec_store_mask(y + i, vec_mul(vec_load_mask(y + i, mask), scale), mask);
    }
}

/* Up to LANES rows of fewer elements than that, a lane for each row: one row alone would leave lanes idle, and would
 * wait for its largest element and its sum. */
static void simd_softmax_short(const float *x, float *y, size_t rows, size_t n)
{
    _Alignas(64) float columns[LANES][LANES];
    vec most = vec_set(-INFINITY), sum = vec_zero(), scale;

    for (size_t i = 0; i < n; i++) {
        for (size_t r = 0; r < LANES; r++)
            columns[i][r] = r < rows ? x[r * n + i] : 0;
        most = vec_max(most, vec_load(columns[i]));
    }
    for (size_t i = 0; i < n; i++) {
        const vec e = softmax_exp(vec_sub(vec_load(columns[i]), most));
        sum = vec_add(sum, e);
        vec_store(columns[i], e);
    }
    scale = vec_div(vec_set(1), sum);
    for (size_t i = 0; i < n; i++)
        vec_store(columns[i], vec_mul(vec_load(columns[i]), scale));
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < n; i++)
            y[r * n + i] = columns[i][r];
}

static void simd_softmax(const float *x, float *y, size_t rows, size_t n)
{
    if (n < LANES) {
        for (size_t r = 0; r < rows; r += LANES)
            simd_softmax_short(x + r * n, y + r * n, rows - r < LANES ? rows - r : LANES, n);
        return;
    }
    for (size_t r = 0; r < rows; r++)
        simd_softmax_row(x + r * n, y + r * n, n);
}

static void simd_elementwise(struct kernel_table *table)
{
    table->to_bf16 = simd_to_bf16;
    table->from_bf16 = simd_from_bf16;
    table->to_u8 = simd_to_u8;
    table->activate = simd_activate;
    table->add = simd_add;
    table->mul = simd_mul;
    table->scale_shift = simd_scale_shift;
    table->round = simd_round;
    table->softmax = simd_softmax;
}

#endif
