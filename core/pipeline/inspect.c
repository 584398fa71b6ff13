/* What a model file tells of itself, for people who add it: its input, its outputs, how its last layer ends, and
 * whether it normalises its input itself. */
#include <math.h>
#include <stdio.h>

#include "core/graph/graph.h"
#include "core/infomask_lab.h"
#include "core/pipeline/pipeline.h"

/* The node that alone reads the tensor; NULL: none, or several. */
static const struct graph_node *only_reader(const struct graph *graph, int tensor)
{
    const struct graph_node *found = NULL;

    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] == tensor) {
                if (found != NULL && found != &graph->nodes[i])
                    return NULL;
                found = &graph->nodes[i];
            }
    return found;
}

static int positive(int64_t dim)
{
    return dim > 0 && dim < 1 << 24 ? (int)dim : 0;
}

/* A picture has 1 or 3 channels: where that dimension stands says the layout.  A leading transposition has the last
 * word. */
static enum infomask_status inspect_input(const struct graph *graph, struct infomask_inspection *found,
                                          struct infomask_error *err)
{
    const struct graph_tensor *input = &graph->tensors[graph->input];
    const struct graph_node *first = only_reader(graph, graph->input);
    bool first_is = input->rank == 4 && (input->dims[1] == 1 || input->dims[1] == 3);
    bool last_is = input->rank == 4 && (input->dims[3] == 1 || input->dims[3] == 3);

    if (input->rank != 4 || (!first_is && !last_is))
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL,
                         "its input is not a picture: it must have 4 dimensions, with 1 or 3 "
                         "channels as the second or the last, or 3 without the batch or the one channel");
    found->nhwc = last_is && (!first_is || (first != NULL && first->op == GRAPH_TRANSPOSE));
    found->channels = positive(input->dims[found->nhwc ? 3 : 1]);
    found->height = graph->assumed ? 0 : positive(input->dims[found->nhwc ? 1 : 2]);
    found->width = graph->assumed ? 0 : positive(input->dims[found->nhwc ? 2 : 3]);
    return INFOMASK_OK;
}

enum infomask_output_kind pipeline_output_kind(const struct graph *graph)
{
    int at = graph_producer(graph, graph->outputs[0]);

    while (at != GRAPH_NONE && (graph->nodes[at].op == GRAPH_IDENTITY || graph->nodes[at].op == GRAPH_RESHAPE))
        at = graph_producer(graph, graph->nodes[at].inputs[0]);
    if (at == GRAPH_NONE)
        return INFOMASK_HEAD_LOGITS;
    if (graph->nodes[at].op == GRAPH_SOFTMAX)
        return INFOMASK_HEAD_PROBABILITIES;
    /* an activation is a node of its own, or fused into the layer before it */
    return graph->nodes[at].activation == GRAPH_SIGMOID ? INFOMASK_HEAD_SIGMOID : INFOMASK_HEAD_LOGITS;
}

static enum infomask_status inspect_output(const struct graph *graph, struct infomask_inspection *found,
                                           struct infomask_error *err)
{
    const struct graph_tensor *output = &graph->tensors[graph->outputs[0]];
    int64_t classes = 1;
    int long_sides = 0;

    for (int i = 1; i < output->rank; i++) {
        classes = output->dims[i] > 0 && classes > 0 && classes < 1 << 24 ? classes * output->dims[i] : -1;
        long_sides += output->dims[i] != 1;
    }
    if (output->rank < 2 || classes < 1 || long_sides > 1)
        return error_set(err, INFOMASK_UNSUPPORTED_MODEL,
                         "its output \"%.60s\" is not a row of numbers for each picture%s%s%s",
                         output->name != NULL ? output->name : "",
                         graph->others != NULL ? " (the file has other outputs: " : "",
                         graph->others != NULL ? graph->others : "", graph->others != NULL ? ")" : "");
    found->outputs = (size_t)classes;
    (void)snprintf(found->others, sizeof found->others, "%s", graph->others != NULL ? graph->others : "");
    found->head = pipeline_output_kind(graph);
    return INFOMASK_OK;
}

/* The largest constant that the first nodes subtract from, add to or multiply the input by tells what they expect: a
 * mean over 2 is one of bytes. */
static void inspect_normalisation(const struct graph *graph, struct infomask_inspection *found)
{
    int tensor = graph->input;
    double scale = 1; /* of the input, so far */

    found->whole_numbers = found->normalises = found->takes_bytes = graph->whole_input;
    if (graph->whole_input)
        return;
    for (int step = 0; step < 6; step++) {
        const struct graph_node *node = only_reader(graph, tensor);
        if (node == NULL || node->op == GRAPH_CONV || node->op == GRAPH_LINEAR)
            return;
        if (node->op == GRAPH_ADD || node->op == GRAPH_MUL || node->op == GRAPH_BATCH_NORM) {
            const struct graph_tensor *constant = &graph->tensors[graph_input(node, 1)];
            found->normalises = true;
            if (node->op == GRAPH_ADD && constant->data != NULL)
                found->takes_bytes = found->takes_bytes || fabs((double)constant->data[0]) > 2 * scale;
            if (node->op == GRAPH_MUL && constant->data != NULL)
                scale *= fabs((double)constant->data[0]);
            found->takes_bytes = found->takes_bytes || scale < 0.1;
        } else if (node->op != GRAPH_TRANSPOSE && node->op != GRAPH_IDENTITY) {
            return;
        }
        tensor = node->output;
    }
}

enum infomask_status infomask_inspect(const char *path, const char *output, struct infomask_inspection *found,
                                      struct infomask_error *err)
{
    struct graph *graph = NULL;
    enum infomask_status status = onnx_read(path, output, &graph, err);

    *found = (struct infomask_inspection){0};
    if (status == INFOMASK_OK)
        status = graph_infer_shapes(graph, err);
    if (status == INFOMASK_OK)
        status = inspect_input(graph, found, err);
    if (status == INFOMASK_OK)
        status = inspect_output(graph, found, err);
    if (status == INFOMASK_OK)
        inspect_normalisation(graph, found);
    if (status == INFOMASK_OK) {
        found->takes_unit = graph->takes_unit;
        found->darkest = graph->darkest;
        found->lightest = graph->lightest;
        found->blue_first = graph->blue_first;
        found->classes = graph->classes;
        graph->classes = NULL;
    }
    graph_free(graph);
    return status;
}
