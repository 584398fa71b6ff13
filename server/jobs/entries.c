#include "server/jobs/entries.h"

#include <stdlib.h>
#include <string.h>

void jobs_entry_free(struct entry *entry)
{
    call_free(entry->call);
    free(entry);
}

bool jobs_is_over(const struct entry *entry)
{
    return entry->state >= JOB_DONE;
}

/* What is released is freed by the caller once the lock is left: a reply may be large. */
static struct entry *release(struct entry *entry)
{
    return --entry->references == 0 ? entry : NULL;
}

void jobs_hold(struct entry *entry)
{
    (void)pthread_mutex_lock(&entry->jobs->lock);
    entry->references++;
    (void)pthread_mutex_unlock(&entry->jobs->lock);
}

void jobs_drop(struct entry *entry)
{
    struct jobs *jobs = entry->jobs;
    struct entry *dead;

    (void)pthread_mutex_lock(&jobs->lock);
    dead = release(entry);
    (void)pthread_mutex_unlock(&jobs->lock);
    if (dead != NULL)
        jobs_entry_free(dead);
}

struct entry *jobs_unlink(struct jobs *jobs, struct entry **place)
{
    struct entry *entry = *place;

    *place = entry->next;
    jobs->count--;
    jobs->bytes -= entry->bytes;
    return release(entry);
}

/* A name is a secret where there are no keys: compared in a time that does not depend on where it differs. */
static bool same_id(const char *text, const char id[JOB_ID_SIZE])
{
    unsigned difference = 0;

    if (strlen(text) != JOB_ID_SIZE - 1)
        return false;
    for (int i = 0; i < JOB_ID_SIZE; i++)
        difference |= (unsigned)(text[i] ^ id[i]);
    return difference == 0;
}

struct entry **jobs_place(struct jobs *jobs, const char *id, uint64_t owner)
{
    struct entry **place = &jobs->first;

    while (*place != NULL && (!same_id(id, (*place)->id) || (*place)->call->request.client_hash != owner))
        place = &(*place)->next;
    return *place == NULL ? NULL : place;
}

bool jobs_remove(struct jobs *jobs, const char *id, uint64_t owner)
{
    struct entry **place, *dead = NULL;

    (void)pthread_mutex_lock(&jobs->lock);
    place = jobs_place(jobs, id, owner);
    if (place != NULL) {
        atomic_store(&(*place)->watch.cancelled, true);
        dead = jobs_unlink(jobs, place);
    }
    (void)pthread_mutex_unlock(&jobs->lock);
    if (dead != NULL)
        jobs_entry_free(dead);
    return place != NULL;
}
