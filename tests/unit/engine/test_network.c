/* The default network on the golden inputs, for every table and precision: logits near those of an independent engine,
 * and the same bits for any number of threads.  Needs the model file (`make model`); says so and skips without it,
 * unless INFOMASK_TEST_MODEL=required.  INFOMASK_TEST_REPEATS: runs for each number of threads (default 5; every fourth
 * one is a batch). */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "core/base/pool.h"
#include "core/engine/internal.h"
#include "core/kernels/kernels.h"

#define MODEL "config/models/efficientnet-lite0/model.onnx"
#define GOLDEN "tests/data/golden/"
#define SIDE 224
#define INPUTS (3 * SIDE * SIDE)
#define CLASSES 1000

static const char *const photos[] = {"chelsea", "coffee", "rocket"};

static struct engine_model *load(const struct kernel_table *table, enum engine_precision precision)
{
    struct engine_options options = {.kernels = table, .precision = precision};
    struct engine_model *model = NULL;
    struct graph *graph = NULL;
    struct infomask_error err = {0};

    if (onnx_read(MODEL, NULL, &graph, &err) != INFOMASK_OK || graph_infer_shapes(graph, &err) != INFOMASK_OK ||
        graph_fold_constants(graph, &err) != INFOMASK_OK || graph_fuse(graph, &err) != INFOMASK_OK ||
        graph_prune(graph, &err) != INFOMASK_OK ||
        engine_model_create(&model, graph, &options, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return model;
}

static float *read_floats(const char *photo, const char *what, size_t n)
{
    char path[256];
    float *data = malloc(n * sizeof *data);
    FILE *file;

    (void)snprintf(path, sizeof path, GOLDEN "%s.%s.f32", photo, what);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_non_null(data);
    assert_int_equal(fread(data, sizeof *data, n, file), n);
    (void)fclose(file);
    return data;
}

static void put(const float *nchw, float *to)
{
    for (size_t c = 0; c < 3; c++)
        for (size_t p = 0; p < SIDE * SIDE; p++)
            to[p * 3 + c] = nchw[c * SIDE * SIDE + p];
}

static int need_model(void)
{
    const char *required = getenv("INFOMASK_TEST_MODEL");

    if (access(MODEL, R_OK) == 0)
        return 1;
    if (required != NULL && strcmp(required, "required") == 0)
        fail_msg("no " MODEL);
    print_message("no " MODEL ": run `make model` first\n");
    return 0;
}

/* What a precision may differ from the golden logits (whose spread is about 1.5). */
static double tolerance(enum engine_precision precision) { return precision == ENGINE_F32 ? 1e-4 : 0.15; }

static int best_class(const float *logits)
{
    int best = 0;
    for (int k = 1; k < CLASSES; k++)
        best = logits[k] > logits[best] ? k : best;
    return best;
}

static void check_photo(struct engine_session *session, const char *photo, bool taps)
{
    enum engine_precision precision = session->model->options.precision;
    float *x = read_floats(photo, "input", INPUTS), *want = read_floats(photo, "logits", CLASSES), *input = NULL;
    const float *got;
    double worst = 0;

    assert_int_equal(engine_prepare(session, 1, SIDE, SIDE, taps, &input, NULL), INFOMASK_OK);
    put(x, input);
    assert_int_equal(engine_run(session, NULL), INFOMASK_OK);
    got = engine_output(session);
    for (int k = 0; k < CLASSES; k++) {
        assert_true(isfinite(got[k]));
        worst = fmax(worst, fabs((double)got[k] - (double)want[k]));
    }
    print_message("%s %s, %s: largest difference %.2g\n", session->model->kernels->name,
                  engine_precision_name(precision), photo, worst);
    assert_true(worst < tolerance(precision));
    assert_int_equal(best_class(got), best_class(want));
    free(x);
    free(want);
}

static void check_logits(const struct kernel_table *table, enum engine_precision precision)
{
    struct engine_model *model = load(table, precision);
    struct engine_session *session = NULL;

    assert_int_equal(engine_session_create(&session, model, NULL, NULL), INFOMASK_OK);
    session->poison = true;
    assert_int_equal(engine_model_info(model)->outputs, CLASSES);
    assert_true(engine_model_info(model)->pooled_head);
    assert_int_equal(engine_model_info(model)->stride, 32);
    assert_int_equal(engine_model_info(model)->tap_count, 9);
    for (int i = 0; i < (table->isa == KERNEL_REF ? 1 : 3); i++) /* the readable kernels take their time */
        check_photo(session, photos[i], i == 1);
    engine_session_free(session);
    engine_model_free(model);
}

static void golden_logits(void **state)
{
    (void)state;
    if (!need_model())
        skip();
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *table = kernels_get((enum kernel_isa)isa);
        for (int p = 0; table != NULL && p < ENGINE_INT8; p++)
            if (engine_precision_check((enum engine_precision)p, table, NULL) == INFOMASK_OK)
                check_logits(table, (enum engine_precision)p);
    }
}

/* Alone, and every fourth time three at once.  Tables whose products' last bit depends on how they are cut give other
 * bits then, but always the same. */
static void check_bits(struct engine_session *session, float *const *x, long repeats, float *alone, float *batch,
                       bool first)
{
    bool any_batch = session->model->kernels->gemm_segments;

    for (long repeat = 0; repeat < repeats; repeat++) {
        float *input = NULL;
        int n = repeat % 4 == 3 ? 3 : 1;
        float *same = n == 3 ? batch : alone;
        size_t bytes = (size_t)n * CLASSES * sizeof *same;
        assert_int_equal(engine_prepare(session, n, SIDE, SIDE, repeat % 2, &input, NULL), INFOMASK_OK);
        for (int i = 0; i < n; i++)
            put(x[i], input + i * INPUTS);
        assert_int_equal(engine_run(session, NULL), INFOMASK_OK);
        if (first && (repeat == 0 || repeat == 3))
            memcpy(same, engine_output(session), bytes);
        assert_memory_equal(engine_output(session), same, bytes);
        if (any_batch && n == 3)
            assert_memory_equal(batch, alone, CLASSES * sizeof *same);
    }
}

static void check_threads(enum engine_precision precision, float *const *x, long repeats)
{
    static const int counts[] = {1, 2, 3, 8};
    struct engine_model *model = load(kernels_best(), precision);
    float alone[CLASSES], batch[3 * CLASSES];

    for (int c = 0; c < 4; c++) {
        struct pool *pool = NULL;
        struct engine_session *session = NULL;
        assert_int_equal(pool_create(&pool, counts[c], NULL, NULL, NULL), INFOMASK_OK);
        assert_int_equal(engine_session_create(&session, model, pool, NULL), INFOMASK_OK);
        check_bits(session, x, repeats, alone, batch, c == 0);
        engine_session_free(session);
        pool_free(pool);
    }
    engine_model_free(model);
}

static void threads_do_not_matter(void **state)
{
    long repeats = (long)test_number("INFOMASK_TEST_REPEATS", 5);
    float *x[3];
    (void)state;

    if (!need_model())
        skip();
    for (int i = 0; i < 3; i++)
        x[i] = read_floats(photos[i], "input", INPUTS);
    for (int p = 0; p < ENGINE_INT8; p++)
        if (engine_precision_check((enum engine_precision)p, kernels_best(), NULL) == INFOMASK_OK)
            check_threads((enum engine_precision)p, x, repeats);
    for (int i = 0; i < 3; i++)
        free(x[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(golden_logits), cmocka_unit_test(threads_do_not_matter)};
    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
