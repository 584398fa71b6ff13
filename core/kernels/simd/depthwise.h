/* Depthwise convolution on vectors of channels, for any instruction set whose vector.h came before:
 * simd_depthwise.
 *
 * Windows 3, 5 and 7 columns wide with stride 1 or 2 along the line and no dilation there have kernels of their own,
 * and those one column wide: a tile of adjacent outputs is held in registers, and each input pixel is loaded once and
 * goes to all outputs that it touches.  Columns outside the picture are jumped over in the tiles at the edges, rows
 * outside are left out of the loop.  A last tile that would not fit is moved back over the one before it: an output is
 * a function of its inputs only, so what is written twice is the same.  Other widths have tiles that load a pixel as
 * often as it is needed, away from the edges; everything else takes the plain path, one output at a time.
 * With scratch, large kernels work on copies of some lines of 16 channels, which have zeros beside them and no edges.
 */
#ifndef INFOMASK_KERNELS_SIMD_DEPTHWISE_H
#define INFOMASK_KERNELS_SIMD_DEPTHWISE_H

#include <math.h>

#include "core/kernels/simd/activation.h"
#include "core/kernels/simd/element.h"

enum { DEPTHWISE_OUTS = 8, DEPTHWISE_KERNEL = 7 };

/* Input and taps as a kernel walks them, from some channel on: the picture's own, or a copy of a part of it. */
struct depthwise_map {
    const float *x;       /* line `top` */
    const float *weights; /* the first tap */
    int top, w, pad_left;
    ptrdiff_t pixel; /* from pixel to pixel, and from tap to tap */
    ptrdiff_t line;  /* from line to line */
};

/* Channels [c0, c1) of one row of outputs. */
struct depthwise_row {
    const struct kernel_depthwise *d;
    struct depthwise_map map; /* from channel c0 on */
    const float *x;           /* the first input row that counts */
    const float *weights;     /* its row of taps */
    int taps;                 /* rows that count */
    char *y;
    int c0, c1;
};

/* Output `at` of a row, from its channel c on. */
INLINE char *depthwise_output(const struct depthwise_row *row, int at, int c)
{
    return row->y + ((ptrdiff_t)at * row->d->c + c) * element_size(row->d->out);
}

/* ---- what happens to the sums ------------------------------------------------------------------------------------ */

INLINE void depthwise_finish_as(enum kernel_activation kind, const struct kernel_depthwise *d, const float *sums,
                                int outs, float *y)
{
    for (int o = 0; o < outs; o++, y += d->c)
        vec_store(y, vec_activate_as(kind, vec_load(sums + o * LANES), &d->epilogue));
}

/* With what comes behind the activation, of the channels from c on. */
INLINE void depthwise_then_as(enum kernel_activation kind, const struct kernel_depthwise *d, const float *sums,
                              int outs, int c, char *y, vmask mask)
{
    const struct kernel_then *then = d->then;
    const ptrdiff_t size = element_size(d->out), pixel = (y - (char *)d->y) / (d->c * size);
    const vec inverse = vec_set(d->out == KERNEL_U8 ? 1 / d->y_scale : 1);

    for (int o = 0; o < outs; o++, y += d->c * size) {
        vec value = vec_activate_as(kind, vec_load(sums + o * LANES), &d->epilogue);
        if (then->first != NULL)
            value = vec_rounded(value, then->first);
        if (then->scale != NULL)
            value = vec_fma(value, vec_load_mask(then->scale + c, mask), vec_load_mask(then->shift + c, mask));
        if (then->addend != NULL)
            value = vec_add(value, element_addend(then, then->addend, pixel + o, c, mask));
        if (then->rounding != NULL)
            value = vec_rounded(value, then->rounding);
        element_store(d->out, y, value, mask, inverse, d->y_zero);
    }
}

/* Does nothing come behind the sums but a rounding? */
INLINE bool depthwise_rounds(const struct kernel_depthwise *d)
{
    const struct kernel_then *then = d->then;

    return d->epilogue.activation == KERNEL_CLAMP && d->epilogue.low == -INFINITY && d->epilogue.high == INFINITY &&
           then->rounding != NULL && then->first == NULL && then->scale == NULL && then->shift == NULL &&
           then->addend == NULL;
}

INLINE void depthwise_round_as(enum kernel_type out, const struct kernel_depthwise *d, const float *sums, int outs,
                               char *y, vmask mask)
{
    const struct kernel_rounding rounding = *d->then->rounding; /* y is not it */

    for (int o = 0; o < outs; o++, y += d->c * element_size(out))
        element_round(out, y, vec_load(sums + o * LANES), mask, &rounding, d->y_zero);
}

static __attribute__((noinline)) void depthwise_finish(const struct kernel_depthwise *d, const float *sums, int outs,
                                                       int c, bool tail, char *y, vmask mask)
{
    const vec inverse = vec_set(d->out == KERNEL_U8 ? 1 / d->y_scale : 1);

    if (d->then != NULL && depthwise_rounds(d)) {
        if (d->out == KERNEL_U8)
            depthwise_round_as(KERNEL_U8, d, sums, outs, y, mask);
        else
            depthwise_round_as(KERNEL_F32, d, sums, outs, y, mask);
        return;
    }
    if (d->then != NULL) {
        FOR_KIND(d->epilogue.activation, depthwise_then_as(KIND, d, sums, outs, c, y, mask))
        return;
    }
    if (d->out == KERNEL_F32 && !tail) {
        FOR_KIND(d->epilogue.activation, depthwise_finish_as(KIND, d, sums, outs, (float *)(void *)y))
        return;
    }
    for (int o = 0; o < outs; o++, y += d->c * element_size(d->out))
        element_store(d->out, y, vec_activate(vec_load(sums + o * LANES), &d->epilogue), mask, inverse, d->y_zero);
}

/* Channels from c on. */
INLINE void depthwise_store(int outs, bool tail, const struct kernel_depthwise *d, const vec *sum, int c, char *y,
                            vmask mask)
{
    if (d->out == KERNEL_F32 && d->epilogue.activation == KERNEL_CLAMP && d->then == NULL) {
        const vec low = vec_set(d->epilogue.low), high = vec_set(d->epilogue.high);
        float *to = (float *)(void *)y;
        UNROLL for (int o = 0; o < outs; o++, to += d->c) {
            if (tail)
                vec_store_mask(to, vec_clamp(sum[o], low, high), mask);
            else
                vec_store(to, vec_clamp(sum[o], low, high));
        }
    } else if (d->out == KERNEL_BF16 && d->epilogue.activation == KERNEL_CLAMP) {
        const vec low = vec_set(d->epilogue.low), high = vec_set(d->epilogue.high);
        uint16_t *to = (uint16_t *)(void *)y;
        UNROLL for (int o = 0; o < outs; o++, to += d->c)
            vec_store_bf16(to, vec_clamp(sum[o], low, high), mask);
    } else if (d->out == KERNEL_U8 && d->epilogue.activation == KERNEL_CLAMP && !tail && d->then == NULL) {
        const vec low = vec_set(d->epilogue.low), high = vec_set(d->epilogue.high), inverse = vec_set(1 / d->y_scale);
        uint8_t *to = (uint8_t *)y;
        UNROLL for (int o = 0; o < outs; o++, to += d->c)
            vec_store_u8(to, vec_mul(vec_clamp(sum[o], low, high), inverse), d->y_zero, mask_first(LANES));
    } else {
        float memory[DEPTHWISE_OUTS * LANES];
        UNROLL for (int o = 0; o < outs; o++)
            vec_store(memory + o * LANES, sum[o]);
        depthwise_finish(d, memory, outs, c, tail, y, mask);
    }
}

/* ---- narrow kernels ---------------------------------------------------------------------------------------------- */

/* Which of a tile's input columns lie outside the picture: as many as a centred kernel has beside its middle, on one
 * side or on both, which leaves the taps a loop without conditions; or any. */
enum depthwise_edge {
    DEPTHWISE_INNER,
    DEPTHWISE_LEFT,
    DEPTHWISE_RIGHT,
    DEPTHWISE_BOTH,
    DEPTHWISE_ANY,
    DEPTHWISE_EDGES
};

INLINE bool depthwise_outside(enum depthwise_edge edge, int k, int columns, int j, int first, int last)
{
    if (edge == DEPTHWISE_ANY)
        return j < first || j >= last;
    return ((edge & DEPTHWISE_LEFT) != 0 && j < k / 2) || ((edge & DEPTHWISE_RIGHT) != 0 && j >= columns - k / 2);
}

/* One row of taps over a tile whose first input pixel is x[at]; pixels [first, last) of it are inside the picture. */
INLINE void depthwise_taps(int k, int stride, int outs, enum depthwise_edge edge, bool tail, const float *x,
                           ptrdiff_t at, const float *w, ptrdiff_t pixel, int first, int last, vmask mask, vec *sum)
{
    const int columns = (outs - 1) * stride + k;
    vec weight[DEPTHWISE_KERNEL];

    UNROLL for (int kx = 0; kx < k; kx++, w += pixel)
        weight[kx] = tail ? vec_load_mask(w, mask) : vec_load(w);
    UNROLL for (int j = 0; j < columns; j++, at += pixel) {
        if (depthwise_outside(edge, k, columns, j, first, last))
            continue;
        const vec in = tail ? vec_load_mask(x + at, mask) : vec_load(x + at);
        UNROLL for (int kx = 0; kx < k; kx++)
            if (j >= kx && (j - kx) % stride == 0 && (j - kx) / stride < outs)
                sum[(j - kx) / stride] = vec_accumulate(sum[(j - kx) / stride], in, weight[kx]);
    }
}

/* Outputs [at, at + outs) of a row.  tail: fewer channels than a vector has lanes. */
INLINE void depthwise_tile(int k, int stride, int outs, enum depthwise_edge edge, bool tail,
                           const struct depthwise_row *row, int at)
{
    const struct kernel_depthwise *d = row->d;
    const int left = at * stride - row->map.pad_left;
    const ptrdiff_t pixel = row->map.pixel, line = row->map.line * d->dilation_h;

    for (int c = row->c0; c < row->c1; c += LANES) {
        const vmask mask = mask_first(tail ? row->c1 - c : LANES);
        const ptrdiff_t from = c - row->c0;
        vec sum[DEPTHWISE_OUTS];

        sum[0] = d->bias == NULL ? vec_zero() : tail ? vec_load_mask(d->bias + c, mask) : vec_load(d->bias + c);
        UNROLL for (int o = 1; o < outs; o++)
            sum[o] = sum[0];
        for (int tap = 0; tap < row->taps; tap++)
            depthwise_taps(k, stride, outs, edge, tail, row->x, tap * line + left * pixel + from,
                           row->weights + tap * k * pixel + from, pixel, -left, row->map.w - left, mask, sum);
        depthwise_store(outs, tail, d, sum, c, depthwise_output(row, at, c), mask);
    }
}

typedef void depthwise_function(const struct depthwise_row *row, int at);

/* The tiles of one kernel width and stride: 8, 7 and 4 outputs wide by what lies outside (NULL: as DEPTHWISE_ANY). */
struct depthwise_tiles {
    int k, stride;
    depthwise_function *tile[DEPTHWISE_EDGES][3], *edge1, *tail4, *tail1;
};

#define DEPTHWISE_TILE(name, k, stride, outs, edge, tail)                                \
    static __attribute__((noinline)) void name(const struct depthwise_row *row, int at) \
    {                                                                                    \
        depthwise_tile(k, stride, outs, edge, tail, row, at);                            \
    }
#define DEPTHWISE_WIDTHS(name, k, stride, edge)       \
    DEPTHWISE_TILE(name##_8, k, stride, 8, edge, false) \
    DEPTHWISE_TILE(name##_7, k, stride, 7, edge, false) \
    DEPTHWISE_TILE(name##_4, k, stride, 4, edge, false)
#define DEPTHWISE_COMMON(name, k, stride)                              \
    DEPTHWISE_WIDTHS(name##_inner, k, stride, DEPTHWISE_INNER)         \
    DEPTHWISE_WIDTHS(name##_any, k, stride, DEPTHWISE_ANY)             \
    DEPTHWISE_TILE(name##_edge1, k, stride, 1, DEPTHWISE_ANY, false)   \
    DEPTHWISE_TILE(name##_tail4, k, stride, 4, DEPTHWISE_ANY, true)    \
    DEPTHWISE_TILE(name##_tail1, k, stride, 1, DEPTHWISE_ANY, true)
#define DEPTHWISE_ROW(name) {name##_8, name##_7, name##_4}
#define DEPTHWISE_SLOTS(name, k, stride)                                                                   \
    k, stride, .tile[DEPTHWISE_INNER] = DEPTHWISE_ROW(name##_inner), .tile[DEPTHWISE_ANY] = DEPTHWISE_ROW(name##_any), \
    .edge1 = name##_edge1, .tail4 = name##_tail4, .tail1 = name##_tail1

/* The width of tile that covers a row with the least work: its outputs, those written twice included, and about one
 * output's work for each start. */
INLINE int depthwise_outs(int out_w, bool tail)
{
    static const int widths[] = {8, 7, 4, 1};
    int best = 1, cost = 2 * out_w;

    for (int i = tail ? 2 : 0; i < 4; i++) {
        const int w = widths[i], now = (out_w + w - 1) / w * (w + 1);
        if (w <= out_w && now < cost) {
            best = w;
            cost = now;
        }
    }
    return best;
}

/* left, right: columns that lie outside there. */
INLINE enum depthwise_edge depthwise_edge_of(int k, int left, int right)
{
    if ((left > 0 && left != k / 2) || (right > 0 && right != k / 2))
        return DEPTHWISE_ANY;
    return (enum depthwise_edge)((left > 0 ? DEPTHWISE_LEFT : 0) | (right > 0 ? DEPTHWISE_RIGHT : 0));
}

INLINE depthwise_function *depthwise_pick(const struct depthwise_tiles *tiles, int outs, enum depthwise_edge edge,
                                          bool tail)
{
    const int width = outs == 8 ? 0 : outs == 7 ? 1 : 2;

    if (tail)
        return outs == 4 ? tiles->tail4 : tiles->tail1;
    if (outs == 1)
        return tiles->edge1;
    return tiles->tile[tiles->tile[edge][width] != NULL ? edge : DEPTHWISE_ANY][width];
}

INLINE void depthwise_row_tiles(const struct depthwise_tiles *tiles, const struct depthwise_row *row, bool tail)
{
    const struct kernel_depthwise *d = row->d;
    const int outs = depthwise_outs(d->out_w, tail);

    for (int at = 0; at < d->out_w; at += outs) {
        const int start = at + outs <= d->out_w ? at : d->out_w - outs;
        const int left = start * tiles->stride - row->map.pad_left;
        const int right = left + (outs - 1) * tiles->stride + tiles->k;
        depthwise_pick(tiles, outs, depthwise_edge_of(tiles->k, -left, right - row->map.w), tail)(row, start);
    }
}

/* ---- any kernel -------------------------------------------------------------------------------------------------- */

/* The taps [*from, *to) of a kernel that lie inside a picture of `size`, its first tap at `start`. */
INLINE void taps_inside(int start, int kernel, int dilation, int size, int *from, int *to)
{
    *from = start < 0 ? (-start + dilation - 1) / dilation : 0;
    *to = start >= size ? 0 : (size - start + dilation - 1) / dilation;
    *from = *from < kernel ? *from : kernel;
    *to = *to < kernel ? *to : kernel;
    *to = *to < *from ? *from : *to;
}

/* Outputs [at, end) of a row. */
INLINE void depthwise_row_plain(const struct depthwise_row *row, int at, int end)
{
    const struct kernel_depthwise *d = row->d;
    const ptrdiff_t pixel = row->map.pixel, line = row->map.line * d->dilation_h;

    for (; at < end; at++) {
        const int left = at * d->stride_w - row->map.pad_left;
        int from, to;

        taps_inside(left, d->kernel_w, d->dilation_w, row->map.w, &from, &to);
        for (int c = row->c0; c < row->c1; c += LANES) {
            const vmask mask = mask_first(row->c1 - c < LANES ? row->c1 - c : LANES);
            const float *first = row->x + c - row->c0, *taps = row->weights + c - row->c0;
            vec sum = d->bias == NULL ? vec_zero() : vec_load_mask(d->bias + c, mask);
            for (int ky = 0; ky < row->taps; ky++)
                for (int kx = from; kx < to; kx++) {
                    const float *x = first + ky * line + (left + kx * d->dilation_w) * pixel;
                    const float *w = taps + (ky * d->kernel_w + kx) * pixel;
                    sum = vec_fma(vec_load_mask(x, mask), vec_load_mask(w, mask), sum);
                }
            depthwise_store(1, true, d, &sum, c, depthwise_output(row, at, c), mask);
        }
    }
}

/* Outputs [at, at + outs) of a row, all of whose taps lie inside the map.  tail: a last vector of channels may be cut
 * in the output, but is whole in the map. */
INLINE void depthwise_wide(int outs, bool tail, const struct depthwise_row *row, int at)
{
    const struct kernel_depthwise *d = row->d;
    const ptrdiff_t pixel = row->map.pixel, line = row->map.line * d->dilation_h, step = d->stride_w * pixel;
    const float *first = row->x + (at * d->stride_w - row->map.pad_left) * pixel;

    for (int c = row->c0; c < row->c1; c += LANES) {
        const vmask mask = mask_first(tail && row->c1 - c < LANES ? row->c1 - c : LANES);
        const ptrdiff_t from = c - row->c0;
        vec sum[DEPTHWISE_OUTS];

        sum[0] = d->bias == NULL ? vec_zero() : tail ? vec_load_mask(d->bias + c, mask) : vec_load(d->bias + c);
        UNROLL for (int o = 1; o < outs; o++)
            sum[o] = sum[0];
        for (int ky = 0; ky < row->taps; ky++) {
            const float *x = first + ky * line + from, *w = row->weights + ky * d->kernel_w * pixel + from;
            for (int kx = 0; kx < d->kernel_w; kx++, x += d->dilation_w * pixel, w += pixel) {
                const vec weight = vec_load(w);
                UNROLL for (int o = 0; o < outs; o++)
                    sum[o] = vec_accumulate(sum[o], vec_load(x + o * step), weight);
            }
        }
        depthwise_store(outs, tail, d, sum, c, depthwise_output(row, at, c), mask);
    }
}

#define DEPTHWISE_WIDE(name, outs, tail)                                                 \
    static __attribute__((noinline)) void name(const struct depthwise_row *row, int at) \
    {                                                                                    \
        depthwise_wide(outs, tail, row, at);                                             \
    }
DEPTHWISE_WIDE(depthwise_wide_8, 8, false)
DEPTHWISE_WIDE(depthwise_wide_7, 7, false)
DEPTHWISE_WIDE(depthwise_wide_4, 4, false)
DEPTHWISE_WIDE(depthwise_wide_1, 1, false)
DEPTHWISE_WIDE(depthwise_wide_tail8, 8, true)
DEPTHWISE_WIDE(depthwise_wide_tail7, 7, true)
DEPTHWISE_WIDE(depthwise_wide_tail4, 4, true)
DEPTHWISE_WIDE(depthwise_wide_tail1, 1, true)

/* Tiles where the windows lie inside, the plain path at the edges. */
INLINE void depthwise_row_wide(const struct depthwise_row *row)
{
    const struct kernel_depthwise *d = row->d;
    const int reach = (d->kernel_w - 1) * d->dilation_w + 1, room = d->w + d->pad_left - reach;
    const int first = (d->pad_left + d->stride_w - 1) / d->stride_w;
    int last = room < 0 ? 0 : room / d->stride_w + 1, outs;

    last = last < d->out_w ? last : d->out_w;
    outs = last - first >= 8 ? 8 : 4;
    if (last - first < outs) {
        depthwise_row_plain(row, 0, d->out_w);
        return;
    }
    depthwise_row_plain(row, 0, first);
    for (int at = first; at < last; at += outs)
        (outs == 8 ? depthwise_wide_8 : depthwise_wide_4)(row, at + outs <= last ? at : last - outs);
    depthwise_row_plain(row, last, d->out_w);
}

/* ---- loops ------------------------------------------------------------------------------------------------------- */

/* The inputs and taps of row y. */
INLINE void depthwise_row_at(struct depthwise_row *row, int y)
{
    const struct kernel_depthwise *d = row->d;
    const int top = y * d->stride_h - d->pad_top;
    int from, to;

    taps_inside(top, d->kernel_h, d->dilation_h, d->h, &from, &to);
    row->x = row->map.x + (ptrdiff_t)(top + from * d->dilation_h - row->map.top) * row->map.line;
    row->weights = row->map.weights + (ptrdiff_t)from * d->kernel_w * row->map.pixel;
    row->taps = to - from;
    row->y = (char *)d->y + (ptrdiff_t)y * d->out_w * d->c * element_size(d->out);
}

/* Channels [c0, c1) of all rows from the picture as it lies. */
INLINE void depthwise_rows(const struct depthwise_tiles *tiles, const struct kernel_depthwise *d, int c0, int c1,
                           bool tail)
{
    struct depthwise_row row = {.d = d, .c0 = c0, .c1 = c1,
                                .map = {.x = d->x + c0, .weights = d->weights + c0, .w = d->w,
                                        .pad_left = d->pad_left, .pixel = d->c, .line = (ptrdiff_t)d->w * d->c}};

    for (int y = d->y0; y < d->y1; y++) {
        depthwise_row_at(&row, y);
        if (tiles != NULL)
            depthwise_row_tiles(tiles, &row, tail);
        else if (!tail)
            depthwise_row_wide(&row);
        else
            depthwise_row_plain(&row, 0, d->out_w);
    }
}

/* Channels that go through all rows together: as many as let the rows of a kernel stay in the first-level cache, so
 * that the taps are read seldom; all of them where the picture comes from beyond the second-level cache and is best
 * read as it lies. */
INLINE int depthwise_group(const struct kernel_depthwise *d)
{
    const ptrdiff_t channel = (ptrdiff_t)4 * d->kernel_h * (d->w + d->kernel_w);
    const ptrdiff_t picture = (ptrdiff_t)4 * d->h * d->w * d->c;
    const ptrdiff_t fit = (24 << 10) / channel / LANES * LANES;

    if (picture > 1 << 20 || fit > d->c)
        return d->c + LANES;
    return fit < LANES ? LANES : (int)fit;
}

INLINE void depthwise_all(const struct depthwise_tiles *tiles, const struct kernel_depthwise *d)
{
    const int group = depthwise_group(d);
    const int whole = d->c0 + (d->c1 - d->c0) / LANES * LANES;

    for (int c = d->c0; c < whole; c += group)
        depthwise_rows(tiles, d, c, whole - c < group ? whole : c + group, false);
    if (whole < d->c1)
        depthwise_rows(tiles, d, whole, d->c1, true);
}

#define DEPTHWISE_TILES(name, k, stride) \
    DEPTHWISE_COMMON(name, k, stride)    \
    static const struct depthwise_tiles name = {DEPTHWISE_SLOTS(name, k, stride)};
/* Maps of 14 and 7 columns are edges and nothing else. */
#define DEPTHWISE_TILES_LEFT(name, k, stride)                                     \
    DEPTHWISE_COMMON(name, k, stride)                                             \
    DEPTHWISE_WIDTHS(name##_left, k, stride, DEPTHWISE_LEFT)                      \
    static const struct depthwise_tiles name = {DEPTHWISE_SLOTS(name, k, stride), \
                                                .tile[DEPTHWISE_LEFT] = DEPTHWISE_ROW(name##_left)};
#define DEPTHWISE_TILES_EDGES(name, k, stride)                \
    DEPTHWISE_COMMON(name, k, stride)                         \
    DEPTHWISE_WIDTHS(name##_left, k, stride, DEPTHWISE_LEFT)   \
    DEPTHWISE_WIDTHS(name##_right, k, stride, DEPTHWISE_RIGHT) \
    DEPTHWISE_WIDTHS(name##_both, k, stride, DEPTHWISE_BOTH)   \
    static const struct depthwise_tiles name = {               \
        DEPTHWISE_SLOTS(name, k, stride), .tile[DEPTHWISE_LEFT] = DEPTHWISE_ROW(name##_left), \
        .tile[DEPTHWISE_RIGHT] = DEPTHWISE_ROW(name##_right), .tile[DEPTHWISE_BOTH] = DEPTHWISE_ROW(name##_both)};

DEPTHWISE_TILES(depthwise_1_1, 1, 1)
DEPTHWISE_TILES_EDGES(depthwise_3_1, 3, 1)
DEPTHWISE_TILES_LEFT(depthwise_3_2, 3, 2)
DEPTHWISE_TILES_EDGES(depthwise_5_1, 5, 1)
DEPTHWISE_TILES_LEFT(depthwise_5_2, 5, 2)
DEPTHWISE_TILES(depthwise_7_1, 7, 1)
DEPTHWISE_TILES(depthwise_7_2, 7, 2)

static const struct depthwise_tiles *depthwise_tiles_of(const struct kernel_depthwise *d)
{
    static const struct depthwise_tiles *const all[] = {&depthwise_1_1, &depthwise_3_1, &depthwise_3_2, &depthwise_5_1,
                                                        &depthwise_5_2, &depthwise_7_1, &depthwise_7_2};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (d->kernel_w == all[i]->k && d->stride_w == all[i]->stride && (d->dilation_w == 1 || d->kernel_w == 1))
            return all[i];
    return NULL;
}

/* ---- large kernels ----------------------------------------------------------------------------------------------- */

/* Those that have no tiles of their own.  A block of channels of some lines is copied, with zeros beside the lines, and
 * so are its taps: what was a cache line here and there, all of them in one set of the first-level cache where pixels
 * lie 4 KB apart, is one run then, and no tile has an edge. */
enum { DEPTHWISE_BLOCK = 16, DEPTHWISE_COPY = 10 << 10, DEPTHWISE_LEAST = 4 };

/* Of a copied line; odd, so that the pixels of a column are in different sets. */
INLINE int depthwise_columns(const struct kernel_depthwise *d)
{
    return ((d->out_w - 1) * d->stride_w + (d->kernel_w - 1) * d->dilation_w + 1) | 1;
}

/* Lines under so many of the output. */
INLINE int depthwise_under(const struct kernel_depthwise *d, int outs)
{
    return (outs - 1) * d->stride_h + (d->kernel_h - 1) * d->dilation_h + 1;
}

/* Lines of the output that are made from one copy. */
INLINE int depthwise_band(const struct kernel_depthwise *d)
{
    const int room = DEPTHWISE_COPY / DEPTHWISE_BLOCK / depthwise_columns(d) - depthwise_under(d, 1);
    const int outs = room < 0 ? 0 : room / d->stride_h + 1;

    return outs < DEPTHWISE_LEAST ? DEPTHWISE_LEAST : outs;
}

static size_t simd_depthwise_scratch(const struct kernel_depthwise *d)
{
    const int taps = d->kernel_h * d->kernel_w;

    if (depthwise_tiles_of(d) != NULL || d->kernel_w == 1 || taps < 8)
        return 0;
    return DEPTHWISE_BLOCK * ((size_t)taps + (size_t)depthwise_columns(d) *
                                                 (size_t)depthwise_under(d, depthwise_band(d)));
}

/* Channels [0, channels) of n pixels, `apart` from one to the next, as blocks. */
INLINE void depthwise_take(const float *x, ptrdiff_t apart, int n, int channels, float *to)
{
    if (channels == DEPTHWISE_BLOCK) {
        for (int i = 0; i < n; i++, x += apart, to += DEPTHWISE_BLOCK)
            UNROLL for (int c = 0; c < DEPTHWISE_BLOCK; c += LANES)
                vec_store(to + c, vec_load(x + c));
        return;
    }
    for (int i = 0; i < n; i++, x += apart, to += DEPTHWISE_BLOCK)
        for (int c = 0; c < DEPTHWISE_BLOCK; c += LANES) {
            const int left = channels - c < 0 ? 0 : channels - c < LANES ? channels - c : LANES;
            vec_store(to + c, vec_load_mask(x + c, mask_first(left)));
        }
}

INLINE void depthwise_zeros(float *to, int pixels)
{
    for (int i = 0; i < pixels * DEPTHWISE_BLOCK; i += LANES)
        vec_store(to + i, vec_zero());
}

/* The lines of the picture among those from map->top on, `lines` in all. */
static __attribute__((noinline)) void depthwise_copy(const struct kernel_depthwise *d, const struct depthwise_map *map,
                                                     int lines, int c, int channels, float *to)
{
    const int left = d->pad_left < map->w ? d->pad_left : map->w;
    const int inside = d->w < map->w - left ? d->w : map->w - left;

    for (int i = 0; i < lines; i++, to += map->line) {
        const int line = map->top + i;
        if (line < 0 || line >= d->h)
            continue;
        depthwise_zeros(to, left);
        depthwise_take(d->x + (ptrdiff_t)line * d->w * d->c + c, d->c, inside, channels, to + left * DEPTHWISE_BLOCK);
        depthwise_zeros(to + (left + inside) * DEPTHWISE_BLOCK, map->w - left - inside);
    }
}

/* One row of a copy. */
INLINE void depthwise_row_copied(const struct depthwise_row *row)
{
    static depthwise_function *const wide[2][4] = {
        {depthwise_wide_8, depthwise_wide_7, depthwise_wide_4, depthwise_wide_1},
        {depthwise_wide_tail8, depthwise_wide_tail7, depthwise_wide_tail4, depthwise_wide_tail1}};
    const int out_w = row->d->out_w, outs = depthwise_outs(out_w, false);
    const int width = outs == 8 ? 0 : outs == 7 ? 1 : outs == 4 ? 2 : 3;
    depthwise_function *run = wide[(row->c1 - row->c0) % LANES != 0][width];

    for (int at = 0; at < out_w; at += outs)
        run(row, at + outs <= out_w ? at : out_w - outs);
}

/* Channels [c, c + channels), at most a block. */
INLINE void depthwise_block(const struct kernel_depthwise *d, int c, int channels)
{
    const int band = depthwise_band(d), taps = d->kernel_h * d->kernel_w, columns = depthwise_columns(d);
    float *weights = d->scratch, *x = weights + (ptrdiff_t)taps * DEPTHWISE_BLOCK;
    struct depthwise_row row = {.d = d, .c0 = c, .c1 = c + channels,
                                .map = {.x = x, .weights = weights, .w = columns, .pixel = DEPTHWISE_BLOCK,
                                        .line = (ptrdiff_t)columns * DEPTHWISE_BLOCK}};

    depthwise_take(d->weights + c, d->c, taps, channels, weights);
    for (int y = d->y0; y < d->y1; y += band) {
        const int end = d->y1 - y < band ? d->y1 : y + band;
        row.map.top = y * d->stride_h - d->pad_top;
        depthwise_copy(d, &row.map, depthwise_under(d, end - y), c, channels, x);
        for (int i = y; i < end; i++) {
            depthwise_row_at(&row, i);
            depthwise_row_copied(&row);
        }
    }
}

static void simd_depthwise(const struct kernel_depthwise *d)
{
    if (d->scratch == NULL || simd_depthwise_scratch(d) == 0) {
        depthwise_all(depthwise_tiles_of(d), d);
        return;
    }
    for (int c = d->c0; c < d->c1; c += DEPTHWISE_BLOCK)
        depthwise_block(d, c, d->c1 - c < DEPTHWISE_BLOCK ? d->c1 - c : DEPTHWISE_BLOCK);
}

#endif
