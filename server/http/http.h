/* The glue to libmicrohttpd, which nothing else sees: sockets in, calls (server/call/call.h) through, replies out.
 *
 * Two library threads wait with poll(2), not epoll: with exactly 128 ready connections the epoll loop of 0.9.75 sleeps
 * before it serves any.  They read heads and bodies and send answers, and never compute: a request of a route with
 * ROUTE_JOB is suspended while its job is queued and run, and resumed when its reply is there.  Accepting, counting and
 * cutting connections is done outside the library (connections.h, server.c).
 */
#ifndef SERVER_HTTP_HTTP_H
#define SERVER_HTTP_HTTP_H

#include <sys/socket.h>

#include "server/call/context.h"
#include "server/http/connections.h"

struct http;

/* certificate, key: PEM texts for TLS, copied; NULL: without. */
enum infomask_status http_create(struct server_context *context, struct connections *connections,
                                 const char *certificate, const char *key, struct http **http,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
/* Every call must have ended: the library aborts over a suspended connection. */
void http_free(struct http *http);

/* Takes over an admitted socket; on failure it is closed and uncounted. */
void http_add(struct http *http, int fd, const struct sockaddr *address, socklen_t size);

/* It gets no more connections: those that it has end with their next answer. */
void http_retire(struct http *http);
/* Sockets that it took over and has not closed. */
int http_connections(const struct http *http);
/* Calls between their request line and their answer's end. */
int http_in_flight(const struct http *http);
/* Whether the library had no memory since it was asked last (NULL: no). */
bool http_starved(struct http *http);

#endif
