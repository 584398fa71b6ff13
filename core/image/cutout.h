/* An object without its background: soft alpha at its edge, and colours that hold nothing of what was behind it.
 * Thread rule: a cut-out belongs to one thread at a time. */
#ifndef INFOMASK_IMAGE_CUTOUT_H
#define INFOMASK_IMAGE_CUTOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/image/image.h"

struct cutout;

/* mask [photo height, photo width]: 0 to 255, how much of the object a pixel is.  Along its edge alpha follows the
 * photo (closed-form matting, core/image/pixels/matting.h, on a copy of longest side 640): nearby if the mask was given
 * by somebody, a little further if it was found.  The photo is borrowed until cutout_free.  Fails only for memory. */
enum infomask_status cutout_create(struct cutout **cutout, const struct image *photo, const uint8_t *mask, bool given,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
void cutout_free(struct cutout *cutout);
/* Row y, [width] RGBA, not premultiplied; alpha 0: black. */
void cutout_row(struct cutout *cutout, int y, uint8_t *rgba);
/* Its alpha alone, [width], of an opaque photo. */
void cutout_alpha_row(struct cutout *cutout, int y, uint8_t *alpha);

#endif
