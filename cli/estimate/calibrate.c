/* infomask models calibrate: the temperature of a model, and perhaps a bias for each class, from labelled photos. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/model/training_record.h"
#include "cli/cli.h"
#include "cli/estimate/estimate.h"
#include "cli/work.h"

#define MOST_LOGITS ((uint64_t)1 << 30) /* bytes, in the store: of 1,000 classes half a million photos */

enum { FLAG_VECTOR = 300, FLAG_DRY_RUN, FLAG_JSON, FLAG_QUIET };

struct calibrating {
    bool vector, dry_run, json, quiet;
    struct infomask_labelled_logits samples;
    float *logits;
    uint32_t *labels;
    size_t classes, most;
    double *logit_prior; /* with vector */
    struct infomask_calibration result;
    double temperature; /* the model's new one */
    bool written;
};

static const struct cli_flag flags[] = {
    {FLAG_VECTOR, "vector", NULL, "a bias for each class, too; needs 10 photos of each"},
    {FLAG_DRY_RUN, "dry-run", NULL, "measure, but change nothing in the model's folder"},
    {FLAG_JSON, "json", NULL, "print what is recorded, as JSON"},
    {FLAG_QUIET, "quiet", NULL, "no progress bar"},
};

static bool take(void *context, int letter, const char *value)
{
    struct calibrating *c = context;

    (void)value;
    c->vector = c->vector || letter == FLAG_VECTOR;
    c->dry_run = c->dry_run || letter == FLAG_DRY_RUN;
    c->json = c->json || letter == FLAG_JSON;
    c->quiet = c->quiet || letter == FLAG_QUIET;
    return true;
}

/* ---- The samples ------------------------------------------------------------------------------------------------- */

static bool collect(void *context, const struct estimate_row *row)
{
    struct calibrating *c = context;
    uint16_t *half = row->half_size == c->classes * sizeof *half ? malloc(row->half_size) : NULL;

    if (half == NULL || c->samples.n == c->most) {
        free(half);
        return true;
    }
    memcpy(half, row->half, row->half_size);
    infomask_logits_unpack(half, c->classes, c->logits + c->samples.n * c->classes);
    c->labels[c->samples.n++] = row->label;
    free(half);
    return true;
}

static enum infomask_status read_samples(struct calibrating *c, const struct estimate_run *run,
                                         struct infomask_error *err)
{
    c->classes = run->state.info.spec.classes;
    c->most = (size_t)run->state.info.kept;
    c->logits = calloc(c->most + 1, c->classes * sizeof *c->logits);
    c->labels = calloc(c->most + 1, sizeof *c->labels);
    c->logit_prior = c->vector ? calloc(c->classes, sizeof *c->logit_prior) : NULL;
    if (c->logits == NULL || c->labels == NULL || (c->vector && c->logit_prior == NULL))
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu photos", c->most);
    c->samples.logits = c->logits;
    c->samples.labels = c->labels;
    return estimates_rows(run->estimates, run->state.info.id, collect, c, err);
}

/* Classifies the photos into a store that goes with the run.  Returns -1 to go on. */
static int classify(struct calibrating *c, const struct cli *cli, struct estimate_run *run)
{
    const char *photos = cli->operands[1];
    struct stat at;
    bool folder = stat(photos, &at) == 0 && S_ISDIR(at.st_mode);
    const struct estimate_options options = {.images = folder ? photos : NULL, .list = folder ? NULL : photos,
                                             .store = run->temporary, .name = "calibration", .quiet = c->quiet};
    int file, code;

    (void)snprintf(run->temporary, sizeof run->temporary, "/tmp/infomask-calibrate-XXXXXX");
    file = mkstemp(run->temporary);
    if (file < 0) {
        run->temporary[0] = '\0';
        return cli_fails(cli->command, "no temporary file can be made in /tmp");
    }
    (void)close(file);
    run->cli = cli;
    run->options = &options;
    code = estimate_photos(run, cli->operands[0]);
    run->options = NULL;
    return code == CLI_DONE ? -1 : code;
}

/* ---- The fit ----------------------------------------------------------------------------------------------------- */

static enum infomask_status fit(struct calibrating *c, const struct cli *cli, const struct estimate_run *run,
                                struct infomask_error *err)
{
    struct model_options options;
    struct model *model = NULL;
    struct pool *pool = NULL;
    enum infomask_status status = work_model_options(&cli->config, NULL, &options, err);

    if (status == INFOMASK_OK)
        status = load_model(&cli->config, cli->operands[0], &options, &model, err);
    if (status == INFOMASK_OK && model_spec(model)->head == INFOMASK_HEAD_SIGMOID)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "a model whose classes do not exclude each other has no temperature");
    if (status == INFOMASK_OK)
        status = load_pool(&cli->config, &pool, err);
    if (status == INFOMASK_OK)
        status = infomask_estimate_calibrate(&run->state.info.spec, &c->samples, pool, c->logit_prior, &c->result, err);
    if (status == INFOMASK_OK && !c->result.converged)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "no temperature is best: the photos are too few, or all of them are right");
    if (status == INFOMASK_OK) {
        double old = model_spec(model)->temperature;
        c->temperature = c->result.temperature * (old > 0 ? old : 1);
        c->written = !c->dry_run && c->result.log_loss_after < c->result.log_loss_before;
    }
    if (status == INFOMASK_OK && c->written)
        status = model_record_calibration(model_folder_path(model), model_document(model), &c->result, c->temperature,
                                          c->logit_prior, c->classes, err);
    pool_free(pool);
    model_release(model);
    return status;
}

static enum infomask_status report(const struct calibrating *c, struct infomask_error *err)
{
    const struct infomask_calibration *r = &c->result;
    struct json_writer writer;

    if (c->json) {
        json_writer_init(&writer, json_indent(false));
        json_object_open(&writer, NULL);
        json_put_double(&writer, "temperature", c->temperature);
        model_record_put_calibration(&writer, r, c->vector);
        json_put_bool(&writer, "written", c->written);
        json_object_close(&writer);
        return write_json(&writer, NULL, err);
    }
    (void)printf("%zu photos, temperature %.4g%s\nlog loss on photos that the fit has not seen: %.4g nats before, %.4g "
                 "after\n", r->samples, c->temperature, c->vector ? " and a bias for each class" : "",
                 r->log_loss_before, r->log_loss_after);
    (void)puts(c->written    ? "recorded in the model's folder"
               : c->dry_run ? "nothing was changed"
                            : "nothing is gained: the model stays as it was");
    return INFOMASK_OK;
}

static int calibrate(struct calibrating *c, struct cli *cli)
{
    struct estimate_run run = {0};
    struct infomask_error err;
    enum infomask_status status;
    int code;

    if (cli->operand_count != 2)
        return cli_misused(cli->command, "a MODEL and its PHOTOS are needed");
    cli->config.logits_limit = MOST_LOGITS;
    code = classify(c, cli, &run);
    if (code < 0) {
        status = read_samples(c, &run, &err);
        if (status == INFOMASK_OK)
            status = fit(c, cli, &run, &err);
        if (status == INFOMASK_OK)
            status = report(c, &err);
        code = status == INFOMASK_OK ? CLI_DONE : cli_fails(cli->command, "%s", err.text);
    }
    estimate_run_fini(&run);
    free(c->logits);
    free(c->labels);
    free(c->logit_prior);
    return code;
}

int models_calibrate(int argc, char **argv)
{
    struct calibrating calibrating = {0};
    const struct cli_spec spec = {
        .usage = "models calibrate [OPTION]... MODEL PHOTOS",
        .about =
            "Fits the temperature of a model to labelled photos that it was not trained on: PHOTOS is a folder with a\n"
            "subfolder for each class, or a file of PATH<tab>CLASS lines.  What it gains is measured on fifths of the\n"
            "photos that the fit has not seen; where there is a gain it is recorded in the model's folder.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models images compute ",
        .take = take,
        .context = &calibrating,
    };
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    code = calibrate(&calibrating, &cli);
    cli_close(&cli);
    return code;
}
