/* Attention as files spell it out: products of q and k, a softmax or what constants make of it, and the product with v.
 */
#include <string.h>

#include "core/graph/fuse.h"

#define MOST_ABSORBED 16

/* shares(alpha q k' + mask) v, and the nodes that it is spelt out of.  The shares are a softmax, or a constant factor
 * and a constant summand of it, and that over the sum of its row (gated positions). */
struct attention {
    int q, k, v, mask;
    int factor, summand; /* or none */
    bool summed;         /* over the sum of its row */
    double alpha;
    bool rows; /* k is [..., N, D] */
    int nodes[MOST_ABSORBED], count;
};

static bool absorb(struct attention *a, int node)
{
    if (node == GRAPH_NONE || a->count == MOST_ABSORBED)
        return false;
    a->nodes[a->count++] = node;
    return true;
}

/* One number that all elements are multiplied by. */
static bool is_factor(const struct fusion *f, const struct graph_node *node, double *factor)
{
    const struct graph_tensor *x = tensor_at(f, node->inputs[0]), *y = tensor_at(f, node->output);
    bool divides = node->op == GRAPH_BINARY && node->function == GRAPH_DIVIDE;
    bool general = divides || (node->op == GRAPH_BINARY && node->function == GRAPH_TIMES);

    if ((!general && !is_plain(node, GRAPH_MUL)) || x->rank != y->rank || !scalar_operand(f, node, factor))
        return false;
    *factor = divides ? 1 / *factor : *factor;
    return isfinite(*factor);
}

/* The last two dimensions are exchanged, the others stay. */
static bool turns_matrices(const struct fusion *f, const struct graph_node *node)
{
    int rank = tensor_at(f, node->output)->rank;

    if (node->op != GRAPH_TRANSPOSE || rank < 2 || node->permutation[rank - 1] != rank - 2)
        return false;
    for (int i = 0; i < rank - 2; i++)
        if (node->permutation[i] != i)
            return false;
    return true;
}

/* What input `side` of a node is a multiple of; through turned matrices too, if `turned` is given. */
static int strip(const struct fusion *f, const struct graph_node *node, int side, struct attention *a, bool *turned)
{
    for (;; side = 0) {
        int made_by = sole_source(f, node, side);
        double factor;
        if (made_by == GRAPH_NONE)
            return node->inputs[side];
        if (is_factor(f, node_at(f, made_by), &factor))
            a->alpha *= factor;
        else if (turned != NULL && turns_matrices(f, node_at(f, made_by)))
            *turned = !*turned;
        else
            return node->inputs[side];
        if (!absorb(a, made_by))
            return GRAPH_NONE;
        node = node_at(f, made_by);
    }
}

/* The scores: a multiple of q k'. */
static bool read_scores(const struct fusion *f, const struct graph_node *node, int side, struct attention *a)
{
    struct attention found = *a;
    int product;

    for (product = sole_source(f, node, side); product != GRAPH_NONE;
         product = sole_source(f, node_at(f, product), 0)) {
        double factor;
        if (!absorb(&found, product))
            return false;
        if (node_at(f, product)->op == GRAPH_MATMUL)
            break;
        if (!is_factor(f, node_at(f, product), &factor))
            return false;
        found.alpha *= factor;
    }
    if (product == GRAPH_NONE)
        return false;
    found.q = strip(f, node_at(f, product), 0, &found, NULL);
    found.k = strip(f, node_at(f, product), 1, &found, &found.rows);
    if (found.q == GRAPH_NONE || found.k == GRAPH_NONE)
        return false;
    *a = found;
    return true;
}

static bool reads_constant(const struct fusion *f, const struct graph_node *node)
{
    return tensor_at(f, node->inputs[1])->data != NULL;
}

/* One number for each row of x: the dimensions of x, but for the last, which is 1. */
static bool is_for_rows(const struct graph_tensor *t, const struct graph_tensor *x)
{
    if (t->rank != x->rank || t->rank < 1 || t->dims[t->rank - 1] != 1)
        return false;
    for (int i = 0; i < t->rank - 1; i++)
        if (t->dims[i] != x->dims[i])
            return false;
    return true;
}

/* Is the node x over the sums of its rows?  Then what makes x, which nobody else reads. */
static int read_quotient(const struct fusion *f, int at, struct attention *a)
{
    const struct graph_node *node = node_at(f, at);
    const struct graph_tensor *x = tensor_at(f, node->inputs[0]);
    int sum = sole_source(f, node, 1);

    if (sum == GRAPH_NONE || !is_for_rows(tensor_at(f, node->inputs[1]), x))
        return GRAPH_NONE;
    if (node_at(f, sum)->op == GRAPH_RESHAPE) {
        if (!absorb(a, sum))
            return GRAPH_NONE;
        sum = sole_source(f, node_at(f, sum), 0);
    }
    if (sum == GRAPH_NONE || node_at(f, sum)->op != GRAPH_REDUCE || node_at(f, sum)->function != GRAPH_SUM ||
        node_at(f, sum)->axes != 1u << (x->rank - 1) || node_at(f, sum)->inputs[0] != node->inputs[0] ||
        f->readers[node->inputs[0]] != 2 || !absorb(a, sum) || !absorb(a, at))
        return GRAPH_NONE;
    a->summed = true;
    return source(f, node, 0);
}

/* Where constants turn a softmax into other shares: the node that makes it; GRAPH_NONE where they have another form. */
static int read_gate(const struct fusion *f, int at, struct attention *a)
{
    const struct graph_node *node = node_at(f, at);

    if (node->op == GRAPH_BINARY && node->function == GRAPH_DIVIDE)
        at = read_quotient(f, at, a);
    node = at == GRAPH_NONE ? NULL : node_at(f, at);
    if (node == NULL || !is_function(node, GRAPH_ADD, GRAPH_PLUS) || !reads_constant(f, node) || !absorb(a, at))
        return GRAPH_NONE;
    a->summand = node->inputs[1];
    at = sole_source(f, node, 0);
    node = at == GRAPH_NONE ? NULL : node_at(f, at);
    if (node == NULL || !is_function(node, GRAPH_MUL, GRAPH_TIMES) || !reads_constant(f, node) || !absorb(a, at))
        return GRAPH_NONE;
    a->factor = node->inputs[1];
    return sole_source(f, node, 0);
}

static bool read_attention(const struct fusion *f, int at, struct attention *a)
{
    int softmax = sole_source(f, node_at(f, at), 0), sum;
    const struct graph_node *node;

    if (softmax != GRAPH_NONE && node_at(f, softmax)->op != GRAPH_SOFTMAX)
        softmax = read_gate(f, softmax, a);
    if (softmax == GRAPH_NONE)
        return false;
    node = node_at(f, softmax);
    if (!is_plain(node, GRAPH_SOFTMAX) ||
        node->axis != tensor_at(f, node->output)->rank - 1 || !absorb(a, softmax))
        return false;
    a->v = node_at(f, at)->inputs[1];
    if (read_scores(f, node, 0, a))
        return true;
    sum = sole_source(f, node, 0);
    if (sum == GRAPH_NONE || !is_function(node_at(f, sum), GRAPH_ADD, GRAPH_PLUS) || !absorb(a, sum))
        return false;
    for (int side = 0; side < 2; side++) {
        a->mask = node_at(f, sum)->inputs[!side];
        if (read_scores(f, node_at(f, sum), side, a))
            return true;
    }
    return false;
}

/* Does the tensor, if there is one, broadcast to the scores?  columns: its last dimension. */
static bool broadcasts(const struct fusion *f, const struct attention *a, int tensor, int64_t columns)
{
    const struct graph_tensor *q = tensor_at(f, a->q), *t;

    if (tensor == GRAPH_NONE)
        return true;
    t = tensor_at(f, tensor);
    if (t->rank > q->rank)
        return false;
    for (int m = t->rank - 1, i = q->rank - 1; m >= 0; m--, i--)
        if (t->dims[m] != 1 && t->dims[m] != (i == q->rank - 1 ? columns : q->dims[i]))
            return false;
    return true;
}

/* Matrices of the same number in each, and a mask and a gate that add none. */
static bool fits(const struct fusion *f, const struct attention *a)
{
    const struct graph_tensor *q = tensor_at(f, a->q), *k = tensor_at(f, a->k), *v = tensor_at(f, a->v);
    int64_t columns;

    if (q->rank < 2 || k->rank != q->rank || v->rank != q->rank || q->data != NULL || k->data != NULL ||
        v->data != NULL)
        return false;
    for (int i = 0; i < q->rank - 2; i++)
        if (k->dims[i] != q->dims[i] || v->dims[i] != q->dims[i])
            return false;
    columns = k->dims[q->rank - 1 - a->rows];
    if (a->summand != GRAPH_NONE) {
        const struct graph_tensor *summand = tensor_at(f, a->summand), *factor = tensor_at(f, a->factor);
        if (summand->rank < 1 || summand->dims[summand->rank - 1] != columns || columns < 1 ||
            (factor->rank > 0 && factor->dims[factor->rank - 1] != 1))
            return false;
    }
    return broadcasts(f, a, a->mask, columns) && broadcasts(f, a, a->factor, columns) &&
           broadcasts(f, a, a->summand, columns);
}

/* ---- The gate's constants, of rows whose sum is 1 ---------------------------------------------------------------- */

/* The row of a constant, counted along all dimensions but the last of `shape`, to which it broadcasts. */
static size_t row_of(const struct graph_tensor *t, const struct graph_tensor *shape, size_t row)
{
    size_t at = 0, step = 1;

    for (int d = shape->rank - 2, o = t->rank - 2; o >= 0; d--, o--) {
        at += t->dims[o] == 1 ? 0 : row % (size_t)shape->dims[d] * step;
        step *= (size_t)t->dims[o];
        row /= (size_t)shape->dims[d];
    }
    return at;
}

/* A softmax's row sums to 1, so the gated row to factor + sum(summand): what it is divided by is known.  False where
 * the sum is so much smaller than what it is made of that rounding would tell. */
static bool divide_row(float factor, const float *summand, float *new_factor, float *new_summand, size_t n)
{
    double sum = (double)factor, size = fabs((double)factor);

    for (size_t i = 0; i < n; i++) {
        sum += (double)summand[i];
        size += fabs((double)summand[i]);
    }
    *new_factor = (float)((double)factor / sum);
    for (size_t i = 0; i < n; i++)
        new_summand[i] = (float)((double)summand[i] / sum);
    return fabs(sum) >= size / 2 && sum != 0;
}

/* The dimensions of both constants, all of them 1 or the same. */
static struct graph_tensor gate_shape(const struct fusion *f, const struct attention *a)
{
    const struct graph_tensor *parts[2] = {tensor_at(f, a->factor), tensor_at(f, a->summand)};
    struct graph_tensor shape = {.rank = parts[0]->rank > parts[1]->rank ? parts[0]->rank : parts[1]->rank};

    for (int d = 0; d < shape.rank; d++)
        shape.dims[d] = 1;
    for (int side = 0; side < 2; side++)
        for (int d = 0, at = shape.rank - parts[side]->rank; d < parts[side]->rank; d++, at++)
            shape.dims[at] = parts[side]->dims[d] > 1 ? parts[side]->dims[d] : shape.dims[at];
    return shape;
}

#define MOST_GATE ((size_t)1 << 24) /* numbers: the file's own may be fewer, and broadcast */

/* The constants become those of the rows over their sums; *fine: they can. */
static enum infomask_status divide_gate(struct fusion *f, struct attention *a, bool *fine)
{
    struct graph_tensor shape = gate_shape(f, a), rows = shape;
    size_t n = (size_t)shape.dims[shape.rank - 1], count = graph_elements(&shape) / n;
    float *factors, *summands;
    int factor, summand;
    enum infomask_status status;

    *fine = count <= MOST_GATE / n;
    if (!*fine)
        return INFOMASK_OK;
    rows.dims[rows.rank - 1] = 1;
    status = graph_new_constant(f->graph, rows.rank, rows.dims, &factor, &factors, f->err);
    if (status == INFOMASK_OK)
        status = graph_new_constant(f->graph, shape.rank, shape.dims, &summand, &summands, f->err);
    for (size_t row = 0; status == INFOMASK_OK && *fine && row < count; row++) {
        const struct graph_tensor *by = tensor_at(f, a->factor), *plus = tensor_at(f, a->summand);
        *fine = divide_row(by->data[row_of(by, &shape, row)], plus->data + row_of(plus, &shape, row) * n,
                           &factors[row], summands + row * n, n);
    }
    if (status == INFOMASK_OK) {
        a->factor = factor;
        a->summand = summand;
    }
    return status;
}

static enum infomask_status become_attention(struct fusion *f, int at, const struct attention *a)
{
    struct graph_node *node = node_at(f, at);
    const int inputs[6] = {a->q, a->k, a->v, a->mask, a->factor, a->summand};

    if (!set_input_count(node, a->summand != GRAPH_NONE ? 6 : 4))
        return error_set(f->err, INFOMASK_MEMORY, "no memory to fuse the model's graph");
    for (int i = 0; i < node->input_count; i++)
        if (i != 2 && inputs[i] != GRAPH_NONE && inputs[i] < f->capacity)
            f->readers[inputs[i]]++;
    read_less(f, node->inputs[0]); /* v was read before */
    for (int i = 0; i < a->count; i++)
        kill_node(f, a->nodes[i]);
    node->op = GRAPH_ATTENTION;
    memcpy(node->inputs, inputs, (size_t)node->input_count * sizeof *inputs);
    node->alpha = (float)a->alpha;
    node->axis = a->rows;
    return INFOMASK_OK;
}

enum infomask_status fuse_attention(struct fusion *f, int at, bool *changed)
{
    struct attention a = {.alpha = 1, .mask = GRAPH_NONE, .factor = GRAPH_NONE, .summand = GRAPH_NONE};
    bool fine = true;
    enum infomask_status status = INFOMASK_OK;

    if (node_at(f, at)->op != GRAPH_MATMUL || !read_attention(f, at, &a) || !fits(f, &a) || !isfinite((float)a.alpha))
        return INFOMASK_OK;
    if (a.summed)
        status = divide_gate(f, &a, &fine);
    if (status != INFOMASK_OK || !fine)
        return status;
    *changed = true;
    return become_attention(f, at, &a);
}
