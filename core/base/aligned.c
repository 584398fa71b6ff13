#include "core/base/aligned.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE ((size_t)2 << 20) /* of a large block */
#define SYSTEM_PAGE ((size_t)4096)

void *aligned_new(size_t size)
{
    if (size > SIZE_MAX - 2 * ALIGNED_BYTES)
        return NULL;
    /* one line more than asked, so that a full vector load at the last element is inside the block */
    return aligned_alloc(ALIGNED_BYTES, aligned_round(size) + ALIGNED_BYTES);
}

void aligned_free(void *block) { free(block); }

void *aligned_new_large(size_t size)
{
    size_t whole = size / PAGE * PAGE;
    void *block;

    if (size < PAGE || size > SIZE_MAX - 2 * PAGE)
        return aligned_new(size);
    block = aligned_alloc(PAGE, (size + ALIGNED_BYTES + PAGE - 1) / PAGE * PAGE);
    if (size - whole > PAGE / 2) /* a last page that is mostly used */
        whole += PAGE;
    if (block != NULL)
        (void)madvise(block, whole, MADV_HUGEPAGE); /* a wish: small pages do as well */
    return block;
}

void aligned_give_back(const void *from, size_t size)
{
    uintptr_t first = ((uintptr_t)from + SYSTEM_PAGE - 1) / SYSTEM_PAGE * SYSTEM_PAGE;
    uintptr_t end = ((uintptr_t)from + size) / SYSTEM_PAGE * SYSTEM_PAGE;

    if (end > first)
        (void)madvise((void *)first, end - first, MADV_DONTNEED); /* refused with larger pages: nothing is lost */
}

void aligned_block_open(struct aligned_block *block, size_t most)
{
    size_t mapped = most > SIZE_MAX / 2 ? SIZE_MAX : (most + 2 * PAGE) / PAGE * PAGE, skip;
    unsigned char *data = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                               -1, 0);

    *block = (struct aligned_block){0};
    if (data == MAP_FAILED)
        return;
    skip = (PAGE - (uintptr_t)data % PAGE) % PAGE;
    if (skip > 0)
        (void)munmap(data, skip);
    *block = (struct aligned_block){.data = data + skip, .room = most, .mapped = mapped - skip};
    if (most >= PAGE)
        (void)madvise(block->data, block->mapped, MADV_HUGEPAGE);
}

void *aligned_block_take(struct aligned_block *block, size_t size)
{
    unsigned char *taken = block->data + block->used;

    if (size > block->room - block->used)
        return NULL;
    block->used += aligned_round(size) < block->room - block->used ? aligned_round(size) : block->room - block->used;
    return taken;
}

/* A large page of which less than half is used becomes small ones. */
static void settle_tail(struct aligned_block *block, size_t tail)
{
    unsigned char *at = block->data + block->used - tail, *copy = tail > 0 && tail < PAGE / 2 ? malloc(tail) : NULL;

    if (copy == NULL)
        return;
    memcpy(copy, at, tail);
    (void)madvise(at, PAGE, MADV_DONTNEED);
    (void)madvise(at, PAGE, MADV_NOHUGEPAGE);
    memcpy(at, copy, tail);
    free(copy);
}

void aligned_block_settle(struct aligned_block *block)
{
    size_t kept = (block->used + ALIGNED_BYTES + PAGE - 1) / PAGE * PAGE; /* a vector read at the end stays inside */

    if (block->data == NULL || kept >= block->mapped)
        return;
    (void)munmap(block->data + kept, block->mapped - kept);
    block->mapped = kept;
    block->room = block->used;
    settle_tail(block, block->used % PAGE);
}

void aligned_block_free(struct aligned_block *block)
{
    if (block->data != NULL)
        (void)munmap(block->data, block->mapped);
    *block = (struct aligned_block){0};
}
