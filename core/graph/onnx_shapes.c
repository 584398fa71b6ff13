/* What rearranges tensors, and the small computations on integers by which exporters spell out a shape: Shape,
 * Gather, Slice, Concat, Unsqueeze and arithmetic, all worked out here so that the graph sees the result only. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

static bool is_ints(const struct onnx_import *im, int i)
{
    return onnx_has(im, i) && im->inputs[i]->kind == ONNX_INTS;
}

/* Integers from an input or, in older files, from an attribute; *given false if there are neither. */
static enum infomask_status ints_or_attribute(struct onnx_import *im, int input, const char *name,
                                              struct onnx_ints *ints, bool *given)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    const struct onnx_ints *found;
    enum infomask_status status;

    *ints = (struct onnx_ints){.rank = 1};
    *given = onnx_has(im, input) || a != NULL;
    if (onnx_has(im, input)) {
        status = onnx_ints_input(im, input, &found);
        if (status == INFOMASK_OK)
            *ints = *found;
        return status;
    }
    if (a == NULL)
        return INFOMASK_OK;
    if (a->n_ints > ONNX_MAX_INTS)
        return onnx_broken(im, "attribute %s has too many numbers", name);
    ints->count = (int)a->n_ints;
    for (int i = 0; i < ints->count; i++)
        ints->item[i].value = a->ints[i];
    return INFOMASK_OK;
}

/* Axes as a set of bits; negative ones count from the end of `rank` dimensions. */
static enum infomask_status axis_set(struct onnx_import *im, const struct onnx_ints *axes, int rank, unsigned *set)
{
    *set = 0;
    for (int i = 0; i < axes->count; i++) {
        int64_t axis = axes->item[i].value;
        axis += axis < 0 ? rank : 0;
        if (axes->item[i].kind != ONNX_INT_KNOWN || axis < 0 || axis >= rank || (*set & 1u << axis))
            return onnx_broken(im, "its axes are wrong");
        *set |= 1u << axis;
    }
    return INFOMASK_OK;
}

static enum infomask_status reshape_to(struct onnx_import *im, int x, int rank, const int64_t *dims)
{
    int y;
    enum infomask_status status = onnx_step_reshape(im, x, rank, dims, &y);

    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, onnx_numbers_of(im, 0));
}

/* The product of dims [from, to), -1 if one is unknown. */
static int64_t product(const struct graph_tensor *t, int from, int to)
{
    int64_t n = 1;

    for (int i = from; i < to; i++)
        if (t->dims[i] < 0 || __builtin_mul_overflow(n, t->dims[i], &n))
            return -1;
    return n;
}

enum infomask_status onnx_import_flatten(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 1), dims[2];
    const struct graph_tensor *t;
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);
    bool fixed;

    if (status != INFOMASK_OK)
        return status;
    t = tensor_at(im, x);
    fixed = t->data != NULL || im->graph->concrete;
    axis += axis < 0 ? t->rank : 0;
    if (axis < 0 || axis > t->rank)
        return onnx_broken(im, "its axis is wrong");
    if (!fixed && (axis == 0 || product(t, 1, (int)axis) != 1))
        return onnx_unsupported(im, "it moves the batch dimension");
    dims[0] = fixed ? product(t, 0, (int)axis) : -1;
    dims[1] = product(t, (int)axis, t->rank);
    return reshape_to(im, x, 2, dims);
}

/* ---- Reshape ----------------------------------------------------------------------------------------------------- */

/* Is the first number of a shape the batch?  It is if the file says so (a copied 0, or the batch that it computed),
 * or if it is the file's own batch, or a -1 of which the other numbers leave just that. */
static bool keeps_batch(const struct onnx_import *im, const struct graph_tensor *x, const struct onnx_ints *shape)
{
    const struct onnx_int first = shape->count ? shape->item[0] : (struct onnx_int){ONNX_INT_SIZE, 0};
    int64_t own = product(x, 1, x->rank), rest = 1;

    if (first.kind == ONNX_INT_BATCH || (first.kind == ONNX_INT_KNOWN && first.value == 0))
        return true;
    if (first.kind != ONNX_INT_KNOWN || (first.value != -1 && first.value != im->batch))
        return false;
    for (int i = 1; i < shape->count; i++) {
        int64_t d = shape->item[i].value;
        if (shape->item[i].kind == ONNX_INT_KNOWN && d == 0 && i < x->rank)
            d = x->dims[i];
        if (shape->item[i].kind != ONNX_INT_KNOWN || d < 1)
            return true; /* one number is left open: the batch is as good as any, and is checked when it runs */
        if (__builtin_mul_overflow(rest, d, &rest))
            return false;
    }
    return own < 0 || own == rest;
}

static enum infomask_status target_shape(struct onnx_import *im, const struct graph_tensor *x,
                                         const struct onnx_ints *shape, int64_t *dims)
{
    for (int i = 0; i < shape->count; i++) {
        const struct onnx_int *item = &shape->item[i];
        dims[i] = item->kind == ONNX_INT_KNOWN ? item->value : -1;
        if (item->kind == ONNX_INT_BATCH && i > 0)
            return onnx_unsupported(im, "it moves the batch dimension");
        if (item->kind == ONNX_INT_KNOWN && item->value == 0 && i >= x->rank)
            return onnx_broken(im, "its shape copies a dimension that the input does not have");
        if (item->kind == ONNX_INT_KNOWN && item->value == 0)
            dims[i] = x->dims[i];
        if (dims[i] < -1 || dims[i] > GRAPH_MAX_DIM)
            return onnx_broken(im, "its shape is wrong");
    }
    return INFOMASK_OK;
}

/* Before opset 5 the shape is an attribute. */
static enum infomask_status shape_attribute(struct onnx_import *im, struct onnx_ints *own,
                                            const struct onnx_ints **shape)
{
    int64_t v[ONNX_MAX_INTS];
    enum infomask_status status = onnx_list(im, -1, "shape", v, &own->count);

    own->rank = 1;
    for (int i = 0; i < own->count; i++)
        own->item[i] = (struct onnx_int){ONNX_INT_KNOWN, v[i]};
    *shape = own;
    return status != INFOMASK_OK || own->count >= 0 ? status : onnx_broken(im, "it has no shape");
}

static bool has_zero(const struct onnx_ints *shape)
{
    for (int i = 0; i < shape->count; i++)
        if (shape->item[i].kind == ONNX_INT_KNOWN && shape->item[i].value == 0)
            return true;
    return false;
}

enum infomask_status onnx_import_reshape(struct onnx_import *im)
{
    const struct onnx_ints *shape;
    struct onnx_ints own;
    int64_t dims[GRAPH_MAX_RANK];
    int x;
    bool fixed;
    enum infomask_status status;

    status = im->input_count < 2 ? shape_attribute(im, &own, &shape) : onnx_ints_input(im, 1, &shape);
    /* a list of integers that is made a list, or a number */
    if (status == INFOMASK_OK && is_ints(im, 0) && shape->count <= 1) {
        struct onnx_ints ints = *im->inputs[0]->ints;
        ints.rank = shape->count;
        return onnx_is_ints(im, &ints);
    }
    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 0, &x);
    if (status != INFOMASK_OK)
        return status;
    if (shape->count > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "a shape of more than %d dimensions", GRAPH_MAX_RANK);
    if (onnx_attribute_int(im, "allowzero", 0) && has_zero(shape))
        return onnx_unsupported(im, "a tensor without elements");
    fixed = tensor_at(im, x)->data != NULL || im->graph->concrete;
    if (!fixed && !keeps_batch(im, tensor_at(im, x), shape))
        return onnx_unsupported(im, "it moves the batch dimension");
    status = target_shape(im, tensor_at(im, x), shape, dims);
    if (status != INFOMASK_OK)
        return status;
    if (!fixed)
        dims[0] = -1;
    return reshape_to(im, x, shape->count, dims);
}

/* Integers have no more than one dimension here: with and without it they are the same list. */
static enum infomask_status relabel_ints(struct onnx_import *im, int rank)
{
    struct onnx_ints ints = *im->inputs[0]->ints;

    if (ints.count != 1 && rank == 0)
        return onnx_broken(im, "a list of %d integers is not a number", ints.count);
    if (ints.rank == rank)
        return onnx_unsupported(im, "integers of more than one dimension");
    ints.rank = rank;
    return onnx_is_ints(im, &ints);
}

enum infomask_status onnx_import_squeeze(struct onnx_import *im)
{
    struct onnx_ints axes;
    int64_t dims[GRAPH_MAX_RANK];
    const struct graph_tensor *t;
    unsigned set;
    bool given;
    int x, rank = 0;
    enum infomask_status status = ints_or_attribute(im, 1, "axes", &axes, &given);

    if (status == INFOMASK_OK && is_ints(im, 0))
        return relabel_ints(im, 0);
    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 0, &x);
    if (status != INFOMASK_OK)
        return status;
    t = tensor_at(im, x);
    status = axis_set(im, &axes, t->rank, &set);
    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < t->rank; i++) {
        bool drop = given ? set >> i & 1 : t->dims[i] == 1 && (i > 0 || t->data != NULL || im->graph->concrete);
        if (drop && t->dims[i] != 1)
            return i == 0 ? onnx_unsupported(im, "it moves the batch dimension")
                          : onnx_broken(im, "dimension %d is not 1", i);
        if (!drop)
            dims[rank++] = t->dims[i];
    }
    return reshape_to(im, x, rank, dims);
}

enum infomask_status onnx_import_unsqueeze(struct onnx_import *im)
{
    struct onnx_ints axes;
    int64_t dims[GRAPH_MAX_RANK];
    const struct graph_tensor *t;
    unsigned set;
    bool given;
    int x, rank, from = 0;
    enum infomask_status status = ints_or_attribute(im, 1, "axes", &axes, &given);

    if (status == INFOMASK_OK && is_ints(im, 0) && im->inputs[0]->ints->rank == 0 && axes.count == 1)
        return relabel_ints(im, 1);
    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 0, &x);
    if (status != INFOMASK_OK)
        return status;
    t = tensor_at(im, x);
    rank = t->rank + axes.count;
    if (rank > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "more than %d dimensions", GRAPH_MAX_RANK);
    status = axis_set(im, &axes, rank, &set);
    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < rank; i++)
        dims[i] = set >> i & 1 ? 1 : t->dims[from++];
    return reshape_to(im, x, rank, dims);
}

enum infomask_status onnx_import_transpose(struct onnx_import *im)
{
    int64_t p[GRAPH_MAX_RANK];
    struct graph_node *node;
    int x, rank;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    for (int i = 0; i < rank; i++)
        p[i] = rank - 1 - i;
    if (!onnx_attribute_ints(im, "perm", p, (size_t)rank))
        return onnx_broken(im, "its permutation is wrong");
    node = onnx_begin(im, GRAPH_TRANSPOSE, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < rank; i++)
        node->permutation[i] = p[i] < 0 || p[i] >= rank ? -1 : (int)p[i];
    return onnx_result(im, node, onnx_numbers_of(im, 0));
}

/* ---- Integers ---------------------------------------------------------------------------------------------------- */

static int clamp_index(int64_t i, int count)
{
    i += i < 0 ? count : 0;
    return i < 0 ? 0 : i > count ? count : (int)i;
}

enum infomask_status onnx_import_shape(struct onnx_import *im)
{
    struct onnx_ints ints = {.rank = 1};
    const struct graph_tensor *t;
    int x, start, end;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    t = tensor_at(im, x);
    start = clamp_index(onnx_attribute_int(im, "start", 0), t->rank);
    end = clamp_index(onnx_attribute_int(im, "end", t->rank), t->rank);
    for (int i = start; i < end; i++) {
        struct onnx_int *item = &ints.item[ints.count++];
        item->kind = t->data != NULL || t->dims[i] >= 0 ? ONNX_INT_KNOWN
                     : i == 0 && !im->graph->concrete   ? ONNX_INT_BATCH
                                                        : ONNX_INT_SIZE;
        item->value = t->dims[i];
    }
    return onnx_is_ints(im, &ints);
}

enum infomask_status onnx_import_gather(struct onnx_import *im)
{
    const struct onnx_ints *from, *index;
    struct onnx_ints ints;
    enum infomask_status status;

    if (!is_ints(im, 0))
        return onnx_import_general_gather(im);
    status = onnx_ints_input(im, 0, &from);
    if (status == INFOMASK_OK)
        status = onnx_ints_input(im, 1, &index);
    if (status != INFOMASK_OK)
        return status;
    ints = (struct onnx_ints){.rank = index->rank, .count = index->count};
    for (int i = 0; i < index->count; i++) {
        int64_t at = index->item[i].value;
        at += at < 0 ? from->count : 0;
        if (index->item[i].kind != ONNX_INT_KNOWN || at < 0 || at >= from->count)
            return onnx_broken(im, "its index is outside its input");
        ints.item[i] = from->item[at];
    }
    return onnx_is_ints(im, &ints);
}

/* Only of a list: one start, one end, steps of one. */
enum infomask_status onnx_import_slice(struct onnx_import *im)
{
    const struct onnx_ints *from, *steps = NULL;
    struct onnx_ints starts, ends, ints = {.rank = 1};
    bool given;
    int start, end;
    enum infomask_status status;

    if (!is_ints(im, 0))
        return onnx_import_general_slice(im);
    status = onnx_ints_input(im, 0, &from);
    if (status == INFOMASK_OK)
        status = ints_or_attribute(im, 1, "starts", &starts, &given);
    if (status == INFOMASK_OK)
        status = ints_or_attribute(im, 2, "ends", &ends, &given);
    if (status == INFOMASK_OK && onnx_has(im, 4))
        status = onnx_ints_input(im, 4, &steps);
    if (status != INFOMASK_OK)
        return status;
    if (starts.count != 1 || ends.count != 1 || starts.item[0].kind != ONNX_INT_KNOWN ||
        ends.item[0].kind != ONNX_INT_KNOWN || (steps != NULL && (steps->count != 1 || steps->item[0].value != 1)))
        return onnx_import_general_slice(im);
    start = clamp_index(starts.item[0].value, from->count);
    end = clamp_index(ends.item[0].value, from->count);
    for (int i = start; i < end; i++)
        ints.item[ints.count++] = from->item[i];
    return onnx_is_ints(im, &ints);
}

static enum infomask_status ints_to_floats(struct onnx_import *im)
{
    const struct onnx_ints *ints = im->inputs[0]->ints;
    int64_t count = ints->count;
    float *data;
    int tensor;
    enum infomask_status status = graph_new_constant(im->graph, ints->rank, &count, &tensor, &data, im->err);

    for (int i = 0; status == INFOMASK_OK && i < ints->count; i++) {
        if (ints->item[i].kind != ONNX_INT_KNOWN)
            return onnx_unsupported(im, "it computes with a size that is not known from the file");
        data[i] = (float)ints->item[i].value;
    }
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, tensor);
}

/* All numbers are float32 here: only the steps to integers and to truths change any. */
static enum infomask_status cast_to(struct onnx_import *im, int64_t to)
{
    bool to_float = to == ONNX_FLOAT || to == ONNX_FLOAT16 || to == ONNX_DOUBLE || to == ONNX_BFLOAT16;
    enum onnx_numbers from = onnx_numbers_of(im, 0);
    int x;
    enum infomask_status status;

    if (is_ints(im, 0) && !to_float && to != ONNX_BOOL)
        return onnx_is_ints(im, im->inputs[0]->ints);
    if (is_ints(im, 0) && to_float)
        return ints_to_floats(im);
    status = onnx_any_input(im, 0, &x);
    if (status == INFOMASK_OK && to == ONNX_BOOL && from != ONNX_TRUTHS) {
        status = onnx_step_unary(im, GRAPH_NOT, x, &x);
        if (status == INFOMASK_OK)
            status = onnx_step_unary(im, GRAPH_NOT, x, &x);
    }
    if (status == INFOMASK_OK && !to_float && to != ONNX_BOOL && from == ONNX_FLOATS)
        status = onnx_step_unary(im, GRAPH_TRUNCATE, x, &x);
    if (status != INFOMASK_OK)
        return status;
    return onnx_output_is(im, 0, x, to_float ? ONNX_FLOATS : to == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS);
}

enum infomask_status onnx_import_cast(struct onnx_import *im)
{
    return cast_to(im, onnx_attribute_int(im, "to", 0));
}

enum infomask_status onnx_import_cast_like(struct onnx_import *im)
{
    static const int64_t types[] = {
        [ONNX_FLOATS] = ONNX_FLOAT, [ONNX_INTEGERS] = ONNX_INT64, [ONNX_TRUTHS] = ONNX_BOOL};
    return cast_to(im, types[onnx_numbers_of(im, 1)]);
}

static enum infomask_status concat_ints(struct onnx_import *im)
{
    struct onnx_ints ints = {.rank = 1};

    for (int i = 0; i < im->input_count; i++) {
        const struct onnx_ints *part;
        enum infomask_status status = onnx_ints_input(im, i, &part);
        if (status != INFOMASK_OK)
            return status;
        if (part->count > ONNX_MAX_INTS - ints.count)
            return onnx_unsupported(im, "a list of more than %d integers", ONNX_MAX_INTS);
        memcpy(ints.item + ints.count, part->item, (size_t)part->count * sizeof *part->item);
        ints.count += part->count;
    }
    return onnx_is_ints(im, &ints);
}

static bool all_lists(const struct onnx_import *im)
{
    int total = 0;

    for (int i = 0; i < im->input_count; i++) {
        const struct onnx_value *v = onnx_has(im, i) ? im->inputs[i] : NULL;
        const struct graph_tensor *t = v != NULL && v->kind == ONNX_TENSOR ? tensor_at(im, v->tensor) : NULL;
        if (v == NULL || (t != NULL && (t->data == NULL || t->rank != 1 || v->numbers != ONNX_INTEGERS ||
                                        t->dims[0] > ONNX_MAX_INTS)))
            return false;
        total += t != NULL ? (int)t->dims[0] : v->kind == ONNX_INTS ? v->ints->count : ONNX_MAX_INTS + 1;
    }
    return total <= ONNX_MAX_INTS;
}

enum infomask_status onnx_import_concat(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 1);
    struct graph_node *node;
    int *inputs;
    enum infomask_status status = INFOMASK_OK;

    if (all_lists(im))
        return concat_ints(im);
    inputs = calloc((size_t)im->input_count + 1, sizeof *inputs);
    if (inputs == NULL)
        return onnx_no_memory(im);
    for (int i = 0; status == INFOMASK_OK && i < im->input_count; i++)
        status = onnx_any_input(im, i, &inputs[i]);
    if (status != INFOMASK_OK) {
        free(inputs);
        return status;
    }
    axis += axis < 0 ? tensor_at(im, inputs[0])->rank : 0;
    node = onnx_begin(im, GRAPH_CONCAT, inputs, im->input_count);
    free(inputs);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = axis < 0 || axis > GRAPH_MAX_RANK ? -1 : (int)axis;
    return onnx_result(im, node, onnx_numbers_of(im, 0));
}

static bool compute(char op, int64_t a, int64_t b, int64_t *result)
{
    switch (op) {
    case '+':
        return !__builtin_add_overflow(a, b, result);
    case '-':
        return !__builtin_sub_overflow(a, b, result);
    case '*':
        return !__builtin_mul_overflow(a, b, result);
    default:
        *result = b > 0 ? a / b : 0;
        return b > 0;
    }
}

static enum infomask_status compute_ints(struct onnx_import *im, char op)
{
    const struct onnx_ints *a = im->inputs[0]->ints, *b = im->inputs[1]->ints;
    struct onnx_ints ints = {.rank = a->rank > b->rank ? a->rank : b->rank,
                             .count = a->count > b->count ? a->count : b->count};

    if (a->count == 0 || b->count == 0 || (a->count != b->count && a->count != 1 && b->count != 1))
        return onnx_broken(im, "its lists differ in length");
    for (int i = 0; i < ints.count; i++) {
        const struct onnx_int *x = &a->item[a->count == 1 ? 0 : i], *y = &b->item[b->count == 1 ? 0 : i];
        if (x->kind == ONNX_INT_BATCH || y->kind == ONNX_INT_BATCH)
            return onnx_unsupported(im, "it computes with the size of the batch");
        if (x->kind == ONNX_INT_SIZE || y->kind == ONNX_INT_SIZE)
            ints.item[i].kind = ONNX_INT_SIZE;
        else if (!compute(op, x->value, y->value, &ints.item[i].value))
            return onnx_broken(im, "its integers are too large, or it divides by zero");
    }
    return onnx_is_ints(im, &ints);
}

bool onnx_import_int_pair(struct onnx_import *im, char op, enum infomask_status *status)
{
    if (!is_ints(im, 0) || !is_ints(im, 1))
        return false;
    *status = compute_ints(im, op);
    return true;
}
