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
    double score; /* G-statistic beyond what its parts have, less its degrees of freedom, in their deviations */
};

/* The cell of a row of codes, 0 to 63. */
static inline size_t screened_cell(const struct screened *what, const float *x)
{
    unsigned a = (unsigned)x[what->column[0]], b, c;

    if (what->dims == 1)
        return a;
    b = (unsigned)x[what->column[1]];
    if (what->dims == 2)
        return (a >> 3) << 3 | b >> 3;
    c = (unsigned)x[what->column[2]];
    return (a >> 4) << 4 | (b >> 4) << 2 | c >> 4;
}

/* The most telling ones by the labels of rows [count] alone, into list [TABLE_SCREENED]: single columns whether or not
 * they stand out, pairs and triples where they do. */
enum infomask_status table_screen(const struct table_fit *fit, const uint32_t *rows, size_t count,
                                  struct screened *list, size_t *listed, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
