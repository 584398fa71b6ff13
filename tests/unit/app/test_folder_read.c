#include "test.h"

#include <math.h>

#include "scratch.h"
#include "app/model/folder_read.h"
#include "app/model/labels.h"

/* ---- Labels ----------------------------------------------------------------------------------------------------------- */

static const char sample[] = "tabby\tn02123045\tcat\r\ncrane\tn02012849\n2019\ncrane\tn03126707\ttabby cat\ncaf\xC3\xA9\n";

static void parse_sample(struct labels *labels)
{
    assert_int_equal(labels_parse(sample, sizeof sample - 1, labels, NULL), INFOMASK_OK);
}

static void labels_and_aliases_are_split(void **state)
{
    struct labels labels;
    (void)state;
    parse_sample(&labels);
    assert_int_equal(labels.count, 5);
    assert_string_equal(labels.names[labels.first[0]], "tabby");
    assert_int_equal(labels.first[1] - labels.first[0], 3);
    assert_string_equal(labels.names[labels.first[0] + 2], "cat");
    assert_string_equal(labels.names[labels.first[4]], "caf\xC3\xA9");
    labels_fini(&labels);
}

struct question {
    const char *name;
    enum labels_status status;
    int index;
    const char *reason;
};

static void classes_are_found_by_what_people_call_them(void **state)
{
    static const struct question questions[] = {
        {"0", LABELS_FOUND, 0, NULL},
        {"004", LABELS_FOUND, 4, NULL},
        {"tabby", LABELS_FOUND, 0, NULL},
        {"n02123045", LABELS_FOUND, 0, NULL},
        {"caf\xC3\xA9", LABELS_FOUND, 4, NULL},
        {"label:2019", LABELS_FOUND, 2, NULL},
        {"label:cat", LABELS_FOUND, 0, NULL},
        {"crane", LABELS_AMBIGUOUS, 0, "\"crane\" names several classes: ask for one of the indices 1, 3"},
        {"2019", LABELS_UNKNOWN, 0, "no class has the index 2019; the indices are 0 to 4 (label:2019 for"},
        {"99999999999999999999999", LABELS_UNKNOWN, 0, "no class has the index 99999999999999999999999"},
        {"Tabby", LABELS_UNKNOWN, 0, "no class is named \"Tabby\"; the nearest names are \"tabby\", \"tabby cat\""},
        {"taby", LABELS_UNKNOWN, 0, "the nearest names are \"tabby\","},
        {"n0301", LABELS_UNKNOWN, 0, "nearest names are"},
        {"", LABELS_UNKNOWN, 0, "no class is named \"\""},
        {"-1", LABELS_UNKNOWN, 0, "no class is named \"-1\""},
        {"label:", LABELS_UNKNOWN, 0, "no class is named \"\""},
        {"label:0", LABELS_UNKNOWN, 0, "no class is named \"0\""},
    };
    struct labels labels;
    (void)state;
    parse_sample(&labels);
    for (size_t i = 0; i < sizeof questions / sizeof *questions; i++) {
        const struct question *q = &questions[i];
        struct infomask_error err = {0};
        int index = -1;
        assert_int_equal(labels_find(&labels, q->name, &index, &err), q->status);
        if (q->status == LABELS_FOUND)
            assert_int_equal(index, q->index);
        else if (strstr(err.text, q->reason) == NULL)
            fail_msg("%s: \"%s\", not \"%s\"", q->name, err.text, q->reason);
    }
    labels_fini(&labels);
}

static void one_class_may_say_a_name_twice(void **state)
{
    static const char text[] = "a\ta\nb\n";
    struct labels labels;
    int index = -1;
    (void)state;
    assert_int_equal(labels_parse(text, sizeof text - 1, &labels, NULL), INFOMASK_OK);
    assert_int_equal(labels_find(&labels, "a", &index, NULL), LABELS_FOUND);
    assert_int_equal(index, 0);
    labels_fini(&labels);
}

static void an_overlong_name_is_no_class(void **state)
{
    struct labels labels;
    char name[400];
    int index;
    (void)state;
    parse_sample(&labels);
    for (size_t length = 250; length < 300; length++) {
        memset(name, 'a', length);
        name[length] = '\0';
        assert_int_equal(labels_find(&labels, name, &index, NULL), LABELS_UNKNOWN);
    }
    labels_fini(&labels);
}

static void bad_label_files_are_refused_by_line(void **state)
{
    static const char *const bad[][2] = {
        {"", "has no line"},
        {"a\n\nb\n", "line 2: a class without a name"},
        {"a\tb\t\n", "line 1: a class without a name, or an empty alias"},
        {"\xFFz\n", "line 1: not UTF-8"},
        {"a\nb\x01\n", "line 2: a control character"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct labels labels;
        struct infomask_error err = {0};
        assert_int_equal(labels_parse(bad[i][0], strlen(bad[i][0]), &labels, &err), INFOMASK_BAD_MODEL);
        if (strstr(err.text, bad[i][1]) == NULL)
            fail_msg("\"%s\", not \"%s\"", err.text, bad[i][1]);
    }
}

static void a_model_without_labels_counts(void **state)
{
    struct labels labels;
    int index = -1;
    (void)state;
    assert_int_equal(labels_number(1234, &labels, NULL), INFOMASK_OK);
    assert_int_equal(labels.count, 1234);
    assert_string_equal(labels.names[labels.first[1233]], "1233");
    assert_int_equal(labels_find(&labels, "label:77", &index, NULL), LABELS_FOUND);
    assert_int_equal(index, 77);
    labels_fini(&labels);
    assert_int_equal(labels_number(0, &labels, NULL), INFOMASK_BAD_MODEL);
}

/* ---- Folders ---------------------------------------------------------------------------------------------------------- */

static void put(const char *folder, const char *name, const char *text)
{
    scratch_put(folder, name, text, strlen(text));
}

static int make_folder(void **state)
{
    if (scratch_make(state) != 0)
        return -1;
    put(*state, "labels.txt", "cat\ndog\nbird\n");
    return 0;
}

static enum infomask_status read_folder(const char *folder, const char *document, enum infomask_precision precision,
                                        struct model_folder *result, struct heard *heard, struct infomask_error *err)
{
    put(folder, "model.json", document);
    return model_folder_read(folder, precision, NULL, heard != NULL ? hear : NULL, heard, result, err);
}

static void a_whole_document_is_read(void **state)
{
    static const char document[] =
        "{\"name\":\"m-1\",\"version\":\"7\",\"file\":\"net.onnx\",\"labels\":\"labels.txt\",\"input\":{\"width\":32,"
        "\"height\":16,\"color\":\"BGR\",\"fit\":\"squash\",\"resize_to\":[40,20],\"crop\":1,\"resize\":\"lanczos\","
        "\"mean\":[1],\"std\":[2,3,4],\"layout\":\"NHWC\",\"gamma\":2},\"prior\":[1,2,1],\"logit_prior\":\"uniform\","
        "\"objective\":\"pc-softmax\",\"dropout\":0.5,\"label_smoothing\":0.1,\"temperature\":2,\"output\":\"y\","
        "\"output_kind\":\"probabilities\",\"mask\":{\"threshold\":\"nats:1.0\",\"resolution\":64,"
        "\"min_evidence\":0.5,\"window\":3},\"precisions\":{\"int8\":{\"file\":\"q.int8\",\"agreement\":0.99}},"
        "\"licence\":\"CC0-1.0\",\"source\":\"here\",\"mine\":{\"a\":1}}";
    struct model_folder folder;
    struct heard heard = {0};
    char *path;
    (void)state;
    assert_int_equal(read_folder(*state, document, INFOMASK_F32, &folder, &heard, NULL), INFOMASK_OK);
    assert_string_equal(folder.name, "m-1");
    assert_string_equal(folder.version, "7");
    path = file_join(*state, "net.onnx");
    assert_string_equal(folder.spec.path, path);
    free(path);
    assert_int_equal(folder.spec.labels, 3);
    assert_int_equal(folder.spec.width, 32);
    assert_int_equal(folder.spec.height, 16);
    assert_int_equal(folder.spec.color, INFOMASK_BGR);
    assert_int_equal(folder.spec.fit, INFOMASK_SQUASH);
    assert_int_equal(folder.spec.resize_width, 40);
    assert_int_equal(folder.spec.resize_height, 20);
    assert_string_equal(folder.spec.resize, "lanczos");
    assert_true(folder.spec.nhwc && folder.spec.pc_softmax && folder.spec.probabilities);
    assert_true(fabsf(folder.spec.mean[2] - 1) <= 0 && fabsf(folder.spec.std[2] - 4) <= 0);
    assert_true(fabs(folder.spec.prior[1] - 0.5) < 1e-15 && fabs(folder.spec.logit_prior[0] - 1.0 / 3) < 1e-15);
    assert_true(fabs(folder.spec.temperature - 2) <= 0 && fabs(folder.spec.label_smoothing - 0.1) <= 0);
    assert_string_equal(folder.spec.output, "y");
    assert_int_equal(folder.spec.mask_threshold, INFOMASK_THRESHOLD_NATS);
    assert_true(folder.spec.mask_threshold_value == 1);
    assert_int_equal(folder.spec.mask_window, 3);
    assert_int_equal(heard.count, 2); /* input.gamma and mine */
    assert_string_equal(heard.last, "model m-1: model.json: unknown key \"mine\" is kept and not used");
    assert_int_equal(json_count(json_get(folder.document, "mine")), 1);
    model_folder_fini(&folder);
    assert_int_equal(read_folder(*state, document, INFOMASK_INT8, &folder, NULL, NULL), INFOMASK_OK);
    assert_non_null(strstr(folder.spec.path, "/net.onnx"));
    assert_non_null(strstr(folder.spec.int8_path, "/q.int8"));
    model_folder_fini(&folder);
}

static void defaults_fill_a_short_document(void **state)
{
    struct model_folder folder;
    assert_int_equal(read_folder(*state, "{\"name\":\"m\"}", INFOMASK_F32, &folder, NULL, NULL), INFOMASK_OK);
    assert_string_equal(folder.version, "1");
    assert_non_null(strstr(folder.spec.path, "/model.onnx"));
    assert_int_equal(folder.labels.count, 3); /* labels.txt lies there */
    assert_int_equal(folder.spec.width, 224);
    assert_string_equal(folder.spec.resize, "bicubic");
    assert_null(folder.spec.prior);
    assert_null(folder.spec.logit_prior);
    model_folder_fini(&folder);
}

static void bad_documents_are_refused_by_key(void **state)
{
    static const char *const bad[][2] = {
        {"[]", "model.json: must be an object"},
        {"{", "model.json: not valid JSON: a member without a quoted name at byte 1"},
        {"{\"name\":\"m\",\"name\":\"m\"}", "model.json: not valid JSON: duplicate key \"name\""},
        {"{}", "model.json: \"name\" is missing"},
        {"{\"name\":\"a/b\"}", "model.json: \"name\" must be 1 to 63 of"},
        {"{\"name\":\"..\"}", "\"name\" must be"},
        {"{\"name\":7}", "\"name\" must be a string of at least one character, not a number"},
        {"{\"name\":\"m\",\"version\":1}", "\"version\" must be a string"},
        {"{\"name\":\"m\",\"file\":\"/etc/passwd\"}", "\"file\" must be a file of the model's own folder"},
        {"{\"name\":\"m\",\"file\":\"a/../../b\"}", "\"file\" must be a file of the model's own folder"},
        {"{\"name\":\"m\",\"labels\":\"none.txt\"}", "none.txt: cannot be read: No such file"},
        {"{\"name\":\"m\",\"labels\":\"model.json\"}", NULL},
        {"{\"name\":\"m\",\"input\":[]}", "\"input\" must be an object, not an array"},
        {"{\"name\":\"m\",\"input\":{\"width\":0}}", "\"input.width\" must be an integer from 1 to 4096"},
        {"{\"name\":\"m\",\"input\":{\"width\":2.5}}", "\"input.width\" must be an integer"},
        {"{\"name\":\"m\",\"input\":{\"color\":\"rgb\"}}", "\"input.color\" must be one of RGB|BGR|GRAY"},
        {"{\"name\":\"m\",\"input\":{\"crop\":1.5}}", "\"input.crop\" must be 0.01 to 1, not 1.5"},
        {"{\"name\":\"m\",\"input\":{\"mean\":[1,2]}}", "\"input.mean\" must be an array of 3 numbers"},
        {"{\"name\":\"m\",\"input\":{\"std\":[1,0,1]}}", "\"input.std\" must hold numbers from 1e-06"},
        {"{\"name\":\"m\",\"input\":{\"resize_to\":[3]}}", "\"input.resize_to\" must be a side or [width, height]"},
        {"{\"name\":\"m\",\"prior\":[1,2]}", "\"prior\" must hold 3 numbers"},
        {"{\"name\":\"m\",\"labels\":\"labels.txt\",\"prior\":[1,2]}", "\"prior\" must hold 3 numbers"},
        {"{\"name\":\"m\",\"labels\":\"labels.txt\",\"prior\":[1,2,3,4]}", "\"prior\" must hold 3 numbers"},
        {"{\"name\":\"m\",\"labels\":\"labels.txt\",\"prior\":[1,0,1]}", "class 1 has 0"},
        {"{\"name\":\"m\",\"labels\":\"labels.txt\",\"prior\":\"labels.txt\"}", "\"prior\" must hold 3 numbers"},
        {"{\"name\":\"m\",\"labels\":\"labels.txt\",\"logit_prior\":true}", "\"logit_prior\" must be \"uniform\""},
        {"{\"name\":\"m\",\"objective\":\"hinge\"}", "\"objective\" must be one of softmax|pc-softmax"},
        {"{\"name\":\"m\",\"dropout\":1}", "\"dropout\" must be 0 to 0.99, not 1"},
        {"{\"name\":\"m\",\"mask\":{\"threshold\":\"otzu\"}}", "\"mask.threshold\" must be auto, otsu,"},
        {"{\"name\":\"m\",\"mask\":{\"threshold\":\"max:2\"}}", "\"mask.threshold\" must be"},
        {"{\"name\":\"m\",\"mask\":{\"window\":\"5\"}}", "\"mask.window\" must be an integer"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct model_folder folder;
        struct infomask_error err = {0};
        enum infomask_status status = read_folder(*state, bad[i][0], INFOMASK_F32, &folder, NULL, &err);
        if (bad[i][1] == NULL) { /* a one-line file is a fine list of labels */
            assert_int_equal(status, INFOMASK_OK);
            model_folder_fini(&folder);
            continue;
        }
        if (status == INFOMASK_OK || strstr(err.text, bad[i][1]) == NULL)
            fail_msg("%s: \"%s\", not \"%s\"", bad[i][0], err.text, bad[i][1]);
    }
}

static void int8_must_be_there(void **state)
{
    struct model_folder folder;
    struct infomask_error err = {0};
    assert_int_equal(read_folder(*state, "{\"name\":\"m\"}", INFOMASK_INT8, &folder, NULL, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "\"precisions.int8.file\" is missing: this model has no int8 version"));
}

/* The fastest precision that is here and recorded as good enough. */
static void auto_takes_what_is_recorded(void **state)
{
    static const char *const documents[] = {"{\"name\":\"m\"}", "{\"name\":\"m\",\"precisions\":{\"bf16\":{\"agreement\":0.98}}}",
                                            "{\"name\":\"m\",\"precisions\":{\"bf16\":{\"agreement\":0.99}}}"};
    bool here = infomask_precision_check(INFOMASK_BF16, NULL, NULL) == INFOMASK_OK;
    struct model_folder folder;
    struct infomask_error err = {0};

    for (int i = 0; i < 3; i++) {
        assert_int_equal(read_folder(*state, documents[i], INFOMASK_AUTO, &folder, NULL, NULL), INFOMASK_OK);
        assert_int_equal(folder.spec.precision, i == 2 && here ? INFOMASK_BF16 : INFOMASK_F32);
        model_folder_fini(&folder);
        assert_int_equal(model_folder_read(*state, INFOMASK_AUTO, "blas", NULL, NULL, &folder, NULL), INFOMASK_OK);
        assert_int_equal(folder.spec.precision, INFOMASK_F32);
        model_folder_fini(&folder);
    }
    assert_int_equal(read_folder(*state, "{\"name\":\"m\",\"precisions\":{\"bf16\":{\"agreement\":99}}}", INFOMASK_F32,
                                 &folder, NULL, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "\"precisions.bf16.agreement\" must be 0 to 1, not 99"));
}

static void a_prior_may_lie_in_a_file(void **state)
{
    struct model_folder folder;
    put(*state, "prior.txt", "2\n1, 1\n");
    assert_int_equal(read_folder(*state, "{\"name\":\"m\",\"labels\":\"labels.txt\",\"prior\":\"prior.txt\"}", INFOMASK_F32,
                                 &folder, NULL, NULL), INFOMASK_OK);
    assert_true(fabs(folder.spec.prior[0] - 0.5) < 1e-15);
    model_folder_fini(&folder);
}

static void a_stamp_tells_of_changes(void **state)
{
    struct model_folder folder;
    struct model_stamp stamp;
    assert_int_equal(read_folder(*state, "{\"name\":\"m\",\"labels\":\"labels.txt\"}", INFOMASK_F32, &folder, NULL, NULL),
                     INFOMASK_OK);
    stamp = model_folder_stamp(&folder);
    assert_memory_equal(&stamp, &folder.stamp, sizeof stamp);
    put(*state, "labels.txt", "cat\ndog\nfish\n");
    stamp = model_folder_stamp(&folder);
    assert_memory_not_equal(&stamp, &folder.stamp, sizeof stamp);
    model_folder_fini(&folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_and_aliases_are_split),
        cmocka_unit_test(classes_are_found_by_what_people_call_them),
        cmocka_unit_test(one_class_may_say_a_name_twice),
        cmocka_unit_test(an_overlong_name_is_no_class),
        cmocka_unit_test(bad_label_files_are_refused_by_line),
        cmocka_unit_test(a_model_without_labels_counts),
        cmocka_unit_test_setup_teardown(a_whole_document_is_read, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(defaults_fill_a_short_document, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(bad_documents_are_refused_by_key, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(int8_must_be_there, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(auto_takes_what_is_recorded, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(a_prior_may_lie_in_a_file, make_folder, scratch_remove),
        cmocka_unit_test_setup_teardown(a_stamp_tells_of_changes, make_folder, scratch_remove),
    };
    return cmocka_run_group_tests_name("model folders", tests, NULL, NULL);
}
