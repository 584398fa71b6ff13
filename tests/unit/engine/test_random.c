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
#include "engine/oracle.h"

#define MOST_MAPS 40

struct map {
    int tensor, c, h, w;
};

struct maker {
    struct net net;
    struct map maps[MOST_MAPS];
    int count;
    char story[1024]; /* what was put behind what, for who has to look into it */
};

static int below(int n) { return (int)random_below(&rng, (uint32_t)n); }

static bool sometimes(int of) { return below(of) == 0; }

static struct map last(const struct maker *m) { return m->maps[m->count - 1]; }

static void keep(struct maker *m, int c, const struct graph_window *w, const char *what)
{
    struct map from = last(m);
    int h = w == NULL ? from.h : (int)graph_window_output(w, 0, from.h, NULL, NULL);
    int wide = w == NULL ? from.w : (int)graph_window_output(w, 1, from.w, NULL, NULL);
    size_t at = strlen(m->story);

    m->maps[m->count++] = (struct map){m->net.last, c, h, wide};
    (void)snprintf(m->story + at, sizeof m->story - at, " %s[%d,%d,%d]", what, c, h, wide);
}

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
    int pair[2] = {a.tensor};
    struct graph_node *n;

    (void)node(&m->net, GRAPH_GLOBAL_AVERAGE, &a.tensor, 1, 4);
    conv(&m->net, (struct conv){.c = a.c, .m = a.c, .k = 1});
    n = unary(&m->net, GRAPH_ACTIVATION);
    n->activation = sometimes(2) ? GRAPH_SIGMOID : GRAPH_HARD_SIGMOID;
    n->alpha = .2f;
    n->beta = .5f;
    pair[1] = m->net.last;
    (void)node(&m->net, GRAPH_MUL, pair, 2, 4);
    keep(m, a.c, NULL, "gate");
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
    if (stride == 1 && out == from.c && !sometimes(3)) {
        (void)node(&m->net, GRAPH_ADD, (int[2]){m->net.last, from.tensor}, 2, 4);
        keep(m, out, NULL, "add");
    }
}

static void random_layer(struct maker *m)
{
    static void (*const layers[])(struct maker *) = {random_conv, random_conv, random_conv, random_conv, random_mobile,
                                                     random_mobile, random_sum, random_sum, random_concat, random_pool,
                                                     random_gate, random_constant, random_activation, go_back};

    layers[below((int)(sizeof layers / sizeof *layers))](m);
    m->net.last = last(m).tensor;
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
    return m;
}

/* The picture as N, H, W, C, turned by the first node. */
static void turn_input(struct graph *graph)
{
    static const int to_nchw[4] = {0, 3, 1, 2};
    int64_t dims[4] = {-1, -1, -1, graph->tensors[graph->input].dims[1]};
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

static void check_net(uint64_t number, enum kernel_isa isa)
{
    int h, w, n;
    struct maker m = random_net(number, &h, &w), same = random_net(number, &h, &w);
    int c = m.maps[0].c;
    struct oracle_tensor *want;
    struct engine_options options = {.kernels = kernels_get(isa), .apart = sometimes(4), .direct = sometimes(4)};
    struct infomask_error err = {0};
    struct engine_model *model = NULL;
    struct engine_session *session = NULL;
    float *x, *input;
    const struct oracle_tensor *y;
    double most = 1;

    n = sometimes(2) ? 1 : 1 + below(5);
    x = malloc((size_t)(n * c * h * w) * sizeof *x);
    assert_non_null(x);
    for (int i = 0; i < n * c * h * w; i++)
        x[i] = (float)(random_unit(&rng) * 2 - 1);
    want = oracle_run(same.net.graph, x, (size_t)n, (size_t)h, (size_t)w);
    y = &want[same.net.graph->outputs[0]];
    if (sometimes(3))
        turn_input(m.net.graph);
    pass(m.net.graph, m.story);
    if (engine_model_create(&model, m.net.graph, &options, &err) ||
        engine_session_create(&session, model, pools[1 + below(3)], &err))
        fail_msg("network %llu, %s:%s", (unsigned long long)number, err.text, m.story);
    session->poison = true;
    if (engine_prepare(session, n, h, w, sometimes(2), &input, &err))
        fail_msg("network %llu, %s:%s", (unsigned long long)number, err.text, m.story);
    for (int i = 0; i < n; i++)
        for (int k = 0; k < c; k++)
            for (int p = 0; p < h * w; p++)
                input[(i * h * w + p) * c + k] = x[(i * c + k) * h * w + p];
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    for (size_t i = 0; i < oracle_count(y); i++)
        most = fmax(most, fabs(y->v[i]));
    for (size_t i = 0; i < oracle_count(y); i++)
        if (!(fabs((double)engine_output(session)[i] - y->v[i]) <= 1e-4 * most))
            fail_msg("network %llu on %s, %d x %d x %d, output %zu: %.8g, not %.8g:%s", (unsigned long long)number,
                     kernels_get(isa)->name, n, w, h, i, (double)engine_output(session)[i], y->v[i], m.story);
    engine_session_free(session);
    engine_model_free(model);
    oracle_free(same.net.graph, want);
    graph_free(same.net.graph);
    free(x);
}

static uint64_t number_from(const char *name, uint64_t fallback)
{
    const char *text = getenv(name);
    return text != NULL ? strtoull(text, NULL, 10) : fallback;
}

/* Each network on one table, all of them in turn. */
static void random_networks_are_right(void **state)
{
    uint64_t first = number_from("INFOMASK_TEST_SEED", 0), count = number_from("INFOMASK_TEST_NETS", 300);
    (void)state;

    for (uint64_t i = first, isa = 0; i < first + count; i++) {
        do
            isa = (isa + 1) % KERNEL_ISAS;
        while (kernels_get((enum kernel_isa)isa) == NULL);
        check_net(i, (enum kernel_isa)isa);
    }
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
