#include "server/clients/held.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "server/clients/rates.h"

struct held {
    struct rates *rates;
    pthread_mutex_t lock; /* guards what follows */
    struct held_item *first, **last; /* all wait equally long: the first is due first */
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
    held->last = &held->first;
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
    item->next = NULL;
    (void)pthread_mutex_lock(&held->lock);
    *held->last = item;
    held->last = &item->next;
    held->count++;
    (void)pthread_mutex_unlock(&held->lock);
}

/* Takes the due ones off the list. */
static struct held_item *take_due(struct held *held, double now_ms)
{
    struct held_item *due = NULL, **end = &due;

    (void)pthread_mutex_lock(&held->lock);
    while (held->first != NULL && held->first->due_ms <= now_ms) {
        struct held_item *item = held->first;
        held->first = item->next;
        *end = item;
        end = &item->next;
    }
    *end = NULL;
    if (held->first == NULL)
        held->last = &held->first;
    (void)pthread_mutex_unlock(&held->lock);
    return due;
}

void held_release(struct held *held, double now_ms)
{
    for (struct held_item *item = take_due(held, now_ms), *next; item != NULL; item = next) {
        next = item->next;
        item->release(item);
    }
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
