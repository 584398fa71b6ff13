/* GET /metrics: the counters of the requests, and the state of the queue, the jobs, the cache and the traffic. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/traffic.h"
#include "server/call/cache.h"
#include "server/clients/held.h"
#include "server/handlers/ops.h"
#include "server/jobs/jobs.h"
#include "server/observe/metrics.h"
#include "server/queue/queue.h"

static void put_queue(FILE *out, struct server_context *server)
{
    struct queue_state state;

    queue_state(server->queue, &state);
    metrics_single(out, "queue_waiting", "gauge", "Requests waiting for a compute thread.", state.waiting);
    metrics_single(out, "queue_capacity", "gauge", "Requests that may wait.", state.capacity);
    metrics_single(out, "jobs_running", "gauge", "Requests on a compute thread.", state.running);
    metrics_single(out, "job_mean_seconds", "gauge", "Moving average of a job's time.", state.mean_ms / 1000);
    metrics_single(out, "job_oldest_seconds", "gauge", "Age of the longest running job.", state.oldest_ms / 1000);
    metrics_single(out, "jobs_done_total", "counter", "Jobs that were run.", (double)state.done);
    metrics_single(out, "jobs_late_total", "counter", "Jobs dropped in the queue at their deadline.",
                   (double)state.late);
    metrics_single(out, "jobs_crowded_total", "counter",
                   "Jobs that gave their place in a full queue up to another client.", (double)state.crowded);
    metrics_single(out, "jobs_urgent_total", "counter",
                   "Jobs that were to interrupt one of a client that had more.", (double)state.urgent);
    metrics_single(out, "jobs_gone_total", "counter", "Jobs dropped because the client left.", (double)state.gone);
    metrics_single(out, "jobs_refused_total", "counter", "Jobs refused by a full queue.", (double)state.refused);
    metrics_single(out, "refusals_held_total", "counter", "Refusals that were held back (refusal_rate).",
                   (double)held_count(server->held));
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
        metrics_head(out, rows[row].name, rows[row].type, rows[row].help);
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
    metrics_head(out, "async_jobs", "gauge", "Jobs of Prefer: respond-async.");
    for (int i = 0; i < JOB_STATES; i++)
        (void)fprintf(out, "infomask_async_jobs{state=\"%s\"} %zu\n", job_state_name((enum job_state)i), count.jobs[i]);
    metrics_single(out, "async_bytes", "gauge", "Their uploads and results.", (double)count.bytes);
}

static void put_cache(FILE *out, struct server_context *server)
{
    struct cache_state state = {0};

    if (server->cache != NULL)
        cache_state(server->cache, &state);
    metrics_single(out, "cache_hits_total", "counter", "Answers from the result cache.", (double)state.hits);
    metrics_single(out, "cache_misses_total", "counter", "Answers not in it.", (double)state.misses);
    metrics_single(out, "cache_entries", "gauge", "Answers in it.", (double)state.entries);
    metrics_single(out, "cache_bytes", "gauge", "Their size.", (double)state.bytes);
}

static void put_models(FILE *out, struct server_context *server)
{
    struct models_memory memory = models_memory(server->models);

    metrics_single(out, "models_loaded", "gauge", "Models whose network is in memory.", memory.loaded);
    metrics_single(out, "models_bytes", "gauge", "Memory of these networks, and of those that are being loaded.",
                   (double)memory.bytes);
    metrics_single(out, "models_limit_bytes", "gauge", "How much that may be (models_memory); 0: any.",
                   (double)memory.bound);
    metrics_single(out, "models_waiting", "gauge", "Requests that wait for a network.", memory.waiting);
    metrics_single(out, "model_loads_total", "counter", "Networks loaded.", (double)memory.loads);
    metrics_single(out, "model_load_failures_total", "counter", "Networks that could not be loaded again.",
                   (double)memory.failures);
    metrics_single(out, "model_unloads_total", "counter", "Networks unloaded.", (double)memory.unloads);
}

static char *page_text(struct server_context *server, size_t *size)
{
    struct metrics *metrics = server->metrics;
    char *text = NULL;
    FILE *out = open_memstream(&text, size);
    enum view_problem problem;
    struct infomask_error err;

    if (out == NULL)
        return NULL;
    metrics_head(out, "build_info", "gauge", "Version of the program.");
    (void)fprintf(out, "infomask_build_info{version=\"%s\"} 1\n", INFOMASK_VERSION);
    metrics_single(out, "ready", "gauge", "1 while requests are taken.", ops_ready(server, &problem, &err));
    metrics_put_requests(out, metrics);
    put_queue(out, server);
    put_models(out, server);
    put_traffic(out, server);
    metrics_put_totals(out, metrics);
    put_jobs(out, server);
    put_cache(out, server);
    metrics_put_process(out, metrics);
    if (fclose(out) != 0) {
        free(text);
        return NULL;
    }
    return text;
}

int handle_metrics(struct server_context *server, const struct request *request, struct reply *reply)
{
    size_t size;
    char *text = page_text(server, &size);

    if (text == NULL)
        return reply_no_memory(reply, request);
    return reply_take(reply, 200, "text/plain; version=0.0.4; charset=utf-8", text, size);
}
