#include "app/view/views_estimates.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A number that may not exist, in the units asked for. */
static void put(struct json_writer *writer, const char *key, double nats, double factor)
{
    json_put_double_or_null(writer, key, nats * factor);
}

static void put_model(struct json_writer *writer, const struct estimate_info *info)
{
    json_object_open(writer, "model");
    json_put_string(writer, "name", info->model);
    json_put_string(writer, "version", info->version);
    json_put_string(writer, "sha256", info->sha256);
    json_object_close(writer);
}

/* ---- Warnings ---------------------------------------------------------------------------------------------------- */

struct speaker {
    view_warning *say;
    void *context;
    const struct estimate_state *state;
    const char *units;
    double factor;
};

static void say(const struct speaker *speaker, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct speaker *speaker, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    speaker->say(speaker->context, text);
}

/* What the estimate and its limit say of the data. */
static void warn_of_value(const struct speaker *s)
{
    const struct infomask_report *r = &s->state->report;
    const struct infomask_limits_of_estimate *l = &s->state->limits;

    if (r->classes_seen == 1)
        say(s, "all samples have the same label: there is nothing to be informed about");
    if (r->samples < 30)
        say(s, "%llu samples are few: the standard error and lower_limit_t are rough", (unsigned long long)r->samples);
    if (r->estimate < 0)
        say(s, "the estimate is negative: on these samples the model is worse than its prior alone");
    else if (l->samples > 0 && l->betting <= 0 && r->classes_seen > 1)
        say(s, "the lower limit is not above 0: these samples do not show that the inputs carry the label");
    if (r->fraction > 0.98 && r->samples >= 30)
        say(s, "the estimate is nearly the whole label entropy; on samples that the model was trained on it means "
               "nothing");
    if (l->samples > 0 && l->samples < r->samples)
        say(s, "the lower limit is of %zu of the %llu samples; a newer one is being computed", l->samples,
            (unsigned long long)r->samples);
    else if (l->samples == 0)
        say(s, "the lower limit is not computed yet");
}

static void warn_of_calibration(const struct speaker *s)
{
    const struct infomask_report *r = &s->state->report;
    double gain = r->calibrated_estimate - r->estimate;

    if (r->samples >= 30 && r->temperature > 1 && gain > 2 * r->standard_error / sqrt((double)r->samples) &&
        gain > 0.01)
        say(s, "the model is over-confident: with temperature %.3g the estimate is %.4g %s", r->temperature,
            r->calibrated_estimate * s->factor, s->units);
    if (r->temperature_at_edge && r->temperature > 1)
        say(s, "no temperature up to 8 makes up for the model's over-confidence on these samples");
    /* the G-test is an approximation that needs some samples a class */
    if (r->samples >= 5 * r->classes && r->prior_p_value < 1e-6)
        say(s, "the labels' frequencies are not those of the prior: `stratified` is the estimate for the prior, and "
               "prior=... gives that for another one");
}

static void warn_of_classes(const struct speaker *s)
{
    const struct infomask_report *r = &s->state->report;
    size_t few = 0, least = 0;
    char number[24];

    for (size_t y = 0; y < r->classes; y++) {
        if (r->by_class[y].samples == 0 || r->by_class[y].samples >= 5)
            continue;
        if (few++ == 0 || r->by_class[y].samples < r->by_class[least].samples)
            least = y;
    }
    if (few == 0)
        return;
    say(s, "the label '%.80s' has %llu sample%s", estimate_label(&s->state->info, least, number),
        (unsigned long long)r->by_class[least].samples, r->by_class[least].samples == 1 ? "" : "s");
    if (few > 1)
        say(s, "%zu labels have fewer than 5 samples", few);
}

static void warn_of_suspects(const struct speaker *s)
{
    uint64_t found = s->state->suspects_in_all;

    if (s->state->report.samples >= 30 && found >= 5)
        say(s, "%llu%s samples lie past the cut, where about %.2g right labels are expected: look at the labels",
            (unsigned long long)found, found >= 10000 ? " or more" : "", s->state->audit.expected);
    if (s->state->info.duplicates > 0)
        say(s,
            "%llu samples have the bytes of another one: they tell nothing new, and the limits count them as if they "
            "did",
            (unsigned long long)s->state->info.duplicates);
}

void view_estimate_warnings(const struct estimate_state *state, enum view_units units, view_warning *say_it,
                            void *context)
{
    struct speaker speaker = {say_it, context, state, view_units_name(units), view_units_factor(units)};

    if (state->report.samples == 0) {
        say(&speaker, "there are no samples yet");
        return;
    }
    warn_of_value(&speaker);
    warn_of_calibration(&speaker);
    warn_of_classes(&speaker);
    warn_of_suspects(&speaker);
    for (int i = 0; i < ESTIMATE_REMARKS; i++)
        if (state->remarks[i] != NULL)
            say(&speaker, "%s", state->remarks[i]);
}

static void put_warning(void *context, const char *sentence)
{
    json_put_string(context, NULL, sentence);
}

/* ---- The estimate ------------------------------------------------------------------------------------------------ */

static void put_information(struct json_writer *writer, const struct estimate_state *state, double factor)
{
    const struct infomask_report *r = &state->report;
    const struct infomask_limits_of_estimate *l = &state->limits;
    bool known = l->samples > 0;

    json_object_open(writer, "mutual_information");
    put(writer, "estimate", r->estimate, factor);
    put(writer, "standard_error", r->standard_error, factor);
    put(writer, "lower_limit", known ? l->betting : NAN, factor);
    json_put_double(writer, "confidence", 0.975);
    json_put_string(writer, "method", "betting");
    json_put_uint(writer, "limit_samples", l->samples);
    json_put_uint(writer, "units", l->units);
    put(writer, "lower_limit_t", r->lower_limit_t, factor);
    put(writer, "lower_limit_bernstein", known ? l->bernstein : NAN, factor);
    json_put_double_or_null(writer, "fraction_of_label_entropy", r->fraction);
    put(writer, "fano", r->fano, factor);
    put(writer, "confusion", known ? l->confusion : NAN, factor);
    put(writer, "stratified", r->stratified, factor);
    put(writer, "stratified_standard_error", r->stratified_error, factor);
    json_object_close(writer);
}

static void put_reliability(struct json_writer *writer, const struct infomask_report *r)
{
    json_array_open(writer, "reliability");
    for (size_t i = 0; i < sizeof r->bin_samples / sizeof *r->bin_samples; i++) {
        if (r->bin_samples[i] == 0)
            continue;
        json_object_open(writer, NULL);
        json_put_uint(writer, "samples", r->bin_samples[i]);
        json_put_double(writer, "confidence", r->bin_confidence[i]);
        json_put_double(writer, "accuracy", r->bin_accuracy[i]);
        json_object_close(writer);
    }
    json_array_close(writer);
}

static void put_calibration(struct json_writer *writer, const struct infomask_report *r, double factor)
{
    put(writer, "plug_in", r->plug_in, factor);
    put(writer, "overconfidence", r->overconfidence, factor);
    put(writer, "mean_entropy", r->mean_entropy, factor);
    json_object_open(writer, "calibrated");
    json_put_double_or_null(writer, "temperature", r->temperature);
    json_put_bool(writer, "at_edge", r->temperature_at_edge);
    put(writer, "estimate", r->calibrated_estimate, factor);
    json_object_close(writer);
    json_object_open(writer, "calibration");
    json_put_double_or_null(writer, "ece", r->ece);
    put(writer, "log_loss", r->log_loss, factor);
    json_put_double_or_null(writer, "brier", r->brier);
    put_reliability(writer, r);
    json_object_close(writer);
}

static void put_classes(struct json_writer *writer, const struct estimate_state *state, double factor)
{
    char number[24];

    json_array_open(writer, "classes");
    for (size_t y = 0; y < state->report.classes; y++) {
        const struct infomask_class_report *row = &state->report.by_class[y];
        if (row->samples == 0)
            continue;
        json_object_open(writer, NULL);
        json_put_uint(writer, "index", y);
        json_put_string(writer, "label", estimate_label(&state->info, y, number));
        json_put_uint(writer, "samples", row->samples);
        put(writer, "mean_pmi", row->mean_pmi, factor);
        put(writer, "information", row->information, factor);
        json_put_double(writer, "accuracy", row->accuracy);
        json_object_close(writer);
    }
    json_array_close(writer);
}

/* How far its PMI lies under the mean of the other samples of its class; NAN where there are none. */
static double below_class(const struct estimate_state *state, const struct estimate_suspect *suspect)
{
    const struct infomask_class_report *row;
    double others;

    if (suspect->label >= state->report.classes)
        return NAN;
    row = &state->report.by_class[suspect->label];
    if (row->samples < 2)
        return NAN;
    others = ((double)row->samples * row->mean_pmi - suspect->pmi) / (double)(row->samples - 1);
    return others - suspect->pmi;
}

static void put_suspects(struct json_writer *writer, const struct estimate_state *state, double factor)
{
    bool any = state->info.samples > 0;
    double n = (double)state->info.samples;
    char number[24];

    json_array_open(writer, "suspects");
    for (size_t i = 0; i < state->suspect_count; i++) {
        const struct estimate_suspect *suspect = &state->suspects[i];
        json_object_open(writer, NULL);
        json_put_string(writer, "sample", suspect->sample);
        json_put_string(writer, "label", estimate_label(&state->info, suspect->label, number));
        put(writer, "pmi", suspect->pmi, factor);
        json_put_string(writer, "predicted", estimate_label(&state->info, suspect->predicted, number));
        json_put_double_or_null(writer, "expected", suspect->expected);
        json_put_bool(writer, "past", suspect->past);
        put(writer, "below_class", below_class(state, suspect), factor);
        json_object_close(writer);
    }
    json_array_close(writer);
    json_put_uint(writer, "suspects_in_all", state->suspects_in_all);
    put(writer, "suspect_threshold", any ? -log(n) : NAN, factor);
    json_put_double_or_null(writer, "expected_suspects", any ? 1 : NAN);
    json_object_open(writer, "audit");
    json_put_uint(writer, "samples", state->audit.samples);
    json_put_double_or_null(writer, "temperature", any ? state->audit.temperature : NAN);
    json_put_double_or_null(writer, "estimated_wrong", any ? state->audit.wrong : NAN);
    put(writer, "cut", any ? state->suspect_threshold : NAN, factor);
    json_put_double_or_null(writer, "expected", any ? state->audit.expected : NAN);
    json_object_close(writer);
}

void view_estimate_members(struct json_writer *writer, const struct estimate_state *state, enum view_units units)
{
    double factor = view_units_factor(units);

    json_put_string(writer, "id", state->info.id);
    json_put_string(writer, "name", state->info.name[0] != '\0' ? state->info.name : NULL);
    put_model(writer, &state->info);
    json_put_string(writer, "units", view_units_name(units));
    json_put_string(writer, "prior", state->info.prior);
    json_put_uint(writer, "samples", state->info.samples);
    json_put_uint(writer, "logits_kept", state->info.kept);
    json_put_uint(writer, "duplicates", state->info.duplicates);
    json_put_double_or_null(writer, "accuracy", state->report.accuracy);
    put(writer, "label_entropy", state->report.label_entropy, factor);
    put_information(writer, state, factor);
    put_calibration(writer, &state->report, factor);
    put_classes(writer, state, factor);
    put_suspects(writer, state, factor);
    json_array_open(writer, "warnings");
    view_estimate_warnings(state, units, put_warning, writer);
    json_array_close(writer);
}

void view_estimate(struct json_writer *writer, const char *key, const struct estimate_state *state,
                   enum view_units units, const char *request_id)
{
    json_object_open(writer, key);
    if (request_id != NULL)
        json_put_string(writer, "request_id", request_id);
    view_estimate_members(writer, state, units);
    json_object_close(writer);
}

/* ---- Rows and comparisons ---------------------------------------------------------------------------------------- */

void view_estimate_row(struct json_writer *writer, const char *key, const struct estimate_info *info)
{
    char text[32] = "";
    time_t created = (time_t)info->created;
    struct tm utc;

    if (gmtime_r(&created, &utc) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
    json_object_open(writer, key);
    json_put_string(writer, "id", info->id);
    json_put_string(writer, "name", info->name[0] != '\0' ? info->name : NULL);
    put_model(writer, info);
    json_put_string(writer, "prior", info->prior);
    json_put_uint(writer, "samples", info->samples);
    json_put_string(writer, "created", text);
    json_object_close(writer);
}

static void put_conditional(struct json_writer *writer, const char *key, const struct infomask_conditional *c,
                            double factor)
{
    json_object_open(writer, key);
    json_put_uint(writer, "samples", c->samples);
    json_put_uint(writer, "units", c->units);
    put(writer, "alone", c->alone, factor);
    put(writer, "together", c->together, factor);
    put(writer, "estimate", c->estimate, factor);
    put(writer, "standard_error", c->standard_error, factor);
    put(writer, "lower_limit", c->lower_limit, factor);
    json_put_double(writer, "confidence", c->confidence);
    json_object_close(writer);
}

void view_comparison(struct json_writer *writer, const char *key, const struct view_pair *pair, enum view_units units)
{
    const struct infomask_comparison *c = &pair->comparison;
    double factor = view_units_factor(units);

    json_object_open(writer, key);
    json_put_string(writer, "units", view_units_name(units));
    json_put_uint(writer, "samples", c->samples);
    put(writer, "difference", c->difference, factor);
    put(writer, "standard_error", c->standard_error, factor);
    json_array_open(writer, "interval");
    put(writer, NULL, c->lower, factor);
    put(writer, NULL, c->upper, factor);
    json_array_close(writer);
    json_put_double(writer, "confidence", 0.95);
    json_put_double_or_null(writer, "p_value", c->p_value);
    json_put_string(writer, "verdict",
                    !(c->samples >= 2) ? "too few samples in common"
                    : c->lower > 0     ? "the first adds information"
                    : c->upper < 0     ? "the second adds information"
                                       : "no difference is shown");
    if (pair->why_not != NULL) {
        json_put_null(writer, "conditional_information");
        json_put_string(writer, "why_not", pair->why_not);
    } else {
        json_object_open(writer, "conditional_information");
        put_conditional(writer, "second_given_first", &pair->second, factor);
        put_conditional(writer, "first_given_second", &pair->first, factor);
        json_object_close(writer);
    }
    json_object_close(writer);
}
