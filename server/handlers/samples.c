/* POST /v1/estimates/{id}/samples: labelled photos, classified in batches and added in one transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/view/views_estimates.h"
#include "core/base/sha256.h"
#include "server/handlers/infer.h"

/* One upload on its way to a sample. */
struct arrival {
    char sample[ESTIMATE_SAMPLE_MAX + 1];
    int label;
    enum view_problem problem; /* why it was rejected, if `detail` says so */
    char detail[INFOMASK_ERROR_TEXT];
    uint8_t digest[ESTIMATE_DIGEST_SIZE]; /* of the bytes */
    struct infomask_photo *photo; /* NULL: rejected */
    struct infomask_classification result;
};

struct samples {
    struct server_context *server;
    const struct request *request;
    struct reply *reply;
    struct estimate_info info;
    struct model *model;
    struct infomask_session *session;
    struct infomask_limits limits;
    struct arrival *arrivals; /* [count] */
    size_t count, accepted, known, duplicates, conflicts;
    uint64_t total;
};

static void reject(struct arrival *arrival, enum view_problem problem, const char *detail)
{
    arrival->problem = problem;
    (void)snprintf(arrival->detail, sizeof arrival->detail, "%s", detail);
    infomask_photo_close(arrival->photo);
    arrival->photo = NULL;
}

/* ---- Setting up -------------------------------------------------------------------------------------------------- */

static int open_model(struct samples *s)
{
    struct estimates own = infer_estimates(s->server, s->request);
    struct infomask_error err;

    if (estimates_find(&own, s->request->capture[0], &s->info, &err) != INFOMASK_OK)
        return infer_state_error(s->server, s->request, s->reply, &err);
    s->model = models_get(s->server->models, s->info.model, &err);
    if (s->model == NULL)
        return reply_problem(s->reply, s->request, VIEW_NO_SUCH_MODEL, "%s", err.text);
    (void)snprintf(s->reply->model, sizeof s->reply->model, "%s", model_name(s->model));
    if (strcmp(model_info(s->model)->sha256, s->info.sha256) != 0)
        return reply_problem(s->reply, s->request, VIEW_BAD_REQUEST,
                             "the model %s is not the one that this estimate was opened for; open another estimate",
                             s->info.model);
    if (model_session_take(s->model, &s->session, &err) != INFOMASK_OK)
        return infer_state_error(s->server, s->request, s->reply, &err);
    s->count = (size_t)s->request->upload_count;
    s->arrivals = calloc(s->count + 1, sizeof *s->arrivals);
    return s->arrivals != NULL ? 0 : reply_no_memory(s->reply, s->request);
}

/* `sample`, else the file's name with its folders as sent, else a hash of the bytes. */
static void name_sample(const struct samples *s, const struct upload *upload, struct arrival *arrival)
{
    const char *given = s->request->params.value[PARAM_ID_SAMPLE].text;
    char hex[SHA256_HEX];

    sha256_raw(upload->data, upload->size, arrival->digest);
    if (given != NULL && s->count == 1) {
        (void)snprintf(arrival->sample, sizeof arrival->sample, "%s", given);
    } else if (upload->file_name != NULL && upload->file_name[0] != '\0') {
        (void)snprintf(arrival->sample, sizeof arrival->sample, "%s", upload->file_name);
    } else {
        sha256_bytes(upload->data, upload->size, hex);
        (void)snprintf(arrival->sample, sizeof arrival->sample, "sha256:%s", hex);
    }
}

/* `label`, else the name of the part. */
static bool find_label(const struct samples *s, const struct upload *upload, struct arrival *arrival)
{
    const char *label = s->request->params.value[PARAM_ID_LABEL].text;
    struct infomask_error err;

    if (label == NULL)
        label = upload->field;
    if (label == NULL) {
        reject(arrival, VIEW_BAD_PARAMETER,
               "which class is it? label=CLASS, or a form whose part is named by its label");
        return false;
    }
    switch (model_find_class(s->model, label, &arrival->label, &err)) {
    case MODEL_CLASS_UNKNOWN:
        reject(arrival, VIEW_NO_SUCH_CLASS, err.text);
        return false;
    case MODEL_CLASS_AMBIGUOUS:
        reject(arrival, VIEW_AMBIGUOUS_CLASS, err.text);
        return false;
    case MODEL_CLASS_FOUND:
        break;
    }
    return true;
}

static void open_photo(struct samples *s, const struct upload *upload, struct arrival *arrival)
{
    struct infomask_error err;

    if (infomask_photo_open(upload->data, upload->size, &s->limits, &arrival->photo, &err) != INFOMASK_OK) {
        arrival->photo = NULL;
        reject(arrival, view_problem_of(err.status), err.text);
    }
}

/* ---- The network, and the store ---------------------------------------------------------------------------------- */

#define BATCH 8

/* Classifies up to BATCH opened photos; returns 0, or the status of a reply when nothing can go on. */
static int classify_some(struct samples *s, struct arrival *const *some, int count)
{
    const struct infomask_classify_options options = {.prior.kind = INFOMASK_PRIOR_TRAIN};
    struct infomask_photo *photos[BATCH] = {0};
    struct infomask_classification results[BATCH] = {0};
    struct infomask_error errors[BATCH] = {0}, err;

    for (int i = 0; i < count; i++)
        photos[i] = some[i]->photo;
    if (infomask_classify_batch(s->session, photos, count, &options, results, errors, &err) != INFOMASK_OK)
        return infer_state_error(s->server, s->request, s->reply, &err);
    for (int i = 0; i < count; i++) {
        if (errors[i].status != INFOMASK_OK) {
            reject(some[i], view_problem_of(errors[i].status), errors[i].text);
            continue;
        }
        some[i]->result = results[i];
        infer_add_timing(s->reply, &results[i].timing);
        s->reply->images++;
    }
    return 0;
}

static int classify_all(struct samples *s)
{
    struct arrival *some[BATCH];
    int count = 0, done = 0, status = 0;

    for (size_t i = 0; status == 0 && i < s->count; i++) {
        if (s->arrivals[i].photo != NULL)
            some[count++] = &s->arrivals[i];
        if (count < BATCH)
            continue;
        status = classify_some(s, some, count);
        done += count;
        count = 0;
        request_progress(s->request, done, (int)s->count);
    }
    return status == 0 && count > 0 ? classify_some(s, some, count) : status;
}

/* What the store has under this id is another photo, or has another label. */
static void reject_conflict(struct samples *s, struct arrival *arrival, const struct estimate_item *item)
{
    char detail[INFOMASK_ERROR_TEXT];

    if (item->had != item->label)
        (void)snprintf(detail, sizeof detail,
                       "the sample is known with the label \"%.80s\", not \"%.80s\"; it stays as it was",
                       model_label(s->model, item->had), model_label(s->model, item->label));
    else
        (void)snprintf(detail, sizeof detail,
                       "another photo is known under this name; say another sample or file name");
    reject(arrival, VIEW_CONFLICT, detail);
    s->conflicts++;
}

static void count_stored(struct samples *s, const struct estimate_item *items)
{
    const struct estimate_item *item = items;

    for (size_t i = 0; i < s->count; i++) {
        if (s->arrivals[i].photo == NULL)
            continue;
        s->accepted += item->added;
        s->duplicates += item->duplicate;
        s->known += !item->added && !item->conflict;
        if (item->conflict)
            reject_conflict(s, &s->arrivals[i], item);
        item++;
    }
}

static int store_all(struct samples *s)
{
    struct estimates own = infer_estimates(s->server, s->request);
    struct estimate_item *items = calloc(s->count + 1, sizeof *items);
    struct infomask_error err;
    size_t n = 0;
    int status = 0;

    if (items == NULL)
        return reply_no_memory(s->reply, s->request);
    for (size_t i = 0; i < s->count; i++) {
        const struct arrival *a = &s->arrivals[i];
        if (a->photo != NULL)
            items[n++] = (struct estimate_item){.sample = a->sample, .label = (uint32_t)a->label,
                                                .logits = a->result.logits, .digest = a->digest};
    }
    if (estimates_add(&own, s->request->capture[0], items, n, &s->total, &err) != INFOMASK_OK)
        status = infer_state_error(s->server, s->request, s->reply, &err);
    else
        count_stored(s, items);
    free(items);
    return status;
}

/* ---- The reply --------------------------------------------------------------------------------------------------- */

/* Of a request that has failed as a whole, beside its list. */
static void put_conflict(struct json_writer *writer)
{
    json_put_string(writer, "type", "about:blank");
    json_put_string(writer, "title", "Conflict");
    json_put_uint(writer, "status", 409);
    json_put_string(writer, "code", view_problem_code(VIEW_CONFLICT));
    json_put_string(writer, "detail", "every sample is known with other bytes or another label; see rejected");
}

static int answer(struct samples *s)
{
    bool conflict = s->conflicts > 0 && s->accepted + s->known == 0;
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    if (conflict)
        put_conflict(&writer);
    json_put_string(&writer, "request_id", s->request->id);
    json_put_uint(&writer, "accepted", s->accepted);
    json_put_uint(&writer, "known", s->known);
    json_put_uint(&writer, "duplicates", s->duplicates);
    json_array_open(&writer, "rejected");
    for (size_t i = 0; i < s->count; i++) {
        const struct arrival *a = &s->arrivals[i];
        if (a->photo != NULL)
            continue;
        json_object_open(&writer, NULL);
        json_put_string(&writer, "sample", a->sample);
        json_put_string(&writer, "code", view_problem_code(a->problem));
        json_put_string(&writer, "detail", a->detail);
        json_object_close(&writer);
    }
    json_array_close(&writer);
    json_put_uint(&writer, "samples", s->total);
    json_object_close(&writer);
    return reply_json(s->reply, s->request, conflict ? 409 : s->accepted > 0 ? 201 : 200, &writer);
}

static int add_samples(struct samples *s)
{
    int status = open_model(s);

    for (size_t i = 0; status == 0 && i < s->count; i++) {
        name_sample(s, &s->request->uploads[i], &s->arrivals[i]);
        if (find_label(s, &s->request->uploads[i], &s->arrivals[i]))
            open_photo(s, &s->request->uploads[i], &s->arrivals[i]);
    }
    if (status == 0)
        status = classify_all(s);
    if (status != 0)
        return status;
    if (s->count == 1 && s->arrivals[0].photo == NULL) /* a lone bad photo is the request's failure */
        return reply_problem(s->reply, s->request, s->arrivals[0].problem, "%s", s->arrivals[0].detail);
    status = store_all(s);
    if (status == 0 && s->count == 1 && s->conflicts == 1)
        return reply_problem(s->reply, s->request, VIEW_CONFLICT, "%s", s->arrivals[0].detail);
    return status == 0 ? answer(s) : status;
}

int handle_samples(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct samples s = {.server = server, .request = request, .reply = reply, .limits = server->limits};
    int status;

    if (server->estimates == NULL)
        return reply_problem(reply, request, VIEW_NO_STATE,
                             "this service keeps no state: its state folder cannot be written");
    s.limits.expired = request_expired;
    s.limits.deadline_context = (void *)(uintptr_t)request;
    status = add_samples(&s);
    for (size_t i = 0; s.arrivals != NULL && i < s.count; i++) {
        infomask_photo_close(s.arrivals[i].photo);
        infomask_classification_fini(&s.arrivals[i].result);
    }
    free(s.arrivals);
    if (s.session != NULL)
        model_session_give(s.model, s.session);
    model_release(s.model);
    estimate_info_fini(&s.info);
    return status;
}
