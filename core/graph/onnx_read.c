/* Reads an ONNX file: checks and unpacks its structure, finds the nodes that the output needs, and imports them in
 * the file's order.
 *
 * Everything in the file is untrusted.  onnx_slim bounds the structure, an allocator with a budget bounds what
 * protobuf-c makes of it, and graph->budget bounds the constants that are made from constants; shapes are checked by
 * inference, names by lookup.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/aligned.h"
#include "core/graph/onnx_import.h"

#define SPARE_BUDGET ((size_t)64 << 20) /* of protobuf-c, beside four times the structure */
#define MIN_OPSET 7
#define MAX_OPSET 28
#define MIN_IR 3
#define MAX_IR 14

/* What is asked for: a tensor (NULL: the first output) of an open file (-1: of bytes in memory) whose external data lie
 * in a folder (-1: nowhere), and the picture's size where the file leaves it open and yet needs it. */
struct source {
    const char *output;
    int file, folder;
    struct onnx_size size;
};

/* ---- protobuf-c, within a budget --------------------------------------------------------------------------------- */

struct budget {
    size_t left;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;

    if (size > budget->left)
        return NULL;
    budget->left -= size;
    return malloc(size);
}

static void budget_free(void *data, void *block)
{
    (void)data;
    free(block);
}

struct unpacked {
    struct onnx_slim slim;
    struct budget budget;
    ProtobufCAllocator allocator;
    Onnx__ModelProto *model;
};

static enum infomask_status unpack(struct unpacked *u, const void *data, size_t size, struct infomask_error *err)
{
    enum infomask_status status = onnx_slim_make(&u->slim, data, size, err);

    if (status != INFOMASK_OK)
        return status;
    u->budget.left = SPARE_BUDGET + 4 * u->slim.size;
    u->allocator = (ProtobufCAllocator){budget_alloc, budget_free, &u->budget};
    u->model = onnx__model_proto__unpack(&u->allocator, u->slim.size, u->slim.data);
    if (u->model == NULL || u->model->graph == NULL || u->model->graph->n_node == 0)
        return error_set(err, INFOMASK_BAD_MODEL, "the file is not an ONNX model, or it is broken");
    return INFOMASK_OK;
}

static void unpacked_fini(struct unpacked *u)
{
    if (u->model != NULL)
        onnx__model_proto__free_unpacked(u->model, &u->allocator);
    onnx_slim_fini(&u->slim);
}

static enum infomask_status check_versions(const Onnx__ModelProto *model, int *opset, struct infomask_error *err)
{
    int64_t version = 0;

    if (model->ir_version < MIN_IR || model->ir_version > MAX_IR)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "ONNX IR version %lld is not supported; %d to %d are",
                         (long long)model->ir_version, MIN_IR, MAX_IR);
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const char *domain = onnx_text(model->opset_import[i]->domain);
        if (!*domain || strcmp(domain, "ai.onnx") == 0)
            version = model->opset_import[i]->version;
    }
    if (version < MIN_OPSET || version > MAX_OPSET)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "ONNX opset %lld is not supported; %d to %d are",
                         (long long)version, MIN_OPSET, MAX_OPSET);
    *opset = (int)version;
    return INFOMASK_OK;
}

/* ---- What the output needs --------------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void keep_text(void *text)
{
    (void)text; /* the message owns it */
}

static bool is_needed(void *names, const char *name)
{
    return tfind(name, &names, by_text) != NULL;
}

/* All names that a node's branches read; which of them is taken is not known yet.  (onnx_slim bounds the depth.) */
static bool need_branches(struct onnx_import *im, const Onnx__NodeProto *node, void **names)
{
    bool fine = true;

    for (size_t i = 0; fine && i < node->n_attribute; i++) {
        const Onnx__GraphProto *branch = node->attribute[i]->g;
        im->branches = im->branches || branch != NULL;
        for (size_t j = 0; fine && branch != NULL && j < branch->n_output; j++)
            fine = tsearch(onnx_text(branch->output[j]->name), names, by_text) != NULL;
        for (size_t j = 0; fine && branch != NULL && j < branch->n_node; j++) {
            for (size_t k = 0; fine && k < branch->node[j]->n_input; k++)
                fine = tsearch(branch->node[j]->input[k], names, by_text) != NULL;
            fine = fine && need_branches(im, branch->node[j], names);
        }
    }
    return fine;
}

/* Nodes stand in topological order (ONNX demands it): one walk from the last to the first finds all. */
static enum infomask_status find_needed(struct onnx_import *im, const char *output, void **names, bool *needed)
{
    bool fine = tsearch(output, names, by_text) != NULL, found = false;

    for (size_t i = im->file->n_node; fine && i-- > 0;) {
        const Onnx__NodeProto *node = im->file->node[i];
        for (size_t j = 0; j < node->n_output && !needed[i]; j++)
            needed[i] = *node->output[j] && is_needed(*names, node->output[j]);
        for (size_t j = 0; fine && needed[i] && j < node->n_input; j++)
            fine = tsearch(node->input[j], names, by_text) != NULL;
        if (fine && needed[i])
            fine = need_branches(im, node, names);
        found = found || needed[i];
    }
    if (fine && !found)
        return onnx_broken(im, "no node of the model makes the output '%s'", shown_name(output).text);
    return fine ? INFOMASK_OK : onnx_no_memory(im);
}

/* ---- The input and the weights ----------------------------------------------------------------------------------- */

static enum infomask_status define(struct onnx_import *im, const char *name, struct onnx_value **value)
{
    bool taken;

    *value = onnx_define(im, name, &taken);
    if (*value != NULL)
        return INFOMASK_OK;
    return taken ? onnx_broken(im, "tensor '%s' is there twice", shown_name(name).text) : onnx_no_memory(im);
}

static enum infomask_status define_weights(struct onnx_import *im, const Onnx__GraphProto *file)
{
    for (size_t i = 0; i < file->n_initializer; i++) {
        struct onnx_value *value;
        enum infomask_status status = define(im, onnx_text(file->initializer[i]->name), &value);
        if (status != INFOMASK_OK)
            return status;
        value->kind = ONNX_UNREAD;
        value->proto = file->initializer[i];
    }
    return INFOMASK_OK;
}

static bool takes_fractions(int32_t type)
{
    return type == ONNX_FLOAT || type == ONNX_FLOAT16 || type == ONNX_DOUBLE || type == ONNX_BFLOAT16;
}

/* Integers that hold a photo's bytes as they are. */
static bool takes_bytes(int32_t type)
{
    return type == ONNX_UINT8 || type == ONNX_UINT16 || type == ONNX_INT16 || type == ONNX_INT32 ||
           type == ONNX_UINT32 || type == ONNX_INT64 || type == ONNX_UINT64;
}

static enum infomask_status input_shape(struct onnx_import *im, const Onnx__ValueInfoProto *info, int *rank,
                                        int64_t *dims)
{
    const Onnx__TypeProto__Tensor *type = info->type != NULL ? info->type->tensor_type : NULL;
    const struct shown_name name = shown_name(info->name);

    if (type == NULL || !(takes_fractions(type->elem_type) || takes_bytes(type->elem_type)))
        return onnx_unsupported(
            im, "the input '%s' is neither a tensor of floats nor one of whole numbers from 0 to 255", name.text);
    im->graph->whole_input = takes_bytes(type->elem_type);
    if (type->shape == NULL || type->shape->n_dim < 1 || type->shape->n_dim > GRAPH_MAX_RANK)
        return onnx_unsupported(im, "the input '%s' does not have a shape like [N, C, H, W]", name.text);
    *rank = (int)type->shape->n_dim;
    for (int i = 0; i < *rank; i++) {
        int64_t d = type->shape->dim[i]->dim_value;
        if (d > GRAPH_MAX_DIM)
            return onnx_broken(im, "the input '%s' has a wrong shape", name.text);
        dims[i] = d > 0 ? d : -1;
    }
    return INFOMASK_OK;
}

/* The batch is open, or, of a concrete graph, everything is known, or everything but the picture's size. */
static enum infomask_status fix_shape(struct onnx_import *im, int rank, int64_t *dims)
{
    const int sides[2] = {im->size->height > 0 ? im->size->height : OPEN_SIDE,
                          im->size->width > 0 ? im->size->width : OPEN_SIDE};
    bool grey = rank == 3 && onnx_place_missing(dims) == 1; /* N, H, W */
    int first = grey || (rank == 4 && (dims[1] < 1 || (dims[3] > 0 && dims[3] <= 4))) ? 1 : 2,
        open = 0; /* N, H, W, C; N, C, H, W */

    if (rank == 3 && onnx_place_missing(dims) == 0)
        return onnx_fix_lone_picture(im, dims);
    im->batch = dims[0];
    if (!im->graph->concrete) {
        dims[0] = -1;
        return INFOMASK_OK;
    }
    dims[0] = dims[0] > 0 ? dims[0] : 1;
    im->graph->batch = dims[0];
    for (int i = 1; i < rank; i++) {
        if (dims[i] > 0)
            continue;
        if ((rank != 4 && (!grey || im->sizes_open)) || ++open > 2 || i < first || i > first + 1)
            return onnx_unsupported(im, "the input leaves more open than its batch, height and width");
        if (im->sizes_open)
            continue;
        dims[i] = sides[i - first];
        im->graph->assumed = true;
    }
    return INFOMASK_OK;
}

/* The one input that is no weight (files before IR 4 list the weights as inputs too) and that the output needs. */
static enum infomask_status define_input(struct onnx_import *im, void *needed)
{
    for (size_t i = 0; i < im->file->n_input; i++) {
        const char *name = onnx_text(im->file->input[i]->name);
        struct onnx_value *value;
        int64_t dims[GRAPH_MAX_RANK];
        int rank = 0;
        enum infomask_status status;
        if (onnx_lookup(im, name) != NULL || !is_needed(needed, name))
            continue;
        if (im->graph->input != GRAPH_NONE)
            return onnx_unsupported(im, "a model of more than one input is not supported ('%s')",
                                    shown_name(name).text);
        status = input_shape(im, im->file->input[i], &rank, dims);
        if (status == INFOMASK_OK && rank == 4 && dims[1] < 1 && dims[3] != 1 && dims[3] != 3)
            onnx_find_channels(im->file, name, dims);
        if (status == INFOMASK_OK)
            status = define(im, name, &value);
        if (status == INFOMASK_OK)
            status = fix_shape(im, rank, dims);
        if (status != INFOMASK_OK)
            return status;
        value->kind = ONNX_TENSOR;
        value->numbers = im->graph->whole_input ? ONNX_INTEGERS : ONNX_FLOATS;
        value->tensor = im->graph->input = graph_add_tensor(im->graph, name, rank, dims, NULL, false);
        if (value->tensor == GRAPH_NONE)
            return onnx_no_memory(im);
    }
    return im->graph->input == GRAPH_NONE ? onnx_broken(im, "the output does not depend on an input") : INFOMASK_OK;
}

/* ---- Nodes ------------------------------------------------------------------------------------------------------- */

static enum infomask_status resolve_inputs(struct onnx_import *im)
{
    for (int i = 0; i < im->input_count; i++) {
        const char *name = im->node->input[i];
        struct onnx_value *value = *name ? onnx_lookup(im, name) : NULL;
        enum infomask_status status = INFOMASK_OK;
        if (*name && value == NULL)
            return onnx_broken(im, "tensor '%s' is missing, or made only behind it", shown_name(name).text);
        if (value != NULL && value->kind == ONNX_UNREAD)
            status = onnx_read_value(im, value->proto, value);
        if (status != INFOMASK_OK)
            return status;
        im->inputs[i] = value;
    }
    return INFOMASK_OK;
}

/* An attribute that is not known could change what the operator does. */
static enum infomask_status check_attributes(struct onnx_import *im, const struct onnx_operator *operator)
{
    for (size_t i = 0; i < im->node->n_attribute; i++) {
        const Onnx__AttributeProto *a = im->node->attribute[i];
        size_t length = strlen(onnx_text(a->name));
        const char *at = length && strchr(a->name, ' ') == NULL ? strstr(operator->attributes, a->name) : NULL;
        while (at != NULL && !(at[-1] == ' ' && at[length] == ' ')) /* the list begins and ends with a space */
            at = strstr(at + 1, a->name);
        if (at == NULL)
            return onnx_unsupported(im, "attribute '%s' is not supported", shown_name(onnx_text(a->name)).text);
        if (a->has_f && !isfinite(a->f) && !(isinf(a->f) && strcmp(im->node->op_type, "Clip") == 0))
            return onnx_broken(im, "attribute '%s' is not finite", shown_name(a->name).text);
    }
    return INFOMASK_OK;
}

static enum infomask_status import_inputs(struct onnx_import *im, const struct onnx_operator *operator)
{
    enum infomask_status status = resolve_inputs(im);
    return status != INFOMASK_OK ? status : operator->import(im);
}

enum infomask_status onnx_import_node(struct onnx_import *im)
{
    const char *domain = onnx_text(im->node->domain), *name = onnx_text(im->node->op_type);
    const struct onnx_operator *operator = onnx_find_operator(domain, name);
    size_t count = im->node->n_input;
    enum infomask_status status;

    status = check_attributes(im, operator);
    if (status != INFOMASK_OK)
        return status;
    if (count < (size_t) operator->min_inputs ||
                count>(size_t)(operator->max_inputs<0 ? INT32_MAX - 1 : operator->max_inputs))
        return onnx_broken(im, "it has %zu inputs", count);
    im->inputs = calloc(count + 1, sizeof *im->inputs);
    im->input_count = (int)count;
    status = im->inputs != NULL ? import_inputs(im, operator) : onnx_no_memory(im);
    free(im->inputs);
    im->inputs = NULL;
    return status;
}

enum infomask_status onnx_import_branch(struct onnx_import *im, const Onnx__GraphProto *branch,
                                        struct onnx_value **value)
{
    const Onnx__NodeProto *node = im->node;
    struct onnx_value **inputs = im->inputs;
    int input_count = im->input_count;
    enum infomask_status status = define_weights(im, branch);

    for (size_t i = 0; status == INFOMASK_OK && i < branch->n_node; i++) {
        const char *type = onnx_text(branch->node[i]->op_type);
        im->node = branch->node[i];
        status = onnx_find_operator(onnx_text(im->node->domain), type) != NULL
                     ? onnx_import_node(im)
                     : onnx_unsupported(im, "an operator that is not supported");
    }
    im->node = node;
    im->inputs = inputs;
    im->input_count = input_count;
    if (status != INFOMASK_OK)
        return status;
    *value = onnx_lookup(im, onnx_text(branch->output[0]->name));
    if (*value == NULL)
        return onnx_broken(im, "nothing in its branch makes the branch's output");
    return (*value)->kind == ONNX_UNREAD ? onnx_read_value(im, (*value)->proto, *value) : INFOMASK_OK;
}

static enum infomask_status import_nodes(struct onnx_import *im, const bool *needed)
{
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; status == INFOMASK_OK && i < im->file->n_node; i++) {
        im->node = im->file->node[i];
        im->position = i;
        if (needed[i])
            status = onnx_import_node(im);
    }
    im->node = NULL;
    return status;
}

/* ---- The output -------------------------------------------------------------------------------------------------- */

static enum infomask_status define_output(struct onnx_import *im, const char *name)
{
    struct onnx_value *value = onnx_lookup(im, name);
    struct graph_tensor *tensor;

    if (value == NULL)
        return onnx_broken(im, "there is no tensor '%s', which is the output", shown_name(name).text);
    if (value->kind != ONNX_TENSOR || value->padded || graph_is_constant(im->graph, value->tensor) ||
        value->tensor == im->graph->input)
        return onnx_broken(im, "the output '%s' is not what a network computes", shown_name(name).text);
    im->graph->outputs = calloc(1, sizeof *im->graph->outputs);
    if (im->graph->outputs == NULL)
        return onnx_no_memory(im);
    im->graph->outputs[0] = value->tensor;
    im->graph->output_count = 1;
    tensor = &im->graph->tensors[value->tensor];
    if (tensor->name == NULL || strcmp(tensor->name, name) != 0) { /* behind an Identity it has another name */
        free(tensor->name);
        tensor->name = strdup(name);
    }
    return tensor->name != NULL ? INFOMASK_OK : onnx_no_memory(im);
}

/* A label of the first place, say, that stands beside the probabilities. */
static bool is_of_whole_numbers(const Onnx__ValueInfoProto *output)
{
    const Onnx__TypeProto__Tensor *type = output->type != NULL ? output->type->tensor_type : NULL;

    return type != NULL && type->elem_type != 0 && !takes_fractions(type->elem_type);
}

const char *onnx_first_output(const Onnx__GraphProto *file)
{
    size_t first = 0;

    while (first < file->n_output && is_of_whole_numbers(file->output[first]))
        first++;
    return file->n_output > 0 ? file->output[first < file->n_output ? first : 0]->name : NULL;
}

static enum infomask_status choose_output(const Onnx__GraphProto *file, const char *output, const char **chosen,
                                          struct infomask_error *err)
{
    *chosen = output != NULL ? output : onnx_first_output(file);
    if (*chosen == NULL || !**chosen)
        return error_set(err, INFOMASK_BAD_MODEL, "the model has no output");
    return INFOMASK_OK;
}

static enum infomask_status import_needed(struct onnx_import *im, const char *output, bool *needed)
{
    void *names = NULL;
    enum infomask_status status = find_needed(im, output, &names, needed);

    if (status == INFOMASK_OK)
        status = onnx_check_operators(im, needed);
    if (status == INFOMASK_OK)
        status = define_weights(im, im->file);
    if (status == INFOMASK_OK)
        status = define_input(im, names);
    if (status == INFOMASK_OK)
        status = import_nodes(im, needed);
    if (status == INFOMASK_OK)
        status = define_output(im, output);
    if (status == INFOMASK_OK)
        status = graph_fold_constants(im->graph, im->err);
    if (status == INFOMASK_OK)
        status = graph_prune(im->graph, im->err);
    if (status == INFOMASK_OK)
        status = onnx_finish_picture(im);
    tdestroy(names, keep_text);
    onnx_forget(im);
    return status;
}

static enum infomask_status import_unpacked(struct unpacked *u, struct graph *graph, size_t size,
                                            const struct source *source, bool sizes_open, struct infomask_error *err)
{
    struct onnx_import im = {.graph = graph, .slim = &u->slim, .err = err, .in_place = graph->file_count > 0,
                             .folder = source->folder, .size = &source->size, .sizes_open = sizes_open,
                             .file = u->model->graph};
    const char *output = source->output;
    bool *needed;
    enum infomask_status status = check_versions(u->model, &im.opset, err);

    if (status == INFOMASK_OK)
        status = choose_output(u->model->graph, output, &output, err);
    if (status != INFOMASK_OK)
        return status;
    graph->budget = ((size_t)1 << 22) + 4 * size; /* weights of a byte each: read, moved, scaled, turned */
    graph->table_budget = ((size_t)1 << 24) + 2 * size;
    graph->height = source->size.height;
    graph->width = source->size.width;
    needed = calloc(im.file->n_node, sizeof *needed);
    status = needed != NULL ? import_needed(&im, output, needed) : onnx_no_memory(&im);
    free(needed);
    return status;
}

/* An empty graph of the same file in its place; those beside it will be read again. */
static enum infomask_status start_again(struct graph **graph, struct infomask_error *err)
{
    struct graph *made = graph_create();
    struct contents *own = NULL;

    if (made != NULL && (*graph)->file_count > 0) {
        own = (*graph)->files[0].contents;
        (*graph)->files[0].contents = NULL;
    }
    graph_free(*graph);
    *graph = made;
    if (made == NULL || (own != NULL && !graph_add_file(made, NULL, own)))
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    made->concrete = true;
    return INFOMASK_OK;
}

/* What the last attempt has used up of the file's bytes comes back. */
static enum infomask_status unpack_again(struct unpacked *u, struct graph *graph, const void *data, size_t size,
                                         int file, struct infomask_error *err)
{
    enum infomask_status status = contents_again(graph->files[0].contents, file, err);

    if (status != INFOMASK_OK)
        return status;
    unpacked_fini(u);
    *u = (struct unpacked){0};
    return unpack(u, data, size, err);
}

/* As a graph for any batch and size; where that cannot be, as one of a single picture at a time, of any size; where
 * that cannot be either, as one of which every size is known. */
static enum infomask_status import_file(struct graph **graph, const void *data, size_t size,
                                        const struct source *source, struct infomask_error *err)
{
    struct unpacked u = {0};
    enum infomask_status status = unpack(&u, data, size, err);
    bool fine = status == INFOMASK_OK;

    if (fine)
        status = source->size.fixed ? INFOMASK_UNSUPPORTED_MODEL
                                    : import_unpacked(&u, *graph, size, source, true, err);
    for (int sizes_open = !source->size.fixed; fine && sizes_open >= 0 && status == INFOMASK_UNSUPPORTED_MODEL;
         sizes_open--) {
        bool gave_back = (*graph)->gave_back;
        status = start_again(graph, err);
        if (status == INFOMASK_OK && gave_back)
            status = unpack_again(&u, *graph, data, size, source->file, err);
        if (status == INFOMASK_OK)
            status = import_unpacked(&u, *graph, size, source, sizes_open == 1, err);
    }
    if (fine && u.model != NULL)
        status = onnx_tell_others(u.model->graph, source->output, *graph, status, err);
    if (status == INFOMASK_OK)
        status = onnx_read_names(u.model, *graph, err);
    unpacked_fini(&u);
    return status;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

enum infomask_status onnx_read_bytes(const void *data, size_t size, const char *output, int folder,
                                     struct onnx_size picture, struct graph **graph, struct infomask_error *err)
{
    const struct source source = {.output = output, .file = -1, .folder = folder, .size = picture};
    enum infomask_status status;

    *graph = graph_create();
    if (*graph == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the model");
    status = import_file(graph, data, size, &source, err);
    if (status != INFOMASK_OK) {
        graph_free(*graph);
        *graph = NULL;
    }
    return status;
}

static enum infomask_status read_file(int fd, size_t size, const struct source *source, struct graph **graph,
                                      struct infomask_error *err)
{
    struct graph *made = graph_create();
    struct contents *contents = NULL;
    enum infomask_status status = made != NULL ? contents_read(fd, size, &contents, err) : INFOMASK_MEMORY;

    if (status == INFOMASK_OK && !graph_add_file(made, NULL, contents))
        status = INFOMASK_MEMORY;
    if (status == INFOMASK_OK)
        status = import_file(&made, contents_data(contents), size, source, err);
    else if (status == INFOMASK_MEMORY)
        (void)error_set(err, status, "no memory for the model");
    if (status != INFOMASK_OK)
        graph_free(made);
    else
        *graph = made;
    return status;
}

/* Where external data may lie; -1 if it cannot be opened. */
static int open_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash != NULL ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int fd = folder != NULL ? open(folder, O_RDONLY | O_CLOEXEC | O_DIRECTORY) : -1;

    free(folder);
    return fd;
}

enum infomask_status onnx_read(const char *path, const char *output, struct graph **graph, struct infomask_error *err)
{
    return onnx_read_for(path, output, (struct onnx_size){0}, graph, err);
}

enum infomask_status onnx_read_for(const char *path, const char *output, struct onnx_size size, struct graph **graph,
                                   struct infomask_error *err)
{
    struct source source = {.output = output, .folder = -1, .size = size};
    enum infomask_status status;
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    char why[80];

    *graph = NULL;
    if (fd < 0)
        return error_set(err, INFOMASK_IO, "the model file cannot be opened: %s", strerror_r(errno, why, sizeof why));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        status = error_set(err, INFOMASK_IO, "the model file is not a regular file");
    else if (st.st_size == 0)
        status = error_set(err, INFOMASK_BAD_MODEL, "the model file is empty");
    else if ((uint64_t)st.st_size > GRAPH_MAX_FILE)
        status = error_set(err, INFOMASK_LIMIT, "the model file is larger than %llu MB", GRAPH_MAX_FILE >> 20);
    else {
        source.file = fd;
        source.folder = open_folder(path);
        status = read_file(fd, (size_t)st.st_size, &source, graph, err);
    }
    close(fd);
    if (source.folder >= 0)
        close(source.folder);
    return status;
}
