/* The matrix products of AVX2: the micro-kernels of float32 and u8 x s8, and the shared packing and loops. */
#include "core/kernels/avx2/avx2.h"

TILE_HEIGHTS(tiles_f32_8, KERNEL_F32, 1)
TILE_HEIGHTS(tiles_f32_16, KERNEL_F32, 2)
TILE_HEIGHTS_WIDE(tiles_f32_24, KERNEL_F32, 3)
TILE_HEIGHTS(tiles_u8_8, KERNEL_U8, 1)
TILE_HEIGHTS(tiles_u8_16, KERNEL_U8, 2)
TILE_HEIGHTS_WIDE(tiles_u8_24, KERNEL_U8, 3)

static int step_elements(enum kernel_type type) { return type == KERNEL_F32 ? 1 : 2; }

static tile_function *tile_for(enum kernel_type type, int width)
{
    static tile_function *const f32[] = {tiles_f32_8, tiles_f32_16, tiles_f32_24};
    static tile_function *const u8[] = {tiles_u8_8, tiles_u8_16, tiles_u8_24};
    return (type == KERNEL_F32 ? f32 : u8)[(unsigned)(width - 1) / 8 % 3];
}

#include "core/kernels/simd/gemm.h"

void avx2_gemm(struct kernel_table *table)
{
    simd_gemm_fill(table);
    table->types = 1u << KERNEL_F32 | 1u << KERNEL_U8;
}
