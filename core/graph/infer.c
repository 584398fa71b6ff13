/* Shape inference: each node's output shape from its inputs'.  -1 stands for a size that is known only when the
 * network runs; whatever is known is checked here, so that the engine may rely on it. */
#include <limits.h>
#include <stdlib.h>

#include "core/graph/graph.h"
#include "core/graph/internal.h"

#define UNKNOWN (-1)

static int64_t ceil_div(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

struct axis {
    int64_t kernel, stride, dilation, before, after;
};

static struct axis window_axis(const struct graph_window *w, int axis)
{
    struct axis h = {w->kernel_h, w->stride_h, w->dilation_h, w->pad_top, w->pad_bottom};
    struct axis v = {w->kernel_w, w->stride_w, w->dilation_w, w->pad_left, w->pad_right};

    return axis == 0 ? h : v;
}

int64_t graph_window_output(const struct graph_window *window, int axis, int64_t input, int *before, int *after)
{
    struct axis a = window_axis(window, axis);
    int64_t extent = a.dilation * (a.kernel - 1) + 1, output;

    if (window->auto_pad) { /* SAME: the output is input / stride, rounded up */
        int64_t total;
        output = ceil_div(input, a.stride);
        total = (output - 1) * a.stride + extent - input;
        total = total > 0 ? total : 0;
        a.before = window->auto_pad == 1 ? total / 2 : total - total / 2;
        a.after = total - a.before;
    } else {
        int64_t room = input + a.before + a.after - extent;
        /* rounded up, a window that is less than a stride larger than its input is one that sees all of it */
        bool fits = room >= 0 || (window->ceil_mode && room > -a.stride);
        output = !fits ? 0 : (!window->ceil_mode || room < 0 ? room / a.stride : ceil_div(room, a.stride)) + 1;
        /* a last window that would begin behind the input and its front pad sees nothing */
        if (window->ceil_mode && output > 1 && (output - 1) * a.stride >= input + a.before)
            output--;
    }
    if (before != NULL)
        *before = (int)a.before;
    if (after != NULL)
        *after = (int)a.after;
    return output;
}

struct inference {
    const struct graph *graph;
    const struct graph_node *node;
    const struct graph_tensor *x; /* the first input */
    struct graph_tensor *y;       /* the output */
    struct infomask_error *err;
};

#define BAD(...) graph_refuse(in->err, INFOMASK_BAD_MODEL, in->node, __VA_ARGS__)
#define UNSUPPORTED(...) graph_refuse(in->err, INFOMASK_UNSUPPORTED_MODEL, in->node, __VA_ARGS__)

static const struct graph_tensor *input(const struct inference *in, int i)
{
    int tensor = graph_input(in->node, i);
    return tensor == GRAPH_NONE ? NULL : &in->graph->tensors[tensor];
}

static void set_shape(struct inference *in, int rank, const int64_t *dims)
{
    in->y->rank = rank;
    for (int i = 0; i < rank; i++)
        in->y->dims[i] = dims[i];
}

static enum infomask_status same_as_input(struct inference *in)
{
    set_shape(in, in->x->rank, in->x->dims);
    return INFOMASK_OK;
}

/* A constant vector of n elements, where n may be unknown. */
static bool is_vector(const struct graph_tensor *tensor, int64_t n)
{
    return tensor != NULL && tensor->data != NULL && tensor->rank == 1 && (n == UNKNOWN || tensor->dims[0] == n);
}

static bool window_is_sound(const struct graph_window *w)
{
    const int positive[] = {w->kernel_h,   w->kernel_w,   w->stride_h, w->stride_w,
                            w->dilation_h, w->dilation_w, w->groups};
    const int pads[] = {w->pad_top, w->pad_left, w->pad_bottom, w->pad_right};

    for (size_t i = 0; i < sizeof positive / sizeof *positive; i++)
        if (positive[i] < 1 || positive[i] > 1 << 20)
            return false;
    for (size_t i = 0; i < sizeof pads / sizeof *pads; i++)
        if (pads[i] < 0 || pads[i] > 1 << 20)
            return false;
    return true;
}

static enum infomask_status window_shape(struct inference *in, int64_t channels)
{
    int64_t dims[4] = {in->x->dims[0], channels, UNKNOWN, UNKNOWN};

    for (int axis = 0; axis < 2; axis++) {
        int64_t size = in->x->dims[2 + axis];
        if (size == UNKNOWN)
            continue;
        dims[2 + axis] = graph_window_output(&in->node->window, axis, size, NULL, NULL);
        if (dims[2 + axis] < 1)
            return BAD("its window does not fit an input of %lld", (long long)size);
    }
    set_shape(in, 4, dims);
    return INFOMASK_OK;
}

static enum infomask_status residual_fits(struct inference *in)
{
    const struct graph_tensor *residual = input(in, 3);

    if (residual != NULL && !graph_same_shape(residual, in->y))
        return BAD("the residual does not have the shape of the output");
    return INFOMASK_OK;
}

static enum infomask_status infer_conv(struct inference *in)
{
    const struct graph_tensor *w = input(in, 1);
    const struct graph_window *window = &in->node->window;
    enum infomask_status status;

    if (in->x->rank != 4)
        return UNSUPPORTED("only two-dimensional convolutions, of [N, C, H, W], are supported");
    if (w == NULL || w->data == NULL || w->rank != 4)
        return BAD("the weights are not a constant of four dimensions");
    if (!window_is_sound(window) || w->dims[2] != window->kernel_h || w->dims[3] != window->kernel_w)
        return BAD("kernel, strides, dilations, pads or groups are wrong");
    if (in->x->dims[1] == UNKNOWN)
        return UNSUPPORTED("the number of input channels is not known");
    if (w->dims[0] % window->groups || in->x->dims[1] != w->dims[1] * window->groups)
        return BAD("%lld input channels in %d groups do not fit weights [%lld, %lld, ...]",
                   (long long)in->x->dims[1], window->groups, (long long)w->dims[0], (long long)w->dims[1]);
    if (input(in, 2) != NULL && !is_vector(input(in, 2), w->dims[0]))
        return BAD("the bias is not a constant of %lld elements", (long long)w->dims[0]);
    status = window_shape(in, w->dims[0]);
    return status != INFOMASK_OK ? status : residual_fits(in);
}

static enum infomask_status infer_linear(struct inference *in)
{
    const struct graph_tensor *w = input(in, 1);
    int last = in->x->rank - 1;

    if (in->x->rank < 2)
        return UNSUPPORTED("its input has %d dimensions, where [N, K] is expected", in->x->rank);
    if (w == NULL || w->data == NULL || w->rank != 2)
        return BAD("the weights are not a constant matrix");
    if (in->x->dims[last] != UNKNOWN && in->x->dims[last] != w->dims[1])
        return BAD("%lld inputs do not fit weights of %lld", (long long)in->x->dims[last], (long long)w->dims[1]);
    if (input(in, 2) != NULL && !is_vector(input(in, 2), w->dims[0]))
        return BAD("the bias is not a constant of %lld elements", (long long)w->dims[0]);
    set_shape(in, in->x->rank, in->x->dims);
    in->y->dims[last] = w->dims[0];
    return residual_fits(in);
}

static enum infomask_status infer_batch_norm(struct inference *in)
{
    if (in->x->rank != 2 && in->x->rank != 4)
        return UNSUPPORTED("its input has %d dimensions, where [N, C, H, W] or [N, C] is expected", in->x->rank);
    for (int i = 1; i < 5; i++)
        if (!is_vector(input(in, i), in->x->dims[1]))
            return BAD("input %d is not a constant with one element per channel", i);
    return same_as_input(in);
}

bool graph_pair_fits(enum graph_op op, const struct graph_tensor *x, const struct graph_tensor *y)
{
    bool gate = op == GRAPH_MUL && y->data == NULL && y->rank == 4 && y->dims[2] == 1 && y->dims[3] == 1;

    if (y->rank != x->rank)
        return false;
    for (int i = 0; i < y->rank; i++) {
        bool same = y->dims[i] == x->dims[i];
        if (!same && !(y->data != NULL && (y->dims[i] == 1 || (i > 0 && x->dims[i] == UNKNOWN))) && !(gate && i > 1))
            return false;
    }
    return true;
}

static enum infomask_status infer_pair(struct inference *in)
{
    const struct graph_tensor *y = input(in, 1);

    if (y == NULL)
        return BAD("it needs two inputs");
    if (!graph_pair_fits(in->node->op, in->x, y))
        return UNSUPPORTED("its two inputs do not have shapes that can be combined here");
    return same_as_input(in);
}

static enum infomask_status infer_pool(struct inference *in)
{
    const struct graph_window *w = &in->node->window;

    if (in->x->rank != 4)
        return UNSUPPORTED("only pooling of [N, C, H, W] is supported");
    if (!window_is_sound(w))
        return BAD("kernel, strides, dilations or pads are wrong");
    /* else a window could lie in the padding alone */
    if (!w->auto_pad && (w->pad_top >= w->dilation_h * (w->kernel_h - 1) + 1 ||
                         w->pad_bottom >= w->dilation_h * (w->kernel_h - 1) + 1 ||
                         w->pad_left >= w->dilation_w * (w->kernel_w - 1) + 1 ||
                         w->pad_right >= w->dilation_w * (w->kernel_w - 1) + 1))
        return UNSUPPORTED("padding as large as the window is not supported");
    return window_shape(in, in->x->dims[1]);
}

/* [N, C, 1, 1], or [N, C] where the output was declared so */
static enum infomask_status infer_global_average(struct inference *in)
{
    const int64_t dims[4] = {in->x->dims[0], in->x->dims[1], 1, 1};

    if (in->x->rank != 4)
        return UNSUPPORTED("only the mean of [N, C, H, W] over H and W is supported");
    set_shape(in, in->y->rank == 2 ? 2 : 4, dims);
    return INFOMASK_OK;
}

/* Elements of one item, or of a constant as a whole; 0 if that is not known. */
static int64_t item_elements(const struct inference *in, const struct graph_tensor *tensor)
{
    int64_t count = 1;

    for (int i = tensor->data != NULL || in->graph->concrete ? 0 : 1; i < tensor->rank; i++)
        if (tensor->dims[i] < 1 || __builtin_mul_overflow(count, tensor->dims[i], &count))
            return 0;
    return count;
}

/* What the node was built with stays; a lone -1 becomes a number where the input's elements are known. */
static enum infomask_status infer_reshape(struct inference *in)
{
    int64_t known = 1, total = item_elements(in, in->x);
    int first = in->x->data != NULL || in->graph->concrete ? 0 : 1, unknown = -1;

    if (first == 1 && (in->y->rank < 1 || in->y->dims[0] != in->x->dims[0]))
        return UNSUPPORTED("it moves the batch dimension");
    for (int i = first; i < in->y->rank; i++) {
        if (in->y->dims[i] == UNKNOWN && unknown >= 0)
            return UNSUPPORTED("more than one dimension of its output is unknown");
        if (in->y->dims[i] == UNKNOWN)
            unknown = i;
        else if (in->y->dims[i] < 1 || __builtin_mul_overflow(known, in->y->dims[i], &known))
            return BAD("its output shape is wrong");
    }
    if (total && (unknown >= 0 ? total % known : total != known))
        return BAD("an input of %lld elements does not fit its output shape", (long long)total);
    if (total && unknown >= 0)
        in->y->dims[unknown] = total / known;
    return INFOMASK_OK;
}

static enum infomask_status infer_transpose(struct inference *in)
{
    const int *p = in->node->permutation;
    int64_t dims[GRAPH_MAX_RANK];
    unsigned seen = 0;

    for (int i = 0; i < in->x->rank; i++) {
        if (p[i] < 0 || p[i] >= in->x->rank || (seen & 1u << p[i]))
            return BAD("its permutation is wrong");
        seen |= 1u << p[i];
        dims[i] = in->x->dims[p[i]];
    }
    if (in->x->rank > 0 && p[0] != 0 && in->x->data == NULL && !in->graph->concrete)
        return UNSUPPORTED("it moves the batch dimension");
    set_shape(in, in->x->rank, dims);
    return INFOMASK_OK;
}

static bool join_dims(int64_t *sum, int64_t size)
{
    if (*sum == UNKNOWN || size == UNKNOWN) {
        *sum = UNKNOWN;
        return true;
    }
    return !__builtin_add_overflow(*sum, size, sum);
}

static enum infomask_status infer_concat(struct inference *in)
{
    int axis = in->node->axis;
    bool constants = true;

    for (int i = 0; i < in->node->input_count; i++)
        constants = constants && input(in, i) != NULL && input(in, i)->data != NULL;
    if (axis < 0 || axis >= in->x->rank)
        return BAD("axis %d is outside its input", axis);
    if (axis == 0 && !constants && !in->graph->concrete)
        return UNSUPPORTED("it joins along the batch dimension");
    set_shape(in, in->x->rank, in->x->dims);
    for (int i = 1; i < in->node->input_count; i++) {
        const struct graph_tensor *x = input(in, i);
        if (x == NULL || x->rank != in->y->rank)
            return BAD("its inputs differ in their number of dimensions");
        if (x->data != NULL && !constants && !in->graph->concrete)
            return UNSUPPORTED("joining a constant is not supported");
        for (int d = 0; d < x->rank; d++) {
            if (d == axis ? !join_dims(&in->y->dims[d], x->dims[d])
                          : x->dims[d] != in->y->dims[d] && x->dims[d] != UNKNOWN && in->y->dims[d] != UNKNOWN)
                return BAD("dimension %d of its inputs differs", d);
            if (d != axis && in->y->dims[d] == UNKNOWN)
                in->y->dims[d] = x->dims[d];
        }
    }
    return INFOMASK_OK;
}

static enum infomask_status infer_softmax(struct inference *in)
{
    if (in->node->axis < (in->graph->concrete ? 0 : 1) || in->node->axis >= in->x->rank)
        return in->node->axis == 0 ? UNSUPPORTED("it runs along the batch dimension") : BAD("its axis is wrong");
    return same_as_input(in);
}

static enum infomask_status infer_general(struct inference *in)
{
    struct graph_array inputs[GRAPH_GENERAL_INPUTS], y = graph_array_of(in->graph, in->node->output);
    enum infomask_status status;

    if (in->node->input_count > GRAPH_GENERAL_INPUTS)
        return BAD("it has %d inputs", in->node->input_count);
    for (int i = 0; i < in->node->input_count; i++)
        inputs[i] = graph_array_of(in->graph, in->node->inputs[i]);
    status = graph_general_shape(in->node, inputs, &y, in->err);
    if (status == INFOMASK_OK)
        set_shape(in, y.rank, y.dims);
    return status;
}

static enum infomask_status infer_any(struct inference *in)
{
    if (graph_is_general(in->node->op))
        return infer_general(in);
    switch (in->node->op) {
    case GRAPH_CONV:
        return infer_conv(in);
    case GRAPH_LINEAR:
        return infer_linear(in);
    case GRAPH_BATCH_NORM:
        return infer_batch_norm(in);
    case GRAPH_ADD:
    case GRAPH_MUL:
        return infer_pair(in);
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        return infer_pool(in);
    case GRAPH_GLOBAL_AVERAGE:
        return infer_global_average(in);
    case GRAPH_RESHAPE:
        return infer_reshape(in);
    case GRAPH_TRANSPOSE:
        return infer_transpose(in);
    case GRAPH_CONCAT:
        return infer_concat(in);
    case GRAPH_SOFTMAX:
        return infer_softmax(in);
    case GRAPH_ACTIVATION:
    case GRAPH_DROPOUT:
    case GRAPH_NOISE:
    case GRAPH_IDENTITY:
        return same_as_input(in);
    default:
        break;
    }
    return error_set(in->err, INFOMASK_INTERNAL, "a node of the graph has no operator");
}

static enum infomask_status check_size(struct inference *in)
{
    int64_t elements = 1;

    for (int i = 0; i < in->y->rank; i++) {
        int64_t d = in->y->dims[i];
        if (d == UNKNOWN)
            continue;
        if (d < 1 || d > GRAPH_MAX_DIM || __builtin_mul_overflow(elements, d, &elements) ||
            elements > GRAPH_MAX_ELEMENTS)
            return BAD("its output is larger than %d elements", GRAPH_MAX_ELEMENTS);
    }
    return INFOMASK_OK;
}

enum infomask_status graph_infer_node(struct graph *graph, int node, struct infomask_error *err)
{
    struct inference in = {.graph = graph, .node = &graph->nodes[node], .err = err};
    enum infomask_status status;

    if (graph_input(in.node, 0) == GRAPH_NONE)
        return graph_refuse(err, INFOMASK_BAD_MODEL, in.node, "it has no input");
    in.x = &graph->tensors[in.node->inputs[0]];
    in.y = graph_output_tensor(graph, in.node);
    status = infer_any(&in);
    return status != INFOMASK_OK ? status : check_size(&in);
}

enum infomask_status graph_infer_shapes(struct graph *graph, struct infomask_error *err)
{
    for (int i = 0; i < graph->node_count; i++) {
        bool folded;
        enum infomask_status status = graph_infer_node(graph, i, err);
        if (status == INFOMASK_OK) /* what behaves as a constant further on must be one by then */
            status = graph_fold_node(graph, i, &folded, err);
        if (status != INFOMASK_OK)
            return status;
    }
    return INFOMASK_OK;
}
