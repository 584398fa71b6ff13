/* Merges neighbours into one node, so that the engine touches each activation once.
 *
 * One walk in topological order; each rule looks at a node and at the ones that made its inputs, rewrites, and tries
 * the node again until no rule fits.  A producer may be absorbed only if the tensor between the two has one reader
 * and is no output of the graph; its slot is then dead.  New weights are computed in double from the float ones.
 */
#include <stdio.h>

#include "core/graph/fuse.h"

static enum infomask_status no_memory(struct fusion *f)
{
    return error_set(f->err, INFOMASK_MEMORY, "no memory to fuse the model's graph");
}

/* ---- A factor and a summand per channel, into the weights before them -------------------------------------------- */

void fuse_affine_at(const struct affine *affine, size_t channel, double *factor, double *summand)
{
    const struct graph_node *node = affine->node;
    const float *value[5];
    size_t at = affine->single ? 0 : channel;

    *factor = 1;
    *summand = 0;
    for (int i = 1; i < node->input_count && i < 5; i++)
        value[i] = tensor_at(affine->f, node->inputs[i])->data + at;
    if (node->op == GRAPH_ADD) {
        *summand = (double)*value[1];
    } else if (node->op == GRAPH_MUL) {
        *factor = (double)*value[1];
    } else { /* scale (x - mean) / sqrt(variance + epsilon) + bias */
        *factor = (double)*value[1] / sqrt((double)*value[4] + (double)node->epsilon);
        *summand = (double)*value[2] - *factor * (double)*value[3];
    }
}

bool fuse_is_affine(const struct fusion *f, const struct graph_node *node, int axis, struct affine *affine)
{
    const struct graph_tensor *y;

    *affine = (struct affine){.f = f, .node = node};
    if (is_plain(node, GRAPH_BATCH_NORM))
        return axis == 1;
    if (!is_plain(node, GRAPH_ADD) && !is_plain(node, GRAPH_MUL))
        return false;
    y = tensor_at(f, node->inputs[1]);
    if (y->data == NULL || y->rank < 2)
        return false;
    for (int i = 0; i < y->rank; i++)
        if (i != axis && y->dims[i] != 1)
            return false;
    affine->single = y->dims[axis] == 1;
    return true;
}

static enum infomask_status not_finite(struct fusion *f, const struct graph_node *node)
{
    return graph_refuse(f->err, INFOMASK_BAD_MODEL, node, "its constants give values that are not finite");
}

static bool has_other_reader(const struct fusion *f, const struct graph_node *reader, int tensor)
{
    for (int i = 0; i < f->graph->node_count; i++)
        for (int j = 0; j < f->graph->nodes[i].input_count; j++)
            if (f->graph->nodes[i].inputs[j] == tensor && &f->graph->nodes[i] != reader)
                return true;
    return false;
}

void fuse_drop_unread(struct fusion *f, const struct graph_node *reader, int tensor)
{
    if (!has_other_reader(f, reader, tensor))
        graph_drop_constant(f->graph, tensor);
}

#define PIECE ((size_t)1 << 19) /* weights that are forgotten at once */

/* w' = factor w, b' = factor b + summand, for each output channel */
static enum infomask_status scale_weights(struct fusion *f, struct graph_node *product, const struct affine *affine)
{
    struct graph_tensor w = *tensor_at(f, product->inputs[1]);
    size_t channels = (size_t)w.dims[0], each = graph_elements(&w) / channels;
    int bias = graph_input(product, 2), old_w = product->inputs[1], new_w, new_b;
    const float *old_b = bias == GRAPH_NONE ? NULL : tensor_at(f, bias)->data;
    float *wide, *narrow;
    size_t forgotten = 0;
    bool fine = true, alone = !has_other_reader(f, product, old_w);
    enum infomask_status status = graph_new_constant(f->graph, w.rank, w.dims, &new_w, &wide, f->err);

    if (status == INFOMASK_OK)
        status = graph_new_constant(f->graph, 1, w.dims, &new_b, &narrow, f->err);
    if (status != INFOMASK_OK)
        return status;
    for (size_t c = 0; c < channels; c++) {
        double factor, summand;
        fuse_affine_at(affine, c, &factor, &summand);
        narrow[c] = (float)((old_b != NULL ? (double)old_b[c] : 0) * factor + summand);
        fine = fine && isfinite(narrow[c]);
        for (size_t i = c * each; i < (c + 1) * each; i++) {
            wide[i] = (float)((double)w.data[i] * factor);
            fine = fine && isfinite(wide[i]);
        }
        if (alone && (c + 1) * each - forgotten >= PIECE) { /* both are never in memory as a whole */
            graph_forget(f->graph, old_w, forgotten, (c + 1) * each - forgotten);
            forgotten = (c + 1) * each;
        }
    }
    if (!fine)
        return not_finite(f, affine->node);
    fuse_drop_unread(f, product, old_w);
    product->inputs[1] = new_w;
    product->inputs[2] = new_b;
    return INFOMASK_OK;
}

/* b' = b + summand: the weights stay where they are */
static enum infomask_status shift_bias(struct fusion *f, struct graph_node *product, const struct affine *affine)
{
    int64_t channels = tensor_at(f, product->inputs[1])->dims[0];
    int bias = graph_input(product, 2), new_b;
    float *narrow;
    enum infomask_status status = graph_new_constant(f->graph, 1, &channels, &new_b, &narrow, f->err);

    if (status != INFOMASK_OK)
        return status;
    for (size_t c = 0; c < (size_t)channels; c++) {
        double factor, summand;
        fuse_affine_at(affine, c, &factor, &summand);
        narrow[c] = (float)((bias == GRAPH_NONE ? 0 : (double)tensor_at(f, bias)->data[c]) + summand);
        if (!isfinite(narrow[c]))
            return not_finite(f, affine->node);
    }
    product->inputs[2] = new_b;
    return INFOMASK_OK;
}

/* The product behind input 0, also through a turn, and the dimension of that input that are its channels. */
static int product_behind(const struct fusion *f, const struct graph_node *node, int *axis)
{
    int made_by = sole_source(f, node, 0), turn = GRAPH_NONE, channels;

    if (made_by != GRAPH_NONE && node_at(f, made_by)->op == GRAPH_TRANSPOSE) {
        turn = made_by;
        made_by = sole_source(f, node_at(f, turn), 0);
    }
    if (made_by == GRAPH_NONE || !is_product(node_at(f, made_by)))
        return GRAPH_NONE;
    channels = node_at(f, made_by)->op == GRAPH_LINEAR ? tensor_at(f, node_at(f, made_by)->output)->rank - 1 : 1;
    *axis = channels;
    for (int i = 0; turn != GRAPH_NONE && i < tensor_at(f, node_at(f, turn)->output)->rank; i++)
        if (node_at(f, turn)->permutation[i] == channels)
            *axis = i;
    return made_by;
}

/* A tensor that holds other numbers now than the file's of its name: it is called after the one whose numbers it has,
 * in another order. */
static enum infomask_status rename_after(struct fusion *f, int tensor, int other)
{
    const char *name = tensor_at(f, other)->name;
    char **own = &f->graph->tensors[tensor].name;
    size_t size = name != NULL ? strlen(name) + 2 : 0;
    char *made = name != NULL ? malloc(size) : NULL;

    if (name != NULL && made == NULL)
        return no_memory(f);
    if (made != NULL)
        (void)snprintf(made, size, "%s\x1f", name);
    free(*own);
    *own = made;
    return INFOMASK_OK;
}

static enum infomask_status fuse_affine(struct fusion *f, int *at, bool *changed)
{
    struct affine affine;
    int axis, made_by = product_behind(f, node_at(f, *at), &axis), kept;
    struct graph_node *product;
    enum infomask_status status;

    if (made_by == GRAPH_NONE)
        return INFOMASK_OK;
    product = node_at(f, made_by);
    if (graph_input(product, 3) != GRAPH_NONE || !fuse_is_affine(f, node_at(f, *at), axis, &affine))
        return INFOMASK_OK;
    if (product->input_count < 3 && !set_input_count(product, 3))
        return no_memory(f);
    status = affine.node->op == GRAPH_ADD ? shift_bias(f, product, &affine) : scale_weights(f, product, &affine);
    if (status != INFOMASK_OK)
        return status;
    kept = sole_source(f, node_at(f, *at), 0); /* the product, or the turn behind it */
    if (kept != made_by)
        status = rename_after(f, product->output, affine.node->output);
    if (status != INFOMASK_OK)
        return status;
    take_output(f, kept, *at);
    *at = kept;
    *changed = true;
    return INFOMASK_OK;
}

/* ---- Activations and residuals ----------------------------------------------------------------------------------- */

static void copy_activation(struct graph_node *to, const struct graph_node *from)
{
    to->activation = from->activation;
    to->low = from->low;
    to->high = from->high;
    to->alpha = from->alpha;
    to->beta = from->beta;
}

static void fuse_activation(struct fusion *f, int *at, bool *changed)
{
    struct graph_node *node = node_at(f, *at), *before;
    int made_by = sole_source(f, node, 0);

    if (node->op != GRAPH_ACTIVATION || made_by == GRAPH_NONE)
        return;
    before = node_at(f, made_by);
    if (!is_product(before) && !is_plain(before, GRAPH_ADD) && !is_plain(before, GRAPH_BATCH_NORM))
        return;
    copy_activation(before, node);
    take_output(f, made_by, *at);
    *at = made_by;
    *changed = true;
}

/* One input channel a group: the engine's own kernels do those, and add nothing. */
static bool is_depthwise(const struct fusion *f, const struct graph_node *node)
{
    return node->op == GRAPH_CONV && node->window.groups > 1 && tensor_at(f, node->inputs[1])->dims[1] == 1;
}

static bool takes_residual(const struct fusion *f, int product)
{
    return product != GRAPH_NONE && is_product(node_at(f, product)) && !is_depthwise(f, node_at(f, product)) &&
           graph_input(node_at(f, product), 3) == GRAPH_NONE;
}

/* conv(x) + y: y becomes the fourth input.  Of two candidates the later one takes the other's result, which is then
 * there in time; else the product moves to the place of the Add, where all its inputs are ready. */
static enum infomask_status fuse_residual(struct fusion *f, int *at, bool *changed)
{
    struct graph_node *node = node_at(f, *at), *product;
    int first, second, side, chosen, residual, made_by;

    if (!is_plain(node, GRAPH_ADD) ||
        !graph_same_shape(tensor_at(f, node->inputs[0]), tensor_at(f, node->inputs[1])) ||
        graph_is_constant(f->graph, node->inputs[1]))
        return INFOMASK_OK;
    first = sole_source(f, node, 0);
    second = sole_source(f, node, 1);
    side = !takes_residual(f, first) || (takes_residual(f, second) && second > first);
    chosen = side ? second : first;
    if (!takes_residual(f, chosen))
        return INFOMASK_OK;
    residual = node->inputs[!side];
    made_by = source(f, node, !side);
    product = node_at(f, chosen);
    if (!set_input_count(product, 4))
        return no_memory(f);
    product->inputs[3] = residual;
    f->readers[residual]++;
    take_output(f, chosen, *at);
    if (made_by > chosen) {
        struct graph_node moved = *product;
        *product = *node;
        *node = moved;
        f->dead[chosen] = true;
        f->dead[*at] = false;
        f->producer[node->output] = *at;
    } else {
        *at = chosen;
    }
    *changed = true;
    return INFOMASK_OK;
}

/* ---- Activations that a file spells out -------------------------------------------------------------------------- */

static void spell_gate(struct fusion *f, int at, bool *changed)
{
    const struct graph_node *node = node_at(f, at);

    if (!is_plain(node, GRAPH_MUL))
        return;
    for (int side = 0; side < 2; side++) {
        int gate = sole_source(f, node, side), x = node->inputs[!side];
        const struct graph_node *g = gate == GRAPH_NONE ? NULL : node_at(f, gate);
        if (g == NULL || g->op != GRAPH_ACTIVATION || g->inputs[0] != x)
            continue;
        if (g->activation == GRAPH_SIGMOID)
            become_activation(f, at, gate, x, GRAPH_SILU);
        else if (g->activation == GRAPH_HARD_SIGMOID && close_to((double)g->alpha, 1.0 / 6) &&
                 close_to((double)g->beta, 0.5))
            become_activation(f, at, gate, x, GRAPH_HARD_SWISH);
        else
            continue;
        *changed = true;
        return;
    }
}

/* Is it clamp(x + c, 0, h) with factor * h = 1?  Then factor times it is HardSigmoid(factor, factor c). */
static bool is_shifted_clamp(const struct fusion *f, int i, double factor, double *c)
{
    const struct graph_node *node = i == GRAPH_NONE ? NULL : node_at(f, i);
    return factor > 0 && node != NULL && node->op == GRAPH_ADD && node->activation == GRAPH_CLAMP &&
           node->low == 0.0f && scalar_operand(f, node, c) && close_to(factor * (double)node->high, 1);
}

/* clamp(x + 3, 0, 6) * (1 / 6) is HardSigmoid. */
static void spell_hard_sigmoid(struct fusion *f, int at, bool *changed)
{
    struct graph_node *node = node_at(f, at);
    double factor, c;
    int clamp;

    if (!is_plain(node, GRAPH_MUL) || !scalar_operand(f, node, &factor))
        return;
    clamp = sole_source(f, node, 0);
    if (!is_shifted_clamp(f, clamp, factor, &c))
        return;
    become_activation(f, at, clamp, node_at(f, clamp)->inputs[0], GRAPH_HARD_SIGMOID);
    node->alpha = (float)factor;
    node->beta = (float)(factor * c);
    *changed = true;
}

/* (x * clamp(x + 3, 0, 6)) * (1 / 6) is HardSwish. */
static void spell_hard_swish(struct fusion *f, int at, bool *changed)
{
    const struct graph_node *node = node_at(f, at), *inner;
    double factor, c;
    int product, x;

    if (!is_plain(node, GRAPH_MUL) || !scalar_operand(f, node, &factor) || !close_to(factor, 1.0 / 6))
        return;
    product = sole_source(f, node, 0);
    if (product == GRAPH_NONE || !is_plain(node_at(f, product), GRAPH_MUL))
        return;
    inner = node_at(f, product);
    for (int side = 0; side < 2; side++) {
        int clamp = sole_source(f, inner, side);
        x = inner->inputs[!side];
        if (!is_shifted_clamp(f, clamp, factor, &c) || !close_to(c, 3) || node_at(f, clamp)->inputs[0] != x)
            continue;
        kill_node(f, clamp);
        become_activation(f, at, product, x, GRAPH_HARD_SWISH);
        *changed = true;
        return;
    }
}

/* ---- Pools ------------------------------------------------------------------------------------------------------- */

/* Larger than any map that a network makes of a photo. */
#define BEYOND_MAPS 512

/* Does a window take in all of a dimension, whose size the file may leave open?  Some networks give their last map's
 * number of channels as the pool's window, rounded up (Hugging Face's EfficientNet). */
static bool takes_all(const struct graph_window *w, int64_t input, int64_t output, int kernel, int stride)
{
    if (input > 0)
        return output == 1 && (input == kernel || (input < kernel && w->ceil_mode));
    return w->ceil_mode && kernel >= BEYOND_MAPS && stride >= kernel;
}

/* One window over the whole map of the file's own size. */
static void widen_pool(struct fusion *f, int at, bool *changed)
{
    struct graph_node *node = node_at(f, at);
    const struct graph_window *w = &node->window;
    const struct graph_tensor *x, *y;

    if (node->op != GRAPH_AVERAGE_POOL)
        return;
    x = tensor_at(f, node->inputs[0]);
    y = tensor_at(f, node->output);
    if (!takes_all(w, x->dims[2], y->dims[2], w->kernel_h, w->stride_h) ||
        !takes_all(w, x->dims[3], y->dims[3], w->kernel_w, w->stride_w) || w->dilation_h != 1 || w->dilation_w != 1 ||
        w->pad_top || w->pad_left || w->pad_bottom || w->pad_right)
        return;
    node->op = GRAPH_GLOBAL_AVERAGE;
    *changed = true;
}

/* [N, C, 1, 1] reshaped to [N, C] */
static void flatten_pool(struct fusion *f, int *at, bool *changed)
{
    const struct graph_node *node = node_at(f, *at);
    int pool = sole_source(f, node, 0);

    if (node->op != GRAPH_RESHAPE || tensor_at(f, node->output)->rank != 2 || pool == GRAPH_NONE ||
        node_at(f, pool)->op != GRAPH_GLOBAL_AVERAGE ||
        tensor_at(f, node->output)->dims[1] != tensor_at(f, node_at(f, pool)->inputs[0])->dims[1])
        return; /* (a concrete graph may make [C, N] of it) */
    take_output(f, pool, *at);
    *at = pool;
    *changed = true;
}

/* The last of a row of reshapes says it all. */
static void skip_reshape(struct fusion *f, int at, bool *changed)
{
    struct graph_node *node = node_at(f, at);
    int before = sole_source(f, node, 0), x;

    if (node->op != GRAPH_RESHAPE || before == GRAPH_NONE || node_at(f, before)->op != GRAPH_RESHAPE)
        return;
    x = node_at(f, before)->inputs[0];
    f->readers[x]++;
    read_less(f, node->inputs[0]);
    node->inputs[0] = x;
    kill_node(f, before);
    *changed = true;
}

/* ---- The walk ---------------------------------------------------------------------------------------------------- */

/* One try of every rule on a node; a rule that moves the work to another slot changes `at`. */
static enum infomask_status fuse_node(struct fusion *f, int *at, bool *changed)
{
    enum infomask_status status;

    *changed = false;
    spell_gate(f, *at, changed);
    spell_hard_sigmoid(f, *at, changed);
    spell_hard_swish(f, *at, changed);
    fuse_spell_unary(f, *at, changed);
    fuse_spell_gelu(f, *at, changed);
    widen_pool(f, *at, changed);
    flatten_pool(f, at, changed);
    skip_reshape(f, *at, changed);
    status = fuse_attention(f, *at, changed);
    if (status == INFOMASK_OK)
        status = fuse_spell_norm(f, at, changed);
    if (status == INFOMASK_OK)
        status = fuse_affine(f, at, changed);
    if (status == INFOMASK_OK)
        status = fuse_branches(f, at, changed);
    if (status == INFOMASK_OK)
        status = fuse_residual(f, at, changed);
    if (status == INFOMASK_OK)
        fuse_activation(f, at, changed);
    return status;
}

static bool count_readers(struct fusion *f)
{
    const struct graph *graph = f->graph;

    f->capacity = graph->tensor_count;
    f->readers = calloc((size_t)f->capacity + 1, sizeof *f->readers);
    f->producer = calloc((size_t)f->capacity + 1, sizeof *f->producer);
    f->dead = calloc((size_t)graph->node_count + 1, sizeof *f->dead);
    if (f->readers == NULL || f->producer == NULL || f->dead == NULL)
        return false;
    for (int i = 0; i < f->capacity; i++)
        f->producer[i] = GRAPH_NONE;
    for (int i = 0; i < graph->node_count; i++) {
        f->producer[graph->nodes[i].output] = i;
        for (int j = 0; j < graph->nodes[i].input_count; j++)
            if (graph->nodes[i].inputs[j] != GRAPH_NONE)
                f->readers[graph->nodes[i].inputs[j]]++;
    }
    for (int i = 0; i < graph->output_count; i++)
        f->readers[graph->outputs[i]] += 2; /* never sole */
    return true;
}

enum infomask_status graph_fuse(struct graph *graph, struct infomask_error *err)
{
    struct fusion f = {.graph = graph, .err = err};
    enum infomask_status status = count_readers(&f) ? INFOMASK_OK : no_memory(&f);

    for (int i = 0; status == INFOMASK_OK && i < graph->node_count; i++) {
        bool changed = true;
        int at = i;
        while (status == INFOMASK_OK && changed && !f.dead[at])
            status = fuse_node(&f, &at, &changed);
    }
    if (status == INFOMASK_OK)
        graph_remove_nodes(graph, f.dead);
    free(f.readers);
    free(f.producer);
    free(f.dead);
    return status;
}
