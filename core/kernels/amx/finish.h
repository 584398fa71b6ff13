/* From the sums of a block in memory, [rows][32], to C: bias, scale (U8), residual, activation, narrowing. */
#ifndef INFOMASK_KERNELS_AMX_FINISH_H
#define INFOMASK_KERNELS_AMX_FINISH_H

#include "core/kernels/amx/amx.h"
#include "core/kernels/avx512/vector.h"
#include "core/kernels/simd/tile.h"

/* What the sums of 16 columns become values with. */
struct columns {
    vec bias, scale;
    __m512i zero; /* what a_zero has added to every sum */
};

INLINE struct columns columns_of(enum kernel_type type, const struct tile *t, int n)
{
    struct columns c = {.bias = vec_load(t->bias + n)};

    if (type == KERNEL_U8) {
        c.scale = vec_mul(vec_set(t->a_scale), vec_load(t->scale + n));
        c.zero = _mm512_mullo_epi32(_mm512_loadu_si512(t->column_sum + n), _mm512_set1_epi32(t->a_zero));
    }
    return c;
}

INLINE vec sum_value(enum kernel_type type, const float *sums, const struct columns *c)
{
    if (type != KERNEL_U8)
        return vec_add(vec_load(sums), c->bias);
    return vec_fma(_mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_loadu_si512(sums), c->zero)), c->scale, c->bias);
}

/* Residual, clamp and store of `vectors` vectors a row, the last one cut. */
INLINE void store_clamped(enum kernel_type type, enum kernel_type out, bool residual, int vectors, int rows,
                          const struct tile *t, const float *sums)
{
    const ptrdiff_t size = element_size(out);
    const vec low = vec_set(t->epilogue->low), high = vec_set(t->epilogue->high);
    const vec inverse = vec_set(out == KERNEL_U8 ? 1 / t->out_scale : 1);
    const vmask cut = mask_first(t->columns - 16 * (vectors - 1));
    const struct columns columns[2] = {columns_of(type, t, 0), columns_of(type, t, 16 * (vectors - 1))};
    const char *add = t->residual;
    char *c = t->c;

    for (int r = 0; r < rows; r++, sums += PANEL_WIDE, c += t->c_row) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vmask mask = v == vectors - 1 ? cut : mask_first(16);
            vec value = sum_value(type, sums + 16 * v, &columns[v]);
            if (residual)
                value = vec_add(value, element_load(out, add + 16 * v * size, mask, t->out_scale, t->out_zero));
            element_store(out, c + 16 * v * size, vec_clamp(value, low, high), mask, inverse, t->out_zero);
        }
        if (residual)
            add += t->residual_row;
    }
}

INLINE void store_type(enum kernel_type type, enum kernel_type out, int rows, const struct tile *t, const float *sums)
{
    if (t->columns > 16 && t->residual != NULL)
        store_clamped(type, out, true, 2, rows, t, sums);
    else if (t->columns > 16)
        store_clamped(type, out, false, 2, rows, t, sums);
    else
        store_clamped(type, out, t->residual != NULL, 1, rows, t, sums);
}

/* The other activations take the values from memory. */
INLINE void store_others(enum kernel_type type, int rows, const struct tile *t, float *sums)
{
    for (int n = 0; n < t->columns; n += 16) {
        const struct columns columns = columns_of(type, t, n);
        for (int r = 0; r < rows; r++)
            vec_store(sums + r * PANEL_WIDE + n, sum_value(type, sums + r * PANEL_WIDE + n, &columns));
    }
    store_finished(rows, t, sums);
}

/* type: of the products, BF16 or U8; C is of that type too, or F32. */
INLINE void finish(enum kernel_type type, int rows, const struct tile *t, float *sums)
{
    if (t->epilogue->activation != KERNEL_CLAMP)
        store_others(type, rows, t, sums);
    else if (t->out == KERNEL_F32)
        store_type(type, KERNEL_F32, rows, t, sums);
    else
        store_type(type, t->out == KERNEL_BF16 ? KERNEL_BF16 : KERNEL_U8, rows, t, sums);
}

#endif
