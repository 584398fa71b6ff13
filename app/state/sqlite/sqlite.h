/* A connection to the file of the state, and what its files share.  Private to sqlite/. */
#ifndef APP_STATE_SQLITE_SQLITE_H
#define APP_STATE_SQLITE_SQLITE_H

#include <sqlite3.h>

#include "app/state/store_driver.h"

struct file_name {
    unsigned long long device, inode; /* 0: not known yet */
};

struct prepared {
    struct store_statement base;
    sqlite3_stmt *sqlite;
};

struct sqlite {
    struct store_connection base;
    sqlite3 *db;
    char *log_path;              /* of SQLite's write-ahead log */
    struct file_name file, log;  /* those that are open */
    bool writes;                 /* the transaction under way */
    struct prepared *statements; /* [count], prepared on first use */
    sqlite3_stmt *rollback;      /* prepared ahead: it is needed when there is no memory to prepare it */
};

static inline struct sqlite *own(struct store_connection *connection) { return (struct sqlite *)connection; }

/* ---- files.c ----------------------------------------------------------------------------------------------------- */

struct file_name sqlite_file_of(const char *path);
/* A file that has no name any more takes what is written with it: nothing may be acknowledged then.  The log is made
 * with the first transaction and stays as long as somebody has it open. */
enum infomask_status sqlite_check_files(struct sqlite *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Files that were cut or overwritten in place have their names still, and SQLite goes on by what it remembers of them:
 * what it writes then is gone with the process.  Called by who has the write lock: nobody else moves the log's end. */
enum infomask_status sqlite_check_contents(struct sqlite *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- connect.c --------------------------------------------------------------------------------------------------- */

enum infomask_status sqlite_connect(struct store *store, struct store_connection **connection,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
void sqlite_disconnect(struct store_connection *connection);
enum infomask_status sqlite_look(struct store *store, struct store_look *look, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* What a code of SQLite's means to the user. */
enum infomask_status sqlite_failed(struct sqlite *connection, int code, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status sqlite_execute(struct sqlite *connection, const char *sql, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- statements.c ------------------------------------------------------------------------------------------------ */

enum infomask_status sqlite_begin(struct store_connection *connection, bool writes, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status sqlite_end(struct store_connection *connection, enum infomask_status status,
                                struct infomask_error *err) __attribute__((warn_unused_result));

#endif
