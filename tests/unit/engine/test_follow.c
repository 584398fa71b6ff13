/* Passes that go along with a step, or are its kernel's, give the bits of passes of their own, on any number of
 * threads: norms, sums and roundings behind convolutions, also where the work is cut along the channels, and where what
 * is between is bytes. */
#include "test.h"

#include "core/base/pool.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"
#include "engine/build.h"

enum { CHANNELS = 136, SIDE = 20, OUTPUTS = 6, THREADS = 4 };

static struct pool *pools[THREADS];

static void norm(struct net *net)
{
    int inputs[5] = {net->last, vector(net, CHANNELS, .5, 1.5), vector(net, CHANNELS, -1, 1), vector(net, CHANNELS, -1, 1),
                     vector(net, CHANNELS, .1, 2)};

    node(net, GRAPH_BATCH_NORM, inputs, 5, 4)->epsilon = 1e-3f;
}

/* As a QuantizeLinear and a DequantizeLinear behind it. */
static void rounding(struct net *net)
{
    struct graph_node *n = unary(net, GRAPH_QUANTIZE);

    n->function = GRAPH_AND_BACK;
    n->alpha = .03f;
    n->beta = 100;
    n->low = 0;
    n->high = 255;
}

static struct net passes_net(void)
{
    struct net net = net_new(3, 4);
    const struct conv large = {.c = CHANNELS, .m = CHANNELS, .k = 9, .pad = 4, .groups = CHANNELS, .activation = GRAPH_SILU};
    int before;

    conv(&net, (struct conv){.c = 3, .m = CHANNELS, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    rounding(&net);
    conv(&net, (struct conv){.c = CHANNELS, .m = CHANNELS, .k = 1, .activation = GRAPH_CLAMP});
    rounding(&net);
    before = net.last;
    conv(&net, large);
    norm(&net);
    node(&net, GRAPH_ADD, (int[2]){net.last, before}, 2, 4);
    rounding(&net); /* all three are the kernel's */
    before = net.last;
    conv(&net, large);
    norm(&net);
    node(&net, GRAPH_ADD, (int[2]){net.last, before}, 2, 4);
    norm(&net); /* is not */
    conv(&net, (struct conv){.c = CHANNELS, .m = 24, .k = 1});
    rounding(&net);
    pooled_head(&net, 24, OUTPUTS);
    return net;
}

/* What was in a plan. */
struct seen {
    int passes;   /* that no kernel does */
    int products; /* of bytes */
    int bytes;    /* maps of them */
};

static struct seen look(const struct engine_model *model, const struct plan *plan)
{
    struct seen seen = {.passes = plan->step_count};

    for (int i = 0; i < plan->step_count; i++) {
        seen.passes -= plan->steps[i].absorbed;
        seen.products += model->layers[plan->steps[i].node].type == KERNEL_U8;
        seen.bytes += plan->values[plan->steps[i].y].type == KERNEL_U8;
    }
    return seen;
}

/* The net's outputs on so many threads. */
static struct seen run_net(struct net (*make)(void), enum kernel_isa isa, bool apart, int threads, float out[OUTPUTS])
{
    struct engine_options options = {.kernels = kernels_get(isa), .apart = apart};
    struct engine_model *model = NULL;
    struct engine_session *session = NULL;
    float *input = NULL;
    struct seen seen;

    rng = random_stream(SEED, 1);
    assert_int_equal(engine_model_create(&model, make().graph, &options, NULL), INFOMASK_OK);
    assert_int_equal(engine_session_create(&session, model, pools[threads], NULL), INFOMASK_OK);
    session->poison = true;
    assert_int_equal(engine_prepare(session, 1, SIDE, SIDE, false, &input, NULL), INFOMASK_OK);
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        input[i] = (float)(random_unit(&rng) * 2 - 1);
    assert_int_equal(engine_run(session, NULL), INFOMASK_OK);
    memcpy(out, engine_output(session), OUTPUTS * sizeof *out);
    seen = look(model, session->area.plan);
    engine_session_free(session);
    engine_model_free(model);
    return seen;
}

static void passes_that_go_along_do_not_matter(void **state)
{
    float want[OUTPUTS], got[OUTPUTS];

    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        int passes;
        if (table == NULL || !table->gemm_segments)
            continue; /* products whose last bit depends on the cut */
        passes = run_net(passes_net, (enum kernel_isa)isa, true, 0, want).passes;
        for (int threads = 1; threads < THREADS; threads++) {
            assert_int_equal(run_net(passes_net, (enum kernel_isa)isa, false, threads, got).passes,
                             table->then != 0 ? passes - 8 : passes);
            assert_memory_equal(got, want, sizeof want);
        }
    }
}

/* The weights of the last convolution become whole multiples of a step for each output. */
static void onto_steps(struct net *net)
{
    const struct graph_node *n = &net->graph->nodes[net->graph->node_count - 1];
    const struct graph_tensor *w = &net->graph->tensors[n->inputs[1]];
    size_t k = graph_elements(w) / (size_t)w->dims[0];
    float *data = (float *)(uintptr_t)w->data;

    for (int64_t m = 0; m < w->dims[0]; m++) {
        float step = (float)(.5 + random_unit(&rng)) * 1.7f / sqrtf((float)k) / 127;
        for (size_t i = 0; i < k; i++, data++)
            *data = step * (float)(random_below(&rng, 255) - 127.0);
    }
}

static void conv_of_steps(struct net *net, struct conv v)
{
    (void)conv(net, v);
    onto_steps(net);
}

/* What onnxruntime's quantiser makes of residual blocks, of those with depthwise convolutions, too. */
static struct net bytes_net(void)
{
    struct net net = net_new(3, 4);
    int before, side;

    rounding(&net);
    conv_of_steps(&net, (struct conv){.c = 3, .m = 24, .k = 3, .pad = 1, .activation = GRAPH_CLAMP});
    rounding(&net); /* bytes: read by a convolution and a sum */
    before = net.last;
    conv_of_steps(&net, (struct conv){.c = 24, .m = 40, .k = 1, .activation = GRAPH_CLAMP});
    rounding(&net); /* bytes */
    conv_of_steps(&net, (struct conv){.c = 40, .m = 24, .k = 3, .pad = 1});
    rounding(&net);
    node(&net, GRAPH_ADD, (int[2]){net.last, before}, 2, 4)->activation = GRAPH_CLAMP;
    net.graph->nodes[net.graph->node_count - 1].high = 2;
    rounding(&net); /* bytes: read by two convolutions */
    before = net.last;
    conv_of_steps(&net, (struct conv){.c = 24, .m = 48, .k = 1, .stride = 2});
    rounding(&net); /* bytes: read by the sum */
    side = net.last;
    net.last = before;
    conv_of_steps(&net, (struct conv){.c = 24, .m = 48, .k = 3, .stride = 2, .pad = 1});
    rounding(&net);
    node(&net, GRAPH_ADD, (int[2]){net.last, side}, 2, 4);
    rounding(&net); /* bytes: read by a convolution and a sum */
    before = net.last;
    conv_of_steps(&net, (struct conv){.c = 48, .m = CHANNELS, .k = 1, .activation = GRAPH_CLAMP});
    rounding(&net);
    conv(&net, (struct conv){.c = CHANNELS, .m = CHANNELS, .k = 3, .pad = 1, .groups = CHANNELS});
    rounding(&net); /* bytes */
    conv_of_steps(&net, (struct conv){.c = CHANNELS, .m = 48, .k = 1});
    rounding(&net);
    node(&net, GRAPH_ADD, (int[2]){before, net.last}, 2, 4);
    rounding(&net); /* bytes */
    conv_of_steps(&net, (struct conv){.c = 48, .m = 24, .k = 1});
    pooled_head(&net, 24, OUTPUTS);
    return net;
}

static void bytes_of_a_file_do_not_matter(void **state)
{
    float plain[OUTPUTS], want[OUTPUTS], got[OUTPUTS];

    (void)state;
    run_net(bytes_net, KERNEL_BLAS, true, 0, plain);
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        struct seen apart;
        if (table == NULL || (table->types & 1u << KERNEL_U8) == 0)
            continue;
        apart = run_net(bytes_net, (enum kernel_isa)isa, true, 0, want);
        assert_int_equal(apart.products, 8);
        assert_int_equal(apart.bytes, 0);
        for (int i = 0; i < OUTPUTS; i++)
            assert_true(fabsf(want[i] - plain[i]) < .01f);
        for (int threads = 1; threads < THREADS; threads++) {
            struct seen seen = run_net(bytes_net, (enum kernel_isa)isa, false, threads, got);
            if ((table->then & 1u << KERNEL_U8) != 0) {
                assert_int_equal(seen.passes, apart.passes - 14);
                assert_int_equal(seen.bytes, 7);
            }
            assert_memory_equal(got, want, sizeof want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_that_go_along_do_not_matter),
                                       cmocka_unit_test(bytes_of_a_file_do_not_matter)};
    int failed;

    kernels_warm_up();
    for (int i = 1; i < THREADS; i++)
        if (pool_create(&pools[i], i, NULL, NULL, NULL) != INFOMASK_OK)
            return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 1; i < THREADS; i++)
        pool_free(pools[i]);
    return failed;
}
