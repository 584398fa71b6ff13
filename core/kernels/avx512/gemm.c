/* The matrix products of AVX-512: the micro-kernels of the tiles_ sources under the shared packing and loops. */
#include "core/kernels/avx512/avx512.h"

static int step_elements(enum kernel_type type) { return type == KERNEL_F32 ? 1 : type == KERNEL_BF16 ? 2 : 4; }

static tile_function *tile_for(enum kernel_type type, int width)
{
    tile_function *const *tiles =
        type == KERNEL_F32 ? avx512_tiles_f32 : type == KERNEL_BF16 ? avx512_tiles_bf16 : avx512_tiles_u8;
    return tiles[(unsigned)(width - 1) / 8 % TILE_WIDTHS];
}

#include "core/kernels/simd/gemm.h"

void avx512_gemm(struct kernel_table *table) { simd_gemm_fill(table); }
