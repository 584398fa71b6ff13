/* The queue between the HTTP threads and the compute threads: bounded, fair between clients, with deadlines.
 *
 * queue_submit puts a task in the queue and tells the pool that there is one to take; a free compute thread takes the
 * one whose client's turn it is (fair.h), asks whether anybody still waits for it, and runs it.  A task that is too
 * late or whose client left is dropped unstarted.  Every task submitted ends in exactly one call of run or drop.
 *
 * Where all threads are busy, one of them with a task that gives way and of a client that has more running or waiting,
 * a task of a client that has neither interrupts it, between two layers of its network (pool_yield): who asks now and
 * then hardly waits for what another queues up. It does so once in a round of turns only, and then takes its turn like
 * everybody; and such tasks, whoever's they are, have half of the time at most.  Thread rule: any thread.
 */
#ifndef SERVER_QUEUE_QUEUE_H
#define SERVER_QUEUE_QUEUE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "server/queue/fair.h"

enum queue_drop {
    QUEUE_TOO_LATE, /* its deadline passed in the queue */
    QUEUE_GONE,     /* its client left */
    QUEUE_CROWDED   /* the queue was full, and its client had more waiting than another who came */
};

/* Owned by the caller until run or drop is called; that call may free it. */
struct queue_task {
    void (*run)(struct queue_task *task);
    void (*drop)(struct queue_task *task, enum queue_drop why);
    bool (*gone)(struct queue_task *task); /* NULL: nobody leaves */
    struct fair_item turn;                /* client and cost: the caller's to set */
    bool gives_way; /* it holds nothing that others wait for while it computes: such tasks may interrupt each other */
    double deadline_ms;                   /* of clock_ms() */
    double submitted_ms, queue_ms;        /* set by the queue: when it came in; how long it waited */
};

struct queue;

/* capacity: tasks that may wait.  The pool must outlive the queue. */
enum infomask_status queue_create(struct queue **queue, struct pool *pool, int capacity, struct infomask_error *err)
    __attribute__((warn_unused_result));
void queue_free(struct queue *queue); /* nothing may be waiting or running; NULL does nothing */

/* False when the queue is full; the task is then still the caller's. */
bool queue_submit(struct queue *queue, struct queue_task *task) __attribute__((warn_unused_result));

/* Whether a task of that client that came now would be refused: the queue is full, or what goes before it would take
 * longer than until deadline_ms.  *retry_after: seconds after which there should be room, at least 1. */
bool queue_overloaded(struct queue *queue, uint64_t client, double deadline_ms, int *retry_after);

/* Drops waiting tasks whose deadline has passed. */
void queue_expire(struct queue *queue);

struct queue_state {
    int waiting, running, capacity;
    double mean_ms;        /* moving average of a task's time, for each unit of its cost */
    double oldest_ms;      /* how long the longest running task runs; 0: none */
    double overdue_ms;     /* for how long the deadline of one that runs has been over; 0: all are in time */
    size_t done, late, gone, crowded, refused;
    size_t urgent; /* of those done: that interrupted another, or were to */
};
void queue_state(struct queue *queue, struct queue_state *state);

#endif
