/* Building and freeing a graph, and the small questions that every pass asks. */
#include "core/graph/graph.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/graph/internal.h"

#define DEFAULT_BUDGET (1u << 29)
#define DEFAULT_WORK ((size_t)1 << 28) /* about half a second of the plain loops */

struct graph *graph_create(void)
{
    struct graph *graph = calloc(1, sizeof *graph);

    if (graph == NULL)
        return NULL;
    graph->input = GRAPH_NONE;
    graph->budget = DEFAULT_BUDGET;
    graph->table_budget = DEFAULT_BUDGET;
    graph->work = DEFAULT_WORK;
    return graph;
}

#define FORGET_BYTES ((size_t)128 << 10) /* fewer are not worth a call */

/* The allocator keeps what lies amid other blocks: its pages leave memory first.  (Data of an owned tensor is const for
 * its readers only.) */
static void free_data(struct graph_tensor *tensor)
{
    const uintptr_t page = 4096, from = (uintptr_t)tensor->data, end = from + graph_elements(tensor) * sizeof(float);

    if (tensor->data != NULL && end - from >= FORGET_BYTES)
        (void)madvise((void *)((from + page - 1) / page * page), end / page * page - (from + page - 1) / page * page,
                      MADV_DONTNEED);
    aligned_free((void *)from);
}

static void free_tensor(struct graph_tensor *tensor)
{
    free(tensor->name);
    if (tensor->owned)
        free_data(tensor);
}

static void free_node(struct graph_node *node)
{
    free(node->name);
    free(node->inputs);
    free(node->resize);
    free(node->table);
}

static bool copy_name(const char *name, char **copy)
{
    *copy = name != NULL ? strdup(name) : NULL;
    return name == NULL || *copy != NULL;
}

/* The large file that the constant lies in, if no other constant shares any of its bytes. */
static struct contents *file_of(const struct graph *graph, int tensor)
{
    const struct graph_tensor *t = &graph->tensors[tensor];
    const uint8_t *from = (const void *)t->data, *end = from + graph_elements(t) * sizeof *t->data;

    if (t->data == NULL || t->owned || (size_t)(end - from) < FORGET_BYTES)
        return NULL;
    for (int i = 0; i < graph->tensor_count; i++) {
        const struct graph_tensor *o = &graph->tensors[i];
        const uint8_t *data = (const void *)o->data;
        if (i != tensor && data != NULL && !o->owned && data < end && data + graph_elements(o) * sizeof *o->data > from)
            return NULL;
    }
    for (int i = 0; i < graph->file_count; i++) {
        struct contents *c = graph->files[i].contents;
        if (contents_size(c) > CONTENTS_PIECEMEAL && from >= contents_data(c) &&
            end <= contents_data(c) + contents_size(c))
            return c;
    }
    return NULL;
}

void graph_forget(struct graph *graph, int tensor, size_t first, size_t count)
{
    struct contents *file = file_of(graph, tensor);
    const float *data = graph->tensors[tensor].data + first;

    if (graph->tensors[tensor].owned)
        aligned_give_back(data, count * sizeof(float));
    if (file == NULL)
        return;
    contents_give_back(file, data, count * sizeof(float));
    graph->gave_back = true;
}

void graph_drop_constant(struct graph *graph, int tensor)
{
    struct graph_tensor *t = &graph->tensors[tensor];

    if (t->owned)
        free_data(t);
    else if (t->data != NULL)
        graph_forget(graph, tensor, 0, graph_elements(t));
    t->data = NULL;
    t->owned = false;
}

bool graph_add_file(struct graph *graph, const char *name, struct contents *contents)
{
    struct graph_file *more = reallocarray(graph->files, (size_t)graph->file_count + 1, sizeof *more);
    char *copy = NULL;

    if (more != NULL)
        graph->files = more;
    if (more == NULL || !copy_name(name, &copy)) {
        contents_free(contents);
        return false;
    }
    graph->files[graph->file_count++] = (struct graph_file){copy, contents};
    return true;
}

void graph_close_files(struct graph *graph)
{
    for (int i = 0; i < graph->file_count; i++) {
        contents_free(graph->files[i].contents);
        free(graph->files[i].name);
    }
    free(graph->files);
    graph->files = NULL;
    graph->file_count = 0;
}

void graph_sha256(struct graph *graph, char file[SHA256_HEX], char all[SHA256_HEX])
{
    char digests[GRAPH_MAX_FILES * SHA256_HEX] = "";

    file[0] = all[0] = '\0';
    for (int i = 0; i < graph->file_count && i < GRAPH_MAX_FILES; i++)
        memcpy(digests + (size_t)i * (SHA256_HEX - 1), contents_sha256(graph->files[i].contents), SHA256_HEX);
    if (graph->file_count > 0)
        memcpy(file, contents_sha256(graph->files[0].contents), SHA256_HEX);
    if (graph->file_count > 1)
        sha256_bytes(digests, strlen(digests), all);
    else
        memcpy(all, file, SHA256_HEX);
}

void graph_free(struct graph *graph)
{
    if (graph == NULL)
        return;
    for (int i = 0; i < graph->tensor_count; i++)
        free_tensor(&graph->tensors[i]);
    for (int i = 0; i < graph->node_count; i++)
        free_node(&graph->nodes[i]);
    free(graph->tensors);
    free(graph->nodes);
    free(graph->outputs);
    free(graph->others);
    free(graph->classes);
    graph_close_files(graph);
    free(graph);
}

/* Room for one more element; the array doubles, so that building is linear. */
static bool grow(void **array, int count, int *capacity, size_t size)
{
    int more = *capacity ? 2 * *capacity : 64;
    void *bigger;

    if (count < *capacity)
        return true;
    if (count >= GRAPH_MAX_TENSORS)
        return false;
    bigger = reallocarray(*array, (size_t)more, size);
    if (bigger == NULL)
        return false;
    *array = bigger;
    *capacity = more;
    return true;
}

int graph_add_tensor(struct graph *graph, const char *name, int rank, const int64_t *dims, const float *data,
                     bool owned)
{
    struct graph_tensor tensor = {.rank = rank, .data = data, .owned = owned};
    void *array = graph->tensors;

    if (rank < 0 || rank > GRAPH_MAX_RANK)
        return GRAPH_NONE;
    for (int i = 0; i < rank; i++) /* first: they may be those of a tensor that moves */
        tensor.dims[i] = dims[i];
    if (!grow(&array, graph->tensor_count, &graph->tensor_capacity, sizeof tensor))
        return GRAPH_NONE;
    graph->tensors = array;
    if (!copy_name(name, &tensor.name))
        return GRAPH_NONE;
    graph->tensors[graph->tensor_count] = tensor;
    return graph->tensor_count++;
}

static const struct graph_node default_node = {
    .window = {.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1,
               .groups = 1},
    .activation = GRAPH_LINEAR_ACTIVATION,
    .low = -INFINITY,
    .high = INFINITY,
};

int graph_add_node(struct graph *graph, enum graph_op op, const char *name, const int *inputs, int input_count,
                   int output)
{
    struct graph_node node = default_node;
    void *array = graph->nodes;

    if (input_count < 0 || !grow(&array, graph->node_count, &graph->node_capacity, sizeof node))
        return GRAPH_NONE;
    graph->nodes = array;
    node.op = op;
    node.output = output;
    node.input_count = input_count;
    node.inputs = calloc((size_t)input_count + 1, sizeof *node.inputs);
    if (node.inputs == NULL || !copy_name(name, &node.name)) {
        free(node.inputs);
        return GRAPH_NONE;
    }
    for (int i = 0; i < input_count; i++)
        node.inputs[i] = inputs[i];
    graph->nodes[graph->node_count] = node;
    return graph->node_count++;
}

int graph_producer(const struct graph *graph, int tensor)
{
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i].output == tensor)
            return i;
    return GRAPH_NONE;
}

const char *graph_op_name(enum graph_op op)
{
    static const char *const names[GRAPH_OPS] = {
        [GRAPH_CONV] = "Conv",
        [GRAPH_LINEAR] = "Linear",
        [GRAPH_BATCH_NORM] = "BatchNormalization",
        [GRAPH_ACTIVATION] = "Activation",
        [GRAPH_ADD] = "Add",
        [GRAPH_MUL] = "Mul",
        [GRAPH_MAX_POOL] = "MaxPool",
        [GRAPH_AVERAGE_POOL] = "AveragePool",
        [GRAPH_GLOBAL_AVERAGE] = "GlobalAveragePool",
        [GRAPH_RESHAPE] = "Reshape",
        [GRAPH_TRANSPOSE] = "Transpose",
        [GRAPH_CONCAT] = "Concat",
        [GRAPH_SOFTMAX] = "Softmax",
        [GRAPH_DROPOUT] = "Dropout",
        [GRAPH_NOISE] = "GaussianNoise",
        [GRAPH_IDENTITY] = "Identity",
        [GRAPH_UNARY] = "Unary",
        [GRAPH_BINARY] = "Binary",
        [GRAPH_WHERE] = "Where",
        [GRAPH_MATMUL] = "MatMul",
        [GRAPH_REDUCE] = "Reduce",
        [GRAPH_LAYER_NORM] = "LayerNormalization",
        [GRAPH_SLICE] = "Slice",
        [GRAPH_GATHER] = "Gather",
        [GRAPH_TAKE] = "GatherElements",
        [GRAPH_EXPAND] = "Expand",
        [GRAPH_PAD] = "Pad",
        [GRAPH_RESIZE] = "Resize",
        [GRAPH_CUMULATE] = "CumSum",
        [GRAPH_LRN] = "LRN",
        [GRAPH_CONV_ND] = "Conv",
        [GRAPH_POOL_ND] = "Pool",
        [GRAPH_ATTENTION] = "Attention",
        [GRAPH_QUANTIZE] = "QuantizeLinear",
    };
    return (unsigned)op < GRAPH_OPS ? names[op] : "unknown";
}

struct shown_name shown_name(const char *name)
{
    struct shown_name shown = {{0}};
    size_t i = 0;

    for (; name != NULL && name[i] && i < sizeof shown.text - 4; i++)
        shown.text[i] = name[i] >= ' ' && name[i] <= '~' && name[i] != '"' ? name[i] : '?';
    if (name != NULL && name[i])
        memcpy(shown.text + i, "...", 4);
    return shown;
}

enum infomask_status graph_refuse(struct infomask_error *err, enum infomask_status status,
                                  const struct graph_node *node, const char *format, ...)
{
    char what[INFOMASK_ERROR_TEXT];
    va_list args;

    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    return error_set(err, status, "operator %s (node '%s'): %s", graph_op_name(node->op),
                     shown_name(node->name).text, what);
}

size_t graph_elements(const struct graph_tensor *tensor)
{
    size_t count = 1;

    for (int i = 0; i < tensor->rank; i++)
        if (tensor->dims[i] < 0 || !checked_mul(count, (size_t)tensor->dims[i], &count))
            return 0;
    return count;
}

bool graph_same_shape(const struct graph_tensor *a, const struct graph_tensor *b)
{
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->dims[i] != b->dims[i])
            return false;
    return true;
}

enum infomask_status graph_new_constant(struct graph *graph, int rank, const int64_t *dims, int *tensor, float **data,
                                        struct infomask_error *err)
{
    size_t count = 1, bytes;

    for (int i = 0; i < rank; i++)
        if (dims[i] < 1 || !checked_mul(count, (size_t)dims[i], &count))
            return error_set(err, INFOMASK_BAD_MODEL, "a constant of the model has no elements or too many");
    if (count > graph->budget || !checked_mul(count, sizeof **data, &bytes))
        return error_set(err, INFOMASK_LIMIT, "the model's constants grow beyond what the size of its file allows");
    *data = aligned_new(bytes);
    *tensor = *data != NULL ? graph_add_tensor(graph, NULL, rank, dims, *data, true) : GRAPH_NONE;
    if (*tensor == GRAPH_NONE) {
        aligned_free(*data);
        return error_set(err, INFOMASK_MEMORY, "no memory for the model's constants");
    }
    graph->budget -= count;
    return INFOMASK_OK;
}

void graph_remove_nodes(struct graph *graph, const bool *dead)
{
    int kept = 0;

    for (int i = 0; i < graph->node_count; i++) {
        if (dead[i])
            free_node(&graph->nodes[i]);
        else
            graph->nodes[kept++] = graph->nodes[i];
    }
    graph->node_count = kept;
}

float graph_activate(const struct graph_node *node, float x)
{
    double v = (double)x, alpha = (double)node->alpha;

    switch (node->activation) {
    case GRAPH_LINEAR_ACTIVATION:
        return x;
    case GRAPH_CLAMP:
        return fminf(fmaxf(x, node->low), node->high);
    case GRAPH_SIGMOID:
        return (float)(1 / (1 + exp(-v)));
    case GRAPH_SILU:
        return (float)(v / (1 + exp(-v)));
    case GRAPH_HARD_SIGMOID:
        return (float)fmin(fmax(alpha * v + (double)node->beta, 0), 1);
    case GRAPH_HARD_SWISH:
        return (float)(v * fmin(fmax(v / 6 + 0.5, 0), 1));
    case GRAPH_LEAKY_RELU:
        return (float)(v < 0 ? alpha * v : v);
    case GRAPH_GELU_ACTIVATION:
        return (float)(0.5 * v * erfc(v * -0.70710678118654752440));
    case GRAPH_GELU_TANH_ACTIVATION:
        return (float)(v / (1 + exp(-2 * 0.79788456080286535588 * (v + 0.044715 * v * v * v))));
    case GRAPH_TANH_ACTIVATION:
        return (float)tanh(v);
    }
    return x;
}
