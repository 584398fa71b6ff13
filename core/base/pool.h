/* The compute threads of the process, and loops whose chunks any idle one of them may take.
 *
 * A pool has `threads` workers.  pool_post gives one of them a task (tasks run first come, first served, one at a time
 * per worker); inside a task, pool_for splits a loop into chunks that the caller and every idle worker claim one by
 * one.  So a lone task uses the whole machine, and when there are more tasks than workers each task has one core.
 * A claim is one compare-and-swap on (generation, index): a worker that comes late claims nothing, and the caller
 * waits only for chunks that were claimed.  Idle workers look for work for a fraction of a millisecond, then sleep.
 *
 * Which thread runs a chunk is not determined; what a chunk computes must be a function of its index only, and the
 * number of chunks a function of the shapes only: then the results are the same bits for any number of threads.
 */
#ifndef INFOMASK_BASE_POOL_H
#define INFOMASK_BASE_POOL_H

#include <stdbool.h>
#include <sys/queue.h>

#include "core/base/status.h"

#define POOL_MAX_THREADS 64

struct pool;

/* 1 to POOL_MAX_THREADS threads.  `start` (may be NULL) runs first in every worker, with its index: warm-ups. */
enum infomask_status pool_create(struct pool **pool, int threads, void (*start)(void *context, int worker),
                                 void *context, struct infomask_error *err) __attribute__((warn_unused_result));
/* Runs every task that was posted, then ends the threads.  pool_free(NULL) does nothing. */
void pool_free(struct pool *pool);

/* Workers; 1 for NULL. */
int pool_threads(const struct pool *pool);

/* A task: owned by the caller until `run` starts, whose first act may be to free it.  Callable from any thread. */
struct pool_task {
    void (*run)(struct pool_task *task);
    STAILQ_ENTRY(pool_task) entry; /* the pool's */
};
void pool_post(struct pool *pool, struct pool_task *task);

/* Small work that need not wait for large: the next worker that is free takes an urgent task before all others, or one
 * whose task gives way runs it in between, where that calls pool_yield; the other tasks that give way help with its
 * loops.  One at a time is enough: each costs those that it interrupts its whole time.  Callable from any thread. */
void pool_post_urgent(struct pool *pool, struct pool_task *task);
/* Whether the task that this worker runs gives way from now on; what it was before.  It must hold nothing then that
 * another task could wait for. */
bool pool_give_way(bool gives_way);
/* Whether there is an urgent task, waiting or running: cheap, to be asked often. */
bool pool_urgent(const struct pool *pool);
/* Between the loops of a task that gives way: runs an urgent task, or helps the one that runs until it has ended or
 * has nothing to share for a while.  Anywhere else it does nothing. */
void pool_yield(struct pool *pool);

/* Runs fn(context) on a worker and returns when it is done (at once, in place, if the caller is one, or pool is NULL).
 */
void pool_run(struct pool *pool, void (*fn)(void *context), void *context);

/* body(context, i, worker) for i in [0, chunks); worker in [0, pool_threads) is the thread that runs the chunk, for
 * scratch memory.  Returns when all are done.  From a thread that is no worker it goes through pool_run; inside a
 * chunk, or with pool NULL, the loop runs in place (with the caller's worker index; 0 for NULL). */
typedef void pool_body(void *context, int chunk, int worker);
void pool_for(struct pool *pool, int chunks, pool_body *body, void *context);

#endif
