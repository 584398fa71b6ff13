/* The jobs' list and its entries: who holds one, and where it is.  Private to server/jobs. */
#ifndef SERVER_JOBS_ENTRIES_H
#define SERVER_JOBS_ENTRIES_H

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

bool jobs_is_over(const struct entry *entry);
/* The entry's last holder frees it. */
void jobs_hold(struct entry *entry);
void jobs_drop(struct entry *entry);
/* Takes one out of the list and tells it to stop; false: it is not there. */
bool jobs_remove(struct jobs *jobs, const char *id, uint64_t owner);

/* Under the lock: where it is in the list, NULL: nowhere; and taken out of there.  What unlink returns is for
 * jobs_entry_free once the lock is left (a reply may be large); NULL: somebody holds it. */
struct entry **jobs_place(struct jobs *jobs, const char *id, uint64_t owner);
struct entry *jobs_unlink(struct jobs *jobs, struct entry **place);
void jobs_entry_free(struct entry *entry);

#endif
