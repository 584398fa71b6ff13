/* How a viewer turns the stored pixels: the EXIF orientation tag, the only metadata that is read, and the placing of
 * stored rows in the turned picture.  Private to the room. */
#ifndef INFOMASK_IMAGE_CODEC_ORIENTATION_H
#define INFOMASK_IMAGE_CODEC_ORIENTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/image/image.h"

/* Tag 0x0112 of the first EXIF block (JPEG APP1, PNG eXIf, WebP EXIF); 1 where there is none or it is no 1..8. */
int orientation_find(enum image_format format, const void *data, size_t size);

/* 5..8 exchange width and height. */
static inline bool orientation_swaps(int orientation) { return orientation >= 5; }

/* Puts rows [y, y + rows) x columns [x, x + columns) of the stored picture where they belong in image, which has the
 * viewer's orientation.  pixels has image->channels samples a pixel, its rows lie `stride` bytes apart. */
void orientation_place(const struct image *image, int orientation, const uint8_t *pixels, size_t stride, int x, int y,
                       int columns, int rows);

/* A rectangle of the viewer's picture of width x height, in stored coordinates. */
struct image_region orientation_store(const struct image_region *region, int orientation, int width, int height);

#endif
