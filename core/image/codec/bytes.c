#include "core/image/codec/bytes.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"

enum { FIRST = 4096 };

bool bytes_reserve(struct bytes *bytes, size_t more)
{
    size_t need, capacity = bytes->capacity + bytes->capacity / 2;
    uint8_t *data;

    if (!checked_add(bytes->size, more, &need) || need > bytes->ceiling)
        return false;
    if (need <= bytes->capacity)
        return true;
    capacity = capacity < FIRST ? FIRST : capacity;
    capacity = capacity < need ? need : capacity;
    capacity = capacity > bytes->ceiling ? bytes->ceiling : capacity;
    data = realloc(bytes->data, capacity);
    if (data == NULL)
        return false;
    bytes->data = data;
    bytes->capacity = capacity;
    return true;
}

bool bytes_append(struct bytes *bytes, const void *data, size_t size)
{
    if (!bytes_reserve(bytes, size))
        return false;
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return true;
}

uint8_t *bytes_take(struct bytes *bytes, size_t *size)
{
    uint8_t *data = bytes->data, *cut = bytes->size > 0 ? realloc(data, bytes->size) : NULL;

    *size = bytes->size;
    *bytes = (struct bytes){.ceiling = bytes->ceiling};
    return cut != NULL ? cut : data;
}

void bytes_fini(struct bytes *bytes)
{
    free(bytes->data);
    bytes->data = NULL;
    bytes->size = bytes->capacity = 0;
}
