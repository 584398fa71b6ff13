/* Alpha at an object's edge: closed-form matting (Levin, Lischinski and Weiss 2008) in a band along a mask's edge, with
 * a weak pull to the mask.  The same bits for any number of threads: there is one. */
#ifndef INFOMASK_IMAGE_PIXELS_MATTING_H
#define INFOMASK_IMAGE_PIXELS_MATTING_H

#include "core/base/status.h"

/* rgb [h, w, 3] in 0..1; alpha [h, w]: the mask, 0..1, and then the alpha: of pixels further than `radius` from where
 * the mask crosses .5 as it was.  Fails only for memory. */
enum infomask_status matting_solve(const float *rgb, int h, int w, int radius, float *alpha, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
