/* Where a model's folder is, by its name or path. */
#include "app/model/folders.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/model/models.h"
#include "app/settings/files.h"

int folder_is_candidate(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
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

char *models_folder(const char *directory, const char *model)
{
    char *path;

    if (folder_is_path(model))
        return strdup(model);
    path = file_join(directory, model);
    if (path != NULL && !folder_has_document(path) && folder_has_document(model)) {
        free(path);
        path = strdup(model);
    }
    return path;
}

char *models_default_folder(const char *directory)
{
    char *found = file_join(directory, FOLDER_OWN_MODEL);
    struct dirent **entries = NULL;
    int count;

    if (found == NULL || folder_has_document(found))
        return found;
    free(found);
    found = NULL;
    count = scandir(directory, &entries, folder_is_candidate, alphasort);
    for (int i = 0; i < count; i++) {
        char *path = found == NULL ? file_join(directory, entries[i]->d_name) : NULL;
        if (path != NULL && folder_has_document(path))
            found = path;
        else
            free(path);
        free(entries[i]);
    }
    free(entries);
    return found;
}
