/* Random small networks: any order of blocks, sums and joins between any two kinds of layers, strides, dilations, groups,
 * odd sizes, batches; fused and planned on every table here, against the oracle in double on the graph as it was made.
 * Seeded; INFOMASK_TEST_NETS says how many, INFOMASK_TEST_SEED which. */
#include "test.h"

#include <math.h>

#include "core/base/pool.h"
#include "core/base/random.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"
#include "engine/build.h"
#include "engine/maker.h"
#include "engine/oracle.h"

/* A map that was made before goes on: the next layer reads it. */
static void go_back(struct maker *m)
{
    struct map from = m->maps[below(m->count)];
    size_t at = strlen(m->story);

    m->net.last = from.tensor;
    m->maps[m->count - 1] = from; /* the last one is forgotten, if nobody read it; the graph keeps it out */
    (void)snprintf(m->story + at, sizeof m->story - at, " <%d", from.tensor);
}

static void random_activation(struct maker *m)
{
    static const enum graph_activation kinds[] = {GRAPH_CLAMP, GRAPH_CLAMP, GRAPH_SIGMOID, GRAPH_SILU,
                                                  GRAPH_HARD_SIGMOID, GRAPH_HARD_SWISH, GRAPH_LEAKY_RELU};
    struct graph_node *n = unary(&m->net, GRAPH_ACTIVATION);

    n->activation = kinds[below(7)];
    n->low = 0;
    n->high = sometimes(2) ? 6 : INFINITY;
    n->alpha = .2f;
    n->beta = .5f;
    keep(m, last(m).c, NULL, "act");
}

static void random_norm(struct maker *m)
{
    int c = last(m).c, x = m->net.last;
    int inputs[5] = {x, vector(&m->net, c, .5, 1.5), vector(&m->net, c, -1, 1), vector(&m->net, c, -1, 1),
                     vector(&m->net, c, .1, 2)};

    node(&m->net, GRAPH_BATCH_NORM, inputs, 5, 4)->epsilon = 1e-3f;
    keep(m, c, NULL, "norm");
}

/* Passes over the pixels behind a convolution: norms, constants, activations, sums with what was there before it. */
static void random_trail(struct maker *m, struct map before)
{
    for (int i = 0, passes = 1 + below(4); i < passes && m->count < MOST_MAPS - 6; i++) {
        struct map a = last(m);
        bool fits = before.c == a.c && before.h == a.h && before.w == a.w && before.tensor != a.tensor;
        int pair[2] = {a.tensor, before.tensor};
        int kind = below(5);
        if (kind < 2) {
            random_norm(m);
        } else if (kind == 2) {
            random_activation(m);
        } else if (fits) {
            (void)node(&m->net, sometimes(6) ? GRAPH_MUL : GRAPH_ADD, sometimes(2) ? pair : (int[2]){pair[1], pair[0]}, 2, 4);
            keep(m, a.c, NULL, "trail");
        }
    }
}

static void random_conv(struct maker *m)
{
    static const int sides[] = {1, 1, 1, 3, 3, 5};
    struct map from = last(m);
    struct conv v = {.c = from.c, .m = 1 + below(24), .k = sides[below(6)], .stride = sometimes(4) ? 2 : 1,
                     .dilation = sometimes(6) ? 2 : 1};
    const char *what = "conv";
    struct graph_node *n;

    v.pad = sometimes(5) ? 0 : v.k / 2 * v.dilation;
    switch (below(5)) {
    case 0:
    case 1:
        v.groups = v.m = from.c;
        v.k = sometimes(2) ? 3 : 5;
        v.pad = v.k / 2 * v.dilation;
        what = "depthwise";
        break;
    case 2:
        v.groups = from.c % 3 == 0 ? 3 : from.c % 2 == 0 ? 2 : 1;
        v.m = v.groups * (1 + below(8));
        what = "groups";
        break;
    default:
        break;
    }
    if ((v.k - 1) * v.dilation + 1 > from.h + 2 * v.pad || (v.k - 1) * v.dilation + 1 > from.w + 2 * v.pad)
        return;
    n = conv(&m->net, v);
    if (v.k > 1 && sometimes(8)) {
        n->window.pad_bottom++;
        n->window.pad_left += sometimes(2);
    }
    keep(m, v.m, &n->window, what);
    if (sometimes(3))
        random_norm(m);
    if (!sometimes(3))
        random_activation(m);
    if (sometimes(4))
        random_trail(m, from);
}

static void random_pool(struct maker *m)
{
    struct map from = last(m);
    int k = 2 + below(2), pad = k == 3 ? below(2) : 0;

    if (from.h < k || from.w < k)
        return;
    pool_by(&m->net, sometimes(2) ? GRAPH_MAX_POOL : GRAPH_AVERAGE_POOL, k, 1 + below(2), pad);
    keep(m, from.c, &m->net.graph->nodes[m->net.graph->node_count - 1].window, "pool");
}

/* With another map of its size, a projection apart if the channels differ. */
static void random_sum(struct maker *m)
{
    struct map a = last(m);
    int found = -1, pair[2];

    for (int i = 0, start = below(m->count); i < m->count && found < 0; i++) {
        const struct map *b = &m->maps[(start + i) % m->count];
        if (b->tensor != a.tensor && b->h == a.h && b->w == a.w && (b->c == a.c || sometimes(2)))
            found = (start + i) % m->count;
    }
    if (found < 0)
        return;
    pair[0] = a.tensor;
    pair[1] = m->maps[found].tensor;
    if (m->maps[found].c != a.c) {
        m->net.last = pair[1];
        conv(&m->net, (struct conv){.c = m->maps[found].c, .m = a.c, .k = 1});
        pair[1] = m->net.last;
    }
    (void)node(&m->net, GRAPH_ADD, sometimes(2) ? pair : (int[2]){pair[1], pair[0]}, 2, 4);
    keep(m, a.c, NULL, "add");
    if (sometimes(2))
        random_activation(m);
}

/* One summand, of the last map: a window that sees its middle or what lies beside it, a norm, or the map itself. */
static void random_branch(struct maker *m, struct conv v)
{
    int beside = sometimes(6) ? 1 : 0;
    struct graph_node *n;

    if (v.stride == 1 && v.m == v.c && sometimes(3)) {
        if (!sometimes(3))
            random_norm(m);
        return;
    }
    v.k = 1 + 2 * below(3);
    v.dilation = sometimes(6) ? 2 : 1;
    v.pad = v.k / 2 * v.dilation;
    v.groups = v.m == v.c && sometimes(8) ? v.c : v.groups;
    n = conv(&m->net, v);
    n->window.auto_pad = sometimes(8) ? 1 + below(2) : 0;
    n->window.pad_left += v.k > 1 ? beside : 0;
    n->window.pad_right -= v.k > 1 ? beside : 0;
    keep(m, v.m, &n->window, "branch");
    if (sometimes(2))
        random_norm(m);
}

/* Branches that are linear in one map, as of RepVGG and MobileOne, and their sum. */
static void random_branches(struct maker *m)
{
    struct map from = last(m);
    bool depthwise = sometimes(2);
    struct conv v = {.c = from.c, .m = depthwise || sometimes(2) ? from.c : 1 + below(12),
                     .groups = depthwise ? from.c : sometimes(4) && from.c % 2 == 0 ? 2 : 1,
                     .stride = sometimes(4) ? 2 : 1};
    int base = m->count, branches = 2 + below(3);
    struct map sum = from;

    v.m = (v.m + v.groups - 1) / v.groups * v.groups;
    for (int i = 0; i < branches; i++) {
        int pair[2] = {sum.tensor};
        m->net.last = from.tensor;
        random_branch(m, v);
        pair[1] = last(m).tensor;
        if (i > 0)
            (void)node(&m->net, GRAPH_ADD, sometimes(2) ? pair : (int[2]){pair[1], pair[0]}, 2, 4);
        sum = last(m);
        sum.tensor = i > 0 ? m->net.last : sum.tensor;
        m->count = base;
    }
    m->maps[m->count++] = sum;
    m->net.last = sum.tensor;
    if (sometimes(2))
        random_activation(m);
}

static void random_concat(struct maker *m)
{
    struct map a = last(m);
    int parts[3] = {a.tensor}, count = 1, c = a.c;

    for (int i = 0, start = below(m->count); i < m->count && count < 3; i++) {
        const struct map *b = &m->maps[(start + i) % m->count];
        if (b->h != a.h || b->w != a.w || c + b->c > 60)
            continue;
        parts[count++] = b->tensor;
        c += b->c;
    }
    node(&m->net, GRAPH_CONCAT, parts, count, 4)->axis = 1;
    keep(m, c, NULL, "concat");
}

static void random_gate(struct maker *m)
{
    struct map a = last(m);
    int pair[2] = {a.tensor}, outputs = 1 + below(8);
    struct graph_node *n;

    (void)node(&m->net, GRAPH_GLOBAL_AVERAGE, &a.tensor, 1, 4);
    conv(&m->net, (struct conv){.c = a.c, .m = a.c, .k = 1});
    n = unary(&m->net, GRAPH_ACTIVATION);
    n->activation = sometimes(2) ? GRAPH_SIGMOID : GRAPH_HARD_SIGMOID;
    n->alpha = .2f;
    n->beta = .5f;
    pair[1] = m->net.last;
    (void)node(&m->net, GRAPH_MUL, pair, 2, 4);
    if (sometimes(3)) {
        keep(m, a.c, NULL, "gate");
        return;
    }
    conv(&m->net, (struct conv){.c = a.c, .m = outputs, .k = 1}); /* takes the factors into its weights */
    keep(m, outputs, NULL, "gated");
}

static void random_constant(struct maker *m)
{
    struct map a = last(m);
    int64_t dims[4] = {1, sometimes(3) ? 1 : a.c, 1, 1};
    int pair[2] = {a.tensor, constant(&m->net, 4, dims, .5, 1.5)};

    (void)node(&m->net, sometimes(2) ? GRAPH_ADD : GRAPH_MUL, pair, 2, 4);
    keep(m, a.c, NULL, "constant");
}

/* Expansion, depthwise, projection and perhaps a sum, as mobile networks have them, on a map of any size. */
static void random_mobile(struct maker *m)
{
    struct map from = last(m);
    int wide = from.c + below(20), stride = sometimes(3) ? 2 : 1, out = sometimes(2) ? from.c : 1 + below(20);
    struct graph_node *n;

    conv(&m->net, (struct conv){.c = from.c, .m = wide, .k = 1, .activation = GRAPH_CLAMP});
    keep(m, wide, NULL, "expand");
    n = conv(&m->net, (struct conv){.c = wide, .m = wide, .k = 3, .pad = 1, .stride = stride, .groups = wide});
    keep(m, wide, &n->window, "depthwise");
    if (!sometimes(3))
        random_activation(m);
    conv(&m->net, (struct conv){.c = wide, .m = out, .k = 1});
    keep(m, out, NULL, "project");
    if (sometimes(4))
        random_trail(m, from);
    if (stride == 1 && out == from.c && !sometimes(3)) {
        (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, from.tensor}, 2, 4);
        keep(m, out, NULL, "add");
    }
}

/* ---- General tensors ------------------------------------------------------------------------------------------------ */

/* Channels exchanged between groups, through five dimensions; then perhaps one part of them alone, or both again. */
static void random_shuffle(struct maker *m)
{
    struct map from = last(m);
    int groups = from.c % 3 == 0 ? 3 : 2, half = from.c / 2, parts[2];
    int64_t five[5] = {-1, groups, from.c / groups, from.h, from.w}, four[4] = {-1, from.c, from.h, from.w};
    static const int exchange[5] = {0, 2, 1, 3, 4};

    if (from.c % groups != 0)
        return;
    m->one_size = true;
    reshape_to(&m->net, 5, five);
    turn(&m->net, exchange);
    reshape_to(&m->net, 4, four);
    keep(m, from.c, NULL, "shuffle");
    if (half == 0 || sometimes(3))
        return;
    slice_of(&m->net, 1, half, from.c, 1);
    keep(m, from.c - half, NULL, "slice");
    parts[1] = m->net.last;
    if (sometimes(2))
        return;
    m->net.last = m->maps[m->count - 2].tensor;
    slice_of(&m->net, 1, 0, half, 1);
    parts[0] = m->net.last;
    node(&m->net, GRAPH_CONCAT, parts, 2, 4)->axis = 1;
    keep(m, from.c, NULL, "join");
}

static void random_gelu(struct maker *m)
{
    int x = m->net.last, rank = m->net.graph->tensors[x].rank;
    static const int64_t ones[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};

    if (sometimes(2)) {
        unary(&m->net, GRAPH_UNARY)->function = sometimes(2) ? GRAPH_GELU : GRAPH_TANH;
        return;
    }
    scale_by(&m->net, sqrt(.5));
    unary(&m->net, GRAPH_UNARY)->function = GRAPH_ERF;
    (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, constant(&m->net, rank, ones, 1, 1)}, 2, rank);
    (void)node(&m->net, GRAPH_MUL, (int[2]){x, m->net.last}, 2, rank);
    scale_by(&m->net, .5);
}

static int mean_of_rows(struct maker *m, int x, int rank)
{
    struct graph_node *n = node(&m->net, GRAPH_REDUCE, &x, 1, rank);

    n->function = GRAPH_MEAN;
    n->axes = 1u << (rank - 1);
    n->keep_dims = true;
    return m->net.last;
}

static int pair_of(struct maker *m, enum graph_function function, int a, int b, int rank)
{
    node(&m->net, GRAPH_BINARY, (int[2]){a, b}, 2, rank)->function = function;
    return m->net.last;
}

/* As files before opset 17 spell a LayerNormalization out. */
static void spelt_norm(struct maker *m, int c)
{
    static const int64_t ones[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t dims[GRAPH_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    int x = m->net.last, rank = m->net.graph->tensors[x].rank, d, v;

    d = pair_of(m, GRAPH_MINUS, x, mean_of_rows(m, x, rank), rank);
    if (sometimes(2))
        v = pair_of(m, GRAPH_POWER, d, constant(&m->net, rank, ones, 2, 2), rank);
    else
        (void)node(&m->net, GRAPH_MUL, (int[2]){d, d}, 2, rank), v = m->net.last;
    v = mean_of_rows(m, v, rank);
    (void)node(&m->net, GRAPH_ADD, (int[2]){v, constant(&m->net, rank, ones, 1e-2, 1e-2)}, 2, rank);
    unary(&m->net, GRAPH_UNARY)->function = GRAPH_SQRT;
    (void)pair_of(m, GRAPH_DIVIDE, d, m->net.last, rank);
    dims[rank - 1] = c;
    if (!sometimes(4))
        (void)node(&m->net, GRAPH_MUL, (int[2]){m->net.last, constant(&m->net, rank, dims, .5, 1.5)}, 2, rank);
    if (!sometimes(4))
        (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, constant(&m->net, rank, dims, -1, 1)}, 2, rank);
}

static void layer_norm(struct maker *m, int c)
{
    int inputs[3] = {m->net.last, sometimes(4) ? GRAPH_NONE : vector(&m->net, c, .5, 1.5),
                     sometimes(4) ? GRAPH_NONE : vector(&m->net, c, -1, 1)};
    int rank = m->net.graph->tensors[m->net.last].rank;
    struct graph_node *n = node(&m->net, GRAPH_LAYER_NORM, inputs, 3, rank);

    n->axis = rank - 1;
    n->epsilon = 1e-2f;
    n->function = sometimes(3) ? GRAPH_RMS : GRAPH_CENTRED;
}

static void random_layer_norm(struct maker *m, int c)
{
    if (sometimes(3)) {
        spelt_norm(m, c);
        return;
    }
    layer_norm(m, c);
}

/* q, k or v of [N, L, 3 heads d]: [N, heads, L, d], by an index of a turned whole, or by a slice that is turned. */
static int random_part(struct maker *m, int x, int64_t l, int heads, int d, int part)
{
    static const int whole[5] = {0, 2, 3, 1, 4}, swap[4] = {0, 2, 1, 3};

    m->net.last = x;
    if (sometimes(2)) {
        reshape_to(&m->net, 5, (int64_t[5]){-1, l, 3, heads, d});
        turn(&m->net, whole);
        gather_one(&m->net, 1, part);
    } else {
        slice_of(&m->net, 2, part * heads * d, (part + 1) * heads * d, 1);
        reshape_to(&m->net, 4, (int64_t[4]){-1, l, heads, d});
        turn(&m->net, swap);
    }
    return m->net.last;
}

/* The softmax [N, heads, L, L] that is there, by constants a mixture with other shares, over the sums of its rows or not. */
static void random_shares(struct maker *m, int64_t l, int heads)
{
    int64_t by[4] = {1, sometimes(2) ? heads : 1, sometimes(3) ? l : 1, 1};
    int64_t plus[4] = {1, sometimes(2) ? heads : 1, sometimes(2) ? l : 1, l};
    int x;

    (void)node(&m->net, GRAPH_MUL, (int[2]){m->net.last, constant(&m->net, 4, by, .3, 1)}, 2, 4);
    (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, constant(&m->net, 4, plus, -.01, .1)}, 2, 4);
    x = m->net.last;
    if (sometimes(3))
        return;
    (void)mean_of_rows(m, x, 4);
    m->net.graph->nodes[m->net.graph->node_count - 1].function = GRAPH_SUM;
    (void)pair_of(m, GRAPH_DIVIDE, x, m->net.last, 4);
}

/* Self-attention on tokens [N, L, C]. */
static void random_attention(struct maker *m, int64_t l, int c)
{
    static const int turned[4] = {0, 1, 3, 2}, swap[4] = {0, 2, 1, 3};
    int heads = 1 + below(3), d = 1 + below(9), q, k, v;

    linear_rows(&m->net, c, 3 * heads * d);
    q = m->net.last;
    k = random_part(m, q, l, heads, d, 1);
    v = random_part(m, q, l, heads, d, 2);
    q = random_part(m, q, l, heads, d, 0);
    if (sometimes(2))
        scale_by(&m->net, .7);
    q = m->net.last;
    m->net.last = k;
    turn(&m->net, turned);
    if (sometimes(2))
        scale_by(&m->net, -1.3);
    (void)node(&m->net, GRAPH_MATMUL, (int[2]){q, m->net.last}, 2, 4);
    if (sometimes(2))
        scale_by(&m->net, 1.2);
    if (sometimes(2))
        (void)node(&m->net, GRAPH_ADD,
                   (int[2]){m->net.last, constant(&m->net, 4, (int64_t[4]){1, sometimes(2) ? heads : 1, l, l}, -1, 1)}, 2, 4);
    unary(&m->net, GRAPH_SOFTMAX)->axis = 3;
    if (sometimes(3))
        random_shares(m, l, heads);
    (void)node(&m->net, GRAPH_MATMUL, (int[2]){m->net.last, v}, 2, 4);
    turn(&m->net, swap);
    reshape_to(&m->net, 3, (int64_t[3]){-1, l, heads * d});
    linear_rows(&m->net, heads * d, c);
}

/* The pixels as tokens [N, L, C], a block of a transformer on them, and a map again. */
static void random_tokens(struct maker *m)
{
    static const int swap[3] = {0, 2, 1};
    struct map from = last(m);
    int64_t l = (int64_t)from.h * from.w;
    int before;

    if (l > 150)
        return;
    m->one_size = true;
    reshape_to(&m->net, 3, (int64_t[3]){-1, from.c, -1});
    turn(&m->net, swap);
    before = m->net.last;
    random_layer_norm(m, from.c);
    if (!sometimes(3)) {
        random_attention(m, l, from.c);
    } else {
        linear_rows(&m->net, from.c, 2 * from.c);
        random_gelu(m);
        linear_rows(&m->net, 2 * from.c, from.c);
    }
    if (!sometimes(3))
        (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, before}, 2, 3);
    turn(&m->net, swap);
    reshape_to(&m->net, 4, (int64_t[4]){-1, from.c, from.h, from.w});
    keep(m, from.c, NULL, "tokens");
}

/* A norm and a perceptron over the channels of each pixel, as they lie in N, H, W, C. */
static void random_channels_last(struct maker *m)
{
    static const int to_nhwc[4] = {0, 2, 3, 1}, to_nchw[4] = {0, 3, 1, 2};
    struct map from = last(m);

    turn(&m->net, to_nhwc);
    random_layer_norm(m, from.c);
    if (sometimes(2))
        linear_rows(&m->net, from.c, from.c);
    if (!sometimes(3))
        random_gelu(m);
    turn(&m->net, to_nchw);
    if (sometimes(2)) {
        int64_t dims[4] = {1, from.c, 1, 1};
        (void)node(&m->net, GRAPH_MUL, (int[2]){m->net.last, constant(&m->net, 4, dims, .5, 1.5)}, 2, 4);
        (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, from.tensor}, 2, 4);
    }
    keep(m, from.c, NULL, "channels-last");
}

static void random_layer(struct maker *m)
{
    static void (*const layers[])(struct maker *) = {random_conv, random_conv, random_conv, random_conv, random_mobile,
                                                     random_mobile, random_sum, random_sum, random_branches,
                                                     random_branches, random_concat, random_pool,
                                                     random_gate, random_constant, random_activation, go_back,
                                                     random_shuffle, random_shuffle, random_tokens, random_tokens,
                                                     random_channels_last};

    layers[below((int)(sizeof layers / sizeof *layers))](m);
    m->net.last = last(m).tensor;
}

/* Some of the logits, as of a detector's class without the background. */
static void random_end(struct maker *m)
{
    if (!sometimes(4))
        return;
    slice_of(&m->net, 1, below(2), 3 + below(3), 1);
    if (sometimes(3))
        unary(&m->net, GRAPH_ACTIVATION)->activation = GRAPH_SIGMOID;
    finish(&m->net);
}

static struct maker random_net(uint64_t number, int *h, int *w)
{
    struct maker m = {.count = 1};
    int c, layers;

    rng = random_stream(4711, number);
    c = 1 + below(4);
    layers = 3 + below(8);
    *h = sometimes(3) ? 56 + below(57) : 7 + below(40);
    *w = sometimes(3) && *h < 60 ? 56 + below(30) : 7 + below(40);
    m.net = net_new(c, 4);
    m.maps[0] = (struct map){m.net.last, c, *h, *w};
    for (int i = 0; i < layers && m.count < MOST_MAPS - 6; i++)
        random_layer(&m);
    pooled_head(&m.net, last(&m).c, 5);
    random_end(&m);
    if (m.one_size) {
        m.net.graph->tensors[m.net.graph->input].dims[2] = *h;
        m.net.graph->tensors[m.net.graph->input].dims[3] = *w;
    }
    return m;
}

/* The picture as N, H, W, C, turned by the first node. */
static void turn_input(struct graph *graph)
{
    static const int to_nchw[4] = {0, 3, 1, 2};
    const int64_t *own = graph->tensors[graph->input].dims;
    int64_t dims[4] = {-1, own[2], own[3], own[1]};
    int input = graph_add_tensor(graph, "image", 4, dims, NULL, false), old = graph->input;
    int number = graph_add_node(graph, GRAPH_TRANSPOSE, "turn", &input, 1, old);
    struct graph_node turn = graph->nodes[number];

    memcpy(turn.permutation, to_nchw, sizeof to_nchw);
    memmove(graph->nodes + 1, graph->nodes, (size_t)number * sizeof turn);
    graph->nodes[0] = turn;
    graph->input = input;
}

static void pass(struct graph *graph, const char *story)
{
    struct infomask_error err = {0};

    if (graph_infer_shapes(graph, &err) || graph_fold_constants(graph, &err) || graph_fuse(graph, &err) ||
        graph_prune(graph, &err))
        fail_msg("%s:%s", err.text, story);
}

static struct pool *pools[4];
static int attentions, gated, gelus, norms; /* that the passes found */
static int led, absorbed;            /* passes that go along with a step, and those that its kernel does */

static void count_found(const struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++) {
        attentions += graph->nodes[i].op == GRAPH_ATTENTION;
        gated += graph->nodes[i].op == GRAPH_ATTENTION && graph->nodes[i].input_count == 6;
        norms += graph->nodes[i].op == GRAPH_LAYER_NORM;
        if (graph->nodes[i].op == GRAPH_REDUCE)
            fail_msg("a norm or a gate was not found");
        gelus += graph->nodes[i].activation == GRAPH_GELU_ACTIVATION;
    }
}

struct pictures {
    float *x; /* [n, c, h, w] */
    int n, c, h, w;
    bool taps;
};

/* A session that has run them on so many threads; free it. */
static struct engine_session *run_on(struct engine_model *model, int threads, const struct pictures *p, const char *story)
{
    struct engine_session *session = NULL;
    struct infomask_error err = {0};
    float *input;

    if (engine_session_create(&session, model, pools[threads], &err))
        fail_msg("%s:%s", err.text, story);
    session->poison = true;
    if (engine_prepare(session, p->n, p->h, p->w, p->taps, &input, &err))
        fail_msg("%s:%s", err.text, story);
    for (int i = 0; i < session->area.plan->step_count; i++) {
        led += session->area.plan->steps[i].led;
        absorbed += session->area.plan->steps[i].absorbed;
    }
    for (int i = 0; i < p->n; i++)
        for (int k = 0; k < p->c; k++)
            for (int j = 0; j < p->h * p->w; j++)
                input[(i * p->h * p->w + j) * p->c + k] = p->x[(i * p->c + k) * p->h * p->w + j];
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    return session;
}

/* Near what the oracle says, and the same bits on another number of threads. */
static void check_run(struct engine_model *model, const struct pictures *p, const struct oracle_tensor *y, uint64_t number,
                      const char *story)
{
    int threads = 1 + below(3);
    struct engine_session *session = run_on(model, threads, p, story), *other = run_on(model, 1 + threads % 3, p, story);
    const float *got = engine_output(session);
    double most = 1;

    for (size_t i = 0; i < oracle_count(y); i++)
        most = fmax(most, fabs(y->v[i]));
    for (size_t i = 0; i < oracle_count(y); i++)
        if (!(fabs((double)got[i] - y->v[i]) <= 1e-4 * most))
            fail_msg("network %llu on %s, %d x %d x %d, output %zu: %.8g, not %.8g:%s", (unsigned long long)number,
                     model->kernels->name, p->n, p->w, p->h, i, (double)got[i], y->v[i], story);
    if (memcmp(got, engine_output(other), oracle_count(y) * sizeof *got) != 0)
        fail_msg("network %llu on %s: other bits on another number of threads:%s", (unsigned long long)number,
                 model->kernels->name, story);
    engine_session_free(session);
    engine_session_free(other);
}

static void check_net(uint64_t number, enum kernel_isa isa)
{
    struct pictures p = {0};
    struct maker m = random_net(number, &p.h, &p.w), same = random_net(number, &p.h, &p.w);
    struct oracle_tensor *want;
    struct engine_options options = {.kernels = kernels_get(isa), .apart = sometimes(4), .direct = sometimes(4)};
    struct infomask_error err = {0};
    struct engine_model *model = NULL;
    size_t count;

    p.c = m.maps[0].c;
    p.n = sometimes(2) ? 1 : 1 + below(5);
    p.taps = sometimes(2);
    count = (size_t)(p.n * p.c * p.h * p.w);
    p.x = malloc(count * sizeof *p.x);
    assert_non_null(p.x);
    for (size_t i = 0; i < count; i++)
        p.x[i] = (float)(random_unit(&rng) * 2 - 1);
    want = oracle_run(same.net.graph, p.x, (size_t)p.n, (size_t)p.h, (size_t)p.w);
    if (sometimes(3))
        turn_input(m.net.graph);
    pass(m.net.graph, m.story);
    count_found(m.net.graph);
    if (engine_model_create(&model, m.net.graph, &options, &err))
        fail_msg("network %llu, %s:%s", (unsigned long long)number, err.text, m.story);
    check_run(model, &p, &want[same.net.graph->outputs[0]], number, m.story);
    engine_model_free(model);
    oracle_free(same.net.graph, want);
    graph_free(same.net.graph);
    free(p.x);
}

/* Each network on one table, all of them in turn. */
static void random_networks_are_right(void **state)
{
    uint64_t first = (uint64_t)test_number("INFOMASK_TEST_SEED", 0);
    uint64_t count = (uint64_t)test_number("INFOMASK_TEST_NETS", 300);
    (void)state;

    for (uint64_t i = first, isa = 0; i < first + count; i++) {
        do
            isa = (isa + 1) % KERNEL_ISAS;
        while (kernels_get((enum kernel_isa)isa) == NULL);
        check_net(i, (enum kernel_isa)isa);
    }
    if (count >= 300)
        assert_true(attentions > 10 && gated > 3 && gelus > 20 && norms > 20 && led > 100 && absorbed > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_networks_are_right)};
    int failed;

    kernels_warm_up();
    for (int i = 1; i < 4; i++)
        if (pool_create(&pools[i], i, NULL, NULL, NULL) != INFOMASK_OK)
            return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 1; i < 4; i++)
        pool_free(pools[i]);
    return failed;
}
