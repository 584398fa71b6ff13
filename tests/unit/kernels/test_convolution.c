/* Depthwise and Winograd convolutions of every table against the convolution's definition in double: kernels, strides,
 * dilations, maps below, at and above every tile, 1 to 2,000 channels, outputs poisoned before. */
#include "test.h"

#include <math.h>
#include <string.h>

#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "kernels/guarded.h"

#define SEED 1985u
#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct random_stream rng;

static int between(int low, int high) { return low + (int)random_below(&rng, (uint32_t)(high - low + 1)); }

static int any_channels(void)
{
    static const int channels[] = {1, 2, 3, 7, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 500, 1000, 1999, 2000};
    int largest = between(0, 3) == 0 ? COUNT(channels) : COUNT(channels) - 4;
    return channels[between(0, largest - 1)];
}

static float *random_floats(size_t n, double most)
{
    float *x = guarded(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((2 * random_unit(&rng) - 1) * most);
    return x;
}

static void compare(const struct kernel_table *table, const char *what, const float *got, const double *want, size_t n,
                    double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg("%s, %s: element %zu of %zu is %.9g, not %.9g", table->name, what, i, n, (double)got[i], want[i]);
    guards_hold(got, n);
}

static double clamped(double v, const struct kernel_epilogue *e)
{
    return fmin(fmax(v, (double)e->low), (double)e->high);
}

/* ---- depthwise --------------------------------------------------------------------------------------------------- */

static struct kernel_depthwise any_depthwise(void)
{
    static const int kernels[] = {3, 3, 5, 5, 7, 7, 1, 2, 4, 9, 11, 13};
    struct kernel_depthwise d = {.c = any_channels(), .epilogue = {KERNEL_CLAMP, -1, 1.5f}};

    do {
        d.kernel_h = d.kernel_w = kernels[between(0, COUNT(kernels) - 1)];
        d.stride_h = d.stride_w = between(1, 3);
        d.dilation_h = d.dilation_w = between(0, 2) ? 1 : between(2, 3);
        if (between(0, 3) == 0) { /* a line of taps, or two sizes */
            d.kernel_h = between(0, 1) ? 1 : kernels[between(0, COUNT(kernels) - 1)];
            d.kernel_w = d.kernel_h > 1 && between(0, 1) ? 1 : d.kernel_w;
            d.stride_h = between(1, 3);
            d.dilation_h = between(1, 2);
        }
        d.pad_top = between(0, d.kernel_h - 1);
        d.pad_left = between(0, 1) ? d.kernel_w / 2 : between(0, d.kernel_w - 1); /* centred: tiles of its own */
        d.h = between(1, d.c > 200 ? 9 : 17);
        d.w = between(1, d.c > 200 ? 9 : 33);
        d.out_h = d.h + 2 * d.pad_top - ((d.kernel_h - 1) * d.dilation_h + 1);
        d.out_w = d.w + 2 * d.pad_left - ((d.kernel_w - 1) * d.dilation_w + 1);
    } while (d.out_h < 0 || d.out_w < 0);
    d.out_h = d.y1 = d.out_h / d.stride_h + 1;
    d.out_w = d.out_w / d.stride_w + 1;
    d.c1 = d.c;
    return d;
}

static double depthwise_at(const struct kernel_depthwise *d, int y, int x, int c)
{
    double sum = d->bias == NULL ? 0 : (double)d->bias[c];

    for (int i = 0; i < d->kernel_h; i++)
        for (int j = 0; j < d->kernel_w; j++) {
            int row = y * d->stride_h - d->pad_top + i * d->dilation_h;
            int column = x * d->stride_w - d->pad_left + j * d->dilation_w;
            if (row >= 0 && row < d->h && column >= 0 && column < d->w)
                sum += (double)d->x[(row * d->w + column) * d->c + c] *
                       (double)d->weights[(i * d->kernel_w + j) * d->c + c];
        }
    return clamped(sum, &d->epilogue);
}

static void one_depthwise(void)
{
    struct kernel_depthwise d = any_depthwise();
    size_t n = (size_t)(d.out_h * d.out_w * d.c);
    float *x = random_floats((size_t)(d.h * d.w * d.c), 1), *bias = random_floats((size_t)d.c, 1);
    float *w = random_floats((size_t)(d.kernel_h * d.kernel_w * d.c), 1);
    double *want = malloc(n * sizeof *want);

    assert_non_null(want);
    d.x = x;
    d.weights = w;
    d.bias = between(0, 2) ? bias : NULL;
    for (size_t i = 0; i < n; i++)
        want[i] = depthwise_at(&d, (int)i / d.c / d.out_w, (int)i / d.c % d.out_w, (int)i % d.c);
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        size_t floats = table == NULL ? 0 : table->depthwise_scratch(&d);
        float *y = guarded(n), *scratch = guarded(floats);
        d.y = y;
        for (int with = 0; table != NULL && with < 2; with++) {
            d.scratch = with ? scratch : NULL;
            table->depthwise(&d);
            compare(table, with ? "depthwise with scratch" : "depthwise", y, want, n, 1e-5);
            memset(y, 0xff, n * sizeof *y);
        }
        guards_hold(scratch, floats);
        guarded_free(scratch);
        guarded_free(y);
    }
    free(want);
    guarded_free(x);
    guarded_free(bias);
    guarded_free(w);
}

/* What comes behind the activation has the bits of the passes that it stands for. */
static void one_depthwise_then(const struct kernel_table *table)
{
    static const struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    struct kernel_depthwise d = any_depthwise();
    size_t pixels = (size_t)(d.out_h * d.out_w), n = pixels * (size_t)d.c;
    float *x = random_floats((size_t)(d.h * d.w * d.c), 1), *addend = random_floats(n, 1), *want = guarded(n);
    float *w = random_floats((size_t)(d.kernel_h * d.kernel_w * d.c), 1), *y = guarded(n);
    float *scale = random_floats((size_t)d.c, 2), *shift = random_floats((size_t)d.c, 1);
    const struct kernel_rounding rounding = {.03f, 1 / .03f, -20, 60}, first = {.01f, 1 / .01f, -90, 165};
    struct kernel_then then = {.scale = scale, .shift = shift, .addend = addend, .addend_row = d.c,
                               .rounding = between(0, 1) ? &rounding : NULL, .first = between(0, 1) ? &first : NULL};
    uint8_t *bytes = malloc(n);

    if (between(0, 2) == 0)
        then.scale = then.shift = NULL;
    else if (between(0, 1) == 0)
        then.addend = NULL;
    d.x = x;
    d.weights = w;
    d.y = want;
    d.epilogue.activation = between(0, 1) ? KERNEL_GELU : KERNEL_CLAMP;
    table->depthwise(&d);
    if (then.first != NULL)
        table->round(want, want, n, &first);
    if (then.scale != NULL)
        table->scale_shift(want, scale, shift, want, pixels, d.c, &none);
    if (then.addend != NULL)
        table->add(want, addend, want, n, &none);
    if (then.rounding != NULL)
        table->round(want, want, n, &rounding);
    d.y = y;
    d.then = &then;
    table->depthwise(&d);
    guards_hold(y, n);
    assert_memory_equal(y, want, n * sizeof *y);
    assert_non_null(bytes);
    if (then.rounding != NULL && (table->types & 1u << KERNEL_U8) != 0) {
        d.y = bytes;
        d.out = KERNEL_U8;
        d.y_scale = rounding.scale;
        d.y_zero = 20;
        table->depthwise(&d);
        for (size_t i = 0; i < n; i++)
            assert_true(want[i] == rounding.scale * (float)(bytes[i] - 20));
    }
    free(bytes);
    guarded_free(x);
    guarded_free(addend);
    guarded_free(want);
    guarded_free(w);
    guarded_free(y);
    guarded_free(scale);
    guarded_free(shift);
}

static void what_comes_behind_the_activation(void **state)
{
    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        rng = random_stream(SEED, 3);
        for (int i = 0; table != NULL && table->then && i < 200; i++)
            one_depthwise_then(table);
    }
}

static void depthwise_is_the_convolution(void **state)
{
    (void)state;
    rng = random_stream(SEED, 0);
    print_message("seed %u\n", SEED);
    for (int i = 0; i < 300; i++)
        one_depthwise();
}

/* ---- Winograd ---------------------------------------------------------------------------------------------------- */

static struct kernel_winograd any_winograd(void)
{
    struct kernel_winograd w = {.m = between(0, 1) ? 4 : 2, .c = any_channels(), .n = between(1, 20),
                                .epilogue = {KERNEL_CLAMP, -1, 1.5f}};

    w.h = between(1, w.c > 200 ? 7 : 14);
    w.w = between(1, w.c > 200 ? 7 : 14);
    w.pad_top = between(w.h < 3, 2);
    w.pad_left = between(w.w < 3, 2);
    w.out_h = w.h + 2 * w.pad_top - 2;
    w.out_w = w.w + 2 * w.pad_left - 2;
    w.count = (w.out_h + w.m - 1) / w.m * ((w.out_w + w.m - 1) / w.m);
    w.n1 = w.n;
    w.x_pixel = w.c;
    w.y_pixel = w.n;
    w.v_apart = (ptrdiff_t)w.count * w.c;
    w.products_apart = (ptrdiff_t)w.count * w.n;
    return w;
}

static double dense_at(const struct kernel_winograd *w, const float *g, int y, int x, int n)
{
    double sum = (double)w->bias[n] + (double)w->residual[(y * w->out_w + x) * w->n + n];

    for (int i = 0; i < 9; i++) {
        int row = y - w->pad_top + i / 3, column = x - w->pad_left + i % 3;
        if (row < 0 || row >= w->h || column < 0 || column >= w->w)
            continue;
        for (int c = 0; c < w->c; c++)
            sum += (double)w->x[(row * w->w + column) * w->c + c] * (double)g[(n * w->c + c) * 9 + i];
    }
    return clamped(sum, &w->epilogue);
}

/* G g G^T, element (row, column), from the points 0, 1, -1 (2, -2) and infinity that the transforms are made for. */
static double filter_at(int m, const float *g, int row, int column)
{
    static const double two[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    static const double four[6][3] = {{1. / 4, 0, 0}, {-1. / 6, -1. / 6, -1. / 6}, {-1. / 6, 1. / 6, -1. / 6},
                                      {1. / 24, 1. / 12, 1. / 6}, {1. / 24, -1. / 12, 1. / 6}, {0, 0, 1}};
    const double *a = m == 2 ? two[row] : four[row], *b = m == 2 ? two[column] : four[column];
    double sum = 0;

    for (int i = 0; i < 9; i++)
        sum += a[i / 3] * (double)g[i] * b[i % 3];
    return sum;
}

/* products = v times the transformed filters, summed in double */
static void multiply(const struct kernel_winograd *w, const float *g, float *products)
{
    int side = w->m + 2;
    double *u = malloc((size_t)(w->n * w->c) * sizeof *u);

    assert_non_null(u);
    for (int e = 0; e < side * side; e++) {
        for (int i = 0; i < w->n * w->c; i++)
            u[i] = filter_at(w->m, g + (ptrdiff_t)i * 9, e / side, e % side);
        for (int t = 0; t < w->count; t++)
            for (int n = 0; n < w->n; n++) {
                double sum = 0;
                for (int c = 0; c < w->c; c++)
                    sum += (double)w->v[((ptrdiff_t)e * w->count + t) * w->c + c] * u[n * w->c + c];
                products[((ptrdiff_t)e * w->count + t) * w->n + n] = (float)sum;
            }
    }
    free(u);
}

static void run_winograd(const struct kernel_table *table, struct kernel_winograd w, const float *g, const double *want)
{
    size_t elements = (size_t)((w.m + 2) * (w.m + 2) * w.count), n = (size_t)(w.out_h * w.out_w * w.n);
    float *v = guarded(elements * (size_t)w.c), *products = guarded(elements * (size_t)w.n), *y = guarded(n);

    w.v = v;
    table->winograd_input(&w);
    multiply(&w, g, products);
    w.products = products;
    w.y = y;
    table->winograd_output(&w);
    compare(table, w.m == 2 ? "F(2x2)" : "F(4x4)", y, want, n, 3e-5);
    guarded_free(v);
    guarded_free(products);
    guarded_free(y);
}

static void one_winograd(void)
{
    struct kernel_winograd w = any_winograd();
    size_t n = (size_t)(w.out_h * w.out_w * w.n);
    float *x = random_floats((size_t)(w.h * w.w * w.c), 1), *bias = random_floats((size_t)w.n, 1);
    float *g = random_floats((size_t)(w.n * w.c * 9), 1 / sqrt(w.c)), *residual = random_floats(n, 1);
    double *want = malloc(n * sizeof *want);

    assert_non_null(want);
    w.x = x;
    w.bias = bias;
    w.residual = residual;
    for (size_t i = 0; i < n; i++)
        want[i] = dense_at(&w, g, (int)i / w.n / w.out_w, (int)i / w.n % w.out_w, (int)i % w.n);
    for (int isa = 0; isa < KERNEL_ISAS; isa++)
        if (kernels_get((enum kernel_isa)isa) != NULL)
            run_winograd(kernels_get((enum kernel_isa)isa), w, g, want);
    free(want);
    guarded_free(x);
    guarded_free(bias);
    guarded_free(g);
    guarded_free(residual);
}

static void winograd_is_the_convolution(void **state)
{
    (void)state;
    rng = random_stream(SEED, 1);
    for (int i = 0; i < 120; i++)
        one_winograd();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(depthwise_is_the_convolution), cmocka_unit_test(what_comes_behind_the_activation),
        cmocka_unit_test(winograd_is_the_convolution),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
