/* Euclidean distances to a mask, a row at a time.  For a row, `last` and `next` hold for each column the nearest set
 * row at or above and at or below it, so the vertical distance is known; the horizontal part is then an interval (for a
 * disk) or a lower envelope of parabolas (for distances: Felzenszwalb and Huttenlocher 2012).  Rows above have been
 * overwritten by then, but only `last` remembers them; rows below are still the mask as it was. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/image/pixels.h"

#define FAR (1 << 28)

struct distance {
    uint8_t *mask;
    int h, w, reach; /* rows and columns beyond which a distance does not matter */
    int *last, *next, *seen; /* [w]; seen: rows below it have been looked at */
    int *gap;                /* [w] vertical distance, FAR if more than reach */
    int *difference;         /* [w + 1] */
    int *site;               /* [w] the envelope's parabolas */
    double *from;            /* [w + 1] where each begins */
};

/* The nearest set row of column x at or below y, looking no further than reach; each pixel is looked at once. */
static void look_below(struct distance *d, int x, int y)
{
    int end = y + d->reach < d->h - 1 ? y + d->reach : d->h - 1, k = d->seen[x] > y ? d->seen[x] : y;

    if (d->next[x] >= y)
        return;
    while (k <= end && d->mask[(size_t)k * (size_t)d->w + (size_t)x] == 0)
        k++;
    d->seen[x] = k;
    if (k <= end)
        d->next[x] = k;
}

/* Fills gap for row y; false if no column has a set pixel near. */
static bool measure_row(struct distance *d, int y)
{
    bool any = false;

    for (int x = 0; x < d->w; x++) {
        int up, down;
        look_below(d, x, y);
        if (d->next[x] == y)
            d->last[x] = y;
        up = y - d->last[x];
        down = d->next[x] >= y ? d->next[x] - y : FAR;
        d->gap[x] = up < down ? up : down;
        any = any || d->gap[x] <= d->reach;
    }
    return any;
}

static void paint_disks(struct distance *d, double radius, uint8_t *row)
{
    int open = 0;

    memset(d->difference, 0, ((size_t)d->w + 1) * sizeof(int));
    for (int x = 0; x < d->w; x++) {
        double g = d->gap[x];
        if (g > radius)
            continue;
        int half = (int)sqrt(radius * radius - g * g);
        d->difference[x > half ? x - half : 0]++;
        d->difference[x + half + 1 < d->w ? x + half + 1 : d->w]--;
    }
    for (int x = 0; x < d->w; x++) {
        open += d->difference[x];
        row[x] = open > 0 ? 255 : 0;
    }
}

/* Where parabola b (to the right of a) begins to be the lower one. */
static double crossing(const int *gap, int a, int b)
{
    double fa = (double)gap[a] * gap[a] + (double)a * a, fb = (double)gap[b] * gap[b] + (double)b * b;
    return (fb - fa) / (2.0 * (b - a));
}

static int lower_envelope(struct distance *d)
{
    int k = -1;

    for (int x = 0; x < d->w; x++) {
        double s = -INFINITY;
        if (d->gap[x] > d->reach)
            continue;
        while (k >= 0 && (s = crossing(d->gap, d->site[k], x)) <= d->from[k])
            k--;
        k++;
        d->site[k] = x;
        d->from[k] = k == 0 ? -INFINITY : s;
    }
    return k + 1;
}

static void paint_soft(struct distance *d, double radius, double feather, uint8_t *row)
{
    int count = lower_envelope(d), k = 0;

    for (int x = 0; x < d->w; x++) {
        while (k + 1 < count && d->from[k + 1] <= x)
            k++;
        double g = d->gap[d->site[k]], dx = x - d->site[k], over = sqrt(dx * dx + g * g) - radius;
        double alpha = over <= 0 ? 1 : over >= feather ? 0 : 1 - over / feather;
        row[x] = (uint8_t)lrint(255 * alpha);
    }
}

static bool distance_init(struct distance *d, uint8_t *mask, int h, int w, int reach)
{
    size_t n = (size_t)w;
    int *block = malloc((6 * n + 1) * sizeof(int));

    *d = (struct distance){.mask = mask, .h = h, .w = w, .reach = reach, .last = block};
    d->from = malloc((n + 1) * sizeof(double));
    if (block == NULL || d->from == NULL)
        return false;
    d->next = block + n;
    d->seen = block + 2 * n;
    d->gap = block + 3 * n;
    d->site = block + 4 * n;
    d->difference = block + 5 * n;
    for (int x = 0; x < w; x++) {
        d->last[x] = -FAR;
        d->next[x] = -1;
        d->seen[x] = 0;
    }
    return true;
}

enum infomask_status pixels_dilate(uint8_t *mask, int h, int w, double radius, double feather,
                                   struct infomask_error *err)
{
    struct distance d;
    bool made = distance_init(&d, mask, h, w, (int)fmin(ceil(radius + feather), (double)(h > w ? h : w)));

    for (int y = 0; made && y < h; y++) {
        uint8_t *row = mask + (size_t)y * (size_t)w;
        if (!measure_row(&d, y))
            memset(row, 0, (size_t)w);
        else if (feather > 0)
            paint_soft(&d, radius, feather, row);
        else
            paint_disks(&d, radius, row);
    }
    free(d.last);
    free(d.from);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to grow the mask");
}
