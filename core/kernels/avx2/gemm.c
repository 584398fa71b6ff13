/* The matrix products of AVX2: the micro-kernels of float32 and u8 x s8, and the shared packing and loops. */
#include <stdlib.h>

#include "core/base/cpu.h"
#include "core/kernels/avx2/avx2.h"

TILE_WAY(tiles_f32, BY_F32)
TILE_WAY(tiles_words, BY_WORDS)
TILE_WAY(tiles_bytes, BY_BYTES)

static bool has_vnni(void)
{
#if defined(KERNELS_AVX_VNNI)
    return cpu_features()->avx_vnni;
#else
    return false;
#endif
}

/* Can vpmaddubsw sum these?  Two products of u8 and a pair of weights are within 255 x 128 of 0, so within 16 bits, if
 * the pair's sum is within 128 of it. */
static bool pairs_fit(const struct kernel_weights *w, const int8_t *s8)
{
    for (ptrdiff_t segments = (ptrdiff_t)w->n * w->segments; segments > 0; segments--, s8 += w->segment_k)
        for (int k = 0; k + 1 < w->segment_k; k += 2)
            if (abs(s8[k] + s8[k + 1]) > 128)
                return false;
    return true;
}

static int step_of(const struct kernel_weights *w, const int8_t *s8)
{
    if (w->type == KERNEL_F32)
        return 1;
    return has_vnni() || (s8 != NULL && pairs_fit(w, s8)) ? 4 : 2;
}

static tile_function *tile_for(const struct kernel_weights *w, int width)
{
    static tile_function *const f32[] = {tiles_f32_8, tiles_f32_16, tiles_f32_24};
    static tile_function *const words[] = {tiles_words_8, tiles_words_16, tiles_words_24};
    static tile_function *const bytes[] = {tiles_bytes_8, tiles_bytes_16, tiles_bytes_24};
    tile_function *const *tiles = w->type == KERNEL_F32 ? f32 : w->step == 2 ? words : bytes;

#if defined(KERNELS_AVX_VNNI)
    if (w->step == 4 && has_vnni())
        tiles = avx2_tiles_vnni;
#endif
    return tiles[(unsigned)(width - 1) / 8 % (PANEL_WIDE / 8)];
}

#include "core/kernels/simd/gemm.h"

/* ---- u8 as pairs of 16 bits -------------------------------------------------------------------------------------- */

/* Elements that are widened at once: a row of the deepest product that is packed (simd/pack.h), each of whose segments
 * may be one element and a zero; of a common one, many rows. */
enum { WIDE_ELEMENTS = 2 * (INT32_MAX / (255 * 127)) };

static int16_t *widen(const uint8_t *from, int n, int16_t *to)
{
    int i = 0;

    for (; i + 16 <= n; i += 16)
        _mm256_storeu_si256((__m256i *)(void *)(to + i),
                            _mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(from + i))));
    for (; i + 8 <= n; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(to + i),
                         _mm_cvtepu8_epi16(_mm_loadl_epi64((const __m128i *)(const void *)(from + i))));
    for (; i < n; i++)
        to[i] = from[i];
    if (n % 2 != 0)
        to[n] = 0;
    return to + n + n % 2;
}

/* Some rows at a time, with whole steps in each segment.  Strides of u8 are in bytes, so those of s16 are doubled. */
static void gemm_widened(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    const int segment = w->segment_k + w->segment_k % 2, row = w->segments * segment, most = WIDE_ELEMENTS / row;
    const ptrdiff_t c_size = element_size(g->out);
    _Alignas(32) int16_t wide[WIDE_ELEMENTS];
    struct kernel_gemm part = *g;
    struct kernel_then then;

    part.a = wide;
    part.a_row = 2 * row;
    part.a_segment = 2 * segment;
    for (int m = 0; m < g->m; m += part.m) {
        int16_t *to = wide;
        part.m = rows_of(g->m - m, most);
        for (int r = m; r < m + part.m; r++)
            for (int s = 0; s < w->segments; s++)
                to = widen((const uint8_t *)g->a + r * g->a_row + s * g->a_segment, w->segment_k, to);
        part.c = (char *)g->c + m * g->c_row * c_size;
        part.residual = g->residual == NULL ? NULL : (const char *)g->residual + m * g->residual_row * c_size;
        if (g->then != NULL) {
            then = kernel_then_from(g->then, m);
            part.then = &then;
        }
        simd_gemm(&part);
    }
}

static void gemm(const struct kernel_gemm *g)
{
    if (g->weights->step == 2)
        gemm_widened(g);
    else
        simd_gemm(g);
}

void avx2_gemm(struct kernel_table *table)
{
    simd_gemm_fill(table);
    table->gemm = gemm;
    table->types = 1u << KERNEL_F32 | 1u << KERNEL_U8;
}
