/* The state in a file: SQLite in WAL mode, bounded in size, safe against kill -9 and, unless it is relaxed, a loss of
 * power.
 *
 * Each commit ends with an fsync of the log; `relaxed` leaves that to the checkpoints: the last transactions may then
 * be lost with the power, and the file is whole nevertheless.  A file that was removed, replaced or cut under us is not
 * written: each transaction that writes compares the names with the files that are open, before and after, and looks
 * first whether what must be in them is there.
 */
#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "app/state/store_driver.h"

#define PAGE 4096
#define CACHE_KB 4096ULL
#define BUSY_MS 10000
#define LEAST_FREE (256 * 1024) /* bytes below which a disk has no room for a transaction */
#define INCREMENTAL 2 /* a mode of auto_vacuum */
#define APPLICATION 0x696d6173 /* "imas": whose file it is, for file(1) and for us */
#define LOG_FORMAT 3007000 /* of SQLite's log and its index (sqlite.org/walformat.html) */
#define NOT_OURS "the file was not written by this version of infomask"
#define ROW_LOCK " FOR UPDATE" /* who writes has the file */

struct file_name {
    unsigned long long device, inode; /* 0: not known yet */
};

struct prepared {
    struct store_statement base;
    sqlite3_stmt *sqlite;
};

struct connection {
    struct store_connection base;
    sqlite3 *db;
    char *log_path;              /* of SQLite's write-ahead log */
    struct file_name file, log;  /* those that are open */
    bool writes;                 /* the transaction under way */
    struct prepared *statements; /* [count], prepared on first use */
    sqlite3_stmt *rollback;      /* prepared ahead: it is needed when there is no memory to prepare it */
};

static struct connection *own(struct store_connection *connection)
{
    return (struct connection *)connection;
}

static sqlite3_stmt *inner(struct store_statement *statement)
{
    return ((struct prepared *)statement)->sqlite;
}

static enum infomask_status disk_full(struct infomask_error *err)
{
    return error_set(err, INFOMASK_STATE_FULL, "the disk of the state folder is full");
}

/* SQLite says the same of its own bound and of the disk, and forgets the disk's errno. */
static bool disk_is_full(const struct connection *connection)
{
    struct statvfs disk;

    return statvfs(store_where(connection->base.store), &disk) == 0 &&
           (unsigned long long)disk.f_bavail * disk.f_frsize < LEAST_FREE;
}

static enum infomask_status failed(struct connection *connection, int code, struct infomask_error *err)
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

static enum infomask_status execute(struct connection *connection, const char *sql, struct infomask_error *err)
{
    int code = sqlite3_exec(connection->db, sql, NULL, NULL, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : failed(connection, code, err);
}

static enum infomask_status prepare(struct connection *connection, const char *sql, sqlite3_stmt **statement,
                                    struct infomask_error *err)
{
    int code = sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);

    return code == SQLITE_OK ? INFOMASK_OK : failed(connection, code, err);
}

/* ---- The files behind the names ---------------------------------------------------------------------------------- */

static struct file_name file_of(const char *path)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return (struct file_name){0};
    return (struct file_name){(unsigned long long)info.st_dev, (unsigned long long)info.st_ino};
}

static bool same_file(struct file_name a, struct file_name b)
{
    return a.device == b.device && a.inode == b.inode && a.inode != 0;
}

/* A file that has no name any more takes what is written with it: nothing may be acknowledged then.  The log is made
 * with the first transaction and stays as long as somebody has it open. */
static enum infomask_status check_files(struct connection *connection, struct infomask_error *err)
{
    struct file_name log = file_of(connection->log_path);

    if (connection->log.inode == 0)
        connection->log = log;
    if (same_file(file_of(store_where(connection->base.store)), connection->file) && same_file(log, connection->log))
        return INFOMASK_OK;
    return error_set(
        err, INFOMASK_IO,
        "the state's file was removed or replaced while it was open; put it back, or start the service again");
}

/* What SQLite knows of its log, which all connections share: as sqlite.org/walformat.html lays it out. */
struct log_index {
    uint32_t format, unused, change;
    uint8_t begun, order;
    uint16_t page; /* 1: 65536 */
    uint32_t frames, pages, sums[2];
    uint8_t salt[8];
};

static bool reads(sqlite3_file *file, void *to, int size, int64_t from)
{
    return file->pMethods->xRead(file, to, size, from) == SQLITE_OK;
}

/* The frames that the index counts must be in the log, behind the head that they were written under. */
static bool log_is_whole(sqlite3_file *log, const struct log_index *index, int64_t page)
{
    sqlite3_int64 size = 0;
    uint8_t head[32];

    return index->frames == 0 ||
           (log->pMethods != NULL && log->pMethods->xFileSize(log, &size) == SQLITE_OK &&
            size >= (int64_t)sizeof head + index->frames * (24 + page) && reads(log, head, sizeof head, 0) &&
            memcmp(head + 16, index->salt, sizeof index->salt) == 0);
}

/* All pages must be there, unless some are in the log only; the first always. */
static bool file_is_whole(sqlite3_file *file, const struct log_index *index, uint32_t copied, int64_t page)
{
    sqlite3_int64 size = 0;
    char head[16];

    return file->pMethods->xFileSize(file, &size) == SQLITE_OK &&
           size >= (copied < index->frames ? 1 : index->pages) * page && reads(file, head, sizeof head, 0) &&
           memcmp(head, "SQLite format 3", sizeof head) == 0;
}

/* Files that were cut or overwritten in place have their names still, and SQLite goes on by what it remembers of them:
 * what it writes then is gone with the process.  Called by who has the write lock: nobody else moves the log's end. */
static enum infomask_status check_contents(struct connection *connection, struct infomask_error *err)
{
    sqlite3_file *file = NULL, *log = NULL;
    void volatile *shared = NULL;
    struct log_index index;
    uint32_t copied;
    int64_t page;

    if (sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK ||
        sqlite3_file_control(connection->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
        file->pMethods == NULL || file->pMethods->iVersion < 2 ||
        file->pMethods->xShmMap(file, 0, 32768, 0, &shared) != SQLITE_OK || shared == NULL)
        return INFOMASK_OK; /* no log, or a way of keeping it that we do not know */
    memcpy(&index, (const void *)shared, sizeof index);
    memcpy(&copied, (const char *)shared + 96, sizeof copied); /* frames that are in the file, too */
    page = index.page == 1 ? 65536 : index.page;
    if (index.format != LOG_FORMAT || (file_is_whole(file, &index, copied, page) && log_is_whole(log, &index, page)))
        return INFOMASK_OK;
    return error_set(
        err, INFOMASK_IO,
        "the state's file was cut short or overwritten while it was open; put it back, or start the service again");
}

/* ---- Transactions ------------------------------------------------------------------------------------------------ */

/* Nothing happens outside of a transaction. */
static void roll_back(struct connection *connection)
{
    if (sqlite3_get_autocommit(connection->db))
        return;
    (void)sqlite3_step(connection->rollback);
    (void)sqlite3_reset(connection->rollback);
}

/* A transaction that is still open is one whose rolling back failed. */
static enum infomask_status begin(struct connection *connection, bool writes, struct infomask_error *err)
{
    enum infomask_status status;

    roll_back(connection);
    connection->writes = writes;
    status = execute(connection, writes ? "BEGIN IMMEDIATE" : "BEGIN", err);
    if (status == INFOMASK_OK && writes)
        status = check_files(connection, err);
    if (status == INFOMASK_OK && writes)
        status = check_contents(connection, err);
    if (status != INFOMASK_OK)
        roll_back(connection);
    return status;
}

static void reset_all(struct connection *connection)
{
    for (int i = 0; i < store_options(connection->base.store)->count; i++)
        (void)sqlite3_reset(
            connection->statements[i].sqlite); /* one in the middle of its rows would hold the transaction */
}

static enum infomask_status end(struct connection *connection, enum infomask_status status, struct infomask_error *err)
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

/* A number that a pragma answers; -1 on failure. */
static int64_t pragma(struct connection *connection, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;

    if (sqlite3_prepare_v2(connection->db, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

static enum infomask_status create_schema(struct connection *connection, const struct store_schema *schema,
                                          struct infomask_error *err)
{
    char text[100];
    enum infomask_status status = begin(connection, true, err);

    if (status != INFOMASK_OK)
        return status;
    if (pragma(connection, "PRAGMA user_version") == 0) { /* nobody was quicker */
        (void)snprintf(text, sizeof text, "PRAGMA application_id = %d; PRAGMA user_version = %d", APPLICATION,
                       schema->version);
        status = execute(connection, schema->create, err);
        if (status == INFOMASK_OK)
            status = execute(connection, text, err);
    }
    return end(connection, status, err);
}

/* From any version before, one step after the other. */
static enum infomask_status upgrade_schema(struct connection *connection, const struct store_schema *schema,
                                           struct infomask_error *err)
{
    char text[60];
    int64_t from;
    enum infomask_status status = begin(connection, true, err);

    if (status != INFOMASK_OK)
        return status;
    from = pragma(connection, "PRAGMA user_version"); /* somebody may have been quicker */
    for (int64_t v = from; status == INFOMASK_OK && v >= 1 && v < schema->version; v++)
        status = execute(connection, schema->upgrades[v - 1], err);
    (void)snprintf(text, sizeof text, "PRAGMA user_version = %d", schema->version);
    if (status == INFOMASK_OK && from >= 1 && from < schema->version)
        status = execute(connection, text, err);
    return end(connection, status, err);
}

static enum infomask_status set_up(struct connection *connection, struct infomask_error *err)
{
    const struct store_options *options = store_options(connection->base.store);
    const struct store_schema *schema = &options->file;
    char text[80];
    int64_t found;
    enum infomask_status status = INFOMASK_OK;

    /* Saying it takes the write lock.  A file without a page has nothing that a journal on the disk could save, and its
     * six waits for the disk would be most of a first start. */
    if (pragma(connection, "PRAGMA auto_vacuum") != INCREMENTAL)
        status = execute(connection,
                         pragma(connection, "PRAGMA page_count") == 0
                             ? "PRAGMA journal_mode = MEMORY; PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL"
                             : "PRAGMA page_size = 4096; PRAGMA auto_vacuum = INCREMENTAL",
                         err);
    if (status == INFOMASK_OK)
        status = execute(connection,
                         "PRAGMA journal_mode = WAL; PRAGMA journal_size_limit = 8388608; PRAGMA temp_store = MEMORY;"
                         "PRAGMA trusted_schema = OFF",
                         err);
    if (status == INFOMASK_OK) {
        (void)snprintf(text, sizeof text, "PRAGMA cache_size = -%llu; PRAGMA synchronous = %s",
                       (unsigned long long)(options->cache_bytes > 0 ? options->cache_bytes / 1024 : CACHE_KB),
                       options->passing   ? "OFF"
                       : options->relaxed ? "NORMAL"
                                          : "FULL");
        status = execute(connection, text, err);
    }
    if (status == INFOMASK_OK && options->max_bytes > 0) {
        (void)snprintf(text, sizeof text, "PRAGMA max_page_count = %llu",
                       (unsigned long long)(options->max_bytes / PAGE + 1));
        status = execute(connection, text, err);
    }
    if (status == INFOMASK_OK)
        status = prepare(connection, "ROLLBACK", &connection->rollback, err);
    if (status != INFOMASK_OK)
        return status;
    connection->file = file_of(store_where(connection->base.store));
    found = pragma(connection, "PRAGMA user_version");
    if (found == 0 && pragma(connection, "PRAGMA schema_version") == 0)
        return create_schema(connection, schema, err);
    if (pragma(connection, "PRAGMA application_id") == APPLICATION) {
        if (found == schema->version)
            return INFOMASK_OK;
        if (found >= 1 && found < schema->version)
            return upgrade_schema(connection, schema, err);
    }
    return error_set(err, INFOMASK_IO, NOT_OURS);
}

static void disconnect(struct store_connection *base)
{
    struct connection *connection = own(base);
    int count = store_options(base->store)->count;

    for (int i = 0; connection->statements != NULL && i < count; i++)
        (void)sqlite3_finalize(connection->statements[i].sqlite);
    free(connection->statements);
    (void)sqlite3_finalize(connection->rollback);
    (void)sqlite3_close(connection->db);
    free(connection->log_path);
    free(connection);
}

static struct connection *create(struct store *store)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        return NULL;
    connection->base.store = store;
    connection->statements = calloc((size_t)store_options(store)->count, sizeof *connection->statements);
    if (connection->statements != NULL && asprintf(&connection->log_path, "%s-wal", store_where(store)) >= 0)
        return connection;
    connection->log_path = NULL;
    disconnect(&connection->base);
    return NULL;
}

static enum infomask_status connect_file(struct store *store, struct store_connection **out, struct infomask_error *err)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    struct connection *connection = create(store);
    enum infomask_status status;
    int code;

    if (connection == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    code = sqlite3_open_v2(store_where(store), &connection->db, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_extended_result_codes(connection->db, 1);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, BUSY_MS);
    status = code == SQLITE_OK ? set_up(connection, err) : failed(connection, code, err);
    if (status != INFOMASK_OK)
        disconnect(&connection->base);
    else
        *out = &connection->base;
    return status;
}

/* Only opened and read: neither the schema nor the modes are made what set_up makes them. */
static enum infomask_status look_at(struct connection *connection, struct store_look *look, struct infomask_error *err)
{
    enum infomask_status status = execute(connection, "PRAGMA schema_version", err);

    if (status != INFOMASK_OK)
        return status;
    look->version = (int)pragma(connection, "PRAGMA user_version");
    look->serves = look->version == 0
                       ? pragma(connection, "PRAGMA schema_version") == 0
                       : pragma(connection, "PRAGMA application_id") == APPLICATION && look->version <= look->wanted;
    if (!look->serves)
        return error_set(err, INFOMASK_IO, NOT_OURS);
    return look->version > 0 ? execute(connection, "SELECT key FROM estimate LIMIT 1", err) : INFOMASK_OK;
}

static enum infomask_status look_at_file(struct store *store, struct store_look *look, struct infomask_error *err)
{
    struct connection *connection = create(store);
    enum infomask_status status;
    int code;

    if (connection == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    code = sqlite3_open_v2(store_where(store), &connection->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_busy_timeout(connection->db, BUSY_MS);
    status = code == SQLITE_OK ? look_at(connection, look, err) : failed(connection, code, err);
    disconnect(&connection->base);
    return status;
}

static enum infomask_status begin_one(struct store_connection *base, bool writes, struct infomask_error *err)
{
    return begin(own(base), writes, err);
}

static enum infomask_status end_one(struct store_connection *base, enum infomask_status status,
                                    struct infomask_error *err)
{
    return end(own(base), status, err);
}

static enum infomask_status mark(struct store_connection *base, struct infomask_error *err)
{
    return execute(own(base), "SAVEPOINT part", err);
}

static enum infomask_status release(struct store_connection *base, bool keep, struct infomask_error *err)
{
    struct connection *connection = own(base);
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

static void compact(struct store_connection *base)
{
    (void)execute(own(base), "PRAGMA incremental_vacuum", NULL);
}

static void trim(struct store_connection *base)
{
    (void)sqlite3_db_release_memory(own(base)->db);
}

/* ---- Statements -------------------------------------------------------------------------------------------------- */

static enum infomask_status prepare_common(struct connection *connection, const char *sql, sqlite3_stmt **statement,
                                           struct infomask_error *err)
{
    size_t length = strlen(sql), cut = strlen(ROW_LOCK);
    int code;

    if (length > cut && strcmp(sql + length - cut, ROW_LOCK) == 0)
        length -= cut;
    code = sqlite3_prepare_v3(connection->db, sql, (int)length, SQLITE_PREPARE_PERSISTENT, statement, NULL);
    return code == SQLITE_OK ? INFOMASK_OK : failed(connection, code, err);
}

static struct store_statement *statement(struct store_connection *base, int n, struct infomask_error *err)
{
    struct connection *connection = own(base);
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
    return code == SQLITE_DONE ? INFOMASK_OK : failed(own(s->connection), code, err);
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
    .connect = connect_file,
    .disconnect = disconnect,
    .look = look_at_file,
    .begin = begin_one,
    .end = end_one,
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
