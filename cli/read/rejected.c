#include "cli/read/rejected.h"

#include <stdlib.h>
#include <string.h>

static void row_fini(struct rejected_photo *row)
{
    free(row->sample);
    free(row->detail);
}

void rejected_add(struct rejected_list *list, const char *sample, const char *code, const char *detail)
{
    struct rejected_photo *rows = reallocarray(list->rows, list->count + 1, sizeof *rows);
    struct rejected_photo row = {strdup(sample), strdup(detail), code};

    if (rows != NULL)
        list->rows = rows;
    if (rows != NULL && row.sample != NULL && row.detail != NULL)
        rows[list->count++] = row;
    else
        row_fini(&row);
}

void rejected_put(struct json_writer *writer, const char *key, const struct rejected_list *list)
{
    json_array_open(writer, key);
    for (size_t i = 0; i < list->count; i++) {
        json_object_open(writer, NULL);
        json_put_string(writer, "sample", list->rows[i].sample);
        json_put_string(writer, "code", list->rows[i].code);
        json_put_string(writer, "detail", list->rows[i].detail);
        json_object_close(writer);
    }
    json_array_close(writer);
}

void rejected_fini(struct rejected_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        row_fini(&list->rows[i]);
    free(list->rows);
    *list = (struct rejected_list){0};
}
