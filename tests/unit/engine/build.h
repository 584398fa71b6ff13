/* Building small networks by hand, layer by layer. */
#ifndef TESTS_UNIT_ENGINE_BUILD_H
#define TESTS_UNIT_ENGINE_BUILD_H

#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/graph/graph.h"

#define SEED 77

static struct random_stream rng;

struct net {
    struct graph *graph;
    int last; /* tensor */
};

static int constant(struct net *net, int rank, const int64_t *dims, double low, double high)
{
    size_t n = 1;
    float *data;
    int tensor;

    for (int i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    data = malloc(n * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)(low + (high - low) * random_unit(&rng));
    tensor = graph_add_tensor(net->graph, NULL, rank, dims, data, true);
    assert_true(tensor >= 0);
    return tensor;
}

static int vector(struct net *net, int64_t n, double low, double high) { return constant(net, 1, &n, low, high); }

static int activation(struct net *net, int rank)
{
    static const int64_t dims[GRAPH_MAX_RANK] = {-1, -1, -1, -1, -1, -1};
    int tensor = graph_add_tensor(net->graph, NULL, rank, dims, NULL, false);
    assert_true(tensor >= 0);
    return tensor;
}

static struct net net_new(int channels, int rank)
{
    int64_t dims[4] = {-1, channels, -1, -1};
    struct net net = {.graph = graph_create()};

    assert_non_null(net.graph);
    net.last = net.graph->input = graph_add_tensor(net.graph, "input", rank, dims, NULL, false);
    return net;
}

static struct graph_node *node(struct net *net, enum graph_op op, const int *inputs, int count, int rank)
{
    int output = activation(net, rank), number = graph_add_node(net->graph, op, graph_op_name(op), inputs, count, output);
    assert_true(number >= 0);
    net->last = output;
    return &net->graph->nodes[number];
}

static struct graph_node *unary(struct net *net, enum graph_op op) {
    int x = net->last;
    return node(net, op, &x, 1, net->graph->tensors[x].rank);
}

struct conv {
    int c, m, k, stride, pad, groups, dilation, residual;
    enum graph_activation activation;
};

static struct graph_node *conv(struct net *net, struct conv v)
{
    int groups = v.groups == 0 ? 1 : v.groups, dilation = v.dilation == 0 ? 1 : v.dilation;
    int64_t dims[4] = {v.m, v.c / groups, v.k, v.k};
    double scale = 1.7 / sqrt(v.c / groups * v.k * v.k);
    int inputs[4] = {net->last, constant(net, 4, dims, -scale, scale), vector(net, v.m, -.5, .5), v.residual};
    struct graph_node *n = node(net, GRAPH_CONV, inputs, v.residual > 0 ? 4 : 3, 4);

    n->window.kernel_h = n->window.kernel_w = v.k;
    n->window.stride_h = n->window.stride_w = v.stride == 0 ? 1 : v.stride;
    n->window.dilation_h = n->window.dilation_w = dilation;
    n->window.pad_top = n->window.pad_left = n->window.pad_bottom = n->window.pad_right = v.pad;
    n->window.groups = groups;
    n->activation = v.activation;
    n->low = 0;
    n->high = 6;
    n->alpha = v.activation == GRAPH_LEAKY_RELU ? .1f : .2f;
    n->beta = .5f;
    return n;
}

static inline void pool_by(struct net *net, enum graph_op op, int k, int stride, int pad)
{
    struct graph_node *n = unary(net, op);
    n->window.kernel_h = n->window.kernel_w = k;
    n->window.stride_h = n->window.stride_w = stride;
    n->window.pad_top = n->window.pad_left = n->window.pad_bottom = n->window.pad_right = pad;
    n->window.ceil_mode = pad == 0;
    n->window.count_include_pad = k == 2;
}

static inline void reshape_to(struct net *net, int rank, const int64_t *dims)
{
    int x = net->last;
    (void)node(net, GRAPH_RESHAPE, &x, 1, rank);
    for (int i = 0; i < rank; i++)
        net->graph->tensors[net->last].dims[i] = dims[i];
}

static void linear(struct net *net, int k, int n)
{
    int64_t dims[2] = {n, k};
    int inputs[3] = {net->last, constant(net, 2, dims, -1 / sqrt(k), 1 / sqrt(k)), vector(net, n, -1, 1)};
    (void)node(net, GRAPH_LINEAR, inputs, 3, 2);
}

/* The last dimension of any number, k numbers of it to n. */
static inline void linear_rows(struct net *net, int k, int n)
{
    int64_t dims[2] = {n, k};
    int rank = net->graph->tensors[net->last].rank;
    int inputs[3] = {net->last, constant(net, 2, dims, -1 / sqrt(k), 1 / sqrt(k)), vector(net, n, -1, 1)};
    (void)node(net, GRAPH_LINEAR, inputs, 3, rank);
}

static inline void turn(struct net *net, const int *permutation)
{
    struct graph_node *n = unary(net, GRAPH_TRANSPOSE);
    for (int i = 0; i < net->graph->tensors[net->last].rank; i++)
        n->permutation[i] = permutation[i];
}

static inline struct graph_table *table_for(struct graph_node *n, size_t count)
{
    n->table = calloc(1, sizeof *n->table + count * sizeof *n->table->v);
    assert_non_null(n->table);
    n->table->count = count;
    return n->table;
}

/* Indices [from, to) of a dimension, all of the others. */
static inline void slice_of(struct net *net, int axis, int64_t from, int64_t to, int64_t step)
{
    struct graph_node *n = unary(net, GRAPH_SLICE);
    int rank = net->graph->tensors[net->last].rank;
    int64_t *v = table_for(n, 3 * (size_t)rank)->v;

    for (int i = 0; i < rank; i++) {
        v[i] = i == axis ? from : 0;
        v[rank + i] = i == axis ? to : INT64_MAX;
        v[2 * rank + i] = i == axis ? step : 1;
    }
}

/* One index of a dimension, which goes. */
static inline void gather_one(struct net *net, int axis, int64_t index)
{
    int x = net->last;
    struct graph_node *n = node(net, GRAPH_GATHER, &x, 1, net->graph->tensors[x].rank - 1);

    n->axis = axis;
    table_for(n, 2)->v[1] = index;
}

static inline void scale_by(struct net *net, double factor)
{
    static const int64_t ones[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int rank = net->graph->tensors[net->last].rank;
    int pair[2] = {net->last, constant(net, rank, ones, factor, factor)};

    (void)node(net, GRAPH_MUL, pair, 2, rank);
}

static void finish(struct net *net)
{
    free(net->graph->outputs);
    net->graph->outputs = malloc(sizeof *net->graph->outputs);
    assert_non_null(net->graph->outputs);
    net->graph->outputs[0] = net->last;
    net->graph->output_count = 1;
}

static void pooled_head(struct net *net, int c, int classes)
{
    int x = net->last;
    (void)node(net, GRAPH_GLOBAL_AVERAGE, &x, 1, 2);
    linear(net, c, classes);
    finish(net);
}

#endif
