/* Requests that run a network: they have it pinned (app/model/models.h) from before their handler to its end.  One
 * whose network is out of memory holds no thread while it waits. */
#ifndef SERVER_CALL_PIN_H
#define SERVER_CALL_PIN_H

#include "server/call/call.h"

/* Pins what the route's handler will run.  True: it waits, and `resume` is called with the context once it need not any
 * more, by any thread, perhaps already; the call then goes where it came from, unless its reply is filled: with why
 * not. False: go on with call_handle. */
bool call_waits(struct call *call, void (*resume)(void *context), void *context);

/* For handlers: the model that the request has pinned, held for the caller; NULL: the reply says why there is none.
 * name: what it was looked for by. */
struct model *pinned_model(struct server_context *server, const struct request *request, const char *name,
                           struct reply *reply);

#endif
