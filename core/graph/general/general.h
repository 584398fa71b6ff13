/* Private to the room: what the files of the general operators share. */
#ifndef INFOMASK_GRAPH_GENERAL_H
#define INFOMASK_GRAPH_GENERAL_H

#include "core/graph/internal.h"

/* Elements of a shape that is known. */
static inline size_t array_elements(const struct graph_array *a)
{
    size_t n = 1;
    for (int i = 0; i < a->rank; i++)
        n *= (size_t)a->dims[i];
    return n;
}

/* Row-major strides. */
static inline void array_strides(const struct graph_array *a, ptrdiff_t strides[GRAPH_MAX_RANK])
{
    ptrdiff_t n = 1;
    for (int i = a->rank - 1; i >= 0; i--) {
        strides[i] = n;
        n *= (ptrdiff_t)a->dims[i];
    }
}

/* Strides of `a` under the indices of `shape`: 0 where it broadcasts. */
static inline void array_broadcast(const struct graph_array *a, const struct graph_array *shape,
                                   ptrdiff_t strides[GRAPH_MAX_RANK])
{
    ptrdiff_t n = 1;
    for (int i = shape->rank - 1; i >= 0; i--) {
        int at = i - (shape->rank - a->rank);
        strides[i] = at < 0 || a->dims[at] == 1 ? 0 : n;
        n *= at < 0 ? 1 : (ptrdiff_t)a->dims[at];
    }
}

/* Counts through a shape in row-major order and keeps offsets by up to three sets of strides. */
struct general_walk {
    int rank;
    int64_t dims[GRAPH_MAX_RANK], index[GRAPH_MAX_RANK];
    ptrdiff_t strides[3][GRAPH_MAX_RANK], at[3];
};

/* To element i of the shape. */
static inline void general_walk_to(struct general_walk *w, size_t i)
{
    for (int d = w->rank - 1; d >= 0; d--) {
        w->index[d] = (int64_t)(i % (size_t)w->dims[d]);
        for (int s = 0; s < 3; s++)
            w->at[s] += w->strides[s][d] * (ptrdiff_t)w->index[d];
        i /= (size_t)w->dims[d];
    }
}

static inline void general_walk_next(struct general_walk *w)
{
    for (int i = w->rank - 1; i >= 0; i--) {
        for (int s = 0; s < 3; s++)
            w->at[s] += w->strides[s][i];
        if (++w->index[i] < w->dims[i])
            return;
        for (int s = 0; s < 3; s++)
            w->at[s] -= w->strides[s][i] * (ptrdiff_t)w->dims[i];
        w->index[i] = 0;
    }
}

/* math.c */
float general_unary(const struct graph_node *node, float x);
float general_binary(enum graph_function function, float a, float b);
/* Whole arrays; the functions that networks are full of have loops of their own. */
void general_unary_all(const struct graph_node *node, const float *x, float *y, size_t n);

/* window.c: the larger operators */
void general_conv(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, float *y);
void general_pool(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out, float *y);
void general_lrn(const struct graph_node *node, const struct graph_array *in, float *y);
/* reduce.c, resize.c: elements [first, last) of y, the output's beginning; of a resize whole rows of it. */
void general_reduce(const struct graph_node *node, const struct graph_array *x, float *y, size_t first, size_t last);
void general_resize(const struct graph_node *node, const struct graph_array *in, const struct graph_array *out,
                    float *y, size_t first, size_t last);
int64_t general_resize_size(const struct graph_node *node, int axis, int64_t size);

/* The table of CONV_ND and POOL_ND: per dimension kernel, stride, dilation, pad before, pad after; then groups,
 * ceil_mode, count_include_pad, auto_pad. */
struct general_window {
    int dims;
    const int64_t *kernel, *stride, *dilation, *before, *after;
    int64_t groups, ceil_mode, include_pad, auto_pad;
};
struct general_window general_window_of(const struct graph_node *node);
/* Output size along a dimension, and the pad in force before it. */
int64_t general_window_output(const struct general_window *w, int dim, int64_t size, int64_t *before);

#endif
