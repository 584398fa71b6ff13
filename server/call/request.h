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
#include "app/view/views.h"
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

/* One image (or other file) of the body; borrowed from it. */
struct upload {
    const void *data;
    size_t size;
    const char *field;     /* the part's name; NULL: the raw body */
    const char *file_name; /* as sent, without folders; NULL: none given */
};

/* How several images are answered: LINES, a line of JSON each; MIXED, a part of multipart/mixed each. */
enum several { SEVERAL_NO, SEVERAL_LINES, SEVERAL_MIXED };

struct route;

/* Shared between a job that runs and those who ask for it (server/queue/jobs.h). */
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
    double started_ms;                      /* view_clock_ms() at the first byte of the request */
    double queue_ms;                        /* time spent in the queue */
    double deadline_ms;                     /* view_clock_ms() at which the answer is void */
    enum several several;                   /* as Accept says; NO: one answer for the whole request */
    bool async;                             /* Prefer: respond-async, and the route honours it */
    struct request_watch *watch;            /* NULL: nobody watches */
};

/* True once the deadline has passed, or nobody wants the answer; the shape of infomask_limits.expired. */
bool request_expired(void *request);
/* How far a handler is, for those who watch. */
void request_progress(const struct request *request, int done, int total);

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

#define REPLY_MAX_HEADERS 32

struct reply_header {
    const char *name; /* a literal */
    char *value;      /* owned */
};

struct reply {
    int status;               /* 0 until filled */
    const char *content_type; /* a literal; NULL: no body */
    const char *data;
    size_t size;
    char *owned;              /* freed with the reply: `data`, if it was malloc'ed */
    bool packed;              /* `data` is a gzip stream already */
    struct kept *kept;        /* released with the reply: what `data` is of, if it is kept */
    struct reply_header headers[REPLY_MAX_HEADERS];
    int header_count;
    const char *code;         /* of a problem, for the log and the metrics; NULL: none */
    /* what the log line and the metrics say beside it */
    char model[64];
    int images, image_width, image_height;
    double queue_ms;
    struct infomask_timing timing;
    double pmi, residual; /* nats of the target, and after filtering; NAN: none */
    bool transient;       /* another time might bring another answer: not for the cache */
    bool cached, close;   /* close: the connection ends after this reply */
};

void reply_init(struct reply *reply);
void reply_fini(struct reply *reply);

/* data: malloc'ed, taken; or static, borrowed.  All return status. */
int reply_take(struct reply *reply, int status, const char *content_type, void *data, size_t size);
int reply_static(struct reply *reply, int status, const char *content_type, const void *data, size_t size);
int reply_empty(struct reply *reply, int status);
/* Takes the writer's text as application/json; 500 if the writer failed. */
int reply_json(struct reply *reply, const struct request *request, int status, struct json_writer *writer);

/* 200 with a kept document (whose reference is taken) and its tag, or 304 as reply_tagged. */
int reply_kept(struct reply *reply, const struct request *request, const char *content_type, struct kept *kept);

/* Gives a filled 200 reply an ETag of its bytes, and makes it 304 if the client has them already (RFC 9110 13.1.2).
 * Returns the status. */
int reply_tagged(struct reply *reply, const struct request *request);
/* Whether an If-None-Match list (NULL: none) names the tag, quotes included; weak tags count. */
bool etag_matches(const char *list, const char *tag);

/* application/problem+json; `format` makes the detail: one sentence, with the limit.  Under /v2 {"error": "..."}. */
int reply_problem(struct reply *reply, const struct request *request, enum view_problem problem, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* What core (or models, or json) says of a failure, as the problem that view_problem_of makes of it. */
int reply_error(struct reply *reply, const struct request *request, const struct infomask_error *error);

/* Server-Timing (W3C): how long each step took, in milliseconds. */
void reply_timing(struct reply *reply, const struct request *request);
/* Packs a text for a client that takes gzip (its ETag then ends in -gzip), and unpacks what is packed for one that does
 * not.  Called once, when everything else is filled in. */
void reply_encode(struct reply *reply, const struct request *request);

/* Adds a header; control characters of the value become spaces.  More than REPLY_MAX_HEADERS are dropped. */
void reply_header(struct reply *reply, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with every byte but A-Za-z0-9-._~ percent-encoded. */
void reply_header_encoded(struct reply *reply, const char *name, const char *value);

/* ---- Content negotiation (RFC 9110 section 12.5.1) ------------------------------------------------------------------ */

/* Index of the offered media type that `accept` likes best (the first of equals; 0 for NULL); -1: none is acceptable. */
int accept_best(const char *accept, const char *const *offers, int count);

#endif
