/* The pyramid of a completion: pictures of kept pixels, which patches may be copied, and which are looked for. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/image/pixels/match.h"

#define TEXTURE_RADIUS 4
#define FAR_AWAY (1u << 30)

void match_level_fini(struct match_level *level)
{
    aligned_free(level->pixels);
    free(level->hole);
    free(level->kind);
    free(level->depth);
    free(level->near);
    free(level->field);
    free(level->next);
    free(level->distance);
    free(level->weight);
    match_use_fini(&level->use);
    free(level->list);
    free(level->row);
    *level = (struct match_level){0};
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
}

static enum infomask_status level_alloc(struct match_level *level, int h, int w, struct infomask_error *err)
{
    size_t n;

    *level = (struct match_level){.h = h, .w = w};
    if (!checked_mul((size_t)h, (size_t)w, &n) || n >= UINT32_MAX / 4)
        return no_memory(err);
    level->pixels = aligned_new(4 * n);
    level->hole = malloc(n);
    level->kind = calloc(n, 1);
    level->depth = malloc(n);
    level->near = malloc(n * sizeof *level->near);
    level->field = malloc(n * sizeof *level->field);
    level->next = malloc(n * sizeof *level->next);
    level->distance = malloc(n * sizeof *level->distance);
    level->weight = calloc(n, sizeof *level->weight);
    level->row = malloc(((size_t)h + 1) * sizeof *level->row);
    for (size_t i = 0; level->field != NULL && level->next != NULL && i < n; i++)
        level->field[i] = level->next[i] = (uint32_t)i;
    return level->pixels != NULL && level->hole != NULL && level->kind != NULL && level->depth != NULL &&
                   level->near != NULL && level->field != NULL && level->next != NULL && level->distance != NULL &&
                   level->weight != NULL && level->row != NULL
               ? INFOMASK_OK
               : no_memory(err);
}

/* ---- Texture: how steep the luma is around a pixel --------------------------------------------------------------- */

static int luma(const uint8_t *p) { return (77 * p[0] + 150 * p[1] + 29 * p[2] + 128) >> 8; }

/* The gradient's length times 16, of neighbours that are kept. */
static uint32_t slope(const struct match_level *level, int x, int y)
{
    size_t w = (size_t)level->w, at = (size_t)y * w + (size_t)x;
    size_t left = x > 0 && !level->hole[at - 1] ? at - 1 : at, up = y > 0 && !level->hole[at - w] ? at - w : at;
    size_t right = x + 1 < level->w && !level->hole[at + 1] ? at + 1 : at;
    size_t down = y + 1 < level->h && !level->hole[at + w] ? at + w : at;
    int dx = luma(level->pixels + 4 * right) - luma(level->pixels + 4 * left);
    int dy = luma(level->pixels + 4 * down) - luma(level->pixels + 4 * up);

    dx = right - left == 2 ? 8 * dx : 16 * dx;
    dy = down - up == 2 * w ? 8 * dy : 16 * dy;
    return (uint32_t)lrint(sqrt((double)(dx * dx + dy * dy)));
}

/* Sums of value over 2 TEXTURE_RADIUS + 1 columns, clipped at the ends. */
static void sum_row(const uint32_t *value, int w, uint32_t *sum)
{
    uint32_t s = 0;

    for (int x = -TEXTURE_RADIUS; x < w; x++) {
        s += x + TEXTURE_RADIUS < w ? value[x + TEXTURE_RADIUS] : 0;
        s -= x - TEXTURE_RADIUS - 1 >= 0 ? value[x - TEXTURE_RADIUS - 1] : 0;
        if (x >= 0)
            sum[x] = s;
    }
}

struct texture {
    uint32_t *slope, *count;         /* [w] of one row */
    uint32_t *slopes, *counts;       /* [2 TEXTURE_RADIUS + 1, w] row sums, a ring */
    uint32_t *slope_sum, *count_sum; /* [w] over the ring */
};

static void texture_row(const struct match_level *level, struct texture *t, int y, bool enter)
{
    size_t w = (size_t)level->w, ring = (size_t)(y % (2 * TEXTURE_RADIUS + 1)) * w;

    if (enter) {
        for (int x = 0; x < level->w; x++) {
            bool kept = level->hole[(size_t)y * w + (size_t)x] == 0;
            t->slope[x] = kept ? slope(level, x, y) : 0;
            t->count[x] = kept;
        }
        sum_row(t->slope, level->w, t->slopes + ring);
        sum_row(t->count, level->w, t->counts + ring);
    }
    for (size_t x = 0; x < w; x++) {
        t->slope_sum[x] += enter ? t->slopes[ring + x] : 0 - t->slopes[ring + x];
        t->count_sum[x] += enter ? t->counts[ring + x] : 0 - t->counts[ring + x];
    }
}

/* The fourth byte of each pixel: four times the mean slope over the kept pixels around it. */
static enum infomask_status texture_bytes(struct match_level *level, struct infomask_error *err)
{
    size_t w = (size_t)level->w, lines = 2 * TEXTURE_RADIUS + 1;
    uint32_t *block = calloc((4 + 2 * lines) * w, sizeof *block);
    struct texture t = {block, block + w, block + 2 * w, block + (2 + lines) * w, block + (2 + 2 * lines) * w,
                        block + (3 + 2 * lines) * w};

    if (block == NULL)
        return no_memory(err);
    for (int y = -TEXTURE_RADIUS; y < level->h; y++) {
        if (y - TEXTURE_RADIUS - 1 >= 0)
            texture_row(level, &t, y - TEXTURE_RADIUS - 1, false);
        if (y + TEXTURE_RADIUS < level->h)
            texture_row(level, &t, y + TEXTURE_RADIUS, true);
        for (size_t x = 0; y >= 0 && x < w; x++) {
            uint32_t n = t.count_sum[x], mean = n > 0 ? (t.slope_sum[x] / 4 + n / 2) / n : 0;
            level->pixels[4 * ((size_t)y * w + x) + 3] = (uint8_t)(mean < 255 ? mean : 255);
        }
    }
    free(block);
    return INFOMASK_OK;
}

/* ---- Distances into the hole, sources and targets ---------------------------------------------------------------- */

/* Chamfer distances, 3 a step and 4 a diagonal (Borgefors 1986), then in pixels. */
static enum infomask_status measure_depth(struct match_level *level, struct infomask_error *err)
{
    int h = level->h, w = level->w;
    uint16_t *d = malloc((size_t)(h + 2) * (size_t)(w + 2) * sizeof *d);
    size_t wide = (size_t)w + 2;

    if (d == NULL)
        return no_memory(err);
    for (size_t i = 0; i < (size_t)(h + 2) * wide; i++)
        d[i] = UINT16_MAX - 4;
    for (int y = 0; y < h; y++)
        for (int x = 0; x < w; x++) {
            uint16_t *p = d + (size_t)(y + 1) * wide + (size_t)x + 1;
            int a = p[-1] + 3, b = p[-(ptrdiff_t)wide] + 3, c = p[-(ptrdiff_t)wide - 1] + 4,
                e = p[-(ptrdiff_t)wide + 1] + 4;
            a = a < b ? a : b;
            c = c < e ? c : e;
            a = a < c ? a : c;
            *p = (uint16_t)(level->hole[(size_t)y * (size_t)w + (size_t)x] == 0 ? 0
                            : a < UINT16_MAX - 4                                ? a
                                                                                : UINT16_MAX - 4);
        }
    level->deepest = 0;
    for (int y = h - 1; y >= 0; y--)
        for (int x = w - 1; x >= 0; x--) {
            uint16_t *p = d + (size_t)(y + 1) * wide + (size_t)x + 1;
            int a = p[1] + 3, b = p[wide] + 3, c = p[wide + 1] + 4, e = p[wide - 1] + 4, depth;
            a = a < b ? a : b;
            c = c < e ? c : e;
            a = a < c ? a : c;
            *p = (uint16_t)(*p < a ? *p : a);
            depth = (*p + 2) / 3;
            level->depth[(size_t)y * (size_t)w + (size_t)x] = (uint8_t)(depth < 255 ? depth : 255);
            level->deepest = depth > level->deepest ? depth : level->deepest;
        }
    free(d);
    return INFOMASK_OK;
}

/* The kind of every whole patch: how many hole pixels it has, by column sums. */
static enum infomask_status mark_patches(struct match_level *level, struct infomask_error *err)
{
    int h = level->h, w = level->w;
    int *column = calloc((size_t)w, sizeof *column);

    if (column == NULL)
        return no_memory(err);
    for (int y = 0; y < h; y++) {
        int centre = y - MATCH_RADIUS, sum = 0;
        for (int x = 0; x < w; x++)
            column[x] += level->hole[(size_t)y * (size_t)w + (size_t)x] -
                         (y >= MATCH_SIDE ? level->hole[(size_t)(y - MATCH_SIDE) * (size_t)w + (size_t)x] : 0);
        for (int x = 0; x < w && y >= MATCH_SIDE - 1; x++) {
            sum += column[x] - (x >= MATCH_SIDE ? column[x - MATCH_SIDE] : 0);
            if (x < MATCH_SIDE - 1)
                continue;
            level->kind[(size_t)centre * (size_t)w + (size_t)(x - MATCH_RADIUS)] = sum == 0 ? MATCH_SOURCE
                                                                                            : MATCH_TARGET;
            level->sources += sum == 0;
            level->targets += sum != 0;
        }
    }
    free(column);
    return INFOMASK_OK;
}

static enum infomask_status list_targets(struct match_level *level, struct infomask_error *err)
{
    size_t n = 0;

    level->list = malloc((level->targets + 1) * sizeof *level->list);
    if (level->list == NULL)
        return no_memory(err);
    for (int y = 0; y < level->h; y++) {
        level->row[y] = (int)n;
        for (size_t at = (size_t)y * (size_t)level->w, end = at + (size_t)level->w; at < end; at++)
            if (level->kind[at] == MATCH_TARGET)
                level->list[n++] = (uint32_t)at;
    }
    level->row[level->h] = (int)n;
    return INFOMASK_OK;
}

static uint32_t square_to(const struct match_level *level, int x, int y, uint32_t source)
{
    int dx = (int)(source % (uint32_t)level->w) - x, dy = (int)(source / (uint32_t)level->w) - y;
    return source == UINT32_MAX ? FAR_AWAY : (uint32_t)(dx * dx + dy * dy);
}

static void take_nearer(struct match_level *level, int x, int y, int dx, int dy, uint32_t *best, uint32_t *square)
{
    uint32_t other, d;

    if (x + dx < 0 || x + dx >= level->w || y + dy < 0 || y + dy >= level->h)
        return;
    other = level->near[(size_t)(y + dy) * (size_t)level->w + (size_t)(x + dx)];
    d = square_to(level, x, y, other);
    if (d < *square) {
        *square = d;
        *best = other;
    }
}

/* The nearest source of each pixel, by handing it on from neighbour to neighbour in two sweeps (Danielsson 1980). */
static void find_nearest(struct match_level *level)
{
    size_t n = (size_t)level->h * (size_t)level->w;

    for (size_t i = 0; i < n; i++)
        level->near[i] = level->kind[i] == MATCH_SOURCE ? (uint32_t)i : UINT32_MAX;
    for (int turn = 0; turn < 2; turn++) {
        int step = turn == 0 ? 1 : -1;
        for (int k = 0; k < level->h; k++) {
            int y = turn == 0 ? k : level->h - 1 - k;
            for (int back = 0; back < 2; back++)
                for (int j = 0; j < level->w; j++) {
                    int x = (back == 0) == (turn == 0) ? j : level->w - 1 - j, side = back == 0 ? -step : step;
                    uint32_t *best = &level->near[(size_t)y * (size_t)level->w + (size_t)x], square;
                    if (level->kind[(size_t)y * (size_t)level->w + (size_t)x] == MATCH_SOURCE)
                        continue;
                    square = square_to(level, x, y, *best);
                    take_nearer(level, x, y, side, 0, best, &square);
                    for (int dx = -1; back == 0 && dx <= 1; dx++)
                        take_nearer(level, x, y, dx, -step, best, &square);
                }
        }
    }
}

static enum infomask_status level_finish(struct match_level *level, struct infomask_error *err)
{
    enum infomask_status status = texture_bytes(level, err);

    if (status == INFOMASK_OK)
        status = measure_depth(level, err);
    if (status == INFOMASK_OK)
        status = mark_patches(level, err);
    if (status == INFOMASK_OK)
        status = list_targets(level, err);
    if (status == INFOMASK_OK)
        find_nearest(level);
    return status;
}

/* ---- The levels -------------------------------------------------------------------------------------------------- */

enum infomask_status match_level_init(struct match_level *level, const uint8_t *rgb, const uint8_t *hole, int h, int w,
                                      struct infomask_error *err)
{
    enum infomask_status status = level_alloc(level, h, w, err);

    for (size_t i = 0; status == INFOMASK_OK && i < (size_t)h * (size_t)w; i++) {
        level->hole[i] = hole[i] != 0;
        for (size_t c = 0; c < 3; c++)
            level->pixels[4 * i + c] = hole[i] != 0 ? 128 : rgb[3 * i + c];
    }
    return status == INFOMASK_OK ? level_finish(level, err) : status;
}

/* Binomial over the kept pixels of 4 x 4; hole where most of the inner 2 x 2 is. */
static void halve_pixel(struct match_level *level, const struct match_level *fine, int x, int y)
{
    static const uint32_t share[] = {1, 3, 3, 1};
    uint32_t sum[3] = {0}, total = 0, holes = 0;
    size_t at = (size_t)y * (size_t)level->w + (size_t)x;

    for (int j = 0; j < 4; j++)
        for (int i = 0; i < 4; i++) {
            int fx = 2 * x + i - 1, fy = 2 * y + j - 1;
            size_t k = (size_t)fy * (size_t)fine->w + (size_t)fx;
            uint32_t weight = share[i] * share[j];
            if (fx < 0 || fy < 0 || fx >= fine->w || fy >= fine->h)
                continue;
            holes += weight == 9 && fine->hole[k];
            if (fine->hole[k])
                continue;
            for (size_t c = 0; c < 3; c++)
                sum[c] += weight * fine->pixels[4 * k + c];
            total += weight;
        }
    level->hole[at] = holes >= 2 || total == 0;
    for (size_t c = 0; c < 3; c++)
        level->pixels[4 * at + c] = (uint8_t)(level->hole[at] ? 128 : (sum[c] + total / 2) / total);
}

enum infomask_status match_level_halve(struct match_level *level, const struct match_level *fine,
                                       struct infomask_error *err)
{
    enum infomask_status status = level_alloc(level, fine->h / 2, fine->w / 2, err);

    for (int y = 0; status == INFOMASK_OK && y < level->h; y++)
        for (int x = 0; x < level->w; x++)
            halve_pixel(level, fine, x, y);
    return status == INFOMASK_OK ? level_finish(level, err) : status;
}
