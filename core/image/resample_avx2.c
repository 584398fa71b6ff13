#include <immintrin.h>

#include "core/image/resample.h"

/* low + high * 2^15, rounded already, to int32 pixels */
static inline __m256i join(__m256i low, __m256i high)
{
    __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, RESAMPLE_LOW_BITS));

    return _mm256_srai_epi32(sum, RESAMPLE_BITS);
}

static inline __m256i load2(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

/* Two results at a time, one in each half: of four RGB pixels, tap pairs become words (R R G G B B . .), which the
 * multiply-add sums per channel. */
static inline void two_results(const uint8_t *a, const uint8_t *b, const int16_t *wa, const int16_t *wb, int taps,
                               uint8_t *out)
{
    const __m256i pair0 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i pair1 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    __m256i low = _mm256_set1_epi32(1 << (RESAMPLE_BITS - 1)), high = _mm256_setzero_si256();
    __m256i bytes;

    for (int k = 0; k < taps; k += RESAMPLE_GROUP, a += 12, b += 12, wa += 8, wb += 8) {
        __m256i p = load2(a, b), w = load2((const uint8_t *)wa, (const uint8_t *)wb);
        __m256i p0 = _mm256_shuffle_epi8(p, pair0), p1 = _mm256_shuffle_epi8(p, pair1);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(p0, _mm256_shuffle_epi32(w, 0x00)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(p0, _mm256_shuffle_epi32(w, 0xAA)));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(p1, _mm256_shuffle_epi32(w, 0x55)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(p1, _mm256_shuffle_epi32(w, 0xFF)));
    }
    bytes = join(low, high);
    bytes = _mm256_packs_epi32(bytes, bytes);
    bytes = _mm256_packus_epi16(bytes, bytes);
    _mm_storeu_si32(out, _mm256_castsi256_si128(bytes)); /* the fourth byte is overwritten by the next */
    _mm_storeu_si32(out + 3, _mm256_extracti128_si256(bytes, 1));
}

void resample_horizontal_avx2(const uint8_t *row, const struct resample_axis *axis, uint8_t *out)
{
    size_t step = (size_t)axis->taps * 2;
    const int16_t *w = axis->split;
    int i = 0;

    for (; i + 1 < axis->size; i += 2, out += 6, w += 2 * step)
        two_results(row + (size_t)axis->first[i] * 3, row + (size_t)axis->first[i + 1] * 3, w, w + step,
                    axis->count[i], out);
    if (i < axis->size) { /* an odd one: computed twice, the copy lies in the row's padding */
        const uint8_t *p = row + (size_t)axis->first[i] * 3;
        two_results(p, p, w, w, axis->count[i], out);
    }
}

/* Rows a and b become words (a b a b ..), four vectors of eight pairs */
static inline void accumulate(const uint8_t *a, const uint8_t *b, __m256i low_weights, __m256i high_weights,
                              __m256i low[4], __m256i high[4])
{
    __m256i zero = _mm256_setzero_si256(), words[4];
    __m256i va = _mm256_loadu_si256((const __m256i *)a), vb = _mm256_loadu_si256((const __m256i *)b);
    __m256i ab0 = _mm256_unpacklo_epi8(va, vb), ab1 = _mm256_unpackhi_epi8(va, vb);

    words[0] = _mm256_unpacklo_epi8(ab0, zero);
    words[1] = _mm256_unpackhi_epi8(ab0, zero);
    words[2] = _mm256_unpacklo_epi8(ab1, zero);
    words[3] = _mm256_unpackhi_epi8(ab1, zero);
    for (int i = 0; i < 4; i++) {
        low[i] = _mm256_add_epi32(low[i], _mm256_madd_epi16(words[i], low_weights));
        high[i] = _mm256_add_epi32(high[i], _mm256_madd_epi16(words[i], high_weights));
    }
}

static inline __m256i pair_weights(const int16_t *w)
{
    int32_t pair;

    __builtin_memcpy(&pair, w, sizeof pair);
    return _mm256_set1_epi32(pair);
}

void resample_vertical_avx2(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                            size_t bytes)
{
    const uint8_t *first = rows + (size_t)(axis->first[y] - axis->begin) * stride;
    const int16_t *w = axis->split + (size_t)y * (size_t)axis->taps * 2;
    int count = axis->count[y];

    for (size_t x = 0; x < bytes; x += RESAMPLE_BLOCK) {
        const uint8_t *a = first + x;
        __m256i low[4], high[4], words0, words1;
        for (int i = 0; i < 4; i++) {
            low[i] = _mm256_set1_epi32(1 << (RESAMPLE_BITS - 1));
            high[i] = _mm256_setzero_si256();
        }
        for (int k = 0; k < count; k += 2, a += 2 * stride) {
            const int16_t *pair = w + k / RESAMPLE_GROUP * 8 + k % RESAMPLE_GROUP;
            const uint8_t *b = k + 1 < count ? a + stride : a; /* past the last: any row, its weight is 0 */
            accumulate(a, b, pair_weights(pair), pair_weights(pair + RESAMPLE_GROUP), low, high);
        }
        words0 = _mm256_packs_epi32(join(low[0], high[0]), join(low[1], high[1]));
        words1 = _mm256_packs_epi32(join(low[2], high[2]), join(low[3], high[3]));
        _mm256_storeu_si256((__m256i *)(out + x), _mm256_packus_epi16(words0, words1));
    }
}
