/* The photo with a map over it: the map's opacity rises with its value, so that the photo stays readable where there is
 * nothing to see; the mask's edge is a white line with a dark one around it, visible on any ground. */
#include "core/image/overlay.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GLYPH_W 5
#define GLYPH_H 7
#define LEGEND_LEAST 120 /* pixels of the photo's shorter side */
#define BAR_GLYPHS 12    /* length of the bar in characters */

/* Five by seven pixels a character, a row in five bits. */
static const struct {
    char character;
    uint8_t row[GLYPH_H];
} font[] = {
    {'0', {14, 17, 19, 21, 25, 17, 14}}, {'1', {4, 12, 4, 4, 4, 4, 14}},      {'2', {14, 17, 1, 6, 8, 16, 31}},
    {'3', {14, 17, 1, 6, 1, 17, 14}},    {'4', {2, 6, 10, 18, 31, 2, 2}},     {'5', {31, 16, 30, 1, 1, 17, 14}},
    {'6', {6, 8, 16, 30, 17, 17, 14}},   {'7', {31, 1, 2, 4, 8, 8, 8}},       {'8', {14, 17, 17, 14, 17, 17, 14}},
    {'9', {14, 17, 17, 15, 1, 2, 12}},   {'.', {0, 0, 0, 0, 0, 12, 12}},      {'-', {0, 0, 0, 14, 0, 0, 0}},
    {'a', {0, 0, 14, 1, 15, 17, 15}},    {'b', {16, 16, 30, 17, 17, 17, 30}}, {'c', {0, 0, 14, 16, 16, 17, 14}},
    {'e', {0, 0, 14, 17, 31, 16, 14}},   {'i', {4, 0, 12, 4, 4, 4, 14}},      {'l', {12, 4, 4, 4, 4, 4, 14}},
    {'n', {0, 0, 22, 25, 17, 17, 17}},   {'s', {0, 0, 15, 16, 14, 1, 30}},    {'t', {8, 8, 28, 8, 8, 9, 6}},
    {'/', {1, 1, 2, 4, 8, 16, 16}},
};

static const uint8_t *glyph(char character)
{
    for (size_t i = 0; i < sizeof font / sizeof *font; i++)
        if (font[i].character == character)
            return font[i].row;
    return NULL;
}

static void draw_text(struct overlay *o, const char *text, int left, int top, int scale)
{
    for (; *text != 0; text++, left += (GLYPH_W + 1) * scale) {
        const uint8_t *rows = glyph(*text);
        for (int y = 0; rows != NULL && y < GLYPH_H * scale; y++)
            for (int x = 0; x < GLYPH_W * scale; x++) {
                int px = left + x, py = top + y;
                if (px < o->legend_w && (rows[y / scale] >> (GLYPH_W - 1 - x / scale) & 1) != 0)
                    memset(o->legend + 3 * ((size_t)py * (size_t)o->legend_w + (size_t)px), 255, 3);
            }
    }
}

/* "0", the bar, the largest value and the unit, on black. */
static bool make_legend(struct overlay *o, double most, const char *unit)
{
    char label[48];
    int shorter = o->photo->width < o->photo->height ? o->photo->width : o->photo->height;
    int scale = shorter / 375 > 1 ? shorter / 375 : 1, cell = (GLYPH_W + 1) * scale, bar = BAR_GLYPHS * cell;

    (void)snprintf(label, sizeof label, "%.*f%s", most < 10 ? 1 : 0, most, unit);
    o->legend_w = cell * (3 + (int)strlen(label)) + bar;
    o->legend_h = (GLYPH_H + 6) * scale;
    if (shorter < LEGEND_LEAST || o->legend_w > o->photo->width)
        return true;
    o->legend = calloc((size_t)o->legend_w * (size_t)o->legend_h, 3);
    if (o->legend == NULL)
        return false;
    draw_text(o, "0", cell / 2, 3 * scale, scale);
    draw_text(o, label, 2 * cell + bar + cell / 2, 3 * scale, scale);
    for (int y = 3 * scale; y < o->legend_h - 3 * scale; y++)
        for (int x = 0; x < bar; x++)
            memcpy(o->legend + 3 * ((size_t)y * (size_t)o->legend_w + (size_t)(x + 2 * cell)),
                   o->table[x * 255 / (bar - 1)], 3);
    return true;
}

enum infomask_status overlay_init(struct overlay *overlay, const struct image *photo, const uint8_t *mask,
                                  const struct overlay_style *style, struct infomask_error *err)
{
    int longest = photo->width > photo->height ? photo->width : photo->height;

    *overlay = (struct overlay){.photo = photo, .mask = mask, .opacity = style->opacity, .line = longest / 600 + 1};
    colormap_fill(style->colormap, overlay->table);
    if (!make_legend(overlay, style->most, style->unit))
        return error_set(err, INFOMASK_MEMORY, "no memory for the overlay");
    return INFOMASK_OK;
}

void overlay_fini(struct overlay *overlay)
{
    free(overlay->legend);
    *overlay = (struct overlay){0};
}

/* Rows of the mask around one of the photo's: itself, and one and two lines' width above and below. */
struct mask_rows {
    const uint8_t *here, *above[2], *below[2];
    bool flat; /* all alike: no edge near */
};

static const uint8_t *mask_row(const struct overlay *o, int y)
{
    int last = o->photo->height - 1;
    return o->mask + (size_t)(y < 0 ? 0 : y < last ? y : last) * (size_t)o->photo->width;
}

static struct mask_rows mask_rows(const struct overlay *o, int y)
{
    struct mask_rows rows = {.here = mask_row(o, y)};
    size_t w = (size_t)o->photo->width;

    rows.flat = memcmp(rows.here, rows.here + 1, w - 1) == 0;
    for (int i = 0; i < 2; i++) {
        rows.above[i] = mask_row(o, y - (i + 1) * o->line);
        rows.below[i] = mask_row(o, y + (i + 1) * o->line);
        rows.flat = rows.flat && memcmp(rows.above[i], rows.here, w) == 0 && memcmp(rows.below[i], rows.here, w) == 0;
    }
    return rows;
}

/* Does the mask's edge pass within `i` + 1 lines' width of the pixel? */
static bool edge_near(const struct overlay *o, const struct mask_rows *rows, int x, int i)
{
    int reach = (i + 1) * o->line, last = o->photo->width - 1;
    bool here = rows->here[x] != 0;

    return (rows->here[x > reach ? x - reach : 0] != 0) != here ||
           (rows->here[x + reach < last ? x + reach : last] != 0) != here || (rows->above[i][x] != 0) != here ||
           (rows->below[i][x] != 0) != here;
}

static void draw_pixel(const struct overlay *o, const uint8_t *p, float value, uint8_t *rgb)
{
    float v = fminf(fmaxf(value, 0), 1), share = (float)o->opacity * (1 + 2 * v) / 3;
    const uint8_t *color = o->table[(int)(v * 255 + 0.5F)];
    float alpha = o->photo->channels == 4 ? (float)p[3] / 255 : 1;

    for (int c = 0; c < 3; c++) {
        float ground = alpha * (float)p[c] + (1 - alpha) * 255;
        rgb[c] = (uint8_t)(ground + share * ((float)color[c] - ground) + 0.5F);
    }
}

static void draw_legend_row(const struct overlay *o, int y, uint8_t *rgb)
{
    int margin = o->legend_h / 2, top = o->photo->height - o->legend_h - margin;

    if (o->legend == NULL || y < top || y >= top + o->legend_h || o->legend_w + margin > o->photo->width)
        return;
    memcpy(rgb + 3 * (size_t)margin, o->legend + 3 * (size_t)(y - top) * (size_t)o->legend_w,
           3 * (size_t)o->legend_w);
}

void overlay_row(const struct overlay *o, int y, const float *value, uint8_t *rgb)
{
    size_t w = (size_t)o->photo->width, c = (size_t)o->photo->channels;
    const uint8_t *row = o->photo->pixels + (size_t)y * w * c;
    struct mask_rows rows = mask_rows(o, y);

    for (int x = 0; x < o->photo->width; x++) {
        uint8_t *out = rgb + 3 * (size_t)x;
        draw_pixel(o, row + (size_t)x * c, value[x], out);
        if (rows.flat)
            continue;
        if (edge_near(o, &rows, x, 0))
            memset(out, 255, 3);
        else if (edge_near(o, &rows, x, 1))
            memset(out, 0, 3);
    }
    draw_legend_row(o, y, rgb);
}
