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

/* A part of the stored picture: its rows [y, y + rows) x columns [x, x + columns). */
struct orientation_part {
    const uint8_t *pixels; /* as many samples a pixel as the picture has channels */
    size_t stride;         /* bytes from row to row */
    int x, y, columns, rows;
};
/* Puts it where it belongs in image, which has the viewer's orientation. */
void orientation_place(const struct image *image, int orientation, const struct orientation_part *part);

/* A rectangle of the viewer's picture of width x height, in stored coordinates. */
struct image_region orientation_store(const struct image_region *region, int orientation, int width, int height);

#endif
