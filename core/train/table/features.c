/* The columns of a table as the parts see them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/checked.h"
#include "core/train/table/table.h"

#define SAMPLE 4096        /* values from which a column's scale is taken */
#define TAIL 4.0           /* deviations from which on values are drawn in */
#define MOST_LEVELS 24     /* values of a column that is expanded */
#define ROWS_PER_LEVEL 10
#define MOST_EXPANDED 512  /* columns in all, with the expansions */
#define MOST_CROSSED 24    /* columns of which every product is taken */
#define MOST_SQUARED 256

struct column {
    double centre, scale; /* scale 0: constant, dropped */
    int levels;           /* expanded into so many columns; 0: not */
    float level[MOST_LEVELS];
};

static int by_value(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

static void moments(const struct infomask_table *table, size_t j, struct column *column)
{
    double mean = 0, squares = 0;

    for (size_t i = 0; i < table->rows; i++) {
        double step = (double)table->x[i * table->columns + j] - mean;
        mean += step / (double)(i + 1);
        squares += step * ((double)table->x[i * table->columns + j] - mean);
    }
    column->centre = mean;
    column->scale = sqrt(squares / (double)table->rows);
}

/* The distinct values of a column, sorted; more than MOST_LEVELS: that many + 1. */
static int find_levels(const struct infomask_table *table, size_t j, float *level)
{
    int count = 0;

    for (size_t i = 0; i < table->rows; i++) {
        float v = table->x[i * table->columns + j];
        int at = 0;
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
static void look_at(const struct infomask_table *table, size_t j, float *sample, struct column *column)
{
    size_t count = table->rows < SAMPLE ? table->rows : SAMPLE;
    int levels = find_levels(table, j, column->level);

    column->levels = 0;
    moments(table, j, column);
    if (levels <= 2)
        return;
    if (levels <= MOST_LEVELS && table->rows >= (size_t)levels * ROWS_PER_LEVEL)
        column->levels = levels;
    for (size_t i = 0; i < count; i++)
        sample[i] = table->x[i * table->rows / count * table->columns + j];
    qsort(sample, count, sizeof *sample, by_value);
    if (sample[count / 10] < sample[count - 1 - count / 10]) {
        column->centre = (double)sample[count / 2];
        column->scale = ((double)sample[count - 1 - count / 10] - (double)sample[count / 10]) / 2.563;
    }
}

static float drawn_in(double z)
{
    if (fabs(z) > TAIL)
        z = copysign(TAIL + log1p(fabs(z) - TAIL), z);
    return (float)z;
}

static void fill_row(const struct column *columns, size_t count, const float *x, float *out)
{
    for (size_t j = 0; j < count; j++) {
        const struct column *column = &columns[j];
        if (column->scale > 0)
            *out++ = drawn_in(((double)x[j] - column->centre) / column->scale);
        for (int l = 0; l < column->levels; l++)
            *out++ = x[j] >= column->level[l] && x[j] <= column->level[l] ? 1 : 0;
    }
}

static size_t expanded_width(struct column *columns, size_t count)
{
    size_t width = 0, levels = 0;

    for (size_t j = 0; j < count; j++) {
        width += columns[j].scale > 0;
        levels += (size_t)columns[j].levels;
    }
    if (width + levels <= MOST_EXPANDED)
        return width + levels;
    for (size_t j = 0; j < count; j++)
        columns[j].levels = 0;
    return width;
}

static enum infomask_status matrix_init(struct table_matrix *matrix, size_t n, size_t width, struct infomask_error *err)
{
    size_t bytes;

    *matrix = (struct table_matrix){n, width, NULL};
    if (!checked_mul3(n, width, sizeof *matrix->x, &bytes) || (matrix->x = aligned_new(bytes + 1)) == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows of %zu columns", n, width);
    return INFOMASK_OK;
}

void table_matrix_fini(struct table_matrix *matrix)
{
    aligned_free(matrix->x);
    *matrix = (struct table_matrix){0, 0, NULL};
}

enum infomask_status table_plain(const struct infomask_table *table, const uint32_t *order, struct table_matrix *plain,
                                 struct infomask_error *err)
{
    struct column *columns = calloc(table->columns, sizeof *columns);
    float *sample = malloc(SAMPLE * sizeof *sample);
    enum infomask_status status = INFOMASK_OK;

    if (columns == NULL || sample == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for %zu columns", table->columns);
    for (size_t j = 0; status == INFOMASK_OK && j < table->columns; j++)
        look_at(table, j, sample, &columns[j]);
    if (status == INFOMASK_OK)
        status = matrix_init(plain, table->rows, expanded_width(columns, table->columns), err);
    for (size_t i = 0; status == INFOMASK_OK && i < table->rows; i++)
        fill_row(columns, table->columns, table->x + order[i] * table->columns, plain->x + i * plain->width);
    free(columns);
    free(sample);
    return status;
}

/* ---- Products ------------------------------------------------------------------------------------------------------ */

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

    *squares = (struct table_matrix){plain->n, 0, NULL};
    if (plain->width == 0 || plain->width > MOST_SQUARED)
        return INFOMASK_OK;
    list = malloc((MOST_SQUARED + MOST_CROSSED * MOST_CROSSED) * sizeof *list);
    if (list == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for products of columns");
    count = list_products(plain, list);
    status = count == 0 ? INFOMASK_OK : matrix_init(squares, plain->n, plain->width + count, err);
    for (size_t i = 0; status == INFOMASK_OK && count > 0 && i < plain->n; i++) {
        const float *x = plain->x + i * plain->width;
        float *out = squares->x + i * squares->width;
        memcpy(out, x, plain->width * sizeof *x);
        for (size_t c = 0; c < count; c++)
            out[plain->width + c] = 0.5f * x[list[c].i] * x[list[c].j];
    }
    free(list);
    return status;
}
