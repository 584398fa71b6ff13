/* The compute kernels: what each one calculates, and the table through which the engine reaches them.
 *
 * Tensors are NHWC: a pixel is C adjacent elements, a row is W pixels.  Any channel count is allowed; kernels handle
 * tails.  Strides are in elements unless a name says bytes.  Kernels write nothing outside the ranges named, may read
 * up to one vector beyond a tensor's last element (aligned_new leaves room), and never allocate.
 * Thread rule: every kernel may run in any number of threads at once on disjoint outputs.
 *
 * Each instruction set has one table, filled in the order ref, blas, and then neon on arm64, or avx2, avx512, amx on
 * x86-64, up to its own: a slot that a set does not have is that of the set before it, and no slot is NULL (ref/: the
 * readable oracle).  Determinism: for one table, the result of a kernel is a function of its inputs only, not of how
 * the caller cut the work into ranges.
 * (blas: to rounding only, OpenBLAS chooses its inner kernel by size; so callers cut by shape.)
 */
#ifndef INFOMASK_KERNELS_KERNELS_H
#define INFOMASK_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/cpu.h"
#include "core/base/status.h"

enum kernel_isa { KERNEL_REF, KERNEL_BLAS, KERNEL_NEON, KERNEL_AVX2, KERNEL_AVX512, KERNEL_AMX, KERNEL_ISAS };

/* Element types of activations and packed weights.  BF16 and U8 need kernels->types to have their bit. */
enum kernel_type { KERNEL_F32, KERNEL_BF16, KERNEL_U8, KERNEL_TYPES };

static inline size_t kernel_type_bytes(enum kernel_type type)
{
    return type == KERNEL_F32 ? 4 : type == KERNEL_BF16 ? 2 : 1;
}

enum kernel_activation {
    KERNEL_CLAMP, /* min(max(x, low), high); low = -INFINITY, high = INFINITY: none */
    KERNEL_SIGMOID,
    KERNEL_SILU,         /* vector tables: within 4 ulp down to x = -80; below, |y| < 1e-34 */
    KERNEL_HARD_SIGMOID, /* min(max(alpha x + beta, 0), 1), alpha in low, beta in high */
    KERNEL_HARD_SWISH,
    KERNEL_LEAKY_RELU, /* alpha in low */
    KERNEL_GELU,       /* x Phi(x), Phi the normal distribution; vector tables: within 8 ulp from x = -12.5 on; below,
                        * |y| < 1e-33 */
    KERNEL_GELU_TANH,  /* x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + .044715 x^3), which is .5 x (1 + tanh u); vector
                        * tables:  within 1e-6 of the larger of |y| and |x| 1e-3 */
    KERNEL_TANH        /* vector tables: within 4 ulp */
};

struct kernel_epilogue {
    enum kernel_activation activation;
    float low, high;
};

/* Whole multiples of scale: y = min(max(round(x / scale), low), high) scale, to nearest even, low and high whole and
 * within 2^22; what is no number becomes the lowest.  Vector tables: the quotient is a product by 1 / scale that is
 * corrected by what it leaves over, which gives the bits of a division. */
struct kernel_rounding {
    float scale, inverse, low, high; /* scale from 2^-100 to 2^100; inverse is 1 / scale */
};

/* What may come behind the activation: first(y) scale[n] + shift[n] + addend[m, n], with the roundings of scale_shift
 * and add; no scale and no shift: first(y) + addend[m, n]; then that, rounded.  Only tables that say so; the output is
 * float32, or U8 if it is rounded to the whole multiples of c_scale (y_scale) that bytes can be. */
struct kernel_then {
    const float *scale, *shift; /* NULL: none */
    const void *addend;         /* likewise; float32 or U8 */
    ptrdiff_t addend_row;
    const struct kernel_rounding *rounding, *first; /* NULL: none */
    enum kernel_type addend_type;
    float addend_scale; /* U8: value = addend_scale * (u8 - addend_zero) */
    int addend_zero;
};

/* The same for what begins so many rows (pixels) further on. */
static inline struct kernel_then kernel_then_from(const struct kernel_then *then, ptrdiff_t rows)
{
    struct kernel_then from = *then;

    if (from.addend != NULL)
        from.addend = (const char *)from.addend +
                      rows * from.addend_row * (ptrdiff_t)kernel_type_bytes(from.addend_type);
    return from;
}

/* Weights of a matrix product, packed once for one table.  K = segments * segment_k. */
struct kernel_weights {
    enum kernel_type type;
    int segments, segment_k, n;
    int panels;        /* column groups; a gemm call may do any range of them */
    int panel_columns; /* panel p has columns [p * panel_columns, (p + 1) * panel_columns), the last one all up to n */
    int step;          /* of the table's own format: elements of a row of A that meet in one sum at once */
    void *data;        /* the table's own format, 64-byte aligned, owned unless kernel_weights_move was called */
    size_t bytes;
    bool moved;
    float *bias;  /* [n rounded up], zero-filled; owned */
    float *scale; /* U8: per output column; else NULL */
};

/* C[m, n] = activation(A W + bias + R) on rows [0, m) and panels [panel0, panel1).
 * Row i of A is `segments` runs of segment_k elements: run s starts at a + i * a_row + s * a_segment (a 1x1
 * convolution is one run; a 3x3 one over a padded NHWC tensor is three runs of 3C, a_segment one padded row). */
struct kernel_gemm {
    const struct kernel_weights *weights;
    const void *a; /* of weights->type */
    ptrdiff_t a_row, a_segment;
    int m;
    void *c; /* of type out */
    ptrdiff_t c_row;
    const void *residual; /* of type out, or NULL; may be c itself */
    ptrdiff_t residual_row;
    enum kernel_type out;
    int panel0, panel1;
    struct kernel_epilogue epilogue;
    const struct kernel_then *then; /* NULL: nothing */
    float a_scale; /* U8: value = a_scale * (u8 - a_zero) */
    int a_zero;
    float c_scale; /* U8 output: as to_u8 */
    int c_zero;
    float *scratch; /* kernel_table.gemm_scratch elements, or NULL if that is 0 */
    const void *ahead;  /* what will be read next, to be brought near meanwhile: only a hint; may be NULL */
    size_t ahead_bytes;
};

/* One image's depthwise convolution, output rows [y0, y1), channels [c0, c1) (c0 a multiple of 16). */
struct kernel_depthwise {
    const float *x; /* [h, w, c] */
    int h, w, c;
    void *y; /* [out_h, out_w, c] of type out */
    enum kernel_type out; /* BF16, U8: only tables whose types have the bit */
    int out_h, out_w;
    const float *weights; /* [kernel_h, kernel_w, c] */
    const float *bias;    /* [c] or NULL */
    int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, pad_top, pad_left;
    int y0, y1, c0, c1;
    struct kernel_epilogue epilogue;
    const struct kernel_then *then; /* NULL: nothing; addend_row: from pixel to pixel of [out_h, out_w] */
    float y_scale; /* U8: as to_u8 */
    int y_zero;
    float *scratch; /* kernel_table.depthwise_scratch elements, 64-byte aligned; NULL: large kernels take longer */
};

/* One image's pooling, output rows [y0, y1).  Padding is left out of a maximum, and of an average unless
 * count_include_pad. */
struct kernel_pool {
    const float *x;
    int h, w, c;
    float *y;
    int out_h, out_w;
    int kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, pad_bottom, pad_right;
    bool count_include_pad;
    int y0, y1;
};

/* Winograd's convolution F(m x m, 3 x 3) of stride 1: y = A^T [(G g G^T) . (B^T d B)] A for tiles of m x m outputs with
 * the matrices of Lavin and Gray, "Fast algorithms for convolutional neural networks" (2015); m is 2 or 4.  The dot is
 * (m + 2)^2 matrix products over the channels, between the two transforms: element i = (m + 2) row + column of all
 * tiles times element i of all filters.  Tile t has its outputs at row m (t / across), column m (t % across), with
 * across = ceil(out_w / m); tiles [first, first + count) are done.  A group's channels are maps of their own, with the
 * strides of those that they are a part of. */
struct kernel_winograd {
    int m, first, count;
    const float *x; /* [h, w, c], x_pixel elements from pixel to pixel */
    int h, w, c, pad_top, pad_left;
    ptrdiff_t x_pixel;
    float *v; /* input transform writes: (m + 2)^2 times [count, c], v_apart elements from one to the next */
    const float *products; /* output transform reads: as often [count, n], channels [n0, n1) */
    ptrdiff_t v_apart, products_apart;
    float *y; /* [out_h, out_w, n], y_pixel elements from pixel to pixel */
    const float *residual; /* as y, or NULL */
    ptrdiff_t y_pixel;
    const float *bias;     /* [n] or NULL */
    int out_h, out_w, n, n0, n1;
    struct kernel_epilogue epilogue;
};

/* y = (x - mean) / sqrt(variance + epsilon) * scale + bias over rows of n elements; not centred: with the mean of the
 * squares in place of the variance, and no mean (RMS). */
struct kernel_norm {
    const float *x;
    float *y; /* may be x */
    const float *scale, *bias; /* [n] or NULL */
    size_t rows, n;
    float epsilon;
    bool centred;
};

/* Weights as a layer has them: an ONNX Gemm's transposed B; a convolution's with the channels last. */
struct kernel_matrix {
    enum kernel_type type; /* what they are packed as */
    const float *w;        /* [n][segments * segment_k]; of pack */
    const int8_t *s8;      /* the same, times scale; of pack_s8 */
    const float *scale;    /* [n] */
    const float *bias;     /* [n]; may be NULL */
    int segments, segment_k, n;
};

/* The right operand of a matrix product that is computed itself: element (k, n) at b[k * row + n * column], times
 * scale. One of the strides is 1. */
struct kernel_operand {
    const float *b;
    ptrdiff_t row, column;
    int k, n;
    float scale;
};

#define KERNEL_PATCH 7

struct kernel_table {
    enum kernel_isa isa;
    const char *name; /* "ref", "blas", "neon", "avx2", "avx512", "amx" */
    unsigned types;   /* bit (1 << kernel_type) for each type that gemm takes */
    int gemm_tile[KERNEL_TYPES]; /* rows that gemm makes at once: work cut at multiples of it wastes nothing */
    bool gemm_segments; /* several segments run in place; false: a caller does better to gather A into one run */

    unsigned then; /* bit (1 << kernel_type) for weights whose gemm takes it; depthwise does where any does */
    bool winograd_groups; /* Winograd's way is the faster one for grouped convolutions, too */

    /* Free with kernel_weights_fini. */
    enum infomask_status (*pack)(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                 struct infomask_error *err);
    /* The same for weights that are quantised already; type U8. */
    enum infomask_status (*pack_s8)(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                    struct infomask_error *err);
    /* The same for an operand that every run computes anew: float32, no bias, in memory of operand_bytes, 64-byte
     * aligned, that the caller keeps as long as the weights.  They need no kernel_weights_fini. */
    size_t (*operand_bytes)(int k, int n);
    void (*pack_operand)(struct kernel_weights *weights, const struct kernel_operand *operand, void *memory);
    /* `scaled` becomes float32 weights of one segment with what they do with input k times factor[k]: in memory of
     * weights->bytes, 64-byte aligned, that the caller keeps as long, and beside the weights whose bias they share. */
    void (*scale_inputs)(const struct kernel_weights *weights, const float *factor, struct kernel_weights *scaled,
                         void *memory);
    void (*gemm)(const struct kernel_gemm *gemm);
    size_t (*gemm_scratch)(const struct kernel_gemm *gemm); /* floats that a call needs */
    /* y = bf16(x), to nearest even */
    void (*to_bf16)(const float *x, uint16_t *y, size_t n);
    void (*from_bf16)(const uint16_t *x, float *y, size_t n);
    /* y = clamp(round(x (1 / scale)) + zero, 0, 255), to nearest even, 1 / scale in float32 */
    void (*to_u8)(const float *x, uint8_t *y, size_t n, float scale, int zero);

    void (*depthwise)(const struct kernel_depthwise *depthwise);
    size_t (*depthwise_scratch)(const struct kernel_depthwise *depthwise); /* floats that help any part of it; or 0 */
    void (*winograd_input)(const struct kernel_winograd *winograd);
    void (*winograd_output)(const struct kernel_winograd *winograd);
    /* The filters of a panel of float32 weights of three segments [3][c] (windows of 3 x 3), transformed for m = 2:
     * u[i], i < 16, are weights [c][the panel's columns], of one panel, in `memory`, 64-byte aligned, of 32 c times
     * panel_columns floats, which the caller keeps as long, and beside the weights whose bias (its first numbers) they
     * share.  NULL: not in this table. */
    void (*winograd_filters)(const struct kernel_weights *weights, int panel, struct kernel_weights *u, float *memory);
    void (*max_pool)(const struct kernel_pool *pool);
    void (*average_pool)(const struct kernel_pool *pool);
    /* y[c] = mean over the pixels of x[pixels, c], channels [c0, c1); summed in pixel order */
    void (*global_average)(const float *x, size_t pixels, int c, float *y, int c0, int c1);
    /* y = activation(a + b), n elements; y may be a or b */
    void (*add)(const float *a, const float *b, float *y, size_t n, const struct kernel_epilogue *epilogue);
    void (*mul)(const float *a, const float *b, float *y, size_t n);
    /* y[pixels, c] = activation(x * scale[c] + shift[c]); scale or shift may be NULL; y may be x */
    void (*scale_shift)(const float *x, const float *scale, const float *shift, float *y, size_t pixels, int c,
                        const struct kernel_epilogue *epilogue);
    void (*activate)(const float *x, float *y, size_t n, const struct kernel_epilogue *epilogue);
    void (*round)(const float *x, float *y, size_t n, const struct kernel_rounding *rounding); /* y may be x */
    /* rows of n: y = softmax(x), finite for any finite x (vector tables: 0 below e^-87 of the largest); y may be x */
    void (*softmax)(const float *x, float *y, size_t rows, size_t n);
    void (*layer_norm)(const struct kernel_norm *norm);
    /* y[c * y_row + r] = x[r * x_row + c] for r in [0, rows), c in [0, columns) */
    void (*transpose)(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row, size_t rows, size_t columns);
    /* general matrix product for what is not a layer (class maps, cell affinities, training):
     * C[m, n] = alpha op(A) op(B) + beta C, row-major, op transposes where the flag says so */
    void (*sgemm)(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                  const float *b, int ldb, float beta, float *c, int ldc);
    /* Two squares of KERNEL_PATCH^2 pixels of four bytes, `row` bytes from a row to the next, readable to four bytes
     * beyond a row's last: the sum of the squared differences of their bytes, of those alone whose byte in `counts`
     * (same rows; NULL: all) is 255 and not 0.  Where the sum is `stop` or more, any number from `stop` up to it. */
    uint32_t (*patch_distance)(const uint8_t *a, const uint8_t *b, ptrdiff_t row, const uint8_t *counts, uint32_t stop);
    /* What the patches around pixel `at` of a picture `row` pixels wide say it is: over the centres t = at + dy row +
     * dx, dy in [first, last], dx in +-3, the sums of weight[t] times the bytes of pixel field[t] + at - t, and, the
     * fifth, of weight[t].  In float32, by rows for each dx, these then as ((-3 + 1) + (-1 + 3)) + ((-2 + 2) + 0): the
     * same bits in every table.  Pixel field[t] + at - t is read for every t, whatever its weight. */
    void (*patch_votes)(const uint8_t *pixels, const uint32_t *field, const float *weight, size_t at, size_t row,
                        int first, int last, float sum[5]);
};

/* The table of an instruction set; NULL if this processor or this build does not have it.  Never freed. */
const struct kernel_table *kernels_get(enum kernel_isa isa);
/* The best table of this processor. */
const struct kernel_table *kernels_best(void);
/* "ref", "blas", "neon", "avx2", "avx512" or "amx"; INFOMASK_ARGUMENT for another word or a set that is not here. */
enum infomask_status kernels_named(const char *name, const struct kernel_table **table, struct infomask_error *err)
    __attribute__((warn_unused_result));

void kernel_weights_fini(struct kernel_weights *weights);
/* Moves the data (weights->bytes) to `to`, 64-byte aligned, which the caller keeps as long as the weights. */
void kernel_weights_move(struct kernel_weights *weights, void *to);

/* Holds OpenBLAS to one thread and makes the calling thread's work buffer; each worker calls it once at start. */
void kernels_warm_up(void);
/* The processor that OpenBLAS computes for, by its own name ("Haswell"). */
const char *kernels_core_type(void);
/* The name to start it with (OPENBLAS_CORETYPE) on a processor with those features, where it has taken `taken`: one
 * that is newer than itself it takes for a Pentium 4.  NULL: it knows better than we do. */
const char *kernels_better_core_type(const char *taken, const struct cpu_features *cpu);

/* a [n, n], symmetric (the lower triangle is read), becomes the inverse of its Cholesky factor L, a = L L': a lower
 * triangle, with what was above left there.  False, and a of no use, where it is not positive definite. */
bool kernels_inverse_cholesky(double *a, int n);

/* For the tables: each file fills in its slots, and is called on processors that have the set. */
void kernels_ref_fill(struct kernel_table *table);
void kernels_blas_fill(struct kernel_table *table);
void kernels_neon_fill(struct kernel_table *table);
void kernels_avx2_fill(struct kernel_table *table);
void kernels_avx512_fill(struct kernel_table *table);
void kernels_amx_fill(struct kernel_table *table);

#endif
