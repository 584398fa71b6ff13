/* A connection to a PostgreSQL server, and what its two files share.  Private to store_postgres*.c. */
#ifndef APP_STATE_STORE_POSTGRES_H
#define APP_STATE_STORE_POSTGRES_H

#include "app/state/libpq.h"
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

static inline struct postgres *own(struct store_connection *connection)
{
    return (struct postgres *)connection;
}

/* Until the socket is ready for `events` (poll(2)), the deadline, or a fraction of a second is over: then 0. */
int postgres_wait(struct postgres *c, short events, double deadline_ms);
/* One or more commands without parameters.  *number: of the first row, if there is one; NULL: nobody asks. */
enum infomask_status postgres_ask(struct postgres *c, const char *sql, int64_t *number, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_command(struct postgres *c, const char *sql, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_commit(struct postgres *c, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* store_postgres_connect.c: of the driver's table. */
enum infomask_status postgres_load(const struct store *store, void **library, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status postgres_connect(struct store *store, struct store_connection **connection,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status postgres_look(struct store *store, struct store_look *look, struct infomask_error *err)
    __attribute__((warn_unused_result));
void postgres_disconnect(struct store_connection *connection);

#endif
