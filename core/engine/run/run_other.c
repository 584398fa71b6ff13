/* Everything that is no convolution or product.  The shapes that networks are full of have kernels; the rest walks
 * through memory by strides. */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

static const struct layer *layer_of(const struct task *task) { return &task->run->model->layers[task->step->node]; }

static const struct graph_node *node_of(const struct task *task)
{
    return &task->run->model->graph->nodes[task->step->node];
}

static const struct shape *shape_of(const struct task *task, int tensor)
{
    return &task->run->plan->values[tensor].shape;
}

/* Counts through the dimensions in a given order and keeps offsets into up to two tensors. */
struct walk {
    int rank, index[GRAPH_MAX_RANK];
    size_t size[GRAPH_MAX_RANK], a_step[GRAPH_MAX_RANK], b_step[GRAPH_MAX_RANK], a, b;
};

static void walk_next(struct walk *walk)
{
    for (int i = walk->rank - 1; i >= 0; i--) {
        walk->a += walk->a_step[i];
        walk->b += walk->b_step[i];
        if (++walk->index[i] < (int)walk->size[i])
            return;
        walk->index[i] = 0;
        walk->a -= walk->size[i] * walk->a_step[i];
        walk->b -= walk->size[i] * walk->b_step[i];
    }
}

struct copy_ends {
    struct view x, y;
};

/* What a node that only moves elements reads, and where: in the order of its output's dimensions, if that can be said.
 */
static struct copy_ends ends_of(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    struct copy_ends e = {.y = view_dense(&plan->values[s->y].shape)};
    struct view x = view_of(plan, s->x);

    /* task_value counts the shift of a dense one already */
    x.offset = plan->values[s->x].strided ? x.offset : 0;
    if (!view_through(&model->graph->nodes[s->node], &x, &plan->values[s->y].shape, &e.x))
        e.x = x;
    return e;
}

/* Element by element in the file's order. */
static void copy_slowly(const struct copy_ends *e, const float *x, float *y)
{
    struct walk from = {.rank = e->x.rank}, to = {.rank = e->y.rank};
    size_t count = 1;

    for (int i = 0; i < e->x.rank; i++) {
        from.size[i] = (size_t)e->x.d[i];
        from.a_step[i] = (size_t)e->x.strides[i];
        count *= from.size[i];
    }
    for (int i = 0; i < e->y.rank; i++) {
        to.size[i] = (size_t)e->y.d[i];
        to.a_step[i] = (size_t)e->y.strides[i];
    }
    from.a = (size_t)e->x.offset;
    for (size_t i = 0; i < count; i++, walk_next(&from), walk_next(&to))
        y[to.a] = x[from.a];
}

static void move(const struct task *task, int first, int last)
{
    const struct copy_ends e = ends_of(task->run->model, task->run->plan, task->step);
    const float *x = task_value(task, task->step->x, task->item);
    float *y = task_value(task, task->step->y, task->item);
    struct copy copy;

    if (copy_make(&e.x, &e.y, &copy))
        copy_run(task->run->model->kernels, &copy, first, last, x, y);
    else
        copy_slowly(&e, x, y);
}

/* Elements of one index of `axis` and of all dimensions that lie inside it in memory, and how often that occurs. */
static void axis_blocks(const struct shape *s, int axis, size_t *inner, size_t *outer)
{
    int order[GRAPH_MAX_RANK] = {0};
    bool inside = false;

    *inner = *outer = 1;
    shape_order(s, order);
    for (int i = 0; i < s->rank; i++) {
        if (order[i] == axis)
            inside = true;
        else if (inside)
            *inner *= (size_t)s->d[order[i]];
        else
            *outer *= (size_t)s->d[order[i]];
    }
}

static void concat(const struct task *task)
{
    const struct graph_node *node = node_of(task);
    const struct plan *plan = task->run->plan;
    float *y = task_value(task, task->step->y, task->item);
    struct view part = view_dense(shape_of(task, task->step->y));

    for (int i = 0; i < node->input_count; i++) {
        const struct value *v = &plan->values[node->inputs[i]];
        const float *constant = layer_of(task)->operands[i];
        const float *x = constant != NULL ? constant : task_value(task, node->inputs[i], task->item);
        struct shape shape = v->shape;
        struct view from;
        struct copy copy;

        shape.plain = shape.plain || constant != NULL; /* as the file has them */
        from = v->strided ? v->view : view_dense(&shape);

        part.d[node->axis] = v->shape.d[node->axis];
        if (copy_make(&from, &part, &copy)) /* the same dimensions: always */
            copy_run(task->run->model->kernels, &copy, 0, copy.d[0], x, y);
        part.offset += part.strides[node->axis] * (ptrdiff_t)part.d[node->axis];
    }
}

#define SOFTMAX_ROW 4096 /* elements of a column that are gathered: 16 KB */

/* n values, `step` elements apart. */
static void softmax_strided(const float *x, float *y, size_t n, size_t step)
{
    float most = -INFINITY; /* no double: gcc 12 fails to vectorise a maximum that widens, on arm64 */
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, x[i * step]);
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i * step] - (double)most);
    for (size_t i = 0; i < n; i++)
        y[i * step] = (float)(exp((double)x[i * step] - (double)most) / sum);
}

/* The same for `columns` of them side by side, by the kernel for rows: as many at once as a buffer has room for. */
static void softmax_columns(const struct kernel_table *kernels, const float *x, float *y, size_t n, size_t columns)
{
    _Alignas(64) float rows[SOFTMAX_ROW];
    size_t room = SOFTMAX_ROW / n;

    for (size_t at = 0; at < columns; at += room) {
        size_t some = columns - at < room ? columns - at : room;
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < some; c++)
                rows[c * n + i] = x[i * columns + at + c];
        kernels->softmax(rows, rows, some, n);
        for (size_t i = 0; i < n; i++)
            for (size_t c = 0; c < some; c++)
                y[i * columns + at + c] = rows[c * n + i];
    }
}

/* Rows [first, last) of `row` elements where it runs along the innermost dimension; else the whole. */
static void softmax(const struct task *task, size_t first, size_t last, size_t row)
{
    const struct shape *s = shape_of(task, task->step->x);
    int axis = node_of(task)->axis < 0 ? node_of(task)->axis + s->rank : node_of(task)->axis;
    const struct kernel_table *kernels = task->run->model->kernels;
    const float *x = task_value(task, task->step->x, task->item);
    float *y = task_value(task, task->step->y, task->item);
    size_t inner, outer, n = (size_t)s->d[axis];

    axis_blocks(s, axis, &inner, &outer);
    if (inner == 1) {
        size_t rows = task->step->by_rows ? (last - first) * row / n : outer;
        kernels->softmax(x + first * row, y + first * row, rows, n);
        return;
    }
    for (size_t o = 0; o < outer; o++, x += n * inner, y += n * inner)
        if (n <= SOFTMAX_ROW)
            softmax_columns(kernels, x, y, n, inner);
        else
            for (size_t i = 0; i < inner; i++)
                softmax_strided(x + i, y + i, n, inner);
}

/* y (op) x where y's dims are x's or 1, by strides. */
static void combine_strided(const struct task *task, const float *a, const float *b, float *y, bool product)
{
    const struct shape *as = shape_of(task, task->step->x);
    struct shape bs = *shape_of(task, task->step->z);
    size_t a_strides[GRAPH_MAX_RANK] = {0}, b_strides[GRAPH_MAX_RANK] = {0}, count = shape_elements(as);
    int order[GRAPH_MAX_RANK] = {0};
    struct walk walk = {.rank = as->rank};

    bs.plain = as->plain; /* constants are there in the order of who reads them */
    shape_order(as, order);
    shape_strides(as, a_strides);
    shape_strides(&bs, b_strides);
    for (int i = 0; i < as->rank; i++) {
        walk.size[i] = (size_t)as->d[order[i]];
        walk.a_step[i] = a_strides[order[i]];
        walk.b_step[i] = bs.d[order[i]] == 1 ? 0 : b_strides[order[i]];
    }
    for (size_t i = 0; i < count; i++, walk_next(&walk))
        y[walk.a] = product ? a[walk.a] * b[walk.b] : a[walk.a] + b[walk.b];
    task->run->model->kernels->activate(y, y, count, &layer_of(task)->epilogue);
}

/* Is the second operand one value a channel? */
static bool per_channel(const struct shape *a, const struct shape *b)
{
    int64_t rest = 1;

    for (int i = 0; i < b->rank; i++)
        rest *= i == 1 ? 1 : b->d[i];
    return a->rank > 1 && rest == 1 && b->d[1] == a->d[1] && (shape_is_map(a) || a->rank == 2);
}

/* Is it one value for each place of the last dimensions of a row-major tensor?  How many. */
static size_t per_row(const struct shape *a, const struct shape *b)
{
    size_t n = 1;
    int i = a->rank - 1;

    for (; !shape_is_map(a) && i >= 0 && b->d[i] == a->d[i]; i--)
        n *= (size_t)b->d[i];
    for (; i >= 0; i--)
        if (b->d[i] != 1)
            return 0;
    return shape_is_map(a) || n > INT32_MAX ? 0 : n;
}

size_t pass_row(const struct plan *plan, const struct graph_node *node, const struct step *s)
{
    const struct shape *x = &plan->values[s->x].shape, *z;
    int last = x->rank - 1;

    if (node->op == GRAPH_SOFTMAX && shape_is_map(x))
        return node->axis == 1 ? (size_t)x->d[1] : 0;
    if (x->rank < 3 || shape_is_map(x) || (node->op == GRAPH_SOFTMAX && node->axis != last))
        return 0;
    if (node->op == GRAPH_SOFTMAX || node->op == GRAPH_ACTIVATION)
        return (size_t)x->d[last];
    z = &plan->values[s->z].shape;
    if (shape_same(x, z) || shape_elements(z) == 1)
        return (size_t)x->d[last];
    return per_row(x, z) > 1 ? per_row(x, z) : 0;
}

int64_t copy_rows(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    const struct copy_ends e = ends_of(model, plan, s);
    struct copy copy;

    return copy_make(&e.x, &e.y, &copy) ? copy.d[0] : 1;
}

/* y = a (op) one value, n elements: as pixels of so many channels, and what is left. */
static void combine_one(const struct task *task, const float *a, float b, float *y, size_t n, bool product)
{
    enum { CHANNELS = 64 };
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct kernel_epilogue *epilogue = &layer_of(task)->epilogue;
    size_t whole = n / CHANNELS * CHANNELS;
    float one[CHANNELS + 16]; /* kernels may read a vector beyond */

    for (size_t i = 0; i < sizeof one / sizeof *one; i++)
        one[i] = b;
    kernels->scale_shift(a, product ? one : NULL, product ? NULL : one, y, n / CHANNELS, CHANNELS, epilogue);
    if (whole < n)
        kernels->scale_shift(a + whole, product ? one : NULL, product ? NULL : one, y + whole, 1, (int)(n - whole),
                             epilogue);
}

/* Is it one value for each block of a row-major tensor, the same for all that lies before those?  The elements of a
 * block; 0: no, or blocks are too small to be worth a call. */
static size_t per_block(const struct shape *a, const struct shape *b)
{
    enum { FEW = 32 };
    size_t n = 1;
    int i = a->rank - 1;

    for (; i >= 0 && b->d[i] == 1; i--)
        n *= (size_t)a->d[i];
    for (; i >= 0 && b->d[i] == a->d[i]; i--)
        ;
    for (; i >= 0; i--)
        if (b->d[i] != 1)
            return 0;
    return shape_is_map(a) || n < FEW ? 0 : n;
}

static void combine_blocks(const struct task *task, const float *a, const float *b, float *y, bool product)
{
    const struct shape *as = shape_of(task, task->step->x), *bs = shape_of(task, task->step->z);
    size_t block = per_block(as, bs), values = shape_elements(bs), blocks = shape_elements(as) / block;

    for (size_t i = 0; i < blocks; i++)
        combine_one(task, a + i * block, b[i % values], y + i * block, block, product);
}

/* Rows [y0, y1) of the output, `row` elements each. */
static void combine(const struct task *task, size_t y0, size_t y1, size_t row)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct layer *layer = layer_of(task);
    const struct step *s = task->step;
    const struct shape *as = shape_of(task, s->x), *bs = shape_of(task, s->z);
    const float *a = task_value(task, s->x, task->item);
    const float *b = layer->constant != NULL ? layer->constant : task_value(task, s->z, task->item);
    float *y = task_value(task, s->y, task->item);
    bool product = node_of(task)->op == GRAPH_MUL;
    size_t at = y0 * row, n = (y1 - y0) * row;

    if (n == 0)
        return;
    if (shape_same(as, bs) && product) {
        kernels->mul(a + at, b + at, y + at, n);
        if (layer->epilogue.activation != KERNEL_CLAMP || layer->epilogue.low > -INFINITY ||
            layer->epilogue.high < INFINITY)
            kernels->activate(y + at, y + at, n, &layer->epilogue);
    } else if (shape_same(as, bs)) {
        kernels->add(a + at, b + at, y + at, n, &layer->epilogue);
    } else if (shape_elements(bs) == 1) {
        combine_one(task, a + at, *b, y + at, n, product);
    } else if (per_channel(as, bs)) {
        kernels->scale_shift(a + at, product ? b : NULL, product ? NULL : b, y + at, n / (size_t)s->c, s->c,
                             &layer->epilogue);
    } else if (as->rank != 2 && per_row(as, bs) > 1) {
        size_t width = per_row(as, bs);
        kernels->scale_shift(a + at, product ? b : NULL, product ? NULL : b, y + at, n / width, (int)width,
                             &layer->epilogue);
    } else if (y0 == 0 && per_block(as, bs) > 0) {
        combine_blocks(task, a, b, y, product);
    } else if (y0 == 0) {
        combine_strided(task, a, b, y, product);
    }
}

bool pass_by_pixels(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    const struct graph_node *node = &model->graph->nodes[s->node];
    const struct shape *x = &plan->values[s->x].shape, *z;

    if (plan->values[s->x].strided || !shape_is_map(x))
        return false;
    if (node->op == GRAPH_BATCH_NORM || node->op == GRAPH_ACTIVATION)
        return true;
    if ((node->op != GRAPH_ADD && node->op != GRAPH_MUL) || s->z < 0 || plan->values[s->z].strided)
        return false;
    z = &plan->values[s->z].shape;
    return shape_same(x, z) || shape_elements(z) == 1 || per_channel(x, z);
}

static struct kernel_pool pool_of(const struct task *task)
{
    const struct step *s = task->step;
    const struct graph_window *w = &node_of(task)->window;

    return (struct kernel_pool){
        .x = task_value(task, s->x, task->item), .h = s->h, .w = s->w, .c = s->c,
        .y = task_value(task, s->y, task->item), .out_h = s->out_h, .out_w = s->out_w, .kernel_h = w->kernel_h,
        .kernel_w = w->kernel_w, .stride_h = w->stride_h, .stride_w = w->stride_w, .pad_top = s->pad_top,
        .pad_left = s->pad_left, .pad_bottom = s->pad_bottom, .pad_right = s->pad_right,
        .count_include_pad = w->count_include_pad};
}

static void pool_rows(const struct task *task, int first, int last)
{
    struct kernel_pool pool = pool_of(task);

    pool.y0 = first;
    pool.y1 = last;
    if (node_of(task)->op == GRAPH_MAX_POOL)
        task->run->model->kernels->max_pool(&pool);
    else
        task->run->model->kernels->average_pool(&pool);
}

static void global_average(const struct task *task, int first, int last)
{
    const struct step *s = task->step;
    int c1 = last * s->unit < s->c ? last * s->unit : s->c;

    task->run->model->kernels->global_average(task_value(task, s->x, task->item), (size_t)(s->h * s->w), s->c,
                                              task_value(task, s->y, task->item), first * s->unit, c1);
}

/* BATCH_NORM and ACTIVATION on rows of the output. */
static void pointwise(const struct task *task, size_t y0, size_t y1, size_t row)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct layer *layer = layer_of(task);
    const struct step *s = task->step;
    const float *x = (const float *)task_value(task, s->x, task->item) + y0 * row;
    float *y = (float *)task_value(task, s->y, task->item) + y0 * row;
    size_t n = (y1 - y0) * row;

    if (node_of(task)->op == GRAPH_BATCH_NORM)
        kernels->scale_shift(x, layer->scale, layer->shift, y, n / (size_t)s->c, s->c, &layer->epilogue);
    else
        kernels->activate(x, y, n, &layer->epilogue);
}

void run_followers(const struct task *task, int first, int last)
{
    struct task one = *task;

    for (int i = 1 + task->step->absorbed; i < task->step->members; i++) {
        one.step = task->step + i;
        if (node_of(&one)->op == GRAPH_ADD || node_of(&one)->op == GRAPH_MUL)
            combine(&one, (size_t)first, (size_t)last, (size_t)one.step->out_c);
        else
            pointwise(&one, (size_t)first, (size_t)last, (size_t)one.step->out_c);
    }
}

static void chunk_body(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct step *s = task->step;
    size_t row = task->run->plan->values[s->y].elements / (size_t)(s->by_rows ? s->rows : s->out_h);
    int first, last;

    cut_range(&s->cut, chunk, &first, &last);
    if (s->by_rows) {
        first *= s->unit;
        last = last * s->unit < s->rows ? last * s->unit : s->rows;
    }
    switch (node_of(task)->op) {
    case GRAPH_MAX_POOL:
    case GRAPH_AVERAGE_POOL:
        pool_rows(task, first, last);
        break;
    case GRAPH_GLOBAL_AVERAGE:
        global_average(task, first, last);
        break;
    case GRAPH_ADD:
    case GRAPH_MUL:
        combine(task, (size_t)first, (size_t)last, row);
        break;
    case GRAPH_BATCH_NORM:
    case GRAPH_ACTIVATION:
        pointwise(task, (size_t)first, (size_t)last, row);
        break;
    case GRAPH_CONCAT:
        concat(task);
        break;
    case GRAPH_ATTENTION:
        run_attention(task, first, last, worker);
        break;
    case GRAPH_SOFTMAX:
        softmax(task, (size_t)first, (size_t)last, row);
        break;
    default: /* the others are views or have ways of their own */
        if (view_copies(node_of(task)))
            move(task, first, last);
        else if (graph_is_general(node_of(task)->op))
            run_general(task, first, last, worker);
        break;
    }
    if (s->led)
        run_followers(task, first * s->out_w, last * s->out_w);
}

void run_other(const struct task *task)
{
    run_chunks(task->run, task->step->cut.chunks, chunk_body, (void *)(uintptr_t)task);
}
