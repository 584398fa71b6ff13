/* WebP by libwebp: lossless for masks, lossy for photos, their alpha always as it is.  A colour profile goes along
 * through libwebpmux, which copies the encoded picture once. */
#include <stdlib.h>
#include <string.h>

#include <webp/encode.h>
#include <webp/mux.h>

#include "core/image/codec/bytes.h"
#include "core/image/image.h"

enum {
    LOSSY_METHOD = 2,  /* of 0..6: 3 and 4 take more than twice the time on a photo, and its file is no smaller */
    LOSSLESS_LEVEL = 2 /* of 0..9: on masks the higher ones gain nothing, and the highest take 50 times as long */
};

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory to encode the WebP");
}

static bool configure(WebPConfig *config, const struct image_webp *q)
{
    if (!WebPConfigInit(config))
        return false;
    if (q->quality == 0)
        return WebPConfigLosslessPreset(config, LOSSLESS_LEVEL) != 0;
    config->quality = (float)q->quality;
    config->method = LOSSY_METHOD;
    return WebPValidateConfig(config) != 0;
}

static uint32_t argb(const uint8_t *p, int channels)
{
    uint32_t red = p[0], green = p[channels == 1 ? 0 : 1], blue = p[channels == 1 ? 0 : 2];

    return (channels == 4 ? (uint32_t)p[3] : 255U) << 24 | red << 16 | green << 8 | blue;
}

static enum infomask_status take_rows(WebPPicture *picture, const struct image_webp *q, image_row *row, void *context,
                                      struct infomask_error *err)
{
    uint8_t *samples = malloc((size_t)q->width * (size_t)q->channels);

    if (samples == NULL || !WebPPictureAlloc(picture)) {
        free(samples);
        return no_memory(err);
    }
    for (int y = 0; y < q->height; y++) {
        uint32_t *out = picture->argb + (size_t)y * (size_t)picture->argb_stride;
        row(context, y, samples);
        for (int x = 0; x < q->width; x++)
            out[x] = argb(samples + (size_t)x * (size_t)q->channels, q->channels);
    }
    free(samples);
    return INFOMASK_OK;
}

static int on_write(const uint8_t *data, size_t size, const WebPPicture *picture)
{
    return bytes_append(picture->custom_ptr, data, size);
}

/* The same picture in the extended format, with its profile before it. */
static enum infomask_status add_profile(struct bytes *out, const struct image_webp *q, struct infomask_error *err)
{
    const WebPData picture = {out->data, out->size}, profile = {q->icc, q->icc_size};
    WebPData whole = {0};
    WebPMux *mux = WebPMuxNew();
    bool fine = mux != NULL && WebPMuxSetImage(mux, &picture, 0) == WEBP_MUX_OK &&
                WebPMuxSetChunk(mux, "ICCP", &profile, 0) == WEBP_MUX_OK && WebPMuxAssemble(mux, &whole) == WEBP_MUX_OK;

    WebPMuxDelete(mux);
    if (fine) {
        out->size = 0;
        fine = bytes_append(out, whole.bytes, whole.size);
    }
    WebPDataClear(&whole);
    return fine ? INFOMASK_OK : no_memory(err);
}

static enum infomask_status encode(const struct image_webp *q, image_row *row, void *context, struct bytes *out,
                                   struct infomask_error *err)
{
    enum infomask_status status;
    WebPConfig config;
    WebPPicture picture;

    if (!configure(&config, q) || !WebPPictureInit(&picture))
        return error_set(err, INFOMASK_INTERNAL, "libwebp is another version than the one that this was built with");
    picture.use_argb = 1;
    picture.width = q->width;
    picture.height = q->height;
    picture.writer = on_write;
    picture.custom_ptr = out;
    status = take_rows(&picture, q, row, context, err);
    if (status == INFOMASK_OK && !WebPEncode(&config, &picture))
        status = picture.error_code == VP8_ENC_ERROR_PARTITION0_OVERFLOW ||
                         picture.error_code == VP8_ENC_ERROR_PARTITION_OVERFLOW
                     ? error_set(err, INFOMASK_ARGUMENT,
                                 "the picture holds more than a lossy WebP can; ask for PNG or JPEG")
                     : no_memory(err);
    WebPPictureFree(&picture);
    return status;
}

enum infomask_status image_encode_webp(const struct image_webp *webp, image_row *row, void *context, uint8_t **data,
                                       size_t *size, struct infomask_error *err)
{
    struct bytes out = {.ceiling = SIZE_MAX / 2};
    enum infomask_status status;

    *data = NULL;
    *size = 0;
    if (webp->width < 1 || webp->height < 1 || webp->width > WEBP_MAX_DIMENSION || webp->height > WEBP_MAX_DIMENSION)
        return error_set(err, INFOMASK_ARGUMENT,
                         "a WebP has 1 to %d pixels a side; this picture has %d x %d, ask for PNG", WEBP_MAX_DIMENSION,
                         webp->width, webp->height);
    if ((webp->channels != 1 && webp->channels != 3 && webp->channels != 4) || webp->quality < 0 || webp->quality > 100)
        return error_set(err, INFOMASK_ARGUMENT, "%d channels at quality %d are no WebP of ours", webp->channels,
                         webp->quality);
    status = encode(webp, row, context, &out, err);
    if (status == INFOMASK_OK && webp->icc != NULL && webp->icc_size > 0)
        status = add_profile(&out, webp, err);
    if (status != INFOMASK_OK) {
        bytes_fini(&out);
        return status;
    }
    *data = bytes_take(&out, size);
    return INFOMASK_OK;
}
