/* Losses, optimisers and data sets of the training loop.  Private to core/train. */
#ifndef INFOMASK_TRAIN_FIT_H
#define INFOMASK_TRAIN_FIT_H

#include "core/base/sha256.h"
#include "core/infomask_train.h"
#include "core/train/net.h"

/* ---- Loss: log-softmax (cross-entropy) or PC-softmax (arXiv 1911.10688) ------------------------------------------ */

struct train_loss {
    const double *log_prior; /* [classes]: PC-softmax, -log(e^{z_y} / sum_k pi_k e^{z_k}); NULL: log-softmax */
    double smoothing;        /* label smoothing eps: target (1 - eps) onehot + eps / classes */
};
struct train_answers { /* what a network says of rows whose labels are known */
    const float *logits; /* [n][classes] */
    const int *labels;   /* [n] */
    int n, classes;
};
/* Mean loss, in double; dlogits (may be NULL) gets its gradient.  correct (may be NULL) counts rows whose largest
 * posterior is the label; log_q (may be NULL) [n] gets log q(label | x), the posterior under the prior log_prior (or
 * the one inside the logits). */
double train_loss(const struct train_loss *loss, const struct train_answers *answers, float *dlogits, int *correct,
                  double *log_q);

/* ---- Optimisers -------------------------------------------------------------------------------------------------- */

enum train_optimiser { TRAIN_SGD, TRAIN_ADAMW };
enum train_schedule { TRAIN_CONSTANT, TRAIN_COSINE, TRAIN_ONE_CYCLE };

struct train_rule {
    enum train_optimiser optimiser;
    enum train_schedule schedule;
    double rate;     /* peak learning rate */
    double momentum; /* SGD (Nesterov) */
    double beta1, beta2, epsilon; /* AdamW (Loshchilov and Hutter 2019) */
    double weight_decay; /* decoupled, scaled by the rate; on matrices only */
};
/* Learning rate at step of steps: cosine from rate to 0; one-cycle: linear from rate / 25 over the first 30 %, then
 * cosine to 0 (Smith and Topin 2018). */
double train_rate(const struct train_rule *rule, uint64_t step, uint64_t steps);
/* One update of every parameter from its gradient; step counts from 0. */
void train_update(struct train_net *net, const struct train_rule *rule, uint64_t step, uint64_t steps);

/* ---- Data -------------------------------------------------------------------------------------------------------- */

/* The caller's pixels, and labels of our own (they may be shuffled). */
struct train_data {
    int count, classes;
    struct train_shape shape;
    const uint8_t *pixels; /* [count][h][w][c]; borrowed */
    int *labels;           /* [count]; owned */
};
enum infomask_status train_data_of(const struct infomask_pictures *pictures, struct train_data *data,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
void train_data_free(struct train_data *data);

struct train_augment {
    int shift;        /* up to so many pixels each way */
    double rotate;    /* degrees */
    double scale;     /* 0.1: 0.9 to 1.1 */
    bool flip;        /* left to right */
};
struct train_draw {
    float mean, std;
    const struct train_augment *augment; /* NULL: none */
    uint64_t seed, epoch;
};
/* Item `index` into x [h][w][c]: (v - mean) / std, moved by what (seed, epoch, index) draws. */
void train_data_item(const struct train_data *data, int index, const struct train_draw *draw, float *x);
/* order[count]: a permutation that is a function of (seed, epoch). */
void train_shuffle(int count, uint64_t seed, uint64_t epoch, int *order);

/* ---- Checkpoints ------------------------------------------------------------------------------------------------- */

/* Everything that a resumed run needs to go on with the same bits; written to a side file and renamed. */
struct train_progress {
    char run[SHA256_HEX];                 /* of everything that the bits depend on: another run is not gone on with */
    uint64_t epoch, step;                 /* done */
    struct infomask_train_epoch *history; /* [epochs of the run], of which `epoch` are there; owned by the loop */
};
enum infomask_status train_checkpoint_write(const struct train_net *net, const char *path,
                                            const struct train_progress *progress, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status train_checkpoint_read(struct train_net *net, const char *path, struct train_progress *progress,
                                           struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Export ------------------------------------------------------------------------------------------------------ */

/* As ONNX, input "input" [N, C, H, W] (H and W free where the network pools globally), output "logits".
 * fold: BatchNorm goes into the convolution before it. */
enum infomask_status train_export(const struct train_net *net, const char *path, bool fold,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
