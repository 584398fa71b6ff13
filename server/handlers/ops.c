/* GET /livez, /readyz. */
#include "server/handlers/ops.h"

#include "app/state/estimates.h"
#include "server/call/routes.h"

static int say(struct reply *reply, const struct request *request, const char *status)
{
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "status", status);
    json_object_close(&writer);
    return reply_json(reply, request, 200, &writer);
}

int handle_livez(struct server_context *server, const struct request *request, struct reply *reply)
{
    (void)server;
    return say(reply, request, "alive");
}

bool ops_ready(const struct server_context *server, enum view_problem *problem, struct infomask_error *err)
{
    const char *reason = atomic_load(&server->not_ready);

    *problem = reason != NULL ? VIEW_NOT_READY : VIEW_NO_STATE;
    if (reason != NULL)
        (void)error_set(err, INFOMASK_IO, "%s", reason);
    return reason == NULL && (server->estimates == NULL || estimates_ready(server->estimates, err) == INFOMASK_OK);
}

int handle_readyz(struct server_context *server, const struct request *request, struct reply *reply)
{
    enum view_problem problem;
    struct infomask_error err;

    if (ops_ready(server, &problem, &err))
        return say(reply, request, "ready");
    reply_header(reply, "Retry-After", "1");
    return reply_problem(reply, request, problem, "not ready: %s", err.text);
}
