/* To a connection with a PostgreSQL server: the address, the password, and the schema, which the first who comes makes.
 */
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "app/state/postgres/postgres.h"
#include "core/base/clock.h"

#define CONNECT_MS 5000.0
#define USUAL_PORT 5432
#define MOST_PASSWORD 4096
#define SCHEMA_LOCK "7595448371512077683" /* "infomask" read as a number: who makes or changes the schema holds it */

/* ---- The schema -------------------------------------------------------------------------------------------------- */

static enum infomask_status create_schema(struct postgres *c, const struct store_schema *schema,
                                          struct infomask_error *err)
{
    char text[200];
    int64_t there = 0;
    enum infomask_status status =
        postgres_ask(c, "SELECT (to_regnamespace('infomask') IS NOT NULL)::int", &there, err);

    if (status == INFOMASK_OK && there == 0)
        status = postgres_command(c, "CREATE SCHEMA infomask", err);
    (void)snprintf(text, sizeof text,
                   "CREATE TABLE infomask.version(number INTEGER NOT NULL, oldest INTEGER NOT NULL);"
                   "INSERT INTO infomask.version VALUES (%d, %d)", schema->version, schema->oldest);
    if (status == INFOMASK_OK)
        status = postgres_command(c, text, err);
    return status == INFOMASK_OK ? postgres_command(c, schema->create, err) : status;
}

static enum infomask_status upgrade_schema(struct postgres *c, const struct store_schema *schema, int64_t from,
                                           struct infomask_error *err)
{
    char text[100];
    enum infomask_status status = INFOMASK_OK;

    for (int64_t v = from; status == INFOMASK_OK && v < schema->version; v++)
        status = postgres_command(c, schema->upgrades[v - 1], err);
    (void)snprintf(text, sizeof text, "UPDATE infomask.version SET number = %d, oldest = %d", schema->version,
                   schema->oldest);
    return status == INFOMASK_OK ? postgres_command(c, text, err) : status;
}

/* number 0: there is none.  oldest: which version of infomask's may still use it. */
static enum infomask_status read_version(struct postgres *c, int64_t *number, int64_t *oldest,
                                         struct infomask_error *err)
{
    int64_t there = 0;
    enum infomask_status status = postgres_ask(c, "SELECT (to_regclass('infomask.version') IS NOT NULL)::int", &there,
                                               err);

    *number = *oldest = 0;
    if (status == INFOMASK_OK && there != 0)
        status = postgres_ask(c, "SELECT number FROM infomask.version", number, err);
    if (status == INFOMASK_OK && there != 0)
        status = postgres_ask(c, "SELECT oldest FROM infomask.version", oldest, err);
    return status;
}

/* Whoever comes first makes or changes it; the others wait, and find it done. */
static enum infomask_status change_schema(struct postgres *c, const struct store_schema *schema,
                                          struct infomask_error *err)
{
    int64_t number, oldest;
    enum infomask_status status = postgres_command(c, "BEGIN; SELECT pg_advisory_xact_lock(" SCHEMA_LOCK ")", err);

    if (status == INFOMASK_OK)
        status = read_version(c, &number, &oldest, err);
    if (status == INFOMASK_OK && number == 0)
        status = create_schema(c, schema, err);
    else if (status == INFOMASK_OK && number < schema->version)
        status = upgrade_schema(c, schema, number, err);
    return status == INFOMASK_OK ? postgres_commit(c, err) : status;
}

static enum infomask_status set_up(struct postgres *c, struct infomask_error *err)
{
    const struct store_schema *schema = &store_options(c->base.store)->server;
    int64_t number, oldest;
    enum infomask_status status = read_version(c, &number, &oldest, err);

    if (status == INFOMASK_OK && number < schema->version) {
        status = change_schema(c, schema, err);
        if (status == INFOMASK_OK)
            status = read_version(c, &number, &oldest, err);
    }
    if (status != INFOMASK_OK || (number >= schema->version && oldest <= schema->version))
        return status;
    return error_set(err, INFOMASK_IO, "the server's state is of version %lld, and this infomask knows version %d",
                     (long long)number, schema->version);
}

/* ---- Connecting -------------------------------------------------------------------------------------------------- */

void postgres_disconnect(struct store_connection *base)
{
    struct postgres *c = own(base);

    c->pq->clear(c->row);
    if (c->pg != NULL)
        c->pq->finish(c->pg);
    free(c->statements);
    free(c);
}

static struct postgres *create(struct store *store)
{
    struct postgres *c = calloc(1, sizeof *c);
    int count = store_options(store)->count;

    if (c == NULL || (c->statements = calloc((size_t)count, sizeof *c->statements)) == NULL) {
        free(c);
        return NULL;
    }
    c->base.store = store;
    c->base.patient = true;
    c->pq = store_library(store);
    c->base.deadline_ms = clock_ms() + CONNECT_MS;
    for (int i = 0; i < count; i++)
        c->statements[i] = (struct postgres_statement){.base.connection = &c->base, .number = i};
    return c;
}

/* Without the line's end; NULL: there is none. */
static enum infomask_status read_password(const char *path, char **password, struct infomask_error *err)
{
    enum infomask_status status;
    size_t size;

    *password = NULL;
    if (*path == '\0')
        return INFOMASK_OK;
    status = file_read(path, MOST_PASSWORD, password, &size, err);
    if (status != INFOMASK_OK)
        error_prefix(err, "state_password");
    else
        (*password)[strcspn(*password, "\r\n")] = '\0';
    return status;
}

static void ignore_notice(void *context, const char *message)
{
    (void)context;
    (void)message;
}

/* libpq's own sentence, its first line. */
static enum infomask_status connect_failed(struct postgres *c, struct infomask_error *err)
{
    const char *message = c->pg != NULL ? c->pq->errorMessage(c->pg) : "";

    return error_set(err, INFOMASK_IO, "%.*s", (int)strcspn(message, "\n"), message);
}

/* What is named before the address may be said otherwise in it; what is named after may not. */
static struct pg_conn *start_connection(const struct postgres *c, const char *password)
{
    const struct store_options *options = store_options(c->base.store);
    const char *const names[] = {"application_name", "gssencmode", "keepalives_idle", "keepalives_interval",
                                 "keepalives_count", "dbname", "client_encoding", "options", "password", NULL};
    const char *settings =
        "-c search_path=infomask -c statement_timeout=120000 -c lock_timeout=10000"
        " -c idle_in_transaction_session_timeout=5000 -c client_min_messages=warning";
    const char *relaxed =
        "-c search_path=infomask -c statement_timeout=120000 -c lock_timeout=10000"
        " -c idle_in_transaction_session_timeout=5000 -c client_min_messages=warning -c synchronous_commit=off";
    const char *const values[] = {"infomask", "disable", "10", "3", "3", store_where(c->base.store), "UTF8",
                                  options->relaxed ? relaxed : settings, password, NULL};

    return c->pq->connectStartParams(names, values, 1);
}

static enum infomask_status wait_connected(struct postgres *c, struct infomask_error *err)
{
    int state = LIBPQ_POLLING_WRITING;

    while (state != LIBPQ_POLLING_OK) {
        short events = state == LIBPQ_POLLING_READING ? POLLIN : POLLOUT;
        if (clock_ms() >= c->base.deadline_ms)
            return error_set(err, INFOMASK_IO, "no answer within %g s", CONNECT_MS / 1000);
        if (postgres_wait(c, events, c->base.deadline_ms) <= 0)
            continue;
        state = c->pq->connectPoll(c->pg);
        if (state == LIBPQ_POLLING_FAILED)
            return connect_failed(c, err);
    }
    (void)c->pq->setnonblocking(c->pg, 1);
    (void)c->pq->setNoticeProcessor(c->pg, ignore_notice, NULL);
    return INFOMASK_OK;
}

/* Without a look at the tables. */
static enum infomask_status connect_bare(struct store *store, struct postgres **out, struct infomask_error *err)
{
    struct postgres *c = create(store);
    char *password;
    enum infomask_status status;

    if (c == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    status = read_password(store_options(store)->password_file, &password, err);
    if (status == INFOMASK_OK) {
        c->pg = start_connection(c, password);
        status = c->pg != NULL && c->pq->status(c->pg) != LIBPQ_CONNECTION_BAD ? wait_connected(c, err)
                                                                             : connect_failed(c, err);
    }
    if (password != NULL)
        explicit_bzero(password, strlen(password));
    free(password);
    if (status != INFOMASK_OK)
        postgres_disconnect(&c->base);
    else
        *out = c;
    return status;
}

enum infomask_status postgres_connect(struct store *store, struct store_connection **out, struct infomask_error *err)
{
    struct postgres *c;
    enum infomask_status status = connect_bare(store, &c, err);

    if (status != INFOMASK_OK)
        return status;
    status = set_up(c, err);
    if (status != INFOMASK_OK)
        postgres_disconnect(&c->base);
    else
        *out = &c->base;
    return status;
}

/* ---- A look that changes nothing --------------------------------------------------------------------------------- */

#define IS(condition) "SELECT (" condition ")::int"

/* The tables belong to whoever made them: only they, and members of their role, may change them. */
static const char may_make_schema[] = IS("has_database_privilege(current_database(), 'CREATE')");
static const char may_make_tables[] =
    IS("has_schema_privilege('infomask', 'CREATE') AND has_schema_privilege('infomask', 'USAGE')");
static const char may_change_tables[] =
    IS("has_schema_privilege('infomask', 'CREATE') AND NOT EXISTS (SELECT 1 FROM pg_class WHERE relkind = 'r' AND"
       " relnamespace = to_regnamespace('infomask') AND NOT pg_has_role(relowner, 'USAGE'))");
static const char may_use_tables[] =
    IS("has_schema_privilege('infomask', 'USAGE') AND NOT EXISTS (SELECT 1 FROM pg_class WHERE relkind = 'r' AND"
       " relnamespace = to_regnamespace('infomask') AND relname <> 'version' AND NOT"
       " (has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT') AND"
       " has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')))");

static enum infomask_status ask(struct postgres *c, const char *sql, bool *is, struct infomask_error *err)
{
    int64_t number = 0;
    enum infomask_status status = postgres_ask(c, sql, &number, err);

    *is = number != 0;
    return status;
}

static enum infomask_status look_at_server(struct postgres *c, struct store_look *look, struct infomask_error *err)
{
    int64_t version = 0;
    enum infomask_status status = postgres_ask(c, "SELECT current_setting('server_version_num')", &version, err);

    look->server = (int)version;
    if (status == INFOMASK_OK)
        status = ask(c, IS("pg_is_in_recovery() OR current_setting('transaction_read_only')::bool"), &look->read_only,
                     err);
    if (status == INFOMASK_OK)
        status = ask(c, IS("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"), &look->encrypted, err);
    if (status == INFOMASK_OK)
        status = ask(c, IS("coalesce(inet_client_addr() = inet_server_addr(), true)"), &look->local, err);
    if (status == INFOMASK_OK)
        status = ask(c, IS("current_setting('server_encoding') = 'UTF8'"), &look->utf8, err);
    return status;
}

static enum infomask_status look_at_rights(struct postgres *c, struct store_look *look, struct infomask_error *err)
{
    bool schema = false;
    enum infomask_status status = ask(c, IS("to_regnamespace('infomask') IS NOT NULL"), &schema, err);

    look->may_make = look->may_use = true;
    if (status == INFOMASK_OK && !schema)
        status = ask(c, may_make_schema, &look->may_make, err);
    else if (status == INFOMASK_OK && look->version == 0)
        status = ask(c, may_make_tables, &look->may_make, err);
    else if (status == INFOMASK_OK && look->version < look->wanted)
        status = ask(c, may_change_tables, &look->may_make, err);
    if (status == INFOMASK_OK && schema)
        status = ask(c, may_use_tables, &look->may_use, err);
    return status;
}

enum infomask_status postgres_look(struct store *store, struct store_look *look, struct infomask_error *err)
{
    struct postgres *c;
    int64_t number = 0, oldest = 0;
    enum infomask_status status = connect_bare(store, &c, err);

    if (status != INFOMASK_OK)
        return status;
    status = look_at_server(c, look, err);
    if (status == INFOMASK_OK && read_version(c, &number, &oldest, err) != INFOMASK_OK)
        number = oldest = 0; /* a schema that the user may not look into: the rights say so */
    look->version = (int)number;
    look->serves = oldest <= look->wanted;
    if (status == INFOMASK_OK)
        status = look_at_rights(c, look, err);
    postgres_disconnect(&c->base);
    return status;
}

/* ---- The address ------------------------------------------------------------------------------------------------- */

static const char *option_of(const struct libpq_option *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options->value;
    return NULL;
}

/* "5432", or several with commas between them, one a host; empty: the usual one. */
static void read_ports(const char *text, int *ports, int most, int *count)
{
    do {
        int port = text != NULL ? (int)strtol(text, NULL, 10) : 0;
        if (*count < most)
            ports[(*count)++] = port > 0 && port < 65536 ? port : USUAL_PORT;
        text = text != NULL ? strchr(text, ',') : NULL;
    } while (text != NULL && *++text != '\0');
}

static enum infomask_status check_address(const struct libpq *pq, const char *where, int *ports, int most, int *count,
                                          struct infomask_error *err)
{
    char *message = NULL;
    struct libpq_option *options = pq->conninfoParse(where, &message);
    enum infomask_status status = INFOMASK_OK;

    *count = 0;
    if (options != NULL)
        read_ports(option_of(options, "port"), ports, most, count);
    if (options == NULL)
        status = error_set(err, INFOMASK_ARGUMENT, "state: %.*s",
                           message != NULL ? (int)strcspn(message, "\n") : 0, message != NULL ? message : "");
    else if (option_of(options, "password") != NULL)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "state: a password in the address can be read by others; put it into a "
                           "file, and name that by state_password");
    pq->freemem(message);
    pq->conninfoFree(options);
    return status;
}

enum infomask_status postgres_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
{
    struct libpq *pq = NULL;
    enum infomask_status status = libpq_open(&pq, err);

    if (status == INFOMASK_OK)
        status = check_address(pq, where, ports, most, count, err);
    free(pq); /* the library stays loaded */
    return status;
}

enum infomask_status postgres_load(const struct store *store, void **library, struct infomask_error *err)
{
    struct libpq *pq = NULL;
    int ports;
    enum infomask_status status = libpq_open(&pq, err);

    if (status == INFOMASK_OK)
        status = check_address(pq, store_where(store), NULL, 0, &ports, err);
    if (status != INFOMASK_OK)
        free(pq);
    else
        *library = pq;
    return status;
}
