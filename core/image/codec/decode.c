#include "core/image/codec/decode.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/codec/orientation.h"

enum infomask_status image_init(struct image *image, int width, int height, int channels, struct infomask_error *err)
{
    size_t bytes;

    *image = (struct image){0};
    if (width < 1 || height < 1 || channels < 1 || channels > 4 ||
        !checked_mul3((size_t)width, (size_t)height, (size_t)channels, &bytes))
        return error_set(err, INFOMASK_ARGUMENT, "%d x %d pixels of %d channels are not an image", width, height,
                         channels);
    image->pixels = aligned_new(bytes);
    if (image->pixels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %d x %d pixels", width, height);
    image->width = width;
    image->height = height;
    image->channels = channels;
    return INFOMASK_OK;
}

void image_fini(struct image *image)
{
    if (image == NULL)
        return;
    aligned_free(image->pixels);
    free(image->icc);
    *image = (struct image){0};
}

static int scaled(int side, int numerator) { return (side * numerator + 7) / 8; } /* as libjpeg rounds: up */

/* The region, which is in unscaled pixels, in scaled pixels, clamped to the picture. */
static struct image_region scale_region(const struct image_region *region, int numerator, int width, int height)
{
    int left = region->left < 0 ? 0 : region->left, top = region->top < 0 ? 0 : region->top;
    int right = region->left + region->width, bottom = region->top + region->height;

    left = left * numerator / 8;
    top = top * numerator / 8;
    right = scaled(right < 0 ? 0 : right, numerator);
    bottom = scaled(bottom < 0 ? 0 : bottom, numerator);
    right = right > width ? width : right;
    bottom = bottom > height ? height : bottom;
    return (struct image_region){left, top, right - left, bottom - top};
}

static enum infomask_status decode(const struct image_source *source, const struct image_info *info, int numerator,
                                   const struct image_region *region, struct image *image, struct infomask_error *err)
{
    enum infomask_status (*const decoders[])(struct decoding *) = {
        [IMAGE_JPEG] = decode_jpeg, [IMAGE_PNG] = decode_png, [IMAGE_WEBP] = decode_webp};
    int width = scaled(info->width, numerator), height = scaled(info->height, numerator);
    struct image_region needed = {0, 0, width, height};
    struct decoding d = {.data = source->data, .size = source->size,
                         .limits = source->limits != NULL ? source->limits : &image_default_limits, .info = info,
                         .numerator = numerator, .pool = source->pool, .image = image, .err = err};
    enum infomask_status status;

    if (region != NULL) {
        needed = scale_region(region, numerator, width, height);
        if (needed.left >= width || needed.top >= height || needed.width < 1 || needed.height < 1)
            return error_set(err, INFOMASK_ARGUMENT, "the region lies outside the photo");
    }
    status = image_init(image, width, height, info->alpha ? 4 : 3, err);
    if (status != INFOMASK_OK)
        return status;
    d.needed = orientation_store(&needed, info->orientation, width, height);
    d.stored_width = orientation_swaps(info->orientation) ? height : width;
    d.stored_height = orientation_swaps(info->orientation) ? width : height;
    status = decoders[info->format](&d);
    if (status == INFOMASK_OK)
        image->icc = icc_find(info->format, source->data, source->size, &image->icc_size);
    else
        image_fini(image);
    return status;
}

enum infomask_status image_decode_scaled(const struct image_source *source, int numerator,
                                         const struct image_region *region, struct image *image,
                                         struct infomask_error *err)
{
    struct image_info info;
    enum infomask_status status;

    *image = (struct image){0};
    status = image_probe(source->data, source->size, source->limits, &info, err);
    if (status != INFOMASK_OK)
        return status;
    if (numerator < 1 || numerator > 8 || (info.format != IMAGE_JPEG && numerator != 8))
        return error_set(err, INFOMASK_ARGUMENT, "a %s image cannot be decoded at %d/8 of its size",
                         image_format_name(info.format), numerator);
    return decode(source, &info, numerator, region, image, err);
}

enum infomask_status image_decode(const void *data, size_t size, const struct image_limits *limits,
                                  struct image *image, struct infomask_error *err)
{
    return image_decode_scaled(&(struct image_source){data, size, limits, NULL}, 8, NULL, image, err);
}
