/* The trained network as a graph in the file's own layout (N, C, H, W), written as ONNX. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "core/train/fit.h"

struct export {
    const struct train_net *net;
    struct graph *graph;
    int tensor;         /* the last one made */
    bool whole;         /* height and width are free: any size runs */
    bool failed;        /* out of memory, or a limit of the graph */
};

static int constant(struct export *ex, int rank, const int64_t *dims, float *data)
{
    int tensor = data != NULL ? graph_add_tensor(ex->graph, NULL, rank, dims, data, true) : GRAPH_NONE;

    if (tensor == GRAPH_NONE) {
        free(data);
        ex->failed = true;
    }
    return tensor;
}

/* [C_out][h][w][C_in] -> [C_out][C_in][h][w] */
static float *channels_first(const float *w, size_t out, size_t pixels, size_t in)
{
    float *to = malloc(out * pixels * in * sizeof *to);

    for (size_t o = 0; o < out && to != NULL; o++)
        for (size_t p = 0; p < pixels; p++)
            for (size_t i = 0; i < in; i++)
                to[(o * in + i) * pixels + p] = w[(o * pixels + p) * in + i];
    return to;
}

static int vector(struct export *ex, const float *values, int count)
{
    int64_t dims[1] = {count};
    float *copy = malloc((size_t)count * sizeof *copy);

    if (copy != NULL)
        memcpy(copy, values, (size_t)count * sizeof *copy);
    return constant(ex, 1, dims, copy);
}

/* A node behind the last tensor; its output becomes the last tensor. */
static struct graph_node *append(struct export *ex, enum graph_op op, const int *more, int more_count, int rank,
                                 const int64_t *dims, const char *name)
{
    int inputs[8] = {ex->tensor}, output, node;

    for (int i = 0; i < more_count; i++) {
        inputs[1 + i] = more[i];
        ex->failed = ex->failed || more[i] == GRAPH_NONE;
    }
    if (ex->failed)
        return NULL;
    output = graph_add_tensor(ex->graph, name, rank, dims, NULL, false);
    node = output == GRAPH_NONE ? GRAPH_NONE : graph_add_node(ex->graph, op, NULL, inputs, 1 + more_count, output);
    if (node == GRAPH_NONE) {
        ex->failed = true;
        return NULL;
    }
    ex->tensor = output;
    return &ex->graph->nodes[node];
}

static struct graph_node *append_image(struct export *ex, enum graph_op op, const int *more, int more_count,
                                       const struct train_layer *layer)
{
    int64_t dims[4] = {-1, layer->out.c, ex->whole ? -1 : layer->out.h, ex->whole ? -1 : layer->out.w};
    return append(ex, op, more, more_count, 4, dims, NULL);
}

static void set_window(struct graph_node *node, const struct train_layer *layer)
{
    if (node == NULL)
        return;
    node->window.kernel_h = layer->kernel_h;
    node->window.kernel_w = layer->kernel_w;
    node->window.stride_h = node->window.stride_w = layer->stride;
    node->window.pad_top = node->window.pad_bottom = layer->pad_h;
    node->window.pad_left = node->window.pad_right = layer->pad_w;
}

static void add_conv(struct export *ex, const struct train_layer *layer)
{
    bool depthwise = layer->kind == TRAIN_DEPTHWISE;
    size_t window = (size_t)layer->kernel_h * (size_t)layer->kernel_w, in = (size_t)layer->in.c;
    int64_t dims[4] = {layer->out.c, depthwise ? 1 : layer->in.c, layer->kernel_h, layer->kernel_w};
    float *w = channels_first(layer->weights.value, depthwise ? 1 : (size_t)layer->out.c, window, in);
    int inputs[2];
    struct graph_node *node;

    inputs[0] = constant(ex, 4, dims, w);
    inputs[1] = vector(ex, layer->bias.value, layer->out.c);
    node = append_image(ex, GRAPH_CONV, inputs, 2, layer);
    set_window(node, layer);
    if (node != NULL && depthwise)
        node->window.groups = layer->in.c;
}

static void add_norm(struct export *ex, const struct train_layer *layer)
{
    int inputs[4] = {vector(ex, layer->weights.value, layer->in.c), vector(ex, layer->bias.value, layer->in.c),
                     vector(ex, layer->running_mean, layer->in.c), vector(ex, layer->running_variance, layer->in.c)};
    struct graph_node *node = append_image(ex, GRAPH_BATCH_NORM, inputs, 4, layer);

    if (node != NULL)
        node->epsilon = layer->epsilon;
}

/* Activation, dropout and noise keep the shape of what they follow. */
static void add_pointwise(struct export *ex, const struct train_layer *layer)
{
    static const enum graph_op ops[] = {
        [TRAIN_ACTIVATION] = GRAPH_ACTIVATION, [TRAIN_DROPOUT] = GRAPH_DROPOUT, [TRAIN_NOISE] = GRAPH_NOISE};
    const struct graph_tensor *last = &ex->graph->tensors[ex->tensor];
    int64_t dims[GRAPH_MAX_RANK];
    struct graph_node *node;

    memcpy(dims, last->dims, sizeof dims);
    node = append(ex, ops[layer->kind], NULL, 0, last->rank, dims, NULL);
    if (node == NULL)
        return;
    node->activation = isinf(layer->low) ? GRAPH_LEAKY_RELU : GRAPH_CLAMP;
    node->low = layer->low;
    node->high = layer->high;
    node->alpha = layer->slope;
    node->ratio = layer->ratio;
    node->sigma = layer->sigma;
}

/* Linear layers see [N, features]; what has pixels is flattened first, in the file's order. */
static void add_linear(struct export *ex, const struct train_layer *layer, bool last)
{
    size_t pixels = (size_t)layer->in.h * (size_t)layer->in.w, in = (size_t)layer->in.c;
    int64_t flat[2] = {-1, (int64_t)(pixels * in)}, dims[2] = {layer->out.c, flat[1]}, out[2] = {-1, layer->out.c};
    int inputs[2];

    if (ex->graph->tensors[ex->tensor].rank != 2)
        (void)append(ex, GRAPH_RESHAPE, NULL, 0, 2, flat, NULL);
    inputs[0] = constant(ex, 2, dims, channels_first(layer->weights.value, (size_t)layer->out.c, pixels, in));
    inputs[1] = vector(ex, layer->bias.value, layer->out.c);
    (void)append(ex, GRAPH_LINEAR, inputs, 2, 2, out, last ? "logits" : NULL);
}

static void add_layer(struct export *ex, const struct train_layer *layer, bool last)
{
    switch (layer->kind) {
    case TRAIN_CONV:
    case TRAIN_DEPTHWISE:
        add_conv(ex, layer);
        break;
    case TRAIN_BATCH_NORM:
        add_norm(ex, layer);
        break;
    case TRAIN_MAX_POOL:
        set_window(append_image(ex, GRAPH_MAX_POOL, NULL, 0, layer), layer);
        break;
    case TRAIN_AVERAGE_POOL:
        set_window(append_image(ex, GRAPH_AVERAGE_POOL, NULL, 0, layer), layer);
        break;
    case TRAIN_GLOBAL_AVERAGE:
        ex->whole = false;
        (void)append_image(ex, GRAPH_GLOBAL_AVERAGE, NULL, 0, layer);
        break;
    case TRAIN_LINEAR:
        add_linear(ex, layer, last);
        break;
    default:
        add_pointwise(ex, layer);
    }
}

/* Height and width may stay free if all that needs them is a global average. */
static bool any_size(const struct train_net *net)
{
    for (int i = 0; i < net->layer_count; i++) {
        if (net->layers[i].kind == TRAIN_GLOBAL_AVERAGE)
            return true;
        if (net->layers[i].kind == TRAIN_LINEAR)
            return false;
    }
    return false;
}

static enum infomask_status build(struct export *ex, struct infomask_error *err)
{
    const struct train_net *net = ex->net;
    struct train_shape in = net->layers[0].in;
    int64_t dims[4];
    int *outputs = malloc(sizeof *outputs);

    ex->whole = any_size(net);
    dims[0] = -1;
    dims[1] = in.c;
    dims[2] = ex->whole ? -1 : in.h;
    dims[3] = ex->whole ? -1 : in.w;
    ex->tensor = graph_add_tensor(ex->graph, "input", 4, dims, NULL, false);
    ex->failed = ex->tensor == GRAPH_NONE || outputs == NULL;
    ex->graph->input = ex->tensor;
    for (int i = 0; i < net->layer_count && !ex->failed; i++)
        add_layer(ex, &net->layers[i], i == net->layer_count - 1);
    if (ex->failed) {
        free(outputs);
        return error_set(err, INFOMASK_MEMORY, "no memory to export the network");
    }
    outputs[0] = ex->tensor;
    free(ex->graph->outputs);
    ex->graph->outputs = outputs;
    ex->graph->output_count = 1;
    return INFOMASK_OK;
}

enum infomask_status train_export(const struct train_net *net, const char *path, bool fold, struct infomask_error *err)
{
    struct export ex = {.net = net, .graph = graph_create()};
    enum infomask_status status;

    if (ex.graph == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to export the network");
    status = build(&ex, err);
    if (status == INFOMASK_OK && fold)
        status = graph_fuse(ex.graph, err);
    if (status == INFOMASK_OK && fold)
        status = graph_prune(ex.graph, err);
    if (status == INFOMASK_OK)
        status = onnx_write(ex.graph, path, err);
    graph_free(ex.graph);
    return status;
}
