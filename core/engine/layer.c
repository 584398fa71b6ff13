/* What a node needs whatever the size of the picture: weights packed for the table in use, constants in the order in
 * which activations are stored. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/engine/internal.h"

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
}

static struct kernel_epilogue epilogue_of(const struct graph_node *node)
{
    switch (node->activation) {
    case GRAPH_CLAMP:
        return (struct kernel_epilogue){KERNEL_CLAMP, node->low, node->high};
    case GRAPH_SIGMOID:
        return (struct kernel_epilogue){.activation = KERNEL_SIGMOID};
    case GRAPH_SILU:
        return (struct kernel_epilogue){.activation = KERNEL_SILU};
    case GRAPH_HARD_SIGMOID:
        return (struct kernel_epilogue){KERNEL_HARD_SIGMOID, node->alpha, node->beta};
    case GRAPH_HARD_SWISH:
        return (struct kernel_epilogue){.activation = KERNEL_HARD_SWISH};
    case GRAPH_LEAKY_RELU:
        return (struct kernel_epilogue){KERNEL_LEAKY_RELU, node->alpha, 0};
    case GRAPH_GELU_ACTIVATION:
        return (struct kernel_epilogue){.activation = KERNEL_GELU};
    case GRAPH_GELU_TANH_ACTIVATION:
        return (struct kernel_epilogue){.activation = KERNEL_GELU_TANH};
    case GRAPH_TANH_ACTIVATION:
        return (struct kernel_epilogue){.activation = KERNEL_TANH};
    case GRAPH_LINEAR_ACTIVATION:
        break;
    }
    return (struct kernel_epilogue){KERNEL_CLAMP, -INFINITY, INFINITY};
}

static const float *data_of(const struct engine_model *model, const struct graph_node *node, int input)
{
    int tensor = graph_input(node, input);
    return tensor < 0 ? NULL : model->graph->tensors[tensor].data;
}

/* dst [outer][inner] from src [inner][outer], `count` of them */
static void transpose(float *dst, const float *src, size_t count, size_t inner, size_t outer)
{
    for (size_t m = 0; m < count; m++, dst += inner * outer, src += inner * outer)
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++)
                dst[o * inner + i] = src[i * outer + o];
}

static float *copy(const float *src, size_t n)
{
    float *dst = src == NULL ? NULL : aligned_new(n * sizeof *dst);
    if (dst != NULL)
        memcpy(dst, src, n * sizeof *dst);
    return dst;
}

/* filter [kernel_h, kernel_w, outputs] */
static enum infomask_status depthwise_init(struct layer *layer, const struct engine_model *model,
                                           const struct graph_node *node, struct infomask_error *err)
{
    const struct graph_tensor *w = &model->graph->tensors[node->inputs[1]];
    size_t m = (size_t)w->dims[0], taps = (size_t)(node->window.kernel_h * node->window.kernel_w);
    const float *bias = data_of(model, node, 2);

    layer->way = WAY_DEPTHWISE;
    layer->multiplier = (int)(m / (size_t)node->window.groups);
    layer->filter = aligned_new(taps * m * sizeof(float));
    layer->bias = copy(bias, m);
    if (layer->filter == NULL || (bias != NULL && layer->bias == NULL))
        return no_memory(err);
    transpose(layer->filter, w->data, 1, m, taps);
    layer->bytes = taps * m * sizeof(float);
    return INFOMASK_OK;
}

/* The head stays float32, so that maps and logits agree; so do the ways that copy windows. */
static enum kernel_type type_of(const struct engine_model *model, const struct layer *layer, int node)
{
    const struct engine_int8_layer *int8 = int8_find(model,
                                                     model->graph->tensors[model->graph->nodes[node].output].name);
    bool bf16 = model->options.precision == ENGINE_BF16 || (int8 != NULL && int8->bf16);

    if (layer_is_last(model->graph, node) || head_layers_have(model, node) || layer->groups != 1 ||
        layer->way == WAY_GATHER)
        return KERNEL_F32;
    if (bf16)
        return (model->kernels->types & 1u << KERNEL_BF16) != 0 ? KERNEL_BF16 : KERNEL_F32;
    return int8 != NULL ? KERNEL_U8 : KERNEL_F32;
}

static enum infomask_status pack_int8(struct layer *layer, const struct engine_model *model,
                                      const struct engine_int8_layer *int8, int segments, struct infomask_error *err)
{
    const struct kernel_matrix matrix = {.s8 = int8->w, .scale = int8->scale, .bias = int8->bias, .segments = segments,
                                         .segment_k = int8->k / segments, .n = int8->n};
    enum infomask_status status;

    layer->packs = 1;
    layer->weights = calloc(1, sizeof *layer->weights);
    if (layer->weights == NULL)
        return no_memory(err);
    layer->x_scale = int8->x_scale;
    layer->x_zero = int8->x_zero;
    status = model->kernels->pack_s8(layer->weights, &matrix, err);
    layer->bytes = layer->weights->bytes;
    return status;
}

/* A file's own bytes; the layer's type becomes U8 if it has any. */
static enum infomask_status pack_grid(struct layer *layer, const struct engine_model *model,
                                      const struct graph_node *node, int segments, struct infomask_error *err)
{
    struct engine_int8_layer grid;
    enum infomask_status status = grid_find(&grid, model, layer, node, err);

    if (status != INFOMASK_OK || grid.n == 0)
        return status;
    layer->type = KERNEL_U8;
    status = pack_int8(layer, model, &grid, segments, err);
    grid_free(&grid);
    return status;
}

#define LARGE_BYTES ((size_t)8 << 20) /* weights that stay apart, in pages of their own */

/* matrix: of the first group; those of the others lie behind it. */
static enum infomask_status pack_groups(struct layer *layer, const struct engine_model *model,
                                        const struct kernel_matrix *matrix, struct infomask_error *err)
{
    size_t n = (size_t)matrix->n, size = n * (size_t)matrix->segments * (size_t)matrix->segment_k;
    struct kernel_matrix group = *matrix;
    enum infomask_status status = INFOMASK_OK;

    layer->packs = layer->groups;
    layer->weights = calloc((size_t)layer->groups, sizeof *layer->weights);
    if (layer->weights == NULL)
        return no_memory(err);
    for (int g = 0; g < layer->groups && status == INFOMASK_OK; g++) {
        status = model->kernels->pack(&layer->weights[g], &group, err);
        layer->bytes += layer->weights[g].bytes;
        group.w += size;
        group.bias += group.bias != NULL ? n : 0;
    }
    return status;
}

static bool unpadded_unit(const struct graph_window *w)
{
    return w->kernel_h == 1 && w->kernel_w == 1 && w->auto_pad == 0 &&
           (w->pad_top | w->pad_left | w->pad_bottom | w->pad_right) == 0;
}

/* Groups that are one product: a vector's worth of outputs takes as long as one output, so that small groups side by
 * side, with zeros where an output does not read a channel, cost nothing more and need fewer products. */
static int groups_joined(int groups, size_t outputs)
{
    int joined = 1;

    while (joined < 8 && groups % (2 * joined) == 0 && outputs * 2 * (size_t)joined <= 8)
        joined *= 2;
    return joined;
}

/* wide [m][taps][joined c] from w [m][taps][c]; n: outputs a group */
static void join_groups(float *wide, const float *w, size_t m, size_t taps, size_t c, size_t n, size_t joined)
{
    memset(wide, 0, m * taps * joined * c * sizeof *wide);
    for (size_t o = 0; o < m; o++)
        for (size_t t = 0; t < taps; t++)
            memcpy(wide + ((o * taps + t) * joined + o / n % joined) * c, w + (o * taps + t) * c, c * sizeof *w);
}

/* ordered [m][taps][c], the weights of a convolution */
static enum infomask_status pack_ordered(struct layer *layer, const struct engine_model *model,
                                         const struct graph_node *node, const float *ordered,
                                         struct infomask_error *err)
{
    const struct graph_window *window = &node->window;
    const int64_t *dims = model->graph->tensors[node->inputs[1]].dims;
    int segments = layer->way == WAY_SEGMENTS ? window->kernel_h : 1;
    size_t m = (size_t)dims[0], c = (size_t)dims[1], taps = (size_t)(window->kernel_h * window->kernel_w);
    size_t n = m / (size_t)layer->groups;
    size_t joined = layer->way == WAY_SEGMENTS ? (size_t)groups_joined(layer->groups, n) : 1;
    struct kernel_matrix matrix = {.type = layer->type, .bias = data_of(model, node, 2), .segments = segments,
                                   .segment_k = (int)(taps * c * joined) / segments, .n = (int)(n * joined)};
    float *wide = NULL;
    enum infomask_status status;

    if (joined > 1) {
        wide = aligned_new(m * taps * c * joined * sizeof *wide);
        if (wide == NULL)
            return no_memory(err);
        join_groups(wide, ordered, m, taps, c, n, joined);
        layer->groups /= (int)joined;
    }
    matrix.w = wide != NULL ? wide : ordered;
    status = pack_groups(layer, model, &matrix, err);
    aligned_free(wide);
    return status;
}

static enum layer_way way_of(const struct engine_model *model, const struct graph_window *window)
{
    bool jumps = window->stride_h != 1 || window->stride_w != 1;

    if (unpadded_unit(window) && (!jumps || (window->groups == 1 && model->kernels->gemm_segments)))
        return WAY_PRODUCT;
    return window->dilation_w == 1 && model->kernels->gemm_segments ? WAY_SEGMENTS : WAY_GATHER;
}

/* The constant that input 1 of the node is, if nobody else reads it. */
static int own_weights(const struct graph *graph, const struct graph_node *node)
{
    int tensor = node->inputs[1], readers = 0;

    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            readers += graph->nodes[i].inputs[j] == tensor;
    return readers == 1 ? tensor : GRAPH_NONE;
}

/* One product, whose weights are float32: w [n][k], turned into one matrix or left as they are. */
static enum infomask_status pack_one(struct layer *layer, const struct engine_model *model,
                                     const struct pack_rows *rows, struct infomask_error *err)
{
    enum infomask_status status;

    layer->packs = 1;
    layer->weights = calloc(1, sizeof *layer->weights);
    if (layer->weights == NULL)
        return no_memory(err);
    status = pack_pieces(layer->weights, model, rows, err);
    layer->bytes = layer->weights->bytes;
    return status;
}

static void turn_taps(const struct pack_rows *rows, const float *w, size_t n, float *turned)
{
    transpose(turned, w, n, rows->k / rows->taps, rows->taps);
}

static enum infomask_status convolution_init(struct layer *layer, const struct engine_model *model,
                                             const struct graph_node *node, struct infomask_error *err)
{
    const struct graph_tensor *w = &model->graph->tensors[node->inputs[1]];
    const struct graph_window *window = &node->window;
    size_t m = (size_t)w->dims[0], c = (size_t)w->dims[1], taps = (size_t)(window->kernel_h * window->kernel_w), count;
    float *ordered;
    int segments;
    enum infomask_status status;

    if (window->groups > 1 && c == 1)
        return depthwise_init(layer, model, node, err);
    if (!checked_mul3(m, c, taps, &count) || count > INT32_MAX)
        return error_set(err, INFOMASK_LIMIT, "a layer's weights are too large");
    layer->groups = window->groups;
    layer->way = way_of(model, window);
    layer->jumps = layer->way == WAY_PRODUCT && (window->stride_h != 1 || window->stride_w != 1);
    layer->type = type_of(model, layer, (int)(node - model->graph->nodes));
    segments = layer->way == WAY_SEGMENTS ? window->kernel_h : 1;
    if (layer->type == KERNEL_U8)
        return pack_int8(layer, model, int8_find(model, model->graph->tensors[node->output].name), segments, err);
    status = pack_grid(layer, model, node, segments, err);
    if (status != INFOMASK_OK || layer->type == KERNEL_U8)
        return status;
    layer->tile = winograd_tile(model, layer, node);
    layer->windows = winograd_windows(model, layer);
    if (layer->tile > 0 && !layer->windows)
        return winograd_pack(layer, model, node, (int)m, (int)c, err);
    if (layer->groups == 1 && layer->type == KERNEL_F32) {
        const struct pack_rows rows = {
            .w = w->data, .n = m, .k = taps * c, .taps = taps, .turn = taps > 1 ? turn_taps : NULL, .matrices = 1,
            .from = own_weights(model->graph, node),
            .matrix = {.bias = layer->windows ? NULL : data_of(model, node, 2), .segments = segments,
                       .segment_k = (int)(taps * c) / segments}};
        status = pack_one(layer, model, &rows, err);
        return status == INFOMASK_OK && layer->windows ? winograd_of_windows(layer, model, node, err) : status;
    }
    ordered = aligned_new(count * sizeof *ordered);
    if (ordered == NULL)
        return no_memory(err);
    transpose(ordered, w->data, m, c, taps);
    status = pack_ordered(layer, model, node, ordered, err);
    aligned_free(ordered);
    return status;
}

static enum infomask_status linear_init(struct layer *layer, const struct engine_model *model,
                                        const struct graph_node *node, struct infomask_error *err)
{
    const struct graph_tensor *w = &model->graph->tensors[node->inputs[1]];
    struct kernel_matrix matrix = {.w = w->data, .bias = data_of(model, node, 2), .segments = 1,
                                   .segment_k = (int)w->dims[1], .n = (int)w->dims[0]};
    enum infomask_status status;

    layer->way = WAY_PRODUCT;
    layer->type = type_of(model, layer, (int)(node - model->graph->nodes));
    status = pack_grid(layer, model, node, 1, err);
    if (status != INFOMASK_OK || layer->type == KERNEL_U8)
        return status;
    matrix.type = layer->type;
    if (layer->type == KERNEL_F32) {
        const struct pack_rows rows = {.w = w->data, .n = (size_t)w->dims[0], .k = (size_t)w->dims[1], .matrices = 1,
                                       .from = own_weights(model->graph, node), .matrix = matrix};
        return pack_one(layer, model, &rows, err);
    }
    return pack_groups(layer, model, &matrix, err);
}

/* y = x * scale + shift with scale = gamma / sqrt(variance + epsilon), in double */
static enum infomask_status batch_norm_init(struct layer *layer, const struct engine_model *model,
                                            const struct graph_node *node, struct infomask_error *err)
{
    const float *gamma = data_of(model, node, 1), *beta = data_of(model, node, 2), *mean = data_of(model, node, 3);
    const float *variance = data_of(model, node, 4);
    size_t c = (size_t)model->graph->tensors[node->inputs[1]].dims[0];

    layer->scale = aligned_new(c * sizeof(float));
    layer->shift = aligned_new(c * sizeof(float));
    if (layer->scale == NULL || layer->shift == NULL)
        return no_memory(err);
    for (size_t i = 0; i < c; i++) {
        double scale = (double)gamma[i] / sqrt((double)variance[i] + (double)node->epsilon);
        layer->scale[i] = (float)scale;
        layer->shift[i] = (float)((double)beta[i] - (double)mean[i] * scale);
    }
    layer->bytes = 2 * c * sizeof(float);
    return INFOMASK_OK;
}

/* There and back, by a scale and within a range that the kernels take; else what the graph says is computed. */
static void rounding_init(struct layer *layer, const struct graph_node *node)
{
    const struct kernel_rounding r = {node->alpha, 1 / node->alpha, node->low - node->beta, node->high - node->beta};

    if (node->function == GRAPH_AND_BACK && r.scale >= 0x1p-100F && r.scale <= 0x1p100F && r.low >= -0x1p21F &&
        r.high <= 0x1p21F)
        layer->rounding = r;
}

/* A constant operand, from the file's order into that of activations. */
static enum infomask_status operand_init(struct layer *layer, const struct engine_model *model,
                                         const struct graph_node *node, struct infomask_error *err)
{
    const struct graph_tensor *y = &model->graph->tensors[node->inputs[1]];
    size_t n = 1;

    if (y->data == NULL)
        return INFOMASK_OK;
    for (int i = 0; i < y->rank; i++)
        n *= (size_t)y->dims[i];
    if (y->rank > 0 && y->dims[0] != 1 && !model->graph->concrete)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "%s '%.60s' has a constant for each item of a batch",
                         graph_op_name(node->op), node->name != NULL ? node->name : "");
    layer->constant = copy(y->data, n);
    if (layer->constant == NULL)
        return no_memory(err);
    if (y->rank == 4 && !model->graph->tensors[node->inputs[0]].plain)
        transpose(layer->constant, y->data, (size_t)y->dims[0], (size_t)y->dims[1], (size_t)(y->dims[2] * y->dims[3]));
    layer->bytes = n * sizeof(float);
    return INFOMASK_OK;
}

/* Constant inputs as the file has them. */
static enum infomask_status operands_init(struct layer *layer, const struct engine_model *model,
                                          const struct graph_node *node, struct infomask_error *err)
{
    layer->operands = calloc((size_t)node->input_count + 1, sizeof *layer->operands);
    if (layer->operands == NULL)
        return no_memory(err);
    layer->operand_count = node->input_count;
    for (int i = 0; i < node->input_count; i++) {
        const float *data = data_of(model, node, i);
        size_t n = 1;
        if (data == NULL)
            continue;
        for (int d = 0; d < model->graph->tensors[node->inputs[i]].rank; d++)
            n *= (size_t)model->graph->tensors[node->inputs[i]].dims[d];
        layer->operands[i] = copy(data, n);
        if (layer->operands[i] == NULL)
            return no_memory(err);
        layer->bytes += n * sizeof(float);
    }
    return INFOMASK_OK;
}

static enum infomask_status refuse(const struct graph_node *node, const char *what, struct infomask_error *err)
{
    return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "%s '%.60s' %s", graph_op_name(node->op),
                     node->name != NULL ? node->name : "", what);
}

enum infomask_status layer_init(struct layer *layer, const struct engine_model *model, const struct graph_node *node,
                                struct infomask_error *err)
{
    *layer = (struct layer){.groups = 1, .epilogue = epilogue_of(node)};
    switch (node->op) {
    case GRAPH_CONV:
        return convolution_init(layer, model, node, err);
    case GRAPH_LINEAR:
        return linear_init(layer, model, node, err);
    case GRAPH_BATCH_NORM:
        return batch_norm_init(layer, model, node, err);
    case GRAPH_QUANTIZE:
        rounding_init(layer, node);
        break;
    case GRAPH_ADD:
    case GRAPH_MUL:
        return operand_init(layer, model, node, err);
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        if (node->window.dilation_h != 1 || node->window.dilation_w != 1)
            return refuse(node, "has dilations", err);
        break;
    case GRAPH_TRANSPOSE:
        if (node->permutation[0] != 0 && !model->graph->concrete)
            return refuse(node, "moves the batch", err);
        break;
    case GRAPH_SOFTMAX:
    case GRAPH_CONCAT:
        if (node->axis == 0 && !model->graph->concrete)
            return refuse(node, "works across the batch", err);
        break;
    default:
        break;
    }
    return node->op == GRAPH_CONCAT || graph_is_general(node->op) ? operands_init(layer, model, node, err)
                                                                  : INFOMASK_OK;
}

void layer_fini(struct layer *layer)
{
    if (layer->way == WAY_WINOGRAD)
        winograd_fini(layer);
    for (int g = 0; layer->weights != NULL && g < layer->packs; g++)
        kernel_weights_fini(&layer->weights[g]);
    free(layer->weights);
    if (!layer->moved)
        aligned_free(layer->filter);
    aligned_free(layer->bias);
    aligned_free(layer->scale);
    aligned_free(layer->shift);
    aligned_free(layer->constant);
    for (int i = 0; i < layer->operand_count; i++)
        aligned_free(layer->operands[i]);
    free(layer->operands);
}

static size_t filter_bytes(const struct layer *layer)
{
    return layer->filter == NULL ? 0 : layer->bytes;
}

/* Large enough to fill pages alone; a copy would be there twice for a moment. */
static bool stays_apart(const struct kernel_weights *weights) { return weights->bytes > LARGE_BYTES; }

size_t layer_room(const struct layer *layer)
{
    size_t bytes = aligned_round(filter_bytes(layer));

    for (int g = 0; layer->weights != NULL && g < layer->packs; g++)
        bytes += stays_apart(&layer->weights[g]) ? 0 : aligned_round(layer->weights[g].bytes);
    return bytes;
}

void layer_move(struct layer *layer, unsigned char *to)
{
    if (layer->filter != NULL) {
        memcpy(to, layer->filter, filter_bytes(layer));
        aligned_free(layer->filter);
        layer->filter = (float *)(void *)to;
        layer->moved = true;
        to += aligned_round(filter_bytes(layer));
    }
    for (int g = 0; layer->weights != NULL && g < layer->packs; g++) {
        if (stays_apart(&layer->weights[g]))
            continue;
        kernel_weights_move(&layer->weights[g], to);
        to += aligned_round(layer->weights[g].bytes);
    }
}
