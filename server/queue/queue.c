#include "server/queue/queue.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "app/view/views.h"
#include "core/base/clock.h"

/* One pool task a waiting task says only "take one": which task it will be is decided when a thread is free. */
struct token {
    struct pool_task task;
    struct queue *queue;
};

struct queue {
    struct pool *pool;
    pthread_mutex_t lock;
    struct queue_task *first, **last;
    int waiting, running, capacity;
    double mean_ms;
    double started[POOL_MAX_THREADS];  /* when each running task began; 0: free slot */
    double deadline[POOL_MAX_THREADS]; /* and should have ended */
    size_t done, late, gone, refused;
};

enum infomask_status queue_create(struct queue **out, struct pool *pool, int capacity, struct infomask_error *err)
{
    struct queue *queue = calloc(1, sizeof *queue);

    if (queue == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the queue");
    queue->pool = pool;
    queue->capacity = capacity;
    queue->last = &queue->first;
    (void)pthread_mutex_init(&queue->lock, NULL);
    *out = queue;
    return INFOMASK_OK;
}

void queue_free(struct queue *queue)
{
    if (queue == NULL)
        return;
    (void)pthread_mutex_destroy(&queue->lock);
    free(queue);
}

static struct queue_task *take_first(struct queue *queue)
{
    struct queue_task *task = queue->first;

    if (task == NULL)
        return NULL;
    queue->first = task->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    queue->waiting--;
    return task;
}

static int start_slot(struct queue *queue, double now, double deadline)
{
    int slot = 0;

    while (slot < POOL_MAX_THREADS - 1 && queue->started[slot] != 0)
        slot++;
    queue->started[slot] = now;
    queue->deadline[slot] = deadline;
    queue->running++;
    return slot;
}

static void end_slot(struct queue *queue, int slot, bool ran)
{
    double took;

    (void)pthread_mutex_lock(&queue->lock);
    took = clock_ms() - queue->started[slot];
    queue->started[slot] = 0;
    queue->running--;
    queue->done += ran;
    if (ran)
        queue->mean_ms = queue->done == 1 ? took : queue->mean_ms + 0.05 * (took - queue->mean_ms);
    (void)pthread_mutex_unlock(&queue->lock);
}

static void drop(struct queue *queue, struct queue_task *task, enum queue_drop why)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->late += why == QUEUE_TOO_LATE;
    queue->gone += why == QUEUE_GONE;
    (void)pthread_mutex_unlock(&queue->lock);
    task->drop(task, why);
}

static void run_one(struct pool_task *pooled)
{
    struct queue *queue = ((struct token *)pooled)->queue;
    double now = clock_ms();
    struct queue_task *task;
    bool ran = false;
    int slot = 0;

    free(pooled);
    (void)pthread_mutex_lock(&queue->lock);
    task = take_first(queue);
    if (task != NULL) /* counted as running before the lock is left: a drain must never see it in neither place */
        slot = start_slot(queue, now, task->deadline_ms);
    (void)pthread_mutex_unlock(&queue->lock);
    if (task == NULL)
        return;
    task->queue_ms = now - task->submitted_ms;
    if (now > task->deadline_ms) {
        drop(queue, task, QUEUE_TOO_LATE);
    } else if (task->gone != NULL && task->gone(task)) {
        drop(queue, task, QUEUE_GONE);
    } else {
        ran = true;
        task->run(task);
    }
    end_slot(queue, slot, ran);
}

bool queue_submit(struct queue *queue, struct queue_task *task)
{
    struct token *token = malloc(sizeof *token);
    bool room;

    if (token == NULL)
        return false;
    *token = (struct token){.task.run = run_one, .queue = queue};
    task->next = NULL;
    task->submitted_ms = clock_ms();
    (void)pthread_mutex_lock(&queue->lock);
    room = queue->waiting < queue->capacity;
    if (room) {
        *queue->last = task;
        queue->last = &task->next;
        queue->waiting++;
    } else {
        queue->refused++;
    }
    (void)pthread_mutex_unlock(&queue->lock);
    if (room)
        pool_post(queue->pool, &token->task);
    else
        free(token);
    return room;
}

bool queue_overloaded(struct queue *queue, double deadline_ms, int *retry_after)
{
    double wait;
    bool full;

    (void)pthread_mutex_lock(&queue->lock);
    wait = queue->mean_ms * queue->waiting / pool_threads(queue->pool);
    full = queue->waiting >= queue->capacity;
    full = full || (queue->waiting > 0 && clock_ms() + wait > deadline_ms);
    (void)pthread_mutex_unlock(&queue->lock);
    *retry_after = (int)fmin(60, fmax(1, ceil(wait / 1000)));
    return full;
}

void queue_expire(struct queue *queue)
{
    double now = clock_ms();
    struct queue_task *late = NULL, **place, *task;

    (void)pthread_mutex_lock(&queue->lock);
    place = &queue->first;
    while ((task = *place) != NULL) {
        if (now <= task->deadline_ms) {
            place = &task->next;
            continue;
        }
        *place = task->next;
        queue->waiting--;
        queue->running++; /* not lost to a drain until its answer is made */
        task->next = late;
        late = task;
    }
    queue->last = place;
    (void)pthread_mutex_unlock(&queue->lock);
    while ((task = late) != NULL) {
        late = task->next;
        task->queue_ms = now - task->submitted_ms;
        drop(queue, task, QUEUE_TOO_LATE);
        (void)pthread_mutex_lock(&queue->lock);
        queue->running--;
        (void)pthread_mutex_unlock(&queue->lock);
    }
}

void queue_state(struct queue *queue, struct queue_state *state)
{
    double now = clock_ms(), oldest = now, due = now;

    (void)pthread_mutex_lock(&queue->lock);
    for (int i = 0; i < POOL_MAX_THREADS; i++) {
        if (queue->started[i] == 0)
            continue;
        oldest = fmin(oldest, queue->started[i]);
        due = fmin(due, queue->deadline[i]);
    }
    *state = (struct queue_state){.waiting = queue->waiting, .running = queue->running, .capacity = queue->capacity,
                                 .mean_ms = queue->mean_ms, .oldest_ms = now - oldest, .overdue_ms = now - due, .done = queue->done,
                                 .late = queue->late, .gone = queue->gone, .refused = queue->refused};
    (void)pthread_mutex_unlock(&queue->lock);
}
