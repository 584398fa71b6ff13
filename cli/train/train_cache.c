#include "cli/train/train_cache.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST ((off_t)2 << 30) /* a larger file is begun anew */

static int by_key(const void *a, const void *b)
{
    return memcmp(*(const char *const *)a, *(const char *const *)b, TRAIN_KEY);
}

static int key_of(const void *key, const void *record)
{
    return memcmp(key, *(const char *const *)record, TRAIN_KEY);
}

static bool map_records(struct train_cache *cache, size_t size)
{
    void *map;

    cache->count = size / cache->record;
    if (cache->count == 0)
        return true;
    map = mmap(NULL, cache->count * cache->record, PROT_READ, MAP_SHARED, cache->fd, 0);
    cache->index = malloc(cache->count * sizeof *cache->index);
    cache->map = map != MAP_FAILED ? map : NULL;
    if (map == MAP_FAILED || cache->index == NULL)
        return false;
    for (size_t i = 0; i < cache->count; i++)
        cache->index[i] = cache->map + i * cache->record;
    qsort(cache->index, cache->count, sizeof *cache->index, by_key);
    return true;
}

/* One process at a time adds to it; another does without. */
void train_cache_open(struct train_cache *cache, const char *path, size_t features)
{
    struct stat at;
    bool fine;

    *cache = (struct train_cache){.record = TRAIN_KEY + features * sizeof(float)};
    (void)pthread_mutex_init(&cache->lock, NULL);
    cache->fd = path != NULL ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (cache->fd < 0)
        return;
    fine = flock(cache->fd, LOCK_EX | LOCK_NB) == 0 && fstat(cache->fd, &at) == 0;
    if (fine && at.st_size > MOST)
        fine = ftruncate(cache->fd, 0) == 0 && fstat(cache->fd, &at) == 0;
    if (fine && at.st_size % (off_t)cache->record != 0)
        fine = ftruncate(cache->fd, at.st_size - at.st_size % (off_t)cache->record) == 0;
    if (!fine || !map_records(cache, (size_t)at.st_size)) {
        train_cache_close(cache);
        (void)pthread_mutex_init(&cache->lock, NULL);
    }
}

void train_cache_close(struct train_cache *cache)
{
    if (cache->map != NULL)
        (void)munmap((void *)(uintptr_t)cache->map, cache->count * cache->record);
    free(cache->index);
    if (cache->fd >= 0)
        (void)close(cache->fd);
    (void)pthread_mutex_destroy(&cache->lock);
    *cache = (struct train_cache){.fd = -1};
}

bool train_cache_get(const struct train_cache *cache, const char *key, float *features)
{
    const char *const *found =
        cache->count > 0 ? bsearch(key, cache->index, cache->count, sizeof *cache->index, key_of) : NULL;

    if (found == NULL)
        return false;
    memcpy(features, *found + TRAIN_KEY, cache->record - TRAIN_KEY);
    return true;
}

/* A write that does not fit whole is taken back: the next record must begin where this one ended. */
void train_cache_put(struct train_cache *cache, const char *key, const float *features)
{
    char *record = malloc(cache->record);
    struct stat at;

    if (record == NULL)
        return;
    memcpy(record, key, TRAIN_KEY);
    memcpy(record + TRAIN_KEY, features, cache->record - TRAIN_KEY);
    (void)pthread_mutex_lock(&cache->lock);
    if (cache->fd >= 0 && fstat(cache->fd, &at) == 0 &&
        write(cache->fd, record, cache->record) != (ssize_t)cache->record)
        if (ftruncate(cache->fd, at.st_size) != 0) {
            (void)close(cache->fd);
            cache->fd = -1;
        }
    (void)pthread_mutex_unlock(&cache->lock);
    free(record);
}
