/* Small pictures of a photo: a JPEG for pages that list many, pixels for networks that learn from them. */
#include <stdlib.h>
#include <string.h>

#include "core/infomask_lab.h"

#include "core/pipeline/pipeline.h"

#define QUALITY 80

struct rows {
    const uint8_t *pixels;
    size_t stride;
};

static void copy_row(void *context, int y, uint8_t *row)
{
    const struct rows *rows = context;

    memcpy(row, rows->pixels + (size_t)y * rows->stride, rows->stride);
}

/* The longest side becomes `side`; never larger than the photo. */
static struct image_view view_of(const struct infomask_photo_info *info, int side)
{
    int longest = info->width > info->height ? info->width : info->height;
    double scale = longest > side ? (double)side / longest : 1;
    int width = (int)(info->width * scale + 0.5), height = (int)(info->height * scale + 0.5);

    return image_view_whole(info->width, info->height, width > 0 ? width : 1, height > 0 ? height : 1);
}

enum infomask_status infomask_pixels_jpeg(const uint8_t *pixels, int width, int height,
                                          struct infomask_encoded *encoded, struct infomask_error *err)
{
    const struct image_jpeg jpeg = {.width = width, .height = height, .quality = QUALITY};
    struct rows rows = {pixels, (size_t)width * 3};

    *encoded = (struct infomask_encoded){.content_type = "image/jpeg"};
    return image_encode_jpeg(&jpeg, copy_row, &rows, &encoded->data, &encoded->size, err);
}

static enum infomask_status decode_view(const struct infomask_photo *photo, const struct image_view *view,
                                        struct image *image, struct image_view *scaled, struct infomask_error *err)
{
    const struct image_source source = {.data = photo->bytes, .size = photo->size, .limits = &photo->limits};

    return image_decode_view(&source, &photo->image_info, view, image, scaled, err);
}

enum infomask_status infomask_thumbnail(struct infomask_photo *photo, int side, struct infomask_encoded *encoded,
                                        struct infomask_error *err)
{
    struct image_view view = view_of(&photo->info, side), scaled;
    struct image image = {0};
    uint8_t *pixels = malloc((size_t)view.out_width * 3 * (size_t)view.out_height);
    enum infomask_status status;

    *encoded = (struct infomask_encoded){.content_type = "image/jpeg"};
    if (pixels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a small picture");
    status = decode_view(photo, &view, &image, &scaled, err);
    if (status == INFOMASK_OK) {
        status = image_resample(&image, &scaled, pixels, err);
        image_fini(&image);
    }
    if (status == INFOMASK_OK)
        status = infomask_pixels_jpeg(pixels, view.out_width, view.out_height, encoded, err);
    free(pixels);
    return status;
}

enum infomask_status infomask_photo_small(struct infomask_photo *photo, int width, int height, uint8_t *rgb,
                                          struct infomask_error *err)
{
    struct image_view view = image_view_whole(photo->info.width, photo->info.height, width, height), scaled;
    struct image image = {0};
    enum infomask_status status = decode_view(photo, &view, &image, &scaled, err);

    if (status == INFOMASK_OK) {
        status = image_resample(&image, &scaled, rgb, err);
        image_fini(&image);
    }
    return status;
}

enum infomask_status infomask_photo_pixels(struct infomask_photo *photo, int width, int height, bool gray,
                                           uint8_t *pixels, struct infomask_error *err)
{
    const struct image_normalise plain = {.color = gray ? IMAGE_GRAY : IMAGE_RGB, .std = {1, 1, 1}};
    struct image_view view = image_view_crop(photo->info.width, photo->info.height, 1, width, height), scaled;
    size_t count = (size_t)width * (size_t)height * (gray ? 1 : 3);
    float *values = malloc(count * sizeof *values);
    struct image image = {0};
    enum infomask_status status;

    if (values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a small picture");
    view.filter = IMAGE_BICUBIC;
    status = decode_view(photo, &view, &image, &scaled, err);
    if (status == INFOMASK_OK) {
        status = image_tensor(&image, &scaled, &plain, NULL, values, err);
        image_fini(&image);
    }
    for (size_t i = 0; i < count && status == INFOMASK_OK; i++)
        pixels[i] = (uint8_t)values[i];
    free(values);
    return status;
}
