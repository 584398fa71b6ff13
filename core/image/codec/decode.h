/* What the three decoders share.  Private to the room. */
#ifndef INFOMASK_IMAGE_CODEC_DECODE_H
#define INFOMASK_IMAGE_CODEC_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/image/image.h"

/* One decoding.  The image is allocated, in the viewer's orientation and at the final scale; a decoder fills it. */
struct decoding {
    const uint8_t *data;
    size_t size;
    const struct image_limits *limits;
    const struct image_info *info;
    int numerator;                /* JPEG: of 8 */
    struct image_region needed;   /* in stored, scaled pixels; the rest may stay undefined */
    int stored_width, stored_height; /* scaled */
    struct pool *pool;               /* or NULL */
    struct image *image;
    struct infomask_error *err;
};

enum infomask_status decode_jpeg(struct decoding *d) __attribute__((warn_unused_result));
enum infomask_status decode_png(struct decoding *d) __attribute__((warn_unused_result));
enum infomask_status decode_webp(struct decoding *d) __attribute__((warn_unused_result));

static inline bool decode_expired(const struct decoding *d)
{
    return d->limits->expired != NULL && d->limits->expired(d->limits->deadline_context);
}
/* INFOMASK_DEADLINE with its sentence. */
static inline enum infomask_status decode_deadline(struct infomask_error *err)
{
    return error_set(err, INFOMASK_DEADLINE, "the time for this request ended while the image was decoded");
}

/* Rows can be written where they end up. */
static inline bool decode_in_place(const struct decoding *d) { return d->info->orientation == 1; }
/* The stored row y, column x, for decode_in_place. */
static inline uint8_t *decode_row(const struct decoding *d, int x, int y)
{
    return d->image->pixels + ((size_t)y * (size_t)d->image->width + (size_t)x) * (size_t)d->image->channels;
}

/* A profile of RGB pixels that are light to the power 1 / gamma; xy [4, 2]: the chromaticities of white, red, green and
 * blue.  malloc'ed.  NULL: there is none of these numbers, or no memory. */
uint8_t *icc_make(double gamma, const double *xy, size_t *size);
/* The file's ICC profile if it is one of RGB pixels and at most 1 MiB, or that of a PNG's gAMA and cHRM, else NULL;
 * malloc'ed. */
uint8_t *icc_find(enum image_format format, const void *data, size_t size, size_t *icc_size);

#endif
