/* Whose turn it is: deficit round robin among clients, by the cost of what they ask.
 *
 * Each client with something waiting is a flow, first come first served within itself.  Flows take turns, and each turn
 * is worth one unit of cost: who asks for what costs ten waits ten turns (Shreedhar and Varghese, 1996).  A flow that
 * was idle goes before those that have been waiting, once (as in RFC 8290, section 4): somebody who asks now and then
 * hardly sees what the others queue up, and many such cannot starve one that always asks. Thread rule: one thread at a
 * time.
 */
#ifndef SERVER_QUEUE_FAIR_H
#define SERVER_QUEUE_FAIR_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/base/status.h"

#define FAIR_MAX_COST 64.0

struct fair_item { /* the caller's, while it waits */
    uint64_t client;
    double cost; /* 1: a photo classified; at most FAIR_MAX_COST counts */
    TAILQ_ENTRY(fair_item) entry; /* of the list that it is in */
};
TAILQ_HEAD(fair_list, fair_item);

struct fair;

/* capacity: items that may wait. */
enum infomask_status fair_create(struct fair **fair, int capacity, struct infomask_error *err)
    __attribute__((warn_unused_result));
void fair_free(struct fair *fair); /* nothing may be waiting; NULL does nothing */

int fair_waiting(const struct fair *fair);
/* Whether an item of that client would find a place: there is one, or somebody else has at least two items more
 * waiting, and gives one up. */
bool fair_has_room(const struct fair *fair, uint64_t client);
int fair_waiting_of(const struct fair *fair, uint64_t client);
/* Whether that client has had nothing waiting for a whole round of turns: an item of it would be taken next. */
bool fair_is_fresh(const struct fair *fair, uint64_t client);
/* Whether the next item is of such a client. */
bool fair_next_is_fresh(const struct fair *fair);
/* The cost of what would be taken before an item of that client that came now, about. */
double fair_ahead(const struct fair *fair, uint64_t client);

/* Puts an item behind its client's others.  False: there is no place.  *evicted: the newest item of who had most, which
 * gave way; NULL: nobody did. */
bool fair_put(struct fair *fair, struct fair_item *item, struct fair_item **evicted)
    __attribute__((warn_unused_result));
/* The next item; NULL: nothing waits. */
struct fair_item *fair_take(struct fair *fair);
/* Moves all items that `picks` returns true for to the end of a list. */
void fair_take_if(struct fair *fair, bool (*picks)(const struct fair_item *item, void *context), void *context,
                  struct fair_list *taken);

#endif
