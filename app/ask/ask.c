#include "app/ask/ask.h"

#include <stdlib.h>

enum infomask_status ask_open(struct ask *ask, struct model *model, const struct params *params,
                              enum view_problem *problem, struct infomask_error *err)
{
    *ask = (struct ask){.model = model, .params = params};
    return params != NULL ? param_options_init(&ask->options, params, model, problem, err) : INFOMASK_OK;
}

void ask_close(struct ask *ask)
{
    param_options_fini(&ask->options);
    free(ask->own_mask);
    if (ask->session != NULL)
        model_session_give(ask->model, ask->session);
    model_release(ask->model);
    *ask = (struct ask){0};
}

enum infomask_status ask_session(struct ask *ask, struct infomask_error *err)
{
    return model_session_take(ask->model, &ask->session, err);
}

enum infomask_status ask_own_mask(struct ask *ask, const struct infomask_photo *photo, const void *data, size_t size,
                                  enum view_problem *problem, struct infomask_error *err)
{
    enum infomask_status status = params_check_mask(ask->params, err);

    *problem = VIEW_BAD_PARAMETER;
    if (status != INFOMASK_OK)
        return status;
    free(ask->own_mask);
    ask->own_mask = NULL;
    status = infomask_own_mask(photo, data, size, &ask->own_mask, err);
    if (status == INFOMASK_OK)
        param_options_mask(&ask->options, ask->params, ask->own_mask);
    *problem = status == INFOMASK_MEMORY || status == INFOMASK_DEADLINE ? view_problem_of(status) : VIEW_BAD_MASK;
    return status;
}

struct infomask_limits ask_limits(const struct config *config)
{
    struct infomask_limits limits = infomask_default_limits();

    limits.max_pixels = config->max_pixels;
    limits.max_side = config->max_side;
    limits.max_scans = config->max_scans;
    limits.decoder_memory = config->decoder_memory;
    return limits;
}

/* ---- What is answered -------------------------------------------------------------------------------------------- */

static enum view_units units_of(const struct ask *ask)
{
    return ask->options.bits ? VIEW_BITS : VIEW_NATS;
}

struct view_head ask_head(const struct ask *ask, const struct infomask_photo_info *image)
{
    return (struct view_head){.model = ask->model, .image = image, .units = units_of(ask),
                              .prior = ask->options.prior};
}

struct view_classify_options ask_view_classify(const struct ask *ask)
{
    const struct param_options *options = &ask->options;

    return (struct view_classify_options){
        .top_k = options->top_k,
        .target = options->target_count > 0 ? options->targets[0] : -1,
        .abstain_below = options->abstain_below,
        .groups = options->groups,
    };
}

double ask_in_units(const struct ask *ask, double nats)
{
    return nats * view_units_factor(units_of(ask));
}

enum infomask_picture ask_picture(const struct ask *ask)
{
    static const enum infomask_picture pictures[] = {INFOMASK_PICTURE_MASK, INFOMASK_PICTURE_MAP,
                                                     INFOMASK_PICTURE_SALIENCY, INFOMASK_PICTURE_OVERLAY};
    return pictures[ask->params->value[PARAM_ID_OUTPUT].integer];
}

struct infomask_picture_options ask_picture_options(const struct ask *ask, enum infomask_picture picture,
                                                    enum infomask_format format)
{
    const struct param_value *v = ask->params->value;

    return (struct infomask_picture_options){
        .picture = picture,
        .colormap = v[PARAM_ID_COLORMAP].text,
        .opacity = v[PARAM_ID_OPACITY].number,
        .unit = view_units_factor(units_of(ask)),
        .format = format,
        .soft = v[PARAM_ID_EDGE].integer == 1,
    };
}
