/* The vector of arm64's Advanced SIMD under the names that the shared kernels of core/kernels/simd/ are written in: 4
 * floats.  A mask is always the first n lanes, and is that number.  Masked loads touch no memory of the lanes that are
 * left out and give 0 there. */
#ifndef INFOMASK_KERNELS_NEON_VECTOR_H
#define INFOMASK_KERNELS_NEON_VECTOR_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* loops over registers: they must be unrolled, or the registers become memory */
#define UNROLL _Pragma("GCC unroll 32")

enum { LANES = 4 };
typedef float32x4_t vec;
typedef int vmask;

/* The first n lanes, n in 0..4. */
INLINE vmask mask_first(int n) { return n; }
INLINE size_t mask_lanes(vmask m) { return (size_t)m; }

INLINE vec vec_load(const float *p) { return vld1q_f32(p); }
INLINE vec vec_load_mask(const float *p, vmask m)
{
    float lanes[LANES] = {0};
    if (m == LANES)
        return vld1q_f32(p);
    for (int i = 0; i < m; i++)
        lanes[i] = p[i];
    return vld1q_f32(lanes);
}
INLINE void vec_store(float *p, vec v) { vst1q_f32(p, v); }
INLINE void vec_store_mask(float *p, vec v, vmask m)
{
    float lanes[LANES];
    if (m == LANES) {
        vst1q_f32(p, v);
        return;
    }
    vst1q_f32(lanes, v);
    for (int i = 0; i < m; i++)
        p[i] = lanes[i];
}

INLINE vec vec_set(float x) { return vdupq_n_f32(x); }
INLINE vec vec_zero(void) { return vdupq_n_f32(0); }
INLINE vec vec_add(vec a, vec b) { return vaddq_f32(a, b); }
INLINE vec vec_sub(vec a, vec b) { return vsubq_f32(a, b); }
INLINE vec vec_mul(vec a, vec b) { return vmulq_f32(a, b); }
INLINE vec vec_div(vec a, vec b) { return vdivq_f32(a, b); }
INLINE vec vec_fma(vec a, vec b, vec c) { return vfmaq_f32(c, a, b); }
/* sum += a b */
INLINE vec vec_accumulate(vec sum, vec a, vec b) { return vfmaq_f32(sum, a, b); }
/* c - a b */
INLINE vec vec_fnma(vec a, vec b, vec c) { return vfmsq_f32(c, a, b); }
/* a NaN where either is one */
INLINE vec vec_min(vec a, vec b) { return vminq_f32(a, b); }
INLINE vec vec_max(vec a, vec b) { return vmaxq_f32(a, b); }
/* b where a is a NaN */
INLINE vec vec_max_number(vec a, vec b) { return vmaxnmq_f32(a, b); }
INLINE vec vec_round(vec a) { return vrndnq_f32(a); }
/* 2^n for whole n in -126..127 */
INLINE vec vec_power2(int32x4_t n) { return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23)); }
/* a * 2^n, n whole and in -252..254, in two steps: gradual underflow, infinity above */
INLINE vec vec_scale2(vec a, vec n)
{
    const int32x4_t whole = vcvtq_s32_f32(n), half = vshrq_n_s32(whole, 1);
    return vmulq_f32(vmulq_f32(a, vec_power2(half)), vec_power2(vsubq_s32(whole, half)));
}
/* a * 2^n for a normal result, n whole and in the low bits of t */
INLINE vec vec_add_exponent(vec a, vec t)
{
    return vreinterpretq_f32_s32(vaddq_s32(vreinterpretq_s32_f32(a), vshlq_n_s32(vreinterpretq_s32_f32(t), 23)));
}
/* x < 0 ? a : b */
INLINE vec vec_negative(vec x, vec a, vec b) { return vbslq_f32(vcltzq_f32(x), a, b); }
/* a where the lane is in the mask, else b */
INLINE vec vec_select(vmask m, vec a, vec b)
{
    static const int32_t lane[LANES] = {0, 1, 2, 3};
    return vbslq_f32(vcltq_s32(vld1q_s32(lane), vdupq_n_s32(m)), a, b);
}
INLINE float vec_sum(vec a) { return vaddvq_f32(a); }
INLINE float vec_largest(vec a) { return vmaxvq_f32(a); }

/* bf16 elements: widening, and narrowing to nearest even. */
INLINE vec vec_load_bf16(const uint16_t *p, vmask m)
{
    uint16_t lanes[LANES] = {0};
    memcpy(lanes, p, 2 * mask_lanes(m));
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(lanes), 16));
}
INLINE void vec_store_bf16(uint16_t *p, vec v, vmask m)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(v), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t even = vaddq_u32(vaddq_u32(bits, odd), vdupq_n_u32(0x7fff));
    const uint16x4_t nan = vorr_u16(vshrn_n_u32(bits, 16), vdup_n_u16(0x40));
    uint16_t lanes[LANES];

    vst1_u16(lanes, vbsl_u16(vmovn_u32(vceqq_f32(v, v)), vshrn_n_u32(even, 16), nan));
    memcpy(p, lanes, 2 * mask_lanes(m));
}
/* u8 elements: widening, and clamp(round(v) + zero, 0, 255). */
INLINE vec vec_load_u8(const uint8_t *p, vmask m)
{
    uint8_t lanes[8] = {0};
    memcpy(lanes, p, mask_lanes(m));
    return vcvtq_f32_u32(vmovl_u16(vget_low_u16(vmovl_u8(vld1_u8(lanes)))));
}
INLINE void vec_store_u8(uint8_t *p, vec v, int zero, vmask m)
{
    const int32x4_t q = vqaddq_s32(vcvtnq_s32_f32(v), vdupq_n_s32(zero));
    const uint16x4_t words = vqmovun_s32(q);
    uint8_t lanes[8];

    vst1_u8(lanes, vqmovn_u16(vcombine_u16(words, words)));
    memcpy(p, lanes, mask_lanes(m));
}

#endif
