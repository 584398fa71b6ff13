/* The bytes of requests as they come in, before the HTTP library reads them: it takes a line feed for the end of a line
 * and a NUL for the end of a text, where a proxy in front may not, and then the two see different requests.
 *
 * A scanner follows the requests of one connection: their lines, fields, bodies and chunks.  It only judges what the
 * library's reading hides from server/message/border.h, which judges all the rest: NULs, carriage returns and line
 * feeds that are not a pair, other control characters in a chunk's line, trailers, how many cookies there are, and
 * heads that the library could not hold.  Of a request that the border refuses it need not see the end: the connection
 * ends with it.  (RFC 9112 sections 2.2, 5, 6.3, 7.1)
 */
#ifndef SERVER_HTTP_WIRE_H
#define SERVER_HTTP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAX_COOKIES 100
/* What the library holds of a head and of trailers: their bytes, 64 more a field and a cookie, cookies twice. */
#define WIRE_MAX_HEAD 20480
#define WIRE_MAX_CHUNK_LINE 1024 /* a chunk's size and extensions: they must fit behind the largest head */
#define WIRE_NAME 18 /* bytes of the longest name that is looked at, and one */

enum wire_state {
    WIRE_METHOD,
    WIRE_TARGET,
    WIRE_VERSION,
    WIRE_NAME_OF_FIELD,
    WIRE_VALUE,
    WIRE_BODY,
    WIRE_CHUNK_SIZE,
    WIRE_CHUNK_EXTENSION,
    WIRE_CHUNK_DATA,
    WIRE_CHUNK_END,
    WIRE_TRAILER_NAME,
    WIRE_TRAILER_VALUE
};

struct wire {
    enum wire_state state;
    bool cr;                /* the last byte was a carriage return: a line feed must follow */
    char name[WIRE_NAME];   /* of the field, lower case */
    size_t length;          /* of the name or of what else is counted in this state */
    uint64_t left;          /* bytes of the body or chunk to come */
    bool chunked;           /* this request's body */
    bool digits;            /* a length, or a chunk's size, has digits */
    int cookies;
    size_t head;            /* towards WIRE_MAX_HEAD */
    const char *fault;      /* one sentence, with the rule; NULL: none yet */
};

/* Zeroed, a scanner is before its first request.  Looks at `size` bytes that came next and returns how many of them are
 * fine: fewer than `size` if wire->fault is set, which ends the connection. */
size_t wire_scan(struct wire *wire, const void *bytes, size_t size);

/* Whether what was looked at ends between two requests: nothing of the next one has come but empty lines. */
bool wire_between(const struct wire *wire);

/* What to let the library read in place of a faulty byte and all behind it, so that it comes to an end and the refusal
 * can be answered; "": nothing would do, let it see the end of the connection. */
const char *wire_ending(const struct wire *wire);

#endif
