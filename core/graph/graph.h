/* The network as a small intermediate representation: tensors and the nodes between them.
 *
 * A model file becomes a graph (onnx_read), passes rewrite it in place (graph_infer_shapes, graph_fold_constants,
 * graph_fuse, graph_prune), and the engine plans it.  Shapes are written as the file has them: N, C, H, W; the engine
 * keeps activations as N, H, W, C and converts where a shape is not an image's.  Nodes stand in topological order and
 * have one output each.  All values are float32; int64 constants of a file (shapes, axes) become attributes.
 * The first dimension of every activation is the batch and is -1, also where the file fixes it: any batch can run.
 * A file whose operators move or mix that dimension is read as `concrete` instead: the batch is known, one where the
 * file leaves it open, and no dimension means anything special.  One that also needs a size that it leaves open gets it
 * (`assumed`); every shape is known then.
 *
 * Ownership: the graph owns its tensors, nodes and names; constant data either belongs to the graph (`owned`) or is
 * a view into the mapped model file, which the graph keeps open.  Thread rule: built by one thread, then immutable.
 */
#ifndef INFOMASK_GRAPH_GRAPH_H
#define INFOMASK_GRAPH_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/contents.h"
#include "core/base/status.h"

#define GRAPH_MAX_RANK 8
#define GRAPH_NONE (-1)

enum graph_op {
    GRAPH_CONV,           /* inputs x, W [M, C/groups, kh, kw], b [M] or none, residual or none (none if depthwise) */
    GRAPH_LINEAR,         /* y = x W' + b: Gemm and MatMul with a constant; x [..., K], W [N, K], b [N] or none,
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
    /* General tensors: row-major, any rank, operands broadcast as in NumPy; attributes in `function`, `axis`, `axes`,
     * `keep_dims`, `table`.  graph_general_shape and graph_general_compute (general/) say what each does. */
    GRAPH_UNARY,      /* function of each element: enum graph_function, alpha and beta its constants */
    GRAPH_BINARY,     /* function of x and y */
    GRAPH_WHERE,      /* condition, x, y: x where the condition is not 0 */
    GRAPH_MATMUL,     /* [..., M, K] times [..., K, N] */
    GRAPH_REDUCE,     /* x; function over the dimensions in `axes` */
    GRAPH_LAYER_NORM, /* x, scale or none, bias or none: over the dimensions from `axis` on; function GRAPH_RMS: no mean
                       */
    GRAPH_SLICE,      /* x; table: starts [rank], ends [rank], steps [rank], as ONNX counts them */
    GRAPH_GATHER,     /* x; table: rank of the indices, their dims, the indices; along `axis` */
    GRAPH_TAKE,       /* x; table: for each element of the output its element of x, -1 for 0 */
    GRAPH_EXPAND,     /* x; table: dims to broadcast with */
    GRAPH_PAD,        /* x; table: before [rank], after [rank]; function is the mode, alpha the constant */
    GRAPH_RESIZE,     /* x; table: output dims [rank] or 0 where `scales` say; see struct graph_resize */
    GRAPH_CUMULATE,   /* x; running sums along `axis`; function bit 0: exclusive, bit 1: from the end */
    GRAPH_LRN,        /* x [N, C, ...]; axis is its size, alpha, beta, epsilon is its bias */
    GRAPH_CONV_ND,    /* x [N, C, ...], W, b or none: any number of dimensions, any operand computed; table as window */
    GRAPH_POOL_ND,    /* x [N, C, ...]; function GRAPH_MAXIMUM or GRAPH_MEAN; table as window */
    GRAPH_ATTENTION,  /* q [..., M, D], k [..., N, D] (axis 1) or [..., D, N] (axis 0), v [..., N, E], mask or none,
                       * which  broadcasts to [..., M, N]: softmax(alpha q k' + mask) v; made by graph_fuse.  With two
                       * constants that do so too, the first with one column: (softmax(...) * first + second) v */
    GRAPH_QUANTIZE,   /* x / alpha, rounded to even, + beta, cut to low and high; function GRAPH_AND_BACK: less beta,
                       * times alpha again */
    GRAPH_OPS
};

/* Operators from GRAPH_UNARY on. */
static inline bool graph_is_general(enum graph_op op) { return op >= GRAPH_UNARY && op < GRAPH_OPS; }

enum graph_function {
    /* UNARY */
    GRAPH_ABS, GRAPH_NEGATE, GRAPH_SQRT, GRAPH_EXP, GRAPH_LOG, GRAPH_TANH, GRAPH_ERF, GRAPH_GELU, GRAPH_GELU_TANH,
    GRAPH_RECIPROCAL, GRAPH_FLOOR, GRAPH_CEIL, GRAPH_ROUND, GRAPH_TRUNCATE, GRAPH_SIN, GRAPH_COS, GRAPH_TAN,
    GRAPH_ASIN, GRAPH_ACOS, GRAPH_ATAN, GRAPH_SINH, GRAPH_COSH, GRAPH_SIGN, GRAPH_NOT, GRAPH_SOFTPLUS, GRAPH_SOFTSIGN,
    GRAPH_ELU, GRAPH_SELU, GRAPH_CELU, GRAPH_MISH, GRAPH_THRESHOLDED_RELU, GRAPH_SWISH, GRAPH_IS_NAN,
    GRAPH_IS_INF,
    /* BINARY */
    GRAPH_PLUS, GRAPH_MINUS, GRAPH_TIMES, GRAPH_DIVIDE, GRAPH_POWER, GRAPH_LEAST, GRAPH_MOST, GRAPH_MODULO,
    GRAPH_REMAINDER, GRAPH_PRELU, GRAPH_EQUAL, GRAPH_LESS, GRAPH_LESS_EQUAL, GRAPH_GREATER, GRAPH_GREATER_EQUAL,
    GRAPH_AND, GRAPH_OR, GRAPH_XOR, GRAPH_DIVIDE_INTEGERS,
    /* REDUCE, POOL_ND */
    GRAPH_SUM, GRAPH_MEAN, GRAPH_MAXIMUM, GRAPH_MINIMUM, GRAPH_PRODUCT, GRAPH_L1, GRAPH_L2, GRAPH_SUM_SQUARE,
    GRAPH_LOG_SUM, GRAPH_LOG_SUM_EXP,
    /* LAYER_NORM */
    GRAPH_CENTRED, GRAPH_RMS,
    /* QUANTIZE */
    GRAPH_INTEGERS, GRAPH_AND_BACK,
    /* PAD */
    GRAPH_PAD_CONSTANT, GRAPH_PAD_REFLECT, GRAPH_PAD_EDGE, GRAPH_PAD_WRAP
};

/* How RESIZE maps an output's index to a place in the input, and how it reads there (ONNX's words). */
struct graph_resize {
    enum { GRAPH_NEAREST, GRAPH_LINEAR_RESIZE, GRAPH_CUBIC } mode;
    enum {
        GRAPH_HALF_PIXEL,
        GRAPH_ASYMMETRIC,
        GRAPH_ALIGN_CORNERS,
        GRAPH_PYTORCH_HALF_PIXEL,
        GRAPH_HALF_PIXEL_SYMMETRIC,
        GRAPH_HALF_PIXEL_NEAREST
    } place;
    enum { GRAPH_ROUND_PREFER_FLOOR, GRAPH_ROUND_PREFER_CEIL, GRAPH_FLOOR_NEAREST, GRAPH_CEIL_NEAREST } nearest;
    bool exclude_outside, antialias;
    float cubic;                   /* its coefficient a */
    float scales[GRAPH_MAX_RANK];  /* output / input */
};

struct graph_table {
    size_t count;
    int64_t v[];
};

/* An N-dimensional array, row-major; data NULL where only its shape is asked for, dims -1 where not known. */
struct graph_array {
    int rank;
    int64_t dims[GRAPH_MAX_RANK];
    const float *data;
};

enum graph_activation {
    GRAPH_LINEAR_ACTIVATION, /* none */
    GRAPH_CLAMP,             /* min(max(x, low), high): ReLU is [0, inf), ReLU6 [0, 6], Clip any */
    GRAPH_SIGMOID,           /* 1 / (1 + exp(-x)) */
    GRAPH_SILU,              /* x sigmoid(x) */
    GRAPH_HARD_SIGMOID,      /* min(max(alpha x + beta, 0), 1) */
    GRAPH_HARD_SWISH,        /* x min(max(x / 6 + .5, 0), 1) */
    GRAPH_LEAKY_RELU,        /* x < 0 ? alpha x : x */
    GRAPH_GELU_ACTIVATION,   /* x Phi(x) */
    GRAPH_GELU_TANH_ACTIVATION, /* x / (1 + exp(-2 sqrt(2 / pi) (x + .044715 x^3))) */
    GRAPH_TANH_ACTIVATION
};

struct graph_tensor {
    char *name;
    int rank;                     /* 0 to GRAPH_MAX_RANK */
    int64_t dims[GRAPH_MAX_RANK]; /* -1: depends on the input's size or batch */
    const float *data;            /* row-major; NULL for an activation */
    bool owned;                   /* data is a block of its own, the graph's to free; else it lies in a file */
    bool plain;                   /* the engine's: of four dimensions, and yet stored as the file orders them */
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
    enum graph_function function;     /* general operators */
    unsigned axes;                    /* REDUCE: bits */
    bool keep_dims;                   /* REDUCE */
    struct graph_resize *resize;      /* RESIZE; owned */
    struct graph_table *table;        /* owned */
};

struct graph_file { /* whose bytes constants may lie in */
    char *name;     /* of a file beside the model's; NULL: the model's own */
    struct contents *contents;
};

struct graph {
    struct graph_tensor *tensors;
    int tensor_count, tensor_capacity;
    struct graph_node *nodes;
    int node_count, node_capacity;
    int input;                      /* the one input tensor */
    int *outputs, output_count;     /* the file's outputs, in its order */
    struct graph_file *files;
    int file_count;
    bool gave_back; /* some of their bytes are no more */
    bool concrete;                  /* the batch is known, see above */
    int64_t batch;                  /* of the input, if concrete */
    bool whole_input;               /* the file's input is of integers: a photo's bytes as they are */
    char *others;                   /* names of the file's outputs that were not asked for; NULL: there is one; owned */
    char *classes;                  /* names that the file gives its classes, a line each; NULL: none; owned */
    bool takes_unit;                /* its maker's networks take pictures of 0 to 1 */
    float darkest, lightest;        /* the values of its pictures, as its metadata say; both 0: they do not */
    bool blue_first;                /* likewise: BGR */
    bool assumed; /* height and width, too, though the file leaves them open: no other size is right */
    int height, width;              /* of the picture that who read the file wants; 0: did not say */
    size_t work; /* operations that computing with constants may still take: a file of a few bytes can
                  * ask for the product of two large tensors of one number each */
    size_t table_budget;            /* numbers that tables of GRAPH_TAKE may still have, likewise */
    size_t budget;                  /* elements that passes may still make by copying constants (a hostile file could
                                     * otherwise have one weight copied a thousand times) */
};

/* What a model file may be at most; a larger or odder one is refused. */
#define GRAPH_MAX_TENSORS 100000
#define GRAPH_MAX_FILES 65 /* the model's, and those beside it */
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
/* Elements of a tensor whose dims are all known; 0 if one is not (or there are none). */
size_t graph_elements(const struct graph_tensor *tensor);
/* Nobody reads elements [first, first + count) of the constant any more: where they lie in a large file, and no other
 * constant has any of them, their memory goes. */
void graph_forget(struct graph *graph, int tensor, size_t first, size_t count);
/* Nobody reads the constant any more: its data go. */
void graph_drop_constant(struct graph *graph, int tensor);
/* Takes over the contents, on failure too. */
bool graph_add_file(struct graph *graph, const char *name, struct contents *contents)
    __attribute__((warn_unused_result));
/* The files go, and with them the constants that lie in them. */
void graph_close_files(struct graph *graph);
/* SHA-256 of the bytes that the graph was read from, in hex: of the model's file, or, where weights lie in others, of
 * the digests of all of them; waits for them.  "" for a graph that is of no file. */
void graph_sha256(struct graph *graph, char file[SHA256_HEX], char all[SHA256_HEX]);
/* The node that makes the tensor, GRAPH_NONE for an input or a constant. */
int graph_producer(const struct graph *graph, int tensor);
const char *graph_op_name(enum graph_op op);

/* Reads an ONNX file (opset 7 to 28; IR 3 to 14) of the operators above and what they make up.  Those that it does not
 * know it names, all of them with the number of their nodes (INFOMASK_UNSUPPORTED_MODEL); a broken file is
 * INFOMASK_BAD_MODEL.  Weights are checked to be finite.  A file is read once; weights stay in its bytes where they
 * can, as do those in other files of the same folder.  output: name of the tensor to take as the only output, NULL
 * for the file's first. */
enum infomask_status onnx_read(const char *path, const char *output, struct graph **graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* The same; size: of the picture, if the file leaves it open and cannot be read without it (0: 224); fixed: it is to be
 * known wherever it is left open. */
struct onnx_size {
    int height, width;
    bool fixed;
};
enum infomask_status onnx_read_for(const char *path, const char *output, struct onnx_size size, struct graph **graph,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
/* The same of bytes in memory; folder: a descriptor of where external data lie, -1 if nowhere. */
enum infomask_status onnx_read_bytes(const void *data, size_t size, const char *output, int folder,
                                     struct onnx_size picture, struct graph **graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Writes the graph as ONNX (opset 13) that other engines run with the same answers.  Concrete graphs and general
 * operators are refused. */
enum infomask_status onnx_write(const struct graph *graph, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Passes.  Each leaves a valid graph, or fails with a sentence and the graph unusable but freeable. */
/* Output shapes in order; what depends on constants only gets its value on the way. */
enum infomask_status graph_infer_shapes(struct graph *graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Removes what depends on constants only (its value is a constant by then) and identities.  Dropout and Noise stay:
 * they are the noise of the model. */
enum infomask_status graph_fold_constants(struct graph *graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Conv or Linear (+ Transpose) + BatchNorm, or a constant factor or summand per channel, into its weights, in double;
 * the activation behind and the Add of a residual of the output's shape (before the activation) join its epilogue: y =
 * activation(conv(x) + b + residual).  Only where the tensor between has no other reader and is no output, and no
 * residual into a depthwise convolution.  What files spell out becomes SILU, HardSigmoid, HardSwish, Gelu,
 * LayerNormalization; softmax(q k' + mask) v becomes ATTENTION, with the factors of q, k and the scores, and where
 * constants gate the softmax with these.  A global
 * average whose result is then reshaped to [N, C] gives that shape itself; an AveragePool over the whole map is a
 * global average. */
enum infomask_status graph_fuse(struct graph *graph, struct infomask_error *err) __attribute__((warn_unused_result));
/* Drops nodes and tensors that no output needs, and renumbers. */
enum infomask_status graph_prune(struct graph *graph, struct infomask_error *err) __attribute__((warn_unused_result));

/* Output shape of a general operator from those of its inputs [node->input_count], left-out ones with rank -1; -1 stays
 * -1 where it can.  A sentence that names the node where they do not fit. */
enum infomask_status graph_general_shape(const struct graph_node *node, const struct graph_array *inputs,
                                         struct graph_array *output, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Its value into y, whose shape is `output`'s: everything is known by then.  float32, sums in double; allocates
 * nothing. */
void graph_general_compute(const struct graph_node *node, const struct graph_array *inputs,
                           const struct graph_array *output, float *y);
/* Of a Binary, Reduce or Resize the elements [first, last) only, of a Resize whole rows of its last dimension; y is the
 * output's beginning.  The same bits however the output is cut. */
void graph_general_part(const struct graph_node *node, const struct graph_array *inputs,
                        const struct graph_array *output, float *y, size_t first, size_t last);
/* QUANTIZE of n elements; y may be x. */
void graph_quantize(const struct graph_node *node, const float *x, float *y, size_t n);

/* Is the node a Resize of height and width alone, by a few taps each?  x: its input [N, C, H, W]. */
bool graph_resizes_pictures(const struct graph_node *node, const struct graph_tensor *x);
/* Its lines [first, last), counted through all pictures; in's data and y, the output's beginning, lie as N, H, W, C,
 * the dims are in the file's order.  float32; the same bits however the output is cut. */
void graph_resize_lines(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                        float *y, size_t first, size_t last);

/* Windows of a CONV_ND: what output elements [first, last) of a picture and a group read, counted through the output's
 * dimensions behind the channels; x with data, y's shape. */
struct graph_windows {
    const struct graph_node *node;
    const struct graph_array *x, *y;
    int64_t picture, group;
};
/* columns [channels of a group x taps][last - first], zeros in the padding: W [M, that] times it are the outputs. */
void graph_conv_columns(const struct graph_windows *windows, int64_t first, int64_t last, float *columns);
/* Of a CONV_ND or POOL_ND. */
int64_t graph_window_groups(const struct graph_node *node);
int64_t graph_window_taps(const struct graph_node *node);

/* How many elements a SLICE takes of a dimension of that size, and the first. */
int64_t graph_slice_range(const struct graph_node *node, int rank, int axis, int64_t size, int64_t *start);

/* Output size of a window along one axis, standard formula floor((in + pads - dilation (k - 1) - 1) / stride) + 1,
 * with ceil_mode and auto_pad as in ONNX; the pads in force are stored in *before and *after (may be NULL).
 * axis: 0 for height, 1 for width.  Returns <= 0 where the window does not fit. */
int64_t graph_window_output(const struct graph_window *window, int axis, int64_t input, int *before, int *after);

#endif
