/* What the names of a model file stand for: reading tensors, asking for inputs and attributes, naming outputs. */
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/graph/onnx_import.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX keeps its weights in little-endian order; they are read as they lie"
#endif

static enum infomask_status fail(struct onnx_import *im, enum infomask_status status, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static enum infomask_status fail(struct onnx_import *im, enum infomask_status status, const char *format, va_list args)
{
    char what[INFOMASK_ERROR_TEXT];
    vsnprintf(what, sizeof what, format, args);
    if (!im->node)
        return error_set(im->err, status, "%s", what);
    return error_set(im->err, status, "operator %s (node '%s'): %s", shown_name(im->node->op_type).text,
                     shown_name(im->node->name).text, what);
}

enum infomask_status onnx_unsupported(struct onnx_import *im, const char *format, ...)
{
    enum infomask_status status;
    va_list args;
    va_start(args, format);
    status = fail(im, INFOMASK_UNSUPPORTED_MODEL, format, args);
    va_end(args);
    return status;
}

enum infomask_status onnx_broken(struct onnx_import *im, const char *format, ...)
{
    enum infomask_status status;
    va_list args;
    va_start(args, format);
    status = fail(im, INFOMASK_BAD_MODEL, format, args);
    va_end(args);
    return status;
}

enum infomask_status onnx_no_memory(struct onnx_import *im)
{
    return error_set(im->err, INFOMASK_MEMORY, "no memory for the model");
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct onnx_value *)a)->name, ((const struct onnx_value *)b)->name);
}

struct onnx_value *onnx_define(struct onnx_import *im, const char *name, bool *taken)
{
    struct onnx_value *value = calloc(1, sizeof *value), **found;
    *taken = false;
    if (!value)
        return NULL;
    value->name = name;
    found = tsearch(value, &im->values, by_name);
    if (found && *found == value)
        return value;
    *taken = found != NULL;
    free(value);
    return NULL;
}

struct onnx_value *onnx_lookup(const struct onnx_import *im, const char *name)
{
    struct onnx_value key = {.name = name}, **found = tfind(&key, &im->values, by_name);
    return found ? *found : NULL;
}

static void free_value(void *value)
{
    free(((struct onnx_value *)value)->ints);
    free(value);
}

void onnx_forget(struct onnx_import *im)
{
    tdestroy(im->values, free_value);
    im->values = NULL;
}

#define MOST_LOOKED_AT 20000 /* nodes; in larger files nothing is given back early */

bool onnx_is_spent(const struct onnx_import *im, int tensor)
{
    for (int i = 0; i < im->graph->node_count; i++)
        for (int j = 0; j < im->graph->nodes[i].input_count; j++)
            if (im->graph->nodes[i].inputs[j] == tensor)
                return false;
    for (size_t i = im->position + 1; i < im->file->n_node; i++)
        for (size_t j = 0; j < im->file->node[i]->n_input; j++) {
            const struct onnx_value *value = onnx_lookup(im, im->file->node[i]->input[j]);
            if (value && value->kind == ONNX_TENSOR && value->tensor == tensor)
                return false;
        }
    return im->file->n_node <= MOST_LOOKED_AT && !im->branches;
}

/* ---- Tensors of the file ----------------------------------------------------------------------------------------- */

static size_t type_size(int32_t type)
{
    switch (type) {
    case ONNX_BOOL:
    case ONNX_INT8:
    case ONNX_UINT8:
        return 1;
    case ONNX_FLOAT16:
    case ONNX_BFLOAT16:
    case ONNX_INT16:
    case ONNX_UINT16:
        return 2;
    case ONNX_FLOAT:
    case ONNX_INT32:
    case ONNX_UINT32:
        return 4;
    case ONNX_DOUBLE:
    case ONNX_INT64:
    case ONNX_UINT64:
        return 8;
    default:
        return 0;
    }
}

/* The elements of a tensor: raw little-endian bytes, or one of the typed fields in the width protobuf-c gives it. */
struct elements {
    const uint8_t *data;
    size_t count, width; /* width: bytes of each */
};

static enum infomask_status find_elements(struct onnx_import *im, const Onnx__TensorProto *proto, size_t count,
                                          struct elements *found)
{
    size_t width = type_size(proto->data_type), bytes;
    if (proto->has_raw_data || proto->data_location == 1) {
        struct onnx_view view = {NULL, 0};
        enum infomask_status status = INFOMASK_OK;
        if (proto->data_location == 1)
            status = onnx_external_data(im, proto, &view);
        else
            view = onnx_slim_view(im->slim, proto->raw_data.data, proto->raw_data.len);
        if (status)
            return status;
        if (!checked_mul(count, width, &bytes) || bytes != view.size)
            return onnx_broken(im, "tensor '%s' has %zu bytes of data, which is not what its shape says",
                               shown_name(proto->name).text, view.size);
        *found = (struct elements){view.data, count, width};
        return INFOMASK_OK;
    }
    switch (proto->data_type) {
    case ONNX_FLOAT:
        *found = (struct elements){(const uint8_t *)proto->float_data, proto->n_float_data, 4};
        break;
    case ONNX_DOUBLE:
        *found = (struct elements){(const uint8_t *)proto->double_data, proto->n_double_data, 8};
        break;
    case ONNX_INT64:
        *found = (struct elements){(const uint8_t *)proto->int64_data, proto->n_int64_data, 8};
        break;
    case ONNX_UINT32:
    case ONNX_UINT64:
        *found = (struct elements){(const uint8_t *)proto->uint64_data, proto->n_uint64_data, 8};
        break;
    default: /* int32, bool and the 16-bit floats, whose bits lie in the lower half */
        *found = (struct elements){(const uint8_t *)proto->int32_data, proto->n_int32_data, 4};
    }
    if (found->count != count)
        return onnx_broken(im, "tensor '%s' has %zu elements, where its shape says %zu", shown_name(proto->name).text,
                           found->count, count);
    return INFOMASK_OK;
}

/* IEEE 754 binary16: 1 sign, 5 exponent and 10 fraction bits. */
static float half_to_float(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    float magnitude;
    if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf((float)fraction, -24);
    else
        magnitude = ldexpf((float)(fraction + 1024), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

static float bfloat_to_float(uint16_t bits)
{
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

static float element_as_float(const struct elements *e, int32_t type, size_t i)
{
    const uint8_t *at = e->data + i * e->width;
    uint16_t half;
    double wide;
    float value;
    switch (type) {
    case ONNX_FLOAT:
        memcpy(&value, at, sizeof value);
        return value;
    case ONNX_DOUBLE:
        memcpy(&wide, at, sizeof wide);
        return (float)wide;
    default:
        memcpy(&half, at, sizeof half);
        return type == ONNX_FLOAT16 ? half_to_float(half) : bfloat_to_float(half);
    }
}

static int64_t element_as_int(const struct elements *e, int32_t type, size_t i)
{
    const uint8_t *at = e->data + i * e->width;
    uint64_t bits = 0;
    unsigned spare = 64 - 8 * (unsigned)e->width;
    bool is_signed = type == ONNX_INT8 || type == ONNX_INT16 || type == ONNX_INT32 || type == ONNX_INT64;
    memcpy(&bits, at, e->width);
    return is_signed ? (int64_t)(bits << spare) >> spare : (int64_t)bits;
}

static enum infomask_status check_finite(struct onnx_import *im, const Onnx__TensorProto *proto, const float *data,
                                         size_t count)
{
    if (count == 1 && isinf(data[0])) /* a mask's value, a bound */
        return INFOMASK_OK;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(data[i]))
            return onnx_broken(im, "tensor '%s' holds a value that is not finite", shown_name(proto->name).text);
    return INFOMASK_OK;
}

/* May the floats stay where they are in the file's bytes?  Those of a large file are moved to where they may. */
static bool floats_stay(struct onnx_import *im, const Onnx__TensorProto *proto, struct elements *e)
{
    bool own = im->in_place && proto->has_raw_data && proto->data_location != 1;
    struct contents *file = own ? im->graph->files[0].contents : NULL;
    if (proto->data_type != ONNX_FLOAT || (!own && proto->data_location != 1))
        return false;
    if (own && contents_size(file) > CONTENTS_PIECEMEAL && (uintptr_t)e->data % sizeof(float) != 0) {
        (void)contents_sha256(file); /* of the bytes as they were */
        e->data = onnx_slim_align(im->slim, proto->raw_data.data, proto->raw_data.len).data;
    }
    return (uintptr_t)e->data % sizeof(float) == 0;
}

static enum infomask_status read_floats(struct onnx_import *im, const Onnx__TensorProto *proto,
                                        struct elements *e, struct onnx_value *value)
{
    int rank = (int)proto->n_dims;
    bool stays = floats_stay(im, proto, e);
    enum infomask_status status;
    float *data;
    if (e->count ==
        0) { /* a left-out argument of some exporters: as a list without elements nobody can compute with it */
        value->kind = ONNX_INTS;
        value->ints = calloc(1, sizeof *value->ints);
        if (value->ints)
            value->ints->rank = 1;
        return value->ints ? INFOMASK_OK : onnx_no_memory(im);
    }
    value->kind = ONNX_TENSOR;
    if (stays) {
        value->tensor = graph_add_tensor(im->graph, proto->name, rank, proto->dims,
                                         (const float *)(const void *)e->data, false);
        status = value->tensor == GRAPH_NONE ? onnx_no_memory(im)
                                             : check_finite(im, proto, (const void *)e->data, e->count);
        return status;
    }
    status = graph_new_constant(im->graph, rank, proto->dims, &value->tensor, &data, im->err);
    if (status)
        return status;
    im->graph->tensors[value->tensor].name = strdup(proto->name ? proto->name : "");
    if (proto->data_type == ONNX_FLOAT)
        memcpy(data, e->data, e->count * sizeof *data);
    else
        for (size_t i = 0; i < e->count; i++)
            data[i] = element_as_float(e, proto->data_type, i);
    return check_finite(im, proto, data, e->count);
}

/* Larger ones are a constant of the graph: integers that float32 holds exactly. */
static enum infomask_status read_integer_tensor(struct onnx_import *im, const Onnx__TensorProto *proto,
                                                const struct elements *e, struct onnx_value *value)
{
    float *data;
    enum infomask_status status;
    if (e->count == 0)
        return onnx_unsupported(im, "tensor '%s' has no elements", shown_name(proto->name).text);
    status = graph_new_constant(im->graph, (int)proto->n_dims, proto->dims, &value->tensor, &data, im->err);
    if (status)
        return status;
    value->kind = ONNX_TENSOR;
    value->numbers = proto->data_type == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS;
    value->type = proto->data_type;
    for (size_t i = 0; i < e->count; i++) {
        int64_t n = element_as_int(e, proto->data_type, i);
        if (n > 1 << 24 || n < -(1 << 24))
            return onnx_unsupported(im, "tensor '%s' holds integers above 2^24", shown_name(proto->name).text);
        data[i] = (float)n;
    }
    return INFOMASK_OK;
}

static enum infomask_status read_ints(struct onnx_import *im, const Onnx__TensorProto *proto, const struct elements *e,
                                      struct onnx_value *value)
{
    if (proto->n_dims > 1 || e->count > ONNX_MAX_INTS)
        return read_integer_tensor(im, proto, e, value);
    value->type = proto->data_type;
    value->ints = calloc(1, sizeof *value->ints);
    if (!value->ints)
        return onnx_no_memory(im);
    value->kind = ONNX_INTS;
    value->ints->rank = (int)proto->n_dims;
    value->ints->count = (int)e->count;
    for (size_t i = 0; i < e->count; i++)
        value->ints->item[i].value = element_as_int(e, proto->data_type, i);
    return INFOMASK_OK;
}

enum infomask_status onnx_read_value(struct onnx_import *im, const Onnx__TensorProto *proto, struct onnx_value *value)
{
    struct elements e = {NULL, 0, 0};
    enum infomask_status status;
    size_t count = 1;
    bool is_int = proto->data_type != ONNX_FLOAT && proto->data_type != ONNX_DOUBLE &&
                  proto->data_type != ONNX_FLOAT16 && proto->data_type != ONNX_BFLOAT16;
    if (!type_size(proto->data_type))
        return onnx_unsupported(im, "tensor '%s' is of data type %d", shown_name(proto->name).text, proto->data_type);
    if (proto->n_dims > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "tensor '%s' has %zu dimensions, at most %d are supported",
                                shown_name(proto->name).text, proto->n_dims, GRAPH_MAX_RANK);
    for (size_t i = 0; i < proto->n_dims; i++)
        if (proto->dims[i] < 0 || proto->dims[i] > GRAPH_MAX_DIM || !checked_mul(count, (size_t)proto->dims[i], &count))
            return onnx_broken(im, "tensor '%s' has a wrong shape", shown_name(proto->name).text);
    status = find_elements(im, proto, count, &e);
    if (status)
        return status;
    return is_int ? read_ints(im, proto, &e, value) : read_floats(im, proto, &e, value);
}

/* ---- Inputs of the node ------------------------------------------------------------------------------------------ */

bool onnx_has(const struct onnx_import *im, int i)
{
    return i < im->input_count && im->inputs[i];
}

static enum infomask_status need_input(struct onnx_import *im, int i)
{
    return onnx_has(im, i) ? INFOMASK_OK : onnx_broken(im, "input %d is missing", i);
}

/* Zeros around an activation, as a node of their own. */
static enum infomask_status pad_node(struct onnx_import *im, const struct onnx_value *value, int *tensor)
{
    struct graph_node *node = onnx_general(im, GRAPH_PAD, &value->tensor, 1, 8);
    if (!node)
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
    if (status)
        return status;
    if (im->inputs[i]->kind != ONNX_TENSOR)
        return onnx_unsupported(im, "input %d is not a tensor of floats", i);
    if (im->inputs[i]->padded)
        return pad_node(im, im->inputs[i], tensor);
    *tensor = im->inputs[i]->tensor;
    return INFOMASK_OK;
}

enum onnx_numbers onnx_numbers_of(const struct onnx_import *im, int i)
{
    const struct onnx_value *value = onnx_has(im, i) ? im->inputs[i] : NULL;
    if (!value)
        return ONNX_FLOATS;
    if (value->kind == ONNX_INTS)
        return value->type == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS;
    return value->numbers;
}

static enum infomask_status constant_of_list(struct onnx_import *im, const struct onnx_ints *ints, int *tensor)
{
    int64_t count = ints->count;
    float *data;
    enum infomask_status status;
    if (count == 0)
        return onnx_unsupported(im, "it computes with a tensor without elements");
    status = graph_new_constant(im->graph, ints->rank, &count, tensor, &data, im->err);
    for (int i = 0; !status && i < ints->count; i++) {
        if (ints->item[i].kind != ONNX_INT_KNOWN)
            return onnx_unsupported(im, "it computes with a size that is not known from the file");
        data[i] = (float)ints->item[i].value;
    }
    return status;
}

enum infomask_status onnx_any_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = need_input(im, i);
    if (status)
        return status;
    if (im->inputs[i]->kind == ONNX_INTS)
        return constant_of_list(im, im->inputs[i]->ints, tensor);
    return onnx_tensor_input(im, i, tensor);
}

enum infomask_status onnx_constant_input(struct onnx_import *im, int i, int *tensor)
{
    enum infomask_status status = onnx_tensor_input(im, i, tensor);
    if (status)
        return status;
    if (!graph_is_constant(im->graph, *tensor))
        return onnx_unsupported(im, "input %d is not a constant", i);
    return INFOMASK_OK;
}

enum infomask_status onnx_scalar_input(struct onnx_import *im, int i, float *value)
{
    int tensor;
    enum infomask_status status = onnx_constant_input(im, i, &tensor);
    if (status)
        return status;
    if (graph_elements(&im->graph->tensors[tensor]) != 1)
        return onnx_broken(im, "input %d is not one number", i);
    *value = im->graph->tensors[tensor].data[0];
    return INFOMASK_OK;
}

/* A constant of the graph that holds few integers becomes a list as well. */
static enum infomask_status list_of_constant(struct onnx_import *im, struct onnx_value *value)
{
    const struct graph_tensor *t = &im->graph->tensors[value->tensor];
    size_t n = graph_elements(t);
    if (value->ints || !t->data || value->padded || t->rank > 1 || n > ONNX_MAX_INTS ||
        value->numbers == ONNX_FLOATS)
        return INFOMASK_OK;
    value->ints = calloc(1, sizeof *value->ints);
    if (!value->ints)
        return onnx_no_memory(im);
    value->ints->rank = t->rank;
    value->ints->count = (int)n;
    for (size_t i = 0; i < n; i++)
        value->ints->item[i].value = (int64_t)t->data[i];
    return INFOMASK_OK;
}

enum infomask_status onnx_ints_input(struct onnx_import *im, int i, const struct onnx_ints **ints)
{
    enum infomask_status status = need_input(im, i);
    if (status)
        return status;
    if (im->inputs[i]->kind == ONNX_TENSOR)
        status = list_of_constant(im, im->inputs[i]);
    if (status || !im->inputs[i]->ints)
        return onnx_unsupported(im, "input %d is not a list of integers that can be known from the file", i);
    *ints = im->inputs[i]->ints;
    return INFOMASK_OK;
}

/* ---- Attributes -------------------------------------------------------------------------------------------------- */

const Onnx__AttributeProto *onnx_attribute(const struct onnx_import *im, const char *name)
{
    for (size_t i = 0; i < im->node->n_attribute; i++)
        if (im->node->attribute[i]->name && strcmp(im->node->attribute[i]->name, name) == 0)
            return im->node->attribute[i];
    return NULL;
}

int64_t onnx_attribute_int(const struct onnx_import *im, const char *name, int64_t fallback)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    return a && a->has_i ? a->i : fallback;
}

float onnx_attribute_float(const struct onnx_import *im, const char *name, float fallback)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    return a && a->has_f ? a->f : fallback;
}

bool onnx_attribute_ints(const struct onnx_import *im, const char *name, int64_t *values, size_t count)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    if (!a)
        return true;
    if (a->n_ints != count)
        return false;
    memcpy(values, a->ints, count * sizeof *values);
    return true;
}

void onnx_attribute_text(const struct onnx_import *im, const char *name, char *out, size_t size)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, name);
    size_t length = a && a->has_s ? a->s.len : 0;
    length = length < size ? length : size - 1;
    if (length)
        memcpy(out, a->s.data, length);
    out[length] = 0;
}

/* ---- Outputs ----------------------------------------------------------------------------------------------------- */

static enum infomask_status define_output(struct onnx_import *im, int i, struct onnx_value **value)
{
    const char *name = (size_t)i < im->node->n_output ? im->node->output[i] : "";
    bool taken;
    if (!*name)
        return onnx_broken(im, "it has no output");
    *value = onnx_define(im, name, &taken);
    if (*value)
        return INFOMASK_OK;
    return taken ? onnx_broken(im, "tensor '%s' is made twice", shown_name(name).text) : onnx_no_memory(im);
}

enum infomask_status onnx_is_tensor(struct onnx_import *im, int tensor)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);
    if (status)
        return status;
    value->kind = ONNX_TENSOR;
    value->tensor = tensor;
    return INFOMASK_OK;
}

enum infomask_status onnx_output_is(struct onnx_import *im, int i, int tensor, enum onnx_numbers numbers)
{
    struct onnx_value *value;
    enum infomask_status status;
    if ((size_t)i >= im->node->n_output || !*im->node->output[i])
        return INFOMASK_OK;
    status = define_output(im, i, &value);
    if (status)
        return status;
    value->kind = ONNX_TENSOR;
    value->tensor = tensor;
    value->numbers = numbers;
    return INFOMASK_OK;
}

enum infomask_status onnx_is_padded(struct onnx_import *im, int tensor, const int64_t pads[4])
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);
    if (status)
        return status;
    value->kind = ONNX_TENSOR;
    value->tensor = tensor;
    value->numbers = onnx_numbers_of(im, 0);
    for (int i = 0; i < 4; i++) {
        value->pads[i] = pads[i];
        value->padded = value->padded || pads[i] != 0;
    }
    return INFOMASK_OK;
}

enum infomask_status onnx_is_random(struct onnx_import *im, int like, float sigma)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);
    if (status)
        return status;
    value->kind = ONNX_RANDOM;
    value->tensor = like;
    value->sigma = sigma;
    return INFOMASK_OK;
}

enum infomask_status onnx_is_ints(struct onnx_import *im, const struct onnx_ints *ints)
{
    struct onnx_value *value;
    enum infomask_status status = define_output(im, 0, &value);
    if (status)
        return status;
    value->ints = malloc(sizeof *value->ints);
    if (!value->ints)
        return onnx_no_memory(im);
    *value->ints = *ints;
    value->kind = ONNX_INTS;
    return INFOMASK_OK;
}

enum infomask_status onnx_reshape_constant(struct onnx_import *im, int tensor, int rank, const int64_t *dims,
                                           int *reshaped)
{
    struct graph_tensor *t = &im->graph->tensors[tensor];
    size_t count = graph_elements(t);
    float *data;
    enum infomask_status status;
    if (t->rank == rank && memcmp(t->dims, dims, (size_t)rank * sizeof *dims) == 0) {
        *reshaped = tensor;
        return INFOMASK_OK;
    }
    status = graph_new_constant(im->graph, rank, dims, reshaped, &data, im->err);
    if (status)
        return status;
    memcpy(data, im->graph->tensors[tensor].data, count * sizeof *data);
    return INFOMASK_OK;
}

struct graph_node *onnx_begin(struct onnx_import *im, enum graph_op op, const int *inputs, int count)
{
    const char *name = im->node->n_output ? im->node->output[0] : NULL;
    int output = graph_add_tensor(im->graph, name, 0, NULL, NULL, false), node;
    if (output == GRAPH_NONE)
        return NULL;
    node = graph_add_node(im->graph, op, im->node->name, inputs, count, output);
    return node == GRAPH_NONE ? NULL : &im->graph->nodes[node];
}

enum infomask_status onnx_finish(struct onnx_import *im, struct graph_node *node, bool is_output)
{
    int index = (int)(node - im->graph->nodes), output = node->output;
    bool folded;
    enum infomask_status status = graph_infer_node(im->graph, index, im->err);
    if (!status)
        status = graph_fold_node(im->graph, index, &folded, im->err);
    if (status)
        return status;
    return is_output ? onnx_is_tensor(im, output) : INFOMASK_OK;
}
