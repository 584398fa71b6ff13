/* Winograd's convolutions: 2.25 or 4 times fewer multiplications than the products over windows.  The transforms and
 * formulas: core/kernels/kernels.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/engine/internal.h"

enum { SIDE = 6 };
#define LEAST_CHANNELS 16             /* below, the transforms cost more than the products save */
#define MOST_LARGE ((size_t)128 * 256) /* weights up to which a tile is 4 x 4: its transform is 4 times as large as they
                                        * are, 1.8 times for 2 x 2, and comes from memory */
#define BATCH_BYTES ((size_t)1 << 20)  /* of transformed tiles and their products: the second cache */
#define PRODUCT_FLOPS_US 100e3
#define TRANSFORM_FLOPS_US 20e3

bool winograd_wins(const struct engine_model *model, const struct layer *layer, const struct graph_window *w, size_t m,
                   size_t c)
{
    bool small_step = w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1;

    return layer->way == WAY_SEGMENTS && layer->groups == 1 && layer->type == KERNEL_F32 && !model->options.direct &&
           !model->options.apart && w->kernel_h == 3 && w->kernel_w == 3 && small_step && m >= LEAST_CHANNELS &&
           c >= LEAST_CHANNELS;
}

/* G g G^T of one filter, [side, side]. */
static void transform_filter(int tile, const float *g, double *u)
{
    static const double g2[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    static const double g4[SIDE][3] = {{1. / 4, 0, 0},
                                       {-1. / 6, -1. / 6, -1. / 6},
                                       {-1. / 6, 1. / 6, -1. / 6},
                                       {1. / 24, 1. / 12, 1. / 6},
                                       {1. / 24, -1. / 12, 1. / 6},
                                       {0, 0, 1}};
    const double (*matrix)[3] = tile == 2 ? g2 : g4;
    int side = tile + 2;

    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            double sum = 0;
            for (int y = 0; y < 3; y++)
                for (int x = 0; x < 3; x++)
                    sum += matrix[i][y] * (double)g[3 * y + x] * matrix[j][x];
            u[i * side + j] = sum;
        }
}

/* u [side^2][m][c] */
static void transform_filters(int tile, const float *w, size_t filters, float *u)
{
    size_t elements = (size_t)((tile + 2) * (tile + 2));
    double one[SIDE * SIDE];

    for (size_t f = 0; f < filters; f++) {
        transform_filter(tile, w + 9 * f, one);
        for (size_t i = 0; i < elements; i++)
            u[i * filters + f] = (float)one[i];
    }
}

enum infomask_status winograd_pack(struct layer *layer, const struct engine_model *model, const float *w,
                                   const float *bias, int m, int c, struct infomask_error *err)
{
    size_t filters = (size_t)m * (size_t)c, count;
    enum infomask_status status = INFOMASK_OK;
    float *u;

    layer->way = WAY_WINOGRAD;
    layer->tile = filters <= MOST_LARGE ? 4 : 2;
    layer->packs = (layer->tile + 2) * (layer->tile + 2);
    if (!checked_mul3(filters, (size_t)layer->packs, sizeof *u, &count))
        return error_set(err, INFOMASK_LIMIT, "a layer's weights are too large");
    layer->weights = calloc((size_t)layer->packs, sizeof *layer->weights);
    layer->bias = aligned_new((size_t)m * sizeof(float));
    u = aligned_new(count);
    if (layer->weights == NULL || layer->bias == NULL || u == NULL) {
        aligned_free(u);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
    }
    memset(layer->bias, 0, (size_t)m * sizeof(float));
    if (bias != NULL)
        memcpy(layer->bias, bias, (size_t)m * sizeof(float));
    transform_filters(layer->tile, w, filters, u);
    for (int i = 0; i < layer->packs && status == INFOMASK_OK; i++) {
        status = model->kernels->pack(&layer->weights[i], KERNEL_F32, u + (size_t)i * filters, NULL, 1, c, m, err);
        layer->bytes += layer->weights[i].bytes;
    }
    aligned_free(u);
    return status;
}

static int tiles_of(const struct layer *layer, const struct step *s)
{
    int m = layer->tile;
    return (s->out_h + m - 1) / m * ((s->out_w + m - 1) / m);
}

/* Along panels where the weights far outweigh the tiles (each chunk then transforms all tiles), else along tiles. */
void winograd_geometry(const struct engine_model *model, struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    const struct kernel_weights *w = layer->weights;
    int tiles = tiles_of(layer, s), unit = model->kernels->gemm_tile[layer->type];
    double elements = layer->packs, c = s->c, n = s->out_c;
    size_t tile_bytes = (size_t)layer->packs * (size_t)(s->c + s->out_c) * sizeof(float);
    double transform_us = 12 * elements / TRANSFORM_FLOPS_US, product_us = 2 * elements * c / PRODUCT_FLOPS_US;

    s->by_panels = w->panels > 1 && c * n > 4 * tiles * (c + n);
    if (s->by_panels) {
        s->unit = 1;
        s->cut = cut_make(w->panels, tiles * (product_us + transform_us) * w->panel_columns, tiles * c * transform_us,
                          MOST_CHUNKS);
    } else {
        s->unit = unit < 8 ? 8 : unit;
        s->cut = cut_make((tiles + s->unit - 1) / s->unit, s->unit * (product_us * n + transform_us * (c + n)), 0,
                          MOST_CHUNKS);
    }
    s->lines = (int)(BATCH_BYTES / tile_bytes) / unit * unit;
    s->lines = s->lines < 2 * unit ? 2 * unit : s->lines;
    s->lines = s->lines < tiles ? s->lines : tiles;
    s->scratch = (size_t)s->lines * tile_bytes + 2 * ALIGNED_BYTES;
}

/* Tiles [first, last), not more than s->lines of them, and panels [panel0, panel1). */
static void winograd_batch(const struct task *task, int first, int last, int panel0, int panel1, int worker)
{
    const struct step *s = task->step;
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct layer *layer = &task->run->model->layers[s->node];
    const struct kernel_weights *w = layer->weights;
    float *v = (float *)(void *)task_scratch(task, worker);
    int count = last - first;
    size_t v_apart = (size_t)count * (size_t)s->c, p_apart = (size_t)count * (size_t)s->out_c;
    float *products = v + aligned_round((size_t)layer->packs * v_apart * sizeof(float)) / sizeof(float);
    struct kernel_winograd transform = {
        .m = layer->tile, .first = first, .count = count, .x = task_value(task, s->x, task->item), .h = s->h, .w = s->w,
        .c = s->c, .pad_top = s->pad_top, .pad_left = s->pad_left, .v = v, .products = products,
        .y = task_value(task, s->y, task->item), .residual = s->z < 0 ? NULL : task_value(task, s->z, task->item),
        .bias = layer->bias, .out_h = s->out_h, .out_w = s->out_w, .n = s->out_c, .n0 = panel0 * w->panel_columns,
        .n1 = panel1 == w->panels ? s->out_c : panel1 * w->panel_columns, .epilogue = layer->epilogue};

    kernels->winograd_input(&transform);
    for (int i = 0; i < layer->packs; i++) {
        struct kernel_gemm g = {.weights = &layer->weights[i], .a = v + (size_t)i * v_apart, .a_row = s->c, .m = count,
                                .c = products + (size_t)i * p_apart, .c_row = s->out_c, .panel0 = panel0,
                                .panel1 = panel1, .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
        kernels->gemm(&g);
    }
    kernels->winograd_output(&transform);
}

static void winograd_chunk(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct step *s = task->step;
    const struct layer *layer = &task->run->model->layers[s->node];
    int tiles = tiles_of(layer, s), first = 0, last = tiles, panel0 = 0, panel1 = layer->weights->panels;

    if (s->by_panels) {
        cut_range(&s->cut, chunk, &panel0, &panel1);
    } else {
        cut_range(&s->cut, chunk, &first, &last);
        first *= s->unit;
        last = last * s->unit < tiles ? last * s->unit : tiles;
    }
    for (int tile = first; tile < last; tile += s->lines)
        winograd_batch(task, tile, last - tile < s->lines ? last : tile + s->lines, panel0, panel1, worker);
}

void run_winograd(const struct task *task)
{
    run_chunks(task->run, task->step->cut.chunks, winograd_chunk, (void *)(uintptr_t)task);
}
