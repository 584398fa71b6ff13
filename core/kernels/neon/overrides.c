/* arm64's Advanced SIMD: the slots that this set overrides. */
#include "core/kernels/neon/neon.h"

void kernels_neon_fill(struct kernel_table *table)
{
    neon_gemm(table);
    neon_depthwise(table);
    neon_winograd(table);
    neon_elementwise(table);
}
