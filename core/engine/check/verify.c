/* Does a model compute what its file says?  Before the passes change the graph its nodes run one by one (evaluate.c)
 * on some numbers: all of them, or as many from the input on as the time allows.  When the engine has made its layers,
 * they run on the same by a plan that ends there, and what comes out is compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/engine/internal.h"

#define MOST_OF_STEPS 0.05 /* of the spread, where numbers are rounded between layers */

struct engine_verify {
    int h, w, nodes, count;
    size_t inputs;
    float *x;
    struct evaluated kept[EVALUATED_KEPT];
    char *names[EVALUATED_KEPT]; /* of those; passes renumber tensors */
    bool whole;                  /* all nodes: kept[0] is the output */
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
    v->x = malloc(v->inputs * sizeof *v->x);
    if (v->x == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    for (size_t i = 0; i < v->inputs; i++)
        v->x[i] = (float)random_normal(&stream);
    return INFOMASK_OK;
}

static enum infomask_status fill(struct engine_verify *v, const struct graph *graph, const struct kernel_table *kernels,
                                 struct infomask_error *err)
{
    enum infomask_status status = make_noise(v, graph, err);

    if (status != INFOMASK_OK)
        return status;
    v->steps = has_steps(graph, v->nodes);
    v->whole = v->nodes == graph->node_count;
    status = evaluate_graph(graph, &(struct evaluate_task){kernels, v->h, v->w, v->nodes, v->x}, v->kept, &v->count,
                            err);
    for (int i = 0; i < v->count; i++) {
        const char *name = graph->tensors[v->kept[i].tensor].name;
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

static void give_input(const struct engine_model *model, const struct engine_verify *v, float *input)
{
    size_t items = (size_t)model_batch(model), channels = (size_t)model->info.channels;

    if (model->graph->tensors[model->graph->input].rank != 4 || model->first == 1)
        memcpy(input, v->x, v->inputs * sizeof *input);
    else
        turn(v->x, input, items, channels, v->inputs / items / channels);
}

/* The output in the file's order; NULL without memory, or where it is of another size. */
static float *take_output(const struct engine_session *session, size_t n)
{
    const struct shape *s = &session->area.plan->values[session->model->output].shape;
    float *y = shape_elements(s) == n ? malloc(n * sizeof *y) : NULL;

    if (y != NULL && shape_is_map(s))
        turn(engine_output(session), y, (size_t)s->d[0], (size_t)(s->d[2] * s->d[3]), (size_t)s->d[1]);
    else if (y != NULL)
        memcpy(y, engine_output(session), n * sizeof *y);
    return y;
}

/* Of outputs that hardly differ from each other, rounding is a share of their size. */
static double difference(const float *found, const float *expected, size_t n)
{
    double least = HUGE_VAL, most = -HUGE_VAL, size = 0, error = 0;

    for (size_t i = 0; i < n; i++) {
        least = fmin(least, (double)expected[i]);
        most = fmax(most, (double)expected[i]);
        size = fmax(size, fabs((double)expected[i]));
        error = fmax(error, fabs((double)found[i] - (double)expected[i]));
        if (isfinite(expected[i]) && !isfinite(found[i]))
            return HUGE_VAL;
        if (!isfinite(expected[i]))
            return 0; /* such numbers tell nothing of this network */
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

/* *found: NULL where the planned network has nothing of that size there. */
static enum infomask_status run(struct engine_model *model, const struct engine_verify *v, size_t n, float **found,
                                struct infomask_error *err)
{
    struct engine_session *session = NULL;
    float *input;
    enum infomask_status status = engine_session_create(&session, model, NULL, err);

    *found = NULL;
    if (status == INFOMASK_OK)
        status = engine_prepare(session, model_batch(model), v->h, v->w, false, &input, err);
    if (status == INFOMASK_OK) {
        give_input(model, v, input);
        status = engine_run(session, err);
    }
    if (status == INFOMASK_OK)
        *found = take_output(session, n);
    engine_session_free(session);
    return status;
}

static enum infomask_status run_cut(const struct engine_model *model, const struct engine_verify *v, int tensor,
                                    size_t n, float **found, struct infomask_error *err)
{
    struct engine_model cut;
    struct graph graph;
    enum infomask_status status;

    cut_model(model, &graph, &tensor, graph_producer(model->graph, tensor) + 1, &cut);
    status = run(&cut, v, n, found, err);
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

enum infomask_status engine_verify_end(const struct engine_verify *v, struct engine_model *model,
                                       struct engine_verified *found, struct infomask_error *err)
{
    static const double most[ENGINE_PRECISIONS] = {[ENGINE_F32] = 1e-3, [ENGINE_BF16] = 0.1, [ENGINE_INT8] = HUGE_VAL};

    *found = (struct engine_verified){.most = fmax(most[model->info.precision], v->steps ? MOST_OF_STEPS : 0),
                                      .whole = v->whole, .h = v->h, .w = v->w};
    for (int i = 0; i < v->count; i++) {
        int tensor = tensor_of(model, v, i);
        size_t n = shape_elements(&v->kept[i].shape);
        float *y = NULL;
        enum infomask_status status = tensor < 0   ? INFOMASK_OK
                                      : v->whole ? run(model, v, n, &y, err)
                                                 : run_cut(model, v, tensor, n, &y, err);
        if (status != INFOMASK_OK)
            return status;
        if (y == NULL && v->whole)
            return error_set(err, INFOMASK_INTERNAL,
                             "the network has another number of outputs than its layers one by one");
        if (y == NULL)
            continue;
        found->error = difference(y, v->kept[i].data, n);
        found->compared = true;
        found->equal = found->error <= found->most;
        free(y);
        return INFOMASK_OK;
    }
    return INFOMASK_OK;
}

enum infomask_status engine_verify_int8(struct engine_model *model, struct engine_model *reference, int h, int w,
                                        struct engine_verified *found, struct infomask_error *err)
{
    struct engine_verify v = {.h = h, .w = w};
    size_t n = model->info.outputs * (size_t)model_batch(model);
    float *y = NULL, *expected = NULL;
    enum infomask_status status = make_noise(&v, model->graph, err);

    *found = (struct engine_verified){.most = MOST_OF_STEPS, .whole = true, .h = h, .w = w};
    if (status == INFOMASK_OK)
        status = run(model, &v, n, &y, err);
    if (status == INFOMASK_OK)
        status = run(reference, &v, n, &expected, err);
    if (status == INFOMASK_OK && y != NULL && expected != NULL) {
        found->compared = true;
        found->error = difference(y, expected, n);
        found->equal = found->error <= found->most;
    }
    free(expected);
    free(y);
    free(v.x);
    return status;
}
