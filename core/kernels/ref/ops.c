/* Everything but the matrix product, as the contract reads.  Sums are in double. */
#include <math.h>

#include "core/kernels/number.h"
#include "core/kernels/ref/ref.h"

static void to_bf16(const float *x, uint16_t *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = number_to_bf16(x[i]);
}

static void from_bf16(const uint16_t *x, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = number_from_bf16(x[i]);
}

static void to_u8(const float *x, uint8_t *y, size_t n, float scale, int zero)
{
    for (size_t i = 0; i < n; i++)
        y[i] = number_to_u8(x[i], scale, zero);
}

static float depthwise_sum(const struct kernel_depthwise *d, int oy, int ox, int c)
{
    double sum = d->bias != NULL ? (double)d->bias[c] : 0;

    for (int ky = 0; ky < d->kernel_h; ky++) {
        for (int kx = 0; kx < d->kernel_w; kx++) {
            int y = oy * d->stride_h - d->pad_top + ky * d->dilation_h;
            int x = ox * d->stride_w - d->pad_left + kx * d->dilation_w;
            if (y < 0 || y >= d->h || x < 0 || x >= d->w)
                continue;
            sum += (double)d->x[((size_t)y * (size_t)d->w + (size_t)x) * (size_t)d->c + (size_t)c] *
                   (double)d->weights[(size_t)(ky * d->kernel_w + kx) * (size_t)d->c + (size_t)c];
        }
    }
    return (float)sum;
}

static void round_to(const float *x, float *y, size_t n, const struct kernel_rounding *r)
{
    for (size_t i = 0; i < n; i++) {
        float q = x[i] / r->scale;
        q = q > r->low ? q : r->low;
        y[i] = rintf(q < r->high ? q : r->high) * r->scale;
    }
}

static size_t depthwise_scratch(const struct kernel_depthwise *d)
{
    (void)d;
    return 0;
}

static void depthwise(const struct kernel_depthwise *d)
{
    for (int oy = d->y0; oy < d->y1; oy++) {
        for (int ox = 0; ox < d->out_w; ox++) {
            size_t at = ((size_t)oy * (size_t)d->out_w + (size_t)ox) * (size_t)d->c;
            for (int c = d->c0; c < d->c1; c++) {
                float v = number_activate(depthwise_sum(d, oy, ox, c), &d->epilogue);
                if (d->out == KERNEL_F32)
                    ((float *)d->y)[at + (size_t)c] = v;
                else if (d->out == KERNEL_BF16)
                    ((uint16_t *)d->y)[at + (size_t)c] = number_to_bf16(v);
                else
                    ((uint8_t *)d->y)[at + (size_t)c] = number_to_u8(v, d->y_scale, d->y_zero);
            }
        }
    }
}

/* The part of a window that lies inside [0, size), from *first to *last. */
static void clip(int start, int kernel, int size, int *first, int *last)
{
    *first = start < 0 ? 0 : start;
    *last = start + kernel > size ? size : start + kernel;
}

/* Elements of the window that count in an average: with the padding, it ends where the padded input does. */
static int average_count(const struct kernel_pool *p, int top, int left)
{
    int y0, y1, x0, x1;

    clip(top, p->kernel_h, p->h, &y0, &y1);
    clip(left, p->kernel_w, p->w, &x0, &x1);
    if (p->count_include_pad) {
        y0 = top;
        x0 = left;
        y1 = top + p->kernel_h > p->h + p->pad_bottom ? p->h + p->pad_bottom : top + p->kernel_h;
        x1 = left + p->kernel_w > p->w + p->pad_right ? p->w + p->pad_right : left + p->kernel_w;
    }
    return (y1 - y0) * (x1 - x0);
}

static float pool_value(const struct kernel_pool *p, int top, int left, int c, bool maximum)
{
    double sum = 0, most = -INFINITY;
    int y0, y1, x0, x1;

    clip(top, p->kernel_h, p->h, &y0, &y1);
    clip(left, p->kernel_w, p->w, &x0, &x1);
    for (int y = y0; y < y1; y++) {
        for (int x = x0; x < x1; x++) {
            double v = (double)p->x[((size_t)y * (size_t)p->w + (size_t)x) * (size_t)p->c + (size_t)c];
            sum += v;
            most = v > most ? v : most;
        }
    }
    return (float)(maximum ? most : sum / average_count(p, top, left));
}

static void pool(const struct kernel_pool *p, bool maximum)
{
    for (int oy = p->y0; oy < p->y1; oy++) {
        for (int ox = 0; ox < p->out_w; ox++) {
            float *y = p->y + ((size_t)oy * (size_t)p->out_w + (size_t)ox) * (size_t)p->c;
            for (int c = 0; c < p->c; c++)
                y[c] = pool_value(p, oy * p->stride_h - p->pad_top, ox * p->stride_w - p->pad_left, c, maximum);
        }
    }
}

static void max_pool(const struct kernel_pool *p) { pool(p, true); }

static void average_pool(const struct kernel_pool *p) { pool(p, false); }

static void global_average(const float *x, size_t pixels, int channels, float *y, int c0, int c1)
{
    for (int c = c0; c < c1; c++) {
        double sum = 0;
        for (size_t i = 0; i < pixels; i++)
            sum += (double)x[i * (size_t)channels + (size_t)c];
        y[c] = (float)(sum / (double)pixels);
    }
}

static void add(const float *a, const float *b, float *y, size_t n, const struct kernel_epilogue *epilogue)
{
    for (size_t i = 0; i < n; i++)
        y[i] = number_activate(a[i] + b[i], epilogue);
}

static void mul(const float *a, const float *b, float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void scale_shift(const float *x, const float *scale, const float *shift, float *y, size_t pixels, int c,
                        const struct kernel_epilogue *epilogue)
{
    for (size_t i = 0; i < pixels * (size_t)c; i++) {
        size_t channel = i % (size_t)c;
        float v = x[i] * (scale != NULL ? scale[channel] : 1) + (shift != NULL ? shift[channel] : 0);
        y[i] = number_activate(v, epilogue);
    }
}

static void activate(const float *x, float *y, size_t n, const struct kernel_epilogue *epilogue)
{
    for (size_t i = 0; i < n; i++)
        y[i] = number_activate(x[i], epilogue);
}

static void softmax(const float *x, float *y, size_t rows, size_t n)
{
    for (size_t r = 0; r < rows; r++, x += n, y += n) {
        float most = -INFINITY; /* no double: gcc 12 fails to vectorise a maximum that widens, on arm64 */
        double sum = 0;
        for (size_t i = 0; i < n; i++)
            most = fmaxf(most, x[i]);
        for (size_t i = 0; i < n; i++)
            sum += exp((double)x[i] - (double)most);
        for (size_t i = 0; i < n; i++)
            y[i] = (float)(exp((double)x[i] - (double)most) / sum);
    }
}

static void layer_norm(const struct kernel_norm *p)
{
    for (size_t r = 0; r < p->rows; r++) {
        const float *x = p->x + r * p->n;
        double mean = 0, square = 0, factor;
        for (size_t i = 0; p->centred && i < p->n; i++)
            mean += (double)x[i];
        mean /= (double)p->n;
        for (size_t i = 0; i < p->n; i++)
            square += ((double)x[i] - mean) * ((double)x[i] - mean);
        factor = 1 / sqrt(square / (double)p->n + (double)p->epsilon);
        for (size_t i = 0; i < p->n; i++) {
            double v = ((double)x[i] - mean) * factor * (p->scale != NULL ? (double)p->scale[i] : 1);
            p->y[r * p->n + i] = (float)(v + (p->bias != NULL ? (double)p->bias[i] : 0));
        }
    }
}

static void transpose(const float *x, ptrdiff_t x_row, float *y, ptrdiff_t y_row, size_t rows, size_t columns)
{
    for (size_t c = 0; c < columns; c++)
        for (size_t r = 0; r < rows; r++)
            y[(ptrdiff_t)c * y_row + (ptrdiff_t)r] = x[(ptrdiff_t)r * x_row + (ptrdiff_t)c];
}

void kernels_ref_fill(struct kernel_table *table)
{
    *table = (struct kernel_table){.isa = KERNEL_REF,
                                   .name = "ref",
                                   .types = 1u << KERNEL_F32 | 1u << KERNEL_BF16 | 1u << KERNEL_U8,
                                   .gemm_tile = {1, 1, 1},
                                   .gemm_segments = true,
                                   .pack = ref_pack,
                                   .pack_s8 = ref_pack_s8,
                                   .operand_bytes = ref_operand_bytes,
                                   .pack_operand = ref_pack_operand,
                                   .scale_inputs = ref_scale_inputs,
                                   .gemm = ref_gemm,
                                   .gemm_scratch = ref_gemm_scratch,
                                   .to_bf16 = to_bf16,
                                   .from_bf16 = from_bf16,
                                   .to_u8 = to_u8,
                                   .depthwise = depthwise,
                                   .depthwise_scratch = depthwise_scratch,
                                   .round = round_to,
                                   .winograd_input = ref_winograd_input,
                                   .winograd_output = ref_winograd_output,
                                   .max_pool = max_pool,
                                   .average_pool = average_pool,
                                   .global_average = global_average,
                                   .add = add,
                                   .mul = mul,
                                   .scale_shift = scale_shift,
                                   .activate = activate,
                                   .softmax = softmax,
                                   .layer_norm = layer_norm,
                                   .transpose = transpose,
                                   .sgemm = ref_sgemm,
                                   .patch_distance = ref_patch_distance,
                                   .patch_votes = ref_patch_votes};
}
