/* Heads of several layers: z = g(mean of the map's cells), g some products with functions between them (MobileNet v3,
 * GhostNet, ConvNeXt), none at all (SqueezeNet), or products of the whole map laid flat (AlexNet, VGG).
 *
 * What a cell says is read off g linearised at the whole picture's mean m:  l(u) = g(m) + J (f(u) - m).  The mean over
 * the cells is g(m) = z, whatever g is.  Where g is piecewise linear (ReLU and its kin) l is g itself as long as no
 * unit changes sides: a cell left out changes z by exactly that; elsewhere to first order.  A map that is laid flat has
 * weights of its own for each cell: its cell u stands for the whole map with all but u zero, times the number of
 * cells, whose mean is the map.
 *
 * J is not made: the cells go through the layers as rows beside m, each layer in the affine form that it has at m.
 */
#ifndef INFOMASK_ENGINE_HEAD_LAYERS_H
#define INFOMASK_ENGINE_HEAD_LAYERS_H

#include "core/engine/internal.h"

#define HEAD_STEPS 64

struct head_step {
    int node;
    int x, y, z;     /* slots: operands, y (of a product what is added) GRAPH_NONE if it is a constant or there is none;
                      * what is made */
    int elements[2]; /* of a constant operand 0, 1; 0: it is computed */
};

struct head_layers {
    struct head_step steps[HEAD_STEPS];
    int count, slots;
    int width[HEAD_STEPS + 1]; /* by slot; 0 is what the layers read, the last one made is z */
    int last;                  /* the slot of z */
    bool flat, channels_last;
    int cells;                 /* of a map that is laid flat */
    bool piecewise;
};

/* The head whose logits are that tensor, if there is one; then model->layered, model->features and what info says of
 * it. shapes: at the base size. */
enum infomask_status head_layers_find(struct engine_model *model, int logits, const struct shape *shapes,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
/* engine_head_rows and engine_head_cells of such a head. */
enum infomask_status head_layers_rows(const struct engine_model *model, const float *x, int n, float *z,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
enum infomask_status head_layers_cells(const struct engine_model *model, const float *f, int n, float *l,
                                       struct infomask_error *err) __attribute__((warn_unused_result));

#endif
