#include "server/queue/fair.h"

#include <math.h>
#include <stdlib.h>
#include <sys/queue.h>

#define QUANTUM 1.0

struct flow {
    uint64_t client;
    struct fair_list items;
    int count;
    double cost, deficit; /* of all that waits; what this turn is still worth */
    STAILQ_ENTRY(flow) entry;
};
STAILQ_HEAD(flow_list, flow);

struct fair {
    int capacity, waiting;
    struct flow_list fresh, old; /* old may hold empty flows until their turn: who comes back meanwhile is not fresh */
    struct flow_list spare;
    struct flow *storage;
};

/* The first of a list that is not empty, taken off it. */
static struct flow *take_first(struct flow_list *list)
{
    struct flow *flow = STAILQ_FIRST(list);

    STAILQ_REMOVE_HEAD(list, entry);
    return flow;
}

enum infomask_status fair_create(struct fair **out, int capacity, struct infomask_error *err)
{
    struct fair *fair = calloc(1, sizeof *fair);
    size_t flows = 2 * (size_t)capacity + 1; /* as many may be empty */

    if (fair == NULL || (fair->storage = calloc(flows, sizeof *fair->storage)) == NULL) {
        free(fair);
        return error_set(err, INFOMASK_MEMORY, "no memory for the queue");
    }
    fair->capacity = capacity;
    STAILQ_INIT(&fair->fresh);
    STAILQ_INIT(&fair->old);
    STAILQ_INIT(&fair->spare);
    for (size_t i = 0; i < flows; i++)
        STAILQ_INSERT_TAIL(&fair->spare, &fair->storage[i], entry);
    *out = fair;
    return INFOMASK_OK;
}

void fair_free(struct fair *fair)
{
    if (fair == NULL)
        return;
    free(fair->storage);
    free(fair);
}

int fair_waiting(const struct fair *fair) { return fair->waiting; }

/* ---- Flows ------------------------------------------------------------------------------------------------------- */

static struct flow *find_in(const struct flow_list *list, uint64_t client)
{
    struct flow *flow;

    STAILQ_FOREACH(flow, list, entry)
        if (flow->client == client)
            break;
    return flow;
}

static struct flow *find(const struct fair *fair, uint64_t client)
{
    struct flow *flow = find_in(&fair->fresh, client);

    return flow != NULL ? flow : find_in(&fair->old, client);
}

int fair_waiting_of(const struct fair *fair, uint64_t client)
{
    const struct flow *flow = find(fair, client);
    return flow == NULL ? 0 : flow->count;
}

bool fair_is_fresh(const struct fair *fair, uint64_t client) { return find(fair, client) == NULL; }

bool fair_next_is_fresh(const struct fair *fair)
{
    const struct flow *flow;

    STAILQ_FOREACH(flow, &fair->fresh, entry)
        if (flow->count > 0)
            break;
    return flow != NULL;
}

/* Empty flows whose turn has not come yet give their places up. */
static void reclaim(struct fair *fair)
{
    struct flow_list kept = STAILQ_HEAD_INITIALIZER(kept);

    while (!STAILQ_EMPTY(&fair->old)) {
        struct flow *flow = take_first(&fair->old);
        STAILQ_INSERT_TAIL(flow->count > 0 ? &kept : &fair->spare, flow, entry);
    }
    STAILQ_CONCAT(&fair->old, &kept);
}

static struct flow *make_flow(struct fair *fair, uint64_t client)
{
    struct flow *flow;

    if (STAILQ_EMPTY(&fair->spare))
        reclaim(fair);
    flow = take_first(&fair->spare);
    *flow = (struct flow){.client = client, .deficit = QUANTUM};
    TAILQ_INIT(&flow->items);
    STAILQ_INSERT_TAIL(&fair->fresh, flow, entry);
    return flow;
}

static double cost_of(const struct fair_item *item) { return fmin(fmax(item->cost, 0), FAIR_MAX_COST); }

static struct fair_item *take_out(struct fair *fair, struct flow *flow, struct fair_item *item)
{
    TAILQ_REMOVE(&flow->items, item, entry);
    flow->count--;
    flow->cost = flow->count == 0 ? 0 : flow->cost - cost_of(item);
    fair->waiting--;
    return item;
}

/* ---- Coming ------------------------------------------------------------------------------------------------------ */

static struct flow *longest(const struct fair *fair)
{
    struct flow *found = NULL, *flow;

    for (int i = 0; i < 2; i++)
        STAILQ_FOREACH(flow, i == 0 ? &fair->old : &fair->fresh, entry)
            if (found == NULL || flow->count > found->count)
                found = flow;
    return found;
}

/* Who must give up a place for that client; NULL: nobody. */
static struct flow *debtor(const struct fair *fair, uint64_t client)
{
    struct flow *own = find(fair, client), *other = longest(fair);

    return other != NULL && other != own && other->count >= (own == NULL ? 0 : own->count) + 2 ? other : NULL;
}

bool fair_has_room(const struct fair *fair, uint64_t client)
{
    return fair->waiting < fair->capacity || debtor(fair, client) != NULL;
}

double fair_ahead(const struct fair *fair, uint64_t client)
{
    const struct flow *own = find(fair, client), *flow;
    double mine = (own == NULL ? 0 : own->cost) + QUANTUM, sum = 0;

    for (int i = 0; i < 2; i++)
        STAILQ_FOREACH(flow, i == 0 ? &fair->old : &fair->fresh, entry)
            sum += fmin(flow->cost, flow == own ? flow->cost : mine);
    return sum;
}

bool fair_put(struct fair *fair, struct fair_item *item, struct fair_item **evicted)
{
    struct flow *flow;

    *evicted = NULL;
    if (fair->waiting >= fair->capacity) {
        struct flow *other = debtor(fair, item->client);
        if (other == NULL)
            return false;
        *evicted = take_out(fair, other, TAILQ_LAST(&other->items, fair_list));
    }
    flow = find(fair, item->client);
    if (flow == NULL)
        flow = make_flow(fair, item->client);
    TAILQ_INSERT_TAIL(&flow->items, item, entry);
    flow->count++;
    flow->cost += cost_of(item);
    fair->waiting++;
    return true;
}

/* ---- Going ------------------------------------------------------------------------------------------------------- */

struct fair_item *fair_take(struct fair *fair)
{
    while (fair->waiting > 0) {
        bool is_fresh = !STAILQ_EMPTY(&fair->fresh);
        struct flow_list *list = is_fresh ? &fair->fresh : &fair->old;
        struct flow *flow = STAILQ_FIRST(list);
        struct fair_item *item = TAILQ_FIRST(&flow->items);
        if (item != NULL && flow->deficit >= cost_of(item)) {
            flow->deficit -= cost_of(item);
            return take_out(fair, flow, item);
        }
        STAILQ_REMOVE_HEAD(list, entry);
        if (item == NULL && !is_fresh) {
            STAILQ_INSERT_TAIL(&fair->spare, flow, entry);
            continue;
        }
        flow->deficit = item == NULL ? 0 : flow->deficit + QUANTUM;
        STAILQ_INSERT_TAIL(&fair->old, flow, entry);
    }
    return NULL;
}

void fair_take_if(struct fair *fair, bool (*picks)(const struct fair_item *item, void *context), void *context,
                  struct fair_list *taken)
{
    struct flow *flow;

    for (int i = 0; i < 2; i++)
        STAILQ_FOREACH(flow, i == 0 ? &fair->old : &fair->fresh, entry)
            for (struct fair_item *item = TAILQ_FIRST(&flow->items), *next; item != NULL; item = next) {
                next = TAILQ_NEXT(item, entry);
                if (!picks(item, context))
                    continue;
                (void)take_out(fair, flow, item);
                TAILQ_INSERT_TAIL(taken, item, entry);
            }
}
