#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "server/handlers/oip_tensors.h"

void oip_reply_init(struct oip_reply *reply, const char *model, const char *version, const char *id)
{
    *reply = (struct oip_reply){0};
    json_writer_init(&reply->writer, 0);
    json_object_open(&reply->writer, NULL);
    json_put_string(&reply->writer, "model_name", model);
    json_put_string(&reply->writer, "model_version", version);
    if (id != NULL)
        json_put_string(&reply->writer, "id", id);
    json_array_open(&reply->writer, "outputs");
}

void oip_reply_fini(struct oip_reply *reply)
{
    json_writer_fini(&reply->writer);
    free(reply->binary);
    *reply = (struct oip_reply){0};
}

static void append(struct oip_reply *reply, const void *data, size_t size)
{
    size_t need;

    if (reply->failed || !checked_add(reply->binary_size, size, &need)) {
        reply->failed = true;
        return;
    }
    if (need > reply->binary_capacity) {
        size_t capacity = need > 2 * reply->binary_capacity ? need : 2 * reply->binary_capacity;
        unsigned char *grown = realloc(reply->binary, capacity);
        if (grown == NULL) {
            reply->failed = true;
            return;
        }
        reply->binary = grown;
        reply->binary_capacity = capacity;
    }
    memcpy(reply->binary + reply->binary_size, data, size);
    reply->binary_size = need;
}

void oip_tensor_open(struct json_writer *w, const char *name, const char *type, const int64_t *shape, int rank)
{
    json_object_open(w, NULL);
    json_put_string(w, "name", name);
    json_put_string(w, "datatype", type);
    json_array_open(w, "shape");
    for (int i = 0; i < rank; i++)
        json_put_int(w, NULL, shape[i]);
    json_array_close(w);
}

static void put_binary_size(struct json_writer *w, size_t size)
{
    json_object_open(w, "parameters");
    json_put_uint(w, "binary_data_size", size);
    json_object_close(w);
}

void oip_reply_numbers(struct oip_reply *reply, const char *name, bool binary, const int64_t *shape, int rank,
                       const float *values, size_t count)
{
    struct json_writer *w = &reply->writer;

    oip_tensor_open(w, name, "FP32", shape, rank);
    if (binary) {
        put_binary_size(w, count * sizeof *values);
        append(reply, values, count * sizeof *values);
    } else {
        json_array_open(w, "data");
        for (size_t i = 0; i < count; i++)
            json_put_double(w, NULL, (double)values[i]);
        json_array_close(w);
    }
    json_object_close(w);
}

void oip_reply_strings(struct oip_reply *reply, const char *name, bool binary, const int64_t shape[2],
                       char *const *strings, size_t count)
{
    struct json_writer *w = &reply->writer;
    size_t before = reply->binary_size;

    oip_tensor_open(w, name, "BYTES", shape, 2);
    if (binary) {
        for (size_t i = 0; i < count; i++) {
            size_t size = strlen(strings[i]);
            const unsigned char length[4] = {(unsigned char)size, (unsigned char)(size >> 8),
                                             (unsigned char)(size >> 16), (unsigned char)(size >> 24)};
            append(reply, length, sizeof length);
            append(reply, strings[i], size);
        }
        put_binary_size(w, reply->binary_size - before);
    } else {
        json_array_open(w, "data");
        for (size_t i = 0; i < count; i++)
            json_put_string(w, NULL, strings[i]);
        json_array_close(w);
    }
    json_object_close(w);
}

enum infomask_status oip_reply_take(struct oip_reply *reply, char **body, size_t *size, size_t *json_size,
                                    struct infomask_error *err)
{
    char *text, *joined;
    enum infomask_status status;

    json_array_close(&reply->writer);
    json_object_close(&reply->writer);
    if (reply->failed)
        return error_set(err, INFOMASK_MEMORY, "no memory for the reply");
    status = json_writer_take(&reply->writer, &text, json_size, err);
    if (status != INFOMASK_OK)
        return status;
    joined = realloc(text, *json_size + reply->binary_size + 1);
    if (joined == NULL) {
        free(text);
        return error_set(err, INFOMASK_MEMORY, "no memory for the reply");
    }
    if (reply->binary_size > 0)
        memcpy(joined + *json_size, reply->binary, reply->binary_size);
    *body = joined;
    *size = *json_size + reply->binary_size;
    return INFOMASK_OK;
}
