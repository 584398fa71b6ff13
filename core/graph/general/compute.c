/* What the general operators compute: plain loops over row-major arrays, the same for constants of a file and for
 * activations. */
#include <math.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/graph/general/general.h"

/* ---- Elements ---------------------------------------------------------------------------------------------------- */

static struct general_walk walk_over(const struct graph_array *shape, const struct graph_array *in, int count)
{
    struct general_walk w = {.rank = shape->rank};

    memcpy(w.dims, shape->dims, sizeof w.dims);
    for (int i = 0; i < count; i++)
        array_broadcast(&in[i], shape, w.strides[i]);
    return w;
}

/* Joins dimensions behind one another in which all `sets` operands go on as they went; leaves one at least. */
static void join_dimensions(struct general_walk *w, int sets)
{
    int n = 0;

    for (int d = 0; d < w->rank; d++) {
        bool goes_on = n > 0;
        for (int s = 0; s < sets; s++)
            goes_on = goes_on && w->strides[s][n - 1] == w->strides[s][d] * (ptrdiff_t)w->dims[d];
        if (w->dims[d] == 1)
            continue;
        n += goes_on ? 0 : 1;
        w->dims[n - 1] = goes_on ? w->dims[n - 1] * w->dims[d] : w->dims[d];
        for (int s = 0; s < sets; s++)
            w->strides[s][n - 1] = w->strides[s][d];
    }
    if (n == 0) {
        w->dims[0] = 1;
        for (int s = 0; s < sets; s++)
            w->strides[s][0] = 0;
    }
    w->rank = n > 0 ? n : 1;
}

#define EACH(expression)                                                                                               \
    for (ptrdiff_t i = 0; i < n; i++) {                                                                                \
        float v = a[i * as], u = b[i * bs];                                                                            \
        y[i] = (expression);                                                                                           \
    }                                                                                                                  \
    break

static inline __attribute__((always_inline)) void binary_apart(enum graph_function function, const float *a,
                                                               ptrdiff_t as, const float *b, ptrdiff_t bs, float *y,
                                                               ptrdiff_t n)
{
    switch (function) {
    case GRAPH_PLUS: EACH(v + u);
    case GRAPH_MINUS: EACH(v - u);
    case GRAPH_TIMES: EACH(v * u);
    case GRAPH_DIVIDE: EACH(v / u);
    default: EACH(general_binary(function, v, u));
    }
}

/* n elements of a and b, as far apart as their strides say: loops of their own for what a compiler can vectorise. */
CPU_CLONES static void binary_row(enum graph_function function, const float *a, ptrdiff_t as, const float *b,
                                  ptrdiff_t bs, float *y, ptrdiff_t n)
{
    if (function == GRAPH_POWER && bs == 0 && *b == 2.0F && as == 1)
        binary_apart(GRAPH_TIMES, a, 1, a, 1, y, n);
    else if (as == 1 && bs == 1)
        binary_apart(function, a, 1, b, 1, y, n);
    else if (as == 1 && bs == 0)
        binary_apart(function, a, 1, b, 0, y, n);
    else if (as == 0 && bs == 1)
        binary_apart(function, a, 0, b, 1, y, n);
    else
        binary_apart(function, a, as, b, bs, y, n);
}

/* Elements [first, last) of y, the output's beginning. */
static void binary(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, float *y,
                   size_t first, size_t last)
{
    struct general_walk w = walk_over(out, in, 2);
    size_t row;
    ptrdiff_t as, bs;

    join_dimensions(&w, 2);
    w.rank--; /* the last one is a row */
    row = (size_t)w.dims[w.rank];
    as = w.strides[0][w.rank];
    bs = w.strides[1][w.rank];
    general_walk_to(&w, first / row);
    for (size_t o = first, n; o < last; o += n, general_walk_next(&w)) {
        ptrdiff_t at = (ptrdiff_t)(o % row);
        n = row - (size_t)at < last - o ? row - (size_t)at : last - o;
        binary_row(node->function, in[0].data + w.at[0] + at * as, as, in[1].data + w.at[1] + at * bs, bs, y + o,
                   (ptrdiff_t)n);
    }
}

static void where(const struct graph_array *in, const struct graph_array *out, float *y)
{
    struct general_walk w = walk_over(out, in, 3);
    size_t n = array_elements(out);

    for (size_t i = 0; i < n; i++, general_walk_next(&w))
        y[i] = in[0].data[w.at[0]] != 0.0f ? in[1].data[w.at[1]] : in[2].data[w.at[2]];
}

/* Rounded to even by the sum with a number whose last bit is worth 1: what is cut is far below 2^22.  x and y apart. */
CPU_CLONES static void quantize_apart(const struct graph_node *node, const float *restrict x, float *restrict y,
                                      size_t n)
{
    const float even = 0x1.8p23F, low = node->low - node->beta, high = node->high - node->beta, scale = node->alpha;
    const float factor = node->function == GRAPH_INTEGERS ? 1 : scale;
    const float zero = node->function == GRAPH_INTEGERS ? node->beta : 0;

    for (size_t i = 0; i < n; i++) {
        float q = x[i] / scale;
        q = q > low ? q : low; /* (what is no number is the lowest) */
        q = q < high ? q : high;
        y[i] = (q + even - even + zero) * factor;
    }
}

void graph_quantize(const struct graph_node *node, const float *x, float *y, size_t n)
{
    float part[512];

    for (size_t at = 0, m; x == y && at < n; at += m) {
        m = n - at < 512 ? n - at : 512;
        quantize_apart(node, x + at, part, m);
        memcpy(y + at, part, m * sizeof *y);
    }
    if (x != y)
        quantize_apart(node, x, y, n);
}

/* ---- Sums -------------------------------------------------------------------------------------------------------- */

static void matmul(const struct graph_array *in, const struct graph_array *out, float *y)
{
    struct graph_array a = in[0], b = in[1], batch = *out;
    size_t m = (size_t)out->dims[out->rank - 2], n = (size_t)out->dims[out->rank - 1];
    size_t k = (size_t)a.dims[a.rank - 1], rounds;
    struct general_walk w;
    struct graph_array parts[2];

    batch.rank = out->rank - 2;
    parts[0] = a;
    parts[1] = b;
    parts[0].rank -= 2;
    parts[1].rank -= 2;
    w = walk_over(&batch, parts, 2);
    rounds = array_elements(&batch);
    for (size_t r = 0; r < rounds; r++, general_walk_next(&w), y += m * n) {
        const float *pa = a.data + (size_t)w.at[0] * m * k, *pb = b.data + (size_t)w.at[1] * k * n;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                double sum = 0;
                for (size_t p = 0; p < k; p++)
                    sum += (double)pa[i * k + p] * (double)pb[p * n + j];
                y[i * n + j] = (float)sum;
            }
    }
}

/* y = (x - mean) / sqrt(variance + epsilon) * scale + bias over rows; RMS: without the mean. */
static void norm_row(const struct graph_node *node, const float *x, float *y, size_t n)
{
    double mean = 0, square = 0, factor;

    for (size_t i = 0; i < n && node->function != GRAPH_RMS; i++)
        mean += (double)x[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++)
        square += ((double)x[i] - mean) * ((double)x[i] - mean);
    factor = 1 / sqrt(square / (double)n + (double)node->epsilon);
    for (size_t i = 0; i < n; i++)
        y[i] = (float)(((double)x[i] - mean) * factor);
}

static void layer_norm(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                       float *y)
{
    size_t n = 1, total = array_elements(out);

    for (int i = node->axis; i < out->rank; i++)
        n *= (size_t)out->dims[i];
    for (size_t row = 0; row < total; row += n)
        norm_row(node, in[0].data + row, y + row, n);
    for (int k = 1; k < node->input_count; k++) {
        struct graph_node step = {.function = k == 1 ? GRAPH_TIMES : GRAPH_PLUS};
        struct graph_array pair[2] = {*out, in[k]};
        pair[0].data = y;
        if (in[k].rank >= 0)
            binary(&step, pair, out, y, 0, total);
    }
}

static void cumulate(const struct graph_node *node, const struct graph_array *x, float *y)
{
    size_t inner = 1, outer = 1, n = (size_t)x->dims[node->axis];
    bool exclusive = (int)node->function & 1, reverse = (int)node->function & 2;

    for (int i = 0; i < x->rank; i++) {
        inner *= i > node->axis ? (size_t)x->dims[i] : 1;
        outer *= i < node->axis ? (size_t)x->dims[i] : 1;
    }
    for (size_t at = 0; at < outer * inner; at++) {
        size_t base = at / inner * n * inner + at % inner;
        double sum = 0;
        for (size_t i = 0; i < n; i++) {
            size_t k = base + (reverse ? n - 1 - i : i) * inner;
            double v = (double)x->data[k];
            y[k] = (float)(exclusive ? sum : sum + v);
            sum += v;
        }
    }
}

/* ---- Movements --------------------------------------------------------------------------------------------------- */

static void slice(const struct graph_node *node, const struct graph_array *x, const struct graph_array *out, float *y)
{
    struct general_walk w = {.rank = out->rank};
    ptrdiff_t strides[GRAPH_MAX_RANK], first = 0;
    size_t n, rows;
    int last = out->rank - 1;

    memcpy(w.dims, out->dims, sizeof w.dims);
    array_strides(x, strides);
    for (int i = 0; i < x->rank; i++) {
        int64_t start;
        (void)graph_slice_range(node, x->rank, i, x->dims[i], &start);
        first += (ptrdiff_t)start * strides[i];
        w.strides[0][i] = strides[i] * (ptrdiff_t)node->table->v[2 * x->rank + i];
    }
    n = last < 0 ? 1 : (size_t)out->dims[last];
    rows = array_elements(out) / n;
    w.rank = last < 0 ? 0 : last;
    for (size_t row = 0; row < rows; row++, y += n, general_walk_next(&w)) {
        const float *from = x->data + first + w.at[0];
        ptrdiff_t step = last < 0 ? 1 : w.strides[0][last];
        for (size_t i = 0; i < n; i++)
            y[i] = from[(ptrdiff_t)i * step];
    }
}

static void gather(const struct graph_node *node, const struct graph_array *x, float *y)
{
    const int64_t *v = node->table->v + 1 + node->table->v[0];
    size_t count = node->table->count - 1 - (size_t)node->table->v[0], inner = 1, outer = 1;
    size_t n = (size_t)x->dims[node->axis];

    for (int i = 0; i < x->rank; i++) {
        inner *= i > node->axis ? (size_t)x->dims[i] : 1;
        outer *= i < node->axis ? (size_t)x->dims[i] : 1;
    }
    for (size_t o = 0; o < outer; o++)
        for (size_t i = 0; i < count; i++, y += inner)
            memcpy(y, x->data + (o * n + (size_t)(v[i] < 0 ? v[i] + (int64_t)n : v[i])) * inner, inner * sizeof *y);
}

static void take(const struct graph_node *node, const struct graph_array *x, const struct graph_array *out, float *y)
{
    size_t n = array_elements(out);
    for (size_t i = 0; i < n; i++)
        y[i] = node->table->v[i] < 0 ? 0 : x->data[node->table->v[i]];
}

static void expand(const struct graph_array *x, const struct graph_array *out, float *y)
{
    struct general_walk w = walk_over(out, x, 1);
    size_t n = array_elements(out);

    for (size_t i = 0; i < n; i++, general_walk_next(&w))
        y[i] = x->data[w.at[0]];
}

/* The index in [0, n) that padding reads at i, -1 for the constant. */
static int64_t pad_index(enum graph_function mode, int64_t i, int64_t n)
{
    if (i >= 0 && i < n)
        return i;
    switch (mode) {
    case GRAPH_PAD_REFLECT:
        return i < 0 ? -i : 2 * (n - 1) - i;
    case GRAPH_PAD_EDGE:
        return i < 0 ? 0 : n - 1;
    case GRAPH_PAD_WRAP:
        return (i % n + n) % n;
    default:
        return -1;
    }
}

/* Element `at` of a line of n that begin at 0, beyond its ends too; NULL: the line itself is beyond. */
static float padded(const struct graph_node *node, const float *x, int64_t n, int64_t at)
{
    int64_t from = x == NULL ? -1 : pad_index(node->function, at, n);
    return from < 0 ? node->alpha : x[from];
}

/* `count` elements, line x from `before` on. */
static void pad_line(const struct graph_node *node, const float *x, int64_t n, int64_t before, float *y, int64_t count)
{
    int64_t first = before < 0 ? 0 : before < count ? before : count;
    int64_t last = x == NULL || before + n < first ? first : before + n < count ? before + n : count;

    for (int64_t i = 0; i < first; i++)
        y[i] = padded(node, x, n, i - before);
    if (first < last)
        memcpy(y + first, x + (first - before), (size_t)(last - first) * sizeof *y);
    for (int64_t i = last; i < count; i++)
        y[i] = padded(node, x, n, i - before);
}

static void pad(const struct graph_node *node, const struct graph_array *x, const struct graph_array *out, float *y)
{
    const int along = x->rank - 1; /* a line's dimension; -1: a single number, of which nothing is padded */
    int64_t n = along < 0 ? 1 : x->dims[along], count = along < 0 ? 1 : out->dims[along];
    int64_t before = along < 0 ? 0 : node->table->v[along], index[GRAPH_MAX_RANK] = {0};
    size_t lines = count == 0 ? 0 : array_elements(out) / (size_t)count;
    ptrdiff_t strides[GRAPH_MAX_RANK];

    array_strides(x, strides);
    for (size_t i = 0; i < lines; i++) {
        ptrdiff_t at = 0;
        bool inside = true;
        for (int d = 0; d < along; d++) {
            int64_t from = pad_index(node->function, index[d] - node->table->v[d], x->dims[d]);
            inside = inside && from >= 0;
            at += (ptrdiff_t)from * strides[d];
        }
        pad_line(node, inside ? x->data + at : NULL, n, before, y + i * (size_t)count, count);
        for (int d = along - 1; d >= 0 && ++index[d] == out->dims[d]; d--)
            index[d] = 0;
    }
}

void graph_general_compute(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                           float *y)
{
    switch (node->op) {
    case GRAPH_UNARY:
        general_unary_all(node, in[0].data, y, array_elements(out));
        break;
    case GRAPH_BINARY:
        binary(node, in, out, y, 0, array_elements(out));
        break;
    case GRAPH_WHERE:
        where(in, out, y);
        break;
    case GRAPH_MATMUL:
        matmul(in, out, y);
        break;
    case GRAPH_REDUCE:
        general_reduce(node, in, y, 0, array_elements(out));
        break;
    case GRAPH_LAYER_NORM:
        layer_norm(node, in, out, y);
        break;
    case GRAPH_SLICE:
        slice(node, in, out, y);
        break;
    case GRAPH_GATHER:
        gather(node, in, y);
        break;
    case GRAPH_TAKE:
        take(node, in, out, y);
        break;
    case GRAPH_EXPAND:
        expand(in, out, y);
        break;
    case GRAPH_PAD:
        pad(node, in, out, y);
        break;
    case GRAPH_RESIZE:
        general_resize(node, in, out, y, 0, array_elements(out));
        break;
    case GRAPH_CUMULATE:
        cumulate(node, in, y);
        break;
    case GRAPH_LRN:
        general_lrn(node, in, y);
        break;
    case GRAPH_CONV_ND:
        general_conv(node, in, out, y);
        break;
    case GRAPH_POOL_ND:
        general_pool(node, in, out, y);
        break;
    case GRAPH_QUANTIZE:
        graph_quantize(node, in[0].data, y, array_elements(in));
        break;
    default:
        break;
    }
}

void graph_general_part(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                        float *y, size_t first, size_t last)
{
    if (node->op == GRAPH_REDUCE)
        general_reduce(node, in, y, first, last);
    else if (node->op == GRAPH_BINARY)
        binary(node, in, out, y, first, last);
    else
        general_resize(node, in, out, y, first, last);
}
