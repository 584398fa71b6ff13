/* Drops what no output needs, and renumbers what is left. */
#include <stdlib.h>
#include <string.h>

#include "core/base/aligned.h"
#include "core/graph/graph.h"
#include "core/graph/internal.h"

/* Nodes stand in topological order, so one walk from the last to the first sees every reader before its source. */
static void mark_needed(const struct graph *graph, bool *needed, bool *dead)
{
    needed[graph->input] = true;
    for (int i = 0; i < graph->output_count; i++)
        needed[graph->outputs[i]] = true;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const struct graph_node *node = &graph->nodes[i];
        dead[i] = !needed[node->output];
        for (int j = 0; !dead[i] && j < node->input_count; j++)
            if (node->inputs[j] != GRAPH_NONE)
                needed[node->inputs[j]] = true;
    }
}

static void drop_tensors(struct graph *graph, const bool *needed, int *number)
{
    int kept = 0;

    for (int i = 0; i < graph->tensor_count; i++) {
        struct graph_tensor *tensor = &graph->tensors[i];
        number[i] = needed[i] ? kept : GRAPH_NONE;
        if (needed[i]) {
            graph->tensors[kept++] = *tensor;
            continue;
        }
        free(tensor->name);
        graph_drop_constant(graph, i);
    }
    graph->tensor_count = kept;
}

static void renumber(struct graph *graph, const int *number)
{
    graph->input = number[graph->input];
    for (int i = 0; i < graph->output_count; i++)
        graph->outputs[i] = number[graph->outputs[i]];
    for (int i = 0; i < graph->node_count; i++) {
        struct graph_node *node = &graph->nodes[i];
        node->output = number[node->output];
        for (int j = 0; j < node->input_count; j++)
            if (node->inputs[j] != GRAPH_NONE)
                node->inputs[j] = number[node->inputs[j]];
    }
}

enum infomask_status graph_prune(struct graph *graph, struct infomask_error *err)
{
    bool *needed = calloc((size_t)graph->tensor_count + 1, sizeof *needed);
    bool *dead = calloc((size_t)graph->node_count + 1, sizeof *dead);
    int *number = calloc((size_t)graph->tensor_count + 1, sizeof *number);
    enum infomask_status status = INFOMASK_OK;

    if (needed == NULL || dead == NULL || number == NULL) {
        status = error_set(err, INFOMASK_MEMORY, "no memory to prune the model's graph");
    } else {
        mark_needed(graph, needed, dead);
        graph_remove_nodes(graph, dead);
        drop_tensors(graph, needed, number);
        renumber(graph, number);
    }
    free(needed);
    free(dead);
    free(number);
    return status;
}
