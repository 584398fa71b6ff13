/* Small networks of every operator, built by hand, against the oracle in double: on every table, for several sizes
 * and batches, with and without threads, with dead memory overwritten.  (int8 needs weights: tests/unit/quant.) */
#include "test.h"

#include <math.h>

#include "core/base/pool.h"
#include "core/base/random.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"
#include "engine/nets.h"
#include "engine/oracle.h"

/* ---- running ----------------------------------------------------------------------------------------------------- */

static struct pool *pools[9];

static float *random_input(size_t n)
{
    float *x = malloc(n * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(random_unit(&rng) * 2 - 1);
    return x;
}

static void to_nhwc(const float *x, float *to, size_t n, size_t c, size_t pixels)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < c; j++)
            for (size_t p = 0; p < pixels; p++)
                to[(i * pixels + p) * c + j] = x[(i * c + j) * pixels + p];
}

/* Runs x through the session. */
static const float *run(struct engine_session *session, struct engine_model *model, const float *x, int n, int h, int w,
                        bool taps)
{
    struct infomask_error err = {0};
    float *input = NULL;

    if (engine_prepare(session, n, h, w, taps, &input, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    to_nhwc(x, input, (size_t)n, (size_t)engine_model_info(model)->channels, (size_t)(h * w));
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    return engine_output(session);
}

static struct engine_model *model_of(struct net net, enum kernel_isa isa, struct engine_options options)
{
    struct engine_model *model = NULL;
    struct infomask_error err = {0};

    options.kernels = kernels_get(isa);
    if (engine_model_create(&model, net.graph, &options, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return model;
}

typedef struct net build(void);

/* rng is at the same place each time, so that the networks are the same. */
static struct net build_at(build *make, uint64_t stream)
{
    rng = random_stream(SEED, stream);
    return make();
}

static bool has_precision(enum engine_precision precision, enum kernel_isa isa)
{
    return kernels_get(isa) != NULL && engine_precision_check(precision, kernels_get(isa), NULL) == INFOMASK_OK;
}

/* bf16: inputs and weights of each product are rounded by up to 2^-9; what that does to these outputs in all, with
 * some room. */
static double tolerance(enum engine_precision precision) { return precision == ENGINE_F32 ? 2e-5 : 2e-2; }

static void check(build *make, enum kernel_isa isa, enum engine_precision precision, int n, int h, int w, int threads)
{
    struct net net = build_at(make, 1), same = build_at(make, 1);
    int c = (int)net.graph->tensors[net.graph->input].dims[1];
    float *x = random_input((size_t)(n * c * h * w));
    struct oracle_tensor *want = oracle_run(same.graph, x, (size_t)n, (size_t)h, (size_t)w);
    const struct oracle_tensor *out = &want[same.graph->outputs[0]];
    struct engine_model *model = model_of(net, isa, (struct engine_options){.precision = precision});
    struct engine_session *session = NULL;
    const float *got;

    assert_int_equal(engine_session_create(&session, model, pools[threads], NULL), INFOMASK_OK);
    session->poison = true;
    got = run(session, model, x, n, h, w, false);
    assert_int_equal(engine_model_info(model)->outputs * (size_t)n, oracle_count(out));
    for (size_t i = 0; i < oracle_count(out); i++)
        if (!(fabs((double)got[i] - out->v[i]) <= tolerance(precision) * (1 + fabs(out->v[i]))))
            fail_msg("table %d, precision %d, %d x %d x %d, %d threads, output %zu: %.8g, not %.8g", isa, precision, n, h, w, threads, i,
                     (double)got[i], out->v[i]);
    engine_session_free(session);
    engine_model_free(model);
    oracle_free(same.graph, want);
    graph_free(same.graph);
    free(x);
}

static void check_everywhere(build *make, int h, int w)
{
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        for (int p = 0; p < ENGINE_INT8; p++) {
            if (!has_precision((enum engine_precision)p, (enum kernel_isa)isa))
                continue;
            check(make, (enum kernel_isa)isa, (enum engine_precision)p, 1, h, w, 0);
            check(make, (enum kernel_isa)isa, (enum engine_precision)p, 3, h, w, 2);
        }
    }
}

static void residual_network(void **state)
{
    (void)state;
    check_everywhere(residual_net, 32, 32);
    check_everywhere(residual_net, 57, 41);
    check_everywhere(residual_net, 5, 9);
}

static void blocks_network(void **state)
{
    (void)state;
    check_everywhere(blocks_net, 113, 20);
    check_everywhere(blocks_net, 56, 57);
}

static void chain_network(void **state)
{
    (void)state;
    check_everywhere(chain_net, 112, 112);
    check_everywhere(chain_net, 121, 70);
}

/* The picture turned by the file's first node: the engine takes N, H, W, C as it comes. */
static void an_input_in_nhwc_runs(void **state)
{
    static const int64_t dims[4] = {-1, -1, -1, 3}, open_dims[4] = {-1, 3, -1, -1};
    static const int to_nchw[4] = {0, 3, 1, 2};
    enum { H = 19, W = 26, N = 3 };
    struct net plain = build_at(residual_net, 1), turned = build_at(residual_net, 1);
    struct graph *graph = turned.graph;
    int input = graph_add_tensor(graph, "image", 4, dims, NULL, false), old = graph->input;
    int last = graph_add_node(graph, GRAPH_TRANSPOSE, "turn", &input, 1, old);
    struct graph_node turn = graph->nodes[last];
    struct engine_model *models[2];
    float *x, out[2][N * 10];
    (void)state;

    memcpy(graph->tensors[old].dims, open_dims, sizeof open_dims);
    memcpy(turn.permutation, to_nchw, sizeof to_nchw);
    memmove(graph->nodes + 1, graph->nodes, (size_t)last * sizeof turn);
    graph->nodes[0] = turn;
    graph->input = input;
    models[0] = model_of(plain, kernels_best()->isa, (struct engine_options){0});
    models[1] = model_of(turned, kernels_best()->isa, (struct engine_options){0});
    x = random_input(N * H * W * 3);
    for (int i = 0; i < 2; i++) {
        struct engine_session *session = NULL;
        assert_int_equal(engine_model_info(models[i])->channels, 3);
        assert_int_equal(engine_session_create(&session, models[i], NULL, NULL), INFOMASK_OK);
        memcpy(out[i], run(session, models[i], x, N, H, W, true), sizeof out[i]);
        engine_session_free(session);
        engine_model_free(models[i]);
    }
    assert_memory_equal(out[0], out[1], sizeof out[0]);
    free(x);
}

static void grouped_network(void **state)
{
    (void)state;
    check_everywhere(grouped_net, 33, 41);
    check_everywhere(grouped_net, 60, 58); /* large enough for steps to run together */
    check_everywhere(grouped_net, 12, 12);
    check_everywhere(grouped_net, 3, 130);
}

/* How many layers were transformed, by their tiles, and how far they are from the convolutions as they stand. */
static void transformed(build *make, int side, int tiles[5])
{
    struct engine_options options = {.direct = true};
    struct engine_model *models[2] = {model_of(build_at(make, 1), kernels_best()->isa, (struct engine_options){0}),
                                      model_of(build_at(make, 1), kernels_best()->isa, options)};
    float *x = random_input((size_t)(3 * side * side)), got[2][6];
    double worst = 0;

    for (int i = 0; i < 2; i++) {
        struct engine_session *session = NULL;
        assert_int_equal(engine_session_create(&session, models[i], NULL, NULL), INFOMASK_OK);
        memcpy(got[i], run(session, models[i], x, 1, side, side, false), sizeof got[i]);
        for (int l = 0; l < models[i]->layer_count; l++)
            if (models[i]->layers[l].way == WAY_WINOGRAD)
                tiles[models[i]->layers[l].tile]++;
        engine_session_free(session);
        engine_model_free(models[i]);
    }
    for (int k = 0; k < 6; k++)
        worst = fmax(worst, fabs((double)got[0][k] - (double)got[1][k]) / (1 + fabs((double)got[1][k])));
    print_message("winograd against direct: largest relative difference %.2g\n", worst);
    assert_true(worst < 2e-5);
    free(x);
}

static void dense_network(void **state)
{
    int tiles[5] = {0};

    (void)state;
    check_everywhere(dense_net, 30, 37);
    check_everywhere(dense_net, 7, 9);
    transformed(dense_net, 40, tiles);
    if (kernels_best()->gemm_segments) { /* 20-33-20, 20-190 and 200-18; 190-200 */
        assert_int_equal(tiles[4], 4);
        assert_int_equal(tiles[2], 1);
    }
}

static void network_of_wide_groups(void **state)
{
    int tiles[5] = {0};

    (void)state;
    check_everywhere(wide_groups_net, 61, 50);
    check_everywhere(wide_groups_net, 20, 131);
    transformed(wide_groups_net, 224, tiles);
    assert_int_equal(tiles[4], kernels_best()->winograd_groups ? 3 : 0);
    assert_int_equal(tiles[2], kernels_best()->winograd_groups ? 1 : 0);
}

/* Steps that run together give the bits that they give one after the other, for any number of threads. */
static void groups_at(enum engine_precision precision)
{
    static const int counts[] = {1, 2, 3, 8};
    struct engine_options options = {.precision = precision};
    struct engine_model *apart = model_of(build_at(blocks_net, 1), kernels_best()->isa, options);
    struct engine_model *together = model_of(build_at(blocks_net, 1), kernels_best()->isa, options);
    struct engine_session *alone = NULL;
    int n = 3, h = 130, w = 61;
    float *x = random_input((size_t)(n * 3 * h * w));
    const float *want;

    apart->apart = true;
    assert_int_equal(engine_session_create(&alone, apart, NULL, NULL), INFOMASK_OK);
    want = run(alone, apart, x, n, h, w, false);
    for (int repeat = 0; repeat < 12; repeat++) {
        struct engine_session *session = NULL;
        const float *got;
        assert_int_equal(engine_session_create(&session, together, pools[counts[repeat % 4]], NULL), INFOMASK_OK);
        session->poison = true;
        got = run(session, together, x, n, h, w, repeat % 3 == 2);
        assert_int_equal(session->area.plan->steps[0].members, together->kernels->gemm_segments ? 3 : 1);
        assert_int_equal(alone->area.plan->steps[0].members, 1);
        assert_memory_equal(got, want, (size_t)n * 6 * sizeof *got);
        engine_session_free(session);
    }
    engine_session_free(alone);
    engine_model_free(apart);
    engine_model_free(together);
    free(x);
}

static void groups_do_not_matter(void **state)
{
    (void)state;
    for (int p = 0; p < ENGINE_INT8; p++)
        if (has_precision((enum engine_precision)p, kernels_best()->isa))
            groups_at((enum engine_precision)p);
}

static void odd_convolutions_network(void **state)
{
    (void)state;
    check_everywhere(odd_convolutions, 24, 24);
    check_everywhere(odd_convolutions, 17, 30);
}

static void elementwise_network(void **state)
{
    (void)state;
    check_everywhere(elementwise_net, 16, 16);
    check_everywhere(elementwise_net, 13, 27);
}

static void broadcasts_network(void **state)
{
    (void)state;
    check_everywhere(broadcasts_net, 40, 40);
}

static void shuffled_network(void **state)
{
    (void)state;
    check_everywhere(shuffled_net, 8, 8);
}

static void perceptron_network(void **state)
{
    (void)state;
    check_everywhere(perceptron, 1, 1);
}

/* The same bits for any number of threads, again and again. */
static void threads_at(build *make, struct engine_options options, long repeats)
{
    static const int counts[] = {1, 2, 3, 8};
    struct engine_model *model = model_of(build_at(make, 1), kernels_best()->isa, options);
    size_t bytes = 5 * engine_model_info(model)->outputs * sizeof(float);
    int n = 5, size = 40;
    float *x = random_input((size_t)(n * 3 * size * size)), want[50];

    assert_true(bytes <= sizeof want);

    for (long repeat = 0; repeat < repeats; repeat++) {
        for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
            struct engine_session *session = NULL;
            const float *got;
            assert_int_equal(engine_session_create(&session, model, pools[counts[i]], NULL), INFOMASK_OK);
            got = run(session, model, x, n, size, size, repeat % 2);
            if (repeat == 0 && i == 0)
                memcpy(want, got, bytes);
            assert_memory_equal(got, want, bytes);
            engine_session_free(session);
        }
    }
    engine_model_free(model);
    free(x);
}

static void threads_do_not_matter(void **state)
{
    long repeats = (long)test_number("INFOMASK_TEST_REPEATS", 20);
    (void)state;

    for (int p = 0; p < ENGINE_INT8; p++)
        if (has_precision((enum engine_precision)p, kernels_best()->isa))
            threads_at(residual_net, (struct engine_options){.precision = (enum engine_precision)p}, repeats);
    threads_at(dense_net, (struct engine_options){0}, repeats);
    threads_at(grouped_net, (struct engine_options){0}, (repeats + 3) / 4);
    threads_at(dense_net, (struct engine_options){.direct = true}, (repeats + 3) / 4);
    threads_at(broadcasts_net, (struct engine_options){0}, (repeats + 3) / 4);
}

/* The logit is the mean of the cells' logits; the head alone gives the network's bits. */
static void taps_identity(void **state)
{
    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        struct engine_model *model;
        const struct engine_info *info;
        struct engine_session *session = NULL;
        struct engine_tap features, sum;
        float *x, *mean, z[10];
        const float *out;
        if (kernels_get((enum kernel_isa)isa) == NULL)
            continue;
        model = model_of(build_at(residual_net, 1), (enum kernel_isa)isa, (struct engine_options){0});
        info = engine_model_info(model);
        x = random_input(3 * 48 * 64);
        assert_true(info->pooled_head && !info->softmax_output && !info->fixed_size && !info->noise);
        assert_int_equal(info->features, 33);
        assert_int_equal(info->stride, 4);
        assert_int_equal(info->tap_count, 1);
        assert_int_equal(engine_session_create(&session, model, pools[2], NULL), INFOMASK_OK);
        session->poison = true;
        out = run(session, model, x, 1, 48, 64, true);
        features = engine_features(session);
        sum = engine_residual(session, 0);
        assert_true(features.n == 1 && features.h == 12 && features.w == 16 && features.c == 33);
        assert_true(sum.h == 24 && sum.w == 32 && sum.c == 19 && isfinite(sum.data[24 * 32 * 19 - 1]));
        assert_null(engine_residual(session, 1).data);
        for (int k = 0; k < 10; k++) {
            double mean_logit = 0;
            for (int cell = 0; cell < 12 * 16; cell++)
                for (int c = 0; c < 33; c++)
                    mean_logit += (double)info->head_w[k * 33 + c] * (double)features.data[cell * 33 + c];
            mean_logit = mean_logit / (12 * 16) + (double)info->head_b[k];
            assert_true(fabs(mean_logit - (double)out[k]) < 1e-5);
        }
        mean = aligned_alloc(64, 256);
        kernels_get((enum kernel_isa)isa)->global_average(features.data, 12 * 16, 33, mean, 0, 33);
        assert_int_equal(engine_head_rows(model, mean, 1, z, NULL), INFOMASK_OK);
        assert_memory_equal(z, out, sizeof z);
        (void)run(session, model, x, 1, 48, 64, false);
        assert_null(engine_features(session).data);
        free(mean);
        free(x);
        engine_session_free(session);
        engine_model_free(model);
    }
}

/* A cell more for every four pixels, at whatever size the network is said to be for: 13 pixels are 4 cells. */
static void the_stride_is_what_one_cell_more_takes(void **state)
{
    (void)state;
    for (int side = 8; side <= 17; side++) {
        struct net net = build_at(residual_net, 1);
        struct engine_model *model;

        net.graph->height = net.graph->width = side;
        model = model_of(net, KERNEL_REF, (struct engine_options){0});
        assert_int_equal(engine_model_info(model)->stride, 4);
        assert_int_equal(engine_model_info(model)->tap_count, 1);
        engine_model_free(model);
    }
}

/* Without sums: the last tensor of each resolution. */
static void taps_of_a_plain_network(void **state)
{
    struct engine_model *model = model_of(build_at(odd_convolutions, 1), KERNEL_REF, (struct engine_options){0});
    const struct engine_info *info = engine_model_info(model);
    struct engine_session *session = NULL;
    float *x = random_input(4 * 64 * 64);
    bool seen[65 * 65] = {false};
    (void)state;

    assert_true(info->tap_count >= 4);
    assert_int_equal(engine_session_create(&session, model, NULL, NULL), INFOMASK_OK);
    (void)run(session, model, x, 1, 64, 64, true);
    for (int i = 0; i < info->tap_count; i++) {
        struct engine_tap tap = engine_residual(session, i);
        assert_true(tap.h < 65 && tap.w < 65 && isfinite(tap.data[tap.h * tap.w * tap.c - 1]));
        assert_false(seen[tap.h * 65 + tap.w]);
        seen[tap.h * 65 + tap.w] = true;
    }
    engine_session_free(session);
    engine_model_free(model);
    free(x);
}

/* ---- noise ------------------------------------------------------------------------------------------------------- */

static struct net dropout_net(void)
{
    struct net net = net_new(3, 4);
    struct graph_node *n;
    int before;

    conv(&net, (struct conv){.c = 3, .m = 16, .k = 3, .stride = 2, .pad = 1, .activation = GRAPH_CLAMP});
    before = net.last;
    n = unary(&net, GRAPH_NOISE);
    n->sigma = .3f;
    conv(&net, (struct conv){.c = 16, .m = 16, .k = 3, .pad = 1, .residual = before});
    n = unary(&net, GRAPH_DROPOUT);
    n->ratio = .25f;
    conv(&net, (struct conv){.c = 16, .m = 20, .k = 1});
    pooled_head(&net, 20, 3);
    return net;
}

/* Without a clamp behind the noise the network is linear in it: the passes' mean tends to the quiet answer. */
static void noise_is_reproducible(void **state)
{
    enum { SAMPLES = 300 };
    static float z[SAMPLES * 3], again[SAMPLES * 3];
    struct engine_model *model = model_of(build_at(dropout_net, 1), kernels_best()->isa, (struct engine_options){0});
    struct engine_session *session = NULL, *lone = NULL;
    float *x = random_input(3 * 32 * 32), quiet[3];
    (void)state;

    assert_true(engine_model_info(model)->noise);
    assert_int_equal(engine_session_create(&session, model, pools[3], NULL), INFOMASK_OK);
    assert_int_equal(engine_session_create(&lone, model, NULL, NULL), INFOMASK_OK);
    session->poison = true;
    assert_int_equal(engine_noisy(session, 2, 1, z, NULL), INFOMASK_INTERNAL);
    memcpy(quiet, run(session, model, x, 1, 32, 32, true), sizeof quiet);
    assert_int_equal(engine_noisy(session, SAMPLES, 5, z, NULL), INFOMASK_OK);
    (void)run(lone, model, x, 1, 32, 32, false);
    assert_int_equal(engine_noisy(lone, SAMPLES, 5, again, NULL), INFOMASK_OK);
    assert_memory_equal(z, again, sizeof z);
    assert_memory_equal(engine_output(session), quiet, sizeof quiet);
    assert_int_equal(engine_noisy(lone, 7, 5, again, NULL), INFOMASK_OK); /* a sample does not depend on the others */
    assert_memory_equal(z, again, 7 * 3 * sizeof *z);
    assert_int_equal(engine_noisy(lone, 7, 6, again, NULL), INFOMASK_OK);
    assert_memory_not_equal(z, again, 7 * 3 * sizeof *z);
    for (int k = 0; k < 3; k++) {
        double mean = 0, square = 0;
        for (int i = 0; i < SAMPLES; i++) {
            mean += (double)z[i * 3 + k] / SAMPLES;
            square += (double)z[i * 3 + k] * (double)z[i * 3 + k] / SAMPLES;
        }
        double deviation = sqrt(square - mean * mean);
        assert_true(deviation > 1e-4);
        assert_true(fabs(mean - (double)quiet[k]) < 5 * deviation / sqrt(SAMPLES));
    }
    engine_session_free(session);
    engine_session_free(lone);
    engine_model_free(model);
    free(x);
}

/* head_dropout: passes differ, few fit at once under a small limit, and the bits stay. */
static void head_dropout(void **state)
{
    static float z[64 * 10], tight[64 * 10];
    struct engine_model *model[2];
    float *x = NULL;
    (void)state;

    for (int i = 0; i < 2; i++) {
        struct engine_options options = {.head_dropout = .4f};
        struct engine_session *session = NULL;
        model[i] = model_of(build_at(residual_net, 1), KERNEL_REF, options);
        x = x == NULL ? random_input(3 * 32 * 32) : x;
        assert_true(engine_model_info(model[i])->noise && engine_model_info(model[i])->pooled_head);
        if (i == 1)
            model[i]->options.arena_limit = engine_arena_bytes(model[i], 1, 32, 32, false) + 4096;
        assert_int_equal(engine_session_create(&session, model[i], NULL, NULL), INFOMASK_OK);
        (void)run(session, model[i], x, 1, 32, 32, false);
        assert_int_equal(engine_noisy(session, 64, 9, i == 0 ? z : tight, NULL), INFOMASK_OK);
        engine_session_free(session);
    }
    assert_memory_equal(z, tight, sizeof z);
    assert_memory_not_equal(z, z + 10, 10 * sizeof *z);
    engine_model_free(model[0]);
    engine_model_free(model[1]);
    free(x);
}

/* ---- limits ------------------------------------------------------------------------------------------------------ */

static void sizes_are_refused_with_a_reason(void **state)
{
    struct engine_model *model = model_of(build_at(residual_net, 1), KERNEL_BLAS,
                                          (struct engine_options){.arena_limit = 200000});
    struct engine_model *fixed;
    struct engine_session *session = NULL;
    struct infomask_error err = {0};
    struct net net = build_at(shuffled_net, 1);
    float *input;
    (void)state;

    assert_int_equal(engine_session_create(&session, model, NULL, NULL), INFOMASK_OK);
    assert_int_equal(engine_prepare(session, 1, 2000, 2000, false, &input, &err), INFOMASK_LIMIT);
    assert_non_null(strstr(err.text, "fits"));
    assert_int_equal(engine_prepare(session, 1, 32, 32, false, &input, &err), INFOMASK_OK);
    assert_true(engine_session_bytes(session) <= 200000);
    assert_int_equal(engine_prepare(session, 0, 32, 32, false, &input, &err), INFOMASK_ARGUMENT);
    assert_int_equal(engine_noisy(session, 3, 1, input, &err), INFOMASK_NO_NOISE);
    engine_session_free(session);
    engine_model_free(model);

    net.graph->tensors[net.graph->input].dims[2] = net.graph->tensors[net.graph->input].dims[3] = 8;
    fixed = model_of(net, KERNEL_REF, (struct engine_options){0});
    assert_true(engine_model_info(fixed)->fixed_size);
    assert_int_equal(engine_arena_bytes(fixed, 1, 16, 16, false), 0);
    assert_true(engine_arena_bytes(fixed, 1, 8, 8, false) > 0);
    assert_int_equal(engine_session_create(&session, fixed, NULL, NULL), INFOMASK_OK);
    assert_int_equal(engine_prepare(session, 1, 16, 16, false, &input, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "8 x 8"));
    engine_session_free(session);
    engine_model_free(fixed);
}

/* More sizes than plans are kept: each still gives its own answer, and a trimmed session gets its memory again. */
static void plans_come_and_go(void **state)
{
    struct engine_model *model = model_of(build_at(residual_net, 1), KERNEL_BLAS, (struct engine_options){.plans = 3});
    struct engine_session *session[2] = {NULL, NULL};
    float *x = random_input(3 * 64 * 64);
    int kept = 0;
    (void)state;

    for (int i = 0; i < 2; i++)
        assert_int_equal(engine_session_create(&session[i], model, NULL, NULL), INFOMASK_OK);
    for (int round = 0; round < 2; round++) {
        for (int size = 20; size < 64; size += 4) {
            float first[10];
            memcpy(first, run(session[0], model, x, 1, size, size, false), sizeof first);
            assert_memory_equal(run(session[1], model, x, 1, size, size, true), first, sizeof first);
        }
        engine_session_trim(session[0]);
        assert_true(engine_session_bytes(session[0]) <= engine_session_bytes(session[1]));
    }
    for (const struct plan *plan = model->plans; plan != NULL; plan = plan->next)
        kept++;
    assert_true(kept <= 3);
    for (int i = 0; i < 2; i++)
        engine_session_free(session[i]);
    engine_model_free(model);
    free(x);
}

static struct net batch_softmax(void)
{
    struct net net = perceptron();
    unary(&net, GRAPH_SOFTMAX)->axis = 0;
    net.graph->outputs[0] = net.last;
    return net;
}

static void what_mixes_a_batch_is_refused(void **state)
{
    struct engine_model *model = NULL;
    struct infomask_error err = {0};
    (void)state;
    assert_int_equal(engine_model_create(&model, build_at(batch_softmax, 1).graph, NULL, &err),
                     INFOMASK_UNSUPPORTED_MODEL);
    assert_non_null(strstr(err.text, "batch"));
    engine_model_free(NULL);
    engine_session_free(NULL);
}

/* One convolution without biases, all of whose outputs are the network's; works at 64 x 64 only. */
static struct net unbiased_net(void)
{
    struct net net = net_new(3, 4);
    int64_t flat[2] = {-1, -1}, *dims;
    struct graph_node *n = conv(&net, (struct conv){.c = 3, .m = 24, .k = 3, .pad = 1});
    const struct graph_tensor *bias = &net.graph->tensors[n->inputs[2]];

    dims = net.graph->tensors[net.graph->input].dims;
    dims[2] = dims[3] = 64;
    memset((void *)(uintptr_t)bias->data, 0, (size_t)bias->dims[0] * sizeof(float));
    reshape_to(&net, 2, flat);
    finish(&net);
    return net;
}

/* Every worker counts them as 0, else the outputs would be about as large; the caller's own are left alone. */
static void denormals_are_zero(void **state)
{
    enum { SIDE = 64, PIXELS = 3 * SIDE * SIDE, RUNS = 20 };
    float *x = random_input(PIXELS);
    (void)state;
    for (int i = 0; i < PIXELS; i++)
        x[i] *= 1e-38f;
    for (int isa = 0; isa < 2 * KERNEL_ISAS; isa++) {
        struct engine_session *session = NULL;
        struct engine_model *model;
        volatile float small = 1e-39f;
        if (kernels_get((enum kernel_isa)(isa / 2)) == NULL)
            continue;
        model = model_of(build_at(unbiased_net, 1), (enum kernel_isa)(isa / 2), (struct engine_options){0});
        assert_int_equal(engine_session_create(&session, model, pools[isa % 2 * 3], NULL), INFOMASK_OK);
        for (int i = 0; i < RUNS; i++) {
            const float *y = run(session, model, x, 1, SIDE, SIDE, false);
            for (size_t at = 0; at < engine_model_info(model)->outputs; at++)
                assert_true(y[at] == 0);
        }
        small *= 2;
        assert_true(small > 0);
        engine_session_free(session);
        engine_model_free(model);
    }
    free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(residual_network),      cmocka_unit_test(odd_convolutions_network),
        cmocka_unit_test(dense_network),
        cmocka_unit_test(network_of_wide_groups),         cmocka_unit_test(grouped_network),
        cmocka_unit_test(chain_network),
        cmocka_unit_test(an_input_in_nhwc_runs),
        cmocka_unit_test(blocks_network),        cmocka_unit_test(groups_do_not_matter),
        cmocka_unit_test(elementwise_network),   cmocka_unit_test(broadcasts_network),
        cmocka_unit_test(shuffled_network),
        cmocka_unit_test(perceptron_network),    cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(taps_identity),         cmocka_unit_test(taps_of_a_plain_network),
        cmocka_unit_test(the_stride_is_what_one_cell_more_takes),
        cmocka_unit_test(noise_is_reproducible), cmocka_unit_test(head_dropout),
        cmocka_unit_test(sizes_are_refused_with_a_reason), cmocka_unit_test(plans_come_and_go),
        cmocka_unit_test(denormals_are_zero),
        cmocka_unit_test(what_mixes_a_batch_is_refused)};
    int failed;

    kernels_warm_up();
    for (int i = 1; i <= 8; i++)
        if (pool_create(&pools[i], i, NULL, NULL, NULL) != INFOMASK_OK)
            return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 1; i <= 8; i++)
        pool_free(pools[i]);
    return failed;
}
