/* Packing and the loops around the micro-kernels.
 *
 * Packed weights are panels of 32 columns one after the other.  The last one is as wide as it must be, 8 to 48 columns:
 * one of 8 or 16 alone would do too little with each element of A, so it is part of the one before it.  A panel is
 * [segment][step][columns] of 32 bits: one f32, two bf16 or four s8 that meet in one sum.  After the panels (U8) come
 * the sums of each column's weights.
 */
#include "core/kernels/avx512/gemm.h"

#include <math.h>

#include "core/base/arena.h"
#include "core/base/checked.h"
#include "core/kernels/number.h"

/* Elements that a step takes of a row of A. */
static int per_step(enum kernel_type type) { return type == KERNEL_F32 ? 1 : type == KERNEL_BF16 ? 2 : 4; }

static ptrdiff_t steps_of(const struct kernel_weights *w)
{
    const int per = per_step(w->type);
    return (ptrdiff_t)w->segments * ((w->segment_k + per - 1) / per);
}

static int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static int panels_of(int n)
{
    const int rest = n % PANEL;
    return n / PANEL + (rest > PANEL_WIDE - PANEL || (rest > 0 && n < PANEL));
}

/* The columns of a panel, and what it is padded to. */
static int panel_columns(const struct kernel_weights *w, int panel)
{
    return panel == w->panels - 1 ? w->n - panel * PANEL : PANEL;
}

static int panel_width(const struct kernel_weights *w, int panel) { return round_up(panel_columns(w, panel), 8); }

static int panel_of(const struct kernel_weights *w, int n) { return n / PANEL < w->panels ? n / PANEL : w->panels - 1; }

/* ---- packing ----------------------------------------------------------------------------------------------------- */

/* One element of the packed weights: row k of segment s of column n. */
static void put(struct kernel_weights *weights, int s, int k, int n, float value)
{
    const int per = per_step(weights->type), panel = panel_of(weights, n), first = panel * PANEL;
    const int width = panel_width(weights, panel);
    const size_t segment_steps = (size_t)((weights->segment_k + per - 1) / per);
    const size_t step = (size_t)s * segment_steps + (size_t)(k / per);
    char *at = (char *)weights->data +
               4 * ((size_t)first * (size_t)steps_of(weights) + step * (size_t)width + (size_t)(n - first));

    if (weights->type == KERNEL_F32) {
        memcpy(at, &value, sizeof value);
    } else if (weights->type == KERNEL_BF16) {
        const uint16_t bits = number_to_bf16(value);
        memcpy(at + 2 * (k % 2), &bits, sizeof bits);
    } else {
        const int8_t q = (int8_t)lrintf(value / weights->scale[n]);
        memcpy(at + k % 4, &q, sizeof q);
    }
}

static float column_scale(const float *column, size_t k)
{
    float largest = 0;
    for (size_t i = 0; i < k; i++)
        largest = fmaxf(largest, fabsf(column[i]));
    return largest > 0 ? largest / 127 : 1;
}

static int32_t *column_sums(const struct kernel_weights *w)
{
    return (int32_t *)w->data + round_up(w->n, PANEL) * steps_of(w);
}

/* Sums of the quantised weights of each column, from the packed form. */
static void sum_columns(const struct kernel_weights *weights, int32_t *sums)
{
    const ptrdiff_t steps = steps_of(weights);

    for (int n = 0; n < weights->n; n++) {
        const int panel = panel_of(weights, n), first = panel * PANEL, width = panel_width(weights, panel);
        const int8_t *at = (const int8_t *)weights->data + 4 * (first * steps + n - first);
        for (ptrdiff_t k = 0; k < steps; k++, at += 4 * width)
            sums[n] += at[0] + at[1] + at[2] + at[3];
    }
}

static enum infomask_status allocate(struct kernel_weights *weights, struct infomask_error *err)
{
    const size_t columns = (size_t)round_up(weights->n, PANEL);
    size_t words, bytes;

    if (!checked_mul(columns, (size_t)steps_of(weights) + 1, &words) || !checked_mul(words, 4, &bytes))
        return error_set(err, INFOMASK_LIMIT, "a layer's weights are too large");
    weights->data = aligned_new(bytes);
    weights->bias = aligned_new(columns * sizeof(float));
    weights->scale = weights->type == KERNEL_U8 ? aligned_new(columns * sizeof(float)) : NULL;
    weights->bytes = bytes;
    if (weights->data == NULL || weights->bias == NULL || (weights->type == KERNEL_U8 && weights->scale == NULL))
        return error_set(err, INFOMASK_MEMORY, "no memory for a layer's weights");
    memset(weights->data, 0, bytes);
    memset(weights->bias, 0, columns * sizeof(float));
    if (weights->scale != NULL)
        memset(weights->scale, 0, columns * sizeof(float));
    return INFOMASK_OK;
}

enum infomask_status avx512_pack(struct kernel_weights *weights, enum kernel_type type, const float *w,
                                 const float *bias, int segments, int segment_k, int n, struct infomask_error *err)
{
    const size_t k_all = (size_t)segments * (size_t)segment_k;
    enum infomask_status status;

    *weights = (struct kernel_weights){.type = type, .segments = segments, .segment_k = segment_k, .n = n,
                                       .panels = panels_of(n), .panel_columns = PANEL};
    /* the sum of K products of u8 and s8 must fit 32 bits */
    if (type == KERNEL_U8 && k_all > INT32_MAX / (255 * 127))
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "a layer of %zu inputs is too deep for int8", k_all);
    status = allocate(weights, err);
    if (status != INFOMASK_OK) {
        kernel_weights_fini(weights);
        return status;
    }
    if (bias != NULL)
        memcpy(weights->bias, bias, (size_t)n * sizeof *bias);
    for (int column = 0; column < n; column++) {
        const float *from = w + (size_t)column * k_all;
        if (type == KERNEL_U8)
            weights->scale[column] = column_scale(from, k_all);
        for (int s = 0; s < segments; s++)
            for (int k = 0; k < segment_k; k++)
                put(weights, s, k, column, *from++);
    }
    if (type == KERNEL_U8)
        sum_columns(weights, column_sums(weights));
    return INFOMASK_OK;
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

size_t avx512_gemm_scratch(const struct kernel_gemm *gemm)
{
    (void)gemm;
    return 0;
}

static tile_function *tiles_for(enum kernel_type type, int width)
{
    tile_function *const *tiles =
        type == KERNEL_F32 ? avx512_tiles_f32 : type == KERNEL_BF16 ? avx512_tiles_bf16 : avx512_tiles_u8;
    return tiles[(unsigned)(width - 1) / 8 % TILE_WIDTHS];
}

/* What all tiles of a call have in common. */
static struct tile tile_of(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    const int per = per_step(w->type);

    return (struct tile){.a_row = g->a_row * element_size(w->type), .a_segment = g->a_segment * element_size(w->type),
                         .segments = w->segments, .steps = w->segment_k / per, .rest = w->segment_k % per,
                         .a_scale = g->a_scale, .a_zero = g->a_zero, .c_row = g->c_row * element_size(g->out),
                         .residual_row = g->residual_row * element_size(g->out), .out = g->out,
                         .epilogue = &g->epilogue, .out_scale = g->c_scale, .out_zero = g->c_zero};
}

/* Rows [m0, m1) of one panel, in tiles of nearly equal height: a last tile of one or two rows would wait for the
 * multiplier's latency. */
static void panel_rows(const struct kernel_gemm *g, struct tile *t, int panel, int m0, int m1)
{
    const struct kernel_weights *w = g->weights;
    const int first = panel * PANEL, columns = panel_columns(w, panel), width = round_up(columns, 8);
    const int highest = width > PANEL ? TILE_ROWS_WIDE : TILE_ROWS;
    const ptrdiff_t column = first * element_size(g->out);
    tile_function *run = tiles_for(w->type, width);

    if (w->type == KERNEL_U8) {
        t->column_sum = column_sums(w) + first;
        t->scale = w->scale + first;
    }
    t->columns = columns;
    t->w = (const char *)w->data + 4 * first * steps_of(w);
    t->bias = w->bias + first;
    for (int m = m0, rows; m < m1; m += rows) {
        const int tiles = (m1 - m + highest - 1) / highest;
        rows = (m1 - m + tiles - 1) / tiles;
        t->a = (const char *)g->a + m * t->a_row;
        t->c = (char *)g->c + m * t->c_row + column;
        t->residual = g->residual == NULL ? NULL : (const char *)g->residual + m * t->residual_row + column;
        run(t, rows);
    }
}

/* Rows that go through all panels before the next ones.  While the packed weights fit half of a second-level cache it
 * is one tile, so that A and C are walked once; else as many rows as fit there beside a panel, so that the weights are
 * read as seldom as can be. */
static int block_rows(const struct kernel_gemm *g)
{
    const ptrdiff_t k = steps_of(g->weights) * 4, cache = 512 << 10;
    const ptrdiff_t weights = k * round_up(g->weights->n, 8);
    ptrdiff_t rows;

    if (weights <= cache / 2)
        return TILE_ROWS;
    rows = cache / k / TILE_ROWS * TILE_ROWS;
    return rows < TILE_ROWS ? TILE_ROWS : rows > 1 << 20 ? 1 << 20 : (int)rows;
}

void avx512_gemm(const struct kernel_gemm *gemm)
{
    const int block = block_rows(gemm);
    struct tile t = tile_of(gemm);

    for (int m = 0; m < gemm->m; m += block) {
        const int end = gemm->m - m < block ? gemm->m : m + block;
        for (int panel = gemm->panel0; panel < gemm->panel1; panel++)
            panel_rows(gemm, &t, panel, m, end);
    }
}
