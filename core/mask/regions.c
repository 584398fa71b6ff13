/* Connected regions by runs: a row is cut into runs of set pixels, a run joins the runs of the row above that it
 * touches (corners count), and what belongs together is kept by union-find whose roots carry the region's sums.  Only
 * two rows of runs exist at a time; their number is at most half a row. */
#include <stdlib.h>
#include <string.h>

#include "core/mask/mask.h"

#define RIM_SWEEPS 4

struct run {
    int from, to; /* columns [from, to) */
    int label;
};

struct node {
    int parent; /* itself for a root */
    struct mask_region region;
    size_t first; /* its first pixel: the order of ties */
};

struct finder {
    int w;
    struct run *above, *here;
    int above_count, here_count;
    struct node *node;
    int count, capacity;
};

static int find_root(struct finder *f, int label)
{
    while (f->node[label].parent != label) {
        f->node[label].parent = f->node[f->node[label].parent].parent;
        label = f->node[label].parent;
    }
    return label;
}

static void merge(struct mask_region *a, const struct mask_region *b)
{
    int right = a->x + a->width > b->x + b->width ? a->x + a->width : b->x + b->width;
    int bottom = a->y + a->height > b->y + b->height ? a->y + a->height : b->y + b->height;
    bool earlier = b->peak_y < a->peak_y || (b->peak_y == a->peak_y && b->peak_x < a->peak_x);

    a->x = a->x < b->x ? a->x : b->x;
    a->y = a->y < b->y ? a->y : b->y;
    a->width = right - a->x;
    a->height = bottom - a->y;
    a->pixels += b->pixels;
    a->sum += b->sum;
    a->signed_sum += b->signed_sum;
    a->sum_x += b->sum_x;
    a->sum_y += b->sum_y;
    if (b->peak > a->peak || (b->peak == a->peak && earlier)) {
        a->peak = b->peak;
        a->peak_x = b->peak_x;
        a->peak_y = b->peak_y;
    }
}

/* The earlier label stays the root. */
static int join(struct finder *f, int a, int b)
{
    a = find_root(f, a);
    b = find_root(f, b);
    if (a == b)
        return a;
    if (b < a) {
        int c = a;
        a = b;
        b = c;
    }
    f->node[b].parent = a;
    merge(&f->node[a].region, &f->node[b].region);
    return a;
}

static struct mask_region run_region(const struct run *run, int y, const float *value)
{
    struct mask_region r = {.x = run->from, .y = y, .width = run->to - run->from, .height = 1};

    r.pixels = (size_t)r.width;
    r.peak_x = run->from;
    r.peak_y = y;
    r.sum_x = r.width * (run->from + run->to - 1) / 2.0;
    r.sum_y = (double)r.width * y;
    if (value == NULL)
        return r;
    r.peak = value[run->from];
    for (int x = run->from; x < run->to; x++) {
        r.sum += value[x] > 0 ? (double)value[x] : 0;
        r.signed_sum += (double)value[x];
        if (value[x] > r.peak) {
            r.peak = value[x];
            r.peak_x = x;
        }
    }
    return r;
}

static bool new_node(struct finder *f, const struct mask_region *region, int *label)
{
    if (f->count == f->capacity) {
        int more = f->capacity * 2 + 64;
        struct node *bigger = realloc(f->node, (size_t)more * sizeof *bigger);
        if (bigger == NULL)
            return false;
        f->node = bigger;
        f->capacity = more;
    }
    f->node[f->count] = (struct node){.parent = f->count, .region = *region};
    f->node[f->count].first = (size_t)region->y * (size_t)f->w + (size_t)region->x;
    *label = f->count++;
    return true;
}

/* Gives the run its label; `k` walks along the runs above. */
static bool place_run(struct finder *f, struct run *run, int y, const float *value, int *k)
{
    struct mask_region region = run_region(run, y, value);

    run->label = -1;
    while (*k < f->above_count && f->above[*k].to < run->from)
        ++*k;
    for (int i = *k; i < f->above_count && f->above[i].from <= run->to; i++)
        run->label = run->label < 0 ? find_root(f, f->above[i].label) : join(f, run->label, f->above[i].label);
    if (run->label < 0)
        return new_node(f, &region, &run->label);
    merge(&f->node[run->label].region, &region);
    return true;
}

/* The first column at or after x that is set; w without one. */
static int next_set(const uint8_t *row, int x, int w)
{
    uint64_t eight;

    for (; x + 8 <= w; x += 8) {
        memcpy(&eight, row + x, sizeof eight);
        if (eight != 0)
            break;
    }
    while (x < w && row[x] == 0)
        x++;
    return x;
}

static int cut_runs(const uint8_t *row, int w, struct run *runs)
{
    int count = 0;

    for (int x = 0; x < w;) {
        const uint8_t *end;
        int from;
        x = next_set(row, x, w);
        if (x == w)
            break;
        from = x;
        end = memchr(row + x, 0, (size_t)(w - x));
        x = end != NULL ? (int)(end - row) : w;
        runs[count++] = (struct run){from, x, -1};
    }
    return count;
}

static bool find_row(struct finder *f, const uint8_t *row, int y, const float *value)
{
    struct run *swap = f->above;
    int k = 0;

    f->above = f->here;
    f->above_count = f->here_count;
    f->here = swap;
    f->here_count = cut_runs(row, f->w, f->here);
    for (int i = 0; i < f->here_count; i++)
        if (!place_run(f, &f->here[i], y, value, &k))
            return false;
    return true;
}

static bool finder_init(struct finder *f, int w)
{
    size_t runs = (size_t)w / 2 + 1;

    *f = (struct finder){.w = w, .above = malloc(runs * sizeof *f->above), .here = malloc(runs * sizeof *f->here)};
    return f->above != NULL && f->here != NULL;
}

static void finder_fini(struct finder *f)
{
    free(f->above);
    free(f->here);
    free(f->node);
}

static int larger_first(const void *a, const void *b)
{
    const struct node *x = a, *y = b;

    if (x->region.pixels != y->region.pixels)
        return x->region.pixels < y->region.pixels ? 1 : -1;
    return x->first < y->first ? -1 : 1;
}

/* The roots, sorted, become the result. */
static bool collect(struct finder *f, int most, struct mask_regions *regions)
{
    int roots = 0;

    for (int i = 0; i < f->count; i++)
        if (f->node[i].parent == i)
            f->node[roots++] = f->node[i];
    if (roots == 0)
        return true;
    qsort(f->node, (size_t)roots, sizeof *f->node, larger_first);
    regions->count = roots < most ? roots : most;
    regions->region = malloc((size_t)regions->count * sizeof *regions->region);
    for (int i = 0; regions->region != NULL && i < regions->count; i++)
        regions->region[i] = f->node[i].region;
    return regions->region != NULL;
}

static void add_row(struct mask_regions *regions, const uint8_t *row, const float *value, int w)
{
    double total = 0, inside = 0;
    size_t pixels = 0;

    for (int x = 0; x < w; x++) {
        double v = value[x] > 0 ? (double)value[x] : 0.0;
        bool set = row[x] != 0;
        total += v;
        inside += set ? v : 0.0;
        pixels += set;
    }
    regions->total += total;
    regions->inside += inside;
    regions->pixels += pixels;
}

enum infomask_status mask_regions_find(const uint8_t *mask, int h, int w, mask_value_row *value, void *context,
                                       int most, struct mask_regions *regions, struct infomask_error *err)
{
    struct finder f;
    float *values = calloc((size_t)w, sizeof *values);
    bool fine = finder_init(&f, w) && values != NULL;

    *regions = (struct mask_regions){0};
    for (int y = 0; fine && y < h; y++) {
        const uint8_t *row = mask + (size_t)y * (size_t)w;
        if (value != NULL)
            value(context, y, values);
        add_row(regions, row, values, w);
        fine = find_row(&f, row, y, values);
    }
    fine = fine && collect(&f, most, regions);
    finder_fini(&f);
    free(values);
    if (!fine)
        mask_regions_fini(regions);
    return fine ? INFOMASK_OK : error_set(err, INFOMASK_MEMORY, "no memory for the regions of the mask");
}

void mask_regions_fini(struct mask_regions *regions)
{
    free(regions->region);
    *regions = (struct mask_regions){0};
}

/* ---- Strokes ----------------------------------------------------------------------------------------------------- */

/* The pixels of one value. */
static void select_row(const uint8_t *marks, int w, uint8_t value, uint8_t *row)
{
    for (int x = 0; x < w; x++)
        row[x] = marks[x] == value ? 255 : 0;
}

/* Remembers the label that each run had when it was found, in reading order. */
static bool remember(struct mask_strokes *strokes, size_t *capacity, const struct finder *f)
{
    size_t need = strokes->runs + (size_t)f->here_count;

    if (need > *capacity) {
        size_t more = need * 2 + 64;
        int *bigger = realloc(strokes->stroke, more * sizeof *bigger);
        if (bigger == NULL)
            return false;
        strokes->stroke = bigger;
        *capacity = more;
    }
    for (int i = 0; i < f->here_count; i++)
        strokes->stroke[strokes->runs++] = f->here[i].label;
    return true;
}

/* Labels become the numbers of strokes: the roots in the order of their labels, which is that of first pixels. */
static bool number_strokes(struct finder *f, struct mask_strokes *strokes)
{
    int *number = malloc(((size_t)f->count + 1) * sizeof *number);

    strokes->region = malloc(((size_t)f->count + 1) * sizeof *strokes->region);
    if (number == NULL || strokes->region == NULL) {
        free(number);
        return false;
    }
    for (int i = 0; i < f->count; i++)
        if (f->node[i].parent == i) {
            number[i] = strokes->count;
            strokes->region[strokes->count++] = f->node[i].region;
        }
    for (size_t i = 0; i < strokes->runs; i++)
        strokes->stroke[i] = number[find_root(f, strokes->stroke[i])];
    free(number);
    return true;
}

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the strokes of the mask");
}

/* The regions of the pixels of one value. */
static enum infomask_status find_all(const uint8_t *marks, int h, int w, uint8_t pixel, mask_value_row *value,
                                     void *context, struct mask_strokes *strokes, struct infomask_error *err)
{
    struct finder f;
    size_t capacity = 0;
    float *values = value != NULL ? malloc((size_t)w * sizeof *values) : NULL;
    uint8_t *row = malloc((size_t)w);
    bool fine = finder_init(&f, w) && (values != NULL || value == NULL) && row != NULL;

    *strokes = (struct mask_strokes){0};
    for (int y = 0; fine && y < h; y++) {
        if (value != NULL)
            value(context, y, values);
        select_row(marks + (size_t)y * (size_t)w, w, pixel, row);
        fine = find_row(&f, row, y, values) && remember(strokes, &capacity, &f);
    }
    fine = fine && number_strokes(&f, strokes);
    finder_fini(&f);
    free(values);
    free(row);
    if (!fine)
        mask_strokes_fini(strokes);
    return fine ? INFOMASK_OK : no_memory(err);
}

enum infomask_status mask_strokes_find(const uint8_t *marks, int h, int w, mask_value_row *value, void *context,
                                       struct mask_strokes *strokes, struct infomask_error *err)
{
    return find_all(marks, h, w, MASK_STROKE, value, context, strokes, err);
}

void mask_strokes_fini(struct mask_strokes *strokes)
{
    free(strokes->region);
    free(strokes->stroke);
    *strokes = (struct mask_strokes){0};
}

enum { TAKEN = 255, LEFT = 254, RIM = MASK_RIM };

/* A rim pixel goes with a neighbour whose fate is known: those before it, or (backwards) after it in reading order. */
static bool settle_rim(uint8_t *out, int h, int w, int step)
{
    bool changed = false;

    for (int i = 0; i < h * w; i++) {
        int at = step > 0 ? i : h * w - 1 - i, y = at / w, x = at % w;
        if (out[at] != RIM)
            continue;
        for (int k = 0; k < 4 && out[at] == RIM; k++) {
            int ny = k < 3 ? y - step : y, nx = k < 3 ? x + k - 1 : x - step;
            if (ny >= 0 && ny < h && nx >= 0 && nx < w && out[ny * w + nx] > RIM)
                out[at] = out[ny * w + nx];
        }
        changed = changed || out[at] != RIM;
    }
    return changed;
}

static void settle(uint8_t *out, int h, int w)
{
    bool changed = true;

    for (int sweep = 0; sweep < RIM_SWEEPS && changed; sweep++) {
        changed = settle_rim(out, h, w, 1);
        changed = settle_rim(out, h, w, -1) || changed;
    }
    for (size_t i = 0; i < (size_t)h * (size_t)w; i++)
        out[i] = out[i] == TAKEN ? 255 : 0;
}

enum infomask_status mask_strokes_paint(const struct mask_strokes *strokes, const uint8_t *marks, int h, int w,
                                        const bool *taken, uint8_t *out, struct infomask_error *err)
{
    size_t at = 0;
    struct run *runs = malloc(((size_t)w / 2 + 1) * sizeof *runs);
    uint8_t *row = malloc((size_t)w);

    for (int y = 0; y < h && runs != NULL && row != NULL; y++) {
        const uint8_t *in = marks + (size_t)y * (size_t)w;
        uint8_t *to = out + (size_t)y * (size_t)w;
        int count;
        select_row(in, w, MASK_STROKE, row);
        count = cut_runs(row, w, runs);
        for (int x = 0; x < w; x++)
            to[x] = in[x] == MASK_RIM ? RIM : 0;
        for (int i = 0; i < count; i++)
            memset(to + runs[i].from, taken[strokes->stroke[at++]] ? TAKEN : LEFT, (size_t)(runs[i].to - runs[i].from));
    }
    if (runs != NULL && row != NULL)
        settle(out, h, w);
    free(row);
    if (runs == NULL || row == NULL) {
        free(runs);
        return no_memory(err);
    }
    free(runs);
    return INFOMASK_OK;
}

/* ---- Specks ------------------------------------------------------------------------------------------------------ */

static enum infomask_status drop_small(uint8_t *mask, int h, int w, uint8_t pixel, size_t least,
                                       struct infomask_error *err)
{
    struct mask_strokes all;
    struct run *runs = malloc(((size_t)w / 2 + 1) * sizeof *runs);
    uint8_t *row = malloc((size_t)w);
    size_t at = 0, largest = 0;
    bool any = false;
    enum infomask_status status =
        runs == NULL || row == NULL ? no_memory(err) : find_all(mask, h, w, pixel, NULL, NULL, &all, err);

    for (int i = 0; status == INFOMASK_OK && i < all.count; i++)
        largest = all.region[i].pixels > largest ? all.region[i].pixels : largest;
    least = least < largest ? least : largest;
    for (int i = 0; status == INFOMASK_OK && i < all.count; i++)
        any = any || all.region[i].pixels < least;
    for (int y = 0; any && y < h; y++) {
        uint8_t *to = mask + (size_t)y * (size_t)w;
        int count;
        select_row(to, w, pixel, row);
        count = cut_runs(row, w, runs);
        for (int i = 0; i < count; i++)
            if (all.region[all.stroke[at++]].pixels < least)
                memset(to + runs[i].from, 255 - pixel, (size_t)(runs[i].to - runs[i].from));
    }
    if (status == INFOMASK_OK)
        mask_strokes_fini(&all);
    free(row);
    free(runs);
    return status;
}

enum infomask_status mask_tidy(uint8_t *mask, int h, int w, size_t least, struct infomask_error *err)
{
    enum infomask_status status = drop_small(mask, h, w, 255, least, err);

    return status == INFOMASK_OK ? drop_small(mask, h, w, 0, least, err) : status;
}
