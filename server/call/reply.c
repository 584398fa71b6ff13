#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/json/text.h"
#include "core/base/clock.h"
#include "server/call/reply.h"
#include "server/call/request.h"
#include "server/message/fields.h"
#include "server/message/gzip.h"

#define DETAIL_SIZE 1024
#define PACKED "-gzip"               /* in the entity tag of a packed answer */
#define PACK_LEAST 1024              /* bytes: shorter texts fit into a packet as they are */
#define PACK_MOST (256 * 1024)       /* longer ones hold pictures in base64, which hardly shrink */

bool request_expired(void *context)
{
    const struct request *request = context;
    return clock_ms() > request->deadline_ms ||
           (request->watch != NULL && atomic_load_explicit(&request->watch->cancelled, memory_order_relaxed));
}

void request_progress(const struct request *request, int done, int total)
{
    if (request->watch == NULL)
        return;
    atomic_store(&request->watch->total, total);
    atomic_store(&request->watch->done, done);
}

void reply_init(struct reply *reply)
{
    *reply = (struct reply){.pmi = NAN, .residual = NAN};
}

void reply_fini(struct reply *reply)
{
    for (int i = 0; i < reply->header_count; i++)
        free(reply->headers[i].value);
    free(reply->owned);
    kept_release(reply->kept);
    reply_init(reply);
}

static void set_body(struct reply *reply, int status, const char *content_type, const char *data, size_t size)
{
    free(reply->owned);
    kept_release(reply->kept);
    reply->owned = NULL;
    reply->kept = NULL;
    reply->status = status;
    reply->content_type = content_type;
    reply->data = data;
    reply->size = size;
}

int reply_take(struct reply *reply, int status, const char *content_type, void *data, size_t size)
{
    set_body(reply, status, content_type, data, size);
    reply->owned = data;
    return status;
}

int reply_static(struct reply *reply, int status, const char *content_type, const void *data, size_t size)
{
    set_body(reply, status, content_type, data, size);
    return status;
}

int reply_empty(struct reply *reply, int status) { return reply_static(reply, status, NULL, NULL, 0); }

/* Without memory even a problem document cannot be made: a fixed one says so. */
static int out_of_memory(struct reply *reply)
{
    static const char text[] = VIEW_PROBLEM_NO_MEMORY;
    reply->code = view_problem_code(VIEW_OVERLOADED);
    return reply_static(reply, 503, "application/problem+json", text, sizeof text - 1);
}

int reply_json(struct reply *reply, const struct request *request, int status, struct json_writer *writer)
{
    struct infomask_error err = {0};
    char *text;
    size_t size;

    if (json_writer_take(writer, &text, &size, &err) == INFOMASK_OK)
        return reply_take(reply, status, "application/json", text, size);
    json_writer_fini(writer);
    if (err.status == INFOMASK_MEMORY)
        return reply_no_memory(reply, request);
    return reply_problem(reply, request, VIEW_INTERNAL, "the answer could not be written: %s", err.text);
}

bool etag_matches(const char *list, const char *tag)
{
    size_t size = strlen(tag);

    for (const char *p = list; p != NULL && *p != '\0';) {
        p += strspn(p, " \t,");
        if (*p == '*')
            return true;
        if (strncmp(p, "W/", 2) == 0)
            p += 2;
        size_t length = *p == '"' ? strcspn(p + 1, "\"") + 2 : strcspn(p, ",");
        if (length == size && strncmp(p, tag, size) == 0)
            return true;
        /* the same document packed */
        if (length == size + sizeof PACKED - 1 && strncmp(p, tag, size - 1) == 0 &&
            strncmp(p + size - 1, PACKED "\"", sizeof PACKED) == 0)
            return true;
        p += strnlen(p, length);
    }
    return false;
}

static int add_tag(struct reply *reply, const struct request *request, const char *tag)
{
    reply_header(reply, "ETag", "%s", tag);
    reply_header(reply, "Cache-Control", "no-cache");
    /* the bytes stay: a 304 has the length that the 200 would have had, and the library sends no body with it */
    if (etag_matches(request->if_none_match, tag))
        reply->status = 304;
    return reply->status;
}

int reply_tagged(struct reply *reply, const struct request *request)
{
    char tag[ENTITY_TAG_SIZE];

    if (reply->status != 200)
        return reply->status;
    entity_tag(reply->data, reply->size, tag);
    return add_tag(reply, request, tag);
}

int reply_kept(struct reply *reply, const struct request *request, const char *content_type, struct kept *kept)
{
    set_body(reply, 200, content_type, kept->data, kept->size);
    reply->kept = kept;
    return add_tag(reply, request, kept->tag);
}

static bool is_v2(const struct request *request)
{
    const char *path = request->path;
    return path != NULL && strncmp(path, "/v2", 3) == 0 && (path[3] == '\0' || path[3] == '/');
}

static bool has_header(const struct reply *reply, const char *name)
{
    for (int i = 0; i < reply->header_count; i++)
        if (strcmp(reply->headers[i].name, name) == 0)
            return true;
    return false;
}

/* A value that a sentence quotes may hold line breaks and what moves a terminal's cursor. */
static void put_on_one_line(char *sentence)
{
    for (char *p = sentence; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
}

int reply_problem(struct reply *reply, const struct request *request, enum view_problem problem, const char *format,
                  ...)
{
    char detail[DETAIL_SIZE];
    struct json_writer writer;
    const char *type = "application/problem+json";
    char *text;
    size_t size;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    put_on_one_line(detail);
    if (problem == VIEW_OVERLOADED && !has_header(reply, "Retry-After"))
        reply_header(reply, "Retry-After", "1");
    json_writer_init(&writer, 0);
    if (is_v2(request)) {
        type = "application/json";
        json_object_open(&writer, NULL);
        json_put_string(&writer, "error", detail);
        json_object_close(&writer);
    } else {
        view_problem(&writer, NULL, problem, detail, request->id);
    }
    if (json_writer_take(&writer, &text, &size, NULL) != INFOMASK_OK) {
        json_writer_fini(&writer);
        return out_of_memory(reply);
    }
    reply->code = view_problem_code(problem);
    return reply_take(reply, view_problem_status(problem), type, text, size);
}

int reply_no_memory(struct reply *reply, const struct request *request)
{
    return reply_problem(reply, request, VIEW_OVERLOADED, "there is no memory for this request now; try again");
}

int reply_error(struct reply *reply, const struct request *request, const struct infomask_error *error)
{
    return reply_problem(reply, request, view_problem_of(error->status), "%s", error->text);
}

int reply_no_model(struct reply *reply, const struct request *request, const struct infomask_error *error)
{
    enum view_problem problem = error->status == INFOMASK_ARGUMENT   ? VIEW_NO_SUCH_MODEL
                                : error->status == INFOMASK_DEADLINE ? VIEW_MODEL_LOADING
                                : error->status == INFOMASK_MEMORY   ? VIEW_OVERLOADED
                                                                     : VIEW_MODEL_FAILED;

    if (problem == VIEW_MODEL_LOADING || problem == VIEW_OVERLOADED)
        reply_header(reply, "Retry-After", "%d", 1);
    return reply_problem(reply, request, problem, "%s", error->text);
}

static void add_header(struct reply *reply, const char *name, char *value)
{
    if (value == NULL || reply->header_count == REPLY_MAX_HEADERS) {
        free(value);
        return;
    }
    reply->headers[reply->header_count++] = (struct reply_header){name, value};
}

void reply_header(struct reply *reply, const char *name, const char *format, ...)
{
    va_list args;
    char *value = NULL;

    va_start(args, format);
    if (vasprintf(&value, format, args) < 0)
        value = NULL;
    va_end(args);
    for (char *p = value; p != NULL && *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    add_header(reply, name, value);
}

/* The name goes behind the value, so that both are freed as one. */
void reply_header_line(struct reply *reply, const char *line, size_t length)
{
    const char *colon = memchr(line, ':', length);
    size_t name = colon != NULL ? (size_t)(colon - line) : 0, value = length - name - 2;
    char *text = name > 0 && length >= name + 2 ? malloc(length + 2) : NULL;

    if (text == NULL)
        return;
    memcpy(text, colon + 2, value);
    text[value] = '\0';
    memcpy(text + value + 1, line, name);
    text[value + 1 + name] = '\0';
    add_header(reply, text + value + 1, text);
}

void reply_header_encoded(struct reply *reply, const char *name, const char *value)
{
    char *text = malloc(strlen(value) * 3 + 1);

    if (text == NULL)
        return;
    text_percent_encode(value, text);
    add_header(reply, name, text);
}

/* ---- Times ------------------------------------------------------------------------------------------------------- */

void reply_timing(struct reply *reply, const struct request *request)
{
    const struct infomask_timing *t = &reply->timing;
    const struct {
        const char *name;
        double ms;
    } steps[] = {{"queue", request->queue_ms},  {"decode", t->decode}, {"preprocess", t->preprocess},
                 {"network", t->network},       {"map", t->map},       {"mask", t->mask},
                 {"fill", t->fill},             {"encode", t->encode}, {"total", clock_ms() - request->started_ms}};
    char text[320];
    size_t used = 0;

    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].ms > 0)
            used += (size_t)snprintf(text + used, sizeof text - used, "%s%s;dur=%.3f", used > 0 ? ", " : "",
                                     steps[i].name, steps[i].ms);
    reply_header(reply, "Server-Timing", "%s", text);
}

/* ---- Coding of the content --------------------------------------------------------------------------------------- */

static bool is_text(const char *type)
{
    static const char *const texts[] = {"application/json", "application/problem+json", "application/x-ndjson", "text/",
                                        "image/svg+xml"};

    for (size_t i = 0; type != NULL && i < sizeof texts / sizeof texts[0]; i++)
        if (strncmp(type, texts[i], strlen(texts[i])) == 0)
            return true;
    return false;
}

static void mark_packed(struct reply *reply)
{
    reply_header(reply, "Content-Encoding", "gzip");
    for (int i = 0; i < reply->header_count; i++) {
        char *old = reply->headers[i].value, *tag;
        if (strcmp(reply->headers[i].name, "ETag") != 0 ||
            asprintf(&tag, "%.*s" PACKED "\"", (int)strlen(old) - 1, old) < 0)
            continue;
        free(old);
        reply->headers[i].value = tag;
    }
}

static void replace_body(struct reply *reply, char *data, size_t size)
{
    int status = reply->status;

    (void)reply_take(reply, status, reply->content_type, data, size);
}

void reply_encode(struct reply *reply, const struct request *request)
{
    bool accepted = field_takes_gzip(request->accept_encoding);
    char *data;
    size_t size;

    if (!is_text(reply->content_type) || reply->size == 0)
        return;
    if (reply->packed || reply->size >= PACK_LEAST)
        reply_header(reply, "Vary", "Accept-Encoding");
    if (reply->packed) {
        if (accepted)
            mark_packed(reply);
        else if (gzip_unpack(reply->data, reply->size, &data, &size))
            replace_body(reply, data, size);
    } else if (accepted && reply->size >= PACK_LEAST && (reply->kept != NULL || reply->size <= PACK_MOST) &&
               gzip_pack(reply->data, reply->size, &data, &size)) {
        replace_body(reply, data, size);
        mark_packed(reply);
    }
}
