#include "app/model/kept.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/base/sha256.h"

void entity_tag(const void *data, size_t size, char tag[ENTITY_TAG_SIZE])
{
    char hash[SHA256_HEX];

    sha256_bytes(data, size, hash);
    (void)snprintf(tag, ENTITY_TAG_SIZE, "\"%.16s\"", hash);
}

static struct kept *hold(struct kept *kept)
{
    (void)atomic_fetch_add_explicit(&kept->references, 1, memory_order_relaxed);
    return kept;
}

/* The slot's own reference lasts as long as the slot: what it holds cannot go away meanwhile. */
struct kept *kept_get(struct kept_slot *slot)
{
    struct kept *kept = atomic_load(&slot->kept);
    return kept != NULL ? hold(kept) : NULL;
}

struct kept *kept_write(struct kept_slot *slot, struct json_writer *writer, struct infomask_error *err)
{
    struct kept *kept = calloc(1, sizeof *kept), *other = NULL;

    if (kept == NULL) {
        json_writer_fini(writer);
        (void)error_set(err, INFOMASK_MEMORY, "out of memory");
        return NULL;
    }
    if (json_writer_take(writer, &kept->data, &kept->size, err) != INFOMASK_OK) {
        json_writer_fini(writer);
        free(kept);
        return NULL;
    }
    entity_tag(kept->data, kept->size, kept->tag);
    atomic_init(&kept->references, 2); /* the slot's and the caller's */
    if (atomic_compare_exchange_strong(&slot->kept, &other, kept))
        return kept;
    free(kept->data);
    free(kept);
    return hold(other);
}

void kept_release(struct kept *kept)
{
    if (kept == NULL || atomic_fetch_sub_explicit(&kept->references, 1, memory_order_acq_rel) != 1)
        return;
    free(kept->data);
    free(kept);
}

void kept_fini(struct kept_slot *slot)
{
    kept_release(atomic_exchange(&slot->kept, NULL));
}
