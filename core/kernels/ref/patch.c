/* Distances of patches and what patches say of a pixel, byte by byte. */
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

void ref_patch_votes(const uint8_t *pixels, const uint32_t *field, const float *weight, size_t at, size_t row,
                     int first, int last, float sum[5])
{
    float part[KERNEL_PATCH + 1][5] = {{0}};

    for (int dy = first; dy <= last; dy++)
        for (size_t k = 0; k < KERNEL_PATCH; k++) {
            size_t t = (size_t)((ptrdiff_t)at + dy * (ptrdiff_t)row) + k - KERNEL_PATCH / 2;
            const uint8_t *pixel = pixels + 4 * (field[t] + at - t);
            for (int c = 0; c < 4; c++)
                part[k][c] += weight[t] * pixel[c];
            part[k][4] += weight[t];
        }
    for (int c = 0; c < 5; c++)
        sum[c] = ((part[0][c] + part[4][c]) + (part[2][c] + part[6][c])) +
                 ((part[1][c] + part[5][c]) + (part[3][c] + part[7][c]));
}
