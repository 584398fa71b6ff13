/* Answers that were computed before: the least recently asked for give way to new ones, within a number of bytes.
 *
 * An answer's key is a SHA-256 over everything that it depends on: the route, the loaded model (a folder that is loaded
 * anew is another one), the photo's bytes, every parameter, Accept, and whose key asked, so that nobody can tell from a
 * hit what others sent.  Only 200 answers about one photo are kept.  What tells of the request and not of the photo
 * (request_id, timing_ms) is that of the new request.  Thread rule: any thread.
 */
#ifndef SERVER_CALL_CACHE_H
#define SERVER_CALL_CACHE_H

#include "server/call/routes.h"

struct cache;

/* bytes: of answers, their headers and what it takes to find them. */
enum infomask_status cache_create(struct cache **cache, size_t bytes, struct infomask_error *err)
    __attribute__((warn_unused_result));
void cache_free(struct cache *cache);

/* The route's handler, or the answer that it gave before; with Infomask-Cache: hit or miss where one could be kept.
 * server->cache NULL: always the handler. */
int cache_handle(struct server_context *server, const struct request *request, struct reply *reply);

struct cache_state {
    size_t entries, bytes;
};
void cache_state(struct cache *cache, struct cache_state *state);

#endif
