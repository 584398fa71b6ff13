/* The micro-kernel of the matrix products: one tile of C, `rows` (1 to 14) x 16 full + 8 half columns, held in
 * registers over the whole of K.  One template serves all element types, because a step takes 32 bits of each row of A
 * (one f32, two bf16, four u8) and only the instruction that multiplies differs.
 *
 * A is read in place: 14 rows are reached from one pointer and seven odd multiples of the row stride, through the 1, 2,
 * 4 and 8 times of x86 addresses.  A panel of W is [segment][step][columns] of 32 bits, so that a step is one or two
 * whole loads.  The half vector (256 bits) makes panels of 8 and 24 columns cost what they should where two 256-bit
 * units make up one of 512.
 */
#ifndef INFOMASK_KERNELS_AVX512_TILE_H
#define INFOMASK_KERNELS_AVX512_TILE_H

#include <string.h>

#include "core/kernels/avx512/vector.h"

/* Rows of a tile, of one of more than 32 columns and of 8, columns of a panel but the last, and of that one at most. */
enum { TILE_ROWS = 14, TILE_ROWS_WIDE = 8, TILE_ROWS_NARROW = 14, PANEL = 32, PANEL_WIDE = 48 };

enum { NEXT_BYTES = 128 }; /* of what is read next, brought near with every four steps */

#include "core/kernels/simd/tile.h"

/* The sums of a tile: whole vectors, then a half one. */
struct sums {
    __m512 full[TILE_ROWS][3];
    __m256 half[TILE_ROWS];
};

/* Odd multiples of the row stride of A. */
struct strides {
    ptrdiff_t x1, x3, x5, x7, x9, x11, x13;
};

INLINE struct strides strides_of(ptrdiff_t row)
{
    struct strides s = {row, 3 * row, 5 * row, 7 * row, 9 * row, 11 * row, 13 * row};
    /* opaque to the compiler, which would otherwise keep 14 pointers, more than there are registers */
    __asm__("" : "+r"(s.x1), "+r"(s.x3), "+r"(s.x5), "+r"(s.x7), "+r"(s.x9), "+r"(s.x11), "+r"(s.x13));
    return s;
}

INLINE const char *row_of(const char *a, int row, const struct strides *s)
{
    switch (row) {
    case 0: return a;
    case 1: return a + s->x1;
    case 2: return a + 2 * s->x1;
    case 3: return a + s->x3;
    case 4: return a + 4 * s->x1;
    case 5: return a + s->x5;
    case 6: return a + 2 * s->x3;
    case 7: return a + s->x7;
    case 8: return a + 8 * s->x1;
    case 9: return a + s->x9;
    case 10: return a + 2 * s->x5;
    case 11: return a + s->x11;
    case 12: return a + 4 * s->x3;
    default: return a + s->x13;
    }
}

/* 32 bits of A in all lanes. */
INLINE __m512 broadcast(const char *p)
{
    float bits;
    memcpy(&bits, p, sizeof bits);
    return _mm512_set1_ps(bits);
}

/* The last elements of a segment, with zeros above them. */
INLINE __m512 broadcast_rest(enum kernel_type type, const char *p, int rest)
{
    const __mmask16 bytes = type == KERNEL_BF16 ? 3 : mask_first(rest);
    return _mm512_castsi512_ps(_mm512_broadcastd_epi32(_mm_maskz_loadu_epi8(bytes, p)));
}

/* sum += a w, one instruction.  Not by intrinsics: gcc 12 then moves sums between registers, and spills some.  The
 * second form of each reads 32 bits of A and broadcasts them on the way. */
INLINE __m512 multiply(enum kernel_type type, __m512 sum, __m512 a, __m512 w)
{
    if (type == KERNEL_F32)
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(a));
    else if (type == KERNEL_BF16)
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(a));
    else
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
    return sum;
}

INLINE __m512 multiply_from(enum kernel_type type, __m512 sum, const char *a, __m512 w)
{
    const struct word *word = (const struct word *)(const void *)a;

    if (type == KERNEL_F32)
        __asm__("vfmadd231ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*word));
    else
        __asm__("vdpbf16ps %2%{1to16%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*word));
    return sum;
}

INLINE __m256 multiply_half(enum kernel_type type, __m256 sum, __m256 a, __m256 w)
{
    if (type == KERNEL_F32)
        __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(a));
    else if (type == KERNEL_BF16)
        __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(w), "v"(a));
    else
        __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(w));
    return sum;
}

INLINE __m256 multiply_half_from(enum kernel_type type, __m256 sum, const char *a, __m256 w)
{
    const struct word *word = (const struct word *)(const void *)a;

    if (type == KERNEL_F32)
        __asm__("vfmadd231ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*word));
    else
        __asm__("vdpbf16ps %2%{1to8%}, %1, %0" : "+v"(sum) : "v"(w), "m"(*word));
    return sum;
}

/* One row of a step.  On Zen 4 a broadcast of its own takes a third of a multiplication's time beside one vector of W
 * and none beside two, so narrow tiles broadcast within the multiplication.  (U8 cannot: that operand would be W.) */
INLINE void step_row(enum kernel_type type, int full, int half, __m512 *sums, __m256 *sum_half, const char *a,
                     const __m512 *whole, __m256 part, int rest)
{
    if (full < 2 && type != KERNEL_U8 && rest == 0) {
        if (full)
            sums[0] = multiply_from(type, sums[0], a, whole[0]);
        if (half)
            *sum_half = multiply_half_from(type, *sum_half, a, part);
        return;
    }
    const __m512 x = rest ? broadcast_rest(type, a, rest) : broadcast(a);
    UNROLL for (int v = 0; v < full; v++)
        sums[v] = multiply(type, sums[v], x, whole[v]);
    if (half)
        *sum_half = multiply_half(type, *sum_half, _mm512_castps512_ps256(x), part);
}

/* One step of K: the row of W at w times the 32 bits at offset of each row of A.  rest: 0 for a whole step. */
INLINE void step(enum kernel_type type, int rows, int full, int half, struct sums *sums, const char *a, int offset,
                 const struct strides *strides, const char *w, int rest)
{
    __m512 whole[3];
    __m256 part = _mm256_setzero_ps();

    UNROLL for (int v = 0; v < full; v++)
        whole[v] = _mm512_loadu_ps((const float *)(const void *)w + 16 * v);
    if (half)
        part = _mm256_loadu_ps((const float *)(const void *)w + 16 * full);
    UNROLL for (int r = 0; r < rows; r++)
        step_row(type, full, half, sums->full[r], &sums->half[r], row_of(a, r, strides) + offset, whole, part, rest);
}

/* All steps of one segment; returns the weights of the next one.  Weights that are read once a run come from beyond the
 * caches faster than a processor's own prefetch sees to, so the next panel's are asked for meanwhile. */
INLINE const char *segment(enum kernel_type type, int rows, int full, int half, struct sums *sums, const struct tile *t,
                           const char *a, const struct strides *strides, const char *w, const char **next)
{
    const ptrdiff_t width = 64 * full + 32 * half;
    ptrdiff_t k = t->steps;

    for (; k >= 4; k -= 4) {
        UNROLL for (int u = 0; u < 4; u++)
            step(type, rows, full, half, sums, a, 4 * u, strides, w + u * width, 0);
        _mm_prefetch(*next, _MM_HINT_T1);
        _mm_prefetch(*next + 64, _MM_HINT_T1);
        *next += NEXT_BYTES;
        a += 16;
        w += 4 * width;
    }
    /* opaque, or the compiler writes out the up to three steps that are left one by one */
    __asm__("" : "+r"(k));
    for (; k > 0; k--) {
        step(type, rows, full, half, sums, a, 0, strides, w, 0);
        a += 4;
        w += width;
    }
    if (type != KERNEL_F32 && t->rest) {
        step(type, rows, full, half, sums, a, 0, strides, w, t->rest);
        w += width;
    }
    return w;
}

/* f32: the bias.  U8: what a_zero adds to every product, -a_zero * (sum of the column's weights). */
INLINE struct sums sums_start(enum kernel_type type, int rows, int full, int half, const struct tile *t)
{
    const __m512i zero = _mm512_set1_epi32(-t->a_zero);
    struct sums sums;

    UNROLL for (int v = 0; v < full; v++) {
        const __m512 start =
            type == KERNEL_U8
                ? _mm512_castsi512_ps(_mm512_mullo_epi32(_mm512_loadu_si512(t->column_sum + 16 * v), zero))
                : _mm512_loadu_ps(t->bias + 16 * v);
        UNROLL for (int r = 0; r < rows; r++)
            sums.full[r][v] = start;
    }
    if (half) {
        const __m256i columns = type == KERNEL_U8 ? _mm256_loadu_si256((const __m256i *)(t->column_sum + 16 * full))
                                                  : _mm256_setzero_si256();
        const __m256 start =
            type == KERNEL_U8 ? _mm256_castsi256_ps(_mm256_mullo_epi32(columns, _mm512_castsi512_si256(zero)))
                              : _mm256_loadu_ps(t->bias + 16 * full);
        UNROLL for (int r = 0; r < rows; r++)
            sums.half[r] = start;
    }
    return sums;
}

/* U8: what the integer sums stand for. */
INLINE void sums_scale(int rows, int full, int half, const struct tile *t, struct sums *sums)
{
    const __m512 a_scale = _mm512_set1_ps(t->a_scale);

    UNROLL for (int v = 0; v < full; v++) {
        const __m512 scale = _mm512_mul_ps(a_scale, _mm512_loadu_ps(t->scale + 16 * v));
        const __m512 bias = _mm512_loadu_ps(t->bias + 16 * v);
        UNROLL for (int r = 0; r < rows; r++)
            sums->full[r][v] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_castps_si512(sums->full[r][v])), scale, bias);
    }
    if (half) {
        const __m256 scale = _mm256_mul_ps(_mm512_castps512_ps256(a_scale), _mm256_loadu_ps(t->scale + 16 * full));
        const __m256 bias = _mm256_loadu_ps(t->bias + 16 * full);
        UNROLL for (int r = 0; r < rows; r++)
            sums->half[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_castps_si256(sums->half[r])), scale, bias);
    }
}

/* Clamp and store of float32 sums as bf16. */
INLINE void store_narrowed(int rows, int full, int half, const struct tile *t, const struct sums *sums)
{
    const vec low = vec_set(t->epilogue->low), high = vec_set(t->epilogue->high);
    const int vectors = full + half;
    const vmask cut = mask_first(t->columns - 16 * (vectors - 1));
    char *c = t->c;

    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vec value = v < full ? sums->full[r][v] : _mm512_castps256_ps512(sums->half[r]);
            vec_store_bf16((uint16_t *)(void *)c + 16 * v, vec_clamp(value, low, high),
                           v == vectors - 1 ? cut : mask_first(LANES));
        }
        c += t->c_row;
    }
}

/* Residual, clamp and store of float32 sums: the common case, straight from the registers. */
INLINE void store_clamped(int rows, int full, int half, const struct tile *t, const struct sums *sums)
{
    const vec low = vec_set(t->epilogue->low), high = vec_set(t->epilogue->high);
    const int vectors = full + half;
    const vmask cut = mask_first(t->columns - 16 * (vectors - 1));
    const char *residual = t->residual;
    char *c = t->c;

    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < vectors; v++) {
            const vmask mask = v == vectors - 1 ? cut : mask_first(LANES);
            vec value = v < full ? sums->full[r][v] : _mm512_castps256_ps512(sums->half[r]);
            if (residual)
                value = vec_add(value, vec_load_mask((const float *)(const void *)residual + 16 * v, mask));
            vec_store_mask((float *)(void *)c + 16 * v, vec_clamp(value, low, high), mask);
        }
        c += t->c_row;
        if (residual)
            residual += t->residual_row;
    }
}

INLINE void sums_put(int rows, int full, int half, const struct sums *sums, float *memory)
{
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int v = 0; v < full; v++)
            _mm512_store_ps(memory + r * PANEL_WIDE + 16 * v, sums->full[r][v]);
        if (half)
            _mm512_store_ps(memory + r * PANEL_WIDE + 16 * full, _mm512_castps256_ps512(sums->half[r]));
    }
}

/* The whole of a tile. */
INLINE void tile(enum kernel_type type, int rows, int full, int half, const struct tile *t)
{
    const struct strides strides = strides_of(t->a_row);
    struct sums sums = sums_start(type, rows, full, half, t);
    const char *w = t->w, *a = t->a, *next = t->next;

    for (int s = 0; s < t->segments; s++, a += t->a_segment)
        w = segment(type, rows, full, half, &sums, t, a, &strides, w, &next);
    if (type == KERNEL_U8)
        sums_scale(rows, full, half, t, &sums);
    if (t->out == KERNEL_F32 && t->epilogue->activation == KERNEL_CLAMP && t->then == NULL) {
        store_clamped(rows, full, half, t, &sums);
    } else if (type == KERNEL_BF16 && t->out == KERNEL_BF16 && t->epilogue->activation == KERNEL_CLAMP &&
               t->residual == NULL) {
        store_narrowed(rows, full, half, t, &sums);
    } else {
        _Alignas(64) float memory[TILE_ROWS * PANEL_WIDE];
        sums_put(rows, full, half, &sums, memory);
        store_finished(rows, t, memory);
    }
}

/* One function of a panel width, all heights: the body of each case is a kernel of its own. */
#define TILE_CASE(rows, type, full, half) case rows: tile(type, rows, full, half, t); break;
#define TILE_HEIGHTS_WIDE(name, type, full, half)                                                       \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                          \
    {                                                                                                   \
        switch (rows) {                                                                                 \
            TILE_CASE(1, type, full, half) TILE_CASE(2, type, full, half) TILE_CASE(3, type, full, half) \
            TILE_CASE(4, type, full, half) TILE_CASE(5, type, full, half) TILE_CASE(6, type, full, half) \
            TILE_CASE(7, type, full, half) TILE_CASE(8, type, full, half)                               \
        }                                                                                               \
    }
#define TILE_HEIGHTS(name, type, full, half)                                                            \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                          \
    {                                                                                                   \
        switch (rows) {                                                                                 \
            TILE_CASE(1, type, full, half) TILE_CASE(2, type, full, half) TILE_CASE(3, type, full, half) \
            TILE_CASE(4, type, full, half) TILE_CASE(5, type, full, half) TILE_CASE(6, type, full, half) \
            TILE_CASE(7, type, full, half) TILE_CASE(8, type, full, half) TILE_CASE(9, type, full, half) \
            TILE_CASE(10, type, full, half) TILE_CASE(11, type, full, half)                             \
            TILE_CASE(12, type, full, half) TILE_CASE(13, type, full, half)                             \
            TILE_CASE(14, type, full, half)                                                             \
        }                                                                                               \
    }

/* All micro-kernels of one element type, by columns / 8 - 1. */
enum { TILE_WIDTHS = 6 };
#define TILE_TYPE(name, type)                                                                      \
    TILE_HEIGHTS(name##_8, type, 0, 1)                                                             \
    TILE_HEIGHTS(name##_16, type, 1, 0)                                                            \
    TILE_HEIGHTS(name##_24, type, 1, 1)                                                            \
    TILE_HEIGHTS(name##_32, type, 2, 0)                                                            \
    TILE_HEIGHTS_WIDE(name##_40, type, 2, 1)                                                       \
    TILE_HEIGHTS_WIDE(name##_48, type, 3, 0)                                                       \
    tile_function *const avx512_##name[TILE_WIDTHS] = {name##_8,  name##_16, name##_24,             \
                                                       name##_32, name##_40, name##_48};

#endif
