/* infomask estimate: the mutual information of labelled data. */
#include "cli/estimate/estimate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/view/report.h"
#include "cli/cli.h"

enum {
    FLAG_IMAGES = 300,
    FLAG_LIST,
    FLAG_DATA,
    FLAG_LABELS,
    FLAG_MERGE,
    FLAG_COMPARE,
    FLAG_TASK,
    FLAG_EXACT,
    FLAG_N,
    FLAG_SEED,
    FLAG_STORE,
    FLAG_NAME,
    FLAG_FRESH,
    FLAG_GROUP_BY,
    FLAG_BY,
    FLAG_WEIGHTS,
    FLAG_DROP,
    FLAG_FOLDS,
    FLAG_COLUMNS,
    FLAG_WIDTH,
    FLAG_SHARD,
    FLAG_SUSPECTS,
    FLAG_REPORT,
    FLAG_JSON,
    FLAG_QUIET
};

static const struct cli_flag flags[] = {
    {FLAG_IMAGES, "images", "FOLDER", "photos, one subfolder a class (its label, an alias or its index)"},
    {FLAG_LIST, "list", "FILE", "photos from lines of PATH<tab>CLASS; - is standard input"},
    {FLAG_DATA, "data", "FILE", "no photos but a table of features: CSV or .npy [n, d]"},
    {FLAG_LABELS, "labels", "FILE|COLUMN", "its labels: .npy [n], CSV of one column, or a column of the table"},
    {FLAG_DROP, "drop", "COLUMN[,COLUMN]", "columns of the table that are not looked at"},
    {FLAG_GROUP_BY, "group-by", "COLUMN|FILE|folder|near",
     "rows of one value (person, video) share a fold and are one in the limit; "
     "of photos: folder, the one below that of the class; near, near copies"},
    {FLAG_BY, "by", "COLUMN|FILE|folder",
     "the information within each subgroup, too; of photos: folder, as of --group-by"},
    {FLAG_WEIGHTS, "weights", "COLUMN|FILE", "how often each row of the table counts, 0 or more"},
    {FLAG_FOLDS, "folds", "N", "of the table, 3 to 10; default by its size, 10 for few rows"},
    {FLAG_COLUMNS, "columns", "N",
     "columns of the table that get a row of their own, the most telling ones; default 30; 0: none"},
    {FLAG_MERGE, "merge", NULL, "add the estimates A, B, ... up; their samples must differ"},
    {FLAG_COMPARE, "compare", NULL,
     "does A or B inform more on the samples that both have, and what does each add to the other"},
    {FLAG_TASK, "task", "NAME", "a table drawn from a synthetic task of known information"},
    {FLAG_EXACT, "exact", NULL, "of the task, its exact posterior only"},
    {FLAG_N, "n", "N", "samples of the task; default 10000"},
    {FLAG_SEED, "seed", "N", "seed of the task, and of the folds of a table; default 0"},
    {FLAG_STORE, "store", "FILE", "keep the samples there; default estimates.db in the state folder"},
    {FLAG_NAME, "name", "NAME", "the estimate's name in the store; default from the data's place, model and prior"},
    {FLAG_FRESH, "fresh", NULL, "forget an estimate of that name first, instead of going on with it"},
    {FLAG_SHARD, "shard", "I/N", "only the I-th of N disjoint parts of the photos (I from 0)"},
    {FLAG_SUSPECTS, "suspects", "N", "rows of suspects (0 to 100000); default 50"},
    {FLAG_WIDTH, "width", "NATS", "also say how many samples would bring the lower limit so close to the estimate"},
    {FLAG_REPORT, "report", "FOLDER", "also write a page with plots there, index.html"},
    {FLAG_JSON, "json", NULL, "print one JSON object"},
    {FLAG_QUIET, "quiet", NULL, "no progress bar"},
};

/* ---- Flags ------------------------------------------------------------------------------------------------------- */

static bool read_number(const char *text, uint64_t high, uint64_t *value)
{
    char *end;

    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *value <= high;
}

static bool read_shard(const char *text, struct estimate_options *o)
{
    char rest;

    return text[0] >= '0' && text[0] <= '9' && sscanf(text, "%u/%u%c", &o->shard_index, &o->shard_count, &rest) == 2 &&
           o->shard_index < o->shard_count;
}

static bool take_value(struct estimate_options *o, int letter, const char *value)
{
    uint64_t number = 0;
    char *end;

    switch (letter) {
    case FLAG_N:
        return read_number(value, 1000000000, &o->n) && o->n > 0;
    case FLAG_SEED:
        return read_number(value, UINT64_MAX, &o->seed);
    case FLAG_SUSPECTS:
        if (!read_number(value, 100000, &number))
            return false;
        o->suspects = (size_t)number;
        return true;
    case FLAG_WIDTH:
        o->width = strtod(value, &end);
        return *end == '\0' && o->width > 0 && isfinite(o->width);
    case FLAG_COLUMNS:
        if (!read_number(value, 65536, &number))
            return false;
        o->columns = (size_t)number;
        return true;
    case FLAG_FOLDS:
        o->folds = read_number(value, 10, &number) ? (int)number : 0;
        return o->folds >= 3;
    case FLAG_SHARD:
        return read_shard(value, o);
    case FLAG_NAME:
        o->name = value;
        return value[0] != '\0' && strlen(value) <= ESTIMATE_NAME_MAX;
    default:
        return false;
    }
}

static bool take(void *context, int letter, const char *value)
{
    struct estimate_options *o = context;

    switch (letter) {
    case FLAG_IMAGES:
        o->images = value;
        return true;
    case FLAG_LIST:
        o->list = value;
        return true;
    case FLAG_DATA:
        o->data = value;
        return true;
    case FLAG_LABELS:
        o->labels = value;
        return true;
    case FLAG_DROP:
        o->drop = value;
        return true;
    case FLAG_BY:
        o->by = value;
        return true;
    case FLAG_GROUP_BY:
        o->group_by = value;
        return true;
    case FLAG_WEIGHTS:
        o->weights = value;
        return true;
    case FLAG_TASK:
        o->task = value;
        return true;
    case FLAG_STORE:
        o->store = value;
        return true;
    case FLAG_REPORT:
        o->report = value;
        return true;
    case FLAG_MERGE:
        return (o->merge = true);
    case FLAG_COMPARE:
        return (o->compare = true);
    case FLAG_EXACT:
        return (o->exact = true);
    case FLAG_FRESH:
        return (o->fresh = true);
    case FLAG_JSON:
        return (o->json = true);
    case FLAG_QUIET:
        return (o->quiet = true);
    default:
        if (take_value(o, letter, value))
            return true;
        (void)cli_misused("estimate", "\"%s\" is not a value of that option; see --help", value);
        return false;
    }
}

static bool sources_are_no_photos(const struct estimate_options *o)
{
    return o->images == NULL && o->list == NULL;
}

static int check(const struct estimate_options *o, const struct cli *cli)
{
    int sources = (o->images != NULL) + (o->list != NULL) + (o->data != NULL) + (o->task != NULL) + o->merge +
                  o->compare;

    if (sources != 1)
        return cli_misused(cli->command, "one of --images, --list, --data, --task, --merge, --compare is needed");
    if ((o->data != NULL) != (o->labels != NULL))
        return cli_misused(cli->command, "--data and --labels go together");
    if (o->data == NULL && (o->drop != NULL || o->weights != NULL || (o->folds > 0 && o->task == NULL)))
        return cli_misused(cli->command, "--drop, --folds and --weights are of a table: with --data");
    if (o->group_by != NULL && o->data == NULL &&
        (sources_are_no_photos(o) || (strcmp(o->group_by, "folder") != 0 && strcmp(o->group_by, "near") != 0)))
        return cli_misused(cli->command, "--group-by takes a column of a table, or of photos \"folder\" or \"near\"");
    if (o->by != NULL && o->data == NULL && (sources_are_no_photos(o) || strcmp(o->by, "folder") != 0))
        return cli_misused(cli->command, "--by takes a column of a table, or of photos \"folder\"");
    if (o->by != NULL && o->weights != NULL)
        return cli_misused(cli->command, "--by and --weights do not go together");
    if (o->weights != NULL && (o->store != NULL || o->report != NULL))
        return cli_misused(cli->command, "--weights is for a table's answer alone: without --store and --report");
    if (o->exact && o->task == NULL)
        return cli_misused(cli->command, "--exact is of a --task");
    if (o->compare && cli->operand_count != 2)
        return cli_misused(cli->command, "--compare takes two estimates");
    if (o->report != NULL && (o->compare || o->task != NULL))
        return cli_misused(cli->command, "--report is of samples: with --images, --list, --data or --merge");
    if (o->merge && cli->operand_count < 1)
        return cli_misused(cli->command, "--merge takes the estimates to add up");
    if ((o->task != NULL || o->data != NULL) && cli->operand_count > 0)
        return cli_misused(cli->command, "--task and --data take no MODEL");
    if ((o->images != NULL || o->list != NULL) && cli->operand_count > 1)
        return cli_misused(cli->command, "one MODEL at a time");
    return -1;
}

/* ---- The command ------------------------------------------------------------------------------------------------- */

void estimate_run_fini(struct estimate_run *run)
{
    static const char *const parts[] = {"", "-wal", "-shm"};

    estimate_state_fini(&run->state);
    estimates_close(run->estimates);
    estimates_held_free(run->held);
    for (size_t i = 0; run->temporary[0] != '\0' && i < sizeof parts / sizeof *parts; i++) {
        char path[sizeof run->temporary + 8];
        (void)snprintf(path, sizeof path, "%s%s", run->temporary, parts[i]);
        (void)unlink(path);
    }
    rejected_fini(&run->rejected);
    for (size_t j = 0; run->column_names != NULL && j < run->columns; j++)
        free(run->column_names[j]);
    free(run->column_names);
    for (size_t i = 0; i < run->subgroup_count; i++)
        free(run->subgroups[i].name);
    free(run->subgroups);
    free(run->table.columns);
    free(run->folder);
}

enum infomask_status estimate_run_rows(const struct estimate_run *run, estimate_row_visit *visit, void *context,
                                       struct infomask_error *err)
{
    if (run->held == NULL)
        return estimates_rows(run->estimates, run->state.info.id, visit, context, err);
    estimates_held_rows(run->held, visit, context);
    return INFOMASK_OK;
}

static int write_report(const struct estimate_run *run)
{
    struct report_samples samples = {0};
    struct infomask_error err;
    enum infomask_status status = estimate_run_rows(run, report_row, &samples, &err);

    if (status == INFOMASK_OK && samples.full)
        status = error_set(&err, INFOMASK_MEMORY, "no memory for the report");
    if (status == INFOMASK_OK)
        status = report_write(run->options->report, &run->state, &samples, run->folder, run->units, &err);
    report_samples_fini(&samples);
    return status == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
}

static int run_estimate(const struct cli *cli, const struct estimate_options *o)
{
    struct estimate_run run = {.cli = cli, .options = o, .truth = NAN, .exact = {NAN, NAN, NAN},
                               .units = cli->params.value[PARAM_ID_UNITS].integer == 1 ? VIEW_BITS : VIEW_NATS};
    int code;

    if (o->compare)
        code = estimate_compare(&run);
    else if (o->merge)
        code = estimate_merge(&run);
    else if (o->task != NULL)
        code = estimate_task(&run);
    else if (o->data != NULL)
        code = estimate_data(&run);
    else
        code = estimate_photos(&run, cli->operand_count > 0 ? cli->operands[0] : NULL);
    if (code == CLI_DONE && !o->compare)
        code = estimate_print(&run);
    if (code == CLI_DONE && o->report != NULL)
        code = write_report(&run);
    estimate_run_fini(&run);
    return code;
}

int cmd_estimate(int argc, char **argv)
{
    struct estimate_options options = {.n = 10000, .suspects = 50, .columns = 30};
    const struct cli_spec spec = {
        .usage = "estimate [OPTION]... (--images FOLDER | --list FILE) [MODEL]\n"
                 "       infomask estimate [OPTION]... (--merge | --compare) ESTIMATE...\n"
                 "       infomask estimate [OPTION]... --data FILE --labels FILE|COLUMN\n"
                 "       infomask estimate [OPTION]... --task NAME",
        .about =
            "Estimates the mutual information I(X;Y) between photos and their classes through a model: a lower bound\n"
            "as long as the model was not trained on them.  A run that was stopped goes on where it was.  Of a table,\n"
            "classifiers are trained and cross-fitted for the purpose.  An ESTIMATE is a store's FILE, FILE#NAME, or\n"
            "the name or id of one in the state folder.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_ESTIMATE,
        .sections = " models images compute state ",
        .take = take,
        .context = &options,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = check(&options, &cli);
    if (code < 0)
        code = run_estimate(&cli, &options);
    cli_close(&cli);
    return code;
}
