/* Speed of the compute kernels, and what share of this core's peak that is.
 *
 *     kernels [ref|blas|neon|avx2|avx512|amx]     (default: the best of this processor)
 *
 * One thread, CPU time; each figure is the minimum over short runs, taken in turn with those it is compared with.  The
 * peak is a loop of multiply-adds on registers, measured again beside each shape, so that a processor that changes its
 * clock is compared with itself.  The shapes are those of EfficientNet-Lite0 at 224 x 224 and the 3x3 layers of a
 * ResNet. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/aligned.h"
#include "core/kernels/kernels.h"
#include "core/kernels/number.h"

enum { ROUNDS = 15 };
#define SECONDS 1e-3 /* of one run */
#define COUNT(list) ((int)(sizeof(list) / sizeof(list)[0]))

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the peak ---------------------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* Twelve independent sums: more than the latency of a multiply-add times those that start in a cycle. */
#define TWELVE(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
#define FMA_512(i) "vfmadd231ps %%zmm13, %%zmm12, %%zmm" #i "\n\t"
#define FMA_256(i) "vfmadd231ps %%ymm13, %%ymm12, %%ymm" #i "\n\t"
#define USED "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13"

/* Returns the operations of one call, 0 for a set without such a loop. */
static double peak_loop(enum kernel_isa isa)
{
    const int n = 20000;

    if (isa == KERNEL_AVX512 || isa == KERNEL_AMX) {
        __asm__ volatile("vpxord %%zmm12, %%zmm12, %%zmm12\n\tvpxord %%zmm13, %%zmm13, %%zmm13" ::: USED);
        for (int i = 0; i < n; i++)
            __asm__ volatile(TWELVE(FMA_512)::: USED);
        __asm__ volatile("vzeroupper" ::: USED);
        return 2.0 * 16 * 12 * n;
    }
    if (isa == KERNEL_AVX2) {
        __asm__ volatile("vpxor %%ymm12, %%ymm12, %%ymm12\n\tvpxor %%ymm13, %%ymm13, %%ymm13" ::: USED);
        for (int i = 0; i < n; i++)
            __asm__ volatile(TWELVE(FMA_256)::: USED);
        __asm__ volatile("vzeroupper" ::: USED);
        return 2.0 * 8 * 12 * n;
    }
    return 0;
}
#else
static double peak_loop(enum kernel_isa isa)
{
    (void)isa;
    return 0;
}
#endif

/* ---- runs in turn ------------------------------------------------------------------------------------------------ */

struct run {
    void (*call)(const void *what);
    const void *what;
    double operations, seconds; /* of one call; the least seen */
};

static double once(const struct run *run, int calls)
{
    const double start = now();
    for (int i = 0; i < calls; i++)
        run->call(run->what);
    return (now() - start) / calls;
}

/* The least time of each run, and the best rate of the peak loop beside them (GFLOP/s; 0: none). */
static double race(struct run *runs, int count, enum kernel_isa isa)
{
    double peak = 0;

    for (int i = 0; i < count; i++)
        runs[i].seconds = once(&runs[i], 1);
    for (int round = 0; round < ROUNDS; round++) {
        const double start = now(), operations = peak_loop(isa), rate = operations / (now() - start) * 1e-9;
        peak = rate > peak ? rate : peak;
        for (int i = 0; i < count; i++) {
            const double calls = SECONDS / runs[i].seconds, t = once(&runs[i], calls < 1 ? 1 : (int)calls);
            runs[i].seconds = t < runs[i].seconds ? t : runs[i].seconds;
        }
    }
    return peak;
}

static double rate(const struct run *run) { return run->operations / run->seconds * 1e-9; }

static void print_rate(const struct run *run, double peak)
{
    if (peak > 0)
        printf(" %7.1f (%3.0f %%)", rate(run), 100 * rate(run) / peak);
    else
        printf(" %7.1f", rate(run));
}

static void *numbers(enum kernel_type type, size_t n)
{
    static const size_t sizes[] = {[KERNEL_F32] = 4, [KERNEL_BF16] = 2, [KERNEL_U8] = 1};
    char *block = aligned_new(n * sizes[type]);
    unsigned state = 1;

    for (size_t i = 0; block != NULL && i < n; i++) {
        const float value = (float)((state = state * 1664525u + 1013904223u) >> 8) / (1 << 24) - 0.5f;
        const uint16_t narrow = number_to_bf16(value);
        if (type == KERNEL_F32)
            memcpy(block + 4 * i, &value, 4);
        else if (type == KERNEL_BF16)
            memcpy(block + 2 * i, &narrow, 2);
        else
            block[i] = (char)(state >> 24);
    }
    return block;
}

/* ---- 1x1 convolutions -------------------------------------------------------------------------------------------- */

static void call_gemm(const void *what)
{
    const struct kernel_gemm *const *pair = what;
    ((const struct kernel_table *)(const void *)pair[1])->gemm(pair[0]);
}

struct product {
    struct kernel_weights weights;
    struct kernel_gemm gemm;
    const void *pair[2]; /* the call and its table */
};

static bool product_init(struct product *p, const struct kernel_table *table, enum kernel_type type, int m, int k, int n,
                         const float *w)
{
    if (table->pack(&p->weights, &(struct kernel_matrix){.type = type, .w = w, .segments = 1, .segment_k = k, .n = n}, NULL) !=
        INFOMASK_OK)
        return false;
    p->gemm = (struct kernel_gemm){.weights = &p->weights, .a = numbers(type, (size_t)m * (size_t)k), .a_row = k, .m = m,
                                   .c = numbers(KERNEL_F32, (size_t)m * (size_t)n), .c_row = n,
                                   .panel1 = p->weights.panels, .epilogue = {KERNEL_CLAMP, 0, 6}, .a_scale = 0.01f,
                                   .a_zero = 3};
    p->gemm.scratch = aligned_new(table->gemm_scratch(&p->gemm) * sizeof(float));
    p->pair[0] = &p->gemm;
    p->pair[1] = table;
    return p->gemm.a != NULL && p->gemm.c != NULL && p->gemm.scratch != NULL;
}

static void product_fini(struct product *p)
{
    kernel_weights_fini(&p->weights);
    aligned_free((void *)(uintptr_t)p->gemm.a);
    aligned_free(p->gemm.c);
    aligned_free(p->gemm.scratch);
}

/* f32, bf16, int8 of the table and f32 of OpenBLAS; ms: adds what the shape's layers take together. */
static void shape(const struct kernel_table *table, const int *s, double *ms)
{
    const int m = s[0], k = s[1], n = s[2];
    float *w = numbers(KERNEL_F32, (size_t)n * (size_t)k);
    struct product products[4] = {0};
    struct run runs[4];
    int count = 0, column[4];
    double peak;

    for (int i = 0; i < 4; i++) {
        const enum kernel_type type = i < 3 ? (enum kernel_type)i : KERNEL_F32;
        const struct kernel_table *from = i < 3 ? table : kernels_get(KERNEL_BLAS);
        if (w == NULL || !(from->types & 1u << type) || !product_init(&products[i], from, type, m, k, n, w))
            continue;
        column[count] = i;
        runs[count++] = (struct run){call_gemm, products[i].pair, 2.0 * m * k * n, 0};
    }
    peak = race(runs, count, table->isa);
    printf("%6d %5d %5d %2d |", m, k, n, s[3]);
    for (int i = 0; i < count; i++) {
        print_rate(&runs[i], peak * (column[i] == 1 ? 2 : column[i] == 2 ? 4 : 1));
        ms[column[i]] += runs[i].seconds * 1e3 * s[3];
    }
    printf("\n");
    for (int i = 0; i < 4; i++)
        product_fini(&products[i]);
    aligned_free(w);
}

static void shapes(const struct kernel_table *table)
{
    static const int list[][4] = {
        {12544, 32, 16, 1}, {12544, 16, 96, 1}, {3136, 96, 24, 1},  {3136, 24, 144, 2}, {3136, 144, 24, 1},
        {784, 144, 40, 1},  {784, 40, 240, 2},  {784, 240, 40, 1},  {196, 240, 80, 1},  {196, 80, 480, 3},
        {196, 480, 80, 2},  {196, 480, 112, 1}, {196, 112, 672, 3}, {196, 672, 112, 2}, {49, 672, 192, 1},
        {49, 192, 1152, 4}, {49, 1152, 192, 3}, {49, 1152, 320, 1}, {49, 320, 1280, 1}, {1, 1280, 1000, 1}};
    double ms[4] = {0};

    printf("1x1 convolutions, GOP/s (share of peak): M, K, N, times in the network | %s%s%s, OpenBLAS f32\n",
           table->types & 1u << KERNEL_F32 ? "f32" : "", table->types & 1u << KERNEL_BF16 ? ", bf16" : "",
           table->types & 1u << KERNEL_U8 ? ", int8" : "");
    for (int i = 0; i < COUNT(list); i++)
        shape(table, list[i], ms);
    printf("all, ms: f32 %.3f, bf16 %.3f, int8 %.3f, OpenBLAS %.3f\n", ms[0], ms[1], ms[2], ms[3]);
}

/* ---- depthwise convolutions -------------------------------------------------------------------------------------- */

static void call_depthwise(const void *what)
{
    const void *const *pair = what;
    ((const struct kernel_table *)pair[1])->depthwise(pair[0]);
}

static void depthwise(const struct kernel_table *table, int size, int c, int k, int stride, double *us)
{
    const int out = (size + stride - 1) / stride, pad = (k - stride + 1) / 2 > 0 ? (k - stride + (stride == 1)) / 2 : 0;
    const size_t in_size = (size_t)size * (size_t)size * (size_t)c, out_size = (size_t)out * (size_t)out * (size_t)c;
    float *x = numbers(KERNEL_F32, in_size), *y = numbers(KERNEL_F32, out_size);
    float *w = numbers(KERNEL_F32, (size_t)k * (size_t)k * (size_t)c), *bias = numbers(KERNEL_F32, (size_t)c);
    const struct kernel_depthwise d = {.x = x, .h = size, .w = size, .c = c, .y = y, .out_h = out, .out_w = out,
                                       .weights = w, .bias = bias, .kernel_h = k, .kernel_w = k, .stride_h = stride,
                                       .stride_w = stride, .dilation_h = 1, .dilation_w = 1, .pad_top = pad,
                                       .pad_left = pad, .y1 = out, .c1 = c, .epilogue = {KERNEL_CLAMP, 0, 6}};
    const void *pair[2] = {&d, table};
    struct run run = {call_depthwise, pair, 2.0 * k * k * (double)out_size, 0};

    if (x != NULL && y != NULL && w != NULL && bias != NULL) {
        const double peak = race(&run, 1, table->isa);
        printf("%4d to %3d, %4d, %d x %d |", size, out, c, k, k);
        print_rate(&run, peak);
        printf(" %7.1f us\n", run.seconds * 1e6);
        *us += run.seconds * 1e6;
    }
    aligned_free(x);
    aligned_free(y);
    aligned_free(w);
    aligned_free(bias);
}

static void depthwises(const struct kernel_table *table)
{
    static const int list[][4] = {{112, 32, 3, 1},  {112, 96, 3, 2}, {56, 144, 3, 1}, {56, 144, 5, 2}, {28, 240, 5, 1},
                                  {28, 240, 3, 2},  {14, 480, 3, 1}, {14, 480, 5, 1}, {14, 672, 5, 1}, {14, 672, 5, 2},
                                  {7, 1152, 5, 1},  {7, 1152, 3, 1}, {14, 512, 3, 1}, {7, 1024, 3, 1}, {56, 96, 7, 1}};
    double us = 0;

    printf("depthwise convolutions, GFLOP/s (share of peak; taps outside the picture count): map, channels, kernel\n");
    for (int i = 0; i < COUNT(list); i++)
        depthwise(table, list[i][0], list[i][1], list[i][2], list[i][3], &us);
    printf("all, us: %.1f\n", us);
}

int main(int argc, char **argv)
{
    const struct kernel_table *table = kernels_best();
    struct infomask_error err = {0};

    if (argc > 1 && kernels_named(argv[1], &table, &err) != INFOMASK_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    kernels_warm_up();
    printf("%s, one thread\n", table->name);
    shapes(table);
    depthwises(table);
    return 0;
}
