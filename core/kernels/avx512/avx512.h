/* The parts of the AVX-512 table.  Each function fills in the slots that its name says. */
#ifndef INFOMASK_KERNELS_AVX512_AVX512_H
#define INFOMASK_KERNELS_AVX512_AVX512_H

#include "core/kernels/avx512/tile.h"

extern tile_function *const avx512_tiles_f32[TILE_WIDTHS];
extern tile_function *const avx512_tiles_bf16[TILE_WIDTHS];
extern tile_function *const avx512_tiles_u8[TILE_WIDTHS];

void avx512_gemm(struct kernel_table *table);
void avx512_depthwise(struct kernel_table *table);
void avx512_winograd(struct kernel_table *table);
void avx512_elementwise(struct kernel_table *table); /* conversions and pooling too */

#endif
