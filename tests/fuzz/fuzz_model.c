/* Any bytes as a model file: they are refused with a sentence, or become a graph on which every pass works and that
 * can be written and read again. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/graph/graph.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "property broken: %s\n", what);
    __builtin_trap();
}

static void check_graph(const struct graph *graph)
{
    require(graph->output_count == 1, "one output");
    for (int i = 0; i < graph->node_count; i++) {
        const struct graph_node *node = &graph->nodes[i];
        require(node->output >= 0 && node->output < graph->tensor_count, "outputs are tensors");
        require(graph->tensors[node->output].data == NULL, "no node is constant");
        for (int j = 0; j < node->input_count; j++)
            require(node->inputs[j] >= GRAPH_NONE && node->inputs[j] < graph->tensor_count, "inputs are tensors");
    }
}

/* A refusal of a pass is fine too: then it has a sentence. */
static int run_passes(struct graph *graph)
{
    struct infomask_error err = {0};
    int failed = graph_infer_shapes(graph, &err) || graph_fold_constants(graph, &err) || graph_fuse(graph, &err) ||
                 graph_prune(graph, &err) || graph_infer_shapes(graph, &err);
    require(!failed || err.text[0], "a refusal has a sentence");
    return !failed;
}

static void round_trip(const struct graph *graph)
{
    char path[64];
    struct infomask_error err = {0};
    struct graph *again = NULL;
    snprintf(path, sizeof path, "/dev/shm/fuzz-model-%d.onnx", (int)getpid());
    if (onnx_write(graph, path, &err)) {
        require(err.status == INFOMASK_UNSUPPORTED_MODEL, "only what ONNX has not cannot be written");
        return;
    }
    if (onnx_read(path, NULL, &again, &err)) {
        fprintf(stderr, "%s\n", err.text);
        require(err.status == INFOMASK_LIMIT, "what was written can be read");
    }
    graph_free(again);
    unlink(path);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    if (onnx_read_bytes(data, size, NULL, -1, (struct onnx_size){0}, &graph, &err)) {
        require(graph == NULL && err.text[0] && !strchr(err.text, '\n'), "a refusal has a sentence and no graph");
        return 0;
    }
    check_graph(graph);
    if (run_passes(graph)) {
        check_graph(graph);
        round_trip(graph);
    }
    graph_free(graph);
    return 0;
}
