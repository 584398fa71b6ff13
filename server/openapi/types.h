/* JSON Schema: of parameters, from their table, and what else is written in several places.  Private to this folder. */
#ifndef SERVER_OPENAPI_TYPES_H
#define SERVER_OPENAPI_TYPES_H

#include "app/json/json.h"
#include "app/settings/params.h"

/* The member "schema" of a parameter for the routes of `group`. */
void openapi_type(struct json_writer *writer, const struct param_info *info, unsigned group);
/* {"$ref": "#/components/KIND/NAME"}; size: of the name. */
void openapi_reference(struct json_writer *writer, const char *key, const char *kind, const char *name, size_t size);
/* The schema of bytes; description may be NULL. */
void openapi_bytes(struct json_writer *writer, const char *key, const char *description);

#endif
