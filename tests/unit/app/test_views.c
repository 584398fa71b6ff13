#include "test.h"

#include <math.h>

#include "scratch.h"
#include "app/view/views.h"
#include "core/base/clock.h"

struct fixture {
    char *folder;
    struct models *models;
    struct model *model;
};

static int open_fixture(void **state)
{
    struct model_options options = {.isa = "ref"};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    void *folder = NULL;
    if (fixture == NULL || scratch_make(&folder) != 0)
        return -1;
    fixture->folder = folder;
    scratch_model(folder, "m");
    *state = fixture;
    if (models_create(folder, "", &options, &fixture->models, NULL) != INFOMASK_OK)
        return -1;
    fixture->model = models_get(fixture->models, NULL, NULL);
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *fixture = *state;
    void *folder = fixture->folder;
    model_release(fixture->model);
    models_free(fixture->models);
    free(fixture);
    return scratch_remove(&folder);
}

static const struct infomask_photo_info photo = {.format = "png", .width = 4, .height = 3, .orientation = 6};

static struct view_head head_of(const struct fixture *fixture, enum view_units units)
{
    return (struct view_head){.request_id = "id", .model = fixture->model, .image = &photo, .units = units,
                              .prior = "train", .started_ms = clock_ms()};
}

/* p falls by halves over ten classes, class 9 first; information and noise are made up */
struct sample {
    struct infomask_classification c;
    double log_probability[10], pmi[10], log_prior[10], l1[10], ls[10];
    int order[10];
};

static void fill_sample(struct sample *sample)
{
    *sample = (struct sample){0};
    for (int y = 0; y < 10; y++) {
        sample->log_prior[y] = log(0.1);
        sample->log_probability[9 - y] = -log(2) * (y + 1) - (y == 9 ? -log(2) : 0);
        sample->pmi[9 - y] = sample->log_probability[9 - y] - log(0.1);
        sample->l1[y] = sample->log_probability[y] - 0.5;
        sample->ls[y] = sample->log_probability[y] + 0.25;
        sample->order[y] = 9 - y;
    }
    sample->c = (struct infomask_classification){.classes = 10, .log_probability = sample->log_probability,
                                                 .pmi = sample->pmi, .information = 1.5, .entropy = 0.75,
                                                 .prior_entropy = 2.25, .order = sample->order,
                                                 .noise_information = {1, 1.25}, .model_information = 0.25,
                                                 .noise_l1 = sample->l1, .noise_ls = sample->ls,
                                                 .log_prior = sample->log_prior, .timing = {.decode = 1.00049}};
}

static struct json *parse_view(struct json_writer *writer)
{
    struct json *root = NULL;
    struct infomask_error err = {0};
    char *text = NULL;
    size_t size;
    if (json_writer_take(writer, &text, &size, &err) != INFOMASK_OK ||
        json_parse(text, size, NULL, &root, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    free(text);
    return root;
}

static double number_at(const struct json *object, const char *key)
{
    double value = NAN;
    if (!json_number(json_get(object, key), &value))
        fail_msg("%s is no number", key);
    return value;
}

static void check_number(const struct json *object, const char *key, double expected)
{
    double value = number_at(object, key);
    if (!(fabs(value - expected) < 1e-12))
        fail_msg("%s is %.17g, not %.17g", key, value, expected);
}

static void check_keys(const struct json *object, const char *expected)
{
    char keys[400] = "";
    for (const struct json *child = json_first(object); child != NULL; child = json_next(child)) {
        (void)strncat(keys, json_key(child), sizeof keys - strlen(keys) - 2);
        (void)strncat(keys, " ", sizeof keys - strlen(keys) - 1);
    }
    assert_string_equal(keys, expected);
}

static void a_classification_has_the_documented_members(void **state)
{
    struct view_head head = head_of(*state, VIEW_NATS);
    struct view_classify_options options = {.top_k = 2, .target = -1, .abstain_below = NAN};
    struct sample sample;
    struct json_writer writer;
    struct json *root;
    const struct json *row;
    fill_sample(&sample);
    json_writer_init(&writer, 0);
    view_classify(&writer, NULL, &head, &sample.c, &options);
    root = parse_view(&writer);
    check_keys(root, "request_id model image units prior classes predictions information entropy prior_entropy abstain "
                     "noise timing_ms ");
    check_keys(json_get(root, "image"), "format width height orientation ");
    check_keys(json_get(root, "timing_ms"), "queue decode preprocess network encode total ");
    check_number(json_get(root, "timing_ms"), "decode", 1);
    assert_int_equal(json_count(json_get(root, "predictions")), 2);
    row = json_first(json_get(root, "predictions"));
    check_keys(row, "index label probability log_probability pmi ");
    check_number(row, "index", 9);
    assert_string_equal(json_string(json_get(row, "label")), "c9");
    check_number(row, "probability", 0.5);
    check_number(row, "pmi", log(5));
    check_number(root, "information", 1.5);
    assert_int_equal(json_kind(json_get(root, "noise")), JSON_NULL);
    json_free(root);
}

static void bits_convert_information_and_no_probability(void **state)
{
    struct view_head head = head_of(*state, VIEW_BITS);
    struct view_classify_options options = {.top_k = 100, .target = 3, .abstain_below = 1.6};
    struct sample sample;
    struct json_writer writer;
    struct json *root;
    const struct json *noise, *row;
    bool abstain = false;
    fill_sample(&sample);
    sample.c.samples = 4;
    sample.c.seed = 9;
    json_writer_init(&writer, 0);
    view_classify(&writer, NULL, &head, &sample.c, &options);
    root = parse_view(&writer);
    assert_string_equal(json_string(json_get(root, "units")), "bits");
    assert_int_equal(json_count(json_get(root, "predictions")), 10);
    check_number(root, "entropy", 0.75 / log(2));
    check_number(json_get(root, "target"), "index", 3);
    check_number(json_get(root, "target"), "log_probability", -7);
    check_number(json_get(root, "target"), "probability", 1.0 / 128);
    assert_true(json_bool(json_get(root, "abstain"), &abstain) && abstain);
    noise = json_get(root, "noise");
    check_keys(noise, "samples seed information model_information predictions ");
    check_number(noise, "seed", 9);
    check_number(noise, "model_information", 0.25 / log(2));
    row = json_first(json_get(noise, "predictions"));
    check_keys(row, "index label log_probability pmi ");
    assert_int_equal(json_count(json_get(row, "pmi")), 2);
    json_free(root);
}

static struct infomask_mask mask_of(struct infomask_map *map, double *cells, struct infomask_object *object)
{
    for (int i = 0; i < 6; i++)
        cells[i] = i;
    *map = (struct infomask_map){.target = 2, .probability = 0.25, .pmi = 2, .rows = 2, .columns = 3, .cells = cells,
                                 .mean = 2.5, .map_pmi = 2.5, .largest_window_pmi = NAN};
    *object = (struct infomask_object){.x = 1, .y = 2, .width = 3, .height = 1, .area = 0.25, .peak_x = 2, .peak_y = 2,
                                       .information_share = 0.5};
    return (struct infomask_mask){.width = 4, .height = 3, .map_count = 1, .maps = map, .rule = INFOMASK_THRESHOLD_NATS,
                                  .threshold = log(2), .area = 0.25, .information_share = 0.5, .objects = object,
                                  .object_count = 1};
}

static void a_mask_has_the_documented_members(void **state)
{
    struct view_head head = head_of(*state, VIEW_BITS);
    struct infomask_map map;
    struct infomask_object object;
    double cells[6];
    struct infomask_mask mask = mask_of(&map, cells, &object);
    uint8_t bytes[] = "abc";
    struct infomask_encoded png = {.data = bytes, .size = 3};
    struct view_picture pictures[] = {{"mask", &png}, {"overlay", &png}};
    struct sample sample;
    struct json_writer writer;
    struct json *root;
    const struct json *m, *last;
    fill_sample(&sample);
    json_writer_init(&writer, 0);
    view_mask(&writer, NULL, &head, &sample.c, &mask, pictures, 2);
    root = parse_view(&writer);
    check_keys(root, "request_id model image units prior classes target map mask pictures timing_ms ");
    check_keys(json_get(root, "target"), "index label probability pmi ");
    check_keys(json_get(root, "map"), "method rows columns cells mean pmi largest_window_pmi ");
    assert_int_equal(json_kind(json_get(json_get(root, "map"), "largest_window_pmi")), JSON_NULL);
    check_number(json_get(root, "map"), "mean", 2.5 / log(2));
    last = json_next(json_first(json_get(json_get(root, "map"), "cells")));
    assert_int_equal(json_count(last), 3);
    m = json_get(root, "mask");
    check_keys(m, "empty rule threshold area information_share png objects ");
    assert_string_equal(json_string(json_get(m, "rule")), "bits");
    check_number(m, "threshold", 1);
    assert_string_equal(json_string(json_get(m, "png")), "YWJj");
    check_keys(json_first(json_get(m, "objects")), "box area peak information_share ");
    check_keys(json_get(root, "pictures"), "overlay ");
    json_free(root);
}

static void activations_are_no_bits(void **state)
{
    struct view_head head = head_of(*state, VIEW_BITS);
    struct infomask_map map;
    struct infomask_object object;
    double cells[6];
    struct infomask_mask mask = mask_of(&map, cells, &object);
    struct sample sample;
    struct json_writer writer;
    struct json *root;
    mask.method = INFOMASK_CAM;
    fill_sample(&sample);
    json_writer_init(&writer, 0);
    view_mask(&writer, NULL, &head, &sample.c, &mask, NULL, 0);
    root = parse_view(&writer);
    check_number(json_get(root, "map"), "mean", 2.5);
    check_number(json_get(root, "map"), "pmi", 2.5 / log(2));
    assert_null(json_get(json_get(root, "mask"), "png"));
    assert_null(json_get(root, "pictures"));
    json_free(root);
}

static void a_filter_verifies_one_or_several(void **state)
{
    struct view_head head = head_of(*state, VIEW_NATS);
    struct infomask_map map;
    struct infomask_object object;
    double cells[6];
    uint8_t bytes[] = "abc";
    struct infomask_verification rows[2] = {
        {.target = 2, .after = {.pmi_after = -1, .random_area_pmi_after = NAN, .rank_after = 4}}, {.target = 3}};
    struct infomask_filtered filtered = {.mask = mask_of(&map, cells, &object),
                                         .image = {.data = bytes, .size = 3, .content_type = "image/png"}, .rows = rows,
                                         .row_count = 1};
    struct sample sample;
    struct json_writer writer;
    struct json *root;
    const struct json *row;
    fill_sample(&sample);
    json_writer_init(&writer, 0);
    view_filter(&writer, NULL, &head, &sample.c, &filtered, NULL);
    root = parse_view(&writer);
    assert_string_equal(json_string(json_get(root, "image")), "YWJj");
    row = json_get(root, "verification");
    check_keys(row, "verdict reason complete pmi_before pmi_after map_pmi_before map_pmi_after region_pmi_before "
                    "region_pmi_after context_pmi_before context_pmi_after largest_window_pmi_after looks "
                    "probability_before probability_after rank_after "
                    "area random_area_pmi_after passes rounds still_tells ");
    assert_int_equal(json_kind(json_get(row, "random_area_pmi_after")), JSON_NULL);
    json_free(root);
    filtered.row_count = 2;
    view_filter(&writer, NULL, &head, &sample.c, &filtered, NULL);
    root = parse_view(&writer);
    assert_int_equal(json_count(json_get(root, "verification")), 2);
    check_number(json_next(json_first(json_get(root, "verification"))), "index", 3);
    json_free(root);
}

static void models_tell_their_methods_and_their_document(void **state)
{
    struct fixture *fixture = *state;
    struct json_writer writer;
    struct json *root;
    const struct json *model;
    json_writer_init(&writer, 0);
    view_models(&writer, &fixture->model, 1, 0, NULL);
    root = parse_view(&writer);
    assert_string_equal(json_string(json_get(root, "default")), "m");
    model = json_first(json_get(root, "models"));
    assert_string_equal(json_string(json_get(model, "isa")), "ref");
    assert_true(json_count(json_get(model, "methods")) >= 1);
    assert_string_equal(json_string(json_get(json_get(model, "document"), "name")), "m");
    json_free(root);
    view_labels(&writer, fixture->model);
    root = parse_view(&writer);
    assert_int_equal(json_count(json_get(root, "labels")), 10);
    json_free(root);
}

static void problems_have_stable_words(void **state)
{
    struct json_writer writer;
    struct json *root;
    (void)state;
    json_writer_init(&writer, 0);
    view_problem(&writer, NULL, VIEW_NO_SUCH_CLASS, "a \"b\"", "r1");
    root = parse_view(&writer);
    check_keys(root, "type title status detail code request_id ");
    check_number(root, "status", 404);
    assert_string_equal(json_string(json_get(root, "code")), "no_such_class");
    assert_string_equal(json_string(json_get(root, "type")), "urn:infomask:problem:no_such_class");
    assert_string_equal(json_string(json_get(root, "detail")), "a \"b\"");
    json_free(root);
    assert_int_equal(view_problem_of(INFOMASK_BAD_IMAGE), VIEW_BAD_IMAGE);
    assert_int_equal(view_problem_of(INFOMASK_MEMORY), VIEW_OVERLOADED);
    assert_int_equal(view_problem_of(INFOMASK_DEADLINE), VIEW_DEADLINE_EXCEEDED);
    for (int i = 0; i < VIEW_PROBLEM_COUNT; i++)
        assert_in_range(view_problem_status((enum view_problem)i), 400, 599);
}

#define WITH_MODEL(test) cmocka_unit_test_setup_teardown(test, open_fixture, close_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MODEL(a_classification_has_the_documented_members),
        WITH_MODEL(bits_convert_information_and_no_probability),
        WITH_MODEL(a_mask_has_the_documented_members),
        WITH_MODEL(activations_are_no_bits),
        WITH_MODEL(a_filter_verifies_one_or_several),
        WITH_MODEL(models_tell_their_methods_and_their_document),
        cmocka_unit_test(problems_have_stable_words),
    };
    return cmocka_run_group_tests_name("views", tests, NULL, NULL);
}
