/* Two orders of four dimensions meet here: the engine's kernels want pictures as N, H, W, C, general operators work on
 * row-major arrays.  Who does not care keeps what it is given; a turn from one order to the other by the file's own
 * TRANSPOSE is then no work at all, and an IDENTITY between two orders is a copy. */
#include <stdlib.h>
#include <string.h>

#include "core/engine/internal.h"

struct layouts {
    struct engine_model *model;
    bool *wanted;          /* [tensors] somebody behind it wants a map */
    int *other, *order;    /* [tensors] its copy in the other order, 0: none; [nodes] in their new order */
    int tensors, count;
};

static bool is_four(const struct layouts *l, int tensor)
{
    return tensor >= 0 && l->model->graph->tensors[tensor].rank == 4;
}

static bool is_constant(const struct layouts *l, int tensor)
{
    return tensor >= 0 && l->model->graph->tensors[tensor].data != NULL;
}

static bool same_dims(const struct graph_tensor *a, const struct graph_tensor *b)
{
    return a->rank == b->rank && memcmp(a->dims, b->dims, (size_t)a->rank * sizeof *a->dims) == 0;
}

static bool is_single(const struct graph_tensor *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] != 1)
            return false;
    return true;
}

/* Does the node work on elements alone, so that any order is as good? */
static bool is_elementwise(const struct layouts *l, const struct graph_node *node)
{
    const struct graph_tensor *t = l->model->graph->tensors;

    switch (node->op) {
    case GRAPH_ACTIVATION:
    case GRAPH_ADD:
    case GRAPH_MUL:
    case GRAPH_SOFTMAX:
    case GRAPH_DROPOUT:
    case GRAPH_NOISE:
    case GRAPH_IDENTITY:
    case GRAPH_UNARY:
    case GRAPH_QUANTIZE:
        return true;
    case GRAPH_CONCAT:
        for (int i = 0; i < node->input_count; i++)
            if (is_constant(l, node->inputs[i]))
                return false;
        return true;
    case GRAPH_BINARY:
        if (is_constant(l, node->inputs[0]) || t[node->inputs[0]].rank != t[node->output].rank)
            return false; /* a single number of more dimensions gives them to the result */
        return same_dims(&t[node->inputs[0]], &t[node->inputs[1]]) ? !is_constant(l, node->inputs[1])
                                                                   : is_single(&t[node->inputs[1]]);
    default:
        return false;
    }
}

static bool wants_map(const struct graph_node *node)
{
    return node->op == GRAPH_CONV || node->op == GRAPH_MAX_POOL || node->op == GRAPH_AVERAGE_POOL ||
           node->op == GRAPH_GLOBAL_AVERAGE || node->op == GRAPH_BATCH_NORM;
}

/* A Resize of pictures goes either way, and is the faster one pixel by pixel. */
static bool resizes_maps(const struct layouts *l, const struct graph_node *node)
{
    return graph_resizes_pictures(node, &l->model->graph->tensors[node->inputs[0]]);
}

static bool any_order(const struct graph_node *node)
{
    return node->op != GRAPH_IDENTITY && view_copies(node); /* by strides from any order into any */
}

/* From N, C, H, W to N, H, W, C, or back: of a map the one is no work, and makes the other. */
static bool turns(const struct graph_node *node, int last)
{
    static const int to_nhwc[4] = {0, 2, 3, 1}, to_nchw[4] = {0, 3, 1, 2};
    const int *p = last == 1 ? to_nhwc : to_nchw;

    if (node->op != GRAPH_TRANSPOSE)
        return false;
    for (int i = 0; i < 4; i++)
        if (node->permutation[i] != p[i])
            return false;
    return true;
}

static void find_wanted(struct layouts *l)
{
    const struct graph *graph = l->model->graph;

    for (int i = graph->node_count - 1; i >= l->model->first; i--) {
        const struct graph_node *node = &graph->nodes[i];
        bool wants = wants_map(node) ||
                     (l->wanted[node->output] &&
                      (is_elementwise(l, node) || node->op == GRAPH_SLICE || resizes_maps(l, node))) ||
                     (is_four(l, node->inputs[0]) && turns(node, 1) && !l->wanted[node->output]);
        for (int j = 0; wants && j < node->input_count; j++)
            if (is_four(l, node->inputs[j]))
                l->wanted[node->inputs[j]] = true;
    }
}

/* The tensor in the order that is asked for; a new node where it is not there yet. */
static int in_order(struct layouts *l, int tensor, bool plain)
{
    struct graph *graph = l->model->graph;
    int copy, node;

    if (!is_four(l, tensor) || is_constant(l, tensor) || graph->tensors[tensor].plain == plain)
        return tensor;
    if (l->other[tensor] != 0)
        return l->other[tensor];
    copy = graph_add_tensor(graph, NULL, 4, graph->tensors[tensor].dims, NULL, false);
    node = copy < 0 ? GRAPH_NONE : graph_add_node(graph, GRAPH_IDENTITY, "order", &tensor, 1, copy);
    if (node < 0)
        return GRAPH_NONE;
    graph->tensors[copy].plain = plain;
    l->other[tensor] = copy;
    l->order[l->count++] = node;
    return copy;
}

/* The order that a node's output has. */
static bool output_plain(const struct layouts *l, const struct graph_node *node)
{
    const struct graph_tensor *t = l->model->graph->tensors;

    if (wants_map(node))
        return false;
    if (is_four(l, node->inputs[0]) && turns(node, 2) && t[node->inputs[0]].plain)
        return false;
    if (any_order(node))
        return !l->wanted[node->output];
    if (resizes_maps(l, node))
        return t[node->inputs[0]].plain && !l->wanted[node->output];
    for (int i = 0; is_elementwise(l, node) && node->op == GRAPH_CONCAT && i < node->input_count; i++)
        if (is_four(l, node->inputs[i]) && !t[node->inputs[i]].plain)
            return false; /* as a convolution has made it, most likely */
    if (is_elementwise(l, node))
        return is_four(l, node->inputs[0]) ? t[node->inputs[0]].plain : !l->wanted[node->output];
    return true;
}

static bool place(struct layouts *l, int number)
{
    struct graph *graph = l->model->graph;
    bool plain = output_plain(l, &graph->nodes[number]);

    graph->tensors[graph->nodes[number].output].plain = plain && is_four(l, graph->nodes[number].output);
    for (int i = 0; !any_order(&graph->nodes[number]) && i < graph->nodes[number].input_count; i++) {
        int x = graph->nodes[number].inputs[i], y = x < 0 ? x : in_order(l, x, plain);
        if (x >= 0 && y < 0)
            return false;
        graph->nodes[number].inputs[i] = y;
    }
    l->order[l->count++] = number;
    return true;
}

static bool reorder(struct layouts *l)
{
    struct graph *graph = l->model->graph;
    struct graph_node *nodes = calloc((size_t)graph->node_count, sizeof *nodes);

    if (nodes == NULL)
        return false;
    for (int i = 0; i < graph->node_count; i++)
        nodes[i] = graph->nodes[l->order[i]];
    memcpy(graph->nodes, nodes, (size_t)graph->node_count * sizeof *nodes);
    free(nodes);
    return true;
}

enum infomask_status layouts_find(struct engine_model *model, struct infomask_error *err)
{
    struct graph *graph = model->graph;
    struct layouts l = {.model = model, .tensors = graph->tensor_count};
    int nodes = graph->node_count;
    bool fine;

    l.wanted = calloc((size_t)graph->tensor_count + 1, sizeof *l.wanted);
    l.other = calloc(3 * (size_t)graph->tensor_count + 1, sizeof *l.other);
    l.order = calloc((size_t)nodes + (size_t)graph->tensor_count + 1, sizeof *l.order);
    fine = l.wanted != NULL && l.other != NULL && l.order != NULL;
    if (fine)
        find_wanted(&l);
    for (int i = 0; fine && i < model->first; i++)
        l.order[l.count++] = i;
    for (int i = model->first; fine && i < nodes; i++)
        fine = place(&l, i);
    fine = fine && reorder(&l);
    free(l.wanted);
    free(l.other);
    free(l.order);
    return fine ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the network");
}
