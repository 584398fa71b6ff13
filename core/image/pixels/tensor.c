/* Photo and view to 8-bit pixels or to the network's tensor.
 *
 * Shapes: the needed columns of the needed rows of the photo [H, W, C] go through the horizontal pass into `middle`
 * [rows, out_width, 3] (8 bits), then through the vertical pass row by row, each row being normalised while it is hot.
 * Both loops are cut into chunks of rows whose number depends on the shapes only.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/base/pool.h"
#include "core/image/image.h"
#include "core/image/pixels/resample.h"

enum { MIDDLE_CHUNK = 16, OUT_CHUNK = 8 };

struct resampling {
    const struct image *image;
    const struct resample_kernels *kernels;
    struct resample_axis x, y;
    size_t row_bytes, stride; /* of a result row: used, padded */
    uint8_t *middle;
    uint8_t *scratch; /* [threads, scratch_bytes]: RGB source rows, then a result row */
    size_t scratch_bytes, source_bytes;
    uint8_t *out_bytes;  /* either these */
    float *out;          /* or these, by */
    const struct image_normalise *normalise;
    float *mean, *factor; /* [row_bytes], one a sample; factor multiplies if `exact`, else divides */
    bool exact;
};

struct image_view image_view_crop(int width, int height, double crop, int out_width, int out_height)
{
    int side = (int)floor(crop * (width < height ? width : height));

    side = side < 1 ? 1 : side;
    return (struct image_view){floor((width - side) / 2.0), floor((height - side) / 2.0), side, side, out_width,
                               out_height, IMAGE_BICUBIC};
}

struct image_view image_view_whole(int width, int height, int out_width, int out_height)
{
    return (struct image_view){0, 0, width, height, out_width, out_height, IMAGE_BICUBIC};
}

int image_view_scale(const struct image_info *info, const struct image_view *view)
{
    /* the decoder's other scales have no vector code and are no faster than the next larger of these */
    static const int numerators[] = {1, 2, 4};

    if (info->format != IMAGE_JPEG)
        return 8;
    for (size_t i = 0; i < sizeof numerators / sizeof *numerators; i++)
        if (view->width * numerators[i] / 8 >= 2.0 * view->out_width &&
            view->height * numerators[i] / 8 >= 2.0 * view->out_height)
            return numerators[i];
    return 8;
}

struct image_view image_view_scaled(const struct image_view *view, int numerator)
{
    struct image_view scaled = *view;

    scaled.left = view->left * numerator / 8;
    scaled.top = view->top * numerator / 8;
    scaled.width = view->width * numerator / 8;
    scaled.height = view->height * numerator / 8;
    return scaled;
}

static struct resample_span columns_of(const struct image_view *view, int source)
{
    return (struct resample_span){source, view->left, view->width, view->out_width};
}

static struct resample_span rows_of(const struct image_view *view, int source)
{
    return (struct resample_span){source, view->top, view->height, view->out_height};
}

/* What the taps reach: the filter's support in results, or in pixels of the scaled photo where it enlarges, and a pixel
 * of that photo more for the rounding of both. */
static void axis_region(double support, const struct resample_span *span, int numerator, int *first, int *size)
{
    double pixel = 8.0 / numerator, reach = support * fmax(span->length / span->size, pixel) + pixel;
    double low = fmax(floor(span->begin - reach), 0),
           high = fmin(ceil(span->begin + span->length + reach), span->source);

    *first = (int)low;
    *size = (int)(high - low);
}

struct image_region image_view_region(const struct image_info *info, const struct image_view *view, int numerator)
{
    double support = resample_support(view->filter);
    const struct resample_span x = columns_of(view, info->width), y = rows_of(view, info->height);
    struct image_region region;

    axis_region(support, &x, numerator, &region.left, &region.width);
    axis_region(support, &y, numerator, &region.top, &region.height);
    return region;
}

enum infomask_status image_decode_view(const struct image_source *source, const struct image_info *info,
                                       const struct image_view *view, struct image *image, struct image_view *scaled,
                                       struct infomask_error *err)
{
    int numerator = image_view_scale(info, view);
    struct image_region region = image_view_region(info, view, numerator);

    *scaled = image_view_scaled(view, numerator);
    return image_decode_scaled(source, numerator, &region, image, err);
}

static enum infomask_status check(const struct image *image, const struct image_view *view, struct infomask_error *err)
{
    const int most = 1 << 15;

    if (image->pixels == NULL || (image->channels != 3 && image->channels != 4))
        return error_set(err, INFOMASK_ARGUMENT, "only RGB and RGBA photos are resampled");
    if (!(view->left >= 0 && view->top >= 0 && view->width > 0 && view->height > 0 &&
          view->left + view->width <= image->width && view->top + view->height <= image->height))
        return error_set(err, INFOMASK_ARGUMENT, "the view lies outside the photo of %d x %d pixels", image->width,
                         image->height);
    if (view->out_width < 1 || view->out_height < 1 || view->out_width > most || view->out_height > most)
        return error_set(err, INFOMASK_ARGUMENT, "a photo is resampled to 1 to %d pixels a side", most);
    return INFOMASK_OK;
}

static size_t padded(size_t bytes) { return (bytes + RESAMPLE_BLOCK - 1) / RESAMPLE_BLOCK * RESAMPLE_BLOCK; }

static enum infomask_status prepare(struct resampling *r, const struct image_view *view, int threads,
                                    struct infomask_error *err)
{
    const struct resample_span x = columns_of(view, r->image->width), y = rows_of(view, r->image->height);
    enum infomask_status status;
    size_t middle = 0, scratch = 0;

    r->kernels = resample_kernels();
    status = resample_axis_init(&r->x, r->kernels, view->filter, &x, err);
    if (status == INFOMASK_OK)
        status = resample_axis_init(&r->y, r->kernels, view->filter, &y, err);
    if (status != INFOMASK_OK)
        return status;
    r->row_bytes = (size_t)view->out_width * 3;
    r->stride = padded((size_t)r->x.padded * 3 + 4);
    r->source_bytes = padded((size_t)r->image->width * 3 + RESAMPLE_OVERREAD);
    r->scratch_bytes = aligned_round(r->source_bytes * RESAMPLE_ROWS + r->stride);
    if (checked_mul(r->stride, (size_t)(r->y.end - r->y.begin), &middle) &&
        checked_mul(r->scratch_bytes, (size_t)threads, &scratch)) {
        r->middle = aligned_new(middle);
        r->scratch = aligned_new(scratch);
    }
    if (r->middle == NULL || r->scratch == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to resample the photo");
    return INFOMASK_OK;
}

static void release(struct resampling *r)
{
    resample_axis_fini(&r->x);
    resample_axis_fini(&r->y);
    aligned_free(r->middle);
    aligned_free(r->scratch);
    aligned_free(r->mean);
}

/* RGBA over white, rounded to nearest; columns [begin, end) */
static void over_white(const uint8_t *rgba, uint8_t *rgb, int begin, int end)
{
    for (int i = begin; i < end; i++) {
        unsigned alpha = rgba[i * 4 + 3], white = 255 * (255 - alpha) + 128;
        for (int c = 0; c < 3; c++) {
            unsigned v = rgba[i * 4 + c] * alpha + white;
            rgb[i * 3 + c] = (uint8_t)((v + (v >> 8)) >> 8);
        }
    }
}

/* Source rows y to y + RESAMPLE_ROWS - 1, those from `last` on being row last - 1 once more */
static void horizontal_rows(const struct resampling *r, int y, int last, uint8_t *scratch)
{
    size_t row_bytes = (size_t)r->image->width * (size_t)r->image->channels;
    const uint8_t *rows[RESAMPLE_ROWS];
    uint8_t *out[RESAMPLE_ROWS];

    for (int j = 0; j < RESAMPLE_ROWS; j++, scratch += r->source_bytes) {
        int row = y + j < last ? y + j : last - 1;
        rows[j] = r->image->pixels + (size_t)row * row_bytes;
        out[j] = r->middle + r->stride * (size_t)(row - r->y.begin);
        if (r->image->channels == 4) {
            over_white(rows[j], scratch, r->x.begin, r->x.end);
            rows[j] = scratch;
        }
    }
    r->kernels->horizontal(rows, &r->x, out);
}

static void horizontal_chunk(void *context, int chunk, int worker)
{
    const struct resampling *r = context;
    int y = r->y.begin + chunk * MIDDLE_CHUNK, last = y + MIDDLE_CHUNK < r->y.end ? y + MIDDLE_CHUNK : r->y.end;

    for (; y < last; y += RESAMPLE_ROWS)
        horizontal_rows(r, y, last, r->scratch + r->scratch_bytes * (size_t)worker);
}

/* ITU-R 601, as Pillow rounds it */
static void to_gray(uint8_t *row, int width)
{
    for (int i = 0; i < width; i++) {
        const uint8_t *p = row + i * 3;
        row[i] = (uint8_t)((p[0] * 19595U + p[1] * 38470U + p[2] * 7471U + 0x8000) >> 16);
    }
}

static void to_bgr(uint8_t *row, int width)
{
    for (int i = 0; i < width; i++, row += 3) {
        uint8_t red = row[0];
        row[0] = row[2];
        row[2] = red;
    }
}

static void normalise_row(const struct resampling *r, uint8_t *row, float *out, size_t n)
{
    const float *mean = r->mean, *factor = r->factor;

    if (r->normalise->color == IMAGE_GRAY)
        to_gray(row, r->x.size);
    else if (r->normalise->color == IMAGE_BGR)
        to_bgr(row, r->x.size);
    if (r->exact)
        for (size_t i = 0; i < n; i++)
            out[i] = ((float)row[i] - mean[i]) * factor[i];
    else
        for (size_t i = 0; i < n; i++)
            out[i] = ((float)row[i] - mean[i]) / factor[i];
}

static void vertical_chunk(void *context, int chunk, int worker)
{
    struct resampling *r = context;
    int y = chunk * OUT_CHUNK, last = y + OUT_CHUNK < r->y.size ? y + OUT_CHUNK : r->y.size;
    uint8_t *row = r->scratch + r->scratch_bytes * (size_t)worker + r->source_bytes * RESAMPLE_ROWS;
    size_t n = r->normalise != NULL && r->normalise->color == IMAGE_GRAY ? r->row_bytes / 3 : r->row_bytes;

    for (; y < last; y++) {
        r->kernels->vertical(r->middle, r->stride, &r->y, y, row, r->row_bytes);
        if (r->normalise != NULL)
            normalise_row(r, row, r->out + n * (size_t)y, n);
        else
            memcpy(r->out_bytes + n * (size_t)y, row, n);
    }
}

static int chunks(int rows, int each) { return (rows + each - 1) / each; }

static void resample(struct resampling *r, struct pool *pool)
{
    pool_for(pool, chunks(r->y.end - r->y.begin, MIDDLE_CHUNK), horizontal_chunk, r);
    pool_for(pool, chunks(r->y.size, OUT_CHUNK), vertical_chunk, r);
}

enum infomask_status image_resample(const struct image *image, const struct image_view *view, uint8_t *out,
                                    struct infomask_error *err)
{
    struct resampling r = {.image = image, .out_bytes = out};
    enum infomask_status status = check(image, view, err);

    if (status != INFOMASK_OK)
        return status;
    status = prepare(&r, view, 1, err);
    if (status == INFOMASK_OK)
        resample(&r, NULL);
    release(&r);
    return status;
}

static bool power_of_two(float x)
{
    int exponent;

    return isnormal(x) && fabsf(frexpf(x, &exponent)) == 0.5F && isnormal(1 / x);
}

/* One mean and divisor a sample of a row, so that the compiler vectorises the loop over a row.  A multiplication by
 * the reciprocal of a power of two gives the division's bits. */
static enum infomask_status prepare_normalise(struct resampling *r, struct infomask_error *err)
{
    const struct image_normalise *n = r->normalise;
    size_t channels = n->color == IMAGE_GRAY ? 1 : 3;

    r->mean = aligned_new(r->row_bytes * 2 * sizeof *r->mean);
    if (r->mean == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to normalise the photo");
    r->factor = r->mean + r->row_bytes;
    r->exact = true;
    for (size_t c = 0; c < channels; c++)
        r->exact = r->exact && power_of_two(n->std[c]);
    for (size_t i = 0; i < r->row_bytes; i++) {
        r->mean[i] = n->mean[i % channels];
        r->factor[i] = r->exact ? 1 / n->std[i % channels] : n->std[i % channels];
    }
    return INFOMASK_OK;
}

enum infomask_status image_tensor(const struct image *image, const struct image_view *view,
                                  const struct image_normalise *normalise, struct pool *pool, float *out,
                                  struct infomask_error *err)
{
    struct resampling r = {.image = image, .out = out, .normalise = normalise};
    enum infomask_status status = check(image, view, err);

    if (status != INFOMASK_OK)
        return status;
    status = prepare(&r, view, pool_threads(pool), err);
    if (status == INFOMASK_OK)
        status = prepare_normalise(&r, err);
    if (status == INFOMASK_OK)
        resample(&r, pool);
    release(&r);
    return status;
}
