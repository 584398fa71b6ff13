#include "core/base/contents.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/aligned.h"

#define PIECE ((size_t)1 << 20) /* read at once, and then handed to the digest */
#define LARGE_PAGE ((size_t)2 << 20)
#define MOST_LARGE CONTENTS_PIECEMEAL /* large pages cannot be given back in pieces */

struct contents {
    uint8_t *data, *map;
    size_t size, mapped;
    struct timespec written; /* the file, last */
    char sha256[SHA256_HEX];
    pthread_t thread;
    bool apart, done;     /* the thread is there; the digest is made */
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t more;
    size_t filled;
    bool ended;           /* nothing more comes */
};

/* ---- The digest -------------------------------------------------------------------------------------------------- */

/* Bytes that are there beyond `done`, waiting for some; `done` where no more come. */
static size_t wait_for(struct contents *c, size_t done)
{
    size_t filled;

    (void)pthread_mutex_lock(&c->lock);
    while (c->filled == done && !c->ended)
        (void)pthread_cond_wait(&c->more, &c->lock);
    filled = c->filled;
    (void)pthread_mutex_unlock(&c->lock);
    return filled;
}

static void *digest(void *context)
{
    struct contents *c = context;
    struct sha256_ctx sha;
    size_t done = 0, filled;

    sha256_init(&sha);
    while ((filled = wait_for(c, done)) > done) {
        sha256_update(&sha, filled - done, c->data + done);
        done = filled;
    }
    sha256_hex(&sha, c->sha256);
    return NULL;
}

static void announce(struct contents *c, size_t filled, bool ended)
{
    (void)pthread_mutex_lock(&c->lock);
    c->filled = filled;
    c->ended = ended;
    (void)pthread_cond_signal(&c->more);
    (void)pthread_mutex_unlock(&c->lock);
}

const char *contents_sha256(struct contents *c)
{
    if (!c->done && c->apart)
        (void)pthread_join(c->thread, NULL);
    else if (!c->done) /* no thread could be had */
        (void)digest(c);
    c->done = true;
    return c->sha256;
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static struct contents *contents_new(size_t size)
{
    struct contents *c = calloc(1, sizeof *c);
    bool large = size >= LARGE_PAGE && size <= MOST_LARGE;
    size_t mapped = large ? size + LARGE_PAGE : size;
    uint8_t *map = c == NULL ? MAP_FAILED
                             : mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (map == MAP_FAILED) {
        free(c);
        return NULL;
    }
    *c = (struct contents){.data = map, .map = map, .size = size, .mapped = mapped};
    if (large) /* in small pages, a fault for each would take as long as reading */
        c->data += (LARGE_PAGE - (uintptr_t)map % LARGE_PAGE) % LARGE_PAGE;
    (void)madvise(map, mapped, large ? MADV_HUGEPAGE : MADV_NOHUGEPAGE); /* a wish */
    (void)pthread_mutex_init(&c->lock, NULL);
    (void)pthread_cond_init(&c->more, NULL);
    c->apart = pthread_create(&c->thread, NULL, digest, c) == 0;
    return c;
}

static enum infomask_status read_all(int fd, struct contents *c, struct infomask_error *err)
{
    size_t done = 0;

    while (done < c->size) {
        ssize_t n = pread(fd, c->data + done, c->size - done < PIECE ? c->size - done : PIECE, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return error_set(err, INFOMASK_IO, "the file cannot be read");
        if (n == 0)
            return error_set(err, INFOMASK_IO, "the file became shorter while it was read");
        done += (size_t)n;
        announce(c, done, false);
    }
    return INFOMASK_OK;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Is it still the same file at the end? */
static enum infomask_status read_unchanged(int fd, struct contents *c, struct infomask_error *err)
{
    struct stat after;
    enum infomask_status status = read_all(fd, c, err);

    if (status == INFOMASK_OK && (fstat(fd, &after) != 0 || after.st_size != (off_t)c->size ||
                                  !same_time(&after.st_mtim, &c->written)))
        return error_set(err, INFOMASK_IO, "the file was changed while it was read");
    return status;
}

enum infomask_status contents_again(struct contents *c, int fd, struct infomask_error *err)
{
    (void)contents_sha256(c);
    return read_unchanged(fd, c, err);
}

enum infomask_status contents_read(int fd, size_t size, struct contents **contents, struct infomask_error *err)
{
    struct contents *c = contents_new(size);
    struct stat before;
    enum infomask_status status;

    if (c == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the file");
    if (fstat(fd, &before) == 0)
        c->written = before.st_mtim;
    status = read_unchanged(fd, c, err);
    announce(c, c->filled, true);
    if (status == INFOMASK_OK)
        *contents = c;
    else
        contents_free(c);
    return status;
}

void contents_free(struct contents *c)
{
    if (c == NULL)
        return;
    if (c->apart && !c->done)
        (void)pthread_join(c->thread, NULL);
    (void)munmap(c->map, c->mapped);
    (void)pthread_cond_destroy(&c->more);
    (void)pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- Use --------------------------------------------------------------------------------------------------------- */

uint8_t *contents_data(struct contents *c) { return c->data; }

size_t contents_size(const struct contents *c) { return c->size; }

void contents_give_back(struct contents *c, const void *from, size_t size)
{
    (void)contents_sha256(c);
    aligned_give_back(from, size);
}
