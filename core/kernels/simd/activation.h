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

/* exp(x) for x in -87..88, by a polynomial of degree 5 for exp(r), |r| <= 0.347, whose relative error is below 1.1e-7.
 * n is rounded by adding 1.5 * 2^23, and is then in the low bits of the sum, from where it goes into the exponent. */
INLINE vec vec_exp_near(vec x)
{
    const vec shifter = vec_set(0x1.8p23f), t = vec_fma(x, vec_set(0x1.715476p+0f), shifter);
    const vec n = vec_sub(t, shifter);
    vec r = vec_fnma(n, vec_set(0x1.62e43p-1f), x), p = vec_set(0x1.10625p-7f);

    r = vec_fnma(n, vec_set(-0x1.05c61p-29f), r);
    p = vec_fma(p, r, vec_set(0x1.572a64p-5f));
    p = vec_fma(p, r, vec_set(0x1.5557bp-3f));
    p = vec_fma(p, r, vec_set(0x1.fffdfcp-2f));
    p = vec_fma(p, r, vec_set(1));
    p = vec_fma(p, r, vec_set(1));
    return vec_add_exponent(p, t);
}

/* x Phi(x).  Below 0, Phi(x) = exp(-x^2 / 2) R(-x) with R a polynomial of degree 9 in t = 1 / (1 + .35 |x|) (relative
 * error below 3.2e-8, fitted on 0..14); above, 1 - Phi(-x).  What x^2 loses when it is rounded is a factor of the
 * exponential, and is put back. */
INLINE vec vec_gelu(vec x)
{
    const vec one = vec_set(1), limited = vec_max(vec_set(-12.9f), x);
    const vec away = vec_max(limited, vec_sub(vec_zero(), limited)), near = vec_min(away, vec_set(12.9f));
    const vec t = vec_div(one, vec_fma(near, vec_set(0.35f), one)), square = vec_mul(near, near);
    const vec lost = vec_fma(near, near, vec_sub(vec_zero(), square));
    vec p = vec_set(-0x1.dd86eep-6f), e = vec_exp_near(vec_mul(square, vec_set(-0.5f)));

    p = vec_fma(p, t, vec_set(0x1.26daa8p-3f));
    p = vec_fma(p, t, vec_set(-0x1.05d9fcp-2f));
    p = vec_fma(p, t, vec_set(0x1.45fd28p-3f));
    p = vec_fma(p, t, vec_set(-0x1.7aa1f6p-6f));
    p = vec_fma(p, t, vec_set(0x1.b02930p-4f));
    p = vec_fma(p, t, vec_set(0x1.ead5dcp-4f));
    p = vec_fma(p, t, vec_set(0x1.1e6fe6p-3f));
    p = vec_fma(p, t, vec_set(0x1.1df1d4p-3f));
    e = vec_fnma(vec_mul(e, vec_set(0.5f)), lost, e);
    p = vec_mul(vec_mul(p, t), e);
    return vec_mul(limited, vec_negative(limited, p, vec_sub(one, p)));
}

/* x / (1 + exp(-2 u)), u = sqrt(2 / pi) (x + .044715 x^3). */
INLINE vec vec_gelu_tanh(vec x)
{
    const vec limited = vec_max(vec_set(-13), x), far = vec_min(limited, vec_set(13));
    const vec cubic = vec_fma(vec_mul(far, far), vec_set(-0.07135481627f), vec_set(-1.59576912161f));
    const vec least = vec_set(-87), most = vec_set(87);

    return vec_div(limited, vec_add(vec_set(1), vec_exp_near(vec_max(least, vec_min(most, vec_mul(far, cubic))))));
}

/* Near 0 an odd polynomial (Cephes's tanhf), beyond 1 - 2 / (exp(2 x) + 1). */
INLINE vec vec_tanh(vec x)
{
    const vec one = vec_set(1), far = vec_max(vec_set(-10), vec_min(vec_set(10), x)), square = vec_mul(far, far);
    const vec whole = vec_sub(one, vec_div(vec_set(2), vec_add(vec_exp_near(vec_add(far, far)), one)));
    vec p = vec_set(-5.70498872745e-3f);

    p = vec_fma(p, square, vec_set(2.06390887954e-2f));
    p = vec_fma(p, square, vec_set(-5.37397155531e-2f));
    p = vec_fma(p, square, vec_set(1.33314422036e-1f));
    p = vec_fma(p, square, vec_set(-3.33332819422e-1f));
    p = vec_fma(vec_mul(p, square), far, far);
    return vec_negative(vec_sub(square, vec_set(0.390625f)), p, whole);
}

/* The activation of a whole vector, in the formulas of kernels.h.  A NaN stays one. */
INLINE vec vec_clamp(vec x, vec low, vec high) { return vec_max(low, vec_min(high, x)); }

/* kind is e's; a constant where it is called in a loop. */
INLINE vec vec_activate_as(enum kernel_activation kind, vec x, const struct kernel_epilogue *e)
{
    const vec zero = vec_zero(), one = vec_set(1), least = vec_set(-87);

    switch (kind) {
    case KERNEL_SIGMOID:
        return vec_div(one, vec_add(one, vec_exp(vec_sub(zero, x))));
    case KERNEL_SILU:
        x = vec_max(least, x);
        return vec_div(x, vec_add(one, vec_exp_near(vec_max(least, vec_sub(zero, x)))));
    case KERNEL_HARD_SIGMOID:
        return vec_clamp(vec_fma(x, vec_set(e->low), vec_set(e->high)), zero, one);
    case KERNEL_HARD_SWISH:
        return vec_mul(x, vec_clamp(vec_fma(x, vec_set(1.0f / 6), vec_set(0.5f)), zero, one));
    case KERNEL_LEAKY_RELU:
        return vec_negative(x, vec_mul(x, vec_set(e->low)), x);
    case KERNEL_GELU:
        return vec_gelu(x);
    case KERNEL_GELU_TANH:
        return vec_gelu_tanh(x);
    case KERNEL_TANH:
        return vec_tanh(x);
    case KERNEL_CLAMP:
        break;
    }
    return vec_clamp(x, vec_set(e->low), vec_set(e->high));
}

/* How many times scale what kernel_rounding says is.  Beyond the range a quotient needs no correction, and an infinite
 * one cannot have any.  The correction leaves a NaN one, and the lowest takes its place. */
INLINE vec vec_steps(vec x, const struct kernel_rounding *r)
{
    const vec scale = vec_set(r->scale), inverse = vec_set(r->inverse), low = vec_set(r->low), high = vec_set(r->high);
    vec q = vec_min(vec_max(vec_mul(x, inverse), vec_sub(low, vec_set(1))), vec_add(high, vec_set(1)));

    q = vec_fma(vec_fnma(q, scale, x), inverse, q);
    return vec_round(vec_min(vec_max_number(q, low), high));
}

INLINE vec vec_rounded(vec x, const struct kernel_rounding *r) { return vec_mul(vec_steps(x, r), vec_set(r->scale)); }

INLINE vec vec_activate(vec x, const struct kernel_epilogue *e) { return vec_activate_as(e->activation, x, e); }

/* The call with KIND a constant: one loop for each activation, instead of a switch in the loop. */
#define FOR_KIND_CASE(kind, call)                 \
    case kind: {                                  \
        const enum kernel_activation KIND = kind; \
        call;                                     \
        break;                                    \
    }
#define FOR_KIND(activation, call)               \
    switch (activation) {                        \
        FOR_KIND_CASE(KERNEL_CLAMP, call)        \
        FOR_KIND_CASE(KERNEL_SIGMOID, call)      \
        FOR_KIND_CASE(KERNEL_SILU, call)         \
        FOR_KIND_CASE(KERNEL_HARD_SIGMOID, call) \
        FOR_KIND_CASE(KERNEL_HARD_SWISH, call)   \
        FOR_KIND_CASE(KERNEL_LEAKY_RELU, call)   \
        FOR_KIND_CASE(KERNEL_GELU, call)         \
        FOR_KIND_CASE(KERNEL_GELU_TANH, call)    \
        FOR_KIND_CASE(KERNEL_TANH, call)         \
    }

#endif
