/* A photo decodes what is asked for, when it is asked for: a JPEG for classification alone only its crop, at the
 * smallest scale that the decoder's scaled DCT may give (docs: "Resampling").  The scale is a function of photo and
 * view only, so that every route sees the same pixels. */
#include <stdlib.h>

#include "core/pipeline/pipeline.h"

struct infomask_limits infomask_default_limits(void)
{
    const struct image_limits *d = &image_default_limits;
    return (struct infomask_limits){.max_pixels = d->max_pixels,
                                    .max_side = d->max_side,
                                    .min_side = d->min_side,
                                    .max_scans = d->max_scans,
                                    .decoder_memory = d->decoder_memory};
}

static struct image_limits image_limits_of(const struct infomask_limits *limits)
{
    struct infomask_limits l = limits != NULL ? *limits : infomask_default_limits();
    return (struct image_limits){.max_pixels = l.max_pixels,
                                 .max_side = l.max_side,
                                 .min_side = l.min_side,
                                 .max_scans = l.max_scans,
                                 .decoder_memory = l.decoder_memory,
                                 .expired = l.expired,
                                 .deadline_context = l.deadline_context};
}

enum infomask_status infomask_photo_open(const void *bytes, size_t size, const struct infomask_limits *limits,
                                         struct infomask_photo **out, struct infomask_error *err)
{
    struct infomask_photo *photo = calloc(1, sizeof *photo);
    const struct image_info *info;
    enum infomask_status status;

    if (photo == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the photo");
    photo->bytes = bytes;
    photo->size = size;
    photo->limits = image_limits_of(limits);
    status = image_probe(bytes, size, &photo->limits, &photo->image_info, err);
    if (status != INFOMASK_OK) {
        free(photo);
        return status;
    }
    info = &photo->image_info;
    photo->info = (struct infomask_photo_info){.format = image_format_name(info->format),
                                               .width = info->width,
                                               .height = info->height,
                                               .orientation = info->orientation,
                                               .alpha = info->alpha};
    *out = photo;
    return INFOMASK_OK;
}

static void picture_fini(struct photo_picture *picture)
{
    image_fini(&picture->image);
    *picture = (struct photo_picture){0};
}

void photo_forget(struct infomask_photo *photo)
{
    for (int i = 0; i < 9; i++)
        picture_fini(&photo->scaled[i]);
}

void infomask_photo_close(struct infomask_photo *photo)
{
    if (photo == NULL)
        return;
    photo_forget(photo);
    free(photo);
}

const struct infomask_photo_info *infomask_photo_info(const struct infomask_photo *photo) { return &photo->info; }

void infomask_photo_whole(struct infomask_photo *photo) { photo->whole = true; }

/* Decodes into the slot; region NULL: all of it. */
static enum infomask_status decode(struct infomask_photo *photo, int numerator, const struct image_region *region,
                                   struct pool *pool, struct infomask_timing *timing, struct infomask_error *err)
{
    const struct image_source source = {photo->bytes, photo->size, &photo->limits, pool};
    struct photo_picture *picture = &photo->scaled[numerator];
    double start = clock_ms();
    enum infomask_status status;

    if (region != NULL && region->width == photo->info.width && region->height == photo->info.height)
        region = NULL;
    picture_fini(picture);
    status = image_decode_scaled(&source, numerator, region, &picture->image, err);
    if (status == INFOMASK_OK && region != NULL) {
        picture->partial = true;
        picture->region = *region;
    }
    if (timing != NULL)
        timing->decode += clock_ms() - start;
    return status;
}

enum infomask_status photo_image(struct infomask_photo *photo, int numerator, struct pool *pool,
                                 const struct image **image, struct infomask_timing *timing, struct infomask_error *err)
{
    struct photo_picture *picture = &photo->scaled[numerator];
    enum infomask_status status = INFOMASK_OK;

    if (picture->image.pixels == NULL || picture->partial)
        status = decode(photo, numerator, NULL, pool, timing, err);
    *image = &picture->image;
    return status;
}

/* From where to where one axis of the view reads, with the reach of its filter's taps (3 pixels of the coarser grid,
 * Lanczos' support, and one for rounding). */
static void axis_reach(double start, double length, int out, int size, int *first, int *count)
{
    double scale = length / out, margin = 3.0 * (scale > 1.0 ? scale : 1.0) + 1.0;
    double end = start + length + margin + 1.0;

    *first = start > margin ? (int)(start - margin) : 0;
    *count = (end < size ? (int)end : size) - *first;
}

static struct image_region view_region(const struct infomask_photo *photo, const struct image_view *view)
{
    struct image_region region;

    axis_reach(view->left, view->width, view->out_width, photo->info.width, &region.left, &region.width);
    axis_reach(view->top, view->height, view->out_height, photo->info.height, &region.top, &region.height);
    return region;
}

static bool covers(const struct photo_picture *picture, const struct image_region *want)
{
    const struct image_region *have = &picture->region;

    if (picture->image.pixels == NULL || !picture->partial)
        return picture->image.pixels != NULL;
    return have->left <= want->left && have->top <= want->top &&
           have->left + have->width >= want->left + want->width &&
           have->top + have->height >= want->top + want->height;
}

/* One axis of a view of a photo of that size, in pixels of its decoded picture.  Multiplied before it is divided: a
 * view of the whole side stays one (the quotient of the sizes, rounded, puts its end behind the picture's).
 */
static void rescale(double *start, double *length, int size, int decoded)
{
    *start = *start * decoded / size;
    *length = *length * decoded / size;
}

enum infomask_status pipeline_tensor(struct infomask_session *session, struct infomask_photo *photo,
                                     const struct image_view *view, float *tensor, struct infomask_timing *timing,
                                     struct infomask_error *err)
{
    int numerator = image_view_scale(&photo->image_info, view);
    struct photo_picture *picture = &photo->scaled[numerator];
    struct image_region region = view_region(photo, view);
    struct image_view scaled = *view;
    enum infomask_status status = INFOMASK_OK;
    double start;

    if (!covers(picture, &region))
        status = decode(photo, numerator, photo->whole ? NULL : &region, session->pool, timing, err);
    if (status != INFOMASK_OK)
        return status;
    start = clock_ms();
    rescale(&scaled.left, &scaled.width, photo->info.width, picture->image.width);
    rescale(&scaled.top, &scaled.height, photo->info.height, picture->image.height);
    status = image_tensor(&picture->image, &scaled, &session->model->normalise, session->pool, tensor, err);
    timing->preprocess += clock_ms() - start;
    return status;
}
