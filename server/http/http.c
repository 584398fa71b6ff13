#include "server/http/http.h"

#include <math.h>
#include <microhttpd.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/host/proxies.h"
#include "app/host/sockets.h"
#include "core/base/clock.h"
#include "server/call/access.h"
#include "server/call/call.h"
#include "server/call/pin.h"
#include "server/clients/held.h"
#include "server/http/reads.h"
#include "server/jobs/jobs.h"
#include "server/observe/account.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"
#include "server/queue/queue.h"

#define HTTP_THREADS 2
#define CONNECTION_MEMORY (32 * 1024) /* bounds a request's head */
#define CLIENT_LEFT 499               /* no status of HTTP: for the log and the metrics */
#define TLS_VERSIONS ":-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define SWALLOW (1024 * 1024)         /* a refused body of at most this is read, so that the connection can live on */

struct http {
    struct server_context *context;
    struct connections *connections;
    struct MHD_Daemon *daemon;
    bool tls;
    _Atomic int in_flight, connections_held;
    _Atomic bool starved, retired;
};

/* What a connection owns while it lives: the library forgets to tell of a request's end where it ran out of its own
 * memory in the middle, but never of a connection's. */
struct link {
    struct reads reads;
    struct exchange *exchange; /* NULL: between two requests */
};

/* One call on its connection. */
struct exchange {
    struct queue_task job; /* first: the queue hands it back */
    struct held_item held; /* a refusal that waits */
    struct http *http;
    struct link *link;
    struct MHD_Connection *connection;
    struct call *call; /* NULL: there was no memory for it */
    int fd;
    bool headed, suspended, queued; /* head seen; job submitted; answer given to the library */
    _Atomic bool handed_back;       /* the job has filled the reply: whoever reads true sees all of it */
    size_t reply_size;
};

/* ---- Replies ----------------------------------------------------------------------------------------------------- */

/* Whether a cache on the way has to be told that the answer is its asker's, or of this moment: some keep for minutes
 * what says nothing, and know a key by Authorization only. */
static bool says_nothing_of_caches(const struct call *call)
{
    if (!(call->request.method & (METHOD_GET | METHOD_HEAD)))
        return false; /* nobody keeps the answer to a POST that does not say so */
    for (int i = 0; i < call->reply.header_count; i++)
        if (strcmp(call->reply.headers[i].name, "Cache-Control") == 0)
            return false;
    return true;
}

static void add_headers(struct MHD_Response *response, const struct exchange *exchange)
{
    const struct call *call = exchange->call;
    const struct reply *reply = &call->reply;

    (void)MHD_add_response_header(response, "X-Request-Id", call->request.id);
    if (reply->content_type != NULL)
        (void)MHD_add_response_header(response, "Content-Type", reply->content_type);
    if (call->request.traceparent != NULL)
        (void)MHD_add_response_header(response, "Traceparent", call->request.traceparent);
    for (int i = 0; i < reply->header_count; i++)
        (void)MHD_add_response_header(response, reply->headers[i].name, reply->headers[i].value);
    if (says_nothing_of_caches(call))
        (void)MHD_add_response_header(response, "Cache-Control", "no-store");
    (void)MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    if (reply->close || atomic_load(&exchange->http->retired) || atomic_load(&exchange->http->context->draining))
        (void)MHD_add_response_header(response, "Connection", "close");
}

static void release_kept(void *kept) { kept_release(kept); }

/* Takes *kept, if it makes a response. */
static struct MHD_Response *kept_response(size_t size, struct kept **kept)
{
#if MHD_VERSION >= 0x00097302
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback_cls(size, (*kept)->data, release_kept, *kept);
#else /* before, a callback was not told whose bytes it releases */
    struct MHD_Response *response = MHD_create_response_from_buffer(size, (*kept)->data, MHD_RESPMEM_MUST_COPY);
    if (response != NULL)
        release_kept(*kept);
#endif
    if (response != NULL)
        *kept = NULL;
    return response;
}

static struct MHD_Response *make_response(struct reply *reply)
{
    struct MHD_Response *response;

    if (reply->kept != NULL)
        return kept_response(reply->size, &reply->kept);
    if (reply->owned == NULL) /* a literal: it outlives the response */
        return MHD_create_response_from_buffer(reply->size, (void *)(uintptr_t)reply->data, MHD_RESPMEM_PERSISTENT);
    response = MHD_create_response_from_buffer(reply->size, reply->owned, MHD_RESPMEM_MUST_FREE);
    if (response != NULL)
        reply->owned = NULL;
    return response;
}

/* Hands the call's reply to the library.  early: before the body was read. */
static enum MHD_Result send_reply(struct exchange *exchange, bool early)
{
    struct call *call = exchange->call;
    struct MHD_Response *response;
    enum MHD_Result result;

    exchange->reply_size = call->reply.size;
    response = make_response(&call->reply);
    if (response == NULL)
        return MHD_NO;
    add_headers(response, exchange);
    connections_phase(exchange->http->connections, exchange->fd, CONNECTION_REPLY);
    if (early)
        connections_linger(exchange->http->connections, exchange->fd);
    result = MHD_queue_response(exchange->connection, (unsigned)call->reply.status, response);
    MHD_destroy_response(response);
    exchange->queued = result == MHD_YES;
    return result;
}

/* ---- Jobs -------------------------------------------------------------------------------------------------------- */

static void finish_job(struct exchange *exchange)
{
    struct MHD_Connection *connection = exchange->connection; /* once it is handed back, it is not ours to read */

    call_unpin(exchange->call);
    connections_phase(exchange->http->connections, exchange->fd, CONNECTION_DONE);
    atomic_store(&exchange->handed_back, true);
    MHD_resume_connection(connection);
}

static void release_refusal(struct held_item *item)
{
    finish_job((struct exchange *)(void *)((char *)item - offsetof(struct exchange, held)));
}

static bool comes_late(const struct exchange *exchange)
{
    return held_wants(exchange->http->context->held, access_client(exchange->call), clock_ms());
}

static void hold(struct exchange *exchange)
{
    exchange->held.release = release_refusal;
    held_take(exchange->http->context->held, &exchange->held, clock_ms());
}

/* Ends a job that did not run: at once, or later where there was no place and its client gets too many refusals. */
static void finish_refused(struct exchange *exchange)
{
    if (exchange->call->turned_away && comes_late(exchange))
        hold(exchange);
    else
        finish_job(exchange);
}

static void resume_job(void *context)
{
    struct exchange *exchange = context;

    if (!call_queue_again(exchange->call, &exchange->job))
        finish_refused(exchange);
}

static void run_job(struct queue_task *job)
{
    struct exchange *exchange = (struct exchange *)job;
    struct call *call = exchange->call;

    call->request.queue_ms = call->reply.queue_ms = job->queue_ms;
    if (call->request.async)
        (void)jobs_submit(exchange->http->context->jobs, call);
    else if (call_waits(call, resume_job, exchange))
        return;
    else
        (void)call_handle(call);
    finish_job(exchange);
}

static void drop_job(struct queue_task *job, enum queue_drop why)
{
    struct exchange *exchange = (struct exchange *)job;
    struct call *call = exchange->call;

    call->reply.queue_ms = job->queue_ms;
    if (why == QUEUE_GONE) {
        call->reply.close = true; /* nobody reads it */
        (void)reply_empty(&call->reply, CLIENT_LEFT);
    } else if (why == QUEUE_CROWDED) {
        (void)call_overloaded(call);
    } else {
        (void)reply_problem(&call->reply, &call->request, VIEW_DEADLINE_EXCEEDED,
                            "the request's deadline passed while it waited in the queue");
    }
    finish_refused(exchange);
}

/* The client closed the connection, or its end of a local one.  An end of file alone says no more than that its request
 * was whole: it may well wait for the answer. */
static bool client_gone(struct queue_task *job)
{
    struct pollfd socket = {.fd = ((struct exchange *)job)->fd};
    return poll(&socket, 1, 0) > 0 && (socket.revents & (POLLERR | POLLHUP)) != 0;
}

/* Suspended before anybody else has the exchange: it may be done before its function is. */
static void suspend(struct exchange *exchange)
{
    connections_phase(exchange->http->connections, exchange->fd, CONNECTION_WORK);
    atomic_store(&exchange->link->reads.held, true);
    exchange->suspended = true;
    MHD_suspend_connection(exchange->connection);
}

static enum MHD_Result submit(struct exchange *exchange, struct queue *queue)
{
    struct call *call = exchange->call;

    exchange->job = (struct queue_task){.run = run_job, .drop = drop_job, .gone = client_gone,
                                        .turn = {.client = access_client(call), .cost = call->cost},
                                        .gives_way = call_gives_way(call), .deadline_ms = call->request.deadline_ms};
    suspend(exchange);
    if (!queue_submit(queue, &exchange->job)) {
        (void)call_overloaded(call);
        finish_refused(exchange);
    }
    return MHD_YES;
}

/* Sends what was refused before it came to the queue. */
static enum MHD_Result refuse(struct exchange *exchange)
{
    if (!exchange->call->turned_away || !comes_late(exchange))
        return send_reply(exchange, false);
    suspend(exchange);
    hold(exchange);
    return MHD_YES;
}

/* ---- The library's callbacks ------------------------------------------------------------------------------------- */

static int connection_fd(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static struct link *connection_link(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

/* Queries are taken apart by ourselves (call.c): the library would do so too, in the memory that a connection has, and
 * close where that ends. */
static void hide_query(const char *target)
{
    char *query = strchr((char *)(uintptr_t)target, '?'); /* its own buffer, which it is about to write to */

    if (query != NULL)
        query[1] = '\0';
}

static void name_peer(struct call *call, struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *peer = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);

    if (call == NULL || peer == NULL)
        return;
    socket_peer_text(peer->client_addr, call->peer, sizeof call->peer);
    call->peer_hash = connections_address(peer->client_addr);
    call->proxied = proxies_has(call->server->proxies, peer->client_addr);
}

/* Behind a proxy that is believed, who asks is whom it names. */
static void name_client(struct call *call, const struct head *head)
{
    const char *fields[BORDER_MAX_HEADERS];
    struct sockaddr_storage client;
    int count = call->proxied ? head_all(head, "X-Forwarded-For", fields) : 0;

    if (!proxies_client(call->server->proxies, fields, count, &client))
        return;
    socket_peer_text((void *)&client, call->peer, sizeof call->peer);
    call->peer_hash = connections_address((void *)&client);
}

static void end_exchange(struct exchange *exchange, bool sent);

/* The request line is there: its raw target is seen here only. */
static void *on_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http *http = context;
    struct link *link = connection_link(connection);
    struct exchange *exchange = link == NULL ? NULL : calloc(1, sizeof *exchange);

    if (exchange == NULL)
        return NULL;
    if (link->exchange != NULL)
        end_exchange(link->exchange, false);
    link->exchange = exchange;
    exchange->http = http;
    exchange->link = link;
    exchange->connection = connection;
    exchange->fd = connection_fd(connection);
    exchange->call = call_create(http->context, target);
    hide_query(target);
    name_peer(exchange->call, connection);
    if (exchange->call != NULL)
        exchange->call->loopback = connections_loopback(http->connections, exchange->fd);
    atomic_fetch_add(&http->in_flight, 1);
    metrics_in_flight(http->context->metrics, 1);
    connections_phase(http->connections, exchange->fd, CONNECTION_HEAD);
    return exchange;
}

static enum MHD_Result collect_header(void *context, enum MHD_ValueKind kind, const char *name, size_t name_size,
                                      const char *value, size_t value_size)
{
    struct head *head = context;

    (void)kind;
    if (head->count == BORDER_MAX_HEADERS) {
        head->overflow = true;
        return MHD_NO;
    }
    head->headers[head->count++] = (struct header){name, value == NULL ? "" : value, name_size, value_size};
    return MHD_YES;
}

/* A refused body that is short is read and thrown away; else the answer goes out now and the connection ends. */
static bool worth_swallowing(const struct call *call)
{
    return !call->reply.close && !call->framing.expects && !call->framing.chunked && call->framing.length <= SWALLOW;
}

static enum MHD_Result on_head(struct exchange *exchange, const char *method, const char *version)
{
    struct call *call = exchange->call;
    struct head head = {.method = method, .target = call->target, .version = version,
                        .fault = exchange->link->reads.wire.fault};

    exchange->headed = true;
    (void)MHD_get_connection_values_n(exchange->connection, MHD_HEADER_KIND, collect_header, &head);
    name_client(call, &head);
    if (call_head(call, &head) != 0 && !worth_swallowing(call))
        return send_reply(exchange, true);
    atomic_store(&exchange->link->reads.refused, call->reply.status != 0);
    connections_phase(exchange->http->connections, exchange->fd, CONNECTION_BODY);
    return MHD_YES;
}

static enum MHD_Result on_body(struct exchange *exchange, const char *data, size_t *size)
{
    struct call *call = exchange->call;

    connections_received(exchange->http->connections, exchange->fd, *size);
    if (call_body(call, data, *size) != 0 && call->received > call->body_limit + SWALLOW) {
        /* The library cannot answer in the middle of a body: a chunked one that never ends is cut. */
        metrics_cut(exchange->http->context->metrics, METRICS_CUT_PROTOCOL);
        return MHD_NO;
    }
    *size = 0;
    return MHD_YES;
}

static enum MHD_Result on_complete(struct exchange *exchange)
{
    struct server_context *context = exchange->http->context;
    struct call *call = exchange->call;
    unsigned flags = call->reply.status == 0 ? call->match.route->flags : 0;

    if (call->reply.status != 0 || call_complete(call) != 0)
        return refuse(exchange);
    if (context->lane != NULL && (call->request.async || (flags & ROUTE_SHARED)))
        return submit(exchange, context->lane);
    if (call->request.async)
        (void)jobs_submit(context->jobs, call);
    else if (flags & ROUTE_JOB)
        return submit(exchange, context->queue);
    else
        (void)call_handle(call);
    return send_reply(exchange, false);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *data, size_t *size,
                                  void **request)
{
    struct exchange *exchange = *request;

    (void)context;
    (void)connection;
    (void)url;
    if (exchange == NULL || exchange->call == NULL)
        return MHD_NO; /* no memory: the connection is closed */
    if (exchange->queued)
        return MHD_YES;
    if (!exchange->headed)
        return on_head(exchange, method, version);
    if (*size > 0)
        return on_body(exchange, data, size);
    if (!exchange->suspended)
        return on_complete(exchange);
    return atomic_load(&exchange->handed_back) ? send_reply(exchange, false) : MHD_YES;
}

static void end_exchange(struct exchange *exchange, bool sent)
{
    struct http *http = exchange->http;

    exchange->link->exchange = NULL;
    atomic_store(&exchange->link->reads.held, false);
    atomic_store(&exchange->link->reads.refused, false);
    (void)atomic_load(&exchange->handed_back); /* all that the worker wrote was written before it */
    if (exchange->call != NULL && exchange->headed) /* status 0: cut before there was an answer */
        account_request(exchange->call, exchange->reply_size, sent);
    connections_phase(http->connections, exchange->fd, CONNECTION_IDLE);
    if (!wire_between(&exchange->link->reads.wire)) /* some of the next request came along */
        connections_phase(http->connections, exchange->fd, CONNECTION_HEAD);
    call_free(exchange->call);
    free(exchange);
    metrics_in_flight(http->context->metrics, -1);
    atomic_fetch_sub(&http->in_flight, 1);
}

static void on_end(void *context, struct MHD_Connection *connection, void **request,
                   enum MHD_RequestTerminationCode code)
{
    struct exchange *exchange = *request;

    (void)context;
    (void)connection;
    if (exchange == NULL)
        return;
    *request = NULL;
    end_exchange(exchange, exchange->queued && code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
}

static void on_first_byte(void *connections, int fd) { connections_phase(connections, fd, CONNECTION_HEAD); }

static struct link *link_create(struct http *http, int fd)
{
    struct link *link = calloc(1, sizeof *link);

    if (link == NULL)
        return NULL;
    link->reads.tls = http->tls;
    link->reads.begun = on_first_byte;
    link->reads.context = http->connections;
    if (reads_watch(fd, &link->reads))
        return link;
    free(link);
    return NULL;
}

static void on_connection(void *context, struct MHD_Connection *connection, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http *http = context;
    struct link *link = *socket_context;

    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        *socket_context = link_create(http, connection_fd(connection)); /* NULL: its requests are refused */
        return;
    }
    reads_forget(connection_fd(connection));
    if (link != NULL && link->exchange != NULL)
        end_exchange(link->exchange, false);
    free(link);
    *socket_context = NULL;
    connections_closed(http->connections, connection_fd(connection));
    atomic_fetch_sub(&http->connections_held, 1);
}

static void on_message(void *context, const char *format, va_list args) __attribute__((format(printf, 2, 0)));
static void on_message(void *context, const char *format, va_list args)
{
    static const char starved[] = "Error allocating memory";
    struct http *http = context;
    char text[256];

    if (strncmp(format, starved, sizeof starved - 1) == 0) { /* the library would try to wait again at once, and spin */
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
        atomic_store(&http->starved, true);
    }
    (void)vsnprintf(text, sizeof text, format, args);
    text[strcspn(text, "\n")] = '\0';
    log_event(http->context->log, LOG_DEBUG, true, "http", &LOG_FIELD_TEXT("message", text), 1);
}

/* Targets are decoded by ourselves, strictly (call.c): the library must leave them alone. */
static size_t leave_encoded(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context;
    (void)connection;
    return strlen(text);
}

/* ---- Life -------------------------------------------------------------------------------------------------------- */

enum infomask_status http_create(struct server_context *context, struct connections *connections,
                                 const char *certificate, const char *key, struct http **out,
                                 struct infomask_error *err)
{
    unsigned flags = MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                     MHD_USE_ITC | MHD_USE_ERROR_LOG;
    /* Above our own limit, so that ours decides; each thread could hold them all. */
    unsigned limit = HTTP_THREADS * ((unsigned)context->config->max_connections + 64);
    struct http *http = calloc(1, sizeof *http);
    char priorities[1024 + sizeof TLS_VERSIONS];

    if (http == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the HTTP server");
    if (!reads_work()) {
        free(http);
        return error_set(err, INFOMASK_INTERNAL,
                         "the HTTP library reads past this program's checks: it must be linked dynamically");
    }
    (void)snprintf(priorities, sizeof priorities, "%s" TLS_VERSIONS, context->config->tls_ciphers);
    http->context = context;
    http->connections = connections;
    http->tls = certificate != NULL;
    const struct MHD_OptionItem options[] = {
#if MHD_VERSION >= 0x00097701 /* older ones know one level; newer ones would mend a malformed request line */
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
#endif
        {certificate != NULL ? MHD_OPTION_HTTPS_MEM_CERT : MHD_OPTION_END, 0, (void *)(uintptr_t)certificate},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)key},
        {certificate != NULL ? MHD_OPTION_HTTPS_PRIORITIES : MHD_OPTION_END, 0, priorities},
        {MHD_OPTION_END, 0, NULL},
    };
    if (certificate != NULL)
        flags |= MHD_USE_TLS;
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_request, http, MHD_OPTION_EXTERNAL_LOGGER, on_message, http,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_URI_LOG_CALLBACK, on_target, http,
        MHD_OPTION_UNESCAPE_CALLBACK, leave_encoded, NULL, MHD_OPTION_NOTIFY_COMPLETED, on_end, http,
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_THREAD_STACK_SIZE, (size_t)512 * 1024,
        MHD_OPTION_ARRAY, options, MHD_OPTION_END);
    if (http->daemon == NULL) {
        free(http);
        return error_set(err, INFOMASK_INTERNAL,
                         certificate != NULL
                             ? "the HTTP server cannot be started; are certificate and key a pair of PEM files, "
                               "and is tls_ciphers a priority string of GnuTLS?"
                             : "the HTTP server cannot be started");
    }
    *out = http;
    return INFOMASK_OK;
}

void http_free(struct http *http)
{
    if (http == NULL)
        return;
    MHD_stop_daemon(http->daemon);
    free(http);
}

void http_add(struct http *http, int fd, const struct sockaddr *address, socklen_t size)
{
    /* On failure the library closes the socket itself, without a notice; its row is then not left behind. */
    atomic_fetch_add(&http->connections_held, 1);
    if (MHD_add_connection(http->daemon, fd, address, size) == MHD_YES)
        return;
    connections_closed(http->connections, fd);
    atomic_fetch_sub(&http->connections_held, 1);
}

void http_retire(struct http *http) { atomic_store(&http->retired, true); }

int http_connections(const struct http *http) { return atomic_load(&http->connections_held); }

int http_in_flight(const struct http *http) { return atomic_load(&http->in_flight); }

bool http_starved(struct http *http) { return http != NULL && atomic_exchange(&http->starved, false); }
