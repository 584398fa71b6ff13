#include "app/state/store.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/state/store_driver.h"
#include "core/base/clock.h"

#define MOST_IDLE 16
#define MOST_ATTEMPTS 10
#define PING_MS 1000.0      /* between two looks at a server that answers */
#define PING_PATIENCE_MS 2000.0
#define FIRST_PAUSE_MS 100.0 /* before it is tried again, doubled up to */
#define LAST_PAUSE_MS 1000.0

struct store {
    const struct store_driver *driver;
    char *where, *password_file;
    struct store_options options;
    void *library;          /* the driver's */
    pthread_mutex_t writer; /* of a driver with one writer */
    pthread_mutex_t lock;
    pthread_cond_t changed; /* of what follows; its clock is the monotonic one */
    struct store_connection *idle;
    int idle_count, wanted; /* wanted: calls that wait for a connection */
    unsigned generation;    /* connections of an older one are not used again */
    bool doubted;           /* a connection broke: the server is looked at now */
    bool ending, started;
    _Atomic double away_ms; /* since when the server is; 0: it is there */
    pthread_t keeper;
};

bool store_is_server(const char *where)
{
    return strncmp(where, "postgresql://", strlen("postgresql://")) == 0 ||
           strncmp(where, "postgres://", strlen("postgres://")) == 0;
}

enum infomask_status store_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
{
    *count = 0;
    if (!store_is_server(where))
        return error_set(err, INFOMASK_ARGUMENT, "state must be sqlite or postgresql://USER@HOST/DATABASE");
    return postgres_prepare(where, ports, most, count, err);
}

const char *store_where(const struct store *store)
{
    return store->where;
}

const struct store_options *store_options(const struct store *store)
{
    return &store->options;
}

const void *store_library(const struct store *store)
{
    return store->library;
}

bool store_has_one_writer(const struct store *store)
{
    return store->driver->one_writer;
}

bool store_given_up(struct store *store)
{
    double away = store->away_ms;

    return away > 0 && clock_ms() - away > STORE_PATIENCE_MS;
}

static enum infomask_status away(struct infomask_error *err)
{
    return error_set(err, INFOMASK_IO, "the state's server cannot be reached");
}

enum infomask_status store_ready(struct store *store, struct infomask_error *err)
{
    return store->away_ms > 0 ? away(err) : INFOMASK_OK;
}

/* ---- Connections ------------------------------------------------------------------------------------------------- */

/* Under the lock; until the clock says `until` or something changes. */
static void wait_until(struct store *store, double until)
{
    struct timespec time = {.tv_sec = (time_t)(until / 1000)};

    time.tv_nsec = (long)((until - 1000 * (double)time.tv_sec) * 1e6);
    (void)pthread_cond_timedwait(&store->changed, &store->lock, &time);
}

/* Under the lock. */
static struct store_connection *pop_idle(struct store *store)
{
    struct store_connection *connection = store->idle;

    if (connection != NULL) {
        store->idle = connection->next;
        store->idle_count--;
    }
    return connection;
}

/* Under the lock; false: there are enough. */
static bool push_idle(struct store *store, struct store_connection *connection)
{
    if (connection->generation != store->generation || store->idle_count >= MOST_IDLE)
        return false;
    connection->next = store->idle;
    store->idle = connection;
    store->idle_count++;
    (void)pthread_cond_broadcast(&store->changed);
    return true;
}

/* Under the lock: the connections that wait are closed, and those that are in use when they come back. */
static void drop_idle(struct store *store)
{
    struct store_connection *connection;

    store->generation++;
    while ((connection = pop_idle(store)) != NULL)
        store->driver->disconnect(connection);
}

/* A server's: made by the keeper, because looking up a name and connecting may take long. */
static enum infomask_status take_remote(struct store *store, double deadline, struct store_connection **out,
                                        struct infomask_error *err)
{
    struct store_connection *connection = NULL;
    double start = clock_ms();

    (void)pthread_mutex_lock(&store->lock);
    store->wanted++;
    while ((connection = pop_idle(store)) == NULL) {
        double since = store->away_ms > 0 ? store->away_ms : start, until = fmin(deadline, since + STORE_PATIENCE_MS);
        if (clock_ms() >= until)
            break;
        (void)pthread_cond_broadcast(&store->changed);
        wait_until(store, until);
    }
    store->wanted--;
    (void)pthread_mutex_unlock(&store->lock);
    *out = connection;
    return connection != NULL ? INFOMASK_OK : away(err);
}

static enum infomask_status take_local(struct store *store, struct store_connection **out, struct infomask_error *err)
{
    (void)pthread_mutex_lock(&store->lock);
    *out = pop_idle(store);
    (void)pthread_mutex_unlock(&store->lock);
    return *out != NULL ? INFOMASK_OK : store->driver->connect(store, out, err);
}

static enum infomask_status take(struct store *store, double deadline, struct store_connection **out,
                                 struct infomask_error *err)
{
    enum infomask_status status = store->driver->remote ? take_remote(store, deadline, out, err)
                                                        : take_local(store, out, err);

    if (status == INFOMASK_OK) {
        (*out)->deadline_ms = deadline;
        (*out)->lost = (*out)->again = (*out)->taken = (*out)->patient = false;
    }
    return status;
}

static void give(struct store *store, struct store_connection *connection)
{
    bool kept;

    (void)pthread_mutex_lock(&store->lock);
    if (connection->lost && connection->again && connection->generation == store->generation) {
        drop_idle(store); /* the others are most likely lost too */
        store->doubted = true;
        (void)pthread_cond_broadcast(&store->changed);
    }
    kept = !connection->lost && push_idle(store, connection);
    (void)pthread_mutex_unlock(&store->lock);
    if (!kept)
        store->driver->disconnect(connection);
}

/* ---- The keeper -------------------------------------------------------------------------------------------------- */

static void tell(const struct store *store, const char *what, const char *why)
{
    char sentence[INFOMASK_ERROR_TEXT + 80];

    (void)snprintf(sentence, sizeof sentence, "%s%s%s", what, *why != '\0' ? ": " : "", why);
    if (store->options.tell != NULL)
        store->options.tell(store->options.tell_context, sentence);
}

static void server_came(struct store *store)
{
    if (store->away_ms > 0)
        tell(store, "the state's server answers", "");
    store->away_ms = 0;
}

/* told: the sentence of before, so that each is said once. */
static void server_went(struct store *store, const struct infomask_error *err, char told[INFOMASK_ERROR_TEXT])
{
    if (store->away_ms == 0) {
        store->away_ms = clock_ms();
        drop_idle(store);
        told[0] = '\0';
    }
    if (strcmp(told, err->text) != 0)
        tell(store, "the state's server cannot be reached", err->text);
    (void)snprintf(told, INFOMASK_ERROR_TEXT, "%s", err->text);
}

/* Under the lock, which is left meanwhile. */
static enum infomask_status add_connection(struct store *store, struct infomask_error *err)
{
    struct store_connection *connection = NULL;
    unsigned generation = store->generation;
    enum infomask_status status;

    (void)pthread_mutex_unlock(&store->lock);
    status = store->driver->connect(store, &connection, err);
    (void)pthread_mutex_lock(&store->lock);
    if (status != INFOMASK_OK)
        return status;
    connection->generation = generation;
    if (!push_idle(store, connection))
        store->driver->disconnect(connection);
    return INFOMASK_OK;
}

/* Likewise. */
static enum infomask_status look_at_server(struct store *store, struct infomask_error *err)
{
    struct store_connection *connection = pop_idle(store);
    enum infomask_status status;

    if (connection == NULL)
        return add_connection(store, err);
    (void)pthread_mutex_unlock(&store->lock);
    connection->deadline_ms = clock_ms() + PING_PATIENCE_MS;
    connection->patient = true;
    status = store->driver->ping(connection, err);
    (void)pthread_mutex_lock(&store->lock);
    if (status != INFOMASK_OK || !push_idle(store, connection))
        store->driver->disconnect(connection);
    return status;
}

static void *keep(void *context)
{
    struct store *store = context;
    struct infomask_error err = {0};
    char told[INFOMASK_ERROR_TEXT] = "";
    double pause = FIRST_PAUSE_MS, next = 0;

    (void)pthread_mutex_lock(&store->lock);
    while (!store->ending) {
        bool asked = store->away_ms == 0 && (store->doubted || store->wanted > store->idle_count);
        if (!asked && clock_ms() < next) {
            wait_until(store, next);
            continue;
        }
        store->doubted = false;
        if ((asked ? add_connection(store, &err) : look_at_server(store, &err)) == INFOMASK_OK) {
            server_came(store);
            pause = FIRST_PAUSE_MS;
            next = clock_ms() + PING_MS;
        } else {
            server_went(store, &err, told);
            next = clock_ms() + (store->wanted > 0 ? FIRST_PAUSE_MS : pause); /* nobody waits for long */
            pause = fmin(2 * pause, LAST_PAUSE_MS);
        }
    }
    (void)pthread_mutex_unlock(&store->lock);
    return NULL;
}

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static struct store *store_create(const char *where, const struct store_options *options)
{
    struct store *store = calloc(1, sizeof *store);
    pthread_condattr_t attributes;

    if (store == NULL)
        return NULL;
    store->driver = store_is_server(where) ? &store_postgres : &store_sqlite;
    store->options = *options;
    store->where = strdup(where);
    store->password_file = strdup(options->password_file != NULL ? options->password_file : "");
    store->options.password_file = store->password_file;
    (void)pthread_mutex_init(&store->writer, NULL);
    (void)pthread_mutex_init(&store->lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->changed, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    return store;
}

/* The first connection: of a file here, so that what is wrong with it is said at once; of a server behind the start. */
static enum infomask_status start(struct store *store, struct infomask_error *err)
{
    struct store_connection *connection;
    enum infomask_status status = INFOMASK_OK;

    if (store->driver->load != NULL)
        status = store->driver->load(store, &store->library, err);
    if (status != INFOMASK_OK)
        return status;
    if (store->driver->remote) {
        store->away_ms = clock_ms();
        store->started = pthread_create(&store->keeper, NULL, keep, store) == 0;
        return store->started ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no thread for the state");
    }
    status = store->driver->connect(store, &connection, err);
    if (status == INFOMASK_OK)
        (void)push_idle(store, connection);
    return status;
}

enum infomask_status store_open(const char *where, const struct store_options *options, struct store **out,
                                struct infomask_error *err)
{
    struct store *store = store_create(where, options);
    enum infomask_status status;

    if (store == NULL || store->where == NULL || store->password_file == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the state");
    else
        status = start(store, err);
    if (status != INFOMASK_OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return INFOMASK_OK;
}

enum infomask_status store_look(const char *where, const struct store_options *options, struct store_look *look,
                                struct infomask_error *err)
{
    struct store *store = store_create(where, options);
    enum infomask_status status = INFOMASK_OK;

    *look = (struct store_look){.wanted = store_is_server(where) ? options->server.version : options->file.version};
    if (store == NULL || store->where == NULL || store->password_file == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the state");
    else if (store->driver->load != NULL)
        status = store->driver->load(store, &store->library, err);
    if (status == INFOMASK_OK)
        status = store->driver->look(store, look, err);
    store_close(store);
    return status;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    (void)pthread_mutex_lock(&store->lock);
    store->ending = true;
    (void)pthread_cond_broadcast(&store->changed);
    (void)pthread_mutex_unlock(&store->lock);
    if (store->started)
        (void)pthread_join(store->keeper, NULL);
    drop_idle(store);
    (void)pthread_cond_destroy(&store->changed);
    (void)pthread_mutex_destroy(&store->lock);
    (void)pthread_mutex_destroy(&store->writer);
    free(store->library);
    free(store->where);
    free(store->password_file);
    free(store);
}

/* ---- Transactions ------------------------------------------------------------------------------------------------ */

/* *again: it failed, and another connection may do better. */
static enum infomask_status attempt(struct store *store, double deadline, bool writes, store_work *work, void *context,
                                    bool *again, struct infomask_error *err)
{
    struct store_connection *connection = NULL;
    enum infomask_status status = take(store, deadline, &connection, err);

    *again = false;
    if (status != INFOMASK_OK)
        return status;
    status = store->driver->begin(connection, writes, err);
    if (status == INFOMASK_OK)
        status = store->driver->end(connection, work(connection, context, err), err);
    *again = status != INFOMASK_OK && connection->again;
    give(store, connection);
    return status;
}

static enum infomask_status transact(struct store *store, double deadline, bool writes, store_work *work, void *context,
                                     struct infomask_error *err)
{
    bool alone = writes && store->driver->one_writer, again = true;
    enum infomask_status status = INFOMASK_OK;

    if (alone)
        (void)pthread_mutex_lock(&store->writer);
    for (int i = 0; again && i < MOST_ATTEMPTS; i++)
        status = attempt(store, deadline, writes, work, context, &again, err);
    if (alone)
        (void)pthread_mutex_unlock(&store->writer);
    return status;
}

enum infomask_status store_write(struct store *store, double deadline_ms, store_work *work, void *context,
                                 struct infomask_error *err)
{
    return transact(store, deadline_ms, true, work, context, err);
}

enum infomask_status store_read(struct store *store, double deadline_ms, store_work *work, void *context,
                                struct infomask_error *err)
{
    return transact(store, deadline_ms, false, work, context, err);
}

/* What is deleted is deleted, whether the file gets shorter or not. */
void store_compact(struct store *store)
{
    struct store_connection *connection;
    struct infomask_error ignored;

    if (store->driver->compact == NULL)
        return;
    (void)pthread_mutex_lock(&store->writer);
    if (take(store, INFINITY, &connection, &ignored) == INFOMASK_OK) {
        store->driver->compact(connection);
        give(store, connection);
    }
    (void)pthread_mutex_unlock(&store->writer);
}

void store_trim(struct store *store)
{
    if (store->driver->trim == NULL)
        return;
    (void)pthread_mutex_lock(&store->lock);
    for (struct store_connection *at = store->idle; at != NULL; at = at->next)
        store->driver->trim(at);
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- By the driver's table --------------------------------------------------------------------------------------- */

static const struct store_driver *driver_of(const struct store_statement *statement)
{
    return statement->connection->store->driver;
}

enum infomask_status store_mark(struct store_connection *connection, struct infomask_error *err)
{
    return connection->store->driver->mark(connection, err);
}

enum infomask_status store_release(struct store_connection *connection, bool keep, struct infomask_error *err)
{
    return connection->store->driver->release(connection, keep, err);
}

struct store_statement *store_statement(struct store_connection *connection, int n, struct infomask_error *err)
{
    return connection->store->driver->statement(connection, n, err);
}

void store_bind_integer(struct store_statement *statement, int parameter, int64_t value)
{
    driver_of(statement)->bind_integer(statement, parameter, value);
}

void store_bind_real(struct store_statement *statement, int parameter, double value)
{
    if (!isnan(value))
        driver_of(statement)->bind_real(statement, parameter, value);
}

void store_bind_text(struct store_statement *statement, int parameter, const char *text)
{
    driver_of(statement)->bind_text(statement, parameter, text);
}

void store_bind_bytes(struct store_statement *statement, int parameter, const void *bytes, size_t size)
{
    driver_of(statement)->bind_bytes(statement, parameter, bytes, size);
}

enum infomask_status store_step(struct store_statement *statement, bool *row, struct infomask_error *err)
{
    return driver_of(statement)->step(statement, row, err);
}

enum infomask_status store_run(struct store_statement *statement, struct infomask_error *err)
{
    bool row = true;
    enum infomask_status status = INFOMASK_OK;

    while (status == INFOMASK_OK && row)
        status = store_step(statement, &row, err);
    return status;
}

void store_reset(struct store_statement *statement)
{
    driver_of(statement)->reset(statement);
}

bool store_taken(const struct store_connection *connection)
{
    return connection->taken;
}

int64_t store_integer(struct store_statement *statement, int column)
{
    return driver_of(statement)->integer(statement, column);
}

double store_real(struct store_statement *statement, int column)
{
    return driver_of(statement)->real(statement, column);
}

const char *store_text(struct store_statement *statement, int column)
{
    return driver_of(statement)->text(statement, column);
}

const void *store_bytes(struct store_statement *statement, int column, size_t *size)
{
    return driver_of(statement)->bytes(statement, column, size);
}
