/* The two passes of the resampling, in fixed point.  Private to the room.
 *
 * Weights are integers with RESAMPLE_BITS fractional bits; a result is clip8((2^(BITS-1) + sum w p) >> BITS), in int32
 * (the sum cannot overflow: |sum| < 1.5 * 255 * 2^22).  All kernels give the same bits.
 */
#ifndef INFOMASK_IMAGE_RESAMPLE_H
#define INFOMASK_IMAGE_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/image/image.h"

enum {
    RESAMPLE_BITS = 22,
    /* The vector kernels multiply 16-bit numbers: w = high * 2^15 + low, low in [0, 2^15) */
    RESAMPLE_LOW_BITS = 15,
    RESAMPLE_GROUP = 4,   /* taps are padded with zero weights to a multiple of this */
    RESAMPLE_BLOCK = 32,  /* rows of the passes are padded to a multiple of this many bytes */
    RESAMPLE_OVERREAD = 16 /* bytes that a kernel may read beyond the last tap of a row */
};

struct resample_axis {
    int size, taps;   /* results; weights of each, a multiple of RESAMPLE_GROUP */
    int *first, *count; /* [size] the first source pixel, and how many; the same number for results 2i and 2i + 1 */
    int32_t *weights; /* [size, taps] */
    int16_t *split;   /* [size, taps / 4, 8]: of 4 taps the low halves, then the high ones */
    int begin, end;   /* source pixels that are used at all */
};

/* begin + length within [0, source]; the box of the view along this axis. */
enum infomask_status resample_axis_init(struct resample_axis *axis, enum image_filter filter, int source, double begin,
                                        double length, int size, struct infomask_error *err);
void resample_axis_fini(struct resample_axis *axis);

struct resample_kernels {
    /* out [3 * axis->size]: one RGB row; row is the source's pixel 0.  out may be written up to a block's end. */
    void (*horizontal)(const uint8_t *row, const struct resample_axis *axis, uint8_t *out);
    /* out [bytes]: result y of the axis, from rows `stride` bytes apart, rows being source row axis->begin.  Whole
     * blocks are read and written. */
    void (*vertical)(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                     size_t bytes);
};
const struct resample_kernels *resample_kernels(void);

#if defined(__x86_64__)
void resample_horizontal_avx2(const uint8_t *row, const struct resample_axis *axis, uint8_t *out);
void resample_vertical_avx2(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                            size_t bytes);
#endif
/* The readable ones, the oracle of the tests. */
void resample_horizontal_c(const uint8_t *row, const struct resample_axis *axis, uint8_t *out);
void resample_vertical_c(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                         size_t bytes);

#endif
