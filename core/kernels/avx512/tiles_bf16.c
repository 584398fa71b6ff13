/* The micro-kernels of bf16, summed in float32. */
#include "core/kernels/avx512/gemm.h"

TILE_HEIGHTS(tile_bf16_8, KERNEL_BF16, 0, 1)
TILE_HEIGHTS(tile_bf16_16, KERNEL_BF16, 1, 0)
TILE_HEIGHTS(tile_bf16_24, KERNEL_BF16, 1, 1)
TILE_HEIGHTS(tile_bf16_32, KERNEL_BF16, 2, 0)

tile_function *const avx512_tiles_bf16[4] = {tile_bf16_8, tile_bf16_16, tile_bf16_24, tile_bf16_32};
