/* What a server is made of.  Private to server.c (its loop), make.c and accept.c. */
#ifndef SERVER_DAEMON_ONE_H
#define SERVER_DAEMON_ONE_H

#include "app/host/sockets.h"
#include "server/daemon/notify.h"
#include "server/daemon/server.h"

struct connections;
struct http;

struct server {
    struct server_context context;
    struct connections *connections;
    struct http *http, *tls, *retired; /* plain; TLS or NULL; with an older certificate, until its clients have gone */
    struct listener listeners[SOCKETS_MAX];
    int listener_count;
    int signals, spare; /* descriptors: of signals; kept to refuse with when there are no others */
    bool lingering;     /* refused clients are still sending */
    bool paused;        /* accepting, for a tick: out of descriptors */
    bool files_wanted, tls_wanted; /* a signal asked for them to be read again */
    double retired_ms;  /* when the older certificate was replaced */
    double busy_ms;     /* when there was last something to do */
    double trimmed_ms;  /* when memory was last given back */
    struct notify notify;
    struct pool_task reload;
    struct pool *lane_pool; /* of what waits for the state's server; NULL: there is none */
    _Atomic bool reloading;
};

/* A new library instance with the certificate as it is now on disk. */
enum infomask_status server_make_tls(struct server *server, struct http **tls, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Takes a connection of the listener, or turns it away; true while there may be more. */
bool server_accept(struct server *server, const struct listener *listener);

#endif
