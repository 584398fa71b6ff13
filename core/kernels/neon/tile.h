/* The micro-kernel of the matrix products: one tile of C, `rows` x 4 vectors columns, held in registers over the whole
 * of K; see core/kernels/avx512/tile.h, whose smaller brother this is.  Four elements of each row of A are loaded at
 * once, and a multiplication takes one of them for all lanes: a tile of 5 rows by 16 columns is 20 sums, 5 vectors of A
 * and 4 of W, of 32 registers.  3 rows by 24 columns are for a last panel, and 9 by 8. */
#ifndef INFOMASK_KERNELS_NEON_TILE_H
#define INFOMASK_KERNELS_NEON_TILE_H

#include "core/kernels/neon/vector.h"

/* Rows of a tile, of one of more than 16 columns and of 8, columns of a panel but the last, and of that one at most. */
enum { TILE_ROWS = 5, TILE_ROWS_WIDE = 3, TILE_ROWS_NARROW = 9, PANEL = 16, PANEL_WIDE = 24 };

enum { NEXT_BYTES = 64 }; /* of what is read next, brought near with every four steps */

#include "core/kernels/simd/sums.h"

/* sum += w times one lane of a; the instruction has the lane in it. */
INLINE vec multiply_lane(vec sum, vec w, vec a, int lane)
{
    switch (lane) {
    case 0: return vfmaq_laneq_f32(sum, w, a, 0);
    case 1: return vfmaq_laneq_f32(sum, w, a, 1);
    case 2: return vfmaq_laneq_f32(sum, w, a, 2);
    default: return vfmaq_laneq_f32(sum, w, a, 3);
    }
}

/* One step of K: the row of W at w times a lane of each row of A. */
INLINE void step(int rows, int vectors, struct sums *sums, const vec *a, int lane, const float *w)
{
    vec weights[PANEL_WIDE / LANES];

    UNROLL for (int v = 0; v < vectors; v++)
        weights[v] = vld1q_f32(w + 4 * v);
    UNROLL for (int r = 0; r < rows; r++)
        UNROLL for (int v = 0; v < vectors; v++)
            sums->at[r][v] = multiply_lane(sums->at[r][v], weights[v], a[r], lane);
}

/* All steps of one segment; returns the weights of the next one.  Weights that are read once a run come from beyond the
 * caches faster than a processor's own prefetch sees to, so the next panel's are asked for meanwhile. */
INLINE const float *segment(int rows, int vectors, struct sums *sums, const struct tile *t, const char *from,
                            const float *w, const char **next)
{
    const float *at[TILE_ROWS_NARROW];
    vec a[TILE_ROWS_NARROW];
    ptrdiff_t k = t->steps;

    UNROLL for (int r = 0; r < rows; r++)
        at[r] = (const float *)(const void *)(from + r * t->a_row);
    for (; k >= 4; k -= 4) {
        UNROLL for (int r = 0; r < rows; r++) {
            a[r] = vld1q_f32(at[r]);
            at[r] += 4;
        }
        UNROLL for (int u = 0; u < 4; u++)
            step(rows, vectors, sums, a, u, w + 4 * u * vectors);
        __builtin_prefetch(*next, 0, 2);
        *next += NEXT_BYTES;
        w += 16 * vectors;
    }
    for (; k > 0; k--) {
        UNROLL for (int r = 0; r < rows; r++)
            a[r] = vld1q_dup_f32(at[r]++);
        step(rows, vectors, sums, a, 0, w);
        w += 4 * vectors;
    }
    return w;
}

INLINE void tile(int rows, int vectors, const struct tile *t)
{
    const float *w = (const float *)(const void *)t->w;
    const char *a = t->a, *next = t->next;
    struct sums sums;

    UNROLL for (int v = 0; v < vectors; v++) {
        const vec bias = vld1q_f32(t->bias + 4 * v);
        UNROLL for (int r = 0; r < rows; r++)
            sums.at[r][v] = bias;
    }
    for (int s = 0; s < t->segments; s++, a += t->a_segment)
        w = segment(rows, vectors, &sums, t, a, w, &next);
    store_sums(rows, vectors, t, &sums);
}

/* One function of a panel width, all heights: the body of each case is a kernel of its own. */
#define TILE_CASE(rows, vectors) case rows: tile(rows, vectors, t); break;
#define TILE_HEIGHTS_WIDE(name, vectors)                                                        \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                  \
    {                                                                                           \
        switch (rows) {                                                                         \
            TILE_CASE(1, vectors) TILE_CASE(2, vectors) TILE_CASE(3, vectors)                   \
        }                                                                                       \
    }
#define TILE_HEIGHTS(name, vectors)                                                             \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                  \
    {                                                                                           \
        switch (rows) {                                                                         \
            TILE_CASE(1, vectors) TILE_CASE(2, vectors) TILE_CASE(3, vectors)                   \
            TILE_CASE(4, vectors) TILE_CASE(5, vectors)                                         \
        }                                                                                       \
    }
#define TILE_HEIGHTS_NARROW(name, vectors)                                                      \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                  \
    {                                                                                           \
        switch (rows) {                                                                         \
            TILE_CASE(1, vectors) TILE_CASE(2, vectors) TILE_CASE(3, vectors)                   \
            TILE_CASE(4, vectors) TILE_CASE(5, vectors) TILE_CASE(6, vectors)                   \
            TILE_CASE(7, vectors) TILE_CASE(8, vectors) TILE_CASE(9, vectors)                   \
        }                                                                                       \
    }

#endif
