/* How many channels a picture has where the file names them but gives no number, as exports do whose every size is
 * open: what the first convolution takes. */
#include <string.h>

#include "core/graph/onnx_import.h"

#define MOST_STEPS 16

static bool is_called(const char *name, const char *other)
{
    return name != NULL && other != NULL && *name && strcmp(name, other) == 0;
}

/* The constant that a tensor is, or was before it was cast or quantised; NULL: none. */
static const Onnx__TensorProto *constant_of(const Onnx__GraphProto *file, const char *name)
{
    for (int step = 0; step < MOST_STEPS; step++) {
        const Onnx__NodeProto *maker = NULL;
        for (size_t i = 0; i < file->n_initializer; i++)
            if (is_called(file->initializer[i]->name, name))
                return file->initializer[i];
        for (size_t i = 0; i < file->n_node && maker == NULL; i++)
            if (file->node[i]->n_output > 0 && is_called(file->node[i]->output[0], name))
                maker = file->node[i];
        if (maker != NULL && is_called(maker->op_type, "Constant")) {
            const Onnx__AttributeProto *value = onnx_node_attribute(maker, "value");
            return value != NULL ? value->t : NULL;
        }
        if (maker == NULL || maker->n_input < 1)
            return NULL;
        name = maker->input[0];
    }
    return NULL;
}

static int64_t channels_of(const Onnx__GraphProto *file, const Onnx__NodeProto *conv)
{
    const Onnx__TensorProto *weights = conv->n_input > 1 ? constant_of(file, conv->input[1]) : NULL;
    const Onnx__AttributeProto *groups = onnx_node_attribute(conv, "group");
    int64_t count = groups != NULL && groups->has_i ? groups->i : 1, channels;

    if (weights == NULL || weights->n_dims != 4 || __builtin_mul_overflow(weights->dims[1], count, &channels))
        return 0;
    return channels > 0 && channels < 1 << 24 ? channels : 0;
}

static bool turns_last_forward(const Onnx__NodeProto *node)
{
    static const int64_t turn[4] = {0, 3, 1, 2};
    const Onnx__AttributeProto *perm = onnx_node_attribute(node, "perm");

    return perm != NULL && perm->n_ints == 4 && memcmp(perm->ints, turn, sizeof turn) == 0;
}

/* A reader of the tensor that leads to the convolution: that one itself, or what works on each number alone. */
static const Onnx__NodeProto *reader_of(const Onnx__GraphProto *file, const char *name)
{
    static const char *const through[] = {"Identity", "Cast", "Sub", "Div", "Mul", "Add", "Transpose", "Pad", "Resize",
                                          "BatchNormalization", "Clip", "QuantizeLinear", "DequantizeLinear"};
    const Onnx__NodeProto *found = NULL;

    for (size_t i = 0; i < file->n_node; i++) {
        const Onnx__NodeProto *node = file->node[i];
        if (node->n_input < 1 || node->n_output < 1 || !is_called(node->input[0], name))
            continue;
        if (is_called(node->op_type, "Conv") || is_called(node->op_type, "FusedConv"))
            return node;
        for (size_t k = 0; k < sizeof through / sizeof *through && found == NULL; k++)
            if (is_called(node->op_type, through[k]))
                found = node;
    }
    return found;
}

void onnx_find_channels(const Onnx__GraphProto *file, const char *name, int64_t dims[4])
{
    bool last = false;

    for (int step = 0; step < MOST_STEPS; step++) {
        const Onnx__NodeProto *node = reader_of(file, name);
        bool turns = node != NULL && is_called(node->op_type, "Transpose");
        if (node == NULL || (turns && !turns_last_forward(node)))
            return;
        if (is_called(node->op_type, "Conv") || is_called(node->op_type, "FusedConv")) {
            int64_t channels = channels_of(file, node);
            if (channels > 0 && dims[last ? 3 : 1] < 1)
                dims[last ? 3 : 1] = channels;
            return;
        }
        last = last || turns;
        name = node->output[0];
    }
}
