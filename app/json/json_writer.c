/* The writer: text appended to one buffer.  cJSON's printer is not used, because it prints what is not finite as null,
 * small numbers with 17 digits, and only from a tree. */
#include "app/json/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/json/json_utf8.h"
#include "core/base/checked.h"

#define FIRST_CAPACITY 1024

void json_writer_init(struct json_writer *writer, int indent)
{
    *writer = (struct json_writer){.indent = indent, .empty = true, .status = INFOMASK_OK};
}

void json_writer_fini(struct json_writer *writer)
{
    free(writer->data);
    json_writer_init(writer, writer->indent);
}

static void writer_fails(struct json_writer *writer, enum infomask_status status, const char *reason)
{
    if (writer->status == INFOMASK_OK) {
        writer->status = status;
        writer->reason = reason;
    }
}

/* Room for `more` bytes and a NUL, or NULL (and the writer has failed). */
static char *writer_room(struct json_writer *writer, size_t more)
{
    size_t need, capacity = writer->capacity > 0 ? writer->capacity : FIRST_CAPACITY;
    char *data;

    if (writer->status != INFOMASK_OK)
        return NULL;
    if (!checked_add(writer->size, more, &need) || !checked_add(need, 1, &need) || need > SIZE_MAX / 2) {
        writer_fails(writer, INFOMASK_MEMORY, "out of memory");
        return NULL;
    }
    if (need > writer->capacity) {
        while (capacity < need)
            capacity *= 2;
        data = realloc(writer->data, capacity);
        if (data == NULL) {
            writer_fails(writer, INFOMASK_MEMORY, "out of memory");
            return NULL;
        }
        writer->data = data;
        writer->capacity = capacity;
    }
    return writer->data + writer->size;
}

static void append(struct json_writer *writer, const char *text, size_t size)
{
    char *room = writer_room(writer, size);
    if (room == NULL)
        return;
    memcpy(room, text, size);
    writer->size += size;
}

static void append_line(struct json_writer *writer)
{
    size_t spaces = (size_t)writer->depth * (size_t)writer->indent;
    char *room = writer_room(writer, spaces + 1);
    if (room == NULL)
        return;
    room[0] = '\n';
    memset(room + 1, ' ', spaces);
    writer->size += spaces + 1;
}

/* one character of a string: itself, an escape, or U+FFFD for a byte that is no UTF-8; returns the bytes read */
static size_t append_character(struct json_writer *writer, const unsigned char *text, size_t size)
{
    static const char controls[] = "\b\t\n\f\r", letters[] = "btnfr";
    size_t length = json_utf8_length(text, size);
    const char *control = text[0] < 0x20 ? memchr(controls, text[0], sizeof controls - 1) : NULL;
    char escape[8];

    if (length == 0) {
        append(writer, "\xEF\xBF\xBD", 3);
        return 1;
    }
    if (text[0] == '"' || text[0] == '\\' || control != NULL) {
        escape[0] = '\\';
        escape[1] = control != NULL ? letters[control - controls] : (char)text[0];
        append(writer, escape, 2);
    } else if (text[0] < 0x20) {
        (void)snprintf(escape, sizeof escape, "\\u%04x", text[0]);
        append(writer, escape, 6);
    } else {
        append(writer, (const char *)text, length);
    }
    return length;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7F && c != '"' && c != '\\';
}

static void append_string(struct json_writer *writer, const char *text)
{
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);

    append(writer, "\"", 1);
    while (at < end) {
        const unsigned char *start = at;
        while (at < end && is_plain(*at))
            at++;
        append(writer, (const char *)start, (size_t)(at - start));
        if (at < end)
            at += append_character(writer, at, (size_t)(end - at));
    }
    append(writer, "\"", 1);
}

/* what comes before a value: the comma, the line break, the name */
static void begin_value(struct json_writer *writer, const char *key, bool container)
{
    if (!writer->empty)
        append(writer, ",", 1);
    if (writer->indent > 0 && writer->depth > 0) {
        if (key != NULL || container)
            append_line(writer);
        else if (!writer->empty)
            append(writer, " ", 1);
    }
    if (key != NULL) {
        append_string(writer, key);
        append(writer, ": ", writer->indent > 0 ? 2 : 1);
    }
    writer->empty = false;
    writer->nested = container;
}

void json_put_raw(struct json_writer *writer, const char *key, const char *text, size_t size)
{
    begin_value(writer, key, false);
    append(writer, text, size);
}

static void open_container(struct json_writer *writer, const char *key, const char *bracket)
{
    /* an array of numbers stays on one line, so the break before a nested one is made here */
    begin_value(writer, key, true);
    append(writer, bracket, 1);
    writer->depth++;
    writer->empty = true;
}

static void close_container(struct json_writer *writer, const char *bracket, bool lines)
{
    if (writer->depth == 0) {
        writer_fails(writer, INFOMASK_INTERNAL, "a JSON value was closed twice");
        return;
    }
    writer->depth--;
    if (writer->indent > 0 && !writer->empty && lines)
        append_line(writer);
    append(writer, bracket, 1);
    writer->empty = false;
    writer->nested = true;
}

void json_object_open(struct json_writer *writer, const char *key)
{
    open_container(writer, key, "{");
}

void json_object_close(struct json_writer *writer)
{
    close_container(writer, "}", true);
}

void json_array_open(struct json_writer *writer, const char *key)
{
    open_container(writer, key, "[");
}

void json_array_close(struct json_writer *writer)
{
    close_container(writer, "]", writer->nested);
}

void json_put_null(struct json_writer *writer, const char *key)
{
    json_put_raw(writer, key, "null", 4);
}

void json_put_bool(struct json_writer *writer, const char *key, bool value)
{
    if (value)
        json_put_raw(writer, key, "true", 4);
    else
        json_put_raw(writer, key, "false", 5);
}

/* by hand: snprintf takes several times as long, and lists of classes are full of these */
static void put_whole(struct json_writer *writer, const char *key, bool minus, uint64_t magnitude)
{
    char text[24], *end = text + sizeof text, *at = end;

    do
        *--at = (char)('0' + magnitude % 10);
    while ((magnitude /= 10) > 0);
    if (minus)
        *--at = '-';
    json_put_raw(writer, key, at, (size_t)(end - at));
}

void json_put_int(struct json_writer *writer, const char *key, int64_t value)
{
    put_whole(writer, key, value < 0, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void json_put_uint(struct json_writer *writer, const char *key, uint64_t value)
{
    put_whole(writer, key, false, value);
}

void json_put_double(struct json_writer *writer, const char *key, double value)
{
    char text[JSON_DOUBLE_TEXT];

    if (!isfinite(value)) {
        writer_fails(writer, INFOMASK_INTERNAL, "a number of the answer is not finite");
        return;
    }
    json_put_raw(writer, key, text, (size_t)json_double_text(value, text));
}

void json_put_double_or_null(struct json_writer *writer, const char *key, double value)
{
    if (isfinite(value))
        json_put_double(writer, key, value);
    else
        json_put_null(writer, key);
}

void json_put_string(struct json_writer *writer, const char *key, const char *value)
{
    if (value == NULL) {
        json_put_null(writer, key);
        return;
    }
    begin_value(writer, key, false);
    append_string(writer, value);
}

/* RFC 4648 section 4 */
static void encode_base64(const unsigned char *data, size_t size, char *text)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < size; i += 3, text += 4) {
        size_t left = size - i;
        unsigned group = (unsigned)data[i] << 16 | (left > 1 ? (unsigned)data[i + 1] << 8 : 0) |
                         (left > 2 ? (unsigned)data[i + 2] : 0);
        text[0] = digits[group >> 18];
        text[1] = digits[group >> 12 & 63];
        text[2] = left > 1 ? digits[group >> 6 & 63] : '=';
        text[3] = left > 2 ? digits[group & 63] : '=';
    }
}

void json_put_base64(struct json_writer *writer, const char *key, const void *data, size_t size)
{
    size_t length = size / 3 * 4 + (size % 3 > 0 ? 4 : 0);
    char *room;

    begin_value(writer, key, false);
    append(writer, "\"", 1);
    room = size <= SIZE_MAX / 4 ? writer_room(writer, length) : NULL;
    if (room == NULL) {
        writer_fails(writer, INFOMASK_MEMORY, "out of memory");
        return;
    }
    encode_base64(data, size, room);
    writer->size += length;
    append(writer, "\"", 1);
}

void json_put_node(struct json_writer *writer, const char *key, const struct json *node)
{
    double number = 0;
    bool truth = false;

    switch (json_kind(node)) {
    case JSON_OBJECT:
    case JSON_ARRAY:
        open_container(writer, key, json_kind(node) == JSON_OBJECT ? "{" : "[");
        for (const struct json *child = json_first(node); child != NULL; child = json_next(child))
            json_put_node(writer, json_key(child), child);
        if (json_kind(node) == JSON_OBJECT)
            json_object_close(writer);
        else
            json_array_close(writer);
        break;
    case JSON_STRING:
        json_put_string(writer, key, json_string(node));
        break;
    case JSON_NUMBER:
        (void)json_number(node, &number);
        json_put_double(writer, key, number);
        break;
    case JSON_BOOL:
        (void)json_bool(node, &truth);
        json_put_bool(writer, key, truth);
        break;
    case JSON_NULL:
        json_put_null(writer, key);
        break;
    }
}

enum infomask_status json_writer_take(struct json_writer *writer, char **text, size_t *size,
                                      struct infomask_error *err)
{
    if (writer->status == INFOMASK_OK && writer->depth > 0)
        writer_fails(writer, INFOMASK_INTERNAL, "a JSON value was left open");
    append(writer, "\n", 1);
    if (writer->status != INFOMASK_OK) {
        enum infomask_status status = error_set(err, writer->status, "%s", writer->reason);
        json_writer_fini(writer);
        return status;
    }
    writer->data[writer->size] = '\0';
    *text = writer->data;
    *size = writer->size;
    json_writer_init(writer, writer->indent);
    return INFOMASK_OK;
}
