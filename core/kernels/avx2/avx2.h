/* The parts of the AVX2 table.  Each function fills in the slots that its name says. */
#ifndef INFOMASK_KERNELS_AVX2_AVX2_H
#define INFOMASK_KERNELS_AVX2_AVX2_H

#include "core/kernels/avx2/tile.h"

/* The micro-kernels of VNNI by columns / 8 - 1, in builds that have KERNELS_AVX_VNNI. */
extern tile_function *const avx2_tiles_vnni[PANEL_WIDE / 8];

void avx2_gemm(struct kernel_table *table);
void avx2_depthwise(struct kernel_table *table);
void avx2_winograd(struct kernel_table *table);
void avx2_elementwise(struct kernel_table *table); /* conversions and pooling too */
void avx2_patch(struct kernel_table *table);
void avx2_transpose(struct kernel_table *table);

#endif
