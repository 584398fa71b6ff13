/* The routes under /v2 but inference: Open Inference Protocol v2 as KServe and Triton speak it. */
#include "server/handlers/oip.h"
#include "server/handlers/ops.h"

#include <stdio.h>
#include <string.h>

#include "app/view/views.h"
#include "server/call/pin.h"
#include "server/call/routes.h"
#include "server/handlers/oip_tensors.h"

static int flag(struct reply *reply, const struct request *request, int status, const char *name, const char *key,
                bool value)
{
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    if (name != NULL)
        json_put_string(&writer, "name", name);
    json_put_bool(&writer, key, value);
    json_object_close(&writer);
    return reply_json(reply, request, status, &writer);
}

int handle_v2_live(struct server_context *server, const struct request *request, struct reply *reply)
{
    (void)server;
    return flag(reply, request, 200, NULL, "live", true);
}

int handle_v2_ready(struct server_context *server, const struct request *request, struct reply *reply)
{
    enum view_problem problem;
    struct infomask_error err;
    bool ready = ops_ready(server, &problem, &err);
    return flag(reply, request, ready ? 200 : 503, NULL, "ready", ready);
}

int handle_v2_server(struct server_context *server, const struct request *request, struct reply *reply)
{
    static const char *const extensions[] = {"binary_tensor_data", "classification", "model_repository", "statistics"};
    struct json_writer writer;

    (void)server;
    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "name", "infomask");
    json_put_string(&writer, "version", INFOMASK_VERSION);
    json_array_open(&writer, "extensions");
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++)
        json_put_string(&writer, NULL, extensions[i]);
    json_array_close(&writer);
    json_object_close(&writer);
    return reply_json(reply, request, 200, &writer);
}

struct model *oip_find_model(struct server_context *server, const struct request *request, struct reply *reply)
{
    const char *version = request->capture[1];
    bool runs = request->route->flags & ROUTE_NETWORK;
    struct infomask_error err;
    struct model *model = runs ? pinned_model(server, request, request->capture[0], reply)
                               : models_get(server->models, request->capture[0], &err);

    if (model == NULL && !runs)
        (void)reply_no_model(reply, request, &err);
    if (model == NULL)
        return NULL;
    if (version != NULL && strcmp(version, model_version(model)) != 0) {
        (void)reply_problem(reply, request, VIEW_NO_SUCH_MODEL, "the model %s has version %s, not %.40s",
                            model_name(model), model_version(model), version);
        model_release(model);
        return NULL;
    }
    (void)snprintf(reply->model, sizeof reply->model, "%s", model_name(model));
    return model;
}

int handle_v2_model_ready(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model *model = oip_find_model(server, request, reply);
    int status;

    if (model == NULL)
        return reply->status;
    status = flag(reply, request, 200, model_name(model), "ready", true);
    model_release(model);
    return status;
}

static void put_tensor(struct json_writer *w, const char *name, const char *type, const int64_t *shape, int rank)
{
    oip_tensor_open(w, name, type, shape, rank);
    json_object_close(w);
}

static void put_metadata(struct json_writer *w, const struct model *model)
{
    const struct infomask_model_info *info = model_info(model);
    int64_t nchw[4] = {-1, info->channels, info->height, info->width};
    int64_t nhwc[4] = {-1, info->height, info->width, info->channels};
    int64_t photos[1] = {-1}, rows[2] = {-1, (int64_t)info->classes}, map[3] = {-1, -1, -1};

    json_put_string(w, "name", model_name(model));
    json_array_open(w, "versions");
    json_put_string(w, NULL, model_version(model));
    json_array_close(w);
    json_put_string(w, "platform", "infomask_onnx");
    json_array_open(w, "inputs"); /* one of them: the tensor, or the encoded photos */
    put_tensor(w, "input", "FP32", model_spec(model)->nhwc ? nhwc : nchw, 4);
    put_tensor(w, "image", "BYTES", photos, 1);
    json_array_close(w);
    json_array_open(w, "outputs");
    for (int i = 0; i < OIP_MAP; i++)
        put_tensor(w, oip_output_name((enum oip_output_id)i), "FP32", rows, 2);
    if (info->class_map)
        put_tensor(w, oip_output_name(OIP_MAP), "FP32", map, 3);
    json_array_close(w);
}

int handle_v2_model(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model *model = oip_find_model(server, request, reply);
    struct json_writer writer;

    if (model == NULL)
        return reply->status;
    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    put_metadata(&writer, model);
    json_object_close(&writer);
    model_release(model);
    return reply_json(reply, request, 200, &writer);
}

/* ---- Repository -------------------------------------------------------------------------------------------------- */

/* The states' names are Triton's. */
static void put_in_index(struct json_writer *w, const char *name, const char *version, enum model_state state,
                         const char *reason)
{
    bool ready = state == MODEL_READY, loading = state == MODEL_LOADING;

    json_object_open(w, NULL);
    json_put_string(w, "name", name);
    json_put_string(w, "version", version);
    json_put_string(w, "state", ready ? "READY" : loading ? "LOADING" : "UNAVAILABLE");
    json_put_string(w, "reason", reason);
    json_object_close(w);
}

int handle_v2_index(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model **list;
    size_t count, best;
    struct infomask_error err;
    struct model_failures failures;
    struct json_writer writer;

    if (models_list(server->models, &list, &count, &best, &err) != INFOMASK_OK)
        return reply_error(reply, request, &err);
    json_writer_init(&writer, 0);
    json_array_open(&writer, NULL);
    for (size_t i = 0; i < count; i++) {
        char reason[VIEW_STATE_REASON];
        enum model_state state = view_model_reason(list[i], reason);
        put_in_index(&writer, model_name(list[i]), model_version(list[i]), state, reason);
    }
    failures = models_failed(server->models);
    for (size_t i = 0; i < failures.count; i++)
        put_in_index(&writer, failures.list[i].name, "", MODEL_FAILED, failures.list[i].reason);
    model_failures_fini(&failures);
    json_array_close(&writer);
    models_list_free(list, count);
    return reply_json(reply, request, 200, &writer);
}

/* It was loaded, with a look at the folders, before it was pinned for this request. */
int handle_v2_load(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model *model = oip_find_model(server, request, reply);

    if (model == NULL)
        return reply->status;
    model_release(model);
    return reply_empty(reply, 200);
}

int handle_v2_unload(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct model *model = oip_find_model(server, request, reply);

    if (model == NULL)
        return reply->status;
    model_release(model);
    if (models_unload(server->models, request->capture[0], &err) != INFOMASK_OK)
        return reply_error(reply, request, &err);
    return reply_empty(reply, 200);
}

/* ---- Statistics -------------------------------------------------------------------------------------------------- */

static void put_span(struct json_writer *w, const char *key, uint64_t count, uint64_t ns)
{
    json_object_open(w, key);
    json_put_int(w, "count", (int64_t)count);
    json_put_int(w, "ns", (int64_t)ns);
    json_object_close(w);
}

static void put_statistics(struct json_writer *w, struct model *model)
{
    static const char *const span[STATISTICS_SPANS] = {"success", "queue", "compute_input", "compute_infer",
                                                       "compute_output"};
    struct statistics *statistics = model_statistics(model);
    uint64_t count = atomic_load(&statistics->successes);

    json_object_open(w, NULL);
    json_put_string(w, "name", model_name(model));
    json_put_string(w, "version", model_version(model));
    json_put_int(w, "last_inference", (int64_t)atomic_load(&statistics->last_ms));
    json_put_int(w, "inference_count", (int64_t)atomic_load(&statistics->images));
    json_put_int(w, "execution_count", (int64_t)count);
    json_object_open(w, "inference_stats");
    put_span(w, "fail", atomic_load(&statistics->failures), atomic_load(&statistics->failed_ns));
    for (int i = 0; i < STATISTICS_SPANS; i++)
        put_span(w, span[i], count, atomic_load(&statistics->ns[i]));
    json_object_close(w);
    json_array_open(w, "batch_stats");
    json_array_close(w);
    json_object_close(w);
}

static int reply_statistics(struct reply *reply, const struct request *request, struct model **list, size_t count)
{
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_array_open(&writer, "model_stats");
    for (size_t i = 0; i < count; i++)
        put_statistics(&writer, list[i]);
    json_array_close(&writer);
    json_object_close(&writer);
    return reply_json(reply, request, 200, &writer);
}

int handle_v2_model_statistics(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model *model = oip_find_model(server, request, reply);
    int status;

    if (model == NULL)
        return reply->status;
    status = reply_statistics(reply, request, &model, 1);
    model_release(model);
    return status;
}

int handle_v2_statistics(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct model **list;
    size_t count, best;
    struct infomask_error err;
    int status;

    if (models_list(server->models, &list, &count, &best, &err) != INFOMASK_OK)
        return reply_error(reply, request, &err);
    status = reply_statistics(reply, request, list, count);
    models_list_free(list, count);
    return status;
}
