/* Documents that stay as they are for as long as what they describe: written once, when they are first asked for, and
 * then sent to everybody from the same memory.
 *
 * A document is counted by reference: the slot holds one, each reply that sends it another, so that a slow reader keeps
 * the text and not the model that it is of.  Thread rule: any thread may get and write; kept_fini comes last.
 */
#ifndef APP_MODEL_KEPT_H
#define APP_MODEL_KEPT_H

#include <stdatomic.h>
#include <stddef.h>

#include "app/json/json.h"

#define ENTITY_TAG_SIZE 24

struct kept {
    atomic_int references;
    char *data;
    size_t size;
    char tag[ENTITY_TAG_SIZE]; /* of its bytes */
};

/* Where one is kept; zero: nothing yet. */
struct kept_slot {
    struct kept *_Atomic kept;
};

/* The document, held for the caller; NULL: it has not been written yet. */
struct kept *kept_get(struct kept_slot *slot);
/* Takes the writer's text and puts it into the slot, held for the caller; if another thread was quicker, the text is
 * dropped and the other's returned.  NULL: err says why (as json_writer_take), and the slot stays empty. */
struct kept *kept_write(struct kept_slot *slot, struct json_writer *writer, struct infomask_error *err);
void kept_release(struct kept *kept); /* NULL does nothing */
void kept_fini(struct kept_slot *slot);

/* The entity tag of some bytes, quotes included. */
void entity_tag(const void *data, size_t size, char tag[ENTITY_TAG_SIZE]);

#endif
