/* Linear layers: y = x W' + b.  dW = dY' x, db = column sums of dY, dx = dY W.
 *
 * The work is cut by columns of the result, not by items: a chunk sees the whole batch, so that it leaves its part of
 * the gradient itself, and there are no partial gradients of all weights to be written and added. */
#include <string.h>

#include "core/train/net.h"

#define COLUMNS 128 /* of a chunk at least: fewer would spend more on arranging the operands than on the product */

struct linear_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
    int columns, chunks; /* of the result; chunks that it is cut into */
};

static size_t inputs_of(const struct train_layer *layer)
{
    return train_elements(layer->in);
}

static struct linear_pass cut(struct train_layer *layer, const struct train_pass *pass, int columns)
{
    int chunks = columns / COLUMNS;

    chunks = chunks < 1 ? 1 : chunks > TRAIN_CHUNKS ? TRAIN_CHUNKS : chunks;
    return (struct linear_pass){layer, pass, columns, chunks};
}

static void part_of(const struct linear_pass *linear, int chunk, int *first, int *count)
{
    *first = (int)((long)linear->columns * chunk / linear->chunks);
    *count = (int)((long)linear->columns * (chunk + 1) / linear->chunks) - *first;
}

static void forward_chunk(void *context, int chunk, int worker)
{
    const struct linear_pass *linear = context;
    const struct train_layer *layer = linear->layer;
    int first, count, n = layer->out.c, k = (int)inputs_of(layer), m = linear->pass->n;

    (void)worker;
    part_of(linear, chunk, &first, &count);
    for (int i = 0; i < m; i++)
        memcpy(layer->y + (size_t)i * (size_t)n + first, layer->bias.value + first, (size_t)count * sizeof(float));
    linear->pass->net->kernels->sgemm(false, true, m, count, k, 1, layer->x, k,
                                      layer->weights.value + (size_t)first * (size_t)k, k, 1, layer->y + first, n);
}

static void gradient_chunk(void *context, int chunk, int worker)
{
    const struct linear_pass *linear = context;
    const struct train_layer *layer = linear->layer;
    int first, count, n = layer->out.c, k = (int)inputs_of(layer), m = linear->pass->n;
    float *db = layer->bias.gradient;

    (void)worker;
    part_of(linear, chunk, &first, &count);
    linear->pass->net->kernels->sgemm(true, false, count, k, m, 1, layer->dy + first, n, layer->x, k, 0,
                                      layer->weights.gradient + (size_t)first * (size_t)k, k);
    memset(db + first, 0, (size_t)count * sizeof *db);
    for (int i = 0; i < m; i++)
        for (int j = first; j < first + count; j++)
            db[j] += layer->dy[(size_t)i * (size_t)n + (size_t)j];
}

static void input_chunk(void *context, int chunk, int worker)
{
    const struct linear_pass *linear = context;
    const struct train_layer *layer = linear->layer;
    int first, count, n = layer->out.c, k = (int)inputs_of(layer), m = linear->pass->n;

    (void)worker;
    part_of(linear, chunk, &first, &count);
    linear->pass->net->kernels->sgemm(false, false, m, count, n, 1, layer->dy, n, layer->weights.value + first, k, 0,
                                      layer->dx + first, k);
}

void train_linear_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct linear_pass linear = cut(layer, pass, layer->out.c);

    (void)index;
    pool_for(pass->net->pool, linear.chunks, forward_chunk, &linear);
}

void train_linear_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    struct linear_pass linear = cut(layer, pass, layer->out.c);

    (void)index;
    pool_for(pass->net->pool, linear.chunks, gradient_chunk, &linear);
    if (layer->dx == NULL)
        return;
    linear = cut(layer, pass, (int)inputs_of(layer));
    pool_for(pass->net->pool, linear.chunks, input_chunk, &linear);
}
