#include "core/image/codec/orientation.h"

#include <string.h>

#include "core/image/codec/segments.h"

enum { TIFF_ORIENTATION = 0x0112, TIFF_SHORT = 3, TIFF_ENTRY = 12 };

/* TIFF 6.0: byte order, 42, offset of the first directory; there a count, then entries of 12 bytes: tag, type, count,
 * value. */
static int tiff_orientation(const uint8_t *tiff, size_t size)
{
    uint32_t (*get16)(const uint8_t *) = bytes_le16, (*get32)(const uint8_t *) = bytes_le32;
    size_t offset, count;

    if (size < 8)
        return 1;
    if (tiff[0] == 'M' && tiff[1] == 'M') {
        get16 = bytes_be16;
        get32 = bytes_be32;
    } else if (tiff[0] != 'I' || tiff[1] != 'I') {
        return 1;
    }
    offset = get32(tiff + 4);
    if (get16(tiff + 2) != 42 || offset > size - 2)
        return 1;
    count = get16(tiff + offset);
    for (offset += 2; count > 0 && offset <= size && size - offset >= TIFF_ENTRY; count--, offset += TIFF_ENTRY) {
        const uint8_t *entry = tiff + offset;
        uint32_t value = get16(entry + 8);
        if (get16(entry) == TIFF_ORIENTATION)
            return get16(entry + 2) == TIFF_SHORT && get32(entry + 4) == 1 && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static bool is_exif(enum image_format format, const struct segment *segment)
{
    switch (format) {
    case IMAGE_JPEG: /* APP1 is shared with XMP */
        return segment->type == 0xE1 && segment->size >= 6 && memcmp(segment->data, "Exif\0", 6) == 0;
    case IMAGE_PNG:
        return segment->type == SEGMENT_TAG('e', 'X', 'I', 'f');
    case IMAGE_WEBP:
        return segment->type == SEGMENT_TAG('E', 'X', 'I', 'F');
    }
    return false;
}

int orientation_find(enum image_format format, const void *data, size_t size)
{
    struct segment_cursor cursor = segment_cursor(format, data, size);
    struct segment segment;

    while (segment_next(&cursor, &segment)) {
        size_t skip;
        if (!is_exif(format, &segment))
            continue;
        /* JPEG's prefix is found in WebP too, though its standard has none */
        skip = segment.size >= 6 && memcmp(segment.data, "Exif\0", 6) == 0 ? 6 : 0;
        return tiff_orientation(segment.data + skip, segment.size - skip);
    }
    return 1;
}

/* The stored pixel (x, y) lies at origin + x * step_x + y * step_y, in pixels of the turned picture. */
struct placement {
    ptrdiff_t origin, step_x, step_y;
};

static struct placement placement(int orientation, ptrdiff_t width, ptrdiff_t height)
{
    ptrdiff_t right = width - 1, bottom = (height - 1) * width;

    switch (orientation) {
    case 2: /* mirrored */
        return (struct placement){right, -1, width};
    case 3: /* half a turn */
        return (struct placement){bottom + right, -1, -width};
    case 4: /* upside down, mirrored */
        return (struct placement){bottom, 1, -width};
    case 5: /* transposed */
        return (struct placement){0, width, 1};
    case 6: /* a quarter turn clockwise */
        return (struct placement){right, width, -1};
    case 7: /* transposed along the other diagonal */
        return (struct placement){bottom + right, -width, -1};
    case 8: /* a quarter turn counter-clockwise */
        return (struct placement){bottom, -width, 1};
    default:
        return (struct placement){0, 1, width};
    }
}

static void place_pixel(uint8_t *to, const uint8_t *from, int channels)
{
    to[0] = from[0];
    to[1] = from[1];
    to[2] = from[2];
    if (channels == 4)
        to[3] = from[3];
}

void orientation_place(const struct image *image, int orientation, const struct orientation_part *part)
{
    struct placement p = placement(orientation, image->width, image->height);
    int channels = image->channels;
    uint8_t *to = image->pixels + (p.origin + part->x * p.step_x + part->y * p.step_y) * channels;

    if (orientation_swaps(orientation)) { /* a stored column becomes a row: write along it */
        for (int i = 0; i < part->columns; i++)
            for (int j = 0; j < part->rows; j++)
                place_pixel(to + (i * p.step_x + j * p.step_y) * channels,
                            part->pixels + (size_t)j * part->stride + (size_t)(i * channels), channels);
        return;
    }
    for (int j = 0; j < part->rows; j++, to += p.step_y * channels) {
        const uint8_t *from = part->pixels + (size_t)j * part->stride;
        if (p.step_x == 1)
            memcpy(to, from, (size_t)part->columns * (size_t)channels);
        else
            for (int i = 0; i < part->columns; i++)
                place_pixel(to - i * channels, from + i * channels, channels);
    }
}

struct image_region orientation_store(const struct image_region *region, int orientation, int width, int height)
{
    int x0 = region->left, x1 = width - region->left - region->width;
    int y0 = region->top, y1 = height - region->top - region->height;
    bool flip_x = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
    bool flip_y = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;

    if (!orientation_swaps(orientation))
        return (struct image_region){flip_x ? x1 : x0, flip_y ? y1 : y0, region->width, region->height};
    /* stored x runs along the viewer's y */
    return (struct image_region){flip_x ? y1 : y0, flip_y ? x1 : x0, region->height, region->width};
}
