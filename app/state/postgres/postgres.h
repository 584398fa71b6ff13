/* A connection to a PostgreSQL server, and what its three files share.  Private to postgres/. */
#ifndef APP_STATE_POSTGRES_POSTGRES_H
#define APP_STATE_POSTGRES_POSTGRES_H

#include "app/state/postgres/libpq.h"
#include "app/state/store_driver.h"

#define MOST_PARAMETERS 16

struct postgres_statement {
    struct store_statement base;
    int number;
    bool known; /* to the server */
    const char *values[MOST_PARAMETERS];
    int lengths[MOST_PARAMETERS], formats[MOST_PARAMETERS];
    uint64_t numbers[MOST_PARAMETERS]; /* in the order of bytes of the wire */
};

struct postgres {
    struct store_connection base;
    const struct libpq *pq;
    struct pg_conn *pg;
    struct postgres_statement *statements; /* [count] */
    struct postgres_statement *current;    /* whose rows are coming; NULL: none */
    struct pg_result *row;
};

static inline struct postgres *own(struct store_connection *connection) { return (struct postgres *)connection; }

/* ---- wire.c ------------------------------------------------------------------------------------------------------ */

/* Until the socket is ready for `events` (poll(2)), the deadline, or a fraction of a second is over: then 0. */
int postgres_wait(struct postgres *c, short events, double deadline_ms);
/* The connection is not to be used any more.  again: what was asked may be asked on another one.  Always a failure. */
enum infomask_status postgres_lost(struct postgres *c, bool again, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The next result of what was sent, which is the caller's to clear; NULL: there are no more. */
enum infomask_status postgres_next(struct postgres *c, struct pg_result **result, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* What a result says: a failure, or nothing. */
enum infomask_status postgres_judge(struct postgres *c, struct pg_result *result, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Every result of what was sent, to its end; the first failure is the answer.  *number: of the first row, if there is
 * one; NULL: nobody asks. */
enum infomask_status postgres_finish(struct postgres *c, int64_t *number, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Ends the statement whose rows are coming, wherever it is. */
void postgres_finish_current(struct postgres *c);
/* One or more commands without parameters, after that; *number as above. */
enum infomask_status postgres_ask(struct postgres *c, const char *sql, int64_t *number, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_command(struct postgres *c, const char *sql, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_commit(struct postgres *c, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- connect.c: of the driver's table ---------------------------------------------------------------------------- */

enum infomask_status postgres_load(const struct store *store, void **library, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_connect(struct store *store, struct store_connection **connection,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status postgres_look(struct store *store, struct store_look *look, struct infomask_error *err)
    __attribute__((warn_unused_result));
void postgres_disconnect(struct store_connection *connection);

#endif
