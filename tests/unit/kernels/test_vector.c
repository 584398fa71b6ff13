/* The vector kernels against the reference table, for every instruction set that this processor has: all slots but the
 * matrix products' general cases (test_gemm.c), accuracy of the exponential, exact integer products, and that no result
 * depends on how the work was cut. */
#include "test.h"

#include <math.h>

#include "core/base/aligned.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/kernels/number.h"
#include "kernels/guarded.h"

#define SEED 417u
#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static struct random_stream rng;

static int below(int n) { return (int)random_below(&rng, (uint32_t)n); }

static const struct kernel_table *vector_table(int i)
{
    static const enum kernel_isa list[] = {KERNEL_NEON, KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX};
    return i < COUNT(list) ? kernels_get(list[i]) : NULL;
}

static float *random_floats(size_t n, float scale)
{
    float *x = aligned_new(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(random_unit(&rng) * 2 - 1) * scale;
    return x;
}

static void close_to(const float *a, const float *b, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++) {
        const double scale = fmax(1, fabs((double)b[i]));
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * scale) && !(isnan(a[i]) && isnan(b[i])))
            fail_msg("%s: element %zu of %zu is %.9g, not %.9g", what, i, n, (double)a[i], (double)b[i]);
    }
}

static const struct kernel_epilogue EPILOGUES[] = {
    {KERNEL_CLAMP, -INFINITY, INFINITY}, {KERNEL_CLAMP, 0, 6}, {KERNEL_CLAMP, -0.5f, 0.5f}, {KERNEL_SIGMOID, 0, 0},
    {KERNEL_SILU, 0, 0}, {KERNEL_HARD_SIGMOID, 0.2f, 0.5f}, {KERNEL_HARD_SWISH, 0, 0}, {KERNEL_LEAKY_RELU, 0.1f, 0},
    {KERNEL_GELU, 0, 0}, {KERNEL_GELU_TANH, 0, 0}, {KERNEL_TANH, 0, 0}};

/* ---- accuracy of exp ------------------------------------------------------------------------------------------- */

static double ulps(float got, double right)
{
    const float nearest = (float)right;
    return fabs((double)got - right) / ((double)nextafterf(nearest, INFINITY) - (double)nearest);
}

/* softmax of {0, x}: its second element is exp(x) / (1 + exp(x)), so exp's own error shows at large -x. */
static double worst_softmax(const struct kernel_table *table, float from, float to)
{
    double worst = 0;

    for (int i = 0; i <= 200000; i++) {
        const float x[2] = {0, from + (to - from) * (float)i / 200000};
        float y[2];
        table->softmax(x, y, 1, 2);
        worst = fmax(worst, ulps(y[1], exp((double)x[1]) / (1 + exp((double)x[1]))));
    }
    return worst;
}

static double exact_activation(enum kernel_activation activation, double x)
{
    switch (activation) {
    case KERNEL_SILU:
        return x / (1 + exp(-x));
    case KERNEL_GELU:
        return x * erfc(-x * sqrt(.5)) / 2;
    case KERNEL_TANH:
        return tanh(x);
    default:
        return 1 / (1 + exp(-x));
    }
}

/* Of x / (1 + exp(-2 u)), where a rounding of u becomes a factor. */
static double worst_gelu_tanh(const struct kernel_table *table)
{
    const struct kernel_epilogue epilogue = {KERNEL_GELU_TANH, 0, 0};
    double worst = 0;

    for (int i = 0; i <= 200000; i++) {
        const float x = -15 + 30 * (float)i / 200000;
        const double right = number_gelu_tanh((double)x);
        float y;
        table->activate(&x, &y, 1, &epilogue);
        worst = fmax(worst, fabs((double)y - right) / (fabs(right) + 1e-3 * fabs((double)x) + 1e-30));
    }
    return worst;
}

static double worst_activation(const struct kernel_table *table, enum kernel_activation activation, float from, float to)
{
    enum { N = 1000 };
    const struct kernel_epilogue epilogue = {activation, 0, 0};
    double worst = 0;

    for (int block = 0; block < 200; block++) {
        float x[N], y[N];
        for (int i = 0; i < N; i++)
            x[i] = from + (to - from) * (float)(random_unit(&rng));
        table->activate(x, y, N, &epilogue);
        for (int i = 0; i < N; i++) {
            worst = fmax(worst, ulps(y[i], exact_activation(activation, (double)x[i])));
        }
    }
    return worst;
}

static void exponentials_are_accurate(void **state)
{
    const struct kernel_table *table;

    (void)state;
    rng = random_stream(SEED, 0);
    for (int t = 0; t < 2; t++) {
        if ((table = vector_table(t)) == NULL)
            continue;
        assert_true(worst_softmax(table, -87, 0) < 4);
        assert_true(worst_activation(table, KERNEL_SIGMOID, -87, 20) < 3);
        assert_true(worst_activation(table, KERNEL_SILU, -80, 80) < 4);
        assert_true(worst_activation(table, KERNEL_GELU, -12.5f, 0) < 8);
        assert_true(worst_activation(table, KERNEL_GELU, -1, 14) < 8);
        assert_true(worst_activation(table, KERNEL_TANH, -1, 1) < 4);
        assert_true(worst_activation(table, KERNEL_TANH, -12, 12) < 4);
        assert_true(worst_gelu_tanh(table) < 1e-6);
    }
}

static void activations_at_the_ends(void **state)
{
    static const float x[] = {-INFINITY, -1e38f, -200, -104, -88, -0.0f, 0, 1e-38f, 88, 104, 200, 1e38f, INFINITY};
    const struct kernel_epilogue sigmoid = {KERNEL_SIGMOID, 0, 0}, clamp = {KERNEL_CLAMP, 0, 6}, silu = {KERNEL_SILU, 0, 0};
    const struct kernel_table *table;
    float y[COUNT(x)];

    (void)state;
    for (int t = 0; t < 2; t++) {
        if ((table = vector_table(t)) == NULL)
            continue;
        table->activate(x, y, COUNT(x), &sigmoid);
        for (int i = 0; i < COUNT(x); i++)
            assert_true(y[i] >= 0 && y[i] <= 1 && (i == 0 || y[i] >= y[i - 1]));
        assert_true(y[0] == 0 && y[6] == 0.5f && y[COUNT(x) - 1] == 1);
        table->activate(x, y, COUNT(x), &silu);
        for (int i = 0; i < COUNT(x); i++)
            assert_true(x[i] <= -88 ? y[i] <= 0 && y[i] > -1e-34f : x[i] >= 88 ? y[i] == x[i] : y[i] == x[i] / 2);
        table->activate((const float[]){NAN, -1, 7}, y, 3, &silu);
        assert_true(isnan(y[0]) && y[1] < 0 && y[2] > 6);
        for (enum kernel_activation kind = KERNEL_GELU; kind <= KERNEL_TANH; kind++) {
            const struct kernel_epilogue e = {kind, 0, 0};
            table->activate(x, y, COUNT(x), &e);
            for (int i = 0; i < COUNT(x); i++)
                if (kind == KERNEL_TANH)
                    assert_true(fabsf(x[i]) >= 88 ? y[i] == copysignf(1, x[i]) : y[i] == x[i]);
                else
                    assert_true(x[i] <= -88 ? y[i] <= 0 && y[i] > -1e-33f : x[i] >= 88 ? y[i] == x[i] : y[i] == x[i] / 2);
            table->activate((const float[]){NAN, -1, 7}, y, 3, &e);
            assert_true(isnan(y[0]) && y[1] < 0 && y[2] > 0.9f);
        }
        table->activate((const float[]){NAN, -1, 7}, y, 3, &clamp);
        assert_true(isnan(y[0]) && y[1] == 0 && y[2] == 6);
    }
}

/* ---- elements ---------------------------------------------------------------------------------------------------- */

static void elements_of(const struct kernel_table *table, const struct kernel_table *ref, size_t n)
{
    const struct kernel_epilogue *e = &EPILOGUES[below(COUNT(EPILOGUES))];
    float *a = random_floats(n, 8), *b = random_floats(n, 8), *y = guarded(n), *right = guarded(n);

    table->activate(a, y, n, e);
    ref->activate(a, right, n, e);
    close_to(y, right, n, 1e-6, "activate");
    table->add(a, b, y, n, e);
    ref->add(a, b, right, n, e);
    close_to(y, right, n, 1e-6, "add");
    table->mul(a, b, y, n);
    ref->mul(a, b, right, n);
    assert_memory_equal(y, right, n * sizeof *y);
    table->softmax(a, y, 1, n);
    ref->softmax(a, right, 1, n);
    close_to(y, right, n, 1e-6, "softmax");
    guards_hold(y, n);
    table->mul(a, b, a, n); /* in place */
    table->mul(b, a, y, n);
    guards_hold(y, n);
    aligned_free(a);
    aligned_free(b);
    guarded_free(y);
    guarded_free(right);
}

static void channels_of(const struct kernel_table *table, const struct kernel_table *ref, size_t pixels, int c)
{
    const struct kernel_epilogue *e = &EPILOGUES[below(COUNT(EPILOGUES))];
    const size_t n = pixels * (size_t)c;
    float *x = random_floats(n, 4), *scale = random_floats((size_t)c, 2), *shift = random_floats((size_t)c, 2);
    float *y = guarded(n), *right = guarded(n), *mean = guarded((size_t)c), *right_mean = guarded((size_t)c);
    const int c0 = c > 32 ? 16 : 0;

    table->scale_shift(x, below(3) ? scale : NULL, NULL, y, pixels, c, e);
    guards_hold(y, n);
    table->scale_shift(x, scale, shift, y, pixels, c, e);
    ref->scale_shift(x, scale, shift, right, pixels, c, e);
    close_to(y, right, n, 2e-6, "scale_shift");
    table->global_average(x, pixels, c, mean, c0, c);
    ref->global_average(x, pixels, c, right_mean, c0, c);
    close_to(mean + c0, right_mean + c0, (size_t)(c - c0), 2e-6, "global_average");
    assert_true(c0 == 0 || mean[c0 - 1] == POISON);
    guards_hold(mean, (size_t)c);
    aligned_free(x);
    aligned_free(scale);
    aligned_free(shift);
    guarded_free(y);
    guarded_free(right);
    guarded_free(mean);
    guarded_free(right_mean);
}

static void elements_match(void **state)
{
    const struct kernel_table *table, *ref = kernels_get(KERNEL_REF);

    (void)state;
    rng = random_stream(SEED, 0);
    for (int t = 0; t < 2; t++) {
        if ((table = vector_table(t)) == NULL)
            continue;
        for (size_t n = 1; n < 70; n++)
            elements_of(table, ref, n);
        elements_of(table, ref, 1000);
        for (int c = 1; c < 70; c++)
            channels_of(table, ref, (size_t)(1 + below(50)), c);
        channels_of(table, ref, 49, 1280);
    }
}

/* Short rows are done many at a time: any number of them, the same bits as one by one. */
static void softmax_rows_match(void **state)
{
    const struct kernel_table *ref = kernels_get(KERNEL_REF), *table;

    (void)state;
    rng = random_stream(SEED, 31);
    for (int t = 0; (table = vector_table(t)) != NULL; t++) {
        for (int n = 1; n <= 19; n++) {
            const size_t rows = (size_t)(1 + below(40)), count = rows * (size_t)n;
            float *x = random_floats(count, 20), *y = guarded(count), *right = guarded(count), *one = guarded((size_t)n);
            table->softmax(x, y, rows, (size_t)n);
            ref->softmax(x, right, rows, (size_t)n);
            close_to(y, right, count, 1e-6, "softmax of rows");
            guards_hold(y, count);
            for (size_t r = 0; r < rows; r++) {
                table->softmax(x + r * (size_t)n, one, 1, (size_t)n);
                assert_memory_equal(one, y + r * (size_t)n, (size_t)n * sizeof *one);
            }
            aligned_free(x);
            guarded_free(y);
            guarded_free(right);
            guarded_free(one);
        }
    }
}

/* What is masked out by -100 is nothing, in rows of any length: no number that is below the normal ones. */
static void softmax_leaves_no_denormals(void **state)
{
    const struct kernel_table *table;

    (void)state;
    for (int t = 0; t < 2; t++)
        for (size_t n = 2; (table = vector_table(t)) != NULL && n < 70; n += 9) {
            float x[70], y[70];
            for (size_t i = 0; i < n; i++)
                x[i] = i % 3 == 1 ? -100 : (float)i / 70;
            table->softmax(x, y, 1, n);
            for (size_t i = 0; i < n; i++)
                assert_true(i % 3 == 1 ? y[i] == 0 : isnormal(y[i]));
        }
}

static void softmax_is_finite(void **state)
{
    const struct kernel_table *table;

    (void)state;
    for (int t = 0; t < 2; t++) {
        if ((table = vector_table(t)) == NULL)
            continue;
        float x[3 * 5] = {3e38f, -3e38f, 0, 1, 2, -3e38f, -3e38f, -3e38f, -3e38f, -3e38f, 1000, 1001, 1002, 0, -1000};
        table->softmax(x, x, 3, 5);
        assert_true(x[0] == 1 && x[1] == 0 && x[2] == 0);
        for (int i = 5; i < 10; i++)
            assert_true(fabsf(x[i] - 0.2f) < 1e-7f);
        assert_true(fabsf(x[10] + x[11] + x[12] + x[13] + x[14] - 1) < 1e-6f);
    }
}

static void conversions_match(void **state)
{
    static const float special[] = {0, -0.0f, 1, 1.00390625f, 1.01171875f, 3.4e38f, INFINITY, -INFINITY, NAN, 1e-45f, 2.5f, 3.5f};
    const struct kernel_table *table, *ref = kernels_get(KERNEL_REF);

    (void)state;
    rng = random_stream(SEED, 0);
    for (int t = 0; t < 2; t++) {
        if ((table = vector_table(t)) == NULL)
            continue;
        for (size_t n = 1; n < 80; n++) {
            float *x = random_floats(n, 300), back[80], right_back[80];
            uint16_t b[80], right_b[80];
            uint8_t u[80], right_u[80];
            const float step = (float)(0.5 + random_unit(&rng));
            const int zero = below(256);

            table->to_u8(x, u, n, step, zero);
            ref->to_u8(x, right_u, n, step, zero);
            assert_memory_equal(u, right_u, n);
            for (size_t i = 0; i < n && i < (size_t)COUNT(special); i++)
                x[i] = special[i];
            table->to_bf16(x, b, n);
            ref->to_bf16(x, right_b, n);
            assert_memory_equal(b, right_b, n * sizeof *b);
            table->from_bf16(b, back, n);
            ref->from_bf16(b, right_back, n);
            assert_memory_equal(back, right_back, n * sizeof *back);
            aligned_free(x);
        }
    }
}

/* To the bit, where it rounds up or down, at the ends of the range and for what is no number. */
static void rounding_matches(void **state)
{
    const float special[] = {0, -0.0f, INFINITY, -INFINITY, NAN, 3e38f, -3e38f, 1e-40f};
    enum { N = 3000 };
    float *x = random_floats(N, 1), right[N], got[N];
    const struct kernel_table *table;

    (void)state;
    for (int round = 0; round < 200; round++) {
        const float scale = ldexpf(1 + (float)below(1 << 20) / (1 << 20), below(60) - 30), low = (float)(below(256) - 255);
        const struct kernel_rounding r = {scale, 1 / scale, low, low + (float)(1 + below(round % 2 ? 255 : 65535))};
        for (int i = 0; i < N; i++) /* near the middle between two steps, mostly */
            x[i] = i < COUNT(special) ? special[i]
                                      : scale * ((float)(below(600) - 300) + (below(4) ? 0.5f : (float)below(100) / 100));
        kernels_get(KERNEL_REF)->round(x, right, N, &r);
        for (int t = 0; t < 2; t++) {
            if ((table = vector_table(t)) == NULL)
                continue;
            table->round(x, got, N, &r);
            for (int i = 0; i < N; i++)
                if (got[i] != right[i])
                    fail_msg("%s: %.9g in steps of %.9g is %.9g, not %.9g", table->name, (double)x[i], (double)scale,
                             (double)got[i], (double)right[i]);
        }
    }
    aligned_free(x);
}

/* ---- pooling and depthwise --------------------------------------------------------------------------------------- */

static void pool_of(const struct kernel_table *table, const struct kernel_table *ref)
{
    const int kernel = 1 + below(4), stride = 1 + below(3), pad = below(kernel);
    const int h = kernel + below(12), w = kernel + below(12), c = 1 + below(50);
    struct kernel_pool p = {.h = h, .w = w, .c = c, .out_h = (h + 2 * pad - kernel) / stride + 1,
                            .out_w = (w + 2 * pad - kernel) / stride + 1, .kernel_h = kernel, .kernel_w = kernel,
                            .stride_h = stride, .stride_w = stride, .pad_top = pad, .pad_left = pad, .pad_bottom = pad,
                            .pad_right = pad, .count_include_pad = below(2)};
    const size_t n = (size_t)p.out_h * (size_t)p.out_w * (size_t)c;
    float *x = random_floats((size_t)(h * w * c), 5), *y = guarded(n), *right = guarded(n);
    struct kernel_pool q;

    p.x = x;
    p.y1 = p.out_h;
    q = p;
    p.y = y;
    q.y = right;
    table->max_pool(&p);
    ref->max_pool(&q);
    close_to(y, right, n, 0, "max_pool");
    table->average_pool(&p);
    ref->average_pool(&q);
    close_to(y, right, n, 1e-6, "average_pool");
    guards_hold(y, n);
    aligned_free(x);
    guarded_free(y);
    guarded_free(right);
}

static void pools_match(void **state)
{
    const struct kernel_table *table;

    (void)state;
    rng = random_stream(SEED, 0);
    for (int t = 0; t < 2; t++)
        if ((table = vector_table(t)) != NULL)
            for (int i = 0; i < 200; i++)
                pool_of(table, kernels_get(KERNEL_REF));
}

/* Any kernel, stride, dilation and padding that leaves an output. */
static struct kernel_depthwise random_depthwise(void)
{
    static const int sizes[] = {1, 2, 3, 3, 3, 5, 5, 7, 7, 4, 9};
    struct kernel_depthwise d = {0};

    do {
        d.kernel_h = sizes[below(COUNT(sizes))];
        d.kernel_w = below(4) ? d.kernel_h : sizes[below(COUNT(sizes))];
        d.stride_h = 1 + below(2);
        d.stride_w = below(4) ? d.stride_h : 1 + below(3);
        d.dilation_h = below(4) ? 1 : 2;
        d.dilation_w = below(4) ? d.dilation_h : 1 + below(3);
        d.pad_top = below(d.kernel_h);
        d.pad_left = below(d.kernel_w);
        d.h = 1 + below(20);
        d.w = 1 + below(30);
        d.c = 1 + below(90);
        d.out_h = d.h + 2 * d.pad_top - ((d.kernel_h - 1) * d.dilation_h + 1);
        d.out_w = d.w + 2 * d.pad_left - ((d.kernel_w - 1) * d.dilation_w + 1);
    } while (d.out_h < 0 || d.out_w < 0);
    d.out_h = d.out_h / d.stride_h + 1;
    d.out_w = d.out_w / d.stride_w + 1;
    d.y1 = d.out_h;
    d.c1 = d.c;
    d.epilogue = EPILOGUES[below(COUNT(EPILOGUES))];
    return d;
}

static void depthwise_cut(const struct kernel_table *table, const struct kernel_depthwise *whole)
{
    const int rows = 1 + below(4), channels = 16 * (1 + below(3));

    for (int c = 0; c < whole->c; c += channels)
        for (int y = 0; y < whole->out_h; y += rows) {
            struct kernel_depthwise part = *whole;
            part.c0 = c;
            part.c1 = c + channels < whole->c ? c + channels : whole->c;
            part.y0 = y;
            part.y1 = y + rows < whole->out_h ? y + rows : whole->out_h;
            table->depthwise(&part);
        }
}

static void depthwise_types(const struct kernel_table *table, struct kernel_depthwise d, const float *value, size_t n)
{
    uint16_t *b = aligned_new(n * sizeof *b);
    uint8_t *u = aligned_new(n);

    assert_true(b != NULL && u != NULL);
    d.y_scale = 0.03f;
    d.y_zero = 20;
    d.out = KERNEL_BF16;
    d.y = b;
    if (table->types & 1u << KERNEL_BF16) {
        table->depthwise(&d);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(b[i], number_to_bf16(value[i]));
    }
    d.out = KERNEL_U8;
    d.y = u;
    if (table->types & 1u << KERNEL_U8) {
        table->depthwise(&d);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(u[i], number_to_u8(value[i], d.y_scale, d.y_zero));
    }
    aligned_free(b);
    aligned_free(u);
}

static void depthwise_of(const struct kernel_table *table, const struct kernel_table *ref)
{
    struct kernel_depthwise d = random_depthwise();
    const size_t n = (size_t)d.out_h * (size_t)d.out_w * (size_t)d.c;
    float *x = random_floats((size_t)(d.h * d.w * d.c), 2), *w = random_floats((size_t)(d.kernel_h * d.kernel_w * d.c), 1);
    float *bias = random_floats((size_t)d.c, 1), *y = guarded(n), *right = guarded(n), *parts = guarded(n);

    d.x = x;
    d.weights = w;
    d.bias = below(3) ? bias : NULL;
    d.y = right;
    ref->depthwise(&d);
    d.y = y;
    d.scratch = aligned_new(table->depthwise_scratch(&d) * sizeof(float) + 1);
    assert_non_null(d.scratch);
    table->depthwise(&d);
    close_to(y, right, n, 1e-5, "depthwise");
    guards_hold(y, n);
    d.y = parts;
    depthwise_cut(table, &d);
    assert_memory_equal(y, parts, n * sizeof *y);
    depthwise_types(table, d, y, n);
    aligned_free(d.scratch);
    aligned_free(x);
    aligned_free(w);
    aligned_free(bias);
    guarded_free(y);
    guarded_free(right);
    guarded_free(parts);
}

static void depthwise_matches(void **state)
{
    const struct kernel_table *table;

    (void)state;
    rng = random_stream(SEED, 0);
    print_message("seed %u\n", SEED);
    for (int t = 0; t < 2; t++)
        if ((table = vector_table(t)) != NULL)
            for (int i = 0; i < 400; i++)
                depthwise_of(table, kernels_get(KERNEL_REF));
}

/* ---- patches --------------------------------------------------------------------------------------------------- */

/* Exact integers: the same as the reference below `stop`, and never under it where the reference is not. */
static void one_patch(const struct kernel_table *table, const uint8_t *a, const uint8_t *b, ptrdiff_t row,
                      const uint8_t *counts)
{
    const uint32_t right = kernels_get(KERNEL_REF)->patch_distance(a, b, row, counts, UINT32_MAX);
    const uint32_t stops[] = {UINT32_MAX, right + 1, right, right / 2, 1, 0};

    for (int i = 0; i < COUNT(stops); i++) {
        const uint32_t got = table->patch_distance(a, b, row, counts, stops[i]);
        if (right < stops[i] ? got != right : got < stops[i] || got > right)
            fail_msg("%s: %u, not %u, with stop %u", table->name, got, right, stops[i]);
    }
}

static void patches_match(void **state)
{
    enum { ROW = 4 * (KERNEL_PATCH + 2), SIZE = KERNEL_PATCH * ROW };
    uint8_t a[SIZE + 4], b[SIZE + 4], counts[SIZE + 4];
    const struct kernel_table *table;

    (void)state;
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < SIZE + 4; i++) {
            a[i] = (uint8_t)(round == 0 ? 255 : below(256));
            b[i] = (uint8_t)(round == 0 ? 0 : round % 3 ? a[i] + below(9) : below(256));
            counts[i] = below(2) ? 255 : 0;
        }
        for (int i = 0; (table = vector_table(i)) != NULL; i++) {
            one_patch(table, a, b, ROW, NULL);
            one_patch(table, a, b, ROW, counts);
        }
    }
}

/* The same bits, at the ends of a picture too, where columns beyond its sides are the next row's. */
static void votes_match(void **state)
{
    enum { H = 9, W = 11, N = H * W };
    uint8_t pixels[4 * N];
    uint32_t field[N];
    float weight[N], right[5], got[5];
    const struct kernel_table *table;

    (void)state;
    for (int round = 0; round < 50; round++) {
        for (int i = 0; i < 4 * N; i++)
            pixels[i] = (uint8_t)(round == 0 ? 255 : below(256));
        for (int i = 0; i < N; i++) {
            bool whole = i % W >= 3 && i % W < W - 3 && i / W >= 3 && i / W < H - 3;
            field[i] = (uint32_t)(whole ? (3 + (int)below(3)) * W + 3 + (int)below(5) : i);
            weight[i] = whole ? (float)below(1000000) / 3000 : 0;
        }
        for (size_t at = 0; at < N; at++) {
            int y = (int)at / W, first = y < 6 ? 3 - y : -3, last = y > H - 7 ? H - 4 - y : 3;
            if (first > 3 || last < -3)
                continue;
            kernels_get(KERNEL_REF)->patch_votes(pixels, field, weight, at, W, first, last, right);
            for (int i = 0; (table = vector_table(i)) != NULL; i++) {
                table->patch_votes(pixels, field, weight, at, W, first, last, got);
                assert_memory_equal(got, right, sizeof got);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exponentials_are_accurate), cmocka_unit_test(activations_at_the_ends),
        cmocka_unit_test(elements_match),            cmocka_unit_test(softmax_is_finite),
        cmocka_unit_test(softmax_rows_match),        cmocka_unit_test(softmax_leaves_no_denormals),
        cmocka_unit_test(conversions_match),         cmocka_unit_test(pools_match),
        cmocka_unit_test(depthwise_matches),         cmocka_unit_test(patches_match),
        cmocka_unit_test(votes_match),               cmocka_unit_test(rounding_matches),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
