#include "server/call/uploads.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/json/json.h"
#include "app/json/text.h"
#include "server/message/base64.h"
#include "server/message/multipart.h"

int uploads_refuse_url(struct call *call, const char *name)
{
    return reply_problem(&call->reply, &call->request, VIEW_REMOTE_URL,
                         "%s is not taken: this service fetches nothing; send the photo itself", name);
}

/* ---- Forms ------------------------------------------------------------------------------------------------------- */

static bool only_parameters(const struct call *call) { return (call->match.route->flags & ROUTE_PARAMS) != 0; }

static bool is_upload(const struct part *part)
{
    return part->file_name != NULL || strcmp(part->name, "image") == 0 || strcmp(part->name, "file") == 0;
}

/* What comes of curl -F image=photo.jpg: not the file, but its name. */
static bool is_text_only(const struct part *part)
{
    return part->file_name == NULL && part->size > 0 && part->size < 256 && strlen(part->data) == part->size &&
           text_is_utf8(part->data, part->size);
}

static int refuse_text(struct call *call, const struct part *part)
{
    if (strncasecmp(part->data, "http://", 7) == 0 || strncasecmp(part->data, "https://", 8) == 0)
        return uploads_refuse_url(call, part->name);
    return reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST,
                         "%s is the text \"%.100s\" and no file; curl sends the file with @ before its name: "
                         "-F %s=@photo.jpg", part->name, part->data, part->name);
}

/* slot: where the mask's upload may lie. */
static int take_mask(struct call *call, const struct part *part, struct upload *slot)
{
    if (call->request.mask != NULL)
        return reply_problem(&call->reply, &call->request, VIEW_BAD_PARAMETER, "mask is given twice");
    if (is_text_only(part))
        return refuse_text(call, part);
    *slot = (struct upload){part->data, part->size, part->name, part->file_name};
    call->request.mask = slot;
    return 0;
}

static int take_parts(struct call *call, struct part *parts, int count)
{
    struct request *request = &call->request;
    struct infomask_error err;
    int status;

    for (int i = 0; i < count; i++) {
        struct part *part = &parts[i];
        if ((call->match.route->flags & ROUTE_MASK) && strcmp(part->name, "mask") == 0) {
            if ((status = take_mask(call, part, &call->uploads[count])) != 0)
                return status;
            continue;
        }
        if (!only_parameters(call) && is_upload(part)) {
            if (is_text_only(part))
                return refuse_text(call, part);
            call->uploads[request->upload_count++] = (struct upload){part->data, part->size, part->name,
                                                                     part->file_name};
            continue;
        }
        if (strcmp(part->name, "url") == 0)
            return uploads_refuse_url(call, "url");
        if (!text_is_utf8(part->data, part->size))
            return reply_problem(&call->reply, request, VIEW_BAD_PARAMETER, "the field \"%.60s\" is not UTF-8 text",
                                 part->name);
        if (params_set(&request->params, call->match.route->groups, part->name, part->data, &err) != INFOMASK_OK)
            return reply_problem(&call->reply, request, VIEW_BAD_PARAMETER, "%s", err.text);
    }
    request->uploads = call->uploads;
    return 0;
}

/* Of several files, where only one is asked for: the one named image, else file. */
static int choose_upload(struct call *call)
{
    struct request *request = &call->request;
    static const char *const wanted[] = {"image", "file"};

    if (request->upload_count == 0)
        return reply_problem(&call->reply, request, VIEW_BAD_REQUEST,
                             "the form has no image: send it as a file, or in a field named image");
    if (request->upload_count == 1 && call->uploads[0].size == 0)
        return reply_problem(&call->reply, request, VIEW_BAD_REQUEST, "the image in the form is empty");
    if (request->upload_count == 1 || (call->match.route->flags & ROUTE_PARTS))
        return 0;
    if (request->several != SEVERAL_NO)
        return request->mask == NULL ? 0
                                     : reply_problem(&call->reply, request, VIEW_BAD_PARAMETER,
                                                     "a mask of one's own is for one photo; there are %d",
                                                     request->upload_count);
    for (size_t k = 0; k < 2; k++) {
        int found = -1, matches = 0;
        for (int i = 0; i < request->upload_count; i++)
            if (call->uploads[i].field != NULL && strcmp(call->uploads[i].field, wanted[k]) == 0) {
                found = i;
                matches++;
            }
        if (matches == 1) {
            call->uploads[0] = call->uploads[found];
            request->upload_count = 1;
            return 0;
        }
    }
    return reply_problem(&call->reply, request, VIEW_BAD_REQUEST,
                         "there are %d images; this route takes one, or several with Accept: application/x-ndjson",
                         request->upload_count);
}

static int take_form(struct call *call)
{
    int limit = call->server->config->max_parts, count = 0, status;
    struct part *parts = calloc((size_t)limit, sizeof *parts);
    struct infomask_error err;

    call->uploads = calloc((size_t)limit + 1, sizeof *call->uploads); /* and one for a mask */
    if (parts == NULL || call->uploads == NULL)
        status = reply_no_memory(&call->reply, &call->request);
    else if (multipart_parse(call->request.content_type, call->body, call->body_size, parts, limit, &count, &err) !=
             INFOMASK_OK)
        status = reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST, "%s", err.text);
    else
        status = take_parts(call, parts, count);
    free(parts);
    return status != 0 || only_parameters(call) ? status : choose_upload(call);
}

/* ---- The photo as it is ------------------------------------------------------------------------------------------ */

static bool type_is(const struct request *request, const char *type)
{
    const char *given = request->content_type;
    size_t size = strlen(type);

    return given != NULL && strncasecmp(given, type, size) == 0 && strchr("; \t", given[size]) != NULL;
}

static bool begins(const struct call *call, const char *with)
{
    size_t size = strlen(with);
    return call->body_size >= size && memcmp(call->body, with, size) == 0;
}

/* Every photo has line ends or NULs among its first bytes; curl -d leaves them out. */
static bool lost_bytes(const struct call *call)
{
    size_t size = call->body_size < 4096 ? call->body_size : 4096;
    bool photo = begins(call, "\xff\xd8\xff") || begins(call, "\x89PNG") || begins(call, "RIFF");

    for (size_t i = 0; i < size; i++)
        if (strchr("\r\n", call->body[i]) != NULL) /* or a NUL */
            return false;
    return photo;
}

/* JSON by another name, and what curl -d sends, which is no photo: each mistake gets the sentence that helps. */
static int look_at_text(struct call *call)
{
    struct request *request = &call->request;

    if (begins(call, "{"))
        return reply_problem(&call->reply, request, VIEW_BAD_REQUEST,
                             "the body looks like JSON; send it with Content-Type: application/json");
    if (!type_is(request, "application/x-www-form-urlencoded"))
        return 0;
    if (lost_bytes(call))
        return reply_problem(&call->reply, request, VIEW_BAD_REQUEST,
                             "the photo lost its line ends and NULs on the way, as with curl -d; "
                             "send it with --data-binary @photo.jpg, or with -T photo.jpg");
    if (begins(call, "url="))
        return uploads_refuse_url(call, "url");
    if (begins(call, "image=") || begins(call, "file="))
        return reply_problem(
            &call->reply, request, VIEW_BAD_REQUEST,
            "a form of this kind holds no photo; send -F image=@photo.jpg, or --data-binary @photo.jpg");
    return 0;
}

static int take_raw(struct call *call)
{
    int status = look_at_text(call);

    if (status != 0)
        return status;
    call->uploads = calloc(1, sizeof *call->uploads);
    if (call->uploads == NULL)
        return reply_no_memory(&call->reply, &call->request);
    call->uploads[0] = (struct upload){.data = call->body, .size = call->body_size};
    call->request.uploads = call->uploads;
    call->request.upload_count = 1;
    return 0;
}

/* JSON by its Content-Type and its first sign: a photo is a photo whatever it is called.  A byte order mark is a
 * text's, and the parser says what is wrong with it. */
static bool is_json(const struct call *call)
{
    size_t i = 0;

    if (!type_is(&call->request, "application/json"))
        return false;
    while (i < call->body_size && strchr(" \t\r\n", call->body[i]) != NULL && call->body[i] != '\0')
        i++;
    return i == call->body_size || (unsigned char)call->body[i] < 0x80 || begins(call, "\xef\xbb\xbf") ||
           begins(call, "\xff\xfe") || begins(call, "\xfe\xff");
}

int uploads_take(struct call *call)
{
    if (multipart_is_form(call->request.content_type))
        return take_form(call);
    call->json = only_parameters(call) || is_json(call);
    return call->json ? 0 : take_raw(call);
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

static int bad_json(struct call *call, const char *sentence)
{
    return reply_problem(&call->reply, &call->request, VIEW_BAD_JSON, "%s", sentence);
}

static int not_base64(struct call *call, const char *name, const char *text, const char *at)
{
    char sentence[160];

    if (*at == '\0')
        (void)snprintf(sentence, sizeof sentence, "\"%s\" is not base64: it is cut off", name);
    else if (*at > ' ' && *at < 0x7f)
        (void)snprintf(sentence, sizeof sentence, "\"%s\" is not base64: character %zu of it is %c", name,
                       (size_t)(at - text) + 1, *at);
    else
        (void)snprintf(sentence, sizeof sentence, "\"%s\" is not base64 from character %zu on", name,
                       (size_t)(at - text) + 1);
    return bad_json(call, sentence);
}

static int bad_picture(struct call *call, const char *name, const char *what)
{
    char sentence[160];

    (void)snprintf(sentence, sizeof sentence, "\"%s\" %s", name, what);
    return bad_json(call, sentence);
}

static bool is_remote(const char *text)
{
    static const char *const schemes[] = {"http:", "https:", "ftp:", "file:", "//"};

    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}

/* One picture: its bytes go into the body behind *used (the text, which the tree holds a copy of, was longer). */
static int take_picture(struct call *call, const char *name, const struct json *node, size_t *used,
                        struct upload *upload)
{
    const char *text = json_string(node), *encoded, *stopped;
    size_t size;

    if (text == NULL)
        return bad_picture(call, name, "must be the photo in base64, or a data: URL");
    if (is_remote(text))
        return uploads_refuse_url(call, "an address in place of a photo");
    encoded = base64_text(text);
    if (encoded == NULL)
        return bad_picture(call, name, "is a data: URL without \";base64,\"");
    stopped = base64_decode(encoded, call->body + *used, &size);
    if (stopped != NULL)
        return not_base64(call, name, encoded, stopped);
    if (size == 0)
        return bad_picture(call, name, "is empty");
    *upload = (struct upload){call->body + *used, size, name, NULL};
    *used += size;
    return 0;
}

static int take_images(struct call *call, const struct json *node, size_t *used)
{
    struct request *request = &call->request;
    bool several = json_kind(node) == JSON_ARRAY;
    size_t count = several ? json_count(node) : 1;
    int status;

    if (several && count == 0)
        return bad_json(call, "\"image\" is an empty list");
    if (count > (size_t)call->server->config->max_parts)
        return bad_json(call, "there are more images than a request may have parts");
    call->uploads = calloc(count + 1, sizeof *call->uploads); /* and one for a mask */
    if (call->uploads == NULL)
        return reply_no_memory(&call->reply, request);
    for (const struct json *one = several ? json_first(node) : node; one != NULL; one = several ? json_next(one) : NULL)
        if ((status = take_picture(call, "image", one, used, &call->uploads[request->upload_count++])) != 0)
            return status;
    request->uploads = call->uploads;
    return 0;
}

/* The value of a parameter as the text that a query would have; NULL: an object, or a list inside of a list. */
static const char *scalar_text(const struct json *node, char **texts)
{
    double number;
    bool truth;
    char *text = *texts;

    if (json_kind(node) == JSON_STRING)
        return json_string(node);
    if (json_number(node, &number))
        *texts += json_double_text(number, text) + 1;
    else if (json_bool(node, &truth))
        *texts = stpcpy(text, truth ? "true" : "false") + 1;
    else
        return NULL;
    return text;
}

static int set_parameter(struct call *call, const char *name, const char *value)
{
    struct infomask_error err;
    char sentence[160];

    if (value == NULL) {
        (void)snprintf(sentence, sizeof sentence, "\"%.60s\" must be a string, a number, true, false or a list of them",
                       name);
        return bad_json(call, sentence);
    }
    if (params_set(&call->request.params, call->match.route->groups, name, value, &err) != INFOMASK_OK)
        return reply_problem(&call->reply, &call->request, VIEW_BAD_PARAMETER, "%s", err.text);
    return 0;
}

/* A list: `target` is given several times, others are written with commas between their values. */
static int take_list(struct call *call, const char *name, const struct json *list, char **texts)
{
    char *joined, *at;
    int status;

    if (strcmp(name, "target") == 0) {
        for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
            if ((status = set_parameter(call, name, scalar_text(one, texts))) != 0)
                return status;
        return 0;
    }
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one))
        if (json_kind(one) != JSON_STRING && json_kind(one) != JSON_NUMBER)
            return set_parameter(call, name, NULL);
    joined = at = *texts;
    for (const struct json *one = json_first(list); one != NULL; one = json_next(one)) {
        double number;
        if (at != joined)
            *at++ = ',';
        if (json_number(one, &number))
            at += json_double_text(number, at);
        else
            at = stpcpy(at, json_string(one));
    }
    *at = '\0';
    *texts = at + 1;
    return set_parameter(call, name, joined);
}

/* null is as good as nothing, for a parameter that there is. */
static int leave_out(struct call *call, const char *name)
{
    struct infomask_error err;

    if (params_set(&call->request.params, call->match.route->groups, name, NULL, &err) != INFOMASK_OK)
        return reply_problem(&call->reply, &call->request, VIEW_BAD_PARAMETER, "%s", err.text);
    return 0;
}

/* Whether a member of the document is one, which is no parameter. */
static bool is_picture(const struct call *call, const char *name)
{
    return strcmp(name, "image") == 0 ? !only_parameters(call)
                                      : strcmp(name, "mask") == 0 && (call->match.route->flags & ROUTE_MASK) != 0;
}

static int take_member(struct call *call, const struct json *member, char **texts)
{
    const char *name = json_key(member);

    if (is_picture(call, name))
        return 0; /* taken already */
    if (strcmp(name, "url") == 0)
        return uploads_refuse_url(call, "url");
    if (json_kind(member) == JSON_ARRAY)
        return take_list(call, name, member, texts);
    if (json_kind(member) == JSON_NULL)
        return leave_out(call, name);
    return set_parameter(call, name, scalar_text(member, texts));
}

/* Room for every number of the document as text, every string once more, and an end for each. */
static size_t texts_size(const struct call *call, const struct json *node)
{
    size_t size = JSON_DOUBLE_TEXT + 8;

    if (json_string(node) != NULL)
        size += strlen(json_string(node));
    for (const struct json *child = json_first(node); child != NULL; child = json_next(child))
        if (json_key(child) == NULL || !is_picture(call, json_key(child)))
            size += texts_size(call, child);
    return size;
}

static int read_document(struct call *call)
{
    static const struct json_limits limits = {.max_depth = 4, .max_values = 100000};
    struct infomask_error err;

    switch (json_parse(call->body, call->body_size, &limits, &call->document, &err)) {
    case INFOMASK_OK:
        break;
    case INFOMASK_BAD_DATA:
        return reply_problem(&call->reply, &call->request, VIEW_BAD_JSON, "the body is not JSON as it is taken: %s",
                             err.text);
    default:
        return reply_error(&call->reply, &call->request, &err);
    }
    if (json_kind(call->document) != JSON_OBJECT)
        return bad_json(call, only_parameters(call)
                                  ? "the body must be an object of parameters: {\"prior\": [1, 2, ...]}"
                                  : "the body must be an object: {\"image\": \"base64\", ...parameters}");
    if (only_parameters(call))
        return 0;
    if (json_get(call->document, "image") == NULL) {
        if (json_get(call->document, "url") != NULL)
            return uploads_refuse_url(call, "url");
        return bad_json(call, "the body has no \"image\": the photo in base64, or a data: URL");
    }
    return 0;
}

static int take_pictures(struct call *call)
{
    const struct json *mask;
    size_t used = 0;
    int status = take_images(call, json_get(call->document, "image"), &used);

    if (status != 0)
        return status;
    mask = (call->match.route->flags & ROUTE_MASK) ? json_get(call->document, "mask") : NULL;
    if (mask != NULL && json_kind(mask) != JSON_NULL) {
        struct upload *slot = &call->uploads[call->request.upload_count];
        if ((status = take_picture(call, "mask", mask, &used, slot)) != 0)
            return status;
        call->request.mask = slot;
    }
    return 0;
}

int uploads_take_json(struct call *call)
{
    char *at;
    int status = read_document(call);

    if (status == 0 && !only_parameters(call))
        status = take_pictures(call);
    if (status != 0)
        return status;
    at = call->texts = malloc(texts_size(call, call->document));
    if (at == NULL)
        return reply_no_memory(&call->reply, &call->request);
    for (const struct json *member = json_first(call->document); member != NULL; member = json_next(member))
        if ((status = take_member(call, member, &at)) != 0)
            return status;
    call->request.body = NULL;
    call->request.body_size = 0;
    return only_parameters(call) ? 0 : choose_upload(call);
}
