/* infomask models remove: a model folder and what is in it. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/model/folders.h"
#include "app/model/models.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/models/models.h"

static bool take(void *context, int letter, const char *value)
{
    (void)context;
    (void)letter;
    (void)value;
    return false;
}

/* Files first: model.json goes as the last one, so that a half that stays is still seen as a model and can be removed.
 */
static enum infomask_status remove_folder(const char *path, struct infomask_error *err)
{
    DIR *folder = opendir(path);
    bool fine = folder != NULL;

    for (struct dirent *entry; fine && (entry = readdir(folder)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            strcmp(entry->d_name, "model.json") != 0)
            fine = unlinkat(dirfd(folder), entry->d_name, 0) == 0;
    fine = fine && unlinkat(dirfd(folder), "model.json", 0) == 0;
    if (folder != NULL)
        (void)closedir(folder);
    if (fine && rmdir(path) == 0)
        return INFOMASK_OK;
    return error_set(err, INFOMASK_IO, "%.120s cannot be removed: %s", path, strerror(errno));
}

static enum infomask_status remove_model(const struct cli *cli, struct infomask_error *err)
{
    const char *name = cli->operands[0];
    char *directory = place_of_models(cli->config.models_dir);
    char *path = directory != NULL ? models_folder(directory, name) : NULL;
    char *document = path != NULL ? file_join(path, "model.json") : NULL;
    enum infomask_status status = INFOMASK_OK;

    if (document == NULL)
        status = error_set(err, INFOMASK_MEMORY, "out of memory");
    else if (access(document, F_OK) != 0)
        status = error_set(err, INFOMASK_ARGUMENT, "there is no model \"%.80s\": no model.json in %.120s", name, path);
    else
        status = remove_folder(path, err);
    free(document);
    free(path);
    free(directory);
    return status;
}

int models_remove(int argc, char **argv)
{
    const struct cli_spec spec = {
        .usage = "models remove [OPTION]... NAME",
        .about = "Removes a model's folder and the files in it.  A running service goes on with it until it reads its "
                 "models\n"
                 "again (SIGHUP, or the repository's routes).",
        .sections = " models ",
        .take = take,
    };
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (cli.operand_count != 1)
        code = cli_misused(cli.command, "one NAME is needed");
    else
        code = remove_model(&cli, &err) == INFOMASK_OK ? CLI_DONE : cli_fails(cli.command, "%s", err.text);
    cli_close(&cli);
    return code;
}
