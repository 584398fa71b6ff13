/* What a handler sees of the service: its parts, each with a header of its own.  Made by server/daemon, lent to
 * everyone. */
#ifndef SERVER_CALL_CONTEXT_H
#define SERVER_CALL_CONTEXT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "app/model/kept.h"
#include "app/model/models.h"
#include "app/settings/config.h"
#include "core/base/pool.h"
#include "core/infomask.h"

struct metrics;
struct log;
struct queue;
struct keys;
struct rates;
struct held;
struct proxies;
struct jobs;
struct cache;
struct estimates;
struct traffic;

struct server_context {
    const struct config *config;
    struct pool *pool;
    struct models *models;
    struct estimates *estimates;
    struct traffic *traffic;
    struct log *log;
    struct metrics *metrics;
    struct queue *queue;
    struct keys *keys;
    struct rates *rates, *costs;    /* of requests, of what they cost; NULL: no limit */
    struct held *held;              /* refusals that wait; NULL: none do */
    struct queue *lane; /* of what waits for the state's server, on threads of its own; NULL: no such server */
    struct proxies *proxies;        /* whose word on who asks counts; NULL: nobody's */
    struct jobs *jobs;
    struct cache *cache;            /* NULL: no answers are kept */
    struct infomask_limits limits;  /* of photos; the deadline is set by each request */
    const char *_Atomic not_ready;  /* why requests are not taken now ("draining"); NULL: ready */
    _Atomic bool draining;          /* answers end their connections */
    _Atomic size_t body_bytes;      /* bodies held in memory now */
    size_t body_memory;             /* and how many bytes may be */
    struct kept_slot interface;     /* /openapi.json */
};

#endif
