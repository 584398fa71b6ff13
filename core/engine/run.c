/* Runs a plan: the trunk item by item, the tail for all items at once. */
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/denormals.h"
#include "core/engine/internal.h"

static void step_run_one(const struct task *task)
{
    const struct graph_node *node = &task->run->model->graph->nodes[task->step->node];

    if (task->step->members > 1 && !task->step->led) {
        run_group(task);
        return;
    }
    if (node->op == GRAPH_DROPOUT || node->op == GRAPH_NOISE) {
        run_noise(task);
        return;
    }
    switch (task->run->model->layers[task->step->node].way) {
    case WAY_PRODUCT:
        run_product(task);
        break;
    case WAY_SEGMENTS:
    case WAY_GATHER:
    case WAY_DEPTHWISE:
        run_convolution(task);
        break;
    case WAY_WINOGRAD:
        run_winograd(task);
        break;
    case WAY_OTHER:
        run_other(task);
        break;
    }
}

/* Kernels that take one picture of a map. */
static bool runs_by_image(const struct graph_node *node)
{
    return node->op == GRAPH_CONV || node->op == GRAPH_MAX_POOL || node->op == GRAPH_AVERAGE_POOL ||
           node->op == GRAPH_GLOBAL_AVERAGE;
}

void step_run(const struct task *task)
{
    const struct graph_node *node = &task->run->model->graph->nodes[task->step->node];
    struct task one = *task;

    if (!runs_by_image(node)) {
        step_run_one(task);
        return;
    }
    for (; one.image < (int)task->run->plan->values[task->step->x].shape.d[0]; one.image++)
        step_run_one(&one);
}

/* Tests only: what nobody may read any more turns into NaN. */
static void poison_dead(const struct task *task, int first, int last)
{
    const struct plan *plan = task->run->plan;

    for (int i = 0; i < task->run->model->graph->tensor_count; i++) {
        const struct value *v = &plan->values[i];
        if (v->used && v->root == i && v->region == REGION_LOCAL && v->last >= first && v->last <= last)
            memset(task_value(task, i, task->item), 0xff, v->elements * kernel_type_bytes(v->type));
    }
}

/* Tells who looks on of the step; false: the run ends here. */
static bool watch_step(const struct task *task)
{
    const struct run *run = task->run;
    const struct step *s = task->step;
    const struct layer *layer = &run->model->layers[s->node];
    const struct value *x = &run->plan->values[s->x];
    struct engine_layer seen = {.tensor = run->model->graph->tensors[s->y].name, .rows = s->rows, .n = s->out_c,
                                .task = task};

    if (layer->weights == NULL || layer->groups != 1)
        return true;
    seen.k = layer->weights->segments * layer->weights->segment_k;
    if (x->type == KERNEL_F32)
        seen.x = task_value(task, s->x, task->item);
    seen.elements = x->elements;
    if (s->z >= 0)
        seen.residual = task_value(task, s->z, task->item);
    return run->watch(run->watch_context, &seen);
}

/* What is run in between finds the arithmetic as it was before. */
static void give_way(const struct run *run)
{
    if (!pool_urgent(run->pool))
        return;
    denormals_restore(run->denormals);
    pool_yield(run->pool);
    (void)denormals_flush();
}

static void run_trunk(struct run *run, int item, int lane)
{
    struct task task = {.run = run, .item = item, .lane = run->lanes + (size_t)lane * run->plan->local_bytes};

    if (run->poison)
        memset(task.lane, 0xff, run->plan->local_bytes);
    for (int i = 0; i < run->plan->trunk; i += task.step->members) {
        task.step = &run->plan->steps[i];
        if (run->watch != NULL && !watch_step(&task)) {
            run->stopped = true;
            return;
        }
        give_way(run);
        step_run(&task);
        if (run->poison)
            poison_dead(&task, i, i + task.step->members - 1);
    }
}

static void item_body(void *context, int item, int worker) { run_trunk(context, item, worker); }

static void run_all(void *context)
{
    struct run *run = context;
    const struct plan *plan = run->plan;
    int together = run->lane_count > 1 ? plan->n / run->lane_count * run->lane_count : 0;

    run->denormals = denormals_flush();
    if (plan->trunk > 0) {
        run_chunks(run, together, item_body, run);
        for (int item = together; item < plan->n; item++)
            run_trunk(run, item, 0);
    }
    for (int i = plan->trunk; i < plan->step_count && !run->stopped; i++) {
        struct task task = {.run = run, .step = &plan->steps[i]};
        bool at_once = run->model->layers[task.step->node].way == WAY_PRODUCT;
        give_way(run);
        for (task.item = 0; task.item < (at_once ? 1 : plan->n); task.item++)
            step_run(&task);
    }
    denormals_restore(run->denormals);
}

void run_plan(struct run *run) { pool_run(run->pool, run_all, run); }
