#include "server/message/gzip.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <zlib.h>

#define WINDOW (15 + 16) /* zlib's way to say: gzip's header and trailer */
#define UNPACKED_LIMIT (1024 * 1024)

/* The weight is 0 only as "q=0", "q=0.", "q=0.000". */
static bool refused(const char *weight, size_t size)
{
    const char *q = memmem(weight, size, "q=", 2);
    if (q == NULL)
        q = memmem(weight, size, "Q=", 2);
    if (q == NULL || q[2] != '0')
        return false;
    size_t rest = size - (size_t)(q + 2 - weight);
    return strspn(q + 2, "0.") >= rest || strchr(" \t,", q[2 + strspn(q + 2, "0.")]) != NULL;
}

bool gzip_accepted(const char *list)
{
    bool any = false;

    while (list != NULL && *list != '\0') {
        list += strspn(list, " \t,");
        size_t size = strcspn(list, ","), name = strcspn(list, "; \t,");
        bool takes = !refused(list + name, size - name);
        if (name == 4 && strncasecmp(list, "gzip", 4) == 0)
            return takes;
        if (name == 1 && *list == '*')
            any = takes;
        list += size;
    }
    return any;
}

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
