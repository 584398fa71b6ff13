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

void train_data_free(struct train_data *data)
{
    free(data->pixels);
    free(data->labels);
    *data = (struct train_data){0};
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

static enum infomask_status take_labels(const struct idx *idx, struct train_data *data, struct infomask_error *err)
{
    if (idx->rank != 1 || idx->count != (size_t)data->count)
        return error_set(err, INFOMASK_BAD_DATA, "there are %d images, but %zu labels", data->count, idx->count);
    data->labels = malloc(idx->count * sizeof *data->labels);
    if (data->labels == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    for (size_t i = 0; i < idx->count; i++) {
        data->labels[i] = idx->bytes[i];
        if (idx->bytes[i] >= data->classes)
            data->classes = idx->bytes[i] + 1;
    }
    return INFOMASK_OK;
}

enum infomask_status train_data_idx(const char *images, const char *labels, struct train_data *data,
                                    struct infomask_error *err)
{
    struct idx pictures, names = {0};
    enum infomask_status status = idx_read(images, &pictures, err);

    *data = (struct train_data){0};
    if (status == INFOMASK_OK && (pictures.rank < 3 || pictures.dims[1] > 4096 || pictures.dims[2] > 4096))
        status = error_set(err, INFOMASK_BAD_DATA, "images have 3 or 4 dimensions and sides of at most 4096");
    if (status == INFOMASK_OK) {
        data->count = (int)pictures.dims[0];
        data->shape = (struct train_shape){(int)pictures.dims[1], (int)pictures.dims[2],
                                           pictures.rank == 4 ? (int)pictures.dims[3] : 1};
        data->pixels = pictures.bytes;
        status = idx_read(labels, &names, err);
    }
    if (status == INFOMASK_OK)
        status = take_labels(&names, data, err);
    free(names.bytes);
    if (status != INFOMASK_OK) {
        if (data->pixels == NULL)
            free(pictures.bytes);
        train_data_free(data);
    }
    return status;
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

void train_data_item(const struct train_data *data, int index, float mean, float std,
                     const struct train_augment *augment, uint64_t seed, uint64_t epoch, float *x)
{
    struct train_shape s = data->shape;
    size_t item = train_elements(s);
    const uint8_t *pixels = data->pixels + (size_t)index * item;

    if (augment == NULL) {
        for (size_t i = 0; i < item; i++)
            x[i] = ((float)pixels[i] - mean) / std;
        return;
    }
    struct random_stream random = random_stream(seed ^ UINT64_C(0x9e3779b97f4a7c15), epoch << 32 | (uint32_t)index);
    struct affine a = draw_affine(augment, &random);
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
