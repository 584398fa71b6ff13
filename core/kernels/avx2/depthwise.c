/* The depthwise convolution of AVX2. */
#include "core/kernels/avx2/avx2.h"

#include "core/kernels/simd/depthwise.h"

void avx2_depthwise(struct kernel_table *table)
{
    table->depthwise = simd_depthwise;
    table->depthwise_scratch = simd_depthwise_scratch;
}
