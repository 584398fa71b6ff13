/* Small networks of every operator. */
#ifndef TESTS_UNIT_ENGINE_NETS_H
#define TESTS_UNIT_ENGINE_NETS_H

#include "engine/build.h"

static struct net residual_net(void)
{
    struct net net = net_new(3, 4);
    int before;

    conv(&net, (struct conv){.c = 3, .m = 19, .k = 3, .stride = 2, .pad = 1, .activation = GRAPH_CLAMP});
    before = net.last;
    conv(&net, (struct conv){.c = 19, .m = 40, .k = 1, .activation = GRAPH_HARD_SWISH});
    conv(&net, (struct conv){.c = 40, .m = 40, .k = 5, .pad = 2, .groups = 40, .activation = GRAPH_SILU});
    conv(&net, (struct conv){.c = 40, .m = 19, .k = 1, .residual = before});
    conv(&net, (struct conv){.c = 19, .m = 24, .k = 3, .pad = 1, .stride = 2, .activation = GRAPH_LEAKY_RELU});
    conv(&net, (struct conv){.c = 24, .m = 33, .k = 1, .activation = GRAPH_CLAMP});
    pooled_head(&net, 33, 10);
    return net;
}

/* Blocks whose steps run together on large maps: behind a full convolution, with a residual, with no projection. */
static struct net blocks_net(void)
{
    struct net net = net_new(3, 4);
    int before;

    conv(&net, (struct conv){.c = 3, .m = 20, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 20, .m = 20, .k = 3, .pad = 1, .groups = 20, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 20, .m = 9, .k = 1});
    before = net.last;
    conv(&net, (struct conv){.c = 9, .m = 30, .k = 1, .activation = GRAPH_SILU});
    conv(&net, (struct conv){.c = 30, .m = 30, .k = 5, .pad = 2, .groups = 30});
    conv(&net, (struct conv){.c = 30, .m = 9, .k = 1, .residual = before});
    conv(&net, (struct conv){.c = 9, .m = 40, .k = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 40, .m = 40, .k = 3, .stride = 2, .pad = 1, .groups = 40});
    conv(&net, (struct conv){.c = 40, .m = 16, .k = 1});
    conv(&net, (struct conv){.c = 16, .m = 33, .k = 1});
    conv(&net, (struct conv){.c = 33, .m = 33, .k = 7, .stride = 2, .pad = 3, .dilation = 2, .groups = 33});
    unary(&net, GRAPH_ACTIVATION)->activation = GRAPH_SIGMOID;
    pooled_head(&net, 33, 6);
    return net;
}

/* A projection that is followed by a depthwise convolution at once (MobileNet v1, PP-LCNet): it may join one group only. */
static struct net chain_net(void)
{
    struct net net = net_new(3, 4);

    conv(&net, (struct conv){.c = 3, .m = 16, .k = 3, .stride = 2, .pad = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 16, .m = 16, .k = 3, .pad = 1, .groups = 16, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 16, .m = 24, .k = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 24, .m = 24, .k = 3, .pad = 1, .groups = 24, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 24, .m = 33, .k = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 33, .m = 33, .k = 3, .pad = 1, .stride = 2, .groups = 33});
    conv(&net, (struct conv){.c = 33, .m = 20, .k = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 20, .m = 20, .k = 5, .pad = 2, .groups = 20});
    pooled_head(&net, 20, 6);
    return net;
}

/* dilations, groups, several outputs a channel, strided 1x1, uneven pads, SAME */
static struct net odd_convolutions(void)
{
    struct net net = net_new(4, 4);
    struct graph_node *n;

    conv(&net, (struct conv){.c = 4, .m = 12, .k = 3, .pad = 2, .dilation = 2, .activation = GRAPH_SIGMOID});
    conv(&net, (struct conv){.c = 12, .m = 18, .k = 3, .pad = 1, .groups = 3});
    conv(&net, (struct conv){.c = 18, .m = 36, .k = 3, .pad = 1, .groups = 18, .stride = 2});
    conv(&net, (struct conv){.c = 36, .m = 17, .k = 1, .stride = 2, .activation = GRAPH_HARD_SIGMOID});
    n = conv(&net, (struct conv){.c = 17, .m = 20, .k = 3, .pad = 0});
    n->window.pad_bottom = 2;
    n->window.pad_left = 1;
    n->window.pad_right = 3;
    n = conv(&net, (struct conv){.c = 20, .m = 20, .k = 4, .groups = 20, .stride = 1});
    n->window.auto_pad = 1;
    n = conv(&net, (struct conv){.c = 20, .m = 8, .k = 1, .groups = 4});
    n = conv(&net, (struct conv){.c = 8, .m = 9, .k = 3, .stride = 2});
    n->window.auto_pad = 2;
    n->window.kernel_w = 3;
    pooled_head(&net, 9, 5);
    return net;
}

/* groups of 4, 2, 6, 8, 16 and 24 channels, as many outputs or others, strides, residuals, dilated rows */
static struct net grouped_net(void)
{
    struct net net = net_new(3, 4);
    struct graph_node *n;
    int before;

    conv(&net, (struct conv){.c = 3, .m = 32, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 32, .m = 32, .k = 3, .pad = 1, .groups = 8, .activation = GRAPH_SILU});
    conv(&net, (struct conv){.c = 32, .m = 32, .k = 3, .pad = 1, .groups = 32});
    conv(&net, (struct conv){.c = 32, .m = 48, .k = 3, .pad = 1, .groups = 16, .stride = 2});
    before = net.last;
    conv(&net, (struct conv){.c = 48, .m = 48, .k = 5, .pad = 2, .groups = 8, .residual = before,
                             .activation = GRAPH_HARD_SWISH});
    conv(&net, (struct conv){.c = 48, .m = 48, .k = 3, .pad = 1, .groups = 6, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 48, .m = 72, .k = 3, .pad = 1, .groups = 3, .stride = 2});
    n = conv(&net, (struct conv){.c = 72, .m = 72, .k = 3, .pad = 1, .groups = 3, .activation = GRAPH_CLAMP});
    n->window.dilation_h = 2;
    n->window.pad_top = n->window.pad_bottom = 2;
    conv(&net, (struct conv){.c = 72, .m = 36, .k = 3, .pad = 2, .dilation = 2, .groups = 12});
    conv(&net, (struct conv){.c = 36, .m = 100, .k = 1, .stride = 2, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 100, .m = 36, .k = 1, .stride = 3});
    pooled_head(&net, 36, 6);
    return net;
}

/* squeeze and excite, batch norm, pools, concat, constants that broadcast, a sum of maps */
static struct net elementwise_net(void)
{
    struct net net = net_new(2, 4);
    int x, squeezed, parts[3], bn[5], pair[2];
    int64_t scalar[4] = {1, 1, 1, 1}, channel[4] = {1, 24, 1, 1};
    struct graph_node *n;

    conv(&net, (struct conv){.c = 2, .m = 12, .k = 3, .pad = 1});
    x = net.last;
    bn[0] = x;
    bn[1] = vector(&net, 12, .5, 1.5);
    bn[2] = vector(&net, 12, -1, 1);
    bn[3] = vector(&net, 12, -1, 1);
    bn[4] = vector(&net, 12, .1, 2);
    n = node(&net, GRAPH_BATCH_NORM, bn, 5, 4);
    n->epsilon = 1e-3f;
    n->activation = GRAPH_SILU;
    parts[0] = net.last;
    pool_by(&net, GRAPH_MAX_POOL, 3, 1, 1);
    parts[1] = net.last;
    n = node(&net, GRAPH_CONCAT, parts, 2, 4);
    n->axis = 1;
    x = net.last;
    (void)node(&net, GRAPH_GLOBAL_AVERAGE, &x, 1, 4);
    conv(&net, (struct conv){.c = 24, .m = 6, .k = 1, .activation = GRAPH_CLAMP});
    conv(&net, (struct conv){.c = 6, .m = 24, .k = 1, .activation = GRAPH_SIGMOID});
    squeezed = net.last;
    pair[0] = x;
    pair[1] = squeezed;
    (void)node(&net, GRAPH_MUL, pair, 2, 4);
    pair[0] = net.last;
    pair[1] = x;
    n = node(&net, GRAPH_ADD, pair, 2, 4);
    n->activation = GRAPH_CLAMP;
    n->high = 6;
    pool_by(&net, GRAPH_AVERAGE_POOL, 2, 2, 0);
    pool_by(&net, GRAPH_AVERAGE_POOL, 3, 2, 1);
    pair[0] = net.last;
    pair[1] = constant(&net, 4, scalar, 1.5, 2);
    (void)node(&net, GRAPH_MUL, pair, 2, 4);
    pair[0] = net.last;
    pair[1] = constant(&net, 4, channel, -1, 1);
    (void)node(&net, GRAPH_ADD, pair, 2, 4);
    n = unary(&net, GRAPH_ACTIVATION);
    n->activation = GRAPH_HARD_SWISH;
    n = unary(&net, GRAPH_SOFTMAX);
    n->axis = 1;
    pooled_head(&net, 24, 7);
    n = unary(&net, GRAPH_SOFTMAX);
    n->axis = 1;
    net.graph->outputs[0] = net.last;
    return net;
}

/* a flattened map, a channel shuffle through rank 5, softmax and concat along other axes; works at 8 x 8 only */
static struct net shuffled_net(void)
{
    struct net net = net_new(6, 4);
    int64_t five[5] = {-1, 2, 3, 8, 8}, four[4] = {-1, 6, 8, 8}, flat[2] = {-1, -1}, image[4] = {-1, 4, 4, 2};
    int64_t weights[4] = {1, 6, 8, 8};
    int pair[2];
    struct graph_node *n;

    reshape_to(&net, 5, five);
    n = unary(&net, GRAPH_TRANSPOSE);
    n->permutation[0] = 0;
    n->permutation[1] = 2;
    n->permutation[2] = 1;
    n->permutation[3] = 3;
    n->permutation[4] = 4;
    reshape_to(&net, 4, four);
    pair[0] = net.last;
    pair[1] = constant(&net, 4, weights, -1, 1);
    (void)node(&net, GRAPH_MUL, pair, 2, 4);
    n = unary(&net, GRAPH_SOFTMAX);
    n->axis = 2;
    pair[0] = net.last;
    n = node(&net, GRAPH_CONCAT, (int[2]){net.last, pair[0]}, 2, 4);
    n->axis = 3;
    (void)unary(&net, GRAPH_IDENTITY);
    reshape_to(&net, 2, flat);
    linear(&net, 6 * 8 * 16, 32);
    reshape_to(&net, 4, image);
    conv(&net, (struct conv){.c = 4, .m = 5, .k = 3, .pad = 1});
    reshape_to(&net, 2, flat);
    linear(&net, 40, 4);
    finish(&net);
    return net;
}

/* A constant that has the sizes whose bits are in `kept`, and 1 elsewhere, times or plus what is there. */
static void broadcast_by(struct net *net, enum graph_op op, int rank, const int64_t *sizes, unsigned kept)
{
    int64_t dims[GRAPH_MAX_RANK];
    struct graph_node *n;
    int pair[2] = {net->last, 0};

    for (int i = 0; i < rank; i++)
        dims[i] = kept >> i & 1 ? sizes[i] : 1;
    pair[1] = constant(net, rank, dims, op == GRAPH_MUL ? .8 : -.3, op == GRAPH_MUL ? 1.2 : .3);
    n = node(net, op, pair, 2, rank);
    n->activation = kept % 3 == 0 ? GRAPH_SILU : GRAPH_LINEAR_ACTIVATION;
}

/* Sums, products and softmax along every set of dimensions, of a map and of row-major tensors; 40 x 40 only. */
static struct net broadcasts_net(void)
{
    static const int64_t map[4] = {1, 6, 40, 40}, wide[4] = {1, 2, 60, 80}, three[3] = {1, 24, 400}, tall[3] = {1, 4800, 2};
    int64_t to[4] = {-1, 2, 60, 80}, to_three[3] = {-1, 24, 400}, to_tall[3] = {-1, 4800, 2}, flat[2] = {-1, 9600};
    struct net net = net_new(3, 4);

    (void)conv(&net, (struct conv){.c = 3, .m = 6, .k = 3, .pad = 1});
    for (unsigned kept = 0; kept < 16; kept += 2)
        broadcast_by(&net, kept & 4 ? GRAPH_MUL : GRAPH_ADD, 4, map, kept);
    for (int axis = 1; axis < 4; axis++) {
        unary(&net, GRAPH_SOFTMAX)->axis = axis;
        scale_by(&net, (double)map[axis] / 8);
    }
    reshape_to(&net, 4, to);
    for (unsigned kept = 0; kept < 16; kept += 2)
        broadcast_by(&net, kept & 4 ? GRAPH_ADD : GRAPH_MUL, 4, wide, kept);
    reshape_to(&net, 3, to_three);
    for (unsigned kept = 0; kept < 8; kept += 2)
        broadcast_by(&net, kept & 2 ? GRAPH_ADD : GRAPH_MUL, 3, three, kept);
    unary(&net, GRAPH_SOFTMAX)->axis = 1;
    scale_by(&net, 3);
    reshape_to(&net, 3, to_tall);
    broadcast_by(&net, GRAPH_MUL, 3, tall, 2);
    unary(&net, GRAPH_SOFTMAX)->axis = 1;
    scale_by(&net, 600);
    reshape_to(&net, 2, flat);
    linear(&net, 9600, 9);
    finish(&net);
    return net;
}

static struct net perceptron(void)
{
    struct net net = net_new(13, 2);
    struct graph_node *n;

    linear(&net, 13, 21);
    n = &net.graph->nodes[net.graph->node_count - 1];
    n->activation = GRAPH_CLAMP;
    n->high = INFINITY;
    linear(&net, 21, 4);
    finish(&net);
    return net;
}

/* Dense 3x3 convolutions: with 4 x 4 and 2 x 2 tiles, cut along tiles and along panels, with a residual. */
static struct net dense_net(void)
{
    struct net net = net_new(3, 4);
    int first;

    (void)conv(&net, (struct conv){.c = 3, .m = 20, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    first = net.last;
    (void)conv(&net, (struct conv){.c = 20, .m = 33, .k = 3, .pad = 1, .activation = GRAPH_SILU});
    (void)conv(&net, (struct conv){.c = 33, .m = 20, .k = 3, .pad = 1, .residual = first, .activation = GRAPH_CLAMP});
    pool_by(&net, GRAPH_MAX_POOL, 3, 2, 1);
    (void)conv(&net, (struct conv){.c = 20, .m = 190, .k = 3, .activation = GRAPH_CLAMP});
    (void)conv(&net, (struct conv){.c = 190, .m = 200, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    (void)conv(&net, (struct conv){.c = 200, .m = 18, .k = 3, .pad = 2});
    pooled_head(&net, 18, 6);
    return net;
}

/* Groups of 16 channels and more on maps that are 112 and 14 high at the network's own size, and 7. */
static struct net wide_groups_net(void)
{
    struct net net = net_new(3, 4);
    int first;

    (void)conv(&net, (struct conv){.c = 3, .m = 48, .k = 3, .stride = 2, .pad = 1, .activation = GRAPH_CLAMP});
    first = net.last;
    (void)conv(&net, (struct conv){.c = 48, .m = 48, .k = 3, .pad = 1, .groups = 3, .activation = GRAPH_SILU});
    (void)conv(&net, (struct conv){.c = 48, .m = 48, .k = 3, .pad = 1, .groups = 2, .residual = first,
                                   .activation = GRAPH_CLAMP});
    (void)conv(&net, (struct conv){.c = 48, .m = 51, .k = 3, .groups = 3});
    for (int i = 0; i < 3; i++)
        pool_by(&net, GRAPH_MAX_POOL, 3, 2, 1);
    (void)conv(&net, (struct conv){.c = 51, .m = 111, .k = 3, .pad = 1, .groups = 3, .activation = GRAPH_CLAMP});
    pool_by(&net, GRAPH_MAX_POOL, 3, 2, 1);
    (void)conv(&net, (struct conv){.c = 111, .m = 48, .k = 3, .pad = 1, .groups = 3});
    pooled_head(&net, 48, 6);
    return net;
}

#endif
