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
#define MOST_CROSSED 24    /* columns of which every product is taken */
#define MOST_SQUARED 256

#define MOST_NAMED 1024    /* values of a category that have an indicator of their own */
#define MOST_INDICATORS 4096 /* of all categories together, */
#define INDICATOR_CELLS 250000000 /* and times the rows: a GB */
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

static void columns_free(struct column *columns, size_t count)
{
    for (size_t j = 0; columns != NULL && j < count; j++)
        free(columns[j].place);
    free(columns);
}

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

static enum infomask_status look(const struct infomask_table *table, struct column **columns,
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
    limit_categories(*columns, table->columns, table->rows);
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

static enum infomask_status matrix_init(struct table_matrix *matrix, size_t n, size_t width, struct infomask_error *err)
{
    size_t bytes;

    *matrix = (struct table_matrix){.n = n, .width = width};
    if (!checked_mul3(n, width, sizeof *matrix->x, &bytes) || (matrix->x = aligned_new(bytes + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows of %zu columns", n, width);
    return INFOMASK_OK;
}

void table_matrix_fini(struct table_matrix *matrix)
{
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

static enum infomask_status expand(const struct infomask_table *table, const uint32_t *order, float hole,
                                   struct table_matrix *matrix, struct infomask_error *err)
{
    struct column *columns = NULL;
    size_t width = 0;
    enum infomask_status status = look(table, &columns, err);

    for (size_t j = 0; status == INFOMASK_OK && j < table->columns; j++)
        width += width_of(&columns[j]);
    if (status == INFOMASK_OK)
        status = matrix_init(matrix, table->rows, width, err);
    if (status == INFOMASK_OK)
        status = set_sources(matrix, columns, table->columns, err);
    for (size_t i = 0; status == INFOMASK_OK && i < table->rows; i++)
        fill_row(columns, table->columns, table->x + order[i] * table->columns, hole, matrix->x + i * width);
    columns_free(columns, table->columns);
    return status;
}

enum infomask_status table_plain(const struct infomask_table *table, const uint32_t *order, struct table_matrix *plain,
                                 struct infomask_error *err)
{
    return expand(table, order, 0, plain, err);
}

enum infomask_status table_holes(const struct infomask_table *table, const uint32_t *order, struct table_matrix *holes,
                                 struct infomask_error *err)
{
    *holes = (struct table_matrix){0};
    for (size_t i = 0; i < table->rows * table->columns; i++)
        if (isnan(table->x[i]))
            return expand(table, order, NAN, holes, err);
    return INFOMASK_OK;
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* Whether column j takes two values only: its square is then no news. */
static int two_valued(const struct table_matrix *plain, size_t j)
{
    float a = plain->x[j], b = a;

    for (size_t i = 1; i < plain->n; i++) {
        float v = plain->x[i * plain->width + j];
        if ((v < a || v > a) && (v < b || v > b)) {
            if (b < a || b > a)
                return 0;
            b = v;
        }
    }
    return 1;
}

struct product {
    size_t i, j;
};

static size_t list_products(const struct table_matrix *plain, struct product *list)
{
    size_t count = 0;

    for (size_t i = 0; i < plain->width; i++) {
        if (!two_valued(plain, i))
            list[count++] = (struct product){i, i};
        for (size_t j = i + 1; plain->width <= MOST_CROSSED && j < plain->width; j++)
            if (!(plain->category[i] && plain->source[i] == plain->source[j])) /* never both 1 */
                list[count++] = (struct product){i, j};
    }
    return count;
}

enum infomask_status table_squares(const struct table_matrix *plain, struct table_matrix *squares,
                                   struct infomask_error *err)
{
    struct product *list;
    enum infomask_status status;
    size_t count;

    *squares = (struct table_matrix){.n = plain->n};
    if (plain->width == 0 || plain->width > MOST_SQUARED)
        return INFOMASK_OK;
    list = malloc((MOST_SQUARED + MOST_CROSSED * MOST_CROSSED) * sizeof *list);
    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for products of columns");
    count = list_products(plain, list);
    status = count == 0 ? INFOMASK_OK : matrix_init(squares, plain->n, plain->width + count, err);
    if (status == INFOMASK_OK && count > 0 && (squares->factors = malloc(2 * count * sizeof *squares->factors)) == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for products of columns");
    for (size_t c = 0; status == INFOMASK_OK && c < count; c++) {
        squares->factors[2 * c] = (uint32_t)list[c].i;
        squares->factors[2 * c + 1] = (uint32_t)list[c].j;
    }
    for (size_t i = 0; status == INFOMASK_OK && count > 0 && i < plain->n; i++)
        table_multiply(squares, plain->width, plain->x + i * plain->width, squares->x + i * squares->width);
    free(list);
    return status;
}

void table_multiply(const struct table_matrix *squares, size_t width, const float *x, float *out)
{
    memcpy(out, x, width * sizeof *x);
    for (size_t c = 0; c < squares->width - width; c++)
        out[width + c] = 0.5f * x[squares->factors[2 * c]] * x[squares->factors[2 * c + 1]];
}
