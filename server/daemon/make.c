/* The server's making: signals, heap, sockets, keys, queues, threads; and its end. */
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "app/ask/ask.h"
#include "app/host/keys.h"
#include "app/host/proxies.h"
#include "app/settings/files.h"
#include "app/state/estimates.h"
#include "server/call/cache.h"
#include "server/clients/held.h"
#include "server/clients/rates.h"
#include "server/daemon/one.h"
#include "server/http/connections.h"
#include "server/http/http.h"
#include "server/jobs/jobs.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"
#include "server/queue/queue.h"

#define MAX_PEM (1024 * 1024)
#define LANE_THREADS 4
#define SLICE_NS 100000 /* the shortest that there is */
#define SPARE_FDS 128        /* for models, logs and the library */
#define LOADING_BLOCK (256 << 10) /* until the models are loaded larger blocks come from the system and go back to it */
#define MOST_HEAP_BLOCK \
    (2 << 20) /* a photo as the network sees it is below: its pages stay from request to request, ... */
#define MOST_HEAP_TOP (8 << 20)   /* ... as do those at the heap's end; each that comes anew costs a fault */

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

enum infomask_status server_make_tls(struct server *server, struct http **tls, struct infomask_error *err)
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

/* A key whose certificate was forgotten would be served without TLS. */
static enum infomask_status check_tls(const struct config *config, struct infomask_error *err)
{
    bool certificate = *config->tls_certificate != '\0', key = *config->tls_key != '\0';

    if (certificate == key)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_ARGUMENT, "%s is not set; set tls_certificate and tls_key, or neither",
                     key ? "tls_certificate" : "tls_key");
}

static enum infomask_status open_sockets(struct server *server, struct infomask_error *err)
{
    const struct config *config = server->context.config;
    enum infomask_status status = check_tls(config, err);

    if (status == INFOMASK_OK)
        status = sockets_open(config->listen, config->port, server->listeners, &server->listener_count, err);
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

/* As the system call has it (sched_setattr(2)); the C library does not know it before glibc 2.41. */
struct slice {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
};

/* This thread and those that it makes, which speak to clients and work for microseconds at a time, come before those
 * that compute when they wake: Linux 6.12 and later let the shorter slice interrupt the longer one.  Their share of
 * the processor stays what it is.  Older ones pass over it. */
static void wake_before_others(void)
{
    struct slice slice = {0};

    if (syscall(SYS_sched_getattr, 0, &slice, sizeof slice, 0) != 0 || slice.policy != SCHED_OTHER)
        return;
    slice.runtime_ns = SLICE_NS;
    (void)syscall(SYS_sched_setattr, 0, &slice, 0);
}

enum infomask_status server_start(struct server *server, const struct server_parts *parts, struct infomask_error *err)
{
    struct server_context *context = &server->context;
    struct connection_limits limits = limits_of(server);
    enum infomask_status status;

    wake_before_others();
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
        status = server_make_tls(server, &server->tls, err);
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
