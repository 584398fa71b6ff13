/* How a linear head is fitted, in the order of the files: rows and folds (head_rows.c), one fit (head_fit.c), all of it
 * (head.c).  Private to core/train.
 *
 * R rows (photos in the order of their folds, the views of one beside each other), F features, K classes.
 */
#ifndef INFOMASK_TRAIN_HEAD_H
#define INFOMASK_TRAIN_HEAD_H

#include "core/infomask_train.h"
#include "core/kernels/kernels.h"

#define HEAD_FOLDS 5
#define HEAD_STRENGTHS 12 /* L2 strengths of a path, from the strongest on */

struct head_rows {
    size_t photos, views, features, classes;
    int folds;
    size_t first[HEAD_FOLDS + 1]; /* photos of fold f: [first[f], first[f + 1]) in fold order */
    size_t *photo;                /* [photos] fold order -> the caller's */
    uint32_t *labels;             /* [photos] in fold order */
    float *x;                     /* [photos][views][F], centred and scaled to mean square 1 */
    float *centre;                /* [F] */
    double scale;                 /* x = (features - centre) * scale */
};
enum infomask_status head_rows_init(struct head_rows *rows, const struct infomask_head_data *data, uint64_t seed,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
void head_rows_fini(struct head_rows *rows);

/* log of (n_k + 1/2) / (n + K/2), the smoothed label frequencies of all folds but the bits of left_out. */
void head_prior(const struct head_rows *rows, unsigned left_out, double *log_prior);

extern const double head_strengths[HEAD_STRENGTHS];

/* Fits at falling strengths, each from the one before, to all folds but the bits of left_out.  With folds left out it
 * ends where their cross-entropy has clearly passed its minimum. */
struct head_path {
    unsigned left_out;
    double loss[HEAD_STRENGTHS][HEAD_FOLDS];       /* cross-entropy summed over a left-out fold; INFINITY: not fitted */
    float *logits[HEAD_STRENGTHS];                 /* [photos][K] of the left-out folds, in fold order; view 0; owned */
    double *log_prior;                             /* [K] head_prior; owned */
    double *point;                                 /* [K][F] weights, then [K] biases, of the last strength; owned */
};
/* at_least, stop: the strengths that it must reach, and may (indices). */
enum infomask_status head_path_run(struct head_path *path, const struct head_rows *rows, unsigned left_out,
                                   int at_least, int stop, struct infomask_error *err)
    __attribute__((warn_unused_result));
void head_path_fini(struct head_path *path);
/* The logits of a left-out fold at a strength, [photos of the fold][K]. */
const float *head_path_logits(const struct head_path *path, const struct head_rows *rows, int strength, int fold);

/* Part of the rows of somebody's logits that a temperature is fitted to. */
struct head_part {
    const float *logits;     /* [n][K] */
    const uint32_t *labels;  /* [n] */
    size_t n;
    const double *log_prior; /* [K] */
};
/* b of the smallest sum of -log softmax(b (z - log prior) + log prior)_y + (log b)^2 / (2 s^2): what a pool of the
 * posterior and the prior says best.  s = 0.7 keeps b finite where every label is right. */
double head_temperature(const struct head_part *parts, int count, size_t classes);

#endif
