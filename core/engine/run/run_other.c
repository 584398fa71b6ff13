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

/* Counts through dimensions, outermost first, and keeps an offset. */
struct walk {
    int rank;
    size_t index[VIEW_RANK], size[VIEW_RANK], step[VIEW_RANK], at;
};

/* To element i, from the first one. */
static void walk_to(struct walk *walk, size_t i)
{
    for (int d = walk->rank - 1; d >= 0; i /= walk->size[d], d--) {
        walk->index[d] = i % walk->size[d];
        walk->at += walk->index[d] * walk->step[d];
    }
}

static void walk_next(struct walk *walk)
{
    for (int i = walk->rank - 1; i >= 0; i--) {
        walk->at += walk->step[i];
        if (++walk->index[i] < walk->size[i])
            return;
        walk->index[i] = 0;
        walk->at -= walk->size[i] * walk->step[i];
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
        from.step[i] = (size_t)e->x.strides[i];
        count *= from.size[i];
    }
    for (int i = 0; i < e->y.rank; i++) {
        to.size[i] = (size_t)e->y.d[i];
        to.step[i] = (size_t)e->y.strides[i];
    }
    from.at = (size_t)e->x.offset;
    for (size_t i = 0; i < count; i++, walk_next(&from), walk_next(&to))
        y[to.at] = x[from.at];
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

/* Of each part the lines [first, last) of so many that it is cut into. */
static void concat(const struct task *task, int first, int last)
{
    const int total = task->step->cut.total;
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
            copy_run(task->run->model->kernels, &copy, copy.d[0] * first / total, copy.d[0] * last / total, x, y);
        part.offset += part.strides[node->axis] * (ptrdiff_t)part.d[node->axis];
    }
}

/* Columns of n elements that are gathered at once, to be rows for the kernel: 16 KB of them, one at least. */
static size_t columns_at_once(size_t n) { return n < 4096 ? 4096 / n : 1; }

size_t softmax_scratch(const struct shape *s, int axis)
{
    size_t inner, outer, n = (size_t)s->d[axis];

    axis_blocks(s, axis, &inner, &outer);
    return inner == 1 ? 0 : columns_at_once(n) * n * sizeof(float);
}

/* `columns` of n elements, those of one column `apart`. */
static void softmax_columns(const struct kernel_table *kernels, const float *x, float *y, size_t n, size_t columns,
                            size_t apart, float *rows)
{
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < columns; c++)
            rows[c * n + i] = x[i * apart + c];
    kernels->softmax(rows, rows, columns, n);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < columns; c++)
            y[i * apart + c] = rows[c * n + i];
}

/* Rows or columns [first, last) along the axis, counted in the order of their first elements. */
static void softmax(const struct task *task, size_t first, size_t last, int worker)
{
    const struct shape *s = shape_of(task, task->step->x);
    int axis = node_of(task)->axis;
    const struct kernel_table *kernels = task->run->model->kernels;
    const float *x = task_value(task, task->step->x, task->item);
    float *y = task_value(task, task->step->y, task->item);
    size_t inner, outer, n = (size_t)s->d[axis], some;

    axis_blocks(s, axis, &inner, &outer);
    if (!task->step->by_rows) {
        first = 0;
        last = inner * outer;
    }
    if (inner == 1) {
        kernels->softmax(x + first * n, y + first * n, last - first, n);
        return;
    }
    for (size_t c = first; c < last; c += some) {
        size_t at = c / inner * n * inner + c % inner;
        some = inner - c % inner < last - c ? inner - c % inner : last - c;
        some = some < columns_at_once(n) ? some : columns_at_once(n);
        softmax_columns(kernels, x + at, y + at, n, some, inner, (float *)(void *)task_scratch(task, worker));
    }
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

    if (node->op == GRAPH_SOFTMAX && x->rank > 2)
        return (size_t)x->d[node->axis];
    if (x->rank < 3 || shape_is_map(x) || node->op == GRAPH_SOFTMAX)
        return 0;
    if (node->op == GRAPH_ACTIVATION)
        return (size_t)x->d[last];
    z = &plan->values[s->z].shape;
    return !shape_same(x, z) && per_row(x, z) > 1 ? per_row(x, z) : (size_t)x->d[last];
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

static bool is_none(const struct kernel_epilogue *e)
{
    return e->activation == KERNEL_CLAMP && !(e->low > -INFINITY) && !(e->high < INFINITY);
}

/* y = a (op) b, n elements, where b is one of them for each (step 1) or the same for all (step 0). */
static void combine_run(const struct task *task, const float *a, const float *b, size_t step, float *y, size_t n)
{
    enum { SHORT = 16 }; /* a kernel's call takes longer */
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct kernel_epilogue *epilogue = &layer_of(task)->epilogue;
    bool product = node_of(task)->op == GRAPH_MUL;

    if (n >= SHORT && step == 0) {
        combine_one(task, a, *b, y, n, product);
    } else if (n >= SHORT && !product) {
        kernels->add(a, b, y, n, epilogue);
    } else {
        if (n >= SHORT)
            kernels->mul(a, b, y, n);
        for (size_t i = 0; n < SHORT && i < n; i++)
            y[i] = product ? a[i] * b[i * step] : a[i] + b[i * step];
        if (!is_none(epilogue))
            kernels->activate(y, y, n, epilogue);
    }
}

/* What b does under the dimensions of a, as they lie in memory; those behind one another that b takes alike are one. */
static struct walk walk_under(const struct shape *a, const struct shape *b)
{
    size_t strides[GRAPH_MAX_RANK] = {0};
    int order[GRAPH_MAX_RANK] = {0};
    struct walk walk = {.rank = 0};

    shape_order(a, order);
    shape_strides(b, strides);
    for (int i = 0; i < a->rank; i++) {
        size_t size = (size_t)a->d[order[i]], step = b->d[order[i]] == 1 ? 0 : strides[order[i]];
        if (size == 1)
            continue;
        if (walk.rank > 0 && walk.step[walk.rank - 1] == step * size)
            walk.size[walk.rank - 1] *= size;
        else
            walk.size[walk.rank++] = size;
        walk.step[walk.rank - 1] = step;
    }
    return walk;
}

/* Elements [first, last) of y = a (op) b where b's dims are a's or 1. */
static void combine_strided(const struct task *task, const float *a, const float *b, float *y, size_t first,
                            size_t last)
{
    struct shape bs = *shape_of(task, task->step->z);
    struct walk walk;
    size_t row, step, n;

    bs.plain = shape_of(task, task->step->x)->plain; /* constants are there in the order of who reads them */
    walk = walk_under(shape_of(task, task->step->x), &bs);
    walk.rank--; /* the last one is a row; one that is longer than 1 there is, or b had one number */
    row = walk.size[walk.rank];
    step = walk.step[walk.rank];
    walk_to(&walk, first / row);
    for (size_t at = first; at < last; at += n, walk_next(&walk)) {
        n = row - at % row < last - at ? row - at % row : last - at;
        combine_run(task, a + at, b + walk.at + at % row * step, step, y + at, n);
    }
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
        if (!is_none(&layer->epilogue))
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
    } else {
        combine_strided(task, a, b, y, at, at + n);
    }
}

bool pass_by_pixels(const struct engine_model *model, const struct plan *plan, const struct step *s)
{
    const struct graph_node *node = &model->graph->nodes[s->node];
    const struct shape *x = &plan->values[s->x].shape, *z;

    if (plan->values[s->x].strided || !shape_is_map(x))
        return false;
    if (node->op == GRAPH_BATCH_NORM || node->op == GRAPH_ACTIVATION || node->op == GRAPH_QUANTIZE)
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

/* BATCH_NORM, ACTIVATION and QUANTIZE on rows of the output. */
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
    else if (node_of(task)->op == GRAPH_QUANTIZE)
        run_quantize(task, x, y, n);
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
        concat(task, first, last);
        break;
    case GRAPH_ATTENTION:
        run_attention(task, first, last, worker);
        break;
    case GRAPH_SOFTMAX:
        softmax(task, (size_t)first, (size_t)last, worker);
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
