#include "core/image/codec/segments.h"

#include <string.h>

enum { JPEG_SOI = 0xD8, JPEG_EOI = 0xD9, JPEG_SOS = 0xDA, JPEG_TEM = 0x01, JPEG_RST0 = 0xD0 };

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};

bool segment_sniff(const void *data, size_t size, enum image_format *format)
{
    const uint8_t *p = data;

    if (size >= 3 && p[0] == 0xFF && p[1] == JPEG_SOI && p[2] == 0xFF)
        *format = IMAGE_JPEG;
    else if (size >= sizeof png_signature && memcmp(p, png_signature, sizeof png_signature) == 0)
        *format = IMAGE_PNG;
    else if (size >= 12 && memcmp(p, "RIFF", 4) == 0 && memcmp(p + 8, "WEBP", 4) == 0)
        *format = IMAGE_WEBP;
    else
        return false;
    return true;
}

struct segment_cursor segment_cursor(enum image_format format, const void *data, size_t size)
{
    static const size_t first[] = {[IMAGE_JPEG] = 2, [IMAGE_PNG] = 8, [IMAGE_WEBP] = 12};
    struct segment_cursor cursor = {.format = format, .data = data, .size = size, .offset = first[format]};

    if (format == IMAGE_WEBP && size >= 12) {
        size_t riff = (size_t)bytes_le32(cursor.data + 4) + 8;
        if (riff < size)
            cursor.size = riff; /* what follows the RIFF is not the picture's */
    }
    return cursor;
}

static bool next_jpeg(struct segment_cursor *c, struct segment *segment)
{
    const uint8_t *p = c->data;
    size_t o = c->offset, length;
    uint8_t marker;

    do {
        if (o >= c->size || p[o] != 0xFF)
            return false;
        while (o < c->size && p[o] == 0xFF) /* any number of fill bytes */
            o++;
        if (o >= c->size)
            return false;
        marker = p[o++];
    } while (marker == JPEG_TEM || (marker >= JPEG_RST0 && marker <= JPEG_SOI)); /* those have no length */
    if (marker == JPEG_EOI) {
        c->ended = true;
        return false;
    }
    if (c->size - o < 2 || (length = bytes_be16(p + o)) < 2 || length > c->size - o)
        return false;
    *segment = (struct segment){marker, p + o + 2, length - 2};
    c->ended = marker == JPEG_SOS;
    c->offset = o + length;
    return true;
}

static bool next_png(struct segment_cursor *c, struct segment *segment)
{
    const uint8_t *p = c->data + c->offset;
    size_t left = c->size - c->offset, length;

    if (left < 12 || (length = bytes_be32(p)) > left - 12)
        return false;
    *segment = (struct segment){bytes_be32(p + 4), p + 8, length};
    c->ended = segment->type == SEGMENT_TAG('I', 'E', 'N', 'D');
    c->offset += 12 + length;
    return true;
}

static bool next_webp(struct segment_cursor *c, struct segment *segment)
{
    const uint8_t *p = c->data + c->offset;
    size_t left = c->size - c->offset, length;

    if (left < 8 || (length = bytes_le32(p + 4)) > left - 8)
        return false;
    *segment = (struct segment){bytes_be32(p), p + 8, length};
    length += length & 1; /* padded to even */
    c->offset = length > left - 8 ? c->size : c->offset + 8 + length;
    c->ended = c->offset == c->size;
    return true;
}

bool segment_next(struct segment_cursor *cursor, struct segment *segment)
{
    if (cursor->ended || cursor->offset >= cursor->size)
        return false;
    switch (cursor->format) {
    case IMAGE_JPEG:
        return next_jpeg(cursor, segment);
    case IMAGE_PNG:
        return next_png(cursor, segment);
    case IMAGE_WEBP:
        return next_webp(cursor, segment);
    }
    return false;
}
