/* What a filter fills with: the request's wish, the model's own, and the means to do it. */
#include "core/pipeline/filter/fill.h"

#include <math.h>
#include <string.h>

#define DILATE 3.0
#define DILATE_MATCH 7.0

static const enum fill_kind kinds[] = {
    [INFOMASK_MATCH] = FILL_MATCH, [INFOMASK_INPAINT] = FILL_INPAINT,   [INFOMASK_DIFFUSE] = FILL_DIFFUSE,
    [INFOMASK_BLUR] = FILL_BLUR,   [INFOMASK_MEAN] = FILL_MEAN,         [INFOMASK_PIXELATE] = FILL_PIXELATE,
    [INFOMASK_COLOR] = FILL_COLOR, [INFOMASK_TRANSPARENT] = FILL_COLOR, [INFOMASK_OWN_FILL] = FILL_MATCH};

enum infomask_fill pipeline_fill_of(const struct infomask_model *model, const struct infomask_filter_options *options)
{
    if (options->cutout)
        return INFOMASK_TRANSPARENT;
    if (options->fill != INFOMASK_OWN_FILL)
        return options->fill;
    return model->spec.fill != INFOMASK_OWN_FILL ? model->spec.fill : INFOMASK_MATCH;
}

bool pipeline_grows(const struct infomask_model *model, const struct infomask_filter_options *options)
{
    return isnan(options->dilate) && !options->keep && options->mask.given == NULL &&
           pipeline_fill_of(model, options) == INFOMASK_MATCH;
}

double pipeline_dilate(const struct infomask_model *model, const struct infomask_filter_options *options, double *least)
{
    *least = !isnan(options->dilate) ? options->dilate : options->cutout ? 0 : DILATE;
    return pipeline_grows(model, options) ? DILATE_MATCH : *least;
}

struct fill_options pipeline_fill(struct infomask_session *session, const struct infomask_photo *photo,
                                  const struct infomask_filter_options *options)
{
    struct fill_options fill = {.kind = kinds[pipeline_fill_of(session->model, options)],
                                .distance = session->model->kernels->patch_distance,
                                .votes = session->model->kernels->patch_votes,
                                .seed = options->fill_seed,
                                .pool = session->pool,
                                .expired = photo->limits.expired,
                                .deadline_context = photo->limits.deadline_context};

    memcpy(fill.color, options->color, sizeof fill.color);
    return fill;
}

void pipeline_note_fill(const struct infomask_model *model, const struct fill *fill,
                        const struct infomask_filter_options *options, struct infomask_filtered *out)
{
    out->fill = pipeline_fill_of(model, options);
    out->fill_seed = options->fill_seed;
    memcpy(out->fill_color, options->color, sizeof out->fill_color);
    out->fill_reason = fill != NULL ? fill_reason(fill) : NULL;
    if (out->fill == INFOMASK_MATCH && fill != NULL && fill_used(fill) == FILL_DIFFUSE)
        out->fill = INFOMASK_DIFFUSE;
}

const char *infomask_fill_name(enum infomask_fill fill)
{
    static const char *const names[] = {
        [INFOMASK_MATCH] = "match", [INFOMASK_INPAINT] = "inpaint",   [INFOMASK_DIFFUSE] = "diffuse",
        [INFOMASK_BLUR] = "blur",   [INFOMASK_MEAN] = "mean",         [INFOMASK_PIXELATE] = "pixelate",
        [INFOMASK_TRANSPARENT] = "transparent", [INFOMASK_COLOR] = NULL};

    return (size_t)fill < sizeof names / sizeof *names ? names[fill] : NULL;
}
