#include "app/model/folder_write.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/model/folders.h"
#include "app/model/models.h"
#include "app/settings/files.h"
#include "app/settings/places.h"

/* A model folder has no folders inside. */
static void remove_folder(const char *path)
{
    DIR *folder = opendir(path);

    for (struct dirent *entry; folder != NULL && (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        (void)closedir(folder);
    (void)rmdir(path);
}

/* What runs that were killed have left: .NAME.part-PID of processes that are no more. */
static void remove_leftovers(const struct folder_write *folder)
{
    char *parent = strndup(folder->path, (size_t)(folder->name - folder->path)), prefix[96];
    DIR *entries = parent != NULL ? opendir(parent[0] != '\0' ? parent : ".") : NULL;
    int length = snprintf(prefix, sizeof prefix, ".%.63s.part-", folder->name);

    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        char *end, *path;
        long process;
        if (strncmp(entry->d_name, prefix, (size_t)length) != 0)
            continue;
        process = strtol(entry->d_name + length, &end, 10);
        if (*end != '\0' || process <= 0 || kill((pid_t)process, 0) == 0 || errno != ESRCH)
            continue;
        path = file_join(parent[0] != '\0' ? parent : ".", entry->d_name);
        if (path != NULL)
            remove_folder(path);
        free(path);
    }
    if (entries != NULL)
        (void)closedir(entries);
    free(parent);
}

enum infomask_status folder_write_open(struct folder_write *folder, const char *models_dir, const char *name,
                                       bool replace, struct infomask_error *err)
{
    char *directory = place_of_new_models(models_dir);
    enum infomask_status status;
    const char *slash;
    struct stat at;
    size_t length;

    *folder = (struct folder_write){.replace = replace};
    folder->path = directory != NULL ? models_new_folder(directory, name) : NULL;
    free(directory);
    if (folder->path == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (length = strlen(folder->path); length > 1 && folder->path[length - 1] == '/';)
        folder->path[--length] = '\0';
    slash = strrchr(folder->path, '/');
    folder->name = slash != NULL ? slash + 1 : folder->path;
    if (*name == '\0' || !folder_is_good_name(folder->name))
        return error_set(err, INFOMASK_ARGUMENT,
                         "a model's name is 1 to 63 of A-Za-z0-9._- and does not begin with a dot, "
                         "unlike \"%.80s\"",
                         *name != '\0' ? folder->name : "");
    if (lstat(folder->path, &at) == 0 && (!replace || !folder_has_document(folder->path)))
        return error_set(err, INFOMASK_ARGUMENT, "%.150s is there already%s", folder->path,
                         replace ? ", and is not a model folder" : "; --replace makes it anew");
    remove_leftovers(folder);
    if (asprintf(&folder->part, "%.*s.%s.part-%ld", (int)(folder->name - folder->path), folder->path, folder->name,
                 (long)getpid()) < 0) {
        folder->part = NULL;
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    }
    status = file_make_parents(folder->path, err);
    if (status == INFOMASK_OK && mkdir(folder->part, 0755) != 0)
        status = error_set(err, INFOMASK_IO, "%.150s cannot be made: %s", folder->path, strerror(errno));
    return status;
}

char *folder_write_file(const struct folder_write *folder, const char *name)
{
    return file_join(folder->part, name);
}

enum infomask_status folder_write_text(const struct folder_write *folder, const char *name, const char *text,
                                       size_t size, struct infomask_error *err)
{
    char *path = folder_write_file(folder, name);
    enum infomask_status status =
        path != NULL ? file_write(path, text, size, err) : error_set(err, INFOMASK_MEMORY, "out of memory");

    free(path);
    return status;
}

enum infomask_status folder_write_json(const struct folder_write *folder, const char *name, struct json_writer *writer,
                                       struct infomask_error *err)
{
    char *text = NULL;
    size_t size;
    enum infomask_status status = json_writer_take(writer, &text, &size, err);

    if (status == INFOMASK_OK)
        status = folder_write_text(folder, name, text, size, err);
    free(text);
    return status;
}

enum infomask_status folder_write_classes(const struct folder_write *folder, const char *const *names, size_t count,
                                          const double *prior, struct infomask_error *err)
{
    char *text = NULL;
    size_t size = 0;
    FILE *lines = open_memstream(&text, &size);
    enum infomask_status status = INFOMASK_OK;

    if (lines == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        (void)fprintf(lines, "%s\n", names[i]);
    (void)fflush(lines);
    status = folder_write_text(folder, "labels.txt", text, size, err);
    rewind(lines);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(lines, "%.17g\n", prior[i]);
    if (fclose(lines) != 0)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    if (status == INFOMASK_OK)
        status = folder_write_text(folder, "prior.txt", text, size, err);
    free(text);
    return status;
}

/* What cannot be served is not handed over. */
static enum infomask_status try_to_load(const struct folder_write *folder, struct infomask_error *err)
{
    const struct model_options options = {0};
    struct model *model = NULL;
    enum infomask_status status = model_load(folder->part, &options, &model, err);

    if (status == INFOMASK_OK)
        model_release(model);
    else
        error_prefix(err, "the model that was made cannot be served");
    return status;
}

/* An old folder steps aside first: there is no moment at which a half of each is served. */
enum infomask_status folder_write_finish(struct folder_write *folder, struct infomask_error *err)
{
    char *aside = NULL;
    struct stat at;
    bool old = folder->replace && lstat(folder->path, &at) == 0, fine = true;
    enum infomask_status status = folder->tried ? INFOMASK_OK : try_to_load(folder, err);

    if (status != INFOMASK_OK)
        return status;
    if (old && asprintf(&aside, "%s.old", folder->part) < 0)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (old)
        fine = rename(folder->path, aside) == 0;
    if (fine && rename(folder->part, folder->path) != 0) {
        fine = false;
        if (old)
            (void)rename(aside, folder->path);
    }
    if (!fine) {
        free(aside);
        return error_set(err, INFOMASK_IO, "%.150s cannot be made: %s", folder->path, strerror(errno));
    }
    if (old)
        remove_folder(aside);
    free(aside);
    free(folder->part);
    folder->part = NULL;
    return INFOMASK_OK;
}

void folder_write_close(struct folder_write *folder)
{
    if (folder->part != NULL)
        remove_folder(folder->part);
    free(folder->part);
    free(folder->path);
    *folder = (struct folder_write){0};
}
