/* Does a model compute what its file says?  Before the passes change the graph it runs node by node (evaluate.c) on
 * some numbers; when the engine has made its layers and plans, it runs on the same, and the outputs are compared. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/random.h"
#include "core/engine/internal.h"

#define FLOPS_A_SECOND 1e10 /* of evaluate.c, with its copies of windows, on one core */

struct engine_verify {
    int h, w;
    size_t inputs, outputs;
    float *x, *y;
    bool steps; /* rounds, compares or cuts: numbers near an edge may fall on either side */
};

void engine_verify_free(struct engine_verify *v)
{
    if (v == NULL)
        return;
    free(v->x);
    free(v->y);
    free(v);
}

static bool is_open(const struct graph *graph)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];

    for (int i = 1; i < t->rank; i++)
        if (t->dims[i] < 1)
            return true;
    return false;
}

static bool has_steps(const struct graph *graph)
{
    for (int i = 0; i < graph->node_count; i++) {
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

/* Of any size: a square of 64, which has room for a few windows of every layer, else one of 32, else the next larger
 * one whose outputs are as many as those of h x w.  Returns the work, -1 if there is none. */
static double smaller(const struct graph *graph, struct engine_verify *v, int h, int w, double most)
{
    static const int sides[] = {64, 32, 48, 80, 96, 128, 160, 192};

    for (size_t i = 0; i < sizeof sides / sizeof *sides && sides[i] < h && sides[i] < w; i++) {
        size_t found = 0;
        double work = evaluate_work(graph, sides[i], sides[i], &found);
        if (work < 0 || work > most || found != v->outputs)
            continue;
        v->h = v->w = sides[i];
        return work;
    }
    return -1;
}

/* false: too much work. */
static bool choose_size(const struct graph *graph, struct engine_verify *v, int h, int w, bool whole, double most)
{
    double work = evaluate_work(graph, h, w, &v->outputs);

    v->h = h;
    v->w = w;
    if (!whole && work >= 0 && is_open(graph) && smaller(graph, v, h, w, most) >= 0)
        return true;
    return work >= 0 && work <= most;
}

static size_t input_elements(const struct graph *graph, const struct engine_verify *v)
{
    const struct graph_tensor *t = &graph->tensors[graph->input];
    size_t n = 1;
    int open = 0;

    for (int i = 0; i < t->rank; i++)
        n *= (size_t)(t->dims[i] > 0 ? t->dims[i] : i == 0 ? 1 : open++ == 0 ? v->h : v->w);
    return n;
}

enum infomask_status engine_verify_begin(struct engine_verify **verify, const struct graph *graph,
                                         const struct kernel_table *kernels, int h, int w, bool whole,
                                         double seconds, struct infomask_error *err)
{
    struct engine_verify *v = calloc(1, sizeof *v);
    struct random_stream stream = random_stream(1, 0);
    enum infomask_status status;

    *verify = NULL;
    if (v == NULL)
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    if (!choose_size(graph, v, h, w, whole, seconds * FLOPS_A_SECOND)) {
        engine_verify_free(v);
        return INFOMASK_OK;
    }
    v->inputs = input_elements(graph, v);
    v->steps = has_steps(graph);
    v->x = malloc(v->inputs * sizeof *v->x);
    if (v->x == NULL) {
        engine_verify_free(v);
        return error_set(err, INFOMASK_MEMORY, "no memory for a comparison");
    }
    for (size_t i = 0; i < v->inputs; i++)
        v->x[i] = (float)random_normal(&stream);
    status = evaluate_graph(graph, kernels, v->h, v->w, v->x, &v->y, err);
    if (status != INFOMASK_OK)
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

/* The outputs in the file's order; NULL without memory. */
static float *take_output(const struct engine_session *session, const struct engine_verify *v)
{
    const struct engine_model *model = session->model;
    const struct shape *s = &session->area.plan->values[model->output].shape;
    float *y = malloc(v->outputs * sizeof *y);

    if (y != NULL && shape_is_map(s))
        turn(engine_output(session), y, (size_t)s->d[0], (size_t)(s->d[2] * s->d[3]), (size_t)s->d[1]);
    else if (y != NULL)
        memcpy(y, engine_output(session), v->outputs * sizeof *y);
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

static enum infomask_status run_model(struct engine_session *session, const struct engine_verify *v,
                                      struct engine_verified *found, struct infomask_error *err)
{
    struct engine_model *model = session->model;
    float *input, *y;
    enum infomask_status status = engine_prepare(session, model_batch(model), v->h, v->w, false, &input, err);

    if (status == INFOMASK_OK) {
        give_input(model, v, input);
        status = engine_run(session, err);
    }
    if (status != INFOMASK_OK)
        return status;
    y = model->info.outputs * (size_t)model_batch(model) == v->outputs ? take_output(session, v) : NULL;
    if (y == NULL)
        return error_set(err, INFOMASK_INTERNAL,
                         "the network has another number of outputs than its layers one by one");
    found->error = difference(y, v->y, v->outputs);
    free(y);
    return INFOMASK_OK;
}

enum infomask_status engine_verify_end(const struct engine_verify *v, struct engine_model *model,
                                       struct engine_verified *found, struct infomask_error *err)
{
    static const double most[ENGINE_PRECISIONS] = {[ENGINE_F32] = 1e-3, [ENGINE_BF16] = 0.1, [ENGINE_INT8] = HUGE_VAL};
    struct engine_session *session = NULL;
    enum infomask_status status = engine_session_create(&session, model, NULL, err);

    *found = (struct engine_verified){
        .most = fmax(most[model->info.precision], v->steps ? 0.05 : 0), .h = v->h, .w = v->w};
    if (status == INFOMASK_OK)
        status = run_model(session, v, found, err);
    engine_session_free(session);
    found->equal = status == INFOMASK_OK && found->error <= found->most;
    return status;
}
