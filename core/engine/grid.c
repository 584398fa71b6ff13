/* Networks whose files are quantised.  Where a convolution or product reads the whole multiples of a scale that bytes
 * can be, and the weights of each of its outputs are whole multiples of a step that signed bytes can be, it is one of
 * whole numbers: its sums are exact, and so are those that the file's maker measured. */
#include <math.h>
#include <stdlib.h>

#include "core/engine/internal.h"

#define LEAST_STEP 0x1p-60 /* of either side; products of smaller ones may be no numbers that are normal */
#define NEAR 3e-7          /* of a weight: what rounding a product to float32 does, a few times */

/* How the tensor was rounded, through what only names its numbers anew; NULL: not at all. */
static const struct kernel_rounding *rounding_of(const struct engine_model *model, int tensor)
{
    for (;;) {
        int at = graph_producer(model->graph, tensor);
        const struct graph_node *node = at < 0 ? NULL : &model->graph->nodes[at];
        if (node == NULL)
            return NULL;
        if (node->op == GRAPH_QUANTIZE)
            return model->layers[at].rounding.scale > 0 ? &model->layers[at].rounding : NULL;
        if (node->op != GRAPH_IDENTITY && node->op != GRAPH_RESHAPE && node->op != GRAPH_TRANSPOSE)
            return NULL;
        tensor = node->inputs[0];
    }
}

bool rounding_is_byte(const struct kernel_rounding *r)
{
    return r->high - r->low == 255 && r->low <= 0 && r->high >= 0 && r->scale >= LEAST_STEP;
}

static double nearest(double x) { return x + 0x1.8p52 - 0x1.8p52; }

static bool are_multiples(const float *w, size_t count, double step)
{
    const double inverse = 1 / step;

    for (size_t i = 0; i < count; i++) {
        double x = (double)w[i], n = nearest(x * inverse);
        if (!(fabs(x - n * step) <= NEAR * fabs(x)) || n > 127)
            return false;
    }
    return true;
}

/* The largest step whose whole multiples from -128 to 127 the weights are; 0: there is none. */
static double step_of(const float *w, size_t count)
{
    double most = 0;

    for (size_t i = 0; i < count; i++) { /* no fmax: gcc 12 for arm64 fails on it, float by float made double */
        double size = fabs((double)w[i]);
        most = size > most ? size : most;
    }
    if (most == 0)
        return 1;
    for (int m = 1; m <= 128; m++)
        if (most / m >= LEAST_STEP && are_multiples(w, count, most / m))
            return most / m;
    return 0;
}

/* to [taps][c] from w [c][taps] */
static void put_weights(int8_t *to, const float *w, size_t c, size_t taps, double step)
{
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; i < c; i++)
            *to++ = (int8_t)nearest((double)w[i * taps + t] / step);
}

static bool takes_bytes(const struct engine_model *model, const struct layer *layer, const struct graph_node *node)
{
    int number = (int)(node - model->graph->nodes);

    return model->options.precision == ENGINE_F32 && layer->type == KERNEL_F32 && layer->groups == 1 &&
           (model->kernels->types & 1u << KERNEL_U8) != 0 && !layer_is_last(model->graph, number) &&
           !head_layers_have(model, number) && (layer->way == WAY_PRODUCT || layer->way == WAY_SEGMENTS);
}

void grid_free(struct engine_int8_layer *grid)
{
    free((void *)(uintptr_t)grid->w);
    free((void *)(uintptr_t)grid->scale);
    *grid = (struct engine_int8_layer){0};
}

enum infomask_status grid_find(struct engine_int8_layer *grid, const struct engine_model *model,
                               const struct layer *layer, const struct graph_node *node, struct infomask_error *err)
{
    const struct graph_tensor *w = &model->graph->tensors[node->inputs[1]];
    const struct kernel_rounding *r = takes_bytes(model, layer, node) ? rounding_of(model, node->inputs[0]) : NULL;
    size_t taps = node->op == GRAPH_CONV ? (size_t)(node->window.kernel_h * node->window.kernel_w) : 1;
    size_t n = (size_t)w->dims[0], c = (size_t)w->dims[1], k = c * taps;
    int8_t *bytes;
    float *scale;

    *grid = (struct engine_int8_layer){0};
    /* the sum of K products of u8 and s8 must fit 32 bits */
    if (r == NULL || !rounding_is_byte(r) || k > INT32_MAX / (255 * 128) || step_of(w->data, k) == 0)
        return INFOMASK_OK;
    bytes = malloc(n * k);
    scale = malloc(n * sizeof *scale);
    *grid = (struct engine_int8_layer){.n = (int)n, .k = (int)k, .x_scale = r->scale, .x_zero = (int)-r->low,
                                       .w = bytes, .scale = scale};
    if (bytes == NULL || scale == NULL) {
        grid_free(grid);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
    }
    if (graph_input(node, 2) >= 0)
        grid->bias = model->graph->tensors[node->inputs[2]].data;
    for (size_t i = 0; i < n; i++) {
        double step = step_of(w->data + i * k, k);
        if (step == 0) {
            grid_free(grid);
            return INFOMASK_OK;
        }
        scale[i] = (float)step;
        put_weights(bytes + i * k, w->data + i * k, c, taps, step);
    }
    return INFOMASK_OK;
}
