#include "app/state/estimates_held.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/state/estimates_store.h"

#define MOST_COUNTED 10000 /* of what lies past the cut, as in a store */

/* A row, to be put in order. */
struct ranked {
    union {
        int64_t order; /* the hash as a store has it, with a sign */
        double pmi;
    } by;
    uint32_t row;
};

struct estimates_held {
    size_t count;
    struct infomask_sample *samples; /* [count] */
    struct ranked *ranked;           /* [count] by the ids' hashes */
    uint64_t *units;                 /* [count], 0: by itself */
};

void estimates_held_free(struct estimates_held *held)
{
    if (held == NULL)
        return;
    free(held->samples);
    free(held->ranked);
    free(held->units);
    free(held);
}

static int by_order(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->by.order != b->by.order)
        return a->by.order < b->by.order ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

static int by_pmi(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;

    if (a->by.pmi < b->by.pmi || a->by.pmi > b->by.pmi)
        return a->by.pmi < b->by.pmi ? -1 : 1;
    return (a->row > b->row) - (a->row < b->row);
}

/* ---- The parts of a state ---------------------------------------------------------------------------------------- */

static enum infomask_status sum_up(struct estimates_held *held, const struct estimates_held_of *rows,
                                   struct estimate_state *state, struct infomask_error *err)
{
    size_t k = state->info.spec.classes;
    struct infomask_estimate *sums = NULL;
    enum infomask_status status = infomask_estimate_create(&state->info.spec, &sums, err);
    char id[24];

    for (size_t i = 0; status == INFOMASK_OK && i < rows->count; i++) {
        (void)snprintf(id, sizeof id, "%zu", i);
        status = infomask_estimate_add(sums, rows->logits + i * k, rows->labels[i], id, &held->samples[i], err);
        held->ranked[i] = (struct ranked){{.order = (int64_t)held->samples[i].order}, (uint32_t)i};
        held->units[i] = rows->units != NULL ? (uint64_t)rows->units[i] + 1 : 0;
    }
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(sums, &state->report, err);
    infomask_estimate_free(sums);
    qsort(held->ranked, held->count, sizeof *held->ranked, by_order);
    return status;
}

static enum infomask_status limit(const struct estimates_held *held, struct estimate_state *state,
                                  struct infomask_error *err)
{
    struct infomask_point *points = malloc(held->count * sizeof *points);
    enum infomask_status status;

    if (points == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the limit of %zu samples", held->count);
    for (size_t i = 0; i < held->count; i++) {
        const struct infomask_sample *s = &held->samples[i];
        points[i] = (struct infomask_point){held->units[i] != 0 ? held->units[i] : s->order, s->log_q, s->label,
                                            s->predicted, 0};
    }
    status = infomask_estimate_limits(points, held->count, state->info.spec.classes, 0.975, &state->limits, err);
    free(points);
    return status;
}

/* As a store's: of the rows whose logits it would keep, the first by their hashes. */
static enum infomask_status audit(const struct estimates_held *held, const struct estimates_held_of *rows,
                                  const struct estimate_info *info, struct audit_curve *curve,
                                  struct infomask_error *err)
{
    size_t k = info->spec.classes, most = estimate_audit_most(info);
    struct audited a;
    enum infomask_status status;

    if (most == 0)
        return INFOMASK_OK;
    status = audited_init(&a, most, k, err);
    for (size_t i = 0; status == INFOMASK_OK && i < held->count && a.n < most; i++) {
        size_t row = held->ranked[i].row;
        if (row >= info->kept)
            continue;
        infomask_logits_pack(rows->logits + row * k, k, a.half);
        audited_add(&a, a.half, held->samples[row].label, held->samples[row].order);
    }
    if (status == INFOMASK_OK)
        status = estimate_audit_of(&a, info, curve, err);
    audited_fini(&a);
    return status;
}

static enum infomask_status add_suspect(const struct estimates_held *held, size_t row, const struct audit_curve *curve,
                                        struct estimate_state *state, struct infomask_error *err)
{
    const struct infomask_sample *s = &held->samples[row];
    char *id;

    if (asprintf(&id, "%zu", row) < 0)
        return error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
    state->suspects[state->suspect_count++] =
        (struct estimate_suspect){id, s->label, s->predicted, s->pmi, estimate_audit_expected(curve, s->pmi),
                                  s->pmi <= state->suspect_threshold};
    return INFOMASK_OK;
}

static enum infomask_status list_suspects(const struct estimates_held *held, size_t most,
                                          const struct audit_curve *curve, struct estimate_state *state,
                                          struct infomask_error *err)
{
    struct ranked *ranked = malloc(held->count * sizeof *ranked);
    enum infomask_status status = INFOMASK_OK;

    state->suspects = calloc(most + 1, sizeof *state->suspects);
    if (ranked == NULL || state->suspects == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the suspects");
    for (size_t i = 0; status == INFOMASK_OK && i < held->count; i++) {
        ranked[i] = (struct ranked){{.pmi = held->samples[i].pmi}, (uint32_t)i};
        if (held->samples[i].pmi <= state->suspect_threshold && state->suspects_in_all < MOST_COUNTED)
            state->suspects_in_all++;
    }
    if (status == INFOMASK_OK)
        qsort(ranked, held->count, sizeof *ranked, by_pmi);
    for (size_t i = 0; status == INFOMASK_OK && i < held->count && i < most; i++)
        status = add_suspect(held, ranked[i].row, curve, state, err);
    free(ranked);
    return status;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status fill(struct estimates_held *held, const struct estimates_held_of *rows,
                                 size_t max_suspects, struct estimate_state *state, struct infomask_error *err)
{
    uint64_t room = rows->logit_bytes / (state->info.spec.classes * sizeof(uint16_t));
    struct audit_curve curve = {0};
    enum infomask_status status = sum_up(held, rows, state, err);

    state->info.samples = rows->count;
    state->info.kept = room < rows->count ? room : rows->count;
    if (status == INFOMASK_OK)
        status = limit(held, state, err);
    if (status == INFOMASK_OK)
        status = audit(held, rows, &state->info, &curve, err);
    if (status == INFOMASK_OK) {
        estimate_audit_fill(&curve, rows->count, state);
        status = list_suspects(held, max_suspects, &curve, state, err);
    }
    audit_curve_fini(&curve);
    return status;
}

enum infomask_status estimates_held_create(struct estimate_info *info, const struct estimates_held_of *rows,
                                           size_t max_suspects, struct estimates_held **out,
                                           struct estimate_state *state, struct infomask_error *err)
{
    struct estimates_held *held = calloc(1, sizeof *held);
    enum infomask_status status = estimate_info_begin(info, err);

    if (status == INFOMASK_OK)
        status = estimate_info_split(info, err);
    *state = (struct estimate_state){.info = *info};
    *info = (struct estimate_info){0};
    if (held != NULL) {
        held->count = rows->count;
        held->samples = malloc(rows->count * sizeof *held->samples);
        held->ranked = malloc(rows->count * sizeof *held->ranked);
        held->units = malloc(rows->count * sizeof *held->units);
    }
    if (status == INFOMASK_OK &&
        (held == NULL || held->samples == NULL || held->ranked == NULL || held->units == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu samples", rows->count);
    if (status == INFOMASK_OK)
        status = fill(held, rows, max_suspects, state, err);
    if (status == INFOMASK_OK) {
        *out = held;
        return status;
    }
    estimates_held_free(held);
    estimate_state_fini(state);
    return status;
}

const struct infomask_sample *estimates_held_samples(const struct estimates_held *held)
{
    return held->samples;
}

void estimates_held_rows(const struct estimates_held *held, estimate_row_visit *visit, void *context)
{
    bool more = true;
    char id[24];

    for (size_t i = 0; more && i < held->count; i++) {
        uint32_t row = held->ranked[i].row;
        const struct infomask_sample *s = &held->samples[row];
        const struct estimate_row out = {.unit = held->units[row], .sample = id, .order = s->order, .label = s->label,
                                         .predicted = s->predicted, .log_q = s->log_q, .pmi = s->pmi,
                                         .information = s->information, .entropy = s->entropy,
                                         .confidence = s->confidence};
        (void)snprintf(id, sizeof id, "%u", row);
        more = visit(context, &out);
    }
}
