/* infomask filter: what /v1/filter answers, for files. */
#include "cli/filter.h"

#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"

enum { FLAG_PRETTY = 300, FLAG_REQUIRE, FLAG_MASK, FLAG_SHEET, FLAG_TSV, FLAG_SHOW };
enum { FORMAT_PNG, FORMAT_JPEG, FORMAT_JSON };

static const struct cli_flag flags[] = {
    {'o', "output-file", "FILE",
     "write there: a PNG unless the name ends in .jpg, .jpeg or .json; a folder for several photos"},
    {'q', "quiet", NULL, "say nothing about pictures on standard error"},
    {FLAG_PRETTY, "pretty", NULL, "indent the JSON (as on a terminal)"},
    {FLAG_SHOW, "show", NULL, "draw the picture on the terminal (kitty, sixels, else half blocks)"},
    {FLAG_MASK, "mask", "FILE", "a mask of one's own for one photo: a picture of its size, not black where the target is"},
    {FLAG_SHEET, "sheet", "FILE", "for a folder: a contact sheet (JPEG) of what was changed, before and after"},
    {FLAG_TSV, "tsv", NULL, "for a folder: its list as verdicts.tsv instead of verdicts.jsonl"},
    {FLAG_REQUIRE, "require", "VERDICT", "exit code 3 if a photo's verdict is less: removed or weakened"},
};

static bool take_verdict(struct filtering *filtering, const char *value)
{
    for (enum infomask_verdict v = INFOMASK_WEAKENED; v <= INFOMASK_REMOVED; v++)
        if (strcmp(value, infomask_verdict_name(v)) == 0) {
            filtering->require = v;
            return true;
        }
    (void)cli_misused("filter", "--require must be removed or weakened, not \"%s\"", value);
    return false;
}

static bool take(void *context, int letter, const char *value)
{
    struct filtering *filtering = context;
    if (letter == FLAG_REQUIRE)
        return take_verdict(filtering, value);
    if (letter == FLAG_MASK)
        filtering->mask = value;
    else if (letter == FLAG_SHEET)
        filtering->sheet = value;
    else if (letter == FLAG_TSV)
        filtering->tsv = true;
    else if (letter == 'o')
        filtering->output.path = value;
    else if (letter == 'q')
        filtering->output.quiet = true;
    else if (letter == FLAG_SHOW)
        filtering->output.show = true;
    else
        filtering->output.pretty = true;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = text != NULL ? strlen(text) : 0, tail = strlen(end);
    return length >= tail && strcasecmp(text + length - tail, end) == 0;
}

/* --format, else what the name of the file says, else PNG, as the service */
static int format_of(const struct cli *cli, const struct output *output)
{
    const struct param_value *format = &cli->params.value[PARAM_ID_FILTER_FORMAT];
    if (format->given)
        return (int)format->integer;
    if (ends_with(output->path, ".json"))
        return FORMAT_JSON;
    return ends_with(output->path, ".jpg") || ends_with(output->path, ".jpeg") ? FORMAT_JPEG : FORMAT_PNG;
}

static enum infomask_status write_picture(const struct work *work, const struct output *output, const struct shot *shot,
                                          const struct infomask_filtered *filtered, struct infomask_error *err)
{
    double unit = view_units_factor(shot->head.units);
    enum infomask_status status = output_picture(output, shot->path, &filtered->image, err);

    for (int i = 0; status == INFOMASK_OK && i < filtered->row_count; i++) {
        const struct infomask_verification *row = &filtered->rows[i];
        const char *verdict = infomask_verdict_name(row->after.verdict);
        char reason[VIEW_REASON];
        view_reason(&shot->head, row, &row->after, reason, sizeof reason);
        output_tell(output, "%s: %s, %.2f -> %.2f %s, %.1f %% of the picture, rounds %d, %s%s%s\n", shot->path,
                    model_label(work->model, (size_t)row->target), unit * row->pmi_before, unit * row->after.pmi_after,
                    view_units_name(shot->head.units), 100 * row->after.area, row->passes,
                    verdict != NULL ? verdict : "", verdict != NULL ? ": " : "", reason);
    }
    return status;
}

static enum infomask_status write_view(const struct work *work, struct json_writer *writer, const struct shot *shot,
                                       const struct infomask_filtered *filtered, struct infomask_error *err)
{
    struct infomask_picture_options options = {.picture = INFOMASK_PICTURE_MASK, .unit = 1};
    struct infomask_encoded png = {0};
    enum infomask_status status = infomask_mask_png(&filtered->mask, shot->photo, &options, &png, err);

    (void)work;
    if (status == INFOMASK_OK)
        view_filter(writer, NULL, &shot->head, &shot->classification, filtered, &png);
    infomask_encoded_fini(&png);
    return status;
}

/* The user's own mask becomes the photo's. */
static enum infomask_status take_mask(struct work *work, struct filtering *filtering, const struct shot *shot,
                                      struct infomask_error *err)
{
    char *bytes = NULL;
    size_t size;
    enum infomask_status status = file_read(filtering->mask, work->cli->config.max_body, &bytes, &size, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", filtering->mask);
    else
        status = infomask_own_mask(shot->photo, bytes, size, &filtering->own, err);
    free(bytes);
    if (status == INFOMASK_OK)
        param_options_mask(&work->options, &work->cli->params, filtering->own);
    return status;
}

static enum infomask_status filter_photo(struct work *work, const struct output *output, const char *path,
                                         struct json_writer *writer, void *context, struct infomask_error *err)
{
    struct filtering *filtering = context;
    struct infomask_filtered filtered = {0};
    struct shot shot;
    enum infomask_status status = shot_open(work, path, true, &shot, err);

    if (status != INFOMASK_OK)
        return status;
    if (filtering->mask != NULL)
        status = take_mask(work, filtering, &shot, err);
    if (status == INFOMASK_OK)
        status = infomask_filter(work->session, shot.photo, &shot.classification, &work->options.filter, NULL, &filtered, err);
    if (status == INFOMASK_OK && output->extension != NULL)
        status = write_picture(work, output, &shot, &filtered, err);
    else if (status == INFOMASK_OK)
        status = write_view(work, writer, &shot, &filtered, err);
    if (status == INFOMASK_OK && filtered.verdict < filtering->require)
        filtering->fell_short = true;
    infomask_filtered_fini(&filtered);
    free(filtering->own);
    filtering->own = NULL;
    shot_close(&shot);
    return status;
}

/* -1 to go on, else the exit code. */
static int check_use(const struct cli *cli, const struct filtering *filtering)
{
    struct infomask_error err;

    if (cli->operand_count == 0)
        return cli_misused(cli->command, "which photo?");
    if (filter_is_folder(cli))
        return filter_folder_check(cli, filtering);
    if (filtering->sheet != NULL || filtering->tsv)
        return cli_misused(cli->command, "--%s is for a folder of photos", filtering->tsv ? "tsv" : "sheet");
    if (filtering->mask == NULL)
        return -1;
    if (cli->operand_count > 1)
        return cli_misused(cli->command, "--mask is for one photo, not for %d", cli->operand_count);
    return params_check_mask(&cli->params, &err) == INFOMASK_OK ? -1 : cli_misused(cli->command, "%s", err.text);
}

int cmd_filter(int argc, char **argv)
{
    static const char *const extensions[] = {"png", "jpg", NULL};
    struct filtering filtering = {0};
    struct output *output = &filtering.output;
    const struct cli_spec spec = {
        .usage = "filter [OPTION]... FILE... -o FILE | DIR -o OUT",
        .about = "Removes the target object from each photo, or keeps only it, and verifies with a second pass on the\n"
                 "very bytes that are written what is left of it: removed, weakened or failed.\n"
                 "Without --target it is the best class.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_FILTER,
        .sections = " models images compute ",
        .take = take,
        .context = &filtering,
    };
    struct cli cli;
    struct work work;
    int code = cli_open(&cli, &spec, argc, argv), format;
    bool folder;

    if (code >= 0)
        return code;
    format = format_of(&cli, output);
    output->extension = extensions[format];
    code = check_use(&cli, &filtering);
    folder = code < 0 && filter_is_folder(&cli);
    if (code < 0 && !folder)
        code = output_open(output, &cli);
    if (code < 0)
        code = work_open(&work, &cli);
    if (code < 0) {
        work.options.filter.jpeg = format == FORMAT_JPEG;
        code = folder ? filter_folder(&work, &filtering) : work_files(&work, output, filter_photo, &filtering);
        if (code == CLI_DONE && filtering.fell_short)
            code = CLI_SHORT;
        work_close(&work);
    }
    cli_close(&cli);
    return code;
}
