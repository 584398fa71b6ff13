/* Private to the room: a model with its reference count and idle sessions, which model.c keeps and the catalogue reads,
 * and its part in the memory of all (resident.h). */
#ifndef APP_MODEL_ONE_H
#define APP_MODEL_ONE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "app/model/folder_read.h"
#include "app/model/models.h"
#include "app/model/memory/resident.h"

struct model {
    atomic_int references;
    uint64_t serial;
    struct model_folder folder;
    struct infomask_model *core;
    struct pool *pool;
    struct statistics statistics;
    struct kept_slot texts[MODEL_TEXTS];
    pthread_mutex_t lock; /* of what follows */
    struct infomask_session **idle;
    int idle_count, idle_room;
    struct resident resident; /* its own lock's */
    void (*leave)(struct model *model); /* told before it is freed, by who has it in a list; NULL: nobody has */
};

/* Gives the idle sessions' surplus memory back. */
void model_trim(struct model *model);
/* Are the folder's files as they were when it was read? */
bool model_is_unchanged(const struct model *model);
/* The network's memory, with that of the idle sessions; no session may be out. */
void model_drop_network(struct model *model);
/* The network, at first or again; then the folder's files must be unchanged. */
enum infomask_status model_bring_network(struct model *model, const struct model_options *options,
                                         struct infomask_error *err) __attribute__((warn_unused_result));

#endif
