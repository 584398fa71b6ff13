#include "server/observe/metrics.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/state/traffic.h"
#include "server/call/cache.h"
#include "server/call/routes.h"
#include "server/queue/jobs.h"
#include "server/queue/queue.h"

#define ROWS (ROUTE_COUNT + 1) /* the last: no route */
#define BUCKETS 16
#define MICRO 1e6

static const int statuses[] = {200, 201, 202, 204, 304, 400, 401, 403, 404, 405, 406, 408, 411,
                               413, 415, 422, 429, 500, 501, 503, 504, 507, 0}; /* 0: any other */
#define STATUSES (sizeof statuses / sizeof statuses[0])

static const double seconds_edges[BUCKETS] = {0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064,
                                              0.128,  0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384};
static const double nats_edges[BUCKETS] = {-8, -4, -2, -1, 0, 0.5, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12};

struct histogram {
    _Atomic uint64_t bucket[BUCKETS + 1];
    _Atomic int64_t sum; /* millionths */
};

static const char *const phase_name[] = {"queue", "decode", "preprocess", "network", "information",
                                         "map",   "mask",   "fill",       "encode"};
#define PHASES (sizeof phase_name / sizeof phase_name[0])

struct metrics {
    _Atomic uint64_t requests[ROWS][STATUSES], problems[VIEW_PROBLEM_COUNT], cuts[METRICS_CUT_COUNT];
    _Atomic uint64_t images, bytes_in, bytes_out, cache[2];
    _Atomic int connections, in_flight;
    struct histogram total[ROWS], phase[PHASES], pmi, residual;
    double started_ms;
    int statm; /* open from the start: a confined process may open no more */
    DIR *fds;
    pthread_mutex_t lock; /* guards fds */
};

enum infomask_status metrics_create(struct metrics **out, struct infomask_error *err)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);

    if (metrics == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the metrics");
    metrics->started_ms = view_clock_ms();
    metrics->statm = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    metrics->fds = opendir("/proc/self/fd");
    (void)pthread_mutex_init(&metrics->lock, NULL);
    *out = metrics;
    return INFOMASK_OK;
}

void metrics_free(struct metrics *metrics)
{
    if (metrics == NULL)
        return;
    if (metrics->statm >= 0)
        (void)close(metrics->statm);
    if (metrics->fds != NULL)
        (void)closedir(metrics->fds);
    (void)pthread_mutex_destroy(&metrics->lock);
    free(metrics);
}

/* ---- Counting ---------------------------------------------------------------------------------------------------- */

static void observe(struct histogram *histogram, const double edges[BUCKETS], double value)
{
    int i = 0;

    if (!isfinite(value))
        return;
    while (i < BUCKETS && value > edges[i])
        i++;
    atomic_fetch_add_explicit(&histogram->bucket[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, (int64_t)(value * MICRO), memory_order_relaxed);
}

static size_t status_index(int status)
{
    size_t i = 0;

    while (i < STATUSES - 1 && statuses[i] != status)
        i++;
    return i;
}

static void count_problem(struct metrics *metrics, const char *code)
{
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++)
        if (strcmp(code, view_problem_code((enum view_problem)i)) == 0)
            atomic_fetch_add_explicit(&metrics->problems[i], 1, memory_order_relaxed);
}

static void count_phases(struct metrics *metrics, const struct reply *reply)
{
    const struct infomask_timing *t = &reply->timing;
    const double ms[PHASES] = {reply->queue_ms, t->decode, t->preprocess, t->network, t->information,
                               t->map,          t->mask,   t->fill,       t->encode};

    for (size_t i = 0; i < PHASES; i++)
        if (ms[i] > 0)
            observe(&metrics->phase[i], seconds_edges, ms[i] / 1000);
}

static void count_work(struct metrics *metrics, const struct reply *reply)
{
    atomic_fetch_add_explicit(&metrics->images, (uint64_t)reply->images, memory_order_relaxed);
    observe(&metrics->pmi, nats_edges, reply->pmi);
    observe(&metrics->residual, nats_edges, reply->residual);
    count_phases(metrics, reply);
    if (reply->code != NULL)
        count_problem(metrics, reply->code);
}

void metrics_job(struct metrics *metrics, const struct reply *reply) { count_work(metrics, reply); }

void metrics_request(struct metrics *metrics, const struct request *request, const struct reply *reply,
                     uint64_t bytes_in, uint64_t bytes_out, double total_ms)
{
    size_t row = request->route == NULL ? ROUTE_COUNT : (size_t)request->route->id;

    atomic_fetch_add_explicit(&metrics->requests[row][status_index(reply->status)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->bytes_in, bytes_in, memory_order_relaxed);
    atomic_fetch_add_explicit(&metrics->bytes_out, bytes_out, memory_order_relaxed);
    observe(&metrics->total[row], seconds_edges, total_ms / 1000);
    count_work(metrics, reply);
}

void metrics_cut(struct metrics *metrics, enum metrics_cut cut)
{
    atomic_fetch_add_explicit(&metrics->cuts[cut], 1, memory_order_relaxed);
}

void metrics_connections(struct metrics *metrics, int change)
{
    atomic_fetch_add_explicit(&metrics->connections, change, memory_order_relaxed);
}

void metrics_in_flight(struct metrics *metrics, int change)
{
    atomic_fetch_add_explicit(&metrics->in_flight, change, memory_order_relaxed);
}

void metrics_cache(struct metrics *metrics, bool hit)
{
    atomic_fetch_add_explicit(&metrics->cache[hit], 1, memory_order_relaxed);
}

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static void head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP infomask_%s %s\n# TYPE infomask_%s %s\n", name, help, name, type);
}

static void single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    (void)fprintf(out, "infomask_%s %.17g\n", name, value);
}

/* labels: "" or "route=\"...\"". */
static void put_histogram(FILE *out, const char *name, const char *labels, const double edges[BUCKETS],
                          struct histogram *histogram)
{
    unsigned long long count = 0;
    const char *comma = *labels != '\0' ? "," : "";

    for (int i = 0; i <= BUCKETS; i++) {
        char edge[32] = "+Inf";
        count += atomic_load_explicit(&histogram->bucket[i], memory_order_relaxed);
        if (i < BUCKETS)
            (void)snprintf(edge, sizeof edge, "%g", edges[i]);
        (void)fprintf(out, "infomask_%s_bucket{%s%sle=\"%s\"} %llu\n", name, labels, comma, edge, count);
    }
    const char *open = *labels != '\0' ? "{" : "", *close = *labels != '\0' ? "}" : "";
    double sum = (double)atomic_load_explicit(&histogram->sum, memory_order_relaxed) / MICRO;
    (void)fprintf(out, "infomask_%s_sum%s%s%s %.9g\n", name, open, labels, close, sum);
    (void)fprintf(out, "infomask_%s_count%s%s%s %llu\n", name, open, labels, close, count);
}

#define LABELS 160

static void row_labels(size_t row, char labels[LABELS])
{
    const struct route *route = row == ROUTE_COUNT ? NULL : route_info((enum route_id)row);
    const char *method = route == NULL                      ? ""
                         : route->methods & METHOD_GET      ? "GET"
                         : route->methods & METHOD_DELETE   ? "DELETE"
                                                            : "POST";

    (void)snprintf(labels, LABELS, "route=\"%s\",method=\"%s\"", route == NULL ? "none" : route->pattern, method);
}

static void put_requests(FILE *out, struct metrics *metrics)
{
    char labels[LABELS];

    head(out, "requests_total", "counter", "Requests by route and status (PUT counts as POST, HEAD as GET).");
    for (size_t row = 0; row < ROWS; row++)
        for (size_t i = 0; i < STATUSES; i++) {
            unsigned long long count = atomic_load_explicit(&metrics->requests[row][i], memory_order_relaxed);
            char status[16] = "other";
            if (count == 0)
                continue;
            if (statuses[i] != 0)
                (void)snprintf(status, sizeof status, "%d", statuses[i]);
            row_labels(row, labels);
            (void)fprintf(out, "infomask_requests_total{%s,status=\"%s\"} %llu\n", labels, status, count);
        }
    head(out, "request_seconds", "histogram", "From a request's first byte to its answer's last.");
    for (size_t row = 0; row < ROWS; row++) {
        row_labels(row, labels);
        put_histogram(out, "request_seconds", labels, seconds_edges, &metrics->total[row]);
    }
}

static void put_rejections(FILE *out, struct metrics *metrics)
{
    static const char *const cut[] = {
#define METRICS_CUT_WORD(name, word) word,
        METRICS_CUTS(METRICS_CUT_WORD)
#undef METRICS_CUT_WORD
    };

    head(out, "problems_total", "counter", "Requests that were answered with a problem, by its code.");
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++)
        (void)fprintf(out, "infomask_problems_total{code=\"%s\"} %llu\n", view_problem_code((enum view_problem)i),
                      (unsigned long long)atomic_load_explicit(&metrics->problems[i], memory_order_relaxed));
    head(out, "connections_cut_total", "counter", "Connections refused or cut, by reason.");
    for (int i = 0; i < METRICS_CUT_COUNT; i++)
        (void)fprintf(out, "infomask_connections_cut_total{reason=\"%s\"} %llu\n", cut[i],
                      (unsigned long long)atomic_load_explicit(&metrics->cuts[i], memory_order_relaxed));
}

static void put_histograms(FILE *out, struct metrics *metrics)
{
    head(out, "phase_seconds", "histogram", "Time of a request's phases.");
    for (size_t i = 0; i < PHASES; i++) {
        char labels[LABELS];
        (void)snprintf(labels, sizeof labels, "phase=\"%s\"", phase_name[i]);
        put_histogram(out, "phase_seconds", labels, seconds_edges, &metrics->phase[i]);
    }
    head(out, "pmi_nats", "histogram", "PMI of the target class.");
    put_histogram(out, "pmi_nats", "", nats_edges, &metrics->pmi);
    head(out, "residual_pmi_nats", "histogram", "PMI of the target class after filtering.");
    put_histogram(out, "residual_pmi_nats", "", nats_edges, &metrics->residual);
}

static void put_queue(FILE *out, struct server_context *server)
{
    struct queue_state state;

    queue_state(server->queue, &state);
    single(out, "queue_waiting", "gauge", "Requests that wait for a compute thread.", state.waiting);
    single(out, "queue_capacity", "gauge", "Requests that may wait.", state.capacity);
    single(out, "jobs_running", "gauge", "Requests on a compute thread.", state.running);
    single(out, "job_mean_seconds", "gauge", "Moving average of a job's time.", state.mean_ms / 1000);
    single(out, "job_oldest_seconds", "gauge", "Age of the longest running job.", state.oldest_ms / 1000);
    single(out, "jobs_done_total", "counter", "Jobs that were run.", (double)state.done);
    single(out, "jobs_late_total", "counter", "Jobs dropped in the queue at their deadline.", (double)state.late);
    single(out, "jobs_gone_total", "counter", "Jobs dropped because the client left.", (double)state.gone);
    single(out, "jobs_refused_total", "counter", "Jobs refused by a full queue.", (double)state.refused);
}

static void put_traffic_of(FILE *out, const char *name, const struct model *model, double value)
{
    if (isfinite(value))
        (void)fprintf(out, "infomask_traffic_%s{model=\"%s\"} %.9g\n", name, model_name(model), value);
}

static void put_traffic(FILE *out, struct server_context *server)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {{"traffic_photos_total", "counter", "Photos classified under the model's own prior."},
                {"traffic_information_nats", "gauge", "Mean information of the last photos, of the model's belief."},
                {"traffic_z", "gauge", "That mean against the labelled baseline, in standard errors."}};
    struct infomask_error ignored;
    struct model **list;
    size_t count, first;

    if (server->traffic == NULL || models_list(server->models, &list, &count, &first, &ignored) != INFOMASK_OK)
        return;
    for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        head(out, rows[row].name, rows[row].type, rows[row].help);
        for (size_t i = 0; i < count; i++) {
            struct traffic_state s;
            if (traffic_read(server->traffic, list[i], false, &s, &ignored) != INFOMASK_OK)
                continue;
            put_traffic_of(out, rows[row].name + strlen("traffic_"), list[i],
                           row == 0 ? (double)s.total : row == 1 ? s.information : s.z);
            traffic_state_fini(&s);
        }
    }
    models_list_free(list, count);
}

static void put_jobs(FILE *out, struct server_context *server)
{
    struct jobs_count count;

    jobs_count(server->jobs, &count);
    head(out, "async_jobs", "gauge", "Jobs of Prefer: respond-async.");
    for (int i = 0; i < JOB_STATES; i++)
        (void)fprintf(out, "infomask_async_jobs{state=\"%s\"} %zu\n", job_state_name((enum job_state)i), count.jobs[i]);
    single(out, "async_bytes", "gauge", "Their uploads and results.", (double)count.bytes);
}

static void put_cache(FILE *out, struct metrics *metrics, struct server_context *server)
{
    struct cache_state state = {0};

    if (server->cache != NULL)
        cache_state(server->cache, &state);
    single(out, "cache_hits_total", "counter", "Answers from the result cache.", (double)atomic_load(&metrics->cache[1]));
    single(out, "cache_misses_total", "counter", "Answers not in it.", (double)atomic_load(&metrics->cache[0]));
    single(out, "cache_entries", "gauge", "Answers in it.", (double)state.entries);
    single(out, "cache_bytes", "gauge", "Their size.", (double)state.bytes);
}

static void put_process(FILE *out, struct metrics *metrics)
{
    char text[128] = "";
    long pages = 0;
    int fds = 0;

    if (metrics->statm >= 0 && pread(metrics->statm, text, sizeof text - 1, 0) > 0)
        (void)sscanf(text, "%*d %ld", &pages);
    single(out, "resident_bytes", "gauge", "Resident memory.", (double)pages * (double)sysconf(_SC_PAGESIZE));
    if (metrics->fds != NULL) {
        (void)pthread_mutex_lock(&metrics->lock);
        rewinddir(metrics->fds);
        while (readdir(metrics->fds) != NULL)
            fds++;
        (void)pthread_mutex_unlock(&metrics->lock);
    }
    single(out, "open_fds", "gauge", "Open file descriptors.", fds > 2 ? fds - 2 : 0);
    single(out, "uptime_seconds", "gauge", "Since the start.", (view_clock_ms() - metrics->started_ms) / 1000);
}

char *metrics_text(struct metrics *metrics, struct server_context *server, size_t *size)
{
    char *text = NULL;
    FILE *out = open_memstream(&text, size);

    if (out == NULL)
        return NULL;
    head(out, "build_info", "gauge", "Version of the program.");
    (void)fprintf(out, "infomask_build_info{version=\"%s\"} 1\n", INFOMASK_VERSION);
    single(out, "ready", "gauge", "1 while requests are taken.", atomic_load(&server->not_ready) == NULL);
    put_requests(out, metrics);
    put_rejections(out, metrics);
    put_histograms(out, metrics);
    put_queue(out, server);
    put_traffic(out, server);
    single(out, "connections", "gauge", "Open connections.", atomic_load(&metrics->connections));
    single(out, "in_flight", "gauge", "Requests being read, computed or answered.", atomic_load(&metrics->in_flight));
    single(out, "images_total", "counter", "Images that were looked at.", (double)atomic_load(&metrics->images));
    single(out, "received_bytes_total", "counter", "Bytes of bodies.", (double)atomic_load(&metrics->bytes_in));
    single(out, "sent_bytes_total", "counter", "Bytes of answers.", (double)atomic_load(&metrics->bytes_out));
    put_jobs(out, server);
    put_cache(out, metrics, server);
    put_process(out, metrics);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}
