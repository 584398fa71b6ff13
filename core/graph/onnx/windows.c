/* Resize, and the convolutions and pools that the engine's kernels are not made for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

static bool is_named(const struct onnx_import *im, const char *name) { return strcmp(im->node->op_type, name) == 0; }

/* ---- Resize ------------------------------------------------------------------------------------------------------ */

/* The place of a word in a list; the first where there is none, -1 where it is unknown. */
static int word_at(struct onnx_import *im, const char *attribute, const char *const *words, int count)
{
    char text[32];

    onnx_attribute_text(im, attribute, text, sizeof text);
    for (int i = 0; i < count; i++)
        if (!*text || strcmp(text, words[i]) == 0)
            return i;
    return -1;
}

static enum infomask_status resize_words(struct onnx_import *im, struct graph_resize *r)
{
    static const char *const modes[] = {"nearest", "linear", "cubic"};
    static const char *const places[] = {"half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel",
                                         "half_pixel_symmetric", "tf_half_pixel_for_nn"};
    static const char *const nearest[] = {"round_prefer_floor", "round_prefer_ceil", "floor", "ceil"};
    bool old = im->opset < 11 || is_named(im, "Upsample");
    int mode = word_at(im, "mode", modes, 3), place = word_at(im, "coordinate_transformation_mode", places, 6);
    int near = word_at(im, "nearest_mode", nearest, 4);

    if (mode < 0 || place < 0 || near < 0)
        return onnx_unsupported(im, "its mode, or how it finds its coordinates");
    r->mode = (unsigned)mode;
    r->place = old ? GRAPH_ASYMMETRIC : (unsigned)place;
    r->nearest = old ? GRAPH_FLOOR_NEAREST : (unsigned)near;
    r->exclude_outside = onnx_attribute_int(im, "exclude_outside", 0) != 0;
    r->antialias = onnx_attribute_int(im, "antialias", 0) != 0;
    r->cubic = onnx_attribute_float(im, "cubic_coeff_a", -0.75f);
    return INFOMASK_OK;
}

static enum infomask_status resize_scales(struct onnx_import *im, int input, int count, const int64_t *axes,
                                          struct graph_resize *r)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "scales");
    const float *v = a != NULL ? a->floats : NULL;
    size_t n = a != NULL ? a->n_floats : 0;

    if (onnx_has(im, input)) {
        int tensor;
        enum infomask_status status = onnx_constant_input(im, input, &tensor);
        if (status != INFOMASK_OK)
            return status;
        v = tensor_at(im, tensor)->data;
        n = graph_elements(tensor_at(im, tensor));
    }
    if (n != (size_t)count)
        return onnx_broken(im, "its scales do not fit its input");
    for (int i = 0; i < count; i++) {
        if (!(v[i] > 0) || v[i] > 1e4f)
            return onnx_broken(im, "a scale is not above zero");
        r->scales[axes[i]] = v[i];
    }
    return INFOMASK_OK;
}

static bool is_empty(const struct onnx_import *im, int i)
{
    return !onnx_has(im, i) || (im->inputs[i]->kind == ONNX_INTS && im->inputs[i]->ints->count == 0);
}

enum infomask_status onnx_import_resize(struct onnx_import *im)
{
    bool old = im->opset < 11 || is_named(im, "Upsample");
    int64_t axes[ONNX_MAX_INTS], sizes[ONNX_MAX_INTS];
    struct graph_resize *r;
    struct graph_node *node;
    char policy[16];
    int x, rank, axes_count, count = -1;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, -1, "axes", axes, &axes_count);
    if (status == INFOMASK_OK && !old && !is_empty(im, 3))
        status = onnx_list(im, 3, "", sizes, &count);
    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    onnx_attribute_text(im, "keep_aspect_ratio_policy", policy, sizeof policy);
    if (*policy && strcmp(policy, "stretch") != 0)
        return onnx_unsupported(im, "keep_aspect_ratio_policy '%s'", policy);
    for (int i = 0; axes_count < 0 && i < rank; i++)
        axes[i] = i;
    axes_count = axes_count < 0 ? rank : axes_count;
    for (int i = 0; i < axes_count; i++)
        if (!onnx_axis(&axes[i], rank))
            return onnx_broken(im, "an axis is outside its input");
    node = onnx_general(im, GRAPH_RESIZE, &x, 1, (size_t)(rank > 0 ? rank : 1));
    r = node != NULL ? calloc(1, sizeof *r) : NULL;
    if (r == NULL)
        return onnx_no_memory(im);
    node->resize = r;
    for (int i = 0; i < GRAPH_MAX_RANK; i++)
        r->scales[i] = 1;
    status = resize_words(im, r);
    if (status == INFOMASK_OK && count < 0)
        status = resize_scales(im, old ? 1 : 2, axes_count, axes, r);
    if (status == INFOMASK_OK && count >= 0 && count != axes_count)
        status = onnx_broken(im, "its sizes do not fit its input");
    for (int i = 0; status == INFOMASK_OK && i < count; i++)
        if (sizes[i] < 1 || sizes[i] > 1 << 20)
            status = onnx_broken(im, "a size is not above zero");
        else
            node->table->v[axes[i]] = sizes[i];
    if (status == INFOMASK_OK && tensor_at(im, x)->dims[0] < 0 && node->table->v[0] == im->batch)
        node->table->v[0] = 0; /* the file's own batch stays as it is */
    return status != INFOMASK_OK ? status : onnx_result(im, node, ONNX_FLOATS);
}

/* ---- Windows of any number of dimensions ------------------------------------------------------------------------- */

enum infomask_status onnx_import_global_pool(struct onnx_import *im)
{
    int x, y, rank;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    if (rank < 3)
        return onnx_broken(im, "its input is not a feature map");
    status = onnx_step_reduce(im, is_named(im, "GlobalMaxPool") ? GRAPH_MAXIMUM : GRAPH_MEAN, x,
                              ((1u << rank) - 1) & ~3u, true, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

static bool window_numbers(const struct onnx_import *im, const char *name, int64_t *v, int n, int64_t fallback)
{
    for (int i = 0; i < n; i++)
        v[i] = fallback;
    if (!onnx_attribute_ints(im, name, v, (size_t)n))
        return false;
    for (int i = 0; i < n; i++)
        if (v[i] < 0 || v[i] > 1 << 20)
            return false;
    return true;
}

/* The table of a window of n dimensions; kernel: its size where the attribute leaves it out. */
static enum infomask_status window_table(struct onnx_import *im, struct graph_node *node, int n, const int64_t *kernel)
{
    int64_t *v = node->table->v, pads[2 * GRAPH_MAX_RANK], auto_pad;
    char text[16];
    bool fine;

    onnx_attribute_text(im, "auto_pad", text, sizeof text);
    auto_pad = strcmp(text, "SAME_UPPER") == 0 ? 1 : strcmp(text, "SAME_LOWER") == 0 ? 2 : 0;
    fine = window_numbers(im, "kernel_shape", v, n, 0) && window_numbers(im, "strides", v + n, n, 1) &&
           window_numbers(im, "dilations", v + 2 * n, n, 1) && window_numbers(im, "pads", pads, 2 * n, 0);
    for (int i = 0; fine && i < n; i++) {
        v[i] = onnx_attribute(im, "kernel_shape") != NULL || kernel == NULL ? v[i] : kernel[i];
        v[3 * n + i] = auto_pad || *text == 'V' ? 0 : pads[i];
        v[4 * n + i] = auto_pad || *text == 'V' ? 0 : pads[n + i];
        fine = v[i] > 0 && v[n + i] > 0 && v[2 * n + i] > 0;
    }
    v[5 * n] = onnx_attribute_int(im, "group", 1);
    v[5 * n + 1] = onnx_attribute_int(im, "ceil_mode", 0) != 0;
    v[5 * n + 2] = onnx_attribute_int(im, "count_include_pad", 0) != 0;
    v[5 * n + 3] = auto_pad;
    return fine && v[5 * n] > 0 ? INFOMASK_OK
                                : onnx_broken(im, "its kernel, strides, dilations, pads or groups are wrong");
}

enum infomask_status onnx_convolved_inputs(struct onnx_import *im, int inputs[3])
{
    enum infomask_status status = onnx_any_input(im, 0, &inputs[0]);

    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 1, &inputs[1]);
    inputs[2] = GRAPH_NONE;
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_any_input(im, 2, &inputs[2]);
    return status;
}

enum infomask_status onnx_import_general_conv(struct onnx_import *im)
{
    int inputs[3], n;
    struct graph_node *node;
    enum infomask_status status = onnx_convolved_inputs(im, inputs);

    if (status != INFOMASK_OK)
        return status;
    n = tensor_at(im, inputs[0])->rank - 2;
    if (n < 1 || tensor_at(im, inputs[1])->rank != n + 2)
        return onnx_broken(im, "its weights do not fit its input");
    node = onnx_general(im, GRAPH_CONV_ND, inputs, 3, 5 * (size_t)n + 4);
    if (node == NULL)
        return onnx_no_memory(im);
    status = window_table(im, node, n, tensor_at(im, inputs[1])->dims + 2);
    return status != INFOMASK_OK ? status : onnx_result(im, node, ONNX_FLOATS);
}

enum infomask_status onnx_import_general_pool(struct onnx_import *im)
{
    struct graph_node *node;
    int x, n;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (im->node->n_output > 1 && *im->node->output[1])
        return onnx_unsupported(im, "the places of its maxima");
    n = tensor_at(im, x)->rank - 2;
    if (n < 1)
        return onnx_broken(im, "its input is not a feature map");
    node = onnx_general(im, GRAPH_POOL_ND, &x, 1, 5 * (size_t)n + 4);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = is_named(im, "MaxPool") ? GRAPH_MAXIMUM : GRAPH_MEAN;
    status = window_table(im, node, n, NULL);
    return status != INFOMASK_OK ? status : onnx_result(im, node, ONNX_FLOATS);
}
