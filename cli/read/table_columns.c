/* The columns of a CSV table: numbers with holes, categories, and what is neither. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/read/table_parts.h"
#include "core/base/checked.h"

#define FEW_VALUES 20 /* different ones that are taken for categories however they look, */
#define STRAY 20      /* unless there are more than so many numbers to a text: that is a slip */

void table_list_columns(const struct csv *csv, char *text, size_t size)
{
    enum { SHOWN = 20 };
    size_t used = 0;
    char number[24];

    text[0] = '\0';
    for (size_t j = 0; j < csv->columns && j < SHOWN && used < size; j++) {
        int length = snprintf(text + used, size - used, "%s%.24s", j > 0 ? ", " : "", csv_column_name(csv, j, number));
        used += length > 0 ? (size_t)length : 0;
    }
    if (csv->columns > SHOWN && used < size)
        (void)snprintf(text + used, size - used, " and %zu more", csv->columns - SHOWN);
}

/* What the cells of a column are. */
struct kinds {
    size_t missing, unknown, numbers, texts, dates; /* unknown: "?" */
    size_t dressed, units;      /* of the texts: numbers but for how they look, or with a word behind them */
    size_t thousands, hundreds; /* of the numbers: 1.500, as it may be written for 1500; whole ones below 1000 */
    size_t first_text, first_date, first_thousand; /* rows */
};

/* What people write around and into numbers, blanks of other widths among it. */
static size_t dress_at(const char *at)
{
    static const char *const marks[] = {" ", "%", "$", "'", "\xc2\xa3", "\xc2\xa5",
                                        "\xe2\x82\xac", "\xc2\xa0", "\xe2\x80\xaf", "\xe2\x88\x92"};

    for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
        if (strncmp(at, marks[i], strlen(marks[i])) == 0)
            return strlen(marks[i]);
    return 0;
}

/* Takes points and commas between thousands away, and makes a comma that is left a point. */
static void plain_marks(char *text)
{
    size_t used = 0, marks = 0;

    for (const char *at = text; *at != '\0'; at++)
        marks += *at == '.' || *at == ',' ? 1 : 0;
    for (const char *at = text; *at != '\0'; at++) {
        bool mark = *at == '.' || *at == ',';
        if (mark && marks > 1 && strspn(at + 1, "0123456789") == 3)
            marks--;
        else
            text[used++] = (char)(mark ? '.' : *at);
    }
    text[used] = '\0';
}

/* Whether a cell is a number with a comma instead of its point, marks between thousands, a unit of money, a sign of
 * percent, blanks, a long minus. */
static bool dressed(const char *cell)
{
    char text[64];
    size_t used = 0;
    double value;

    while (*cell != '\0' && used + 1 < sizeof text) {
        size_t dress = dress_at(cell);
        if (dress == 0)
            text[used++] = *cell;
        cell += dress > 0 ? dress : 1;
    }
    text[used] = '\0';
    plain_marks(text);
    return *cell == '\0' && csv_number(text, &value);
}

/* A number, a blank, and a word: 12.5 kg. */
static bool has_unit(const char *cell)
{
    size_t number = strspn(cell, "0123456789.,+-");

    return number > 0 && cell[number] == ' ' && strcspn(cell + number + 1, " 0123456789") == strlen(cell + number + 1);
}

static void count_thousands(const char *cell, size_t row, struct kinds *kinds)
{
    const char *at = cell + (*cell == '-');
    size_t whole = strspn(at, "0123456789");

    if (whole == 0 || whole > 3 || (*at == '0' && at[1] != '\0'))
        return;
    if (at[whole] == '\0')
        kinds->hundreds++;
    else if (at[whole] == '.' && strlen(at + whole + 1) == 3 && strspn(at + whole + 1, "0123456789") == 3)
        kinds->first_thousand = kinds->thousands++ == 0 ? row : kinds->first_thousand;
}

static struct kinds look_at(const struct csv *csv, size_t j)
{
    struct kinds kinds = {0};

    for (size_t i = 0; i < csv->rows; i++) {
        const char *cell = csv->cells[i * csv->columns + j];
        double value;
        if (csv_missing(cell)) {
            kinds.missing++;
        } else if (strcmp(cell, "?") == 0) {
            kinds.unknown++;
        } else if (csv_number(cell, &value)) {
            kinds.numbers++;
            count_thousands(cell, i, &kinds);
        } else {
            kinds.first_text = kinds.texts++ == 0 ? i : kinds.first_text;
            kinds.dressed += dressed(cell) ? 1 : 0;
            kinds.units += has_unit(cell) ? 1 : 0;
            if (csv_date(cell))
                kinds.first_date = kinds.dates++ == 0 ? i : kinds.first_date;
        }
    }
    return kinds;
}

struct taken_column {
    const struct csv *csv;
    size_t from;     /* column of the file */
    size_t levels;   /* 0: numbers */
    uint32_t *place; /* [rows] of a category; owned */
};

static enum infomask_status refuse(const struct csv *csv, size_t j, size_t row, const char *why,
                                   struct infomask_error *err)
{
    char number[24], columns[400];
    const char *cell = csv->cells[row * csv->columns + j], *name = csv_column_name(csv, j, number);

    if (*name == '\0') {
        (void)snprintf(number, sizeof number, "%zu", j);
        name = number;
    }
    table_list_columns(csv, columns, sizeof columns);
    return error_set(err, INFOMASK_BAD_DATA,
                     "line %u, column \"%.60s\": \"%.40s\" %s, or leave the column out: --drop %.60s "
                     "(its columns are %s)",
                     csv->lines[row], name, cell, why, name, columns);
}

/* Cells of a category: what is missing is a value of its own. */
static enum infomask_status number_levels(struct taken_column *column, struct infomask_error *err)
{
    const struct csv *csv = column->csv;
    char **cells = malloc((csv->rows + 1) * sizeof *cells), **texts = malloc((csv->rows + 1) * sizeof *texts),
         none[] = "";
    enum infomask_status status = INFOMASK_OK;

    column->place = malloc((csv->rows + 1) * sizeof *column->place);
    if (cells == NULL || texts == NULL || column->place == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t i = 0; status == INFOMASK_OK && i < csv->rows; i++) {
        char *cell = csv->cells[i * csv->columns + column->from];
        cells[i] = csv_missing(cell) ? none : cell;
    }
    if (status == INFOMASK_OK)
        status = table_number_texts(cells, csv->rows, 1, column->place, &column->levels, texts, err);
    free(cells);
    free(texts);
    return status;
}

static enum infomask_status take_texts(struct taken_column *column, const struct kinds *kinds,
                                       struct infomask_error *err)
{
    const struct csv *csv = column->csv;
    size_t j = column->from, present = csv->rows - kinds->missing;
    char why[160];
    enum infomask_status status;

    if (kinds->dates > 0 && 10 * kinds->dates >= 9 * kinds->texts)
        return refuse(csv, j, kinds->first_date,
                      "is a date or a time, which is neither a number nor a category; give what "
                      "counts of it as numbers (the year, days since a day, the hour)",
                      err);
    if (kinds->dressed > 0 && 10 * kinds->dressed >= 9 * kinds->texts)
        return refuse(csv, j, kinds->first_text,
                      "is not a number as it is written; write numbers with a point and a plain minus, and without "
                      "commas, blanks, % or a currency",
                      err);
    status = number_levels(column, err);
    if (status != INFOMASK_OK || (column->levels <= FEW_VALUES && STRAY * kinds->texts >= kinds->numbers))
        return status;
    if (kinds->numbers > kinds->texts)
        return refuse(csv, j, kinds->first_text,
                      "is not a number, though most of its column are; mend it, or leave its cell "
                      "empty",
                      err);
    if (2 * column->levels <= present)
        return INFOMASK_OK;
    if (10 * kinds->units >= 9 * kinds->texts)
        return refuse(csv, j, kinds->first_text, "is not a number as it is written; write it without its unit", err);
    (void)snprintf(why, sizeof why,
                   "is one of %zu different texts in %zu rows: a name rather than a category; give its kind "
                   "instead",
                   column->levels, present);
    return refuse(csv, j, kinds->first_text, why, err);
}

static enum infomask_status take_column(struct taken_column *column, struct infomask_error *err)
{
    struct kinds kinds = look_at(column->csv, column->from);

    if (kinds.texts == 0 && kinds.thousands > 0 && kinds.hundreds > 0 &&
        kinds.thousands + kinds.hundreds == kinds.numbers)
        return refuse(column->csv, column->from, kinds.first_thousand,
                      "has three digits behind its point, as all others of its column that are not whole and below "
                      "1000; write thousands without a point",
                      err);
    if (kinds.texts == 0 && (kinds.numbers > 0 || kinds.unknown == 0))
        return INFOMASK_OK;
    return take_texts(column, &kinds, err);
}

static void fill_row(const struct taken_column *columns, size_t count, size_t i, double *x)
{
    for (size_t j = 0; j < count; j++) {
        const struct csv *csv = columns[j].csv;
        x[j] = NAN;
        if (columns[j].levels > 0)
            x[j] = columns[j].place[i];
        else if (!csv_number(csv->cells[i * csv->columns + columns[j].from], &x[j]))
            x[j] = NAN;
    }
}

static enum infomask_status name_columns(const struct taken_column *columns, struct table_file *table,
                                         struct infomask_error *err)
{
    char number[24];

    table->levels = calloc(table->columns + 1, sizeof *table->levels);
    table->column_names = calloc(table->columns + 1, sizeof *table->column_names);
    for (size_t j = 0; table->levels != NULL && table->column_names != NULL && j < table->columns; j++) {
        table->levels[j] = (uint32_t)columns[j].levels;
        table->column_names[j] = strdup(csv_column_name(columns[j].csv, columns[j].from, number));
        if (table->column_names[j] == NULL)
            return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    }
    return table->levels != NULL && table->column_names != NULL
               ? INFOMASK_OK
               : error_set(err, INFOMASK_MEMORY, "no memory for the table");
}

enum infomask_status table_take_columns(const struct csv *csv, const bool *taken, struct table_file *table, double **x,
                                        struct infomask_error *err)
{
    struct taken_column *columns = calloc(csv->columns + 1, sizeof *columns);
    enum infomask_status status = INFOMASK_OK;
    size_t bytes;

    table->rows = csv->rows;
    if (columns == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t j = 0; status == INFOMASK_OK && j < csv->columns; j++) {
        if (taken[j])
            continue;
        columns[table->columns] = (struct taken_column){csv, j, 0, NULL};
        status = take_column(&columns[table->columns++], err);
    }
    if (status == INFOMASK_OK)
        status = name_columns(columns, table, err);
    if (status == INFOMASK_OK && (!checked_mul3(table->rows, table->columns, sizeof **x, &bytes) ||
                                  (*x = malloc(bytes + 1)) == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t i = 0; status == INFOMASK_OK && i < csv->rows; i++)
        fill_row(columns, table->columns, i, *x + i * table->columns);
    for (size_t j = 0; j < table->columns; j++)
        free(columns[j].place);
    free(columns);
    return status;
}
