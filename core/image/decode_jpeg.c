/* JPEG through libjpeg-turbo: scaled DCT, and only the rows and columns that are needed. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "core/base/checked.h"
#include "core/image/decode.h"
#include "core/image/orientation.h"

enum {
    STRIP_ROWS = 16, /* the rows of one MCU */
    /* The chroma upsampling looks one sample sideways (two pixels) and up to the next row group; beside a cut it has
     * nothing to look at, so the cut is made this far outside of what is needed. */
    MARGIN = 8
};

struct jpeg_reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr source;
    jmp_buf escape;
    struct decoding *d;
    enum infomask_status status;
    uint8_t *strip; /* STRIP_ROWS rows of what libjpeg gives, where they cannot go straight into the image */
};

static void fail(struct jpeg_reader *r, enum infomask_status status)
{
    r->status = status;
    longjmp(r->escape, 1);
}

static void on_error(j_common_ptr common)
{
    struct jpeg_reader *r = common->client_data;
    struct infomask_error *err = r->d->err;

    switch (common->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        fail(r, error_set(err, INFOMASK_MEMORY, "no memory to decode the JPEG"));
        break;
    case JERR_NO_BACKING_STORE: /* what the limit on memory looks like */
        fail(r, error_set(err, INFOMASK_TOO_MANY_PIXELS,
                          "decoding this progressive JPEG needs more than the %zu MiB that are allowed",
                          r->d->limits->decoder_memory >> 20));
        break;
    default:
        fail(r, error_set(err, INFOMASK_BAD_IMAGE, "the JPEG's data is damaged"));
    }
}

/* Corrupt data is a failure, not a grey patch.  What concerns only a profile or a version number is none. */
static void on_message(j_common_ptr common, int level)
{
    struct jpeg_reader *r = common->client_data;
    int code = common->err->msg_code;

    if (level < 0 && code != JWRN_JFIF_MAJOR && code != JWRN_ADOBE_XFORM && code != JWRN_TOO_MUCH_DATA)
        fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the JPEG's data is damaged"));
}

static void no_output(j_common_ptr common) { (void)common; }

/* Runs once an MCU row, in every scan. */
static void on_progress(j_common_ptr common)
{
    struct jpeg_reader *r = common->client_data;

    if (r->cinfo.input_scan_number > r->d->limits->max_scans)
        fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the JPEG has more than the %d scans that are allowed",
                          r->d->limits->max_scans));
    if (decode_expired(r->d))
        fail(r, decode_deadline(r->d));
}

static void source_nothing(j_decompress_ptr cinfo) { (void)cinfo; }

static void truncated(struct jpeg_reader *r)
{
    fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the JPEG is truncated"));
}

static boolean source_end(j_decompress_ptr cinfo)
{
    truncated(cinfo->client_data);
    return FALSE;
}

static void source_skip(j_decompress_ptr cinfo, long count)
{
    if (count <= 0)
        return;
    if ((size_t)count > cinfo->src->bytes_in_buffer)
        truncated(cinfo->client_data);
    cinfo->src->next_input_byte += count;
    cinfo->src->bytes_in_buffer -= (size_t)count;
}

static void open_reader(struct jpeg_reader *r)
{
    jpeg_create_decompress(&r->cinfo);
    r->cinfo.mem->max_memory_to_use =
        r->d->limits->decoder_memory > (size_t)1 << 40 ? (long)1 << 40 : (long)r->d->limits->decoder_memory;
    r->source = (struct jpeg_source_mgr){.next_input_byte = r->d->data,
                                         .bytes_in_buffer = r->d->size,
                                         .init_source = source_nothing,
                                         .fill_input_buffer = source_end,
                                         .skip_input_data = source_skip,
                                         .resync_to_restart = jpeg_resync_to_restart,
                                         .term_source = source_nothing};
    r->cinfo.src = &r->source;
    r->progress.progress_monitor = on_progress;
    r->cinfo.progress = &r->progress;
}

static void read_header(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *c = &r->cinfo;

    (void)jpeg_read_header(c, TRUE);
    if ((int)c->image_width != r->d->info->stored_width || (int)c->image_height != r->d->info->stored_height)
        fail(r, error_set(r->d->err, INFOMASK_BAD_IMAGE, "the JPEG has two frame headers"));
    c->scale_num = (unsigned)r->d->numerator;
    c->scale_denom = 8;
    c->out_color_space =
        c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
    (void)jpeg_start_decompress(c);
    if ((int)c->output_width != r->d->stored_width || (int)c->output_height != r->d->stored_height)
        fail(r, error_set(r->d->err, INFOMASK_INTERNAL, "the JPEG decoder gave another size than was asked for"));
}

/* All writers of CMYK JPEG store the inverted values, as Adobe's do: 255 is no ink.  In place, 4 to 3 bytes. */
static void cmyk_to_rgb(uint8_t *row, int columns)
{
    const uint8_t *from = row;

    for (int i = 0; i < columns; i++, from += 4, row += 3) {
        unsigned k = from[3], rgb[3];
        for (int c = 0; c < 3; c++) {
            unsigned ink = (255U - from[c]) * k + 128;
            rgb[c] = k - (((ink >> 8) + ink) >> 8);
        }
        for (int c = 0; c < 3; c++)
            row[c] = (uint8_t)rgb[c];
    }
}

/* Rows [y, y1) of the columns that libjpeg was told to give, of which the first is x. */
static void read_rows(struct jpeg_reader *r, int x, int y1)
{
    struct jpeg_decompress_struct *c = &r->cinfo;
    bool cmyk = c->out_color_space == JCS_CMYK;
    bool direct = decode_in_place(r->d) && !cmyk;
    size_t stride = (size_t)c->output_width * (size_t)c->output_components;
    JSAMPROW rows[STRIP_ROWS];

    if (!direct && (r->strip = malloc(stride * STRIP_ROWS)) == NULL)
        fail(r, error_set(r->d->err, INFOMASK_MEMORY, "no memory to decode the JPEG"));
    while ((int)c->output_scanline < y1) {
        int y = (int)c->output_scanline, count = y1 - y < STRIP_ROWS ? y1 - y : STRIP_ROWS, got = 0;
        for (int i = 0; i < count; i++)
            rows[i] = direct ? decode_row(r->d, x, y + i) : r->strip + stride * (size_t)i;
        while (got < count)
            got += (int)jpeg_read_scanlines(c, rows + got, (JDIMENSION)(count - got));
        for (int i = 0; cmyk && i < count; i++)
            cmyk_to_rgb(rows[i], (int)c->output_width);
        if (!direct)
            orientation_place(r->d->image, r->d->info->orientation, r->strip, stride, x, y, (int)c->output_width,
                              count);
    }
}

/* The rows below the needed ones are not decoded, but the file must have them: entropy-coded data holds no FF D9. */
static void finish(struct jpeg_reader *r)
{
    static const uint8_t end[2] = {0xFF, JPEG_EOI};

    if (r->cinfo.output_scanline == r->cinfo.output_height)
        (void)jpeg_finish_decompress(&r->cinfo);
    else if (!jpeg_input_complete(&r->cinfo) && r->cinfo.unread_marker != JPEG_EOI &&
             memmem(r->source.next_input_byte, r->source.bytes_in_buffer, end, sizeof end) == NULL)
        truncated(r);
}

static void read_needed(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *c = &r->cinfo;
    const struct image_region *needed = &r->d->needed;
    int left = needed->left - MARGIN, right = needed->left + needed->width + MARGIN;
    int top = needed->top - 2 * MARGIN;
    JDIMENSION x = left < 0 ? 0 : (JDIMENSION)left, columns;

    columns = (JDIMENSION)(right > (int)c->output_width ? (int)c->output_width : right) - x;
    if (columns < c->output_width)
        jpeg_crop_scanline(c, &x, &columns);
    if (top > 0)
        (void)jpeg_skip_scanlines(c, (JDIMENSION)top);
    read_rows(r, (int)x, needed->top + needed->height);
    finish(r);
}

static enum infomask_status guarded(struct jpeg_reader *r)
{
    if (setjmp(r->escape) != 0)
        return r->status;
    open_reader(r);
    read_header(r);
    read_needed(r);
    return INFOMASK_OK;
}

enum infomask_status decode_jpeg(struct decoding *d)
{
    struct jpeg_reader r = {.d = d};
    enum infomask_status status;

    r.cinfo.err = jpeg_std_error(&r.errors);
    r.cinfo.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = no_output;
    status = guarded(&r);
    jpeg_destroy_decompress(&r.cinfo);
    free(r.strip);
    return status;
}
