/* Noisy passes: the network's tail again and again behind one run (run/run_noise.c makes the noise). */
#include <string.h>

#include "core/engine/internal.h"

/* The largest batch up to `samples` whose plan fits beside what the session has; its plan is held. */
static enum infomask_status noisy_plan(struct engine_session *session, int samples, struct plan **plan,
                                       struct infomask_error *err)
{
    struct engine_model *model = session->model;
    const struct plan *outer = session->area.plan;

    for (int n = samples;; n = (n + 1) / 2) {
        enum infomask_status status = plan_get(model, n, outer->h, outer->w, false, true, plan, err);
        if (status != INFOMASK_OK)
            return status;
        status = area_prepare(&session->noisy, session, *plan, session->area.bytes, n > 1 ? NULL : err);
        if (status == INFOMASK_OK)
            return status;
        plan_release(model, *plan);
        if (status != INFOMASK_LIMIT || n == 1)
            return status;
    }
}

enum infomask_status engine_noisy(struct engine_session *session, int samples, uint64_t seed, float *z,
                                  struct infomask_error *err)
{
    const struct engine_info *info = &session->model->info;
    struct plan *plan = NULL;
    struct run run;
    enum infomask_status status;

    if (!info->noise)
        return error_set(err, INFOMASK_NO_NOISE, "this model has no noise: neither Dropout in its file nor a dropout");
    if (session->area.plan == NULL || session->area.plan->n != 1 || !session->ran)
        return error_set(err, INFOMASK_INTERNAL, "noisy passes follow a run of one picture");
    if (samples < 1)
        return error_set(err, INFOMASK_ARGUMENT, "samples must be at least 1, not %d", samples);
    status = noisy_plan(session, samples, &plan, err);
    if (status != INFOMASK_OK)
        return status;
    run = area_run(&session->noisy, session);
    run.seed = seed;
    for (int done = 0; done < samples; done += plan->n) {
        struct task task = {.run = &run};
        int count = samples - done < plan->n ? samples - done : plan->n;
        run.first_sample = done;
        run_plan(&run);
        memcpy(z + (size_t)done * info->outputs, task_value(&task, session->model->output, 0),
               (size_t)count * info->outputs * sizeof *z);
    }
    return INFOMASK_OK;
}
