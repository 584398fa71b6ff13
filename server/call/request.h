/* What a handler sees: a checked request in, a reply out, and no socket in sight.
 *
 * A handler is   int handler(struct server_context *server, const struct request *request, struct reply *reply)
 * and returns the HTTP status of the reply that it filled.  Everything in a request was checked at the border: the
 * route matched, the parameters are in range, the uploads are within the limits, the client may do it.  What the
 * request points to lives until the handler returns.  Thread rule: a request and its reply belong to one thread at a
 * time; handlers of routes with ROUTE_JOB run on a compute thread, all others on an HTTP thread and must not block.
 */
#ifndef SERVER_CALL_REQUEST_H
#define SERVER_CALL_REQUEST_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/json/json.h"
#include "app/model/kept.h"
#include "app/settings/params.h"
#include "core/infomask.h"

enum method {
    METHOD_GET = 1,
    METHOD_HEAD = 2, /* is served as GET, its body is cut at the border */
    METHOD_POST = 4,
    METHOD_PUT = 8,
    METHOD_DELETE = 16,
    METHOD_OPTIONS = 32
};

#define REQUEST_ID_SIZE 129
#define REQUEST_CAPTURES 2
#define PREFIX_SIZE 128

/* One image (or other file) of the body; borrowed from it. */
struct upload {
    const void *data;
    size_t size;
    const char *field;     /* the part's name; NULL: the raw body */
    const char *file_name; /* as sent, with its folders; NULL: none given */
};

/* How several images are answered: LINES, a line of JSON each; MIXED, a part of multipart/mixed each. */
enum several { SEVERAL_NO, SEVERAL_LINES, SEVERAL_MIXED };

struct route;
struct model;

/* Shared between a job that runs and those who ask for it (server/jobs/jobs.h). */
struct request_watch {
    _Atomic bool cancelled; /* its answer is not wanted any more */
    _Atomic int done, total; /* steps */
};

struct request {
    const struct route *route;
    enum method method;
    const char *path;                       /* decoded, without the query */
    const char *capture[REQUEST_CAPTURES];  /* what the {...} of the route's pattern matched, decoded */
    struct params params;
    const struct upload *uploads;           /* in the order of the body; none of them empty for ROUTE_UPLOAD */
    int upload_count;
    const struct upload *mask;              /* a mask of the client's own; NULL: none */
    const char *body;                       /* the raw body, not for multipart; NULL: none */
    size_t body_size;
    char id[REQUEST_ID_SIZE];               /* X-Request-Id */
    const char *accept, *accept_encoding;   /* header values; NULL where not sent */
    const char *content_type, *if_none_match, *prefer, *traceparent, *inference_header_length;
    const char *client;                     /* the name of the API key; NULL: none */
    uint64_t client_hash;                   /* of the key's name, 0: none: who may see which job */
    char prefix[PREFIX_SIZE];               /* "/im": below it a proxy serves us; "" */
    double started_ms;                      /* clock_ms() at the first byte of the request */
    double queue_ms;                        /* time spent in the queue */
    double deadline_ms;                     /* clock_ms() at which the answer is void */
    enum several several;                   /* as Accept says; NO: one answer for the whole request */
    bool async;                             /* Prefer: respond-async, and the route honours it */
    struct request_watch *watch;            /* NULL: nobody watches */
    struct model *model;                    /* held, its network pinned until the answer is there; NULL: none */
};

/* True once the deadline has passed, or nobody wants the answer; the shape of infomask_limits.expired. */
bool request_expired(void *request);
/* How far a handler is, for those who watch. */
void request_progress(const struct request *request, int done, int total);

#endif
