/* Which rows of a table belong together, and folds that do not part them.
 *
 * Equal rows are copies of one another where equality is no accident: where some column has so many values that two rows
 * hardly share one.  (In a table of a few codes equal rows are the rule, and say nothing.)  A copy in another fold is a row
 * whose label has been seen.
 */
#include <stdlib.h>
#include <string.h>

#include "core/train/table/table.h"

#define LOOKED_AT 4096 /* values of a column */
#define FEW_VALUES 20
#define SHARE_OF_VALUES 20 /* a column has many values if there is one for so many rows */

static int by_number(const void *left, const void *right)
{
    float a = *(const float *)left, b = *(const float *)right;

    return (a > b) - (a < b);
}

static bool has_many_values(const struct infomask_table *table, size_t column, float *values)
{
    size_t step = (table->rows + LOOKED_AT - 1) / LOOKED_AT, n = 0, distinct = 1;

    for (size_t i = 0; i < table->rows; i += step)
        values[n++] = table->x[i * table->columns + column];
    qsort(values, n, sizeof *values, by_number);
    for (size_t i = 1; i < n; i++)
        distinct += values[i] > values[i - 1];
    return distinct > FEW_VALUES && distinct * SHARE_OF_VALUES > n;
}

static bool any_column_has_many_values(const struct infomask_table *table, bool *many, struct infomask_error *err)
{
    float *values = malloc((LOOKED_AT + 1) * sizeof *values);

    *many = false;
    if (values == NULL) {
        (void)error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", table->rows);
        return false;
    }
    for (size_t j = 0; j < table->columns && !*many; j++)
        *many = has_many_values(table, j, values);
    free(values);
    return true;
}

/* ---- Equal rows ---------------------------------------------------------------------------------------------------- */

struct hashed_row {
    uint64_t hash;
    uint32_t row;
};

static int by_hash(const void *left, const void *right)
{
    const struct hashed_row *a = left, *b = right;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->row < b->row ? -1 : 1;
}

/* FNV-1a over the values; -0 is 0. */
static uint64_t hash_row(const float *x, size_t columns)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t j = 0; j < columns; j++) {
        float value = x[j] + 0.0f;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        h = (h ^ bits) * 0x100000001b3u;
        h ^= h >> 29;
    }
    return h;
}

static bool equal_rows(const struct infomask_table *table, size_t a, size_t b)
{
    for (size_t j = 0; j < table->columns; j++) {
        float x = table->x[a * table->columns + j], y = table->x[b * table->columns + j];
        if (x < y || x > y)
            return false;
    }
    return true;
}

enum infomask_status table_groups(const struct infomask_table *table, uint32_t *group, size_t *copies,
                                  struct infomask_error *err)
{
    struct hashed_row *rows;
    bool many;

    *copies = 0;
    for (size_t i = 0; i < table->rows; i++)
        group[i] = (uint32_t)i;
    if (!any_column_has_many_values(table, &many, err))
        return INFOMASK_MEMORY;
    if (!many)
        return INFOMASK_OK;
    rows = malloc(table->rows * sizeof *rows);
    if (rows == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", table->rows);
    for (size_t i = 0; i < table->rows; i++)
        rows[i] = (struct hashed_row){hash_row(table->x + i * table->columns, table->columns), (uint32_t)i};
    qsort(rows, table->rows, sizeof *rows, by_hash);
    for (size_t i = 1; i < table->rows; i++) {
        size_t first = group[rows[i - 1].row];
        if (rows[i].hash != rows[i - 1].hash || !equal_rows(table, first, rows[i].row))
            continue;
        group[rows[i].row] = (uint32_t)first;
        (*copies)++;
    }
    free(rows);
    return INFOMASK_OK;
}

/* ---- Folds --------------------------------------------------------------------------------------------------------- */

/* Groups in the order of their first rows, rows of one in their own: a counting sort. */
enum infomask_status table_gather(const uint32_t *group, size_t rows, uint32_t *order, struct infomask_error *err)
{
    uint32_t *rank = malloc(3 * rows * sizeof *rank), *next, *sorted;

    if (rank == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for %zu rows", rows);
    next = rank + rows;
    sorted = next + rows;
    for (size_t i = 0; i < rows; i++)
        rank[i] = UINT32_MAX;
    memset(next, 0, rows * sizeof *next);
    for (size_t i = 0; i < rows; i++) { /* next: sizes, then starts */
        uint32_t *of_group = &rank[group[order[i]]];
        if (*of_group == UINT32_MAX)
            *of_group = (uint32_t)i;
        next[*of_group]++;
    }
    for (size_t i = 0, start = 0; i < rows; i++) {
        size_t size = next[i];
        next[i] = (uint32_t)start;
        start += size;
    }
    for (size_t i = 0; i < rows; i++)
        sorted[next[rank[group[order[i]]]]++] = order[i];
    memcpy(order, sorted, rows * sizeof *order);
    free(rank);
    return INFOMASK_OK;
}
