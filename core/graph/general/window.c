/* Convolution and pooling over any number of dimensions, and the local response norm: for what the engine's kernels of
 * [N, C, H, W] are not made for. */
#include <math.h>
#include <string.h>

#include "core/graph/general/general.h"

struct general_window general_window_of(const struct graph_node *node)
{
    const int64_t *v = node->table->v;
    int n = (int)((node->table->count - 4) / 5);

    return (struct general_window){n,         v,        v + n,        v + 2 * n,    v + 3 * n,
                                   v + 4 * n, v[5 * n], v[5 * n + 1], v[5 * n + 2], v[5 * n + 3]};
}

int64_t general_window_output(const struct general_window *w, int dim, int64_t size, int64_t *before)
{
    int64_t extent = w->dilation[dim] * (w->kernel[dim] - 1) + 1, stride = w->stride[dim], output, room, total;
    int64_t front = w->before[dim];

    if (w->auto_pad) {
        output = (size + stride - 1) / stride;
        total = (output - 1) * stride + extent - size;
        total = total > 0 ? total : 0;
        front = w->auto_pad == 1 ? total / 2 : total - total / 2;
    } else {
        room = size + w->before[dim] + w->after[dim] - extent;
        output = room < 0 ? 0 : (w->ceil_mode ? (room + stride - 1) / stride : room / stride) + 1;
        if (w->ceil_mode && output > 1 && (output - 1) * stride >= size + w->before[dim])
            output--;
    }
    if (before != NULL)
        *before = front;
    return output;
}

/* The places of one window in its input: how far each is from the plane's begin, -1 outside. */
struct window_walk {
    struct general_window w;
    const struct graph_array *x, *y;
    int64_t before[GRAPH_MAX_RANK], out[GRAPH_MAX_RANK], tap[GRAPH_MAX_RANK];
};

static void walk_init(struct window_walk *walk, const struct graph_node *node, const struct graph_array *x,
                      const struct graph_array *y)
{
    *walk = (struct window_walk){.w = general_window_of(node), .x = x, .y = y};
    for (int i = 0; i < walk->w.dims; i++)
        (void)general_window_output(&walk->w, i, x->dims[2 + i], &walk->before[i]);
}

static void count_up(int64_t *index, const int64_t *dims, int n)
{
    for (int d = n - 1; d >= 0 && ++index[d] == dims[d]; d--)
        index[d] = 0;
}

static ptrdiff_t walk_place(const struct window_walk *walk, bool *counts)
{
    ptrdiff_t at = 0;
    bool inside = true;

    *counts = true; /* inside the padding at least, as far as ceil_mode reaches */
    for (int d = 0; d < walk->w.dims; d++) {
        int64_t i = walk->out[d] * walk->w.stride[d] - walk->before[d] + walk->tap[d] * walk->w.dilation[d];
        int64_t size = walk->x->dims[2 + d];
        inside = inside && i >= 0 && i < size;
        *counts = *counts && i < size + (walk->w.auto_pad ? size : walk->w.after[d]);
        at = at * (ptrdiff_t)size + (ptrdiff_t)i;
    }
    return inside ? at : -1;
}

static size_t product_of(const int64_t *dims, int n)
{
    size_t p = 1;

    for (int i = 0; i < n; i++)
        p *= (size_t)dims[i];
    return p;
}

static float conv_at(struct window_walk *walk, const float *x, const float *w, size_t channels, size_t plane)
{
    size_t taps = product_of(walk->w.kernel, walk->w.dims);
    double sum = 0;

    for (size_t t = 0; t < taps; t++, count_up(walk->tap, walk->w.kernel, walk->w.dims)) {
        bool counts;
        ptrdiff_t at = walk_place(walk, &counts);
        for (size_t c = 0; at >= 0 && c < channels; c++)
            sum += (double)x[c * plane + (size_t)at] * (double)w[c * taps + t];
    }
    return (float)sum;
}

void general_conv(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, float *y)
{
    struct window_walk walk;
    size_t plane, cells, m = (size_t)out->dims[1], c = (size_t)in[1].dims[1], taps, each;

    walk_init(&walk, node, in, out);
    plane = product_of(in[0].dims + 2, walk.w.dims);
    cells = product_of(out->dims + 2, walk.w.dims);
    taps = product_of(walk.w.kernel, walk.w.dims);
    each = m / (size_t)walk.w.groups;
    for (size_t n = 0; n < (size_t)out->dims[0]; n++)
        for (size_t k = 0; k < m; k++) {
            const float *x = in[0].data + (n * (size_t)in[0].dims[1] + k / each * c) * plane;
            float bias = node->input_count > 2 && in[2].rank >= 0 ? in[2].data[k] : 0;
            for (size_t i = 0; i < cells; i++, count_up(walk.out, out->dims + 2, walk.w.dims))
                *y++ = bias + conv_at(&walk, x, in[1].data + k * c * taps, c, plane);
        }
}

/* Where the tap reads along the outer dimensions for the row of outputs that `out` is in; false: padding. */
static bool outer_place(const struct window_walk *walk, ptrdiff_t *at)
{
    *at = 0;
    for (int d = 0; d < walk->w.dims - 1; d++) {
        int64_t i = walk->out[d] * walk->w.stride[d] - walk->before[d] + walk->tap[d] * walk->w.dilation[d];
        if (i < 0 || i >= walk->x->dims[2 + d])
            return false;
        *at = (*at + (ptrdiff_t)i) * (ptrdiff_t)walk->x->dims[3 + d];
    }
    return true;
}

/* Outputs [first, last) of a row along the last dimension; plane: where that row is read, NULL in padding. */
static void copy_row(const struct window_walk *walk, const float *plane, int64_t first, int64_t last, float *to)
{
    int d = walk->w.dims - 1;
    int64_t stride = walk->w.stride[d], from = walk->tap[d] * walk->w.dilation[d] - walk->before[d];
    int64_t size = plane != NULL ? walk->x->dims[2 + d] : 0, i = first;

    for (; i < last && (from + i * stride < 0 || size == 0); i++)
        *to++ = 0;
    if (stride == 1 && i < last && from + i < size) {
        int64_t n = size - from - i < last - i ? size - from - i : last - i;
        memcpy(to, plane + from + i, (size_t)n * sizeof *to);
        to += n;
        i += n;
    }
    for (; i < last && from + i * stride < size; i++)
        *to++ = plane[from + i * stride];
    for (; i < last; i++)
        *to++ = 0;
}

void graph_conv_columns(const struct graph_windows *windows, int64_t first, int64_t last, float *columns)
{
    const struct graph_array *x = windows->x, *y = windows->y;
    struct window_walk walk;
    size_t plane = product_of(x->dims + 2, x->rank - 2), taps;
    int64_t row = y->dims[y->rank - 1], channels = x->dims[1];
    const float *from;

    walk_init(&walk, windows->node, x, y);
    taps = product_of(walk.w.kernel, walk.w.dims);
    channels /= walk.w.groups;
    from = x->data + (size_t)(windows->picture * x->dims[1] + windows->group * channels) * plane;
    for (int64_t c = 0; c < channels; c++, from += plane)
        for (size_t t = 0; t < taps; t++, count_up(walk.tap, walk.w.kernel, walk.w.dims))
            for (int64_t i = first, end; i < last; i = end) {
                int64_t rest = i / row;
                ptrdiff_t at;
                end = (rest + 1) * row < last ? (rest + 1) * row : last;
                for (int d = walk.w.dims - 2; d >= 0; rest /= y->dims[2 + d], d--)
                    walk.out[d] = rest % y->dims[2 + d];
                copy_row(&walk, outer_place(&walk, &at) ? from + at : NULL, i % row, i % row + end - i, columns);
                columns += end - i;
            }
}

int64_t graph_window_groups(const struct graph_node *node) { return general_window_of(node).groups; }

int64_t graph_window_taps(const struct graph_node *node)
{
    struct general_window w = general_window_of(node);
    return (int64_t)product_of(w.kernel, w.dims);
}

void general_pool(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, float *y)
{
    struct window_walk walk;
    size_t plane, cells, taps, planes = (size_t)(out->dims[0] * out->dims[1]);

    walk_init(&walk, node, in, out);
    plane = product_of(in[0].dims + 2, walk.w.dims);
    cells = product_of(out->dims + 2, walk.w.dims);
    taps = product_of(walk.w.kernel, walk.w.dims);
    for (size_t p = 0; p < planes; p++)
        for (size_t i = 0; i < cells; i++, count_up(walk.out, out->dims + 2, walk.w.dims)) {
            float most = -INFINITY;
            double sum = 0;
            size_t count = 0;
            for (size_t t = 0; t < taps; t++, count_up(walk.tap, walk.w.kernel, walk.w.dims)) {
                bool counts;
                ptrdiff_t at = walk_place(&walk, &counts);
                float v = at < 0 ? 0 : in[0].data[p * plane + (size_t)at];
                sum += (double)v;
                most = at >= 0 && v > most ? v : most;
                count += at >= 0 || (walk.w.include_pad && counts);
            }
            *y++ = node->function == GRAPH_MAXIMUM ? most : (float)(sum / (double)(count > 0 ? count : 1));
        }
}

/* y = x / (bias + alpha / size * sum of squares of `size` channels around it)^beta */
void general_lrn(const struct graph_node *node, const struct graph_array *in, float *y)
{
    int64_t c = in->dims[1], size = node->axis;
    size_t plane = product_of(in->dims + 2, in->rank - 2);

    for (int64_t n = 0; n < in->dims[0]; n++)
        for (int64_t k = 0; k < c; k++)
            for (size_t i = 0; i < plane; i++) {
                const float *x = in->data + (size_t)(n * c) * plane + i;
                int64_t first = k - (size - 1) / 2, last = k + size / 2;
                double sum = 0;
                for (int64_t j = first < 0 ? 0 : first; j <= last && j < c; j++)
                    sum += (double)x[(size_t)j * plane] * (double)x[(size_t)j * plane];
                *y++ = (float)((double)x[(size_t)k * plane] /
                               pow((double)node->epsilon + (double)node->alpha / (double)size * sum,
                                   (double)node->beta));
            }
}
