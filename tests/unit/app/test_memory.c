/* Networks that come and go within a bound of memory. */
#include "test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "scratch.h"
#include "app/model/models.h"

#define PATIENCE_MS 600000.0

static const char *const names[] = {"a", "b", "c"};

static size_t bytes_of_one(const char *directory)
{
    const struct model_options options = {.isa = "ref"};
    struct models *models;
    struct model *model;
    size_t bytes;

    assert_int_equal(models_create(directory, "a", &options, &models, NULL), INFOMASK_OK);
    model = models_get(models, "a", NULL);
    bytes = model_info(model)->memory_bytes;
    model_release(model);
    models_free(models);
    return bytes;
}

/* Models a, b and c in the folder, of which `fit` fit (0: no bound). */
static struct models *open_bound(const char *directory, double fit)
{
    struct model_options options = {.isa = "ref", .serves = true};
    struct infomask_error err = {0};
    struct models *models = NULL;

    for (int i = 0; i < 3; i++)
        scratch_model(directory, names[i]);
    options.memory = (size_t)(fit * (double)bytes_of_one(directory));
    if (models_create(directory, "a", &options, &models, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return models;
}

struct waiter {
    struct model_wait wait; /* first */
    pthread_mutex_t lock;
    pthread_cond_t woken;
    bool is_woken;
};

static void wake_waiter(struct model_wait *wait)
{
    struct waiter *waiter = (struct waiter *)wait;

    (void)pthread_mutex_lock(&waiter->lock);
    waiter->is_woken = true;
    (void)pthread_cond_signal(&waiter->woken);
    (void)pthread_mutex_unlock(&waiter->lock);
}

static void waiter_init(struct waiter *waiter, double deadline_ms)
{
    *waiter = (struct waiter){.wait = {.wake = wake_waiter, .deadline_ms = deadline_ms}};
    (void)pthread_mutex_init(&waiter->lock, NULL);
    (void)pthread_cond_init(&waiter->woken, NULL);
}

static void waiter_sleep(struct waiter *waiter)
{
    (void)pthread_mutex_lock(&waiter->lock);
    while (!waiter->is_woken)
        (void)pthread_cond_wait(&waiter->woken, &waiter->lock);
    (void)pthread_mutex_unlock(&waiter->lock);
    (void)pthread_cond_destroy(&waiter->woken);
    (void)pthread_mutex_destroy(&waiter->lock);
}

/* The model, held and pinned however long that takes; NULL: err says why not. */
static struct model *pin(struct models *models, const char *name, double deadline_ms, struct infomask_error *err)
{
    struct waiter waiter;

    for (;;) {
        struct model *model = models_get(models, name, err);
        if (model == NULL)
            return NULL;
        waiter_init(&waiter, deadline_ms);
        switch (model_pin(model, &waiter.wait, err)) {
        case MODEL_PINNED:
            return model;
        case MODEL_NOT_PINNED:
            model_release(model);
            return NULL;
        case MODEL_WAITS:
            waiter_sleep(&waiter);
            *err = waiter.wait.error;
        }
        if (err->status == INFOMASK_OK)
            return model;
        model_release(model);
        if (err->status != INFOMASK_CANCELLED)
            return NULL;
    }
}

static struct model *pin_now(struct models *models, const char *name)
{
    struct infomask_error err = {0};
    struct model *model = pin(models, name, clock_ms() + PATIENCE_MS, &err);

    if (model == NULL)
        fail_msg("%s", err.text);
    return model;
}

static void let_go(struct model *model)
{
    model_unpin(model);
    model_release(model);
}

static enum model_state state_of(struct models *models, const char *name)
{
    struct model *model = models_find(models, name, NULL);
    enum model_state state = model_state(model, NULL);
    model_release(model);
    return state;
}

static void use(struct models *models, const char *name)
{
    let_go(pin_now(models, name));
}

/* ---- One after the other ------------------------------------------------------------------------------------------- */

static void the_least_recently_used_goes(void **state)
{
    struct models *models = open_bound(*state, 2.5);

    assert_int_equal(models_memory(models).loaded, 2); /* of those that nobody asked for the last by name goes */
    assert_int_equal(state_of(models, "c"), MODEL_UNLOADED);
    use(models, "b");
    use(models, "c"); /* for which the default stays, though it was never used */
    assert_int_equal(state_of(models, "a"), MODEL_READY);
    assert_int_equal(state_of(models, "b"), MODEL_UNLOADED);
    use(models, "b");
    assert_int_equal(state_of(models, "c"), MODEL_UNLOADED);
    assert_int_equal(models_memory(models).loads, 5);
    assert_int_equal(models_memory(models).unloads, 3);
    models_free(models);
}

static void the_default_goes_where_nothing_else_is_enough(void **state)
{
    struct models *models = open_bound(*state, 1.5);

    assert_int_equal(state_of(models, "a"), MODEL_READY);
    use(models, "b");
    assert_int_equal(state_of(models, "a"), MODEL_UNLOADED);
    use(models, NULL);
    assert_int_equal(state_of(models, "b"), MODEL_UNLOADED);
    assert_int_equal(models_memory(models).loaded, 1);
    models_free(models);
}

static void what_is_pinned_stays(void **state)
{
    struct models *models = open_bound(*state, 1.5);
    struct model *held = pin_now(models, "a"), *model;
    struct infomask_error err = {0};
    struct waiter waiter, other;

    waiter_init(&waiter, clock_ms() + PATIENCE_MS);
    model = models_get(models, "b", NULL);
    assert_int_equal(model_pin(model, &waiter.wait, &err), MODEL_WAITS);
    assert_int_equal(state_of(models, "a"), MODEL_READY);
    assert_int_equal(state_of(models, "b"), MODEL_LOADING);
    waiter_init(&other, 0); /* who comes for a now is behind the one who waits for b */
    assert_int_equal(model_pin(held, &other.wait, &err), MODEL_WAITS);
    models_expire(models, 1);
    waiter_sleep(&other);
    assert_int_equal(other.wait.error.status, INFOMASK_DEADLINE);
    assert_false(waiter.is_woken);
    let_go(held);
    waiter_sleep(&waiter);
    assert_int_equal(waiter.wait.error.status, INFOMASK_OK);
    assert_int_equal(state_of(models, "a"), MODEL_UNLOADED);
    let_go(model);
    models_free(models);
}

static void a_deadline_ends_a_wait_with_both_numbers(void **state)
{
    struct models *models = open_bound(*state, 1.5);
    struct model *held = pin_now(models, "a"), *model = models_get(models, "b", NULL), *again;
    struct infomask_error err = {0};
    struct waiter waiter;
    char number[32];

    waiter_init(&waiter, 5);
    assert_int_equal(model_pin(model, &waiter.wait, &err), MODEL_WAITS);
    models_expire(models, 4);
    assert_int_equal(models_memory(models).waiting, 1);
    models_expire(models, 6);
    waiter_sleep(&waiter);
    assert_int_equal(waiter.wait.error.status, INFOMASK_DEADLINE);
    (void)snprintf(number, sizeof number, "%zu bytes", model_info(model)->memory_bytes);
    assert_non_null(strstr(waiter.wait.error.text, number));
    (void)snprintf(number, sizeof number, "%zu bytes", models_memory(models).bound);
    assert_non_null(strstr(waiter.wait.error.text, number));
    assert_int_equal(models_memory(models).waiting, 0);
    again = pin_now(models, "a"); /* nobody waits for its room any more */
    assert_ptr_equal(again, held);
    let_go(again);
    let_go(held);
    model_release(model);
    models_free(models);
}

static void a_model_larger_than_the_bound_is_refused(void **state)
{
    const struct model_options options = {.isa = "ref", .serves = true, .memory = 100};
    struct infomask_error err = {0};
    struct models *models = NULL;

    scratch_model(*state, "a");
    assert_int_equal(models_create(*state, "a", &options, &models, &err), INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "models_memory has for all models, 100 bytes"));
}

static void the_network_is_the_same_after_it_came_back(void **state)
{
    struct models *models = open_bound(*state, 1.5);
    struct model *model = models_get(models, "a", NULL);
    const struct infomask_model_info before = *model_info(model);
    uint64_t serial = model_serial(model);
    struct infomask_session *session;
    struct infomask_error err;

    use(models, "b");
    assert_int_equal(model_session_take(model, &session, &err), INFOMASK_INTERNAL); /* no network, no session */
    assert_int_equal(model_classes(model), 10);
    use(models, "a");
    assert_int_equal(model_serial(model), serial);
    assert_int_equal(model_info(model)->memory_bytes, before.memory_bytes);
    assert_string_equal(model_info(model)->digest, before.digest);
    assert_int_equal(model_session_take(model, &session, &err), INFOMASK_OK);
    model_session_give(model, session);
    model_release(model);
    models_free(models);
}

/* ---- Files that change, models that are stopped -------------------------------------------------------------------- */

static void files_that_changed_while_it_was_out_are_read_anew(void **state)
{
    struct models *models = open_bound(*state, 1.5);
    char *b = file_join(*state, "b");
    struct model *before = models_get(models, "b", NULL), *after;
    struct infomask_error err = {0};

    assert_int_equal(state_of(models, "b"), MODEL_UNLOADED);
    scratch_put(b, "labels.txt", "x0\nx1\nx2\nx3\nx4\nx5\nx6\nx7\nx8\nx9\n", 30);
    after = pin_now(models, "b");
    assert_ptr_not_equal(before, after);
    assert_string_equal(model_label(before, 0), "c0");
    assert_string_equal(model_label(after, 0), "x0");
    let_go(after);
    model_release(before);
    use(models, "a");
    scratch_put(b, "model.onnx", "no network", 10);
    assert_null(pin(models, "b", clock_ms() + PATIENCE_MS, &err));
    assert_int_equal(err.status, INFOMASK_BAD_MODEL);
    assert_non_null(strstr(err.text, "model.onnx"));
    assert_null(models_get(models, "b", &err)); /* it is one of those that failed */
    assert_int_equal(err.status, INFOMASK_BAD_MODEL);
    use(models, "a");
    models_free(models);
    free(b);
}

static void a_stopped_model_ends_waits_and_comes_back_by_a_load(void **state)
{
    struct models *models = open_bound(*state, 1.5);
    struct model *held = pin_now(models, "a"), *model = models_get(models, "b", NULL);
    struct infomask_error err = {0};
    struct waiter waiter;

    waiter_init(&waiter, clock_ms() + PATIENCE_MS);
    assert_int_equal(model_pin(model, &waiter.wait, &err), MODEL_WAITS);
    assert_int_equal(models_unload(models, "b", &err), INFOMASK_OK);
    waiter_sleep(&waiter);
    assert_int_equal(waiter.wait.error.status, INFOMASK_ARGUMENT);
    assert_non_null(strstr(waiter.wait.error.text, "was unloaded"));
    assert_int_equal(models_unload(models, "c", &err), INFOMASK_OK);
    let_go(held);
    assert_int_equal(models_load(models, "b", &err), INFOMASK_OK);
    assert_int_equal(state_of(models, "c"), MODEL_STOPPED); /* only the named one */
    use(models, "b");
    assert_null(pin(models, "c", 0, &err));
    model_release(model);
    models_free(models);
}

static void without_a_bound_a_stopped_model_gives_its_memory_and_comes_back_by_itself(void **state)
{
    struct models *models = open_bound(*state, 0);
    struct model *held = pin_now(models, "b");
    struct infomask_error err = {0};

    assert_int_equal(models_memory(models).loaded, 3);
    assert_int_equal(models_unload(models, "b", &err), INFOMASK_OK);
    assert_int_equal(models_memory(models).loaded, 3); /* it is pinned */
    let_go(held);
    assert_int_equal(models_memory(models).loaded, 2);
    assert_int_equal(models_reload(models, NULL, &err), INFOMASK_OK);
    use(models, "b");
    assert_int_equal(models_memory(models).loaded, 3);
    models_free(models);
}

/* ---- Many at once -------------------------------------------------------------------------------------------------- */

enum { THREADS = 8, ROUNDS = 60 };

struct crowd {
    struct models *models;
    atomic_int served, late;
};

struct member {
    struct crowd *crowd;
    unsigned number;
};

/* Pins, runs and unpins; some come too late.  NULL: as it should be. */
static void *ask(void *context)
{
    const struct member *member = context;
    struct crowd *crowd = member->crowd;

    for (unsigned i = 0; i < ROUNDS; i++) {
        struct infomask_error err = {0};
        struct infomask_session *session;
        bool hurried = (i + member->number) % 7 == 0;
        struct model *model = pin(crowd->models, names[(member->number + i * (1 + i % 2)) % 3],
                                  clock_ms() + (hurried ? 1 : PATIENCE_MS), &err);
        if (model == NULL) {
            if (err.status != INFOMASK_DEADLINE || !hurried)
                return context;
            (void)atomic_fetch_add(&crowd->late, 1);
            continue;
        }
        if (model_session_take(model, &session, &err) != INFOMASK_OK)
            return context;
        model_session_give(model, session);
        let_go(model);
        (void)atomic_fetch_add(&crowd->served, 1);
    }
    return NULL;
}

static void nobody_is_forgotten_in_a_crowd(void **state)
{
    struct crowd crowd = {.models = open_bound(*state, 1.5)};
    struct member members[THREADS];
    pthread_t threads[THREADS];
    char *b = file_join(*state, "b"), labels[64];
    struct models_memory memory;

    for (unsigned i = 0; i < THREADS; i++) {
        members[i] = (struct member){&crowd, i};
        assert_int_equal(pthread_create(&threads[i], NULL, ask, &members[i]), 0);
    }
    for (int i = 0; atomic_load(&crowd.served) + atomic_load(&crowd.late) < THREADS * ROUNDS * 3 / 4; i++) {
        int size = snprintf(labels, sizeof labels, "%d\nb\nc\nd\ne\nf\ng\nh\ni\nj\n", i);
        if (i % 20 == 0)
            scratch_put(b, "labels.txt", labels, (size_t)size);
        if (i % 50 == 0)
            assert_int_equal(models_reload(crowd.models, NULL, NULL), INFOMASK_OK);
        models_trim(crowd.models);
        models_expire(crowd.models, clock_ms());
        memory = models_memory(crowd.models);
        assert_true(memory.bytes <= memory.bound);
        (void)usleep(2000);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = &crowd;
        while (pthread_tryjoin_np(threads[i], &failed) != 0) {
            models_expire(crowd.models, clock_ms());
            (void)usleep(2000);
        }
        assert_null(failed);
    }
    assert_int_equal(crowd.served + crowd.late, THREADS * ROUNDS);
    while (models_memory(crowd.models).waiting > 0) /* who woke the last one counts it off */
        (void)usleep(1000);
    assert_int_equal(models_memory(crowd.models).failures, 0);
    models_free(crowd.models);
    free(b);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(the_least_recently_used_goes),
        IN_SCRATCH(the_default_goes_where_nothing_else_is_enough),
        IN_SCRATCH(what_is_pinned_stays),
        IN_SCRATCH(a_deadline_ends_a_wait_with_both_numbers),
        IN_SCRATCH(a_model_larger_than_the_bound_is_refused),
        IN_SCRATCH(the_network_is_the_same_after_it_came_back),
        IN_SCRATCH(files_that_changed_while_it_was_out_are_read_anew),
        IN_SCRATCH(a_stopped_model_ends_waits_and_comes_back_by_a_load),
        IN_SCRATCH(without_a_bound_a_stopped_model_gives_its_memory_and_comes_back_by_itself),
        IN_SCRATCH(nobody_is_forgotten_in_a_crowd),
    };
    return cmocka_run_group_tests_name("memory", tests, NULL, NULL);
}
