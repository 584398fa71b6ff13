/* What a file tells of its classes and its pictures beside the network: the metadata that exporters put there. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

#define MOST_CLASSES 100000

static const char *value_of(const Onnx__ModelProto *model, const char *key)
{
    for (size_t i = 0; i < model->n_metadata_props; i++)
        if (strcmp(onnx_text(model->metadata_props[i]->key), key) == 0)
            return onnx_text(model->metadata_props[i]->value);
    return "";
}

/* The text of a list, {0: 'a', 1: "b's"} or ["a", "b"], as Python and JSON write it. */
struct list {
    const char *at;
    char *out; /* names, a line each */
    bool numbered;
};

static bool skip(struct list *l, char c)
{
    l->at += strspn(l->at, " \t\r\n");
    if (*l->at != c)
        return false;
    l->at++;
    l->at += strspn(l->at, " \t\r\n");
    return true;
}

/* "3:" or "'3':" of the third but one. */
static bool read_number(struct list *l, int expected)
{
    char quote = *l->at == '"' || *l->at == '\'' ? *l->at++ : '\0', *end;
    long number = strtol(l->at, &end, 10);

    if (end == l->at || number != expected || (quote != '\0' && *end++ != quote))
        return false;
    l->at = end;
    return skip(l, ':');
}

/* A text in quotes; other escapes than of quotes and backslashes are not understood. */
static bool read_name(struct list *l)
{
    char quote = *l->at, *start = l->out;

    if (quote != '"' && quote != '\'')
        return false;
    for (l->at++; *l->at != quote; l->at++) {
        bool escaped = *l->at == '\\';
        l->at += escaped;
        if (*l->at == '\0' || (escaped && strchr("\\\"'/", *l->at) == NULL))
            return false;
        *l->out++ = iscntrl((unsigned char)*l->at) ? ' ' : *l->at;
    }
    l->at++;
    *l->out++ = '\n';
    return l->out > start + 1;
}

static bool read_list(struct list *l)
{
    char close;

    l->numbered = skip(l, '{');
    close = l->numbered ? '}' : ']';
    if (!l->numbered && !skip(l, '['))
        return false;
    for (int i = 0; i < MOST_CLASSES; i++) {
        if ((l->numbered && !read_number(l, i)) || !read_name(l))
            return false;
        if (skip(l, close))
            return *l->at == '\0';
        if (!skip(l, ','))
            return false;
    }
    return false;
}

enum infomask_status onnx_read_names(const Onnx__ModelProto *model, struct graph *graph, struct infomask_error *err)
{
    const char *text = value_of(model, "names");
    struct list l = {.at = text, .out = malloc(2 * strlen(text) + 2)};
    char *start = l.out;

    if (start == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    if (read_list(&l)) {
        *l.out = '\0';
        graph->classes = start;
    } else {
        free(start);
    }
    graph->takes_unit = strcmp(value_of(model, "author"), "Ultralytics") == 0;
    return INFOMASK_OK;
}
