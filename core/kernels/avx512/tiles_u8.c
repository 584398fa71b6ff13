/* The micro-kernels of u8 x s8, summed in 32-bit integers. */
#include "core/kernels/avx512/gemm.h"

TILE_HEIGHTS(tile_u8_8, KERNEL_U8, 0, 1)
TILE_HEIGHTS(tile_u8_16, KERNEL_U8, 1, 0)
TILE_HEIGHTS(tile_u8_24, KERNEL_U8, 1, 1)
TILE_HEIGHTS(tile_u8_32, KERNEL_U8, 2, 0)

tile_function *const avx512_tiles_u8[4] = {tile_u8_8, tile_u8_16, tile_u8_24, tile_u8_32};
