/* exp and the activations on vectors, for any instruction set whose vector.h came before. */
#ifndef INFOMASK_KERNELS_SIMD_ACTIVATION_H
#define INFOMASK_KERNELS_SIMD_ACTIVATION_H

#include "core/kernels/kernels.h"

/* exp(x) for any x: n = round(x / log 2), r = x - n log 2 with log 2 in two parts (the fused product makes the first
 * difference exact), then the series of exp(r) to r^7 (|r| <= 0.347: what is left out is below 0.1 ulp). */
INLINE vec vec_exp(vec x)
{
    vec limited = vec_max(vec_set(-104.0f), vec_min(vec_set(89.0f), x));
    vec n = vec_round(vec_mul(limited, vec_set(0x1.715476p+0f)));
    vec r = vec_fnma(n, vec_set(0x1.62e43p-1f), limited);
    vec p = vec_set(1.0f / 5040);

    r = vec_fnma(n, vec_set(-0x1.05c61p-29f), r);
    p = vec_fma(p, r, vec_set(1.0f / 720));
    p = vec_fma(p, r, vec_set(1.0f / 120));
    p = vec_fma(p, r, vec_set(1.0f / 24));
    p = vec_fma(p, r, vec_set(1.0f / 6));
    p = vec_fma(p, r, vec_set(0.5f));
    p = vec_fma(p, r, vec_set(1));
    p = vec_fma(p, r, vec_set(1));
    return vec_scale2(p, n);
}

/* The activation of a whole vector, in the formulas of kernels.h.  A NaN stays one. */
INLINE vec vec_clamp(vec x, vec low, vec high) { return vec_max(low, vec_min(high, x)); }

INLINE vec vec_activate(vec x, const struct kernel_epilogue *e)
{
    const vec zero = vec_zero(), one = vec_set(1);

    switch (e->activation) {
    case KERNEL_SIGMOID:
        return vec_div(one, vec_add(one, vec_exp(vec_sub(zero, x))));
    case KERNEL_SILU:
        return vec_div(x, vec_add(one, vec_exp(vec_sub(zero, x))));
    case KERNEL_HARD_SIGMOID:
        return vec_clamp(vec_fma(x, vec_set(e->low), vec_set(e->high)), zero, one);
    case KERNEL_HARD_SWISH:
        return vec_mul(x, vec_clamp(vec_fma(x, vec_set(1.0f / 6), vec_set(0.5f)), zero, one));
    case KERNEL_LEAKY_RELU:
        return vec_negative(x, vec_mul(x, vec_set(e->low)), x);
    case KERNEL_CLAMP:
        break;
    }
    return vec_clamp(x, vec_set(e->low), vec_set(e->high));
}

#endif
