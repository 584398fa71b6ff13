/* Writes a graph as an ONNX file, opset 13, in operators that every engine knows.
 *
 * What fusion joined is spelt out again: a residual as Add, an activation as its own node, SILU and HardSwish as
 * products.  Noise becomes RandomNormalLike + Add; elsewhere it always acts, here only when it is asked for.
 * Weights are not copied: the message points at them, and is packed piece by piece into the file.
 */
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/graph/onnx_import.h"

#define IR_VERSION 7
#define OPSET 13
#define NAME_SIZE 256

struct writer {
    const struct graph *graph;
    Onnx__GraphProto file;
    size_t node_capacity, initializer_capacity;
    char **names;  /* [tensors] of the file; NULL until asked for */
    bool *written; /* [tensors] constants that are initializers already */
    void *taken;   /* search tree of the names in use */
    void **blocks; /* everything that the message is made of */
    size_t block_count, block_capacity;
    bool failed; /* no memory: what is made from then on is not written */
};

/* A zeroed block that lives as long as the writer; NULL (and failed) without memory. */
static void *take(struct writer *w, size_t size)
{
    void *block = NULL;

    if (w->block_count == w->block_capacity) {
        size_t capacity = w->block_capacity ? 2 * w->block_capacity : 256;
        void **bigger = reallocarray(w->blocks, capacity, sizeof *bigger);
        if (bigger != NULL) {
            w->blocks = bigger;
            w->block_capacity = capacity;
        }
    }
    if (w->block_count < w->block_capacity)
        block = calloc(1, size);
    if (block != NULL)
        w->blocks[w->block_count++] = block;
    w->failed = w->failed || block == NULL;
    return block;
}

static bool push(struct writer *w, void ***array, size_t *count, size_t *capacity, void *item)
{
    if (item == NULL)
        return false;
    if (*count == *capacity) {
        size_t more = *capacity ? 2 * *capacity : 64;
        void **bigger = reallocarray(*array, more, sizeof *bigger);
        if (bigger == NULL) {
            w->failed = true;
            return false;
        }
        *array = bigger;
        *capacity = more;
    }
    (*array)[(*count)++] = item;
    return true;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void keep_text(void *text)
{
    (void)text;
}

/* A name that nothing else in the file has: the one asked for, else with a number behind. */
static char *fresh_name(struct writer *w, const char *wanted, const char *suffix)
{
    char *name = take(w, NAME_SIZE);

    for (int i = 0; name != NULL; i++) {
        void **found;
        if (i == 0)
            snprintf(name, NAME_SIZE, "%.200s%s", wanted, suffix);
        else
            snprintf(name, NAME_SIZE, "%.200s%s.%d", wanted, suffix, i);
        found = tsearch(name, &w->taken, by_text);
        if (found == NULL)
            w->failed = true;
        if (found == NULL || *found == name)
            break;
    }
    return name;
}

static char *tensor_name(struct writer *w, int tensor)
{
    const char *own = w->graph->tensors[tensor].name;

    if (w->names[tensor] == NULL)
        w->names[tensor] = fresh_name(w, own != NULL && *own ? own : "tensor", "");
    return w->names[tensor];
}

/* ---- Constants --------------------------------------------------------------------------------------------------- */

static char *add_initializer(struct writer *w, char *name, int32_t type, int rank, const int64_t *dims,
                             const void *data, size_t bytes)
{
    Onnx__TensorProto *tensor = take(w, sizeof *tensor);
    void **array = (void **)w->file.initializer;

    if (tensor == NULL || name == NULL)
        return name;
    onnx__tensor_proto__init(tensor);
    tensor->name = name;
    tensor->has_data_type = true;
    tensor->data_type = type;
    tensor->n_dims = (size_t)rank;
    tensor->dims = take(w, (size_t)rank * sizeof *dims + 1);
    if (tensor->dims != NULL && rank)
        memcpy(tensor->dims, dims, (size_t)rank * sizeof *dims);
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){bytes, (uint8_t *)(uintptr_t)data}; /* packing only reads it */
    push(w, &array, &w->file.n_initializer, &w->initializer_capacity, tensor);
    w->file.initializer = (Onnx__TensorProto **)array;
    return name;
}

static char *scalar(struct writer *w, const char *owner, const char *suffix, float value)
{
    float *data = take(w, sizeof *data);

    if (data != NULL)
        *data = value;
    return add_initializer(w, fresh_name(w, owner, suffix), ONNX_FLOAT, 0, NULL, data, sizeof *data);
}

/* The name of a node's input; a constant is written with its first reader. */
static char *operand(struct writer *w, int tensor)
{
    static char left_out[] = "";
    const struct graph_tensor *t;

    if (tensor == GRAPH_NONE)
        return left_out;
    t = &w->graph->tensors[tensor];
    if (t->data != NULL && !w->written[tensor]) {
        w->written[tensor] = true;
        add_initializer(w, tensor_name(w, tensor), ONNX_FLOAT, t->rank, t->dims, t->data,
                        graph_elements(t) * sizeof *t->data);
    }
    return tensor_name(w, tensor);
}

/* ---- Nodes and attributes ---------------------------------------------------------------------------------------- */

/* Trailing inputs that are left out ("") are not written. */
static Onnx__NodeProto *add_node(struct writer *w, const char *op, char *const *inputs, size_t count, char *output)
{
    Onnx__NodeProto *node = take(w, sizeof *node);
    void **array = (void **)w->file.node;

    if (node == NULL)
        return NULL;
    onnx__node_proto__init(node);
    node->op_type = (char *)(uintptr_t)op;
    node->name = output;
    node->input = take(w, (count + 1) * sizeof *node->input);
    node->output = take(w, sizeof *node->output);
    if (node->input == NULL || node->output == NULL)
        return NULL;
    while (count > 0 && inputs[count - 1] != NULL && !*inputs[count - 1])
        count--;
    memcpy(node->input, inputs, count * sizeof *inputs);
    node->n_input = count;
    node->output[0] = output;
    node->n_output = 1;
    if (!push(w, &array, &w->file.n_node, &w->node_capacity, node))
        node = NULL;
    w->file.node = (Onnx__NodeProto **)array;
    return node;
}

static Onnx__AttributeProto *add_attribute(struct writer *w, Onnx__NodeProto *node, const char *name, int type)
{
    enum { MOST = 8 };
    Onnx__AttributeProto *a = take(w, sizeof *a);

    if (a == NULL || node == NULL)
        return NULL;
    if (node->attribute == NULL)
        node->attribute = take(w, MOST * sizeof *node->attribute);
    if (node->attribute == NULL || node->n_attribute == MOST)
        return NULL;
    onnx__attribute_proto__init(a);
    a->name = (char *)(uintptr_t)name;
    a->has_type = true;
    a->type = type;
    node->attribute[node->n_attribute++] = a;
    return a;
}

static void set_float(struct writer *w, Onnx__NodeProto *node, const char *name, float value)
{
    Onnx__AttributeProto *a = add_attribute(w, node, name, 1);

    if (a == NULL)
        return;
    a->has_f = true;
    a->f = value;
}

static void set_int(struct writer *w, Onnx__NodeProto *node, const char *name, int64_t value)
{
    Onnx__AttributeProto *a = add_attribute(w, node, name, 2);

    if (a == NULL)
        return;
    a->has_i = true;
    a->i = value;
}

static void set_text(struct writer *w, Onnx__NodeProto *node, const char *name, const char *text)
{
    Onnx__AttributeProto *a = add_attribute(w, node, name, 3);

    if (a == NULL)
        return;
    a->has_s = true;
    a->s = (ProtobufCBinaryData){strlen(text), (uint8_t *)(uintptr_t)text};
}

static void set_ints(struct writer *w, Onnx__NodeProto *node, const char *name, const int *values, size_t count)
{
    Onnx__AttributeProto *a = add_attribute(w, node, name, 7);

    if (a == NULL)
        return;
    a->ints = take(w, count * sizeof *a->ints + 1);
    for (size_t i = 0; a->ints != NULL && i < count; i++)
        a->ints[i] = values[i];
    a->n_ints = a->ints != NULL ? count : 0;
}

static void set_window(struct writer *w, Onnx__NodeProto *node, const struct graph_window *window, bool dilations)
{
    const int kernel[2] = {window->kernel_h, window->kernel_w}, strides[2] = {window->stride_h, window->stride_w};
    const int dilation[2] = {window->dilation_h, window->dilation_w};
    const int pads[4] = {window->pad_top, window->pad_left, window->pad_bottom, window->pad_right};

    set_ints(w, node, "kernel_shape", kernel, 2);
    set_ints(w, node, "strides", strides, 2);
    if (dilations)
        set_ints(w, node, "dilations", dilation, 2);
    if (window->auto_pad)
        set_text(w, node, "auto_pad", window->auto_pad == 1 ? "SAME_UPPER" : "SAME_LOWER");
    else
        set_ints(w, node, "pads", pads, 4);
}

/* ---- Operators --------------------------------------------------------------------------------------------------- */

static void write_clamp(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    static char left_out[] = "";
    char *inputs[3] = {x, left_out, left_out};

    if (node->low == 0.0f && isinf(node->high)) {
        add_node(w, "Relu", &x, 1, y);
        return;
    }
    if (!isinf(node->low))
        inputs[1] = scalar(w, y, ".low", node->low);
    if (!isinf(node->high))
        inputs[2] = scalar(w, y, ".high", node->high);
    add_node(w, "Clip", inputs, 3, y);
}

static void write_hard_sigmoid(struct writer *w, char *x, char *y, float alpha, float beta)
{
    Onnx__NodeProto *made = add_node(w, "HardSigmoid", &x, 1, y);
    set_float(w, made, "alpha", alpha);
    set_float(w, made, "beta", beta);
}

static void write_activation(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    char *pair[2] = {x, NULL};

    switch (node->activation) {
    case GRAPH_LINEAR_ACTIVATION:
        add_node(w, "Identity", &x, 1, y);
        break;
    case GRAPH_CLAMP:
        write_clamp(w, node, x, y);
        break;
    case GRAPH_SIGMOID:
        add_node(w, "Sigmoid", &x, 1, y);
        break;
    case GRAPH_SILU:
        pair[1] = fresh_name(w, y, ".gate");
        add_node(w, "Sigmoid", &x, 1, pair[1]);
        add_node(w, "Mul", pair, 2, y);
        break;
    case GRAPH_HARD_SIGMOID:
        write_hard_sigmoid(w, x, y, node->alpha, node->beta);
        break;
    case GRAPH_HARD_SWISH:
        pair[1] = fresh_name(w, y, ".gate");
        write_hard_sigmoid(w, x, pair[1], (float)(1.0 / 6), 0.5f);
        add_node(w, "Mul", pair, 2, y);
        break;
    case GRAPH_LEAKY_RELU:
        set_float(w, add_node(w, "LeakyRelu", &x, 1, y), "alpha", node->alpha);
        break;
    case GRAPH_GELU_ACTIVATION:
    case GRAPH_GELU_TANH_ACTIVATION:
    case GRAPH_TANH_ACTIVATION:
        break; /* refused before */
    }
}

static void write_product(struct writer *w, const struct graph_node *node, char *y)
{
    char *inputs[3] = {operand(w, node->inputs[0]), operand(w, node->inputs[1]), operand(w, graph_input(node, 2))};
    Onnx__NodeProto *made = add_node(w, node->op == GRAPH_CONV ? "Conv" : "Gemm", inputs, 3, y);

    if (node->op == GRAPH_LINEAR) {
        set_int(w, made, "transB", 1);
        return;
    }
    set_window(w, made, &node->window, true);
    set_int(w, made, "group", node->window.groups);
}

/* CONV, LINEAR, BATCH_NORM, ADD, MUL: the operation, the residual, the activation. */
static void write_layer(struct writer *w, const struct graph_node *node)
{
    bool product = node->op == GRAPH_CONV || node->op == GRAPH_LINEAR;
    int residual = product ? graph_input(node, 3) : GRAPH_NONE;
    char *y = tensor_name(w, node->output);
    char *sum = node->activation == GRAPH_LINEAR_ACTIVATION ? y : fresh_name(w, y, ".linear");
    char *first = residual == GRAPH_NONE ? sum : fresh_name(w, y, ".product");
    char *inputs[5] = {0};

    if (product) {
        write_product(w, node, first);
    } else {
        for (int i = 0; i < node->input_count && i < 5; i++)
            inputs[i] = operand(w, node->inputs[i]);
        if (node->op == GRAPH_BATCH_NORM)
            set_float(w, add_node(w, "BatchNormalization", inputs, 5, first), "epsilon", node->epsilon);
        else
            add_node(w, node->op == GRAPH_ADD ? "Add" : "Mul", inputs, 2, first);
    }
    if (residual != GRAPH_NONE) {
        inputs[0] = first;
        inputs[1] = operand(w, residual);
        add_node(w, "Add", inputs, 2, sum);
    }
    if (sum != y)
        write_activation(w, node, sum, y);
}

static void write_pool(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    bool max = node->op == GRAPH_MAX_POOL;
    Onnx__NodeProto *made = add_node(w, max ? "MaxPool" : "AveragePool", &x, 1, y);

    set_window(w, made, &node->window, max);
    set_int(w, made, "ceil_mode", node->window.ceil_mode);
    if (!max)
        set_int(w, made, "count_include_pad", node->window.count_include_pad);
}

static void write_global_average(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    static const int axes[2] = {2, 3};
    Onnx__NodeProto *made;

    if (w->graph->tensors[node->output].rank == 4) {
        add_node(w, "GlobalAveragePool", &x, 1, y);
        return;
    }
    made = add_node(w, "ReduceMean", &x, 1, y);
    set_ints(w, made, "axes", axes, 2);
    set_int(w, made, "keepdims", 0);
}

static void write_reshape(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    const struct graph_tensor *t = &w->graph->tensors[node->output];
    int64_t count = t->rank, *dims = take(w, GRAPH_MAX_RANK * sizeof *dims);
    char *inputs[2] = {x, NULL};

    for (int i = 0; dims != NULL && i < t->rank; i++)
        dims[i] = i == 0 && t->dims[0] < 0 ? 0 : t->dims[i]; /* 0 copies the batch */
    inputs[1] = add_initializer(w, fresh_name(w, y, ".shape"), ONNX_INT64, 1, &count, dims,
                                (size_t)count * sizeof *dims);
    add_node(w, "Reshape", inputs, 2, y);
}

static void write_concat(struct writer *w, const struct graph_node *node, char *y)
{
    size_t count = (size_t)node->input_count;
    char **inputs = take(w, (count + 1) * sizeof *inputs);

    for (size_t i = 0; inputs != NULL && i < count; i++)
        inputs[i] = operand(w, node->inputs[i]);
    if (inputs != NULL)
        set_int(w, add_node(w, "Concat", inputs, count, y), "axis", node->axis);
}

static void write_noise(struct writer *w, const struct graph_node *node, char *x, char *y)
{
    char *pair[2] = {x, NULL};

    if (node->op == GRAPH_DROPOUT) {
        pair[1] = scalar(w, y, ".ratio", node->ratio);
        add_node(w, "Dropout", pair, 2, y);
        return;
    }
    pair[1] = fresh_name(w, y, ".noise");
    set_float(w, add_node(w, "RandomNormalLike", &x, 1, pair[1]), "scale", node->sigma);
    add_node(w, "Add", pair, 2, y);
}

static void write_node(struct writer *w, const struct graph_node *node)
{
    char *x = operand(w, node->inputs[0]), *y = tensor_name(w, node->output);

    switch (node->op) {
    case GRAPH_CONV:
    case GRAPH_LINEAR:
    case GRAPH_BATCH_NORM:
    case GRAPH_ADD:
    case GRAPH_MUL:
        write_layer(w, node);
        break;
    case GRAPH_ACTIVATION:
        write_activation(w, node, x, y);
        break;
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        write_pool(w, node, x, y);
        break;
    case GRAPH_GLOBAL_AVERAGE:
        write_global_average(w, node, x, y);
        break;
    case GRAPH_RESHAPE:
        write_reshape(w, node, x, y);
        break;
    case GRAPH_TRANSPOSE:
        set_ints(w, add_node(w, "Transpose", &x, 1, y), "perm", node->permutation,
                 (size_t)w->graph->tensors[node->output].rank);
        break;
    case GRAPH_CONCAT:
        write_concat(w, node, y);
        break;
    case GRAPH_SOFTMAX:
        set_int(w, add_node(w, "Softmax", &x, 1, y), "axis", node->axis);
        break;
    case GRAPH_DROPOUT:
    case GRAPH_NOISE:
        write_noise(w, node, x, y);
        break;
    default: /* IDENTITY; onnx_write lets no others through */
        add_node(w, "Identity", &x, 1, y);
        break;
    }
}

/* ---- The file ---------------------------------------------------------------------------------------------------- */

/* "N", "H" and "W" where a size is open. */
static Onnx__TensorShapeProto__Dimension *dimension(struct writer *w, const struct graph_tensor *t, int i)
{
    static char n[] = "N", h[] = "H", width[] = "W", other[] = "?";
    Onnx__TensorShapeProto__Dimension *dim = take(w, sizeof *dim);

    if (dim == NULL)
        return NULL;
    onnx__tensor_shape_proto__dimension__init(dim);
    if (t->dims[i] >= 0) {
        dim->has_dim_value = true;
        dim->dim_value = t->dims[i];
    } else if (t->rank == 4 || i == 0) {
        dim->dim_param = i == 0 ? n : i == 2 ? h : i == 3 ? width : other;
    }
    return dim;
}

static Onnx__ValueInfoProto **value_info(struct writer *w, const int *tensors, size_t count)
{
    Onnx__ValueInfoProto **list = take(w, (count + 1) * sizeof(Onnx__ValueInfoProto *));

    for (size_t i = 0; list != NULL && i < count; i++) {
        const struct graph_tensor *t = &w->graph->tensors[tensors[i]];
        Onnx__ValueInfoProto *info = take(w, sizeof *info);
        Onnx__TypeProto *type = take(w, sizeof *type);
        Onnx__TypeProto__Tensor *tensor = take(w, sizeof *tensor);
        Onnx__TensorShapeProto *shape = take(w, sizeof *shape);
        if (info == NULL || type == NULL || tensor == NULL || shape == NULL)
            return NULL;
        onnx__value_info_proto__init(info);
        onnx__type_proto__init(type);
        onnx__type_proto__tensor__init(tensor);
        onnx__tensor_shape_proto__init(shape);
        info->name = tensor_name(w, tensors[i]);
        info->type = type;
        type->tensor_type = tensor;
        tensor->has_elem_type = true;
        tensor->elem_type = ONNX_FLOAT;
        tensor->shape = shape;
        shape->dim = take(w, ((size_t)t->rank + 1) * sizeof *shape->dim);
        for (int d = 0; shape->dim != NULL && d < t->rank; d++)
            shape->dim[d] = dimension(w, t, d);
        shape->n_dim = w->failed ? 0 : (size_t)t->rank;
        list[i] = info;
    }
    return list;
}

static enum infomask_status check_portable(const struct graph *graph, struct infomask_error *err)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_window *w = &graph->nodes[i].window;
        if (graph->nodes[i].op == GRAPH_AVERAGE_POOL && (w->dilation_h != 1 || w->dilation_w != 1))
            return graph_refuse(err, INFOMASK_UNSUPPORTED_MODEL, &graph->nodes[i],
                                "ONNX opset 13 has no dilation here");
        if (graph->concrete || graph_is_general(graph->nodes[i].op) ||
            graph->nodes[i].activation >= GRAPH_GELU_ACTIVATION ||
            (graph->nodes[i].op == GRAPH_LINEAR && graph->tensors[graph->nodes[i].output].rank != 2))
            return graph_refuse(err, INFOMASK_UNSUPPORTED_MODEL, &graph->nodes[i],
                                "networks of general tensors are read, but not written");
    }
    return INFOMASK_OK;
}

static enum infomask_status write_message(struct writer *w, struct infomask_error *err)
{
    static char name[] = "infomask";
    size_t outputs = (size_t)w->graph->output_count;

    w->names = take(w, ((size_t)w->graph->tensor_count + 1) * sizeof *w->names);
    w->written = take(w, (size_t)w->graph->tensor_count + 1);
    if (w->failed)
        return error_set(err, INFOMASK_MEMORY, "no memory to write the model");
    /* these first, so that they keep their names whatever else is called so */
    w->file.input = value_info(w, &w->graph->input, 1);
    w->file.output = value_info(w, w->graph->outputs, outputs);
    for (int i = 0; !w->failed && i < w->graph->node_count; i++)
        write_node(w, &w->graph->nodes[i]);
    if (w->failed)
        return error_set(err, INFOMASK_MEMORY, "no memory to write the model");
    w->file.n_input = 1;
    w->file.n_output = outputs;
    w->file.name = name;
    return INFOMASK_OK;
}

struct file_buffer {
    ProtobufCBuffer base;
    FILE *file;
    bool failed;
};

static void append_to_file(ProtobufCBuffer *buffer, size_t size, const uint8_t *data)
{
    struct file_buffer *f = (struct file_buffer *)buffer;
    if (size && fwrite(data, 1, size, f->file) != size)
        f->failed = true;
}

static bool pack(const Onnx__GraphProto *graph, FILE *file)
{
    static char producer[] = "infomask";
    Onnx__OperatorSetIdProto opset = ONNX__OPERATOR_SET_ID_PROTO__INIT, *opsets[1] = {&opset};
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    struct file_buffer buffer = {{append_to_file}, file, false};

    opset.has_version = true;
    opset.version = OPSET;
    model.has_ir_version = true;
    model.ir_version = IR_VERSION;
    model.producer_name = producer;
    model.graph = (Onnx__GraphProto *)(uintptr_t)graph;
    model.opset_import = opsets;
    model.n_opset_import = 1;
    if (onnx__model_proto__get_packed_size(&model) > GRAPH_MAX_FILE)
        return false;
    onnx__model_proto__pack_to_buffer(&model, &buffer.base);
    return !buffer.failed;
}

/* Beside the file and renamed at the end, so that a reader sees the old one or the whole new one. */
static enum infomask_status write_file(const Onnx__GraphProto *graph, const char *path, struct infomask_error *err)
{
    size_t size = strlen(path) + sizeof ".XXXXXX";
    char *part = malloc(size);
    FILE *file = NULL;
    bool fine;
    int fd;

    if (part == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to write the model");
    snprintf(part, size, "%s.XXXXXX", path);
    fd = mkstemp(part);
    if (fd >= 0 && (file = fdopen(fd, "wb")) == NULL)
        close(fd);
    fine = file != NULL && fchmod(fd, 0644) == 0 && pack(graph, file);
    if (file != NULL && fclose(file) != 0)
        fine = false;
    fine = fine && rename(part, path) == 0;
    if (!fine && fd >= 0)
        unlink(part);
    free(part);
    return fine ? INFOMASK_OK : error_set(err, INFOMASK_IO, "the model file cannot be written");
}

enum infomask_status onnx_write(const struct graph *graph, const char *path, struct infomask_error *err)
{
    struct writer w = {.graph = graph};
    enum infomask_status status = check_portable(graph, err);

    onnx__graph_proto__init(&w.file);
    if (status == INFOMASK_OK)
        status = write_message(&w, err);
    if (status == INFOMASK_OK)
        status = write_file(&w.file, path, err);
    tdestroy(w.taken, keep_text);
    for (size_t i = 0; i < w.block_count; i++)
        free(w.blocks[i]);
    free(w.blocks);
    free(w.file.node);
    free(w.file.initializer);
    return status;
}
