#include "app/state/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/estimates_store.h"

void result_fini(struct result *result)
{
    free(result->storage);
    *result = (struct result){0};
}

/* One call under way. */
struct call {
    struct estimates_shared *shared;
    const struct result *in;
    const char *replica, *id;
    uint64_t owner;
    bool body, there;
    struct result *out;
};

static void bind_text(struct store_statement *s, int parameter, const char *text)
{
    if (text != NULL)
        store_bind_text(s, parameter, text);
}

/* *there: whether it gave a row. */
static enum infomask_status run(struct store_statement *s, bool *there, struct infomask_error *err)
{
    enum infomask_status status = store_step(s, there, err);

    return status == INFOMASK_OK && *there ? store_run(s, err) : status;
}

static enum infomask_status make(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct call *call = context;
    enum infomask_status status = estimates_room(connection, call->shared, err);
    struct store_statement *s = status == INFOMASK_OK ? store_statement(connection, SQL_JOB_MAKE, err) : NULL;

    if (s == NULL)
        return status != INFOMASK_OK ? status : INFOMASK_INTERNAL;
    store_bind_text(s, 1, call->in->id);
    store_bind_integer(s, 2, (int64_t)call->in->owner);
    store_bind_text(s, 3, call->in->request_id);
    store_bind_text(s, 4, call->in->route);
    store_bind_text(s, 5, call->replica);
    return store_run(s, err);
}

enum infomask_status results_make(struct estimates *estimates, const struct result *result, const char *replica,
                                  struct infomask_error *err)
{
    struct call call = {.shared = estimates->shared, .in = result, .replica = replica};

    return store_write(estimates->shared->store, estimates->deadline_ms, make, &call, err);
}

static enum infomask_status change(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct call *call = context;
    const struct result *r = call->in;
    struct store_statement *s = store_statement(connection, SQL_JOB_CHANGE, err);

    if (s == NULL)
        return INFOMASK_INTERNAL;
    store_bind_text(s, 1, r->id);
    store_bind_integer(s, 2, r->state);
    store_bind_real(s, 3, r->state >= RESULT_DONE ? r->keep_s : NAN);
    store_bind_integer(s, 4, r->status);
    bind_text(s, 5, r->content_type);
    bind_text(s, 6, r->code);
    bind_text(s, 7, r->headers);
    if (r->state >= RESULT_DONE)
        store_bind_bytes(s, 8, r->size > 0 ? r->body : "", r->size);
    return run(s, &call->there, err);
}

enum infomask_status results_change(struct estimates *estimates, const struct result *result, bool *there,
                                    struct infomask_error *err)
{
    struct call call = {.in = result};
    enum infomask_status status = store_write(estimates->shared->store, estimates->deadline_ms, change, &call, err);

    *there = call.there;
    return status;
}

/* A copy of a column's text at *at; NULL stays NULL. */
static const char *keep_text(struct store_statement *s, int column, char **at)
{
    const char *text = store_text(s, column);
    size_t size = text != NULL ? strlen(text) + 1 : 0;
    char *copy = *at;

    if (text == NULL)
        return NULL;
    memcpy(copy, text, size);
    *at += size;
    return copy;
}

/* Columns: request_id, route, state, age, keep, status, content_type, code, headers, size, body. */
static enum infomask_status copy_row(struct store_statement *s, struct result *r, struct infomask_error *err)
{
    static const int texts[] = {0, 1, 6, 7, 8};
    size_t size, room;
    const void *body = store_bytes(s, 10, &size);
    char *at;

    room = size + 1;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        room += store_text(s, texts[i]) != NULL ? strlen(store_text(s, texts[i])) + 1 : 0;
    at = r->storage = malloc(room);
    if (at == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a job's result");
    if (size > 0)
        memcpy(at, body, size);
    r->body = body != NULL ? at : NULL;
    at += size;
    r->request_id = keep_text(s, 0, &at);
    r->route = keep_text(s, 1, &at);
    r->state = (int)store_integer(s, 2);
    r->age_s = store_real(s, 3);
    r->keep_s = store_real(s, 4);
    r->status = (int)store_integer(s, 5);
    r->content_type = keep_text(s, 6, &at);
    r->code = keep_text(s, 7, &at);
    r->headers = keep_text(s, 8, &at);
    r->size = (size_t)store_integer(s, 9);
    return INFOMASK_OK;
}

static enum infomask_status get(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct call *call = context;
    struct store_statement *s = store_statement(connection, call->body ? SQL_JOB_BODY : SQL_JOB, err);
    enum infomask_status status;

    result_fini(call->out);
    if (s == NULL)
        return INFOMASK_INTERNAL;
    store_bind_text(s, 1, call->id);
    store_bind_integer(s, 2, (int64_t)call->owner);
    status = store_step(s, &call->there, err);
    if (status == INFOMASK_OK && call->there)
        status = copy_row(s, call->out, err);
    store_reset(s);
    return status;
}

enum infomask_status results_get(struct estimates *estimates, const char *id, uint64_t owner, bool body,
                                 struct result *result, bool *there, struct infomask_error *err)
{
    struct call call = {.id = id, .owner = owner, .body = body, .out = result};
    enum infomask_status status;

    *result = (struct result){0};
    status = store_read(estimates->shared->store, estimates->deadline_ms, get, &call, err);
    *there = status == INFOMASK_OK && call.there;
    if (!*there)
        result_fini(result);
    return status;
}

static enum infomask_status forget(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct call *call = context;
    struct store_statement *s = store_statement(connection, SQL_JOB_FORGET, err);

    if (s == NULL)
        return INFOMASK_INTERNAL;
    store_bind_text(s, 1, call->id);
    store_bind_integer(s, 2, (int64_t)call->owner);
    return run(s, &call->there, err);
}

enum infomask_status results_forget(struct estimates *estimates, const char *id, uint64_t owner, bool *there,
                                    struct infomask_error *err)
{
    struct call call = {.id = id, .owner = owner};
    enum infomask_status status = store_write(estimates->shared->store, estimates->deadline_ms, forget, &call, err);

    *there = call.there;
    return status;
}

static enum infomask_status beat(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct call *call = context;
    struct store_statement *s = store_statement(connection, SQL_JOB_BEAT, err);
    enum infomask_status status;

    if (s == NULL)
        return INFOMASK_INTERNAL;
    store_bind_text(s, 1, call->replica);
    status = store_run(s, err);
    s = status == INFOMASK_OK ? store_statement(connection, SQL_JOB_EXPIRE, err) : NULL;
    return s != NULL ? store_run(s, err) : status;
}

enum infomask_status results_beat(struct estimates *estimates, const char *replica, struct infomask_error *err)
{
    struct call call = {.replica = replica};

    return store_write(estimates->shared->store, estimates->deadline_ms, beat, &call, err);
}
