/* The catalogue that a reload swaps. */
#include "app/model/models.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/model/folders.h"
#include "app/model/one.h"
#include "app/settings/files.h"

#define MOST_MODELS 1000

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "out of memory");
}

/* ---- Folders that failed ----------------------------------------------------------------------------------------- */

void model_failures_add(struct model_failures *failures, const char *name, const char *reason)
{
    struct model_failure *more = realloc(failures->list, (failures->count + 1) * sizeof *more);
    struct model_failure added = {strdup(name), strdup(reason)};

    if (more != NULL)
        failures->list = more;
    if (more == NULL || added.name == NULL || added.reason == NULL) {
        free(added.name);
        free(added.reason);
        return;
    }
    failures->list[failures->count++] = added;
}

const char *model_failures_find(const struct model_failures *failures, const char *name)
{
    for (size_t i = 0; i < failures->count; i++)
        if (strcmp(failures->list[i].name, name) == 0)
            return failures->list[i].reason;
    return NULL;
}

struct model_failures model_failures_copy(const struct model_failures *failures)
{
    struct model_failures copy = {0};

    for (size_t i = 0; i < failures->count; i++)
        model_failures_add(&copy, failures->list[i].name, failures->list[i].reason);
    return copy;
}

void model_failures_fini(struct model_failures *failures)
{
    for (size_t i = 0; i < failures->count; i++) {
        free(failures->list[i].name);
        free(failures->list[i].reason);
    }
    free(failures->list);
    *failures = (struct model_failures){0};
}

/* ---- The shelf --------------------------------------------------------------------------------------------------- */

/* Models by name; immutable once it is in force. */
struct shelf {
    struct model **models;
    size_t count;
    size_t chosen; /* the default */
    struct model_failures failures;
};

struct models {
    char *directories, *chosen; /* what was asked for */
    char *isa, *state_dir;
    struct model_options options;
    struct residents *residents;
    pthread_mutex_t lock;   /* of shelf */
    pthread_mutex_t reload; /* one at a time */
    struct shelf shelf;
};

__attribute__((format(printf, 2, 3)))
static void warn(const struct models *models, const char *format, ...)
{
    char sentence[400];
    va_list args;

    if (models->options.warn == NULL)
        return;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    models->options.warn(models->options.warn_context, sentence);
}

static void shelf_fini(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++)
        model_release(shelf->models[i]);
    free(shelf->models);
    model_failures_fini(&shelf->failures);
    *shelf = (struct shelf){0};
}

static struct model *shelf_find(const struct shelf *shelf, const char *name)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(model_name(shelf->models[i]), name) == 0)
            return shelf->models[i];
    return NULL;
}

static struct model *shelf_find_folder(const struct shelf *shelf, const char *path)
{
    for (size_t i = 0; i < shelf->count; i++)
        if (strcmp(shelf->models[i]->folder.path, path) == 0)
            return shelf->models[i];
    return NULL;
}

/* What loading tells its caller. */
struct reading {
    const struct shelf *old;
    struct models_changes changes;
    struct model_failures *failures;
    struct infomask_error reason; /* why the folder that is meant as the default could not be loaded */
};

static bool is_meant(const struct models *models, const char *path)
{
    return models->chosen[0] == '\0' || strcmp(models->chosen, path) == 0 ||
           strcmp(models->chosen, file_name(path)) == 0;
}

/* A new model of a folder, with its network in memory. */
static enum infomask_status load_folder(const struct models *models, const char *path, struct model **model,
                                        struct infomask_error *err)
{
    size_t bound = models->options.memory, bytes;
    enum infomask_status status = model_load(path, &models->options, model, err);

    if (status != INFOMASK_OK)
        return status;
    bytes = model_info(*model)->memory_bytes;
    if (bound > 0 && bytes > bound) {
        model_release(*model);
        return error_set(err, INFOMASK_BAD_MODEL, "it needs %zu bytes of memory, more than models_memory has for all "
                         "models, %zu bytes", bytes, bound);
    }
    residents_add(models->residents, *model);
    return INFOMASK_OK;
}

/* The model of a folder: the one that is in force if its files are as they were, else a new one; if that fails, the one
 * in force stays, if it has its network.  NULL (and the reason kept) where there is none. */
static struct model *load_or_keep(const struct models *models, const char *path, struct reading *reading)
{
    struct model *old = shelf_find_folder(reading->old, path), *model = NULL;
    struct infomask_error err = {0};

    if (old != NULL && model_is_unchanged(old)) {
        reading->changes.unchanged++;
        return model_hold(old);
    }
    if (load_folder(models, path, &model, &err) == INFOMASK_OK) {
        *(old != NULL ? &reading->changes.changed : &reading->changes.added) += 1;
        return model;
    }
    reading->changes.failed++;
    if (err.status == INFOMASK_DIFFERS || (old != NULL && !resident_is_in(old)))
        old = NULL; /* the network in force may well be this one, or there is none */
    if (old == NULL)
        model_failures_add(reading->failures, file_name(path), err.text);
    warn(models, "model folder %.80s: %s%s", file_name(path), err.text,
         old != NULL ? "; its former version stays" : "");
    if (is_meant(models, path)) {
        reading->reason = err;
        error_prefix(&reading->reason, "model %.60s", file_name(path));
    }
    return old != NULL ? model_hold(old) : NULL;
}

static enum infomask_status shelf_add(const struct models *models, struct shelf *shelf, struct model *model,
                                      struct infomask_error *err)
{
    const struct model *other = shelf_find(shelf, model_name(model));

    struct model **more;

    if (other != NULL) {
        if (memcmp(&other->folder.stamp, &model->folder.stamp, sizeof other->folder.stamp) != 0)
            warn(models, "model folder %.80s: the name \"%s\" is taken by another folder",
                 file_name(model->folder.path), model_name(model));
        model_release(model); /* or the same folder by another path */
        return INFOMASK_OK;
    }
    more = realloc(shelf->models, (shelf->count + 1) * sizeof *more);
    if (more == NULL) {
        model_release(model);
        return no_memory(err);
    }
    shelf->models = more;
    shelf->models[shelf->count++] = model;
    return INFOMASK_OK;
}

/* A folder with a network but without its description is somebody's mistake, not somebody's model; one that cannot be
 * looked into may be either. */
static void tell_of_undescribed(const struct models *models, const char *path, struct reading *reading)
{
    static const char undescribed[] = "there is no model.json; infomask models add makes a folder with one";
    char *network = file_join(path, "model.onnx"), reason[160] = "", why[80];

    if (network != NULL && access(network, F_OK) == 0)
        (void)snprintf(reason, sizeof reason, "%s", undescribed);
    else if (network != NULL && (errno == EACCES || errno == EIO))
        (void)snprintf(reason, sizeof reason, "the folder cannot be looked into: %s",
                       strerror_r(errno, why, sizeof why));
    if (reason[0] != '\0') {
        model_failures_add(reading->failures, file_name(path), reason);
        warn(models, "model folder %.80s: %s", file_name(path), reason);
    }
    free(network);
}

/* Does one of the directories before number `index` have a model of that name?  Then it is the one that is meant. */
static bool is_hidden(const struct models *models, size_t index, const char *name)
{
    bool hidden = false;

    for (size_t i = 0; i < index && !hidden; i++) {
        char *directory = folders_part(models->directories, i),
             *path = directory != NULL ? file_join(directory, name) : NULL;
        hidden = path != NULL && folder_has_document(path);
        free(path);
        free(directory);
    }
    return hidden;
}

/* Every folder of the directory that has a model.json, in the order of their names. */
static enum infomask_status read_directory(const struct models *models, size_t index, const char *directory,
                                           struct shelf *shelf, struct reading *reading, struct infomask_error *err)
{
    struct dirent **entries = NULL;
    int count = scandir(directory, &entries, folder_is_candidate, alphasort);
    enum infomask_status status = INFOMASK_OK;

    if (count < 0 && errno == ENOMEM)
        return no_memory(err);
    if (count < 0 && errno == EACCES) /* not under a confinement that began before the folder was made */
        warn(models, "the models in %.200s are not seen: the folder may not be read, or was made after the start of "
                     "a confined service, which a restart mends", directory);
    for (int i = 0; i < count; i++) {
        char *path = status == INFOMASK_OK ? file_join(directory, entries[i]->d_name) : NULL;
        bool hidden = path != NULL && is_hidden(models, index, entries[i]->d_name);
        if (path != NULL && !hidden && folder_has_document(path) && shelf->count < MOST_MODELS) {
            struct model *model = load_or_keep(models, path, reading);
            if (model != NULL)
                status = shelf_add(models, shelf, model, err);
        } else if (path != NULL && !hidden) {
            tell_of_undescribed(models, path, reading);
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static enum infomask_status read_directories(const struct models *models, struct shelf *shelf, struct reading *reading,
                                             struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    char *directory;

    for (size_t i = 0; status == INFOMASK_OK && (directory = folders_part(models->directories, i)) != NULL; i++) {
        status = read_directory(models, i, directory, shelf, reading, err);
        free(directory);
    }
    return status;
}

static int compare_models(const void *a, const void *b)
{
    return strcmp(model_name(*(struct model *const *)a), model_name(*(struct model *const *)b));
}

/* The default: what was asked for by name or path; else the model that the project comes with; else the first by name.
 */
static struct model *choose(const struct models *models, const struct shelf *shelf)
{
    if (models->chosen[0] == '\0') {
        struct model *own = shelf_find(shelf, FOLDER_OWN_MODEL);
        return own != NULL || shelf->count == 0 ? own : shelf->models[0];
    }
    return folder_is_path(models->chosen) ? shelf_find_folder(shelf, models->chosen)
                                          : shelf_find(shelf, models->chosen);
}

static void list_names(const struct shelf *shelf, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < shelf->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%s", i > 0 ? ", " : "", model_name(shelf->models[i]));
    if (used >= size) /* cut */
        (void)snprintf(text + size - 4, 4, "...");
}

/* reason: why the folder that may be meant could not be loaded */
static enum infomask_status no_default(const struct models *models, const struct shelf *shelf,
                                       const struct infomask_error *reason, struct infomask_error *err)
{
    char names[100];

    if (shelf->count == 0 && reason->status != INFOMASK_OK)
        return error_set(err, reason->status, "%s", reason->text);
    if (shelf->count == 0)
        return error_set(err, INFOMASK_ARGUMENT,
                         "there is no model folder in %.120s: make model fetches the default one", models->directories);
    if (reason->status != INFOMASK_OK)
        return error_set(err, reason->status, "the default %.240s", reason->text);
    list_names(shelf, names, sizeof names);
    return error_set(err, INFOMASK_ARGUMENT, "no model is named \"%.60s\"; there are: %s", models->chosen, names);
}

static enum infomask_status fill_shelf(const struct models *models, struct shelf *shelf, struct reading *reading,
                                       struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct model *chosen;

    reading->failures = &shelf->failures;
    if (folder_is_path(models->chosen)) {
        chosen = load_or_keep(models, models->chosen, reading);
        if (chosen != NULL)
            status = shelf_add(models, shelf, chosen, err);
    }
    if (status == INFOMASK_OK)
        status = read_directories(models, shelf, reading, err);
    if (status != INFOMASK_OK)
        return status;
    if (shelf->count > 0)
        qsort(shelf->models, shelf->count, sizeof *shelf->models, compare_models);
    chosen = choose(models, shelf);
    if (chosen == NULL)
        return no_default(models, shelf, &reading->reason, err);
    while (shelf->models[shelf->chosen] != chosen)
        shelf->chosen++;
    return INFOMASK_OK;
}

static enum infomask_status copy_arguments(struct models *models, const char *directories, const char *chosen)
{
    bool has_isa = models->options.isa != NULL;

    models->directories = strdup(directories);
    models->chosen = strdup(chosen != NULL ? chosen : "");
    models->isa = has_isa ? strdup(models->options.isa) : NULL;
    models->options.isa = models->isa;
    models->state_dir = strdup(models->options.state_dir != NULL ? models->options.state_dir : "");
    models->options.state_dir = models->options.state_dir != NULL ? models->state_dir : NULL;
    return models->directories != NULL && models->state_dir != NULL && models->chosen != NULL &&
                   (models->isa != NULL || !has_isa)
               ? INFOMASK_OK
               : INFOMASK_MEMORY;
}

static enum infomask_status look_again(void *context, struct infomask_error *err);

enum infomask_status models_create(const char *directories, const char *default_model,
                                   const struct model_options *options, struct models **models,
                                   struct infomask_error *err)
{
    struct models *made = calloc(1, sizeof *made);
    struct reading reading = {0};
    enum infomask_status status;

    if (made == NULL)
        return no_memory(err);
    made->options = *options;
    (void)pthread_mutex_init(&made->lock, NULL);
    (void)pthread_mutex_init(&made->reload, NULL);
    reading.old = &made->shelf;
    if (copy_arguments(made, directories, default_model) != INFOMASK_OK)
        status = no_memory(err);
    else
        status = residents_create(&made->options, look_again, made, &made->residents, err);
    if (status == INFOMASK_OK)
        status = fill_shelf(made, &made->shelf, &reading, err);
    if (status != INFOMASK_OK) {
        models_free(made);
        return status;
    }
    residents_prefer(made->residents, made->shelf.models[made->shelf.chosen]);
    *models = made;
    return INFOMASK_OK;
}

void models_free(struct models *models)
{
    if (models == NULL)
        return;
    residents_end(models->residents);
    shelf_fini(&models->shelf);
    residents_free(models->residents);
    (void)pthread_mutex_destroy(&models->lock);
    (void)pthread_mutex_destroy(&models->reload);
    free(models->directories);
    free(models->chosen);
    free(models->isa);
    free(models->state_dir);
    free(models);
}

struct model *models_find(struct models *models, const char *name, struct infomask_error *err)
{
    struct model *model;
    char names[160], reason[200] = "";
    const char *failed;

    (void)pthread_mutex_lock(&models->lock);
    if (name == NULL || name[0] == '\0')
        model = models->shelf.models[models->shelf.chosen];
    else
        model = shelf_find(&models->shelf, name);
    if (model != NULL)
        (void)model_hold(model);
    else
        list_names(&models->shelf, names, sizeof names);
    failed = model == NULL && name != NULL ? model_failures_find(&models->shelf.failures, name) : NULL;
    if (failed != NULL)
        (void)snprintf(reason, sizeof reason, "%s", failed);
    (void)pthread_mutex_unlock(&models->lock);
    if (failed != NULL)
        (void)error_set(err, INFOMASK_BAD_MODEL, "model %.63s cannot be served: %s", name, reason);
    else if (model == NULL)
        (void)error_set(err, INFOMASK_ARGUMENT, "no model is named \"%.63s\"; there are: %s", name, names);
    return model;
}

struct model *models_get(struct models *models, const char *name, struct infomask_error *err)
{
    struct model *model = models_find(models, name, err);

    if (model == NULL || model_state(model, NULL) != MODEL_STOPPED)
        return model;
    (void)resident_stopped_error(model, err);
    model_release(model);
    return NULL;
}

enum infomask_status models_list(struct models *models, struct model ***list, size_t *count, size_t *default_index,
                                 struct infomask_error *err)
{
    struct model **copy;

    (void)pthread_mutex_lock(&models->lock);
    copy = calloc(models->shelf.count, sizeof *copy);
    for (size_t i = 0; copy != NULL && i < models->shelf.count; i++)
        copy[i] = model_hold(models->shelf.models[i]);
    *count = models->shelf.count;
    *default_index = models->shelf.chosen;
    (void)pthread_mutex_unlock(&models->lock);
    *list = copy;
    return copy != NULL ? INFOMASK_OK : no_memory(err);
}

void models_list_free(struct model **list, size_t count)
{
    for (size_t i = 0; list != NULL && i < count; i++)
        model_release(list[i]);
    free(list);
}

struct model_failures models_failed(struct models *models)
{
    struct model_failures copy;

    (void)pthread_mutex_lock(&models->lock);
    copy = model_failures_copy(&models->shelf.failures);
    (void)pthread_mutex_unlock(&models->lock);
    return copy;
}

/* ---- Looking at the folders again -------------------------------------------------------------------------------- */

/* Models that an administrator took out of service come back; those but the named one do not, if one is named. */
static void start_again(const struct models *models, const struct shelf *old, const char *name)
{
    for (size_t i = 0; i < models->shelf.count; i++) {
        struct model *model = models->shelf.models[i], *before = shelf_find(old, model_name(model));
        bool stopped = name != NULL && strcmp(name, model_name(model)) != 0 && before != NULL &&
                       model_state(before, NULL) == MODEL_STOPPED;
        resident_stop(model, stopped);
    }
    residents_prefer(models->residents, models->shelf.models[models->shelf.chosen]);
}

/* The new shelf is filled beside the old one, which only this replaces: requests go on meanwhile. */
static enum infomask_status reload(struct models *models, const char *name, struct models_changes *changes,
                                   struct infomask_error *err)
{
    struct shelf shelf = {0}, old;
    struct reading reading = {.old = &models->shelf};
    enum infomask_status status;

    (void)pthread_mutex_lock(&models->reload);
    status = fill_shelf(models, &shelf, &reading, err);
    if (status == INFOMASK_OK) {
        for (size_t i = 0; i < models->shelf.count; i++)
            reading.changes.removed += shelf_find(&shelf, model_name(models->shelf.models[i])) == NULL;
        (void)pthread_mutex_lock(&models->lock);
        old = models->shelf;
        models->shelf = shelf;
        (void)pthread_mutex_unlock(&models->lock);
        start_again(models, &old, name);
        shelf_fini(&old);
        if (changes != NULL)
            *changes = reading.changes;
    } else {
        shelf_fini(&shelf);
    }
    (void)pthread_mutex_unlock(&models->reload);
    return status;
}

static enum infomask_status look_again(void *context, struct infomask_error *err)
{
    return reload(context, "", NULL, err);
}

enum infomask_status models_reload(struct models *models, struct models_changes *changes, struct infomask_error *err)
{
    return reload(models, NULL, changes, err);
}

enum infomask_status models_load(struct models *models, const char *name, struct infomask_error *err)
{
    return reload(models, name, NULL, err);
}

enum infomask_status models_unload(struct models *models, const char *name, struct infomask_error *err)
{
    struct model *model, *best;

    (void)pthread_mutex_lock(&models->reload); /* the default stays what it is */
    model = models_get(models, name, err);
    best = models_find(models, NULL, NULL);
    if (model != NULL && model == best)
        (void)error_set(err, INFOMASK_ARGUMENT, "%.63s is the default model: it cannot be unloaded", name);
    else if (model != NULL)
        resident_stop(model, true);
    (void)pthread_mutex_unlock(&models->reload);
    enum infomask_status status = model != NULL && model != best ? INFOMASK_OK : INFOMASK_ARGUMENT;
    model_release(model);
    model_release(best);
    return status;
}

/* ---- Memory ------------------------------------------------------------------------------------------------------ */

void models_expire(struct models *models, double now_ms)
{
    residents_expire(models->residents, now_ms);
}

struct models_memory models_memory(struct models *models)
{
    struct models_memory memory;

    residents_state(models->residents, &memory);
    return memory;
}

void models_trim(struct models *models)
{
    struct model **list;
    size_t count, chosen;

    if (models_list(models, &list, &count, &chosen, NULL) != INFOMASK_OK)
        return;
    for (size_t i = 0; i < count; i++)
        model_trim(list[i]);
    models_list_free(list, count);
}
