/* Routes whose numerics are still to come. */
#include "server/routes.h"

static int missing(const struct request *request, struct reply *reply)
{
    return reply_problem(reply, request, VIEW_NOT_IMPLEMENTED, "this route is not served by this build");
}

#define MISSING(handler)                                                                                   \
    int handler(struct server_context *server, const struct request *request, struct reply *reply)        \
    {                                                                                                      \
        (void)server;                                                                                      \
        return missing(request, reply);                                                                    \
    }

MISSING(handle_openapi)
