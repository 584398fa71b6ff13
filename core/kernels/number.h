/* Scalar pieces that the portable kernels share: bf16, the activations, and an exponential that compilers vectorise. */
#ifndef INFOMASK_KERNELS_NUMBER_H
#define INFOMASK_KERNELS_NUMBER_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/kernels/kernels.h"

static inline float number_from_bf16(uint16_t x)
{
    uint32_t bits = (uint32_t)x << 16;
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* To nearest, ties to even; a NaN stays one. */
static inline uint16_t number_to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static inline uint8_t number_to_u8(float x, float scale, int zero)
{
    float q = nearbyintf(x * (1 / scale)) + (float)zero;
    return (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
}

static inline float number_clamp(float x, float low, float high) { return fminf(fmaxf(x, low), high); }

/* exp(x) in float32 to about 1 ulp, 0 below -87.3 and exp(88) above it: no branch, so that loops of it vectorise.
 * x = n log 2 + r with n the nearest integer (found by adding 1.5 * 2^23), exp(r) by its series to r^7. */
static inline float number_exp(float x)
{
    float t = x < -87.3f ? -87.3f : x > 88 ? 88 : x;
    float shifted = t * 1.44269504f + 12582912.0f, n = shifted - 12582912.0f;
    float r = (t - n * 0.693359375f) + n * 2.12194440e-4f, p, power;
    int32_t bits;

    p = 1.9841270e-4f;
    p = p * r + 1.3888889e-3f;
    p = p * r + 8.3333333e-3f;
    p = p * r + 4.1666667e-2f;
    p = p * r + 1.6666667e-1f;
    p = p * r + 0.5f;
    p = p * r * r + r + 1.0f;
    bits = ((int32_t)n + 127) << 23;
    memcpy(&power, &bits, sizeof power);
    return x < -87.3f ? 0 : p * power;
}

static inline double number_gelu_tanh(double x)
{
    return x / (1 + exp(-2 * 0.79788456080286535588 * (x + 0.044715 * x * x * x)));
}

/* The activation of one value, in the formulas of kernels.h. */
static inline float number_activate(float x, const struct kernel_epilogue *e)
{
    switch (e->activation) {
    case KERNEL_SIGMOID:
        return 1 / (1 + expf(-x));
    case KERNEL_SILU:
        return x / (1 + expf(-x));
    case KERNEL_HARD_SIGMOID:
        return number_clamp(e->low * x + e->high, 0, 1);
    case KERNEL_HARD_SWISH:
        return x * number_clamp(x / 6 + 0.5f, 0, 1);
    case KERNEL_LEAKY_RELU:
        return x < 0 ? e->low * x : x;
    case KERNEL_GELU:
        return (float)(0.5 * (double)x * erfc((double)x * -0.70710678118654752440));
    case KERNEL_GELU_TANH:
        return (float)number_gelu_tanh((double)x);
    case KERNEL_TANH:
        return tanhf(x);
    case KERNEL_CLAMP:
        break;
    }
    return number_clamp(x, e->low, e->high);
}

#endif
