/* Every small network of tests/data/onnx: as it was read, after the passes, and after a round trip through a file, the
 * graph must compute what onnxruntime computed. */
#include "test.h"

#include <unistd.h>

#include "core/graph/graph.h"
#include "tests/unit/graph/evaluate.h"

#define FOLDER "tests/data/onnx/"

struct golden {
    char name[64];
    int64_t dims[4];
    size_t outputs;
    float *input, *output;
};

static float *read_floats(FILE *file, size_t n)
{
    float *data = malloc(n * sizeof *data);
    assert_non_null(data);
    assert_int_equal(fread(data, sizeof *data, n, file), n);
    return data;
}

static void golden_load(struct golden *g)
{
    char path[128];
    FILE *file;
    snprintf(path, sizeof path, FOLDER "%s.f32", g->name);
    file = fopen(path, "rb");
    assert_non_null(file);
    g->input = read_floats(file, (size_t)(g->dims[0] * g->dims[1] * g->dims[2] * g->dims[3]));
    g->output = read_floats(file, g->outputs);
    assert_int_equal(fgetc(file), EOF);
    fclose(file);
}

static struct graph *read_graph(const char *path)
{
    struct infomask_error err = {0};
    struct graph *graph;
    if (onnx_read(path, NULL, &graph, &err))
        fail_msg("%s: %s", path, err.text);
    return graph;
}

static void run_passes(struct graph *graph, const char *name)
{
    struct infomask_error err = {0};
    int nodes = graph->node_count;
    if (graph_infer_shapes(graph, &err) || graph_fold_constants(graph, &err) || graph_fuse(graph, &err) ||
        graph_prune(graph, &err) || graph_infer_shapes(graph, &err))
        fail_msg("%s: %s", name, err.text);
    assert_true(graph->node_count <= nodes);
}

static void same_answer(const struct graph *graph, const struct golden *g, const char *stage)
{
    struct array y = evaluate_graph(graph, g->dims, g->input);
    assert_int_equal(array_size(&y), g->outputs);
    for (size_t i = 0; i < g->outputs; i++) {
        double error = fabs((double)y.data[i] - (double)g->output[i]);
        if (!(error <= 2e-5 * (1 + fabs((double)g->output[i]))))
            fail_msg("%s, %s: element %zu is %g, not %g", g->name, stage, i, (double)y.data[i], (double)g->output[i]);
    }
    free(y.data);
}

static void round_trip(struct graph *graph, const struct golden *g, const char *stage)
{
    char path[] = "/tmp/infomask-graph-XXXXXX";
    struct infomask_error err = {0};
    int fd = mkstemp(path);
    struct graph *again;
    assert_true(fd >= 0);
    close(fd);
    if (onnx_write(graph, path, &err)) {
        if (!strstr(err.text, "general tensors"))
            fail_msg("%s: %s", g->name, err.text);
        unlink(path);
        return;
    }
    again = read_graph(path);
    unlink(path);
    assert_string_equal(again->tensors[again->input].name, graph->tensors[graph->input].name);
    assert_string_equal(again->tensors[again->outputs[0]].name, graph->tensors[graph->outputs[0]].name);
    same_answer(again, g, stage);
    run_passes(again, g->name);
    same_answer(again, g, stage);
    graph_free(again);
}

static void check_case(struct golden *g)
{
    char path[128];
    struct graph *graph;
    golden_load(g);
    snprintf(path, sizeof path, FOLDER "%s.onnx", g->name);
    graph = read_graph(path);
    same_answer(graph, g, "as read");
    round_trip(graph, g, "written as read");
    run_passes(graph, g->name);
    same_answer(graph, g, "fused");
    round_trip(graph, g, "written fused");
    graph_free(graph);
    free(g->input);
    free(g->output);
}

static void every_network_computes_what_onnxruntime_does(void **state)
{
    FILE *list = fopen(FOLDER "cases.txt", "r");
    struct golden g;
    int cases = 0;
    long long d[4];
    (void)state;
    assert_non_null(list);
    while (fscanf(list, "%63s %lld %lld %lld %lld %zu", g.name, &d[0], &d[1], &d[2], &d[3], &g.outputs) == 6) {
        for (int i = 0; i < 4; i++)
            g.dims[i] = d[i];
        check_case(&g);
        cases++;
    }
    fclose(list);
    assert_true(cases > 100);
}

/* What is left after fusion: the property that the engine's speed rests on. */
static void fusion_reaches_the_fewest_nodes(void **state)
{
    static const struct {
        const char *name;
        int nodes;
    } cases[] = {
        {"conv_batch_norm_relu", 2}, {"conv_batch_norm_shared", 4}, {"silu", 2},          {"hard_swish_div", 2},
        {"hard_swish_last", 2},      {"hard_swish_gate", 2},        {"matmul_add", 2},    {"linear_batch_norm", 2},
        {"linear_residual", 2},      {"net_resnet", 9},             {"net_densenet", 12}, {"net_mobilenetv3", 10},
        {"net_efficientnet", 9},     {"net_mobilenetv2", 9},        {"net_inception", 10}, {"net_lenet_opset7", 7},
        {"net_fixed_pool", 4},       {"net_squeezenet", 8},         {"../nets/norm_of_channels", 7},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char path[128];
        struct graph *graph;
        snprintf(path, sizeof path, FOLDER "%s.onnx", cases[i].name);
        graph = read_graph(path);
        run_passes(graph, cases[i].name);
        if (graph->node_count != cases[i].nodes)
            fail_msg("%s: %d nodes, not %d", cases[i].name, graph->node_count, cases[i].nodes);
        graph_free(graph);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_network_computes_what_onnxruntime_does),
        cmocka_unit_test(fusion_reaches_the_fewest_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
