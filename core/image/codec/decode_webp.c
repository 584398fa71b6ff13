/* Still WebP through libwebp, fed in portions so that the deadline is looked at between them.
 *
 * Of a lossless picture the library reads all that comes before the pixels, which may be most of the file, from its
 * start again with each portion: so each is half as long as everything before it, and that is read three times.
 */
#include <webp/decode.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/codec/decode.h"
#include "core/image/codec/orientation.h"
#include "core/image/codec/segments.h"

enum { PORTION = 32 << 10 };

static enum infomask_status feed(struct decoding *d, WebPIDecoder *decoder)
{
    size_t given = 0, portion;

    while (given < d->size) {
        VP8StatusCode code;
        if (decode_expired(d))
            return decode_deadline(d->err);
        portion = given / 2 > PORTION ? given / 2 : PORTION;
        given = d->size - given < portion ? d->size : given + portion;
        code = WebPIUpdate(decoder, d->data, given);
        if (code == VP8_STATUS_OK)
            return INFOMASK_OK;
        if (code == VP8_STATUS_OUT_OF_MEMORY)
            return error_set(d->err, INFOMASK_MEMORY, "no memory to decode the WebP");
        if (code != VP8_STATUS_SUSPENDED)
            return error_set(d->err, INFOMASK_BAD_IMAGE, "the WebP's data is damaged");
    }
    return error_set(d->err, INFOMASK_BAD_IMAGE, "the WebP is truncated");
}

static enum infomask_status decode_into(struct decoding *d, uint8_t *pixels)
{
    WebPDecoderConfig config;
    WebPIDecoder *decoder;
    enum infomask_status status;

    if (!WebPInitDecoderConfig(&config) || WebPGetFeatures(d->data, d->size, &config.input) != VP8_STATUS_OK)
        return error_set(d->err, INFOMASK_BAD_IMAGE, "the WebP's header is damaged");
    config.output.colorspace = d->image->channels == 4 ? MODE_RGBA : MODE_RGB;
    config.output.is_external_memory = 1;
    config.output.u.RGBA.rgba = pixels;
    config.output.u.RGBA.stride = d->stored_width * d->image->channels;
    config.output.u.RGBA.size = (size_t)config.output.u.RGBA.stride * (size_t)d->stored_height;
    decoder = WebPIDecode(NULL, 0, &config);
    if (decoder == NULL)
        return error_set(d->err, INFOMASK_MEMORY, "no memory to decode the WebP");
    status = feed(d, decoder);
    WebPIDelete(decoder);
    return status;
}

enum infomask_status decode_webp(struct decoding *d)
{
    size_t pixels = (size_t)d->stored_width * (size_t)d->stored_height, bytes = pixels * (size_t)d->image->channels;
    enum infomask_status status;
    uint8_t *stored;

    /* libwebp would make up what is missing at the end of lossy data */
    if (bytes_le32(d->data + 4) > d->size - 8)
        return error_set(d->err, INFOMASK_BAD_IMAGE, "the WebP is truncated");
    /* libwebp has no limit of its own; a lossless picture takes 4 bytes a pixel beside the output */
    if (pixels > d->limits->decoder_memory / 4)
        return error_set(d->err, INFOMASK_TOO_MANY_PIXELS,
                         "decoding this WebP needs more than the %zu MiB allowed (decoder_memory)",
                         d->limits->decoder_memory >> 20);
    if (decode_in_place(d))
        return decode_into(d, d->image->pixels);
    stored = aligned_new(bytes);
    if (stored == NULL)
        return error_set(d->err, INFOMASK_MEMORY, "no memory to decode the WebP");
    status = decode_into(d, stored);
    if (status == INFOMASK_OK)
        orientation_place(d->image, d->info->orientation,
                          &(struct orientation_part){stored, bytes / (size_t)d->stored_height, 0, 0, d->stored_width,
                                                     d->stored_height});
    aligned_free(stored);
    return status;
}
