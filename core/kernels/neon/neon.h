/* The parts of the table of arm64's Advanced SIMD.  Each function fills in the slots that its name says. */
#ifndef INFOMASK_KERNELS_NEON_NEON_H
#define INFOMASK_KERNELS_NEON_NEON_H

#include "core/kernels/neon/tile.h"

void neon_gemm(struct kernel_table *table);
void neon_depthwise(struct kernel_table *table);
void neon_winograd(struct kernel_table *table);
void neon_elementwise(struct kernel_table *table); /* conversions and pooling too */

#endif
