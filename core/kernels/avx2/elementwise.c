/* The kernels over elements and the pooling of AVX2. */
#include "core/kernels/avx2/avx2.h"

#include "core/kernels/simd/elementwise.h"
#include "core/kernels/simd/norm.h"
#include "core/kernels/simd/pool.h"

void avx2_elementwise(struct kernel_table *table)
{
    simd_elementwise(table);
    simd_norm(table);
    simd_pool(table);
}
