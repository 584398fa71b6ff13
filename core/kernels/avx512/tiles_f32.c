/* The micro-kernels of float32. */
#include "core/kernels/avx512/gemm.h"

TILE_HEIGHTS(tile_f32_8, KERNEL_F32, 0, 1)
TILE_HEIGHTS(tile_f32_16, KERNEL_F32, 1, 0)
TILE_HEIGHTS(tile_f32_24, KERNEL_F32, 1, 1)
TILE_HEIGHTS(tile_f32_32, KERNEL_F32, 2, 0)

tile_function *const avx512_tiles_f32[4] = {tile_f32_8, tile_f32_16, tile_f32_24, tile_f32_32};
