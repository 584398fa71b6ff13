/* The depthwise convolution of arm64's Advanced SIMD. */
#include "core/kernels/neon/neon.h"

#include "core/kernels/simd/depthwise.h"

void neon_depthwise(struct kernel_table *table)
{
    table->depthwise = simd_depthwise;
    table->depthwise_scratch = simd_depthwise_scratch;
}
