/* GET /livez, /readyz. */
#include "server/call/routes.h"

static int say(struct reply *reply, const struct request *request, const char *status)
{
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "status", status);
    json_object_close(&writer);
    reply_header(reply, "Cache-Control", "no-store");
    return reply_json(reply, request, 200, &writer);
}

int handle_livez(struct server_context *server, const struct request *request, struct reply *reply)
{
    (void)server;
    return say(reply, request, "alive");
}

int handle_readyz(struct server_context *server, const struct request *request, struct reply *reply)
{
    const char *reason = atomic_load(&server->not_ready);

    if (reason == NULL)
        return say(reply, request, "ready");
    reply_header(reply, "Cache-Control", "no-store");
    reply_header(reply, "Retry-After", "1");
    return reply_problem(reply, request, VIEW_NOT_READY, "not ready: %s", reason);
}
