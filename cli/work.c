#include "cli/show.h"
#include "cli/work.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"

/* ---- Threads and model ------------------------------------------------------------------------------------------------ */

enum infomask_status work_pool(const struct config *config, struct pool **pool, struct infomask_error *err)
{
    int threads = config->threads > 0 ? config->threads : cpu_count();
    return pool_create(pool, threads < POOL_MAX_THREADS ? threads : POOL_MAX_THREADS, infomask_worker_start, NULL, err);
}

enum infomask_precision work_precision(const struct config *config)
{
    enum infomask_precision precision = INFOMASK_F32;

    while (precision != INFOMASK_AUTO && strcmp(config->precision, infomask_precision_name(precision)) != 0)
        precision = (enum infomask_precision)(precision + 1);
    return precision;
}

enum infomask_status work_model_options(const struct config *config, struct pool *pool, struct model_options *options,
                                        struct infomask_error *err)
{
    *options = (struct model_options){
        .isa = config->isa, .arena_limit = config->arena, .pool = pool, .warn = cli_warns, .precision = INFOMASK_F32};
    if (strcmp(config->isa, "auto") != 0 && infomask_isa(config->isa, err) == NULL)
        return INFOMASK_ARGUMENT;
    options->precision = work_precision(config);
    return infomask_precision_check(options->precision, config->isa, err);
}

enum infomask_status work_model(const struct config *config, const char *name, const struct model_options *options,
                                struct model **model, struct infomask_error *err)
{
    char *directory = place_of_models(config->models_dir), *folder = NULL;
    enum infomask_status status;

    if (name == NULL)
        name = config->model;
    if (directory != NULL && name[0] == '\0')
        folder = models_default_folder(directory);
    else if (directory != NULL)
        folder = models_folder(directory, name);
    if (folder != NULL)
        status = model_load(folder, options, model, err);
    else if (directory != NULL && name[0] == '\0')
        status = error_set(err, INFOMASK_IO, "there is no model folder in %.150s; make model fetches the default one",
                           directory);
    else
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status != INFOMASK_OK && (folder != NULL || name[0] != '\0'))
        error_prefix(err, "model %.60s", file_name(folder != NULL ? folder : name));
    free(directory);
    free(folder);
    return status;
}

static int parameters_fail(const struct work *work, enum param_failure failure, const struct infomask_error *err)
{
    if (failure == PARAM_BAD)
        return cli_misused(work->cli->command, "%s", err->text);
    return cli_fails(work->cli->command, "%s", err->text);
}

int work_open(struct work *work, struct cli *cli)
{
    struct model_options options;
    struct infomask_error err;
    enum param_failure failure = PARAM_FINE;
    enum infomask_status status;
    int code = -1;

    *work = (struct work){.cli = cli};
    status = work_pool(&cli->config, &work->pool, &err);
    if (status == INFOMASK_OK)
        status = work_model_options(&cli->config, work->pool, &options, &err);
    if (status == INFOMASK_OK)
        status = work_model(&cli->config, NULL, &options, &work->model, &err);
    if (status == INFOMASK_OK)
        failure = param_options_init(&work->options, &cli->params, work->model, &err);
    if (status == INFOMASK_OK && failure == PARAM_FINE)
        status = model_session_take(work->model, &work->session, &err);
    if (failure != PARAM_FINE)
        code = parameters_fail(work, failure, &err);
    else if (status != INFOMASK_OK)
        code = cli_fails(cli->command, "%s", err.text);
    if (code >= 0)
        work_close(work);
    return code;
}

void work_close(struct work *work)
{
    param_options_fini(&work->options);
    if (work->model != NULL)
        model_session_give(work->model, work->session);
    model_release(work->model);
    pool_free(work->pool);
}

/* ---- One photo -------------------------------------------------------------------------------------------------------- */

struct infomask_limits work_photo_limits(const struct config *config)
{
    struct infomask_limits limits = infomask_default_limits();

    limits.max_pixels = config->max_pixels;
    limits.max_side = config->max_side;
    limits.max_scans = config->max_scans;
    limits.decoder_memory = config->decoder_memory;
    return limits;
}

enum infomask_status shot_open(struct work *work, const char *path, bool whole, struct shot *shot,
                               struct infomask_error *err)
{
    struct infomask_limits limits = work_photo_limits(&work->cli->config);
    enum infomask_status status;

    *shot = (struct shot){.path = path, .head.started_ms = clock_ms()};
    status = file_read(path, work->cli->config.max_body, &shot->bytes, &shot->size, err);
    if (status == INFOMASK_OK)
        status = infomask_photo_open(shot->bytes, shot->size, &limits, &shot->photo, err);
    if (status == INFOMASK_OK && whole)
        infomask_photo_whole(shot->photo);
    if (status == INFOMASK_OK)
        status = infomask_classify(work->session, shot->photo, &work->options.classify, &shot->classification, err);
    if (status != INFOMASK_OK) {
        shot_close(shot);
        return status;
    }
    shot->head.model = work->model;
    shot->head.image = infomask_photo_info(shot->photo);
    shot->head.units = work->options.bits ? VIEW_BITS : VIEW_NATS;
    shot->head.prior = work->options.prior;
    shot->head.file = work->cli->operand_count > 1 ? path : NULL;
    return INFOMASK_OK;
}

void shot_close(struct shot *shot)
{
    infomask_classification_fini(&shot->classification);
    infomask_photo_close(shot->photo);
    free(shot->bytes);
    *shot = (struct shot){0};
}

/* ---- Output ----------------------------------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat at;
    size_t length = strlen(path);
    return (length > 0 && path[length - 1] == '/') || (stat(path, &at) == 0 && S_ISDIR(at.st_mode));
}

/* the file's name without folders; *length without the extension */
static const char *stem(const char *path, size_t *length)
{
    const char *name = file_name(path), *dot = strrchr(name, '.');
    *length = dot != NULL && dot != name ? (size_t)(dot - name) : strlen(name);
    return name;
}

/* a/x.png and b/x.jpg would both become x.png */
static int check_stems(const struct cli *cli)
{
    for (int i = 0; i < cli->operand_count; i++) {
        size_t length, other;
        const char *name = stem(cli->operands[i], &length);
        for (int j = 0; j < i; j++) {
            const char *before = stem(cli->operands[j], &other);
            if (length == other && strncmp(name, before, length) == 0)
                return cli_misused(cli->command, "%s and %s would be written to the same file", cli->operands[j],
                                   cli->operands[i]);
        }
    }
    return -1;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A photo is not lost because its picture was to have the same name. */
static int check_inputs(const struct output *output, const struct cli *cli)
{
    for (int i = 0; i < cli->operand_count; i++) {
        char *target = NULL;
        size_t length;
        const char *name = stem(cli->operands[i], &length);
        bool same = output->folder ? asprintf(&target, "%s/%.*s.%s", output->path, (int)length, name, output->extension) >= 0 &&
                                         same_file(target, cli->operands[i])
                                   : same_file(output->path, cli->operands[i]);
        free(target);
        if (same)
            return cli_misused(cli->command, "%s would be written over: choose another name with -o", cli->operands[i]);
    }
    return -1;
}

int output_open(struct output *output, const struct cli *cli)
{
    output->count = cli->operand_count;
    if (output->extension == NULL)
        return output->path != NULL && is_folder(output->path)
                   ? cli_misused(cli->command, "JSON goes into one file; %s is a folder", output->path)
                   : -1;
    if (output->show && output->path == NULL)
        return -1;
    if (output->path == NULL && output->count > 1)
        return cli_misused(cli->command, "pictures of several photos need -o FOLDER");
    if (output->path == NULL)
        return isatty(STDOUT_FILENO) ? cli_misused(cli->command, "a picture needs -o FILE (or a pipe)") : -1;
    output->folder = is_folder(output->path);
    if (output->count > 1 && !output->folder)
        return cli_misused(cli->command, "pictures of several photos need a folder: -o %s/", output->path);
    if (!output->folder)
        return check_inputs(output, cli);
    if (mkdir(output->path, 0777) != 0 && errno != EEXIST)
        return cli_fails(cli->command, "%s: %s", output->path, strerror(errno));
    return check_stems(cli) < 0 ? check_inputs(output, cli) : CLI_USAGE;
}

enum infomask_status output_picture(const struct output *output, const char *path,
                                    const struct infomask_encoded *encoded, struct infomask_error *err)
{
    char *target = NULL;
    enum infomask_status status;
    size_t length;

    if (output->show) {
        status = show_picture(encoded, err);
        if (status != INFOMASK_OK || output->path == NULL)
            return status;
    }
    if (output->folder) {
        const char *name = stem(path, &length);
        if (asprintf(&target, "%s/%.*s.%s", output->path, (int)length, name, output->extension) < 0)
            return error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    status = file_write(target != NULL ? target : output->path != NULL ? output->path : "-", encoded->data, encoded->size,
                        err);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", target != NULL ? target : output->path != NULL ? output->path : "standard output");
    free(target);
    return status;
}

void output_tell(const struct output *output, const char *format, ...)
{
    va_list args;

    if (output->quiet || (output->path == NULL && !output->show))
        return;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
}

int json_indent(bool pretty)
{
    return pretty || isatty(STDOUT_FILENO) ? 2 : 0;
}

enum infomask_status write_json(struct json_writer *writer, const char *path, struct infomask_error *err)
{
    enum infomask_status status;
    char *text = NULL;
    size_t size;

    if (path == NULL)
        path = "-";
    status = json_writer_take(writer, &text, &size, err);
    if (status == INFOMASK_OK)
        status = file_write(path, text, size, err);
    if (status == INFOMASK_IO)
        error_prefix(err, "%.120s", strcmp(path, "-") == 0 ? "standard output" : path);
    free(text);
    return status;
}

/* ---- The loop --------------------------------------------------------------------------------------------------------- */

struct loop {
    struct work *work;
    const struct output *output;
    work_step *step;
    void *context;
    int code;
};

/* A photo that failed: a sentence for the user, and a problem among the results. */
static void photo_fails(const struct loop *loop, struct json_writer *writer, const char *path,
                        const struct infomask_error *err)
{
    char detail[INFOMASK_ERROR_TEXT + 160];

    (void)snprintf(detail, sizeof detail, "%.150s: %s", path, err->text);
    (void)cli_fails(loop->work->cli->command, "%s", detail);
    if (loop->output->extension == NULL && loop->output->count > 1)
        view_problem(writer, NULL, err->status == INFOMASK_IO ? VIEW_BAD_REQUEST : view_problem_of(err->status), detail,
                     NULL);
}

static void run_loop(void *context)
{
    struct loop *loop = context;
    bool json = loop->output->extension == NULL, several = json && loop->output->count > 1;
    struct json_writer writer;
    struct infomask_error err = {0};

    json_writer_init(&writer, json_indent(loop->output->pretty));
    if (several) {
        json_object_open(&writer, NULL);
        json_array_open(&writer, "results");
    }
    for (int i = 0; i < loop->output->count; i++) {
        const char *path = loop->work->cli->operands[i];
        if (loop->step(loop->work, loop->output, path, &writer, loop->context, &err) != INFOMASK_OK) {
            photo_fails(loop, &writer, path, &err);
            loop->code = CLI_FAILED;
        }
    }
    if (several) {
        json_array_close(&writer);
        json_object_close(&writer);
    }
    if (json && (several || loop->code == CLI_DONE) && write_json(&writer, loop->output->path, &err) != INFOMASK_OK)
        loop->code = cli_fails(loop->work->cli->command, "%s", err.text);
    json_writer_fini(&writer);
}

int work_files(struct work *work, const struct output *output, work_step *step, void *context)
{
    struct loop loop = {work, output, step, context, CLI_DONE};

    pool_run(work->pool, run_loop, &loop);
    return loop.code;
}
