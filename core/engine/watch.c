/* Looking on while a network runs: what its layers read. */
#include <string.h>

#include "core/engine/internal.h"

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
