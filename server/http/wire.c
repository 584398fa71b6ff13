#include "server/http/wire.h"

#include <string.h>

#define NUL "a request's head, and a chunk's line, may not hold a NUL"
#define ENDING "a line ends with CR LF, and neither may stand alone"
#define LINE "a request line is a method, a target and a version, with one space between them"
#define VERSION "the version must be HTTP/1.1 or HTTP/1.0"
#define TRAILER "a trailer is a name, a colon and a value"
#define HEAD "a request's head may have at most 20480 bytes; each field counts 64 more, and cookies count twice"
#define AS_READ "HTTP/1.1" /* the version that stands for any other, so that the refusal can be answered */
#define ENTRY 64 /* of the library's lists of fields and cookies */

static bool fails(struct wire *w, const char *fault)
{
    w->fault = fault;
    return false;
}

static void enter(struct wire *w, enum wire_state state)
{
    w->state = state;
    w->length = 0;
}

/* ---- Lines of the head ------------------------------------------------------------------------------------------- */

static bool is_name(const struct wire *w, const char *name)
{
    size_t size = strlen(name);
    return w->length == size && memcmp(w->name, name, size) == 0;
}

static void add_to_name(struct wire *w, unsigned char c)
{
    if (w->length < WIRE_NAME)
        w->name[w->length] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
    w->length++;
}

/* The library answers a Content-Length that is no number itself, and twice. */
static bool length_byte(struct wire *w, unsigned char c)
{
    if ((c == ' ' || c == '\t') && !w->digits)
        return true;
    if (c < '0' || c > '9')
        return fails(w, "Content-Length must be a decimal number");
    if (w->left > UINT64_MAX / 10 - 1)
        return fails(w, "Content-Length is too large");
    w->left = 10 * w->left + (uint64_t)(c - '0');
    w->digits = true;
    return true;
}

static bool value_byte(struct wire *w, unsigned char c)
{
    if (is_name(w, "content-length"))
        return length_byte(w, c);
    if (is_name(w, "transfer-encoding"))
        w->chunked = true; /* or what the border refuses */
    if (is_name(w, "cookie")) {
        w->head += c == ';' ? 1 + ENTRY : 1;
        if (c == ';' && ++w->cookies >= WIRE_MAX_COOKIES)
            return fails(w, "a request may have at most 100 cookies");
    }
    return true;
}

static void begin_request(struct wire *w)
{
    enter(w, WIRE_METHOD);
    w->left = 0;
    w->head = 0;
    w->cookies = 0;
    w->chunked = w->digits = false;
}

static void end_head(struct wire *w)
{
    w->digits = false;
    if (w->chunked)
        enter(w, WIRE_CHUNK_SIZE);
    else if (w->left > 0)
        enter(w, WIRE_BODY);
    else
        begin_request(w);
}

/* ---- Ends of lines ----------------------------------------------------------------------------------------------- */

static void end_chunk_size(struct wire *w)
{
    w->digits = false;
    enter(w, w->left == 0 ? WIRE_TRAILER_NAME : WIRE_CHUNK_DATA);
}

static void end_line(struct wire *w)
{
    switch (w->state) {
    case WIRE_METHOD: /* an empty line before a request */
        return;
    case WIRE_NAME_OF_FIELD: /* an empty line behind the head */
        end_head(w);
        return;
    case WIRE_TRAILER_NAME:
        if (w->length == 0)
            begin_request(w);
        else
            enter(w, WIRE_TRAILER_NAME);
        return;
    case WIRE_CHUNK_SIZE:
    case WIRE_CHUNK_EXTENSION:
        end_chunk_size(w);
        return;
    case WIRE_CHUNK_END:
        enter(w, WIRE_CHUNK_SIZE);
        return;
    case WIRE_TRAILER_VALUE:
        enter(w, WIRE_TRAILER_NAME);
        return;
    case WIRE_TARGET:
    case WIRE_VERSION:
    case WIRE_VALUE:
    case WIRE_BODY:
    case WIRE_CHUNK_DATA:
        break;
    }
    enter(w, WIRE_NAME_OF_FIELD);
}

/* ---- Bytes of lines ---------------------------------------------------------------------------------------------- */

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool chunk_byte(struct wire *w, unsigned char c)
{
    int digit = hex_digit(c);

    if (++w->length > WIRE_MAX_CHUNK_LINE)
        return fails(w, "a chunk's line is longer than 1024 bytes");
    if (w->state == WIRE_CHUNK_SIZE && digit >= 0) {
        if (w->left > UINT64_MAX / 16 - 1)
            return fails(w, "a chunk's size is too large");
        w->left = 16 * w->left + (uint64_t)digit;
        w->digits = true;
        return true;
    }
    if (w->state == WIRE_CHUNK_SIZE && c != ';')
        return fails(w, "a chunk begins with its size in hexadecimal digits");
    if (w->state == WIRE_CHUNK_END)
        return fails(w, "a chunk's data ends with CR LF");
    if (c != '\t' && (c < ' ' || c == 0x7f))
        return fails(w, "a control character in a chunk's line");
    w->state = WIRE_CHUNK_EXTENSION;
    return true;
}

static void enter_value(struct wire *w, enum wire_state state)
{
    w->state = state;
    w->head += ENTRY;
}

static bool is_chunk_line(const struct wire *w)
{
    return w->state == WIRE_CHUNK_SIZE || w->state == WIRE_CHUNK_EXTENSION || w->state == WIRE_CHUNK_END;
}

/* Trailers are not used, but where they end is where the next request begins: what others refuse in them is refused. */
static bool trailer_byte(struct wire *w, unsigned char c)
{
    if (c <= ' ' || (c == ':' && w->length == 0))
        return fails(w, TRAILER);
    if (c != ':') {
        add_to_name(w, c);
        return true;
    }
    if (is_name(w, "content-length") || is_name(w, "transfer-encoding"))
        return fails(w, "a trailer may not say how long the body is");
    enter_value(w, WIRE_TRAILER_VALUE);
    return true;
}

/* The library answers another version itself, with a page of its own. */
static bool version_byte(struct wire *w, unsigned char c)
{
    static const char one[] = "HTTP/1.";
    const size_t minor = sizeof one - 1;

    if (w->length > minor || (w->length < minor ? c != (unsigned char)one[w->length] : c != '0' && c != '1'))
        return fails(w, w->length == 0 && c == ' ' ? LINE : VERSION);
    w->length++;
    return true;
}

static bool line_byte(struct wire *w, unsigned char c)
{
    switch (w->state) {
    case WIRE_METHOD:
    case WIRE_TARGET:
        if (c == ' ' && w->length == 0)
            return fails(w, LINE);
        w->length++;
        if (c == ' ')
            enter(w, w->state + 1);
        return true;
    case WIRE_NAME_OF_FIELD:
        if (c == ':' && w->length == 0)
            return fails(w, "a header field needs a name");
        if (c == ':')
            enter_value(w, WIRE_VALUE);
        else
            add_to_name(w, c);
        return true;
    case WIRE_TRAILER_NAME:
        return trailer_byte(w, c);
    case WIRE_VALUE:
        return value_byte(w, c);
    case WIRE_CHUNK_SIZE:
    case WIRE_CHUNK_EXTENSION:
    case WIRE_CHUNK_END:
        return chunk_byte(w, c);
    case WIRE_VERSION:
        return version_byte(w, c);
    case WIRE_BODY:
    case WIRE_CHUNK_DATA:
    case WIRE_TRAILER_VALUE:
        break;
    }
    return true;
}

static bool scan_byte(struct wire *w, unsigned char c)
{
    if (w->cr != (c == '\n'))
        return fails(w, ENDING);
    if (w->cr) {
        w->cr = false;
        end_line(w);
        return true;
    }
    if (!is_chunk_line(w) && ++w->head > WIRE_MAX_HEAD)
        return fails(w, HEAD);
    if (c == '\0')
        return fails(w, NUL);
    if (c != '\r')
        return line_byte(w, c);
    if ((w->state == WIRE_METHOD && w->length > 0) || w->state == WIRE_TARGET)
        return fails(w, LINE);
    if (w->state == WIRE_VERSION && w->length < sizeof AS_READ - 1)
        return fails(w, VERSION);
    if (w->state == WIRE_VALUE && is_name(w, "content-length") && !w->digits)
        return fails(w, "Content-Length must be a decimal number");
    if (w->state == WIRE_CHUNK_SIZE && !w->digits)
        return fails(w, "a chunk begins with its size in hexadecimal digits");
    if (w->state == WIRE_NAME_OF_FIELD && w->length > 0)
        return fails(w, "a header field is a name, a colon and a value (folded lines are refused)");
    if (w->state == WIRE_TRAILER_NAME && w->length > 0)
        return fails(w, TRAILER);
    w->cr = true;
    return true;
}

static size_t skip(struct wire *w, size_t size)
{
    size_t step = w->left < size ? (size_t)w->left : size;

    w->left -= step;
    if (w->left > 0)
        return step;
    if (w->state == WIRE_BODY)
        begin_request(w);
    else
        enter(w, WIRE_CHUNK_END);
    return step;
}

size_t wire_scan(struct wire *w, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    size_t i = 0;

    while (i < size && w->fault == NULL) {
        if (w->state == WIRE_BODY || w->state == WIRE_CHUNK_DATA)
            i += skip(w, size - i);
        else if (scan_byte(w, at[i]))
            i++;
    }
    return w->fault == NULL ? size : i;
}

bool wire_between(const struct wire *w) { return w->state == WIRE_METHOD && w->length == 0; }

const char *wire_ending(const struct wire *w)
{
    switch (w->state) { /* the byte 1 is no part of a token, a target or a value */
    case WIRE_METHOD:
        return "\1 / HTTP/1.1\r\n\r\n";
    case WIRE_TARGET:
        return "\1 HTTP/1.1\r\n\r\n";
    case WIRE_VERSION:
        return &(AS_READ "\r\n\1:\r\n\r\n")[w->length + (w->cr ? 1 : 0)];
    case WIRE_VALUE:
        if (is_name(w, "content-length"))
            return w->digits ? "\r\n\1:\r\n\r\n" : "0\r\n\1:\r\n\r\n";
        return "\1\r\n\r\n";
    case WIRE_NAME_OF_FIELD:
        return "\1:\r\n\r\n";
    case WIRE_CHUNK_SIZE:
    case WIRE_CHUNK_END:
        return "\1\1\r\n";
    case WIRE_BODY:
    case WIRE_CHUNK_EXTENSION:
    case WIRE_CHUNK_DATA:
    case WIRE_TRAILER_NAME:
    case WIRE_TRAILER_VALUE:
        break;
    }
    return "";
}
