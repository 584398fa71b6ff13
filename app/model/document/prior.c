#include "app/model/document/prior.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"

#define MOST_TEXT (64 << 20)

/* K positive numbers with spaces or commas between them. */
static size_t parse_numbers(const char *text, double *numbers, size_t room)
{
    size_t count = 0;

    for (;;) {
        char *end;
        double value;
        text += strspn(text, " \t\r\n,");
        if (*text == '\0')
            return count;
        value = strtod(text, &end);
        if (end == text || count == room)
            return room + 1;
        numbers[count++] = value;
        text = end;
    }
}

static size_t prior_of_file(struct document_reader *reader, const char *folder, const char *key, const char *name,
                            double *p, size_t room)
{
    char *path = document_own_file(reader, folder, key, name), *text = NULL;
    size_t size = 0, count = 0;

    if (path == NULL)
        return 0;
    reader->status = file_read_regular(path, MOST_TEXT, &text, &size, reader->err);
    if (reader->status == INFOMASK_OK)
        count = parse_numbers(text, p, room);
    else
        error_prefix(reader->err, "%.80s", name);
    free(text);
    free(path);
    return count;
}

static size_t prior_of_array(const struct json *node, double *p, size_t room)
{
    size_t count = 0;
    for (const struct json *item = json_first(node); item != NULL; item = json_next(item))
        if (count == room || !json_number(item, &p[count++]))
            return room + 1;
    return count;
}

static void normalise(struct document_reader *reader, const char *key, double *p, size_t count)
{
    double sum = 0;

    for (size_t i = 0; i < count; i++) {
        if (!(p[i] > 0) || !isfinite(p[i])) {
            document_fails(reader, key, "must be positive for every class; class %zu has %g", i, p[i]);
            return;
        }
        sum += p[i];
    }
    if (!isfinite(sum))
        document_fails(reader, key, "is too large to be normalised");
    for (size_t i = 0; i < count; i++)
        p[i] /= sum;
}

double *document_prior(struct document_reader *reader, const struct model_folder *folder, const char *key)
{
    const struct json *node = document_member(reader, key);
    size_t classes = folder->labels.count, count = 0;
    const char *name = json_string(node);
    double *p;

    if (node == NULL)
        return NULL;
    if (name == NULL && json_kind(node) != JSON_ARRAY)
        document_must_be(reader, key, "\"uniform\", a file's name or an array of numbers", node);
    else if (classes == 0)
        document_fails(reader, key, "needs \"labels\", which say how many classes there are");
    p = reader->status == INFOMASK_OK ? malloc(classes * sizeof *p) : NULL;
    if (p == NULL) {
        if (reader->status == INFOMASK_OK)
            reader->status = error_set(reader->err, INFOMASK_MEMORY, "out of memory");
        return NULL;
    }
    if (name != NULL && strcmp(name, "uniform") == 0)
        for (; count < classes; count++)
            p[count] = 1;
    else if (name != NULL)
        count = prior_of_file(reader, folder->path, key, name, p, classes);
    else
        count = prior_of_array(node, p, classes);
    if (count != classes)
        document_fails(reader, key, "must hold %zu numbers, one for each class", classes);
    if (reader->status == INFOMASK_OK && folder->spec.head != INFOMASK_HEAD_SIGMOID) /* there each is its own */
        normalise(reader, key, p, classes);
    if (reader->status != INFOMASK_OK) {
        free(p);
        return NULL;
    }
    return p;
}
