/* Where a model's folder is, by its name or path. */
#include "app/model/folders.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/json/nearest.h"
#include "app/settings/files.h"

int folder_is_candidate(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

bool folder_is_good_name(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t length = strlen(name);

    return length > 0 && length < 64 && name[0] != '.' && name[strspn(name, allowed)] == '\0';
}

bool folder_is_path(const char *model)
{
    return strchr(model, '/') != NULL;
}

bool folder_has_document(const char *folder)
{
    char *path = file_join(folder, "model.json");
    bool found = path != NULL && access(path, F_OK) == 0;
    free(path);
    return found;
}

char *folders_part(const char *path, size_t index)
{
    if (index >= FOLDERS_MOST)
        return NULL;
    if (access(path, F_OK) == 0)
        return index == 0 ? strdup(path) : NULL;
    for (; index > 0; index--) {
        path += strcspn(path, ":");
        if (*path++ == '\0')
            return NULL;
    }
    return strndup(path, strcspn(path, ":"));
}

char *models_new_folder(const char *directory, const char *model)
{
    return folder_is_path(model) ? strdup(model) : file_join(directory, model);
}

char *models_folder(const char *directories, const char *model)
{
    char *directory, *path;

    if (folder_is_path(model))
        return strdup(model);
    for (size_t i = 0; (directory = folders_part(directories, i)) != NULL; i++) {
        path = file_join(directory, model);
        free(directory);
        if (path == NULL || folder_has_document(path))
            return path;
        free(path);
    }
    if (folder_has_document(model))
        return strdup(model);
    directory = folders_part(directories, 0);
    path = directory != NULL ? file_join(directory, model) : NULL;
    free(directory);
    return path;
}

/* Each name that has a model.json, in the folder where it is found first. */
static void each_model(const char *directories, void (*take)(void *context, const char *folder, const char *name),
                       void *context)
{
    char *directory;

    for (size_t i = 0; (directory = folders_part(directories, i)) != NULL; i++) {
        struct dirent **entries = NULL;
        int count = scandir(directory, &entries, folder_is_candidate, alphasort);
        for (int k = 0; k < count; k++) {
            char *path = file_join(directory, entries[k]->d_name);
            if (path != NULL && folder_has_document(path))
                take(context, path, entries[k]->d_name);
            free(path);
            free(entries[k]);
        }
        free(entries);
        free(directory);
    }
}

/* The default's own name before all, else the first by name. */
static void take_default(void *context, const char *folder, const char *name)
{
    char **found = context;
    bool own = strcmp(name, FOLDER_OWN_MODEL) == 0, had = *found != NULL;

    if (had && (strcmp(file_name(*found), FOLDER_OWN_MODEL) == 0 || (!own && strcmp(name, file_name(*found)) >= 0)))
        return;
    free(*found);
    *found = strdup(folder);
}

char *models_default_folder(const char *directories)
{
    char *found = NULL;

    each_model(directories, take_default, &found);
    return found;
}

struct suggestion {
    struct nearest nearest;
    char name[80];
};

static void take_nearest(void *context, const char *folder, const char *name)
{
    struct suggestion *suggestion = context;

    (void)folder;
    suggestion->nearest.name = NULL;
    nearest_offer(&suggestion->nearest, name);
    if (suggestion->nearest.name != NULL) /* its string goes with the listing */
        (void)snprintf(suggestion->name, sizeof suggestion->name, "%s", name);
}

void models_suggest(const char *directories, const char *model, char *text, size_t size)
{
    struct suggestion suggestion = {nearest_begin(model), ""};

    each_model(directories, take_nearest, &suggestion);
    (void)snprintf(text, size, "%s%s%s", suggestion.name[0] != '\0' ? " (did you mean " : "", suggestion.name,
                   suggestion.name[0] != '\0' ? "?)" : "");
}
