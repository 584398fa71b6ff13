#include "server/call/call.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "app/json/text.h"
#include "core/base/clock.h"
#include "server/call/access.h"
#include "server/call/dispatch.h"
#include "server/call/lines.h"
#include "server/call/uploads.h"
#include "server/message/fields.h"
#include "server/message/multipart.h"
#include "server/queue/queue.h"

#define JSON_BODY_LIMIT (1024 * 1024)
#define NO_BODY_LIMIT (64 * 1024) /* what is read and thrown away where no body is asked for */
#define FIRST_CAPACITY (64 * 1024)

/* ---- Life -------------------------------------------------------------------------------------------------------- */

struct call *call_create(struct server_context *server, const char *target)
{
    struct call *call = calloc(1, sizeof *call);

    if (call == NULL)
        return NULL;
    call->server = server;
    call->target = strdup(target);
    if (call->target == NULL) {
        free(call);
        return NULL;
    }
    call->framing.length = -1;
    call->request.started_ms = clock_ms();
    call->request.deadline_ms = call->request.started_ms + 1000 * server->config->request_timeout;
    reply_init(&call->reply);
    return call;
}

void call_drop_body(struct call *call)
{
    atomic_fetch_sub(&call->server->body_bytes, call->body_capacity);
    free(call->body);
    call->body = NULL;
    call->body_size = call->body_capacity = 0;
}

void call_unpin(struct call *call)
{
    if (call->pinned)
        model_unpin(call->request.model);
    call->pinned = false;
    model_release(call->request.model);
    call->request.model = NULL;
}

void call_free(struct call *call)
{
    if (call == NULL)
        return;
    call_drop_body(call);
    call_unpin(call);
    reply_fini(&call->reply);
    json_free(call->document);
    free(call->texts);
    free(call->uploads);
    free(call->values);
    free(call->target);
    free(call);
}

struct call *call_detach(struct call *call)
{
    struct call *taken = malloc(sizeof *taken);
    char *path = strdup(call->request.path), *trace = NULL;

    if (taken == NULL || path == NULL ||
        (call->request.traceparent != NULL && (trace = strdup(call->request.traceparent)) == NULL)) {
        free(taken);
        free(path);
        return NULL;
    }
    *taken = *call;
    reply_init(&taken->reply);
    for (int i = 0; i < REQUEST_CAPTURES; i++)
        if (call->request.capture[i] != NULL)
            taken->request.capture[i] = taken->match.storage + (call->request.capture[i] - call->match.storage);
    if (call->request.client != NULL)
        taken->request.client = taken->key_name;
    call->target = path;
    call->values = trace;
    call->request.path = path;
    call->request.traceparent = trace;
    call->query = call->body = NULL;
    call->uploads = NULL;
    call->document = NULL;
    call->texts = NULL;
    call->body_size = call->body_capacity = 0;
    return taken;
}

/* ---- Head -------------------------------------------------------------------------------------------------------- */

static void set_id(struct request *request, const char *given)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char random[12];

    if (field_is_request_id(given, REQUEST_ID_SIZE - 1)) {
        memcpy(request->id, given, strlen(given) + 1);
        return;
    }
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        memset(random, 0, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        request->id[2 * i] = hex[random[i] >> 4];
        request->id[2 * i + 1] = hex[random[i] & 15];
    }
    request->id[2 * sizeof random] = '\0';
}

/* What we name by a path is below it. */
static void set_prefix(struct request *request, const char *given)
{
    size_t size = field_path_prefix(given);

    if (size < PREFIX_SIZE)
        memcpy(request->prefix, given != NULL ? given : "", size);
}

/* Copies a header's value behind what *values holds already. */
static const char *keep(char **at, const char *value)
{
    if (value == NULL)
        return NULL;
    char *copy = *at;
    *at = stpcpy(copy, value) + 1;
    return copy;
}

static bool keep_values(struct call *call, const struct head *head)
{
    const struct {
        const char *name, **place;
    } kept[] = {
        {"Accept", &call->request.accept},
        {"Accept-Encoding", &call->request.accept_encoding},
        {"Content-Type", &call->request.content_type},
        {"If-None-Match", &call->request.if_none_match},
        {"Prefer", &call->request.prefer},
        {"Traceparent", &call->request.traceparent},
        {"Inference-Header-Content-Length", &call->request.inference_header_length},
    };
    size_t count = sizeof kept / sizeof kept[0], size = 1;
    char *at;

    for (size_t i = 0; i < count; i++) {
        const char *value = head_get(head, kept[i].name);
        size += value == NULL ? 0 : strlen(value) + 1;
    }
    at = call->values = malloc(size);
    for (size_t i = 0; i < count && at != NULL; i++)
        *kept[i].place = keep(&at, head_get(head, kept[i].name));
    if (!field_is_traceparent(call->request.traceparent))
        call->request.traceparent = NULL; /* a trace that cannot be read is not handed on */
    return at != NULL;
}

/* Work that nobody waits for on a connection may take longer, and so may the loading of models. */
static void set_async(struct call *call)
{
    const struct route *route = call->match.route;

    call->request.async = (route->flags & ROUTE_ASYNC) && field_prefers(call->request.prefer, "respond-async");
    if (call->request.async || route->scope == SCOPE_ADMIN)
        call->request.deadline_ms = call->request.started_ms + 1000 * call->server->config->async_timeout;
}

static int read_timeout(struct call *call, const char *text)
{
    const struct config *config = call->server->config;
    double limit = call->request.async ? config->async_timeout : config->request_timeout, seconds;
    char *end;

    if (text == NULL)
        return 0;
    seconds = strtod(text, &end);
    if (end == text || *end != '\0' || !(seconds >= 0.001 && seconds <= MOST_TIMEOUT) ||
        strspn(text, "0123456789.+-eE") != strlen(text))
        return reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST,
                             "X-Request-Timeout must be seconds from 0.001 to %d", MOST_TIMEOUT);
    if (seconds < limit)
        call->request.deadline_ms = call->request.started_ms + 1000 * seconds;
    return 0;
}

static int read_method(struct call *call, const char *method)
{
    static const struct {
        const char *name;
        unsigned method; /* 0: known, and served by no route */
    } methods[] = {
        {"GET", METHOD_GET},       {"HEAD", METHOD_HEAD},       {"POST", METHOD_POST}, {"PUT", METHOD_PUT},
        {"DELETE", METHOD_DELETE}, {"OPTIONS", METHOD_OPTIONS}, {"PATCH", 0},          {"TRACE", 0},
        {"QUERY", 0},
    };

    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
        if (strcmp(methods[i].name, method) != 0)
            continue;
        call->request.method = (enum method)methods[i].method;
        return 0;
    }
    return reply_problem(&call->reply, &call->request, VIEW_NOT_IMPLEMENTED, "the method %.20s is not known here",
                         method);
}

static int read_target(struct call *call)
{
    char *query = strchr(call->target, '?');

    if (query != NULL) {
        *query = '\0';
        call->query = query + 1;
    }
    call->request.path = call->target;
    if (strcasestr(call->target, "%2f") != NULL) /* who looks at paths on the way sees no slash there either */
        return reply_problem(&call->reply, &call->request, VIEW_NO_SUCH_ROUTE,
                             "a slash is encoded in the path (%%2F): no name of a path here has one");
    if (!text_percent_decode(call->target, false))
        return reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST,
                             "the path is not percent-encoded UTF-8 without NULs");
    return 0;
}

static int read_query(struct call *call)
{
    struct infomask_error err;

    if (call->match.route->flags & ROUTE_PAGES)
        return 0;
    for (char *at = call->query; at != NULL && *at != '\0';) {
        char *name = at, *next = strchr(at, '&'), *value;
        if (next != NULL)
            *next++ = '\0';
        at = next;
        if (*name == '\0')
            continue;
        value = strchr(name, '=');
        if (value != NULL)
            *value++ = '\0';
        if (!text_percent_decode(name, true) || (value != NULL && !text_percent_decode(value, true)))
            return reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST,
                                 "the query is not percent-encoded UTF-8 without NULs");
        if ((call->match.route->flags & ROUTE_UPLOAD) && strcmp(name, "url") == 0)
            return uploads_refuse_url(call, "url");
        if (params_set(&call->request.params, call->match.route->groups, name, value == NULL ? "" : value, &err) !=
            INFOMASK_OK)
            return reply_problem(&call->reply, &call->request, VIEW_BAD_PARAMETER, "%s", err.text);
    }
    return 0;
}

/* 404, with a word to who only typed a slash too many. */
static int no_route(struct call *call)
{
    const char *path = call->request.path;
    struct route_match match = {0};
    char shorter[128];
    size_t length = strlen(path);

    if (length > 1 && length < sizeof shorter && path[length - 1] == '/') {
        (void)snprintf(shorter, sizeof shorter, "%.*s", (int)length - 1, path);
        route_find(shorter, call->request.method, &match);
    }
    return reply_problem(&call->reply, &call->request, VIEW_NO_SUCH_ROUTE, "there is no route %.100s; %s", path,
                         match.allowed != 0 ? "without the slash at its end there is" : "/openapi.json lists them");
}

static int find_route(struct call *call)
{
    char allow[ROUTE_ALLOW_SIZE];

    if (strcmp(call->request.path, "*") == 0) {
        reply_header(&call->reply, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS");
        return reply_empty(&call->reply, 204);
    }
    route_find(call->request.path, call->request.method, &call->match);
    call->request.route = call->match.route;
    if (call->match.allowed == 0)
        return no_route(call);
    if (call->match.route == NULL) {
        route_allow(call->match.allowed, allow);
        reply_header(&call->reply, "Allow", "%s", allow);
        if (call->request.method == METHOD_OPTIONS)
            return reply_empty(&call->reply, 204);
        return reply_problem(&call->reply, &call->request, VIEW_METHOD_NOT_ALLOWED, "%s is not allowed here; %s are",
                             call->method, allow);
    }
    memcpy(call->request.capture, call->match.capture, sizeof call->request.capture);
    return 0;
}

/* Routes that always answer with JSON; the others look at Accept themselves, and probes say what they like. */
static int check_accept(struct call *call)
{
    static const char *const json[] = {"application/json", "application/problem+json"};
    const struct route *route = call->match.route;
    const char *accept = call->request.accept;
    int best = field_accept_best(accept, json, 2);

    /* who asks for problems by name awaits no body (204); a wildcard does not ask for them */
    if (best == 1 && strcasestr(accept, json[1]) == NULL)
        best = -1;

    if (route->flags & ROUTE_LINES)
        call->request.several = lines_asked(&call->request);
    if (call->request.several != SEVERAL_NO || (route->flags & (ROUTE_PRIORITY | ROUTE_V2 | ROUTE_PAGES)) ||
        route->id == ROUTE_ID_MASK || route->id == ROUTE_ID_FILTER || best >= 0)
        return 0;
    return reply_problem(&call->reply, &call->request, VIEW_NOT_ACCEPTABLE, "this route answers application/json only");
}

static const char *limit_setting(const struct call *call)
{
    return call->body_limit == call->server->config->max_body ? " (max_body)" : "";
}

static int check_body(struct call *call, const struct head *head)
{
    const struct route *route = call->match.route;
    const char *coding = head_get(head, "Content-Encoding");
    bool wanted = route->flags & ROUTE_BODY;

    call->body_limit = !wanted                                      ? NO_BODY_LIMIT
                       : route->flags & (ROUTE_JSON | ROUTE_PARAMS) ? JSON_BODY_LIMIT
                                                                    : call->server->config->max_body;
    if (wanted && call->framing.length < 0 && !call->framing.chunked) {
        call->reply.close = true; /* a misspelt framing field may hide a body, which would be read as a request */
        return reply_problem(&call->reply, &call->request, VIEW_LENGTH_REQUIRED,
                             "this route needs a body with a Content-Length or chunks");
    }
    if (call->framing.length > 0 && (uint64_t)call->framing.length > call->body_limit)
        return reply_problem(&call->reply, &call->request, VIEW_BODY_TOO_LARGE,
                             "the body has %lld bytes; at most %zu are taken%s", (long long)call->framing.length,
                             call->body_limit, limit_setting(call));
    if (wanted && coding != NULL && strcasecmp(coding, "identity") != 0)
        return reply_problem(&call->reply, &call->request, VIEW_UNSUPPORTED_FORMAT,
                             "the Content-Encoding %.40s is not understood; send the body as it is", coding);
    return 0;
}

static int overloaded(struct call *call, int retry_after)
{
    call->turned_away = true;
    reply_header(&call->reply, "Retry-After", "%d", retry_after);
    return reply_problem(&call->reply, &call->request, VIEW_OVERLOADED,
                         "too many requests wait already (at most %d); try again in %d s", call->server->config->queue,
                         retry_after);
}

/* Said at the head, before the body costs anything; the queue decides again when the body is there. */
static int check_load(struct call *call)
{
    int retry_after;

    if (!(call->match.route->flags & ROUTE_JOB))
        return 0;
    if (queue_overloaded(call->server->queue, access_client(call), call->request.deadline_ms, &retry_after))
        return overloaded(call, retry_after);
    if (call->framing.length > 0 &&
        atomic_load(&call->server->body_bytes) + (size_t)call->framing.length > call->server->body_memory)
        return overloaded(call, 1);
    return 0;
}

static int refuse(struct call *call, struct border_verdict verdict)
{
    call->reply.close = true;
    return reply_problem(&call->reply, &call->request, verdict.status == 501 ? VIEW_NOT_IMPLEMENTED : VIEW_BAD_REQUEST,
                         "%s", verdict.reason);
}

int call_head(struct call *call, const struct head *head)
{
    struct border_verdict verdict = border_check(head, &call->framing);
    int status;

    (void)snprintf(call->method, sizeof call->method, "%s", head->method);
    set_id(&call->request, verdict.status == 0 ? head_get(head, "X-Request-Id") : NULL);
    if (verdict.status != 0)
        return refuse(call, verdict);
    if (call->proxied)
        set_prefix(&call->request, head_get(head, "X-Forwarded-Prefix"));
    if (!keep_values(call, head))
        return reply_no_memory(&call->reply, &call->request);
    params_init(&call->request.params);
    if ((status = read_target(call)) != 0 || (status = read_method(call, head->method)) != 0)
        return status;
    access_cors(call, head);
    if ((status = find_route(call)) != 0 || (status = access_check(call, head)) != 0 ||
        (status = read_query(call)) != 0 || (status = check_accept(call)) != 0)
        return status;
    set_async(call);
    if ((status = read_timeout(call, head_get(head, "X-Request-Timeout"))) != 0 ||
        (status = check_body(call, head)) != 0 || (status = access_site(call, head)) != 0 ||
        (status = check_load(call)) != 0)
        return status;
    return 0;
}

/* ---- Body -------------------------------------------------------------------------------------------------------- */

/* Room for `size` bytes and a NUL: all at once where the length is known (the pages come as they are written). */
static bool reserve(struct call *call, size_t size)
{
    struct server_context *server = call->server;
    size_t capacity = call->body_capacity;

    if (size < capacity)
        return true;
    if (call->framing.length >= 0)
        capacity = (size_t)call->framing.length + 1;
    else
        for (capacity = capacity == 0 ? FIRST_CAPACITY : capacity; capacity <= size; capacity *= 2)
            ;
    size_t more = capacity - call->body_capacity;
    if (atomic_fetch_add(&server->body_bytes, more) + more > server->body_memory + capacity / 2) {
        atomic_fetch_sub(&server->body_bytes, more);
        return false;
    }
    char *body = realloc(call->body, capacity);
    if (body == NULL) {
        atomic_fetch_sub(&server->body_bytes, more);
        return false;
    }
    call->body = body;
    call->body_capacity = capacity;
    return true;
}

int call_body(struct call *call, const char *data, size_t size)
{
    call->received += size;
    if (call->reply.status != 0)
        return call->reply.status;
    if (call->received > call->body_limit) {
        call_drop_body(call);
        return reply_problem(&call->reply, &call->request, VIEW_BODY_TOO_LARGE,
                             "the body is over %zu bytes, which is the most that is taken%s", call->body_limit,
                             limit_setting(call));
    }
    if (!(call->match.route->flags & ROUTE_BODY))
        return 0;
    if (!reserve(call, call->body_size + size)) {
        call_drop_body(call);
        return overloaded(call, 1);
    }
    memcpy(call->body + call->body_size, data, size);
    call->body_size += size;
    return 0;
}

static int take_body(struct call *call)
{
    unsigned flags = call->match.route->flags;

    if (!(flags & ROUTE_BODY))
        return 0;
    if (call->body_size == 0)
        return reply_problem(&call->reply, &call->request, VIEW_BAD_REQUEST, "the body is empty");
    if (!(flags & (ROUTE_UPLOAD | ROUTE_PARAMS)) || !multipart_is_form(call->request.content_type)) {
        call->request.body = call->body;
        call->request.body_size = call->body_size;
    }
    return (flags & (ROUTE_UPLOAD | ROUTE_PARAMS)) ? uploads_take(call) : 0;
}

int call_complete(struct call *call)
{
    int status = take_body(call);

    if (status != 0 || !(call->match.route->flags & ROUTE_JOB))
        return status;
    return access_cost(call);
}

/* ---- Handling ---------------------------------------------------------------------------------------------------- */

int call_overloaded(struct call *call)
{
    int retry_after;

    (void)queue_overloaded(call->server->queue, access_client(call), call->request.deadline_ms, &retry_after);
    return overloaded(call, retry_after);
}

bool call_queue_again(struct call *call, struct queue_task *task)
{
    if (call->reply.status == 0 && queue_submit(call->server->queue, task))
        return true;
    if (call->reply.status == 0)
        (void)call_overloaded(call);
    return false;
}

bool call_gives_way(const struct call *call)
{
    return call->match.route->scope == SCOPE_INFER && (call->match.route->flags & ROUTE_NETWORK);
}

int call_read_json(struct call *call)
{
    if (call->json)
        (void)uploads_take_json(call);
    call->json = false;
    return call->reply.status;
}

int call_handle(struct call *call)
{
    if (call->reply.status != 0)
        return call->reply.status;
    if (request_expired(&call->request))
        return reply_problem(&call->reply, &call->request, VIEW_DEADLINE_EXCEEDED,
                             "the request's deadline passed before it was answered");
    if (call_read_json(call) != 0)
        return call->reply.status;
    if (call->request.several == SEVERAL_NO)
        (void)dispatch(call->server, &call->request, &call->reply);
    else
        (void)lines_handle(call->server, &call->request, &call->reply);
    call_unpin(call);
    if (call->match.route->flags & ROUTE_JOB)
        reply_timing(&call->reply, &call->request);
    if (call->match.route->flags & ROUTE_LINES)
        reply_header(&call->reply, "Vary", "Accept");
    reply_encode(&call->reply, &call->request);
    return call->reply.status;
}
