#include "core/image/pixels/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/base/cpu.h"

/* ---- Weights ----------------------------------------------------------------------------------------------------- */

/* Keys' cubic convolution, a = -1/2 */
static double bicubic(double x)
{
    const double a = -0.5;

    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    return x < 2.0 ? (((x - 5) * x + 8) * x - 4) * a : 0.0;
}

static double bilinear(double x)
{
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;

    return x == 0.0 ? 1.0 : sin(x * pi) / (x * pi);
}

static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

static const struct {
    double (*at)(double);
    double support;
} kernels[] = {[IMAGE_BICUBIC] = {bicubic, 2.0},
               [IMAGE_BILINEAR] = {bilinear, 1.0},
               [IMAGE_NEAREST] = {NULL, 0.0},
               [IMAGE_LANCZOS] = {lanczos, 3.0}};

double resample_support(enum image_filter filter) { return kernels[filter].support; }

static int32_t fixed(double weight)
{
    double scaled = weight * (1 << RESAMPLE_BITS);

    return (int32_t)(scaled + copysign(0.5, scaled)); /* half away from zero */
}

/* Result i: the kernel around its centre, cut at the photo's edges and normalised.  scratch [axis->taps] */
static void weigh(struct resample_axis *axis, int i, enum image_filter filter, int source, double begin, double scale,
                  double *scratch)
{
    double wide = scale < 1.0 ? 1.0 : scale, support = kernels[filter].support * wide;
    double centre = begin + (i + 0.5) * scale, inverse = 1.0 / wide, sum = 0;
    int first = (int)(centre - support + 0.5), last = (int)(centre + support + 0.5);
    int32_t *weights = axis->weights + (size_t)i * (size_t)axis->taps;

    first = first < 0 ? 0 : first;
    last = last > source ? source : last;
    for (int k = 0; k < last - first; k++) {
        scratch[k] = kernels[filter].at((k + first - centre + 0.5) * inverse);
        sum += scratch[k];
    }
    for (int k = 0; k < last - first; k++)
        weights[k] = fixed(sum != 0.0 ? scratch[k] / sum : scratch[k]);
    axis->first[i] = first;
    axis->count[i] = last - first;
}

static void nearest(struct resample_axis *axis, int source, double begin, double scale)
{
    double at = begin + scale * 0.5;

    for (int i = 0; i < axis->size; i++, at += scale) {
        axis->first[i] = (int)at < source ? (int)at : source - 1;
        axis->count[i] = 1;
        axis->weights[(size_t)i * (size_t)axis->taps] = 1 << RESAMPLE_BITS;
    }
}

static void pad(struct resample_axis *axis)
{
    size_t taps = (size_t)axis->taps, last = (size_t)axis->size - 1;

    for (int j = axis->size; j < axis->padded; j++) {
        axis->first[j] = axis->first[last];
        axis->count[j] = axis->count[last];
        memcpy(axis->weights + (size_t)j * taps, axis->weights + last * taps, taps * sizeof *axis->weights);
    }
}

static void find_range(struct resample_axis *axis)
{
    axis->begin = axis->first[0];
    axis->end = 0;
    for (int i = 0; i < axis->size; i++) {
        int end = axis->first[i] + axis->count[i];
        axis->begin = axis->first[i] < axis->begin ? axis->first[i] : axis->begin;
        axis->end = end > axis->end ? end : axis->end;
    }
}

static bool axis_allocate(struct resample_axis *axis, const struct resample_kernels *with)
{
    size_t n = 0, bytes = 0, packed = 0;

    if (!checked_mul((size_t)axis->padded, (size_t)axis->taps, &n) || !checked_mul(n, sizeof *axis->weights, &bytes) ||
        !checked_mul(n, with->packed_bytes, &packed))
        return false;
    axis->first = calloc((size_t)axis->padded, sizeof *axis->first);
    axis->count = calloc((size_t)axis->padded, sizeof *axis->count);
    axis->weights = calloc(n, sizeof *axis->weights);
    axis->packed = packed > 0 ? aligned_new(packed) : NULL;
    return axis->first != NULL && axis->count != NULL && axis->weights != NULL && (packed == 0 || axis->packed != NULL);
}

static int round_up(int n, int to) { return (n + to - 1) / to * to; }

enum infomask_status resample_axis_init(struct resample_axis *axis, const struct resample_kernels *with,
                                        enum image_filter filter, const struct resample_span *span,
                                        struct infomask_error *err)
{
    int size = span->size;
    double scale = span->length / size, support = kernels[filter].support;
    double *scratch;
    int taps = (int)ceil(support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;

    *axis = (struct resample_axis){.size = size,
                                   .padded = round_up(size, RESAMPLE_GROUP),
                                   .taps = round_up(taps, RESAMPLE_GROUP)};
    scratch = malloc((size_t)axis->taps * sizeof *scratch);
    if (scratch == NULL || !axis_allocate(axis, with)) {
        free(scratch);
        resample_axis_fini(axis);
        return error_set(err, INFOMASK_MEMORY, "no memory to resample the photo");
    }
    if (filter == IMAGE_NEAREST)
        nearest(axis, span->source, span->begin, scale);
    else
        for (int i = 0; i < size; i++)
            weigh(axis, i, filter, span->source, span->begin, scale, scratch);
    free(scratch);
    pad(axis);
    find_range(axis);
    if (with->pack != NULL)
        with->pack(axis);
    return INFOMASK_OK;
}

void resample_axis_fini(struct resample_axis *axis)
{
    free(axis->first);
    free(axis->count);
    free(axis->weights);
    aligned_free(axis->packed);
    *axis = (struct resample_axis){0};
}

/* ---- The passes -------------------------------------------------------------------------------------------------- */

static uint8_t clip8(int32_t sum)
{
    int32_t v = sum >> RESAMPLE_BITS;

    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

static void horizontal_row(const uint8_t *row, const struct resample_axis *axis, uint8_t *out)
{
    for (int i = 0; i < axis->size; i++, out += 3) {
        const uint8_t *p = row + (size_t)axis->first[i] * 3;
        const int32_t *w = axis->weights + (size_t)i * (size_t)axis->taps;
        int32_t r = 1 << (RESAMPLE_BITS - 1), g = r, b = r;
        for (int k = 0; k < axis->count[i]; k++, p += 3) {
            r += p[0] * w[k];
            g += p[1] * w[k];
            b += p[2] * w[k];
        }
        out[0] = clip8(r);
        out[1] = clip8(g);
        out[2] = clip8(b);
    }
}

static void horizontal(const uint8_t *const rows[RESAMPLE_ROWS], const struct resample_axis *axis,
                       uint8_t *const out[RESAMPLE_ROWS])
{
    for (int j = 0; j < RESAMPLE_ROWS; j++)
        horizontal_row(rows[j], axis, out[j]);
}

static void vertical(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                     size_t bytes)
{
    const uint8_t *first = rows + (size_t)(axis->first[y] - axis->begin) * stride;
    const int32_t *w = axis->weights + (size_t)y * (size_t)axis->taps;

    for (size_t x = 0; x < bytes; x += RESAMPLE_BLOCK) {
        int32_t sums[RESAMPLE_BLOCK];
        for (int i = 0; i < RESAMPLE_BLOCK; i++)
            sums[i] = 1 << (RESAMPLE_BITS - 1);
        for (int k = 0; k < axis->count[y]; k++) {
            const uint8_t *p = first + (size_t)k * stride + x;
            for (int i = 0; i < RESAMPLE_BLOCK; i++)
                sums[i] += p[i] * w[k];
        }
        for (int i = 0; i < RESAMPLE_BLOCK; i++)
            out[x + (size_t)i] = clip8(sums[i]);
    }
}

const struct resample_kernels resample_portable = {.name = "c", .horizontal = horizontal, .vertical = vertical};

const struct resample_kernels *resample_kernels(void)
{
#if defined(__x86_64__)
    const struct cpu_features *cpu = cpu_features();

    if (cpu->avx512 && cpu->avx512_vnni)
        return &resample_avx512;
    if (cpu->avx2_fma)
        return &resample_avx2;
#endif
    return &resample_portable;
}
