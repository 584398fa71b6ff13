/* Pictures of maps: colour maps, and the photo with a map, a mask's contour and a legend over it.
 * Thread rule: functions are reentrant. */
#ifndef INFOMASK_IMAGE_OVERLAY_H
#define INFOMASK_IMAGE_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/status.h"
#include "core/image/image.h"

/* "viridis", "magma" (rising lightness, readable without colour vision), "turbo" (rainbow-like), "gray".
 * 256 RGB entries; NULL or an unknown name: viridis. */
void colormap_fill(const char *name, uint8_t table[256][3]);

/* One overlay; rows come in any order.  photo and mask are borrowed. */
struct overlay {
    const struct image *photo; /* alpha is put over white */
    const uint8_t *mask;       /* [height, width]: its edge is drawn */
    uint8_t table[256][3];
    double opacity; /* of the map where it is largest, 0..1; a third of it where it is 0 */
    int line;       /* half the width of the contour, pixels */
    /* the legend, in the lower left corner: a bar from 0 to `most`, then `unit` as it is */
    int legend_w, legend_h;
    uint8_t *legend; /* [legend_h, legend_w, 3] or NULL where the photo is too small */
};
struct overlay_style {
    const char *colormap;
    double opacity;
    double most;      /* what the map's 1 stands for, and its unit: the legend */
    const char *unit;
};
enum infomask_status overlay_init(struct overlay *overlay, const struct image *photo, const uint8_t *mask,
                                  const struct overlay_style *style, struct infomask_error *err)
    __attribute__((warn_unused_result));
void overlay_fini(struct overlay *overlay);
/* Row y: value [width] in 0..1 (clipped) -> rgb [width, 3]. */
void overlay_row(const struct overlay *overlay, int y, const float *value, uint8_t *rgb);

#endif
