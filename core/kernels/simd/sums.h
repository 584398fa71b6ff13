/* A tile's sums in vectors of one kind, and how they are finished; for any instruction set whose vector.h came before,
 * and that has said how its tiles are cut. */
#ifndef INFOMASK_KERNELS_SIMD_SUMS_H
#define INFOMASK_KERNELS_SIMD_SUMS_H

#include "core/kernels/simd/tile.h"

struct sums {
    vec at[TILE_ROWS_NARROW][PANEL_WIDE / LANES];
};

/* Residual, clamp and store of whole vectors of float32: the common case, straight from the registers. */
INLINE void store_clamped(int rows, int vectors, const struct tile *t, const struct sums *sums)
{
    const vec low = vec_set(t->epilogue->low), high = vec_set(t->epilogue->high);
    const char *residual = t->residual;
    char *c = t->c;

    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            vec value = sums->at[r][v];
            if (residual)
                value = vec_add(value, vec_load((const float *)(const void *)residual + LANES * v));
            vec_store((float *)(void *)c + LANES * v, vec_clamp(value, low, high));
        }
        c += t->c_row;
        if (residual)
            residual += t->residual_row;
    }
}

INLINE void store_sums(int rows, int vectors, const struct tile *t, const struct sums *sums)
{
    if (t->out == KERNEL_F32 && t->epilogue->activation == KERNEL_CLAMP && t->then == NULL &&
        t->columns == LANES * vectors) {
        store_clamped(rows, vectors, t, sums);
    } else {
        _Alignas(4 * LANES) float memory[TILE_ROWS_NARROW * PANEL_WIDE];
        UNROLL for (int r = 0; r < rows; r++)
            UNROLL for (int v = 0; v < vectors; v++)
                vec_store(memory + r * PANEL_WIDE + LANES * v, sums->at[r][v]);
        store_finished(rows, t, memory);
    }
}

#endif
