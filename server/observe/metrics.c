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

#include "core/base/clock.h"
#include "server/call/routes.h"

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
    _Atomic uint64_t images, bytes_in, bytes_out;
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
    metrics->started_ms = clock_ms();
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

/* ---- Text -------------------------------------------------------------------------------------------------------- */

void metrics_head(FILE *out, const char *name, const char *type, const char *help)
{
    (void)fprintf(out, "# HELP infomask_%s %s\n# TYPE infomask_%s %s\n", name, help, name, type);
}

void metrics_single(FILE *out, const char *name, const char *type, const char *help, double value)
{
    metrics_head(out, name, type, help);
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

    metrics_head(out, "requests_total", "counter", "Requests by route and status (PUT counts as POST, HEAD as GET).");
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
    metrics_head(out, "request_seconds", "histogram", "From a request's first byte to its answer's last.");
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

    metrics_head(out, "problems_total", "counter", "Requests that were answered with a problem, by its code.");
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++)
        (void)fprintf(out, "infomask_problems_total{code=\"%s\"} %llu\n", view_problem_code((enum view_problem)i),
                      (unsigned long long)atomic_load_explicit(&metrics->problems[i], memory_order_relaxed));
    metrics_head(out, "connections_cut_total", "counter", "Connections refused or cut, by reason.");
    for (int i = 0; i < METRICS_CUT_COUNT; i++)
        (void)fprintf(out, "infomask_connections_cut_total{reason=\"%s\"} %llu\n", cut[i],
                      (unsigned long long)atomic_load_explicit(&metrics->cuts[i], memory_order_relaxed));
}

static void put_histograms(FILE *out, struct metrics *metrics)
{
    metrics_head(out, "phase_seconds", "histogram", "Time of a request's phases.");
    for (size_t i = 0; i < PHASES; i++) {
        char labels[LABELS];
        (void)snprintf(labels, sizeof labels, "phase=\"%s\"", phase_name[i]);
        put_histogram(out, "phase_seconds", labels, seconds_edges, &metrics->phase[i]);
    }
    metrics_head(out, "pmi_nats", "histogram", "PMI of the target class.");
    put_histogram(out, "pmi_nats", "", nats_edges, &metrics->pmi);
    metrics_head(out, "residual_pmi_nats", "histogram", "PMI of the target class after filtering.");
    put_histogram(out, "residual_pmi_nats", "", nats_edges, &metrics->residual);
}

void metrics_put_process(FILE *out, struct metrics *metrics)
{
    char text[128] = "";
    long pages = 0;
    int fds = 0;

    if (metrics->statm >= 0 && pread(metrics->statm, text, sizeof text - 1, 0) > 0)
        (void)sscanf(text, "%*d %ld", &pages);
    metrics_single(out, "resident_bytes", "gauge", "Resident memory.", (double)pages * (double)sysconf(_SC_PAGESIZE));
    if (metrics->fds != NULL) {
        (void)pthread_mutex_lock(&metrics->lock);
        rewinddir(metrics->fds);
        while (readdir(metrics->fds) != NULL)
            fds++;
        (void)pthread_mutex_unlock(&metrics->lock);
    }
    metrics_single(out, "open_fds", "gauge", "Open file descriptors.", fds > 2 ? fds - 2 : 0);
    metrics_single(out, "uptime_seconds", "gauge", "Since the start.", (clock_ms() - metrics->started_ms) / 1000);
}

void metrics_put_requests(FILE *out, struct metrics *metrics)
{
    put_requests(out, metrics);
    put_rejections(out, metrics);
    put_histograms(out, metrics);
}

void metrics_put_totals(FILE *out, struct metrics *metrics)
{
    metrics_single(out, "connections", "gauge", "Open connections.", atomic_load(&metrics->connections));
    metrics_single(out, "in_flight", "gauge", "Requests being read, computed or answered.",
                   atomic_load(&metrics->in_flight));
    metrics_single(out, "images_total", "counter", "Images that were looked at.",
                   (double)atomic_load(&metrics->images));
    metrics_single(out, "received_bytes_total", "counter", "Bytes of bodies.", (double)atomic_load(&metrics->bytes_in));
    metrics_single(out, "sent_bytes_total", "counter", "Bytes of answers.", (double)atomic_load(&metrics->bytes_out));
}
