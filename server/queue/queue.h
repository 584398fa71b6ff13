/* The queue between the HTTP threads and the compute threads: bounded, first come first served, with deadlines.
 *
 * jobs_submit puts a job in the queue and tells the pool that there is one to take; a free compute thread takes the
 * first, asks whether anybody still waits for it, and runs it.  A job that is too late or whose client left is dropped
 * unstarted.  Every job submitted ends in exactly one call of run or drop.  Thread rule: any thread.
 */
#ifndef SERVER_QUEUE_QUEUE_H
#define SERVER_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/pool.h"
#include "core/base/status.h"

enum job_drop {
    JOB_TOO_LATE, /* its deadline passed in the queue */
    JOB_GONE      /* its client left */
};

/* Owned by the caller until run or drop is called; that call may free it. */
struct job {
    void (*run)(struct job *job);
    void (*drop)(struct job *job, enum job_drop why);
    bool (*gone)(struct job *job); /* NULL: nobody leaves */
    double deadline_ms;            /* of view_clock_ms() */
    double submitted_ms, queue_ms; /* set by the queue: when it came in; how long it waited */
    struct job *next;              /* the queue's */
};

struct jobs;

/* capacity: jobs that may wait.  The pool must outlive the queue. */
enum infomask_status jobs_create(struct jobs **jobs, struct pool *pool, int capacity, struct infomask_error *err)
    __attribute__((warn_unused_result));
void jobs_free(struct jobs *jobs); /* nothing may be waiting or running; NULL does nothing */

/* False when the queue is full; the job is then still the caller's. */
bool jobs_submit(struct jobs *jobs, struct job *job) __attribute__((warn_unused_result));

/* Whether a job that came now would be refused: the queue is full, or what waits would take longer than until
 * deadline_ms.  *retry_after: seconds after which there should be room, at least 1. */
bool jobs_overloaded(struct jobs *jobs, double deadline_ms, int *retry_after);

/* Drops waiting jobs whose deadline has passed. */
void jobs_expire(struct jobs *jobs);

struct jobs_state {
    int waiting, running, capacity;
    double mean_ms;        /* moving average of a job's time */
    double oldest_ms;      /* how long the longest running job runs; 0: none */
    double overdue_ms;     /* for how long the deadline of one that runs has been over; 0: all are in time */
    size_t done, late, gone, refused;
};
void jobs_state(struct jobs *jobs, struct jobs_state *state);

#endif
