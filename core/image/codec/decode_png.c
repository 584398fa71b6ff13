/* PNG through libpng, row by row where the file is not interlaced. */
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include <png.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/codec/decode.h"
#include "core/image/codec/orientation.h"

enum {
    STRIP_ROWS = 16,
    HEAP_HEADER = 16, /* bytes before each block, holding its size */
    SURPLUS = 64 * 1024, /* bytes that may be read while the last row is, beside the most that a row can take */
    IDAT = 0x49444154
};

struct png_reader {
    png_structp png;
    png_infop info;
    jmp_buf escape;
    struct decoding *d;
    enum infomask_status status;
    size_t offset, heap; /* bytes read; bytes that libpng holds */
    size_t last;         /* where reading must end once the last row is asked for; 0: it was not yet */
    bool starved;        /* it asked for more than it may have */
    bool refused;        /* the system had no more */
    uint8_t *rows;       /* stored rows that cannot go straight into the image */
};

static void fail(struct png_reader *r, enum infomask_status status)
{
    r->status = status;
    longjmp(r->escape, 1);
}

static void on_error(png_structp png, png_const_charp message)
{
    struct png_reader *r = png_get_error_ptr(png);

    (void)message;
    if (r->starved)
        fail(r, error_set(r->d->err, INFOMASK_TOO_MANY_PIXELS,
                          "decoding this PNG needs more than the %zu KiB allowed (decoder_memory)",
                          r->d->limits->decoder_memory >> 10));
    if (r->refused)
        fail(r, error_set(r->d->err, INFOMASK_MEMORY, "no memory to decode the PNG"));
    fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the PNG's data is damaged"));
}

/* Of the ancillary chunks' faults nothing is read; what libpng only warns about in the image data (a wrong checksum,
 * more data than rows) is damage. */
static void on_warning(png_structp png, png_const_charp message)
{
    if (png_get_io_chunk_type(png) == IDAT)
        on_error(png, message);
}

static void on_read(png_structp png, png_bytep to, size_t count)
{
    struct png_reader *r = png_get_io_ptr(png);

    if (count > r->d->size - r->offset)
        fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the PNG is truncated"));
    if (decode_expired(r->d))
        fail(r, decode_deadline(r->d->err));
    if (r->last != 0 && r->offset + count > r->last && png_get_io_chunk_type(png) == IDAT)
        fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the PNG's image data goes on behind its last row"));
    memcpy(to, r->d->data + r->offset, count);
    r->offset += count;
}

static png_voidp on_malloc(png_structp png, png_alloc_size_t size)
{
    struct png_reader *r = png_get_mem_ptr(png);
    uint8_t *block;
    size_t total;

    r->starved = !checked_add(size, HEAP_HEADER, &total) || total > r->d->limits->decoder_memory - r->heap;
    block = r->starved ? NULL : malloc(total);
    r->refused = !r->starved && block == NULL;
    if (block == NULL)
        return NULL;
    memcpy(block, &total, sizeof total);
    r->heap += total;
    return block + HEAP_HEADER;
}

static void on_free(png_structp png, png_voidp pointer)
{
    struct png_reader *r = png_get_mem_ptr(png);
    uint8_t *block = pointer;
    size_t total;

    if (block == NULL)
        return;
    block -= HEAP_HEADER;
    memcpy(&total, block, sizeof total);
    r->heap -= total;
    free(block);
}

static void open_reader(struct png_reader *r)
{
    r->png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r, on_error, on_warning, r, on_malloc, on_free);
    r->info = r->png != NULL ? png_create_info_struct(r->png) : NULL;
    if (r->info == NULL)
        fail(r, error_set(r->d->err, INFOMASK_MEMORY, "no memory to decode the PNG"));
    png_set_read_fn(r->png, r, on_read);
    png_set_user_limits(r->png, (png_uint_32)r->d->stored_width, (png_uint_32)r->d->stored_height);
    /* of the ancillary chunks only tRNS says anything about the pixels */
    png_set_keep_unknown_chunks(r->png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

/* 16-bit samples to 8: the upper byte, but 1 for less than that.  (libpng's last step, whose depth it is told.) */
static void on_faint_row(png_structp png, png_row_infop row, png_bytep samples)
{
    (void)png;
    for (size_t i = 0; i < row->rowbytes / 2; i++)
        samples[i] = samples[2 * i] != 0 ? samples[2 * i] : samples[2 * i + 1] != 0;
}

static void set_depth(struct png_reader *r)
{
    if (!r->d->limits->keep_faint || png_get_bit_depth(r->png, r->info) != 16) {
        png_set_scale_16(r->png);
        return;
    }
    png_set_read_user_transform_fn(r->png, on_faint_row);
    png_set_user_transform_info(r->png, NULL, 8, r->d->image->channels);
}

/* Everything to 8-bit RGB or RGBA; returns the number of passes. */
static int read_header(struct png_reader *r)
{
    struct decoding *d = r->d;
    int passes;

    png_read_info(r->png, r->info);
    png_set_expand(r->png); /* palette to RGB, 1, 2 and 4 bits to 8, tRNS to alpha */
    set_depth(r);
    png_set_gray_to_rgb(r->png);
    passes = png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    if ((int)png_get_image_width(r->png, r->info) != d->stored_width ||
        (int)png_get_image_height(r->png, r->info) != d->stored_height ||
        png_get_channels(r->png, r->info) != d->image->channels || png_get_bit_depth(r->png, r->info) != 8)
        fail(r, error_set(d->err, INFOMASK_BAD_IMAGE, "the PNG's header is damaged"));
    return passes;
}

static void read_row(struct png_reader *r, uint8_t *row)
{
    if (decode_expired(r->d))
        fail(r, decode_deadline(r->d->err));
    png_read_row(r->png, row, NULL);
}

/* With the last row libpng inflates whatever is left of the image data, a thousand times what there is of it at most:
 * what a row needs must be enough.  Stored blocks take a little more than the row, chunks of few bytes each far more.
 */
static void bound_surplus(struct png_reader *r)
{
    size_t row = png_get_rowbytes(r->png, r->info);

    r->last = r->offset + 2 * row + SURPLUS;
}

static void read_rows(struct png_reader *r, int passes)
{
    struct decoding *d = r->d;
    int orientation = d->info->orientation, width = d->stored_width, height = d->stored_height;
    size_t stride = (size_t)width * (size_t)d->image->channels;
    int strip = passes > 1 ? height : STRIP_ROWS; /* interlaced: every pass goes over the whole picture */

    if (!decode_in_place(d) && (r->rows = aligned_new(stride * (size_t)strip)) == NULL)
        fail(r, error_set(d->err, INFOMASK_MEMORY, "no memory to decode the PNG"));
    for (int y = 0; y < height; y += strip) {
        int count = height - y < strip ? height - y : strip;
        for (int pass = 0; pass < passes; pass++)
            for (int i = 0; i < count; i++) {
                if (pass == passes - 1 && y + i == height - 1)
                    bound_surplus(r);
                read_row(r, decode_in_place(d) ? decode_row(d, 0, y + i) : r->rows + stride * (size_t)i);
            }
        if (!decode_in_place(d))
            orientation_place(d->image, orientation, &(struct orientation_part){r->rows, stride, 0, y, width, count});
    }
}

static void run(struct png_reader *r)
{
    open_reader(r);
    read_rows(r, read_header(r));
    png_read_end(r->png, NULL);
}

static enum infomask_status guarded(struct png_reader *r)
{
    if (setjmp(r->escape) != 0)
        return r->status;
    run(r);
    return INFOMASK_OK;
}

enum infomask_status decode_png(struct decoding *d)
{
    struct png_reader r = {.d = d};
    enum infomask_status status = guarded(&r);

    if (r.png != NULL)
        png_destroy_read_struct(&r.png, &r.info, NULL);
    aligned_free(r.rows);
    return status;
}
