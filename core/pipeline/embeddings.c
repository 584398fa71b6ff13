/* An encoder of pictures becomes a classifier: the cosines of what it gives with its classes' embeddings, times a
 * scale, are the logits (Radford et al. 2021, CLIP).  Written into the graph, so that every pass over it sees one
 * network. */
#include <math.h>
#include <stdlib.h>

#include "core/base/checked.h"
#include "core/graph/graph.h"
#include "core/pipeline/pipeline.h"

#define LEAST_LENGTH 1e-12F

static enum infomask_status no_memory(struct infomask_error *err)
{
    return error_set(err, INFOMASK_MEMORY, "no memory for the network");
}

/* Do K, D and the scale fit the encoder and the labels? */
static enum infomask_status check(const struct infomask_model_spec *spec, const struct graph *graph,
                                  struct infomask_error *err)
{
    const struct graph_tensor *x = &graph->tensors[graph->outputs[0]];
    int64_t size = x->rank > 1 ? 1 : -1;

    for (int i = 1; i < x->rank; i++)
        size = x->dims[i] > 0 && size > 0 && size < 1 << 24 ? size * x->dims[i] : -1;
    if (size < 1)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "head.npy needs an encoder that gives a row of numbers for a picture");
    if ((size_t)size != spec->embedding_size)
        return error_set(err, INFOMASK_BAD_MODEL,
                         "head.npy has %zu numbers a class, but the network gives %lld a picture", spec->embedding_size,
                         (long long)size);
    if (spec->embedding_rows < 2)
        return error_set(err, INFOMASK_BAD_MODEL, "head.npy has %zu classes, a classifier has at least 2",
                         spec->embedding_rows);
    if (spec->labels != 0 && spec->labels != spec->embedding_rows)
        return error_set(err, INFOMASK_BAD_MODEL, "head.npy has %zu classes, but there are %zu labels",
                         spec->embedding_rows, spec->labels);
    if (!(spec->embedding_scale > 0) || !isfinite(spec->embedding_scale))
        return error_set(err, INFOMASK_BAD_MODEL, "head_scale must be more than 0, not %g", spec->embedding_scale);
    for (size_t i = 0; i < spec->embedding_rows * spec->embedding_size; i++)
        if (!isfinite(spec->embeddings[i]))
            return error_set(err, INFOMASK_BAD_MODEL, "head.npy: number %zu of class %zu is not finite",
                             i % spec->embedding_size, i / spec->embedding_size);
    return INFOMASK_OK;
}

/* W = scale e as a constant; GRAPH_NONE: no memory. */
static int weights(const struct infomask_model_spec *spec, struct graph *graph)
{
    const int64_t dims[2] = {(int64_t)spec->embedding_rows, (int64_t)spec->embedding_size};
    size_t count, bytes;
    float *w;
    int tensor;

    if (!checked_mul(spec->embedding_rows, spec->embedding_size, &count) || !checked_mul(count, sizeof *w, &bytes))
        return GRAPH_NONE;
    w = malloc(bytes);
    if (w == NULL)
        return GRAPH_NONE;
    for (size_t i = 0; i < count; i++)
        w[i] = (float)(spec->embedding_scale * (double)spec->embeddings[i]);
    tensor = graph_add_tensor(graph, "embeddings", 2, dims, w, true);
    if (tensor < 0)
        free(w);
    return tensor;
}

/* A node from these inputs to a new tensor [N, width]; -1 where there was no memory before, or is none now. */
static int append(struct graph *graph, enum graph_op op, int x, int y, int64_t width, struct graph_node **node)
{
    const int64_t dims[2] = {graph->tensors[graph->outputs[0]].dims[0], width};
    const int inputs[2] = {x, y};
    int output, number;

    if (x < 0)
        return GRAPH_NONE;
    output = graph_add_tensor(graph, NULL, 2, dims, NULL, false);
    number = output < 0 ? GRAPH_NONE : graph_add_node(graph, op, "embeddings", inputs, y >= 0 ? 2 : 1, output);
    *node = number < 0 ? NULL : &graph->nodes[number];
    return number < 0 ? GRAPH_NONE : output;
}

enum infomask_status embeddings_append(const struct infomask_model_spec *spec, struct graph *graph,
                                       struct infomask_error *err)
{
    int64_t d = (int64_t)spec->embedding_size;
    int x = graph->outputs[0], length, w;
    struct graph_node *node;
    enum infomask_status status = check(spec, graph, err);

    if (status != INFOMASK_OK)
        return status;
    if (graph->tensors[x].rank != 2)
        x = append(graph, GRAPH_RESHAPE, x, GRAPH_NONE, d, &node);
    length = append(graph, GRAPH_REDUCE, x, GRAPH_NONE, 1, &node);
    if (length >= 0) {
        node->function = GRAPH_L2;
        node->axes = 2;
        node->keep_dims = true;
    }
    length = append(graph, GRAPH_ACTIVATION, length, GRAPH_NONE, 1, &node);
    if (length >= 0) {
        node->activation = GRAPH_CLAMP;
        node->low = LEAST_LENGTH;
        node->high = INFINITY;
    }
    x = length < 0 ? GRAPH_NONE : append(graph, GRAPH_BINARY, x, length, d, &node);
    if (x >= 0)
        node->function = GRAPH_DIVIDE;
    w = weights(spec, graph);
    x = w < 0 ? GRAPH_NONE : append(graph, GRAPH_LINEAR, x, w, (int64_t)spec->embedding_rows, &node);
    if (x < 0)
        return no_memory(err);
    graph->outputs[0] = x;
    return INFOMASK_OK;
}
