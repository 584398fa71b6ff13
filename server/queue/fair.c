#include "server/queue/fair.h"

#include <math.h>
#include <stdlib.h>

#define QUANTUM 1.0

struct flow {
    uint64_t client;
    struct fair_item *first, **last;
    int count;
    double cost, deficit; /* of all that waits; what this turn is still worth */
    struct flow *next;    /* of its list */
};

struct list {
    struct flow *first, **last;
};

struct fair {
    int capacity, waiting;
    struct list fresh, old; /* old may hold empty flows until their turn: who comes back meanwhile is not fresh */
    struct flow *spare, *storage;
};

static void list_init(struct list *list)
{
    list->first = NULL;
    list->last = &list->first;
}

static void list_add(struct list *list, struct flow *flow)
{
    flow->next = NULL;
    *list->last = flow;
    list->last = &flow->next;
}

static struct flow *list_pop(struct list *list)
{
    struct flow *flow = list->first;

    list->first = flow->next;
    if (list->first == NULL)
        list->last = &list->first;
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
    list_init(&fair->fresh);
    list_init(&fair->old);
    for (size_t i = 0; i < flows; i++) {
        fair->storage[i].next = fair->spare;
        fair->spare = &fair->storage[i];
    }
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

static struct flow *find_in(const struct list *list, uint64_t client)
{
    struct flow *flow = list->first;

    while (flow != NULL && flow->client != client)
        flow = flow->next;
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
    const struct flow *flow = fair->fresh.first;

    while (flow != NULL && flow->count == 0)
        flow = flow->next;
    return flow != NULL;
}

static void give_back(struct fair *fair, struct flow *flow)
{
    flow->next = fair->spare;
    fair->spare = flow;
}

/* Empty flows whose turn has not come yet give their places up. */
static void reclaim(struct fair *fair)
{
    struct list kept;

    list_init(&kept);
    while (fair->old.first != NULL) {
        struct flow *flow = list_pop(&fair->old);
        if (flow->count > 0)
            list_add(&kept, flow);
        else
            give_back(fair, flow);
    }
    list_init(&fair->old);
    while (kept.first != NULL)
        list_add(&fair->old, list_pop(&kept));
}

static struct flow *make_flow(struct fair *fair, uint64_t client)
{
    struct flow *flow;

    if (fair->spare == NULL)
        reclaim(fair);
    flow = fair->spare;
    fair->spare = flow->next;
    *flow = (struct flow){.client = client, .deficit = QUANTUM};
    flow->last = &flow->first;
    list_add(&fair->fresh, flow);
    return flow;
}

static double cost_of(const struct fair_item *item) { return fmin(fmax(item->cost, 0), FAIR_MAX_COST); }

static struct fair_item *unlink_at(struct fair *fair, struct flow *flow, struct fair_item **place)
{
    struct fair_item *item = *place;

    *place = item->next;
    if (*place == NULL)
        flow->last = place;
    flow->count--;
    flow->cost = flow->count == 0 ? 0 : flow->cost - cost_of(item);
    fair->waiting--;
    return item;
}

/* ---- Coming ------------------------------------------------------------------------------------------------------ */

static struct flow *longest(const struct fair *fair)
{
    struct flow *found = NULL;

    for (int i = 0; i < 2; i++)
        for (struct flow *flow = i == 0 ? fair->old.first : fair->fresh.first; flow != NULL; flow = flow->next)
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
    const struct flow *own = find(fair, client);
    double mine = (own == NULL ? 0 : own->cost) + QUANTUM, sum = 0;

    for (int i = 0; i < 2; i++)
        for (const struct flow *flow = i == 0 ? fair->old.first : fair->fresh.first; flow != NULL; flow = flow->next)
            sum += fmin(flow->cost, flow == own ? flow->cost : mine);
    return sum;
}

static struct fair_item *evict(struct fair *fair, struct flow *flow)
{
    struct fair_item **place = &flow->first;

    while ((*place)->next != NULL)
        place = &(*place)->next;
    return unlink_at(fair, flow, place);
}

bool fair_put(struct fair *fair, struct fair_item *item, struct fair_item **evicted)
{
    struct flow *flow;

    *evicted = NULL;
    if (fair->waiting >= fair->capacity) {
        struct flow *other = debtor(fair, item->client);
        if (other == NULL)
            return false;
        *evicted = evict(fair, other);
    }
    flow = find(fair, item->client);
    if (flow == NULL)
        flow = make_flow(fair, item->client);
    item->next = NULL;
    *flow->last = item;
    flow->last = &item->next;
    flow->count++;
    flow->cost += cost_of(item);
    fair->waiting++;
    return true;
}

/* ---- Going ------------------------------------------------------------------------------------------------------- */

struct fair_item *fair_take(struct fair *fair)
{
    while (fair->waiting > 0) {
        bool is_fresh = fair->fresh.first != NULL;
        struct list *list = is_fresh ? &fair->fresh : &fair->old;
        struct flow *flow = list->first;
        if (flow->count > 0 && flow->deficit >= cost_of(flow->first)) {
            flow->deficit -= cost_of(flow->first);
            return unlink_at(fair, flow, &flow->first);
        }
        (void)list_pop(list);
        if (flow->count == 0 && !is_fresh) {
            give_back(fair, flow);
            continue;
        }
        flow->deficit = flow->count == 0 ? 0 : flow->deficit + QUANTUM;
        list_add(&fair->old, flow);
    }
    return NULL;
}

struct fair_item *fair_take_if(struct fair *fair, bool (*picks)(const struct fair_item *item, void *context),
                               void *context)
{
    struct fair_item *taken = NULL;

    for (int i = 0; i < 2; i++)
        for (struct flow *flow = i == 0 ? fair->old.first : fair->fresh.first; flow != NULL; flow = flow->next)
            for (struct fair_item **place = &flow->first; *place != NULL;) {
                if (!picks(*place, context)) {
                    place = &(*place)->next;
                    continue;
                }
                struct fair_item *item = unlink_at(fair, flow, place);
                item->next = taken;
                taken = item;
            }
    return taken;
}
