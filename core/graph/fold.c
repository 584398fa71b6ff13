/* Computes what depends on constants only, once, and takes identities out of the graph. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/graph/graph.h"
#include "core/graph/internal.h"

struct graph_array graph_array_of(const struct graph *graph, int tensor)
{
    struct graph_array a = {.rank = -1};

    if (tensor == GRAPH_NONE)
        return a;
    a.rank = graph->tensors[tensor].rank;
    for (int i = 0; i < a.rank; i++)
        a.dims[i] = graph->tensors[tensor].dims[i];
    a.data = graph->tensors[tensor].data;
    return a;
}

static void row_strides(const struct graph_tensor *tensor, size_t *strides)
{
    size_t stride = 1;

    for (int i = tensor->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= (size_t)tensor->dims[i];
    }
}

/* Walks the row-major elements of `shape` and keeps the offset that other strides give them. */
struct walk {
    const struct graph_tensor *shape;
    size_t strides[GRAPH_MAX_RANK], offset;
    int64_t index[GRAPH_MAX_RANK];
};

static void walk_next(struct walk *walk)
{
    for (int i = walk->shape->rank - 1; i >= 0; i--) {
        walk->offset += walk->strides[i];
        if (++walk->index[i] < walk->shape->dims[i])
            return;
        walk->offset -= walk->strides[i] * (size_t)walk->shape->dims[i];
        walk->index[i] = 0;
    }
}

static void fold_pair(const struct graph_node *node, const struct graph_tensor *x, const struct graph_tensor *y,
                      float *out)
{
    struct walk walk = {.shape = x};
    size_t n = graph_elements(x);

    row_strides(y, walk.strides);
    for (int i = 0; i < y->rank; i++)
        if (y->dims[i] == 1)
            walk.strides[i] = 0;
    for (size_t i = 0; i < n; i++, walk_next(&walk)) {
        float a = x->data[i], b = y->data[walk.offset];
        out[i] = graph_activate(node, node->op == GRAPH_ADD ? a + b : a * b);
    }
}

static void fold_transpose(const struct graph_node *node, const struct graph_tensor *x, const struct graph_tensor *y,
                           float *out)
{
    struct walk walk = {.shape = y};
    size_t strides[GRAPH_MAX_RANK], n = graph_elements(x);

    row_strides(x, strides);
    for (int i = 0; i < y->rank; i++)
        walk.strides[i] = strides[node->permutation[i]];
    for (size_t i = 0; i < n; i++, walk_next(&walk))
        out[i] = x->data[walk.offset];
}

static void fold_concat(const struct graph *graph, const struct graph_node *node, float *out)
{
    const struct graph_tensor *y = graph_output_tensor(graph, node);
    size_t rows = 1, inner = 1, at = 0;

    for (int i = 0; i < node->axis; i++)
        rows *= (size_t)y->dims[i];
    for (int i = node->axis + 1; i < y->rank; i++)
        inner *= (size_t)y->dims[i];
    for (size_t row = 0; row < rows; row++) {
        for (int i = 0; i < node->input_count; i++) {
            const struct graph_tensor *x = &graph->tensors[node->inputs[i]];
            size_t n = inner * (size_t)x->dims[node->axis];
            memcpy(out + at, x->data + row * n, n * sizeof *out);
            at += n;
        }
    }
}

static bool can_fold(enum graph_op op)
{
    return op == GRAPH_ADD || op == GRAPH_MUL || op == GRAPH_ACTIVATION || op == GRAPH_RESHAPE ||
           op == GRAPH_TRANSPOSE || op == GRAPH_CONCAT || op == GRAPH_IDENTITY || graph_is_general(op);
}

static void fold_general(const struct graph *graph, const struct graph_node *node, float *out)
{
    struct graph_array inputs[GRAPH_GENERAL_INPUTS], y = graph_array_of(graph, node->output);

    for (int i = 0; i < node->input_count; i++)
        inputs[i] = graph_array_of(graph, node->inputs[i]);
    graph_general_compute(node, inputs, &y, out);
}

static void fold_value(const struct graph *graph, const struct graph_node *node, float *out)
{
    const struct graph_tensor *x = &graph->tensors[node->inputs[0]];
    size_t n = graph_elements(x);

    if (graph_is_general(node->op))
        fold_general(graph, node, out);
    else if (node->op == GRAPH_ADD || node->op == GRAPH_MUL)
        fold_pair(node, x, &graph->tensors[node->inputs[1]], out);
    else if (node->op == GRAPH_TRANSPOSE)
        fold_transpose(node, x, graph_output_tensor(graph, node), out);
    else if (node->op == GRAPH_CONCAT)
        fold_concat(graph, node, out);
    else if (node->op == GRAPH_ACTIVATION)
        for (size_t i = 0; i < n; i++)
            out[i] = graph_activate(node, x->data[i]);
    else
        memcpy(out, x->data, n * sizeof *out);
}

/* Multiplications and the like for each element of the output. */
static size_t work_each(const struct graph *graph, const struct graph_node *node)
{
    const struct graph_tensor *x = &graph->tensors[node->inputs[0]];
    const struct graph_tensor *w = graph_input(node, 1) != GRAPH_NONE ? &graph->tensors[node->inputs[1]] : NULL;

    switch (node->op) {
    case GRAPH_MATMUL:
        return x->rank > 0 ? (size_t)x->dims[x->rank - 1] : 1;
    case GRAPH_CONV_ND:
        return w != NULL && w->rank > 0 && w->dims[0] > 0 ? graph_elements(w) / (size_t)w->dims[0] : 1;
    case GRAPH_POOL_ND: /* at most the whole of a channel */
        return x->rank > 2 && x->dims[0] * x->dims[1] > 0 ? graph_elements(x) / (size_t)(x->dims[0] * x->dims[1]) : 1;
    case GRAPH_LRN:
        return node->axis > 0 ? (size_t)node->axis : 1;
    default:
        return 1;
    }
}

static enum infomask_status spend_work(struct graph *graph, const struct graph_node *node, struct infomask_error *err)
{
    size_t work;

    if (!checked_mul(graph_elements(graph_output_tensor(graph, node)), work_each(graph, node), &work) ||
        work > graph->work)
        return graph_refuse(err, INFOMASK_UNSUPPORTED_MODEL, node, "its constants take too long to compute");
    graph->work -= work;
    return INFOMASK_OK;
}

enum infomask_status graph_fold_node(struct graph *graph, int index, bool *folded, struct infomask_error *err)
{
    const struct graph_node *node = &graph->nodes[index];
    struct graph_tensor *y = graph_output_tensor(graph, node);
    enum infomask_status status;
    float *data;
    int made;

    *folded = y->data != NULL;
    if (*folded)
        return INFOMASK_OK;
    for (int i = 0; i < node->input_count; i++)
        if (!graph_is_constant(graph, node->inputs[i]) && node->inputs[i] != GRAPH_NONE)
            return INFOMASK_OK;
    if (!can_fold(node->op))
        return graph_refuse(err, INFOMASK_UNSUPPORTED_MODEL, node, "it depends on constants only");
    if (graph_elements(y) == 0)
        return graph_refuse(err, INFOMASK_BAD_MODEL, node, "its output shape is not known");
    status = graph_is_general(node->op) ? spend_work(graph, node, err) : INFOMASK_OK;
    if (status == INFOMASK_OK)
        status = graph_new_constant(graph, y->rank, y->dims, &made, &data, err);
    if (status != INFOMASK_OK)
        return status;
    y = graph_output_tensor(graph, node); /* the tensors may have moved */
    fold_value(graph, node, data);
    for (size_t i = 0, n = graph_elements(y); i < n; i++)
        if (graph_is_general(node->op) ? isnan(data[i]) : !isfinite(data[i])) /* a mask may hold infinities */
            return graph_refuse(err, INFOMASK_BAD_MODEL, node, "its constants give values that are not finite");
    /* the node's own tensor becomes the constant; the new one gives its data away and is pruned later */
    y->data = data;
    y->owned = true;
    graph->tensors[made].owned = false;
    graph->tensors[made].data = NULL;
    *folded = true;
    return INFOMASK_OK;
}

/* Follows the numbers that identities were replaced by. */
static void redirect(struct graph *graph, const int *target)
{
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] != GRAPH_NONE)
                graph->nodes[i].inputs[j] = target[graph->nodes[i].inputs[j]];
    for (int i = 0; i < graph->output_count; i++)
        graph->outputs[i] = target[graph->outputs[i]];
}

static bool is_identity(const struct graph_node *node)
{
    return node->op == GRAPH_IDENTITY ||
           (node->op == GRAPH_ACTIVATION && node->activation == GRAPH_LINEAR_ACTIVATION);
}

static bool is_output(const struct graph *graph, int tensor)
{
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == tensor)
            return true;
    return false;
}

/* The tensor that readers of an identity's output read instead takes over the name of an output of the graph. */
static bool take_name(struct graph *graph, int from, int to)
{
    struct graph_tensor *a = &graph->tensors[from], *b = &graph->tensors[to];
    char *name = a->name;

    if (!is_output(graph, from))
        return true;
    if (to == graph->input || b->data != NULL || is_output(graph, to))
        return false; /* the identity stays: an output of its own is wanted */
    a->name = b->name;
    b->name = name;
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] == from)
            graph->outputs[i] = to;
    return true;
}

enum infomask_status graph_fold_constants(struct graph *graph, struct infomask_error *err)
{
    bool *dead = calloc((size_t)graph->node_count + 1, sizeof *dead);
    int before = graph->tensor_count;
    int *target = calloc((size_t)before + 1, sizeof *target);
    enum infomask_status status = INFOMASK_OK;

    if (dead == NULL || target == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory to fold the model's constants");
    for (int i = 0; status == INFOMASK_OK && i < before; i++)
        target[i] = i;
    for (int i = 0; status == INFOMASK_OK && i < graph->node_count; i++) {
        struct graph_node *node = &graph->nodes[i];
        int x = graph_input(node, 0);
        status = graph_fold_node(graph, i, &dead[i], err);
        if (status != INFOMASK_OK || dead[i] || !is_identity(node) || !take_name(graph, node->output, target[x]))
            continue;
        target[node->output] = target[x];
        dead[i] = true;
    }
    if (status == INFOMASK_OK) {
        redirect(graph, target);
        graph_remove_nodes(graph, dead);
    }
    free(dead);
    free(target);
    return status;
}
