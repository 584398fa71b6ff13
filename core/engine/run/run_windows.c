/* Convolutions of any number of dimensions, and those of weights that are computed: the windows of a block of outputs
 * are copied into columns, which the weights are multiplied with. */
#include "core/engine/internal.h"

#define COLUMN_BYTES ((size_t)256 << 10) /* of a block: they stay in the second cache */
#define MOST_CELLS 4096
#define LEAST_CELLS 16

struct sizes {
    int64_t pictures, groups, cells, outputs, k, block, blocks; /* outputs, k: of a group */
};

static struct sizes sizes_of(const struct graph_node *node, const struct shape *w, const struct shape *y)
{
    struct sizes s = {.pictures = y->d[0], .groups = graph_window_groups(node), .cells = 1, .k = 1};

    for (int i = 2; i < y->rank; i++)
        s.cells *= y->d[i];
    for (int i = 1; i < w->rank; i++)
        s.k *= w->d[i];
    s.outputs = y->d[1] / s.groups;
    s.block = (int64_t)(COLUMN_BYTES / sizeof(float)) / s.k;
    s.block = s.block > MOST_CELLS ? MOST_CELLS : s.block < LEAST_CELLS ? LEAST_CELLS : s.block;
    s.block = s.block > s.cells ? s.cells : s.block;
    s.blocks = (s.cells + s.block - 1) / s.block;
    return s;
}

void windows_geometry(const struct graph_node *node, const struct plan *plan, struct step *step)
{
    struct sizes s = sizes_of(node, &plan->values[node->inputs[1]].shape, &plan->values[step->y].shape);
    int64_t units = s.pictures * s.groups * s.blocks;
    double each = 2.0 * (double)(s.outputs * s.k) * (double)s.block / 20e3 + (double)(s.k * s.block) / 1e3;

    step->unit = 1;
    step->cut = cut_make((int)units, each, 0, MOST_CHUNKS);
    step->scratch = (size_t)(s.k * s.block) * sizeof(float);
}

static void multiply(const struct task *task, const struct sizes *s, const struct graph_array in[3], int64_t unit,
                     float *y, float *columns)
{
    const struct graph_node *node = &task->run->model->graph->nodes[task->step->node];
    int64_t block = unit % s->blocks, all = unit / s->blocks, first = block * s->block;
    int64_t last = first + s->block < s->cells ? first + s->block : s->cells, m = all % s->groups * s->outputs;
    struct graph_array out = {.rank = task->run->plan->values[task->step->y].shape.rank};

    for (int i = 0; i < out.rank; i++)
        out.dims[i] = task->run->plan->values[task->step->y].shape.d[i];
    graph_conv_columns(&(struct graph_windows){node, &in[0], &out, all / s->groups, all % s->groups}, first, last,
                       columns);
    y += all * s->outputs * s->cells + first;
    task->run->model->kernels->sgemm(false, false, (int)s->outputs, (int)(last - first), (int)s->k, 1,
                                     in[1].data + m * s->k, (int)s->k, columns, (int)(last - first), 0, y,
                                     (int)s->cells);
    for (int64_t o = 0; in[2].data != NULL && o < s->outputs; o++)
        for (int64_t i = 0; i < last - first; i++)
            y[o * s->cells + i] += in[2].data[m + o];
}

void run_windows(const struct task *task, const struct graph_array in[3], int first, int last, int worker)
{
    const struct plan *plan = task->run->plan;
    const struct graph_node *node = &task->run->model->graph->nodes[task->step->node];
    struct sizes s = sizes_of(node, &plan->values[node->inputs[1]].shape, &plan->values[task->step->y].shape);
    float *y = task_value(task, task->step->y, task->item), *columns = (float *)(void *)task_scratch(task, worker);

    for (int64_t unit = first; unit < last; unit++)
        multiply(task, &s, in, unit, y, columns);
}
