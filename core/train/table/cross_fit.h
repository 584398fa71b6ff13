/* A table's estimate under way, as cross_fit.c makes it and columns.c asks it again.  Private to core/train/table. */
#ifndef INFOMASK_TRAIN_TABLE_CROSS_FIT_H
#define INFOMASK_TRAIN_TABLE_CROSS_FIT_H

#include <stdatomic.h>

#include "core/train/table/table.h"

#define TABLE_MOST_PAIRS (TABLE_MOST_FOLDS * (TABLE_MOST_FOLDS - 1) / 2)

struct estimate {
    struct table_data data;
    struct table_matrix plain, squares, codes;
    struct table_matrix holes; /* plain with NAN where a number is missing; width 0: none is */
    int *labels;
    float *weights;
    uint32_t *order; /* order[i]: the row of the table that is the i-th here */
    int part_count;
    const struct table_part *parts[INFOMASK_TABLE_PARTS];
    const struct table_matrix *matrices[INFOMASK_TABLE_PARTS];
    struct table_path paths[INFOMASK_TABLE_PARTS][TABLE_MOST_PAIRS];
    int pairs;
    const struct infomask_table_options *options;
    struct infomask_table_result *result;
    double loss[INFOMASK_TABLE_PARTS][TABLE_MOST_FOLDS], weight[INFOMASK_TABLE_PARTS][TABLE_MOST_FOLDS];
    int step[INFOMASK_TABLE_PARTS][TABLE_MOST_FOLDS]; /* the state that a fold is judged by */
    double *log_prior[TABLE_MOST_FOLDS];              /* [K] of the rows outside the fold */
    atomic_int done, failed; /* fits; the first status that is not OK */
    struct infomask_error errors[INFOMASK_TABLE_PARTS * TABLE_MOST_PAIRS + TABLE_MOST_FOLDS];
};

/* The fit of a part without two folds (path.c). */
const struct table_path *table_path_of(const struct estimate *e, int part, int fold, int other);
/* Its state where `step` is asked for: a path that ended stays at its end. */
int table_state_near(const struct estimate *e, int part, int fold, int other, int step);
/* Its state where the first of the folds judges. */
int table_state_at(const struct estimate *e, int part, int fold, int other);

/* Fills result->columns: what each says alone, and what is lost without it. */
enum infomask_status table_look_at_columns(struct estimate *e, size_t columns, struct pool *pool,
                                           struct infomask_error *err) __attribute__((warn_unused_result));

#endif
