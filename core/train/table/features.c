/* The columns of a table as the parts see them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/train/table/table.h"

#define SAMPLE 4096        /* values from which a column's scale is taken */
#define TAIL 4.0           /* deviations from which on values are drawn in */
#define MOST_LEVELS 24     /* values of a column that is expanded */
#define ROWS_PER_LEVEL 10
#define MOST_EXPANDED 512  /* columns in all, with the expansions */
#define MOST_NAMED 1024    /* values of a category that have an indicator of their own */
#define MOST_INDICATORS 4096 /* of all categories together, */
#define INDICATOR_CELLS 100000000 /* and times the rows that are stored: 400 MB */
#define LEAST_NAMED 5      /* rows of such a value: fewer might miss a fold */
#define RARE UINT32_MAX

struct column {
    double centre, scale; /* scale 0: constant, dropped */
    int levels;           /* expanded into so many columns; 0: not */
    float level[MOST_LEVELS];
    bool missing;         /* somewhere: an indicator */
    /* of a category: */
    uint32_t *place;      /* [values] the indicator of each, or RARE; NULL: numbers */
    uint32_t *count;      /* [values] rows */
    uint32_t values;
    size_t named, rare;   /* values with an indicator; whether there is one for the others */
};

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

static float value_at(const struct infomask_table *table, size_t i, size_t j)
{
    return table->x[i * table->columns + j];
}

/* ---- Numbers ----------------------------------------------------------------------------------------------------- */

static void moments(const struct infomask_table *table, size_t j, struct column *column)
{
    double mean = 0, squares = 0;
    size_t count = 0;

    for (size_t i = 0; i < table->rows; i++) {
        double v = (double)value_at(table, i, j), step = v - mean;
        if (isnan(v))
            continue;
        mean += step / (double)++count;
        squares += step * (v - mean);
    }
    column->centre = mean;
    column->scale = count > 0 ? sqrt(squares / (double)count) : 0;
    column->missing = count < table->rows;
    if (count == 0)
        column->missing = false;
}

/* The distinct values of a column, sorted; more than MOST_LEVELS: that many + 1. */
static int find_levels(const struct infomask_table *table, size_t j, float *level)
{
    int count = 0;

    for (size_t i = 0; i < table->rows; i++) {
        float v = value_at(table, i, j);
        int at = 0;
        if (isnan(v))
            continue;
        while (at < count && level[at] < v)
            at++;
        if (at < count && level[at] <= v)
            continue;
        if (count == MOST_LEVELS)
            return MOST_LEVELS + 1;
        memmove(level + at + 1, level + at, (size_t)(count - at) * sizeof *level);
        level[at] = v;
        count++;
    }
    return count;
}

/* Deciles rather than moments: a few huge values must not squeeze all the others together. */
static void look_at_numbers(const struct infomask_table *table, size_t j, float *sample, struct column *column)
{
    size_t most = table->rows < SAMPLE ? table->rows : SAMPLE, count = 0;
    int levels = find_levels(table, j, column->level);

    moments(table, j, column);
    if (levels <= 2)
        return;
    if (levels <= MOST_LEVELS && table->rows >= (size_t)levels * ROWS_PER_LEVEL)
        column->levels = levels;
    for (size_t i = 0; i < most; i++) {
        float v = value_at(table, i * table->rows / most, j);
        if (!isnan(v))
            sample[count++] = v;
    }
    qsort(sample, count, sizeof *sample, by_value);
    if (count > 0 && sample[count / 10] < sample[count - 1 - count / 10]) {
        column->centre = (double)sample[count / 2];
        column->scale = ((double)sample[count - 1 - count / 10] - (double)sample[count / 10]) / 2.563;
    }
}

/* ---- Categories -------------------------------------------------------------------------------------------------- */

static enum infomask_status count_values(const struct infomask_table *table, size_t j, struct column *column,
                                         struct infomask_error *err)
{
    column->values = table->levels[j];
    column->place = malloc(2 * column->values * sizeof *column->place);
    if (column->place == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %u categories", column->values);
    column->count = column->place + column->values;
    memset(column->count, 0, column->values * sizeof *column->count);
    for (size_t i = 0; i < table->rows; i++)
        column->count[(uint32_t)value_at(table, i, j)]++;
    return INFOMASK_OK;
}

/* An indicator for each of the values with at least `least` rows; of two values one is enough. */
static void name_values(struct column *column, uint32_t least)
{
    size_t others = 0, seen = 0;

    column->named = 0;
    for (uint32_t v = 0; v < column->values; v++) {
        bool named = column->count[v] >= least;
        seen += column->count[v] > 0;
        others += !named && column->count[v] > 0;
        column->place[v] = named ? (uint32_t)column->named++ : RARE;
    }
    column->rare = others > 0 && column->named > 0;
    if (column->named + column->rare == 2)
        column->rare = 0;
    if (seen < 2)
        column->named = column->rare = 0;
}

/* The least number of rows that gives at most `most` indicators. */
static void limit_values(struct column *column, size_t most)
{
    uint32_t least = LEAST_NAMED;

    for (name_values(column, least); column->named > most; name_values(column, least))
        least += least / 8 + 1;
}

static size_t indicators_of(const struct column *column)
{
    if (column->named == 2 && column->rare == 0)
        return 1;
    return column->named + column->rare;
}

/* ---- All columns ------------------------------------------------------------------------------------------------- */

/* rows: that are stored. */
static void limit_categories(struct column *columns, size_t count, size_t rows)
{
    size_t most = MOST_NAMED, total, room = INDICATOR_CELLS / rows;

    room = room < 64 ? 64 : room > MOST_INDICATORS ? MOST_INDICATORS : room;

    do {
        total = 0;
        for (size_t j = 0; j < count; j++)
            if (columns[j].place != NULL) {
                limit_values(&columns[j], most);
                total += indicators_of(&columns[j]);
            }
        most /= 2;
    } while (total > room && most > 1);
}

static void limit_levels(struct column *columns, size_t count)
{
    size_t width = 0;

    for (size_t j = 0; j < count; j++)
        width += (columns[j].scale > 0) + (size_t)columns[j].levels;
    for (size_t j = 0; width > MOST_EXPANDED && j < count; j++)
        columns[j].levels = 0;
}

static enum infomask_status look(const struct infomask_table *table, size_t stored, struct column **columns,
                                 struct infomask_error *err)
{
    float *sample = malloc(SAMPLE * sizeof *sample);
    enum infomask_status status = INFOMASK_OK;

    *columns = calloc(table->columns, sizeof **columns);
    if (*columns == NULL || sample == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu columns", table->columns);
    for (size_t j = 0; status == INFOMASK_OK && j < table->columns; j++) {
        if (table->levels != NULL && table->levels[j] > 0)
            status = count_values(table, j, &(*columns)[j], err);
        else
            look_at_numbers(table, j, sample, &(*columns)[j]);
    }
    free(sample);
    if (status != INFOMASK_OK)
        return status;
    limit_categories(*columns, table->columns, stored);
    limit_levels(*columns, table->columns);
    return INFOMASK_OK;
}

static size_t width_of(const struct column *column)
{
    if (column->place != NULL)
        return indicators_of(column);
    return (column->scale > 0) + (size_t)column->levels + column->missing;
}

static float drawn_in(double z)
{
    if (fabs(z) > TAIL)
        z = copysign(TAIL + log1p(fabs(z) - TAIL), z);
    return (float)z;
}

static void fill_category(const struct column *column, float x, float *out)
{
    uint32_t place = column->place[(uint32_t)x];
    size_t width = indicators_of(column), at = place == RARE ? column->named : place;

    for (size_t l = 0; l < width; l++)
        out[l] = l == at ? 1.0f : 0.0f;
}

/* hole: what stands for a missing number; the centre, 0, or NAN. */
static void fill_row(const struct column *columns, size_t count, const float *x, float hole, float *out)
{
    for (size_t j = 0; j < count; out += width_of(&columns[j]), j++) {
        const struct column *column = &columns[j];
        float *at = out;
        if (column->place != NULL) {
            fill_category(column, x[j], out);
            continue;
        }
        if (column->scale > 0)
            *at++ = isnan(x[j]) ? hole : drawn_in(((double)x[j] - column->centre) / column->scale);
        for (int l = 0; l < column->levels; l++)
            *at++ = x[j] >= column->level[l] && x[j] <= column->level[l] ? 1.0f : 0.0f;
        if (column->missing)
            *at = isnan(x[j]) ? 1.0f : 0.0f;
    }
}

static enum infomask_status allocate(struct table_matrix *matrix, size_t n, size_t width, struct infomask_error *err)
{
    size_t bytes;

    matrix->n = n;
    matrix->width = width;
    if (!checked_mul3(n, width, sizeof *matrix->x, &bytes) || (matrix->x = aligned_new(bytes + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows of %zu columns", n, width);
    return INFOMASK_OK;
}

void table_matrix_fini(struct table_matrix *matrix)
{
    for (size_t j = 0; matrix->columns != NULL && j < matrix->table->columns; j++)
        free(matrix->columns[j].place);
    free(matrix->columns);
    aligned_free(matrix->x);
    free(matrix->source);
    free(matrix->category);
    free(matrix->factors);
    free(matrix->levels);
    *matrix = (struct table_matrix){0};
}

static enum infomask_status set_sources(struct table_matrix *matrix, const struct column *columns, size_t count,
                                        struct infomask_error *err)
{
    size_t at = 0;

    matrix->source = malloc((matrix->width + 1) * sizeof *matrix->source);
    matrix->category = malloc((matrix->width + 1) * sizeof *matrix->category);
    if (matrix->source == NULL || matrix->category == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu columns", matrix->width);
    for (size_t j = 0; j < count; j++)
        for (size_t l = 0; l < width_of(&columns[j]); l++, at++) {
            matrix->source[at] = (uint32_t)j;
            matrix->category[at] = columns[j].place != NULL;
        }
    return INFOMASK_OK;
}

void table_make_row(const struct table_matrix *matrix, size_t row, float *out)
{
    const struct infomask_table *table = matrix->table;

    fill_row(matrix->columns, table->columns, table->x + matrix->order[row] * table->columns, matrix->hole, out);
}

static enum infomask_status expand(struct table_matrix *matrix, const struct table_data *data,
                                   struct infomask_error *err)
{
    const struct infomask_table *table = matrix->table;
    size_t width = 0, stored = data->stored[data->folds], at = 0;
    enum infomask_status status = look(table, stored, &matrix->columns, err);

    for (size_t j = 0; status == INFOMASK_OK && j < table->columns; j++)
        width += width_of(&matrix->columns[j]);
    if (status == INFOMASK_OK)
        status = allocate(matrix, stored, width, err);
    if (status == INFOMASK_OK)
        status = set_sources(matrix, matrix->columns, table->columns, err);
    for (int f = 0; status == INFOMASK_OK && f < data->folds; f++)
        for (size_t i = data->start[f]; at < data->stored[f + 1]; i++, at++)
            table_make_row(matrix, i, matrix->x + at * width);
    return status;
}

enum infomask_status table_plain(const struct infomask_table *table, const uint32_t *order,
                                 const struct table_data *data, struct table_matrix *plain, struct infomask_error *err)
{
    *plain = (struct table_matrix){.table = table, .order = order, .hole = 0};
    return expand(plain, data, err);
}

enum infomask_status table_holes(const struct infomask_table *table, const uint32_t *order,
                                 const struct table_data *data, struct table_matrix *holes, struct infomask_error *err)
{
    *holes = (struct table_matrix){0};
    for (size_t i = 0; i < table->rows * table->columns; i++)
        if (isnan(table->x[i])) {
            *holes = (struct table_matrix){.table = table, .order = order, .hole = NAN};
            return expand(holes, data, err);
        }
    return INFOMASK_OK;
}
