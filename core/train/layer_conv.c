/* Convolutions: y = A W' + b, where A holds one row of K inputs per output pixel (im2col).
 * dW = dY' A, db = column sums of dY, dA = dY W, and dx is dA scattered back (col2im). */
#include <math.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/train/net.h"

#define GROUP_ROWS 512 /* output pixels per matrix product: enough for the product, and A stays in the cache */

struct conv_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
    const struct train_layer *activation; /* fused: the layer behind it; or NULL */
    struct kernel_weights packed;         /* forward */
};

static struct conv_pass pass_of(struct train_layer *layer, const struct train_pass *pass, int index)
{
    bool last = index == pass->net->layer_count - 1;
    return (struct conv_pass){layer, pass, !last && layer[1].fused ? &layer[1] : NULL, {0}};
}

static struct kernel_epilogue epilogue_of(const struct train_layer *activation)
{
    if (activation == NULL)
        return (struct kernel_epilogue){KERNEL_CLAMP, -INFINITY, INFINITY};
    if (isinf(activation->low))
        return (struct kernel_epilogue){KERNEL_LEAKY_RELU, activation->slope, 0};
    return (struct kernel_epilogue){KERNEL_CLAMP, activation->low, activation->high};
}

static int out_pixels(const struct train_layer *layer) { return layer->out.h * layer->out.w; }

static int group_images(const struct train_layer *layer)
{
    int images = GROUP_ROWS / out_pixels(layer);
    return images < 1 ? 1 : images;
}

static size_t row_length(const struct train_layer *layer)
{
    return (size_t)layer->kernel_h * (size_t)layer->kernel_w * (size_t)layer->in.c;
}

/* A 1x1 convolution of stride 1 reads its input as it lies. */
static bool in_place(const struct train_layer *layer)
{
    return layer->kernel_h == 1 && layer->kernel_w == 1 && layer->stride == 1 && layer->pad_h == 0 && layer->pad_w == 0;
}

size_t train_conv_scratch(const struct train_layer *layer)
{
    if (in_place(layer))
        return 0;
    return (size_t)group_images(layer) * (size_t)out_pixels(layer) * row_length(layer);
}

/* One kernel row of the window at output pixel (oy, ox): the inputs [x0, x1) of row iy that exist, in pixels. */
static bool window_row(const struct train_layer *layer, int oy, int ox, int ky, int *iy, int *x0, int *x1)
{
    int left = ox * layer->stride - layer->pad_w;

    *iy = oy * layer->stride - layer->pad_h + ky;
    *x0 = left < 0 ? 0 : left;
    *x1 = left + layer->kernel_w > layer->in.w ? layer->in.w : left + layer->kernel_w;
    return *iy >= 0 && *iy < layer->in.h && *x0 < *x1;
}

static void im2col(const struct train_layer *layer, const float *x, float *a)
{
    size_t c = (size_t)layer->in.c, run = (size_t)layer->kernel_w * c;

    for (int oy = 0; oy < layer->out.h; oy++)
        for (int ox = 0; ox < layer->out.w; ox++)
            for (int ky = 0; ky < layer->kernel_h; ky++, a += run) {
                int iy, x0, x1, left = ox * layer->stride - layer->pad_w;
                if (!window_row(layer, oy, ox, ky, &iy, &x0, &x1)) {
                    memset(a, 0, run * sizeof *a);
                    continue;
                }
                if (x1 - x0 < layer->kernel_w)
                    memset(a, 0, run * sizeof *a);
                memcpy(a + (size_t)(x0 - left) * c, x + ((size_t)iy * (size_t)layer->in.w + (size_t)x0) * c,
                       (size_t)(x1 - x0) * c * sizeof *a);
            }
}

CPU_CLONES
static void col2im(const struct train_layer *layer, const float *a, float *dx)
{
    size_t c = (size_t)layer->in.c, run = (size_t)layer->kernel_w * c;

    memset(dx, 0, train_elements(layer->in) * sizeof *dx);
    for (int oy = 0; oy < layer->out.h; oy++)
        for (int ox = 0; ox < layer->out.w; ox++)
            for (int ky = 0; ky < layer->kernel_h; ky++, a += run) {
                int iy, x0, x1, left = ox * layer->stride - layer->pad_w;
                if (!window_row(layer, oy, ox, ky, &iy, &x0, &x1))
                    continue;
                float *to = dx + ((size_t)iy * (size_t)layer->in.w + (size_t)x0) * c;
                const float *from = a + (size_t)(x0 - left) * c;
                for (size_t i = 0; i < (size_t)(x1 - x0) * c; i++)
                    to[i] += from[i];
            }
}

/* The A of images [first, first + count): the input itself, or im2col into scratch. */
static const float *rows_of(const struct train_layer *layer, int first, int count, float *scratch)
{
    size_t item = train_elements(layer->in), matrix = (size_t)out_pixels(layer) * row_length(layer);

    if (in_place(layer))
        return layer->x + (size_t)first * item;
    for (int i = 0; i < count; i++)
        im2col(layer, layer->x + (size_t)(first + i) * item, scratch + (size_t)i * matrix);
    return scratch;
}

static void forward_chunk(void *context, int chunk, int worker)
{
    const struct conv_pass *conv = context;
    const struct train_layer *layer = conv->layer;
    struct train_net *net = conv->pass->net;
    int first, end, group = group_images(layer);
    struct kernel_gemm product = {.weights = &conv->packed,
                                  .a_row = (ptrdiff_t)row_length(layer),
                                  .c_row = layer->out.c,
                                  .out = KERNEL_F32,
                                  .panel1 = conv->packed.panels,
                                  .epilogue = epilogue_of(conv->activation)};

    train_range(conv->pass->n, chunk, &first, &end);
    for (int i = first; i < end; i += group) {
        int count = end - i < group ? end - i : group;
        product.m = count * out_pixels(layer);
        product.a = rows_of(layer, i, count, net->scratch[worker]);
        product.c = layer->y + (size_t)i * train_elements(layer->out);
        net->kernels->gemm(&product);
    }
}

CPU_CLONES
static void bias_gradient(const float *dy, int m, int n, float *db)
{
    for (int row = 0; row < m; row++, dy += n)
        for (int j = 0; j < n; j++)
            db[j] += dy[j];
}

static void backward_group(const struct conv_pass *conv, int chunk, int first, int count, float *scratch)
{
    const struct train_layer *layer = conv->layer;
    const struct kernel_table *kernels = conv->pass->net->kernels;
    int k = (int)row_length(layer), n = layer->out.c, m = count * out_pixels(layer);
    size_t item = train_elements(layer->in), at = (size_t)first * train_elements(layer->out);

    if (conv->activation != NULL)
        train_activation_gradient(conv->activation, at, at + (size_t)count * train_elements(layer->out));
    const float *a = rows_of(layer, first, count, scratch), *dy = layer->dy + at;
    float *dw = layer->weights.partial + (size_t)chunk * layer->weights.count;

    kernels->sgemm(true, false, n, k, m, 1, dy, n, a, k, 1, dw, k);
    bias_gradient(dy, m, n, layer->bias.partial + (size_t)chunk * layer->bias.count);
    if (layer->dx == NULL)
        return;
    if (in_place(layer)) {
        kernels->sgemm(false, false, m, k, n, 1, dy, n, layer->weights.value, k, 0, layer->dx + (size_t)first * item,
                       k);
        return;
    }
    kernels->sgemm(false, false, m, k, n, 1, dy, n, layer->weights.value, k, 0, scratch, k);
    for (int i = 0; i < count; i++)
        col2im(layer, scratch + (size_t)i * (size_t)out_pixels(layer) * (size_t)k,
               layer->dx + (size_t)(first + i) * item);
}

static void backward_chunk(void *context, int chunk, int worker)
{
    const struct conv_pass *conv = context;
    const struct train_layer *layer = conv->layer;
    int first, end, group = group_images(layer);

    memset(layer->weights.partial + (size_t)chunk * layer->weights.count, 0, layer->weights.count * sizeof(float));
    memset(layer->bias.partial + (size_t)chunk * layer->bias.count, 0, layer->bias.count * sizeof(float));
    train_range(conv->pass->n, chunk, &first, &end);
    for (int i = first; i < end; i += group)
        backward_group(conv, chunk, i, end - i < group ? end - i : group, conv->pass->net->scratch[worker]);
}

void train_conv_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct conv_pass conv = pass_of(layer, pass, index);
    const struct kernel_table *kernels = pass->net->kernels;
    const struct kernel_matrix matrix = {.w = layer->weights.value, .bias = layer->bias.value, .segments = 1,
                                         .segment_k = (int)row_length(layer), .n = layer->out.c};

    if (kernels->pack(&conv.packed, &matrix, NULL) == INFOMASK_OK)
        pool_for(pass->net->pool, TRAIN_CHUNKS, forward_chunk, &conv);
    else
        pass->net->failed = true;
    kernel_weights_fini(&conv.packed);
}

void train_conv_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct conv_pass conv = pass_of(layer, pass, index);

    pool_for(pass->net->pool, TRAIN_CHUNKS, backward_chunk, &conv);
    train_reduce(pass, &layer->weights);
    train_reduce(pass, &layer->bias);
}
