/* The state in a file: transactions, statements and their rows. */
#include <math.h>
#include <string.h>

#include "app/state/sqlite/sqlite.h"

#define ROW_LOCK " FOR UPDATE" /* who writes has the file */

static sqlite3_stmt *inner(struct store_statement *statement)
{
    return ((struct prepared *)statement)->sqlite;
}

/* ---- Transactions ------------------------------------------------------------------------------------------------ */

/* Nothing happens outside of a transaction. */
static void roll_back(struct sqlite *connection)
{
    if (sqlite3_get_autocommit(connection->db))
        return;
    (void)sqlite3_step(connection->rollback);
    (void)sqlite3_reset(connection->rollback);
}

/* A transaction that is still open is one whose rolling back failed. */
enum infomask_status sqlite_begin(struct store_connection *base, bool writes, struct infomask_error *err)
{
    struct sqlite *connection = own(base);
    enum infomask_status status;

    roll_back(connection);
    connection->writes = writes;
    status = sqlite_execute(connection, writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (status == INFOMASK_OK && writes)
        status = sqlite_check_files(connection, err);
    if (status == INFOMASK_OK && writes)
        status = sqlite_check_contents(connection, err);
    if (status != INFOMASK_OK)
        roll_back(connection);
    return status;
}

static void reset_all(struct sqlite *connection)
{
    for (int i = 0; i < store_options(connection->base.store)->count; i++)
        (void)sqlite3_reset(
            connection->statements[i].sqlite); /* one in the middle of its rows would hold the transaction */
}

enum infomask_status sqlite_end(struct store_connection *base, enum infomask_status status, struct infomask_error *err)
{
    struct sqlite *connection = own(base);

    reset_all(connection);
    if (status == INFOMASK_OK)
        status = sqlite_execute(connection, "COMMIT", err);
    if (status == INFOMASK_OK && connection->writes)
        status = sqlite_check_files(connection, err); /* removed meanwhile: what was committed is gone */
    if (status != INFOMASK_OK)
        roll_back(connection);
    return status;
}

static enum infomask_status mark(struct store_connection *base, struct infomask_error *err)
{
    return sqlite_execute(own(base), "SAVEPOINT part", err);
}

static enum infomask_status release(struct store_connection *base, bool keep, struct infomask_error *err)
{
    struct sqlite *connection = own(base);
    struct infomask_error fault;
    enum infomask_status status;

    reset_all(connection);
    if (sqlite3_get_autocommit(connection->db)) /* what failed took the whole transaction with it (a full disk does) */
        return err != NULL ? err->status : INFOMASK_IO;
    status = sqlite_execute(connection, keep ? "RELEASE part" : "ROLLBACK TO part; RELEASE part", &fault);
    if (status != INFOMASK_OK && err != NULL)
        *err = fault;
    return status;
}

static void compact(struct store_connection *base)
{
    (void)!sqlite_execute(own(base), "PRAGMA incremental_vacuum", NULL);
}

static void trim(struct store_connection *base)
{
    (void)sqlite3_db_release_memory(own(base)->db);
}

/* ---- Statements -------------------------------------------------------------------------------------------------- */

static enum infomask_status prepare_common(struct sqlite *connection, const char *sql, sqlite3_stmt **statement,
                                           struct infomask_error *err)
{
    size_t length = strlen(sql), cut = strlen(ROW_LOCK);
    int code;

    if (length > cut && strcmp(sql + length - cut, ROW_LOCK) == 0)
        length -= cut;
    code = sqlite3_prepare_v3(connection->db, sql, (int)length, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return code == SQLITE_OK ? INFOMASK_OK : sqlite_failed(connection, code, err);
}

static struct store_statement *statement(struct store_connection *base, int n, struct infomask_error *err)
{
    struct sqlite *connection = own(base);
    struct prepared *prepared = &connection->statements[n];

    prepared->base.connection = base;
    if (prepared->sqlite != NULL) {
        (void)sqlite3_reset(prepared->sqlite);
        (void)sqlite3_clear_bindings(prepared->sqlite);
    } else if (prepare_common(connection, store_options(base->store)->sql[n], &prepared->sqlite, err) != INFOMASK_OK) {
        return NULL;
    }
    return &prepared->base;
}

static void bind_integer(struct store_statement *s, int parameter, int64_t value)
{
    (void)sqlite3_bind_int64(inner(s), parameter, value);
}

static void bind_real(struct store_statement *s, int parameter, double value)
{
    (void)sqlite3_bind_double(inner(s), parameter, value);
}

static void bind_text(struct store_statement *s, int parameter, const char *text)
{
    (void)sqlite3_bind_text(inner(s), parameter, text, -1, SQLITE_STATIC);
}

static void bind_bytes(struct store_statement *s, int parameter, const void *bytes, size_t size)
{
    (void)sqlite3_bind_blob64(inner(s), parameter, bytes, size, SQLITE_STATIC);
}

static enum infomask_status step(struct store_statement *s, bool *row, struct infomask_error *err)
{
    int code = sqlite3_step(inner(s));

    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return INFOMASK_OK;
    (void)sqlite3_reset(inner(s));
    s->connection->taken = code == SQLITE_CONSTRAINT_UNIQUE || code == SQLITE_CONSTRAINT_PRIMARYKEY;
    return code == SQLITE_DONE ? INFOMASK_OK : sqlite_failed(own(s->connection), code, err);
}

static void reset(struct store_statement *s)
{
    (void)sqlite3_reset(inner(s));
}

static int64_t integer(struct store_statement *s, int column)
{
    return sqlite3_column_int64(inner(s), column);
}

static double real(struct store_statement *s, int column)
{
    return sqlite3_column_type(inner(s), column) == SQLITE_NULL ? NAN : sqlite3_column_double(inner(s), column);
}

static const char *text(struct store_statement *s, int column)
{
    return (const char *)sqlite3_column_text(inner(s), column);
}

static const void *bytes(struct store_statement *s, int column, size_t *size)
{
    const void *blob = sqlite3_column_blob(inner(s), column);

    *size = (size_t)sqlite3_column_bytes(inner(s), column);
    return blob;
}

const struct store_driver store_sqlite = {
    .one_writer = true,
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .look = sqlite_look,
    .begin = sqlite_begin,
    .end = sqlite_end,
    .mark = mark,
    .release = release,
    .compact = compact,
    .trim = trim,
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
