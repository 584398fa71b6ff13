/* One worker's memory and its runs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/engine/head/layers.h"

enum infomask_status engine_session_create(struct engine_session **session, struct engine_model *model,
                                           struct pool *pool, struct infomask_error *err)
{
    *session = calloc(1, sizeof **session);
    if (*session == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a session");
    (*session)->model = model;
    (*session)->pool = pool;
    return INFOMASK_OK;
}

static void area_fini(struct area *area, struct engine_model *model)
{
    plan_release(model, area->plan);
    aligned_free(area->memory);
    *area = (struct area){0};
}

void engine_session_free(struct engine_session *session)
{
    if (session == NULL)
        return;
    area_fini(&session->area, session->model);
    area_fini(&session->noisy, session->model);
    free(session);
}

static bool area_bytes(const struct plan *plan, int lanes, int workers, size_t *bytes)
{
    size_t local, scratch;

    return checked_mul(plan->local_bytes, (size_t)lanes, &local) &&
           checked_mul(aligned_round(plan->scratch_bytes), (size_t)workers, &scratch) &&
           checked_add(plan->shared_bytes, local, bytes) && checked_add(*bytes, scratch, bytes) &&
           checked_add(*bytes, ALIGNED_BYTES, bytes);
}

static enum infomask_status too_large(const struct engine_session *session, const struct plan *plan, size_t bytes,
                                      struct infomask_error *err)
{
    size_t limit = session->model->options.arena_limit;
    int side = plan->h > plan->w ? plan->h : plan->w;

    /* memory grows with the area: the largest multiple of the stride that surely fits */
    while (side > 1 &&
           engine_arena_bytes(session->model, plan->n * model_batch(session->model), side, side, plan->taps) > limit)
        side = side > 16 ? side - side / 16 : side - 1;
    return error_set(err, INFOMASK_LIMIT,
                     "a run of %d x %d x %d needs %zu MiB, more than the %zu MiB that a session may use; %d x %d fits",
                     plan->n, plan->w, plan->h, bytes >> 20, limit >> 20, side, side);
}

/* Makes the area large enough for a plan, whose reference it takes over on success.  A lane a worker where the items
 * of a batch can run side by side; one where that is too much memory. */
enum infomask_status area_prepare(struct area *area, struct engine_session *session, struct plan *plan, size_t others,
                                  struct infomask_error *err)
{
    size_t limit = session->model->options.arena_limit, bytes = 0;
    int workers = pool_threads(session->pool), lanes = plan->n >= workers ? workers : 1;

    if (lanes > 1 && (!area_bytes(plan, lanes, workers, &bytes) || bytes > limit || others > limit - bytes))
        lanes = 1;
    if (!area_bytes(plan, lanes, workers, &bytes) || bytes > limit || others > limit - bytes)
        return too_large(session, plan, bytes, err);
    if (bytes > area->bytes) {
        aligned_free(area->memory);
        area->bytes = 0;
        area->memory = aligned_new_large(bytes);
        if (area->memory == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for a run of %d x %d", plan->w, plan->h);
        area->bytes = bytes;
    }
    plan_release(session->model, area->plan);
    area->plan = plan;
    area->lanes = lanes;
    return INFOMASK_OK;
}

struct run area_run(const struct area *area, const struct engine_session *session)
{
    struct run run = {.model = session->model, .plan = area->plan, .outer = session->area.plan,
                      .shared = area->memory, .outer_shared = session->area.memory, .lane_count = area->lanes,
                      .pool = session->pool, .poison = session->poison};

    run.lanes = run.shared + area->plan->shared_bytes;
    run.scratch = run.lanes + (size_t)area->lanes * area->plan->local_bytes;
    return run;
}

static float *shared_value(const struct engine_session *session, int tensor)
{
    const struct value *v = &session->area.plan->values[tensor];
    return (float *)(void *)(session->area.memory + v->offset);
}

/* Items of so many pictures: a concrete file's batch at a time. */
static int items_of(const struct engine_model *model, int n) { return (n - 1) / model_batch(model) + 1; }

enum infomask_status engine_prepare(struct engine_session *session, int n, int h, int w, bool taps, float **input,
                                    struct infomask_error *err)
{
    struct engine_model *model = session->model;
    struct plan *plan = NULL;
    enum infomask_status status;

    session->ran = false;
    session->pictures = n;
    if (n < 1 || n > 4096 || h < 1 || w < 1)
        return error_set(err, INFOMASK_ARGUMENT, "a run takes 1 to 4096 pictures of at least 1 x 1");
    if (model->info.fixed_size && (h != model->base_h || w != model->base_w))
        return error_set(err, INFOMASK_ARGUMENT, "this network takes pictures of %d x %d only, not %d x %d",
                         model->base_w, model->base_h, w, h);
    status = plan_get(model, items_of(model, n), h, w, taps, false, &plan, err);
    if (status != INFOMASK_OK)
        return status;
    status = area_prepare(&session->area, session, plan, session->noisy.bytes, err);
    if (status == INFOMASK_LIMIT && session->noisy.bytes > 0) {
        area_fini(&session->noisy, model); /* its memory can be had again when noise is asked for */
        status = area_prepare(&session->area, session, plan, 0, err);
    }
    if (status != INFOMASK_OK) {
        plan_release(model, plan);
        return status;
    }
    *input = shared_value(session, model->input);
    if (n % model_batch(model) != 0) { /* what fills up the last item */
        size_t image = plan->values[model->input].elements / (size_t)model_batch(model);
        memset(*input + (size_t)n * image, 0,
               ((size_t)plan->n * (size_t)model_batch(model) - (size_t)n) * image * sizeof(float));
    }
    return INFOMASK_OK;
}

enum infomask_status engine_run(struct engine_session *session, struct infomask_error *err)
{
    struct run run;

    if (session->area.plan == NULL)
        return error_set(err, INFOMASK_INTERNAL, "a run has to be prepared first");
    run = area_run(&session->area, session);
    run_plan(&run);
    session->ran = true;
    return INFOMASK_OK;
}

const float *engine_output(const struct engine_session *session)
{
    return shared_value(session, session->model->output);
}

static struct engine_tap tap_of(const struct engine_session *session, int tensor)
{
    const struct plan *plan = session->area.plan;
    const struct shape *s = &plan->values[tensor].shape;

    return (struct engine_tap){.data = shared_value(session, tensor), .n = session->pictures, .h = (int)s->d[2],
                               .w = (int)s->d[3], .c = (int)s->d[1]};
}

struct engine_tap engine_features(const struct engine_session *session)
{
    if (session->area.plan == NULL || !session->area.plan->taps || session->model->features < 0)
        return (struct engine_tap){0};
    return tap_of(session, session->model->features);
}

struct engine_tap engine_residual(const struct engine_session *session, int i)
{
    if (session->area.plan == NULL || !session->area.plan->taps || i < 0 || i >= session->model->info.tap_count)
        return (struct engine_tap){0};
    return tap_of(session, session->model->taps[i]);
}

static enum infomask_status linear_rows(const struct engine_model *model, const float *x, int n, float *z,
                                        struct infomask_error *err)
{
    const struct layer *layer = &model->layers[model->head];
    struct kernel_gemm g = {.weights = layer->weights, .a = x, .a_row = model->info.features, .m = n, .c = z,
                            .c_row = (ptrdiff_t)model->info.outputs, .out = KERNEL_F32,
                            .panel1 = layer->weights->panels, .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};

    g.scratch = aligned_new((model->kernels->gemm_scratch(&g) + 1) * sizeof(float));
    if (g.scratch == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's head");
    model->kernels->gemm(&g);
    aligned_free(g.scratch);
    return INFOMASK_OK;
}

enum infomask_status engine_head_rows(const struct engine_model *model, const float *x, int n, float *z,
                                      struct infomask_error *err)
{
    return model->layered == NULL ? linear_rows(model, x, n, z, err) : head_layers_rows(model, x, n, z, err);
}

enum infomask_status engine_head_cells(const struct engine_model *model, const float *f, int n, float *l,
                                       struct infomask_error *err)
{
    return model->layered == NULL ? linear_rows(model, f, n, l, err) : head_layers_cells(model, f, n, l, err);
}

size_t engine_arena_bytes(struct engine_model *model, int n, int h, int w, bool taps)
{
    struct plan *plan = NULL;
    size_t bytes = 0;

    if (n < 1 || h < 1 || w < 1 || (model->info.fixed_size && (h != model->base_h || w != model->base_w)) ||
        plan_get(model, items_of(model, n), h, w, taps, false, &plan, NULL) != INFOMASK_OK)
        return 0;
    if (!area_bytes(plan, 1, 1, &bytes))
        bytes = SIZE_MAX;
    plan_release(model, plan);
    return bytes;
}

void engine_session_trim(struct engine_session *session)
{
    struct engine_model *model = session->model;
    size_t own = engine_arena_bytes(model, 1, model->base_h, model->base_w, false);

    area_fini(&session->noisy, model);
    session->ran = false;
    if (own == 0 || session->area.bytes > own)
        area_fini(&session->area, model);
}

size_t engine_session_bytes(const struct engine_session *session)
{
    return session->area.bytes + session->noisy.bytes;
}
