/* The depthwise convolution of AVX-512. */
#include "core/kernels/avx512/avx512.h"

#include "core/kernels/simd/depthwise.h"

void avx512_depthwise(struct kernel_table *table)
{
    table->depthwise = simd_depthwise;
    table->depthwise_scratch = simd_depthwise_scratch;
}
