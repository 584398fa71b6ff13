/* What onnxruntime's optimiser makes of convolutions, products and attention when somebody saves what it has made:
 * spelt out again (composite.c). */
#include <stdio.h>
#include <string.h>

#include "core/graph/onnx_import.h"

#define TEXT 1200

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The step of an activation by its name on value z: its attributes are numbers alpha and beta of the operator's. */
static enum infomask_status tell_activation(struct onnx_import *im, const char *name, float alpha, float beta,
                                            char text[TEXT])
{
    static const char *const none[] = {"Relu", "Sigmoid", "Tanh", "HardSwish", "Softplus", "Softsign"};
    static const char *const one[] = {"LeakyRelu", "Elu", "ThresholdedRelu", "Celu"};

    if (is_one_of(name, none, sizeof none / sizeof *none))
        (void)snprintf(text, TEXT, "; .0 = %s z", name);
    else if (is_one_of(name, one, sizeof one / sizeof *one))
        (void)snprintf(text, TEXT, "; .0 = %s z alpha=%#.9g", name, (double)alpha);
    else if (strcmp(name, "HardSigmoid") == 0)
        (void)snprintf(text, TEXT, "; .0 = HardSigmoid z alpha=%#.9g beta=%#.9g", (double)alpha, (double)beta);
    else if (strcmp(name, "Clip") == 0)
        (void)snprintf(text, TEXT, "; .0 = Clip z min=%#.9g max=%#.9g", (double)alpha, (double)beta);
    else
        return onnx_unsupported(im, "its activation %s is not supported", shown_name(name).text);
    return INFOMASK_OK;
}

static const char *activation_name(const struct onnx_import *im, char name[64])
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "activation");

    (void)snprintf(name, 64, "%.*s", a != NULL && a->has_s ? (int)a->s.len : 0,
                   a != NULL && a->has_s ? (const char *)a->s.data : "");
    return name;
}

/* A convolution, what is added to it, and a function. */
enum infomask_status onnx_import_fused_conv(struct onnx_import *im)
{
    const Onnx__AttributeProto *a = onnx_attribute(im, "activation_params");
    char name[64], end[TEXT] = "", text[TEXT];
    bool acts = *activation_name(im, name) != 0;
    enum infomask_status status = INFOMASK_OK;

    if (acts)
        status = tell_activation(im, name, a != NULL && a->n_floats > 0 ? a->floats[0] : 0,
                                 a != NULL && a->n_floats > 1 ? a->floats[1] : 0, end);
    (void)snprintf(text, sizeof text, "y = Conv 0 1 2 *; %s = Add y 3%.600s", acts ? "z" : ".0", end);
    if (!acts && !onnx_has(im, 3))
        (void)snprintf(text, sizeof text, ".0 = Conv 0 1 2 *");
    return status != INFOMASK_OK ? status : onnx_spell(im, text);
}

enum infomask_status onnx_import_fused_gemm(struct onnx_import *im)
{
    char name[64], end[TEXT] = "", text[TEXT];
    bool acts = *activation_name(im, name) != 0;
    enum infomask_status status = INFOMASK_OK;

    if (acts)
        status = tell_activation(im, name, onnx_attribute_float(im, "activation_alpha", 0),
                                 onnx_attribute_float(im, "activation_beta", 0), end);
    (void)snprintf(text, sizeof text, "%s = Gemm 0 1 2 *%.600s", acts ? "z" : ".0", end);
    return status != INFOMASK_OK ? status : onnx_spell(im, text);
}

/* " t = Transpose i ...": its last two dimensions exchanged, where the attribute says so; the word that names it. */
static enum infomask_status tell_turned(struct onnx_import *im, int i, const char *attribute, char word[4],
                                        char text[TEXT])
{
    int x, rank;
    size_t at;
    enum infomask_status status = onnx_any_input(im, i, &x);

    (void)snprintf(word, 4, "%d", i);
    *text = 0;
    if (status != INFOMASK_OK || !onnx_attribute_int(im, attribute, 0))
        return status;
    rank = im->graph->tensors[x].rank;
    if (rank < 2)
        return onnx_broken(im, "it turns what has one dimension");
    (void)snprintf(word, 4, "%c", 'a' + i);
    at = (size_t)snprintf(text, TEXT, "%c = Transpose %d perm=[", 'a' + i, i);
    for (int k = 0; k < rank; k++)
        at += (size_t)snprintf(text + at, TEXT - at, "%d,", k < rank - 2 ? k : 2 * rank - 3 - k);
    (void)snprintf(text + at - 1, TEXT - at, "]; ");
    return INFOMASK_OK;
}

enum infomask_status onnx_import_fused_matmul(struct onnx_import *im)
{
    float alpha = onnx_attribute_float(im, "alpha", 1);
    char first[TEXT], second[TEXT], a[4], b[4], text[TEXT];
    enum infomask_status status = tell_turned(im, 0, "transA", a, first);

    if (status == INFOMASK_OK)
        status = tell_turned(im, 1, "transB", b, second);
    if (status != INFOMASK_OK)
        return status;
    if (onnx_attribute_int(im, "transBatchA", 0) || onnx_attribute_int(im, "transBatchB", 0))
        return onnx_unsupported(im, "turned batches are not supported");
    if (alpha != 1.0F)
        (void)snprintf(text, sizeof text, "%.400s%.400sy = MatMul %s %s; .0 = Mul y #%.9g", first, second, a, b,
                       (double)alpha);
    else
        (void)snprintf(text, sizeof text, "%.400s%.400s.0 = MatMul %s %s", first, second, a, b);
    return onnx_spell(im, text);
}

/* ---- Attention --------------------------------------------------------------------------------------------------- */

static enum infomask_status refuse_more(struct onnx_import *im, int mask, int past, int last)
{
    if (onnx_has(im, mask))
        return onnx_unsupported(im, "a mask of keys is not supported");
    for (int i = past; i < last; i++)
        if (onnx_has(im, i))
            return onnx_unsupported(im, "past keys and values are not supported");
    for (size_t i = 1; i < im->node->n_output; i++)
        if (*im->node->output[i])
            return onnx_unsupported(im, "only its first output is supported");
    return INFOMASK_OK;
}

/* The attention of what steps before have named q, k and v. */
static void tell_attention(struct onnx_import *im, const char *operands, int bias, char *text, size_t size)
{
    int heads = (int)onnx_attribute_int(im, "num_heads", 0);
    float scale = onnx_attribute_float(im, "scale", 0);
    char more[64] = "", mask[16] = "";

    if (scale > 0)
        (void)snprintf(more, sizeof more, " scale=%#.9g", (double)scale);
    if (onnx_has(im, bias))
        (void)snprintf(mask, sizeof mask, " %d", bias);
    (void)snprintf(text, size, ".0 = Attention %s%s q_num_heads=%d kv_num_heads=%d is_causal=%d%s", operands, mask,
                   heads, heads, (int)onnx_attribute_int(im, "unidirectional", 0), more);
}

/* Three parts of `what` along its last dimension, of three sizes, as steps that make q, k and v. */
static size_t tell_parts(const char *what, int axis, const int64_t sizes[3], char *text, size_t size)
{
    int64_t from = 0;
    size_t at = 0;

    for (int i = 0; i < 3; from += sizes[i++])
        at += (size_t)snprintf(text + at, size - at, "%c = Slice %s axes=[%d] starts=[%lld] ends=[%lld]; ", "qkv"[i],
                               what, axis, (long long)from, (long long)(from + sizes[i]));
    return at;
}

/* Queries, keys and values are one product of the input. */
enum infomask_status onnx_import_packed_attention(struct onnx_import *im)
{
    int64_t sizes[ONNX_MAX_INTS], all;
    int weights, count = 3;
    char text[TEXT], end[400];
    size_t at;
    enum infomask_status status = refuse_more(im, 3, 4, 5);

    if (status == INFOMASK_OK)
        status = onnx_any_input(im, 1, &weights);
    if (status == INFOMASK_OK && onnx_attribute_int(im, "do_rotary", 0))
        status = onnx_unsupported(im, "rotary positions are not supported");
    if (status == INFOMASK_OK)
        status = onnx_list(im, -1, "qkv_hidden_sizes", sizes, &count);
    if (status != INFOMASK_OK)
        return status;
    all = im->graph->tensors[weights].rank == 2 ? im->graph->tensors[weights].dims[1] : 0;
    for (int i = 0; count < 0 && i < 3; i++)
        sizes[i] = all / 3;
    if ((count >= 0 && count != 3) || sizes[0] < 1 || sizes[1] < 1 || sizes[2] < 1 ||
        sizes[0] > all || sizes[1] > all || sizes[2] > all || sizes[0] + sizes[1] + sizes[2] != all)
        return onnx_broken(im, "its weights have %lld columns, and not queries, keys and values", (long long)all);
    at = (size_t)snprintf(text, sizeof text, "y = MatMul 0 1; z = Add y 2; ");
    at += tell_parts("z", 2, sizes, text + at, sizeof text - at);
    tell_attention(im, "q k v", 5, end, sizeof end);
    (void)snprintf(text + at, sizeof text - at, "%s", end);
    return onnx_spell(im, text);
}

/* Queries, keys and values come apart; their biases in one row. */
enum infomask_status onnx_import_multi_head_attention(struct onnx_import *im)
{
    int64_t sizes[3];
    int x[3];
    char text[TEXT], end[400];
    size_t at = 0;
    enum infomask_status status = refuse_more(im, 4, 6, 10);

    if (status == INFOMASK_OK && (!onnx_has(im, 1) || !onnx_has(im, 2)))
        status = onnx_unsupported(im, "queries, keys and values in one input are not supported");
    for (int i = 0; status == INFOMASK_OK && i < 3; i++)
        status = onnx_any_input(im, i, &x[i]);
    if (status != INFOMASK_OK)
        return status;
    for (int i = 0; i < 3; i++)
        sizes[i] = im->graph->tensors[x[i]].rank == 3 ? im->graph->tensors[x[i]].dims[2] : 0;
    if (onnx_has(im, 3) && (sizes[0] < 1 || sizes[1] < 1 || sizes[2] < 1))
        return onnx_unsupported(im, "a bias of heads that are apart is not supported");
    if (onnx_has(im, 3))
        at = tell_parts("3", 0, sizes, text, sizeof text);
    if (onnx_has(im, 3))
        at += (size_t)snprintf(text + at, sizeof text - at, "a = Add 0 q; b = Add 1 k; c = Add 2 v; ");
    tell_attention(im, onnx_has(im, 3) ? "a b c" : "0 1 2", 5, end, sizeof end);
    (void)snprintf(text + at, sizeof text - at, "%s", end);
    return onnx_spell(im, text);
}
