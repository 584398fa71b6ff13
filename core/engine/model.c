#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/engine/internal.h"

#define DEFAULT_ARENA ((size_t)256 << 20)
#define DEFAULT_PLANS 16

/* A file whose pictures are N, H, W, C turns them first; the engine takes them that way anyway. */
static void find_input(struct engine_model *model)
{
    const struct graph *graph = model->graph;
    const struct graph_node *node = graph->nodes;
    const struct graph_tensor *input = &graph->tensors[graph->input];
    static const int to_nchw[4] = {0, 3, 1, 2};
    int readers = 0;

    model->input = graph->input;
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            readers += graph->nodes[i].inputs[j] == graph->input;
    if (graph->node_count > 0 && node->op == GRAPH_TRANSPOSE && node->inputs[0] == graph->input && readers == 1 &&
        input->rank == 4 && memcmp(node->permutation, to_nchw, sizeof to_nchw) == 0) {
        model->input = node->output;
        model->first = 1;
    }
}

/* Channels, height and width that the file fixes; 0 for a free height or width. */
static enum infomask_status read_input(struct engine_model *model, struct infomask_error *err)
{
    const struct graph_tensor *input = &model->graph->tensors[model->graph->input];
    const int64_t *d = input->dims;
    bool nhwc = model->first == 1;
    int64_t c, h = 1, w = 1;

    c = input->rank < 2 ? d[0] : d[nhwc ? 3 : 1];
    for (int i = 2; input->rank != 4 && i < input->rank; i++) /* no picture: so many numbers */
        c = c < 1 || d[i] < 1 || c > INT32_MAX / d[i] ? -1 : c * d[i];
    if (input->rank == 4) {
        h = d[nhwc ? 1 : 2];
        w = d[nhwc ? 2 : 3];
    }
    if (c < 1 || (c > 65536 && input->rank == 4) || h > 65536 || w > 65536)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "the network's input has no fixed number of channels");
    model->info.channels = (int)c;
    model->info.height = h < 1 ? 0 : (int)h;
    model->info.width = w < 1 ? 0 : (int)w;
    return INFOMASK_OK;
}

static size_t output_elements(const struct engine_model *model, const struct shape *shapes)
{
    return shape_elements(&shapes[model->output]) / (size_t)model_batch(model);
}

/* The size that the file fixes; where it leaves it open, the one that is asked for, 224, or else the first that fits.
 * Fills shapes for it. */
static enum infomask_status find_base(struct engine_model *model, struct shape *shapes, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    for (int size = -1; size <= 1024; size++) {
        int side = size <= 0 ? 224 : size;
        bool asked = size < 0 && model->graph->height > 0 && model->graph->width > 0;
        model->base_h = model->info.height > 0 ? model->info.height : asked ? model->graph->height : side;
        model->base_w = model->info.width > 0 ? model->info.width : asked ? model->graph->width : side;
        status = shapes_infer(model, model->base_h, model->base_w, shapes, err);
        if (status == INFOMASK_OK || (model->info.height > 0 && model->info.width > 0))
            break;
    }
    if (status == INFOMASK_ARGUMENT)
        error_prefix(err, "the network's own size");
    return status == INFOMASK_ARGUMENT ? INFOMASK_UNSUPPORTED_MODEL : status;
}

/* Does the network give the same outputs for a picture of another size? */
static bool only_its_own_size(const struct engine_model *model, struct shape *shapes)
{
    return model->graph->tensors[model->input].rank != 4 || model->graph->assumed ||
           shapes_infer(model, 2 * model->base_h, 2 * model->base_w, shapes, NULL) != INFOMASK_OK ||
           output_elements(model, shapes) != model->info.outputs;
}

#define FAR 1024

/* Input pixels per cell of the features: how many more a picture needs for one more.  (Its own 260 pixels make 9 cells
 * of stride 32.)  Where no larger picture is taken: the pixels that a cell has of its own.  Leaves shapes elsewhere. */
static int stride_of(const struct engine_model *model, struct shape *shapes)
{
    int64_t cells = shapes[model->features].d[2], pixels = model->base_h, more;

    if (!model->info.fixed_size &&
        shapes_infer(model, model->base_h + FAR, model->base_w + FAR, shapes, NULL) == INFOMASK_OK) {
        more = shapes[model->features].d[2] - cells;
        pixels = more > 0 ? FAR : pixels;
        cells = more > 0 ? more : cells;
    }
    return cells > 0 && pixels >= cells ? (int)((pixels + cells / 2) / cells) : 1;
}

static enum infomask_status examine_shapes(struct engine_model *model, struct shape *shapes,
                                           struct infomask_error *err)
{
    struct engine_info *info = &model->info;
    enum infomask_status status = find_base(model, shapes, err);

    if (status != INFOMASK_OK)
        return status;
    if ((!model->graph->concrete || model_batch(model) > 1) &&
        (shapes[model->output].rank < 1 || shapes[model->output].d[0] != model_batch(model)))
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "the network's output has no row for each picture");
    info->outputs = output_elements(model, shapes);
    info->stride = 1;
    status = head_find_layers(model, shapes, err);
    if (status != INFOMASK_OK)
        return status;
    info->strides_known = model->features >= 0;
    status = taps_find(model, shapes, err);
    if (status != INFOMASK_OK)
        return status;
    info->fixed_size = only_its_own_size(model, shapes);
    info->asks_for_size = info->fixed_size && (info->height == 0 || info->width == 0) &&
                          info->head == ENGINE_HEAD_NONE && head_has_mean(model);
    status = shapes_infer(model, model->base_h, model->base_w, shapes, err);
    if (status == INFOMASK_OK && model->features >= 0)
        info->stride = stride_of(model, shapes);
    return status;
}

static enum infomask_status examine(struct engine_model *model, struct infomask_error *err)
{
    struct shape *shapes;
    enum infomask_status status;

    find_input(model);
    model->output = model->graph->outputs[0];
    status = layouts_find(model, err);
    if (status == INFOMASK_OK)
        status = read_input(model, err);
    if (status == INFOMASK_OK)
        status = head_find(model, err);
    if (status != INFOMASK_OK)
        return status;
    shapes = calloc((size_t)model->graph->tensor_count, sizeof *shapes);
    model->constant = calloc((size_t)model->graph->tensor_count, sizeof *model->constant);
    if (shapes == NULL || model->constant == NULL) {
        free(shapes);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    }
    for (int i = 0; i < model->graph->tensor_count; i++)
        model->constant[i] = model->graph->tensors[i].data != NULL;
    status = examine_shapes(model, shapes, err);
    free(shapes);
    if (status == INFOMASK_OK)
        status = noise_find(model, err);
    return status;
}

/* The layers hold their own copies now. */
static void release_constants(struct graph *graph)
{
    for (int i = 0; i < graph->tensor_count; i++) {
        if (graph->tensors[i].owned)
            graph_drop_constant(graph, i);
        graph->tensors[i].data = NULL;
    }
    graph_close_files(graph);
}

#define MOST_AHEAD ((size_t)512 << 10) /* half of a second-level cache */

/* While a product is made, the filters behind its weights are brought near: a depthwise convolution is short and reads
 * its taps far apart, where no prefetcher of the processor looks for them. */
static void look_ahead(struct engine_model *model)
{
    size_t at = model->weights.used, end = at; /* the next product's weights */

    for (int i = model->layer_count - 1; i >= 0; i--) {
        struct layer *layer = &model->layers[i];
        if (layer->weights != NULL) {
            layer->ahead = model->weights.data + at;
            layer->ahead_bytes = end - at < MOST_AHEAD ? end - at : MOST_AHEAD;
            end = at - layer_room(layer);
        }
        at -= layer_room(layer);
    }
}

/* Address space for the weights of all layers: as packed they are at most four times as many (transformed filters),
 * and some more where there are few. */
static size_t most_weights(const struct graph *graph)
{
    size_t bytes = (size_t)64 << 20;

    for (int i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i].data != NULL)
            bytes += 5 * graph_elements(&graph->tensors[i]) * sizeof(float);
    return bytes;
}

/* All weights into one block of large pages: a network that is spread over thousands of small ones spends 5 % of its
 * time on their addresses.  False: there was no room, the layer keeps its own. */
static bool join_weights(struct engine_model *model, struct layer *layer)
{
    size_t room = layer_room(layer);
    unsigned char *to = room > 0 ? aligned_block_take(&model->weights, room) : NULL;

    if (to != NULL)
        layer_move(layer, to);
    return to != NULL || room == 0;
}

static enum infomask_status make_layers(struct engine_model *model, struct infomask_error *err)
{
    const struct graph *graph = model->graph;
    enum infomask_status status = head_copy(model, err);

    int *last = calloc((size_t)graph->tensor_count + 1, sizeof *last); /* node that reads a tensor last */
    bool joined = true;

    model->layers = calloc((size_t)graph->node_count + 1, sizeof *model->layers);
    model->shapes = calloc((size_t)graph->tensor_count, sizeof *model->shapes);
    if (model->layers == NULL || model->shapes == NULL || last == NULL) {
        free(last);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    }
    if (status == INFOMASK_OK)
        status = shapes_infer(model, model->base_h, model->base_w, model->shapes, err);
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] >= 0)
                last[graph->nodes[i].inputs[j]] = i;
    aligned_block_open(&model->weights, most_weights(graph));
    for (int i = 0; i < graph->node_count && status == INFOMASK_OK; i++) {
        model->layer_count = i + 1;
        status = layer_init(&model->layers[i], model, &graph->nodes[i], err);
        model->info.weight_bytes += model->layers[i].bytes;
        joined = status == INFOMASK_OK && join_weights(model, &model->layers[i]) && joined;
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] >= 0 && last[graph->nodes[i].inputs[j]] == i)
                graph_drop_constant(model->graph, graph->nodes[i].inputs[j]);
    }
    free(last);
    aligned_block_settle(&model->weights);
    if (joined)
        look_ahead(model);
    if (status == INFOMASK_OK && model->info.pooled_head)
        model->info.head_packed = model->layers[model->head].weights;
    return status;
}

enum infomask_status engine_model_create(struct engine_model **out, struct graph *graph,
                                         const struct engine_options *options, struct infomask_error *err)
{
    struct engine_model *model = calloc(1, sizeof *model);
    enum infomask_status status;

    if (model == NULL) {
        graph_free(graph);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network");
    }
    (void)pthread_mutex_init(&model->lock, NULL);
    model->graph = graph;
    model->options = options != NULL ? *options : (struct engine_options){0};
    if (model->options.arena_limit == 0)
        model->options.arena_limit = DEFAULT_ARENA;
    if (model->options.plans <= 0)
        model->options.plans = DEFAULT_PLANS;
    model->kernels = model->options.kernels != NULL ? model->options.kernels : kernels_best();
    model->apart = model->options.apart;
    model->info.isa = model->kernels->name;
    model->info.precision = model->options.precision;
    status = engine_precision_check(model->options.precision, model->kernels, err);
    if (status == INFOMASK_OK)
        status = examine(model, err);
    if (status == INFOMASK_OK)
        status = int8_check(model, err);
    if (status == INFOMASK_OK)
        status = make_layers(model, err);
    model->options.int8 = NULL; /* the layers have what they need */
    free(model->shapes);
    model->shapes = NULL;
    if (status != INFOMASK_OK) {
        engine_model_free(model);
        return status;
    }
    release_constants(graph);
    *out = model;
    return INFOMASK_OK;
}

void engine_model_free(struct engine_model *model)
{
    if (model == NULL)
        return;
    plans_free(model);
    for (int i = 0; i < model->layer_count; i++)
        layer_fini(&model->layers[i]);
    free(model->layers);
    aligned_block_free(&model->weights);
    free(model->taps);
    free(model->noisy);
    free(model->kept);
    free(model->constant);
    free(model->layered);
    aligned_free(model->head_w);
    aligned_free(model->head_b);
    graph_free(model->graph);
    (void)pthread_mutex_destroy(&model->lock);
    free(model);
}

const struct engine_info *engine_model_info(const struct engine_model *model) { return &model->info; }
