#include "cli/batch/targets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/settings/files.h"

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the names of pictures");
}

/* Bytes of the sample without its ending. */
static size_t stem_length(const char *sample)
{
    const char *name = file_name(sample), *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? (size_t)(dot - sample) : strlen(sample);
}

static char *target_of(const struct output *output, const char *sample, size_t length)
{
    const char *slash = output->path[strlen(output->path) - 1] == '/' ? "" : "/";
    char *target;

    if (asprintf(&target, "%s%s%.*s.%s", output->path, slash, (int)length, sample, output->extension) < 0)
        return NULL;
    return target;
}

struct place {
    const char *target;
    size_t index;
};

static int by_target(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    int order = strcmp(x->target, y->target);
    return order != 0 ? order : x->index < y->index ? -1 : x->index > y->index;
}

static void sort_places(struct place *places, char *const *targets, size_t count)
{
    for (size_t i = 0; i < count; i++)
        places[i] = (struct place){targets[i], i};
    qsort(places, count, sizeof *places, by_target);
}

/* Those that share a target get their whole names. */
static enum infomask_status part(const struct photos *photos, const struct output *output, char **targets,
                                 struct place *places, struct infomask_error *err)
{
    size_t next;

    sort_places(places, targets, photos->count);
    for (size_t i = 0; i < photos->count; i = next) {
        for (next = i + 1; next < photos->count && strcmp(places[i].target, places[next].target) == 0; next++)
            continue;
        for (size_t k = i; next > i + 1 && k < next; k++) {
            const char *sample = photos->entries[places[k].index].sample;
            char *whole = target_of(output, sample, strlen(sample));
            if (whole == NULL)
                return no_memory(err);
            free(targets[places[k].index]);
            targets[places[k].index] = whole;
            places[k].target = whole;
        }
    }
    sort_places(places, targets, photos->count);
    for (size_t i = 1; i < photos->count; i++)
        if (strcmp(places[i - 1].target, places[i].target) == 0)
            return error_set(err, INFOMASK_ARGUMENT, "%.200s and %.200s would be written to the same file",
                             photos->entries[places[i - 1].index].path, photos->entries[places[i].index].path);
    return INFOMASK_OK;
}

static bool same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* A photo is not lost because its picture was to have the same name. */
static enum infomask_status check_inputs(const struct photos *photos, char *const *targets, struct infomask_error *err)
{
    for (size_t i = 0; i < photos->count; i++)
        if (targets[i] != NULL && same_file(targets[i], photos->entries[i].path))
            return error_set(err, INFOMASK_ARGUMENT, "%.200s would be written over: choose another name with -o",
                             photos->entries[i].path);
    return INFOMASK_OK;
}

enum infomask_status targets_make(const struct photos *photos, const struct output *output, char ***targets,
                                  struct infomask_error *err)
{
    struct place *places = calloc(photos->count + 1, sizeof *places);
    char **made = calloc(photos->count + 1, sizeof *made);
    enum infomask_status status = places == NULL || made == NULL ? no_memory(err) : INFOMASK_OK;

    for (size_t i = 0; status == INFOMASK_OK && output->path != NULL && i < photos->count; i++) {
        const char *sample = photos->entries[i].sample;
        made[i] = output->folder ? target_of(output, sample, stem_length(sample)) : strdup(output->path);
        if (made[i] == NULL)
            status = no_memory(err);
    }
    if (status == INFOMASK_OK && output->path != NULL && output->folder)
        status = part(photos, output, made, places, err);
    if (status == INFOMASK_OK)
        status = check_inputs(photos, made, err);
    free(places);
    if (status != INFOMASK_OK && made != NULL) {
        targets_free(made, photos->count);
        made = NULL;
    }
    *targets = made;
    return status;
}

void targets_free(char **targets, size_t count)
{
    for (size_t i = 0; targets != NULL && i < count; i++)
        free(targets[i]);
    free(targets);
}
