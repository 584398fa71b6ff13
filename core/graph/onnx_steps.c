/* What a node becomes: nodes of the graph, inferred and folded at once, and the values that its outputs stand for. */
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

static enum infomask_status define_output(struct onnx_import *im, int i, struct onnx_value **value)
{
    const char *name = (size_t)i < im->node->n_output ? im->node->output[i] : "";
    bool taken;

    if (!*name)
        return onnx_broken(im, "it has no output");
    *value = onnx_define(im, name, &taken);
    if (*value != NULL)
        return INFOMASK_OK;
    return taken ? onnx_broken(im, "tensor '%s' is made twice", shown_name(name).text) : onnx_no_memory(im);
}

static enum infomask_status define_tensor(struct onnx_import *im, int i, int tensor, enum onnx_numbers numbers,
                                          struct onnx_value **value)
{
    enum infomask_status status = define_output(im, i, value);

    if (status != INFOMASK_OK)
        return status;
    (*value)->kind = ONNX_TENSOR;
    (*value)->tensor = tensor;
    (*value)->numbers = numbers;
    return INFOMASK_OK;
}

enum infomask_status onnx_is_tensor(struct onnx_import *im, int tensor)
{
    struct onnx_value *value;
    return define_tensor(im, 0, tensor, ONNX_FLOATS, &value);
}

enum infomask_status onnx_output_is(struct onnx_import *im, int i, int tensor, enum onnx_numbers numbers)
{
    struct onnx_value *value;

    if ((size_t)i >= im->node->n_output || !*im->node->output[i])
        return INFOMASK_OK;
    return define_tensor(im, i, tensor, numbers, &value);
}

enum infomask_status onnx_is_padded(struct onnx_import *im, int tensor, const int64_t pads[4])
{
    struct onnx_value *value;
    enum infomask_status status = define_tensor(im, 0, tensor, onnx_numbers_of(im, 0), &value);

    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < 4; i++) {
        value->pads[i] = pads[i];
        value->padded = value->padded || pads[i] != 0;
    }
    return INFOMASK_OK;
}

enum infomask_status onnx_is_random(struct onnx_import *im, int like, float sigma)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);

    if (status != INFOMASK_OK)
        return status;
    value->kind = ONNX_RANDOM;
    value->tensor = like;
    value->sigma = sigma;
    return INFOMASK_OK;
}

enum infomask_status onnx_is_sequence(struct onnx_import *im, const struct onnx_parts *parts, enum onnx_numbers numbers)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);

    if (status != INFOMASK_OK)
        return status;
    value->parts = malloc(sizeof *value->parts);
    if (value->parts == NULL)
        return onnx_no_memory(im);
    *value->parts = *parts;
    value->kind = ONNX_SEQUENCE;
    value->numbers = numbers;
    return INFOMASK_OK;
}

enum infomask_status onnx_is_ints(struct onnx_import *im, const struct onnx_ints *ints)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);

    if (status != INFOMASK_OK)
        return status;
    value->ints = malloc(sizeof *value->ints);
    if (value->ints == NULL)
        return onnx_no_memory(im);
    *value->ints = *ints;
    value->kind = ONNX_INTS;
    return INFOMASK_OK;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

enum infomask_status onnx_reshape_constant(struct onnx_import *im, int tensor, int rank, const int64_t *dims,
                                           int *reshaped)
{
    struct graph_tensor *t = &im->graph->tensors[tensor];
    size_t count = graph_elements(t);
    float *data;
    enum infomask_status status;

    if (t->rank == rank && memcmp(t->dims, dims, (size_t)rank * sizeof *dims) == 0) {
        *reshaped = tensor;
        return INFOMASK_OK;
    }
    status = graph_new_constant(im->graph, rank, dims, reshaped, &data, im->err);
    if (status != INFOMASK_OK)
        return status;
    memcpy(data, im->graph->tensors[tensor].data, count * sizeof *data);
    return INFOMASK_OK;
}

struct graph_node *onnx_begin(struct onnx_import *im, enum graph_op op, const int *inputs, int count)
{
    const char *name = im->node->n_output ? im->node->output[0] : NULL;
    int output = graph_add_tensor(im->graph, name, 0, NULL, NULL, false), node;

    if (output == GRAPH_NONE)
        return NULL;
    node = graph_add_node(im->graph, op, im->node->name, inputs, count, output);
    return node == GRAPH_NONE ? NULL : &im->graph->nodes[node];
}

enum infomask_status onnx_finish(struct onnx_import *im, struct graph_node *node, bool is_output)
{
    int index = (int)(node - im->graph->nodes), output = node->output;
    bool folded;
    enum infomask_status status = graph_infer_node(im->graph, index, im->err);

    if (status == INFOMASK_OK)
        status = graph_fold_node(im->graph, index, &folded, im->err);
    if (status != INFOMASK_OK)
        return status;
    return is_output ? onnx_is_tensor(im, output) : INFOMASK_OK;
}

/* In an import the numbers of the nodes' outputs rise with the nodes'. */
const struct graph_node *onnx_maker(const struct onnx_import *im, int tensor)
{
    int low = 0, high = im->graph->node_count;

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (im->graph->nodes[middle].output < tensor)
            low = middle + 1;
        else
            high = middle;
    }
    return low < im->graph->node_count && im->graph->nodes[low].output == tensor ? &im->graph->nodes[low] : NULL;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------- */

struct graph_node *onnx_general(struct onnx_import *im, enum graph_op op, const int *inputs, int count, size_t table)
{
    struct graph_node *node = onnx_begin(im, op, inputs, count);

    if (node == NULL || table == 0)
        return node;
    node->table = calloc(1, sizeof *node->table + table * sizeof *node->table->v);
    if (node->table == NULL)
        return NULL;
    node->table->count = table;
    return node;
}

enum infomask_status onnx_step(struct onnx_import *im, struct graph_node *node, int *out)
{
    *out = node->output;
    return onnx_finish(im, node, false);
}

enum infomask_status onnx_result(struct onnx_import *im, struct graph_node *node, enum onnx_numbers numbers)
{
    int output = node->output;
    enum infomask_status status = onnx_finish(im, node, false);

    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, output, numbers);
}

enum infomask_status onnx_step_binary(struct onnx_import *im, enum graph_function function, int a, int b, int *out)
{
    const int inputs[2] = {a, b};
    struct graph_node *node = onnx_general(im, GRAPH_BINARY, inputs, 2, 0);

    if (node == NULL)
        return onnx_no_memory(im);
    node->function = function;
    return onnx_step(im, node, out);
}

enum infomask_status onnx_step_unary(struct onnx_import *im, enum graph_function function, int x, int *out)
{
    struct graph_node *node = onnx_general(im, GRAPH_UNARY, &x, 1, 0);

    if (node == NULL)
        return onnx_no_memory(im);
    node->function = function;
    return onnx_step(im, node, out);
}

enum infomask_status onnx_step_reduce(struct onnx_import *im, enum graph_function function, int x, unsigned axes,
                                      bool keep, int *out)
{
    struct graph_node *node = onnx_general(im, GRAPH_REDUCE, &x, 1, 0);

    if (node == NULL)
        return onnx_no_memory(im);
    node->function = function;
    node->axes = axes;
    node->keep_dims = keep;
    return onnx_step(im, node, out);
}

enum infomask_status onnx_step_reshape(struct onnx_import *im, int x, int rank, const int64_t *dims, int *out)
{
    struct graph_node *node = onnx_general(im, GRAPH_RESHAPE, &x, 1, 0);
    struct graph_tensor *y;

    if (node == NULL)
        return onnx_no_memory(im);
    y = &im->graph->tensors[node->output];
    y->rank = rank;
    memcpy(y->dims, dims, (size_t)rank * sizeof *dims);
    return onnx_step(im, node, out);
}

enum infomask_status onnx_step_transpose(struct onnx_import *im, int x, const int *permutation, int *out)
{
    struct graph_node *node = onnx_general(im, GRAPH_TRANSPOSE, &x, 1, 0);

    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < im->graph->tensors[x].rank; i++)
        node->permutation[i] = permutation[i];
    return onnx_step(im, node, out);
}

enum infomask_status onnx_new_scalar(struct onnx_import *im, float value, int *out)
{
    float *data;
    enum infomask_status status = graph_new_constant(im->graph, 0, NULL, out, &data, im->err);

    if (status == INFOMASK_OK)
        *data = value;
    return status;
}
