/* gzip (RFC 1952) for answers: texts go out packed to those who take it (RFC 9110, 8.4 and 12.5.3). */
#ifndef SERVER_MESSAGE_GZIP_H
#define SERVER_MESSAGE_GZIP_H

#include <stdbool.h>
#include <stddef.h>

/* *out: malloc'ed.  False without memory, when the result would be longer than the text, or (unpacking) for data that
 * is no gzip stream or opens to more than a mebibyte: it unpacks what was embedded in the binary, nothing from outside.
 */
bool gzip_pack(const void *data, size_t size, char **out, size_t *out_size);
bool gzip_unpack(const void *data, size_t size, char **out, size_t *out_size);

#endif
