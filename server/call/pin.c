#include "server/call/pin.h"

#include "app/state/estimates.h"
#include "core/base/clock.h"

static struct model *of_estimate(struct call *call)
{
    struct server_context *server = call->server;
    struct estimate_info info;
    struct model *model;

    if (server->estimates == NULL)
        return NULL;
    struct estimates own = estimates_within(server->estimates, call->request.deadline_ms);
    if (estimates_find(&own, call->request.capture[0], &info, NULL) != INFOMASK_OK)
        return NULL;
    model = models_get(server->models, info.model, NULL);
    estimate_info_fini(&info);
    return model;
}

/* The folders are looked at again first: what is asked for may be new. */
static struct model *of_load(struct call *call)
{
    const char *name = call->request.capture[0];
    struct infomask_error err;

    if (models_load(call->server->models, name, &err) == INFOMASK_OK)
        return models_get(call->server->models, name, NULL);
    (void)reply_error(&call->reply, &call->request, &err);
    return NULL;
}

/* What the handler will look for, held; NULL: it will find out why there is none, or the reply says so. */
static struct model *wanted(struct call *call)
{
    const struct request *request = &call->request;

    switch (request->route->id) {
    case ROUTE_ID_SAMPLES:
        return of_estimate(call);
    case ROUTE_ID_V2_LOAD:
        return of_load(call);
    case ROUTE_ID_V2_INFER:
    case ROUTE_ID_V2_VERSION_INFER:
        return models_get(call->server->models, request->capture[0], NULL);
    default:
        return models_get(call->server->models, request->params.value[PARAM_ID_MODEL].text, NULL);
    }
}

static void let_go(struct call *call)
{
    model_release(call->request.model);
    call->request.model = NULL;
}

static void not_pinned(struct call *call, const struct infomask_error *why)
{
    let_go(call);
    (void)reply_no_model(&call->reply, &call->request, why);
}

static bool too_many_wait(struct call *call, const struct model *model)
{
    return model_state(model, NULL) != MODEL_READY &&
           models_memory(call->server->models).waiting >= call->server->config->queue;
}

static void woken(struct model_wait *wait);

static bool pin(struct call *call)
{
    struct model *model = wanted(call);
    struct infomask_error err;

    if (model == NULL)
        return false;
    call->request.model = model;
    if (too_many_wait(call, model)) {
        let_go(call);
        (void)call_overloaded(call);
        return false;
    }
    call->wait = (struct model_wait){.wake = woken, .deadline_ms = call->request.deadline_ms};
    switch (model_pin(model, &call->wait, &err)) {
    case MODEL_WAITS: /* another thread may have the call already */
        return true;
    case MODEL_NOT_PINNED:
        not_pinned(call, &err);
        return false;
    case MODEL_PINNED:
        break;
    }
    call->pinned = true;
    return false;
}

static void woken(struct model_wait *wait)
{
    struct call *call = (struct call *)(void *)((char *)wait - offsetof(struct call, wait));

    if (wait->error.status == INFOMASK_OK) {
        call->pinned = true;
    } else if (wait->error.status == INFOMASK_CANCELLED) {
        let_go(call);
        if (pin(call))
            return;
    } else {
        not_pinned(call, &wait->error);
    }
    call->resume(call->resume_context);
}

bool call_waits(struct call *call, void (*resume)(void *context), void *context)
{
    struct request *request = &call->request;

    if (call->pinned || !(call->match.route->flags & ROUTE_NETWORK) || call_read_json(call) != 0 ||
        request_expired(request))
        return false;
    call->resume = resume;
    call->resume_context = context;
    return pin(call);
}

struct model *pinned_model(struct server_context *server, const struct request *request, const char *name,
                           struct reply *reply)
{
    struct infomask_error err;
    struct model *model;

    if (request->model != NULL)
        return model_hold(request->model);
    model = models_get(server->models, name, &err);
    if (model != NULL) /* it came after this request had looked for it */
        (void)error_set(&err, INFOMASK_DEADLINE, "the model %.63s has only just come; ask again", model_name(model));
    model_release(model);
    (void)reply_no_model(reply, request, &err);
    return NULL;
}
