/* One slot per worker holds the loop that this worker has open.  A slot's ticket is generation << 32 | back << 16 |
 * front; a helper reads the ticket, then body, context and chunks, and claims a chunk by compare-and-swap.  A new loop
 * first closes the slot, by a ticket with nothing to claim, then writes the fields, then opens it: whoever has read a
 * field of the new loop under an old ticket must find the ticket changed, as the fields are released after the closing
 * and acquired before the swap.  Loops of more than 65,535 chunks are run in groups.
 *
 * Who opened the loop takes the front half first, helpers the back half, each in rising order, then what is left of the
 * other's: so from loop to loop a core mostly finds what it reads in its own cache, where it wrote it. */
#include "core/base/pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/queue.h>
#include <time.h>

#define MAX_CHUNKS 0xffff
#define CLOSED UINT64_C(0xffffffff) /* front and back beyond any loop */
#define IDLE_SPINS 4000 /* looks for work before sleeping: about 0.1 to 0.2 ms */
#define WAIT_SPINS 2000 /* before a waiting caller yields its core */
#define WAIT_YIELDS 4000 /* before it sleeps: kernels' chunks end far sooner, a chunk that reads a file may not */
#define WAIT_SLEEP_NS 100000

struct slot {
    _Alignas(64) _Atomic uint64_t ticket;
    _Atomic(pool_body *) body;
    _Atomic(void *) context;
    _Atomic uint32_t chunks;
    _Alignas(64) _Atomic uint32_t done;
};

STAILQ_HEAD(task_list, pool_task);

struct worker {
    struct pool *pool;
    int index;
    pthread_t thread;
};

struct pool {
    struct slot slot[POOL_MAX_THREADS];
    _Alignas(64) _Atomic uint64_t open; /* bit i: slot i has an open loop */
    _Atomic unsigned opened;            /* loops so far: who found nothing to claim sleeps until there is another */
    _Alignas(64) _Atomic int sleepers, queued;
    _Atomic int urgent; /* such tasks, waiting or running */
    pthread_mutex_t lock; /* guards the task lists and the sleep */
    pthread_cond_t wake;
    struct task_list tasks, urgent_tasks;
    bool closing;
    int threads, started;
    void (*start)(void *context, int worker);
    void *start_context;
    struct worker worker[POOL_MAX_THREADS];
};

/* which worker this thread is, whether it is inside a chunk, whether its task gives way, and whether it is urgent */
static _Thread_local struct {
    struct pool *pool;
    int index;
    bool inside, gives_way, urgent;
} self;

static inline void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Where the back half begins. */
static uint32_t half_of(uint32_t chunks) { return (chunks + 1) / 2; }

/* Claims and runs chunks of the slot's loop until none is left; true if it ran any. */
static bool slot_work(struct slot *slot, int worker, bool owner)
{
    bool any = false;

    for (;;) {
        uint64_t ticket = atomic_load_explicit(&slot->ticket, memory_order_acquire);
        uint32_t front = (uint32_t)(ticket & MAX_CHUNKS), back = (uint32_t)(ticket >> 16 & MAX_CHUNKS);
        uint32_t chunks = atomic_load_explicit(&slot->chunks, memory_order_acquire);
        pool_body *body = atomic_load_explicit(&slot->body, memory_order_acquire);
        void *context = atomic_load_explicit(&slot->context, memory_order_acquire);
        bool in_front = front < half_of(chunks), in_back = back < chunks, take_front = in_front && (owner || !in_back);

        if (!in_front && !in_back)
            return any;
        if (!atomic_compare_exchange_weak_explicit(&slot->ticket, &ticket, ticket + (take_front ? 1 : 1 << 16),
                                                   memory_order_acq_rel, memory_order_relaxed))
            continue;
        self.inside = true;
        body(context, (int)(take_front ? front : back), worker);
        self.inside = false;
        atomic_fetch_add_explicit(&slot->done, 1, memory_order_release);
        any = true;
    }
}

static bool help(struct pool *pool, int index)
{
    uint64_t open = atomic_load_explicit(&pool->open, memory_order_acquire);

    while (open != 0) {
        int bit = __builtin_ctzll(open);
        if (slot_work(&pool->slot[bit], index, false))
            return true;
        open &= open - 1;
    }
    return false;
}

static struct pool_task *take_first(struct task_list *list)
{
    struct pool_task *task = STAILQ_FIRST(list);

    if (task != NULL)
        STAILQ_REMOVE_HEAD(list, entry);
    return task;
}

/* Runs the next task, urgent ones first; false: there is none. */
static bool task_run(struct pool *pool, bool urgent_only)
{
    struct pool_task *task;
    bool urgent;

    if (atomic_load_explicit(&pool->queued, memory_order_acquire) == 0)
        return false;
    (void)pthread_mutex_lock(&pool->lock);
    task = take_first(&pool->urgent_tasks);
    urgent = task != NULL;
    if (task == NULL && !urgent_only)
        task = take_first(&pool->tasks);
    if (task != NULL)
        atomic_fetch_sub(&pool->queued, 1);
    (void)pthread_mutex_unlock(&pool->lock);
    if (task == NULL)
        return false;
    self.urgent = urgent;
    task->run(task);
    self.urgent = false;
    if (urgent)
        atomic_fetch_sub(&pool->urgent, 1);
    return true;
}

/* Sleeps until there is a task, or a loop beyond the `seen` ones; false when the pool closes and no task is left. */
static bool doze(struct pool *pool, unsigned seen)
{
    bool go_on;

    (void)pthread_mutex_lock(&pool->lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(&pool->queued) == 0 && atomic_load(&pool->opened) == seen && !pool->closing)
        (void)pthread_cond_wait(&pool->wake, &pool->lock);
    atomic_fetch_sub(&pool->sleepers, 1);
    go_on = !(pool->closing && atomic_load(&pool->queued) == 0);
    (void)pthread_mutex_unlock(&pool->lock);
    return go_on;
}

static void *worker_main(void *argument)
{
    struct worker *me = argument;
    struct pool *pool = me->pool;
    int idle = 0;

    self.pool = pool;
    self.index = me->index;
    if (pool->start != NULL)
        pool->start(pool->start_context, me->index);
    for (;;) {
        unsigned seen = atomic_load(&pool->opened); /* before the look for chunks, so that none is missed */
        if (task_run(pool, false) || help(pool, me->index)) {
            idle = 0;
        } else if (++idle < IDLE_SPINS) {
            relax();
        } else {
            idle = 0;
            if (!doze(pool, seen))
                return NULL;
        }
    }
}

enum infomask_status pool_create(struct pool **out, int threads, void (*start)(void *context, int worker),
                                 void *context, struct infomask_error *err)
{
    struct pool *pool;

    if (threads < 1 || threads > POOL_MAX_THREADS)
        return error_set(err, INFOMASK_ARGUMENT, "threads must be 1 to %d, not %d", POOL_MAX_THREADS, threads);
    pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
    if (pool == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the thread pool");
    *pool = (struct pool){.threads = threads, .start = start, .start_context = context};
    STAILQ_INIT(&pool->tasks);
    STAILQ_INIT(&pool->urgent_tasks);
    (void)pthread_mutex_init(&pool->lock, NULL);
    (void)pthread_cond_init(&pool->wake, NULL);
    for (int i = 0; i < threads; i++) {
        pool->worker[i] = (struct worker){.pool = pool, .index = i};
        if (pthread_create(&pool->worker[i].thread, NULL, worker_main, &pool->worker[i]) != 0) {
            pool_free(pool);
            return error_set(err, INFOMASK_INTERNAL, "thread %d of %d cannot be started", i + 1, threads);
        }
        pool->started++;
    }
    *out = pool;
    return INFOMASK_OK;
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    (void)pthread_cond_broadcast(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
    for (int i = 0; i < pool->started; i++)
        (void)pthread_join(pool->worker[i].thread, NULL);
    (void)pthread_cond_destroy(&pool->wake);
    (void)pthread_mutex_destroy(&pool->lock);
    free(pool);
}

int pool_threads(const struct pool *pool) { return pool == NULL ? 1 : pool->threads; }

static void post(struct pool *pool, struct task_list *list, struct pool_task *task)
{
    (void)pthread_mutex_lock(&pool->lock);
    STAILQ_INSERT_TAIL(list, task, entry);
    atomic_fetch_add(&pool->queued, 1);
    (void)pthread_cond_signal(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
}

void pool_post(struct pool *pool, struct pool_task *task) { post(pool, &pool->tasks, task); }

/* ---- Giving way -------------------------------------------------------------------------------------------------- */

void pool_post_urgent(struct pool *pool, struct pool_task *task)
{
    atomic_fetch_add(&pool->urgent, 1);
    post(pool, &pool->urgent_tasks, task);
}

bool pool_give_way(bool gives_way)
{
    bool before = self.gives_way;

    self.gives_way = gives_way;
    return before;
}

bool pool_urgent(const struct pool *pool)
{
    return pool != NULL && atomic_load_explicit(&pool->urgent, memory_order_relaxed) > 0;
}

/* Who helps waits for the next loop for as long as an idle worker would: the task that it interrupts is waited for. */
void pool_yield(struct pool *pool)
{
    if (pool == NULL || self.pool != pool || self.inside || !self.gives_way || self.urgent || !pool_urgent(pool))
        return; /* an urgent task is not interrupted itself */
    if (!task_run(pool, true))
        for (int idle = 0; idle < IDLE_SPINS && pool_urgent(pool); idle++) {
            if (help(pool, self.index))
                idle = 0;
            else
                relax();
        }
}

struct run_task {
    struct pool_task task;
    void (*fn)(void *context);
    void *context;
    pthread_mutex_t lock;
    pthread_cond_t done_signal;
    bool done;
};

static void run_task(struct pool_task *task)
{
    struct run_task *run = (struct run_task *)task;

    run->fn(run->context);
    (void)pthread_mutex_lock(&run->lock);
    run->done = true;
    (void)pthread_cond_signal(&run->done_signal);
    (void)pthread_mutex_unlock(&run->lock);
}

void pool_run(struct pool *pool, void (*fn)(void *context), void *context)
{
    struct run_task run = {.task.run = run_task, .fn = fn, .context = context};

    if (pool == NULL || self.pool == pool) {
        fn(context);
        return;
    }
    (void)pthread_mutex_init(&run.lock, NULL);
    (void)pthread_cond_init(&run.done_signal, NULL);
    pool_post(pool, &run.task);
    (void)pthread_mutex_lock(&run.lock);
    while (!run.done)
        (void)pthread_cond_wait(&run.done_signal, &run.lock);
    (void)pthread_mutex_unlock(&run.lock);
    (void)pthread_cond_destroy(&run.done_signal);
    (void)pthread_mutex_destroy(&run.lock);
}

static void wake_sleepers(struct pool *pool)
{
    if (atomic_load(&pool->sleepers) == 0)
        return;
    (void)pthread_mutex_lock(&pool->lock);
    (void)pthread_cond_broadcast(&pool->wake);
    (void)pthread_mutex_unlock(&pool->lock);
}

static void loop_open(struct pool *pool, struct slot *slot, int chunks, pool_body *body, void *context)
{
    uint64_t generation = (atomic_load_explicit(&slot->ticket, memory_order_relaxed) >> 32) + 1;

    atomic_store_explicit(&slot->ticket, generation << 32 | CLOSED, memory_order_relaxed);
    atomic_store_explicit(&slot->body, body, memory_order_release);
    atomic_store_explicit(&slot->context, context, memory_order_release);
    atomic_store_explicit(&slot->chunks, (uint32_t)chunks, memory_order_release);
    atomic_store_explicit(&slot->done, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->ticket, generation << 32 | (uint64_t)half_of((uint32_t)chunks) << 16,
                          memory_order_release);
    atomic_fetch_or(&pool->open, UINT64_C(1) << self.index);
    atomic_fetch_add(&pool->opened, 1); /* before the look at who sleeps */
    wake_sleepers(pool);
}

static void wait_a_little(unsigned looks)
{
    static const struct timespec nap = {.tv_nsec = WAIT_SLEEP_NS};

    if (looks < WAIT_SPINS)
        relax();
    else if (looks < WAIT_SPINS + WAIT_YIELDS)
        (void)sched_yield();
    else
        (void)nanosleep(&nap, NULL);
}

static void loop_run(struct pool *pool, int chunks, pool_body *body, void *context)
{
    struct slot *slot = &pool->slot[self.index];

    loop_open(pool, slot, chunks, body, context);
    (void)slot_work(slot, self.index, true);
    atomic_fetch_and(&pool->open, ~(UINT64_C(1) << self.index));
    for (unsigned looks = 0; atomic_load_explicit(&slot->done, memory_order_acquire) < (uint32_t)chunks; looks++)
        wait_a_little(looks);
}

struct for_call {
    struct pool *pool;
    int chunks;
    pool_body *body;
    void *context;
};

static void for_on_worker(void *context)
{
    struct for_call *call = context;
    pool_for(call->pool, call->chunks, call->body, call->context);
}

struct shifted {
    pool_body *body;
    void *context;
    int first;
};

static void shifted_body(void *context, int chunk, int worker)
{
    struct shifted *shifted = context;
    shifted->body(shifted->context, shifted->first + chunk, worker);
}

void pool_for(struct pool *pool, int chunks, pool_body *body, void *context)
{
    if (pool == NULL || (self.pool == pool && (self.inside || pool->threads == 1 || chunks <= 1))) {
        for (int i = 0; i < chunks; i++)
            body(context, i, pool == NULL ? 0 : self.index);
        return;
    }
    if (self.pool != pool) {
        struct for_call call = {pool, chunks, body, context};
        pool_run(pool, for_on_worker, &call);
        return;
    }
    for (int first = 0; first < chunks; first += MAX_CHUNKS) {
        struct shifted shifted = {body, context, first};
        int count = chunks - first < MAX_CHUNKS ? chunks - first : MAX_CHUNKS;
        loop_run(pool, count, shifted_body, &shifted);
    }
}
