/* Filtering: mask, grow, fill, encode; then the very bytes that will be returned are decoded and asked again
 * (verify.c), judged (verdict.c), and further rounds follow if that takes it (rounds.c).  The result is composed row by
 * row while it is encoded (compose.c): beside the photo only masks of bytes and one decoded copy exist. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/filter/fill.h"
#include "core/pipeline/filter/filter.h"

struct infomask_filter_options infomask_default_filter_options(void)
{
    return (struct infomask_filter_options){.mask = infomask_default_mask_options(),
                                            .fill = INFOMASK_OWN_FILL,
                                            .dilate = NAN,
                                            .until = NAN,
                                            .max_passes = 3,
                                            .max_area = 0.6};
}

void infomask_filtered_fini(struct infomask_filtered *filtered)
{
    infomask_mask_fini(&filtered->mask);
    infomask_encoded_fini(&filtered->image);
    for (int i = 0; i < filtered->row_count && filtered->rows != NULL; i++)
        free(filtered->rows[i].rounds);
    free(filtered->rows);
    *filtered = (struct infomask_filtered){0};
}

static void filter_fini(struct filter *f)
{
    verify_forget(f);
    place_map_fini(&f->place_before);
    place_map_fini(&f->place_after);
    free(f->targets);
    free(f->prior);
    free(f->hole);
    free(f->share);
    free(f->map_after);
    free(f->window_after);
    free(f->evidence);
    free(f->map_log_p);
    free(f->score);
}

/* ---- Masks ------------------------------------------------------------------------------------------------------- */

static void *copy_of(const void *from, size_t size)
{
    void *to = malloc(size > 0 ? size : 1);

    if (to != NULL && size > 0)
        memcpy(to, from, size);
    return to;
}

static bool copy_maps(const struct infomask_mask *from, struct infomask_mask *to)
{
    to->maps = calloc((size_t)from->map_count, sizeof *to->maps);
    to->map_count = to->maps != NULL ? from->map_count : 0;
    for (int i = 0; i < to->map_count; i++) {
        const struct infomask_map *map = &from->maps[i];
        to->maps[i] = *map;
        to->maps[i].cells = copy_of(map->cells, (size_t)map->rows * (size_t)map->columns * sizeof *map->cells);
        if (to->maps[i].cells == NULL)
            return false;
    }
    return to->maps != NULL;
}

static enum infomask_status mask_copy(const struct infomask_mask *from, struct infomask_mask *to,
                                      struct infomask_error *err)
{
    size_t pixels = (size_t)from->width * (size_t)from->height;
    const struct infomask_saliency *saliency = from->saliency;
    bool copied;

    *to = *from;
    to->maps = NULL;
    to->pixels = copy_of(from->pixels, pixels);
    to->objects = copy_of(from->objects, (size_t)from->object_count * sizeof *from->objects);
    to->saliency = calloc(1, sizeof *to->saliency);
    copied = copy_maps(from, to) && to->pixels != NULL && to->objects != NULL && to->saliency != NULL;
    if (copied) {
        to->saliency->h = saliency->h;
        to->saliency->w = saliency->w;
        to->saliency->values = copy_of(saliency->values, (size_t)saliency->h * (size_t)saliency->w * sizeof(float));
        copied = to->saliency->values != NULL;
    }
    if (copied)
        return INFOMASK_OK;
    infomask_mask_fini(to);
    return filter_no_memory(err);
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status filter_init(struct filter *f, struct infomask_error *err)
{
    const struct infomask_mask_options *options = &f->options->mask;
    size_t k = f->before->classes;
    enum infomask_status status = photo_image(f->photo, 8, f->session->pool, &f->image, &f->out->timing, err);

    if (status != INFOMASK_OK)
        return status;
    f->pixels = (size_t)f->image->width * (size_t)f->image->height;
    f->count = options->target_count > 0 ? options->target_count : 1;
    f->targets = malloc((size_t)f->count * sizeof *f->targets);
    f->prior = malloc(k * sizeof *f->prior);
    f->hole = malloc(f->pixels);
    f->map_after = malloc((size_t)f->count * sizeof *f->map_after);
    f->window_after = malloc((size_t)f->count * sizeof *f->window_after);
    f->evidence = malloc((size_t)f->count * sizeof *f->evidence);
    f->map_log_p = malloc(k * sizeof *f->map_log_p);
    f->score = malloc((size_t)f->count * sizeof *f->score);
    f->out->rows = calloc((size_t)f->count, sizeof *f->out->rows);
    if (f->targets == NULL || f->prior == NULL || f->hole == NULL || f->map_after == NULL || f->map_log_p == NULL ||
        f->window_after == NULL || f->evidence == NULL ||
        f->score == NULL || f->out->rows == NULL)
        return filter_no_memory(err);
    f->out->row_count = f->count;
    for (int i = 0; i < f->count; i++)
        f->targets[i] = options->target_count > 0 ? options->targets[i] : f->before->order[0];
    for (int i = 0; i < f->count; i++)
        f->score[i] = infomask_score(f->session->model, f->before, f->targets[i]);
    for (size_t i = 0; i < k; i++)
        f->prior[i] = exp(f->before->log_prior[i]);
    return INFOMASK_OK;
}

enum infomask_status infomask_filter(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct infomask_classification *classification,
                                     const struct infomask_filter_options *options,
                                     const struct infomask_mask *mask_in, struct infomask_filtered *filtered,
                                     struct infomask_error *err)
{
    struct filter f = {
        .session = session, .photo = photo, .before = classification, .options = options, .out = filtered};
    enum infomask_status status = INFOMASK_OK;

    *filtered = (struct infomask_filtered){0};
    if (options->trim && !options->cutout)
        return error_set(err, INFOMASK_ARGUMENT, "trim=true needs mode=cutout: there is nothing to crop to");
    if (options->format == INFOMASK_JPEG && options->cutout)
        return error_set(err, INFOMASK_ARGUMENT, "mode=cutout needs format=png or webp: JPEG has no transparency");
    if (options->format == INFOMASK_JPEG && options->fill == INFOMASK_TRANSPARENT)
        return error_set(err, INFOMASK_ARGUMENT, "fill=transparent needs format=png or webp: JPEG has no transparency");
    if (mask_in != NULL)
        status = mask_copy(mask_in, &filtered->mask, err);
    else
        status = mask_make(session, photo, classification, &options->mask, MASK_PASS_KEPT, &filtered->mask, err);
    if (status == INFOMASK_OK)
        status = filter_init(&f, err);
    filtered->timing.mask = filtered->mask.timing.mask;
    filtered->timing.map = filtered->mask.timing.map;
    filtered->timing.network += filtered->mask.timing.network;
    if (status == INFOMASK_OK)
        status = verify_before(&f, err);
    if (status == INFOMASK_OK)
        status = filtered->mask.empty ? filter_unchanged(&f, err) : filter_rounds(&f, err);
    if (status == INFOMASK_OK && options->trim)
        status = filter_trim(&f, err);
    filter_fini(&f);
    if (status != INFOMASK_OK)
        infomask_filtered_fini(filtered);
    return status;
}
