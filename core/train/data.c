/* Labelled 8-bit pictures: the IDX format of MNIST (also gzip'ed, as it is published), and augmentation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "core/base/checked.h"
#include "core/base/random.h"
#include "core/train/fit.h"

#define IDX_LIMIT ((size_t)1 << 31)

void infomask_pictures_fini(struct infomask_pictures *pictures)
{
    free(pictures->pixels);
    free(pictures->labels);
    *pictures = (struct infomask_pictures){0};
}

/* An IDX file of unsigned bytes: 0 0 8 rank, then the dimensions as big-endian 32-bit, then the bytes. */
struct idx {
    int rank;
    size_t dims[4], count;
    uint8_t *bytes;
};

static enum infomask_status idx_header(gzFile file, struct idx *idx, struct infomask_error *err)
{
    uint8_t head[4], dim[4];

    if (gzread(file, head, 4) != 4 || head[0] != 0 || head[1] != 0 || head[2] != 8 || head[3] < 1 || head[3] > 4)
        return error_set(err, INFOMASK_BAD_DATA, "this is not an IDX file of bytes with 1 to 4 dimensions");
    idx->rank = head[3];
    idx->count = 1;
    for (int i = 0; i < idx->rank; i++) {
        if (gzread(file, dim, 4) != 4)
            return error_set(err, INFOMASK_BAD_DATA, "the IDX file is truncated");
        idx->dims[i] = (size_t)dim[0] << 24 | (size_t)dim[1] << 16 | (size_t)dim[2] << 8 | dim[3];
        if (idx->dims[i] == 0 || !checked_mul(idx->count, idx->dims[i], &idx->count) || idx->count >= IDX_LIMIT)
            return error_set(err, INFOMASK_BAD_DATA, "the IDX file's dimensions are 0 or more than 2 GiB");
    }
    return INFOMASK_OK;
}

static enum infomask_status idx_read(const char *path, struct idx *idx, struct infomask_error *err)
{
    gzFile file = gzopen(path, "rb"); /* reads plain files as they are */
    enum infomask_status status;

    *idx = (struct idx){0};
    if (file == NULL)
        return error_set(err, INFOMASK_IO, "the IDX file cannot be opened");
    status = idx_header(file, idx, err);
    if (status == INFOMASK_OK) {
        idx->bytes = malloc(idx->count);
        if (idx->bytes == NULL)
            status = error_set(err, INFOMASK_MEMORY, "no memory for %zu bytes of data", idx->count);
        else if (gzread(file, idx->bytes, (unsigned)idx->count) != (int)idx->count)
            status = error_set(err, INFOMASK_BAD_DATA, "the IDX file is truncated");
    }
    (void)gzclose(file);
    if (status != INFOMASK_OK) {
        free(idx->bytes);
        idx->bytes = NULL;
    }
    return status;
}

static enum infomask_status take_labels(const struct idx *idx, struct infomask_pictures *pictures,
                                        struct infomask_error *err)
{
    if (idx->rank != 1 || idx->count != (size_t)pictures->count)
        return error_set(err, INFOMASK_BAD_DATA, "there are %d images, but %zu labels", pictures->count, idx->count);
    pictures->labels = malloc(idx->count * sizeof *pictures->labels);
    if (pictures->labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    for (size_t i = 0; i < idx->count; i++) {
        pictures->labels[i] = idx->bytes[i];
        if (idx->bytes[i] >= pictures->classes)
            pictures->classes = idx->bytes[i] + 1;
    }
    return INFOMASK_OK;
}

enum infomask_status infomask_pictures_read(const char *images, const char *labels, struct infomask_pictures *pictures,
                                            struct infomask_error *err)
{
    struct idx pixels, names = {0};
    enum infomask_status status = idx_read(images, &pixels, err);

    *pictures = (struct infomask_pictures){0};
    if (status != INFOMASK_OK)
        return status;
    pictures->pixels = pixels.bytes;
    if (pixels.rank < 3 || pixels.dims[1] > 4096 || pixels.dims[2] > 4096)
        status = error_set(err, INFOMASK_BAD_DATA, "images have 3 or 4 dimensions and sides of at most 4096");
    if (status == INFOMASK_OK) {
        pictures->count = (int)pixels.dims[0];
        pictures->height = (int)pixels.dims[1];
        pictures->width = (int)pixels.dims[2];
        pictures->channels = pixels.rank == 4 ? (int)pixels.dims[3] : 1;
        status = idx_read(labels, &names, err);
    }
    if (status == INFOMASK_OK)
        status = take_labels(&names, pictures, err);
    free(names.bytes);
    if (status != INFOMASK_OK)
        infomask_pictures_fini(pictures);
    return status;
}

/* ---- Splitting --------------------------------------------------------------------------------------------------- */

static size_t picture_bytes(const struct infomask_pictures *p)
{
    return (size_t)p->height * (size_t)p->width * (size_t)p->channels;
}

/* out[i]: the first of each class in a drawn order, as many as its share. */
static void mark(const struct infomask_pictures *p, double share, const int *order, int *left, bool *out)
{
    for (int i = 0; i < p->count; i++)
        left[p->labels[i]]++;
    for (int k = 0; k < p->classes; k++)
        left[k] = (int)(share * left[k] + 0.5);
    for (int i = 0; i < p->count; i++)
        out[order[i]] = left[p->labels[order[i]]]-- > 0;
}

/* What is marked goes to the end of `held_out`, the rest moves together; both in their old order. */
static void part(struct infomask_pictures *p, struct infomask_pictures *held_out, const bool *out)
{
    size_t item = picture_bytes(p);
    int kept = 0;

    for (int i = 0; i < p->count; i++) {
        struct infomask_pictures *to = out[i] ? held_out : p;
        int at = out[i] ? held_out->count++ : kept++;
        memmove(to->pixels + (size_t)at * item, p->pixels + (size_t)i * item, item);
        to->labels[at] = p->labels[i];
    }
    p->count = kept;
}

enum infomask_status infomask_pictures_split(struct infomask_pictures *pictures, double share, uint64_t seed,
                                             struct infomask_pictures *held_out, struct infomask_error *err)
{
    size_t n = (size_t)pictures->count;
    int *order = malloc((n + 1) * sizeof *order), *left = calloc((size_t)pictures->classes + 1, sizeof *left);
    bool *out = calloc(n + 1, sizeof *out);
    size_t most = (size_t)(share * (double)n) + (size_t)pictures->classes + 1;
    enum infomask_status status = INFOMASK_OK;

    *held_out = *pictures;
    held_out->count = 0;
    held_out->pixels = malloc(most * picture_bytes(pictures));
    held_out->labels = malloc(most * sizeof *held_out->labels);
    if (order == NULL || left == NULL || out == NULL || held_out->pixels == NULL || held_out->labels == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory to split %zu pictures", n);
        infomask_pictures_fini(held_out);
    } else {
        train_shuffle(pictures->count, seed, UINT64_C(0xfffffffe), order);
        mark(pictures, share, order, left, out);
        part(pictures, held_out, out);
    }
    free(order);
    free(left);
    free(out);
    return status;
}

/* ---- What the loop sees ------------------------------------------------------------------------------------------ */

enum infomask_status train_data_of(const struct infomask_pictures *pictures, struct train_data *data,
                                   struct infomask_error *err)
{
    size_t n = (size_t)pictures->count;

    *data = (struct train_data){.count = pictures->count,
                                .classes = pictures->classes,
                                .shape = {pictures->height, pictures->width, pictures->channels},
                                .pixels = pictures->pixels};
    if (pictures->count < 1)
        return error_set(err, INFOMASK_ARGUMENT, "there are no pictures");
    data->labels = malloc(n * sizeof *data->labels);
    if (data->labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    memcpy(data->labels, pictures->labels, n * sizeof *data->labels);
    return INFOMASK_OK;
}

void train_data_free(struct train_data *data)
{
    free(data->labels);
    *data = (struct train_data){0};
}

/* The inverse map of a rotation and scaling about the centre, then a shift: output pixel -> input position. */
struct affine {
    double xx, xy, yx, yy, dx, dy;
    bool flip;
};

static double between(struct random_stream *random, double range) { return (2 * random_unit(random) - 1) * range; }

static struct affine draw_affine(const struct train_augment *augment, struct random_stream *random)
{
    double angle = between(random, augment->rotate) * M_PI / 180, scale = 1 / (1 + between(random, augment->scale));
    struct affine a = {.xx = cos(angle) * scale, .xy = -sin(angle) * scale, .yx = sin(angle) * scale,
                       .yy = cos(angle) * scale};

    a.dx = between(random, augment->shift);
    a.dy = between(random, augment->shift);
    if (augment->rotate <= 0 && augment->scale <= 0) { /* whole pixels keep the picture sharp */
        a.dx = round(a.dx);
        a.dy = round(a.dy);
    }
    a.flip = augment->flip && random_below(random, 2) == 1;
    return a;
}

/* Bilinear, black outside. */
static float sample(const uint8_t *pixels, struct train_shape shape, double y, double x, int c)
{
    double fy = floor(y), fx = floor(x), wy = y - fy, wx = x - fx, sum = 0;

    for (int j = 0; j < 2; j++)
        for (int i = 0; i < 2; i++) {
            int iy = (int)fy + j, ix = (int)fx + i;
            double w = (j ? wy : 1 - wy) * (i ? wx : 1 - wx);
            if (w > 0 && iy >= 0 && iy < shape.h && ix >= 0 && ix < shape.w)
                sum += w * pixels[(size_t)(iy * shape.w + ix) * (size_t)shape.c + (size_t)c];
        }
    return (float)sum;
}

void train_data_item(const struct train_data *data, int index, const struct train_draw *draw, float *x)
{
    float mean = draw->mean, std = draw->std;
    struct train_shape s = data->shape;
    size_t item = train_elements(s);
    const uint8_t *pixels = data->pixels + (size_t)index * item;

    if (draw->augment == NULL) {
        for (size_t i = 0; i < item; i++)
            x[i] = ((float)pixels[i] - mean) / std;
        return;
    }
    struct random_stream random = random_stream(draw->seed ^ UINT64_C(0x9e3779b97f4a7c15),
                                                draw->epoch << 32 | (uint32_t)index);
    struct affine a = draw_affine(draw->augment, &random);
    double cy = (s.h - 1) / 2.0, cx = (s.w - 1) / 2.0;
    for (int oy = 0; oy < s.h; oy++)
        for (int ox = 0; ox < s.w; ox++) {
            double ry = oy - cy - a.dy, rx = (a.flip ? s.w - 1 - ox : ox) - cx - a.dx;
            for (int c = 0; c < s.c; c++, x++)
                *x = (sample(pixels, s, a.yx * rx + a.yy * ry + cy, a.xx * rx + a.xy * ry + cx, c) - mean) / std;
        }
}

void train_shuffle(int count, uint64_t seed, uint64_t epoch, int *order)
{
    struct random_stream random = random_stream(seed ^ UINT64_C(0xd1b54a32d192ed03), epoch);

    for (int i = 0; i < count; i++)
        order[i] = i;
    for (int i = count - 1; i > 0; i--) {
        int j = (int)random_below(&random, (uint32_t)i + 1), swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}
