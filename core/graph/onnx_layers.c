/* Convolutions, pools and products of ONNX files. */
#include <math.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

static bool to_int(int64_t value, int *out)
{
    *out = (int)value;
    return value >= 0 && value <= 1 << 20;
}

static enum infomask_status read_auto_pad(struct onnx_import *im, int64_t pads[4], int *auto_pad)
{
    char text[16];

    onnx_attribute_text(im, "auto_pad", text, sizeof text);
    *auto_pad = strcmp(text, "SAME_UPPER") == 0 ? 1 : strcmp(text, "SAME_LOWER") == 0 ? 2 : 0;
    if (*auto_pad || strcmp(text, "VALID") == 0)
        memset(pads, 0, 4 * sizeof *pads);
    else if (*text && strcmp(text, "NOTSET") != 0)
        return onnx_broken(im, "auto_pad is wrong");
    return INFOMASK_OK;
}

/* Attributes of a convolution or pool, with the zeros of a Pad before it. */
static enum infomask_status read_window(struct onnx_import *im, const int64_t kernel[2], const int64_t zeros[4],
                                        struct graph_window *w)
{
    int64_t k[2] = {kernel[0], kernel[1]}, strides[2] = {1, 1}, dilations[2] = {1, 1}, pads[4] = {0};
    bool padded = zeros[0] || zeros[1] || zeros[2] || zeros[3], fits;
    enum infomask_status status;

    if (!onnx_attribute_ints(im, "kernel_shape", k, 2) || !onnx_attribute_ints(im, "strides", strides, 2) ||
        !onnx_attribute_ints(im, "dilations", dilations, 2) || !onnx_attribute_ints(im, "pads", pads, 4))
        return onnx_broken(im, "its attributes are not those of two dimensions");
    status = read_auto_pad(im, pads, &w->auto_pad);
    if (status != INFOMASK_OK)
        return status;
    if (padded && w->auto_pad)
        return onnx_unsupported(im, "a Pad before automatic padding is not supported");
    for (int i = 0; i < 4; i++)
        if (pads[i] < 0 || zeros[i] > (1 << 20) - (pads[i] > 1 << 20 ? 1 << 20 : pads[i]))
            return onnx_broken(im, "its pads are wrong");
    fits = to_int(k[0], &w->kernel_h) && to_int(k[1], &w->kernel_w) && to_int(strides[0], &w->stride_h) &&
           to_int(strides[1], &w->stride_w) && to_int(dilations[0], &w->dilation_h) &&
           to_int(dilations[1], &w->dilation_w) && to_int(pads[0] + zeros[0], &w->pad_top) &&
           to_int(pads[1] + zeros[1], &w->pad_left) && to_int(pads[2] + zeros[2], &w->pad_bottom) &&
           to_int(pads[3] + zeros[3], &w->pad_right);
    return fits ? INFOMASK_OK : onnx_broken(im, "its kernel, strides, dilations or pads are wrong");
}

/* The first input of a window, which may have a Pad's zeros around it. */
static enum infomask_status window_input(struct onnx_import *im, int *x, int64_t zeros[4])
{
    static const int64_t none[4];

    if (!onnx_has(im, 0) || im->inputs[0]->kind != ONNX_TENSOR)
        return onnx_tensor_input(im, 0, x);
    *x = im->inputs[0]->tensor;
    memcpy(zeros, im->inputs[0]->padded ? im->inputs[0]->pads : none, sizeof none);
    if (tensor_at(im, *x)->rank != 4)
        return onnx_unsupported(im, "only two-dimensional images, [N, C, H, W], are supported");
    return INFOMASK_OK;
}

static bool is_constant(const struct onnx_import *im, int i)
{
    return onnx_has(im, i) && im->inputs[i]->kind == ONNX_TENSOR && graph_is_constant(im->graph, im->inputs[i]->tensor);
}

static int rank_of(const struct onnx_import *im, int i)
{
    return onnx_has(im, i) && im->inputs[i]->kind == ONNX_TENSOR ? tensor_at(im, im->inputs[i]->tensor)->rank : -1;
}

enum infomask_status onnx_import_conv(struct onnx_import *im)
{
    int inputs[3] = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE};
    int64_t zeros[4], groups = onnx_attribute_int(im, "group", 1);
    struct graph_window window;
    struct graph_node *node;
    enum infomask_status status;

    if (rank_of(im, 0) != 4 || is_constant(im, 0) || !is_constant(im, 1) || (onnx_has(im, 2) && !is_constant(im, 2)))
        return onnx_import_general_conv(im);
    status = window_input(im, &inputs[0], zeros);
    if (status == INFOMASK_OK)
        status = onnx_constant_input(im, 1, &inputs[1]);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_constant_input(im, 2, &inputs[2]);
    if (status != INFOMASK_OK)
        return status;
    if (tensor_at(im, inputs[1])->rank != 4)
        return onnx_broken(im, "the weights do not have four dimensions");
    node = onnx_begin(im, GRAPH_CONV, inputs, 3);
    if (node == NULL)
        return onnx_no_memory(im);
    window = node->window;
    status = read_window(im, tensor_at(im, inputs[1])->dims + 2, zeros, &window);
    if (status == INFOMASK_OK && !to_int(groups, &window.groups))
        status = onnx_broken(im, "group is wrong");
    node->window = window;
    return status != INFOMASK_OK ? status : onnx_finish(im, node, true);
}

/* A maximum leaves padding out, a Pad's zeros count; for what is never negative that is the same. */
static bool never_negative(const struct onnx_import *im, int tensor)
{
    const struct graph_node *node = onnx_maker(im, tensor);

    return node != NULL && node->op == GRAPH_ACTIVATION &&
           ((node->activation == GRAPH_CLAMP && node->low >= 0) || node->activation == GRAPH_SIGMOID ||
            node->activation == GRAPH_HARD_SIGMOID);
}

static bool has_own_pads(const struct onnx_import *im)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "pads");
    char text[16];

    onnx_attribute_text(im, "auto_pad", text, sizeof text);
    for (size_t i = 0; a != NULL && i < a->n_ints; i++)
        if (a->ints[i])
            return true;
    return strncmp(text, "SAME", 4) == 0;
}

static bool is_dilated(const struct onnx_import *im)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "dilations");

    for (size_t i = 0; a != NULL && i < a->n_ints; i++)
        if (a->ints[i] != 1)
            return true;
    return false;
}

static bool has_second_output(const struct onnx_import *im)
{
    return im->node->n_output > 1 && *im->node->output[1];
}

/* Pads (before each dimension, then behind) as wide as the window: the engine's kernels want something of the input in
 * each. */
static bool as_wide_as_window(const struct onnx_import *im, const int64_t *pads, size_t count)
{
    const Onnx__AttributeProto *k = onnx_attribute(im, "kernel_shape");

    for (size_t i = 0; k != NULL && k->n_ints * 2 == count && i < count; i++)
        if (pads[i] >= k->ints[i % k->n_ints])
            return true;
    return false;
}

static bool pads_wide(const struct onnx_import *im)
{
    const Onnx__AttributeProto *p = onnx_attribute(im, "pads");
    return p != NULL && as_wide_as_window(im, p->ints, p->n_ints);
}

static enum infomask_status import_pool(struct onnx_import *im, enum graph_op op)
{
    static const int64_t unknown[2], no_zeros[4];
    int64_t zeros[4];
    int x;
    struct graph_node *node;
    struct graph_window all;
    bool padded;
    enum infomask_status status;

    if (rank_of(im, 0) != 4 || is_constant(im, 0) || is_dilated(im) || has_second_output(im) || pads_wide(im))
        return onnx_import_general_pool(im);
    status = window_input(im, &x, zeros);
    padded = memcmp(zeros, no_zeros, sizeof zeros) != 0;
    if (status == INFOMASK_OK && padded &&
        (onnx_attribute_int(im, "ceil_mode", 0) || has_own_pads(im) || as_wide_as_window(im, zeros, 4) || /* NASNet */
         (op == GRAPH_MAX_POOL && !never_negative(im, x)))) {
        status = onnx_any_input(im, 0, &x); /* the zeros as a node of their own */
        memset(zeros, 0, sizeof zeros);
    }
    if (status != INFOMASK_OK)
        return status;
    node = onnx_begin(im, op, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    all = node->window;
    status = read_window(im, unknown, zeros, &all);
    if (status != INFOMASK_OK)
        return status;
    padded = memcmp(zeros, no_zeros, sizeof zeros) != 0;
    all.ceil_mode = onnx_attribute_int(im, "ceil_mode", 0) != 0;
    all.count_include_pad = onnx_attribute_int(im, "count_include_pad", 0) != 0;
    all.count_include_pad = op == GRAPH_AVERAGE_POOL && (all.count_include_pad || padded);
    node->window = all;
    return onnx_finish(im, node, true);
}

enum infomask_status onnx_import_max_pool(struct onnx_import *im)
{
    return import_pool(im, GRAPH_MAX_POOL);
}

enum infomask_status onnx_import_average_pool(struct onnx_import *im)
{
    return import_pool(im, GRAPH_AVERAGE_POOL);
}

/* Tokens in a square grid along dimension `axis` of three, [N, side side, D] or [N, D, side side], as a map: [N, side,
 * side, D] or [N, D, side, side]; false if they are not that many. */
static bool as_grid(struct onnx_import *im, int axis, int *x, enum infomask_status *status)
{
    const struct graph_tensor t = *tensor_at(im, *x);
    int64_t count = t.dims[axis], each = t.dims[3 - axis], side = count > 1 ? llround(sqrt((double)count)) : 0;
    int64_t dims[4] = {t.dims[0], axis == 1 ? side : each, side, axis == 1 ? each : side};

    if (side < 2 || side * side != count || each < 1)
        return false;
    *status = onnx_step_reshape(im, *x, 4, dims, x);
    return true;
}

/* The mean of what has its channels last, over its places: the same pooling of the map turned, so that its head and its
 * class maps are found. */
static enum infomask_status mean_over_places(struct onnx_import *im, int x)
{
    static const int turn[4] = {0, 3, 1, 2};
    int64_t dims[4] = {tensor_at(im, x)->dims[0], 1, 1, 1};
    bool tokens = tensor_at(im, x)->rank == 3, keeps = onnx_attribute_int(im, "keepdims", 1) != 0;
    enum infomask_status status = INFOMASK_OK;
    struct graph_node *node;

    if (tokens && !as_grid(im, 1, &x, &status))
        return onnx_import_reduce(im);
    if (status == INFOMASK_OK)
        status = onnx_step_transpose(im, x, turn, &x);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_begin(im, GRAPH_GLOBAL_AVERAGE, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    im->graph->tensors[node->output].rank = 2;
    if (!keeps)
        return onnx_finish(im, node, true);
    dims[tokens ? 2 : 3] = tensor_at(im, x)->dims[1];
    status = onnx_step(im, node, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, x, tokens ? 3 : 4, dims, &x);
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, x);
}

enum infomask_status onnx_import_global_average(struct onnx_import *im)
{
    struct graph_node *node;
    int x, rank = rank_of(im, 0);
    int64_t dims[3];
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK || graph_is_constant(im->graph, x) ||
        (rank != 4 && !(rank == 3 && as_grid(im, 2, &x, &status))))
        return status == INFOMASK_OK ? onnx_import_global_pool(im) : status;
    if (status == INFOMASK_OK && rank == 4)
        status = onnx_tensor_input(im, 0, &x);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_begin(im, GRAPH_GLOBAL_AVERAGE, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    if (rank == 4)
        return onnx_finish(im, node, true);
    im->graph->tensors[node->output].rank = 2;
    dims[0] = tensor_at(im, x)->dims[0];
    dims[1] = tensor_at(im, x)->dims[1];
    dims[2] = 1;
    status = onnx_step(im, node, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, x, 3, dims, &x);
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, x);
}

static bool are_axes(const int64_t axes[2], int64_t a, int64_t b)
{
    return (axes[0] == a && axes[1] == b) || (axes[0] == b && axes[1] == a);
}

/* The mean of a map over its height and width is a pooling. */
enum infomask_status onnx_import_reduce_mean(struct onnx_import *im)
{
    int64_t axes[ONNX_MAX_INTS];
    struct graph_node *node;
    int x, count, rank = rank_of(im, 0);
    bool pair, places;
    enum infomask_status status = onnx_list(im, 1, "axes", axes, &count);

    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < count; i++)
        axes[i] += axes[i] < 0 ? rank : 0;
    pair = rank == 4 && !is_constant(im, 0) && count == 2;
    places = (pair && are_axes(axes, 1, 2)) ||
             (rank == 3 && !is_constant(im, 0) && count == 1 && axes[0] == 1);
    if (!places && !(pair && are_axes(axes, 2, 3)))
        return onnx_import_reduce(im);
    status = onnx_tensor_input(im, 0, &x);
    if (status != INFOMASK_OK)
        return status;
    if (places)
        return mean_over_places(im, x);
    node = onnx_begin(im, GRAPH_GLOBAL_AVERAGE, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    if (onnx_attribute_int(im, "keepdims", 1) == 0)
        im->graph->tensors[node->output].rank = 2;
    return onnx_finish(im, node, true);
}

/* Zeros around an image's height and width wait for the window that reads them; other pads are nodes. */
enum infomask_status onnx_import_pad(struct onnx_import *im)
{
    int64_t zeros[4], pads[8] = {0}, v[ONNX_MAX_INTS], axes[ONNX_MAX_INTS];
    int count, axes_count, half, x;
    char mode[16];
    float value = onnx_attribute_float(im, "value", 0);
    bool plain;
    enum infomask_status status = onnx_list(im, 1, "pads", v, &count);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 3, "axes", axes, &axes_count);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_scalar_input(im, 2, &value);
    if (status != INFOMASK_OK)
        return status;
    onnx_attribute_text(im, "mode", mode, sizeof mode);
    half = axes_count >= 0 ? axes_count : 4;
    plain = rank_of(im, 0) == 4 && !is_constant(im, 0) && value == 0.0f && half <= 4 && count == 2 * half &&
            (!*mode || strcmp(mode, "constant") == 0);
    for (int i = 0; plain && i < count; i++) {
        int64_t axis = axes_count >= 0 ? axes[i % half] : i % half;
        plain = onnx_axis(&axis, 4) && v[i] >= 0 && v[i] <= 1 << 19;
        if (plain)
            pads[axis + (i < half ? 0 : 4)] += v[i];
    }
    if (!plain || pads[0] || pads[1] || pads[4] || pads[5])
        return onnx_import_general_pad(im);
    status = window_input(im, &x, zeros);
    if (status != INFOMASK_OK)
        return status;
    zeros[0] += pads[2];
    zeros[1] += pads[3];
    zeros[2] += pads[6];
    zeros[3] += pads[7];
    for (int i = 0; i < 4; i++)
        if (zeros[i] > 1 << 19)
            return onnx_unsupported(im, "very large pads are not supported");
    return onnx_is_padded(im, x, zeros);
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

#define TURNED_AT_ONCE ((size_t)1 << 20) /* elements */

/* Some rows at a time, which a large file then has no more. */
static enum infomask_status transposed(struct onnx_import *im, int matrix, int *out)
{
    size_t rows = (size_t)tensor_at(im, matrix)->dims[0], columns = (size_t)tensor_at(im, matrix)->dims[1];
    const int64_t dims[2] = {(int64_t)columns, (int64_t)rows};
    const float *x = tensor_at(im, matrix)->data;
    size_t each = TURNED_AT_ONCE / columns + 1;
    bool spent = rows * columns >= TURNED_AT_ONCE / 4 && onnx_is_spent(im, matrix);
    float *data;
    enum infomask_status status = graph_new_constant(im->graph, 2, dims, out, &data, im->err);

    if (status != INFOMASK_OK)
        return status;
    for (size_t first = 0, end; first < rows; first = end) {
        end = first + each < rows ? first + each : rows;
        for (size_t c = 0; c < columns; c++)
            for (size_t r = first; r < end; r++)
                data[c * rows + r] = x[r * columns + c];
        if (spent)
            graph_forget(im->graph, matrix, first * columns, (end - first) * columns);
    }
    if (spent)
        graph_drop_constant(im->graph, matrix);
    return INFOMASK_OK;
}

enum infomask_status onnx_scaled(struct onnx_import *im, int x, float factor, int *out)
{
    static const int64_t ones[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1};
    int inputs[2] = {x, GRAPH_NONE};
    struct graph_node *node;
    float *data;
    enum infomask_status status = graph_new_constant(im->graph, tensor_at(im, x)->rank, ones, &inputs[1], &data,
                                                     im->err);

    if (status != INFOMASK_OK)
        return status;
    *data = factor;
    node = onnx_begin(im, GRAPH_MUL, inputs, 2);
    if (node == NULL)
        return onnx_no_memory(im);
    *out = node->output;
    return onnx_finish(im, node, false);
}

/* A bias of n elements from one of n, [1, n] or a single number, times a factor. */
static enum infomask_status bias_vector(struct onnx_import *im, int tensor, int64_t n, float factor, int *out)
{
    size_t count = graph_elements(tensor_at(im, tensor));
    const float *from = tensor_at(im, tensor)->data;
    float *data;
    enum infomask_status status;

    if (count != 1 && count != (size_t)n)
        return onnx_unsupported(im, "a bias of %zu elements does not fit %lld outputs", count, (long long)n);
    status = graph_new_constant(im->graph, 1, &n, out, &data, im->err);
    for (size_t i = 0; status == INFOMASK_OK && i < (size_t)n; i++) {
        data[i] = factor * from[count == 1 ? 0 : i];
        if (!isfinite(data[i]))
            status = onnx_broken(im, "its bias is not finite");
    }
    return status;
}

static enum infomask_status import_linear(struct onnx_import *im, int x, int w, int b)
{
    int inputs[3] = {x, w, b};
    struct graph_node *node = onnx_begin(im, GRAPH_LINEAR, inputs, 3);

    return node != NULL ? onnx_finish(im, node, true) : onnx_no_memory(im);
}

/* [n], [1, n] or one number */
static bool is_vector_constant(const struct onnx_import *im, int i)
{
    int rank = rank_of(im, i);
    const struct graph_tensor *t = rank < 0 ? NULL : tensor_at(im, im->inputs[i]->tensor);

    return t != NULL && is_constant(im, i) && (rank < 2 || (rank == 2 && t->dims[0] == 1));
}

enum infomask_status onnx_import_gemm(struct onnx_import *im)
{
    float alpha = onnx_attribute_float(im, "alpha", 1), beta = onnx_attribute_float(im, "beta", 1);
    int x, w, c = GRAPH_NONE, b = GRAPH_NONE;
    enum infomask_status status;

    if (onnx_attribute_int(im, "transA", 0) || rank_of(im, 0) != 2 || is_constant(im, 0) || rank_of(im, 1) != 2 ||
        !is_constant(im, 1) || (onnx_has(im, 2) && !is_vector_constant(im, 2)))
        return onnx_import_general_gemm(im);
    status = onnx_tensor_input(im, 0, &x);
    if (status == INFOMASK_OK)
        status = onnx_constant_input(im, 1, &w);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_constant_input(im, 2, &c);
    if (status != INFOMASK_OK)
        return status;
    if (!onnx_attribute_int(im, "transB", 0))
        status = transposed(im, w, &w);
    if (status == INFOMASK_OK && alpha != 1.0f)
        status = onnx_scaled(im, w, alpha, &w);
    if (status == INFOMASK_OK && c != GRAPH_NONE)
        status = bias_vector(im, c, tensor_at(im, w)->dims[0], beta, &b);
    return status != INFOMASK_OK ? status : import_linear(im, x, w, b);
}

enum infomask_status onnx_import_matmul(struct onnx_import *im)
{
    int x, w;
    enum infomask_status status;

    if (rank_of(im, 0) < 2 || is_constant(im, 0) || rank_of(im, 1) != 2 || !is_constant(im, 1))
        return onnx_import_general_matmul(im);
    status = onnx_tensor_input(im, 0, &x);
    if (status == INFOMASK_OK)
        status = onnx_constant_input(im, 1, &w);
    if (status != INFOMASK_OK)
        return status;
    status = transposed(im, w, &w);
    return status != INFOMASK_OK ? status : import_linear(im, x, w, GRAPH_NONE);
}

enum infomask_status onnx_import_batch_norm(struct onnx_import *im)
{
    int inputs[5];
    struct graph_node *node;
    bool plain = (rank_of(im, 0) == 4 || rank_of(im, 0) == 2) && !is_constant(im, 0);
    enum infomask_status status;

    for (int i = 1; plain && i < 5; i++)
        plain = is_constant(im, i);
    if (!plain)
        return onnx_import_general_batch_norm(im);
    status = onnx_tensor_input(im, 0, &inputs[0]);
    for (int i = 1; status == INFOMASK_OK && i < 5; i++)
        status = onnx_constant_input(im, i, &inputs[i]);
    if (status != INFOMASK_OK)
        return status;
    if (onnx_attribute_int(im, "training_mode", 0) || !onnx_attribute_int(im, "spatial", 1))
        return onnx_unsupported(im, "only its inference mode, per channel, is supported");
    node = onnx_begin(im, GRAPH_BATCH_NORM, inputs, 5);
    if (node == NULL)
        return onnx_no_memory(im);
    node->epsilon = onnx_attribute_float(im, "epsilon", 1e-5f);
    for (size_t i = 0; i < graph_elements(tensor_at(im, inputs[4])); i++)
        if (!((double)tensor_at(im, inputs[4])->data[i] + (double)node->epsilon > 0))
            return onnx_broken(im, "variance + epsilon is not above zero");
    return onnx_finish(im, node, true);
}

