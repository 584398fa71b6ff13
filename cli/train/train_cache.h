/* The features of photos that a network has seen already: one file a backbone, records of a key and its features, only
 * ever added to.  A record that was cut short is not counted.  Where the file cannot be used there is no cache. */
#ifndef CLI_TRAIN_TRAIN_CACHE_H
#define CLI_TRAIN_TRAIN_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#define TRAIN_KEY 64 /* hex digits: SHA-256 of everything that the features depend on */

struct train_cache {
    int fd;             /* -1: no cache */
    size_t record;      /* bytes */
    const char *map;    /* the records that were there at the start */
    size_t count;       /* of them */
    const char **index; /* [count] records by key */
    pthread_mutex_t lock; /* of what is added */
};

/* features: floats of a record. */
void train_cache_open(struct train_cache *cache, const char *path, size_t features);
void train_cache_close(struct train_cache *cache);
/* Copies the features of a key; false if they are not there.  From any thread. */
bool train_cache_get(const struct train_cache *cache, const char *key, float *features);
/* From any thread. */
void train_cache_put(struct train_cache *cache, const char *key, const float *features);

#endif
