#include "server/call/cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/sha256.h"

#define BUCKETS 4096

struct entry {
    char key[SHA256_HEX];
    struct reply reply; /* only what an answer consists of */
    size_t bytes;
    int references;             /* the cache's, and of those who copy it; under the lock */
    struct entry *chain;        /* of its bucket */
    struct entry *newer, *older;
};

struct cache {
    pthread_mutex_t lock;
    size_t limit, bytes, count;
    uint64_t hits, misses;
    struct entry *bucket[BUCKETS], *newest, *oldest;
};

enum infomask_status cache_create(struct cache **out, size_t bytes, struct infomask_error *err)
{
    struct cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the cache");
    cache->limit = bytes;
    (void)pthread_mutex_init(&cache->lock, NULL);
    *out = cache;
    return INFOMASK_OK;
}

static void entry_free(struct entry *entry)
{
    reply_fini(&entry->reply);
    free(entry);
}

void cache_free(struct cache *cache)
{
    struct entry *entry = cache == NULL ? NULL : cache->newest;

    while (entry != NULL) {
        struct entry *older = entry->older;
        entry_free(entry);
        entry = older;
    }
    if (cache != NULL)
        (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

void cache_state(struct cache *cache, struct cache_state *state)
{
    (void)pthread_mutex_lock(&cache->lock);
    *state = (struct cache_state){cache->count, cache->bytes, cache->hits, cache->misses};
    (void)pthread_mutex_unlock(&cache->lock);
}

/* ---- The table, under the lock ----------------------------------------------------------------------------------- */

/* The keys are uniform already. */
static struct entry **place_of(struct cache *cache, const char *key)
{
    char digits[5] = {key[0], key[1], key[2], key[3], '\0'};
    struct entry **place = &cache->bucket[strtoul(digits, NULL, 16) % BUCKETS];

    while (*place != NULL && strcmp((*place)->key, key) != 0)
        place = &(*place)->chain;
    return place;
}

static void unlink_entry(struct cache *cache, struct entry *entry)
{
    *(entry->newer != NULL ? &entry->newer->older : &cache->newest) = entry->older;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry->newer;
}

static void link_newest(struct cache *cache, struct entry *entry)
{
    entry->newer = NULL;
    entry->older = cache->newest;
    *(entry->older != NULL ? &entry->older->newer : &cache->oldest) = entry;
    cache->newest = entry;
}

static void release(struct entry *entry)
{
    if (--entry->references == 0)
        entry_free(entry);
}

static void evict_oldest(struct cache *cache)
{
    struct entry *entry = cache->oldest, **place = place_of(cache, entry->key);

    *place = entry->chain;
    unlink_entry(cache, entry);
    cache->bytes -= entry->bytes;
    cache->count--;
    release(entry);
}

/* ---- Keys -------------------------------------------------------------------------------------------------------- */

/* A text with its length before it, so that no two lists of texts read alike. */
static void put_text(FILE *out, const char *text)
{
    (void)fprintf(out, "%zu:%s\n", text == NULL ? (size_t)0 : strlen(text) + 1, text == NULL ? "" : text);
}

static bool make_key(const struct request *request, const struct model *model, char key[SHA256_HEX])
{
    const struct params *params = &request->params;
    char photo[SHA256_HEX], *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    if (out == NULL)
        return false;
    sha256_bytes(request->uploads[0].data, request->uploads[0].size, photo);
    (void)fprintf(out, "%d %016llx %016llx %s\n", (int)request->route->id, (unsigned long long)model_serial(model),
                  (unsigned long long)request->client_hash, photo);
    if (request->mask != NULL) {
        sha256_bytes(request->mask->data, request->mask->size, photo);
        (void)fprintf(out, "mask %s\n", photo);
    }
    put_text(out, request->accept);
    for (int i = 0; i < PARAM_COUNT; i++) {
        (void)fprintf(out, "%d ", params->value[i].given);
        put_text(out, params->value[i].text);
    }
    for (int i = 0; i < params->target_count; i++)
        put_text(out, params->targets[i]);
    if (fclose(out) != 0) {
        free(text);
        return false;
    }
    sha256_bytes(text, size, key);
    free(text);
    return true;
}

bool cache_key(const struct request *request, char key[CACHE_KEY])
{
    return request->model != NULL && make_key(request, request->model, key);
}

/* ---- Taking out -------------------------------------------------------------------------------------------------- */

/* The text that stands for a hit's own times. */
static int hit_times(const struct request *request, char *text, size_t size)
{
    return snprintf(text, size, "\"timing_ms\":{\"queue\":%.6f,\"total\":%.6f}", request->queue_ms,
                    clock_ms() - request->started_ms);
}

/* A copy of a JSON answer with the new request's id and times; quotes inside of strings are escaped, so that what is
 * looked for is never part of one. */
static char *renew_json(const struct reply *old, const struct request *request, size_t *size)
{
    static const char id[] = "\"request_id\":\"", times[] = "\"timing_ms\":{";
    const char *end = old->data + old->size, *at = memmem(old->data, old->size, id, sizeof id - 1);
    const char *from, *until, *after;
    char fresh[120], *text = malloc(old->size + REQUEST_ID_SIZE + sizeof fresh), *out = text;

    if (text == NULL || at == NULL)
        goto unusable;
    from = at + sizeof id - 1;
    after = memchr(from, '"', (size_t)(end - from));
    until = after == NULL ? NULL : memmem(after, (size_t)(end - after), times, sizeof times - 1);
    if (until == NULL)
        goto unusable;
    out = mempcpy(out, old->data, (size_t)(from - old->data));
    out = mempcpy(out, request->id, strlen(request->id));
    out = mempcpy(out, after, (size_t)(until - after));
    out = mempcpy(out, fresh, (size_t)hit_times(request, fresh, sizeof fresh));
    at = memchr(until, '}', (size_t)(end - until));
    if (at == NULL)
        goto unusable;
    out = mempcpy(out, at + 1, (size_t)(end - at - 1));
    *size = (size_t)(out - text);
    return text;
unusable:
    free(text);
    return NULL;
}

static char *copy_body(const struct reply *old, const struct request *request, size_t *size)
{
    if (strcmp(old->content_type, "application/json") == 0)
        return renew_json(old, request, size);
    char *copy = malloc(old->size + 1);
    if (copy != NULL)
        memcpy(copy, old->data, old->size);
    *size = old->size;
    return copy;
}

static void copy_headers(struct reply *to, const struct reply *from, int first)
{
    for (int i = first; i < from->header_count; i++)
        reply_header(to, from->headers[i].name, "%s", from->headers[i].value);
}

bool cache_take(struct cache *cache, const char *key, const struct request *request, struct reply *reply)
{
    struct entry *entry;
    size_t size = 0;
    char *body = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    entry = *place_of(cache, key);
    if (entry != NULL) {
        entry->references++;
        unlink_entry(cache, entry);
        link_newest(cache, entry);
    }
    *(entry != NULL ? &cache->hits : &cache->misses) += 1;
    (void)pthread_mutex_unlock(&cache->lock);
    if (entry == NULL)
        return false;
    body = copy_body(&entry->reply, request, &size); /* not under the lock: it may be megabytes */
    if (body != NULL) {
        copy_headers(reply, &entry->reply, 0);
        memcpy(reply->model, entry->reply.model, sizeof reply->model);
        reply->pmi = entry->reply.pmi;
        reply->residual = entry->reply.residual;
        reply->cached = true;
        (void)reply_take(reply, 200, entry->reply.content_type, body, size);
    }
    (void)pthread_mutex_lock(&cache->lock);
    release(entry);
    (void)pthread_mutex_unlock(&cache->lock);
    return body != NULL;
}

/* ---- Putting in -------------------------------------------------------------------------------------------------- */

static struct entry *make_entry(const char *key, const struct reply *reply, int first_header)
{
    struct entry *entry = calloc(1, sizeof *entry);
    char *body = malloc(reply->size + 1);

    if (entry == NULL || body == NULL) {
        free(entry);
        free(body);
        return NULL;
    }
    reply_init(&entry->reply);
    memcpy(entry->key, key, sizeof entry->key);
    memcpy(body, reply->data, reply->size);
    (void)reply_take(&entry->reply, 200, reply->content_type, body, reply->size);
    copy_headers(&entry->reply, reply, first_header);
    memcpy(entry->reply.model, reply->model, sizeof entry->reply.model);
    entry->reply.pmi = reply->pmi;
    entry->reply.residual = reply->residual;
    entry->references = 1;
    entry->bytes = sizeof *entry + reply->size;
    for (int i = 0; i < entry->reply.header_count; i++)
        entry->bytes += strlen(entry->reply.headers[i].value) + 1;
    return entry;
}

void cache_put(struct cache *cache, const char *key, const struct reply *reply, int first_header)
{
    struct entry *entry = make_entry(key, reply, first_header), **place;

    if (entry == NULL)
        return;
    (void)pthread_mutex_lock(&cache->lock);
    if (entry->bytes <= cache->limit && *place_of(cache, key) == NULL) { /* another request may have been quicker */
        while (cache->bytes + entry->bytes > cache->limit)
            evict_oldest(cache);
        place = place_of(cache, key);
        *place = entry;
        link_newest(cache, entry);
        cache->bytes += entry->bytes;
        cache->count++;
        entry = NULL;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    if (entry != NULL)
        entry_free(entry);
}
