/* What the estimates' store answers: reports from the running sums, and what needs every sample. */
#include "app/state/estimates_store.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

/* ---- Reports ------------------------------------------------------------------------------------------------------- */

void estimate_state_fini(struct estimate_state *state)
{
    for (size_t i = 0; i < state->suspect_count; i++)
        free(state->suspects[i].sample);
    free(state->suspects);
    infomask_report_fini(&state->report);
    estimate_info_fini(&state->info);
    *state = (struct estimate_state){0};
}

static double column_or_nan(sqlite3_stmt *statement, int column)
{
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NAN : sqlite3_column_double(statement, column);
}

static enum infomask_status read_limits(struct store_connection *connection, int64_t key,
                                        struct infomask_limits_of_estimate *limits, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_LIMITS, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    status = store_step(connection, statement, &row, err);
    if (status == INFOMASK_OK && row) {
        limits->samples = (size_t)sqlite3_column_int64(statement, 0);
        limits->confidence = 0.975;
        limits->betting = column_or_nan(statement, 1);
        limits->bernstein = column_or_nan(statement, 2);
        limits->confusion = column_or_nan(statement, 3);
        limits->units = (size_t)sqlite3_column_int64(statement, 4);
        limits->standard_error = NAN; /* not kept */
    }
    (void)sqlite3_reset(statement);
    return status;
}

static enum infomask_status count_suspects(struct store_connection *connection, int64_t key, struct estimate_state *state,
                                           struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_COUNT_SUSPECTS, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    (void)sqlite3_bind_double(statement, 2, state->suspect_threshold);
    status = store_step(connection, statement, &row, err);
    if (status == INFOMASK_OK && row)
        state->suspects_in_all = (uint64_t)sqlite3_column_int64(statement, 0);
    (void)sqlite3_reset(statement);
    return status;
}

static enum infomask_status read_suspects(struct store_connection *connection, int64_t key, size_t most,
                                          const struct audit_curve *curve, struct estimate_state *state, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_SUSPECTS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    state->suspects = calloc(most + 1, sizeof *state->suspects);
    if (state->suspects == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
    if (statement != NULL) {
        (void)sqlite3_bind_int64(statement, 1, key);
        (void)sqlite3_bind_int64(statement, 2, (int64_t)most);
    }
    while (status == INFOMASK_OK) {
        struct estimate_suspect *suspect = &state->suspects[state->suspect_count];
        bool row;
        status = store_step(connection, statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        suspect->sample = strdup((const char *)sqlite3_column_text(statement, 0));
        if (suspect->sample == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
        suspect->label = (uint32_t)sqlite3_column_int64(statement, 1);
        suspect->predicted = (uint32_t)sqlite3_column_int64(statement, 2);
        suspect->pmi = sqlite3_column_double(statement, 3);
        suspect->expected = estimate_audit_expected(curve, suspect->pmi);
        suspect->past = suspect->pmi <= state->suspect_threshold;
        state->suspect_count++;
    }
    return status;
}

static enum infomask_status read_state(struct store_connection *connection, const char *id, size_t most,
                                       struct estimate_state *state, struct infomask_error *err)
{
    struct infomask_estimate *sums = NULL;
    struct audit_curve curve = {0};
    int64_t key = 0;
    enum infomask_status status = estimates_find_in(connection, id, &key, &state->info, err);

    if (status == INFOMASK_OK)
        status = estimates_load(connection, key, &state->info, true, &sums, err);
    if (status == INFOMASK_OK)
        status = estimates_sound(infomask_estimate_report(sums, &state->report, err), err);
    infomask_estimate_free(sums);
    if (status == INFOMASK_OK)
        status = read_limits(connection, key, &state->limits, err);
    if (status == INFOMASK_OK)
        status = estimate_audit_read(connection, key, state, &curve, err);
    if (status == INFOMASK_OK && state->info.samples > 0)
        status = count_suspects(connection, key, state, err);
    if (status == INFOMASK_OK && state->info.samples > 0)
        status = read_suspects(connection, key, most, &curve, state, err);
    audit_curve_fini(&curve);
    return status;
}

enum infomask_status estimates_read(struct estimates *estimates, const char *id, size_t max_suspects,
                                    struct estimate_state *state, struct infomask_error *err)
{
    enum infomask_status status;

    *state = (struct estimate_state){0};
    (void)pthread_mutex_lock(&estimates->read_lock);
    status = store_begin_read(&estimates->read, err);
    if (status == INFOMASK_OK)
        status = store_end(&estimates->read, read_state(&estimates->read, id, max_suspects, state, err), err);
    (void)pthread_mutex_unlock(&estimates->read_lock);
    if (status != INFOMASK_OK)
        estimate_state_fini(state);
    return status;
}

bool estimate_limits_due(const struct estimate_state *state)
{
    uint64_t samples = state->info.samples, seen = state->limits.samples;

    return samples > seen && (samples <= ESTIMATE_LIMITS_AT_ONCE || samples - seen > seen / 10);
}

bool estimates_claim_limits(struct estimates *estimates)
{
    return !atomic_exchange(&estimates->limiting, true);
}

void estimates_release_limits(struct estimates *estimates)
{
    atomic_store(&estimates->limiting, false);
}

/* ---- Limits -------------------------------------------------------------------------------------------------------- */

/* All points of an estimate; malloc'ed. */
static enum infomask_status read_points(struct store_connection *connection, int64_t key, uint64_t samples,
                                        struct infomask_point **out, size_t *count, struct infomask_error *err)
{
    sqlite3_stmt *statement = store_statement(connection, SQL_POINTS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    struct infomask_point *points = NULL;
    size_t bytes, n = 0;

    if (!checked_mul((size_t)samples + 1, sizeof *points, &bytes) || (points = malloc(bytes)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the limit of %llu samples", (unsigned long long)samples);
    if (statement != NULL)
        (void)sqlite3_bind_int64(statement, 1, key);
    while (status == INFOMASK_OK && n <= samples) {
        bool row;
        status = store_step(connection, statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        points[n++] = (struct infomask_point){(uint64_t)sqlite3_column_int64(statement, 0),
                                              sqlite3_column_double(statement, 1),
                                              (uint32_t)sqlite3_column_int64(statement, 2),
                                              (uint32_t)sqlite3_column_int64(statement, 3), 0};
    }
    *out = points;
    *count = n;
    return status;
}

static enum infomask_status write_limits(struct estimates *estimates, int64_t key,
                                         const struct infomask_limits_of_estimate *limits, struct infomask_error *err)
{
    sqlite3_stmt *statement;
    enum infomask_status status = INFOMASK_INTERNAL;

    (void)pthread_mutex_lock(&estimates->write_lock);
    statement = store_statement(&estimates->write, SQL_SET_LIMITS, err);
    if (statement != NULL) {
        (void)sqlite3_bind_int64(statement, 1, key);
        (void)sqlite3_bind_int64(statement, 2, (int64_t)limits->samples);
        (void)sqlite3_bind_double(statement, 3, limits->betting); /* NaN becomes NULL */
        (void)sqlite3_bind_double(statement, 4, limits->bernstein);
        (void)sqlite3_bind_double(statement, 5, limits->confusion);
        (void)sqlite3_bind_int64(statement, 6, (int64_t)limits->units);
        status = store_run(&estimates->write, statement, err);
    }
    (void)pthread_mutex_unlock(&estimates->write_lock);
    return status;
}

enum infomask_status estimates_update_limits(struct estimates *estimates, const char *id,
                                             struct infomask_limits_of_estimate *limits, struct infomask_error *err)
{
    struct store_connection own;
    struct estimate_info info = {0};
    struct infomask_point *points = NULL;
    struct audit_curve curve = {0};
    size_t count = 0;
    int64_t key = 0;
    enum infomask_status status = estimates_connect(estimates, &own, err);

    *limits = (struct infomask_limits_of_estimate){0};
    if (status != INFOMASK_OK)
        return status;
    status = store_begin_read(&own, err);
    if (status == INFOMASK_OK) {
        status = estimates_find_in(&own, id, &key, &info, err);
        if (status == INFOMASK_OK)
            status = read_points(&own, key, info.samples, &points, &count, err);
        if (status == INFOMASK_OK)
            status = estimate_audit_make(&own, key, &info, &curve, err);
        status = store_end(&own, status, err);
    }
    store_disconnect(&own);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(points, count, info.spec.classes, 0.975, limits, err);
    free(points);
    estimate_info_fini(&info);
    if (status == INFOMASK_OK)
        status = write_limits(estimates, key, limits, err);
    if (status == INFOMASK_OK)
        status = estimate_audit_write(estimates, key, &curve, err);
    audit_curve_fini(&curve);
    return status;
}

/* ---- Every sample -------------------------------------------------------------------------------------------------- */

void estimates_row_of(sqlite3_stmt *statement, struct estimate_row *row)
{
    const void *digest = sqlite3_column_bytes(statement, 10) == ESTIMATE_DIGEST_SIZE ? sqlite3_column_blob(statement, 10)
                                                                                     : NULL;

    *row = (struct estimate_row){.digest = digest,
                                 .unit = (uint64_t)sqlite3_column_int64(statement, 11), /* NULL is 0 */
                                 .sample = (const char *)sqlite3_column_text(statement, 0),
                                 .order = (uint64_t)sqlite3_column_int64(statement, 1),
                                 .label = (uint32_t)sqlite3_column_int64(statement, 2),
                                 .predicted = (uint32_t)sqlite3_column_int64(statement, 3),
                                 .log_q = sqlite3_column_double(statement, 4),
                                 .pmi = sqlite3_column_double(statement, 5),
                                 .information = sqlite3_column_double(statement, 6),
                                 .entropy = sqlite3_column_double(statement, 7),
                                 .confidence = sqlite3_column_double(statement, 8)};
}

static enum infomask_status visit_rows(struct store_connection *own, const char *id, estimate_row_visit *visit,
                                       void *context, struct infomask_error *err)
{
    struct estimate_info info = {0};
    int64_t key = 0;
    bool more = true;
    enum infomask_status status = estimates_find_in(own, id, &key, &info, err);
    sqlite3_stmt *statement = status == INFOMASK_OK ? store_statement(own, SQL_ROWS, err) : NULL;

    estimate_info_fini(&info);
    if (statement == NULL)
        return status != INFOMASK_OK ? status : INFOMASK_INTERNAL;
    (void)sqlite3_bind_int64(statement, 1, key);
    while (status == INFOMASK_OK && more) {
        struct estimate_row row;
        status = store_step(own, statement, &more, err);
        if (status != INFOMASK_OK || !more)
            break;
        estimates_row_of(statement, &row);
        more = visit(context, &row);
    }
    return status;
}

enum infomask_status estimates_rows(struct estimates *estimates, const char *id, estimate_row_visit *visit, void *context,
                                    struct infomask_error *err)
{
    struct store_connection own;
    enum infomask_status status = estimates_connect(estimates, &own, err);

    if (status == INFOMASK_OK)
        status = visit_rows(&own, id, visit, context, err);
    if (own.db != NULL)
        store_disconnect(&own);
    return status;
}

/* ---- Another prior ------------------------------------------------------------------------------------------------- */

/* The logits of the statement's row; half [k] is scratch, because a blob may lie at any address. */
static bool logits_of(sqlite3_stmt *statement, size_t k, uint16_t *half, float *logits)
{
    if ((size_t)sqlite3_column_bytes(statement, 2) != k * sizeof *half)
        return false;
    memcpy(half, sqlite3_column_blob(statement, 2), k * sizeof *half);
    infomask_logits_unpack(half, k, logits);
    return true;
}

/* Sums over the kept logits under state->info.spec, and their points for the limits. */
static enum infomask_status add_kept(struct store_connection *own, int64_t key, struct estimate_state *state,
                                     struct infomask_estimate *sums, struct infomask_point *points, size_t *count,
                                     struct infomask_error *err)
{
    size_t k = state->info.spec.classes, n = 0;
    float *logits = calloc(k, sizeof *logits + sizeof(uint16_t));
    sqlite3_stmt *statement = logits != NULL ? store_statement(own, SQL_KEPT_ALL, err) : NULL;
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    if (logits == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the logits");
    if (statement != NULL)
        (void)sqlite3_bind_int64(statement, 1, key);
    while (status == INFOMASK_OK && n < state->info.kept) {
        struct infomask_sample s;
        bool row;
        status = store_step(own, statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        if (!logits_of(statement, k, (uint16_t *)(void *)(logits + k), logits)) {
            status = error_set(err, INFOMASK_IO, "the kept logits are damaged");
            break;
        }
        status = infomask_estimate_add(sums, logits, (uint32_t)sqlite3_column_int64(statement, 1),
                                       (const char *)sqlite3_column_text(statement, 0), &s, err);
        if ((status = estimates_sound(status, err)) != INFOMASK_OK)
            break;
        points[n++] = (struct infomask_point){s.order, s.log_q, s.label, s.predicted, 0};
    }
    *count = n;
    free(logits);
    return status;
}

static enum infomask_status set_prior(struct estimate_state *state, const double *prior, struct infomask_error *err)
{
    size_t bytes = state->info.spec.classes * sizeof *prior;

    free(state->info.spec.prior);
    state->info.spec.prior = NULL;
    if (prior == NULL)
        return INFOMASK_OK;
    state->info.spec.prior = malloc(bytes);
    if (state->info.spec.prior == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
    memcpy(state->info.spec.prior, prior, bytes);
    return INFOMASK_OK;
}

static enum infomask_status recompute(struct store_connection *own, const char *id, const double *prior,
                                      struct estimate_state *state, struct infomask_error *err)
{
    struct infomask_estimate *sums = NULL;
    struct infomask_point *points = NULL;
    size_t count = 0;
    int64_t key = 0;
    enum infomask_status status = estimates_find_in(own, id, &key, &state->info, err);

    if (status == INFOMASK_OK)
        status = set_prior(state, prior, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_create(&state->info.spec, &sums, err);
    if (status != INFOMASK_OK)
        return status;
    points = calloc((size_t)state->info.kept + 1, sizeof *points);
    status = points == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the samples")
                            : add_kept(own, key, state, sums, points, &count, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(sums, &state->report, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(points, count, state->info.spec.classes, 0.975, &state->limits, err);
    state->info.samples = count;
    state->suspect_threshold = -log((double)(count > 0 ? count : 1));
    state->audit = (struct estimate_audit){.temperature = NAN, .wrong = NAN, .expected = 1};
    infomask_estimate_free(sums);
    free(points);
    return status;
}

enum infomask_status estimates_recompute(struct estimates *estimates, const char *id, const double *prior,
                                         struct estimate_state *state, struct infomask_error *err)
{
    struct store_connection own;
    enum infomask_status status = estimates_connect(estimates, &own, err);

    *state = (struct estimate_state){0};
    if (status == INFOMASK_OK) {
        status = recompute(&own, id, prior, state, err);
        store_disconnect(&own);
    }
    if (status != INFOMASK_OK)
        estimate_state_fini(state);
    return status;
}
