/* Which layers a head has: found back from the logits to a pooled map, or to one laid flat. */
#include <stdlib.h>
#include <string.h>

#include "core/engine/head/layers.h"

#define MOST_FLAT_CELLS 1024

/* ---- Finding ----------------------------------------------------------------------------------------------------- */

struct finder {
    const struct engine_model *model;
    const struct shape *shapes;
    bool *needed; /* [tensors] */
    int *slot;    /* [tensors] */
    int source;   /* tensor that the layers begin with */
    int map;
    struct head_layers *found;
};

static size_t width_of(const struct finder *f, int tensor)
{
    return shape_elements(&f->shapes[tensor]) / (size_t)model_batch(f->model);
}

/* Only one of its dimensions counts, so that no order of them matters. */
static bool is_vector(const struct finder *f, int tensor)
{
    const struct shape *s = &f->shapes[tensor];
    int counting = 0;

    for (int i = 1; i < s->rank; i++)
        counting += s->d[i] > 1;
    return s->rank >= 2 && counting <= 1 && s->d[0] == model_batch(f->model);
}

static bool is_area(const struct shape *s) { return shape_is_map(s) && s->d[2] * s->d[3] > 1; }

/* Where the layers begin, if this node is what makes it: a pooled map, or one laid flat. */
static int begins(struct finder *f, const struct graph_node *node)
{
    int x = node->inputs[0];
    const struct graph_node *turn;
    static const int last[4] = {0, 2, 3, 1};

    if (node->op == GRAPH_GLOBAL_AVERAGE)
        return x;
    if (node->op != GRAPH_RESHAPE || !is_vector(f, node->output))
        return GRAPH_NONE;
    if (is_area(&f->shapes[x]) && x != f->model->input) {
        f->found->flat = true;
        return x;
    }
    if (graph_producer(f->model->graph, x) < f->model->first)
        return GRAPH_NONE;
    turn = &f->model->graph->nodes[graph_producer(f->model->graph, x)];
    if (turn->op == GRAPH_TRANSPOSE && memcmp(turn->permutation, last, sizeof last) == 0 &&
        is_area(&f->shapes[turn->inputs[0]]) && turn->inputs[0] != f->model->input) {
        f->found->flat = f->found->channels_last = true;
        return turn->inputs[0];
    }
    return GRAPH_NONE;
}

static bool is_unit(const struct graph_window *w)
{
    return w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->groups == 1 &&
           (w->pad_top | w->pad_left | w->pad_bottom | w->pad_right | w->auto_pad) == 0;
}

static bool passes_on(const struct graph_node *node)
{
    return node->op == GRAPH_RESHAPE || node->op == GRAPH_IDENTITY || node->op == GRAPH_DROPOUT ||
           node->op == GRAPH_NOISE || node->op == GRAPH_TRANSPOSE || node->op == GRAPH_EXPAND;
}

static bool is_last_axis(const struct finder *f, const struct graph_node *node)
{
    int rank = f->shapes[node->inputs[0]].rank;
    bool reduces = node->op == GRAPH_REDUCE;

    return (size_t)f->shapes[node->inputs[0]].d[rank - 1] == width_of(f, node->inputs[0]) &&
           (reduces ? node->axes == 1u << (rank - 1) : node->axis == rank - 1 || node->axis == -1);
}

/* Is it one of the layers that rows can go through? */
static bool is_known(const struct finder *f, const struct graph_node *node)
{
    switch (node->op) {
    case GRAPH_LINEAR:
    case GRAPH_CONV:
        return f->model->constant[node->inputs[1]] && (node->op == GRAPH_LINEAR || is_unit(&node->window));
    case GRAPH_BATCH_NORM:
    case GRAPH_ACTIVATION:
    case GRAPH_ADD:
    case GRAPH_MUL:
    case GRAPH_QUANTIZE:
        return true;
    case GRAPH_BINARY:
        return node->function == GRAPH_PLUS || node->function == GRAPH_MINUS || node->function == GRAPH_TIMES ||
               node->function == GRAPH_DIVIDE;
    case GRAPH_LAYER_NORM:
        return is_last_axis(f, node);
    case GRAPH_REDUCE:
        return node->function == GRAPH_L2 && is_last_axis(f, node);
    default:
        return passes_on(node);
    }
}

/* Marks what the logits are made of, back to where the layers begin; false: they are made of something else as well. */
static bool mark(struct finder *f, int logits)
{
    const struct graph *graph = f->model->graph;

    f->needed[logits] = true;
    for (int i = graph->node_count - 1; i >= f->model->first; i--) {
        const struct graph_node *node = &graph->nodes[i];
        int map;
        if (!f->needed[node->output])
            continue;
        map = begins(f, node);
        if (map >= 0) {
            if (f->source >= 0)
                return false;
            f->source = node->output;
            f->map = map;
            continue;
        }
        if (!is_known(f, node) || !is_vector(f, node->output))
            return false;
        for (int j = 0; j < node->input_count; j++)
            if (node->inputs[j] >= 0 && !f->model->constant[node->inputs[j]])
                f->needed[node->inputs[j]] = true;
    }
    return f->source >= 0 && !f->needed[f->model->input];
}

/* The slot of an operand; a constant one has none, but its number of elements. */
static bool operand(const struct finder *f, const struct graph_node *node, int input, struct head_step *step, int *slot)
{
    int tensor = graph_input(node, input);
    size_t n = 1, width = width_of(f, node->output);
    const struct graph_tensor *t;

    *slot = GRAPH_NONE;
    if (tensor < 0)
        return true;
    if (!f->model->constant[tensor]) {
        *slot = f->slot[tensor];
        return *slot >= 0;
    }
    t = &f->model->graph->tensors[tensor];
    for (int i = 0; i < t->rank; i++)
        n *= (size_t)t->dims[i];
    step->elements[input] = (int)n;
    return n == 1 || n == width;
}

static bool has_two(const struct graph_node *node)
{
    return node->op == GRAPH_ADD || node->op == GRAPH_MUL || node->op == GRAPH_BINARY;
}

static bool is_piecewise(const struct graph_node *node, bool computed)
{
    bool function = node->activation == GRAPH_LINEAR_ACTIVATION || node->activation == GRAPH_CLAMP ||
                    node->activation == GRAPH_HARD_SIGMOID || node->activation == GRAPH_LEAKY_RELU;
    bool product = node->op == GRAPH_MUL || (node->op == GRAPH_BINARY && (node->function == GRAPH_TIMES ||
                                                                          node->function == GRAPH_DIVIDE));

    return function && !(product && computed) && node->op != GRAPH_LAYER_NORM && node->op != GRAPH_REDUCE &&
           node->op != GRAPH_QUANTIZE;
}

static bool add_step(struct finder *f, int at)
{
    const struct graph_node *node = &f->model->graph->nodes[at];
    struct head_layers *found = f->found;
    struct head_step *step = &found->steps[found->count];
    bool constant = f->model->constant[node->inputs[0]];

    if (passes_on(node)) {
        f->slot[node->output] = f->slot[node->inputs[0]];
        return f->slot[node->output] >= 0 && (width_of(f, node->output) == width_of(f, node->inputs[0]) ||
                                              (node->op == GRAPH_EXPAND && width_of(f, node->inputs[0]) == 1));
    }
    if (found->count == HEAD_STEPS)
        return false;
    *step = (struct head_step){.node = at, .y = GRAPH_NONE};
    if (has_two(node)) {
        if (!operand(f, node, 0, step, &step->x) || !operand(f, node, 1, step, &step->y))
            return false;
        if (constant && (node->op != GRAPH_BINARY || step->y < 0))
            return false;
    } else if (constant || (step->x = f->slot[node->inputs[0]]) < 0) {
        return false;
    } else if ((node->op == GRAPH_LINEAR || node->op == GRAPH_CONV) && graph_input(node, 3) >= 0) {
        step->y = f->slot[node->inputs[3]];
        if (step->y < 0 || width_of(f, node->inputs[3]) != width_of(f, node->output))
            return false;
    }
    found->piecewise = found->piecewise && is_piecewise(node, step->x >= 0 && step->y >= 0);
    step->z = found->slots;
    found->width[found->slots] = (int)width_of(f, node->output);
    f->slot[node->output] = found->slots++;
    found->count++;
    return true;
}

/* The layers in the order of the graph. */
static bool list(struct finder *f, int logits)
{
    const struct graph *graph = f->model->graph;
    const struct shape *map = &f->shapes[f->map];
    struct head_layers *found = f->found;

    if (!is_area(map) && !shape_is_map(map))
        return false;
    found->cells = (int)(map->d[2] * map->d[3]);
    found->piecewise = true;
    found->width[0] = (int)width_of(f, f->source);
    found->slots = 1;
    for (int i = 0; i < graph->tensor_count; i++)
        f->slot[i] = GRAPH_NONE;
    f->slot[f->source] = 0;
    for (int i = f->model->first; i < graph->node_count; i++)
        if (f->needed[graph->nodes[i].output] && graph->nodes[i].output != f->source && !add_step(f, i))
            return false;
    found->last = f->slot[logits];
    return found->last >= 0 &&
           (size_t)found->width[0] == (size_t)map->d[1] * (size_t)(found->flat ? found->cells : 1) &&
           !(found->flat && (found->count == 0 || found->cells > MOST_FLAT_CELLS));
}

enum infomask_status head_layers_find(struct engine_model *model, int logits, const struct shape *shapes,
                                      struct infomask_error *err)
{
    size_t tensors = (size_t)model->graph->tensor_count;
    struct finder f = {.model = model, .shapes = shapes, .source = GRAPH_NONE, .map = GRAPH_NONE,
                       .needed = calloc(tensors, sizeof *f.needed), .slot = malloc(tensors * sizeof *f.slot),
                       .found = calloc(1, sizeof *f.found)};
    bool made = f.needed != NULL && f.slot != NULL && f.found != NULL;

    if (made && model->graph->tensors[model->input].rank == 4 && mark(&f, logits) && list(&f, logits) &&
        (!f.found->flat || model->options.precision == ENGINE_F32)) {
        model->layered = f.found;
        model->features = f.map;
        model->info.head = f.found->flat ? ENGINE_HEAD_FLAT : ENGINE_HEAD_LAYERS;
        model->info.piecewise = f.found->piecewise;
        model->info.features = (int)shapes[f.map].d[1];
        f.found = NULL;
    }
    free(f.needed);
    free(f.slot);
    free(f.found);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the network's head");
}

bool head_layers_have(const struct engine_model *model, int node)
{
    for (int i = 0; model->layered != NULL && i < model->layered->count; i++)
        if (model->layered->steps[i].node == node)
            return true;
    return false;
}

