/* Gradient boosting of the cross-entropy (Friedman 2001; second order as Chen and Guestrin 2016): what the parts that
 * are made of many weak learners share, trees.c and grids.c.  Private to core/train/table.
 *
 * A state of such a path is what `rounds` learners add to the logits of the state before; the first state is the log
 * prior [K] of the rows that are learnt from.  K classes; a learner is a row of floats. */
#ifndef INFOMASK_TRAIN_TABLE_BOOSTING_H
#define INFOMASK_TRAIN_TABLE_BOOSTING_H

#include "core/base/random.h"
#include "core/train/table/table.h"

struct boosting;

/* A kind of learner, constant. */
struct boosting_kind {
    const char *name;     /* in the plural, for messages */
    int rounds, states;   /* learners of a state; states at most */
    int patience;         /* states without a gain on both folds that end a path */
    float rate, penalty;  /* penalty: added to the curvature of a leaf */
    double share;         /* of the rows that a learner is made from */
    size_t (*size)(size_t k); /* floats of a learner */
    /* Adds what a learner says of rows x [rows][width] to their logits [rows][K]. */
    void (*add)(const float *learner, size_t width, size_t k, const float *x, size_t rows, float *logits);
};

struct boosting {
    const struct boosting_kind *kind;
    const struct table_fit *fit;
    size_t k, count; /* count: rows that are learnt from */
    uint32_t *rows;  /* [count] of the data */
    float *f, *g;    /* [count][K] logits; [count][2 K] gradient and curvature of each class */
    bool *used;      /* [count] by the learner that is being made */
    float *held;     /* [rows of both folds][K] their logits so far */
    float *row;      /* [rows of a strip][K] scratch */
    uint64_t round;
};

/* Takes every stride'th row outside both folds; stride 1: those that table_learnt_end lets in.  path->kind and
 * path->size are set.  boosting_fini in any case. */
enum infomask_status boosting_init(struct boosting *b, const struct boosting_kind *kind, const struct table_fit *fit,
                                   size_t stride, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
void boosting_fini(struct boosting *b);

/* Sets g, by the logits, and draws the rows that the next learner is made from; returns the stream for further draws.
 * g = w (q - 1[label]), h = w q (1 - q). */
struct random_stream boosting_next(struct boosting *b);

/* sum_k G_k^2 / (H_k + penalty) of a leaf's sums [2 K]; *curvature: sum_k H_k. */
static inline float boosting_score(const float *sums, size_t k, float penalty, float *curvature)
{
    float score = 0;

    *curvature = 0;
    for (size_t y = 0; y < k; y++) {
        score += sums[y] * sums[y] / (sums[k + y] + penalty);
        *curvature += sums[k + y];
    }
    return score;
}

/* leaf [leaves][K] = -rate G / (H + penalty) of sums [leaves][2 K]. */
void boosting_leaves(const struct boosting *b, const float *sums, size_t leaves, float *leaf);

/* Grows a path until both folds have nothing to gain any more, or `states` are there.  grow makes one learner of
 * `part`, and adds it to b->f. */
enum infomask_status boosting_follow(struct boosting *b, int states, void (*grow)(void *part, float *learner),
                                     void *part, struct table_path *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
