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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(transforms_match)};
    rng = random_stream(SEED, 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
