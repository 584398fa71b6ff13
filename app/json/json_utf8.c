#include "app/json/json_utf8.h"

#include <stdbool.h>

static bool continues(const unsigned char *text, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if ((text[i] & 0xC0) != 0x80)
            return false;
    return true;
}

/* The range of the second byte is what rules out overlong forms, surrogates and what lies beyond U+10FFFF. */
size_t json_utf8_length(const unsigned char *text, size_t size)
{
    unsigned first, low = 0x80, high = 0xBF;
    size_t length;

    if (size == 0)
        return 0;
    first = text[0];
    if (first < 0x80)
        return 1;
    length = first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0 || length > size)
        return 0;
    if (first == 0xE0)
        low = 0xA0;
    else if (first == 0xED)
        high = 0x9F;
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F;
    return text[1] >= low && text[1] <= high && continues(text, 2, length) ? length : 0;
}
