/* Float maps to another size.  Both kinds are separable and are written as a table of taps per output line, so that
 * the inner loops run over channels (or, for one channel, over columns) without a branch. */
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/image/pixels.h"

/* Where output line i of n lies in a map of `in` lines: the line before it and the share of the line after. */
static void bilinear_tap(int i, int n, int in, int *at, float *share)
{
    double x = ((double)i + 0.5) * (double)in / (double)n - 0.5;

    x = x < 0 ? 0 : x > (double)(in - 1) ? (double)(in - 1) : x;
    *at = (int)x < in - 1 || in == 1 ? (int)x : in - 2;
    *share = (float)(x - (double)*at);
}

static void mix(const float *a, const float *b, float share, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] + share * (b[i] - a[i]);
}

/* Several channels; `taps` knows the columns, row [in_w, c] is scratch. */
static void bilinear_channels(const struct pixels_enlarge *taps, int c, float *row, float *out)
{
    size_t line = (size_t)taps->in_w * (size_t)c;

    for (int y = 0; y < taps->h; y++) {
        float share;
        int at;
        bilinear_tap(y, taps->h, taps->in_h, &at, &share);
        const float *a = taps->map + (size_t)at * line;
        mix(a, taps->in_h > 1 ? a + line : a, share, row, line);
        for (int x = 0; x < taps->w; x++, out += c) {
            const float *p = row + (size_t)taps->left[x] * (size_t)c;
            mix(p, taps->in_w > 1 ? p + c : p, taps->share[x], out, (size_t)c);
        }
    }
}

enum infomask_status pixels_bilinear(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
{
    struct pixels_enlarge taps;
    size_t size;
    float *row = checked_mul3((size_t)map->w, (size_t)map->c, sizeof(float), &size) ? malloc(size) : NULL;
    enum infomask_status status = row != NULL ? pixels_enlarge_init(&taps, map->values, map->h, map->w, h, w, err)
                                              : error_set(err, INFOMASK_MEMORY, "no memory to resize a map");

    if (status == INFOMASK_OK && map->c > 1)
        bilinear_channels(&taps, map->c, row, out);
    for (int y = 0; status == INFOMASK_OK && map->c == 1 && y < h; y++)
        pixels_enlarge_row(&taps, y, out + (size_t)y * (size_t)w);
    if (status == INFOMASK_OK)
        pixels_enlarge_fini(&taps);
    free(row);
    return status;
}

/* out += weight * in */
static void add_scaled(const float *in, float weight, float *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] += weight * in[i];
}

/* out [n lines of `line`] from in [m lines]: each the mean over [i m / n, (i + 1) m / n). */
static void area_lines(const float *in, int m, float *out, int n, size_t line)
{
    double scale = (double)m / (double)n;

    memset(out, 0, (size_t)n * line * sizeof(float));
    for (int i = 0; i < n; i++) {
        double from = (double)i * scale, to = i == n - 1 ? (double)m : (double)(i + 1) * scale;
        for (int k = (int)from; k < m && (double)k < to; k++) {
            double low = (double)k > from ? (double)k : from, high = (double)(k + 1) < to ? (double)(k + 1) : to;
            add_scaled(in + (size_t)k * line, (float)((high - low) / (to - from)), out + (size_t)i * line, line);
        }
    }
}

enum infomask_status pixels_area(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
{
    size_t c = (size_t)map->c, line = (size_t)map->w * c, size;
    float *rows;

    if (!checked_mul3((size_t)h, line, sizeof(float), &size) || (rows = malloc(size)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to resize a map");
    area_lines(map->values, map->h, rows, h, line);
    for (int y = 0; y < h; y++)
        area_lines(rows + (size_t)y * line, map->w, out + (size_t)y * (size_t)w * c, w, c);
    free(rows);
    return INFOMASK_OK;
}

enum infomask_status pixels_resize(const struct pixels_map *map, float *out, int h, int w, struct infomask_error *err)
{
    return map->h < h ? pixels_bilinear(map, out, h, w, err) : pixels_area(map, out, h, w, err);
}

enum infomask_status pixels_enlarge_init(struct pixels_enlarge *enlarge, const float *map, int in_h, int in_w, int h,
                                         int w, struct infomask_error *err)
{
    *enlarge = (struct pixels_enlarge){.map = map, .in_h = in_h, .in_w = in_w, .h = h, .w = w};
    enlarge->left = malloc((size_t)w * sizeof(int));
    enlarge->share = malloc((size_t)w * sizeof(float));
    enlarge->line = malloc(((size_t)in_w + 1) * sizeof(float));
    if (enlarge->left == NULL || enlarge->share == NULL || enlarge->line == NULL) {
        pixels_enlarge_fini(enlarge);
        return error_set(err, INFOMASK_MEMORY, "no memory to enlarge a map");
    }
    for (int x = 0; x < w; x++)
        bilinear_tap(x, w, in_w, &enlarge->left[x], &enlarge->share[x]);
    return INFOMASK_OK;
}

void pixels_enlarge_row(struct pixels_enlarge *enlarge, int y, float *row)
{
    const int *left = enlarge->left;
    const float *share = enlarge->share, *a;
    float *line = enlarge->line, part;
    int at;

    bilinear_tap(y, enlarge->h, enlarge->in_h, &at, &part);
    a = enlarge->map + (size_t)at * (size_t)enlarge->in_w;
    mix(a, enlarge->in_h > 1 ? a + enlarge->in_w : a, part, line, (size_t)enlarge->in_w);
    line[enlarge->in_w] = line[enlarge->in_w - 1]; /* read with weight 0 where the map has one column */
    for (int x = 0; x < enlarge->w; x++)
        row[x] = line[left[x]] + share[x] * (line[left[x] + 1] - line[left[x]]);
}

void pixels_enlarge_fini(struct pixels_enlarge *enlarge)
{
    free(enlarge->left);
    free(enlarge->share);
    free(enlarge->line);
    *enlarge = (struct pixels_enlarge){0};
}
