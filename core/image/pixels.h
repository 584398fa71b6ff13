/* Computing on pixels: float maps, colours, the guided filter, distances on masks.
 *
 * A map is float [h, w, c], rows adjacent; c = 1 unless a function says more.  Resizing uses half-pixel centres with
 * clamped edges; filters reflect at the border so that the edge pixel is repeated (fedcba|abcdefgh|hgfedcb).
 * Sides are positive.  Thread rule: functions are reentrant; an object belongs to one thread at a time.
 */
#ifndef INFOMASK_IMAGE_PIXELS_H
#define INFOMASK_IMAGE_PIXELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/image/image.h"

/* ---- Resizing float maps ----------------------------------------------------------------------------------------- */

struct pixels_map { /* a view */
    const float *values; /* [h, w, c] */
    int h, w, c;
};
/* map -> out [h, w, map->c]: bilinear. */
enum infomask_status pixels_bilinear(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The average over the area that an output pixel covers, fractions of input pixels counted; for reductions. */
enum infomask_status pixels_area(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* pixels_bilinear where the height grows, else pixels_area. */
enum infomask_status pixels_resize(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* One map of one channel enlarged bilinearly to h x w, row by row, so that the large map never exists. */
struct pixels_enlarge {
    const float *map; /* borrowed */
    int in_h, in_w, h, w;
    int *left;    /* [w] column to the left of the pixel */
    float *share; /* [w] weight of the column to its right */
    float *line;  /* [in_w + 1] */
};
enum infomask_status pixels_enlarge_init(struct pixels_enlarge *enlarge, const float *map, int in_h, int in_w, int h,
                                         int w, struct infomask_error *err) __attribute__((warn_unused_result));
void pixels_enlarge_row(struct pixels_enlarge *enlarge, int y, float *row); /* row [w] */
void pixels_enlarge_fini(struct pixels_enlarge *enlarge);

/* ---- Colours ----------------------------------------------------------------------------------------------------- */

/* n pixels of sRGB in 0..1 to CIE L*a*b* under D65, L in 0..100 (IEC 61966-2-1, CIE 15); lab may
 * be rgb. */
void pixels_lab(const float *rgb, size_t n, float *lab);
/* ITU-R BT.601 luma of 8-bit RGB, rounded. */
static inline uint8_t pixels_luma(const uint8_t *rgb)
{
    return (uint8_t)((299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2] + 500) / 1000);
}

/* ---- Box means and the guided filter ----------------------------------------------------------------------------- */

/* Mean over (2 radius + 1)^2 pixels of a map of four channels, in constant time a pixel.  out may not be in.
 * scratch: pixels_box_scratch(w, radius) doubles. */
void pixels_box4(const float *in, int h, int w, int radius, float *out, double *scratch);
size_t pixels_box_scratch(int w, int radius);

/* The colour guided filter (He, Sun and Tang 2010): in each window the output is the affine function of the guide's
 * colour nearest to p, a = (cov(I, I) + eps 1)^-1 cov(I, p), b = mean p - a . mean I, and windows are averaged. */
struct guided;
/* The guide's statistics, kept for several inputs.  rgb [h, w, 3] is borrowed. */
enum infomask_status guided_create(struct guided **guided, const float *rgb, int h, int w, int radius,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
void guided_free(struct guided *guided);
/* p, out [h, w]; out may be p. */
void guided_filter(struct guided *guided, const float *p, float eps, float *out);

/* ---- Masks of bytes ---------------------------------------------------------------------------------------------- */

/* Grows the set pixels (not 0) by a disk of `radius` pixels (Euclidean); beyond it 255 falls linearly to 0 over
 * `feather` pixels.  In place, mask [h, w] -> 0..255, in memory of a few rows.  radius, feather >= 0. */
enum infomask_status pixels_dilate(uint8_t *mask, int h, int w, double radius, double feather,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
enum pixels_shade {
    PIXELS_SHADOW, /* darker than the ground around by about the same factor in every colour, or nearly black; within
                    * .6 of the object's longer side and no larger than the object (else nothing is taken) */
    PIXELS_CONTACT /* nearly black beside the ground around and lower than the object's middle, in pieces that end
                    * within .12 of its longer side of its edge; .15 of the object at most */
};

/* mask [photo height, photo width], set (not 0) where an object is, takes along what lies in its shadow and hangs
 * together with it. */
enum infomask_status pixels_shadow(const struct image *photo, enum pixels_shade shade, uint8_t *mask,
                                   struct infomask_error *err) __attribute__((warn_unused_result));

#endif
