/* A model file without its weights, for protobuf-c to unpack, and where the weights are.
 *
 * protobuf-c copies every bytes field.  So a bounded cursor walks the file first and copies all of it but the raw_data
 * of tensors, in whose place it puts the number of a view into the file.  Whatever the file's size, its weights are
 * then read where they lie.
 */
#ifndef INFOMASK_GRAPH_ONNX_SLIM_H
#define INFOMASK_GRAPH_ONNX_SLIM_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct onnx_view {
    const uint8_t *data;
    size_t size;
};

struct onnx_slim {
    uint8_t *data; /* a ModelProto */
    size_t size, capacity;
    struct onnx_view *views;
    size_t view_count, view_capacity;
    size_t messages; /* nodes, attributes and tensors */
};

/* INFOMASK_BAD_MODEL for bytes that are no Protocol Buffers message, INFOMASK_LIMIT for too many parts.  Free with
 * onnx_slim_fini, on failure too; views point into data. */
enum infomask_status onnx_slim_make(struct onnx_slim *slim, const void *data, size_t size, struct infomask_error *err)
    __attribute__((warn_unused_result));
void onnx_slim_fini(struct onnx_slim *slim);

/* Moves that view down to a multiple of four bytes, over its own length in the file: of an ONNX file in memory that may
 * be changed, and of views of at least ONNX_SLIM_MOVABLE bytes. */
#define ONNX_SLIM_MOVABLE 4096
struct onnx_view onnx_slim_align(struct onnx_slim *slim, const uint8_t *raw_data, size_t size);

/* The view that a tensor's raw_data names after unpacking; an empty one for bytes that name none. */
struct onnx_view onnx_slim_view(const struct onnx_slim *slim, const uint8_t *raw_data, size_t size);

#endif
