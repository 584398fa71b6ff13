/* The kernels over elements and the pooling of AVX-512. */
#include "core/kernels/avx512/avx512.h"

#include "core/kernels/simd/elementwise.h"
#include "core/kernels/simd/norm.h"
#include "core/kernels/simd/pool.h"

void avx512_elementwise(struct kernel_table *table)
{
    void (*to_bf16)(const float *, uint16_t *, size_t) = table->to_bf16;

    simd_elementwise(table);
    if ((table->types & 1u << KERNEL_BF16) == 0)
        table->to_bf16 = to_bf16;
    simd_norm(table);
    simd_pool(table);
}
