/* Convolutions and matrix products, chunk by chunk.  All lines and rows are of one item. */
#include <math.h>
#include <string.h>

#include "core/engine/internal.h"

static const struct layer *layer_of(const struct task *task) { return &task->run->model->layers[task->step->node]; }

static const struct graph_window *window_of(const struct task *task)
{
    return &task->run->model->graph->nodes[task->step->node].window;
}

static float *scratch_of(const struct task *task, int worker) { return (float *)(void *)task_scratch(task, worker); }

static enum kernel_type type_of(const struct task *task, int tensor) { return task->run->plan->values[tensor].type; }

static const void *offset(const void *p, enum kernel_type type, size_t elements)
{
    return p == NULL ? NULL : (const char *)p + elements * kernel_type_bytes(type);
}

/* ---- Inputs in the type that the weights have -------------------------------------------------------------------- */

static void narrow(const struct task *task, const void *from, void *to, size_t elements)
{
    enum kernel_type type = layer_of(task)->type;

    if (type_of(task, task->step->x) == type)
        memcpy(to, from, elements * kernel_type_bytes(type));
    else if (type == KERNEL_BF16)
        task->run->model->kernels->to_bf16(from, to, elements);
    else if (type == KERNEL_U8)
        task->run->model->kernels->to_u8(from, to, elements, layer_of(task)->x_scale, layer_of(task)->x_zero);
}

/* What rows [row, row + rows) of a product read: the pixels as they lie, or each output's own. */
static void take_rows(const struct task *task, int item, int row, int rows, void *to)
{
    const struct step *s = task->step;
    const struct graph_window *w = window_of(task);
    enum kernel_type type = type_of(task, s->x);
    const void *x = task_value(task, s->x, item);
    size_t c = (size_t)s->c, size = c * kernel_type_bytes(layer_of(task)->type);

    if (!layer_of(task)->jumps) {
        narrow(task, offset(x, type, (size_t)row * c), to, (size_t)rows * c);
        return;
    }
    for (int i = row; i < row + rows; i++, to = (char *)to + size) {
        int pixel = i / s->out_w * w->stride_h * s->w + i % s->out_w * w->stride_w;
        narrow(task, offset(x, type, (size_t)pixel * c), to, c);
    }
}

/* Input rows under `lines` rows of output from `line` on, with zeros where they lie outside the map. */
static void pad_rows(const struct task *task, int line, int lines, void *rows)
{
    const struct step *s = task->step;
    const struct graph_window *w = window_of(task);
    const char *x = task_value(task, s->x, task->item);
    size_t from_size = kernel_type_bytes(type_of(task, s->x)), size = kernel_type_bytes(layer_of(task)->type);
    size_t left = (size_t)(s->pad_left * s->c), middle = (size_t)(s->w * s->c), right = (size_t)(s->pad_right * s->c);
    int first = line * w->stride_h - s->pad_top;
    int last = first + (lines - 1) * w->stride_h + (w->kernel_h - 1) * w->dilation_h + 1;
    int zero = layer_of(task)->x_zero; /* 0 but for U8, whose elements are bytes */
    char *to = rows;

    for (int y = first; y < last; y++, to += (left + middle + right) * size) {
        if (y < 0 || y >= s->h) {
            memset(to, zero, (left + middle + right) * size);
            continue;
        }
        memset(to, zero, left * size);
        narrow(task, x + (size_t)y * middle * from_size, to + left * size, middle);
        memset(to + (left + middle) * size, zero, right * size);
    }
}

/* c of `pitch` floats of each pixel; c is a constant where it is a common one, so that the copies are inline. */
static inline __attribute__((always_inline)) void copy_slices(const float *from, size_t pitch, size_t pixels, size_t c,
                                                              float *to)
{
    for (size_t i = 0; i < pixels; i++, from += pitch, to += c)
        memcpy(to, from, c * sizeof *to);
}

static void copy_channels(const float *from, size_t pitch, size_t pixels, size_t c, float *to)
{
    switch (c) {
    case 8: copy_slices(from, pitch, pixels, 8, to); break;
    case 16: copy_slices(from, pitch, pixels, 16, to); break;
    case 24: copy_slices(from, pitch, pixels, 24, to); break;
    case 32: copy_slices(from, pitch, pixels, 32, to); break;
    default: copy_slices(from, pitch, pixels, c, to); break;
    }
}

/* As pad_rows, of a group's channels [c0, c0 + c) alone. */
static void pad_group(const struct task *task, int line, int lines, size_t c0, size_t c, float *to)
{
    const struct step *s = task->step;
    const struct graph_window *w = window_of(task);
    const float *x = (const float *)task_value(task, s->x, task->item) + c0;
    size_t pitch = (size_t)s->c, left = (size_t)s->pad_left * c, right = (size_t)s->pad_right * c, width = (size_t)s->w;
    int first = line * w->stride_h - s->pad_top, last = first + lines_under(w, lines);

    for (int y = first; y < last; y++, to += left + width * c + right) {
        if (y < 0 || y >= s->h) {
            memset(to, 0, (left + width * c + right) * sizeof *to);
            continue;
        }
        memset(to, 0, left * sizeof *to);
        copy_channels(x + (size_t)y * width * pitch, pitch, width, c, to + left);
        memset(to + left + width * c, 0, right * sizeof *to);
    }
}

/* The whole input of every item that the step is for. */
static void stage(const struct task *task)
{
    const struct step *s = task->step;
    int items = s->tail && task->run->plan->values[s->x].region != REGION_OUTER ? task->run->plan->n : 1;

    if (layer_of(task)->way == WAY_SEGMENTS) {
        pad_rows(task, 0, s->out_h, task_value(task, s->staged, task->item));
        return;
    }
    for (int i = 0; i < items; i++)
        take_rows(task, task->item + i, 0, s->rows, task_value(task, s->staged, task->item + i));
}

static struct kernel_epilogue epilogue_of(const struct task *task)
{
    const struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    return task->step->clamped ? none : layer_of(task)->epilogue;
}

/* ---- Products ---------------------------------------------------------------------------------------------------- */

static struct kernel_gemm product_into(const struct task *task, void *c, const void *residual)
{
    const struct layer *layer = layer_of(task);
    const struct value *y = &task->run->plan->values[task->step->y];

    const struct kernel_weights *weights = task->weights != NULL ? task->weights : layer->weights;

    return (struct kernel_gemm){.weights = weights, .c = c, .c_row = task->step->out_c, .residual = residual,
                                .residual_row = task->step->out_c, .out = type_of(task, task->step->y),
                                .panel1 = layer->weights->panels, .epilogue = epilogue_of(task),
                                .a_scale = layer->x_scale, .a_zero = layer->x_zero, .c_scale = y->scale,
                                .c_zero = y->zero};
}

/* What of the passes behind a step its kernel does itself, from a pixel of the map on; NULL: nothing. */
static const struct kernel_then *then_of(const struct task *task, ptrdiff_t pixel, struct kernel_then *then)
{
    const struct step *s = task->step;
    const struct layer *next = s->absorbed == 0 ? NULL : &task->run->model->layers[s[1].node];
    const struct value *addend = s->addend < 0 ? NULL : &task->run->plan->values[s->addend];

    if (next == NULL && s->rounding.scale == 0)
        return NULL;
    *then = (struct kernel_then){.addend_row = s->out_c};
    if (next != NULL) {
        then->scale = next->scale;
        then->shift = next->shift;
    }
    if (addend != NULL) {
        then->addend = task_value(task, s->addend, task->item);
        then->addend_type = addend->type;
        then->addend_scale = addend->scale;
        then->addend_zero = addend->zero;
    }
    then->first = s->first.scale > 0 ? &s->first : NULL;
    then->rounding = s->rounding.scale > 0 ? &s->rounding : NULL;
    *then = kernel_then_from(then, pixel);
    return then;
}

/* Output and residual of a product from line `line` of a map on, and what comes behind it. */
static struct kernel_gemm product_at_line(const struct task *task, int line, struct kernel_then *then)
{
    const struct step *s = task->step;
    struct kernel_gemm g =
        product_into(task, task_line(task, s->y, line), s->z < 0 ? NULL : task_line(task, s->z, line));

    g.then = then_of(task, (ptrdiff_t)line * s->out_w, then);
    return g;
}

/* The product for every group: its slice of the channels of A (apart by a_step), of C and of the residual. */
static void product_groups(const struct task *task, struct kernel_gemm g, size_t a_step)
{
    const struct layer *layer = layer_of(task);
    size_t n = (size_t)layer->weights->n;

    for (int i = 0; i < layer->groups; i++) {
        if (layer->groups > 1)
            g.weights = &layer->weights[i];
        task->run->model->kernels->gemm(&g);
        g.a = offset(g.a, layer->type, a_step);
        g.residual = offset(g.residual, g.out, n);
        g.c = (char *)g.c + n * kernel_type_bytes(g.out);
    }
}

/* g.m rows from `first` on, which are of another type than the weights or apart: some at a time. */
static void product_narrowed(const struct task *task, struct kernel_gemm g, int first, int worker)
{
    const struct step *s = task->step;
    const struct kernel_then *all = g.then;
    struct kernel_then then;
    int rows = g.m;

    g.a = scratch_of(task, worker);
    for (int row = 0; row < rows; row += g.m) {
        g.m = rows - row < s->lines ? rows - row : s->lines;
        if (all != NULL) {
            then = kernel_then_from(all, row);
            g.then = &then;
        }
        take_rows(task, task->item, first + row, g.m, scratch_of(task, worker));
        task->run->model->kernels->gemm(&g);
        g.residual = offset(g.residual, g.out, (size_t)(g.m * g.residual_row));
        g.c = (char *)g.c + (size_t)(g.m * g.c_row) * kernel_type_bytes(g.out);
    }
}

/* Strides of a tail's vectors: items that share one have stride 0. */
static void tail_strides(const struct task *task, struct kernel_gemm *g, int x)
{
    const struct plan *plan = task->run->plan;
    const struct value *v = &plan->values[x], *z = task->step->z < 0 ? NULL : &plan->values[task->step->z];

    g->a_row = (ptrdiff_t)(plan->values[task->step->x].region == REGION_OUTER ? 0
                                                                              : v->stride / kernel_type_bytes(v->type));
    if (z != NULL && z->region == REGION_OUTER) {
        g->residual_row = 0;
        g->residual = task_value(task, task->step->z, 0);
    }
}

static void product_chunk(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    int rows = s->tail ? s->rows * task->run->plan->n : s->rows, first, last, row = 0;
    int x = s->staged < 0 ? s->x : s->staged;
    struct kernel_then then;
    struct kernel_gemm g;

    cut_range(&s->cut, chunk, &first, &last);
    if (!s->by_panels) {
        row = first * s->unit;
        rows = last * s->unit < rows ? last * s->unit : rows;
    }
    g = product_into(task, task_value(task, s->y, task->item), s->z < 0 ? NULL : task_value(task, s->z, task->item));
    g.c = (char *)g.c + (size_t)row * (size_t)s->out_c * kernel_type_bytes(g.out);
    g.residual = offset(g.residual, g.out, (size_t)row * (size_t)s->out_c);
    g.then = then_of(task, row, &then);
    g.a_row = s->c;
    if (s->tail && s->rows == 1)
        tail_strides(task, &g, x);
    if (task->run->plan->values[x].strided) { /* pixels further apart than their channels (view.c) */
        g.a_row = task->run->plan->values[x].view.strides[3];
        g.a = offset(task_value(task, x, task->item), KERNEL_F32, (size_t)task->run->plan->values[x].view.offset);
    } else {
        g.a = task_value(task, x, task->item);
    }
    g.a = offset(g.a, type_of(task, x), (size_t)(row * g.a_row));
    g.m = rows - row;
    g.scratch = scratch_of(task, worker);
    if (s->by_panels) {
        g.panel0 = first;
        g.panel1 = last;
    }
    if (layer->ahead != NULL) {
        size_t from = layer->ahead_bytes * (size_t)chunk / (size_t)s->cut.chunks;
        g.ahead = layer->ahead + from;
        g.ahead_bytes = layer->ahead_bytes * (size_t)(chunk + 1) / (size_t)s->cut.chunks - from;
    }
    if (type_of(task, x) == layer->type && (!layer->jumps || x == s->staged))
        product_groups(task, g, (size_t)s->c / (size_t)layer->groups);
    else
        product_narrowed(task, g, row, worker);
    if (s->led)
        run_followers(task, row, rows);
}

static void product_lines(const struct task *task, int first, int last, int worker)
{
    const struct step *s = task->step;
    struct kernel_then then;
    struct kernel_gemm g = product_at_line(task, first, &then);

    g.a = task_line(task, s->x, first);
    g.a_row = s->c;
    g.m = (last - first) * s->out_w;
    if (type_of(task, s->x) != layer_of(task)->type) {
        narrow(task, g.a, scratch_of(task, worker), (size_t)g.m * (size_t)s->c);
        g.a = scratch_of(task, worker);
    }
    g.scratch = scratch_of(task, worker);
    task->run->model->kernels->gemm(&g);
}

void run_product(const struct task *task)
{
    const struct step *s = task->step;
    struct kernel_weights scaled;
    struct task with = *task;

    if (s->staged >= 0)
        stage(task);
    if (s->factor >= 0) {
        task->run->model->kernels->scale_inputs(layer_of(task)->weights, task_value(task, s->factor, task->item),
                                                &scaled, task_value(task, s->scaled, task->item));
        with.weights = &scaled;
    }
    run_chunks(task->run, s->cut.chunks, product_chunk, &with);
}

/* ---- Convolutions ------------------------------------------------------------------------------------------------ */

/* Panels that are done for all lines before the next: so that their weights stay in the second cache. */
static int panel_group(const struct kernel_weights *w)
{
    size_t bytes = w->bytes / (size_t)w->panels + 1, group = ((size_t)384 << 10) / bytes;
    return group < 1 ? 1 : group > (size_t)w->panels ? w->panels : (int)group;
}

/* The lines whose input rows begin at `rows`, `pitch` elements from row to row. */
static void segment_lines(const struct task *task, int line, int lines, int panel0, int panel1, const void *rows,
                          size_t pitch)
{
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    const struct graph_window *w = window_of(task);
    int group = panel_group(layer->weights);

    for (int p = panel0; p < panel1; p += group) {
        for (int i = 0; i < lines; i++) {
            struct kernel_then then;
            struct kernel_gemm g = product_at_line(task, line + i, &then);
            g.a = offset(rows, layer->type, (size_t)(i * w->stride_h) * pitch);
            g.a_row = w->stride_w * s->c;
            g.a_segment = (ptrdiff_t)((size_t)w->dilation_h * pitch);
            g.m = s->out_w;
            g.panel0 = p;
            g.panel1 = p + group < panel1 ? p + group : panel1;
            task->run->model->kernels->gemm(&g);
        }
    }
}

static void segments_part(const struct task *task, int first, int last, int panel0, int panel1, int worker)
{
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    const struct graph_window *w = window_of(task);
    int x = s->staged < 0 ? s->x : s->staged;
    bool copies = s->staged < 0 && (step_pads(s) || type_of(task, x) != layer->type);
    size_t pitch = (size_t)(s->pad_left + s->w + s->pad_right) * (size_t)s->c;

    for (int line = first; line < last; line += s->lines) {
        int lines = last - line < s->lines ? last - line : s->lines;
        const void *rows = scratch_of(task, worker);
        if (copies)
            pad_rows(task, line, lines, scratch_of(task, worker));
        else
            rows = offset(task_value(task, x, task->item), layer->type, (size_t)(line * w->stride_h) * pitch);
        segment_lines(task, line, lines, panel0, panel1, rows, pitch);
    }
}

/* Asks for a part of the input lines behind those under `lines` lines of output from `line` on, as many as the next
 * strip reads anew: all groups of a strip are read from the second cache, into which it comes meanwhile. */
static void strip_ahead(const struct task *task, int line, int lines, int part, int parts, struct kernel_gemm *g)
{
    const struct step *s = task->step;
    const struct graph_window *w = window_of(task);
    int first = line * w->stride_h - s->pad_top + lines_under(w, lines), last = first + lines * w->stride_h;
    size_t row = (size_t)s->w * (size_t)s->c * sizeof(float), bytes;

    first = first < 0 ? 0 : first;
    last = last < s->h ? last : s->h;
    if (first >= last)
        return;
    bytes = (size_t)(last - first) * row;
    g->ahead = (const char *)task_value(task, s->x, task->item) + (size_t)first * row +
               bytes * (size_t)part / (size_t)parts;
    g->ahead_bytes = bytes / (size_t)parts + 1;
}

/* Groups [group0, group1), each from a copy of its channels with zeros around them, that fits a cache. */
static void group_part(const struct task *task, int first, int last, int group0, int group1, int worker)
{
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    const struct graph_window *w = window_of(task);
    size_t c = (size_t)(s->c / layer->groups), n = (size_t)layer->weights->n;
    size_t pitch = (size_t)(s->pad_left + s->w + s->pad_right) * c;
    float *rows = scratch_of(task, worker);

    for (int line = first; line < last; line += s->lines) {
        int lines = last - line < s->lines ? last - line : s->lines;
        for (int group = group0; group < group1; group++) {
            pad_group(task, line, lines, (size_t)group * c, c, rows);
            for (int i = 0; i < lines; i++) {
                struct kernel_then then;
                struct kernel_gemm g = product_at_line(task, line + i, &then);
                g.weights = &layer->weights[group];
                g.a = rows + (size_t)(i * w->stride_h) * pitch;
                g.a_row = w->stride_w * (ptrdiff_t)c;
                g.a_segment = (ptrdiff_t)((size_t)w->dilation_h * pitch);
                g.m = s->out_w;
                g.panel1 = g.weights->panels;
                strip_ahead(task, line, lines, (group - group0) * lines + i, (group1 - group0) * lines, &g);
                g.c = (float *)g.c + (size_t)group * n;
                g.residual = offset(g.residual, KERNEL_F32, (size_t)group * n);
                task->run->model->kernels->gemm(&g);
            }
        }
    }
}

float *gather_window(const struct task *task, int line, int column, size_t c0, size_t c, float *to)
{
    const struct step *s = task->step;
    const struct graph_window *w = window_of(task);
    const float *x = (const float *)task_value(task, s->x, task->item) + c0;
    int top = line * w->stride_h - s->pad_top, left = column * w->stride_w - s->pad_left;
    bool run = c == (size_t)s->c && w->dilation_w == 1 && left >= 0 && left + w->kernel_w <= s->w;

    for (int ky = 0; ky < w->kernel_h; ky++) {
        int y = top + ky * w->dilation_h;
        if (run && y >= 0 && y < s->h) {
            memcpy(to, x + ((size_t)y * (size_t)s->w + (size_t)left) * c, (size_t)w->kernel_w * c * sizeof *to);
            to += (size_t)w->kernel_w * c;
            continue;
        }
        for (int kx = 0; kx < w->kernel_w; kx++, to += c) {
            int at = left + kx * w->dilation_w;
            if (y < 0 || y >= s->h || at < 0 || at >= s->w)
                memset(to, 0, c * sizeof *to);
            else
                memcpy(to, x + ((size_t)y * (size_t)s->w + (size_t)at) * (size_t)s->c, c * sizeof *to);
        }
    }
    return to;
}

static void gather_part(const struct task *task, int first, int last, int panel0, int panel1, int worker)
{
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    size_t c = (size_t)(s->c / layer->groups);

    for (int line = first; line < last; line += s->lines) {
        int lines = last - line < s->lines ? last - line : s->lines;
        for (int group = 0; group < layer->groups; group++) {
            struct kernel_then then;
            struct kernel_gemm g = product_at_line(task, line, &then);
            float *rows = scratch_of(task, worker), *to = rows;
            for (int i = 0; i < lines * s->out_w; i++)
                to = gather_window(task, line + i / s->out_w, i % s->out_w, (size_t)group * c, c, to);
            g.weights = &layer->weights[group];
            g.a = rows;
            g.a_row = g.weights->segment_k;
            g.m = lines * s->out_w;
            g.panel0 = panel0;
            g.panel1 = panel1;
            g.c = (float *)g.c + group * g.weights->n;
            g.residual = offset(g.residual, KERNEL_F32, (size_t)(group * g.weights->n));
            task->run->model->kernels->gemm(&g);
        }
    }
}

static void convolution_part(const struct task *task, int first, int last, int panel0, int panel1, int worker)
{
    if (layer_of(task)->way == WAY_SEGMENTS && layer_of(task)->groups > 1)
        group_part(task, first, last, panel0, panel1, worker);
    else if (layer_of(task)->way == WAY_SEGMENTS)
        segments_part(task, first, last, panel0, panel1, worker);
    else
        gather_part(task, first, last, panel0, panel1, worker);
}

static void convolution_chunk(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct layer *layer = layer_of(task);
    int first = 0, last = task->step->out_h, panel0 = 0;
    int panel1 = layer->way == WAY_SEGMENTS && layer->groups > 1 ? layer->groups : layer->weights->panels;

    if (task->step->by_panels)
        cut_range(&task->step->cut, chunk, &panel0, &panel1);
    else
        cut_range(&task->step->cut, chunk, &first, &last);
    convolution_part(task, first, last, panel0, panel1, worker);
    if (task->step->led)
        run_followers(task, first * task->step->out_w, last * task->step->out_w);
}

static struct kernel_depthwise depthwise_of(const struct task *task)
{
    const struct step *s = task->step;
    const struct layer *layer = layer_of(task);
    const struct graph_window *w = window_of(task);

    return (struct kernel_depthwise){.h = s->h,
                                     .w = s->w,
                                     .c = s->out_c,
                                     .out_h = s->out_h,
                                     .out_w = s->out_w,
                                     .weights = layer->filter,
                                     .bias = layer->bias,
                                     .kernel_h = w->kernel_h,
                                     .kernel_w = w->kernel_w,
                                     .stride_h = w->stride_h,
                                     .stride_w = w->stride_w,
                                     .out = type_of(task, s->y),
                                     .y_scale = task->run->plan->values[s->y].scale,
                                     .y_zero = task->run->plan->values[s->y].zero,
                                     .dilation_h = w->dilation_h,
                                     .dilation_w = w->dilation_w,
                                     .pad_top = s->pad_top,
                                     .pad_left = s->pad_left,
                                     .y1 = s->out_h,
                                     .c1 = s->out_c,
                                     .epilogue = epilogue_of(task)};
}

/* Several outputs a channel: the rows under a chunk with each channel repeated, as a map of their own. */
static void repeat_channels(const struct task *task, int worker, struct kernel_depthwise *d)
{
    const struct step *s = task->step;
    int first = d->y0 * d->stride_h - s->pad_top, times = layer_of(task)->multiplier;
    int last = (d->y1 - 1) * d->stride_h - s->pad_top + (d->kernel_h - 1) * d->dilation_h + 1;
    int top = first < 0 ? 0 : first, bottom = last > s->h ? s->h : last;
    float *copy = scratch_of(task, worker), *to = copy;
    const float *x = d->x + (size_t)top * (size_t)s->w * (size_t)s->c;

    for (size_t i = 0; top < bottom && i < (size_t)(bottom - top) * (size_t)s->w * (size_t)s->c; i++)
        for (int j = 0; j < times; j++)
            *to++ = x[i];
    d->x = copy;
    d->h = bottom > top ? bottom - top : 0;
    d->pad_top = top - first;
    d->y = (float *)d->y + (size_t)d->y0 * (size_t)d->out_w * (size_t)d->c;
    d->out_h = d->y1 - d->y0;
    d->y1 = d->out_h;
    d->y0 = 0;
}

static void depthwise_chunk(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct step *s = task->step;
    struct kernel_depthwise d = depthwise_of(task);
    struct kernel_then then;
    int first, last;

    d.then = then_of(task, 0, &then);
    d.x = task_value(task, s->x, task->item);
    d.y = task_value(task, s->y, task->item);
    if (s->by_panels) {
        cut_range(&s->cut, chunk, &d.c0, &d.c1);
        d.c0 *= s->unit;
        d.c1 = d.c1 * s->unit < s->out_c ? d.c1 * s->unit : s->out_c;
    } else {
        cut_range(&s->cut, chunk, &d.y0, &d.y1);
    }
    first = d.y0;
    last = d.y1;
    if (layer_of(task)->multiplier > 1)
        repeat_channels(task, worker, &d);
    else if (s->scratch > 0)
        d.scratch = scratch_of(task, worker);
    task->run->model->kernels->depthwise(&d);
    if (s->led)
        run_followers(task, first * s->out_w, last * s->out_w);
}

/* The input rows under lines [first, last) as a map of their own: top and bottom pads are then what falls outside. */
static void depthwise_lines(const struct task *task, int first, int last)
{
    const struct step *s = task->step;
    struct kernel_depthwise d = depthwise_of(task);
    int top = first * d.stride_h - s->pad_top, bottom;
    struct kernel_then then;

    d.then = then_of(task, (ptrdiff_t)first * s->out_w, &then);
    bottom = top + (last - first - 1) * d.stride_h + (d.kernel_h - 1) * d.dilation_h + 1;
    d.pad_top = top < 0 ? -top : 0;
    top = top < 0 ? 0 : top > s->h ? s->h : top;
    d.h = bottom > s->h ? s->h - top : bottom > top ? bottom - top : 0;
    d.x = task_line(task, s->x, top);
    d.y = task_line(task, s->y, first);
    d.out_h = d.y1 = last - first;
    task->run->model->kernels->depthwise(&d);
}

void step_lines(const struct task *task, int first, int last, int worker)
{
    switch (layer_of(task)->way) {
    case WAY_PRODUCT:
        product_lines(task, first, last, worker);
        break;
    case WAY_DEPTHWISE:
        depthwise_lines(task, first, last);
        break;
    default:
        convolution_part(task, first, last, 0, layer_of(task)->weights->panels, worker);
        break;
    }
}

void run_convolution(const struct task *task)
{
    pool_body *body = layer_of(task)->way == WAY_DEPTHWISE ? depthwise_chunk : convolution_chunk;

    if (task->step->staged >= 0)
        stage(task);
    run_chunks(task->run, task->step->cut.chunks, body, (void *)(uintptr_t)task);
}
