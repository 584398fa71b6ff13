#include "server/message/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

#define WINDOW (15 + 16) /* zlib's way to say: gzip's header and trailer */
#define UNPACKED_LIMIT (1024 * 1024)

bool gzip_pack(const void *data, size_t size, char **out, size_t *out_size)
{
    z_stream stream = {0};
    char *packed = malloc(size);

    /* the fastest level: the texts are small, and a core is worth more than the last tenth of their size */
    if (packed == NULL || deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        free(packed);
        return false;
    }
    stream.next_in = (z_const Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)packed;
    stream.avail_out = (uInt)size;
    bool done = deflate(&stream, Z_FINISH) == Z_STREAM_END;
    *out_size = size - stream.avail_out;
    (void)deflateEnd(&stream);
    if (!done) {
        free(packed);
        return false;
    }
    *out = packed;
    return true;
}

bool gzip_unpack(const void *data, size_t size, char **out, size_t *out_size)
{
    z_stream stream = {0};
    char *text = malloc(UNPACKED_LIMIT);

    if (text == NULL || inflateInit2(&stream, WINDOW) != Z_OK) {
        free(text);
        return false;
    }
    stream.next_in = (z_const Bytef *)(uintptr_t)data;
    stream.avail_in = (uInt)size;
    stream.next_out = (Bytef *)text;
    stream.avail_out = UNPACKED_LIMIT;
    bool done = inflate(&stream, Z_FINISH) == Z_STREAM_END;
    *out_size = UNPACKED_LIMIT - stream.avail_out;
    (void)inflateEnd(&stream);
    if (!done) {
        free(text);
        return false;
    }
    *out = text;
    return true;
}
