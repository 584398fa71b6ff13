/* Bounded cursors over the three containers.  Nothing is read but what lies inside the buffer, nothing is copied; a
 * cursor ends at the first thing that is no whole segment.  Private to the room. */
#ifndef INFOMASK_IMAGE_CODEC_SEGMENTS_H
#define INFOMASK_IMAGE_CODEC_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/image/image.h"

struct segment {
    uint32_t type; /* JPEG: the marker's second byte; PNG and WebP: the four letters, first letter highest */
    const uint8_t *data;
    size_t size;
};

struct segment_cursor {
    enum image_format format;
    const uint8_t *data;
    size_t size, offset;
    bool ended; /* the container's own end was met: SOS (the headers' end) or EOI, IEND, the end of the RIFF */
};

#define SEGMENT_TAG(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (uint32_t)(d))

/* The format of the first bytes; false: none of ours. */
bool segment_sniff(const void *data, size_t size, enum image_format *format);
struct segment_cursor segment_cursor(enum image_format format, const void *data, size_t size);
bool segment_next(struct segment_cursor *cursor, struct segment *segment);

static inline uint32_t bytes_be16(const uint8_t *p) { return (uint32_t)p[0] << 8 | p[1]; }
static inline uint32_t bytes_be32(const uint8_t *p) { return bytes_be16(p) << 16 | bytes_be16(p + 2); }
static inline uint32_t bytes_le16(const uint8_t *p) { return (uint32_t)p[1] << 8 | p[0]; }
static inline uint32_t bytes_le32(const uint8_t *p) { return bytes_le16(p + 2) << 16 | bytes_le16(p); }

#endif
