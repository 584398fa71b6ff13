/* Where the state lives: a database, spoken to through one table of functions (store_driver.h), which SQLite in a file
 * (sqlite/) and a PostgreSQL server (postgres/) fill.  Nobody above knows which of them it is.
 *
 *     status = store_write(store, deadline_ms, work, context, err);    work(connection, context, err) in a transaction
 *
 * A transaction that was committed survives the death of the process and, unless the store is relaxed, a loss of power.
 * Work is done again from its beginning, on another connection, when the server closed the first one or asks for it: it
 * must set all that it leaves behind at its start, and what it writes must be the same when it had been committed
 * already without our having heard of it. A server that cannot be reached is waited for at most STORE_PATIENCE_MS since
 * it went away, and never beyond the call's deadline; from then on calls fail at once until it is back: a thread of the
 * store tries again and again. Statements are written once, in what both understand: parameters ?1, ?2, ...; "FOR
 * UPDATE" at the end holds a row until the transaction's end, where several may write at once. Failures become statuses
 * here: STATE_FULL at the bound or on a full disk, IO otherwise; the database's own words stay out of the sentence.
 * Private to app/state but for struct store_look.  Thread rule: a connection belongs to one thread at a time.
 */
#ifndef APP_STATE_STORE_H
#define APP_STATE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

struct store;
struct store_connection;
struct store_statement;

#define STORE_PATIENCE_MS 8000.0

struct store_schema {
    const char *create;          /* run where there is none */
    const char *const *upgrades; /* [version - 1]: the i-th is run on version i + 1, and makes the next */
    int version;
    int oldest;                  /* whose programs may go on using it */
};

struct store_options {
    struct store_schema file, server;
    const char *const *sql;    /* [count]: the statements that will be asked for by number; they outlive the store */
    int count;
    uint64_t max_bytes;        /* bound of the file; 0: none.  A server's is its administrator's */
    bool relaxed;              /* the last transactions may be lost with the power */
    bool passing;              /* a file's: it is for this process only, and nobody will read it after */
    uint64_t cache_bytes;      /* of a file's pages, for each connection; 0: 4 MiB */
    const char *password_file; /* of a server's user, read at each connection; NULL or "": none */
    void (*tell)(void *context, const char *sentence); /* of a server that goes and comes; any thread; may be NULL */
    void *tell_context;
};

/* where: a file's path (it is made if it is not there), or postgresql://...  IO when the file cannot be written or is
 * no store of ours; ARGUMENT when the address is none, or libpq is not installed.  A server that is away is none of
 * that. */
enum infomask_status store_open(const char *where, const struct store_options *options, struct store **store,
                                struct infomask_error *err) __attribute__((warn_unused_result));
void store_close(struct store *store); /* NULL does nothing */

/* Whether `where` is a server's address. */
bool store_is_server(const char *where);
/* Loads what a server's address needs, while files may still be opened, and fills the TCP ports that it names; returns
 * in *count how many, at most `most`.  ARGUMENT when it is no address, or libpq is not installed. */
enum infomask_status store_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* What a file or a server is like, to whoever is about to use it. */
struct store_look {
    int server;            /* its version: 150004 is 15.4; 0: a file, of which only version and wanted tell */
    int version, wanted;   /* of the tables, 0: there are none yet; what this program makes of them */
    bool serves;           /* this program may use the tables as they are, or as it will make them */
    bool may_make;         /* the user may make or change the tables, where that is to be done */
    bool may_use;          /* ... read and write them, where they are */
    bool read_only;        /* a standby, or set so */
    bool local, encrypted; /* a socket or the machine's own address; TLS */
    bool utf8;
};
/* Changes nothing.  IO when the server cannot be reached, or does not let the user in; when the file is not there, is
 * damaged, or cannot be used by this program. */
enum infomask_status store_look(const char *where, const struct store_options *options, struct store_look *look,
                                struct infomask_error *err) __attribute__((warn_unused_result));
/* IO with a sentence while the state cannot be reached.  Never waits. */
enum infomask_status store_ready(struct store *store, struct infomask_error *err) __attribute__((warn_unused_result));
/* Whether only one transaction may write at a time: then it is worth putting several calls into one. */
bool store_has_one_writer(const struct store *store);

typedef enum infomask_status store_work(struct store_connection *connection, void *context, struct infomask_error *err);
/* deadline_ms: of clock_ms(); INFINITY: none.  Committed if work returns OK, else rolled back. */
enum infomask_status store_write(struct store *store, double deadline_ms, store_work *work, void *context,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
/* The same on a snapshot. */
enum infomask_status store_read(struct store *store, double deadline_ms, store_work *work, void *context,
                                struct infomask_error *err) __attribute__((warn_unused_result));

/* A part of a transaction that may be taken back alone: begins, and ends it.  What fails here fails the transaction. */
enum infomask_status store_mark(struct store_connection *connection, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status store_release(struct store_connection *connection, bool keep, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The n-th statement, reset and without bindings; NULL when it cannot be prepared (err is set).  One statement of a
 * connection is under way at a time: asking for another ends it. */
struct store_statement *store_statement(struct store_connection *connection, int n, struct infomask_error *err);

/* Parameters, from 1 on; one that is not bound is NULL, and so is NaN.  Text and bytes are borrowed until the
 * statement is done, reset, or asked for again. */
void store_bind_integer(struct store_statement *statement, int parameter, int64_t value);
void store_bind_real(struct store_statement *statement, int parameter, double value);
void store_bind_text(struct store_statement *statement, int parameter, const char *text);
void store_bind_bytes(struct store_statement *statement, int parameter, const void *bytes, size_t size);

/* One step.  OK with *row true: there is a row; false: done. */
enum infomask_status store_step(struct store_statement *statement, bool *row, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* To the end. */
enum infomask_status store_run(struct store_statement *statement, struct infomask_error *err)
    __attribute__((warn_unused_result));
void store_reset(struct store_statement *statement);
/* Whether the last failure was a value that must be unique and is there already. */
bool store_taken(const struct store_connection *connection);

/* Columns of the row, from 0 on; what a pointer leads to lives until the next step.  Of NULL: 0, NAN, NULL. */
int64_t store_integer(struct store_statement *statement, int column);
double store_real(struct store_statement *statement, int column);
const char *store_text(struct store_statement *statement, int column);
const void *store_bytes(struct store_statement *statement, int column, size_t *size);

/* Gives the room of what was deleted back to the system, where that is ours to do. */
void store_compact(struct store *store);
/* Gives back what the connections that wait keep in memory of the file. */
void store_trim(struct store *store);

#endif
