/* What a matrix product brings near of what will be read next, a part with each tile. */
#ifndef INFOMASK_KERNELS_SIMD_AHEAD_H
#define INFOMASK_KERNELS_SIMD_AHEAD_H

#include <stddef.h>

#include "core/kernels/kernels.h"

struct ahead {
    const char *at, *end;
    ptrdiff_t step; /* bytes a tile */
};

static struct ahead ahead_of(const struct kernel_gemm *g, int tile_rows)
{
    const ptrdiff_t tiles = (ptrdiff_t)((g->m + tile_rows - 1) / tile_rows) * (g->panel1 - g->panel0);
    struct ahead ahead = {g->ahead, g->ahead, 0};

    if (g->ahead != NULL && tiles > 0) {
        ahead.end = ahead.at + g->ahead_bytes;
        ahead.step = ((ptrdiff_t)g->ahead_bytes / tiles + 64) / 64 * 64;
    }
    return ahead;
}

static void ahead_fetch(struct ahead *ahead)
{
    const char *stop = ahead->end - ahead->at < ahead->step ? ahead->end : ahead->at + ahead->step;

    for (; ahead->at < stop; ahead->at += 64)
        __builtin_prefetch(ahead->at, 0, 2);
}

#endif
