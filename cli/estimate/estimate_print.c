/* infomask estimate: what was found, as JSON or as a page of text. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/work.h"

#define IN_THE_END 2.13 /* standard errors of the limit below the estimate, of large data sets */

static void print_warning(void *context, const char *sentence)
{
    (void)context;
    (void)printf("note: %s\n", sentence);
}

static void print_value(const struct estimate_run *run, const char *name, double nats)
{
    if (isfinite(nats))
        (void)printf("%-22s %.6g %s\n", name, nats * view_units_factor(run->units), view_units_name(run->units));
}

static void print_suspects(const struct estimate_run *run)
{
    const struct estimate_state *state = &run->state;
    char label[24], predicted[24];

    if (state->suspect_count == 0)
        return;
    (void)printf(
        "lowest, %llu past the cut, where %.2g right labels are expected; right labels expected as low as each:\n",
        (unsigned long long)state->suspects_in_all, state->audit.expected);
    for (size_t i = 0; i < state->suspect_count && i < 10; i++)
        (void)printf("%c %9.3f %8.2g  %s: %s, taken for %s\n", state->suspects[i].past ? '*' : ' ',
                     state->suspects[i].pmi * view_units_factor(run->units), state->suspects[i].expected,
                     state->suspects[i].sample, estimate_label(&state->info, state->suspects[i].label, label),
                     estimate_label(&state->info, state->suspects[i].predicted, predicted));
}

static void print_table(const struct estimate_run *run)
{
    if (run->table.folds == 0)
        return;
    (void)printf("%-22s %zu columns, %d folds; held out, each part alone and its weight in the pool:\n", "table",
                 run->columns, run->table.folds);
    if (run->table.copies > 0)
        (void)printf("  %zu rows are copies of another one, whose fold they share; the limit is over different rows\n",
                     run->table.copies);
    if (run->missing > 0)
        (void)printf("  %zu cells have no value\n", run->missing);
    for (int m = 0; m < run->table.part_count; m++) {
        const struct infomask_table_part *part = &run->table.parts[m];
        (void)printf("  %-20s %.6g %s, weight %.2f\n", part->name, part->information * view_units_factor(run->units),
                     view_units_name(run->units), part->weight);
    }
}

static const char *column_name(const struct estimate_run *run, size_t column, char text[24])
{
    if (run->column_names != NULL)
        return run->column_names[column];
    (void)snprintf(text, 24, "%zu", column);
    return text;
}

/* The columns that were looked at, by what is lost without them; into list [columns]. */
static size_t order_columns(const struct estimate_run *run, size_t *list)
{
    const struct infomask_table_column *rows = run->table.columns;
    size_t count = 0;

    for (size_t j = 0; j < run->columns; j++) {
        size_t at = count;
        if (isnan(rows[j].lost))
            continue;
        for (count++; at > 0 && rows[list[at - 1]].lost < rows[j].lost; at--)
            list[at] = list[at - 1];
        list[at] = j;
    }
    return count;
}

static void print_columns(const struct estimate_run *run)
{
    size_t *list = run->table.columns != NULL ? malloc((run->columns + 1) * sizeof *list) : NULL, count;
    double factor = view_units_factor(run->units);
    char number[24];

    if (list == NULL)
        return;
    count = order_columns(run, list);
    (void)printf("%-22s alone (lower limit), and lost without it (95 %% interval), %s\n", "columns",
                 view_units_name(run->units));
    for (size_t i = 0; i < count; i++) {
        const struct infomask_table_column *c = &run->table.columns[list[i]];
        (void)printf("  %-20.20s %.4f (%.4f)   %.4f (%.4f to %.4f)\n", column_name(run, list[i], number),
                     c->alone * factor, c->alone_limit * factor, c->lost * factor, c->lost_low * factor,
                     c->lost_high * factor);
    }
    if (count < run->columns)
        (void)printf("  %zu more: constant, or not among the --columns most telling alone\n", run->columns - count);
    free(list);
}

static void print_subgroups(const struct estimate_run *run)
{
    double factor = view_units_factor(run->units);

    if (run->subgroup_count > 0)
        (void)printf("%-22s samples, information (lower limit), label entropy, %s\n", "within",
                     view_units_name(run->units));
    for (size_t i = 0; i < run->subgroup_count; i++) {
        const struct estimate_subgroup *s = &run->subgroups[i];
        (void)printf("  %-20.20s %6zu   %.4f (%.4f)   %.4f\n", s->name[0] != '\0' ? s->name : "(none)", s->samples,
                     s->estimate * factor, s->lower_limit * factor, s->label_entropy * factor);
    }
}

static void put_subgroups(struct json_writer *writer, const struct estimate_run *run)
{
    double factor = view_units_factor(run->units);

    if (run->options->by == NULL)
        return;
    json_array_open(writer, "subgroups");
    for (size_t i = 0; i < run->subgroup_count; i++) {
        const struct estimate_subgroup *s = &run->subgroups[i];
        json_object_open(writer, NULL);
        json_put_string(writer, "name", s->name);
        json_put_uint(writer, "samples", s->samples);
        json_put_double_or_null(writer, "label_entropy", s->label_entropy * factor);
        json_put_double_or_null(writer, "estimate", s->estimate * factor);
        json_put_double_or_null(writer, "standard_error", s->standard_error * factor);
        json_put_double_or_null(writer, "lower_limit", s->lower_limit * factor);
        json_object_close(writer);
    }
    json_array_close(writer);
}

/* So many samples in all would bring the limit within --width of the estimate; NAN without a limit.  In the end the
 * distance is IN_THE_END standard errors (docs/information.md, "The limit"), which fall with the root of their number
 * (or of the groups', as long as those stay of a size); what it is beyond that falls with the number itself. */
static double samples_for_width(const struct estimate_run *run)
{
    const struct infomask_report *r = &run->state.report;
    double factor = view_units_factor(run->units), n = (double)r->samples, width = run->options->width;
    double distance = (r->estimate - run->state.limits.betting) * factor, rest, errors;

    if (width <= 0 || !isfinite(distance))
        return NAN;
    errors = IN_THE_END * r->standard_error * factor;
    rest = distance - errors;
    if (!(rest > 0)) /* also where there is no standard error */
        return ceil(n * pow(fmax(distance, 1e-12) / width, 2));
    return ceil(n * pow((errors + sqrt(errors * errors + 4 * rest * width)) / (2 * width), 2));
}

static void print_text(const struct estimate_run *run)
{
    const struct estimate_state *state = &run->state;
    const struct infomask_report *r = &state->report;

    (void)printf("%-22s %llu, accuracy %.4g\n", "samples", (unsigned long long)r->samples, r->accuracy);
    print_value(run, "mutual information", r->estimate);
    print_value(run, "  standard error", r->standard_error);
    print_value(run, "  lower limit, 97.5 %", state->limits.betting);
    if (run->grouped)
        (void)printf("%-22s over %zu groups\n", "", run->state.limits.units);
    if (isfinite(samples_for_width(run)))
        (void)printf("%-22s about %.3g samples in all for a limit %.3g %s below\n", "", samples_for_width(run),
                     run->options->width, view_units_name(run->units));
    print_value(run, "  label entropy", r->label_entropy);
    if (isfinite(run->truth))
        print_value(run, "  truth", run->truth);
    print_value(run, "  of the exact posterior", run->exact.estimate);
    print_value(run, "plug-in", r->plug_in);
    print_value(run, "  over-confidence", r->overconfidence);
    if (isfinite(r->temperature)) {
        (void)printf("%-22s %.4g\n", "temperature", r->temperature);
        print_value(run, "  estimate with it", r->calibrated_estimate);
        (void)printf("%-22s ece %.4g, brier %.4g\n", "calibration", r->ece, r->brier);
    }
    print_table(run);
    print_columns(run);
    print_subgroups(run);
    print_suspects(run);
    view_estimate_warnings(state, run->units, print_warning, NULL);
}

static void put_columns(struct json_writer *writer, const struct estimate_run *run)
{
    double factor = view_units_factor(run->units);
    char number[24];

    if (run->table.columns == NULL)
        return;
    json_array_open(writer, "by_column");
    for (size_t j = 0; j < run->columns; j++) {
        const struct infomask_table_column *c = &run->table.columns[j];
        if (isnan(c->alone))
            continue;
        json_object_open(writer, NULL);
        json_put_string(writer, "column", column_name(run, j, number));
        json_put_double_or_null(writer, "alone", c->alone * factor);
        json_put_double_or_null(writer, "alone_lower_limit", c->alone_limit * factor);
        json_put_double_or_null(writer, "lost", c->lost * factor);
        json_array_open(writer, "lost_interval");
        json_put_double_or_null(writer, NULL, c->lost_low * factor);
        json_put_double_or_null(writer, NULL, c->lost_high * factor);
        json_array_close(writer);
        json_object_close(writer);
    }
    json_array_close(writer);
}

static void put_table(struct json_writer *writer, const struct estimate_run *run)
{
    double factor = view_units_factor(run->units);

    if (run->table.folds == 0)
        return;
    json_object_open(writer, "table");
    json_put_uint(writer, "columns", run->columns);
    json_put_uint(writer, "folds", (uint64_t)run->table.folds);
    json_put_uint(writer, "duplicates", run->table.copies);
    json_put_uint(writer, "missing", run->missing);
    json_put_bool(writer, "grouped", run->grouped);
    json_put_bool(writer, "weighted", run->options->weights != NULL);
    json_array_open(writer, "parts");
    for (int m = 0; m < run->table.part_count; m++) {
        json_object_open(writer, NULL);
        json_put_string(writer, "name", run->table.parts[m].name);
        json_put_double(writer, "weight", run->table.parts[m].weight);
        json_put_double(writer, "estimate", run->table.parts[m].information * factor);
        json_object_close(writer);
    }
    json_array_close(writer);
    put_columns(writer, run);
    json_object_close(writer);
}

static void put_exact(struct json_writer *writer, const struct estimate_run *run)
{
    double factor = view_units_factor(run->units);

    if (!isfinite(run->exact.estimate))
        return;
    json_object_open(writer, "exact_posterior");
    json_put_double(writer, "estimate", run->exact.estimate * factor);
    json_put_double_or_null(writer, "standard_error", run->exact.standard_error * factor);
    json_put_double_or_null(writer, "lower_limit", run->exact.lower_limit * factor);
    json_object_close(writer);
}

static void put_run(struct json_writer *writer, const struct estimate_run *run)
{
    if (run->options->width > 0) {
        json_object_open(writer, "wanted");
        json_put_double(writer, "width", run->options->width);
        json_put_double_or_null(writer, "samples", samples_for_width(run));
        json_object_close(writer);
    }
    if (isfinite(run->truth))
        json_put_double(writer, "truth", run->truth * view_units_factor(run->units));
    put_exact(writer, run);
    put_table(writer, run);
    put_subgroups(writer, run);
    if (run->folder == NULL)
        return;
    json_put_uint(writer, "added", run->added);
    json_put_uint(writer, "known", run->known);
    json_put_uint(writer, "rejected_in_all", run->rejected_in_all);
    rejected_put(writer, "rejected", &run->rejected);
}

int estimate_print(const struct estimate_run *run)
{
    struct infomask_error err;
    struct json_writer writer;

    if (!run->options->json) {
        print_text(run);
        return CLI_DONE;
    }
    json_writer_init(&writer, json_indent(false));
    json_object_open(&writer, NULL);
    view_estimate_members(&writer, &run->state, run->units);
    put_run(&writer, run);
    json_object_close(&writer);
    return write_json(&writer, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
}
