/* Bytes in text (RFC 4648, sections 4 and 5), also in a data: URL (RFC 2397).  Pure functions. */
#ifndef SERVER_MESSAGE_BASE64_H
#define SERVER_MESSAGE_BASE64_H

#include <stddef.h>

/* Where the text of a data: URL begins, or that of plain base64; borrowed.  NULL: a data: URL without base64. */
const char *base64_text(const char *text);

/* Decodes to `out`, which has room for three quarters of the text; spaces and line ends are passed over, padding may be
 * left out.  NULL, or where the text stops being base64. */
const char *base64_decode(const char *text, char *out, size_t *size);

#endif
