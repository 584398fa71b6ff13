/* Which models have their network in memory, within a bound of bytes.
 *
 * A model is always listed; its network comes and goes.  Who is going to run it pins it: a pinned network stays.  A pin
 * of one that is out waits while a loader, a thread of its own, brings it in, the longest waiting model first.  Room is
 * made by giving back networks that nobody has pinned, the least recently used first and the default model's last;
 * where that is not enough, new pins of the least recently used ones wait as well, behind the model that waits for
 * room: so that traffic of one cannot keep another out.  Private to the room; models.h has the public half.
 *
 * Thread rule: any thread.  One lock guards everything here; no network is loaded or freed under it.
 */
#ifndef APP_MODEL_RESIDENT_H
#define APP_MODEL_RESIDENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "app/model/models.h"
#include "core/base/pool.h"

enum resident_place {
    RESIDENT_IN,
    RESIDENT_GOING,  /* is to be given back, its bytes are not counted any more */
    RESIDENT_LEAVES, /* a thread gives it back */
    RESIDENT_OUT,
    RESIDENT_COMES   /* a loader reads it, its bytes are counted */
};

/* A model's part. */
TAILQ_HEAD(wait_list, model_wait);

struct resident {
    struct pool_task task; /* first: the loaders hand it back */
    struct residents *of;  /* NULL: of no catalogue, always in memory */
    struct model *model, *next;
    enum resident_place place;
    size_t bytes;
    int pins;
    bool leaving;   /* new pins wait: another model waits for its room */
    bool stopped;   /* by an administrator: it does not come back on request */
    bool preferred; /* the default model */
    uint64_t used;  /* when it was last pinned; 0: never */
    uint64_t asked; /* since when it is waited for; 0: it is not */
    struct wait_list waits; /* pins, in their order */
    struct infomask_error why; /* of the last load, if it failed */
};

struct residents;

/* options: the catalogue's, which must outlive this.  look: the files of a model have changed while it was out; it
 * looks at the folders again. */
enum infomask_status residents_create(const struct model_options *options,
                                      enum infomask_status (*look)(void *context, struct infomask_error *err),
                                      void *context, struct residents **residents, struct infomask_error *err)
    __attribute__((warn_unused_result));
void residents_end(struct residents *residents); /* ends the loaders; nobody waits any more.  NULL does nothing */
void residents_free(struct residents *residents); /* no model may be left; NULL does nothing */

/* A model that has just been loaded; others, or it itself, may have to go.  It leaves when it is freed. */
void residents_add(struct residents *residents, struct model *model);
/* The default model from now on; it is brought in if it is out. */
void residents_prefer(struct residents *residents, struct model *model);

bool resident_is_in(const struct model *model);
/* That it was unloaded: ARGUMENT. */
enum infomask_status resident_stopped_error(const struct model *model, struct infomask_error *err);
/* stopped: its network goes as soon as nobody has it pinned; else it may be asked again, and is brought in at once
 * where there is no bound. */
void resident_stop(struct model *model, bool stopped);

void residents_expire(struct residents *residents, double now_ms);
void residents_state(struct residents *residents, struct models_memory *state);

#endif
