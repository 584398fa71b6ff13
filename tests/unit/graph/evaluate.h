/* Computes a graph as the contract in graph.h reads, in the plainest way: N, C, H, W, one node after the other, sums in
 * double.  It knows nothing of kernels and plans, so that what the reader and the passes do can be checked alone. */
#ifndef TESTS_UNIT_GRAPH_EVALUATE_H
#define TESTS_UNIT_GRAPH_EVALUATE_H

#include <math.h>

#include "core/graph/graph.h"

struct array {
    int rank;
    int64_t dims[GRAPH_MAX_RANK];
    float *data;
};

static size_t array_size(const struct array *a)
{
    size_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= (size_t)a->dims[i];
    return n;
}

static void array_make(struct array *a, int rank, const int64_t *dims)
{
    a->rank = rank;
    memcpy(a->dims, dims, (size_t)rank * sizeof *dims);
    a->data = calloc(array_size(a) + 1, sizeof *a->data);
    assert_non_null(a->data);
}

static float evaluate_activation(const struct graph_node *n, double v)
{
    switch (n->activation) {
    case GRAPH_LINEAR_ACTIVATION:
        break;
    case GRAPH_CLAMP:
        v = v < (double)n->low ? (double)n->low : v > (double)n->high ? (double)n->high : v;
        break;
    case GRAPH_SIGMOID:
        v = 1 / (1 + exp(-v));
        break;
    case GRAPH_SILU:
        v = v / (1 + exp(-v));
        break;
    case GRAPH_HARD_SIGMOID:
        v = fmin(fmax((double)n->alpha * v + (double)n->beta, 0), 1);
        break;
    case GRAPH_HARD_SWISH:
        v = v * fmin(fmax(v / 6 + 0.5, 0), 1);
        break;
    case GRAPH_LEAKY_RELU:
        v = v < 0 ? (double)n->alpha * v : v;
        break;
    case GRAPH_GELU_ACTIVATION:
        v = v * (1 + erf(v * 0.70710678118654752440)) / 2;
        break;
    case GRAPH_GELU_TANH_ACTIVATION:
        v = v * (1 + tanh(0.79788456080286535588 * (v + 0.044715 * v * v * v))) / 2;
        break;
    case GRAPH_TANH_ACTIVATION:
        v = tanh(v);
        break;
    }
    return (float)v;
}

struct evaluation {
    const struct graph *graph;
    struct array *values; /* [tensors] */
    const struct graph_node *node;
    const struct array *x;
    struct array *y;
};

static const struct array *operand(const struct evaluation *e, int i)
{
    int tensor = graph_input(e->node, i);
    return tensor == GRAPH_NONE ? NULL : &e->values[tensor];
}

/* Output pixel (n, c, i, j) of a convolution or pool as a walk over its window. */
struct window_walk {
    const struct graph_window *w;
    int64_t height, width, y0, x0;
};

static bool window_pixel(const struct window_walk *walk, int ky, int kx, int64_t *y, int64_t *x)
{
    *y = walk->y0 + ky * walk->w->dilation_h;
    *x = walk->x0 + kx * walk->w->dilation_w;
    return *y >= 0 && *y < walk->height && *x >= 0 && *x < walk->width;
}

static double conv_pixel(const struct evaluation *e, int64_t n, int64_t m, const struct window_walk *walk)
{
    const struct array *w = operand(e, 1), *x = e->x;
    int64_t per_group = w->dims[1], first = m / (w->dims[0] / e->node->window.groups) * per_group;
    double sum = operand(e, 2) ? (double)operand(e, 2)->data[m] : 0;
    for (int64_t c = 0; c < per_group; c++)
        for (int ky = 0; ky < walk->w->kernel_h; ky++)
            for (int kx = 0; kx < walk->w->kernel_w; kx++) {
                int64_t iy, ix;
                if (window_pixel(walk, ky, kx, &iy, &ix))
                    sum += (double)w->data[((m * per_group + c) * w->dims[2] + ky) * w->dims[3] + kx] *
                           (double)x->data[((n * x->dims[1] + first + c) * x->dims[2] + iy) * x->dims[3] + ix];
            }
    return sum;
}

static double pool_pixel(const struct evaluation *e, int64_t n, int64_t c, const struct window_walk *walk)
{
    const struct graph_window *w = walk->w;
    double sum = 0, most = -INFINITY;
    int count = 0, within = 0;
    int before_y, before_x, after_y, after_x;
    graph_window_output(w, 0, walk->height, &before_y, &after_y);
    graph_window_output(w, 1, walk->width, &before_x, &after_x);
    for (int ky = 0; ky < w->kernel_h; ky++)
        for (int kx = 0; kx < w->kernel_w; kx++) {
            int64_t iy, ix;
            if (window_pixel(walk, ky, kx, &iy, &ix)) {
                double v = (double)e->x->data[((n * e->x->dims[1] + c) * walk->height + iy) * walk->width + ix];
                sum += v;
                most = v > most ? v : most;
                count++;
            }
            within += iy < walk->height + after_y && ix < walk->width + after_x;
        }
    return e->node->op == GRAPH_MAX_POOL ? most : sum / (w->count_include_pad ? within : count);
}

static void evaluate_window(struct evaluation *e)
{
    const struct graph_window *w = &e->node->window;
    struct window_walk walk = {.w = w, .height = e->x->dims[2], .width = e->x->dims[3]};
    int64_t channels = e->node->op == GRAPH_CONV ? operand(e, 1)->dims[0] : e->x->dims[1];
    int before_y, before_x;
    int64_t dims[4] = {e->x->dims[0], channels, graph_window_output(w, 0, walk.height, &before_y, NULL),
                       graph_window_output(w, 1, walk.width, &before_x, NULL)};
    float *out;
    array_make(e->y, 4, dims);
    out = e->y->data;
    for (int64_t n = 0; n < dims[0]; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t i = 0; i < dims[2]; i++)
                for (int64_t j = 0; j < dims[3]; j++) {
                    walk.y0 = i * w->stride_h - before_y;
                    walk.x0 = j * w->stride_w - before_x;
                    *out++ = (float)(e->node->op == GRAPH_CONV ? conv_pixel(e, n, c, &walk) : pool_pixel(e, n, c, &walk));
                }
}

static void evaluate_linear(struct evaluation *e)
{
    const struct array *w = operand(e, 1), *b = operand(e, 2);
    int64_t dims[2] = {e->x->dims[0], w->dims[0]}, k = w->dims[1];
    array_make(e->y, 2, dims);
    for (int64_t i = 0; i < dims[0]; i++)
        for (int64_t j = 0; j < dims[1]; j++) {
            double sum = b ? (double)b->data[j] : 0;
            for (int64_t l = 0; l < k; l++)
                sum += (double)e->x->data[i * k + l] * (double)w->data[j * k + l];
            e->y->data[i * dims[1] + j] = (float)sum;
        }
}

/* The offset in `a` of the element at row-major place i of `shape`; a's dims of 1 are repeated. */
static size_t broadcast_at(const struct array *a, const struct array *shape, size_t i)
{
    size_t at = 0, stride = 1;
    for (int d = shape->rank - 1; d >= 0; d--) {
        size_t index = i % (size_t)shape->dims[d];
        i /= (size_t)shape->dims[d];
        at += a->dims[d] == 1 ? 0 : index * stride;
        stride *= (size_t)a->dims[d];
    }
    return at;
}

static void evaluate_pair(struct evaluation *e)
{
    const struct array *b = operand(e, 1);
    size_t n = array_size(e->x);
    array_make(e->y, e->x->rank, e->x->dims);
    for (size_t i = 0; i < n; i++) {
        float v = b->data[broadcast_at(b, e->x, i)];
        e->y->data[i] = e->node->op == GRAPH_ADD ? e->x->data[i] + v : e->x->data[i] * v;
    }
}

static void evaluate_batch_norm(struct evaluation *e)
{
    size_t n = array_size(e->x), channels = (size_t)e->x->dims[1], each = n / (size_t)e->x->dims[0] / channels;
    array_make(e->y, e->x->rank, e->x->dims);
    for (size_t i = 0; i < n; i++) {
        size_t c = i / each % channels;
        double scaled = ((double)e->x->data[i] - (double)operand(e, 3)->data[c]) /
                        sqrt((double)operand(e, 4)->data[c] + (double)e->node->epsilon);
        e->y->data[i] = (float)(scaled * (double)operand(e, 1)->data[c] + (double)operand(e, 2)->data[c]);
    }
}

static void evaluate_global_average(struct evaluation *e)
{
    int64_t dims[4] = {e->x->dims[0], e->x->dims[1], 1, 1};
    size_t each = (size_t)(e->x->dims[2] * e->x->dims[3]);
    array_make(e->y, e->graph->tensors[e->node->output].rank, dims);
    for (size_t i = 0; i < (size_t)(dims[0] * dims[1]); i++) {
        double sum = 0;
        for (size_t j = 0; j < each; j++)
            sum += (double)e->x->data[i * each + j];
        e->y->data[i] = (float)(sum / (double)each);
    }
}

static void evaluate_reshape(struct evaluation *e)
{
    const struct graph_tensor *shape = &e->graph->tensors[e->node->output];
    int64_t dims[GRAPH_MAX_RANK] = {e->x->dims[0]}, known = 1;
    int open = -1;
    for (int i = 1; i < shape->rank; i++) {
        dims[i] = shape->dims[i];
        if (dims[i] < 0)
            open = i;
        else
            known *= dims[i];
    }
    if (open >= 0)
        dims[open] = (int64_t)array_size(e->x) / dims[0] / known;
    array_make(e->y, shape->rank, dims);
    assert_int_equal(array_size(e->y), array_size(e->x));
    memcpy(e->y->data, e->x->data, array_size(e->x) * sizeof *e->x->data);
}

static void evaluate_transpose(struct evaluation *e)
{
    int64_t dims[GRAPH_MAX_RANK] = {0};
    size_t strides[GRAPH_MAX_RANK], stride = 1;
    for (int i = e->x->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= (size_t)e->x->dims[i];
    }
    for (int i = 0; i < e->x->rank; i++)
        dims[i] = e->x->dims[e->node->permutation[i]];
    array_make(e->y, e->x->rank, dims);
    for (size_t i = 0; i < stride; i++) {
        size_t rest = i, at = 0;
        for (int d = e->x->rank - 1; d >= 0; d--) {
            at += rest % (size_t)dims[d] * strides[e->node->permutation[d]];
            rest /= (size_t)dims[d];
        }
        e->y->data[i] = e->x->data[at];
    }
}

static void evaluate_concat(struct evaluation *e)
{
    int axis = e->node->axis;
    int64_t dims[GRAPH_MAX_RANK], rows = 1;
    size_t at = 0;
    memcpy(dims, e->x->dims, sizeof dims);
    for (int i = 1; i < e->node->input_count; i++)
        dims[axis] += operand(e, i)->dims[axis];
    for (int i = 0; i < axis; i++)
        rows *= dims[i];
    array_make(e->y, e->x->rank, dims);
    for (int64_t row = 0; row < rows; row++)
        for (int i = 0; i < e->node->input_count; i++) {
            size_t each = array_size(operand(e, i)) / (size_t)rows;
            memcpy(e->y->data + at, operand(e, i)->data + (size_t)row * each, each * sizeof(float));
            at += each;
        }
}

/* Of the last dimension, or one with ones behind it. */
static void evaluate_softmax(struct evaluation *e)
{
    size_t n = (size_t)e->x->dims[e->node->axis], rows = array_size(e->x) / n;
    array_make(e->y, e->x->rank, e->x->dims);
    for (size_t r = 0; r < rows; r++) {
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            sum += exp((double)e->x->data[r * n + i]);
        for (size_t i = 0; i < n; i++)
            e->y->data[r * n + i] = (float)(exp((double)e->x->data[r * n + i]) / sum);
    }
}

static void evaluate_copy(struct evaluation *e)
{
    array_make(e->y, e->x->rank, e->x->dims);
    memcpy(e->y->data, e->x->data, array_size(e->x) * sizeof *e->x->data);
}

static void evaluate_epilogue(struct evaluation *e)
{
    bool product = e->node->op == GRAPH_CONV || e->node->op == GRAPH_LINEAR;
    const struct array *residual = product ? operand(e, 3) : NULL;
    size_t n = array_size(e->y);
    if (residual)
        assert_int_equal(array_size(residual), n);
    for (size_t i = 0; i < n; i++)
        e->y->data[i] = evaluate_activation(e->node, (double)e->y->data[i] + (residual ? (double)residual->data[i] : 0));
}

/* By the room's own loops: what they compute is checked against onnxruntime and ONNX's node tests. */
static void evaluate_general(struct evaluation *e)
{
    struct graph_array in[4], y = {.rank = e->graph->tensors[e->node->output].rank};
    struct infomask_error err = {0};
    memcpy(y.dims, e->graph->tensors[e->node->output].dims, sizeof y.dims);
    for (int i = 0; i < e->node->input_count; i++) {
        const struct array *x = operand(e, i);
        in[i] = (struct graph_array){.rank = x ? x->rank : -1, .data = x ? x->data : NULL};
        if (x)
            memcpy(in[i].dims, x->dims, sizeof in[i].dims);
    }
    if (graph_general_shape(e->node, in, &y, &err))
        fail_msg("%s", err.text);
    array_make(e->y, y.rank, y.dims);
    graph_general_compute(e->node, in, &y, e->y->data);
}

static void evaluate_node(struct evaluation *e)
{
    static void (*const table[GRAPH_OPS])(struct evaluation *) = {
        [GRAPH_CONV] = evaluate_window,         [GRAPH_LINEAR] = evaluate_linear,
        [GRAPH_BATCH_NORM] = evaluate_batch_norm, [GRAPH_ACTIVATION] = evaluate_copy,
        [GRAPH_ADD] = evaluate_pair,            [GRAPH_MUL] = evaluate_pair,
        [GRAPH_MAX_POOL] = evaluate_window,     [GRAPH_AVERAGE_POOL] = evaluate_window,
        [GRAPH_GLOBAL_AVERAGE] = evaluate_global_average, [GRAPH_RESHAPE] = evaluate_reshape,
        [GRAPH_TRANSPOSE] = evaluate_transpose, [GRAPH_CONCAT] = evaluate_concat,
        [GRAPH_SOFTMAX] = evaluate_softmax,     [GRAPH_DROPOUT] = evaluate_copy,
        [GRAPH_NOISE] = evaluate_copy,          [GRAPH_IDENTITY] = evaluate_copy,
    };
    e->x = operand(e, 0);
    e->y = &e->values[e->node->output];
    assert_non_null(e->x->data); /* topological order */
    if (graph_is_general(e->node->op))
        evaluate_general(e);
    else
        table[e->node->op](e);
    if (e->node->activation != GRAPH_LINEAR_ACTIVATION || graph_input(e->node, 3) != GRAPH_NONE)
        evaluate_epilogue(e);
}

/* The first output for the input [dims of rank 4]; its shape must be what the graph says.  Free data. */
static struct array evaluate_graph(const struct graph *graph, const int64_t dims[4], const float *input)
{
    struct evaluation e = {.graph = graph, .values = calloc((size_t)graph->tensor_count, sizeof(struct array))};
    struct array result;
    assert_non_null(e.values);
    for (int i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i].data) {
            array_make(&e.values[i], graph->tensors[i].rank, graph->tensors[i].dims);
            memcpy(e.values[i].data, graph->tensors[i].data, array_size(&e.values[i]) * sizeof(float));
        }
    array_make(&e.values[graph->input], 4, dims);
    memcpy(e.values[graph->input].data, input, array_size(&e.values[graph->input]) * sizeof(float));
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_tensor *said = &graph->tensors[graph->nodes[i].output];
        e.node = &graph->nodes[i];
        evaluate_node(&e);
        assert_int_equal(e.y->rank, said->rank);
        for (int d = 0; d < said->rank; d++)
            assert_true(said->dims[d] == -1 || said->dims[d] == e.y->dims[d]);
    }
    result = e.values[graph->outputs[0]];
    e.values[graph->outputs[0]].data = NULL;
    for (int i = 0; i < graph->tensor_count; i++)
        free(e.values[i].data);
    free(e.values);
    return result;
}

#endif
