/* General operators: row-major arrays, by the loops of core/graph; matrix products by the table's own. */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

static const struct graph_node *node_of(const struct task *task)
{
    return &task->run->model->graph->nodes[task->step->node];
}

static struct graph_array array_of(const struct task *task, int input)
{
    const struct layer *layer = &task->run->model->layers[task->step->node];
    int tensor = node_of(task)->inputs[input];
    struct graph_array a = {.rank = -1};

    if (tensor < 0)
        return a;
    a.rank = task->run->plan->values[tensor].shape.rank;
    memcpy(a.dims, task->run->plan->values[tensor].shape.d, sizeof a.dims);
    a.data = layer->operands[input] != NULL ? layer->operands[input] : task_value(task, tensor, task->item);
    return a;
}

/* Which matrix of an operand belongs to matrix i of the result. */
static size_t matrix_at(const struct graph_array *operand, const struct graph_array *y, size_t i)
{
    size_t at = 0, step = 1;

    for (int d = y->rank - 3; d >= 0; d--) {
        int o = d - (y->rank - operand->rank);
        size_t index = i % (size_t)y->dims[d];
        i /= (size_t)y->dims[d];
        if (o < 0)
            continue;
        at += operand->dims[o] == 1 ? 0 : index * step;
        step *= (size_t)operand->dims[o];
    }
    return at;
}

#define PACKED_ROWS 8 /* of A: fewer do not pay for putting B in the kernels' order */

/* Matrices [first, last) of the result. */
static void matmul(const struct task *task, const struct graph_array *in, const struct graph_array *y, float *out,
                   int first, int last, int worker)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    int m = (int)y->dims[y->rank - 2], n = (int)y->dims[y->rank - 1], k = (int)in[0].dims[in[0].rank - 1];
    const float *packed = NULL;
    struct kernel_weights weights;

    for (int i = first; i < last; i++) {
        const float *a = in[0].data + matrix_at(&in[0], y, (size_t)i) * (size_t)m * (size_t)k;
        const float *b = in[1].data + matrix_at(&in[1], y, (size_t)i) * (size_t)k * (size_t)n;
        float *c = out + (size_t)i * (size_t)m * (size_t)n;

        if (m < PACKED_ROWS || !kernels->gemm_segments) {
            kernels->sgemm(false, false, m, n, k, 1, a, k, b, n, 0, c, n);
            continue;
        }
        if (b != packed)
            kernels->pack_operand(&weights, &(struct kernel_operand){b, n, 1, k, n, 1}, task_scratch(task, worker));
        packed = b;
        kernels->gemm(&(struct kernel_gemm){.weights = &weights, .a = a, .a_row = k, .m = m, .c = c, .c_row = n,
                                            .panel1 = weights.panels,
                                            .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}});
    }
}

/* Rows [first, last) of arrays that are cut along all but their last dimension, as arrays of their own. */
static void rows_of(struct graph_array *a, size_t first, size_t last)
{
    size_t row = (size_t)a->dims[a->rank - 1];

    a->data = a->data == NULL ? NULL : a->data + first * row;
    a->dims[0] = (int64_t)(last - first);
    a->dims[1] = (int64_t)row;
    a->rank = 2;
}

/* The last dimension, with one factor and summand an element of it; false: something else. */
static bool norm(const struct task *task, const struct graph_node *node, const struct graph_array *in,
                 const struct graph_array *y, float *out)
{
    struct kernel_norm p = {.x = in[0].data, .y = out, .n = (size_t)y->dims[y->rank - 1], .epsilon = node->epsilon,
                            .centred = node->function != GRAPH_RMS};
    const float *operands[3] = {NULL, NULL, NULL};

    if (node->axis != y->rank - 1)
        return false;
    for (int i = 1; i < node->input_count && i < 3; i++) {
        if (in[i].rank > 1 || (in[i].rank == 1 && (size_t)in[i].dims[0] != p.n) || in[i].rank == 0)
            return false;
        operands[i] = in[i].rank < 0 ? NULL : in[i].data;
    }
    p.scale = operands[1];
    p.bias = operands[2];
    p.rows = 1;
    for (int i = 0; i < y->rank - 1; i++)
        p.rows *= (size_t)y->dims[i];
    task->run->model->kernels->layer_norm(&p);
    return true;
}

static size_t elements_of(const struct graph_array *a)
{
    size_t n = 1;

    for (int i = 0; i < a->rank; i++)
        n *= (size_t)a->dims[i];
    return n;
}

void run_quantize(const struct task *task, const float *x, float *y, size_t n)
{
    const struct kernel_rounding *rounding = &task->run->model->layers[task->step->node].rounding;

    if (rounding->scale > 0)
        task->run->model->kernels->round(x, y, n, rounding);
    else
        graph_quantize(node_of(task), x, y, n);
}

void run_general(const struct task *task, int first, int last, int worker)
{
    const struct step *s = task->step;
    struct graph_node node = *node_of(task);
    struct graph_array in[4] = {{0}}, y = {.rank = task->run->plan->values[s->y].shape.rank};
    float *out = task_value(task, s->y, task->item);

    memcpy(y.dims, task->run->plan->values[s->y].shape.d, sizeof y.dims);
    for (int i = 0; i < node.input_count; i++)
        in[i] = array_of(task, i);
    if (node.op == GRAPH_MATMUL) {
        matmul(task, in, &y, out, first, last, worker);
        return;
    }
    if (node.op == GRAPH_CONV_ND) {
        run_windows(task, in, first, last, worker);
        return;
    }
    if (node.op == GRAPH_RESIZE && shape_is_map(&task->run->plan->values[s->y].shape)) {
        graph_resize_lines(&node, in, &y, out, (size_t)first, (size_t)last);
        return;
    }
    if (s->by_rows && (node.op == GRAPH_REDUCE || node.op == GRAPH_RESIZE || node.op == GRAPH_BINARY)) {
        size_t row = (size_t)y.dims[y.rank - 1];
        graph_general_part(&node, in, &y, out, (size_t)first * row, (size_t)last * row);
        return;
    }
    if (s->by_rows) { /* element by element, or a norm of each */
        out += (size_t)first * (size_t)y.dims[y.rank - 1];
        rows_of(&in[0], (size_t)first, (size_t)last);
        rows_of(&y, (size_t)first, (size_t)last);
        node.axis = 1;
    }
    if (node.op == GRAPH_QUANTIZE)
        run_quantize(task, in[0].data, out, elements_of(&y));
    else if (node.op != GRAPH_LAYER_NORM || !norm(task, &node, in, &y, out))
        graph_general_compute(&node, in, &y, out);
}
