/* /v1/jobs: what became of requests with Prefer: respond-async. */
#include <stdio.h>

#include "server/handlers/infer.h"
#include "server/jobs/jobs.h"

static int no_such_job(const struct request *request, struct reply *reply)
{
    return reply_problem(reply, request, VIEW_NO_SUCH_JOB,
                         "there is no job %.40s: it was never made, has expired, was deleted, or is another key's",
                         request->capture[0]);
}

static void put_result(struct json_writer *writer, const char *prefix, const struct job_view *job)
{
    char address[PREFIX_SIZE + 80];

    (void)snprintf(address, sizeof address, "%s/v1/jobs/%s/result", prefix, job->id);
    json_object_open(writer, "result");
    json_put_int(writer, "status", job->status);
    if (job->content_type[0] != '\0')
        json_put_string(writer, "content_type", job->content_type);
    json_put_uint(writer, "bytes", job->size);
    json_put_string(writer, "href", address);
    json_object_close(writer);
}

static int answer(struct reply *reply, const struct request *request, int status, const struct job_view *job)
{
    struct json_writer writer;
    bool over = job->state >= JOB_DONE;

    json_writer_init(&writer, 0);
    json_object_open(&writer, NULL);
    json_put_string(&writer, "id", job->id);
    json_put_string(&writer, "request_id", job->request_id);
    json_put_string(&writer, "route", job->route);
    json_put_string(&writer, "status", job_state_name(job->state));
    json_put_double(&writer, "progress", job->progress);
    json_put_double(&writer, "age_s", job->age_ms / 1000);
    if (over) {
        json_put_double(&writer, "expires_in_s", job->expires_ms / 1000);
        put_result(&writer, request->prefix, job);
    } else {
        reply_header(reply, "Retry-After", "1");
    }
    json_object_close(&writer);
    return reply_json(reply, request, status, &writer);
}

/* What is not JOBS_FINE. */
static int no_answer(struct server_context *server, const struct request *request, struct reply *reply,
                     enum jobs_answer answer, const struct infomask_error *err)
{
    return answer == JOBS_NO_STATE ? infer_state_error(server, request, reply, err) : no_such_job(request, reply);
}

int handle_job(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct job_view job;
    struct infomask_error err;
    enum jobs_answer found = jobs_find(server->jobs, request, request->capture[0], &job, &err);

    return found == JOBS_FINE ? answer(reply, request, 200, &job) : no_answer(server, request, reply, found, &err);
}

int handle_job_result(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct job_view job;
    struct infomask_error err;
    enum jobs_answer found = jobs_find(server->jobs, request, request->capture[0], &job, &err);

    if (found == JOBS_FINE && jobs_take(server->jobs, request, request->capture[0], reply, &err) == JOBS_FINE)
        return reply->status;
    return found == JOBS_FINE ? answer(reply, request, 202, &job) : no_answer(server, request, reply, found, &err);
}

int handle_job_delete(struct server_context *server, const struct request *request, struct reply *reply)
{
    struct infomask_error err;
    enum jobs_answer found = jobs_forget(server->jobs, request, request->capture[0], &err);

    return found == JOBS_FINE ? reply_empty(reply, 204) : no_answer(server, request, reply, found, &err);
}
