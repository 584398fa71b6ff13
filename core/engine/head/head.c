/* What a graph's structure says beyond its arithmetic: the pooled linear head, the tensors worth a tap, and what
 * depends on noise. */
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/engine/head/layers.h"

/* The node that makes a tensor, NULL for the input. */
static struct graph_node *maker(const struct engine_model *model, int tensor)
{
    int node = tensor < 0 ? GRAPH_NONE : graph_producer(model->graph, tensor);
    return node < model->first ? NULL : &model->graph->nodes[node];
}

/* Back over what leaves a vector as it is. */
static int skip_shape_changes(const struct engine_model *model, int tensor)
{
    const struct graph_node *node = maker(model, tensor);

    while (node != NULL && (node->op == GRAPH_RESHAPE || node->op == GRAPH_DROPOUT || node->op == GRAPH_NOISE ||
                            node->op == GRAPH_IDENTITY)) {
        tensor = node->inputs[0];
        node = maker(model, tensor);
    }
    return tensor;
}

/* Classes of each item of a vector, -1 if that is not known. */
static int64_t last_dim(const struct engine_model *model, int tensor)
{
    const struct graph_tensor *t = &model->graph->tensors[tensor];
    return t->rank > 0 ? t->dims[t->rank - 1] : -1;
}

static bool is_probabilities(const struct graph_node *node)
{
    return node != NULL && (node->op == GRAPH_SOFTMAX || node->activation == GRAPH_SIGMOID);
}

/* Back over the end of the network, from its output to the logits: a Softmax, a Sigmoid of its own, the logarithm of a
 * Softmax, or one number an item that is taken from all classes, as LogSoftmax does: log-probabilities are logits up to
 * such a number.  Probabilities that are rounded to a grid are still those, but have no logits: GRAPH_NONE. */
static int find_logits(struct engine_model *model)
{
    int tensor = skip_shape_changes(model, model->output);
    const struct graph_node *node = maker(model, tensor), *inner;
    bool logarithm = node != NULL && node->op == GRAPH_UNARY && node->function == GRAPH_LOG;
    bool grid = node != NULL && node->op == GRAPH_QUANTIZE;

    inner = grid ? maker(model, skip_shape_changes(model, node->inputs[0])) : NULL;
    if (is_probabilities(inner)) {
        model->info.softmax_output = inner->op == GRAPH_SOFTMAX;
        model->info.squashed = inner->op != GRAPH_SOFTMAX;
        return GRAPH_NONE;
    }
    if (logarithm)
        node = maker(model, skip_shape_changes(model, node->inputs[0]));
    if (node != NULL && node->op == GRAPH_SOFTMAX) {
        model->info.softmax_output = !logarithm;
        tensor = node->inputs[0];
    } else if (node != NULL && node->activation == GRAPH_SIGMOID && !logarithm) {
        model->info.squashed = true;
        tensor = node->op == GRAPH_ACTIVATION ? node->inputs[0] : tensor;
    }
    for (;;) {
        tensor = skip_shape_changes(model, tensor);
        node = maker(model, tensor);
        if (node == NULL || node->op != GRAPH_BINARY || node->function != GRAPH_MINUS || model->info.squashed ||
            last_dim(model, node->inputs[1]) != 1 || last_dim(model, node->inputs[0]) < 2)
            return tensor;
        tensor = node->inputs[0];
    }
}

/* (a Sigmoid in its epilogue is not the logits') */
static bool is_head(const struct engine_model *model, const struct graph_node *node)
{
    const struct graph_window *w = &node->window;
    bool unit = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->groups == 1;
    bool linear = node->activation == GRAPH_LINEAR_ACTIVATION ||
                  (node->activation == GRAPH_SIGMOID && model->info.squashed);

    return (node->op == GRAPH_LINEAR || (node->op == GRAPH_CONV && unit)) && linear && graph_input(node, 3) < 0;
}

static struct graph_node *noise_before(const struct engine_model *model, int tensor)
{
    struct graph_node *node = maker(model, tensor);

    while (node != NULL && (node->op == GRAPH_RESHAPE || node->op == GRAPH_IDENTITY))
        node = maker(model, node->inputs[0]);
    return node != NULL && (node->op == GRAPH_DROPOUT || node->op == GRAPH_NOISE) ? node : NULL;
}

/* Puts a DROPOUT between the head and its input; the head's node moves one on. */
static enum infomask_status insert_dropout(struct engine_model *model, struct infomask_error *err)
{
    struct graph *graph = model->graph;
    int x = graph->nodes[model->head].inputs[0];
    struct graph_tensor like = graph->tensors[x];
    int y = graph_add_tensor(graph, "head_dropout", like.rank, like.dims, NULL, false);
    int last = y < 0 ? GRAPH_NONE : graph_add_node(graph, GRAPH_DROPOUT, "head_dropout", &x, 1, y);
    struct graph_node node;

    if (last < 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    node = graph->nodes[last];
    node.ratio = model->options.head_dropout;
    memmove(&graph->nodes[model->head + 1], &graph->nodes[model->head],
            (size_t)(last - model->head) * sizeof node);
    graph->nodes[model->head] = node;
    model->head++;
    graph->nodes[model->head].inputs[0] = y;
    return INFOMASK_OK;
}

/* Does the head multiply the features' channels?  (A reshape may have cut them otherwise.) */
static bool takes_channels(const struct graph *graph, const struct graph_node *head, int features)
{
    const struct graph_tensor *x = &graph->tensors[features], *w = &graph->tensors[head->inputs[1]];

    return x->rank != 4 || x->dims[1] < 1 || x->dims[1] == w->dims[1];
}

enum infomask_status head_find(struct engine_model *model, struct infomask_error *err)
{
    struct graph *graph = model->graph;
    struct graph_node *node = maker(model, find_logits(model)), *pool, *noise;

    model->head = model->features = GRAPH_NONE;
    if (node == NULL || !is_head(model, node))
        return INFOMASK_OK;
    pool = maker(model, skip_shape_changes(model, node->inputs[0]));
    if (pool == NULL || pool->op != GRAPH_GLOBAL_AVERAGE || !takes_channels(graph, node, pool->inputs[0]))
        return INFOMASK_OK;
    model->head = (int)(node - graph->nodes);
    model->features = pool->inputs[0];
    model->info.pooled_head = true;
    model->info.head = ENGINE_HEAD_LINEAR;
    if (!(model->options.head_dropout > 0))
        return INFOMASK_OK;
    noise = noise_before(model, node->inputs[0]);
    if (noise == NULL)
        return insert_dropout(model, err);
    noise->op = GRAPH_DROPOUT; /* the model folder's word wins over the file's */
    noise->ratio = model->options.head_dropout;
    return INFOMASK_OK;
}

enum infomask_status head_find_layers(struct engine_model *model, const struct shape *shapes,
                                      struct infomask_error *err)
{
    int logits = find_logits(model);

    return model->info.pooled_head || logits < 0 ? INFOMASK_OK : head_layers_find(model, logits, shapes, err);
}

bool head_has_mean(const struct engine_model *model)
{
    const struct graph *graph = model->graph;

    for (int i = model->first; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (node->op == GRAPH_REDUCE && node->function == GRAPH_MEAN && graph->tensors[node->inputs[0]].rank == 3 &&
            (node->axes == 1U << 1 || node->axes == 1U << 2))
            return true;
    }
    return false;
}

enum infomask_status head_copy(struct engine_model *model, struct infomask_error *err)
{
    const struct graph_node *node;
    const struct graph_tensor *w;
    size_t n, k;

    if (model->head < 0)
        return INFOMASK_OK;
    node = &model->graph->nodes[model->head];
    w = &model->graph->tensors[node->inputs[1]];
    n = (size_t)w->dims[0];
    k = (size_t)w->dims[1];
    model->head_w = aligned_new(n * k * sizeof(float));
    model->head_b = aligned_new(n * sizeof(float));
    if (model->head_w == NULL || model->head_b == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's head");
    memcpy(model->head_w, w->data, n * k * sizeof(float));
    memset(model->head_b, 0, n * sizeof(float));
    if (graph_input(node, 2) >= 0)
        memcpy(model->head_b, model->graph->tensors[node->inputs[2]].data, n * sizeof(float));
    model->info.features = (int)k;
    model->info.head_w = model->head_w;
    model->info.head_b = model->head_b;
    return INFOMASK_OK;
}

static bool is_area(const struct shape *s) { return shape_is_map(s) && s->d[2] * s->d[3] > 1; }

/* An ADD of two maps, alone or in a convolution's epilogue. */
static bool is_residual_sum(const struct engine_model *model, const struct graph_node *node, const struct shape *shapes)
{
    if (!is_area(&shapes[node->output]))
        return false;
    if (node->op == GRAPH_CONV)
        return graph_input(node, 3) >= 0;
    return node->op == GRAPH_ADD && !model_is_constant(model, node->inputs[1]) &&
           shape_same(&shapes[node->inputs[0]], &shapes[node->inputs[1]]);
}

/* Is the map the last of its height and width? */
static bool last_of_resolution(const struct engine_model *model, int node, const struct shape *shapes)
{
    const struct shape *s = &shapes[model->graph->nodes[node].output];

    if (!is_area(s))
        return false;
    for (int i = node + 1; i < model->graph->node_count; i++) {
        const struct shape *other = &shapes[model->graph->nodes[i].output];
        if (is_area(other) && other->d[2] == s->d[2] && other->d[3] == s->d[3])
            return false;
    }
    return true;
}

enum infomask_status taps_find(struct engine_model *model, const struct shape *shapes, struct infomask_error *err)
{
    const struct graph *graph = model->graph;
    int *count = &model->info.tap_count;

    model->taps = calloc((size_t)graph->node_count + 1, sizeof *model->taps);
    if (model->taps == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    for (int i = model->first; i < graph->node_count; i++)
        if (is_residual_sum(model, &graph->nodes[i], shapes))
            model->taps[(*count)++] = graph->nodes[i].output;
    for (int i = model->first, none = *count == 0; none && i < graph->node_count; i++)
        if (last_of_resolution(model, i, shapes))
            model->taps[(*count)++] = graph->nodes[i].output;
    return INFOMASK_OK;
}

static bool is_noise(const struct graph_node *node)
{
    return (node->op == GRAPH_DROPOUT && node->ratio > 0) || (node->op == GRAPH_NOISE && node->sigma > 0);
}

/* Marks what depends on noise, and what those nodes read of the rest. */
enum infomask_status noise_find(struct engine_model *model, struct infomask_error *err)
{
    const struct graph *graph = model->graph;

    model->noisy = calloc((size_t)graph->tensor_count, sizeof *model->noisy);
    model->kept = calloc((size_t)graph->tensor_count, sizeof *model->kept);
    if (model->noisy == NULL || model->kept == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    for (int i = model->first; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        bool noisy = is_noise(node);
        for (int j = 0; j < node->input_count; j++)
            noisy = noisy || (node->inputs[j] >= 0 && model->noisy[node->inputs[j]]);
        model->noisy[node->output] = noisy;
        for (int j = 0; noisy && j < node->input_count; j++)
            if (node->inputs[j] >= 0 && !model_is_constant(model, node->inputs[j]) && !model->noisy[node->inputs[j]])
                model->kept[node->inputs[j]] = true;
        model->info.noise = model->info.noise || noisy;
    }
    model->info.noise = model->noisy[model->output];
    return INFOMASK_OK;
}
