/* The comparison of a planned, fused network with its layers one by one: the layers alone give what onnxruntime gave; sound
 * models pass on every table; a fault planted in weights, in a bias, in a plan or in a kernel is seen, also one of the second picture
 * alone, on two threads alone, or beside an output that is infinite. */
#include "test.h"

#include <math.h>
#include <pthread.h>

#include "build.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"

#define FOLDER "tests/data/nets/"

static struct graph *read_net(const char *name, int h, int w)
{
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    char path[160];

    (void)snprintf(path, sizeof path, FOLDER "%s.onnx", name);
    if (onnx_read_for(path, NULL, (struct onnx_size){.height = h, .width = w}, &graph, &err) || graph_infer_shapes(graph, &err) ||
        graph_fold_constants(graph, &err))
        fail_msg("%s: %s", name, err.text);
    return graph;
}

static struct engine_model *served(struct graph *graph, const struct kernel_table *kernels)
{
    const struct engine_options options = {.kernels = kernels};
    struct infomask_error err = {0};
    struct engine_model *model = NULL;

    if (graph_fuse(graph, &err) || graph_prune(graph, &err) || engine_model_create(&model, graph, &options, &err))
        fail_msg("%s", err.text);
    return model;
}

/* One item of a file whose batch is open, against the first of its golden outputs. */
static void layers_alone_are_right(const char *name, struct graph *graph, int n, int h, int w, size_t inputs, size_t outputs)
{
    float *data = malloc((inputs + outputs) * sizeof *data), *y, low = INFINITY, high = -INFINITY;
    struct infomask_error err = {0};
    struct evaluated kept[EVALUATED_KEPT];
    char path[160];
    FILE *file;
    int count;

    (void)snprintf(path, sizeof path, FOLDER "%s.f32", name);
    file = fopen(path, "rb");
    assert_true(data != NULL && file != NULL && fread(data, sizeof *data, inputs + outputs, file) == inputs + outputs);
    fclose(file);
    if (evaluate_graph(graph, &(struct evaluate_task){kernels_get(KERNEL_REF), h, w, graph->node_count, data}, kept, &count,
                       &err))
        fail_msg("%s: %s", name, err.text);
    assert_int_equal(count, 1);
    y = kept->data;
    for (size_t i = inputs; i < inputs + outputs; i++) {
        low = fminf(low, data[i]);
        high = fmaxf(high, data[i]);
    }
    for (size_t i = 0; i < outputs / (size_t)n; i++)
        if (!(fabsf(y[i] - data[inputs + i]) <= 2e-4F * (high - low)))
            fail_msg("%s, output %zu: %.8g, not %.8g", name, i, (double)y[i], (double)data[inputs + i]);
    free(y);
    free(data);
}

static bool is_equal(struct engine_verify *verify, struct engine_model *model)
{
    struct engine_verified found;
    struct infomask_error err = {0};

    if (engine_verify_end(verify, model, &found, &err))
        fail_msg("%s", err.text);
    return found.equal;
}

static void check_case(const char *name, int n, int h, int w, size_t inputs, size_t outputs)
{
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *kernels = kernels_get((enum kernel_isa)isa);
        struct engine_verify *verify = NULL;
        struct infomask_error err = {0};
        struct engine_model *model;
        struct graph *graph;
        if (kernels == NULL)
            continue;
        graph = read_net(name, h, w);
        if (isa == KERNEL_REF && graph->tensors[graph->input].dims[0] < 0)
            layers_alone_are_right(name, graph, n, h, w, inputs, outputs);
        if (engine_verify_begin(&verify, graph, kernels, h, w, isa % 2 == 0 ? HUGE_VAL : 1e9, &err))
            fail_msg("%s: %s", name, err.text);
        assert_non_null(verify);
        model = served(graph, kernels);
        if (!is_equal(verify, model))
            fail_msg("%s differs from its layers on %s", name, kernels->name);
        engine_verify_free(verify);
        engine_model_free(model);
    }
}

/* The list of networks, each with its outputs of onnxruntime. */
static void for_all_cases(void (*check)(const char *name, int n, int h, int w, size_t inputs, size_t outputs))
{
    FILE *list = fopen(FOLDER "cases.txt", "r");
    char name[64];
    size_t inputs, outputs;
    int cases = 0, n, h, w;

    assert_non_null(list);
    while (fscanf(list, "%63s %d %d %d %zu %zu", name, &n, &h, &w, &inputs, &outputs) == 6) {
        check(name, n, h, w, inputs, outputs);
        cases++;
    }
    fclose(list);
    assert_true(cases > 40);
}

static void sound_models_pass(void **state)
{
    (void)state;
    for_all_cases(check_case);
}

static int parts_compared;

/* As far as the time allows: where it ends, what is served must still have the tensor of that name. */
static void check_parts(const char *name, int n, int h, int w, size_t inputs, size_t outputs)
{
    const double more = test_number("INFOMASK_TEST_FINE", 0) > 0 ? 1.2 : 6;
    (void)n, (void)inputs, (void)outputs;

    for (double seconds = 1e-7; seconds < 1; seconds *= more) {
        struct engine_verify *verify = NULL;
        struct engine_verified found;
        struct infomask_error err = {0};
        struct graph *graph = read_net(name, h, w);
        struct engine_model *model;
        if (engine_verify_begin(&verify, graph, kernels_best(), h, w, seconds, &err))
            fail_msg("%s: %s", name, err.text);
        model = served(graph, kernels_best());
        if (verify != NULL && engine_verify_end(verify, model, &found, &err))
            fail_msg("%s: %s", name, err.text);
        if (verify != NULL && found.compared && !found.equal)
            fail_msg("%s: what %g s allow differs by %g", name, seconds, found.error);
        parts_compared += verify != NULL && found.compared && !found.whole;
        engine_verify_free(verify);
        engine_model_free(model);
    }
}

static void parts_of_sound_models_pass(void **state)
{
    (void)state;
    for_all_cases(check_parts);
    assert_true(parts_compared > 40);
}

/* ---- Faults ------------------------------------------------------------------------------------------------------------------ */

static void (*sound_gemm)(const struct kernel_gemm *);

/* The last column of each product is a little too large. */
static void wrong_gemm(const struct kernel_gemm *g)
{
    sound_gemm(g);
    for (int i = 0; g->panel1 == g->weights->panels && i < g->m; i++)
        ((float *)g->c)[i * g->c_row + g->weights->n - 1] *= 1.02F;
}

static struct layer *first_weights(struct engine_model *model)
{
    for (int i = 0; i < model->layer_count; i++)
        if (model->layers[i].weights != NULL)
            return &model->layers[i];
    return NULL;
}

/* The values of the plan that the comparison will take lie on each other. */
static void spoil_plan(struct engine_model *model, int h, int w)
{
    struct infomask_error err = {0};
    struct plan *plan = NULL;

    assert_int_equal(plan_get(model, 2, h, w, false, false, &plan, &err), INFOMASK_OK);
    for (int i = 0; i < model->graph->tensor_count; i++)
        if (i != model->input && i != model->output && plan->values[i].region == REGION_LOCAL)
            plan->values[i].offset = 0;
    plan_release(model, plan);
}

static void faults_are_seen(void **state)
{
    enum { NONE, WEIGHTS, BIAS, PLAN, KERNEL, KINDS };
    static struct kernel_table wrong;
    (void)state;

    wrong = *kernels_get(KERNEL_REF);
    sound_gemm = wrong.gemm;
    wrong.gemm = wrong_gemm;
    for (int kind = NONE; kind < KINDS; kind++) {
        struct graph *graph = read_net("attention", 4, 5);
        struct engine_verify *verify = NULL;
        struct infomask_error err = {0};
        struct engine_model *model;
        assert_int_equal(engine_verify_begin(&verify, graph, kernels_get(KERNEL_REF), 4, 5, HUGE_VAL, &err), INFOMASK_OK);
        model = served(graph, kind == KERNEL ? &wrong : kernels_get(KERNEL_REF));
        if (kind == WEIGHTS)
            ((float *)first_weights(model)->weights->data)[0] += 0.5F;
        if (kind == BIAS)
            first_weights(model)->weights->bias[1] += 0.05F;
        if (kind == PLAN)
            spoil_plan(model, 4, 5);
        if (is_equal(verify, model) != (kind == NONE))
            fail_msg("fault %d", kind);
        engine_verify_free(verify);
        engine_model_free(model);
    }
}

static pthread_t the_test;

/* Right where the items run one after the other. */
static void wrong_gemm_elsewhere(const struct kernel_gemm *g)
{
    sound_gemm(g);
    if (!pthread_equal(pthread_self(), the_test))
        ((float *)g->c)[g->weights->n - 1] += 0.1F;
}

static void faults_of_threads_are_seen(void **state)
{
    static struct kernel_table wrong;
    (void)state;

    wrong = *kernels_get(KERNEL_REF);
    sound_gemm = wrong.gemm;
    wrong.gemm = wrong_gemm_elsewhere;
    the_test = pthread_self();
    for (int whole = 0; whole <= 1; whole++) {
        struct graph *graph = read_net("head_silu", 4, 5);
        struct engine_verify *verify = NULL;
        struct infomask_error err = {0};
        struct engine_model *model;
        assert_int_equal(engine_verify_begin(&verify, graph, kernels_get(KERNEL_REF), 4, 5, whole ? HUGE_VAL : 1e9, &err),
                         INFOMASK_OK);
        model = served(graph, &wrong);
        assert_true(is_equal(verify, model) == !whole);
        engine_verify_free(verify);
        engine_model_free(model);
    }
}

/* Six numbers, of which the layers make the first infinite (or so great that hardly anything is). */
static struct graph *net_with_infinity(float first, enum graph_function last)
{
    struct infomask_error err = {0};
    struct net net = net_new(3, 4);

    rng = random_stream(SEED, 0);
    (void)conv(&net, (struct conv){.c = 3, .m = 8, .k = 3, .pad = 1});
    pooled_head(&net, 8, 6);
    memcpy((void *)(uintptr_t)net.graph->tensors[net.graph->nodes[net.graph->node_count - 1].inputs[2]].data, &first, sizeof first);
    unary(&net, GRAPH_UNARY)->function = last;
    finish(&net);
    if (graph_infer_shapes(net.graph, &err))
        fail_msg("%s", err.text);
    return net.graph;
}

static struct kernel_weights *last_weights(struct engine_model *model)
{
    int i = model->layer_count - 1;

    while (model->layers[i].weights == NULL)
        i--;
    return model->layers[i].weights;
}

/* A number that is infinite hides no fault of the others, nor one of itself. */
static void faults_beside_infinite_outputs_are_seen(void **state)
{
    enum { NONE, OTHER, FINITE, KINDS };
    (void)state;

    for (int kind = NONE; kind < KINDS; kind++) {
        struct graph *graph = net_with_infinity(1e4F, GRAPH_EXP);
        struct engine_verify *verify = NULL;
        struct infomask_error err = {0};
        struct engine_verified found;
        struct engine_model *model;
        assert_int_equal(engine_verify_begin(&verify, graph, kernels_get(KERNEL_REF), 9, 9, 1e9, &err), INFOMASK_OK);
        model = served(graph, kernels_get(KERNEL_REF));
        if (kind == OTHER)
            last_weights(model)->bias[3] += 0.05F;
        if (kind == FINITE)
            last_weights(model)->bias[0] = 1;
        assert_int_equal(engine_verify_end(verify, model, &found, &err), INFOMASK_OK);
        assert_true(found.compared);
        if (found.equal != (kind == NONE))
            fail_msg("fault %d: %g", kind, found.error);
        engine_verify_free(verify);
        engine_model_free(model);
    }
}

/* The second picture is looked for where it is not: a number before its first. */
static void shift_second(struct engine_model *model, int h, int w)
{
    struct infomask_error err = {0};
    struct plan *plan = NULL;

    assert_int_equal(plan_get(model, 2, h, w, false, false, &plan, &err), INFOMASK_OK);
    plan->values[model->input].stride -= sizeof(float);
    plan_release(model, plan);
}

/* Products of as many rows as there are pictures, as the last layer's: all rows but the first are a little too large. */
static void wrong_second_gemm(const struct kernel_gemm *g)
{
    sound_gemm(g);
    for (int i = 1; g->m == 2 && i < g->m; i++)
        for (int j = 0; j < g->weights->n; j++)
            ((float *)g->c)[i * g->c_row + j] *= j % 2 == 0 ? 1.1F : 0.9F;
}

/* One picture (the cheaper comparison of a load, or all that there is memory for) cannot tell; two can. */
static void faults_of_the_second_picture_are_seen(void **state)
{
    enum { NONE, PLAN, KERNEL, KINDS };
    enum { ONE, TWO, NO_MEMORY_FOR_TWO, WAYS };
    static struct kernel_table wrong;
    (void)state;

    wrong = *kernels_get(KERNEL_REF);
    sound_gemm = wrong.gemm;
    wrong.gemm = wrong_second_gemm;
    for (int kind = NONE; kind < KINDS; kind++)
        for (int way = ONE; way < WAYS; way++) {
            struct graph *graph = read_net("head_silu", 4, 5);
            struct engine_verify *verify = NULL;
            struct infomask_error err = {0};
            struct engine_model *model;
            assert_int_equal(engine_verify_begin(&verify, graph, kernels_get(KERNEL_REF), 4, 5,
                                                 way == ONE ? 1e9 : HUGE_VAL, &err), INFOMASK_OK);
            model = served(graph, kind == KERNEL ? &wrong : kernels_get(KERNEL_REF));
            if (way == NO_MEMORY_FOR_TWO)
                model->options.arena_limit = engine_arena_bytes(model, 1, 4, 5, false);
            if (kind == PLAN)
                shift_second(model, 4, 5);
            if (is_equal(verify, model) != (kind == NONE || way != TWO))
                fail_msg("fault %d, way %d", kind, way);
            engine_verify_free(verify);
            engine_model_free(model);
        }
}

static void too_much_work_is_left_out(void **state)
{
    struct graph *graph = read_net("attention", 4, 5);
    struct engine_verify *verify = NULL;
    struct infomask_error err = {0};
    (void)state;

    assert_int_equal(engine_verify_begin(&verify, graph, kernels_get(KERNEL_REF), 4, 5, 1e-9, &err), INFOMASK_OK);
    assert_null(verify);
    graph_free(graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sound_models_pass), cmocka_unit_test(parts_of_sound_models_pass), cmocka_unit_test(faults_are_seen),
                                       cmocka_unit_test(faults_of_threads_are_seen),
                                       cmocka_unit_test(faults_beside_infinite_outputs_are_seen),
                                       cmocka_unit_test(faults_of_the_second_picture_are_seen),
                                       cmocka_unit_test(too_much_work_is_left_out)};

    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
