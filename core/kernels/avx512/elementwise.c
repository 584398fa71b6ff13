/* The kernels over elements and the pooling of AVX-512. */
#include "core/kernels/avx512/avx512.h"

#include "core/kernels/simd/elementwise.h"
#include "core/kernels/simd/pool.h"

void avx512_elementwise(struct kernel_table *table)
{
    simd_elementwise(table);
    simd_pool(table);
}
