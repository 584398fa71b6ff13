/* Reductions: rows of outputs at a time, each summed in double and in one order, whatever part is asked for. */
#include <math.h>

#include "core/base/cpu.h"
#include "core/graph/general/general.h"

#define LANES 16  /* partial results that the compiler keeps in registers */
#define BLOCK 128 /* outputs that lie side by side */
#define PARTS 32  /* partial results of one output */

/* Dimensions that lie behind one another and are both kept or both reduced are one. */
struct reduction {
    enum graph_function function;
    struct general_walk kept, gone; /* but the innermost one, which is */
    size_t row;                     /* outputs side by side: 1 if it is reduced */
    size_t each;                    /* elements side by side of one output: 1 if it is kept */
    size_t rounds, count;           /* of `gone`; elements of an output */
};

static double start_of(enum graph_function function)
{
    switch (function) {
    case GRAPH_PRODUCT: return 1;
    case GRAPH_MAXIMUM: return -INFINITY;
    case GRAPH_MINIMUM: return INFINITY;
    default: return 0;
    }
}

static double combine(enum graph_function function, double a, double b)
{
    switch (function) {
    case GRAPH_PRODUCT: return a * b;
    case GRAPH_MAXIMUM: return b > a ? b : a;
    case GRAPH_MINIMUM: return b < a ? b : a;
    default: return a + b;
    }
}

#define EACH(expression)                                                                                               \
    for (int i = 0; i < LANES; i++) {                                                                                  \
        double v = (double)x[i];                                                                                       \
        sum[i] = (expression);                                                                                         \
    }                                                                                                                  \
    break

/* LANES elements into as many results. */
static inline __attribute__((always_inline)) void add_lanes(enum graph_function function, const float *restrict x,
                                                            double *restrict sum)
{
    switch (function) {
    case GRAPH_L1: EACH(sum[i] + fabs(v));
    case GRAPH_L2:
    case GRAPH_SUM_SQUARE: EACH(sum[i] + v * v);
    case GRAPH_PRODUCT: EACH(sum[i] * v);
    case GRAPH_MAXIMUM: EACH(v > sum[i] ? v : sum[i]);
    case GRAPH_MINIMUM: EACH(v < sum[i] ? v : sum[i]);
    default: EACH(sum[i] + v);
    }
}

static double term(enum graph_function function, double v)
{
    return function == GRAPH_L1 ? fabs(v) : function == GRAPH_L2 || function == GRAPH_SUM_SQUARE ? v * v : v;
}

CPU_CLONES static void add(enum graph_function function, const float *x, double *sum, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        add_lanes(function, x + i, sum + i);
    for (; i < n; i++)
        sum[i] = combine(function, sum[i], term(function, (double)x[i]));
}

/* All elements that lie side by side, as PARTS partial results at most, which meet by halves. */
static double add_all(enum graph_function function, const float *x, size_t n)
{
    size_t parts = n < PARTS ? n : PARTS;
    double sum[PARTS];

    for (size_t i = 0; i < parts; i++)
        sum[i] = start_of(function);
    for (size_t i = 0; i < n; i += parts)
        add(function, x + i, sum, n - i < parts ? n - i : parts);
    for (size_t rest = parts; rest > 1; rest -= rest / 2)
        for (size_t i = 0; i < rest / 2; i++)
            sum[i] = combine(function, sum[i], sum[rest - rest / 2 + i]);
    return sum[0];
}

/* `n` outputs side by side, whose elements begin at x. */
static void reduce_block(struct reduction *r, const float *x, double *sum, size_t n)
{
    enum graph_function function = r->function == GRAPH_LOG_SUM_EXP ? GRAPH_MAXIMUM : r->function;

    for (size_t i = 0; i < n; i++)
        sum[i] = start_of(function);
    for (size_t round = 0; round < r->rounds; round++, general_walk_next(&r->gone)) {
        const float *from = x + r->gone.at[0];
        if (r->each == 1)
            add(function, from, sum, n);
        else
            sum[0] = combine(function, sum[0], add_all(function, from, r->each));
    }
}

/* log sum exp(v), given the largest v of each output. */
static void sum_exponentials(struct reduction *r, const float *x, double *most, size_t n)
{
    double sum[BLOCK] = {0};

    for (size_t round = 0; round < r->rounds; round++, general_walk_next(&r->gone))
        for (size_t e = 0; e < r->each; e++)
            for (size_t i = 0; i < n; i++)
                sum[i] += exp((double)x[r->gone.at[0] + (ptrdiff_t)(e + i)] - most[i]);
    for (size_t i = 0; i < n; i++)
        most[i] += log(sum[i]);
}

static float result_of(const struct reduction *r, double sum)
{
    switch (r->function) {
    case GRAPH_MEAN: return (float)(sum / (double)r->count);
    case GRAPH_L2: return (float)sqrt(sum);
    case GRAPH_LOG_SUM: return (float)log(sum);
    default: return (float)sum;
    }
}

/* Puts the dimension in front of those that the walk has. */
static void add_outer(struct general_walk *w, int64_t size, ptrdiff_t stride)
{
    for (int i = w->rank++; i > 0; i--) {
        w->dims[i] = w->dims[i - 1];
        w->strides[0][i] = w->strides[0][i - 1];
    }
    w->dims[0] = size;
    w->strides[0][0] = stride;
}

static struct reduction reduction_of(const struct graph_node *node, const struct graph_array *x)
{
    struct reduction r = {.function = node->function, .row = 1, .each = 1, .rounds = 1};
    ptrdiff_t strides[GRAPH_MAX_RANK];
    int d = x->rank - 1;
    bool inner;

    array_strides(x, strides);
    while (d >= 0 && x->dims[d] == 1)
        d--;
    inner = d >= 0 && (node->axes >> d & 1);
    for (; d >= 0 && (x->dims[d] == 1 || ((node->axes >> d & 1) != 0) == inner); d--)
        *(inner ? &r.each : &r.row) *= (size_t)x->dims[d];
    for (; d >= 0; d--) {
        bool gone = node->axes >> d & 1;
        add_outer(gone ? &r.gone : &r.kept, x->dims[d], strides[d]);
        r.rounds *= gone ? (size_t)x->dims[d] : 1;
    }
    r.count = r.rounds * r.each;
    return r;
}

void general_reduce(const struct graph_node *node, const struct graph_array *x, float *y, size_t first, size_t last)
{
    struct reduction r = reduction_of(node, x);
    double sum[BLOCK];

    general_walk_to(&r.kept, first / r.row);
    for (size_t o = first, n; o < last; o += n) {
        size_t at = o % r.row;
        const float *from = x->data + r.kept.at[0] + at;

        n = r.row - at < last - o ? r.row - at : last - o;
        n = n < BLOCK ? n : BLOCK;
        reduce_block(&r, from, sum, n);
        if (r.function == GRAPH_LOG_SUM_EXP)
            sum_exponentials(&r, from, sum, n);
        for (size_t i = 0; i < n; i++)
            y[o + i] = result_of(&r, sum[i]);
        if (at + n == r.row)
            general_walk_next(&r.kept);
    }
}
