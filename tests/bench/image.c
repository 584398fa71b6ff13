/* Decoding and resampling against libjpeg-turbo's bare decoding of the same file, interleaved in one run; and encoding.
 *
 *     image [SECONDS_PER_CASE [JPEG ...]]
 *
 * "bare" is libjpeg-turbo with its defaults to RGB in one buffer, at the scale named; "ours" is what a classification
 * does before the network: probe, decode what the centre crop needs, resample, normalise.  Times are of the
 * processor, so that other work on the machine disturbs less; all of it is one thread.  Without files: photos of
 * 500 x 375 and 4000 x 3000 made from tests/data.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jpeglib.h>

#include "core/image/image.h"

enum { MAX_RUNS = 20000, SIDE = 224 };

struct series {
    double *ms;
    int count;
};

struct file {
    uint8_t *data;
    size_t size;
};

static double now_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static struct series series_new(void) { return (struct series){malloc(MAX_RUNS * sizeof(double)), 0}; }

static void sort(struct series *s) { qsort(s->ms, (size_t)s->count, sizeof *s->ms, ascending); }

static double minimum(const struct series *s) { return s->ms[0]; }
static double median(const struct series *s) { return s->ms[s->count / 2]; }

static bool load(const char *path, struct file *file)
{
    FILE *in = fopen(path, "rb");
    long size;

    *file = (struct file){0};
    if (in == NULL || fseek(in, 0, SEEK_END) != 0 || (size = ftell(in)) <= 0) {
        fprintf(stderr, "cannot read %s\n", path);
        return false;
    }
    rewind(in);
    file->data = malloc((size_t)size);
    if (file->data != NULL)
        file->size = fread(file->data, 1, (size_t)size, in);
    (void)fclose(in);
    return file->size == (size_t)size;
}

static void bare(const struct file *file, unsigned numerator, uint8_t *buffer)
{
    struct jpeg_decompress_struct c;
    struct jpeg_error_mgr errors;

    c.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&c);
    jpeg_mem_src(&c, file->data, (unsigned long)file->size);
    (void)jpeg_read_header(&c, TRUE);
    c.scale_num = numerator;
    c.scale_denom = 8;
    c.out_color_space = JCS_RGB;
    (void)jpeg_start_decompress(&c);
    while (c.output_scanline < c.output_height) {
        JSAMPROW row = buffer + (size_t)c.output_scanline * c.output_width * 3;
        (void)jpeg_read_scanlines(&c, &row, 1);
    }
    (void)jpeg_finish_decompress(&c);
    jpeg_destroy_decompress(&c);
}

static bool ours(const struct file *file, float *tensor, double *decode_ms)
{
    static const struct image_normalise normalise = {.mean = {127, 127, 127}, .std = {128, 128, 128}};
    struct infomask_error err;
    struct image_info info;
    struct image_view view, scaled;
    struct image image;
    double start = now_ms();
    bool good;

    if (image_probe(file->data, file->size, NULL, &info, &err) != INFOMASK_OK)
        return false;
    view = image_view_crop(info.width, info.height, 0.875, SIDE, SIDE);
    if (image_decode_view(&(struct image_source){file->data, file->size, NULL, NULL}, &info, &view, &image, &scaled, &err) != INFOMASK_OK)
        return false;
    *decode_ms = now_ms() - start;
    good = image_tensor(&image, &scaled, &normalise, NULL, tensor, &err) == INFOMASK_OK;
    image_fini(&image);
    return good;
}

static void compare(const char *name, const struct file *file, double seconds)
{
    struct series full = series_new(), reduced = series_new(), mine = series_new(), decode = series_new();
    struct image_info info;
    float *tensor = malloc(SIDE * SIDE * 3 * sizeof *tensor);
    uint8_t *buffer;
    double end = now_ms() + seconds * 1e3;

    if (image_probe(file->data, file->size, NULL, &info, NULL) != INFOMASK_OK)
        return;
    buffer = malloc((size_t)info.width * (size_t)info.height * 3);
    while ((now_ms() < end || mine.count < 3) && mine.count < MAX_RUNS) {
        double t0 = now_ms(), t1, t2;
        bare(file, 8, buffer);
        t1 = now_ms();
        bare(file, 1, buffer);
        t2 = now_ms();
        if (!ours(file, tensor, &decode.ms[decode.count++]))
            break;
        full.ms[full.count++] = t1 - t0;
        reduced.ms[reduced.count++] = t2 - t1;
        mine.ms[mine.count++] = now_ms() - t2;
    }
    sort(&full);
    sort(&reduced);
    sort(&mine);
    sort(&decode);
    printf("%s, %d x %d, %zu bytes, %d runs: ms minimum / median\n", name, info.width, info.height, file->size,
           mine.count);
    printf("  bare decode           %8.3f / %8.3f\n", minimum(&full), median(&full));
    printf("  bare decode at 1/8    %8.3f / %8.3f\n", minimum(&reduced), median(&reduced));
    printf("  ours, decode          %8.3f / %8.3f\n", minimum(&decode), median(&decode));
    printf("  ours, decode + tensor %8.3f / %8.3f   x bare %.3f / %.3f, x bare at 1/8 %.3f / %.3f\n", minimum(&mine),
           median(&mine), minimum(&mine) / minimum(&full), median(&mine) / median(&full),
           minimum(&mine) / minimum(&reduced), median(&mine) / median(&reduced));
    free(full.ms);
    free(reduced.ms);
    free(mine.ms);
    free(decode.ms);
    free(buffer);
    free(tensor);
}

static void image_rows(void *context, int y, uint8_t *row)
{
    const struct image *image = context;
    size_t bytes = (size_t)image->width * (size_t)image->channels;

    memcpy(row, image->pixels + (size_t)y * bytes, bytes);
}

/* A photo of that size from a small one, with noise so that it compresses like a photo. */
static bool enlarge(const struct file *file, int width, int height, struct image *image)
{
    struct image source;
    struct image_view view;
    uint32_t noise = 1;

    if (image_decode(file->data, file->size, NULL, &source, NULL) != INFOMASK_OK)
        return false;
    view = image_view_whole(source.width, source.height, width, height);
    if (image_init(image, width, height, 3, NULL) != INFOMASK_OK ||
        image_resample(&source, &view, image->pixels, NULL) != INFOMASK_OK)
        return false;
    image_fini(&source);
    for (size_t i = 0; i < (size_t)width * (size_t)height * 3; i++) {
        int v;
        noise = noise * 1664525 + 1013904223;
        v = image->pixels[i] + (int)(noise >> 29) - 3;
        image->pixels[i] = (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
    }
    return true;
}

static bool encode(const struct image *image, int quality, struct file *file)
{
    return image_encode_jpeg(&(struct image_jpeg){image->width, image->height, quality, NULL, 0}, image_rows, (void *)(uintptr_t)image,
                             &file->data, &file->size, NULL) == INFOMASK_OK;
}

/* Two discs, 0 or 255, in the first channel of a grey image */
static bool draw_mask(int width, int height, struct image *mask)
{
    double r = 0.2 * height;

    if (image_init(mask, width, height, 1, NULL) != INFOMASK_OK)
        return false;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            double a = y - 0.4 * height, b = y - 0.7 * height, c = x - 0.3 * width, d = x - 0.6 * width;
            mask->pixels[(size_t)y * (size_t)width + (size_t)x] =
                a * a + c * c < r * r || b * b + d * d < r * r ? 255 : 0;
        }
    return true;
}

static void time_png(const char *name, const struct image *image, bool flat)
{
    struct image_png png = {
        .width = image->width, .height = image->height, .channels = image->channels, .bits = 8, .flat = flat};
    struct series s = series_new();
    double end = now_ms() + 1000;
    size_t size = 0;

    while ((now_ms() < end || s.count < 3) && s.count < MAX_RUNS) {
        double start = now_ms();
        uint8_t *data;
        if (image_encode_png(&png, image_rows, (void *)(uintptr_t)image, &data, &size, NULL) != INFOMASK_OK)
            break;
        s.ms[s.count++] = now_ms() - start;
        free(data);
    }
    sort(&s);
    printf("PNG %-24s %5d x %-5d %8.2f / %8.2f ms, %zu bytes\n", name, png.width, png.height, minimum(&s), median(&s),
           size);
    free(s.ms);
}

static void encoders(const struct image *photo)
{
    struct image mask;

    if (!draw_mask(photo->width, photo->height, &mask))
        return;
    time_png("mask", &mask, true);
    time_png("photo", photo, false);
    image_fini(&mask);
}

static int made_cases(double seconds)
{
    struct file png, jpeg, small_jpeg, large_jpeg;
    struct image small, large;

    if (!load("tests/data/photos/coffee.png", &png) || !load("tests/data/photos/rocket.jpg", &jpeg) ||
        !enlarge(&png, 500, 375, &small) || !enlarge(&jpeg, 4000, 3000, &large) || !encode(&small, 85, &small_jpeg) ||
        !encode(&large, 85, &large_jpeg))
        return 1;
    compare("small photo", &small_jpeg, seconds);
    compare("large photo", &large_jpeg, seconds);
    encoders(&small);
    encoders(&large);
    image_fini(&small);
    image_fini(&large);
    free(png.data);
    free(jpeg.data);
    free(small_jpeg.data);
    free(large_jpeg.data);
    return 0;
}

int main(int argc, char **argv)
{
    double seconds = argc > 1 ? strtod(argv[1], NULL) : 2;

    if (argc < 3)
        return made_cases(seconds);
    for (int i = 2; i < argc; i++) {
        struct file file;
        if (!load(argv[i], &file))
            return 1;
        compare(argv[i], &file, seconds);
        free(file.data);
    }
    return 0;
}
