#include "cli/read/table.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/settings/files.h"
#include "cli/read/csv.h"
#include "cli/read/npy.h"
#include "core/base/checked.h"

#define MOST_BYTES ((size_t)4 << 30)
#define MOST_TEXTS 256 /* different texts in a column of features */
#define MOST_CLASSES 65536
#define SAMPLE 2048 /* rows that a column's spread is taken from */

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);

    return length >= tail && strcmp(path + length - tail, end) == 0;
}

/* ---- Labels -------------------------------------------------------------------------------------------------------- */

/* A label with its row, to be sorted by what it is. */
struct tag {
    const char *text;
    double number;
    size_t row;
};

static int by_number(const void *left, const void *right)
{
    const struct tag *a = left, *b = right;

    return (a->number > b->number) - (a->number < b->number);
}

static int by_text(const void *left, const void *right)
{
    const struct tag *a = left, *b = right;

    return strcmp(a->text, b->text);
}

/* The distinct texts of n cells, `stride` apart, and each cell's place among them.  Numbers that are equal are one text
 * ("1", "1.0"). */
static enum infomask_status number_texts(char **cells, size_t n, size_t stride, uint32_t *place, size_t *count,
                                         char ***texts, struct infomask_error *err)
{
    struct tag *tags = malloc((n + 1) * sizeof *tags);
    int (*order)(const void *, const void *) = by_number;

    *texts = malloc((n + 1) * sizeof **texts);
    *count = 0;
    if (tags == NULL || *texts == NULL) {
        free(tags);
        free(*texts);
        *texts = NULL;
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    }
    for (size_t i = 0; i < n; i++) {
        tags[i] = (struct tag){cells[i * stride], 0, i};
        if (!csv_number(tags[i].text, &tags[i].number))
            order = by_text;
    }
    qsort(tags, n, sizeof *tags, order);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || order(&tags[i - 1], &tags[i]) != 0)
            (*texts)[(*count)++] = cells[tags[i].row * stride];
        place[tags[i].row] = (uint32_t)(*count - 1);
    }
    free(tags);
    return INFOMASK_OK;
}

static enum infomask_status name_classes(char **texts, size_t count, struct table_file *table, struct infomask_error *err)
{
    size_t bytes = 1, used = 0;

    if (count < 2 || count > MOST_CLASSES)
        return error_set(err, INFOMASK_BAD_DATA, "labels: %zu different ones; a table has 2 to %d classes", count,
                         MOST_CLASSES);
    for (size_t y = 0; y < count; y++)
        bytes += strlen(texts[y]) + 1;
    table->classes = (int)count;
    table->names = malloc(bytes);
    if (table->names == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the classes");
    for (size_t y = 0; y < count; y++)
        for (const char *c = texts[y]; used < bytes; c++) {
            table->names[used++] = *c == '\0' || *c == '\n' ? '\n' : *c;
            if (*c == '\0')
                break;
        }
    table->names[used - 1] = '\0';
    return INFOMASK_OK;
}

static enum infomask_status label_cells(char **cells, size_t n, size_t stride, struct table_file *table,
                                        struct infomask_error *err)
{
    char **texts = NULL;
    size_t count = 0;
    enum infomask_status status = INFOMASK_OK;

    for (size_t i = 0; i < n && status == INFOMASK_OK; i++)
        if (cells[i * stride][0] == '\0')
            status = error_set(err, INFOMASK_BAD_DATA, "labels: row %zu has none", i);
    table->labels = malloc((n + 1) * sizeof *table->labels);
    if (status == INFOMASK_OK && table->labels == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    if (status == INFOMASK_OK)
        status = number_texts(cells, n, stride, table->labels, &count, &texts, err);
    if (status == INFOMASK_OK)
        status = name_classes(texts, count, table, err);
    free(texts);
    return status;
}

/* Whole numbers become the texts that a CSV file would have. */
static enum infomask_status label_numbers(const struct npy *npy, struct table_file *table, struct infomask_error *err)
{
    enum { WIDTH = 16 };
    char *text = malloc(npy->count * WIDTH + 1), **cells = malloc((npy->count + 1) * sizeof *cells);
    enum infomask_status status = INFOMASK_OK;

    if (text == NULL || cells == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for the labels");
    for (size_t i = 0; status == INFOMASK_OK && i < npy->count; i++) {
        float v = npy->data[i];
        if (!(fabsf(v) <= 16777216) || truncf(v) < v || truncf(v) > v)
            status = error_set(err, INFOMASK_BAD_DATA, "labels: row %zu is not a whole number up to 16777216", i);
        else
            (void)snprintf(cells[i] = text + i * WIDTH, WIDTH, "%.0f", (double)v);
    }
    if (status == INFOMASK_OK)
        status = label_cells(cells, npy->count, 1, table, err);
    free(text);
    free(cells);
    return status;
}

/* ---- Columns of a CSV table ---------------------------------------------------------------------------------------- */

static size_t find_column(const struct csv *csv, const char *name)
{
    char *end;
    unsigned long number = strtoul(name, &end, 10);

    for (size_t j = 0; csv->header != NULL && j < csv->columns; j++)
        if (strcmp(csv->header[j], name) == 0)
            return j;
    return name[0] >= '0' && name[0] <= '9' && *end == '\0' && number < csv->columns ? (size_t)number : csv->columns;
}

/* What a column of the file turns into. */
struct source {
    bool label;
    size_t texts;    /* 0: numbers; else so many columns of 0 and 1 */
    uint32_t *place; /* [rows] of texts; owned */
};

static enum infomask_status look_at(const struct csv *csv, size_t j, struct source *source, struct infomask_error *err)
{
    char **texts, number[24];
    double value;
    size_t numbers = 0, row = csv->rows;
    enum infomask_status status;

    (void)snprintf(number, sizeof number, "%zu", j);
    for (size_t i = 0; i < csv->rows; i++) {
        const char *cell = csv->cells[i * csv->columns + j];
        if (cell[0] == '\0')
            return error_set(err, INFOMASK_BAD_DATA, "row %zu, column \"%.60s\" is empty: fill it, or leave the row out", i,
                             csv->header != NULL ? csv->header[j] : number);
        if (csv_number(cell, &value))
            numbers++;
        else
            row = i;
    }
    if (row == csv->rows)
        return INFOMASK_OK;
    source->place = malloc((csv->rows + 1) * sizeof *source->place);
    if (source->place == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    status = number_texts(csv->cells + j, csv->rows, csv->columns, source->place, &source->texts, &texts, err);
    free(texts);
    if (status == INFOMASK_OK && source->texts > MOST_TEXTS)
        status = error_set(err, INFOMASK_BAD_DATA,
                           "column \"%.60s\" is not a number in row %zu and has %zu different texts; at most %d are taken",
                           csv->header != NULL ? csv->header[j] : number, row, source->texts, MOST_TEXTS);
    return status;
}

static void fill_row(const struct csv *csv, const struct source *sources, size_t i, double *x)
{
    for (size_t j = 0; j < csv->columns; j++) {
        double value = 0;
        if (sources[j].label)
            continue;
        for (size_t t = 0; t < sources[j].texts; t++)
            *x++ = sources[j].place[i] == t ? 1 : 0;
        if (sources[j].texts == 0) {
            (void)csv_number(csv->cells[i * csv->columns + j], &value);
            *x++ = value;
        }
    }
}

/* label_column: csv->columns if there is none.  x [rows][columns]: malloc'ed. */
static enum infomask_status take_columns(const struct csv *csv, size_t label_column, struct table_file *table, double **x,
                                         struct infomask_error *err)
{
    struct source *sources = calloc(csv->columns, sizeof *sources);
    enum infomask_status status = INFOMASK_OK;
    size_t cells = 0;

    if (sources == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    table->rows = csv->rows;
    for (size_t j = 0; status == INFOMASK_OK && j < csv->columns; j++) {
        sources[j].label = j == label_column;
        if (!sources[j].label)
            status = look_at(csv, j, &sources[j], err);
        if (!sources[j].label)
            table->columns += sources[j].texts > 0 ? sources[j].texts : 1;
    }
    if (status == INFOMASK_OK && (!checked_mul3(table->rows, table->columns, sizeof **x, &cells) ||
                                  (*x = malloc(cells + 1)) == NULL))
        status = error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t i = 0; status == INFOMASK_OK && i < csv->rows; i++)
        fill_row(csv, sources, i, *x + i * table->columns);
    for (size_t j = 0; j < csv->columns; j++)
        free(sources[j].place);
    free(sources);
    return status;
}

/* ---- Files --------------------------------------------------------------------------------------------------------- */

static enum infomask_status read_csv(const char *path, struct csv *csv, struct infomask_error *err)
{
    char *text = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(path, MOST_BYTES, &text, &size, err);

    *csv = (struct csv){0};
    if (status == INFOMASK_OK && memchr(text, '\0', size) != NULL) {
        free(text);
        return error_set(err, INFOMASK_BAD_DATA, "no text: a table is CSV, or its name ends in .npy");
    }
    return status == INFOMASK_OK ? csv_parse(text, csv, err) : status;
}

static enum infomask_status read_npy(const char *path, struct npy *npy, struct infomask_error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(path, MOST_BYTES, &bytes, &size, err);

    *npy = (struct npy){0};
    if (status == INFOMASK_OK)
        status = npy_parse_numbers(bytes, size, npy, err);
    free(bytes);
    return status;
}

static enum infomask_status read_label_file(const char *path, struct table_file *table, size_t *count,
                                            struct infomask_error *err)
{
    struct csv csv = {0};
    struct npy npy = {0};
    enum infomask_status status;

    if (ends_with(path, ".npy")) {
        status = read_npy(path, &npy, err);
        if (status == INFOMASK_OK && npy.rank != 1 && !(npy.rank == 2 && npy.dims[1] == 1))
            status = error_set(err, INFOMASK_BAD_DATA, "labels are of one dimension");
        *count = npy.count;
        if (status == INFOMASK_OK)
            status = label_numbers(&npy, table, err);
    } else {
        status = read_csv(path, &csv, err);
        if (status == INFOMASK_OK && csv.columns != 1)
            status = error_set(err, INFOMASK_BAD_DATA, "labels are one column, not %zu", csv.columns);
        *count = csv.rows;
        if (status == INFOMASK_OK)
            status = label_cells(csv.cells, csv.rows, 1, table, err);
    }
    npy_fini(&npy);
    csv_fini(&csv);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.100s", path);
    return status;
}

static enum infomask_status take_npy(const char *path, struct table_file *table, double **x, struct infomask_error *err)
{
    struct npy npy = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(path, MOST_BYTES, &bytes, &size, err);

    if (status == INFOMASK_OK)
        status = npy_parse_doubles(bytes, size, &npy, x, err);
    free(bytes);
    if (status == INFOMASK_OK && npy.rank != 1 && npy.rank != 2)
        status = error_set(err, INFOMASK_BAD_DATA, "a table has two dimensions, rows and columns, not %d", npy.rank);
    table->rows = npy.dims[0];
    table->columns = npy.rank == 2 ? npy.dims[1] : 1;
    return status;
}

/* x - centre, times 2^-exponent */
struct rescaling {
    double centre;
    int exponent;
};

static int by_size(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;

    return (a > b) - (a < b);
}

/* None (0, 0) for a column that float32 holds as it is.  One that lies far from 0 for its width (times, identifiers) or
 * beyond float32's range is moved to 0 and to the size of 1: no estimate depends on a column's unit or origin.  The
 * median and the deciles, so that a few far values do not count. */
static struct rescaling rescaling_of(const double *x, size_t rows, size_t columns)
{
    double sample[SAMPLE], low = x[0], high = x[0], error = 0, spread;
    size_t count = rows < SAMPLE ? rows : SAMPLE;

    for (size_t i = 0; i < rows; i++) {
        double v = x[i * columns];
        low = fmin(low, v);
        high = fmax(high, v);
        error = fmax(error, fabs(v - (double)(float)v));
    }
    for (size_t i = 0; i < count; i++)
        sample[i] = x[i * rows / count * columns];
    qsort(sample, count, sizeof *sample, by_size);
    spread = sample[count - 1 - count / 10] - sample[count / 10];
    spread = spread > 0 ? spread : high - low;
    if (!(spread > 0) || !isfinite(high - low) || (error <= 1e-6 * spread && high - low < 1e30 && spread > 1e-30))
        return (struct rescaling){0, 0};
    return (struct rescaling){sample[count / 2], ilogb(spread)};
}

/* float32, each column in a unit and with an origin of its own where that is needed. */
static enum infomask_status narrow(const double *x, struct table_file *table, struct infomask_error *err)
{
    size_t bytes, columns = table->columns;

    if (!checked_mul3(table->rows, columns, sizeof *table->x, &bytes) || (table->x = malloc(bytes + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t j = 0; j < columns && table->rows > 0; j++) {
        struct rescaling r = rescaling_of(x + j, table->rows, columns);
        for (size_t i = 0; i < table->rows; i++)
            table->x[i * columns + j] = (float)ldexp(x[i * columns + j] - r.centre, -r.exponent);
    }
    return INFOMASK_OK;
}

/* The table but for its labels; those as well if they are a column of it. */
static enum infomask_status read_columns(const char *path, const char *labels, struct table_file *table, double **x,
                                         struct infomask_error *err)
{
    struct csv csv = {0};
    enum infomask_status status;
    size_t column;

    if (ends_with(path, ".npy"))
        return take_npy(path, table, x, err);
    status = read_csv(path, &csv, err);
    if (status == INFOMASK_OK) {
        column = find_column(&csv, labels);
        status = take_columns(&csv, column, table, x, err);
        if (status == INFOMASK_OK && column < csv.columns)
            status = label_cells(csv.cells + column, csv.rows, csv.columns, table, err);
    }
    csv_fini(&csv);
    return status;
}

static enum infomask_status read_data(const char *path, const char *labels, struct table_file *table,
                                      struct infomask_error *err)
{
    double *x = NULL;
    enum infomask_status status = read_columns(path, labels, table, &x, err);

    if (status == INFOMASK_OK)
        status = narrow(x, table, err);
    free(x);
    return status;
}

enum infomask_status table_file_read(const char *data, const char *labels, struct table_file *table,
                                     struct infomask_error *err)
{
    size_t count = 0;
    enum infomask_status status;

    *table = (struct table_file){0};
    status = read_data(data, labels, table, err);
    if (status != INFOMASK_OK) {
        error_prefix(err, "%.100s", data);
    } else if (table->labels == NULL) {
        status = read_label_file(labels, table, &count, err);
        if (status == INFOMASK_OK && count != table->rows)
            status = error_set(err, INFOMASK_BAD_DATA, "the table has %zu rows, but there are %zu labels", table->rows, count);
    }
    if (status != INFOMASK_OK)
        table_file_fini(table);
    return status;
}

void table_file_fini(struct table_file *table)
{
    free(table->x);
    free(table->labels);
    free(table->names);
    *table = (struct table_file){0};
}
