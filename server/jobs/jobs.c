#include "server/jobs/shared.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "server/call/access.h"
#include "server/call/pin.h"
#include "server/observe/log.h"
#include "server/observe/metrics.h"

static bool make_id(char id[JOB_ID_SIZE])
{
    unsigned char random[(JOB_ID_SIZE - 1) / 2];

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return false; /* a name that can be guessed is worse than none */
    for (size_t i = 0; i < sizeof random; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", random[i]);
    return true;
}

enum infomask_status jobs_create(struct jobs **out, struct server_context *server, struct pool *lane,
                                 struct infomask_error *err)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);

    if (jobs == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for jobs");
    if (!make_id(jobs->replica)) {
        free(jobs);
        return error_set(err, INFOMASK_INTERNAL, "no random numbers for a name");
    }
    jobs->server = server;
    jobs->lane = lane;
    (void)pthread_mutex_init(&jobs->lock, NULL);
    *out = jobs;
    return INFOMASK_OK;
}

void jobs_free(struct jobs *jobs)
{
    struct entry *entry = jobs == NULL ? NULL : jobs->first;

    while (entry != NULL) {
        struct entry *next = entry->next;
        jobs_entry_free(entry);
        entry = next;
    }
    if (jobs != NULL)
        (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

const char *job_state_name(enum job_state state)
{
    static const char *const names[] = {"waiting", "running", "done", "failed"};
    return names[state];
}

/* ---- The list, under the lock ------------------------------------------------------------------------------------ */

/* The oldest finished job whose reply was fetched. */
static struct entry **place_of_fetched(struct jobs *jobs)
{
    struct entry **found = NULL;

    for (struct entry **place = &jobs->first; *place != NULL; place = &(*place)->next)
        if (jobs_is_over(*place) && (*place)->fetched)
            found = place;
    return found;
}

static void set_bytes(struct entry *entry, size_t bytes, bool listed)
{
    if (listed)
        entry->jobs->bytes += bytes - entry->bytes;
    entry->bytes = bytes;
}

static bool is_listed(const struct entry *entry)
{
    const struct entry *at = entry->jobs->first;

    while (at != NULL && at != entry)
        at = at->next;
    return at != NULL;
}

/* ---- Running ----------------------------------------------------------------------------------------------------- */

static void log_job(const struct entry *entry)
{
    const struct call *call = entry->call;
    const struct reply *reply = &call->reply;
    const struct log_field fields[] = {
        LOG_FIELD_TEXT("job", entry->id),
        LOG_FIELD_TEXT("request_id", call->request.id),
        LOG_FIELD_TEXT("key", call->request.client),
        LOG_FIELD_TEXT("path", call->request.path),
        LOG_FIELD_INTEGER("status", reply->status),
        LOG_FIELD_TEXT("code", reply->code),
        LOG_FIELD_TEXT("model", reply->model[0] != '\0' ? reply->model : NULL),
        LOG_FIELD_INTEGER("bytes_out", reply->size),
        LOG_FIELD_NUMBER("total_ms", clock_ms() - entry->made_ms),
        LOG_FIELD_NUMBER("queue_ms", reply->queue_ms),
        LOG_FIELD_NUMBER("network_ms", reply->timing.network > 0 ? reply->timing.network : NAN),
        LOG_FIELD_NUMBER("pmi", reply->pmi),
        LOG_FIELD_TEXT("traceparent", call->request.traceparent),
    };

    log_event(entry->jobs->server->log, reply->status >= 500 ? LOG_WARNING : LOG_INFO, reply->status >= 400, "job",
              fields, (int)(sizeof fields / sizeof fields[0]));
}

static void finish(struct entry *entry)
{
    struct jobs *jobs = entry->jobs;
    struct call *call = entry->call;

    call_drop_body(call);
    call_unpin(call);
    log_job(entry);
    metrics_job(jobs->server->metrics, &call->reply);
    (void)pthread_mutex_lock(&jobs->lock);
    entry->state = call->reply.status < 400 ? JOB_DONE : JOB_FAILED;
    entry->ended_ms = clock_ms();
    set_bytes(entry, call->reply.size, is_listed(entry));
    (void)pthread_mutex_unlock(&jobs->lock);
    shared_ended(entry);
    jobs_drop(entry);
}

static void resume_entry(void *context)
{
    struct entry *entry = context;

    if (!call_queue_again(entry->call, &entry->job))
        finish(entry);
}

static void run_entry(struct queue_task *job)
{
    struct entry *entry = (struct entry *)job;
    struct call *call = entry->call;

    if (call_waits(call, resume_entry, entry))
        return;
    (void)pthread_mutex_lock(&entry->jobs->lock);
    entry->state = JOB_RUNNING;
    (void)pthread_mutex_unlock(&entry->jobs->lock);
    shared_begun(entry);
    call->request.queue_ms = call->reply.queue_ms = job->queue_ms;
    (void)call_handle(call);
    finish(entry);
}

static void drop_entry(struct queue_task *job, enum queue_drop why)
{
    struct entry *entry = (struct entry *)job;
    struct call *call = entry->call;

    call->reply.queue_ms = job->queue_ms;
    if (why == QUEUE_CROWDED)
        (void)call_overloaded(call);
    else
        (void)reply_problem(&call->reply, &call->request, VIEW_DEADLINE_EXCEEDED,
                            why == QUEUE_GONE ? "the job was cancelled"
                                              : "the job's deadline passed while it waited in the queue");
    finish(entry);
}

static bool is_cancelled(struct queue_task *job)
{
    return atomic_load(&((struct entry *)job)->watch.cancelled);
}

/* ---- Submitting -------------------------------------------------------------------------------------------------- */

static struct entry *make_entry(struct jobs *jobs, struct call *call)
{
    struct entry *entry = calloc(1, sizeof *entry);

    if (entry == NULL || !make_id(entry->id) || (entry->call = call_detach(call)) == NULL) {
        free(entry);
        return NULL;
    }
    entry->jobs = jobs;
    entry->references = 2; /* the list and the queue */
    entry->made_ms = call->request.started_ms;
    entry->call->request.watch = &entry->watch;
    entry->bytes = entry->call->body_capacity;
    entry->job = (struct queue_task){.run = run_entry, .drop = drop_entry, .gone = is_cancelled,
                                     .turn = {.client = access_client(call), .cost = call->cost},
                                     .gives_way = call_gives_way(entry->call),
                                     .deadline_ms = call->request.deadline_ms};
    return entry;
}

/* Puts it into the list, if there is or can be made room for it. */
static bool list_entry(struct jobs *jobs, struct entry *entry)
{
    const struct config *config = jobs->server->config;
    struct entry **fetched, *dead[64];
    size_t dead_count = 0;
    bool room;

    (void)pthread_mutex_lock(&jobs->lock);
    while (!(room = jobs->count < config->async_jobs && jobs->bytes + entry->bytes <= config->async_memory) &&
           dead_count < sizeof dead / sizeof *dead && (fetched = place_of_fetched(jobs)) != NULL)
        dead[dead_count++] = jobs_unlink(jobs, fetched);
    if (room) {
        entry->next = jobs->first;
        jobs->first = entry;
        jobs->count++;
        jobs->bytes += entry->bytes;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    for (size_t i = 0; i < dead_count; i++)
        if (dead[i] != NULL)
            jobs_entry_free(dead[i]);
    return room;
}

static int no_room(struct jobs *jobs, struct call *call)
{
    const struct config *config = jobs->server->config;

    reply_header(&call->reply, "Retry-After", "%d", 5);
    return reply_problem(
        &call->reply, &call->request, VIEW_OVERLOADED,
        "there is no room for another job (at most %d, of %zu bytes in all); fetch the results of others, "
        "or delete them",
        config->async_jobs, config->async_memory);
}

static int accepted(struct call *call, const char *id)
{
    struct json_writer writer;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "id", id);
    json_put_string(&writer, "request_id", call->request.id);
    json_put_string(&writer, "status", job_state_name(JOB_WAITING));
    json_object_close(&writer);
    reply_header(&call->reply, "Location", "%s/v1/jobs/%s", call->request.prefix, id);
    reply_header(&call->reply, "Preference-Applied", "respond-async");
    return reply_json(&call->reply, &call->request, 202, &writer);
}

/* It was listed, and is not going to run. */
static void withdraw(struct jobs *jobs, struct entry *entry)
{
    struct entry **place;

    (void)pthread_mutex_lock(&jobs->lock);
    place = jobs_place(jobs, entry->id, entry->call->request.client_hash);
    if (place != NULL)
        (void)jobs_unlink(jobs, place);
    (void)pthread_mutex_unlock(&jobs->lock);
    jobs_entry_free(entry); /* nobody else knows its name yet */
}

int jobs_submit(struct jobs *jobs, struct call *call)
{
    struct entry *entry = make_entry(jobs, call);
    uint64_t owner = call->request.client_hash;
    struct infomask_error err;
    char id[JOB_ID_SIZE];

    if (entry == NULL)
        return reply_no_memory(&call->reply, &call->request);
    if (!list_entry(jobs, entry)) {
        jobs_entry_free(entry);
        return no_room(jobs, call);
    }
    memcpy(id, entry->id, sizeof id); /* once it is submitted it may be gone at any time */
    if (!shared_make(jobs, entry, &err)) {
        withdraw(jobs, entry);
        return reply_error(&call->reply, &call->request, &err);
    }
    if (queue_submit(jobs->server->queue, &entry->job))
        return accepted(call, id);
    withdraw(jobs, entry);
    shared_unmake(jobs, id, owner);
    return call_overloaded(call);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static double progress(const struct entry *entry)
{
    int total = atomic_load(&entry->watch.total), done = atomic_load(&entry->watch.done);

    return jobs_is_over(entry) ? 1 : total > 0 ? fmin(1, (double)done / total) : 0;
}

static void fill_view(const struct entry *entry, struct job_view *view)
{
    double now = clock_ms();

    *view = (struct job_view){.state = entry->state,
                                .progress = progress(entry),
                                .age_ms = now - entry->made_ms};
    memcpy(view->id, entry->id, sizeof view->id);
    memcpy(view->request_id, entry->call->request.id, sizeof view->request_id);
    (void)snprintf(view->route, sizeof view->route, "%s", entry->call->request.route->pattern);
    if (!jobs_is_over(entry))
        return;
    view->expires_ms = fmax(0, entry->ended_ms + 1000 * entry->jobs->server->config->async_keep - now);
    view->status = entry->call->reply.status;
    (void)snprintf(view->content_type, sizeof view->content_type, "%s",
                   entry->call->reply.content_type != NULL ? entry->call->reply.content_type : "");
    view->size = entry->call->reply.size;
}

static bool find_own(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view)
{
    struct entry **place;

    (void)pthread_mutex_lock(&jobs->lock);
    place = jobs_place(jobs, id, request->client_hash);
    if (place != NULL)
        fill_view(*place, view);
    (void)pthread_mutex_unlock(&jobs->lock);
    return place != NULL;
}

/* Where replicas share their state, what is known to all is asked first: another may have forgotten the job. */
enum jobs_answer jobs_find(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view,
                           struct infomask_error *err)
{
    enum jobs_answer answer = jobs->lane != NULL ? shared_find(jobs, request, id, view, err) : JOBS_FINE;

    if (jobs->lane != NULL && answer == JOBS_NO_JOB)
        (void)jobs_remove(jobs, id, request->client_hash);
    else if (find_own(jobs, request, id, view))
        return JOBS_FINE;
    return jobs->lane != NULL ? answer : JOBS_NO_JOB;
}

/* Everything of an answer but what the new one has of its own. */
static bool copy_reply(struct reply *to, const struct reply *from)
{
    char *body = malloc(from->size + 1);

    if (body == NULL)
        return false;
    if (from->size > 0)
        memcpy(body, from->data, from->size);
    for (int i = 0; i < from->header_count; i++)
        reply_header(to, from->headers[i].name, "%s", from->headers[i].value);
    to->code = from->code;
    (void)reply_take(to, from->status, from->content_type, body, from->size);
    return true;
}

static bool take_own(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply)
{
    struct entry **place, *entry = NULL;
    bool copied;

    (void)pthread_mutex_lock(&jobs->lock);
    place = jobs_place(jobs, id, request->client_hash);
    if (place != NULL && jobs_is_over(*place)) {
        entry = *place;
        entry->references++;
        entry->fetched = true;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (entry == NULL)
        return false;
    copied = copy_reply(reply, &entry->call->reply);
    if (!copied)
        (void)reply_no_memory(reply, request);
    jobs_drop(entry);
    return true;
}

enum jobs_answer jobs_take(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply,
                           struct infomask_error *err)
{
    if (take_own(jobs, request, id, reply))
        return JOBS_FINE;
    return jobs->lane != NULL ? shared_take(jobs, request, id, reply, err) : JOBS_NO_JOB;
}

/* Whether it was there. */
enum jobs_answer jobs_forget(struct jobs *jobs, const struct request *request, const char *id,
                             struct infomask_error *err)
{
    enum jobs_answer answer = jobs->lane != NULL ? shared_forget(jobs, request, id, err) : JOBS_NO_JOB;

    if (answer != JOBS_NO_STATE && jobs_remove(jobs, id, request->client_hash))
        return JOBS_FINE;
    return answer;
}

/* ---- Keeping house ----------------------------------------------------------------------------------------------- */

void jobs_expire(struct jobs *jobs)
{
    double end = clock_ms() - 1000 * jobs->server->config->async_keep;
    struct entry *dead = NULL;

    shared_tick(jobs);
    (void)pthread_mutex_lock(&jobs->lock);
    for (struct entry **place = &jobs->first; *place != NULL;) {
        if (!jobs_is_over(*place) || (*place)->ended_ms > end) {
            place = &(*place)->next;
            continue;
        }
        struct entry *entry = jobs_unlink(jobs, place);
        if (entry != NULL) {
            entry->next = dead;
            dead = entry;
        }
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    while (dead != NULL) {
        struct entry *next = dead->next;
        jobs_entry_free(dead);
        dead = next;
    }
}

void jobs_count(struct jobs *jobs, struct jobs_count *count)
{
    *count = (struct jobs_count){.bytes = 0};
    (void)pthread_mutex_lock(&jobs->lock);
    count->bytes = jobs->bytes;
    for (const struct entry *entry = jobs->first; entry != NULL; entry = entry->next)
        count->jobs[entry->state]++;
    (void)pthread_mutex_unlock(&jobs->lock);
}
