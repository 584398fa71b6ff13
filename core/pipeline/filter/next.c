/* The mask of the next round: the last one and what its picture still tells, as far as there is room for it; its rim,
 * where the place itself tells, or where nothing else is left to take. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/filter/filter.h"

#define WIDER 4      /* pixels at WORKING_SIDE that the rim is wide */
#define FIRST_FIT .7 /* of the room, for the mask's pixels: the hole is larger than the mask */
#define FIT_TRIES 4
#define LEAST_ROOM .01 /* of the photo: less is not worth a round */

/* ---- How salient ------------------------------------------------------------------------------------------------- */

enum infomask_status filter_levels(struct infomask_mask *mask, struct infomask_error *err)
{
    const struct infomask_saliency *saliency = mask->saliency;
    struct pixels_enlarge enlarge;
    float *row = malloc((size_t)mask->width * sizeof *row);
    enum infomask_status status = row == NULL ? filter_no_memory(err) : INFOMASK_OK;

    if (status == INFOMASK_OK)
        status = pixels_enlarge_init(&enlarge, saliency->values, saliency->h, saliency->w, mask->height, mask->width,
                                     err);
    for (int y = 0; status == INFOMASK_OK && y < mask->height; y++) {
        uint8_t *out = mask->pixels + (size_t)y * (size_t)mask->width;
        pixels_enlarge_row(&enlarge, y, row);
        for (int x = 0; x < mask->width; x++)
            out[x] = out[x] == 0 ? 0 : (uint8_t)(1 + 254 * fminf(fmaxf(row[x], 0), 1));
    }
    if (status == INFOMASK_OK)
        pixels_enlarge_fini(&enlarge);
    free(row);
    return status;
}

/* ---- What fits --------------------------------------------------------------------------------------------------- */

/* f->hole from `mask`, and its area. */
static enum infomask_status try_hole(struct filter *f, const uint8_t *mask, double *area, struct infomask_error *err)
{
    enum infomask_status status = filter_hole(f, mask, f->hole, err);

    *area = filter_area(f->hole, f->pixels);
    return status;
}

static bool is_grown(const struct filter *f, const struct filter_step *step, double area)
{
    return area > step->area && area <= f->options->max_area;
}

/* The last mask and what is left from `level` on. */
static void join(const struct filter *f, const struct filter_step *step, int level, uint8_t *mask)
{
    for (size_t i = 0; i < f->pixels; i++)
        mask[i] = f->out->mask.pixels[i] != 0 || step->left[i] >= level ? 255 : 0;
}

static enum infomask_status widen(const struct filter *f, uint8_t *mask, struct infomask_error *err)
{
    int longest = f->image->width > f->image->height ? f->image->width : f->image->height;
    return pixels_dilate(mask, f->image->height, f->image->width, (double)WIDER * longest / WORKING_SIDE, 0, err);
}

/* The least level from which on what is left, beside the last mask, has at most so many pixels; 256: no level. */
static int level_of(const struct filter *f, const struct filter_step *step, double most)
{
    size_t count[256] = {0}, sum = 0;
    int level = 256;

    for (size_t i = 0; i < f->pixels; i++)
        count[step->left[i]] += f->out->mask.pixels[i] == 0;
    while (level > 1 && (double)(sum + count[level - 1]) <= most)
        sum += count[--level];
    return sum > 0 ? level : 256;
}

/* All that is left would be over max_area, its hole `area`: the most salient part of it that is not. */
static enum infomask_status fit(struct filter *f, const struct filter_step *step, double area, uint8_t *mask,
                                bool *grown, struct infomask_error *err)
{
    double room = f->options->max_area - step->area, share = FIRST_FIT;
    enum infomask_status status = INFOMASK_OK;

    for (int tries = 0; status == INFOMASK_OK && !*grown && tries < FIT_TRIES && room >= LEAST_ROOM; tries++) {
        int level = level_of(f, step, share * room * (double)f->pixels);
        if (level == 256)
            break;
        join(f, step, level, mask);
        status = try_hole(f, mask, &area, err);
        *grown = status == INFOMASK_OK && is_grown(f, step, area);
        if (area <= step->area)
            break;
        share *= fmin(.7, room / (area - step->area));
    }
    return status;
}

/* ---- The next mask ----------------------------------------------------------------------------------------------- */

/* What is wanted first: with the rim where the place tells; all that is left; what of it fits; a rim alone. */
static enum infomask_status choose(struct filter *f, const struct filter_step *step, uint8_t *mask, bool *grown,
                                   struct infomask_error *err)
{
    enum infomask_status status = INFOMASK_OK;
    double area = 0;

    for (int rim = step->place; rim >= 0 && status == INFOMASK_OK && !*grown; rim--) {
        join(f, step, 1, mask);
        if (rim != 0)
            status = widen(f, mask, err);
        if (status == INFOMASK_OK)
            status = try_hole(f, mask, &area, err);
        *grown = status == INFOMASK_OK && is_grown(f, step, area);
    }
    if (status != INFOMASK_OK || *grown)
        return status;
    if (area > f->options->max_area)
        return fit(f, step, area, mask, grown, err);
    status = widen(f, mask, err);
    if (status == INFOMASK_OK)
        status = try_hole(f, mask, &area, err);
    *grown = status == INFOMASK_OK && is_grown(f, step, area);
    return status;
}

enum infomask_status filter_next_mask(struct filter *f, const struct filter_step *step, bool *grown,
                                      struct infomask_error *err)
{
    uint8_t *mask = malloc(f->pixels);
    enum infomask_status status = mask == NULL ? filter_no_memory(err) : INFOMASK_OK;

    *grown = false;
    if (status == INFOMASK_OK)
        status = choose(f, step, mask, grown, err);
    if (status == INFOMASK_OK && *grown) {
        memcpy(f->out->mask.pixels, mask, f->pixels);
        status = paint_measure(&f->out->mask, err);
    }
    free(mask);
    return status;
}
