#include "app/model/document/keys.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "app/settings/files.h"

void document_fails(struct document_reader *reader, const char *key, const char *format, ...)
{
    char what[160];
    va_list args;

    if (reader->status != INFOMASK_OK)
        return;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);
    reader->status = error_set(reader->err, INFOMASK_BAD_MODEL, "model.json: \"%s%s\" %s", reader->prefix, key, what);
}

const struct json *document_member(const struct document_reader *reader, const char *key)
{
    return reader->status == INFOMASK_OK ? json_get(reader->object, key) : NULL;
}

void document_must_be(struct document_reader *reader, const char *key, const char *what, const struct json *node)
{
    document_fails(reader, key, "must be %s, not %s", what, json_kind_name(json_kind(node)));
}

void document_string(struct document_reader *reader, const char *key, const char **value)
{
    const struct json *node = document_member(reader, key);
    if (node == NULL)
        return;
    if (json_string(node) == NULL || json_string(node)[0] == '\0')
        document_must_be(reader, key, "a string of at least one character", node);
    else
        *value = json_string(node);
}

void document_number(struct document_reader *reader, const char *key, double low, double high, double *value)
{
    const struct json *node = document_member(reader, key);
    double number;

    if (node == NULL)
        return;
    if (!json_number(node, &number))
        document_must_be(reader, key, "a number", node);
    else if (!(number >= low && number <= high))
        document_fails(reader, key, "must be %g to %g, not %g", low, high, number);
    else
        *value = number;
}

void document_integer(struct document_reader *reader, const char *key, int low, int high, int *value)
{
    const struct json *node = document_member(reader, key);
    int64_t number;

    if (node == NULL)
        return;
    if (!json_integer(node, &number) || number < low || number > high)
        document_fails(reader, key, "must be an integer from %d to %d", low, high);
    else
        *value = (int)number;
}

void document_choice(struct document_reader *reader, const char *key, const char *words, int *value)
{
    const struct json *node = document_member(reader, key);
    const char *text = json_string(node), *at = words;

    if (node == NULL)
        return;
    for (int i = 0; text != NULL; i++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *value = i;
            return;
        }
        if (at[length] == '\0')
            break;
        at += length + 1;
    }
    document_fails(reader, key, "must be one of %s", words);
}

struct document_reader document_object(const struct document_reader *outer, const char *key, const char *prefix)
{
    struct document_reader inner = {document_member(outer, key), prefix, outer->err, outer->status};
    if (inner.object != NULL && json_kind(inner.object) != JSON_OBJECT) {
        struct document_reader copy = *outer;
        document_must_be(&copy, key, "an object", inner.object);
        inner.status = copy.status;
    }
    return inner;
}

void document_warn_of_unknown(const struct document_reader *reader, const char *keys, const char *name,
                              model_warn *warn, void *context)
{
    if (warn == NULL || reader->status != INFOMASK_OK)
        return;
    for (const struct json *node = json_first(reader->object); node != NULL; node = json_next(node)) {
        char key[64], sentence[200];
        int length = snprintf(key, sizeof key, "|%.60s|", json_key(node));
        if (length < (int)sizeof key && strchr(json_key(node), '|') == NULL && strstr(keys, key) != NULL)
            continue;
        (void)snprintf(sentence, sizeof sentence,
                       "model %.63s: model.json: unknown key \"%s%.60s\" is kept and not used", name, reader->prefix,
                       json_key(node));
        warn(context, sentence);
    }
}

char *document_own_file(struct document_reader *reader, const char *folder, const char *key, const char *name)
{
    char *path;

    if (reader->status != INFOMASK_OK || name == NULL)
        return NULL;
    if (name[0] == '/' || strcmp(name, "..") == 0 || strncmp(name, "../", 3) == 0 || strstr(name, "/..") != NULL) {
        document_fails(reader, key, "must be a file of the model's own folder, not \"%.80s\"", name);
        return NULL;
    }
    path = file_join(folder, name);
    if (path == NULL)
        reader->status = error_set(reader->err, INFOMASK_MEMORY, "out of memory");
    return path;
}
