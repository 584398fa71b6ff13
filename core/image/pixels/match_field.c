/* The field of sources: peeled inwards at the coarsest size, enlarged from size to size, and improved by PatchMatch.
 * Work is cut into bands of rows by the picture's height alone, and a band sees of its neighbours what they were before
 * the pass: so the threads do not show. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/image/fill.h"
#include "core/image/pixels/match.h"

#define BAND 16
#define PEEL_TRIES 4000000 /* distances that all of a peeling may take on a grid of sources, */
#define PEEL_SHARE 32      /* and for each pixel of the picture at its finest */
#define PEEL_CHUNK 16

static const uint8_t *patch_at(const struct match_level *level, const uint8_t *pixels, size_t centre)
{
    return pixels + 4 * (centre - MATCH_RADIUS * ((size_t)level->w + 1));
}

/* ---- Onion peel -------------------------------------------------------------------------------------------------- */

struct peel {
    const struct match *match;
    struct match_level *level;
    uint8_t *known;  /* [h, w, 4] 255: kept, or filled by an earlier layer */
    uint32_t *layer; /* the hole's pixels whose turn it is, and the source of the patch at each */
    uint32_t *found;
    int count, step; /* step: of the grid of sources that every pixel tries */
};

/* The centre of the whole patch nearest to having the pixel in its own. */
static size_t nearest_patch(const struct match_level *level, size_t at)
{
    int x = (int)(at % (size_t)level->w), y = (int)(at / (size_t)level->w), r = MATCH_RADIUS;

    x = x < r ? r : x > level->w - 1 - r ? level->w - 1 - r : x;
    y = y < r ? r : y > level->h - 1 - r ? level->h - 1 - r : y;
    return (size_t)y * (size_t)level->w + (size_t)x;
}

/* The source with the least distance over the known part of the patch. */
struct peel_search {
    const struct peel *peel;
    const uint8_t *patch, *known;
    size_t best;
    uint32_t least;
};

static void try_source(struct peel_search *search, int x, int y)
{
    const struct match_level *level = search->peel->level;
    size_t source = (size_t)y * (size_t)level->w + (size_t)x;
    uint32_t d;

    if (level->kind[source] != MATCH_SOURCE)
        return;
    d = search->peel->match->options->distance(search->patch, patch_at(level, level->pixels, source),
                                               4 * (ptrdiff_t)level->w, search->known, search->least);
    if (d < search->least) {
        search->least = d;
        search->best = source;
    }
}

/* What the pixels around were copied from goes on here. */
static void try_neighbours(struct peel_search *search, size_t at)
{
    const struct match_level *level = search->peel->level;
    int w = level->w, x = (int)(at % (size_t)w), y = (int)(at / (size_t)w);

    for (int k = 0; k < 9; k++) {
        int nx = x + k % 3 - 1, ny = y + k / 3 - 1, sx, sy;
        size_t other = (size_t)ny * (size_t)w + (size_t)nx;
        if (nx < 0 || ny < 0 || nx >= w || ny >= level->h || level->kind[other] != MATCH_TARGET ||
            !search->peel->known[4 * other])
            continue;
        sx = (int)(level->field[other] % (uint32_t)w) + x - nx;
        sy = (int)(level->field[other] / (uint32_t)w) + y - ny;
        if (sx >= 0 && sy >= 0 && sx < w && sy < level->h)
            try_source(search, sx, sy);
    }
}

/* All around the best, at a distance that is halved down to one. */
static void try_around(struct peel_search *search, int distance)
{
    const struct match_level *level = search->peel->level;

    for (; distance >= 1; distance /= 2)
        for (int k = 0; k < 9; k++) {
            int x = (int)(search->best % (size_t)level->w) + (k % 3 - 1) * distance;
            int y = (int)(search->best / (size_t)level->w) + (k / 3 - 1) * distance;
            if (k != 4 && x >= 0 && y >= 0 && x < level->w && y < level->h)
                try_source(search, x, y);
        }
}

static uint32_t peel_pixel(const struct peel *peel, size_t at)
{
    const struct match_level *level = peel->level;
    size_t centre = nearest_patch(level, at);
    struct peel_search search = {peel, patch_at(level, level->pixels, centre), patch_at(level, peel->known, centre),
                                 level->near[at], UINT32_MAX};
    int r = MATCH_RADIUS, step = peel->step;

    try_neighbours(&search, at);
    for (int y = r, line = 0; y < level->h - r; y += step, line++)
        for (int x = r + line * (step / 2) % step; x < level->w - r; x += step)
            try_source(&search, x, y);
    try_around(&search, step);
    return (uint32_t)search.best;
}

static void peel_chunk(void *context, int chunk, int worker)
{
    struct peel *peel = context;
    int end = (chunk + 1) * PEEL_CHUNK < peel->count ? (chunk + 1) * PEEL_CHUNK : peel->count;

    (void)worker;
    for (int i = chunk * PEEL_CHUNK; i < end; i++)
        peel->found[i] = peel_pixel(peel, peel->layer[i]);
}

static bool touches_known(const struct peel *peel, size_t at)
{
    size_t w = (size_t)peel->level->w, x = at % w, y = at / w;

    return (x > 0 && peel->known[4 * (at - 1)]) || (x + 1 < w && peel->known[4 * (at + 1)]) ||
           (y > 0 && peel->known[4 * (at - w)]) || (y + 1 < (size_t)peel->level->h && peel->known[4 * (at + w)]);
}

static void find_layer(struct peel *peel)
{
    size_t n = (size_t)peel->level->h * (size_t)peel->level->w;

    peel->count = 0;
    for (size_t at = 0; at < n; at++)
        if (!peel->known[4 * at] && touches_known(peel, at))
            peel->layer[peel->count++] = (uint32_t)at;
}

static void copy_layer(struct peel *peel)
{
    struct match_level *level = peel->level;

    for (int i = 0; i < peel->count; i++) {
        size_t at = peel->layer[i], centre = nearest_patch(level, at);
        memcpy(level->pixels + 4 * at, level->pixels + 4 * (peel->found[i] + at - centre), 4);
        memset(peel->known + 4 * at, 255, 4);
        if (level->kind[at] == MATCH_TARGET)
            level->field[at] = peel->found[i];
    }
}

static double most_tries(const struct match *match)
{
    const struct match_level *finest = &match->level[0];
    return fmin(PEEL_TRIES, PEEL_SHARE * (double)finest->h * (double)finest->w);
}

enum infomask_status match_peel(const struct match *match, struct match_level *level, struct infomask_error *err)
{
    size_t n = (size_t)level->h * (size_t)level->w;
    struct peel peel = {.match = match, .level = level};
    bool made;

    peel.known = aligned_new(4 * n);
    peel.layer = malloc(n * sizeof *peel.layer);
    peel.found = malloc(n * sizeof *peel.found);
    peel.step = (int)sqrt((double)level->targets * (double)level->sources / most_tries(match)) + 1;
    made = peel.known != NULL && peel.layer != NULL && peel.found != NULL;
    for (size_t i = 0; made && i < n; i++) {
        memset(peel.known + 4 * i, level->hole[i] ? 0 : 255, 4);
        level->field[i] = level->near[i];
    }
    while (made) {
        find_layer(&peel);
        if (peel.count == 0)
            break;
        pool_for(match->options->pool, (peel.count + PEEL_CHUNK - 1) / PEEL_CHUNK, peel_chunk, &peel);
        copy_layer(&peel);
    }
    aligned_free(peel.known);
    free(peel.layer);
    free(peel.found);
    return made ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
}

/* ---- Enlarging --------------------------------------------------------------------------------------------------- */

void match_enlarge(const struct match_level *coarse, struct match_level *level)
{
    for (size_t i = 0; i < level->targets; i++) {
        size_t at = level->list[i], w = (size_t)level->w, x = at % w, y = at / w, from, fine;
        size_t cx = x / 2 < (size_t)coarse->w ? x / 2 : (size_t)coarse->w - 1;
        size_t cy = y / 2 < (size_t)coarse->h ? y / 2 : (size_t)coarse->h - 1;
        size_t centre = nearest_patch(coarse, cy * (size_t)coarse->w + cx);
        if (coarse->kind[centre] != MATCH_TARGET) {
            level->field[at] = level->near[at];
            continue;
        }
        from = coarse->field[centre];
        fine = (2 * (from / (size_t)coarse->w) + y % 2) * w + 2 * (from % (size_t)coarse->w) + x % 2;
        level->field[at] = level->near[fine];
    }
}

/* ---- PatchMatch -------------------------------------------------------------------------------------------------- */

struct scan {
    const struct match *match;
    struct match_level *level;
    uint32_t turn;
    bool backwards;
};

/* Numbers of a target in a turn: splitmix64's finaliser on a counter (Steele, Lea and Flood 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

struct candidate {
    const struct match_level *level;
    const uint8_t *patch;
    fill_distance *distance;
    uint32_t source, least; /* least: with the price of its place */
    uint32_t plain;         /* without */
};

/* Is it the better one? */
static inline bool try_candidate(struct candidate *c, size_t source)
{
    uint32_t d, price;

    if (source == c->source || c->level->kind[source] != MATCH_SOURCE)
        return false;
    d = c->distance(c->patch, patch_at(c->level, c->level->pixels, source), 4 * (ptrdiff_t)c->level->w, NULL, c->least);
    price = d < c->least ? match_price(c->level, source, d) : d;
    if (price >= c->least)
        return false;
    c->least = price;
    c->plain = d;
    c->source = (uint32_t)source;
    return true;
}

/* One of the whole numbers within `radius` of the middle and from r to n - 1 - r. */
static inline int draw(int middle, int radius, int n, uint64_t random)
{
    int r = MATCH_RADIUS, from = middle - radius > r ? middle - radius : r;
    int to = middle + radius < n - 1 - r ? middle + radius : n - 1 - r;

    return from + (int)(random * (uint64_t)(to - from + 1) >> 32);
}

/* Around the best so far, from the level's reach down to its neighbours. */
static void search_around(const struct scan *scan, size_t at, struct candidate *c)
{
    const struct match_level *level = c->level;
    uint64_t state = mix(scan->match->options->seed * 0x9E3779B97F4A7C15u + ((uint64_t)scan->turn << 32) + at);
    int x = (int)(c->source % (uint32_t)level->w), y = (int)(c->source / (uint32_t)level->w);

    for (int radius = level->reach; radius >= 1; radius /= 2) {
        uint64_t random = mix(state += 0x9E3779B97F4A7C15u);
        int other = draw(x, radius, level->w, random & UINT32_MAX), below = draw(y, radius, level->h, random >> 32);
        if (try_candidate(c, (size_t)below * (size_t)level->w + (size_t)other)) {
            x = other;
            y = below;
        }
    }
}

static void scan_target(const struct scan *scan, size_t at, bool above)
{
    struct match_level *level = scan->level;
    ptrdiff_t step = scan->backwards ? 1 : -1, row = step * level->w, i = (ptrdiff_t)at;
    struct candidate c = {level, patch_at(level, level->pixels, at), scan->match->options->distance, level->field[at],
                          UINT32_MAX, 0};

    c.plain = c.distance(c.patch, patch_at(level, level->pixels, c.source), 4 * (ptrdiff_t)level->w, NULL, UINT32_MAX);
    c.least = match_price(level, c.source, c.plain);
    if (level->kind[i + step] == MATCH_TARGET)
        (void)try_candidate(&c, (size_t)((ptrdiff_t)level->next[i + step] - step));
    if (level->kind[i + row] == MATCH_TARGET)
        (void)try_candidate(&c, (size_t)((ptrdiff_t)(above ? level->next : level->field)[i + row] - row));
    search_around(scan, at, &c);
    level->next[at] = c.source;
    level->distance[at] = c.plain;
}

static void scan_band(void *context, int band, int worker)
{
    const struct scan *scan = context;
    const struct match_level *level = scan->level;
    int y0 = band * BAND, y1 = y0 + BAND < level->h ? y0 + BAND : level->h;

    (void)worker;
    for (int k = 0; k < y1 - y0; k++) {
        int y = scan->backwards ? y1 - 1 - k : y0 + k, from = level->row[y], to = level->row[y + 1];
        for (int j = 0; j < to - from; j++)
            scan_target(scan, level->list[scan->backwards ? to - 1 - j : from + j], k > 0);
    }
}

void match_pass(const struct match *match, struct match_level *level, uint32_t turn)
{
    struct scan scan = {match, level, turn, turn % 2 == 1};
    uint32_t *swap = level->field;

    match_use_count(level);
    pool_for(match->options->pool, (level->h + BAND - 1) / BAND, scan_band, &scan);
    level->field = level->next;
    level->next = swap;
}
