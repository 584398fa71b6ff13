/* The networks of tests/data/nets on every table: as the engine plans and fuses them, and as they were read, step by step,
 * they must compute what onnxruntime computed.  Files of a fixed batch take any number of pictures. */
#include "test.h"

#include <math.h>

#include "core/base/pool.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"

#define FOLDER "tests/data/nets/"
#define TOLERANCE 2e-4 /* of the outputs' spread */

struct golden {
    char name[64];
    int n, h, w;
    size_t inputs, outputs;
    float *data; /* inputs, then outputs */
};

static void golden_load(struct golden *g)
{
    char path[160];
    FILE *file;

    (void)snprintf(path, sizeof path, FOLDER "%s.f32", g->name);
    file = fopen(path, "rb");
    assert_non_null(file);
    g->data = malloc((g->inputs + g->outputs) * sizeof *g->data);
    assert_non_null(g->data);
    assert_int_equal(fread(g->data, sizeof *g->data, g->inputs + g->outputs, file), g->inputs + g->outputs);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static struct engine_model *read_model(const struct golden *g, const struct engine_options *options, bool fused)
{
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    struct engine_model *model = NULL;
    char path[160];

    (void)snprintf(path, sizeof path, FOLDER "%s.onnx", g->name);
    if (onnx_read_for(path, NULL, (struct onnx_size){.height = g->h, .width = g->w}, &graph, &err) || graph_infer_shapes(graph, &err) ||
        graph_fold_constants(graph, &err) || (fused && graph_fuse(graph, &err)) || graph_prune(graph, &err) ||
        engine_model_create(&model, graph, options, &err))
        fail_msg("%s: %s", g->name, err.text);
    return model;
}

/* The file's order to the engine's: N, H, W, C. */
static void fill_input(const struct engine_model *model, const struct golden *g, float *input)
{
    size_t c = (size_t)model->info.channels, cells = (size_t)(g->h * g->w);

    if (model->first == 1) {
        memcpy(input, g->data, g->inputs * sizeof *input);
        return;
    }
    for (size_t n = 0; n < (size_t)g->n; n++)
        for (size_t k = 0; k < c; k++)
            for (size_t i = 0; i < cells; i++)
                input[(n * cells + i) * c + k] = g->data[(n * c + k) * cells + i];
}

static void check(const struct golden *g, const struct engine_options *options, bool fused, struct pool *pool)
{
    struct infomask_error err = {0};
    struct engine_model *model = read_model(g, options, fused);
    struct engine_session *session = NULL;
    const float *want = g->data + g->inputs;
    float *input, low = INFINITY, high = -INFINITY;

    assert_int_equal(engine_session_create(&session, model, pool, &err), INFOMASK_OK);
    session->poison = true;
    if (engine_prepare(session, g->n, g->h, g->w, false, &input, &err))
        fail_msg("%s: %s", g->name, err.text);
    fill_input(model, g, input);
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    assert_int_equal(model->info.outputs * (size_t)g->n, g->outputs);
    for (size_t i = 0; i < g->outputs; i++) {
        low = fminf(low, want[i]);
        high = fmaxf(high, want[i]);
    }
    for (size_t i = 0; i < g->outputs; i++)
        if (!(fabsf(engine_output(session)[i] - want[i]) <= (float)TOLERANCE * (high - low)))
            fail_msg("%s on %s%s, output %zu: %.8g, not %.8g", g->name, options->kernels->name, fused ? "" : ", not fused", i,
                     (double)engine_output(session)[i], (double)want[i]);
    engine_session_free(session);
    engine_model_free(model);
}

static void check_case(struct golden *g, struct pool *pool)
{
    golden_load(g);
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        struct engine_options options = {.kernels = kernels_get((enum kernel_isa)isa)};
        if (options.kernels == NULL)
            continue;
        check(g, &options, true, pool);
        options.apart = options.direct = true;
        check(g, &options, false, pool);
    }
    free(g->data);
}

static void every_network_computes_what_onnxruntime_does(void **state)
{
    FILE *list = fopen(FOLDER "cases.txt", "r");
    struct pool *pool = NULL;
    struct golden g;
    int cases = 0;
    (void)state;

    assert_non_null(list);
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    while (fscanf(list, "%63s %d %d %d %zu %zu", g.name, &g.n, &g.h, &g.w, &g.inputs, &g.outputs) == 6) {
        check_case(&g, pool);
        cases++;
    }
    pool_free(pool);
    fclose(list);
    assert_true(cases > 40);
}

/* A size that the file leaves open stays open, and the head is found, however the exporter spells the pooling. */
static void open_sizes_stay_open(void **state)
{
    struct golden g = {.name = "view_by_indices", .h = 9, .w = 12};
    struct engine_model *model = read_model(&g, NULL, true);
    (void)state;

    assert_false(engine_model_info(model)->fixed_size);
    assert_true(engine_model_info(model)->pooled_head);
    assert_int_equal(engine_model_info(model)->outputs, 5);
    engine_model_free(model);
}

/* The mean of tokens in a square, or over the places of a map with its channels last, is a pooled head: of a map whose
 * mean under the head is the output. */
static void means_are_pooled_heads(void **state)
{
    static const char *const names[] = {"mean_of_tokens", "mean_of_places", "mean_of_places_kept", "pool_of_tokens",
                                        "pool_beyond_map"};
    (void)state;

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct golden g = {.h = 6, .w = 6};
        struct infomask_error err = {0};
        struct engine_model *model;
        struct engine_session *session = NULL;
        struct engine_tap map;
        float *input, mean[8] = {0}, z[6];
        (void)snprintf(g.name, sizeof g.name, "%s", names[i]);
        model = read_model(&g, NULL, true);
        assert_true(engine_model_info(model)->pooled_head);
        assert_int_equal(engine_session_create(&session, model, NULL, &err), INFOMASK_OK);
        assert_int_equal(engine_prepare(session, 1, 6, 6, true, &input, &err), INFOMASK_OK);
        for (int k = 0; k < 3 * 36; k++)
            input[k] = (float)(k % 17) / 8 - 1;
        assert_int_equal(engine_run(session, &err), INFOMASK_OK);
        map = engine_features(session);
        assert_true(map.data != NULL && map.h == 6 && map.w == 6 && map.c == 8);
        for (int k = 0; k < 36 * 8; k++)
            mean[k % 8] += map.data[k] / 36;
        assert_int_equal(engine_head_rows(model, mean, 1, z, &err), INFOMASK_OK);
        for (int k = 0; k < 6; k++)
            assert_true(fabsf(z[k] - engine_output(session)[k]) < 1e-5F);
        engine_session_free(session);
        engine_model_free(model);
    }
}

/* A head of several layers, as the engine reads it off the file: of the mean it makes the output, the cells' mean is that,
 * and a cell tells what small steps from the mean towards it and away from it do. */
static void check_layered(const char *name)
{
    enum { CELLS = 20, C = 8, K = 6 };
    const float step = 1e-2F;
    struct golden g = {.h = 4, .w = 5};
    struct infomask_error err = {0};
    struct engine_model *model;
    struct engine_session *session = NULL;
    struct engine_tap map;
    float *input, mean[C] = {0}, z[K], near[2 * K], l[CELLS * K], rows[2 * C], sum[K] = {0};

    (void)snprintf(g.name, sizeof g.name, "%s", name);
    model = read_model(&g, NULL, true);
    assert_non_null(model->layered);
    assert_int_equal(engine_session_create(&session, model, NULL, &err), INFOMASK_OK);
    assert_int_equal(engine_prepare(session, 1, 4, 5, true, &input, &err), INFOMASK_OK);
    for (int k = 0; k < 3 * CELLS; k++)
        input[k] = (float)(k * 7 % 17) / 8 - 1;
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    map = engine_features(session);
    assert_true(map.data != NULL && map.h * map.w == CELLS && map.c == C);
    for (int k = 0; k < CELLS * C; k++)
        mean[k % C] += map.data[k] / CELLS;
    assert_int_equal(engine_head_rows(model, mean, 1, z, &err), INFOMASK_OK);
    assert_int_equal(engine_head_cells(model, map.data, CELLS, l, &err), INFOMASK_OK);
    for (int u = 0; u < CELLS; u++) {
        for (int c = 0; c < C; c++) {
            rows[c] = mean[c] + step * (map.data[u * C + c] - mean[c]);
            rows[C + c] = mean[c] - step * (map.data[u * C + c] - mean[c]);
        }
        assert_int_equal(engine_head_rows(model, rows, 2, near, &err), INFOMASK_OK);
        for (int k = 0; k < K; k++) {
            float says = l[u * K + k] - z[k], slope = (near[k] - near[K + k]) / (2 * step);
            sum[k] += l[u * K + k] / CELLS;
            if (!(fabsf(slope - says) < 0.01F + 0.01F * fabsf(says)))
                fail_msg("%s: cell %d says %g, a step towards it %g", name, u, (double)says, (double)slope);
        }
    }
    for (int k = 0; k < K; k++)
        assert_true(fabsf(z[k] - engine_output(session)[k]) < 1e-4F && fabsf(sum[k] - z[k]) < 1e-3F);
    engine_session_free(session);
    engine_model_free(model);
}

static void cells_of_layered_heads_are_steps_from_the_mean(void **state)
{
    static const char *const names[] = {"head_relu", "head_sigmoid", "head_silu", "head_hard_sigmoid", "head_hard_swish",
                                        "head_leaky_relu", "head_gelu", "head_gelu_tanh", "head_tanh",
                                        "head_rounded"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_layered(names[i]);
}

/* A tensor of QLinear operators has been rounded once, however many of them read it. */
static void what_many_read_is_rounded_once(void **state)
{
    struct golden g = {.name = "quantised_operators"};
    struct engine_model *model = read_model(&g, &(struct engine_options){.kernels = kernels_best()}, true);
    int roundings = 0;

    (void)state;
    for (int i = 0; i < model->graph->node_count; i++) {
        const struct graph_node *node = &model->graph->nodes[i];
        for (int j = 0; node->op == GRAPH_QUANTIZE && j < i; j++)
            assert_false(model->graph->nodes[j].op == GRAPH_QUANTIZE && model->graph->nodes[j].inputs[0] == node->inputs[0]);
        roundings += node->op == GRAPH_QUANTIZE;
    }
    assert_true(roundings >= 10);
    engine_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_network_computes_what_onnxruntime_does),
                                       cmocka_unit_test(open_sizes_stay_open),
                                       cmocka_unit_test(means_are_pooled_heads),
                                       cmocka_unit_test(cells_of_layered_heads_are_steps_from_the_mean),
                                       cmocka_unit_test(what_many_read_is_rounded_once)};

    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
