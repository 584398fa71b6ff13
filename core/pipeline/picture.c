/* A mask as a picture of the photo's size: its pixels, its saliency, its map in nats, or all of it over the photo. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/cutout.h"
#include "core/image/overlay.h"
#include "core/pipeline/mask.h"

#define TOP 65535.0
#define OVERLAY_QUALITY 90

void infomask_encoded_fini(struct infomask_encoded *encoded)
{
    free(encoded->data);
    *encoded = (struct infomask_encoded){0};
}

const char *infomask_format_type(enum infomask_format format)
{
    return format == INFOMASK_JPEG ? "image/jpeg" : format == INFOMASK_WEBP ? "image/webp" : "image/png";
}

/* A small map on its way to the photo's size: value = (v - offset) * factor. */
struct scaled_map {
    struct pixels_enlarge enlarge;
    float *values, *row; /* values: owned, or NULL */
    double offset, factor;
    const struct infomask_mask *mask;
    const struct overlay *overlay;
};

static void map_fini(struct scaled_map *map)
{
    pixels_enlarge_fini(&map->enlarge);
    free(map->values);
    free(map->row);
}

static enum infomask_status map_init(struct scaled_map *map, const struct infomask_mask *mask, const float *values,
                                     int h, int w, struct infomask_error *err)
{
    map->mask = mask;
    map->row = malloc((size_t)mask->width * sizeof *map->row);
    if (map->row == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the picture");
    return pixels_enlarge_init(&map->enlarge, values, h, w, mask->height, mask->width, err);
}

/* The targets' maps, the larger value of each cell, in the unit asked for. */
static enum infomask_status cells_init(struct scaled_map *map, const struct infomask_mask *mask, double unit,
                                       struct infomask_error *err)
{
    const struct infomask_map *first = &mask->maps[0];
    size_t n = (size_t)first->rows * (size_t)first->columns;
    double low = INFINITY, high = -INFINITY;

    map->values = malloc(n * sizeof *map->values);
    if (map->values == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the picture");
    for (size_t u = 0; u < n; u++) {
        double most = -INFINITY;
        for (int i = 0; i < mask->map_count; i++)
            most = fmax(most, mask->maps[i].cells[u] * unit);
        map->values[u] = (float)most;
        low = fmin(low, (double)map->values[u]);
        high = fmax(high, (double)map->values[u]);
    }
    map->offset = low;
    map->factor = high - low;
    return map_init(map, mask, map->values, first->rows, first->columns, err);
}

static void mask_row(void *context, int y, uint8_t *row)
{
    const struct infomask_mask *mask = context;
    memcpy(row, mask->pixels + (size_t)y * (size_t)mask->width, (size_t)mask->width);
}

/* 16 bits, big-endian. */
static void map_row(void *context, int y, uint8_t *row)
{
    struct scaled_map *map = context;
    float offset = (float)map->offset, factor = map->factor > 0 ? (float)(TOP / map->factor) : 0.0F;

    pixels_enlarge_row(&map->enlarge, y, map->row);
    for (int x = 0; x < map->mask->width; x++) {
        float v = (map->row[x] - offset) * factor;
        uint16_t value = (uint16_t)lrintf(fminf(fmaxf(v, 0), (float)TOP));
        row[2 * x] = (uint8_t)(value >> 8);
        row[2 * x + 1] = (uint8_t)(value & 0xff);
    }
}

static void overlay_map_row(void *context, int y, uint8_t *row)
{
    struct scaled_map *map = context;
    float factor = (float)(1 / fmax(map->offset + map->factor, 1e-12));

    pixels_enlarge_row(&map->enlarge, y, map->row);
    for (int x = 0; x < map->mask->width; x++)
        map->row[x] *= factor;
    overlay_row(map->overlay, y, map->row, row);
}

/* 16 bits of one channel; text as image_png has it. */
static enum infomask_status encode_deep(struct scaled_map *map, const char *const *text,
                                        struct infomask_encoded *encoded, struct infomask_error *err)
{
    const struct image_png png = {.width = map->mask->width, .height = map->mask->height, .channels = 1, .bits = 16,
                                  .text = text};

    encoded->content_type = infomask_format_type(INFOMASK_PNG);
    return image_encode_png(&png, map_row, map, &encoded->data, &encoded->size, err);
}

/* Samples of 8 bits: a mask has one channel and is kept as it is, an overlay three. */
static enum infomask_status encode(const struct infomask_mask *mask, int channels, enum infomask_format format,
                                   image_row *row, void *context, struct infomask_encoded *encoded,
                                   struct infomask_error *err)
{
    const struct image_png png = {.width = mask->width, .height = mask->height, .channels = channels, .bits = 8,
                                  .flat = channels == 1};
    const struct image_webp webp = {.width = mask->width, .height = mask->height, .channels = channels,
                                    .quality = channels == 1 ? 0 : OVERLAY_QUALITY};

    if (format != INFOMASK_PNG && format != INFOMASK_WEBP)
        return error_set(err, INFOMASK_ARGUMENT, "masks and overlays are written as PNG or WebP");
    encoded->content_type = infomask_format_type(format);
    if (format == INFOMASK_PNG)
        return image_encode_png(&png, row, context, &encoded->data, &encoded->size, err);
    return image_encode_webp(&webp, row, context, &encoded->data, &encoded->size, err);
}

/* infoCAM's cells are nats, and so is what occlusion takes away; the others have no unit. */
static bool cells_are_nats(const struct infomask_mask *mask)
{
    return mask->method == INFOMASK_INFOCAM || mask->method == INFOMASK_INFOCAM_PLUS ||
           mask->method == INFOMASK_OCCLUSION;
}

static enum infomask_status encode_map(const struct infomask_mask *mask, double unit, struct infomask_encoded *encoded,
                                       struct infomask_error *err)
{
    struct scaled_map map = {0};
    char scale[40], offset[40];
    const char *text[] = {"scale", scale, "offset", offset, "units", NULL, NULL};
    enum infomask_status status = cells_init(&map, mask, cells_are_nats(mask) ? unit : 1, err);

    text[5] = !cells_are_nats(mask) ? "1" : unit > 1.2 ? "bits" : "nats";

    if (status == INFOMASK_OK) {
        encoded->scale = map.factor / TOP;
        encoded->offset = map.offset;
        (void)snprintf(scale, sizeof scale, "%.9g", encoded->scale);
        (void)snprintf(offset, sizeof offset, "%.9g", encoded->offset);
        status = encode_deep(&map, text, encoded, err);
    }
    map_fini(&map);
    return status;
}

static enum infomask_status encode_saliency(const struct infomask_mask *mask, struct infomask_encoded *encoded,
                                            struct infomask_error *err)
{
    const struct infomask_saliency *saliency = mask->saliency;
    struct scaled_map map = {.factor = 1};
    enum infomask_status status = map_init(&map, mask, saliency->values, saliency->h, saliency->w, err);

    if (status == INFOMASK_OK)
        status = encode_deep(&map, NULL, encoded, err);
    map_fini(&map);
    return status;
}

static enum infomask_status encode_overlay(const struct infomask_mask *mask, struct infomask_photo *photo,
                                           const struct infomask_picture_options *options,
                                           struct infomask_encoded *encoded, struct infomask_error *err)
{
    bool nats = cells_are_nats(mask);
    const char *unit = !nats ? "" : options->unit > 1.2 ? " bits/cell" : " nats/cell";
    struct scaled_map map = {0};
    struct overlay overlay = {0};
    const struct image *image;
    enum infomask_status status = photo_image(photo, 8, NULL, &image, NULL, err);

    if (status == INFOMASK_OK)
        status = cells_init(&map, mask, nats ? options->unit : 1, err);
    if (status == INFOMASK_OK) {
        const struct overlay_style style = {options->colormap, options->opacity, fmax(map.offset + map.factor, 0),
                                            unit};
        status = overlay_init(&overlay, image, mask->pixels, &style, err);
    }
    if (status == INFOMASK_OK) {
        map.overlay = &overlay;
        status = encode(mask, 3, options->format, overlay_map_row, &map, encoded, err);
    }
    overlay_fini(&overlay);
    map_fini(&map);
    return status;
}

static void alpha_row(void *context, int y, uint8_t *row) { cutout_alpha_row(context, y, row); }

static enum infomask_status encode_soft(const struct infomask_mask *mask, struct infomask_photo *photo,
                                        enum infomask_format format, struct infomask_encoded *encoded,
                                        struct infomask_error *err)
{
    struct cutout *cutout = NULL;
    const struct image *image;
    enum infomask_status status = photo_image(photo, 8, NULL, &image, NULL, err);

    if (status == INFOMASK_OK)
        status = cutout_create(&cutout, image, mask->pixels, false, err);
    if (status == INFOMASK_OK)
        status = encode(mask, 1, format, alpha_row, cutout, encoded, err);
    cutout_free(cutout);
    return status;
}

enum infomask_status infomask_mask_picture(const struct infomask_mask *mask, struct infomask_photo *photo,
                                           const struct infomask_picture_options *options,
                                           struct infomask_encoded *encoded, struct infomask_error *err)
{
    bool deep = options->picture == INFOMASK_PICTURE_MAP || options->picture == INFOMASK_PICTURE_SALIENCY;
    enum infomask_status status = INFOMASK_INTERNAL;

    *encoded = (struct infomask_encoded){0};
    if (deep && options->format != INFOMASK_PNG)
        return error_set(err, INFOMASK_ARGUMENT, "a map and a saliency have 16 bits a pixel, which only PNG holds");
    switch (options->picture) {
    case INFOMASK_PICTURE_MASK:
        status = options->soft ? encode_soft(mask, photo, options->format, encoded, err)
                               : encode(mask, 1, options->format, mask_row, (void *)(uintptr_t)mask, encoded, err);
        break;
    case INFOMASK_PICTURE_MAP: status = encode_map(mask, options->unit, encoded, err); break;
    case INFOMASK_PICTURE_SALIENCY: status = encode_saliency(mask, encoded, err); break;
    case INFOMASK_PICTURE_OVERLAY: status = encode_overlay(mask, photo, options, encoded, err); break;
    }
    if (status != INFOMASK_OK)
        infomask_encoded_fini(encoded);
    return status;
}
