/* Rows through a head's layers: as they are, and linearised at a base. */
#include <math.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/engine/head/layers.h"

#define BLOCK 64 /* rows at a time */

/* ---- Functions --------------------------------------------------------------------------------------------------- */

/* h'(x) */
static double slope(const struct graph_node *node, double x)
{
    double s = 1 / (1 + exp(-x)), inner = 0.7978845608028654 * (x + 0.044715 * x * x * x), t;

    switch (node->activation) {
    case GRAPH_CLAMP:
        return x > (double)node->low && x < (double)node->high;
    case GRAPH_SIGMOID:
        return s * (1 - s);
    case GRAPH_SILU:
        return s + x * s * (1 - s);
    case GRAPH_HARD_SIGMOID:
        t = (double)node->alpha * x + (double)node->beta;
        return t > 0 && t < 1 ? (double)node->alpha : 0;
    case GRAPH_HARD_SWISH:
        return x <= -3 ? 0 : x >= 3 ? 1 : x / 3 + 0.5;
    case GRAPH_LEAKY_RELU:
        return x < 0 ? (double)node->alpha : 1;
    case GRAPH_GELU_ACTIVATION:
        return 0.5 * erfc(-x * 0.7071067811865476) + x * 0.3989422804014327 * exp(-x * x / 2);
    case GRAPH_GELU_TANH_ACTIVATION:
        t = tanh(inner);
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * 0.7978845608028654 * (1 + 3 * 0.044715 * x * x);
    case GRAPH_TANH_ACTIVATION:
        t = tanh(x);
        return 1 - t * t;
    case GRAPH_LINEAR_ACTIVATION:
        break;
    }
    return 1;
}

/* ---- Rows through the layers ------------------------------------------------------------------------------------- */

struct rows {
    const struct engine_model *model;
    int n;
    float *data[HEAD_STEPS + 1]; /* by slot: [n, width] */
    float *scratch;
};

static void rows_fini(struct rows *rows)
{
    for (int i = 0; i <= HEAD_STEPS; i++)
        aligned_free(rows->data[i]);
    aligned_free(rows->scratch);
}

static struct kernel_gemm product(const struct engine_model *model, const struct head_step *step, const float *x, int n,
                                  float *z)
{
    const struct layer *layer = &model->layers[step->node];

    return (struct kernel_gemm){.weights = layer->weights, .a = x, .a_row = layer->weights->segment_k, .m = n, .c = z,
                                .c_row = layer->weights->n, .out = KERNEL_F32, .panel1 = layer->weights->panels,
                                .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
}

static bool has_product(const struct engine_model *model, const struct head_step *step)
{
    enum graph_op op = model->graph->nodes[step->node].op;
    return op == GRAPH_LINEAR || op == GRAPH_CONV;
}

static enum infomask_status rows_init(struct rows *rows, const struct engine_model *model, int n,
                                      struct infomask_error *err)
{
    const struct head_layers *head = model->layered;
    size_t scratch = 1;
    bool made = true;

    *rows = (struct rows){.model = model, .n = n};
    for (int i = 0; i < head->slots && made; i++) {
        size_t bytes;
        made = checked_mul3((size_t)n, (size_t)head->width[i], sizeof(float), &bytes);
        rows->data[i] = made ? aligned_new(bytes) : NULL;
        made = rows->data[i] != NULL;
    }
    for (int i = 0; i < head->count; i++)
        if (has_product(model, &head->steps[i])) {
            struct kernel_gemm g = product(model, &head->steps[i], NULL, n, NULL);
            size_t need = model->kernels->gemm_scratch(&g);
            scratch = need > scratch ? need : scratch;
        }
    rows->scratch = aligned_new(scratch * sizeof(float));
    if (!made || rows->data[0] == NULL || rows->scratch == NULL) {
        rows_fini(rows);
        return error_set(err, INFOMASK_MEMORY, "no memory for the network's head");
    }
    return INFOMASK_OK;
}

/* An operand: rows of a slot, or a constant; of width 1 it stands for all columns. */
struct operand {
    const float *data;
    size_t row, column; /* steps from row to row, from column to column */
};

static struct operand operand_of(const struct rows *rows, const struct head_step *step, int input)
{
    const struct layer *layer = &rows->model->layers[step->node];
    int slot = input == 0 ? step->x : step->y;

    if (step->elements[input] > 0)
        return (struct operand){layer->operands != NULL ? layer->operands[input] : layer->constant, 0,
                                step->elements[input] > 1};
    return (struct operand){rows->data[slot], (size_t)rows->model->layered->width[slot],
                            rows->model->layered->width[slot] > 1};
}

static float at(const struct operand *o, size_t row, size_t column)
{
    return o->data[row * o->row + column * o->column];
}

enum arithmetic { SUM, DIFFERENCE, PRODUCT, QUOTIENT };

static enum arithmetic arithmetic_of(const struct graph_node *node)
{
    if (node->op != GRAPH_BINARY)
        return node->op == GRAPH_MUL ? PRODUCT : SUM;
    switch (node->function) {
    case GRAPH_MINUS: return DIFFERENCE;
    case GRAPH_TIMES: return PRODUCT;
    case GRAPH_DIVIDE: return QUOTIENT;
    default: return SUM;
    }
}

static double combine(enum arithmetic how, double a, double b)
{
    switch (how) {
    case SUM: return a + b;
    case DIFFERENCE: return a - b;
    case PRODUCT: return a * b;
    case QUOTIENT: return a / b;
    }
    return 0;
}

/* f(a, b) + df/da (x - a) + df/db (y - b); of the base itself, f(a, b). */
static double combine_at(enum arithmetic how, double a, double b, double x, double y)
{
    double value = combine(how, a, b);

    switch (how) {
    case SUM: return x + y;
    case DIFFERENCE: return x - y;
    case PRODUCT: return value + b * (x - a) + a * (y - b);
    case QUOTIENT: return value + ((x - a) - value * (y - b)) / b;
    }
    return 0;
}

static void combine_rows(const struct rows *base, const struct rows *rows, const struct head_step *step, float *z)
{
    enum arithmetic how = arithmetic_of(&rows->model->graph->nodes[step->node]);
    size_t width = (size_t)rows->model->layered->width[step->z];
    struct operand x = operand_of(rows, step, 0), y = operand_of(rows, step, 1), a = x, b = y;

    if (base != NULL) {
        a = operand_of(base, step, 0);
        b = operand_of(base, step, 1);
    }
    for (size_t i = 0; i < (size_t)rows->n; i++)
        for (size_t j = 0; j < width; j++, z++)
            *z = (float)(base == NULL ? combine(how, (double)at(&x, i, j), (double)at(&y, i, j))
                                      : combine_at(how, (double)at(&a, 0, j), (double)at(&b, 0, j),
                                                   (double)at(&x, i, j), (double)at(&y, i, j)));
}

struct spread {
    double mean, deviation;
};

/* Of a row; not centred: mean 0 and the root of the mean square. */
static struct spread spread_of(const float *x, size_t n, bool centred, double epsilon)
{
    struct spread s = {0, 0};

    for (size_t j = 0; centred && j < n; j++)
        s.mean += (double)x[j] / (double)n;
    for (size_t j = 0; j < n; j++)
        s.deviation += ((double)x[j] - s.mean) * ((double)x[j] - s.mean) / (double)n;
    s.deviation = sqrt(s.deviation + epsilon);
    return s;
}

/* y = (x - mean) / deviation; its differential is (dx - mean dx - y mean(y dx)) / deviation. */
static void norm_row(const float *base, const float *x, size_t n, bool centred, double epsilon, float *z)
{
    struct spread s = spread_of(base, n, centred, epsilon);
    double mean = 0, along = 0;

    for (size_t j = 0; j < n; j++) {
        double dx = (double)x[j] - (double)base[j];
        mean += centred ? dx / (double)n : 0;
        along += ((double)base[j] - s.mean) / s.deviation * dx / (double)n;
    }
    for (size_t j = 0; j < n; j++) {
        double y = ((double)base[j] - s.mean) / s.deviation;
        z[j] = (float)(y + ((double)x[j] - (double)base[j] - mean - y * along) / s.deviation);
    }
}

static void norm_rows(const struct rows *base, const struct rows *rows, const struct head_step *step, float *z)
{
    const struct graph_node *node = &rows->model->graph->nodes[step->node];
    const struct layer *layer = &rows->model->layers[step->node];
    size_t n = (size_t)rows->model->layered->width[step->z];

    for (size_t i = 0; i < (size_t)rows->n; i++, z += n) {
        const float *x = rows->data[step->x] + i * n;
        norm_row(base != NULL ? base->data[step->x] : x, x, n, node->function != GRAPH_RMS, (double)node->epsilon, z);
        for (int k = 1; k < layer->operand_count; k++)
            for (size_t j = 0; layer->operands[k] != NULL && j < n; j++)
                z[j] = k == 1 ? z[j] * layer->operands[k][j] : z[j] + layer->operands[k][j];
    }
}

/* |x|; its differential is x dx / |x|. */
static void length_rows(const struct rows *base, const struct rows *rows, const struct head_step *step, float *z)
{
    size_t n = (size_t)rows->model->layered->width[step->x];

    for (size_t i = 0; i < (size_t)rows->n; i++) {
        const float *x = rows->data[step->x] + i * n, *a = base != NULL ? base->data[step->x] : x;
        double square = 0, along = 0;
        for (size_t j = 0; j < n; j++) {
            square += (double)a[j] * (double)a[j];
            along += (double)a[j] * (double)x[j];
        }
        z[i] = (float)(square > 0 ? along / sqrt(square) : 0);
    }
}

/* Rounded as the layer does; linearised, what is rounded is taken for the line through the steps. */
static void quantize_rows(const struct rows *base, const struct rows *rows, const struct head_step *step, float *z)
{
    const struct graph_node *node = &rows->model->graph->nodes[step->node];
    size_t width = (size_t)rows->model->layered->width[step->z];
    const float *x = rows->data[step->x], *a = base != NULL ? base->data[step->x] : x;
    double low = ((double)node->low - (double)node->beta) * (double)node->alpha;
    double high = ((double)node->high - (double)node->beta) * (double)node->alpha;
    double slope = node->function == GRAPH_INTEGERS ? 1 / (double)node->alpha : 1;
    int n = base != NULL ? 1 : rows->n;
    struct graph_array in = {.rank = 2, .dims = {n, (int64_t)width}, .data = a};

    graph_general_compute(node, &in, &in, z);
    for (size_t i = (size_t)rows->n * width; base != NULL && i-- > 0;) {
        double at = (double)a[i % width];
        z[i] = (float)((double)z[i % width] + (at > low && at < high ? slope * ((double)x[i] - at) : 0));
    }
}

/* What the step makes before its activation. */
static void before_activation(const struct rows *base, const struct rows *rows, const struct head_step *step, float *z)
{
    const struct engine_model *model = rows->model;
    const struct layer *layer = &model->layers[step->node];
    const struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    int width = model->layered->width[step->z];
    struct kernel_gemm g;

    switch (model->graph->nodes[step->node].op) {
    case GRAPH_LINEAR:
    case GRAPH_CONV:
        g = product(model, step, rows->data[step->x], rows->n, z);
        g.scratch = rows->scratch;
        g.residual = step->y >= 0 ? rows->data[step->y] : NULL;
        g.residual_row = width;
        model->kernels->gemm(&g);
        break;
    case GRAPH_BATCH_NORM:
        model->kernels->scale_shift(rows->data[step->x], layer->scale, layer->shift, z, (size_t)rows->n, width, &none);
        break;
    case GRAPH_ADD:
    case GRAPH_MUL:
    case GRAPH_BINARY: combine_rows(base, rows, step, z); break;
    case GRAPH_LAYER_NORM: norm_rows(base, rows, step, z); break;
    case GRAPH_REDUCE: length_rows(base, rows, step, z); break;
    case GRAPH_QUANTIZE: quantize_rows(base, rows, step, z); break;
    default: memcpy(z, rows->data[step->x], (size_t)rows->n * (size_t)width * sizeof *z); break;
    }
}

/* The last layer's sigmoid is not among the logits. */
static bool has_activation(const struct engine_model *model, const struct head_step *step)
{
    const struct graph_node *node = &model->graph->nodes[step->node];

    return node->activation != GRAPH_LINEAR_ACTIVATION &&
           !(step->z == model->layered->last && model->info.squashed && node->activation == GRAPH_SIGMOID);
}

/* Rows as they are. */
static void run_plain(struct rows *rows)
{
    const struct engine_model *model = rows->model;

    for (int i = 0; i < model->layered->count; i++) {
        const struct head_step *step = &model->layered->steps[i];
        float *z = rows->data[step->z];
        before_activation(NULL, rows, step, z);
        if (has_activation(model, step))
            model->kernels->activate(z, z, (size_t)rows->n * (size_t)model->layered->width[step->z],
                                     &model->layers[step->node].epilogue);
    }
}

/* Rows through the layers as they are at the base, which has one row and has been run. */
static void run_linearised(struct rows *base, struct rows *rows, float *before)
{
    const struct engine_model *model = rows->model;

    for (int i = 0; i < model->layered->count; i++) {
        const struct head_step *step = &model->layered->steps[i];
        const struct graph_node *node = &model->graph->nodes[step->node];
        size_t width = (size_t)model->layered->width[step->z];
        float *z = rows->data[step->z], *value = base->data[step->z];
        before_activation(base, rows, step, z);
        if (!has_activation(model, step))
            continue;
        before_activation(NULL, base, step, before);
        for (size_t j = 0; j < width; j++) {
            double h = slope(node, (double)before[j]);
            for (size_t u = 0; u < (size_t)rows->n; u++)
                z[u * width + j] = (float)((double)value[j] + h * ((double)z[u * width + j] - (double)before[j]));
        }
    }
}

enum infomask_status head_layers_rows(const struct engine_model *model, const float *x, int n, float *z,
                                      struct infomask_error *err)
{
    const struct head_layers *head = model->layered;
    size_t in = (size_t)head->width[0], out = (size_t)head->width[head->last];
    struct rows rows;
    enum infomask_status status = INFOMASK_OK;

    for (int first = 0; first < n && status == INFOMASK_OK; first += BLOCK) {
        int count = n - first < BLOCK ? n - first : BLOCK;
        status = rows_init(&rows, model, count, err);
        if (status != INFOMASK_OK)
            break;
        memcpy(rows.data[0], x + (size_t)first * in, (size_t)count * in * sizeof *x);
        run_plain(&rows);
        memcpy(z + (size_t)first * out, rows.data[head->last], (size_t)count * out * sizeof *z);
        rows_fini(&rows);
    }
    return status;
}

/* Place of channel c of cell u in a map of c channels laid flat. */
static size_t flat_place(const struct head_layers *head, size_t u, size_t c, size_t channels)
{
    return head->channels_last ? u * channels + c : c * (size_t)head->cells + u;
}

/* Cells [first, first + count) as the layers read them; the whole (first < 0): one row, whose cells' mean it is. */
static void fill(const struct engine_model *model, const float *f, int n, int first, int count, float *x)
{
    const struct head_layers *head = model->layered;
    size_t channels = (size_t)model->info.features, cells = (size_t)n;

    if (!head->flat && first < 0) {
        model->kernels->global_average(f, cells, (int)channels, x, 0, (int)channels);
        return;
    }
    if (!head->flat) {
        memcpy(x, f + (size_t)first * channels, (size_t)count * channels * sizeof *x);
        return;
    }
    memset(x, 0, (size_t)(first < 0 ? 1 : count) * channels * cells * sizeof *x);
    for (size_t u = 0; u < cells; u++) {
        bool here = first < 0 || ((int)u >= first && (int)u < first + count);
        float *row = first < 0 ? x : x + ((int)u - first) * (ptrdiff_t)(channels * cells);
        for (size_t c = 0; here && c < channels; c++)
            row[flat_place(head, u, c, channels)] = f[u * channels + c] * (first < 0 ? 1.0F : (float)cells);
    }
}

/* The widest slot, for what a layer makes before its activation. */
static float *widest_row(const struct head_layers *head)
{
    int most = 1;

    for (int i = 0; i < head->slots; i++)
        most = head->width[i] > most ? head->width[i] : most;
    return aligned_new((size_t)most * sizeof(float));
}

enum infomask_status head_layers_cells(const struct engine_model *model, const float *f, int n, float *l,
                                       struct infomask_error *err)
{
    const struct head_layers *head = model->layered;
    size_t out = (size_t)head->width[head->last];
    struct rows base, rows;
    float *before = widest_row(head);
    enum infomask_status status = rows_init(&base, model, 1, err);

    if (status == INFOMASK_OK && before == NULL) {
        rows_fini(&base);
        status = error_set(err, INFOMASK_MEMORY, "no memory for the network's head");
    }
    if (status != INFOMASK_OK) {
        aligned_free(before);
        return status;
    }
    fill(model, f, n, -1, 1, base.data[0]);
    run_plain(&base);
    for (int first = 0; first < n && status == INFOMASK_OK; first += BLOCK) {
        int count = n - first < BLOCK ? n - first : BLOCK;
        status = rows_init(&rows, model, count, err);
        if (status != INFOMASK_OK)
            break;
        fill(model, f, n, first, count, rows.data[0]);
        run_linearised(&base, &rows, before);
        memcpy(l + (size_t)first * out, rows.data[head->last], (size_t)count * out * sizeof *l);
        rows_fini(&rows);
    }
    rows_fini(&base);
    aligned_free(before);
    return status;
}
