/* AMX over AVX-512: the slots that this set overrides. */
#include "core/kernels/amx/amx.h"

void kernels_amx_fill(struct kernel_table *table)
{
    table->types |= 1u << KERNEL_BF16 | 1u << KERNEL_U8;
    table->then = 1u << KERNEL_F32;
    table->gemm_tile[KERNEL_BF16] = table->gemm_tile[KERNEL_U8] = BLOCK_ROWS;
    amx_pack_fill(table);
    amx_gemm_fill(table);
}
