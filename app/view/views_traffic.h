/* GET /v1/models/{name}/information as JSON. */
#ifndef APP_VIEW_VIEWS_TRAFFIC_H
#define APP_VIEW_VIEWS_TRAFFIC_H

#include "app/state/traffic.h"
#include "app/view/views.h"

void view_traffic(struct json_writer *writer, const struct model *model, const struct traffic_state *state,
                  enum view_units units, const char *request_id);

#endif
