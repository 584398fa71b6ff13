/* What the micro-kernels of the matrix products are told about a tile, and the epilogues that are no plain clamp; for
 * any instruction set whose vector.h came before, and that has said how wide its panels are (PANEL_WIDE). */
#ifndef INFOMASK_KERNELS_SIMD_TILE_H
#define INFOMASK_KERNELS_SIMD_TILE_H

#include <math.h>

#include "core/kernels/simd/activation.h"
#include "core/kernels/simd/element.h"

struct tile {
    const char *a; /* strides of A, C and R in bytes */
    ptrdiff_t a_row, a_segment;
    int segments;
    ptrdiff_t steps; /* whole steps of a segment */
    int rest;        /* elements of A in a segment's last step, if that is not whole; else 0 */
    const char *w;
    const char *next; /* what is read after these weights: a line of it is brought near with every four steps */
    const float *bias;
    const float *scale;        /* U8: of the columns */
    const int32_t *column_sum; /* U8: of the column's weights */
    float a_scale;             /* U8 */
    int a_zero;
    char *c;
    ptrdiff_t c_row;
    const char *residual;
    ptrdiff_t residual_row;
    enum kernel_type out;
    int columns; /* of this tile, the last vector may be cut */
    const struct kernel_epilogue *epilogue;
    const struct kernel_then *then; /* NULL: nothing; its scale and shift from `column` on */
    int column;
    const char *addend; /* its rows, from this tile's column on */
    float out_scale; /* U8 output (and residual): value = out_scale * (u8 - out_zero) */
    int out_zero;
};

typedef void tile_function(const struct tile *t, int rows);

/* 32 bits of A, wherever they lie. */
struct __attribute__((packed, aligned(1), may_alias)) word {
    uint32_t bits;
};

/* Every other epilogue, from sums that were put into memory: [rows][PANEL_WIDE]. */
static __attribute__((noinline)) void store_any_type(int rows, const struct tile *t, const float *sums)
{
    const ptrdiff_t size = element_size(t->out);
    const vec inverse = vec_set(t->out == KERNEL_U8 ? 1 / t->out_scale : 1);

    for (int r = 0; r < rows; r++) {
        char *c = t->c + r * t->c_row;
        const char *residual = t->residual ? t->residual + r * t->residual_row : NULL;
        for (int n = 0; n < t->columns; n += LANES) {
            const vmask mask = mask_first(t->columns - n < LANES ? t->columns - n : LANES);
            vec value = vec_load(sums + r * PANEL_WIDE + n);
            if (residual)
                value = vec_add(value, element_load(t->out, residual + n * size, mask, t->out_scale, t->out_zero));
            element_store(t->out, c + n * size, vec_activate(value, t->epilogue), mask, inverse, t->out_zero);
        }
    }
}

/* float32: whole vectors first, so that nothing but the last one has to look at a mask. */
INLINE void store_as(enum kernel_activation kind, int rows, const struct tile *t, const float *sums)
{
    const int whole = t->columns / LANES * LANES;
    const vmask rest = mask_first(t->columns - whole);

    for (int r = 0; r < rows; r++, sums += PANEL_WIDE) {
        float *c = (float *)(void *)(t->c + r * t->c_row);
        const float *residual = (const float *)(const void *)(t->residual ? t->residual + r * t->residual_row : NULL);
        for (int n = 0; n < whole; n += LANES) {
            const vec sum = vec_load(sums + n);
            vec_store(c + n, vec_activate_as(kind, residual ? vec_add(sum, vec_load(residual + n)) : sum, t->epilogue));
        }
        if (whole < t->columns) {
            const vec sum = vec_load(sums + whole);
            vec_store_mask(c + whole,
                           vec_activate_as(kind, residual ? vec_add(sum, vec_load_mask(residual + whole, rest)) : sum,
                                           t->epilogue),
                           rest);
        }
    }
}

/* What comes behind the activation, of the columns from n on. */
INLINE vec then_value(const struct tile *t, int row, int n, vec value, vmask mask)
{
    const struct kernel_then *then = t->then;

    if (then->first != NULL)
        value = vec_rounded(value, then->first);
    if (then->scale != NULL)
        value = vec_fma(value, vec_load_mask(then->scale + t->column + n, mask),
                        vec_load_mask(then->shift + t->column + n, mask));
    if (then->addend != NULL)
        value = vec_add(value, element_addend(then, t->addend, row, n, mask));
    return then->rounding != NULL ? vec_rounded(value, then->rounding) : value;
}

INLINE void store_then_as(enum kernel_activation kind, int rows, const struct tile *t, const float *sums)
{
    const ptrdiff_t size = element_size(t->out);
    const vec inverse = vec_set(t->out == KERNEL_U8 ? 1 / t->out_scale : 1);

    for (int r = 0; r < rows; r++, sums += PANEL_WIDE) {
        char *c = t->c + r * t->c_row;
        const char *residual = t->residual ? t->residual + r * t->residual_row : NULL;
        for (int n = 0; n < t->columns; n += LANES) {
            const vmask mask = mask_first(t->columns - n < LANES ? t->columns - n : LANES);
            vec value = vec_load(sums + n);
            if (residual)
                value = vec_add(value, element_load(t->out, residual + n * size, mask, t->out_scale, t->out_zero));
            element_store(t->out, c + n * size,
                          then_value(t, r, n, vec_activate_as(kind, value, t->epilogue), mask), mask, inverse,
                          t->out_zero);
        }
    }
}

/* A rounding; joins: of a rounding and an addend of the same type. */
INLINE void store_rounded_as(bool joins, enum kernel_type out, int rows, const struct tile *t, const float *sums)
{
    const struct kernel_then then = *t->then; /* C is none of these */
    const struct kernel_rounding rounding = *then.rounding, first = joins ? *then.first : rounding;
    const ptrdiff_t size = element_size(out), row = then.addend_row * size;

    for (int r = 0; r < rows; r++, sums += PANEL_WIDE) {
        char *c = t->c + r * t->c_row;
        for (int n = 0; n < t->columns; n += LANES) {
            const vmask mask = mask_first(t->columns - n < LANES ? t->columns - n : LANES);
            vec value = vec_load(sums + n);
            if (joins)
                value = vec_add(vec_rounded(value, &first), element_load(out, t->addend + r * row + n * size, mask,
                                                                         then.addend_scale, then.addend_zero));
            element_round(out, c + n * size, value, mask, &rounding, t->out_zero);
        }
    }
}

/* Is it one of these? */
static bool only_rounds(const struct tile *t)
{
    const struct kernel_then *then = t->then;

    return t->epilogue->activation == KERNEL_CLAMP && t->epilogue->low == -INFINITY && t->epilogue->high == INFINITY &&
           t->residual == NULL && then->rounding != NULL && then->scale == NULL && then->shift == NULL &&
           (then->addend == NULL ? then->first == NULL : then->first != NULL && then->addend_type == t->out);
}

static void store_rounded(int rows, const struct tile *t, const float *sums)
{
    if (t->then->addend == NULL && t->out == KERNEL_U8)
        store_rounded_as(false, KERNEL_U8, rows, t, sums);
    else if (t->then->addend == NULL)
        store_rounded_as(false, KERNEL_F32, rows, t, sums);
    else if (t->out == KERNEL_U8)
        store_rounded_as(true, KERNEL_U8, rows, t, sums);
    else
        store_rounded_as(true, KERNEL_F32, rows, t, sums);
}

static __attribute__((noinline)) void store_finished(int rows, const struct tile *t, const float *sums)
{
    if (t->then != NULL && only_rounds(t))
        store_rounded(rows, t, sums);
    else if (t->then != NULL)
        FOR_KIND(t->epilogue->activation, store_then_as(KIND, rows, t, sums))
    else if (t->out == KERNEL_F32)
        FOR_KIND(t->epilogue->activation, store_as(KIND, rows, t, sums))
    else
        store_any_type(rows, t, sums);
}

#endif
