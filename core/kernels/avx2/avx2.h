/* The parts of the AVX2 table.  Each function fills in the slots that its name says. */
#ifndef INFOMASK_KERNELS_AVX2_AVX2_H
#define INFOMASK_KERNELS_AVX2_AVX2_H

#include "core/kernels/avx2/tile.h"

void avx2_gemm(struct kernel_table *table);
void avx2_depthwise(struct kernel_table *table);
void avx2_winograd(struct kernel_table *table);
void avx2_elementwise(struct kernel_table *table); /* conversions and pooling too */
void avx2_patch(struct kernel_table *table);
void avx2_transpose(struct kernel_table *table);

#endif
