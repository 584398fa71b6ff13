#include "core/graph/onnx_slim.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_SLIM ((size_t)256 << 20)
#define MAX_MESSAGES 1000000u
#define MAX_DEPTH 4 /* of graphs in graphs; protobuf-c would follow any */
#define PADDED_LENGTH 5 /* bytes of a length that is filled in later: a varint may carry empty groups */

enum level { MODEL, GRAPH, NODE, ATTRIBUTE, TENSOR, SKIP };
enum wire { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BLOCK = 2, WIRE_32 = 5 };

/* The way to raw_data by field numbers: ModelProto.graph, GraphProto.node and .initializer, NodeProto.attribute,
 * AttributeProto.t and .g. */
static enum level below(enum level level, uint64_t field)
{
    if (level == MODEL && field == 7)
        return GRAPH;
    if (level == GRAPH && field == 1)
        return NODE;
    if (level == NODE && field == 5)
        return ATTRIBUTE;
    if ((level == GRAPH || level == ATTRIBUTE) && field == 5)
        return TENSOR;
    if (level == ATTRIBUTE && field == 6)
        return GRAPH;
    return SKIP;
}

struct cursor {
    const uint8_t *at, *end;
};

static bool read_varint(struct cursor *c, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        uint8_t byte;
        if (c->at == c->end)
            return false;
        byte = *c->at++;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

struct field {
    const uint8_t *start; /* its tag */
    uint64_t number;
    enum wire wire;
    struct cursor payload; /* of a block */
};

/* The next field, and the cursor behind it. */
static bool read_field(struct cursor *c, struct field *field)
{
    uint64_t tag, value;
    size_t skip = 0;

    field->start = c->at;
    if (!read_varint(c, &tag))
        return false;
    field->number = tag >> 3;
    field->wire = (enum wire)(tag & 7);
    switch (field->wire) {
    case WIRE_VARINT:
        return read_varint(c, &value);
    case WIRE_64:
        skip = 8;
        break;
    case WIRE_32:
        skip = 4;
        break;
    case WIRE_BLOCK:
        if (!read_varint(c, &value) || value > (uint64_t)(c->end - c->at))
            return false;
        skip = (size_t)value;
        field->payload = (struct cursor){c->at, c->at + skip};
        break;
    default: /* groups: no such field in ONNX */
        return false;
    }
    if (skip > (size_t)(c->end - c->at))
        return false;
    c->at += skip;
    return true;
}

static bool append(struct onnx_slim *slim, const void *data, size_t size)
{
    if (size > MAX_SLIM - slim->size)
        return false;
    if (size > slim->capacity - slim->size) {
        size_t capacity = slim->capacity ? slim->capacity : 4096;
        uint8_t *bigger;
        while (capacity < slim->size + size)
            capacity *= 2;
        bigger = realloc(slim->data, capacity);
        if (bigger == NULL)
            return false;
        slim->data = bigger;
        slim->capacity = capacity;
    }
    if (size)
        memcpy(slim->data + slim->size, data, size);
    slim->size += size;
    return true;
}

static void padded_length(uint8_t *at, size_t length)
{
    for (int i = 0; i < PADDED_LENGTH; i++)
        at[i] = (uint8_t)((length >> (7 * i) & 0x7f) | (i < PADDED_LENGTH - 1 ? 0x80 : 0));
}

/* raw_data becomes the number of a view, as four bytes. */
static bool append_view(struct onnx_slim *slim, const struct cursor *payload)
{
    uint32_t number = (uint32_t)slim->view_count;
    uint8_t field[2] = {9 << 3 | WIRE_BLOCK, sizeof number};

    if (slim->view_count == slim->view_capacity) {
        size_t capacity = slim->view_capacity ? 2 * slim->view_capacity : 64;
        struct onnx_view *bigger = reallocarray(slim->views, capacity, sizeof *bigger);
        if (bigger == NULL)
            return false;
        slim->views = bigger;
        slim->view_capacity = capacity;
    }
    slim->views[slim->view_count++] = (struct onnx_view){payload->at, (size_t)(payload->end - payload->at)};
    return append(slim, field, sizeof field) && append(slim, &number, sizeof number);
}

enum walk { WALKED, BROKEN, TOO_MUCH };

static enum walk walk_message(struct onnx_slim *slim, struct cursor c, enum level level, int depth);

/* A message on the way to raw_data: its tag, its length (filled in behind), its fields. */
static enum walk walk_block(struct onnx_slim *slim, const struct field *field, enum level level, int depth)
{
    uint8_t head[1 + PADDED_LENGTH] = {(uint8_t)(field->number << 3 | WIRE_BLOCK)};
    size_t start;
    enum walk result;

    depth += level == GRAPH;
    if (depth > MAX_DEPTH || ++slim->messages > MAX_MESSAGES || !append(slim, head, sizeof head))
        return TOO_MUCH;
    start = slim->size;
    result = walk_message(slim, field->payload, level, depth);
    if (result == WALKED)
        padded_length(slim->data + start - PADDED_LENGTH, slim->size - start);
    return result;
}

/* Recursion is as deep as there are levels, MAX_DEPTH times. */
static enum walk walk_message(struct onnx_slim *slim, struct cursor c, enum level level, int depth)
{
    while (c.at < c.end) {
        struct field field;
        enum level next;
        enum walk result = WALKED;
        if (!read_field(&c, &field))
            return BROKEN;
        next = field.wire == WIRE_BLOCK ? below(level, field.number) : SKIP;
        if (next != SKIP)
            result = walk_block(slim, &field, next, depth);
        else if (level == TENSOR && field.number == 9 && field.wire == WIRE_BLOCK)
            result = append_view(slim, &field.payload) ? WALKED : TOO_MUCH;
        else if (!append(slim, field.start, (size_t)(c.at - field.start)))
            result = TOO_MUCH;
        if (result != WALKED)
            return result;
    }
    return WALKED;
}

enum infomask_status onnx_slim_make(struct onnx_slim *slim, const void *data, size_t size, struct infomask_error *err)
{
    const uint8_t *bytes = data;

    *slim = (struct onnx_slim){0};
    switch (walk_message(slim, (struct cursor){bytes, bytes + size}, MODEL, 0)) {
    case WALKED:
        return INFOMASK_OK;
    case BROKEN:
        return error_set(err, INFOMASK_BAD_MODEL, "the file is not an ONNX model, or it is cut short");
    case TOO_MUCH:
        break;
    }
    return error_set(err, INFOMASK_LIMIT,
                     "the model's structure, without its weights' raw data, is larger than %zu MB or %u parts, or has "
                     "graphs more than %d deep",
                     MAX_SLIM >> 20, MAX_MESSAGES, MAX_DEPTH);
}

void onnx_slim_fini(struct onnx_slim *slim)
{
    free(slim->data);
    free(slim->views);
    *slim = (struct onnx_slim){0};
}

struct onnx_view onnx_slim_view(const struct onnx_slim *slim, const uint8_t *raw_data, size_t size)
{
    uint32_t number;

    if (size != sizeof number)
        return (struct onnx_view){NULL, 0};
    memcpy(&number, raw_data, sizeof number);
    return number < slim->view_count ? slim->views[number] : (struct onnx_view){NULL, 0};
}

/* Before the bytes stand their tag and, at that size, at least two bytes of length, which were read. */
struct onnx_view onnx_slim_align(struct onnx_slim *slim, const uint8_t *raw_data, size_t size)
{
    struct onnx_view view = onnx_slim_view(slim, raw_data, size);
    size_t over = (uintptr_t)view.data % 4;
    uint32_t number;

    if (over == 0 || view.size < ONNX_SLIM_MOVABLE)
        return view;
    memcpy(&number, raw_data, sizeof number);
    memmove((uint8_t *)(uintptr_t)view.data - over, view.data, view.size);
    slim->views[number].data -= over;
    return slim->views[number];
}
