/* The operators of ONNX that are known here, one table of them, and how each becomes nodes of the graph. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

static const struct graph_tensor *tensor_at(const struct onnx_import *im, int i)
{
    return &im->graph->tensors[i];
}

static enum infomask_status reciprocal(struct onnx_import *im, int x, int *out)
{
    const struct graph_tensor t = *tensor_at(im, x);
    size_t count = graph_elements(&t);
    float *data;
    enum infomask_status status = graph_new_constant(im->graph, t.rank, t.dims, out, &data, im->err);

    if (status != INFOMASK_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        data[i] = (float)(1 / (double)t.data[i]);
        if (!isfinite(data[i]))
            return onnx_broken(im, "it divides by zero");
    }
    return INFOMASK_OK;
}

/* ---- Sums and factors -------------------------------------------------------------------------------------------- */

/* Numpy's broadcasting of a constant: to x's rank, with leading ones. */
static enum infomask_status match_rank(struct onnx_import *im, int x, int *y)
{
    int rank = tensor_at(im, x)->rank;
    struct graph_tensor t = *tensor_at(im, *y);
    int64_t dims[GRAPH_MAX_RANK];

    for (int i = 0; i < rank; i++) {
        int from = i + t.rank - rank;
        dims[i] = from < 0 ? 1 : t.dims[from];
    }
    return onnx_reshape_constant(im, *y, rank, dims, y);
}

/* The activation, or the larger constant, or what is not the gate [N, C, 1, 1], comes first. */
static bool belongs_second(const struct onnx_import *im, int a, int b)
{
    const struct graph_tensor *x = tensor_at(im, a), *y = tensor_at(im, b);

    if ((x->data != NULL) != (y->data != NULL))
        return x->data != NULL;
    if (x->data != NULL)
        return graph_elements(x) < graph_elements(y) ||
               (graph_elements(x) == graph_elements(y) && x->rank < y->rank);
    return x->rank == 4 && y->rank == 4 && x->dims[2] == 1 && x->dims[3] == 1 && !graph_same_shape(x, y);
}

static enum infomask_status import_pair(struct onnx_import *im, enum graph_op op, int a, int b)
{
    int inputs[2] = {a, b};
    struct graph_node *node;
    enum infomask_status status = INFOMASK_OK;

    if (belongs_second(im, a, b)) {
        inputs[0] = b;
        inputs[1] = a;
    }
    if (graph_is_constant(im->graph, inputs[1]) && tensor_at(im, inputs[1])->rank <= tensor_at(im, inputs[0])->rank)
        status = match_rank(im, inputs[0], &inputs[1]);
    if (status != INFOMASK_OK)
        return status;
    if (!graph_pair_fits(op, tensor_at(im, inputs[0]), tensor_at(im, inputs[1]))) {
        node = onnx_general(im, GRAPH_BINARY, inputs, 2, 0);
        if (node == NULL)
            return onnx_no_memory(im);
        node->function = op == GRAPH_ADD ? GRAPH_PLUS : GRAPH_TIMES;
        return onnx_result(im, node, ONNX_FLOATS);
    }
    node = onnx_begin(im, op, inputs, 2);
    return node != NULL ? onnx_finish(im, node, true) : onnx_no_memory(im);
}

static enum infomask_status add_noise(struct onnx_import *im, int x, float sigma)
{
    struct graph_node *node;

    if (!(sigma >= 0) || !isfinite(sigma))
        return onnx_broken(im, "sigma is not a number from 0 on");
    node = onnx_begin(im, GRAPH_NOISE, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    node->sigma = sigma;
    return onnx_finish(im, node, true);
}

/* x + normal numbers, and normal numbers times a constant: the portable way to write Gaussian noise. */
static enum infomask_status random_pair(struct onnx_import *im, char op, int random)
{
    const struct onnx_value *value = im->inputs[random];
    int other;
    float factor;
    enum infomask_status status;

    if (op == '*') {
        status = onnx_scalar_input(im, !random, &factor);
        return status != INFOMASK_OK ? status : onnx_is_random(im, value->tensor, fabsf(factor) * value->sigma);
    }
    if (op != '+')
        return onnx_unsupported(im, "random numbers are supported only as noise that is added");
    status = onnx_tensor_input(im, !random, &other);
    if (status != INFOMASK_OK)
        return status;
    if (!graph_same_shape(tensor_at(im, other), tensor_at(im, value->tensor)))
        return onnx_unsupported(im, "noise of another shape than what it is added to is not supported");
    return add_noise(im, other, value->sigma);
}

static enum infomask_status import_arithmetic(struct onnx_import *im, char op)
{
    int a, b;
    enum infomask_status status;

    if (onnx_import_int_pair(im, op, &status))
        return status;
    for (int i = 0; i < 2; i++)
        if (onnx_has(im, i) && im->inputs[i]->kind == ONNX_RANDOM && onnx_has(im, !i))
            return random_pair(im, op, i);
    if (onnx_numbers_of(im, 0) != ONNX_FLOATS || onnx_numbers_of(im, 1) != ONNX_FLOATS)
        return onnx_import_binary(im);
    status = onnx_any_input(im, 0, &a);
    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 1, &b);
    if (status == INFOMASK_OK && op == '/' && !graph_is_constant(im->graph, b))
        return onnx_import_binary(im);
    if (status == INFOMASK_OK && op == '-' && !graph_is_constant(im->graph, b) &&
        !graph_same_shape(tensor_at(im, a), tensor_at(im, b)))
        return onnx_import_binary(im);
    if (status == INFOMASK_OK && op == '/')
        status = reciprocal(im, b, &b);
    if (status == INFOMASK_OK && op == '-')
        status = onnx_scaled(im, b, -1, &b);
    if (status != INFOMASK_OK)
        return status;
    return import_pair(im, op == '+' || op == '-' ? GRAPH_ADD : GRAPH_MUL, a, b);
}

static enum infomask_status import_add(struct onnx_import *im)
{
    return import_arithmetic(im, '+');
}

static enum infomask_status import_sub(struct onnx_import *im)
{
    return import_arithmetic(im, '-');
}

static enum infomask_status import_mul(struct onnx_import *im)
{
    return import_arithmetic(im, '*');
}

static enum infomask_status import_div(struct onnx_import *im)
{
    return import_arithmetic(im, '/');
}

/* ---- Activations and noise --------------------------------------------------------------------------------------- */

struct activation {
    enum graph_activation kind;
    float low, high, alpha, beta;
};

static enum infomask_status import_activation(struct onnx_import *im, struct activation activation)
{
    struct graph_node *node;
    int x;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    node = onnx_begin(im, GRAPH_ACTIVATION, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    node->activation = activation.kind;
    node->low = activation.low;
    node->high = activation.high;
    node->alpha = activation.alpha;
    node->beta = activation.beta;
    return onnx_result(im, node, onnx_numbers_of(im, 0));
}

static enum infomask_status import_relu(struct onnx_import *im)
{
    return import_activation(im, (struct activation){GRAPH_CLAMP, 0, INFINITY, 0, 0});
}

/* The bounds are attributes before opset 11, and inputs since. */
static enum infomask_status import_clip(struct onnx_import *im)
{
    struct activation clip = {GRAPH_CLAMP, -FLT_MAX, FLT_MAX, 0, 0};
    enum infomask_status status = INFOMASK_OK;

    if (onnx_has(im, 1))
        status = onnx_scalar_input(im, 1, &clip.low);
    else
        clip.low = onnx_attribute_float(im, "min", clip.low);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_scalar_input(im, 2, &clip.high);
    else if (status == INFOMASK_OK)
        clip.high = onnx_attribute_float(im, "max", clip.high);
    clip.low = clip.low <= -FLT_MAX ? -INFINITY : clip.low;
    clip.high = clip.high >= FLT_MAX ? INFINITY : clip.high;
    return status != INFOMASK_OK ? status : import_activation(im, clip);
}

static enum infomask_status import_sigmoid(struct onnx_import *im)
{
    return import_activation(im, (struct activation){GRAPH_SIGMOID, -INFINITY, INFINITY, 0, 0});
}

static enum infomask_status import_hard_sigmoid(struct onnx_import *im)
{
    return import_activation(im, (struct activation){GRAPH_HARD_SIGMOID, -INFINITY, INFINITY,
                                                     onnx_attribute_float(im, "alpha", 0.2f),
                                                     onnx_attribute_float(im, "beta", 0.5f)});
}

static enum infomask_status import_hard_swish(struct onnx_import *im)
{
    return import_activation(im, (struct activation){GRAPH_HARD_SWISH, -INFINITY, INFINITY, 0, 0});
}

static enum infomask_status import_leaky_relu(struct onnx_import *im)
{
    return import_activation(im, (struct activation){GRAPH_LEAKY_RELU, -INFINITY, INFINITY,
                                                     onnx_attribute_float(im, "alpha", 0.01f), 0});
}

/* Over all dimensions from `axis` on: as a matrix, and back. */
static enum infomask_status softmax_of_many(struct onnx_import *im, int x, int axis)
{
    const struct graph_tensor t = *tensor_at(im, x);
    int64_t two[2] = {1, 1};
    struct graph_node *node;
    enum infomask_status status;

    if (!im->graph->concrete)
        return onnx_unsupported(im, "a softmax over several dimensions of open sizes is not supported");
    for (int i = 0; i < t.rank; i++)
        two[i >= axis] *= t.dims[i];
    status = onnx_step_reshape(im, x, 2, two, &x);
    if (status != INFOMASK_OK)
        return status;
    node = onnx_begin(im, GRAPH_SOFTMAX, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = 1;
    status = onnx_step(im, node, &x);
    if (status == INFOMASK_OK)
        status = onnx_step_reshape(im, x, t.rank, t.dims, &x);
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, x);
}

static enum infomask_status softmax_of_constant(struct onnx_import *im, int x, int axis)
{
    int y;
    enum infomask_status status = onnx_step_log_softmax(im, x, 1u << axis, &y);

    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_EXP, y, &y);
    return status != INFOMASK_OK ? status : onnx_is_tensor(im, y);
}

/* Before opset 13 the input counts as a matrix, of the dimensions before the axis and from it on. */
static enum infomask_status import_softmax(struct onnx_import *im)
{
    int64_t axis = onnx_attribute_int(im, "axis", im->opset < 13 ? 1 : -1);
    struct graph_node *node;
    int x, rank;
    enum infomask_status status = onnx_tensor_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = tensor_at(im, x)->rank;
    axis += axis < 0 ? rank : 0;
    if (axis < 0 || axis >= rank)
        return onnx_broken(im, "its axis is wrong");
    for (int i = (int)axis + 1; im->opset < 13 && i < rank; i++)
        if (tensor_at(im, x)->dims[i] != 1)
            return softmax_of_many(im, x, (int)axis);
    if (graph_is_constant(im->graph, x))
        return softmax_of_constant(im, x, (int)axis);
    node = onnx_begin(im, GRAPH_SOFTMAX, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    node->axis = (int)axis;
    return onnx_finish(im, node, true);
}

static enum infomask_status import_dropout(struct onnx_import *im)
{
    float ratio = onnx_attribute_float(im, "ratio", 0.5f);
    const struct onnx_ints *training = NULL;
    struct graph_node *node;
    int x;
    enum infomask_status status = onnx_tensor_input(im, 0, &x);

    if (status == INFOMASK_OK && onnx_has(im, 1))
        status = onnx_scalar_input(im, 1, &ratio);
    if (status == INFOMASK_OK && onnx_has(im, 2))
        status = onnx_ints_input(im, 2, &training);
    if (status != INFOMASK_OK)
        return status;
    if (training != NULL && (training->count != 1 || training->item[0].value))
        return onnx_unsupported(im, "the model was saved in training mode; save it for inference");
    if (!(ratio >= 0 && ratio < 1))
        return onnx_broken(im, "ratio is not from 0 to below 1");
    if (graph_is_constant(im->graph, x))
        return onnx_is_tensor(im, x);
    node = onnx_begin(im, GRAPH_DROPOUT, &x, 1);
    if (node == NULL)
        return onnx_no_memory(im);
    node->ratio = ratio;
    return onnx_finish(im, node, true);
}

static enum infomask_status import_noise(struct onnx_import *im)
{
    int x;
    enum infomask_status status = onnx_tensor_input(im, 0, &x);

    return status != INFOMASK_OK ? status : add_noise(im, x, onnx_attribute_float(im, "sigma", 1));
}

static enum infomask_status import_random(struct onnx_import *im)
{
    int x;
    enum infomask_status status = onnx_tensor_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    if (onnx_attribute_float(im, "mean", 0) != 0.0f)
        return onnx_unsupported(im, "only noise of mean 0 is supported");
    return onnx_is_random(im, x, fabsf(onnx_attribute_float(im, "scale", 1)));
}

/* ---- Constants and aliases --------------------------------------------------------------------------------------- */

static enum infomask_status constant_numbers(struct onnx_import *im, const Onnx__AttributeProto *a, bool list)
{
    bool floats = a->n_floats || a->has_f;
    int64_t count = list ? (int64_t)(floats ? a->n_floats : a->n_ints) : 1;
    struct onnx_ints ints = {.rank = list, .count = (int)count};
    float *data;
    int tensor;
    enum infomask_status status;

    if (floats) {
        status = graph_new_constant(im->graph, list, &count, &tensor, &data, im->err);
        if (status != INFOMASK_OK)
            return status;
        memcpy(data, list ? a->floats : &a->f, (size_t)count * sizeof *data);
        for (int64_t i = 0; i < count; i++)
            if (isnan(data[i]) || (isinf(data[i]) && count > 1))
                return onnx_broken(im, "it holds a value that is not finite");
        return onnx_is_tensor(im, tensor);
    }
    if (count > ONNX_MAX_INTS)
        return onnx_unsupported(im, "a list of %lld integers is too long", (long long)count);
    for (int i = 0; i < (int)count; i++)
        ints.item[i].value = list ? a->ints[i] : a->i;
    return onnx_is_ints(im, &ints);
}

static enum infomask_status import_constant(struct onnx_import *im)
{
    const Onnx__AttributeProto *a = im->node->n_attribute == 1 ? im->node->attribute[0] : NULL;
    struct onnx_value value = {0};
    enum infomask_status status;

    if (a == NULL)
        return onnx_broken(im, "it does not have one value");
    if (a->t == NULL)
        return constant_numbers(im, a, a->n_ints || a->n_floats || strcmp(a->name, "value_ints") == 0);
    status = onnx_read_value(im, a->t, &value);
    if (status == INFOMASK_OK)
        status = value.kind == ONNX_INTS ? onnx_is_ints(im, value.ints)
                                         : onnx_output_is(im, 0, value.tensor, value.numbers);
    if (status == INFOMASK_OK)
        onnx_lookup(im, im->node->output[0])->type = a->t->data_type;
    free(value.ints);
    return status;
}

static enum infomask_status import_identity(struct onnx_import *im)
{
    const struct onnx_value *x = onnx_has(im, 0) ? im->inputs[0] : NULL;

    if (x == NULL)
        return onnx_broken(im, "input 0 is missing");
    if (x->kind == ONNX_INTS)
        return onnx_is_ints(im, x->ints);
    if (x->kind == ONNX_RANDOM)
        return onnx_is_random(im, x->tensor, x->sigma);
    if (x->kind == ONNX_SEQUENCE)
        return onnx_is_sequence(im, x->parts, x->numbers);
    return onnx_is_padded(im, x->tensor, x->pads);
}

/* The branch that the file's own numbers choose, in the node's place. */
static enum infomask_status import_if(struct onnx_import *im)
{
    const Onnx__AttributeProto *a;
    struct onnx_value *value;
    int condition;
    enum infomask_status status = onnx_any_input(im, 0, &condition);

    if (status != INFOMASK_OK)
        return status;
    if (tensor_at(im, condition)->data == NULL || graph_elements(tensor_at(im, condition)) != 1)
        return onnx_unsupported(im, "its condition is computed while the network runs");
    a = onnx_attribute(im, tensor_at(im, condition)->data[0] != 0.0f ? "then_branch" : "else_branch");
    if (a == NULL || a->g == NULL)
        return onnx_broken(im, "it does not have two branches");
    if (im->node->n_output != 1 || a->g->n_output != 1)
        return onnx_unsupported(im, "a branch of more than one output");
    status = onnx_import_branch(im, a->g, &value);
    if (status != INFOMASK_OK)
        return status;
    im->inputs[0] = value;
    return import_identity(im);
}

#define WINDOW " auto_pad dilations kernel_shape pads strides "
#define REDUCTION " axes keepdims noop_with_empty_axes "

static const struct onnx_operator operators[] = {
    {"Abs", onnx_import_unary, 1, 1, ""},
    {"Acos", onnx_import_unary, 1, 1, ""},
    {"Add", import_add, 2, 2, ""},
    {"And", onnx_import_binary, 2, 2, ""},
    {"Asin", onnx_import_unary, 1, 1, ""},
    {"Atan", onnx_import_unary, 1, 1, ""},
    {"Attention", onnx_import_attention, 3, 7,
     " is_causal kv_num_heads q_num_heads qk_matmul_output_mode scale softcap softmax_precision "},
    {"AveragePool", onnx_import_average_pool, 1, 1, WINDOW "ceil_mode count_include_pad "},
    {"BatchNormalization", onnx_import_batch_norm, 5, 5, " epsilon momentum spatial training_mode "},
    {"Cast", onnx_import_cast, 1, 1, " round_mode to saturate "},
    {"CastLike", onnx_import_cast_like, 2, 2, " round_mode saturate "},
    {"Ceil", onnx_import_unary, 1, 1, ""},
    {"Celu", onnx_import_unary, 1, 1, " alpha "},
    {"Clip", import_clip, 1, 3, " min max "},
    {"Concat", onnx_import_concat, 1, -1, " axis "},
    {"ConcatFromSequence", onnx_import_concat_from_sequence, 1, 1, " axis new_axis "},
    {"Constant", import_constant, 0, 0, " value value_float value_floats value_int value_ints "},
    {"ConstantOfShape", onnx_import_constant_of_shape, 1, 1, " value "},
    {"Conv", onnx_import_conv, 2, 3, WINDOW "group "},
    {"ConvInteger", onnx_import_composite, 2, 4, WINDOW "group "},
    {"ConvTranspose", onnx_import_conv_transpose, 2, 3, WINDOW "group output_padding output_shape "},
    {"Cos", onnx_import_unary, 1, 1, ""},
    {"Cosh", onnx_import_unary, 1, 1, ""},
    {"CumSum", onnx_import_cumsum, 2, 2, " exclusive reverse "},
    {"DepthToSpace", onnx_import_depth_to_space, 1, 1, " blocksize mode "},
    {"DequantizeLinear", onnx_import_dequantize, 2, 3, " axis block_size output_dtype "},
    {"Div", import_div, 2, 2, ""},
    {"Dropout", import_dropout, 1, 3, " ratio seed "},
    {"DynamicQuantizeLinear", onnx_import_dynamic_quantize, 1, 1, ""},
    {"Einsum", onnx_import_einsum, 1, 2, " equation "},
    {"Elu", onnx_import_unary, 1, 1, " alpha "},
    {"Equal", onnx_import_binary, 2, 2, ""},
    {"Erf", onnx_import_unary, 1, 1, ""},
    {"Exp", onnx_import_unary, 1, 1, ""},
    {"Expand", onnx_import_expand, 2, 2, ""},
    {"EyeLike", onnx_import_eye_like, 1, 1, " dtype k "},
    {"Flatten", onnx_import_flatten, 1, 1, " axis "},
    {"Floor", onnx_import_unary, 1, 1, ""},
    {"Gather", onnx_import_gather, 2, 2, " axis "},
    {"GatherElements", onnx_import_gather_elements, 2, 2, " axis "},
    {"GatherND", onnx_import_gather_nd, 2, 2, " batch_dims "},
    {"Gelu", onnx_import_unary, 1, 1, " approximate "},
    {"Gemm", onnx_import_gemm, 2, 3, " alpha beta transA transB "},
    {"GlobalAveragePool", onnx_import_global_average, 1, 1, ""},
    {"GlobalLpPool", onnx_import_global_lp_pool, 1, 1, " p "},
    {"GlobalMaxPool", onnx_import_global_pool, 1, 1, ""},
    {"Greater", onnx_import_binary, 2, 2, ""},
    {"GreaterOrEqual", onnx_import_binary, 2, 2, ""},
    {"GroupNormalization", onnx_import_group_norm, 3, 3, " epsilon num_groups stash_type "},
    {"HardSigmoid", import_hard_sigmoid, 1, 1, " alpha beta "},
    {"HardSwish", import_hard_swish, 1, 1, ""},
    {"Identity", import_identity, 1, 1, ""},
    {"If", import_if, 1, 1, " else_branch then_branch "},
    {"InstanceNormalization", onnx_import_instance_norm, 3, 3, " epsilon "},
    {"IsInf", onnx_import_unary, 1, 1, " detect_negative detect_positive "},
    {"IsNaN", onnx_import_unary, 1, 1, ""},
    {"LRN", onnx_import_lrn, 1, 1, " alpha beta bias size "},
    {"LayerNormalization", onnx_import_layer_norm, 2, 3, " axis epsilon stash_type "},
    {"LeakyRelu", import_leaky_relu, 1, 1, " alpha "},
    {"Less", onnx_import_binary, 2, 2, ""},
    {"LessOrEqual", onnx_import_binary, 2, 2, ""},
    {"Log", onnx_import_log, 1, 1, ""},
    {"LogSoftmax", onnx_import_log_softmax, 1, 1, " axis "},
    {"LpNormalization", onnx_import_lp_norm, 1, 1, " axis p "},
    {"LpPool", onnx_import_lp_pool, 1, 1, WINDOW "ceil_mode p "},
    {"MatMul", onnx_import_matmul, 2, 2, ""},
    {"MatMulInteger", onnx_import_composite, 2, 4, ""},
    {"Max", onnx_import_variadic, 1, -1, ""},
    {"MaxPool", onnx_import_max_pool, 1, 1, WINDOW "ceil_mode storage_order "},
    {"Mean", onnx_import_variadic, 1, -1, ""},
    {"MeanVarianceNormalization", onnx_import_mean_variance, 1, 1, " axes "},
    {"Min", onnx_import_variadic, 1, -1, ""},
    {"Mish", onnx_import_unary, 1, 1, ""},
    {"Mod", onnx_import_binary, 2, 2, " fmod "},
    {"Mul", import_mul, 2, 2, ""},
    {"Neg", onnx_import_unary, 1, 1, ""},
    {"NonZero", onnx_import_non_zero, 1, 1, ""},
    {"Not", onnx_import_unary, 1, 1, ""},
    {"Or", onnx_import_binary, 2, 2, ""},
    {"PRelu", onnx_import_binary, 2, 2, ""},
    {"Pad", onnx_import_pad, 1, 4, " mode pads value "},
    {"Pow", onnx_import_binary, 2, 2, ""},
    {"QLinearConv", onnx_import_composite, 8, 9, WINDOW "group "},
    {"QLinearMatMul", onnx_import_composite, 8, 8, ""},
    {"QuantizeLinear", onnx_import_quantize, 2, 3, " axis block_size output_dtype precision saturate "},
    {"RMSNormalization", onnx_import_layer_norm, 2, 2, " axis epsilon stash_type "},
    {"RandomNormalLike", import_random, 1, 1, " dtype mean scale seed "},
    {"Range", onnx_import_range, 3, 3, ""},
    {"Reciprocal", onnx_import_unary, 1, 1, ""},
    {"ReduceL1", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceL2", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceLogSum", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceLogSumExp", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceMax", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceMean", onnx_import_reduce_mean, 1, 2, REDUCTION},
    {"ReduceMin", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceProd", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceSum", onnx_import_reduce, 1, 2, REDUCTION},
    {"ReduceSumSquare", onnx_import_reduce, 1, 2, REDUCTION},
    {"Relu", import_relu, 1, 1, ""},
    {"Reshape", onnx_import_reshape, 1, 2, " allowzero shape "},
    {"Resize", onnx_import_resize, 1, 4,
     " antialias axes coordinate_transformation_mode cubic_coeff_a exclude_outside extrapolation_value "
     "keep_aspect_ratio_policy mode nearest_mode "},
    {"Round", onnx_import_unary, 1, 1, ""},
    {"ScatterElements", onnx_import_scatter_elements, 3, 3, " axis reduction "},
    {"ScatterND", onnx_import_scatter_nd, 3, 3, " reduction "},
    {"Selu", onnx_import_unary, 1, 1, " alpha gamma "},
    {"SequenceAt", onnx_import_sequence_at, 2, 2, ""},
    {"SequenceConstruct", onnx_import_sequence_construct, 1, -1, ""},
    {"SequenceLength", onnx_import_sequence_length, 1, 1, ""},
    {"Shape", onnx_import_shape, 1, 1, " start end "},
    {"Sigmoid", import_sigmoid, 1, 1, ""},
    {"Sign", onnx_import_unary, 1, 1, ""},
    {"SimplifiedLayerNormalization", onnx_import_composite, 2, 2, " axis epsilon stash_type "},
    {"Sin", onnx_import_unary, 1, 1, ""},
    {"Sinh", onnx_import_unary, 1, 1, ""},
    {"Size", onnx_import_size, 1, 1, ""},
    {"Slice", onnx_import_slice, 1, 5, " axes ends starts "},
    {"Softmax", import_softmax, 1, 1, " axis "},
    {"Softplus", onnx_import_unary, 1, 1, ""},
    {"Softsign", onnx_import_unary, 1, 1, ""},
    {"SpaceToDepth", onnx_import_space_to_depth, 1, 1, " blocksize "},
    {"Split", onnx_import_split, 1, 2, " axis num_outputs split "},
    {"SplitToSequence", onnx_import_split_to_sequence, 1, 2, " axis keepdims "},
    {"Sqrt", onnx_import_unary, 1, 1, ""},
    {"Squeeze", onnx_import_squeeze, 1, 2, " axes "},
    {"Sub", import_sub, 2, 2, ""},
    {"Sum", onnx_import_variadic, 1, -1, ""},
    {"Swish", onnx_import_unary, 1, 1, " alpha "},
    {"Tan", onnx_import_unary, 1, 1, ""},
    {"Tanh", onnx_import_unary, 1, 1, ""},
    {"ThresholdedRelu", onnx_import_unary, 1, 1, " alpha "},
    {"Tile", onnx_import_tile, 2, 2, ""},
    {"Transpose", onnx_import_transpose, 1, 1, " perm "},
    {"Trilu", onnx_import_trilu, 1, 2, " upper "},
    {"Unsqueeze", onnx_import_unsqueeze, 1, 2, " axes "},
    {"Upsample", onnx_import_resize, 1, 2, " mode scales "},
    {"Where", onnx_import_where, 3, 3, ""},
    {"Xor", onnx_import_binary, 2, 2, ""},
};

static const struct onnx_operator own_operators[] = {
    {"GaussianNoise", import_noise, 1, 1, " sigma "},
};

static const struct onnx_operator zip_map = {"ZipMap", onnx_import_zip_map, 1, 1,
                                             " classlabels_int64s classlabels_strings "};

const struct onnx_operator *onnx_find_operator(const char *domain, const char *name)
{
    bool own = strcmp(domain, "ai.infomask") == 0;
    const struct onnx_operator *table = own ? own_operators : operators;
    size_t count = own ? sizeof own_operators / sizeof *own_operators : sizeof operators / sizeof *operators;

    if (strcmp(domain, "com.microsoft") == 0)
        return onnx_find_microsoft(name);
    if (strcmp(domain, "ai.onnx.ml") == 0)
        return strcmp(name, zip_map.name) == 0 ? &zip_map : NULL;
    if (!own && *domain && strcmp(domain, "ai.onnx") != 0)
        return NULL;
    for (size_t i = 0; i < count; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}
