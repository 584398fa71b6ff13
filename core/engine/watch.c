/* Looking on while a network runs: what its layers read. */
#include <string.h>

#include "core/engine/internal.h"

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

bool watch_step(const struct task *task)
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

void engine_layer_rows(const struct engine_layer *layer, int first, int count, float *a)
{
    const struct task *task = layer->task;
    const struct step *s = task->step;

    if (task->run->model->layers[s->node].way == WAY_PRODUCT) {
        memcpy(a, layer->x + (size_t)first * (size_t)layer->k, (size_t)count * (size_t)layer->k * sizeof *a);
        return;
    }
    for (int row = first; row < first + count; row++)
        a = gather_window(task, row / s->out_w, row % s->out_w, 0, (size_t)s->c, a);
}

enum infomask_status engine_run_watched(struct engine_session *session, engine_watch *watch, void *context,
                                        struct infomask_error *err)
{
    struct run run;

    if (session->area.plan == NULL || session->area.plan->n != 1 || !session->model->apart)
        return error_set(err, INFOMASK_INTERNAL, "only a prepared run of one picture, its steps apart, can be watched");
    run = area_run(&session->area, session);
    run.watch = watch;
    run.watch_context = context;
    run_plan(&run);
    session->ran = !run.stopped;
    return INFOMASK_OK;
}
