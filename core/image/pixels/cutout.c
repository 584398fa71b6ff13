/* In the matting equation I = a F + (1 - a) B alpha comes from matting.c, B from the nearest sure background, and F
 * is what is left, the more held to the nearest sure object the less of it is seen. */
#include "core/image/cutout.h"

#include <math.h>
#include <stdlib.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/pixels.h"
#include "core/image/pixels/matting.h"

#define LONGEST 640
#define COLOURS 260 /* of the longest side: how far around sure colours are looked for, half of it */
#define GIVEN_EDGE 160 /* the band in which alpha is found, of the longest side: along a mask of somebody's own */
#define FOUND_EDGE 70 /* and along one of ours, which may be off by some pixels */
#define SURE 0.95F
#define MAPS 7 /* alpha, F, B */

struct cutout {
    const struct image *photo;
    int h, w;
    float *map[MAPS]; /* [h, w] colours in 0..255 */
    struct pixels_enlarge enlarge[MAPS];
    float *row[MAPS]; /* [photo width] */
};

/* Means over the blocks of the photo that fall on each pixel of the copy; rgb in 0..1. */
static void reduce(const struct cutout *c, const uint8_t *mask, float *rgb, float *alpha)
{
    size_t channels = (size_t)c->photo->channels, wide = (size_t)c->photo->width;

    for (int y = 0; y < c->h; y++)
        for (int x = 0; x < c->w; x++) {
            int y0 = (int)((int64_t)y * c->photo->height / c->h),
                y1 = (int)((int64_t)(y + 1) * c->photo->height / c->h);
            int x0 = (int)((int64_t)x * c->photo->width / c->w), x1 = (int)((int64_t)(x + 1) * c->photo->width / c->w);
            size_t at = (size_t)y * (size_t)c->w + (size_t)x;
            float sum[4] = {0}, n = (float)(y1 - y0) * (float)(x1 - x0) * 255.0F;
            for (int v = y0; v < y1; v++)
                for (size_t k = (size_t)v * wide + (size_t)x0, end = (size_t)v * wide + (size_t)x1; k < end; k++) {
                    for (size_t i = 0; i < 3; i++)
                        sum[i] += (float)c->photo->pixels[k * channels + i];
                    sum[3] += (float)mask[k];
                }
            for (size_t i = 0; i < 3; i++)
                rgb[3 * at + i] = sum[i] / n;
            alpha[at] = sum[3] / n;
        }
}

/* The mean colour, times 255, of the pixels around that are surely object (or surely background); the own where none
 * is. */
static void sure_colours(const struct cutout *c, const float *rgb, bool object, int radius, float *in, float *out,
                         double *scratch)
{
    size_t n = (size_t)c->h * (size_t)c->w;
    float *const *to = c->map + (object ? 1 : 4);

    for (size_t i = 0; i < n; i++) {
        float a = c->map[0][i], one = (object ? a >= SURE : a <= 1 - SURE) ? 1.0F : 0.0F;
        for (size_t k = 0; k < 3; k++)
            in[4 * i + k] = one * rgb[3 * i + k];
        in[4 * i + 3] = one;
    }
    pixels_box4(in, c->h, c->w, radius, out, scratch);
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < 3; k++)
            to[k][i] = 255.0F * (out[4 * i + 3] > 1e-3F ? out[4 * i + k] / out[4 * i + 3] : rgb[3 * i + k]);
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the cut-out");
}

static enum infomask_status make_maps(struct cutout *c, const uint8_t *mask, bool given, struct infomask_error *err)
{
    size_t n = (size_t)c->h * (size_t)c->w;
    int longest = c->h > c->w ? c->h : c->w, radius = longest / COLOURS + 1;
    float *rgb = aligned_new(3 * n * sizeof *rgb), *in = aligned_new(4 * n * sizeof *in),
          *out = aligned_new(4 * n * sizeof *out);
    double *scratch = aligned_new(pixels_box_scratch(c->w, 2 * radius) * sizeof *scratch);
    enum infomask_status status = INFOMASK_OK;

    if (rgb == NULL || in == NULL || out == NULL || scratch == NULL)
        status = no_memory(err);
    if (status == INFOMASK_OK) {
        reduce(c, mask, rgb, c->map[0]);
        status = matting_solve(rgb, c->h, c->w, longest / (given ? GIVEN_EDGE : FOUND_EDGE) + 1, c->map[0], err);
    }
    if (status == INFOMASK_OK) {
        sure_colours(c, rgb, true, 2 * radius, in, out, scratch);
        sure_colours(c, rgb, false, 2 * radius, in, out, scratch);
    }
    aligned_free(rgb);
    aligned_free(in);
    aligned_free(out);
    aligned_free(scratch);
    return status;
}

enum infomask_status cutout_create(struct cutout **out, const struct image *photo, const uint8_t *mask, bool given,
                                   struct infomask_error *err)
{
    struct cutout *c = calloc(1, sizeof *c);
    double longest = photo->width > photo->height ? photo->width : photo->height, scale = fmin(1, LONGEST / longest);
    enum infomask_status status = c != NULL ? INFOMASK_OK : no_memory(err);

    if (c == NULL)
        return status;
    c->photo = photo;
    c->h = (int)fmax(1, floor(photo->height * scale));
    c->w = (int)fmax(1, floor(photo->width * scale));
    for (int i = 0; i < MAPS && status == INFOMASK_OK; i++) {
        c->map[i] = aligned_new((size_t)c->h * (size_t)c->w * sizeof(float));
        c->row[i] = malloc((size_t)photo->width * sizeof(float));
        if (c->map[i] == NULL || c->row[i] == NULL)
            status = no_memory(err);
    }
    if (status == INFOMASK_OK)
        status = make_maps(c, mask, given, err);
    for (int i = 0; i < MAPS && status == INFOMASK_OK; i++)
        status = pixels_enlarge_init(&c->enlarge[i], c->map[i], c->h, c->w, photo->height, photo->width, err);
    if (status != INFOMASK_OK) {
        cutout_free(c);
        return status;
    }
    *out = c;
    return INFOMASK_OK;
}

void cutout_free(struct cutout *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < MAPS; i++) {
        pixels_enlarge_fini(&c->enlarge[i]);
        aligned_free(c->map[i]);
        free(c->row[i]);
    }
    free(c);
}

static uint8_t object_colour(const struct cutout *c, int x, int k, float value)
{
    float a = c->row[0][x], own = (value - (1 - a) * c->row[4 + k][x]) / a;

    own = a * fminf(fmaxf(own, 0), 255) + (1 - a) * c->row[1 + k][x];
    return (uint8_t)lrintf(fminf(fmaxf(own, 0), 255));
}

void cutout_row(struct cutout *c, int y, uint8_t *rgba)
{
    size_t channels = (size_t)c->photo->channels;
    const uint8_t *p = c->photo->pixels + (size_t)y * (size_t)c->photo->width * channels;

    for (int i = 0; i < MAPS; i++)
        pixels_enlarge_row(&c->enlarge[i], y, c->row[i]);
    for (int x = 0; x < c->photo->width; x++, p += channels, rgba += 4) {
        float alpha = c->row[0][x] * (channels == 4 ? (float)p[3] : 255.0F);
        bool sure = c->row[0][x] >= SURE;
        rgba[3] = (uint8_t)lrintf(alpha);
        for (int k = 0; k < 3; k++)
            rgba[k] = rgba[3] == 0 ? 0 : sure ? p[k] : object_colour(c, x, k, p[k]);
    }
}

void cutout_alpha_row(struct cutout *c, int y, uint8_t *alpha)
{
    pixels_enlarge_row(&c->enlarge[0], y, c->row[0]);
    for (int x = 0; x < c->photo->width; x++)
        alpha[x] = (uint8_t)lrintf(255 * c->row[0][x]);
}
