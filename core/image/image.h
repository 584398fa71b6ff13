/* Photos: bytes to pixels under limits, pixels to the network's tensor, pixels to bytes.
 *
 * The format is found from the first bytes.  Limits are enforced from the header, before the cost arises.  Pixels are
 * 8-bit RGB or RGBA, interleaved, rows adjacent, in the orientation that a viewer shows (EXIF applied).
 * `limits` may be NULL everywhere: image_default_limits.  On failure nothing is left to free.
 * Thread rule: functions are reentrant; an image belongs to one thread at a time.
 */
#ifndef INFOMASK_IMAGE_IMAGE_H
#define INFOMASK_IMAGE_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

enum image_format { IMAGE_JPEG, IMAGE_PNG, IMAGE_WEBP };

struct image_limits {
    size_t max_pixels;     /* 40,000,000 */
    int max_side;          /* 16,384 */
    int min_side;          /* 8 */
    int max_scans;         /* of a progressive JPEG: 100 */
    size_t decoder_memory; /* bytes that a decoder may take beside the output: 256 MiB */
    bool keep_faint;       /* 16-bit samples that are not 0 do not become 0: of masks, whose values may be numbers */
    /* called now and then while decoding with `deadline_context` (by two threads at a time where a pool is given); true
     * stops it (INFOMASK_DEADLINE).  May be NULL. */
    bool (*expired)(void *context);
    void *deadline_context;
};
extern const struct image_limits image_default_limits;

struct image_info {
    enum image_format format;
    int width, height; /* as a viewer shows it, after the orientation */
    int orientation;   /* EXIF 1..8; 1 where there is none */
    bool alpha;        /* the file has an alpha channel or transparent colours: it is decoded to RGBA */
    bool lossy;        /* JPEG, and WebP's lossy kind: there is ringing around edges */
    int stored_width, stored_height; /* as the file has it */
};

struct image {
    int width, height, channels; /* channels 3 (RGB) or 4 (RGBA, not premultiplied) */
    uint8_t *pixels;             /* [height, width, channels]; owned, made by image_init (padded for vector reads) */
    uint8_t *icc;                /* the file's ICC profile, unread, or that of a PNG's gAMA, or NULL; owned */
    size_t icc_size;             /* at most 1 MiB; a larger one is left out, and so is one that is not of RGB pixels */
};

/* Header only: UNSUPPORTED_FORMAT, BAD_IMAGE (broken, or a side under min_side), TOO_MANY_PIXELS. */
enum infomask_status image_probe(const void *data, size_t size, const struct image_limits *limits,
                                 struct image_info *info, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The whole photo.  Corrupt data is BAD_IMAGE (a truncated file too).  JPEG in grey, YCbCr, CMYK and YCCK, progressive
 * too; PNG of every colour type and depth, gamma ignored, 16-bit rounded to 8 (but keep_faint);
 * APNG: its default image; still WebP. */
enum infomask_status image_decode(const void *data, size_t size, const struct image_limits *limits,
                                  struct image *image, struct infomask_error *err) __attribute__((warn_unused_result));
/* A file in memory, what decoding it may cost, and who may help: an idle thread of the pool (may be NULL) decodes the
 * lower part of a baseline JPEG meanwhile; the pixels are the same. */
struct pool;
struct image_source {
    const void *data;
    size_t size;
    const struct image_limits *limits;
    struct pool *pool;
};
struct image_region {
    int left, top, width, height;
};
/* A JPEG at numerator/8 of its size by the decoder's scaled DCT (1..8); other formats only at 8.  With a region (in
 * pixels of the unscaled, oriented photo) only what it needs need be decoded; pixels outside are then undefined. */
enum infomask_status image_decode_scaled(const struct image_source *source, int numerator,
                                         const struct image_region *region, struct image *image,
                                         struct infomask_error *err) __attribute__((warn_unused_result));
void image_fini(struct image *image);
/* Uninitialised pixels of that size. */
enum infomask_status image_init(struct image *image, int width, int height, int channels, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Where the network looks.  Resampling exactly as api.md section 4: bicubic a = -0.5, support scaled by the
 * reduction, taps clamped to the photo, horizontal pass first, 8-bit intermediate, 8-bit result. */
enum image_filter { IMAGE_BICUBIC, IMAGE_BILINEAR, IMAGE_NEAREST, IMAGE_LANCZOS };

struct image_view {
    double left, top, width, height; /* box in photo pixels */
    int out_width, out_height;
    enum image_filter filter;
};
/* The centre crop: c = floor(crop * shorter side), left = floor((W - c) / 2), top = floor((H - c) / 2). */
struct image_view image_view_crop(int width, int height, double crop, int out_width, int out_height);
struct image_view image_view_whole(int width, int height, int out_width, int out_height);
/* The smallest JPEG scale (numerator of 8) at which the view still has at least twice the pixels it needs. */
int image_view_scale(const struct image_info *info, const struct image_view *view);
/* The same view of the photo decoded at numerator/8, and the part of the (unscaled) photo that its taps reach. */
struct image_view image_view_scaled(const struct image_view *view, int numerator);
struct image_region image_view_region(const struct image_info *info, const struct image_view *view, int numerator);
/* All of it: decodes what the view needs at the scale that it allows (so all routes see the same pixels); *scaled is
 * the view to resample the image by.  info is image_probe's. */
enum infomask_status image_decode_view(const struct image_source *source, const struct image_info *info,
                                       const struct image_view *view, struct image *image, struct image_view *scaled,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

/* Resamples to 8-bit RGB, [out_height, out_width, 3]; alpha is put over white first. */
enum infomask_status image_resample(const struct image *image, const struct image_view *view, uint8_t *out,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

enum image_color { IMAGE_RGB, IMAGE_BGR, IMAGE_GRAY }; /* order of the network's channels */
struct image_normalise {
    enum image_color color;
    float mean[3], std[3]; /* of 0..255 values: (v - mean) / std, in float32 */
};
/* Resample and normalise straight into the network's tensor: out [out_height, out_width, channels], 3 or 1 (GRAY:
 * ITU-R 601 luma as Pillow's convert("L")).  pool may be NULL; same bits for any thread count. */
enum infomask_status image_tensor(const struct image *image, const struct image_view *view,
                                  const struct image_normalise *normalise, struct pool *pool, float *out,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

/* Encoders: *data is malloc'ed and the caller's.  Rows come from a callback, so that a result is never held twice. */
typedef void image_row(void *context, int y, uint8_t *row); /* fills one row: samples in the file's byte order */
struct image_png {
    int width, height;
    int channels;  /* 1, 3 or 4 */
    int bits;      /* 8 or 16 (16 only for 1 channel; big-endian in the row) */
    const uint8_t *icc;
    size_t icc_size;
    const char *const *text; /* pairs keyword, value, ended by NULL; tEXt chunks; may be NULL */
    bool flat;               /* few values in large areas (masks): tuned for speed */
};
enum infomask_status image_encode_png(const struct image_png *png, image_row *row, void *context, uint8_t **data,
                                      size_t *size, struct infomask_error *err) __attribute__((warn_unused_result));
struct image_webp {
    int width, height; /* at most 16383 a side */
    int channels;      /* 1, 3 or 4, of 8 bits */
    int quality;       /* 1..100, alpha as it is; 0: lossless, but for the colours of what is wholly transparent */
    const uint8_t *icc;
    size_t icc_size;
};
enum infomask_status image_encode_webp(const struct image_webp *webp, image_row *row, void *context, uint8_t **data,
                                       size_t *size, struct infomask_error *err) __attribute__((warn_unused_result));
struct image_jpeg {
    int width, height;
    int quality; /* 1..100; 4:4:4 from 90 on */
    const uint8_t *icc;
    size_t icc_size;
};
/* RGB rows; optimised tables. */
enum infomask_status image_encode_jpeg(const struct image_jpeg *jpeg, image_row *row, void *context, uint8_t **data,
                                       size_t *size, struct infomask_error *err) __attribute__((warn_unused_result));

const char *image_format_name(enum image_format format); /* "jpeg", "png", "webp" */

#endif
