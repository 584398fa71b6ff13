/* The oracle's general operators: row-major, any rank, in double. */
#ifndef TESTS_UNIT_ENGINE_ORACLE_GENERAL_H
#define TESTS_UNIT_ENGINE_ORACLE_GENERAL_H

#include "engine/oracle_tensor.h"

/* Each element of y from the one of x whose index `from` makes of its own. */
static void oracle_pick(const struct oracle_tensor *x, struct oracle_tensor *y,
                        void (*from)(const void *context, const size_t *index, size_t *source), const void *context)
{
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(y); i++) {
        size_t index[GRAPH_MAX_RANK], source[GRAPH_MAX_RANK] = {0}, rest = i, at = 0;
        for (int d = y->rank - 1; d >= 0; d--) {
            index[d] = rest % y->d[d];
            rest /= y->d[d];
        }
        from(context, index, source);
        for (int d = 0; d < x->rank; d++)
            at = at * x->d[d] + source[d];
        y->v[i] = x->v[at];
    }
}

struct oracle_slice {
    int rank;
    const int64_t *v; /* starts, ends, steps, all inside */
};

static void oracle_slice_from(const void *context, const size_t *index, size_t *source)
{
    const struct oracle_slice *s = context;
    for (int d = 0; d < s->rank; d++)
        source[d] = (size_t)(s->v[d] + (int64_t)index[d] * s->v[2 * s->rank + d]);
}

static void oracle_slice(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    struct oracle_slice s = {x->rank, node->table->v};

    *y = *x;
    for (int d = 0; d < x->rank; d++) {
        int64_t end = s.v[x->rank + d] < (int64_t)x->d[d] ? s.v[x->rank + d] : (int64_t)x->d[d];
        int64_t step = s.v[2 * x->rank + d];
        y->d[d] = (size_t)((end - s.v[d] + step - 1) / step);
    }
    oracle_pick(x, y, oracle_slice_from, &s);
}

struct oracle_gather {
    int rank, axis;
    size_t index;
};

static void oracle_gather_from(const void *context, const size_t *index, size_t *source)
{
    const struct oracle_gather *g = context;
    for (int d = 0, at = 0; d < g->rank; d++)
        source[d] = d == g->axis ? g->index : index[at++];
}

/* One index, whose dimension goes. */
static void oracle_gather(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    struct oracle_gather g = {x->rank, node->axis, (size_t)node->table->v[1]};

    *y = (struct oracle_tensor){.rank = x->rank - 1};
    for (int d = 0, at = 0; d < x->rank; d++)
        if (d != node->axis)
            y->d[at++] = x->d[d];
    oracle_pick(x, y, oracle_gather_from, &g);
}

/* The same number of matrices on both sides. */
static void oracle_matmul(const struct oracle_tensor *a, const struct oracle_tensor *b, struct oracle_tensor *y)
{
    size_t m = a->d[a->rank - 2], k = a->d[a->rank - 1], n = b->d[b->rank - 1];

    *y = *a;
    y->d[y->rank - 1] = n;
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(y); i++) {
        size_t matrix = i / (m * n), row = i / n % m, column = i % n;
        for (size_t j = 0; j < k; j++)
            y->v[i] += a->v[(matrix * m + row) * k + j] * b->v[(matrix * k + j) * n + column];
    }
}

/* Over the last dimension. */
static void oracle_layer_norm(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    const struct oracle_tensor *x = &t[node->inputs[0]];
    size_t n = x->d[x->rank - 1];

    *y = *x;
    oracle_new(y);
    for (size_t row = 0; row < oracle_count(x); row += n) {
        double mean = 0, square = 0;
        for (size_t i = 0; i < n; i++)
            mean += x->v[row + i] / (double)n;
        mean = node->function == GRAPH_RMS ? 0 : mean;
        for (size_t i = 0; i < n; i++)
            square += (x->v[row + i] - mean) * (x->v[row + i] - mean) / (double)n;
        for (size_t i = 0; i < n; i++) {
            double v = (x->v[row + i] - mean) / sqrt(square + (double)node->epsilon);
            v *= graph_input(node, 1) < 0 ? 1 : t[node->inputs[1]].v[i];
            y->v[row + i] = v + (graph_input(node, 2) < 0 ? 0 : t[node->inputs[2]].v[i]);
        }
    }
}

static void oracle_unary(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    *y = *x;
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(x); i++) {
        double v = x->v[i];
        if (node->function == GRAPH_ERF)
            v = erf(v);
        else if (node->function == GRAPH_GELU)
            v = v * (1 + erf(v / sqrt(2))) / 2;
        else if (node->function == GRAPH_TANH)
            v = tanh(v);
        else if (node->function == GRAPH_SQRT)
            v = sqrt(v);
        else
            fail_msg("the oracle has no such function");
        y->v[i] = v;
    }
}

/* The mean or the sum over the last dimension, which stays. */
static void oracle_reduce(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    size_t n = x->d[x->rank - 1];

    *y = *x;
    y->d[y->rank - 1] = 1;
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(x); i++)
        y->v[i / n] += x->v[i] / (node->function == GRAPH_SUM ? 1 : (double)n);
}

/* Dimensions of b are those of a, or 1. */
static void oracle_binary(const struct graph_node *node, const struct oracle_tensor *a, const struct oracle_tensor *b,
                          struct oracle_tensor *y)
{
    *y = *a;
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(a); i++) {
        size_t rest = i, step = 1, at = 0;
        for (int d = a->rank - 1; d >= 0; d--) {
            at += b->d[d] == 1 ? 0 : rest % a->d[d] * step;
            rest /= a->d[d];
            step *= b->d[d];
        }
        y->v[i] = node->function == GRAPH_MINUS    ? a->v[i] - b->v[at]
                  : node->function == GRAPH_DIVIDE ? a->v[i] / b->v[at]
                                                   : pow(a->v[i], b->v[at]);
    }
}

static bool oracle_general(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    const struct oracle_tensor *x = &t[node->inputs[0]];

    switch (node->op) {
    case GRAPH_SLICE:
        oracle_slice(node, x, y);
        return true;
    case GRAPH_GATHER:
        oracle_gather(node, x, y);
        return true;
    case GRAPH_MATMUL:
        oracle_matmul(x, &t[node->inputs[1]], y);
        return true;
    case GRAPH_LAYER_NORM:
        oracle_layer_norm(node, t, y);
        return true;
    case GRAPH_UNARY:
        oracle_unary(node, x, y);
        return true;
    case GRAPH_REDUCE:
        oracle_reduce(node, x, y);
        return true;
    case GRAPH_BINARY:
        oracle_binary(node, x, &t[node->inputs[1]], y);
        return true;
    default:
        return false;
    }
}

#endif
