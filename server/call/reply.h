/* What a handler fills: status, body, headers, and what the log and the metrics say of the answer.
 *
 * Every filler returns the status, so that a handler ends with `return reply_...`.
 */
#ifndef SERVER_CALL_REPLY_H
#define SERVER_CALL_REPLY_H

#include <stdbool.h>
#include <stddef.h>

#include "app/json/json.h"
#include "app/model/kept.h"
#include "app/view/problem.h"
#include "core/infomask.h"

struct request;

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
int reply_problem(struct reply *reply, const struct request *request, enum view_problem problem, const char *format,
                  ...) __attribute__((format(printf, 4, 5)));
/* 503: what there is no memory for may be asked again. */
int reply_no_memory(struct reply *reply, const struct request *request);
/* What core (or models, or json) says of a failure, as the problem that view_problem_of makes of it. */
int reply_error(struct reply *reply, const struct request *request, const struct infomask_error *error);
/* What models_get and model_pin say of a name: there is none, it cannot be loaded, or not in time (DEADLINE). */
int reply_no_model(struct reply *reply, const struct request *request, const struct infomask_error *error);

/* Server-Timing (W3C): how long each step took, in milliseconds. */
void reply_timing(struct reply *reply, const struct request *request);
/* Packs a text for a client that takes gzip (its ETag then ends in -gzip), and unpacks what is packed for one that does
 * not.  Called once, when everything else is filled in. */
void reply_encode(struct reply *reply, const struct request *request);

/* Adds a header; control characters of the value become spaces.  More than REPLY_MAX_HEADERS are dropped. */
void reply_header(struct reply *reply, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* The same with every byte but A-Za-z0-9-._~ percent-encoded. */
void reply_header_encoded(struct reply *reply, const char *name, const char *value);
/* One whose name is no literal: "Name: value" of that length, copied. */
void reply_header_line(struct reply *reply, const char *line, size_t length);

#endif
