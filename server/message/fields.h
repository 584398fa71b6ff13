/* Values of header fields, read as their specifications say.  Pure functions. */
#ifndef SERVER_MESSAGE_FIELDS_H
#define SERVER_MESSAGE_FIELDS_H

#include <stdbool.h>

/* Accept (RFC 9110 section 12.5.1): index of the offered media type that it likes best (the first of equals; 0 for
 * NULL); -1: none is acceptable. */
int field_accept_best(const char *accept, const char *const *offers, int count);

/* Accept-Encoding (RFC 9110 section 12.5.3; NULL: none): is gzip taken, and liked no less than the plain text? */
bool field_takes_gzip(const char *list);

/* Prefer (RFC 7240; NULL: none): has it a preference of that name? */
bool field_prefers(const char *prefer, const char *name);

/* Traceparent (W3C Trace Context section 3.2: version-trace-parent-flags; NULL: none).  Of later versions there may be
 * more behind it. */
bool field_is_traceparent(const char *text);

#endif
