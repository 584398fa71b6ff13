/* Layers that look at one element at a time: activations and dropout (in place), and Gaussian noise.
 *
 * In place is possible because the backward pass needs the sign and range of the output only.  What dropout and noise
 * draw is a function of (seed, step, layer, element), so that the backward pass draws it again. */
#include <math.h>
#include <string.h>

#include "core/base/cpu.h"
#include "core/base/random.h"
#include "core/train/net.h"

struct point_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
    uint64_t stream;
};

/* The range's elements of the layer's output. */
static void elements_of(const struct point_pass *point, int chunk, size_t *first, size_t *end)
{
    int a, b;

    train_range(point->pass->n, chunk, &a, &b);
    *first = (size_t)a * train_elements(point->layer->out);
    *end = (size_t)b * train_elements(point->layer->out);
}

static void run(struct train_layer *layer, const struct train_pass *pass, int index, pool_body *body)
{
    struct point_pass point = {layer, pass, pass->step * TRAIN_MAX_LAYERS + (uint64_t)index + (UINT64_C(1) << 32)};
    pool_for(pass->net->pool, TRAIN_CHUNKS, body, &point);
}

CPU_CLONES
static void activation_chunk(void *context, int chunk, int worker)
{
    const struct point_pass *point = context;
    const struct train_layer *layer = point->layer;
    float low = layer->low, high = layer->high, slope = layer->slope, *y = layer->y;
    size_t first, end;

    (void)worker;
    elements_of(point, chunk, &first, &end);
    if (isinf(low)) {
        for (size_t i = first; i < end; i++)
            y[i] = y[i] > 0 ? y[i] : slope * y[i];
        return;
    }
    for (size_t i = first; i < end; i++) {
        float v = y[i] > low ? y[i] : low;
        y[i] = v < high ? v : high;
    }
}

CPU_CLONES
void train_activation_gradient(const struct train_layer *layer, size_t first, size_t end)
{
    const float *y = layer->y;
    float low = layer->low, high = layer->high, slope = layer->slope, *dy = layer->dy;

    if (isinf(low)) {
        for (size_t i = first; i < end; i++)
            dy[i] = y[i] > 0 ? dy[i] : slope * dy[i];
        return;
    }
    for (size_t i = first; i < end; i++)
        dy[i] = y[i] > low && y[i] < high ? dy[i] : 0;
}

static void activation_back_chunk(void *context, int chunk, int worker)
{
    const struct point_pass *point = context;
    size_t first, end;

    (void)worker;
    elements_of(point, chunk, &first, &end);
    train_activation_gradient(point->layer, first, end);
}

void train_activation_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    if (!layer->fused)
        run(layer, pass, index, activation_chunk);
}

void train_activation_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    if (!layer->fused)
        run(layer, pass, index, activation_back_chunk);
}

/* Four elements' worth of random bits a block: element e uses word e % 4 of block e / 4. */
static void dropout_elements(const struct point_pass *point, float *v, size_t first, size_t end)
{
    const struct train_layer *layer = point->layer;
    uint32_t threshold = (uint32_t)((double)layer->ratio * 4294967296.0);
    float keep = 1.0F / (1.0F - layer->ratio);
    struct random_block block = {{0}};

    for (size_t i = first; i < end; i++) {
        if (i % 4 == 0 || i == first)
            block = random_block(point->pass->net->seed, point->stream, i / 4);
        v[i] = block.word[i % 4] < threshold ? 0 : v[i] * keep;
    }
}

static void dropout_chunk(void *context, int chunk, int worker)
{
    const struct point_pass *point = context;
    size_t first, end;

    (void)worker;
    elements_of(point, chunk, &first, &end);
    dropout_elements(point, point->layer->y, first, end);
}

static void dropout_back_chunk(void *context, int chunk, int worker)
{
    const struct point_pass *point = context;
    size_t first, end;

    (void)worker;
    elements_of(point, chunk, &first, &end);
    dropout_elements(point, point->layer->dy, first, end);
}

void train_dropout_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    if (pass->training)
        run(layer, pass, index, dropout_chunk);
}

void train_dropout_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    if (pass->training)
        run(layer, pass, index, dropout_back_chunk);
}

static void noise_chunk(void *context, int chunk, int worker)
{
    const struct point_pass *point = context;
    const struct train_layer *layer = point->layer;
    size_t first, end;

    (void)worker;
    elements_of(point, chunk, &first, &end);
    for (size_t i = first; i < end; i++) {
        struct random_block block = random_block(point->pass->net->seed, point->stream, i);
        double u = ((double)block.word[0] + 0.5) * 0x1p-32, v = (double)block.word[1] * 0x1p-32;
        layer->y[i] = layer->x[i] + layer->sigma * (float)(sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * v));
    }
}

void train_noise_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    if (pass->training)
        run(layer, pass, index, noise_chunk);
    else
        memcpy(layer->y, layer->x, (size_t)pass->n * train_elements(layer->in) * sizeof *layer->y);
}

void train_noise_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    (void)index;
    if (layer->dx != NULL)
        memcpy(layer->dx, layer->dy, (size_t)pass->n * train_elements(layer->in) * sizeof *layer->dx);
}
