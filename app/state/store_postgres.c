/* The state on a PostgreSQL server, in a schema of its own named infomask, which the first replica makes.
 *
 * Nothing here blocks longer than a connection's deadline: the socket is non-blocking, and each wait looks at the clock
 * and at whether the server has been given up.  A connection that is out of time is closed, because what it waits for
 * would be taken for the next answer; the server ends what it was doing when its own timeouts say so. Values travel in
 * binary form: what is read is, bit for bit, what was written.  Rows come one by one.
 */
#include <endian.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/store_postgres.h"
#include "core/base/clock.h"

#define SILENCE_MS 10000.0 /* without a byte from the server: it is taken for lost */
#define SLICE_MS 200.0     /* between two looks at whether the server has been given up */
#define MOST_SQL 1024

static struct postgres_statement *inner(struct store_statement *statement)
{
    return (struct postgres_statement *)statement;
}

/* ---- What went wrong --------------------------------------------------------------------------------------------- */

static enum infomask_status lost(struct postgres *c, bool again, struct infomask_error *err)
{
    c->base.lost = true;
    c->base.again = again;
    return error_set(err, INFOMASK_IO, again ? "the connection to the state's server broke"
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
        return lost(c, true, err);
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

/* Until the socket is ready for `events`, the deadline, or a slice is over: then 0. */
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
            return lost(c, true, err);
        if (clock_ms() >= deadline || (!c->base.patient && store_given_up(c->base.store)))
            return lost(c, false, err);
        if (postgres_wait(c, (short)(POLLIN | (unsent > 0 ? POLLOUT : 0)), deadline) <= 0)
            continue;
        if (!c->pq->consumeInput(c->pg))
            return lost(c, true, err);
        unsent = c->pq->flush(c->pg);
    }
    return INFOMASK_OK;
}

/* *result NULL: there are no more. */
static enum infomask_status next_result(struct postgres *c, struct pg_result **result, struct infomask_error *err)
{
    enum infomask_status status = wait_result(c, err);

    *result = status == INFOMASK_OK ? c->pq->getResult(c->pg) : NULL;
    return status;
}

/* What a result says: a failure, or nothing. */
static enum infomask_status judge(struct postgres *c, struct pg_result *result, struct infomask_error *err)
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

/* Every result of what was sent, to its end; the first failure is the answer.  number: of the first row, if there is
 * one; NULL: nobody asks. */
static enum infomask_status finish_all(struct postgres *c, int64_t *number, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct pg_result *result = NULL;

    do {
        struct infomask_error fault;
        enum infomask_status now = next_result(c, &result, &fault);
        if (result != NULL)
            now = judge(c, result, &fault);
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

/* Ends the statement whose rows are coming, wherever it is. */
static void finish_current(struct postgres *c)
{
    c->pq->clear(c->row);
    c->row = NULL;
    if (c->current != NULL && !c->base.lost)
        (void)!finish_all(c, NULL, NULL);
    c->current = NULL;
}

/* One or more commands, without parameters. */
enum infomask_status postgres_ask(struct postgres *c, const char *sql, int64_t *number, struct infomask_error *err)
{
    finish_current(c);
    if (c->base.lost || !c->pq->sendQuery(c->pg, sql))
        return lost(c, true, err);
    return finish_all(c, number, err);
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

    finish_current(c);
    if (c->base.lost || !c->pq->sendQuery(c->pg, "COMMIT"))
        return lost(c, true, err);
    status = next_result(c, &result, err);
    if (status != INFOMASK_OK || result == NULL)
        return status != INFOMASK_OK ? status : lost(c, true, err);
    status = judge(c, result, err);
    rolled_back = status == INFOMASK_OK && strcmp(c->pq->cmdStatus(result), "COMMIT") != 0;
    c->pq->clear(result);
    if (rolled_back)
        status = error_set(err, INFOMASK_INTERNAL, "the state's transaction had failed before its end");
    return c->base.lost || finish_all(c, NULL, NULL) == INFOMASK_OK ? status : lost(c, true, err);
}

/* ---- Transactions ------------------------------------------------------------------------------------------------ */

static enum infomask_status ping(struct store_connection *base, struct infomask_error *err)
{
    return postgres_command(own(base), "SELECT 1", err);
}

static enum infomask_status begin(struct store_connection *base, bool writes, struct infomask_error *err)
{
    return postgres_command(own(base), writes ? "BEGIN READ WRITE" : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
                            err);
}

static enum infomask_status end(struct store_connection *base, enum infomask_status status, struct infomask_error *err)
{
    struct postgres *c = own(base);

    if (status == INFOMASK_OK)
        return postgres_commit(c, err);
    if (!base->lost)
        (void)!postgres_command(c, "ROLLBACK", NULL);
    return status;
}

static enum infomask_status mark(struct store_connection *base, struct infomask_error *err)
{
    return postgres_command(own(base), "SAVEPOINT part", err);
}

static enum infomask_status release(struct store_connection *base, bool keep, struct infomask_error *err)
{
    struct infomask_error fault;
    enum infomask_status status = postgres_command(own(base), keep ? "RELEASE part" : "ROLLBACK TO part; RELEASE part",
                                                   &fault);

    if (status != INFOMASK_OK && err != NULL)
        *err = fault;
    return status;
}

/* ---- Statements -------------------------------------------------------------------------------------------------- */

static struct store_statement *statement(struct store_connection *base, int n, struct infomask_error *err)
{
    struct postgres *c = own(base);
    struct postgres_statement *s = &c->statements[n];

    (void)err;
    finish_current(c);
    for (int i = 0; i < MOST_PARAMETERS; i++) {
        s->values[i] = NULL;
        s->lengths[i] = 0;
        s->formats[i] = 1;
    }
    return &s->base;
}

static void bind_raw(struct postgres_statement *s, int parameter, const void *value, size_t size)
{
    int i = parameter - 1;

    s->values[i] = value;
    s->lengths[i] = (int)size;
}

static void bind_number(struct postgres_statement *s, int parameter, uint64_t bits)
{
    s->numbers[parameter - 1] = htobe64(bits);
    bind_raw(s, parameter, &s->numbers[parameter - 1], sizeof bits);
}

static void bind_integer(struct store_statement *base, int parameter, int64_t value)
{
    bind_number(inner(base), parameter, (uint64_t)value);
}

static void bind_real(struct store_statement *base, int parameter, double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    bind_number(inner(base), parameter, bits);
}

static void bind_text(struct store_statement *base, int parameter, const char *text)
{
    bind_raw(inner(base), parameter, text, strlen(text));
}

static void bind_bytes(struct store_statement *base, int parameter, const void *bytes, size_t size)
{
    bind_raw(inner(base), parameter, bytes, size);
}

static enum infomask_status prepare(struct postgres *c, struct postgres_statement *s, const char *name,
                                    struct infomask_error *err)
{
    char sql[MOST_SQL];
    enum infomask_status status;

    (void)snprintf(sql, sizeof sql, "%s", store_options(c->base.store)->sql[s->number]);
    for (char *at = sql; *at != '\0'; at++)
        if (*at == '?')
            *at = '$';
    if (!c->pq->sendPrepare(c->pg, name, sql, 0, NULL))
        return lost(c, true, err);
    status = finish_all(c, NULL, err);
    s->known = status == INFOMASK_OK;
    return status;
}

/* As many parameters as the statement has: those that were not bound are NULL. */
static int parameters_of(const char *sql)
{
    int most = 0;

    for (const char *at = strchr(sql, '?'); at != NULL; at = strchr(at + 1, '?')) {
        int number = (int)strtol(at + 1, NULL, 10);
        most = number > most ? number : most;
    }
    return most;
}

static enum infomask_status send_statement(struct postgres *c, struct postgres_statement *s, struct infomask_error *err)
{
    int count = parameters_of(store_options(c->base.store)->sql[s->number]);
    char name[16];
    enum infomask_status status = INFOMASK_OK;

    (void)snprintf(name, sizeof name, "s%d", s->number);
    finish_current(c);
    if (c->base.lost)
        return lost(c, c->base.again, err);
    if (!s->known)
        status = prepare(c, s, name, err);
    if (status != INFOMASK_OK)
        return status;
    if (!c->pq->sendQueryPrepared(c->pg, name, count, s->values, s->lengths, s->formats, 1))
        return lost(c, true, err);
    (void)c->pq->setSingleRowMode(c->pg);
    c->current = s;
    return INFOMASK_OK;
}

static enum infomask_status step(struct store_statement *base, bool *row, struct infomask_error *err)
{
    struct postgres *c = own(base->connection);
    struct postgres_statement *s = inner(base);
    struct pg_result *result = NULL;
    enum infomask_status status = INFOMASK_OK;

    *row = false;
    if (c->current != s)
        status = send_statement(c, s, err);
    c->pq->clear(c->row);
    c->row = NULL;
    if (status == INFOMASK_OK)
        status = next_result(c, &result, err);
    if (status == INFOMASK_OK && result != NULL)
        status = judge(c, result, err);
    if (status == INFOMASK_OK && result != NULL && c->pq->resultStatus(result) == LIBPQ_SINGLE_TUPLE) {
        c->row = result;
        *row = true;
        return INFOMASK_OK;
    }
    c->pq->clear(result);
    finish_current(c);
    return status;
}

static void reset(struct store_statement *base)
{
    struct postgres *c = own(base->connection);

    if (c->current == inner(base))
        finish_current(c);
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

/* NULL for NULL, and where there is no row. */
static const void *value_of(struct store_statement *base, int column, size_t *size)
{
    const struct postgres *c = own(base->connection);

    *size = 0;
    if (c->row == NULL || c->pq->getisnull(c->row, 0, column))
        return NULL;
    *size = (size_t)c->pq->getlength(c->row, 0, column);
    return c->pq->getvalue(c->row, 0, column);
}

static int64_t integer(struct store_statement *base, int column)
{
    size_t size;
    const unsigned char *bytes = value_of(base, column, &size);
    uint64_t value = size > 0 && bytes[0] >= 0x80 ? UINT64_MAX : 0;

    for (size_t i = 0; i < size; i++) /* 4 bytes or 8, the highest first */
        value = value << 8 | bytes[i];
    return (int64_t)value;
}

static double real(struct store_statement *base, int column)
{
    size_t size;
    const void *bytes = value_of(base, column, &size);
    uint64_t bits;
    double value;

    if (size != sizeof bits)
        return NAN;
    memcpy(&bits, bytes, sizeof bits);
    bits = be64toh(bits);
    memcpy(&value, &bits, sizeof value);
    return value;
}

static const char *text(struct store_statement *base, int column)
{
    size_t size;

    return value_of(base, column, &size); /* libpq puts a zero behind each value */
}

static const void *bytes(struct store_statement *base, int column, size_t *size)
{
    return value_of(base, column, size);
}

const struct store_driver store_postgres = {
    .remote = true,
    .load = postgres_load,
    .connect = postgres_connect,
    .disconnect = postgres_disconnect,
    .look = postgres_look,
    .ping = ping,
    .begin = begin,
    .end = end,
    .mark = mark,
    .release = release,
    .statement = statement,
    .bind_integer = bind_integer,
    .bind_real = bind_real,
    .bind_text = bind_text,
    .bind_bytes = bind_bytes,
    .step = step,
    .reset = reset,
    .integer = integer,
    .real = real,
    .text = text,
    .bytes = bytes,
};
