/* Whose turn it is, in an order that can be told beforehand. */
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "server/queue/fair.h"

enum { CAPACITY = 256 };

static struct fair *made(int capacity)
{
    struct fair *fair;

    assert_int_equal(fair_create(&fair, capacity, NULL), INFOMASK_OK);
    return fair;
}

static void put(struct fair *fair, uint64_t client, double cost, int count)
{
    for (int i = 0; i < count; i++) {
        struct fair_item *item = calloc(1, sizeof *item), *evicted;
        *item = (struct fair_item){.client = client, .cost = cost};
        assert_true(fair_put(fair, item, &evicted));
        assert_null(evicted);
    }
}

static uint64_t take(struct fair *fair)
{
    struct fair_item *item = fair_take(fair);
    uint64_t client = item == NULL ? 0 : item->client;

    free(item);
    return client;
}

static void drain(struct fair *fair)
{
    while (fair_waiting(fair) > 0)
        (void)take(fair);
    assert_null(fair_take(fair));
    fair_free(fair);
}

/* Somebody who asks once is next, whatever another has waiting; also the tenth time. */
static void a_polite_client_is_next(void **state)
{
    struct fair *fair = made(CAPACITY);

    (void)state;
    put(fair, 1, 1, 200);
    assert_int_equal(take(fair), 1);
    for (int i = 0; i < 10; i++) {
        put(fair, 2, 1, 1);
        assert_true(fair_ahead(fair, 3) <= 2); /* one of each, not two hundred */
        uint64_t first = take(fair), second = take(fair);
        assert_true(first == 2 || second == 2);
        assert_true(first == 1 || second == 1);
    }
    drain(fair);
}

static void many_polite_clients_starve_nobody(void **state)
{
    struct fair *fair = made(CAPACITY);
    int greedy = 0;

    (void)state;
    put(fair, 1, 1, 100);
    for (uint64_t client = 2; client < 12; client++)
        put(fair, client, 1, 1);
    for (int i = 0; i < 220; i++) { /* whoever is answered asks again at once */
        uint64_t client = take(fair);
        greedy += client == 1;
        if (client != 1)
            put(fair, client, 1, 1);
    }
    assert_true(greedy >= 18 && greedy <= 22); /* one of eleven turns */
    drain(fair);
}

static void turns_are_of_cost(void **state)
{
    struct fair *fair = made(CAPACITY);
    int cheap = 0, dear = 0;

    (void)state;
    put(fair, 1, 10, 20);
    put(fair, 2, 1, 200);
    for (int i = 0; i < 110; i++) {
        bool is_dear = take(fair) == 1;
        dear += is_dear;
        cheap += !is_dear;
    }
    assert_true(dear >= 9 && dear <= 11 && cheap >= 99 && cheap <= 101);
    drain(fair);
}

static void costs_beyond_the_most_are_served(void **state)
{
    struct fair *fair = made(8);

    (void)state;
    put(fair, 1, 1e300, 2);
    put(fair, 2, -1, 1);
    for (int i = 0; i < 3; i++)
        assert_int_not_equal(take(fair), 0);
    drain(fair);
}

static void a_full_queue_has_a_place_for_who_has_least(void **state)
{
    struct fair *fair = made(8);
    struct fair_item more[6], *evicted;

    (void)state;
    put(fair, 1, 1, 8);
    more[0] = (struct fair_item){.client = 1, .cost = 1};
    assert_false(fair_has_room(fair, 1));
    assert_false(fair_put(fair, &more[0], &evicted));
    for (int i = 0; i < 4; i++) { /* until both have as many */
        more[i] = (struct fair_item){.client = 2, .cost = 1};
        assert_true(fair_has_room(fair, 2) && fair_put(fair, &more[i], &evicted));
        assert_non_null(evicted);
        assert_int_equal(evicted->client, 1);
        free(evicted);
        assert_int_equal(fair_waiting(fair), 8);
    }
    more[4] = (struct fair_item){.client = 2, .cost = 1};
    assert_false(fair_put(fair, &more[4], &evicted));
    assert_null(evicted);
    for (int i = 0; i < 8; i++) {
        struct fair_item *item = fair_take(fair);
        if (item->client == 1)
            free(item);
    }
    drain(fair);
}

static bool is_of(const struct fair_item *item, void *client) { return item->client == *(uint64_t *)client; }

static void some_are_taken_out(void **state)
{
    struct fair *fair = made(CAPACITY);
    uint64_t client = 2;
    struct fair_list taken = TAILQ_HEAD_INITIALIZER(taken);
    struct fair_item *item;
    int count = 0;

    (void)state;
    for (int i = 0; i < 5; i++) {
        put(fair, 1, 1, 2);
        put(fair, 2, 1, 3);
    }
    assert_int_equal(take(fair), 1);
    fair_take_if(fair, is_of, &client, &taken);
    while ((item = TAILQ_FIRST(&taken)) != NULL) {
        TAILQ_REMOVE(&taken, item, entry);
        free(item);
        count++;
    }
    assert_int_equal(count, 15);
    assert_int_equal(fair_waiting(fair), 9);
    put(fair, 2, 1, 1);
    drain(fair);
}

/* As many clients as there may ever be, coming and going. */
static void flows_are_given_back(void **state)
{
    struct fair *fair = made(4);
    uint64_t client = 1;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int some = 1 + i * 7 % 4;
        for (int k = 0; k < some; k++)
            put(fair, client++, 1, 1);
        for (int k = 0; k < some; k++)
            assert_int_not_equal(take(fair), 0);
    }
    drain(fair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_polite_client_is_next),
        cmocka_unit_test(many_polite_clients_starve_nobody),
        cmocka_unit_test(turns_are_of_cost),
        cmocka_unit_test(costs_beyond_the_most_are_served),
        cmocka_unit_test(a_full_queue_has_a_place_for_who_has_least),
        cmocka_unit_test(some_are_taken_out),
        cmocka_unit_test(flows_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
