/* What held-out logits say of a model, as an estimate that needs no store. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/train/train.h"

static enum infomask_status copy_prior(const double *from, size_t classes, double **to, struct infomask_error *err)
{
    *to = malloc(classes * sizeof **to);
    if (*to == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < classes; i++)
        (*to)[i] = from != NULL ? from[i] : 1 / (double)classes;
    return INFOMASK_OK;
}

/* The names in one block, as an estimate's info owns them. */
static enum infomask_status copy_names(struct estimate_info *info, const struct class_names *names,
                                       struct infomask_error *err)
{
    size_t bytes = 0, at = 0;

    for (size_t i = 0; i < names->count; i++)
        bytes += strlen(names->names[i]) + 1;
    info->labels = malloc(bytes + 1);
    info->label = malloc(names->count * sizeof *info->label);
    if (info->labels == NULL || info->label == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < names->count; i++) {
        size_t length = strlen(names->names[i]) + 1;
        memcpy(info->labels + at, names->names[i], length);
        info->label[i] = info->labels + at;
        at += length;
    }
    return INFOMASK_OK;
}

static int by_pmi(const void *a, const void *b)
{
    const struct estimate_suspect *x = a, *y = b;

    if (x->pmi != y->pmi)
        return x->pmi < y->pmi ? -1 : 1;
    return strcmp(x->sample, y->sample);
}

/* Takes every sample's place in the report; those whose label is less likely than the threshold are suspects. */
static enum infomask_status add_samples(struct estimate_state *state, const struct train_measured *m,
                                        struct infomask_estimate *sums, struct infomask_point *points,
                                        struct infomask_error *err)
{
    const struct train_photos *photos = m->photos;
    size_t n = photos->list.count, k = state->info.spec.classes;
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; i < n && status == INFOMASK_OK; i++) {
        const char *id = photos->list.photos[i].sample;
        struct infomask_sample s;
        status = infomask_estimate_add(sums, m->logits + i * k, photos->labels[i], id, &s, err);
        if (status != INFOMASK_OK)
            break;
        points[i] = (struct infomask_point){m->groups != NULL ? m->groups[i] : s.order, s.log_q, s.label, s.predicted,
                                            0};
        if (s.pmi <= state->suspect_threshold) {
            struct estimate_suspect *suspect = &state->suspects[state->suspect_count];
            *suspect = (struct estimate_suspect){strdup(id), s.label, s.predicted, s.pmi, NAN, true};
            if (suspect->sample == NULL)
                return error_set(err, INFOMASK_MEMORY, "out of memory");
            state->suspect_count++;
        }
    }
    return status;
}

static void cut_suspects(struct estimate_state *state, size_t most)
{
    state->suspects_in_all = state->suspect_count;
    qsort(state->suspects, state->suspect_count, sizeof *state->suspects, by_pmi);
    while (state->suspect_count > most)
        free(state->suspects[--state->suspect_count].sample);
}

static enum infomask_status measure(struct estimate_state *state, const struct train_measured *m,
                                    struct infomask_error *err)
{
    size_t n = m->photos->list.count; /* at least 1 */
    struct infomask_estimate *sums = NULL;
    struct infomask_point *points = calloc(n + 1, sizeof *points);
    enum infomask_status status = infomask_estimate_create(&state->info.spec, &sums, err);

    state->suspects = calloc(n + 1, sizeof *state->suspects);
    if (status == INFOMASK_OK && (points == NULL || state->suspects == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the report");
    if (status == INFOMASK_OK)
        status = add_samples(state, m, sums, points, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(sums, &state->report, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(points, n, state->info.spec.classes, 0.975, &state->limits, err);
    if (status == INFOMASK_OK && state->limits.units < state->limits.samples) {
        state->report.standard_error = state->limits.standard_error;
        state->report.lower_limit_t = NAN;
    }
    infomask_estimate_free(sums);
    free(points);
    return status;
}

enum infomask_status train_measure(struct estimate_state *state, const struct train_measured *m, size_t suspects,
                                   struct infomask_error *err)
{
    struct infomask_estimate_spec *spec = &state->info.spec;
    size_t n = m->photos->list.count;
    enum infomask_status status;

    *state = (struct estimate_state){.suspect_threshold = -log((double)n),
                                      .audit = {.temperature = NAN, .wrong = NAN, .expected = 1}};
    spec->classes = m->names->count;
    state->info.samples = n;
    (void)snprintf(state->info.prior, sizeof state->info.prior, "train");
    status = copy_prior(m->prior, spec->classes, &spec->prior, err);
    if (status == INFOMASK_OK)
        status = copy_prior(m->logit_prior, spec->classes, &spec->logit_prior, err);
    if (status == INFOMASK_OK)
        status = copy_names(&state->info, m->names, err);
    if (status == INFOMASK_OK)
        status = measure(state, m, err);
    if (status == INFOMASK_OK)
        cut_suspects(state, suspects);
    else
        estimate_state_fini(state);
    return status;
}

void train_put_summary(struct json_writer *w, const char *key, const struct estimate_state *state)
{
    const struct infomask_report *r = &state->report;

    json_object_open(w, key);
    json_put_uint(w, "samples", r->samples);
    json_put_double_or_null(w, "information", r->estimate);
    json_put_double_or_null(w, "standard_error", r->standard_error);
    json_put_double_or_null(w, "lower_limit", state->limits.betting);
    json_put_double_or_null(w, "label_entropy", r->label_entropy);
    json_put_double_or_null(w, "accuracy", r->accuracy);
    json_put_double_or_null(w, "ece", r->ece);
    json_put_double_or_null(w, "log_loss", r->log_loss);
    json_object_close(w);
}

int train_print_state(const struct cli *cli, const struct estimate_state *state, enum view_units units)
{
    const struct estimate_options options = {0};
    struct estimate_run run = {.cli = cli, .options = &options, .units = units, .state = *state, .truth = NAN,
                               .exact = {NAN, NAN, NAN}};

    return estimate_print(&run); /* borrows the state */
}
