/* libpq, PostgreSQL's client library, opened when a store's address asks for it: infomask itself does not depend on it.
 *
 * The functions and numbers below are libpq's documented interface (PostgreSQL manual, chapter "libpq"), which has kept
 * its binary form since libpq.so.5 (2006).  Private to app/state.
 */
#ifndef APP_STATE_POSTGRES_LIBPQ_H
#define APP_STATE_POSTGRES_LIBPQ_H

#include "core/base/status.h"

struct pg_conn;
struct pg_result;

struct libpq_option { /* PQconninfoOption */
    char *keyword, *envvar, *compiled, *value, *label, *display;
    int size;
};

/* X(RESULT, name, PARAMETERS): PQname */
#define LIBPQ_FUNCTIONS(X)                                                                                             \
    X(struct libpq_option *, conninfoParse, (const char *conninfo, char **message))                                    \
    X(void, conninfoFree, (struct libpq_option * options))                                                             \
    X(void, freemem, (void *memory))                                                                                   \
    X(struct pg_conn *, connectStartParams, (const char *const *keywords, const char *const *values, int expand))      \
    X(int, connectPoll, (struct pg_conn * connection))                                                                 \
    X(int, status, (const struct pg_conn *connection))                                                                 \
    X(char *, errorMessage, (const struct pg_conn *connection))                                                        \
    X(int, socket, (const struct pg_conn *connection))                                                                 \
    X(void, finish, (struct pg_conn * connection))                                                                     \
    X(int, setnonblocking, (struct pg_conn * connection, int on))                                                      \
    X(void *, setNoticeProcessor,                                                                                      \
      (struct pg_conn * connection, void (*processor)(void *context, const char *message), void *context))             \
    X(int, sendQuery, (struct pg_conn * connection, const char *sql))                                                  \
    X(int, sendPrepare, (struct pg_conn * connection, const char *name, const char *sql, int count,                    \
                         const unsigned *types))                                                                       \
    X(int, sendQueryPrepared, (struct pg_conn * connection, const char *name, int count, const char *const *values,    \
                               const int *lengths, const int *formats, int result_format))                             \
    X(int, setSingleRowMode, (struct pg_conn * connection))                                                            \
    X(int, flush, (struct pg_conn * connection))                                                                       \
    X(int, consumeInput, (struct pg_conn * connection))                                                                \
    X(int, isBusy, (struct pg_conn * connection))                                                                      \
    X(struct pg_result *, getResult, (struct pg_conn * connection))                                                    \
    X(int, resultStatus, (const struct pg_result *result))                                                             \
    X(char *, resultErrorField, (const struct pg_result *result, int field))                                           \
    X(char *, cmdStatus, (struct pg_result * result))                                                                  \
    X(int, ntuples, (const struct pg_result *result))                                                                  \
    X(char *, getvalue, (const struct pg_result *result, int row, int column))                                         \
    X(int, getlength, (const struct pg_result *result, int row, int column))                                           \
    X(int, getisnull, (const struct pg_result *result, int row, int column))                                           \
    X(void, clear, (struct pg_result * result))

struct libpq {
#define LIBPQ_MEMBER(result, name, parameters) result(*name) parameters;
    LIBPQ_FUNCTIONS(LIBPQ_MEMBER)
#undef LIBPQ_MEMBER
};

enum { LIBPQ_CONNECTION_OK = 0, LIBPQ_CONNECTION_BAD = 1 };
enum { LIBPQ_POLLING_FAILED = 0, LIBPQ_POLLING_READING, LIBPQ_POLLING_WRITING, LIBPQ_POLLING_OK };
enum { LIBPQ_COMMAND_OK = 1, LIBPQ_TUPLES_OK = 2, LIBPQ_SINGLE_TUPLE = 9 };
enum { LIBPQ_SQLSTATE = 'C', LIBPQ_MESSAGE = 'M' };

/* ARGUMENT where it is not installed; free() gives the table back, the library stays. */
enum infomask_status libpq_open(struct libpq **libpq, struct infomask_error *err) __attribute__((warn_unused_result));

#endif
