/* Which columns, pairs and triples of columns are worth a grid.  Private to core/train/table. */
#ifndef INFOMASK_TRAIN_TABLE_SCREEN_H
#define INFOMASK_TRAIN_TABLE_SCREEN_H

#include "core/train/table/table.h"

#define TABLE_SINGLES 16
#define TABLE_PAIRS 12
#define TABLE_TRIPLES 6
#define TABLE_SCREENED (TABLE_SINGLES + TABLE_PAIRS + TABLE_TRIPLES)

struct screened {
    int dims; /* 1, 2, 3 */
    uint32_t column[3];
    uint8_t levels[3]; /* of a column of few values in a pair or a triple: each is a level; 0: 8 bins, 4 in a triple.
                          Of one alone: 0, or 8 bins where more would have too few rows */
    double score; /* G-statistic beyond what its parts have, less its degrees of freedom, in their deviations */
};

/* Cells of a grid at most: with few classes there is room for more than the codes of one column need. */
static inline size_t screened_most_cells(size_t classes)
{
    return classes <= 8 ? 4 * TABLE_CODES : TABLE_CODES;
}

/* Levels of column number d. */
static inline unsigned screened_radix(const struct screened *what, int d)
{
    return what->levels[d] > 0 ? what->levels[d] : what->dims == 2 ? 8 : 4;
}

static inline size_t screened_cells(const struct screened *what)
{
    size_t cells = what->levels[0] > 0 ? what->levels[0] : TABLE_CODES;

    if (what->dims > 1)
        cells = (size_t)screened_radix(what, 0) * screened_radix(what, 1);
    return what->dims == 3 ? cells * screened_radix(what, 2) : cells;
}

/* The level of a code in column number d; of few values it is the number of the value (table_codes). */
static inline unsigned screened_level(const struct screened *what, int d, unsigned code)
{
    unsigned levels = what->levels[d];

    if (levels > 0)
        return (code * levels + TABLE_CODES - 1) / TABLE_CODES;
    return code >> (what->dims == 2 ? 3 : 4);
}

/* The cell of a row of codes, below screened_cells. */
static inline size_t screened_cell(const struct screened *what, const float *x)
{
    size_t cell = (unsigned)x[what->column[0]];

    if (what->dims == 1)
        return what->levels[0] > 0 ? cell >> 3 : cell;
    cell = screened_level(what, 0, (unsigned)cell);
    for (int d = 1; d < what->dims; d++)
        cell = cell * screened_radix(what, d) + screened_level(what, d, (unsigned)x[what->column[d]]);
    return cell;
}

/* The most telling ones by the labels of rows [count] alone, into list [TABLE_SCREENED]: single columns whether or not
 * they stand out, pairs and triples where they do. */
enum infomask_status table_screen(const struct table_fit *fit, const uint32_t *rows, size_t count,
                                  struct screened *list, size_t *listed, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
