/* Pictures that a file takes otherwise than as N, C, H, W: with their channels last, or with only three dimensions. */
#include <stdlib.h>
#include <string.h>

#include "core/graph/onnx_import.h"

#define LEAST_SIDE 8 /* three dimensions with smaller ones are no picture */

/* ---- Three dimensions -------------------------------------------------------------------------------------------- */

static bool is_side(int64_t d) { return d < 1 || d >= LEAST_SIDE; }

int onnx_place_missing(const int64_t dims[3])
{
    bool last = dims[2] == 1 || dims[2] == 3;

    if (!is_side(dims[1]))
        return -1;
    if (dims[0] == 3 ? is_side(dims[2]) : last && is_side(dims[0]) && (dims[0] < 1) == (dims[1] < 1))
        return 0;
    return dims[0] <= 1 && is_side(dims[2]) ? 1 : -1;
}

enum infomask_status onnx_fix_lone_picture(struct onnx_import *im, int64_t dims[3])
{
    int first = dims[0] == 3 ? 1 : 0;
    const int sides[2] = {im->size->height > 0 ? im->size->height : OPEN_SIDE,
                          im->size->width > 0 ? im->size->width : OPEN_SIDE};

    if (!im->graph->concrete)
        return onnx_unsupported(im, "its input has no batch");
    for (int i = 0; i < 2; i++) {
        if (dims[first + i] > 0)
            continue;
        if (im->sizes_open)
            return onnx_unsupported(im, "its input leaves the picture's size open, and has no batch");
        dims[first + i] = sides[i];
        im->graph->assumed = true;
    }
    im->batch = im->graph->batch = 1;
    return INFOMASK_OK;
}

/* A node that gives the elements of `from` the shape of `to`, and its place among the nodes. */
static enum infomask_status reshape_at(struct onnx_import *im, int from, int to, int at)
{
    struct graph *graph = im->graph;
    int last = graph_add_node(graph, GRAPH_RESHAPE, NULL, &from, 1, to);
    struct graph_node node;

    if (last < 0)
        return onnx_no_memory(im);
    node = graph->nodes[last];
    memmove(&graph->nodes[at + 1], &graph->nodes[at], (size_t)(last - at) * sizeof node);
    graph->nodes[at] = node;
    return INFOMASK_OK;
}

/* The input gets the dimension that it lacks. */
static enum infomask_status add_dimension(struct onnx_import *im, int place)
{
    struct graph *graph = im->graph;
    int old = graph->input, at = 0;
    int64_t dims[4];

    for (int i = 0; i < 4; i++)
        dims[i] = i == place ? 1 : graph->tensors[old].dims[at++];
    graph->input = graph_add_tensor(graph, graph->tensors[old].name, 4, dims, NULL, false);
    return graph->input < 0 ? onnx_no_memory(im) : reshape_at(im, graph->input, old, 0);
}

/* The output of one picture at a time that has no batch gets one. */
static enum infomask_status add_row(struct onnx_import *im)
{
    struct graph *graph = im->graph;
    int old = graph->outputs[0];
    int64_t dims[2] = {1, (int64_t)graph_elements(&graph->tensors[old])};

    if (!graph->concrete || graph->batch != 1 || graph->tensors[old].rank != 1 || dims[1] == 0)
        return INFOMASK_OK;
    graph->outputs[0] = graph_add_tensor(graph, graph->tensors[old].name, 2, dims, NULL, false);
    return graph->outputs[0] < 0 ? onnx_no_memory(im) : reshape_at(im, old, graph->outputs[0], graph->node_count);
}

static enum infomask_status complete(struct onnx_import *im)
{
    const struct graph_tensor *x = &im->graph->tensors[im->graph->input];
    int place = x->rank == 3 ? onnx_place_missing(x->dims) : -1, open = 0;

    for (int i = 0; place >= 0 && i < 3; i++)
        open += x->dims[i] < 1 && (i > 0 || im->graph->concrete);
    if (open > 1)
        return onnx_unsupported(im, "its input has three dimensions, and leaves the picture's size open");
    return place >= 0 ? add_dimension(im, place) : INFOMASK_OK;
}

/* ---- Channels that come last ------------------------------------------------------------------------------------- */

static bool is_turn(const struct graph_node *node)
{
    static const int to_nchw[4] = {0, 3, 1, 2};
    return node->op == GRAPH_TRANSPOSE && memcmp(node->permutation, to_nchw, sizeof to_nchw) == 0;
}

/* Does the file take N, H, W, C, and do anything but turn it to N, C, H, W at once?  (Of one channel that turn may be a
 * Reshape, and a network that begins with a product has none.) */
static bool stays_last(const struct graph *graph)
{
    const struct graph_tensor *x = &graph->tensors[graph->input];
    int readers = 0, turns = 0;

    if (x->rank != 4 || (x->dims[3] != 1 && x->dims[3] != 3) || x->dims[1] == 1 || x->dims[1] == 3)
        return false;
    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] == graph->input) {
                readers++;
                turns += is_turn(&graph->nodes[i]);
            }
    return readers != 1 || turns != 1;
}

/* The engine knows such a picture by its turn to N, C, H, W: that comes first then, and a turn back. */
static enum infomask_status turn_input(struct onnx_import *im)
{
    struct graph *graph = im->graph;
    const int turns[2][4] = {{0, 3, 1, 2}, {0, 2, 3, 1}};
    const struct graph_tensor x = graph->tensors[graph->input];
    const int64_t dims[4] = {x.dims[0], x.dims[3], x.dims[1], x.dims[2]};
    int made[3] = {graph->input, graph_add_tensor(graph, NULL, 4, dims, NULL, false),
                   graph_add_tensor(graph, NULL, 4, x.dims, NULL, false)};
    struct graph_node two[2];

    for (int i = 0; i < graph->node_count; i++)
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] == graph->input)
                graph->nodes[i].inputs[j] = made[2];
    for (int i = 0; i < 2; i++) {
        int node = made[i + 1] < 0 ? GRAPH_NONE
                                   : graph_add_node(graph, GRAPH_TRANSPOSE, NULL, &made[i], 1, made[i + 1]);
        if (node < 0)
            return onnx_no_memory(im);
        memcpy(graph->nodes[node].permutation, turns[i], sizeof turns[i]);
        two[i] = graph->nodes[node];
    }
    memmove(graph->nodes + 2, graph->nodes, (size_t)(graph->node_count - 2) * sizeof *graph->nodes);
    memcpy(graph->nodes, two, sizeof two);
    return INFOMASK_OK;
}

enum infomask_status onnx_finish_picture(struct onnx_import *im)
{
    enum infomask_status status = complete(im);

    if (status == INFOMASK_OK)
        status = add_row(im);
    return status == INFOMASK_OK && stays_last(im->graph) ? turn_input(im) : status;
}
