/* Private to the room: a model with its reference count and idle sessions, which model.c keeps and the catalogue reads.
 */
#ifndef APP_MODEL_ONE_H
#define APP_MODEL_ONE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "app/model/folder_read.h"
#include "app/model/models.h"

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
};

/* Gives the idle sessions' surplus memory back. */
void model_trim(struct model *model);

#endif
