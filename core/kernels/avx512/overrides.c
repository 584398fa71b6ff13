/* AVX-512 (F, BW, DQ, VL; BF16 and VNNI where the processor has them): the slots that this set overrides. */
#include "core/base/cpu.h"
#include "core/kernels/avx512/avx512.h"

void kernels_avx512_fill(struct kernel_table *table)
{
    table->types = 1u << KERNEL_F32;
    if (cpu_features()->avx512_bf16)
        table->types |= 1u << KERNEL_BF16;
    if (cpu_features()->avx512_vnni)
        table->types |= 1u << KERNEL_U8;
    avx512_gemm(table);
    avx512_depthwise(table);
    avx512_winograd(table);
    avx512_elementwise(table);
}
