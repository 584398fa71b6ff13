/* Packing and the loops around the micro-kernels, for any instruction set whose tile.h came before, and that has told
 *     step_of(w, s8)        elements that a step takes of a row of A (pack.h)
 *     tile_for(w, width)    the micro-kernel for a panel padded to that width, a multiple of 8
 *
 * Packed weights are panels of PANEL columns one after the other.  The last one is as wide as it must be, up to
 * PANEL_WIDE: a narrow one alone would do too little with each element of A, so it is part of the one before it.  A
 * panel is [segment][step][columns] of 32 bits: one f32, two bf16, four s8 or two s16 that meet in one sum.
 */
#ifndef INFOMASK_KERNELS_SIMD_GEMM_H
#define INFOMASK_KERNELS_SIMD_GEMM_H

#include <unistd.h>

static int panels_of(int n)
{
    const int rest = n % PANEL;
    return n / PANEL + (rest > PANEL_WIDE - PANEL || (rest > 0 && n < PANEL));
}

#include "core/kernels/simd/ahead.h"
#include "core/kernels/simd/pack.h"

/* Steps of one segment, and of all. */
static ptrdiff_t segment_steps(const struct kernel_weights *w)
{
    return (w->segment_k + w->step - 1) / w->step;
}

static ptrdiff_t steps_of(const struct kernel_weights *w) { return w->segments * segment_steps(w); }

static int panel_of(const struct kernel_weights *w, int n) { return n / PANEL < w->panels ? n / PANEL : w->panels - 1; }

/* The columns of a panel, and what it is padded to. */
static int panel_columns(const struct kernel_weights *w, int panel)
{
    return panel == w->panels - 1 ? w->n - panel * PANEL : PANEL;
}

static int panel_width(const struct kernel_weights *w, int panel) { return round_up(panel_columns(w, panel), 8); }

static int32_t *column_sums(const struct kernel_weights *w)
{
    return (int32_t *)w->data + round_up(w->n, PANEL) * steps_of(w);
}

static bool packed_words(const struct kernel_weights *weights, size_t *words)
{
    return checked_mul((size_t)round_up(weights->n, PANEL), (size_t)steps_of(weights), words);
}

/* The float32 of a column, a line apart. */
static void pack_f32(const float *from, ptrdiff_t count, ptrdiff_t line, char *to)
{
    for (ptrdiff_t k = 0; k < count; k++)
        memcpy(to + k * line, from + k, sizeof *from);
}

static void pack_column(const struct kernel_weights *weights, int n, struct column from)
{
    const int panel = panel_of(weights, n), first = panel * PANEL, per = weights->step;
    const ptrdiff_t line = 4 * panel_width(weights, panel);
    char *to = (char *)weights->data + 4 * (first * steps_of(weights) + n - first);
    int32_t sum = 0;

    if (weights->type == KERNEL_F32) {
        pack_f32(from.f32, steps_of(weights), line, to);
        return;
    }
    for (int s = 0; s < weights->segments; s++, to += segment_steps(weights) * line) {
        for (int k = 0; k < weights->segment_k; k++) {
            const float value = column_next(&from, weights, n);
            put(weights, to + k / per * line, k % per, value);
            if (weights->type == KERNEL_U8)
                sum += (int32_t)value;
        }
    }
    if (weights->type == KERNEL_U8)
        column_sums(weights)[n] = sum;
}

#include "core/kernels/simd/operand.h"

/* ---- loops ------------------------------------------------------------------------------------------------------- */

static size_t simd_gemm_scratch(const struct kernel_gemm *gemm)
{
    (void)gemm;
    return 0;
}

/* What all tiles of a call have in common. */
static struct tile tile_of(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    const int per = w->step;

    return (struct tile){.a_row = g->a_row * element_size(w->type), .a_segment = g->a_segment * element_size(w->type),
                         .segments = w->segments, .steps = w->segment_k / per, .rest = w->segment_k % per,
                         .a_scale = g->a_scale, .a_zero = g->a_zero, .c_row = g->c_row * element_size(g->out),
                         .residual_row = g->residual_row * element_size(g->out), .out = g->out,
                         .epilogue = &g->epilogue, .then = g->then, .out_scale = g->c_scale, .out_zero = g->c_zero};
}

/* The next rows of `left`, in parts of at most `most` and of nearly equal height: a last one of one or two rows would
 * wait for the multiplier's latency. */
static int rows_of(int left, int most)
{
    const int parts = (left + most - 1) / most;
    return (left + parts - 1) / parts;
}

/* Has the first-level cache 8 ways, as most have had, and not 12?  Set before the table is there. */
static bool few_ways = true;

static void ask_ways(void)
{
#ifdef _SC_LEVEL1_DCACHE_ASSOC
    few_ways = sysconf(_SC_LEVEL1_DCACHE_ASSOC) < 12;
#endif
}

/* Rows of a tile at most.  Those that lie a multiple of 4 KB apart share a set of the first-level cache: more of them
 * than it has ways drive each other out with every step.  (14 in 12 ways do no harm.) */
static int tile_height(const struct tile *t, int width)
{
    const int most = width > PANEL ? TILE_ROWS_WIDE : width <= 8 ? TILE_ROWS_NARROW : TILE_ROWS;
    return few_ways && most > 8 && t->a_row % 4096 == 0 ? 7 : most;
}

/* Rows [m0, m1) of one panel. */
static void panel_rows(const struct kernel_gemm *g, struct tile *t, struct ahead *ahead, int panel, int m0, int m1)
{
    const struct kernel_weights *w = g->weights;
    const int first = panel * PANEL, columns = panel_columns(w, panel), width = round_up(columns, 8);
    const int highest = tile_height(t, width);
    const ptrdiff_t column = first * element_size(g->out);
    tile_function *run = tile_for(w, width);
    const char *end;

    if (w->type == KERNEL_U8) {
        t->column_sum = column_sums(w) + first;
        t->scale = w->scale + first;
    }
    t->columns = columns;
    t->column = first;
    t->w = (const char *)w->data + 4 * first * steps_of(w);
    t->bias = w->bias + first;
    end = t->w + 4 * width * steps_of(w); /* the next panel, or the next layer's weights */
    t->next = end;
    end += end - t->w;
    for (int m = m0, rows; m < m1; m += rows) {
        rows = rows_of(m1 - m, highest);
        t->a = (const char *)g->a + m * t->a_row;
        t->c = (char *)g->c + m * t->c_row + column;
        t->residual = g->residual == NULL ? NULL : (const char *)g->residual + m * t->residual_row + column;
        if (g->then != NULL && g->then->addend != NULL)
            t->addend = (const char *)g->then->addend +
                        (m * g->then->addend_row + first) * element_size(g->then->addend_type);
        run(t, rows);
        ahead_fetch(ahead);
        t->next = t->next < end ? t->next + steps_of(w) / 4 * NEXT_BYTES : t->w;
    }
}

/* Rows that go through all panels before the next ones.  While the packed weights fit half of a second-level cache it
 * is one tile, so that A and C are walked once, or a few, so that there is time to bring the next panel near; else as
 * many rows as fit there beside a panel, so that the weights are read as seldom as can be. */
static int block_rows(const struct kernel_gemm *g)
{
    const ptrdiff_t k = steps_of(g->weights) * 4, cache = 512 << 10;
    const ptrdiff_t weights = k * round_up(g->weights->n, 8);
    ptrdiff_t rows;

    if (g->panel1 - g->panel0 == 1)
        return 1 << 20;
    if (weights <= cache / 2)
        return weights <= cache / 8 ? TILE_ROWS : 4 * TILE_ROWS;
    rows = cache / k / TILE_ROWS * TILE_ROWS;
    return rows < TILE_ROWS ? TILE_ROWS : rows > 1 << 20 ? 1 << 20 : (int)rows;
}

static void simd_gemm(const struct kernel_gemm *gemm)
{
    const int block = block_rows(gemm);
    struct tile t = tile_of(gemm);
    struct ahead ahead = ahead_of(gemm, TILE_ROWS);

    for (int m = 0, rows; m < gemm->m; m += rows) {
        rows = rows_of(gemm->m - m, block);
        for (int panel = gemm->panel0; panel < gemm->panel1; panel++)
            panel_rows(gemm, &t, &ahead, panel, m, m + rows);
    }
}

static void simd_gemm_fill(struct kernel_table *table)
{
    ask_ways();
    for (int type = 0; type < KERNEL_TYPES; type++)
        table->gemm_tile[type] = TILE_ROWS;
    table->gemm_segments = true;
    table->then = 1u << KERNEL_F32 | 1u << KERNEL_U8;
    table->pack = simd_pack;
    table->pack_s8 = simd_pack_s8;
    table->operand_bytes = simd_operand_bytes;
    table->pack_operand = simd_pack_operand;
    table->scale_inputs = simd_scale_inputs;
    table->winograd_filters = simd_winograd_filters;
    table->gemm = simd_gemm;
    table->gemm_scratch = simd_gemm_scratch;
}

#endif
