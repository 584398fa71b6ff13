#include "server/openapi/answers.h"

#include <stdio.h>
#include <string.h>

#include "app/view/problem.h"
#include "server/openapi/types.h"

/* Several images: a line of JSON, or a picture, each. */
#define SEVERAL "application/x-ndjson multipart/mixed"

/* What a route is called, and what it answers when all is well: status, media types with the name of the schema for
 * JSON ("" for bytes). */
struct answer {
    const char *name, *tag;
    int status;
    const char *types; /* "application/json image/png" */
    const char *schema;
};

static const struct answer answers[ROUTE_COUNT] = {
    [ROUTE_ID_CLASSIFY] = {"classify", "inference", 200, "application/json application/x-ndjson",
                           "Classification Classifications"},
    [ROUTE_ID_MASK] = {"mask", "inference", 200, "application/json image/png image/webp " SEVERAL, "MaskReply"},
    [ROUTE_ID_FILTER] = {"filter", "inference", 200, "application/json image/png image/jpeg image/webp " SEVERAL,
                         "FilterReply"},
    [ROUTE_ID_ANALYZE] = {"analyze", "inference", 200, "application/json application/x-ndjson", "Analysis"},
    [ROUTE_ID_MODELS] = {"list_models", "models", 200, "application/json", "Models"},
    [ROUTE_ID_RELOAD] = {"reload_models", "models", 200, "application/json", "Changes"},
    [ROUTE_ID_MODEL] = {"get_model", "models", 200, "application/json", "Model"},
    [ROUTE_ID_LABELS] = {"list_labels", "models", 200, "application/json", "Labels"},
    [ROUTE_ID_GROUPS] = {"list_groups", "models", 200, "application/json", "Groups"},
    [ROUTE_ID_INFORMATION] = {"get_information", "models", 200, "application/json", "Information"},
    [ROUTE_ID_ESTIMATE_CREATE] = {"create_estimate", "estimates", 201, "application/json", "EstimateCreated"},
    [ROUTE_ID_ESTIMATE_LIST] = {"list_estimates", "estimates", 200, "application/json", "Estimates"},
    [ROUTE_ID_ESTIMATE] = {"get_estimate", "estimates", 200, "application/json", "Estimate"},
    [ROUTE_ID_ESTIMATE_ASK] = {"ask_estimate", "estimates", 200, "application/json", "Estimate"},
    [ROUTE_ID_ESTIMATE_DELETE] = {"delete_estimate", "estimates", 204, "", ""},
    [ROUTE_ID_SAMPLES] = {"add_samples", "estimates", 201, "application/json", "SamplesReply"},
    [ROUTE_ID_JOB] = {"get_job", "jobs", 200, "application/json", "Job"},
    [ROUTE_ID_JOB_DELETE] = {"delete_job", "jobs", 204, "", ""},
    [ROUTE_ID_JOB_RESULT] = {"get_job_result", "jobs", 200, "application/json image/png image/jpeg image/webp " SEVERAL,
                             "FilterReply SamplesReply"},
    [ROUTE_ID_V2] = {"v2_server", "v2", 200, "application/json", "V2Server"},
    [ROUTE_ID_V2_LIVE] = {"v2_live", "v2", 200, "application/json", "V2Live"},
    [ROUTE_ID_V2_READY] = {"v2_ready", "v2", 200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_MODEL] = {"v2_model", "v2", 200, "application/json", "V2Model"},
    [ROUTE_ID_V2_MODEL_VERSION] = {"v2_model_version", "v2", 200, "application/json", "V2Model"},
    [ROUTE_ID_V2_MODEL_READY] = {"v2_model_ready", "v2", 200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_VERSION_READY] = {"v2_version_ready", "v2", 200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_INFER] = {"v2_infer", "v2", 200, "application/json application/octet-stream", "V2Inference"},
    [ROUTE_ID_V2_VERSION_INFER] = {"v2_version_infer", "v2", 200, "application/json application/octet-stream",
                                   "V2Inference"},
    [ROUTE_ID_V2_INDEX] = {"v2_index", "v2", 200, "application/json", "V2Index"},
    [ROUTE_ID_V2_STATISTICS] = {"v2_statistics", "v2", 200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_MODEL_STATISTICS] = {"v2_model_statistics", "v2", 200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_VERSION_STATISTICS] = {"v2_version_statistics", "v2", 200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_UNLOAD] = {"v2_unload", "v2", 200, "", ""},
    [ROUTE_ID_V2_LOAD] = {"v2_load", "v2", 200, "", ""},
    [ROUTE_ID_LIVEZ] = {"livez", "operations", 200, "application/json", "Status"},
    [ROUTE_ID_READYZ] = {"readyz", "operations", 200, "application/json", "Status"},
    [ROUTE_ID_METRICS] = {"metrics", "operations", 200, "text/plain", ""},
    [ROUTE_ID_OPENAPI] = {"openapi", "operations", 200, "application/json", "Document"},
};

static const struct answer *answer_of(const struct route *route)
{
    static const struct answer plain = {NULL, "operations", 200, "application/json", "Anything"};
    return answers[route->id].name != NULL ? &answers[route->id] : &plain;
}

const char *openapi_name(const struct route *route) { return answer_of(route)->name; }

const char *openapi_tag(const struct route *route) { return answer_of(route)->tag; }

static void put_schema(struct json_writer *w, const char *names)
{
    const char *space = strchr(names, ' ');

    if (space == NULL) {
        openapi_reference(w, "schema", "schemas", names, strlen(names));
        return;
    }
    json_object_open(w, "schema");
    json_array_open(w, "oneOf");
    openapi_reference(w, NULL, "schemas", names, (size_t)(space - names));
    openapi_reference(w, NULL, "schemas", space + 1, strlen(space + 1));
    json_array_close(w);
    json_object_close(w);
}

/* Lines of JSON: the schema is that of one of them. */
static void put_line_schema(struct json_writer *w, const char *names)
{
    char reference[96];

    (void)snprintf(reference, sizeof reference, "#/components/schemas/%.*s", (int)strcspn(names, " "), names);
    json_object_open(w, "schema");
    json_put_string(w, "$ref", reference);
    json_put_string(w, "description", "each line; an image that is refused has its Problem in its place");
    json_object_close(w);
}

/* Whether an answer has an entity tag, so that a client is told that it has it already. */
static bool is_tagged(const struct route *route)
{
    return route->id == ROUTE_ID_MODELS || route->id == ROUTE_ID_MODEL || route->id == ROUTE_ID_LABELS ||
           route->id == ROUTE_ID_GROUPS || route->id == ROUTE_ID_OPENAPI;
}

/* Header fields of answers, and on which pictures they are. */
static const struct {
    const char *name, *type, *description;
    bool mask, filter;
} headers[] = {
    {"X-Request-Id", "string", "the request's id, as sent or made", false, false},
    {"Location", "string", "where what was made is", false, false},
    {"ETag", "string", "for If-None-Match", false, false},
    {"Infomask-Cache", "string", "hit or miss, where answers are kept (setting cache)", false, false},
    {"Preference-Applied", "string", "respond-async", false, false},
    {"Retry-After", "integer", "seconds after which to ask again", false, false},
    {"Server-Timing", "string", "how long each step took, in milliseconds", false, false},
    {"Content-Disposition", "string", "a name to save the picture by", true, true},
    {"Infomask-Target", "integer", "index of the target, if it is a class", true, true},
    {"Infomask-Group-Size", "integer", "classes of the target, if it is a group", true, true},
    {"Infomask-Label", "string", "its label, percent-encoded", true, true},
    {"Infomask-Pmi", "number", "what the model's own crop says about the target", true, false},
    {"Infomask-Map-Pmi", "string", "what the whole photo says, a number or null", true, false},
    {"Infomask-Area", "number", "share of the photo under the mask", true, true},
    {"Infomask-Units", "string", "nats or bits", true, true},
    {"Infomask-Map-Scale", "number", "of output=map: value = offset + scale * pixel", true, false},
    {"Infomask-Map-Offset", "number", "of output=map", true, false},
    {"Infomask-Pmi-Before", "number", "what the photo said about the target", false, true},
    {"Infomask-Pmi-After", "number", "what the returned bytes say", false, true},
    {"Infomask-Region-Pmi-After", "string", "what the place itself still says, a number or null", false, true},
    {"Infomask-Context-Pmi-After", "string", "what its surroundings say, a number or null", false, true},
    {"Infomask-Random-Area-Pmi-After", "string", "what is left after painting over a random area of that size", false,
     true},
    {"Infomask-Probability-After", "number", "probability of the target in the returned bytes", false, true},
    {"Infomask-Rank-After", "integer", "its rank", false, true},
    {"Infomask-Passes", "integer", "rounds that were made", false, true},
    {"Infomask-Fill", "string", "what the mask was filled with: a name or #rrggbb", false, true},
    {"Infomask-Box", "string", "of trim=true: x,y,width,height of the picture in the photo", false, true},
    {"Infomask-Verdict", "string", "removed, weakened, failed or null", false, true},
    {"Infomask-Complete", "boolean", "true for the verdict removed only", false, true},
};

static void put_text_schema(struct json_writer *w)
{
    json_object_open(w, "schema");
    json_put_string(w, "type", "string");
    json_object_close(w);
}

static void put_header(struct json_writer *w, const char *name)
{
    openapi_reference(w, name, "headers", name, strlen(name));
}

/* The header fields of a good answer, beside those of HTTP itself. */
static void put_headers(struct json_writer *w, const struct route *route, int status)
{
    json_object_open(w, "headers");
    put_header(w, "X-Request-Id");
    if (status == 201 || status == 202)
        put_header(w, "Location");
    if (status == 202)
        put_header(w, "Preference-Applied");
    if (is_tagged(route))
        put_header(w, "ETag");
    if (route->flags & ROUTE_JOB)
        put_header(w, "Server-Timing");
    if (status == 200 && (route->flags & ROUTE_CACHE))
        put_header(w, "Infomask-Cache");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        if (status == 200 &&
            ((headers[i].mask && route->id == ROUTE_ID_MASK) ||
             (headers[i].filter && (route->id == ROUTE_ID_FILTER || route->id == ROUTE_ID_JOB_RESULT))))
            put_header(w, headers[i].name);
    json_object_close(w);
}

static void put_success(struct json_writer *w, const struct route *route, int status, const char *description,
                        const struct answer *answer)
{
    char key[12];

    (void)snprintf(key, sizeof key, "%d", status);
    json_object_open(w, key);
    json_put_string(w, "description", description);
    put_headers(w, route, status);
    if (*answer->types != '\0')
        json_object_open(w, "content");
    for (const char *p = answer->types; *p != '\0';) {
        size_t size = strcspn(p, " ");
        char type[32];

        (void)snprintf(type, sizeof type, "%.*s", (int)size, p);
        json_object_open(w, type);
        if (strcmp(type, "application/json") == 0)
            put_schema(w, answer->schema);
        else if (strcmp(type, "application/x-ndjson") == 0)
            put_line_schema(w, answer->schema);
        else if (strncmp(type, "image/", 6) == 0 || strcmp(type, "application/octet-stream") == 0)
            openapi_bytes(w, "schema", NULL);
        else
            put_text_schema(w);
        json_object_close(w);
        p += size + (p[size] == ' ');
    }
    if (*answer->types != '\0')
        json_object_close(w);
    json_object_close(w);
}

/* Whether a route can answer with a status, by what it is. */
static bool can_answer(const struct route *route, int status)
{
    bool body = route->flags & ROUTE_BODY, upload = route->flags & ROUTE_UPLOAD;

    switch (status) {
    case 400:
        return true;
    case 401:
    case 403:
        return route->scope != SCOPE_NONE;
    case 404:
        return strchr(route->pattern, '{') != NULL || upload || body;
    case 405:
    case 408:
    case 429:
    case 500:
        return true;
    case 406:
        return !(route->flags & (ROUTE_PRIORITY | ROUTE_PAGES));
    case 409:
        return route->id == ROUTE_ID_SAMPLES || route->id == ROUTE_ID_JOB_RESULT;
    case 411:
        return body;
    case 413:
        return true;
    case 415:
        return body || route->id == ROUTE_ID_JOB_RESULT;
    case 422:
        return upload || route->id == ROUTE_ID_JOB_RESULT || route->id == ROUTE_ID_V2_INFER ||
               route->id == ROUTE_ID_V2_VERSION_INFER;
    case 503:
        return (route->flags & ROUTE_JOB) || route->id == ROUTE_ID_READYZ;
    case 504:
        return (route->flags & ROUTE_JOB) || route->id == ROUTE_ID_JOB_RESULT;
    case 507:
        return route->scope == SCOPE_ESTIMATES || route->id == ROUTE_ID_JOB_RESULT;
    default:
        return false;
    }
}

/* A refusal as it is described once; a busy or limited service says when to come again. */
static void put_problem(struct json_writer *w, const struct route *route, int status)
{
    const char *name = route->flags & ROUTE_V2 ? "V2Error" : status == 429 || status == 503 ? "Busy" : "Problem";
    char key[12];

    (void)snprintf(key, sizeof key, "%d", status);
    openapi_reference(w, key, "responses", name, strlen(name));
}

void openapi_responses(struct json_writer *w, const struct route *route)
{
    static const struct answer accepted = {NULL, NULL, 202, "application/json", "JobAccepted"};
    static const struct answer unfinished = {NULL, NULL, 202, "application/json", "Job"};
    static const struct answer added = {NULL, NULL, 201, "application/json", "SamplesReply"};
    static const struct answer known = {NULL, NULL, 304, "", ""};
    const struct answer *answer = answer_of(route);
    int last = 0;

    json_object_open(w, "responses");
    put_success(w, route, answer->status, route->summary, answer);
    if (route->id == ROUTE_ID_SAMPLES)
        put_success(w, route, 200, "every sample was known already", answer);
    if (route->flags & ROUTE_ASYNC)
        put_success(w, route, 202, "Prefer: respond-async was heeded; Location is that of the job", &accepted);
    if (route->id == ROUTE_ID_JOB_RESULT) {
        put_success(w, route, 201, "the result of samples that were added", &added);
        put_success(w, route, 202, "it is not finished", &unfinished);
    }
    if (is_tagged(route))
        put_success(w, route, 304, "the client has it already", &known);
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++) { /* the table is in the order of the statuses */
        int status = view_problem_status((enum view_problem)i);
        if (status == last || !can_answer(route, status))
            continue;
        last = status;
        put_problem(w, route, status);
    }
    json_object_close(w);
}

/* ---- What the answers share -------------------------------------------------------------------------------------- */

static void put_refusal(struct json_writer *w, const char *name, const char *schema, const char *type)
{
    json_object_open(w, name);
    json_put_string(w, "description", "what was wrong, and the limit");
    json_object_open(w, "headers");
    put_header(w, "X-Request-Id");
    put_header(w, "Server-Timing");
    if (strcmp(name, "Busy") == 0)
        put_header(w, "Retry-After");
    json_object_close(w);
    json_object_open(w, "content");
    json_object_open(w, type);
    openapi_reference(w, "schema", "schemas", schema, strlen(schema));
    json_object_close(w);
    json_object_close(w);
    json_object_close(w);
}

static void put_header_components(struct json_writer *w)
{
    json_object_open(w, "headers");
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        json_object_open(w, headers[i].name);
        json_put_string(w, "description", headers[i].description);
        json_object_open(w, "schema");
        json_put_string(w, "type", headers[i].type);
        json_object_close(w);
        json_object_close(w);
    }
    json_object_close(w);
}

void openapi_answer_components(struct json_writer *w)
{
    json_object_open(w, "responses");
    put_refusal(w, "Problem", "Problem", "application/problem+json");
    put_refusal(w, "Busy", "Problem", "application/problem+json");
    put_refusal(w, "V2Error", "V2Error", "application/json");
    json_object_close(w);
    put_header_components(w);
}
