/* The daemon: made from its parts, run until a signal ends it.
 *
 *     server_block_signals();                        before any thread is made
 *     server_create(&config, log, &server, &err);    binds the sockets: a busy port is an error that names it
 *     confine_user, confine_files;                   still without threads (app/host/confine.h)
 *     pool_create, models_create, ...
 *     server_start(server, &parts, &err);            its threads
 *     confine_calls;
 *     end = server_run(server, stdout);              returns after SIGTERM or SIGINT
 *     if (end == SERVER_CUT) _exit(1);          requests still run: nothing may be freed under them
 *     server_free(server);                      then the parts, in reverse
 *
 * SIGTERM, SIGINT: readiness false, after drain_grace no new connections, running requests finish (at most
 * drain_timeout); a second one returns at once.  SIGHUP: models and keys are read again.
 */
#ifndef SERVER_DAEMON_SERVER_H
#define SERVER_DAEMON_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include "app/model/kept.h"
#include "app/model/models.h"
#include "app/settings/config.h"
#include "core/base/pool.h"
#include "core/base/status.h"
#include "server/call/context.h"

struct log;
struct estimates;
struct traffic;
struct server;

/* What the caller owns and lends; everything must outlive the server. */
struct server_parts {
    struct pool *pool;
    struct models *models;
    struct estimates *estimates; /* NULL: state can't be kept */
    struct traffic *traffic;
};

/* Blocks the signals that server_run waits for, in this thread and all that it makes, ignores SIGPIPE, and sets the
 * allocator up for a service (two arenas; big blocks go back to the system). */
void server_block_signals(void);

/* Opens the sockets and reads the keys; no thread is made.  config and log are borrowed like the parts. */
enum infomask_status server_create(const struct config *config, struct log *log, struct server **server,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status server_start(struct server *server, const struct server_parts *parts, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum server_end {
    SERVER_DRAINED, /* every accepted request was answered: exit code 0 */
    SERVER_CUT      /* a second signal came, or the drain took too long: exit code 1, at once */
};
/* On the main thread.  announce: where "listening on http://ADDRESS:PORT" goes; NULL: nowhere. */
enum server_end server_run(struct server *server, FILE *announce);
void server_free(struct server *server); /* server_free(NULL) does nothing */

/* The path of the i-th local socket; NULL: there are no more.  The server's. */
const char *server_local_name(const struct server *server, int i);

#endif
