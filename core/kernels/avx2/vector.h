/* The vector of AVX2 + FMA under the names that the shared kernels of core/kernels/simd/ are written in: 8 floats, and
 * masks of lanes.  Masked loads touch no memory of the lanes that are left out and give 0 there.  A mask is always the
 * first n lanes. */
#ifndef INFOMASK_KERNELS_AVX2_VECTOR_H
#define INFOMASK_KERNELS_AVX2_VECTOR_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
/* loops over registers: they must be unrolled, or the registers become memory */
#define UNROLL _Pragma("GCC unroll 32")

enum { LANES = 8 };
typedef __m256 vec;
typedef __m256i vmask;

/* The first n lanes, n in 0..8. */
INLINE vmask mask_first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE size_t mask_lanes(vmask m)
{
    return (size_t)__builtin_popcount((unsigned)_mm256_movemask_ps(_mm256_castsi256_ps(m)));
}

INLINE vec vec_load(const float *p) { return _mm256_loadu_ps(p); }
INLINE vec vec_load_mask(const float *p, vmask m) { return _mm256_maskload_ps(p, m); }
INLINE void vec_store(float *p, vec v) { _mm256_storeu_ps(p, v); }
/* (a masked store is slow on some processors, so only where lanes are missing) */
INLINE void vec_store_mask(float *p, vec v, vmask m)
{
    if (mask_lanes(m) == LANES)
        _mm256_storeu_ps(p, v);
    else
        _mm256_maskstore_ps(p, m, v);
}

INLINE vec vec_set(float x) { return _mm256_set1_ps(x); }
INLINE vec vec_zero(void) { return _mm256_setzero_ps(); }
INLINE vec vec_add(vec a, vec b) { return _mm256_add_ps(a, b); }
INLINE vec vec_sub(vec a, vec b) { return _mm256_sub_ps(a, b); }
INLINE vec vec_mul(vec a, vec b) { return _mm256_mul_ps(a, b); }
INLINE vec vec_div(vec a, vec b) { return _mm256_div_ps(a, b); }
INLINE vec vec_fma(vec a, vec b, vec c) { return _mm256_fmadd_ps(a, b, c); }
/* sum += a b, in the register of the sum: where many sums are held in registers, gcc 12 moves and spills them if it is
 * free to choose which operand is overwritten. */
INLINE vec vec_accumulate(vec sum, vec a, vec b)
{
    __asm__("vfmadd231ps %2, %1, %0" : "+x"(sum) : "x"(a), "x"(b));
    return sum;
}
/* c - a b */
INLINE vec vec_fnma(vec a, vec b, vec c) { return _mm256_fnmadd_ps(a, b, c); }
/* the second operand where either is a NaN */
INLINE vec vec_min(vec a, vec b) { return _mm256_min_ps(a, b); }
INLINE vec vec_max(vec a, vec b) { return _mm256_max_ps(a, b); }
/* b where a is a NaN */
INLINE vec vec_max_number(vec a, vec b) { return _mm256_max_ps(a, b); }
INLINE vec vec_round(vec a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
/* 2^n for whole n in -126..127 */
INLINE vec vec_power2(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
/* a * 2^n, n whole and in -252..254, in two steps: gradual underflow, infinity above */
INLINE vec vec_scale2(vec a, vec n)
{
    const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
    return _mm256_mul_ps(_mm256_mul_ps(a, vec_power2(half)), vec_power2(_mm256_sub_epi32(whole, half)));
}
/* a * 2^n for a normal result, n whole and in the low bits of t */
INLINE vec vec_add_exponent(vec a, vec t)
{
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_castps_si256(a), _mm256_slli_epi32(_mm256_castps_si256(t), 23)));
}
/* x < 0 ? a : b */
INLINE vec vec_negative(vec x, vec a, vec b)
{
    return _mm256_blendv_ps(b, a, _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
}
/* a where the lane is in the mask, else b */
INLINE vec vec_select(vmask m, vec a, vec b) { return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(m)); }
INLINE float vec_sum(vec a)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}
INLINE float vec_largest(vec a)
{
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

/* bf16 elements: widening, and narrowing to nearest even. */
INLINE vec vec_load_bf16(const uint16_t *p, vmask m)
{
    uint16_t lanes[LANES] = {0};
    if (mask_lanes(m) != LANES)
        p = memcpy(lanes, p, 2 * mask_lanes(m));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16));
}
INLINE void vec_store_bf16(uint16_t *p, vec v, vmask m)
{
    const __m256i bits = _mm256_castps_si256(v), high = _mm256_srli_epi32(bits, 16);
    const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
    const __m256i even = _mm256_add_epi32(_mm256_add_epi32(bits, odd), _mm256_set1_epi32(0x7fff));
    const __m256i is_nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i nan = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
    const __m256i q = _mm256_blendv_epi8(_mm256_srli_epi32(even, 16), nan, is_nan);
    const __m128i narrow = _mm_packus_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    uint16_t lanes[LANES];

    _mm_storeu_si128((__m128i *)lanes, narrow);
    memcpy(p, lanes, 2 * mask_lanes(m));
}
/* u8 elements: widening, and clamp(round(v) + zero, 0, 255). */
INLINE vec vec_load_u8(const uint8_t *p, vmask m)
{
    uint8_t lanes[LANES] = {0};
    if (mask_lanes(m) != LANES)
        p = memcpy(lanes, p, mask_lanes(m));
    return _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p)));
}
INLINE void vec_store_u8(uint8_t *p, vec v, int zero, vmask m)
{
    /* what no integer holds would become the smallest one */
    const vec near = vec_max(vec_set(-1024), vec_min(vec_set(1024), v));
    const __m256i q = _mm256_add_epi32(_mm256_cvtps_epi32(near), _mm256_set1_epi32(zero));
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    const __m128i bytes = _mm_packus_epi16(words, words);
    uint8_t lanes[2 * LANES];

    if (mask_lanes(m) == LANES) {
        _mm_storel_epi64((__m128i *)(void *)p, bytes);
        return;
    }
    _mm_storeu_si128((__m128i *)(void *)lanes, bytes);
    memcpy(p, lanes, mask_lanes(m));
}

#endif
