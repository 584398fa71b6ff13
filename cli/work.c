#include "cli/work.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/model/folders.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/cli.h"
#include "core/base/clock.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"

/* ---- Threads and model ------------------------------------------------------------------------------------------- */

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

/* The folder of a model by its name, "" the default one; NULL: there is none, and err says so. */
static char *find_folder(const char *directories, const char *name, struct infomask_error *err)
{
    char *folder = name[0] == '\0' ? models_default_folder(directories) : models_folder(directories, name), hint[120];

    if (folder == NULL && name[0] == '\0') {
        (void)error_set(err, INFOMASK_IO, "there is no model folder in %.150s; make model fetches the default one",
                        directories);
    } else if (folder == NULL) {
        (void)error_set(err, INFOMASK_MEMORY, "out of memory");
    } else if (!folder_is_path(name) && access(folder, F_OK) != 0) {
        models_suggest(directories, name, hint, sizeof hint);
        (void)error_set(err, INFOMASK_ARGUMENT, "there is no model of that name%s; looked for in %.120s", hint,
                        directories);
        free(folder);
        folder = NULL;
    }
    return folder;
}

enum infomask_status work_model(const struct config *config, const char *name, const struct model_options *options,
                                struct model **model, struct infomask_error *err)
{
    char *directories = place_of_models(config->models_dir), *folder;
    enum infomask_status status;

    if (directories == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (name == NULL)
        name = config->model;
    folder = find_folder(directories, name, err);
    status = folder != NULL ? model_load(folder, options, model, err) : err->status;
    if (status != INFOMASK_OK && (folder != NULL || name[0] != '\0'))
        error_prefix(err, "model %.60s", file_name(folder != NULL ? folder : name));
    free(directories);
    free(folder);
    return status;
}

enum infomask_status work_folder_write(const struct config *config, const char *name, bool replace,
                                       struct folder_write *folder, struct infomask_error *err)
{
    char *directory = place_of_new_models(config->models_dir);
    enum infomask_status status;

    if (directory == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    status = folder_write_open(folder, directory, name, replace, err);
    free(directory);
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

/* ---- One photo --------------------------------------------------------------------------------------------------- */

struct infomask_limits work_photo_limits(const struct config *config)
{
    struct infomask_limits limits = infomask_default_limits();

    limits.max_pixels = config->max_pixels;
    limits.max_side = config->max_side;
    limits.max_scans = config->max_scans;
    limits.decoder_memory = config->decoder_memory;
    return limits;
}

enum infomask_status shot_open(const struct work *work, struct infomask_session *session, const char *path, bool whole,
                               struct shot *shot, struct infomask_error *err)
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
        status = infomask_classify(session, shot->photo, &work->options.classify, &shot->classification, err);
    if (status != INFOMASK_OK) {
        shot_close(shot);
        return status;
    }
    shot->head.model = work->model;
    shot->head.image = infomask_photo_info(shot->photo);
    shot->head.units = work->options.bits ? VIEW_BITS : VIEW_NATS;
    shot->head.prior = work->options.prior;
    return INFOMASK_OK;
}

void shot_close(struct shot *shot)
{
    infomask_classification_fini(&shot->classification);
    infomask_photo_close(shot->photo);
    free(shot->bytes);
    *shot = (struct shot){0};
}

/* ---- JSON -------------------------------------------------------------------------------------------------------- */

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
