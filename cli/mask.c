/* infomask mask: what /v1/mask answers, for files. */
#include <math.h>
#include <stdio.h>

#include "cli/batch/batch.h"
#include "cli/batch/plain.h"
#include "cli/cli.h"
#include "cli/work.h"

enum { FORMAT_JSON, FORMAT_PNG, FORMAT_WEBP };

static const struct cli_flag flags[] = {
    OUTPUT_FLAGS(
        "write there: a picture (.png, .webp), JSON (.json) or JSON lines (.jsonl); a folder for several pictures"),
    OUTPUT_FLAG_OF_SHOW,
};

static bool take(void *context, int letter, const char *value)
{
    return output_take(context, letter, value);
}

/* Both views are named: what the model's own crop says, and the whole photo, which the mask is of. */
static void tell_mask(const struct work *work, FILE *out, const struct shot *shot, const struct infomask_mask *mask)
{
    const struct infomask_map *map = &mask->maps[0];
    double unit = view_units_factor(shot->head.units);

    if (out == NULL)
        return;
    plain_put(out, shot->path, 0);
    (void)fputs(": ", out);
    plain_put(out, model_label(work->ask.model, (size_t)map->target), 0);
    (void)fprintf(out, ", %.2f %s", unit * map->pmi, view_units_name(shot->head.units));
    if (isfinite(map->map_pmi))
        (void)fprintf(out, " in the crop, %.2f in the whole photo", unit * map->map_pmi);
    (void)fprintf(out, ", %.1f %% of the picture%s\n", 100 * mask->area, mask->empty ? " (nothing to mask)" : "");
}

static enum infomask_status write_picture(const struct work *work, struct batch_item *item,
                                          const struct shot *shot, const struct infomask_mask *mask,
                                          struct infomask_error *err)
{
    const struct infomask_picture_options options =
        ask_picture_options(&work->ask, ask_picture(&work->ask), output_format(item->output));
    struct infomask_encoded encoded = {0};
    enum infomask_status status;

    status = infomask_mask_picture(mask, shot->photo, &options, &encoded, err);
    if (status == INFOMASK_OK)
        status = output_picture(item->output, item->target, &encoded, &item->over, err);
    if (status == INFOMASK_OK)
        tell_mask(work, item->said, shot, mask);
    infomask_encoded_fini(&encoded);
    return status;
}

static enum infomask_status write_view(const struct work *work, struct json_writer *writer, const struct shot *shot,
                                       const struct infomask_mask *mask, struct infomask_error *err)
{
    static const char *const names[] = {"mask", "map", "saliency", "overlay"};
    struct infomask_picture_options options =
        ask_picture_options(&work->ask, INFOMASK_PICTURE_MASK, INFOMASK_PNG);
    struct infomask_encoded png = {0}, other = {0};
    struct view_picture pictures[] = {{"mask", &png},
                                      {names[work->cli->params.value[PARAM_ID_OUTPUT].integer], &other}};
    enum infomask_status status = infomask_mask_picture(mask, shot->photo, &options, &png, err);
    bool more = ask_picture(&work->ask) != INFOMASK_PICTURE_MASK;

    options.picture = ask_picture(&work->ask);
    if (status == INFOMASK_OK && more)
        status = infomask_mask_picture(mask, shot->photo, &options, &other, err);
    if (status == INFOMASK_OK)
        view_mask(writer, NULL, &shot->head, &shot->classification, mask, pictures, more ? 2 : 1);
    infomask_encoded_fini(&png);
    infomask_encoded_fini(&other);
    return status;
}

static enum infomask_status mask_photo(struct work *work, struct batch_item *item, void *context,
                                       struct infomask_error *err)
{
    struct infomask_mask mask = {0};
    struct shot shot;
    enum infomask_status status = shot_open(work, item->session, item->path, true, &shot, err);

    (void)context;
    if (status != INFOMASK_OK)
        return status;
    shot.head.file = item->output->many ? item->path : NULL;
    status = infomask_mask(item->session, shot.photo, &shot.classification, &work->ask.options.filter.mask, &mask, err);
    if (status == INFOMASK_OK && item->text != NULL)
        tell_mask(work, item->text, &shot, &mask);
    else if (status == INFOMASK_OK && item->output->form == OUTPUT_PICTURE)
        status = write_picture(work, item, &shot, &mask, err);
    else if (status == INFOMASK_OK)
        status = write_view(work, &item->writer, &shot, &mask, err);
    infomask_mask_fini(&mask);
    shot_close(&shot);
    return status;
}

static struct output_spec output_spec_of(const struct cli *cli)
{
    const struct param_value *format = &cli->params.value[PARAM_ID_MASK_FORMAT];
    static const char *const extensions[] = {NULL, "png", "webp"};
    bool json = format->given && format->integer == FORMAT_JSON;

    return (struct output_spec){.noun = "a mask",
                                .png = true,
                                .webp = true,
                                .piped = OUTPUT_JSON,
                                .at_terminal = OUTPUT_TEXT,
                                .format = !format->given ? OUTPUT_FORMS
                                          : json         ? OUTPUT_JSON
                                                         : OUTPUT_PICTURE,
                                .format_extension = format->given ? extensions[format->integer] : NULL};
}

int cmd_mask(int argc, char **argv)
{
    struct output output = {0};
    struct output_spec output_spec;
    const struct cli_spec spec = {
        .usage = "mask [OPTION]... FILE|FOLDER...",
        .about = "Shows where in each photo the information about the target class is: with -o or --format=png|webp a "
                 "picture of\n"
                 "the photo's size, on a terminal a line, elsewhere JSON.  Without --target it is the best class.",
        .flags = flags,
        .flag_count = sizeof flags / sizeof *flags,
        .params = TAKES_MASK,
        .sections = " models images compute ",
        .take = take,
        .context = &output,
    };
    struct photos photos = {0};
    struct cli cli;
    struct work work;
    int code = cli_open(&cli, &spec, argc, argv);

    if (code >= 0)
        return code;
    output_spec = output_spec_of(&cli);
    code = batch_list(&photos, &cli, &output, &output_spec);
    if (code < 0)
        code = work_open(&work, &cli);
    if (code < 0) {
        code = batch_run(&work, &photos, &output, mask_photo, NULL);
        work_close(&work);
    }
    photos_close(&photos);
    cli_close(&cli);
    return code;
}
