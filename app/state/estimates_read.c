/* What the estimates' store answers: reports from the running sums, and what needs every sample. */
#include "app/state/estimates_store.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

/* ---- Reports ----------------------------------------------------------------------------------------------------- */

void estimate_state_fini(struct estimate_state *state)
{
    for (size_t i = 0; i < state->suspect_count; i++)
        free(state->suspects[i].sample);
    free(state->suspects);
    for (int i = 0; i < ESTIMATE_REMARKS; i++)
        free(state->remarks[i]);
    infomask_report_fini(&state->report);
    estimate_info_fini(&state->info);
    *state = (struct estimate_state){0};
}

static enum infomask_status read_limits(struct store_connection *connection, int64_t key,
                                        struct infomask_limits_of_estimate *limits, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_LIMITS, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    status = store_step(statement, &row, err);
    if (status == INFOMASK_OK && row) {
        limits->samples = (size_t)store_integer(statement, 0);
        limits->confidence = 0.975;
        limits->betting = store_real(statement, 1);
        limits->bernstein = store_real(statement, 2);
        limits->confusion = store_real(statement, 3);
        limits->units = (size_t)store_integer(statement, 4);
        limits->standard_error = NAN; /* not kept */
    }
    store_reset(statement);
    return status;
}

static enum infomask_status count_suspects(struct store_connection *connection, int64_t key,
                                           struct estimate_state *state, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_COUNT_SUSPECTS, err);
    enum infomask_status status;
    bool row;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    store_bind_real(statement, 2, state->suspect_threshold);
    status = store_step(statement, &row, err);
    if (status == INFOMASK_OK && row)
        state->suspects_in_all = (uint64_t)store_integer(statement, 0);
    store_reset(statement);
    return status;
}

static enum infomask_status read_suspects(struct store_connection *connection, int64_t key, size_t most,
                                          const struct audit_curve *curve, struct estimate_state *state,
                                          struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_SUSPECTS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    state->suspects = calloc(most + 1, sizeof *state->suspects);
    if (state->suspects == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
    if (statement != NULL) {
        store_bind_integer(statement, 1, key);
        store_bind_integer(statement, 2, (int64_t)most);
    }
    while (status == INFOMASK_OK) {
        struct estimate_suspect *suspect = &state->suspects[state->suspect_count];
        bool row;
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        suspect->sample = strdup(store_text(statement, 0));
        if (suspect->sample == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
        suspect->label = (uint32_t)store_integer(statement, 1);
        suspect->predicted = (uint32_t)store_integer(statement, 2);
        suspect->pmi = store_real(statement, 3);
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

struct reading {
    const char *id;
    size_t most;
    struct estimate_state *state;
};

static enum infomask_status read_one(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct reading *reading = context;

    estimate_state_fini(reading->state);
    return read_state(connection, reading->id, reading->most, reading->state, err);
}

enum infomask_status estimates_read(struct estimates *estimates, const char *id, size_t max_suspects,
                                    struct estimate_state *state, struct infomask_error *err)
{
    struct reading reading = {id, max_suspects, state};
    enum infomask_status status;

    *state = (struct estimate_state){0};
    status = store_read(estimates->shared->store, estimates->deadline_ms, read_one, &reading, err);
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
    return !atomic_exchange(&estimates->shared->limiting, true);
}

void estimates_release_limits(struct estimates *estimates)
{
    atomic_store(&estimates->shared->limiting, false);
}

/* ---- Limits ------------------------------------------------------------------------------------------------------ */

/* All points of an estimate; malloc'ed. */
static enum infomask_status read_points(struct store_connection *connection, int64_t key, uint64_t samples,
                                        struct infomask_point **out, size_t *count, struct infomask_error *err)
{
    struct store_statement *statement = store_statement(connection, SQL_POINTS, err);
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;
    struct infomask_point *points = NULL;
    size_t bytes, n = 0;

    if (!checked_mul((size_t)samples + 1, sizeof *points, &bytes) || (points = malloc(bytes)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the limit of %llu samples", (unsigned long long)samples);
    if (statement != NULL)
        store_bind_integer(statement, 1, key);
    while (status == INFOMASK_OK && n <= samples) {
        bool row;
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        points[n++] = (struct infomask_point){(uint64_t)store_integer(statement, 0),
                                              store_real(statement, 1),
                                              (uint32_t)store_integer(statement, 2),
                                              (uint32_t)store_integer(statement, 3), 0};
    }
    *out = points;
    *count = n;
    return status;
}

/* One call of estimates_update_limits under way. */
struct limiting {
    const char *id;
    int64_t key;
    struct estimate_info info;
    struct infomask_point *points;
    size_t count;
    struct audit_curve curve;
    struct infomask_limits_of_estimate *limits;
};

static void limiting_fini(struct limiting *l)
{
    free(l->points);
    l->points = NULL;
    estimate_info_fini(&l->info);
    audit_curve_fini(&l->curve);
}

static enum infomask_status read_for_limits(struct store_connection *connection, void *context,
                                            struct infomask_error *err)
{
    struct limiting *l = context;
    enum infomask_status status;

    limiting_fini(l);
    status = estimates_find_in(connection, l->id, &l->key, &l->info, err);
    if (status == INFOMASK_OK)
        status = read_points(connection, l->key, l->info.samples, &l->points, &l->count, err);
    if (status == INFOMASK_OK)
        status = estimate_audit_make(connection, l->key, &l->info, &l->curve, err);
    return status;
}

static enum infomask_status write_limits(struct store_connection *connection, void *context, struct infomask_error *err)
{
    const struct limiting *l = context;
    struct store_statement *statement = store_statement(connection, SQL_SET_LIMITS, err);
    enum infomask_status status;

    if (statement == NULL)
        return INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, l->key);
    store_bind_integer(statement, 2, (int64_t)l->limits->samples);
    store_bind_real(statement, 3, l->limits->betting);
    store_bind_real(statement, 4, l->limits->bernstein);
    store_bind_real(statement, 5, l->limits->confusion);
    store_bind_integer(statement, 6, (int64_t)l->limits->units);
    status = store_run(statement, err);
    return status == INFOMASK_OK ? estimate_audit_write(connection, l->key, &l->curve, err) : status;
}

enum infomask_status estimates_update_limits(struct estimates *estimates, const char *id,
                                             struct infomask_limits_of_estimate *limits, struct infomask_error *err)
{
    struct store *store = estimates->shared->store;
    struct limiting l = {.id = id, .limits = limits};
    enum infomask_status status = store_read(store, estimates->deadline_ms, read_for_limits, &l, err);

    *limits = (struct infomask_limits_of_estimate){0};
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(l.points, l.count, l.info.spec.classes, 0.975, limits, err);
    if (status == INFOMASK_OK)
        status = store_write(store, estimates->deadline_ms, write_limits, &l, err);
    limiting_fini(&l);
    return status;
}

/* ---- Every sample ------------------------------------------------------------------------------------------------ */

void estimates_row_of(struct store_statement *statement, struct estimate_row *row)
{
    size_t size, half_size;
    const void *digest = store_bytes(statement, 9, &size), *half = store_bytes(statement, 11, &half_size);

    *row = (struct estimate_row){.digest = size == ESTIMATE_DIGEST_SIZE ? digest : NULL,
                                 .unit = (uint64_t)store_integer(statement, 10), /* NULL is 0 */
                                 .sample = store_text(statement, 0),
                                 .order = (uint64_t)store_integer(statement, 1),
                                 .label = (uint32_t)store_integer(statement, 2),
                                 .predicted = (uint32_t)store_integer(statement, 3),
                                 .log_q = store_real(statement, 4),
                                 .pmi = store_real(statement, 5),
                                 .information = store_real(statement, 6),
                                 .entropy = store_real(statement, 7),
                                 .confidence = store_real(statement, 8),
                                 .half = half,
                                 .half_size = half_size};
}

struct visiting {
    const char *id;
    estimate_row_visit *visit;
    void *context;
    bool begun; /* rows were handed out: it cannot be done again */
};

static enum infomask_status visit_rows(struct store_connection *connection, void *context, struct infomask_error *err)
{
    struct visiting *v = context;
    struct estimate_info info = {0};
    int64_t key = 0;
    bool more = true;
    enum infomask_status status = estimates_find_in(connection, v->id, &key, &info, err);
    struct store_statement *statement = status == INFOMASK_OK ? store_statement(connection, SQL_ROWS, err) : NULL;

    estimate_info_fini(&info);
    if (v->begun)
        return error_set(err, INFOMASK_IO, "the state's server went away in the middle of the samples");
    if (statement == NULL)
        return status != INFOMASK_OK ? status : INFOMASK_INTERNAL;
    store_bind_integer(statement, 1, key);
    while (status == INFOMASK_OK && more) {
        struct estimate_row row;
        status = store_step(statement, &more, err);
        if (status != INFOMASK_OK || !more)
            break;
        estimates_row_of(statement, &row);
        v->begun = true;
        more = v->visit(v->context, &row);
    }
    return status;
}

enum infomask_status estimates_rows(struct estimates *estimates, const char *id, estimate_row_visit *visit,
                                    void *context, struct infomask_error *err)
{
    struct visiting visiting = {id, visit, context, false};

    return store_read(estimates->shared->store, estimates->deadline_ms, visit_rows, &visiting, err);
}

/* ---- Another prior ----------------------------------------------------------------------------------------------- */

/* The logits of the statement's row; half [k] is scratch, because a blob may lie at any address. */
static bool logits_of(struct store_statement *statement, size_t k, uint16_t *half, float *logits)
{
    size_t size;
    const void *bytes = store_bytes(statement, 2, &size);

    if (size != k * sizeof *half)
        return false;
    memcpy(half, bytes, size);
    infomask_logits_unpack(half, k, logits);
    return true;
}

/* A sample under another prior. */
struct kept {
    char *sample; /* owned */
    uint32_t label, predicted;
    double pmi;
};

struct kept_samples {
    struct infomask_estimate *sums;
    struct infomask_point *points; /* [count] */
    struct kept *rows;             /* [count] */
    size_t count;
};

static void kept_fini(struct kept_samples *kept)
{
    infomask_estimate_free(kept->sums);
    free(kept->points);
    for (size_t i = 0; kept->rows != NULL && i < kept->count; i++)
        free(kept->rows[i].sample);
    free(kept->rows);
}

/* The current row. */
static enum infomask_status add_one(struct store_statement *statement, const float *logits, struct kept_samples *kept,
                                    struct infomask_error *err)
{
    const char *id = store_text(statement, 0);
    uint32_t label = (uint32_t)store_integer(statement, 1);
    struct infomask_sample s;
    enum infomask_status status = infomask_estimate_add(kept->sums, logits, label, id, &s, err);

    if ((status = estimates_sound(status, err)) != INFOMASK_OK)
        return status;
    kept->points[kept->count] = (struct infomask_point){(uint64_t)store_integer(statement, 3), s.log_q, s.label,
                                                        s.predicted, 0};
    kept->rows[kept->count] = (struct kept){strdup(id), s.label, s.predicted, s.pmi};
    return kept->rows[kept->count++].sample != NULL ? INFOMASK_OK
                                                    : error_set(err, INFOMASK_MEMORY, "no memory for the samples");
}

/* Sums over the kept logits under state->info.spec, their points for the limits, and their rows. */
static enum infomask_status add_kept(struct store_connection *own, int64_t key, const struct estimate_info *info,
                                     struct kept_samples *kept, struct infomask_error *err)
{
    size_t k = info->spec.classes;
    float *logits = calloc(k, sizeof *logits + sizeof(uint16_t));
    struct store_statement *statement = logits != NULL ? store_statement(own, SQL_KEPT_ALL, err) : NULL;
    enum infomask_status status = statement != NULL ? INFOMASK_OK : INFOMASK_INTERNAL;

    if (logits == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the logits");
    if (statement != NULL)
        store_bind_integer(statement, 1, key);
    while (status == INFOMASK_OK && kept->count < info->kept) {
        bool row;
        status = store_step(statement, &row, err);
        if (status != INFOMASK_OK || !row)
            break;
        status = logits_of(statement, k, (uint16_t *)(void *)(logits + k), logits)
                     ? add_one(statement, logits, kept, err)
                     : error_set(err, INFOMASK_IO, "the kept logits are damaged");
    }
    if (statement != NULL)
        store_reset(statement);
    free(logits);
    return status;
}

static int by_pmi(const void *left, const void *right)
{
    const struct kept *a = left, *b = right;

    if (a->pmi < b->pmi || a->pmi > b->pmi)
        return a->pmi < b->pmi ? -1 : 1;
    return strcmp(a->sample, b->sample);
}

/* The audit under that prior, and the `most` lowest. */
static enum infomask_status list_kept(struct store_connection *own, int64_t key, struct kept_samples *kept, size_t most,
                                      struct estimate_state *state, struct infomask_error *err)
{
    struct audit_curve curve = {0};
    enum infomask_status status = estimate_audit_make(own, key, &state->info, &curve, err);

    if (status == INFOMASK_OK) {
        estimate_audit_fill(&curve, kept->count, state);
        qsort(kept->rows, kept->count, sizeof *kept->rows, by_pmi);
        state->suspects = calloc(most + 1, sizeof *state->suspects);
        if (state->suspects == NULL)
            status = error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
    }
    for (size_t i = 0; status == INFOMASK_OK && i < kept->count; i++) {
        struct kept *row = &kept->rows[i];
        bool past = row->pmi <= state->suspect_threshold;
        state->suspects_in_all += past;
        if (i >= most)
            continue;
        state->suspects[state->suspect_count++] =
            (struct estimate_suspect){row->sample, row->label, row->predicted, row->pmi,
                                      estimate_audit_expected(&curve, row->pmi), past};
        row->sample = NULL;
    }
    audit_curve_fini(&curve);
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

struct recomputing {
    const char *id;
    const double *prior;
    size_t most; /* suspects */
    struct estimate_state *state;
};

static enum infomask_status recompute_kept(struct store_connection *own, int64_t key, size_t most,
                                           struct estimate_state *state, struct kept_samples *kept,
                                           struct infomask_error *err)
{
    enum infomask_status status = infomask_estimate_create(&state->info.spec, &kept->sums, err);

    if (status != INFOMASK_OK)
        return status;
    kept->points = calloc((size_t)state->info.kept + 1, sizeof *kept->points);
    kept->rows = calloc((size_t)state->info.kept + 1, sizeof *kept->rows);
    status = kept->points == NULL || kept->rows == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the samples")
                                                        : add_kept(own, key, &state->info, kept, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(kept->sums, &state->report, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(kept->points, kept->count, state->info.spec.classes, 0.975, &state->limits,
                                          err);
    state->info.samples = kept->count;
    return status == INFOMASK_OK ? list_kept(own, key, kept, most, state, err) : status;
}

static enum infomask_status recompute(struct store_connection *own, void *context, struct infomask_error *err)
{
    const struct recomputing *r = context;
    struct kept_samples kept = {0};
    int64_t key = 0;
    enum infomask_status status;

    estimate_state_fini(r->state);
    status = estimates_find_in(own, r->id, &key, &r->state->info, err);
    if (status == INFOMASK_OK)
        status = set_prior(r->state, r->prior, err);
    if (status == INFOMASK_OK)
        status = recompute_kept(own, key, r->most, r->state, &kept, err);
    kept_fini(&kept);
    return status;
}

enum infomask_status estimates_recompute(struct estimates *estimates, const char *id, const double *prior,
                                         size_t max_suspects, struct estimate_state *state, struct infomask_error *err)
{
    struct recomputing recomputing = {id, prior, max_suspects, state};
    enum infomask_status status;

    *state = (struct estimate_state){0};
    status = store_read(estimates->shared->store, estimates->deadline_ms, recompute, &recomputing, err);
    if (status != INFOMASK_OK)
        estimate_state_fini(state);
    return status;
}
