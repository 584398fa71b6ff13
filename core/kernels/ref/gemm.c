/* The matrix product as its contract reads, for every element type: the oracle of the other tables.
 * M rows, N columns, K = segments * segment_k. */
#include <math.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/kernels/number.h"
#include "core/kernels/ref/ref.h"

#define PANEL 16

/* Fills everything but data; U8 scales map the largest weight of a column to 127 (1 without w). */
static enum infomask_status pack_frame(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                       enum kernel_type type, struct infomask_error *err)
{
    const float *w = matrix->w;
    int panels = (matrix->n + PANEL - 1) / PANEL;
    size_t columns = (size_t)panels * PANEL, elements = 0, n = (size_t)matrix->n;
    size_t k = (size_t)matrix->segments * (size_t)matrix->segment_k;

    *weights = (struct kernel_weights){.type = type, .segments = matrix->segments, .segment_k = matrix->segment_k,
                                       .n = matrix->n, .panels = panels, .panel_columns = PANEL};
    if (!checked_mul3(columns, k, 4, &elements))
        return error_set(err, INFOMASK_LIMIT, "a layer's weights are too large");
    weights->bytes = n * k * (type == KERNEL_F32 ? 4 : type == KERNEL_BF16 ? 2 : 1);
    weights->data = aligned_new(weights->bytes);
    weights->bias = aligned_new(columns * 4);
    if (type == KERNEL_U8)
        weights->scale = aligned_new(columns * 4);
    if (weights->data == NULL || weights->bias == NULL || (type == KERNEL_U8 && weights->scale == NULL)) {
        kernel_weights_fini(weights);
        return error_set(err, INFOMASK_MEMORY, "no memory for a layer's weights");
    }
    memset(weights->bias, 0, columns * 4);
    if (matrix->bias != NULL)
        memcpy(weights->bias, matrix->bias, n * 4);
    for (size_t j = 0; weights->scale != NULL && j < columns; j++) {
        float largest = 0;
        for (size_t i = 0; w != NULL && j < n && i < k; i++)
            largest = fmaxf(largest, fabsf(w[j * k + i]));
        weights->scale[j] = largest > 0 ? largest / 127 : 1;
    }
    return INFOMASK_OK;
}

enum infomask_status ref_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                              struct infomask_error *err)
{
    size_t k = (size_t)matrix->segments * (size_t)matrix->segment_k, count = (size_t)matrix->n * k;
    enum infomask_status status = pack_frame(weights, matrix, matrix->type, err);

    if (status != INFOMASK_OK)
        return status;
    if (matrix->type == KERNEL_F32)
        memcpy(weights->data, matrix->w, weights->bytes);
    for (size_t i = 0; matrix->type == KERNEL_BF16 && i < count; i++)
        ((uint16_t *)weights->data)[i] = number_to_bf16(matrix->w[i]);
    for (size_t i = 0; matrix->type == KERNEL_U8 && i < count; i++)
        ((int8_t *)weights->data)[i] = (int8_t)nearbyintf(matrix->w[i] / weights->scale[i / k]);
    return INFOMASK_OK;
}

enum infomask_status ref_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                 struct infomask_error *err)
{
    size_t k = (size_t)matrix->segments * (size_t)matrix->segment_k;
    enum infomask_status status = pack_frame(weights, matrix, KERNEL_U8, err);

    if (status != INFOMASK_OK)
        return status;
    memcpy(weights->data, matrix->s8, (size_t)matrix->n * k);
    memcpy(weights->scale, matrix->scale, (size_t)matrix->n * sizeof *matrix->scale);
    return INFOMASK_OK;
}

size_t ref_operand_bytes(int k, int n)
{
    size_t columns = (size_t)((n + PANEL - 1) / PANEL * PANEL);
    return aligned_round(((size_t)n * (size_t)k + columns) * sizeof(float));
}

void ref_pack_operand(struct kernel_weights *weights, const struct kernel_operand *o, void *memory)
{
    float *data = memory;
    size_t k = (size_t)o->k, n = (size_t)o->n;

    *weights = (struct kernel_weights){.type = KERNEL_F32, .segments = 1, .segment_k = o->k, .n = o->n,
                                       .panels = (o->n + PANEL - 1) / PANEL, .panel_columns = PANEL, .data = memory,
                                       .bytes = n * k * sizeof(float), .bias = data + n * k, .moved = true};
    memset(weights->bias, 0, (size_t)weights->panels * PANEL * sizeof(float));
    for (size_t j = 0; j < n; j++)
        for (size_t i = 0; i < k; i++)
            data[j * k + i] = o->b[(ptrdiff_t)i * o->row + (ptrdiff_t)j * o->column] * o->scale;
}

/* OpenBLAS's weights lie so, too. */
void ref_scale_inputs(const struct kernel_weights *w, const float *factor, struct kernel_weights *scaled, void *memory)
{
    const float *from = w->data;
    float *to = memory;

    *scaled = *w;
    scaled->data = memory;
    scaled->moved = true;
    for (int n = 0; n < w->n; n++)
        for (int k = 0; k < w->segment_k; k++)
            *to++ = *from++ * factor[k];
}

static double load(const void *p, ptrdiff_t i, enum kernel_type type)
{
    if (type == KERNEL_F32)
        return (double)((const float *)p)[i];
    if (type == KERNEL_BF16)
        return (double)number_from_bf16(((const uint16_t *)p)[i]);
    return ((const uint8_t *)p)[i];
}

static double weight(const struct kernel_weights *w, size_t i)
{
    return w->type == KERNEL_U8 ? ((const int8_t *)w->data)[i] : load(w->data, (ptrdiff_t)i, w->type);
}

static double dot(const struct kernel_gemm *g, int row, int column)
{
    const struct kernel_weights *w = g->weights;
    size_t at = (size_t)column * (size_t)w->segments * (size_t)w->segment_k;
    double zero = w->type == KERNEL_U8 ? g->a_zero : 0, sum = 0;

    for (int s = 0; s < w->segments; s++)
        for (int k = 0; k < w->segment_k; k++)
            sum += (load(g->a, row * g->a_row + s * g->a_segment + k, w->type) - zero) * weight(w, at++);
    return w->type == KERNEL_U8 ? sum * (double)g->a_scale * (double)w->scale[column] : sum;
}

static float residual(const struct kernel_gemm *g, ptrdiff_t i)
{
    if (g->residual == NULL)
        return 0;
    if (g->out == KERNEL_U8)
        return g->c_scale * (float)(load(g->residual, i, KERNEL_U8) - g->c_zero);
    return (float)load(g->residual, i, g->out);
}

static void store(const struct kernel_gemm *g, ptrdiff_t i, float v)
{
    if (g->out == KERNEL_F32)
        ((float *)g->c)[i] = v;
    else if (g->out == KERNEL_BF16)
        ((uint16_t *)g->c)[i] = number_to_bf16(v);
    else
        ((uint8_t *)g->c)[i] = number_to_u8(v, g->c_scale, g->c_zero);
}

void ref_gemm(const struct kernel_gemm *g)
{
    const struct kernel_weights *w = g->weights;
    int first = g->panel0 * w->panel_columns, last = g->panel1 * w->panel_columns;

    if (last > w->n)
        last = w->n;
    for (int i = 0; i < g->m; i++) {
        for (int j = first; j < last; j++) {
            float v = (float)(dot(g, i, j) + (double)w->bias[j]) + residual(g, i * g->residual_row + j);
            store(g, i * g->c_row + j, number_activate(v, &g->epilogue));
        }
    }
}

size_t ref_gemm_scratch(const struct kernel_gemm *g)
{
    (void)g;
    return 0;
}

void ref_sgemm(bool transpose_a, bool transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
               const float *b, int ldb, float beta, float *c, int ldc)
{
    for (int i = 0; i < m; i++) {
        for (int j = 0; j < n; j++) {
            float *y = &c[(size_t)i * (size_t)ldc + (size_t)j];
            double sum = 0;
            for (int l = 0; l < k; l++) {
                float u = transpose_a ? a[(size_t)l * (size_t)lda + (size_t)i] : a[(size_t)i * (size_t)lda + (size_t)l];
                float v = transpose_b ? b[(size_t)j * (size_t)ldb + (size_t)l] : b[(size_t)l * (size_t)ldb + (size_t)j];
                sum += (double)u * (double)v;
            }
            /* beta 0 overwrites whatever is there, NaN as well, as BLAS does */
            *y = (float)((double)alpha * sum + (beta == 0 ? 0 : (double)beta * (double)*y));
        }
    }
}
