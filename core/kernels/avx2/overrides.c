/* AVX2 + FMA: the slots that this set overrides. */
#include "core/kernels/avx2/avx2.h"

void kernels_avx2_fill(struct kernel_table *table)
{
    avx2_gemm(table);
    avx2_depthwise(table);
    avx2_winograd(table);
    avx2_elementwise(table);
    avx2_patch(table);
    avx2_transpose(table);
}
