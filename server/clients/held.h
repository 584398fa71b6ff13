/* Refusals that are held back: who asks on and on although it is refused is answered late, and can ask the less for it.
 *
 * The first `rate` refusals of a client in a second are its own to have at once; those beyond wait here for HELD_MS, on
 * no thread, before they are sent.  A client that waits as Retry-After says never meets this; one that does not would
 * have its refusals take the time of the others' answers.  Thread rule: any thread.
 */
#ifndef SERVER_CLIENTS_HELD_H
#define SERVER_CLIENTS_HELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/base/status.h"

#define HELD_MS 1000.0 /* the least that Retry-After says */

struct held_item { /* the caller's, while it is held */
    void (*release)(struct held_item *item); /* it is the caller's again; may free it */
    double due_ms;
    STAILQ_ENTRY(held_item) entry; /* the list's */
};

struct held;

/* rate: refusals a second of one client that go out at once. */
enum infomask_status held_create(struct held **held, double rate, struct infomask_error *err)
    __attribute__((warn_unused_result));
void held_free(struct held *held); /* nothing may be held; NULL does nothing */

/* Counts a refusal of that client; whether it is beyond the rate, and to be held. client 0, held NULL: never. */
bool held_wants(struct held *held, uint64_t client, double now_ms);
/* Takes the item; its release is called later, by whoever calls held_release. */
void held_take(struct held *held, struct held_item *item, double now_ms);
/* Releases what is due at a time (INFINITY: all). */
void held_release(struct held *held, double now_ms);

/* How many were held so far. */
size_t held_count(struct held *held); /* NULL: 0 */

#endif
