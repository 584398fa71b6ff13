/* Samples into the estimates' store: added one call at a time, and merged from another estimate. */
#include "app/state/estimates_store.h"

#include <stdlib.h>
#include <string.h>

/* ---- Rows -------------------------------------------------------------------------------------------------------- */

/* item (may be NULL): what is asked for is the same, or a conflict. */
static void compare_stored(struct store_statement *statement, struct estimate_item *item)
{
    size_t size;
    const void *digest = store_bytes(statement, 1, &size);

    item->had = (uint32_t)store_integer(statement, 0);
    item->conflict = item->had != item->label ||
                     (item->digest != NULL && size == ESTIMATE_DIGEST_SIZE &&
                      memcmp(digest, item->digest, ESTIMATE_DIGEST_SIZE) != 0);
}

static enum infomask_status find_sample(struct store_connection *connection, int64_t key, const char *sample,
                                        bool *found, struct estimate_item *item, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_HAS, err);
    enum infomask_status status;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    store_bind_text(statement, 2, sample);
    status = store_step(statement, found, err);
    if (status == INFOMASK_OK && *found && item != NULL)
        compare_stored(statement, item);
    store_reset(statement);
    return status;
}

/* Whether a sample has these bytes already; never without a digest. */
static enum infomask_status find_digest(struct store_connection *connection, int64_t key, const uint8_t *digest,
                                        bool *found, struct infomask_error *err)
{
    struct store_statement *statement;
    enum infomask_status status;

    *found = false;
    if (digest == NULL)
        return INFOMASK_OK;
    statement = store_statement(connection, SQL_HAS_DIGEST, err);
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    store_bind_bytes(statement, 2, digest, ESTIMATE_DIGEST_SIZE);
    status = store_step(statement, found, err);
    store_reset(statement);
    return status;
}

enum infomask_status estimates_insert(struct store_connection *connection, int64_t key, const struct estimate_row *row,
                                      int64_t *sample, struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_ADD, err);
    enum infomask_status status;
    bool more;

    if (s == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(s, 1, key);
    store_bind_text(s, 2, row->sample);
    store_bind_integer(s, 3, (int64_t)row->order); /* the same bits; SQLite's integers have a sign */
    store_bind_integer(s, 4, row->label);
    store_bind_integer(s, 5, row->predicted);
    store_bind_real(s, 6, row->log_q);
    store_bind_real(s, 7, row->pmi);
    store_bind_real(s, 8, row->information);
    store_bind_real(s, 9, row->entropy);
    store_bind_real(s, 10, row->confidence);
    if (row->unit != 0)
        store_bind_integer(s, 12, (int64_t)row->unit);
    if (row->digest != NULL)
        store_bind_bytes(s, 11, row->digest, ESTIMATE_DIGEST_SIZE);
    status = store_step(s, &more, err);
    if (status != INFOMASK_OK && store_taken(connection))
        return error_set(err, INFOMASK_ARGUMENT, "the sample \"%.80s\" is in both estimates", row->sample);
    if (status == INFOMASK_OK && more) {
        *sample = store_integer(s, 0);
        status = store_run(s, err);
    }
    return status;
}

struct asking {
    const char *id, *const *samples;
    size_t count;
    bool *known;
};

static enum infomask_status find_samples(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct asking *asking = context;
    struct estimate_info info = {0};
    int64_t key = 0;
    enum infomask_status status = estimates_find_in(connection, asking->id, &key, &info, err);

    estimate_info_fini(&info);
    for (size_t i = 0; status == INFOMASK_OK && i < asking->count; i++)
        status = find_sample(connection, key, asking->samples[i], &asking->known[i], NULL, err);
    return status;
}

enum infomask_status estimates_known(struct estimates *estimates, const char *id, const char *const *samples,
                                     size_t count, bool *known, struct infomask_error *err)
{
    struct asking asking = {id, samples, count, known};

    return store_read(estimates->shared->store, estimates->deadline_ms, find_samples, &asking, err);
}

static enum infomask_status keep_logits(struct store_connection *connection, int64_t sample, const void *half,
                                        size_t size, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_KEEP, err);

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, sample);
    store_bind_bytes(statement, 2, half, size);
    return store_run(statement, err);
}

/* Is there room for the logits of one more sample? */
static bool room_for_logits(const struct estimates_shared *shared, const struct estimate_info *info)
{
    return (info->kept + 1) * info->spec.classes * sizeof(uint16_t) <= shared->logit_bytes;
}

/* ---- Adding ------------------------------------------------------------------------------------------------------ */

/* One call of estimates_add under way. */
struct adding {
    struct estimates_shared *shared;
    struct store_connection *connection;
    double deadline_ms;
    const char *id;
    struct estimate_item *items; /* [count] */
    size_t count;
    struct infomask_error *err;
    enum infomask_status status;
    bool done;
    STAILQ_ENTRY(adding) entry;
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
                                s.pmi, s.information, s.entropy, s.confidence, NULL, 0};
    status = find_digest(a->connection, a->key, item->digest, &item->duplicate, err);
    a->info.duplicates += item->duplicate;
    if (status == INFOMASK_OK)
        status = estimates_insert(a->connection, a->key, &row, &sample, err);
    if (status == INFOMASK_OK && room_for_logits(a->shared, &a->info)) {
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

static void adding_fini(struct adding *a)
{
    infomask_estimate_free(a->sums);
    estimate_info_fini(&a->info);
    free(a->half);
    free(a->loaded);
    a->sums = NULL;
    a->half = NULL;
    a->loaded = NULL;
}

static enum infomask_status add_all(struct adding *a)
{
    struct infomask_error *err = a->err;
    enum infomask_status status;

    adding_fini(a); /* what an attempt before has left */
    status = estimates_hold_in(a->connection, a->id, &a->key, &a->info, err);
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

static enum infomask_status add_alone(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct adding *a = context;
    enum infomask_status status = estimates_room(connection, a->shared, a->err);

    (void)err; /* a's own */
    a->connection = connection;
    return status == INFOMASK_OK ? add_all(a) : status;
}

static void write_alone(struct adding *a)
{
    a->status = store_write(a->shared->store, a->deadline_ms, add_alone, a, a->err);
}

/* ---- Several calls in one transaction ---------------------------------------------------------------------------- */

/* A call that fails takes back what it did, and nothing of the others'. */
static enum infomask_status add_part(struct store_connection *connection, struct adding *a)
{
    enum infomask_status status = store_mark(connection, a->err);

    a->connection = connection;
    if (status == INFOMASK_OK) {
        a->status = add_all(a);
        status = store_release(connection, a->status == INFOMASK_OK, a->err);
    }
    return status;
}

static enum infomask_status add_together(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct adding_list *list = context;
    enum infomask_status status = INFOMASK_OK;
    struct adding *a;

    STAILQ_FOREACH(a, list, entry)
        if (status == INFOMASK_OK)
            status = add_part(connection, a);
    return status == INFOMASK_OK ? INFOMASK_OK : error_set(err, status, "the state could not be written");
}

static void fail_all(struct adding_list *list, enum infomask_status status, const struct infomask_error *err)
{
    struct adding *a;

    STAILQ_FOREACH(a, list, entry) {
        if (a->status != INFOMASK_OK)
            continue;
        a->status = status;
        if (a->err != NULL)
            *a->err = *err;
    }
}

static void write_together(struct adding_list *list)
{
    struct adding *first = STAILQ_FIRST(list);
    struct infomask_error err;
    enum infomask_status status;

    if (STAILQ_NEXT(first, entry) == NULL) {
        write_alone(first);
        return;
    }
    status = store_write(first->shared->store, first->deadline_ms, add_together, list, &err);
    if (status != INFOMASK_OK)
        fail_all(list, status, &err);
}

/* Under the lock: whoever is done may be gone once it is released. */
static void end_all(const struct adding_list *list)
{
    struct adding *a;

    STAILQ_FOREACH(a, list, entry)
        a->done = true;
}

/* Whoever comes while nobody writes, writes for all who wait. */
static void write_or_wait(struct adding *adding)
{
    struct estimates_shared *shared = adding->shared;
    struct adding_list list = STAILQ_HEAD_INITIALIZER(list);

    (void)pthread_mutex_lock(&shared->group.lock);
    STAILQ_INSERT_TAIL(&shared->group.waiting, adding, entry);
    while (shared->group.busy && !adding->done)
        (void)pthread_cond_wait(&shared->group.written, &shared->group.lock);
    if (!adding->done) {
        STAILQ_CONCAT(&list, &shared->group.waiting);
        shared->group.busy = true;
        (void)pthread_mutex_unlock(&shared->group.lock);
        write_together(&list);
        (void)pthread_mutex_lock(&shared->group.lock);
        end_all(&list);
        shared->group.busy = false;
        (void)pthread_cond_broadcast(&shared->group.written);
    }
    (void)pthread_mutex_unlock(&shared->group.lock);
}

enum infomask_status estimates_add(struct estimates *estimates, const char *id, struct estimate_item *items,
                                   size_t count, uint64_t *samples, struct infomask_error *err)
{
    struct adding adding = {.shared = estimates->shared, .deadline_ms = estimates->deadline_ms, .id = id,
                            .items = items, .count = count, .err = err};

    if (store_has_one_writer(adding.shared->store))
        write_or_wait(&adding);
    else
        write_alone(&adding);
    *samples = adding.info.samples;
    adding_fini(&adding);
    return adding.status;
}

/* ---- Merging ----------------------------------------------------------------------------------------------------- */

struct merging {
    struct estimates *target;
    const char *id, *from_id;
    struct store_connection *into, *from;
    struct estimate_info info, from_info;
    struct infomask_estimate *sums, *from_sums;
    int64_t key, from_key;
};

static void merging_fini(struct merging *m)
{
    infomask_estimate_free(m->sums);
    infomask_estimate_free(m->from_sums);
    m->sums = m->from_sums = NULL;
    estimate_info_fini(&m->info);
    estimate_info_fini(&m->from_info);
}

/* Column 11 of ROWS. */
static enum infomask_status copy_logits(struct merging *m, struct store_statement *statement, int64_t sample,
                                        struct infomask_error *err)
{
    size_t size;
    const void *half = store_bytes(statement, 11, &size);

    if (half == NULL || !room_for_logits(m->target->shared, &m->info))
        return INFOMASK_OK;
    m->info.kept++;
    return keep_logits(m->into, sample, half, size, err);
}

static enum infomask_status copy_rows(struct merging *m, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(m->from, SQL_ROWS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    if (statement != NULL)
        store_bind_integer(statement, 1, m->from_key);
    while (status == INFOMASK_OK) {
        struct estimate_row row;
        int64_t sample = 0;
        bool more, duplicate = false;
        status = store_step(statement, &more, err);
        if (status != INFOMASK_OK || !more)
            break;
        estimates_row_of(statement, &row);
        status = find_digest(m->into, m->key, row.digest, &duplicate, err);
        m->info.duplicates += duplicate;
        if (status == INFOMASK_OK)
            status = estimates_insert(m->into, m->key, &row, &sample, err);
        if (status == INFOMASK_OK)
            status = copy_logits(m, statement, sample, err);
        m->info.samples++;
    }
    return status;
}

static enum infomask_status check_same_model(const struct merging *m, struct infomask_error *err)
{
    if (strcmp(m->info.sha256, m->from_info.sha256) != 0)
        return error_set(err, INFOMASK_ARGUMENT, "the estimates are of different models: %.60s and %.60s",
                         m->info.model, m->from_info.model);
    if (m->key == m->from_key && strcmp(m->info.id, m->from_info.id) == 0)
        return error_set(err, INFOMASK_ARGUMENT, "an estimate cannot be merged with itself");
    return INFOMASK_OK;
}

static enum infomask_status merge_into(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct merging *m = context;
    enum infomask_status status;

    merging_fini(m);
    m->into = connection;
    status = estimates_room(connection, m->target->shared, err);
    if (status == INFOMASK_OK)
        status = estimates_hold_in(m->into, m->id, &m->key, &m->info, err);
    if (status == INFOMASK_OK)
        status = estimates_find_in(m->from, m->from_id, &m->from_key, &m->from_info, err);
    if (status == INFOMASK_OK)
        status = check_same_model(m, err);
    if (status == INFOMASK_OK)
        status = estimates_load(m->into, m->key, &m->info, true, &m->sums, err);
    if (status == INFOMASK_OK)
        status = estimates_load(m->from, m->from_key, &m->from_info, true, &m->from_sums, err);
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

/* What is read is a snapshot, also where both are one store. */
static enum infomask_status merge_from(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct merging *m = context;

    m->from = connection;
    return store_write(m->target->shared->store, m->target->deadline_ms, merge_into, m, err);
}

enum infomask_status estimates_merge(struct estimates *estimates, const char *id, struct estimates *from,
                                     const char *from_id, struct infomask_error *err)
{
    struct merging m = {.target = estimates, .id = id, .from_id = from_id};
    enum infomask_status status = store_read(from->shared->store, from->deadline_ms, merge_from, &m, err);

    merging_fini(&m);
    return status;
}
