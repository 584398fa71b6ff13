/* Training: networks from scratch, and linear heads on the features of a trained one, by maximising log-softmax, with
 * the mutual information I(X;Y) of network and labels measured on the way (arXiv 1910.02629).
 *
 * All information is in nats.  Same options, data and seed give the same bits whatever the number of threads.
 */
#ifndef INFOMASK_TRAIN_H
#define INFOMASK_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"

/* ---- Heads: a linear layer on the features of a frozen network --------------------------------------------------- */

/* n photos, V views of each (view 0 is what classification sees; the others are augmentation). */
struct infomask_head_data {
    size_t photos, views, features, classes;
    const float *x;          /* [photos][views][features] */
    const uint32_t *labels;  /* [photos], each class at least twice */
    const uint32_t *groups;  /* [photos] photos of one group fall into the same fold; NULL: each is its own */
};

/* W, b maximise the mean log-softmax of the labels less l2 / 2 |W|^2 (features scaled to mean square 1), L2 and
 * temperature by cross-fit; the temperature is in W and b. */
struct infomask_head {
    size_t features, classes;
    float *w, *b;          /* [classes][features], [classes]; owned, as the rest */
    double *prior; /* [classes] label frequencies: what is inside the logits, unless pc_softmax (then uniform) */
    double l2;             /* INFINITY: the prior alone; the features told nothing */
    double temperature;
    int folds;
    /* [photos][classes]: each photo's logits from a head whose weights, L2 and temperature were all fitted without the
     * photo's fold: held out. */
    float *held_out;
};
void infomask_head_fini(struct infomask_head *head);

/* pc_softmax: the logits are those of PC-softmax (arXiv 1911.10688).  Its optimum is that of log-softmax less the log
 * prior in b, because b is not penalised. */
enum infomask_status infomask_fit_head(const struct infomask_head_data *data, bool pc_softmax, uint64_t seed,
                                       struct pool *pool, struct infomask_head *head, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* logits [classes] of one photo's features. */
void infomask_head_logits(const struct infomask_head *head, const float *features, float *logits);

/* The network of an ONNX file (of its output `output`; NULL: its first) with this head in place of its own, as ONNX
 * with BatchNorm folded. */
enum infomask_status infomask_write_head(const char *network, const char *output, const struct infomask_head *head,
                                         const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Features of photos: x [photos][stride], borrowed, of which the first `features` of a row count. */
struct infomask_feature_rows {
    const float *x;
    size_t photos, features, stride;
};
/* Near copies (another size, another compression): groups[i] is the first photo whose features' cosine with photo i's,
 * both less their mean over the photos, is at least `cosine`. */
enum infomask_status infomask_find_copies(const struct infomask_feature_rows *rows, double cosine, struct pool *pool,
                                          uint32_t *groups, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- Networks from scratch --------------------------------------------------------------------------------------- */

/* A labelled set of 8-bit pictures. */
struct infomask_pictures {
    int count, classes, height, width, channels;
    uint8_t *pixels; /* [count][height][width][channels]; owned, as the labels */
    int *labels;     /* [count] */
};
/* From a pair of IDX files (the MNIST format; gzip'ed ones are fine). */
enum infomask_status infomask_pictures_read(const char *images, const char *labels, struct infomask_pictures *pictures,
                                            struct infomask_error *err) __attribute__((warn_unused_result));
/* Moves a share of every class, drawn by the seed, into `held_out`. */
enum infomask_status infomask_pictures_split(struct infomask_pictures *pictures, double share, uint64_t seed,
                                             struct infomask_pictures *held_out, struct infomask_error *err)
    __attribute__((warn_unused_result));
void infomask_pictures_fini(struct infomask_pictures *pictures);

struct infomask_train_options {
    const char *arch;            /* layers, as "conv3x3:32,bn,relu,conv3x3:64/2,bn,relu,gap" (docs/training.md) */
    const struct infomask_pictures *train, *held_out; /* of one size; borrowed */
    float mean, std;             /* of 0..255 values; default 0, 255 */
    int epochs, batch;           /* default 10, 128 */
    bool sgd;                    /* SGD with momentum; else AdamW */
    const char *schedule;        /* "constant", "cosine" (default), "one-cycle" */
    double rate;                 /* 0: 0.1 for SGD, 0.002 for AdamW */
    double momentum, weight_decay; /* negative (default): 0.9; 5e-4 for SGD and 0.01 for AdamW */
    bool pc_softmax;             /* PC-softmax with the training frequencies as prior; else log-softmax */
    double label_smoothing;
    int augment_shift;           /* pixels */
    double augment_rotate, augment_scale; /* degrees; share */
    bool augment_flip;
    bool shuffle_labels;         /* a control: the labels are permuted, nothing can be learnt */
    uint64_t seed;
    const char *isa;             /* kernels; NULL: the best of this processor */
    const char *checkpoint;      /* written after every epoch, whole or not at all; NULL: none */
    bool resume;                 /* go on from the checkpoint, with the bits of an uninterrupted run; it must be of the
                                  * same options, kernels and data */
    const char *output;          /* ONNX file to write; NULL: none.  Inside its logits is the training prior; with
                                  * pc_softmax and no label_smoothing the uniform one */
    bool keep_norms;             /* export BatchNorm as it is; else folded */
};
struct infomask_train_options infomask_default_train_options(void);

/* The state at the end of an epoch.  train_ values are of as many training items as there are held-out ones. */
struct infomask_train_epoch {
    int epoch, epochs; /* epoch counts from 1 */
    double loss;       /* mean over the epoch's batches */
    double train_information, train_accuracy, held_out_information, held_out_accuracy, held_out_loss;
    double standard_error;     /* of held_out_information */
    double label_entropy;      /* of the held-out labels */
    double rate, seconds, images_per_second;
};

/* Called one at a time, from a thread of the pool. */
struct infomask_train_watch {
    /* after every epoch; false stops the training there (INFOMASK_CANCELLED).  May be NULL. */
    bool (*epoch)(void *context, const struct infomask_train_epoch *epoch);
    /* before the first epoch of a resumed run: the epochs that there were already.  May be NULL. */
    void (*resumed)(void *context, const struct infomask_train_epoch *epochs, int count);
    /* now and then inside one: how much of it is done.  May be NULL. */
    void (*progress)(void *context, int epoch, double share);
    void *context;
};

struct infomask_trained {
    int classes, height, width, channels;
    size_t parameters;
    double *prior; /* [classes] label frequencies of the training data, half a sample added to each; owned */
    float *held_out; /* [held out][classes] log q(y|x) under the prior, smoothing undone; owned */
    int *held_out_labels; /* [held out] as they were used (shuffled, if that was asked for); owned */
    struct infomask_train_epoch last;
};
void infomask_trained_fini(struct infomask_trained *trained);

enum infomask_status infomask_train(const struct infomask_train_options *options, struct pool *pool,
                                    const struct infomask_train_watch *watch, struct infomask_trained *trained,
                                    struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Tables: I(X;Y) of labelled features ------------------------------------------------------------------------- */

/* rows x columns features, labels < classes.  Borrowed.  Rows of different groups must be independent of each other. */
struct infomask_table {
    size_t rows, columns;
    int classes;
    const float *x; /* [rows][columns], finite, or NAN for a missing value */
    const uint32_t *labels;
    const uint32_t *levels; /* [columns] 0: numbers; else a category, x in 0 to levels - 1; NULL: all numbers */
    const uint32_t *groups; /* [rows] rows of one number share a fold; at least 3 groups; NULL: each row is by itself */
    const double *weights;  /* [rows] 0 or more, not all 0: the estimate is that of a population in which a row is so
                             * frequent; NULL: all 1 */
};

struct infomask_table_options {
    uint64_t seed;
    int folds;       /* 3 to 10; 0: by the number of rows */
    const char *isa; /* kernels; NULL: the best of this processor */
    size_t columns;  /* at most so many are looked at one by one, those that tell most alone; 0: none */
    /* after each of the `total` fits; false stops there (INFOMASK_CANCELLED).  From any thread.  May be NULL. */
    bool (*progress)(void *context, int done, int total);
    void *context;
};

#define INFOMASK_TABLE_PARTS 6

struct infomask_table_part {
    const char *name;    /* "network", "trees", "quadratic", "grids", "linear", "discriminant" */
    double weight;       /* in the pool, mean over the folds */
    double information;  /* H(labels) less the cross-entropy of this part alone */
};

/* What a column says; nats, NAN where it was not looked at.  Each limit is at 97.5 %, of that column by itself. */
struct infomask_table_column {
    double alone, alone_limit;      /* estimate and lower limit of I(column; label), by cross-fitted histograms */
    double lost, lost_low, lost_high; /* what the estimate loses where the pool does not know the column's value: mean
                                       * over at most some 300 rows, t interval of 95 % */
};

struct infomask_table_result {
    struct infomask_table_column *columns; /* [table->columns]; NULL unless asked for; malloc'ed */
    float *log_q; /* [rows][classes] log q(y | x of the row) by models that have not seen the row's label; malloc'ed */
    uint32_t *group; /* [rows] the first row of those that a row belongs to: its copies, its group; malloc'ed */
    bool grouped;    /* some row belongs to another: the limits are then over the groups, not the rows */
    size_t copies;   /* rows that are one of an earlier row; copies share a fold */
    int folds, part_count;
    struct infomask_table_part parts[INFOMASK_TABLE_PARTS];
};
void infomask_table_result_fini(struct infomask_table_result *result);

/* Cross-fitted classifiers and their log-linear pool (docs/information.md, "Tables").  H(labels) less the mean of
 * -log q(label) is then a lower bound on I(X;Y) in expectation.  At least 20 rows and 2 classes. */
enum infomask_status infomask_table_estimate(const struct infomask_table *table,
                                             const struct infomask_table_options *options, struct pool *pool,
                                             struct infomask_table_result *result, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- int8: a network's weights quantised on photos --------------------------------------------------------------- */

struct infomask_quantize_options {
    const struct infomask_model_spec *model; /* the precision in it does not matter */
    const char *output; /* file of weights to write; NULL: none */
    size_t photos;
    /* Photo i's bytes, malloc'ed; called by any thread.  A photo that cannot be read is left out. */
    enum infomask_status (*read)(void *context, size_t i, char **bytes, size_t *size, struct infomask_error *err);
    const struct infomask_limits *limits; /* of photos; NULL: the default ones */
    int crops;    /* to calibrate on; 0: 96 */
    int held_out; /* to measure on; 0: 500 */
    uint64_t seed;
    const char *const *keep; /* layers to keep in bf16: names of their outputs, or shell patterns of them */
    int keep_count;
    bool nearest; /* plain rounding instead of the recipe, to compare it with */
    /* Before each layer and each step of the measurement, from the calling thread; may be NULL. */
    void (*progress)(void *context, const char *what, int done, int of);
    void *context;
};

/* A crop is a random square of 0.4 to 1 times the photo's shorter side (of the photo's own shape where the model
 * squashes it); each photo's first one is what classification sees. */
struct infomask_quantized {
    int layers, kept;
    size_t photos, left_out, held_out_photos; /* calibrated on, unreadable, measured on */
    int crops, held_out;
    bool apart;                   /* the photos measured on were not calibrated on: there are at least 8 */
    double agreement;             /* share of crops with the best class of float32 */
    double log_probability_error; /* nats, root mean square over float32's 5 best classes */
    double clear, clear_agreement; /* share of crops whose two best classes are 0.1 nats apart, and theirs (else NAN) */
    double sure,
        sure_agreement; /* share of crops whose best class has half of the probability, and theirs (else NAN) */
};

/* The same photos, options and kernels give the same file for any number of threads. */
enum infomask_status infomask_quantize(const struct infomask_quantize_options *options, struct pool *pool,
                                       struct infomask_quantized *result, struct infomask_error *err)
    __attribute__((warn_unused_result));

#endif
