/* Winograd's transforms of every table against the reference; the whole convolution against the plain one is a test of
 * the engine. */
#include "test.h"

#include <math.h>

#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "kernels/guarded.h"

#define SEED 2015u

static struct random_stream rng;

static int between(int low, int high) { return low + (int)random_below(&rng, (uint32_t)(high - low + 1)); }

static float *random_floats(size_t n)
{
    float *x = guarded(n);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(2 * random_unit(&rng) - 1);
    return x;
}

/* The same values, and nothing written around them and between. */
static void same(const float *a, const float *b, size_t n, double tolerance, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)a[i] - (double)b[i]) <= tolerance * (1 + fabs((double)b[i]))))
            fail_msg("%s: element %zu of %zu is %.9g, not %.9g", what, i, n, (double)a[i], (double)b[i]);
    guards_hold(a, n);
}

static struct kernel_winograd random_shape(void)
{
    static const int channels[] = {1, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 100};
    struct kernel_winograd w = {.m = between(0, 1) ? 4 : 2, .h = between(1, 15), .w = between(1, 15),
                                .c = channels[between(0, 11)], .n = channels[between(0, 11)],
                                .epilogue = {KERNEL_CLAMP, -1, 1.5f}};
    int tiles;

    w.pad_top = between(w.h < 3, 2);
    w.pad_left = between(w.w < 3, 2);
    w.out_h = w.h + 2 * w.pad_top - 2;
    w.out_w = w.w + 2 * w.pad_left - 2;
    tiles = (w.out_h + w.m - 1) / w.m * ((w.out_w + w.m - 1) / w.m);
    w.first = between(0, tiles - 1);
    w.count = between(1, tiles - w.first);
    w.n1 = w.n;
    w.x_pixel = w.c + between(0, 1) * between(0, 40);
    w.y_pixel = w.n + between(0, 1) * between(0, 40);
    w.v_apart = w.count * w.c + between(0, 20);
    w.products_apart = w.count * w.n + between(0, 20);
    if (between(0, 3) == 0)
        w.epilogue = (struct kernel_epilogue){.activation = KERNEL_SILU};
    return w;
}

static void input_matches(const struct kernel_table *table, struct kernel_winograd w)
{
    size_t n = (size_t)((w.m + 2) * (w.m + 2)) * (size_t)w.v_apart;
    float *got = guarded(n), *want = guarded(n);

    w.x = random_floats((size_t)(w.h * w.w * w.x_pixel));
    w.v = want;
    kernels_get(KERNEL_REF)->winograd_input(&w);
    w.v = got;
    table->winograd_input(&w);
    same(got, want, n, 1e-5, "input transform");
    guarded_free(w.x);
    guarded_free(got);
    guarded_free(want);
}

/* Channels in two parts, as chunks cut them. */
static void output_matches(const struct kernel_table *table, struct kernel_winograd w)
{
    size_t elements = (size_t)((w.m + 2) * (w.m + 2)) * (size_t)w.products_apart;
    size_t n = (size_t)(w.out_h * w.out_w) * (size_t)w.y_pixel;
    float *got = guarded(n), *want = guarded(n);

    w.products = random_floats(elements);
    w.bias = between(0, 1) ? random_floats((size_t)w.n) : NULL;
    w.residual = between(0, 1) ? random_floats(n) : NULL;
    w.y = want;
    kernels_get(KERNEL_REF)->winograd_output(&w);
    w.y = got;
    w.n1 = w.n > 16 ? 16 : w.n;
    table->winograd_output(&w);
    w.n0 = w.n1;
    w.n1 = w.n;
    table->winograd_output(&w);
    same(got, want, n, 2e-5, "output transform");
    guarded_free(w.products);
    if (w.bias != NULL)
        guarded_free(w.bias);
    if (w.residual != NULL)
        guarded_free(w.residual);
    guarded_free(got);
    guarded_free(want);
}

static void transforms_match(void **state)
{
    (void)state;
    print_message("seed %u\n", SEED);
    for (int i = 0; i < 300; i++) {
        struct kernel_winograd w = random_shape();
        for (int isa = KERNEL_BLAS; isa < KERNEL_ISAS; isa++)
            if (kernels_get((enum kernel_isa)isa) != NULL) {
                input_matches(kernels_get((enum kernel_isa)isa), w);
                output_matches(kernels_get((enum kernel_isa)isa), w);
            }
    }
}

/* Element `i` of G g G^T. */
static double transformed(const float *w, int c, int column, int channel, int i)
{
    static const double g[4][3] = {{1, 0, 0}, {.5, .5, .5}, {.5, -.5, .5}, {0, 0, 1}};
    double sum = 0;

    for (int y = 0; y < 3; y++)
        for (int x = 0; x < 3; x++)
            sum += g[i / 4][y] * g[i % 4][x] * (double)w[(column * 9 + 3 * y + x) * c + channel];
    return sum;
}

/* Each channel alone, by a product with a row that has a one there. */
static void panel_matches(const struct kernel_table *table, const struct kernel_weights *u, const float *w, int c, int first)
{
    float *a = calloc((size_t)c, sizeof *a), *y = guarded((size_t)u[0].n);

    assert_non_null(a);
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < c; k++) {
            struct kernel_gemm g = {.weights = &u[i], .a = a, .a_row = c, .m = 1, .c = y, .c_row = u[i].n, .panel1 = 1,
                                    .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};
            a[k] = 1;
            table->gemm(&g);
            a[k] = 0;
            for (int n = 0; n < u[i].n; n++)
                if (fabs((double)y[n] - transformed(w, c, first + n, k, i)) > 1e-6)
                    fail_msg("%s: element %d of column %d, channel %d", table->name, i, first + n, k);
        }
    guards_hold(y, (size_t)u[0].n);
    guarded_free(y);
    free(a);
}

static void filters_match(const struct kernel_table *table, int c, int n)
{
    float *w = random_floats((size_t)(9 * c * n));
    const struct kernel_matrix matrix = {.w = w, .segments = 3, .segment_k = 3 * c, .n = n};
    struct kernel_weights weights = {0}, u[16];
    float *memory;

    assert_int_equal(table->pack(&weights, &matrix, NULL), INFOMASK_OK);
    memory = guarded((size_t)(32 * c * weights.panel_columns));
    for (int panel = 0, first = 0; panel < weights.panels; panel++, first += u[0].n) {
        table->winograd_filters(&weights, panel, u, memory);
        panel_matches(table, u, w, c, first);
        guards_hold(memory, (size_t)(32 * c * weights.panel_columns));
    }
    kernel_weights_fini(&weights);
    guarded_free(memory);
    guarded_free(w);
}

static void filters_are_transformed(void **state)
{
    static const int outputs[] = {16, 17, 31, 32, 48, 63, 64, 75, 100};

    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        for (size_t i = 0; i < sizeof outputs / sizeof *outputs && table != NULL && table->winograd_filters != NULL; i++)
            filters_match(table, between(16, 40), outputs[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transforms_match), cmocka_unit_test(filters_are_transformed)};
    rng = random_stream(SEED, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
