#include "cli/show.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/terminal.h"

#define MOST_COLUMNS 80
#define KITTY_CHUNK 4096 /* bytes of base64 an escape sequence may hold */
#define SIXEL_WIDTH 640
#define LEVELS 6 /* a channel; 216 colours, as sixel terminals have 256 */

enum way { WAY_KITTY, WAY_SIXEL, WAY_BLOCKS, WAY_LETTERS };

static bool variable_has(const char *name, const char *part)
{
    const char *value = getenv(name);
    return value != NULL && strstr(value, part) != NULL;
}

static enum way choose_way(void)
{
    const char *plain = getenv("NO_COLOR"), *terminal = getenv("TERM");

    if ((plain != NULL && *plain != '\0') || (terminal != NULL && strcmp(terminal, "dumb") == 0))
        return WAY_LETTERS;
    if (getenv("KITTY_WINDOW_ID") != NULL || variable_has("TERM", "kitty") || variable_has("TERM", "ghostty") ||
        variable_has("TERM_PROGRAM", "WezTerm"))
        return WAY_KITTY;
    if (variable_has("TERM", "sixel") || variable_has("TERM", "mlterm") || variable_has("TERM", "foot"))
        return WAY_SIXEL;
    return WAY_BLOCKS;
}

static int picture_columns(void)
{
    int columns = terminal_columns(STDOUT_FILENO, MOST_COLUMNS);

    return columns < MOST_COLUMNS ? columns : MOST_COLUMNS;
}

/* ---- Kitty: the file itself, in base64 --------------------------------------------------------------------------- */

static void show_kitty(const struct infomask_encoded *encoded, int columns)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t step = KITTY_CHUNK / 4 * 3;

    for (size_t at = 0; at < encoded->size; at += step) {
        size_t end = at + step < encoded->size ? at + step : encoded->size;
        if (at == 0) /* a PNG, to be drawn so many cells wide; no answers */
            (void)printf("\033_Gf=100,a=T,q=2,c=%d,m=%d;", columns, end < encoded->size);
        else
            (void)printf("\033_Gm=%d;", end < encoded->size);
        for (size_t i = at; i < end; i += 3) {
            unsigned bits = (unsigned)encoded->data[i] << 16 | (i + 1 < end ? (unsigned)encoded->data[i + 1] << 8 : 0) |
                            (i + 2 < end ? encoded->data[i + 2] : 0u);
            (void)putchar(digits[bits >> 18]);
            (void)putchar(digits[bits >> 12 & 63]);
            (void)putchar(i + 1 < end ? digits[bits >> 6 & 63] : '=');
            (void)putchar(i + 2 < end ? digits[bits & 63] : '=');
        }
        (void)fputs("\033\\", stdout);
    }
    (void)putchar('\n');
}

/* ---- Pixels ------------------------------------------------------------------------------------------------------ */

struct small {
    int width, height;
    uint8_t *rgb;
};

static int level_of(uint8_t value) { return (value * (LEVELS - 1) + 127) / 255; }

static int color_of(const uint8_t *pixel)
{
    return (level_of(pixel[0]) * LEVELS + level_of(pixel[1])) * LEVELS + level_of(pixel[2]);
}

/* One color of a band of six rows: a sign a column, repeats counted. */
static void put_sixels(const struct small *small, int top, int color)
{
    int x = 0;

    (void)printf("#%d", color);
    while (x < small->width) {
        int bits = -1, run = 0;
        for (; x + run < small->width; run++) {
            int here = 0;
            for (int k = 0; k < 6 && top + k < small->height; k++)
                if (color_of(small->rgb + 3 * ((size_t)(top + k) * (size_t)small->width + (size_t)(x + run))) == color)
                    here |= 1 << k;
            if (bits >= 0 && here != bits)
                break;
            bits = here;
        }
        if (run > 3)
            (void)printf("!%d%c", run, 63 + bits);
        else
            for (int i = 0; i < run; i++)
                (void)putchar(63 + bits);
        x += run;
    }
    (void)putchar('$');
}

static void show_sixel(const struct small *small)
{
    (void)printf("\033Pq\"1;1;%d;%d", small->width, small->height);
    for (int color = 0; color < LEVELS * LEVELS * LEVELS; color++)
        (void)printf("#%d;2;%d;%d;%d", color, color / (LEVELS * LEVELS) * 100 / (LEVELS - 1),
                     color / LEVELS % LEVELS * 100 / (LEVELS - 1), color % LEVELS * 100 / (LEVELS - 1));
    for (int top = 0; top < small->height; top += 6) {
        bool used[LEVELS * LEVELS * LEVELS] = {false};
        int rows = small->height - top < 6 ? small->height - top : 6;
        for (size_t i = 0; i < (size_t)rows * (size_t)small->width; i++)
            used[color_of(small->rgb + 3 * ((size_t)top * (size_t)small->width + i))] = true;
        for (int color = 0; color < LEVELS * LEVELS * LEVELS; color++)
            if (used[color])
                put_sixels(small, top, color);
        (void)putchar('-');
    }
    (void)fputs("\033\\\n", stdout);
}

/* Two pixels a cell: the upper half in the colour of the letter, the lower in that of the ground. */
static void show_blocks(const struct small *small)
{
    for (int y = 0; y + 1 < small->height; y += 2) {
        for (int x = 0; x < small->width; x++) {
            const uint8_t *upper = small->rgb + 3 * ((size_t)y * (size_t)small->width + (size_t)x);
            const uint8_t *lower = upper + 3 * (size_t)small->width;
            (void)printf("\033[38;2;%d;%d;%dm\033[48;2;%d;%d;%dm\xe2\x96\x80", upper[0], upper[1], upper[2], lower[0],
                         lower[1], lower[2]);
        }
        (void)fputs("\033[0m\n", stdout);
    }
}

static void show_letters(const struct small *small)
{
    static const char ramp[] = " .:-=+*#%@";

    for (int y = 0; y + 1 < small->height; y += 2) {
        for (int x = 0; x < small->width; x++) {
            const uint8_t *p = small->rgb + 3 * ((size_t)y * (size_t)small->width + (size_t)x);
            int grey = (299 * p[0] + 587 * p[1] + 114 * p[2]) / 1000;
            (void)putchar(ramp[grey * (int)(sizeof ramp - 2) / 255]);
        }
        (void)putchar('\n');
    }
}

static enum infomask_status show_small(const struct infomask_encoded *encoded, enum way way, int columns,
                                       struct infomask_error *err)
{
    const struct infomask_limits limits = infomask_default_limits();
    struct infomask_photo *photo;
    struct small small = {.width = way == WAY_SIXEL ? SIXEL_WIDTH : columns};
    enum infomask_status status = infomask_photo_open(encoded->data, encoded->size, &limits, &photo, err);

    if (status != INFOMASK_OK)
        return status;
    const struct infomask_photo_info *info = infomask_photo_info(photo);
    if (small.width > info->width)
        small.width = info->width;
    small.height = (int)((int64_t)small.width * info->height / info->width);
    small.height += small.height % 2 == 0 ? 0 : 1;
    small.height = small.height < 2 ? 2 : small.height > 4096 ? 4096 : small.height;
    small.rgb = malloc((size_t)small.width * (size_t)small.height * 3);
    status = small.rgb == NULL ? error_set(err, INFOMASK_MEMORY, "no memory for a small picture")
                               : infomask_photo_small(photo, small.width, small.height, small.rgb, err);
    if (status == INFOMASK_OK)
        way == WAY_SIXEL ? show_sixel(&small) : way == WAY_BLOCKS ? show_blocks(&small) : show_letters(&small);
    free(small.rgb);
    infomask_photo_close(photo);
    return status;
}

enum infomask_status show_picture(const struct infomask_encoded *encoded, struct infomask_error *err)
{
    enum way way = choose_way();
    int columns = picture_columns();
    enum infomask_status status = INFOMASK_OK;

    if (way == WAY_KITTY && strcmp(encoded->content_type, "image/png") == 0)
        show_kitty(encoded, columns);
    else
        status = show_small(encoded, way == WAY_KITTY ? WAY_BLOCKS : way, columns, err);
    (void)fflush(stdout);
    return status;
}
