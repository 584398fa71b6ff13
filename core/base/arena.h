/* Aligned memory: single blocks, and an arena that is sized once and then handed out from the front.
 *
 * Every block starts on a 64-byte boundary (a cache line, and the widest vector) and is padded so that a vector read
 * that starts inside it stays inside the allocation.  Thread rule: an arena belongs to one thread at a time.
 */
#ifndef INFOMASK_BASE_ARENA_H
#define INFOMASK_BASE_ARENA_H

#include <stddef.h>

#define ARENA_ALIGN 64

/* `size` bytes, 64-byte aligned, uninitialised; NULL if there is no memory (or size overflows).  Free with aligned_free. */
void *aligned_new(size_t size) __attribute__((warn_unused_result));
void aligned_free(void *block);
/* The same for blocks of megabytes: on a 2 MiB boundary, and the system is asked for pages of that size, so that walking
 * through the block needs few translations of addresses. */
void *aligned_new_large(size_t size) __attribute__((warn_unused_result));

struct arena {
    unsigned char *base;
    size_t size, used, peak; /* bytes */
};

/* Returns 0, or -1 when there is no memory; the arena is then empty. */
int arena_init(struct arena *arena, size_t size) __attribute__((warn_unused_result));
void arena_fini(struct arena *arena);

/* The next `size` bytes, 64-byte aligned; NULL if they do not fit. */
void *arena_take(struct arena *arena, size_t size) __attribute__((warn_unused_result));

/* Everything taken since `mark` (an earlier value of used) is given back. */
static inline void arena_rewind(struct arena *arena, size_t mark) { arena->used = mark; }

/* size rounded up to the alignment. */
static inline size_t arena_round(size_t size) { return (size + ARENA_ALIGN - 1) & ~(size_t)(ARENA_ALIGN - 1); }

#endif
