/* Private to the room: layers (what a node needs whatever the size of the picture), plans (shapes, places in memory and
 * the cutting of the work, for one size), and areas (the memory in which a plan runs).
 *
 * Everything is planned for one item of the batch.  The nodes before the last one that reads a map form the trunk: it
 * runs item by item, so that an item's activations stay in the caches, and its values live in a lane's local memory.
 * The nodes behind form the tail: vectors, all items at once, in memory shared by the items, as are input, output and
 * whatever stays readable.  Shapes have N = 1; a rank-4 tensor N, C, H, W is stored as H, W, C, others row-major, and
 * so are those of rank 4 that general operators work on: layouts_find says which, and puts conversions where both meet.
 * A concrete graph has the batch of its file; an item is then that many pictures.
 */
#ifndef INFOMASK_ENGINE_INTERNAL_H
#define INFOMASK_ENGINE_INTERNAL_H

#include <pthread.h>

#include "core/base/aligned.h"
#include "core/engine/engine.h"

/* ---- Shapes (shape.c) -------------------------------------------------------------------------------------------- */

struct shape {
    int rank;
    int64_t d[GRAPH_MAX_RANK]; /* as the file orders them; d[0] is 1, one item, unless the graph is concrete */
    bool plain;                /* of four dimensions, but stored row-major (layout.c) */
};

static inline bool shape_is_map(const struct shape *s) { return s->rank == 4 && !s->plain; }
/* Where each of the dimensions lies in memory, outermost first. */
static inline void shape_order(const struct shape *s, int order[GRAPH_MAX_RANK])
{
    static const int map[4] = {0, 2, 3, 1};

    for (int i = 0; i < s->rank; i++)
        order[i] = shape_is_map(s) ? map[i] : i;
}
size_t shape_elements(const struct shape *shape);
bool shape_same(const struct shape *a, const struct shape *b);
/* Elements from one index to the next in memory, for each dimension as the file orders them. */
void shape_strides(const struct shape *shape, size_t strides[GRAPH_MAX_RANK]);
/* Shape of a node's output; shapes holds those of the inputs, by tensor.  A sentence that names the node if the size of
 * the picture does not fit it. */
enum infomask_status shape_of_node(const struct graph *graph, const struct graph_node *node, const struct shape *shapes,
                                   struct shape *out, struct infomask_error *err) __attribute__((warn_unused_result));
/* Shapes of all tensors behind an input of h x w; constants keep their own. */
enum infomask_status shapes_infer(const struct engine_model *model, int h, int w, struct shape *shapes,
                                  struct infomask_error *err) __attribute__((warn_unused_result));

/* ---- Comparing (check/evaluate.c) -------------------------------------------------------------------------------- */

#define EVALUATED_KEPT 24
struct evaluated {
    int tensor;
    struct shape shape;
    float *data; /* in the file's order; the caller's to free */
};
struct evaluate_task {
    const struct kernel_table *kernels;
    int h, w;       /* even where the file fixes another size */
    int nodes;      /* the first ones of the graph */
    const float *x; /* one item in the file's order */
};
/* A graph that no pass has fused, node by node, each in memory of its own.  kept [EVALUATED_KEPT]: of the whole graph
 * its first output; else what the last nodes made, the last one first. */
enum infomask_status evaluate_graph(const struct graph *graph, const struct evaluate_task *task,
                                    struct evaluated *kept, int *count, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* How many of its nodes fit that size and can be computed in so many seconds on one core. */
int evaluate_reach(const struct graph *graph, const struct kernel_table *kernels, int h, int w, double seconds);
/* The dimension of the input that is its height, the width next; 0: it is no picture, or both are fixed and
 * nobody can tell. */
int evaluate_first_side(const struct graph *graph);

/* ---- Layers (layer.c) -------------------------------------------------------------------------------------------- */

enum layer_way {
    WAY_OTHER,     /* no weights of a matrix product */
    WAY_PRODUCT,   /* one product over the pixels as they lie, or every so many of them: 1x1 convolutions, LINEAR */
    WAY_SEGMENTS,  /* a product a row of output over padded rows (of one group), each kernel row one segment */
    WAY_GATHER,    /* the windows copied side by side, then a product: dilations, tables without segments */
    WAY_WINOGRAD,  /* tiles transformed, products, tiles transformed back: 3x3 of stride 1 (winograd.c) */
    WAY_DEPTHWISE
};

struct layer {
    enum layer_way way;
    enum kernel_type type;          /* of the products' weights, and of what they multiply */
    int groups;                     /* of the products */
    bool jumps;                     /* WAY_PRODUCT: over pixels; those that count are copied side by side first */
    struct kernel_weights *weights; /* [packs] */
    int packs;                      /* groups; WAY_WINOGRAD: for each the elements of a transformed tile */
    int tile;                       /* WAY_WINOGRAD: its m */
    bool windows;                   /* WAY_WINOGRAD: weights are those of WAY_SEGMENTS, transformed in each run */
    float x_scale;                  /* U8: of what the product reads */
    int x_zero;
    float *filter, *bias;           /* depthwise: [kernel_h, kernel_w, c], [c] */
    int multiplier;                 /* depthwise: outputs a channel */
    float *scale, *shift;           /* BATCH_NORM: [c] */
    float *constant;                /* ADD, MUL: the constant operand in storage order */
    float **operands;               /* general operators, CONCAT: constant inputs, row-major; NULL for the others */
    int operand_count;
    struct kernel_epilogue epilogue;
    struct kernel_rounding rounding; /* QUANTIZE there and back; scale 0: one that the kernels do not take */
    size_t bytes;                   /* of weights, filter or constants */
    bool moved;                     /* filter is the model's */
    const unsigned char *ahead;     /* the filters between this product and the next one */
    size_t ahead_bytes;
};

enum infomask_status layer_init(struct layer *layer, const struct engine_model *model, const struct graph_node *node,
                                struct infomask_error *err) __attribute__((warn_unused_result));
void layer_fini(struct layer *layer);
/* Bytes of what a run reads most of; moves it to `to`, 64-byte aligned, which the caller keeps as long as the layer. */
size_t layer_room(const struct layer *layer);
void layer_move(struct layer *layer, unsigned char *to);
/* The graph's last convolution or product: the head, which stays float32. */
bool layer_is_last(const struct graph *graph, int node);

/* ---- Packing (pack.c) -------------------------------------------------------------------------------------------- */

/* Rows of float32 weights, and what becomes of them. */
struct pack_rows {
    const float *w;              /* [n][k], of the graph */
    size_t n, k;
    int from;                    /* the constant that they are, if nobody else reads it: forgotten piece by piece */
    struct kernel_matrix matrix; /* each of the packed ones; its w and n are those of a piece */
    int matrices;
    /* turned [matrices][n][a row of a matrix] from w [n][k]; NULL: one matrix, its rows as they are */
    void (*turn)(const struct pack_rows *rows, const float *w, size_t n, float *turned);
    size_t taps; /* for turn: of a window, */
    int tile;    /* of Winograd's outputs */
};
/* all [matrices], zeroed; free them on failure, too. */
enum infomask_status pack_pieces(struct kernel_weights *all, const struct engine_model *model,
                                 const struct pack_rows *rows, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- int8 (int8.c) ----------------------------------------------------------------------------------------------- */

/* What the model's int8 weights say about the layer with this output; NULL: nothing. */
const struct engine_int8_layer *int8_find(const struct engine_model *model, const char *tensor);
/* Such weights of a node whose file has them, and input, as bytes' worth of a grid (grid.c); n 0: it does not.  The
 * layer's way is known. */
enum infomask_status grid_find(struct engine_int8_layer *grid, const struct engine_model *model,
                               const struct layer *layer, const struct graph_node *node, struct infomask_error *err)
    __attribute__((warn_unused_result));
void grid_free(struct engine_int8_layer *grid);
/* Are these numbers that bytes can be? */
bool rounding_is_byte(const struct kernel_rounding *rounding);
/* Do all of them belong to layers that can take them? */
enum infomask_status int8_check(const struct engine_model *model, struct infomask_error *err)
    __attribute__((warn_unused_result));

/* ---- Models (model.c, head.c) ------------------------------------------------------------------------------------ */

struct engine_model {
    struct graph *graph;
    const struct kernel_table *kernels;
    struct engine_options options;
    struct engine_info info;
    struct layer *layers; /* one a node */
    struct aligned_block weights; /* all the layers', side by side */
    int layer_count;
    int first;            /* node that runs first: 1 behind a transposition of an NHWC input */
    int input, output;    /* tensors */
    int head, features;   /* node of the pooled linear head, tensor before the pooling; GRAPH_NONE */
    struct head_layers *layered; /* a head of several layers (head/layers.h), or NULL */
    int *taps;            /* tensors, info.tap_count */
    bool *constant;       /* a tensor's data are the layers' (the graph's own are released) */
    bool *noisy;          /* a tensor depends on the noise */
    bool *kept;           /* a tensor that noisy passes start from */
    float *head_w, *head_b;
    int base_h, base_w;   /* the size that info is about */
    struct shape *shapes; /* of all tensors at that size, while the layers are made */
    bool apart;           /* tests: every step of a plan runs alone */
    pthread_mutex_t lock; /* guards the plans */
    struct plan *plans;   /* most recent first */
};

/* Which tensors of four dimensions are stored row-major; puts IDENTITY nodes where a node wants the other order. */
enum infomask_status layouts_find(struct engine_model *model, struct infomask_error *err);
/* Pictures of an item: more than one only where a concrete graph's file fixes its batch. */
static inline int model_batch(const struct engine_model *model)
{
    return model->graph->concrete ? (int)model->graph->batch : 1;
}
/* The pooled linear head, if the network ends in one; puts the noise of head_dropout before it. */
enum infomask_status head_find(struct engine_model *model, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* A head of other layers, where there is no linear one; shapes: at the base size. */
enum infomask_status head_find_layers(struct engine_model *model, const struct shape *shapes,
                                      struct infomask_error *err) __attribute__((warn_unused_result));
/* Is the node a layer of such a head? */
bool head_layers_have(const struct engine_model *model, int node);
/* Does it take a mean over the second or the last of three dimensions, as of tokens? */
bool head_has_mean(const struct engine_model *model);
enum infomask_status head_copy(struct engine_model *model, struct infomask_error *err)
    __attribute__((warn_unused_result));
/* What depends on noise, and the tensors to tap; shapes: at the base size. */
enum infomask_status taps_find(struct engine_model *model, const struct shape *shapes, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status noise_find(struct engine_model *model, struct infomask_error *err)
    __attribute__((warn_unused_result));

static inline bool model_is_constant(const struct engine_model *model, int tensor)
{
    return model->constant[tensor];
}

/* ---- Views (view.c) ---------------------------------------------------------------------------------------------- */

#define VIEW_RANK (2 * GRAPH_MAX_RANK)

/* Elements of memory by strides: dimensions in the file's order, all in elements of float32. */
struct view {
    int rank;
    int64_t d[VIEW_RANK];
    ptrdiff_t strides[VIEW_RANK], offset;
};
struct view view_dense(const struct shape *shape);
/* The same elements, in the file's order, by dimensions that both can be cut into; false: there are none such. */
bool view_refine(const struct view *a, const struct view *b, struct view *fine_a, struct view *fine_b);
/* Does the node only move elements? */
bool view_copies(const struct graph_node *node);
/* Where the elements of such a node's output lie in the memory of its input; shape: of the output.  False: by no
 * strides. */
bool view_through(const struct graph_node *node, const struct view *x, const struct shape *shape, struct view *y);

struct copy { /* dimensions in the order in which y lies, outermost first; at least one */
    int rank;
    int64_t d[VIEW_RANK];
    ptrdiff_t from[VIEW_RANK], to[VIEW_RANK], from_offset, to_offset;
};
/* From x to y, of as many elements; false where their dimensions cannot be cut alike. */
bool copy_make(const struct view *x, const struct view *y, struct copy *copy);
/* Indices [first, last) of the outermost dimension. */
void copy_run(const struct kernel_table *kernels, const struct copy *copy, int64_t first, int64_t last, const float *x,
              float *y);

/* ---- Plans (plan.c, place.c, cut.c) ------------------------------------------------------------------------------ */

enum region {
    REGION_LOCAL,  /* of a lane */
    REGION_SHARED, /* by the items, and with who asked for the run */
    REGION_OUTER,  /* noisy plans: where the plan of the quiet run has it */
    REGION_LINES   /* inside a group of steps: a few lines at a time in a worker's scratch */
};

struct value { /* a tensor's place; behind those of the tensors, one for each step's staged input */
    struct shape shape;
    size_t elements; /* of one item */
    enum kernel_type type; /* BF16 or U8 where every reader would narrow it anyway (type.c) */
    float scale;           /* U8 */
    int zero;
    int root;        /* the tensor whose memory it is; itself unless it is only seen differently */
    bool viewed;     /* its node does nothing: it is its input's memory */
    bool strided;    /* and lies there as `view` says, whose offset is from the root's beginning; all readers know */
    struct view view;
    size_t shift;    /* bytes from the root's beginning, where it lies as its shape says */
    size_t whole;    /* elements of one item of the memory that it is part of */
    bool used, shared;
    int first, last; /* steps between which it lives */
    enum region region;
    int readers;           /* inputs of steps */
    int window;            /* REGION_LINES: which of the group's windows */
    size_t offset, stride; /* bytes; stride: from item to item, 0 in a lane or where all items share it */
};

/* Work along one axis: chunk i is the units [i * size, (i + 1) * size) below total. */
struct cut {
    int total, size, chunks;
};
/* The number of chunks is what would end soonest on 2, 4 and 8 threads, given the microseconds that a unit takes and
 * those that every chunk takes besides. */
struct cut cut_make(int total, double unit_us, double chunk_us, int most_chunks);
#define MOST_CHUNKS 32
static inline void cut_range(const struct cut *cut, int chunk, int *first, int *last)
{
    *first = chunk * cut->size;
    *last = *first + cut->size < cut->total ? *first + cut->size : cut->total;
}

struct step {
    int node;
    int members;           /* steps of the group that begins here, 1 alone (group.c) */
    bool led;              /* and they are passes over its pixels (follow.c) */
    int absorbed;          /* so many of them, the kernel does itself */
    struct kernel_rounding first, rounding; /* what it does behind the activation; scale 0: none, see kernel_then */
    int addend;            /* there, too: a map, or GRAPH_NONE */
    bool clamped;          /* the first of these clamps as well, in place of the activation */
    bool tail;
    int x, y, z;           /* tensors: input, output, residual or second operand (GRAPH_NONE) */
    int factor;            /* tensor: what each channel of x is multiplied by on the way, [c]; GRAPH_NONE (factor.c) */
    int scaled;            /* value: the product's weights times that; where factor is a tensor */
    int h, w, c;           /* of x, where it is a map */
    int out_h, out_w, out_c;
    int pad_top, pad_left, pad_bottom, pad_right;
    int rows;              /* of a product, an item */
    bool by_rows;          /* a pass that is cut along `rows` rows of equal length, `unit` of them in a unit */
    bool by_panels;        /* the cut is along panels or channels instead of rows */
    int unit;              /* rows, panels or channels that a unit of the cut stands for */
    int lines;             /* lines of output that are padded or gathered at once; a product's rows that are narrowed */
    int staged;            /* value: the input as the product reads it, made before the loop; GRAPH_NONE */
    struct cut cut;
    size_t scratch;        /* bytes a worker */
    size_t scratch_at;     /* bytes: where this step's part begins in a worker's scratch */
    int group_lines;       /* of a group's leader: lines of output that its steps make before the next ones */
    size_t window_at;      /* inside a group: where the lines of y begin in a worker's scratch */
};

struct plan {
    struct plan *next;
    int references, n, h, w;
    bool taps, noisy;
    struct value *values; /* by tensor */
    struct step *steps;
    int step_count, trunk; /* steps of the trunk */
    size_t shared_bytes, local_bytes, scratch_bytes;
};

/* The plan of a size, from the model's cache or new.  Give it back with plan_release. */
enum infomask_status plan_get(struct engine_model *model, int n, int h, int w, bool taps, bool noisy,
                              struct plan **plan, struct infomask_error *err) __attribute__((warn_unused_result));
void plan_release(struct engine_model *model, struct plan *plan);
/* Fills in a plan of which n, h, w, taps and noisy are set; plan_free on failure too. */
enum infomask_status plan_create(const struct engine_model *model, struct plan *plan, struct infomask_error *err)
    __attribute__((warn_unused_result));
void plan_free(struct plan *plan);
void plans_free(struct engine_model *model); /* all of them; none may be in use */
static inline bool plan_is_active(const struct engine_model *model, const struct plan *plan,
                                  const struct graph_node *node)
{
    return !plan->noisy || model->noisy[node->output];
}
/* Which values are another one's memory; after the shapes.  False: no memory. */
bool views_find(const struct engine_model *model, struct plan *plan);
struct view view_of(const struct plan *plan, int tensor);
/* The types in which values are kept; after the groups. */
void types_find(const struct engine_model *model, struct plan *plan);
/* Places the used values: offsets and the bytes of both regions. */
bool place_values(struct plan *plan, int count); /* false: no memory */
/* Geometry of a step: what shape.c found, in the terms of the kernels, and how it is cut. */
void step_geometry(const struct engine_model *model, struct plan *plan, int step);
static inline bool step_pads(const struct step *s)
{
    return (s->pad_top | s->pad_left | s->pad_bottom | s->pad_right) != 0;
}
/* Microseconds that a line of a convolution's output takes one core, and lines of its input under `lines` of output. */
double step_line_us(const struct engine_model *model, const struct step *step);
int lines_under(const struct graph_window *window, int lines);
/* Bytes that help the kernel of a depthwise convolution with rows of out_w outputs, or 0. */
size_t depthwise_scratch(const struct engine_model *model, int node, int out_w);
/* Cuts a depthwise convolution along its rows. */
void step_depthwise_rows(const struct engine_model *model, struct step *step);
void step_strips(const struct engine_model *model, const struct plan *plan, struct step *step, int lines);
/* Products by a factor a channel that the product behind takes into its weights: such a node's output becomes a view of
 * its map (factor.c); after views_find. */
void factors_find(const struct engine_model *model, struct plan *plan);
/* The factor that a product whose input this is has to take; GRAPH_NONE. */
int factor_of(const struct engine_model *model, const struct plan *plan, int tensor);
/* Gives the steps that make a map what rounds it, and sums of two (join.c); after the values' sharing is known. */
void roundings_join(const struct engine_model *model, struct plan *plan);
/* Marks the groups among the steps, and the values inside them (group.c); after the values' sharing is known. */
void groups_find(const struct engine_model *model, struct plan *plan);
/* Marks passes over a map that go along with the step before them (follow.c); after the geometry. */
void followers_find(const struct engine_model *model, struct plan *plan);
/* The geometry of a group from that of its members. */
void group_geometry(const struct engine_model *model, const struct plan *plan, struct step *leader);

/* Winograd's convolutions (winograd.c): side of the tiles that are fastest, 0 where windows are; weights [m][c][3][3]
 * packed for layer->tile; geometry, run. */
int winograd_tile(const struct engine_model *model, const struct layer *layer, const struct graph_node *node);
/* Are its filters, of the layer's tile, better transformed in each run? */
bool winograd_windows(const struct engine_model *model, const struct layer *layer);
/* The layer, packed for windows without a bias, becomes one of them. */
enum infomask_status winograd_of_windows(struct layer *layer, const struct engine_model *model,
                                         const struct graph_node *node, struct infomask_error *err)
    __attribute__((warn_unused_result));
enum infomask_status winograd_pack(struct layer *layer, const struct engine_model *model, const struct graph_node *node,
                                   int m, int c, struct infomask_error *err) __attribute__((warn_unused_result));
void winograd_fini(struct layer *layer); /* before its weights are freed */
void winograd_geometry(const struct engine_model *model, struct step *step);

/* ---- Running (run.c, run_conv.c, run_group.c, run_other.c, noise.c) ---------------------------------------------- */

struct area { /* the memory that a plan runs in: shared values, lanes, scratch of the workers */
    unsigned char *memory;
    size_t bytes;
    struct plan *plan;
    int lanes;
};

struct run {
    const struct engine_model *model;
    const struct plan *plan, *outer;
    unsigned char *shared, *outer_shared, *lanes, *scratch;
    int lane_count;
    struct pool *pool;
    uint64_t seed; /* of noisy plans */
    int first_sample;
    uint64_t denormals; /* how they were counted before the run */
    bool poison; /* tests: what is dead is overwritten */
    engine_watch *watch; /* NULL: nobody looks on */
    void *watch_context;
    bool stopped;        /* by the watch */
};

struct lines { /* lines [first, end) of a map */
    void *data;
    int first, end;
};

struct task { /* one step for one item; the tail's steps are for all of them */
    const struct run *run;
    const struct step *step;
    int item;
    int image; /* of an item that is several pictures: the one that a kernel of single pictures is at */
    unsigned char *lane;
    const struct lines *lines; /* of REGION_LINES values, by window */
    const struct kernel_weights *weights; /* of the product, if not the layer's own */
};

/* Where a tensor's item lies; line `line` of the task's item.  Elements of the value's type. */
void *task_value(const struct task *task, int tensor, int item);
void *task_line(const struct task *task, int tensor, int line);
unsigned char *task_scratch(const struct task *task, int worker);
void run_plan(struct run *run);
/* pool_for by the run's pool; denormals count as 0, as everywhere in a run. */
void run_chunks(const struct run *run, int chunks, pool_body *body, void *context);
/* The kind of step says which loop over chunks it is. */
void step_run(const struct task *task);
void run_product(const struct task *task);
void run_convolution(const struct task *task);
void run_group(const struct task *task);
void run_noise(const struct task *task);
void run_winograd(const struct task *task);
/* A convolution's lines [first, last) of output, for groups. */
void step_lines(const struct task *task, int first, int last, int worker);
void run_other(const struct task *task);
void run_general(const struct task *task, int first, int last, int worker);
/* A QUANTIZE of n elements; y may be x. */
void run_quantize(const struct task *task, const float *x, float *y, size_t n);
/* A CONV_ND's units [first, last): blocks of outputs of a group; in[2].data NULL without a bias. */
void run_windows(const struct task *task, const struct graph_array in[3], int first, int last, int worker);
void windows_geometry(const struct graph_node *node, const struct plan *plan, struct step *step);
/* Is it a pass over a map in which a pixel of the output takes the same pixel of the inputs, or a number a channel? */
bool pass_by_pixels(const struct engine_model *model, const struct plan *plan, const struct step *step);
/* The passes that go along with the task's step, on pixels [first, last) that it has just made. */
void run_followers(const struct task *task, int first, int last);
/* Elements of a row where a pass over elements is cut along rows; 0: it is not (run/run_other.c). */
size_t pass_row(const struct plan *plan, const struct graph_node *node, const struct step *step);
/* Bytes a worker in which the columns of a softmax along that dimension become rows; 0: they lie so. */
size_t softmax_scratch(const struct shape *shape, int axis);
/* Indices of the outermost dimension of what a node copies that only moves elements. */
int64_t copy_rows(const struct engine_model *model, const struct plan *plan, const struct step *step);
void run_attention(const struct task *task, int first, int last, int worker);
/* Rows and scratch of an attention's step. */
void attention_geometry(const struct engine_model *model, const struct plan *plan, struct step *step);
/* One window's elements of channels [c0, c0 + c): kernel rows, kernel columns, channels.  Returns the end of `to`. */
float *gather_window(const struct task *task, int line, int column, size_t c0, size_t c, float *to);

struct engine_session {
    struct engine_model *model;
    struct pool *pool;
    struct area area, noisy;
    int pictures; /* of the run that was prepared */
    bool poison, ran;
};

enum infomask_status area_prepare(struct area *area, struct engine_session *session, struct plan *plan, size_t others,
                                  struct infomask_error *err) __attribute__((warn_unused_result));
struct run area_run(const struct area *area, const struct engine_session *session);

#endif
