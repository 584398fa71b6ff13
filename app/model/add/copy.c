#include "app/model/add/copy.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "app/settings/files.h"

#define SMALL_FILE (64 << 20)

static enum infomask_status copy_file(const char *from, const char *to, struct infomask_error *err)
{
    char buffer[1 << 16];
    FILE *in = fopen(from, "rb"), *out = in != NULL ? fopen(to, "wb") : NULL;
    bool fine = in != NULL && out != NULL;
    int reason = errno;
    size_t got;

    while (fine && (got = fread(buffer, 1, sizeof buffer, in)) > 0)
        fine = fwrite(buffer, 1, got, out) == got;
    fine = fine && ferror(in) == 0;
    if (in != NULL)
        (void)fclose(in);
    if (out != NULL && fclose(out) != 0)
        fine = false;
    if (fine)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_IO, "%.120s cannot be copied: %s", file_name(from),
                     strerror(in == NULL ? reason : errno));
}

/* A file whose weights lie beside it names them: every file of its folder whose name is in its bytes comes along. */
static enum infomask_status copy_beside(const struct folder_write *folder, const char *file, const char *bytes,
                                        size_t size, struct infomask_error *err)
{
    char *parent = strndup(file, (size_t)(file_name(file) - file));
    DIR *entries = parent != NULL ? opendir(parent[0] != '\0' ? parent : ".") : NULL;
    enum infomask_status status = parent != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "out of memory");
    struct stat of;

    for (struct dirent *entry; status == INFOMASK_OK && entries != NULL && (entry = readdir(entries)) != NULL;) {
        char *from, *to;
        if (strlen(entry->d_name) < 4 || strcmp(entry->d_name, file_name(file)) == 0 ||
            memmem(bytes, size, entry->d_name, strlen(entry->d_name)) == NULL)
            continue;
        from = file_join(parent[0] != '\0' ? parent : ".", entry->d_name);
        to = folder_write_file(folder, entry->d_name);
        if (from == NULL || to == NULL)
            status = error_set(err, INFOMASK_MEMORY, "out of memory");
        else if (stat(from, &of) == 0 && S_ISREG(of.st_mode))
            status = copy_file(from, to, err);
        free(from);
        free(to);
    }
    if (entries != NULL)
        (void)closedir(entries);
    free(parent);
    return status;
}

/* The weights of a large file are in it; one of a few megabytes may have them beside it. */
static enum infomask_status copy_small(const struct folder_write *folder, const char *file, const char *to,
                                       struct infomask_error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = file_read_regular(file, SMALL_FILE, &bytes, &size, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.80s", file_name(file));
    if (status == INFOMASK_OK)
        status = file_write(to, bytes, size, err);
    if (status == INFOMASK_OK)
        status = copy_beside(folder, file, bytes, size, err);
    free(bytes);
    return status;
}

enum infomask_status copy_network(const struct folder_write *folder, const char *file, const char *name, char **to,
                                  struct infomask_error *err)
{
    struct stat of;

    *to = folder_write_file(folder, name);
    if (*to == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    return stat(file, &of) == 0 && S_ISREG(of.st_mode) && of.st_size > SMALL_FILE
               ? copy_file(file, *to, err)
               : copy_small(folder, file, *to, err);
}
