/* Distances of patches: a row of seven pixels of four bytes is a vector less four bytes. */
#include "core/kernels/avx2/avx2.h"

#include <immintrin.h>

static inline __m256i row_squares(__m256i a, __m256i b, __m256i counts)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i d = _mm256_or_si256(_mm256_subs_epu8(a, b), _mm256_subs_epu8(b, a)), low, high;

    d = _mm256_and_si256(d, counts);
    low = _mm256_unpacklo_epi8(d, zero);
    high = _mm256_unpackhi_epi8(d, zero);
    return _mm256_add_epi32(_mm256_madd_epi16(low, low), _mm256_madd_epi16(high, high));
}

static inline uint32_t total(__m256i sum)
{
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));

    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(1, 0, 3, 2)));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, _MM_SHUFFLE(2, 3, 0, 1)));
    return (uint32_t)_mm_cvtsi128_si32(s);
}

static inline __m256i load(const uint8_t *p) { return _mm256_loadu_si256((const void *)p); }

static uint32_t patch_distance(const uint8_t *a, const uint8_t *b, ptrdiff_t row, const uint8_t *counts, uint32_t stop)
{
    const __m256i seven = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, -1, 0);
    __m256i sum = _mm256_setzero_si256();
    uint32_t so_far = 0;

    for (int first = 0, last = 3; first < KERNEL_PATCH; first = last, last = KERNEL_PATCH) {
        for (ptrdiff_t at = first * row; at < last * row; at += row) {
            __m256i of = counts == NULL ? seven : _mm256_and_si256(seven, load(counts + at));
            sum = _mm256_add_epi32(sum, row_squares(load(a + at), load(b + at), of));
        }
        so_far = total(sum);
        if (so_far >= stop)
            break;
    }
    return so_far;
}

/* ---- Votes: the seven patches of a row side by side -------------------------------------------------------------- */

static inline float lanes(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}

static inline __m256 add_byte(__m256 sum, __m256i pixels, int byte, __m256 weights)
{
    __m256i value = _mm256_and_si256(_mm256_srli_epi32(pixels, 8 * byte), _mm256_set1_epi32(255));
    return _mm256_add_ps(sum, _mm256_mul_ps(weights, _mm256_cvtepi32_ps(value)));
}

static void patch_votes(const uint8_t *pixels, const uint32_t *field, const float *weight, size_t at, size_t row,
                        int first, int last, float sum[5])
{
    const __m256i seven = _mm256_setr_epi32(-1, -1, -1, -1, -1, -1, -1, 0);
    const __m256i across = _mm256_setr_epi32(3, 2, 1, 0, -1, -2, -3, -4);
    __m256 total[5];

    for (int c = 0; c < 5; c++)
        total[c] = _mm256_setzero_ps();
    for (int dy = first; dy <= last; dy++) {
        ptrdiff_t down = dy * (ptrdiff_t)row, t = (ptrdiff_t)at + down - KERNEL_PATCH / 2;
        __m256 weights = _mm256_maskload_ps(weight + t, seven);
        __m256i from = _mm256_maskload_epi32((const int *)field + t, seven), value;
        from = _mm256_add_epi32(from, _mm256_sub_epi32(across, _mm256_set1_epi32((int)down)));
        value = _mm256_mask_i32gather_epi32(_mm256_setzero_si256(), (const int *)(const void *)pixels, from, seven, 4);
        for (int c = 0; c < 4; c++)
            total[c] = add_byte(total[c], value, c, weights);
        total[4] = _mm256_add_ps(total[4], weights);
    }
    for (int c = 0; c < 5; c++)
        sum[c] = lanes(total[c]);
}

void avx2_patch(struct kernel_table *table)
{
    table->patch_distance = patch_distance;
    table->patch_votes = patch_votes;
}
