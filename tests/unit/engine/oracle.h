/* What a graph computes, node by node in double and in the file's own order (N, C, H, W): the oracle of the engine's
 * tests.  No thought for speed; independent of the engine's shapes and kernels. */
#ifndef TESTS_UNIT_ENGINE_ORACLE_H
#define TESTS_UNIT_ENGINE_ORACLE_H

#include "engine/oracle_general.h"

static double oracle_activation(const struct graph_node *node, double x)
{
    switch (node->activation) {
    case GRAPH_CLAMP:
        return fmin(fmax(x, (double)node->low), (double)node->high);
    case GRAPH_SIGMOID:
        return 1 / (1 + exp(-x));
    case GRAPH_SILU:
        return x / (1 + exp(-x));
    case GRAPH_HARD_SIGMOID:
        return fmin(fmax((double)node->alpha * x + (double)node->beta, 0), 1);
    case GRAPH_HARD_SWISH:
        return x * fmin(fmax(x / 6 + .5, 0), 1);
    case GRAPH_LEAKY_RELU:
        return x < 0 ? (double)node->alpha * x : x;
    case GRAPH_GELU_ACTIVATION:
        return x * (1 + erf(x * 0.70710678118654752440)) / 2;
    case GRAPH_GELU_TANH_ACTIVATION:
        return x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x))) / 2;
    case GRAPH_TANH_ACTIVATION:
        return tanh(x);
    case GRAPH_LINEAR_ACTIVATION:
        break;
    }
    return x;
}

struct oracle_window {
    int before[2], after[2], out[2];
};

static struct oracle_window oracle_window(const struct graph_window *w, const struct oracle_tensor *x)
{
    struct oracle_window r;
    for (int axis = 0; axis < 2; axis++)
        r.out[axis] = (int)graph_window_output(w, axis, (int64_t)x->d[2 + axis], &r.before[axis], &r.after[axis]);
    return r;
}

static void oracle_conv(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    const struct oracle_tensor *x = &t[node->inputs[0]], *w = &t[node->inputs[1]];
    const struct graph_window *g = &node->window;
    struct oracle_window win = oracle_window(g, x);
    int bias = graph_input(node, 2);
    size_t cg = w->d[1], mg = w->d[0] / (size_t)g->groups, at = 0;

    *y = (struct oracle_tensor){4, {x->d[0], w->d[0], (size_t)win.out[0], (size_t)win.out[1]}, NULL};
    oracle_new(y);
    for (size_t n = 0; n < y->d[0]; n++)
        for (size_t m = 0; m < y->d[1]; m++)
            for (int oy = 0; oy < win.out[0]; oy++)
                for (int ox = 0; ox < win.out[1]; ox++, at++) {
                    double sum = bias < 0 ? 0 : t[bias].v[m];
                    for (size_t c = 0; c < cg; c++)
                        for (int ky = 0; ky < g->kernel_h; ky++)
                            for (int kx = 0; kx < g->kernel_w; kx++) {
                                int iy = oy * g->stride_h - win.before[0] + ky * g->dilation_h;
                                int ix = ox * g->stride_w - win.before[1] + kx * g->dilation_w;
                                size_t channel = m / mg * cg + c;
                                if (iy < 0 || ix < 0 || iy >= (int)x->d[2] || ix >= (int)x->d[3])
                                    continue;
                                sum += x->v[((n * x->d[1] + channel) * x->d[2] + (size_t)iy) * x->d[3] + (size_t)ix] *
                                       w->v[((m * cg + c) * w->d[2] + (size_t)ky) * w->d[3] + (size_t)kx];
                            }
                    y->v[at] = sum;
                }
}

static void oracle_pool(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    const struct graph_window *g = &node->window;
    struct oracle_window win = oracle_window(g, x);
    size_t at = 0;

    *y = (struct oracle_tensor){4, {x->d[0], x->d[1], (size_t)win.out[0], (size_t)win.out[1]}, NULL};
    oracle_new(y);
    for (size_t plane = 0; plane < x->d[0] * x->d[1]; plane++)
        for (int oy = 0; oy < win.out[0]; oy++)
            for (int ox = 0; ox < win.out[1]; ox++, at++) {
                double sum = 0, most = -INFINITY;
                int count = 0;
                for (int ky = 0; ky < g->kernel_h; ky++)
                    for (int kx = 0; kx < g->kernel_w; kx++) {
                        int iy = oy * g->stride_h - win.before[0] + ky, ix = ox * g->stride_w - win.before[1] + kx;
                        bool inside = iy >= 0 && ix >= 0 && iy < (int)x->d[2] && ix < (int)x->d[3];
                        bool padded = iy < (int)x->d[2] + win.after[0] && ix < (int)x->d[3] + win.after[1];
                        if (inside) {
                            double v = x->v[(plane * x->d[2] + (size_t)iy) * x->d[3] + (size_t)ix];
                            sum += v;
                            most = fmax(most, v);
                        }
                        count += inside || (g->count_include_pad && padded);
                    }
                y->v[at] = node->op == GRAPH_MAX_POOL ? most : sum / count;
            }
}

static void oracle_linear(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    const struct oracle_tensor *x = &t[node->inputs[0]], *w = &t[node->inputs[1]];
    int bias = graph_input(node, 2);
    size_t rows = oracle_count(x) / w->d[1];

    *y = *x;
    y->d[y->rank - 1] = w->d[0];
    oracle_new(y);
    for (size_t n = 0; n < rows; n++)
        for (size_t m = 0; m < w->d[0]; m++) {
            double sum = bias < 0 ? 0 : t[bias].v[m];
            for (size_t k = 0; k < w->d[1]; k++)
                sum += x->v[n * w->d[1] + k] * w->v[m * w->d[1] + k];
            y->v[n * w->d[0] + m] = sum;
        }
}

/* The element of b (dims a's or 1) that belongs to element i of a. */
static size_t oracle_broadcast(const struct oracle_tensor *a, const struct oracle_tensor *b, size_t i)
{
    size_t at = 0, step = 1;
    for (int d = a->rank - 1; d >= 0; d--) {
        at += b->d[d] == 1 ? 0 : i % a->d[d] * step;
        step *= b->d[d];
        i /= a->d[d];
    }
    return at;
}

static void oracle_softmax(const struct oracle_tensor *x, int axis, struct oracle_tensor *y)
{
    size_t inner = 1, n = x->d[axis], outer = 1;
    for (int d = 0; d < x->rank; d++) {
        inner *= d > axis ? x->d[d] : 1;
        outer *= d < axis ? x->d[d] : 1;
    }
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < inner; i++) {
            double sum = 0;
            for (size_t j = 0; j < n; j++)
                sum += exp(x->v[(o * n + j) * inner + i]);
            for (size_t j = 0; j < n; j++)
                y->v[(o * n + j) * inner + i] = exp(x->v[(o * n + j) * inner + i]) / sum;
        }
}

static void oracle_concat(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    size_t inner = 1, outer = 1, at = 0, row;

    *y = t[node->inputs[0]];
    y->d[node->axis] = 0;
    for (int i = 0; i < node->input_count; i++)
        y->d[node->axis] += t[node->inputs[i]].d[node->axis];
    oracle_new(y);
    for (int d = 0; d < y->rank; d++) {
        inner *= d > node->axis ? y->d[d] : 1;
        outer *= d < node->axis ? y->d[d] : 1;
    }
    row = y->d[node->axis] * inner;
    for (int i = 0; i < node->input_count; i++) {
        const struct oracle_tensor *x = &t[node->inputs[i]];
        size_t width = x->d[node->axis] * inner;
        for (size_t o = 0; o < outer; o++)
            for (size_t j = 0; j < width; j++)
                y->v[o * row + at + j] = x->v[o * width + j];
        at += width;
    }
}

static void oracle_transpose(const struct graph_node *node, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    size_t strides[GRAPH_MAX_RANK], step = 1;

    *y = *x;
    for (int d = x->rank - 1; d >= 0; d--) {
        strides[d] = step;
        step *= x->d[d];
        y->d[d] = x->d[node->permutation[d]];
    }
    oracle_new(y);
    for (size_t i = 0; i < oracle_count(y); i++) {
        size_t rest = i, from = 0;
        for (int d = y->rank - 1; d >= 0; d--) {
            from += rest % y->d[d] * strides[node->permutation[d]];
            rest /= y->d[d];
        }
        y->v[i] = x->v[from];
    }
}

static void oracle_reshape(const struct graph_tensor *target, const struct oracle_tensor *x, struct oracle_tensor *y)
{
    size_t known = 1, count = oracle_count(x);

    *y = (struct oracle_tensor){.rank = target->rank};
    y->d[0] = x->d[0];
    for (int d = 1; d < target->rank; d++)
        known *= target->dims[d] > 0 ? (size_t)target->dims[d] : 1;
    for (int d = 1; d < target->rank; d++)
        y->d[d] = target->dims[d] > 0 ? (size_t)target->dims[d] : count / x->d[0] / known;
    oracle_new(y);
    memcpy(y->v, x->v, count * sizeof *y->v);
}

static void oracle_elementwise(const struct graph_node *node, const struct oracle_tensor *t, struct oracle_tensor *y)
{
    const struct oracle_tensor *x = &t[node->inputs[0]];
    size_t inner = 1;

    *y = *x;
    oracle_new(y);
    for (int d = 2; d < x->rank; d++)
        inner *= x->d[d];
    for (size_t i = 0; i < oracle_count(x); i++) {
        size_t c = i / inner % x->d[1];
        double v = x->v[i];
        if (node->op == GRAPH_ADD)
            v += t[node->inputs[1]].v[oracle_broadcast(x, &t[node->inputs[1]], i)];
        if (node->op == GRAPH_MUL)
            v *= t[node->inputs[1]].v[oracle_broadcast(x, &t[node->inputs[1]], i)];
        if (node->op == GRAPH_BATCH_NORM)
            v = (v - t[node->inputs[3]].v[c]) / sqrt(t[node->inputs[4]].v[c] + (double)node->epsilon) *
                    t[node->inputs[1]].v[c] + t[node->inputs[2]].v[c];
        y->v[i] = v;
    }
}

static void oracle_global_average(const struct graph_tensor *target, const struct oracle_tensor *x,
                                  struct oracle_tensor *y)
{
    size_t plane = x->d[2] * x->d[3];

    *y = (struct oracle_tensor){target->rank, {x->d[0], x->d[1], 1, 1}, NULL};
    oracle_new(y);
    for (size_t i = 0; i < x->d[0] * x->d[1]; i++) {
        for (size_t j = 0; j < plane; j++)
            y->v[i] += x->v[i * plane + j];
        y->v[i] /= (double)plane;
    }
}

static void oracle_node(const struct graph *graph, const struct graph_node *node, struct oracle_tensor *t)
{
    struct oracle_tensor *y = &t[node->output];
    const struct oracle_tensor *x = &t[node->inputs[0]];
    int residual = graph_input(node, 3);
    bool sums = (node->op == GRAPH_CONV || node->op == GRAPH_LINEAR) && residual >= 0;

    switch (node->op) {
    case GRAPH_CONV:
        oracle_conv(node, t, y);
        break;
    case GRAPH_LINEAR:
        oracle_linear(node, t, y);
        break;
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        oracle_pool(node, x, y);
        break;
    case GRAPH_GLOBAL_AVERAGE:
        oracle_global_average(&graph->tensors[node->output], x, y);
        break;
    case GRAPH_RESHAPE:
        oracle_reshape(&graph->tensors[node->output], x, y);
        break;
    case GRAPH_TRANSPOSE:
        oracle_transpose(node, x, y);
        break;
    case GRAPH_CONCAT:
        oracle_concat(node, t, y);
        break;
    default:
        if (oracle_general(node, t, y))
            break;
        oracle_elementwise(node, t, y);
        if (node->op == GRAPH_SOFTMAX)
            oracle_softmax(x, node->axis, y);
        break;
    }
    for (size_t i = 0; i < oracle_count(y); i++)
        y->v[i] = oracle_activation(node, y->v[i] + (sums ? t[residual].v[i] : 0));
}

/* All tensors of the graph for an input [n, c, h, w] in the file's order (rank 2: [n, c]); free with oracle_free. */
static struct oracle_tensor *oracle_run(const struct graph *graph, const float *input, size_t n, size_t h, size_t w)
{
    struct oracle_tensor *t = calloc((size_t)graph->tensor_count, sizeof *t);

    assert_non_null(t);
    for (int i = 0; i < graph->tensor_count; i++) {
        const struct graph_tensor *from = &graph->tensors[i];
        t[i].rank = from->rank;
        for (int d = 0; d < from->rank; d++)
            t[i].d[d] = (size_t)from->dims[d];
        if (from->data == NULL)
            continue;
        oracle_new(&t[i]);
        for (size_t j = 0; j < oracle_count(&t[i]); j++)
            t[i].v[j] = (double)from->data[j];
    }
    t[graph->input].d[0] = n;
    if (t[graph->input].rank == 4) {
        t[graph->input].d[2] = h;
        t[graph->input].d[3] = w;
    }
    oracle_new(&t[graph->input]);
    for (size_t j = 0; j < oracle_count(&t[graph->input]); j++)
        t[graph->input].v[j] = (double)input[j];
    for (int i = 0; i < graph->node_count; i++)
        oracle_node(graph, &graph->nodes[i], t);
    return t;
}

static void oracle_free(const struct graph *graph, struct oracle_tensor *t)
{
    for (int i = 0; i < graph->tensor_count; i++)
        free(t[i].v);
    free(t);
}

#endif
