/* Samples into the estimates' store: added one call at a time, and merged from another estimate. */
#include "app/state/estimates_store.h"

#include <stdlib.h>
#include <string.h>

/* ---- Rows ---------------------------------------------------------------------------------------------------------- */

/* item (may be NULL): what is asked for is the same, or a conflict. */
static void compare_stored(sqlite3_stmt *statement, struct estimate_item *item)
{
    const void *digest = sqlite3_column_blob(statement, 1);

    item->had = (uint32_t)sqlite3_column_int64(statement, 0);
    item->conflict = item->had != item->label ||
                     (item->digest != NULL && sqlite3_column_bytes(statement, 1) == ESTIMATE_DIGEST_SIZE &&
                      memcmp(digest, item->digest, ESTIMATE_DIGEST_SIZE) != 0);
}

static enum infomask_status find_sample(struct store_connection *connection, int64_t key, const char *sample, bool *found,
                                        struct estimate_item *item, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_HAS, err);
    enum infomask_status status;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_text(statement, 2, sample, -1, SQLITE_STATIC);
    status = store_step(connection, statement, found, err);
    if (status == INFOMASK_OK && *found && item != NULL)
        compare_stored(statement, item);
    (void)sqlite3_reset(statement);
    return status;
}

/* Whether a sample has these bytes already; never without a digest. */
static enum infomask_status find_digest(struct store_connection *connection, int64_t key, const uint8_t *digest, bool *found,
                                        struct infomask_error *err)
{
    sqlite3_stmt *statement;
    enum infomask_status status;

    *found = false;
    if (digest == NULL)
        return INFOMASK_OK;
    statement = store_statement(connection, SQL_HAS_DIGEST, err);
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_blob(statement, 2, digest, ESTIMATE_DIGEST_SIZE, SQLITE_TRANSIENT);
    status = store_step(connection, statement, found, err);
    (void)sqlite3_reset(statement);
    return status;
}

enum infomask_status estimates_insert(struct store_connection *connection, int64_t key, const struct estimate_row *row,
                                      int64_t *sample, struct infomask_error *err)
{
    sqlite3_stmt *s = store_statement(connection, SQL_ADD, err);
    enum infomask_status status;

    if (s == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(s, 1, key);
    (void)sqlite3_bind_text(s, 2, row->sample, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 3, (int64_t)row->order); /* the same bits; SQLite's integers have a sign */
    (void)sqlite3_bind_int64(s, 4, row->label);
    (void)sqlite3_bind_int64(s, 5, row->predicted);
    (void)sqlite3_bind_double(s, 6, row->log_q);
    (void)sqlite3_bind_double(s, 7, row->pmi);
    (void)sqlite3_bind_double(s, 8, row->information);
    (void)sqlite3_bind_double(s, 9, row->entropy);
    (void)sqlite3_bind_double(s, 10, row->confidence);
    if (row->unit != 0)
        (void)sqlite3_bind_int64(s, 12, (int64_t)row->unit);
    if (row->digest != NULL)
        (void)sqlite3_bind_blob(s, 11, row->digest, ESTIMATE_DIGEST_SIZE, SQLITE_TRANSIENT);
    status = store_run(connection, s, err);
    if (status != INFOMASK_OK && sqlite3_extended_errcode(connection->db) == SQLITE_CONSTRAINT_UNIQUE)
        return error_set(err, INFOMASK_ARGUMENT, "the sample \"%.80s\" is in both estimates", row->sample);
    *sample = sqlite3_last_insert_rowid(connection->db);
    return status;
}

static enum infomask_status find_samples(struct store_connection *own, const char *id, const char *const *samples,
                                         size_t count, bool *known, struct infomask_error *err)
{
    struct estimate_info info = {0};
    int64_t key = 0;
    enum infomask_status status = estimates_find_in(own, id, &key, &info, err);

    estimate_info_fini(&info);
    for (size_t i = 0; status == INFOMASK_OK && i < count; i++)
        status = find_sample(own, key, samples[i], &known[i], NULL, err);
    return status;
}

enum infomask_status estimates_known(struct estimates *estimates, const char *id, const char *const *samples, size_t count,
                                     bool *known, struct infomask_error *err)
{
    struct store_connection own;
    enum infomask_status status = estimates_connect(estimates, &own, err);

    if (status != INFOMASK_OK)
        return status;
    status = store_begin_read(&own, err);
    if (status == INFOMASK_OK)
        status = store_end(&own, find_samples(&own, id, samples, count, known, err), err);
    store_disconnect(&own);
    return status;
}

static enum infomask_status keep_logits(struct store_connection *connection, int64_t sample, const void *half, size_t size,
                                        struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_KEEP, err);

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, sample);
    (void)sqlite3_bind_blob(statement, 2, half, (int)size, SQLITE_TRANSIENT);
    return store_run(connection, statement, err);
}

/* Is there room for the logits of one more sample? */
static bool room_for_logits(const struct estimates *estimates, const struct estimate_info *info)
{
    return (info->kept + 1) * info->spec.classes * sizeof(uint16_t) <= estimates->options.logit_bytes;
}

/* ---- Adding -------------------------------------------------------------------------------------------------------- */

/* One call of estimates_add under way. */
struct adding {
    struct estimates *estimates;
    struct store_connection *connection;
    const char *id;
    struct estimate_item *items; /* [count] */
    size_t count;
    struct infomask_error *err;
    enum infomask_status status;
    bool done;
    struct adding *next;
    struct estimate_info info;
    struct infomask_estimate *sums;
    uint16_t *half;    /* [classes] */
    uint8_t *loaded;   /* [classes] 1: the class's sums are in `sums` */
    int64_t key;
};

static enum infomask_status add_new(struct adding *a, struct estimate_item *item, struct infomask_error *err)
{
    struct infomask_sample s;
    struct estimate_row row;
    enum infomask_status status = INFOMASK_OK;
    int64_t sample = 0;

    if (item->logits == NULL)
        return error_set(err, INFOMASK_ARGUMENT, "the sample \"%.80s\" is not there any more", item->sample);
    if (item->label >= a->info.spec.classes)
        return error_set(err, INFOMASK_ARGUMENT, "label %u: there are %zu classes", item->label, a->info.spec.classes);
    if (!a->loaded[item->label])
        status = estimates_load_class(a->connection, a->key, item->label, a->sums, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_add(a->sums, item->logits, item->label, item->sample, &s, err);
    if (status != INFOMASK_OK)
        return status;
    a->loaded[item->label] = 1;
    row = (struct estimate_row){item->digest, item->unit, item->sample, s.order, s.label, s.predicted, s.log_q,
                                s.pmi, s.information, s.entropy, s.confidence};
    status = find_digest(a->connection, a->key, item->digest, &item->duplicate, err);
    a->info.duplicates += item->duplicate;
    if (status == INFOMASK_OK)
        status = estimates_insert(a->connection, a->key, &row, &sample, err);
    if (status == INFOMASK_OK && room_for_logits(a->estimates, &a->info)) {
        infomask_logits_pack(item->logits, a->info.spec.classes, a->half);
        status = keep_logits(a->connection, sample, a->half, a->info.spec.classes * sizeof *a->half, err);
        a->info.kept++;
    }
    a->info.samples++;
    return status;
}

static enum infomask_status add_item(struct adding *a, struct estimate_item *item, struct infomask_error *err)
{
    enum infomask_status status;
    bool found = false;

    if (item->sample[0] == '\0' || strlen(item->sample) > ESTIMATE_SAMPLE_MAX)
        return error_set(err, INFOMASK_ARGUMENT, "a sample's id has 1 to %d bytes", ESTIMATE_SAMPLE_MAX);
    item->conflict = item->duplicate = false;
    status = find_sample(a->connection, a->key, item->sample, &found, item, err);
    item->added = status == INFOMASK_OK && !found;
    return item->added ? add_new(a, item, err) : status;
}

static enum infomask_status add_all(struct adding *a)
{
    struct infomask_error *err = a->err;
    enum infomask_status status = estimates_find_in(a->connection, a->id, &a->key, &a->info, err);

    if (status == INFOMASK_OK)
        status = estimates_load(a->connection, a->key, &a->info, false, &a->sums, err);
    if (status != INFOMASK_OK)
        return status;
    a->half = calloc(a->info.spec.classes, sizeof *a->half);
    a->loaded = calloc(a->info.spec.classes, 1);
    if (a->half == NULL || a->loaded == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to add samples");
    for (size_t i = 0; status == INFOMASK_OK && i < a->count; i++)
        status = add_item(a, &a->items[i], err);
    for (size_t y = 0; status == INFOMASK_OK && y < a->info.spec.classes; y++)
        if (a->loaded[y])
            status = estimates_save_class(a->connection, a->key, y, a->sums, err);
    if (status == INFOMASK_OK)
        status = estimates_save(a->connection, a->key, &a->info, a->sums, err);
    return status;
}

/* ---- Several calls in one transaction ------------------------------------------------------------------------------ */

/* A call that fails takes back what it did, and nothing of the others'. */
static enum infomask_status add_alone(struct adding *a)
{
    enum infomask_status status = store_mark(a->connection, a->err);

    if (status == INFOMASK_OK) {
        a->status = add_all(a);
        status = store_release(a->connection, a->status == INFOMASK_OK, a->err);
    }
    return status;
}

static void fail_all(struct adding *first, enum infomask_status status, const struct infomask_error *err)
{
    for (struct adding *a = first; a != NULL; a = a->next) {
        if (a->status != INFOMASK_OK)
            continue;
        a->status = status;
        if (a->err != NULL)
            *a->err = *err;
    }
}

static void write_group(struct estimates *estimates, struct adding *first)
{
    struct store_connection *connection = &estimates->write;
    struct infomask_error err;
    enum infomask_status status;

    (void)pthread_mutex_lock(&estimates->write_lock);
    status = store_begin(connection, &err);
    if (status == INFOMASK_OK) {
        for (struct adding *a = first; status == INFOMASK_OK && a != NULL; a = a->next)
            status = add_alone(a);
        if (status != INFOMASK_OK)
            (void)error_set(&err, status, "the state could not be written");
        status = store_end(connection, status, &err);
    }
    (void)pthread_mutex_unlock(&estimates->write_lock);
    if (status != INFOMASK_OK)
        fail_all(first, status, &err);
}

/* Whoever comes while nobody writes, writes for all who wait. */
static void write_or_wait(struct estimates *estimates, struct adding *adding)
{
    struct adding *first;

    (void)pthread_mutex_lock(&estimates->group.lock);
    *estimates->group.last = adding;
    estimates->group.last = &adding->next;
    while (estimates->group.busy && !adding->done)
        (void)pthread_cond_wait(&estimates->group.written, &estimates->group.lock);
    if (!adding->done) {
        first = estimates->group.first;
        estimates->group.first = NULL;
        estimates->group.last = &estimates->group.first;
        estimates->group.busy = true;
        (void)pthread_mutex_unlock(&estimates->group.lock);
        write_group(estimates, first);
        (void)pthread_mutex_lock(&estimates->group.lock);
        for (struct adding *next; first != NULL; first = next) {
            next = first->next; /* its owner may be gone once it is done */
            first->done = true;
        }
        estimates->group.busy = false;
        (void)pthread_cond_broadcast(&estimates->group.written);
    }
    (void)pthread_mutex_unlock(&estimates->group.lock);
}

enum infomask_status estimates_add(struct estimates *estimates, const char *id, struct estimate_item *items, size_t count,
                                   uint64_t *samples, struct infomask_error *err)
{
    struct adding adding = {.estimates = estimates, .connection = &estimates->write, .id = id, .items = items,
                            .count = count, .err = err};

    write_or_wait(estimates, &adding);
    *samples = adding.info.samples;
    infomask_estimate_free(adding.sums);
    estimate_info_fini(&adding.info);
    free(adding.half);
    free(adding.loaded);
    return adding.status;
}

/* ---- Merging ------------------------------------------------------------------------------------------------------- */

struct merging {
    struct estimates *estimates;
    struct store_connection *into, from;
    struct estimate_info info, from_info;
    struct infomask_estimate *sums, *from_sums;
    int64_t key, from_key;
};

static enum infomask_status copy_logits(struct merging *m, int64_t from_sample, int64_t sample, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(&m->from, SQL_KEPT, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    if (!room_for_logits(m->estimates, &m->info))
        return INFOMASK_OK;
    (void)sqlite3_bind_int64(statement, 1, from_sample);
    status = store_step(&m->from, statement, &row, err);
    if (status == INFOMASK_OK && row) {
        status = keep_logits(m->into, sample, sqlite3_column_blob(statement, 0),
                             (size_t)sqlite3_column_bytes(statement, 0), err);
        m->info.kept++;
    }
    return status;
}

static enum infomask_status copy_rows(struct merging *m, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(&m->from, SQL_ROWS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    if (statement != NULL)
        (void)sqlite3_bind_int64(statement, 1, m->from_key);
    while (status == INFOMASK_OK) {
        struct estimate_row row;
        int64_t sample = 0;
        bool more, duplicate = false;
        status = store_step(&m->from, statement, &more, err);
        if (status != INFOMASK_OK || !more)
            break;
        estimates_row_of(statement, &row);
        status = find_digest(m->into, m->key, row.digest, &duplicate, err);
        m->info.duplicates += duplicate;
        if (status == INFOMASK_OK)
            status = estimates_insert(m->into, m->key, &row, &sample, err);
        if (status == INFOMASK_OK)
            status = copy_logits(m, sqlite3_column_int64(statement, 9), sample, err);
        m->info.samples++;
    }
    return status;
}

static enum infomask_status check_same_model(const struct merging *m, struct infomask_error *err)
{
    if (strcmp(m->info.sha256, m->from_info.sha256) != 0)
        return error_set(err, INFOMASK_ARGUMENT, "the estimates are of different models: %.60s and %.60s", m->info.model,
                         m->from_info.model);
    if (m->key == m->from_key && strcmp(m->info.id, m->from_info.id) == 0)
        return error_set(err, INFOMASK_ARGUMENT, "an estimate cannot be merged with itself");
    return INFOMASK_OK;
}

static enum infomask_status merge_all(struct merging *m, const char *id, const char *from_id, struct infomask_error *err)
{
    enum infomask_status status = estimates_find_in(m->into, id, &m->key, &m->info, err);

    if (status == INFOMASK_OK)
        status = estimates_find_in(&m->from, from_id, &m->from_key, &m->from_info, err);
    if (status == INFOMASK_OK)
        status = check_same_model(m, err);
    if (status == INFOMASK_OK)
        status = estimates_load(m->into, m->key, &m->info, true, &m->sums, err);
    if (status == INFOMASK_OK)
        status = estimates_load(&m->from, m->from_key, &m->from_info, true, &m->from_sums, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_merge(m->sums, m->from_sums, err);
    if (status == INFOMASK_OK)
        status = copy_rows(m, err);
    for (size_t y = 0; status == INFOMASK_OK && y < m->info.spec.classes; y++)
        status = estimates_save_class(m->into, m->key, y, m->sums, err);
    if (status == INFOMASK_OK)
        status = estimates_save(m->into, m->key, &m->info, m->sums, err);
    return status;
}

enum infomask_status estimates_merge(struct estimates *estimates, const char *id, struct estimates *from,
                                     const char *from_id, struct infomask_error *err)
{
    struct merging m = {.estimates = estimates, .into = &estimates->write};
    enum infomask_status status = estimates_connect(from, &m.from, err);

    if (status != INFOMASK_OK)
        return status;
    (void)pthread_mutex_lock(&estimates->write_lock);
    status = store_begin_read(&m.from, err);
    if (status == INFOMASK_OK)
        status = store_begin(m.into, err);
    if (status == INFOMASK_OK)
        status = store_end(m.into, merge_all(&m, id, from_id, err), err);
    (void)pthread_mutex_unlock(&estimates->write_lock);
    store_disconnect(&m.from);
    infomask_estimate_free(m.sums);
    infomask_estimate_free(m.from_sums);
    estimate_info_fini(&m.info);
    estimate_info_fini(&m.from_info);
    return status;
}
