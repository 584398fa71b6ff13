/* ConvTranspose: what it makes is a convolution of its input with zeros between the elements, by the weights turned
 * round.
 *
 *     y = conv(pad(stuff(x)), w'),   w'[m, c, k] = w[c, m, K - 1 - k]
 *
 * stuff puts stride - 1 zeros behind each element; with d the reach of the window, dilation (K - 1), d - pads zeros
 * come before it, and behind it as many as the output's size asks for; fewer than none cut it.
 */
#include <string.h>

#include "core/graph/onnx_import.h"

#define MOST_DIMS ((GRAPH_MAX_RANK - 2) / 2) /* stuffing takes two dimensions for each */
#define MOST ((int64_t)1 << 20)

struct transposed {
    int dims; /* of the window */
    int64_t groups, channels, size[MOST_DIMS], kernel[MOST_DIMS], stride[MOST_DIMS], dilation[MOST_DIMS];
    int64_t before[MOST_DIMS], after[MOST_DIMS]; /* zeros around the stuffed input */
};

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

static bool numbers(const struct onnx_import *im, const char *name, int64_t *v, int n, int64_t least)
{
    if (!onnx_attribute_ints(im, name, v, (size_t)n))
        return false;
    for (int i = 0; i < n; i++)
        if (v[i] < least || v[i] > MOST)
            return false;
    return true;
}

/* The zeros around dimension i, of the file's words for the output's size. */
static void place(struct transposed *t, int i, int64_t pads[2], int64_t extra, int64_t output, const char *auto_pad)
{
    int64_t reach = t->dilation[i] * (t->kernel[i] - 1), rest;
    int64_t all = t->stride[i] * (t->size[i] - 1) + extra + reach + 1;

    if (strncmp(auto_pad, "SAME", 4) == 0 && output == 0) /* a window narrower than its stride reaches no further */
        output = t->stride[i] * t->size[i] < all ? t->stride[i] * t->size[i] : all;
    if (output > 0) {
        rest = all > output ? all - output : 0;
        pads[0] = strcmp(auto_pad, "SAME_UPPER") == 0 ? rest / 2 : rest - rest / 2;
    } else
        output = all - pads[0] - pads[1];
    t->before[i] = reach - pads[0];
    t->after[i] = output + reach - t->stride[i] * t->size[i] - t->before[i];
}

static enum infomask_status read_attributes(struct onnx_import *im, struct transposed *t)
{
    int64_t pads[2 * MOST_DIMS] = {0}, extra[MOST_DIMS] = {0}, output[MOST_DIMS] = {0};
    char auto_pad[16];
    int n = t->dims;

    for (int i = 0; i < n; i++)
        t->stride[i] = t->dilation[i] = 1;
    if (!numbers(im, "kernel_shape", t->kernel, n, 1) || !numbers(im, "strides", t->stride, n, 1) ||
        !numbers(im, "dilations", t->dilation, n, 1) || !numbers(im, "pads", pads, 2 * n, 0) ||
        !numbers(im, "output_padding", extra, n, 0) || !numbers(im, "output_shape", output, n, 0))
        return onnx_broken(im, "its kernel, strides, dilations, pads or output's size are wrong");
    onnx_attribute_text(im, "auto_pad", auto_pad, sizeof auto_pad);
    for (int i = 0; i < n; i++) {
        int64_t ends[2] = {*auto_pad && strcmp(auto_pad, "NOTSET") != 0 ? 0 : pads[i], 0};
        ends[1] = *auto_pad && strcmp(auto_pad, "NOTSET") != 0 ? 0 : pads[n + i];
        place(t, i, ends, extra[i], output[i], auto_pad);
    }
    return INFOMASK_OK;
}

/* [C, M / groups, K ...] as [M, C / groups, K ...], each K from its end. */
static enum infomask_status turn_weights(struct onnx_import *im, const struct transposed *t, int *w)
{
    const struct graph_tensor from = *tensor_at(im, *w);
    int64_t each = t->channels / t->groups, apart[GRAPH_MAX_RANK] = {t->groups, each, from.dims[1]};
    int64_t whole[GRAPH_MAX_RANK] = {t->groups * from.dims[1], each};
    int turn[GRAPH_MAX_RANK] = {0, 2, 1, 3, 4, 5, 6, 7}, rank = t->dims + 2;
    struct graph_node *node;
    enum infomask_status status;

    for (int i = 0; i < t->dims; i++)
        apart[3 + i] = whole[2 + i] = t->kernel[i];
    status = onnx_step_reshape(im, *w, rank + 1, apart, w);
    if (status == INFOMASK_OK)
        status = onnx_step_transpose(im, *w, turn, w);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, *w, rank, whole, w);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_SLICE, w, 1, 3 * (size_t)rank);
    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < rank; i++) {
        node->table->v[i] = i < 2 ? 0 : -1;
        node->table->v[rank + i] = i < 2 ? INT64_MAX : -INT64_MAX;
        node->table->v[2 * rank + i] = i < 2 ? 1 : -1;
    }
    return onnx_step(im, node, w);
}

static enum infomask_status add_zeros(struct onnx_import *im, int rank, const int64_t *before, const int64_t *after,
                                      int *x)
{
    struct graph_node *node = onnx_general(im, GRAPH_PAD, x, 1, 2 * (size_t)rank);

    if (node == NULL)
        return onnx_no_memory(im);
    node->function = GRAPH_PAD_CONSTANT;
    memcpy(node->table->v, before, (size_t)rank * sizeof *before);
    memcpy(node->table->v + rank, after, (size_t)rank * sizeof *after);
    return onnx_step(im, node, x);
}

static enum infomask_status stuff(struct onnx_import *im, const struct transposed *t, int *x)
{
    const struct graph_tensor from = *tensor_at(im, *x);
    int64_t apart[GRAPH_MAX_RANK] = {from.dims[0], t->channels}, whole[GRAPH_MAX_RANK] = {from.dims[0], t->channels};
    int64_t none[GRAPH_MAX_RANK] = {0}, zeros[GRAPH_MAX_RANK] = {0};
    enum infomask_status status;

    for (int i = 0; i < t->dims; i++) {
        apart[2 + 2 * i] = t->size[i];
        apart[3 + 2 * i] = 1;
        zeros[3 + 2 * i] = t->stride[i] - 1;
        whole[2 + i] = t->size[i] * t->stride[i];
    }
    status = onnx_step_reshape(im, *x, 2 + 2 * t->dims, apart, x);
    if (status == INFOMASK_OK)
        status = add_zeros(im, 2 + 2 * t->dims, none, zeros, x);
    return status != INFOMASK_OK ? status : onnx_step_reshape(im, *x, 2 + t->dims, whole, x);
}

static enum infomask_status convolve(struct onnx_import *im, const struct transposed *t, const int inputs[3])
{
    int n = t->dims;
    bool engines = n == 2 && graph_is_constant(im->graph, inputs[1]) && !graph_is_constant(im->graph, inputs[0]) &&
                   (inputs[2] == GRAPH_NONE || graph_is_constant(im->graph, inputs[2]));
    struct graph_node *node = onnx_general(im, engines ? GRAPH_CONV : GRAPH_CONV_ND, inputs, 3,
                                           engines ? 0 : 5 * (size_t)n + 4);

    if (node == NULL)
        return onnx_no_memory(im);
    if (engines) {
        node->window.kernel_h = (int)t->kernel[0];
        node->window.kernel_w = (int)t->kernel[1];
        node->window.dilation_h = (int)t->dilation[0];
        node->window.dilation_w = (int)t->dilation[1];
        node->window.groups = (int)t->groups;
        return onnx_result(im, node, ONNX_FLOATS);
    }
    for (int i = 0; i < n; i++) {
        node->table->v[i] = t->kernel[i];
        node->table->v[n + i] = 1;
        node->table->v[2 * n + i] = t->dilation[i];
    }
    node->table->v[5 * n] = t->groups;
    return onnx_result(im, node, ONNX_FLOATS);
}

enum infomask_status onnx_import_conv_transpose(struct onnx_import *im)
{
    int inputs[3];
    int64_t before[GRAPH_MAX_RANK] = {0}, after[GRAPH_MAX_RANK] = {0};
    struct transposed t = {.groups = onnx_attribute_int(im, "group", 1)};
    struct graph_tensor x, w;
    enum infomask_status status = onnx_convolved_inputs(im, inputs);

    if (status != INFOMASK_OK)
        return status;
    x = *tensor_at(im, inputs[0]);
    w = *tensor_at(im, inputs[1]);
    t.dims = x.rank - 2;
    if (t.dims < 1 || t.dims > MOST_DIMS || w.rank != x.rank)
        return onnx_unsupported(im, "only weights of one to %d dimensions that fit its input", MOST_DIMS);
    for (int i = 1; i < x.rank; i++)
        if (x.dims[i] < 1 || x.dims[i] > MOST || w.dims[i] < 1 || w.dims[i] > MOST)
            return onnx_unsupported(im, "it needs sizes that the file leaves open");
    t.channels = x.dims[1];
    if (w.dims[0] != t.channels || t.groups < 1 || t.channels % t.groups != 0)
        return onnx_broken(im, "its weights or groups do not fit its input");
    memcpy(t.size, x.dims + 2, (size_t)t.dims * sizeof *t.size);
    memcpy(t.kernel, w.dims + 2, (size_t)t.dims * sizeof *t.kernel);
    status = read_attributes(im, &t);
    if (status == INFOMASK_OK && memcmp(t.kernel, w.dims + 2, (size_t)t.dims * sizeof *t.kernel) != 0)
        status = onnx_broken(im, "its weights are not of its kernel's size");
    if (status == INFOMASK_OK)
        status = turn_weights(im, &t, &inputs[1]);
    if (status == INFOMASK_OK)
        status = stuff(im, &t, &inputs[0]);
    memcpy(before + 2, t.before, (size_t)t.dims * sizeof *before);
    memcpy(after + 2, t.after, (size_t)t.dims * sizeof *after);
    if (status == INFOMASK_OK)
        status = add_zeros(im, x.rank, before, after, &inputs[0]);
    return status != INFOMASK_OK ? status : convolve(im, &t, inputs);
}
