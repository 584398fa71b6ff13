#include "server/clients/rates.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#define SETS 2048
#define WAYS 8

struct bucket {
    uint64_t client;
    double tokens, seen_ms;
};

struct rates {
    double rate, burst;
    pthread_mutex_t lock;
    struct bucket buckets[SETS][WAYS];
};

enum infomask_status rates_create(struct rates **out, double rate, int burst, struct infomask_error *err)
{
    struct rates *rates = calloc(1, sizeof *rates);

    if (rates == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table of rates");
    rates->rate = rate;
    rates->burst = burst;
    (void)pthread_mutex_init(&rates->lock, NULL);
    *out = rates;
    return INFOMASK_OK;
}

void rates_free(struct rates *rates)
{
    if (rates == NULL)
        return;
    (void)pthread_mutex_destroy(&rates->lock);
    free(rates);
}

/* The client's bucket, or the one of its set that was used longest ago, filled anew. */
static struct bucket *find(struct rates *rates, uint64_t client, double now_ms)
{
    struct bucket *set = rates->buckets[client % SETS], *oldest = &set[0];

    for (int i = 0; i < WAYS; i++) {
        if (set[i].client == client && set[i].seen_ms > 0)
            return &set[i];
        if (set[i].seen_ms < oldest->seen_ms)
            oldest = &set[i];
    }
    *oldest = (struct bucket){client, rates->burst, now_ms};
    return oldest;
}

bool rates_take(struct rates *rates, uint64_t client, double amount, double now_ms, int *wait_s)
{
    double needed = fmin(amount, rates->burst);
    struct bucket *bucket;
    bool go;

    (void)pthread_mutex_lock(&rates->lock);
    bucket = find(rates, client, now_ms);
    bucket->tokens = fmin(rates->burst, bucket->tokens + fmax(0, now_ms - bucket->seen_ms) * rates->rate / 1000);
    bucket->seen_ms = now_ms;
    go = bucket->tokens >= needed;
    *wait_s = go ? 0 : (int)fmin(3600, ceil((needed - bucket->tokens) / rates->rate));
    if (go)
        bucket->tokens -= amount;
    (void)pthread_mutex_unlock(&rates->lock);
    return go;
}
