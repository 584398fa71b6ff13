/* /v1/estimates: the mutual information of labelled data sets, accumulated in the store. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/view/views_estimates.h"
#include "server/handlers/infer.h"
#include "server/observe/log.h"

static int no_state(const struct request *request, struct reply *reply)
{
    return reply_problem(reply, request, VIEW_NO_STATE,
                         "this service keeps no state: its state folder cannot be written");
}

/* ---- Create ------------------------------------------------------------------------------------------------------ */

struct creation {
    struct json *body;
    struct model *model;
    struct estimate_info info;
    double *prior_values;
};

static void creation_fini(struct creation *c)
{
    json_free(c->body);
    model_release(c->model);
    estimate_info_fini(&c->info);
    free(c->prior_values);
}

/* "model", "prior" and "name"; anything else is refused, so that a misspelt key is not silently without effect. */
static enum infomask_status check_keys(const struct json *body, struct infomask_error *err)
{
    if (json_kind(body) != JSON_OBJECT)
        return error_set(err, INFOMASK_BAD_DATA,
                         "the body must be a JSON object with model, and perhaps prior and name");
    for (const struct json *member = json_first(body); member != NULL; member = json_next(member))
        if (strcmp(json_key(member), "model") != 0 && strcmp(json_key(member), "prior") != 0 &&
            strcmp(json_key(member), "name") != 0)
            return error_set(err, INFOMASK_ARGUMENT, "\"%.60s\" is none of model, prior, name", json_key(member));
    return INFOMASK_OK;
}

static enum infomask_status read_prior_numbers(const struct json *node, size_t classes, double *p,
                                               struct infomask_error *err)
{
    size_t i = 0;
    double sum = 0;

    if (json_count(node) != classes)
        return error_set(err, INFOMASK_ARGUMENT, "prior must have %zu numbers, one for each class, not %zu", classes,
                         json_count(node));
    for (const struct json *n = json_first(node); n != NULL; n = json_next(n)) {
        if (!json_number(n, &p[i]) || !(p[i] > 0))
            return error_set(err, INFOMASK_ARGUMENT, "number %zu of prior must be positive", i + 1);
        sum += p[i++];
    }
    for (i = 0; i < classes; i++)
        p[i] /= sum;
    return isfinite(sum) ? INFOMASK_OK
                         : error_set(err, INFOMASK_ARGUMENT, "the numbers of prior must have a finite sum");
}

static enum infomask_status read_prior(struct creation *c, struct infomask_prior *prior, struct infomask_error *err)
{
    const struct json *node = json_get(c->body, "prior");
    const char *word = json_string(node);

    *prior = (struct infomask_prior){.kind = INFOMASK_PRIOR_TRAIN};
    (void)snprintf(c->info.prior, sizeof c->info.prior, "%s", word != NULL ? word : "train");
    if (node == NULL || (word != NULL && strcmp(word, "train") == 0))
        return INFOMASK_OK;
    if (word != NULL && strcmp(word, "uniform") == 0) {
        prior->kind = INFOMASK_PRIOR_UNIFORM;
        return INFOMASK_OK;
    }
    if (json_kind(node) != JSON_ARRAY)
        return error_set(err, INFOMASK_ARGUMENT, "prior must be \"train\", \"uniform\" or an array of numbers");
    c->prior_values = calloc(model_classes(c->model), sizeof *c->prior_values);
    if (c->prior_values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    (void)snprintf(c->info.prior, sizeof c->info.prior, "given");
    *prior = (struct infomask_prior){INFOMASK_PRIOR_GIVEN, c->prior_values};
    return read_prior_numbers(node, model_classes(c->model), c->prior_values, err);
}

/* The model, its version and its labels, so that the estimate can be read without it. */
static enum infomask_status fill_info(struct creation *c, struct infomask_error *err)
{
    const struct json *name = json_get(c->body, "name");
    struct infomask_prior prior;
    enum infomask_status status = read_prior(c, &prior, err);

    if (status != INFOMASK_OK)
        return status;
    if (name != NULL && (json_string(name) == NULL || strlen(json_string(name)) > ESTIMATE_NAME_MAX))
        return error_set(err, INFOMASK_ARGUMENT, "name must be a text of at most %d bytes", ESTIMATE_NAME_MAX);
    (void)snprintf(c->info.name, sizeof c->info.name, "%s", name != NULL ? json_string(name) : "");
    return estimate_info_of_model(&c->info, c->model, &prior, err);
}

static int read_creation(struct server_context *server, const struct request *request, struct reply *reply,
                         struct creation *c)
{
    struct infomask_error err;
    const struct json *name;
    enum infomask_status status = json_parse(request->body != NULL ? request->body : "", request->body_size, NULL,
                                             &c->body, &err);

    if (status == INFOMASK_OK)
        status = check_keys(c->body, &err);
    if (status != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    name = json_get(c->body, "model");
    if (name != NULL && json_string(name) == NULL)
        return reply_problem(reply, request, VIEW_BAD_PARAMETER, "model must be a text");
    if (name != NULL && json_string(name)[0] == '\0')
        return reply_problem(reply, request, VIEW_BAD_PARAMETER, "model must be 1 to 63 bytes long, not \"\"");
    c->model = models_get(server->models, json_string(name), &err);
    if (c->model == NULL)
        return reply_no_model(reply, request, &err);
    if (fill_info(c, &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    return 0;
}

int handle_estimate_create(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct creation creation = {0};
    struct json_writer writer;
    struct infomask_error err;
    struct estimates own;
    int status;

    if (server->estimates == NULL)
        return no_state(request, reply);
    own = infer_estimates(server, request);
    status = read_creation(server, request, reply, &creation);
    if (status == 0 && estimates_create(&own, &creation.info, &err) != INFOMASK_OK)
        status = infer_state_error(server, request, reply, &err);
    if (status == 0) {
        reply_header(reply, "Location", "%s/v1/estimates/%s", request->prefix, creation.info.id);
        json_writer_init(&writer, 0);
        view_estimate_row(&writer, NULL, &creation.info);
        status = reply_json(reply, request, 201, &writer);
    }
    creation_fini(&creation);
    return status;
}

/* ---- List, delete ------------------------------------------------------------------------------------------------ */

struct page {
    struct json_writer writer;
    size_t left;      /* room in it */
    int64_t last;     /* the place of what was put into it last */
    bool more;
};

static bool list_one(void *context, const struct estimate_info *info)
{
    struct page *page = context;

    page->more = page->left == 0;
    if (page->more)
        return false;
    view_estimate_row(&page->writer, NULL, info);
    page->last = info->place;
    page->left--;
    return true;
}

int handle_estimate_list(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct page page = {.left = (size_t)request->params.value[PARAM_ID_LIMIT].integer};
    int64_t after = request->params.value[PARAM_ID_AFTER].integer;
    struct infomask_error err;
    struct estimates own;

    if (server->estimates == NULL)
        return no_state(request, reply);
    own = infer_estimates(server, request);
    json_writer_init(&page.writer, 0);
    json_object_open(&page.writer, NULL);
    json_array_open(&page.writer, "estimates");
    if (estimates_list(&own, after, page.left + 1, list_one, &page, &err) != INFOMASK_OK) { /* one more: is there? */
        json_writer_fini(&page.writer);
        return infer_state_error(server, request, reply, &err);
    }
    json_array_close(&page.writer);
    if (page.more)
        json_put_int(&page.writer, "next", page.last);
    else
        json_put_null(&page.writer, "next");
    json_object_close(&page.writer);
    return reply_json(reply, request, 200, &page.writer);
}

int handle_estimate_delete(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct estimates own;

    if (server->estimates == NULL)
        return no_state(request, reply);
    own = infer_estimates(server, request);
    if (estimates_delete(&own, request->capture[0], &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    return reply_empty(reply, 204);
}

/* ---- Read -------------------------------------------------------------------------------------------------------- */

/* The limits of many samples take seconds: they are computed behind the reply, one at a time. */
struct limit_task {
    struct pool_task task;
    struct estimates *estimates;
    struct log *log;
    char id[ESTIMATE_ID_SIZE];
};

static void run_limit_task(struct pool_task *task)
{
    struct limit_task *own = (struct limit_task *)task;
    struct infomask_limits_of_estimate limits;
    struct infomask_error err;

    if (estimates_update_limits(own->estimates, own->id, &limits, &err) != INFOMASK_OK)
        log_message(own->log, LOG_WARNING, "limits of the estimate %s: %s", own->id,
                    err.text); /* the next reader asks again */
    estimates_release_limits(own->estimates);
    free(own);
}

static void post_limit_task(struct server_context *server, const struct estimate_state *state)
{
    struct limit_task *own;

    if (!estimates_claim_limits(server->estimates))
        return;
    own = calloc(1, sizeof *own);
    if (own == NULL) {
        estimates_release_limits(server->estimates);
        return;
    }
    own->task.run = run_limit_task;
    own->estimates = server->estimates;
    own->log = server->log;
    memcpy(own->id, state->info.id, sizeof own->id);
    pool_post(server->pool, &own->task);
}

static enum infomask_status read_estimate(struct server_context *server, const struct request *request,
                                          struct estimate_state *state, struct infomask_error *err)
{
    struct estimates own = infer_estimates(server, request);
    size_t suspects = (size_t)request->params.value[PARAM_ID_SUSPECTS].integer;
    struct infomask_limits_of_estimate limits;
    const char *id = request->capture[0];
    enum infomask_status status = estimates_read(&own, id, suspects, state, err);

    if (status != INFOMASK_OK || !estimate_limits_due(state))
        return status;
    if (state->info.samples > ESTIMATE_LIMITS_AT_ONCE) {
        post_limit_task(server, state);
        return INFOMASK_OK;
    }
    status = estimates_update_limits(&own, id, &limits, err);
    estimate_state_fini(state);
    if (status == INFOMASK_OK || status == INFOMASK_STATE_FULL) /* where all is full, reading goes on */
        status = estimates_read(&own, id, suspects, state, err);
    if (status == INFOMASK_OK)
        state->limits = limits;
    return status;
}

/* Another prior: from the kept logits, with the model at hand to know how many numbers that is. */
static int read_under_prior(struct server_context *server, const struct request *request, struct reply *reply,
                            struct estimate_state *state)
{
    struct estimates own = infer_estimates(server, request);
    struct estimate_info info;
    struct infomask_estimate_spec spec = {0};
    struct ask ask;
    enum view_problem problem;
    struct infomask_error err;
    struct model *model;
    int status = 0;

    if (estimates_find(&own, request->capture[0], &info, &err) != INFOMASK_OK)
        return infer_state_error(server, request, reply, &err);
    model = models_get(server->models, info.model, &err);
    estimate_info_fini(&info);
    if (model == NULL)
        return reply_no_model(reply, request, &err);
    if (ask_open(&ask, model, &request->params, &problem, &err) != INFOMASK_OK)
        status = reply_problem(reply, request, problem, "%s", err.text);
    else if (infomask_estimate_spec_of(model_core(model), &ask.options.classify.prior, &spec, &err) != INFOMASK_OK ||
             estimates_recompute(&own, request->capture[0], spec.prior,
                                 (size_t)request->params.value[PARAM_ID_SUSPECTS].integer, state, &err) != INFOMASK_OK)
        status = infer_state_error(server, request, reply, &err);
    else
        (void)snprintf(state->info.prior, sizeof state->info.prior, "%s", ask.options.prior);
    infomask_estimate_spec_fini(&spec);
    ask_close(&ask);
    return status;
}

int handle_estimate(struct server_context *server, const struct request *request, struct reply *reply)
{
    bool bits = request->params.value[PARAM_ID_UNITS].integer == 1;
    struct estimate_state state = {0};
    struct json_writer writer;
    struct infomask_error err;
    int status = 0;

    if (server->estimates == NULL)
        return no_state(request, reply);
    if (request->params.value[PARAM_ID_PRIOR].given)
        status = read_under_prior(server, request, reply, &state);
    else if (read_estimate(server, request, &state, &err) != INFOMASK_OK)
        status = infer_state_error(server, request, reply, &err);
    if (status != 0)
        return status;
    json_writer_init(&writer, 0);
    view_estimate(&writer, NULL, &state, bits ? VIEW_BITS : VIEW_NATS, request->id);
    estimate_state_fini(&state);
    return reply_json(reply, request, 200, &writer);
}
