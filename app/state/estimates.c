#include "app/state/estimates_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "app/model/models.h"

#define VERSION 2
#define DEFAULT_BYTES ((uint64_t)1 << 30)
#define DEFAULT_LOGITS ((uint64_t)64 << 20)

static const char schema[] =
    "CREATE TABLE estimate(key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, model TEXT NOT NULL,"
    " version TEXT NOT NULL, sha256 TEXT NOT NULL, prior_kind TEXT NOT NULL, classes INTEGER NOT NULL,"
    " smoothing REAL NOT NULL, created INTEGER NOT NULL, prior BLOB, logit_prior BLOB, labels TEXT, totals BLOB,"
    " samples INTEGER NOT NULL DEFAULT 0, kept INTEGER NOT NULL DEFAULT 0, limit_samples INTEGER NOT NULL DEFAULT 0,"
    " betting REAL, bernstein REAL, confusion REAL, audit BLOB, duplicates INTEGER NOT NULL DEFAULT 0,"
    " limit_units INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX estimate_name ON estimate(name);"
    "CREATE TABLE class(estimate INTEGER, label INTEGER, totals BLOB NOT NULL, PRIMARY KEY(estimate, label))"
    " WITHOUT ROWID;"
    "CREATE TABLE sample(key INTEGER PRIMARY KEY, estimate INTEGER NOT NULL, id TEXT NOT NULL, place INTEGER NOT NULL,"
    " label INTEGER NOT NULL, predicted INTEGER NOT NULL, log_q REAL NOT NULL, pmi REAL NOT NULL,"
    " information REAL NOT NULL, entropy REAL NOT NULL, confidence REAL NOT NULL, digest BLOB, unit INTEGER);"
    "CREATE UNIQUE INDEX sample_id ON sample(estimate, id);"
    "CREATE INDEX sample_pmi ON sample(estimate, pmi);"
    "CREATE INDEX sample_digest ON sample(estimate, digest) WHERE digest IS NOT NULL;"
    "CREATE TABLE logits(sample INTEGER PRIMARY KEY, half BLOB NOT NULL);";

/* What a file of version 1 lacks; its limits are of another rule. */
static const char upgrade[] =
    "ALTER TABLE estimate ADD COLUMN audit BLOB;"
    "ALTER TABLE estimate ADD COLUMN limit_units INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE estimate ADD COLUMN duplicates INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sample ADD COLUMN digest BLOB;"
    "ALTER TABLE sample ADD COLUMN unit INTEGER;"
    "CREATE INDEX sample_digest ON sample(estimate, digest) WHERE digest IS NOT NULL;"
    "UPDATE estimate SET limit_samples = 0;";

static const char *const statements[] = {
#define ESTIMATE_STATEMENT_SQL(name, sql) sql,
    ESTIMATE_STATEMENTS(ESTIMATE_STATEMENT_SQL)
#undef ESTIMATE_STATEMENT_SQL
};

/* ---- Opening ------------------------------------------------------------------------------------------------------- */

enum infomask_status estimates_connect(const struct estimates *estimates, struct store_connection *connection,
                                       struct infomask_error *err)
{
    const struct store_options options = {.schema = schema,
                                          .upgrade = upgrade,
                                          .version = VERSION,
                                          .sql = statements,
                                          .count = SQL_COUNT,
                                          .max_bytes = estimates->options.max_bytes,
                                          .relaxed = estimates->options.relaxed};

    return store_connect(connection, estimates->path, &options, err);
}

enum infomask_status estimates_open(const char *path, const struct estimates_options *options,
                                    struct estimates **out, struct infomask_error *err)
{
    struct estimates *estimates = calloc(1, sizeof *estimates);
    enum infomask_status status;

    if (estimates == NULL || (estimates->path = strdup(path)) == NULL) {
        free(estimates);
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    }
    if (options != NULL)
        estimates->options = *options;
    if (estimates->options.max_bytes == 0)
        estimates->options.max_bytes = DEFAULT_BYTES;
    if (estimates->options.logit_bytes == 0)
        estimates->options.logit_bytes = DEFAULT_LOGITS;
    if (estimates->options.logit_bytes == UINT64_MAX)
        estimates->options.logit_bytes = 0;
    (void)pthread_mutex_init(&estimates->write_lock, NULL);
    (void)pthread_mutex_init(&estimates->read_lock, NULL);
    (void)pthread_mutex_init(&estimates->group.lock, NULL);
    (void)pthread_cond_init(&estimates->group.written, NULL);
    estimates->group.last = &estimates->group.first;
    status = estimates_connect(estimates, &estimates->write, err);
    if (status == INFOMASK_OK)
        status = estimates_connect(estimates, &estimates->read, err);
    if (status != INFOMASK_OK) {
        estimates_close(estimates);
        return status;
    }
    *out = estimates;
    return INFOMASK_OK;
}

void estimates_close(struct estimates *estimates)
{
    if (estimates == NULL)
        return;
    store_disconnect(&estimates->read);
    store_disconnect(&estimates->write);
    (void)pthread_mutex_destroy(&estimates->write_lock);
    (void)pthread_mutex_destroy(&estimates->read_lock);
    (void)pthread_mutex_destroy(&estimates->group.lock);
    (void)pthread_cond_destroy(&estimates->group.written);
    free(estimates->path);
    free(estimates);
}

/* ---- Info ---------------------------------------------------------------------------------------------------------- */

void estimate_info_fini(struct estimate_info *info)
{
    infomask_estimate_spec_fini(&info->spec);
    free(info->labels);
    free((void *)(uintptr_t)info->label);
    *info = (struct estimate_info){0};
}

enum infomask_status estimate_info_of_model(struct estimate_info *info, const struct model *model,
                                            const struct infomask_prior *prior, struct infomask_error *err)
{
    size_t classes = model_classes(model), size = 1, used = 0;

    (void)snprintf(info->model, sizeof info->model, "%s", model_name(model));
    (void)snprintf(info->version, sizeof info->version, "%s", model_version(model));
    (void)snprintf(info->sha256, sizeof info->sha256, "%s", model_info(model)->sha256);
    for (size_t y = 0; y < classes; y++)
        size += strlen(model_label(model, y)) + 1;
    info->labels = malloc(size);
    if (info->labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    info->labels[0] = '\0';
    for (size_t y = 0; y < classes; y++)
        used += (size_t)snprintf(info->labels + used, size - used, "%s%s", y > 0 ? "\n" : "", model_label(model, y));
    return infomask_estimate_spec_of(model_core(model), prior, &info->spec, err);
}

const char *estimate_label(const struct estimate_info *info, size_t label, char text[24])
{
    if (info->label != NULL && label < info->spec.classes)
        return info->label[label];
    (void)snprintf(text, 24, "%zu", label);
    return text;
}

/* Cuts `labels` (owned) into lines.  Fewer lines than classes: no names at all. */
static enum infomask_status split_labels(struct estimate_info *info, struct infomask_error *err)
{
    size_t count = 0;

    if (info->labels == NULL)
        return INFOMASK_OK;
    info->label = calloc(info->spec.classes, sizeof *info->label);
    if (info->label == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    for (char *line = info->labels; line != NULL && count < info->spec.classes;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        info->label[count++] = line;
        line = end != NULL ? end + 1 : NULL;
    }
    if (count < info->spec.classes) {
        free((void *)(uintptr_t)info->label);
        info->label = NULL;
    }
    return INFOMASK_OK;
}

static void copy_text(char *to, size_t size, sqlite3_stmt *statement, int column)
{
    const unsigned char *text = sqlite3_column_text(statement, column);

    (void)snprintf(to, size, "%s", text != NULL ? (const char *)text : "");
}

/* A column of `classes` doubles; NULL stays NULL. */
static enum infomask_status copy_prior(double **to, size_t classes, sqlite3_stmt *statement, int column,
                                       struct infomask_error *err)
{
    const void *blob = sqlite3_column_blob(statement, column);
    size_t size = (size_t)sqlite3_column_bytes(statement, column);

    if (sqlite3_column_type(statement, column) == SQLITE_NULL)
        return INFOMASK_OK;
    if (size != classes * sizeof **to)
        return error_set(err, INFOMASK_IO, "the stored prior is damaged");
    *to = malloc(size);
    if (*to == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    memcpy(*to, blob, size);
    return INFOMASK_OK;
}

static void info_of(sqlite3_stmt *statement, struct estimate_info *info)
{
    *info = (struct estimate_info){0};
    copy_text(info->id, sizeof info->id, statement, 1);
    copy_text(info->name, sizeof info->name, statement, 2);
    copy_text(info->model, sizeof info->model, statement, 3);
    copy_text(info->version, sizeof info->version, statement, 4);
    copy_text(info->sha256, sizeof info->sha256, statement, 5);
    copy_text(info->prior, sizeof info->prior, statement, 6);
    info->spec.classes = (size_t)sqlite3_column_int64(statement, 7);
    info->spec.label_smoothing = sqlite3_column_double(statement, 8);
    info->created = sqlite3_column_int64(statement, 9);
    info->samples = (uint64_t)sqlite3_column_int64(statement, 10);
    info->kept = (uint64_t)sqlite3_column_int64(statement, 11);
    info->duplicates = (uint64_t)sqlite3_column_int64(statement, 12);
}

static enum infomask_status fill_rest(sqlite3_stmt *statement, struct estimate_info *info, struct infomask_error *err)
{
    enum infomask_status status = copy_prior(&info->spec.prior, info->spec.classes, statement, 13, err);

    if (status == INFOMASK_OK)
        status = copy_prior(&info->spec.logit_prior, info->spec.classes, statement, 14, err);
    if (status == INFOMASK_OK && sqlite3_column_type(statement, 15) != SQLITE_NULL) {
        info->labels = strdup((const char *)sqlite3_column_text(statement, 15));
        status = info->labels != NULL ? split_labels(info, err) : error_set(err, INFOMASK_MEMORY, "no memory for labels");
    }
    return status;
}

enum infomask_status estimates_find_in(struct store_connection *connection, const char *id, int64_t *key,
                                       struct estimate_info *info, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_FIND, err);
    bool row, more = false;
    enum infomask_status status;

    *info = (struct estimate_info){0};
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_text(statement, 1, id, -1, SQLITE_STATIC);
    status = store_step(connection, statement, &row, err);
    if (status != INFOMASK_OK)
        return status;
    if (!row || id[0] == '\0')
        return error_set(err, INFOMASK_NO_SUCH_ESTIMATE, "there is no estimate \"%.80s\"", id);
    *key = sqlite3_column_int64(statement, 0);
    info_of(statement, info);
    status = fill_rest(statement, info, err);
    if (status == INFOMASK_OK && strcmp(info->id, id) != 0)
        status = store_step(connection, statement, &more, err);
    if (more)
        status = error_set(err, INFOMASK_ARGUMENT, "several estimates are named \"%.80s\"; say its id", id);
    (void)sqlite3_reset(statement);
    if (status != INFOMASK_OK)
        estimate_info_fini(info);
    return status;
}

enum infomask_status estimates_find(struct estimates *estimates, const char *id, struct estimate_info *info,
                                    struct infomask_error *err)
{
    enum infomask_status status;
    int64_t key;

    (void)pthread_mutex_lock(&estimates->read_lock);
    status = estimates_find_in(&estimates->read, id, &key, info, err);
    (void)pthread_mutex_unlock(&estimates->read_lock);
    return status;
}

enum infomask_status estimates_list(struct estimates *estimates, estimates_visit *visit, void *context,
                                    struct infomask_error *err)
{
    struct store_connection *connection = &estimates->read;
    enum infomask_status status = INFOMASK_INTERNAL;
    sqlite3_stmt *statement;
    bool row = true, go_on = true;

    (void)pthread_mutex_lock(&estimates->read_lock);
    statement = store_statement(connection, SQL_LIST, err);
    if (statement != NULL)
        status = INFOMASK_OK;
    while (status == INFOMASK_OK && row && go_on) {
        struct estimate_info info;
        status = store_step(connection, statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        info_of(statement, &info);
        go_on = visit(context, &info);
    }
    (void)sqlite3_reset(statement);
    (void)pthread_mutex_unlock(&estimates->read_lock);
    return status;
}

/* ---- Create and delete --------------------------------------------------------------------------------------------- */

static enum infomask_status make_id(char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    uint8_t bytes[(ESTIMATE_ID_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, INFOMASK_INTERNAL, "no random numbers for an id");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return INFOMASK_OK;
}

static enum infomask_status insert_info(struct store_connection *connection, const struct estimate_info *info,
                                        struct infomask_error *err)
{
    sqlite3_stmt *s = store_statement(connection, SQL_INSERT, err);
    int size = (int)(info->spec.classes * sizeof(double));

    if (s == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_text(s, 1, info->id, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 2, info->name, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 3, info->model, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 4, info->version, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 5, info->sha256, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(s, 6, info->prior, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 7, (int64_t)info->spec.classes);
    (void)sqlite3_bind_double(s, 8, info->spec.label_smoothing);
    (void)sqlite3_bind_int64(s, 9, info->created);
    if (info->spec.prior != NULL)
        (void)sqlite3_bind_blob(s, 10, info->spec.prior, size, SQLITE_STATIC);
    if (info->spec.logit_prior != NULL)
        (void)sqlite3_bind_blob(s, 11, info->spec.logit_prior, size, SQLITE_STATIC);
    if (info->labels != NULL)
        (void)sqlite3_bind_text(s, 12, info->labels, -1, SQLITE_STATIC);
    return store_run(connection, s, err);
}

enum infomask_status estimates_create(struct estimates *estimates, struct estimate_info *info, struct infomask_error *err)
{
    struct infomask_estimate *sums = NULL;
    enum infomask_status status;

    if (info->spec.classes < 1 || info->spec.classes > 1000000)
        return error_set(err, INFOMASK_ARGUMENT, "an estimate is of 1 to 1000000 classes, not %zu", info->spec.classes);
    status = infomask_estimate_create(&info->spec, &sums, err); /* its checks of the priors are ours */
    infomask_estimate_free(sums);
    if (status == INFOMASK_OK)
        status = make_id(info->id, err);
    if (status != INFOMASK_OK)
        return status;
    info->created = (int64_t)time(NULL);
    (void)pthread_mutex_lock(&estimates->write_lock);
    status = store_begin(&estimates->write, err);
    if (status == INFOMASK_OK)
        status = store_end(&estimates->write, insert_info(&estimates->write, info, err), err);
    (void)pthread_mutex_unlock(&estimates->write_lock);
    return status == INFOMASK_OK ? split_labels(info, err) : status;
}

static enum infomask_status delete_all(struct store_connection *connection, int64_t key, struct infomask_error *err)
{
    static const enum estimate_statement steps[] = {SQL_DELETE_LOGITS, SQL_DELETE_SAMPLES, SQL_DELETE_CLASSES, SQL_DELETE};
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; status == INFOMASK_OK && i < sizeof steps / sizeof *steps; i++) {
        sqlite3_stmt *statement = store_statement(connection, (int)steps[i], err);
        if (statement == NULL)
            return INFOMASK_INTERNAL;
        (void)sqlite3_bind_int64(statement, 1, key);
        status = store_run(connection, statement, err);
    }
    return status;
}

/* What is deleted is deleted, whether the file gets shorter or not. */
static void give_room_back(struct store_connection *connection)
{
    sqlite3_stmt *vacuum = store_statement(connection, SQL_VACUUM, NULL);
    bool row = true;

    while (vacuum != NULL && row && store_step(connection, vacuum, &row, NULL) == INFOMASK_OK)
        ;
}

enum infomask_status estimates_delete(struct estimates *estimates, const char *id, struct infomask_error *err)
{
    struct store_connection *connection = &estimates->write;
    struct estimate_info info = {0};
    enum infomask_status status;
    int64_t key = 0;

    (void)pthread_mutex_lock(&estimates->write_lock);
    status = store_begin(connection, err);
    if (status == INFOMASK_OK) {
        status = estimates_find_in(connection, id, &key, &info, err);
        if (status == INFOMASK_OK)
            status = delete_all(connection, key, err);
        status = store_end(connection, status, err);
    }
    if (status == INFOMASK_OK)
        give_room_back(connection);
    (void)pthread_mutex_unlock(&estimates->write_lock);
    estimate_info_fini(&info);
    return status;
}

enum infomask_status estimates_sound(enum infomask_status status, struct infomask_error *err)
{
    if (status != INFOMASK_ARGUMENT && status != INFOMASK_BAD_DATA)
        return status;
    return error_set(err, INFOMASK_IO, "what is stored of the estimate is damaged");
}

/* ---- Sums ---------------------------------------------------------------------------------------------------------- */

static enum infomask_status load_classes(struct store_connection *connection, int64_t key, struct infomask_estimate *sums,
                                         struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_CLASSES, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    bool row = true;

    if (statement != NULL)
        (void)sqlite3_bind_int64(statement, 1, key);
    while (status == INFOMASK_OK) {
        status = store_step(connection, statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        status = infomask_estimate_unpack_class(sums, (size_t)sqlite3_column_int64(statement, 0),
                                                sqlite3_column_blob(statement, 1),
                                                (size_t)sqlite3_column_bytes(statement, 1), err);
    }
    return status;
}

enum infomask_status estimates_load_class(struct store_connection *connection, int64_t key, size_t label,
                                          struct infomask_estimate *sums, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_CLASS, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)label);
    status = store_step(connection, statement, &row, err);
    if (status == INFOMASK_OK && row)
        status = infomask_estimate_unpack_class(sums, label, sqlite3_column_blob(statement, 0),
                                                (size_t)sqlite3_column_bytes(statement, 0), err);
    (void)sqlite3_reset(statement);
    return estimates_sound(status, err);
}

enum infomask_status estimates_load(struct store_connection *connection, int64_t key, const struct estimate_info *info,
                                    bool classes, struct infomask_estimate **out, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_TOTALS, err);
    struct infomask_estimate *sums = NULL;
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    status = infomask_estimate_create(&info->spec, &sums, err);
    if (status == INFOMASK_OK)
        status = store_step(connection, statement, &row, err);
    if (status == INFOMASK_OK && row && sqlite3_column_type(statement, 0) != SQLITE_NULL)
        status = infomask_estimate_unpack(sums, sqlite3_column_blob(statement, 0),
                                          (size_t)sqlite3_column_bytes(statement, 0), err);
    (void)sqlite3_reset(statement);
    if (status == INFOMASK_OK && classes)
        status = load_classes(connection, key, sums, err);
    if (status != INFOMASK_OK) {
        infomask_estimate_free(sums);
        return estimates_sound(status, err);
    }
    *out = sums;
    return INFOMASK_OK;
}

enum infomask_status estimates_save(struct store_connection *connection, int64_t key, const struct estimate_info *info,
                                    const struct infomask_estimate *sums, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_SET_TOTALS, err);
    uint8_t bytes[INFOMASK_ESTIMATE_BYTES];

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    infomask_estimate_pack(sums, bytes);
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_blob(statement, 2, bytes, sizeof bytes, SQLITE_TRANSIENT);
    (void)sqlite3_bind_int64(statement, 3, (int64_t)info->samples);
    (void)sqlite3_bind_int64(statement, 4, (int64_t)info->kept);
    (void)sqlite3_bind_int64(statement, 5, (int64_t)info->duplicates);
    return store_run(connection, statement, err);
}

enum infomask_status estimates_save_class(struct store_connection *connection, int64_t key, size_t label,
                                          const struct infomask_estimate *sums, struct infomask_error *err)
{
    uint8_t bytes[INFOMASK_ESTIMATE_CLASS_BYTES];
    sqlite3_stmt *statement;

    if (!infomask_estimate_pack_class(sums, label, bytes))
        return INFOMASK_OK;
    statement = store_statement(connection, SQL_SET_CLASS, err);
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_int64(statement, 2, (int64_t)label);
    (void)sqlite3_bind_blob(statement, 3, bytes, sizeof bytes, SQLITE_TRANSIENT);
    return store_run(connection, statement, err);
}
