/* Attention (opset 23): softmax(cap(scale Q K') + mask) V, spelt out in the steps that other exporters write. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* [N, L, heads D] to [N, heads, L, D]; what has four dimensions already stays. */
static enum infomask_status split_heads(struct onnx_import *im, int64_t heads, int *x)
{
    static const int turn[4] = {0, 2, 1, 3};
    const struct graph_tensor t = *tensor_at(im, *x);
    int64_t dims[4] = {t.dims[0], t.dims[1], heads, 0};
    enum infomask_status status;

    if (t.rank == 4)
        return INFOMASK_OK;
    if (t.rank != 3 || heads < 1 || t.dims[2] < 1 || t.dims[2] % heads != 0)
        return onnx_broken(im, "its heads do not fit its inputs");
    dims[3] = t.dims[2] / heads;
    status = onnx_step_reshape(im, *x, 4, dims, x);
    return status != INFOMASK_OK ? status : onnx_step_transpose(im, *x, turn, x);
}

/* Heads of keys or values that several heads of queries share: each as often as it is read. */
static enum infomask_status repeat_heads(struct onnx_import *im, int64_t heads, int *x)
{
    const struct graph_tensor t = *tensor_at(im, *x);
    int64_t dims[5] = {t.dims[0], t.dims[1], 1, t.dims[2], t.dims[3]}, own = t.dims[1];
    struct graph_node *node;
    enum infomask_status status;

    if (own == heads)
        return INFOMASK_OK;
    if (own < 1 || heads % own != 0)
        return onnx_broken(im, "%lld heads of queries for %lld of keys", (long long)heads, (long long)own);
    status = onnx_step_reshape(im, *x, 5, dims, x);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_EXPAND, x, 1, 5);
    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < 5; i++)
        node->table->v[i] = i == 2 ? heads / own : 1;
    status = onnx_step(im, node, x);
    dims[1] = heads;
    dims[2] = t.dims[2];
    dims[3] = t.dims[3];
    return status != INFOMASK_OK ? status : onnx_step_reshape(im, *x, 4, dims, x);
}

static enum infomask_status product(struct onnx_import *im, int a, int b, int *out)
{
    const int inputs[2] = {a, b};
    struct graph_node *node = onnx_general(im, GRAPH_MATMUL, inputs, 2, 0);

    return node != NULL ? onnx_step(im, node, out) : onnx_no_memory(im);
}

static enum infomask_status times(struct onnx_import *im, int x, float factor, int *out)
{
    int y = GRAPH_NONE;
    enum infomask_status status = onnx_new_scalar(im, factor, &y);

    return status != INFOMASK_OK ? status : onnx_step_binary(im, GRAPH_TIMES, x, y, out);
}

/* No query sees keys behind it: 1 where it may look, 0 elsewhere. */
static enum infomask_status causal(struct onnx_import *im, int scores, int *allowed)
{
    const struct graph_tensor t = *tensor_at(im, scores);
    const int64_t dims[2] = {t.dims[2], t.dims[3]};
    float *data;
    enum infomask_status status;

    if (dims[0] < 1 || dims[1] < 1)
        return onnx_unsupported(im, "a causal mask of a size that the file leaves open");
    status = graph_new_constant(im->graph, 2, dims, allowed, &data, im->err);
    for (int64_t i = 0; status == INFOMASK_OK && i < dims[0]; i++)
        for (int64_t j = 0; j < dims[1]; j++)
            data[i * dims[1] + j] = j <= i ? 1 : 0;
    return status;
}

/* Where queries may look at all (GRAPH_NONE: everywhere): a mask of truths, and not ahead. */
static enum infomask_status find_allowed(struct onnx_import *im, int scores, int *allowed)
{
    bool truths = onnx_has(im, 3) && onnx_numbers_of(im, 3) == ONNX_TRUTHS;
    int mask = GRAPH_NONE;
    enum infomask_status status = INFOMASK_OK;

    *allowed = GRAPH_NONE;
    if (onnx_attribute_int(im, "is_causal", 0))
        status = causal(im, scores, allowed);
    if (status == INFOMASK_OK && truths)
        status = onnx_any_input(im, 3, &mask);
    if (status == INFOMASK_OK && mask != GRAPH_NONE && *allowed != GRAPH_NONE)
        status = onnx_step_binary(im, GRAPH_TIMES, mask, *allowed, &mask);
    *allowed = mask != GRAPH_NONE ? mask : *allowed;
    return status;
}

/* Scores of what is not allowed are as low as they can be; a mask of numbers is added. */
static enum infomask_status add_masks(struct onnx_import *im, int allowed, int *scores)
{
    int inputs[3] = {allowed, GRAPH_NONE, GRAPH_NONE}, mask;
    struct graph_node *node;
    enum infomask_status status = INFOMASK_OK;

    if (allowed != GRAPH_NONE) {
        status = onnx_new_scalar(im, 0, &inputs[1]);
        if (status == INFOMASK_OK)
            status = onnx_new_scalar(im, -FLT_MAX, &inputs[2]);
        node = status != INFOMASK_OK ? NULL : onnx_general(im, GRAPH_WHERE, inputs, 3, 0);
        if (node == NULL)
            return status != INFOMASK_OK ? status : onnx_no_memory(im);
        status = onnx_step(im, node, &mask);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, GRAPH_PLUS, *scores, mask, scores);
    }
    if (status != INFOMASK_OK || !onnx_has(im, 3) || onnx_numbers_of(im, 3) == ONNX_TRUTHS)
        return status;
    status = onnx_any_input(im, 3, &mask);
    return status != INFOMASK_OK ? status : onnx_step_binary(im, GRAPH_PLUS, *scores, mask, scores);
}

static enum infomask_status cap(struct onnx_import *im, int *scores)
{
    float most = onnx_attribute_float(im, "softcap", 0);
    enum infomask_status status = INFOMASK_OK;

    if (most > 0)
        status = times(im, *scores, 1 / most, scores);
    if (status == INFOMASK_OK && most > 0)
        status = onnx_step_unary(im, GRAPH_TANH, *scores, scores);
    return status != INFOMASK_OK || !(most > 0) ? status : times(im, *scores, most, scores);
}

/* Softmax; a query that may look nowhere gets nothing. */
static enum infomask_status shares(struct onnx_import *im, int allowed, int *scores)
{
    struct graph_node *node = onnx_begin(im, GRAPH_SOFTMAX, scores, 1);
    enum infomask_status status;

    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = 3;
    status = onnx_step(im, node, scores);
    if (status != INFOMASK_OK || allowed == GRAPH_NONE || onnx_numbers_of(im, 3) != ONNX_TRUTHS)
        return status;
    return onnx_step_binary(im, GRAPH_TIMES, *scores, allowed, scores);
}

/* Q, K, V as [N, heads, L, D]. */
static enum infomask_status read_operands(struct onnx_import *im, int x[3])
{
    int64_t heads[3] = {onnx_attribute_int(im, "q_num_heads", 0), onnx_attribute_int(im, "kv_num_heads", 0), 0};
    enum infomask_status status = INFOMASK_OK;

    heads[2] = heads[1];
    for (int i = 0; status == INFOMASK_OK && i < 3; i++) {
        status = onnx_any_input(im, i, &x[i]);
        if (status == INFOMASK_OK)
            status = split_heads(im, heads[i], &x[i]);
    }
    for (int i = 1; status == INFOMASK_OK && i < 3; i++)
        status = repeat_heads(im, tensor_at(im, x[0])->dims[1], &x[i]);
    return status;
}

/* [N, heads, L, D] back to [N, L, heads D]. */
static enum infomask_status join_heads(struct onnx_import *im, int *x)
{
    static const int turn[4] = {0, 2, 1, 3};
    const struct graph_tensor t = *tensor_at(im, *x);
    const int64_t dims[3] = {t.dims[0], t.dims[2], t.dims[1] * t.dims[3]};
    enum infomask_status status = onnx_step_transpose(im, *x, turn, x);

    return status != INFOMASK_OK ? status : onnx_step_reshape(im, *x, 3, dims, x);
}

enum infomask_status onnx_import_attention(struct onnx_import *im)
{
    static const int turn[4] = {0, 1, 3, 2};
    int x[3], keys = GRAPH_NONE, y = GRAPH_NONE, allowed = GRAPH_NONE;
    bool joined = onnx_has(im, 0) && im->inputs[0]->kind == ONNX_TENSOR &&
                  tensor_at(im, im->inputs[0]->tensor)->rank == 3;
    float scale;
    enum infomask_status status;

    for (int i = 4; i < 7; i++)
        if (onnx_has(im, i))
            return onnx_unsupported(im, "past keys and values");
    for (size_t i = 1; i < im->node->n_output; i++)
        if (*im->node->output[i])
            return onnx_unsupported(im, "more than its first output");
    status = read_operands(im, x);
    if (status != INFOMASK_OK)
        return status;
    scale = onnx_attribute_float(im, "scale", 0);
    if (!(scale > 0))
        scale = (float)(1 / sqrt((double)tensor_at(im, x[0])->dims[3]));
    status = onnx_step_transpose(im, x[1], turn, &keys);
    if (status == INFOMASK_OK)
        status = times(im, x[0], scale, &x[0]);
    if (status == INFOMASK_OK)
        status = product(im, x[0], keys, &y);
    if (status == INFOMASK_OK)
        status = find_allowed(im, y, &allowed);
    if (status == INFOMASK_OK)
        status = cap(im, &y);
    if (status == INFOMASK_OK)
        status = add_masks(im, allowed, &y);
    if (status == INFOMASK_OK)
        status = shares(im, allowed, &y);
    if (status == INFOMASK_OK)
        status = product(im, y, x[2], &y);
    if (status == INFOMASK_OK && joined)
        status = join_heads(im, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}
