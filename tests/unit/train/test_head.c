/* Linear heads: the optimum, what is held out, folds and copies, and the network that comes out. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "core/base/random.h"
#include "core/infomask_lab.h"
#include "core/train/head.h"

#define PHOTOS 240
#define FEATURES 12
#define CLASSES 3

struct set {
    float x[PHOTOS * FEATURES];
    uint32_t labels[PHOTOS];
    struct infomask_head_data data;
};

/* Class k is a normal around `distance` times the k-th axis; some classes are more frequent. */
static void draw(struct set *set, double distance, uint64_t seed)
{
    struct random_stream random = random_stream(seed, 0);

    for (size_t i = 0; i < PHOTOS; i++) {
        uint32_t u = random_below(&random, 6);
        set->labels[i] = i < 2 * CLASSES ? (uint32_t)i % CLASSES : u < 3 ? 0 : u < 5 ? 1 : 2;
        for (size_t j = 0; j < FEATURES; j++)
            set->x[i * FEATURES + j] = (float)(5 + 3 * (random_normal(&random) + (j == set->labels[i] ? distance : 0)));
    }
    set->data = (struct infomask_head_data){.photos = PHOTOS, .views = 1, .features = FEATURES, .classes = CLASSES,
                                            .x = set->x, .labels = set->labels};
}

static struct infomask_head fit(const struct set *set, bool pc_softmax, struct pool *pool)
{
    struct infomask_head head;
    struct infomask_error err;

    if (infomask_fit_head(&set->data, pc_softmax, 3, pool, &head, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return head;
}

/* log softmax(z + log prior)_y */
static double log_q(const float *z, const double *prior, uint32_t y)
{
    double sum = 0;

    for (size_t k = 0; k < CLASSES; k++)
        sum += (prior != NULL ? prior[k] : 1) * exp((double)z[k] - (double)z[y]);
    return log(prior != NULL ? prior[y] : 1) - log(sum);
}

static double held_out_information(const struct set *set, const struct infomask_head *head, const double *prior)
{
    double sum = 0;

    for (size_t i = 0; i < PHOTOS; i++)
        sum += log_q(head->held_out + i * CLASSES, prior, set->labels[i]) - log(head->prior[set->labels[i]]);
    return sum / PHOTOS;
}

static void the_optimum_has_no_slope(void **state)
{
    struct set *set = malloc(sizeof *set);
    struct head_rows rows;
    struct head_path path;
    const int strength = 5;
    double l2 = head_strengths[strength];

    (void)state;
    draw(set, 1, 1);
    assert_int_equal(head_rows_init(&rows, &set->data, 1, NULL), INFOMASK_OK);
    assert_int_equal(head_path_run(&path, &rows, 0, strength, strength, NULL), INFOMASK_OK);
    for (size_t k = 0; k < CLASSES; k++)
        for (size_t j = 0; j < FEATURES; j++) {
            double slope = l2 * path.point[k * FEATURES + j];
            for (size_t i = 0; i < PHOTOS; i++) {
                float z[CLASSES];
                for (size_t c = 0; c < CLASSES; c++) {
                    double sum = path.point[CLASSES * FEATURES + c];
                    for (size_t f = 0; f < FEATURES; f++)
                        sum += path.point[c * FEATURES + f] * (double)rows.x[i * FEATURES + f];
                    z[c] = (float)sum;
                }
                slope += (exp(log_q(z, NULL, (uint32_t)k)) - (rows.labels[i] == k)) * (double)rows.x[i * FEATURES + j] / PHOTOS;
            }
            assert_true(fabs(slope) < 1e-4);
        }
    head_path_fini(&path);
    head_rows_fini(&rows);
    free(set);
}

/* Three normals whose means are the corners of a simplex: with distance 2 about 0.6 of the 1.01 nats are there. */
static void information_is_found_where_it_is(void **state)
{
    struct set *set = malloc(sizeof *set);
    double found = 0, nothing = 0, entropy = 0;

    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct infomask_head head;
        draw(set, 2, seed);
        head = fit(set, false, NULL);
        found += held_out_information(set, &head, NULL) / 5;
        for (size_t k = 0; k < CLASSES; k++)
            entropy -= head.prior[k] * log(head.prior[k]) / 5;
        infomask_head_fini(&head);
        draw(set, 0, seed);
        head = fit(set, false, NULL);
        nothing += held_out_information(set, &head, NULL) / 5;
        infomask_head_fini(&head);
    }
    assert_true(found > 0.35 && found < entropy);
    assert_true(nothing < 0.01 && nothing > -0.05);
    free(set);
}

static void pc_softmax_moves_the_prior_out_of_the_logits(void **state)
{
    struct set *set = malloc(sizeof *set);
    struct infomask_head plain, pc;
    float a[CLASSES], b[CLASSES];

    (void)state;
    draw(set, 1, 4);
    plain = fit(set, false, NULL);
    pc = fit(set, true, NULL);
    assert_true(fabs(held_out_information(set, &plain, NULL) - held_out_information(set, &pc, pc.prior)) < 1e-5);
    for (size_t i = 0; i < PHOTOS; i++) {
        infomask_head_logits(&plain, set->x + i * FEATURES, a);
        infomask_head_logits(&pc, set->x + i * FEATURES, b);
        for (uint32_t y = 0; y < CLASSES; y++)
            assert_true(fabs(log_q(a, NULL, y) - log_q(b, pc.prior, y)) < 1e-4);
    }
    infomask_head_fini(&plain);
    infomask_head_fini(&pc);
    free(set);
}

static void threads_change_no_bit(void **state)
{
    struct set *set = malloc(sizeof *set);
    struct infomask_head one, three;
    struct pool *pool;

    (void)state;
    draw(set, 1, 2);
    assert_int_equal(pool_create(&pool, 3, NULL, NULL, NULL), INFOMASK_OK);
    one = fit(set, false, NULL);
    three = fit(set, false, pool);
    assert_memory_equal(one.w, three.w, CLASSES * FEATURES * sizeof(float));
    assert_memory_equal(one.b, three.b, CLASSES * sizeof(float));
    assert_memory_equal(one.held_out, three.held_out, PHOTOS * CLASSES * sizeof(float));
    infomask_head_fini(&one);
    infomask_head_fini(&three);
    pool_free(pool);
    free(set);
}

static void folds_are_stratified_and_keep_groups_together(void **state)
{
    struct set *set = malloc(sizeof *set);
    uint32_t groups[PHOTOS];
    int fold[PHOTOS], counts[HEAD_FOLDS][CLASSES] = {{0}};
    struct head_rows rows;

    (void)state;
    draw(set, 1, 6);
    for (uint32_t i = 0; i < PHOTOS; i++)
        groups[i] = i >= 200 ? i - 200 : i; /* the last 40 are copies of the first */
    set->data.groups = groups;
    assert_int_equal(head_rows_init(&rows, &set->data, 9, NULL), INFOMASK_OK);
    for (int f = 0; f < rows.folds; f++)
        for (size_t i = rows.first[f]; i < rows.first[f + 1]; i++) {
            fold[rows.photo[i]] = f;
            counts[f][rows.labels[i]]++;
            assert_int_equal(rows.labels[i], set->labels[rows.photo[i]]);
        }
    for (uint32_t i = 200; i < PHOTOS; i++)
        assert_int_equal(fold[i], fold[groups[i]]);
    head_rows_fini(&rows);
    set->data.groups = NULL;
    memset(counts, 0, sizeof counts);
    assert_int_equal(head_rows_init(&rows, &set->data, 9, NULL), INFOMASK_OK);
    for (int f = 0; f < rows.folds; f++)
        for (size_t i = rows.first[f]; i < rows.first[f + 1]; i++)
            counts[f][rows.labels[i]]++;
    for (int k = 0; k < CLASSES; k++)
        for (int f = 1; f < rows.folds; f++)
            assert_true(abs(counts[f][k] - counts[0][k]) <= 1);
    head_rows_fini(&rows);
    free(set);
}

static void too_little_is_refused(void **state)
{
    struct set *set = malloc(sizeof *set);
    struct infomask_head head;
    struct infomask_error err;

    (void)state;
    draw(set, 1, 1);
    set->data.photos = 9;
    assert_int_equal(infomask_fit_head(&set->data, false, 0, NULL, &head, &err), INFOMASK_ARGUMENT);
    set->data.photos = PHOTOS;
    for (size_t i = 0; i < PHOTOS; i++)
        set->labels[i] = i == 7;
    assert_int_equal(infomask_fit_head(&set->data, false, 0, NULL, &head, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "class 1 has 1 photo;"));
    draw(set, 1, 1);
    set->x[17] = NAN;
    assert_int_equal(infomask_fit_head(&set->data, false, 0, NULL, &head, &err), INFOMASK_BAD_DATA);
    free(set);
}

static void copies_are_found(void **state)
{
    struct set *set = malloc(sizeof *set);
    uint32_t one[PHOTOS], two[PHOTOS];
    struct pool *pool;
    const struct infomask_feature_rows rows = {set->x, PHOTOS, FEATURES, FEATURES};

    (void)state;
    draw(set, 1, 8);
    for (size_t j = 0; j < FEATURES; j++) { /* 150 and 200 are nearly 3, by way of each other */
        set->x[150 * FEATURES + j] = set->x[3 * FEATURES + j] * 1.002f;
        set->x[200 * FEATURES + j] = set->x[150 * FEATURES + j] + 0.01f;
    }
    assert_int_equal(pool_create(&pool, 2, NULL, NULL, NULL), INFOMASK_OK);
    assert_int_equal(infomask_find_copies(&rows, 0.9999, NULL, one, NULL), INFOMASK_OK);
    assert_int_equal(infomask_find_copies(&rows, 0.9999, pool, two, NULL), INFOMASK_OK);
    assert_memory_equal(one, two, sizeof one);
    for (uint32_t i = 0; i < PHOTOS; i++)
        assert_int_equal(one[i], i == 150 || i == 200 ? 3 : i);
    pool_free(pool);
    free(set);
}

/* ---- The network that comes out ------------------------------------------------------------------------------------ */

static struct infomask_model *load(const char *path)
{
    struct infomask_model_spec spec = infomask_default_spec();
    struct infomask_model *model;
    struct infomask_error err;

    spec.path = path;
    spec.width = spec.height = 28;
    spec.color = INFOMASK_GRAY;
    spec.std[0] = 255;
    if (infomask_model_load(&spec, &model, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return model;
}

static void run(struct infomask_model *model, const float *image, float *output)
{
    struct infomask_session *session;

    assert_int_equal(infomask_session_create(model, NULL, &session, NULL), INFOMASK_OK);
    assert_int_equal(infomask_run(session, &(struct infomask_images){image, 1, 28, 28}, output, NULL), INFOMASK_OK);
    infomask_session_free(session);
}

/* With the identity as its head, the network's output is its features. */
static void the_new_head_sits_on_the_old_features(void **state)
{
    char path[64];
    struct infomask_model *digits = load("config/models/digits/model.onnx"), *seen, *taught;
    size_t f = infomask_model_info(digits)->features;
    struct infomask_head identity = {.features = f, .classes = f}, head = {.features = f, .classes = 3};
    struct random_stream random = random_stream(2, 2);
    float image[28 * 28], *features = malloc(f * sizeof *features), z[3], expected[3];

    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/infomask-test-head-%ld.onnx", (long)getpid());
    assert_int_equal(f, 96);
    identity.w = calloc(f * f, sizeof(float));
    identity.b = calloc(f, sizeof(float));
    head.w = malloc(3 * f * sizeof(float));
    head.b = malloc(3 * sizeof(float));
    for (size_t i = 0; i < f; i++)
        identity.w[i * f + i] = 1;
    for (size_t i = 0; i < 3 * f; i++)
        head.w[i] = (float)random_normal(&random);
    for (size_t i = 0; i < 3; i++)
        head.b[i] = (float)random_normal(&random);
    for (size_t i = 0; i < 28 * 28; i++)
        image[i] = (float)random_unit(&random);
    assert_int_equal(infomask_write_head("config/models/digits/model.onnx", NULL, &identity, path, NULL), INFOMASK_OK);
    seen = load(path);
    run(seen, image, features);
    assert_int_equal(infomask_write_head("config/models/digits/model.onnx", NULL, &head, path, NULL), INFOMASK_OK);
    taught = load(path);
    assert_int_equal(infomask_model_info(taught)->classes, 3);
    assert_true(infomask_model_info(taught)->class_map);
    run(taught, image, z);
    infomask_head_logits(&head, features, expected);
    for (int i = 0; i < 3; i++)
        assert_true(fabs((double)z[i] - (double)expected[i]) < 1e-4);
    infomask_model_free(digits);
    infomask_model_free(seen);
    infomask_model_free(taught);
    infomask_head_fini(&identity);
    infomask_head_fini(&head);
    free(features);
    (void)unlink(path);
}

static void another_width_of_features_is_refused(void **state)
{
    float w[2 * 95] = {0}, b[2] = {0};
    struct infomask_head head = {.features = 95, .classes = 2, .w = w, .b = b};
    struct infomask_error err;

    (void)state;
    assert_int_equal(infomask_write_head("config/models/digits/model.onnx", NULL, &head, "/tmp/infomask-never.onnx", &err),
                     INFOMASK_NO_CLASS_MAP);
    assert_non_null(strstr(err.text, "95 features"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_optimum_has_no_slope),
        cmocka_unit_test(information_is_found_where_it_is),
        cmocka_unit_test(pc_softmax_moves_the_prior_out_of_the_logits),
        cmocka_unit_test(threads_change_no_bit),
        cmocka_unit_test(folds_are_stratified_and_keep_groups_together),
        cmocka_unit_test(too_little_is_refused),
        cmocka_unit_test(copies_are_found),
        cmocka_unit_test(the_new_head_sits_on_the_old_features),
        cmocka_unit_test(another_width_of_features_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
