/* Aligned blocks of memory.
 *
 * Every block starts on a 64-byte boundary (a cache line, and the widest vector) and is padded so that a vector read
 * that starts inside it stays inside the allocation.
 */
#ifndef INFOMASK_BASE_ALIGNED_H
#define INFOMASK_BASE_ALIGNED_H

#include <stddef.h>

#define ALIGNED_BYTES 64

/* `size` bytes, 64-byte aligned, uninitialised; NULL if there is no memory (or size overflows).  Free with
 * aligned_free. */
void *aligned_new(size_t size) __attribute__((warn_unused_result));
void aligned_free(void *block);
/* The same for blocks of megabytes: on a 2 MiB boundary, and the system is asked for pages of that size, so that
 * walking through the block needs few translations of addresses. */
void *aligned_new_large(size_t size) __attribute__((warn_unused_result));

/* size rounded up to the alignment. */
static inline size_t aligned_round(size_t size) { return (size + ALIGNED_BYTES - 1) & ~(size_t)(ALIGNED_BYTES - 1); }

#endif
