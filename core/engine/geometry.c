/* How a step's work is cut for the threads: a function of its shape and the kernels' tile only. */
#include "core/engine/internal.h"

#define PRODUCT_FLOPS_US 100e3 /* of a microsecond, about what one core does */
#define DEPTHWISE_FLOPS_US 60e3
#define ELEMENTS_US 4e3 /* of a pass over memory */
#define STRIP_BYTES ((size_t)128 << 10) /* padded or gathered rows: they stay in the second cache */

static int at_least_one(size_t n) { return n < 1 ? 1 : n > INT32_MAX ? INT32_MAX : (int)n; }

static void map_geometry(const struct graph_node *node, const struct plan *plan, struct step *s)
{
    const struct shape *x = &plan->values[s->x].shape, *y = &plan->values[s->y].shape;
    bool window = node->op == GRAPH_CONV || node->op == GRAPH_MAX_POOL || node->op == GRAPH_AVERAGE_POOL;

    s->c = x->rank > 1 ? (int)x->d[1] : 1;
    s->out_c = y->rank > 1 ? (int)y->d[1] : 1;
    s->h = shape_is_map(x) ? (int)x->d[2] : 1;
    s->w = shape_is_map(x) ? (int)x->d[3] : 1;
    s->out_h = shape_is_map(y) ? (int)y->d[2] : 1;
    s->out_w = shape_is_map(y) ? (int)y->d[3] : 1;
    s->rows = s->out_h * s->out_w;
    if (node->op == GRAPH_LINEAR) { /* any number of vectors */
        s->c = (int)x->d[x->rank - 1];
        s->out_c = (int)y->d[y->rank - 1];
        s->rows = (int)(shape_elements(y) / (size_t)s->out_c);
    }
    if (window) {
        (void)graph_window_output(&node->window, 0, s->h, &s->pad_top, &s->pad_bottom);
        (void)graph_window_output(&node->window, 1, s->w, &s->pad_left, &s->pad_right);
    }
}

/* Does the step multiply another type than its input is kept in? */
static bool narrows(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    return plan->values[s->x].type != model->layers[s->node].type;
}

/* The input is made whole, as the product reads it, before the loop: where every chunk reads all of it. */
static void stage(const struct engine_model *model, struct plan *plan, struct step *s, size_t elements)
{
    int value = model->graph->tensor_count + (int)(s - plan->steps);

    plan->values[value].type = model->layers[s->node].type;
    plan->values[value].elements = elements;
    s->staged = value;
}

/* Along panels where the weights outweigh the activations: then each thread reads its own part of them. */
static void cut_product(const struct engine_model *model, const struct layer *layer, struct step *s, size_t rows,
                        int row_unit)
{
    const struct kernel_weights *w = layer->weights;
    size_t k = (size_t)w->segments * (size_t)w->segment_k, n = (size_t)w->n;
    double flops;

    s->by_panels = layer->groups == 1 && w->panels > 1 && k * n > rows * ((size_t)s->c + n);
    s->unit = s->by_panels ? 1 : row_unit;
    flops = 2.0 * (double)k * (double)layer->groups;
    flops *= s->by_panels ? (double)rows * w->panel_columns : (double)row_unit * (double)n;
    s->cut = cut_make(s->by_panels ? w->panels : at_least_one((rows + (size_t)row_unit - 1) / (size_t)row_unit),
                      flops / PRODUCT_FLOPS_US, 0, model->kernels->gemm_segments ? MOST_CHUNKS : 8);
}

/* Rows of A that are narrowed at once. */
static void narrow_rows(const struct layer *layer, struct step *s, size_t rows, int tile)
{
    size_t row = (size_t)s->c * kernel_type_bytes(layer->type), fit = STRIP_BYTES / row / (size_t)tile * (size_t)tile;
    size_t chunk = (size_t)s->cut.size * (size_t)s->unit;

    chunk = chunk < rows ? chunk : rows;
    s->lines = at_least_one(fit < chunk ? fit : chunk);
    s->scratch = row * (size_t)s->lines;
}

static void cut_plain_product(const struct engine_model *model, struct plan *plan, struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    size_t rows = (size_t)s->rows * (s->tail ? (size_t)plan->n : 1);
    struct kernel_gemm g = {.weights = layer->weights, .a_row = s->c, .c_row = s->out_c, .m = at_least_one(rows),
                            .panel1 = layer->weights->panels};

    cut_product(model, layer, s, rows, model->kernels->gemm_tile[layer->type]);
    s->scratch = model->kernels->gemm_scratch(&g) * sizeof(float);
    if (!narrows(model, plan, s) && !layer->jumps)
        return;
    if (s->by_panels || s->tail)
        stage(model, plan, s, (size_t)s->rows * (size_t)s->c);
    else
        narrow_rows(layer, s, rows, model->kernels->gemm_tile[layer->type]);
}

int lines_under(const struct graph_window *w, int lines)
{
    return (lines - 1) * w->stride_h + (w->kernel_h - 1) * w->dilation_h + 1;
}

/* As many lines of output at once, up to `lines`, as leave their input in the second cache. */
void step_strips(const struct engine_model *model, const struct plan *plan, struct step *s, int lines)
{
    const struct graph_window *w = &model->graph->nodes[s->node].window;
    const struct layer *layer = &model->layers[s->node];
    size_t line = (size_t)(s->pad_left + s->w + s->pad_right) * (size_t)s->c * kernel_type_bytes(layer->type);

    s->lines = lines;
    s->scratch = 0;
    if (!narrows(model, plan, s) && !step_pads(s))
        return;
    while (s->lines > 1 && line * (size_t)lines_under(w, s->lines) > STRIP_BYTES)
        s->lines--;
    s->scratch = line * (size_t)lines_under(w, s->lines);
}

static void gather_strips(const struct layer *layer, struct step *s, int lines)
{
    const struct kernel_weights *weights = layer->weights;
    size_t line = (size_t)s->out_w * (size_t)weights->segments * (size_t)weights->segment_k * sizeof(float);
    int most = at_least_one(STRIP_BYTES * 4 / line);

    s->lines = lines > most ? most : lines;
    s->scratch = line * (size_t)s->lines;
}

#define GROUP_ROWS 14 /* of output: below, the groups are cut, not the rows */

#define GROUP_BYTES ((size_t)256 << 10) /* of input lines that all groups read before the next ones: the second cache */

/* A grouped convolution: lines of a large map, groups of a small one; what is copied is of one group. */
static void cut_groups(const struct layer *layer, const struct graph_window *w, struct step *s)
{
    const struct kernel_weights *weights = layer->weights;
    double flops = 2.0 * s->out_w * weights->segments * weights->segment_k * weights->n;
    size_t line = (size_t)(s->pad_left + s->w + s->pad_right) * (size_t)(s->c / layer->groups) * sizeof(float);
    size_t all = (size_t)s->w * (size_t)s->c * sizeof(float);

    s->unit = 1;
    s->by_panels = s->out_h < GROUP_ROWS;
    if (s->by_panels)
        s->cut = cut_make(layer->groups, flops * s->out_h / PRODUCT_FLOPS_US, 0, MOST_CHUNKS);
    else
        s->cut = cut_make(s->out_h, flops * layer->groups / PRODUCT_FLOPS_US, 0, MOST_CHUNKS);
    s->lines = s->by_panels ? s->out_h : s->cut.size;
    while (s->lines > 1 && (line * (size_t)lines_under(w, s->lines) > STRIP_BYTES ||
                            (!s->by_panels && all * (size_t)lines_under(w, s->lines) > GROUP_BYTES)))
        s->lines--;
    s->scratch = line * (size_t)lines_under(w, s->lines);
}

static void cut_convolution(const struct engine_model *model, struct plan *plan, struct step *s)
{
    const struct graph_window *w = &model->graph->nodes[s->node].window;
    const struct layer *layer = &model->layers[s->node];

    if (layer->way == WAY_SEGMENTS && layer->groups > 1) {
        cut_groups(layer, w, s);
        return;
    }

    cut_product(model, layer, s, (size_t)s->rows, s->out_w);
    s->unit = 1;
    if (layer->way == WAY_GATHER) {
        gather_strips(layer, s, s->by_panels ? s->out_h : s->cut.size);
    } else if (!s->by_panels) {
        step_strips(model, plan, s, s->cut.size);
    } else {
        s->lines = s->out_h;
        if (narrows(model, plan, s) || step_pads(s))
            stage(model, plan, s,
                  (size_t)(s->pad_left + s->w + s->pad_right) * (size_t)s->c * (size_t)lines_under(w, s->out_h));
    }
}

double step_line_us(const struct engine_model *model, const struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    const struct graph_window *w = &model->graph->nodes[s->node].window;

    if (layer->way == WAY_DEPTHWISE)
        return 2.0 * s->out_w * s->out_c * w->kernel_h * w->kernel_w / DEPTHWISE_FLOPS_US;
    return 2.0 * s->out_w * layer->weights->segments * layer->weights->segment_k * s->out_c / PRODUCT_FLOPS_US;
}

size_t depthwise_scratch(const struct engine_model *model, int node, int out_w)
{
    const struct graph_window *w = &model->graph->nodes[node].window;
    const struct kernel_depthwise d = {.out_w = out_w, .kernel_h = w->kernel_h, .kernel_w = w->kernel_w,
                                       .stride_h = w->stride_h, .stride_w = w->stride_w,
                                       .dilation_h = w->dilation_h, .dilation_w = w->dilation_w};

    return model->layers[node].multiplier > 1 ? 0 : model->kernels->depthwise_scratch(&d) * sizeof(float);
}

/* A kernel that copies its input, and reads some lines twice at each cut. */
void step_depthwise_rows(const struct engine_model *model, struct step *s)
{
    const struct graph_window *w = &model->graph->nodes[s->node].window;
    double flops = 2.0 * s->out_w * s->out_c * w->kernel_h * w->kernel_w;
    double twice = s->scratch > 0 ? (double)(lines_under(w, 1) * s->w + w->kernel_h * w->kernel_w) * s->out_c : 0;

    s->by_panels = false;
    s->unit = 1;
    s->cut = cut_make(s->out_h, flops / DEPTHWISE_FLOPS_US, twice / ELEMENTS_US, MOST_CHUNKS);
    s->lines = s->cut.size;
}

/* Rows of a large map; channels of a small one, or where the kernel copies some of them. */
static void cut_depthwise(const struct engine_model *model, struct step *s)
{
    const struct graph_window *w = &model->graph->nodes[s->node].window;
    const int multiplier = model->layers[s->node].multiplier;

    s->scratch = depthwise_scratch(model, s->node, s->out_w);
    step_depthwise_rows(model, s);
    if (multiplier == 1 && s->out_c >= 128 && (s->out_h < 14 || s->scratch > 0)) {
        double flops = 2.0 * 16 * s->out_h * s->out_w * w->kernel_h * w->kernel_w;
        s->by_panels = true;
        s->unit = 16;
        s->cut = cut_make((s->out_c + 15) / 16, flops / DEPTHWISE_FLOPS_US, 0, MOST_CHUNKS);
        s->lines = s->cut.size;
    }
    if (multiplier > 1)
        s->scratch = (size_t)lines_under(w, s->lines) * (size_t)s->w * (size_t)s->out_c * sizeof(float);
}

static bool runs_by_rows(const struct graph_node *node, int last)
{
    return node->op == GRAPH_UNARY || node->op == GRAPH_QUANTIZE || node->op == GRAPH_BINARY ||
           node->op == GRAPH_REDUCE || node->op == GRAPH_RESIZE || (node->op == GRAPH_LAYER_NORM && node->axis == last);
}

/* Matrices of a product, rows of a norm, of elements or of outputs; the others run whole. */
static void cut_general(const struct engine_model *model, const struct plan *plan, const struct graph_node *node,
                        struct step *s)
{
    const struct value *x = &plan->values[s->x], *y = &plan->values[s->y];
    int last = y->shape.rank - 1;
    double each, rows;

    if (last < 0)
        return;
    each = (double)y->shape.d[last];
    rows = (double)y->elements / each;
    if (node->op == GRAPH_MATMUL) {
        double m = (double)y->shape.d[last - 1], k = (double)x->shape.d[x->shape.rank - 1];
        s->cut = cut_make((int)(rows / m), 2 * m * each * k / PRODUCT_FLOPS_US, 0, MOST_CHUNKS);
        s->scratch = model->kernels->operand_bytes((int)k, (int)each);
    } else if (node->op == GRAPH_CONV_ND) {
        windows_geometry(node, plan, s);
    } else if (node->op == GRAPH_RESIZE && shape_is_map(&y->shape)) {
        s->by_rows = y->shape.d[0] > 1; /* lines of several pictures */
        s->rows = s->by_rows ? (int)y->shape.d[0] * s->out_h : s->rows;
        rows = (double)(s->by_rows ? s->rows : s->out_h);
        s->cut = cut_make((int)rows, (double)y->elements / rows / ELEMENTS_US * 2, 0, MOST_CHUNKS);
    } else if (rows >= 2 && runs_by_rows(node, last)) {
        double work = each * (node->op == GRAPH_REDUCE ? (double)x->elements / (double)y->elements : 1);
        double elements_us = node->op == GRAPH_LAYER_NORM || node->op == GRAPH_BINARY ? 2000 : 200;
        s->rows = (int)rows;
        s->by_rows = true;
        s->unit = (int)(4096 / work) + 1;
        s->cut = cut_make((s->rows + s->unit - 1) / s->unit, s->unit * work / elements_us, 0, MOST_CHUNKS);
    }
}

/* Rows of equal length, or lines of a map. */
static void cut_elements(const struct plan *plan, const struct graph_node *node, const struct value *x, struct step *s)
{
    size_t row = pass_row(plan, node, s);

    if (node->op == GRAPH_SOFTMAX)
        s->scratch = softmax_scratch(&x->shape, node->axis);
    if (row == 0) {
        if (node->op != GRAPH_SOFTMAX)
            s->cut = cut_make(s->out_h, (double)x->elements / s->out_h / ELEMENTS_US, 0, MOST_CHUNKS);
        return;
    }
    s->by_rows = true;
    s->rows = (int)(x->elements / row);
    s->unit = (int)(4096 / row) + 1;
    s->cut = cut_make((s->rows + s->unit - 1) / s->unit, (double)row * s->unit / ELEMENTS_US, 0, MOST_CHUNKS);
}

/* Passes over the elements: rows of the output, a channel block of an average, or whole items. */
static void cut_pass(const struct engine_model *model, const struct plan *plan, const struct graph_node *node,
                     struct step *s)
{
    const struct value *x = &plan->values[s->x], *y = &plan->values[s->y];
    double elements = (double)x->elements;
    int64_t total;

    s->unit = 1;
    s->cut = (struct cut){1, 1, 1};
    switch (node->op) {
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        elements = (double)s->rows * s->out_c * node->window.kernel_h * node->window.kernel_w;
        s->cut = cut_make(s->out_h, elements / s->out_h / ELEMENTS_US, 0, MOST_CHUNKS);
        break;
    case GRAPH_GLOBAL_AVERAGE:
        s->unit = 16;
        s->cut = cut_make((s->c + 15) / 16, elements / s->c * 16 / ELEMENTS_US, 0, 8);
        break;
    case GRAPH_BATCH_NORM:
        s->cut = cut_make(s->out_h, elements / s->out_h / ELEMENTS_US, 0, MOST_CHUNKS);
        break;
    case GRAPH_ADD:
    case GRAPH_MUL:
    case GRAPH_ACTIVATION:
    case GRAPH_SOFTMAX:
        cut_elements(plan, node, x, s);
        break;
    case GRAPH_CONCAT:
        s->cut = cut_make(64, (double)y->elements / 64 / ELEMENTS_US, 0, MOST_CHUNKS);
        break;
    case GRAPH_ATTENTION:
        attention_geometry(model, plan, s);
        break;
    default:
        if (view_copies(node)) {
            total = copy_rows(model, plan, s);
            s->cut = cut_make((int)total, (double)y->elements / (double)total / ELEMENTS_US, 0, MOST_CHUNKS);
        } else if (graph_is_general(node->op)) {
            cut_general(model, plan, node, s);
        }
        break;
    }
}

/* float32 and one run over the pixels: such a product has nothing staged, so its value is free. */
static void place_scaled(const struct engine_model *model, struct plan *plan, struct step *s)
{
    if (s->factor < 0)
        return;
    s->scaled = model->graph->tensor_count + (int)(s - plan->steps);
    plan->values[s->scaled].type = KERNEL_F32;
    plan->values[s->scaled].elements = model->layers[s->node].weights->bytes / sizeof(float);
}

void step_geometry(const struct engine_model *model, struct plan *plan, int step)
{
    struct step *s = &plan->steps[step];
    const struct graph_node *node = &model->graph->nodes[s->node];
    const struct layer *layer = &model->layers[s->node];

    s->staged = GRAPH_NONE;
    map_geometry(node, plan, s);
    switch (layer->way) {
    case WAY_PRODUCT:
        cut_plain_product(model, plan, s);
        place_scaled(model, plan, s);
        break;
    case WAY_SEGMENTS:
    case WAY_GATHER:
        cut_convolution(model, plan, s);
        break;
    case WAY_WINOGRAD:
        winograd_geometry(model, s);
        break;
    case WAY_DEPTHWISE:
        cut_depthwise(model, s);
        break;
    case WAY_OTHER:
        cut_pass(model, plan, node, s);
        break;
    }
}
