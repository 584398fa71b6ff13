/* The filter at the border: what the HTTP library lets through and a service on the open internet must not.
 *
 * libmicrohttpd 0.9.75 takes Content-Length beside Transfer-Encoding, duplicates of either, unknown codings, names with
 * spaces, and absolute targets (NULs and lone line feeds it hides: server/http/wire.h sees them).  Each of these is how
 * one request is smuggled inside another when a proxy in front reads it differently: it is refused and the connection
 * closed.  Pure functions of a request's head.
 */
#ifndef SERVER_MESSAGE_BORDER_H
#define SERVER_MESSAGE_BORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BORDER_MAX_HEADERS 100
#define BORDER_MAX_TARGET 8192
#define BORDER_MAX_FIELDS 256 /* of a query */

struct header {
    const char *name, *value;
    size_t name_size, value_size;
};

/* A request's head as the library read it; borrowed. */
struct head {
    const char *method, *target, *version; /* the target is the raw one, before any decoding */
    struct header headers[BORDER_MAX_HEADERS];
    int count;
    bool overflow; /* there were more headers */
    const char *fault; /* what was wrong with its bytes, where the library hides it; NULL: nothing */
};

/* How the body is framed, and what the connection may do. */
struct framing {
    int64_t length; /* Content-Length; -1: none */
    bool chunked;
    bool expects;   /* Expect: 100-continue */
};

struct border_verdict {
    int status;         /* 0: let through; 400 or 501: refuse and close */
    const char *reason; /* one sentence, with the rule */
};

/* Checks the head and reads its framing. */
struct border_verdict border_check(const struct head *head, struct framing *framing);

/* The value of the only or first header of that name (any case), NULL if there is none.  Values were checked to hold no
 * NUL, so they are strings. */
const char *head_get(const struct head *head, const char *name);
/* All of them, in their order; their number. */
int head_all(const struct head *head, const char *name, const char *values[BORDER_MAX_HEADERS]);

#endif
