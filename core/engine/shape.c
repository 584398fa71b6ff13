#include "core/engine/internal.h"

#include <string.h>

#include "core/base/checked.h"

#define MAX_ELEMENTS INT32_MAX /* of one item of a tensor */

size_t shape_elements(const struct shape *s)
{
    size_t n = 1;

    for (int i = 0; i < s->rank; i++)
        n *= (size_t)s->d[i];
    return n;
}

bool shape_same(const struct shape *a, const struct shape *b)
{
    bool same = a->rank == b->rank;

    for (int i = 0; same && i < a->rank; i++)
        same = a->d[i] == b->d[i];
    return same;
}

void shape_strides(const struct shape *s, size_t strides[GRAPH_MAX_RANK])
{
    size_t n = 1;

    if (shape_is_map(s)) {
        strides[1] = 1;
        strides[3] = (size_t)s->d[1];
        strides[2] = strides[3] * (size_t)s->d[3];
        strides[0] = strides[2] * (size_t)s->d[2];
        return;
    }
    for (int i = s->rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= (size_t)s->d[i];
    }
}

static bool fits(const struct shape *s)
{
    size_t n = 1;

    for (int i = 0; i < s->rank; i++)
        if (s->d[i] < 1 || s->d[i] > MAX_ELEMENTS || !checked_mul(n, (size_t)s->d[i], &n) || n > MAX_ELEMENTS)
            return false;
    return true;
}

static enum infomask_status misfit(struct infomask_error *err, const struct graph_node *node, const char *why)
{
    return error_set(err, INFOMASK_ARGUMENT, "this size of input does not fit the network: %s '%.60s' %s",
                     graph_op_name(node->op), node->name != NULL ? node->name : "", why);
}

static enum infomask_status window_shape(const struct graph_node *node, const struct shape *x, int64_t channels,
                                         struct shape *out, struct infomask_error *err)
{
    out->rank = 4;
    out->d[0] = x->d[0];
    out->d[1] = channels;
    for (int axis = 0; axis < 2; axis++)
        out->d[2 + axis] = graph_window_output(&node->window, axis, x->d[2 + axis], NULL, NULL);
    if (out->d[2] < 1 || out->d[3] < 1)
        return misfit(err, node, "has a window that is larger than its input");
    return INFOMASK_OK;
}

/* y's dims are x's or 1 (constants may have any batch of 1). */
static bool broadcasts(const struct shape *x, const struct shape *y)
{
    bool fine = x->rank == y->rank;

    for (int i = 0; fine && i < x->rank; i++)
        fine = y->d[i] == x->d[i] || y->d[i] == 1;
    return fine;
}

static enum infomask_status reshape_shape(const struct graph *graph, const struct graph_node *node,
                                          const struct shape *x, struct shape *out, struct infomask_error *err)
{
    const struct graph_tensor *target = &graph->tensors[node->output];
    size_t known = 1, count = shape_elements(x);
    int open = -1;

    out->rank = target->rank;
    for (int i = graph->concrete ? 0 : 1; i < target->rank; i++) {
        out->d[i] = target->dims[i];
        if (target->dims[i] < 1)
            open = i;
        else
            known *= (size_t)target->dims[i];
    }
    if (open >= 0 && known > 0 && count % known == 0)
        out->d[open] = (int64_t)(count / known);
    else if (open >= 0 || known != count)
        return misfit(err, node, "wants another number of elements");
    return INFOMASK_OK;
}

static enum infomask_status concat_shape(const struct graph *graph, const struct graph_node *node,
                                         const struct shape *shapes, struct shape *out, struct infomask_error *err)
{
    for (int i = 1; i < node->input_count; i++) {
        const struct shape *s = &shapes[node->inputs[i]];
        if (s->rank != out->rank || node->axis < !graph->concrete || node->axis >= s->rank)
            return misfit(err, node, "joins tensors of different ranks");
        for (int d = !graph->concrete; d < s->rank; d++)
            if (d != node->axis && s->d[d] != out->d[d])
                return misfit(err, node, "joins tensors of different sizes");
        out->d[node->axis] += s->d[node->axis];
    }
    return INFOMASK_OK;
}

static struct graph_array array_of(const struct shape *s)
{
    struct graph_array a = {.rank = s->rank};

    memcpy(a.dims, s->d, sizeof a.dims);
    return a;
}

static enum infomask_status general_shape(const struct graph *graph, const struct graph_node *node,
                                          const struct shape *shapes, struct shape *out, struct infomask_error *err)
{
    struct graph_array inputs[4], y = {.rank = graph->tensors[node->output].rank};
    enum infomask_status status;

    memcpy(y.dims, graph->tensors[node->output].dims, sizeof y.dims);
    for (int i = 0; i < node->input_count && i < 4; i++)
        inputs[i] = node->inputs[i] < 0 ? (struct graph_array){.rank = -1} : array_of(&shapes[node->inputs[i]]);
    status = graph_general_shape(node, inputs, &y, err);
    out->rank = y.rank;
    memcpy(out->d, y.dims, sizeof out->d);
    return status == INFOMASK_UNSUPPORTED_MODEL ? INFOMASK_ARGUMENT : status;
}

enum infomask_status shape_of_node(const struct graph *graph, const struct graph_node *node, const struct shape *shapes,
                                   struct shape *out, struct infomask_error *err)
{
    const struct shape *x = &shapes[node->inputs[0]];
    const struct graph_tensor *w = graph_input(node, 1) < 0 ? NULL : &graph->tensors[node->inputs[1]];
    enum infomask_status status = INFOMASK_OK;

    *out = *x;
    switch (node->op) {
    case GRAPH_CONV:
        if (x->rank != 4 || x->d[1] != w->dims[1] * node->window.groups)
            return misfit(err, node, "wants another number of channels");
        status = window_shape(node, x, w->dims[0], out, err);
        break;
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        if (x->rank != 4)
            return misfit(err, node, "wants a map");
        status = window_shape(node, x, x->d[1], out, err);
        break;
    case GRAPH_LINEAR:
        if (x->rank < 2 || x->d[x->rank - 1] != w->dims[1])
            return misfit(err, node, "wants another number of inputs");
        out->d[x->rank - 1] = w->dims[0];
        break;
    case GRAPH_ADD:
    case GRAPH_MUL:
        if (!broadcasts(x, &shapes[node->inputs[1]]))
            return misfit(err, node, "has operands of different sizes");
        break;
    case GRAPH_GLOBAL_AVERAGE:
        if (x->rank != 4)
            return misfit(err, node, "wants a map");
        out->rank = graph->tensors[node->output].rank;
        out->d[2] = out->d[3] = 1;
        break;
    case GRAPH_RESHAPE:
        status = reshape_shape(graph, node, x, out, err);
        break;
    case GRAPH_TRANSPOSE:
        for (int i = 0; i < x->rank; i++)
            out->d[i] = x->d[node->permutation[i]];
        break;
    case GRAPH_CONCAT:
        status = concat_shape(graph, node, shapes, out, err);
        break;
    case GRAPH_BATCH_NORM:
    case GRAPH_ACTIVATION:
    case GRAPH_SOFTMAX:
    case GRAPH_DROPOUT:
    case GRAPH_NOISE:
    case GRAPH_IDENTITY:
        break;
    default:
        status = general_shape(graph, node, shapes, out, err);
        break;
    }
    out->plain = graph->tensors[node->output].plain;
    if ((node->op == GRAPH_CONV || node->op == GRAPH_LINEAR) && graph_input(node, 3) >= 0 &&
        !shape_same(out, &shapes[node->inputs[3]]))
        return misfit(err, node, "adds a tensor of another size");
    if (status == INFOMASK_OK && !fits(out))
        return error_set(err, INFOMASK_LIMIT, "this size of input makes a tensor of the network too large");
    return status;
}

/* Of the tensor that runs take, and of the file's own where that is the same picture as N, H, W, C. */
static void input_shapes(const struct engine_model *model, int h, int w, struct shape *shapes)
{
    struct shape *s = &shapes[model->input];

    *s = (struct shape){.rank = model->graph->tensors[model->input].rank, .d = {1, model->info.channels}};
    if (s->rank == 4) {
        s->d[2] = h;
        s->d[3] = w;
    }
    if (model->graph->concrete) {
        const struct graph_tensor *t = &model->graph->tensors[model->input];
        for (int i = 0; i < s->rank; i++)
            s->d[i] = i > 1 && s->rank == 4 ? s->d[i] : t->dims[i];
    }
    if (model->input != model->graph->input)
        shapes[model->graph->input] = (struct shape){.rank = 4, .d = {s->d[0], h, w, model->info.channels}};
}

enum infomask_status shapes_infer(const struct engine_model *model, int h, int w, struct shape *shapes,
                                  struct infomask_error *err)
{
    const struct graph *graph = model->graph;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < graph->tensor_count; i++) {
        shapes[i] = (struct shape){.rank = graph->tensors[i].rank, .plain = graph->tensors[i].plain};
        for (int d = 0; d < shapes[i].rank; d++)
            shapes[i].d[d] = graph->tensors[i].dims[d] > 0 ? graph->tensors[i].dims[d] : 1;
    }
    input_shapes(model, h, w, shapes);
    if (!fits(&shapes[model->input]))
        return error_set(err, INFOMASK_ARGUMENT, "an input of %d x %d does not fit the network", w, h);
    for (int i = model->first; i < graph->node_count && status == INFOMASK_OK; i++)
        status = shape_of_node(graph, &graph->nodes[i], shapes, &shapes[graph->nodes[i].output], err);
    return status;
}
