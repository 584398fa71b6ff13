/* What the names of a model file stand for: its tensors, read when they are first asked for. */
#include <math.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/graph/onnx_import.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX keeps its weights in little-endian order; they are read as they lie"
#endif

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct onnx_value *)a)->name, ((const struct onnx_value *)b)->name);
}

struct onnx_value *onnx_define(struct onnx_import *im, const char *name, bool *taken)
{
    struct onnx_value *value = calloc(1, sizeof *value), **found;

    *taken = false;
    if (value == NULL)
        return NULL;
    value->name = name;
    found = tsearch(value, &im->values, by_name);
    if (found != NULL && *found == value)
        return value;
    *taken = found != NULL;
    free(value);
    return NULL;
}

struct onnx_value *onnx_lookup(const struct onnx_import *im, const char *name)
{
    struct onnx_value key = {.name = name}, **found = tfind(&key, &im->values, by_name);
    return found != NULL ? *found : NULL;
}

static void free_value(void *value)
{
    free(((struct onnx_value *)value)->ints);
    free(((struct onnx_value *)value)->parts);
    free(value);
}

void onnx_forget(struct onnx_import *im)
{
    tdestroy(im->values, free_value);
    im->values = NULL;
    for (size_t i = 0; i < im->name_count; i++)
        free(im->names[i]);
    free(im->names);
    im->names = NULL;
    im->name_count = 0;
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
            if (value != NULL && value->kind == ONNX_TENSOR && value->tensor == tensor)
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
    case ONNX_INT4: /* of two */
    case ONNX_UINT4:
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

static bool are_nibbles(int32_t type) { return type == ONNX_INT4 || type == ONNX_UINT4; }

static enum infomask_status find_elements(struct onnx_import *im, const Onnx__TensorProto *proto, size_t elements,
                                          struct elements *found)
{
    size_t width = type_size(proto->data_type), bytes;
    size_t count = are_nibbles(proto->data_type) ? elements / 2 + elements % 2 : elements; /* that are stored */

    if (proto->has_raw_data || proto->data_location == 1) {
        struct onnx_view view = {NULL, 0};
        enum infomask_status status = INFOMASK_OK;
        if (proto->data_location == 1)
            status = onnx_external_data(im, proto, &view);
        else
            view = onnx_slim_view(im->slim, proto->raw_data.data, proto->raw_data.len);
        if (status != INFOMASK_OK)
            return status;
        if (!checked_mul(count, width, &bytes) || bytes != view.size)
            return onnx_broken(im, "tensor '%s' has %zu bytes of data, which is not what its shape says",
                               shown_name(proto->name).text, view.size);
        *found = (struct elements){view.data, elements, width};
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
    found->count = elements;
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
    const uint8_t *at = e->data + (are_nibbles(type) ? i / 2 : i) * e->width;
    uint64_t bits = 0;
    unsigned spare = 64 - 8 * (unsigned)e->width;
    int nibble;
    bool is_signed = type == ONNX_INT8 || type == ONNX_INT16 || type == ONNX_INT32 || type == ONNX_INT64;

    if (are_nibbles(type)) {
        nibble = *at >> 4 * (i % 2) & 15;
        return type == ONNX_INT4 && nibble > 7 ? nibble - 16 : nibble;
    }
    if (e->width == 1)
        bits = *at; /* of most large ones */
    else
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
        if (value->ints != NULL)
            value->ints->rank = 1;
        return value->ints != NULL ? INFOMASK_OK : onnx_no_memory(im);
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
    if (status != INFOMASK_OK)
        return status;
    im->graph->tensors[value->tensor].name = strdup(proto->name != NULL ? proto->name : "");
    if (proto->data_type == ONNX_FLOAT)
        memcpy(data, e->data, e->count * sizeof *data);
    else
        for (size_t i = 0; i < e->count; i++)
            data[i] = element_as_float(e, proto->data_type, i);
    return check_finite(im, proto, data, e->count);
}

/* Are integers but numbers of a grid, so that rounding them does no harm? */
static bool are_measured(const struct onnx_import *im)
{
    static const char *const readers[] = {"DequantizeLinear", "QLinearConv", "QGemm"};

    for (size_t i = 0; im->node != NULL && i < sizeof readers / sizeof *readers; i++)
        if (strcmp(im->node->op_type, readers[i]) == 0)
            return true;
    return false;
}

/* Larger ones are a constant of the graph: integers that float32 holds exactly, or (biases) nearly. */
static enum infomask_status read_integer_tensor(struct onnx_import *im, const Onnx__TensorProto *proto,
                                                const struct elements *e, struct onnx_value *value)
{
    bool rounds = are_measured(im);
    float *data;
    enum infomask_status status;

    if (e->count == 0)
        return onnx_unsupported(im, "tensor '%s' has no elements", shown_name(proto->name).text);
    status = graph_new_constant(im->graph, (int)proto->n_dims, proto->dims, &value->tensor, &data, im->err);
    if (status != INFOMASK_OK)
        return status;
    value->kind = ONNX_TENSOR;
    value->numbers = proto->data_type == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS;
    value->type = proto->data_type;
    for (size_t i = 0; i < e->count; i++) {
        int64_t n = element_as_int(e, proto->data_type, i);
        if (!rounds && (n > 1 << 24 || n < -(1 << 24)))
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
    if (value->ints == NULL)
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
    if (status != INFOMASK_OK)
        return status;
    return is_int ? read_ints(im, proto, &e, value) : read_floats(im, proto, &e, value);
}

/* ---- What the inputs of the node stand for ----------------------------------------------------------------------- */

bool onnx_has(const struct onnx_import *im, int i) { return i < im->input_count && im->inputs[i] != NULL; }

enum onnx_numbers onnx_numbers_of(const struct onnx_import *im, int i)
{
    const struct onnx_value *value = onnx_has(im, i) ? im->inputs[i] : NULL;

    if (value == NULL)
        return ONNX_FLOATS;
    if (value->kind == ONNX_INTS)
        return value->type == ONNX_BOOL ? ONNX_TRUTHS : ONNX_INTEGERS;
    return value->numbers;
}
