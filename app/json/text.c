#include "app/json/text.h"

#include <string.h>

#include "app/json/json_utf8.h"

bool text_is_utf8(const char *text, size_t size)
{
    const unsigned char *p = (const unsigned char *)text;

    while (size > 0) {
        size_t length = *p == '\0' ? 0 : json_utf8_length(p, size);
        if (length == 0)
            return false;
        p += length;
        size -= length;
    }
    return true;
}

bool text_is_token(const char *text, size_t size)
{
    static const char marks[] = "!#$%&'*+-.^_`|~";

    for (size_t i = 0; i < size; i++) {
        char c = text[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr(marks, c) == NULL))
            return false;
    }
    return size > 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_percent_decode(char *text, bool plus)
{
    char *out = text;

    for (const char *p = text; *p != '\0'; p++) {
        if (*p == '%') {
            int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0 || high + low == 0)
                return false;
            *out++ = (char)(high * 16 + low);
            p += 2;
        } else {
            *out++ = plus && *p == '+' ? ' ' : *p;
        }
    }
    *out = '\0';
    return text_is_utf8(text, (size_t)(out - text));
}

void text_percent_encode(const char *text, char *out)
{
    static const char hex[] = "0123456789ABCDEF";

    for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
        bool plain = (*p >= 'A' && *p <= 'Z') || (*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') ||
                     strchr("-._~", *p) != NULL;
        if (plain) {
            *out++ = (char)*p;
        } else {
            *out++ = '%';
            *out++ = hex[*p >> 4];
            *out++ = hex[*p & 15];
        }
    }
    *out = '\0';
}

bool text_digits(const char *text, size_t size, unsigned long long *value)
{
    if (size == 0 || size > 18)
        return false;
    *value = 0;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *value = *value * 10 + (unsigned)(text[i] - '0');
    }
    return true;
}

size_t text_count(const char *text, size_t size, char byte)
{
    size_t count = 0;

    for (size_t i = 0; i < size; i++)
        count += text[i] == byte;
    return count;
}
