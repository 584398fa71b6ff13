/* The transforms of Winograd's convolution of AVX2. */
#include "core/kernels/avx2/avx2.h"

#include "core/kernels/simd/winograd.h"

void avx2_winograd(struct kernel_table *table)
{
    table->winograd_groups = true;
    table->winograd_input = simd_winograd_input;
    table->winograd_output = simd_winograd_output;
}
