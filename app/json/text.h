/* Text from outside: is it UTF-8, what do its percent signs mean. */
#ifndef APP_JSON_TEXT_H
#define APP_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Well-formed UTF-8 (RFC 3629) without NUL; control characters are allowed. */
bool text_is_utf8(const char *text, size_t size);

/* A token of RFC 9110 section 5.6.2 (header names, methods), not empty. */
bool text_is_token(const char *text, size_t size);

/* Decodes %XX in place (and, with plus, '+' to a space: queries and forms).  False, with text in an undefined state,
 * for a '%' without two hex digits, for %00, and for a result that is not UTF-8. */
bool text_percent_decode(char *text, bool plus);

/* Every byte but A-Za-z0-9-._~ as %XX; out has room for three times the text and a NUL. */
void text_percent_encode(const char *text, char *out);

/* How many of the bytes are this one. */
size_t text_count(const char *text, size_t size, char byte);

/* A decimal number of digits only, at most 18 of them. */
bool text_digits(const char *text, size_t size, unsigned long long *value);

#endif
