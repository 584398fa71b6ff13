/* GET /v1/models/{name}/information as JSON. */
#ifndef SERVER_VIEWS_TRAFFIC_H
#define SERVER_VIEWS_TRAFFIC_H

#include "server/traffic.h"
#include "server/views.h"

void view_traffic(struct json_writer *writer, const struct model *model, const struct traffic_state *state,
                  enum view_units units, const char *request_id);

#endif
