/* AVX-512 (F, BW, DQ, VL; BF16 and VNNI where the processor has them): the slots that this set overrides. */
#include "core/base/cpu.h"
#include "core/kernels/avx512/gemm.h"

void kernels_avx512_fill(struct kernel_table *table)
{
    table->types = 1u << KERNEL_F32;
    if (cpu_features()->avx512_bf16)
        table->types |= 1u << KERNEL_BF16;
    if (cpu_features()->avx512_vnni)
        table->types |= 1u << KERNEL_U8;
    table->gemm_tile = TILE_ROWS;
    table->gemm_segments = true;
    table->pack = avx512_pack;
    table->gemm = avx512_gemm;
    table->gemm_scratch = avx512_gemm_scratch;
    table->depthwise = avx512_depthwise;
    avx512_elementwise(table);
}
