/* What is told of a job to other replicas.  Private to server/jobs.
 *
 * The shared_... functions do nothing where jobs->lane is NULL.
 */
#ifndef SERVER_JOBS_SHARED_H
#define SERVER_JOBS_SHARED_H

#include "server/jobs/entries.h"

/* Before it waits.  False: the state cannot be reached. */
bool shared_make(struct jobs *jobs, const struct entry *entry, struct infomask_error *err);
void shared_unmake(struct jobs *jobs, const char *id, uint64_t owner);
/* Told behind the caller; both hold the entry until it is done. */
void shared_begun(struct entry *entry);
void shared_ended(struct entry *entry);
/* On the main thread's tick: what could not be stored is tried again, and this replica says that it lives. */
void shared_tick(struct jobs *jobs);

/* What another replica's row says. */
enum jobs_answer shared_find(struct jobs *jobs, const struct request *request, const char *id, struct job_view *view,
                             struct infomask_error *err);
enum jobs_answer shared_take(struct jobs *jobs, const struct request *request, const char *id, struct reply *reply,
                             struct infomask_error *err);
enum jobs_answer shared_forget(struct jobs *jobs, const struct request *request, const char *id,
                               struct infomask_error *err);

#endif
