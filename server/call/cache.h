/* Answers that were computed before: the least recently asked for give way to new ones, within a number of bytes.
 *
 * An answer's key is a SHA-256 over everything that it depends on: the route, the loaded model (a folder that is loaded
 * anew is another one), the photo's bytes, every parameter, Accept, and whose key asked, so that nobody can tell from a
 * hit what others sent.  Only 200 answers about one photo are kept.  What tells of the request and not of the photo
 * (request_id, timing_ms) is that of the new request.  Thread rule: any thread.
 */
#ifndef SERVER_CALL_CACHE_H
#define SERVER_CALL_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/sha256.h"
#include "server/call/routes.h"

#define CACHE_KEY SHA256_HEX

struct cache;

/* bytes: of answers, their headers and what it takes to find them. */
enum infomask_status cache_create(struct cache **cache, size_t bytes, struct infomask_error *err)
    __attribute__((warn_unused_result));
void cache_free(struct cache *cache);

/* The key of a request about one photo; false: it cannot be made (no such model, no memory). */
bool cache_key(const struct request *request, char key[CACHE_KEY]);
/* Fills the reply with the answer of that key; false: it is not there. */
bool cache_take(struct cache *cache, const char *key, const struct request *request, struct reply *reply);
/* Keeps a copy of the reply, of its headers those from first_header on. */
void cache_put(struct cache *cache, const char *key, const struct reply *reply, int first_header);

struct cache_state {
    size_t entries, bytes;
    uint64_t hits, misses;
};
void cache_state(struct cache *cache, struct cache_state *state);

#endif
