#include "server/call/dispatch.h"

#include "server/call/cache.h"

int dispatch(struct server_context *server, const struct request *request, struct reply *reply)
{
    char key[CACHE_KEY];
    int first_header = reply->header_count, status;

    if (server->cache == NULL || !(request->route->flags & ROUTE_CACHE) || request->upload_count != 1 ||
        !cache_key(request, key))
        return request->route->handler(server, request, reply);
    if (cache_take(server->cache, key, request, reply)) {
        reply_header(reply, "Infomask-Cache", "hit");
        return reply->status;
    }
    status = request->route->handler(server, request, reply);
    if (status == 200 && !reply->transient)
        cache_put(server->cache, key, reply, first_header);
    reply_header(reply, "Infomask-Cache", "miss");
    return status;
}
