/* infomask mask: what /v1/mask answers, for files. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/work.h"

enum { FLAG_PRETTY = 300, FLAG_SHOW };
enum { FORMAT_JSON, FORMAT_PNG };

static const struct cli_flag flags[] = {
    {'o', "output-file", "FILE", "write there: a PNG unless the name ends in .json; a folder for several photos"},
    {'q', "quiet", NULL, "say nothing about pictures on standard error"},
    {FLAG_PRETTY, "pretty", NULL, "indent the JSON (as on a terminal)"},
    {FLAG_SHOW, "show", NULL, "draw the picture on the terminal (kitty, sixels, else half blocks)"},
};

static bool take(void *context, int letter, const char *value)
{
    struct output *output = context;
    if (letter == 'o')
        output->path = value;
    else if (letter == 'q')
        output->quiet = true;
    else if (letter == FLAG_SHOW)
        output->show = true;
    else
        output->pretty = true;
    return true;
}

static bool ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && strcmp(text + length - tail, end) == 0;
}

/* --format, else what the name of the file says, else JSON, as the service */
static bool wants_picture(const struct cli *cli, const struct output *output)
{
    const struct param_value *format = &cli->params.value[PARAM_ID_MASK_FORMAT];
    if (format->given)
        return format->integer == FORMAT_PNG;
    if (output->show)
        return true;
    return output->path != NULL && strcmp(output->path, "-") != 0 && !ends_with(output->path, ".json");
}

static struct infomask_picture_options picture_options(const struct work *work, enum infomask_picture picture)
{
    return (struct infomask_picture_options){
        .picture = picture,
        .colormap = work->cli->params.value[PARAM_ID_COLORMAP].text,
        .opacity = work->cli->params.value[PARAM_ID_OPACITY].number,
        .unit = view_units_factor(work->options.bits ? VIEW_BITS : VIEW_NATS),
    };
}

static enum infomask_picture picture_asked(const struct work *work)
{
    static const enum infomask_picture pictures[] = {INFOMASK_PICTURE_MASK, INFOMASK_PICTURE_MAP,
                                                     INFOMASK_PICTURE_SALIENCY, INFOMASK_PICTURE_OVERLAY};
    return pictures[work->cli->params.value[PARAM_ID_OUTPUT].integer];
}

/* Both views are named: what the model's own crop says, and the whole photo, which the mask is of. */
static void tell_mask(const struct work *work, const struct output *output, const struct shot *shot,
                      const struct infomask_mask *mask)
{
    const struct infomask_map *map = &mask->maps[0];
    double unit = view_units_factor(shot->head.units);
    char whole[48] = "";

    if (isfinite(map->map_pmi))
        (void)snprintf(whole, sizeof whole, " in the crop, %.2f in the whole photo", unit * map->map_pmi);
    output_tell(output, "%s: %s, %.2f %s%s, %.1f %% of the picture%s\n", shot->path,
                model_label(work->model, (size_t)map->target), unit * map->pmi, view_units_name(shot->head.units), whole,
                100 * mask->area, mask->empty ? " (nothing to mask)" : "");
}

static enum infomask_status write_picture(const struct work *work, const struct output *output, const struct shot *shot,
                                          const struct infomask_mask *mask, struct infomask_error *err)
{
    struct infomask_picture_options options = picture_options(work, picture_asked(work));
    struct infomask_encoded encoded = {0};
    enum infomask_status status = infomask_mask_png(mask, shot->photo, &options, &encoded, err);

    if (status == INFOMASK_OK)
        status = output_picture(output, shot->path, &encoded, err);
    if (status == INFOMASK_OK)
        tell_mask(work, output, shot, mask);
    infomask_encoded_fini(&encoded);
    return status;
}

static enum infomask_status write_view(const struct work *work, struct json_writer *writer, const struct shot *shot,
                                       const struct infomask_mask *mask, struct infomask_error *err)
{
    static const char *const names[] = {"mask", "map", "saliency", "overlay"};
    struct infomask_picture_options options = picture_options(work, INFOMASK_PICTURE_MASK);
    struct infomask_encoded png = {0}, other = {0};
    struct view_picture picture = {names[work->cli->params.value[PARAM_ID_OUTPUT].integer], &other};
    enum infomask_status status = infomask_mask_png(mask, shot->photo, &options, &png, err);
    bool more = picture_asked(work) != INFOMASK_PICTURE_MASK;

    options.picture = picture_asked(work);
    if (status == INFOMASK_OK && more)
        status = infomask_mask_png(mask, shot->photo, &options, &other, err);
    if (status == INFOMASK_OK)
        view_mask(writer, NULL, &shot->head, &shot->classification, mask, &png, &picture, more ? 1 : 0);
    infomask_encoded_fini(&png);
    infomask_encoded_fini(&other);
    return status;
}

static enum infomask_status mask_photo(struct work *work, const struct output *output, const char *path,
                                       struct json_writer *writer, void *context, struct infomask_error *err)
{
    struct infomask_mask mask = {0};
    struct shot shot;
    enum infomask_status status = shot_open(work, path, true, &shot, err);

    (void)context;
    if (status != INFOMASK_OK)
        return status;
    status = infomask_mask(work->session, shot.photo, &shot.classification, &work->options.filter.mask, &mask, err);
    if (status == INFOMASK_OK && output->extension != NULL)
        status = write_picture(work, output, &shot, &mask, err);
    else if (status == INFOMASK_OK)
        status = write_view(work, writer, &shot, &mask, err);
    infomask_mask_fini(&mask);
    shot_close(&shot);
    return status;
}

int cmd_mask(int argc, char **argv)
{
    struct output output = {0};
    const struct cli_spec spec = {
        .usage = "mask [OPTION]... FILE...",
        .about = "Shows where in each photo the information about the target class is: JSON, or with -o or\n"
                 "--format=png a picture of the photo's size.  Without --target it is the best class.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_MASK,
        .sections = " models images compute ",
        .take = take,
        .context = &output,
    };
    struct cli cli;
    struct work work;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    output.extension = wants_picture(&cli, &output) ? "png" : NULL;
    code = cli.operand_count == 0 ? cli_misused(cli.command, "which photo?") : output_open(&output, &cli);
    if (code < 0)
        code = work_open(&work, &cli);
    if (code < 0) {
        code = work_files(&work, &output, mask_photo, NULL);
        work_close(&work);
    }
    cli_close(&cli);
    return code;
}
