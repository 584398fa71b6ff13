/* The micro-kernels of u8 x s8, summed in 32-bit integers. */
#include "core/kernels/avx512/avx512.h"

TILE_TYPE(tiles_u8, KERNEL_U8)
