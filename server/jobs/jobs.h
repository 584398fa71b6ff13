/* Jobs: requests of Prefer: respond-async (RFC 7240 section 4.1), which outlive their connection.
 *
 * jobs_submit takes the request out of a call, gives it a random name, puts it into the queue of all requests, and
 * answers 202 with its address.  The job's reply is kept in memory until it has expired or is forgotten; none survives
 * the process, unless replicas share their state: then each answers for every other's jobs (app/state/results.h), and
 * what is asked here waits for the state's server, on the lane.  How many there are, and the bytes of their uploads and
 * replies, are bounded: where there is no room, finished jobs whose reply was fetched give way, oldest first, and else
 * the request is refused.  A job is visible to the key that made it; where there are no keys, to whoever knows its name
 * (128 random bits).  Thread rule: any thread.
 */
#ifndef SERVER_JOBS_JOBS_H
#define SERVER_JOBS_JOBS_H

#include "server/call/routes.h"

struct jobs;
struct call;

#define JOB_ID_SIZE 33

/* server: its config has the limits; its queue must outlive the jobs that run. */
struct pool;
/* lane: stores results where replicas share their state; NULL: they do not. */
enum infomask_status jobs_create(struct jobs **jobs, struct server_context *server, struct pool *lane,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
void jobs_free(struct jobs *jobs); /* nothing may be waiting or running; NULL does nothing */

/* Fills the call's reply: 202, or 503 where there is no room.  Returns its status. */
int jobs_submit(struct jobs *jobs, struct call *call);

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_DONE, JOB_FAILED, JOB_STATES };
const char *job_state_name(enum job_state state); /* "waiting", "running", "done", "failed" */

struct job_view {
    char id[JOB_ID_SIZE], request_id[REQUEST_ID_SIZE];
    enum job_state state;
    char route[64];
    double progress;                  /* 0 to 1 */
    double age_ms, expires_ms;        /* since it was made; until it is forgotten, for a finished one */
    int status;                       /* of the reply of a finished one */
    char content_type[80]; /* "": none */
    size_t size;
};
/* NO_JOB: there is no such one, or it is another key's.  NO_STATE: the state cannot be reached; err has the sentence.
 */
enum jobs_answer { JOBS_FINE, JOBS_NO_JOB, JOBS_NO_STATE };
enum jobs_answer jobs_find(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view,
                           struct infomask_error *err);
/* A finished job's reply, copied; NO_JOB: there is none yet. */
enum jobs_answer jobs_take(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply,
                           struct infomask_error *err);
/* Forgets it; if it waits it is not run, and if it runs it is told to stop (by another replica: only its result goes).
 */
enum jobs_answer jobs_forget(struct jobs *jobs, const struct request *request, const char *id,
                             struct infomask_error *err);

/* Forgets those that have expired; every now and then tells the other replicas that this one lives.  Never waits. */
void jobs_expire(struct jobs *jobs);

struct jobs_count {
    size_t jobs[JOB_STATES], bytes;
};
void jobs_count(struct jobs *jobs, struct jobs_count *count);

#endif
