/* The hole that a mask makes, and the photo with what is put into it: as an image, or row by row as it is encoded. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/cutout.h"
#include "core/pipeline/filter/fill.h"
#include "core/pipeline/filter/filter.h"

#define LOSSY_QUALITY 90

enum infomask_status filter_no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory to filter the photo");
}

/* ---- The hole ---------------------------------------------------------------------------------------------------- */

double filter_area(const uint8_t *hole, size_t pixels)
{
    size_t set = 0;

    for (size_t i = 0; i < pixels; i++)
        set += hole[i] >= 128;
    return (double)set / (double)pixels;
}

/* The dark line under the object's edge: patches that are copied go on with it. */
static enum infomask_status take_contact(const struct filter *f, uint8_t *hole, struct infomask_error *err)
{
    uint8_t *larger = malloc(f->pixels);
    enum infomask_status status = INFOMASK_OK;

    if (larger == NULL)
        return filter_no_memory(err);
    memcpy(larger, hole, f->pixels);
    status = pixels_shadow(f->image, PIXELS_CONTACT, larger, err);
    if (status == INFOMASK_OK && filter_area(larger, f->pixels) <= fmin(FILL_MOST_MATCHED, f->options->max_area))
        memcpy(hole, larger, f->pixels);
    free(larger);
    return status;
}

enum infomask_status filter_hole(const struct filter *f, const uint8_t *mask, uint8_t *hole, struct infomask_error *err)
{
    int longest = f->image->width > f->image->height ? f->image->width : f->image->height;
    double least, dilate = pipeline_dilate(f->session->model, f->options, &least);
    enum infomask_status status;

    if (filter_area(mask, f->pixels) > FILL_MOST_MATCHED) /* and it only grows */
        dilate = least;
    for (bool again = true; again; dilate = fmax(least, dilate - 1)) {
        status = plan_expired(f->photo, err);
        if (status != INFOMASK_OK)
            return status;
        memcpy(hole, mask, f->pixels);
        status = pixels_dilate(hole, f->image->height, f->image->width, dilate * longest / WORKING_SIDE,
                               f->options->feather, err);
        again = status == INFOMASK_OK && dilate > least && filter_area(hole, f->pixels) > FILL_MOST_MATCHED;
    }
    if (status == INFOMASK_OK && pipeline_grows(f->session->model, f->options))
        status = take_contact(f, hole, err);
    for (size_t i = 0; status == INFOMASK_OK && f->options->keep && i < f->pixels; i++)
        hole[i] = (uint8_t)(255 - hole[i]);
    return status;
}

static int level_of(float saliency) { return (int)(255 * fminf(fmaxf(saliency, 0), 1)); }

/* The level from which on no more than `most` of the masked pixels would be kept, but at least the most salient. */
static enum infomask_status salient_limit(const struct filter *f, double most, int *limit, struct infomask_error *err)
{
    const struct infomask_mask *mask = &f->out->mask;
    size_t count[256] = {0}, sum = 0;
    struct pixels_enlarge enlarge;
    float *row = malloc((size_t)mask->width * sizeof *row);
    enum infomask_status status = pixels_enlarge_init(&enlarge, mask->saliency->values, mask->saliency->h,
                                                      mask->saliency->w, mask->height, mask->width, err);
    int level = 255;

    for (int y = 0; status == INFOMASK_OK && row != NULL && y < mask->height; y++) {
        pixels_enlarge_row(&enlarge, y, row);
        for (int x = 0; x < mask->width; x++)
            if (mask->pixels[(size_t)y * (size_t)mask->width + (size_t)x] != 0)
                count[level_of(row[x])]++;
    }
    for (; level > 0 && (sum == 0 || (double)(sum + count[level]) <= most * (double)f->pixels); level--)
        sum += count[level];
    *limit = level + 1;
    if (status == INFOMASK_OK) {
        pixels_enlarge_fini(&enlarge);
        status = row != NULL ? INFOMASK_OK : filter_no_memory(err);
    }
    free(row);
    return status;
}

/* A first mask over max_area keeps its most salient part only. */
static enum infomask_status trim_mask(struct filter *f, double most, struct infomask_error *err)
{
    struct infomask_mask *mask = &f->out->mask;
    struct pixels_enlarge enlarge;
    float *row;
    int limit;
    enum infomask_status status = salient_limit(f, most, &limit, err);

    if (status != INFOMASK_OK)
        return status;
    row = malloc((size_t)mask->width * sizeof *row);
    status = pixels_enlarge_init(&enlarge, mask->saliency->values, mask->saliency->h, mask->saliency->w, mask->height,
                                 mask->width, err);
    for (int y = 0; status == INFOMASK_OK && row != NULL && y < mask->height; y++) {
        uint8_t *out = mask->pixels + (size_t)y * (size_t)mask->width;
        pixels_enlarge_row(&enlarge, y, row);
        for (int x = 0; x < mask->width; x++)
            out[x] = level_of(row[x]) >= limit ? out[x] : 0;
    }
    if (status == INFOMASK_OK) {
        pixels_enlarge_fini(&enlarge);
        status = row != NULL ? paint_measure(mask, err) : filter_no_memory(err);
    }
    free(row);
    return status;
}

/* The grown mask may take the rim over max_area, so the mask gets what is left. */
enum infomask_status filter_first_hole(struct filter *f, struct infomask_error *err)
{
    struct infomask_mask *mask = &f->out->mask;
    double most = fmin(f->options->max_area, mask->area), before = INFINITY, area, less;
    enum infomask_status status = filter_hole(f, mask->pixels, f->hole, err);

    if (status != INFOMASK_OK || f->options->keep || f->options->mask.given != NULL)
        return status;
    area = filter_area(f->hole, f->pixels);
    for (int tries = 0; status == INFOMASK_OK && area > f->options->max_area && mask->area < before; tries++) {
        before = mask->area;
        less = f->options->max_area / area * 0.97;
        most = tries >= 7 ? 0 : less * (less * most < before ? most : before); /* at least a level less */
        status = trim_mask(f, most, err);
        if (status == INFOMASK_OK)
            status = filter_hole(f, mask->pixels, f->hole, err);
        area = filter_area(f->hole, f->pixels);
    }
    if (status != INFOMASK_OK || area <= f->options->max_area)
        return status;
    f->least_area = area;
    memset(f->hole, 0, f->pixels);
    memset(mask->pixels, 0, f->pixels);
    return paint_measure(mask, err);
}

/* ---- Composing and encoding -------------------------------------------------------------------------------------- */

struct composer {
    const struct image *photo;
    const uint8_t *hole;
    struct fill *fill; /* NULL: transparent */
    struct fill *alpha; /* of a photo with alpha; NULL: what is filled is opaque */
    struct cutout *cutout; /* of mode cutout, else NULL */
    uint8_t *row;       /* [width, 3] */
    uint8_t *alpha_row; /* [width, 3], of alpha */
    int channels;      /* of the result */
};

static uint8_t mixed(unsigned from, unsigned to, unsigned share)
{
    return (uint8_t)((from * (255 - share) + to * share + 127) / 255);
}

/* Without alpha in the result a pixel lies on white, as it does for the network. */
static void compose_pixel(const struct composer *c, const uint8_t *p, unsigned a, size_t x, uint8_t *out)
{
    bool has_alpha = c->photo->channels == 4, flat = has_alpha && c->channels == 3;
    unsigned alpha = has_alpha ? p[3] : 255, filled = c->alpha != NULL && a != 0 ? c->alpha_row[3 * x] : 255;

    for (size_t k = 0; k < 3; k++) {
        unsigned v = flat ? mixed(255, p[k], alpha) : p[k], fill = a == 0 || c->fill == NULL ? 0 : c->row[3 * x + k];
        if (c->fill == NULL)
            out[k] = (uint8_t)(a == 255 ? 0 : v);
        else
            out[k] = a == 0 ? (uint8_t)v : mixed(v, flat ? mixed(255, fill, filled) : fill, a);
    }
    if (c->channels == 3)
        return;
    if (c->fill == NULL)
        out[3] = (uint8_t)(alpha * (255 - a) / 255);
    else
        out[3] = c->alpha != NULL ? mixed(alpha, filled, a) : (uint8_t)(alpha > a ? alpha : a);
}

static void compose_row(void *context, int y, uint8_t *out)
{
    struct composer *c = context;
    size_t w = (size_t)c->photo->width, in = (size_t)c->photo->channels, on = (size_t)c->channels;
    const uint8_t *p = c->photo->pixels + (size_t)y * w * in, *hole = c->hole + (size_t)y * w;
    bool any = c->fill != NULL && (hole[0] != 0 || memcmp(hole, hole + 1, w - 1) != 0);

    if (c->cutout != NULL) {
        cutout_row(c->cutout, y, out);
        return;
    }
    if (any)
        fill_row(c->fill, y, c->row);
    if (any && c->alpha != NULL)
        fill_row(c->alpha, y, c->alpha_row);
    for (size_t x = 0; x < w; x++, p += in, out += on)
        compose_pixel(c, p, hole[x], x, out);
}

/* What was transparent beside the hole is so in it; only a colour that was asked for is opaque. */
static enum infomask_status fill_alpha(struct composer *c, const struct fill_options *of, struct infomask_error *err)
{
    struct fill_options fill = {.kind = of->kind == FILL_PIXELATE ? FILL_PIXELATE : FILL_DIFFUSE, .pixels = of->pixels,
                                .alpha = true};

    if (c->photo->channels != 4 || of->kind == FILL_COLOR)
        return INFOMASK_OK;
    c->alpha_row = malloc((size_t)c->photo->width * 3);
    return c->alpha_row == NULL ? filter_no_memory(err) : fill_create(&c->alpha, c->photo, c->hole, &fill, err);
}

/* The hole is what is left out. */
static enum infomask_status cut_out(struct composer *c, const struct filter *f, const uint8_t *hole,
                                    struct infomask_error *err)
{
    uint8_t *object = malloc(f->pixels);
    enum infomask_status status;

    if (object == NULL)
        return filter_no_memory(err);
    for (size_t i = 0; i < f->pixels; i++)
        object[i] = (uint8_t)(255 - hole[i]);
    status = cutout_create(&c->cutout, f->image, object, f->options->mask.given != NULL, err);
    free(object);
    return status;
}

static enum infomask_status composer_init(struct composer *c, const struct filter *f, const uint8_t *hole, size_t most,
                                          struct infomask_error *err)
{
    const struct infomask_filter_options *options = f->options;
    bool transparent = pipeline_fill_of(f->session->model, options) == INFOMASK_TRANSPARENT;
    struct fill_options fill = pipeline_fill(f->session, f->photo, options);
    enum infomask_status status;

    fill.pixels = most;
    *c = (struct composer){.photo = f->image, .hole = hole};
    c->channels = (f->image->channels == 4 || transparent) && options->format != INFOMASK_JPEG ? 4 : 3;
    c->row = malloc((size_t)f->image->width * 3);
    if (c->row == NULL)
        return filter_no_memory(err);
    if (options->cutout)
        return cut_out(c, f, hole, err);
    if (transparent)
        return INFOMASK_OK;
    status = fill_create(&c->fill, f->image, hole, &fill, err);
    return status == INFOMASK_OK ? fill_alpha(c, &fill, err) : status;
}

static void composer_fini(struct composer *c)
{
    fill_free(c->fill);
    fill_free(c->alpha);
    cutout_free(c->cutout);
    free(c->row);
    free(c->alpha_row);
}

static enum infomask_status encode(struct filter *f, int width, int height, int channels, image_row *row, void *context,
                                   struct infomask_error *err)
{
    struct infomask_encoded *out = &f->out->image;
    const struct image *image = f->image;
    struct image_png png = {.width = width, .height = height, .channels = channels, .bits = 8, .icc = image->icc,
                            .icc_size = image->icc_size};
    struct image_webp webp = {.width = width, .height = height, .channels = channels, .quality = LOSSY_QUALITY,
                              .icc = image->icc, .icc_size = image->icc_size};
    struct image_jpeg jpeg = {.width = width, .height = height, .quality = LOSSY_QUALITY, .icc = image->icc,
                              .icc_size = image->icc_size};

    infomask_encoded_fini(out);
    out->content_type = infomask_format_type(f->options->format);
    switch (f->options->format) {
    case INFOMASK_JPEG: return image_encode_jpeg(&jpeg, row, context, &out->data, &out->size, err);
    case INFOMASK_WEBP: return image_encode_webp(&webp, row, context, &out->data, &out->size, err);
    case INFOMASK_PNG: break;
    }
    return image_encode_png(&png, row, context, &out->data, &out->size, err);
}

enum infomask_status filter_encode(struct filter *f, struct infomask_error *err)
{
    struct composer c = {0};
    double start = clock_ms();
    enum infomask_status status = composer_init(&c, f, f->hole, 0, err);

    f->out->timing.fill += clock_ms() - start;
    start = clock_ms();
    pipeline_note_fill(f->session->model, c.fill, f->options, f->out);
    f->out->box = (struct infomask_box){0, 0, f->image->width, f->image->height};
    if (status == INFOMASK_OK)
        status = encode(f, f->image->width, f->image->height, c.channels, compose_row, &c, err);
    composer_fini(&c);
    f->out->timing.encode += clock_ms() - start;
    return status;
}

/* ---- Trimming ---------------------------------------------------------------------------------------------------- */

struct window {
    struct composer *composer;
    struct infomask_box box;
    uint8_t *row; /* [photo width, 4] */
};

static void window_row(void *context, int y, uint8_t *out)
{
    struct window *window = context;

    compose_row(window->composer, window->box.y + y, window->row);
    memcpy(out, window->row + 4 * (size_t)window->box.x, 4 * (size_t)window->box.width);
}

/* The box of what is not transparent; all of the photo where everything is. */
static void find_box(struct window *window)
{
    const struct image *photo = window->composer->photo;
    int x0 = photo->width, x1 = -1, y0 = photo->height, y1 = -1;

    for (int y = 0; y < photo->height; y++) {
        compose_row(window->composer, y, window->row);
        for (int x = 0; x < photo->width; x++)
            if (window->row[4 * (size_t)x + 3] != 0) {
                x0 = x < x0 ? x : x0;
                x1 = x > x1 ? x : x1;
                y0 = y < y0 ? y : y0;
                y1 = y;
            }
    }
    window->box = x1 < 0 ? (struct infomask_box){0, 0, photo->width, photo->height}
                         : (struct infomask_box){x0, y0, x1 - x0 + 1, y1 - y0 + 1};
}

/* The verified cut-out again, cropped. */
enum infomask_status filter_trim(struct filter *f, struct infomask_error *err)
{
    struct composer c = {0};
    struct window window = {.composer = &c, .row = malloc(4 * (size_t)f->image->width)};
    double start = clock_ms();
    enum infomask_status status = window.row != NULL ? composer_init(&c, f, f->hole, 0, err) : filter_no_memory(err);

    if (status == INFOMASK_OK) {
        find_box(&window);
        f->out->trimmed = true;
        f->out->box = window.box;
        status = encode(f, window.box.width, window.box.height, c.channels, window_row, &window, err);
    }
    composer_fini(&c);
    free(window.row);
    f->out->timing.encode += clock_ms() - start;
    return status;
}

enum infomask_status filter_compose(const struct filter *f, const uint8_t *hole, size_t pixels, struct image *image,
                                    struct infomask_error *err)
{
    struct composer c = {0};
    enum infomask_status status = composer_init(&c, f, hole, pixels, err);

    if (status == INFOMASK_OK)
        status = image_init(image, f->image->width, f->image->height, c.channels, err);
    for (int y = 0; y < f->image->height && status == INFOMASK_OK; y++)
        compose_row(&c, y, image->pixels + (size_t)y * (size_t)f->image->width * (size_t)c.channels);
    composer_fini(&c);
    return status;
}
