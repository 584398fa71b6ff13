#include "app/model/load.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/model/folders.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "core/base/cpu.h"
#include "core/base/pool.h"

enum infomask_status load_pool(const struct config *config, struct pool **pool, struct infomask_error *err)
{
    int threads = config->threads > 0 ? config->threads : cpu_count();
    return pool_create(pool, threads < POOL_MAX_THREADS ? threads : POOL_MAX_THREADS, infomask_worker_start, NULL, err);
}

enum infomask_precision load_precision(const struct config *config)
{
    enum infomask_precision precision = INFOMASK_F32;

    while (precision != INFOMASK_AUTO && strcmp(config->precision, infomask_precision_name(precision)) != 0)
        precision = (enum infomask_precision)(precision + 1);
    return precision;
}

enum infomask_status load_options(const struct config *config, struct pool *pool, struct model_options *options,
                                  struct infomask_error *err)
{
    *options = (struct model_options){
        .isa = config->isa, .arena_limit = config->arena, .pool = pool, .precision = INFOMASK_F32,
        .state_dir = config->state_dir};
    if (strcmp(config->isa, "auto") != 0 && infomask_isa(config->isa, err) == NULL)
        return INFOMASK_ARGUMENT;
    options->precision = load_precision(config);
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

enum infomask_status load_model(const struct config *config, const char *name, const struct model_options *options,
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
