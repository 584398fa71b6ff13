/* Private to the room: what the passes and the reader share. */
#ifndef INFOMASK_GRAPH_INTERNAL_H
#define INFOMASK_GRAPH_INTERNAL_H

#include "core/graph/graph.h"

/* Largest dimension, and most elements of one item of a tensor. */
#define GRAPH_MAX_DIM INT32_MAX
#define GRAPH_MAX_ELEMENTS INT32_MAX

/* A name of the file, fit for a sentence: printable ASCII, cut to a sensible length. */
struct shown_name {
    char text[64];
};
struct shown_name shown_name(const char *name);

/* A refusal that names the node: "operator Conv (node 'x'): ...". */
enum infomask_status graph_refuse(struct infomask_error *err, enum infomask_status status,
                                  const struct graph_node *node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static inline struct graph_tensor *graph_output_tensor(const struct graph *graph, const struct graph_node *node)
{
    return &graph->tensors[node->output];
}

static inline bool graph_is_constant(const struct graph *graph, int tensor)
{
    return tensor != GRAPH_NONE && graph->tensors[tensor].data != NULL;
}

/* The same dims, -1 equal to -1 only. */
bool graph_same_shape(const struct graph_tensor *a, const struct graph_tensor *b);

/* An owned constant with room for the elements that dims say, taken from graph->budget. */
enum infomask_status graph_new_constant(struct graph *graph, int rank, const int64_t *dims, int *tensor, float **data,
                                        struct infomask_error *err) __attribute__((warn_unused_result));

#define GRAPH_GENERAL_INPUTS 6 /* at most, of a general operator */

/* A tensor as an array; rank -1 for GRAPH_NONE. */
struct graph_array graph_array_of(const struct graph *graph, int tensor);

/* Can ADD or MUL combine x with y?  y may be a constant that broadcasts, or (of a product) one factor per channel. */
bool graph_pair_fits(enum graph_op op, const struct graph_tensor *x, const struct graph_tensor *y);

/* One node's output shape from its inputs'; and its value, if it depends on constants only (*folded then true). */
enum infomask_status graph_infer_node(struct graph *graph, int node, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status graph_fold_node(struct graph *graph, int node, bool *folded, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* Drops nodes of which dead[i] is true; the others keep their order. */
void graph_remove_nodes(struct graph *graph, const bool *dead);

float graph_activate(const struct graph_node *node, float x);

#endif
