#include <assert.h>
#include <immintrin.h>

#include "core/image/pixels/resample.h"

/* The dot product takes four unsigned bytes by four signed ones, so a weight is three signed digits to the base 256:
 * w = d0 + 256 d1 + 65536 d2.  The kernels' largest weight, 1.3 * 2^22 at a photo's edge, has |d2| < 128.  Packed: of
 * four taps the four d0, the four d1, the four d2, four zeros. */
enum { DIGITS = 3, PACKED_GROUP = 4 * RESAMPLE_GROUP };

static void pack(struct resample_axis *axis)
{
    int8_t *to = axis->packed;
    const int32_t *w = axis->weights, *end = w + (size_t)axis->padded * (size_t)axis->taps;

    for (; w < end; w += RESAMPLE_GROUP, to += PACKED_GROUP)
        for (int i = 0; i < RESAMPLE_GROUP; i++) {
            int32_t rest = w[i];
            for (int digit = 0; digit < DIGITS; digit++) {
                to[digit * RESAMPLE_GROUP + i] = (int8_t)(rest & 255);
                rest = (rest - (int8_t)(rest & 255)) >> 8;
            }
            assert(rest == 0);
            to[DIGITS * RESAMPLE_GROUP + i] = 0;
        }
}

/* Sums by digit to int32 pixels; the rounding is in sums[0] already */
static inline __m512i join(const __m512i sums[DIGITS])
{
    __m512i high = _mm512_add_epi32(sums[1], _mm512_slli_epi32(sums[2], 8));

    return _mm512_srai_epi32(_mm512_add_epi32(sums[0], _mm512_slli_epi32(high, 8)), RESAMPLE_BITS);
}

static inline __m512i rounding(void) { return _mm512_set1_epi32(1 << (RESAMPLE_BITS - 1)); }

/* The same four digits in every lane; the compiler makes it the dot product's operand */
static inline __m512i broadcast4(const int8_t *digits)
{
    int32_t four;

    __builtin_memcpy(&four, digits, sizeof four);
    return _mm512_set1_epi32(four);
}

static inline __m256i load2(const uint8_t *a, const uint8_t *b)
{
    return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)a)),
                                   _mm_loadu_si128((const __m128i *)b), 1);
}

/* One result of four rows, a row in each quarter: four RGB pixels become R R R R G G G G B B B B. */
static inline __m512i one_result(const uint8_t *const rows[RESAMPLE_ROWS], size_t offset, const int8_t *w, int count)
{
    const __m512i planes =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 6, 9, 1, 4, 7, 10, 2, 5, 8, 11, -1, -1, -1, -1));
    __m512i sums[DIGITS] = {rounding(), _mm512_setzero_si512(), _mm512_setzero_si512()};

    for (int k = 0; k < count; k += RESAMPLE_GROUP, offset += 3 * RESAMPLE_GROUP, w += PACKED_GROUP) {
        __m512i p = _mm512_inserti64x4(_mm512_castsi256_si512(load2(rows[0] + offset, rows[1] + offset)),
                                       load2(rows[2] + offset, rows[3] + offset), 1);
        p = _mm512_shuffle_epi8(p, planes);
        for (int digit = 0; digit < DIGITS; digit++)
            sums[digit] = _mm512_dpbusd_epi32(sums[digit], p, broadcast4(w + digit * RESAMPLE_GROUP));
    }
    return join(sums);
}

static void horizontal(const uint8_t *const rows[RESAMPLE_ROWS], const struct resample_axis *axis,
                       uint8_t *const out[RESAMPLE_ROWS])
{
    const __m512i close =
        _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, -1, -1, -1, -1));
    size_t step = (size_t)(axis->taps / RESAMPLE_GROUP) * PACKED_GROUP;
    const int8_t *w = axis->packed;

    for (int i = 0; i < axis->size; i += 4, w += 4 * step) {
        __m512i results[4], bytes;
        size_t at = (size_t)i * 3;
        for (int j = 0; j < 4; j++)
            results[j] = one_result(rows, (size_t)axis->first[i + j] * 3, w + (size_t)j * step, axis->count[i + j]);
        bytes = _mm512_packus_epi16(_mm512_packs_epi32(results[0], results[1]),
                                    _mm512_packs_epi32(results[2], results[3]));
        bytes = _mm512_shuffle_epi8(bytes, close); /* the fourth byte of each pixel is nothing */
        _mm_storeu_si128((__m128i *)(out[0] + at), _mm512_castsi512_si128(bytes));
        _mm_storeu_si128((__m128i *)(out[1] + at), _mm512_extracti32x4_epi32(bytes, 1));
        _mm_storeu_si128((__m128i *)(out[2] + at), _mm512_extracti32x4_epi32(bytes, 2));
        _mm_storeu_si128((__m128i *)(out[3] + at), _mm512_extracti32x4_epi32(bytes, 3));
    }
}

/* Bytes of four rows become (a b c d a b c d ..), four vectors of 16 columns, in the order that packing undoes. */
static inline void interleave(const uint8_t *const rows[4], __m512i out[4])
{
    __m512i a = _mm512_loadu_si512(rows[0]), b = _mm512_loadu_si512(rows[1]);
    __m512i c = _mm512_loadu_si512(rows[2]), d = _mm512_loadu_si512(rows[3]);
    __m512i ab0 = _mm512_unpacklo_epi8(a, b), ab1 = _mm512_unpackhi_epi8(a, b);
    __m512i cd0 = _mm512_unpacklo_epi8(c, d), cd1 = _mm512_unpackhi_epi8(c, d);

    out[0] = _mm512_unpacklo_epi16(ab0, cd0);
    out[1] = _mm512_unpackhi_epi16(ab0, cd0);
    out[2] = _mm512_unpacklo_epi16(ab1, cd1);
    out[3] = _mm512_unpackhi_epi16(ab1, cd1);
}

static void vertical(const uint8_t *rows, size_t stride, const struct resample_axis *axis, int y, uint8_t *out,
                     size_t bytes)
{
    const uint8_t *first = rows + (size_t)(axis->first[y] - axis->begin) * stride;
    const int8_t *w = (const int8_t *)axis->packed + (size_t)y * (size_t)(axis->taps / RESAMPLE_GROUP) * PACKED_GROUP;
    int last = axis->count[y] - 1;

    for (size_t x = 0; x < bytes; x += RESAMPLE_BLOCK) {
        __m512i sums[4][DIGITS], low, high;
        for (int i = 0; i < 4; i++) {
            sums[i][0] = rounding();
            sums[i][1] = sums[i][2] = _mm512_setzero_si512();
        }
        for (int k = 0; k <= last; k += RESAMPLE_GROUP) {
            const int8_t *v = w + k / RESAMPLE_GROUP * PACKED_GROUP;
            const uint8_t *four[4];
            __m512i p[4];
            for (int j = 0; j < 4; j++) /* past the last: any row, its weight is 0 */
                four[j] = first + (size_t)(k + j < last ? k + j : last) * stride + x;
            interleave(four, p);
            for (int digit = 0; digit < DIGITS; digit++) {
                __m512i weights = broadcast4(v + digit * RESAMPLE_GROUP);
                for (int i = 0; i < 4; i++)
                    sums[i][digit] = _mm512_dpbusd_epi32(sums[i][digit], p[i], weights);
            }
        }
        low = _mm512_packs_epi32(join(sums[0]), join(sums[1]));
        high = _mm512_packs_epi32(join(sums[2]), join(sums[3]));
        _mm512_storeu_si512(out + x, _mm512_packus_epi16(low, high));
    }
}

const struct resample_kernels resample_avx512 = {
    .name = "avx512", .packed_bytes = 4, .pack = pack, .horizontal = horizontal, .vertical = vertical};
