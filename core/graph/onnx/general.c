/* Operators that work on elements, sums and norms of general tensors, and the steps that importers are made of. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static bool is_named(const struct onnx_import *im, const char *name) { return strcmp(im->node->op_type, name) == 0; }

struct named_function {
    const char *name;
    enum graph_function function;
    float alpha, beta; /* where the file does not say */
};

static const struct named_function unaries[] = {
    {"Abs", GRAPH_ABS, 0, 0}, {"Neg", GRAPH_NEGATE, 0, 0}, {"Sqrt", GRAPH_SQRT, 0, 0}, {"Exp", GRAPH_EXP, 0, 0},
    {"Log", GRAPH_LOG, 0, 0}, {"Tanh", GRAPH_TANH, 0, 0}, {"Erf", GRAPH_ERF, 0, 0}, {"Gelu", GRAPH_GELU, 0, 0},
    {"Reciprocal", GRAPH_RECIPROCAL, 0, 0}, {"Floor", GRAPH_FLOOR, 0, 0}, {"Ceil", GRAPH_CEIL, 0, 0},
    {"Round", GRAPH_ROUND, 0, 0}, {"Sin", GRAPH_SIN, 0, 0}, {"Cos", GRAPH_COS, 0, 0}, {"Tan", GRAPH_TAN, 0, 0},
    {"Asin", GRAPH_ASIN, 0, 0}, {"Acos", GRAPH_ACOS, 0, 0}, {"Atan", GRAPH_ATAN, 0, 0}, {"Sinh", GRAPH_SINH, 0, 0},
    {"Cosh", GRAPH_COSH, 0, 0}, {"Sign", GRAPH_SIGN, 0, 0}, {"Not", GRAPH_NOT, 0, 0}, {"IsNaN", GRAPH_IS_NAN, 0, 0},
    {"IsInf", GRAPH_IS_INF, 0, 0},
    {"Softplus", GRAPH_SOFTPLUS, 0, 0}, {"Softsign", GRAPH_SOFTSIGN, 0, 0}, {"Elu", GRAPH_ELU, 1, 0},
    {"Selu", GRAPH_SELU, 1.67326319217681884765625f, 1.05070102214813232421875f}, {"Celu", GRAPH_CELU, 1, 0},
    {"Mish", GRAPH_MISH, 0, 0}, {"ThresholdedRelu", GRAPH_THRESHOLDED_RELU, 1, 0}, {"Swish", GRAPH_SWISH, 1, 0},
};

static const struct named_function binaries[] = {
    {"Pow", GRAPH_POWER, 0, 0}, {"Mod", GRAPH_MODULO, 0, 0}, {"PRelu", GRAPH_PRELU, 0, 0},
    {"Equal", GRAPH_EQUAL, 0, 0}, {"Less", GRAPH_LESS, 0, 0}, {"LessOrEqual", GRAPH_LESS_EQUAL, 0, 0},
    {"Greater", GRAPH_GREATER, 0, 0}, {"GreaterOrEqual", GRAPH_GREATER_EQUAL, 0, 0}, {"And", GRAPH_AND, 0, 0},
    {"Or", GRAPH_OR, 0, 0}, {"Xor", GRAPH_XOR, 0, 0}, {"Min", GRAPH_LEAST, 0, 0}, {"Max", GRAPH_MOST, 0, 0},
    {"Sum", GRAPH_PLUS, 0, 0}, {"Mean", GRAPH_PLUS, 0, 0}, {"Add", GRAPH_PLUS, 0, 0}, {"Sub", GRAPH_MINUS, 0, 0},
    {"Mul", GRAPH_TIMES, 0, 0}, {"Div", GRAPH_DIVIDE, 0, 0},
};

static const struct named_function reductions[] = {
    {"ReduceSum", GRAPH_SUM, 0, 0}, {"ReduceMean", GRAPH_MEAN, 0, 0}, {"ReduceMax", GRAPH_MAXIMUM, 0, 0},
    {"ReduceMin", GRAPH_MINIMUM, 0, 0}, {"ReduceProd", GRAPH_PRODUCT, 0, 0}, {"ReduceL1", GRAPH_L1, 0, 0},
    {"ReduceL2", GRAPH_L2, 0, 0}, {"ReduceSumSquare", GRAPH_SUM_SQUARE, 0, 0}, {"ReduceLogSum", GRAPH_LOG_SUM, 0, 0},
    {"ReduceLogSumExp", GRAPH_LOG_SUM_EXP, 0, 0},
};

static const struct named_function *find_named(const struct onnx_import *im, const struct named_function *list,
                                               size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (is_named(im, list[i].name))
            return &list[i];
    return NULL;
}

#define FIND(list) find_named(im, list, sizeof(list) / sizeof *(list))

enum infomask_status onnx_import_unary(struct onnx_import *im)
{
    const struct named_function *f = FIND(unaries);
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    char approximate[8];
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_UNARY, &x, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = f->function;
    node->alpha = onnx_attribute_float(im, "alpha", f->alpha);
    node->beta = onnx_attribute_float(im, "gamma", f->beta);
    onnx_attribute_text(im, "approximate", approximate, sizeof approximate);
    if (f->function == GRAPH_GELU && strcmp(approximate, "tanh") == 0)
        node->function = GRAPH_GELU_TANH;
    if (f->function == GRAPH_IS_INF) {
        node->alpha = onnx_attribute_int(im, "detect_positive", 1) != 0;
        node->beta = onnx_attribute_int(im, "detect_negative", 1) != 0;
    }
    if (f->function == GRAPH_NOT || f->function == GRAPH_IS_NAN || f->function == GRAPH_IS_INF)
        numbers = ONNX_TRUTHS;
    return onnx_result(im, node, numbers);
}

static bool is_comparison(enum graph_function f) { return f >= GRAPH_EQUAL && f <= GRAPH_XOR; }

enum infomask_status onnx_import_binary(struct onnx_import *im)
{
    enum graph_function function = FIND(binaries)->function;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    int inputs[2];
    enum infomask_status status = onnx_any_input(im, 0, &inputs[0]);

    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 1, &inputs[1]);
    if (status != INFOMASK_OK)
        return status;
    if (function == GRAPH_MODULO && onnx_attribute_int(im, "fmod", 0))
        function = GRAPH_REMAINDER;
    if (function == GRAPH_DIVIDE && numbers == ONNX_INTEGERS)
        function = GRAPH_DIVIDE_INTEGERS;
    node = onnx_general(im, GRAPH_BINARY, inputs, 2, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = function;
    return onnx_result(im, node, is_comparison(function) ? ONNX_TRUTHS : numbers);
}

/* Min, Max, Sum and Mean of any number of tensors: two at a time. */
enum infomask_status onnx_import_variadic(struct onnx_import *im)
{
    enum graph_function function = FIND(binaries)->function;
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    int x, y;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    for (int i = 1; status == INFOMASK_OK && i < im->input_count; i++) {
        status = onnx_any_input(im, i, &y);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, function, x, y, &x);
    }
    if (status == INFOMASK_OK && is_named(im, "Mean")) {
        status = onnx_new_scalar(im, (float)im->input_count, &y);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, GRAPH_DIVIDE, x, y, &x);
    }
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, x, numbers);
}

enum infomask_status onnx_import_where(struct onnx_import *im)
{
    enum onnx_numbers numbers = onnx_numbers_of(im, 1);
    struct graph_node *node;
    int inputs[3];

    for (int i = 0; i < 3; i++) {
        enum infomask_status status = onnx_any_input(im, i, &inputs[i]);
        if (status != INFOMASK_OK)
            return status;
    }
    node = onnx_general(im, GRAPH_WHERE, inputs, 3, 0);
    return node != NULL ? onnx_result(im, node, numbers) : onnx_no_memory(im);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static unsigned all_axes(int rank) { return (1u << rank) - 1; }

/* Axes from the second input or the attribute; all of them without. */
static enum infomask_status axes_of(struct onnx_import *im, int rank, unsigned *axes, bool *none)
{
    int64_t v[ONNX_MAX_INTS];
    int count;
    enum infomask_status status = onnx_list(im, 1, "axes", v, &count);

    *axes = 0;
    *none = false;
    for (int i = 0; status == INFOMASK_OK && i < count; i++) {
        if (!onnx_axis(&v[i], rank))
            return onnx_broken(im, "axis %lld is outside its input", (long long)v[i]);
        *axes |= 1u << v[i];
    }
    if (count <= 0) {
        *none = onnx_attribute_int(im, "noop_with_empty_axes", 0) != 0;
        *axes = *none ? 0 : all_axes(rank);
    }
    return status;
}

enum infomask_status onnx_import_reduce(struct onnx_import *im)
{
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    unsigned axes;
    bool none;
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = axes_of(im, tensor_at(im, x)->rank, &axes, &none);
    if (status != INFOMASK_OK)
        return status;
    if (!im->graph->concrete && !graph_is_constant(im->graph, x) && (axes & 1))
        return onnx_unsupported(im, "it sums over the batch");
    node = onnx_general(im, GRAPH_REDUCE, &x, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->function = FIND(reductions)->function;
    node->axes = axes;
    node->keep_dims = onnx_attribute_int(im, "keepdims", 1) != 0;
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_layer_norm(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", -1);
    int inputs[3] = {GRAPH_NONE, GRAPH_NONE, GRAPH_NONE};
    struct graph_node *node;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; status == INFOMASK_OK && i < 3; i++)
        if (i == 0 || onnx_has(im, i))
            status = onnx_any_input(im, i, &inputs[i]);
    if (status != INFOMASK_OK)
        return status;
    if (!onnx_axis(&axis, tensor_at(im, inputs[0])->rank))
        return onnx_broken(im, "its axis is outside its input");
    node = onnx_general(im, GRAPH_LAYER_NORM, inputs, 3, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = (int)axis;
    node->epsilon = onnx_attribute_float(im, "epsilon", 1e-5f);
    node->function = is_named(im, "RMSNormalization") ? GRAPH_RMS : GRAPH_CENTRED;
    return onnx_result(im, node, ONNX_FLOATS);
}

/* A constant of n elements as [1, n, 1, ...]; of groups, each repeated. */
static enum infomask_status per_channel(struct onnx_import *im, int input, int rank, int64_t channels, int *out)
{
    int64_t dims[GRAPH_MAX_RANK] = {1, channels, 1, 1, 1, 1, 1, 1}, repeat[2];
    int64_t n;
    enum infomask_status status = onnx_any_input(im, input, out);

    if (status != INFOMASK_OK)
        return status;
    n = tensor_at(im, *out)->rank == 1 ? tensor_at(im, *out)->dims[0] : -1;
    if (n < 1 || channels < 1 || channels % n)
        return onnx_broken(im, "input %d does not have one number a channel", input);
    if (n != channels) { /* GroupNormalization before opset 21: one a group */
        struct graph_node *node;
        repeat[0] = n;
        repeat[1] = 1;
        status = onnx_step_reshape(im, *out, 2, repeat, out);
        if (status != INFOMASK_OK)
            return status;
        node = onnx_general(im, GRAPH_EXPAND, out, 1, 2);
        if (node == NULL)
            return onnx_no_memory(im);
        node->table->v[0] = n;
        node->table->v[1] = channels / n;
        status = onnx_step(im, node, out);
    }
    return status != INFOMASK_OK ? status : onnx_step_reshape(im, *out, rank, dims, out);
}

/* [N, C, ...] as [N, groups, rest], normalised over the rest, and back; then a factor and a summand per channel. */
static enum infomask_status group_norm(struct onnx_import *im, int64_t groups)
{
    int x, y, scale, bias;
    struct graph_tensor t;
    int64_t dims[3] = {0, groups, -1};
    struct graph_node *node;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    if (t.rank < 3 || t.dims[1] < 1 || groups < 1 || t.dims[1] % groups)
        return onnx_unsupported(im, "only groups of the channels of [N, C, ...] are supported");
    dims[0] = t.dims[0];
    if (im->graph->concrete) {
        dims[2] = t.dims[1] / groups;
        for (int i = 2; i < t.rank; i++)
            dims[2] *= t.dims[i];
    } else {
        return onnx_unsupported(im, "it needs sizes that the file leaves open");
    }
    status = onnx_step_reshape(im, x, 3, dims, &y);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_LAYER_NORM, &y, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = 2;
    node->epsilon = onnx_attribute_float(im, "epsilon", 1e-5f);
    node->function = GRAPH_CENTRED;
    status = onnx_step(im, node, &y);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, y, t.rank, t.dims, &y);
    if (status == INFOMASK_OK)
        status = per_channel(im, 1, t.rank, t.dims[1], &scale);
    if (status == INFOMASK_OK)
        status = per_channel(im, 2, t.rank, t.dims[1], &bias);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_TIMES, y, scale, &y);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_PLUS, y, bias, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

enum infomask_status onnx_import_group_norm(struct onnx_import *im)
{
    return group_norm(im, onnx_attribute_int(im, "num_groups", 0));
}

enum infomask_status onnx_import_instance_norm(struct onnx_import *im)
{
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    return status != INFOMASK_OK ? status : group_norm(im, tensor_at(im, x)->rank > 1 ? tensor_at(im, x)->dims[1] : 0);
}

/* x / |x| along an axis, p 1 or 2 */
enum infomask_status onnx_import_lp_norm(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", -1), p = onnx_attribute_int(im, "p", 2);
    int x, norm = GRAPH_NONE, least = GRAPH_NONE, y = GRAPH_NONE;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (!onnx_axis(&axis, tensor_at(im, x)->rank) || (p != 1 && p != 2))
        return onnx_broken(im, "its axis or p is wrong");
    status = onnx_step_reduce(im, p == 1 ? GRAPH_L1 : GRAPH_L2, x, 1u << axis, true, &norm);
    if (status == INFOMASK_OK)
        status = onnx_new_scalar(im, FLT_MIN, &least); /* zeros stay zeros */
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MOST, norm, least, &norm);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, x, norm, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

enum infomask_status onnx_import_cumsum(struct onnx_import *im)
{
    enum onnx_numbers numbers = onnx_numbers_of(im, 0);
    struct graph_node *node;
    int64_t v[ONNX_MAX_INTS];
    int x, count;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, 1, "axis", v, &count);
    if (status != INFOMASK_OK)
        return status;
    if (count != 1 || !onnx_axis(&v[0], tensor_at(im, x)->rank))
        return onnx_broken(im, "its axis is wrong");
    node = onnx_general(im, GRAPH_CUMULATE, &x, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = (int)v[0];
    node->function = (enum graph_function)((onnx_attribute_int(im, "exclusive", 0) != 0) +
                                           2 * (onnx_attribute_int(im, "reverse", 0) != 0));
    return onnx_result(im, node, numbers);
}

enum infomask_status onnx_import_lrn(struct onnx_import *im)
{
    int64_t size = onnx_attribute_int(im, "size", 0);
    struct graph_node *node;
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (size < 1 || size > 1 << 20 || tensor_at(im, x)->rank < 3)
        return onnx_broken(im, "its size is wrong");
    node = onnx_general(im, GRAPH_LRN, &x, 1, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = (int)size;
    node->alpha = onnx_attribute_float(im, "alpha", 1e-4f);
    node->beta = onnx_attribute_float(im, "beta", 0.75f);
    node->epsilon = onnx_attribute_float(im, "bias", 1);
    return onnx_result(im, node, ONNX_FLOATS);
}

/* x' - log sum exp x' with x' = x - its maximum: no more is lost of large numbers than they have lost already */
enum infomask_status onnx_step_log_softmax(struct onnx_import *im, int x, unsigned axes, int *y)
{
    int most = GRAPH_NONE, sum = GRAPH_NONE;
    enum infomask_status status = onnx_step_reduce(im, GRAPH_MAXIMUM, x, axes, true, &most);

    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MINUS, x, most, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_reduce(im, GRAPH_LOG_SUM_EXP, x, axes, true, &sum);
    return status != INFOMASK_OK ? status : onnx_step_binary(im, GRAPH_MINUS, x, sum, y);
}

enum infomask_status onnx_import_log_softmax(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", im->opset < 13 ? 1 : -1);
    int x, y = GRAPH_NONE, rank;
    unsigned axes = 0;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    if (!onnx_axis(&axis, rank))
        return onnx_broken(im, "its axis is wrong");
    for (int i = (int)axis; i < (im->opset < 13 ? rank : (int)axis + 1); i++)
        axes |= 1u << i;
    status = onnx_step_log_softmax(im, x, axes, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

/* The logarithm of a Softmax is a LogSoftmax: a probability below e^-103 is 0 in float32, and has no logarithm. */
enum infomask_status onnx_import_log(struct onnx_import *im)
{
    const struct graph_node *node;
    struct graph_tensor t;
    int x, y = GRAPH_NONE;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    t = *tensor_at(im, x);
    do {
        node = onnx_maker(im, x);
        x = node != NULL ? node->inputs[0] : GRAPH_NONE;
    } while (node != NULL && node->op == GRAPH_RESHAPE);
    if (node == NULL || node->op != GRAPH_SOFTMAX)
        return onnx_import_unary(im);
    status = onnx_step_log_softmax(im, x, 1u << node->axis, &y);
    if (status == INFOMASK_OK && !graph_same_shape(tensor_at(im, y), &t))
        status = onnx_step_reshape(im, y, t.rank, t.dims, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

/* Operands of one dimension get another, which the result loses again. */
enum infomask_status onnx_import_general_matmul(struct onnx_import *im)
{
    int inputs[2], rank[2], y;
    struct graph_node *node;
    struct graph_tensor t;
    int64_t dims[GRAPH_MAX_RANK];
    int kept = 0;

    for (int i = 0; i < 2; i++) {
        enum infomask_status status = onnx_any_input(im, i, &inputs[i]);
        if (status != INFOMASK_OK)
            return status;
        rank[i] = tensor_at(im, inputs[i])->rank;
        if (rank[i] == 1) {
            int64_t n = tensor_at(im, inputs[i])->dims[0], two[2] = {i == 0 ? 1 : n, i == 0 ? n : 1};
            status = onnx_step_reshape(im, inputs[i], 2, two, &inputs[i]);
            if (status != INFOMASK_OK)
                return status;
        }
    }
    node = onnx_general(im, GRAPH_MATMUL, inputs, 2, 0);
    if (node == NULL)
        return onnx_no_memory(im);
    if (rank[0] != 1 && rank[1] != 1)
        return onnx_result(im, node, ONNX_FLOATS);
    {
        enum infomask_status status = onnx_step(im, node, &y);
        if (status != INFOMASK_OK)
            return status;
        t = *tensor_at(im, y);
        for (int i = 0; i < t.rank; i++)
            if (!(i == t.rank - 2 && rank[0] == 1) && !(i == t.rank - 1 && rank[1] == 1))
                dims[kept++] = t.dims[i];
        status = onnx_step_reshape(im, y, kept, dims, &y);
        return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
    }
}

/* alpha A' B' + beta C with what the fast path does not take. */
enum infomask_status onnx_import_general_gemm(struct onnx_import *im)
{
    static const int swap[2] = {1, 0};
    float factor[2] = {onnx_attribute_float(im, "alpha", 1), onnx_attribute_float(im, "beta", 1)};
    int inputs[2], y, c, k;
    struct graph_node *node;
    enum infomask_status status = INFOMASK_OK;

    for (int i = 0; status == INFOMASK_OK && i < 2; i++) {
        status = onnx_any_input(im, i, &inputs[i]);
        if (status == INFOMASK_OK && tensor_at(im, inputs[i])->rank != 2)
            status = onnx_broken(im, "its operands are not matrices");
        if (status == INFOMASK_OK && onnx_attribute_int(im, i == 0 ? "transA" : "transB", 0))
            status = onnx_step_transpose(im, inputs[i], swap, &inputs[i]);
    }
    if (status != INFOMASK_OK)
        return status;
    node = onnx_general(im, GRAPH_MATMUL, inputs, 2, 0);
    status = node != NULL ? onnx_step(im, node, &y) : onnx_no_memory(im);
    if (status == INFOMASK_OK && factor[0] != 1.0f) {
        status = onnx_new_scalar(im, factor[0], &k);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, GRAPH_TIMES, y, k, &y);
    }
    if (status == INFOMASK_OK && onnx_has(im, 2)) {
        status = onnx_any_input(im, 2, &c);
        if (status == INFOMASK_OK)
            status = onnx_new_scalar(im, factor[1], &k);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, GRAPH_TIMES, c, k, &c);
        if (status == INFOMASK_OK)
            status = onnx_step_binary(im, GRAPH_PLUS, y, c, &y);
    }
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

/* Mean and variance of the channels of [N, C, ...] as [1, C, 1, ...]: what the training mode normalises by. */
static enum infomask_status batch_statistics(struct onnx_import *im, int x, int *mean, int *variance)
{
    unsigned axes = all_axes(tensor_at(im, x)->rank) & ~2u;
    int away;
    enum infomask_status status = onnx_step_reduce(im, GRAPH_MEAN, x, axes, true, mean);

    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MINUS, x, *mean, &away);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_TIMES, away, away, &away);
    return status != INFOMASK_OK ? status : onnx_step_reduce(im, GRAPH_MEAN, away, axes, true, variance);
}

/* (x - mean) / sqrt(variance + epsilon) scale + bias for any rank and operands.  Of a constant the training mode is
 * known as well: standardised weights are written so. */
enum infomask_status onnx_import_general_batch_norm(struct onnx_import *im)
{
    int p[5], y, epsilon, training = onnx_attribute_int(im, "training_mode", 0) != 0;
    int64_t channels;
    enum infomask_status status = onnx_any_input(im, 0, &p[0]);

    if (status != INFOMASK_OK)
        return status;
    channels = tensor_at(im, p[0])->rank > 1 ? tensor_at(im, p[0])->dims[1] : 1;
    if ((training && (tensor_at(im, p[0])->data == NULL || tensor_at(im, p[0])->rank < 2)) ||
        !onnx_attribute_int(im, "spatial", 1))
        return onnx_unsupported(im, "only its inference mode, per channel, is supported");
    for (int i = 1; status == INFOMASK_OK && i < (training ? 3 : 5); i++)
        status = per_channel(im, i, tensor_at(im, p[0])->rank, channels, &p[i]);
    if (status == INFOMASK_OK && training)
        status = batch_statistics(im, p[0], &p[3], &p[4]);
    if (status == INFOMASK_OK)
        status = onnx_new_scalar(im, onnx_attribute_float(im, "epsilon", 1e-5f), &epsilon);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_PLUS, p[4], epsilon, &p[4]);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_SQRT, p[4], &p[4]);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, p[1], p[4], &p[1]);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MINUS, p[0], p[3], &y);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_TIMES, y, p[1], &y);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_PLUS, y, p[2], &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}
