/* IEEE 754 half precision (binary16) as bits, round to nearest even; portable, for what is stored. */
#ifndef INFOMASK_INFO_HALF_H
#define INFOMASK_INFO_HALF_H

#include <math.h>
#include <stdint.h>

/* Beyond the range: the largest finite number.  NaN is not expected. */
static inline uint16_t info_half(float x)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    float a = fabsf(x);
    int exponent;
    double fraction;

    if (a >= 65504)
        return (uint16_t)(sign | 0x7bff);
    if (a < 0x1p-14f) /* subnormal: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint16_t)nearbyint((double)a * 0x1p24));
    fraction = nearbyint(2048 * frexp((double)a, &exponent)); /* 1024 ... 2048 */
    return (uint16_t)(sign | (((exponent + 13) << 10) + (int)fraction));
}

static inline float info_half_value(uint16_t half)
{
    int exponent = half >> 10 & 31, fraction = half & 1023;
    double a = exponent == 0 ? ldexp(fraction, -24) : ldexp(fraction + 1024, exponent - 25);

    return (float)(half & 0x8000 ? -a : a);
}

#endif
