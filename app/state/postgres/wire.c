/* Talk with a PostgreSQL server: one command or result at a time, never longer than the connection's deadline.
 *
 * The socket is non-blocking, and each wait looks at the clock and at whether the server has been given up.  A
 * connection that is out of time is lost, because what it waits for would be taken for the next answer; the server ends
 * what it was doing when its own timeouts say so.
 */
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/postgres/postgres.h"
#include "core/base/clock.h"

#define SILENCE_MS 10000.0 /* without a byte from the server: it is taken for lost */
#define SLICE_MS 200.0     /* between two looks at whether the server has been given up */

/* ---- What went wrong --------------------------------------------------------------------------------------------- */

enum infomask_status postgres_lost(struct postgres *c, bool again, struct infomask_error *err)
{
    c->base.lost = true;
    c->base.again = again;
    return error_set(err, INFOMASK_IO,
                     again ? "the connection to the state's server broke"
                           : "the state's server did not answer in time");
}

static bool is_of(const char *code, const char *beginnings)
{
    for (const char *at = beginnings; *at != '\0'; at += strcspn(at, " ") + strspn(at + strcspn(at, " "), " ")) {
        size_t length = strcspn(at, " ");
        if (strncmp(code, at, length) == 0)
            return true;
    }
    return false;
}

/* By SQLSTATE (PostgreSQL manual, appendix A). */
static enum infomask_status refused(struct postgres *c, const struct pg_result *result, struct infomask_error *err)
{
    const char *code = c->pq->resultErrorField(result, LIBPQ_SQLSTATE);

    if (code == NULL || is_of(code, "08 57P01 57P02 57P03 25P03 25006")) /* gone, restarted, a standby by now */
        return postgres_lost(c, true, err);
    c->base.taken = is_of(code, "23505");
    c->base.again = is_of(code, "40001 40P01");
    if (is_of(code, "53100"))
        return error_set(err, INFOMASK_STATE_FULL, "the disk of the state's server is full");
    if (is_of(code, "53200"))
        return error_set(err, INFOMASK_MEMORY, "no memory on the state's server");
    if (is_of(code, "55P03 57014"))
        return error_set(err, INFOMASK_IO, "the state's server did not answer in time");
    if (is_of(code, "22021 22P05"))
        return error_set(err, INFOMASK_ARGUMENT, "a name is no UTF-8");
    if (is_of(code, "42501"))
        return error_set(err, INFOMASK_IO, "the state's user may not do what is needed on the server (42501)");
    return error_set(err, INFOMASK_IO, "the state's server failed with the code %.5s", code);
}

/* ---- Waiting ----------------------------------------------------------------------------------------------------- */

int postgres_wait(struct postgres *c, short events, double deadline)
{
    struct pollfd wait = {.fd = c->pq->socket(c->pg), .events = events};
    double left = fmin(deadline - clock_ms(), SLICE_MS);

    return left > 0 ? poll(&wait, 1, (int)ceil(left)) : 0;
}

/* Sends what is still to be sent and reads until a result is whole. */
static enum infomask_status wait_result(struct postgres *c, struct infomask_error *err)
{
    double deadline = fmin(c->base.deadline_ms, clock_ms() + SILENCE_MS);
    int unsent = c->pq->flush(c->pg);

    while (unsent > 0 || c->pq->isBusy(c->pg)) {
        if (unsent < 0)
            return postgres_lost(c, true, err);
        if (clock_ms() >= deadline || (!c->base.patient && store_given_up(c->base.store)))
            return postgres_lost(c, false, err);
        if (postgres_wait(c, (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)), deadline) <= 0)
            continue;
        if (!c->pq->consumeInput(c->pg))
            return postgres_lost(c, true, err);
        unsent = c->pq->flush(c->pg);
    }
    return INFOMASK_OK;
}

enum infomask_status postgres_next(struct postgres *c, struct pg_result **result, struct infomask_error *err)
{
    enum infomask_status status = wait_result(c, err);

    *result = status == INFOMASK_OK ? c->pq->getResult(c->pg) : NULL;
    return status;
}

enum infomask_status postgres_judge(struct postgres *c, struct pg_result *result, struct infomask_error *err)
{
    switch (c->pq->resultStatus(result)) {
    case LIBPQ_COMMAND_OK:
    case LIBPQ_TUPLES_OK:
    case LIBPQ_SINGLE_TUPLE:
        return INFOMASK_OK;
    default:
        return refused(c, result, err);
    }
}

enum infomask_status postgres_finish(struct postgres *c, int64_t *number, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct pg_result *result = NULL;

    do {
        struct infomask_error fault;
        enum infomask_status now = postgres_next(c, &result, &fault);
        if (result != NULL)
            now = postgres_judge(c, result, &fault);
        if (result != NULL && now == INFOMASK_OK && number != NULL && c->pq->ntuples(result) > 0)
            *number = strtoll(c->pq->getvalue(result, 0, 0), NULL, 10);
        c->pq->clear(result);
        if (now != INFOMASK_OK && status == INFOMASK_OK) {
            status = now;
            if (err != NULL)
                *err = fault;
        }
    } while (result != NULL && !c->base.lost);
    return status;
}

void postgres_finish_current(struct postgres *c)
{
    c->pq->clear(c->row);
    c->row = NULL;
    if (c->current != NULL && !c->base.lost)
        (void)!postgres_finish(c, NULL, NULL);
    c->current = NULL;
}

enum infomask_status postgres_ask(struct postgres *c, const char *sql, int64_t *number, struct infomask_error *err)
{
    postgres_finish_current(c);
    if (c->base.lost || !c->pq->sendQuery(c->pg, sql))
        return postgres_lost(c, true, err);
    return postgres_finish(c, number, err);
}

enum infomask_status postgres_command(struct postgres *c, const char *sql, struct infomask_error *err)
{
    return postgres_ask(c, sql, NULL, err);
}

/* A failed transaction answers COMMIT by rolling back, and says so. */
enum infomask_status postgres_commit(struct postgres *c, struct infomask_error *err)
{
    struct pg_result *result;
    enum infomask_status status;
    bool rolled_back;

    postgres_finish_current(c);
    if (c->base.lost || !c->pq->sendQuery(c->pg, "COMMIT"))
        return postgres_lost(c, true, err);
    status = postgres_next(c, &result, err);
    if (status != INFOMASK_OK || result == NULL)
        return status != INFOMASK_OK ? status : postgres_lost(c, true, err);
    status = postgres_judge(c, result, err);
    rolled_back = status == INFOMASK_OK && strcmp(c->pq->cmdStatus(result), "COMMIT") != 0;
    c->pq->clear(result);
    if (rolled_back)
        status = error_set(err, INFOMASK_INTERNAL, "the state's transaction had failed before its end");
    return c->base.lost || postgres_finish(c, NULL, NULL) == INFOMASK_OK ? status : postgres_lost(c, true, err);
}
