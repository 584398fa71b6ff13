#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/pool.h"
#include "scratch.h"
#include "app/model/models.h"

static struct models *open_models(const char *directory, const char *chosen, struct heard *heard)
{
    struct model_options options = {.isa = "ref", .warn = heard != NULL ? hear : NULL, .warn_context = heard};
    struct models *models = NULL;
    struct infomask_error err = {0};
    if (models_create(directory, chosen, &options, &models, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return models;
}

static void check_default(const char *directory, const char *chosen, const char *expected)
{
    struct models *models = open_models(directory, chosen, NULL);
    struct model *model = models_get(models, NULL, NULL);
    assert_string_equal(model_name(model), expected);
    model_release(model);
    models_free(models);
}

static void the_default_is_chosen(void **state)
{
    char *path;
    scratch_model(*state, "beta");
    scratch_model(*state, "alpha");
    check_default(*state, "", "alpha");
    check_default(*state, "beta", "beta");
    path = file_join(*state, "beta");
    check_default(*state, path, "beta");
    check_default("/nowhere", path, "beta");
    free(path);
    scratch_model(*state, "efficientnet-lite0");
    check_default(*state, "", "efficientnet-lite0");
}

static void an_absent_model_is_told_with_those_that_there_are(void **state)
{
    struct model_options options = {.isa = "ref"};
    struct models *models = NULL;
    struct infomask_error err = {0};
    scratch_model(*state, "beta");
    scratch_model(*state, "alpha");
    assert_int_equal(models_create(*state, "gamma", &options, &models, &err), INFOMASK_ARGUMENT);
    assert_string_equal(err.text, "no model is named \"gamma\"; there are: alpha, beta");
    models = open_models(*state, "", NULL);
    assert_null(models_get(models, "gamma", &err));
    assert_string_equal(err.text, "no model is named \"gamma\"; there are: alpha, beta");
    models_free(models);
}

static void a_directory_without_models_says_so(void **state)
{
    struct model_options options = {.isa = "ref"};
    struct models *models = NULL;
    struct infomask_error err = {0};
    char *inner = file_join(*state, "inner");
    assert_int_equal(mkdir(inner, 0700), 0);
    assert_int_equal(models_create(inner, "", &options, &models, &err), INFOMASK_ARGUMENT);
    assert_null(models);
    assert_non_null(strstr(err.text, "there is no model folder in"));
    scratch_put(inner, "model.json", "{\"name\":1}", 10);
    assert_int_equal(models_create(*state, "", &options, &models, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "model.json: \"name\" must be a string"));
    assert_int_equal(models_create(*state, "inner", &options, &models, &err), INFOMASK_BAD_MODEL);
    assert_int_equal(models_create(*state, inner, &options, &models, &err), INFOMASK_BAD_MODEL);
    free(inner);
}

static void a_broken_folder_is_left_out_and_told(void **state)
{
    struct heard heard = {0};
    struct models *models;
    struct model **list;
    size_t count, chosen;
    char *folder = file_join(*state, "broken");
    scratch_model(*state, "broken");
    scratch_model(*state, "whole");
    scratch_put(folder, "model.onnx", "no network", 10);
    models = open_models(*state, "", &heard);
    assert_int_equal(models_list(models, &list, &count, &chosen, NULL), INFOMASK_OK);
    assert_int_equal(count, 1);
    assert_string_equal(model_name(list[chosen]), "whole");
    assert_int_equal(heard.count, 1);
    assert_memory_equal(heard.last, "model folder broken: ", 21);
    models_list_free(list, count);
    models_free(models);
    free(folder);
}

static void two_folders_of_one_name_are_told(void **state)
{
    struct heard heard = {0};
    struct models *models;
    char *folder = file_join(*state, "b");
    scratch_model(*state, "a");
    scratch_model(*state, "b");
    scratch_put(folder, "model.json", "{\"name\":\"a\"}", 12);
    models = open_models(*state, "", &heard);
    assert_int_equal(heard.count, 1);
    assert_string_equal(heard.last, "model folder b: the name \"a\" is taken by another folder");
    models_free(models);
    free(folder);
}

static void classes_have_names_and_aliases(void **state)
{
    struct models *models;
    struct model *model;
    struct infomask_error err = {0};
    size_t count;
    int index = -1;
    scratch_model(*state, "m");
    models = open_models(*state, "", NULL);
    model = models_get(models, "m", NULL);
    assert_int_equal(model_classes(model), 10);
    assert_string_equal(model_label(model, 2), "c2");
    assert_string_equal(model_aliases(model, 2, &count)[0], "cat");
    assert_int_equal(count, 1);
    (void)model_aliases(model, 3, &count);
    assert_int_equal(count, 0);
    assert_int_equal(model_find_class(model, "cat", &index, &err), MODEL_CLASS_FOUND);
    assert_int_equal(index, 2);
    assert_int_equal(model_find_class(model, "dog", &index, &err), MODEL_CLASS_UNKNOWN);
    model_release(model);
    models_free(models);
}

static void a_reload_sees_every_change(void **state)
{
    struct models *models;
    struct models_changes changes;
    struct model *before, *after;
    struct heard heard = {0};
    char *b = file_join(*state, "b"), *c = file_join(*state, "c");
    scratch_model(*state, "a");
    scratch_model(*state, "b");
    scratch_model(*state, "c");
    models = open_models(*state, "a", &heard);
    assert_int_equal(models_reload(models, &changes, NULL), INFOMASK_OK);
    assert_int_equal(changes.unchanged, 3);
    before = models_get(models, "b", NULL);
    scratch_put(b, "labels.txt", "x0\nx1\nx2\nx3\nx4\nx5\nx6\nx7\nx8\nx9\n", 30);
    scratch_put(c, "model.onnx", "no network", 10);
    scratch_model(*state, "d");
    assert_int_equal(models_reload(models, &changes, NULL), INFOMASK_OK);
    assert_int_equal(changes.added, 1);
    assert_int_equal(changes.changed, 1);
    assert_int_equal(changes.failed, 1);
    assert_int_equal(changes.unchanged, 1);
    assert_int_equal(changes.removed, 0);
    assert_non_null(strstr(heard.last, "its former version stays"));
    after = models_get(models, "b", NULL);
    assert_string_equal(model_label(before, 0), "c0"); /* the held one is as it was */
    assert_string_equal(model_label(after, 0), "x0");
    model_release(before);
    model_release(after);
    after = models_get(models, "c", NULL);
    assert_non_null(after);
    model_release(after);
    scratch_put(c, "model.json", "{", 1);
    assert_int_equal(models_reload(models, &changes, NULL), INFOMASK_OK);
    models_free(models);
    free(b);
    free(c);
}

static void a_reload_without_the_default_changes_nothing(void **state)
{
    struct models *models;
    struct model *model;
    struct infomask_error err = {0};
    char *a = file_join(*state, "a"), *document = file_join(a, "model.json");
    scratch_model(*state, "a");
    scratch_model(*state, "b");
    models = open_models(*state, "a", NULL);
    assert_int_equal(remove(document), 0);
    assert_int_equal(models_reload(models, NULL, &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "no model is named \"a\""));
    model = models_get(models, NULL, NULL);
    assert_string_equal(model_name(model), "a");
    model_release(model);
    models_free(models);
    free(document);
    free(a);
}

static void sessions_are_kept_for_the_next(void **state)
{
    struct models *models;
    struct model *model;
    struct infomask_session *first, *second, *again;
    scratch_model(*state, "m");
    models = open_models(*state, "", NULL);
    model = models_get(models, NULL, NULL);
    assert_int_equal(model_session_take(model, &first, NULL), INFOMASK_OK);
    assert_int_equal(model_session_take(model, &second, NULL), INFOMASK_OK);
    assert_ptr_not_equal(first, second);
    model_session_give(model, first);
    model_session_give(model, second); /* one is kept without a pool, the other is freed */
    assert_int_equal(model_session_take(model, &again, NULL), INFOMASK_OK);
    assert_ptr_equal(again, first);
    model_session_give(model, again);
    models_trim(models);
    model_release(model);
    models_free(models);
}

static void an_unloaded_model_is_back_after_a_reload(void **state)
{
    struct models *models;
    struct model *held;
    struct infomask_error err = {0};
    scratch_model(*state, "a");
    scratch_model(*state, "b");
    scratch_model(*state, "c");
    models = open_models(*state, "b", NULL);
    held = models_get(models, "a", NULL);
    assert_non_null(held);
    assert_int_equal(models_unload(models, "a", &err), INFOMASK_OK);
    assert_null(models_get(models, "a", &err));
    assert_int_equal(models_unload(models, "a", &err), INFOMASK_ARGUMENT);
    assert_int_equal(models_unload(models, "b", &err), INFOMASK_ARGUMENT);
    assert_non_null(strstr(err.text, "default"));
    assert_string_equal(model_name(held), "a"); /* until it is released */
    model_release(held);
    held = models_get(models, NULL, NULL);
    assert_string_equal(model_name(held), "b");
    model_release(held);
    assert_int_equal(models_reload(models, NULL, NULL), INFOMASK_OK);
    held = models_get(models, "a", NULL);
    assert_non_null(held);
    model_release(held);
    models_free(models);
}

/* ---- Reloads under running requests ------------------------------------------------------------------------------------ */

struct traffic {
    struct models *models;
    atomic_int rounds;
};

static void *request_models(void *context)
{
    struct traffic *traffic = context;
    for (int i = 0; i < 300; i++) {
        struct model *model = models_get(traffic->models, i % 2 == 0 ? NULL : "b", NULL);
        struct infomask_session *session;
        if (model == NULL || model_session_take(model, &session, NULL) != INFOMASK_OK || model_classes(model) != 10)
            return context;
        model_session_give(model, session);
        model_release(model);
        (void)atomic_fetch_add(&traffic->rounds, 1);
    }
    return NULL;
}

static void requests_keep_their_model_through_reloads(void **state)
{
    struct traffic traffic = {0};
    pthread_t threads[3];
    char *b = file_join(*state, "b"), labels[64];
    scratch_model(*state, "a");
    scratch_model(*state, "b");
    traffic.models = open_models(*state, "a", NULL);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, request_models, &traffic), 0);
    for (int i = 0; i < 20; i++) {
        int size = snprintf(labels, sizeof labels, "%d\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", i);
        scratch_put(b, "labels.txt", labels, (size_t)size);
        assert_int_equal(models_reload(traffic.models, NULL, NULL), INFOMASK_OK);
        models_trim(traffic.models);
    }
    for (int i = 0; i < 3; i++) {
        void *failed = &traffic;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(traffic.rounds, 900);
    models_free(traffic.models);
    free(b);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(the_default_is_chosen),
        IN_SCRATCH(an_absent_model_is_told_with_those_that_there_are),
        IN_SCRATCH(a_directory_without_models_says_so),
        IN_SCRATCH(a_broken_folder_is_left_out_and_told),
        IN_SCRATCH(two_folders_of_one_name_are_told),
        IN_SCRATCH(classes_have_names_and_aliases),
        IN_SCRATCH(a_reload_sees_every_change),
        IN_SCRATCH(a_reload_without_the_default_changes_nothing),
        IN_SCRATCH(sessions_are_kept_for_the_next),
        IN_SCRATCH(an_unloaded_model_is_back_after_a_reload),
        IN_SCRATCH(requests_keep_their_model_through_reloads),
    };
    return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
