#include "server/queue/queue.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "app/view/views.h"

/* One pool task a waiting job says only "take one": which job it will be is decided when a thread is free. */
struct token {
    struct pool_task task;
    struct jobs *jobs;
};

struct jobs {
    struct pool *pool;
    pthread_mutex_t lock;
    struct job *first, **last;
    int waiting, running, capacity;
    double mean_ms;
    double started[POOL_MAX_THREADS];  /* when each running job began; 0: free slot */
    double deadline[POOL_MAX_THREADS]; /* and should have ended */
    size_t done, late, gone, refused;
};

enum infomask_status jobs_create(struct jobs **out, struct pool *pool, int capacity, struct infomask_error *err)
{
    struct jobs *jobs = calloc(1, sizeof *jobs);

    if (jobs == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the queue");
    jobs->pool = pool;
    jobs->capacity = capacity;
    jobs->last = &jobs->first;
    (void)pthread_mutex_init(&jobs->lock, NULL);
    *out = jobs;
    return INFOMASK_OK;
}

void jobs_free(struct jobs *jobs)
{
    if (jobs == NULL)
        return;
    (void)pthread_mutex_destroy(&jobs->lock);
    free(jobs);
}

static struct job *take_first(struct jobs *jobs)
{
    struct job *job = jobs->first;

    if (job == NULL)
        return NULL;
    jobs->first = job->next;
    if (jobs->first == NULL)
        jobs->last = &jobs->first;
    jobs->waiting--;
    return job;
}

static int start_slot(struct jobs *jobs, double now, double deadline)
{
    int slot = 0;

    while (slot < POOL_MAX_THREADS - 1 && jobs->started[slot] != 0)
        slot++;
    jobs->started[slot] = now;
    jobs->deadline[slot] = deadline;
    jobs->running++;
    return slot;
}

static void end_slot(struct jobs *jobs, int slot, bool ran)
{
    double took;

    (void)pthread_mutex_lock(&jobs->lock);
    took = view_clock_ms() - jobs->started[slot];
    jobs->started[slot] = 0;
    jobs->running--;
    jobs->done += ran;
    if (ran)
        jobs->mean_ms = jobs->done == 1 ? took : jobs->mean_ms + 0.05 * (took - jobs->mean_ms);
    (void)pthread_mutex_unlock(&jobs->lock);
}

static void drop(struct jobs *jobs, struct job *job, enum job_drop why)
{
    (void)pthread_mutex_lock(&jobs->lock);
    jobs->late += why == JOB_TOO_LATE;
    jobs->gone += why == JOB_GONE;
    (void)pthread_mutex_unlock(&jobs->lock);
    job->drop(job, why);
}

static void run_one(struct pool_task *task)
{
    struct jobs *jobs = ((struct token *)task)->jobs;
    double now = view_clock_ms();
    struct job *job;
    bool ran = false;
    int slot = 0;

    free(task);
    (void)pthread_mutex_lock(&jobs->lock);
    job = take_first(jobs);
    if (job != NULL) /* counted as running before the lock is left: a drain must never see it in neither place */
        slot = start_slot(jobs, now, job->deadline_ms);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (job == NULL)
        return;
    job->queue_ms = now - job->submitted_ms;
    if (now > job->deadline_ms) {
        drop(jobs, job, JOB_TOO_LATE);
    } else if (job->gone != NULL && job->gone(job)) {
        drop(jobs, job, JOB_GONE);
    } else {
        ran = true;
        job->run(job);
    }
    end_slot(jobs, slot, ran);
}

bool jobs_submit(struct jobs *jobs, struct job *job)
{
    struct token *token = malloc(sizeof *token);
    bool room;

    if (token == NULL)
        return false;
    *token = (struct token){.task.run = run_one, .jobs = jobs};
    job->next = NULL;
    job->submitted_ms = view_clock_ms();
    (void)pthread_mutex_lock(&jobs->lock);
    room = jobs->waiting < jobs->capacity;
    if (room) {
        *jobs->last = job;
        jobs->last = &job->next;
        jobs->waiting++;
    } else {
        jobs->refused++;
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (room)
        pool_post(jobs->pool, &token->task);
    else
        free(token);
    return room;
}

bool jobs_overloaded(struct jobs *jobs, double deadline_ms, int *retry_after)
{
    double wait;
    bool full;

    (void)pthread_mutex_lock(&jobs->lock);
    wait = jobs->mean_ms * jobs->waiting / pool_threads(jobs->pool);
    full = jobs->waiting >= jobs->capacity;
    full = full || (jobs->waiting > 0 && view_clock_ms() + wait > deadline_ms);
    (void)pthread_mutex_unlock(&jobs->lock);
    *retry_after = (int)fmin(60, fmax(1, ceil(wait / 1000)));
    return full;
}

void jobs_expire(struct jobs *jobs)
{
    double now = view_clock_ms();
    struct job *late = NULL, **place, *job;

    (void)pthread_mutex_lock(&jobs->lock);
    place = &jobs->first;
    while ((job = *place) != NULL) {
        if (now <= job->deadline_ms) {
            place = &job->next;
            continue;
        }
        *place = job->next;
        jobs->waiting--;
        jobs->running++; /* not lost to a drain until its answer is made */
        job->next = late;
        late = job;
    }
    jobs->last = place;
    (void)pthread_mutex_unlock(&jobs->lock);
    while ((job = late) != NULL) {
        late = job->next;
        job->queue_ms = now - job->submitted_ms;
        drop(jobs, job, JOB_TOO_LATE);
        (void)pthread_mutex_lock(&jobs->lock);
        jobs->running--;
        (void)pthread_mutex_unlock(&jobs->lock);
    }
}

void jobs_state(struct jobs *jobs, struct jobs_state *state)
{
    double now = view_clock_ms(), oldest = now, due = now;

    (void)pthread_mutex_lock(&jobs->lock);
    for (int i = 0; i < POOL_MAX_THREADS; i++) {
        if (jobs->started[i] == 0)
            continue;
        oldest = fmin(oldest, jobs->started[i]);
        due = fmin(due, jobs->deadline[i]);
    }
    *state = (struct jobs_state){.waiting = jobs->waiting, .running = jobs->running, .capacity = jobs->capacity,
                                 .mean_ms = jobs->mean_ms, .oldest_ms = now - oldest, .overdue_ms = now - due, .done = jobs->done,
                                 .late = jobs->late, .gone = jobs->gone, .refused = jobs->refused};
    (void)pthread_mutex_unlock(&jobs->lock);
}
