/* exp for arrays: one polynomial without a branch, so that the compiler turns loops over it into vector code. */
#ifndef INFOMASK_MASK_EXPONENTIAL_H
#define INFOMASK_MASK_EXPONENTIAL_H

#include <stdint.h>
#include <string.h>

/* exp(x), relative error under 2e-7, for x in [-87, 88]; beyond, the value at the end.  x = k ln 2 + r with
 * |r| <= ln 2 / 2; ln 2 in two parts; exp(r) as its Taylor polynomial of degree 7. */
static inline float exponential(float x)
{
    const float magic = 12582912.0F; /* 1.5 * 2^23: adding it rounds to the nearest integer */
    float k, r, p;
    uint32_t bits;

    x = x < -87.0F ? -87.0F : x;
    x = x > 88.0F ? 88.0F : x;
    k = x * 1.44269504F + magic;
    memcpy(&bits, &k, sizeof bits);
    k -= magic;
    r = x - k * 0.693359375F + k * 2.12194440e-4F;
    p = 1.98412698e-4F;
    p = p * r + 1.38888889e-3F;
    p = p * r + 8.33333333e-3F;
    p = p * r + 4.16666667e-2F;
    p = p * r + 1.66666667e-1F;
    p = p * r + 0.5F;
    p = p * r + 1.0F;
    p = p * r + 1.0F;
    bits = (bits + 127) << 23; /* the low bits of k + magic are k */
    memcpy(&k, &bits, sizeof k);
    return p * k;
}

#endif
