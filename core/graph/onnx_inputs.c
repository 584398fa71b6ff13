/* Inputs and attributes of the node that is being imported, as its operator wants to have them. */
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

/* ---- Inputs ------------------------------------------------------------------------------------------------------ */

static enum infomask_status need_input(struct onnx_import *im, int i)
{
    return onnx_has(im, i) ? INFOMASK_OK : onnx_broken(im, "input %d is missing", i);
}

/* Zeros around an activation, as a node of their own. */
static enum infomask_status pad_node(struct onnx_import *im, const struct onnx_value *value, int *tensor)
{
    struct graph_node *node = onnx_general(im, GRAPH_PAD, &value->tensor, 1, 8);

    if (node == NULL)
        return onnx_no_memory(im);
    node->function = GRAPH_PAD_CONSTANT;
    for (int i = 0; i < 2; i++) {
        node->table->v[2 + i] = value->pads[i];
        node->table->v[6 + i] = value->pads[2 + i];
    }
    return onnx_step(im, node, tensor);
}

enum infomask_status onnx_tensor_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = need_input(im, i);

    if (status != INFOMASK_OK)
        return status;
    if (im->inputs[i]->kind != ONNX_TENSOR)
        return onnx_unsupported(im, "input %d is not a tensor of floats", i);
    if (im->inputs[i]->padded)
        return pad_node(im, im->inputs[i], tensor);
    *tensor = im->inputs[i]->tensor;
    return INFOMASK_OK;
}

static enum infomask_status constant_of_list(struct onnx_import *im, const struct onnx_ints *ints, int *tensor)
{
    int64_t count = ints->count;
    float *data;
    enum infomask_status status;

    if (count == 0)
        return onnx_unsupported(im, "it computes with a tensor without elements");
    status = graph_new_constant(im->graph, ints->rank, &count, tensor, &data, im->err);
    for (int i = 0; status == INFOMASK_OK && i < ints->count; i++) {
        if (ints->item[i].kind != ONNX_INT_KNOWN)
            return onnx_unsupported(im, "it computes with a size that is not known from the file");
        data[i] = (float)ints->item[i].value;
    }
    return status;
}

enum infomask_status onnx_any_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = need_input(im, i);

    if (status != INFOMASK_OK)
        return status;
    if (im->inputs[i]->kind == ONNX_INTS)
        return constant_of_list(im, im->inputs[i]->ints, tensor);
    return onnx_tensor_input(im, i, tensor);
}

enum infomask_status onnx_constant_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = onnx_tensor_input(im, i, tensor);

    if (status != INFOMASK_OK)
        return status;
    if (!graph_is_constant(im->graph, *tensor))
        return onnx_unsupported(im, "input %d is not a constant", i);
    return INFOMASK_OK;
}

enum infomask_status onnx_scalar_input(struct onnx_import *im, int i, float *value)
{
    int tensor;
    enum infomask_status status = onnx_any_input(im, i, &tensor);

    if (status != INFOMASK_OK)
        return status;
    if (!graph_is_constant(im->graph, tensor))
        return onnx_unsupported(im, "input %d is computed while the network runs", i);
    if (graph_elements(&im->graph->tensors[tensor]) != 1)
        return onnx_broken(im, "input %d is not one number", i);
    *value = im->graph->tensors[tensor].data[0];
    return INFOMASK_OK;
}

int64_t onnx_integer(float value)
{
    const float most = 0x1p62f; /* more is no size or index */
    return value >= most ? (int64_t)most : value <= -most ? -(int64_t)most : value == value ? (int64_t)value : 0;
}

/* A constant of the graph that holds few integers becomes a list as well. */
static enum infomask_status list_of_constant(struct onnx_import *im, struct onnx_value *value)
{
    const struct graph_tensor *t = &im->graph->tensors[value->tensor];
    size_t n = graph_elements(t);

    if (value->ints != NULL || t->data == NULL || value->padded || t->rank > 1 || n > ONNX_MAX_INTS ||
        value->numbers == ONNX_FLOATS)
        return INFOMASK_OK;
    value->ints = calloc(1, sizeof *value->ints);
    if (value->ints == NULL)
        return onnx_no_memory(im);
    value->ints->rank = t->rank;
    value->ints->count = (int)n;
    for (size_t i = 0; i < n; i++)
        value->ints->item[i].value = onnx_integer(t->data[i]);
    return INFOMASK_OK;
}

enum infomask_status onnx_ints_input(struct onnx_import *im, int i, const struct onnx_ints **ints)
{
    enum infomask_status status = need_input(im, i);

    if (status != INFOMASK_OK)
        return status;
    if (im->inputs[i]->kind == ONNX_TENSOR)
        status = list_of_constant(im, im->inputs[i]);
    if (status != INFOMASK_OK || im->inputs[i]->ints == NULL)
        return onnx_unsupported(im, "input %d is not a list of integers that can be known from the file", i);
    *ints = im->inputs[i]->ints;
    return INFOMASK_OK;
}

/* ---- Attributes -------------------------------------------------------------------------------------------------- */

const Onnx__AttributeProto *onnx_node_attribute(const Onnx__NodeProto *node, const char *name)
{
    for (size_t i = 0; i < node->n_attribute; i++)
        if (strcmp(onnx_text(node->attribute[i]->name), name) == 0)
            return node->attribute[i];
    return NULL;
}

const Onnx__AttributeProto *onnx_attribute(const struct onnx_import *im, const char *name)
{
    return onnx_node_attribute(im->node, name);
}

int64_t onnx_attribute_int(const struct onnx_import *im, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    return a != NULL && a->has_i ? a->i : fallback;
}

float onnx_attribute_float(const struct onnx_import *im, const char *name, float fallback)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    return a != NULL && a->has_f ? a->f : fallback;
}

bool onnx_attribute_ints(const struct onnx_import *im, const char *name, int64_t *values, size_t count)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);

    if (a == NULL)
        return true;
    if (a->n_ints != count)
        return false;
    memcpy(values, a->ints, count * sizeof *values);
    return true;
}

void onnx_attribute_text(const struct onnx_import *im, const char *name, char *out, size_t size)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    size_t length = a != NULL && a->has_s ? a->s.len : 0;

    length = length < size ? length : size - 1;
    if (length)
        memcpy(out, a->s.data, length);
    out[length] = 0;
}

/* ---- Lists and axes ---------------------------------------------------------------------------------------------- */

enum infomask_status onnx_list(struct onnx_import *im, int input, const char *attribute, int64_t *v, int *count)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, attribute);
    const struct onnx_ints *ints;
    enum infomask_status status;

    *count = -1;
    if (input >= 0 && onnx_has(im, input)) {
        status = onnx_ints_input(im, input, &ints);
        for (int i = 0; status == INFOMASK_OK && i < ints->count; i++) {
            if (ints->item[i].kind != ONNX_INT_KNOWN)
                return onnx_unsupported(im, "it needs a size that is not known from the file");
            v[i] = ints->item[i].value;
        }
        *count = status != INFOMASK_OK ? -1 : ints->count;
        return status;
    }
    if (a == NULL)
        return INFOMASK_OK;
    if (a->n_ints > ONNX_MAX_INTS)
        return onnx_broken(im, "attribute %s has too many numbers", attribute);
    for (size_t i = 0; i < a->n_ints; i++)
        v[i] = a->ints[i];
    *count = (int)a->n_ints;
    return INFOMASK_OK;
}

bool onnx_axis(int64_t *axis, int rank)
{
    *axis += *axis < 0 ? rank : 0;
    return *axis >= 0 && *axis < rank;
}
