/* One request on its way from a head to a reply, without sockets: http.c feeds it, tests and fuzzers can do so too.
 *
 * - call_create: at the request line.
 * - call_head: the head is complete. Border, route, key, parameters and limits are checked; may be refused already.
 * - call_body: each piece of the body.
 * - call_complete: the body is whole. Forms are taken apart; may be refused.
 * - call_handle: runs the handler, on the thread that the route asks for.
 * - call_free.
 *
 * A step returns 0 to go on, or the status of the reply that it filled.
 */
#ifndef SERVER_CALL_CALL_H
#define SERVER_CALL_CALL_H

#include "app/host/keys.h"
#include "server/call/routes.h"
#include "server/message/border.h"

#define MOST_TIMEOUT 86400 /* seconds that X-Request-Timeout may ask for; the settings say how many it gets */

struct queue_task;

struct call {
    struct server_context *server;
    struct request request;
    struct reply reply;
    struct route_match match;
    struct framing framing;
    char *target, *query;        /* the path and, into the same block, the query; NULL: none */
    char *values;                /* copies of the header values that the request points to */
    char *body;
    size_t body_size, body_capacity, body_limit;
    uint64_t received;           /* bytes of the body, kept or not */
    struct upload *uploads;
    bool json;                   /* the body is JSON with a photo in it, not read yet */
    struct json *document;       /* what was read, which parameters point into; NULL: none */
    char *texts;                 /* numbers of it as text */
    char method[12];             /* as sent, cut to this length: for the log */
    char peer[64];               /* the client's address, or its proxy's; "" for none */
    bool loopback;               /* it came in by a socket that only this machine reaches */
    bool proxied;                /* by a proxy that is believed (the setting proxies) */
    uint64_t peer_hash;          /* of the address that limits count by; 0: none */
    char key_name[KEY_NAME_SIZE];
    bool turned_away;            /* the reply is a refusal of a request that may come again: too many, too fast */
    double cost;                 /* once the body is whole: 1 for a photo classified */
    bool pinned;                 /* request.model is */
    struct model_wait wait;      /* or waits (pin.h), and then goes on with: */
    void (*resume)(void *context);
    void *resume_context;
};

/* target: copied.  NULL without memory. */
struct call *call_create(struct server_context *server, const char *target);
void call_free(struct call *call);
/* Lets go of the network that call_waits (pin.h) has pinned.  call_handle has done so; for a call that was dropped. */
void call_unpin(struct call *call);

/* head: borrowed for the call only. */
int call_head(struct call *call, const struct head *head);
/* 0, or the status of a refusal: over the limit, no memory.  Nothing is kept after one. */
int call_body(struct call *call, const char *data, size_t size);
int call_complete(struct call *call);
/* Reads a JSON body with a photo in it, once. */
int call_read_json(struct call *call);
int call_handle(struct call *call);
/* Frees the body once nothing looks at it any more. */
void call_drop_body(struct call *call);
/* Takes the request with its body out of a call, so that it outlives its connection: the call is left with what its
 * reply and its log line need.  NULL without memory; the call is then as it was. */
struct call *call_detach(struct call *call);
/* Fills the 503 of a full queue. */
int call_overloaded(struct call *call);
/* What the call waited for is there, or its reply says why not: false if its reply is filled, else it is in the queue
 * again. */
bool call_queue_again(struct call *call, struct queue_task *task);
/* Whether the call holds nothing that others wait for while its network runs, so that another such call may run in the
 * middle of it. */
bool call_gives_way(const struct call *call);

#endif
