/* POST /v1/estimates/{id}/samples: labelled photos, classified in batches and added in one transaction. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/estimate/label_photos.h"
#include "core/base/sha256.h"
#include "server/call/pin.h"
#include "server/handlers/infer.h"

struct samples {
    struct server_context *server;
    const struct request *request;
    struct reply *reply;
    struct estimate_info info;
    struct ask ask;
    struct label_photo *photos;               /* [count] of the uploads */
    char (*names)[ESTIMATE_SAMPLE_MAX + 1];   /* [count] of the samples */
    size_t count, accepted, known, duplicates, conflicts;
    uint64_t total;
};

/* ---- Setting up -------------------------------------------------------------------------------------------------- */

static int open_model(struct samples *s)
{
    struct estimates own = infer_estimates(s->server, s->request);
    enum view_problem problem;
    struct infomask_error err;
    struct model *model;

    if (estimates_find(&own, s->request->capture[0], &s->info, &err) != INFOMASK_OK)
        return infer_state_error(s->server, s->request, s->reply, &err);
    model = pinned_model(s->server, s->request, s->info.model, s->reply);
    if (model == NULL)
        return s->reply->status;
    (void)snprintf(s->reply->model, sizeof s->reply->model, "%s", model_name(model));
    if (ask_open(&s->ask, model, NULL, &problem, &err) != INFOMASK_OK)
        return reply_problem(s->reply, s->request, problem, "%s", err.text);
    if (strcmp(model_info(model)->sha256, s->info.sha256) != 0)
        return reply_problem(s->reply, s->request, VIEW_BAD_REQUEST,
                             "the model %s is not the one that this estimate was opened for; open another estimate",
                             s->info.model);
    if (ask_session(&s->ask, &err) != INFOMASK_OK)
        return infer_state_error(s->server, s->request, s->reply, &err);
    s->count = (size_t)s->request->upload_count;
    s->photos = calloc(s->count + 1, sizeof *s->photos);
    s->names = calloc(s->count + 1, sizeof *s->names);
    return s->photos != NULL && s->names != NULL ? 0 : reply_no_memory(s->reply, s->request);
}

/* `sample`, else the file's name with its folders as sent, else a hash of the bytes. */
static void name_sample(const struct samples *s, const struct upload *upload, char name[ESTIMATE_SAMPLE_MAX + 1])
{
    const char *given = s->request->params.value[PARAM_ID_SAMPLE].text;
    char hex[SHA256_HEX];

    if (given != NULL && s->count == 1) {
        (void)snprintf(name, ESTIMATE_SAMPLE_MAX + 1, "%s", given);
    } else if (upload->file_name != NULL && upload->file_name[0] != '\0') {
        (void)snprintf(name, ESTIMATE_SAMPLE_MAX + 1, "%s", upload->file_name);
    } else {
        sha256_bytes(upload->data, upload->size, hex);
        (void)snprintf(name, ESTIMATE_SAMPLE_MAX + 1, "sha256:%s", hex);
    }
}

/* `label`, else the name of the part. */
static void find_label(const struct samples *s, const struct upload *upload, struct label_photo *photo)
{
    const char *label = s->request->params.value[PARAM_ID_LABEL].text;
    enum view_problem problem;
    struct infomask_error err;

    if (label == NULL)
        label = upload->field;
    if (label == NULL)
        label_reject(photo, VIEW_BAD_PARAMETER,
                     "which class is it? label=CLASS, or a form whose part is named by its label");
    else if (ask_find_class(s->ask.model, label, &photo->label, &problem, &err) != INFOMASK_OK)
        label_reject(photo, problem, err.text);
}

static void read_uploads(struct samples *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct upload *upload = &s->request->uploads[i];
        name_sample(s, upload, s->names[i]);
        s->photos[i] = (struct label_photo){.sample = s->names[i], .data = upload->data, .size = upload->size};
        find_label(s, upload, &s->photos[i]);
    }
}

/* ---- Into the store ---------------------------------------------------------------------------------------------- */

static void note_progress(void *request, size_t done, size_t count)
{
    request_progress(request, (int)done, (int)count);
}

static void count_photos(struct samples *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct label_photo *photo = &s->photos[i];
        if (photo->classified) {
            view_timing_add(&s->reply->timing, &photo->timing);
            s->reply->images++;
        }
        s->accepted += photo->added;
        s->duplicates += photo->duplicate;
        s->conflicts += photo->conflict;
        s->known += !photo->rejected && !photo->added;
    }
}

static int label_uploads(struct samples *s)
{
    struct estimates own = infer_estimates(s->server, s->request);
    struct infomask_limits limits = infer_limits(s->server, s->request);
    const struct label_target target = {.estimates = &own, .id = s->request->capture[0], .model = s->ask.model,
                                        .session = s->ask.session, .limits = &limits,
                                        .other_sample = "say another sample or file name",
                                        .progress = note_progress, .context = (void *)(uintptr_t)s->request};
    struct infomask_error err;
    enum infomask_status status = label_photos(&target, s->photos, s->count, &s->total, &err);

    count_photos(s);
    return status == INFOMASK_OK ? 0 : infer_state_error(s->server, s->request, s->reply, &err);
}

/* ---- The reply --------------------------------------------------------------------------------------------------- */

static int answer(struct samples *s)
{
    bool conflict = s->conflicts > 0 && s->accepted + s->known == 0;
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    if (conflict) /* the request has failed as a whole: a problem, with the list beside it */
        view_problem_members(&writer, VIEW_CONFLICT,
                             "no sample was added, and some are known with other bytes or another label; see rejected");
    json_put_string(&writer, "request_id", s->request->id);
    json_put_uint(&writer, "accepted", s->accepted);
    json_put_uint(&writer, "known", s->known);
    json_put_uint(&writer, "duplicates", s->duplicates);
    json_array_open(&writer, "rejected");
    for (size_t i = 0; i < s->count; i++) {
        const struct label_photo *photo = &s->photos[i];
        if (!photo->rejected)
            continue;
        json_object_open(&writer, NULL);
        json_put_string(&writer, "sample", photo->sample);
        json_put_string(&writer, "code", view_problem_code(photo->problem));
        json_put_string(&writer, "detail", photo->detail);
        json_object_close(&writer);
    }
    json_array_close(&writer);
    json_put_uint(&writer, "samples", s->total);
    json_object_close(&writer);
    if (reply_json(s->reply, s->request, conflict ? 409 : s->accepted > 0 ? 201 : 200, &writer) == 409)
        s->reply->content_type = "application/problem+json";
    return s->reply->status;
}

static int add_samples(struct samples *s)
{
    int status = open_model(s);

    if (status == 0) {
        read_uploads(s);
        status = label_uploads(s);
    }
    if (status != 0)
        return status;
    if (s->count == 1 && s->photos[0].rejected) /* a lone bad photo is the request's failure */
        return reply_problem(s->reply, s->request, s->photos[0].problem, "%s", s->photos[0].detail);
    return answer(s);
}

int handle_samples(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct samples s = {.server = server, .request = request, .reply = reply};
    int status;

    if (server->estimates == NULL)
        return reply_problem(reply, request, VIEW_NO_STATE,
                             "this service keeps no state: its state folder cannot be written");
    status = add_samples(&s);
    free(s.photos);
    free(s.names);
    ask_close(&s.ask);
    estimate_info_fini(&s.info);
    return status;
}
