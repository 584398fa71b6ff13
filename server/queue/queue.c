#include "server/queue/queue.h"

#include <math.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "app/view/views.h"
#include "core/base/clock.h"

#define SLOTS (2 * POOL_MAX_THREADS)

/* One pool task a waiting task says only "take one": which task it will be is decided when a thread is free. */
struct token {
    struct pool_task task;
    struct queue *queue;
    bool urgent;
};

struct running { /* a task on a thread */
    double started_ms, deadline_ms; /* when it began, 0: free slot; should have ended */
    uint64_t client;
    bool gives_way;
};

struct queue {
    struct pool *pool;
    pthread_mutex_t lock;
    struct fair *fair; /* what waits */
    int running, capacity;
    double mean_ms;
    struct running slots[SLOTS]; /* a thread may have one that is interrupted */
    size_t done, late, gone, crowded, refused, urgent;
    bool urgent_open;       /* one that interrupts is on its way or runs */
    double urgent_after_ms; /* and the next may come at this time */
};

enum infomask_status queue_create(struct queue **out, struct pool *pool, int capacity, struct infomask_error *err)
{
    struct queue *queue = calloc(1, sizeof *queue);
    enum infomask_status status;

    if (queue == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the queue");
    status = fair_create(&queue->fair, capacity, err);
    if (status != INFOMASK_OK) {
        free(queue);
        return status;
    }
    queue->pool = pool;
    queue->capacity = capacity;
    (void)pthread_mutex_init(&queue->lock, NULL);
    *out = queue;
    return INFOMASK_OK;
}

void queue_free(struct queue *queue)
{
    if (queue == NULL)
        return;
    (void)pthread_mutex_destroy(&queue->lock);
    fair_free(queue->fair);
    free(queue);
}

static struct queue_task *task_of(struct fair_item *item)
{
    return item == NULL ? NULL : (struct queue_task *)(void *)((char *)item - offsetof(struct queue_task, turn));
}

static int start_slot(struct queue *queue, double now, const struct queue_task *task)
{
    int slot = 0;

    while (slot < SLOTS - 1 && queue->slots[slot].started_ms != 0)
        slot++;
    queue->slots[slot] = (struct running){now, task->deadline_ms, task->turn.client, task->gives_way};
    queue->running++;
    return slot;
}

static void end_slot(struct queue *queue, int slot, bool ran, double cost)
{
    double took;

    (void)pthread_mutex_lock(&queue->lock);
    took = (clock_ms() - queue->slots[slot].started_ms) / fmax(cost, 0.1);
    queue->slots[slot] = (struct running){0};
    queue->running--;
    queue->done += ran;
    if (ran)
        queue->mean_ms = queue->done == 1 ? took : queue->mean_ms + 0.05 * (took - queue->mean_ms);
    (void)pthread_mutex_unlock(&queue->lock);
}

static int running_of(const struct queue *queue, uint64_t client)
{
    int count = 0;

    for (int i = 0; i < SLOTS; i++)
        count += queue->slots[i].started_ms != 0 && queue->slots[i].client == client;
    return count;
}

/* Whether a client that has nothing here comes to where all threads are busy, and one of them by a client that has
 * more than that. */
static bool goes_before(const struct queue *queue, uint64_t client, double now)
{
    if (queue->urgent_open || now < queue->urgent_after_ms || queue->running < pool_threads(queue->pool))
        return false;
    if (!fair_is_fresh(queue->fair, client) || running_of(queue, client) > 0)
        return false;
    for (int i = 0; i < SLOTS; i++) {
        const struct running *one = &queue->slots[i];
        if (one->started_ms != 0 && one->gives_way &&
            running_of(queue, one->client) + fair_waiting_of(queue->fair, one->client) > 1)
            return true;
    }
    return false;
}

static void drop(struct queue *queue, struct queue_task *task, enum queue_drop why)
{
    (void)pthread_mutex_lock(&queue->lock);
    queue->late += why == QUEUE_TOO_LATE;
    queue->gone += why == QUEUE_GONE;
    queue->crowded += why == QUEUE_CROWDED;
    (void)pthread_mutex_unlock(&queue->lock);
    task->drop(task, why);
}

static void run_task(struct queue_task *task)
{
    bool before = pool_give_way(task->gives_way);

    task->run(task);
    (void)pool_give_way(before);
}

/* The next task, counted as running before the lock is left: a drain must never see it in neither place. */
static struct queue_task *take(struct queue *queue, double now, int *slot)
{
    struct queue_task *task;

    (void)pthread_mutex_lock(&queue->lock);
    task = task_of(fair_take(queue->fair));
    if (task != NULL)
        *slot = start_slot(queue, now, task);
    (void)pthread_mutex_unlock(&queue->lock);
    return task;
}

/* A free thread took what was urgent: the rest can wait. */
static bool wait_after_all(struct token *token)
{
    struct queue *queue = token->queue;

    (void)pthread_mutex_lock(&queue->lock);
    token->urgent = fair_next_is_fresh(queue->fair);
    queue->urgent_open = token->urgent;
    (void)pthread_mutex_unlock(&queue->lock);
    if (token->urgent)
        return false;
    pool_post(queue->pool, &token->task);
    return true;
}

/* As long as it took from the others, none may interrupt them again: many who ask once cannot stop who has begun. */
static void end_urgent(struct queue *queue, double started)
{
    double now = clock_ms();

    (void)pthread_mutex_lock(&queue->lock);
    queue->urgent_open = false;
    queue->urgent_after_ms = now + (now - started);
    (void)pthread_mutex_unlock(&queue->lock);
}

static void run_one(struct pool_task *pooled)
{
    struct token *token = (struct token *)pooled;
    struct queue *queue = token->queue;
    double now = clock_ms();
    struct queue_task *task;
    bool ran = false, urgent = token->urgent;
    double cost = 1;
    int slot = 0;

    if (urgent && wait_after_all(token))
        return;
    free(token);
    task = take(queue, now, &slot);
    if (task == NULL) {
        if (urgent)
            end_urgent(queue, now);
        return;
    }
    task->queue_ms = now - task->submitted_ms;
    cost = task->turn.cost;
    if (now > task->deadline_ms) {
        drop(queue, task, QUEUE_TOO_LATE);
    } else if (task->gone != NULL && task->gone(task)) {
        drop(queue, task, QUEUE_GONE);
    } else {
        ran = true;
        run_task(task);
    }
    end_slot(queue, slot, ran, cost);
    if (urgent)
        end_urgent(queue, now);
}

/* Drops what was taken out while it was counted as running, so that a drain never saw it in neither place. */
static void drop_taken(struct queue *queue, struct queue_task *task, enum queue_drop why)
{
    task->queue_ms = clock_ms() - task->submitted_ms;
    drop(queue, task, why);
    (void)pthread_mutex_lock(&queue->lock);
    queue->running--;
    (void)pthread_mutex_unlock(&queue->lock);
}

bool queue_submit(struct queue *queue, struct queue_task *task)
{
    struct token *token = malloc(sizeof *token);
    struct fair_item *evicted;
    bool room;

    if (token == NULL)
        return false;
    *token = (struct token){.task.run = run_one, .queue = queue};
    task->submitted_ms = clock_ms();
    (void)pthread_mutex_lock(&queue->lock);
    token->urgent = task->gives_way && goes_before(queue, task->turn.client, task->submitted_ms);
    room = fair_put(queue->fair, &task->turn, &evicted);
    queue->urgent_open = queue->urgent_open || (room && token->urgent);
    queue->urgent += room && token->urgent;
    queue->refused += !room;
    queue->running += evicted != NULL;
    (void)pthread_mutex_unlock(&queue->lock);
    if (!room)
        free(token);
    else if (token->urgent)
        pool_post_urgent(queue->pool, &token->task);
    else
        pool_post(queue->pool, &token->task);
    if (evicted != NULL)
        drop_taken(queue, task_of(evicted), QUEUE_CROWDED);
    return room;
}

bool queue_overloaded(struct queue *queue, uint64_t client, double deadline_ms, int *retry_after)
{
    double wait;
    bool full;

    (void)pthread_mutex_lock(&queue->lock);
    wait = queue->mean_ms * fair_ahead(queue->fair, client) / pool_threads(queue->pool);
    full = !fair_has_room(queue->fair, client);
    full = full || (fair_waiting(queue->fair) > 0 && clock_ms() + wait > deadline_ms);
    (void)pthread_mutex_unlock(&queue->lock);
    *retry_after = (int)fmin(60, fmax(1, ceil(wait / 1000)));
    return full;
}

static bool is_late(const struct fair_item *item, void *now)
{
    const struct queue_task *task = (const struct queue_task *)(const void *)((const char *)item -
                                                                              offsetof(struct queue_task, turn));
    return *(const double *)now > task->deadline_ms;
}

void queue_expire(struct queue *queue)
{
    double now = clock_ms();
    struct fair_list late = TAILQ_HEAD_INITIALIZER(late);
    struct fair_item *item;

    (void)pthread_mutex_lock(&queue->lock);
    fair_take_if(queue->fair, is_late, &now, &late);
    TAILQ_FOREACH(item, &late, entry)
        queue->running++;
    (void)pthread_mutex_unlock(&queue->lock);
    while ((item = TAILQ_FIRST(&late)) != NULL) {
        TAILQ_REMOVE(&late, item, entry);
        drop_taken(queue, task_of(item), QUEUE_TOO_LATE);
    }
}

void queue_state(struct queue *queue, struct queue_state *state)
{
    double now = clock_ms(), oldest = now, due = now;

    (void)pthread_mutex_lock(&queue->lock);
    for (int i = 0; i < SLOTS; i++) {
        if (queue->slots[i].started_ms == 0)
            continue;
        oldest = fmin(oldest, queue->slots[i].started_ms);
        due = fmin(due, queue->slots[i].deadline_ms);
    }
    *state = (struct queue_state){.waiting = fair_waiting(queue->fair),
                                  .running = queue->running,
                                  .capacity = queue->capacity,
                                  .mean_ms = queue->mean_ms,
                                  .oldest_ms = now - oldest,
                                  .overdue_ms = now - due,
                                  .done = queue->done,
                                  .late = queue->late,
                                  .gone = queue->gone,
                                  .crowded = queue->crowded,
                                  .refused = queue->refused,
                                  .urgent = queue->urgent};
    (void)pthread_mutex_unlock(&queue->lock);
}
