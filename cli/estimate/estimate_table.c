/* infomask estimate --data, --task: the mutual information of labelled tables, from files or drawn from tasks. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/progress.h"
#include "cli/read/table.h"
#include "cli/work.h"

#define ADD_AT_ONCE 131072 /* rows in one transaction */

/* ---- A table ----------------------------------------------------------------------------------------------------- */

static bool show(void *context, int done, int total)
{
    progress_set(context, (size_t)done, (size_t)total);
    return true;
}

static enum infomask_status cross_fit(struct estimate_run *run, const struct table_file *file,
                                      struct infomask_error *err)
{
    const struct infomask_table table = {file->rows, file->columns, file->classes, file->x,
                                         file->labels, file->levels, file->groups, file->weights};
    const struct config *config = &run->cli->config;
    struct progress progress;
    struct infomask_table_options options = {.seed = run->options->seed, .folds = run->options->folds,
                                             .columns = run->options->data != NULL ? run->options->columns : 0,
                                             .progress = show, .context = &progress,
                                             .isa = strcmp(config->isa, "auto") == 0 ? NULL : config->isa};
    struct pool *pool = NULL;
    enum infomask_status status = load_pool(config, &pool, err);

    if (status != INFOMASK_OK)
        return status;
    progress_start(&progress, 1, run->options->quiet);
    progress.unit = "fits";
    status = infomask_table_estimate(&table, &options, pool, &run->table, err);
    progress_end(&progress);
    pool_free(pool);
    return status;
}

/* The estimate of a table is under its own label frequencies, which are what the rows' posteriors start from. */
static enum infomask_status describe(struct estimate_run *run, const struct table_file *file,
                                     struct estimate_info *info, struct infomask_error *err)
{
    const struct estimate_options *o = run->options;
    size_t k = (size_t)file->classes;
    double sum = 0;

    *info = (struct estimate_info){.spec = {.classes = k, .prior = calloc(k, sizeof(double)),
                                            .logit_prior = calloc(k, sizeof(double))}};
    if (info->spec.prior == NULL || info->spec.logit_prior == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu classes", k);
    for (size_t i = 0; i < file->rows; i++)
        sum += file->weights != NULL ? file->weights[i] : 1;
    for (size_t i = 0; i < file->rows; i++)
        info->spec.prior[file->labels[i]] += (file->weights != NULL ? file->weights[i] : 1) / sum;
    memcpy(info->spec.logit_prior, info->spec.prior, k * sizeof(double));
    if (file->names != NULL && (info->labels = strdup(file->names)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu classes", k);
    (void)snprintf(info->name, sizeof info->name, "%s",
                   o->name != NULL   ? o->name
                   : o->data != NULL ? o->data
                                     : o->task);
    (void)snprintf(info->model, sizeof info->model, "cross-fitted pool");
    (void)snprintf(info->version, sizeof info->version, "1");
    (void)snprintf(info->prior, sizeof info->prior, "given");
    return INFOMASK_OK;
}

/* Row i becomes the sample "i". */
static enum infomask_status add_rows(struct estimate_run *run, const struct table_file *file, const char *id,
                                     struct infomask_error *err)
{
    struct estimate_item *items = calloc(ADD_AT_ONCE, sizeof *items);
    char(*names)[24] = calloc(ADD_AT_ONCE, sizeof *names);
    enum infomask_status status = INFOMASK_OK;
    uint64_t samples;

    if (items == NULL || names == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t first = 0; status == INFOMASK_OK && first < file->rows; first += ADD_AT_ONCE) {
        size_t count = file->rows - first < ADD_AT_ONCE ? file->rows - first : ADD_AT_ONCE;
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(names[i], sizeof names[i], "%zu", first + i);
            items[i] = (struct estimate_item){.sample = names[i],
                                              .label = file->labels[first + i],
                                              .logits = run->table.log_q + (first + i) * (size_t)file->classes,
                                              .unit = run->table.grouped ? (uint64_t)run->table.group[first + i] + 1
                                                                         : 0};
        }
        status = estimates_add(run->estimates, id, items, count, &samples, err);
    }
    free(items);
    free(names);
    return status;
}

static enum infomask_status hold_rows(struct estimate_run *run, const struct table_file *file,
                                      struct estimate_info *info, struct infomask_error *err)
{
    const struct estimates_held_of rows = {file->rows, run->table.log_q, file->labels,
                                   run->table.grouped ? run->table.group : NULL, run->cli->config.logits_limit};

    return estimates_held_create(info, &rows, run->options->suspects, &run->held, &run->state, err);
}

static enum infomask_status store_rows(struct estimate_run *run, const struct table_file *file,
                                       struct estimate_info *info, struct infomask_error *err)
{
    enum infomask_status status = estimates_create(run->estimates, info, err);

    if (status == INFOMASK_OK)
        status = add_rows(run, file, info->id, err);
    return status == INFOMASK_OK ? estimate_finish(run, info->id, err) : status;
}

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* The report and the limits anew, with the rows' weights; they go with no store. */
static enum infomask_status weigh(struct estimate_run *run, const struct table_file *file, struct infomask_error *err)
{
    const struct infomask_sample *samples = estimates_held_samples(run->held);
    struct infomask_point *points = malloc(file->rows * sizeof *points);
    size_t k = (size_t)file->classes, counted = 0;
    enum infomask_status status;

    if (points == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", file->rows);
    for (size_t i = 0; i < file->rows; i++)
        if (file->weights[i] > 0)
            points[counted++] = (struct infomask_point){run->table.group[i], samples[i].log_q, samples[i].label,
                                                        samples[i].predicted, file->weights[i]};
    infomask_report_fini(&run->state.report);
    status = infomask_estimate_weighted(samples, file->weights, file->rows, k, &run->state.report, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(points, counted, k, 0.975, &run->state.limits, err);
    free(points);
    return status;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status estimate_table(struct estimate_run *run, const struct table_file *file,
                                           struct infomask_error *err)
{
    struct estimate_info info = {0};
    bool stored = run->options->store != NULL;
    enum infomask_status status = stored ? estimate_open_store(run, err) : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = describe(run, file, &info, err);
    if (status == INFOMASK_OK && stored)
        status = estimate_free_name(run, info.name, err);
    if (status == INFOMASK_OK)
        status = cross_fit(run, file, err);
    if (status == INFOMASK_OK)
        status = stored ? store_rows(run, file, &info, err) : hold_rows(run, file, &info, err);
    if (status == INFOMASK_OK && file->by != NULL)
        status = estimate_by(run, file->by, file->by_names, file->by_count, err);
    if (status == INFOMASK_OK && file->weights != NULL)
        status = weigh(run, file, err);
    if (status == INFOMASK_OK)
        estimate_of_groups(run);
    free(run->table.log_q);
    free(run->table.group);
    run->table.log_q = NULL;
    run->table.group = NULL;
    run->columns = file->columns;
    run->missing = file->missing;
    run->grouped = file->groups != NULL;
    estimate_info_fini(&info);
    return status;
}

_Static_assert((int)TABLE_DOUBTS <= (int)ESTIMATE_REMARKS, "each doubt is a remark");

int estimate_data(struct estimate_run *run)
{
    struct table_file file;
    struct infomask_error err;
    const struct estimate_options *o = run->options;
    const struct table_request request = {o->data, o->labels, o->group_by, o->weights, o->by, o->drop};
    enum infomask_status status = table_file_read(&request, &file, &err);

    if (status == INFOMASK_OK)
        status = estimate_table(run, &file, &err);
    for (int i = 0; status == INFOMASK_OK && i < TABLE_DOUBTS; i++) {
        run->state.remarks[i] = file.doubts[i]; /* outlive the table, as the names do */
        file.doubts[i] = NULL;
    }
    run->column_names = file.column_names;
    file.column_names = NULL;
    table_file_fini(&file);
    return status == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
}

/* ---- Tasks ------------------------------------------------------------------------------------------------------- */

/* A prior of positive numbers, as a spec owns it. */
static enum infomask_status task_spec(const struct infomask_task *task, struct infomask_estimate_spec *spec,
                                      struct infomask_error *err)
{
    size_t bytes = task->classes * sizeof *spec->prior;

    *spec = (struct infomask_estimate_spec){
        .classes = task->classes, .prior = malloc(bytes), .logit_prior = malloc(bytes)};
    if (spec->prior == NULL || spec->logit_prior == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    memcpy(spec->prior, task->prior, bytes);
    memcpy(spec->logit_prior, task->prior, bytes);
    return INFOMASK_OK;
}

static enum infomask_status add_exact(const struct estimate_options *o, const struct infomask_task *task,
                                      struct infomask_estimate *sums, struct infomask_point *points,
                                      struct infomask_error *err)
{
    float x[INFOMASK_TASK_MAX], log_p[INFOMASK_TASK_MAX];
    enum infomask_status status = INFOMASK_OK;
    char id[24];

    for (uint64_t i = 0; status == INFOMASK_OK && i < o->n; i++) {
        uint32_t label = infomask_task_sample(task, o->seed, i, x, log_p);
        struct infomask_sample s;
        (void)snprintf(id, sizeof id, "%llu", (unsigned long long)i);
        status = infomask_estimate_add(sums, log_p, label, id, &s, err);
        points[i] = (struct infomask_point){s.order, s.log_q, s.label, s.predicted, 0};
    }
    return status;
}

/* What the exact posterior says of the same samples, into `state`. */
static enum infomask_status run_exact(const struct estimate_options *o, const struct infomask_task *task,
                                      struct estimate_state *state, struct infomask_error *err)
{
    struct infomask_estimate *sums = NULL;
    struct infomask_point *points = calloc((size_t)o->n, sizeof *points);
    enum infomask_status status = task_spec(task, &state->info.spec, err);

    if (points == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for so many samples");
    if (status == INFOMASK_OK)
        status = infomask_estimate_create(&state->info.spec, &sums, err);
    if (status == INFOMASK_OK)
        status = add_exact(o, task, sums, points, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(sums, &state->report, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_limits(points, (size_t)o->n, task->classes, 0.975, &state->limits, err);
    infomask_estimate_free(sums);
    free(points);
    if (status != INFOMASK_OK)
        return status;
    (void)snprintf(state->info.name, sizeof state->info.name, "%s", task->name);
    (void)snprintf(state->info.model, sizeof state->info.model, "exact posterior");
    (void)snprintf(state->info.prior, sizeof state->info.prior, "given");
    state->info.samples = o->n;
    state->suspect_threshold = -log((double)o->n);
    state->audit = (struct estimate_audit){.temperature = NAN, .wrong = NAN, .expected = 1};
    return INFOMASK_OK;
}

static enum infomask_status draw(const struct estimate_options *o, const struct infomask_task *task,
                                 struct table_file *file, struct infomask_error *err)
{
    float log_p[INFOMASK_TASK_MAX];
    size_t n = (size_t)o->n;

    *file = (struct table_file){.rows = n, .columns = task->dimensions, .classes = (int)task->classes,
                                .x = calloc(n, task->dimensions * sizeof *file->x),
                                .labels = calloc(n, sizeof *file->labels)};
    if (file->x == NULL || file->labels == NULL) {
        table_file_fini(file);
        return error_set(err, INFOMASK_MEMORY, "no memory for so many samples");
    }
    for (size_t i = 0; i < n; i++)
        file->labels[i] = infomask_task_sample(task, o->seed, i, file->x + i * task->dimensions, log_p);
    return INFOMASK_OK;
}

static enum infomask_status run_task(struct estimate_run *run, const struct infomask_task *task,
                                     struct infomask_error *err)
{
    struct estimate_state exact = {0};
    struct table_file file = {0};
    enum infomask_status status;

    run->truth = task->information;
    if (run->options->exact)
        return run_exact(run->options, task, &run->state, err);
    status = run_exact(run->options, task, &exact, err);
    if (status == INFOMASK_OK)
        status = draw(run->options, task, &file, err);
    if (status == INFOMASK_OK)
        status = estimate_table(run, &file, err);
    run->exact.estimate = exact.report.estimate;
    run->exact.standard_error = exact.report.standard_error;
    run->exact.lower_limit = exact.limits.betting;
    table_file_fini(&file);
    estimate_state_fini(&exact);
    return status;
}

int estimate_task(struct estimate_run *run)
{
    struct infomask_task task;
    struct infomask_error err;

    if (!infomask_task_find(run->options->task, &task)) {
        (void)cli_fails(run->cli->command, "there is no task \"%.60s\"; these are:", run->options->task);
        for (size_t i = 0; infomask_task_name(i) != NULL; i++)
            (void)fprintf(stderr, "  %s\n", infomask_task_name(i));
        return CLI_FAILED;
    }
    if (run_task(run, &task, &err) != INFOMASK_OK)
        return cli_fails(run->cli->command, "%s", err.text);
    return CLI_DONE;
}
