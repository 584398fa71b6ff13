/* Results of jobs where replicas share their state: what one replica runs, every other can answer for.
 *
 * A job has a row from before it waits until it expires or is forgotten.  The replica that runs it says every few
 * seconds that it still does (results_beat); a job whose replica went silent is as if it had never been.  Times are the
 * server's. Everything may wait for the server until the handle's deadline.  Thread rule: any thread.
 */
#ifndef APP_STATE_RESULTS_H
#define APP_STATE_RESULTS_H

#include "app/state/estimates.h"

enum { RESULT_WAITING, RESULT_RUNNING, RESULT_DONE, RESULT_FAILED };

/* Texts of results_get are in `storage`. */
struct result {
    const char *id, *request_id, *route;
    uint64_t owner;             /* who may see it */
    int state;
    double keep_s;              /* of a finished one: how long from now on */
    double age_s;               /* out */
    int status;                 /* of the reply of a finished one, and what it was */
    const char *content_type, *code, *headers; /* NULL: none; headers: "Name: value\n" each */
    const void *body;           /* NULL: not asked for, or not finished */
    size_t size;                /* of the body */
    char *storage;              /* owned */
};
void result_fini(struct result *result);

/* Of one that waits: made.  replica: whose it is. */
enum infomask_status results_make(struct estimates *estimates, const struct result *result, const char *replica,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
/* Of one that runs or is finished.  *there false: it was forgotten meanwhile, and stays so. */
enum infomask_status results_change(struct estimates *estimates, const struct result *result, bool *there,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
/* *there false: there is none of that owner. */
enum infomask_status results_get(struct estimates *estimates, const char *id, uint64_t owner, bool body,
                                 struct result *result, bool *there, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status results_forget(struct estimates *estimates, const char *id, uint64_t owner, bool *there,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
/* This replica lives; what has expired, or whose replica does not, goes. */
enum infomask_status results_beat(struct estimates *estimates, const char *replica, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
