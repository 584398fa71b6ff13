/* The transforms of Winograd's convolution of AVX-512. */
#include "core/kernels/avx512/avx512.h"

#include "core/kernels/simd/winograd.h"

void avx512_winograd(struct kernel_table *table)
{
    table->winograd_groups = true;
    table->winograd_input = simd_winograd_input;
    table->winograd_output = simd_winograd_output;
}
