#include "server/call/access.h"

#include <string.h>
#include <strings.h>

#include "server/call/rates.h"

#define EXPOSED                                                                                                        \
    "X-Request-Id, Retry-After, Infomask-Target, Infomask-Label, Infomask-Pmi, Infomask-Pmi-Before, "                  \
    "Infomask-Pmi-After, Infomask-Area, Infomask-Passes, Infomask-Complete, Infomask-Units, Infomask-Map-Scale, "      \
    "Infomask-Map-Offset, Infomask-Cache"

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
        reply_header(&call->reply, "Access-Control-Allow-Headers",
                     "Authorization, Content-Type, If-None-Match, Prefer, Traceparent, X-Api-Key, X-Request-Id, "
                     "X-Request-Timeout");
        reply_header(&call->reply, "Access-Control-Max-Age", "600");
        return;
    }
    reply_header(&call->reply, "Access-Control-Expose-Headers", EXPOSED);
}
