/* Who interrupts whom on the compute threads, and which refusals wait. */
#include "test.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "server/clients/held.h"
#include "server/queue/queue.h"

enum { GREEDY = 1, OTHER, POLITE };

static const double PATIENCE_MS = 60000; /* beyond it, what should happen never will */

struct bench {
    struct pool *pool;
    struct queue *queue;
    _Atomic bool end;       /* the long tasks may end */
    _Atomic int long_ones;  /* of them that run now */
    _Atomic int together;   /* chunks of the polite task that have begun */
    _Atomic int inside;     /* how many were urgent when another came in the middle of one */
    _Atomic int seen, ended; /* long tasks that ran when the polite one did; tasks that have ended */
};

struct test_task {
    struct queue_task task; /* first */
    struct bench *bench;
};

static bool wait_for(_Atomic int *value, int wanted)
{
    double end = clock_ms() + PATIENCE_MS;

    while (atomic_load(value) < wanted && clock_ms() < end)
        (void)nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    return atomic_load(value) >= wanted;
}

static void nothing(void *context, int chunk, int worker)
{
    (void)context;
    (void)chunk;
    (void)worker;
}

/* Computes, step by step, until it is told to end. */
static void run_long(struct queue_task *task)
{
    struct bench *bench = ((struct test_task *)(void *)task)->bench;
    double end = clock_ms() + PATIENCE_MS;

    atomic_fetch_add(&bench->long_ones, 1);
    while (!atomic_load(&bench->end) && clock_ms() < end) {
        pool_for(bench->pool, 4, nothing, NULL);
        pool_yield(bench->pool);
    }
    atomic_fetch_sub(&bench->long_ones, 1);
    free(task);
    atomic_fetch_add(&bench->ended, 1);
}

/* Each chunk waits for the other: one thread alone does not get through. */
static void meet(void *context, int chunk, int worker)
{
    struct bench *bench = context;

    (void)chunk;
    (void)worker;
    atomic_fetch_add(&bench->together, 1);
    assert_true(wait_for(&bench->together, 2));
}

static void submit(struct bench *bench, uint64_t client, bool gives_way, void (*run)(struct queue_task *task));
static size_t urgent(struct bench *bench);

static void run_short(struct queue_task *task)
{
    struct bench *bench = ((struct test_task *)(void *)task)->bench;

    if (task->turn.client == POLITE && atomic_load(&bench->inside) == 0) {
        submit(bench, OTHER, true, run_short); /* it would be urgent, too, if it came alone */
        atomic_store(&bench->inside, (int)urgent(bench));
    }
    atomic_store(&bench->seen, atomic_load(&bench->long_ones));
    pool_for(bench->pool, 2, meet, bench);
    free(task);
    atomic_fetch_add(&bench->ended, 1);
}

static void dropped(struct queue_task *task, enum queue_drop why)
{
    (void)task;
    fail_msg("a task was dropped: %d", (int)why);
}

static void submit(struct bench *bench, uint64_t client, bool gives_way, void (*run)(struct queue_task *task))
{
    struct test_task *made = calloc(1, sizeof *made);

    made->bench = bench;
    made->task = (struct queue_task){.run = run, .drop = dropped, .turn = {.client = client, .cost = 1},
                                     .gives_way = gives_way, .deadline_ms = INFINITY};
    assert_true(queue_submit(bench->queue, &made->task));
}

static void open_bench(struct bench *bench)
{
    *bench = (struct bench){0};
    assert_int_equal(pool_create(&bench->pool, 2, NULL, NULL, NULL), INFOMASK_OK);
    assert_int_equal(queue_create(&bench->queue, bench->pool, 16, NULL), INFOMASK_OK);
}

static void close_bench(struct bench *bench, int tasks)
{
    atomic_store(&bench->end, true);
    assert_true(wait_for(&bench->ended, tasks));
    pool_free(bench->pool);
    queue_free(bench->queue);
}

static size_t urgent(struct bench *bench)
{
    struct queue_state state;

    queue_state(bench->queue, &state);
    return state.urgent;
}

/* It runs in the middle of one of the two that never end by themselves, the other helps; and only once. */
static void who_asks_now_and_then_does_not_wait(void **state)
{
    struct bench bench;

    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 4; i++)
        submit(&bench, GREEDY, true, run_long);
    assert_true(wait_for(&bench.long_ones, 2));
    submit(&bench, POLITE, true, run_short);
    assert_true(wait_for(&bench.ended, 1));
    assert_int_equal(bench.seen, 2);
    assert_int_equal(bench.inside, 1);
    assert_true(bench.together >= 2);
    submit(&bench, POLITE, true, run_short); /* it has had its turn: the greedy one's is next */
    assert_int_equal(urgent(&bench), 1);
    close_bench(&bench, 7);
}

static void one_task_each_is_not_interrupted(void **state)
{
    struct bench bench;

    (void)state;
    open_bench(&bench);
    submit(&bench, GREEDY, true, run_long);
    submit(&bench, OTHER, true, run_long);
    assert_true(wait_for(&bench.long_ones, 2));
    submit(&bench, POLITE, true, run_short);
    assert_int_equal(urgent(&bench), 0);
    assert_int_equal(bench.together, 0);
    close_bench(&bench, 3);
}

/* Neither interrupts nor is interrupted: what may hold something that the other waits for. */
static void some_tasks_are_left_alone(void **state)
{
    struct bench bench;

    (void)state;
    for (int i = 0; i < 2; i++) {
        open_bench(&bench);
        submit(&bench, GREEDY, i == 0, run_long);
        submit(&bench, GREEDY, i == 0, run_long);
        assert_true(wait_for(&bench.long_ones, 2));
        submit(&bench, POLITE, i == 1, run_short);
        assert_int_equal(urgent(&bench), 0);
        assert_int_equal(bench.together, 0);
        close_bench(&bench, 3);
    }
}

/* ---- Refusals ---------------------------------------------------------------------------------------------------- */

static int released;

static void release(struct held_item *item)
{
    item->due_ms = ++released;
}

static void refusals_beyond_the_rate_wait(void **state)
{
    struct held *held;
    struct held_item items[3] = {{.release = release}, {.release = release}, {.release = release}};

    (void)state;
    released = 0;
    assert_int_equal(held_create(&held, 5, NULL), INFOMASK_OK);
    for (int i = 0; i < 5; i++)
        assert_false(held_wants(held, GREEDY, 1000));
    for (int i = 0; i < 3; i++) {
        assert_true(held_wants(held, GREEDY, 1000 + 10 * i));
        held_take(held, &items[i], 1000 + 10 * i);
    }
    assert_false(held_wants(held, POLITE, 1000));
    assert_false(held_wants(held, GREEDY, 2100)); /* a second later it may have some again */
    assert_false(held_wants(held, 0, 1000));
    assert_false(held_wants(NULL, GREEDY, 1000));
    held_release(held, 1000 + HELD_MS - 1);
    assert_int_equal(released, 0);
    held_release(held, 1010 + HELD_MS);
    assert_int_equal(released, 2);
    held_release(held, INFINITY);
    assert_int_equal(released, 3);
    for (int i = 0; i < 3; i++)
        assert_true(items[i].due_ms == i + 1); /* first come, first served */
    assert_int_equal(held_count(held), 3);
    held_free(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_asks_now_and_then_does_not_wait),
        cmocka_unit_test(one_task_each_is_not_interrupted),
        cmocka_unit_test(some_tasks_are_left_alone),
        cmocka_unit_test(refusals_beyond_the_rate_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
