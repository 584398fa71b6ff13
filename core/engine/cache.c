/* The plans of a model, most recently used first.  A plan in use by a session is never dropped. */
#include <stdlib.h>

#include "core/engine/internal.h"

static struct plan *find(struct engine_model *model, const struct plan *key)
{
    for (struct plan **at = &model->plans; *at != NULL; at = &(*at)->next) {
        struct plan *plan = *at;
        if (plan->n != key->n || plan->h != key->h || plan->w != key->w || plan->taps != key->taps ||
            plan->noisy != key->noisy)
            continue;
        *at = plan->next;
        plan->next = model->plans;
        model->plans = plan;
        return plan;
    }
    return NULL;
}

/* Drops unused plans from the end while there are too many. */
static void trim(struct engine_model *model)
{
    int count = 0;

    for (struct plan **at = &model->plans; *at != NULL;) {
        struct plan *plan = *at;
        if (++count > model->options.plans && plan->references == 0) {
            *at = plan->next;
            plan_free(plan);
        } else {
            at = &plan->next;
        }
    }
}

static enum infomask_status add(struct engine_model *model, const struct plan *key, struct plan **out,
                                struct infomask_error *err)
{
    struct plan *plan = malloc(sizeof *plan);
    enum infomask_status status;

    if (plan == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a plan");
    *plan = *key;
    status = plan_create(model, plan, err);
    if (status != INFOMASK_OK) {
        plan_free(plan);
        return status;
    }
    plan->next = model->plans;
    model->plans = plan;
    *out = plan;
    return INFOMASK_OK;
}

enum infomask_status plan_get(struct engine_model *model, int n, int h, int w, bool taps, bool noisy,
                              struct plan **plan, struct infomask_error *err)
{
    struct plan key = {.n = n, .h = h, .w = w, .taps = taps, .noisy = noisy};
    enum infomask_status status = INFOMASK_OK;

    (void)pthread_mutex_lock(&model->lock);
    *plan = find(model, &key);
    if (*plan == NULL)
        status = add(model, &key, plan, err);
    if (status == INFOMASK_OK) {
        (*plan)->references++;
        trim(model);
    }
    (void)pthread_mutex_unlock(&model->lock);
    return status;
}

void plan_release(struct engine_model *model, struct plan *plan)
{
    if (plan == NULL)
        return;
    (void)pthread_mutex_lock(&model->lock);
    plan->references--;
    trim(model);
    (void)pthread_mutex_unlock(&model->lock);
}

void plans_free(struct engine_model *model)
{
    while (model->plans != NULL) {
        struct plan *plan = model->plans;
        model->plans = plan->next;
        plan_free(plan);
    }
}
