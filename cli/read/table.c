/* A table's files: what they are, which of their columns are what, and float32 from what was read. */
#include "cli/read/table.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/settings/files.h"
#include "cli/read/table_parts.h"
#include "core/base/checked.h"

#define MOST_BYTES ((size_t)4 << 30)
#define SAMPLE 2048 /* rows that a column's spread is taken from */

static bool ends_with(const char *path, const char *end)
{
    size_t length = strlen(path), tail = strlen(end);

    return length >= tail && strcmp(path + length - tail, end) == 0;
}

/* ---- Files ------------------------------------------------------------------------------------------------------- */

/* wanted: the column that is asked for by its name, or NULL. */
static enum infomask_status read_csv(const char *path, const char *wanted, struct csv *csv, struct infomask_error *err)
{
    char *text = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(path, MOST_BYTES, &text, &size, err);

    *csv = (struct csv){0};
    if (status == INFOMASK_OK)
        status = table_refuse_format(path, text, size, err);
    if (status == INFOMASK_OK)
        return csv_parse(text, wanted, csv, err);
    free(text);
    return status;
}

/* Numbers as the texts that a CSV file would have, in one piece of memory with the array. */
static enum infomask_status write_numbers(const double *numbers, size_t n, char ***texts, struct infomask_error *err)
{
    enum { WIDTH = 32 };
    char *at;

    if ((*texts = malloc(n * (sizeof **texts + WIDTH) + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", n);
    at = (char *)(*texts + n);
    for (size_t i = 0; i < n; i++, at += WIDTH) {
        (void)snprintf(at, WIDTH, "%.17g", numbers[i]);
        (*texts)[i] = at;
    }
    return INFOMASK_OK;
}

static enum infomask_status refuse_large(const double *numbers, size_t n, struct infomask_error *err)
{
    for (size_t i = 0; i < n; i++)
        if (fabs(numbers[i]) > TABLE_MOST_WHOLE)
            return error_set(err, INFOMASK_BAD_DATA,
                             "row %zu is beyond 2^53, where neighbours are one number; give such names as texts "
                             "(numpy: x.astype(str))",
                             i);
    return INFOMASK_OK;
}

/* One value a row from a .npy file. */
static enum infomask_status read_npy_values(const char *path, size_t *n, char ***texts, struct infomask_error *err)
{
    struct npy npy = {0};
    char *bytes = NULL;
    double *numbers = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(path, MOST_BYTES, &bytes, &size, err);

    if (status == INFOMASK_OK && npy_is_text(bytes, size)) {
        status = npy_parse_texts(bytes, size, &npy, texts, err);
    } else if (status == INFOMASK_OK) {
        status = npy_parse_doubles(bytes, size, &npy, &numbers, err);
        if (status == INFOMASK_OK)
            status = refuse_large(numbers, npy.count, err);
        if (status == INFOMASK_OK)
            status = write_numbers(numbers, npy.count, texts, err);
    }
    if (status == INFOMASK_OK && npy.rank != 1 && !(npy.rank == 2 && npy.dims[1] == 1))
        status = error_set(err, INFOMASK_BAD_DATA, "it has %d dimensions instead of one", npy.rank);
    *n = npy.count;
    free(numbers);
    free(bytes);
    return status;
}

typedef enum infomask_status take_values(const struct table_values *values, struct table_file *table,
                                         struct infomask_error *err);

/* Labels, groups or weights that have a file of their own. */
static enum infomask_status read_values(const char *path, const char *of, take_values *take, struct table_file *table,
                                        struct infomask_error *err)
{
    struct csv csv = {0};
    struct table_values values = {.stride = 1, .of = of};
    char **texts = NULL;
    enum infomask_status status;

    if (ends_with(path, ".npy")) {
        status = read_npy_values(path, &values.n, &texts, err);
        values.cells = texts;
    } else {
        status = read_csv(path, NULL, &csv, err);
        if (status == INFOMASK_OK && csv.columns != 1)
            status = error_set(err, INFOMASK_BAD_DATA, "%s are one column, not %zu", of, csv.columns);
        values = (struct table_values){csv.rows, csv.cells, 1, csv.lines, of};
    }
    if (status == INFOMASK_OK && values.n != table->rows)
        status = error_set(err, INFOMASK_BAD_DATA, "the table has %zu rows, but there are %zu %s", table->rows,
                           values.n, of);
    if (status == INFOMASK_OK)
        status = take(&values, table, err);
    free(texts);
    csv_fini(&csv);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.100s", path);
    return status;
}

/* ---- NumPy ------------------------------------------------------------------------------------------------------- */

/* Whether number `column` is in "3,5,7"; *known: all of them are numbers below `columns`. */
static bool drops(const char *drop, size_t column, size_t columns, bool *known)
{
    bool found = false;

    *known = true;
    for (const char *at = drop; at != NULL;) {
        char *end;
        unsigned long number = strtoul(at, &end, 10);
        *known = *known && end > at && *at >= '0' && *at <= '9' && (*end == ',' || *end == '\0') && number < columns;
        found = found || (end > at && number == column);
        at = *end == ',' ? end + 1 : NULL;
    }
    return found;
}

static enum infomask_status drop_columns(const char *drop, struct table_file *table, double *x,
                                         struct infomask_error *err)
{
    size_t columns = table->columns, kept = 0;
    double *to = x;
    bool known = true;

    for (size_t j = 0; j < columns; j++)
        kept += drops(drop, j, columns, &known) ? 0 : 1;
    if (!known)
        return error_set(err, INFOMASK_BAD_DATA, "--drop %.60s: its columns are numbers from 0 to %zu", drop,
                         columns - 1);
    for (size_t i = 0; i < table->rows * columns; i++)
        if (!drops(drop, i % columns, columns, &known))
            *to++ = x[i];
    table->columns = kept;
    return INFOMASK_OK;
}

static enum infomask_status take_npy(const struct table_request *request, struct table_file *table, double **x,
                                     struct infomask_error *err)
{
    struct npy npy = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum infomask_status status = file_read(request->data, MOST_BYTES, &bytes, &size, err);

    if (status == INFOMASK_OK)
        status = npy_parse_doubles(bytes, size, &npy, x, err);
    free(bytes);
    if (status == INFOMASK_OK && npy.rank != 1 && npy.rank != 2)
        status = error_set(err, INFOMASK_BAD_DATA, "a table has two dimensions, rows and columns, not %d", npy.rank);
    table->rows = npy.dims[0];
    table->columns = npy.rank == 2 ? npy.dims[1] : 1;
    for (size_t i = 0; status == INFOMASK_OK && i < npy.count; i++)
        if (isinf((*x)[i]))
            status = error_set(err, INFOMASK_BAD_DATA, "row %zu, column %zu is infinite", i / table->columns,
                               i % table->columns);
    if (status == INFOMASK_OK && request->drop != NULL)
        status = drop_columns(request->drop, table, *x, err);
    return status;
}

/* ---- Narrowing --------------------------------------------------------------------------------------------------- */

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
    double sample[SAMPLE], low = INFINITY, high = -INFINITY, error = 0, spread;
    size_t most = rows < SAMPLE ? rows : SAMPLE, count = 0;

    for (size_t i = 0; i < rows; i++) {
        double v = x[i * columns];
        low = fmin(low, v); /* the other one where v is missing */
        high = fmax(high, v);
        error = isnan(v) ? error : fmax(error, fabs(v - (double)(float)v));
    }
    for (size_t i = 0; i < most; i++)
        if (!isnan(x[i * rows / most * columns]))
            sample[count++] = x[i * rows / most * columns];
    if (count == 0)
        return (struct rescaling){0, 0};
    qsort(sample, count, sizeof *sample, by_size);
    spread = sample[count - 1 - count / 10] - sample[count / 10];
    spread = spread > 0 ? spread : high - low;
    if (!(spread > 0) || !isfinite(high - low) || (error <= 1e-6 * spread && high - low < 1e30 && spread > 1e-30))
        return (struct rescaling){0, 0};
    return (struct rescaling){sample[count / 2], ilogb(spread)};
}

/* What lies beyond float32 all the same is its largest number: the far end of a column stays its far end. */
static float limited(double v)
{
    return (float)fmin(fmax(v, (double)-FLT_MAX), (double)FLT_MAX);
}

/* float32, each column in a unit and with an origin of its own where that is needed. */
static enum infomask_status narrow(const double *x, struct table_file *table, struct infomask_error *err)
{
    size_t bytes, columns = table->columns;

    if (!checked_mul3(table->rows, columns, sizeof *table->x, &bytes) || (table->x = malloc(bytes + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    for (size_t j = 0; j < columns && table->rows > 0; j++) {
        const bool numbers = table->levels == NULL || table->levels[j] == 0;
        struct rescaling r = numbers ? rescaling_of(x + j, table->rows, columns) : (struct rescaling){0, 0};
        for (size_t i = 0; i < table->rows; i++) {
            double v = x[i * columns + j];
            table->x[i * columns + j] = isnan(v) ? NAN : limited(ldexp(v - r.centre, -r.exponent));
            table->missing += isnan(v) ? 1 : 0;
        }
    }
    return INFOMASK_OK;
}

/* ---- CSV --------------------------------------------------------------------------------------------------------- */

static enum infomask_status no_column(const struct csv *csv, const char *what, const char *name,
                                      struct infomask_error *err)
{
    char columns[300];

    table_list_columns(csv, columns, sizeof columns);
    return error_set(err, INFOMASK_BAD_DATA, "%s: there is no column \"%.60s\"; its columns are %s", what, name,
                     columns);
}

/* *column: csv->columns if there is none; a name of two columns is refused. */
static enum infomask_status find_one(const struct csv *csv, const char *what, const char *name, size_t *column,
                                     struct infomask_error *err)
{
    *column = csv_find_column(csv, name);
    return csv_named_twice(csv, name)
               ? error_set(err, INFOMASK_BAD_DATA,
                           "%s: two columns or more are called \"%.60s\"; say which one by its number, from 0", what,
                           name)
               : INFOMASK_OK;
}

/* Marks the columns of "a,b": one name that has a comma in it, or several. */
static enum infomask_status mark_dropped(const struct csv *csv, const char *drop, bool *taken,
                                         struct infomask_error *err)
{
    size_t whole = csv_find_column(csv, drop);
    char *list = strdup(drop), *next = list;
    enum infomask_status status = INFOMASK_OK;

    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "out of memory");
    if (whole < csv->columns && !csv_named_twice(csv, drop)) {
        taken[whole] = true;
        next = NULL;
    }
    for (char *name = strsep(&next, ","); status == INFOMASK_OK && name != NULL; name = strsep(&next, ",")) {
        size_t column;
        status = find_one(csv, "--drop", name, &column, err);
        if (status == INFOMASK_OK && column < csv->columns)
            taken[column] = true;
        else if (status == INFOMASK_OK)
            status = no_column(csv, "--drop", name, err);
    }
    free(list);
    return status;
}

/* Labels, groups or weights: the column of that name, which is no feature then; else a file, that is read later. */
static enum infomask_status take_value_column(const struct csv *csv, const char *name, const char *of, bool *taken,
                                              take_values *take, struct table_file *table, struct infomask_error *err)
{
    struct table_values values = {csv->rows, csv->cells, csv->columns, csv->lines, of};
    size_t column = csv->columns;
    enum infomask_status status = name != NULL ? find_one(csv, of, name, &column, err) : INFOMASK_OK;

    if (name == NULL || status != INFOMASK_OK)
        return status;
    values.cells += column;
    if (column == csv->columns)
        return access(name, F_OK) == 0 ? INFOMASK_OK : no_column(csv, of, name, err);
    if (taken[column])
        return error_set(err, INFOMASK_BAD_DATA, "%s: the column \"%.60s\" is dropped, or something else already", of,
                         name);
    taken[column] = true;
    return take(&values, table, err);
}

static enum infomask_status take_subgroups(const struct csv *csv, const char *name, struct table_file *table,
                                           struct infomask_error *err)
{
    struct table_values values = {csv->rows, csv->cells, csv->columns, csv->lines, "subgroups"};
    size_t column;
    enum infomask_status status = find_one(csv, "--by", name, &column, err);

    if (status != INFOMASK_OK)
        return status;
    values.cells += column;
    if (column < csv->columns)
        return table_take_by(&values, table, err);
    return access(name, F_OK) == 0 ? INFOMASK_OK : no_column(csv, "--by", name, err);
}

static enum infomask_status take_csv(const struct table_request *request, const struct csv *csv,
                                     struct table_file *table, double **x, struct infomask_error *err)
{
    bool *taken = calloc(csv->columns + 1, sizeof *taken);
    enum infomask_status status = INFOMASK_OK;

    if (taken == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the table");
    if (request->drop != NULL)
        status = mark_dropped(csv, request->drop, taken, err);
    if (status == INFOMASK_OK)
        status = take_value_column(csv, request->labels, "labels", taken, table_take_labels, table, err);
    if (status == INFOMASK_OK)
        status = take_value_column(csv, request->groups, "groups", taken, table_take_groups, table, err);
    if (status == INFOMASK_OK)
        status = take_value_column(csv, request->weights, "weights", taken, table_take_weights, table, err);
    if (status == INFOMASK_OK && request->by != NULL)
        status = take_subgroups(csv, request->by, table, err);
    if (status == INFOMASK_OK)
        status = table_take_columns(csv, taken, table, x, err);
    free(taken);
    return status;
}

/* ---- The whole --------------------------------------------------------------------------------------------------- */

static enum infomask_status read_data(const struct table_request *request, struct table_file *table,
                                      struct infomask_error *err)
{
    struct csv csv = {0};
    double *x = NULL;
    enum infomask_status status;

    if (ends_with(request->data, ".npy")) {
        status = take_npy(request, table, &x, err);
    } else {
        status = read_csv(request->data, request->labels, &csv, err);
        if (status == INFOMASK_OK)
            status = take_csv(request, &csv, table, &x, err);
    }
    if (status == INFOMASK_OK && table->columns == 0)
        status = error_set(err, INFOMASK_BAD_DATA, "no column is left to learn from");
    if (status == INFOMASK_OK)
        status = table_doubt_columns(x, table, err);
    if (status == INFOMASK_OK)
        status = narrow(x, table, err);
    csv_fini(&csv);
    free(x);
    if (status != INFOMASK_OK)
        error_prefix(err, "%.100s", request->data);
    return status;
}

enum infomask_status table_file_read(const struct table_request *request, struct table_file *table,
                                     struct infomask_error *err)
{
    enum infomask_status status;

    *table = (struct table_file){0};
    status = read_data(request, table, err);
    if (status == INFOMASK_OK && table->labels == NULL)
        status = read_values(request->labels, "labels", table_take_labels, table, err);
    if (status == INFOMASK_OK && request->groups != NULL && table->groups == NULL)
        status = read_values(request->groups, "groups", table_take_groups, table, err);
    if (status == INFOMASK_OK && request->weights != NULL && table->weights == NULL)
        status = read_values(request->weights, "weights", table_take_weights, table, err);
    if (status == INFOMASK_OK && request->by != NULL && table->by == NULL)
        status = read_values(request->by, "subgroups", table_take_by, table, err);
    if (status == INFOMASK_OK)
        status = table_doubt_classes(table, err);
    if (status != INFOMASK_OK)
        table_file_fini(table);
    return status;
}

void table_file_fini(struct table_file *table)
{
    for (size_t j = 0; table->column_names != NULL && j < table->columns; j++)
        free(table->column_names[j]);
    for (int i = 0; i < TABLE_DOUBTS; i++)
        free(table->doubts[i]);
    free(table->column_names);
    free(table->levels);
    free(table->x);
    free(table->labels);
    free(table->names);
    free(table->groups);
    free(table->weights);
    free(table->by);
    free(table->by_names);
    *table = (struct table_file){0};
}
