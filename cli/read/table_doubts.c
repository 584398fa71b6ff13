/* What a table is read as, and may not be meant as: a sentence for each kind, of the first of it. */
#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/read/table_parts.h"

#define LEAST_DAYS 20 /* numbers that look like days before it is said */

static enum infomask_status __attribute__((format(printf, 3, 4)))
doubt(char **sentence, struct infomask_error *err, const char *format, ...)
{
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vasprintf(sentence, format, arguments);
    va_end(arguments);
    if (length >= 0)
        return INFOMASK_OK;
    *sentence = NULL;
    return error_set(err, INFOMASK_MEMORY, "no memory for the table");
}

/* ---- Columns ----------------------------------------------------------------------------------------------------- */

static const char *name_of(const struct table_file *table, size_t column, char text[24])
{
    if (table->column_names != NULL && table->column_names[column][0] != '\0')
        return table->column_names[column];
    (void)snprintf(text, 24, "%zu", column);
    return text;
}

/* Whole numbers, as many different ones as there are rows, without a gap: in whichever order, each row's number. */
static bool counts_rows(const double *x, size_t rows, size_t stride, uint8_t *seen)
{
    double least = INFINITY;

    for (size_t i = 0; i < rows; i++)
        least = fmin(least, x[i * stride]);
    if (!(fabs(least) < 1e15) || least != floor(least))
        return false;
    memset(seen, 0, rows);
    for (size_t i = 0; i < rows; i++) {
        double at = x[i * stride] - least;
        if (!(at < (double)rows) || at != floor(at) || seen[(size_t)at] != 0)
            return false;
        seen[(size_t)at] = 1;
    }
    return true;
}

/* Years from 1900 to 2099, months and days in eight digits: 20240131. */
static bool counts_days(const double *x, size_t rows, size_t stride)
{
    size_t days = 0;
    double low = INFINITY, high = -INFINITY;

    for (size_t i = 0; i < rows; i++) {
        double v = x[i * stride];
        long day;
        if (isnan(v))
            continue;
        if (!(v >= 19000101 && v <= 20991231) || v != floor(v))
            return false;
        day = (long)v;
        if (day / 100 % 100 < 1 || day / 100 % 100 > 12 || day % 100 < 1 || day % 100 > 31)
            return false;
        days++;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    return days >= LEAST_DAYS && high > low;
}

static bool is_number(const struct table_file *table, size_t column)
{
    return table->levels == NULL || table->levels[column] == 0;
}

enum infomask_status table_doubt_columns(const double *x, struct table_file *table, struct infomask_error *err)
{
    uint8_t *seen = malloc(table->rows + 1);
    char text[24];
    size_t counter = 0, days = 0, columns = table->columns;
    enum infomask_status status = INFOMASK_OK;

    if (seen == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    while (counter < columns &&
           !(is_number(table, counter) && counts_rows(x + counter, table->rows, columns, seen)))
        counter++;
    free(seen);
    while (days < columns && !(is_number(table, days) && counts_days(x + days, table->rows, columns)))
        days++;
    /* a saved index, most often: of sorted rows it tells everything, and of rows to come nothing */
    if (counter < columns)
        status = doubt(&table->doubts[0], err,
                       "the column \"%.80s\" numbers the rows: what it tells is how they were sorted once; leave it "
                       "out (--drop), if it is no more than a number",
                       name_of(table, counter, text));
    if (status == INFOMASK_OK && days < columns)
        status = doubt(&table->doubts[1], err,
                       "the column \"%.80s\" looks like days (20240131), and is taken as the numbers that stand "
                       "there; give what counts of it: days since a day, the year, the month",
                       name_of(table, days, text));
    return status;
}

/* ---- Classes ----------------------------------------------------------------------------------------------------- */

struct folded {
    char *text; /* without blanks, in lower case */
    const char *name;
};

static int by_text(const void *left, const void *right)
{
    const struct folded *a = left, *b = right;

    return strcmp(a->text, b->text);
}

/* The names as they would be without blanks and capitals, into `room`. */
static void fold(const struct table_file *table, char *room, struct folded *names)
{
    const char *at = table->names;

    for (int y = 0; y < table->classes; y++) {
        names[y] = (struct folded){room, at};
        for (; *at != '\0' && *at != '\n'; at++)
            if (*at != ' ')
                *room++ = (char)tolower((unsigned char)*at);
        *room++ = '\0';
        at += *at == '\n';
    }
}

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

/* One value for each class, and another for each.  value: [classes] scratch. */
static bool repeats_labels(const struct table_file *table, size_t column, float *value)
{
    size_t classes = (size_t)table->classes;

    for (size_t y = 0; y < classes; y++)
        value[y] = NAN;
    for (size_t i = 0; i < table->rows; i++) {
        float v = table->x[i * table->columns + column], *own = &value[table->labels[i]];
        if (isnan(*own))
            *own = v;
        if (!(v >= *own && v <= *own))
            return false;
    }
    qsort(value, classes, sizeof *value, by_value);
    for (size_t y = 1; y < classes; y++)
        if (value[y] <= value[y - 1])
            return false;
    return true;
}

static enum infomask_status doubt_copies(struct table_file *table, struct infomask_error *err)
{
    float *value = malloc((size_t)table->classes * sizeof *value);
    char text[24];
    size_t copy = 0;

    if (value == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the classes");
    while (copy < table->columns && !repeats_labels(table, copy, value))
        copy++;
    free(value);
    if (copy == table->columns)
        return INFOMASK_OK;
    return doubt(&table->doubts[3], err,
                 "the column \"%.80s\" is the label in other words, each of its values going with one class; leave it "
                 "out (--drop), if rows to come will not have it",
                 name_of(table, copy, text));
}

enum infomask_status table_doubt_classes(struct table_file *table, struct infomask_error *err)
{
    char *room = malloc(strlen(table->names) + 2);
    struct folded *names = calloc((size_t)table->classes + 1, sizeof *names);
    enum infomask_status status = INFOMASK_OK;
    int y = 1;

    if (room == NULL || names == NULL) {
        free(room);
        free(names);
        return error_set(err, INFOMASK_MEMORY, "no memory for the classes");
    }
    fold(table, room, names);
    qsort(names, (size_t)table->classes, sizeof *names, by_text);
    while (y < table->classes && strcmp(names[y - 1].text, names[y].text) != 0)
        y++;
    if (y < table->classes) {
        const char *one = names[y - 1].name, *other = names[y].name;
        status = doubt(&table->doubts[2], err,
                       "the labels \"%.*s\" and \"%.*s\" differ in blanks or capitals alone, and are two classes",
                       (int)strcspn(one, "\n"), one, (int)strcspn(other, "\n"), other);
    }
    free(room);
    free(names);
    return status == INFOMASK_OK ? doubt_copies(table, err) : status;
}
