/* The micro-kernels of float32. */
#include "core/kernels/avx512/avx512.h"

TILE_TYPE(tiles_f32, KERNEL_F32)
