/* Sums of branches that are all linear in one tensor are one convolution: a 3 x 3, a 1 x 1 and a norm side by side, as
 * networks have them that are trained so and run otherwise (RepVGG, MobileOne).  The weights of the smaller windows are
 * added to those of the largest at the places that see the same pixels, in double and rounded once. */
#include "core/graph/fuse.h"

struct branch {
    int node; /* GRAPH_NONE: the tensor itself */
    int x;    /* the tensor in which it is linear */
    struct graph_window window; /* of a norm or the tensor itself: 1 x 1, one channel a group */
    bool scaled;          /* by `affine` alone */
    struct affine affine;
};

/* What a branch reads behind input `side` of a sum. */
static struct branch branch_of(const struct fusion *f, const struct graph_node *sum, int side)
{
    static const struct graph_window one = {.kernel_h = 1, .kernel_w = 1, .stride_h = 1, .stride_w = 1, .dilation_h = 1,
                                            .dilation_w = 1};
    struct branch b = {.node = sole_source(f, sum, side), .x = sum->inputs[side], .window = one};
    const struct graph_node *node = b.node == GRAPH_NONE ? NULL : node_at(f, b.node);

    if (node != NULL && is_plain(node, GRAPH_CONV)) {
        b.x = node->inputs[0];
        b.window = node->window;
    } else if (node != NULL && fuse_is_affine(f, node, 1, &b.affine)) {
        b.x = node->inputs[0];
        b.scaled = true;
    } else {
        b.node = GRAPH_NONE;
    }
    return b;
}

struct side { /* of a window: along one axis */
    int kernel, stride, dilation, before, after;
};

/* False: what is padded depends on the picture's size. */
static bool side_of(const struct graph_window *w, int axis, struct side *s)
{
    int all;

    *s = axis == 0 ? (struct side){w->kernel_h, w->stride_h, w->dilation_h, w->pad_top, w->pad_bottom}
                   : (struct side){w->kernel_w, w->stride_w, w->dilation_w, w->pad_left, w->pad_right};
    if (w->auto_pad == 0)
        return true;
    all = s->dilation * (s->kernel - 1);
    s->before = w->auto_pad == 1 ? all / 2 : all - all / 2;
    s->after = all - s->before;
    return s->stride == 1;
}

/* The tap of `a` that sees what tap `tap` of `b` sees; -1: none does. */
static int same_place(const struct side *a, const struct side *b, int tap)
{
    int at = tap * b->dilation - b->before + a->before;
    return at >= 0 && at % a->dilation == 0 && at / a->dilation < a->kernel ? at / a->dilation : -1;
}

/* Has window `a` all the places of `b`, and as many outputs whatever the picture's size? */
static bool covers(const struct graph_window *a, const struct graph_window *b)
{
    for (int axis = 0; axis < 2; axis++) {
        struct side s, t;
        if (!side_of(a, axis, &s) || !side_of(b, axis, &t) || s.stride != t.stride ||
            s.before + s.after - s.dilation * (s.kernel - 1) != t.before + t.after - t.dilation * (t.kernel - 1))
            return false;
        for (int tap = 0; tap < t.kernel; tap++)
            if (same_place(&s, &t, tap) < 0)
                return false;
    }
    return true;
}

/* Can convolution `a` be all of the sum?  Each output then reads the channels that it reads in `b`, too. */
static bool takes(const struct fusion *f, const struct branch *a, const struct branch *b)
{
    bool convolution = a->node != GRAPH_NONE && !a->scaled;
    const struct graph_tensor *w = convolution ? tensor_at(f, node_at(f, a->node)->inputs[1]) : NULL;
    int groups = a->window.groups;

    if (w == NULL || !covers(&a->window, &b->window))
        return false;
    if (b->node != GRAPH_NONE && !b->scaled)
        return b->window.groups % groups == 0 && graph_input(node_at(f, b->node), 3) == GRAPH_NONE;
    /* the tensor itself is a dense product's residual, which is exact in every precision */
    return w->dims[0] == w->dims[1] * groups && (b->node != GRAPH_NONE || w->dims[1] == 1);
}

/* wide [m][c][kernel] and narrow [m] of a convolution of `groups`, and what is added to them */
struct merge {
    const struct fusion *f;
    const struct branch *a, *b;
    float *wide, *narrow;
    size_t m, c;
    bool fine;
};

static void add_to(struct merge *g, float *to, double value)
{
    *to = (float)((double)*to + value);
    g->fine = g->fine && isfinite(*to);
}

/* The weights of output o for channel `from` of the tensor, [kernel_h][kernel_w]. */
static float *weights_at(const struct merge *g, size_t o, size_t from)
{
    const struct graph_window *w = &g->a->window;
    size_t first = o / (g->m / (size_t)w->groups) * g->c;
    return g->wide + (o * g->c + from - first) * (size_t)(w->kernel_h * w->kernel_w);
}

static size_t place_at(const struct merge *g, int tap_h, int tap_w)
{
    struct side a[2], b[2];

    for (int axis = 0; axis < 2; axis++)
        if (!side_of(&g->a->window, axis, &a[axis]) || !side_of(&g->b->window, axis, &b[axis]))
            return 0; /* covers() has seen to it */
    return (size_t)(same_place(&a[0], &b[0], tap_h) * a[1].kernel + same_place(&a[1], &b[1], tap_w));
}

static void add_convolution(struct merge *g)
{
    const struct graph_node *node = node_at(g->f, g->b->node);
    const struct graph_tensor *w = tensor_at(g->f, node->inputs[1]);
    int bias = graph_input(node, 2);
    size_t c = (size_t)w->dims[1], each = g->m / (size_t)g->b->window.groups;
    const float *from = w->data;

    for (size_t o = 0; o < g->m; o++) {
        if (bias != GRAPH_NONE)
            add_to(g, &g->narrow[o], (double)tensor_at(g->f, bias)->data[o]);
        for (size_t i = 0; i < c; i++)
            for (int y = 0; y < g->b->window.kernel_h; y++)
                for (int x = 0; x < g->b->window.kernel_w; x++)
                    add_to(g, weights_at(g, o, o / each * c + i) + place_at(g, y, x), (double)*from++);
    }
}

/* A factor and a summand a channel; without a node 1 and 0. */
static void add_diagonal(struct merge *g)
{
    size_t place = place_at(g, 0, 0);

    for (size_t o = 0; o < g->m; o++) {
        double factor = 1, summand = 0;
        if (g->b->scaled)
            fuse_affine_at(&g->b->affine, o, &factor, &summand);
        add_to(g, weights_at(g, o, o) + place, factor);
        add_to(g, &g->narrow[o], summand);
    }
}

static enum infomask_status merge_branches(struct fusion *f, const struct branch *a, const struct branch *b)
{
    struct graph_node *node = node_at(f, a->node);
    struct graph_tensor w = *tensor_at(f, node->inputs[1]);
    struct merge g = {.f = f, .a = a, .b = b, .m = (size_t)w.dims[0], .c = (size_t)w.dims[1], .fine = true};
    int bias = graph_input(node, 2), new_w, new_b;
    enum infomask_status status = graph_new_constant(f->graph, w.rank, w.dims, &new_w, &g.wide, f->err);

    if (status == INFOMASK_OK)
        status = graph_new_constant(f->graph, 1, w.dims, &new_b, &g.narrow, f->err);
    if (status != INFOMASK_OK)
        return status;
    if (node->input_count < 3 && !set_input_count(node, 3))
        return error_set(f->err, INFOMASK_MEMORY, "no memory to fuse the model's graph");
    memcpy(g.wide, w.data, graph_elements(&w) * sizeof *g.wide);
    for (size_t o = 0; o < g.m; o++)
        g.narrow[o] = bias == GRAPH_NONE ? 0 : tensor_at(f, bias)->data[o];
    if (b->node != GRAPH_NONE && !b->scaled)
        add_convolution(&g);
    else
        add_diagonal(&g);
    if (!g.fine)
        return graph_refuse(f->err, INFOMASK_BAD_MODEL, node, "its constants give values that are not finite");
    fuse_drop_unread(f, node, node->inputs[1]);
    node->inputs[1] = new_w;
    node->inputs[2] = new_b;
    return INFOMASK_OK;
}

enum infomask_status fuse_branches(struct fusion *f, int *at, bool *changed)
{
    struct graph_node *node = node_at(f, *at);
    struct branch branches[2];
    enum infomask_status status;
    int kept;

    if (!is_plain(node, GRAPH_ADD) || graph_is_constant(f->graph, node->inputs[1]) ||
        !graph_same_shape(tensor_at(f, node->inputs[0]), tensor_at(f, node->inputs[1])))
        return INFOMASK_OK;
    for (int side = 0; side < 2; side++)
        branches[side] = branch_of(f, node, side);
    kept = takes(f, &branches[0], &branches[1]) ? 0 : 1;
    if (branches[0].x != branches[1].x || !takes(f, &branches[kept], &branches[!kept]))
        return INFOMASK_OK;
    status = merge_branches(f, &branches[kept], &branches[!kept]);
    if (status != INFOMASK_OK)
        return status;
    if (branches[!kept].node != GRAPH_NONE)
        kill_node(f, branches[!kept].node);
    take_output(f, branches[kept].node, *at);
    *at = branches[kept].node;
    *changed = true;
    return INFOMASK_OK;
}
