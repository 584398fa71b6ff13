/* Quantisation: numbers on the grid of an integer type, as float32. */
#include <math.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* A scale and a zero point, which is 0 where the file has none. */
static enum infomask_status read_parts(struct onnx_import *im, int part[2])
{
    enum infomask_status status = onnx_any_input(im, 1, &part[0]);

    if (status != INFOMASK_OK)
        return status;
    return onnx_has(im, 2) ? onnx_any_input(im, 2, &part[1]) : onnx_new_scalar(im, 0, &part[1]);
}

/* One number each, for all elements, a scale above zero and a zero point of the type. */
static bool are_single(const struct onnx_import *im, const int part[2], float low, float high)
{
    float zero;

    for (int i = 0; i < 2; i++)
        if (tensor_at(im, part[i])->data == NULL || graph_elements(tensor_at(im, part[i])) != 1)
            return false;
    zero = tensor_at(im, part[1])->data[0];
    return tensor_at(im, part[0])->data[0] > 0 && zero >= low && zero <= high;
}

static enum infomask_status channel_shape(struct onnx_import *im, int *operand, int rank, int64_t axis)
{
    struct graph_tensor t = *tensor_at(im, *operand);
    int64_t dims[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};

    if (t.rank == 0 || graph_elements(&t) == 1)
        return onnx_step_reshape(im, *operand, 0, dims, operand);
    if (t.rank != 1 || !onnx_axis(&axis, rank))
        return onnx_unsupported(im, "only one scale for all, or one for each index of an axis, is supported");
    dims[axis] = t.dims[0];
    return onnx_step_reshape(im, *operand, rank, dims, operand);
}

static void integer_range(int32_t type, float *low, float *high)
{
    bool is_signed = type == ONNX_INT8 || type == ONNX_INT16 || type == ONNX_INT4;
    int bits = type == ONNX_INT16 || type == ONNX_UINT16 ? 16 : type == ONNX_INT4 || type == ONNX_UINT4 ? 4 : 8;

    *low = is_signed ? -(float)(1 << (bits - 1)) : 0;
    *high = *low + (float)((1 << bits) - 1);
}

/* x / scale, rounded, + zero, clamped, step by step: a scale for each index of an axis, or one that is computed. */
static enum infomask_status spell_quantize(struct onnx_import *im, int x, int part[2], float low, float high)
{
    int64_t axis = onnx_attribute_int(im, "axis", 1);
    int rank = tensor_at(im, x)->rank, bound;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; status == INFOMASK_OK && i < 2; i++)
        status = channel_shape(im, &part[i], rank, axis);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, x, part[0], &x);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_ROUND, x, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_PLUS, x, part[1], &x);
    if (status == INFOMASK_OK)
        status = onnx_new_scalar(im, low, &bound);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MOST, x, bound, &x);
    if (status == INFOMASK_OK)
        status = onnx_new_scalar(im, high, &bound);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_LEAST, x, bound, &x);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, x, ONNX_INTEGERS);
}

enum infomask_status onnx_import_quantize(struct onnx_import *im)
{
    int32_t type = onnx_has(im, 2) ? im->inputs[2]->type : (int32_t)onnx_attribute_int(im, "output_dtype", ONNX_UINT8);
    struct graph_node *node;
    float low, high;
    int x, part[2];
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK && onnx_attribute_int(im, "block_size", 0) > 0)
        return onnx_unsupported(im, "blocks with scales are supported for weights of the file only");
    if (status == INFOMASK_OK)
        status = read_parts(im, part);
    if (status != INFOMASK_OK)
        return status;
    if (onnx_has(im, 2) && tensor_at(im, part[1])->data == NULL)
        return onnx_unsupported(im, "its zero point is computed while the network runs"); /* of which type? */
    integer_range(type, &low, &high);
    if (!are_single(im, part, low, high))
        return spell_quantize(im, x, part, low, high);
    node = onnx_general(im, GRAPH_QUANTIZE, &x, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = GRAPH_INTEGERS;
    node->alpha = tensor_at(im, part[0])->data[0];
    node->beta = tensor_at(im, part[1])->data[0];
    node->low = low;
    node->high = high;
    return onnx_result(im, node, ONNX_INTEGERS);
}

/* A constant of nothing but that number, which leaves other constants as they are: no copies are made of weights. */
static bool leaves(const struct onnx_import *im, int x, int operand, float number)
{
    const struct graph_tensor *t = tensor_at(im, operand);
    bool all = graph_is_constant(im->graph, x) && t->data != NULL;

    for (size_t i = 0; all && i < graph_elements(t); i++)
        all = t->data[i] == number;
    return all;
}

/* The integers are of a QuantizeLinear of the same scale and zero point: there and back is one step of its own. */
static bool comes_back(const struct onnx_import *im, int x, const int part[2])
{
    const struct graph_node *maker = onnx_maker(im, x);

    return maker != NULL && maker->op == GRAPH_QUANTIZE && maker->function == GRAPH_INTEGERS &&
           are_single(im, part, maker->low, maker->high) && maker->alpha == tensor_at(im, part[0])->data[0] &&
           maker->beta == tensor_at(im, part[1])->data[0];
}

#define FAR 200 /* nodes: readers of a tensor are seldom further apart */

/* What an earlier reader of the same integers has made of them; GRAPH_NONE: nothing that is near. */
static int back_already(const struct onnx_import *im, const struct graph_node *there)
{
    int last = im->graph->node_count - 1;

    for (int i = last; i >= 0 && i > last - FAR; i--) {
        const struct graph_node *node = &im->graph->nodes[i];
        if (node->op == GRAPH_QUANTIZE && node->function == GRAPH_AND_BACK && node->inputs[0] == there->inputs[0] &&
            node->alpha == there->alpha && node->beta == there->beta && node->low == there->low &&
            node->high == there->high)
            return node->output;
    }
    return GRAPH_NONE;
}

static enum infomask_status there_and_back(struct onnx_import *im, int integers)
{
    const struct graph_node there = *onnx_maker(im, integers); /* the nodes may move */
    int already = back_already(im, &there);
    struct graph_node *node;

    if (already >= 0)
        return onnx_output_is(im, 0, already, ONNX_FLOATS);
    node = onnx_general(im, GRAPH_QUANTIZE, &there.inputs[0], 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = GRAPH_AND_BACK;
    node->alpha = there.alpha;
    node->beta = there.beta;
    node->low = there.low;
    node->high = there.high;
    return onnx_result(im, node, ONNX_FLOATS);
}

enum infomask_status onnx_import_dequantize(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 1);
    int x, part[2];
    enum infomask_status status;

    if (onnx_attribute_int(im, "block_size", 0) > 0)
        return onnx_import_blocks(im);
    status = onnx_any_input(im, 0, &x);
    if (status == INFOMASK_OK)
        status = read_parts(im, part);
    if (status == INFOMASK_OK && comes_back(im, x, part))
        return there_and_back(im, x);
    for (int i = 0; status == INFOMASK_OK && i < 2; i++)
        status = channel_shape(im, &part[i], tensor_at(im, x)->rank, axis);
    if (status == INFOMASK_OK && !leaves(im, x, part[1], 0))
        status = onnx_step_binary(im, GRAPH_MINUS, x, part[1], &x);
    if (status == INFOMASK_OK && !leaves(im, x, part[0], 1))
        status = onnx_step_binary(im, GRAPH_TIMES, x, part[0], &x);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, x, ONNX_FLOATS);
}
