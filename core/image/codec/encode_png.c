#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>
#include <zlib.h>

#include "core/base/checked.h"
#include "core/image/codec/bytes.h"
#include "core/image/image.h"

enum { IDAT_BYTES = 64 << 10 };

struct png_writer {
    png_structp png;
    png_infop info;
    jmp_buf escape;
    const struct image_png *request;
    struct bytes out;
    uint8_t *row, *icc;
    struct infomask_error *err;
    enum infomask_status status;
};

static void fail(struct png_writer *w, enum infomask_status status)
{
    w->status = status;
    longjmp(w->escape, 1);
}

static void on_error(png_structp png, png_const_charp message)
{
    struct png_writer *w = png_get_error_ptr(png);

    (void)message;
    fail(w, error_set(w->err, INFOMASK_INTERNAL, "the picture cannot be encoded as PNG"));
}

static void on_warning(png_structp png, png_const_charp message)
{
    (void)png;
    (void)message;
}

static void no_memory(struct png_writer *w)
{
    fail(w, error_set(w->err, INFOMASK_MEMORY, "no memory to encode the PNG"));
}

static void on_write(png_structp png, png_bytep data, size_t size)
{
    struct png_writer *w = png_get_io_ptr(png);

    if (!bytes_append(&w->out, data, size))
        no_memory(w);
}

static void on_flush(png_structp png) { (void)png; }

static int color_type(int channels)
{
    return channels == 1 ? PNG_COLOR_TYPE_GRAY : channels == 3 ? PNG_COLOR_TYPE_RGB : PNG_COLOR_TYPE_RGB_ALPHA;
}

/* Measured on photos of 12 megapixels: one fixed filter and runs only (Z_RLE) take two thirds of the time of zlib's
 * level 1, and the file is smaller: what a filter leaves of a photo is noise, in which level 1 finds short matches that
 * cost more than they save.  Averages suit photos; in masks most rows repeat the one above. */
static int filter(const struct image_png *q)
{
    return q->flat ? PNG_FILTER_UP : q->bits == 16 ? PNG_FILTER_SUB : PNG_FILTER_AVG;
}

static void configure(struct png_writer *w)
{
    const struct image_png *q = w->request;

    w->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, w, on_error, on_warning);
    w->info = w->png != NULL ? png_create_info_struct(w->png) : NULL;
    if (w->info == NULL)
        no_memory(w);
    png_set_write_fn(w->png, w, on_write, on_flush);
    png_set_IHDR(w->png, w->info, (png_uint_32)q->width, (png_uint_32)q->height, q->bits, color_type(q->channels),
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_compression_buffer_size(w->png, IDAT_BYTES);
    png_set_compression_level(w->png, 1);
    png_set_compression_mem_level(w->png, 9);
    png_set_compression_strategy(w->png, Z_RLE);
    png_set_filter(w->png, PNG_FILTER_TYPE_BASE, filter(q));
}

/* Not through png_set_iCCP: that one judges profiles, we copy them. */
static void write_icc(struct png_writer *w)
{
    static const uint8_t head[] = "icc\0"; /* name, NUL, method 0 */
    const struct image_png *q = w->request;
    uLongf size = compressBound(q->icc_size);
    size_t total;

    if (q->icc == NULL || q->icc_size == 0)
        return;
    if (!checked_add(size, sizeof head, &total) || (w->icc = malloc(total)) == NULL)
        no_memory(w);
    memcpy(w->icc, head, sizeof head);
    if (compress2(w->icc + sizeof head, &size, q->icc, q->icc_size, Z_BEST_SPEED) != Z_OK)
        no_memory(w);
    png_write_chunk(w->png, (png_const_bytep)"iCCP", w->icc, size + sizeof head);
}

static void write_text(struct png_writer *w)
{
    const char *const *text = w->request->text;

    for (; text != NULL && text[0] != NULL && text[1] != NULL; text += 2) {
        size_t key = strlen(text[0]) + 1, value = strlen(text[1]);
        png_write_chunk_start(w->png, (png_const_bytep)"tEXt", (png_uint_32)(key + value));
        png_write_chunk_data(w->png, (png_const_bytep)text[0], key);
        png_write_chunk_data(w->png, (png_const_bytep)text[1], value);
        png_write_chunk_end(w->png);
    }
}

static enum infomask_status guarded(struct png_writer *w, image_row *row, void *context)
{
    const struct image_png *q = w->request;

    if (setjmp(w->escape) != 0)
        return w->status;
    configure(w);
    png_write_info(w->png, w->info);
    write_icc(w);
    write_text(w);
    w->row = malloc((size_t)q->width * (size_t)(q->channels * q->bits / 8));
    if (w->row == NULL)
        no_memory(w);
    for (int y = 0; y < q->height; y++) {
        row(context, y, w->row);
        png_write_row(w->png, w->row);
    }
    png_write_end(w->png, NULL);
    return INFOMASK_OK;
}

static enum infomask_status check(const struct image_png *q, struct infomask_error *err)
{
    if (q->width < 1 || q->height < 1 || (q->channels != 1 && q->channels != 3 && q->channels != 4) ||
        (q->bits != 8 && !(q->bits == 16 && q->channels == 1)))
        return error_set(err, INFOMASK_ARGUMENT,
                         "%d x %d pixels of %d channels of %d bits are not a PNG that can be written", q->width,
                         q->height, q->channels, q->bits);
    for (const char *const *text = q->text; text != NULL && *text != NULL; text += 2)
        if (text[1] == NULL || strlen(text[0]) < 1 || strlen(text[0]) > 79)
            return error_set(err, INFOMASK_ARGUMENT, "a PNG's text has a keyword of 1 to 79 bytes and a value");
    return INFOMASK_OK;
}

enum infomask_status image_encode_png(const struct image_png *png, image_row *row, void *context, uint8_t **data,
                                      size_t *size, struct infomask_error *err)
{
    struct png_writer w = {.request = png, .err = err, .out.ceiling = SIZE_MAX / 2};
    enum infomask_status status = check(png, err);

    *data = NULL;
    *size = 0;
    if (status != INFOMASK_OK)
        return status;
    status = guarded(&w, row, context);
    if (w.png != NULL)
        png_destroy_write_struct(&w.png, &w.info);
    free(w.row);
    free(w.icc);
    if (status != INFOMASK_OK) {
        bytes_fini(&w.out);
        return status;
    }
    *data = bytes_take(&w.out, size);
    return INFOMASK_OK;
}
