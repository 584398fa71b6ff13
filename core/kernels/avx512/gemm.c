/* The matrix products of AVX-512: the micro-kernels of the tiles_ sources under the shared packing and loops. */
#include "core/kernels/avx512/avx512.h"

static int step_of(const struct kernel_weights *w, const int8_t *s8)
{
    (void)s8;
    return w->type == KERNEL_F32 ? 1 : w->type == KERNEL_BF16 ? 2 : 4;
}

static tile_function *tile_for(const struct kernel_weights *w, int width)
{
    tile_function *const *tiles =
        w->type == KERNEL_F32 ? avx512_tiles_f32 : w->type == KERNEL_BF16 ? avx512_tiles_bf16 : avx512_tiles_u8;
    return tiles[(unsigned)(width - 1) / 8 % TILE_WIDTHS];
}

#include "core/kernels/simd/gemm.h"

void avx512_gemm(struct kernel_table *table) { simd_gemm_fill(table); }
