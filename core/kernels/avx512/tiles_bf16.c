/* The micro-kernels of bf16, summed in float32. */
#include "core/kernels/avx512/avx512.h"

TILE_TYPE(tiles_bf16, KERNEL_BF16)
