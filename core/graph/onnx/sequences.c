/* Sequences of tensors, as PyTorch's older exporter writes what is cut into parts of sizes that it does not know: each
 * part is a tensor of the graph, and which of them is read the file says itself. */
#include <stdlib.h>

#include "core/graph/onnx_import.h"

static enum infomask_status sequence_input(struct onnx_import *im, const struct onnx_value **sequence)
{
    *sequence = onnx_has(im, 0) ? im->inputs[0] : NULL;
    return *sequence != NULL && (*sequence)->kind == ONNX_SEQUENCE ? INFOMASK_OK
                                                                   : onnx_broken(im, "input 0 is not a sequence");
}

/* Of a number: parts of that size, the last one of what is left; of a list: those; of nothing: of one each. */
static enum infomask_status sizes_of_parts(struct onnx_import *im, int64_t size, int64_t *sizes, int *count)
{
    const struct onnx_ints *split = NULL;
    int64_t each = 1;
    enum infomask_status status = onnx_has(im, 1) ? onnx_ints_input(im, 1, &split) : INFOMASK_OK;

    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; split != NULL && i < split->count; i++)
        if (split->item[i].kind != ONNX_INT_KNOWN)
            return onnx_unsupported(im, "sizes that are known only when the network runs");
    *count = split != NULL && split->rank == 1 ? split->count : 0;
    for (int i = 0; i < *count; i++)
        sizes[i] = split->item[i].value;
    if (split != NULL && split->rank == 1)
        return INFOMASK_OK;
    each = split != NULL && split->count == 1 ? split->item[0].value : each;
    if (each < 1 || size < 1 || (size - 1) / each >= ONNX_MAX_INTS)
        return onnx_unsupported(im, "it cuts a size that the file leaves open, or into too many parts");
    for (int64_t at = 0; at < size; at += each)
        sizes[(*count)++] = size - at < each ? size - at : each;
    return INFOMASK_OK;
}

/* Elements [first, end) along the axis. */
static enum infomask_status part_of(struct onnx_import *im, int x, int axis, const int64_t ends[2], int *part)
{
    int rank = im->graph->tensors[x].rank;
    struct graph_node *node = onnx_general(im, GRAPH_SLICE, &x, 1, 3 * (size_t)rank);

    if (node == NULL)
        return onnx_no_memory(im);
    for (int i = 0; i < rank; i++) {
        node->table->v[i] = i == axis ? ends[0] : 0;
        node->table->v[rank + i] = i == axis ? ends[1] : INT64_MAX;
        node->table->v[2 * rank + i] = 1;
    }
    return onnx_step(im, node, part);
}

enum infomask_status onnx_import_split_to_sequence(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0), sizes[ONNX_MAX_INTS], ends[2] = {0, 0}, size;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct onnx_parts parts = {0};
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (!onnx_axis(&axis, im->graph->tensors[x].rank))
        return onnx_broken(im, "its axis is outside its input");
    if (!onnx_has(im, 1) && onnx_attribute_int(im, "keepdims", 1) == 0)
        return onnx_unsupported(im, "parts without the dimension that is cut are not supported");
    size = im->graph->tensors[x].dims[axis];
    status = sizes_of_parts(im, size, sizes, &parts.count);
    for (int i = 0; status == INFOMASK_OK && i < parts.count; i++) {
        ends[0] = ends[1];
        if (sizes[i] < 1 || __builtin_add_overflow(ends[0], sizes[i], &ends[1]) || (size >= 0 && ends[1] > size))
            return onnx_broken(im, "its parts are wrong");
        status = part_of(im, x, (int)axis, ends, &parts.tensor[i]);
    }
    return status != INFOMASK_OK ? status : onnx_is_sequence(im, &parts, numbers);
}

enum infomask_status onnx_import_sequence_construct(struct onnx_import *im)
{
    struct onnx_parts parts = {.count = im->input_count};
    enum infomask_status status = INFOMASK_OK;

    if (im->input_count > ONNX_MAX_INTS)
        return onnx_unsupported(im, "a sequence of %d tensors is too long", im->input_count);
    for (int i = 0; status == INFOMASK_OK && i < im->input_count; i++)
        status = onnx_any_input(im, i, &parts.tensor[i]);
    return status != INFOMASK_OK ? status : onnx_is_sequence(im, &parts, onnx_numbers_of(im, 0));
}

enum infomask_status onnx_import_sequence_at(struct onnx_import *im)
{
    const struct onnx_value *sequence;
    const struct onnx_ints *position;
    int64_t at;
    enum infomask_status status = sequence_input(im, &sequence);

    if (status == INFOMASK_OK)
        status = onnx_ints_input(im, 1, &position);
    if (status != INFOMASK_OK)
        return status;
    if (position->count != 1 || position->item[0].kind != ONNX_INT_KNOWN)
        return onnx_unsupported(im, "a position that is known only when the network runs");
    at = position->item[0].value;
    at += at < 0 ? sequence->parts->count : 0;
    if (at < 0 || at >= sequence->parts->count)
        return onnx_broken(im, "its position is outside the sequence");
    return onnx_output_is(im, 0, sequence->parts->tensor[at], sequence->numbers);
}

enum infomask_status onnx_import_sequence_length(struct onnx_import *im)
{
    const struct onnx_value *sequence;
    struct onnx_ints length = {.count = 1};
    enum infomask_status status = sequence_input(im, &sequence);

    if (status != INFOMASK_OK)
        return status;
    length.item[0].value = sequence->parts->count;
    return onnx_is_ints(im, &length);
}

enum infomask_status onnx_import_concat_from_sequence(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", 0);
    const struct onnx_value *sequence;
    struct graph_node *node;
    enum infomask_status status = sequence_input(im, &sequence);

    if (status != INFOMASK_OK)
        return status;
    if (onnx_attribute_int(im, "new_axis", 0) != 0)
        return onnx_unsupported(im, "tensors that are stacked along a new dimension are not supported");
    if (sequence->parts->count < 1 || !onnx_axis(&axis, im->graph->tensors[sequence->parts->tensor[0]].rank))
        return onnx_broken(im, "its axis is outside its input");
    node = onnx_begin(im, GRAPH_CONCAT, sequence->parts->tensor, sequence->parts->count);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = (int)axis;
    return onnx_result(im, node, sequence->numbers);
}
