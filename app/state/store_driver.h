/* What a kind of store does: one table of functions each.  Private to store.c and the folders of the kinds.
 *
 * A connection that was lost (`lost`) is closed when it is given back.  `again` says that the same work may succeed on
 * another one: the server went away or asked for it, and the call's time is not over.
 */
#ifndef APP_STATE_STORE_DRIVER_H
#define APP_STATE_STORE_DRIVER_H

#include "app/state/store.h"

struct store_driver {
    bool remote;     /* connections are made ahead by the store's thread, and the server may be away */
    bool one_writer; /* a transaction that writes excludes every other */

    /* First of all; *library: malloc'ed, what connections will find by store_library.  May be NULL. */
    enum infomask_status (*load)(const struct store *store, void **library, struct infomask_error *err);
    enum infomask_status (*connect)(struct store *store, struct store_connection **connection,
                                    struct infomask_error *err);
    void (*disconnect)(struct store_connection *connection);
    enum infomask_status (*ping)(struct store_connection *connection, struct infomask_error *err); /* of a remote one */
    enum infomask_status (*look)(struct store *store, struct store_look *look, struct infomask_error *err);

    enum infomask_status (*begin)(struct store_connection *connection, bool writes, struct infomask_error *err);
    /* Commits if status is OK, else rolls back; returns what happened. */
    enum infomask_status (*end)(struct store_connection *connection, enum infomask_status status,
                                struct infomask_error *err);
    enum infomask_status (*mark)(struct store_connection *connection, struct infomask_error *err);
    enum infomask_status (*release)(struct store_connection *connection, bool keep, struct infomask_error *err);
    void (*compact)(struct store_connection *connection); /* outside of transactions; may be NULL */
    void (*trim)(struct store_connection *connection);    /* the same */

    struct store_statement *(*statement)(struct store_connection *connection, int n, struct infomask_error *err);
    void (*bind_integer)(struct store_statement *statement, int parameter, int64_t value);
    void (*bind_real)(struct store_statement *statement, int parameter, double value); /* not NaN */
    void (*bind_text)(struct store_statement *statement, int parameter, const char *text);
    void (*bind_bytes)(struct store_statement *statement, int parameter, const void *bytes, size_t size);
    enum infomask_status (*step)(struct store_statement *statement, bool *row, struct infomask_error *err);
    void (*reset)(struct store_statement *statement);
    int64_t (*integer)(struct store_statement *statement, int column);
    double (*real)(struct store_statement *statement, int column);
    const char *(*text)(struct store_statement *statement, int column);
    const void *(*bytes)(struct store_statement *statement, int column, size_t *size);
};

extern const struct store_driver store_sqlite, store_postgres;

/* store_prepare of a server. */
enum infomask_status postgres_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The first member of a driver's own. */
struct store_connection {
    struct store *store;
    double deadline_ms;
    bool lost, again, taken;
    bool patient; /* of the store's own thread, which finds out whether the server is back */
    unsigned generation;
    struct store_connection *next;
};

struct store_statement {
    struct store_connection *connection;
};

const char *store_where(const struct store *store);
const struct store_options *store_options(const struct store *store);
const void *store_library(const struct store *store);
/* Whether the server has been away for longer than calls wait. */
bool store_given_up(struct store *store);

#endif
