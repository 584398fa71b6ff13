/* GET /v1/models, /v1/models/{name}, /v1/models/{name}/labels, /groups and POST /v1/models/reload. */
#include <stdio.h>
#include <string.h>

#include "app/view/views.h"
#include "server/call/routes.h"

int handle_models(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model **list;
    size_t count, best;
    struct infomask_error err;
    struct model_failures failures;
    struct json_writer writer;

    if (models_list(server->models, &list, &count, &best, &err) != INFOMASK_OK)
        return reply_error(reply, request, &err);
    json_writer_init(&writer, 0);
    failures = models_failed(server->models);
    view_models(&writer, list, count, best, &failures);
    model_failures_fini(&failures);
    models_list_free(list, count);
    (void)reply_json(reply, request, 200, &writer);
    return reply_tagged(reply, request);
}

static struct model *find_model(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct model *model = models_get(server->models, request->capture[0], &err);

    if (model == NULL)
        (void)reply_no_model(reply, request, &err);
    return model;
}

/* What is said of a model whose network is not in memory does not stay so. */
static int describe(const struct request *request, struct reply *reply, struct model *model, bool is_best)
{
    struct kept_slot *slot = model_text(model, is_best ? MODEL_DESCRIPTION_DEFAULT : MODEL_DESCRIPTION);
    struct kept *text = model_state(model, NULL) == MODEL_READY ? kept_get(slot) : NULL;
    struct infomask_error err;
    struct json_writer writer;

    if (text == NULL) {
        json_writer_init(&writer, 0);
        if (view_model(&writer, NULL, model, is_best) != MODEL_READY) {
            (void)reply_json(reply, request, 200, &writer);
            return reply_tagged(reply, request);
        }
        text = kept_write(slot, &writer, &err);
    }
    return text != NULL ? reply_kept(reply, request, "application/json", text) : reply_error(reply, request, &err);
}

int handle_model(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct model *model = models_find(server->models, request->capture[0], &err), *best;
    struct json_writer writer;
    int status;

    if (model == NULL && err.status == INFOMASK_BAD_MODEL) { /* that it failed is an answer here */
        json_writer_init(&writer, 0);
        view_failed_model(&writer, request->capture[0], err.text);
        return reply_json(reply, request, 200, &writer);
    }
    if (model == NULL)
        return reply_no_model(reply, request, &err);
    best = models_get(server->models, NULL, NULL);
    status = describe(request, reply, model, best != NULL && strcmp(model_name(best), model_name(model)) == 0);
    model_release(best);
    model_release(model);
    return status;
}

/* What `view` writes of the named model, kept as `which` from its first time on. */
static int kept_view(struct server_context *server, const struct request *request, struct reply *reply,
                     enum model_text which, void (*view)(struct json_writer *writer, const struct model *model))
{
    struct model *model = find_model(server, request, reply);
    struct infomask_error err;
    struct json_writer writer;
    struct kept *text;

    if (model == NULL)
        return reply->status;
    text = kept_get(model_text(model, which));
    if (text == NULL) {
        json_writer_init(&writer, 0);
        view(&writer, model);
        text = kept_write(model_text(model, which), &writer, &err);
    }
    model_release(model);
    return text != NULL ? reply_kept(reply, request, "application/json", text) : reply_error(reply, request, &err);
}

int handle_labels(struct server_context *server, const struct request *request, struct reply *reply)
{
    return kept_view(server, request, reply, MODEL_LABELS, view_labels);
}

int handle_groups(struct server_context *server, const struct request *request, struct reply *reply)
{
    return kept_view(server, request, reply, MODEL_GROUPS, view_groups);
}

int handle_reload(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct models_changes changes;
    struct infomask_error err;
    struct json_writer writer;

    if (models_reload(server->models, &changes, &err) != INFOMASK_OK)
        return reply_error(reply, request, &err);
    json_writer_init(&writer, 0);
    view_models_changes(&writer, &changes);
    return reply_json(reply, request, 200, &writer);
}
