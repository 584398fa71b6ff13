/* int8 weights of a network: made from the network and some pictures, kept in a file of the model folder, handed to the
 * engine.
 *
 * Convolutions in one group become products of u8 activations and s8 weights; the rest, residual sums and what
 * depthwise convolutions read stays float32.  Layer by layer, the network in float32 and the one that is quantised so
 * far run side by side over the pictures, and give
 *   the scale of the activations: the bounds of a clamp where one made them, else the range with the least mean squared
 *     error over everything seen;
 *   the weights: one scale an output (its largest weight is 127; in a layer with more inputs than outputs the largest
 *     sum of the weights 2i and 2i + 1 is 128, if that takes a larger scale: AVX2 is faster so), rounded one input
 *     after the other, what each rounding does to the output being made up for by the weights not yet rounded (GPTQ,
 *     arXiv 2210.17323: Hessian X'X of the quantised inputs, inputs by falling diagonal, damping .01 of its mean);
 *   the bias: corrected by the mean difference of the two networks' values before the activation, where the float32 one
 *     lies inside its clamp (what is cut off there does not count).
 * The same pictures, kernels and options give the same bits for any number of threads.
 */
#ifndef INFOMASK_QUANT_QUANT_H
#define INFOMASK_QUANT_QUANT_H

#include "core/base/pool.h"
#include "core/base/sha256.h"
#include "core/base/status.h"
#include "core/engine/engine.h"

struct quant {
    char model[SHA256_HEX]; /* SHA-256 of the ONNX file that the weights are for */
    struct engine_int8 int8; /* layers in the network's order; all owned */
};
void quant_free(struct quant *quant); /* NULL is fine */

/* A new copy of the network, through every pass of graph.h. */
typedef enum infomask_status quant_graph(void *context, struct graph **graph, struct infomask_error *err);

struct quant_options {
    const struct kernel_table *kernels; /* that both networks run on; NULL: the best of this processor */
    quant_graph *graph;
    void *graph_context;
    const float *pictures; /* [count, h, w, channels], as the network takes them */
    int count, h, w;
    float input_low, input_high; /* range of the network's input; equal: as seen in the pictures */
    const char *const *keep; /* layers to keep in bf16: names of their outputs, or shell patterns of them */
    int keep_count;
    bool nearest; /* plain rounding and the biases as they are: what the method is compared with */
    struct pool *pool;
    /* before each layer; may be NULL */
    void (*progress)(void *context, int layer, int layers, const char *tensor);
    void *progress_context;
};

/* INFOMASK_UNSUPPORTED_MODEL if there is nothing to quantise; INFOMASK_ARGUMENT for a layer to keep that is none. */
enum infomask_status quant_make(const struct quant_options *options, struct quant **quant, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* The file (docs/quantization.md).  Reading checks every byte: INFOMASK_BAD_MODEL with a sentence for a file that is
 * damaged, or made for another network than `model` (its SHA-256; NULL: any). */
enum infomask_status quant_write(const struct quant *quant, const char *path, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status quant_read(const char *path, const char *model, struct quant **quant, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status quant_read_bytes(const void *data, size_t size, const char *model, struct quant **quant,
                                      struct infomask_error *err) __attribute__((warn_unused_result));

#endif
