/* GET /v1/models/{name}/information: the running, unlabelled information of the traffic, and the drift alarm. */
#include <string.h>

#include "app/view/views_traffic.h"
#include "server/call/routes.h"
#include "server/handlers/infer.h"

struct search {
    const struct model *model;
    const char *wanted; /* id of the baseline in force; "": none */
    struct traffic_baseline best;
    bool found; /* the one wanted */
};

static bool consider(void *context, const struct estimate_info *info)
{
    struct search *search = context;

    if (strcmp(info->sha256, model_info(search->model)->sha256) != 0 || strcmp(info->prior, "train") != 0 ||
        strcmp(info->model, model_name(search->model)) != 0 || info->samples < TRAFFIC_LEAST)
        return true;
    search->found = strcmp(info->id, search->wanted) == 0;
    if (search->found || info->samples > search->best.samples) {
        search->best.samples = info->samples;
        memcpy(search->best.id, info->id, sizeof info->id);
    }
    return !search->found;
}

/* The baseline in force while its estimate is there, else the model's estimate with the most samples, as it is now. */
static enum infomask_status find_baseline(struct estimates *estimates, const struct model *model, const char *wanted,
                                          struct traffic_baseline *baseline, struct infomask_error *err)
{
    struct search search = {.model = model, .wanted = wanted};
    struct estimate_state state;
    enum infomask_status status = estimates_list(estimates, 0, 0, consider, &search, err);

    *baseline = (struct traffic_baseline){0};
    if (status != INFOMASK_OK || search.best.samples == 0)
        return status;
    status = estimates_read(estimates, search.best.id, 0, &state, err);
    if (status != INFOMASK_OK)
        return status == INFOMASK_NO_SUCH_ESTIMATE ? INFOMASK_OK : status; /* it was deleted just now */
    *baseline = search.best;
    baseline->samples = state.report.samples;
    baseline->plug_in = state.report.plug_in;
    baseline->deviation = state.report.plug_in_deviation;
    baseline->overconfidence = state.report.overconfidence;
    estimate_state_fini(&state);
    return INFOMASK_OK;
}

/* `baseline` by id or name: it must be of this model, under its own prior. */
static int given_baseline(struct server_context *server, const struct request *request, struct reply *reply,
                          const struct model *model, char id[ESTIMATE_ID_SIZE])
{
    struct estimates own = infer_estimates(server, request);
    struct estimate_info info;
    struct infomask_error err;
    const char *name = request->params.value[PARAM_ID_BASELINE].text;
    bool fits;

    if (estimates_find(&own, name, &info, &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    fits = strcmp(info.sha256, model_info(model)->sha256) == 0 && strcmp(info.prior, "train") == 0 &&
           strcmp(info.model, model_name(model)) == 0 && info.samples >= TRAFFIC_LEAST;
    memcpy(id, info.id, sizeof info.id);
    estimate_info_fini(&info);
    return fits ? 0
                : reply_problem(reply, request, VIEW_BAD_PARAMETER,
                                "baseline must be an estimate of the model %s, under "
                                "its training prior, with at least %d samples",
                                model_name(model), TRAFFIC_LEAST);
}

static int refresh_baseline(struct server_context *server, const struct request *request, struct reply *reply,
                            const struct model *model, const struct traffic_state *now)
{
    struct estimates own = infer_estimates(server, request);
    struct traffic_baseline baseline;
    struct infomask_error err;
    char wanted[ESTIMATE_ID_SIZE];
    int status = 0;

    memcpy(wanted, now->baseline.id, sizeof wanted);
    if (request->params.value[PARAM_ID_BASELINE].given)
        status = given_baseline(server, request, reply, model, wanted);
    if (status == 0 && find_baseline(&own, model, wanted, &baseline, &err) != INFOMASK_OK)
        status = infer_state_error(server, request, reply, &err);
    if (status == 0 && traffic_set_baseline(server->traffic, model, &own, &baseline, &err) != INFOMASK_OK &&
        err.status != INFOMASK_STATE_FULL)
        status = infer_state_error(server, request, reply, &err);
    return status;
}

/* Full: what is new waits in memory, and is told of all the same. */
static int refresh(struct server_context *server, const struct request *request, struct reply *reply,
                   const struct model *model)
{
    struct estimates own = infer_estimates(server, request);
    struct infomask_error err;

    if (traffic_refresh(server->traffic, model, &own, &err) == INFOMASK_OK || err.status == INFOMASK_STATE_FULL)
        return 0;
    return infer_state_error(server, request, reply, &err);
}

static int answer(struct server_context *server, const struct request *request, struct reply *reply,
                  const struct model *model)
{
    bool bits = request->params.value[PARAM_ID_UNITS].integer == 1;
    struct traffic_state state;
    struct json_writer writer;
    struct infomask_error err;
    int status = server->estimates != NULL ? refresh(server, request, reply, model) : 0;

    if (status != 0)
        return status;
    if (traffic_read(server->traffic, model, false, &state, &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    if (server->estimates != NULL)
        status = refresh_baseline(server, request, reply, model, &state);
    traffic_state_fini(&state);
    if (status != 0)
        return status;
    if (traffic_read(server->traffic, model, true, &state, &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    json_writer_init(&writer, 0);
    view_traffic(&writer, model, &state, bits ? VIEW_BITS : VIEW_NATS, request->id);
    traffic_state_fini(&state);
    return reply_json(reply, request, 200, &writer);
}

int handle_information(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct model *model = models_get(server->models, request->capture[0], &err);
    int status;

    if (model == NULL)
        return reply_no_model(reply, request, &err);
    status = answer(server, request, reply, model);
    model_release(model);
    return status;
}
