#include "core/base/aligned.h"

#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PAGE ((size_t)2 << 20) /* of a large block */

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
