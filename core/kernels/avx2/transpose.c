/* Turning a matrix, 8 x 8 elements in registers at a time. */
#include "core/kernels/avx2/avx2.h"
#include "core/kernels/blas/blas.h"

/* Rows of pairs, of fours, of eights: each step exchanges what two registers have in common. */
INLINE void turn(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row)
{
    __m256 a[8], b[8];

    UNROLL for (int i = 0; i < 8; i++)
        a[i] = _mm256_loadu_ps(x + i * x_row);
    UNROLL for (int i = 0; i < 8; i += 2) {
        b[i] = _mm256_unpacklo_ps(a[i], a[i + 1]);
        b[i + 1] = _mm256_unpackhi_ps(a[i], a[i + 1]);
    }
    UNROLL for (int i = 0; i < 8; i += 4) {
        a[i] = _mm256_shuffle_ps(b[i], b[i + 2], 0x44);
        a[i + 1] = _mm256_shuffle_ps(b[i], b[i + 2], 0xee);
        a[i + 2] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0x44);
        a[i + 3] = _mm256_shuffle_ps(b[i + 1], b[i + 3], 0xee);
    }
    UNROLL for (int i = 0; i < 4; i++) {
        _mm256_storeu_ps(y + i * y_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x20));
        _mm256_storeu_ps(y + (i + 4) * y_row, _mm256_permute2f128_ps(a[i], a[i + 4], 0x31));
    }
}

/* Two rows, element by element in turn: how channels are shuffled. */
static void weave(const float *x, ptrdiff_t x_row, float *y, size_t columns)
{
    size_t c = 0;

    for (; c + 8 <= columns; c += 8) {
        __m256 a = _mm256_loadu_ps(x + c), b = _mm256_loadu_ps(x + x_row + (ptrdiff_t)c);
        __m256 low = _mm256_unpacklo_ps(a, b), high = _mm256_unpackhi_ps(a, b);
        _mm256_storeu_ps(y + 2 * c, _mm256_permute2f128_ps(low, high, 0x20));
        _mm256_storeu_ps(y + 2 * c + 8, _mm256_permute2f128_ps(low, high, 0x31));
    }
    for (; c < columns; c++) {
        y[2 * c] = x[c];
        y[2 * c + 1] = x[x_row + (ptrdiff_t)c];
    }
}

static void transpose(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row, size_t rows, size_t columns)
{
    const size_t whole_rows = rows / 8 * 8, whole = columns / 8 * 8;

    if (rows == 2 && y_row == 2) {
        weave(x, x_row, y, columns);
        return;
    }
    for (size_t c = 0; c < whole; c += 8)
        for (size_t r = 0; r < whole_rows; r += 8)
            turn(x + (ptrdiff_t)r * x_row + c, x_row, y + (ptrdiff_t)c * y_row + r, y_row);
    blas_transpose(x + (ptrdiff_t)whole_rows * x_row, x_row, y + whole_rows, y_row, rows - whole_rows, whole);
    blas_transpose(x + whole, x_row, y + (ptrdiff_t)whole * y_row, y_row, rows, columns - whole);
}

void avx2_transpose(struct kernel_table *table) { table->transpose = transpose; }
