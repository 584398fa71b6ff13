#include <immintrin.h>

#include "core/image/pixels/resample.h"

/* The multiply-add takes 16-bit numbers: w = high * 2^15 + low, low in [0, 2^15).  Packed: of four taps the low
 * halves, then the high ones. */
enum { LOW_BITS = 15, PACKED_GROUP = 2 * RESAMPLE_GROUP };

static void pack(struct resample_axis *axis)
{
    int16_t *to = axis->packed;
    const int32_t *w = axis->weights, *end = w + (size_t)axis->padded * (size_t)axis->taps;

    for (; w < end; w += RESAMPLE_GROUP, to += PACKED_GROUP)
        for (int i = 0; i < RESAMPLE_GROUP; i++) {
            to[i] = (int16_t)(w[i] & ((1 << LOW_BITS) - 1));
            to[RESAMPLE_GROUP + i] = (int16_t)(w[i] >> LOW_BITS);
        }
}

/* low + high * 2^15, with the rounding in low already, to int32 pixels */
static inline __m256i join(__m256i low, __m256i high)
{
    __m256i sum = _mm256_add_epi32(low, _mm256_slli_epi32(high, LOW_BITS));

    return _mm256_srai_epi32(sum, RESAMPLE_BITS);
}

static inline __m256i load2(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

static inline __m256i pair_weights(const int16_t *w)
{
    int32_t pair;

    __builtin_memcpy(&pair, w, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* One result of two rows, a row in each half: of four RGB pixels, pairs of taps become words (R R G G B B . .), which
 * the multiply-add sums by channel. */
static inline __m256i one_result(const uint8_t *a, const uint8_t *b, const int16_t *w, int count)
{
    const __m256i pair0 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i pair1 = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    __m256i low = _mm256_set1_epi32(1 << (RESAMPLE_BITS - 1)), high = _mm256_setzero_si256();

    for (int k = 0; k < count; k += RESAMPLE_GROUP, w += PACKED_GROUP) {
        __m256i p = load2(a + 3 * k, b + 3 * k), p0 = _mm256_shuffle_epi8(p, pair0), p1 = _mm256_shuffle_epi8(p, pair1);
        low = _mm256_add_epi32(low, _mm256_madd_epi16(p0, pair_weights(w)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(p0, pair_weights(w + RESAMPLE_GROUP)));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(p1, pair_weights(w + 2)));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(p1, pair_weights(w + RESAMPLE_GROUP + 2)));
    }
    return join(low, high);
}

static void two_rows(const uint8_t *a, const uint8_t *b, const struct resample_axis *axis, uint8_t *out_a,
                     uint8_t *out_b)
{
    const __m256i close = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    size_t step = (size_t)(axis->taps / RESAMPLE_GROUP) * PACKED_GROUP;
    const int16_t *w = axis->packed;

    for (int i = 0; i < axis->size; i += 4, w += 4 * step) {
        __m256i results[4], bytes;
        size_t at = (size_t)i * 3;
        for (int j = 0; j < 4; j++) {
            size_t offset = (size_t)axis->first[i + j] * 3;
            results[j] = one_result(a + offset, b + offset, w + (size_t)j * step, axis->count[i + j]);
        }
        bytes = _mm256_packus_epi16(_mm256_packs_epi32(results[0], results[1]),
                                    _mm256_packs_epi32(results[2], results[3]));
        bytes = _mm256_shuffle_epi8(bytes, close); /* the fourth byte of each pixel is nothing */
        _mm_storeu_si128((__m128i *)(out_a + at), _mm256_castsi256_si128(bytes));
        _mm_storeu_si128((__m128i *)(out_b + at), _mm256_extracti128_si256(bytes, 1));
    }
}

static void horizontal(const uint8_t *const rows[RESAMPLE_ROWS], const struct resample_axis *axis,
                       uint8_t *const out[RESAMPLE_ROWS])
{
    for (int j = 0; j < RESAMPLE_ROWS; j += 2)
        two_rows(rows[j], rows[j + 1], axis, out[j], out[j + 1]);
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

static void vertical(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                     size_t bytes)
{
    const uint8_t *first = rows + (size_t)(axis->first[y] - axis->begin) * stride;
    const int16_t *w = (const int16_t *)axis->packed + (size_t)y * (size_t)axis->taps * 2;
    int count = axis->count[y];

    for (size_t x = 0; x < bytes; x += sizeof(__m256i)) {
        const uint8_t *a = first + x;
        __m256i low[4], high[4], words0, words1;
        for (int i = 0; i < 4; i++) {
            low[i] = _mm256_set1_epi32(1 << (RESAMPLE_BITS - 1));
            high[i] = _mm256_setzero_si256();
        }
        for (int k = 0; k < count; k += 2, a += 2 * stride) {
            const int16_t *pair = w + k / RESAMPLE_GROUP * PACKED_GROUP + k % RESAMPLE_GROUP;
            const uint8_t *b = k + 1 < count ? a + stride : a; /* past the last: any row, its weight is 0 */
            accumulate(a, b, pair_weights(pair), pair_weights(pair + RESAMPLE_GROUP), low, high);
        }
        words0 = _mm256_packs_epi32(join(low[0], high[0]), join(low[1], high[1]));
        words1 = _mm256_packs_epi32(join(low[2], high[2]), join(low[3], high[3]));
        _mm256_storeu_si256((__m256i *)(out + x), _mm256_packus_epi16(words0, words1));
    }
}

const struct resample_kernels resample_avx2 = {
    .name = "avx2", .packed_bytes = 2 * sizeof(int16_t), .pack = pack, .horizontal = horizontal, .vertical = vertical};
