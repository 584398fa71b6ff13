#include "cli/batch/plain.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/json/json_utf8.h"
#include "cli/terminal.h"

#define BAR 24          /* columns of a bar */
#define LABEL_MOST 40   /* columns that a label is given */

/* ---- Text -------------------------------------------------------------------------------------------------------- */

static uint32_t code_point(const unsigned char *text, size_t length)
{
    static const unsigned char first[] = {0, 0x7F, 0x1F, 0x0F, 0x07};
    uint32_t code = text[0] & first[length];

    for (size_t i = 1; i < length; i++)
        code = code << 6 | (text[i] & 0x3F);
    return code;
}

struct range {
    uint32_t from, to;
};

static bool is_in(uint32_t code, const struct range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (code >= ranges[i].from && code <= ranges[i].to)
            return true;
    return false;
}

/* Columns of a sign: 0 for one that is drawn over another, 2 for wide ones (the large blocks of Unicode's East Asian
 * Width), -1 for controls and for what turns the direction of a line. */
static int sign_width(uint32_t code)
{
    static const struct range controls[] = {{0, 0x1F}, {0x7F, 0x9F}, {0x202A, 0x202E}, {0x2066, 0x2069}};
    static const struct range none[] = {{0x300, 0x36F}, {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}};
    static const struct range wide[] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},   {0xF900, 0xFAFF},
                                        {0xFE30, 0xFE6F}, {0xFF00, 0xFF60},   {0xFFE0, 0xFFE6},   {0x1F300, 0x1F64F},
                                        {0x1F680, 0x1F6FF}, {0x1F900, 0x1F9FF}, {0x20000, 0x3FFFD}};

    if (is_in(code, controls, sizeof controls / sizeof *controls))
        return -1;
    if (is_in(code, none, sizeof none / sizeof *none))
        return 0;
    return is_in(code, wide, sizeof wide / sizeof *wide) ? 2 : 1;
}

/* The sign at `text`, cleaned into `clean` (NUL-terminated); returns the bytes that were read, *width its columns. */
static size_t next_sign(const char *text, char clean[5], int *width)
{
    const unsigned char *at = (const unsigned char *)text;
    size_t length = json_utf8_length(at, strlen(text));
    int columns = length > 0 ? sign_width(code_point(at, length)) : -1;
    bool control = columns < 0;

    (void)snprintf(clean, 5, "%.*s", control ? 1 : (int)length, control ? "?" : text);
    *width = control ? 1 : columns;
    return length > 0 ? length : 1;
}

int plain_width(const char *text)
{
    char clean[5];
    int width = 0, columns;

    for (; *text != '\0'; width += columns)
        text += next_sign(text, clean, &columns);
    return width;
}

void plain_put(FILE *out, const char *text, int width)
{
    char clean[5];
    int columns;

    for (; *text != '\0'; width -= columns) {
        text += next_sign(text, clean, &columns);
        (void)fputs(clean, out);
    }
    for (; width > 0; width--)
        (void)fputc(' ', out);
}

void plain_say(FILE *out, const char *format, va_list args)
{
    char clean[5], *text = NULL;
    int columns;

    if (vasprintf(&text, format, args) < 0)
        return;
    for (const char *at = text; *at != '\0';) {
        size_t length = next_sign(at, clean, &columns);
        (void)fputs(*at == '\n' ? "\n" : clean, out);
        at += length;
    }
    free(text);
}

/* ---- Bars -------------------------------------------------------------------------------------------------------- */

static bool terminal_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL && *value != '\0') /* the first that is set decides */
            return strcasestr(value, "utf-8") != NULL || strcasestr(value, "utf8") != NULL;
    }
    return false;
}

/* p of the width: eighths of a column by Unicode's blocks, else whole ones.  A narrow terminal gets a bar of what is
 * left beside the columns that are `used`, so that a line stays a line. */
static void put_bar(FILE *out, double p, int used)
{
    static const char *const blocks[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    bool fine = terminal_is_utf8();
    int room = terminal_columns(STDOUT_FILENO, 1000) - used, eighths;

    room = room > BAR ? BAR : room > 0 ? room : 0;
    eighths = (int)lround(p * room * 8);

    if (!fine)
        eighths = (eighths + 4) / 8 * 8;
    for (int i = 0; i < eighths / 8; i++)
        (void)fputs(fine ? "█" : "#", out);
    (void)fputs(fine ? blocks[eighths % 8] : "", out);
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

struct row {
    const char *label;
    double p, pmi;
};

static struct row row_of(const struct view_head *head, const struct infomask_classification *c, int target)
{
    struct infomask_score score = infomask_score(model_core(head->model), c, target);

    return (struct row){model_label(head->model, (size_t)target), exp(score.log_probability),
                        view_units_factor(head->units) * score.pmi};
}

/* "espresso  95.1 %   6.86 nats  ████"; before: columns of the line that are written already. */
static void put_row(FILE *out, const struct view_head *head, const struct row *row, int label_width, int before)
{
    int label = plain_width(row->label);

    plain_put(out, row->label, label_width);
    before += label > label_width ? label : label_width;
    before += fprintf(out, "  %5.1f %%  %6.2f %s  ", 100 * row->p, row->pmi, view_units_name(head->units));
    put_bar(out, row->p, before);
    (void)fputc('\n', out);
}

static int wider(int width, const char *label)
{
    int own = plain_width(label);
    own = own < LABEL_MOST ? own : LABEL_MOST;
    return own > width ? own : width;
}

static void put_block(FILE *out, const char *path, const struct view_head *head,
                      const struct infomask_classification *c, const struct plain_classify_options *options)
{
    int rows = (size_t)options->rows < c->classes ? options->rows : (int)c->classes, width = 8;
    double unit = view_units_factor(head->units);
    int target = options->view->target;

    plain_put(out, path, 0);
    (void)fprintf(out, "  (%s, %d x %d)\n", head->image->format, head->image->width, head->image->height);
    for (int i = 0; i < rows; i++)
        width = wider(width, model_label(head->model, (size_t)c->order[i]));
    if (target >= 0)
        width = wider(width, model_label(head->model, (size_t)target));
    for (int i = 0; i < rows; i++) {
        struct row row = row_of(head, c, c->order[i]);
        (void)fputs("  ", out);
        put_row(out, head, &row, width, 2);
    }
    if (target >= 0) {
        struct row row = row_of(head, c, target);
        (void)fputs("> ", out);
        put_row(out, head, &row, width, 2);
    }
    (void)fprintf(out, "  it tells %.2f of %.2f %s about its class\n", unit * c->information, unit * c->prior_entropy,
                  view_units_name(head->units));
}

void plain_classify(FILE *out, const char *path, const struct view_head *head,
                    const struct infomask_classification *c, const struct plain_classify_options *options)
{
    int target = options->view->target;
    struct row row = row_of(head, c, target >= 0 ? target : c->order[0]);
    int name = plain_width(path);

    if (options->rows > 1) {
        put_block(out, path, head, c, options);
    } else {
        plain_put(out, path, options->name_width);
        (void)fputs("  ", out);
        name = name > options->name_width ? name : options->name_width;
        put_row(out, head, &row, wider(24, row.label), name + 2);
    }
    if (c->information < options->view->abstain_below)
        (void)fprintf(out, "  it abstains: %.2f %s are too few\n", view_units_factor(head->units) * c->information,
                      view_units_name(head->units));
}
