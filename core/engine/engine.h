/* Runs a graph: an immutable model that all threads share, and a session per worker.
 *
 * A model packs the weights once for the table in use.  It keeps an LRU of plans, one per input size (n, h, w): each
 * plan places every activation in one arena by its lifetime.  A session owns an arena that grows to its largest plan;
 * running it allocates nothing.  Taps are tensors that stay readable after a run: the features before the last global
 * average pooling, and the residual sums inside (the mask's graph of cells).
 *
 * Thread rule: a model may be used by any number of sessions at once; a session by one thread at a time.
 */
#ifndef INFOMASK_ENGINE_ENGINE_H
#define INFOMASK_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/pool.h"
#include "core/base/status.h"
#include "core/graph/graph.h"
#include "core/kernels/kernels.h"

/* BF16: convolutions and products take bf16 weights and inputs and sum in float32; depthwise convolutions, residual
 * sums, grouped and dilated convolutions and the last product (the head) stay float32. */
enum engine_precision { ENGINE_F32, ENGINE_BF16, ENGINE_INT8, ENGINE_PRECISIONS };

/* "f32", "bf16", "int8" */
const char *engine_precision_name(enum engine_precision precision);
/* Does the table have the kernels of a precision?  If not, INFOMASK_ARGUMENT with a sentence. */
enum infomask_status engine_precision_check(enum engine_precision precision, const struct kernel_table *kernels,
                                            struct infomask_error *err) __attribute__((warn_unused_result));

/* A layer of u8 x s8 (core/quant makes them): the activations that it reads are x_scale (u8 - x_zero), its weights
 * scale[n] w[n, k], k as activations are stored: kernel rows, kernel columns, channels. */
struct engine_int8_layer {
    const char *tensor; /* the output of its node, by which it is known */
    bool bf16;          /* kept in bf16 (f32 where there is none); then nothing below is there */
    int n, k;
    float x_scale;
    int x_zero;
    const int8_t *w;
    const float *scale, *bias;
};

struct engine_int8 {
    const struct engine_int8_layer *layers;
    int count;
};

struct engine_options {
    const struct kernel_table *kernels; /* NULL: the best of this processor */
    enum engine_precision precision;
    const struct engine_int8
        *int8;  /* ENGINE_INT8: layers that it does not name stay f32.  Needed during creation only */
    bool apart; /* no steps run together: for engine_run_watched and tests */
    size_t arena_limit; /* bytes a session may use; 0: 256 MiB */
    int plans;          /* kept at most; 0: 16 */
    bool direct;        /* dense 3x3 convolutions as they stand: no Winograd transforms (whose rounding is larger) */
    float head_dropout; /* > 0: noise put before the final LINEAR when noise is asked for (model.json "dropout") */
};

struct engine_model;
struct engine_session;

/* Takes the graph (frees it, on failure too); it must have been through the passes of graph.h. */
enum infomask_status engine_model_create(struct engine_model **model, struct graph *graph,
                                         const struct engine_options *options, struct infomask_error *err)
    __attribute__((warn_unused_result));
void engine_model_free(struct engine_model *model);

/* ---- Does it compute what the file says? ------------------------------------------------------------------------- */

/* Before graph_fuse: runs the graph node by node, by the plainest loops and the table's sgemm, on seeded noise at h x
 * w; of what takes longer than so many seconds on one core (a wide estimate) only the first nodes, at the smaller size
 * at which they are most.  HUGE_VAL: all of it, on two items.  *verify is NULL if nothing of it can be
 * done. */
struct engine_verify;
enum infomask_status engine_verify_begin(struct engine_verify **verify, const struct graph *graph,
                                         const struct kernel_table *kernels, int h, int w, double seconds,
                                         struct infomask_error *err) __attribute__((warn_unused_result));
struct engine_verified {
    bool compared; /* false: the passes have left no tensor that could be compared */
    bool equal, whole; /* whole: the network's outputs, else what comes out of its first layers */
    double error, most; /* largest difference, and what rounding may do, by the spread of what is compared */
    int h, w;           /* at which size */
    bool not_finite; /* found of two items only: the outputs are no finite numbers, and so not equal to any */
    bool constant;   /* likewise, but not of INT8: they are the same for pictures that differ */
};
/* The layers of that graph's model, planned and fused as they serve, beside it.  INT8 is never unequal: its weights are
 * rounded on purpose, for photos and not for noise; engine_verify_int8 is for it. */
enum infomask_status engine_verify_end(const struct engine_verify *verify, struct engine_model *model,
                                       struct engine_verified *found, struct infomask_error *err)
    __attribute__((warn_unused_result));
void engine_verify_free(struct engine_verify *verify); /* NULL is fine */
/* INT8: the model beside a reference, of the same graph and weights on other kernels, on the same noise at h x w, full:
 * on two items.  The products are of whole numbers; only what is rounded between them may fall to either side. */
enum infomask_status engine_verify_int8(struct engine_model *model, struct engine_model *reference, int h, int w,
                                        bool full, struct engine_verified *found, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* What the network ends in, before a Softmax, a LogSoftmax or a Sigmoid: */
enum engine_head {
    ENGINE_HEAD_NONE,   /* nothing that is known */
    ENGINE_HEAD_LINEAR, /* one LINEAR on a pooled map */
    ENGINE_HEAD_LAYERS, /* none or several layers on a pooled map (core/engine/head/layers.h) */
    ENGINE_HEAD_FLAT    /* layers on a map that is laid flat: each cell has weights of its own */
};

/* What the planner found; pointers live as long as the model. */
struct engine_info {
    int channels;         /* of the input image */
    int height, width;    /* of the input, where the file fixes them; else 0 */
    int stride;           /* input pixels per cell of the features; 1 if there are none */
    int strides_known;    /* taps below have it */
    size_t outputs;       /* elements of one item's output: classes */
    enum engine_head head;
    bool pooled_head;     /* ENGINE_HEAD_LINEAR */
    bool piecewise;       /* of LAYERS and FLAT: the functions between the layers are piecewise linear */
    bool softmax_output;  /* the file ends in a Softmax: outputs are probabilities */
    bool squashed;        /* it ends in a Sigmoid: outputs are probabilities, each of its own */
    bool fixed_size;      /* only its own height and width work (a Flatten before the head) */
    bool asks_for_size;   /* that size is not the file's, and a mean of tokens is taken, which may be a map's if the
                           * size is known to who reads the file: there may be a head then */
    bool noise;           /* has Dropout or Noise nodes, or head_dropout */
    int features;         /* channels of the features; 0: no head is known */
    const float *head_w;  /* [outputs, features] row-major, NULL unless pooled_head */
    const float *head_b;  /* [outputs], zeros if the file has none */
    const struct kernel_weights *head_packed; /* both as packed for the table: one segment; NULL unless pooled_head */
    int tap_count;
    const char *isa;
    enum engine_precision precision;
    size_t weight_bytes;
};
const struct engine_info *engine_model_info(const struct engine_model *model);

/* Bytes of arena that a run at (n, h, w) needs, with the taps kept or without; 0 if it does not fit the network. */
size_t engine_arena_bytes(struct engine_model *model, int n, int h, int w, bool taps);

enum infomask_status engine_session_create(struct engine_session **session, struct engine_model *model,
                                           struct pool *pool, struct infomask_error *err)
    __attribute__((warn_unused_result));
void engine_session_free(struct engine_session *session);
/* Gives memory above the plan of the model's own input back. */
void engine_session_trim(struct engine_session *session);
size_t engine_session_bytes(const struct engine_session *session);

/* Prepares a run of n images of h x w and returns in *input where to write them: [n, h, w, channels] float32.
 * With `taps`, features and residual sums are kept.  INFOMASK_LIMIT names the arena limit if it does not fit. */
enum infomask_status engine_prepare(struct engine_session *session, int n, int h, int w, bool taps, float **input,
                                    struct infomask_error *err) __attribute__((warn_unused_result));
/* Runs what was prepared.  The input may be overwritten. */
enum infomask_status engine_run(struct engine_session *session, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Valid from engine_run to the next engine_prepare of the session. */
const float *engine_output(const struct engine_session *session); /* [n, outputs] */
struct engine_tap {
    const float *data; /* [n, h, w, c] */
    int n, h, w, c;
};
/* The map before the pooling or before it is laid flat (prepared with taps); data NULL without a known head. */
struct engine_tap engine_features(const struct engine_session *session);
/* Residual sums in network order, i in [0, tap_count); where a network has none, the last tensor of each resolution. */
struct engine_tap engine_residual(const struct engine_session *session, int i);

/* ---- Looking on (calibration) ------------------------------------------------------------------------------------ */

/* Can this layer run in u8 x s8: a convolution in one group, not dilated along its rows, that is not too deep? */
bool engine_can_int8(const struct graph *graph, const struct graph_node *node);

/* A convolution of the trunk that is about to run, as a product C[rows, n] = A[rows, k] W'. */
struct engine_layer {
    const char *tensor; /* its output */
    int rows, n, k;
    const float *x;     /* its input as it lies, `elements` of them; NULL if that is not float32 */
    size_t elements;
    const float *residual; /* [rows, n], what is added before the activation; NULL if nothing is */
    const void *task;      /* the engine's */
};
/* Rows [first, first + count) of A into a [count, k]; x must be there. */
void engine_layer_rows(const struct engine_layer *layer, int first, int count, float *a);

/* Runs what was prepared (one picture, a model that runs its steps apart) and calls `watch` before each such layer;
 * when that returns false the run ends there, and there is no output. */
typedef bool engine_watch(void *context, const struct engine_layer *layer);
enum infomask_status engine_run_watched(struct engine_session *session, engine_watch *watch, void *context,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

/* The head alone on rows of features as the pooling gives them: x [n, features], logits z [n, outputs], before a
 * Softmax or Sigmoid that the file ends in; float32.  Of LINEAR and LAYERS only. */
enum infomask_status engine_head_rows(const struct engine_model *model, const float *x, int n, float *z,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
/* What each cell of a picture's map says: f [n, features], l [n, outputs], whose mean over the cells is the picture's
 * logits.  LINEAR: W f(u) + b; others: the head linearised at the picture (core/engine/head/layers.h). */
enum infomask_status engine_head_cells(const struct engine_model *model, const float *f, int n, float *l,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

/* Noisy passes after a run with n = 1: `samples` rows of outputs, z [samples, outputs]; only what lies behind the
 * first noise runs again, in one batch.  The noise is a function of (seed, sample, node, element). */
enum infomask_status engine_noisy(struct engine_session *session, int samples, uint64_t seed, float *z,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

#endif
