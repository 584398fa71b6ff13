/* The matrix product of every table and type against a reference in double: sizes below, at, above and multiples of
 * the tiles, segments in place and overlapping, residuals, ranges of rows and panels, guard zones around the output. */
#include "test.h"

#include <math.h>

#include "core/base/aligned.h"
#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/kernels/number.h"

#define SEED 20240611u
#define CASES 400
#define POISON 0x7b /* a byte no result is made of */

static struct random_stream rng;

static int pick(const int *list, int count) { return list[random_below(&rng, (uint32_t)count)]; }

static const int M_SIZES[] = {1, 1, 2, 3, 5, 6, 7, 8, 12, 13, 14, 15, 16, 27, 28, 29, 42, 49, 56, 65, 196};
static const int N_SIZES[] = {1, 2, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32, 33, 40, 47, 48, 56, 63, 64, 65, 72, 96, 130};
static const int K_SIZES[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 27, 31, 32, 33, 63, 64, 65, 96, 144, 257};
#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

struct gemm_case {
    const struct kernel_table *table;
    enum kernel_type type, out;
    int m, n, segments, segment_k;
    ptrdiff_t a_row, a_segment, c_row, residual_row;
    struct kernel_epilogue epilogue;
    bool residual, in_place_residual, bias;
    float a_scale, c_scale;
    int a_zero, c_zero;
    size_t a_size, c_size;
    /* made by setup */
    float *w, *b;
    void *a, *c, *r;
    float *scratch;
    struct kernel_weights weights;
};

static float value(enum kernel_type type, const void *p, ptrdiff_t i)
{
    if (type == KERNEL_F32)
        return ((const float *)p)[i];
    if (type == KERNEL_BF16)
        return number_from_bf16(((const uint16_t *)p)[i]);
    return ((const uint8_t *)p)[i];
}

static size_t width(enum kernel_type type) { return type == KERNEL_F32 ? 4 : type == KERNEL_BF16 ? 2 : 1; }

static void *random_block_of(enum kernel_type type, size_t n)
{
    unsigned char *block = aligned_new(n * width(type));
    assert_non_null(block);
    for (size_t i = 0; i < n; i++) {
        float v = (float)(random_unit(&rng) * 4 - 2);
        uint16_t h = number_to_bf16(v);
        if (type == KERNEL_F32)
            memcpy(block + 4 * i, &v, 4);
        else if (type == KERNEL_BF16)
            memcpy(block + 2 * i, &h, 2);
        else
            block[i] = (unsigned char)(random_below(&rng, 4) == 0 ? 255 : random_below(&rng, 256));
    }
    return block;
}

static struct kernel_epilogue random_epilogue(void)
{
    static const struct kernel_epilogue list[] = {
        {KERNEL_CLAMP, -INFINITY, INFINITY}, {KERNEL_CLAMP, 0, 6}, {KERNEL_CLAMP, 0, INFINITY}, {KERNEL_SIGMOID, 0, 0},
        {KERNEL_SILU, 0, 0}, {KERNEL_HARD_SIGMOID, 0.2f, 0.5f}, {KERNEL_HARD_SWISH, 0, 0}, {KERNEL_LEAKY_RELU, 0.1f, 0},
        {KERNEL_GELU, 0, 0}, {KERNEL_GELU_TANH, 0, 0}, {KERNEL_TANH, 0, 0}};
    return list[random_below(&rng, 16) % COUNT(list)];
}

static struct gemm_case random_case(const struct kernel_table *table, enum kernel_type type)
{
    struct gemm_case t = {.table = table, .type = type, .out = KERNEL_F32};

    t.m = pick(M_SIZES, COUNT(M_SIZES));
    t.n = pick(N_SIZES, COUNT(N_SIZES));
    t.segments = random_below(&rng, 3) == 0 ? 3 : 1;
    t.segment_k = pick(K_SIZES, COUNT(K_SIZES));
    if (random_below(&rng, 40) == 0) {
        t.segment_k = 700 + (int)random_below(&rng, 1300);
        t.m = 1 + (int)random_below(&rng, 15);
    }
    t.a_row = t.segment_k + (int)random_below(&rng, 2) * 5;
    if (t.segments == 3 && random_below(&rng, 2) == 0) /* taps of neighbours overlap */
        t.a_row = (t.segment_k + 2) / 3;
    if (t.segments == 1 && random_below(&rng, 12) == 0) /* rows that share a set of a cache */
        t.a_row = 4096 / (int)width(type) * (1 + (int)random_below(&rng, 2));
    if (t.a_row < t.segment_k && t.segments == 1)
        t.a_row = t.segment_k;
    t.a_segment = t.a_row * t.m + t.segment_k;
    t.c_row = t.n + (int)random_below(&rng, 2) * 7;
    t.residual = random_below(&rng, 3) == 0;
    t.in_place_residual = t.residual && random_below(&rng, 2) == 0;
    t.residual_row = t.in_place_residual ? t.c_row : t.n + (int)random_below(&rng, 2) * 3;
    t.bias = random_below(&rng, 4) != 0;
    t.epilogue = random_epilogue();
    if (type != KERNEL_F32 && random_below(&rng, 2) == 0)
        t.out = type;
    t.a_scale = 0.02f;
    t.a_zero = (int)random_below(&rng, 2) * 117;
    t.c_scale = 0.05f;
    t.c_zero = (int)random_below(&rng, 2) * 60;
    t.a_size = (size_t)((t.segments - 1) * t.a_segment + (t.m - 1) * t.a_row + t.segment_k);
    t.c_size = (size_t)((t.m - 1) * t.c_row + t.n);
    return t;
}

static struct kernel_gemm call_of(const struct gemm_case *t)
{
    return (struct kernel_gemm){.weights = &t->weights, .a = t->a, .a_row = t->a_row, .a_segment = t->a_segment,
                                .m = t->m, .c = t->c, .c_row = t->c_row, .residual = t->residual ? t->r : NULL,
                                .residual_row = t->residual_row, .out = t->out, .panel0 = 0,
                                .panel1 = t->weights.panels, .epilogue = t->epilogue, .a_scale = t->a_scale,
                                .a_zero = t->a_zero, .c_scale = t->c_scale, .c_zero = t->c_zero,
                                .scratch = t->scratch};
}

/* Weights that int8 holds exactly: whole multiples of 1/64, the largest 127 of them, so that no rounding is in doubt. */
static void onto_grid(float *w, size_t n, size_t k)
{
    for (size_t i = 0; i < n * k; i++)
        w[i] = i % k == 0 ? 127 / 64.0f : nearbyintf(w[i] * 63) / 64;
}

/* Such weights whose pairs add up to 128 of them, or -128: as much as 16 bits hold of their products with u8. */
static void onto_pairs(float *w, size_t n, size_t k)
{
    for (size_t i = 0; i < n * k; i++) {
        const float sign = random_below(&rng, 2) == 0 ? 1 : -1, first = 1 + (float)random_below(&rng, 127);
        w[i] = sign * first / 64;
        if (i % k + 1 < k && i % k % 2 == 0)
            w[++i] = sign * (128 - first) / 64;
    }
}

/* The same weights handed over as the integers that they are. */
static enum infomask_status pack_grid(struct gemm_case *t, size_t k, struct infomask_error *err)
{
    size_t count = (size_t)t->n * k;
    int8_t *w = aligned_new(count);
    float *scale = aligned_new((size_t)t->n * sizeof *scale);
    enum infomask_status status;

    assert_non_null(w);
    assert_non_null(scale);
    if (random_below(&rng, 2) == 0)
        onto_pairs(t->w, (size_t)t->n, k);
    for (size_t i = 0; i < count; i++)
        w[i] = (int8_t)(t->w[i] * 64);
    for (int j = 0; j < t->n; j++)
        scale[j] = 1 / 64.0f;
    status = t->table->pack_s8(&t->weights,
                               &(struct kernel_matrix){.s8 = w, .scale = scale, .bias = t->bias ? t->b : NULL,
                                                       .segments = t->segments, .segment_k = t->segment_k, .n = t->n},
                               err);
    aligned_free(w);
    aligned_free(scale);
    return status;
}

static void setup(struct gemm_case *t)
{
    size_t k = (size_t)t->segments * (size_t)t->segment_k;
    struct infomask_error err = {0};
    struct kernel_gemm call;

    t->w = random_block_of(KERNEL_F32, (size_t)t->n * k);
    if (t->type == KERNEL_U8)
        onto_grid(t->w, (size_t)t->n, k);
    t->b = random_block_of(KERNEL_F32, (size_t)t->n);
    t->a = random_block_of(t->type, t->a_size);
    t->r = random_block_of(t->out, t->c_size > (size_t)(t->residual_row * t->m) ? t->c_size
                                                                                : (size_t)(t->residual_row * t->m));
    if (t->type == KERNEL_U8 && random_below(&rng, 2) == 0)
        assert_int_equal(pack_grid(t, k, &err), INFOMASK_OK);
    else
        assert_int_equal(t->table->pack(&t->weights,
                                        &(struct kernel_matrix){.type = t->type, .w = t->w,
                                                                .bias = t->bias ? t->b : NULL, .segments = t->segments,
                                                                .segment_k = t->segment_k, .n = t->n},
                                        &err),
                         INFOMASK_OK);
    assert_int_equal((t->weights.panels - 1) * t->weights.panel_columns < t->n, 1);
    call = call_of(t);
    t->scratch = aligned_new(t->table->gemm_scratch(&call) * 4);
    t->c = aligned_new((t->c_size + 32) * width(t->out));
    assert_non_null(t->c);
}

static void teardown(struct gemm_case *t)
{
    aligned_free(t->w);
    aligned_free(t->b);
    aligned_free(t->a);
    aligned_free(t->r);
    aligned_free(t->c);
    aligned_free(t->scratch);
    kernel_weights_fini(&t->weights);
}

static void poison(const struct gemm_case *t)
{
    memset(t->c, POISON, (t->c_size + 32) * width(t->out));
    for (int i = 0; t->in_place_residual && i < t->m; i++)
        memcpy((char *)t->c + (size_t)(i * t->c_row) * width(t->out),
               (char *)t->r + (size_t)(i * t->residual_row) * width(t->out), (size_t)t->n * width(t->out));
}

/* Sum of products and of their magnitudes. */
static double sum_of(const struct gemm_case *t, int i, int j, double *magnitude)
{
    double sum = t->bias ? (double)t->b[j] : 0;
    const float *w = t->w + (size_t)j * (size_t)(t->segments * t->segment_k);

    *magnitude = fabs(sum);
    for (int s = 0; s < t->segments; s++) {
        for (int k = 0; k < t->segment_k; k++, w++) {
            double a = (double)value(t->type, t->a, i * t->a_row + s * t->a_segment + k), v = (double)*w;
            if (t->type == KERNEL_BF16)
                v = (double)number_from_bf16(number_to_bf16(*w));
            if (t->type == KERNEL_U8) {
                double scale = (double)t->weights.scale[j];
                v = nearbyint(v / scale) * scale;
                a = (double)t->a_scale * (a - t->a_zero);
            }
            sum += a * v;
            *magnitude += fabs(a * v);
        }
    }
    return sum;
}

static double activated(double x, const struct kernel_epilogue *e)
{
    switch (e->activation) {
    case KERNEL_SIGMOID:
        return 1 / (1 + exp(-x));
    case KERNEL_SILU:
        return x / (1 + exp(-x));
    case KERNEL_HARD_SIGMOID:
        return fmin(fmax((double)e->low * x + (double)e->high, 0), 1);
    case KERNEL_HARD_SWISH:
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case KERNEL_LEAKY_RELU:
        return x < 0 ? (double)e->low * x : x;
    case KERNEL_GELU:
        return x * erfc(-x * sqrt(.5)) / 2;
    case KERNEL_GELU_TANH:
        return x * (1 + tanh(sqrt(2 / 3.14159265358979323846) * (x + 0.044715 * x * x * x))) / 2;
    case KERNEL_TANH:
        return tanh(x);
    case KERNEL_CLAMP:
        break;
    }
    return fmin(fmax(x, (double)e->low), (double)e->high);
}

static void compare(const struct gemm_case *t)
{
    for (int i = 0; i < t->m; i++) {
        for (int j = 0; j < t->n; j++) {
            double magnitude, want = sum_of(t, i, j, &magnitude), got, tolerance;
            if (t->residual) {
                double r = (double)value(t->out, t->r, i * t->residual_row + j);
                r = t->out == KERNEL_U8 ? (double)t->c_scale * (r - t->c_zero) : r;
                want += r;
                magnitude += fabs(r);
            }
            want = activated(want, &t->epilogue);
            got = (double)value(t->out, t->c, i * t->c_row + j);
            tolerance = 1e-6 + 3e-6 * magnitude;
            if (t->out == KERNEL_BF16)
                tolerance += fabs(want) / 250;
            if (t->out == KERNEL_U8) {
                got = (double)t->c_scale * (got - t->c_zero);
                want = fmin(fmax(want, (double)t->c_scale * (0 - t->c_zero)), (double)t->c_scale * (255 - t->c_zero));
                tolerance += (double)t->c_scale * 0.51;
            }
            if (!(fabs(got - want) <= tolerance))
                fail_msg("%s type %d->%d m %d n %d k %dx%d at (%d, %d): %.9g, not %.9g", t->table->name, t->type, t->out,
                         t->m, t->n, t->segments, t->segment_k, i, j, got, want);
        }
    }
}

static void guards_hold(const struct gemm_case *t)
{
    const unsigned char *c = t->c;
    size_t size = width(t->out);

    for (int i = 0; i < t->m; i++) {
        size_t from = (size_t)(i * t->c_row + t->n) * size;
        size_t to = i + 1 < t->m ? (size_t)((i + 1) * t->c_row) * size : (t->c_size + 32) * size;
        for (size_t at = from; at < to; at++)
            if (c[at] != POISON)
                fail_msg("%s wrote behind row %d of m %d n %d", t->table->name, i, t->m, t->n);
    }
}

/* The same product cut into two ranges of rows and two of panels. */
static void run_in_parts(const struct gemm_case *t)
{
    int cut = (int)random_below(&rng, (uint32_t)t->m + 1);
    int panel = (int)random_below(&rng, (uint32_t)t->weights.panels + 1);

    for (int part = 0; part < 4; part++) {
        struct kernel_gemm g = call_of(t);
        int first = part & 1 ? cut : 0;
        g.m = (part & 1 ? t->m : cut) - first;
        g.panel0 = part & 2 ? panel : 0;
        g.panel1 = part & 2 ? t->weights.panels : panel;
        g.a = (const char *)g.a + (size_t)(first * t->a_row) * width(t->type);
        g.c = (char *)g.c + (size_t)(first * t->c_row) * width(t->out);
        if (t->residual)
            g.residual = (const char *)g.residual + (size_t)(first * t->residual_row) * width(t->out);
        if (t->in_place_residual)
            g.residual = g.c;
        t->table->gemm(&g);
    }
}

static void one_case(const struct kernel_table *table, enum kernel_type type)
{
    struct gemm_case t = random_case(table, type);
    struct kernel_gemm g;
    void *whole;

    setup(&t);
    g = call_of(&t);
    if (t.in_place_residual)
        g.residual = t.c;
    poison(&t);
    table->gemm(&g);
    compare(&t);
    guards_hold(&t);
    whole = aligned_new(t.c_size * width(t.out));
    memcpy(whole, t.c, t.c_size * width(t.out));
    poison(&t);
    run_in_parts(&t);
    compare(&t);
    guards_hold(&t);
    if (table->gemm != kernels_get(KERNEL_BLAS)->gemm) /* OpenBLAS goes by size */
        for (int i = 0; i < t.m; i++)
            assert_memory_equal((char *)whole + (size_t)(i * t.c_row) * width(t.out),
                                (char *)t.c + (size_t)(i * t.c_row) * width(t.out), (size_t)t.n * width(t.out));
    aligned_free(whole);
    teardown(&t);
}

/* Weights times a factor an input are the weights of a product of that. */
static void inputs_are_scaled(void **state)
{
    (void)state;
    rng = random_stream(SEED, 50);
    for (int i = 0; i < 20 * KERNEL_ISAS; i++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)(i % KERNEL_ISAS));
        struct kernel_weights scaled;
        struct gemm_case t;
        struct kernel_gemm g;
        float *factor;
        void *memory;

        if (table == NULL)
            continue;
        do
            t = random_case(table, KERNEL_F32);
        while (t.segments > 1 || t.residual);
        setup(&t);
        factor = random_block_of(KERNEL_F32, (size_t)t.segment_k);
        memory = aligned_new(t.weights.bytes);
        assert_non_null(memory);
        table->scale_inputs(&t.weights, factor, &scaled, memory);
        for (int at = 0; at < t.n * t.segment_k; at++)
            t.w[at] *= factor[at % t.segment_k];
        poison(&t);
        g = call_of(&t);
        g.weights = &scaled;
        table->gemm(&g);
        compare(&t);
        guards_hold(&t);
        aligned_free(memory);
        aligned_free(factor);
        teardown(&t);
    }
}

static const struct kernel_epilogue no_epilogue = {KERNEL_CLAMP, -INFINITY, INFINITY};

/* Row by row the bits of the passes that it stands for. */
static void one_then(const struct kernel_table *table, enum kernel_type type)
{
    struct gemm_case t = random_case(table, type);
    float *scale = random_block_of(KERNEL_F32, (size_t)t.n), *shift = random_block_of(KERNEL_F32, (size_t)t.n);
    int row = t.n + (int)random_below(&rng, 3);
    float *addend = random_block_of(KERNEL_F32, (size_t)(t.m * row)), *want;
    const struct kernel_rounding rounding = {.03f, 1 / .03f, -20, 60}, first = {.01f, 1 / .01f, -90, 165};
    struct kernel_then then = {.scale = scale, .shift = shift, .addend = addend, .addend_row = row,
                               .rounding = random_below(&rng, 2) ? &rounding : NULL,
                               .first = random_below(&rng, 2) ? &first : NULL};
    struct kernel_gemm g;

    t.out = KERNEL_F32;
    if (random_below(&rng, 3) == 0)
        then.scale = then.shift = NULL;
    else if (random_below(&rng, 2) == 0)
        then.addend = NULL;
    t.in_place_residual = false;
    setup(&t);
    g = call_of(&t);
    poison(&t);
    table->gemm(&g);
    want = aligned_new(t.c_size * sizeof *want);
    memcpy(want, t.c, t.c_size * sizeof *want);
    for (int i = 0; i < t.m; i++) {
        float *to = want + i * t.c_row;
        if (then.first != NULL)
            table->round(to, to, (size_t)t.n, &first);
        if (then.scale != NULL)
            table->scale_shift(to, scale, shift, to, 1, t.n, &no_epilogue);
        if (then.addend != NULL)
            table->add(to, addend + i * row, to, (size_t)t.n, &no_epilogue);
        if (then.rounding != NULL)
            table->round(to, to, (size_t)t.n, &rounding);
    }
    g.then = &then;
    poison(&t);
    table->gemm(&g);
    guards_hold(&t);
    for (int i = 0; i < t.m; i++)
        assert_memory_equal(want + i * t.c_row, (float *)t.c + i * t.c_row, (size_t)t.n * sizeof *want);
    aligned_free(want);
    aligned_free(scale);
    aligned_free(shift);
    aligned_free(addend);
    teardown(&t);
}

static void what_comes_behind_the_activation(void **state)
{
    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        rng = random_stream(SEED, 7);
        for (int i = 0; table != NULL && i < CASES; i++) {
            enum kernel_type type = i % 2 == 0 ? KERNEL_F32 : KERNEL_U8;
            if ((table->types & table->then & 1u << type) != 0)
                one_then(table, type);
        }
    }
}

/* The same where what is added and what comes out are bytes: those whose multiples the float32 are. */
static void one_then_of_bytes(const struct kernel_table *table)
{
    struct gemm_case t = random_case(table, random_below(&rng, 4) == 0 ? KERNEL_F32 : KERNEL_U8);
    int row = t.n + (int)random_below(&rng, 3), zero = 20;
    uint8_t *bytes = random_block_of(KERNEL_U8, (size_t)(t.m * row)), *out;
    float *addend = aligned_new((size_t)(t.m * row) * sizeof *addend);
    const struct kernel_rounding rounding = {.03f, 1 / .03f, -20, 235}, first = {.01f, 1 / .01f, -90, 165};
    struct kernel_then then = {.addend = random_below(&rng, 3) ? addend : NULL, .addend_row = row, .rounding = &rounding};
    struct kernel_gemm g;

    assert_non_null(addend);
    for (int i = 0; i < t.m * row; i++)
        addend[i] = .02f * (float)(bytes[i] - 117);
    t.out = KERNEL_F32;
    t.residual = t.in_place_residual = false;
    if (random_below(&rng, 2) == 0)
        t.epilogue = no_epilogue;
    if (random_below(&rng, 2) == 0)
        then.first = &first;
    setup(&t);
    g = call_of(&t);
    g.then = &then;
    poison(&t);
    table->gemm(&g);
    out = aligned_new(t.c_size);
    assert_non_null(out);
    memset(out, POISON, t.c_size);
    g.c = out;
    g.out = KERNEL_U8;
    g.c_scale = rounding.scale;
    g.c_zero = zero;
    if (then.addend != NULL && random_below(&rng, 4) != 0) {
        then.addend = bytes;
        then.addend_type = KERNEL_U8;
        then.addend_scale = .02f;
        then.addend_zero = 117;
    }
    table->gemm(&g);
    for (ptrdiff_t i = 0; i < (ptrdiff_t)t.c_size; i++)
        if (i % t.c_row < t.n)
            assert_true(((const float *)t.c)[i] == rounding.scale * (float)(out[i] - zero));
        else
            assert_int_equal(out[i], POISON);
    aligned_free(out);
    aligned_free(bytes);
    aligned_free(addend);
    teardown(&t);
}

static void bytes_come_behind_the_activation(void **state)
{
    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        rng = random_stream(SEED, 8);
        for (int i = 0; table != NULL && (table->types & table->then & 1u << KERNEL_U8) != 0 && i < CASES; i++)
            one_then_of_bytes(table);
    }
}

static void every_table_and_type(void **state)
{
    (void)state;
    print_message("seed %u\n", SEED);
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        for (int type = KERNEL_F32; table != NULL && type <= KERNEL_U8; type++) {
            if (!(table->types >> type & 1))
                continue;
            rng = random_stream(SEED, (uint64_t)type);
            for (int i = 0; i < CASES; i++)
                one_case(table, (enum kernel_type)type);
        }
    }
}

/* What BLAS calls beta = 0, transposes and leading dimensions. */
static void sgemm_matches(void **state)
{
    enum { M = 13, N = 9, K = 21, LD = 25 };
    float a[LD * LD], b[LD * LD], c[M * LD];
    (void)state;
    rng = random_stream(SEED, 99);
    for (int i = 0; i < LD * LD; i++) {
        a[i] = (float)random_unit(&rng) - 0.5f;
        b[i] = (float)random_unit(&rng) - 0.5f;
    }
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        for (int flags = 0; table != NULL && flags < 8; flags++) {
            bool ta = flags & 1, tb = flags & 2, accumulate = flags & 4;
            for (int i = 0; i < M * LD; i++)
                c[i] = accumulate ? 1 : NAN;
            table->sgemm(ta, tb, M, N, K, 0.5f, a, LD, b, LD, accumulate ? 2 : 0, c, LD);
            for (int i = 0; i < M; i++) {
                for (int j = 0; j < N; j++) {
                    double sum = 0;
                    for (int k = 0; k < K; k++)
                        sum += (double)(ta ? a[k * LD + i] : a[i * LD + k]) * (double)(tb ? b[j * LD + k] : b[k * LD + j]);
                    assert_true(fabs((double)c[i * LD + j] - (sum / 2 + (accumulate ? 2 : 0))) < 1e-5);
                }
                assert_true(accumulate ? c[i * LD + N] == 1 : isnan(c[i * LD + N]));
            }
        }
    }
}

/* With L^-1 from a: L^-1 a L^-T is the identity; what is not positive definite is refused. */
static void inverse_cholesky_inverts(void **state)
{
    enum { N = 37 };
    double b[N * N], a[N * N], l[N * N];
    (void)state;
    rng = random_stream(SEED, 7);
    for (int i = 0; i < N * N; i++)
        b[i] = random_unit(&rng) - 0.5;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            double sum = i == j ? 0.1 : 0;
            for (int k = 0; k < N; k++)
                sum += b[i * N + k] * b[j * N + k];
            a[i * N + j] = sum;
            l[i * N + j] = j <= i ? sum : NAN; /* not to be read */
        }
    assert_true(kernels_inverse_cholesky(l, N));
    for (int i = 0; i < N; i++)
        for (int j = 0; j <= i; j++) {
            double sum = 0;
            for (int p = 0; p <= i; p++)
                for (int q = 0; q <= j; q++)
                    sum += l[i * N + p] * a[p * N + q] * l[j * N + q];
            assert_true(fabs(sum - (i == j)) < 1e-9);
        }
    a[0] = -1;
    assert_false(kernels_inverse_cholesky(a, N));
}

static void names_are_checked(void **state)
{
    const struct kernel_table *table = NULL;
    struct infomask_error err = {0};
    (void)state;
    assert_int_equal(kernels_named("ref", &table, NULL), INFOMASK_OK);
    assert_ptr_equal(table, kernels_get(KERNEL_REF));
    assert_string_equal(table->name, "ref");
    assert_int_equal(kernels_named("sse", &table, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "sse"));
    assert_non_null(kernels_best());
    assert_null(kernels_get(KERNEL_ISAS));
    kernel_weights_fini(NULL);
}

/* OpenBLAS is corrected only where it took a processor that it does not know for its oldest. */
static void core_types_are_corrected(void **state)
{
    const struct cpu_features old = {0}, wide = {.avx2_fma = true}, wider = {.avx2_fma = true, .avx512 = true};

    (void)state;
    assert_null(kernels_better_core_type("Prescott", &old));
    assert_string_equal(kernels_better_core_type("Prescott", &wide), "Haswell");
    assert_string_equal(kernels_better_core_type("Prescott", &wider), "SkylakeX");
    assert_null(kernels_better_core_type("Zen", &wide));
    assert_null(kernels_better_core_type("Haswell", &wider));
    assert_true(strlen(kernels_core_type()) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_checked), cmocka_unit_test(sgemm_matches),
                                       cmocka_unit_test(inverse_cholesky_inverts),
                                       cmocka_unit_test(inputs_are_scaled),
                                       cmocka_unit_test(core_types_are_corrected),
                                       cmocka_unit_test(every_table_and_type), cmocka_unit_test(what_comes_behind_the_activation),
                                       cmocka_unit_test(bytes_come_behind_the_activation)};
    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
