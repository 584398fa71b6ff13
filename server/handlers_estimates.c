/* The estimates' routes without a store: they say that there is none. */
#include "server/routes.h"

static int no_state(const struct request *request, struct reply *reply)
{
    return reply_problem(reply, request, VIEW_NO_STATE, "this service keeps no state");
}

#define WITHOUT_STATE(handler)                                                                             \
    int handler(struct server_context *server, const struct request *request, struct reply *reply)        \
    {                                                                                                      \
        (void)server;                                                                                      \
        return no_state(request, reply);                                                                   \
    }

WITHOUT_STATE(handle_information)
WITHOUT_STATE(handle_estimate_create)
WITHOUT_STATE(handle_estimate_list)
WITHOUT_STATE(handle_estimate)
WITHOUT_STATE(handle_estimate_delete)
WITHOUT_STATE(handle_samples)
