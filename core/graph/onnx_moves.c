/* Operators that only move the elements of general tensors, and those that make constants. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* ---- Slice, Split -------------------------------------------------------------------------------------------------- */

/* A slice that takes everything, to be narrowed. */
static struct graph_node *whole_slice(struct onnx_import *im, int x)
{
    int rank = tensor_at(im, x)->rank;
    struct graph_node *node = onnx_general(im, GRAPH_SLICE, &x, 1, 3 * (size_t)(rank > 0 ? rank : 1));
    for (int i = 0; node && i < rank; i++) {
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
    if (!status)
        status = onnx_list(im, 1, "starts", starts, &count);
    if (!status)
        status = onnx_list(im, 2, "ends", ends, &ends_count);
    if (!status)
        status = onnx_list(im, 3, "axes", axes, &axes_count);
    if (!status)
        status = onnx_list(im, 4, "steps", steps, &steps_count);
    if (status)
        return status;
    rank = tensor_at(im, x)->rank;
    if (count < 0 || count > rank || ends_count != count || (axes_count >= 0 && axes_count != count) ||
        (steps_count >= 0 && steps_count != count))
        return onnx_broken(im, "its starts, ends, axes and steps do not fit");
    node = whole_slice(im, x);
    if (!node)
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
    if (status || *count >= 0)
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
    if (status)
        return status;
    rank = tensor_at(im, x)->rank;
    if (!onnx_axis(&axis, rank))
        return onnx_broken(im, "its axis is outside its input");
    status = split_sizes(im, tensor_at(im, x)->dims[axis], sizes, &count);
    for (int i = 0; !status && i < count && (size_t)i < im->node->n_output; i++) {
        struct graph_node *node = whole_slice(im, x);
        int y;
        if (!node)
            return onnx_no_memory(im);
        if (sizes[i] < 0 || __builtin_add_overflow(at, sizes[i], &node->table->v[rank + axis]))
            return onnx_broken(im, "its parts are wrong");
        node->table->v[axis] = at;
        at = node->table->v[rank + axis];
        status = onnx_step(im, node, &y);
        if (!status)
            status = onnx_output_is(im, i, y, numbers);
    }
    return status;
}

/* ---- Gather and Scatter, with indices that the file knows ----------------------------------------------------------- */

/* Integers of a constant tensor; the caller frees them. */
static enum infomask_status indices_of(struct onnx_import *im, int input, struct graph_tensor *shape, int64_t **v)
{
    int tensor;
    size_t n;
    enum infomask_status status = onnx_any_input(im, input, &tensor);
    *v = NULL;
    if (status)
        return status;
    *shape = *tensor_at(im, tensor);
    if (!shape->data)
        return onnx_unsupported(im, "its indices are computed while the network runs");
    n = graph_elements(shape);
    *v = malloc((n + 1) * sizeof **v);
    if (!*v)
        return onnx_no_memory(im);
    for (size_t i = 0; i < n; i++)
        (*v)[i] = (int64_t)shape->data[i];
    return INFOMASK_OK;
}

enum infomask_status onnx_import_general_gather(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0), *v;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_tensor shape;
    struct graph_node *node;
    int x;
    size_t n, rank;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (!status)
        status = indices_of(im, 1, &shape, &v);
    if (status)
        return status;
    n = graph_elements(&shape);
    rank = (size_t)shape.rank;
    node = onnx_axis(&axis, tensor_at(im, x)->rank) ? onnx_general(im, GRAPH_GATHER, &x, 1, 1 + rank + n) : NULL;
    if (node) {
        node->axis = (int)axis;
        node->table->v[0] = shape.rank;
        memcpy(node->table->v + 1, shape.dims, rank * sizeof *v);
        memcpy(node->table->v + 1 + rank, v, n * sizeof *v);
    }
    free(v);
    return node ? onnx_result(im, node, numbers) : onnx_broken(im, "its axis is outside its input");
}

/* A node that takes elements one by one into a new shape; its table is to be filled. */
static struct graph_node *take_into(struct onnx_import *im, int x, int rank, const int64_t *dims)
{
    size_t n = 1;
    struct graph_node *node;
    struct graph_tensor *y;
    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 || __builtin_mul_overflow(n, (size_t)dims[i], &n) || n > GRAPH_MAX_ELEMENTS / 8)
            return NULL;
    node = onnx_general(im, GRAPH_TAKE, &x, 1, n);
    if (!node)
        return NULL;
    y = &im->graph->tensors[node->output];
    y->rank = rank;
    memcpy(y->dims, dims, (size_t)rank * sizeof *dims);
    return node;
}

static bool is_known(const struct graph_tensor *t)
{
    for (int i = 0; i < t->rank; i++)
        if (t->dims[i] < 1)
            return false;
    return true;
}

/* Offset in a tensor of dims of the element that a row-major index in `shape` names, with `axis` replaced by `at`. */
static int64_t element_offset(const struct graph_tensor *t, const struct graph_tensor *shape, size_t i, int axis,
                              int64_t at)
{
    int64_t index[GRAPH_MAX_RANK], offset = 0;
    for (int d = shape->rank - 1; d >= 0; d--) {
        index[d] = (int64_t)(i % (size_t)shape->dims[d]);
        i /= (size_t)shape->dims[d];
    }
    for (int d = 0; d < t->rank; d++)
        offset = offset * t->dims[d] + (d == axis ? at : index[d]);
    return offset;
}

enum infomask_status onnx_import_gather_elements(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0), *v;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_tensor shape, t;
    struct graph_node *node = NULL;
    bool fits;
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (!status)
        status = indices_of(im, 1, &shape, &v);
    if (status)
        return status;
    t = *tensor_at(im, x);
    fits = is_known(&t) && shape.rank == t.rank && onnx_axis(&axis, t.rank);
    for (int d = 0; fits && d < t.rank; d++)
        fits = d == axis || shape.dims[d] <= t.dims[d];
    for (size_t i = 0; fits && i < graph_elements(&shape); i++)
        fits = onnx_axis(&v[i], (int)t.dims[axis]);
    if (fits)
        node = take_into(im, x, shape.rank, shape.dims);
    for (size_t i = 0; node && i < node->table->count; i++)
        node->table->v[i] = element_offset(&t, &shape, i, (int)axis, v[i]);
    free(v);
    return node ? onnx_result(im, node, numbers) : onnx_broken(im, "its axis or indices are outside its input");
}

/* The offset of the block that row i of indices [..., depth] names behind `batch` dimensions; -1 outside. */
static int64_t block_offset(const struct graph_tensor *t, const int64_t *row, int batch, int64_t depth)
{
    int64_t offset = 0;
    for (int d = 0; d < depth; d++) {
        int64_t at = row[d];
        if (!onnx_axis(&at, (int)t->dims[batch + d]))
            return -1;
        offset = offset * t->dims[batch + d] + at;
    }
    for (int d = batch + (int)depth; d < t->rank; d++)
        offset *= t->dims[d];
    return offset;
}

static size_t dims_product(const struct graph_tensor *t, int from, int to)
{
    size_t n = 1;
    for (int d = from; d < to; d++)
        n *= (size_t)t->dims[d];
    return n;
}

enum infomask_status onnx_import_gather_nd(struct onnx_import *im)
{
    int64_t *v, dims[2 * GRAPH_MAX_RANK], batch = onnx_attribute_int(im, "batch_dims", 0), depth;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_tensor shape, t;
    struct graph_node *node = NULL;
    int x, rank = 0;
    bool fits;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (!status)
        status = indices_of(im, 1, &shape, &v);
    if (status)
        return status;
    t = *tensor_at(im, x);
    depth = shape.rank > 0 ? shape.dims[shape.rank - 1] : 0;
    fits = is_known(&t) && batch >= 0 && batch < shape.rank && depth >= 1 && batch + depth <= t.rank;
    for (int d = 0; fits && d < batch; d++)
        fits = shape.dims[d] == t.dims[d];
    for (int d = 0; fits && d < shape.rank - 1; d++)
        dims[rank++] = shape.dims[d];
    for (int d = (int)(batch + depth); fits && d < t.rank; d++)
        dims[rank++] = t.dims[d];
    if (fits && rank <= GRAPH_MAX_RANK)
        node = take_into(im, x, rank, dims);
    if (node) {
        size_t block = dims_product(&t, (int)(batch + depth), t.rank), rows = graph_elements(&shape) / (size_t)depth;
        size_t batches = dims_product(&t, 0, (int)batch), item = dims_product(&t, (int)batch, t.rank);
        for (size_t i = 0; i < rows * block; i++) {
            int64_t from = block_offset(&t, v + i / block * (size_t)depth, (int)batch, depth);
            fits = fits && from >= 0;
            node->table->v[i] = from + (int64_t)(i / block / (rows / batches) * item + i % block);
        }
    }
    free(v);
    return node && fits ? onnx_result(im, node, numbers) : onnx_broken(im, "its indices are outside its input");
}

/* Scattered: the elements of data, some of them replaced by updates: one take from both, side by side. */
static enum infomask_status scatter(struct onnx_import *im, int data, int updates, const int64_t *to, size_t count)
{
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_tensor t = *tensor_at(im, data);
    int64_t n = (int64_t)graph_elements(&t), flat[1] = {n}, more[1] = {(int64_t)count};
    int parts[2], both;
    struct graph_node *node;
    enum infomask_status status = onnx_step_reshape(im, data, 1, flat, &parts[0]);
    if (!status)
        status = onnx_step_reshape(im, updates, 1, more, &parts[1]);
    if (status)
        return status;
    node = onnx_general(im, GRAPH_CONCAT, parts, 2, 0);
    status = node ? onnx_step(im, node, &both) : onnx_no_memory(im);
    if (status)
        return status;
    node = take_into(im, both, t.rank, t.dims);
    if (!node)
        return onnx_no_memory(im);
    for (int64_t i = 0; i < n; i++)
        node->table->v[i] = i;
    for (size_t i = 0; i < count; i++)
        node->table->v[to[i]] = n + (int64_t)i;
    return onnx_result(im, node, numbers);
}

static enum infomask_status scatter_inputs(struct onnx_import *im, int *data, int *updates, struct graph_tensor *shape,
                                           int64_t **v)
{
    char reduction[8];
    enum infomask_status status = onnx_any_input(im, 0, data);
    onnx_attribute_text(im, "reduction", reduction, sizeof reduction);
    if (!status)
        status = onnx_any_input(im, 2, updates);
    if (status)
        return status;
    if (*reduction && strcmp(reduction, "none") != 0)
        return onnx_unsupported(im, "reduction '%s'", reduction);
    if (!is_known(tensor_at(im, *data)) || !is_known(tensor_at(im, *updates)))
        return onnx_unsupported(im, "it needs sizes that the file leaves open");
    return indices_of(im, 1, shape, v);
}

enum infomask_status onnx_import_scatter_nd(struct onnx_import *im)
{
    struct graph_tensor shape, t;
    int64_t *v, *to, depth;
    int data, updates;
    size_t rows, block, count;
    bool fits;
    enum infomask_status status = scatter_inputs(im, &data, &updates, &shape, &v);
    if (status)
        return status;
    t = *tensor_at(im, data);
    count = graph_elements(tensor_at(im, updates));
    depth = shape.rank > 0 ? shape.dims[shape.rank - 1] : 0;
    to = malloc((count + 1) * sizeof *to);
    fits = to && depth >= 1 && depth <= t.rank;
    rows = fits ? graph_elements(&shape) / (size_t)depth : 0;
    block = fits ? dims_product(&t, (int)depth, t.rank) : 0;
    fits = fits && rows * block == count;
    for (size_t i = 0; fits && i < count; i++) {
        int64_t from = block_offset(&t, v + i / block * (size_t)depth, 0, depth);
        fits = from >= 0;
        to[i] = from + (int64_t)(i % block);
    }
    status = fits ? scatter(im, data, updates, to, count) : onnx_broken(im, "its indices are outside its input");
    free(v);
    free(to);
    return status;
}

enum infomask_status onnx_import_scatter_elements(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0), *v, *to;
    struct graph_tensor shape, t;
    int data, updates;
    size_t count;
    bool fits;
    enum infomask_status status = scatter_inputs(im, &data, &updates, &shape, &v);
    if (status)
        return status;
    t = *tensor_at(im, data);
    count = graph_elements(tensor_at(im, updates));
    to = malloc((count + 1) * sizeof *to);
    fits = to && shape.rank == t.rank && graph_elements(&shape) == count && onnx_axis(&axis, t.rank);
    for (int d = 0; fits && d < t.rank; d++)
        fits = shape.dims[d] <= t.dims[d];
    for (size_t i = 0; fits && i < count; i++) {
        fits = onnx_axis(&v[i], (int)t.dims[axis]);
        to[i] = element_offset(&t, &shape, i, (int)axis, v[i]);
    }
    status = fits ? scatter(im, data, updates, to, count) : onnx_broken(im, "its axis or indices are outside its input");
    free(v);
    free(to);
    return status;
}

/* ---- Copies -------------------------------------------------------------------------------------------------------- */

static enum infomask_status expand_to(struct onnx_import *im, int x, int rank, const int64_t *dims,
                                      enum onnx_numbers numbers)
{
    struct graph_node *node = onnx_general(im, GRAPH_EXPAND, &x, 1, (size_t)(rank > 0 ? rank : 1));
    if (!node)
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
    if (!status)
        status = onnx_list(im, 1, "shape", dims, &count);
    if (status)
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
    if (!status)
        status = onnx_list(im, 1, "repeats", times, &count);
    if (status)
        return status;
    t = *tensor_at(im, x);
    if (count != t.rank || !is_known(&t))
        return onnx_unsupported(im, "it needs a number of repeats for each known dimension");
    for (int i = 0; i < t.rank; i++) {
        if (times[i] < 1 || times[i] > GRAPH_MAX_DIM || __builtin_mul_overflow(t.dims[i], times[i], &whole[i]))
            return onnx_unsupported(im, "its repeats are wrong");
    }
    node = take_into(im, x, t.rank, whole);
    if (!node)
        return onnx_unsupported(im, "it makes a tensor that is too large");
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
    if (!status)
        status = onnx_list(im, 1, "pads", pads, &count);
    if (!status && onnx_has(im, 2) && onnx_numbers_of(im, 2) == ONNX_FLOATS)
        status = onnx_scalar_input(im, 2, &value);
    if (!status)
        status = onnx_list(im, 3, "axes", axes, &axes_count);
    if (status)
        return status;
    rank = tensor_at(im, x)->rank;
    half = axes_count >= 0 ? axes_count : rank;
    if (count != 2 * half || half > rank)
        return onnx_broken(im, "its pads do not fit its input");
    node = onnx_general(im, GRAPH_PAD, &x, 1, 2 * (size_t)(rank > 0 ? rank : 1));
    if (!node)
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
    if (!status)
        status = onnx_list(im, 1, "k", k, &count);
    if (status)
        return status;
    t = *tensor_at(im, x);
    node = t.rank >= 2 && is_known(&t) ? take_into(im, x, t.rank, t.dims) : NULL;
    if (!node)
        return onnx_unsupported(im, "only matrices of a known size are supported");
    rows = t.dims[t.rank - 2];
    columns = t.dims[t.rank - 1];
    for (size_t i = 0; i < node->table->count; i++) {
        int64_t row = (int64_t)i / columns % rows, column = (int64_t)i % columns, away = column - row;
        node->table->v[i] = (upper ? away >= k[0] : away <= k[0]) ? (int64_t)i : -1;
    }
    return onnx_result(im, node, numbers);
}

/* [N, C, H, W] as six dimensions, turned, and back. */
static enum infomask_status shuffle(struct onnx_import *im, const int64_t six[6], const int turn[6], const int64_t four[4])
{
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (!status)
        status = onnx_step_reshape(im, x, 6, six, &x);
    if (!status)
        status = onnx_step_transpose(im, x, turn, &x);
    if (!status)
        status = onnx_step_reshape(im, x, 4, four, &x);
    return status ? status : onnx_output_is(im, 0, x, ONNX_FLOATS);
}

static enum infomask_status blocks_of(struct onnx_import *im, struct graph_tensor *t, int64_t *b)
{
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (status)
        return status;
    *t = *tensor_at(im, x);
    *b = onnx_attribute_int(im, "blocksize", 0);
    if (t->rank != 4 || !is_known(t) || *b < 1 || *b > 1 << 15)
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
    if (status)
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
    if (status)
        return status;
    if (t.dims[2] % b || t.dims[3] % b)
        return onnx_broken(im, "its size is not a multiple of the block");
    {
        const int64_t n = t.dims[0], c = t.dims[1], h = t.dims[2] / b, w = t.dims[3] / b;
        const int64_t six[6] = {n, c, h, b, w, b}, four[4] = {n, c * b * b, h, w};
        return shuffle(im, six, turn, four);
    }
}

/* ---- Constants ----------------------------------------------------------------------------------------------------- */

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
    if (!status && a && a->t) {
        status = onnx_read_value(im, a->t, &value);
        if (!status && value.kind == ONNX_INTS)
            number = value.ints->count > 0 ? (float)value.ints->item[0].value : 0;
        else if (!status)
            number = tensor_at(im, value.tensor)->data[0];
        numbers = a->t->data_type == ONNX_BOOL ? ONNX_TRUTHS : value.kind == ONNX_INTS ? ONNX_INTEGERS : value.numbers;
        free(value.ints);
    }
    if (status)
        return status;
    if (count > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "more than %d dimensions", GRAPH_MAX_RANK);
    memcpy(wide, dims, (size_t)(count > 0 ? count : 0) * sizeof *wide);
    status = graph_new_constant(im->graph, count > 0 ? count : 0, wide, &tensor, &data, im->err);
    if (status)
        return status;
    n = graph_elements(tensor_at(im, tensor));
    for (size_t i = 0; i < n; i++)
        data[i] = number;
    return onnx_output_is(im, 0, tensor, numbers);
}

static enum infomask_status number_of(struct onnx_import *im, int i, double *value)
{
    int tensor;
    enum infomask_status status = onnx_any_input(im, i, &tensor);
    if (status)
        return status;
    if (!tensor_at(im, tensor)->data || graph_elements(tensor_at(im, tensor)) != 1)
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
    for (int i = 0; !status && i < 3; i++)
        status = number_of(im, i, &v[i]);
    if (status)
        return status;
    count = v[2] != 0 ? ceil((v[1] - v[0]) / v[2]) : 0;
    if (!(count >= 1) || count > GRAPH_MAX_ELEMENTS)
        return onnx_unsupported(im, "a range without elements, or of too many");
    n = (int64_t)count;
    status = graph_new_constant(im->graph, 1, &n, &tensor, &data, im->err);
    for (int64_t i = 0; !status && i < n; i++)
        data[i] = (float)(v[0] + (double)i * v[2]);
    return status ? status : onnx_output_is(im, 0, tensor, onnx_numbers_of(im, 0));
}

enum infomask_status onnx_import_size(struct onnx_import *im)
{
    int x, y;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    if (status)
        return status;
    if (!is_known(tensor_at(im, x)))
        return onnx_unsupported(im, "it needs sizes that the file leaves open");
    status = onnx_new_scalar(im, (float)graph_elements(tensor_at(im, x)), &y);
    return status ? status : onnx_output_is(im, 0, y, ONNX_INTEGERS);
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
    if (status)
        return status;
    t = *tensor_at(im, x);
    n = graph_elements(&t);
    for (size_t i = 0; t.data && i < n; i++)
        count += t.data[i] != 0.0f;
    if (!t.data || count == 0 || t.rank < 1)
        return onnx_unsupported(im, "only the places in a constant that the file knows are supported");
    dims[0] = t.rank;
    dims[1] = (int64_t)count;
    status = graph_new_constant(im->graph, 2, dims, &tensor, &data, im->err);
    for (size_t i = 0; !status && i < n; i++) {
        size_t rest = i;
        if (t.data[i] == 0.0f)
            continue;
        for (int d = t.rank - 1; d >= 0; d--) {
            data[(size_t)d * count + at] = (float)(rest % (size_t)t.dims[d]);
            rest /= (size_t)t.dims[d];
        }
        at++;
    }
    return status ? status : onnx_output_is(im, 0, tensor, ONNX_INTEGERS);
}
