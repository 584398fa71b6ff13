/* The state on a PostgreSQL server, in a schema of its own named infomask, which the first replica makes: transactions
 * and statements.  Values travel in binary form: what is read is, bit for bit, what was written.  Rows come one by one.
 */
#include <endian.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/postgres/postgres.h"
#include "core/base/clock.h"

#define MOST_SQL 1024

static struct postgres_statement *inner(struct store_statement *statement)
{
    return (struct postgres_statement *)statement;
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
    postgres_finish_current(c);
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
        return postgres_lost(c, true, err);
    status = postgres_finish(c, NULL, err);
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
    postgres_finish_current(c);
    if (c->base.lost)
        return postgres_lost(c, c->base.again, err);
    if (!s->known)
        status = prepare(c, s, name, err);
    if (status != INFOMASK_OK)
        return status;
    if (!c->pq->sendQueryPrepared(c->pg, name, count, s->values, s->lengths, s->formats, 1))
        return postgres_lost(c, true, err);
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
        status = postgres_next(c, &result, err);
    if (status == INFOMASK_OK && result != NULL)
        status = postgres_judge(c, result, err);
    if (status == INFOMASK_OK && result != NULL && c->pq->resultStatus(result) == LIBPQ_SINGLE_TUPLE) {
        c->row = result;
        *row = true;
        return INFOMASK_OK;
    }
    c->pq->clear(result);
    postgres_finish_current(c);
    return status;
}

static void reset(struct store_statement *base)
{
    struct postgres *c = own(base->connection);

    if (c->current == inner(base))
        postgres_finish_current(c);
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
