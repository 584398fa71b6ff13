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

/* Nobody reads those bytes again: the whole pages among them leave memory, and are zeros from then on. */
void aligned_give_back(const void *from, size_t size);

/* A block that grows where it stands: as much address space as may be needed, of which only what is taken becomes
 * memory, in pages of megabytes.  Zero-initialised, nothing can be taken of it. */
struct aligned_block {
    unsigned char *data;
    size_t used, room, mapped;
};
void aligned_block_open(struct aligned_block *block, size_t most); /* without room for so much it stays zero */
/* `size` bytes, 64-byte aligned, right behind those taken before; NULL: there is no room. */
void *aligned_block_take(struct aligned_block *block, size_t size);
void aligned_block_settle(struct aligned_block *block); /* nothing more will be taken: gives the rest back */
void aligned_block_free(struct aligned_block *block);

/* size rounded up to the alignment. */
static inline size_t aligned_round(size_t size) { return (size + ALIGNED_BYTES - 1) & ~(size_t)(ALIGNED_BYTES - 1); }

#endif
