/* What the header says, and whether it is within the limits. */
#include <string.h>

#include <webp/decode.h>

#include "core/image/codec/orientation.h"
#include "core/image/codec/segments.h"
#include "core/image/image.h"

const struct image_limits image_default_limits = {
    .max_pixels = 40000000,
    .max_side = 16384,
    .min_side = 8,
    .max_scans = 100,
    .decoder_memory = (size_t)256 << 20,
};

const char *image_format_name(enum image_format format)
{
    switch (format) {
    case IMAGE_JPEG:
        return "jpeg";
    case IMAGE_PNG:
        return "png";
    case IMAGE_WEBP:
        return "webp";
    }
    return "unknown";
}

/* ITU-T T.81 B.2.2: C4, C8 and CC are tables, the other Cx are frames.  C0 to C2 are Huffman-coded sequential and
 * progressive, C9 and CA the same with arithmetic coding; the rest is lossless or hierarchical. */
static bool is_frame(uint32_t marker)
{
    return marker >= 0xC0 && marker <= 0xCF && marker != 0xC4 && marker != 0xC8 && marker != 0xCC;
}

static enum infomask_status probe_jpeg(const void *data, size_t size, struct image_info *info,
                                       struct infomask_error *err)
{
    struct segment_cursor cursor = segment_cursor(IMAGE_JPEG, data, size);
    struct segment s;
    bool found = false;

    while (!found && segment_next(&cursor, &s))
        found = is_frame(s.type);
    if (!found || s.size < 6)
        return error_set(err, INFOMASK_BAD_IMAGE, "the JPEG ends or is damaged before its frame header");
    if (s.data[0] != 8)
        return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "a JPEG must have 8 bits a sample; this has %d", s.data[0]);
    if (s.type > 0xC2 && s.type != 0xC9 && s.type != 0xCA)
        return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "lossless and hierarchical JPEG are not supported");
    if (s.data[5] != 1 && s.data[5] != 3 && s.data[5] != 4)
        return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "a JPEG must have 1, 3 or 4 colours; this has %d",
                         s.data[5]);
    info->stored_height = (int)bytes_be16(s.data + 1);
    info->stored_width = (int)bytes_be16(s.data + 3);
    info->lossy = true;
    return INFOMASK_OK;
}

static enum infomask_status probe_png(const void *data, size_t size, struct image_info *info,
                                      struct infomask_error *err)
{
    struct segment_cursor cursor = segment_cursor(IMAGE_PNG, data, size);
    struct segment s;
    uint32_t width, height;

    if (!segment_next(&cursor, &s) || s.type != SEGMENT_TAG('I', 'H', 'D', 'R') || s.size != 13)
        return error_set(err, INFOMASK_BAD_IMAGE, "the PNG does not begin with its header");
    width = bytes_be32(s.data);
    height = bytes_be32(s.data + 4);
    if (width > INT32_MAX || height > INT32_MAX)
        return error_set(err, INFOMASK_BAD_IMAGE, "the PNG's header is damaged");
    info->stored_width = (int)width;
    info->stored_height = (int)height;
    info->alpha = (s.data[9] & 4) != 0;
    while (!info->alpha && segment_next(&cursor, &s) && s.type != SEGMENT_TAG('I', 'D', 'A', 'T'))
        info->alpha = s.type == SEGMENT_TAG('t', 'R', 'N', 'S');
    return INFOMASK_OK;
}

static enum infomask_status probe_webp(const void *data, size_t size, struct image_info *info,
                                       struct infomask_error *err)
{
    WebPBitstreamFeatures features;

    if (WebPGetFeatures(data, size, &features) != VP8_STATUS_OK)
        return error_set(err, INFOMASK_BAD_IMAGE, "the WebP ends within its header, or its header is damaged");
    if (features.has_animation)
        return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "the WebP is animated; only still ones are supported");
    info->stored_width = features.width;
    info->stored_height = features.height;
    info->alpha = features.has_alpha != 0;
    info->lossy = features.format != 2;
    return INFOMASK_OK;
}

static enum infomask_status check_limits(const struct image_info *info, const struct image_limits *limits,
                                         struct infomask_error *err)
{
    int width = info->width, height = info->height;
    size_t pixels = (size_t)width * (size_t)height;

    if (width > limits->max_side || height > limits->max_side)
        return error_set(err, INFOMASK_TOO_MANY_PIXELS,
                         "the photo is %d x %d pixels; a side may have at most %d (max_side)", width, height,
                         limits->max_side);
    if (pixels > limits->max_pixels)
        return error_set(err, INFOMASK_TOO_MANY_PIXELS,
                         "the photo is %d x %d = %zu pixels; at most %zu are allowed (max_pixels)", width, height,
                         pixels, limits->max_pixels);
    if (width < limits->min_side || height < limits->min_side || width < 1 || height < 1)
        return error_set(err, INFOMASK_BAD_IMAGE, "the photo is %d x %d pixels; a side must have at least %d", width,
                         height, limits->min_side);
    return INFOMASK_OK;
}

/* What people send instead: named, so that they know what to save it as. */
static const struct {
    size_t at;
    const char *bytes, *what;
} others[] = {
    {0, "GIF8", "a GIF picture"},          {4, "ftypavi", "an AVIF picture"},      {4, "ftyphei", "a HEIC picture"},
    {4, "ftyphev", "a HEIC picture"},      {4, "ftypmif1", "a HEIC picture"},      {4, "ftypmsf1", "a HEIC picture"},
    {4, "ftyp", "a film"},                 {0, "BM", "a BMP picture"},             {0, "II*", "a TIFF or raw picture"},
    {0, "MM\0*", "a TIFF or raw picture"}, {0, "\xff\x0a", "a JPEG XL picture"},  {4, "JXL ", "a JPEG XL picture"},
    {4, "jP  ", "a JPEG 2000 picture"},    {0, "8BPS", "a Photoshop file"},        {0, "%PDF", "a PDF document"},
    {0, "<svg", "an SVG drawing"},         {0, "<?xml", "XML or an SVG drawing"},  {0, "<!", "a web page"},
    {0, "<html", "a web page"},            {0, "{", "JSON"},                       {0, "/9j/", "base64 text"},
    {0, "iVBORw0KGgo", "base64 text"},     {0, "UklGR", "base64 text"},            {0, "data:", "a data: URL"},
    {0, "PK", "a ZIP archive"},            {0, "\x1f\x8b", "a gzip file"},
};

static enum infomask_status refuse_other(const uint8_t *data, size_t size, struct infomask_error *err)
{
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        size_t length = others[i].bytes[0] == 'M' ? 4 : strlen(others[i].bytes); /* one of them holds a NUL */
        if (size >= others[i].at + length && memcmp(data + others[i].at, others[i].bytes, length) == 0)
            return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "the bytes are not a JPEG, PNG or WebP image but %s",
                             others[i].what);
    }
    return error_set(err, INFOMASK_UNSUPPORTED_FORMAT, "the bytes are not a JPEG, PNG or WebP image");
}

enum infomask_status image_probe(const void *data, size_t size, const struct image_limits *limits,
                                 struct image_info *info, struct infomask_error *err)
{
    enum infomask_status (*const probes[])(const void *, size_t, struct image_info *, struct infomask_error *) = {
        [IMAGE_JPEG] = probe_jpeg, [IMAGE_PNG] = probe_png, [IMAGE_WEBP] = probe_webp};
    struct image_info found = {.format = IMAGE_JPEG};
    enum infomask_status status;

    if (size == 0)
        return error_set(err, INFOMASK_BAD_IMAGE, "the image is empty");
    if (!segment_sniff(data, size, &found.format))
        return refuse_other(data, size, err);
    status = probes[found.format](data, size, &found, err);
    if (status != INFOMASK_OK)
        return status;
    found.orientation = orientation_find(found.format, data, size);
    found.width = orientation_swaps(found.orientation) ? found.stored_height : found.stored_width;
    found.height = orientation_swaps(found.orientation) ? found.stored_width : found.stored_height;
    status = check_limits(&found, limits != NULL ? limits : &image_default_limits, err);
    if (status == INFOMASK_OK)
        *info = found;
    return status;
}
