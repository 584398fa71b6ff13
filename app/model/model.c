/* One model: loaded from its folder, counted by reference, its classes and its idle sessions. */
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "app/model/check_record.h"
#include "app/model/folders.h"
#include "app/model/one.h"
#include "app/settings/files.h"
#include "core/base/pool.h"

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "out of memory");
}

/* ---- One model --------------------------------------------------------------------------------------------------- */

static void model_free(struct model *model)
{
    if (model->leave != NULL)
        model->leave(model);
    for (int i = 0; i < model->idle_count; i++)
        infomask_session_free(model->idle[i]);
    for (int i = 0; i < MODEL_TEXTS; i++)
        kept_fini(&model->texts[i]);
    free(model->idle);
    infomask_model_free(model->core);
    model_folder_fini(&model->folder);
    (void)pthread_mutex_destroy(&model->lock);
    free(model);
}

static struct check_record record_of(const struct model_folder *folder, const char *isa, const char *state_dir)
{
    return (struct check_record){folder->path, folder->name, state_dir, isa,
                                 infomask_precision_name(folder->spec.precision)};
}

static bool is_known(const struct model_folder *folder, const char *kernels, const struct model_options *options,
                     struct infomask_known *known)
{
    const char *isa = infomask_isa(kernels, NULL);
    struct check_record record = record_of(folder, isa, options->state_dir);

    return isa != NULL && options->verify == INFOMASK_VERIFY_AT_LOAD && check_record_find(&record, known);
}

/* Was the load's own comparison one that no later load should make again? */
static bool took_a_while(const struct model *model)
{
    return model->folder.spec.precision == INFOMASK_INT8 && model_info(model)->how == INFOMASK_VERIFIED_SMALL;
}

enum infomask_status model_keep_check(const struct model *model, const char *state_dir, struct infomask_error *err)
{
    const struct infomask_model_info *info = model_info(model);
    struct check_record record = record_of(&model->folder, info->isa, state_dir);
    struct infomask_known known = {.equal = info->equal, .error = info->error, .most = info->most};

    if (!info->verified || info->not_finite || (info->how != INFOMASK_VERIFIED_WHOLE && !took_a_while(model)))
        return INFOMASK_OK;
    known.error = fmin(known.error, 1e300); /* of outputs that are not finite: JSON has no infinity */
    memcpy(known.digest, info->digest, sizeof known.digest);
    return check_record_keep(&record, &known, err);
}

enum infomask_status model_bring_network(struct model *model, const struct model_options *options,
                                         struct infomask_error *err)
{
    struct infomask_model_spec spec = model->folder.spec;
    struct infomask_known known;
    bool again = model->core != NULL;
    enum infomask_status status;

    spec.isa = options->isa != NULL && strcmp(options->isa, "auto") != 0 ? options->isa : NULL;
    spec.arena_limit = options->arena_limit;
    spec.verify = options->verify;
    spec.known = is_known(&model->folder, spec.isa, options, &known) ? &known : NULL;
    status = again ? infomask_model_reload(model->core, &spec, err)
                                 : infomask_model_load(&spec, &model->core, err);
    if (status == INFOMASK_IO && access(spec.path, F_OK) != 0)
        return error_set(err, INFOMASK_IO, "its %.60s is missing; make model fetches that of " FOLDER_OWN_MODEL,
                         file_name(spec.path));
    if (status != INFOMASK_OK)
        error_prefix(err, "%.60s", file_name(spec.path));
    else if (!again && took_a_while(model)) { /* where it cannot be kept it is asked again */
        struct infomask_error why;
        (void)!model_keep_check(model, options->state_dir, &why);
    }
    return status;
}

static enum infomask_status load_network(struct model *model, const struct model_options *options,
                                         struct infomask_error *err)
{
    struct model_folder *folder = &model->folder;
    enum infomask_status status = model_bring_network(model, options, err);

    folder->spec.arena_limit = options->arena_limit;
    folder->spec.verify = options->verify;
    if (status == INFOMASK_OK && folder->labels.count == 0)
        status = labels_number(infomask_model_info(model->core)->classes, &folder->labels, err);
    return status;
}

bool model_is_unchanged(const struct model *model)
{
    struct model_stamp now = model_folder_stamp(&model->folder);
    return memcmp(&now, &model->folder.stamp, sizeof now) == 0;
}

void model_drop_network(struct model *model)
{
    (void)pthread_mutex_lock(&model->lock);
    for (int i = 0; i < model->idle_count; i++)
        infomask_session_free(model->idle[i]);
    model->idle_count = 0;
    (void)pthread_mutex_unlock(&model->lock);
    infomask_model_unload(model->core);
}

enum infomask_status model_load(const char *folder, const struct model_options *options, struct model **model,
                                struct infomask_error *err)
{
    struct model *made = calloc(1, sizeof *made);
    enum infomask_status status;

    if (made == NULL)
        return no_memory(err);
    atomic_init(&made->references, 1);
    if (getrandom(&made->serial, sizeof made->serial, 0) != (ssize_t)sizeof made->serial)
        made->serial = (uint64_t)(uintptr_t)made ^ (uint64_t)time(NULL) << 32;
    (void)pthread_mutex_init(&made->lock, NULL);
    made->pool = options->pool;
    made->idle_room = pool_threads(options->pool);
    made->idle = calloc((size_t)made->idle_room, sizeof *made->idle);
    status = made->idle != NULL ? model_folder_read(folder, options->precision, options->isa, options->warn,
                                                    options->warn_context, &made->folder, err)
                                : no_memory(err);
    if (status == INFOMASK_OK)
        status = load_network(made, options, err);
    if (status == INFOMASK_OK)
        *model = made;
    else
        model_free(made);
    return status;
}

struct model *model_hold(struct model *model)
{
    (void)atomic_fetch_add_explicit(&model->references, 1, memory_order_relaxed);
    return model;
}

void model_release(struct model *model)
{
    if (model != NULL && atomic_fetch_sub_explicit(&model->references, 1, memory_order_acq_rel) == 1)
        model_free(model);
}

const char *model_name(const struct model *model)
{
    return model->folder.name;
}

uint64_t model_serial(const struct model *model)
{
    return model->serial;
}

const char *model_folder_path(const struct model *model)
{
    return model->folder.path;
}

const char *model_version(const struct model *model)
{
    return model->folder.version;
}

struct infomask_model *model_core(const struct model *model)
{
    return model->core;
}

const struct infomask_model_info *model_info(const struct model *model)
{
    return infomask_model_info(model->core);
}

const struct json *model_document(const struct model *model)
{
    return model->folder.document;
}

const struct infomask_model_spec *model_spec(const struct model *model)
{
    return &model->folder.spec;
}

struct statistics *model_statistics(struct model *model)
{
    return &model->statistics;
}

struct kept_slot *model_text(struct model *model, enum model_text text)
{
    return &model->texts[text];
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

size_t model_classes(const struct model *model)
{
    return model->folder.labels.count;
}

const char *model_label(const struct model *model, size_t index)
{
    const struct labels *labels = &model->folder.labels;
    return index < labels->count ? labels->names[labels->first[index]]
                                 : model->folder.groups.names[index - labels->count];
}

const struct groups *model_groups(const struct model *model)
{
    return &model->folder.groups;
}

bool model_is_group(const struct model *model, int target)
{
    return (size_t)target >= model_classes(model);
}

const struct labels *model_labels(const struct model *model)
{
    return &model->folder.labels;
}

const char *const *model_aliases(const struct model *model, size_t index, size_t *count)
{
    const struct labels *labels = &model->folder.labels;
    *count = labels->first[index + 1] - labels->first[index] - 1;
    return labels->names + labels->first[index] + 1;
}

enum model_class_status model_find_class(const struct model *model, const char *name, int *index,
                                         struct infomask_error *err)
{
    switch (labels_find(&model->folder.labels, name, index, err)) {
    case LABELS_FOUND:
        return MODEL_CLASS_FOUND;
    case LABELS_AMBIGUOUS:
        return MODEL_CLASS_AMBIGUOUS;
    default:
        return MODEL_CLASS_UNKNOWN;
    }
}

/* ---- Sessions ---------------------------------------------------------------------------------------------------- */

enum infomask_status model_session_take(struct model *model, struct infomask_session **session,
                                        struct infomask_error *err)
{
    *session = NULL;
    (void)pthread_mutex_lock(&model->lock);
    if (model->idle_count > 0)
        *session = model->idle[--model->idle_count];
    (void)pthread_mutex_unlock(&model->lock);
    return *session != NULL ? INFOMASK_OK : infomask_session_create(model->core, model->pool, session, err);
}

void model_session_give(struct model *model, struct infomask_session *session)
{
    if (session == NULL)
        return;
    (void)pthread_mutex_lock(&model->lock);
    if (model->idle_count < model->idle_room) {
        model->idle[model->idle_count++] = session;
        session = NULL;
    }
    (void)pthread_mutex_unlock(&model->lock);
    infomask_session_free(session);
}

void model_trim(struct model *model)
{
    (void)pthread_mutex_lock(&model->lock);
    for (int i = 0; i < model->idle_count; i++)
        infomask_session_trim(model->idle[i]);
    (void)pthread_mutex_unlock(&model->lock);
}

/* ---- Targets ----------------------------------------------------------------------------------------------------- */

#define FEW 4 /* members of a group that an error names */

/* What people say, and the name that a network has for it or for what it is a kind of. */
static const struct saying {
    const char *said, *name;
} sayings[] = {
    {"people", "person"}, {"man", "person"}, {"woman", "person"}, {"men", "person"}, {"women", "person"},
    {"human", "person"}, {"human being", "person"}, {"humans", "person"}, {"child", "person"}, {"children", "person"},
    {"boy", "person"}, {"girl", "person"}, {"baby", "person"}, {"kid", "person"}, {"face", "person"},
    {"puppy", "dog"}, {"kitten", "cat"}, {"cow", "bovine"}, {"chicken", "hen"}, {"rat", "rodent"},
    {"train", "locomotive"}, {"motorcycle", "motorbike"}, {"tv", "television"}, {"mice", "mouse"}, {"geese", "goose"},
    {"wolves", "wolf"},
};

static bool find_either(const struct model *model, const char *name, int *target)
{
    struct infomask_error ignored;
    int group;

    if (labels_find(model_labels(model), name, target, &ignored) == LABELS_FOUND)
        return true;
    if (class_groups_find(model_groups(model), name, &group, &ignored) != GROUPS_FOUND)
        return false;
    *target = (int)model_classes(model) + group;
    return true;
}

/* By a saying. */
static bool find_said(const struct model *model, const char *name, int *target)
{
    for (size_t i = 0; i < sizeof sayings / sizeof *sayings; i++)
        if (strcasecmp(name, sayings[i].said) == 0 && find_either(model, sayings[i].name, target))
            return true;
    return false;
}

/* The class or group that was meant by another word than the model's, or by several of it: "dogs", "babies". */
static bool is_meant(const struct model *model, const char *name, int *target)
{
    static const struct saying endings[] = {{"ies", "y"}, {"es", ""}, {"s", ""}};
    size_t length = strlen(name);
    char one[LABELS_LONGEST + 2];

    if (find_said(model, name, target))
        return true;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t end = strlen(endings[i].said);
        if (length <= end || strcasecmp(name + length - end, endings[i].said) != 0)
            continue;
        (void)snprintf(one, sizeof one, "%.*s%s", (int)(length - end), name, endings[i].name);
        if (find_either(model, one, target) || find_said(model, one, target))
            return true;
    }
    return false;
}

/* A group of a few classes is hardly what its name promises: they are named. */
static void name_members(const struct model *model, int target, char *text, size_t size)
{
    const struct infomask_group *group = &model_groups(model)->sets[target - (int)model_classes(model)];
    size_t used = (size_t)snprintf(text, size, ": of these the model knows only");

    for (int i = 0; i < group->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s \"%.40s\"",
                                 i == 0 ? "" : i + 1 < group->count ? "," : " and",
                                 model_label(model, (size_t)group->members[i]));
}

/* Neither a class nor a group: the one that was meant, or else the nearest of both. */
static enum model_target_status not_found(const struct model *model, const char *name, struct infomask_error *err)
{
    const struct labels *labels = model_labels(model);
    const struct groups *groups = model_groups(model);
    char classes[LABELS_LIST], kinds[LABELS_LIST], few[LABELS_LIST] = "";
    int target;

    if (is_meant(model, name, &target)) {
        if (model_is_group(model, target) && groups->sets[target - (int)labels->count].count <= FEW)
            name_members(model, target, few, sizeof few);
        (void)error_set(err, INFOMASK_ARGUMENT, "no class or group is named \"%.60s\"; the nearest in meaning is "
                        "\"%.60s\"%s", name, model_label(model, (size_t)target), few);
        return MODEL_TARGET_NO_CLASS;
    }
    labels_nearest(labels->names, labels->first[labels->count], name, classes, sizeof classes);
    labels_nearest(groups->names, (size_t)groups->count, name, kinds, sizeof kinds);
    (void)error_set(err, INFOMASK_ARGUMENT, "no class or group is named \"%.60s\"; the nearest classes are %s; "
                    "the nearest groups %s", name, classes, kinds);
    return MODEL_TARGET_NO_CLASS;
}

enum model_target_status model_find_target(const struct model *model, const char *name, int *target,
                                           struct infomask_error *err)
{
    static const char group[] = "group:", label[] = "label:";
    bool forced = strncmp(name, group, sizeof group - 1) == 0, any = model_groups(model)->count > 0;
    struct infomask_error why;
    int index;

    if (!forced)
        switch (labels_find(model_labels(model), name, target, err)) {
        case LABELS_FOUND: return MODEL_TARGET_FOUND;
        case LABELS_AMBIGUOUS: return MODEL_TARGET_AMBIGUOUS;
        case LABELS_UNKNOWN: break;
        }
    if (!forced && (!any || strncmp(name, label, sizeof label - 1) == 0 || name[strspn(name, "0123456789")] == '\0'))
        return MODEL_TARGET_NO_CLASS;
    switch (class_groups_find(model_groups(model), forced ? name + sizeof group - 1 : name, &index, &why)) {
    case GROUPS_FOUND:
        *target = (int)model_classes(model) + index;
        return MODEL_TARGET_FOUND;
    case GROUPS_AMBIGUOUS:
        *err = why;
        return MODEL_TARGET_AMBIGUOUS;
    default:
        if (!forced)
            return strlen(name) > LABELS_LONGEST ? MODEL_TARGET_NO_CLASS : not_found(model, name, err);
        *err = why;
        return MODEL_TARGET_NO_GROUP;
    }
}
