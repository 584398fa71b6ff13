/* Operators that pick elements of general tensors, or put some among them, by indices that the file knows. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

#define OPEN_SIZES "it needs sizes that the file leaves open"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* Integers of a constant tensor; the caller frees them. */
static enum infomask_status indices_of(struct onnx_import *im, int input, struct graph_tensor *shape, int64_t **v)
{
    int tensor;
    size_t n;
    enum infomask_status status = onnx_any_input(im, input, &tensor);

    *v = NULL;
    if (status != INFOMASK_OK)
        return status;
    *shape = *tensor_at(im, tensor);
    if (shape->data == NULL)
        return onnx_unsupported(im, "its indices are computed while the network runs");
    n = graph_elements(shape);
    *v = malloc((n + 1) * sizeof **v);
    if (*v == NULL)
        return onnx_no_memory(im);
    for (size_t i = 0; i < n; i++)
        (*v)[i] = onnx_integer(shape->data[i]);
    return INFOMASK_OK;
}

/* All indices of a dimension in their order: only the shape changes. */
static bool counts_all(const int64_t *v, size_t n, int64_t size)
{
    for (size_t i = 0; i < n; i++)
        if (v[i] != (int64_t)i)
            return false;
    return size == (int64_t)n;
}

static enum infomask_status gather_all(struct onnx_import *im, int x, int axis, const struct graph_tensor *indices,
                                       enum onnx_numbers numbers)
{
    const struct graph_tensor t = *tensor_at(im, x);
    int64_t dims[GRAPH_MAX_RANK];
    int rank = 0, y;
    enum infomask_status status;

    if (t.rank - 1 + indices->rank > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "more than %d dimensions", GRAPH_MAX_RANK);
    for (int i = 0; i < axis; i++)
        dims[rank++] = t.dims[i];
    for (int i = 0; i < indices->rank; i++)
        dims[rank++] = indices->dims[i];
    for (int i = axis + 1; i < t.rank; i++)
        dims[rank++] = t.dims[i];
    status = onnx_step_reshape(im, x, rank, dims, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, numbers);
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

    if (status == INFOMASK_OK)
        status = indices_of(im, 1, &shape, &v);
    if (status != INFOMASK_OK)
        return status;
    n = graph_elements(&shape);
    rank = (size_t)shape.rank;
    if (onnx_axis(&axis, tensor_at(im, x)->rank) && tensor_at(im, x)->data == NULL &&
        counts_all(v, n, tensor_at(im, x)->dims[axis])) {
        free(v);
        return gather_all(im, x, (int)axis, &shape, numbers);
    }
    node = onnx_axis(&axis, tensor_at(im, x)->rank) ? onnx_general(im, GRAPH_GATHER, &x, 1, 1 + rank + n) : NULL;
    if (node != NULL) {
        node->axis = (int)axis;
        node->table->v[0] = shape.rank;
        memcpy(node->table->v + 1, shape.dims, rank * sizeof *v);
        memcpy(node->table->v + 1 + rank, v, n * sizeof *v);
    }
    free(v);
    return node != NULL ? onnx_result(im, node, numbers) : onnx_broken(im, "its axis is outside its input");
}

enum infomask_status onnx_take_into(struct onnx_import *im, int x, int rank, const int64_t *dims,
                                    struct graph_node **node)
{
    size_t n = 1;
    struct graph_tensor *y;

    for (int i = 0; i < rank; i++) {
        if (dims[i] < 1)
            return onnx_unsupported(im, "it makes a tensor without elements");
        if (__builtin_mul_overflow(n, (size_t)dims[i], &n) || n > im->graph->table_budget)
            return onnx_unsupported(im, "it makes a tensor that is too large for a file of this size");
    }
    im->graph->table_budget -= n;
    *node = onnx_general(im, GRAPH_TAKE, &x, 1, n);
    if (*node == NULL)
        return onnx_no_memory(im);
    y = &im->graph->tensors[(*node)->output];
    y->rank = rank;
    memcpy(y->dims, dims, (size_t)rank * sizeof *dims);
    return INFOMASK_OK;
}

bool onnx_is_known(const struct graph_tensor *t)
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

/* What GatherElements and GatherND take: a tensor of known size, and indices whose integers the caller frees. */
struct gather {
    int x;
    struct graph_tensor t, shape; /* of the tensor and of the indices */
    int64_t *v;
};

static enum infomask_status gather_inputs(struct onnx_import *im, struct gather *g)
{
    enum infomask_status status = onnx_any_input(im, 0, &g->x);

    if (status != INFOMASK_OK)
        return status;
    g->t = *tensor_at(im, g->x);
    if (!onnx_is_known(&g->t))
        return onnx_unsupported(im, OPEN_SIZES);
    return indices_of(im, 1, &g->shape, &g->v);
}

static enum infomask_status gather_elements(struct onnx_import *im, struct gather *g)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0);
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    bool fits = g->shape.rank == g->t.rank && onnx_axis(&axis, g->t.rank);
    enum infomask_status status;

    for (int d = 0; fits && d < g->t.rank; d++)
        fits = d == axis || g->shape.dims[d] <= g->t.dims[d];
    for (size_t i = 0; fits && i < graph_elements(&g->shape); i++)
        fits = onnx_axis(&g->v[i], (int)g->t.dims[axis]);
    if (!fits)
        return onnx_broken(im, "its axis or indices are outside its input");
    status = onnx_take_into(im, g->x, g->shape.rank, g->shape.dims, &node);
    if (status != INFOMASK_OK)
        return status;
    for (size_t i = 0; i < node->table->count; i++)
        node->table->v[i] = element_offset(&g->t, &g->shape, i, (int)axis, g->v[i]);
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_gather_elements(struct onnx_import *im)
{
    struct gather g = {0};
    enum infomask_status status = gather_inputs(im, &g);

    if (status == INFOMASK_OK)
        status = gather_elements(im, &g);
    free(g.v);
    return status;
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

/* The rows of indices name blocks behind `batch` dimensions that both have: the dimensions of what is taken. */
static bool gathered_shape(const struct gather *g, int64_t batch, int64_t depth, int *rank, int64_t *dims)
{
    bool fits = batch >= 0 && batch < g->shape.rank && depth >= 1 && batch + depth <= g->t.rank;

    *rank = 0;
    for (int d = 0; fits && d < batch; d++)
        fits = g->shape.dims[d] == g->t.dims[d];
    for (int d = 0; fits && d < g->shape.rank - 1; d++)
        dims[(*rank)++] = g->shape.dims[d];
    for (int d = (int)(batch + depth); fits && d < g->t.rank; d++)
        dims[(*rank)++] = g->t.dims[d];
    return fits && *rank <= GRAPH_MAX_RANK;
}

/* Whether all rows of indices are inside; fills `from` with what each element of the result is. */
static bool gathered_offsets(const struct gather *g, int batch, int64_t depth, int64_t *from)
{
    size_t block = dims_product(&g->t, batch + (int)depth, g->t.rank);
    size_t rows = graph_elements(&g->shape) / (size_t)depth;
    size_t rows_each = rows / dims_product(&g->t, 0, batch), item = dims_product(&g->t, batch, g->t.rank);

    for (size_t row = 0; row < rows; row++) {
        int64_t at = block_offset(&g->t, g->v + row * (size_t)depth, batch, depth);

        if (at < 0)
            return false;
        for (size_t i = 0; i < block; i++)
            from[row * block + i] = at + (int64_t)(row / rows_each * item + i);
    }
    return true;
}

static enum infomask_status gather_blocks(struct onnx_import *im, const struct gather *g)
{
    int64_t dims[2 * GRAPH_MAX_RANK], batch = onnx_attribute_int(im, "batch_dims", 0);
    int64_t depth = g->shape.rank > 0 ? g->shape.dims[g->shape.rank - 1] : 0;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    int rank;
    enum infomask_status status;

    if (!gathered_shape(g, batch, depth, &rank, dims))
        return onnx_broken(im, "its indices do not fit its input");
    status = onnx_take_into(im, g->x, rank, dims, &node);
    if (status != INFOMASK_OK)
        return status;
    if (!gathered_offsets(g, (int)batch, depth, node->table->v))
        return onnx_broken(im, "its indices are outside its input");
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_gather_nd(struct onnx_import *im)
{
    struct gather g = {0};
    enum infomask_status status = gather_inputs(im, &g);

    if (status == INFOMASK_OK)
        status = gather_blocks(im, &g);
    free(g.v);
    return status;
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

    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, updates, 1, more, &parts[1]);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_CONCAT, parts, 2, 0);
    status = node != NULL ? onnx_step(im, node, &both) : onnx_no_memory(im);
    if (status != INFOMASK_OK)
        return status;
    status = onnx_take_into(im, both, t.rank, t.dims, &node);
    if (status != INFOMASK_OK)
        return status;
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
    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 2, updates);
    if (status != INFOMASK_OK)
        return status;
    if (*reduction && strcmp(reduction, "none") != 0)
        return onnx_unsupported(im, "reduction '%s'", reduction);
    if (!onnx_is_known(tensor_at(im, *data)) || !onnx_is_known(tensor_at(im, *updates)))
        return onnx_unsupported(im, OPEN_SIZES);
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

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, data);
    count = graph_elements(tensor_at(im, updates));
    depth = shape.rank > 0 ? shape.dims[shape.rank - 1] : 0;
    to = malloc((count + 1) * sizeof *to);
    fits = to != NULL && depth >= 1 && depth <= t.rank;
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

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, data);
    count = graph_elements(tensor_at(im, updates));
    to = malloc((count + 1) * sizeof *to);
    fits = to != NULL && shape.rank == t.rank && graph_elements(&shape) == count && onnx_axis(&axis, t.rank);
    for (int d = 0; fits && d < t.rank; d++)
        fits = shape.dims[d] <= t.dims[d];
    for (size_t i = 0; fits && i < count; i++) {
        fits = onnx_axis(&v[i], (int)t.dims[axis]);
        to[i] = element_offset(&t, &shape, i, (int)axis, v[i]);
    }
    status = fits ? scatter(im, data, updates, to, count)
                  : onnx_broken(im, "its axis or indices are outside its input");
    free(v);
    free(to);
    return status;
}
