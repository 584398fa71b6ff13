/* multipart/form-data (RFC 7578, RFC 2046 section 5.1) over a body that lies in memory.
 *
 * Strict: a body that does not begin with its boundary, that is cut short, or whose parts have no name is refused with
 * the reason.  Nothing is copied: parts point into the body, which is changed (names are unescaped in place, a NUL is
 * put behind every part).
 */
#ifndef SERVER_MESSAGE_MULTIPART_H
#define SERVER_MESSAGE_MULTIPART_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"

#define MULTIPART_BOUNDARY_SIZE 71 /* RFC 2046: 1 to 70 characters */
#define MULTIPART_MAX_HEADER 4096  /* bytes of one part's header fields */

struct part {
    const char *name;
    const char *file_name; /* as sent, with its folders; NULL: none given */
    char *data;            /* NUL-terminated, may hold NULs */
    size_t size;
};

/* Whether a Content-Type is multipart/form-data (whatever its parameters). */
bool multipart_is_form(const char *content_type);

/* parts: room for max_parts.  ARGUMENT with the reason; *count is then undefined. */
enum infomask_status multipart_parse(const char *content_type, char *body, size_t size, struct part *parts,
                                     int max_parts, int *count, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
