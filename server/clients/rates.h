/* Requests, or their cost, a second of one client: a token bucket each, in a table of fixed size.
 *
 * A client is a 64-bit hash (of its key's name, or of its address).  Where the table is full of busy clients the one
 * that was seen longest ago gives way: an attacker with many addresses can make the limit forget, not the memory grow.
 * Thread rule: any thread.
 */
#ifndef SERVER_CLIENTS_RATES_H
#define SERVER_CLIENTS_RATES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

struct rates;

/* rate: requests a second; burst: how many may come at once. */
enum infomask_status rates_create(struct rates **rates, double rate, int burst, struct infomask_error *err)
    __attribute__((warn_unused_result));
void rates_free(struct rates *rates);

/* Takes `amount` from a client at a time in ms.  One that is more than the burst passes where the bucket is full, and
 * is paid for afterwards.  False: over its rate; *wait_s: seconds until it may come again. */
bool rates_take(struct rates *rates, uint64_t client, double amount, double now_ms, int *wait_s);

#endif
