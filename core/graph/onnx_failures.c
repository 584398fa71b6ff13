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

static const char *or_none(const char *text) { return text != NULL ? text : ""; }

/* The file's outputs but the one that is taken: "'a', 'b'". */
static void list_others(const Onnx__GraphProto *file, const char *taken, char *text, size_t size)
{
    size_t at = 0;

    *text = 0;
    for (size_t i = 0; i < file->n_output && at < size; i++)
        if (strcmp(or_none(file->output[i]->name), taken) != 0)
            at += (size_t)snprintf(text + at, size - at, "%s'%s'", at > 0 ? ", " : "",
                                   shown_name(or_none(file->output[i]->name)).text);
}

enum infomask_status onnx_tell_others(const Onnx__GraphProto *file, const char *taken, struct graph *graph,
                                      enum infomask_status status, struct infomask_error *err)
{
    char others[160], old[INFOMASK_ERROR_TEXT];

    if (file->n_output < 2)
        return status;
    list_others(file, taken != NULL ? taken : or_none(file->output[0]->name), others, sizeof others);
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
