/* A growing block of bytes, born with its ceiling.  Private to the room. */
#ifndef INFOMASK_IMAGE_CODEC_BYTES_H
#define INFOMASK_IMAGE_CODEC_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
    uint8_t *data; /* malloc'ed; NULL while empty */
    size_t size, capacity, ceiling;
};

/* Room for `more` bytes behind data + size; false: no memory, or over the ceiling. */
bool bytes_reserve(struct bytes *bytes, size_t more);
bool bytes_append(struct bytes *bytes, const void *data, size_t size);
/* Hands over the block, cut to its size; the caller frees it. */
uint8_t *bytes_take(struct bytes *bytes, size_t *size);
void bytes_fini(struct bytes *bytes);

#endif
