/* GET /openapi.json: OpenAPI 3.1, made from the tables of routes, parameters and problems.  What no table says, the
 * shapes of the replies, is in openapi_schemas.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/call/routes.h"

__asm__(".pushsection .rodata\n"
        "openapi_schemas_begin:\n.incbin \"server/call/openapi_schemas.json\"\n"
        "openapi_schemas_end:\n.byte 0\n"
        ".popsection\n");
extern const char openapi_schemas_begin[], openapi_schemas_end[];

/* What a route answers when all is well: status, media types with the name of the schema for JSON ("" for bytes). */
struct answer {
    int status;
    const char *types; /* "application/json image/png" */
    const char *schema;
};

static const struct answer answers[ROUTE_COUNT] = {
    [ROUTE_ID_PAGE] = {200, "text/html", ""},
    [ROUTE_ID_PAGE_DOCS] = {200, "text/html", ""},
    [ROUTE_ID_PAGE_CLIENT] = {200, "text/javascript", ""},
    [ROUTE_ID_PAGE_ELEMENT] = {200, "text/javascript", ""},
    [ROUTE_ID_PAGE_PYTHON] = {200, "text/x-python", ""},
    [ROUTE_ID_PAGE_FILE] = {200, "text/javascript text/css image/svg+xml image/jpeg", ""},
    [ROUTE_ID_CLASSIFY] = {200, "application/json", "Classification Classifications"},
    [ROUTE_ID_MASK] = {200, "application/json image/png", "MaskReply"},
    [ROUTE_ID_FILTER] = {200, "image/png image/jpeg application/json", "FilterReply"},
    [ROUTE_ID_ANALYZE] = {200, "application/json", "Analysis"},
    [ROUTE_ID_MODELS] = {200, "application/json", "Models"},
    [ROUTE_ID_RELOAD] = {200, "application/json", "Changes"},
    [ROUTE_ID_MODEL] = {200, "application/json", "Model"},
    [ROUTE_ID_LABELS] = {200, "application/json", "Labels"},
    [ROUTE_ID_INFORMATION] = {200, "application/json", "Information"},
    [ROUTE_ID_ESTIMATE_CREATE] = {201, "application/json", "EstimateCreated"},
    [ROUTE_ID_ESTIMATE_LIST] = {200, "application/json", "Estimates"},
    [ROUTE_ID_ESTIMATE] = {200, "application/json", "Estimate"},
    [ROUTE_ID_ESTIMATE_DELETE] = {204, "", ""},
    [ROUTE_ID_SAMPLES] = {201, "application/json", "SamplesReply"},
    [ROUTE_ID_JOB] = {200, "application/json", "Job"},
    [ROUTE_ID_JOB_DELETE] = {204, "", ""},
    [ROUTE_ID_JOB_RESULT] = {200, "application/json image/png image/jpeg", "FilterReply SamplesReply"},
    [ROUTE_ID_V2] = {200, "application/json", "V2Server"},
    [ROUTE_ID_V2_LIVE] = {200, "application/json", "V2Live"},
    [ROUTE_ID_V2_READY] = {200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_MODEL] = {200, "application/json", "V2Model"},
    [ROUTE_ID_V2_MODEL_VERSION] = {200, "application/json", "V2Model"},
    [ROUTE_ID_V2_MODEL_READY] = {200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_VERSION_READY] = {200, "application/json", "V2Ready"},
    [ROUTE_ID_V2_INFER] = {200, "application/json application/octet-stream", "V2Inference"},
    [ROUTE_ID_V2_VERSION_INFER] = {200, "application/json application/octet-stream", "V2Inference"},
    [ROUTE_ID_V2_INDEX] = {200, "application/json", "V2Index"},
    [ROUTE_ID_V2_STATISTICS] = {200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_MODEL_STATISTICS] = {200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_VERSION_STATISTICS] = {200, "application/json", "V2Statistics"},
    [ROUTE_ID_V2_UNLOAD] = {200, "", ""},
    [ROUTE_ID_V2_LOAD] = {200, "", ""},
    [ROUTE_ID_LIVEZ] = {200, "application/json", "Status"},
    [ROUTE_ID_READYZ] = {200, "application/json", "Status"},
    [ROUTE_ID_METRICS] = {200, "text/plain", ""},
    [ROUTE_ID_OPENAPI] = {200, "application/json", "Document"},
};

static void put_reference(struct json_writer *w, const char *key, const char *kind, const char *name, size_t size)
{
    char text[96];

    (void)snprintf(text, sizeof text, "#/components/%s/%.*s", kind, (int)size, name);
    json_object_open(w, key);
    json_put_string(w, "$ref", text);
    json_object_close(w);
}

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

static void put_words(struct json_writer *w, const char *words)
{
    json_array_open(w, "enum");
    while (*words != '\0') {
        size_t size = strcspn(words, "|");
        char word[32];
        (void)snprintf(word, sizeof word, "%.*s", (int)size, words);
        json_put_string(w, NULL, word);
        words += size + (words[size] == '|');
    }
    json_array_close(w);
}

static void put_text_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "string");
    json_put_int(w, "minLength", (int64_t)info->low);
    json_put_int(w, "maxLength", (int64_t)info->high);
}

static void put_pattern(struct json_writer *w, const char *pattern)
{
    json_put_string(w, "type", "string");
    json_put_string(w, "pattern", pattern);
}

static void put_number_type(struct json_writer *w, const struct param_info *info)
{
    bool integer = info->type == PARAM_INTEGER;

    json_put_string(w, "type", integer ? "integer" : "number");
    json_put_double(w, "minimum", info->low);
    json_put_double(w, "maximum", info->high);
    if (*info->value != '\0')
        json_put_double(w, "default", strtod(info->value, NULL));
}

static void put_fill_type(struct json_writer *w, const struct param_info *info)
{
    char pattern[160];

    (void)snprintf(pattern, sizeof pattern, "^(%s|#[0-9a-fA-F]{6})$", info->words);
    put_pattern(w, pattern);
}

static void put_list_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "array");
    json_put_int(w, "minItems", 1);
    json_object_open(w, "items");
    json_put_string(w, "type", "string");
    put_words(w, info->words);
    json_object_close(w);
}

/* `target` where several are allowed. */
static void put_targets_type(struct json_writer *w, const struct param_info *info)
{
    json_put_string(w, "type", "array");
    json_put_int(w, "maxItems", PARAMS_MAX_TARGETS);
    json_object_open(w, "items");
    put_text_type(w, info);
    json_object_close(w);
}

static bool takes_several(const struct param_info *info, unsigned group)
{
    return strcmp(info->name, "target") == 0 && (group & TAKES_TARGETS);
}

static void put_type(struct json_writer *w, const struct param_info *info, unsigned group)
{
    json_object_open(w, "schema");
    switch (info->type) {
    case PARAM_INTEGER:
    case PARAM_NUMBER:
        put_number_type(w, info);
        break;
    case PARAM_BOOL:
        json_put_string(w, "type", "boolean");
        json_put_bool(w, "default", strcmp(info->value, "true") == 0);
        break;
    case PARAM_CHOICE:
        json_put_string(w, "type", "string");
        put_words(w, info->words);
        if (*info->value != '\0')
            json_put_string(w, "default", info->value);
        break;
    case PARAM_LIST:
        put_list_type(w, info);
        break;
    case PARAM_CLASS:
    case PARAM_TEXT:
        if (takes_several(info, group))
            put_targets_type(w, info);
        else
            put_text_type(w, info);
        break;
    case PARAM_PRIOR:
        put_pattern(w, "^(train|uniform|[0-9.eE+-]+(,[0-9.eE+-]+)*)$");
        break;
    case PARAM_THRESHOLD:
        put_pattern(w, "^(auto|otsu|window|(max|share|nats|bits):[0-9.eE+-]+)$");
        break;
    case PARAM_RESOLUTION:
        put_pattern(w, "^(native|[0-9]+)$");
        break;
    case PARAM_FILL:
        put_fill_type(w, info);
        break;
    }
    json_object_close(w);
}

static void put_query(struct json_writer *w, const struct param_info *info, unsigned group)
{
    json_object_open(w, NULL);
    json_put_string(w, "name", info->name);
    json_put_string(w, "in", "query");
    json_put_string(w, "description", info->description);
    if (info->type == PARAM_LIST)
        json_put_bool(w, "explode", false);
    put_type(w, info, group);
    json_object_close(w);
}

static void put_capture(struct json_writer *w, const char *name, size_t size)
{
    char text[32];

    (void)snprintf(text, sizeof text, "%.*s", (int)size, name);
    json_object_open(w, NULL);
    json_put_string(w, "name", text);
    json_put_string(w, "in", "path");
    json_put_bool(w, "required", true);
    json_object_open(w, "schema");
    json_put_string(w, "type", "string");
    json_object_close(w);
    json_object_close(w);
}

static void put_parameters(struct json_writer *w, const struct route *route)
{
    json_array_open(w, "parameters");
    for (const char *p = strchr(route->pattern, '{'); p != NULL; p = strchr(p + 1, '{'))
        put_capture(w, p + 1, strcspn(p + 1, "}"));
    for (int i = 0; i < PARAM_COUNT; i++)
        if (param_info((enum param_id)i)->groups & route->groups)
            put_query(w, param_info((enum param_id)i), route->groups);
    put_reference(w, NULL, "parameters", "RequestId", 9);
    if (route->flags & ROUTE_JOB)
        put_reference(w, NULL, "parameters", "Timeout", 7);
    if (route->flags & ROUTE_ASYNC)
        put_reference(w, NULL, "parameters", "Prefer", 6);
    json_array_close(w);
}

/* ---- Bodies ------------------------------------------------------------------------------------------------------ */

static void put_mask(struct json_writer *w)
{
    json_object_open(w, "mask");
    json_put_string(w, "description", "a mask of one's own: an image of the photo's size, not black where the target is");
    json_put_string(w, "type", "string");
    json_put_string(w, "contentMediaType", "application/octet-stream");
    json_object_close(w);
}

static void put_form(struct json_writer *w, const struct route *route)
{
    json_object_open(w, "multipart/form-data");
    json_object_open(w, "schema");
    json_put_string(w, "type", "object");
    if (route->id != ROUTE_ID_SAMPLES) {
        json_object_open(w, "properties");
        json_object_open(w, "image");
        if (route->flags & ROUTE_PARTS)
            json_put_string(w, "description", "may be given several times");
        json_put_string(w, "type", "string");
        json_put_string(w, "contentMediaType", "application/octet-stream");
        json_object_close(w);
        if (route->flags & ROUTE_MASK)
            put_mask(w);
        json_object_close(w);
        json_array_open(w, "required");
        json_put_string(w, NULL, "image");
        json_array_close(w);
    } else {
        json_put_string(w, "description", "files; the name of each field is the label of its photo");
        json_put_int(w, "minProperties", 1);
    }
    json_object_close(w);
    json_object_close(w);
}

static void put_body(struct json_writer *w, const struct route *route)
{
    static const char *const raw[] = {"image/jpeg", "image/png", "image/webp", "application/octet-stream"};

    if (!(route->flags & (ROUTE_UPLOAD | ROUTE_JSON | ROUTE_BINARY)))
        return;
    json_object_open(w, "requestBody");
    json_put_bool(w, "required", true);
    json_object_open(w, "content");
    if (!(route->flags & ROUTE_UPLOAD)) {
        const char *schema = route->flags & ROUTE_JSON ? "EstimateRequest" : "V2Request";
        json_object_open(w, "application/json");
        put_reference(w, "schema", "schemas", schema, strlen(schema));
        json_object_close(w);
        if (route->flags & ROUTE_BINARY) { /* JSON in front, tensors behind it */
            json_object_open(w, "application/octet-stream");
            json_object_close(w);
        }
    } else {
        for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
            json_object_open(w, raw[i]);
            json_object_close(w);
        }
        put_form(w, route);
    }
    json_object_close(w);
    json_object_close(w);
}

static void put_schema(struct json_writer *w, const char *names)
{
    const char *space = strchr(names, ' ');

    if (space == NULL) {
        put_reference(w, "schema", "schemas", names, strlen(names));
        return;
    }
    json_object_open(w, "schema");
    json_array_open(w, "anyOf");
    put_reference(w, NULL, "schemas", names, (size_t)(space - names));
    put_reference(w, NULL, "schemas", space + 1, strlen(space + 1));
    json_array_close(w);
    json_object_close(w);
}

static void put_success(struct json_writer *w, const char *key, const char *description, const struct answer *answer)
{
    json_object_open(w, key);
    json_put_string(w, "description", description);
    if (*answer->types != '\0')
        json_object_open(w, "content");
    for (const char *p = answer->types; *p != '\0';) {
        size_t size = strcspn(p, " ");
        char type[32];
        (void)snprintf(type, sizeof type, "%.*s", (int)size, p);
        json_object_open(w, type);
        if (strcmp(type, "application/json") == 0)
            put_schema(w, answer->schema);
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
    bool body = route->flags & (ROUTE_UPLOAD | ROUTE_JSON | ROUTE_BINARY), upload = route->flags & ROUTE_UPLOAD;

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
    case 411:
        return body;
    case 413:
        return true;
    case 415:
        return body || route->id == ROUTE_ID_JOB_RESULT;
    case 422:
        return upload || route->id == ROUTE_ID_JOB_RESULT;
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

static void put_responses(struct json_writer *w, const struct route *route)
{
    const struct answer *answer = &answers[route->id];
    char key[8];
    int last = 0;

    json_object_open(w, "responses");
    (void)snprintf(key, sizeof key, "%d", answer->status);
    put_success(w, key, route->summary, answer);
    if (route->id == ROUTE_ID_SAMPLES)
        put_success(w, "200", "every sample was known already", answer);
    if (route->flags & ROUTE_ASYNC)
        put_success(w, "202", "Prefer: respond-async was heeded; Location is that of the job",
                    &(struct answer){202, "application/json", "JobAccepted"});
    if (route->id == ROUTE_ID_JOB_RESULT) {
        put_success(w, "201", "the result of samples that were added", &(struct answer){201, "application/json", "SamplesReply"});
        put_success(w, "202", "it is not finished", &(struct answer){202, "application/json", "Job"});
    }
    if ((route->methods & METHOD_GET) && !(route->flags & (ROUTE_PRIORITY | ROUTE_JOB)) && route->scope != SCOPE_ANY)
        put_success(w, "304", "the client has it already", &(struct answer){304, "", ""});
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++) { /* the table is in the order of the statuses */
        int status = view_problem_status((enum view_problem)i);
        if (status == last || !can_answer(route, status))
            continue;
        last = status;
        (void)snprintf(key, sizeof key, "%d", status);
        if (route->flags & ROUTE_V2)
            put_reference(w, key, "responses", "V2Error", 7);
        else
            put_reference(w, key, "responses", "Problem", 7);
    }
    json_object_close(w);
}

/* ---- The document ------------------------------------------------------------------------------------------------ */

static void put_operation(struct json_writer *w, const struct route *route, const char *method)
{
    char id[64];
    size_t used = (size_t)snprintf(id, sizeof id, "%s", method);

    for (const char *p = route->pattern; *p != '\0' && used + 2 < sizeof id; p++)
        if (strchr("{}.", *p) == NULL && !(*p == '/' && p[1] == '\0'))
            id[used++] = *p == '/' ? '_' : *p;
    id[used] = '\0';
    json_object_open(w, method);
    json_put_string(w, "operationId", id);
    json_put_string(w, "summary", route->summary);
    if (route->scope != SCOPE_NONE) {
        char scope[64];
        (void)snprintf(scope, sizeof scope, "where keys are configured: scope %s", scope_name(route->scope));
        json_put_string(w, "description", scope);
        json_array_open(w, "security");
        json_object_open(w, NULL);
        json_array_open(w, "bearer");
        json_array_close(w);
        json_object_close(w);
        json_object_open(w, NULL);
        json_array_open(w, "apiKey");
        json_array_close(w);
        json_object_close(w);
        if (route->scope != SCOPE_ADMIN) {
            json_object_open(w, NULL);
            json_object_close(w);
        }
        json_array_close(w);
    }
    put_parameters(w, route);
    put_body(w, route);
    put_responses(w, route);
    json_object_close(w);
}

static void put_path(struct json_writer *w, const struct route *first)
{
    static const struct {
        unsigned method;
        const char *name;
    } methods[] = {{METHOD_GET, "get"}, {METHOD_POST, "post"}, {METHOD_PUT, "put"}, {METHOD_DELETE, "delete"}};

    json_object_open(w, first->pattern);
    for (int i = (int)first->id; i < ROUTE_COUNT; i++) {
        const struct route *route = route_info((enum route_id)i);
        if (strcmp(route->pattern, first->pattern) != 0)
            continue;
        for (size_t m = 0; m < sizeof methods / sizeof methods[0]; m++)
            if (route->methods & methods[m].method)
                put_operation(w, route, methods[m].name);
    }
    json_object_close(w);
}

static bool is_first(int id)
{
    for (int i = 0; i < id; i++)
        if (strcmp(route_info((enum route_id)i)->pattern, route_info((enum route_id)id)->pattern) == 0)
            return false;
    return true;
}

/* What the service refuses if it is wrong has a type of its own; other values are taken as text, and passed over. */
static void put_header_parameter(struct json_writer *w, const char *key, const char *name, const char *description,
                                 bool number)
{
    json_object_open(w, key);
    json_put_string(w, "name", name);
    json_put_string(w, "in", "header");
    json_put_string(w, "description", description);
    json_object_open(w, "schema");
    json_put_string(w, "type", number ? "number" : "string");
    if (number)
        json_put_double(w, "minimum", 0.001);
    json_object_close(w);
    json_object_close(w);
}

static void put_security_schemes(struct json_writer *w)
{
    json_object_open(w, "securitySchemes");
    json_object_open(w, "bearer");
    json_put_string(w, "type", "http");
    json_put_string(w, "scheme", "bearer");
    json_object_close(w);
    json_object_open(w, "apiKey");
    json_put_string(w, "type", "apiKey");
    json_put_string(w, "in", "header");
    json_put_string(w, "name", "X-Api-Key");
    json_object_close(w);
    json_object_close(w);
}

static void put_refusal(struct json_writer *w, const char *name, const char *type)
{
    json_object_open(w, name);
    json_put_string(w, "description", "what was wrong, and the limit");
    json_object_open(w, "content");
    json_object_open(w, type);
    put_reference(w, "schema", "schemas", name, strlen(name));
    json_object_close(w);
    json_object_close(w);
    json_object_close(w);
}

static void put_components(struct json_writer *w, const struct json *schemas)
{
    json_object_open(w, "components");
    json_object_open(w, "parameters");
    put_header_parameter(w, "RequestId", "X-Request-Id", "taken over into the answer and the log if it is 1 to 128 of "
                         "A-Za-z0-9._-; else one is made", false);
    put_header_parameter(w, "Timeout", "X-Request-Timeout", "seconds after which the answer is of no use", true);
    put_header_parameter(w, "Prefer", "Prefer", "respond-async: answer 202 at once, and the result under /v1/jobs; other "
                         "preferences are passed over", false);
    json_object_close(w);
    json_object_open(w, "responses");
    put_refusal(w, "Problem", "application/problem+json");
    put_refusal(w, "V2Error", "application/json");
    json_object_close(w);
    put_security_schemes(w);
    json_put_node(w, "schemas", schemas);
    json_object_close(w);
}

static void put_document(struct json_writer *w, const struct json *schemas)
{
    json_object_open(w, NULL);
    json_put_string(w, "openapi", "3.1.0");
    json_object_open(w, "info");
    json_put_string(w, "title", "infomask");
    json_put_string(w, "version", INFOMASK_VERSION);
    json_put_string(w, "description", "A photo in; class probabilities, mutual information in nats, a mask of where the "
                                      "information is, and a filtered photo out.");
    json_object_close(w);
    json_object_open(w, "paths");
    for (int i = 0; i < ROUTE_COUNT; i++)
        if (is_first(i))
            put_path(w, route_info((enum route_id)i));
    json_object_close(w);
    put_components(w, schemas);
    json_object_close(w);
}

static struct kept *write_document(struct kept_slot *slot, struct infomask_error *err)
{
    size_t size = (size_t)(openapi_schemas_end - openapi_schemas_begin);
    struct json *schemas;
    struct json_writer writer;

    if (json_parse(openapi_schemas_begin, size, NULL, &schemas, err) != INFOMASK_OK)
        return NULL;
    json_writer_init(&writer, 0);
    put_document(&writer, schemas);
    json_free(schemas);
    return kept_write(slot, &writer, err);
}

int handle_openapi(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    struct kept *text = kept_get(&server->interface);

    if (text == NULL)
        text = write_document(&server->interface, &err);
    return text != NULL ? reply_kept(reply, request, "application/json", text) : reply_error(reply, request, &err);
}
