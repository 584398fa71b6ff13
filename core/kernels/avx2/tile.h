/* The micro-kernel of the matrix products: one tile of C, `rows` x 8 vectors columns, held in registers over the whole
 * of K; see core/kernels/avx512/tile.h, whose smaller brother this is.  Tiles are 6 rows by 16 columns, 4 by 24 in a
 * last panel, and 12 by 8.  Products of u8 and s8 come in three ways, all exact:
 *
 *     WORDS  steps of two elements that were widened to 16 bits before (gemm.c): vpmaddwd, and a sum; for any weights
 *     BYTES  steps of four: vpmaddubsw sums each two products in 16 bits, for weights whose pairs cannot saturate there
 *            (gemm.c); vpmaddwd by ones adds those two by two, and a sum: three instructions for what WORDS do in four
 *     VNNI   steps of four: vpdpbusd, for any weights, on processors that have it without AVX-512 (tiles_vnni.c) */
#ifndef INFOMASK_KERNELS_AVX2_TILE_H
#define INFOMASK_KERNELS_AVX2_TILE_H

#include "core/kernels/avx2/vector.h"

/* Rows of a tile, of one of more than 16 columns and of 8, columns of a panel but the last, and of that one at most. */
enum { TILE_ROWS = 6, TILE_ROWS_WIDE = 4, TILE_ROWS_NARROW = 12, PANEL = 16, PANEL_WIDE = 24 };

enum { NEXT_BYTES = 64 }; /* of what is read next, brought near with every four steps */

#include "core/kernels/simd/sums.h"

enum way { BY_F32, BY_WORDS, BY_BYTES, BY_VNNI };

/* Odd multiples of the row stride of A. */
struct strides {
    ptrdiff_t x1, x3, x5, x7, x9, x11;
};

INLINE struct strides strides_of(ptrdiff_t row, int rows)
{
    struct strides s = {.x1 = row, .x3 = 3 * row, .x5 = 5 * row};

    /* opaque to the compiler, which would otherwise keep a pointer for each row */
    __asm__("" : "+r"(s.x1), "+r"(s.x3), "+r"(s.x5));
    if (rows > TILE_ROWS) {
        s.x7 = 7 * row;
        s.x9 = 9 * row;
        s.x11 = 11 * row;
        __asm__("" : "+r"(s.x7), "+r"(s.x9), "+r"(s.x11));
    }
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
    default: return a + s->x11;
    }
}

/* What a step takes of a row of A, 32 bits, in all lanes. */
INLINE __m256 broadcast(const char *p)
{
    float bits;
    memcpy(&bits, p, sizeof bits);
    return _mm256_set1_ps(bits);
}

static const int16_t ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

/* 32 bytes of memory as an operand. */
struct vector {
    char bytes[32];
};
INLINE const struct vector *vector_at(const void *p) { return p; }

/* sum += a w; not by intrinsics, see vec_accumulate.  (All 16 registers are in use: BYTES has its ones in memory.) */
INLINE __m256 multiply(enum way way, __m256 sum, __m256 a, __m256 w)
{
    __m256 product;

    if (way == BY_F32)
        return vec_accumulate(sum, a, w);
    if (way == BY_VNNI)
        __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(a), "x"(w));
    else if (way == BY_WORDS)
        __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(sum), "=&x"(product) : "x"(a), "x"(w));
    else
        __asm__("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
                : "+x"(sum), "=&x"(product) : "x"(a), "x"(w), "m"(*vector_at(ones)));
    return sum;
}

/* The same with weights from memory: the third vector of a wide panel has no register left. */
INLINE __m256 multiply_by(enum way way, __m256 sum, __m256 a, const char *w)
{
    __m256 product;

    if (way == BY_WORDS)
        __asm__("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0"
                : "+x"(sum), "=&x"(product) : "x"(a), "m"(*vector_at(w)));
    else
        __asm__("vpmaddubsw %3, %2, %1\n\tvpmaddwd %4, %1, %1\n\tvpaddd %1, %0, %0"
                : "+x"(sum), "=&x"(product) : "x"(a), "m"(*vector_at(w)), "m"(*vector_at(ones)));
    return sum;
}

INLINE void step(enum way way, int rows, int vectors, struct sums *sums, const char *a, int offset,
                 const struct strides *strides, const char *w)
{
    __m256 weights[3];
    const int held = way == BY_F32 || way == BY_VNNI || vectors < 3 ? vectors : 2;

    UNROLL for (int v = 0; v < held; v++)
        weights[v] = _mm256_loadu_ps((const float *)(const void *)w + 8 * v);
    UNROLL for (int r = 0; r < rows; r++) {
        const __m256 x = broadcast(row_of(a, r, strides) + offset);
        UNROLL for (int v = 0; v < held; v++)
            sums->at[r][v] = multiply(way, sums->at[r][v], x, weights[v]);
        UNROLL for (int v = held; v < vectors; v++)
            sums->at[r][v] = multiply_by(way, sums->at[r][v], x, w + 32 * v);
    }
}

/* All steps of one segment; returns the weights of the next one.  Weights that are read once a run come from beyond the
 * caches faster than a processor's own prefetch sees to, so the next panel's are asked for meanwhile. */
INLINE const char *segment(enum way way, int rows, int vectors, struct sums *sums, const struct tile *t,
                           const char *a, const struct strides *strides, const char *w, const char **next)
{
    const ptrdiff_t width = 32 * vectors;
    ptrdiff_t k = t->steps + (t->rest > 0);

    for (; k >= 4; k -= 4) {
        UNROLL for (int u = 0; u < 4; u++)
            step(way, rows, vectors, sums, a, 4 * u, strides, w + u * width);
        _mm_prefetch(*next, _MM_HINT_T1);
        *next += NEXT_BYTES;
        a += 16;
        w += 4 * width;
    }
    /* opaque, or the compiler writes out the up to three steps that are left one by one */
    __asm__("" : "+r"(k));
    for (; k > 0; k--) {
        step(way, rows, vectors, sums, a, 0, strides, w);
        a += 4;
        w += width;
    }
    return w;
}

/* f32: the bias.  U8: what a_zero adds to every product, -a_zero * (sum of the column's weights). */
INLINE struct sums sums_start(enum way way, int rows, int vectors, const struct tile *t)
{
    const __m256i zero = _mm256_set1_epi32(-t->a_zero);
    struct sums sums;

    UNROLL for (int v = 0; v < vectors; v++) {
        __m256 start;
        if (way != BY_F32) {
            const __m256i column = _mm256_loadu_si256((const __m256i *)(const void *)(t->column_sum + 8 * v));
            start = _mm256_castsi256_ps(_mm256_mullo_epi32(column, zero));
        } else {
            start = _mm256_loadu_ps(t->bias + 8 * v);
        }
        UNROLL for (int r = 0; r < rows; r++)
            sums.at[r][v] = start;
    }
    return sums;
}

/* U8: what the integer sums stand for. */
INLINE void sums_scale(int rows, int vectors, const struct tile *t, struct sums *sums)
{
    UNROLL for (int v = 0; v < vectors; v++) {
        const __m256 scale = _mm256_mul_ps(_mm256_set1_ps(t->a_scale), _mm256_loadu_ps(t->scale + 8 * v));
        const __m256 bias = _mm256_loadu_ps(t->bias + 8 * v);
        UNROLL for (int r = 0; r < rows; r++)
            sums->at[r][v] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_castps_si256(sums->at[r][v])), scale, bias);
    }
}

/* A row of C and of the residual is a line of the cache or two, each far from the one before: the processor's own
 * prefetch does not see them coming, and the multiplications take about as long as they are on their way. */
INLINE void output_near(int rows, const struct tile *t)
{
    UNROLL for (int r = 0; r < rows; r++)
        _mm_prefetch(t->c + r * t->c_row, _MM_HINT_T0);
    if (t->residual != NULL && t->residual != t->c)
        UNROLL for (int r = 0; r < rows; r++)
            _mm_prefetch(t->residual + r * t->residual_row, _MM_HINT_T0);
}

INLINE void tile(enum way way, int rows, int vectors, const struct tile *t)
{
    const struct strides strides = strides_of(t->a_row, rows);
    struct sums sums = sums_start(way, rows, vectors, t);
    const char *w = t->w, *a = t->a, *next = t->next;

    output_near(rows, t);
    for (int s = 0; s < t->segments; s++, a += t->a_segment)
        w = segment(way, rows, vectors, &sums, t, a, &strides, w, &next);
    if (way != BY_F32)
        sums_scale(rows, vectors, t, &sums);
    store_sums(rows, vectors, t, &sums);
}

/* One function of a panel width, all heights: the body of each case is a kernel of its own. */
#define TILE_CASE(rows, way, vectors) case rows: tile(way, rows, vectors, t); break;
#define TILE_HEIGHTS_WIDE(name, way, vectors)                                                   \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                   \
    {                                                                                            \
        switch (rows) {                                                                          \
            TILE_CASE(1, way, vectors) TILE_CASE(2, way, vectors) TILE_CASE(3, way, vectors)  \
            TILE_CASE(4, way, vectors)                                                          \
        }                                                                                        \
    }
#define TILE_HEIGHTS(name, way, vectors)                                                        \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                   \
    {                                                                                            \
        switch (rows) {                                                                          \
            TILE_CASE(1, way, vectors) TILE_CASE(2, way, vectors) TILE_CASE(3, way, vectors)  \
            TILE_CASE(4, way, vectors) TILE_CASE(5, way, vectors) TILE_CASE(6, way, vectors)  \
        }                                                                                        \
    }
#define TILE_HEIGHTS_NARROW(name, way)                                                          \
    static __attribute__((noinline)) void name(const struct tile *t, int rows)                   \
    {                                                                                            \
        switch (rows) {                                                                          \
            TILE_CASE(1, way, 1) TILE_CASE(2, way, 1) TILE_CASE(3, way, 1) TILE_CASE(4, way, 1)     \
            TILE_CASE(5, way, 1) TILE_CASE(6, way, 1) TILE_CASE(7, way, 1) TILE_CASE(8, way, 1)     \
            TILE_CASE(9, way, 1) TILE_CASE(10, way, 1) TILE_CASE(11, way, 1) TILE_CASE(12, way, 1)  \
        }                                                                                        \
    }

/* All micro-kernels of one way. */
#define TILE_WAY(name, way)            \
    TILE_HEIGHTS_NARROW(name##_8, way) \
    TILE_HEIGHTS(name##_16, way, 2)    \
    TILE_HEIGHTS_WIDE(name##_24, way, 3)

#endif
