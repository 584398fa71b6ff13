#include "app/state/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PAGE 4096
#define BUSY_MS 10000
#define APPLICATION 0x696d6173 /* "imas": whose file it is, for file(1) and for us */

static enum infomask_status disk_full(struct infomask_error *err)
{
    return error_set(err, INFOMASK_STATE_FULL, "the disk of the state folder is full");
}

static enum infomask_status failed(struct store_connection *connection, int code, struct infomask_error *err)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        if (connection->db != NULL && sqlite3_system_errno(connection->db) == ENOSPC)
            return disk_full(err);
        return error_set(err, INFOMASK_STATE_FULL, "the state is full; delete estimates, or raise state_limit");
    case SQLITE_NOMEM:
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    case SQLITE_BUSY:
        return error_set(err, INFOMASK_IO, "the state is in use by another process");
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return error_set(err, INFOMASK_IO, "the state cannot be written");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return error_set(err, INFOMASK_IO, "the file of the state is damaged");
    case SQLITE_IOERR: /* a full disk shows as this too, where a file cannot be made longer */
        if (connection->db != NULL && sqlite3_system_errno(connection->db) == ENOSPC)
            return disk_full(err);
        return error_set(err, INFOMASK_IO, "the state cannot be read or written");
    default:
        return error_set(err, INFOMASK_INTERNAL, "the state failed with code %d", code);
    }
}

static enum infomask_status execute(struct store_connection *connection, const char *sql, struct infomask_error *err)
{
    int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : failed(connection, code, err);
}

static enum infomask_status prepare(struct store_connection *connection, const char *sql, sqlite3_stmt **statement,
                                    struct infomask_error *err)
{
    int code = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : failed(connection, code, err);
}

/* ---- The files behind the names ------------------------------------------------------------------------------------ */

static struct store_file file_of(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return (struct store_file){0};
    return (struct store_file){(unsigned long long)info.st_dev, (unsigned long long)info.st_ino};
}

static bool same_file(struct store_file a, struct store_file b)
{
    return a.device == b.device && a.inode == b.inode && a.inode != 0;
}

/* A file that has no name any more takes what is written with it: nothing may be acknowledged then.  The log is made
 * with the first transaction and stays as long as somebody has it open. */
static enum infomask_status check_files(struct store_connection *connection, struct infomask_error *err)
{
    struct store_file log = file_of(connection->log_path);

    if (connection->log.inode == 0)
        connection->log = log;
    if (same_file(file_of(connection->path), connection->file) && same_file(log, connection->log))
        return INFOMASK_OK;
    return error_set(err, INFOMASK_IO,
                     "the state's file was removed or replaced while it was open; put it back, or start the service again");
}

/* ---- Transactions -------------------------------------------------------------------------------------------------- */

/* Nothing happens outside of a transaction. */
static void roll_back(struct store_connection *connection)
{
    if (sqlite3_get_autocommit(connection->db))
        return;
    (void)sqlite3_step(connection->rollback);
    (void)sqlite3_reset(connection->rollback);
}

/* A transaction that is still open is one whose rolling back failed. */
static enum infomask_status begin(struct store_connection *connection, bool writes, struct infomask_error *err)
{
    enum infomask_status status;

    roll_back(connection);
    connection->writes = writes;
    status = execute(connection, writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (status == INFOMASK_OK && writes && (status = check_files(connection, err)) != INFOMASK_OK)
        roll_back(connection);
    return status;
}

/* A number that a pragma answers; -1 on failure. */
static int64_t pragma(struct store_connection *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

static enum infomask_status create_schema(struct store_connection *connection, const struct store_options *options,
                                          struct infomask_error *err)
{
    char text[100];
    enum infomask_status status = store_begin(connection, err);

    if (status != INFOMASK_OK)
        return status;
    if (pragma(connection, "PRAGMA user_version") == 0) { /* nobody was quicker */
        (void)snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION,
                       options->version);
        status = execute(connection, options->schema, err);
        if (status == INFOMASK_OK)
            status = execute(connection, text, err);
    }
    return store_end(connection, status, err);
}

/* From the version before. */
static enum infomask_status upgrade_schema(struct store_connection *connection, const struct store_options *options,
                                           struct infomask_error *err)
{
    char text[60];
    enum infomask_status status = store_begin(connection, err);

    if (status != INFOMASK_OK)
        return status;
    if (pragma(connection, "PRAGMA user_version") == options->version - 1) { /* nobody was quicker */
        (void)snprintf(text, sizeof text, "PRAGMA user_version = %d", options->version);
        status = execute(connection, options->upgrade, err);
        if (status == INFOMASK_OK)
            status = execute(connection, text, err);
    }
    return store_end(connection, status, err);
}

static enum infomask_status set_up(struct store_connection *connection, const struct store_options *options,
                                   struct infomask_error *err)
{
    char text[60];
    int64_t found;
    enum infomask_status status = execute(connection,
                                          "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL;"
                                          "PRAGMA journal_mode = WAL;"
                                          "PRAGMA journal_size_limit = 8388608; PRAGMA cache_size = -4096;"
                                          "PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF",
                                          err);

    if (status == INFOMASK_OK)
        status = execute(connection, options->relaxed ? "PRAGMA synchronous = NORMAL" : "PRAGMA synchronous = FULL", err);
    if (status == INFOMASK_OK && options->max_bytes > 0) {
        (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %llu",
                       (unsigned long long)(options->max_bytes / PAGE + 1));
        status = execute(connection, text, err);
    }
    if (status == INFOMASK_OK)
        status = prepare(connection, "ROLLBACK", &connection->rollback, err);
    if (status != INFOMASK_OK)
        return status;
    connection->file = file_of(connection->path);
    found = pragma(connection, "PRAGMA user_version");
    if (found == 0 && pragma(connection, "PRAGMA schema_version") == 0)
        return create_schema(connection, options, err);
    if (pragma(connection, "PRAGMA application_id") == APPLICATION) {
        if (found == options->version)
            return INFOMASK_OK;
        if (found == options->version - 1 && options->upgrade != NULL)
            return upgrade_schema(connection, options, err);
    }
    return error_set(err, INFOMASK_IO, "the file was not written by this version of infomask");
}

enum infomask_status store_connect(struct store_connection *connection, const char *path,
                                   const struct store_options *options, struct infomask_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    enum infomask_status status;
    int code;

    *connection = (struct store_connection){.sql = options->sql, .count = options->count, .path = strdup(path)};
    connection->statements = calloc((size_t)options->count, sizeof(sqlite3_stmt *));
    if (connection->statements == NULL || connection->path == NULL ||
        asprintf(&connection->log_path, "%s-wal", path) < 0) {
        connection->log_path = NULL;
        store_disconnect(connection);
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    }
    code = sqlite3_open_v2(path, &connection->db, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, BUSY_MS);
    status = code == SQLITE_OK ? set_up(connection, options, err) : failed(connection, code, err);
    if (status != INFOMASK_OK)
        store_disconnect(connection);
    return status;
}

void store_disconnect(struct store_connection *connection)
{
    for (int i = 0; connection->statements != NULL && i < connection->count; i++)
        (void)sqlite3_finalize(connection->statements[i]);
    free(connection->statements);
    (void)sqlite3_finalize(connection->rollback);
    (void)sqlite3_close(connection->db);
    free(connection->path);
    free(connection->log_path);
    *connection = (struct store_connection){0};
}

enum infomask_status store_begin(struct store_connection *connection, struct infomask_error *err)
{
    return begin(connection, true, err);
}

enum infomask_status store_begin_read(struct store_connection *connection, struct infomask_error *err)
{
    return begin(connection, false, err);
}

static void reset_all(struct store_connection *connection)
{
    for (int i = 0; i < connection->count; i++) /* one in the middle of its rows would hold the transaction */
        (void)sqlite3_reset(connection->statements[i]);
}

enum infomask_status store_mark(struct store_connection *connection, struct infomask_error *err)
{
    return execute(connection, "SAVEPOINT part", err);
}

enum infomask_status store_release(struct store_connection *connection, bool keep, struct infomask_error *err)
{
    struct infomask_error fault;
    enum infomask_status status;

    reset_all(connection);
    if (sqlite3_get_autocommit(connection->db)) /* what failed took the whole transaction with it (a full disk does) */
        return err != NULL ? err->status : INFOMASK_IO;
    status = execute(connection, keep ? "RELEASE part" : "ROLLBACK TO part; RELEASE part", &fault);
    if (status != INFOMASK_OK && err != NULL)
        *err = fault;
    return status;
}

enum infomask_status store_end(struct store_connection *connection, enum infomask_status status,
                               struct infomask_error *err)
{
    reset_all(connection);
    if (status == INFOMASK_OK)
        status = execute(connection, "COMMIT", err);
    if (status == INFOMASK_OK && connection->writes)
        status = check_files(connection, err); /* removed meanwhile: what was committed is gone */
    if (status != INFOMASK_OK)
        roll_back(connection);
    return status;
}

sqlite3_stmt *store_statement(struct store_connection *connection, int n, struct infomask_error *err)
{
    sqlite3_stmt **statement = &connection->statements[n];

    if (*statement != NULL) {
        (void)sqlite3_reset(*statement);
        (void)sqlite3_clear_bindings(*statement);
        return *statement;
    }
    return prepare(connection, connection->sql[n], statement, err) == INFOMASK_OK ? *statement : NULL;
}

enum infomask_status store_step(struct store_connection *connection, sqlite3_stmt *statement, bool *row,
                                struct infomask_error *err)
{
    int code = sqlite3_step(statement);

    *row = code == SQLITE_ROW;
    if (code == SQLITE_ROW)
        return INFOMASK_OK;
    (void)sqlite3_reset(statement);
    return code == SQLITE_DONE ? INFOMASK_OK : failed(connection, code, err);
}

enum infomask_status store_run(struct store_connection *connection, sqlite3_stmt *statement, struct infomask_error *err)
{
    bool row = true;
    enum infomask_status status = INFOMASK_OK;

    while (status == INFOMASK_OK && row)
        status = store_step(connection, statement, &row, err);
    return status;
}

uint64_t store_bytes(struct store_connection *connection)
{
    int64_t pages = pragma(connection, "PRAGMA page_count"), free_pages = pragma(connection, "PRAGMA freelist_count");

    return pages > free_pages && free_pages >= 0 ? (uint64_t)(pages - free_pages) * PAGE : 0;
}
