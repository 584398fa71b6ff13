/* Does a model compute what its file says?  Before the passes change the graph its nodes run one by one (evaluate.c)
 * on some numbers: all of them, or as many from the input on as the time allows.  When the engine has made its layers,
 * they run on the same by a plan that ends there, and what comes out is compared.  Where time does not matter two items
 * are, in one batch of the engine's, each alone here: what is right of the first may be wrong of the next.  The batch
 * runs twice then, one item after the other and side by side on two threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/engine/internal.h"

#define MOST_OF_STEPS 0.05 /* of the spread, where numbers are rounded between layers */
#define ITEMS 2
#define LARGE 80 /* the logarithm of what float32 hardly tells from 0 or from infinity */

struct engine_verify {
    int h, w, nodes, count, items;
    size_t inputs; /* of an item */
    float *x;
    struct evaluated kept[EVALUATED_KEPT]; /* shapes are an item's, data all items' */
    char *names[EVALUATED_KEPT]; /* of those; passes renumber tensors */
    bool whole;                  /* all nodes: kept[0] is the output */
    bool constant;               /* see engine_verified */
    bool steps;                  /* rounds, compares or cuts: numbers near an edge may fall on either side */
};

void engine_verify_free(struct engine_verify *v)
{
    if (v == NULL)
        return;
    for (int i = 0; i < v->count; i++) {
        free(v->kept[i].data);
        free(v->names[i]);
    }
    free(v->x);
    free(v);
}

static bool has_steps(const struct graph *graph, int nodes)
{
    for (int i = 0; i < nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        enum graph_function f = node->function;
        if (node->op == GRAPH_QUANTIZE || node->op == GRAPH_WHERE ||
            (node->op == GRAPH_UNARY && (f == GRAPH_FLOOR || f == GRAPH_CEIL || f == GRAPH_ROUND ||
                                         f == GRAPH_TRUNCATE || f == GRAPH_SIGN || f == GRAPH_NOT)) ||
            (node->op == GRAPH_BINARY && f >= GRAPH_MODULO && f != GRAPH_PRELU))
            return true;
    }
    return false;
}

/* The square at which most nodes can be compared, the larger one of several: 64 has room for a few windows of every
 * layer. */
static void choose_size(const struct graph *graph, const struct kernel_table *kernels, struct engine_verify *v, int h,
                        int w, double most)
{
    static const int sides[] = {64, 32, 48, 80, 96, 128, 160, 192};

    v->h = h;
    v->w = w;
    v->nodes = evaluate_reach(graph, kernels, h, w, most);
    for (size_t i = 0; i < sizeof sides / sizeof *sides && v->nodes < graph->node_count; i++) {
        int nodes = sides[i] < h && sides[i] < w ? evaluate_reach(graph, kernels, sides[i], sides[i], most) : 0;
        if (nodes <= v->nodes)
            continue;
        v->nodes = nodes;
        v->h = v->w = sides[i];
    }
}

static size_t input_elements(const struct graph *graph, const struct engine_verify *v)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];
    int first = evaluate_first_side(graph);
    size_t n = 1;

    for (int i = 0; i < t->rank; i++)
        n *= first > 0 && i == first ? (size_t)v->h : first > 0 && i == first + 1 ? (size_t)v->w
             : t->dims[i] > 0                                                     ? (size_t)t->dims[i]
                                                                                  : 1;
    return n;
}

static enum infomask_status make_noise(struct engine_verify *v, const struct graph *graph, struct infomask_error *err)
{
    struct random_stream stream = random_stream(1, 0);

    v->inputs = input_elements(graph, v);
    v->x = malloc((size_t)v->items * v->inputs * sizeof *v->x);
    if (v->x == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    for (size_t i = 0; i < (size_t)v->items * v->inputs; i++)
        v->x[i] = (float)random_normal(&stream);
    return INFOMASK_OK;
}

static enum infomask_status evaluate_item(struct engine_verify *v, const struct graph *graph,
                                          const struct kernel_table *kernels, const float *x, struct evaluated *kept,
                                          int *count, struct infomask_error *err)
{
    return evaluate_graph(graph, &(struct evaluate_task){kernels, v->h, v->w, v->nodes, x}, kept, count, err);
}

/* The output of each item but the first behind that of the first. */
static enum infomask_status evaluate_others(struct engine_verify *v, const struct graph *graph,
                                            const struct kernel_table *kernels, struct infomask_error *err)
{
    size_t n = shape_elements(&v->kept[0].shape);
    float *all = v->items > 1 ? realloc(v->kept[0].data, (size_t)v->items * n * sizeof *all) : v->kept[0].data;

    if (all == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    v->kept[0].data = all;
    for (int i = 1; i < v->items; i++) {
        struct evaluated more[EVALUATED_KEPT];
        int count;
        enum infomask_status status =
            evaluate_item(v, graph, kernels, v->x + (size_t)i * v->inputs, more, &count, err);
        if (status != INFOMASK_OK)
            return status;
        memcpy(all + (size_t)i * n, more[0].data, n * sizeof *all);
        free(more[0].data);
    }
    return INFOMASK_OK;
}

static bool all_finite(const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(y[i]))
            return false;
    return true;
}

static bool any_finite(const float *y, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (isfinite(y[i]))
            return true;
    return false;
}

/* But for rounding, each number by its own size: small probabilities tell pictures apart, too. */
static bool is_same(const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabsf(a[i] - b[i]) <= 1e-6F * fmaxf(fabsf(a[i]), fabsf(b[i]))))
            return false;
    return true;
}

/* Is the output of all pictures the same, of noise, of strong noise (bytes) and of faint (what saturates)? */
static enum infomask_status find_constant(struct engine_verify *v, const struct graph *graph,
                                          const struct kernel_table *kernels, struct infomask_error *err)
{
    static const float strengths[] = {64, 1.0F / 64};
    size_t n = shape_elements(&v->kept[0].shape);
    const float *y = v->kept[0].data;
    float *x = malloc(v->inputs * sizeof *x);

    if (x == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    v->constant = is_same(y, y + n, n);
    for (size_t s = 0; s < sizeof strengths / sizeof *strengths && v->constant; s++) {
        struct evaluated more[EVALUATED_KEPT];
        int count;
        enum infomask_status status;
        for (size_t i = 0; i < v->inputs; i++)
            x[i] = strengths[s] * v->x[i];
        status = evaluate_item(v, graph, kernels, x, more, &count, err);
        if (status != INFOMASK_OK) {
            free(x);
            return status;
        }
        v->constant = is_same(y, more[0].data, n);
        free(more[0].data);
    }
    free(x);
    return INFOMASK_OK;
}

static enum infomask_status evaluate_all(struct engine_verify *v, const struct graph *graph,
                                         const struct kernel_table *kernels, struct infomask_error *err)
{
    enum infomask_status status = evaluate_item(v, graph, kernels, v->x, v->kept, &v->count, err);

    if (status == INFOMASK_OK && v->items > 1)
        status = evaluate_others(v, graph, kernels, err);
    return status;
}

/* Roots and logarithms want numbers that are not negative, as photos may be. */
static enum infomask_status evaluate_positive(struct engine_verify *v, const struct graph *graph,
                                              const struct kernel_table *kernels, struct infomask_error *err)
{
    for (size_t i = 0; i < (size_t)v->items * v->inputs; i++)
        v->x[i] = fabsf(v->x[i]);
    for (int i = 0; i < v->count; i++) {
        free(v->kept[i].data);
        v->kept[i].data = NULL;
    }
    v->count = 0;
    return evaluate_all(v, graph, kernels, err);
}

/* The name that one tensor alone has: the steps of an operator share that of what it makes. */
static const char *own_name(const struct graph *graph, int tensor)
{
    const char *name = graph->tensors[tensor].name;
    int times = 0;

    for (int i = 0; name != NULL && i < graph->node_count; i++) {
        const char *other = graph->tensors[graph->nodes[i].output].name;
        times += other != NULL && strcmp(other, name) == 0;
    }
    return times == 1 ? name : NULL;
}

static enum infomask_status fill(struct engine_verify *v, const struct graph *graph, const struct kernel_table *kernels,
                                 struct infomask_error *err)
{
    enum infomask_status status = make_noise(v, graph, err);

    if (status != INFOMASK_OK)
        return status;
    v->steps = has_steps(graph, v->nodes);
    v->whole = v->nodes == graph->node_count;
    status = evaluate_all(v, graph, kernels, err);
    if (status == INFOMASK_OK && v->count > 0 &&
        !all_finite(v->kept[0].data, (size_t)v->items * shape_elements(&v->kept[0].shape)))
        status = evaluate_positive(v, graph, kernels, err);
    if (status == INFOMASK_OK && v->items > 1)
        status = find_constant(v, graph, kernels, err);
    for (int i = 0; i < v->count; i++) {
        const char *name = own_name(graph, v->kept[i].tensor);
        v->names[i] = name != NULL ? strdup(name) : NULL;
    }
    return status;
}

enum infomask_status engine_verify_begin(struct engine_verify **verify, const struct graph *graph,
                                         const struct kernel_table *kernels, int h, int w, double seconds,
                                         struct infomask_error *err)
{
    struct engine_verify *v = calloc(1, sizeof *v);
    enum infomask_status status = INFOMASK_OK;

    *verify = NULL;
    if (v == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    v->h = h;
    v->w = w;
    v->nodes = graph->node_count;
    v->items = seconds < HUGE_VAL ? 1 : ITEMS;
    if (seconds < HUGE_VAL)
        choose_size(graph, kernels, v, h, w, seconds);
    if (v->nodes > 0)
        status = fill(v, graph, kernels, err);
    if (status != INFOMASK_OK || v->count == 0)
        engine_verify_free(v);
    else
        *verify = v;
    return status;
}

/* The file's order to the engine's: N, H, W, C, and back. */
static void turn(const float *from, float *to, size_t items, size_t outer, size_t inner)
{
    for (size_t n = 0; n < items; n++, from += outer * inner, to += outer * inner)
        for (size_t o = 0; o < outer; o++)
            for (size_t i = 0; i < inner; i++)
                to[i * outer + o] = from[o * inner + i];
}

static void give_input(const struct engine_model *model, const struct engine_verify *v, int items, float *input)
{
    size_t pictures = (size_t)items * (size_t)model_batch(model), channels = (size_t)model->info.channels;
    size_t n = (size_t)items * v->inputs;

    if (model->graph->tensors[model->graph->input].rank != 4 || model->first == 1)
        memcpy(input, v->x, n * sizeof *input);
    else
        turn(v->x, input, pictures, channels, n / pictures / channels);
}

/* The output of n numbers an item in the file's order; NULL without memory, or where it is of another size. */
static float *take_output(const struct engine_session *session, int items, size_t n)
{
    const struct shape *s = &session->area.plan->values[session->model->output].shape;
    size_t all = (size_t)items * n;
    float *y = shape_elements(s) == n ? malloc(all * sizeof *y) : NULL;

    if (y != NULL && shape_is_map(s))
        turn(engine_output(session), y, (size_t)items * (size_t)s->d[0], (size_t)(s->d[2] * s->d[3]), (size_t)s->d[1]);
    else if (y != NULL)
        memcpy(y, engine_output(session), all * sizeof *y);
    return y;
}

/* An infinity must be one here, too, or nearly: where the layers have the logarithm of 0 the engine may have that of
 * what float32 hardly tells from it.  What is no number there may be one here: of NaN and 0 some maxima take the 0. */
static bool is_as_infinite(float found, float expected)
{
    return isnan(expected) || (signbit(found) == signbit(expected) && fabsf(found) >= LARGE);
}

/* Of outputs that hardly differ from each other, rounding is a share of their size. */
static double difference(const float *found, const float *expected, size_t n)
{
    double least = HUGE_VAL, most = -HUGE_VAL, size = 0, error = 0;

    for (size_t i = 0; i < n; i++) {
        if (isfinite(expected[i]) ? !isfinite(found[i]) : !is_as_infinite(found[i], expected[i]))
            return HUGE_VAL;
        if (!isfinite(expected[i]))
            continue;
        least = fmin(least, (double)expected[i]);
        most = fmax(most, (double)expected[i]);
        size = fmax(size, fabs((double)expected[i]));
        error = fmax(error, fabs((double)found[i] - (double)expected[i]));
    }
    return error / fmax(fmax(n > 1 ? most - least : size, 1e-2 * size), 1e-30);
}

/* The model as it serves, its graph cut behind the node that makes `tensor`: the same layers, plans of its own. */
static void cut_model(const struct engine_model *model, struct graph *graph, int *tensor, int nodes,
                      struct engine_model *cut)
{
    *graph = *model->graph;
    graph->node_count = nodes;
    graph->outputs = tensor;
    graph->output_count = 1;
    *cut = *model;
    cut->graph = graph;
    cut->output = *tensor;
    cut->plans = NULL;
    cut->info.fixed_size = false;
    cut->info.noise = false;
    (void)pthread_mutex_init(&cut->lock, NULL);
}

/* What the planned network makes of the items; n: numbers of one.  y: NULL where it has nothing of that size there. */
struct made {
    float *y;
    int items; /* one where a session has no memory for more */
};

static enum infomask_status run_on(struct engine_model *model, const struct engine_verify *v, struct pool *pool,
                                   size_t n, struct made *made, struct infomask_error *err)
{
    struct engine_session *session = NULL;
    float *input;
    enum infomask_status status = engine_session_create(&session, model, pool, err);

    *made = (struct made){.items = v->items};
    if (status == INFOMASK_OK)
        status = engine_prepare(session, v->items * model_batch(model), v->h, v->w, false, &input, err);
    if (status == INFOMASK_LIMIT && v->items > 1) {
        made->items = 1;
        status = engine_prepare(session, model_batch(model), v->h, v->w, false, &input, err);
    }
    if (status == INFOMASK_OK) {
        give_input(model, v, made->items, input);
        status = engine_run(session, err);
    }
    if (status == INFOMASK_OK)
        made->y = take_output(session, made->items, n);
    engine_session_free(session);
    return status;
}

static enum infomask_status run(struct engine_model *model, const struct engine_verify *v, size_t n, struct made *made,
                                struct infomask_error *err)
{
    return run_on(model, v, NULL, n, made, err);
}

static enum infomask_status run_cut(const struct engine_model *model, const struct engine_verify *v, int tensor,
                                    size_t n, struct made *made, struct infomask_error *err)
{
    struct engine_model cut;
    struct graph graph;
    enum infomask_status status;

    cut_model(model, &graph, &tensor, graph_producer(model->graph, tensor) + 1, &cut);
    status = run(&cut, v, n, made, err);
    plans_free(&cut);
    (void)pthread_mutex_destroy(&cut.lock);
    return status;
}

/* The tensor that has the place of kept[i] in the model's graph; GRAPH_NONE: the passes have left none. */
static int tensor_of(const struct engine_model *model, const struct engine_verify *v, int i)
{
    if (v->whole)
        return model->output;
    for (int n = model->graph->node_count - 1; n >= model->first && v->names[i] != NULL; n--) {
        int made = model->graph->nodes[n].output;
        const char *name = model->graph->tensors[made].name;
        if (name != NULL && strcmp(name, v->names[i]) == 0)
            return made;
    }
    return GRAPH_NONE;
}

/* The layers may have the logarithm of 0 where what is served is finite; a NaN they may not have. */
static bool has_no_numbers(const struct made *made, const float *expected, size_t n)
{
    size_t all = (size_t)made->items * n;

    for (size_t i = 0; i < all; i++)
        if (isnan(expected[i]))
            return true;
    return !all_finite(made->y, all) && !all_finite(expected, all);
}

/* The largest of the items' differences, each by the spread of its own numbers.  Where nothing is finite nothing is
 * compared, but that is told of what was to be compared whole. */
static void compare(const struct made *made, const float *expected, size_t n, bool full, struct engine_verified *found)
{
    if (!full && !any_finite(expected, (size_t)made->items * n))
        return;
    found->compared = true;
    for (int i = 0; i < made->items; i++)
        found->error = fmax(found->error, difference(made->y + (size_t)i * n, expected + (size_t)i * n, n));
    found->not_finite = found->not_finite || (full && has_no_numbers(made, expected, n));
    found->equal = found->error <= found->most && !found->not_finite;
}

/* The items side by side, a thread for each, as the service runs a batch. */
static enum infomask_status compare_lanes(const struct engine_verify *v, struct engine_model *model, size_t n,
                                          const float *expected, struct engine_verified *found,
                                          struct infomask_error *err)
{
    struct made made = {0};
    struct pool *pool = NULL;
    enum infomask_status status = pool_create(&pool, v->items, NULL, NULL, err);

    if (status == INFOMASK_OK)
        status = run_on(model, v, pool, n, &made, err);
    if (status == INFOMASK_OK && made.y != NULL)
        compare(&made, expected, n, true, found);
    free(made.y);
    pool_free(pool);
    return status == INFOMASK_LIMIT ? INFOMASK_OK : status; /* there is no memory for two threads */
}

enum infomask_status engine_verify_end(const struct engine_verify *v, struct engine_model *model,
                                       struct engine_verified *found, struct infomask_error *err)
{
    static const double most[ENGINE_PRECISIONS] = {[ENGINE_F32] = 1e-3, [ENGINE_BF16] = 0.1, [ENGINE_INT8] = HUGE_VAL};

    *found = (struct engine_verified){.most = fmax(most[model->info.precision], v->steps ? MOST_OF_STEPS : 0),
                                      .whole = v->whole, .h = v->h, .w = v->w, .constant = v->constant};
    for (int i = 0; i < v->count; i++) {
        int tensor = tensor_of(model, v, i);
        size_t n = shape_elements(&v->kept[i].shape);
        struct made made = {0};
        enum infomask_status status = tensor < 0   ? INFOMASK_OK
                                      : v->whole ? run(model, v, n, &made, err)
                                                 : run_cut(model, v, tensor, n, &made, err);
        if (status != INFOMASK_OK)
            return status;
        if (made.y == NULL && v->whole)
            return error_set(err, INFOMASK_INTERNAL,
                             "the network has another number of outputs than its layers one by one");
        if (made.y == NULL)
            continue;
        compare(&made, v->kept[i].data, n, v->items > 1, found);
        free(made.y);
        return v->items > 1 ? compare_lanes(v, model, n, v->kept[i].data, found, err) : INFOMASK_OK;
    }
    return INFOMASK_OK;
}

enum infomask_status engine_verify_int8(struct engine_model *model, struct engine_model *reference, int h, int w,
                                        bool full, struct engine_verified *found, struct infomask_error *err)
{
    struct engine_verify v = {.h = h, .w = w, .items = full ? ITEMS : 1};
    size_t n = model->info.outputs * (size_t)model_batch(model);
    struct made made = {0}, expected = {0};
    enum infomask_status status = make_noise(&v, model->graph, err);

    *found = (struct engine_verified){.most = MOST_OF_STEPS, .whole = true, .h = h, .w = w};
    if (status == INFOMASK_OK)
        status = run(model, &v, n, &made, err);
    v.items = made.items;
    if (status == INFOMASK_OK)
        status = run(reference, &v, n, &expected, err);
    if (status == INFOMASK_OK && made.y != NULL && expected.y != NULL) {
        made.items = expected.items;
        compare(&made, expected.y, n, full, found);
    }
    free(expected.y);
    free(made.y);
    free(v.x);
    return status;
}
