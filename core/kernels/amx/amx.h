/* The parts of the AMX table: matrix products of bf16 and of u8 x s8 on tile registers, 16 rows of 64 bytes each.  All
 * else, float32 above all, is that of AVX-512.
 *
 * A tile product takes 16 cycles for 16 x 16 sums of 32 bf16 or 64 u8 products each: eight times what a vector unit
 * does. So a block of C is two tiles by two (32 x 32), each tile that is loaded serves two products, and everything
 * around the products counts: A is read in place, and a K that is no multiple of a tile's row ends with a tile that
 * overlaps the one before it, its weights zero where they were counted already.
 */
#ifndef INFOMASK_KERNELS_AMX_AMX_H
#define INFOMASK_KERNELS_AMX_AMX_H

#include <stdbool.h>

#include "core/kernels/kernels.h"

enum { TILE_ROWS = 16, TILE_BYTES = 1024, TILE_ROW_BYTES = 64, BLOCK_ROWS = 32, PANEL = 32, PANEL_WIDE = 32 };

/* Elements of K in 32 bits. */
static inline int step_elements(enum kernel_type type) { return type == KERNEL_F32 ? 1 : type == KERNEL_BF16 ? 2 : 4; }

static inline int panels_of(int n) { return (n + PANEL - 1) / PANEL; }

/* How a product walks through K: `parts` runs of part_k elements, each in `steps` tiles.  Packed weights are
 * [panel][part][step][tile] of 1024 bytes, a tile being [16][16 columns] of 32 bits; a panel has two tiles a step, the
 * last one perhaps one. */
struct amx_walk {
    int parts, part_k, steps;
    int last;    /* element of a part at which its last tile begins */
    int w_rows;  /* rows of a tile of W that are used: 16 but where all of K is shorter than a tile */
    bool staged; /* rows of A are copied first, all segments side by side with zeros behind them: a single part */
};

#define AMX_STAGED_BYTES 1024 /* of a row of A at most */

static inline struct amx_walk amx_walk_of(const struct kernel_weights *w)
{
    const int per = step_elements(w->type), whole = 16 * per;
    struct amx_walk walk = {.parts = w->segments, .part_k = w->segment_k, .w_rows = 16};

    walk.staged = w->segment_k < whole && (w->segments > 1 || w->segment_k % per != 0);
    if (walk.staged) {
        walk.part_k = w->segments * w->segment_k;
        walk.parts = 1;
    }
    walk.steps = (walk.part_k + whole - 1) / whole;
    walk.last = walk.staged || walk.part_k < whole ? (walk.steps - 1) * whole : walk.part_k - whole;
    if (!walk.staged && walk.part_k < whole)
        walk.w_rows = walk.part_k / per;
    return walk;
}

static inline int amx_panel_tiles(const struct kernel_weights *w, int panel)
{
    return w->n - panel * PANEL > 16 ? 2 : 1;
}

/* Bytes from one panel to the next. */
static inline ptrdiff_t amx_panel_bytes(const struct amx_walk *walk)
{
    return (ptrdiff_t)walk->parts * walk->steps * 2 * TILE_BYTES;
}

/* The sums of each column's weights (U8), behind the panels. */
static inline int32_t *amx_column_sums(const struct kernel_weights *w, const struct amx_walk *walk)
{
    return (int32_t *)(void *)((char *)w->data + panels_of(w->n) * amx_panel_bytes(walk));
}

/* Products that tiles are for; AVX-512 takes the others: float32, and windows of many rows of next to nothing. */
static inline bool amx_takes(enum kernel_type type, int segments, int segment_k)
{
    const int whole = 16 * step_elements(type);
    return type != KERNEL_F32 &&
           (segment_k >= whole || (size_t)segments * (size_t)segment_k <= AMX_STAGED_BYTES / 64 * (size_t)whole);
}

void amx_pack_fill(struct kernel_table *table);
void amx_gemm_fill(struct kernel_table *table);

#endif
