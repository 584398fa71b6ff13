/* Masks: what a request asks for, resolved against the model and its folder's settings; then chain, then paint. */
#include "core/pipeline/mask.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW 5
#define MOST_ASPECT 4.0

static const struct chain_preset presets[] = {
    [INFOMASK_STANDARD] = {.centre = .45, .weight = {0, 1, .5}, .radius = {10, 10}},
    [INFOMASK_MIDDLE] = {.centre = .45, .weight = {.5, 1, .4}, .radius = {16, 8}},
    [INFOMASK_FAST] = {.centre = .5, .weight = {1, 1, .2}, .radius = {20, 10}},
};
static const double preset_scale[] = { /* of the model's own input side */
    [INFOMASK_STANDARD] = 2, [INFOMASK_MIDDLE] = 10.0 / 7.0, [INFOMASK_FAST] = 1};

struct infomask_mask_options infomask_default_mask_options(void)
{
    return (struct infomask_mask_options){.min_evidence = NAN};
}

void infomask_mask_fini(struct infomask_mask *mask)
{
    for (int i = 0; i < mask->map_count && mask->maps != NULL; i++)
        free(mask->maps[i].cells);
    if (mask->saliency != NULL) {
        for (int i = 0; i < mask->saliency->count && mask->saliency->layers != NULL; i++)
            mask_layer_fini(&mask->saliency->layers[i]);
        free(mask->saliency->layers);
        place_map_fini(&mask->saliency->place);
        free(mask->saliency->values);
    }
    free(mask->saliency);
    free(mask->maps);
    free(mask->pixels);
    free(mask->objects);
    *mask = (struct infomask_mask){0};
}

/* ---- The size of the pass ---------------------------------------------------------------------------------------- */

static int multiple(double length, int stride, int least)
{
    int cells = (int)rint(length / stride);
    return (cells > least ? cells : least) * stride;
}

/* The whole photo at its own aspect (squeezed to 4:1 beyond), area about side^2. */
static void size_of_side(const struct infomask_model *model, const struct infomask_photo *photo, double side, int *h,
                         int *w)
{
    double aspect = (double)photo->info.width / photo->info.height, r;

    r = sqrt(fmin(fmax(aspect, 1 / MOST_ASPECT), MOST_ASPECT));
    *h = multiple(side / r, model->info.stride, 2);
    *w = multiple(side * r, model->info.stride, 2);
}

static double own_side(const struct infomask_model *model)
{
    return sqrt((double)model->spec.width * model->spec.height);
}

/* The side that the presets are multiples of. */
static double preset_side(const struct infomask_model *model)
{
    double scale = model->spec.mask_scale / preset_scale[INFOMASK_STANDARD];
    return own_side(model) * (scale > 0 ? scale : 1);
}

static void size_of_pass(struct mask_plan *plan, int *h, int *w)
{
    const struct infomask_model *model = plan->session->model;
    const struct infomask_mask_options *options = plan->options;
    int resolution = options->resolution != 0 ? options->resolution : model->spec.mask_resolution;

    if (model->info.fixed_size) {
        *h = model->spec.height;
        *w = model->spec.width;
    } else if (resolution < 0) {
        *h = multiple(plan->photo->info.height, model->info.stride, 1);
        *w = multiple(plan->photo->info.width, model->info.stride, 1);
    } else {
        size_of_side(model, plan->photo,
                     resolution > 0 ? resolution : preset_side(model) * preset_scale[options->quality], h, w);
    }
}

/* The preset whose resolution is nearest to the pass: its numbers belong to how fine the cells are. */
static enum infomask_quality nearest_preset(const struct mask_plan *plan)
{
    double scale = sqrt((double)plan->view.out_width * plan->view.out_height) / preset_side(plan->session->model);

    if (scale < sqrt(preset_scale[INFOMASK_MIDDLE]))
        return INFOMASK_FAST;
    return scale < sqrt(preset_scale[INFOMASK_MIDDLE] * 2) ? INFOMASK_MIDDLE : INFOMASK_STANDARD;
}

/* May the pass be of that size?  (0 bytes: the engine has no plan of it and will say why.) */
static bool pass_fits(struct infomask_model *model, int h, int w)
{
    size_t bytes = engine_arena_bytes(model->engine, 1, h, w, true);
    size_t limit = model->spec.arena_limit != 0 ? model->spec.arena_limit : (size_t)256 << 20;

    return bytes != 0 && bytes <= limit - limit / 16; /* every worker's scratch is not in the bytes */
}

static bool side_fits(struct infomask_model *model, const struct infomask_photo *photo, int side)
{
    int h, w;

    size_of_side(model, photo, side, &h, &w);
    return pass_fits(model, h, w);
}

int infomask_largest_resolution(struct infomask_model *model, const struct infomask_photo *photo)
{
    int low = (int)own_side(model), high = 1 << 14;

    if (model->info.fixed_size)
        return low;
    while (high - low > model->info.stride / 2) {
        int middle = low + (high - low) / 2;
        if (side_fits(model, photo, middle))
            low = middle;
        else
            high = middle;
    }
    return low;
}

static enum infomask_status check_resolution(const struct mask_plan *plan, struct infomask_error *err)
{
    struct infomask_model *model = plan->session->model;
    int asked = plan->options->resolution, largest;
    size_t limit = model->spec.arena_limit != 0 ? model->spec.arena_limit : (size_t)256 << 20;

    if (asked != 0 && model->info.fixed_size)
        return error_set(err, INFOMASK_ARGUMENT, "resolution cannot be chosen: this model takes only %d x %d",
                         model->spec.width, model->spec.height);
    if (asked == 0 || pass_fits(model, plan->view.out_height, plan->view.out_width))
        return INFOMASK_OK;
    largest = infomask_largest_resolution(model, plan->photo);
    return error_set(err, INFOMASK_ARGUMENT, "resolution %d x %d needs more than the %zu MiB of a worker: at most %d",
                     plan->view.out_width, plan->view.out_height, limit >> 20, largest);
}

/* ---- Rules ------------------------------------------------------------------------------------------------------- */

enum infomask_status plan_rules(struct mask_plan *plan, struct infomask_error *err)
{
    const struct infomask_mask_options *options = plan->options;
    const struct infomask_model *model = plan->session->model;
    double folder = model->spec.mask_min_evidence;

    plan->rule = INFOMASK_THRESHOLD_AUTO;
    if (options->given != NULL) {
        plan->rule = INFOMASK_THRESHOLD_GIVEN;
    } else if (options->threshold_given) {
        plan->rule = options->threshold;
        plan->rule_value = options->threshold_value;
    } else {
        plan->rule = model->spec.mask_threshold;
        plan->rule_value = model->spec.mask_threshold_value;
    }
    if (plan->rule == INFOMASK_THRESHOLD_WINDOW && (!model->info.windows || options->method == INFOMASK_OCCLUSION))
        return error_set(err, INFOMASK_NO_CLASS_MAP, "threshold=window needs the class map of a head on a pooled map");
    plan->evidence_default = isnan(folder) || folder == 0;
    plan->min_evidence = plan->evidence_default ? MASK_EVIDENCE * log((double)model->info.classes) : folder;
    plan->evidence_given = !isnan(options->min_evidence);
    if (plan->evidence_given)
        plan->min_evidence = options->min_evidence;
    plan->window = (model->spec.mask_window > 0 ? model->spec.mask_window : WINDOW) | 1;
    return INFOMASK_OK;
}

/* Strokes on a flat canvas larger than the training view, under the rule that is meant for them. */
static enum infomask_status plan_strokes(struct mask_plan *plan, struct infomask_timing *timing,
                                         struct infomask_error *err)
{
    const struct infomask_model_spec *spec = &plan->session->model->spec;
    bool canvas = plan->view.out_width > spec->width || plan->view.out_height > spec->height;

    plan->strokes = false;
    if (plan->rule != INFOMASK_THRESHOLD_WINDOW || plan->options->no_refine || !canvas)
        return INFOMASK_OK;
    return strokes_mark(plan->photo, plan->session->pool, NULL, &plan->strokes, timing, err);
}

static enum infomask_status plan_targets(struct mask_plan *plan, struct infomask_error *err)
{
    const struct infomask_mask_options *options = plan->options;

    plan->targets = options->target_count > 0 ? options->targets : plan->classification->order;
    plan->count = options->target_count > 0 ? options->target_count : 1;
    for (int i = 0; i < plan->count; i++)
        if (!pipeline_is_target(plan->session->model, plan->targets[i]))
            return error_set(err, INFOMASK_ARGUMENT, "target %d is none of the %zu classes and %d groups",
                             plan->targets[i], plan->session->model->info.classes, plan->session->model->info.groups);
    return INFOMASK_OK;
}

enum infomask_status plan_view(struct mask_plan *plan, struct infomask_error *err)
{
    struct infomask_model *model = plan->session->model;
    int h, w;

    size_of_pass(plan, &h, &w);
    if (plan->options->resolution == 0 && (model->spec.mask_resolution != 0 || model->spec.mask_scale > 0) &&
        !model->info.fixed_size && !pass_fits(model, h, w)) /* the folder's wish, as far as it goes */
        size_of_side(model, plan->photo, infomask_largest_resolution(model, plan->photo), &h, &w);
    plan->view = image_view_whole(plan->photo->info.width, plan->photo->info.height, w, h);
    plan->view.filter = plan->session->model->filter;
    return check_resolution(plan, err);
}

static enum infomask_status plan_init(struct mask_plan *plan, struct infomask_timing *timing,
                                      struct infomask_error *err)
{
    const char *why_not = infomask_why_not(&plan->session->model->info, plan->options->method);
    enum infomask_status status = plan_targets(plan, err);

    if (status == INFOMASK_OK && why_not != NULL)
        status = error_set(err, INFOMASK_NO_CLASS_MAP, "this model has no method=%s: %s; method=occlusion works",
                           infomask_method_name(plan->options->method), why_not);
    if (status == INFOMASK_OK)
        status = plan_rules(plan, err);
    if (status == INFOMASK_OK)
        status = plan_view(plan, err);
    if (status != INFOMASK_OK)
        return status;
    plan->preset = &presets[nearest_preset(plan)];
    return plan_strokes(plan, timing, err);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status mask_init(struct infomask_mask *mask, const struct mask_plan *plan,
                                      struct infomask_error *err)
{
    size_t count = (size_t)plan->count;

    mask->width = plan->photo->info.width;
    mask->height = plan->photo->info.height;
    mask->method = plan->options->method;
    mask->rule = plan->rule;
    mask->maps = calloc(count, sizeof *mask->maps);
    mask->saliency = calloc(1, sizeof *mask->saliency);
    if (mask->saliency != NULL)
        mask->saliency->layers = calloc(count, sizeof *mask->saliency->layers);
    if (mask->maps == NULL || mask->saliency == NULL || mask->saliency->layers == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
    mask->map_count = mask->saliency->count = plan->count;
    for (int i = 0; i < plan->count; i++) {
        struct infomask_score score = infomask_score(plan->session->model, plan->classification, plan->targets[i]);
        mask->maps[i].target = plan->targets[i];
        mask->maps[i].probability = exp(score.log_probability);
        mask->maps[i].pmi = score.pmi;
    }
    return INFOMASK_OK;
}

/* The maximum of the layers' saliencies; the layers' own are given back. */
static enum infomask_status unite_saliencies(struct infomask_saliency *saliency, struct infomask_error *err)
{
    for (int i = 0; i < saliency->count; i++) {
        struct mask_layer *layer = &saliency->layers[i];
        if (layer->saliency == NULL)
            continue;
        if (saliency->values == NULL) {
            saliency->values = layer->saliency;
            saliency->h = layer->saliency_h;
            saliency->w = layer->saliency_w;
            layer->saliency = NULL;
            continue;
        }
        for (size_t k = 0; k < (size_t)saliency->h * (size_t)saliency->w; k++)
            saliency->values[k] = fmaxf(saliency->values[k], layer->saliency[k]);
        free(layer->saliency);
        layer->saliency = NULL;
    }
    if (saliency->values == NULL) { /* every target is empty */
        saliency->h = saliency->w = 1;
        saliency->values = calloc(1, sizeof(float));
    }
    return saliency->values != NULL ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the mask");
}

static enum infomask_status take_shadow(struct mask_plan *plan, struct infomask_mask *mask, struct infomask_error *err)
{
    const struct image *image;
    enum infomask_status status = photo_image(plan->photo, 8, plan->session->pool, &image, &mask->timing, err);

    if (status == INFOMASK_OK)
        status = pixels_shadow(image, PIXELS_SHADOW, mask->pixels, err);
    return status == INFOMASK_OK ? paint_measure(mask, err) : status;
}

enum infomask_status mask_make(struct infomask_session *session, struct infomask_photo *photo,
                               const struct infomask_classification *classification,
                               const struct infomask_mask_options *options, enum mask_pass pass,
                               struct infomask_mask *mask, struct infomask_error *err)
{
    struct mask_plan plan = {
        .session = session, .photo = photo, .classification = classification, .options = options, .pass = pass};
    enum infomask_status status;
    double start;

    *mask = (struct infomask_mask){0};
    status = plan_init(&plan, &mask->timing, err);
    if (status == INFOMASK_OK)
        status = mask_init(mask, &plan, err);
    if (status == INFOMASK_OK)
        status = chain_run(&plan, mask->maps, mask->saliency->layers, &mask->saliency->place, &mask->timing, err);
    start = clock_ms();
    if (status == INFOMASK_OK)
        status = unite_saliencies(mask->saliency, err);
    if (status == INFOMASK_OK) {
        mask->threshold = mask->saliency->layers[0].threshold;
        status = options->given != NULL ? own_mask_paint(&plan, mask, err) : paint_mask(&plan, mask, err);
    }
    if (status == INFOMASK_OK && options->shadow && !mask->empty)
        status = take_shadow(&plan, mask, err);
    mask->timing.mask += clock_ms() - start;
    if (status != INFOMASK_OK)
        infomask_mask_fini(mask);
    return status;
}

enum infomask_status infomask_mask(struct infomask_session *session, struct infomask_photo *photo,
                                   const struct infomask_classification *classification,
                                   const struct infomask_mask_options *options, struct infomask_mask *mask,
                                   struct infomask_error *err)
{
    return mask_make(session, photo, classification, options, MASK_PASS, mask, err);
}
