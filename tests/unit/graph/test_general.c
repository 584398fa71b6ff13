/* Reductions and resizing of general tensors: beside sums made the simple way, and the same bits however they are cut. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/graph/graph.h"

#define MOST 40000

static float input[MOST], whole[4 * MOST], parts[4 * MOST];

static size_t elements(const struct graph_array *a)
{
    size_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= (size_t)a->dims[i];
    return n;
}

static int below(struct random_stream *random, int n) { return (int)(random_unit(random) * n); }

/* Up to five dimensions, one in four of them 1. */
static struct graph_array random_array(struct random_stream *random)
{
    struct graph_array a = {.rank = 1 + below(random, 5), .data = input};

    for (int i = 0; i < a.rank; i++)
        a.dims[i] = below(random, 4) == 0 ? 1 : 1 + below(random, a.rank == 1 ? 3000 : a.rank == 2 ? 180 : 8);
    for (size_t i = 0; i < elements(&a); i++)
        input[i] = (float)(random_unit(random) * 2 - 1);
    return a;
}

/* The output in pieces of random length, whole rows of `row`. */
static void compute_parts(struct random_stream *random, const struct graph_node *node, const struct graph_array *x,
                          const struct graph_array *y, size_t row)
{
    size_t rows = elements(y) / row;

    for (size_t first = 0, n; first < rows; first += n) {
        n = 1 + (size_t)below(random, (int)(rows - first));
        graph_general_part(node, x, y, parts, first * row, (first + n) * row);
    }
}

/* Which output an element belongs to. */
static size_t output_of(const struct graph_array *x, unsigned axes, size_t element)
{
    size_t at = 0, step = 1;

    for (int d = x->rank - 1; d >= 0; d--) {
        size_t index = element % (size_t)x->dims[d];
        element /= (size_t)x->dims[d];
        if (axes >> d & 1)
            continue;
        at += index * step;
        step *= (size_t)x->dims[d];
    }
    return at;
}

static double add_simply(enum graph_function function, double sum, double v)
{
    switch (function) {
    case GRAPH_L1: return sum + fabs(v);
    case GRAPH_L2:
    case GRAPH_SUM_SQUARE: return sum + v * v;
    case GRAPH_PRODUCT: return sum * v;
    case GRAPH_MAXIMUM: return fmax(sum, v);
    case GRAPH_MINIMUM: return fmin(sum, v);
    case GRAPH_LOG_SUM_EXP: return sum + exp(v);
    default: return sum + v;
    }
}

static double finish_simply(enum graph_function function, double sum, size_t count)
{
    return function == GRAPH_MEAN ? sum / (double)count
           : function == GRAPH_L2 ? sqrt(sum)
           : function == GRAPH_LOG_SUM_EXP || function == GRAPH_LOG_SUM ? log(sum)
                                                                        : sum;
}

static void check_reduction(const struct graph_node *node, const struct graph_array *x, size_t outputs)
{
    static double sums[MOST];
    size_t n = elements(x);

    for (size_t o = 0; o < outputs; o++)
        sums[o] = node->function == GRAPH_PRODUCT   ? 1
                  : node->function == GRAPH_MAXIMUM ? -INFINITY
                  : node->function == GRAPH_MINIMUM ? INFINITY
                                                    : 0;
    for (size_t i = 0; i < n; i++) {
        double *sum = &sums[output_of(x, node->axes, i)];
        *sum = add_simply(node->function, *sum, (double)input[i]);
    }
    for (size_t o = 0; o < outputs; o++) {
        double want = finish_simply(node->function, sums[o], n / outputs);
        if (!(fabs((double)whole[o] - want) <= 1e-6 * (1 + fabs(want))))
            fail_msg("output %zu of %zu of function %d, axes %x: %.9g, not %.9g", o, outputs, (int)node->function,
                     node->axes, (double)whole[o], want);
    }
}

static void reductions_are_the_sums_they_say(void **state)
{
    static const enum graph_function functions[] = {GRAPH_SUM, GRAPH_MEAN, GRAPH_L1, GRAPH_L2, GRAPH_SUM_SQUARE,
                                                    GRAPH_PRODUCT, GRAPH_MAXIMUM, GRAPH_MINIMUM, GRAPH_LOG_SUM_EXP,
                                                    GRAPH_LOG_SUM};
    struct random_stream random = random_stream(21, 0);
    (void)state;

    for (int round = 0; round < 2000; round++) {
        struct graph_array x = random_array(&random), y = {.rank = 1};
        struct graph_node node = {.op = GRAPH_REDUCE, .function = functions[round % 10],
                                  .axes = 1u + (unsigned)below(&random, (1 << x.rank) - 1)};
        size_t outputs = 1;

        for (int d = 0; d < x.rank; d++)
            outputs *= node.axes >> d & 1 ? 1 : (size_t)x.dims[d];
        y.dims[0] = (int64_t)outputs;
        if (node.function == GRAPH_LOG_SUM)
            for (size_t i = 0; i < elements(&x); i++)
                input[i] = 1.5F + input[i];
        graph_general_compute(&node, &x, &y, whole);
        check_reduction(&node, &x, outputs);
        compute_parts(&random, &node, &x, &y, 1);
        assert_memory_equal(whole, parts, outputs * sizeof *whole);
    }
}

/* Half a pixel's linear interpolation, as its definition says. */
static double linear_at(const float *line, int64_t size, ptrdiff_t stride, double place)
{
    double low = floor(place), share = place - low;
    int64_t a = (int64_t)fmin(fmax(low, 0), (double)(size - 1)), b = (int64_t)fmin(fmax(low + 1, 0), (double)(size - 1));

    return (1 - share) * (double)line[(ptrdiff_t)a * stride] + share * (double)line[(ptrdiff_t)b * stride];
}

static double bilinear_at(const struct graph_array *x, const struct graph_array *y, size_t i)
{
    int64_t h = x->dims[1], w = x->dims[2];
    int64_t column = (int64_t)i % y->dims[2], row = (int64_t)i / y->dims[2] % y->dims[1];
    const float *plane = input + (int64_t)i / (y->dims[1] * y->dims[2]) * h * w;
    double py = ((double)row + .5) * (double)h / (double)y->dims[1] - .5;
    double px = ((double)column + .5) * (double)w / (double)y->dims[2] - .5, low = floor(py), share = py - low;
    int64_t a = (int64_t)fmin(fmax(low, 0), (double)(h - 1)), b = (int64_t)fmin(fmax(low + 1, 0), (double)(h - 1));

    return (1 - share) * linear_at(plane + a * w, w, 1, px) + share * linear_at(plane + b * w, w, 1, px);
}

static void resized_maps_are_cut_anywhere(void **state)
{
    struct random_stream random = random_stream(22, 0);
    (void)state;

    for (int round = 0; round < 300; round++) {
        struct graph_array x = {.rank = 3, .data = input}, y = {.rank = 3};
        struct graph_resize resize = {.place = GRAPH_HALF_PIXEL, .cubic = -.75F,
                                      .antialias = below(&random, 4) == 0, .exclude_outside = below(&random, 4) == 0};
        struct graph_node node = {.op = GRAPH_RESIZE, .resize = &resize};
        size_t n;

        resize.mode = round % 3 == 0 ? GRAPH_LINEAR_RESIZE : round % 3 == 1 ? GRAPH_NEAREST : GRAPH_CUBIC;
        x.dims[0] = y.dims[0] = 1 + below(&random, 3);
        for (int d = 1; d < 3; d++) {
            x.dims[d] = 1 + below(&random, 60);
            y.dims[d] = 1 + below(&random, d == 2 ? 300 : 60);
        }
        node.table = calloc(1, sizeof *node.table + 3 * sizeof *node.table->v);
        assert_non_null(node.table);
        memcpy(node.table->v, y.dims, 3 * sizeof *node.table->v);
        for (size_t i = 0; i < elements(&x); i++)
            input[i] = (float)random_unit(&random);
        n = elements(&y);
        graph_general_compute(&node, &x, &y, whole);
        for (size_t i = 0; i < n && resize.mode == GRAPH_LINEAR_RESIZE && !resize.antialias && !resize.exclude_outside; i++)
            assert_true(fabs((double)whole[i] - bilinear_at(&x, &y, i)) <= 1e-4);
        compute_parts(&random, &node, &x, &y, (size_t)y.dims[2]);
        assert_memory_equal(whole, parts, n * sizeof *whole);
        free(node.table);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(reductions_are_the_sums_they_say),
                                       cmocka_unit_test(resized_maps_are_cut_anywhere)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
