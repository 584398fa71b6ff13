/* Pooling: maximum and average (padding is left out of both).  The global average is one window over the whole input.
 */
#include <math.h>
#include <string.h>

#include "core/train/net.h"

struct pool_pass {
    struct train_layer *layer;
    const struct train_pass *pass;
};

struct window {
    int y0, y1, x0, x1; /* the part of the window that lies inside the input */
};

static struct window window_at(const struct train_layer *layer, int oy, int ox)
{
    int top = oy * layer->stride - layer->pad_h, left = ox * layer->stride - layer->pad_w;
    int bottom = top + layer->kernel_h, right = left + layer->kernel_w;

    return (struct window){top < 0 ? 0 : top, bottom > layer->in.h ? layer->in.h : bottom, left < 0 ? 0 : left,
                           right > layer->in.w ? layer->in.w : right};
}

typedef void window_body(const struct train_layer *layer, const struct window *window, size_t image, size_t out);

static void each_window(const struct pool_pass *pool, int chunk, window_body *body)
{
    const struct train_layer *layer = pool->layer;
    size_t c = (size_t)layer->out.c;
    int first, end;

    train_range(pool->pass->n, chunk, &first, &end);
    for (int i = first; i < end; i++)
        for (int oy = 0; oy < layer->out.h; oy++)
            for (int ox = 0; ox < layer->out.w; ox++) {
                struct window window = window_at(layer, oy, ox);
                size_t pixel = ((size_t)i * (size_t)layer->out.h + (size_t)oy) * (size_t)layer->out.w + (size_t)ox;
                body(layer, &window, (size_t)i * train_elements(layer->in), pixel * c);
            }
}

static size_t pixel_at(const struct train_layer *layer, size_t image, int y, int x)
{
    return image + ((size_t)y * (size_t)layer->in.w + (size_t)x) * (size_t)layer->in.c;
}

static void max_forward(const struct train_layer *layer, const struct window *window, size_t image, size_t out)
{
    float *y = layer->y + out;

    for (int j = 0; j < layer->out.c; j++)
        y[j] = -INFINITY;
    for (int iy = window->y0; iy < window->y1; iy++)
        for (int ix = window->x0; ix < window->x1; ix++) {
            const float *x = layer->x + pixel_at(layer, image, iy, ix);
            for (int j = 0; j < layer->out.c; j++)
                y[j] = x[j] > y[j] ? x[j] : y[j];
        }
}

/* the gradient goes to the first element that is the maximum */
static void max_backward(const struct train_layer *layer, const struct window *window, size_t image, size_t out)
{
    const float *y = layer->y + out, *dy = layer->dy + out;

    for (int j = 0; j < layer->out.c; j++) {
        bool given = false;
        for (int iy = window->y0; iy < window->y1 && !given; iy++)
            for (int ix = window->x0; ix < window->x1 && !given; ix++) {
                size_t at = pixel_at(layer, image, iy, ix) + (size_t)j;
                given = !(layer->x[at] < y[j]);
                if (given)
                    layer->dx[at] += dy[j];
            }
    }
}

static float window_share(const struct window *window)
{
    return 1.0F / (float)((window->y1 - window->y0) * (window->x1 - window->x0));
}

static void average_forward(const struct train_layer *layer, const struct window *window, size_t image, size_t out)
{
    float *y = layer->y + out, share = window_share(window);

    memset(y, 0, (size_t)layer->out.c * sizeof *y);
    for (int iy = window->y0; iy < window->y1; iy++)
        for (int ix = window->x0; ix < window->x1; ix++) {
            const float *x = layer->x + pixel_at(layer, image, iy, ix);
            for (int j = 0; j < layer->out.c; j++)
                y[j] += x[j] * share;
        }
}

static void average_backward(const struct train_layer *layer, const struct window *window, size_t image, size_t out)
{
    const float *dy = layer->dy + out;
    float share = window_share(window);

    for (int iy = window->y0; iy < window->y1; iy++)
        for (int ix = window->x0; ix < window->x1; ix++) {
            float *dx = layer->dx + pixel_at(layer, image, iy, ix);
            for (int j = 0; j < layer->out.c; j++)
                dx[j] += dy[j] * share;
        }
}

static void clear_dx(const struct pool_pass *pool, int chunk)
{
    size_t item = train_elements(pool->layer->in);
    int first, end;

    train_range(pool->pass->n, chunk, &first, &end);
    memset(pool->layer->dx + (size_t)first * item, 0, (size_t)(end - first) * item * sizeof(float));
}

static void max_forward_chunk(void *context, int chunk, int worker)
{
    (void)worker;
    each_window(context, chunk, max_forward);
}

static void max_backward_chunk(void *context, int chunk, int worker)
{
    (void)worker;
    clear_dx(context, chunk);
    each_window(context, chunk, max_backward);
}

static void average_forward_chunk(void *context, int chunk, int worker)
{
    (void)worker;
    each_window(context, chunk, average_forward);
}

static void average_backward_chunk(void *context, int chunk, int worker)
{
    (void)worker;
    clear_dx(context, chunk);
    each_window(context, chunk, average_backward);
}

static void run(struct train_layer *layer, const struct train_pass *pass, pool_body *body)
{
    struct pool_pass pool = {layer, pass};
    pool_for(pass->net->pool, TRAIN_CHUNKS, body, &pool);
}

void train_max_pool_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    (void)index;
    run(layer, pass, max_forward_chunk);
}

void train_max_pool_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    (void)index;
    if (layer->dx != NULL)
        run(layer, pass, max_backward_chunk);
}

void train_average_pool_forward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    (void)index;
    run(layer, pass, average_forward_chunk);
}

void train_average_pool_backward(struct train_layer *layer, const struct train_pass *pass, int index)
{
    (void)index;
    if (layer->dx != NULL)
        run(layer, pass, average_backward_chunk);
}
