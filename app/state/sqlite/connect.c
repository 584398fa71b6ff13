/* The state in a file: SQLite in WAL mode, bounded in size, safe against kill -9 and, unless it is relaxed, a loss of
 * power.
 *
 * Each commit ends with an fsync of the log; `relaxed` leaves that to the checkpoints: the last transactions may then
 * be lost with the power, and the file is whole nevertheless.  A file that was removed, replaced or cut under us is not
 * written: each transaction that writes compares the names with the files that are open, before and after, and looks
 * first whether what must be in them is there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "app/state/sqlite/sqlite.h"

#define PAGE 4096
#define CACHE_KB 4096ULL
#define BUSY_MS 10000
#define LEAST_FREE (256 * 1024) /* bytes below which a disk has no room for a transaction */
#define INCREMENTAL 2 /* a mode of auto_vacuum */
#define APPLICATION 0x696d6173 /* "imas": whose file it is, for file(1) and for us */

/* ---- Failures ---------------------------------------------------------------------------------------------------- */

static enum infomask_status disk_full(struct infomask_error *err)
{
    return error_set(err, INFOMASK_STATE_FULL, "the disk of the state folder is full");
}

/* SQLite says the same of its own bound and of the disk, and forgets the disk's errno. */
static bool disk_is_full(const struct sqlite *connection)
{
    struct statvfs disk;

    return statvfs(store_where(connection->base.store), &disk) == 0 &&
           (unsigned long long)disk.f_bavail * disk.f_frsize < LEAST_FREE;
}

enum infomask_status sqlite_failed(struct sqlite *connection, int code, struct infomask_error *err)
{
    switch (code & 0xff) {
    case SQLITE_FULL:
        if (disk_is_full(connection))
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

enum infomask_status sqlite_execute(struct sqlite *connection, const char *sql, struct infomask_error *err)
{
    int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : sqlite_failed(connection, code, err);
}

/* ---- Schema ------------------------------------------------------------------------------------------------------ */

/* A number that a pragma answers; -1 on failure. */
static int64_t pragma(struct sqlite *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

/* Is the file ours, of a version that we know, or nobody's yet (version 0)? */
static enum infomask_status read_version(struct sqlite *connection, int wanted, int64_t *version,
                                         struct infomask_error *err)
{
    enum infomask_status status = sqlite_execute(connection, "PRAGMA schema_version", err);
    int64_t schema;

    if (status != INFOMASK_OK)
        return status;
    schema = pragma(connection, "PRAGMA schema_version"); /* before the version: somebody may make both meanwhile */
    *version = pragma(connection, "PRAGMA user_version");
    if (*version == 0 && schema == 0)
        return INFOMASK_OK;
    if (*version < 1 || pragma(connection, "PRAGMA application_id") != APPLICATION)
        return error_set(err, INFOMASK_IO, "the file was not written by infomask");
    if (*version > wanted)
        return error_set(err, INFOMASK_IO,
                         "the file was written by a newer infomask: it is of version %lld, and this one knows %d",
                         (long long)*version, wanted);
    return INFOMASK_OK;
}

static enum infomask_status create_schema(struct sqlite *connection, const struct store_schema *schema,
                                          struct infomask_error *err)
{
    char text[100];
    enum infomask_status status = sqlite_begin(&connection->base, true, err);

    if (status != INFOMASK_OK)
        return status;
    if (pragma(connection, "PRAGMA user_version") == 0) { /* nobody was quicker */
        (void)snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION,
                       schema->version);
        status = sqlite_execute(connection, schema->create, err);
        if (status == INFOMASK_OK)
            status = sqlite_execute(connection, text, err);
    }
    return sqlite_end(&connection->base, status, err);
}

/* From any version before, one step after the other. */
static enum infomask_status upgrade_schema(struct sqlite *connection, const struct store_schema *schema,
                                           struct infomask_error *err)
{
    char text[60];
    int64_t from;
    enum infomask_status status = sqlite_begin(&connection->base, true, err);

    if (status != INFOMASK_OK)
        return status;
    from = pragma(connection, "PRAGMA user_version"); /* somebody may have been quicker */
    for (int64_t v = from; status == INFOMASK_OK && v >= 1 && v < schema->version; v++)
        status = sqlite_execute(connection, schema->upgrades[v - 1], err);
    (void)snprintf(text, sizeof text, "PRAGMA user_version = %d", schema->version);
    if (status == INFOMASK_OK && from >= 1 && from < schema->version)
        status = sqlite_execute(connection, text, err);
    return sqlite_end(&connection->base, status, err);
}

static enum infomask_status prepare(struct sqlite *connection, const char *sql, sqlite3_stmt **statement,
                                    struct infomask_error *err)
{
    int code = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : sqlite_failed(connection, code, err);
}

static enum infomask_status set_up(struct sqlite *connection, struct infomask_error *err)
{
    const struct store_options *options = store_options(connection->base.store);
    const struct store_schema *schema = &options->file;
    char text[80];
    int64_t found;
    enum infomask_status status = read_version(connection, schema->version, &found, err); /* before it is changed */

    /* Saying it takes the write lock.  A file without a page has nothing that a journal on the disk could save, and its
     * six waits for the disk would be most of a first start. */
    if (status == INFOMASK_OK && pragma(connection, "PRAGMA auto_vacuum") != INCREMENTAL)
        status = sqlite_execute(connection,
                         pragma(connection, "PRAGMA page_count") == 0
                             ? "PRAGMA journal_mode = MEMORY; PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL"
                             : "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL",
                         err);
    if (status == INFOMASK_OK)
        status = sqlite_execute(connection,
                         "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 8388608; PRAGMA temp_store = MEMORY;"
                         "PRAGMA trusted_schema = OFF",
                         err);
    if (status == INFOMASK_OK) {
        (void)snprintf(text, sizeof text, "PRAGMA cache_size = -%llu; PRAGMA synchronous = %s",
                       (unsigned long long)(options->cache_bytes > 0 ? options->cache_bytes / 1024 : CACHE_KB),
                       options->passing   ? "OFF"
                       : options->relaxed ? "NORMAL"
                                          : "FULL");
        status = sqlite_execute(connection, text, err);
    }
    if (status == INFOMASK_OK && options->max_bytes > 0) {
        (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %llu",
                       (unsigned long long)(options->max_bytes / PAGE + 1));
        status = sqlite_execute(connection, text, err);
    }
    if (status == INFOMASK_OK)
        status = prepare(connection, "ROLLBACK", &connection->rollback, err);
    if (status != INFOMASK_OK)
        return status;
    connection->file = sqlite_file_of(store_where(connection->base.store));
    status = read_version(connection, schema->version, &found, err); /* somebody may have been quicker */
    if (status != INFOMASK_OK || found == schema->version)
        return status;
    return found == 0 ? create_schema(connection, schema, err) : upgrade_schema(connection, schema, err);
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

void sqlite_disconnect(struct store_connection *base)
{
    struct sqlite *connection = own(base);
    int count = store_options(base->store)->count;

    for (int i = 0; connection->statements != NULL && i < count; i++)
        (void)sqlite3_finalize(connection->statements[i].sqlite);
    free(connection->statements);
    (void)sqlite3_finalize(connection->rollback);
    (void)sqlite3_close(connection->db);
    free(connection->log_path);
    free(connection);
}

static struct sqlite *create(struct store *store)
{
    struct sqlite *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        return NULL;
    connection->base.store = store;
    connection->statements = calloc((size_t)store_options(store)->count, sizeof *connection->statements);
    if (connection->statements != NULL && asprintf(&connection->log_path, "%s-wal", store_where(store)) >= 0)
        return connection;
    connection->log_path = NULL;
    sqlite_disconnect(&connection->base);
    return NULL;
}

enum infomask_status sqlite_connect(struct store *store, struct store_connection **out, struct infomask_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    struct sqlite *connection = create(store);
    enum infomask_status status;
    int code;

    if (connection == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    code = sqlite3_open_v2(store_where(store), &connection->db, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_extended_result_codes(connection->db, 1);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, BUSY_MS);
    status = code == SQLITE_OK ? set_up(connection, err) : sqlite_failed(connection, code, err);
    if (status != INFOMASK_OK)
        sqlite_disconnect(&connection->base);
    else
        *out = &connection->base;
    return status;
}

/* Only opened and read: neither the schema nor the modes are made what set_up makes them. */
static enum infomask_status look_at(struct sqlite *connection, struct store_look *look, struct infomask_error *err)
{
    int64_t version = 0;
    enum infomask_status status = read_version(connection, look->wanted, &version, err);

    look->version = (int)version;
    look->serves = status == INFOMASK_OK;
    if (status != INFOMASK_OK)
        return status;
    return look->version > 0 ? sqlite_execute(connection, "SELECT key FROM estimate LIMIT 1", err) : INFOMASK_OK;
}

enum infomask_status sqlite_look(struct store *store, struct store_look *look, struct infomask_error *err)
{
    struct sqlite *connection = create(store);
    enum infomask_status status;
    int code;

    if (connection == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    code = sqlite3_open_v2(store_where(store), &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, BUSY_MS);
    status = code == SQLITE_OK ? look_at(connection, look, err) : sqlite_failed(connection, code, err);
    sqlite_disconnect(&connection->base);
    return status;
}
