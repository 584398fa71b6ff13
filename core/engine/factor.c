/* Squeeze and excitation: a map is pooled, the averages become a factor for each of its channels, and the map times
 * the factors goes into a 1 x 1 convolution.  Where the map has more pixels than the convolution has outputs it is less
 * work to multiply the convolution's weights, (A diag(s)) W = A (diag(s) W): the map is read as it lies, and no second
 * one of its size is written and read. */
#include <math.h>

#include "core/engine/internal.h"

static bool is_plain(const struct kernel_epilogue *e)
{
    return e->activation == KERNEL_CLAMP && e->low == -INFINITY && e->high == INFINITY;
}

/* Is the tensor read after the run, or by noisy passes? */
static bool is_asked_for(const struct engine_model *model, int tensor)
{
    bool asked = tensor == model->output || tensor == model->features || (model->kept != NULL && model->kept[tensor]);

    for (int i = 0; i < model->info.tap_count; i++)
        asked = asked || model->taps[i] == tensor;
    return asked;
}

/* The node that reads the tensor if there is one alone, and that as its main input; else -1. */
static int only_reader(const struct graph *graph, int tensor)
{
    int reader = -1, readers = 0;

    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] == tensor) {
                reader = j == 0 ? i : -1;
                readers++;
            }
    return readers == 1 ? reader : -1;
}

/* A map of one picture times one number a channel, both computed by this run. */
static bool scales_channels(const struct engine_model *model, const struct plan *plan, const struct graph_node *node)
{
    const struct value *map, *factor;

    if (node->op != GRAPH_MUL || node->input_count < 2 || model_is_constant(model, node->inputs[0]) ||
        model_is_constant(model, node->inputs[1]))
        return false;
    map = &plan->values[node->inputs[0]];
    factor = &plan->values[node->inputs[1]];
    return shape_is_map(&map->shape) && map->shape.d[0] == 1 && shape_is_map(&factor->shape) &&
           factor->shape.d[1] == map->shape.d[1] && factor->elements == (size_t)map->shape.d[1] && !map->viewed &&
           !factor->viewed;
}

void factors_find(const struct engine_model *model, struct plan *plan)
{
    const struct graph *graph = model->graph;

    for (int i = model->first; i < graph->node_count && !plan->noisy && !model->apart; i++) {
        const struct graph_node *node = &graph->nodes[i];
        int reader = scales_channels(model, plan, node) ? only_reader(graph, node->output) : -1;
        const struct layer *layer = reader < 0 ? NULL : &model->layers[reader];
        const struct shape *shape = &plan->values[node->output].shape;

        if (layer == NULL || layer->way != WAY_PRODUCT || layer->groups != 1 || layer->jumps ||
            layer->type != KERNEL_F32 || graph->nodes[reader].op != GRAPH_CONV ||
            shape->d[2] * shape->d[3] <= layer->weights->n || !is_plain(&model->layers[i].epilogue) ||
            is_asked_for(model, node->output))
            continue;
        plan->values[node->output].viewed = true;
    }
}

int factor_of(const struct engine_model *model, const struct plan *plan, int tensor)
{
    int at = tensor < 0 ? -1 : graph_producer(model->graph, tensor);

    if (at < 0 || model->graph->nodes[at].op != GRAPH_MUL || !plan->values[tensor].viewed)
        return GRAPH_NONE;
    return model->graph->nodes[at].inputs[1];
}
