#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include <jpeglib.h>

#include "core/base/checked.h"
#include "core/image/codec/bytes.h"
#include "core/image/image.h"

enum {
    FULL_CHROMA_FROM = 90,
    /* Optimised tables need all coefficients at once, 6 bytes a pixel; larger pictures get the standard tables. */
    OPTIMISED_PIXELS = 16000000,
    PORTION = 64 << 10
};

struct jpeg_writer {
    struct jpeg_compress_struct cinfo;
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr destination;
    jmp_buf escape;
    struct bytes out;
    uint8_t *row;
    struct infomask_error *err;
    enum infomask_status status;
};

static void fail(struct jpeg_writer *w, enum infomask_status status)
{
    w->status = status;
    longjmp(w->escape, 1);
}

static void no_memory(struct jpeg_writer *w)
{
    fail(w, error_set(w->err, INFOMASK_MEMORY, "no memory to encode the JPEG"));
}

static void on_error(j_common_ptr common)
{
    struct jpeg_writer *w = common->client_data;

    fail(w, error_set(w->err, INFOMASK_INTERNAL, "the picture cannot be encoded as JPEG"));
}

static void no_message(j_common_ptr common, int level)
{
    (void)common;
    (void)level;
}

static void no_output(j_common_ptr common) { (void)common; }

static void offer(struct jpeg_writer *w)
{
    if (!bytes_reserve(&w->out, PORTION))
        no_memory(w);
    w->destination.next_output_byte = w->out.data + w->out.size;
    w->destination.free_in_buffer = w->out.capacity - w->out.size;
}

static void destination_begin(j_compress_ptr cinfo) { offer(cinfo->client_data); }

static boolean destination_full(j_compress_ptr cinfo)
{
    struct jpeg_writer *w = cinfo->client_data;

    w->out.size = w->out.capacity; /* libjpeg calls this only when all of it is written */
    offer(w);
    return TRUE;
}

static void destination_end(j_compress_ptr cinfo)
{
    struct jpeg_writer *w = cinfo->client_data;

    w->out.size = w->out.capacity - w->destination.free_in_buffer;
}

static void configure(struct jpeg_writer *w, const struct image_jpeg *jpeg)
{
    struct jpeg_compress_struct *c = &w->cinfo;

    jpeg_create_compress(c);
    w->destination = (struct jpeg_destination_mgr){.init_destination = destination_begin,
                                                   .empty_output_buffer = destination_full,
                                                   .term_destination = destination_end};
    c->dest = &w->destination;
    c->image_width = (JDIMENSION)jpeg->width;
    c->image_height = (JDIMENSION)jpeg->height;
    c->input_components = 3;
    c->in_color_space = JCS_RGB;
    jpeg_set_defaults(c);
    jpeg_set_quality(c, jpeg->quality, TRUE);
    if (jpeg->quality >= FULL_CHROMA_FROM)
        c->comp_info[0].h_samp_factor = c->comp_info[0].v_samp_factor = 1;
    c->optimize_coding = (size_t)jpeg->width * (size_t)jpeg->height <= OPTIMISED_PIXELS;
}

static void write_rows(struct jpeg_writer *w, image_row *row, void *context)
{
    w->row = malloc((size_t)w->cinfo.image_width * 3);
    if (w->row == NULL)
        no_memory(w);
    while (w->cinfo.next_scanline < w->cinfo.image_height) {
        row(context, (int)w->cinfo.next_scanline, w->row);
        (void)jpeg_write_scanlines(&w->cinfo, &w->row, 1);
    }
}

static enum infomask_status guarded(struct jpeg_writer *w, const struct image_jpeg *jpeg, image_row *row, void *context)
{
    if (setjmp(w->escape) != 0)
        return w->status;
    configure(w, jpeg);
    jpeg_start_compress(&w->cinfo, TRUE);
    if (jpeg->icc != NULL && jpeg->icc_size > 0)
        jpeg_write_icc_profile(&w->cinfo, jpeg->icc, (unsigned)jpeg->icc_size);
    write_rows(w, row, context);
    jpeg_finish_compress(&w->cinfo);
    return INFOMASK_OK;
}

enum infomask_status image_encode_jpeg(const struct image_jpeg *jpeg, image_row *row, void *context, uint8_t **data,
                                       size_t *size, struct infomask_error *err)
{
    struct jpeg_writer w = {.err = err, .out.ceiling = SIZE_MAX / 2};
    enum infomask_status status;

    *data = NULL;
    *size = 0;
    if (jpeg->width < 1 || jpeg->height < 1 || jpeg->width > JPEG_MAX_DIMENSION || jpeg->height > JPEG_MAX_DIMENSION)
        return error_set(err, INFOMASK_ARGUMENT, "a JPEG has 1 to %ld pixels a side", (long)JPEG_MAX_DIMENSION);
    if (jpeg->quality < 1 || jpeg->quality > 100)
        return error_set(err, INFOMASK_ARGUMENT, "the quality of a JPEG is 1 to 100");
    w.cinfo.err = jpeg_std_error(&w.errors);
    w.cinfo.client_data = &w;
    w.errors.error_exit = on_error;
    w.errors.emit_message = no_message;
    w.errors.output_message = no_output;
    status = guarded(&w, jpeg, row, context);
    jpeg_destroy_compress(&w.cinfo);
    free(w.row);
    if (status != INFOMASK_OK) {
        bytes_fini(&w.out);
        return status;
    }
    *data = bytes_take(&w.out, size);
    return INFOMASK_OK;
}
