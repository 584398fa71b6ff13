/* infomask train --arch: a network from scratch, with the information in its outputs measured after every epoch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "app/view/report_training.h"
#include "cli/cli.h"
#include "cli/train/train.h"
#include "cli/work.h"

#define SUSPECTS 50
#define LEAST_CALIBRATED 200 /* held-out pictures from which on a temperature is fitted */

struct run {
    const struct cli *cli;
    const struct train_options *options;
    enum view_units units;
    struct pool *pool;
    struct train_set set;
    struct folder_write folder;
    struct infomask_trained trained;
    struct train_photos samples;          /* the held-out pictures, as ids and labels */
    struct estimate_state state;
    struct infomask_train_epoch *history; /* [epochs] */
    size_t epochs;
    char *checkpoint;                     /* owned */
    FILE *log;
    bool bar;                             /* on a terminal */
    double temperature;                   /* that is exported; 1: none */
    double loss, calibrated_loss; /* without and with the fitted one, on the half that it was not fitted to; 0: none */
};

/* ---- While it runs ----------------------------------------------------------------------------------------------- */

static void put_epoch(struct json_writer *w, const char *key, const struct infomask_train_epoch *e)
{
    json_object_open(w, key);
    json_put_int(w, "epoch", e->epoch);
    json_put_int(w, "epochs", e->epochs);
    json_put_double_or_null(w, "loss", e->loss);
    json_put_double_or_null(w, "train_information", e->train_information);
    json_put_double_or_null(w, "train_accuracy", e->train_accuracy);
    json_put_double_or_null(w, "held_out_information", e->held_out_information);
    json_put_double_or_null(w, "standard_error", e->standard_error);
    json_put_double_or_null(w, "label_entropy", e->label_entropy);
    json_put_double_or_null(w, "held_out_accuracy", e->held_out_accuracy);
    json_put_double_or_null(w, "held_out_loss", e->held_out_loss);
    json_put_double_or_null(w, "rate", e->rate);
    json_put_double_or_null(w, "seconds", e->seconds);
    json_put_double_or_null(w, "images_per_second", e->images_per_second);
    json_object_close(w);
}

/* One line of JSON, in nats whatever the units. */
static void log_epoch(struct run *run, const struct infomask_train_epoch *e)
{
    struct json_writer w;
    char *text = NULL;
    size_t size;

    if (run->log == NULL)
        return;
    json_writer_init(&w, 0);
    put_epoch(&w, NULL, e);
    if (json_writer_take(&w, &text, &size, NULL) == INFOMASK_OK) {
        (void)fwrite(text, 1, size, run->log);
        (void)fflush(run->log);
    }
    free(text);
    json_writer_fini(&w);
}

static void print_epoch(const struct run *run, const struct infomask_train_epoch *e)
{
    double f = view_units_factor(run->units);

    if (run->bar)
        (void)fputs("\r\033[K", stderr);
    if (run->options->json)
        return;
    (void)printf("%3d/%d  loss %.4f  I train %.4f  held out %.4f +- %.4f of H(Y) %.4f %s  accuracy %.2f %%  %.1f s\n",
                 e->epoch, e->epochs, e->loss * f, e->train_information * f, e->held_out_information * f,
                 e->standard_error * f, e->label_entropy * f, view_units_name(run->units), 100 * e->held_out_accuracy,
                 e->seconds);
    (void)fflush(stdout);
}

static bool on_epoch(void *context, const struct infomask_train_epoch *e)
{
    struct run *run = context;

    run->history[run->epochs++] = *e;
    print_epoch(run, e);
    log_epoch(run, e);
    return true;
}

/* The log may lack the last of them, or have been begun anew: it is written from the start. */
static void on_resumed(void *context, const struct infomask_train_epoch *epochs, int count)
{
    struct run *run = context;

    for (int i = 0; i < count; i++)
        (void)on_epoch(run, &epochs[i]);
}

static void on_progress(void *context, int epoch, double share)
{
    const struct run *run = context;
    int full = (int)(share * 24);

    if (run->bar)
        (void)fprintf(stderr, "\r\033[K%.*s%.*s epoch %d, %.0f %%", full, "########################", 24 - full,
                      "------------------------", epoch, 100 * share);
}

/* ---- Before and after -------------------------------------------------------------------------------------------- */

/* --checkpoint, else <state>/training/<name>; NULL: none can be kept. */
static char *checkpoint_path(const struct run *run)
{
    char *state, *folder, *path = NULL;

    if (run->options->checkpoint != NULL)
        return strdup(run->options->checkpoint);
    state = place_of_state(run->cli->config.state_dir);
    folder = state != NULL ? file_join(state, "training") : NULL;
    if (folder != NULL && (mkdir(folder, 0700) == 0 || access(folder, W_OK) == 0))
        path = file_join(folder, run->folder.name);
    free(state);
    free(folder);
    return path;
}

static enum infomask_status prepare(struct run *run, struct infomask_error *err)
{
    const struct train_options *o = run->options;
    enum infomask_status status = folder_write_open(&run->folder, run->cli->config.models_dir, o->name, o->replace,
                                                    err);

    if (status == INFOMASK_OK)
        status = load_pool(&run->cli->config, &run->pool, err);
    if (status == INFOMASK_OK)
        status = train_set_read(&run->set, run->cli, o, run->pool, err);
    if (status == INFOMASK_OK && o->log != NULL) {
        run->log = fopen(o->log, "w");
        if (run->log == NULL)
            status = error_set(err, INFOMASK_IO, "%.150s cannot be written", o->log);
    }
    run->checkpoint = checkpoint_path(run);
    if (status == INFOMASK_OK && o->resume && run->checkpoint == NULL)
        status = error_set(err, INFOMASK_IO, "there is no state folder, so there is no checkpoint to go on from");
    run->history = calloc((size_t)o->network.epochs, sizeof *run->history);
    if (status == INFOMASK_OK && run->history == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    return status;
}

static enum infomask_status learn(struct run *run, struct infomask_error *err)
{
    const struct train_options *o = run->options;
    const struct infomask_train_watch watch = {on_epoch, on_resumed, on_progress, run};
    struct infomask_train_options network = o->network;
    const char *isa = run->cli->config.isa;
    char *output = folder_write_file(&run->folder, "model.onnx");
    enum infomask_status status;

    if (output == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    network.arch = o->arch;
    network.train = &run->set.train;
    network.held_out = &run->set.held_out;
    network.mean = run->set.mean;
    network.std = run->set.std;
    network.pc_softmax = o->pc_softmax;
    network.shuffle_labels = o->shuffle_labels;
    network.seed = o->seed;
    network.isa = strcmp(isa, "auto") != 0 ? isa : NULL;
    network.checkpoint = run->checkpoint;
    network.resume = o->resume && access(run->checkpoint, F_OK) == 0;
    if (o->resume && !network.resume)
        (void)fprintf(stderr, "infomask train: there is no checkpoint yet: starting with the first epoch\n");
    network.output = output;
    status = infomask_train(&network, run->pool, &watch, &run->trained, err);
    free(output);
    return status;
}

/* The held-out pictures have no names but their numbers. */
static enum infomask_status name_samples(struct run *run, struct infomask_error *err)
{
    size_t n = (size_t)run->set.held_out.count;
    struct photo_list *list = &run->samples.list;

    list->photos = calloc(n, sizeof *list->photos);
    run->samples.labels = malloc(n * sizeof *run->samples.labels);
    if (list->photos == NULL || run->samples.labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < n; i++) {
        if (asprintf(&list->photos[i].path, "held-out/%zu", i) < 0) {
            list->photos[i].path = NULL;
            return error_set(err, INFOMASK_MEMORY, "out of memory");
        }
        list->photos[i].sample = list->photos[i].path;
        list->count++;
        run->samples.labels[i] = (uint32_t)run->trained.held_out_labels[i];
    }
    return INFOMASK_OK;
}

static enum infomask_status measure(struct run *run, struct infomask_error *err)
{
    const struct train_measured m = {.photos = &run->samples, .logits = run->trained.held_out, .names = &run->set.names,
                                     .prior = run->trained.prior, .logit_prior = run->trained.prior};
    enum infomask_status status = name_samples(run, err);

    return status == INFOMASK_OK ? train_measure(&run->state, &m, SUSPECTS, err) : status;
}

/* ---- Calibration ------------------------------------------------------------------------------------------------- */

/* What the exported logits are but for a constant: under pc-softmax the prior is not in them. */
static void exported_logits(const struct run *run, size_t i, float *z)
{
    size_t k = (size_t)run->trained.classes;
    const float *log_q = run->trained.held_out + i * k;

    for (size_t y = 0; y < k; y++)
        z[y] = log_q[y] - (run->options->pc_softmax ? (float)log(run->trained.prior[y]) : 0);
}

/* The temperature of every second held-out picture; 1 where it is none. */
static enum infomask_status fit_temperature(const struct run *run, float *z, double *temperature,
                                            struct infomask_error *err)
{
    bool pc = run->options->pc_softmax;
    const struct infomask_estimate_spec spec = {.classes = (size_t)run->trained.classes, .prior = run->trained.prior,
                                                .logit_prior = pc ? NULL : run->trained.prior};
    struct infomask_estimate *sums = NULL;
    struct infomask_report report = {0};
    enum infomask_status status = infomask_estimate_create(&spec, &sums, err);

    for (size_t i = 0; status == INFOMASK_OK && i < (size_t)run->set.held_out.count; i += 2) {
        exported_logits(run, i, z);
        status = infomask_estimate_add(sums, z, (uint32_t)run->trained.held_out_labels[i], "", NULL, err);
    }
    if (status == INFOMASK_OK)
        status = infomask_estimate_report(sums, &report, err);
    *temperature = status == INFOMASK_OK && !report.temperature_at_edge ? report.temperature : 1;
    infomask_report_fini(&report);
    infomask_estimate_free(sums);
    return status;
}

/* Mean of -log q(label) over the other half, the exported logits divided by the temperature. */
static double loss_at(const struct run *run, double temperature, float *z)
{
    size_t k = (size_t)run->trained.classes, n = 0;
    double loss = 0;

    for (size_t i = 1; i < (size_t)run->set.held_out.count; i += 2, n++) {
        double top = -INFINITY, sum = 0, own = 0;
        exported_logits(run, i, z);
        for (size_t y = 0; y < k; y++) {
            double prior = run->options->pc_softmax ? log(run->trained.prior[y]) : 0;
            double value = (double)z[y] / temperature + prior;
            sum = sum * exp(fmin(top - value, 0)) + exp(fmin(value - top, 0));
            top = fmax(top, value);
            own = y == (size_t)run->trained.held_out_labels[i] ? value : own;
        }
        loss += top + log(sum) - own;
    }
    return loss / (double)n;
}

/* Fitted to one half of the held-out pictures, and kept if it is better on the other one.  (Smoothed labels are undone
 * before a temperature would act: there it is left alone.) */
static enum infomask_status calibrate(struct run *run, struct infomask_error *err)
{
    float *z = malloc((size_t)run->trained.classes * sizeof *z);
    double temperature = 1;
    enum infomask_status status = INFOMASK_OK;

    if (z == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    run->temperature = 1;
    if (run->set.held_out.count >= LEAST_CALIBRATED && run->options->network.label_smoothing <= 0) {
        status = fit_temperature(run, z, &temperature, err);
        run->loss = loss_at(run, 1, z);
        run->calibrated_loss = loss_at(run, temperature, z);
        if (run->calibrated_loss < run->loss)
            run->temperature = temperature;
    }
    free(z);
    return status;
}

/* ---- The model folder -------------------------------------------------------------------------------------------- */

static void put_input(struct json_writer *w, const struct run *run)
{
    const struct infomask_trained *t = &run->trained;

    json_object_open(w, "input");
    json_put_int(w, "width", t->width);
    json_put_int(w, "height", t->height);
    json_put_string(w, "color", t->channels == 1 ? "GRAY" : "RGB");
    json_put_string(w, "fit", "crop");
    json_put_int(w, "crop", 1);
    json_put_string(w, "resize", "bicubic");
    for (int i = 0; i < 2; i++) {
        json_array_open(w, i == 0 ? "mean" : "std");
        for (int c = 0; c < t->channels; c++)
            json_put_double(w, NULL, (double)(i == 0 ? run->set.mean : run->set.std));
        json_array_close(w);
    }
    json_object_close(w);
}

static void put_training(struct json_writer *w, const struct run *run)
{
    const struct train_options *o = run->options;

    json_object_open(w, "training");
    json_put_string(w, "command", o->command);
    json_put_uint(w, "seed", o->seed);
    json_put_string(w, "arch", o->arch);
    json_put_uint(w, "parameters", run->trained.parameters);
    json_put_int(w, "samples", run->set.train.count);
    json_put_bool(w, "shuffled_labels", o->shuffle_labels);
    put_epoch(w, "last_epoch", &run->trained.last);
    train_put_summary(w, "held_out", &run->state);
    json_object_close(w);
}

static enum infomask_status write_model_json(const struct run *run, struct infomask_error *err)
{
    bool pc = run->options->pc_softmax, smooth = run->options->network.label_smoothing > 0;
    struct json_writer w;
    enum infomask_status status;

    json_writer_init(&w, 2);
    json_object_open(&w, NULL);
    json_put_string(&w, "name", run->folder.name);
    json_put_string(&w, "version", "1");
    json_put_string(&w, "file", "model.onnx");
    json_put_string(&w, "labels", "labels.txt");
    put_input(&w, run);
    json_put_string(&w, "prior", "prior.txt");
    json_put_string(&w, "logit_prior", pc && !smooth ? "uniform" : "prior.txt");
    json_put_string(&w, "objective", pc ? "pc-softmax" : "softmax");
    if (smooth)
        json_put_double(&w, "label_smoothing", run->options->network.label_smoothing);
    if (run->temperature < 1 || run->temperature > 1)
        json_put_double(&w, "temperature", run->temperature);
    if (run->set.canvas) { /* of several drawings each is a mask of its own, at its own size */
        json_object_open(&w, "mask");
        json_put_string(&w, "threshold", "window");
        json_put_string(&w, "resolution", "native");
        json_object_close(&w);
    }
    json_put_string(&w, "source", "infomask train");
    put_training(&w, run);
    json_object_close(&w);
    status = folder_write_json(&run->folder, "model.json", &w, err);
    json_writer_fini(&w);
    return status;
}

static void put_report(struct json_writer *w, const struct run *run, enum view_units units)
{
    json_object_open(w, NULL);
    json_put_string(w, "model", run->folder.name);
    json_put_int(w, "samples", run->set.train.count);
    json_put_uint(w, "parameters", run->trained.parameters);
    if (isfinite(run->set.truth))
        json_put_double(w, "truth", run->set.truth * view_units_factor(units));
    json_array_open(w, "epochs"); /* nats */
    for (size_t i = 0; i < run->epochs; i++)
        put_epoch(w, NULL, &run->history[i]);
    json_array_close(w);
    json_object_open(w, "held_out");
    view_estimate_members(w, &run->state, units);
    json_object_close(w);
    if (run->loss > 0) {
        json_object_open(
            w, "calibration"); /* of model.json: fitted to a half of the held-out pictures, measured on the other */
        json_put_double(w, "temperature", run->temperature);
        json_put_int(w, "samples", run->set.held_out.count / 2);
        json_put_double(w, "log_loss_without", run->loss * view_units_factor(units));
        json_put_double(w, "log_loss",
                        (run->temperature < 1 || run->temperature > 1 ? run->calibrated_loss : run->loss) *
                            view_units_factor(units));
        json_object_close(w);
    }
    json_object_close(w);
}

static enum infomask_status write_folder(struct run *run, struct infomask_error *err)
{
    struct json_writer w;
    enum infomask_status status = folder_write_classes(&run->folder, (const char *const *)run->set.names.names,
                                                       run->set.names.count, run->trained.prior, err);

    json_writer_init(&w, 2);
    put_report(&w, run, VIEW_NATS);
    if (status == INFOMASK_OK)
        status = folder_write_json(&run->folder, "report.json", &w, err);
    json_writer_fini(&w);
    if (status == INFOMASK_OK)
        status = write_model_json(run, err);
    if (status == INFOMASK_OK && run->options->report != NULL)
        status = report_training(run->options->report, run->folder.name, run->history, run->epochs, run->set.truth,
                                 run->units, err);
    if (status == INFOMASK_OK)
        status = folder_write_finish(&run->folder, err);
    return status;
}

static int print(const struct run *run)
{
    struct json_writer w;
    struct infomask_error err;

    if (!run->options->json) {
        (void)printf("\n%-22s %s, %d classes, %zu parameters%s\n", "model", run->folder.path, run->trained.classes,
                     run->trained.parameters, run->options->shuffle_labels ? "; LABELS SHUFFLED" : "");
        if (isfinite(run->set.truth))
            (void)printf("%-22s %.6g %s\n", "true information", run->set.truth * view_units_factor(run->units),
                         view_units_name(run->units));
        return train_print_state(run->cli, &run->state, run->units);
    }
    json_writer_init(&w, json_indent(false));
    put_report(&w, run, run->units);
    return write_json(&w, NULL, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(run->cli->command, "%s", err.text);
}

static void run_fini(struct run *run)
{
    if (run->log != NULL)
        (void)fclose(run->log);
    folder_write_close(&run->folder);
    estimate_state_fini(&run->state);
    train_photos_fini(&run->samples);
    infomask_trained_fini(&run->trained);
    train_set_fini(&run->set);
    free(run->history);
    free(run->checkpoint);
    pool_free(run->pool);
}

int train_network(const struct cli *cli, const struct train_options *options)
{
    struct run run = {.cli = cli, .options = options, .bar = !options->quiet && isatty(STDERR_FILENO),
                      .units = cli->params.value[PARAM_ID_UNITS].integer == 1 ? VIEW_BITS : VIEW_NATS};
    struct infomask_error err;
    enum infomask_status status = prepare(&run, &err);
    int code;

    if (status == INFOMASK_OK)
        status = learn(&run, &err);
    if (status == INFOMASK_OK)
        status = measure(&run, &err);
    if (status == INFOMASK_OK)
        status = calibrate(&run, &err);
    if (status == INFOMASK_OK)
        status = write_folder(&run, &err);
    if (status == INFOMASK_OK && run.checkpoint != NULL)
        (void)unlink(run.checkpoint); /* it has served */
    code = status == INFOMASK_OK ? print(&run) : cli_fails(cli->command, "%s", err.text);
    run_fini(&run);
    return code;
}
