/* Lifetimes to offsets: the largest value first, each at the lowest place that is free while it lives. */
#include <stdlib.h>

#include "core/base/aligned.h"
#include "core/engine/internal.h"

struct block {
    struct value *value;
    size_t bytes;
};

static int larger_first(const void *a, const void *b)
{
    const struct block *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return x->value < y->value ? -1 : x->value > y->value; /* qsort is not stable */
}

static bool both_live(const struct value *a, const struct value *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* placed[0..count) by rising offset; returns the end of the block */
static size_t place_one(struct block *placed, int count, struct block block)
{
    size_t offset = 0;
    int at;

    for (int i = 0; i < count; i++) {
        size_t start = placed[i].value->offset, end = start + placed[i].bytes;
        if (!both_live(placed[i].value, block.value) || end <= offset)
            continue;
        if (offset + block.bytes <= start)
            break;
        offset = end;
    }
    block.value->offset = offset;
    for (at = count; at > 0 && placed[at - 1].value->offset > offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = block;
    return offset + block.bytes;
}

static size_t place_region(struct plan *plan, int count, enum region region, struct block *blocks,
                           struct block *placed)
{
    size_t items = region == REGION_SHARED ? (size_t)plan->n : 1, size = 0;
    int n = 0;

    for (int i = 0; i < count; i++) {
        struct value *v = &plan->values[i];
        if (v->used && v->root == i && v->region == region)
            blocks[n++] = (struct block){v, aligned_round(v->elements * kernel_type_bytes(v->type) * items)};
    }
    qsort(blocks, (size_t)n, sizeof *blocks, larger_first);
    for (int i = 0; i < n; i++) {
        size_t end = place_one(placed, i, blocks[i]);
        size = end > size ? end : size;
    }
    return size;
}

bool place_values(struct plan *plan, int count)
{
    struct block *blocks = calloc((size_t)count + 1, sizeof *blocks);
    struct block *placed = calloc((size_t)count + 1, sizeof *placed);
    bool fine = blocks != NULL && placed != NULL;

    if (fine) {
        plan->local_bytes = place_region(plan, count, REGION_LOCAL, blocks, placed);
        plan->shared_bytes = place_region(plan, count, REGION_SHARED, blocks, placed);
    }
    free(blocks);
    free(placed);
    return fine;
}
