/* Distances of patches, byte by byte. */
#include "core/kernels/ref/ref.h"

uint32_t ref_patch_distance(const uint8_t *a, const uint8_t *b, ptrdiff_t row, const uint8_t *counts, uint32_t stop)
{
    uint32_t sum = 0;

    for (int y = 0; y < KERNEL_PATCH && sum < stop; y++)
        for (ptrdiff_t at = y * row; at < y * row + 4 * KERNEL_PATCH; at++) {
            int d = a[at] - b[at];
            sum += counts == NULL || counts[at] != 0 ? (uint32_t)(d * d) : 0;
        }
    return sum;
}
