/* The matrix products of AVX-512, packing and loops; the micro-kernels are in tile.h, one source for each type. */
#ifndef INFOMASK_KERNELS_AVX512_GEMM_H
#define INFOMASK_KERNELS_AVX512_GEMM_H

#include "core/kernels/avx512/tile.h"

extern tile_function *const avx512_tiles_f32[TILE_WIDTHS];
extern tile_function *const avx512_tiles_bf16[TILE_WIDTHS];
extern tile_function *const avx512_tiles_u8[TILE_WIDTHS];

void avx512_gemm(const struct kernel_gemm *gemm);
size_t avx512_gemm_scratch(const struct kernel_gemm *gemm);
enum infomask_status avx512_pack(struct kernel_weights *weights, enum kernel_type type, const float *w,
                                 const float *bias, int segments, int segment_k, int n, struct infomask_error *err);

void avx512_depthwise(const struct kernel_depthwise *depthwise);
void avx512_elementwise(struct kernel_table *table); /* fills the slots of elements and pooling */

#endif
