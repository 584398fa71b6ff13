/* Quantising a small network: better than plain rounding, the same bits for any number of threads, the engine's int8
 * runs against the reference kernels, and a file of weights of which every damaged byte is noticed. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "core/base/random.h"
#include "core/kernels/kernels.h"
#include "core/quant/quant.h"

#define SIDE 61
#define CLASSES 7
#define PIXELS ((size_t)SIDE * SIDE * 3)
#define PICTURES 24
#define SHA "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* ---- a network of everything that matters: stem, inverted residual block, dense 3x3 behind ReLU, SiLU ------------- */

static int constant(struct graph *graph, struct random_stream *rng, int rank, const int64_t *dims, double bound)
{
    size_t n = 1;
    float *data;

    for (int i = 0; i < rank; i++)
        n *= (size_t)dims[i];
    data = malloc(n * sizeof *data);
    assert_non_null(data);
    for (size_t i = 0; i < n; i++)
        data[i] = (float)(bound * (2 * random_unit(rng) - 1));
    return graph_add_tensor(graph, NULL, rank, dims, data, true);
}

struct conv {
    const char *name;
    int c, m, k, stride, groups, residual;
    enum graph_activation activation;
    float high;
};

static int add_conv(struct graph *graph, struct random_stream *rng, int x, struct conv v)
{
    static const int64_t any[4] = {-1, -1, -1, -1};
    const int64_t dims[4] = {v.m, v.c / v.groups, v.k, v.k}, m = v.m;
    int inputs[4] = {x, constant(graph, rng, 4, dims, 2.2 / sqrt((double)v.c / v.groups * v.k * v.k)),
                     constant(graph, rng, 1, &m, .5), v.residual};
    int y = graph_add_tensor(graph, v.name, 4, any, NULL, false);
    int at = graph_add_node(graph, GRAPH_CONV, v.name, inputs, v.residual >= 0 ? 4 : 3, y);
    struct graph_node *node = &graph->nodes[at];

    node->window.kernel_h = node->window.kernel_w = v.k;
    node->window.stride_h = node->window.stride_w = v.stride;
    node->window.pad_top = node->window.pad_left = node->window.pad_bottom = node->window.pad_right = v.k / 2;
    node->window.groups = v.groups;
    node->activation = v.activation;
    node->low = 0;
    node->high = v.high;
    return y;
}

static void add_head(struct graph *graph, struct random_stream *rng, int x, int channels)
{
    static const int64_t any[2] = {-1, -1};
    const int64_t dims[2] = {CLASSES, channels}, classes = CLASSES;
    int pooled = graph_add_tensor(graph, "pooled", 2, any, NULL, false), inputs[3] = {pooled, 0, 0};

    assert_true(graph_add_node(graph, GRAPH_GLOBAL_AVERAGE, "pool", &x, 1, pooled) >= 0);
    inputs[1] = constant(graph, rng, 2, dims, 1);
    inputs[2] = constant(graph, rng, 1, &classes, 1);
    graph->outputs = malloc(sizeof *graph->outputs);
    assert_non_null(graph->outputs);
    graph->outputs[0] = graph_add_tensor(graph, "logits", 2, any, NULL, false);
    graph->output_count = 1;
    assert_true(graph_add_node(graph, GRAPH_LINEAR, "head", inputs, 3, graph->outputs[0]) >= 0);
}

static enum infomask_status build(void *context, struct graph **out, struct infomask_error *err)
{
    static const int64_t input[4] = {-1, 3, -1, -1};
    struct random_stream rng = random_stream(11, 0);
    struct graph *graph = graph_create();
    int stem, x;

    (void)context;
    (void)err;
    assert_non_null(graph);
    graph->input = graph_add_tensor(graph, "input", 4, input, NULL, false);
    stem = add_conv(graph, &rng, graph->input, (struct conv){"stem", 3, 12, 3, 1, 1, -1, GRAPH_CLAMP, 6});
    x = add_conv(graph, &rng, stem, (struct conv){"expand", 12, 40, 1, 1, 1, -1, GRAPH_CLAMP, 6});
    x = add_conv(graph, &rng, x, (struct conv){"depthwise", 40, 40, 5, 1, 40, -1, GRAPH_CLAMP, 6});
    x = add_conv(graph, &rng, x, (struct conv){"project", 40, 12, 1, 1, 1, stem, GRAPH_LINEAR_ACTIVATION, 0});
    x = add_conv(graph, &rng, x, (struct conv){"dense", 12, 24, 3, 2, 1, -1, GRAPH_CLAMP, INFINITY});
    x = add_conv(graph, &rng, x, (struct conv){"point", 24, 36, 1, 1, 1, -1, GRAPH_CLAMP, INFINITY});
    x = add_conv(graph, &rng, x, (struct conv){"silu", 36, 20, 1, 1, 1, -1, GRAPH_SILU, 0});
    add_head(graph, &rng, x, 20);
    *out = graph;
    return INFOMASK_OK;
}

/* Waves: pictures whose neighbouring pixels agree, as photos' do. */
static float *pictures(int count, uint64_t seed)
{
    struct random_stream rng = random_stream(seed, 1);
    float *p = calloc((size_t)count * PIXELS, sizeof *p);

    assert_non_null(p);
    for (size_t i = 0; i < (size_t)count; i++) {
        for (int wave = 0; wave < 4; wave++) {
            double a = random_unit(&rng) * .4, b = random_unit(&rng) * .4, phase[3];
            for (int c = 0; c < 3; c++)
                phase[c] = 7 * random_unit(&rng);
            for (size_t at = 0; at < PIXELS; at++)
                p[i * PIXELS + at] += (float)(.24 * sin(a * (double)(at / 3 % SIDE) + b * (double)(at / 3 / SIDE) +
                                                        phase[at % 3]));
        }
    }
    return p;
}

static struct quant *quantise(const struct quant_options *changes, int threads)
{
    float *seen = pictures(PICTURES, 5);
    struct quant_options options = *changes;
    struct infomask_error err = {0};
    struct quant *quant = NULL;

    options.graph = build;
    options.pictures = seen;
    options.count = PICTURES;
    options.h = options.w = SIDE;
    options.input_low = -1;
    options.input_high = 1;
    if (threads > 0)
        assert_int_equal(pool_create(&options.pool, threads, NULL, NULL, &err), INFOMASK_OK);
    if (quant_make(&options, &quant, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    pool_free(options.pool);
    free(seen);
    (void)snprintf(quant->model, sizeof quant->model, "%s", SHA);
    return quant;
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static struct engine_model *model_with(const struct quant *quant, const struct kernel_table *kernels, bool apart)
{
    struct engine_options options = {.kernels = kernels, .precision = quant != NULL ? ENGINE_INT8 : ENGINE_F32,
                                     .int8 = quant != NULL ? &quant->int8 : NULL, .apart = apart};
    struct engine_model *model = NULL;
    struct infomask_error err = {0};
    struct graph *graph = NULL;

    assert_int_equal(build(NULL, &graph, &err), INFOMASK_OK);
    if (engine_model_create(&model, graph, &options, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return model;
}

static struct engine_model *model_of(const struct quant *quant, const struct kernel_table *kernels)
{
    return model_with(quant, kernels, false);
}

/* Logits [count, CLASSES] of pictures in one batch. */
static void run(struct engine_model *model, struct pool *pool, const float *x, int count, float *logits)
{
    struct engine_session *session = NULL;
    struct infomask_error err = {0};
    float *input = NULL;

    assert_int_equal(engine_session_create(&session, model, pool, &err), INFOMASK_OK);
    assert_int_equal(engine_prepare(session, count, SIDE, SIDE, false, &input, &err), INFOMASK_OK);
    memcpy(input, x, (size_t)count * PIXELS * sizeof *input);
    assert_int_equal(engine_run(session, &err), INFOMASK_OK);
    memcpy(logits, engine_output(session), (size_t)count * CLASSES * sizeof *logits);
    engine_session_free(session);
}

#define HELD_OUT 8

struct outputs {
    float exact[HELD_OUT * CLASSES], rounded[HELD_OUT * CLASSES];
};

static double rms(const float *a, const float *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / n);
}

/* Root mean square error of the quantised network's logits. */
static double error_of(const struct quant *quant, const struct kernel_table *kernels)
{
    struct engine_model *exact = model_of(NULL, kernels), *rounded = model_of(quant, kernels);
    float *x = pictures(HELD_OUT, 99);
    struct outputs y;

    run(exact, NULL, x, HELD_OUT, y.exact);
    run(rounded, NULL, x, HELD_OUT, y.rounded);
    engine_model_free(exact);
    engine_model_free(rounded);
    free(x);
    return rms(y.exact, y.rounded, HELD_OUT * CLASSES);
}

static bool has_int8(const struct kernel_table *kernels)
{
    return kernels != NULL && engine_precision_check(ENGINE_INT8, kernels, NULL) == INFOMASK_OK;
}

/* ---- tests ------------------------------------------------------------------------------------------------------- */

static void recipe_beats_rounding(void **state)
{
    struct quant *careful, *plain;
    double error, plain_error;
    (void)state;
    if (!has_int8(kernels_best()))
        skip();
    careful = quantise(&(struct quant_options){0}, 2);
    plain = quantise(&(struct quant_options){.nearest = true}, 2);
    error = error_of(careful, NULL);
    plain_error = error_of(plain, NULL);
    print_message("rms error of the logits %.5f, rounded to nearest %.5f\n", error, plain_error);
    assert_true(error > 0 && error < .75 * plain_error);
    assert_int_equal(careful->int8.count, 6); /* all but the depthwise convolution and the head */
    assert_string_equal(careful->int8.layers[0].tensor, "stem");
    assert_true(careful->int8.layers[0].x_scale == 2.0f / 255);
    assert_true(careful->int8.layers[2].x_scale == 6.0f / 255 && careful->int8.layers[2].x_zero == 0);
    quant_free(careful);
    quant_free(plain);
}

static void same_layers(const struct engine_int8 *a, const struct engine_int8 *b)
{
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const struct engine_int8_layer *x = &a->layers[i], *y = &b->layers[i];
        size_t n = (size_t)x->n;
        assert_string_equal(x->tensor, y->tensor);
        assert_int_equal(x->bf16, y->bf16);
        assert_int_equal(x->n, y->n);
        assert_int_equal(x->k, y->k);
        if (x->bf16)
            continue;
        assert_int_equal(x->x_zero, y->x_zero);
        assert_memory_equal(&x->x_scale, &y->x_scale, sizeof x->x_scale);
        assert_memory_equal(x->w, y->w, n * (size_t)x->k);
        assert_memory_equal(x->scale, y->scale, n * sizeof *x->scale);
        assert_memory_equal(x->bias, y->bias, n * sizeof *x->bias);
    }
}

static void any_threads_same_bits(void **state)
{
    static const int threads[] = {1, 2, 3, 8};
    struct quant *alone;
    (void)state;
    if (!has_int8(kernels_best()))
        skip();
    alone = quantise(&(struct quant_options){0}, 0);
    for (int i = 0; i < 4; i++) {
        struct quant *other = quantise(&(struct quant_options){0}, threads[i]);
        same_layers(&alone->int8, &other->int8);
        quant_free(other);
    }
    quant_free(alone);
}

/* The largest sum of a pair of weights, over the layers that are deeper than wide or the others. */
static int largest_pair(const struct quant *quant, bool deep)
{
    int largest = 0;

    for (int i = 0; i < quant->int8.count; i++) {
        const struct engine_int8_layer *layer = &quant->int8.layers[i];
        for (int at = 0; at < layer->n * layer->k && (layer->k > layer->n) == deep; at++) {
            int sum = at % layer->k % 2 != 0 ? abs(layer->w[at - 1] + layer->w[at]) : 0;
            largest = sum > largest ? sum : largest;
        }
    }
    return largest;
}

/* Where the multiplying is what takes long, pairs are what AVX2 can sum in 16 bits. */
static void pairs_fit(void **state)
{
    (void)state;
    for (int nearest = 0; nearest < 2; nearest++) {
        struct quant *quant =
            quantise(&(struct quant_options){.kernels = kernels_get(KERNEL_REF), .nearest = nearest != 0}, 2);
        assert_in_range(largest_pair(quant, true), 64, 128);
        assert_true(largest_pair(quant, false) > 128);
        quant_free(quant);
    }
}

/* Every table gives what the reference gives, but for values that lie on the edge of two steps. */
static void tables_agree(void **state)
{
    struct quant *quant;
    float *x = pictures(HELD_OUT, 99), right[HELD_OUT * CLASSES], y[HELD_OUT * CLASSES];
    struct engine_model *model;
    (void)state;
    quant = quantise(&(struct quant_options){.kernels = kernels_get(KERNEL_REF), .nearest = true}, 1);
    model = model_of(quant, kernels_get(KERNEL_REF));
    run(model, NULL, x, HELD_OUT, right);
    engine_model_free(model);
    for (int isa = KERNEL_BLAS; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *kernels = kernels_get((enum kernel_isa)isa);
        if (!has_int8(kernels))
            continue;
        model = model_of(quant, kernels);
        run(model, NULL, x, HELD_OUT, y);
        engine_model_free(model);
        print_message("%s: %.6f from the reference, which is %.6f from float32\n", kernels->name,
                      rms(right, y, HELD_OUT * CLASSES), error_of(quant, kernels));
        assert_true(rms(right, y, HELD_OUT * CLASSES) < .1 * error_of(quant, kernels));
    }
    quant_free(quant);
    free(x);
}

static struct engine_verified verify(const struct quant *quant, const struct kernel_table *kernels,
                                     const struct quant *right)
{
    struct engine_model *model = model_of(quant, kernels), *reference = model_of(right, kernels_get(KERNEL_REF));
    struct engine_verified found;
    struct infomask_error err = {0};

    if (engine_verify_int8(model, reference, SIDE, SIDE, true, &found, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    engine_model_free(reference);
    engine_model_free(model);
    assert_true(found.compared && found.whole);
    return found;
}

/* The comparison of models check: equal on every table; a layer whose steps are a fifth wider is seen. */
static void a_wrong_scale_is_seen(void **state)
{
    struct quant *quant = quantise(&(struct quant_options){.kernels = kernels_get(KERNEL_REF), .nearest = true}, 1);
    struct quant wrong = *quant;
    struct engine_int8_layer layers[16];
    float scale[512];
    int at = quant->int8.count / 2;
    (void)state;

    assert_true(quant->int8.count <= 16 && !quant->int8.layers[at].bf16 && quant->int8.layers[at].n <= 512);
    memcpy(layers, quant->int8.layers, (size_t)quant->int8.count * sizeof *layers);
    for (int i = 0; i < layers[at].n; i++)
        scale[i] = 1.2F * layers[at].scale[i];
    layers[at].scale = scale;
    wrong.int8.layers = layers;
    for (int isa = 0; isa < KERNEL_ISAS; isa++) {
        const struct kernel_table *kernels = kernels_get((enum kernel_isa)isa);
        if (!has_int8(kernels))
            continue;
        struct engine_verified right = verify(quant, kernels, quant), differs = verify(&wrong, kernels, quant);
        print_message("%s: %.2g, and with a wrong scale %.2g (at most %g)\n", kernels->name, right.error, differs.error,
                      right.most);
        assert_true(right.equal && !differs.equal);
    }
    quant_free(quant);
}

/* Batches, threads and steps that run together or apart: the same bits. */
static void runs_are_the_same_bits(void **state)
{
    float *x = pictures(HELD_OUT, 98), right[HELD_OUT * CLASSES], y[HELD_OUT * CLASSES];
    struct infomask_error err = {0};
    struct engine_model *model;
    struct quant *quant;
    (void)state;
    if (!has_int8(kernels_best()))
        skip();
    quant = quantise(&(struct quant_options){.nearest = true}, 1);
    model = model_of(quant, NULL);
    run(model, NULL, x, HELD_OUT, right);
    for (int i = 0; i < HELD_OUT; i++)
        run(model, NULL, x + (size_t)i * PIXELS, 1, y + i * CLASSES);
    assert_memory_equal(right, y, sizeof y);
    for (int threads = 1; threads <= 3; threads++) {
        struct pool *pool = NULL;
        assert_int_equal(pool_create(&pool, threads, NULL, NULL, &err), INFOMASK_OK);
        for (int repeat = 0; repeat < 5; repeat++) {
            run(model, pool, x, HELD_OUT, y);
            assert_memory_equal(right, y, sizeof y);
            run(model, pool, x, 1, y);
            assert_memory_equal(right, y, CLASSES * sizeof *y);
        }
        pool_free(pool);
    }
    engine_model_free(model);
    model = model_with(quant, NULL, true);
    run(model, NULL, x, HELD_OUT, y);
    assert_memory_equal(right, y, sizeof y);
    engine_model_free(model);
    quant_free(quant);
    free(x);
}

static void layers_can_be_kept(void **state)
{
    static const char *const keep[] = {"dense", "stem"}, *const wrong[] = {"depthwise"};
    struct quant_options options = {.keep = wrong, .keep_count = 1, .graph = build, .count = 1, .h = SIDE, .w = SIDE};
    float *x = pictures(1, 3);
    struct infomask_error err = {0};
    struct quant *quant, *none = NULL;
    (void)state;
    if (!has_int8(kernels_best()))
        skip();
    quant = quantise(&(struct quant_options){.keep = keep, .keep_count = 2}, 1);
    assert_true(quant->int8.layers[0].bf16 && quant->int8.layers[3].bf16 && !quant->int8.layers[1].bf16);
    assert_true(error_of(quant, NULL) < 1);
    quant_free(quant);
    options.pictures = x;
    assert_int_equal(quant_make(&options, &none, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "depthwise"));
    free(x);
}

/* ---- the file ---------------------------------------------------------------------------------------------------- */

static unsigned char *written(const struct quant *quant, char *path, size_t *size)
{
    struct infomask_error err = {0};
    unsigned char *bytes;
    FILE *file;

    (void)snprintf(path, 64, "/tmp/test_quant.%ld", (long)getpid());
    if (quant_write(quant, path, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    (void)fclose(file);
    return bytes;
}

static void expect_bad(const void *bytes, size_t size, const char *model)
{
    struct infomask_error err = {0};
    struct quant *quant = NULL;
    assert_int_equal(quant_read_bytes(bytes, size, model, &quant, &err), INFOMASK_BAD_MODEL);
    assert_true(err.text[0] != '\0' && quant == NULL);
}

/* The right digest over whatever the bytes hold now: what is behind it must be checked as well. */
static void sign(unsigned char *bytes, size_t size)
{
    char hex[SHA256_HEX];
    sha256_bytes(bytes + 80, size - 80, hex);
    memcpy(bytes + 16, hex, 64);
}

static void file_comes_back(void **state)
{
    static const char *const keep[] = {"dense"};
    struct infomask_error err = {0};
    struct quant *quant, *back = NULL;
    char path[64];
    size_t size;
    (void)state;
    quant = quantise(&(struct quant_options){.kernels = kernels_get(KERNEL_REF), .nearest = true, .keep = keep,
                                             .keep_count = 1}, 1);
    free(written(quant, path, &size));
    assert_int_equal(quant_read(path, SHA, &back, &err), INFOMASK_OK);
    same_layers(&quant->int8, &back->int8);
    assert_string_equal(back->model, SHA);
    quant_free(back);
    (void)remove(path);
    assert_int_equal(quant_read(path, SHA, &back, &err), INFOMASK_IO);
    quant_free(quant);
}

static void damage_is_noticed(void **state)
{
    struct random_stream rng = random_stream(1, 2);
    struct infomask_error err = {0};
    struct quant *quant, *back;
    char path[64], other[] = SHA;
    unsigned char *bytes;
    size_t size;
    (void)state;
    quant = quantise(&(struct quant_options){.kernels = kernels_get(KERNEL_REF), .nearest = true}, 1);
    bytes = written(quant, path, &size);
    (void)remove(path);
    other[63] = '0';
    expect_bad(bytes, size, other);
    for (int i = 0; i < 500; i++) { /* a byte, the end, and both with a digest that fits */
        size_t at = i < 200 ? (size_t)i : random_below(&rng, (uint32_t)size), cut = random_below(&rng, (uint32_t)size);
        unsigned char was = bytes[at];
        bytes[at] = (unsigned char)(was + 1 + random_below(&rng, 255));
        expect_bad(bytes, size, NULL);
        if (at >= 80) {
            sign(bytes, size);
            back = NULL;
            if (quant_read_bytes(bytes, size, NULL, &back, &err) == INFOMASK_OK)
                quant_free(back); /* another weight is a weight as well */
        }
        bytes[at] = was;
        sign(bytes, size);
        expect_bad(bytes, cut, NULL);
        if (cut >= 144) {
            sign(bytes, cut);
            expect_bad(bytes, cut, NULL);
            sign(bytes, size);
        }
    }
    assert_int_equal(quant_read_bytes(bytes, size, SHA, &back, &err), INFOMASK_OK);
    quant_free(back);
    free(bytes);
    quant_free(quant);
}

/* Weights for another network of the same names are refused by the engine. */
static void misfits_are_refused(void **state)
{
    struct engine_int8_layer layers[2] = {{.tensor = "stem", .bf16 = true}, {.tensor = "nobody", .bf16 = true}};
    struct engine_int8 int8 = {layers, 2};
    struct engine_options options = {.kernels = kernels_get(KERNEL_REF), .precision = ENGINE_INT8, .int8 = &int8};
    struct engine_model *model = NULL;
    struct infomask_error err = {0};
    struct graph *graph = NULL;
    (void)state;
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            layers[1] = (struct engine_int8_layer){.tensor = "expand", .n = 40, .k = 11};
        if (i == 2)
            layers[1] = (struct engine_int8_layer){.tensor = "depthwise", .bf16 = true};
        assert_int_equal(build(NULL, &graph, &err), INFOMASK_OK);
        assert_int_equal(engine_model_create(&model, graph, &options, &err), INFOMASK_BAD_MODEL);
        assert_non_null(strstr(err.text, layers[1].tensor));
    }
    options.int8 = NULL;
    assert_int_equal(build(NULL, &graph, &err), INFOMASK_OK);
    assert_int_equal(engine_model_create(&model, graph, &options, &err), INFOMASK_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recipe_beats_rounding),  cmocka_unit_test(any_threads_same_bits),
        cmocka_unit_test(pairs_fit),
        cmocka_unit_test(tables_agree),           cmocka_unit_test(runs_are_the_same_bits),
        cmocka_unit_test(layers_can_be_kept),     cmocka_unit_test(file_comes_back),
        cmocka_unit_test(damage_is_noticed),      cmocka_unit_test(misfits_are_refused),
        cmocka_unit_test(a_wrong_scale_is_seen),
    };
    kernels_warm_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
