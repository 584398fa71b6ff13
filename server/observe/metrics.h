/* Counters and histograms of requests, and their text in Prometheus' exposition format 0.0.4.
 *
 * Every label comes from a closed set (routes, statuses that the service sends, codes, phases, models), so that no
 * client can make series.  Counting is lock-free.  Thread rule: any thread.
 */
#ifndef SERVER_OBSERVE_METRICS_H
#define SERVER_OBSERVE_METRICS_H

#include <stdint.h>
#include <stdio.h>

#include "core/base/status.h"
#include "server/call/reply.h"
#include "server/call/request.h"

struct metrics;

/* X(NAME, word): connections that were refused or cut. */
#define METRICS_CUTS(X)                         \
    X(CONNECTIONS, "too_many_connections")      \
    X(ADDRESS, "too_many_of_address")           \
    X(HEADERS, "slow_headers")                  \
    X(BODY, "slow_body")                        \
    X(REPLY, "slow_reader")                     \
    X(PROTOCOL, "protocol")

enum metrics_cut {
#define METRICS_CUT_ENUM(name, word) METRICS_CUT_##name,
    METRICS_CUTS(METRICS_CUT_ENUM)
#undef METRICS_CUT_ENUM
    METRICS_CUT_COUNT
};

enum infomask_status metrics_create(struct metrics **metrics, struct infomask_error *err)
    __attribute__((warn_unused_result));
void metrics_free(struct metrics *metrics);

/* One finished request; request->route NULL: no route.  total_ms from the first byte to the last. */
void metrics_request(struct metrics *metrics, const struct request *request, const struct reply *reply,
                     uint64_t bytes_in, uint64_t bytes_out, double total_ms);
/* A finished job (server/jobs/jobs.h): its work; its request was counted when it was accepted. */
void metrics_job(struct metrics *metrics, const struct reply *reply);
void metrics_cut(struct metrics *metrics, enum metrics_cut cut);
void metrics_connections(struct metrics *metrics, int change); /* +1, -1 */
void metrics_in_flight(struct metrics *metrics, int change);

/* ---- Text: what the page of /metrics (server/handlers/metrics_page.c) is put together from ----------------------- */

void metrics_head(FILE *out, const char *name, const char *type, const char *help);
void metrics_single(FILE *out, const char *name, const char *type, const char *help, double value);

void metrics_put_requests(FILE *out, struct metrics *metrics); /* by route; problems; cuts; phases and nats */
void metrics_put_totals(FILE *out, struct metrics *metrics);   /* connections, images, bytes */
void metrics_put_process(FILE *out, struct metrics *metrics);  /* memory, descriptors, uptime */

#endif
