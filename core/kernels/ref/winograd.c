/* Winograd's convolution by its matrices, in double. */
#include "core/kernels/number.h"
#include "core/kernels/ref/ref.h"

enum { SIDE = 6 };

static const double forward2[SIDE][SIDE] = {{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}};
static const double forward4[SIDE][SIDE] = {{4, 0, -5, 0, 1, 0},  {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                            {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}};
static const double back2[SIDE][SIDE] = {{1, 1, 1, 0}, {0, 1, -1, -1}};
static const double back4[SIDE][SIDE] = {
    {1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}};

/* out [rows, rows] = m d m^T, m [rows, side], d [side, side] */
static void both_ways(const double (*m)[SIDE], int rows, int side, double (*d)[SIDE], double (*out)[SIDE])
{
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < rows; j++) {
            double sum = 0;
            for (int y = 0; y < side; y++)
                for (int x = 0; x < side; x++)
                    sum += m[i][y] * d[y][x] * m[j][x];
            out[i][j] = sum;
        }
}

static void input_tile(const struct kernel_winograd *w, int t, int c)
{
    const int side = w->m + 2, across = (w->out_w + w->m - 1) / w->m;
    const int top = (w->first + t) / across * w->m - w->pad_top, left = (w->first + t) % across * w->m - w->pad_left;
    double d[SIDE][SIDE] = {0}, v[SIDE][SIDE];

    for (int y = 0; y < side; y++)
        for (int x = 0; x < side; x++)
            if (top + y >= 0 && top + y < w->h && left + x >= 0 && left + x < w->w)
                d[y][x] = (double)w->x[((ptrdiff_t)(top + y) * w->w + left + x) * w->x_pixel + c];
    both_ways(w->m == 2 ? forward2 : forward4, side, side, d, v);
    for (int i = 0; i < side * side; i++)
        w->v[i * w->v_apart + (ptrdiff_t)t * w->c + c] = (float)v[i / side][i % side];
}

static void output_tile(const struct kernel_winograd *w, int t, int n)
{
    const int side = w->m + 2, across = (w->out_w + w->m - 1) / w->m;
    const int top = (w->first + t) / across * w->m, left = (w->first + t) % across * w->m;
    double p[SIDE][SIDE], y[SIDE][SIDE];

    for (int i = 0; i < side * side; i++)
        p[i / side][i % side] = (double)w->products[i * w->products_apart + (ptrdiff_t)t * w->n + n];
    both_ways(w->m == 2 ? back2 : back4, w->m, side, p, y);
    for (int i = 0; i < w->m && top + i < w->out_h; i++)
        for (int j = 0; j < w->m && left + j < w->out_w; j++) {
            const ptrdiff_t at = ((ptrdiff_t)(top + i) * w->out_w + left + j) * w->y_pixel + n;
            const double bias = w->bias == NULL ? 0 : (double)w->bias[n];
            const double residual = w->residual == NULL ? 0 : (double)w->residual[at];
            w->y[at] = number_activate((float)(y[i][j] + bias + residual), &w->epilogue);
        }
}

void ref_winograd_input(const struct kernel_winograd *w)
{
    for (int t = 0; t < w->count; t++)
        for (int c = 0; c < w->c; c++)
            input_tile(w, t, c);
}

void ref_winograd_output(const struct kernel_winograd *w)
{
    for (int t = 0; t < w->count; t++)
        for (int n = w->n0; n < w->n1; n++)
            output_tile(w, t, n);
}
