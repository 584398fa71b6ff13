#include "server/handlers/infer.h"

#include <stdio.h>
#include <string.h>

#include "app/json/json_utf8.h"
#include "app/json/text.h"
#include "app/state/traffic.h"
#include "server/call/pin.h"
#include "server/observe/log.h"

struct infomask_limits infer_limits(const struct server_context *server, const struct request *request)
{
    struct infomask_limits limits = server->limits;

    limits.expired = request_expired;
    limits.deadline_context = (void *)(uintptr_t)request;
    return limits;
}

int infer_begin(struct infer *infer, struct server_context *server, const struct request *request, struct reply *reply)
{
    const char *name = request->params.value[PARAM_ID_MODEL].text;
    enum view_problem problem;
    struct infomask_error err;
    struct model *model;

    *infer = (struct infer){.server = server, .request = request, .reply = reply,
                            .limits = infer_limits(server, request)};
    model = pinned_model(server, request, name, reply);
    if (model == NULL)
        return reply->status;
    (void)snprintf(reply->model, sizeof reply->model, "%s", model_name(model));
    if (ask_open(&infer->ask, model, &request->params, &problem, &err) != INFOMASK_OK)
        return reply_problem(reply, request, problem, "%s", err.text);
    if (infer->ask.options.classify.samples > 0 && !model_info(model)->noise)
        return reply_problem(reply, request, VIEW_NO_NOISE,
                             "the model %s has no noise to sample; leave samples out or 0", model_name(model));
    return ask_session(&infer->ask, &err) == INFOMASK_OK ? 0 : infer_error(infer, &err);
}

int infer_error(struct infer *infer, const struct infomask_error *error)
{
    return reply_error(infer->reply, infer->request, error);
}

int infer_open(struct infer *infer, const struct upload *upload, struct infomask_photo **photo)
{
    struct infomask_error err;

    if (infomask_photo_open(upload->data, upload->size, &infer->limits, photo, &err) != INFOMASK_OK)
        return infer_error(infer, &err);
    return 0;
}

struct estimates infer_estimates(const struct server_context *server, const struct request *request)
{
    return estimates_within(server->estimates, request->deadline_ms);
}

int infer_state_error(struct server_context *server, const struct request *request, struct reply *reply,
                      const struct infomask_error *error)
{
    if (error->status == INFOMASK_IO)
        log_event(server->log, LOG_ERROR, true, "state",
                  (const struct log_field[]){LOG_FIELD_TEXT("request_id", request->id),
                                             LOG_FIELD_TEXT("message", error->text)},
                  2);
    return reply_error(reply, request, error);
}

void infer_end(struct infer *infer)
{
    infomask_photo_close(infer->photo);
    ask_close(&infer->ask);
}

struct view_head infer_head(const struct infer *infer, const struct infomask_photo_info *image, const char *file)
{
    struct view_head head = ask_head(&infer->ask, image);

    head.request_id = infer->request->id;
    head.file = file;
    head.queue_ms = infer->request->queue_ms;
    head.started_ms = infer->request->started_ms;
    return head;
}

/* Characters that are seen where they stand: no controls, no marks that turn the direction of others or join them. */
static bool is_seen(const unsigned char *p, size_t length)
{
    unsigned code = length == 2 ? (p[0] & 31U) << 6 | (p[1] & 63U)
                    : length == 3 ? (p[0] & 15U) << 12 | (p[1] & 63U) << 6 | (p[2] & 63U) : 0x10000U;

    return code > 0xa0 && code != 0x61c && !(code >= 0x2000 && code <= 0x206f) && code != 0xfeff &&
           !(code >= 0xfff0 && code <= 0xffff);
}

/* Letters, digits and _ of a file's name without its ending, with - for what is between them; "photo" where it has
 * none.  wide: letters of other alphabets stay.  True: there are such. */
static bool plain_stem(const char *name, bool wide, char *stem, size_t size)
{
    const char *end = name == NULL ? NULL : strrchr(name, '.');
    bool found = false;
    size_t used = 0, left = name == NULL ? 0 : end == NULL ? strlen(name) : (size_t)(end - name);

    for (const unsigned char *p = (const unsigned char *)name; left > 0;) {
        size_t length = json_utf8_length(p, left), step = length == 0 ? 1 : length;
        bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_';
        bool letter = wide && length > 1 && is_seen(p, length);
        if (used + step >= size)
            break;
        if (plain || letter) {
            memcpy(stem + used, p, step);
            used += step;
        } else if (used > 0 && stem[used - 1] != '-') {
            stem[used++] = '-';
        }
        found |= letter;
        p += step;
        left -= step;
    }
    while (used > 0 && stem[used - 1] == '-')
        used--;
    stem[used] = '\0';
    if (used == 0)
        (void)snprintf(stem, size, "photo");
    return found;
}

/* The name after the last folder separator; NULL stays NULL. */
static const char *without_folders(const char *name)
{
    const char *slash = name != NULL ? strrchr(name, '/') : NULL, *back = name != NULL ? strrchr(name, '\\') : NULL;

    if (slash != NULL)
        name = slash + 1;
    return back != NULL && back + 1 > name ? back + 1 : name;
}

void infer_name_file(struct infer *infer, const char *what, const char *content_type)
{
    const char *slash = strchr(content_type, '/'), *ending = slash == NULL ? "bin" : slash + 1;
    const char *name = without_folders(infer->request->uploads[0].file_name);
    char stem[64], wide[128], encoded[3 * sizeof wide];
    bool other = plain_stem(name, true, wide, sizeof wide);

    if (strcmp(ending, "jpeg") == 0)
        ending = "jpg";
    (void)plain_stem(name, false, stem, sizeof stem);
    text_percent_encode(wide, encoded);
    if (other) /* RFC 6266: who can't read the one takes the other */
        reply_header(infer->reply, "Content-Disposition", "inline; filename=\"%s-%s.%s\"; filename*=UTF-8''%s-%s.%s",
                     stem, what, ending, encoded, what, ending);
    else
        reply_header(infer->reply, "Content-Disposition", "inline; filename=\"%s-%s.%s\"", stem, what, ending);
}

void infer_note(struct infer *infer, const struct infomask_photo_info *image, int images)
{
    infer->reply->images = images;
    infer->reply->image_width = image->width;
    infer->reply->image_height = image->height;
}

void infer_note_traffic(const struct infer *infer, const struct infomask_classification *result)
{
    if (infer->ask.options.classify.prior.kind == INFOMASK_PRIOR_TRAIN)
        traffic_add(infer->server->traffic, infer->ask.model, result);
}
