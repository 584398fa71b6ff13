/* Depthwise convolution: every channel has its own window, weights [kernel_h][kernel_w][C]. */
#include <string.h>

#include "core/train/net.h"

struct depthwise_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
};

/* Calls body for each output pixel and window position that lies inside the input; offsets in floats. */
struct tap {
    size_t x, w, y;
};
typedef void tap_body(const struct train_layer *layer, const struct tap *tap, size_t c, float *dw);

static void each_tap(const struct train_layer *layer, size_t image, tap_body *body, float *dw)
{
    size_t c = (size_t)layer->in.c;

    for (int oy = 0; oy < layer->out.h; oy++)
        for (int ox = 0; ox < layer->out.w; ox++)
            for (int ky = 0; ky < layer->kernel_h; ky++)
                for (int kx = 0; kx < layer->kernel_w; kx++) {
                    int iy = oy * layer->stride - layer->pad_h + ky, ix = ox * layer->stride - layer->pad_w + kx;
                    if (iy < 0 || iy >= layer->in.h || ix < 0 || ix >= layer->in.w)
                        continue;
                    struct tap tap = {
                        image * train_elements(layer->in) + ((size_t)iy * (size_t)layer->in.w + (size_t)ix) * c,
                        ((size_t)ky * (size_t)layer->kernel_w + (size_t)kx) * c,
                        image * train_elements(layer->out) + ((size_t)oy * (size_t)layer->out.w + (size_t)ox) * c};
                    body(layer, &tap, c, dw);
                }
}

static void forward_tap(const struct train_layer *layer, const struct tap *tap, size_t c, float *dw)
{
    const float *x = layer->x + tap->x, *w = layer->weights.value + tap->w;
    float *y = layer->y + tap->y;

    (void)dw;
    for (size_t j = 0; j < c; j++)
        y[j] += x[j] * w[j];
}

static void backward_tap(const struct train_layer *layer, const struct tap *tap, size_t c, float *dw)
{
    const float *x = layer->x + tap->x, *w = layer->weights.value + tap->w, *dy = layer->dy + tap->y;

    for (size_t j = 0; j < c; j++)
        dw[tap->w + j] += x[j] * dy[j];
    if (layer->dx == NULL)
        return;
    float *dx = layer->dx + tap->x;
    for (size_t j = 0; j < c; j++)
        dx[j] += w[j] * dy[j];
}

static void forward_chunk(void *context, int chunk, int worker)
{
    const struct depthwise_pass *depthwise = context;
    const struct train_layer *layer = depthwise->layer;
    size_t c = (size_t)layer->in.c, out = train_elements(layer->out);
    int first, end;

    (void)worker;
    train_range(depthwise->pass->n, chunk, &first, &end);
    for (int i = first; i < end; i++) {
        float *y = layer->y + (size_t)i * out;
        for (size_t p = 0; p < out; p += c)
            memcpy(y + p, layer->bias.value, c * sizeof *y);
        each_tap(layer, (size_t)i, forward_tap, NULL);
    }
}

static void backward_chunk(void *context, int chunk, int worker)
{
    const struct depthwise_pass *depthwise = context;
    const struct train_layer *layer = depthwise->layer;
    size_t c = (size_t)layer->in.c, in = train_elements(layer->in), out = train_elements(layer->out);
    float *dw = layer->weights.partial + (size_t)chunk * layer->weights.count;
    float *db = layer->bias.partial + (size_t)chunk * layer->bias.count;
    int first, end;

    (void)worker;
    memset(dw, 0, layer->weights.count * sizeof *dw);
    memset(db, 0, layer->bias.count * sizeof *db);
    train_range(depthwise->pass->n, chunk, &first, &end);
    for (int i = first; i < end; i++) {
        const float *dy = layer->dy + (size_t)i * out;
        if (layer->dx != NULL)
            memset(layer->dx + (size_t)i * in, 0, in * sizeof(float));
        for (size_t p = 0; p < out; p++)
            db[p % c] += dy[p];
        each_tap(layer, (size_t)i, backward_tap, dw);
    }
}

void train_depthwise_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct depthwise_pass depthwise = {layer, pass};

    (void)index;
    pool_for(pass->net->pool, TRAIN_CHUNKS, forward_chunk, &depthwise);
}

void train_depthwise_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct depthwise_pass depthwise = {layer, pass};

    (void)index;
    pool_for(pass->net->pool, TRAIN_CHUNKS, backward_chunk, &depthwise);
    train_reduce(pass, &layer->weights);
    train_reduce(pass, &layer->bias);
}
