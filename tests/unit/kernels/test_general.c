/* The kernels of general tensors on every table of this processor: norms, turned matrices, and products of two computed
 * operands, all against loops in double written here. */
#include "test.h"

#include <math.h>

#include "core/base/aligned.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "kernels/guarded.h"

static struct random_stream rng;

static int below(int n) { return (int)random_below(&rng, (uint32_t)n); }

static float *random_floats(size_t n, double from, double to)
{
    float *x = aligned_new(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(from + (to - from) * random_unit(&rng));
    return x;
}

static void each_table(void (*check)(const struct kernel_table *table))
{
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        rng = random_stream(2024, 7);
        if (kernels_get((enum kernel_isa)isa) != NULL)
            check(kernels_get((enum kernel_isa)isa));
    }
}

/* ---- Norms ----------------------------------------------------------------------------------------------------------- */

static double mean_of(const float *x, size_t n, double from, int power)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += pow((double)x[i] - from, power);
    return sum / (double)n;
}

static void one_norm(const struct kernel_table *table, size_t rows, size_t n)
{
    float *x = random_floats(rows * n, 3, 5), *scale = random_floats(n, -2, 2), *bias = random_floats(n, -1, 1);
    float *y = guarded(rows * n);
    struct kernel_norm p = {x, y, below(3) ? scale : NULL, below(3) ? bias : NULL, rows, n, 1e-5f, below(3) != 0};

    table->layer_norm(&p);
    guards_hold(y, rows * n);
    for (size_t r = 0; r < rows; r++) {
        const float *row = x + r * n;
        double mean = p.centred ? mean_of(row, n, 0, 1) : 0, spread = sqrt(mean_of(row, n, mean, 2) + 1e-5);
        for (size_t i = 0; i < n; i++) {
            double right = ((double)row[i] - mean) / spread * (p.scale ? (double)scale[i] : 1) + (p.bias ? (double)bias[i] : 0);
            if (!(fabs((double)y[r * n + i] - right) <= 4e-6 * (1 + 4 / spread)))
                fail_msg("%s: norm of %zu, element %zu: %.8g, not %.8g", table->name, n, i, (double)y[r * n + i], right);
        }
    }
    memcpy(y, x, rows * n * sizeof *y); /* in place: the same */
    p.x = y;
    table->layer_norm(&p);
    p.x = x;
    p.y = x;
    table->layer_norm(&p);
    assert_memory_equal(x, y, rows * n * sizeof *y);
    aligned_free(x);
    aligned_free(scale);
    aligned_free(bias);
    guarded_free(y);
}

static void norms_of(const struct kernel_table *table)
{
    for (size_t n = 1; n < 80; n++)
        one_norm(table, (size_t)(1 + below(5)), n);
    one_norm(table, 3, 768);
    one_norm(table, 2, 4099);
}

static void norms_match(void **state)
{
    (void)state;
    each_table(norms_of);
}

/* ---- Turned matrices ------------------------------------------------------------------------------------------------- */

static void one_turn(const struct kernel_table *table, size_t rows, size_t columns, size_t apart)
{
    size_t x_row = columns + (size_t)below(4), y_row = rows + apart;
    float *x = random_floats(rows * x_row, -1, 1), *y = guarded(columns * y_row);

    for (size_t i = 0; i < columns * y_row; i++)
        y[i] = -7;
    table->transpose(x, (ptrdiff_t)x_row, y, (ptrdiff_t)y_row, rows, columns);
    guards_hold(y, columns * y_row);
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < y_row; r++)
            assert_true(y[c * y_row + r] == (r < rows ? x[r * x_row + c] : -7.0f));
    aligned_free(x);
    guarded_free(y);
}

static void turns_of(const struct kernel_table *table)
{
    for (size_t n = 1; n < 40; n++)
        one_turn(table, n, (size_t)(1 + below(40)), (size_t)below(4));
    for (size_t n = 1; n < 5; n++) {
        one_turn(table, n, 117, (size_t)below(4));
        one_turn(table, 117, n, (size_t)below(4));
    }
    for (size_t n = 1; n < 60; n++) /* shuffled channels: two rows, nothing between them */
        one_turn(table, 2, n, 0);
}

static void turns_match(void **state)
{
    (void)state;
    each_table(turns_of);
}

/* ---- Products of computed operands ----------------------------------------------------------------------------------- */

static void one_product(const struct kernel_table *table, int m, int n, int k)
{
    bool rows = below(2); /* B as [n, k] */
    int apart = (rows ? k : n) + below(5);
    size_t size = (size_t)((rows ? n : k) * apart);
    float *a = random_floats((size_t)(m * k), -1, 1), *b = random_floats(size, -1, 1), *c = guarded((size_t)(m * n));
    struct kernel_operand o = {b, rows ? 1 : apart, rows ? apart : 1, k, n, 0.5f};
    float *memory = guarded(table->operand_bytes(k, n) / sizeof(float));
    struct kernel_weights weights;
    struct kernel_gemm g = {.weights = &weights, .a = a, .a_row = k, .m = m, .c = c, .c_row = n,
                            .epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY}};

    assert_int_equal((uintptr_t)memory % 64, 0);
    table->pack_operand(&weights, &o, memory);
    guards_hold(memory, table->operand_bytes(k, n) / sizeof(float));
    g.panel1 = weights.panels;
    table->gemm(&g);
    guards_hold(c, (size_t)(m * n));
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int l = 0; l < k; l++)
                sum += (double)a[i * k + l] * (double)b[rows ? j * apart + l : l * apart + j] / 2;
            if (!(fabs((double)c[i * n + j] - sum) <= 1e-6 * sqrt(k) * 3))
                fail_msg("%s: %d x %d x %d at %d, %d: %.8g, not %.8g", table->name, m, n, k, i, j, (double)c[i * n + j], sum);
        }
    aligned_free(a);
    aligned_free(b);
    guarded_free(c);
    guarded_free(memory);
}

static void products_of(const struct kernel_table *table)
{
    for (int n = 1; n < 70; n++)
        one_product(table, 1 + below(20), n, 1 + below(40));
    one_product(table, 29, 197, 64);
    one_product(table, 29, 64, 197);
}

static void products_match(void **state)
{
    (void)state;
    each_table(products_of);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(norms_match), cmocka_unit_test(turns_match),
                                       cmocka_unit_test(products_match)};
    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
