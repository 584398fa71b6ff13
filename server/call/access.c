#include "server/call/access.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "app/json/text.h"

#include "server/clients/rates.h"

#define EXPOSED                                                                                                        \
    "Content-Disposition, ETag, Location, Preference-Applied, Retry-After, Server-Timing, X-Request-Id, "              \
    "Infomask-Area, Infomask-Box, Infomask-Cache, Infomask-Complete, Infomask-Context-Pmi-After, Infomask-Fill, "      \
    "Infomask-Group-Size, Infomask-Label, Infomask-Map-Offset, Infomask-Map-Pmi, Infomask-Map-Scale, "                 \
    "Infomask-Passes, Infomask-Pmi, Infomask-Pmi-After, Infomask-Pmi-Before, Infomask-Probability-After, "             \
    "Infomask-Random-Area-Pmi-After, Infomask-Rank-After, Infomask-Region-Pmi-After, Infomask-Target, "                \
    "Infomask-Units, Infomask-Verdict"
#define ALLOWED                                                                                                        \
    "Accept, Authorization, Content-Type, If-None-Match, Prefer, Traceparent, X-Api-Key, X-Request-Id, "               \
    "X-Request-Timeout"

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

static int refuse_unknown(struct call *call, const char *sentence)
{
    reply_header(&call->reply, "WWW-Authenticate", "Bearer realm=\"infomask\"");
    return reply_problem(&call->reply, &call->request, VIEW_UNAUTHORIZED, "%s", sentence);
}

/* The presented key, NULL: none. */
static const char *presented_key(const struct head *head)
{
    const char *authorization = head_get(head, "Authorization");

    if (authorization != NULL && strncasecmp(authorization, "Bearer ", 7) == 0)
        return authorization + 7 + strspn(authorization + 7, " ");
    return head_get(head, "X-Api-Key");
}

static unsigned needed_scope(const struct route *route)
{
    static const unsigned needed[] = {
        [SCOPE_NONE] = 0, [SCOPE_INFER] = KEY_INFER, [SCOPE_ESTIMATES] = KEY_ESTIMATES, [SCOPE_ADMIN] = KEY_ADMIN,
        [SCOPE_ANY] = KEY_INFER | KEY_ESTIMATES};
    return needed[route->scope];
}

static uint64_t name_hash(const char *name)
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */

    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * UINT64_C(1099511628211);
    return hash == 0 ? 1 : hash;
}

static int check_key(struct call *call, const struct head *head)
{
    struct keys *keys = call->server->keys;
    unsigned needed = needed_scope(call->match.route), scopes;
    const char *key = presented_key(head);

    if (needed == 0)
        return 0;
    if (needed == KEY_ADMIN && !keys_has_admin(keys))
        return reply_problem(&call->reply, &call->request, VIEW_FORBIDDEN,
                             "this route needs an admin key, and none is configured");
    if (!keys_configured(keys))
        return 0;
    if (key == NULL)
        return refuse_unknown(call, "this route needs an API key: Authorization: Bearer KEY, or X-Api-Key: KEY");
    scopes = keys_check(keys, key, call->key_name);
    if (scopes == 0)
        return refuse_unknown(call, "the API key is not known");
    call->request.client = call->key_name;
    call->request.client_hash = name_hash(call->key_name);
    if ((scopes & needed) == 0)
        return reply_problem(&call->reply, &call->request, VIEW_FORBIDDEN, "the API key has not the scope %s",
                             scope_name(call->match.route->scope));
    return 0;
}

/* ---- Rates ------------------------------------------------------------------------------------------------------- */

static int check_rate(struct call *call)
{
    uint64_t client = call->request.client_hash != 0 ? call->request.client_hash : call->peer_hash;
    int wait;

    if (call->server->rates == NULL || client == 0 || call->match.route->scope == SCOPE_NONE ||
        rates_take(call->server->rates, client, call->request.started_ms, &wait))
        return 0;
    reply_header(&call->reply, "Retry-After", "%d", wait);
    return reply_problem(&call->reply, &call->request, VIEW_RATE_LIMITED,
                         "more than %g requests a second of one client; try again in %d s",
                         call->server->config->rate, wait);
}

int access_check(struct call *call, const struct head *head)
{
    int status = check_key(call, head);
    return status != 0 ? status : check_rate(call);
}

/* ---- Origins ----------------------------------------------------------------------------------------------------- */

/* "*", or the exact origin among those with commas or spaces between them. */
static bool origin_allowed(const char *allowed, const char *origin)
{
    size_t size = strlen(origin);

    while (*allowed != '\0') {
        size_t length = strcspn(allowed, ", ");
        if ((length == 1 && *allowed == '*') || (length == size && strncmp(allowed, origin, size) == 0))
            return true;
        allowed += length;
        allowed += strspn(allowed, ", ");
    }
    return false;
}

/* Fields that a page asks for beside ours do no harm, since we do not look at them (tracing adds its own): they are allowed
 * by the names that it gave, if these are names. */
static void allow_fields(struct call *call, const char *asked)
{
    char text[1024] = ALLOWED;
    size_t used = sizeof ALLOWED - 1;

    while (asked != NULL && *asked != '\0') {
        asked += strspn(asked, ", \t");
        size_t size = strcspn(asked, ", \t");
        if (text_is_token(asked, size) && used + size + 3 < sizeof text)
            used += (size_t)snprintf(text + used, sizeof text - used, ", %.*s", (int)size, asked);
        asked += size;
    }
    reply_header(&call->reply, "Access-Control-Allow-Headers", "%s", text);
}

void access_cors(struct call *call, const struct head *head)
{
    const char *origin = head_get(head, "Origin"), *method = head_get(head, "Access-Control-Request-Method");
    const char *allowed = call->server->config->cors_origins;

    if (*allowed == '\0')
        return;
    reply_header(&call->reply, "Vary", "Origin");
    if (origin == NULL || !origin_allowed(allowed, origin))
        return;
    reply_header(&call->reply, "Access-Control-Allow-Origin", "%s", origin);
    if (call->request.method == METHOD_OPTIONS && method != NULL) {
        reply_header(&call->reply, "Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, DELETE");
        allow_fields(call, head_get(head, "Access-Control-Request-Headers"));
        reply_header(&call->reply, "Access-Control-Max-Age", "600");
        return;
    }
    reply_header(&call->reply, "Access-Control-Expose-Headers", EXPOSED);
}
