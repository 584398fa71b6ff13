/* Parameters as JSON Schema, from their table.  Private to openapi*.c. */
#ifndef SERVER_OPENAPI_TYPES_H
#define SERVER_OPENAPI_TYPES_H

#include "app/json/json.h"
#include "app/settings/params.h"

/* The member "schema" of a parameter for the routes of `group`. */
void openapi_type(struct json_writer *writer, const struct param_info *info, unsigned group);

#endif
