/* Parameters as JSON Schema, from their table.  Private to openapi*.c. */
#ifndef SERVER_OPENAPI_TYPES_H
#define SERVER_OPENAPI_TYPES_H

#include "app/json/json.h"
#include "app/settings/params.h"

/* The schema of a parameter for the routes of `group`, as the member `key`; its description goes in unless key is
 * "schema", beside which it stands already. */
void openapi_type(struct json_writer *writer, const char *key, const struct param_info *info, unsigned group);

#endif
