/* The daemon: made from its parts, run until a signal ends it.
 *
 *     server_block_signals();                   before any thread is made
 *     pool_create, models_create, ...
 *     server_create(&parts, &server, &err);     binds the sockets: a busy port is an error that names it
 *     end = server_run(server);                 returns after SIGTERM or SIGINT
 *     if (end == SERVER_CUT) _exit(1);          requests still run: nothing may be freed under them
 *     server_free(server);                      then the parts, in reverse
 *
 * SIGTERM, SIGINT: readiness false, after drain_grace no new connections, running requests finish (at most
 * drain_timeout); a second one returns at once.  SIGHUP: models and keys are read again.
 */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "server/config.h"
#include "server/models.h"

struct metrics;
struct log;
struct jobs;
struct keys;
struct rates;
struct estimates;
struct traffic;
struct server;

/* What the caller owns and lends; everything must outlive the server. */
struct server_parts {
    const struct config *config;
    struct pool *pool;
    struct models *models;
    struct estimates *estimates; /* NULL: state can't be kept */
    struct traffic *traffic;
    struct log *log;
    FILE *announce;              /* where "listening on http://ADDRESS:PORT" goes; NULL: nowhere */
};

/* What handlers see. */
struct server_context {
    const struct config *config;
    struct pool *pool;
    struct models *models;
    struct estimates *estimates;
    struct traffic *traffic;
    struct log *log;
    struct metrics *metrics;
    struct jobs *jobs;
    struct keys *keys;
    struct rates *rates;            /* NULL: no limit */
    struct infomask_limits limits;  /* of photos; the deadline is set by each request */
    const char *_Atomic not_ready;  /* why requests are not taken now ("draining"); NULL: ready */
    _Atomic bool draining;          /* answers end their connections */
    _Atomic size_t body_bytes;      /* bodies held in memory now */
    size_t body_memory;             /* and how many bytes may be */
};

/* Blocks the signals that server_run waits for, in this thread and all that it makes, ignores SIGPIPE, and sets the
 * allocator up for a service (two arenas; big blocks go back to the system). */
void server_block_signals(void);

enum infomask_status server_create(const struct server_parts *parts, struct server **server, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum server_end {
    SERVER_DRAINED, /* every accepted request was answered: exit code 0 */
    SERVER_CUT      /* a second signal came, or the drain took too long: exit code 1, at once */
};
/* On the main thread. */
enum server_end server_run(struct server *server);
void server_free(struct server *server); /* server_free(NULL) does nothing */

/* "http://127.0.0.1:8080" of the first socket; the server's. */
const char *server_address(const struct server *server);

#endif
