#include "server/text.h"

#include <string.h>

/* Bytes of the well-formed sequence at p; 0: there is none (RFC 3629 section 4). */
static size_t sequence(const unsigned char *p, size_t size)
{
    static const struct {
        unsigned char low, high, second_low, second_high;
        unsigned char length;
    } rows[] = {
        {0x01, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        if (*p < rows[row].low || *p > rows[row].high)
            continue;
        if (rows[row].length > size)
            return 0;
        if (rows[row].length > 1 && (p[1] < rows[row].second_low || p[1] > rows[row].second_high))
            return 0;
        for (size_t i = 2; i < rows[row].length; i++)
            if ((p[i] & 0xc0) != 0x80)
                return 0;
        return rows[row].length;
    }
    return 0;
}

bool text_is_utf8(const char *text, size_t size)
{
    while (size > 0) {
        size_t length = sequence((const unsigned char *)text, size);
        if (length == 0)
            return false;
        text += length;
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

void text_trim(const char **text, size_t *size)
{
    while (*size > 0 && (**text == ' ' || **text == '\t')) {
        (*text)++;
        (*size)--;
    }
    while (*size > 0 && ((*text)[*size - 1] == ' ' || (*text)[*size - 1] == '\t'))
        (*size)--;
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
