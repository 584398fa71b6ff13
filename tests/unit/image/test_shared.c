/* A JPEG that two threads decode together: the same pixels, and the same failures, as by one. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>

#include <jpeglib.h>

#include "core/base/pool.h"
#include "core/image/image.h"

struct kind {
    const char *name;
    int components, across, down; /* sampling of the first component */
    int restart;                  /* MCUs between restart markers */
    bool progressive;
    int orientation;
};

static const struct kind kinds[] = {
    {"4:4:4", 3, 1, 1, 0, false, 1},        {"4:2:2", 3, 2, 1, 0, false, 1},     {"4:4:0", 3, 1, 2, 0, false, 1},
    {"4:2:0", 3, 2, 2, 0, false, 1},        {"4:1:1", 3, 4, 1, 0, false, 1},     {"4:1:0", 3, 4, 2, 0, false, 1},
    {"grey", 1, 1, 1, 0, false, 1},         {"restarts", 3, 2, 2, 5, false, 1},  {"CMYK", 4, 1, 1, 0, false, 1},
    {"progressive", 3, 2, 2, 0, true, 1},   {"turned", 3, 2, 2, 0, false, 6},    {"mirrored", 3, 1, 1, 0, false, 2},
    {"upside down", 3, 2, 1, 0, false, 3},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static uint32_t random_state = 1;
static int random_below(int limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (int)(random_state >> 8) % limit;
}

struct bytes {
    unsigned char *data;
    unsigned long size;
};

static void write_orientation(struct jpeg_compress_struct *c, int orientation)
{
    unsigned char exif[] = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0, 3, 0, 0, 0, 1, 0, 0, 0, 0,
                            0,   0,   0,   0};

    exif[25] = (unsigned char)orientation;
    jpeg_write_marker(c, JPEG_APP0 + 1, exif, sizeof exif);
}

/* Noise over a slope: much entropy-coded data, and no two rows alike. */
static struct bytes jpeg_of(const struct kind *kind, int width, int height)
{
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    struct bytes file = {0};
    JSAMPROW row = malloc((size_t)(width * kind->components));

    assert_non_null(row);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &file.data, &file.size);
    c.image_width = (JDIMENSION)width;
    c.image_height = (JDIMENSION)height;
    c.input_components = kind->components;
    c.in_color_space = kind->components == 1 ? JCS_GRAYSCALE : kind->components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&c);
    jpeg_set_quality(&c, 95, TRUE);
    c.comp_info[0].h_samp_factor = kind->across;
    c.comp_info[0].v_samp_factor = kind->down;
    c.restart_interval = (unsigned)kind->restart;
    if (kind->progressive)
        jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    write_orientation(&c, kind->orientation);
    while (c.next_scanline < c.image_height) {
        for (int i = 0; i < width * kind->components; i++)
            row[i] = (JSAMPLE)((i / 3 + 2 * (int)c.next_scanline + random_below(90)) & 255);
        (void)jpeg_write_scanlines(&c, &row, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    free(row);
    return file;
}

/* Who polls the deadline is who decodes. */
struct witness {
    pthread_mutex_t lock;
    pthread_t first;
    bool any, second;
};

static bool look(void *context)
{
    struct witness *w = context;

    (void)pthread_mutex_lock(&w->lock);
    if (!w->any)
        w->first = pthread_self();
    w->any = true;
    w->second = w->second || !pthread_equal(w->first, pthread_self());
    (void)pthread_mutex_unlock(&w->lock);
    return false;
}

struct run {
    const struct bytes *file;
    int numerator;
    const struct image_region *region; /* or NULL */
    struct image_limits limits;
    struct pool *pool;
    struct image image;
    struct infomask_error err;
    enum infomask_status status;
};

static void run_decode(void *context)
{
    struct run *run = context;
    const struct image_source source = {run->file->data, run->file->size, &run->limits, run->pool};

    run->err = (struct infomask_error){0};
    run->status = image_decode_scaled(&source, run->numerator, run->region, &run->image, &run->err);
}

/* The needed part of both, bit for bit.  (Regions are those of unturned pictures here.) */
static bool same_pixels(const struct run *a, const struct run *b)
{
    const struct image *x = &a->image, *y = &b->image;
    struct image_region whole = {0, 0, x->width * 8 / a->numerator, x->height * 8 / a->numerator};
    const struct image_region *r = a->region != NULL ? a->region : &whole;
    int left = r->left * a->numerator / 8, right = (r->left + r->width) * a->numerator / 8;
    int bottom = (r->top + r->height) * a->numerator / 8;

    if (x->width != y->width || x->height != y->height || x->channels != y->channels)
        return false;
    for (int row = r->top * a->numerator / 8; row < bottom; row++) {
        size_t at = ((size_t)row * (size_t)x->width + (size_t)left) * (size_t)x->channels;
        if (memcmp(x->pixels + at, y->pixels + at, (size_t)((right - left) * x->channels)) != 0)
            return false;
    }
    return true;
}

/* By one thread and by two; true if the second took part. */
static bool compare(struct pool *pool, const char *name, const struct bytes *file, int numerator,
                    const struct image_region *region)
{
    struct witness witness = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct run one = {.file = file, .numerator = numerator, .region = region, .limits = image_default_limits}, two;

    two = one;
    two.pool = pool;
    two.limits.expired = look;
    two.limits.deadline_context = &witness;
    run_decode(&one);
    pool_run(pool, run_decode, &two);
    if (one.status != two.status || strcmp(one.err.text, two.err.text) != 0)
        fail_msg("%s: one thread says %d %s, two say %d %s", name, one.status, one.err.text, two.status, two.err.text);
    if (one.status == INFOMASK_OK && !same_pixels(&one, &two))
        fail_msg("%s at %d/8: two threads give other pixels", name, numerator);
    image_fini(&one.image);
    image_fini(&two.image);
    return witness.second;
}

static struct pool *two_threads(void)
{
    struct pool *pool;

    assert_int_equal(pool_create(&pool, 2, NULL, NULL, NULL), INFOMASK_OK);
    return pool;
}

static void two_threads_give_the_pixels_of_one(void **state)
{
    struct pool *pool = two_threads();
    int together = 0;

    (void)state;
    /* on a busy machine the second thread may come too late for most: then there is more to do */
    for (int i = 0; i < 10 * KINDS || (together <= 10 && i < 1000 * KINDS); i++) {
        const struct kind *kind = &kinds[i % KINDS];
        int width = 200 + random_below(300), height = 200 + random_below(300), w, h;
        struct bytes file = jpeg_of(kind, width, height);
        struct image_region region = {random_below(width / 2), random_below(height / 2), 0, 0};
        if (kind->orientation == 6) {
            w = height, h = width;
            region.left = region.left % (w / 2), region.top = region.top % (h / 2);
        } else {
            w = width, h = height;
        }
        region.width = 1 + random_below(w - region.left);
        region.height = 1 + random_below(h - region.top);
        bool whole = compare(pool, kind->name, &file, 8, NULL);
        if (whole && kind->progressive)
            fail_msg("a progressive file was shared");
        together += whole;
        together += compare(pool, kind->name, &file, 8, &region);
        together += compare(pool, kind->name, &file, 1 + random_below(8), NULL);
        free(file.data);
    }
    pool_free(pool);
    assert_true(together > 10); /* or nothing was tested */
}

/* Cut short, and with bytes changed: who sees the damage first must not matter. */
static void two_threads_fail_as_one_does(void **state)
{
    struct pool *pool = two_threads();

    (void)state;
    for (int i = 0; i < 20 * KINDS; i++) {
        const struct kind *kind = &kinds[i % KINDS];
        struct bytes file = jpeg_of(kind, 200 + random_below(100), 200 + random_below(100));
        struct bytes cut = {file.data, 700 + (unsigned long)random_below((int)file.size - 700)};
        (void)compare(pool, kind->name, &cut, 8, NULL);
        for (int k = random_below(4); k >= 0; k--)
            file.data[700 + random_below((int)file.size - 700)] ^= (unsigned char)(1 << random_below(8));
        (void)compare(pool, kind->name, &file, 8, NULL);
        free(file.data);
    }
    pool_free(pool);
}

static bool at_once(void *context) { return context == NULL; }

static void the_deadline_ends_both(void **state)
{
    struct pool *pool = two_threads();
    struct bytes file = jpeg_of(&kinds[0], 400, 400);
    struct run run = {.file = &file, .numerator = 8, .limits = image_default_limits, .pool = pool};

    (void)state;
    run.limits.expired = at_once;
    pool_run(pool, run_decode, &run);
    assert_int_equal(run.status, INFOMASK_DEADLINE);
    assert_int_equal(run.err.status, INFOMASK_DEADLINE);
    assert_null(run.image.pixels);
    free(file.data);
    pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_threads_give_the_pixels_of_one),
        cmocka_unit_test(two_threads_fail_as_one_does),
        cmocka_unit_test(the_deadline_ends_both),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
