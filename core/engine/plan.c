/* A plan: the shapes of one size, which tensors are only another view of the same memory, how long each lives, and
 * where it lies. */
#include <stdlib.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/engine/internal.h"

static bool is_vector(const struct shape *s) { return s->rank < 2 || shape_elements(s) == (size_t)s->d[1]; }

static bool is_view(const struct graph_node *node, const struct plan *plan)
{
    return plan->values[node->output].viewed;
}

/* Steps of the active nodes that do something; the trunk ends behind the last that reads a map. */
static void list_steps(const struct engine_model *model, struct plan *plan)
{
    const struct graph *graph = model->graph;

    for (int i = model->first; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        bool sums = node->op == GRAPH_ADD || node->op == GRAPH_MUL;
        int z = graph_input(node, sums ? 1 : 3);
        bool reads_map = false;

        if (!plan_is_active(model, plan, node) || is_view(node, plan))
            continue;
        if (!sums && node->op != GRAPH_CONV && node->op != GRAPH_LINEAR)
            z = GRAPH_NONE;
        plan->steps[plan->step_count++] = (struct step){.node = i, .x = node->inputs[0], .y = node->output, .z = z,
                                                        .addend = GRAPH_NONE,
                                                        .factor = factor_of(model, plan, node->inputs[0])};
        for (int j = 0; j < node->input_count; j++)
            if (node->inputs[j] >= 0 && !model_is_constant(model, node->inputs[j]) &&
                !is_vector(&plan->values[node->inputs[j]].shape))
                reads_map = true;
        if (reads_map)
            plan->trunk = plan->step_count;
    }
    for (int i = plan->trunk; i < plan->step_count; i++)
        plan->steps[i].tail = true;
}

/* All of the trunk is one moment for shared values, because its items may run in any order. */
static int moment(const struct plan *plan, int step, bool shared)
{
    if (!shared)
        return step;
    return step < plan->trunk ? 0 : step - plan->trunk + 1;
}

static struct value *root_of(struct plan *plan, int tensor) { return &plan->values[plan->values[tensor].root]; }

static void find_roots(const struct engine_model *model, struct plan *plan)
{
    const struct graph *graph = model->graph;

    for (int i = 0; i < graph->tensor_count; i++)
        plan->values[i].root = i;
    for (int i = model->first; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (plan_is_active(model, plan, node) && is_view(node, plan))
            plan->values[node->output].root = plan->values[node->inputs[0]].root;
    }
}

static void touch(const struct engine_model *model, struct plan *plan, int tensor, bool tail)
{
    struct value *v;

    if (tensor < 0 || model_is_constant(model, tensor))
        return;
    v = root_of(plan, tensor);
    v->used = true;
    v->shared = v->shared || tail;
}

static void share(const struct engine_model *model, struct plan *plan, int tensor, bool keep)
{
    struct value *v = root_of(plan, tensor);

    touch(model, plan, tensor, true);
    if (keep)
        v->last = INT32_MAX;
}

/* What stays readable: output, taps, and what noisy passes start from. */
static void share_results(const struct engine_model *model, struct plan *plan)
{
    share(model, plan, model->output, true);
    if (plan->noisy)
        return;
    share(model, plan, model->input, false);
    for (int i = 0; plan->taps && i < model->info.tap_count; i++)
        share(model, plan, model->taps[i], true);
    if (plan->taps && model->features >= 0)
        share(model, plan, model->features, true);
    for (int i = 0; plan->n == 1 && model->info.noise && i < model->graph->tensor_count; i++)
        if (model->kept[i])
            share(model, plan, i, true);
}

static void find_sharing(const struct engine_model *model, struct plan *plan)
{
    for (int i = 0; i < model->graph->tensor_count; i++)
        plan->values[i].last = -1;
    for (int s = 0; s < plan->step_count; s++) {
        const struct graph_node *node = &model->graph->nodes[plan->steps[s].node];
        touch(model, plan, node->output, plan->steps[s].tail);
        touch(model, plan, plan->steps[s].factor, plan->steps[s].tail);
        for (int j = 0; j < node->input_count; j++) {
            touch(model, plan, node->inputs[j], plan->steps[s].tail);
            if (node->inputs[j] >= 0)
                root_of(plan, node->inputs[j])->readers++;
        }
    }
    share_results(model, plan);
}

/* The value is read or written from step `first` to step `last`. */
static void live(const struct engine_model *model, struct plan *plan, int tensor, int first, int last)
{
    struct value *v;

    if (tensor < 0 || model_is_constant(model, tensor))
        return;
    v = root_of(plan, tensor);
    first = moment(plan, first, v->shared);
    last = moment(plan, last, v->shared);
    v->first = first < v->first ? first : v->first;
    v->last = last > v->last ? last : v->last;
}

/* The steps of a group are one moment: what one of them reads, the others must leave alone. */
static void find_lifetimes(const struct engine_model *model, struct plan *plan)
{
    int first = 0, last = -1;

    for (int i = 0; i < model->graph->tensor_count; i++)
        plan->values[i].first = INT32_MAX;
    if (!plan->noisy)
        live(model, plan, model->input, 0, 0);
    for (int s = 0; s < plan->step_count; s++) {
        const struct graph_node *node = &model->graph->nodes[plan->steps[s].node];
        if (s > last) {
            first = s;
            last = s + plan->steps[s].members - 1;
        }
        live(model, plan, node->output, first, last);
        live(model, plan, plan->steps[s].factor, first, last);
        live(model, plan, plan->steps[s].addend, first, last);
        for (int j = 0; j < node->input_count; j++)
            live(model, plan, node->inputs[j], first, last);
    }
}

/* Staged inputs and scaled weights live during their step alone, for the items that it is for. */
static void add_staged(const struct engine_model *model, struct plan *plan)
{
    for (int i = 0; i < plan->step_count; i++) {
        struct value *v = &plan->values[model->graph->tensor_count + i];
        v->root = model->graph->tensor_count + i;
        if (plan->steps[i].staged < 0 && plan->steps[i].factor < 0)
            continue;
        v->used = true;
        v->shared = plan->steps[i].tail;
        v->first = v->last = moment(plan, i, v->shared);
    }
}

/* Regions, and after placement the views of each root. */
static bool place(const struct engine_model *model, struct plan *plan)
{
    int tensors = model->graph->tensor_count, count = tensors + plan->step_count;

    for (int i = 0; i < count; i++) {
        struct value *v = &plan->values[i];
        if (v->region == REGION_LINES)
            continue;
        v->region = v->shared ? REGION_SHARED : REGION_LOCAL;
        if (plan->noisy && v->root == i && i < tensors && !model->noisy[i])
            v->region = REGION_OUTER;
        v->stride = v->region == REGION_SHARED ? v->elements * kernel_type_bytes(v->type) : 0;
    }
    if (!place_values(plan, count))
        return false;
    for (int i = 0; i < count; i++) {
        const struct value *root = root_of(plan, i);
        plan->values[i].region = root->region;
        plan->values[i].offset = root->offset + plan->values[i].shift;
        plan->values[i].stride = root->stride;
        plan->values[i].used = root->used;
    }
    return true;
}

static enum infomask_status set_shapes(const struct engine_model *model, struct plan *plan, struct infomask_error *err)
{
    int count = model->graph->tensor_count;
    struct shape *shapes = calloc((size_t)count, sizeof *shapes);
    enum infomask_status status;

    if (shapes == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a plan");
    status = shapes_infer(model, plan->h, plan->w, shapes, err);
    for (int i = 0; i < count && status == INFOMASK_OK; i++) {
        size_t total;
        plan->values[i].shape = shapes[i];
        plan->values[i].elements = shape_elements(&shapes[i]);
        if (!model_is_constant(model, i) && !checked_mul3(plan->values[i].elements, (size_t)plan->n, 64, &total))
            status = error_set(err, INFOMASK_LIMIT, "a batch of %d is too large", plan->n);
    }
    free(shapes);
    return status;
}

enum infomask_status plan_create(const struct engine_model *model, struct plan *plan, struct infomask_error *err)
{
    enum infomask_status status;

    plan->values = calloc((size_t)model->graph->tensor_count + (size_t)model->graph->node_count + 1,
                          sizeof *plan->values);
    plan->steps = calloc((size_t)model->graph->node_count + 1, sizeof *plan->steps);
    if (plan->values == NULL || plan->steps == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a plan");
    status = set_shapes(model, plan, err);
    if (status != INFOMASK_OK)
        return status;
    if (!views_find(model, plan))
        return error_set(err, INFOMASK_MEMORY, "no memory for a plan");
    factors_find(model, plan);
    find_roots(model, plan);
    list_steps(model, plan);
    find_sharing(model, plan);
    roundings_join(model, plan);
    groups_find(model, plan);
    types_find(model, plan);
    for (int i = 0; i < plan->step_count; i++)
        step_geometry(model, plan, i);
    followers_find(model, plan);
    for (int i = 0; i < plan->step_count; i += plan->steps[i].members) {
        if (plan->steps[i].members > 1 && !plan->steps[i].led)
            group_geometry(model, plan, &plan->steps[i]);
        if (plan->steps[i].scratch > plan->scratch_bytes)
            plan->scratch_bytes = aligned_round(plan->steps[i].scratch);
    }
    find_lifetimes(model, plan);
    add_staged(model, plan);
    if (!place(model, plan))
        return error_set(err, INFOMASK_MEMORY, "no memory for a plan");
    return INFOMASK_OK;
}

void plan_free(struct plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->values);
    free(plan->steps);
    free(plan);
}
