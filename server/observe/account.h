/* What is written down of a finished request: its line in the log, the counters, the model's statistics. */
#ifndef SERVER_OBSERVE_ACCOUNT_H
#define SERVER_OBSERVE_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "server/call/call.h"

/* bytes_out: of the answer; sent: it went out whole.  Thread rule: any thread, once a call. */
void account_request(const struct call *call, uint64_t bytes_out, bool sent);

#endif
