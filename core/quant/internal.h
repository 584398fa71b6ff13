/* Private to the room: the layers to quantise, what is seen of each, and what becomes of it. */
#ifndef INFOMASK_QUANT_INTERNAL_H
#define INFOMASK_QUANT_INTERNAL_H

#include "core/quant/quant.h"

/* ---- Ranges (range.c) -------------------------------------------------------------------------------------------- */

/* How often values were seen, by their upper 16 bits as float32: whatever the order, the same counts. */
#define RANGE_BINS 65536
struct range_counts {
    uint64_t *bins; /* [RANGE_BINS] */
    float least, largest;
};
void range_count(struct range_counts *counts, const float *x, size_t n);
void range_merge(struct range_counts *into, const struct range_counts *from);
/* The range [low, high] about 0 whose 256 steps represent what was counted with the least mean squared error. */
void range_best(const struct range_counts *counts, float *low, float *high);
/* value = scale * (u8 - zero) over [low, high], 0 exact. */
void range_scale(float low, float high, float *scale, int *zero);

/* ---- Layers ------------------------------------------------------------------------------------------------------ */

/* Two products of u8 with weights that add up to no more, or as little below 0, fit 16 bits together, which AVX2's
 * fastest product asks for.  It is only asked of layers with more inputs than outputs: the others write as long as they
 * multiply. */
#define PAIR_SUM 128

struct site { /* a layer that can be quantised */
    char *tensor;
    int n, k;
    float *w, *bias;      /* [n, k] as activations are stored, [n]; owned */
    bool keep;            /* in bf16 */
    int pair;             /* most that the weights 2i and 2i + 1 of an output may add up to */
    bool masked;          /* a clamp [low, high] follows */
    float low, high;
    bool bounded;         /* x lies in [x_low, x_high] */
    float x_low, x_high;
    float x_scale;
    int x_zero;
    uint64_t rows;        /* seen, of all pictures */
    struct range_counts counts;
};

struct sites {
    struct site *list;
    int count;
};
/* The layers of a graph that can be quantised, in its order. */
enum infomask_status sites_find(const struct graph *graph, const struct quant_options *options, struct sites *sites,
                                struct infomask_error *err) __attribute__((warn_unused_result));
void sites_drop(struct sites *sites, int at);
void sites_fini(struct sites *sites);

/* ---- Looking on (observe.c) -------------------------------------------------------------------------------------- */

/* What the two networks say about a layer: X its quantised input (u8 - zero), Z the float32 network's sum before the
 * activation less what the quantised network adds as residual.  Only rows inside the clamp count for all but h. */
struct statistics {
    double *h;       /* [k, k] X'X, the lower triangle */
    double *x_sum;   /* [n, k] sum of X over the rows that count for output n */
    double *z_sum;   /* [n] of Z */
    uint64_t *count; /* [n] rows that count */
};
void statistics_fini(struct statistics *statistics);

/* Both networks, each with a session a worker. */
struct observer {
    const struct quant_options *options;
    struct engine_model *exact, *rounded;
    struct engine_session *exact_sessions[POOL_MAX_THREADS], *rounded_sessions[POOL_MAX_THREADS];
};
/* int8: the layers that the second network has rounded; NULL: no second network.  The first one is kept. */
enum infomask_status observer_open(struct observer *observer, const struct engine_int8 *int8,
                                   struct infomask_error *err) __attribute__((warn_unused_result));
void observer_close(struct observer *observer);
/* Rows, and counts of the values, of what every layer without known bounds reads in the float32 network. */
enum infomask_status observe_ranges(struct observer *observer, struct sites *sites, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status observe_layer(struct observer *observer, const struct site *site, struct statistics *statistics,
                                   struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Rounding (gptq.c) ------------------------------------------------------------------------------------------- */

/* site->w to [n, k] in -127..127 times scale[n], pairs within site->pair.  h [k, k], the lower triangle; NULL: plain
 * rounding. */
enum infomask_status round_weights(const struct site *site, const double *h, struct pool *pool, int8_t *w, float *scale,
                                   struct infomask_error *err) __attribute__((warn_unused_result));

#endif
