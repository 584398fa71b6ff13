/* Values of header fields, read as their specifications say.  Pure functions. */
#ifndef SERVER_MESSAGE_FIELDS_H
#define SERVER_MESSAGE_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

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

/* X-Request-Id (NULL: none): 1 to `most` letters, digits and "._-". */
bool field_is_request_id(const char *text, size_t most);

/* X-Forwarded-Prefix, the path that a proxy took away, as Traefik writes it (NULL: none): characters of a plain path,
 * without the slashes at its end.  0: it is something else; "//other.example" would be another server. */
size_t field_path_prefix(const char *text);

#endif
