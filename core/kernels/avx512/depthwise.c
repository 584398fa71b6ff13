/* The depthwise convolution of AVX-512. */
#include "core/kernels/avx512/gemm.h"
#include "core/kernels/simd/depthwise.h"

DEPTHWISE_TILES(depthwise_3_1, 3, 1)
DEPTHWISE_TILES(depthwise_3_2, 3, 2)
DEPTHWISE_TILES(depthwise_5_1, 5, 1)
DEPTHWISE_TILES(depthwise_5_2, 5, 2)
DEPTHWISE_TILES(depthwise_7_1, 7, 1)
DEPTHWISE_TILES(depthwise_7_2, 7, 2)

void avx512_depthwise(const struct kernel_depthwise *d)
{
    static const struct depthwise_tiles *const all[] = {&depthwise_3_1, &depthwise_3_2, &depthwise_5_1,
                                                        &depthwise_5_2, &depthwise_7_1, &depthwise_7_2};
    const struct depthwise_tiles *tiles = NULL;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (d->kernel_h == all[i]->k && d->kernel_w == all[i]->k && d->stride_h == all[i]->stride &&
            d->stride_w == all[i]->stride && d->dilation_h == 1 && d->dilation_w == 1)
            tiles = all[i];
    depthwise_all(tiles, d);
}
