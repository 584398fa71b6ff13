/* infomask filter: what /v1/filter answers, for files. */
#include "cli/filter.h"

#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "cli/batch/batch.h"
#include "cli/batch/plain.h"
#include "cli/read/photo_list.h"

enum { FLAG_REQUIRE = 300, FLAG_MASK, FLAG_SHEET, FLAG_TSV };
enum { FORMAT_PNG, FORMAT_JPEG, FORMAT_WEBP, FORMAT_JSON };

static const struct cli_flag flags[] = {
    OUTPUT_FLAGS(
        "write there: a picture (.png, .jpg, .webp), JSON (.json) or JSON lines (.jsonl); a folder for several"),
    OUTPUT_FLAG_OF_SHOW,
    {FLAG_MASK, "mask", "FILE",
     "a mask of one's own for one photo: a picture of its size, not black where the target is"},
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
    else
        return output_take(&filtering->output, letter, value);
    return true;
}

static struct output_spec output_spec_of(const struct cli *cli)
{
    static const char *const extensions[] = {"png", "jpg", "webp", NULL};
    const struct param_value *format = &cli->params.value[PARAM_ID_FILTER_FORMAT];
    bool json = format->given && format->integer == FORMAT_JSON;

    return (struct output_spec){.noun = "a filtered photo",
                                .png = true,
                                .jpeg = true,
                                .webp = true,
                                .piped = OUTPUT_PICTURE,
                                .at_terminal = OUTPUT_PICTURE,
                                .format = !format->given ? OUTPUT_FORMS
                                          : json         ? OUTPUT_JSON
                                                         : OUTPUT_PICTURE,
                                .format_extension = format->given ? extensions[format->integer] : NULL};
}

static void tell_row(const struct work *work, FILE *out, const struct shot *shot,
                     const struct infomask_verification *row)
{
    double unit = view_units_factor(shot->head.units);
    const char *verdict = infomask_verdict_name(row->after.verdict);
    char reason[VIEW_REASON];

    view_reason(&shot->head, row, &row->after, reason, sizeof reason);
    plain_put(out, shot->path, 0);
    (void)fputs(": ", out);
    plain_put(out, model_label(work->ask.model, (size_t)row->target), 0);
    (void)fprintf(out, ", %.2f -> %.2f %s, %.1f %% of the picture, rounds %d, %s%s", unit * row->pmi_before,
                  unit * row->after.pmi_after, view_units_name(shot->head.units), 100 * row->after.area, row->passes,
                  verdict != NULL ? verdict : "", verdict != NULL ? ": " : "");
    plain_put(out, reason, 0);
    (void)fputc('\n', out);
}

static void tell_filtered(const struct work *work, FILE *out, const struct shot *shot,
                          const struct infomask_filtered *filtered)
{
    for (int i = 0; out != NULL && i < filtered->row_count; i++)
        tell_row(work, out, shot, &filtered->rows[i]);
}

static enum infomask_status write_view(struct json_writer *writer, const struct shot *shot,
                                       const struct infomask_filtered *filtered, struct infomask_error *err)
{
    struct infomask_picture_options options = {.picture = INFOMASK_PICTURE_MASK, .unit = 1};
    struct infomask_encoded png = {0};
    enum infomask_status status = infomask_mask_picture(&filtered->mask, shot->photo, &options, &png, err);

    if (status == INFOMASK_OK)
        view_filter(writer, NULL, &shot->head, &shot->classification, filtered, &png);
    infomask_encoded_fini(&png);
    return status;
}

/* The user's own mask becomes the photo's. */
static enum infomask_status take_mask(struct work *work, const struct filtering *filtering, const struct shot *shot,
                                      struct infomask_error *err)
{
    enum view_problem problem;
    char *bytes = NULL;
    size_t size;
    size_t most = work->cli->config.max_body;
    enum infomask_status status = photo_was_read(file_read(filtering->mask, most, &bytes, &size, err), most, err);

    if (status != INFOMASK_OK)
        error_prefix(err, "%.120s", filtering->mask);
    else
        status = ask_own_mask(&work->ask, shot->photo, bytes, size, &problem, err);
    free(bytes);
    return status;
}

static enum infomask_status write_result(struct work *work, struct batch_item *item, const struct shot *shot,
                                         const struct infomask_filtered *filtered, struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;

    if (item->text != NULL)
        tell_filtered(work, item->text, shot, filtered);
    else if (item->output->form != OUTPUT_PICTURE)
        status = write_view(&item->writer, shot, filtered, err);
    else
        status = output_picture(item->output, item->target, &filtered->image, &item->over, err);
    if (status == INFOMASK_OK)
        tell_filtered(work, item->said, shot, filtered);
    return status;
}

static enum infomask_status filter_photo(struct work *work, struct batch_item *item, void *context,
                                         struct infomask_error *err)
{
    struct filtering *filtering = context;
    struct infomask_filtered filtered = {0};
    struct shot shot;
    enum infomask_status status = shot_open(work, item->session, item->path, true, &shot, err);

    if (status != INFOMASK_OK)
        return status;
    shot.head.file = item->output->many ? item->path : NULL;
    if (filtering->mask != NULL)
        status = take_mask(work, filtering, &shot, err);
    if (status == INFOMASK_OK)
        status = infomask_filter(item->session, shot.photo, &shot.classification, &work->ask.options.filter, NULL,
                                 &filtered, err);
    if (status == INFOMASK_OK)
        status = write_result(work, item, &shot, &filtered, err);
    if (status == INFOMASK_OK && filtered.verdict < filtering->require)
        filtering->fell_short = true;
    infomask_filtered_fini(&filtered);
    shot_close(&shot);
    return status;
}

/* -1 to go on, else the exit code. */
static int check_use(const struct cli *cli, const struct filtering *filtering)
{
    struct infomask_error err;

    if (filter_is_folder(cli, &filtering->output)) {
        if (filtering->mask != NULL)
            return cli_misused(cli->command, "--mask is for one photo, not for several");
        return filtering->output.path != NULL ? filter_folder_check(cli, filtering) : -1;
    }
    if (filtering->sheet != NULL || filtering->tsv)
        return cli_misused(cli->command, "--%s is for a folder of photos", filtering->tsv ? "tsv" : "sheet");
    if (filtering->mask == NULL)
        return -1;
    if (cli->operand_count > 1)
        return cli_misused(cli->command, "--mask is for one photo, not for several");
    return params_check_mask(&cli->params, &err) == INFOMASK_OK ? -1 : cli_misused(cli->command, "%s", err.text);
}

static int filter(struct cli *cli, struct filtering *filtering, struct photos *photos)
{
    struct work work;
    int code = work_open(&work, cli);

    if (code >= 0)
        return code;
    work.ask.options.filter.format = output_format(&filtering->output);
    code = filtering->output.form == OUTPUT_PICTURE && filter_is_folder(cli, &filtering->output)
               ? filter_folder(&work, filtering, photos)
               : batch_run(&work, photos, &filtering->output, filter_photo, filtering);
    if (code == CLI_DONE && filtering->fell_short)
        code = CLI_SHORT;
    work_close(&work);
    return code;
}

int cmd_filter(int argc, char **argv)
{
    struct filtering filtering = {0};
    struct output_spec output_spec;
    const struct cli_spec spec = {
        .usage = "filter [OPTION]... FILE... -o FILE | FOLDER -o OUT",
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
    struct photos photos = {0};
    struct cli cli;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    output_spec = output_spec_of(&cli);
    code = check_use(&cli, &filtering);
    if (code < 0)
        code = batch_list(&photos, &cli, &filtering.output, &output_spec);
    if (code < 0)
        code = filter(&cli, &filtering, &photos);
    photos_close(&photos);
    cli_close(&cli);
    return code;
}
