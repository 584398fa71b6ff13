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

enum infomask_status work_load(const struct config *config, struct pool *pool, const char *name, struct model **model,
                               struct infomask_error *err)
{
    struct model_options options;
    enum infomask_status status = work_model_options(config, pool, &options, err);

    return status == INFOMASK_OK ? work_model(config, name, &options, model, err) : status;
}

enum infomask_status work_take(struct work *work, const struct cli *cli, const char *name, enum view_problem *problem,
                               struct infomask_error *err)
{
    struct model *model = NULL;
    enum infomask_status status;

    *work = (struct work){.cli = cli};
    *problem = VIEW_INTERNAL;
    status = work_pool(&cli->config, &work->pool, err);
    if (status == INFOMASK_OK)
        status = work_load(&cli->config, work->pool, name, &model, err);
    return status == INFOMASK_OK ? ask_open(&work->ask, model, &cli->params, problem, err) : status;
}

int work_open(struct work *work, struct cli *cli)
{
    enum view_problem problem;
    struct infomask_error err;
    enum infomask_status status = work_take(work, cli, NULL, &problem, &err);

    if (status == INFOMASK_OK)
        status = ask_session(&work->ask, &err);
    if (status == INFOMASK_OK)
        return -1;
    work_close(work);
    return problem == VIEW_BAD_PARAMETER ? cli_misused(cli->command, "%s", err.text)
                                         : cli_fails(cli->command, "%s", err.text);
}

void work_close(struct work *work)
{
    ask_close(&work->ask);
    pool_free(work->pool);
}

/* ---- One photo --------------------------------------------------------------------------------------------------- */

enum infomask_status shot_open(const struct work *work, struct infomask_session *session, const char *path, bool whole,
                               struct shot *shot, struct infomask_error *err)
{
    struct infomask_limits limits = ask_limits(&work->cli->config);
    double started_ms = clock_ms();
    enum infomask_status status;

    *shot = (struct shot){.path = path};
    status = file_read(path, work->cli->config.max_body, &shot->bytes, &shot->size, err);
    if (status == INFOMASK_OK)
        status = infomask_photo_open(shot->bytes, shot->size, &limits, &shot->photo, err);
    if (status == INFOMASK_OK && whole)
        infomask_photo_whole(shot->photo);
    if (status == INFOMASK_OK)
        status = infomask_classify(session, shot->photo, &work->ask.options.classify, &shot->classification, err);
    if (status != INFOMASK_OK) {
        shot_close(shot);
        return status;
    }
    shot->head = ask_head(&work->ask, infomask_photo_info(shot->photo));
    shot->head.started_ms = started_ms;
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
