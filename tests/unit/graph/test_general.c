/* Pairs, reductions and resizing of general tensors: beside sums made the simple way, and the same bits however they are cut. */
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

/* Some of the dimensions of y, one in three of them 1, from `data` on. */
static struct graph_array random_operand(struct random_stream *random, const struct graph_array *y, float *data)
{
    struct graph_array a = {.rank = below(random, y->rank + 1), .data = data};

    for (int i = 0; i < a.rank; i++)
        a.dims[i] = below(random, 3) == 0 ? 1 : y->dims[y->rank - a.rank + i];
    for (size_t i = 0; i < elements(&a); i++)
        data[i] = (float)(random_unit(random) * 2 - 1);
    return a;
}

/* What belongs to element i of y. */
static float operand_at(const struct graph_array *a, const struct graph_array *y, size_t i)
{
    size_t at = 0, step = 1;

    for (int d = y->rank - 1, o = a->rank - 1; o >= 0; d--, o--) {
        at += a->dims[o] == 1 ? 0 : i % (size_t)y->dims[d] * step;
        step *= (size_t)a->dims[o];
        i /= (size_t)y->dims[d];
    }
    return a->data[at];
}

static float pair_simply(enum graph_function function, float a, float b)
{
    switch (function) {
    case GRAPH_PLUS: return a + b;
    case GRAPH_MINUS: return a - b;
    case GRAPH_TIMES: return a * b;
    case GRAPH_DIVIDE: return a / b;
    case GRAPH_MOST: return fmaxf(a, b);
    case GRAPH_POWER: return b == 2 ? a * a : (float)pow((double)a, (double)b);
    default: return a < b;
    }
}

static void pairs_are_what_they_say(void **state)
{
    static const enum graph_function functions[] = {GRAPH_PLUS, GRAPH_MINUS, GRAPH_TIMES, GRAPH_DIVIDE, GRAPH_MOST,
                                                    GRAPH_LESS, GRAPH_POWER};
    static float data[2][MOST];
    struct random_stream random = random_stream(23, 0);
    (void)state;

    for (int round = 0; round < 3000; round++) {
        struct graph_array y = random_array(&random), in[2];
        struct graph_node node = {.op = GRAPH_BINARY, .function = functions[round % 7]};
        size_t n = elements(&y);

        for (int side = 0; side < 2; side++)
            in[side] = random_operand(&random, &y, data[side]);
        for (size_t i = 0; node.function == GRAPH_POWER && i < elements(&in[1]); i++)
            data[1][i] = round % 3 ? 2 : 3;
        graph_general_compute(&node, in, &y, whole);
        for (size_t i = 0; i < n; i++) {
            float want = pair_simply(node.function, operand_at(&in[0], &y, i), operand_at(&in[1], &y, i));
            if (memcmp(&whole[i], &want, sizeof want) != 0)
                fail_msg("round %d, element %zu of %zu: %.9g, not %.9g", round, i, n, (double)whole[i], (double)want);
        }
        compute_parts(&random, &node, in, &y, 1);
        assert_memory_equal(whole, parts, n * sizeof *whole);
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

/* [N, C, H, W] as N, H, W, C, or back. */
static void turn(const struct graph_array *shape, const float *from, float *to, bool back)
{
    size_t c = (size_t)shape->dims[1], cells = (size_t)(shape->dims[2] * shape->dims[3]), n = elements(shape);

    for (size_t i = 0; i < n; i++) {
        size_t turned = (i / (c * cells) * cells + i % cells) * c + i / cells % c;
        to[back ? i : turned] = from[back ? turned : i];
    }
}

static void pictures_are_resized_as_arrays_are(void **state)
{
    static float turned[MOST], resized[4 * MOST], again[4 * MOST];
    struct random_stream random = random_stream(24, 0);
    (void)state;

    for (int round = 0; round < 400; round++) {
        struct graph_array x = {.rank = 4, .data = input}, y = {.rank = 4}, pixels;
        struct graph_resize resize = {.mode = round % 3, .place = below(&random, 6), .nearest = below(&random, 4),
                                      .cubic = -.5F, .exclude_outside = below(&random, 4) == 0, .scales = {1, 1, 1, 1}};
        struct graph_node node = {.op = GRAPH_RESIZE, .resize = &resize};
        struct graph_tensor tensor = {.rank = 4, .dims = {-1, 0, -1, -1}};
        size_t n, lines;

        for (int d = 0; d < 4; d++) {
            x.dims[d] = 1 + below(&random, d == 0 ? 3 : d == 1 ? 20 : 24);
            y.dims[d] = d < 2 ? x.dims[d] : 1 + below(&random, d == 2 ? 24 : 40);
        }
        tensor.dims[1] = x.dims[1];
        node.table = calloc(1, sizeof *node.table + 4 * sizeof *node.table->v);
        assert_non_null(node.table);
        memcpy(node.table->v + 1, y.dims + 1, 3 * sizeof *node.table->v);
        assert_true(graph_resizes_pictures(&node, &tensor));
        for (size_t i = 0; i < elements(&x); i++)
            input[i] = (float)random_unit(&random);
        n = elements(&y);
        lines = (size_t)(y.dims[0] * y.dims[2]);
        graph_general_compute(&node, &x, &y, whole);
        turn(&x, input, turned, false);
        pixels = x;
        pixels.data = turned;
        graph_resize_lines(&node, &pixels, &y, resized, 0, lines);
        for (size_t first = 0, some; first < lines; first += some) {
            some = 1 + (size_t)below(&random, (int)(lines - first));
            graph_resize_lines(&node, &pixels, &y, again, first, first + some);
        }
        assert_memory_equal(resized, again, n * sizeof *again);
        turn(&y, resized, parts, true);
        for (size_t i = 0; i < n; i++)
            if (!(fabs((double)whole[i] - (double)parts[i]) <= 1e-6))
                fail_msg("round %d, element %zu of %zu: %.9g, not %.9g", round, i, n, (double)parts[i], (double)whole[i]);
        free(node.table);
    }
}

/* What a few taps a pixel cannot do, or reaches over channels, is not for it. */
static void some_resizes_are_left_to_arrays(void **state)
{
    struct graph_resize resize = {.mode = GRAPH_LINEAR_RESIZE, .scales = {1, 1, 2, 2}};
    struct graph_node node = {.op = GRAPH_RESIZE, .resize = &resize};
    struct graph_tensor x = {.rank = 4, .dims = {-1, 6, -1, -1}};
    (void)state;

    node.table = calloc(1, sizeof *node.table + 4 * sizeof *node.table->v);
    assert_non_null(node.table);
    assert_true(graph_resizes_pictures(&node, &x));
    resize.antialias = true;
    assert_false(graph_resizes_pictures(&node, &x));
    resize.antialias = false;
    resize.scales[1] = 1.1F; /* six channels stay six, and are read elsewhere */
    assert_false(graph_resizes_pictures(&node, &x));
    node.table->v[1] = 7;
    assert_false(graph_resizes_pictures(&node, &x));
    node.table->v[1] = 6;
    assert_true(graph_resizes_pictures(&node, &x));
    x.rank = 3;
    assert_false(graph_resizes_pictures(&node, &x));
    free(node.table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(pairs_are_what_they_say),
                                       cmocka_unit_test(reductions_are_the_sums_they_say),
                                       cmocka_unit_test(resized_maps_are_cut_anywhere),
                                       cmocka_unit_test(pictures_are_resized_as_arrays_are),
                                       cmocka_unit_test(some_resizes_are_left_to_arrays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
