/* Resize: one dimension after the other would need room for what lies between, so each output sums over the taps of all
 * dimensions at once: at most four (cubic) or, antialiased, as many as the scale says. */
#include <math.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/graph/general/general.h"

int64_t general_resize_size(const struct graph_node *node, int axis, int64_t size)
{
    int64_t wanted = node->table->v[axis];

    return wanted > 0 ? wanted : (int64_t)((float)size * node->resize->scales[axis]);
}

/* The scale in force along a dimension. */
static float scale_of(const struct graph_node *node, int axis, int64_t in, int64_t out)
{
    return node->table->v[axis] > 0 || !(node->resize->scales[axis] > 0) ? (float)out / (float)in
                                                                         : node->resize->scales[axis];
}

/* Rounded as onnxruntime rounds it: by a scale that float32 does not hold, such as 0.7, places come to lie halfway
 * between two. */
static float place(const struct graph_resize *r, int64_t i, float scale, int64_t in, int64_t out)
{
    float x = (float)i, whole;

    switch (r->place) {
    case GRAPH_ASYMMETRIC:
        return x / scale;
    case GRAPH_ALIGN_CORNERS:
        return out == 1 ? 0 : x * (float)(in - 1) / (float)(out - 1);
    case GRAPH_PYTORCH_HALF_PIXEL:
        return out == 1 ? 0 : (x + 0.5F) / scale - 0.5F;
    case GRAPH_HALF_PIXEL_SYMMETRIC:
        whole = (float)out / (scale * (float)in); /* the part of the output that the size cut off */
        return (float)((double)((float)in / 2 * (1 - whole)) + ((double)x + 0.5) / (double)scale - 0.5);
    case GRAPH_HALF_PIXEL_NEAREST:
        return (x + 0.5F) / scale;
    default:
        return (x + 0.5F) / scale - 0.5F;
    }
}

/* As in onnxruntime a place within a millionth of halfway between two is halfway. */
static int64_t nearest(const struct graph_resize *r, double x)
{
    bool tie = fabs(x - floor(x) - 0.5) <= 1e-6;

    switch (r->nearest) {
    case GRAPH_ROUND_PREFER_CEIL:
        return (int64_t)floor(tie ? x + 0.75 : x + 0.5);
    case GRAPH_FLOOR_NEAREST:
        return (int64_t)floor(x);
    case GRAPH_CEIL_NEAREST:
        return (int64_t)ceil(x);
    default:
        return (int64_t)ceil(tie ? x - 0.75 : x - 0.5);
    }
}

static double cubic(double a, double x)
{
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}

/* The taps of one output along one dimension: input indices [first, first + count), their weights by tap_weight. */
struct taps {
    const struct graph_resize *r;
    double x, stretch, sum;
    int64_t first, count, size;
};

static double raw_weight(const struct taps *t, int64_t i)
{
    double away = ((double)i - t->x) * t->stretch;

    if (t->r->mode == GRAPH_NEAREST)
        return 1;
    if (t->r->mode == GRAPH_CUBIC)
        return cubic((double)t->r->cubic, away);
    return fmax(0, 1 - fabs(away));
}

static bool is_outside(const struct taps *t, int64_t i) { return i < 0 || i >= t->size; }

static double tap_weight(const struct taps *t, int64_t i)
{
    return t->r->exclude_outside && is_outside(t, i) ? 0 : raw_weight(t, i) / t->sum;
}

static int64_t tap_index(const struct taps *t, int64_t i) { return i < 0 ? 0 : i >= t->size ? t->size - 1 : i; }

static struct taps taps_at(const struct graph_node *node, int axis, int64_t i, int64_t in, int64_t out)
{
    const struct graph_resize *r = node->resize;
    float scale = scale_of(node, axis, in, out);
    struct taps t = {.r = r, .x = (double)place(r, i, scale, in, out), .stretch = 1, .sum = 1, .count = 1, .size = in};
    double reach;

    if (in == out && scale == 1) {
        t.first = i;
        t.x = (double)i;
        return t;
    }
    if (r->mode == GRAPH_NEAREST) {
        t.first = nearest(r, t.x);
        return t;
    }
    if (r->antialias && scale < 1)
        t.stretch = (double)scale;
    reach = (r->mode == GRAPH_CUBIC ? 2 : 1) / t.stretch;
    t.first = (int64_t)floor(t.x - reach) + 1;
    t.count = (int64_t)ceil(t.x + reach) - t.first;
    if (t.stretch < 1 || r->exclude_outside) {
        t.sum = 0;
        for (int64_t k = t.first; k < t.first + t.count; k++)
            t.sum += r->exclude_outside && is_outside(&t, k) ? 0 : raw_weight(&t, k);
    }
    return t;
}

static double sum_over(const struct taps *taps, const ptrdiff_t *strides, int rank, const float *x)
{
    double sum = 0;

    if (rank == 0)
        return (double)*x;
    for (int64_t i = taps->first; i < taps->first + taps->count; i++) {
        double w = tap_weight(taps, i);
        if (w != 0)
            sum += w * sum_over(taps + 1, strides + 1, rank - 1, x + tap_index(taps, i) * strides[0]);
    }
    return sum;
}

/* ---- Any dimensions, any number of taps -------------------------------------------------------------------------- */

static void resize_all(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                       float *y, size_t first, size_t last)
{
    struct general_walk w = {.rank = out->rank};
    struct taps taps[GRAPH_MAX_RANK];
    ptrdiff_t strides[GRAPH_MAX_RANK];

    array_strides(in, strides);
    memcpy(w.dims, out->dims, sizeof w.dims);
    general_walk_to(&w, first);
    for (int d = 0; d < out->rank; d++)
        taps[d] = taps_at(node, d, w.index[d], in->dims[d], out->dims[d]);
    for (size_t i = first; i < last; i++) {
        y[i] = (float)sum_over(taps, strides, out->rank, in->data);
        general_walk_next(&w);
        for (int d = out->rank - 1; d >= 0; d--) {
            taps[d] = taps_at(node, d, w.index[d], in->dims[d], out->dims[d]);
            if (w.index[d] != 0)
                break;
        }
    }
}

/* ---- The last two dimensions, at most 4 taps each ---------------------------------------------------------------- */

#define NEAR 4
#define COLUMNS 128 /* whose taps are found once for all rows */

struct near {
    int count;
    ptrdiff_t at[NEAR];
    double weight[NEAR];
};

static struct near near_of(const struct taps *taps, ptrdiff_t stride)
{
    struct near n = {0};

    for (int64_t i = taps->first; i < taps->first + taps->count; i++) {
        double weight = tap_weight(taps, i);
        if (weight == 0)
            continue;
        n.at[n.count] = tap_index(taps, i) * stride;
        n.weight[n.count++] = weight;
    }
    return n;
}

static bool stays(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, int d)
{
    return in->dims[d] == out->dims[d] && scale_of(node, d, in->dims[d], out->dims[d]) == 1;
}

static bool is_near(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out)
{
    for (int d = 0; d < out->rank; d++) {
        bool shrinks = scale_of(node, d, in->dims[d], out->dims[d]) < 1;
        if (!stays(node, in, out, d) && (d < out->rank - 2 || (node->resize->antialias && shrinks)))
            return false;
    }
    return out->rank >= 2;
}

/* Columns of a row. */
static void near_row(const struct near *row, const struct near *columns, size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++) {
        const struct near *column = &columns[i];
        double sum = 0;
        for (int r = 0; r < row->count; r++) {
            const float *from = x + row->at[r];
            double inner = 0;
            for (int c = 0; c < column->count; c++)
                inner += column->weight[c] * (double)from[column->at[c]];
            sum += row->weight[r] * inner;
        }
        y[i] = (float)sum;
    }
}

/* The same where each output is one input. */
static void copy_row(const struct near *columns, size_t count, const float *x, float *y)
{
    for (size_t i = 0; i < count; i++)
        y[i] = x[columns[i].at[0]];
}

void general_resize(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                    float *y, size_t first, size_t last)
{
    int d = out->rank - 1;
    struct near columns[COLUMNS];
    size_t width, height, plane;

    if (!is_near(node, in, out)) {
        resize_all(node, in, out, y, first, last);
        return;
    }
    width = (size_t)out->dims[d];
    height = (size_t)out->dims[d - 1];
    plane = (size_t)(in->dims[d - 1] * in->dims[d]);
    for (size_t left = 0; left < width; left += COLUMNS) {
        size_t count = width - left < COLUMNS ? width - left : COLUMNS;
        for (size_t i = 0; i < count; i++) {
            struct taps taps = taps_at(node, d, (int64_t)(left + i), in->dims[d], out->dims[d]);
            columns[i] = near_of(&taps, 1);
        }
        for (size_t line = first / width; line < last / width; line++) {
            struct taps taps = taps_at(node, d - 1, (int64_t)(line % height), in->dims[d - 1], out->dims[d - 1]);
            struct near row = near_of(&taps, (ptrdiff_t)in->dims[d]);
            const float *x = in->data + line / height * plane;
            if (node->resize->mode == GRAPH_NEAREST && !node->resize->exclude_outside)
                copy_row(columns, count, x + row.at[0], y + line * width + left);
            else
                near_row(&row, columns, count, x, y + line * width + left);
        }
    }
}

/* ---- Pictures stored pixel by pixel ------------------------------------------------------------------------------ */

bool graph_resizes_pictures(const struct graph_node *node, const struct graph_tensor *x)
{
    if (node->op != GRAPH_RESIZE || node->resize->antialias || x->rank != 4)
        return false;
    for (int d = 0; d < 2; d++)
        if (node->table->v[d] > 0 ? node->table->v[d] != x->dims[d] : node->resize->scales[d] != 1)
            return false;
    return true;
}

/* A pixel of the output: pixels of the input and what they weigh. */
struct blend {
    int count;
    const float *from[NEAR * NEAR];
    float weight[NEAR * NEAR];
};

CPU_CLONES static void blend_pixels(const struct blend *b, float *restrict y, size_t n)
{
    const float *const *x = b->from, *w = b->weight;

    switch (b->count) {
    case 2:
        for (size_t i = 0; i < n; i++)
            y[i] = w[0] * x[0][i] + w[1] * x[1][i];
        break;
    case 4:
        for (size_t i = 0; i < n; i++)
            y[i] = w[0] * x[0][i] + w[1] * x[1][i] + (w[2] * x[2][i] + w[3] * x[3][i]);
        break;
    default:
        for (size_t i = 0; i < n; i++)
            y[i] = b->count > 0 ? w[0] * x[0][i] : 0;
        for (int t = 1; t < b->count; t++)
            for (size_t i = 0; i < n; i++)
                y[i] += w[t] * x[t][i];
        break;
    }
}

static void resize_pixel(const struct near *row, const struct near *column, const float *x, float *y, size_t channels)
{
    struct blend b = {0};

    for (int r = 0; r < row->count; r++)
        for (int c = 0; c < column->count; c++) {
            b.from[b.count] = x + row->at[r] + column->at[c];
            b.weight[b.count++] = (float)(row->weight[r] * column->weight[c]);
        }
    if (b.count == 1 && b.weight[0] == 1)
        memcpy(y, b.from[0], channels * sizeof *y);
    else
        blend_pixels(&b, y, channels);
}

void graph_resize_lines(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                        float *y, size_t first, size_t last)
{
    size_t channels = (size_t)in->dims[1], height = (size_t)out->dims[2], width = (size_t)out->dims[3];
    ptrdiff_t line = (ptrdiff_t)(in->dims[3] * in->dims[1]);
    struct near columns[COLUMNS];

    for (size_t left = 0; left < width; left += COLUMNS) {
        size_t count = width - left < COLUMNS ? width - left : COLUMNS;
        for (size_t i = 0; i < count; i++) {
            struct taps taps = taps_at(node, 3, (int64_t)(left + i), in->dims[3], out->dims[3]);
            columns[i] = near_of(&taps, (ptrdiff_t)channels);
        }
        for (size_t at = first; at < last; at++) {
            struct taps taps = taps_at(node, 2, (int64_t)(at % height), in->dims[2], out->dims[2]);
            struct near row = near_of(&taps, line);
            const float *x = in->data + (ptrdiff_t)(at / height) * line * (ptrdiff_t)in->dims[2];
            for (size_t i = 0; i < count; i++)
                resize_pixel(&row, &columns[i], x, y + (at * width + left + i) * channels, channels);
        }
    }
}
