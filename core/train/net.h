/* A trainable network: a chain of layers with forward and backward passes.  Private to core/train.
 *
 * Activations are N, H, W, C float32.  B = batch, H, W, C as usual; K = kernel_h * kernel_w * C_in, M = pixels of a
 * group of images, N = C_out.  Convolutions are im2col and matrix products of the kernel table.
 *
 * Determinism: a batch is cut into TRAIN_CHUNKS ranges of images whatever the number of threads; each range leaves
 * its own partial weight gradient (or channel sums), and these are added in the order of the ranges.
 */
#ifndef INFOMASK_TRAIN_NET_H
#define INFOMASK_TRAIN_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "core/kernels/kernels.h"

#define TRAIN_CHUNKS 8
#define TRAIN_MAX_LAYERS 128

enum train_kind {
    TRAIN_CONV,
    TRAIN_DEPTHWISE,
    TRAIN_BATCH_NORM,
    TRAIN_ACTIVATION, /* works in place: its output is its input's buffer */
    TRAIN_DROPOUT,    /* in place as well */
    TRAIN_NOISE,      /* y = x + sigma n, Gaussian */
    TRAIN_MAX_POOL,
    TRAIN_AVERAGE_POOL,
    TRAIN_GLOBAL_AVERAGE,
    TRAIN_LINEAR,
    TRAIN_KINDS
};

struct train_shape {
    int h, w, c;
};

static inline size_t train_elements(struct train_shape s) { return (size_t)s.h * (size_t)s.w * (size_t)s.c; }

/* A parameter tensor with its gradient and the optimiser's state. */
struct train_param {
    float *value, *gradient, *moment1, *moment2; /* [count] each */
    float *partial;                              /* [TRAIN_CHUNKS][count]; NULL for LINEAR */
    size_t count;
    bool decay; /* weight decay applies (matrices, not biases or norms) */
};

struct train_layer {
    enum train_kind kind;
    struct train_shape in, out;
    int kernel_h, kernel_w, stride, pad_h, pad_w;
    float low, high, slope; /* ACTIVATION: clamp to [low, high], slope below 0 (leaky) */
    float ratio, sigma;     /* DROPOUT, NOISE */
    float epsilon, momentum; /* BATCH_NORM */
    struct train_param weights,
        bias; /* CONV and LINEAR [C_out][K] and [C_out]; DEPTHWISE [kh][kw][C]; norm: scale, shift */
    float *running_mean, *running_variance; /* BATCH_NORM, [C] */
    float *batch_mean, *batch_inverse;      /* of the last training batch: mean, 1 / sqrt(variance + eps) */
    double *sums;                           /* BATCH_NORM: [TRAIN_CHUNKS][2][C] */
    float *x, *dx;                          /* the input's buffers, [B, in]; dx NULL for the first layer */
    float *y, *dy;                          /* the output's; for layers in place the same as the input's */
    bool owns_output;
    bool fused; /* ACTIVATION: the convolution before it does it as well, while the pixels are in the cache */
};

struct train_net {
    const struct kernel_table *kernels;
    struct pool *pool;
    int batch; /* most items in one pass */
    struct train_layer layers[TRAIN_MAX_LAYERS];
    int layer_count;
    int classes;
    float *input;      /* [batch, in of the first layer] */
    float **scratch;   /* one block per worker */
    size_t scratch_floats;
    int workers;
    uint64_t seed;
    bool failed; /* a pass had no memory: what the network holds since then means nothing */
};

/* One pass over the first n items of the input. */
struct train_pass {
    struct train_net *net;
    int n;
    bool training; /* batch statistics, dropout and noise are on */
    uint64_t step; /* numbers the pass: dropout and noise are functions of (seed, step, layer, element) */
};

/* What a network is built from.  A linear layer to `classes` is added behind the items, which are, separated by commas:
 * conv3x3:32 (C_out; /2 stride; p0 padding, default kernel / 2), dw3x3, bn, relu, relu6, leaky:0.1, dropout:0.2,
 * noise:0.1, max2/2, avg2/2, gap, linear:256.  Weights are drawn by seed (He et al. 2015). */
struct train_plan {
    const char *items;
    struct train_shape input;
    int classes, batch; /* batch: 1 to 4096 */
    uint64_t seed;
    const struct kernel_table *kernels;
    struct pool *pool;  /* whose threads it uses; NULL: none */
};
enum infomask_status train_net_create(struct train_net **net, const struct train_plan *plan,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
void train_net_free(struct train_net *net);
size_t train_net_parameters(const struct train_net *net);

/* logits [n, classes] of the first n items of net->input. */
const float *train_forward(const struct train_pass *pass);
/* From dlogits, which the caller has put into train_logit_gradient: every parameter's gradient. */
float *train_logit_gradient(struct train_net *net);
void train_backward(const struct train_pass *pass);

/* The forward and backward pass of each kind (layer_*.c). */
typedef void train_layer_pass(struct train_layer *layer, const struct train_pass *pass, int index);
struct train_layer_kind {
    const char *name;
    train_layer_pass *forward, *backward;
};
extern const struct train_layer_kind train_layer_kinds[TRAIN_KINDS];

train_layer_pass train_conv_forward, train_conv_backward, train_linear_forward, train_linear_backward;
train_layer_pass train_depthwise_forward, train_depthwise_backward;
train_layer_pass train_norm_forward, train_norm_backward;
train_layer_pass train_activation_forward, train_activation_backward;
train_layer_pass train_dropout_forward, train_dropout_backward, train_noise_forward, train_noise_backward;
/* AVERAGE_POOL, and GLOBAL_AVERAGE, whose window is the whole input */
train_layer_pass train_average_pool_forward, train_average_pool_backward;
train_layer_pass train_max_pool_forward, train_max_pool_backward;

/* Runs body(context, chunk, worker) over the TRAIN_CHUNKS ranges; range `chunk` of n items is [*first, *end). */
void train_range(int n, int chunk, int *first, int *end);

/* gradient = sum of the partials in order. */
void train_reduce(const struct train_pass *pass, struct train_param *param);

/* dy of elements [first, end) of an ACTIVATION: from behind it to before it. */
void train_activation_gradient(const struct train_layer *layer, size_t first, size_t end);

/* Floats of scratch that a layer's passes need per worker. */
size_t train_conv_scratch(const struct train_layer *layer);

#endif
