/* Vectors of elements of any type in memory, for any instruction set whose vector.h came before. */
#ifndef INFOMASK_KERNELS_SIMD_ELEMENT_H
#define INFOMASK_KERNELS_SIMD_ELEMENT_H

#include "core/kernels/simd/activation.h"

INLINE ptrdiff_t element_size(enum kernel_type type) { return type == KERNEL_F32 ? 4 : type == KERNEL_BF16 ? 2 : 1; }

/* U8: scale * (u8 - zero). */
INLINE vec element_load(enum kernel_type type, const void *p, vmask mask, float scale, int zero)
{
    if (type == KERNEL_F32)
        return vec_load_mask(p, mask);
    if (type == KERNEL_BF16)
        return vec_load_bf16(p, mask);
    return vec_mul(vec_sub(vec_load_u8(p, mask), vec_set((float)zero)), vec_set(scale));
}

/* U8: clamp(round(v inverse) + zero, 0, 255). */
INLINE void element_store(enum kernel_type type, void *p, vec v, vmask mask, vec inverse, int zero)
{
    if (type == KERNEL_F32)
        vec_store_mask(p, v, mask);
    else if (type == KERNEL_BF16)
        vec_store_bf16(p, v, mask);
    else
        vec_store_u8(p, vec_mul(v, inverse), zero, mask);
}

/* v, rounded; U8: as kernel_then says. */
INLINE void element_round(enum kernel_type type, void *p, vec v, vmask mask, const struct kernel_rounding *r, int zero)
{
    if (type == KERNEL_U8)
        vec_store_u8(p, vec_steps(v, r), zero, mask);
    else
        vec_store_mask(p, vec_rounded(v, r), mask);
}

/* Element n of a row of what is added, whose first one lies at p. */
INLINE vec element_addend(const struct kernel_then *then, const char *p, ptrdiff_t row, ptrdiff_t n, vmask mask)
{
    const ptrdiff_t at = row * then->addend_row + n;

    if (then->addend_type == KERNEL_U8)
        return element_load(KERNEL_U8, p + at, mask, then->addend_scale, then->addend_zero);
    return vec_load_mask((const float *)(const void *)p + at, mask);
}

#endif
