/* The kernels over elements and the pooling of arm64's Advanced SIMD. */
#include "core/kernels/neon/neon.h"

#include "core/kernels/simd/elementwise.h"
#include "core/kernels/simd/norm.h"
#include "core/kernels/simd/pool.h"

void neon_elementwise(struct kernel_table *table)
{
    simd_elementwise(table);
    simd_norm(table);
    simd_pool(table);
}
