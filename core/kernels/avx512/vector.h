/* The vector of AVX-512 under the names that the shared kernels of core/kernels/simd/ are written in: 16 floats, and
 * masks of lanes.  Masked loads touch no memory of the lanes that are left out and give 0 there. */
#ifndef INFOMASK_KERNELS_AVX512_VECTOR_H
#define INFOMASK_KERNELS_AVX512_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#define INLINE static inline __attribute__((always_inline))
/* loops over registers: they must be unrolled, or the registers become memory */
#define UNROLL _Pragma("GCC unroll 32")

enum { LANES = 16 };
typedef __m512 vec;
typedef __mmask16 vmask;

/* The first n lanes, n in 0..16. */
INLINE vmask mask_first(int n) { return (vmask)((1u << n) - 1); }

INLINE vec vec_load(const float *p) { return _mm512_loadu_ps(p); }
INLINE vec vec_load_mask(const float *p, vmask m) { return _mm512_maskz_loadu_ps(m, p); }
INLINE void vec_store(float *p, vec v) { _mm512_storeu_ps(p, v); }
INLINE void vec_store_mask(float *p, vec v, vmask m) { _mm512_mask_storeu_ps(p, m, v); }

INLINE vec vec_set(float x) { return _mm512_set1_ps(x); }
INLINE vec vec_zero(void) { return _mm512_setzero_ps(); }
INLINE vec vec_add(vec a, vec b) { return _mm512_add_ps(a, b); }
INLINE vec vec_sub(vec a, vec b) { return _mm512_sub_ps(a, b); }
INLINE vec vec_mul(vec a, vec b) { return _mm512_mul_ps(a, b); }
INLINE vec vec_div(vec a, vec b) { return _mm512_div_ps(a, b); }
INLINE vec vec_fma(vec a, vec b, vec c) { return _mm512_fmadd_ps(a, b, c); }
/* sum += a b, in the register of the sum: where many sums are held in registers, gcc 12 moves and spills them if it is
 * free to choose which operand is overwritten. */
INLINE vec vec_accumulate(vec sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
/* c - a b */
INLINE vec vec_fnma(vec a, vec b, vec c) { return _mm512_fnmadd_ps(a, b, c); }
/* the second operand where either is a NaN */
INLINE vec vec_min(vec a, vec b) { return _mm512_min_ps(a, b); }
INLINE vec vec_max(vec a, vec b) { return _mm512_max_ps(a, b); }
/* b where a is a NaN */
INLINE vec vec_max_number(vec a, vec b) { return _mm512_max_ps(a, b); }
INLINE vec vec_round(vec a) { return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* a * 2^n, n whole: gradual underflow, infinity above */
INLINE vec vec_scale2(vec a, vec n) { return _mm512_scalef_ps(a, n); }
/* a * 2^n for a normal result, n whole and in the low bits of t */
INLINE vec vec_add_exponent(vec a, vec t)
{
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_castps_si512(a), _mm512_slli_epi32(_mm512_castps_si512(t), 23)));
}
/* x < 0 ? a : b */
INLINE vec vec_negative(vec x, vec a, vec b)
{
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ), b, a);
}
/* a where the lane is in the mask, else b */
INLINE vec vec_select(vmask m, vec a, vec b) { return _mm512_mask_blend_ps(m, b, a); }
INLINE float vec_sum(vec a) { return _mm512_reduce_add_ps(a); }
INLINE float vec_largest(vec a) { return _mm512_reduce_max_ps(a); }

/* bf16 elements: widening, and narrowing to nearest even, which only processors with BF16 have (what is below the
 * smallest normal number becomes 0). */
INLINE vec vec_load_bf16(const uint16_t *p, vmask m)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(m, p)), 16));
}
INLINE void vec_store_bf16(uint16_t *p, vec v, vmask m)
{
    _mm256_mask_storeu_epi16(p, m, (__m256i)_mm512_cvtneps_pbh(v));
}
/* u8 elements: widening, and clamp(round(v) + zero, 0, 255). */
INLINE vec vec_load_u8(const uint8_t *p, vmask m)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(m, p)));
}
INLINE void vec_store_u8(uint8_t *p, vec v, int zero, vmask m)
{
    /* what no integer holds would become the smallest one */
    const vec near = vec_max(vec_set(-1024), vec_min(vec_set(1024), v));
    __m512i q = _mm512_add_epi32(_mm512_cvtps_epi32(near), _mm512_set1_epi32(zero));
    _mm_mask_storeu_epi8(p, m, _mm512_cvtusepi32_epi8(_mm512_max_epi32(q, _mm512_setzero_si512())));
}

#endif
