#include "app/state/estimates_store.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "app/model/models.h"
#include "core/base/clock.h"

#define DEFAULT_BYTES ((uint64_t)1 << 30)
#define DEFAULT_LOGITS ((uint64_t)64 << 20)
#define SIZE_MS 1000.0 /* that the size of a server's state is believed for */

/* ---- Opening ----------------------------------------------------------------------------------------------------- */

static struct store_options options_of(const struct estimates_options *options)
{
    return (struct store_options){.file = estimates_file_schema,
                                  .server = estimates_server_schema,
                                  .sql = estimates_sql,
                                  .count = SQL_COUNT,
                                  .max_bytes = options->max_bytes > 0 ? options->max_bytes : DEFAULT_BYTES,
                                  .relaxed = options->relaxed,
                                  .passing = options->passing,
                                  .cache_bytes = options->cache_bytes,
                                  .password_file = options->password_file,
                                  .tell = options->tell,
                                  .tell_context = options->tell_context};
}

enum infomask_status estimates_look(const char *where, const struct estimates_options *options, struct store_look *look,
                                    struct infomask_error *err)
{
    const struct store_options own = options_of(options);

    return store_look(where, &own, look, err);
}

enum infomask_status estimates_open(const char *where, const struct estimates_options *options,
                                    struct estimates **out, struct infomask_error *err)
{
    static const struct estimates_options defaults;
    struct estimates *estimates = calloc(1, sizeof *estimates);
    struct estimates_shared *shared = calloc(1, sizeof *shared);
    struct store_options own;
    enum infomask_status status;

    if (estimates == NULL || shared == NULL) {
        free(estimates);
        free(shared);
        return error_set(err, INFOMASK_MEMORY, "no memory for the state");
    }
    if (options == NULL)
        options = &defaults;
    *estimates = (struct estimates){shared, INFINITY};
    shared->logit_bytes = options->logit_bytes == 0 ? DEFAULT_LOGITS
                          : options->logit_bytes == UINT64_MAX ? 0 : options->logit_bytes;
    (void)pthread_mutex_init(&shared->group.lock, NULL);
    (void)pthread_cond_init(&shared->group.written, NULL);
    STAILQ_INIT(&shared->group.waiting);
    shared->server_bytes = store_is_server(where) ? options->max_bytes : 0;
    own = options_of(options);
    status = store_open(where, &own, &shared->store, err);
    if (status != INFOMASK_OK)
        estimates_close(estimates);
    else
        *out = estimates;
    return status;
}

void estimates_close(struct estimates *estimates)
{
    if (estimates == NULL)
        return;
    store_close(estimates->shared->store);
    (void)pthread_mutex_destroy(&estimates->shared->group.lock);
    (void)pthread_cond_destroy(&estimates->shared->group.written);
    free(estimates->shared);
    free(estimates);
}

enum infomask_status estimates_prepare(const char *where, int *ports, int most, int *count, struct infomask_error *err)
{
    return store_prepare(where, ports, most, count, err);
}

struct estimates estimates_within(const struct estimates *estimates, double deadline_ms)
{
    return (struct estimates){estimates->shared, deadline_ms};
}

enum infomask_status estimates_ready(const struct estimates *estimates, struct infomask_error *err)
{
    return store_ready(estimates->shared->store, err);
}

void estimates_trim(struct estimates *estimates)
{
    store_trim(estimates->shared->store);
}

bool estimates_shared(const struct estimates *estimates)
{
    return !store_has_one_writer(estimates->shared->store);
}

/* ---- Info -------------------------------------------------------------------------------------------------------- */

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

enum infomask_status estimate_info_split(struct estimate_info *info, struct infomask_error *err)
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

static void copy_text(char *to, size_t size, struct store_statement *statement, int column)
{
    const char *text = store_text(statement, column);

    (void)snprintf(to, size, "%s", text != NULL ? text : "");
}

/* A column of `classes` doubles; NULL stays NULL. */
static enum infomask_status copy_prior(double **to, size_t classes, struct store_statement *statement, int column,
                                       struct infomask_error *err)
{
    size_t size;
    const void *bytes = store_bytes(statement, column, &size);

    if (bytes == NULL && size == 0)
        return INFOMASK_OK;
    if (bytes == NULL || size != classes * sizeof **to)
        return error_set(err, INFOMASK_IO, "the stored prior is damaged");
    *to = malloc(size);
    if (*to == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    memcpy(*to, bytes, size);
    return INFOMASK_OK;
}

static void info_of(struct store_statement *statement, struct estimate_info *info)
{
    *info = (struct estimate_info){.place = store_integer(statement, 0)};
    copy_text(info->id, sizeof info->id, statement, 1);
    copy_text(info->name, sizeof info->name, statement, 2);
    copy_text(info->model, sizeof info->model, statement, 3);
    copy_text(info->version, sizeof info->version, statement, 4);
    copy_text(info->sha256, sizeof info->sha256, statement, 5);
    copy_text(info->prior, sizeof info->prior, statement, 6);
    info->spec.classes = (size_t)store_integer(statement, 7);
    info->spec.label_smoothing = store_real(statement, 8);
    info->created = store_integer(statement, 9);
    info->samples = (uint64_t)store_integer(statement, 10);
    info->kept = (uint64_t)store_integer(statement, 11);
    info->duplicates = (uint64_t)store_integer(statement, 12);
}

static enum infomask_status fill_rest(struct store_statement *statement, struct estimate_info *info,
                                      struct infomask_error *err)
{
    const char *labels;
    enum infomask_status status = copy_prior(&info->spec.prior, info->spec.classes, statement, 13, err);

    if (status == INFOMASK_OK)
        status = copy_prior(&info->spec.logit_prior, info->spec.classes, statement, 14, err);
    labels = store_text(statement, 15);
    if (status == INFOMASK_OK && labels != NULL) {
        info->labels = strdup(labels);
        status = info->labels != NULL ? estimate_info_split(info, err)
                                      : error_set(err, INFOMASK_MEMORY, "no memory for labels");
    }
    return status;
}

static enum infomask_status find_by(struct store_statement *statement, const char *id, int64_t *key,
                                    struct estimate_info *info, struct infomask_error *err)
{
    bool row, more = false;
    enum infomask_status status;

    *info = (struct estimate_info){0};
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_text(statement, 1, id);
    status = store_step(statement, &row, err);
    if (status != INFOMASK_OK)
        return status;
    if (!row || id[0] == '\0')
        return error_set(err, INFOMASK_NO_SUCH_ESTIMATE, "there is no estimate \"%.80s\"", id);
    info_of(statement, info);
    *key = info->place;
    status = fill_rest(statement, info, err);
    if (status == INFOMASK_OK && strcmp(info->id, id) != 0)
        status = store_step(statement, &more, err);
    if (more)
        status = error_set(err, INFOMASK_ARGUMENT, "several estimates are named \"%.80s\"; say its id", id);
    store_reset(statement);
    if (status != INFOMASK_OK)
        estimate_info_fini(info);
    return status;
}

enum infomask_status estimates_find_in(struct store_connection *connection, const char *id, int64_t *key,
                                       struct estimate_info *info, struct infomask_error *err)
{
    return find_by(store_statement(connection, SQL_FIND, err), id, key, info, err);
}

enum infomask_status estimates_hold_in(struct store_connection *connection, const char *id, int64_t *key,
                                       struct estimate_info *info, struct infomask_error *err)
{
    return find_by(store_statement(connection, SQL_HOLD, err), id, key, info, err);
}

struct finding {
    const char *id;
    struct estimate_info *info;
};

static enum infomask_status find_one(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct finding *finding = context;
    int64_t key;

    estimate_info_fini(finding->info);
    return estimates_find_in(connection, finding->id, &key, finding->info, err);
}

enum infomask_status estimates_find(struct estimates *estimates, const char *id, struct estimate_info *info,
                                    struct infomask_error *err)
{
    struct finding finding = {id, info};
    enum infomask_status status;

    *info = (struct estimate_info){0};
    status = store_read(estimates->shared->store, estimates->deadline_ms, find_one, &finding, err);
    if (status != INFOMASK_OK)
        estimate_info_fini(info);
    return status;
}

struct listing {
    int64_t after;
    size_t most; /* 0: all */
    struct estimate_info *infos; /* [capacity] */
    size_t count, capacity;
};

static enum infomask_status list_one(struct store_statement *statement, struct listing *listing,
                                     struct infomask_error *err)
{
    if (listing->count == listing->capacity) {
        size_t capacity = 2 * listing->capacity + 16;
        struct estimate_info *infos = reallocarray(listing->infos, capacity, sizeof *infos);
        if (infos == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for %zu estimates", capacity);
        listing->infos = infos;
        listing->capacity = capacity;
    }
    info_of(statement, &listing->infos[listing->count++]);
    return INFOMASK_OK;
}

static enum infomask_status list_some(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_LIST, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    struct listing *listing = context;
    bool row = true;

    listing->count = 0;
    if (statement != NULL) {
        store_bind_integer(statement, 1, listing->after);
        store_bind_integer(statement, 2, listing->most > 0 ? (int64_t)listing->most : INT64_MAX);
    }
    while (status == INFOMASK_OK) {
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        status = list_one(statement, listing, err);
    }
    return status;
}

enum infomask_status estimates_list(struct estimates *estimates, int64_t after, size_t most, estimates_visit *visit,
                                    void *context, struct infomask_error *err)
{
    struct listing listing = {.after = after, .most = most};
    enum infomask_status status = store_read(estimates->shared->store, estimates->deadline_ms, list_some, &listing,
                                             err);

    for (size_t i = 0; status == INFOMASK_OK && i < listing.count; i++)
        if (!visit(context, &listing.infos[i]))
            break;
    free(listing.infos);
    return status;
}

/* ---- Create and delete ------------------------------------------------------------------------------------------- */

static enum infomask_status make_id(char id[ESTIMATE_ID_SIZE], struct infomask_error *err)
{
    uint8_t bytes[(ESTIMATE_ID_SIZE - 1) / 2];

    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return error_set(err, INFOMASK_INTERNAL, "no random numbers for an id");
    for (size_t i = 0; i < sizeof bytes; i++)
        (void)snprintf(id + 2 * i, 3, "%02x", bytes[i]);
    return INFOMASK_OK;
}

/* Under an id that nobody else has: done again, it changes nothing. */
static enum infomask_status ask_size(struct store_connection *connection, struct estimates_shared *shared,
                                     struct infomask_error *err)
{
    struct store_statement *s = store_statement(connection, SQL_SIZE, err);
    enum infomask_status status = s != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    bool row = false;

    if (status == INFOMASK_OK)
        status = store_step(s, &row, err);
    if (status == INFOMASK_OK && row) {
        shared->size.bytes = (uint64_t)store_integer(s, 0);
        shared->size.at_ms = clock_ms();
    }
    if (s != NULL)
        store_reset(s);
    return status;
}

enum infomask_status estimates_room(struct store_connection *connection, struct estimates_shared *shared,
                                    struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    if (shared->server_bytes == 0)
        return INFOMASK_OK;
    if (shared->size.at_ms == 0 || clock_ms() - shared->size.at_ms > SIZE_MS)
        status = ask_size(connection, shared, err);
    if (status == INFOMASK_OK && shared->size.bytes >= shared->server_bytes)
        status = error_set(err, INFOMASK_STATE_FULL, "the state is full; delete estimates, or raise state_limit");
    return status;
}

struct inserting {
    struct estimates_shared *shared;
    const struct estimate_info *info;
};

static enum infomask_status insert_info(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct inserting *inserting = context;
    const struct estimate_info *info = inserting->info;
    enum infomask_status status = estimates_room(connection, inserting->shared, err);
    struct store_statement *s = status == INFOMASK_OK ? store_statement(connection, SQL_INSERT, err) : NULL;
    size_t size = info->spec.classes * sizeof(double);

    if (s == NULL)
        return status != INFOMASK_OK ? status : INFOMASK_INTERNAL;
    store_bind_text(s, 1, info->id);
    store_bind_text(s, 2, info->name);
    store_bind_text(s, 3, info->model);
    store_bind_text(s, 4, info->version);
    store_bind_text(s, 5, info->sha256);
    store_bind_text(s, 6, info->prior);
    store_bind_integer(s, 7, (int64_t)info->spec.classes);
    store_bind_real(s, 8, info->spec.label_smoothing);
    store_bind_integer(s, 9, info->created);
    if (info->spec.prior != NULL)
        store_bind_bytes(s, 10, info->spec.prior, size);
    if (info->spec.logit_prior != NULL)
        store_bind_bytes(s, 11, info->spec.logit_prior, size);
    if (info->labels != NULL)
        store_bind_text(s, 12, info->labels);
    return store_run(s, err);
}

enum infomask_status estimate_info_begin(struct estimate_info *info, struct infomask_error *err)
{
    struct infomask_estimate *sums = NULL;
    enum infomask_status status;

    if (info->spec.classes < 1 || info->spec.classes > 1000000)
        return error_set(err, INFOMASK_ARGUMENT, "an estimate is of 1 to 1000000 classes, not %zu", info->spec.classes);
    status = infomask_estimate_create(&info->spec, &sums, err); /* its checks of the priors are ours */
    infomask_estimate_free(sums);
    if (status == INFOMASK_OK)
        status = make_id(info->id, err);
    info->created = (int64_t)time(NULL);
    return status;
}

enum infomask_status estimates_create(struct estimates *estimates, struct estimate_info *info,
                                      struct infomask_error *err)
{
    struct inserting inserting = {estimates->shared, info};
    enum infomask_status status = estimate_info_begin(info, err);

    if (status == INFOMASK_OK)
        status = store_write(estimates->shared->store, estimates->deadline_ms, insert_info, &inserting, err);
    return status == INFOMASK_OK ? estimate_info_split(info, err) : status;
}

static enum infomask_status delete_all(struct store_connection *connection, int64_t key, struct infomask_error *err)
{
    static const enum estimate_statement steps[] = {SQL_DELETE_LOGITS, SQL_DELETE_SAMPLES, SQL_DELETE_CLASSES,
                                                    SQL_DELETE};
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; status == INFOMASK_OK && i < sizeof steps / sizeof *steps; i++) {
        struct store_statement *statement = store_statement(connection, (int)steps[i], err);
        if (statement == NULL)
            return INFOMASK_INTERNAL;
        store_bind_integer(statement, 1, key);
        status = store_run(statement, err);
    }
    return status;
}

struct deleting {
    const char *id;
    bool tried; /* once before, and we did not hear whether it was committed */
};

static enum infomask_status delete_one(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct deleting *deleting = context;
    struct estimate_info info = {0};
    int64_t key = 0;
    enum infomask_status status = estimates_hold_in(connection, deleting->id, &key, &info, err);

    if (status == INFOMASK_NO_SUCH_ESTIMATE && deleting->tried)
        return INFOMASK_OK;
    if (status == INFOMASK_OK)
        status = delete_all(connection, key, err);
    deleting->tried = status == INFOMASK_OK;
    estimate_info_fini(&info);
    return status;
}

enum infomask_status estimates_delete(struct estimates *estimates, const char *id, struct infomask_error *err)
{
    struct deleting deleting = {id, false};
    enum infomask_status status = store_write(estimates->shared->store, estimates->deadline_ms, delete_one, &deleting,
                                              err);

    if (status == INFOMASK_OK)
        store_compact(estimates->shared->store);
    return status;
}

enum infomask_status estimates_sound(enum infomask_status status, struct infomask_error *err)
{
    if (status != INFOMASK_ARGUMENT && status != INFOMASK_BAD_DATA)
        return status;
    return error_set(err, INFOMASK_IO, "what is stored of the estimate is damaged");
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static enum infomask_status load_classes(struct store_connection *connection, int64_t key,
                                         struct infomask_estimate *sums, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_CLASSES, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    bool row = true;
    const void *totals;
    size_t size;

    if (statement != NULL)
        store_bind_integer(statement, 1, key);
    while (status == INFOMASK_OK) {
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        totals = store_bytes(statement, 1, &size);
        status = infomask_estimate_unpack_class(sums, (size_t)store_integer(statement, 0), totals, size, err);
    }
    return status;
}

enum infomask_status estimates_load_class(struct store_connection *connection, int64_t key, size_t label,
                                          struct infomask_estimate *sums, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_CLASS, err);
    enum infomask_status status;
    const void *totals;
    size_t size;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    store_bind_integer(statement, 2, (int64_t)label);
    status = store_step(statement, &row, err);
    if (status == INFOMASK_OK && row) {
        totals = store_bytes(statement, 0, &size);
        status = infomask_estimate_unpack_class(sums, label, totals, size, err);
    }
    store_reset(statement);
    return estimates_sound(status, err);
}

enum infomask_status estimates_load(struct store_connection *connection, int64_t key, const struct estimate_info *info,
                                    bool classes, struct infomask_estimate **out, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_TOTALS, err);
    struct infomask_estimate *sums = NULL;
    enum infomask_status status;
    const void *totals;
    size_t size;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    status = infomask_estimate_create(&info->spec, &sums, err);
    if (status == INFOMASK_OK)
        status = store_step(statement, &row, err);
    if (status == INFOMASK_OK && row && (totals = store_bytes(statement, 0, &size)) != NULL)
        status = infomask_estimate_unpack(sums, totals, size, err);
    store_reset(statement);
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
    struct store_statement *statement = store_statement(connection, SQL_SET_TOTALS, err);
    uint8_t bytes[INFOMASK_ESTIMATE_BYTES];

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    infomask_estimate_pack(sums, bytes);
    store_bind_integer(statement, 1, key);
    store_bind_bytes(statement, 2, bytes, sizeof bytes);
    store_bind_integer(statement, 3, (int64_t)info->samples);
    store_bind_integer(statement, 4, (int64_t)info->kept);
    store_bind_integer(statement, 5, (int64_t)info->duplicates);
    return store_run(statement, err);
}

enum infomask_status estimates_save_class(struct store_connection *connection, int64_t key, size_t label,
                                          const struct infomask_estimate *sums, struct infomask_error *err)
{
    uint8_t bytes[INFOMASK_ESTIMATE_CLASS_BYTES];
    struct store_statement *statement;

    if (!infomask_estimate_pack_class(sums, label, bytes))
        return INFOMASK_OK;
    statement = store_statement(connection, SQL_SET_CLASS, err);
    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    store_bind_integer(statement, 2, (int64_t)label);
    store_bind_bytes(statement, 3, bytes, sizeof bytes);
    return store_run(statement, err);
}
