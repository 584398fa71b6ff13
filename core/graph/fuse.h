/* Private to the passes that merge neighbours: the graph while it is rewritten.
 *
 * A rule looks at a node and at the ones that made its inputs.  A producer may be absorbed only if the tensor between
 * the two has one reader and is no output of the graph; its slot is then dead. */
#ifndef INFOMASK_GRAPH_FUSE_H
#define INFOMASK_GRAPH_FUSE_H

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/graph/graph.h"
#include "core/graph/internal.h"

struct fusion {
    struct graph *graph;
    int *readers;  /* [tensors]: node inputs and graph outputs that read it */
    int *producer; /* [tensors]: node, or GRAPH_NONE */
    int capacity;  /* of the two */
    bool *dead;    /* [nodes] */
    struct infomask_error *err;
};

static inline struct graph_node *node_at(const struct fusion *f, int i)
{
    return &f->graph->nodes[i];
}

static inline const struct graph_tensor *tensor_at(const struct fusion *f, int i)
{
    return &f->graph->tensors[i];
}

/* The node behind input i, whatever else reads it; GRAPH_NONE for an input of the graph or a constant (those that
 * this pass makes have numbers beyond the table). */
static inline int source(const struct fusion *f, const struct graph_node *node, int i)
{
    int tensor = graph_input(node, i);
    return tensor == GRAPH_NONE || tensor >= f->capacity ? GRAPH_NONE : f->producer[tensor];
}

/* The node behind input i, if nobody else reads it. */
static inline int sole_source(const struct fusion *f, const struct graph_node *node, int i)
{
    int made_by = source(f, node, i);
    return made_by != GRAPH_NONE && f->readers[node->inputs[i]] == 1 ? made_by : GRAPH_NONE;
}

static inline bool is_plain(const struct graph_node *node, enum graph_op op)
{
    return node->op == op && node->activation == GRAPH_LINEAR_ACTIVATION;
}

/* As an operator of its own without an activation, or as a general one. */
static inline bool is_function(const struct graph_node *node, enum graph_op plain, enum graph_function function)
{
    return is_plain(node, plain) || (node->op == GRAPH_BINARY && node->function == function);
}

static inline bool is_product(const struct graph_node *node)
{
    return is_plain(node, GRAPH_CONV) || is_plain(node, GRAPH_LINEAR);
}

static inline bool close_to(double a, double b)
{
    return fabs(a - b) <= 4 * (double)FLT_EPSILON * fabs(b);
}

static inline void read_less(struct fusion *f, int tensor)
{
    if (tensor != GRAPH_NONE && tensor < f->capacity)
        f->readers[tensor]--;
}

static inline void kill_node(struct fusion *f, int i)
{
    struct graph_node *node = node_at(f, i);
    for (int j = 0; j < node->input_count; j++)
        read_less(f, node->inputs[j]);
    f->dead[i] = true;
}

/* Node `kept` makes what node `gone` made. */
static inline void take_output(struct fusion *f, int kept, int gone)
{
    int output = node_at(f, gone)->output;
    kill_node(f, gone);
    node_at(f, kept)->output = output;
    f->producer[output] = kept;
}

static inline bool set_input_count(struct graph_node *node, int count)
{
    int *inputs = reallocarray(node->inputs, (size_t)count + 1, sizeof *inputs);
    if (inputs == NULL)
        return false;
    for (int i = node->input_count; i < count; i++)
        inputs[i] = GRAPH_NONE;
    node->inputs = inputs;
    node->input_count = count;
    return true;
}

/* A constant of one element, as the second input. */
static inline bool scalar_operand(const struct fusion *f, const struct graph_node *node, double *value)
{
    const struct graph_tensor *y = tensor_at(f, node->inputs[1]);
    if (y->data == NULL || graph_elements(y) != 1)
        return false;
    *value = (double)y->data[0];
    return true;
}

/* x * g(x), where g has no other reader: node becomes the activation of x. */
static inline void become_activation(struct fusion *f, int at, int gate, int x, enum graph_activation activation)
{
    struct graph_node *node = node_at(f, at);
    for (int i = 0; i < node->input_count; i++)
        read_less(f, node->inputs[i]);
    if (gate != GRAPH_NONE && f->readers[node_at(f, gate)->output] == 0)
        kill_node(f, gate);
    node->op = GRAPH_ACTIVATION;
    node->activation = activation;
    node->input_count = 1;
    node->inputs[0] = x;
    f->readers[x]++;
}

/* fuse.c: a factor and a summand per channel. */
struct affine {
    const struct fusion *f;
    const struct graph_node *node; /* BATCH_NORM; or ADD, MUL with a constant */
    bool single;                   /* the constant has one element for all channels */
};
/* Is the node a factor or summand of dimension `axis` alone?  (BATCH_NORM's is 1.) */
bool fuse_is_affine(const struct fusion *f, const struct graph_node *node, int axis, struct affine *affine);
void fuse_affine_at(const struct affine *affine, size_t channel, double *factor, double *summand);
/* Of a constant that only this node reads, and that it is about to read no more. */
void fuse_drop_unread(struct fusion *f, const struct graph_node *reader, int tensor);

/* fuse_branches.c: as those below. */
enum infomask_status fuse_branches(struct fusion *f, int *at, bool *changed) __attribute__((warn_unused_result));

/* fuse_general.c: each looks at node `at` and says in *changed whether it rewrote it; *at: where its work is done then.
 */
void fuse_spell_unary(struct fusion *f, int at, bool *changed);
void fuse_spell_gelu(struct fusion *f, int at, bool *changed);
enum infomask_status fuse_spell_norm(struct fusion *f, int *at, bool *changed) __attribute__((warn_unused_result));
/* fuse_attention.c */
enum infomask_status fuse_attention(struct fusion *f, int at, bool *changed) __attribute__((warn_unused_result));

#endif
