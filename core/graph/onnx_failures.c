/* What is wrong with a model file, said with the node that was being imported. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static enum infomask_status fail(struct onnx_import *im, enum infomask_status status, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static enum infomask_status fail(struct onnx_import *im, enum infomask_status status, const char *format, va_list args)
{
    char what[INFOMASK_ERROR_TEXT];

    vsnprintf(what, sizeof what, format, args);
    if (im->node == NULL)
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

/* The file's outputs but the one that is taken: "'a', 'b'". */
static void list_others(const Onnx__GraphProto *file, const char *taken, char *text, size_t size)
{
    size_t at = 0;

    *text = 0;
    for (size_t i = 0; i < file->n_output && at < size; i++)
        if (strcmp(onnx_text(file->output[i]->name), taken) != 0)
            at += (size_t)snprintf(text + at, size - at, "%s'%s'", at > 0 ? ", " : "",
                                   shown_name(onnx_text(file->output[i]->name)).text);
}

enum infomask_status onnx_tell_others(const Onnx__GraphProto *file, const char *taken, struct graph *graph,
                                      enum infomask_status status, struct infomask_error *err)
{
    char others[160], old[INFOMASK_ERROR_TEXT];

    if (file->n_output < 2)
        return status;
    list_others(file, taken != NULL ? taken : onnx_text(onnx_first_output(file)), others, sizeof others);
    if (status == INFOMASK_OK) {
        graph->others = strdup(others);
        return graph->others != NULL ? status : error_set(err, INFOMASK_MEMORY, "no memory for the model");
    }
    if (err != NULL && taken == NULL && (status == INFOMASK_UNSUPPORTED_MODEL || status == INFOMASK_BAD_MODEL)) {
        memcpy(old, err->text, sizeof old);
        (void)snprintf(err->text, sizeof err->text, "%.300s (the file has other outputs: %s)", old, others);
    }
    return status;
}

static bool same_text(const char *a, const char *b) { return strcmp(onnx_text(a), onnx_text(b)) == 0; }

/* "GridSample (2 nodes), com.microsoft.nchwc.Conv (1 node)" of what is needed and not known here; "" if nothing is. */
static void list_missing(const struct onnx_import *im, const bool *needed, char *text, size_t size)
{
    size_t at = 0;

    *text = 0;
    for (size_t i = 0; i < im->file->n_node; i++) {
        const Onnx__NodeProto *node = im->file->node[i];
        int nodes = 0;
        bool told = false;
        if (!needed[i] || onnx_find_operator(onnx_text(node->domain), onnx_text(node->op_type)) != NULL)
            continue;
        for (size_t j = 0; j < im->file->n_node; j++) {
            const Onnx__NodeProto *other = im->file->node[j];
            bool same = needed[j] && same_text(other->op_type, node->op_type) && same_text(other->domain, node->domain);
            told = told || (same && j < i);
            nodes += same;
        }
        if (told)
            continue;
        if (at < size)
            at += (size_t)snprintf(text + at, size - at, "%s%s%s%s (%d node%s)", at > 0 ? ", " : "",
                                   shown_name(onnx_text(node->domain)).text, *onnx_text(node->domain) ? "." : "",
                                   shown_name(onnx_text(node->op_type)).text, nodes, nodes == 1 ? "" : "s");
    }
}

enum infomask_status onnx_check_operators(struct onnx_import *im, const bool *needed)
{
    char text[INFOMASK_ERROR_TEXT];
    bool blocked;

    list_missing(im, needed, text, sizeof text);
    if (!*text)
        return INFOMASK_OK;
    blocked = strstr(text, "com.microsoft.nchwc.") != NULL;
    return error_set(im->err, INFOMASK_UNSUPPORTED_MODEL, "operators that are not supported: %.350s%s", text,
                     blocked ? " (onnxruntime has written this file for one kind of processor: take the file that it "
                               "was made from)"
                             : "");
}
