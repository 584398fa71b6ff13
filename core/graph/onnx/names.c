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

/* By it scikit-learn's exporter and others end.  The row is taken; its names are those of the classes. */
enum infomask_status onnx_import_zip_map(struct onnx_import *im)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "classlabels_strings");
    size_t size = 1, at = 0;
    int x;
    enum infomask_status status = onnx_tensor_input(im, 0, &x);

    for (size_t i = 0; a != NULL && i < a->n_strings; i++)
        size += a->strings[i].len + 1;
    free(im->graph->classes);
    im->graph->classes = a != NULL && a->n_strings > 0 && a->n_strings <= MOST_CLASSES ? calloc(size, 1) : NULL;
    for (size_t i = 0; im->graph->classes != NULL && i < a->n_strings; i++) {
        for (size_t k = 0; k < a->strings[i].len; k++)
            im->graph->classes[at++] = iscntrl(a->strings[i].data[k]) ? ' ' : (char)a->strings[i].data[k];
        im->graph->classes[at++] = '\n';
    }
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, x);
}

/* What Windows' machine learning asks of a file, and Custom Vision's exports tell. */
static void read_pixels(const Onnx__ModelProto *model, struct graph *graph)
{
    const char *range = value_of(model, "Image.NominalPixelRange");
    const char *format = value_of(model, "Image.BitmapPixelFormat");

    graph->darkest = strcmp(range, "Normalized_1_1") == 0 ? -1 : 0;
    if (strcmp(range, "NominalRange_0_255") == 0)
        graph->lightest = 255;
    else if (strcmp(range, "Normalized_0_1") == 0 || strcmp(range, "Normalized_1_1") == 0)
        graph->lightest = 1;
    graph->blue_first = strcmp(format, "Bgr8") == 0 || strcmp(format, "Bgra8") == 0;
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
        free(graph->classes);
        graph->classes = start;
    } else {
        free(start);
    }
    read_pixels(model, graph);
    graph->takes_unit = strcmp(value_of(model, "author"), "Ultralytics") == 0;
    return INFOMASK_OK;
}
