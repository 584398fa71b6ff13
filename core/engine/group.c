/* Which steps run together.  On large maps the expansion of an inverted residual block is made a few lines at a time,
 * just before the depthwise convolution that reads it, and the projection follows at once: what lies between them never
 * leaves the second cache, and has no place in the arena.  A kernel that copies its input has it near anyway, and reads
 * so many lines for one that they would not fit. */
#include "core/base/aligned.h"
#include "core/engine/internal.h"

#define GROUP_SIDE 56 /* maps at least as high: smaller ones stay in the caches anyway */
#define WINDOW_BYTES ((size_t)384 << 10) /* of expanded lines: they stay in the second cache */

static const struct layer *layer_at(const struct engine_model *model, const struct plan *plan, int step)
{
    return &model->layers[plan->steps[step].node];
}

/* Does only the next step read what this one makes, and that as its main input? */
static bool leads_to_next(const struct plan *plan, int step)
{
    const struct step *s = &plan->steps[step];
    const struct value *y = &plan->values[s->y];

    return step + 1 < plan->trunk && plan->steps[step + 1].x == s->y && y->readers == 1 && !y->shared &&
           y->root == s->y && shape_is_map(&y->shape);
}

static bool is_product(const struct layer *layer)
{
    return layer->way == WAY_PRODUCT && layer->groups == 1 && !layer->jumps;
}

/* Of a map that lies densely, by the layer's own weights. */
static bool is_expansion(const struct engine_model *model, const struct plan *plan, int step)
{
    const struct layer *layer = layer_at(model, plan, step);

    return (is_product(layer) || (layer->way == WAY_SEGMENTS && layer->groups == 1)) && plan->steps[step].factor < 0 &&
           !plan->values[plan->steps[step].x].strided;
}

/* Window 0 holds what the depthwise convolution reads, window 1 what it makes. */
static void join(const struct engine_model *model, struct plan *plan, int leader, int members)
{
    for (int i = leader; i + 1 < leader + members; i++) {
        struct value *inside = &plan->values[plan->steps[i].y];
        inside->region = REGION_LINES;
        inside->window = layer_at(model, plan, i)->way == WAY_DEPTHWISE;
    }
    plan->steps[leader].members = members;
}

/* A table whose products' last bit depends on how they are cut keeps every step whole.  A projection that has joined
 * the group before it leads none, though a depthwise convolution may follow. */
void groups_find(const struct engine_model *model, struct plan *plan)
{
    int grouped = 0; /* behind the last step of the last group */

    for (int i = 0; i < plan->step_count; i++)
        plan->steps[i].members = 1;
    for (int i = 1; model->kernels->gemm_segments && !model->apart && i < plan->trunk; i++) {
        const struct layer *layer = layer_at(model, plan, i);
        int members;
        if (i - 1 < grouped || layer->way != WAY_DEPTHWISE || layer->multiplier != 1 || !leads_to_next(plan, i - 1) ||
            depthwise_scratch(model, plan->steps[i].node, 1) > 0 || !is_expansion(model, plan, i - 1) ||
            plan->values[plan->steps[i].x].shape.d[2] < GROUP_SIDE || plan->values[plan->steps[i].x].shape.d[0] != 1)
            continue;
        members = leads_to_next(plan, i) && is_product(layer_at(model, plan, i + 1)) ? 3 : 2;
        join(model, plan, i - 1, members);
        grouped = i - 1 + members;
    }
}

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

static size_t line_bytes(const struct plan *plan, const struct step *s)
{
    return (size_t)s->out_w * (size_t)s->out_c * kernel_type_bytes(plan->values[s->y].type);
}

/* Scratch of a product for `lines` lines of its input, if they are of another type than it takes. */
static size_t narrow_bytes(const struct engine_model *model, const struct plan *plan, const struct step *s, int lines)
{
    enum kernel_type type = model->layers[s->node].type;

    if (model->layers[s->node].way != WAY_PRODUCT || plan->values[s->x].type == type)
        return 0;
    return (size_t)lines * (size_t)s->w * (size_t)s->c * kernel_type_bytes(type);
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Chunks are lines of the depthwise convolution's output; each pays for the lines of expansion that the one before it
 * has made as well.  Inside a chunk, as many lines at once as the window can hold. */
void group_geometry(const struct engine_model *model, const struct plan *plan, struct step *leader)
{
    struct step *depthwise = leader + 1, *last = leader + leader->members - 1;
    const struct graph_window *w = &model->graph->nodes[depthwise->node].window;
    double expand_us = step_line_us(model, leader), line_us = step_line_us(model, depthwise);
    int overlap = lines_under(w, 1) - w->stride_h, parts;

    if (last > depthwise)
        line_us += step_line_us(model, last);
    line_us += expand_us * w->stride_h;
    leader->cut = cut_make(depthwise->out_h, line_us, overlap > 0 ? overlap * expand_us : 0, MOST_CHUNKS);
    leader->group_lines = leader->cut.size;
    while (leader->group_lines > 1 &&
           line_bytes(plan, leader) * (size_t)lines_under(w, leader->group_lines) > WINDOW_BYTES)
        leader->group_lines--;
    parts = (leader->cut.size + leader->group_lines - 1) / leader->group_lines;
    leader->group_lines = (leader->cut.size + parts - 1) / parts;
    for (int i = 0; i < leader->members; i++)
        leader[i].staged = GRAPH_NONE;
    if (model->layers[leader->node].way == WAY_SEGMENTS)
        step_strips(model, plan, leader, lines_under(w, leader->group_lines));
    else
        leader->scratch =
            larger(leader->scratch, narrow_bytes(model, plan, leader, lines_under(w, leader->group_lines)));
    leader->window_at = aligned_round(leader->scratch);
    depthwise->window_at = leader->window_at +
                           aligned_round(line_bytes(plan, leader) * (size_t)lines_under(w, leader->group_lines));
    last->scratch_at = depthwise->window_at;
    if (last > depthwise) {
        last->scratch_at += aligned_round(line_bytes(plan, depthwise) * (size_t)leader->group_lines);
        last->scratch = larger(last->scratch, narrow_bytes(model, plan, last, leader->group_lines));
    }
    leader->scratch = last->scratch_at + aligned_round(last > depthwise ? last->scratch : 0);
}
