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

static bool fits(const struct graph *graph, const struct engine_int8_layer *layer)
{
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        const struct graph_tensor *w;
        const char *name = graph->tensors[node->output].name;
        if (name == NULL || strcmp(name, layer->tensor) != 0)
            continue;
        if (!engine_can_int8(graph, node))
            return false;
        w = &graph->tensors[node->inputs[1]];
        return layer->bf16 || (layer->n == w->dims[0] &&
                               layer->k == w->dims[1] * node->window.kernel_h * node->window.kernel_w);
    }
    return false;
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
    return INFOMASK_OK;
}
