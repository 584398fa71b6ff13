/* A fill works on a copy of the hole's surroundings, reduced to a megapixel by averaging the kept pixels of each block
 * (a block without one is hole), and is enlarged bilinearly, row by row, when it is read.  What was matched on a
 * reduced copy is not enlarged: its vectors are, and copy the photo's own pixels. */
#include "core/image/fill.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/checked.h"
#include "core/image/pixels/match.h"

#define COPY_PIXELS 1000000
#define MARGIN 16
#define INPAINT_RADIUS 4
#define REDUCED_RADIUS 3 /* on a reduced copy: more of the photo than the other on the photo itself */
#define DIFFUSE_SIGMA (1.0 / 96.0) /* of the photo's longest side */
#define BLUR_SIGMA (1.0 / 12.0)
#define BLOCKS 24 /* PIXELATE: along the longest side */

struct fill {
    enum fill_kind used;
    const char *reason;
    size_t most; /* pixels of the copy */
    bool alpha;
    int photo_width;
    int left, top, width, height; /* the window in the photo */
    int w, h;                     /* the copy */
    uint8_t *rgb;                 /* [h, w, 3] */
    uint8_t *hole;                /* [h, w] */
    uint8_t flat[3];              /* the colour where there is no copy */
    bool blocks;                  /* read by blocks, not bilinearly */
    int *at;                      /* [width] column of the copy to the left of a pixel's centre */
    uint16_t *share;              /* [width] of the next one, of 256 */
    uint16_t *line;               /* [w + 1, 3] a row of the copy between two, times 256 */
    /* MATCH on a reduced copy: */
    const struct image *photo;
    const uint8_t *mask;
    uint32_t *from;    /* [h, w] where a pixel of the hole was copied from; UINT32_MAX elsewhere */
    int16_t (*mend)[3]; /* [h, w] what the blending added to the copy */
};

struct block {
    uint32_t sum[3], count, left_out;
};

static bool kept(const struct image *photo, const uint8_t *mask, size_t i)
{
    return mask[i] == 0 && (photo->channels == 3 || photo->pixels[4 * i + 3] >= 128);
}

/* The mask's bounding box with a margin; false if the mask is empty. */
static bool find_window(struct fill *fill, const struct image *photo, const uint8_t *mask, bool match)
{
    int w = photo->width, h = photo->height, x0 = w, x1 = -1, y0 = h, y1 = -1, margin;

    for (int y = 0; y < h; y++) {
        const uint8_t *row = mask + (size_t)y * (size_t)w;
        int a = 0, b = w - 1;
        while (a < w && row[a] == 0)
            a++;
        if (a == w)
            continue;
        while (row[b] == 0)
            b--;
        x0 = a < x0 ? a : x0;
        x1 = b > x1 ? b : x1;
        y0 = y < y0 ? y : y0;
        y1 = y;
    }
    if (x1 < 0)
        return false;
    margin = (x1 - x0 > y1 - y0 ? x1 - x0 : y1 - y0) / (match ? 1 : 8) + MARGIN;
    if (match && (size_t)w * (size_t)h <= fill->most)
        margin = w > h ? w : h;
    fill->left = x0 > margin ? x0 - margin : 0;
    fill->top = y0 > margin ? y0 - margin : 0;
    fill->width = (x1 + margin < w - 1 ? x1 + margin + 1 : w) - fill->left;
    fill->height = (y1 + margin < h - 1 ? y1 + margin + 1 : h) - fill->top;
    return true;
}

/* The size of the copy: the window's, or what keeps its shape at `pixels`. */
static void size_copy(struct fill *fill, double pixels)
{
    double scale = sqrt(pixels / ((double)fill->width * (double)fill->height));

    scale = scale < 1 ? scale : 1;
    fill->w = (int)fmax(1, floor(fill->width * scale));
    fill->h = (int)fmax(1, floor(fill->height * scale));
}

static void add_photo_row(const struct fill *fill, const struct image *photo, const uint8_t *mask, int y,
                          struct block *line)
{
    size_t at = (size_t)y * (size_t)photo->width + (size_t)fill->left, c = (size_t)photo->channels;
    const size_t of[3] = {fill->alpha ? 3 : 0, fill->alpha ? 3 : 1, fill->alpha ? 3 : 2};

    for (int x = 0; x < fill->w; x++) {
        size_t from = (size_t)((int64_t)x * fill->width / fill->w);
        size_t to = (size_t)((int64_t)(x + 1) * fill->width / fill->w);
        for (size_t k = at + from; k < at + to; k++) {
            const uint8_t *p = photo->pixels + k * c;
            if (mask != NULL && (fill->alpha ? mask[k] != 0 : !kept(photo, mask, k))) {
                line[x].left_out++;
                continue;
            }
            line[x].sum[0] += p[of[0]];
            line[x].sum[1] += p[of[1]];
            line[x].sum[2] += p[of[2]];
            line[x].count++;
        }
    }
}

/* What is copied must be whole: for MATCH a block with any pixel to be filled is hole. */
static void store_blocks(struct fill *fill, int y, const struct block *line)
{
    for (int x = 0; x < fill->w; x++) {
        size_t at = (size_t)y * (size_t)fill->w + (size_t)x;
        uint32_t n = line[x].count;
        fill->hole[at] = n == 0 || (fill->used == FILL_MATCH && line[x].left_out > 0);
        for (size_t c = 0; c < 3; c++)
            fill->rgb[3 * at + c] = (uint8_t)(n == 0 ? 128 : (line[x].sum[c] + n / 2) / n);
    }
}

/* Block averages of the window; mask NULL: of all its pixels. */
static enum infomask_status copy_window(struct fill *fill, const struct image *photo, const uint8_t *mask,
                                        struct infomask_error *err)
{
    size_t size;
    struct block *line = NULL;
    bool fits = checked_mul3((size_t)fill->w, (size_t)fill->h, 3, &size);

    if (fits) {
        fill->rgb = malloc(size);
        fill->hole = malloc(size / 3);
        line = malloc((size_t)fill->w * sizeof *line);
    }
    if (!fits || fill->rgb == NULL || fill->hole == NULL || line == NULL) {
        free(line);
        return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    }
    for (int y = 0; y < fill->h; y++) {
        int from = (int)((int64_t)y * fill->height / fill->h), to = (int)((int64_t)(y + 1) * fill->height / fill->h);
        memset(line, 0, (size_t)fill->w * sizeof *line);
        for (int k = from; k < to; k++)
            add_photo_row(fill, photo, mask, fill->top + k, line);
        store_blocks(fill, y, line);
    }
    free(line);
    return INFOMASK_OK;
}

static void mean_color(struct fill *fill, const struct image *photo, const uint8_t *mask)
{
    uint64_t sum[3] = {0}, count = 0;
    size_t n = (size_t)photo->width * (size_t)photo->height, c = (size_t)photo->channels;

    for (size_t i = 0; i < n; i++) {
        if (!kept(photo, mask, i))
            continue;
        sum[0] += photo->pixels[i * c];
        sum[1] += photo->pixels[i * c + 1];
        sum[2] += photo->pixels[i * c + 2];
        count++;
    }
    for (size_t k = 0; k < 3; k++)
        fill->flat[k] = (uint8_t)(count == 0 ? 128 : (sum[k] + count / 2) / count);
}

static double masked_share(const struct image *photo, const uint8_t *mask)
{
    size_t n = (size_t)photo->width * (size_t)photo->height, set = 0;

    for (size_t i = 0; i < n; i++)
        set += mask[i] != 0;
    return (double)set / (double)n;
}

static void drop_copy(struct fill *fill)
{
    free(fill->rgb);
    free(fill->hole);
    free(fill->from);
    free(fill->mend);
    fill->rgb = fill->hole = NULL;
    fill->from = NULL;
    fill->mend = NULL;
}

/* mend: the blended copy less the copied pixels. */
static enum infomask_status keep_vectors(struct fill *fill, const uint8_t *before, struct infomask_error *err)
{
    size_t n = (size_t)fill->w * (size_t)fill->h;

    fill->mend = calloc(n, sizeof *fill->mend);
    if (fill->mend == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    for (size_t i = 0; i < n; i++) {
        if (fill->hole[i] == 0)
            fill->from[i] = UINT32_MAX;
        for (size_t c = 0; c < 3 && fill->from[i] != UINT32_MAX; c++)
            fill->mend[i][c] = (int16_t)(fill->rgb[3 * i + c] - before[3 * (size_t)fill->from[i] + c]);
    }
    return INFOMASK_OK;
}

static enum infomask_status match_window(struct fill *fill, const struct image *photo, const uint8_t *mask,
                                         const struct fill_options *options, bool *enough, struct infomask_error *err)
{
    bool reduced;
    enum infomask_status status;

    *enough = true;
    if (!find_window(fill, photo, mask, true))
        return INFOMASK_OK;
    size_copy(fill, (double)fill->most);
    reduced = fill->w < fill->width || fill->h < fill->height;
    status = copy_window(fill, photo, mask, err);
    if (status == INFOMASK_OK && reduced) {
        fill->from = malloc((size_t)fill->w * (size_t)fill->h * sizeof *fill->from);
        if (fill->from == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    }
    if (status == INFOMASK_OK)
        status = match_complete(options, fill->rgb, fill->hole, fill->h, fill->w, fill->from, enough, err);
    if (status == INFOMASK_OK && reduced && *enough) {
        fill->photo = photo;
        fill->mask = mask;
        status = keep_vectors(fill, fill->rgb, err);
    }
    return status;
}

static enum infomask_status fill_match(struct fill *fill, const struct image *photo, const uint8_t *mask,
                                       const struct fill_options *options, struct infomask_error *err)
{
    bool enough = false;
    enum infomask_status status = INFOMASK_OK;

    if (masked_share(photo, mask) > FILL_MOST_MATCHED)
        fill->reason = "well over half of the photo is to be filled, more than 60 %";
    else
        status = match_window(fill, photo, mask, options, &enough, err);
    if (status != INFOMASK_OK || enough)
        return status;
    if (fill->reason == NULL)
        fill->reason = "too little of the photo is left to copy from";
    drop_copy(fill);
    fill->used = FILL_DIFFUSE;
    return INFOMASK_OK;
}

static enum infomask_status fill_make(struct fill *fill, const struct image *photo, const uint8_t *mask,
                                      const struct fill_options *options, struct infomask_error *err)
{
    double longest = photo->width > photo->height ? photo->width : photo->height, scale, blocks;
    enum infomask_status status = INFOMASK_OK;

    if (fill->used == FILL_PIXELATE) {
        fill->width = photo->width;
        fill->height = photo->height;
        blocks = longest / BLOCKS;
        size_copy(fill, fmax(1, photo->width / blocks * (photo->height / blocks)));
        return copy_window(fill, photo, NULL, err);
    }
    if (fill->used == FILL_MATCH) {
        status = fill_match(fill, photo, mask, options, err);
        if (status != INFOMASK_OK || fill->used == FILL_MATCH)
            return status;
    }
    if (!find_window(fill, photo, mask, false))
        return INFOMASK_OK;
    size_copy(fill, (double)fill->most);
    status = copy_window(fill, photo, mask, err);
    if (status != INFOMASK_OK)
        return status;
    if (fill->used == FILL_INPAINT)
        return fill_inpaint(fill->rgb, fill->hole, fill->h, fill->w,
                            fill->w < fill->width ? REDUCED_RADIUS : INPAINT_RADIUS, err);
    scale = (double)fill->w / fill->width;
    return fill_spread(fill->rgb, fill->hole, fill->h, fill->w,
                       longest * scale * (fill->used == FILL_BLUR ? BLUR_SIGMA : DIFFUSE_SIGMA), err);
}

/* Column (or row) i of n in a copy of m: what lies before its centre, and the share of 256 of what lies after. */
static int fill_tap(int i, int n, int m, bool blocks, uint16_t *share)
{
    double x = (i + 0.5) * m / n - 0.5, whole;

    *share = 0;
    if (blocks)
        return (int)((i + 0.5) * m / n);
    if (x <= 0)
        return 0;
    if (x >= m - 1)
        return m - 1;
    *share = (uint16_t)lrint(256 * modf(x, &whole));
    return (int)whole;
}

static enum infomask_status fill_tables(struct fill *fill, struct infomask_error *err)
{
    fill->at = malloc((size_t)fill->width * sizeof(int));
    fill->share = malloc((size_t)fill->width * sizeof(uint16_t));
    fill->line = malloc(((size_t)fill->w + 1) * 3 * sizeof(uint16_t));
    if (fill->at == NULL || fill->share == NULL || fill->line == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    for (int x = 0; x < fill->width; x++)
        fill->at[x] = fill_tap(x, fill->width, fill->w, fill->blocks, &fill->share[x]);
    return INFOMASK_OK;
}

enum infomask_status fill_create(struct fill **out, const struct image *photo, const uint8_t *mask,
                                 const struct fill_options *options, struct infomask_error *err)
{
    struct fill *fill = calloc(1, sizeof *fill);
    enum infomask_status status = INFOMASK_OK;

    if (fill == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory to fill the mask");
    fill->used = options->kind;
    fill->alpha = options->alpha;
    fill->most = options->pixels > 0 ? options->pixels : COPY_PIXELS;
    if (fill->used == FILL_COLOR)
        memcpy(fill->flat, options->color, 3);
    else if (fill->used == FILL_MEAN)
        mean_color(fill, photo, mask);
    else
        status = fill_make(fill, photo, mask, options, err);
    fill->blocks = fill->used == FILL_PIXELATE;
    if (status == INFOMASK_OK && fill->rgb != NULL)
        status = fill_tables(fill, err);
    if (status != INFOMASK_OK) {
        fill_free(fill);
        return status;
    }
    fill->photo_width = photo->width;
    free(fill->hole);
    fill->hole = NULL;
    *out = fill;
    return INFOMASK_OK;
}

void fill_free(struct fill *fill)
{
    if (fill == NULL)
        return;
    drop_copy(fill);
    free(fill->at);
    free(fill->share);
    free(fill->line);
    free(fill);
}

enum fill_kind fill_used(const struct fill *fill) { return fill->used; }

const char *fill_reason(const struct fill *fill) { return fill->reason; }

static void fill_line(struct fill *fill, int y)
{
    uint16_t share;
    size_t n = 3 * (size_t)fill->w;
    int at = fill_tap(y, fill->height, fill->h, fill->blocks, &share);
    const uint8_t *a = fill->rgb + (size_t)at * n, *b = at + 1 < fill->h ? a + n : a;

    for (size_t i = 0; i < n; i++)
        fill->line[i] = (uint16_t)(a[i] * (256 - share) + b[i] * share);
    for (size_t c = 0; c < 3; c++)
        fill->line[n + c] = fill->line[n - 3 + c];
}

/* ---- Copies at the photo's own size ------------------------------------------------------------------------------ */

/* A pixel of the window copied along the vector of the copy's pixel `tap`; false: that one was not copied, or the place
 * is to be filled itself. */
static bool copy_along(const struct fill *fill, int x, int y, size_t tap, int *rgb)
{
    uint32_t from = fill->from[tap];
    int w = fill->w, dx, dy, px, py;
    size_t at;

    if (from == UINT32_MAX)
        return false;
    dx = (int)lrint((double)((int)(from % (uint32_t)w) - (int)(tap % (size_t)w)) * fill->width / w);
    dy = (int)lrint((double)((int)(from / (uint32_t)w) - (int)(tap / (size_t)w)) * fill->height / fill->h);
    px = x + dx < 0 ? 0 : x + dx < fill->width ? x + dx : fill->width - 1;
    py = y + dy < 0 ? 0 : y + dy < fill->height ? y + dy : fill->height - 1;
    at = (size_t)(fill->top + py) * (size_t)fill->photo->width + (size_t)(fill->left + px);
    if (!kept(fill->photo, fill->mask, at))
        return false;
    for (size_t c = 0; c < 3; c++)
        rgb[c] = fill->photo->pixels[at * (size_t)fill->photo->channels + c] + fill->mend[tap][c];
    return true;
}

/* The mean, by nearness, of what the four nearest vectors copy; *o keeps the enlarged copy where there is none. */
static void copy_pixel(const struct fill *fill, int x, int y, int row, uint32_t down, uint8_t *o)
{
    uint32_t across = fill->share[x], total = 0, sum[3] = {0};

    for (int k = 0; k < 4; k++) {
        int tx = fill->at[x] + k % 2, ty = row + k / 2, rgb[3];
        uint32_t share = (k % 2 ? across : 256 - across) * (k / 2 ? down : 256 - down);
        if (share == 0 || tx >= fill->w || ty >= fill->h ||
            !copy_along(fill, x, y, (size_t)ty * (size_t)fill->w + (size_t)tx, rgb))
            continue;
        for (size_t c = 0; c < 3; c++)
            sum[c] += share * (uint32_t)(rgb[c] < 0 ? 0 : rgb[c] < 255 ? rgb[c] : 255);
        total += share;
    }
    for (size_t c = 0; c < 3 && total > 0; c++)
        o[c] = (uint8_t)((sum[c] + total / 2) / total);
}

static void copy_row(const struct fill *fill, int y, uint8_t *rgb)
{
    uint16_t down;
    int row = fill_tap(y - fill->top, fill->height, fill->h, false, &down);
    const uint8_t *mask = fill->mask + (size_t)y * (size_t)fill->photo_width + (size_t)fill->left;

    for (int x = 0; x < fill->width; x++)
        if (mask[x] != 0)
            copy_pixel(fill, x, y - fill->top, row, down, rgb + 3 * (size_t)(fill->left + x));
}

void fill_row(struct fill *fill, int y, uint8_t *rgb)
{
    if (fill->rgb == NULL || y < fill->top || y >= fill->top + fill->height) {
        for (int x = 0; x < fill->photo_width; x++)
            memcpy(rgb + 3 * (size_t)x, fill->flat, 3);
        return;
    }
    fill_line(fill, y - fill->top);
    for (int x = 0; x < fill->width; x++) {
        const uint16_t *p = fill->line + 3 * (size_t)fill->at[x];
        uint32_t share = fill->share[x];
        uint8_t *o = rgb + 3 * (size_t)(fill->left + x);
        for (size_t c = 0; c < 3; c++)
            o[c] = (uint8_t)((p[c] * (256 - share) + p[c + 3] * share + 32768) >> 16);
    }
    if (fill->from != NULL)
        copy_row(fill, y, rgb);
}
