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

    if (counts != NULL) {
        for (ptrdiff_t at = 0; at < KERNEL_PATCH * row; at += row)
            sum = _mm256_add_epi32(sum, row_squares(load(a + at), load(b + at), _mm256_and_si256(seven, load(counts + at))));
        return total(sum);
    }
    for (ptrdiff_t at = 0; at < 3 * row; at += row)
        sum = _mm256_add_epi32(sum, row_squares(load(a + at), load(b + at), seven));
    if (total(sum) >= stop)
        return total(sum);
    for (ptrdiff_t at = 3 * row; at < KERNEL_PATCH * row; at += row)
        sum = _mm256_add_epi32(sum, row_squares(load(a + at), load(b + at), seven));
    return total(sum);
}

void avx2_patch(struct kernel_table *table) { table->patch_distance = patch_distance; }
