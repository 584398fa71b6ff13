/* Tensors that are another tensor's memory seen by other strides: a turn, a slice, one index of a dimension, a
 * repetition or another shape costs nothing where every reader can walk by strides; the last of a chain of them copies
 * once. */
#include <stdlib.h>
#include <string.h>

#include "core/engine/internal.h"

struct view view_dense(const struct shape *shape)
{
    struct view v = {.rank = shape->rank};
    size_t strides[GRAPH_MAX_RANK] = {0};

    shape_strides(shape, strides);
    for (int i = 0; i < shape->rank; i++) {
        v.d[i] = shape->d[i];
        v.strides[i] = (ptrdiff_t)strides[i];
    }
    return v;
}

struct view view_of(const struct plan *plan, int tensor)
{
    const struct value *v = &plan->values[tensor];
    struct view dense;

    if (v->strided)
        return v->view;
    dense = view_dense(&v->shape);
    dense.offset = (ptrdiff_t)(v->shift / sizeof(float));
    return dense;
}

bool view_refine(const struct view *a, const struct view *b, struct view *fine_a, struct view *fine_b)
{
    int i = a->rank - 1, j = b->rank - 1, n = 0;
    int64_t left_a = 1, left_b = 1; /* of the dimensions at i and j, what is not cut off yet */
    struct view ra = {.offset = a->offset}, rb = {.offset = b->offset};
    ptrdiff_t step_a = 0, step_b = 0;

    for (;;) {
        for (; left_a == 1 && i >= 0; i--) {
            left_a = a->d[i];
            step_a = a->strides[i];
        }
        for (; left_b == 1 && j >= 0; j--) {
            left_b = b->d[j];
            step_b = b->strides[j];
        }
        if (left_a == 1 || left_b == 1)
            break;
        int64_t d = left_a < left_b ? left_a : left_b;
        if (left_a % d != 0 || left_b % d != 0 || n == VIEW_RANK)
            return false;
        ra.d[n] = rb.d[n] = d;
        ra.strides[n] = step_a;
        rb.strides[n++] = step_b;
        left_a /= d;
        left_b /= d;
        step_a *= d;
        step_b *= d;
    }
    ra.rank = rb.rank = n;
    for (int k = 0; k < n / 2; k++) {
        struct view *const both[2] = {&ra, &rb};
        for (int s = 0; s < 2; s++) {
            int64_t d = both[s]->d[k];
            ptrdiff_t stride = both[s]->strides[k];
            both[s]->d[k] = both[s]->d[n - 1 - k];
            both[s]->strides[k] = both[s]->strides[n - 1 - k];
            both[s]->d[n - 1 - k] = d;
            both[s]->strides[n - 1 - k] = stride;
        }
    }
    *fine_a = ra;
    *fine_b = rb;
    return left_a == left_b;
}

/* The strides of dimension d, which stands for the dimensions of `fine` from *at on, from the last one; false where
 * they are no one stride. */
static bool join(const struct view *fine, int *at, int64_t d, ptrdiff_t *stride)
{
    bool first = true;
    ptrdiff_t expected = 0;

    *stride = 0;
    while (d > 1) {
        if (*at < 0 || d % fine->d[*at] != 0 || (!first && fine->strides[*at] != expected))
            return false;
        if (first)
            *stride = fine->strides[*at];
        first = false;
        expected = fine->strides[*at] * fine->d[*at];
        d /= fine->d[(*at)--];
    }
    return true;
}

/* The same elements, in the file's order, as another shape. */
static bool reshaped(const struct view *x, const struct shape *shape, struct view *y)
{
    struct view target = view_dense(shape), fine_x, fine_y;
    int at;

    if (!view_refine(x, &target, &fine_x, &fine_y))
        return false;
    *y = target;
    y->offset = x->offset;
    at = fine_x.rank - 1;
    for (int i = shape->rank - 1; i >= 0; i--)
        if (!join(&fine_x, &at, shape->d[i], &y->strides[i]))
            return false;
    return true;
}

static void sliced(const struct graph_node *node, const struct view *x, struct view *y)
{
    *y = *x;
    for (int i = 0; i < x->rank; i++) {
        int64_t start;
        y->d[i] = graph_slice_range(node, x->rank, i, x->d[i], &start);
        y->offset += (ptrdiff_t)start * x->strides[i];
        y->strides[i] = x->strides[i] * (ptrdiff_t)node->table->v[2 * x->rank + i];
    }
}

/* One index of a dimension; of so many dimensions of size 1 in its place. */
static bool picked(const struct graph_node *node, const struct view *x, const struct shape *shape, struct view *y)
{
    int rank = (int)node->table->v[0], at = 0;
    int64_t index;

    if (node->table->count != (size_t)rank + 2)
        return false;
    index = node->table->v[1 + rank];
    index += index < 0 ? x->d[node->axis] : 0;
    *y = (struct view){.rank = shape->rank, .offset = x->offset + (ptrdiff_t)index * x->strides[node->axis]};
    for (int i = 0; i < shape->rank; i++)
        y->d[i] = shape->d[i];
    for (int i = 0; i < x->rank; i++) {
        if (i == node->axis)
            at += rank;
        else
            y->strides[at++] = x->strides[i];
    }
    return true;
}

static void expanded(const struct view *x, const struct shape *shape, struct view *y)
{
    *y = (struct view){.rank = shape->rank, .offset = x->offset};
    for (int i = 0; i < shape->rank; i++) {
        int from = i - (shape->rank - x->rank);
        y->d[i] = shape->d[i];
        y->strides[i] = from < 0 || x->d[from] == 1 ? 0 : x->strides[from];
    }
}

bool view_through(const struct graph_node *node, const struct view *x, const struct shape *shape, struct view *y)
{
    switch (node->op) {
    case GRAPH_IDENTITY:
        *y = *x;
        return true;
    case GRAPH_TRANSPOSE:
        *y = *x;
        for (int i = 0; i < x->rank; i++) {
            y->d[i] = x->d[node->permutation[i]];
            y->strides[i] = x->strides[node->permutation[i]];
        }
        return true;
    case GRAPH_RESHAPE:
        return reshaped(x, shape, y);
    case GRAPH_SLICE:
        sliced(node, x, y);
        return true;
    case GRAPH_GATHER:
        return picked(node, x, shape, y);
    case GRAPH_EXPAND:
        expanded(x, shape, y);
        return true;
    default:
        return false;
    }
}

bool view_copies(const struct graph_node *node)
{
    switch (node->op) {
    case GRAPH_IDENTITY:
    case GRAPH_TRANSPOSE:
    case GRAPH_RESHAPE:
    case GRAPH_SLICE:
    case GRAPH_EXPAND:
        return true;
    case GRAPH_GATHER:
        return node->table->count == (size_t)node->table->v[0] + 2;
    default:
        return false;
    }
}

/* A 1x1 convolution walks from pixel to pixel, which may be further apart than their channels. */
static bool conv_walks(const struct engine_model *model, int node, const struct view *v)
{
    const struct layer *layer = &model->layers[node];

    return !model->apart && layer->way == WAY_PRODUCT && layer->type == KERNEL_F32 && layer->groups == 1 &&
           !layer->jumps && v->rank == 4 && v->d[0] == 1 && v->strides[1] == 1 && v->d[2] * v->d[3] > 1 &&
           v->strides[3] >= v->d[1] && v->strides[2] == v->strides[3] * (ptrdiff_t)v->d[3];
}

/* Can the node walk through this input by strides? */
static bool walks(const struct engine_model *model, int number, int input, const struct view *v)
{
    const struct graph_node *node = &model->graph->nodes[number];

    switch (node->op) {
    case GRAPH_CONV:
        return input == 0 && conv_walks(model, number, v);
    case GRAPH_CONCAT:
        return true;
    case GRAPH_ATTENTION: /* products read rows of q, rows or columns of k and v */
        return (input < 3 && v->strides[v->rank - 1] == 1) || (input == 1 && v->strides[v->rank - 2] == 1);
    default:
        return view_copies(node);
    }
}

static bool stays_readable(const struct engine_model *model, const struct plan *plan, int tensor)
{
    bool tap = tensor == model->features;

    for (int i = 0; i < model->info.tap_count; i++)
        tap = tap || model->taps[i] == tensor;
    return tensor == model->output || (plan->taps && tap) || (model->info.noise && model->kept[tensor]);
}

/* Who reads a tensor: a list for each. */
struct reader {
    int node, input, next;
};

struct readers {
    const struct engine_model *model;
    struct plan *plan;
    int *first; /* [tensors]: 1 + the reader's number, 0 behind the last */
    struct reader *list;
};

static bool readers_make(struct readers *r)
{
    const struct graph *graph = r->model->graph;
    size_t count = 0;

    for (int i = 0; i < graph->node_count; i++)
        count += (size_t)graph->nodes[i].input_count;
    r->first = calloc((size_t)graph->tensor_count + 1, sizeof *r->first);
    r->list = calloc(count + 2, sizeof *r->list);
    if (r->first == NULL || r->list == NULL)
        return false;
    for (int i = 0, at = 1; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++) {
            int tensor = graph->nodes[i].inputs[j];
            if (tensor < 0)
                continue;
            r->list[at] = (struct reader){i, j, r->first[tensor]};
            r->first[tensor] = at++;
        }
    return true;
}

static bool all_walk(const struct readers *r, int tensor, const struct view *v)
{
    for (int at = r->first[tensor]; at != 0; at = r->list[at].next) {
        const struct reader *reader = &r->list[at];
        if (!plan_is_active(r->model, r->plan, &r->model->graph->nodes[reader->node]) ||
            !walks(r->model, reader->node, reader->input, v))
            return false;
    }
    return true;
}

/* Does the memory lie as the shape says?  Dimensions of one index lie anywhere. */
static bool is_dense(const struct view *v, const struct shape *shape)
{
    const struct view dense = view_dense(shape);

    for (int i = 0; i < v->rank; i++)
        if (v->d[i] != 1 && v->strides[i] != dense.strides[i])
            return false;
    return true;
}

static void find(const struct readers *readers, int number)
{
    const struct engine_model *model = readers->model;
    struct plan *plan = readers->plan;
    const struct graph_node *node = &model->graph->nodes[number];
    struct value *y = &plan->values[node->output];
    size_t whole = plan->values[node->inputs[0]].whole;
    struct view x, view;
    bool readable;

    if (!plan->noisy && (node->op == GRAPH_DROPOUT || node->op == GRAPH_NOISE)) {
        y->viewed = true;
        y->shift = plan->values[node->inputs[0]].shift;
        y->whole = whole;
        return;
    }
    if (!view_copies(node) || model_is_constant(model, node->inputs[0]))
        return;
    x = view_of(plan, node->inputs[0]);
    if (!view_through(node, &x, &y->shape, &view))
        return;
    readable = stays_readable(model, plan, node->output);
    if (is_dense(&view, &y->shape)) { /* who reads it outside finds one item's numbers behind another's */
        y->viewed = !readable || y->elements == whole;
        y->shift = y->viewed ? (size_t)view.offset * sizeof(float) : 0;
    } else if (!readable && all_walk(readers, node->output, &view)) {
        y->viewed = y->strided = true;
        y->view = view;
    }
    y->whole = y->viewed ? whole : y->elements;
}

bool views_find(const struct engine_model *model, struct plan *plan)
{
    struct readers readers = {.model = model, .plan = plan};
    bool fine = readers_make(&readers);

    for (int i = 0; i < model->graph->tensor_count; i++)
        plan->values[i].whole = plan->values[i].elements;
    for (int i = model->first; fine && i < model->graph->node_count; i++)
        if (plan_is_active(model, plan, &model->graph->nodes[i]))
            find(&readers, i);
    free(readers.first);
    free(readers.list);
    return fine;
}

/* ---- Copies: dimensions that both sides walk through as one are joined, and what is left inside are runs, or a matrix
 * to turn ------------------------------------------------------------------------------------------------------------
 */

static void swap_dims(struct copy *c, int a, int b)
{
    int64_t d = c->d[a];
    ptrdiff_t from = c->from[a], to = c->to[a];

    c->d[a] = c->d[b];
    c->from[a] = c->from[b];
    c->to[a] = c->to[b];
    c->d[b] = d;
    c->from[b] = from;
    c->to[b] = to;
}

/* In the order in which y lies, the outermost dimension first. */
static void sort_dims(struct copy *c)
{
    for (int i = 1; i < c->rank; i++)
        for (int j = i; j > 0 && c->to[j] > c->to[j - 1]; j--)
            swap_dims(c, j, j - 1);
}

static void join_dims(struct copy *c)
{
    int kept = 0;

    for (int i = 1; i < c->rank; i++) {
        if (c->from[kept] == c->from[i] * c->d[i] && c->to[kept] == c->to[i] * c->d[i]) {
            c->d[kept] *= c->d[i];
            c->from[kept] = c->from[i];
            c->to[kept] = c->to[i];
        } else {
            kept++;
            c->d[kept] = c->d[i];
            c->from[kept] = c->from[i];
            c->to[kept] = c->to[i];
        }
    }
    c->rank = c->rank > 0 ? kept + 1 : 0;
}

bool copy_make(const struct view *x, const struct view *y, struct copy *c)
{
    struct view from, to;

    if (!view_refine(x, y, &from, &to))
        return false;
    *c = (struct copy){.rank = from.rank, .from_offset = x->offset, .to_offset = y->offset};
    for (int i = 0; i < from.rank; i++) {
        c->d[i] = from.d[i];
        c->from[i] = from.strides[i];
        c->to[i] = to.strides[i];
    }
    if (c->rank == 0) { /* one element */
        c->rank = 1;
        c->d[0] = 1;
    }
    sort_dims(c);
    join_dims(c);
    return true;
}

/* The dimension, but the last, through which x walks from element to element; -1: none. */
static int near_dim(const struct copy *c)
{
    for (int i = c->rank - 2; i >= 0; i--)
        if (c->from[i] == 1)
            return i;
    return -1;
}

static void copy_inside(const struct kernel_table *kernels, const struct copy *c, int turned, const float *x, float *y)
{
    int last = c->rank - 1;
    size_t n = (size_t)c->d[last];

    if (turned >= 0) {
        kernels->transpose(x, c->from[last], y, c->to[turned], n, (size_t)c->d[turned]);
    } else if (c->from[last] == 1 && c->to[last] == 1) {
        memcpy(y, x, n * sizeof *y);
    } else {
        for (size_t i = 0; i < n; i++)
            y[(ptrdiff_t)i * c->to[last]] = x[(ptrdiff_t)i * c->from[last]];
    }
}

void copy_run(const struct kernel_table *kernels, const struct copy *whole, int64_t first, int64_t last, const float *x,
              float *y)
{
    struct copy c = *whole;
    int turned, outer[VIEW_RANK], outer_count = 0;
    int64_t index[VIEW_RANK] = {0};

    x += c.from_offset + (ptrdiff_t)first * c.from[0];
    y += c.to_offset + (ptrdiff_t)first * c.to[0];
    c.d[0] = last - first;
    turned = c.to[c.rank - 1] == 1 && c.from[c.rank - 1] != 1 ? near_dim(&c) : -1;
    for (int i = 0; i < c.rank - 1; i++)
        if (i != turned)
            outer[outer_count++] = i;
    for (;;) {
        int i = outer_count - 1;
        copy_inside(kernels, &c, turned, x, y);
        for (; i >= 0; i--) {
            int d = outer[i];
            x += c.from[d];
            y += c.to[d];
            if (++index[d] < c.d[d])
                break;
            x -= c.from[d] * c.d[d];
            y -= c.to[d] * c.d[d];
            index[d] = 0;
        }
        if (i < 0)
            return;
    }
}
