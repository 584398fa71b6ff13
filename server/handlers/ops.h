/* Whether requests are taken: what /readyz, /v2/health/ready and /metrics tell. */
#ifndef SERVER_HANDLERS_OPS_H
#define SERVER_HANDLERS_OPS_H

#include "app/view/problem.h"
#include "server/call/context.h"

/* VIEW_NOT_READY or VIEW_NO_STATE with a sentence in err where they are not.  Never waits. */
bool ops_ready(const struct server_context *server, enum view_problem *problem, struct infomask_error *err);

#endif
