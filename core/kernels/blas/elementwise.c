/* Elementwise kernels: one loop for each activation, without branches inside. */
#include "core/kernels/blas/blas.h"
#include "core/kernels/number.h"

static void clamp(const float *x, float *y, size_t n, float low, float high)
{
    for (size_t i = 0; i < n; i++) {
        float v = x[i] < low ? low : x[i];
        y[i] = v > high ? high : v;
    }
}

/* x times its sigmoid, or the sigmoid alone */
static void sigmoid(const float *x, float *y, size_t n, bool times_x)
{
    if (times_x)
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] / (1 + number_exp(-x[i]));
    else
        for (size_t i = 0; i < n; i++)
            y[i] = 1 / (1 + number_exp(-x[i]));
}

static void hard(const float *x, float *y, size_t n, float alpha, float beta, bool times_x)
{
    for (size_t i = 0; i < n; i++) {
        float v = alpha * x[i] + beta;
        v = v < 0 ? 0 : v;
        v = v > 1 ? 1 : v;
        y[i] = times_x ? x[i] * v : v;
    }
}

void blas_activate(const float *x, float *y, size_t n, const struct kernel_epilogue *e)
{
    switch (e->activation) {
    case KERNEL_CLAMP:
        clamp(x, y, n, e->low, e->high);
        break;
    case KERNEL_SIGMOID:
    case KERNEL_SILU:
        sigmoid(x, y, n, e->activation == KERNEL_SILU);
        break;
    case KERNEL_HARD_SIGMOID:
        hard(x, y, n, e->low, e->high, false);
        break;
    case KERNEL_HARD_SWISH:
        hard(x, y, n, 1.0f / 6, 0.5f, true);
        break;
    case KERNEL_LEAKY_RELU:
        for (size_t i = 0; i < n; i++)
            y[i] = x[i] < 0 ? e->low * x[i] : x[i];
        break;
    case KERNEL_GELU:
    case KERNEL_GELU_TANH:
    case KERNEL_TANH:
        for (size_t i = 0; i < n; i++)
            y[i] = number_activate(x[i], e);
        break;
    }
}

#define STRIP 1024 /* elements that stay in the first cache between the two loops */

void blas_add(const float *a, const float *b, float *y, size_t n, const struct kernel_epilogue *epilogue)
{
    for (size_t at = 0; at < n; at += STRIP) {
        size_t end = n - at < STRIP ? n : at + STRIP;
        for (size_t i = at; i < end; i++)
            y[i] = a[i] + b[i];
        blas_activate(y + at, y + at, end - at, epilogue);
    }
}

void blas_mul(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

void blas_scale_shift(const float *x, const float *scale, const float *shift, float *y, size_t pixels, int c,
                      const struct kernel_epilogue *epilogue)
{
    for (size_t i = 0; i < pixels; i++, x += c, y += c) {
        for (int j = 0; j < c; j++) {
            float v = scale != NULL ? x[j] * scale[j] : x[j];
            y[j] = shift != NULL ? v + shift[j] : v;
        }
        blas_activate(y, y, (size_t)c, epilogue);
    }
}

/* Maximum and sum in eight lanes, for the compiler; the order is fixed by the code. */
static float row_max(const float *x, size_t n)
{
    float most = x[0];
    for (size_t i = 1; i < n; i++)
        most = x[i] > most ? x[i] : most;
    return most;
}

static float row_sum(const float *x, size_t n)
{
    float lane[8] = {0}, sum = 0;
    size_t i = 0;

    for (; i + 8 <= n; i += 8)
        for (int j = 0; j < 8; j++)
            lane[j] += x[i + (size_t)j];
    for (; i < n; i++)
        sum += x[i];
    for (int j = 0; j < 8; j++)
        sum += lane[j];
    return sum;
}

void blas_softmax(const float *x, float *y, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows && n > 0; r++, x += n, y += n) {
        float most = row_max(x, n), sum;
        for (size_t i = 0; i < n; i++)
            y[i] = number_exp(x[i] - most);
        sum = row_sum(y, n);
        for (size_t i = 0; i < n; i++)
            y[i] /= sum;
    }
}

/* Blocks whose lines stay in the first cache. */
void blas_transpose(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row, size_t rows, size_t columns)
{
    enum { BLOCK = 16 };

    for (size_t r0 = 0; r0 < rows; r0 += BLOCK)
        for (size_t c0 = 0; c0 < columns; c0 += BLOCK)
            for (size_t c = c0; c < columns && c < c0 + BLOCK; c++)
                for (size_t r = r0; r < rows && r < r0 + BLOCK; r++)
                    y[(ptrdiff_t)c * y_row + (ptrdiff_t)r] = x[(ptrdiff_t)r * x_row + (ptrdiff_t)c];
}

void kernels_blas_fill(struct kernel_table *table)
{
    table->types = 1u << KERNEL_F32;
    table->gemm_tile[KERNEL_F32] = 16;
    table->gemm_segments = false;
    table->pack = blas_pack;
    table->pack_s8 = blas_pack_s8;
    table->operand_bytes = blas_operand_bytes;
    table->pack_operand = blas_pack_operand;
    table->gemm = blas_gemm;
    table->gemm_scratch = blas_gemm_scratch;
    table->depthwise = blas_depthwise;
    table->max_pool = blas_max_pool;
    table->average_pool = blas_average_pool;
    table->global_average = blas_global_average;
    table->add = blas_add;
    table->mul = blas_mul;
    table->scale_shift = blas_scale_shift;
    table->activate = blas_activate;
    table->softmax = blas_softmax;
    table->transpose = blas_transpose;
    table->sgemm = blas_sgemm;
}
