/* GET /v1/models/{name}/information: the running, unlabelled information of the traffic. */
#include "server/routes.h"

int handle_information(struct server_context *server, const struct request *request, struct reply *reply)
{
    (void)server;
    return reply_problem(reply, request, VIEW_NO_STATE, "this service keeps no state of its traffic");
}
