/* Estimates of I(X;Y) from a labelled table: the parts of the cross-fitted pool.  Private to core/train.
 *
 * n rows, K classes, F folds.  Rows are held in the order of the folds, so that a fold is a range of rows.  For every
 * pair of folds (a, b) each part is fitted once to the rows outside both.  Fold a is judged by what the fits without it
 * say: everything that is chosen or fitted for it (the state on each path, the weights of the pool) comes from the
 * other folds, where the fit without (a, b) is itself held out on b.  So no label of a has a say in what is said of a.
 */
#ifndef INFOMASK_TRAIN_TABLE_TABLE_H
#define INFOMASK_TRAIN_TABLE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "core/infomask_train.h"
#include "core/kernels/kernels.h"

#define TABLE_MOST_FOLDS 10
#define TABLE_MOST_STATES 64
#define TABLE_BLOCK 512 /* rows that are looked at together */
#define TABLE_CODES 64  /* of a column's values */

struct table_data;
struct column;

/* A matrix [rows][width].  Of a large table only those rows are stored that fits look at again and again, the first
 * ones of each fold (table_data.stored); the others are made when they are asked for, by table_rows.  Codes are all
 * stored. */
struct table_matrix {
    size_t n, width;  /* n: rows that are stored */
    float *x;         /* [n][width]; aligned_new */
    struct column *columns; /* what a row is made from: the table's columns, */
    const struct infomask_table *table;
    const uint32_t *order;
    float hole;       /* and what stands for a missing number; */
    const struct table_matrix *plain; /* or the matrix whose columns are multiplied; NULL, and NULL: codes */
    uint32_t *source; /* [width] the column of the table that each is made of; NULL: products of several */
    bool *category;   /* [width] it says whether a category has one value; NULL as source */
    uint32_t *factors; /* [width - first product][2] of a matrix of products: plain columns; NULL: there are none */
    uint8_t *levels; /* [width] of codes: number of values, each with a code of its own; 0: more, or some are missing */
};

/* Columns on a common scale, tails beyond 4 deviations drawn in logarithmically, and columns of few values expanded
 * (1 where the value is v); constant columns are dropped.  Categories are expanded, values that are too rare to be seen
 * in every fold together; a missing number is the column's centre, and 1 in a column that tells of it.  From X alone:
 * no label is looked at.  table and order: as long as the matrix. */
enum infomask_status table_plain(const struct infomask_table *table, const uint32_t *order,
                                 const struct table_data *data, struct table_matrix *plain, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The same with NAN where a number is missing; width 0 where none is. */
enum infomask_status table_holes(const struct infomask_table *table, const uint32_t *order,
                                 const struct table_data *data, struct table_matrix *holes, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The table's columns as whole numbers from 0 to TABLE_CODES - 1, by their ranks; what is missing has the last one.
 * Value number v of a column of few values, `levels`, has the code v TABLE_CODES / levels, rounded down. */
enum infomask_status table_codes(const struct infomask_table *table, const uint32_t *order, struct table_matrix *codes,
                                 struct infomask_error *err) __attribute__((warn_unused_result));
/* The plain columns and their products (of many columns: their squares only); width 0 where that adds nothing.  plain
 * lasts as long as squares. */
enum infomask_status table_squares(const struct table_matrix *plain, struct table_matrix *squares,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
/* A row of them from a plain row [width]. */
void table_multiply(const struct table_matrix *squares, size_t width, const float *x, float *out);
void table_matrix_fini(struct table_matrix *matrix);
/* Rows of one fold, [rows][width], where they are stored, or made in scratch.  scratch: NULL where the rows are below
 * table_learnt_end or table_judged_end, which are stored. */
const float *table_rows(const struct table_data *data, const struct table_matrix *matrix, size_t first, size_t rows,
                        float *scratch);
/* For it: one row of the data, not of products or codes, from the table. */
void table_make_row(const struct table_matrix *matrix, size_t row, float *out);

/* group [rows]: the first row that a row equals, itself if there is none; copies: rows that equal an earlier one.  In
 * tables of few values every row is by itself, and so is one whose values are those of many others. */
enum infomask_status table_groups(const struct infomask_table *table, uint32_t *group, size_t *copies,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
/* Reorders `order` so that the rows of a group follow one another. */
enum infomask_status table_gather(const uint32_t *group, size_t rows, uint32_t *order, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* group becomes that of both: rows of one number in `with` belong together as well.  Returns the number of groups, 0
 * where there is no memory. */
size_t table_join(uint32_t *group, const uint32_t *with, size_t rows);
/* Deals groups out to folds, the largest first, each to the fold with the fewest rows; reorders `order` and sets start
 * [folds + 1].  folds: at most the number of groups. */
enum infomask_status table_deal(const uint32_t *group, size_t rows, int folds, uint32_t *order, size_t *start,
                                struct infomask_error *err) __attribute__((warn_unused_result));

struct table_data {
    size_t n;
    int classes, folds;
    size_t start[TABLE_MOST_FOLDS + 1]; /* fold f is [start[f], start[f + 1]) */
    size_t stored[TABLE_MOST_FOLDS + 1]; /* the first rows of fold f are a matrix's [stored[f], stored[f + 1]) */
    const int *labels;                  /* [n] */
    const float *weights;               /* [n] of mean 1; NULL: all 1 */
    const struct kernel_table *kernels;
    uint64_t seed;
};

/* What one part learnt without two folds: states from simple to rich (penalties falling, epochs), of which one is
 * chosen when every path is there. */
struct table_path {
    int count;
    size_t size;   /* floats of a state */
    float *states; /* [count][size]; malloc'ed */
    const struct boosting_kind *kind;  /* of a boosted part's learners; NULL for the others */
    double loss[2][TABLE_MOST_STATES]; /* sum of -log q over the rows of the one fold, of the other */
    bool peaked[2];                    /* the one fold, the other, has nothing to gain any more */
    int ended[2];                      /* states until then, which are those that count where that fold judges */
};
/* Of large tables not every row is learnt from, nor is a path judged on every one: up to here the rows of a fold are.
 */
size_t table_learnt_end(const struct table_data *data, int fold);
size_t table_judged_end(const struct table_data *data, int fold);

void table_path_fini(struct table_path *path);
/* Room for one more state; NULL when there is no memory. */
float *table_path_grow(struct table_path *path);

struct table_fit {
    const struct table_data *data;
    const struct table_matrix *matrix;
    int fold[2]; /* left out; fold[0] < fold[1] */
    uint64_t stream;
};

/* Multinomial logistic regression, L2 penalty on the weights. */
enum infomask_status table_linear_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Logits [rows][K] of any number of rows in the state number `step`. */
void table_linear_logits(const struct table_data *data, const struct table_matrix *matrix,
                         const struct table_path *path, int step, const float *x, size_t rows, float *logits);

/* A network of two hidden layers, AdamW at a constant rate, states that are running means of its weights; not where
 * there is no room for the states, of very wide tables. */
bool table_network_fits_in(const struct table_data *data, const struct table_matrix *matrix);
enum infomask_status table_network_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
void table_network_logits(const struct table_data *data, const struct table_matrix *matrix,
                          const struct table_path *path, int step, const float *x, size_t rows, float *logits);

/* Boosted trees; not for very wide tables of many classes. */
bool table_trees_fit_in(const struct table_data *data, const struct table_matrix *matrix);
enum infomask_status table_trees_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Normal clouds of one shape; not for too many weights. */
bool table_discriminant_fits_in(const struct table_data *data, const struct table_matrix *matrix);
enum infomask_status table_discriminant_fit(const struct table_fit *fit, struct table_path *path,
                                            struct infomask_error *err) __attribute__((warn_unused_result));

/* Boosted look-up tables of one to three columns, on table_codes; not for many classes. */
bool table_grids_fit_in(const struct table_data *data, const struct table_matrix *codes);
enum infomask_status table_grids_fit(const struct table_fit *fit, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Logits of a path of trees or of grids. */
void table_boosted_logits(const struct table_data *data, const struct table_matrix *matrix,
                          const struct table_path *path, int step, const float *x, size_t rows, float *logits);

struct table_part {
    const char *name;
    enum infomask_status (*fit)(const struct table_fit *fit, struct table_path *path, struct infomask_error *err);
    void (*logits)(const struct table_data *data, const struct table_matrix *matrix, const struct table_path *path,
                   int step, const float *x, size_t rows, float *logits);
};

/* For the parts: the losses of the newest state on both folds.  patience: a fold that has not gained by so many states
 * has peaked; 0: never.  Each fold for itself, so that its labels do not end what the other one judges. */
enum infomask_status table_judge(const struct table_fit *fit, const struct table_part *part, struct table_path *path,
                                 int patience, struct infomask_error *err) __attribute__((warn_unused_result));
/* The same where the part knows the loss on fold[side]. */
void table_judged(struct table_path *path, int side, double loss, int patience);

/* log softmax of rows of logits, in place. */
void table_normalise(float *logits, size_t rows, int classes);
/* The same of the data's rows from `first` on; the sum of -w log q(label) is returned. */
double table_loss(const struct table_data *data, size_t first, size_t rows, float *logits);

/* Logits [rows][K] of the data's rows from `first` on become w (q - 1[label]), the gradient of the loss, whose sum is
 * returned (a q below 1e-30 counts as that). */
double table_residuals(const struct table_data *data, size_t first, size_t rows, float *logits);

/* Log-linear pool: q_y prop. to pi_y exp(sum_m w_m s_my), where s_m = log q_m - log pi is part m's PMI.  Fits w >= 0 by
 * the cross-entropy of rows [rows][parts][K]. */
struct table_scored {
    const float *scores;
    const int *labels;
    const float *weights; /* [rows]; NULL: all 1 */
    size_t rows;
    int parts, classes;
    const double *log_prior; /* [K] */
};
enum infomask_status table_pool_fit(const struct table_scored *scored, double *weights, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* log q [K] of one row. */
void table_pool_row(const float *scores, int parts, int classes, const double *log_prior, const double *weights,
                    double *log_q);
/* q becomes (1 - share) q + share pi: no row can cost more than -log(share pi). */
void table_guard(const double *log_prior, double share, int classes, double *log_q);

#endif
