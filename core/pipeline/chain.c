/* One chain a target at working size: docs/masks.md steps 1 to 8.  What does not depend on the target (pass, graph,
 * guide) is made once. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/image/pixels.h"
#include "core/pipeline/mask.h"

#define MOST_CELLS 2500
#define SOFT_RADIUS 10
#define SOFT_EPS 1e-3F
#define SHARP_EPS 1e-4F
#define SHARP_SLOPE 15.0F

struct chain {
    const struct mask_plan *plan;
    struct engine_tap features;
    struct pipeline_cells cells; /* of the features, for the class maps */
    int rows, columns;     /* of the maps: the features' grid, or that of the occlusion */
    struct mask_set *sets; /* [count] the targets, with the shares of the whole photo's pass */
    double *shares;        /* of all of them */
    float **window;        /* [count] window PMI [rows, columns]; NULL entries without a pooled head */
    float **map;           /* [count] the map that finds the object */
    int grid_h, grid_w;    /* of the graph */
    float *affinity;       /* [cells, cells], or NULL: no tensors to make a graph of */
    int h, w;              /* working size */
    float *rgb;            /* [h, w, 3] */
    struct guided *soft, *sharp[2];
};

static void chain_fini(struct chain *chain)
{
    for (int i = 0; i < chain->plan->count; i++) {
        if (chain->window != NULL)
            free(chain->window[i]);
        if (chain->map != NULL)
            free(chain->map[i]);
    }
    pipeline_cells_fini(&chain->cells);
    free(chain->sets);
    free(chain->shares);
    free(chain->window);
    free(chain->map);
    aligned_free(chain->affinity);
    free(chain->rgb);
    for (int i = 0; i < 2; i++)
        if (chain->sharp[i] != chain->soft && (i == 0 || chain->sharp[i] != chain->sharp[0]))
            guided_free(chain->sharp[i]);
    guided_free(chain->soft);
}

void mask_layer_fini(struct mask_layer *layer)
{
    free(layer->x);
    free(layer->gate);
    free(layer->saliency);
    *layer = (struct mask_layer){0};
}

static float *floats(size_t n) { return malloc((n > 0 ? n : 1) * sizeof(float)); }

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
}

/* ---- The pass and the class maps --------------------------------------------------------------------------------- */

static enum infomask_status class_maps(struct chain *chain, const float *logits, const double *log_p,
                                       struct infomask_error *err)
{
    static const enum mask_method methods[] = {[INFOMASK_INFOCAM] = MASK_INFOCAM,
                                               [INFOMASK_CAM] = MASK_CAM,
                                               [INFOMASK_INFOCAM_PLUS] = MASK_INFOCAM_PLUS,
                                               [INFOMASK_GRADCAM_PLUS_PLUS] = MASK_GRADCAM_PP,
                                               [INFOMASK_LAYERCAM] = MASK_LAYERCAM};
    const struct mask_plan *plan = chain->plan;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < plan->count && status == INFOMASK_OK; i++) {
        int n = chain->rows * chain->columns, other = -1;
        chain->map[i] = floats((size_t)n);
        if (chain->map[i] == NULL)
            return no_memory(err);
        if (plan->options->method == INFOMASK_INFOCAM_PLUS)
            other = mask_other_class(logits, chain->cells.head.classes, &chain->sets[i]);
        status = mask_class_map(&chain->cells.head, methods[plan->options->method], &chain->sets[i], other, log_p,
                                chain->cells.f, n, chain->map[i], err);
    }
    return status;
}

/* The cells that are reported: m_y of F3 for infoCAM, else the method's own map. */
static enum infomask_status report_map(const struct chain *chain, int i, double pmi, struct infomask_map *map,
                                       struct infomask_error *err)
{
    int n = chain->rows * chain->columns;
    float largest = NAN;

    map->cells = malloc((size_t)n * sizeof *map->cells);
    if (map->cells == NULL)
        return no_memory(err);
    map->rows = chain->rows;
    map->columns = chain->columns;
    map->map_pmi = pmi;
    map->mean = 0;
    if (chain->plan->options->method == INFOMASK_INFOCAM) {
        enum infomask_status status =
            mask_information(&chain->cells.head, &chain->sets[i], chain->cells.f, n, pmi, map->cells, err);
        if (status != INFOMASK_OK)
            return status;
    } else {
        for (int u = 0; u < n; u++)
            map->cells[u] = (double)chain->map[i][u];
    }
    for (int u = 0; u < n; u++)
        map->mean += map->cells[u] / n;
    for (int u = 0; chain->window[i] != NULL && u < n; u++)
        largest = fmaxf(largest, chain->window[i][u]);
    map->largest_window_pmi = (double)largest;
    return INFOMASK_OK;
}

/* The targets as sets; shares from log p(y|x) of the pass. */
static enum infomask_status chain_sets(struct chain *chain, const double *log_p, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    size_t total = 0;

    for (int i = 0; i < plan->count; i++)
        total += (size_t)plan_set(plan, i).count;
    chain->sets = malloc((size_t)plan->count * sizeof *chain->sets);
    chain->shares = malloc((total + 1) * sizeof *chain->shares);
    if (chain->sets == NULL || chain->shares == NULL)
        return no_memory(err);
    total = 0;
    for (int i = 0; i < plan->count; i++) {
        struct mask_set *set = &chain->sets[i];
        *set = plan_set(plan, i);
        if (set->count > 1) {
            mask_set_share(set, log_p, chain->shares + total);
            set->share = chain->shares + total;
            total += (size_t)set->count;
        }
    }
    return INFOMASK_OK;
}

static enum infomask_status chain_maps(struct chain *chain, struct infomask_map *maps, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    const struct infomask_model *model = plan->session->model;
    size_t k = model->info.classes;
    double *pmi = malloc(((size_t)plan->count + k) * sizeof *pmi), *log_p = pmi + plan->count;
    float *logits = floats(k);
    enum infomask_status status = pmi == NULL || logits == NULL ? no_memory(err) : INFOMASK_OK;
    const float *output = engine_output(plan->session->engine);

    if (status == INFOMASK_OK)
        status = plan_posterior(plan, output, log_p, err);
    if (status == INFOMASK_OK) {
        plan_pmi_of_posterior(plan, log_p, pmi);
        status = chain_sets(chain, log_p, err);
    }
    if (status == INFOMASK_OK && plan->options->method != INFOMASK_OCCLUSION) {
        pipeline_logits(model, output, logits);
        status = pipeline_cells_init(&chain->cells, model, chain->features.data, chain->rows * chain->columns, err);
        if (status == INFOMASK_OK && model->info.windows)
            status = plan_windows(plan, &chain->features, chain->sets, chain->window, err);
        if (status == INFOMASK_OK)
            status = class_maps(chain, logits, log_p, err);
    }
    for (int i = 0; i < plan->count && status == INFOMASK_OK; i++)
        status = report_map(chain, i, pmi[i], &maps[i], err);
    free(pmi);
    free(logits);
    return status;
}

/* ---- The graph --------------------------------------------------------------------------------------------------- */

struct part {
    struct engine_tap tap;
    double weight;
};

/* The tensors that link the cells, in parts [taps + 1]; without any, the features do. */
static enum infomask_status pick_parts(const struct chain *chain, struct part *parts, int *count,
                                       struct infomask_error *err)
{
    struct engine_session *engine = chain->plan->session->engine;
    int taps = chain->plan->session->model->network->tap_count;
    struct mask_tensor features = {chain->features.h, chain->features.w,
                                   engine_features(engine).data != NULL ? chain->features.c : 0};
    struct mask_tensor *tensors = malloc(((size_t)taps + 1) * sizeof *tensors);
    struct mask_part *chosen = malloc(((size_t)taps + 1) * sizeof *chosen);
    enum infomask_status status = tensors == NULL || chosen == NULL ? no_memory(err) : INFOMASK_OK;

    *count = 0;
    for (int i = 0; i < taps && status == INFOMASK_OK; i++) {
        struct engine_tap tap = engine_residual(engine, i);
        tensors[i] = (struct mask_tensor){tap.data != NULL ? tap.h : 0, tap.w, tap.c};
    }
    if (status == INFOMASK_OK)
        *count = mask_parts(tensors, taps, &features, chain->plan->preset->weight, chosen);
    for (int i = 0; i < *count; i++)
        parts[i] = (struct part){engine_residual(engine, chosen[i].tensor), chosen[i].weight};
    if (status == INFOMASK_OK && *count == 0 && chain->features.data != NULL)
        parts[(*count)++] = (struct part){chain->features, 1};
    free(tensors);
    free(chosen);
    return status;
}

static void size_grid(struct chain *chain)
{
    double h = 2.0 * chain->features.h, w = 2.0 * chain->features.w, shrink = sqrt(fmin(1, MOST_CELLS / (h * w)));

    chain->grid_h = (int)fmax(1, floor(h * shrink));
    chain->grid_w = (int)fmax(1, floor(w * shrink));
}

static enum infomask_status add_part(const struct chain *chain, const struct part *part, float *x, int total, int at,
                                     struct infomask_error *err)
{
    const struct engine_tap *tap = &part->tap;
    int n = chain->grid_h * chain->grid_w;
    float *resized;
    enum infomask_status status;

    if (tap->h == chain->grid_h && tap->w == chain->grid_w)
        return mask_cells_part(tap->data, n, tap->c, part->weight, x, total, at, err);
    resized = floats((size_t)n * (size_t)tap->c);
    if (resized == NULL)
        return no_memory(err);
    status = pixels_resize(&(struct pixels_map){tap->data, tap->h, tap->w, tap->c}, resized, chain->grid_h,
                           chain->grid_w, err);
    if (status == INFOMASK_OK)
        status = mask_cells_part(resized, n, tap->c, part->weight, x, total, at, err);
    free(resized);
    return status;
}

static enum infomask_status link_cells(struct chain *chain, const float *x, int total, struct infomask_error *err)
{
    int n = chain->grid_h * chain->grid_w;
    float *small = floats((size_t)n * 3), *lab = floats((size_t)n * 3);
    enum infomask_status status = small == NULL || lab == NULL ? no_memory(err) : INFOMASK_OK;

    chain->affinity = aligned_new((size_t)n * (size_t)n * sizeof(float));
    if (chain->affinity == NULL)
        status = no_memory(err);
    if (status == INFOMASK_OK)
        status = pixels_resize(&(struct pixels_map){chain->rgb, chain->h, chain->w, 3}, small, chain->grid_h,
                               chain->grid_w, err);
    if (status == INFOMASK_OK) {
        pixels_lab(small, (size_t)n, small);
        for (size_t i = 0; i < (size_t)n * 3; i++)
            lab[i % 3 * (size_t)n + i / 3] = small[i];
        mask_affinity(chain->plan->session->model->kernels, x, n, total, lab, chain->affinity);
    }
    free(small);
    free(lab);
    return status;
}

static enum infomask_status chain_graph(struct chain *chain, struct infomask_error *err)
{
    int taps = chain->plan->session->model->network->tap_count, count = 0, total = 0, at = 0;
    struct part *parts = malloc(((size_t)taps + 1) * sizeof *parts);
    enum infomask_status status = parts == NULL ? no_memory(err) : pick_parts(chain, parts, &count, err);
    float *x = NULL;

    for (int i = 0; i < count; i++)
        total += parts[i].tap.c;
    if (status == INFOMASK_OK) {
        x = aligned_new((size_t)chain->grid_h * (size_t)chain->grid_w * (size_t)total * sizeof(float));
        if (x == NULL)
            status = no_memory(err);
    }
    for (int i = 0; i < count && status == INFOMASK_OK; i++) {
        status = add_part(chain, &parts[i], x, total, at, err);
        at += parts[i].tap.c;
    }
    if (status == INFOMASK_OK && count > 0) {
        mask_cells_unit(x, chain->grid_h * chain->grid_w, total);
        status = link_cells(chain, x, total, err);
    }
    aligned_free(x);
    free(parts);
    return status;
}

/* ---- Guide and sharpening ---------------------------------------------------------------------------------------- */

static enum infomask_status guided_for(struct chain *chain, int radius, struct guided **guided,
                                       struct infomask_error *err)
{
    if (radius == SOFT_RADIUS) {
        *guided = chain->soft;
        return INFOMASK_OK;
    }
    return guided_create(guided, chain->rgb, chain->h, chain->w, radius, err);
}

static enum infomask_status chain_guide(struct chain *chain, struct infomask_timing *timing, struct infomask_error *err)
{
    const int *radius = chain->plan->preset->radius;
    enum infomask_status status =
        paint_guide(chain->plan, chain->h, chain->w, &chain->rgb, timing, err);

    if (status == INFOMASK_OK)
        status = guided_create(&chain->soft, chain->rgb, chain->h, chain->w, SOFT_RADIUS, err);
    if (status == INFOMASK_OK)
        status = guided_for(chain, radius[0], &chain->sharp[0], err);
    if (status == INFOMASK_OK && radius[1] == radius[0])
        chain->sharp[1] = chain->sharp[0];
    else if (status == INFOMASK_OK)
        status = guided_for(chain, radius[1], &chain->sharp[1], err);
    return status;
}

static void clip_unit(float *m, size_t n)
{
    for (size_t i = 0; i < n; i++)
        m[i] = m[i] > 0 ? m[i] < 1 ? m[i] : 1.0F : 0.0F;
}

/* Everywhere the same: there is no valley for Otsu to cut in. */
static bool is_flat(const float *u, size_t n)
{
    float low = u[0], high = u[0];

    for (size_t i = 1; i < n; i++) {
        low = u[i] < low ? u[i] : low;
        high = u[i] > high ? u[i] : high;
    }
    return high - low < 1e-4F;
}

/* Steps 6 to 8: u [h, w] becomes x; soft [h, w] becomes the saliency; seeds [h, w] as they went into the graph. */
static void sharpen(const struct chain *chain, float *u, const float *seeds, float *soft, struct mask_layer *layer)
{
    size_t n = (size_t)chain->h * (size_t)chain->w;

    guided_filter(chain->soft, u, SOFT_EPS, soft);
    mask_normalise(soft, n);
    layer->threshold = is_flat(u, n) ? 0.5 : mask_object_threshold(soft, seeds, n);
    mask_sigmoid(u, n, SHARP_SLOPE, (float)layer->threshold);
    for (int i = 0; i < 2; i++) {
        guided_filter(chain->sharp[i], u, SHARP_EPS, u);
        clip_unit(u, n);
    }
    for (size_t i = 0; i < n; i++)
        soft[i] = (soft[i] + u[i]) / 2 * (layer->gate != NULL ? layer->gate[i] : 1.0F);
}

/* ---- One target -------------------------------------------------------------------------------------------------- */

/* The cells' value and limit for the rules that act on them. */
static enum infomask_status cell_rule(const struct chain *chain, int i, const struct infomask_map *map, float *value,
                                      double *level, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    int n = chain->rows * chain->columns;
    bool window = plan->rule == INFOMASK_THRESHOLD_WINDOW && chain->window[i] != NULL;

    for (int u = 0; u < n; u++)
        value[u] = window ? chain->window[i][u] : (float)map->cells[u];
    if (plan->rule == INFOMASK_THRESHOLD_SHARE)
        return mask_share_threshold(value, n, plan->rule_value, level, err);
    *level = plan->rule == INFOMASK_THRESHOLD_NATS ? plan->rule_value : 0;
    return INFOMASK_OK;
}

static bool on_cells(enum infomask_threshold_rule rule)
{
    return rule == INFOMASK_THRESHOLD_NATS || rule == INFOMASK_THRESHOLD_SHARE || rule == INFOMASK_THRESHOLD_WINDOW;
}

/* The bare map, or what a rule on cells selects, is the mask. */
static enum infomask_status bare_layer(const struct chain *chain, int i, const struct infomask_map *map,
                                       struct mask_layer *layer, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    size_t n = (size_t)chain->rows * (size_t)chain->columns;

    layer->h = layer->saliency_h = chain->rows;
    layer->w = layer->saliency_w = chain->columns;
    layer->x = floats(n);
    layer->saliency = floats(n);
    if (layer->x == NULL || layer->saliency == NULL)
        return no_memory(err);
    memcpy(layer->saliency, chain->map[i], n * sizeof(float));
    mask_normalise(layer->saliency, n);
    if (on_cells(plan->rule)) {
        enum infomask_status status = cell_rule(chain, i, map, layer->x, &layer->threshold, err);
        layer->level = layer->threshold;
        return status;
    }
    memcpy(layer->x, layer->saliency, n * sizeof(float));
    layer->threshold = plan->rule == INFOMASK_THRESHOLD_MAX ? plan->rule_value : mask_otsu(layer->x, n);
    layer->level = layer->threshold;
    return INFOMASK_OK;
}

/* Step 2: what goes into the graph, [rows, columns], over its maximum. */
static enum infomask_status seed_cells(const struct chain *chain, int i, const struct infomask_map *map,
                                       const float *gate, float *seeds, double *level, struct infomask_error *err)
{
    int n = chain->rows * chain->columns;
    enum infomask_status status = INFOMASK_OK;

    if (on_cells(chain->plan->rule)) {
        status = cell_rule(chain, i, map, seeds, level, err);
        for (int u = 0; u < n; u++)
            seeds[u] = (double)seeds[u] >= *level && (*level > 0 || seeds[u] > 0) ? 1.0F : 0.0F;
        return status;
    }
    for (int u = 0; u < n; u++)
        seeds[u] = (chain->map[i][u] > 0 ? chain->map[i][u] : 0.0F) * (gate != NULL ? gate[u] : 1.0F);
    mask_normalise(seeds, (size_t)n);
    return INFOMASK_OK;
}

/* One number a cell to working size. */
static enum infomask_status enlarge_cells(const struct chain *chain, const float *cells, float *out,
                                          struct infomask_error *err)
{
    return pixels_bilinear(&(struct pixels_map){cells, chain->rows, chain->columns, 1}, out, chain->h, chain->w, err);
}

/* Steps 2 and 5: seeds on the graph's grid, spread over it; u at working size. */
static enum infomask_status spread_seeds(const struct chain *chain, const float *cells, float *u,
                                         struct infomask_error *err)
{
    size_t n = (size_t)chain->grid_h * (size_t)chain->grid_w;
    float *seeds, *p;
    enum infomask_status status;

    if (chain->affinity == NULL)
        return enlarge_cells(chain, cells, u, err);
    seeds = floats(n);
    p = floats(n);
    status = seeds == NULL || p == NULL ? no_memory(err) : INFOMASK_OK;
    if (status == INFOMASK_OK)
        status = pixels_bilinear(&(struct pixels_map){cells, chain->rows, chain->columns, 1}, seeds,
                                 chain->grid_h, chain->grid_w, err);
    if (status == INFOMASK_OK)
        status = mask_spread(chain->affinity, (int)n, seeds, chain->plan->preset->centre, p, NULL, err);
    if (status == INFOMASK_OK)
        status = pixels_bilinear(&(struct pixels_map){p, chain->grid_h, chain->grid_w, 1}, u, chain->h, chain->w, err);
    free(seeds);
    free(p);
    return status;
}

static enum infomask_status gate_layer(const struct chain *chain, int i, float *cells, struct mask_layer *layer,
                                       struct infomask_error *err)
{
    size_t n = (size_t)chain->h * (size_t)chain->w;

    const struct infomask_model *model = chain->plan->session->model;
    const struct mask_set *set = &chain->sets[i];

    mask_gate(chain->window[i], chain->rows * chain->columns,
              set->count > 1 || model->sigmoid ? -set->log_prior : log((double)model->info.classes), cells);
    layer->gate = floats(n);
    if (layer->gate == NULL)
        return no_memory(err);
    return enlarge_cells(chain, cells, layer->gate, err);
}

/* A rule on the saliency cuts there; every other cuts x at one half. */
static void cut_refined(const struct chain *chain, double level, struct mask_layer *layer)
{
    const struct mask_plan *plan = chain->plan;
    size_t n = (size_t)chain->h * (size_t)chain->w;

    layer->level = 0.5;
    if (on_cells(plan->rule))
        layer->threshold = level;
    if (plan->rule != INFOMASK_THRESHOLD_OTSU && plan->rule != INFOMASK_THRESHOLD_MAX)
        return;
    memcpy(layer->x, layer->saliency, n * sizeof(float));
    if (plan->rule == INFOMASK_THRESHOLD_MAX)
        mask_normalise(layer->x, n);
    layer->threshold = plan->rule == INFOMASK_THRESHOLD_MAX ? plan->rule_value : mask_otsu(layer->x, n);
    layer->level = layer->threshold;
    free(layer->gate); /* it is in the saliency */
    layer->gate = NULL;
}

/* Where a rule took all cells as seeds, none is more salient than another by them, but by the map: what max_area leaves
 * of such a mask is its best part.  cells [rows, columns] and enlarged [h, w] are overwritten. */
static enum infomask_status rank_by_map(const struct chain *chain, int i, float *cells, float *enlarged,
                                        struct mask_layer *layer, struct infomask_error *err)
{
    size_t n = (size_t)chain->h * (size_t)chain->w, count = (size_t)chain->rows * (size_t)chain->columns;
    enum infomask_status status;

    if (!on_cells(chain->plan->rule) || !is_flat(cells, count))
        return INFOMASK_OK;
    for (size_t u = 0; u < count; u++)
        cells[u] = chain->map[i][u] > 0 ? chain->map[i][u] : 0;
    mask_normalise(cells, count);
    status = enlarge_cells(chain, cells, enlarged, err);
    for (size_t k = 0; k < n && status == INFOMASK_OK; k++)
        layer->saliency[k] *= enlarged[k];
    return status;
}

static enum infomask_status refined_layer(const struct chain *chain, int i, const struct infomask_map *map,
                                          struct mask_layer *layer, struct infomask_error *err)
{
    size_t n = (size_t)chain->h * (size_t)chain->w, cells = (size_t)chain->rows * (size_t)chain->columns;
    float *gate = floats(cells), *seeds = floats(cells), *enlarged = floats(n);
    bool gated = chain->window[i] != NULL;
    double level = 0;
    enum infomask_status status = INFOMASK_OK;

    layer->h = layer->saliency_h = chain->h;
    layer->w = layer->saliency_w = chain->w;
    layer->x = floats(n);
    layer->saliency = floats(n);
    if (gate == NULL || seeds == NULL || enlarged == NULL || layer->x == NULL || layer->saliency == NULL)
        status = no_memory(err);
    if (status == INFOMASK_OK && gated)
        status = gate_layer(chain, i, gate, layer, err);
    if (status == INFOMASK_OK)
        status = seed_cells(chain, i, map, gated ? gate : NULL, seeds, &level, err);
    if (status == INFOMASK_OK)
        status = spread_seeds(chain, seeds, layer->x, err);
    if (status == INFOMASK_OK)
        status = enlarge_cells(chain, seeds, enlarged, err);
    if (status == INFOMASK_OK) {
        sharpen(chain, layer->x, enlarged, layer->saliency, layer);
        status = mask_limbs(layer->saliency, chain->h, chain->w, layer->x, layer->gate, err);
    }
    if (status == INFOMASK_OK)
        status = rank_by_map(chain, i, seeds, enlarged, layer, err);
    if (status == INFOMASK_OK)
        cut_refined(chain, level, layer);
    free(gate);
    free(seeds);
    free(enlarged);
    return status;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static bool chain_init(struct chain *chain, const struct mask_plan *plan)
{
    const struct infomask_photo_info *photo = &plan->photo->info;
    int longest = photo->width > photo->height ? photo->width : photo->height;
    double scale = (double)WORKING_SIDE / longest;

    *chain = (struct chain){.plan = plan};
    chain->h = (int)fmax(1, rint(photo->height * scale));
    chain->w = (int)fmax(1, rint(photo->width * scale));
    chain->window = calloc((size_t)plan->count, sizeof *chain->window);
    chain->map = calloc((size_t)plan->count, sizeof *chain->map);
    return chain->window != NULL && chain->map != NULL;
}

/* Runs the network; the features' grid is that of the maps, or at least that of the last stride. */
static enum infomask_status chain_pass(struct chain *chain, struct infomask_timing *timing, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    int taps = plan->session->model->network->tap_count;
    enum infomask_status status = INFOMASK_OK;

    if (plan->options->method == INFOMASK_OCCLUSION) /* first: its passes would overwrite what the graph reads */
        status = occlusion_maps(plan, chain->map, &chain->rows, &chain->columns, timing, err);
    if (status == INFOMASK_OK && (plan->pass != MASK_PASS_LIES || plan->options->method == INFOMASK_OCCLUSION))
        status = pipeline_pass(plan->session, plan->photo, &plan->view, true, timing, err);
    if (status != INFOMASK_OK)
        return status;
    chain->features = engine_features(plan->session->engine);
    if (chain->features.data == NULL && taps > 0)
        chain->features = engine_residual(plan->session->engine, taps - 1);
    if (plan->options->method != INFOMASK_OCCLUSION) {
        chain->rows = chain->features.h;
        chain->columns = chain->features.w;
    }
    return INFOMASK_OK;
}

static bool has_evidence(const struct chain *chain, int i, const struct infomask_map *map)
{
    double evidence = isnan(map->largest_window_pmi) ? map->map_pmi : map->largest_window_pmi;
    bool all = (size_t)chain->sets[i].count == chain->plan->session->model->info.classes; /* says nothing */

    return !all && evidence >= plan_evidence(chain->plan, i);
}

static enum infomask_status chain_layers(struct chain *chain, struct infomask_map *maps, struct mask_layer *layers,
                                         struct infomask_timing *timing, struct infomask_error *err)
{
    const struct mask_plan *plan = chain->plan;
    bool refine = !plan->options->no_refine && !plan->strokes, any = false;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; i < plan->count; i++) {
        layers[i].empty = plan->options->given != NULL || !has_evidence(chain, i, &maps[i]);
        any = any || !layers[i].empty;
    }
    if (any && refine) {
        status = chain_guide(chain, timing, err);
        if (status == INFOMASK_OK && chain->features.data != NULL) {
            size_grid(chain);
            status = chain_graph(chain, err);
        }
    }
    for (int i = 0; i < plan->count && status == INFOMASK_OK; i++) {
        if (layers[i].empty)
            continue;
        status = plan_expired(plan->photo, err);
        if (status == INFOMASK_OK)
            status = refine ? refined_layer(chain, i, &maps[i], &layers[i], err)
                            : bare_layer(chain, i, &maps[i], &layers[i], err);
        layers[i].strokes = plan->strokes;
    }
    return status;
}

void place_map_fini(struct place_map *place)
{
    free(place->owned);
    *place = (struct place_map){0};
}

enum infomask_status place_map_copy(const struct place_map *from, struct place_map *to, struct infomask_error *err)
{
    size_t size = (size_t)from->rows * (size_t)from->columns * (size_t)from->d * sizeof *from->f;

    *to = *from;
    to->f = to->owned = malloc(size);
    if (to->owned == NULL)
        return no_memory(err);
    memcpy(to->owned, from->f, size);
    return INFOMASK_OK;
}

struct place_map place_map_lying(const struct infomask_session *session)
{
    struct engine_tap f = {0};

    if (session->model->info.windows)
        f = engine_features(session->engine);
    return (struct place_map){.rows = f.h, .columns = f.w, .d = f.c, .f = f.data};
}

enum infomask_status chain_run(const struct mask_plan *plan, struct infomask_map *maps, struct mask_layer *layers,
                               struct place_map *place, struct infomask_timing *timing, struct infomask_error *err)
{
    struct chain chain;
    struct place_map lying;
    double start;
    enum infomask_status status = chain_init(&chain, plan) ? INFOMASK_OK : no_memory(err);

    if (status == INFOMASK_OK)
        status = chain_pass(&chain, timing, err);
    start = clock_ms();
    if (status == INFOMASK_OK)
        status = chain_maps(&chain, maps, err);
    lying = place_map_lying(plan->session);
    if (status == INFOMASK_OK && plan->pass == MASK_PASS_KEPT && lying.f != NULL)
        status = place_map_copy(&lying, place, err);
    timing->map += clock_ms() - start;
    start = clock_ms();
    if (status == INFOMASK_OK)
        status = chain_layers(&chain, maps, layers, timing, err);
    timing->mask += clock_ms() - start;
    chain_fini(&chain);
    return status;
}
