/* GET /openapi.json: OpenAPI 3.1, made from the tables of routes, parameters and problems (answers.c has what is
 * answered).  What no table says, the shapes of the replies, is in schemas.json. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/call/call.h"
#include "server/call/routes.h"
#include "server/openapi/answers.h"
#include "server/openapi/types.h"

__asm__(".pushsection .rodata\n"
        "openapi_schemas_begin:\n.incbin \"server/openapi/schemas.json\"\n"
        "openapi_schemas_end:\n.byte 0\n"
        ".popsection\n");
extern const char openapi_schemas_begin[], openapi_schemas_end[];

static const struct {
    const char *name, *description;
} tags[] = {
    {"inference", "Photos: classes, maps and masks, filtered photos"},
    {"models", "What can be asked, and what its traffic tells"},
    {"estimates", "The mutual information of labelled photos, accumulated"},
    {"jobs", "Work asked for with Prefer: respond-async"},
    {"v2", "Open Inference Protocol v2"},
    {"operations", "Health, metrics, this description"},
};

/* ---- Parameters -------------------------------------------------------------------------------------------------- */

static void put_query(struct json_writer *w, const struct param_info *info, unsigned group)
{
    json_object_open(w, NULL);
    json_put_string(w, "name", info->name);
    json_put_string(w, "in", "query");
    json_put_string(w, "description", info->description);
    if (info->type == PARAM_LIST)
        json_put_bool(w, "explode", false);
    openapi_type(w, info, group);
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
    openapi_reference(w, NULL, "parameters", "RequestId", 9);
    if (route->flags & ROUTE_JOB)
        openapi_reference(w, NULL, "parameters", "Timeout", 7);
    if (route->flags & ROUTE_ASYNC)
        openapi_reference(w, NULL, "parameters", "Prefer", 6);
    json_array_close(w);
}

/* ---- Bodies ------------------------------------------------------------------------------------------------------ */

static void put_required_image(struct json_writer *w)
{
    json_array_open(w, "required");
    json_put_string(w, NULL, "image");
    json_array_close(w);
}

#define OWN_MASK "a mask of one's own: an image of the photo's size, not black where the target is"

static void put_form(struct json_writer *w, const struct route *route)
{
    json_object_open(w, "multipart/form-data");
    json_object_open(w, "schema");
    json_put_string(w, "type", "object");
    if (route->id != ROUTE_ID_SAMPLES) {
        json_object_open(w, "properties");
        openapi_bytes(w, "image",
                  route->flags & (ROUTE_PARTS | ROUTE_LINES) ? "JPEG, PNG or WebP; may be given several times"
                                                             : "JPEG, PNG or WebP");
        if (route->flags & ROUTE_MASK)
            openapi_bytes(w, "mask", OWN_MASK);
        json_object_close(w);
        put_required_image(w);
    } else {
        json_put_string(w, "description", "files; the name of each field is the label of its photo");
        openapi_bytes(w, "additionalProperties", NULL);
    }
    json_object_close(w);
    json_object_close(w);
}

static void put_body(struct json_writer *w, const struct route *route)
{
    if (!(route->flags & ROUTE_BODY))
        return;
    json_object_open(w, "requestBody");
    json_put_bool(w, "required", true);
    if (route->flags & ROUTE_UPLOAD)
        json_put_string(w, "description",
                        "The photo as it is (its format is found from its first bytes, whatever the "
                        "Content-Type says), or a form.  JSON is taken too, {\"image\": \"base64 or a "
                        "data: URL\", ...parameters}: generators would choose it for bytes, so it is "
                        "not in this list");
    else if (route->flags & ROUTE_PARAMS)
        json_put_string(w, "description", "The parameters; a multipart form of the same fields is taken too");
    json_object_open(w, "content");
    if (!(route->flags & ROUTE_UPLOAD)) {
        const char *schema = route->flags & ROUTE_PARAMS ? "EstimateQuestion"
                             : route->flags & ROUTE_JSON ? "EstimateRequest"
                                                         : "V2Request";
        json_object_open(w, "application/json");
        openapi_reference(w, "schema", "schemas", schema, strlen(schema));
        json_object_close(w);
    }
    if (route->flags & (ROUTE_UPLOAD | ROUTE_BINARY)) { /* v2: JSON in front, tensors behind it */
        json_object_open(w, "application/octet-stream");
        openapi_bytes(w, "schema", NULL);
        json_object_close(w);
    }
    if (route->flags & ROUTE_UPLOAD) {
        put_form(w, route);
    }
    json_object_close(w);
    json_object_close(w);
}

/* ---- The document ------------------------------------------------------------------------------------------------ */

static void put_alternative(struct json_writer *w, const char *scheme)
{
    json_object_open(w, NULL);
    if (scheme != NULL) {
        json_array_open(w, scheme);
        json_array_close(w);
    }
    json_object_close(w);
}

static void put_security(struct json_writer *w, const struct route *route)
{
    json_array_open(w, "security");
    if (route->scope != SCOPE_NONE) {
        put_alternative(w, "bearer");
        put_alternative(w, "apiKey");
    }
    if (route->scope != SCOPE_ADMIN && route->scope != SCOPE_NONE)
        put_alternative(w, NULL); /* where no keys are configured */
    json_array_close(w);
}

static void put_description(struct json_writer *w, const struct route *route, const char *scope)
{
    char text[320];

    (void)snprintf(text, sizeof text, "%s%s", scope,
                   route->flags & ROUTE_LINES
                       ? ". Several images in one request are answered with Accept: application/x-ndjson, "
                         "a line of JSON each as if it had come alone"
                       : "");
    json_put_string(w, "description", text);
}

static void put_operation(struct json_writer *w, const struct route *route, const char *method)
{
    char text[64];
    size_t used = (size_t)snprintf(text, sizeof text, "%s", method);

    for (const char *p = route->pattern; *p != '\0' && used + 2 < sizeof text; p++)
        if (strchr("{}.", *p) == NULL && !(*p == '/' && p[1] == '\0'))
            text[used++] = *p == '/' ? '_' : *p;
    text[used] = '\0';
    json_object_open(w, method);
    json_put_string(w, "operationId", openapi_name(route) != NULL ? openapi_name(route) : text);
    json_array_open(w, "tags");
    json_put_string(w, NULL, openapi_tag(route));
    json_array_close(w);
    json_put_string(w, "summary", route->summary);
    if (route->scope != SCOPE_NONE)
        (void)snprintf(text, sizeof text, "Where keys are configured: scope %s", scope_name(route->scope));
    else
        (void)snprintf(text, sizeof text, "Needs no key");
    put_description(w, route, text);
    put_security(w, route);
    put_parameters(w, route);
    put_body(w, route);
    openapi_responses(w, route);
    json_object_close(w);
}

/* PUT means what POST means where both are: it is left out. */
static void put_path(struct json_writer *w, const struct route *first)
{
    static const struct {
        unsigned method;
        const char *name;
    } methods[] = {{METHOD_GET, "get"}, {METHOD_POST, "post"}, {METHOD_DELETE, "delete"}};

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
    if (number)
        json_put_double(w, "maximum", MOST_TIMEOUT);
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

static void put_components(struct json_writer *w, const struct json *schemas)
{
    json_object_open(w, "components");
    json_object_open(w, "parameters");
    put_header_parameter(w, "RequestId", "X-Request-Id", "taken over into the answer and the log if it is 1 to 128 of "
                         "A-Za-z0-9._-; else one is made", false);
    put_header_parameter(w, "Timeout", "X-Request-Timeout", "seconds after which the answer is of no use", true);
    put_header_parameter(w, "Prefer", "Prefer",
                         "respond-async: answer 202 at once, and the result under /v1/jobs; other "
                         "preferences are passed over",
                         false);
    json_object_close(w);
    openapi_answer_components(w);
    put_security_schemes(w);
    json_put_node(w, "schemas", schemas);
    json_object_close(w);
}

/* The server is where this document is: also behind a proxy that puts the service below a path of its own. */
static void put_servers_and_tags(struct json_writer *w)
{
    json_array_open(w, "servers");
    json_object_open(w, NULL);
    json_put_string(w, "url", ".");
    json_put_string(w, "description", "where this description is");
    json_object_close(w);
    json_array_close(w);
    json_array_open(w, "tags");
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++) {
        json_object_open(w, NULL);
        json_put_string(w, "name", tags[i].name);
        json_put_string(w, "description", tags[i].description);
        json_object_close(w);
    }
    json_array_close(w);
}

static void put_document(struct json_writer *w, const struct json *schemas)
{
    json_object_open(w, NULL);
    json_put_string(w, "openapi", "3.1.0");
    json_object_open(w, "info");
    json_put_string(w, "title", "infomask");
    json_put_string(w, "version", INFOMASK_VERSION);
    json_put_string(w, "description",
                    "A photo in; class probabilities, mutual information in nats, a mask of where the "
                    "information is, and a filtered photo out.");
    json_object_open(w, "license");
    json_put_string(w, "name", "Apache-2.0");
    json_put_string(w, "identifier", "Apache-2.0");
    json_object_close(w);
    json_object_close(w);
    put_servers_and_tags(w);
    json_object_open(w, "paths");
    for (int i = 0; i < ROUTE_COUNT; i++)
        if (is_first(i) && !(route_info((enum route_id)i)->flags & ROUTE_PAGES))
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
