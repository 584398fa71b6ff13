/* What rounds a map is the kernel's that makes it, where nobody else reads the map as it was; so is a sum of two maps,
 * each rounded, that is rounded itself: of the later one's kernel.  These steps are no steps of the plan then. */
#include <math.h>

#include "core/engine/internal.h"

/* The memory of one picture is all the tensor's own, pixel by pixel, and only steps of the trunk read it. */
static bool is_own_map(const struct plan *plan, int tensor)
{
    const struct value *v = &plan->values[tensor];
    return v->root == tensor && !v->strided && !v->shared && shape_is_map(&v->shape) && v->shape.d[0] == 1;
}

/* Can the kernel of the step do what follows? */
static bool finishes(const struct engine_model *model, const struct step *s)
{
    const struct layer *layer = &model->layers[s->node];

    if (s->z >= 0)
        return false;
    switch (layer->way) {
    case WAY_PRODUCT:
    case WAY_SEGMENTS:
    case WAY_GATHER:
        return (model->kernels->then & 1u << layer->type) != 0;
    case WAY_DEPTHWISE:
        return model->kernels->then != 0 && layer->multiplier == 1;
    case WAY_WINOGRAD:
    case WAY_OTHER:
        break;
    }
    return false;
}

/* Does a product make some channels at a time? */
static bool is_grouped(const struct layer *layer) { return layer->way != WAY_DEPTHWISE && layer->groups != 1; }

/* The one step of the trunk that reads what step `at` makes, and nothing else does; -1: there is none such. */
static int only_reader(const struct plan *plan, int tensor, int at)
{
    if (plan->values[tensor].readers != 1 || !is_own_map(plan, tensor))
        return -1;
    for (int i = at + 1; i < plan->trunk; i++)
        if (plan->steps[i].x == tensor || plan->steps[i].z == tensor)
            return i;
    return -1;
}

/* That one, if it rounds. */
static int rounding_behind(const struct engine_model *model, const struct plan *plan, int tensor, int at)
{
    int reader = only_reader(plan, tensor, at);

    return reader >= 0 && model->layers[plan->steps[reader].node].rounding.scale > 0 &&
                   is_own_map(plan, plan->steps[reader].y)
               ? reader
               : -1;
}

/* Is the tensor there before step `at`? */
static bool is_there(const struct engine_model *model, const struct plan *plan, int tensor, int at)
{
    for (int i = at; i < plan->trunk; i++)
        if (plan->steps[i].node >= 0 && plan->values[plan->steps[i].y].root == plan->values[tensor].root)
            return false;
    return !model_is_constant(model, tensor);
}

static void leave_out(struct step *s) { s->node = s->x = s->y = s->z = GRAPH_NONE; }

/* The step's kernel makes what step `other` would have made. */
static void take_over(const struct engine_model *model, struct plan *plan, struct step *s, struct step *other)
{
    int y = other->y;

    plan->values[s->y].used = false;
    plan->values[s->y].root = plan->values[model->graph->nodes[s->node].output].root = y;
    s->y = y;
    leave_out(other);
}

static bool clamps(const struct kernel_epilogue *e) { return e->activation == KERNEL_CLAMP; }

/* The bounds that a clamp before the rounding leaves: rounding keeps the order of numbers. */
static struct kernel_rounding clamped(struct kernel_rounding r, const struct kernel_epilogue *clamp)
{
    float low = nearbyintf(clamp->low / r.scale), high = nearbyintf(clamp->high / r.scale);

    r.low = fmaxf(r.low, fminf(r.high, low));
    r.high = fminf(r.high, fmaxf(r.low, high));
    return r;
}

/* A sum of what the step makes, rounded, and of a map that is there. */
static void join_sum(const struct engine_model *model, struct plan *plan, int at)
{
    struct step *s = &plan->steps[at], *sum;
    int reader = only_reader(plan, s->y, at), rounding, other;
    const struct layer *layer;

    if (reader < 0 || model->graph->nodes[plan->steps[reader].node].op != GRAPH_ADD ||
        is_grouped(&model->layers[s->node]))
        return;
    sum = &plan->steps[reader];
    layer = &model->layers[sum->node];
    other = sum->x == s->y ? sum->z : sum->x;
    rounding = rounding_behind(model, plan, sum->y, reader);
    if (rounding < 0 || other < 0 || !clamps(&layer->epilogue) || plan->values[other].strided ||
        !is_there(model, plan, other, at) || !shape_same(&plan->values[other].shape, &plan->values[s->y].shape))
        return;
    s->addend = other;
    s->first = s->rounding;
    s->rounding = clamped(model->layers[plan->steps[rounding].node].rounding, &layer->epilogue);
    take_over(model, plan, s, &plan->steps[rounding]);
    leave_out(sum);
}

/* Steps that are left, one behind the other. */
static void close_gaps(struct plan *plan)
{
    int count = 0, trunk = 0;

    for (int i = 0; i < plan->step_count; i++) {
        if (plan->steps[i].node < 0)
            continue;
        plan->steps[count++] = plan->steps[i];
        if (i < plan->trunk)
            trunk = count;
    }
    plan->step_count = count;
    plan->trunk = trunk;
}

void roundings_join(const struct engine_model *model, struct plan *plan)
{
    for (int i = 0; i < plan->trunk && !model->apart; i++) {
        struct step *s = &plan->steps[i];
        int reader = s->node >= 0 && finishes(model, s) ? rounding_behind(model, plan, s->y, i) : -1;
        const struct kernel_rounding *rounding;
        if (reader < 0)
            continue;
        rounding = &model->layers[plan->steps[reader].node].rounding;
        s->clamped = clamps(&model->layers[s->node].epilogue);
        s->rounding = s->clamped ? clamped(*rounding, &model->layers[s->node].epilogue) : *rounding;
        take_over(model, plan, s, &plan->steps[reader]);
        join_sum(model, plan, i);
    }
    close_gaps(plan);
}
