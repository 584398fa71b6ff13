/* Masks of somebody's own: a picture becomes the bytes of a mask, and these take the place of what the chain would
 * make. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline/mask.h"

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the mask");
}

#define RINGING 32 /* of 255: what JPEG, and lossy WebP, leave around an edge where there was black */

/* Is the pixel at least so light, and not transparent? */
static bool is_set(const uint8_t *pixel, int channels, uint8_t least)
{
    uint8_t alpha = channels == 4 ? pixel[3] : 255, light = pixel[0];

    for (int c = 1; c < 3 && channels >= 3; c++)
        light = pixel[c] > light ? pixel[c] : light;
    return light >= least && alpha != 0;
}

static enum infomask_status read_pixels(struct infomask_photo *picture, uint8_t **pixels, struct infomask_error *err)
{
    const struct image *image;
    struct infomask_timing timing = {0};
    uint8_t least = picture->image_info.lossy ? RINGING : 1;
    size_t n;
    enum infomask_status status = photo_image(picture, 8, NULL, &image, &timing, err);

    if (status != INFOMASK_OK)
        return status;
    n = (size_t)image->width * (size_t)image->height;
    *pixels = malloc(n);
    if (*pixels == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        (*pixels)[i] = is_set(image->pixels + i * (size_t)image->channels, image->channels, least) ? 255 : 0;
    return INFOMASK_OK;
}

enum infomask_status infomask_own_mask(const struct infomask_photo *photo, const void *bytes, size_t size,
                                       uint8_t **pixels, struct infomask_error *err)
{
    const struct infomask_photo_info *want = &photo->info, *got;
    struct infomask_limits limits = infomask_default_limits();
    struct infomask_photo *picture;
    enum infomask_status status;

    *pixels = NULL;
    limits.expired = photo->limits.expired;
    limits.deadline_context = photo->limits.deadline_context;
    limits.max_pixels = photo->limits.max_pixels;
    limits.max_side = photo->limits.max_side;
    limits.min_side = 1;
    status = infomask_photo_open(bytes, size, &limits, &picture, err);
    if (status != INFOMASK_OK) {
        error_prefix(err, "the mask");
        return status;
    }
    infomask_photo_whole(picture);
    picture->limits.keep_faint = true;
    got = &picture->info;
    if (got->width != want->width || got->height != want->height)
        status = error_set(err, INFOMASK_ARGUMENT,
                           "the mask is %d x %d, the photo as shown %d x %d: they must be alike", got->width,
                           got->height, want->width, want->height);
    if (status == INFOMASK_OK)
        status = read_pixels(picture, pixels, err);
    infomask_photo_close(picture);
    return status;
}

/* Its picture as a saliency: the mask's share of each pixel at working size. */
static enum infomask_status share_saliency(const struct infomask_mask *mask, struct infomask_error *err)
{
    struct infomask_saliency *saliency = mask->saliency;
    int longest = mask->width > mask->height ? mask->width : mask->height;
    double scale = fmin(1, (double)WORKING_SIDE / longest), *share;
    size_t n;
    enum infomask_status status;

    free(saliency->values);
    saliency->h = (int)fmax(1, rint(mask->height * scale));
    saliency->w = (int)fmax(1, rint(mask->width * scale));
    n = (size_t)saliency->h * (size_t)saliency->w;
    saliency->values = malloc(n * sizeof *saliency->values);
    share = malloc(n * sizeof *share);
    status = saliency->values == NULL || share == NULL ? no_memory(err) : INFOMASK_OK;
    if (status == INFOMASK_OK)
        status = mask_cover(mask->pixels, mask->height, mask->width, saliency->h, saliency->w, share, err);
    for (size_t i = 0; i < n && status == INFOMASK_OK; i++)
        saliency->values[i] = (float)share[i];
    free(share);
    return status;
}

enum infomask_status own_mask_paint(const struct mask_plan *plan, struct infomask_mask *mask,
                                    struct infomask_error *err)
{
    size_t n = (size_t)mask->width * (size_t)mask->height;
    enum infomask_status status;

    mask->pixels = malloc(n);
    if (mask->pixels == NULL)
        return no_memory(err);
    for (size_t i = 0; i < n; i++)
        mask->pixels[i] = plan->options->given[i] != 0 ? 255 : 0;
    mask->threshold = NAN;
    status = share_saliency(mask, err);
    return status == INFOMASK_OK ? paint_measure(mask, err) : status;
}
