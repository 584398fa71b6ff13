/* Passes over the elements of a map that go along with the step which makes it: a norm behind an activation, a sum of
 * two maps, what rounds one.  Each part of the map is passed over as soon as it is there, while it is in the caches,
 * and where nobody else reads what the pass reads, what it writes lies in the same place. */
#include <math.h>

#include "core/engine/internal.h"

/* The memory of an item is all the tensor's own, in float32, pixel by pixel. */
static bool is_own_map(const struct plan *plan, int tensor)
{
    const struct value *v = &plan->values[tensor];
    return v->root == tensor && !v->strided && v->type == KERNEL_F32 && shape_is_map(&v->shape) && v->shape.d[0] == 1;
}

/* Its kernel may do all that follows; else the cut is changed (followers_find). */
static bool may_lead_by_channels(const struct engine_model *model, const struct step *s)
{
    return model->layers[s->node].way == WAY_DEPTHWISE && s->scratch > 0;
}

/* Does it make its map from the first line to the last, all channels of a pixel at once? */
static bool leads(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    if (s->members != 1 || s->tail || (s->by_panels && !may_lead_by_channels(model, s)) || !is_own_map(plan, s->y))
        return false;
    switch (model->layers[s->node].way) {
    case WAY_PRODUCT:
    case WAY_SEGMENTS:
    case WAY_GATHER:
    case WAY_DEPTHWISE:
        return true;
    case WAY_WINOGRAD:
        return false;
    case WAY_OTHER:
        break;
    }
    switch (model->graph->nodes[s->node].op) {
    case GRAPH_ADD:
    case GRAPH_MUL:
    case GRAPH_BATCH_NORM:
    case GRAPH_ACTIVATION:
        return !s->by_rows && pass_by_pixels(model, plan, s);
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        return true;
    case GRAPH_RESIZE:
        return !s->by_rows;
    default:
        return false;
    }
}

/* Does step `at` only look at pixels that the steps from `leader` on have made, or at what was there before? */
static bool follows(const struct engine_model *model, const struct plan *plan, int leader, int at)
{
    const struct step *s = &plan->steps[at];
    bool reads = false;

    if (at >= plan->trunk || s->members != 1 || s->factor >= 0 || !is_own_map(plan, s->y) ||
        !pass_by_pixels(model, plan, s))
        return false;
    for (int side = 0; side < 2; side++) {
        int tensor = side == 0 ? s->x : s->z;
        for (int i = leader; tensor >= 0 && !model_is_constant(model, tensor) && i < at; i++) {
            if (plan->values[tensor].root != plan->values[plan->steps[i].y].root)
                continue;
            if (tensor != plan->steps[i].y || !shape_same(&plan->values[tensor].shape, &plan->values[s->y].shape))
                return false;
            reads = true;
        }
    }
    return reads;
}

/* What the pass writes takes the place of one of the maps that it reads. */
static bool write_on(const struct engine_model *model, struct plan *plan, const struct step *s, int from)
{
    const struct value *x = &plan->values[from], *y = &plan->values[s->y];

    if (x->readers != 1 || x->shared || y->shared || y->root != s->y || x->strided ||
        !shape_same(&x->shape, &y->shape))
        return false;
    for (int i = 0; i < model->graph->tensor_count; i++)
        if (plan->values[i].root == s->y)
            plan->values[i].root = x->root;
    return true;
}

/* Is it the map of one of the steps from `leader` to the one before `at`? */
static bool made_here(const struct plan *plan, int leader, int at, int tensor)
{
    for (int i = leader; i < at; i++)
        if (plan->steps[i].y == tensor)
            return true;
    return false;
}

static void write_in_place(const struct engine_model *model, struct plan *plan, int leader, int at)
{
    const struct step *s = &plan->steps[at];

    if (made_here(plan, leader, at, s->x) && write_on(model, plan, s, s->x))
        return;
    if (made_here(plan, leader, at, s->z))
        (void)write_on(model, plan, s, s->z);
}

static bool is_bare(const struct layer *layer)
{
    const struct kernel_epilogue *e = &layer->epilogue;
    return e->activation == KERNEL_CLAMP && e->low == -INFINITY && e->high == INFINITY;
}

/* Does the kernel of the leader do more than the activation? */
static bool finishes(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    bool product = layer->way == WAY_PRODUCT && layer->groups == 1 && !layer->jumps && layer->type == KERNEL_F32 &&
                   plan->values[s->x].type == KERNEL_F32;

    return model->kernels->then != 0 && (product || (layer->way == WAY_DEPTHWISE && layer->multiplier == 1));
}

/* A norm, a sum and what rounds them behind the activation, where nobody else reads what lies between, are the
 * kernel's. */
static void absorb(const struct engine_model *model, const struct plan *plan, struct step *leader)
{
    const struct step *next = leader + 1, *end = leader + leader->members;
    const int root = plan->values[leader->y].root;

    if (leader->rounding.scale > 0 || !finishes(model, plan, leader))
        return;
    if (next < end && model->graph->nodes[next->node].op == GRAPH_BATCH_NORM && is_bare(&model->layers[next->node]) &&
        plan->values[next->y].root == root) {
        leader->absorbed++;
        next++;
    }
    if (next < end && model->graph->nodes[next->node].op == GRAPH_ADD && is_bare(&model->layers[next->node]) &&
        plan->values[next->y].root == root && !model_is_constant(model, next->z) &&
        shape_same(&plan->values[next->x].shape, &plan->values[next->z].shape)) {
        leader->addend = plan->values[next->x].root == root ? next->z : next->x;
        leader->absorbed++;
        next++;
    }
    if (next < end && model->layers[next->node].rounding.scale > 0 && plan->values[next->y].root == root) {
        leader->rounding = model->layers[next->node].rounding;
        leader->absorbed++;
    }
}

void followers_find(const struct engine_model *model, struct plan *plan)
{
    for (int i = 0; i < plan->trunk; i += plan->steps[i].members) {
        struct step *leader = &plan->steps[i];
        int end = i + 1;
        if (model->apart || !leads(model, plan, leader))
            continue;
        while (follows(model, plan, i, end))
            end++;
        leader->led = end - i > 1;
        leader->members = end - i;
        for (int j = i + 1; j < end; j++)
            write_in_place(model, plan, i, j);
        absorb(model, plan, leader);
        if (leader->by_panels && leader->absorbed + 1 < leader->members)
            step_depthwise_rows(model, leader);
    }
}
