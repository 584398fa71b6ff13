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
                                        * are, and comes from memory */
#define WINDOWS_BYTES ((size_t)4 << 20) /* as BATCH_BYTES where filters are transformed in each run, once a batch */
#define BATCH_BYTES ((size_t)1 << 20)  /* of transformed tiles and their products: the second cache */
#define GROUP_PIXELS 100 /* outputs from which on groups are transformed: below, the weights outweigh the map */
#define LARGE_PIXELS 400 /* and from which on in tiles of 4 x 4 */
#define GROUP_TILES 28   /* that a chunk has of a group at least */
#define GROUP_BYTES ((size_t)256 << 10) /* as BATCH_BYTES: the group's weights are in the same cache */
#define PRODUCT_FLOPS_US 100e3
#define TRANSFORM_FLOPS_US 20e3

/* Outputs of the map at the network's own size. */
static int64_t pixels_of(const struct engine_model *model, const struct graph_node *node)
{
    const struct shape *y = &model->shapes[node->output];
    return shape_is_map(y) ? y->d[2] * y->d[3] : 0;
}

int winograd_tile(const struct engine_model *model, const struct layer *layer, const struct graph_node *node)
{
    const struct graph_window *w = &node->window;
    const int64_t *d = model->graph->tensors[node->inputs[1]].dims, pixels = pixels_of(model, node);
    bool small_step = w->stride_h == 1 && w->stride_w == 1 && w->dilation_h == 1;
    size_t m = (size_t)d[0], c = (size_t)d[1];

    if (layer->groups > 1 && (!model->kernels->winograd_groups || pixels < GROUP_PIXELS))
        return 0;
    if (layer->way != WAY_SEGMENTS || layer->type != KERNEL_F32 || model->options.direct || model->options.apart ||
        w->kernel_h != 3 || w->kernel_w != 3 || !small_step || m / (size_t)layer->groups < LEAST_CHANNELS ||
        c < LEAST_CHANNELS)
        return 0;
    if (layer->groups > 1)
        return pixels < LARGE_PIXELS ? 2 : 4;
    return m * c <= MOST_LARGE ? 4 : 2;
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

/* Elements of a transformed tile; the layer has weights for each, group by group. */
static int elements_of(const struct layer *layer) { return (layer->tile + 2) * (layer->tile + 2); }

/* All of them start at 0: one block for the hundreds of products of a layer, or each of them would wait for its own. */
static void share_bias(struct layer *layer, int i)
{
    if (i > 0 && layer->weights[i].bias != NULL) {
        aligned_free(layer->weights[i].bias);
        layer->weights[i].bias = layer->weights[0].bias;
    }
}

void winograd_fini(struct layer *layer)
{
    for (int i = 1; layer->weights != NULL && i < layer->packs; i++)
        layer->weights[i].bias = NULL;
}

static void turn_filters(const struct pack_rows *rows, const float *w, size_t n, float *u)
{
    transform_filters(rows->tile, w, n * rows->k / 9, u);
}

/* w [m][c][3][3] of all groups */
static enum infomask_status pack_elements(struct layer *layer, const struct engine_model *model, const float *w, int m,
                                          int c, struct infomask_error *err)
{
    int elements = elements_of(layer), n = m / layer->groups;
    struct pack_rows rows = {.n = (size_t)n, .k = 9 * (size_t)c, .from = GRAPH_NONE, .matrices = elements,
                             .matrix = {.segments = 1, .segment_k = c}, .turn = turn_filters, .tile = layer->tile};
    enum infomask_status status = INFOMASK_OK;

    for (int g = 0; g < layer->groups && status == INFOMASK_OK; g++) {
        rows.w = w + (size_t)g * rows.n * rows.k;
        status = pack_pieces(layer->weights + g * elements, model, &rows, err);
    }
    for (int i = 0; i < layer->packs; i++) {
        layer->bytes += layer->weights[i].bytes;
        share_bias(layer, i);
    }
    return status;
}

static enum infomask_status copy_bias(struct layer *layer, const struct engine_model *model,
                                      const struct graph_node *node, struct infomask_error *err)
{
    size_t bytes = (size_t)model->graph->tensors[node->inputs[1]].dims[0] * sizeof(float);

    layer->bias = aligned_new(bytes);
    if (layer->bias == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
    if (graph_input(node, 2) >= 0)
        memcpy(layer->bias, model->graph->tensors[node->inputs[2]].data, bytes);
    else
        memset(layer->bias, 0, bytes);
    return INFOMASK_OK;
}

/* Transformed filters of a large layer are 1.8 times as large as the filters: to read them from memory takes about as
 * long as to transform these, and a network of such layers would be twice its file. */
bool winograd_windows(const struct engine_model *model, const struct layer *layer)
{
    return layer->tile == 2 && layer->groups == 1 && model->kernels->winograd_filters != NULL;
}

enum infomask_status winograd_of_windows(struct layer *layer, const struct engine_model *model,
                                         const struct graph_node *node, struct infomask_error *err)
{
    layer->way = WAY_WINOGRAD;
    return copy_bias(layer, model, node, err);
}

enum infomask_status winograd_pack(struct layer *layer, const struct engine_model *model, const struct graph_node *node,
                                   int m, int c, struct infomask_error *err)
{
    enum infomask_status status = copy_bias(layer, model, node, err);

    if (status != INFOMASK_OK)
        return status;
    layer->way = WAY_WINOGRAD;
    layer->packs = elements_of(layer) * layer->groups;
    layer->weights = calloc((size_t)layer->packs, sizeof *layer->weights);
    if (layer->weights == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's weights");
    return pack_elements(layer, model, model->graph->tensors[node->inputs[1]].data, m, c, err);
}

/* ---- geometry ---------------------------------------------------------------------------------------------------- */

static int tiles_of(const struct layer *layer, const struct step *s)
{
    int m = layer->tile;
    return (s->out_h + m - 1) / m * ((s->out_w + m - 1) / m);
}

/* Floats from one element of `count` tiles to the next: lines, and an odd number of them, so that the elements of a
 * tile, which are written together, do not all want the same few places in the first cache. */
static size_t elements_apart(int count, int channels)
{
    size_t lines = ((size_t)count * (size_t)channels * sizeof(float) + 63) / 64;
    return (lines | 1) * 64 / sizeof(float);
}

/* Microseconds that an element of a tile takes: of a channel that is transformed, of a product. */
#define TRANSFORM_US (12 / TRANSFORM_FLOPS_US)
#define PRODUCT_US (2 / PRODUCT_FLOPS_US)

/* For the transformed filters of a panel. */
static size_t filter_floats(const struct layer *layer, int c)
{
    return 32 * (size_t)c * (size_t)layer->weights->panel_columns;
}

/* Tiles at once, up to all of them: as many as stay in the second cache. */
static void batch_tiles(const struct engine_model *model, struct step *s, int tiles, int c, int n, size_t bytes)
{
    const struct layer *layer = &model->layers[s->node];
    int elements = elements_of(layer), unit = model->kernels->gemm_tile[layer->type];
    size_t tile = (size_t)elements * (size_t)(c + n) * sizeof(float);

    s->lines = (int)(bytes / tile) / unit * unit;
    s->lines = s->lines < 2 * unit ? 2 * unit : s->lines;
    s->lines = s->lines < tiles ? s->lines : tiles;
    s->scratch = (size_t)elements * (elements_apart(s->lines, c) + elements_apart(s->lines, n)) * sizeof(float);
    if (layer->windows)
        s->scratch += filter_floats(layer, c) * sizeof(float);
}

/* Along groups where the tiles are few, else along lines of tiles, all groups of some tiles before the next ones. */
static void cut_grouped(const struct engine_model *model, struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    int tiles = tiles_of(layer, s), across = (s->out_w + layer->tile - 1) / layer->tile;
    int c = layer->weights->segment_k, n = layer->weights->n, at_least = (GROUP_TILES + across - 1) / across;
    double tile_us = elements_of(layer) * (PRODUCT_US * c * n + TRANSFORM_US * (c + n));

    s->by_panels = tiles < 2 * GROUP_TILES;
    s->unit = s->by_panels ? 1 : across * at_least;
    if (s->by_panels)
        s->cut = cut_make(layer->groups, tiles * tile_us, 0, MOST_CHUNKS);
    else
        s->cut = cut_make((tiles + s->unit - 1) / s->unit, s->unit * layer->groups * tile_us, 0, MOST_CHUNKS);
    batch_tiles(model, s, tiles, c, n, GROUP_BYTES);
}

/* Along panels where the weights far outweigh the tiles (each chunk then transforms all tiles), or filters are
 * transformed as well, else along tiles. */
void winograd_geometry(const struct engine_model *model, struct step *s)
{
    const struct layer *layer = &model->layers[s->node];
    const struct kernel_weights *w = layer->weights;
    int tiles = tiles_of(layer, s), unit = model->kernels->gemm_tile[layer->type];
    double elements = elements_of(layer), c = s->c, n = s->out_c;

    if (layer->groups > 1) {
        cut_grouped(model, s);
        return;
    }
    s->by_panels = w->panels > 1 && (layer->windows || c * n > 4 * tiles * (c + n));
    if (s->by_panels) {
        s->unit = 1;
        s->cut = cut_make(w->panels, tiles * elements * (PRODUCT_US * c + TRANSFORM_US) * w->panel_columns,
                          tiles * c * elements * TRANSFORM_US, MOST_CHUNKS);
    } else {
        s->unit = unit < 8 ? 8 : unit;
        s->cut = cut_make((tiles + s->unit - 1) / s->unit,
                          s->unit * elements * (PRODUCT_US * c * n + TRANSFORM_US * (c + n)), 0, MOST_CHUNKS);
    }
    batch_tiles(model, s, tiles, s->c, s->out_c, layer->windows ? WINDOWS_BYTES : BATCH_BYTES);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

struct part { /* of a group: tiles, and some panels of its outputs */
    int group, first, last, panel0, panel1;
};

/* The channels of the part's group as a map of their own. */
static struct kernel_winograd transform_of(const struct task *task, const struct part *part, int worker)
{
    const struct step *s = task->step;
    const struct layer *layer = &task->run->model->layers[s->node];
    const struct kernel_weights *w = layer->weights;
    int n0 = part->group * w->n, c = layer->windows ? w->segment_k / 3 : w->segment_k;
    struct kernel_winograd t = {
        .m = layer->tile, .first = part->first, .count = part->last - part->first,
        .x = (float *)task_value(task, s->x, task->item) + part->group * c, .h = s->h, .w = s->w,
        .c = c, .pad_top = s->pad_top, .pad_left = s->pad_left, .x_pixel = s->c,
        .y = (float *)task_value(task, s->y, task->item) + n0, .y_pixel = s->out_c, .bias = layer->bias + n0,
        .out_h = s->out_h, .out_w = s->out_w, .n = w->n, .n0 = part->panel0 * w->panel_columns,
        .n1 = part->panel1 == w->panels ? w->n : part->panel1 * w->panel_columns, .epilogue = layer->epilogue};

    if (s->z >= 0)
        t.residual = (const float *)task_value(task, s->z, task->item) + n0;
    t.v = (float *)(void *)task_scratch(task, worker);
    t.v_apart = (ptrdiff_t)elements_apart(t.count, t.c);
    t.products = t.v + elements_of(layer) * t.v_apart;
    t.products_apart = (ptrdiff_t)elements_apart(t.count, t.n);
    return t;
}

/* The products of filters that are transformed here, a panel at a time. */
static void windows_products(const struct task *task, const struct part *part, const struct kernel_winograd *t,
                             float *products)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct layer *layer = &task->run->model->layers[task->step->node];
    float *memory = products + elements_of(layer) * t->products_apart;
    struct kernel_weights u[16];

    for (int panel = part->panel0; panel < part->panel1; panel++) {
        kernels->winograd_filters(layer->weights, panel, u, memory);
        for (int i = 0; i < 16; i++) {
            struct kernel_gemm g = {.weights = &u[i], .a = t->v + i * t->v_apart, .a_row = t->c, .m = t->count,
                                    .c = products + i * t->products_apart + panel * layer->weights->panel_columns,
                                    .c_row = t->n, .panel1 = 1, .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
            kernels->gemm(&g);
        }
    }
}

static void winograd_batch(const struct task *task, const struct part *part, int worker)
{
    const struct kernel_table *kernels = task->run->model->kernels;
    const struct layer *layer = &task->run->model->layers[task->step->node];
    const struct kernel_winograd t = transform_of(task, part, worker);
    int elements = elements_of(layer);
    float *products = t.v + elements * t.v_apart;

    kernels->winograd_input(&t);
    if (layer->windows)
        windows_products(task, part, &t, products);
    for (int i = 0; i < elements && !layer->windows; i++) {
        struct kernel_gemm g = {.weights = &layer->weights[part->group * elements + i], .a = t.v + i * t.v_apart,
                                .a_row = t.c, .m = t.count, .c = products + i * t.products_apart, .c_row = t.n,
                                .panel0 = part->panel0, .panel1 = part->panel1,
                                .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
        kernels->gemm(&g);
    }
    kernels->winograd_output(&t);
}

static void winograd_chunk(void *context, int chunk, int worker)
{
    const struct task *task = context;
    const struct step *s = task->step;
    const struct layer *layer = &task->run->model->layers[s->node];
    int tiles = tiles_of(layer, s), from, end, group0 = 0, group1 = layer->groups;
    struct part part = {.panel1 = layer->weights->panels};

    cut_range(&s->cut, chunk, &from, &end);
    if (s->by_panels && layer->groups > 1) {
        group0 = from;
        group1 = end;
    } else if (s->by_panels) {
        part.panel0 = from;
        part.panel1 = end;
    } else {
        part.first = from * s->unit;
        tiles = end * s->unit < tiles ? end * s->unit : tiles;
    }
    for (; part.first < tiles; part.first = part.last) {
        part.last = tiles - part.first < s->lines ? tiles : part.first + s->lines;
        for (part.group = group0; part.group < group1; part.group++)
            winograd_batch(task, &part, worker);
    }
}

void run_winograd(const struct task *task)
{
    run_chunks(task->run, task->step->cut.chunks, winograd_chunk, (void *)(uintptr_t)task);
}
