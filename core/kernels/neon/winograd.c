/* The transforms of Winograd's convolution of arm64's Advanced SIMD. */
#include "core/kernels/neon/neon.h"

#include "core/kernels/simd/winograd.h"

void neon_winograd(struct kernel_table *table)
{
    table->winograd_input = simd_winograd_input;
    table->winograd_output = simd_winograd_output;
}
