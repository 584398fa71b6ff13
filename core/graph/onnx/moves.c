/* Operators that only move the elements of general tensors, and those that make constants. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* ---- Slice, Split ------------------------------------------------------------------------------------------------ */

/* A slice that takes everything, to be narrowed. */
static struct graph_node *whole_slice(struct onnx_import *im, int x)
{
    int rank = tensor_at(im, x)->rank;
    struct graph_node *node = onnx_general(im, GRAPH_SLICE, &x, 1, 3 * (size_t)(rank > 0 ? rank : 1));

    for (int i = 0; node != NULL && i < rank; i++) {
        node->table->v[rank + i] = INT64_MAX;
        node->table->v[2 * rank + i] = 1;
    }
    return node;
}

enum infomask_status onnx_import_general_slice(struct onnx_import *im)
{
    int64_t starts[ONNX_MAX_INTS], ends[ONNX_MAX_INTS], axes[ONNX_MAX_INTS], steps[ONNX_MAX_INTS];
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    int x, rank, count, ends_count, axes_count, steps_count;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "starts", starts, &count);
    if (status == INFOMASK_OK)
        status = onnx_list(im, 2, "ends", ends, &ends_count);
    if (status == INFOMASK_OK)
        status = onnx_list(im, 3, "axes", axes, &axes_count);
    if (status == INFOMASK_OK)
        status = onnx_list(im, 4, "steps", steps, &steps_count);
    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    if (count < 0 || count > rank || ends_count != count || (axes_count >= 0 && axes_count != count) ||
        (steps_count >= 0 && steps_count != count))
        return onnx_broken(im, "its starts, ends, axes and steps do not fit");
    node = whole_slice(im, x);
    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < count; i++) {
        int64_t axis = axes_count >= 0 ? axes[i] : i;
        if (!onnx_axis(&axis, rank))
            return onnx_broken(im, "axis %lld is outside its input", (long long)axis);
        node->table->v[axis] = starts[i];
        node->table->v[rank + axis] = ends[i];
        node->table->v[2 * rank + axis] = steps_count >= 0 ? steps[i] : 1;
    }
    return onnx_result(im, node, numbers);
}

static enum infomask_status split_sizes(struct onnx_import *im, int64_t size, int64_t *sizes, int *count)
{
    int parts = (int)im->node->n_output;
    int64_t each;
    enum infomask_status status = onnx_list(im, 1, "split", sizes, count);

    if (status != INFOMASK_OK || *count >= 0)
        return status;
    if (parts < 1 || parts > ONNX_MAX_INTS || size < 1)
        return onnx_unsupported(im, "it cuts a size that the file leaves open, or into too many parts");
    each = (size + parts - 1) / parts;
    for (int i = 0; i < parts; i++)
        sizes[i] = i < parts - 1 ? each : size - each * (parts - 1);
    *count = parts;
    return INFOMASK_OK;
}

enum infomask_status onnx_import_split(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0), sizes[ONNX_MAX_INTS], at = 0;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    int x, rank, count;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    if (!onnx_axis(&axis, rank))
        return onnx_broken(im, "its axis is outside its input");
    status = split_sizes(im, tensor_at(im, x)->dims[axis], sizes, &count);
    for (int i = 0; status == INFOMASK_OK && i < count && (size_t)i < im->node->n_output; i++) {
        struct graph_node *node = whole_slice(im, x);
        int y;
        if (node == NULL)
            return onnx_no_memory(im);
        if (sizes[i] < 0 || __builtin_add_overflow(at, sizes[i], &node->table->v[rank + axis]))
            return onnx_broken(im, "its parts are wrong");
        node->table->v[axis] = at;
        at = node->table->v[rank + axis];
        status = onnx_step(im, node, &y);
        if (status == INFOMASK_OK)
            status = onnx_output_is(im, i, y, numbers);
    }
    return status;
}

/* ---- Copies ------------------------------------------------------------------------------------------------------ */

static enum infomask_status expand_to(struct onnx_import *im, int x, int rank, const int64_t *dims,
                                      enum onnx_numbers numbers)
{
    struct graph_node *node = onnx_general(im, GRAPH_EXPAND, &x, 1, (size_t)(rank > 0 ? rank : 1));

    if (node == NULL)
        return onnx_no_memory(im);
    node->table->v[0] = 1;
    for (int i = 0; i < rank; i++)
        node->table->v[i] = dims[i];
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_expand(struct onnx_import *im)
{
    int64_t dims[ONNX_MAX_INTS];
    int x, count;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "shape", dims, &count);
    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < count; i++)
        if (dims[i] < 1)
            return onnx_unsupported(im, "it expands to a tensor without elements");
    if (count > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "more than %d dimensions", GRAPH_MAX_RANK);
    return expand_to(im, x, count, dims, onnx_numbers_of(im, 0));
}

enum infomask_status onnx_import_tile(struct onnx_import *im)
{
    int64_t times[ONNX_MAX_INTS], whole[GRAPH_MAX_RANK];
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    struct graph_tensor t;
    int x, count;
    size_t n;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "repeats", times, &count);
    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    if (count != t.rank || !onnx_is_known(&t))
        return onnx_unsupported(im, "it needs a number of repeats for each known dimension");
    if (count == 1 && times[0] == 0 && numbers == ONNX_INTEGERS) /* no integers, as of parts that are one larger */
        return onnx_is_ints(im, &(struct onnx_ints){.rank = 1});
    for (int i = 0; i < t.rank; i++) {
        if (times[i] < 1 || times[i] > GRAPH_MAX_DIM || __builtin_mul_overflow(t.dims[i], times[i], &whole[i]))
            return onnx_unsupported(im, "its repeats are wrong");
    }
    status = onnx_take_into(im, x, t.rank, whole, &node);
    if (status != INFOMASK_OK)
        return status;
    n = node->table->count;
    for (size_t i = 0; i < n; i++) {
        size_t rest = i, step = 1;
        int64_t from = 0;
        for (int d = t.rank - 1; d >= 0; d--) {
            from += (int64_t)(rest % (size_t)whole[d] % (size_t)t.dims[d] * step);
            rest /= (size_t)whole[d];
            step *= (size_t)t.dims[d];
        }
        node->table->v[i] = from;
    }
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_general_pad(struct onnx_import *im)
{
    int64_t pads[ONNX_MAX_INTS], axes[ONNX_MAX_INTS];
    float value = onnx_attribute_float(im, "value", 0);
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    char mode[16];
    int x, rank, count, axes_count, half;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "pads", pads, &count);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_scalar_input(im, 2, &value);
    if (status == INFOMASK_OK)
        status = onnx_list(im, 3, "axes", axes, &axes_count);
    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    half = axes_count >= 0 ? axes_count : rank;
    if (count != 2 * half || half > rank)
        return onnx_broken(im, "its pads do not fit its input");
    node = onnx_general(im, GRAPH_PAD, &x, 1, 2 * (size_t)(rank > 0 ? rank : 1));
    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < half; i++) {
        int64_t axis = axes_count >= 0 ? axes[i] : i;
        if (!onnx_axis(&axis, rank) || pads[i] > 1 << 20 || pads[i] < -(1 << 20) || pads[half + i] > 1 << 20 ||
            pads[half + i] < -(1 << 20))
            return onnx_broken(im, "its pads or axes are wrong");
        node->table->v[axis] = pads[i];
        node->table->v[rank + axis] = pads[half + i];
    }
    onnx_attribute_text(im, "mode", mode, sizeof mode);
    node->alpha = value;
    node->function = strcmp(mode, "reflect") == 0 ? GRAPH_PAD_REFLECT
                     : strcmp(mode, "edge") == 0  ? GRAPH_PAD_EDGE
                     : strcmp(mode, "wrap") == 0  ? GRAPH_PAD_WRAP
                                                  : GRAPH_PAD_CONSTANT;
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_trilu(struct onnx_import *im)
{
    bool upper = onnx_attribute_int(im, "upper", 1) != 0;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    int64_t k[ONNX_MAX_INTS] = {0}, rows, columns;
    struct graph_node *node;
    struct graph_tensor t;
    int x, count;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "k", k, &count);
    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    if (t.rank < 2 || !onnx_is_known(&t))
        return onnx_unsupported(im, "only matrices of a known size are supported");
    status = onnx_take_into(im, x, t.rank, t.dims, &node);
    if (status != INFOMASK_OK)
        return status;
    rows = t.dims[t.rank - 2];
    columns = t.dims[t.rank - 1];
    for (size_t i = 0; i < node->table->count; i++) {
        int64_t row = (int64_t)i / columns % rows, column = (int64_t)i % columns, away = column - row;
        node->table->v[i] = (upper ? away >= k[0] : away <= k[0]) ? (int64_t)i : -1;
    }
    return onnx_result(im, node, numbers);
}

/* [N, C, H, W] as six dimensions, turned, and back. */
static enum infomask_status shuffle(struct onnx_import *im, const int64_t six[6], const int turn[6],
                                    const int64_t four[4])
{
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, x, 6, six, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_transpose(im, x, turn, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, x, 4, four, &x);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, x, ONNX_FLOATS);
}

static enum infomask_status blocks_of(struct onnx_import *im, struct graph_tensor *t, int64_t *b)
{
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    *t = *tensor_at(im, x);
    *b = onnx_attribute_int(im, "blocksize", 0);
    if (t->rank != 4 || !onnx_is_known(t) || *b < 1 || *b > 1 << 15)
        return onnx_unsupported(im, "only blocks of [N, C, H, W] of a known size are supported");
    return INFOMASK_OK;
}

enum infomask_status onnx_import_depth_to_space(struct onnx_import *im)
{
    static const int dcr[6] = {0, 3, 4, 1, 5, 2}, crd[6] = {0, 1, 4, 2, 5, 3};
    struct graph_tensor t;
    char mode[8];
    int64_t b;
    enum infomask_status status = blocks_of(im, &t, &b);

    if (status != INFOMASK_OK)
        return status;
    if (t.dims[1] % (b * b))
        return onnx_broken(im, "its channels are not a multiple of the block");
    onnx_attribute_text(im, "mode", mode, sizeof mode);
    {
        const int64_t n = t.dims[0], c = t.dims[1] / (b * b), h = t.dims[2], w = t.dims[3];
        const int64_t first[6] = {n, b, b, c, h, w}, second[6] = {n, c, b, b, h, w}, four[4] = {n, c, h * b, w * b};
        return strcmp(mode, "CRD") == 0 ? shuffle(im, second, crd, four) : shuffle(im, first, dcr, four);
    }
}

enum infomask_status onnx_import_space_to_depth(struct onnx_import *im)
{
    static const int turn[6] = {0, 3, 5, 1, 2, 4};
    struct graph_tensor t;
    int64_t b;
    enum infomask_status status = blocks_of(im, &t, &b);

    if (status != INFOMASK_OK)
        return status;
    if (t.dims[2] % b || t.dims[3] % b)
        return onnx_broken(im, "its size is not a multiple of the block");
    {
        const int64_t n = t.dims[0], c = t.dims[1], h = t.dims[2] / b, w = t.dims[3] / b;
        const int64_t six[6] = {n, c, h, b, w, b}, four[4] = {n, c * b * b, h, w};
        return shuffle(im, six, turn, four);
    }
}

/* ---- Constants --------------------------------------------------------------------------------------------------- */

enum infomask_status onnx_import_constant_of_shape(struct onnx_import *im)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "value");
    struct onnx_value value = {0};
    enum onnx_numbers numbers = ONNX_FLOATS;
    int64_t dims[ONNX_MAX_INTS], wide[GRAPH_MAX_RANK];
    float number = 0, *data;
    int count, tensor;
    size_t n;
    enum infomask_status status = onnx_list(im, 0, "", dims, &count);

    if (status == INFOMASK_OK && a != NULL && a->t != NULL) {
        status = onnx_read_value(im, a->t, &value);
        if (status == INFOMASK_OK && value.kind == ONNX_INTS)
            number = value.ints->count > 0 ? (float)value.ints->item[0].value : 0;
        else if (status == INFOMASK_OK)
            number = tensor_at(im, value.tensor)->data[0];
        numbers = a->t->data_type == ONNX_BOOL ? ONNX_TRUTHS : value.kind == ONNX_INTS ? ONNX_INTEGERS : value.numbers;
        free(value.ints);
    }
    if (status != INFOMASK_OK)
        return status;
    if (count > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "more than %d dimensions", GRAPH_MAX_RANK);
    memcpy(wide, dims, (size_t)(count > 0 ? count : 0) * sizeof *wide);
    status = graph_new_constant(im->graph, count > 0 ? count : 0, wide, &tensor, &data, im->err);
    if (status != INFOMASK_OK)
        return status;
    n = graph_elements(tensor_at(im, tensor));
    for (size_t i = 0; i < n; i++)
        data[i] = number;
    return onnx_output_is(im, 0, tensor, numbers);
}

/* Ones on a diagonal of a matrix of its input's size. */
enum infomask_status onnx_import_eye_like(struct onnx_import *im)
{
    int64_t type = onnx_attribute_int(im, "dtype", 0), k = onnx_attribute_int(im, "k", 0);
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_tensor t;
    float *data;
    int x, tensor;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    if (t.rank != 2 || !onnx_is_known(&t))
        return onnx_unsupported(im, "only matrices of a known size are supported");
    status = graph_new_constant(im->graph, 2, t.dims, &tensor, &data, im->err);
    for (int64_t i = 0; status == INFOMASK_OK && i < t.dims[0]; i++)
        for (int64_t j = 0; j < t.dims[1]; j++)
            data[i * t.dims[1] + j] = j - i == k ? 1 : 0;
    if (type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_DOUBLE || type == ONNX_BFLOAT16)
        numbers = ONNX_FLOATS;
    else if (type != 0)
        numbers = type == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS;
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, tensor, numbers);
}

static enum infomask_status number_of(struct onnx_import *im, int i, double *value)
{
    int tensor;
    enum infomask_status status = onnx_any_input(im, i, &tensor);

    if (status != INFOMASK_OK)
        return status;
    if (tensor_at(im, tensor)->data == NULL || graph_elements(tensor_at(im, tensor)) != 1)
        return onnx_unsupported(im, "input %d is not one number that the file knows", i);
    *value = (double)tensor_at(im, tensor)->data[0];
    return INFOMASK_OK;
}

enum infomask_status onnx_import_range(struct onnx_import *im)
{
    double v[3], count;
    int64_t n;
    float *data;
    int tensor;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; status == INFOMASK_OK && i < 3; i++)
        status = number_of(im, i, &v[i]);
    if (status != INFOMASK_OK)
        return status;
    count = v[2] != 0 ? ceil((v[1] - v[0]) / v[2]) : 0;
    if (!(count >= 1) || count > GRAPH_MAX_ELEMENTS)
        return onnx_unsupported(im, "a range without elements, or of too many");
    n = (int64_t)count;
    status = graph_new_constant(im->graph, 1, &n, &tensor, &data, im->err);
    for (int64_t i = 0; status == INFOMASK_OK && i < n; i++)
        data[i] = (float)(v[0] + (double)i * v[2]);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, tensor, onnx_numbers_of(im, 0));
}

enum infomask_status onnx_import_size(struct onnx_import *im)
{
    int x, y;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (!onnx_is_known(tensor_at(im, x)))
        return onnx_unsupported(im, "it needs sizes that the file leaves open");
    status = onnx_new_scalar(im, (float)graph_elements(tensor_at(im, x)), &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_INTEGERS);
}

/* Of a constant: [rank, count] */
enum infomask_status onnx_import_non_zero(struct onnx_import *im)
{
    struct graph_tensor t;
    int64_t dims[2];
    int x, tensor;
    size_t n, count = 0, at = 0;
    float *data;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    n = graph_elements(&t);
    for (size_t i = 0; t.data != NULL && i < n; i++)
        count += t.data[i] != 0.0f;
    if (t.data == NULL || count == 0 || t.rank < 1)
        return onnx_unsupported(im, "only the places in a constant that the file knows are supported");
    dims[0] = t.rank;
    dims[1] = (int64_t)count;
    status = graph_new_constant(im->graph, 2, dims, &tensor, &data, im->err);
    for (size_t i = 0; status == INFOMASK_OK && i < n; i++) {
        size_t rest = i;
        if (t.data[i] == 0.0f)
            continue;
        for (int d = t.rank - 1; d >= 0; d--) {
            data[(size_t)d * count + at] = (float)(rest % (size_t)t.dims[d]);
            rest /= (size_t)t.dims[d];
        }
        at++;
    }
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, tensor, ONNX_INTEGERS);
}
