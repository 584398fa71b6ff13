/* The network as a small intermediate representation: tensors and the nodes between them.
 *
 * A model file becomes a graph (onnx_read), passes rewrite it in place (graph_infer_shapes, graph_fold_constants,
 * graph_fuse, graph_prune), and the engine plans it.  Shapes are written as the file has them: N, C, H, W; the engine
 * keeps activations as N, H, W, C and converts where a shape is not an image's.  Nodes stand in topological order and
 * have one output each.  All values are float32; int64 constants of a file (shapes, axes) become attributes.
 * The first dimension of every activation is the batch and is -1, also where the file fixes it: any batch can run.
 *
 * Ownership: the graph owns its tensors, nodes and names; constant data either belongs to the graph (`owned`) or is
 * a view into the mapped model file, which the graph keeps open.  Thread rule: built by one thread, then immutable.
 */
#ifndef INFOMASK_GRAPH_GRAPH_H
#define INFOMASK_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/status.h"

#define GRAPH_MAX_RANK 6
#define GRAPH_NONE (-1)

enum graph_op {
    GRAPH_CONV,           /* inputs x, W [M, C/groups, kh, kw], b [M] or none, residual or none (none if depthwise) */
    GRAPH_LINEAR,         /* y = x W' + b: Gemm and MatMul with a constant; x [batch, K], W [N, K], b [N] or none,
                           * residual or none */
    GRAPH_BATCH_NORM,     /* x, scale, bias, mean, variance (all [C]) */
    GRAPH_ACTIVATION,     /* x; attribute activation */
    GRAPH_ADD,            /* x, y of one shape; or y a constant of x's rank whose dims are x's or 1 */
    GRAPH_MUL,            /* as ADD; or y an activation [N, C, 1, 1] (squeeze and excite) */
    GRAPH_MAX_POOL,       /* x; attribute window */
    GRAPH_AVERAGE_POOL,   /* x; attribute window, count_include_pad */
    GRAPH_GLOBAL_AVERAGE, /* x; also ReduceMean over H and W: [N, C, H, W] -> [N, C, 1, 1] or [N, C] */
    GRAPH_RESHAPE,        /* x; Reshape, Flatten, Squeeze, Unsqueeze: the output's shape says all: its dims[0] is the
                           * batch, and at most one other -1 is what is left of the elements of an item */
    GRAPH_TRANSPOSE,      /* x; attribute permutation */
    GRAPH_CONCAT,         /* any number of inputs; attribute axis */
    GRAPH_SOFTMAX,        /* x; attribute axis */
    GRAPH_DROPOUT,        /* x; identity unless noise is asked for; attribute ratio */
    GRAPH_NOISE,          /* x; Gaussian noise of attribute sigma, identity unless noise is asked for */
    GRAPH_IDENTITY,
    GRAPH_OPS
};

enum graph_activation {
    GRAPH_LINEAR_ACTIVATION, /* none */
    GRAPH_CLAMP,             /* min(max(x, low), high): ReLU is [0, inf), ReLU6 [0, 6], Clip any */
    GRAPH_SIGMOID,           /* 1 / (1 + exp(-x)) */
    GRAPH_SILU,              /* x sigmoid(x) */
    GRAPH_HARD_SIGMOID,      /* min(max(alpha x + beta, 0), 1) */
    GRAPH_HARD_SWISH,        /* x min(max(x / 6 + .5, 0), 1) */
    GRAPH_LEAKY_RELU         /* x < 0 ? alpha x : x */
};

struct graph_tensor {
    char *name;
    int rank;                     /* 0 to GRAPH_MAX_RANK */
    int64_t dims[GRAPH_MAX_RANK]; /* -1: depends on the input's size or batch */
    const float *data;            /* row-major; NULL for an activation */
    bool owned;                   /* data is the graph's to free */
};

struct graph_window {
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    int pad_top, pad_left, pad_bottom, pad_right;
    int groups;             /* Conv */
    bool ceil_mode;         /* pools */
    bool count_include_pad; /* AveragePool */
    int auto_pad;           /* 0: the pads above; 1: SAME_UPPER, 2: SAME_LOWER (depend on the input's size) */
};

struct graph_node {
    enum graph_op op;
    char *name;
    int *inputs; /* tensor numbers, GRAPH_NONE for a left-out optional one */
    int input_count;
    int output;
    struct graph_window window;
    enum graph_activation activation; /* of ACTIVATION; and fused behind CONV, LINEAR, BATCH_NORM, ADD by graph_fuse */
    float low, high, alpha, beta;     /* the activation's constants */
    float epsilon, ratio, sigma;      /* BATCH_NORM, DROPOUT, NOISE */
    int axis;                         /* CONCAT, SOFTMAX */
    int permutation[GRAPH_MAX_RANK];  /* TRANSPOSE */
};

struct graph {
    struct graph_tensor *tensors;
    int tensor_count, tensor_capacity;
    struct graph_node *nodes;
    int node_count, node_capacity;
    int input;                      /* the one input tensor */
    int *outputs, output_count;     /* the file's outputs, in its order */
    void *mapping;                  /* the mapped file that constants may point into, or NULL */
    size_t mapping_size;
    size_t budget;                  /* elements that passes may still make by copying constants (a hostile file could
                                     * otherwise have one weight copied a thousand times) */
};

/* What a model file may be at most; a larger or odder one is refused. */
#define GRAPH_MAX_TENSORS 100000
#define GRAPH_MAX_FILE (2ull << 30)

struct graph *graph_create(void);
void graph_free(struct graph *graph); /* NULL is fine */

/* Building: each returns the new number, or GRAPH_NONE when there is no memory or a limit is reached.  Names are
 * copied (NULL is fine); dims may be NULL for rank 0; data is as in struct graph_tensor. */
int graph_add_tensor(struct graph *graph, const char *name, int rank, const int64_t *dims, const float *data,
                     bool owned);
/* A node with default attributes (window 1x1, stride 1, groups 1, no activation) and room for the inputs given. */
int graph_add_node(struct graph *graph, enum graph_op op, const char *name, const int *inputs, int input_count,
                   int output);
/* Input i of a node, GRAPH_NONE where it is left out. */
static inline int graph_input(const struct graph_node *node, int i)
{
    return i < node->input_count ? node->inputs[i] : GRAPH_NONE;
}
int graph_find_tensor(const struct graph *graph, const char *name); /* GRAPH_NONE if there is none */
/* The node that makes the tensor, GRAPH_NONE for an input or a constant. */
int graph_producer(const struct graph *graph, int tensor);
const char *graph_op_name(enum graph_op op);

/* Reads an ONNX file (opset 7 to 22; IR 3 to 10) of the operators above and their plain relatives.  What it does not
 * know it refuses by name (INFOMASK_UNSUPPORTED_MODEL); a broken file is INFOMASK_BAD_MODEL.  Weights are checked to
 * be finite.  Files over 64 MB are mapped and their weights stay in place.  output: name of the tensor to take as the
 * only output, NULL for the file's first. */
enum infomask_status onnx_read(const char *path, const char *output, struct graph **graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status onnx_read_bytes(const void *data, size_t size, const char *output, struct graph **graph,
                                     struct infomask_error *err) __attribute__((warn_unused_result));
/* Writes the graph as ONNX (opset 13) that other engines run with the same answers. */
enum infomask_status onnx_write(const struct graph *graph, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Passes.  Each leaves a valid graph, or fails with a sentence and the graph unusable but freeable. */
/* Output shapes in order; what depends on constants only gets its value on the way. */
enum infomask_status graph_infer_shapes(struct graph *graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Removes what depends on constants only (its value is a constant by then) and identities.  Dropout and Noise stay: they
 * are the noise of the model. */
enum infomask_status graph_fold_constants(struct graph *graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Conv or Linear + BatchNorm (or a constant factor or summand per channel) -> Conv or Linear, computed in double; then
 * the activation behind, and the Add of a residual of the output's shape (before the activation), join its epilogue:
 * y = activation(conv(x) + b + residual).  Only where the tensor between has no other reader and is no output, and no
 * residual into a depthwise convolution (one input channel a group).
 * x * sigmoid(x) becomes SILU, and the spelt-out forms of HardSigmoid and HardSwish those.  A global average whose
 * result is then reshaped to [N, C] gives that shape itself; an AveragePool over the whole map is a global average. */
enum infomask_status graph_fuse(struct graph *graph, struct infomask_error *err) __attribute__((warn_unused_result));
/* Drops nodes and tensors that no output needs, and renumbers. */
enum infomask_status graph_prune(struct graph *graph, struct infomask_error *err) __attribute__((warn_unused_result));

/* Output size of a window along one axis, standard formula floor((in + pads - dilation (k - 1) - 1) / stride) + 1,
 * with ceil_mode and auto_pad as in ONNX; the pads in force are stored in *before and *after (may be NULL).
 * axis: 0 for height, 1 for width.  Returns <= 0 where the window does not fit. */
int64_t graph_window_output(const struct graph_window *window, int axis, int64_t input, int *before, int *after);

#endif
