/* What files spell out of general operators: Gelu and norms. */
#include <string.h>

#include "core/graph/fuse.h"

/* ---- Activations ------------------------------------------------------------------------------------------------- */

void fuse_spell_unary(struct fusion *f, int at, bool *changed)
{
    struct graph_node *node = node_at(f, at);

    if (node->op != GRAPH_UNARY)
        return;
    switch (node->function) {
    case GRAPH_GELU:
        node->activation = GRAPH_GELU_ACTIVATION;
        break;
    case GRAPH_GELU_TANH:
        node->activation = GRAPH_GELU_TANH_ACTIVATION;
        break;
    case GRAPH_TANH:
        node->activation = GRAPH_TANH_ACTIVATION;
        break;
    case GRAPH_SWISH:
        if (node->alpha != 1.0f)
            return;
        node->activation = GRAPH_SILU;
        break;
    default:
        return;
    }
    node->op = GRAPH_ACTIVATION;
    *changed = true;
}

#define MOST_FACTORS 3

/* A product of factors: a constant and what is computed, with the nodes between that nobody else reads. */
struct factors {
    double constant;
    int tensors[MOST_FACTORS], count;
    int inner[MOST_FACTORS], inner_count;
};

static void add_factors(const struct fusion *f, const struct graph_node *node, struct factors *p)
{
    double value;
    int sides = 2;

    if (scalar_operand(f, node, &value)) {
        p->constant *= value;
        sides = 1;
    }
    for (int side = 0; side < sides; side++) {
        int made_by = sole_source(f, node, side);
        bool inner = made_by != GRAPH_NONE && is_plain(node_at(f, made_by), GRAPH_MUL);
        if (inner && p->inner_count < MOST_FACTORS) {
            p->inner[p->inner_count++] = made_by;
            add_factors(f, node_at(f, made_by), p);
        } else if (p->count < MOST_FACTORS) {
            p->tensors[p->count++] = node->inputs[side];
        } else {
            p->constant = NAN; /* too many: no form that is known */
        }
    }
}

/* Is the tensor, which nobody else reads, 1 + erf(x sqrt(1 / 2))?  Then the three nodes that make it, and x. */
static bool is_erf_plus_one(const struct fusion *f, int tensor, int nodes[3], int *x)
{
    double value;

    nodes[0] = tensor >= f->capacity || f->readers[tensor] != 1 ? GRAPH_NONE : f->producer[tensor];
    if (nodes[0] == GRAPH_NONE || !is_plain(node_at(f, nodes[0]), GRAPH_ADD) ||
        !scalar_operand(f, node_at(f, nodes[0]), &value) || !close_to(value, 1))
        return false;
    nodes[1] = sole_source(f, node_at(f, nodes[0]), 0);
    if (nodes[1] == GRAPH_NONE || node_at(f, nodes[1])->op != GRAPH_UNARY ||
        node_at(f, nodes[1])->function != GRAPH_ERF)
        return false;
    nodes[2] = sole_source(f, node_at(f, nodes[1]), 0);
    if (nodes[2] == GRAPH_NONE || !is_plain(node_at(f, nodes[2]), GRAPH_MUL) ||
        !scalar_operand(f, node_at(f, nodes[2]), &value) || !close_to(value, 0.70710678118654752440))
        return false;
    *x = node_at(f, nodes[2])->inputs[0];
    return true;
}

void fuse_spell_gelu(struct fusion *f, int at, bool *changed)
{
    struct graph_node *node = node_at(f, at);
    struct factors p = {.constant = 1};
    int nodes[3], x;

    if (!is_plain(node, GRAPH_MUL))
        return;
    add_factors(f, node, &p);
    if (p.count != 2 || !close_to(p.constant, 0.5))
        return;
    for (int side = 0; side < 2; side++) {
        if (!is_erf_plus_one(f, p.tensors[side], nodes, &x) || p.tensors[!side] != x)
            continue;
        for (int i = 0; i < p.inner_count; i++)
            kill_node(f, p.inner[i]);
        for (int i = 0; i < 3; i++)
            kill_node(f, nodes[i]);
        become_activation(f, at, GRAPH_NONE, x, GRAPH_GELU_ACTIVATION);
        *changed = true;
        return;
    }
}

/* ---- Norms ------------------------------------------------------------------------------------------------------- */

/* x less its mean over a dimension, by the root of their square's: LayerNormalization.  Where the dimension is a map's
 * channels, it is the one that PyTorch's networks for images spell out, since its own wants them last. */
struct spelt_norm {
    int axis;
    double epsilon;
    int difference, mean, root, sum, variance, square; /* the nodes before the quotient */
};

/* The mean over dimension `axis`, which stays. */
static bool is_mean(const struct fusion *f, int i, int axis)
{
    const struct graph_node *node = i == GRAPH_NONE ? NULL : node_at(f, i);
    return node != NULL && node->op == GRAPH_REDUCE && node->function == GRAPH_MEAN && node->keep_dims &&
           node->axes == 1u << axis;
}

/* d * d, or d to the power of 2. */
static bool is_square(const struct fusion *f, int i, int d)
{
    const struct graph_node *node = i == GRAPH_NONE ? NULL : node_at(f, i);
    double power = 0;

    if (node == NULL || node->inputs[0] != d)
        return false;
    if (node->op == GRAPH_BINARY && node->function == GRAPH_POWER)
        return scalar_operand(f, node, &power) && power == 2;
    return is_function(node, GRAPH_MUL, GRAPH_TIMES) && node->inputs[1] == d;
}

/* sqrt(mean(d^2) + epsilon) as the divisor of d */
static bool read_deviation(const struct fusion *f, const struct graph_node *node, struct spelt_norm *n)
{
    int d = node->inputs[0];

    n->root = sole_source(f, node, 1);
    if (n->root == GRAPH_NONE || node_at(f, n->root)->op != GRAPH_UNARY ||
        node_at(f, n->root)->function != GRAPH_SQRT)
        return false;
    n->sum = sole_source(f, node_at(f, n->root), 0);
    if (n->sum == GRAPH_NONE || !is_function(node_at(f, n->sum), GRAPH_ADD, GRAPH_PLUS) ||
        !scalar_operand(f, node_at(f, n->sum), &n->epsilon))
        return false;
    n->variance = sole_source(f, node_at(f, n->sum), 0);
    if (!is_mean(f, n->variance, n->axis))
        return false;
    n->square = sole_source(f, node_at(f, n->variance), 0);
    return is_square(f, n->square, d) && f->readers[d] == (node_at(f, n->square)->inputs[1] == d ? 3 : 2);
}

/* d / sqrt(mean(d^2) + epsilon) with d = x - mean(x) */
static bool read_norm(const struct fusion *f, const struct graph_node *node, struct spelt_norm *n)
{
    const struct graph_node *difference;
    int rank = tensor_at(f, node->output)->rank;

    n->difference = source(f, node, 0);
    if (n->difference == GRAPH_NONE || node_at(f, n->difference)->op != GRAPH_BINARY ||
        node_at(f, n->difference)->function != GRAPH_MINUS)
        return false;
    difference = node_at(f, n->difference);
    n->mean = sole_source(f, difference, 1);
    n->axis = rank == 4 && is_mean(f, n->mean, 1) ? 1 : rank - 1;
    return is_mean(f, n->mean, n->axis) && node_at(f, n->mean)->inputs[0] == difference->inputs[0] &&
           read_deviation(f, node, n);
}

static void become_turn(struct fusion *f, int at, int x, const int permutation[4])
{
    struct graph_node *node = node_at(f, at);
    struct graph_tensor *y = &f->graph->tensors[node->output];

    node->op = GRAPH_TRANSPOSE;
    node->input_count = 1;
    node->inputs[0] = x;
    y->rank = 4;
    for (int i = 0; i < 4; i++) {
        node->permutation[i] = permutation[i];
        y->dims[i] = tensor_at(f, x)->dims[permutation[i]];
    }
    f->readers[x]++;
}

/* Of channels: turned to be last, and back again.  Two of the nodes that go leave their places for it. */
static enum infomask_status become_norm(struct fusion *f, int at, const struct spelt_norm *n)
{
    static const int to_last[] = {0, 2, 3, 1}, from_last[] = {0, 3, 1, 2};
    const int gone[] = {n->difference, n->mean, n->root, n->sum, n->variance, n->square};
    bool turned = n->axis != tensor_at(f, node_at(f, at)->output)->rank - 1;
    int x = node_at(f, n->difference)->inputs[0], norm = turned ? n->root : at;
    struct graph_node *node = node_at(f, norm);

    if (!set_input_count(node, 3))
        return error_set(f->err, INFOMASK_MEMORY, "no memory to fuse the model's graph");
    for (size_t i = 0; i < sizeof gone / sizeof gone[0]; i++)
        kill_node(f, gone[i]);
    read_less(f, node_at(f, at)->inputs[0]);
    read_less(f, node_at(f, at)->inputs[1]);
    if (turned) {
        f->dead[n->mean] = f->dead[norm] = false;
        become_turn(f, n->mean, x, to_last);
        x = node_at(f, n->mean)->output;
        f->graph->tensors[node->output].rank = 4;
        memcpy(f->graph->tensors[node->output].dims, tensor_at(f, x)->dims, sizeof tensor_at(f, x)->dims);
    }
    node->op = GRAPH_LAYER_NORM;
    node->function = GRAPH_CENTRED;
    node->axis = tensor_at(f, node->output)->rank - 1;
    node->epsilon = (float)n->epsilon;
    node->inputs[0] = x;
    node->inputs[1] = node->inputs[2] = GRAPH_NONE;
    f->readers[x]++;
    if (turned)
        become_turn(f, at, node->output, from_last);
    return INFOMASK_OK;
}

/* Does the node multiply, or add to, each element of the rows of a norm by one of its own?  The norm, also through a
 * turn that brings channels back; *last: what the norm's row gives, itself or the turn. */
static int norm_before(const struct fusion *f, const struct graph_node *node, int *last)
{
    const struct graph_tensor *operand = tensor_at(f, node->inputs[1]), *y = tensor_at(f, node->output);
    int at = *last = sole_source(f, node, 0);
    struct affine affine;

    if (at == GRAPH_NONE || operand->data == NULL || operand->rank < 1 ||
        !graph_same_shape(y, tensor_at(f, node_at(f, at)->output)))
        return GRAPH_NONE;
    if (node_at(f, at)->op == GRAPH_LAYER_NORM)
        return operand->dims[operand->rank - 1] == y->dims[y->rank - 1] &&
                       graph_elements(operand) == (size_t)y->dims[y->rank - 1]
                   ? at
                   : GRAPH_NONE;
    if (node_at(f, at)->op != GRAPH_TRANSPOSE || y->rank != 4 || node_at(f, at)->permutation[1] != 3 ||
        !fuse_is_affine(f, node, 1, &affine) || affine.single)
        return GRAPH_NONE;
    at = sole_source(f, node_at(f, at), 0);
    return at != GRAPH_NONE && node_at(f, at)->op == GRAPH_LAYER_NORM ? at : GRAPH_NONE;
}

/* A factor or summand for each element of a norm's rows, which it takes before the activation: a vector of its own. */
static enum infomask_status absorb_affine(struct fusion *f, int *at, bool *changed)
{
    const struct graph_node *node = node_at(f, *at);
    bool scales = is_function(node, GRAPH_MUL, GRAPH_TIMES), shifts = is_function(node, GRAPH_ADD, GRAPH_PLUS);
    int last, norm = scales || shifts ? norm_before(f, node, &last) : GRAPH_NONE, vector;
    enum infomask_status status;
    struct graph_node *to;
    int64_t n;
    float *data;

    if (norm == GRAPH_NONE)
        return INFOMASK_OK;
    to = node_at(f, norm);
    if (to->input_count != 3 || to->axis != tensor_at(f, to->output)->rank - 1 || to->inputs[2] != GRAPH_NONE ||
        (scales && to->inputs[1] != GRAPH_NONE))
        return INFOMASK_OK;
    n = (int64_t)graph_elements(tensor_at(f, node->inputs[1]));
    status = graph_new_constant(f->graph, 1, &n, &vector, &data, f->err);
    if (status != INFOMASK_OK)
        return status;
    memcpy(data, tensor_at(f, node->inputs[1])->data, (size_t)n * sizeof *data);
    to->inputs[scales ? 1 : 2] = vector;
    take_output(f, last, *at);
    *at = last;
    *changed = true;
    return INFOMASK_OK;
}

enum infomask_status fuse_spell_norm(struct fusion *f, int *at, bool *changed)
{
    const struct graph_node *node = node_at(f, *at);
    struct spelt_norm norm;

    if (node->op == GRAPH_BINARY && node->function == GRAPH_DIVIDE && read_norm(f, node, &norm)) {
        *changed = true;
        return become_norm(f, *at, &norm);
    }
    return absorb_affine(f, at, changed);
}
