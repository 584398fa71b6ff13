/* Operators that are several others in one: what quantisation tools and onnxruntime's optimiser write, and some of
 * ONNX's own.
 *
 * Each is spelt as steps, "a = Add 0 1; .0 = Relu a": of the operator's inputs by their numbers, of what a step
 * before has made by its letter ("abc = ..." makes three), and of numbers behind a #.  .0 is the operator's first
 * output.  name=value is an attribute of the step (a number, with a point or without, a word, or a list in brackets),
 * * stands for the operator's own ones that the step knows.  Where an input is left out, so is what would be made of
 * it alone, and of two that are added what is there stays as it is.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

#define MOST_INPUTS 20
#define MOST_ATTRIBUTES 16
#define MOST_OWN 4 /* attributes of a step that its text names */
#define MOST_OUTPUTS 3
#define WORD 48

struct composite {
    const char *name, *steps;
};

static const struct composite composites[] = {
    {"BiasGelu", "a = Add 0 1; .0 = Gelu a"},
    {"ConvInteger", "x = DequantizeLinear 0 #1 2; w = DequantizeLinear 1 #1 3 axis=0; .0 = Conv x w *"},
    {"DynamicQuantizeMatMul", "qsz = DynamicQuantizeLinear 0; a = DequantizeLinear q s z; "
                              "b = DequantizeLinear 1 2 3 axis=-1; y = MatMul a b; c = Add y 4; .0 = Identity c"},
    {"FastGelu", "a = Add 0 1; .0 = Gelu a approximate=tanh"},
    {"MatMulInteger", "a = DequantizeLinear 0 #1 2; b = DequantizeLinear 1 #1 3 axis=-1; .0 = MatMul a b"},
    {"MatMulIntegerToFloat", "a = DequantizeLinear 0 2 4; b = DequantizeLinear 1 3 5 axis=-1; y = MatMul a b; "
                             "c = Add y 6; .0 = Identity c"},
    {"QLinearAdd",
     "a = DequantizeLinear 0 1 2; b = DequantizeLinear 3 4 5; c = Add a b; .0 = QuantizeLinear c 6 7"},
    {"QLinearConv", "x = DequantizeLinear 0 1 2; w = DequantizeLinear 3 4 5 axis=0; s = Mul 1 4; "
                    "b = DequantizeLinear 8 s axis=0; y = Conv x w b *; .0 = QuantizeLinear y 6 7"},
    {"QLinearGlobalAveragePool", "x = DequantizeLinear 0 1 2; y = GlobalAveragePool x; .0 = QuantizeLinear y 3 4"},
    {"QLinearLeakyRelu", "x = DequantizeLinear 0 1 2; y = LeakyRelu x *; .0 = QuantizeLinear y 3 4"},
    {"QLinearMatMul",
     "a = DequantizeLinear 0 1 2; b = DequantizeLinear 3 4 5 axis=-1; y = MatMul a b; .0 = QuantizeLinear y 6 7"},
    {"QLinearMul",
     "a = DequantizeLinear 0 1 2; b = DequantizeLinear 3 4 5; c = Mul a b; .0 = QuantizeLinear c 6 7"},
    {"QLinearSigmoid", "x = DequantizeLinear 0 1 2; y = Sigmoid x; .0 = QuantizeLinear y 3 4"},
    {"QLinearSoftmax", "x = DequantizeLinear 0 1 2; y = Softmax x *; .0 = QuantizeLinear y 3 4"},
    {"QLinearWhere",
     "a = DequantizeLinear 1 2 3; b = DequantizeLinear 4 5 6; c = Where 0 a b; .0 = QuantizeLinear c 7 8"},
    {"QuickGelu", ".0 = Swish 0 * alpha=1.702"},
    {"SimplifiedLayerNormalization", ".0 = RMSNormalization 0 1 *"},
    {"SkipLayerNormalization",
     "a = Add 0 1; b = Add a 4; .3 = Identity b; .0 = LayerNormalization b 2 3 * epsilon=1e-12"},
    {"SkipSimplifiedLayerNormalization",
     "a = Add 0 1; b = Add a 3; .3 = Identity b; .0 = RMSNormalization b 2 * epsilon=1e-12"},
};

/* An operator that is being spelt out. */
struct spelling {
    struct onnx_import *im;
    const Onnx__NodeProto *whole;
    char *made[26], *outputs[4]; /* names, the import's */
};

/* One step of it, as a node of a file has it. */
struct part {
    Onnx__NodeProto node;
    char type[WORD], *inputs[MOST_INPUTS], *outputs[MOST_OUTPUTS];
    Onnx__AttributeProto *attributes[MOST_ATTRIBUTES], own[MOST_OWN];
    char words[MOST_OWN][2][WORD];
    int64_t lists[MOST_OWN][GRAPH_MAX_RANK];
    size_t own_count;
};

/* A name that no file has, behind the operator's own one. */
static enum infomask_status new_name(struct spelling *s, char **name)
{
    struct onnx_import *im = s->im;
    char **names = realloc(im->names, (im->name_count + 1) * sizeof *names);
    const char *first = s->whole->n_output > 0 ? s->whole->output[0] : "";
    size_t size = strlen(first) + 24;

    if (names == NULL)
        return onnx_no_memory(im);
    im->names = names;
    *name = names[im->name_count] = malloc(size);
    if (*name == NULL)
        return onnx_no_memory(im);
    (void)snprintf(*name, size, "%s\x1f%zu", first, im->name_count++);
    return INFOMASK_OK;
}

static enum infomask_status new_tensor(struct spelling *s, int tensor, char **name)
{
    struct onnx_value *value;
    bool taken;
    enum infomask_status status = new_name(s, name);

    if (status != INFOMASK_OK)
        return status;
    value = onnx_define(s->im, *name, &taken);
    if (value == NULL)
        return onnx_no_memory(s->im);
    value->kind = ONNX_TENSOR;
    value->tensor = tensor;
    return INFOMASK_OK;
}

static enum infomask_status new_number(struct spelling *s, const char *text, char **name)
{
    int tensor;
    enum infomask_status status = onnx_new_scalar(s->im, strtof(text, NULL), &tensor);

    return status != INFOMASK_OK ? status : new_tensor(s, tensor, name);
}

static bool is_there(const char *name) { return name != NULL && *name; }

/* What a word of a step's text names: NULL where the operator was not given it. */
static enum infomask_status find_operand(struct spelling *s, const char *word, char **name)
{
    size_t i = strtoul(word, NULL, 10);

    *name = NULL;
    if (word[0] == '#')
        return new_number(s, word + 1, name);
    if (word[0] >= 'a')
        *name = s->made[word[0] - 'a'];
    else if (word[0] == '.')
        *name = s->outputs[word[1] - '0'];
    else if (i < s->whole->n_input)
        *name = s->whole->input[i];
    return INFOMASK_OK;
}

/* "[2,0,1]" */
static void read_list(const char *text, int64_t list[GRAPH_MAX_RANK], Onnx__AttributeProto *a)
{
    char *end;

    for (text++; *text && *text != ']' && a->n_ints < GRAPH_MAX_RANK; text = *end == ',' ? end + 1 : end)
        list[a->n_ints++] = strtoll(text, &end, 10);
    a->ints = list;
}

static void add_own_attribute(struct part *p, const char *word)
{
    Onnx__AttributeProto *a = &p->own[p->own_count];
    char *name = p->words[p->own_count][0], *value = p->words[p->own_count][1];

    (void)snprintf(name, WORD, "%.*s", (int)strcspn(word, "="), word);
    (void)snprintf(value, WORD, "%s", word + strcspn(word, "=") + 1);
    *a = (Onnx__AttributeProto)ONNX__ATTRIBUTE_PROTO__INIT;
    a->name = name;
    for (size_t i = 0; i < p->node.n_attribute; i++)
        if (strcmp(p->attributes[i]->name, name) == 0)
            return;
    if (*value == '[') {
        read_list(value, p->lists[p->own_count], a);
    } else if (*value > '9') {
        a->has_s = true;
        a->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)value};
    } else if (strpbrk(value, ".e") != NULL) {
        a->has_f = true;
        a->f = strtof(value, NULL);
    } else {
        a->has_i = true;
        a->i = strtol(value, NULL, 10);
    }
    p->attributes[p->node.n_attribute++] = a;
    p->own_count++;
}

/* Those of the operator's that the step knows as well. */
static void add_attributes(const struct spelling *s, struct part *p)
{
    const struct onnx_operator *operator = onnx_find_operator("", p->type);

    for (size_t i = 0; i < s->whole->n_attribute && p->node.n_attribute < MOST_ATTRIBUTES - MOST_OWN; i++) {
        char name[WORD + 2];
        (void)snprintf(name, sizeof name, " %s ", s->whole->attribute[i]->name);
        if (strstr(operator->attributes, name) != NULL)
            p->attributes[p->node.n_attribute++] = s->whole->attribute[i];
    }
}

static enum infomask_status import_part(struct spelling *s, struct part *p)
{
    struct onnx_import *im = s->im;
    struct onnx_value **inputs = im->inputs;
    int input_count = im->input_count;
    enum infomask_status status;

    p->node.op_type = p->type;
    p->node.name = s->whole->name;
    p->node.input = p->inputs;
    p->node.attribute = p->attributes;
    im->node = &p->node;
    status = onnx_import_node(im);
    im->node = s->whole;
    im->inputs = inputs;
    im->input_count = input_count;
    return status;
}

/* Without its first input a step makes nothing; of a sum of one, that one. */
static enum infomask_status finish_part(struct spelling *s, struct part *p, const char *target)
{
    static char none[1];
    bool sum = strcmp(p->type, "Add") == 0;
    enum infomask_status status = INFOMASK_OK;

    while (p->node.n_input > 0 && !is_there(p->inputs[p->node.n_input - 1]))
        p->node.n_input--;
    if (p->node.n_input == 0 || !is_there(p->inputs[0]))
        return INFOMASK_OK;
    if (sum && p->node.n_input == 1 && *target != '.') {
        s->made[*target - 'a'] = p->inputs[0];
        return INFOMASK_OK;
    }
    for (size_t i = 0; i < p->node.n_input; i++)
        p->inputs[i] = p->inputs[i] == NULL ? none : p->inputs[i];
    p->node.output = p->outputs;
    for (; *target && p->node.n_output < MOST_OUTPUTS && status == INFOMASK_OK; target++) {
        char **to = *target == '.' ? &s->outputs[*++target - '0'] : &s->made[*target - 'a'];
        status = is_there(*to) ? INFOMASK_OK : new_name(s, to);
        p->outputs[p->node.n_output++] = *to;
    }
    return status != INFOMASK_OK ? status : import_part(s, p);
}

/* The next word, and what is behind it; "" at the end of a step. */
static const char *next_word(const char *text, char word[WORD])
{
    size_t n;

    text += strspn(text, " ");
    n = strcspn(text, " ;");
    (void)snprintf(word, WORD, "%.*s", (int)n, text);
    return text + n;
}

static enum infomask_status spell_step(struct spelling *s, const char **text)
{
    struct part p = {.node = ONNX__NODE_PROTO__INIT};
    char target[WORD], word[WORD];
    enum infomask_status status = INFOMASK_OK;

    *text = next_word(next_word(*text, target), word); /* the = */
    *text = next_word(*text, p.type);
    for (*text = next_word(*text, word); *word && status == INFOMASK_OK; *text = next_word(*text, word)) {
        if (strchr(word, '=') != NULL)
            add_own_attribute(&p, word);
        else if (*word == '*')
            add_attributes(s, &p);
        else
            status = find_operand(s, word, &p.inputs[p.node.n_input++]);
    }
    *text += **text == ';';
    return status != INFOMASK_OK ? status : finish_part(s, &p, target);
}

enum infomask_status onnx_spell_with(struct onnx_import *im, int w, const char *text)
{
    struct spelling s = {.im = im, .whole = im->node};
    bool branches = im->branches;
    enum infomask_status status = w == GRAPH_NONE ? INFOMASK_OK : new_tensor(&s, w, &s.made['w' - 'a']);

    for (size_t i = 0; i < sizeof s.outputs / sizeof *s.outputs && i < im->node->n_output; i++)
        s.outputs[i] = im->node->output[i];
    im->branches = true; /* a constant may be read by a later step */
    while (*text && status == INFOMASK_OK)
        status = spell_step(&s, &text);
    im->branches = branches;
    return status;
}

enum infomask_status onnx_spell(struct onnx_import *im, const char *text)
{
    return onnx_spell_with(im, GRAPH_NONE, text);
}

enum infomask_status onnx_import_composite(struct onnx_import *im)
{
    if (onnx_attribute_int(im, "channels_last", 0))
        return onnx_unsupported(im, "channels that come last are not supported");
    for (size_t i = 0; i < sizeof composites / sizeof *composites; i++)
        if (strcmp(composites[i].name, im->node->op_type) == 0)
            return onnx_spell(im, composites[i].steps);
    return onnx_unsupported(im, "it is not spelt out");
}

/* A product whose weights lie as the attribute says, with a scale for each output. */
enum infomask_status onnx_import_qgemm(struct onnx_import *im)
{
    char text[320];

    if (onnx_attribute_float(im, "alpha", 1) != 1.0F)
        return onnx_unsupported(im, "an alpha other than 1 is not supported");
    (void)snprintf(text, sizeof text, "a = DequantizeLinear 0 1 2; b = DequantizeLinear 3 4 5 axis=%d; s = Mul 1 4; "
                   "c = DequantizeLinear 6 s axis=0; %s = Gemm a b c *%s",
                   onnx_attribute_int(im, "transB", 0) ? 0 : 1, onnx_has(im, 7) ? "y" : ".0",
                   onnx_has(im, 7) ? "; .0 = QuantizeLinear y 7 8" : "");
    return onnx_spell(im, text);
}

/* Zeros behind the map, in `own`, that hold what ceil_mode reaches: windows that count pads then count all of them. */
static enum infomask_status pad_to_ceiling(struct onnx_import *im, char own[64])
{
    int64_t kernel[2], stride[2] = {1, 1}, pads[4] = {0};
    char automatic[16];
    bool fine = onnx_attribute_ints(im, "kernel_shape", kernel, 2) && onnx_attribute_ints(im, "strides", stride, 2) &&
                onnx_attribute_ints(im, "pads", pads, 4);

    onnx_attribute_text(im, "auto_pad", automatic, sizeof automatic);
    fine = fine && (!*automatic || strcmp(automatic, "NOTSET") == 0);
    for (int i = 0; fine && i < 2; i++) { /* a window that begins behind the map is left out, and would not be here */
        fine = kernel[i] <= 1 << 16 && stride[i] >= 1 && stride[i] <= kernel[i] && pads[i] >= 0 &&
               pads[i] <= 1 << 16 && pads[2 + i] >= 0 && pads[2 + i] <= kernel[i] - stride[i];
        pads[2 + i] += fine ? stride[i] - 1 : 0;
    }
    if (!fine)
        return onnx_unsupported(im, "ceil_mode with pads that count is supported for maps, with strides and pads that "
                                    "are together no more than the window");
    (void)snprintf(own, 64, "ceil_mode=0 pads=[%d,%d,%d,%d] ", (int)pads[0], (int)pads[1], (int)pads[2], (int)pads[3]);
    return INFOMASK_OK;
}

/* Where it counts pads, onnxruntime's one divides by the whole window, also by what of it lies beyond them. */
enum infomask_status onnx_import_qlinear_average_pool(struct onnx_import *im)
{
    char own[64] = "", text[180];
    enum infomask_status status = INFOMASK_OK;

    if (onnx_attribute_int(im, "channels_last", 0))
        return onnx_unsupported(im, "channels that come last are not supported");
    if (onnx_attribute_int(im, "ceil_mode", 0) && onnx_attribute_int(im, "count_include_pad", 0))
        status = pad_to_ceiling(im, own);
    (void)snprintf(text, sizeof text, "x = DequantizeLinear 0 1 2; y = AveragePool x %s*; .0 = QuantizeLinear y 3 4",
                   own);
    return status != INFOMASK_OK ? status : onnx_spell(im, text);
}

/* (sum |x|^p)^(1/p) over windows, the zeros around the map included: p-th roots of means, times the window's size. */
enum infomask_status onnx_import_lp_pool(struct onnx_import *im)
{
    int64_t p = onnx_attribute_int(im, "p", 2), kernel[GRAPH_MAX_RANK] = {0}, size = 1;
    const Onnx__AttributeProto *a = onnx_attribute(im, "kernel_shape");
    char text[200];

    if (a == NULL || a->n_ints < 1 || a->n_ints > GRAPH_MAX_RANK - 2 || p < 1 || p > 16 ||
        !onnx_attribute_ints(im, "kernel_shape", kernel, a->n_ints))
        return onnx_broken(im, "its kernel or p is wrong");
    if (onnx_attribute_int(im, "ceil_mode", 0))
        return onnx_unsupported(im, "ceil_mode is not supported");
    for (size_t i = 0; i < a->n_ints; i++)
        if (kernel[i] < 1 || __builtin_mul_overflow(size, kernel[i], &size))
            return onnx_broken(im, "its kernel is wrong");
    (void)snprintf(text, sizeof text,
                   "a = Abs 0; b = Pow a #%d; c = AveragePool b * count_include_pad=1; d = Mul c #%lld; "
                   ".0 = Pow d #%.9g", (int)p, (long long)size, 1.0 / (double)p);
    return onnx_spell(im, text);
}

enum infomask_status onnx_import_global_lp_pool(struct onnx_import *im)
{
    int64_t p = onnx_attribute_int(im, "p", 2);
    int x, y, rank;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status != INFOMASK_OK)
        return status;
    rank = im->graph->tensors[x].rank;
    if (rank < 3 || (p != 1 && p != 2))
        return onnx_unsupported(im, "only p of 1 and 2, of feature maps, is supported");
    status = onnx_step_reduce(im, p == 1 ? GRAPH_L1 : GRAPH_L2, x, ((1u << rank) - 1) & ~3u, true, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

static enum infomask_status by_number(struct onnx_import *im, enum graph_function function, int x, float number, int *y)
{
    int scalar;
    enum infomask_status status = onnx_new_scalar(im, number, &scalar);

    return status != INFOMASK_OK ? status : onnx_step_binary(im, function, x, scalar, y);
}

/* The largest or the smallest number of all, and 0. */
static enum infomask_status bound_of(struct onnx_import *im, bool upper, int x, int *y)
{
    unsigned all = (1u << im->graph->tensors[x].rank) - 1;
    enum infomask_status status = onnx_step_reduce(im, upper ? GRAPH_MAXIMUM : GRAPH_MINIMUM, x, all, false, y);

    return status != INFOMASK_OK ? status : by_number(im, upper ? GRAPH_MOST : GRAPH_LEAST, *y, 0, y);
}

/* Its scale and zero point are those of the whole input, so that each picture has to be one of its own. */
enum infomask_status onnx_import_dynamic_quantize(struct onnx_import *im)
{
    int x, y, top, bottom, scale, zero;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK && !im->graph->concrete && !graph_is_constant(im->graph, x))
        return onnx_unsupported(im, "it looks at the whole batch");
    if (status == INFOMASK_OK)
        status = bound_of(im, true, x, &top);
    if (status == INFOMASK_OK)
        status = bound_of(im, false, x, &bottom);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MINUS, top, bottom, &scale);
    if (status == INFOMASK_OK)
        status = by_number(im, GRAPH_DIVIDE, scale, 255, &scale);
    if (status == INFOMASK_OK)
        status = by_number(im, GRAPH_MOST, scale, 1e-30F, &scale); /* of zeros */
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, bottom, scale, &zero);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_ROUND, zero, &zero);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_NEGATE, zero, &zero);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, x, scale, &y);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_ROUND, y, &y);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_PLUS, y, zero, &y);
    if (status == INFOMASK_OK)
        status = by_number(im, GRAPH_MOST, y, 0, &y);
    if (status == INFOMASK_OK)
        status = by_number(im, GRAPH_LEAST, y, 255, &y);
    if (status == INFOMASK_OK)
        status = onnx_output_is(im, 0, y, ONNX_INTEGERS);
    if (status == INFOMASK_OK)
        status = onnx_output_is(im, 1, scale, ONNX_FLOATS);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 2, zero, ONNX_INTEGERS);
}

/* Less the mean, by the deviation, over axes that are the batch and the places by default. */
enum infomask_status onnx_import_mean_variance(struct onnx_import *im)
{
    int64_t v[ONNX_MAX_INTS] = {0, 2, 3};
    int x, y, mean, square, count;
    unsigned axes = 0;
    enum infomask_status status = onnx_any_input(im, 0, &x);

    if (status == INFOMASK_OK)
        status = onnx_list(im, -1, "axes", v, &count);
    for (int i = 0; status == INFOMASK_OK && i < (count < 0 ? 3 : count); i++)
        if (onnx_axis(&v[i], im->graph->tensors[x].rank))
            axes |= 1u << v[i];
        else
            status = onnx_broken(im, "an axis is outside its input");
    if (status == INFOMASK_OK && (axes & 1) != 0 && !im->graph->concrete && !graph_is_constant(im->graph, x))
        return onnx_unsupported(im, "it looks at the whole batch");
    if (status == INFOMASK_OK)
        status = onnx_step_reduce(im, GRAPH_MEAN, x, axes, true, &mean);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_MINUS, x, mean, &y);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_TIMES, y, y, &square);
    if (status == INFOMASK_OK)
        status = onnx_step_reduce(im, GRAPH_MEAN, square, axes, true, &square);
    if (status == INFOMASK_OK)
        status = onnx_step_unary(im, GRAPH_SQRT, square, &square);
    if (status == INFOMASK_OK)
        status = by_number(im, GRAPH_PLUS, square, 1e-9F, &square);
    if (status == INFOMASK_OK)
        status = onnx_step_binary(im, GRAPH_DIVIDE, y, square, &y);
    return status != INFOMASK_OK ? status : onnx_output_is(im, 0, y, ONNX_FLOATS);
}

/* A scale and a zero point, then of each part itself, its scale and its zero point. */
enum infomask_status onnx_import_qlinear_concat(struct onnx_import *im)
{
    char text[1024] = "";
    size_t at = 0;
    int parts = (im->input_count - 2) / 3;

    if (im->input_count != 2 + 3 * parts || parts < 1 || parts > MOST_INPUTS)
        return onnx_unsupported(im, "it has %d inputs", im->input_count);
    for (int i = 0; i < parts; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%c = DequantizeLinear %d %d %d; ", 'a' + i, 2 + 3 * i,
                               3 + 3 * i, 4 + 3 * i);
    at += (size_t)snprintf(text + at, sizeof text - at, "z = Concat");
    for (int i = 0; i < parts; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, " %c", 'a' + i);
    (void)snprintf(text + at, sizeof text - at, " *; .0 = QuantizeLinear z 0 1");
    return onnx_spell(im, text);
}

/* ---- Operators of onnxruntime's own ---------------------------------------------------------------------------- */

static const struct onnx_operator microsoft[] = {
    {"Attention", onnx_import_packed_attention, 2, 7,
     " do_rotary mask_filter_value num_heads past_present_share_buffer qkv_hidden_sizes scale unidirectional "},
    {"BiasGelu", onnx_import_composite, 2, 2, ""},
    {"DequantizeLinear", onnx_import_dequantize, 2, 3, " axis block_size "},
    {"DynamicQuantizeMatMul", onnx_import_composite, 3, 5, ""},
    {"FastGelu", onnx_import_composite, 1, 2, ""},
    {"FusedConv", onnx_import_fused_conv, 2, 4,
     " activation activation_params auto_pad dilations group kernel_shape pads strides "},
    {"FusedGemm", onnx_import_fused_gemm, 2, 3,
     " activation activation_alpha activation_beta activation_gamma alpha beta transA transB "},
    {"FusedMatMul", onnx_import_fused_matmul, 2, 2, " alpha transA transB transBatchA transBatchB "},
    {"Gelu", onnx_import_unary, 1, 1, ""},
    {"MatMulBnb4", onnx_import_matmul_bnb4, 3, 3, " K N block_size quant_type training_mode transB "},
    {"MatMulIntegerToFloat", onnx_import_composite, 4, 7, ""},
    {"MatMulNBits", onnx_import_matmul_nbits, 3, 6, " K N accuracy_level bits block_size "},
    {"MultiHeadAttention", onnx_import_multi_head_attention, 1, 10,
     " mask_filter_value num_heads scale unidirectional "},
    {"QGemm", onnx_import_qgemm, 6, 9, " alpha transA transB "},
    {"QLinearAdd", onnx_import_composite, 7, 8, ""},
    {"QLinearAveragePool", onnx_import_qlinear_average_pool, 4, 5,
     " auto_pad ceil_mode channels_last count_include_pad kernel_shape pads strides "},
    {"QLinearConcat", onnx_import_qlinear_concat, 5, -1, " axis "},
    {"QLinearGlobalAveragePool", onnx_import_composite, 4, 5, " channels_last "},
    {"QLinearLeakyRelu", onnx_import_composite, 4, 5, " alpha "},
    {"QLinearMul", onnx_import_composite, 7, 8, ""},
    {"QLinearSigmoid", onnx_import_composite, 4, 5, ""},
    {"QLinearSoftmax", onnx_import_composite, 4, 5, " axis opset "},
    {"QLinearWhere", onnx_import_composite, 9, 9, ""},
    {"QuantizeLinear", onnx_import_quantize, 2, 3, " axis block_size "},
    {"QuickGelu", onnx_import_composite, 1, 1, " alpha "},
    {"SkipLayerNormalization", onnx_import_composite, 3, 5, " epsilon "},
    {"SkipSimplifiedLayerNormalization", onnx_import_composite, 3, 4, " epsilon "},
};

const struct onnx_operator *onnx_find_microsoft(const char *name)
{
    for (size_t i = 0; i < sizeof microsoft / sizeof *microsoft; i++)
        if (strcmp(microsoft[i].name, name) == 0)
            return &microsoft[i];
    return NULL;
}
