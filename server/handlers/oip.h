/* What the handlers of Open Inference Protocol v2 share. */
#ifndef SERVER_HANDLERS_OIP_H
#define SERVER_HANDLERS_OIP_H

#include "server/call/context.h"
#include "server/call/reply.h"
#include "server/call/request.h"

/* The model of the path, and of its version if the path names one, held for the caller; NULL: the reply says why. */
struct model *oip_find_model(struct server_context *server, const struct request *request, struct reply *reply);

#endif
