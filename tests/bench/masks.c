/* Runs what a mask is made of, once for every line that asks: the half of tests/bench/masks.py that is ours.
 *
 *     masks MODEL PHOTO [PRECISION]
 *
 * Each line on stdin is the name of a case; each is answered by "PROCESSOR_MS WALL_MS" on one line.  One thread.
 *   network SIZE      the network alone: a side, or HEIGHTxWIDTH
 *   mask QUALITY      from the decoded photo to saliency and mask, the pass included
 *   pass QUALITY      the network's part of the last `mask QUALITY` (both figures wall time)
 *   fill KIND         30 % of the photo, an ellipse: inpaint or match
 *   overlay QUALITY   from the photo's bytes to an overlay PNG
 *   filter FILL       from the photo's bytes to a verified PNG by the default filter, all rounds: match or inpaint
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/image/fill.h"
#include "core/image/image.h"
#include "core/infomask_lab.h"
#include "core/kernels/kernels.h"

#define CLASSES 1000
#define MOST_SIDE 1024

struct bench {
    struct infomask_model *model;
    struct infomask_session *session;
    char *bytes;
    size_t size;
    struct infomask_photo *photo; /* decoded */
    struct infomask_classification classification;
    struct image image;
    uint8_t *hole;
    float *input, *output;
    double pass;
};

static double now_ms(clockid_t clock)
{
    struct timespec t;

    (void)clock_gettime(clock, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static char *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes = NULL;
    long length;

    if (file != NULL && fseek(file, 0, SEEK_END) == 0 && (length = ftell(file)) > 0) {
        rewind(file);
        *size = (size_t)length;
        bytes = malloc(*size);
        if (bytes != NULL && fread(bytes, 1, *size, file) != *size) {
            free(bytes);
            bytes = NULL;
        }
    }
    if (file != NULL)
        (void)fclose(file);
    return bytes;
}

static enum infomask_precision precision(const char *name)
{
    return strcmp(name, "bf16") == 0 ? INFOMASK_BF16 : strcmp(name, "int8") == 0 ? INFOMASK_INT8 : INFOMASK_F32;
}

static enum infomask_status load(struct bench *b, const char *model, const char *name, struct infomask_error *err)
{
    struct infomask_model_spec spec = infomask_default_spec();
    enum infomask_status status;

    spec.path = model;
    spec.precision = precision(name);
    for (int i = 0; i < 3; i++) {
        spec.mean[i] = 127;
        spec.std[i] = 128;
    }
    status = infomask_model_load(&spec, &b->model, err);
    return status == INFOMASK_OK ? infomask_session_create(b->model, NULL, &b->session, err) : status;
}

static bool in_ellipse(const struct image *image, int x, int y)
{
    double u = (x + .5) / image->width - .5, v = (y + .5) / image->height - .5;
    return u * u + v * v < .3 / 3.14159265;
}

static enum infomask_status open_photo(struct bench *b, const char *path, struct infomask_error *err)
{
    const struct infomask_classify_options options = {0};
    enum infomask_status status;

    b->bytes = read_file(path, &b->size);
    if (b->bytes == NULL)
        return error_set(err, INFOMASK_IO, "%s cannot be read", path);
    status = infomask_photo_open(b->bytes, b->size, NULL, &b->photo, err);
    if (status != INFOMASK_OK)
        return status;
    infomask_photo_whole(b->photo);
    status = infomask_classify(b->session, b->photo, &options, &b->classification, err);
    if (status == INFOMASK_OK)
        status = image_decode(b->bytes, b->size, &image_default_limits, &b->image, err);
    if (status != INFOMASK_OK)
        return status;
    b->hole = malloc((size_t)b->image.width * (size_t)b->image.height);
    b->input = calloc((size_t)MOST_SIDE * MOST_SIDE * 3, sizeof(float));
    b->output = calloc(CLASSES, sizeof(float));
    if (b->hole == NULL || b->input == NULL || b->output == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the bench");
    for (int y = 0; y < b->image.height; y++)
        for (int x = 0; x < b->image.width; x++)
            b->hole[(size_t)y * (size_t)b->image.width + (size_t)x] = in_ellipse(&b->image, x, y) ? 255 : 0;
    return INFOMASK_OK;
}

static struct infomask_mask_options quality(const char *name)
{
    struct infomask_mask_options options = infomask_default_mask_options();

    options.quality = strcmp(name, "fast") == 0     ? INFOMASK_FAST
                      : strcmp(name, "middle") == 0 ? INFOMASK_MIDDLE
                                                    : INFOMASK_STANDARD;
    return options;
}

static enum infomask_status run_mask(struct bench *b, const char *name, struct infomask_error *err)
{
    struct infomask_mask_options options = quality(name);
    struct infomask_mask mask;
    enum infomask_status status = infomask_mask(b->session, b->photo, &b->classification, &options, &mask, err);

    if (status == INFOMASK_OK) {
        b->pass = mask.timing.network;
        infomask_mask_fini(&mask);
    }
    return status;
}

static enum infomask_status run_fill(struct bench *b, const char *kind, struct infomask_error *err)
{
    struct fill *fill;
    struct fill_options options = {.kind = strcmp(kind, "match") == 0 ? FILL_MATCH : FILL_INPAINT,
                                   .distance = kernels_best()->patch_distance,
                                   .votes = kernels_best()->patch_votes};
    uint8_t *row = malloc((size_t)b->image.width * 3);
    enum infomask_status status = row == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for the bench")
                                              : fill_create(&fill, &b->image, b->hole, &options, err);

    if (status == INFOMASK_OK) {
        for (int y = 0; y < b->image.height; y++)
            fill_row(fill, y, row);
        fill_free(fill);
    }
    free(row);
    return status;
}

static enum infomask_status run_overlay(struct bench *b, const char *name, struct infomask_error *err)
{
    const struct infomask_classify_options plain = {0};
    const struct infomask_picture_options picture = {.picture = INFOMASK_PICTURE_OVERLAY, .unit = 1, .opacity = .6};
    struct infomask_mask_options options = quality(name);
    struct infomask_classification classification = {0};
    struct infomask_mask mask = {0};
    struct infomask_encoded png = {0};
    struct infomask_photo *photo;
    enum infomask_status status = infomask_photo_open(b->bytes, b->size, NULL, &photo, err);

    if (status != INFOMASK_OK)
        return status;
    infomask_photo_whole(photo);
    status = infomask_classify(b->session, photo, &plain, &classification, err);
    if (status == INFOMASK_OK)
        status = infomask_mask(b->session, photo, &classification, &options, &mask, err);
    if (status == INFOMASK_OK)
        status = infomask_mask_picture(&mask, photo, &picture, &png, err);
    infomask_encoded_fini(&png);
    infomask_mask_fini(&mask);
    infomask_classification_fini(&classification);
    infomask_photo_close(photo);
    return status;
}

static enum infomask_status run_filter(struct bench *b, const char *kind, struct infomask_error *err)
{
    const struct infomask_classify_options plain = {0};
    struct infomask_filter_options options = infomask_default_filter_options();
    struct infomask_classification classification = {0};
    struct infomask_filtered filtered = {0};
    struct infomask_photo *photo;
    enum infomask_status status = infomask_photo_open(b->bytes, b->size, NULL, &photo, err);

    if (status != INFOMASK_OK)
        return status;
    options.fill = strcmp(kind, "match") == 0 ? INFOMASK_MATCH : INFOMASK_INPAINT;
    infomask_photo_whole(photo);
    status = infomask_classify(b->session, photo, &plain, &classification, err);
    if (status == INFOMASK_OK)
        status = infomask_filter(b->session, photo, &classification, &options, NULL, &filtered, err);
    infomask_filtered_fini(&filtered);
    infomask_classification_fini(&classification);
    infomask_photo_close(photo);
    return status;
}

static enum infomask_status run(struct bench *b, const char *name, const char *value, struct infomask_error *err)
{
    int h = 0, w = 0, sizes = sscanf(value, "%dx%d", &h, &w);

    w = sizes == 1 ? h : w;
    if (strcmp(name, "network") == 0 && h > 0 && h <= MOST_SIDE && w > 0 && w <= MOST_SIDE)
        return infomask_run(b->session, &(struct infomask_images){b->input, 1, h, w}, b->output, err);
    if (strcmp(name, "mask") == 0)
        return run_mask(b, value, err);
    if (strcmp(name, "fill") == 0)
        return run_fill(b, value, err);
    if (strcmp(name, "overlay") == 0)
        return run_overlay(b, value, err);
    if (strcmp(name, "filter") == 0)
        return run_filter(b, value, err);
    return error_set(err, INFOMASK_ARGUMENT, "%s %s is no case", name, value);
}

static enum infomask_status answer(struct bench *b, struct infomask_error *err)
{
    char line[80], name[40], value[40];
    enum infomask_status status = INFOMASK_OK;

    while (status == INFOMASK_OK && fgets(line, sizeof line, stdin) != NULL) {
        double processor, wall;
        value[0] = '\0';
        if (sscanf(line, "%39s %39s", name, value) < 1)
            continue;
        processor = now_ms(CLOCK_PROCESS_CPUTIME_ID);
        wall = now_ms(CLOCK_MONOTONIC);
        if (strcmp(name, "pass") != 0)
            status = run(b, name, value, err);
        processor = now_ms(CLOCK_PROCESS_CPUTIME_ID) - processor;
        wall = now_ms(CLOCK_MONOTONIC) - wall;
        if (strcmp(name, "pass") == 0)
            processor = wall = b->pass;
        printf("%.4f %.4f\n", processor, wall);
        (void)fflush(stdout);
    }
    return status;
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    struct infomask_error err = {0};
    enum infomask_status status;

    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: masks MODEL PHOTO [PRECISION]\n");
        return 2;
    }
    status = load(&b, argv[1], argc > 3 ? argv[3] : "f32", &err);
    if (status == INFOMASK_OK)
        status = open_photo(&b, argv[2], &err);
    if (status == INFOMASK_OK)
        status = answer(&b, &err);
    if (status != INFOMASK_OK)
        fprintf(stderr, "masks: %s\n", err.text);
    infomask_classification_fini(&b.classification);
    infomask_photo_close(b.photo);
    infomask_session_free(b.session);
    infomask_model_free(b.model);
    image_fini(&b.image);
    free(b.bytes);
    free(b.hole);
    free(b.input);
    free(b.output);
    return status == INFOMASK_OK ? 0 : 1;
}
