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

/* A labelled set of 8-bit pictures in a pair of IDX files (the MNIST format; gzip'ed ones are fine). */
struct infomask_idx {
    const char *images, *labels;
};

struct infomask_train_options {
    const char *arch;            /* layers, as "conv3x3:32,bn,relu,conv3x3:64/2,bn,relu,gap" (docs/training.md) */
    struct infomask_idx train, held_out;
    float mean, std;             /* of 0..255 values; default 0, 255 */
    int epochs, batch;           /* default 10, 128 */
    bool sgd;                    /* SGD with momentum; else AdamW */
    const char *schedule;        /* "constant", "cosine" (default), "one-cycle" */
    double rate, momentum, weight_decay; /* 0: 0.1 for SGD and 0.002 for AdamW; 0.9; 5e-4 and 0.01 */
    bool pc_softmax;             /* PC-softmax with the training frequencies as prior; else log-softmax */
    double label_smoothing;
    int augment_shift;           /* pixels */
    double augment_rotate, augment_scale; /* degrees; share */
    bool augment_flip;
    bool shuffle_labels;         /* a control: the labels are permuted, nothing can be learnt */
    uint64_t seed;
    const char *isa;             /* kernels; NULL: the best of this processor */
    const char *checkpoint;      /* written after every epoch; NULL: none */
    bool resume;                 /* go on from the checkpoint, with the bits of an uninterrupted run */
    const char *output;          /* ONNX file to write; NULL: none */
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

struct infomask_train_watch {
    /* after every epoch; false stops the training there (INFOMASK_CANCELLED).  May be NULL. */
    bool (*epoch)(void *context, const struct infomask_train_epoch *epoch);
    /* now and then inside one: how much of it is done.  May be NULL. */
    void (*progress)(void *context, int epoch, double share);
    void *context;
};

struct infomask_trained {
    int classes, height, width, channels;
    size_t parameters;
    double *prior; /* [classes] label frequencies of the training data; owned */
    struct infomask_train_epoch last;
};
void infomask_trained_fini(struct infomask_trained *trained);

enum infomask_status infomask_train(const struct infomask_train_options *options, struct pool *pool,
                                    const struct infomask_train_watch *watch, struct infomask_trained *trained,
                                    struct infomask_error *err);

#endif
