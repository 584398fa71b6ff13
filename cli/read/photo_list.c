#include "cli/read/photo_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/json/json_utf8.h"
#include "app/settings/files.h"

#define MAX_DEPTH 32
#define MAX_LIST ((size_t)1 << 32)

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the list of photos");
}

/* Takes path, also on failure. */
static enum infomask_status add(struct photo_list *list, char *path, size_t sample, int label,
                                struct infomask_error *err)
{
    if (list->count == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 1024;
        struct labelled_photo *photos = reallocarray(list->photos, capacity, sizeof *photos);
        if (photos == NULL) {
            free(path);
            return no_memory(err);
        }
        list->photos = photos;
        list->capacity = capacity;
    }
    list->photos[list->count++] = (struct labelled_photo){path, path + sample, label, 0};
    return INFOMASK_OK;
}

void photo_list_fini(struct photo_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->photos[i].path);
    free(list->photos);
    *list = (struct photo_list){0};
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name); /* not by locale: the order is the same everywhere */
}

enum infomask_status photo_was_read(enum infomask_status status, size_t limit, struct infomask_error *err)
{
    return status != INFOMASK_LIMIT
               ? status
               : error_set(err, status, "is larger than %zu bytes, the most that is read (max_body)", limit);
}

enum infomask_status photo_read(const struct labelled_photo *photo, size_t limit, char **bytes, size_t *size,
                                struct infomask_error *err)
{
    struct stat at;

    if (stat(photo->path, &at) == 0 && !S_ISREG(at.st_mode))
        return error_set(err, INFOMASK_IO, "no file, but a pipe, socket or device");
    return photo_was_read(file_read(photo->path, limit, bytes, size, err), limit, err);
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

/* The class that a subfolder's name means. */
typedef enum infomask_status find_class(void *context, const char *name, int *label, struct infomask_error *err);

struct walk {
    struct photo_list *list;
    find_class *find;
    void *context;
    size_t root; /* bytes of the folder's path, with the slash */
};

static enum infomask_status walk_class(struct walk *walk, const char *folder, int label, int depth,
                                       struct infomask_error *err);

/* Takes path. */
static enum infomask_status visit(struct walk *walk, char *path, int label, int depth, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    struct stat at;

    if (path == NULL)
        return no_memory(err);
    if (stat(path, &at) == 0 && S_ISDIR(at.st_mode))
        status = walk_class(walk, path, label, depth + 1, err);
    else /* what cannot be opened is named when its turn comes */
        return add(walk->list, path, walk->root, label, err);
    free(path);
    return status;
}

static enum infomask_status walk_class(struct walk *walk, const char *folder, int label, int depth,
                                       struct infomask_error *err)
{
    struct dirent **entries;
    enum infomask_status status = INFOMASK_OK;
    int count = depth <= MAX_DEPTH ? scandir(folder, &entries, visible, by_bytes) : -1;

    if (count < 0)
        return error_set(err, INFOMASK_IO, "%.200s: %s", folder,
                         depth > MAX_DEPTH ? "more than 32 folders inside each other" : strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == INFOMASK_OK)
            status = visit(walk, file_join(folder, entries[i]->d_name), label, depth, err);
        free(entries[i]);
    }
    free(entries);
    return status;
}

static enum infomask_status walk_root(struct walk *walk, const char *folder, const char *name,
                                      struct infomask_error *err)
{
    char *path = file_join(folder, name);
    enum infomask_status status = INFOMASK_OK;
    struct stat at;
    int label;

    if (path == NULL)
        return no_memory(err);
    if (stat(path, &at) == 0 && S_ISDIR(at.st_mode)) {
        status = walk->find(walk->context, name, &label, err);
        if (status == INFOMASK_OK)
            status = walk_class(walk, path, label, 1, err);
        else
            error_prefix(err, "folder %.100s", path);
    }
    free(path);
    return status;
}

static enum infomask_status walk_folder(struct photo_list *list, find_class *find, void *context, const char *folder,
                                        struct infomask_error *err)
{
    struct walk walk = {list, find, context, 0};
    char *root = strdup(folder);
    size_t length = strlen(folder);
    struct dirent **entries;
    enum infomask_status status = INFOMASK_OK;
    int count;

    if (root == NULL)
        return no_memory(err);
    while (length > 1 && root[length - 1] == '/')
        root[--length] = '\0';
    walk.root = length + 1;
    count = scandir(root, &entries, visible, by_bytes);
    if (count < 0)
        status = error_set(err, INFOMASK_IO, "%.200s: %s", root, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (status == INFOMASK_OK)
            status = walk_root(&walk, root, entries[i]->d_name, err);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    if (status == INFOMASK_OK && list->count == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "%.200s: no photos; one subfolder a class is expected", root);
    free(root);
    return status;
}

enum infomask_status photo_list_all(struct photo_list *list, const char *folder, struct infomask_error *err)
{
    struct walk walk = {.list = list};
    enum infomask_status status = walk_class(&walk, folder, 0, 1, err);

    if (status == INFOMASK_OK && list->count == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "%.200s: no photos", folder);
    return status;
}

static enum infomask_status find_in_model(void *context, const char *name, int *label, struct infomask_error *err)
{
    return model_find_class(context, name, label, err) == MODEL_CLASS_FOUND ? INFOMASK_OK : INFOMASK_ARGUMENT;
}

enum infomask_status photo_list_folder(struct photo_list *list, const struct model *model, const char *folder,
                                       struct infomask_error *err)
{
    return walk_folder(list, find_in_model, (void *)(uintptr_t)model, folder, err);
}

/* As a line of labels.txt has to be. */
static bool servable(const char *name)
{
    const unsigned char *text = (const unsigned char *)name;

    for (size_t at = 0, length = strlen(name), step; at < length; at += step) {
        step = json_utf8_length(text + at, length - at);
        if (step == 0 || text[at] < 0x20 || text[at] == 0x7F)
            return false;
    }
    return true;
}

static enum infomask_status find_in_names(void *context, const char *name, int *label, struct infomask_error *err)
{
    struct class_names *names = context;
    char **more;

    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0) {
            *label = (int)i;
            return INFOMASK_OK;
        }
    if (!servable(name))
        return error_set(err, INFOMASK_ARGUMENT,
                         "a class's name is UTF-8 without tabs, line ends and other control characters");
    if (names->fixed)
        return error_set(err, INFOMASK_ARGUMENT, "no class is named \"%.80s\"", name);
    more = reallocarray(names->names, names->count + 1, sizeof *more);
    if (more == NULL)
        return no_memory(err);
    names->names = more;
    names->names[names->count] = strdup(name);
    if (names->names[names->count] == NULL)
        return no_memory(err);
    *label = (int)names->count++;
    return INFOMASK_OK;
}

enum infomask_status photo_list_classes(struct photo_list *list, struct class_names *names, const char *folder,
                                        struct infomask_error *err)
{
    return walk_folder(list, find_in_names, names, folder, err);
}

void class_names_fini(struct class_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (struct class_names){0};
}

/* ---- Lists ------------------------------------------------------------------------------------------------------- */

static enum infomask_status add_line(struct photo_list *list, const struct model *model, const char *file, char *line,
                                     struct infomask_error *err)
{
    const char *slash = strrchr(file, '/');
    size_t folder = line[0] == '/' || slash == NULL ? 0 : (size_t)(slash - file) + 1;
    char *tab = strchr(line, '\t'), *path;
    int label;

    if (tab == NULL)
        return error_set(err, INFOMASK_BAD_DATA, "a line must be PATH<tab>CLASS");
    *tab = '\0';
    tab[1 + strcspn(tab + 1, "\t")] = '\0'; /* further columns are the list's own */
    if (model_find_class(model, tab + 1, &label, err) != MODEL_CLASS_FOUND)
        return INFOMASK_ARGUMENT;
    if (asprintf(&path, "%.*s%s", (int)folder, file, line) < 0)
        return no_memory(err);
    return add(list, path, folder, label, err);
}

enum infomask_status photo_list_file(struct photo_list *list, const struct model *model, const char *file,
                                     struct infomask_error *err)
{
    char *text = NULL, *line;
    size_t size, number = 0;
    enum infomask_status status = file_read(file, MAX_LIST, &text, &size, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.200s", file);
    for (char *rest = text; status == INFOMASK_OK && (line = strsep(&rest, "\n")) != NULL;) {
        number++;
        line[strcspn(line, "\r")] = '\0';
        if (line[0] == '\0' || line[0] == '#')
            continue;
        status = add_line(list, model, file, line, err);
        if (status != INFOMASK_OK)
            error_prefix(err, "%.200s line %zu", file, number);
    }
    free(text);
    if (status == INFOMASK_OK && list->count == 0)
        status = error_set(err, INFOMASK_ARGUMENT, "%.200s: no photos", file);
    return status;
}

/* ---- Shards ------------------------------------------------------------------------------------------------------ */

static uint32_t fnv(const char *text)
{
    uint32_t hash = 2166136261u;

    for (; *text != '\0'; text++)
        hash = (hash ^ (uint8_t)*text) * 16777619u;
    return hash ^ hash >> 15; /* its low bits alone are weak */
}

uint64_t photo_folder(const struct labelled_photo *photo, bool below_class)
{
    const char *from = photo->sample, *end = strrchr(photo->sample, '/');
    uint64_t hash = 0xcbf29ce484222325u;

    if (below_class)
        from += strcspn(from, "/") + (strchr(from, '/') != NULL);
    if (end == NULL || end <= from)
        return 0;
    for (; from < end; from++)
        hash = (hash ^ (uint8_t)*from) * 0x100000001b3u;
    return hash | 1;
}

void photo_list_shard(struct photo_list *list, unsigned index, unsigned count)
{
    size_t kept = 0;

    for (size_t i = 0; i < list->count; i++) {
        if (fnv(list->photos[i].sample) % count == index)
            list->photos[kept++] = list->photos[i];
        else
            free(list->photos[i].path);
    }
    list->count = kept;
}
