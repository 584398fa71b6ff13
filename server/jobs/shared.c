#include "server/jobs/shared.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/results.h"
#include "core/base/clock.h"
#include "server/observe/log.h"

#define STORE_MS 10000.0 /* that what is told behind a request may take */
#define AGAIN_MS 5000.0
#define BEAT_MS 5000.0

static struct estimates within(const struct jobs *jobs, double deadline_ms)
{
    return estimates_within(jobs->server->estimates, deadline_ms);
}

static struct estimates soon(const struct jobs *jobs)
{
    return within(jobs, clock_ms() + STORE_MS);
}

/* ---- Telling ----------------------------------------------------------------------------------------------------- */

bool shared_make(struct jobs *jobs, const struct entry *entry, struct infomask_error *err)
{
    const struct request *request = &entry->call->request;
    const struct result result = {.id = entry->id, .request_id = request->id, .route = request->route->pattern,
                                  .owner = request->client_hash};
    struct estimates own;

    if (jobs->lane == NULL)
        return true;
    own = soon(jobs);
    return results_make(&own, &result, jobs->replica, err) == INFOMASK_OK;
}

void shared_unmake(struct jobs *jobs, const char *id, uint64_t owner)
{
    struct estimates own;
    struct infomask_error ignored;
    bool there;

    if (jobs->lane == NULL)
        return;
    own = soon(jobs);
    (void)!results_forget(&own, id, owner, &there, &ignored); /* else it is gone when it was silent for long enough */
}

static void run_begun(struct pool_task *task)
{
    struct entry *entry = (struct entry *)((char *)task - offsetof(struct entry, begun));
    const struct result result = {.id = entry->id, .state = RESULT_RUNNING};
    struct estimates own = soon(entry->jobs);
    struct infomask_error ignored;
    bool there;

    (void)!results_change(&own, &result, &there, &ignored); /* others go on saying that it waits */
    jobs_drop(entry);
}

void shared_begun(struct entry *entry)
{
    if (entry->jobs->lane == NULL)
        return;
    jobs_hold(entry);
    entry->begun = (struct pool_task){.run = run_begun};
    pool_post(entry->jobs->lane, &entry->begun);
}

/* "Name: value\n" each; NULL without memory. */
static char *headers_text(const struct reply *reply)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return NULL;
    for (int i = 0; i < reply->header_count; i++)
        (void)fprintf(out, "%s: %s\n", reply->headers[i].name, reply->headers[i].value);
    return fclose(out) == 0 ? text : (free(text), NULL);
}

static void run_ended(struct pool_task *task)
{
    struct entry *entry = (struct entry *)((char *)task - offsetof(struct entry, ended));
    struct jobs *jobs = entry->jobs;
    const struct reply *reply = &entry->call->reply;
    char *headers = headers_text(reply);
    const struct result result = {.id = entry->id, .state = reply->status < 400 ? RESULT_DONE : RESULT_FAILED,
                                  .keep_s = jobs->server->config->async_keep, .status = reply->status,
                                  .content_type = reply->content_type, .code = reply->code, .headers = headers,
                                  .body = reply->data, .size = reply->size};
    struct estimates own = soon(jobs);
    struct infomask_error err;
    bool there, stored = results_change(&own, &result, &there, &err) == INFOMASK_OK;

    free(headers);
    if (stored && !there) /* another replica was told to forget it */
        (void)jobs_remove(jobs, entry->id, entry->call->request.client_hash);
    if (!stored)
        log_message(jobs->server->log, LOG_WARNING, "the result of the job %s is not stored yet: %s", entry->id,
                    err.text);
    (void)pthread_mutex_lock(&jobs->lock);
    entry->unsaved = !stored;
    entry->again_ms = clock_ms() + AGAIN_MS;
    (void)pthread_mutex_unlock(&jobs->lock);
    jobs_drop(entry);
}

void shared_ended(struct entry *entry)
{
    if (entry->jobs->lane == NULL)
        return;
    jobs_hold(entry);
    entry->ended = (struct pool_task){.run = run_ended};
    pool_post(entry->jobs->lane, &entry->ended);
}

static void run_beat(struct pool_task *task)
{
    struct jobs *jobs = (struct jobs *)((char *)task - offsetof(struct jobs, beat));
    struct estimates own = soon(jobs);
    struct infomask_error ignored;

    (void)!results_beat(&own, jobs->replica, &ignored);
    atomic_store(&jobs->beating, false);
}

void shared_tick(struct jobs *jobs)
{
    double now = clock_ms();

    if (jobs->lane == NULL)
        return;
    (void)pthread_mutex_lock(&jobs->lock);
    for (struct entry *entry = jobs->first; entry != NULL; entry = entry->next)
        if (entry->unsaved && now >= entry->again_ms) {
            entry->unsaved = false;
            entry->references++;
            pool_post(jobs->lane, &entry->ended);
        }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (now - jobs->beaten_ms < BEAT_MS || atomic_exchange(&jobs->beating, true))
        return;
    jobs->beaten_ms = now;
    jobs->beat = (struct pool_task){.run = run_beat};
    pool_post(jobs->lane, &jobs->beat);
}

/* ---- Asking ------------------------------------------------------------------------------------------------------ */

static enum jobs_answer get(struct jobs *jobs, const struct request *request, const char *id, bool body,
                            struct result *result, struct infomask_error *err)
{
    struct estimates own = within(jobs, request->deadline_ms);
    bool there;

    if (results_get(&own, id, request->client_hash, body, result, &there, err) != INFOMASK_OK)
        return JOBS_NO_STATE;
    return there ? JOBS_FINE : JOBS_NO_JOB;
}

enum jobs_answer shared_find(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view,
                             struct infomask_error *err)
{
    struct result r;
    enum jobs_answer answer = get(jobs, request, id, false, &r, err);
    bool over = answer == JOBS_FINE && r.state >= RESULT_DONE;

    if (answer != JOBS_FINE)
        return answer;
    *view = (struct job_view){.state = (enum job_state)r.state, .progress = over, .age_ms = fmax(0, 1000 * r.age_s),
                              .expires_ms = over ? fmax(0, 1000 * r.keep_s) : 0, .status = r.status, .size = r.size};
    (void)snprintf(view->id, sizeof view->id, "%s", id);
    (void)snprintf(view->request_id, sizeof view->request_id, "%s", r.request_id);
    (void)snprintf(view->route, sizeof view->route, "%s", r.route);
    (void)snprintf(view->content_type, sizeof view->content_type, "%s", r.content_type != NULL ? r.content_type : "");
    result_fini(&r);
    return JOBS_FINE;
}

/* The body, and behind it the texts that the reply points to. */
static bool fill_reply(struct reply *reply, const struct result *r)
{
    size_t type = r->content_type != NULL ? strlen(r->content_type) + 1 : 0,
           code = r->code != NULL ? strlen(r->code) + 1 : 0;
    char *data = malloc(r->size + type + code + 1);

    if (data == NULL)
        return false;
    if (r->size > 0)
        memcpy(data, r->body, r->size);
    if (type > 0)
        memcpy(data + r->size, r->content_type, type);
    if (code > 0)
        memcpy(data + r->size + type, r->code, code);
    for (const char *line = r->headers; line != NULL && *line != '\0'; line += strcspn(line, "\n") + 1)
        reply_header_line(reply, line, strcspn(line, "\n"));
    reply->code = code > 0 ? data + r->size + type : NULL;
    (void)reply_take(reply, r->status, type > 0 ? data + r->size : NULL, data, r->size);
    return true;
}

enum jobs_answer shared_take(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply,
                             struct infomask_error *err)
{
    struct result r;
    enum jobs_answer answer = get(jobs, request, id, true, &r, err);

    if (answer != JOBS_FINE)
        return answer;
    if (r.state < RESULT_DONE)
        answer = JOBS_NO_JOB;
    else if (!fill_reply(reply, &r))
        (void)reply_no_memory(reply, request);
    result_fini(&r);
    return answer;
}

enum jobs_answer shared_forget(struct jobs *jobs, const struct request *request, const char *id,
                               struct infomask_error *err)
{
    struct estimates own = within(jobs, request->deadline_ms);
    bool there;

    if (results_forget(&own, id, request->client_hash, &there, err) != INFOMASK_OK)
        return JOBS_NO_STATE;
    return there ? JOBS_FINE : JOBS_NO_JOB;
}
