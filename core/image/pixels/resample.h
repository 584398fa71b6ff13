/* The two passes of the resampling, in fixed point.  Private to the room.
 *
 * Weights are integers with RESAMPLE_BITS fractional bits; a result is clip8((2^(BITS-1) + sum w p) >> BITS), in int32
 * (the sum cannot overflow: |sum| < 1.5 * 255 * 2^22).  All kernels give the same bits.
 */
#ifndef INFOMASK_IMAGE_PIXELS_RESAMPLE_H
#define INFOMASK_IMAGE_PIXELS_RESAMPLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/image/image.h"

enum {
    RESAMPLE_BITS = 22,
    RESAMPLE_GROUP = 4, /* taps are padded with zero weights to a multiple of this, results with copies of the last */
    RESAMPLE_ROWS = 4,  /* that the horizontal pass takes at a time */
    RESAMPLE_BLOCK = 64,   /* rows of the passes are padded to a multiple of this many bytes */
    RESAMPLE_OVERREAD = 16 /* bytes that a kernel may read beyond the last tap's first byte */
};

struct resample_axis {
    int size, padded;   /* results; rounded up to a multiple of RESAMPLE_GROUP */
    int taps;           /* weights of each, a multiple of RESAMPLE_GROUP */
    int *first, *count; /* [padded] the first source pixel, and how many */
    int32_t *weights;   /* [padded, taps] */
    void *packed;       /* the weights in the kernels' own form, or NULL */
    int begin, end;     /* source pixels that are used at all */
};

struct resample_kernels {
    const char *name;
    size_t packed_bytes; /* of a weight in `packed` */
    void (*pack)(struct resample_axis *axis); /* NULL: nothing to do */
    /* Four rows at once (to do fewer, give one several times): rows[j] is a source row's RGB pixel 0, out[j] has
     * 3 * padded samples and 4 bytes of room. */
    void (*horizontal)(const uint8_t *const rows[RESAMPLE_ROWS], const struct resample_axis *axis,
                       uint8_t *const out[RESAMPLE_ROWS]);
    /* out [bytes]: result y of the axis, from rows `stride` bytes apart, `rows` being source row axis->begin.  Whole
     * blocks are read and written. */
    void (*vertical)(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                     size_t bytes);
};

extern const struct resample_kernels resample_portable; /* the readable ones, the oracle of the tests */
#if defined(__x86_64__)
extern const struct resample_kernels resample_avx2;   /* needs AVX2 */
extern const struct resample_kernels resample_avx512; /* needs AVX-512 BW and VNNI */
#endif
/* The best of this processor. */
const struct resample_kernels *resample_kernels(void);

/* Half the kernel's width, in source pixels where it does not reduce. */
double resample_support(enum image_filter filter);

/* A view along one axis: [begin, begin + length) of `source` pixels becomes `size` results. */
struct resample_span {
    int source;
    double begin, length; /* within [0, source] */
    int size;
};
enum infomask_status resample_axis_init(struct resample_axis *axis, const struct resample_kernels *with,
                                        enum image_filter filter, const struct resample_span *span,
                                        struct infomask_error *err) __attribute__((warn_unused_result));
void resample_axis_fini(struct resample_axis *axis);

#endif
