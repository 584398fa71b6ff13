#include "server/message/fields.h"

#include <string.h>
#include <strings.h>

/* How well a media range fits an offer: 0 not at all, 1 all types, 2 all subtypes, 3 exactly. */
static int range_fit(const char *range, size_t size, const char *offer)
{
    const char *slash = strchr(offer, '/');
    size_t type = slash == NULL ? 0 : (size_t)(slash - offer);

    if (size == 3 && memcmp(range, "*/*", 3) == 0)
        return 1;
    if (size == type + 2 && strncasecmp(range, offer, type + 1) == 0 && range[size - 1] == '*')
        return 2;
    return size == strlen(offer) && strncasecmp(range, offer, size) == 0 ? 3 : 0;
}

/* The weight of the parameters that follow a media range (";q=0.5"); 1 without one, 0 for nonsense. */
static double range_weight(const char *text, const char *end)
{
    for (const char *p = text; p < end; p++) {
        if (*p != ';')
            continue;
        do
            p++;
        while (p < end && (*p == ' ' || *p == '\t'));
        if (end - p >= 3 && (*p == 'q' || *p == 'Q') && p[1] == '=') {
            if (p[2] != '0' && p[2] != '1')
                return 0;
            double weight = p[2] - '0', scale = 0.1;
            if (end - p > 4 && p[3] == '.')
                for (p += 4; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10)
                    weight += (*p - '0') * scale;
            return weight > 1 ? 1 : weight;
        }
    }
    return 1;
}

static double offer_weight(const char *accept, const char *offer)
{
    double weight = 0;
    int best = 0;

    while (*accept != '\0') {
        size_t skip = strspn(accept, " \t,"), length, name;
        accept += skip;
        length = strcspn(accept, ",");
        name = strcspn(accept, "; \t,");
        int fit = name > 0 ? range_fit(accept, name, offer) : 0;
        if (fit > best) {
            best = fit;
            weight = range_weight(accept + name, accept + length);
        }
        accept += length;
    }
    return weight;
}

int field_accept_best(const char *accept, const char *const *offers, int count)
{
    double best = 0;
    int index = -1;

    if (accept == NULL || accept[strspn(accept, " \t,")] == '\0')
        return 0;
    for (int i = 0; i < count; i++) {
        double weight = offer_weight(accept, offers[i]);
        if (weight > best) {
            best = weight;
            index = i;
        }
    }
    return index;
}

/* The weight of a content coding in a list; below 0 where it is not named. */
static double coding_weight(const char *list, const char *coding)
{
    while (*list != '\0') {
        list += strspn(list, " \t,");
        size_t length = strcspn(list, ","), name = strcspn(list, "; \t,");
        if (name == strlen(coding) && strncasecmp(list, coding, name) == 0)
            return range_weight(list + name, list + length);
        list += length;
    }
    return -1;
}

bool field_takes_gzip(const char *list)
{
    static const char *const names[] = {"gzip", "x-gzip", "*"};
    double weight = -1;

    for (size_t i = 0; list != NULL && weight < 0 && i < sizeof names / sizeof *names; i++)
        weight = coding_weight(list, names[i]);
    return weight > 0 && weight >= coding_weight(list, "identity");
}

bool field_prefers(const char *prefer, const char *name)
{
    size_t length = strlen(name);

    while (prefer != NULL && *prefer != '\0') {
        prefer += strspn(prefer, " \t,");
        if (strncasecmp(prefer, name, length) == 0 && strchr(" \t,;", prefer[length]) != NULL) /* or its end */
            return true;
        prefer += strcspn(prefer, ",");
    }
    return false;
}

static bool is_hex(const char *text, size_t size)
{
    bool zero = true;

    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\0' || strchr("0123456789abcdef", text[i]) == NULL)
            return false;
        zero = zero && text[i] == '0';
    }
    return !zero || size == 2;
}

bool field_is_traceparent(const char *text)
{
    bool first = text != NULL && strncmp(text, "00-", 3) == 0;
    size_t size = text == NULL ? 0 : strlen(text);

    return size >= 55 && size <= 256 && (first ? size == 55 : size == 55 || text[55] == '-') && is_hex(text, 2) &&
           strncmp(text, "ff", 2) != 0 && text[2] == '-' && is_hex(text + 3, 32) && text[35] == '-' &&
           is_hex(text + 36, 16) && text[52] == '-' && is_hex(text + 53, 2);
}

#define PLAIN "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

bool field_is_request_id(const char *text, size_t most)
{
    size_t size = text == NULL ? 0 : strlen(text);
    return size > 0 && size <= most && strspn(text, PLAIN) == size;
}

size_t field_path_prefix(const char *text)
{
    size_t size = text == NULL ? 0 : strlen(text);
    const char *twice = text == NULL ? NULL : strstr(text, "//");

    while (size > 0 && text[size - 1] == '/')
        size--;
    if (size == 0 || *text != '/' || strspn(text, PLAIN "~/") < size || (twice != NULL && twice < text + size))
        return 0;
    return size;
}
