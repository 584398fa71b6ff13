#include "server/call/access.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
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

uint64_t access_client(const struct call *call)
{
    return call->request.client_hash != 0 ? call->request.client_hash : call->peer_hash;
}

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
        return reply_problem(&call->reply, &call->request, VIEW_FORBIDDEN, "the API key does not have the scope %s",
                             scope_name(call->match.route->scope));
    return 0;
}

/* ---- Rates ------------------------------------------------------------------------------------------------------- */

static int check_rate(struct call *call)
{
    uint64_t client = access_client(call);
    int wait;

    if (call->server->rates == NULL || client == 0 || call->match.route->scope == SCOPE_NONE ||
        (call->match.route->flags & ROUTE_PRIORITY) ||
        rates_take(call->server->rates, client, 1, call->request.started_ms, &wait))
        return 0;
    call->turned_away = true;
    reply_header(&call->reply, "Retry-After", "%d", wait);
    return reply_problem(&call->reply, &call->request, VIEW_RATE_LIMITED,
                         "more than %g requests a second of one client; try again in %d s",
                         call->server->config->rate, wait);
}

/* ---- Costs ------------------------------------------------------------------------------------------------------- */

/* What a request costs, known before it waits: from its parameters and the headers of its photos.  The unit is a photo
 * of a megapixel classified by a model of side 224.  The numbers are coarse, and meant to be: they order the queue
 * (server/queue/fair.h) and bound a client's share; deadlines bound what they get wrong. */
#define LEAST 0.1
#define NATIVE_SIDE 224.0 /* of the pass that the unit is of */
#define WINDOWS 64.0      /* passes of occlusion, by default */
#define DECODING 0.2      /* of a megapixel, beside the pass */
#define FILLING 0.5       /* of a megapixel, a round */

static double megapixels(const struct upload *upload, const struct infomask_limits *limits)
{
    struct infomask_photo *photo;
    double pixels;

    if (infomask_photo_open(upload->data, upload->size, limits, &photo, NULL) != INFOMASK_OK)
        return 0; /* it will be refused */
    pixels = (double)infomask_photo_info(photo)->width * infomask_photo_info(photo)->height;
    infomask_photo_close(photo);
    return pixels / 1e6;
}

static bool takes(const struct request *request, unsigned group) { return (request->route->groups & group) != 0; }

/* Of one pass for a map, in passes at the model's own size. */
static double map_pass(const struct request *request, double photo)
{
    static const double by_quality[] = {4, 2, 1}; /* standard, middle, fast */
    const char *side = request->params.value[PARAM_ID_RESOLUTION].text;
    const char *method = request->params.value[PARAM_ID_METHOD].text;
    double pass = by_quality[request->params.value[PARAM_ID_QUALITY].integer % 3];

    if (side != NULL && strcmp(side, "native") == 0)
        pass = photo * 1e6 / (NATIVE_SIDE * NATIVE_SIDE);
    else if (side != NULL)
        pass = pow(strtod(side, NULL) / NATIVE_SIDE, 2);
    return pass * (method != NULL && strcmp(method, "occlusion") == 0 ? WINDOWS : 1);
}

static double of_photo(const struct request *request, const struct upload *upload, const struct infomask_limits *limits)
{
    double photo = megapixels(upload, limits), cost = 1 + DECODING * photo;

    if (takes(request, TAKES_CLASSIFY))
        cost += (double)request->params.value[PARAM_ID_SAMPLES].integer;
    if (takes(request, TAKES_MAPS))
        cost += map_pass(request, photo);
    if (takes(request, TAKES_FILTER))
        cost += (double)request->params.value[PARAM_ID_MAX_PASSES].integer *
                (map_pass(request, photo) + FILLING * photo);
    return cost;
}

static double request_cost(const struct request *request, const struct infomask_limits *limits)
{
    double cost = LEAST;

    for (int i = 0; i < request->upload_count; i++)
        cost += of_photo(request, &request->uploads[i], limits);
    if (request->route->flags & ROUTE_BINARY) /* a tensor of float32, or photos */
        cost += 1 + (double)request->body_size / (3 * NATIVE_SIDE * NATIVE_SIDE * sizeof(float));
    return cost;
}

int access_cost(struct call *call)
{
    uint64_t client = access_client(call);
    int wait;

    call->cost = request_cost(&call->request, &call->server->limits);
    if (call->server->costs == NULL || client == 0 || call->match.route->scope == SCOPE_NONE ||
        rates_take(call->server->costs, client, call->cost, call->request.started_ms, &wait))
        return 0;
    call->turned_away = true;
    reply_header(&call->reply, "Retry-After", "%d", wait);
    return reply_problem(&call->reply, &call->request, VIEW_RATE_LIMITED,
                         "this costs %.1f (1: a photo classified), and one client has %g a second; try again in %d s",
                         call->cost, call->server->config->rate_cost, wait);
}

/* Guessing keys is asking too: a refusal counts against the address. */
int access_check(struct call *call, const struct head *head)
{
    int status = check_key(call, head), limited;

    if (status != 0 && status != 401)
        return status;
    limited = check_rate(call);
    return limited != 0 ? limited : status;
}

/* ---- Hosts ------------------------------------------------------------------------------------------------------- */

#define HOST_SIZE 256

/* "Example.org.:8080" to "example.org", "[::1]:80" to "::1"; "" for what is too long. */
static void host_name(const char *host, size_t size, char name[HOST_SIZE])
{
    bool bracket = size > 0 && *host == '[';
    size_t length = 0;

    host += bracket;
    size -= bracket;
    while (length < size && host[length] != (bracket ? ']' : ':'))
        length++;
    if (length > 0 && host[length - 1] == '.')
        length--;
    if (length >= HOST_SIZE)
        length = 0;
    for (size_t i = 0; i < length; i++)
        name[i] = (char)(host[i] >= 'A' && host[i] <= 'Z' ? host[i] | 0x20 : host[i]);
    name[length] = '\0';
}

/* What no other machine's name server can point at us: localhost and what is below it, 127.0.0.0/8, ::1. */
static bool is_local(const char *name)
{
    static const char below[] = ".localhost";
    size_t size = strlen(name), tail = sizeof below - 1;
    unsigned char address[16];

    if (strcmp(name, "localhost") == 0 || (size > tail && strcmp(name + size - tail, below) == 0))
        return true;
    if (inet_pton(AF_INET, name, address) == 1)
        return address[0] == 127;
    return inet_pton(AF_INET6, name, address) == 1 && memcmp(address, &in6addr_loopback, sizeof address) == 0;
}

static bool is_listed(const char *list, const char *name)
{
    while (*list != '\0') {
        size_t length = strcspn(list, ", ");
        char one[HOST_SIZE];
        host_name(list, length, one);
        if ((length == 1 && *list == '*') || (length > 0 && strcmp(one, name) == 0))
            return true;
        list += length;
        list += strspn(list, ", ");
    }
    return false;
}

/* Where no key is asked for, whoever reaches a loopback address may do anything, and a page reaches it in its visitor's
 * browser by a name of its own that it lets point there. */
static int check_host(struct call *call, const char *host)
{
    const char *hosts = call->server->config->hosts;
    char name[HOST_SIZE];

    if (host == NULL || *host == '\0' || (*hosts == '\0' && (!call->loopback || keys_configured(call->server->keys))))
        return 0;
    host_name(host, strlen(host), name);
    if (is_local(name) || is_listed(hosts, name))
        return 0;
    return reply_problem(&call->reply, &call->request, VIEW_WRONG_HOST,
                         "\"%.100s\" is not served here; hosts lists the names that are", name);
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

/* Fields that a page asks for beside ours do no harm, since we do not look at them (tracing adds its own): they are
 * allowed by the names that it gave, if these are names. */
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

/* The host of "https://example.org:8443"; "" for "null". */
static void origin_host(const char *origin, char name[HOST_SIZE])
{
    const char *host = strstr(origin, "://");

    host_name(host == NULL ? "" : host + 3, host == NULL ? 0 : strlen(host + 3), name);
}

/* What the browser says where it says it: it knows what its page's address was, whatever a proxy made of Host.  Older
 * ones send the page's origin only. */
static bool is_cross_site(const struct call *call, const struct head *head)
{
    const char *site = head_get(head, "Sec-Fetch-Site"), *origin = head_get(head, "Origin"),
               *host = head_get(head, "Host");
    char from[HOST_SIZE], to[HOST_SIZE];

    if (origin != NULL && origin_allowed(call->server->config->cors_origins, origin))
        return false;
    if (site != NULL)
        return strcasecmp(site, "cross-site") == 0;
    if (origin == NULL)
        return false;
    origin_host(origin, from);
    host_name(host == NULL ? "" : host, host == NULL ? 0 : strlen(host), to);
    return *from == '\0' || (strcmp(from, to) != 0 && !is_listed(call->server->config->hosts, from));
}

int access_site(struct call *call, const struct head *head)
{
    int status = check_host(call, head_get(head, "Host"));

    if (status != 0 || (call->request.method & (METHOD_GET | METHOD_HEAD | METHOD_OPTIONS)) ||
        !is_cross_site(call, head))
        return status;
    return reply_problem(&call->reply, &call->request, VIEW_CROSS_SITE,
                         "a page of another site may not ask this; cors_origins lists those that may");
}
