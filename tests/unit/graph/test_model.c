/* The default model through the whole reader: what its graph must be before and after fusion. */
#include "test.h"

#include <math.h>

#include "core/graph/graph.h"

#define MODEL "config/models/efficientnet-lite0/model.onnx"

static struct graph *read_model(void)
{
    struct infomask_error err = {0};
    struct graph *graph;
    if (onnx_read(MODEL, NULL, &graph, &err))
        fail_msg("%s: %s (make model)", MODEL, err.text);
    return graph;
}

static void run_passes(struct graph *graph)
{
    struct infomask_error err = {0};
    if (graph_infer_shapes(graph, &err) || graph_fold_constants(graph, &err) || graph_fuse(graph, &err) ||
        graph_prune(graph, &err) || graph_infer_shapes(graph, &err))
        fail_msg("%s", err.text);
}

static void count_ops(const struct graph *graph, int counts[GRAPH_OPS])
{
    memset(counts, 0, GRAPH_OPS * sizeof *counts);
    for (int i = 0; i < graph->node_count; i++)
        counts[graph->nodes[i].op]++;
}

static void the_file_has_the_published_architecture(void **state)
{
    struct graph *graph = read_model();
    int counts[GRAPH_OPS];
    (void)state;
    count_ops(graph, counts);
    assert_int_equal(counts[GRAPH_CONV], 49);
    assert_int_equal(counts[GRAPH_ACTIVATION], 33);
    assert_int_equal(counts[GRAPH_ADD], 9);
    assert_int_equal(counts[GRAPH_GLOBAL_AVERAGE], 1);
    assert_int_equal(counts[GRAPH_RESHAPE], 1);
    assert_int_equal(counts[GRAPH_LINEAR], 1);
    assert_int_equal(graph->node_count, 94);
    assert_string_equal(graph->tensors[graph->input].name, "input");
    assert_string_equal(graph->tensors[graph->outputs[0]].name, "logits");
    graph_free(graph);
}

static void fusion_leaves_convolutions_the_pool_and_the_head(void **state)
{
    struct graph *graph = read_model();
    int counts[GRAPH_OPS], clamped = 0, residuals = 0;
    const struct graph_node *stem, *pool, *head;
    (void)state;
    run_passes(graph);
    count_ops(graph, counts);
    assert_int_equal(graph->node_count, 51);
    assert_int_equal(counts[GRAPH_CONV], 49);
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        clamped += node->activation == GRAPH_CLAMP && node->low == 0.0f && node->high == 6.0f;
        residuals += graph_input(node, 3) != GRAPH_NONE;
    }
    assert_int_equal(clamped, 33);
    assert_int_equal(residuals, 9);
    stem = &graph->nodes[0];
    assert_int_equal(stem->window.pad_top, 0);
    assert_int_equal(stem->window.pad_bottom, 1);
    assert_int_equal(stem->window.stride_w, 2);
    pool = &graph->nodes[49];
    head = &graph->nodes[50];
    assert_int_equal(pool->op, GRAPH_GLOBAL_AVERAGE);
    assert_int_equal(graph->tensors[pool->output].rank, 2);
    assert_int_equal(head->op, GRAPH_LINEAR);
    assert_int_equal(graph->tensors[head->inputs[1]].dims[0], 1000);
    assert_int_equal(graph->tensors[head->inputs[1]].dims[1], 1280);
    assert_int_equal(graph->tensors[head->output].dims[0], -1);
    graph_free(graph);
}

static void another_tensor_can_be_the_output(void **state)
{
    struct infomask_error err = {0};
    struct graph *graph;
    (void)state;
    assert_int_equal(onnx_read(MODEL, "features", &graph, &err), INFOMASK_OK);
    assert_int_equal(graph->node_count, 93);
    assert_int_equal(graph->tensors[graph->outputs[0]].dims[1], 1280);
    graph_free(graph);
    assert_int_equal(onnx_read(MODEL, "nothing", &graph, &err), INFOMASK_BAD_MODEL);
    assert_null(graph);
    assert_non_null(strstr(err.text, "nothing"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_file_has_the_published_architecture),
        cmocka_unit_test(fusion_leaves_convolutions_the_pool_and_the_head),
        cmocka_unit_test(another_tensor_can_be_the_output),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
