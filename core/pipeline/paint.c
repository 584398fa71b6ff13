/* The mask at the photo's own size: small maps enlarged row by row, so that beside the mask's bytes nothing grows with
 * the photo. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/pipeline/mask.h"

#define MOST_OBJECTS 256
#define SPECK 10000 /* a region of less than that part of the photo is noise of the sharpening */

/* The chain's own cut may be tidied; a rule that names a level of the saliency, or the bare map, is taken at its word.
 */
static bool may_tidy(const struct mask_plan *plan)
{
    return !plan->strokes && !plan->options->no_refine && plan->rule != INFOMASK_THRESHOLD_OTSU &&
           plan->rule != INFOMASK_THRESHOLD_MAX;
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
}

enum infomask_status paint_guide(const struct mask_plan *plan, int h, int w, float **rgb,
                                 struct infomask_timing *timing, struct infomask_error *err)
{
    int numerator = image_view_scale(&plan->photo->image_info, &plan->view);
    struct image_view view;
    size_t n = (size_t)h * (size_t)w * 3;
    const struct image *image;
    uint8_t *bytes = malloc(n);
    float *values = malloc(n * sizeof *values);
    enum infomask_status status = bytes == NULL || values == NULL ? no_memory(err) : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = photo_image(plan->photo, numerator, plan->session->pool, &image, timing, err);
    if (status == INFOMASK_OK) {
        view = image_view_whole(image->width, image->height, w, h);
        view.filter = IMAGE_BILINEAR;
        status = image_resample(image, &view, bytes, err);
    }
    for (size_t i = 0; status == INFOMASK_OK && i < n; i++)
        values[i] = (float)bytes[i] / 255.0F;
    free(bytes);
    if (status != INFOMASK_OK)
        free(values);
    else
        *rgb = values;
    return status;
}

/* ---- Layers to bytes --------------------------------------------------------------------------------------------- */

struct layer_rows {
    struct pixels_enlarge x, gate;
    float *x_row, *gate_row;
};

static void layer_rows_fini(struct layer_rows *rows)
{
    pixels_enlarge_fini(&rows->x);
    pixels_enlarge_fini(&rows->gate);
    free(rows->x_row);
    free(rows->gate_row);
}

static enum infomask_status layer_rows_init(struct layer_rows *rows, const struct mask_layer *layer, int h, int w,
                                            struct infomask_error *err)
{
    enum infomask_status status = pixels_enlarge_init(&rows->x, layer->x, layer->h, layer->w, h, w, err);

    rows->x_row = malloc((size_t)w * sizeof(float));
    rows->gate_row = malloc((size_t)w * sizeof(float));
    if (status == INFOMASK_OK && (rows->x_row == NULL || rows->gate_row == NULL))
        status = no_memory(err);
    if (status == INFOMASK_OK && layer->gate != NULL)
        status = pixels_enlarge_init(&rows->gate, layer->gate, layer->h, layer->w, h, w, err);
    return status;
}

/* One target's own mask, pixels [h, w]. */
static enum infomask_status paint_layer(const struct mask_layer *layer, bool tidy, uint8_t *pixels, int h, int w,
                                        struct infomask_error *err)
{
    struct layer_rows rows = {0};
    float level = (float)layer->level;
    enum infomask_status status = layer_rows_init(&rows, layer, h, w, err);

    for (int y = 0; y < h && status == INFOMASK_OK; y++) {
        uint8_t *out = pixels + (size_t)y * (size_t)w;
        pixels_enlarge_row(&rows.x, y, rows.x_row);
        for (int x = 0; x < w; x++)
            out[x] = rows.x_row[x] >= level ? 255 : 0;
        if (layer->gate == NULL || memchr(out, 255, (size_t)w) == NULL)
            continue;
        pixels_enlarge_row(&rows.gate, y, rows.gate_row);
        for (int x = 0; x < w; x++)
            out[x] = rows.gate_row[x] >= 0.5F ? out[x] : 0;
    }
    layer_rows_fini(&rows);
    if (status == INFOMASK_OK && tidy)
        status = mask_tidy(pixels, h, w, (size_t)h * (size_t)w / SPECK, err);
    return status;
}

/* ---- Objects and shares ------------------------------------------------------------------------------------------ */

/* The positive information of a pixel: the largest of the targets' maps. */
struct information {
    int count, w;
    float **cells; /* [count] */
    struct pixels_enlarge *enlarge;
    float *row;
};

static void information_fini(struct information *info)
{
    for (int i = 0; i < info->count; i++) {
        if (info->enlarge != NULL)
            pixels_enlarge_fini(&info->enlarge[i]);
        if (info->cells != NULL)
            free(info->cells[i]);
    }
    free(info->cells);
    free(info->enlarge);
    free(info->row);
}

static enum infomask_status information_map(struct information *info, int i, const struct infomask_mask *mask,
                                            struct infomask_error *err)
{
    const struct infomask_map *map = &mask->maps[i];
    size_t n = (size_t)map->rows * (size_t)map->columns;

    info->cells[i] = malloc(n * sizeof(float));
    if (info->cells[i] == NULL)
        return no_memory(err);
    for (size_t u = 0; u < n; u++)
        info->cells[i][u] = (float)map->cells[u];
    return pixels_enlarge_init(&info->enlarge[i], info->cells[i], map->rows, map->columns, mask->height, mask->width,
                               err);
}

static enum infomask_status information_init(struct information *info, const struct infomask_mask *mask,
                                             struct infomask_error *err)
{
    size_t count = (size_t)mask->map_count;
    enum infomask_status status = INFOMASK_OK;

    *info = (struct information){.count = mask->map_count, .w = mask->width};
    info->cells = calloc(count, sizeof *info->cells);
    info->enlarge = calloc(count, sizeof *info->enlarge);
    info->row = malloc((size_t)mask->width * sizeof *info->row);
    if (info->cells == NULL || info->enlarge == NULL || info->row == NULL)
        status = no_memory(err);
    for (int i = 0; i < info->count && status == INFOMASK_OK; i++)
        status = information_map(info, i, mask, err);
    return status;
}

static void information_row(void *context, int y, float *row)
{
    struct information *info = context;

    pixels_enlarge_row(&info->enlarge[0], y, row);
    for (int i = 1; i < info->count; i++) {
        pixels_enlarge_row(&info->enlarge[i], y, info->row);
        for (int x = 0; x < info->w; x++)
            row[x] = row[x] > info->row[x] ? row[x] : info->row[x];
    }
}

static enum infomask_status store_objects(const struct mask_regions *regions, struct infomask_mask *mask,
                                          struct infomask_error *err)
{
    double n = (double)mask->width * (double)mask->height;

    free(mask->objects);
    mask->object_count = 0;
    mask->objects = malloc(((size_t)regions->count + 1) * sizeof *mask->objects);
    if (mask->objects == NULL)
        return no_memory(err);
    mask->object_count = regions->count;
    for (int i = 0; i < regions->count; i++) {
        const struct mask_region *r = &regions->region[i];
        mask->objects[i] = (struct infomask_object){
            .x = r->x, .y = r->y, .width = r->width, .height = r->height, .area = (double)r->pixels / n,
            .peak_x = r->peak_x, .peak_y = r->peak_y,
            .information_share = regions->total > 0 ? r->sum / regions->total : 0};
    }
    mask->area = (double)regions->pixels / n;
    mask->information_share = regions->total > 0 ? regions->inside / regions->total : 0;
    mask->empty = regions->pixels == 0;
    return INFOMASK_OK;
}

enum infomask_status paint_measure(struct infomask_mask *mask, struct infomask_error *err)
{
    struct information info;
    struct mask_regions regions = {0};
    enum infomask_status status = information_init(&info, mask, err);

    if (status == INFOMASK_OK)
        status = mask_regions_find(mask->pixels, mask->height, mask->width, information_row, &info, MOST_OBJECTS,
                                   &regions, err);
    if (status == INFOMASK_OK)
        status = store_objects(&regions, mask, err);
    mask_regions_fini(&regions);
    information_fini(&info);
    return status;
}

/* The union of the targets' masks; each is what it would be alone. */
static enum infomask_status paint_layers(const struct mask_plan *plan, struct infomask_mask *mask, size_t n,
                                         struct infomask_error *err)
{
    uint8_t *alone = plan->count > 1 ? malloc(n) : mask->pixels;
    enum infomask_status status = alone == NULL ? no_memory(err) : INFOMASK_OK;

    for (int i = 0; i < plan->count && status == INFOMASK_OK; i++) {
        const struct mask_layer *layer = &mask->saliency->layers[i];
        if (layer->empty)
            continue;
        status = paint_layer(layer, may_tidy(plan), alone, mask->height, mask->width, err);
        for (size_t k = 0; k < n && alone != mask->pixels && status == INFOMASK_OK; k++)
            mask->pixels[k] |= alone[k];
    }
    if (alone != mask->pixels)
        free(alone);
    return status;
}

enum infomask_status paint_mask(const struct mask_plan *plan, struct infomask_mask *mask, struct infomask_error *err)
{
    size_t n;
    enum infomask_status status;

    if (!checked_mul((size_t)mask->width, (size_t)mask->height, &n))
        return no_memory(err);
    mask->pixels = calloc(n, 1);
    if (mask->pixels == NULL)
        return no_memory(err);
    status = plan->strokes ? strokes_paint(plan, mask, err) : paint_layers(plan, mask, n, err);
    if (status == INFOMASK_OK)
        status = plan_expired(plan->photo, err);
    return status == INFOMASK_OK ? paint_measure(mask, err) : status;
}
