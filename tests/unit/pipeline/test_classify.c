/* From the photo's bytes to the numbers, with the real network: golden logits, priors, noise, batches. */
#include "test.h"

#include <math.h>

#include "core/infomask_lab.h"

#define MODEL "config/models/efficientnet-lite0/model.onnx"
#define CLASSES 1000

static const char *const names[] = {"chelsea", "coffee", "rocket"};
static const char *const photos[] = {"tests/data/photos/chelsea.png", "tests/data/photos/coffee.png",
                                     "tests/data/photos/rocket.jpg"};

struct fixture {
    struct infomask_model *model;
    struct infomask_session *session;
    struct pool *pool;
};

static void *read_file(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    char *bytes;

    if (file == NULL)
        fail_msg("%s is missing (make model fetches the network)", path);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    bytes = malloc(*size);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    assert_int_equal(fclose(file), 0);
    return bytes;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct infomask_model_spec spec = infomask_default_spec();
    struct infomask_error err = {0};

    spec.path = MODEL;
    spec.labels = CLASSES;
    spec.dropout = 0.2F;
    for (int i = 0; i < 3; i++) {
        spec.mean[i] = 127;
        spec.std[i] = 128;
    }
    if (infomask_model_load(&spec, &f->model, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    assert_int_equal(pool_create(&f->pool, 2, NULL, NULL, &err), INFOMASK_OK);
    assert_int_equal(infomask_session_create(f->model, f->pool, &f->session, &err), INFOMASK_OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    infomask_session_free(f->session);
    infomask_model_free(f->model);
    pool_free(f->pool);
    free(f);
    return 0;
}

static void classify(struct fixture *f, int photo, const struct infomask_classify_options *options,
                     struct infomask_classification *result)
{
    struct infomask_photo *opened;
    struct infomask_error err = {0};
    size_t size;
    void *bytes = read_file(photos[photo], &size);

    assert_int_equal(infomask_photo_open(bytes, size, NULL, &opened, &err), INFOMASK_OK);
    if (infomask_classify(f->session, opened, options, result, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    infomask_photo_close(opened);
    free(bytes);
}

static void logits_are_the_golden_ones(void **state)
{
    struct infomask_classify_options options = {.samples = 0};

    for (int p = 0; p < 3; p++) {
        struct infomask_classification result;
        char path[128];
        size_t size;
        (void)snprintf(path, sizeof path, "tests/data/golden/%s.logits.f32", names[p]);
        float *golden = read_file(path, &size);
        assert_int_equal(size, CLASSES * sizeof *golden);
        classify(*state, p, &options, &result);
        for (int i = 0; i < CLASSES; i++)
            assert_true(fabsf(result.logits[i] - golden[i]) < 1e-4F);
        infomask_classification_fini(&result);
        free(golden);
    }
}

static bool falls(const struct infomask_classification *r, int first, int second)
{
    double a = r->log_probability[first], b = r->log_probability[second];

    return a > b || (a >= b && first < second);
}

static void numbers_belong_together(void **state)
{
    struct infomask_classify_options options = {.samples = 0};
    struct infomask_classification r;
    double sum = 0, kl = 0, entropy = 0;

    classify(*state, 1, &options, &r);
    assert_int_equal(r.order[0], 967);
    assert_true(fabs(exp(r.log_probability[967]) - 0.951) < 0.01);
    for (int i = 0; i < CLASSES; i++) {
        double p = exp(r.log_probability[i]);
        sum += p;
        kl += p * r.pmi[i];
        entropy -= p * r.log_probability[i];
        assert_true(fabs(r.pmi[i] - r.log_probability[i] + r.log_prior[i]) < 1e-12);
        if (i > 0)
            assert_true(falls(&r, r.order[i - 1], r.order[i]));
    }
    assert_true(fabs(sum - 1) < 1e-9);
    assert_true(fabs(kl - r.information) < 1e-9);
    assert_true(fabs(entropy - r.entropy) < 1e-9);
    assert_true(fabs(r.prior_entropy - log(CLASSES)) < 1e-9);
    infomask_classification_fini(&r);
}

/* information.md A5: i_t(x;y) = i_s(x;y) - log sum_k t_k exp(i_s(x;k)) */
static void a_given_prior_moves_the_pmi(void **state)
{
    double t[CLASSES], sum = 0, normal = 0;
    struct infomask_classify_options options = {.samples = 0};
    struct infomask_classification trained, given;

    for (int i = 0; i < CLASSES; i++)
        sum += t[i] = 1.0 + i % 7;
    for (int i = 0; i < CLASSES; i++)
        t[i] /= sum;
    classify(*state, 0, &options, &trained);
    options.prior.kind = INFOMASK_PRIOR_GIVEN;
    options.prior.p = t;
    classify(*state, 0, &options, &given);
    for (int i = 0; i < CLASSES; i++)
        normal += t[i] * exp(trained.pmi[i]);
    for (int i = 0; i < CLASSES; i++)
        assert_true(fabs(given.pmi[i] - (trained.pmi[i] - log(normal))) < 1e-9);
    infomask_classification_fini(&trained);
    infomask_classification_fini(&given);
}

static void noise_is_seeded_and_sandwiches(void **state)
{
    struct infomask_classify_options options = {.samples = 16, .seed = 5};
    struct infomask_classification a, b;

    classify(*state, 2, &options, &a);
    classify(*state, 2, &options, &b);
    assert_int_equal(a.samples, 16);
    assert_memory_equal(a.noise_ls, b.noise_ls, CLASSES * sizeof(double));
    assert_true(fabs(a.noise_information[1] - a.noise_information[0] - a.model_information) < 1e-12);
    assert_true(a.model_information > 0 && a.model_information < log(16));
    for (int i = 0; i < CLASSES; i++)
        assert_true(a.noise_ls[i] >= a.noise_l1[i] - 1e-12);
    infomask_classification_fini(&b);
    options.seed = 6;
    classify(*state, 2, &options, &b);
    assert_memory_not_equal(a.noise_ls, b.noise_ls, CLASSES * sizeof(double));
    infomask_classification_fini(&a);
    infomask_classification_fini(&b);
}

/* E2: E L_1 <= E L_2 <= ... over the noise.  E L_1 is the same for every S, so what must rise is the mean of L_S - L_1,
 * here over seeds and labels; it grows like 1 - 1 / S. */
static void noise_bounds_rise_with_the_passes(void **state)
{
    static const int passes[] = {1, 2, 4, 16};
    double before = -1, gap = 0;

    for (size_t p = 0; p < sizeof passes / sizeof *passes; p++) {
        gap = 0;
        for (uint64_t seed = 0; seed < 6; seed++) {
            struct infomask_classify_options options = {.samples = passes[p], .seed = seed};
            struct infomask_classification result;
            classify(*state, 1, &options, &result);
            for (int i = 0; i < CLASSES; i++)
                gap += (result.noise_ls[i] - result.noise_l1[i]) / CLASSES / 6;
            infomask_classification_fini(&result);
        }
        assert_true(gap >= 0 && gap > 1.1 * before);
        before = gap;
    }
    assert_true(gap > 1e-3);
}

static void a_batch_gives_what_single_passes_give(void **state)
{
    struct fixture *f = *state;
    struct infomask_classify_options options = {.samples = 0};
    struct infomask_classification alone, results[11];
    struct infomask_photo *opened[11];
    struct infomask_error errors[11], err = {0};
    void *bytes[11];
    size_t size;

    for (int i = 0; i < 11; i++) { /* the tenth is cut short */
        bytes[i] = read_file(photos[i % 3], &size);
        assert_int_equal(infomask_photo_open(bytes[i], i == 9 ? size / 2 : size, NULL, &opened[i], &err), INFOMASK_OK);
    }
    assert_int_equal(infomask_classify_batch(f->session, opened, 11, &options, results, errors, &err), INFOMASK_OK);
    for (int i = 0; i < 11; i++) {
        if (i == 9) {
            assert_int_equal(errors[i].status, INFOMASK_BAD_IMAGE);
        } else {
            assert_int_equal(errors[i].status, INFOMASK_OK);
            classify(f, i % 3, &options, &alone);
            for (int c = 0; c < CLASSES; c++)
                assert_true(fabsf(alone.logits[c] - results[i].logits[c]) < 1e-5F);
            infomask_classification_fini(&alone);
        }
        infomask_classification_fini(&results[i]);
        infomask_photo_close(opened[i]);
        free(bytes[i]);
    }
}

static double mean_of(const struct infomask_cells *cells)
{
    double sum = 0;

    for (int i = 0; i < cells->rows * cells->columns; i++)
        sum += cells->values[i];
    return sum / (cells->rows * cells->columns);
}

/* F3: the cells' mean is the PMI, for the photo and for two copies of the golden input tensor */
static void cells_average_to_the_pmi(void **state)
{
    struct fixture *f = *state;
    struct infomask_classify_options options = {.samples = 0};
    struct infomask_classification photo, pair[2];
    struct infomask_cells cells, maps[2];
    struct infomask_photo *opened;
    struct infomask_error err = {0};
    size_t size, item;
    void *bytes = read_file(photos[0], &size);
    float *golden = read_file("tests/data/golden/chelsea.input.f32", &item), *twice = malloc(2 * item);

    assert_int_equal(infomask_photo_open(bytes, size, NULL, &opened, &err), INFOMASK_OK);
    assert_int_equal(infomask_classify_cells(f->session, opened, &options, -1, &photo, &cells, &err), INFOMASK_OK);
    assert_int_equal(cells.rows * cells.columns, 49);
    assert_int_equal(cells.target, photo.order[0]);
    assert_true(fabs(mean_of(&cells) - photo.pmi[cells.target]) < 1e-4);
    memcpy(twice, golden, item);
    memcpy((char *)twice + item, golden, item);
    assert_int_equal(infomask_classify_tensor(f->session, &(struct infomask_images){twice, 2, 224, 224}, &options, 285, pair, maps, &err),
                     INFOMASK_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(maps[i].target, 285);
        assert_true(fabs(mean_of(&maps[i]) - pair[i].pmi[285]) < 1e-4);
        for (int c = 0; c < CLASSES; c++)
            assert_true(fabsf(pair[i].logits[c] - photo.logits[c]) < 1e-4F);
        infomask_classification_fini(&pair[i]);
        infomask_cells_fini(&maps[i]);
    }
    infomask_classification_fini(&photo);
    infomask_cells_fini(&cells);
    infomask_photo_close(opened);
    free(bytes);
    free(golden);
    free(twice);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logits_are_the_golden_ones),     cmocka_unit_test(numbers_belong_together),
        cmocka_unit_test(a_given_prior_moves_the_pmi),    cmocka_unit_test(noise_is_seeded_and_sandwiches),
        cmocka_unit_test(noise_bounds_rise_with_the_passes),
        cmocka_unit_test(a_batch_gives_what_single_passes_give), cmocka_unit_test(cells_average_to_the_pmi),
    };
    return cmocka_run_group_tests_name("classify", tests, set_up, tear_down);
}
