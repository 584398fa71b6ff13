/* The window of the traffic in a state that several share: whatever they tell in whatever order, all read the same, and
 * what a list of the photos says. */
#include "test.h"

#include <math.h>
#include <unistd.h>

#include "scratch.h"
#include "app/model/models.h"
#include "app/state/traffic.h"
#include "app/state/traffic_window.h"

enum { CLASSES = 10, MOST = 12000 };

struct place {
    struct models *models;
    struct model *model;
    struct estimates *estimates;
    char *path;
};

static struct estimates *open_state(const char *path)
{
    struct estimates *estimates = NULL;
    struct infomask_error err;

    if (estimates_open(path, NULL, &estimates, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
    return estimates;
}

static struct place open_place(const char *folder)
{
    const struct model_options options = {.isa = "ref"};
    struct place place = {.path = file_join(folder, "state.db")};

    scratch_model(folder, "a");
    assert_int_equal(models_create(folder, "a", &options, &place.models, NULL), INFOMASK_OK);
    place.model = models_get(place.models, NULL, NULL);
    place.estimates = open_state(place.path);
    return place;
}

static void close_place(struct place *place)
{
    estimates_close(place->estimates);
    model_release(place->model);
    models_free(place->models);
    free(place->path);
}

static uint64_t next_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

/* Photo i of the test. */
static void photo_of(uint64_t i, double pmi[CLASSES], struct infomask_classification *photo)
{
    static int order[CLASSES] = {3};

    for (int y = 0; y < CLASSES; y++)
        pmi[y] = sin((double)(i * 31 + (uint64_t)y * 7)) - 1;
    *photo = (struct infomask_classification){.classes = CLASSES, .pmi = pmi, .order = order, .information = 1 + sin((double)i),
                                              .entropy = 1 + cos((double)i)};
}

static void add(struct traffic *traffic, const struct place *place, uint64_t i)
{
    struct infomask_classification photo;
    double pmi[CLASSES];

    photo_of(i, pmi, &photo);
    traffic_add(traffic, place->model, &photo);
}

static void refresh(struct traffic *traffic, const struct place *place)
{
    struct infomask_error err;

    if (traffic_refresh(traffic, place->model, place->estimates, &err) != INFOMASK_OK)
        fail_msg("%s", err.text);
}

static struct traffic_state read_state(struct traffic *traffic, const struct place *place, bool fit)
{
    struct traffic_state state;

    assert_int_equal(traffic_read(traffic, place->model, fit, &state, NULL), INFOMASK_OK);
    return state;
}

static void check_same(const struct traffic_state *a, const struct traffic_state *b)
{
    assert_int_equal(a->total, b->total);
    assert_int_equal(a->window, b->window);
    assert_int_equal(a->rows, b->rows);
    assert_memory_equal(&a->information, &b->information, sizeof a->information);
    assert_memory_equal(&a->deviation, &b->deviation, sizeof a->deviation);
    assert_memory_equal(&a->entropy, &b->entropy, sizeof a->entropy);
    assert_int_equal(a->drift.photos, b->drift.photos);
    assert_int_equal(a->by_class != NULL, b->by_class != NULL);
    for (size_t y = 0; a->by_class != NULL && y < a->classes; y++)
        assert_memory_equal(&a->by_class[y], &b->by_class[y], sizeof a->by_class[y]);
}

/* Against the photos in the order in which they came into the state. */
static void check_list(const struct traffic_state *state, const uint64_t *photos, size_t count)
{
    size_t window = count < TRAFFIC_WINDOW ? count : TRAFFIC_WINDOW, rows = count < TRAFFIC_ROWS ? count : TRAFFIC_ROWS;
    struct infomask_classification photo;
    double pmi[CLASSES], information = 0, share = 0;

    for (size_t i = count - window; i < count; i++) {
        photo_of(photos[i], pmi, &photo);
        information += photo.information / (double)window;
    }
    for (size_t i = count - rows; i < count; i++) {
        photo_of(photos[i], pmi, &photo);
        share += exp((double)(float)pmi[3]) / (double)rows;
    }
    assert_int_equal(state->total, count);
    assert_int_equal(state->window, window);
    assert_true(fabs(state->information - information) < 1e-12);
    if (state->by_class != NULL)
        assert_true(fabs(state->by_class[3].mean_probability - state->by_class[3].prior * share) < 1e-9);
}

/* Two who tell in turns of random length, up to many windows. */
static void two_tell_and_read_the_same(void **state)
{
    static uint64_t photos[MOST];
    struct place place = open_place(*state);
    struct traffic *two[2];
    uint64_t seed = 5, next = 0;

    for (int i = 0; i < 2; i++)
        assert_int_equal(traffic_create(place.estimates, &two[i], NULL), INFOMASK_OK);
    for (int round = 0; next + 6000 < MOST; round++) {
        int who = round % 2;
        uint64_t many = next_random(&seed) % (round % 11 == 10 ? 5000 : 300);
        for (uint64_t i = 0; i < many; i++, next++) {
            photos[next] = next;
            add(two[who], &place, next);
        }
        struct traffic_state untold = read_state(two[who], &place, round % 11 == 10);
        refresh(two[who], &place);
        struct traffic_state told = read_state(two[who], &place, round % 11 == 10);
        check_same(&untold, &told); /* what waits here is told of as if it had been told */
        check_list(&told, photos, (size_t)next);
        refresh(two[1 - who], &place);
        struct traffic_state other = read_state(two[1 - who], &place, round % 11 == 10);
        check_same(&told, &other);
        traffic_state_fini(&untold);
        traffic_state_fini(&told);
        traffic_state_fini(&other);
    }
    assert_true(next > TRAFFIC_WINDOW);
    for (int i = 0; i < 2; i++)
        traffic_free(two[i]);
    close_place(&place);
}

/* The end tells what is left; a new one goes on there. */
static void the_end_tells_the_rest(void **state)
{
    struct place place = open_place(*state);
    struct traffic *traffic;
    struct traffic_state before, after;
    const struct traffic_baseline baseline = {.id = "abc", .samples = 30, .plug_in = 1.5, .deviation = .5,
                                              .overconfidence = NAN};

    assert_int_equal(traffic_create(place.estimates, &traffic, NULL), INFOMASK_OK);
    refresh(traffic, &place);
    assert_int_equal(traffic_set_baseline(traffic, place.model, place.estimates, &baseline, NULL), INFOMASK_OK);
    for (uint64_t i = 0; i < 700; i++)
        add(traffic, &place, i);
    before = read_state(traffic, &place, true);
    traffic_free(traffic);
    assert_int_equal(traffic_create(place.estimates, &traffic, NULL), INFOMASK_OK);
    refresh(traffic, &place);
    after = read_state(traffic, &place, true);
    check_same(&before, &after);
    assert_string_equal(after.baseline.id, "abc");
    assert_true(after.baseline.samples == 30 && after.baseline.plug_in == 1.5 && isnan(after.baseline.overconfidence));
    assert_true(after.z == before.z && isfinite(after.z));
    traffic_state_fini(&before);
    traffic_state_fini(&after);
    traffic_free(traffic);
    close_place(&place);
}

/* What is told in the background meanwhile is not missing in the week's history. */
static void what_was_told_still_counts(void **state)
{
    struct place place = open_place(*state);
    struct traffic *traffic;

    assert_int_equal(traffic_create(place.estimates, &traffic, NULL), INFOMASK_OK);
    for (uint64_t i = 0; i < 100; i++)
        add(traffic, &place, i);
    for (int i = 0; i < 5; i++) { /* the teller looks every two seconds */
        struct traffic_state found = read_state(traffic, &place, true);
        assert_int_equal(found.total, 100);
        assert_int_equal(found.drift.photos, 100);
        traffic_state_fini(&found);
        (void)usleep(500000);
    }
    traffic_free(traffic);
    close_place(&place);
}

/* Work is done again when a commit was not heard of: the same part counts once. */
static void told_twice_counts_once(void **state)
{
    struct place place = open_place(*state);
    const struct photo_numbers photo[3] = {{1, 2}, {3, 4}, {5, 6}};
    float pmi[3 * CLASSES] = {0};
    struct traffic_told told = {.key = "k", .writer = "w", .number = 1, .classes = CLASSES, .row_limit = TRAFFIC_ROWS,
                                .part = {.count = 3, .photos = 3, .rows = 3, .photo = photo, .pmi = pmi}};
    struct traffic_news news = {.key = "k", .classes = CLASSES, .row_limit = TRAFFIC_ROWS};

    for (int i = 0; i < 2; i++)
        assert_int_equal(traffic_store_tell(place.estimates, &told, NULL), INFOMASK_OK);
    told.writer = "another";
    assert_int_equal(traffic_store_tell(place.estimates, &told, NULL), INFOMASK_OK);
    assert_int_equal(traffic_store_look(place.estimates, &news, NULL), INFOMASK_OK);
    assert_false(news.damaged);
    assert_int_equal(news.total, 6);
    assert_non_null(news.parts);
    assert_non_null(news.parts->next);
    assert_null(news.parts->next->next);
    assert_int_equal(news.parts->next->first, 3);
    assert_memory_equal(news.parts->next->photo, photo, sizeof photo);
    traffic_news_fini(&news);
    news.since = 4; /* the part that it lies in is told whole */
    assert_int_equal(traffic_store_look(place.estimates, &news, NULL), INFOMASK_OK);
    assert_true(!news.damaged && news.parts != NULL && news.parts->first == 3 && news.parts->next == NULL);
    traffic_news_fini(&news);
    close_place(&place);
}

static void without_a_state_it_is_in_memory(void **state)
{
    struct place place = open_place(*state);
    struct traffic *traffic;
    struct traffic_state found;

    assert_int_equal(traffic_create(NULL, &traffic, NULL), INFOMASK_OK);
    for (uint64_t i = 0; i < 40; i++)
        add(traffic, &place, i);
    assert_int_equal(traffic_refresh(traffic, place.model, NULL, NULL), INFOMASK_OK);
    found = read_state(traffic, &place, true);
    assert_int_equal(found.total, 40);
    traffic_state_fini(&found);
    traffic_free(traffic);
    close_place(&place);
}

#define IN_SCRATCH(test) cmocka_unit_test_setup_teardown(test, scratch_make, scratch_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_SCRATCH(two_tell_and_read_the_same),
        IN_SCRATCH(the_end_tells_the_rest),
        IN_SCRATCH(what_was_told_still_counts),
        IN_SCRATCH(told_twice_counts_once),
        IN_SCRATCH(without_a_state_it_is_in_memory),
    };

    return cmocka_run_group_tests_name("traffic", tests, NULL, NULL);
}
