/* Packing and the loops around the micro-kernels, for any instruction set whose tile.h came before, and that has told
 *     step_elements(type)   elements that a step takes of a row of A
 *     tile_for(type, width) the micro-kernel for a panel padded to that width, a multiple of 8
 *
 * Packed weights are panels of PANEL columns one after the other.  The last one is as wide as it must be, up to
 * PANEL_WIDE: a narrow one alone would do too little with each element of A, so it is part of the one before it.  A
 * panel is [segment][step][columns] of 32 bits: one f32, two bf16, four s8 or two s16 that meet in one sum.  After the
 * panels (U8) come the sums of each column's weights.
 */
#ifndef INFOMASK_KERNELS_SIMD_GEMM_H
#define INFOMASK_KERNELS_SIMD_GEMM_H

#include <math.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/checked.h"
#include "core/kernels/number.h"

/* Steps of one segment, and of all. */
static ptrdiff_t segment_steps(const struct kernel_weights *w)
{
    const int per = step_elements(w->type);
    return (w->segment_k + per - 1) / per;
}

static ptrdiff_t steps_of(const struct kernel_weights *w) { return w->segments * segment_steps(w); }

static int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static int panels_of(int n)
{
    const int rest = n % PANEL;
    return n / PANEL + (rest > PANEL_WIDE - PANEL || (rest > 0 && n < PANEL));
}

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

/* ---- packing ----------------------------------------------------------------------------------------------------- */

static float column_scale(const float *column, size_t k)
{
    float largest = 0;
    for (size_t i = 0; i < k; i++)
        largest = fmaxf(largest, fabsf(column[i]));
    return largest > 0 ? largest / 127 : 1;
}

/* Element `at` of the 32 bits of a step. */
static void put(enum kernel_type type, char *bits, int at, float value)
{
    if (type == KERNEL_F32) {
        memcpy(bits, &value, sizeof value);
    } else if (type == KERNEL_BF16) {
        const uint16_t narrow = number_to_bf16(value);
        memcpy(bits + 2 * at, &narrow, sizeof narrow);
    } else if (step_elements(type) == 4) {
        const int8_t q = (int8_t)value;
        memcpy(bits + at, &q, sizeof q);
    } else {
        const int16_t q = (int16_t)value;
        memcpy(bits + 2 * at, &q, sizeof q);
    }
}

/* The weights of a column, as float32 or (U8 only) quantised already. */
struct column {
    const float *f32;
    const int8_t *s8;
};

static void pack_column(const struct kernel_weights *weights, int n, struct column from)
{
    const int panel = panel_of(weights, n), first = panel * PANEL, per = step_elements(weights->type);
    const ptrdiff_t line = 4 * panel_width(weights, panel);
    char *to = (char *)weights->data + 4 * (first * steps_of(weights) + n - first);
    int32_t sum = 0;

    for (int s = 0; s < weights->segments; s++, to += segment_steps(weights) * line) {
        for (int k = 0; k < weights->segment_k; k++) {
            float value = from.s8 != NULL ? (float)*from.s8++ : *from.f32++;
            if (weights->type == KERNEL_U8) {
                value = from.s8 != NULL ? value : rintf(value / weights->scale[n]);
                sum += (int32_t)value;
            }
            put(weights->type, to + k / per * line, k % per, value);
        }
    }
    if (weights->type == KERNEL_U8)
        column_sums(weights)[n] = sum;
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

/* Everything but the columns. */
static enum infomask_status pack_frame(struct kernel_weights *weights, enum kernel_type type, const float *bias,
                                       int segments, int segment_k, int n, struct infomask_error *err)
{
    const size_t k_all = (size_t)segments * (size_t)segment_k;
    enum infomask_status status;

    *weights = (struct kernel_weights){.type = type, .segments = segments, .segment_k = segment_k, .n = n,
                                       .panels = panels_of(n), .panel_columns = PANEL};
    /* the sum of K products of u8 and s8 must fit 32 bits */
    if (type == KERNEL_U8 && k_all > INT32_MAX / (255 * 127))
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "a layer of %zu inputs is too deep for int8", k_all);
    status = allocate(weights, err);
    if (status != INFOMASK_OK)
        kernel_weights_fini(weights);
    else if (bias != NULL)
        memcpy(weights->bias, bias, (size_t)n * sizeof *bias);
    return status;
}

static enum infomask_status simd_pack(struct kernel_weights *weights, enum kernel_type type, const float *w,
                                      const float *bias, int segments, int segment_k, int n, struct infomask_error *err)
{
    const size_t k_all = (size_t)segments * (size_t)segment_k;
    enum infomask_status status = pack_frame(weights, type, bias, segments, segment_k, n, err);

    for (int column = 0; column < n && status == INFOMASK_OK; column++) {
        const float *from = w + (size_t)column * k_all;
        if (type == KERNEL_U8)
            weights->scale[column] = column_scale(from, k_all);
        pack_column(weights, column, (struct column){.f32 = from});
    }
    return status;
}

static enum infomask_status simd_pack_s8(struct kernel_weights *weights, const int8_t *w, const float *scale,
                                         const float *bias, int segments, int segment_k, int n,
                                         struct infomask_error *err)
{
    const size_t k_all = (size_t)segments * (size_t)segment_k;
    enum infomask_status status = pack_frame(weights, KERNEL_U8, bias, segments, segment_k, n, err);

    for (int column = 0; column < n && status == INFOMASK_OK; column++) {
        weights->scale[column] = scale[column];
        pack_column(weights, column, (struct column){.s8 = w + (size_t)column * k_all});
    }
    return status;
}

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
    const int per = step_elements(w->type);

    return (struct tile){.a_row = g->a_row * element_size(w->type), .a_segment = g->a_segment * element_size(w->type),
                         .segments = w->segments, .steps = w->segment_k / per, .rest = w->segment_k % per,
                         .a_scale = g->a_scale, .a_zero = g->a_zero, .c_row = g->c_row * element_size(g->out),
                         .residual_row = g->residual_row * element_size(g->out), .out = g->out,
                         .epilogue = &g->epilogue, .out_scale = g->c_scale, .out_zero = g->c_zero};
}

/* What a tile brings near of what will be read next. */
struct ahead {
    const char *at, *end;
    ptrdiff_t step; /* bytes a tile */
};

static struct ahead ahead_of(const struct kernel_gemm *g)
{
    const ptrdiff_t tiles = (ptrdiff_t)((g->m + TILE_ROWS - 1) / TILE_ROWS) * (g->panel1 - g->panel0);
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
        _mm_prefetch(ahead->at, _MM_HINT_T1);
}

/* Rows [m0, m1) of one panel, in tiles of nearly equal height: a last tile of one or two rows would wait for the
 * multiplier's latency. */
static void panel_rows(const struct kernel_gemm *g, struct tile *t, struct ahead *ahead, int panel, int m0, int m1)
{
    const struct kernel_weights *w = g->weights;
    const int first = panel * PANEL, columns = panel_columns(w, panel), width = round_up(columns, 8);
    const int highest = width > PANEL ? TILE_ROWS_WIDE : TILE_ROWS;
    const ptrdiff_t column = first * element_size(g->out);
    tile_function *run = tile_for(w->type, width);

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
        ahead_fetch(ahead);
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

static void simd_gemm(const struct kernel_gemm *gemm)
{
    const int block = block_rows(gemm);
    struct tile t = tile_of(gemm);
    struct ahead ahead = ahead_of(gemm);

    for (int m = 0; m < gemm->m; m += block) {
        const int end = gemm->m - m < block ? gemm->m : m + block;
        for (int panel = gemm->panel0; panel < gemm->panel1; panel++)
            panel_rows(gemm, &t, &ahead, panel, m, end);
    }
}

static void simd_gemm_fill(struct kernel_table *table)
{
    table->gemm_tile = TILE_ROWS;
    table->gemm_segments = true;
    table->pack = simd_pack;
    table->pack_s8 = simd_pack_s8;
    table->gemm = simd_gemm;
    table->gemm_scratch = simd_gemm_scratch;
}

#endif
