/* The passes on graphs made by hand: what may be fused and what may not, exact folding, pruning, windows, and weights
 * that stay in the mapped file. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "core/base/aligned.h"
#include "core/graph/graph.h"

#define C 3 /* channels of every activation here */

static float *numbers(size_t n, float first)
{
    float *data = aligned_new(n * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = first + 0.37f * (float)(i % 11) - 0.01f * (float)i;
    return data;
}

static struct graph *new_graph(void)
{
    static const int64_t dims[4] = {-1, C, -1, -1};
    struct graph *graph = graph_create();
    assert_non_null(graph);
    graph->input = graph_add_tensor(graph, "x", 4, dims, NULL, false);
    graph->outputs = calloc(4, sizeof *graph->outputs);
    assert_non_null(graph->outputs);
    return graph;
}

static int vector(struct graph *graph, float first)
{
    static const int64_t dims[1] = {C};
    return graph_add_tensor(graph, NULL, 1, dims, numbers(C, first), true);
}

static int node(struct graph *graph, enum graph_op op, const char *name, const int *inputs, int count)
{
    int output = graph_add_tensor(graph, name, 0, NULL, NULL, false);
    assert_int_not_equal(graph_add_node(graph, op, name, inputs, count, output), GRAPH_NONE);
    return output;
}

/* A 1x1 convolution of C to C channels. */
static int conv(struct graph *graph, const char *name, int x)
{
    static const int64_t dims[4] = {C, C, 1, 1};
    int inputs[3] = {x, graph_add_tensor(graph, NULL, 4, dims, numbers(C * C, 1), true), vector(graph, 2)};
    return node(graph, GRAPH_CONV, name, inputs, 3);
}

static int relu(struct graph *graph, const char *name, int x)
{
    int y = node(graph, GRAPH_ACTIVATION, name, &x, 1);
    graph->nodes[graph->node_count - 1].activation = GRAPH_CLAMP;
    graph->nodes[graph->node_count - 1].low = 0;
    return y;
}

static int add(struct graph *graph, const char *name, int a, int b)
{
    const int inputs[2] = {a, b};
    return node(graph, GRAPH_ADD, name, inputs, 2);
}

static void output(struct graph *graph, int tensor)
{
    graph->outputs[graph->output_count++] = tensor;
}

static void fuse(struct graph *graph)
{
    struct infomask_error err = {0};
    if (graph_infer_shapes(graph, &err) || graph_fold_constants(graph, &err) || graph_fuse(graph, &err) ||
        graph_prune(graph, &err) || graph_infer_shapes(graph, &err))
        fail_msg("%s", err.text);
}

/* Every input was made before it is read. */
static void assert_order(const struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] != GRAPH_NONE)
                assert_true(graph_producer(graph, graph->nodes[i].inputs[j]) < i);
}

static void what_is_read_elsewhere_stays(void **state)
{
    struct graph *graph = new_graph();
    int y = conv(graph, "conv", graph->input), z = relu(graph, "relu", y);
    (void)state;
    output(graph, z);
    output(graph, y); /* the tensor between is wanted */
    fuse(graph);
    assert_int_equal(graph->node_count, 2);
    graph_free(graph);

    graph = new_graph();
    y = conv(graph, "conv", graph->input);
    z = relu(graph, "relu", y);
    output(graph, add(graph, "sum", z, y)); /* two readers */
    fuse(graph);
    assert_int_equal(graph->node_count, 3);
    assert_int_equal(graph->nodes[0].activation, GRAPH_LINEAR_ACTIVATION);
    graph_free(graph);
}

static void a_residual_joins_the_later_convolution(void **state)
{
    struct graph *graph = new_graph();
    int x = relu(graph, "relu", graph->input), a = conv(graph, "a", graph->input), b = conv(graph, "b", x);
    (void)state;
    output(graph, relu(graph, "y", add(graph, "sum", a, b)));
    fuse(graph);
    assert_int_equal(graph->node_count, 3);
    assert_string_equal(graph->nodes[2].name, "b");
    assert_int_equal(graph_input(&graph->nodes[2], 3), graph->nodes[1].output);
    assert_int_equal(graph->nodes[2].activation, GRAPH_CLAMP);
    assert_string_equal(graph->tensors[graph->nodes[2].output].name, "y");
    assert_order(graph);
    graph_free(graph);
}

/* The other summand comes from a node behind the convolution that cannot take a residual: the convolution moves. */
static void a_convolution_moves_to_where_its_residual_is_ready(void **state)
{
    struct graph *graph = new_graph();
    int a = conv(graph, "a", graph->input), b = relu(graph, "b", graph->input);
    (void)state;
    output(graph, add(graph, "y", a, b));
    fuse(graph);
    assert_int_equal(graph->node_count, 2);
    assert_int_equal(graph->nodes[1].op, GRAPH_CONV);
    assert_int_equal(graph_input(&graph->nodes[1], 3), graph->nodes[0].output);
    assert_order(graph);
    graph_free(graph);
}

/* The kernels of depthwise convolutions add nothing. */
static void a_depthwise_convolution_takes_no_residual(void **state)
{
    static const int64_t dims[4] = {C, 1, 1, 1};
    struct graph *graph = new_graph();
    int a = relu(graph, "a", graph->input);
    int inputs[3] = {graph->input, graph_add_tensor(graph, NULL, 4, dims, numbers(C, 1), true), vector(graph, 2)};
    int b = node(graph, GRAPH_CONV, "b", inputs, 3);
    (void)state;
    graph->nodes[graph->node_count - 1].window.groups = C;
    output(graph, relu(graph, "y", add(graph, "sum", a, b)));
    fuse(graph);
    assert_int_equal(graph->node_count, 3);
    assert_int_equal(graph->nodes[1].op, GRAPH_CONV);
    assert_int_equal(graph_input(&graph->nodes[1], 3), GRAPH_NONE);
    assert_int_equal(graph->nodes[2].op, GRAPH_ADD);
    assert_int_equal(graph->nodes[2].activation, GRAPH_CLAMP);
    graph_free(graph);
}

/* A convolution of C channels in one group or C, of windows of `side` pixels padded by `pad` on every side. */
static int window(struct graph *graph, const char *name, int x, int side, int pad, int groups)
{
    const int64_t dims[4] = {C, C / groups, side, side};
    float *w = numbers((size_t)(C * C / groups * side * side), (float)side);
    int inputs[3] = {x, graph_add_tensor(graph, NULL, 4, dims, w, true), vector(graph, (float)side)};
    int y = node(graph, GRAPH_CONV, name, inputs, 3);
    struct graph_window *to = &graph->nodes[graph->node_count - 1].window;

    to->kernel_h = to->kernel_w = side;
    to->pad_top = to->pad_left = to->pad_bottom = to->pad_right = pad;
    to->groups = groups;
    return y;
}

static int norm(struct graph *graph, int x)
{
    int inputs[5] = {x, vector(graph, 0.5f), vector(graph, -1), vector(graph, 3), vector(graph, 0.25f)};
    return node(graph, GRAPH_BATCH_NORM, "norm", inputs, 5);
}

/* A 3 x 3, a 1 x 1 and a norm of one tensor: in the middle of the window is the sum of all three. */
static void linear_branches_are_one_convolution(void **state)
{
    (void)state;
    for (int groups = 1; groups <= C; groups += C - 1) {
        struct graph *graph = new_graph();
        int small = window(graph, "small", graph->input, 1, 0, groups);
        int large = window(graph, "large", graph->input, 3, 1, groups), n = norm(graph, graph->input);
        float one[C * C], nine[C * C * 9], b[2][C];
        const float *w;
        memcpy(one, graph->tensors[graph->nodes[0].inputs[1]].data, sizeof *one * (size_t)(C * C / groups));
        memcpy(nine, graph->tensors[graph->nodes[1].inputs[1]].data, sizeof *nine * (size_t)(C * C / groups * 9));
        for (int i = 0; i < 2; i++)
            memcpy(b[i], graph->tensors[graph->nodes[i].inputs[2]].data, sizeof b[i]);
        output(graph, relu(graph, "y", add(graph, "all", n, add(graph, "both", small, large))));
        graph->nodes[2].epsilon = 1e-3f;
        fuse(graph);
        assert_int_equal(graph->node_count, 1);
        assert_string_equal(graph->nodes[0].name, "large");
        assert_int_equal(graph->nodes[0].activation, GRAPH_CLAMP);
        w = graph->tensors[graph->nodes[0].inputs[1]].data;
        for (int o = 0; o < C; o++) {
            double s = ((double)(0.5f + 0.37f * (float)o - 0.01f * (float)o)) /
                       sqrt((double)(0.25f + 0.37f * (float)o - 0.01f * (float)o) + (double)1e-3f);
            double shift = (double)(-1 + 0.37f * (float)o - 0.01f * (float)o) -
                           s * (double)(3 + 0.37f * (float)o - 0.01f * (float)o);
            for (int i = 0; i < C / groups; i++)
                for (int tap = 0; tap < 9; tap++) {
                    int at = o * (C / groups) + i;
                    double want = (double)nine[at * 9 + tap] + (tap == 4 ? (double)one[at] : 0);
                    want += tap == 4 && (groups == C || i == o) ? s : 0;
                    assert_true(fabs((double)w[at * 9 + tap] - want) <= 1e-6 * fabs(want));
                }
            assert_true(fabs((double)graph->tensors[graph->nodes[0].inputs[2]].data[o] -
                             ((double)b[0][o] + (double)b[1][o] + shift)) < 1e-5);
        }
        graph_free(graph);
    }
}

/* The summand is a depthwise convolution's own pixel, or stays beside a dense one, whose residual it is. */
static void a_tensor_joins_its_depthwise_convolution(void **state)
{
    (void)state;
    for (int groups = 1; groups <= C; groups += C - 1) {
        struct graph *graph = new_graph();
        int x = relu(graph, "x", graph->input);
        output(graph, add(graph, "y", x, window(graph, "conv", x, 3, 1, groups)));
        fuse(graph);
        assert_int_equal(graph->node_count, 2);
        assert_int_equal(graph_input(&graph->nodes[1], 3), groups == C ? GRAPH_NONE : graph->nodes[0].output);
        graph_free(graph);
    }
}

/* Other inputs, another reader, windows that see other pixels, or neither of which has all places of the other. */
static void other_branches_stay(void **state)
{
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        struct graph *graph = new_graph();
        int x = relu(graph, "x", graph->input), other = relu(graph, "other", x);
        int a = window(graph, "a", x, 3, 1, C), b = window(graph, "b", kind == 0 ? other : x, kind == 1 ? 3 : 1, 0, C);
        struct graph_window *w = &graph->nodes[graph->node_count - 1].window;
        if (kind == 1) /* the pixel before, by a pad of two on one side */
            w->pad_top = w->pad_left = 2;
        if (kind == 2) { /* two places apart */
            w->pad_top = w->pad_left = 2;
            graph->nodes[2].window.pad_bottom = graph->nodes[2].window.pad_right = 3;
        }
        if (kind == 3)
            output(graph, b);
        if (kind == 4)
            graph->nodes[2].window.auto_pad = 1, graph->nodes[2].window.stride_h = w->stride_h = 2;
        output(graph, add(graph, "y", a, b));
        fuse(graph);
        assert_int_equal(graph->node_count, kind == 0 ? 5 : 4);
        assert_int_equal(graph->nodes[graph->node_count - 1].op, GRAPH_ADD);
        graph_free(graph);
    }
}

static void a_sum_of_one_tensor_with_itself_is_no_residual(void **state)
{
    struct graph *graph = new_graph();
    int a = conv(graph, "a", graph->input);
    (void)state;
    output(graph, add(graph, "y", a, a));
    fuse(graph);
    assert_int_equal(graph->node_count, 2);
    assert_int_equal(graph->nodes[1].op, GRAPH_ADD);
    graph_free(graph);
}

/* The folded weights are the doubles, rounded once. */
static void batch_norm_folds_exactly(void **state)
{
    struct graph *graph = new_graph();
    int y = conv(graph, "conv", graph->input);
    int inputs[5] = {y, vector(graph, 0.5f), vector(graph, -1), vector(graph, 3), vector(graph, 0.25f)};
    float w[C * C], b[C], parts[4][C];
    const struct graph_node *fused;
    (void)state;
    memcpy(w, graph->tensors[graph->nodes[0].inputs[1]].data, sizeof w);
    memcpy(b, graph->tensors[graph->nodes[0].inputs[2]].data, sizeof b);
    for (int i = 0; i < 4; i++)
        memcpy(parts[i], graph->tensors[inputs[i + 1]].data, sizeof parts[i]);
    output(graph, node(graph, GRAPH_BATCH_NORM, "norm", inputs, 5));
    graph->nodes[1].epsilon = 1e-3f;
    fuse(graph);
    assert_int_equal(graph->node_count, 1);
    fused = &graph->nodes[0];
    for (int c = 0; c < C; c++) {
        double s = (double)parts[0][c] / sqrt((double)parts[3][c] + (double)1e-3f);
        float bias = (float)((double)b[c] * s + ((double)parts[1][c] - s * (double)parts[2][c]));
        assert_memory_equal(&graph->tensors[fused->inputs[2]].data[c], &bias, sizeof bias);
        for (int i = 0; i < C; i++) {
            float weight = (float)((double)w[c * C + i] * s);
            assert_memory_equal(&graph->tensors[fused->inputs[1]].data[c * C + i], &weight, sizeof weight);
        }
    }
    graph_free(graph);
}

static void constants_fold_and_identities_go(void **state)
{
    struct graph *graph = new_graph();
    const int64_t dims[4] = {1, C, 1, 1};
    int a = graph_add_tensor(graph, NULL, 4, dims, numbers(C, 1), true);
    int b = graph_add_tensor(graph, NULL, 4, dims, numbers(C, 2), true);
    int sum = add(graph, "constant", a, b), x = graph->input;
    int same = node(graph, GRAPH_IDENTITY, "same", &x, 1), y = add(graph, "inner", same, sum), z;
    struct infomask_error err = {0};
    float expected = graph->tensors[a].data[1] + graph->tensors[b].data[1];
    (void)state;
    z = node(graph, GRAPH_IDENTITY, "y", &y, 1);
    output(graph, z);
    assert_int_equal(graph_infer_shapes(graph, &err), INFOMASK_OK);
    assert_int_equal(graph_fold_constants(graph, &err), INFOMASK_OK);
    assert_int_equal(graph_prune(graph, &err), INFOMASK_OK);
    assert_int_equal(graph->node_count, 1);
    assert_int_equal(graph->nodes[0].inputs[0], graph->input);
    assert_true(graph->tensors[graph->nodes[0].inputs[1]].data[1] == expected);
    assert_string_equal(graph->tensors[graph->outputs[0]].name, "y");
    assert_int_equal(graph->tensor_count, 3);
    graph_free(graph);
}

static void copies_stay_within_the_budget(void **state)
{
    struct graph *graph = new_graph();
    struct infomask_error err = {0};
    (void)state;
    output(graph, relu(graph, "y", node(graph, GRAPH_BATCH_NORM, "norm",
                                        (int[5]){conv(graph, "conv", graph->input), vector(graph, 1), vector(graph, 1),
                                                 vector(graph, 1), vector(graph, 1)}, 5)));
    graph->budget = C * C + C - 1;
    assert_int_equal(graph_infer_shapes(graph, &err), INFOMASK_OK);
    assert_int_equal(graph_fuse(graph, &err), INFOMASK_LIMIT);
    graph_free(graph);
}

/* Two tall matrices of few bytes each have a product that takes long: it is refused, not computed. */
static void constants_that_take_too_long_are_refused(void **state)
{
    static const size_t tall = 700;
    const int64_t dims[2] = {(int64_t)tall, (int64_t)tall};
    struct infomask_error err = {0};
    (void)state;
    for (int enough = 0; enough < 2; enough++) {
        struct graph *graph = new_graph();
        int a = graph_add_tensor(graph, NULL, 2, dims, numbers(tall * tall, 0), true);
        output(graph, node(graph, GRAPH_MATMUL, "product", (int[2]){a, a}, 2));
        graph->work = tall * tall * tall - !enough;
        assert_int_equal(graph_infer_shapes(graph, &err), enough ? INFOMASK_OK : INFOMASK_UNSUPPORTED_MODEL);
        if (!enough)
            assert_non_null(strstr(err.text, "take too long"));
        graph_free(graph);
    }
}

static void windows_follow_the_formulas(void **state)
{
    struct graph_window w = {.kernel_h = 3, .kernel_w = 5, .stride_h = 2, .stride_w = 2, .dilation_h = 1,
                             .dilation_w = 1, .pad_bottom = 1, .pad_left = 1, .pad_right = 2, .groups = 1};
    int before, after;
    (void)state;
    assert_int_equal(graph_window_output(&w, 0, 224, &before, &after), 112);
    assert_int_equal(before, 0);
    assert_int_equal(after, 1);
    assert_int_equal(graph_window_output(&w, 1, 224, &before, &after), 112);
    assert_int_equal(graph_window_output(&w, 0, 1, NULL, NULL), 0);
    w.auto_pad = 1;
    for (int64_t n = 1; n < 40; n++) {
        assert_int_equal(graph_window_output(&w, 0, n, &before, &after), (n + 1) / 2);
        assert_true(after - before == 0 || after - before == 1);
        assert_true(((n + 1) / 2 - 1) * 2 + 3 <= n + before + after);
    }
    w.auto_pad = 2;
    graph_window_output(&w, 1, 8, &before, &after);
    assert_int_equal(before, 2);
    assert_int_equal(after, 1);
    w.auto_pad = 0;
    w.ceil_mode = true;
    w.pad_bottom = 0;
    assert_int_equal(graph_window_output(&w, 0, 6, NULL, NULL), 3);
    w.kernel_h = 1; /* a third window would begin behind the input */
    assert_int_equal(graph_window_output(&w, 0, 4, NULL, NULL), 2);
}

static const struct graph_tensor *tensor_named(const struct graph *graph, const char *name)
{
    for (int i = 0; i < graph->tensor_count; i++)
        if (graph->tensors[i].name && strcmp(graph->tensors[i].name, name) == 0)
            return &graph->tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

/* x [N, K] times a matrix, written with a name of the given length: it moves the weights in the file by bytes. */
static void write_large(const char *path, int k, int n, const char *name)
{
    const int64_t in[4] = {-1, k, 1, 1}, dims[2] = {n, k};
    struct graph *graph = new_graph();
    struct infomask_error err = {0};
    int inputs[2], pooled;
    memcpy(graph->tensors[graph->input].dims, in, sizeof in);
    pooled = node(graph, GRAPH_GLOBAL_AVERAGE, name, &graph->input, 1);
    graph->tensors[pooled].rank = 2;
    inputs[0] = pooled;
    inputs[1] = graph_add_tensor(graph, "w", 2, dims, numbers((size_t)k * (size_t)n, 1), true);
    output(graph, node(graph, GRAPH_LINEAR, "y", inputs, 2));
    if (graph_infer_shapes(graph, &err) || onnx_write(graph, path, &err))
        fail_msg("%s", err.text);
    graph_free(graph);
}

static void weights_of_a_large_file_stay_in_it(void **state)
{
    enum { K = 4096, N = 4200 };
    static const char *const names[] = {"p", "po", "poo", "pool"};
    char path[] = "/tmp/infomask-large-XXXXXX";
    int fd = mkstemp(path), in_place = 0;
    float *expected = numbers((size_t)K * N, 1);
    (void)state;
    assert_true(fd >= 0);
    close(fd);
    for (size_t i = 0; i < 4; i++) {
        struct infomask_error err = {0};
        struct graph *graph;
        const struct graph_tensor *w;
        write_large(path, K, N, names[i]);
        if (onnx_read(path, NULL, &graph, &err))
            fail_msg("%s", err.text);
        assert_int_equal(graph->file_count, 1);
        w = tensor_named(graph, "w");
        assert_memory_equal(w->data, expected, (size_t)K * N * sizeof *expected);
        in_place += !w->owned;
        if (!w->owned)
            assert_true((const uint8_t *)w->data > contents_data(graph->files->contents) &&
                        (const uint8_t *)w->data <
                            contents_data(graph->files->contents) + contents_size(graph->files->contents));
        graph_free(graph);
    }
    unlink(path);
    aligned_free(expected);
    assert_int_not_equal(in_place, 0); /* where a name's length puts them on a multiple of four bytes */
}

/* The dims of a new tensor may be those of one that has to move for it. */
static void a_tensor_may_have_anothers_dims(void **state)
{
    static const int64_t dims[2] = {3, 5};
    struct graph *graph = graph_create();
    int tensor;

    (void)state;
    assert_non_null(graph);
    tensor = graph_add_tensor(graph, NULL, 2, dims, NULL, false);
    for (int i = 0; i < 20000; i++) {
        tensor = graph_add_tensor(graph, NULL, 2, graph->tensors[tensor].dims, NULL, false);
        assert_int_not_equal(tensor, GRAPH_NONE);
        assert_memory_equal(graph->tensors[tensor].dims, dims, sizeof dims);
    }
    graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_elsewhere_stays),
        cmocka_unit_test(a_residual_joins_the_later_convolution),
        cmocka_unit_test(a_convolution_moves_to_where_its_residual_is_ready),
        cmocka_unit_test(a_depthwise_convolution_takes_no_residual),
        cmocka_unit_test(linear_branches_are_one_convolution),
        cmocka_unit_test(a_tensor_joins_its_depthwise_convolution),
        cmocka_unit_test(other_branches_stay),
        cmocka_unit_test(a_sum_of_one_tensor_with_itself_is_no_residual),
        cmocka_unit_test(batch_norm_folds_exactly),
        cmocka_unit_test(constants_fold_and_identities_go),
        cmocka_unit_test(copies_stay_within_the_budget),
        cmocka_unit_test(constants_that_take_too_long_are_refused),
        cmocka_unit_test(windows_follow_the_formulas),
        cmocka_unit_test(a_tensor_may_have_anothers_dims),
        cmocka_unit_test(weights_of_a_large_file_stay_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
