/* A job's entry, and what is told of it to other replicas.  Private to server/jobs.
 *
 * The shared_... functions do nothing where jobs->lane is NULL.
 */
#ifndef SERVER_JOBS_SHARED_H
#define SERVER_JOBS_SHARED_H

#include <pthread.h>

#include "core/base/pool.h"
#include "server/call/call.h"
#include "server/jobs/jobs.h"
#include "server/queue/queue.h"

struct entry {
    struct queue_task job; /* first: the queue hands it back */
    struct jobs *jobs;
    struct call *call; /* its request, and then its reply */
    char id[JOB_ID_SIZE];
    struct request_watch watch;
    /* under the lock */
    enum job_state state;
    int references; /* the list's, the queue's, and of those who copy its reply */
    bool fetched;
    double made_ms, ended_ms;
    size_t bytes;
    struct entry *next;
    /* where replicas share their state */
    struct pool_task begun, ended; /* it is told that it runs, and what came of it */
    bool unsaved;                  /* the latter failed, and will be tried again at */
    double again_ms;
};

struct jobs {
    struct server_context *server;
    pthread_mutex_t lock;
    struct entry *first; /* newest first */
    int count;
    size_t bytes; /* of those in the list */
    struct pool *lane; /* NULL: replicas share nothing */
    char replica[JOB_ID_SIZE];
    struct pool_task beat;
    _Atomic bool beating;
    double beaten_ms;
};

/* The entry's last holder frees it (jobs.c). */
void jobs_hold(struct entry *entry);
void jobs_drop(struct entry *entry);
/* Takes one out of the list, if it is there, and tells it to stop. */
void jobs_remove(struct jobs *jobs, const char *id, uint64_t owner);

/* Before it waits.  False: the state cannot be reached. */
bool shared_make(struct jobs *jobs, const struct entry *entry, struct infomask_error *err);
void shared_unmake(struct jobs *jobs, const char *id, uint64_t owner);
/* Told behind the caller; both hold the entry until it is done. */
void shared_begun(struct entry *entry);
void shared_ended(struct entry *entry);
/* On the main thread's tick: what could not be stored is tried again, and this replica says that it lives. */
void shared_tick(struct jobs *jobs);

/* What another replica's row says. */
enum jobs_answer shared_find(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view,
                             struct infomask_error *err);
enum jobs_answer shared_take(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply,
                             struct infomask_error *err);
enum jobs_answer shared_forget(struct jobs *jobs, const struct request *request, const char *id,
                               struct infomask_error *err);

#endif
