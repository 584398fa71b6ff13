/* Window PMI of a pass: what the head would say of each neighbourhood on its own. */
#include <math.h>
#include <stdlib.h>

#include "core/info/info.h"
#include "core/pipeline/mask.h"

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
}

static enum infomask_status logits_of(const void *model, const float *rows, int n, float *z, struct infomask_error *err)
{
    return engine_head_rows(model, rows, n, z, err);
}

enum infomask_status plan_windows(const struct mask_plan *plan, const struct engine_tap *features,
                                  const struct mask_set *sets, float **window, struct infomask_error *err)
{
    const struct infomask_model *model = plan->session->model;
    const double *log_t = plan->classification->log_prior;
    struct mask_head head = pipeline_head(model);
    size_t k = model->info.classes;
    float *offset = malloc(k * sizeof *offset);
    struct mask_window how = {.window = plan->window, .offset = offset, .log_r = model->log_logit_prior,
                              .smoothing = model->spec.label_smoothing};
    bool made = offset != NULL;
    enum infomask_status status;

    if (!model->network->pooled_head) {
        head.features = model->network->features; /* the head takes the windows' features, not the cells' logits */
        how.logits = logits_of;
        how.context = model->engine;
    }
    for (size_t c = 0; made && c < k; c++)
        offset[c] = (float)(model->sigmoid ? info_log_odds(log_t[c]) - info_log_odds(model->log_logit_prior[c])
                                           : log_t[c] - model->log_logit_prior[c]);
    for (int i = 0; made && i < plan->count; i++) {
        window[i] = malloc((size_t)features->h * (size_t)features->w * sizeof *window[i]);
        made = window[i] != NULL;
    }
    status = made ? mask_window_pmi(&head, model->kernels, &how, features->data, features->h, features->w, sets,
                                    plan->count, window, err)
                  : no_memory(err);
    free(offset);
    return status;
}

static void largest_of(const struct mask_plan *plan, int cells, float *const *window, double *largest)
{
    for (int i = 0; i < plan->count; i++) {
        float most = -INFINITY;
        for (int u = 0; u < cells; u++)
            most = fmaxf(most, window[i][u]);
        largest[i] = (double)most;
    }
}

enum infomask_status plan_largest_windows(const struct mask_plan *plan, double *largest, struct infomask_error *err)
{
    struct engine_tap features = engine_features(plan->session->engine);
    struct mask_set *sets = malloc((size_t)plan->count * sizeof *sets);
    float **window = calloc((size_t)plan->count, sizeof *window);
    enum infomask_status status = sets == NULL || window == NULL ? no_memory(err) : INFOMASK_OK;

    for (int i = 0; status == INFOMASK_OK && i < plan->count; i++)
        sets[i] = plan_set(plan, i);
    if (status == INFOMASK_OK)
        status = plan_windows(plan, &features, sets, window, err);
    if (status == INFOMASK_OK)
        largest_of(plan, features.h * features.w, window, largest);
    for (int i = 0; window != NULL && i < plan->count; i++)
        free(window[i]);
    free(window);
    free(sets);
    return status;
}
