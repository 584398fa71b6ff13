/* What the patches say of the hole's pixels: their weighted mean at every size, and at the end the pixel of the patch
 * that fits best. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/image/fill.h"
#include "core/image/pixels/match.h"

#define VOTE_BAND 16
#define FALL_STEPS 512 /* of the table of exp(-i / FALL_SCALE) */
#define FALL_SCALE 32
#define DEPTH_BASE 1.5 /* a pixel deeper in the hole counts that much less */

struct vote {
    const struct match *match;
    struct match_level *level;
    bool even;
    uint64_t *sum; /* [h, w] distances over 2 r + 1 columns, and how many */
    uint32_t *count;
    float fall[FALL_STEPS], shallow[256];
    uint64_t *changes; /* [bands] */
};

static void fill_tables(struct vote *vote)
{
    for (int i = 0; i < FALL_STEPS; i++)
        vote->fall[i] = (float)exp(-(double)i / FALL_SCALE);
    for (int i = 0; i < 256; i++)
        vote->shallow[i] = (float)pow(DEPTH_BASE, -(double)(i < 128 ? i : 128));
}

/* Sums of a row's distances over the columns of a patch. */
static void sum_columns(const struct vote *vote, int y)
{
    const struct match_level *level = vote->level;
    size_t w = (size_t)level->w, row = (size_t)y * w;
    uint64_t sum = 0;
    uint32_t count = 0;

    for (int x = -MATCH_RADIUS; x < level->w; x++) {
        int in = x + MATCH_RADIUS, out = x - MATCH_RADIUS - 1;
        if (in < level->w && level->kind[row + (size_t)in] == MATCH_TARGET) {
            sum += level->distance[row + (size_t)in];
            count++;
        }
        if (out >= 0 && level->kind[row + (size_t)out] == MATCH_TARGET) {
            sum -= level->distance[row + (size_t)out];
            count--;
        }
        if (x >= 0) {
            vote->sum[row + (size_t)x] = sum;
            vote->count[row + (size_t)x] = count;
        }
    }
}

/* exp(-distance / mean distance around), less for patches that lie deep. */
static float weigh(const struct vote *vote, size_t at)
{
    const struct match_level *level = vote->level;
    float depth = vote->shallow[level->depth[at]];
    uint64_t sum = 0, count = 0, mean, step;

    if (vote->even)
        return depth;
    for (int k = -MATCH_RADIUS; k <= MATCH_RADIUS; k++) {
        size_t i = (size_t)((ptrdiff_t)at + k * level->w);
        sum += vote->sum[i];
        count += vote->count[i];
    }
    mean = sum / count + 1;
    step = (uint64_t)level->distance[at] * FALL_SCALE / mean;
    return depth * vote->fall[step < FALL_STEPS ? step : FALL_STEPS - 1];
}

static void sum_band(void *context, int band, int worker)
{
    const struct vote *vote = context;
    int end = (band + 1) * VOTE_BAND < vote->level->h ? (band + 1) * VOTE_BAND : vote->level->h;

    (void)worker;
    for (int y = band * VOTE_BAND; y < end; y++)
        sum_columns(vote, y);
}

static void weigh_band(void *context, int band, int worker)
{
    struct vote *vote = context;
    struct match_level *level = vote->level;
    int end = (band + 1) * VOTE_BAND < level->h ? (band + 1) * VOTE_BAND : level->h;

    (void)worker;
    for (int i = level->row[band * VOTE_BAND]; i < level->row[end]; i++)
        level->weight[level->list[i]] = weigh(vote, level->list[i]);
}

/* The rows and columns of the patches that cover a pixel. */
struct cover {
    int x0, x1, y0, y1;
};

static struct cover covering(const struct match_level *level, int x, int y)
{
    int r = MATCH_RADIUS, right = level->w - 1 - r, low = level->h - 1 - r;

    return (struct cover){x - r > r ? x - r : r, x + r < right ? x + r : right, y - r > r ? y - r : r,
                          y + r < low ? y + r : low};
}

/* Weights are 0 where no target is: columns beyond the picture's sides, which are the next row's, say nothing. */
static uint32_t vote_pixel(const struct vote *vote, int x, int y)
{
    struct match_level *level = vote->level;
    struct cover c = covering(level, x, y);
    size_t at = (size_t)y * (size_t)level->w + (size_t)x;
    uint8_t *pixel = level->pixels + 4 * at;
    uint32_t change = 0;
    float sum[5];

    vote->match->options->votes(level->pixels, level->field, level->weight, at, (size_t)level->w, c.y0 - y, c.y1 - y,
                                sum);
    for (size_t k = 0; k < 4 && sum[4] > 0; k++) {
        int v = (int)(sum[k] / sum[4] + 0.5F);
        v = v < 255 ? v : 255;
        change += (uint32_t)abs(v - pixel[k]);
        pixel[k] = (uint8_t)v;
    }
    return change;
}

static void vote_band(void *context, int band, int worker)
{
    struct vote *vote = context;
    struct match_level *level = vote->level;
    int end = (band + 1) * VOTE_BAND < level->h ? (band + 1) * VOTE_BAND : level->h;
    uint64_t change = 0;

    (void)worker;
    for (int y = band * VOTE_BAND; y < end; y++)
        for (int x = 0; x < level->w; x++)
            if (level->hole[(size_t)y * (size_t)level->w + (size_t)x])
                change += vote_pixel(vote, x, y);
    vote->changes[band] = change;
}

enum infomask_status match_vote(const struct match *match, struct match_level *level, bool even, double *change,
                                struct infomask_error *err)
{
    size_t n = (size_t)level->h * (size_t)level->w, holes = 0;
    int bands = (level->h + VOTE_BAND - 1) / VOTE_BAND;
    struct vote *vote = calloc(1, sizeof *vote);
    bool made = vote != NULL;

    if (made) {
        *vote = (struct vote){.match = match, .level = level, .even = even};
        vote->sum = malloc(n * sizeof *vote->sum);
        vote->count = malloc(n * sizeof *vote->count);
        vote->changes = calloc((size_t)bands, sizeof *vote->changes);
        made = vote->sum != NULL && vote->count != NULL && vote->changes != NULL;
    }
    if (made) {
        uint64_t changes = 0;
        fill_tables(vote);
        if (!even)
            pool_for(match->options->pool, bands, sum_band, vote);
        pool_for(match->options->pool, bands, weigh_band, vote);
        pool_for(match->options->pool, bands, vote_band, vote);
        for (int i = 0; i < bands; i++)
            changes += vote->changes[i];
        for (size_t i = 0; i < n; i++)
            holes += level->hole[i];
        *change = (double)changes / (4.0 * (double)(holes > 0 ? holes : 1));
    }
    if (vote != NULL) {
        free(vote->sum);
        free(vote->count);
        free(vote->changes);
    }
    free(vote);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
}

/* ---- The last word ----------------------------------------------------------------------------------------------- */

static uint32_t choose_pixel(const struct match_level *level, int x, int y)
{
    struct cover c = covering(level, x, y);
    size_t w = (size_t)level->w, at = (size_t)y * w + (size_t)x, best = SIZE_MAX;
    float most = -1;

    for (int ty = c.y0; ty <= c.y1; ty++)
        for (size_t t = (size_t)ty * w + (size_t)c.x0, end = (size_t)ty * w + (size_t)c.x1; t <= end; t++)
            if (level->kind[t] == MATCH_TARGET && level->weight[t] > most) {
                most = level->weight[t];
                best = level->field[t] + at - t;
            }
    return best == SIZE_MAX ? UINT32_MAX : (uint32_t)best;
}

struct choice {
    const struct match_level *level;
    uint32_t *from;
};

static void choose_band(void *context, int band, int worker)
{
    const struct choice *choice = context;
    const struct match_level *level = choice->level;
    int end = (band + 1) * VOTE_BAND < level->h ? (band + 1) * VOTE_BAND : level->h;

    (void)worker;
    for (int y = band * VOTE_BAND; y < end; y++)
        for (int x = 0; x < level->w; x++) {
            size_t at = (size_t)y * (size_t)level->w + (size_t)x;
            choice->from[at] = level->hole[at] ? choose_pixel(level, x, y) : (uint32_t)at;
        }
}

void match_choose(const struct match *match, const struct match_level *level, uint32_t *from)
{
    struct choice choice = {level, from};
    pool_for(match->options->pool, (level->h + VOTE_BAND - 1) / VOTE_BAND, choose_band, &choice);
}
