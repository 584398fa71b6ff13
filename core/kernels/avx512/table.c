/* AVX-512 (F, BW, DQ, VL, VNNI, BF16): which slots of the kernel table this set overrides. */
#include "core/kernels/kernels.h"

void kernels_avx512_fill(struct kernel_table *table)
{
    (void)table;
}
