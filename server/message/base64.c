#include "server/message/base64.h"

#include <stdint.h>
#include <string.h>
#include <strings.h>

/* 0 to 63; 64: a line end or space; 65: padding; -1: not of base64 (or of its variant for URLs). */
static int base64_value(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    if (c == '\n' || c == '\r' || c == ' ')
        return 64;
    return c == '=' ? 65 : -1;
}

const char *base64_decode(const char *text, char *out, size_t *size)
{
    uint32_t bits = 0;
    int digits = 0, padding = 0;

    *size = 0;
    for (; *text != '\0'; text++) {
        int value = base64_value((unsigned char)*text);
        if (value == 64)
            continue;
        if (value < 0 || (value != 65 && padding > 0) || (value == 65 && ++padding > 2))
            return text;
        if (value == 65)
            continue;
        bits = bits << 6 | (uint32_t)value;
        if (++digits % 4 == 0)
            for (int shift = 16; shift >= 0; shift -= 8)
                out[(*size)++] = (char)(bits >> shift & 0xff);
    }
    if (digits % 4 == 1 || (padding > 0 && (digits + padding) % 4 != 0))
        return text;
    if (digits % 4 == 2)
        out[(*size)++] = (char)(bits >> 4 & 0xff);
    if (digits % 4 == 3) {
        out[(*size)++] = (char)(bits >> 10 & 0xff);
        out[(*size)++] = (char)(bits >> 2 & 0xff);
    }
    return NULL;
}

const char *base64_text(const char *text)
{
    const char *comma;

    text += strspn(text, " \t\r\n");
    if (strncasecmp(text, "data:", 5) != 0)
        return text;
    comma = strchr(text, ',');
    return comma == NULL || comma - text < 12 || strncasecmp(comma - 7, ";base64", 7) != 0 ? NULL : comma + 1;
}
