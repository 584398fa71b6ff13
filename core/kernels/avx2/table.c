/* AVX2 + FMA: which slots of the kernel table this set overrides. */
#include "core/kernels/kernels.h"

void kernels_avx2_fill(struct kernel_table *table)
{
    (void)table;
}
