/* A graph node by node, as the file says it: each tensor row-major in memory of its own, each node by the plainest loop
 * there is, convolutions as matrix products over copied windows.  Nothing of plans, orders in memory, packed weights,
 * fusion or groups is in it: what the engine makes of a graph is compared with this. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/internal.h"

#define MOST_ELEMENTS ((size_t)1 << 28) /* alive at once */

struct evaluation {
    const struct graph *graph;
    const struct kernel_table *kernels;
    struct shape *shapes;
    float **values; /* [tensors] of activations that somebody will still read */
    int *readers;
    size_t alive;
};

static const struct graph_tensor *tensor_at(const struct evaluation *e, int i) { return &e->graph->tensors[i]; }

static const float *value_of(const struct evaluation *e, int tensor)
{
    return tensor_at(e, tensor)->data != NULL ? tensor_at(e, tensor)->data : e->values[tensor];
}

/* ---- Shapes ------------------------------------------------------------------------------------------------------ */

/* One picture of h x w, whatever size the file fixes; what else it leaves open is 1. */
static void input_shape(const struct graph *graph, int h, int w, struct shape *s)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];
    int first = evaluate_first_side(graph);

    *s = (struct shape){.rank = t->rank};
    for (int i = 0; i < t->rank; i++)
        s->d[i] = i == first && first > 0 ? h : i == first + 1 && first > 0 ? w : t->dims[i] > 0 ? t->dims[i] : 1;
}

int evaluate_first_side(const struct graph *graph)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];

    bool second = t->dims[1] == 1 || t->dims[1] == 3 || (t->dims[1] > 0 && t->dims[3] < 1);
    bool last = t->dims[3] == 1 || t->dims[3] == 3 || (t->dims[3] > 0 && t->dims[1] < 1);

    if (t->rank != 4 || second == last)
        return 0;
    return second ? 2 : 1;
}

/* Of all tensors that the first nodes make, *nodes of them; fewer where the size fits no further. */
static enum infomask_status shapes_of(const struct graph *graph, int h, int w, int *nodes, struct shape **shapes,
                                      struct infomask_error *err)
{
    struct shape *s = calloc((size_t)graph->tensor_count + 1, sizeof *s);

    *shapes = s;
    if (s == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    for (int i = 0; i < graph->tensor_count; i++) {
        s[i].rank = graph->tensors[i].rank;
        memcpy(s[i].d, graph->tensors[i].dims, sizeof s[i].d);
    }
    input_shape(graph, h, w, &s[graph->input]);
    for (int i = 0; i < *nodes; i++)
        if (shape_of_node(graph, &graph->nodes[i], s, &s[graph->nodes[i].output], NULL) != INFOMASK_OK)
            *nodes = i;
    return INFOMASK_OK;
}

/* Seconds on one core, a little more than they will be: products, the copies of their windows, and the rest, of which
 * an element's transcendental function takes longest. */
static double node_seconds(const struct graph_node *node, const struct shape *shapes, bool reference)
{
    const double product = reference ? 1e-9 : 3e-11, copied = 1.5e-9, element = 10e-9, call = 1e-6;
    double y = (double)shape_elements(&shapes[node->output]);
    const struct shape *w = &shapes[node->inputs[node->input_count > 1 && node->inputs[1] >= 0 ? 1 : 0]];
    double depth = (double)shape_elements(w) / (double)(w->d[0] > 0 ? w->d[0] : 1);

    if (node->op == GRAPH_CONV_ND)
        return y * depth * 15e-9;
    if (node->op == GRAPH_POOL_ND) /* a window's places, likewise one by one */
        return y * (double)graph_window_taps(node) * 15e-9;
    if (node->op == GRAPH_CONV)
        return 2 * y * depth * product + y / (double)w->d[0] * depth * node->window.groups * copied +
               node->window.groups * call;
    if (node->op == GRAPH_LINEAR)
        return 2 * y * depth * product + (double)shape_elements(w) * 0.3e-9;
    if (node->op == GRAPH_MATMUL) /* by the plain loops of general tensors */
        return 2 * y * (double)w->d[w->rank > 1 ? w->rank - 2 : 0] * 1e-9;
    return y * element;
}

/* May the picture have another size than the file was made for?  Tables of places, say, may not. */
static bool is_free(const struct graph *graph, int h, int w)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];
    int first = evaluate_first_side(graph);

    if (graph->assumed && (graph->height != h || graph->width != w))
        return false;
    return first == 0 || ((t->dims[first] < 1 || t->dims[first] == h) &&
                          (t->dims[first + 1] < 1 || t->dims[first + 1] == w));
}

static bool takes_any_size(enum graph_op op) { return op <= GRAPH_GLOBAL_AVERAGE && op != GRAPH_LINEAR; }

int evaluate_reach(const struct graph *graph, const struct kernel_table *kernels, int h, int w, double seconds)
{
    struct shape *shapes;
    bool reference = kernels == kernels_get(KERNEL_REF), is_own = is_free(graph, h, w);
    int nodes = graph->node_count;

    if (shapes_of(graph, h, w, &nodes, &shapes, NULL) != INFOMASK_OK)
        return 0;
    for (int i = 0; i < nodes; i++) {
        seconds -= node_seconds(&graph->nodes[i], shapes, reference);
        if (seconds < 0 || (!is_own && !takes_any_size(graph->nodes[i].op)))
            nodes = i;
    }
    free(shapes);
    return nodes;
}

/* ---- Windows ----------------------------------------------------------------------------------------------------- */

/* One window's walk over a plane of h x w: for each tap where it lies, -1 in the padding. */
struct walk {
    const struct graph_window *w;
    int h, wide, out_h, out_w, top, left;
};

static struct walk walk_of(const struct evaluation *e, const struct graph_node *node)
{
    const struct shape *x = &e->shapes[node->inputs[0]], *y = &e->shapes[node->output];
    struct walk walk = {
        .w = &node->window, .h = (int)x->d[2], .wide = (int)x->d[3], .out_h = (int)y->d[2], .out_w = (int)y->d[3]};

    (void)graph_window_output(&node->window, 0, walk.h, &walk.top, NULL);
    (void)graph_window_output(&node->window, 1, walk.wide, &walk.left, NULL);
    return walk;
}

static ptrdiff_t tap_at(const struct walk *walk, int row, int column, int ky, int kx)
{
    int y = row * walk->w->stride_h - walk->top + ky * walk->w->dilation_h;
    int x = column * walk->w->stride_w - walk->left + kx * walk->w->dilation_w;

    return y < 0 || y >= walk->h || x < 0 || x >= walk->wide ? -1 : (ptrdiff_t)y * walk->wide + x;
}

/* columns [channels x taps][cells] of the windows of some planes */
static void copy_windows(const struct walk *walk, const float *x, int channels, float *columns)
{
    int taps = walk->w->kernel_h * walk->w->kernel_w;

    for (int c = 0; c < channels; c++, x += (ptrdiff_t)walk->h * walk->wide)
        for (int t = 0; t < taps; t++)
            for (int row = 0; row < walk->out_h; row++)
                for (int column = 0; column < walk->out_w; column++) {
                    ptrdiff_t at = tap_at(walk, row, column, t / walk->w->kernel_w, t % walk->w->kernel_w);
                    *columns++ = at < 0 ? 0 : x[at];
                }
}

static bool conv(struct evaluation *e, const struct graph_node *node, float *y)
{
    const struct graph_tensor *w = tensor_at(e, node->inputs[1]);
    struct walk walk = walk_of(e, node);
    int groups = node->window.groups, m = (int)w->dims[0] / groups, c = (int)w->dims[1],
        cells = walk.out_h * walk.out_w;
    int k = c * node->window.kernel_h * node->window.kernel_w;
    const float *x = value_of(e, node->inputs[0]), *b = graph_input(node, 2) < 0 ? NULL : value_of(e, node->inputs[2]);
    float *columns = malloc((size_t)k * (size_t)cells * sizeof *columns);

    if (columns == NULL)
        return false;
    for (int64_t n = 0; n < e->shapes[node->inputs[0]].d[0]; n++)
        for (int g = 0; g < groups; g++, x += (ptrdiff_t)c * walk.h * walk.wide, y += (ptrdiff_t)m * cells) {
            copy_windows(&walk, x, c, columns);
            e->kernels->sgemm(false, false, m, cells, k, 1, w->data + (ptrdiff_t)g * m * k, k, columns, cells, 0, y,
                              cells);
            for (int i = 0; b != NULL && i < m * cells; i++)
                y[i] += b[g * m + i / cells];
        }
    free(columns);
    return true;
}

/* Inside the padding that the node names, as far as the input and it reach. */
static bool is_padding(const struct walk *walk, int row, int column, int ky, int kx)
{
    int y = row * walk->w->stride_h - walk->top + ky * walk->w->dilation_h;
    int x = column * walk->w->stride_w - walk->left + kx * walk->w->dilation_w;
    bool same = walk->w->auto_pad != 0;

    return (same || y < walk->h + walk->w->pad_bottom) && (same || x < walk->wide + walk->w->pad_right);
}

static void pool(struct evaluation *e, const struct graph_node *node, float *y)
{
    struct walk walk = walk_of(e, node);
    const float *x = value_of(e, node->inputs[0]);
    int64_t planes = e->shapes[node->output].d[0] * e->shapes[node->output].d[1];

    for (int64_t p = 0; p < planes; p++, x += (ptrdiff_t)walk.h * walk.wide)
        for (int i = 0; i < walk.out_h * walk.out_w; i++) {
            double sum = 0;
            float most = -INFINITY; /* no double: gcc 12 fails to vectorise a maximum that widens, on arm64 */
            int count = 0;
            for (int t = 0; t < node->window.kernel_h * node->window.kernel_w; t++) {
                int ky = t / node->window.kernel_w, kx = t % node->window.kernel_w;
                ptrdiff_t at = tap_at(&walk, i / walk.out_w, i % walk.out_w, ky, kx);
                sum += at < 0 ? 0 : (double)x[at];
                most = at >= 0 && x[at] > most ? x[at] : most;
                count += at >= 0 ||
                         (node->window.count_include_pad && is_padding(&walk, i / walk.out_w, i % walk.out_w, ky, kx));
            }
            *y++ = node->op == GRAPH_MAX_POOL ? most : (float)(sum / count);
        }
}

/* ---- The rest ---------------------------------------------------------------------------------------------------- */

static void linear(struct evaluation *e, const struct graph_node *node, float *y)
{
    const struct graph_tensor *w = tensor_at(e, node->inputs[1]);
    int n = (int)w->dims[0], k = (int)w->dims[1], rows = (int)(shape_elements(&e->shapes[node->output]) / (size_t)n);
    const float *b = graph_input(node, 2) < 0 ? NULL : value_of(e, node->inputs[2]);

    e->kernels->sgemm(false, true, rows, n, k, 1, value_of(e, node->inputs[0]), k, w->data, k, 0, y, n);
    for (int64_t i = 0; b != NULL && i < (int64_t)rows * n; i++)
        y[i] += b[i % n];
}

/* Elements before, along and behind a dimension. */
static void cut_at(const struct shape *s, int axis, size_t *before, size_t *along, size_t *behind)
{
    *before = *behind = 1;
    *along = (size_t)s->d[axis];
    for (int i = 0; i < axis; i++)
        *before *= (size_t)s->d[i];
    for (int i = axis + 1; i < s->rank; i++)
        *behind *= (size_t)s->d[i];
}

static void batch_norm(struct evaluation *e, const struct graph_node *node, float *y)
{
    const float *p[5], *x = value_of(e, node->inputs[0]);
    size_t before, channels, behind;

    cut_at(&e->shapes[node->output], 1, &before, &channels, &behind);
    for (int i = 1; i < 5; i++)
        p[i] = value_of(e, node->inputs[i]);
    for (size_t i = 0; i < before * channels * behind; i++) {
        size_t c = i / behind % channels;
        y[i] = (float)(((double)x[i] - (double)p[3][c]) / sqrt((double)p[4][c] + (double)node->epsilon) *
                           (double)p[1][c] +
                       (double)p[2][c]);
    }
}

static double activated(const struct graph_node *node, double x)
{
    double a = (double)node->alpha, b = (double)node->beta;

    if (isnan(x)) /* fmin and fmax would make a number of it */
        return x;
    switch (node->activation) {
    case GRAPH_CLAMP:
        return fmin(fmax(x, (double)node->low), (double)node->high);
    case GRAPH_SIGMOID:
        return 1 / (1 + exp(-x));
    case GRAPH_SILU:
        return x / (1 + exp(-x));
    case GRAPH_HARD_SIGMOID:
        return fmin(fmax(a * x + b, 0), 1);
    case GRAPH_HARD_SWISH:
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case GRAPH_LEAKY_RELU:
        return x < 0 ? a * x : x;
    default:
        return x;
    }
}

static void softmax(struct evaluation *e, const struct graph_node *node, float *y)
{
    const float *x = value_of(e, node->inputs[0]);
    size_t before, along, behind;

    cut_at(&e->shapes[node->output], node->axis, &before, &along, &behind);
    for (size_t i = 0; i < before * behind; i++) {
        size_t at = i / behind * along * behind + i % behind;
        float most = -INFINITY;
        double sum = 0;
        for (size_t k = 0; k < along; k++)
            most = fmaxf(most, x[at + k * behind]);
        for (size_t k = 0; k < along; k++)
            sum += exp((double)x[at + k * behind] - (double)most);
        for (size_t k = 0; k < along; k++)
            y[at + k * behind] = (float)(exp((double)x[at + k * behind] - (double)most) / sum);
    }
}

static void global_average(struct evaluation *e, const struct graph_node *node, float *y)
{
    const struct shape *s = &e->shapes[node->inputs[0]];
    const float *x = value_of(e, node->inputs[0]);
    size_t cells = (size_t)(s->d[2] * s->d[3]);

    for (size_t i = 0; i < (size_t)(s->d[0] * s->d[1]); i++) {
        double sum = 0;
        for (size_t k = 0; k < cells; k++)
            sum += (double)*x++;
        y[i] = (float)(sum / (double)cells);
    }
}

static void transpose(struct evaluation *e, const struct graph_node *node, float *y)
{
    struct shape from = e->shapes[node->inputs[0]];
    const struct shape *to = &e->shapes[node->output];
    const float *x = value_of(e, node->inputs[0]);
    size_t strides[GRAPH_MAX_RANK], total = shape_elements(to);

    from.plain = true; /* as everything here */
    shape_strides(&from, strides);
    for (size_t i = 0; i < total; i++) {
        size_t rest = i, at = 0;
        for (int d = to->rank - 1; d >= 0; d--) {
            at += rest % (size_t)to->d[d] * strides[node->permutation[d]];
            rest /= (size_t)to->d[d];
        }
        y[i] = x[at];
    }
}

static void concat(struct evaluation *e, const struct graph_node *node, float *y)
{
    size_t before, all, behind, done = 0;

    cut_at(&e->shapes[node->output], node->axis, &before, &all, &behind);
    for (int j = 0; j < node->input_count; j++) {
        const float *x = value_of(e, node->inputs[j]);
        size_t part = (size_t)e->shapes[node->inputs[j]].d[node->axis];
        for (size_t i = 0; i < before; i++)
            memcpy(y + (i * all + done) * behind, x + i * part * behind, part * behind * sizeof *y);
        done += part;
    }
}

/* Sums and products of maps are general ones here. */
static bool general(struct evaluation *e, const struct graph_node *node, float *y)
{
    struct graph_array in[GRAPH_MAX_RANK], out = {.rank = e->shapes[node->output].rank};
    struct graph_node as = *node;

    if (node->input_count > GRAPH_MAX_RANK)
        return false;
    for (int i = 0; i < node->input_count; i++) {
        in[i] = (struct graph_array){.rank = -1};
        if (node->inputs[i] < 0)
            continue;
        in[i].rank = e->shapes[node->inputs[i]].rank;
        memcpy(in[i].dims, e->shapes[node->inputs[i]].d, sizeof in[i].dims);
        in[i].data = value_of(e, node->inputs[i]);
    }
    memcpy(out.dims, e->shapes[node->output].d, sizeof out.dims);
    if (node->op == GRAPH_ADD || node->op == GRAPH_MUL) {
        as.function = node->op == GRAPH_ADD ? GRAPH_PLUS : GRAPH_TIMES;
        as.op = GRAPH_BINARY;
    }
    graph_general_compute(&as, in, &out, y);
    return true;
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

static bool compute(struct evaluation *e, const struct graph_node *node, float *y)
{
    size_t n = shape_elements(&e->shapes[node->output]);

    switch (node->op) {
    case GRAPH_CONV:
        return conv(e, node, y);
    case GRAPH_LINEAR:
        linear(e, node, y);
        return true;
    case GRAPH_BATCH_NORM:
        batch_norm(e, node, y);
        return true;
    case GRAPH_ACTIVATION:
        for (size_t i = 0; i < n; i++)
            y[i] = (float)activated(node, (double)value_of(e, node->inputs[0])[i]);
        return true;
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        pool(e, node, y);
        return true;
    case GRAPH_GLOBAL_AVERAGE:
        global_average(e, node, y);
        return true;
    case GRAPH_TRANSPOSE:
        transpose(e, node, y);
        return true;
    case GRAPH_CONCAT:
        concat(e, node, y);
        return true;
    case GRAPH_SOFTMAX:
        softmax(e, node, y);
        return true;
    case GRAPH_RESHAPE:
    case GRAPH_IDENTITY:
    case GRAPH_DROPOUT:
    case GRAPH_NOISE:
        memcpy(y, value_of(e, node->inputs[0]), n * sizeof *y);
        return true;
    default:
        return general(e, node, y);
    }
}

static void read_once(struct evaluation *e, int tensor)
{
    if (tensor < 0 || --e->readers[tensor] > 0)
        return;
    if (tensor_at(e, tensor)->data != NULL)
        return;
    e->alive -= shape_elements(&e->shapes[tensor]);
    free(e->values[tensor]);
    e->values[tensor] = NULL;
}

static enum infomask_status run_nodes(struct evaluation *e, int nodes, struct infomask_error *err)
{
    for (int i = 0; i < nodes; i++) {
        const struct graph_node *node = &e->graph->nodes[i];
        size_t n = shape_elements(&e->shapes[node->output]);
        bool fused = node->op != GRAPH_ACTIVATION && node->activation != GRAPH_LINEAR_ACTIVATION;

        if (fused || node->op == GRAPH_ATTENTION ||
            ((node->op == GRAPH_CONV || node->op == GRAPH_LINEAR) && graph_input(node, 3) >= 0))
            return error_set(err, INFOMASK_INTERNAL, "only a graph that was not fused runs node by node");
        e->alive += n;
        e->values[node->output] = e->alive <= MOST_ELEMENTS ? malloc((n + 16) * sizeof(float)) : NULL;
        if (e->values[node->output] == NULL || !compute(e, node, e->values[node->output]))
            return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
        for (int j = 0; j < node->input_count; j++)
            read_once(e, node->inputs[j]);
    }
    return INFOMASK_OK;
}

/* What is kept has one reader more. */
static void count_readers(struct evaluation *e, int nodes)
{
    for (int i = 0; i < nodes; i++)
        for (int j = 0; j < e->graph->nodes[i].input_count; j++)
            if (e->graph->nodes[i].inputs[j] >= 0)
                e->readers[e->graph->nodes[i].inputs[j]]++;
    for (int i = nodes - EVALUATED_KEPT > 0 ? nodes - EVALUATED_KEPT : 0; i < nodes; i++)
        e->readers[e->graph->nodes[i].output]++;
    if (nodes == e->graph->node_count)
        e->readers[e->graph->outputs[0]]++;
}

static void hand_over(struct evaluation *e, int tensor, struct evaluated *kept)
{
    *kept = (struct evaluated){tensor, e->shapes[tensor], e->values[tensor]};
    e->values[tensor] = NULL;
}

/* Of the whole graph its output alone; else what the last nodes made, the last one first. */
static void keep(struct evaluation *e, int nodes, struct evaluated *kept, int *count)
{
    *count = 0;
    if (nodes == e->graph->node_count)
        hand_over(e, e->graph->outputs[0], &kept[(*count)++]);
    for (int i = nodes - 1; nodes < e->graph->node_count && i >= 0 && *count < EVALUATED_KEPT; i--)
        hand_over(e, e->graph->nodes[i].output, &kept[(*count)++]);
}

enum infomask_status evaluate_graph(const struct graph *graph, const struct evaluate_task *task,
                                    struct evaluated *kept, int *count, struct infomask_error *err)
{
    struct evaluation e = {.graph = graph, .kernels = task->kernels};
    size_t tensors = (size_t)graph->tensor_count + 1, n;
    int nodes = task->nodes, fit = nodes;
    enum infomask_status status = shapes_of(graph, task->h, task->w, &fit, &e.shapes, err);

    *count = 0;
    if (status == INFOMASK_OK && fit < nodes)
        status = shape_of_node(graph, &graph->nodes[fit], e.shapes, &e.shapes[graph->nodes[fit].output], err);
    if (status != INFOMASK_OK) {
        free(e.shapes);
        return status;
    }
    n = shape_elements(&e.shapes[graph->input]);
    e.values = calloc(tensors, sizeof *e.values);
    e.readers = calloc(tensors, sizeof *e.readers);
    if (e.values != NULL && e.readers != NULL)
        e.values[graph->input] = malloc((n + 16) * sizeof *task->x);
    if (e.values == NULL || e.readers == NULL || e.values[graph->input] == NULL)
        status = error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    if (status == INFOMASK_OK) {
        count_readers(&e, nodes);
        memcpy(e.values[graph->input], task->x, n * sizeof *task->x);
        e.alive = n;
        status = run_nodes(&e, nodes, err);
    }
    if (status == INFOMASK_OK)
        keep(&e, nodes, kept, count);
    for (size_t i = 0; e.values != NULL && i < tensors; i++)
        free(e.values[i]);
    free(e.values);
    free(e.readers);
    free(e.shapes);
    return status;
}
