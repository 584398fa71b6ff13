/* From checked parameters to core's options: what needs the model (number of classes, their names) or the units. */
#include "app/ask/options.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double to_nats(const struct param_options *options, const struct param_value *value)
{
    return options->bits ? value->number * log(2) : value->number;
}

/* K positive numbers, normalised to a sum of 1. */
static enum infomask_status read_prior_values(const char *text, size_t classes, double *p, struct infomask_error *err)
{
    size_t count = 1;
    double sum = 0;

    for (const char *c = text; *c != '\0'; c++)
        count += *c == ',';
    if (count != classes)
        return error_set(err, INFOMASK_ARGUMENT, "prior must have %zu numbers, one for each class, not %zu", classes,
                         count);
    for (size_t i = 0; i < classes; i++) {
        char *end;
        p[i] = strtod(text, &end);
        sum += p[i];
        text = end + (*end == ',');
    }
    if (!isfinite(sum))
        return error_set(err, INFOMASK_ARGUMENT, "the numbers of prior must have a finite sum");
    for (size_t i = 0; i < classes; i++) {
        p[i] /= sum;
        if (!(p[i] > 0))
            return error_set(err, INFOMASK_ARGUMENT, "number %zu of prior is too small beside the others", i + 1);
    }
    return INFOMASK_OK;
}

static enum infomask_status set_prior(struct param_options *options, const struct params *params,
                                      const struct model *model, struct infomask_error *err)
{
    const char *text = params->value[PARAM_ID_PRIOR].text;
    struct infomask_prior *prior = &options->classify.prior;
    size_t classes = model_classes(model);
    enum infomask_status status = INFOMASK_OK;

    options->prior = "train";
    if (text != NULL && strcmp(text, "uniform") == 0) {
        prior->kind = INFOMASK_PRIOR_UNIFORM;
        options->prior = "uniform";
    } else if (text != NULL && strcmp(text, "train") != 0) {
        options->prior_values = calloc(classes, sizeof *options->prior_values);
        if (options->prior_values == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the prior");
        status = read_prior_values(text, classes, options->prior_values, err);
        *prior = (struct infomask_prior){INFOMASK_PRIOR_GIVEN, options->prior_values};
        options->prior = "given";
    }
    options->filter.mask.prior = *prior;
    return status;
}

enum infomask_status ask_find_target(const struct model *model, const char *name, int *target,
                                     enum view_problem *problem, struct infomask_error *err)
{
    switch (model_find_target(model, name, target, err)) {
    case MODEL_TARGET_NO_CLASS:
        *problem = VIEW_NO_SUCH_CLASS;
        return INFOMASK_ARGUMENT;
    case MODEL_TARGET_NO_GROUP:
        *problem = VIEW_NO_SUCH_GROUP;
        return INFOMASK_ARGUMENT;
    case MODEL_TARGET_AMBIGUOUS:
        *problem = VIEW_AMBIGUOUS_CLASS;
        return INFOMASK_ARGUMENT;
    case MODEL_TARGET_FOUND:
        break;
    }
    return INFOMASK_OK;
}

enum infomask_status ask_find_class(const struct model *model, const char *name, int *class,
                                    enum view_problem *problem, struct infomask_error *err)
{
    switch (model_find_class(model, name, class, err)) {
    case MODEL_CLASS_UNKNOWN:
        *problem = VIEW_NO_SUCH_CLASS;
        return INFOMASK_ARGUMENT;
    case MODEL_CLASS_AMBIGUOUS:
        *problem = VIEW_AMBIGUOUS_CLASS;
        return INFOMASK_ARGUMENT;
    case MODEL_CLASS_FOUND:
        break;
    }
    return INFOMASK_OK;
}

static enum infomask_status set_targets(struct param_options *options, const struct params *params,
                                        const struct model *model, enum view_problem *problem,
                                        struct infomask_error *err)
{
    for (int i = 0; i < params->target_count; i++) {
        int index, seen = 0;
        if (ask_find_target(model, params->targets[i], &index, problem, err) != INFOMASK_OK)
            return INFOMASK_ARGUMENT;
        while (seen < options->target_count && options->targets[seen] != index)
            seen++;
        if (seen == options->target_count)
            options->targets[options->target_count++] = index;
    }
    options->filter.mask.targets = options->target_count > 0 ? options->targets : NULL;
    options->filter.mask.target_count = options->target_count;
    return INFOMASK_OK;
}

static enum infomask_status set_top_k(struct param_options *options, const struct params *params,
                                      const struct model *model, struct infomask_error *err)
{
    const struct param_value *value = &params->value[PARAM_ID_TOP_K];
    int64_t classes = (int64_t)model_classes(model);

    if (value->given && value->integer > classes)
        return error_set(err, INFOMASK_ARGUMENT,
                         "top_k must be an integer from 1 to %lld, the number of classes, not %lld",
                         (long long)classes, (long long)value->integer);
    options->groups = params->value[PARAM_ID_GROUPS].integer == 1;
    options->top_k = (int)(value->integer < classes ? value->integer : classes);
    return INFOMASK_OK;
}

static void set_mask(struct param_options *options, const struct params *params)
{
    static const enum infomask_method methods[] = {INFOMASK_INFOCAM, INFOMASK_CAM, INFOMASK_INFOCAM_PLUS,
                                                   INFOMASK_GRADCAM_PLUS_PLUS, INFOMASK_LAYERCAM, INFOMASK_OCCLUSION};
    static const enum infomask_quality qualities[] = {INFOMASK_STANDARD, INFOMASK_MIDDLE, INFOMASK_FAST};
    const struct param_value *v = params->value;
    struct infomask_mask_options *mask = &options->filter.mask;

    mask->method = methods[v[PARAM_ID_METHOD].integer];
    mask->quality = qualities[v[PARAM_ID_QUALITY].integer];
    if (v[PARAM_ID_RESOLUTION].given)
        mask->resolution = (int)v[PARAM_ID_RESOLUTION].integer;
    if (v[PARAM_ID_OCCLUSION_WINDOW].given)
        mask->occlusion_window = (int)v[PARAM_ID_OCCLUSION_WINDOW].integer;
    if (v[PARAM_ID_OCCLUSION_STRIDE].given)
        mask->occlusion_stride = (int)v[PARAM_ID_OCCLUSION_STRIDE].integer;
    mask->shadow = v[PARAM_ID_SHADOW].integer != 0;
    mask->no_refine = v[PARAM_ID_REFINE].integer == 0;
    mask->threshold_given = v[PARAM_ID_THRESHOLD].given;
    (void)param_threshold(v[PARAM_ID_THRESHOLD].text, &mask->threshold, &mask->threshold_value);
    mask->min_evidence = v[PARAM_ID_MIN_EVIDENCE].given ? to_nats(options, &v[PARAM_ID_MIN_EVIDENCE]) : NAN;
}

static void set_filter(struct param_options *options, const struct params *params)
{
    static const enum infomask_fill fills[] = {INFOMASK_MATCH, INFOMASK_INPAINT,  INFOMASK_DIFFUSE,    INFOMASK_BLUR,
                                               INFOMASK_MEAN,  INFOMASK_PIXELATE, INFOMASK_TRANSPARENT};
    const struct param_value *v = params->value;
    struct infomask_filter_options *filter = &options->filter;

    filter->keep = v[PARAM_ID_MODE].integer >= 1;
    filter->cutout = v[PARAM_ID_MODE].integer == 2;
    filter->trim = v[PARAM_ID_TRIM].integer != 0;
    if (v[PARAM_ID_FILL].given && param_color(v[PARAM_ID_FILL].text, filter->color))
        filter->fill = INFOMASK_COLOR;
    else if (v[PARAM_ID_FILL].given)
        filter->fill = fills[v[PARAM_ID_FILL].integer];
    filter->fill_seed = (uint64_t)v[PARAM_ID_FILL_SEED].integer;
    if (v[PARAM_ID_DILATE].given)
        filter->dilate = v[PARAM_ID_DILATE].number;
    filter->feather = v[PARAM_ID_FEATHER].number;
    filter->until = v[PARAM_ID_UNTIL].given ? to_nats(options, &v[PARAM_ID_UNTIL]) : NAN;
    filter->max_passes = (int)v[PARAM_ID_MAX_PASSES].integer;
    filter->max_area = v[PARAM_ID_MAX_AREA].number;
    filter->seed = (uint64_t)v[PARAM_ID_SEED].integer;
}

enum infomask_status param_options_init(struct param_options *options, const struct params *params,
                                        const struct model *model, enum view_problem *problem,
                                        struct infomask_error *err)
{
    const struct param_value *v = params->value;
    enum infomask_status status;

    *options = (struct param_options){.filter = infomask_default_filter_options(), .abstain_below = NAN};
    options->bits = v[PARAM_ID_UNITS].integer == 1;
    options->classify.samples = (int)v[PARAM_ID_SAMPLES].integer;
    options->classify.seed = (uint64_t)v[PARAM_ID_SEED].integer;
    if (v[PARAM_ID_ABSTAIN_BELOW].given)
        options->abstain_below = to_nats(options, &v[PARAM_ID_ABSTAIN_BELOW]);
    set_mask(options, params);
    set_filter(options, params);
    status = set_top_k(options, params, model, err);
    if (status == INFOMASK_OK)
        status = set_prior(options, params, model, err);
    if (status != INFOMASK_OK)
        *problem = view_problem_of(status);
    return status == INFOMASK_OK ? set_targets(options, params, model, problem, err) : status;
}

void param_options_fini(struct param_options *options)
{
    free(options->prior_values);
    options->prior_values = NULL;
}

enum infomask_status params_check_mask(const struct params *params, struct infomask_error *err)
{
    static const enum param_id makers[] = {PARAM_ID_QUALITY,      PARAM_ID_THRESHOLD, PARAM_ID_REFINE,
                                           PARAM_ID_MIN_EVIDENCE, PARAM_ID_UNTIL,     PARAM_ID_MAX_PASSES,
                                           PARAM_ID_SHADOW};

    for (size_t i = 0; i < sizeof makers / sizeof makers[0]; i++)
        if (params->value[makers[i]].given)
            return error_set(err, INFOMASK_ARGUMENT,
                             "%s cannot stand beside a mask of your own, which is taken as it is",
                             param_info(makers[i])->name);
    return INFOMASK_OK;
}

void param_options_mask(struct param_options *options, const struct params *params, const uint8_t *pixels)
{
    options->filter.mask.given = pixels;
    if (!params->value[PARAM_ID_DILATE].given)
        options->filter.dilate = 0;
}
