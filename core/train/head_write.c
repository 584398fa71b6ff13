/* A network's file with another head: the graph is read and simplified as for serving, its last linear layer gets the
 * new weights, and a Softmax behind it goes. */
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "core/infomask_train.h"

static struct graph_node *maker(const struct graph *graph, int tensor)
{
    int node = graph_producer(graph, tensor);
    return node == GRAPH_NONE ? NULL : &graph->nodes[node];
}

static bool is_linear(const struct graph_node *node)
{
    const struct graph_window *w = &node->window;
    bool unit = w->kernel_h == 1 && w->kernel_w == 1 && w->stride_h == 1 && w->stride_w == 1 && w->groups == 1;

    return (node->op == GRAPH_LINEAR || (node->op == GRAPH_CONV && unit)) &&
           node->activation == GRAPH_LINEAR_ACTIVATION && graph_input(node, 3) < 0;
}

/* Back from the output to the head: shapes on the way get the new number of classes, a Softmax is cut off. */
static struct graph_node *find_head(struct graph *graph, int64_t classes)
{
    struct graph_node *node = maker(graph, graph->outputs[0]);

    while (node != NULL && !is_linear(node)) {
        struct graph_tensor *made = &graph->tensors[node->output];
        if (node->op == GRAPH_SOFTMAX)
            graph->outputs[0] = node->inputs[0];
        else if (node->op != GRAPH_RESHAPE && node->op != GRAPH_IDENTITY)
            return NULL;
        if (made->rank > 1)
            made->dims[1] = classes;
        node = maker(graph, node->inputs[0]);
    }
    if (node != NULL && graph->tensors[node->output].rank > 1)
        graph->tensors[node->output].dims[1] = classes;
    return node;
}

static int constant(struct graph *graph, const float *values, int rank, const int64_t *dims, size_t count)
{
    float *copy = malloc(count * sizeof *copy);
    int tensor = GRAPH_NONE;

    if (copy != NULL) {
        memcpy(copy, values, count * sizeof *copy);
        tensor = graph_add_tensor(graph, NULL, rank, dims, copy, true);
    }
    if (tensor == GRAPH_NONE)
        free(copy);
    return tensor;
}

static enum infomask_status replace(struct graph *graph, const struct infomask_head *head, struct infomask_error *err)
{
    int64_t dims[4] = {(int64_t)head->classes, (int64_t)head->features, 1, 1};
    struct graph_node *node = find_head(graph, dims[0]);
    int *inputs, w, b;

    if (node == NULL || graph->tensors[node->inputs[1]].dims[1] != dims[1])
        return error_set(err, INFOMASK_NO_CLASS_MAP, "the network does not end in a linear layer of %zu features",
                         head->features);
    w = constant(graph, head->w, graph->tensors[node->inputs[1]].rank, dims, head->classes * head->features);
    b = constant(graph, head->b, 1, dims, head->classes);
    inputs = malloc(3 * sizeof *inputs);
    if (w == GRAPH_NONE || b == GRAPH_NONE || inputs == NULL) {
        free(inputs);
        return error_set(err, INFOMASK_MEMORY, "no memory to write the network");
    }
    inputs[0] = node->inputs[0];
    inputs[1] = w;
    inputs[2] = b;
    free(node->inputs);
    node->inputs = inputs;
    node->input_count = 3;
    return graph_prune(graph, err);
}

enum infomask_status infomask_write_head(const char *network, const char *output, const struct infomask_head *head,
                                         const char *path, struct infomask_error *err)
{
    struct graph *graph = NULL;
    enum infomask_status status = onnx_read(network, output, &graph, err);

    if (status == INFOMASK_OK)
        status = graph_infer_shapes(graph, err);
    if (status == INFOMASK_OK)
        status = graph_fold_constants(graph, err);
    if (status == INFOMASK_OK)
        status = graph_fuse(graph, err);
    if (status == INFOMASK_OK)
        status = graph_prune(graph, err);
    if (status == INFOMASK_OK)
        status = replace(graph, head, err);
    if (status == INFOMASK_OK)
        status = onnx_write(graph, path, err);
    graph_free(graph);
    return status;
}
