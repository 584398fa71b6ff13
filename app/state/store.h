/* A file of state: SQLite in WAL mode, bounded in size, safe against kill -9 and, unless it is relaxed, a loss of power.
 *
 * What a committed transaction wrote survives the death of the process at any moment.  It survives a loss of power too,
 * as each commit ends with an fsync of the log; `relaxed` leaves that to the checkpoints: the last transactions may then
 * be lost with the power, and the file is whole nevertheless.
 * A file that was removed or replaced under us is not written: each transaction that writes compares the names with the
 * files that are open, before and after.
 * Failures of SQLite become statuses here: STATE_FULL at the bound or on a full disk, IO otherwise; its own words
 * stay out of the sentence.  Private to the stores (estimates, traffic).  Thread rule: a connection belongs to one thread at a
 * time; several connections to one file may work at once.
 */
#ifndef APP_STATE_STORE_H
#define APP_STATE_STORE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"

struct store_file {
    unsigned long long device, inode; /* 0: not known yet */
};

struct store_options {
    const char *schema;     /* run on a file that is new */
    const char *upgrade;    /* run on one of the version before; NULL: there is none */
    int version;            /* of the schema */
    const char *const *sql; /* [count]: the statements that will be asked for by number; they must outlive the connection */
    int count;
    uint64_t max_bytes;     /* bound of the file; 0: none */
    bool relaxed;           /* no fsync at a commit */
};

struct store_connection {
    sqlite3 *db;
    char *path, *log_path;        /* log: SQLite's write-ahead log */
    struct store_file file, log;  /* those that are open */
    bool writes;                  /* the transaction under way */
    sqlite3_stmt **statements; /* [count], prepared on first use */
    const char *const *sql;
    int count;
    sqlite3_stmt *rollback; /* prepared ahead: it is needed when there is no memory to prepare it */
};

/* Opens `path`, which is made if it is not there, and upgraded if it is of the version before.  IO when it cannot be
 * written, or is no store of ours (the version differs). */
enum infomask_status store_connect(struct store_connection *connection, const char *path,
                                   const struct store_options *options, struct infomask_error *err)
    __attribute__((warn_unused_result));
void store_disconnect(struct store_connection *connection); /* a zeroed one is fine */

/* Takes the write lock: waits up to 10 s for another process. */
enum infomask_status store_begin(struct store_connection *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* A snapshot for several reads. */
enum infomask_status store_begin_read(struct store_connection *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Commits if status is OK, else rolls back; returns what happened. */
enum infomask_status store_end(struct store_connection *connection, enum infomask_status status,
                               struct infomask_error *err) __attribute__((warn_unused_result));

/* A part of a transaction that may be taken back alone: begins, and ends it.  What fails here fails the transaction. */
enum infomask_status store_mark(struct store_connection *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status store_release(struct store_connection *connection, bool keep, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The n-th statement, reset and without bindings; NULL when it cannot be prepared (err is set). */
sqlite3_stmt *store_statement(struct store_connection *connection, int n, struct infomask_error *err);

/* One step.  OK with *row true: there is a row; false: done. */
enum infomask_status store_step(struct store_connection *connection, sqlite3_stmt *statement, bool *row,
                                struct infomask_error *err) __attribute__((warn_unused_result));
/* One step that gives no row. */
enum infomask_status store_run(struct store_connection *connection, sqlite3_stmt *statement,
                               struct infomask_error *err) __attribute__((warn_unused_result));

/* Bytes of the file that hold something. */
uint64_t store_bytes(struct store_connection *connection);

#endif
