/* Layers of u8 x s8, by the names of their outputs. */
#include <string.h>

#include "core/engine/internal.h"

bool layer_is_last(const struct graph *graph, int node)
{
    int last = graph->node_count - 1;

    while (last > node && graph->nodes[last].op != GRAPH_CONV && graph->nodes[last].op != GRAPH_LINEAR)
        last--;
    return node == last;
}

bool engine_can_int8(const struct graph *graph, const struct graph_node *node)
{
    const struct graph_tensor *w;

    if (node->op != GRAPH_CONV || node->window.groups != 1 || node->window.dilation_w != 1 ||
        layer_is_last(graph, (int)(node - graph->nodes)))
        return false;
    w = &graph->tensors[node->inputs[1]];
    /* the sum of K products of u8 and s8 must fit 32 bits */
    return w->dims[1] * node->window.kernel_h * node->window.kernel_w <= INT32_MAX / (255 * 127);
}

const struct engine_int8_layer *int8_find(const struct engine_model *model, const char *tensor)
{
    const struct engine_int8 *int8 = model->options.int8;

    if (model->options.precision != ENGINE_INT8 || int8 == NULL || tensor == NULL)
        return NULL;
    for (int i = 0; i < int8->count; i++)
        if (strcmp(int8->layers[i].tensor, tensor) == 0)
            return &int8->layers[i];
    return NULL;
}

static const struct graph_node *node_named(const struct graph *graph, const char *tensor)
{
    for (int i = 0; i < graph->node_count; i++) {
        const char *name = graph->tensors[graph->nodes[i].output].name;
        if (name != NULL && strcmp(name, tensor) == 0)
            return &graph->nodes[i];
    }
    return NULL;
}

static bool fits(const struct graph *graph, const struct engine_int8_layer *layer)
{
    const struct graph_node *node = node_named(graph, layer->tensor);
    const struct graph_tensor *w;

    if (node == NULL || !engine_can_int8(graph, node))
        return false;
    w = &graph->tensors[node->inputs[1]];
    return layer->bf16 ||
           (layer->n == w->dims[0] && layer->k == w->dims[1] * node->window.kernel_h * node->window.kernel_w);
}

/* Squares of a channel's weights, and of what the rounded ones are away from them; w [c][taps], rounded [taps][c]. */
static void squares(const float *w, const struct engine_int8_layer *layer, int channel, int taps, double sums[2])
{
    const int8_t *q = layer->w + (ptrdiff_t)channel * layer->k;
    double scale = (double)layer->scale[channel];
    int c = layer->k / taps;

    sums[0] = sums[1] = 0;
    for (int t = 0; t < taps; t++)
        for (int i = 0; i < c; i++) {
            double x = (double)w[i * taps + t], d = x - scale * q[t * c + i];
            sums[0] += x * x;
            sums[1] += d * d;
        }
}

/* Rounding moves a channel's weights by some hundredths of their size; those of next to nothing may be gone. */
static bool resembles(const struct graph *graph, const struct engine_int8_layer *layer)
{
    const struct graph_node *node = node_named(graph, layer->tensor);
    const float *w = graph->tensors[node->inputs[1]].data;
    int taps = node->window.kernel_h * node->window.kernel_w;
    double sums[2], all = 0;

    for (int i = 0; i < layer->n; i++) {
        squares(w + (ptrdiff_t)i * layer->k, layer, i, taps, sums);
        all += sums[0] / layer->n;
    }
    for (int i = 0; i < layer->n; i++) {
        squares(w + (ptrdiff_t)i * layer->k, layer, i, taps, sums);
        if (!(sums[1] <= sums[0] / 16 + all / 500))
            return false;
    }
    return true;
}

enum infomask_status int8_check(const struct engine_model *model, struct infomask_error *err)
{
    const struct engine_int8 *int8 = model->options.int8;

    if (model->options.precision != ENGINE_INT8)
        return INFOMASK_OK;
    if (int8 == NULL)
        return error_set(err, INFOMASK_ARGUMENT, "precision int8 needs quantised weights");
    for (int i = 0; i < int8->count; i++)
        if (!fits(model->graph, &int8->layers[i]))
            return error_set(err, INFOMASK_BAD_MODEL, "the int8 weights of '%.80s' do not fit the network",
                             int8->layers[i].tensor);
    for (int i = 0; i < int8->count; i++)
        if (!int8->layers[i].bf16 && !resembles(model->graph, &int8->layers[i]))
            return error_set(
                err, INFOMASK_BAD_MODEL,
                "the int8 weights of '%.80s' are not the network's rounded: a channel is off by more than a quarter "
                "of its size",
                int8->layers[i].tensor);
    return INFOMASK_OK;
}
