/* Passes that go along with a step, or are its kernel's, give the bits of passes of their own, on any number of
 * threads: norms, sums and roundings behind convolutions, also where the work is cut along the channels. */
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

/* Its outputs on so many threads; the number of passes that the kernels do. */
static int run_net(enum kernel_isa isa, bool apart, int threads, float out[OUTPUTS])
{
    struct engine_options options = {.kernels = kernels_get(isa), .apart = apart};
    struct engine_model *model = NULL;
    struct engine_session *session = NULL;
    float *input = NULL;
    int absorbed = 0;

    rng = random_stream(SEED, 1);
    assert_int_equal(engine_model_create(&model, passes_net().graph, &options, NULL), INFOMASK_OK);
    assert_int_equal(engine_session_create(&session, model, pools[threads], NULL), INFOMASK_OK);
    session->poison = true;
    assert_int_equal(engine_prepare(session, 1, SIDE, SIDE, false, &input, NULL), INFOMASK_OK);
    for (int i = 0; i < 3 * SIDE * SIDE; i++)
        input[i] = (float)(random_unit(&rng) * 2 - 1);
    assert_int_equal(engine_run(session, NULL), INFOMASK_OK);
    memcpy(out, engine_output(session), OUTPUTS * sizeof *out);
    for (int i = 0; i < session->area.plan->step_count; i++)
        absorbed += session->area.plan->steps[i].absorbed;
    engine_session_free(session);
    engine_model_free(model);
    return absorbed;
}

static void passes_that_go_along_do_not_matter(void **state)
{
    float want[OUTPUTS], got[OUTPUTS];

    (void)state;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        if (table == NULL || !table->gemm_segments)
            continue; /* products whose last bit depends on the cut */
        assert_int_equal(run_net((enum kernel_isa)isa, true, 0, want), 0);
        for (int threads = 1; threads < THREADS; threads++) {
            assert_int_equal(run_net((enum kernel_isa)isa, false, threads, got), table->then ? 7 : 0);
            assert_memory_equal(got, want, sizeof want);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(passes_that_go_along_do_not_matter)};
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
