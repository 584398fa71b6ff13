/* Batch normalisation (Ioffe and Szegedy 2015): y = scale (x - mean) / sqrt(variance + eps) + shift per channel.
 * Sums over the batch are taken in double, per range of images, and added in the order of the ranges. */
#include <math.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/train/net.h"

struct norm_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
};

static size_t pixels_of(const struct train_layer *layer) { return (size_t)layer->in.h * (size_t)layer->in.w; }

/* sums[0][c] = sum of x, sums[1][c] = sum of x^2 about the running mean (which keeps the digits) */
CPU_CLONES
static void moments_chunk(void *context, int chunk, int worker)
{
    const struct norm_pass *norm = context;
    const struct train_layer *layer = norm->layer;
    size_t c = (size_t)layer->in.c;
    double *sum = layer->sums + (size_t)chunk * 2 * c, *square = sum + c;
    int first, end;

    (void)worker;
    memset(sum, 0, 2 * c * sizeof *sum);
    train_range(norm->pass->n, chunk, &first, &end);
    const float *x = layer->x + (size_t)first * train_elements(layer->in);
    for (size_t p = 0; p < (size_t)(end - first) * pixels_of(layer); p++, x += c)
        for (size_t j = 0; j < c; j++) {
            double v = (double)x[j] - layer->running_mean[j];
            sum[j] += v;
            square[j] += v * v;
        }
}

/* Adds the ranges' sums into the first range's. */
static void sums_reduce(const struct train_layer *layer)
{
    size_t c2 = 2 * (size_t)layer->in.c;

    for (size_t chunk = 1; chunk < TRAIN_CHUNKS; chunk++)
        for (size_t j = 0; j < c2; j++)
            layer->sums[j] += layer->sums[chunk * c2 + j];
}

static void batch_statistics(struct train_layer *layer, const struct train_pass *pass)
{
    struct norm_pass norm = {layer, pass};
    size_t c = (size_t)layer->in.c;
    double count = (double)pass->n * (double)pixels_of(layer);

    pool_for(pass->net->pool, TRAIN_CHUNKS, moments_chunk, &norm);
    sums_reduce(layer);
    for (size_t j = 0; j < c; j++) {
        double shifted = layer->sums[j] / count, variance = layer->sums[c + j] / count - shifted * shifted;
        double mean = shifted + layer->running_mean[j],
               unbiased = count > 1 ? variance * count / (count - 1) : variance;
        variance = variance > 0 ? variance : 0;
        layer->batch_mean[j] = (float)mean;
        layer->batch_inverse[j] = (float)(1.0 / sqrt(variance + (double)layer->epsilon));
        layer->running_mean[j] += layer->momentum * ((float)mean - layer->running_mean[j]);
        layer->running_variance[j] += layer->momentum * ((float)unbiased - layer->running_variance[j]);
    }
}

static void running_statistics(struct train_layer *layer)
{
    for (int j = 0; j < layer->in.c; j++) {
        layer->batch_mean[j] = layer->running_mean[j];
        layer->batch_inverse[j] = 1.0F / sqrtf(layer->running_variance[j] + layer->epsilon);
    }
}

CPU_CLONES
static void forward_chunk(void *context, int chunk, int worker)
{
    const struct norm_pass *norm = context;
    const struct train_layer *layer = norm->layer;
    size_t c = (size_t)layer->in.c;
    int first, end;

    (void)worker;
    train_range(norm->pass->n, chunk, &first, &end);
    const float *x = layer->x + (size_t)first * train_elements(layer->in);
    float *y = layer->y + (size_t)first * train_elements(layer->in);
    for (size_t p = 0; p < (size_t)(end - first) * pixels_of(layer); p++, x += c, y += c)
        for (size_t j = 0; j < c; j++)
            y[j] = (x[j] - layer->batch_mean[j]) * (layer->batch_inverse[j] * layer->weights.value[j]) +
                   layer->bias.value[j];
}

void train_norm_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct norm_pass norm = {layer, pass};

    (void)index;
    if (pass->training)
        batch_statistics(layer, pass);
    else
        running_statistics(layer);
    pool_for(pass->net->pool, TRAIN_CHUNKS, forward_chunk, &norm);
}

/* sums[0][c] = sum of dy, sums[1][c] = sum of dy xhat */
CPU_CLONES
static void gradient_sums_chunk(void *context, int chunk, int worker)
{
    const struct norm_pass *norm = context;
    const struct train_layer *layer = norm->layer;
    size_t c = (size_t)layer->in.c;
    double *sum = layer->sums + (size_t)chunk * 2 * c, *product = sum + c;
    int first, end;

    (void)worker;
    memset(sum, 0, 2 * c * sizeof *sum);
    train_range(norm->pass->n, chunk, &first, &end);
    const float *x = layer->x + (size_t)first * train_elements(layer->in);
    const float *dy = layer->dy + (size_t)first * train_elements(layer->in);
    for (size_t p = 0; p < (size_t)(end - first) * pixels_of(layer); p++, x += c, dy += c)
        for (size_t j = 0; j < c; j++) {
            sum[j] += (double)dy[j];
            product[j] += (double)dy[j] * (double)((x[j] - layer->batch_mean[j]) * layer->batch_inverse[j]);
        }
}

/* dx = scale / sigma (dy - mean(dy) - xhat mean(dy xhat)); the two means are 0 when the statistics were constants */
CPU_CLONES
static void backward_chunk(void *context, int chunk, int worker)
{
    const struct norm_pass *norm = context;
    const struct train_layer *layer = norm->layer;
    size_t c = (size_t)layer->in.c;
    double count = (double)norm->pass->n * (double)pixels_of(layer);
    int first, end;

    (void)worker;
    train_range(norm->pass->n, chunk, &first, &end);
    size_t offset = (size_t)first * train_elements(layer->in);
    const float *x = layer->x + offset, *dy = layer->dy + offset;
    float *dx = layer->dx + offset;
    float share = norm->pass->training ? (float)(1.0 / count) : 0.0F;
    for (size_t p = 0; p < (size_t)(end - first) * pixels_of(layer); p++, x += c, dy += c, dx += c)
        for (size_t j = 0; j < c; j++) {
            float normal = (x[j] - layer->batch_mean[j]) * layer->batch_inverse[j];
            dx[j] = layer->weights.value[j] * layer->batch_inverse[j] *
                    (dy[j] - share * (layer->bias.gradient[j] + normal * layer->weights.gradient[j]));
        }
}

void train_norm_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct norm_pass norm = {layer, pass};
    size_t c = (size_t)layer->in.c;

    (void)index;
    pool_for(pass->net->pool, TRAIN_CHUNKS, gradient_sums_chunk, &norm);
    sums_reduce(layer);
    for (size_t j = 0; j < c; j++) {
        layer->bias.gradient[j] = (float)layer->sums[j];
        layer->weights.gradient[j] = (float)layer->sums[c + j];
    }
    if (layer->dx != NULL)
        pool_for(pass->net->pool, TRAIN_CHUNKS, backward_chunk, &norm);
}
