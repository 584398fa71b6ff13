/* What each route answers: statuses, header fields, media types and the schemas of schemas.json. */
#ifndef SERVER_OPENAPI_ANSWERS_H
#define SERVER_OPENAPI_ANSWERS_H

#include "app/json/json.h"
#include "server/call/routes.h"

const char *openapi_name(const struct route *route); /* NULL: it has none of its own */
const char *openapi_tag(const struct route *route);

/* "responses" of an operation. */
void openapi_responses(struct json_writer *writer, const struct route *route);
/* "responses" and "headers" of the components, which those refer to. */
void openapi_answer_components(struct json_writer *writer);

#endif
