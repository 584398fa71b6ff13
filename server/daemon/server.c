#include "server/daemon/server.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/ask/ask.h"
#include "app/host/keys.h"
#include "app/host/proxies.h"
#include "app/host/sockets.h"
#include "app/settings/files.h"
#include "app/state/estimates.h"
#include "app/view/problem.h"
#include "app/view/views.h"
#include "core/base/clock.h"
#include "server/call/cache.h"
#include "server/clients/held.h"
#include "server/clients/rates.h"
#include "server/daemon/notify.h"
#include "server/http/connections.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"
#include "server/queue/queue.h"

#define MAX_PEM (1024 * 1024)
#define TICK_MS 100
#define LANE_THREADS 4
#define LINGER_TICK_MS 5
#define ACCEPTS 64           /* at a time, so that the clock is looked at */
#define SPARE_FDS 128        /* for models, logs and the library */
#define LOADING_BLOCK (256 << 10) /* until the models are loaded larger blocks come from the system and go back to it */
#define MOST_HEAP_BLOCK \
    (2 << 20) /* a photo as the network sees it is below: its pages stay from request to request, ... */
#define MOST_HEAP_TOP (8 << 20)   /* ... as do those at the heap's end; each that comes anew costs a fault */
#define TRIM_MS 10000        /* idle time after which memory goes back to the system */
#define TRIM_BUSY_MS 60000   /* and time between two returns of what is free, when it is never idle */
#define FRESH_MS 1500        /* a drain waits this long for the first request of a connection that it accepted */

struct server {
    struct server_context context;
    struct connections *connections;
    struct http *http, *tls, *retired; /* plain; TLS or NULL; TLS with an older certificate, until it is idle */
    struct listener listeners[SOCKETS_MAX];
    int listener_count;
    int signals, spare; /* descriptors: of signals; kept to refuse with when there are no others */
    bool lingering;     /* refused clients are still sending */
    bool paused;        /* accepting, for a tick: out of descriptors */
    double busy_ms;     /* when there was last something to do */
    double trimmed_ms;  /* when memory was last given back */
    struct notify notify;
    struct pool_task reload;
    struct pool *lane_pool; /* of what waits for the state's server; NULL: there is none */
    _Atomic bool reloading;
};

static const int awaited[] = {SIGTERM, SIGINT, SIGHUP};

/* A library (OpenBLAS) makes threads before main begins, which take these signals unblocked: they pass them on to the
 * main thread, where signalfd reads them. */
static void pass_on(int number)
{
    (void)syscall(SYS_tgkill, getpid(), getpid(), number);
}

static void awaited_set(sigset_t *set)
{
    (void)sigemptyset(set);
    for (size_t i = 0; i < sizeof awaited / sizeof awaited[0]; i++)
        (void)sigaddset(set, awaited[i]);
}

void server_block_signals(void)
{
    const struct sigaction action = {.sa_handler = pass_on, .sa_flags = SA_RESTART};
    sigset_t set;

    awaited_set(&set);
    for (size_t i = 0; i < sizeof awaited / sizeof awaited[0]; i++)
        (void)sigaction(awaited[i], &action, NULL);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)mallopt(M_ARENA_MAX, 2);
    (void)mallopt(M_MMAP_THRESHOLD, LOADING_BLOCK);
}

/* Reading the models takes and gives back large blocks, which must not leave a heap full of holes: pages of holes are
 * touched again one by one, and the service seems to grow for hours.  So the heap only takes them from now on. */
static void settle_heap(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, MOST_HEAP_BLOCK);
    (void)mallopt(M_TRIM_THRESHOLD, MOST_HEAP_TOP);
    (void)malloc_trim(0);
}

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

/* ---- Making ------------------------------------------------------------------------------------------------------ */

/* As many descriptors as the system lets us have; fewer connections if that is too few. */
static int fit_connections(const struct config *config, struct log *log)
{
    struct rlimit limit;
    int wanted = config->max_connections;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return wanted;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= (rlim_t)wanted + SPARE_FDS)
        return wanted;
    log_message(log, LOG_WARNING, "only %llu descriptors are allowed: at most %lld connections instead of %d",
                (unsigned long long)limit.rlim_cur, (long long)limit.rlim_cur - SPARE_FDS, wanted);
    return limit.rlim_cur > SPARE_FDS ? (int)(limit.rlim_cur - SPARE_FDS) : 1;
}

static int open_signals(void)
{
    sigset_t set;

    awaited_set(&set);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* A new library instance with the certificate as it is now on disk. */
static enum infomask_status create_tls(struct server *server, struct http **tls, struct infomask_error *err)
{
    const struct config *config = server->context.config;
    char *certificate = NULL, *key = NULL;
    size_t size;
    enum infomask_status status = file_read(config->tls_certificate, MAX_PEM, &certificate, &size, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "tls_certificate");
    else if ((status = file_read(config->tls_key, MAX_PEM, &key, &size, err)) != INFOMASK_OK)
        error_prefix(err, "tls_key");
    if (status == INFOMASK_OK)
        status = http_create(&server->context, server->connections, certificate, key, tls, err);
    if (key != NULL)
        explicit_bzero(key, size);
    free(certificate);
    free(key);
    return status;
}

static enum infomask_status create_access(struct server_context *context, struct infomask_error *err)
{
    const struct config *config = context->config;
    enum infomask_status status = keys_create(&context->keys, err);

    if (status == INFOMASK_OK && *config->keys != '\0')
        status = keys_read(context->keys, config->keys, err);
    if (status == INFOMASK_OK)
        status = proxies_read(&context->proxies, config->proxies, err);
    if (status == INFOMASK_OK && config->rate > 0)
        status = rates_create(&context->rates, config->rate, config->rate_burst, err);
    if (status == INFOMASK_OK && config->rate_cost > 0)
        status = rates_create(&context->costs, config->rate_cost, config->rate_burst, err);
    if (status == INFOMASK_OK && config->refusal_rate > 0)
        status = held_create(&context->held, config->refusal_rate, err);
    return status;
}

static enum infomask_status open_sockets(struct server *server, struct infomask_error *err)
{
    const struct config *config = server->context.config;
    enum infomask_status status =
        sockets_open(config->listen, config->port, server->listeners, &server->listener_count, err);

    for (int i = 0; i < server->listener_count; i++) {
        struct listener *listener = &server->listeners[i];
        listener->tls = !listener->local && *config->tls_certificate != '\0';
        if (!listener->loopback && *config->keys == '\0')
            log_message(server->context.log, LOG_WARNING,
                        "%s can be reached from outside, and no API keys are configured", listener->address);
    }
    return status;
}

static struct connection_limits limits_of(const struct server *server)
{
    const struct config *config = server->context.config;

    return (struct connection_limits){
        .total = fit_connections(config, server->context.log),
        .per_address = config->max_connections_per_address,
        .proxies = server->context.proxies,
        .head_ms = 1000 * config->header_timeout,
        .body_ms = 1000 * config->body_timeout,
        .body_rate = (double)config->body_rate,
        .reply_ms = 1000 * config->body_timeout,
    };
}

static void set_limits(struct server_context *context)
{
    const struct config *config = context->config;

    context->limits = ask_limits(config);
    context->body_memory = 16 * config->max_body;
}

enum infomask_status server_create(const struct config *config, struct log *log, struct server **out,
                                   struct infomask_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    enum infomask_status status = INFOMASK_OK;

    if (server == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the server");
    server->context.config = config;
    server->context.log = log;
    set_limits(&server->context);
    notify_open(&server->notify);
    server->signals = open_signals();
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (server->signals < 0)
        status = error_set(err, INFOMASK_INTERNAL, "signals cannot be waited for");
    if (status == INFOMASK_OK)
        status = metrics_create(&server->context.metrics, err);
    if (status == INFOMASK_OK)
        status = create_access(&server->context, err);
    if (status == INFOMASK_OK)
        status = open_sockets(server, err);
    if (status != INFOMASK_OK) {
        server_free(server);
        return status;
    }
    *out = server;
    return INFOMASK_OK;
}

/* What waits for the state's server must not hold a thread that computes, nor one that speaks to clients. */
static enum infomask_status create_lane(struct server *server, struct infomask_error *err)
{
    enum infomask_status status = pool_create(&server->lane_pool, LANE_THREADS, NULL, NULL, err);

    return status == INFOMASK_OK
               ? queue_create(&server->context.lane, server->lane_pool, server->context.config->queue, err)
               : status;
}

enum infomask_status server_start(struct server *server, const struct server_parts *parts, struct infomask_error *err)
{
    struct server_context *context = &server->context;
    struct connection_limits limits = limits_of(server);
    enum infomask_status status;

    context->pool = parts->pool;
    context->models = parts->models;
    context->estimates = parts->estimates;
    context->traffic = parts->traffic;
    status = queue_create(&context->queue, context->pool, context->config->queue, err);
    if (status == INFOMASK_OK && context->estimates != NULL && estimates_shared(context->estimates))
        status = create_lane(server, err);
    if (status == INFOMASK_OK)
        status = jobs_create(&context->jobs, context, server->lane_pool, err);
    if (status == INFOMASK_OK && context->config->cache > 0)
        status = cache_create(&context->cache, context->config->cache, err);
    if (status == INFOMASK_OK)
        status = connections_create(&server->connections, &limits, context->metrics, err);
    if (status == INFOMASK_OK)
        status = http_create(context, server->connections, NULL, NULL, &server->http, err);
    if (status == INFOMASK_OK && *context->config->tls_certificate != '\0')
        status = create_tls(server, &server->tls, err);
    settle_heap();
    return status;
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    sockets_close(server->listeners, server->listener_count);
    http_free(server->http);
    http_free(server->tls);
    http_free(server->retired);
    connections_free(server->connections);
    pool_free(server->lane_pool); /* the last results are stored */
    jobs_free(server->context.jobs);
    queue_free(server->context.lane);
    queue_free(server->context.queue);
    metrics_free(server->context.metrics);
    keys_free(server->context.keys);
    proxies_free(server->context.proxies);
    rates_free(server->context.rates);
    rates_free(server->context.costs);
    held_free(server->context.held);
    cache_free(server->context.cache);
    kept_fini(&server->context.interface);
    notify_close(&server->notify);
    if (server->signals >= 0)
        (void)close(server->signals);
    if (server->spare >= 0)
        (void)close(server->spare);
    free(server);
}

const char *server_local_name(const struct server *server, int i)
{
    for (int k = 0; k < server->listener_count; k++)
        if (server->listeners[k].local && i-- == 0)
            return server->listeners[k].address + strlen("unix:");
    return NULL;
}

/* ---- Accepting --------------------------------------------------------------------------------------------------- */

static void refuse(struct server *server, int fd, enum admission admission)
{
    char answer[VIEW_PROBLEM_ANSWER];
    size_t size = view_problem_answer(VIEW_OVERLOADED, "Service Unavailable", "too many connections; try again in 1 s",
                                      1, answer);

    metrics_cut(server->context.metrics,
                admission == ADMIT_NOT_TOTAL ? METRICS_CUT_CONNECTIONS : METRICS_CUT_ADDRESS);
    connections_refuse(server->connections, fd, answer, size);
}

/* Out of descriptors: the spare one makes room to take one client and turn it away, then nothing is accepted for a
 * tick, because the socket stays ready and the loop would spin. */
static void shed(struct server *server, int listener)
{
    if (server->spare >= 0)
        (void)close(server->spare);
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        (void)close(fd);
    server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
    server->paused = true;
    metrics_cut(server->context.metrics, METRICS_CUT_CONNECTIONS);
    log_event(server->context.log, LOG_WARNING, true, "message",
              &LOG_FIELD_TEXT("message", "out of file descriptors: a connection was turned away"), 1);
}

/* True while there may be more. */
static bool accept_one(struct server *server, const struct listener *listener)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof address;
    int fd = accept4(listener->fd, (void *)&address, &size, SOCK_CLOEXEC | SOCK_NONBLOCK);
    enum admission admission;

    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            shed(server, listener->fd);
        return errno == EINTR || errno == ECONNABORTED;
    }
    admission = connections_admit(server->connections, fd, (void *)&address, listener->tls,
                                  listener->loopback && !listener->local);
    if (admission == ADMIT)
        http_add(listener->tls ? server->tls : server->http, fd, (void *)&address, size);
    else if (listener->tls)
        connections_refuse(server->connections, fd, NULL, 0); /* plain text would mean nothing to it */
    else
        refuse(server, fd, admission);
    return true;
}

static void accept_some(struct server *server, const struct listener *listener)
{
    for (int i = 0; i < ACCEPTS && accept_one(server, listener); i++)
        ;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

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

/* New connections get a library instance with the new certificate; the old one ends when its requests have. */
static void reload_tls(struct server *server)
{
    struct http *tls;
    struct infomask_error err;

    if (server->tls == NULL)
        return;
    if (server->retired != NULL) {
        log_message(server->context.log, LOG_WARNING,
                    "the certificate was not read again: the last change is still under way");
        return;
    }
    if (create_tls(server, &tls, &err) != INFOMASK_OK) {
        log_message(server->context.log, LOG_ERROR, "the certificate was not read again: %s", err.text);
        return;
    }
    server->retired = server->tls;
    server->tls = tls;
    log_message(server->context.log, LOG_INFO, "certificate read again");
}

static void end_retired(struct server *server)
{
    if (server->retired == NULL || http_in_flight(server->retired) > 0)
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

static void reload(struct server *server)
{
    if (atomic_exchange(&server->reloading, true))
        return;
    reload_tls(server);
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
            reload(server);
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
    trim_memory(server);
    watch_workers(server);
    return (wait[0].revents & POLLIN) && take_signals(server);
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
        while (accept_one(server, &server->listeners[i]))
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
    if (out != NULL)
        (void)fflush(out);
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
