/* JPEG through libjpeg-turbo: scaled DCT, and only the rows and columns that are needed.
 *
 * Two threads can share one file, although its entropy-coded data can only be read from the start: a second reader goes
 * through the upper rows without transforming them (about two thirds of the work), and decodes the lower ones while the
 * first decodes the upper ones.  It pays only for a thread that has nothing else to do, so the second reader must come
 * before the first has gone far; else the first simply goes on to the end. */
#include <setjmp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "core/base/checked.h"
#include "core/base/pool.h"
#include "core/image/codec/decode.h"
#include "core/image/codec/orientation.h"

enum {
    STRIP_ROWS = 16, /* the rows of one MCU */
    /* The chroma upsampling looks one sample sideways (two pixels) and up to the next row group; beside a cut it has
     * nothing to look at, so the cut is made this far outside of what is needed. */
    MARGIN = 8,
    /* Files below are decoded in a fraction of a millisecond: not worth waking a thread. */
    SHARE_BYTES = 24 * 1024,
    SHARE_ROWS = 8 * STRIP_ROWS
};

/* The lower rows are nobody's until the second reader takes them or the first keeps them. */
enum claim { OPEN, TAKEN, KEPT };

struct jpeg_shared {
    struct decoding *d;
    int border;       /* the first of the lower rows */
    int decided;      /* when the first reader is here, it keeps what was not taken */
    _Atomic int claim; /* enum claim */
    enum infomask_status status[2];
    struct infomask_error err[2];
};

struct jpeg_reader {
    struct jpeg_decompress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    struct jpeg_source_mgr source;
    jmp_buf escape;
    const struct decoding *d;
    struct infomask_error *err; /* the reader's own, as two may fail at once */
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
    struct infomask_error *err = r->err;

    switch (common->err->msg_code) {
    case JERR_OUT_OF_MEMORY:
        fail(r, error_set(err, INFOMASK_MEMORY, "no memory to decode the JPEG"));
        break;
    case JERR_NO_BACKING_STORE: /* what the limit on memory looks like */
        fail(r,
             error_set(err, INFOMASK_TOO_MANY_PIXELS,
                       "decoding this progressive JPEG needs more than the %zu MiB that are allowed (decoder_memory)",
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
        fail(r, error_set(r->err, INFOMASK_BAD_IMAGE, "the JPEG's data is damaged"));
}

static void no_output(j_common_ptr common) { (void)common; }

/* Runs once an MCU row, in every scan. */
static void on_progress(j_common_ptr common)
{
    struct jpeg_reader *r = common->client_data;

    if (r->cinfo.input_scan_number > r->d->limits->max_scans)
        fail(r, error_set(r->err, INFOMASK_BAD_IMAGE,
                          "the JPEG has more than the %d scans that are allowed (max_scans)", r->d->limits->max_scans));
    if (decode_expired(r->d))
        fail(r, decode_deadline(r->err));
}

static void source_nothing(j_decompress_ptr cinfo) { (void)cinfo; }

static void truncated(struct jpeg_reader *r)
{
    fail(r, error_set(r->err, INFOMASK_BAD_IMAGE, "the JPEG is truncated"));
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
        fail(r, error_set(r->err, INFOMASK_BAD_IMAGE, "the JPEG has two frame headers"));
    c->scale_num = (unsigned)r->d->numerator;
    c->scale_denom = 8;
    c->out_color_space =
        c->jpeg_color_space == JCS_CMYK || c->jpeg_color_space == JCS_YCCK ? JCS_CMYK : JCS_RGB;
}

/* Reads all scans of a progressive file. */
static void start(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *c = &r->cinfo;

    (void)jpeg_start_decompress(c);
    if ((int)c->output_width != r->d->stored_width || (int)c->output_height != r->d->stored_height)
        fail(r, error_set(r->err, INFOMASK_INTERNAL, "the JPEG decoder gave another size than was asked for"));
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

/* Where the next `count` rows from y go. */
static void aim(const struct jpeg_reader *r, bool direct, size_t stride, int x, int y, int count, JSAMPROW *rows)
{
    for (int i = 0; i < count; i++)
        rows[i] = direct ? decode_row(r->d, x, y + i) : r->strip + stride * (size_t)i;
}

/* Up to row y1, of the columns that libjpeg was told to give, of which the first is x.  Rows above y0 are read but put
 * nowhere. */
static void read_rows(struct jpeg_reader *r, int x, int y0, int y1)
{
    struct jpeg_decompress_struct *c = &r->cinfo;
    bool cmyk = c->out_color_space == JCS_CMYK, in_place = decode_in_place(r->d) && !cmyk;
    size_t stride = (size_t)c->output_width * (size_t)c->output_components;
    bool strip = r->strip == NULL && (!in_place || (int)c->output_scanline < y0);
    JSAMPROW rows[STRIP_ROWS];

    if (strip && (r->strip = malloc(stride * STRIP_ROWS)) == NULL)
        fail(r, error_set(r->err, INFOMASK_MEMORY, "no memory to decode the JPEG"));
    while ((int)c->output_scanline < y1) {
        int y = (int)c->output_scanline, end = y < y0 ? y0 : y1, got = 0;
        int count = end - y < STRIP_ROWS ? end - y : STRIP_ROWS;
        aim(r, in_place && y >= y0, stride, x, y, count, rows);
        while (got < count)
            got += (int)jpeg_read_scanlines(c, rows + got, (JDIMENSION)(count - got));
        if (y < y0)
            continue;
        for (int i = 0; cmyk && i < count; i++)
            cmyk_to_rgb(rows[i], (int)c->output_width);
        if (!in_place)
            orientation_place(r->d->image, r->d->info->orientation,
                              &(struct orientation_part){r->strip, stride, x, y, (int)c->output_width, count});
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

/* Leaves out the columns that are not needed; the first that is given. */
static int crop_columns(struct jpeg_reader *r)
{
    struct jpeg_decompress_struct *c = &r->cinfo;
    const struct image_region *needed = &r->d->needed;
    int left = needed->left - MARGIN, right = needed->left + needed->width + MARGIN;
    JDIMENSION x = left < 0 ? 0 : (JDIMENSION)left, columns;

    columns = (JDIMENSION)(right > (int)c->output_width ? (int)c->output_width : right) - x;
    if (columns < c->output_width)
        jpeg_crop_scanline(c, &x, &columns);
    return (int)x;
}

static void skip_rows(struct jpeg_reader *r, int rows)
{
    if (rows > 0)
        (void)jpeg_skip_scanlines(&r->cinfo, (JDIMENSION)rows);
}

static bool claim(struct jpeg_shared *shared, enum claim as)
{
    int open = OPEN;
    return atomic_compare_exchange_strong(&shared->claim, &open, as);
}

static void read_from_the_top(struct jpeg_reader *r, struct jpeg_shared *shared)
{
    int top = r->d->needed.top, bottom = top + r->d->needed.height, x;

    read_header(r);
    start(r);
    x = crop_columns(r);
    skip_rows(r, top - 2 * MARGIN);
    read_rows(r, x, 0, shared->decided);
    if (claim(shared, KEPT)) {
        read_rows(r, x, 0, bottom);
        finish(r);
    } else {
        read_rows(r, x, 0, shared->border);
    }
}

/* Progressive files come in several scans, each of all rows: there is nothing to share. */
static void read_from_the_border(struct jpeg_reader *r, struct jpeg_shared *shared)
{
    int x;

    read_header(r);
    if (jpeg_has_multiple_scans(&r->cinfo) || !claim(shared, TAKEN))
        return;
    start(r);
    x = crop_columns(r);
    skip_rows(r, shared->border - 2 * MARGIN);
    read_rows(r, x, shared->border, r->d->needed.top + r->d->needed.height);
    finish(r);
}

static enum infomask_status guarded(struct jpeg_reader *r, struct jpeg_shared *shared, bool lower)
{
    if (setjmp(r->escape) != 0)
        return r->status;
    open_reader(r);
    if (lower)
        read_from_the_border(r, shared);
    else
        read_from_the_top(r, shared);
    return INFOMASK_OK;
}

static void read_part(void *context, int part, int worker)
{
    struct jpeg_shared *shared = context;
    struct jpeg_reader r = {.d = shared->d, .err = &shared->err[part]};

    (void)worker;
    if (part == 1 && atomic_load(&shared->claim) != OPEN)
        return;
    r.cinfo.err = jpeg_std_error(&r.errors);
    r.cinfo.client_data = &r;
    r.errors.error_exit = on_error;
    r.errors.emit_message = on_message;
    r.errors.output_message = no_output;
    shared->status[part] = guarded(&r, shared, part == 1);
    if (part == 0)
        (void)claim(shared, KEPT); /* what failed above is not worth the work below */
    jpeg_destroy_decompress(&r.cinfo);
    free(r.strip);
}

/* Entropy-coded data takes two thirds of the time.  If a row that is skipped costs 2 and one that is decoded 3, then
 * the first reader (skips to the top t, decodes to the border b) needs 2 t + 3 (b - t), the second (skips to the
 * border, decodes to the end e) 2 b + 3 (e - b): the same for b = (3 e + t) / 4. */
static void share(struct jpeg_shared *shared)
{
    const struct image_region *needed = &shared->d->needed;
    int top = needed->top, bottom = top + needed->height;

    shared->border = shared->decided = bottom;
    if (shared->d->size < SHARE_BYTES || needed->height < SHARE_ROWS)
        return;
    shared->border = (3 * bottom + top) / 4 / STRIP_ROWS * STRIP_ROWS;
    shared->decided = top + needed->height / 8;
}

enum infomask_status decode_jpeg(struct decoding *d)
{
    struct jpeg_shared shared = {.d = d};
    int part;

    share(&shared);
    pool_for(d->pool, shared.border == shared.decided ? 1 : 2, read_part, &shared);
    part = shared.status[0] != INFOMASK_OK || atomic_load(&shared.claim) != TAKEN ? 0 : 1;
    if (shared.status[part] != INFOMASK_OK && d->err != NULL)
        *d->err = shared.err[part];
    return shared.status[part];
}
