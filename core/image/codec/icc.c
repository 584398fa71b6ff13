/* The ICC profile as it lies in the file: JPEG APP2 (up to 255 pieces), PNG iCCP (deflated; else one is made of gAMA
 * and cHRM), WebP ICCP.  It is copied, never interpreted; only its colour space is looked at, for what we hand on is
 * RGB (a CMYK profile would be a lie). */
#include <stdlib.h>
#include <string.h>

#include <zlib.h>

#include "core/image/codec/decode.h"
#include "core/image/codec/segments.h"

enum { ICC_MAX = 1 << 20, ICC_HEADER = 128, ICC_SPACE = 16, PIECE_HEADER = 14 };

static uint8_t *copy(const uint8_t *data, size_t size, size_t *icc_size)
{
    uint8_t *icc = size <= ICC_MAX ? malloc(size) : NULL;

    if (icc != NULL) {
        memcpy(icc, data, size);
        *icc_size = size;
    }
    return icc;
}

/* ICC.1:2010 B.4: each piece is "ICC_PROFILE\0", its number from 1 on, their count, then data. */
static uint8_t *find_jpeg(const void *data, size_t size, size_t *icc_size)
{
    struct segment_cursor cursor = segment_cursor(IMAGE_JPEG, data, size);
    struct segment s, pieces[256] = {{0}};
    unsigned count = 0;
    size_t total = 0;
    uint8_t *icc, *end;

    while (segment_next(&cursor, &s)) {
        if (s.type != 0xE2 || s.size < PIECE_HEADER || memcmp(s.data, "ICC_PROFILE", 12) != 0)
            continue;
        if ((count != 0 && s.data[13] != count) || s.data[12] == 0 || s.data[12] > s.data[13] ||
            pieces[s.data[12]].data != NULL)
            return NULL;
        count = s.data[13];
        pieces[s.data[12]] = (struct segment){s.type, s.data + PIECE_HEADER, s.size - PIECE_HEADER};
        total += s.size - PIECE_HEADER;
    }
    for (unsigned i = 1; i <= count; i++)
        if (pieces[i].data == NULL)
            return NULL;
    if (total == 0 || total > ICC_MAX || (icc = malloc(total)) == NULL)
        return NULL;
    end = icc;
    for (unsigned i = 1; i <= count; end += pieces[i].size, i++)
        memcpy(end, pieces[i].data, pieces[i].size);
    *icc_size = total;
    return icc;
}

static uint8_t *inflate_bounded(const uint8_t *data, size_t size, size_t *icc_size)
{
    uLongf length = ICC_MAX;
    uint8_t *buffer = malloc(ICC_MAX), *icc = NULL;

    if (buffer != NULL && uncompress(buffer, &length, data, size) == Z_OK && length > 0)
        icc = copy(buffer, length, icc_size);
    free(buffer);
    return icc;
}

/* A name of 1 to 79 bytes, NUL, method 0, a zlib stream. */
static uint8_t *read_iccp(const struct segment *s, size_t *icc_size)
{
    size_t name = strnlen((const char *)s->data, s->size);

    if (name < 1 || name > 79 || s->size - name < 3 || s->data[name + 1] != 0)
        return NULL;
    return inflate_bounded(s->data + name + 2, s->size - name - 2, icc_size);
}

#define SRGB_GAMMA 45455U /* of 100,000: what sRGB's curve comes to */

static bool near(double a, double b, double within) { return a > b - within && a < b + within; }

/* What gAMA and cHRM come to; none where that is sRGB, or there is no gAMA. */
static uint8_t *profile_of(const struct segment *gama, const struct segment *chrm, size_t *icc_size)
{
    static const double srgb[8] = {.3127, .329, .64, .33, .3, .6, .15, .06};
    uint32_t gamma = gama->size == 4 ? bytes_be32(gama->data) : 0;
    double xy[8];
    bool known = near(gamma, SRGB_GAMMA, 1000);

    if (gamma == 0)
        return NULL;
    memcpy(xy, srgb, sizeof xy);
    for (size_t i = 0; chrm->size == 32 && i < 8; i++) {
        xy[i] = bytes_be32(chrm->data + 4 * i) / 1e5;
        known = known && near(xy[i], srgb[i], .002);
    }
    return known ? NULL : icc_make(1e5 / gamma, xy, icc_size);
}

/* iCCP; else what gAMA and cHRM say, unless sRGB overrules them. */
static uint8_t *find_png(const void *data, size_t size, size_t *icc_size)
{
    struct segment_cursor cursor = segment_cursor(IMAGE_PNG, data, size);
    struct segment s, gama = {0}, chrm = {0};
    bool srgb = false;

    while (segment_next(&cursor, &s) && s.type != SEGMENT_TAG('I', 'D', 'A', 'T')) {
        if (s.type == SEGMENT_TAG('i', 'C', 'C', 'P'))
            return read_iccp(&s, icc_size);
        srgb = srgb || s.type == SEGMENT_TAG('s', 'R', 'G', 'B');
        if (s.type == SEGMENT_TAG('g', 'A', 'M', 'A'))
            gama = s;
        if (s.type == SEGMENT_TAG('c', 'H', 'R', 'M'))
            chrm = s;
    }
    return srgb ? NULL : profile_of(&gama, &chrm, icc_size);
}

static uint8_t *find_webp(const void *data, size_t size, size_t *icc_size)
{
    struct segment_cursor cursor = segment_cursor(IMAGE_WEBP, data, size);
    struct segment s;

    while (segment_next(&cursor, &s))
        if (s.type == SEGMENT_TAG('I', 'C', 'C', 'P'))
            return copy(s.data, s.size, icc_size);
    return NULL;
}

uint8_t *icc_find(enum image_format format, const void *data, size_t size, size_t *icc_size)
{
    uint8_t *(*const finders[])(const void *, size_t, size_t *) = {
        [IMAGE_JPEG] = find_jpeg, [IMAGE_PNG] = find_png, [IMAGE_WEBP] = find_webp};
    uint8_t *icc = finders[format](data, size, icc_size);

    if (icc != NULL && (*icc_size < ICC_HEADER || memcmp(icc + ICC_SPACE, "RGB ", 4) != 0)) {
        free(icc);
        icc = NULL;
    }
    if (icc == NULL)
        *icc_size = 0;
    return icc;
}
