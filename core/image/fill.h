/* What takes the place of masked pixels.
 *
 * A fill is computed once, at no more than a megapixel, and read row by row at the photo's size, so that its memory
 * does not grow with the photo.  Apart from PIXELATE, which leaks by design, every fill is a function of the kept
 * pixels only.  Thread rule: a fill belongs to one thread at a time.
 */
#ifndef INFOMASK_IMAGE_FILL_H
#define INFOMASK_IMAGE_FILL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "core/image/image.h"

enum fill_kind {
    FILL_MATCH,    /* copies of kept patches, coarse to fine (core/image/pixels/match.h) */
    FILL_INPAINT,  /* Telea 2004: fast marching, each pixel from the known ones around it */
    FILL_DIFFUSE,  /* normalised Gaussian blur of the kept pixels, sigma doubled from side / 96 until all is filled */
    FILL_BLUR,     /* the same from side / 12: no detail of the hole's edge is carried inside */
    FILL_MEAN,     /* mean colour of the kept pixels */
    FILL_PIXELATE, /* mean colours of the photo's own blocks, side / 24 */
    FILL_COLOR
};

#define FILL_MOST_MATCHED 0.6 /* share of a photo that MATCH fills */

/* kernel_table.patch_distance and patch_votes (core/kernels/kernels.h). */
typedef uint32_t fill_distance(const uint8_t *a, const uint8_t *b, ptrdiff_t row, const uint8_t *counts, uint32_t stop);
typedef void fill_votes(const uint8_t *pixels, const uint32_t *field, const float *weight, size_t at, size_t row,
                        int first, int last, float sum[5]);

struct fill_options {
    enum fill_kind kind;
    uint8_t color[3]; /* FILL_COLOR */
    size_t pixels; /* of the copy that is filled, at most; 0: a megapixel */
    bool alpha;    /* DIFFUSE, PIXELATE: it is a photo's alpha that is filled, and read three times over */
    /* MATCH only: */
    fill_distance *distance;
    fill_votes *votes;
    uint64_t seed;
    struct pool *pool; /* may be NULL; the same bits for any number of threads */
    /* asked now and then with `deadline_context`; true stops the fill (INFOMASK_DEADLINE).  May be NULL. */
    bool (*expired)(void *context);
    void *deadline_context;
};

struct fill;

/* mask [photo height, photo width]: pixels that are not 0 are replaced; photo and mask are borrowed while the fill is
 * made (MATCH: both until fill_free; PIXELATE: the photo).  A photo without a kept pixel is filled with mid-grey. Where
 * more than FILL_MOST_MATCHED of the photo is to be filled, or there is too little to copy from, DIFFUSE comes in the
 * place of MATCH.
 * Fails for memory, and for MATCH when its time is over. */
enum infomask_status fill_create(struct fill **fill, const struct image *photo, const uint8_t *mask,
                                 const struct fill_options *options, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The kind that was made, and why it is another than was asked for (a sentence; NULL: it is not). */
enum fill_kind fill_used(const struct fill *fill);
const char *fill_reason(const struct fill *fill);
void fill_free(struct fill *fill);
/* Row y of the fill, [width] RGB; meaningful where the mask is set. */
void fill_row(struct fill *fill, int y, uint8_t *rgb);

/* The algorithms on a small picture, in place: rgb [h, w, 3], hole [h, w] not 0 where unknown. */
enum infomask_status fill_inpaint(uint8_t *rgb, const uint8_t *hole, int h, int w, int radius,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status fill_spread(uint8_t *rgb, const uint8_t *hole, int h, int w, double sigma,
                                 struct infomask_error *err) __attribute__((warn_unused_result));

#endif
