#include "server/clients/held.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "server/clients/rates.h"

STAILQ_HEAD(held_list, held_item);

struct held {
    struct rates *rates;
    pthread_mutex_t lock;  /* guards what follows */
    struct held_list list; /* all wait equally long: the first is due first */
    size_t count;
};

enum infomask_status held_create(struct held **out, double rate, struct infomask_error *err)
{
    struct held *held = calloc(1, sizeof *held);
    enum infomask_status status;

    if (held == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the list of refusals");
    status = rates_create(&held->rates, rate, (int)fmax(1, rate), err);
    if (status != INFOMASK_OK) {
        free(held);
        return status;
    }
    (void)pthread_mutex_init(&held->lock, NULL);
    STAILQ_INIT(&held->list);
    *out = held;
    return INFOMASK_OK;
}

void held_free(struct held *held)
{
    if (held == NULL)
        return;
    (void)pthread_mutex_destroy(&held->lock);
    rates_free(held->rates);
    free(held);
}

bool held_wants(struct held *held, uint64_t client, double now_ms)
{
    int ignored;
    return held != NULL && client != 0 && !rates_take(held->rates, client, 1, now_ms, &ignored);
}

void held_take(struct held *held, struct held_item *item, double now_ms)
{
    item->due_ms = now_ms + HELD_MS;
    (void)pthread_mutex_lock(&held->lock);
    STAILQ_INSERT_TAIL(&held->list, item, entry);
    held->count++;
    (void)pthread_mutex_unlock(&held->lock);
}

/* The next that is due, taken off the list; NULL: none is. */
static struct held_item *take_due(struct held *held, double now_ms)
{
    struct held_item *item;

    (void)pthread_mutex_lock(&held->lock);
    item = STAILQ_FIRST(&held->list);
    if (item != NULL && item->due_ms <= now_ms)
        STAILQ_REMOVE_HEAD(&held->list, entry);
    else
        item = NULL;
    (void)pthread_mutex_unlock(&held->lock);
    return item;
}

void held_release(struct held *held, double now_ms)
{
    struct held_item *item;

    while ((item = take_due(held, now_ms)) != NULL)
        item->release(item);
}

size_t held_count(struct held *held)
{
    size_t count;

    if (held == NULL)
        return 0;
    (void)pthread_mutex_lock(&held->lock);
    count = held->count;
    (void)pthread_mutex_unlock(&held->lock);
    return count;
}
