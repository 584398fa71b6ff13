/* Output shapes of the general operators. */
#include <limits.h>

#include "core/graph/general/general.h"

#define UNKNOWN (-1)

struct question {
    const struct graph_node *node;
    const struct graph_array *in;
    struct graph_array *y;
    struct infomask_error *err;
};

#define MISFIT(...) graph_refuse(q->err, INFOMASK_UNSUPPORTED_MODEL, q->node, __VA_ARGS__)

/* y becomes what it and x broadcast to. */
static enum infomask_status broadcast(struct question *q, const struct graph_array *x)
{
    struct graph_array *y = q->y;
    int rank = x->rank > y->rank ? x->rank : y->rank;
    int64_t dims[GRAPH_MAX_RANK];

    for (int i = 0; i < rank; i++) {
        int xi = i - (rank - x->rank), yi = i - (rank - y->rank);
        int64_t a = xi < 0 ? 1 : x->dims[xi], b = yi < 0 ? 1 : y->dims[yi];
        if (a != b && a != 1 && b != 1)
            return MISFIT("shapes that do not broadcast, dimension %d is %lld and %lld", i, (long long)b, (long long)a);
        dims[i] = a == 1 ? b : a;
    }
    y->rank = rank;
    for (int i = 0; i < rank; i++)
        y->dims[i] = dims[i];
    return INFOMASK_OK;
}

static enum infomask_status broadcast_all(struct question *q)
{
    enum infomask_status status = INFOMASK_OK;

    *q->y = q->in[0];
    for (int i = 1; status == INFOMASK_OK && i < q->node->input_count; i++)
        status = broadcast(q, &q->in[i]);
    return status;
}

static enum infomask_status matmul(struct question *q)
{
    struct graph_array a = q->in[0], b = q->in[1];
    int64_t m = 1, n = 1;
    enum infomask_status status;

    if (a.rank < 2 || b.rank < 2)
        return MISFIT("operands of fewer than two dimensions");
    if (a.dims[a.rank - 1] != b.dims[b.rank - 2])
        return MISFIT("%lld columns times %lld rows", (long long)a.dims[a.rank - 1], (long long)b.dims[b.rank - 2]);
    m = a.dims[a.rank - 2];
    n = b.dims[b.rank - 1];
    a.rank -= 2;
    b.rank -= 2;
    *q->y = a;
    status = broadcast(q, &b);
    if (status != INFOMASK_OK || q->y->rank + 2 > GRAPH_MAX_RANK)
        return status != INFOMASK_OK ? status : MISFIT("too many dimensions");
    q->y->dims[q->y->rank++] = m;
    q->y->dims[q->y->rank++] = n;
    return INFOMASK_OK;
}

/* Matrices side by side, the same number of each. */
static enum infomask_status attention(struct question *q)
{
    const struct graph_array *a = &q->in[0], *k = &q->in[1], *v = &q->in[2];
    int last = a->rank - 1, rows = last - q->node->axis, depth = last - !q->node->axis;
    struct graph_array scores = *a, whole;
    enum infomask_status status;

    if (a->rank < 2 || k->rank != a->rank || v->rank != a->rank || a->dims[last] != k->dims[depth] ||
        k->dims[rows] != v->dims[last - 1])
        return MISFIT("q, k and v of sizes that do not fit");
    for (int i = 0; i < last - 1; i++)
        if (k->dims[i] != a->dims[i] || v->dims[i] != a->dims[i])
            return MISFIT("q, k and v of different numbers");
    scores.dims[last] = k->dims[rows];
    whole = scores;
    if (q->node->input_count > 3 && q->in[3].rank >= 0) {
        *q->y = scores;
        status = broadcast(q, &q->in[3]);
        if (status != INFOMASK_OK)
            return status;
        for (int i = 0; i <= last; i++)
            if (q->y->rank != whole.rank || q->y->dims[i] != whole.dims[i])
                return MISFIT("a mask that is larger than the scores");
    }
    *q->y = *a;
    q->y->dims[last] = v->dims[last];
    return INFOMASK_OK;
}

static enum infomask_status reduce(struct question *q)
{
    const struct graph_array *x = &q->in[0];

    q->y->rank = 0;
    for (int i = 0; i < x->rank; i++) {
        bool gone = q->node->axes >> i & 1;
        if (!gone || q->node->keep_dims)
            q->y->dims[q->y->rank++] = gone ? 1 : x->dims[i];
    }
    return INFOMASK_OK;
}

static enum infomask_status layer_norm(struct question *q)
{
    const struct graph_array *x = &q->in[0];

    if (q->node->axis < 0 || q->node->axis >= x->rank)
        return MISFIT("its axis is outside its input");
    for (int i = q->node->axis; i < x->rank; i++)
        if (x->dims[i] == UNKNOWN)
            return MISFIT("it runs over a size that the file leaves open");
    *q->y = *x;
    for (int k = 1; k < q->node->input_count; k++) {
        const struct graph_array *s = &q->in[k];
        int normed = x->rank - q->node->axis;
        if (s->rank < 0)
            continue;
        if (s->rank > normed)
            return MISFIT("a scale or bias of %d dimensions, where %d are normalised", s->rank, normed);
        for (int i = 0; i < s->rank; i++)
            if (s->dims[i] != 1 && s->dims[i] != x->dims[x->rank - s->rank + i])
                return MISFIT("a scale or bias of another size than its input");
    }
    return INFOMASK_OK;
}

/* Start and number of the elements that a slice takes of a dimension; both clamped as ONNX says. */
int64_t graph_slice_range(const struct graph_node *node, int rank, int axis, int64_t size, int64_t *start)
{
    const int64_t *v = node->table->v;
    int64_t from = v[axis], to = v[rank + axis], step = v[2 * rank + axis];

    from += from < 0 && from > -INT64_MAX ? size : 0;
    to += to < 0 && to > -INT64_MAX ? size : 0;
    if (step > 0) {
        from = from < 0 ? 0 : from > size ? size : from;
        to = to < 0 ? 0 : to > size ? size : to;
        *start = from;
        return to > from ? (to - from + step - 1) / step : 0;
    }
    from = from < 0 ? 0 : from >= size ? size - 1 : from;
    to = to < -1 ? -1 : to >= size ? size - 1 : to;
    *start = from;
    return from > to ? (from - to - step - 1) / -step : 0;
}

static enum infomask_status slice(struct question *q)
{
    const struct graph_array *x = &q->in[0];
    const struct graph_table *t = q->node->table;

    if (t->count != 3 * (size_t)x->rank)
        return MISFIT("a slice of another number of dimensions");
    *q->y = *x;
    for (int i = 0; i < x->rank; i++) {
        int64_t start;
        bool whole = t->v[i] == 0 && t->v[x->rank + i] == INT64_MAX && t->v[2 * x->rank + i] == 1;
        if (t->v[2 * x->rank + i] == 0)
            return MISFIT("a step of 0");
        if (x->dims[i] == UNKNOWN) {
            if (!whole && i == 0)
                return MISFIT("it cuts the batch");
            continue;
        }
        q->y->dims[i] = graph_slice_range(q->node, x->rank, i, x->dims[i], &start);
        if (q->y->dims[i] < 1)
            return MISFIT("it leaves nothing of dimension %d", i);
    }
    return INFOMASK_OK;
}

static enum infomask_status gather(struct question *q)
{
    const struct graph_array *x = &q->in[0];
    const int64_t *v = q->node->table->v;
    int axis = q->node->axis, rank = (int)v[0], at = 0;

    if (axis < 0 || axis >= x->rank || x->rank - 1 + rank > GRAPH_MAX_RANK)
        return MISFIT("its axis is outside its input, or it has too many dimensions");
    if (x->dims[axis] == UNKNOWN)
        return MISFIT("it picks from a size that the file leaves open");
    for (size_t i = 1 + (size_t)rank; i < q->node->table->count; i++)
        if (v[i] >= x->dims[axis] || v[i] < -x->dims[axis])
            return MISFIT("index %lld is outside dimension %d", (long long)v[i], axis);
    for (int i = 0; i < axis; i++)
        q->y->dims[at++] = x->dims[i];
    for (int i = 0; i < rank; i++)
        q->y->dims[at++] = v[1 + i];
    for (int i = axis + 1; i < x->rank; i++)
        q->y->dims[at++] = x->dims[i];
    q->y->rank = at;
    return INFOMASK_OK;
}

static enum infomask_status take(struct question *q)
{
    int64_t n = 1;

    for (int i = 0; i < q->in[0].rank; i++)
        if (q->in[0].dims[i] < 1 || __builtin_mul_overflow(n, q->in[0].dims[i], &n))
            return MISFIT("it picks from a size that the file leaves open");
    for (size_t i = 0; i < q->node->table->count; i++)
        if (q->node->table->v[i] >= n || q->node->table->v[i] < -1)
            return MISFIT("an index is outside its input");
    return INFOMASK_OK; /* the output's shape is what the node was built with */
}

static enum infomask_status expand(struct question *q)
{
    const struct graph_table *t = q->node->table;
    struct graph_array target = {.rank = (int)t->count};

    for (size_t i = 0; i < t->count; i++)
        target.dims[i] = t->v[i];
    *q->y = q->in[0];
    return broadcast(q, &target);
}

static enum infomask_status pad(struct question *q)
{
    const struct graph_array *x = &q->in[0];
    const struct graph_table *t = q->node->table;

    if (t->count != 2 * (size_t)x->rank)
        return MISFIT("pads of another number of dimensions");
    *q->y = *x;
    for (int i = 0; i < x->rank; i++) {
        int64_t before = t->v[i], after = t->v[x->rank + i];
        if (x->dims[i] == UNKNOWN) {
            if (i == 0 && (before || after))
                return MISFIT("it pads the batch");
            continue;
        }
        q->y->dims[i] += before + after;
        if (q->y->dims[i] < 1)
            return MISFIT("it leaves nothing of dimension %d", i);
        if (q->node->function == GRAPH_PAD_REFLECT && (before >= x->dims[i] || after >= x->dims[i]))
            return MISFIT("it reflects more than there is");
    }
    return INFOMASK_OK;
}

static enum infomask_status resize(struct question *q)
{
    const struct graph_array *x = &q->in[0];

    *q->y = *x;
    if (q->node->table->count != (size_t)x->rank)
        return MISFIT("sizes of another number of dimensions");
    for (int i = 0; i < x->rank; i++) {
        if (x->dims[i] == UNKNOWN && i == 0 && (q->node->table->v[0] > 0 || q->node->resize->scales[0] < 1 ||
                                               q->node->resize->scales[0] > 1))
            return MISFIT("it resizes the batch");
        if (x->dims[i] == UNKNOWN)
            continue;
        q->y->dims[i] = general_resize_size(q->node, i, x->dims[i]);
        if (q->y->dims[i] < 1)
            return MISFIT("it leaves nothing of dimension %d", i);
    }
    return INFOMASK_OK;
}

static enum infomask_status windows(struct question *q, int64_t channels)
{
    const struct general_window w = general_window_of(q->node);
    const struct graph_array *x = &q->in[0];

    if (x->rank != w.dims + 2)
        return MISFIT("a window of %d dimensions on a tensor of %d", w.dims, x->rank);
    *q->y = *x;
    q->y->dims[1] = channels;
    for (int i = 0; i < w.dims; i++) {
        if (x->dims[2 + i] == UNKNOWN)
            return MISFIT("it runs over a size that the file leaves open");
        q->y->dims[2 + i] = general_window_output(&w, i, x->dims[2 + i], NULL);
        if (q->y->dims[2 + i] < 1)
            return MISFIT("its window does not fit an input of %lld", (long long)x->dims[2 + i]);
    }
    return INFOMASK_OK;
}

static enum infomask_status conv(struct question *q)
{
    const struct graph_array *x = &q->in[0], *w = &q->in[1];
    const struct general_window window = general_window_of(q->node);

    if (w->rank != window.dims + 2 || x->rank != w->rank || x->dims[1] != w->dims[1] * window.groups ||
        w->dims[0] % window.groups != 0)
        return MISFIT("weights that do not fit its input");
    for (int i = 0; i < window.dims; i++)
        if (w->dims[2 + i] != window.kernel[i])
            return MISFIT("weights of another size than its kernel");
    if (q->node->input_count > 2 && q->in[2].rank >= 0 && (q->in[2].rank != 1 || q->in[2].dims[0] != w->dims[0]))
        return MISFIT("a bias that does not fit its weights");
    return windows(q, w->dims[0]);
}

enum infomask_status graph_general_shape(const struct graph_node *node, const struct graph_array *inputs,
                                         struct graph_array *output, struct infomask_error *err)
{
    struct question question = {node, inputs, output, err}, *q = &question;

    switch (node->op) {
    case GRAPH_BINARY:
    case GRAPH_WHERE:
        return broadcast_all(q);
    case GRAPH_MATMUL:
        return matmul(q);
    case GRAPH_ATTENTION:
        return attention(q);
    case GRAPH_REDUCE:
        return reduce(q);
    case GRAPH_LAYER_NORM:
        return layer_norm(q);
    case GRAPH_SLICE:
        return slice(q);
    case GRAPH_GATHER:
        return gather(q);
    case GRAPH_TAKE:
        return take(q);
    case GRAPH_EXPAND:
        return expand(q);
    case GRAPH_PAD:
        return pad(q);
    case GRAPH_RESIZE:
        return resize(q);
    case GRAPH_CONV_ND:
        return conv(q);
    case GRAPH_POOL_ND:
        return windows(q, inputs[0].rank > 1 ? inputs[0].dims[1] : 0);
    default: /* UNARY, CUMULATE, LRN, QUANTIZE */
        *output = inputs[0];
        return INFOMASK_OK;
    }
}
