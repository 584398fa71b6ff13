/* Attention: softmax(alpha q k' + mask) v, or of (softmax * factor + summand), matrix by matrix.  k and v are packed
 * once for a matrix; the scores of some rows of q at a time stay in the second cache, and there is no place for all of
 * them. */
#include <math.h>

#include "core/base/aligned.h"
#include "core/base/cpu.h"
#include "core/engine/internal.h"

#define SCORE_BYTES ((size_t)128 << 10)

static const struct graph_node *node_of(const struct task *task)
{
    return &task->run->model->graph->nodes[task->step->node];
}

struct attention {
    int m, n, d, e, rank, matrices;
    struct view q, k, v, mask, factor, summand, y;
    ptrdiff_t k_row, k_column; /* strides along d and along n */
    bool masked, gated;
};

static struct attention attention_of(const struct plan *plan, const struct graph_node *node)
{
    struct attention a = {.q = view_of(plan, node->inputs[0]), .k = view_of(plan, node->inputs[1]),
                          .v = view_of(plan, node->inputs[2]), .y = view_of(plan, node->output), .matrices = 1};
    int last = a.q.rank - 1, rows = last - (node->axis != 0), depth = last - (node->axis == 0);

    a.rank = a.q.rank;
    a.m = (int)a.q.d[last - 1];
    a.d = (int)a.q.d[last];
    a.n = (int)a.k.d[rows];
    a.e = (int)a.v.d[last];
    a.k_row = a.k.strides[depth];
    a.k_column = a.k.strides[rows];
    a.masked = graph_input(node, 3) >= 0;
    a.gated = graph_input(node, 5) >= 0;
    for (int i = 0; i < last - 1; i++)
        a.matrices *= (int)a.q.d[i];
    return a;
}

/* An input's strides under the dimensions of the scores, 0 where it repeats. */
static struct view view_under(const struct task *task, const struct attention *a, int input)
{
    struct shape shape = task->run->plan->values[node_of(task)->inputs[input]].shape;
    struct view dense, view = {.rank = a->rank};

    shape.plain = true;
    dense = view_dense(&shape);
    for (int i = a->rank - shape.rank, j = 0; j < shape.rank; i++, j++)
        view.strides[i] = shape.d[j] == 1 ? 0 : dense.strides[j];
    return view;
}

static size_t k_bytes(const struct kernel_table *kernels, const struct attention *a)
{
    return aligned_round(kernels->operand_bytes(a->d, a->n));
}

static size_t v_bytes(const struct kernel_table *kernels, const struct attention *a)
{
    return aligned_round(kernels->operand_bytes(a->n, a->e));
}

void attention_geometry(const struct engine_model *model, const struct plan *plan, struct step *s)
{
    const struct attention a = attention_of(plan, &model->graph->nodes[s->node]);
    size_t row = (size_t)a.n * sizeof(float), tile = (size_t)model->kernels->gemm_tile[KERNEL_F32];
    size_t rows = SCORE_BYTES / row / tile * tile;

    rows = rows < tile ? tile : rows;
    s->lines = rows < (size_t)a.m ? (int)rows : a.m;
    s->scratch = k_bytes(model->kernels, &a) + v_bytes(model->kernels, &a) + aligned_round(row * (size_t)s->lines);
    s->cut = cut_make(a.matrices, 2.0 * a.m * a.n * (a.d + a.e) / 100e3, 0, MOST_CHUNKS);
}

/* Where matrix `number` begins. */
static ptrdiff_t matrix_at(const struct attention *a, const struct view *v, int number)
{
    ptrdiff_t at = v->offset;

    for (int i = a->rank - 3; i >= 0; i--) {
        at += (ptrdiff_t)(number % a->q.d[i]) * v->strides[i];
        number /= (int)a->q.d[i];
    }
    return at;
}

static void add_mask(const struct attention *a, const struct kernel_table *kernels, const float *mask, int first,
                     int rows, float *scores)
{
    const struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    ptrdiff_t step = a->mask.strides[a->rank - 1];

    mask += first * a->mask.strides[a->rank - 2];
    for (int i = 0; i < rows; i++, mask += a->mask.strides[a->rank - 2], scores += a->n) {
        if (step == 1)
            kernels->add(scores, mask, scores, (size_t)a->n, &none);
        else
            for (int j = 0; j < a->n; j++)
                scores[j] += mask[j * step];
    }
}

CPU_CLONES static void scale_and_add(float *restrict x, float factor, const float *restrict summand, size_t n)
{
    for (size_t i = 0; i < n; i++)
        x[i] = x[i] * factor + summand[i];
}

static void gate(const struct attention *a, const float *factor, const float *summand, int first, int rows,
                 float *scores)
{
    ptrdiff_t factor_row = a->factor.strides[a->rank - 2], summand_row = a->summand.strides[a->rank - 2];

    for (int i = first; i < first + rows; i++, scores += a->n)
        scale_and_add(scores, factor[i * factor_row], summand + i * summand_row, (size_t)a->n);
}

struct operands {
    const float *q, *k, *v, *mask, *factor, *summand;
    float *y;
};

static struct operands operands_of(const struct task *task)
{
    const struct graph_node *node = node_of(task);
    const struct layer *layer = &task->run->model->layers[task->step->node];
    const float *from[6] = {NULL};

    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i] >= 0)
            from[i] = layer->operands[i] != NULL ? layer->operands[i] : task_value(task, node->inputs[i], task->item);
    return (struct operands){from[0], from[1], from[2], from[3], from[4], from[5],
                             task_value(task, task->step->y, task->item)};
}

/* What task_value counts already. */
static void forget_shifts(const struct task *task, struct attention *a)
{
    const struct value *values = task->run->plan->values;
    const struct graph_node *node = node_of(task);

    a->q.offset = values[node->inputs[0]].strided ? a->q.offset : 0;
    a->k.offset = values[node->inputs[1]].strided ? a->k.offset : 0;
    a->v.offset = values[node->inputs[2]].strided ? a->v.offset : 0;
    a->y.offset = 0;
}

static void one_matrix(const struct task *task, const struct attention *a, const struct operands *o, int number,
                       unsigned char *scratch)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    float *scores = (float *)(void *)(scratch + k_bytes(kernels, a) + v_bytes(kernels, a));
    ptrdiff_t q_row = a->q.strides[a->rank - 2], v_row = a->v.strides[a->rank - 2];
    struct kernel_weights k, v;

    kernels->pack_operand(&k,
                          &(struct kernel_operand){o->k + matrix_at(a, &a->k, number), a->k_row, a->k_column, a->d,
                                                   a->n, node_of(task)->alpha},
                          scratch);
    kernels->pack_operand(&v, &(struct kernel_operand){o->v + matrix_at(a, &a->v, number), v_row, 1, a->n, a->e, 1},
                          scratch + k_bytes(kernels, a));
    for (int first = 0; first < a->m; first += task->step->lines) {
        int rows = a->m - first < task->step->lines ? a->m - first : task->step->lines;
        kernels->gemm(&(struct kernel_gemm){.weights = &k, .a = o->q + matrix_at(a, &a->q, number) + first * q_row,
                                            .a_row = q_row, .m = rows, .c = scores, .c_row = a->n, .panel1 = k.panels,
                                            .epilogue = none});
        if (a->masked)
            add_mask(a, kernels, o->mask + matrix_at(a, &a->mask, number), first, rows, scores);
        kernels->softmax(scores, scores, (size_t)rows, (size_t)a->n);
        if (a->gated)
            gate(a, o->factor + matrix_at(a, &a->factor, number), o->summand + matrix_at(a, &a->summand, number), first,
                 rows, scores);
        kernels->gemm(&(struct kernel_gemm){.weights = &v, .a = scores, .a_row = a->n, .m = rows,
                                            .c = o->y + matrix_at(a, &a->y, number) + (ptrdiff_t)first * a->e,
                                            .c_row = a->e, .panel1 = v.panels, .epilogue = none});
    }
}

void run_attention(const struct task *task, int first, int last, int worker)
{
    struct attention a = attention_of(task->run->plan, node_of(task));
    const struct operands o = operands_of(task);

    forget_shifts(task, &a);
    if (a.masked)
        a.mask = view_under(task, &a, 3);
    if (a.gated)
        a.factor = view_under(task, &a, 4);
    if (a.gated)
        a.summand = view_under(task, &a, 5);
    for (int i = first; i < last; i++)
        one_matrix(task, &a, &o, i, task_scratch(task, worker));
}
