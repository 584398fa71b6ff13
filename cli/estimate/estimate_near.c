/* Near copies among photos, by a perceptual hash: estimate --group-by near.
 *
 * A photo is drawn at 9 x 9 pixels; each bit says whether a pixel is brighter than its neighbour on the right, or the
 * one below: 128 bits that survive another size, another compression and a little light (dHash).  Photos that differ in
 * at most 7 of them are near, and near ones of near ones are one group.  Of 8 blocks of 16 bits such two have one in
 * common, so only photos with a common block are compared. */
#include <stdlib.h>
#include <string.h>

#include "cli/estimate/estimate_near.h"

#define SIDE 9
#define MOST_DIFFERENT 7 /* bits: less than there are blocks */
#define BLOCKS 8

struct looked_at {
    uint64_t bits[2]; /* rows, columns */
    bool readable;
    size_t parent; /* of its group: the way to the first member */
};

struct looking {
    const struct photo_list *list;
    const struct infomask_limits *limits;
    size_t max_bytes;
    struct looked_at *photos;
};

/* ---- Hashes ------------------------------------------------------------------------------------------------------ */

static int brightness(const uint8_t *rgb)
{
    return 299 * rgb[0] + 587 * rgb[1] + 114 * rgb[2];
}

static void hash_pixels(const uint8_t *rgb, uint64_t bits[2])
{
    bits[0] = bits[1] = 0;
    for (int y = 0; y < SIDE - 1; y++)
        for (int x = 0; x < SIDE - 1; x++) {
            const uint8_t *here = rgb + (ptrdiff_t)3 * (SIDE * y + x);
            bits[0] = bits[0] << 1 | (brightness(here) > brightness(here + 3));
            bits[1] = bits[1] << 1 | (brightness(here) > brightness(here + (ptrdiff_t)3 * SIDE));
        }
}

/* What cannot be read is told when it is classified. */
static void look(void *context, int index, int worker)
{
    const struct looking *l = context;
    struct looked_at *photo = &l->photos[index];
    struct infomask_photo *opened = NULL;
    struct infomask_error ignored;
    uint8_t rgb[3 * SIDE * SIDE];
    char *bytes = NULL;
    size_t size = 0;

    (void)worker;
    if (photo_read(&l->list->photos[index], l->max_bytes, &bytes, &size, &ignored) == INFOMASK_OK &&
        infomask_photo_open(bytes, size, l->limits, &opened, &ignored) == INFOMASK_OK &&
        infomask_photo_small(opened, SIDE, SIDE, rgb, &ignored) == INFOMASK_OK) {
        hash_pixels(rgb, photo->bits);
        photo->readable = true;
    }
    infomask_photo_close(opened);
    free(bytes);
}

/* ---- Groups ------------------------------------------------------------------------------------------------------ */

static size_t first_of(struct looked_at *photos, size_t i)
{
    while (photos[i].parent != i)
        i = photos[i].parent = photos[photos[i].parent].parent;
    return i;
}

static bool are_near(const struct looked_at *a, const struct looked_at *b)
{
    return __builtin_popcountll(a->bits[0] ^ b->bits[0]) + __builtin_popcountll(a->bits[1] ^ b->bits[1]) <=
           MOST_DIFFERENT;
}

struct blocked {
    uint32_t block;
    size_t photo;
};

static int by_block(const void *left, const void *right)
{
    const struct blocked *a = left, *b = right;

    if (a->block != b->block)
        return a->block < b->block ? -1 : 1;
    return (a->photo > b->photo) - (a->photo < b->photo);
}

/* Joins what is near among the photos whose block of that number is the same. */
static void join_block(struct looked_at *photos, size_t n, int number, struct blocked *list)
{
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        if (photos[i].readable)
            list[count++] = (struct blocked){(uint32_t)(photos[i].bits[number / 4] >> 16 * (number % 4) & 0xffff), i};
    qsort(list, count, sizeof *list, by_block);
    for (size_t i = 0; i < count; i++)
        for (size_t j = i + 1; j < count && list[j].block == list[i].block; j++) {
            size_t a = first_of(photos, list[i].photo), b = first_of(photos, list[j].photo);
            if (a != b && are_near(&photos[list[i].photo], &photos[list[j].photo]))
                photos[a > b ? a : b].parent = a > b ? b : a;
        }
}

/* A group's number is the least of its members' hashes: what photos are called, and in which order, is all the same. */
static void number_groups(struct photo_list *list, struct looked_at *photos)
{
    for (size_t i = 0; i < list->count; i++) {
        uint64_t hash = (photos[i].bits[0] ^ photos[i].bits[1] * 0x9e3779b97f4a7c15u) | 1;
        uint64_t *number = &list->photos[first_of(photos, i)].near;
        if (photos[i].readable && (*number == 0 || hash < *number))
            *number = hash;
    }
    for (size_t i = 0; i < list->count; i++)
        list->photos[i].near = list->photos[first_of(photos, i)].near;
}

enum infomask_status estimate_group_near(struct photo_list *list, const struct infomask_limits *limits,
                                         size_t max_bytes, struct pool *pool, struct infomask_error *err)
{
    size_t n = list->count;
    struct looking l = {list, limits, max_bytes, calloc(n + 1, sizeof *l.photos)};
    struct blocked *blocked = calloc(n + 1, sizeof *blocked);
    enum infomask_status status = INFOMASK_OK;

    if (l.photos == NULL || blocked == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory to group %zu photos", n);
    } else {
        pool_for(pool, (int)n, look, &l);
        for (size_t i = 0; i < n; i++)
            l.photos[i].parent = i;
        for (int block = 0; block < BLOCKS; block++)
            join_block(l.photos, n, block, blocked);
        number_groups(list, l.photos);
    }
    free(l.photos);
    free(blocked);
    return status;
}
