/* UTF-8 (RFC 3629), strictly: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef APP_JSON_JSON_UTF8_H
#define APP_JSON_JSON_UTF8_H

#include <stddef.h>

/* Bytes of the character at `text` (of which `size` are left), 1 to 4; 0 if there is no whole, valid one. */
size_t json_utf8_length(const unsigned char *text, size_t size);

#endif
