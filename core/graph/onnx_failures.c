/* What is wrong with a model file, said with the node that was being imported. */
#include <stdarg.h>
#include <stdio.h>

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
