/* A shadow is the ground as it is beside it, times less light: darker than its surroundings by about the same factor in
 * every colour, and it begins where the object ends.  Under the object's edge it is nearly black. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/image/pixels.h"

#define LONGEST 256
#define AROUND 6         /* the ground is the mean over the longest side / AROUND to each side */
#define ROUNDS 3         /* each without what the one before took for shadow */
#define DARKER 0.86F     /* of the ground's light, at most */
#define DARKEST 0.15F
#define UNLIKE 1.35F     /* between the factors of two colours: a shadow outdoors is bluish */
#define LEAST_LIGHT 12.0F /* of the ground in a colour: what is black already shows no shadow */
#define DEEP 0.35F       /* of the ground's light: where things touch it is so dark that there is no colour left */

enum { GROUND, OBJECT, SHADOW };

/* How far a shadow goes. */
struct limits {
    double reach; /* of the object's longer side: beyond its box; of a contact beyond its edge */
    double most;  /* of the object's area: more is not its shadow but the dark */
    double grown; /* pixels of the copy: a shadow's edge is soft, that of its darkest part more so */
};

static const struct limits limits[] = {[PIXELS_SHADOW] = {0.6, 1.0, 2}, [PIXELS_CONTACT] = {0.12, 0.15, 5}};

struct shadow {
    const struct image *photo;
    enum pixels_shade shade;
    int h, w;
    float *rgb;     /* [h, w, 4] means over blocks, 0..255; the fourth free */
    float *ground;  /* [h, w, 4] */
    float *in;      /* [h, w, 4] */
    double *scratch;
    uint8_t *kind;  /* [h, w] */
    uint8_t *taken; /* [h, w] 255: to be added */
    uint32_t *queue; /* [h, w] */
};

static int from_copy(int i, int n, int m) { return (int)((int64_t)i * n / m); }

static void reduce(struct shadow *s, const uint8_t *mask)
{
    size_t channels = (size_t)s->photo->channels, wide = (size_t)s->photo->width;

    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++) {
            int y0 = from_copy(y, s->photo->height, s->h), y1 = from_copy(y + 1, s->photo->height, s->h);
            int x0 = from_copy(x, s->photo->width, s->w), x1 = from_copy(x + 1, s->photo->width, s->w);
            size_t at = (size_t)y * (size_t)s->w + (size_t)x, masked = 0;
            float sum[3] = {0}, n = (float)(y1 - y0) * (float)(x1 - x0);
            for (int v = y0; v < y1; v++)
                for (size_t k = (size_t)v * wide + (size_t)x0, end = (size_t)v * wide + (size_t)x1; k < end; k++) {
                    for (size_t i = 0; i < 3; i++)
                        sum[i] += (float)s->photo->pixels[k * channels + i];
                    masked += mask[k] != 0;
                }
            for (size_t i = 0; i < 3; i++)
                s->rgb[4 * at + i] = sum[i] / n;
            s->kind[at] = masked > 0 ? OBJECT : GROUND;
        }
}

/* The mean of what is ground around each pixel. */
static void find_ground(struct shadow *s)
{
    size_t n = (size_t)s->h * (size_t)s->w;

    for (size_t i = 0; i < n; i++) {
        float one = s->kind[i] == GROUND ? 1.0F : 0.0F;
        for (size_t c = 0; c < 3; c++)
            s->in[4 * i + c] = one * s->rgb[4 * i + c];
        s->in[4 * i + 3] = one;
    }
    pixels_box4(s->in, s->h, s->w, (s->h > s->w ? s->h : s->w) / AROUND, s->ground, s->scratch);
}

static bool in_shade(const struct shadow *s, size_t at)
{
    const float *v = s->rgb + 4 * at, *ground = s->ground + 4 * at;
    float low = INFINITY, high = 0;

    if (ground[3] < 0.02F)
        return false;
    for (int c = 0; c < 3; c++) {
        float light = ground[c] / ground[3], factor = (v[c] + 1) / (light + 1);
        if (light < LEAST_LIGHT)
            continue;
        low = fminf(low, factor);
        high = fmaxf(high, factor);
    }
    if (high <= DEEP || s->shade == PIXELS_CONTACT)
        return high > 0 && high <= DEEP;
    return high <= DARKER && low >= DARKEST && high <= UNLIKE * low;
}

static void take(struct shadow *s, size_t at, size_t *count)
{
    if (s->taken[at] == 0 && s->kind[at] == SHADOW) {
        s->taken[at] = 255;
        s->queue[(*count)++] = (uint32_t)at;
    }
}

struct extent {
    int x0, x1, y0, y1;
    size_t area;
};

static struct extent extent_of(const struct shadow *s)
{
    struct extent e = {s->w, -1, s->h, -1, 0};

    for (int y = 0; y < s->h; y++)
        for (int x = 0; x < s->w; x++)
            if (s->kind[(size_t)y * (size_t)s->w + (size_t)x] == OBJECT) {
                e.x0 = x < e.x0 ? x : e.x0;
                e.x1 = x > e.x1 ? x : e.x1;
                e.y0 = y < e.y0 ? y : e.y0;
                e.y1 = y;
                e.area++;
            }
    return e;
}

static double longer_side(const struct extent *e)
{
    return e->x1 - e->x0 > e->y1 - e->y0 ? e->x1 - e->x0 + 1 : e->y1 - e->y0 + 1;
}

static bool at_hand(const struct extent *e, int x, int y)
{
    double reach = limits[PIXELS_SHADOW].reach * longer_side(e);
    return x >= e->x0 - reach && x <= e->x1 + reach && y >= e->y0 - reach && y <= e->y1 + reach;
}

static void take_around(struct shadow *s, size_t at, size_t *count)
{
    size_t w = (size_t)s->w, x = at % w, y = at / w;

    if (x > 0)
        take(s, at - 1, count);
    if (x + 1 < w)
        take(s, at + 1, count);
    if (y > 0)
        take(s, at - w, count);
    if (y + 1 < (size_t)s->h)
        take(s, at + w, count);
}

/* What is shaded and hangs together with the object; returns how much that is. */
static size_t spread(struct shadow *s, const struct extent *e)
{
    size_t n = (size_t)s->h * (size_t)s->w, w = (size_t)s->w, count = 0;

    memset(s->taken, 0, n);
    for (int turn = 0; turn < 2; turn++)
        for (size_t k = 0; k < (turn == 0 ? n : count); k++) {
            size_t at = turn == 0 ? k : s->queue[k];
            if ((turn == 1 || s->kind[at] == OBJECT) && at_hand(e, (int)(at % w), (int)(at / w)))
                take_around(s, at, &count);
        }
    return count;
}

/* The same one connected piece after the other: those that end within reach of the object's edge and lie lower than its
 * middle are taken, for light comes from above, and what goes on is the dark. */
static size_t spread_contact(struct shadow *s, const struct extent *e, const uint8_t *close)
{
    size_t n = (size_t)s->h * (size_t)s->w, w = (size_t)s->w, count = 0, kept = 0;

    memset(s->taken, 0, n);
    for (size_t k = 0; k < n; k++) {
        size_t first = count, rows = 0;
        bool ends = true;
        if (s->kind[k] != OBJECT)
            continue;
        take_around(s, k, &count);
        for (size_t i = first; i < count; i++) {
            take_around(s, s->queue[i], &count);
            rows += s->queue[i] / w;
            ends = ends && close[s->queue[i]] != 0;
        }
        if (ends && 2 * rows > (size_t)(e->y0 + e->y1) * (count - first))
            kept += count - first;
        else
            for (size_t i = first; i < count; i++)
                s->taken[s->queue[i]] = 1; /* seen, and left */
    }
    for (size_t k = 0; k < n; k++)
        s->taken[k] = s->taken[k] == 255 ? 255 : 0;
    return kept;
}

static enum infomask_status find_contact(struct shadow *s, const struct extent *e, size_t *count,
                                         struct infomask_error *err)
{
    size_t n = (size_t)s->h * (size_t)s->w;
    uint8_t *close = malloc(n);
    enum infomask_status status;

    if (close == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to look for shadows");
    for (size_t i = 0; i < n; i++)
        close[i] = s->kind[i] == OBJECT ? 255 : 0;
    status = pixels_dilate(close, s->h, s->w, limits[PIXELS_CONTACT].reach * longer_side(e), 0, err);
    if (status == INFOMASK_OK)
        *count = spread_contact(s, e, close);
    free(close);
    return status;
}

static enum infomask_status add(struct shadow *s, uint8_t *mask, struct infomask_error *err)
{
    enum infomask_status status = pixels_dilate(s->taken, s->h, s->w, limits[s->shade].grown, 0, err);

    for (int y = 0; status == INFOMASK_OK && y < s->photo->height; y++)
        for (int x = 0; x < s->photo->width; x++)
            if (s->taken[(size_t)from_copy(y, s->h, s->photo->height) * (size_t)s->w +
                         (size_t)from_copy(x, s->w, s->photo->width)])
                mask[(size_t)y * (size_t)s->photo->width + (size_t)x] = 255;
    return status;
}

static void shadow_fini(struct shadow *s)
{
    aligned_free(s->rgb);
    aligned_free(s->ground);
    aligned_free(s->in);
    aligned_free(s->scratch);
    free(s->kind);
    free(s->taken);
    free(s->queue);
}

static bool shadow_init(struct shadow *s, const struct image *photo)
{
    double longest = photo->width > photo->height ? photo->width : photo->height, scale = fmin(1, LONGEST / longest);
    size_t n;

    s->photo = photo;
    s->h = (int)fmax(1, floor(photo->height * scale));
    s->w = (int)fmax(1, floor(photo->width * scale));
    n = (size_t)s->h * (size_t)s->w;
    s->rgb = aligned_new(4 * n * sizeof(float));
    s->ground = aligned_new(4 * n * sizeof(float));
    s->in = aligned_new(4 * n * sizeof(float));
    s->scratch = aligned_new(pixels_box_scratch(s->w, LONGEST / AROUND) * sizeof(double));
    s->kind = malloc(n);
    s->taken = calloc(n, 1);
    s->queue = malloc(n * sizeof *s->queue);
    return s->rgb != NULL && s->ground != NULL && s->in != NULL && s->scratch != NULL && s->kind != NULL &&
           s->taken != NULL && s->queue != NULL;
}

enum infomask_status pixels_shadow(const struct image *photo, enum pixels_shade shade, uint8_t *mask,
                                   struct infomask_error *err)
{
    struct shadow s = {.shade = shade};
    enum infomask_status status = INFOMASK_OK;

    if (!shadow_init(&s, photo))
        status = error_set(err, INFOMASK_MEMORY, "no memory to look for shadows");
    if (status == INFOMASK_OK) {
        struct extent extent;
        size_t count = 0;
        reduce(&s, mask);
        extent = extent_of(&s);
        for (int round = 0; round < ROUNDS; round++) {
            find_ground(&s);
            for (size_t i = 0; i < (size_t)s.h * (size_t)s.w; i++)
                s.kind[i] = s.kind[i] == OBJECT ? OBJECT : in_shade(&s, i) ? SHADOW : GROUND;
        }
        if (shade == PIXELS_CONTACT)
            status = find_contact(&s, &extent, &count, err);
        else
            count = spread(&s, &extent);
        if (status == INFOMASK_OK && count > 0 && (double)count <= limits[shade].most * (double)extent.area)
            status = add(&s, mask, err);
    }
    shadow_fini(&s);
    return status;
}
