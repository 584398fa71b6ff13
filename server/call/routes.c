#include "server/call/routes.h"

#include <stdio.h>
#include <string.h>

static const struct route table[ROUTE_COUNT] = {
#define ROUTE_ROW(id, methods, pattern, scope, flags, handler, groups, summary) \
    {ROUTE_ID_##id, methods, pattern, SCOPE_##scope, flags, groups, handler, summary},
    ROUTES(ROUTE_ROW)
#undef ROUTE_ROW
};

const struct route *route_info(enum route_id id) { return &table[id]; }

/* Compares segment by segment; what {...} matches is copied to storage.  Returns the number of captures, -1: no match.
 */
static int match_pattern(const char *pattern, const char *path, char *storage, const char **capture)
{
    int captures = 0;
    size_t used = 0;

    while (*pattern != '\0') {
        if (*pattern != '{') {
            if (*pattern++ != *path++)
                return -1;
            continue;
        }
        size_t size = strcspn(path, "/");
        if (size == 0 || captures == REQUEST_CAPTURES || used + size + 1 > ROUTE_PATH_MAX)
            return -1;
        memcpy(storage + used, path, size);
        storage[used + size] = '\0';
        capture[captures++] = storage + used;
        used += size + 1;
        path += size;
        pattern = strchr(pattern, '}') + 1;
    }
    return *path == '\0' ? captures : -1;
}

void route_find(const char *path, enum method method, struct route_match *match)
{
    const char *literal = NULL;

    *match = (struct route_match){0};
    if (method == METHOD_HEAD)
        method = METHOD_GET;
    for (int i = 0; i < ROUTE_COUNT; i++) {
        char storage[ROUTE_PATH_MAX];
        const char *capture[REQUEST_CAPTURES] = {NULL};
        int captures = match_pattern(table[i].pattern, path, storage, capture);
        if (captures < 0 || (literal != NULL && captures > 0))
            continue;
        if (captures == 0)
            literal = table[i].pattern;
        match->allowed |= table[i].methods;
        if ((table[i].methods & method) == 0 || match->route != NULL)
            continue;
        match->route = &table[i];
        (void)match_pattern(table[i].pattern, path, match->storage, match->capture);
    }
    if (match->allowed & METHOD_GET)
        match->allowed |= METHOD_HEAD;
    if (match->allowed != 0)
        match->allowed |= METHOD_OPTIONS;
}

void route_allow(unsigned methods, char text[ROUTE_ALLOW_SIZE])
{
    static const char *const name[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"};
    size_t used = 0;

    text[0] = '\0';
    for (unsigned i = 0; i < sizeof name / sizeof name[0]; i++)
        if (methods & 1u << i)
            used += (size_t)snprintf(text + used, ROUTE_ALLOW_SIZE - used, "%s%s", used ? ", " : "", name[i]);
}

const char *scope_name(enum scope scope)
{
    static const char *const name[] = {"none", "infer", "estimates", "admin", "infer or estimates"};
    return name[scope];
}
