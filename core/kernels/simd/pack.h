/* Packing the weights of a matrix product, for any layout of panels.  Who includes this has told
 *     PANEL                  columns of a panel but the last, and panels_of(n)
 *     step_of(w, s8)         elements of K in 32 bits of packed weights, for a w that has type, segments, segment_k and
 *                            n; s8: what is packed if it is integers already, else NULL
 * and tells
 *     packed_words(w, words) the size of all panels in 32-bit words; false where that is no number
 *     pack_column(w, n, from)  puts the elements of column n where they belong
 * After the panels (U8) come the sums of each column's weights.
 */
#ifndef INFOMASK_KERNELS_SIMD_PACK_H
#define INFOMASK_KERNELS_SIMD_PACK_H

#include <math.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/base/checked.h"
#include "core/kernels/number.h"

static int round_up(int n, int multiple) { return (n + multiple - 1) / multiple * multiple; }

static float column_scale(const float *column, size_t k)
{
    float largest = 0;
    for (size_t i = 0; i < k; i++)
        largest = fmaxf(largest, fabsf(column[i]));
    return largest > 0 ? largest / 127 : 1;
}

/* Element `at` of the 32 bits of a step. */
static void put(const struct kernel_weights *weights, char *bits, int at, float value)
{
    if (weights->type == KERNEL_F32) {
        memcpy(bits, &value, sizeof value);
    } else if (weights->type == KERNEL_BF16) {
        const uint16_t narrow = number_to_bf16(value);
        memcpy(bits + 2 * at, &narrow, sizeof narrow);
    } else if (weights->step == 4) {
        const int8_t q = (int8_t)value;
        memcpy(bits + at, &q, sizeof q);
    } else {
        const int16_t q = (int16_t)value;
        memcpy(bits + 2 * at, &q, sizeof q);
    }
}

/* The weights of a column, as float32 or (U8 only) quantised already. */
struct column {
    const float *f32;
    const int8_t *s8;
};

static bool packed_words(const struct kernel_weights *weights, size_t *words);
static void pack_column(const struct kernel_weights *weights, int n, struct column from);

/* The next weight of column n. */
static float column_next(struct column *from, const struct kernel_weights *weights, int n)
{
    if (from->s8 != NULL)
        return (float)*from->s8++;
    return weights->type == KERNEL_U8 ? rintf(*from->f32++ / weights->scale[n]) : *from->f32++;
}

static enum infomask_status allocate(struct kernel_weights *weights, struct infomask_error *err)
{
    const size_t columns = (size_t)round_up(weights->n, PANEL);
    size_t words, bytes;

    if (!packed_words(weights, &words) || !checked_add(words, columns, &words) || !checked_mul(words, 4, &bytes))
        return error_set(err, INFOMASK_LIMIT, "a layer's weights are too large");
    weights->data = aligned_new(bytes);
    weights->bias = aligned_new(columns * sizeof(float));
    weights->scale = weights->type == KERNEL_U8 ? aligned_new(columns * sizeof(float)) : NULL;
    weights->bytes = bytes;
    if (weights->data == NULL || weights->bias == NULL || (weights->type == KERNEL_U8 && weights->scale == NULL))
        return error_set(err, INFOMASK_MEMORY, "no memory for a layer's weights");
    memset(weights->data, 0, bytes);
    memset(weights->bias, 0, columns * sizeof(float));
    if (weights->scale != NULL)
        memset(weights->scale, 0, columns * sizeof(float));
    return INFOMASK_OK;
}

/* Everything but the columns. */
static enum infomask_status pack_frame(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                       enum kernel_type type, struct infomask_error *err)
{
    const size_t k_all = (size_t)matrix->segments * (size_t)matrix->segment_k;
    enum infomask_status status;

    *weights = (struct kernel_weights){.type = type, .segments = matrix->segments, .segment_k = matrix->segment_k,
                                       .n = matrix->n, .panels = panels_of(matrix->n), .panel_columns = PANEL};
    weights->step = step_of(weights, matrix->s8);
    /* the sum of K products of u8 and s8 must fit 32 bits */
    if (weights->type == KERNEL_U8 && k_all > INT32_MAX / (255 * 127))
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL, "a layer of %zu inputs is too deep for int8", k_all);
    status = allocate(weights, err);
    if (status != INFOMASK_OK)
        kernel_weights_fini(weights);
    else if (matrix->bias != NULL)
        memcpy(weights->bias, matrix->bias, (size_t)matrix->n * sizeof *matrix->bias);
    return status;
}

static enum infomask_status simd_pack(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                      struct infomask_error *err)
{
    const size_t k_all = (size_t)matrix->segments * (size_t)matrix->segment_k;
    enum infomask_status status = pack_frame(weights, matrix, matrix->type, err);

    for (int column = 0; column < matrix->n && status == INFOMASK_OK; column++) {
        const float *from = matrix->w + (size_t)column * k_all;
        if (matrix->type == KERNEL_U8)
            weights->scale[column] = column_scale(from, k_all);
        pack_column(weights, column, (struct column){.f32 = from});
    }
    return status;
}

static enum infomask_status simd_pack_s8(struct kernel_weights *weights, const struct kernel_matrix *matrix,
                                         struct infomask_error *err)
{
    const size_t k_all = (size_t)matrix->segments * (size_t)matrix->segment_k;
    enum infomask_status status = pack_frame(weights, matrix, KERNEL_U8, err);

    for (int column = 0; column < matrix->n && status == INFOMASK_OK; column++) {
        weights->scale[column] = matrix->scale[column];
        pack_column(weights, column, (struct column){.s8 = matrix->s8 + (size_t)column * k_all});
    }
    return status;
}

#endif
