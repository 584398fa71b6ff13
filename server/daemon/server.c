#include "server/daemon/server.h"

#include <malloc.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio_ext.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "app/host/keys.h"
#include "app/state/estimates.h"
#include "core/base/clock.h"
#include "server/clients/held.h"
#include "server/daemon/one.h"
#include "server/http/connections.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/observe/log.h"
#include "server/queue/queue.h"

#define TICK_MS 100
#define LINGER_TICK_MS 5
#define ACCEPTS 64         /* at a time, so that the clock is looked at */
#define TRIM_MS 10000      /* idle time after which memory goes back to the system */
#define TRIM_BUSY_MS 60000 /* and time between two returns of what is free, when it is never idle */
#define FRESH_MS 1500      /* a drain waits this long for the first request of a connection that it accepted */

static const char *scheme(const struct listener *listener)
{
    return listener->local ? "" : listener->tls ? "https://" : "http://";
}

static int in_flight(const struct server *server)
{
    int count = http_in_flight(server->http);

    count += server->tls != NULL ? http_in_flight(server->tls) : 0;
    return count + (server->retired != NULL ? http_in_flight(server->retired) : 0);
}

static void accept_some(struct server *server, const struct listener *listener)
{
    for (int i = 0; i < ACCEPTS && server_accept(server, listener); i++)
        ;
}

static void reload_keys(struct server_context *context)
{
    struct infomask_error err;

    if (*context->config->keys == '\0')
        return;
    if (keys_read(context->keys, context->config->keys, &err) != INFOMASK_OK)
        log_message(context->log, LOG_ERROR, "the keys were not read again: %s", err.text);
    else
        log_message(context->log, LOG_INFO, "keys read again");
}

/* New connections get a library instance with the new certificate; the old one ends when its clients have gone. */
static void reload_tls(struct server *server)
{
    struct http *tls;
    struct infomask_error err;

    if (server->tls == NULL)
        return;
    if (server_make_tls(server, &tls, &err) != INFOMASK_OK) {
        log_message(server->context.log, LOG_ERROR, "the certificate was not read again: %s", err.text);
        return;
    }
    http_retire(server->tls);
    server->retired = server->tls;
    server->retired_ms = clock_ms();
    server->tls = tls;
    log_message(server->context.log, LOG_INFO, "certificate read again");
}

/* Who is still connected once a head's time has passed, and asks nothing, is a proxy with an idle connection. */
static void end_retired(struct server *server)
{
    double end = server->retired_ms + 1000 * server->context.config->header_timeout;

    if (server->retired == NULL || http_in_flight(server->retired) > 0 ||
        (http_connections(server->retired) > 0 && clock_ms() < end))
        return;
    http_free(server->retired);
    server->retired = NULL;
}

static void reload_models(struct pool_task *task)
{
    struct server *server = (struct server *)((char *)task - offsetof(struct server, reload));
    struct models_changes changes;
    struct infomask_error err;

    reload_keys(&server->context);
    if (models_reload(server->context.models, &changes, &err) != INFOMASK_OK)
        log_message(server->context.log, LOG_ERROR, "the models were not read again: %s", err.text);
    else
        log_message(server->context.log, LOG_INFO, "models: %d added, %d changed, %d removed, %d unchanged, %d failed",
                    changes.added, changes.changed, changes.removed, changes.unchanged, changes.failed);
    atomic_store(&server->reloading, false);
}

/* What a signal asked for; where the last time is still under way, after it. */
static void reload(struct server *server)
{
    if (server->tls_wanted && server->retired == NULL) {
        server->tls_wanted = false;
        reload_tls(server);
    }
    if (!server->files_wanted || atomic_exchange(&server->reloading, true))
        return;
    server->files_wanted = false;
    server->reload = (struct pool_task){.run = reload_models};
    pool_post(server->context.pool, &server->reload);
}

/* True when the process was asked to end. */
static bool take_signals(struct server *server)
{
    struct signalfd_siginfo info;
    bool end = false;

    while (read(server->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        if (info.ssi_signo == SIGHUP)
            server->files_wanted = server->tls_wanted = true;
        else
            end = true;
    }
    return end;
}

/* Memory of a burst goes back to the system once nothing happens; under steady traffic, where that never is, the pages
 * that are free by now go back from time to time, or the holes of the heap add up for hours. */
static void trim_memory(struct server *server)
{
    double now = clock_ms();

    if (in_flight(server) > 0) {
        server->busy_ms = now;
        if (now - server->trimmed_ms > TRIM_BUSY_MS) {
            server->trimmed_ms = now;
            (void)malloc_trim(0);
        }
    } else if (server->trimmed_ms <= server->busy_ms && now - server->busy_ms > TRIM_MS) {
        server->trimmed_ms = now;
        if (server->context.models != NULL)
            models_trim(server->context.models);
        if (server->context.estimates != NULL)
            estimates_trim(server->context.estimates);
        (void)malloc_trim(0);
    }
}

/* A job looks at its deadline at every step: one that runs on far beyond it never will.  Balancers then look elsewhere,
 * and a service manager that watches hears nothing more and starts the service again. */
static void watch_workers(struct server *server)
{
    static const char stuck[] = "a worker is stuck";
    double limit = 1000 * server->context.config->stuck_after;
    const char *reason = atomic_load(&server->context.not_ready);
    struct queue_state state;

    queue_state(server->context.queue, &state);
    if (limit > 0 && state.overdue_ms > limit) {
        if (reason == NULL) {
            atomic_store(&server->context.not_ready, stuck);
            log_message(server->context.log, LOG_ERROR, "a worker is stuck: its request ended %.1f s ago",
                        state.overdue_ms / 1000);
        }
        return;
    }
    if (reason == stuck) {
        atomic_store(&server->context.not_ready, NULL);
        log_message(server->context.log, LOG_WARNING, "the worker that was stuck is free again");
    }
    notify_alive(&server->notify, clock_ms());
}

/* Nobody is kept waiting by a service that ends. */
static void release_held(struct server_context *context)
{
    if (context->held != NULL)
        held_release(context->held, atomic_load(&context->draining) ? INFINITY : clock_ms());
}

/* Waits for sockets and signals for at most a tick, then looks at the clock; true when asked to end. */
static bool turn(struct server *server, bool accepting)
{
    struct pollfd wait[SOCKETS_MAX + 1];
    int count = 0;
    bool end;

    wait[count++] = (struct pollfd){.fd = server->signals, .events = POLLIN};
    for (int i = 0; accepting && !server->paused && i < server->listener_count; i++)
        wait[count++] = (struct pollfd){.fd = server->listeners[i].fd, .events = POLLIN};
    server->paused = false;
    (void)poll(wait, (nfds_t)count, server->lingering ? LINGER_TICK_MS : TICK_MS);
    for (int i = 1; i < count; i++)
        if (wait[i].revents & POLLIN)
            accept_some(server, &server->listeners[i - 1]);
    if (http_starved(server->http) || http_starved(server->tls))
        connections_nudge(server->connections);
    server->lingering = connections_reap(server->connections);
    release_held(&server->context);
    queue_expire(server->context.queue);
    if (server->context.lane != NULL)
        queue_expire(server->context.lane);
    jobs_expire(server->context.jobs);
    models_expire(server->context.models, clock_ms());
    end_retired(server);
    end = (wait[0].revents & POLLIN) && take_signals(server);
    reload(server);
    trim_memory(server);
    watch_workers(server);
    return end;
}

/* Whether an accepted request is still unanswered: running, or of a connection so new that it may not have come yet. */
static bool unfinished(struct server *server, double since)
{
    struct connections_count count;
    struct queue_state state;

    connections_count(server->connections, &count);
    queue_state(server->context.queue, &state);
    return count.busy > 0 || in_flight(server) > 0 || state.running + state.waiting > 0 ||
           models_memory(server->context.models).waiting > 0 || atomic_load(&server->reloading) ||
           (count.fresh > 0 && clock_ms() - since < FRESH_MS);
}

static enum server_end drain(struct server *server)
{
    const struct config *config = server->context.config;
    double start = clock_ms(), grace = start + 1000 * config->drain_grace, closed;
    double end = grace + 1000 * config->drain_timeout;

    log_message(server->context.log, LOG_INFO, "draining");
    atomic_store(&server->context.not_ready, "draining");
    notify_send(&server->notify, "STOPPING=1\nSTATUS=draining");
    while (clock_ms() < grace)
        if (turn(server, true))
            return SERVER_CUT;
    atomic_store(&server->context.draining, true);
    for (int i = 0; i < server->listener_count; i++)
        while (server_accept(server, &server->listeners[i]))
            ;
    sockets_close(server->listeners, server->listener_count);
    server->listener_count = 0;
    closed = clock_ms();
    while (unfinished(server, closed)) {
        if (clock_ms() > end) {
            log_message(server->context.log, LOG_WARNING, "%d requests were still running after %g s",
                        in_flight(server), config->drain_timeout);
            return SERVER_CUT;
        }
        if (turn(server, false))
            return SERVER_CUT;
    }
    return SERVER_DRAINED;
}

static void announce(struct server *server, FILE *out)
{
    for (int i = 0; i < server->listener_count; i++) {
        const struct listener *listener = &server->listeners[i];
        if (out != NULL)
            (void)fprintf(out, "listening on %s%s\n", scheme(listener), listener->address);
        log_message(server->context.log, LOG_INFO, "listening on %s%s", scheme(listener), listener->address);
    }
    if (out != NULL && fflush(out) != 0) { /* a line that nobody takes is no failure of the service */
        __fpurge(out);
        clearerr(out);
    }
    notify_send(&server->notify, "READY=1\nSTATUS=taking requests");
}

enum server_end server_run(struct server *server, FILE *out)
{
    enum server_end end;

    server->busy_ms = server->trimmed_ms = clock_ms();
    announce(server, out);
    while (!turn(server, true))
        ;
    end = drain(server);
    log_message(server->context.log, LOG_INFO, end == SERVER_DRAINED ? "drained" : "cut");
    return end;
}
