/* What takes the place of masked pixels.
 *
 * A fill is computed once, at no more than a megapixel, and read row by row at the photo's size, so that its memory
 * does not grow with the photo.  Apart from PIXELATE, which leaks by design, every fill is a function of the kept
 * pixels only.  Thread rule: a fill belongs to one thread at a time.
 */
#ifndef INFOMASK_IMAGE_FILL_H
#define INFOMASK_IMAGE_FILL_H

#include <stdint.h>

#include "core/base/status.h"
#include "core/image/image.h"

enum fill_kind {
    FILL_INPAINT,  /* Telea 2004: fast marching, each pixel from the known ones around it */
    FILL_DIFFUSE,  /* normalised Gaussian blur of the kept pixels, sigma doubled from side / 96 until all is filled */
    FILL_BLUR,     /* the same from side / 12: no detail of the hole's edge is carried inside */
    FILL_MEAN,     /* mean colour of the kept pixels */
    FILL_PIXELATE, /* mean colours of the photo's own blocks, side / 24 */
    FILL_COLOR
};

struct fill;

/* mask [photo height, photo width]: pixels that are not 0 are replaced; photo and mask are borrowed while the fill is
 * made (PIXELATE: the photo until fill_free).  color: FILL_COLOR, RGB; else may be NULL.  A photo without a kept pixel
 * is filled with mid-grey.  Fails only for memory. */
enum infomask_status fill_create(struct fill **fill, const struct image *photo, const uint8_t *mask,
                                 enum fill_kind kind, const uint8_t *color, struct infomask_error *err)
    __attribute__((warn_unused_result));
void fill_free(struct fill *fill);
/* Row y of the fill, [width] RGB; meaningful where the mask is set. */
void fill_row(struct fill *fill, int y, uint8_t *rgb);

/* The algorithms on a small picture, in place: rgb [h, w, 3], hole [h, w] not 0 where unknown. */
enum infomask_status fill_inpaint(uint8_t *rgb, const uint8_t *hole, int h, int w, int radius,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status fill_spread(uint8_t *rgb, const uint8_t *hole, int h, int w, double sigma,
                                 struct infomask_error *err) __attribute__((warn_unused_result));

#endif
