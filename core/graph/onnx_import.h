/* Private to the reader: the state of one import, the values that names stand for, and the operators' table.
 *
 * Nodes are imported one by one in the file's order.  A name of the file stands for a value: an activation or constant
 * of the graph, a few integers (which become attributes of who uses them), or something that only its reader makes
 * sense of (zeros around an activation, random numbers).  Each node is inferred, and folded if it is constant, at once,
 * so that the next one may ask for shapes and constants.
 */
#ifndef INFOMASK_GRAPH_ONNX_IMPORT_H
#define INFOMASK_GRAPH_ONNX_IMPORT_H

#include "core/graph/internal.h"
#include "core/graph/onnx.pb-c.h"
#include "core/graph/onnx_slim.h"

enum onnx_type { /* TensorProto.DataType */
    ONNX_FLOAT = 1,
    ONNX_UINT8 = 2,
    ONNX_INT8 = 3,
    ONNX_UINT16 = 4,
    ONNX_INT16 = 5,
    ONNX_INT32 = 6,
    ONNX_INT64 = 7,
    ONNX_BOOL = 9,
    ONNX_FLOAT16 = 10,
    ONNX_DOUBLE = 11,
    ONNX_UINT32 = 12,
    ONNX_UINT64 = 13,
    ONNX_BFLOAT16 = 16,
    ONNX_UINT4 = 21, /* two in a byte, the first one below */
    ONNX_INT4 = 22
};

/* What the numbers of a value are: a graph's constants are float32 all the same. */
enum onnx_numbers { ONNX_FLOATS, ONNX_INTEGERS, ONNX_TRUTHS };

#define ONNX_MAX_INTS 64
#define OPEN_SIDE 224 /* of a picture that nobody says the size of */

/* A text of the file, which may leave it out. */
static inline const char *onnx_text(const char *text) { return text != NULL ? text : ""; }

/* An integer that the file computes with: a number, the batch, or a size that is known only when the network runs. */
struct onnx_int {
    enum { ONNX_INT_KNOWN, ONNX_INT_BATCH, ONNX_INT_SIZE } kind;
    int64_t value;
};

struct onnx_ints {
    int rank; /* 0 or 1 */
    int count;
    struct onnx_int item[ONNX_MAX_INTS];
};

struct onnx_parts { /* the tensors of a sequence */
    int count, tensor[ONNX_MAX_INTS];
};

struct onnx_value {
    const char *name;
    enum { ONNX_UNREAD, ONNX_TENSOR, ONNX_INTS, ONNX_RANDOM, ONNX_SEQUENCE } kind;
    const Onnx__TensorProto *proto; /* UNREAD: an initializer that nobody has asked for yet */
    int tensor;                     /* TENSOR; RANDOM: normal numbers of that tensor's shape */
    bool padded;                    /* TENSOR: zeros around H and W that the reader of the value adds itself */
    int64_t pads[4];                /* top, left, bottom, right */
    struct onnx_ints *ints;         /* INTS; owned */
    struct onnx_parts *parts;       /* SEQUENCE; owned */
    float sigma;                    /* RANDOM */
    enum onnx_numbers numbers;      /* TENSOR; SEQUENCE: of each part */
    int32_t type;                   /* TENSOR: the file's type of an integer constant */
};

struct onnx_import {
    const Onnx__GraphProto *file;
    struct onnx_slim *slim;
    struct graph *graph;
    bool branches; /* some nodes have graphs of their own, which read names, too */
    bool in_place; /* weights may stay in the file's bytes */
    int opset;
    int64_t batch; /* that the file fixes, or -1 */
    int folder;    /* descriptor of the file's folder, -1: no other file may be read */
    const struct onnx_size *size; /* asked for; 0: not */
    bool sizes_open;              /* a concrete graph, too, leaves the picture's size open */
    void *values;  /* search tree of struct onnx_value by name */
    char **names;  /* that are no file's (onnx/composite.c); owned */
    size_t name_count;
    struct infomask_error *err;

    const Onnx__NodeProto *node; /* the one that is being imported */
    size_t position;             /* its place in the file */
    struct onnx_value **inputs;  /* its inputs, NULL for a left-out one */
    int input_count;
};

/* ---- onnx_failures.c --------------------------------------------------------------------------------------------- */

/* Failures that name the node being imported. */
enum infomask_status onnx_unsupported(struct onnx_import *im, const char *format, ...)
    __attribute__((format(printf, 2, 3))) __attribute__((warn_unused_result));
enum infomask_status onnx_broken(struct onnx_import *im, const char *format, ...) __attribute__((format(printf, 2, 3)))
    __attribute__((warn_unused_result));
enum infomask_status onnx_no_memory(struct onnx_import *im) __attribute__((warn_unused_result));
/* Names the outputs of a file that were not taken: graph->others, or behind what is wrong with the first one. */
enum infomask_status onnx_tell_others(const Onnx__GraphProto *file, const char *taken, struct graph *graph,
                                      enum infomask_status status, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- onnx_external.c --------------------------------------------------------------------------------------------- */

/* The bytes of a tensor that lie in another file of the folder. */
enum infomask_status onnx_external_data(struct onnx_import *im, const Onnx__TensorProto *proto, struct onnx_view *view)
    __attribute__((warn_unused_result));

/* ---- onnx_values.c ----------------------------------------------------------------------------------------------- */

/* A new value of that name; NULL without memory or (*taken) when the name stands for one already. */
struct onnx_value *onnx_define(struct onnx_import *im, const char *name, bool *taken);
struct onnx_value *onnx_lookup(const struct onnx_import *im, const char *name);
void onnx_forget(struct onnx_import *im);
/* Does nothing but the node that is being imported read the constant? */
bool onnx_is_spent(const struct onnx_import *im, int tensor);

/* Reads a tensor of the file into a value: floats become a constant of the graph, integers stay with the value. */
enum infomask_status onnx_read_value(struct onnx_import *im, const Onnx__TensorProto *proto, struct onnx_value *value)
    __attribute__((warn_unused_result));

/* Is the node's i-th input there?  What are its numbers? */
bool onnx_has(const struct onnx_import *im, int i);
enum onnx_numbers onnx_numbers_of(const struct onnx_import *im, int i);

/* ---- onnx_steps.c ------------------------------------------------------------------------------------------------ */

/* What the node's first output stands for. */
enum infomask_status onnx_is_tensor(struct onnx_import *im, int tensor) __attribute__((warn_unused_result));
/* The same for output i; a left-out one is nobody's. */
enum infomask_status onnx_output_is(struct onnx_import *im, int i, int tensor, enum onnx_numbers numbers)
    __attribute__((warn_unused_result));
enum infomask_status onnx_is_padded(struct onnx_import *im, int tensor, const int64_t pads[4])
    __attribute__((warn_unused_result));
enum infomask_status onnx_is_random(struct onnx_import *im, int like, float sigma) __attribute__((warn_unused_result));
enum infomask_status onnx_is_sequence(struct onnx_import *im, const struct onnx_parts *parts, enum onnx_numbers numbers)
    __attribute__((warn_unused_result));
enum infomask_status onnx_is_ints(struct onnx_import *im, const struct onnx_ints *ints)
    __attribute__((warn_unused_result));

/* A copy of a constant, or itself, with another tensor's data with other dims of the same number of elements. */
enum infomask_status onnx_reshape_constant(struct onnx_import *im, int tensor, int rank, const int64_t *dims,
                                           int *reshaped) __attribute__((warn_unused_result));

/* Adds a node with a new output tensor (NULL without memory); set its attributes, then finish it: infers, folds, and
 * (is_output) gives its result to the first output's name.  The pointer is valid until the next node. */
struct graph_node *onnx_begin(struct onnx_import *im, enum graph_op op, const int *inputs, int count);
enum infomask_status onnx_finish(struct onnx_import *im, struct graph_node *node, bool is_output)
    __attribute__((warn_unused_result));
/* The graph's node that makes a tensor, NULL for the input or a constant. */
const struct graph_node *onnx_maker(const struct onnx_import *im, int tensor);

/* A general node of these inputs; its table has room for `count` numbers (0: none).  NULL without memory. */
struct graph_node *onnx_general(struct onnx_import *im, enum graph_op op, const int *inputs, int count, size_t table);
/* Finishes it as a step on the way (its tensor into *out), or as the node's output of such numbers. */
enum infomask_status onnx_step(struct onnx_import *im, struct graph_node *node, int *out)
    __attribute__((warn_unused_result));
enum infomask_status onnx_result(struct onnx_import *im, struct graph_node *node, enum onnx_numbers numbers)
    __attribute__((warn_unused_result));
/* Steps that many operators are made of. */
enum infomask_status onnx_step_binary(struct onnx_import *im, enum graph_function function, int a, int b, int *out)
    __attribute__((warn_unused_result));
enum infomask_status onnx_step_unary(struct onnx_import *im, enum graph_function function, int x, int *out)
    __attribute__((warn_unused_result));
enum infomask_status onnx_step_reduce(struct onnx_import *im, enum graph_function function, int x, unsigned axes,
                                      bool keep, int *out) __attribute__((warn_unused_result));
enum infomask_status onnx_step_reshape(struct onnx_import *im, int x, int rank, const int64_t *dims, int *out)
    __attribute__((warn_unused_result));
enum infomask_status onnx_step_transpose(struct onnx_import *im, int x, const int *permutation, int *out)
    __attribute__((warn_unused_result));
enum infomask_status onnx_new_scalar(struct onnx_import *im, float value, int *out) __attribute__((warn_unused_result));

/* ---- onnx_inputs.c ----------------------------------------------------------------------------------------------- */

/* The node's i-th input as an activation or constant, as a float constant, as one number of any type, as integers. */
enum infomask_status onnx_tensor_input(struct onnx_import *im, int i, int *tensor) __attribute__((warn_unused_result));
/* The same, integers as a constant of the graph and zeros around it as a node. */
enum infomask_status onnx_any_input(struct onnx_import *im, int i, int *tensor) __attribute__((warn_unused_result));
/* A convolution's map, weights and, or GRAPH_NONE, biases; any of them may be computed. */
enum infomask_status onnx_convolved_inputs(struct onnx_import *im, int inputs[3]) __attribute__((warn_unused_result));
enum infomask_status onnx_constant_input(struct onnx_import *im, int i, int *tensor)
    __attribute__((warn_unused_result));
enum infomask_status onnx_scalar_input(struct onnx_import *im, int i, float *value) __attribute__((warn_unused_result));
enum infomask_status onnx_ints_input(struct onnx_import *im, int i, const struct onnx_ints **ints)
    __attribute__((warn_unused_result));

/* An integer that a constant of the graph holds as a number: cut to +-2^62, 0 for no number. */
int64_t onnx_integer(float value);

/* The node's attributes; the fallback where it has none of that name (or one of another type). */
const Onnx__AttributeProto *onnx_attribute(const struct onnx_import *im, const char *name);
const Onnx__AttributeProto *onnx_node_attribute(const Onnx__NodeProto *node, const char *name);
int64_t onnx_attribute_int(const struct onnx_import *im, const char *name, int64_t fallback);
float onnx_attribute_float(const struct onnx_import *im, const char *name, float fallback);
/* Fills values [count]; false if the attribute is there with another number of them. */
bool onnx_attribute_ints(const struct onnx_import *im, const char *name, int64_t *values, size_t count);
/* The text of a string attribute in out [size], cut; "" without one. */
void onnx_attribute_text(const struct onnx_import *im, const char *name, char *out, size_t size);

/* An attribute or input of integers, as many as there are in v [ONNX_MAX_INTS]; *count -1 without one. */
enum infomask_status onnx_list(struct onnx_import *im, int input, const char *attribute, int64_t *v, int *count)
    __attribute__((warn_unused_result));
/* A negative axis counts from the end; false if it is outside. */
bool onnx_axis(int64_t *axis, int rank);

/* ---- onnx_read.c ------------------------------------------------------------------------------------------------- */

/* The node that im->node is: gives what its outputs stand for to their names. */
enum infomask_status onnx_import_node(struct onnx_import *im) __attribute__((warn_unused_result));
/* The nodes of a graph inside the node that is being imported, and what its one output stands for. */
enum infomask_status onnx_import_branch(struct onnx_import *im, const Onnx__GraphProto *branch,
                                        struct onnx_value **value) __attribute__((warn_unused_result));

/* ---- onnx_ops.c, onnx_layers.c, onnx_shapes.c -------------------------------------------------------------------- */

typedef enum infomask_status onnx_importer(struct onnx_import *im) __attribute__((warn_unused_result));

struct onnx_operator {
    const char *name;
    onnx_importer *import;
    int min_inputs, max_inputs; /* max -1: any number */
    const char *attributes;     /* the known ones, each with a space before and behind: others are refused */
};
/* NULL if there is no such operator here. */
const struct onnx_operator *onnx_find_operator(const char *domain, const char *name);
const struct onnx_operator *onnx_find_microsoft(const char *name); /* onnxruntime's own ones */
/* The name of the first output that is none of whole numbers or text, or the very first; NULL: there is none. */
const char *onnx_first_output(const Onnx__GraphProto *file);
/* Of an input of four dimensions whose channels have no number: that of the first convolution, if there is one. */
void onnx_find_channels(const Onnx__GraphProto *file, const char *name, int64_t dims[4]);
/* onnx/pictures.c.  Of an input of three dimensions the place of the one that a picture has besides: 0 no batch (C, H,
 * W or H, W, C), 1 no channels (N, H, W); -1: it is no picture. */
int onnx_place_missing(const int64_t dims[3]);
/* The sizes of one without a batch: a concrete graph is needed, whose size is known. */
enum infomask_status onnx_fix_lone_picture(struct onnx_import *im, int64_t dims[3])
    __attribute__((warn_unused_result));
/* Makes the graph's input N, C, H, W, or N, H, W, C turned at once, whatever the file's is. */
enum infomask_status onnx_finish_picture(struct onnx_import *im) __attribute__((warn_unused_result));
/* onnx/names.c.  graph->classes, takes_unit, range and blue_first, as the file's metadata have them. */
enum infomask_status onnx_read_names(const Onnx__ModelProto *model, struct graph *graph, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* Names the operators of the needed nodes that there are none of. */
enum infomask_status onnx_check_operators(struct onnx_import *im, const bool *needed)
    __attribute__((warn_unused_result));

onnx_importer onnx_import_conv, onnx_import_max_pool, onnx_import_average_pool, onnx_import_global_average,
    onnx_import_reduce_mean, onnx_import_pad, onnx_import_gemm, onnx_import_matmul, onnx_import_batch_norm;
/* x times a number, as a node that folds if x is constant. */
enum infomask_status onnx_scaled(struct onnx_import *im, int x, float factor, int *out)
    __attribute__((warn_unused_result));

onnx_importer onnx_import_flatten, onnx_import_reshape, onnx_import_squeeze, onnx_import_unsqueeze,
    onnx_import_transpose, onnx_import_shape, onnx_import_gather, onnx_import_slice, onnx_import_cast,
    onnx_import_cast_like, onnx_import_concat;

/* ---- onnx/: operators on general tensors ------------------------------------------------------------------------- */

onnx_importer onnx_import_unary, onnx_import_binary, onnx_import_variadic, onnx_import_where, onnx_import_reduce,
    onnx_import_layer_norm, onnx_import_instance_norm, onnx_import_group_norm, onnx_import_lp_norm, onnx_import_cumsum,
    onnx_import_lrn, onnx_import_log,
    onnx_import_log_softmax, onnx_import_einsum, onnx_import_general_slice, onnx_import_general_gather,
    onnx_import_gather_elements, onnx_import_gather_nd, onnx_import_scatter_nd, onnx_import_scatter_elements,
    onnx_import_expand, onnx_import_tile, onnx_import_general_pad, onnx_import_resize, onnx_import_split,
    onnx_import_split_to_sequence, onnx_import_sequence_construct, onnx_import_sequence_at,
    onnx_import_sequence_length, onnx_import_concat_from_sequence,
    onnx_import_constant_of_shape, onnx_import_range, onnx_import_size, onnx_import_non_zero, onnx_import_trilu,
    onnx_import_depth_to_space, onnx_import_space_to_depth, onnx_import_quantize, onnx_import_dequantize,
    onnx_import_global_pool, onnx_import_general_conv, onnx_import_general_pool, onnx_import_general_matmul,
    onnx_import_general_gemm, onnx_import_general_batch_norm, onnx_import_attention,
    onnx_import_conv_transpose, onnx_import_eye_like, onnx_import_composite, onnx_import_qgemm, onnx_import_lp_pool,
    onnx_import_global_lp_pool, onnx_import_qlinear_average_pool, onnx_import_qlinear_concat,
    onnx_import_dynamic_quantize, onnx_import_mean_variance,
    onnx_import_fused_conv, onnx_import_fused_gemm, onnx_import_fused_matmul, onnx_import_packed_attention,
    onnx_import_multi_head_attention, onnx_import_blocks, onnx_import_matmul_nbits, onnx_import_matmul_bnb4,
    onnx_import_zip_map;
/* The node that is being imported, as other operators (composite.c has the words). */
enum infomask_status onnx_spell(struct onnx_import *im, const char *text) __attribute__((warn_unused_result));
/* The same with a tensor as its word w. */
enum infomask_status onnx_spell_with(struct onnx_import *im, int w, const char *text)
    __attribute__((warn_unused_result));
enum infomask_status onnx_step_log_softmax(struct onnx_import *im, int x, unsigned axes, int *y)
    __attribute__((warn_unused_result));
/* A node that takes elements one by one into a new shape; its table is to be filled. */
enum infomask_status onnx_take_into(struct onnx_import *im, int x, int rank, const int64_t *dims,
                                    struct graph_node **node) __attribute__((warn_unused_result));
/* Does the file know every dimension? */
bool onnx_is_known(const struct graph_tensor *t);
/* Add, Sub, Mul, Div of integers: true if both inputs are such, and *status is set. */
bool onnx_import_int_pair(struct onnx_import *im, char op, enum infomask_status *status);

#endif
