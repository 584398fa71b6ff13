/* Matrix products by OpenBLAS.  Packed weights stay as they come, [n][K]; the epilogue is a pass over the block that
 * has just been computed. */
#include "core/kernels/blas/blas.h"

#include <cblas.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/kernels/kernels.h"

#define PANEL 64

static pthread_once_t once = PTHREAD_ONCE_INIT;

/* the pool of threads is ours: OpenBLAS's own would serialise the callers */
static void hold_to_one_thread(void) { openblas_set_num_threads(1); }

void kernels_warm_up(void)
{
    enum { SIDE = 64 };
    float a[SIDE * SIDE] = {0}, c[SIDE * SIDE] = {0};

    (void)pthread_once(&once, hold_to_one_thread);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, SIDE, SIDE, SIDE, 1, a, SIDE, a, SIDE, 0, c, SIDE);
}

const char *kernels_core_type(void) { return openblas_get_corename(); }

const char *kernels_better_core_type(const char *taken, const struct cpu_features *cpu)
{
    if (strcmp(taken, "Prescott") != 0 || !cpu->avx2_fma)
        return NULL;
    return cpu->avx512 ? "SkylakeX" : "Haswell";
}

enum infomask_status blas_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                               struct infomask_error *err)
{
    size_t k = (size_t)matrix->segments * (size_t)matrix->segment_k, n = (size_t)matrix->n;
    int panels = (matrix->n + PANEL - 1) / PANEL;

    if (matrix->type != KERNEL_F32)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "the blas kernels compute in float32 only");
    *weights = (struct kernel_weights){.segments = matrix->segments, .segment_k = matrix->segment_k, .n = matrix->n,
                                       .panels = panels, .panel_columns = PANEL, .bytes = n * k * 4};
    weights->data = aligned_new(weights->bytes);
    weights->bias = aligned_new((size_t)panels * PANEL * 4);
    if (weights->data == NULL || weights->bias == NULL) {
        kernel_weights_fini(weights);
        return error_set(err, INFOMASK_MEMORY, "no memory for a layer's weights");
    }
    memcpy(weights->data, matrix->w, weights->bytes);
    memset(weights->bias, 0, (size_t)panels * PANEL * 4);
    if (matrix->bias != NULL)
        memcpy(weights->bias, matrix->bias, n * 4);
    return INFOMASK_OK;
}

enum infomask_status blas_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                  struct infomask_error *err)
{
    *weights = (struct kernel_weights){.segments = matrix->segments, .segment_k = matrix->segment_k, .n = matrix->n};
    return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "the blas kernels compute in float32 only");
}

size_t blas_operand_bytes(int k, int n)
{
    size_t columns = (size_t)((n + PANEL - 1) / PANEL * PANEL);
    return aligned_round(((size_t)n * (size_t)k + columns) * sizeof(float));
}

void blas_pack_operand(struct kernel_weights *weights, const struct kernel_operand *o, void *memory)
{
    float *data = memory;
    size_t k = (size_t)o->k, n = (size_t)o->n;

    *weights = (struct kernel_weights){.segments = 1, .segment_k = o->k, .n = o->n,
                                       .panels = (o->n + PANEL - 1) / PANEL, .panel_columns = PANEL, .data = memory,
                                       .bytes = n * k * sizeof(float), .bias = data + n * k, .moved = true};
    memset(weights->bias, 0, (size_t)weights->panels * PANEL * sizeof(float));
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++)
            data[j * k + i] = o->b[(ptrdiff_t)i * o->row + (ptrdiff_t)j * o->column] * o->scale;
}

/* OpenBLAS wants rows that do not overlap. */
static bool in_place(const struct kernel_gemm *g) { return g->m == 1 || g->a_row >= g->weights->segment_k; }

size_t blas_gemm_scratch(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    return in_place(g) ? 0 : (size_t)g->m * (size_t)w->segments * (size_t)w->segment_k;
}

static void gather(const struct kernel_gemm *g, float *to)
{
    const struct kernel_weights *w = g->weights;
    const float *a = g->a;

    for (int i = 0; i < g->m; i++)
        for (int s = 0; s < w->segments; s++, to += w->segment_k)
            memcpy(to, a + i * g->a_row + s * g->a_segment, (size_t)w->segment_k * 4);
}

static void product(const struct kernel_gemm *g, const float *a, int lda, const float *w, int k, int n, float beta,
                    float *c)
{
    int ldw = g->weights->segments * g->weights->segment_k;

    if (g->m == 1)
        cblas_sgemv(CblasRowMajor, CblasNoTrans, n, k, 1, w, ldw, a, 1, beta, c, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, g->m, n, k, 1, a, lda, w, ldw, beta, c, (int)g->c_row);
}

static void clamp_row(const struct kernel_gemm *g, float *c, const float *bias, const float *residual, int n)
{
    float low = g->epilogue.low, high = g->epilogue.high;

    for (int j = 0; j < n; j++) {
        float v = c[j] + bias[j];
        v = residual != NULL ? v + residual[j] : v;
        v = v < low ? low : v;
        c[j] = v > high ? high : v;
    }
}

static void epilogue(const struct kernel_gemm *g, int first, int n)
{
    struct kernel_epilogue none = {KERNEL_CLAMP, -INFINITY, INFINITY};
    struct kernel_gemm plain = *g;
    bool clamp = g->epilogue.activation == KERNEL_CLAMP;

    if (!clamp)
        plain.epilogue = none;
    for (int i = 0; i < g->m; i++) {
        float *c = (float *)g->c + i * g->c_row + first;
        const float *r = g->residual == NULL ? NULL : (const float *)g->residual + i * g->residual_row + first;
        clamp_row(&plain, c, g->weights->bias + first, r, n);
        if (!clamp)
            blas_activate(c, c, (size_t)n, &g->epilogue);
    }
}

/* The residual may be C itself, which the product overwrites: it is then brought in through beta. */
void blas_gemm(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    struct kernel_gemm rest = *g;
    int first = g->panel0 * PANEL, n = (g->panel1 * PANEL < w->n ? g->panel1 * PANEL : w->n) - first;
    int k = w->segments * w->segment_k;
    const float *b = (const float *)w->data + (size_t)first * (size_t)k;
    float *c = (float *)g->c + first;
    bool onto = g->residual == g->c && g->residual != NULL;

    if (g->m == 0 || n <= 0)
        return;
    if (!in_place(g)) {
        gather(g, g->scratch);
        product(g, g->scratch, k, b, k, n, onto, c);
    } else {
        for (int s = 0; s < w->segments; s++)
            product(g, (const float *)g->a + s * g->a_segment, (int)g->a_row, b + s * w->segment_k, w->segment_k, n,
                    onto || s > 0, c);
    }
    if (onto)
        rest.residual = NULL;
    epilogue(&rest, first, n);
}

void blas_sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                const float *b, int ldb, float beta, float *c, int ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans, m, n,
                k, alpha, a, lda, b, ldb, beta, c, ldc);
}
