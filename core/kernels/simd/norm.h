/* Norms of rows, for any instruction set whose vector.h came before.  simd_norm fills the slot. */
#ifndef INFOMASK_KERNELS_SIMD_NORM_H
#define INFOMASK_KERNELS_SIMD_NORM_H

#include <math.h>

#include "core/kernels/simd/elementwise.h"

/* x - mean, and 0 in the lanes that are left out. */
INLINE vec norm_apart(const float *x, vec mean, vmask mask)
{
    return vec_select(mask, vec_sub(vec_load_mask(x, mask), mean), vec_zero());
}

/* Sums in four vectors, so that an addition need not wait for the one before. */
static float norm_sum(const float *x, size_t n)
{
    vec sums[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    size_t i = 0;

    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t j = 0; j < 4; j++)
            sums[j] = vec_add(sums[j], vec_load(x + i + j * LANES));
    for (; i < n; i += LANES)
        sums[0] = vec_add(sums[0], vec_load_mask(x + i, mask_at(i, n)));
    return vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3])));
}

static float norm_squares(const float *x, size_t n, float mean_value)
{
    const vec mean = vec_set(mean_value);
    vec sums[4] = {vec_zero(), vec_zero(), vec_zero(), vec_zero()};
    size_t i = 0;

    for (; i + 4 * LANES <= n; i += 4 * LANES)
        UNROLL for (size_t j = 0; j < 4; j++) {
            const vec apart = vec_sub(vec_load(x + i + j * LANES), mean);
            sums[j] = vec_fma(apart, apart, sums[j]);
        }
    for (; i < n; i += LANES) {
        const vec apart = norm_apart(x + i, mean, mask_at(i, n));
        sums[0] = vec_fma(apart, apart, sums[0]);
    }
    return vec_sum(vec_add(vec_add(sums[0], sums[1]), vec_add(sums[2], sums[3])));
}

INLINE void norm_write(const struct kernel_norm *p, const float *x, float *y, vec mean, vec factor, size_t i,
                       vmask mask)
{
    vec v = vec_mul(vec_sub(vec_load_mask(x + i, mask), mean), factor);

    if (p->scale != NULL)
        v = vec_mul(v, vec_load_mask(p->scale + i, mask));
    if (p->bias != NULL)
        v = vec_add(v, vec_load_mask(p->bias + i, mask));
    vec_store_mask(y + i, v, mask);
}

static void simd_layer_norm(const struct kernel_norm *p)
{
    const size_t n = p->n, whole = n / LANES * LANES;
    const float *x = p->x;
    float *y = p->y;

    for (size_t r = 0; r < p->rows; r++, x += n, y += n) {
        const float mean = p->centred ? norm_sum(x, n) / (float)n : 0;
        const vec factor = vec_set(1 / sqrtf(norm_squares(x, n, mean) / (float)n + p->epsilon));
        for (size_t i = 0; i < whole; i += LANES)
            norm_write(p, x, y, vec_set(mean), factor, i, mask_first(LANES));
        if (whole < n)
            norm_write(p, x, y, vec_set(mean), factor, whole, mask_at(whole, n));
    }
}

static void simd_norm(struct kernel_table *table) { table->layer_norm = simd_layer_norm; }

#endif
