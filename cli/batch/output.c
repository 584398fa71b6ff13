#include "cli/batch/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/cli.h"
#include "cli/show.h"

bool output_take(struct output *output, int letter, const char *value)
{
    switch (letter) {
    case 'o':
        output->path = value;
        return true;
    case 'q':
        output->quiet = true;
        return true;
    case OUTPUT_FLAG_JSON:
        output->json = true;
        return true;
    case OUTPUT_FLAG_LINES:
        output->lines = true;
        return true;
    case OUTPUT_FLAG_TEXT:
        output->text = true;
        return true;
    case OUTPUT_FLAG_PRETTY:
        output->pretty = true;
        return true;
    case OUTPUT_FLAG_SHOW:
        output->show = true;
        return true;
    case OUTPUT_FLAG_LIST:
        output->list = value;
        return true;
    case OUTPUT_FLAG_RESUME:
        output->resume = true;
        return true;
    default:
        return false;
    }
}

/* ---- What a name says -------------------------------------------------------------------------------------------- */

struct meaning {
    enum output_form form;
    const char *extension;
};

static const struct {
    const char *ending;
    struct meaning meaning;
} endings[] = {
    {".json", {OUTPUT_JSON, NULL}},      {".jsonl", {OUTPUT_LINES, NULL}},   {".ndjson", {OUTPUT_LINES, NULL}},
    {".txt", {OUTPUT_TEXT, NULL}},       {".png", {OUTPUT_PICTURE, "png"}},  {".jpg", {OUTPUT_PICTURE, "jpg"}},
    {".jpeg", {OUTPUT_PICTURE, "jpg"}},  {".jpe", {OUTPUT_PICTURE, "jpg"}},  {".jfif", {OUTPUT_PICTURE, "jpg"}},
    {".webp", {OUTPUT_PICTURE, "webp"}},  {".gif", {OUTPUT_PICTURE, NULL}},   {".bmp", {OUTPUT_PICTURE, NULL}},
    {".tif", {OUTPUT_PICTURE, NULL}},    {".tiff", {OUTPUT_PICTURE, NULL}},  {".avif", {OUTPUT_PICTURE, NULL}},
    {".heic", {OUTPUT_PICTURE, NULL}},   {".heif", {OUTPUT_PICTURE, NULL}},  {".jxl", {OUTPUT_PICTURE, NULL}},
    {".pdf", {OUTPUT_PICTURE, NULL}},    {".svg", {OUTPUT_PICTURE, NULL}},
};

static const char *ending_of(const char *path)
{
    const char *name = path != NULL ? file_name(path) : "", *dot = strrchr(name, '.');
    return dot != NULL && dot != name ? dot : "";
}

/* OUTPUT_FORMS: the name says nothing. */
static struct meaning meaning_of(const char *path)
{
    const char *ending = ending_of(path);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(ending, endings[i].ending) == 0)
            return endings[i].meaning;
    return (struct meaning){OUTPUT_FORMS, NULL};
}

static bool can_write(const struct output_spec *spec, const char *extension)
{
    return extension != NULL && (extension[0] == 'p' ? spec->png : extension[0] == 'w' ? spec->webp : spec->jpeg);
}

static const char *names_of(const struct output_spec *spec)
{
    if (!spec->png)
        return ".json, .jsonl or .txt";
    if (!spec->webp)
        return ".png, .json or .jsonl";
    return spec->jpeg ? ".png, .jpg, .webp, .json or .jsonl" : ".png, .webp, .json or .jsonl";
}

enum infomask_format output_format(const struct output *output)
{
    const char *extension = output->extension != NULL ? output->extension : "png";

    return extension[0] == 'j' ? INFOMASK_JPEG : extension[0] == 'w' ? INFOMASK_WEBP : INFOMASK_PNG;
}

/* What the flags ask for.  2: two of them ask for different things. */
static int meaning_of_flags(const struct output *output, const struct output_spec *spec, struct meaning *asked)
{
    int given = output->json + output->lines + output->text + (spec->format != OUTPUT_FORMS);

    *asked = (struct meaning){spec->format, spec->format_extension};
    if (output->json)
        *asked = (struct meaning){OUTPUT_JSON, NULL};
    if (output->lines)
        *asked = (struct meaning){OUTPUT_LINES, NULL};
    if (output->text)
        *asked = (struct meaning){OUTPUT_TEXT, NULL};
    if (given == 2 && spec->format == OUTPUT_JSON && !output->text)
        return -1; /* --format=json --jsonl is no contradiction */
    return given > 1 ? 2 : -1;
}

/* -1, or the exit code: the file's name says what cannot be, or something else than the flags. */
static int check_name(const struct output *output, const struct cli *cli, const struct output_spec *spec,
                      struct meaning asked, struct meaning named)
{
    if (output->path == NULL || output->folder)
        return -1;
    if (named.form == OUTPUT_PICTURE && !can_write(spec, named.extension))
        return cli_misused(cli->command, "%s cannot be written: %s goes into a file named %s", output->path, spec->noun,
                           names_of(spec));
    if (named.form == OUTPUT_TEXT && spec->png)
        return cli_misused(cli->command, "%s: %s goes into a file named %s", output->path, spec->noun, names_of(spec));
    if (named.form == OUTPUT_FORMS && asked.form == OUTPUT_FORMS && spec->png && ending_of(output->path)[0] != '\0')
        return cli_misused(cli->command, "%s: what should it be?  Name it %s, or say so with --format", output->path,
                           names_of(spec));
    if (asked.form == OUTPUT_FORMS || named.form == OUTPUT_FORMS || named.form == OUTPUT_TEXT)
        return -1;
    if (asked.form == OUTPUT_PICTURE ? named.form != OUTPUT_PICTURE || named.extension != asked.extension
                                     : named.form == OUTPUT_PICTURE)
        return cli_misused(cli->command, "the name %s asks for another format than the options do", output->path);
    return -1;
}

static struct meaning choose(const struct output *output, const struct output_spec *spec, struct meaning asked,
                             struct meaning named)
{
    bool at_terminal = output->path == NULL && isatty(STDOUT_FILENO);
    struct meaning chosen = asked.form != OUTPUT_FORMS ? asked : named;

    if (chosen.form == OUTPUT_FORMS && output->pretty)
        chosen.form = OUTPUT_JSON;
    if (chosen.form == OUTPUT_FORMS && (output->show || (spec->png && output->path != NULL)))
        chosen.form = OUTPUT_PICTURE;
    if (chosen.form == OUTPUT_FORMS)
        chosen.form = at_terminal ? spec->at_terminal : spec->piped;
    if (chosen.form == OUTPUT_PICTURE && chosen.extension == NULL)
        chosen.extension = "png";
    return chosen;
}

/* It is one, ends like one, or is to be made for pictures of several photos, as its name has no ending. */
static bool is_folder(const struct output *output, bool pictures)
{
    size_t length = strlen(output->path);
    struct stat at;

    if (stat(output->path, &at) == 0)
        return S_ISDIR(at.st_mode);
    return (length > 0 && output->path[length - 1] == '/') ||
           (pictures && output->many && ending_of(output->path)[0] == '\0');
}

static int check_folder(const struct output *output, const struct cli *cli)
{
    const char *command = cli->command;

    if (output->form != OUTPUT_PICTURE && output->folder)
        return cli_misused(command, "%s goes into one file; %s is a folder",
                           output->form == OUTPUT_TEXT ? "text" : "JSON", output->path);
    if (output->form != OUTPUT_PICTURE || output->show)
        return -1;
    if (output->path == NULL && output->many)
        return cli_misused(command, "pictures of several photos need -o FOLDER");
    if (output->path == NULL)
        return isatty(STDOUT_FILENO) ? cli_misused(command, "a picture needs -o FILE (or a pipe)") : -1;
    if (output->many && !output->folder)
        return cli_misused(command, "pictures of several photos need a folder: -o %s/", output->path);
    return -1;
}

static int check_resume(const struct output *output, const struct cli *cli)
{
    struct stat at;

    if (output->resume && (output->path == NULL || (output->form != OUTPUT_LINES && !output->folder)))
        return cli_misused(cli->command, "--resume goes on with JSON lines (-o FILE.jsonl) or pictures (-o FOLDER)");
    if (!output->resume && output->form == OUTPUT_LINES && output->path != NULL && stat(output->path, &at) == 0 &&
        S_ISREG(at.st_mode) && at.st_size > 0)
        return cli_misused(cli->command, "%s has lines already: --resume goes on with it", output->path);
    return -1;
}

int output_open(struct output *output, const struct cli *cli, const struct output_spec *spec)
{
    struct meaning asked, named, chosen;
    int code = meaning_of_flags(output, spec, &asked);
    bool pictures;

    if (output->path != NULL && strcmp(output->path, "-") == 0)
        output->path = NULL;
    if (code >= 0)
        return cli_misused(cli->command, "--json, --jsonl, --text and --format ask for different things; give one");
    pictures = spec->png && (asked.form == OUTPUT_FORMS || asked.form == OUTPUT_PICTURE);
    output->folder = output->path != NULL && is_folder(output, pictures);
    named = output->folder ? (struct meaning){OUTPUT_FORMS, NULL} : meaning_of(output->path);
    code = check_name(output, cli, spec, asked, named);
    if (code >= 0)
        return code;
    chosen = choose(output, spec, asked, named);
    output->form = chosen.form;
    output->extension = chosen.form == OUTPUT_PICTURE ? chosen.extension : NULL;
    code = check_folder(output, cli);
    if (code < 0)
        code = check_resume(output, cli);
    if (code < 0 && output->folder && mkdir(output->path, 0777) != 0 && errno != EEXIST)
        code = cli_fails(cli->command, "%s: %s", output->path, strerror(errno));
    return code;
}

/* ---- Writing ----------------------------------------------------------------------------------------------------- */

enum infomask_status output_picture(const struct output *output, const char *path,
                                    const struct infomask_encoded *encoded, bool *over, struct infomask_error *err)
{
    enum infomask_status status;

    *over = false;
    if (output->show) {
        status = show_picture(encoded, err);
        if (status != INFOMASK_OK || path == NULL)
            return status;
    }
    status = file_write(path != NULL ? path : "-", encoded->data, encoded->size, err);
    if (status != INFOMASK_OK) {
        *over = output_is_over(errno);
        error_prefix(err, "%.120s", path != NULL ? path : "standard output");
    }
    return status;
}

bool output_is_over(int code)
{
    return code == ENOSPC || code == EDQUOT || code == EROFS || code == EIO;
}
