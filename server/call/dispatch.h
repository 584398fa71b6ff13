/* From a checked request to its handler, by way of the cache. */
#ifndef SERVER_CALL_DISPATCH_H
#define SERVER_CALL_DISPATCH_H

#include "server/call/routes.h"

/* The route's handler, or the answer that it gave before; with Infomask-Cache: hit or miss where one could be kept.
 * server->cache NULL: always the handler.  Returns the status of the reply that it filled. */
int dispatch(struct server_context *server, const struct request *request, struct reply *reply);

#endif
